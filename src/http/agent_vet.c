/* Who may change what of the agent's own services and checks (acl.md 9.1). On the core, after
 * http_authorize; without access control everything may be done.
 */
#include "http/agent_work.h"
#include "http/authorize.h"

static bool missing(const char *right, struct str name, struct error *e) {
    return error_set(e, ERROR_DENIED, "Permission denied: Missing %s on " STR_FMT, right,
                     STR_ARG(name));
}

static bool may_write_service(const struct authorizer *may, struct str name, struct error *e) {
    return authorizer_may(may, ACL_SERVICE, ACL_WRITE, name) || missing("service:write", name, e);
}

static bool may_write_check(const struct agent_work *w, struct str service_name, struct error *e) {
    if (service_name.len > 0)
        return may_write_service(http_may(w->r), service_name, e);
    struct str node = w->r->config->node_name;
    return authorizer_may(http_may(w->r), ACL_NODE, ACL_WRITE, node) ||
           missing("node:write", node, e);
}

bool agent_vet_register(const struct agent_work *w, const struct service_definition *d,
                        const struct authorizer *may, struct error *e) {
    const struct local_service *old = local_service_find(w->local, d->id.len > 0 ? d->id : d->name);
    return may_write_service(may, d->name, e) &&
           (old == NULL || authorizer_may(may, ACL_SERVICE, ACL_WRITE, old->service.service) ||
            missing("service:write", d->name, e)) && /* sic: not the name that is missing */
           (!str_is(d->kind, "connect-proxy") || d->proxy == NULL ||
            may_write_service(may, d->proxy->destination_service_name, e));
}

bool agent_vet_service(const struct agent_work *w, struct str id, struct error *e) {
    const struct local_service *s = local_service_find(w->local, id);
    if (http_may(w->r) == NULL)
        return true;
    if (s == NULL)
        return error_set(e, ERROR_INTERNAL, "Unknown service {" STR_FMT " {}}",
                         STR_ARG(str_quote(&w->r->arena, id)));
    return may_write_service(http_may(w->r), s->service.service, e);
}

bool agent_vet_check_register(const struct agent_work *w, struct str id, struct str service_id,
                              struct error *e) {
    const struct local_service *s = local_service_find(w->local, service_id);
    const struct local_check *old = local_check_find(w->local, id);
    return may_write_check(w, s != NULL ? s->service.service : STR(""), e) &&
           (old == NULL || may_write_check(w, old->check.service_name, e));
}

bool agent_vet_check(const struct agent_work *w, struct str id, struct error *e) {
    const struct local_check *c = local_check_find(w->local, id);
    if (http_may(w->r) == NULL)
        return true;
    if (c == NULL)
        return error_set(e, ERROR_INTERNAL, "Unknown check " STR_FMT,
                         STR_ARG(str_quote(&w->r->arena, id)));
    return may_write_check(w, c->check.service_name, e);
}
