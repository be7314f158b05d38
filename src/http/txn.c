/* /v1/txn: http-core.md 11.6. The body (schema/txn_body.h) has a form of its own, which is not that
 * of the protocol: here it is turned into the protocol's operations.
 */
#include "http/records.h"
#include "http/room.h"
#include "schema/txn_body.h"

#define MAX_OPERATIONS 64

/* ---- to operations ---- */

struct work {
    struct list ops; /* of struct txn_op * */
    bool writes;
};

/* False: answered. */
static bool add_kv(struct http_request *r, struct work *w, const struct api_kv_op *from,
                   struct txn_op *op) {
    static const char *const writing[] = {"set",         "cas",  "delete", "delete-cas",
                                          "delete-tree", "lock", "unlock", NULL};
    uint64_t most = r->config->limits.kv_max_value_size;
    if (from->value.len > most) {
        http_answer_format(r, 413, "Value for key " STR_FMT " is too large (%zu > %llu bytes)",
                           STR_ARG(str_quote(&r->arena, from->key)), from->value.len,
                           (unsigned long long)most);
        return false;
    }
    struct txn_op_kv *kv = ARENA_NEW(&r->arena, struct txn_op_kv);
    kv->verb = from->verb;
    kv->dir_ent.key = from->key;
    kv->dir_ent.value = from->value.len > 0 ? from->value : STR_NONE;
    kv->dir_ent.flags = from->flags;
    kv->dir_ent.session = from->session;
    kv->dir_ent.modify_index = from->index;
    op->kv = kv;
    for (const char *const *verb = writing; *verb != NULL; verb++)
        w->writes |= str_is(kv->verb, *verb);
    return true;
}

static void add_node(struct http_request *r, struct work *w, const struct api_node_op *from,
                     struct txn_op *op) {
    op->node = ARENA_NEW(&r->arena, struct txn_op_node);
    op->node->verb = from->verb;
    op->node->node = from->node;
    op->node->node.create_index = 0;
    if (from->node.datacenter.len == 0)
        op->node->node.datacenter = r->config->datacenter;
    w->writes |= !str_is(from->verb, "get");
}

/* Only some of the fields are used; the rest is accepted and dropped, as by the peer. */
static void add_service(struct http_request *r, struct work *w, const struct api_service_op *from,
                        struct txn_op *op) {
    struct txn_op_service *to = ARENA_NEW(&r->arena, struct txn_op_service);
    const struct node_service *s = &from->service;
    to->verb = from->verb;
    to->node = from->node;
    to->service = (struct node_service){.id = s->id,
                                        .service = s->service,
                                        .tags = s->tags,
                                        .address = s->address,
                                        .meta = s->meta,
                                        .port = s->port,
                                        .enable_tag_override = s->enable_tag_override,
                                        .modify_index = s->modify_index};
    to->service.weights = s->weights != NULL ? s->weights : ARENA_NEW(&r->arena, struct weights);
    op->service = to;
    w->writes |= !str_is(from->verb, "get");
}

static void add_check(struct http_request *r, struct work *w, const struct api_check_op *from,
                      struct txn_op *op) {
    struct txn_op_check *to = ARENA_NEW(&r->arena, struct txn_op_check);
    to->verb = from->verb;
    to->check = from->check;
    to->check.type = STR("");
    to->check.create_index = 0;
    op->check = to;
    w->writes |= !str_is(from->verb, "get");
}

/* False: answered. Empty operations are passed over and not counted. */
static bool convert(struct http_request *r, const struct list *from, struct work *w) {
    w->ops = LIST_NEW(&r->arena, struct txn_op *, from->len);
    w->ops.len = 0;
    for (uint32_t i = 0; i < from->len; i++) {
        const struct api_txn_op *in = LIST_AT(*from, struct api_txn_op *, i);
        struct txn_op *op = ARENA_NEW(&r->arena, struct txn_op);
        if (in == NULL) { /* the peer breaks here */
            http_answer_text(r, 400, STR("Failed to parse body: null is not an operation"));
            return false;
        }
        if (in->kv != NULL) {
            if (!add_kv(r, w, in->kv, op))
                return false;
        } else if (in->node != NULL) {
            add_node(r, w, in->node, op);
        } else if (in->service != NULL) {
            add_service(r, w, in->service, op);
        } else if (in->check != NULL) {
            add_check(r, w, in->check, op);
        } else {
            continue;
        }
        LIST_AT(w->ops, struct txn_op *, w->ops.len++) = op;
    }
    return true;
}

/* ---- the answer ---- */

static void write_list(struct json_writer *w, const char *key, const struct list *list,
                       const struct shape *shape, bool null) {
    json_key(w, str_from(key));
    if (null)
        json_null(w);
    else
        http_write_pointers(w, list, shape);
}

static void write_outcome(struct json_writer *w, const struct list *results,
                          const struct list *errors) {
    bool failed = errors->len > 0;
    write_list(w, "Results", results, &txn_result_shape, failed);
    write_list(w, "Errors", errors, &txn_error_shape, !failed);
}

static void wrote(struct http_request *r, struct answer *a) {
    const struct txn_response *reply = a->reply;
    struct json_writer *w = http_json_begin(r);
    json_open_object(w);
    write_outcome(w, &reply->results, &reply->errors);
    json_close_object(w);
    http_answer_json_written(r, reply->errors.len > 0 ? 409 : 200);
}

static void got(struct http_request *r, struct answer *a) {
    const struct txn_read_response *reply = a->reply;
    http_set_header(r, "X-Consul-Knownleader", a->meta.known_leader ? STR("true") : STR("false"));
    http_set_header(r, "X-Consul-Lastcontact",
                    str_format(&r->arena, "%lld", (long long)(a->meta.last_contact / 1000000)));
    struct json_writer *w = http_json_begin(r);
    json_open_object(w);
    write_outcome(w, &reply->results, &reply->errors);
    json_key(w, STR("Index"));
    json_u64(w, 0);
    json_key(w, STR("LastContact"));
    json_i64(w, a->meta.last_contact);
    json_key(w, STR("KnownLeader"));
    json_bool(w, a->meta.known_leader);
    json_key(w, STR("ConsistencyLevel"));
    json_str(w, STR(""));
    json_close_object(w);
    http_answer_json_written(r, reply->errors.len > 0 ? 409 : 200);
}

/* ---- the request ---- */

static void apply(struct http_request *r, const struct work *w) {
    struct txn_request *q = ARENA_NEW(&r->arena, struct txn_request);
    q->datacenter = http_datacenter(r);
    q->write.token = http_token(r);
    q->ops = w->ops;
    http_call(r, &endpoint_txn_apply, q, wrote);
}

static void query(struct http_request *r, const struct work *w) {
    struct txn_read_request *q = ARENA_NEW(&r->arena, struct txn_read_request);
    q->datacenter = http_datacenter(r);
    if (!http_read_options(r, &q->options))
        return;
    q->options.filter = STR("");
    q->ops = w->ops;
    http_call(r, &endpoint_txn_read, q, got);
}

static uint64_t body_limit(const struct http_request *r) {
    uint64_t a = r->config->limits.txn_max_req_len, b = r->config->limits.kv_max_value_size;
    return a > b ? a : b;
}

#define SEE " See https://www.consul.io/docs/agent/options.html#txn_max_req_len."

static void body_over(struct http_request *r) {
    http_answer_format(r, 413, "Request body too large, max size: %llu bytes." SEE,
                       (unsigned long long)body_limit(r));
}

static void txn_body(struct http_request *r) {
    struct value tree;
    struct list body = LIST_NIL;
    struct work work = {.writes = false};
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.go_type = "api.TxnOps"};
    if (!json_parse(r->body, &tree, NULL, &r->arena, &e) ||
        !schema_from_json_type(&tree, &api_txn_ops_type, &body, &options, &r->arena, &e)) {
        http_answer_format(r, 400, "Failed to parse body: " STR_FMT, STR_ARG(e.text));
        return;
    }
    if (body.len > MAX_OPERATIONS) {
        http_answer_format(r, 413, "Transaction contains too many operations (%u > %u)", body.len,
                           MAX_OPERATIONS);
        return;
    }
    if (!convert(r, &body, &work))
        return;
    if (work.writes)
        apply(r, &work);
    else
        query(r, &work);
}

static void txn(struct http_request *r) {
    uint64_t most = body_limit(r);
    if (r->content_length > 0 && (uint64_t)r->content_length > most) {
        http_answer_format(r, 413, "Request body(%lld bytes) too large, max size: %llu bytes." SEE,
                           (long long)r->content_length, (unsigned long long)most);
        return;
    }
    r->body_over = body_over;
    http_read_body(r, most, txn_body);
}

const struct http_route http_routes_txn[] = {
    {"/v1/txn", "PUT", txn, 0},
    {NULL, NULL, NULL, 0},
};
