/* What time does to members that are gone (gossip.md 9.10): they are forgotten in the end, and
 * until then tried again now and then.
 */
#include "base/mem.h"
#include "base/time.h"
#include "gossip/state.h"

static void expire_intents(struct gossip *g) {
    struct str name;
    void *value;
    for (size_t i = 0; map_next(&g->intents, &i, &name, &value);) {
        if (g->now - ((struct intent *)value)->at > g->timing.intent_kept) {
            mem_free(value);
            map_remove(&g->intents, name);
        }
    }
}

void reap(struct gossip *g) {
    timer_start(&g->timers, &g->reap_timer, g->now + g->timing.reap_interval);
    uint32_t gone =
        g->members.by_status[GOSSIP_STATUS_FAILED] + g->members.by_status[GOSSIP_STATUS_LEFT];
    for (uint32_t slot = 0; gone > 0 && slot < g->members.slots; slot++) {
        struct member *m = members_at(&g->members, slot);
        if (m == NULL)
            continue;
        int64_t kept = m->status == GOSSIP_STATUS_FAILED ? g->timing.failed_kept
                       : m->status == GOSSIP_STATUS_LEFT ? g->timing.left_kept
                                                         : INT64_MAX;
        if (kept != INT64_MAX && g->now - m->left_at > kept)
            member_erase(g, m, false);
    }
    expire_intents(g);
}

static struct member *random_failed(struct gossip *g) {
    uint64_t skip = prng_below(&g->rng, g->members.by_status[GOSSIP_STATUS_FAILED]);
    for (uint32_t slot = 0; slot < g->members.slots; slot++) {
        struct member *m = members_at(&g->members, slot);
        if (m != NULL && m->status == GOSSIP_STATUS_FAILED && skip-- == 0)
            return m;
    }
    return NULL;
}

void reconnect(struct gossip *g) {
    timer_start(&g->timers, &g->reconnect_timer, g->now + g->timing.reconnect_interval);
    uint32_t failed = g->members.by_status[GOSSIP_STATUS_FAILED];
    if (failed == 0 || g->life != GOSSIP_RUNNING)
        return;
    uint32_t alive = g->members.with_status - failed - g->members.by_status[GOSSIP_STATUS_LEFT];
    double probability = (double)failed / (double)(alive > 0 ? alive : 1);
    if (prng_unit(&g->rng) > probability) {
        g_log(g, LOG_DEBUG, true, "forgoing reconnect for random throttling");
        return;
    }
    struct member *m = random_failed(g);
    struct join *j = m != NULL ? join_add(g, JOIN_RECONNECT, NULL, 1) : NULL;
    if (j == NULL)
        return;
    char text[GOSSIP_ADDRESS_TEXT];
    g_log(g, LOG_INFO, true, "attempting reconnect to " STR_FMT " " STR_FMT,
          STR_ARG(member_name(m)), STR_ARG(gossip_address_text(&m->id->address, text)));
    j->targets[0].address = m->id->address;
    j->targets[0].name = mem_strdup(str_terminated(g_arena(g), member_name(m)));
    join_begin(g, j);
}

/* The nodes that the snapshot remembers, in random order. */
void rejoin(struct gossip *g) {
    struct str name;
    void *value;
    struct join *j = NULL;
    for (size_t i = 0; map_next(&g->snapshot.alive, &i, &name, &value);) {
        struct gossip_address address;
        if (str_eq(name, member_name(g->self)) || !gossip_address_parse(&address, str_from(value)))
            continue;
        if (j == NULL)
            j = join_add(g, JOIN_REJOIN, NULL, g->snapshot.alive.count);
        if (j == NULL)
            return;
        size_t last = j->at++, at = (size_t)prng_below(&g->rng, last + 1);
        j->targets[last] = j->targets[at];
        j->targets[at] = (struct join_target){.name = mem_strdup(str_terminated(g_arena(g), name)),
                                              .address = address};
    }
    if (j == NULL)
        return;
    j->len = j->at;
    j->at = 0;
    join_begin(g, j);
}
