/* See permit.h. */
#include "server/permit.h"

bool permit_deny(struct error *e) {
    return error_set(e, ERROR_DENIED, "Permission denied");
}

bool may(const struct call_context *c, enum acl_resource resource, enum acl_access access,
         struct str name) {
    return authorizer_may(c->may, resource, access, name);
}

bool permit(const struct call_context *c, enum acl_resource resource, enum acl_access access,
            struct str name, struct error *e) {
    return may(c, resource, access, name) || permit_deny(e);
}

bool permit_operator(const struct call_context *c, enum acl_access access, struct error *e) {
    return authorizer_may_operator(c->may, access) || permit_deny(e);
}

bool permit_look(struct call_context *c, struct str service) {
    c->unlooked = !may(c, ACL_SERVICE, ACL_READ, service);
    return !c->unlooked;
}

bool permit_acl(const struct call_context *c, enum acl_access access, struct error *e) {
    return authorizer_may_acl(c->may, access) || permit_deny(e);
}
