/* See acl_ask.h. */
#include "server/acl_ask.h"

#define ASK(wire, request_, reply_)                                                                \
    {                                                                                              \
        .name = (wire), .kind = ENDPOINT_READ, .request = &request_##_shape,                       \
        .reply = &reply_##_shape, .datacenter = offsetof(struct request_, datacenter),             \
        .options = offsetof(struct request_, options), .meta = offsetof(struct reply_, meta),      \
        .token = -1                                                                                \
    }

const struct endpoint ask_token_read =
    ASK("ACL.TokenRead", acl_token_get_request, acl_token_response);
const struct endpoint ask_policy_resolve =
    ASK("ACL.PolicyResolve", acl_policy_batch_get_request, acl_policy_batch_response);
const struct endpoint ask_role_resolve =
    ASK("ACL.RoleResolve", acl_role_batch_get_request, acl_role_batch_response);
const struct endpoint ask_policy_list =
    ASK("ACL.PolicyList", acl_policy_list_request, acl_policy_list_response);
const struct endpoint ask_role_list =
    ASK("ACL.RoleList", acl_role_list_request, acl_role_batch_response);
const struct endpoint ask_token_list =
    ASK("ACL.TokenList", acl_token_list_request, acl_token_list_response);
const struct endpoint ask_policy_batch =
    ASK("ACL.PolicyBatchRead", acl_policy_batch_get_request, acl_policy_batch_response);
const struct endpoint ask_token_batch =
    ASK("ACL.TokenBatchRead", acl_token_batch_get_request, acl_token_batch_response);
const struct endpoint ask_legacy_list = ASK("ACL.List", dc_request, indexed_acls);
const struct endpoint ask_legacy_get =
    ASK("ACL.GetPolicy", acl_policy_resolve_legacy_request, acl_policy_resolve_legacy_response);
