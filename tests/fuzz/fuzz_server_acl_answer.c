/* What another server answers of tokens, policies and roles, made into rules, into a comparison and
 * into log entries. The first byte chooses the question.
 */
#include <stdint.h>

#include "base/mem.h"
#include "server/acl_replication_kind.h"
#include "server/acl_upgrade.h"
#include "server/authorize_legacy.h"
#include "server/server_room.h"

static struct server server = {.options = {.datacenter = STR_INIT("dc1")}};

static void ask_all(const struct authorizer *a) {
    for (int resource = 0; resource < ACL_RESOURCES; resource++) {
        authorizer_may(a, (enum acl_resource)resource, ACL_READ, STR("a"));
        authorizer_may(a, (enum acl_resource)resource, ACL_WRITE, STR(""));
    }
    authorizer_may_operator(a, ACL_READ);
    authorizer_may_intention(a, ACL_READ, STR("*"));
    authorizer_release(a);
}

static void compile(const struct acl_token *token, const struct list *policies,
                    const struct list *roles, struct error *e) {
    struct token_grants grants = {.token = token, .policies = *policies, .roles = *roles};
    const struct authorizer *a = authorize_compile(&server, &grants, e);
    ASSERT((a == NULL) == error_is_set(e));
    if (a != NULL) {
        ask_all(a);
    }
}

/* Without what is nil, as whoever resolves a token does. */
static struct list objects(const struct list *all, struct arena *arena) {
    struct list kept = LIST_NEW(arena, const void *, all->len);
    kept.len = 0;
    for (uint32_t i = 0; i < all->len; i++) {
        const void *object = LIST_AT(*all, const void *, i);
        if (object != NULL)
            LIST_AT(kept, const void *, kept.len++) = object;
    }
    return kept;
}

static void grants(struct str bytes, struct arena *arena, int what) {
    struct error e = ERROR_IN(arena);
    struct acl_token none = {.secret_id = STR("s")};
    struct list nothing = LIST_NIL;
    if (what == 0) {
        struct acl_token_response reply;
        if (schema_decode_bytes(bytes, &acl_token_response_shape, &reply, arena, &e) &&
            reply.token != NULL) {
            compile(reply.token, &nothing, &nothing, &e);
            acl_upgrade_token(reply.token, STR("12345678-0000-0000-0000-000000000000"), arena);
        }
    } else if (what == 1) {
        struct acl_policy_batch_response reply;
        if (schema_decode_bytes(bytes, &acl_policy_batch_response_shape, &reply, arena, &e)) {
            struct list policies = objects(&reply.policies, arena);
            compile(&none, &policies, &nothing, &e);
        }
    } else if (what == 2) {
        struct acl_role_batch_response reply;
        if (schema_decode_bytes(bytes, &acl_role_batch_response_shape, &reply, arena, &e)) {
            struct list roles = objects(&reply.roles, arena);
            compile(&none, &nothing, &roles, &e);
        }
    } else {
        struct acl_policy_resolve_legacy_response reply;
        if (schema_decode_bytes(bytes, &acl_policy_resolve_legacy_response_shape, &reply, arena,
                                &e)) {
            const struct authorizer *a = legacy_policy_authorizer(reply.policy, reply.parent, &e);
            ASSERT((a == NULL) == error_is_set(&e));
            if (a != NULL)
                ask_all(a);
        }
    }
}

static void entries(const struct replica_kind *kind, const struct list *all) {
    uint32_t done = 0;
    while (done < all->len) {
        size_t size;
        uint32_t count = replica_batch(all, done, kind->size_of, &size);
        ASSERT(count > 0);
        count = kind->one_by_one ? 1 : count;
        struct list part = {&LIST_AT(*all, const void *, done), count, true};
        struct buf out = BUF_INIT;
        kind->encode_updates(&out, &part);
        ASSERT(out.len > 0);
        buf_free(&out);
        done += count;
    }
}

static void replicate(struct str bytes, struct arena *arena, const struct replica_kind *kind) {
    struct error e = ERROR_IN(arena);
    void *reply = arena_zalloc(arena, 1, kind->list->reply->size);
    struct list local = LIST_NIL, remote;
    struct replica_diff diff;
    if (schema_decode_bytes(bytes, kind->list->reply, reply, arena, &e)) {
        kind->list_remote(reply, &remote, arena);
        replica_diff(&local, &remote, 0, arena, &diff);
        ASSERT(diff.updates.len + diff.skipped_remote == remote.len);
        if (kind->fetch == NULL) {
            struct list all = LIST_NEW(arena, const void *, diff.updates.len);
            for (uint32_t i = 0; i < all.len; i++)
                LIST_AT(all, const void *, i) = LIST_AT(diff.updates, struct replica, i).object;
            entries(kind, &all);
        }
    }
    error_clear(&e);
    if (kind->fetch != NULL) {
        struct list all = LIST_NIL;
        reply = arena_zalloc(arena, 1, kind->fetch->reply->size);
        if (schema_decode_bytes(bytes, kind->fetch->reply, reply, arena, &e) &&
            kind->take_fetched(reply, &all, arena, &e)) {
            entries(kind, &all);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct arena arena = ARENA_INIT;
    struct str bytes = str_of(data + 1, size - 1);
    int what = data[0] % (4 + REPLICA_KINDS);
    if (what < 4) {
        grants(bytes, &arena, what);
    } else {
        replicate(bytes, &arena, &replica_kinds[what - 4]);
    }
    arena_free(&arena);
    return 0;
}
