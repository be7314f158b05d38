/* What a token may do, asked by other servers (ACL.Authorize, acl.md 10.6), and how far a secondary
 * datacenter is with the primary's objects (ACL.ReplicationStatus, 14.3).
 */
#include "server/acl_question.h"
#include "server/acl_replication.h"
#include "server/endpoint_acl.h"

static bool authorize_read(struct call_context *c, const void *request, void *reply,
                           struct error *e) {
    const struct acl_remote_authorization_request *r = request;
    return acl_questions_answer(c->may, &r->requests, c->arena, reply, e);
}

static bool replication_core(struct call_context *c, void *request, void *reply, struct error *e) {
    (void)request;
    (void)e;
    acl_replication_get_status(c->server->acl_replication, reply);
    return true;
}

const struct endpoint endpoint_acl_authorize = {
    .name = "ACL.Authorize",
    .kind = ENDPOINT_READ,
    .request = &acl_remote_authorization_request_shape,
    .reply_type = &acl_authorization_responses_type,
    .reply_size = sizeof(struct list),
    .datacenter = offsetof(struct acl_remote_authorization_request, datacenter),
    .options = offsetof(struct acl_remote_authorization_request, options),
    .meta = -1,
    .token = offsetof(struct acl_remote_authorization_request, options.token),
    .place = acl_place,
    .read = authorize_read,
};

const struct endpoint endpoint_acl_replication_status = {
    .name = "ACL.ReplicationStatus",
    .kind = ENDPOINT_CORE,
    .request = &dc_request_shape,
    ENDPOINT_REPLY(acl_replication_status),
    .datacenter = offsetof(struct dc_request, datacenter),
    .options = -1,
    .meta = -1,
    .token = -1,
    .core = replication_core,
};
