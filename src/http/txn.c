/* /v1/txn: http-core.md 11.6. The body has shapes of its own, which are not those of the protocol:
 * here they are read and turned into the protocol's operations.
 */
#include "http/records.h"
#include "http/room.h"
#include "schema/table.h"

#define MAX_OPERATIONS 64

/* ---- the body ---- */

struct api_kv {
    struct str verb, key, value, session, namespace;
    uint64_t flags, index;
};
struct api_node {
    struct str verb;
    struct node node;
};
struct api_connect {
    bool native;
    struct service_definition *sidecar_service;
};
struct api_service {
    struct node_service s;
    struct weights weights;
    struct list tagged_addresses;
    struct connect_proxy_config *proxy;
    struct api_connect *connect;
    struct str content_hash, namespace;
};
struct api_service_op {
    struct str verb, node;
    struct api_service service;
};
/* Intervals come under either name. */
struct api_definition {
    struct health_check_definition d;
    int64_t interval_duration, timeout_duration, deregister_duration;
};
struct api_check {
    struct health_check c;
    struct api_definition definition;
    struct str namespace;
};
struct api_check_op {
    struct str verb;
    struct api_check check;
};
struct api_op {
    struct api_kv *kv;
    struct api_node *node;
    struct api_service_op *service;
    struct api_check_op *check;
};

#define OF struct api_kv
static const struct field api_kv_fields[] = {
    F_STR("Verb", verb, .go = "api.KVOp"),
    F_STR("Key", key),
    F_BYTES("Value", value),
    F_UINT("Flags", flags),
    F_UINT("Index", index),
    F_STR("Session", session),
    F_STR("Namespace", namespace),
};
#undef OF
SHAPE(api_kv, "KVTxnOp", .go = "api.KVTxnOp");

#define OF struct node
static const struct field api_node_record_fields[] = {
    F_STR("ID", id),
    F_STR("Node", node),
    F_STR("Address", address),
    F_STR("Datacenter", datacenter),
    F_MAP("TaggedAddresses", tagged_addresses, OF_STR),
    F_MAP("Meta", meta, OF_STR),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
static struct shape_cache api_node_record_cache;
static const struct shape api_node_record_shape = {.name = "Node",
                                                   .size = sizeof(struct node),
                                                   .fields = api_node_record_fields,
                                                   .field_count = COUNT_OF(api_node_record_fields),
                                                   .cache = &api_node_record_cache,
                                                   .go = "api.Node"};

#define OF struct api_node
static const struct field api_node_fields[] = {
    F_STR("Verb", verb, .go = "api.NodeOp"),
    {.name = "Node",
     .type = {KIND_STRUCT, &api_node_record_shape, NULL},
     .offset = offsetof(struct api_node, node)},
};
#undef OF
SHAPE(api_node, "NodeTxnOp", .go = "api.NodeTxnOp");

#define OF struct api_connect
static const struct field api_connect_fields[] = {
    F_BOOL("Native", native),
    F_PTR("SidecarService", sidecar_service, service_definition),
};
#undef OF
SHAPE(api_connect, "AgentServiceConnect", .go = "api.AgentServiceConnect");

#define OF struct api_service
static const struct field api_service_fields[] = {
    F_STR("Kind", s.kind, .go = "api.ServiceKind"),
    F_STR("ID", s.id),
    F_STR("Service", s.service),
    F_LIST("Tags", s.tags, OF_STR),
    F_MAP("Meta", s.meta, OF_STR),
    F_INT("Port", s.port),
    F_STR("Address", s.address),
    F_MAP("TaggedAddresses", tagged_addresses, OF_STRUCT(service_address)),
    F_STRUCT("Weights", weights, weights, .go = "api.AgentWeights"),
    F_BOOL("EnableTagOverride", s.enable_tag_override),
    F_UINT("CreateIndex", s.create_index),
    F_UINT("ModifyIndex", s.modify_index),
    F_STR("ContentHash", content_hash),
    F_PTR("Proxy", proxy, connect_proxy_config),
    F_PTR("Connect", connect, api_connect),
    F_STR("Namespace", namespace),
};
#undef OF
SHAPE(api_service, "AgentService", .go = "api.AgentService");

#define OF struct api_service_op
static const struct field api_service_op_fields[] = {
    F_STR("Verb", verb, .go = "api.ServiceOp"),
    F_STR("Node", node),
    F_STRUCT("Service", service, api_service),
};
#undef OF
SHAPE(api_service_op, "ServiceTxnOp", .go = "api.ServiceTxnOp");

#define READABLE .flags = FIELD_DUR_READABLE
#define OF struct api_definition
static const struct field api_definition_fields[] = {
    F_STR("HTTP", d.http),
    F_MAP("Header", d.header, OF_LIST(OF_STR)),
    F_STR("Method", d.method),
    F_STR("Body", d.body),
    F_BOOL("TLSSkipVerify", d.tls_skip_verify),
    F_STR("TCP", d.tcp),
    F_DUR("IntervalDuration", interval_duration, .flags = FIELD_DUR_ANY),
    F_DUR("TimeoutDuration", timeout_duration, .flags = FIELD_DUR_ANY),
    F_DUR("DeregisterCriticalServiceAfterDuration", deregister_duration, .flags = FIELD_DUR_ANY),
    F_DUR("Interval", d.interval, READABLE),
    F_DUR("Timeout", d.timeout, READABLE),
    F_DUR("DeregisterCriticalServiceAfter", d.deregister_critical_service_after, READABLE),
};
#undef OF
SHAPE(api_definition, "HealthCheckDefinition", .flags = SHAPE_OWN_JSON | SHAPE_LENIENT,
      .go = "struct { IntervalDuration interface {}; TimeoutDuration interface {}; "
            "DeregisterCriticalServiceAfterDuration interface {}; *api.Alias }");

#define OF struct api_check
static const struct field api_check_fields[] = {
    F_STR("Node", c.node),
    F_STR("CheckID", c.check_id),
    F_STR("Name", c.name),
    F_STR("Status", c.status),
    F_STR("Notes", c.notes),
    F_STR("Output", c.output),
    F_STR("ServiceID", c.service_id),
    F_STR("ServiceName", c.service_name),
    F_LIST("ServiceTags", c.service_tags, OF_STR),
    F_STR("Type", c.type),
    F_STR("Namespace", namespace),
    F_STRUCT("Definition", definition, api_definition),
    F_UINT("CreateIndex", c.create_index),
    F_UINT("ModifyIndex", c.modify_index),
};
#undef OF
SHAPE(api_check, "HealthCheck", .go = "api.HealthCheck");

#define OF struct api_check_op
static const struct field api_check_op_fields[] = {
    F_STR("Verb", verb, .go = "api.CheckOp"),
    F_STRUCT("Check", check, api_check),
};
#undef OF
SHAPE(api_check_op, "CheckTxnOp", .go = "api.CheckTxnOp");

#define OF struct api_op
static const struct field api_op_fields[] = {
    F_PTR("KV", kv, api_kv),
    F_PTR("Node", node, api_node),
    F_PTR("Service", service, api_service_op),
    F_PTR("Check", check, api_check_op),
};
#undef OF
SHAPE(api_op, "TxnOp", .go = "api.TxnOp");

static const struct type api_op_type = {KIND_PTR, &api_op_shape, NULL};
static const struct type api_ops_type = {KIND_LIST, NULL, &api_op_type};

/* ---- to operations ---- */

struct work {
    struct list ops; /* of struct txn_op * */
    bool writes;
};

/* False: answered. */
static bool add_kv(struct http_request *r, struct work *w, const struct api_kv *from,
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

static void add_node(struct http_request *r, struct work *w, const struct api_node *from,
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
    const struct node_service *s = &from->service.s;
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
    to->service.weights = ARENA_NEW(&r->arena, struct weights);
    *to->service.weights = from->service.weights;
    op->service = to;
    w->writes |= !str_is(from->verb, "get");
}

static void add_check(struct http_request *r, struct work *w, const struct api_check_op *from,
                      struct txn_op *op) {
    struct txn_op_check *to = ARENA_NEW(&r->arena, struct txn_op_check);
    const struct api_definition *d = &from->check.definition;
    to->verb = from->verb;
    to->check = from->check.c;
    to->check.type = STR("");
    to->check.create_index = 0;
    to->check.definition = d->d;
    if (d->interval_duration != 0)
        to->check.definition.interval = d->interval_duration;
    if (d->timeout_duration != 0)
        to->check.definition.timeout = d->timeout_duration;
    if (d->deregister_duration != 0)
        to->check.definition.deregister_critical_service_after = d->deregister_duration;
    op->check = to;
    w->writes |= !str_is(from->verb, "get");
}

/* False: answered. Empty operations are passed over and not counted. */
static bool convert(struct http_request *r, const struct list *from, struct work *w) {
    w->ops = LIST_NEW(&r->arena, struct txn_op *, from->len);
    w->ops.len = 0;
    for (uint32_t i = 0; i < from->len; i++) {
        const struct api_op *in = LIST_AT(*from, struct api_op *, i);
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
        !schema_from_json_type(&tree, &api_ops_type, &body, &options, &r->arena, &e)) {
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
