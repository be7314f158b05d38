/* What the leader checks and fills in before a registration becomes a log entry (fsm.md 3.3,
 * rpc.md 6.2, http-core.md 11.2), for Catalog.Register and for the catalog's operations in
 * transactions.
 */
#include "codec/uuid.h"
#include "schema/service_rules.h"
#include "server/endpoint.h"

bool register_prepare_service(struct call_context *c, struct node_service *s, struct error *e) {
    if (!service_kind_validate(s, c->arena, e)) {
        return false;
    }
    if (s->id.len == 0) {
        s->id = s->service;
    }
    if (s->id.len > 0 && s->service.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide service name with ID");
    }
    if (str_is(s->address, "0.0.0.0") || str_is(s->address, "::") || str_is(s->address, "[::]")) {
        return error_set(e, ERROR_INTERNAL, "Invalid service address");
    }
    return true;
}

bool register_check_node(struct call_context *c, struct str node, struct str id, struct error *e) {
    (void)c;
    if (node.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide node");
    }
    uint8_t bytes[16];
    if (id.len > 0 && !uuid_parse(id, bytes, e)) {
        return error_prefix(e, "Bad node ID: ");
    }
    return true;
}

/* ---- checks ---- */

static struct str check_type_of(const struct health_check_definition *d) {
    if (d->grpc.len > 0 && d->interval > 0) {
        return STR("grpc");
    }
    if (d->http.len > 0 && d->interval > 0) {
        return STR("http");
    }
    if (d->ttl > 0) {
        return STR("ttl");
    }
    if (d->tcp.len > 0 && d->interval > 0) {
        return STR("tcp");
    }
    if (d->alias_node.len > 0 || d->alias_service.len > 0) {
        return STR("alias");
    }
    if (d->script_args.len > 0 && d->docker_container_id.len > 0 && d->interval > 0) {
        return STR("docker");
    }
    return d->script_args.len > 0 ? STR("script") : STR("");
}

/* Check goes to the end of Checks. */
static void checks_merge(struct call_context *c, struct register_request *r) {
    if (r->check == NULL) {
        return;
    }
    struct list all = LIST_NEW(c->arena, struct health_check *, r->checks.len + 1);
    for (uint32_t i = 0; i < r->checks.len; i++) {
        LIST_AT(all, struct health_check *, i) = LIST_AT(r->checks, struct health_check *, i);
    }
    LIST_AT(all, struct health_check *, r->checks.len) = r->check;
    r->checks = all;
    r->check = NULL;
}

static bool register_prepare(struct call_context *c, void *request, struct buf *entry,
                             struct error *e) {
    struct register_request *r = request;
    if (!register_check_node(c, r->node, r->id, e)) {
        return false;
    }
    if (r->address.len == 0 && !r->skip_node_update) {
        return error_set(e, ERROR_INTERNAL, "Must provide address if SkipNodeUpdate is not set");
    }
    if (r->service != NULL && !register_prepare_service(c, r->service, e)) {
        return false;
    }
    checks_merge(c, r);
    for (uint32_t i = 0; i < r->checks.len; i++) {
        struct health_check *check = LIST_AT(r->checks, struct health_check *, i);
        if (check == NULL) { /* the peer breaks here */
            return error_set(e, ERROR_BAD_REQUEST, "Bad request: Checks must not contain null");
        }
        check->node = check->node.len > 0 ? check->node : r->node;
        check->check_id = check->check_id.len > 0 ? check->check_id : check->name;
        check->type = check->type.len > 0 ? check->type : check_type_of(&check->definition);
    }
    endpoint_entry(entry, ENTRY_REGISTER, &register_request_shape, r);
    return true;
}

static bool deregister_prepare(struct call_context *c, void *request, struct buf *entry,
                               struct error *e) {
    (void)c;
    struct deregister_request *r = request;
    if (r->node.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide node");
    }
    endpoint_entry(entry, ENTRY_DEREGISTER, &deregister_request_shape, r);
    return true;
}

const struct endpoint endpoint_catalog_register = {
    ENDPOINT_WRITES("Catalog.Register", register_request),
    .metric = "catalog.register",
    ENDPOINT_REPLY(empty_struct),
    .prepare = register_prepare,
};

const struct endpoint endpoint_catalog_deregister = {
    ENDPOINT_WRITES("Catalog.Deregister", deregister_request),
    .metric = "catalog.deregister",
    ENDPOINT_REPLY(empty_struct),
    .prepare = deregister_prepare,
};
