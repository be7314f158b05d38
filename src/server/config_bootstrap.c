/* See config_bootstrap.h. */
#include "server/config_bootstrap.h"

#include "base/log.h"
#include "base/mem.h"
#include "schema/entries.h"
#include "schema/requests_config.h"
#include "server/server_room.h"
#include "store/config_entry.h"

struct bootstrap {
    struct server *server;
    uint64_t term;
    unsigned left; /* entries without an answer */
};

struct bootstrap_entry {
    struct raft_proposal proposal;
    struct bootstrap *of;
    struct arena arena;
    struct str kind, name;
};

static void applied(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct bootstrap_entry *b = CONTAINER_OF(p, struct bootstrap_entry, proposal);
    struct bootstrap *of = b->of;
    struct server *s = of->server;
    const struct store_result *result = outcome->result;
    struct str problem = STR_NONE;
    if (error_is_set(&outcome->error))
        problem = outcome->error.text;
    else if (result->kind == STORE_RESULT_ERROR)
        problem = result->error.text;
    if (problem.data != NULL && !atomic_load(&s->stopping))
        log_at(LOG_ERROR, "agent.server", "failed to apply configuration entry",
               LOG_S("kind", b->kind), LOG_S("name", b->name), LOG_S("error", problem));
    arena_free(&b->arena);
    mem_free(b);
    server_publish(s, NULL);
    if (--of->left > 0)
        return;
    leader_bootstrapped(s->leader, of->term);
    mem_free(of);
}

static void propose(struct bootstrap *of, const struct config_entry *entry) {
    struct config_entry_request request = {.kind = entry->kind,
                                           .datacenter = of->server->options.datacenter,
                                           .entry = (struct config_entry *)entry,
                                           .op = STR("upsert-cas")};
    struct bootstrap_entry *b = MEM_NEW(struct bootstrap_entry);
    of->left++;
    b->of = of;
    b->kind = str_copy(&b->arena, entry->kind);
    b->name = str_copy(&b->arena, entry->name);
    b->proposal.done = applied;
    buf_add_char(&b->proposal.entry, ENTRY_CONFIG_ENTRY);
    config_entry_request_encode(&b->proposal.entry, &request);
    raft_driver_propose(of->server->driver, &b->proposal);
}

bool config_bootstrap(struct server *s, struct store_read *read, uint64_t term) {
    const struct list *entries = s->options.bootstrap_entries;
    struct str primary = s->options.acl.primary_datacenter;
    if (entries == NULL || (primary.len > 0 && !str_eq(primary, s->options.datacenter)))
        return false;
    struct bootstrap *of = MEM_NEW(struct bootstrap);
    of->server = s;
    of->term = term;
    of->left = 1; /* until all are proposed */
    for (uint32_t i = 0; i < entries->len; i++) {
        const struct config_entry *entry = LIST_AT(*entries, struct config_entry *, i);
        struct config_entry *stored;
        config_entry_get(read, entry->kind, entry->name, &stored);
        if (stored == NULL)
            propose(of, entry);
    }
    if (--of->left > 0)
        return true;
    mem_free(of);
    return false;
}
