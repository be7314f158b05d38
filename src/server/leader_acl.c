/* See leader_acl.h. */
#include "server/leader_acl.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "codec/uuid.h"
#include "schema/entries.h"
#include "schema/hash.h"
#include "server/membership.h"
#include "server/server_room.h"
#include "store/acl.h"

#define LOGGER "agent.server"

struct leader_acl {
    struct server *server;
    bool on;
};

/* ---- entries ---- */

static void propose(struct leader_acl *l, enum entry_type type, const struct shape *shape,
                    const void *request, const char *what,
                    void (*done)(struct server *s, void *owner, bool ok)) {
    struct buf entry = BUF_INIT;
    buf_add_char(&entry, (char)type);
    schema_encode(&entry, shape, request);
    server_propose(l->server, &entry, what, done, l);
}

static void policy_done(struct server *s, void *owner, bool ok) {
    (void)s;
    (void)owner;
    if (ok) {
        log_at(LOG_INFO, LOGGER, "Created ACL 'global-management' policy");
    }
}

/* Also when its rules were changed by an older version. Name and description are the operator's. */
static void management_policy(struct leader_acl *l, struct store_read *r) {
    struct acl_policy *stored = NULL;
    uint64_t index;
    struct error ignored = ERROR_IN(r->arena);
    acl_policy_by_id(r, STR(ACL_POLICY_GLOBAL_MANAGEMENT), &stored, &index, &ignored);
    if (stored != NULL && str_eq(stored->rules, acl_global_management_rules)) {
        return;
    }
    struct acl_policy policy = {
        .id = STR(ACL_POLICY_GLOBAL_MANAGEMENT),
        .name = stored != NULL ? stored->name : STR("global-management"),
        .description = stored != NULL ? stored->description
                                      : STR("Builtin Policy that grants unlimited access"),
        .rules = acl_global_management_rules,
    };
    policy.hash = acl_policy_hash(&policy, r->arena);
    struct acl_policy_batch_set_request request = {.policies =
                                                       LIST_NEW(r->arena, struct acl_policy *, 1)};
    LIST_AT(request.policies, struct acl_policy *, 0) = &policy;
    propose(l, ENTRY_ACL_POLICY_SET, &acl_policy_batch_set_request_shape, &request,
            "failed to create the global-management policy", policy_done);
}

static void master_bootstrapped(struct server *s, void *owner, bool ok) {
    (void)s;
    (void)owner;
    if (ok) {
        log_at(LOG_INFO, LOGGER, "Bootstrapped ACL master token from configuration");
    }
}

static void master_created(struct server *s, void *owner, bool ok) {
    (void)s;
    (void)owner;
    if (ok) {
        log_at(LOG_INFO, LOGGER, "Created ACL master token from configuration");
    }
}

static void token_set(struct leader_acl *l, struct store_read *r, struct acl_token *token,
                      const char *what, void (*done)(struct server *s, void *owner, bool ok)) {
    struct acl_token_batch_set_request request = {.tokens =
                                                      LIST_NEW(r->arena, struct acl_token *, 1)};
    LIST_AT(request.tokens, struct acl_token *, 0) = token;
    propose(l, ENTRY_ACL_TOKEN_SET, &acl_token_batch_set_request_shape, &request, what, done);
}

static void master_token(struct leader_acl *l, struct store_read *r) {
    struct str secret = l->server->options.acl.master_token;
    struct acl_token *stored = NULL;
    if (secret.len == 0) {
        return;
    }
    if (!uuid_valid(secret)) {
        log_at(LOG_WARN, LOGGER, "Configuring a non-UUID master token is deprecated");
    }
    acl_token_by_secret(r, secret, &stored);
    if (stored != NULL) {
        return;
    }
    char accessor[37];
    uuid_random(accessor);
    struct acl_token token = {.accessor_id = str_from(accessor),
                              .secret_id = secret,
                              .description = STR("Master Token"),
                              .policies = LIST_NEW(r->arena, struct acl_link, 1),
                              .create_time = timestamp_from_unix_ns(time_now_wall()),
                              .type = STR("management")};
    LIST_AT(token.policies, struct acl_link, 0) =
        (struct acl_link){.id = STR(ACL_POLICY_GLOBAL_MANAGEMENT)};
    token.hash = acl_token_hash(&token, r->arena);
    if (acl_bootstrap_index(r) == 0) {
        struct acl_bootstrap_request request = {.token = token};
        propose(l, ENTRY_ACL_BOOTSTRAP, &acl_bootstrap_request_shape, &request,
                "failed to bootstrap master token", master_bootstrapped);
    } else {
        token_set(l, r, &token, "failed to create master token", master_created);
    }
}

static void anonymous_created(struct server *s, void *owner, bool ok) {
    (void)s;
    (void)owner;
    if (ok) {
        log_at(LOG_INFO, LOGGER, "Created ACL anonymous token from configuration");
    }
}

static void anonymous_token(struct leader_acl *l, struct store_read *r) {
    struct acl_token *stored = NULL;
    acl_token_by_secret(r, STR("anonymous"), &stored);
    if (stored != NULL) {
        return;
    }
    struct acl_token token = {.accessor_id = STR(ACL_TOKEN_ANONYMOUS),
                              .secret_id = STR("anonymous"),
                              .description = STR("Anonymous Token"),
                              .create_time = timestamp_from_unix_ns(time_now_wall())};
    token.hash = acl_token_hash(&token, r->arena);
    token_set(l, r, &token, "failed to create anonymous token", anonymous_created);
}

/* ---- the switch ---- */

static void initialize(struct leader_acl *l) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    if (store_read_begin(l->server->store, &read, &arena, NULL, &e)) {
        management_policy(l, &read);
        master_token(l, &read);
        anonymous_token(l, &read);
        store_read_end(&read);
    } else {
        log_at(LOG_ERROR, LOGGER, "failed to read the state store", LOG_S("error", e.text));
    }
    arena_free(&arena);
}

void leader_acl_enable(struct leader_acl *l, bool on) {
    struct server *s = l->server;
    l->on = on;
    if (!on || !s->options.acl.enabled) {
        return;
    }
    log_at(LOG_INFO, LOGGER, "initializing acls");
    initialize(l);
    if (atomic_exchange(&s->acl_legacy, false) && s->membership != NULL) {
        membership_set_acl_tag(s->membership, '1');
    }
}

/* ---- life ---- */

struct leader_acl *leader_acl_new(struct server *s) {
    struct leader_acl *l = MEM_NEW(struct leader_acl);
    l->server = s;
    return l;
}

void leader_acl_close(struct leader_acl *l) {
    l->on = false;
}

void leader_acl_free(struct leader_acl *l) {
    mem_free(l);
}
