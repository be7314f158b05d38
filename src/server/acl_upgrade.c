/* See acl_upgrade.h. */
#include "server/acl_upgrade.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "schema/entries.h"
#include "schema/hash.h"
#include "server/server_room.h"
#include "store/acl.h"

#define PERIOD SECOND
#define BATCH 128

struct acl_upgrade {
    struct server *server;
    struct loop_timer timer;
    bool on, closed;
};

void acl_upgrade_token(struct acl_token *token, struct str accessor, struct arena *arena) {
    bool anonymous = str_is(token->secret_id, "anonymous");
    token->accessor_id = anonymous ? STR(ACL_TOKEN_ANONYMOUS) : str_copy(arena, accessor);
    bool unlinked = token->policies.len == 0 && token->roles.len == 0 &&
                    token->service_identities.len == 0 && token->node_identities.len == 0;
    if (str_is(token->type, "management") && unlinked) {
        token->policies = LIST_NEW(arena, struct acl_link, 1);
        LIST_AT(token->policies, struct acl_link, 0) =
            (struct acl_link){.id = STR(ACL_POLICY_GLOBAL_MANAGEMENT)};
    }
    token->hash = acl_token_hash(token, arena);
}

/* With compare-and-set: whoever changes one meanwhile has its turn, and it comes next time. */
static void propose(struct acl_upgrade *u, const struct list *tokens, struct arena *arena) {
    struct acl_token_batch_set_request request = {.cas = true, .tokens = *tokens};
    struct buf entry = BUF_INIT;
    for (uint32_t i = 0; i < tokens->len; i++) {
        char accessor[37];
        uuid_random(accessor);
        acl_upgrade_token(LIST_AT(*tokens, struct acl_token *, i), str_from(accessor), arena);
    }
    buf_add_char(&entry, ENTRY_ACL_TOKEN_SET);
    schema_encode(&entry, &acl_token_batch_set_request_shape, &request);
    server_propose(u->server, &entry, "failed to apply acl token upgrade batch", NULL, NULL);
}

static void round_start(struct loop_timer *timer) {
    struct acl_upgrade *u = timer->owner;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    struct list tokens = LIST_NIL;
    loop_timer_set(&u->timer, PERIOD);
    if (store_read_begin(u->server->store, &read, &arena, NULL, &e)) {
        acl_tokens_without_accessor(&read, BATCH, &tokens);
        store_read_end(&read);
    }
    if (tokens.len > 0) {
        propose(u, &tokens, &arena);
    }
    arena_free(&arena);
}

struct acl_upgrade *acl_upgrade_new(struct server *s) {
    struct acl_upgrade *u = MEM_NEW(struct acl_upgrade);
    u->server = s;
    loop_timer_init(&s->core, &u->timer, round_start, u);
    return u;
}

void acl_upgrade_start(struct acl_upgrade *u) {
    if (!u->on) {
        u->on = true;
        log_at(LOG_INFO, "agent.leader", "started routine",
               LOG_S("routine", STR("legacy ACL token upgrade")));
        loop_timer_set(&u->timer, 0);
    }
}

void acl_upgrade_stop(struct acl_upgrade *u) {
    if (u->on) {
        u->on = false;
        log_at(LOG_DEBUG, "agent.leader", "stopping routine",
               LOG_S("routine", STR("legacy ACL token upgrade")));
        loop_timer_stop(&u->timer);
    }
}

void acl_upgrade_close(struct acl_upgrade *u) {
    if (!u->closed) {
        acl_upgrade_stop(u);
        u->closed = true;
        loop_timer_close(&u->timer, NULL);
    }
}

void acl_upgrade_free(struct acl_upgrade *u) {
    mem_free(u);
}
