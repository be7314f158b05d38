/* See acl_replication_kind.h. */
#include "server/acl_replication_kind.h"

#include "base/mem.h"
#include "schema/entries.h"
#include "store/acl.h"

/* ---- shared ---- */

#define EACH(list, type, item)                                                                     \
    for (uint32_t i_ = 0; i_ < (list).len; i_++)                                                   \
        for (type item = LIST_AT(list, type, i_); item != NULL; item = NULL)

static struct list replicas(struct arena *arena, uint32_t most) {
    struct list all = LIST_NEW(arena, struct replica, most);
    all.len = 0;
    return all;
}

static void add(struct list *out, struct str id, struct str hash, uint64_t modify_index,
                const void *object) {
    LIST_AT(*out, struct replica, out->len++) = (struct replica){id, hash, modify_index, object};
}

static void encode(struct buf *out, enum entry_type type, const struct shape *shape,
                   const void *request) {
    buf_add_char(out, (char)type);
    schema_encode(out, shape, request);
}

/* nil items are no objects. */
static struct list objects_of(const struct list *pointers, struct arena *arena) {
    struct list all = LIST_NEW(arena, const void *, pointers->len);
    all.len = 0;
    EACH(*pointers, const void *, p) {
        LIST_AT(all, const void *, all.len++) = p;
    }
    return all;
}

/* ---- policies ---- */

static void policies_ask(struct replica_request *request, const struct replica_asked *a) {
    request->policies = (struct acl_policy_list_request){a->datacenter, a->options};
}

static void policies_ask_batch(struct replica_request *request, const struct replica_asked *a) {
    request->policy_batch =
        (struct acl_policy_batch_get_request){a->datacenter, a->ids, a->options};
}

static void policies_local(struct store_read *r, struct list *out) {
    struct list all;
    acl_policy_list(r, &all);
    *out = replicas(r->arena, all.len);
    EACH(all, const struct acl_policy *, p) {
        add(out, p->id, p->hash, p->modify_index, p);
    }
}

static void policies_remote(const void *reply, struct list *out, struct arena *arena) {
    const struct acl_policy_list_response *told = reply;
    *out = replicas(arena, told->policies.len);
    EACH(told->policies, const struct acl_policy_list_stub *, p) {
        add(out, p->id, p->hash, p->modify_index, p);
    }
}

static bool policies_take(const void *reply, struct list *out, struct arena *arena,
                          struct error *e) {
    (void)e;
    *out = objects_of(&((const struct acl_policy_batch_response *)reply)->policies, arena);
    return true;
}

static size_t policy_size(const void *object) {
    return replica_policy_size(object);
}

static void policies_delete(struct buf *out, const struct list *ids) {
    struct acl_policy_batch_delete_request request = {.policy_ids = *ids};
    encode(out, ENTRY_ACL_POLICY_DELETE, &acl_policy_batch_delete_request_shape, &request);
}

static void policies_set(struct buf *out, const struct list *objects) {
    struct acl_policy_batch_set_request request = {.policies = *objects};
    encode(out, ENTRY_ACL_POLICY_SET, &acl_policy_batch_set_request_shape, &request);
}

static void policies_index(struct acl_replication_status *status, uint64_t index) {
    status->replicated_index = index;
}

/* ---- roles ---- */

static void roles_ask(struct replica_request *request, const struct replica_asked *a) {
    request->roles =
        (struct acl_role_list_request){.datacenter = a->datacenter, .options = a->options};
}

static struct list replicas_of_roles(const struct list *roles, struct arena *arena) {
    struct list out = replicas(arena, roles->len);
    EACH(*roles, const struct acl_role *, role) {
        add(&out, role->id, role->hash, role->modify_index, role);
    }
    return out;
}

static void roles_local(struct store_read *r, struct list *out) {
    struct list all;
    acl_role_list(r, STR_NONE, &all);
    *out = replicas_of_roles(&all, r->arena);
}

static void roles_remote(const void *reply, struct list *out, struct arena *arena) {
    *out = replicas_of_roles(&((const struct acl_role_batch_response *)reply)->roles, arena);
}

static size_t role_size(const void *object) {
    return replica_role_size(object);
}

static void roles_delete(struct buf *out, const struct list *ids) {
    struct acl_role_batch_delete_request request = {.role_ids = *ids};
    encode(out, ENTRY_ACL_ROLE_DELETE, &acl_role_batch_delete_request_shape, &request);
}

static void roles_set(struct buf *out, const struct list *objects) {
    struct acl_role_batch_set_request request = {.allow_missing_links = true, .roles = *objects};
    encode(out, ENTRY_ACL_ROLE_SET, &acl_role_batch_set_request_shape, &request);
}

static void roles_index(struct acl_replication_status *status, uint64_t index) {
    status->replicated_role_index = index;
}

/* ---- tokens: global ones ---- */

static void tokens_ask(struct replica_request *request, const struct replica_asked *a) {
    request->tokens = (struct acl_token_list_request){
        .datacenter = a->datacenter, .include_global = true, .options = a->options};
}

static void tokens_ask_batch(struct replica_request *request, const struct replica_asked *a) {
    request->token_batch = (struct acl_token_batch_get_request){a->ids, a->datacenter, a->options};
}

static void tokens_local(struct store_read *r, struct list *out) {
    struct acl_token_filter filter = {.global = true};
    struct list all;
    acl_token_list(r, &filter, &all);
    *out = replicas(r->arena, all.len);
    EACH(all, const struct acl_token *, t) {
        add(out, t->accessor_id, t->hash, t->modify_index, t);
    }
}

static void tokens_remote(const void *reply, struct list *out, struct arena *arena) {
    const struct acl_token_list_response *told = reply;
    *out = replicas(arena, told->tokens.len);
    EACH(told->tokens, const struct acl_token_list_stub *, t) {
        add(out, t->accessor_id, t->hash, t->modify_index, t);
    }
}

static bool tokens_take(const void *reply, struct list *out, struct arena *arena, struct error *e) {
    const struct acl_token_batch_response *told = reply;
    if (told->redacted) {
        return error_set(e, ERROR_DENIED,
                         "failed to retrieve unredacted tokens - replication token in use does not "
                         "grant acl:write");
    }
    *out = objects_of(&told->tokens, arena);
    return true;
}

static size_t token_size(const void *object) {
    return replica_token_size(object);
}

static void tokens_delete(struct buf *out, const struct list *ids) {
    struct acl_token_batch_delete_request request = {.token_ids = *ids};
    encode(out, ENTRY_ACL_TOKEN_DELETE, &acl_token_batch_delete_request_shape, &request);
}

static void tokens_set(struct buf *out, const struct list *objects) {
    struct acl_token_batch_set_request request = {
        .allow_missing_links = true, .from_replication = true, .tokens = *objects};
    encode(out, ENTRY_ACL_TOKEN_SET, &acl_token_batch_set_request_shape, &request);
}

static void tokens_index(struct acl_replication_status *status, uint64_t index) {
    status->replicated_token_index = index;
}

/* ---- tokens of the old kind ---- */

static void legacy_ask(struct replica_request *request, const struct replica_asked *a) {
    request->legacy = (struct dc_request){.datacenter = a->datacenter, .options = a->options};
}

/* There are no hashes: the content stands for it. */
static struct str legacy_content(const struct legacy_acl *acl, struct arena *arena) {
    struct legacy_acl content = *acl;
    struct buf out = BUF_INIT;
    content.create_index = content.modify_index = 0;
    schema_encode(&out, &legacy_acl_shape, &content);
    struct str copy = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

static void legacy_local(struct store_read *r, struct list *out) {
    struct acl_token_filter filter = {.global = true};
    struct list all;
    acl_token_list(r, &filter, &all);
    *out = replicas(r->arena, all.len);
    EACH(all, const struct acl_token *, t) {
        if (t->type.len > 0) {
            struct legacy_acl acl = {
                .id = t->secret_id, .name = t->description, .rules = t->rules, .type = t->type};
            add(out, t->secret_id, legacy_content(&acl, r->arena), t->modify_index, NULL);
        }
    }
}

static void legacy_remote(const void *reply, struct list *out, struct arena *arena) {
    const struct indexed_acls *told = reply;
    *out = replicas(arena, told->acls.len);
    EACH(told->acls, const struct legacy_acl *, acl) {
        add(out, acl->id, legacy_content(acl, arena), acl->modify_index, acl);
    }
}

static size_t legacy_size(const void *object) {
    const struct legacy_acl *acl = object;
    return acl->id.len + acl->name.len + acl->rules.len + acl->type.len;
}

static void legacy_delete(struct buf *out, const struct list *ids) {
    struct legacy_acl_request request = {.op = STR("delete"),
                                         .acl = {.id = LIST_AT(*ids, struct str, 0)}};
    ASSERT(ids->len == 1);
    encode(out, ENTRY_LEGACY_ACL, &legacy_acl_request_shape, &request);
}

static void legacy_set(struct buf *out, const struct list *objects) {
    struct legacy_acl_request request = {.op = STR("force-set"),
                                         .acl = *LIST_AT(*objects, const struct legacy_acl *, 0)};
    ASSERT(objects->len == 1);
    encode(out, ENTRY_LEGACY_ACL, &legacy_acl_request_shape, &request);
}

/* ---- the table ---- */

#define ACL_TEXTS(type, Type)                                                                      \
    .logger = "agent.server.replication.acl." type, .routine = "ACL " type " replication",         \
    .started = "started ACL " Type " replication",                                                 \
    .started_by = "agent.server.replication.acl." type,                                            \
    .failed = "ACL replication error (will retry if still leader)",                                \
    .completed = "ACL replication completed through remote index",                                 \
    .fetch_failed = "failed to retrieve ACL " type " updates: ",                                   \
    .metric_fetch = "leader.replication.acl." type ".fetch",                                       \
    .metric_apply = "leader.replication.acl." type ".apply"
#define PLURAL_TEXTS(types)                                                                        \
    .list_failed = "failed to retrieve remote ACL " types ": ",                                    \
    .delete_failed = "failed to delete local ACL " types ": ",                                     \
    .update_failed = "failed to update local ACL " types ": "

const struct replica_kind replica_kinds[REPLICA_KINDS] = {
    [REPLICA_POLICIES] = {ACL_TEXTS("policy", "Policy"), PLURAL_TEXTS("policies"),
                          .list = &ask_policy_list, .fetch = &ask_policy_batch,
                          .ask_list = policies_ask, .ask_fetch = policies_ask_batch,
                          .list_local = policies_local, .list_remote = policies_remote,
                          .take_fetched = policies_take, .size_of = policy_size,
                          .encode_deletions = policies_delete, .encode_updates = policies_set,
                          .set_index = policies_index},
    [REPLICA_ROLES] = {ACL_TEXTS("role", "Role"), PLURAL_TEXTS("roles"), .list = &ask_role_list,
                       .ask_list = roles_ask, .list_local = roles_local,
                       .list_remote = roles_remote, .size_of = role_size,
                       .encode_deletions = roles_delete, .encode_updates = roles_set,
                       .set_index = roles_index},
    [REPLICA_TOKENS] = {ACL_TEXTS("token", "Token"), PLURAL_TEXTS("tokens"), .skips = true,
                        .list = &ask_token_list, .fetch = &ask_token_batch, .ask_list = tokens_ask,
                        .ask_fetch = tokens_ask_batch, .list_local = tokens_local,
                        .list_remote = tokens_remote, .take_fetched = tokens_take,
                        .size_of = token_size, .encode_deletions = tokens_delete,
                        .encode_updates = tokens_set, .set_index = tokens_index},
    [REPLICA_LEGACY] = {.logger = "agent.server.replication.acl.legacy",
                        .routine = "legacy ACL replication",
                        .started = "started legacy ACL replication",
                        .started_by = "agent.server",
                        .failed = "Legacy ACL replication error (will retry if still leader)",
                        .completed = "Legacy ACL replication completed through remote index",
                        .list_failed = "failed to retrieve remote ACLs: ",
                        .delete_failed = "failed to sync ACL changes: ",
                        .update_failed = "failed to sync ACL changes: ",
                        .metric_fetch = "leader.fetchRemoteACLs",
                        .metric_apply = "leader.updateLocalACLs",
                        .one_by_one = true,
                        .list = &ask_legacy_list,
                        .ask_list = legacy_ask,
                        .list_local = legacy_local,
                        .list_remote = legacy_remote,
                        .size_of = legacy_size,
                        .encode_deletions = legacy_delete,
                        .encode_updates = legacy_set,
                        .set_index = policies_index},
};
