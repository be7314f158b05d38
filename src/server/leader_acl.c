/* See leader_acl.h. */
#include "server/leader_acl.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "codec/uuid.h"
#include "schema/entries.h"
#include "schema/hash.h"
#include "server/acl_mode.h"
#include "server/acl_reaper.h"
#include "server/acl_replication.h"
#include "server/acl_upgrade.h"
#include "server/server_room.h"
#include "store/acl.h"

#define LOGGER "agent.server"

struct leader_acl {
    struct server *server;
    bool on;
    unsigned pending; /* entries on their way */
    struct acl_upgrade *upgrade;
    struct acl_reaper *reaper;
};

/* ---- entries ---- */

struct first_entry {
    struct leader_acl *leader_acl;
    void (*done)(struct server *s, void *owner, bool ok);
};

static void proposed(struct server *s, void *owner, bool ok) {
    struct first_entry *entry = owner;
    struct leader_acl *l = entry->leader_acl;
    entry->done(s, l, ok);
    mem_free(entry);
    if (--l->pending == 0) {
        leader_acl_has_settled(s->leader);
    }
}

static void propose(struct leader_acl *l, enum entry_type type, const struct shape *shape,
                    const void *request, const char *what,
                    void (*done)(struct server *s, void *owner, bool ok)) {
    struct buf entry = BUF_INIT;
    buf_add_char(&entry, (char)type);
    schema_encode(&entry, shape, request);
    struct first_entry *first = MEM_NEW(struct first_entry);
    *first = (struct first_entry){l, done};
    l->pending++;
    server_propose(l->server, &entry, what, proposed, first);
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

/* ---- the same in the old system ---- */

static void legacy_set(struct leader_acl *l, const struct legacy_acl *acl, const char *op,
                       const char *what, void (*done)(struct server *s, void *owner, bool ok)) {
    struct legacy_acl_request request = {
        .datacenter = l->server->options.datacenter, .op = str_from(op), .acl = *acl};
    propose(l, ENTRY_LEGACY_ACL, &legacy_acl_request_shape, &request, what, done);
}

static void legacy_anonymous_created(struct server *s, void *owner, bool ok) {
    (void)s;
    (void)owner;
    if (ok) {
        log_at(LOG_INFO, LOGGER, "Created the anonymous token");
    }
}

static void legacy_bootstrap_told(struct server *s, void *owner, bool ok) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    (void)owner;
    if (ok && store_read_begin(s->store, &read, &arena, NULL, &e)) {
        if (acl_bootstrap_index(&read) == 0) {
            log_at(LOG_INFO, LOGGER, "ACL bootstrap enabled");
        } else {
            log_at(LOG_INFO, LOGGER, "ACL bootstrap disabled, existing management tokens found");
        }
        store_read_end(&read);
    }
    arena_free(&arena);
}

static void legacy_tokens(struct leader_acl *l, struct store_read *r) {
    struct str master = l->server->options.acl.master_token;
    struct acl_token *stored;
    acl_token_by_secret(r, STR("anonymous"), &stored);
    if (stored == NULL) {
        struct legacy_acl anonymous = {
            .id = STR("anonymous"), .name = STR("Anonymous Token"), .type = STR("client")};
        legacy_set(l, &anonymous, "set", "failed to create anonymous token",
                   legacy_anonymous_created);
    }
    if (master.len > 0) {
        acl_token_by_secret(r, master, &stored);
    }
    if (master.len > 0 && stored == NULL) {
        struct legacy_acl token = {
            .id = master, .name = STR("Master Token"), .type = STR("management")};
        legacy_set(l, &token, "set", "failed to create master token", master_created);
    }
    struct legacy_acl none = {.id = STR("")};
    legacy_set(l, &none, "bootstrap-init", "failed to initialize ACL bootstrap",
               legacy_bootstrap_told);
}

/* ---- beginning, and going over ---- */

static bool is_primary(const struct server *s) {
    return str_eq(s->options.datacenter, s->options.acl.primary_datacenter);
}

static void with_store(struct leader_acl *l,
                       void (*what)(struct leader_acl *l, struct store_read *r)) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    if (store_read_begin(l->server->store, &read, &arena, NULL, &e)) {
        what(l, &read);
        store_read_end(&read);
    } else {
        log_at(LOG_ERROR, LOGGER, "failed to read the state store", LOG_S("error", e.text));
    }
    arena_free(&arena);
}

static void first_entries(struct leader_acl *l, struct store_read *r) {
    management_policy(l, r);
    master_token(l, r);
    anonymous_token(l, r);
}

static void begin_legacy(struct leader_acl *l) {
    struct server *s = l->server;
    if (is_primary(s)) {
        log_at(LOG_INFO, LOGGER, "initializing legacy acls");
        with_store(l, legacy_tokens);
    } else {
        acl_replication_start(s->acl_replication, true);
    }
}

void leader_acl_switch(struct leader_acl *l) {
    struct server *s = l->server;
    if (is_primary(s)) {
        log_at(LOG_INFO, LOGGER, "initializing acls");
        with_store(l, first_entries);
        acl_upgrade_start(l->upgrade);
    } else {
        acl_replication_start(s->acl_replication, false);
    }
    acl_reaper_start(l->reaper);
    acl_mode_switch(s);
}

void leader_acl_enable(struct leader_acl *l, bool on) {
    struct server *s = l->server;
    l->on = on;
    if (!s->options.acl.enabled) {
        return;
    }
    if (!on) {
        acl_upgrade_stop(l->upgrade);
        acl_reaper_stop(l->reaper);
        acl_replication_stop(s->acl_replication);
    } else if (!server_acl_is_legacy(s) || acl_mode_may_switch_now(s, true)) {
        leader_acl_switch(l);
    } else {
        begin_legacy(l);
    }
}

bool leader_acl_is_settled(const struct leader_acl *l) {
    return l->pending == 0;
}

/* ---- life ---- */

struct leader_acl *leader_acl_new(struct server *s) {
    struct leader_acl *l = MEM_NEW(struct leader_acl);
    l->server = s;
    l->upgrade = acl_upgrade_new(s);
    l->reaper = acl_reaper_new(s);
    s->acl_replication = acl_replication_new(s);
    return l;
}

void leader_acl_close(struct leader_acl *l) {
    l->on = false;
    acl_upgrade_close(l->upgrade);
    acl_reaper_close(l->reaper);
    acl_replication_close(l->server->acl_replication);
}

void leader_acl_free(struct leader_acl *l) {
    acl_upgrade_free(l->upgrade);
    acl_reaper_free(l->reaper);
    acl_replication_free(l->server->acl_replication);
    mem_free(l);
}
