/* /v1/connect/ca and /v1/agent/connect: the certificate authority, what agents hold of it, and what
 * they say of a connection (connect.md 2.3, 3.3, 3.10; agent.md 1.14).
 */
#include "base/time.h"
#include "http/agent_work.h"
#include "http/authorize.h"
#include "http/records.h"
#include "http/room.h"
#include "schema/table.h"
#include "server/connect_authorize.h"
#include "server/leaf.h"

static void refuse(struct http_request *r, enum error_kind kind, const char *text) {
    struct error e = ERROR_IN(&r->arena);
    error_set(&e, kind, "%s", text);
    http_answer_error(r, &e);
}

static struct dc_request *question(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    q->datacenter = http_datacenter(r);
    if (!http_read_options(r, &q->options))
        return NULL;
    q->options.filter = STR("");
    return q;
}

/* ---- roots ---- */

static void write_roots(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    schema_write_json(w, &indexed_ca_roots_shape, reply);
}

/* All roots and what leads to them, one behind the other. */
static void roots_as_pem(struct http_request *r, struct answer *a) {
    const struct indexed_ca_roots *reply = a->reply;
    struct buf out = BUF_INIT;
    for (uint32_t i = 0; i < reply->roots.len; i++) {
        const struct ca_root *root = LIST_AT(reply->roots, struct ca_root *, i);
        if (root == NULL)
            continue;
        buf_add_str(&out, root->root_cert);
        for (uint32_t j = 0; j < root->intermediate_certs.len; j++)
            buf_add_str(&out, LIST_AT(root->intermediate_certs, struct str, j));
    }
    http_answer_bytes(r, 200, "application/pem-certificate-chain", buf_str(&out), false);
    buf_free(&out);
}

static void ca_roots(struct http_request *r) {
    struct dc_request *q = question(r);
    struct str pem = http_param(r, "pem");
    bool as_pem = false;
    if (q == NULL)
        return;
    if (pem.len > 0 && !str_to_bool(pem, &as_pem))
        refuse(r, ERROR_BAD_REQUEST,
               "Bad request: The 'pem' query parameter must be a boolean value");
    else if (as_pem)
        http_call(r, &endpoint_connect_ca_roots, q, roots_as_pem);
    else
        http_call_json(r, &endpoint_connect_ca_roots, q, 0, write_roots);
}

/* Always by the agent's cache. */
static void agent_roots(struct http_request *r) {
    struct dc_request *q = question(r);
    if (q == NULL)
        return;
    q->options.use_cache = true;
    http_call_cached(r, &endpoint_connect_ca_roots, q, &q->options, HTTP_CACHE_REFRESHED, 0,
                     write_roots);
}

/* ---- the configuration ---- */

/* The body: also by the name that the peer once had for its last field. */
struct ca_body {
    bool force_old_name;
    struct ca_configuration config;
};

#define CA_BODY_TYPE                                                                               \
    "struct { ForceWithoutCrossSigningSnake bool \"json:\\\"force_without_cross_signing\\\"\"; "   \
    "*structs.Alias }"
#define OF struct ca_body
static const struct field ca_body_fields[] = {
    F_BOOL("force_without_cross_signing", force_old_name),
    F_STR("Provider", config.provider),
    F_ANY("Config", config.config, .flags = FIELD_MAP_ONLY),
    F_MAP("State", config.state, OF_STR),
    F_BOOL("ForceWithoutCrossSigning", config.force_without_cross_signing),
    F_UINT("CreateIndex", config.create_index),
    F_UINT("ModifyIndex", config.modify_index),
};
#undef OF
SHAPE(ca_body, "");

static void configuration_got(struct http_request *r, struct answer *a) {
    http_answer_json(r, 200, &ca_configuration_shape, a->reply);
}

static void configuration_set(struct http_request *r, struct answer *a) {
    (void)a;
    http_answer_empty(r, 200);
}

static void configuration_body(struct http_request *r) {
    struct ca_request *q = ARENA_NEW(&r->arena, struct ca_request);
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.go_type = CA_BODY_TYPE};
    struct ca_body *body = ARENA_NEW(&r->arena, struct ca_body);
    if (!http_body_from_json(r, &ca_body_shape, body, &options, &e)) {
        e.kind = ERROR_BAD_REQUEST;
        error_prefix(&e, "Bad request: Request decode failed: ");
        http_answer_error(r, &e);
        return;
    }
    body->config.force_without_cross_signing |= body->force_old_name;
    q->config = &body->config;
    q->datacenter = http_datacenter(r);
    q->write.token = http_token(r);
    http_call(r, &endpoint_connect_ca_configuration_set, q, configuration_set);
}

/* The kind of an error does not come back from another server: its text tells. */
static void configuration_failed(struct http_request *r, struct answer *a) {
    if (str_find(a->error.text, STR("Bad request: "), 0) >= 0)
        a->error.kind = ERROR_BAD_REQUEST;
    http_answer_error(r, &a->error);
}

static void ca_configuration(struct http_request *r) {
    if (http_method_is(r, "PUT")) {
        r->call_failed = configuration_failed;
        http_read_body(r, 0, configuration_body);
        return;
    }
    struct dc_request *q = question(r);
    if (q != NULL)
        http_call(r, &endpoint_connect_ca_configuration_get, q, configuration_got);
}

/* ---- leaves ---- */

/* Of the own datacenter. */
static void warm_roots(struct http_request *r, struct str token) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    q->options.token = token;
    http_cache_warm(r, &endpoint_connect_ca_roots, q, &q->options);
}

static void count_leaf(const struct http_request *r, bool fetched, bool hit) {
    static const char kind[] = "connect-ca-leaf";
    http_cache_count_ask(kind, hit, http_has_param(r, "index"));
    if (!hit)
        http_cache_count_fetch(kind, fetched);
}

static void leaf_came(void *owner, const struct issued_cert *cert, bool hit,
                      const struct error *e) {
    struct http_request *r = owner;
    r->state = NULL;
    r->gone = NULL;
    count_leaf(r, cert != NULL, hit);
    if (cert == NULL) {
        if (str_find(e->text, STR("Rate limit reached"), 0) >= 0)
            http_answer_text(r, 429, e->text);
        else
            http_answer_error(r, e);
        return;
    }
    http_set_header(r, "X-Consul-Index",
                    str_format(&r->arena, "%llu", (unsigned long long)cert->modify_index));
    http_set_header(r, "X-Cache", hit ? STR("HIT") : STR("MISS"));
    if (hit)
        http_set_header(r, "Age", STR("0"));
    http_answer_json(r, 200, &issued_cert_shape, cert);
}

static void leaf_given_up(struct http_request *r) {
    leaf_cancel(r->state);
    r->gone = NULL;
    http_answer_empty(r, 500);
}

struct leaf_question {
    struct leaf_wish wish;
    uint64_t min_index;
    int64_t max_time;
};

static void leaf_begin(struct http_request *r, const struct leaf_question *q) {
    r->gone = leaf_given_up;
    r->state = leaf_ask(r->server, &q->wish, q->min_index, q->max_time, leaf_came, r);
}

static void leaf_roots_known(struct http_request *r, struct answer *a) {
    const struct leaf_question *q = r->state;
    (void)a;
    if (q->wish.service.len == 0)
        http_answer_fault(r, 500, STR("URI must be either service or agent"));
    else
        leaf_begin(r, q);
}

/* What is wrong with the roots of the own datacenter is told before the name and ?dc are looked
 * at. */
static void agent_leaf(struct http_request *r) {
    struct dc_request *asked = http_check_namespace(r) ? question(r) : NULL;
    if (asked == NULL)
        return;
    struct leaf_question *q = ARENA_NEW(&r->arena, struct leaf_question);
    *q = (struct leaf_question){
        .wish = {.service = r->argument,
                 .token = asked->options.token,
                 .datacenter = asked->datacenter,
                 .spread = r->config->connect_test_ca_leaf_root_change_spread},
        .min_index = asked->options.min_query_index,
        .max_time = asked->options.max_query_time};
    warm_roots(r, STR(""));
    bool away = asked->datacenter.len > 0 && !str_eq(asked->datacenter, r->config->datacenter);
    if (r->argument.len > 0 && !away) {
        leaf_begin(r, q);
        return;
    }
    r->state = q;
    http_call(r, &endpoint_connect_ca_roots, ARENA_NEW(&r->arena, struct dc_request),
              leaf_roots_known);
}

/* ---- proxies of this agent ---- */

static void leaf_is_there(void *owner, const struct issued_cert *cert, bool hit,
                          const struct error *e) {
    (void)owner;
    (void)cert;
    (void)hit;
    (void)e;
}

void agent_proxy_registered(struct http_request *r, const struct service_definition *d) {
    bool sidecar = str_is(d->kind, "connect-proxy") && d->proxy != NULL &&
                   d->proxy->destination_service_name.len > 0;
    if (!sidecar && !str_has_suffix(d->kind, STR("-gateway")))
        return;
    warm_roots(r, d->token);
    if (!sidecar)
        return;
    struct str service = d->proxy->destination_service_name;
    struct leaf_wish wish = {.service = service,
                             .token = d->token,
                             .spread = r->config->connect_test_ca_leaf_root_change_spread,
                             .ahead = true};
    warm_roots(r, STR("")); /* of the leaf, without a token */
    leaf_ask(r->server, &wish, 0, 0, leaf_is_there, NULL);
    struct intention_query_request *q = connect_question(service, d->token, &r->arena);
    http_cache_warm(r, &endpoint_intention_match, q, &q->options);
}

/* ---- whether a connection may be ---- */

struct authorize_wish {
    struct str target;
    struct spiffe_id source;
};

static void decide(struct http_request *r, struct answer *a) {
    const struct authorize_wish *wish = r->state;
    struct connect_verdict verdict =
        connect_decide(a->reply, &wish->source, http_may(r) != NULL,
                       server_options(r->server)->acl.default_allow, &r->arena);
    struct json_writer *w = http_json_begin(r);
    json_open_object(w);
    json_key(w, STR("Authorized"));
    json_bool(w, verdict.allowed);
    json_key(w, STR("Reason"));
    json_str(w, verdict.reason);
    json_close_object(w);
    http_answer_json_written(r, 200);
}

static void authorize_permitted(struct http_request *r) {
    const struct authorize_wish *wish = r->state;
    if (!http_permit(r, ACL_SERVICE, ACL_WRITE, wish->target))
        return;
    struct intention_query_request *q = connect_question(wish->target, http_token(r), &r->arena);
    http_call_through_cache(r, &endpoint_intention_match, q, &q->options, decide);
}

/* What is wrong with the body is told to anybody. */
static void authorize_body(struct http_request *r) {
    struct connect_authorize_request *body = ARENA_NEW(&r->arena, struct connect_authorize_request);
    struct authorize_wish *wish = ARENA_NEW(&r->arena, struct authorize_wish);
    struct json_options options = {.go_type = "structs.ConnectAuthorizeRequest"};
    struct error e = ERROR_IN(&r->arena);
    if (!http_body_from_json(r, &connect_authorize_request_shape, body, &options, &e)) {
        error_prefix(&e, "Bad request: Request decode failed: ");
        http_answer_error(r, &e);
    } else if (body->target.len == 0) {
        refuse(r, ERROR_BAD_REQUEST, "Bad request: Target service must be specified");
    } else if (!connect_source(body->client_cert_uri, &wish->source, &r->arena, &e)) {
        http_answer_error(r, &e);
    } else {
        wish->target = body->target;
        r->state = wish;
        http_authorize(r, authorize_permitted);
    }
}

/* Of all other parameters only the token counts; whether the mesh is on does not. */
static void agent_authorize(struct http_request *r) {
    if (http_check_namespace(r))
        http_read_body(r, 0, authorize_body);
}

const struct http_route http_routes_connect[] = {
    {"/v1/connect/ca/roots", "GET", ca_roots, ROUTE_META},
    {"/v1/connect/ca/configuration", "GET,PUT", ca_configuration, 0},
    {"/v1/agent/connect/authorize", "POST", agent_authorize, 0},
    {"/v1/agent/connect/ca/roots", "GET", agent_roots, 0},
    {"/v1/agent/connect/ca/leaf/", "GET", agent_leaf, 0},
    {NULL, NULL, NULL, 0},
};
