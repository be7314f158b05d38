/* What the leader checks and fills in before a registration becomes a log entry (fsm.md 3.3,
 * rpc.md 6.2, http-core.md 11.2), for Catalog.Register and for the catalog's operations in
 * transactions; and who may register and deregister what (acl.md 9.5).
 */
#include "codec/uuid.h"
#include "schema/service_rules.h"
#include "server/endpoint.h"
#include "server/permit.h"
#include "store/catalog.h"

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

/* ---- who may register (acl.md 9.5) ---- */

static bool changes_node(const struct register_request *r, const struct node *stored) {
    if (stored == NULL) {
        return true;
    }
    const struct node wanted = {.address = r->address,
                                .create_index = stored->create_index,
                                .datacenter = r->datacenter,
                                .id = r->id,
                                .meta = r->node_meta,
                                .modify_index = stored->modify_index,
                                .node = r->node,
                                .tagged_addresses = r->tagged_addresses};
    return !r->skip_node_update && !schema_equal(&node_shape, &wanted, stored);
}

static bool permit_service(const struct call_context *c, struct str name, struct error *e) {
    return permit(c, ACL_SERVICE, ACL_WRITE, name, e);
}

/* Also what a proxy stands for, and the service that an instance of that ID is of now, which it
 * would leave. */
static bool permit_instance(const struct call_context *c, const struct register_request *r,
                            struct error *e) {
    const struct node_service *s = r->service;
    if (s == NULL) {
        return true;
    }
    if (!permit_service(c, s->service, e) ||
        (str_is(s->kind, "connect-proxy") &&
         !permit_service(c, s->proxy.destination_service_name, e))) {
        return false;
    }
    const struct node_service *stored = catalog_service(c->store, r->node, s->id);
    return stored == NULL || permit_service(c, stored->service, e);
}

static bool permit_check(const struct call_context *c, const struct register_request *r,
                         const struct health_check *check, struct error *e) {
    if (!str_eq(check->node, r->node)) {
        return error_set(e, ERROR_INTERNAL,
                         "Node '" STR_FMT "' for check '" STR_FMT
                         "' doesn't match register request node '" STR_FMT "'",
                         STR_ARG(check->node), STR_ARG(check->check_id), STR_ARG(r->node));
    }
    if (check->service_id.len == 0) {
        return permit(c, ACL_NODE, ACL_WRITE, r->node, e);
    }
    if (r->service != NULL && str_eq(r->service->id, check->service_id)) {
        return true; /* permit_instance's */
    }
    const struct node_service *other = catalog_service(c->store, r->node, check->service_id);
    if (other == NULL || !str_eq(other->id, check->service_id)) { /* here letter cases differ */
        return error_set(e, ERROR_INTERNAL, "Unknown service '" STR_FMT "' for check '" STR_FMT "'",
                         STR_ARG(check->service_id), STR_ARG(check->check_id));
    }
    return permit_service(c, other->service, e);
}

static bool permit_register(const struct call_context *c, const struct register_request *r,
                            struct error *e) {
    if (c->may == NULL) {
        return true;
    }
    if (changes_node(r, catalog_node(c->store, r->node)) &&
        !permit(c, ACL_NODE, ACL_WRITE, r->node, e)) {
        return false;
    }
    if (!permit_instance(c, r, e)) {
        return false;
    }
    for (uint32_t i = 0; i < r->checks.len; i++) {
        if (!permit_check(c, r, LIST_AT(r->checks, struct health_check *, i), e)) {
            return false;
        }
    }
    return true;
}

/* Who may write the node may deregister all that is on it, others what is of their services. */
static bool permit_deregister(const struct call_context *c, const struct deregister_request *r,
                              struct error *e) {
    if (may(c, ACL_NODE, ACL_WRITE, r->node)) {
        return true;
    }
    if (r->service_id.len > 0) {
        const struct node_service *s = catalog_service(c->store, r->node, r->service_id);
        return s != NULL ? permit_service(c, s->service, e)
                         : error_set(e, ERROR_INTERNAL, "Unknown service '" STR_FMT "'",
                                     STR_ARG(r->service_id));
    }
    if (r->check_id.len > 0) {
        const struct health_check *check = catalog_check(c->store, r->node, r->check_id);
        if (check == NULL) {
            return error_set(e, ERROR_INTERNAL, "Unknown check '" STR_FMT "'",
                             STR_ARG(r->check_id));
        }
        if (check->service_id.len > 0) {
            return permit_service(c, check->service_name, e);
        }
    }
    return permit_deny(e);
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
    if (!permit_register(c, r, e)) {
        return false;
    }
    endpoint_entry(entry, ENTRY_REGISTER, &register_request_shape, r);
    return true;
}

static bool deregister_prepare(struct call_context *c, void *request, struct buf *entry,
                               struct error *e) {
    struct deregister_request *r = request;
    if (r->node.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide node");
    }
    if (!permit_deregister(c, r, e)) {
        return false;
    }
    endpoint_entry(entry, ENTRY_DEREGISTER, &deregister_request_shape, r);
    return true;
}

const struct endpoint endpoint_catalog_register = {
    ENDPOINT_WRITES("Catalog.Register", register_request),
    .metric = "catalog.register",
    ENDPOINT_REPLY(empty_struct),
    .prepare = register_prepare,
    .prepare_reads = true,
};

const struct endpoint endpoint_catalog_deregister = {
    ENDPOINT_WRITES("Catalog.Deregister", deregister_request),
    .metric = "catalog.deregister",
    ENDPOINT_REPLY(empty_struct),
    .prepare = deregister_prepare,
    .prepare_reads = true,
};
