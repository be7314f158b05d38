/* What others (or we) say of a node that is alive (gossip.md 5.2), and how we contradict what is
 * wrongly said of us (5.5).
 */
#include "base/mem.h"
#include "gossip/state.h"

static struct str address_text(struct gossip *g, const struct gossip_address *a) {
    char text[GOSSIP_ADDRESS_TEXT];
    return str_copy(g_arena(g), gossip_address_text(a, text));
}

/* Rules 1 to 3: whether the record may be looked at at all. Reads its address. */
static bool may_enter(struct gossip *g, const struct alive_message *a, struct gossip_address *at) {
    if (g->left && str_eq(a->node, member_name(g->self)))
        return false;
    if (a->node.len == 0 || a->node.len > GOSSIP_NAME_MAX || a->meta.len > GOSSIP_META_MAX) {
        g_log_input(g, LOG_WARN, false, "ignoring alive message: name of %zu, meta of %zu bytes",
                    a->node.len, a->meta.len);
        return false;
    }
    uint16_t port = a->port != 0 ? a->port : g->self->id->address.port;
    if (!gossip_address_set(at, a->addr, port)) {
        g_log_input(g, LOG_WARN, false,
                    "ignoring alive message for '" STR_FMT "': address of %zu bytes",
                    STR_ARG(a->node), a->addr.len);
        return false;
    }
    const uint8_t *vsn = (const uint8_t *)a->vsn.data;
    if (a->vsn.len >= 3 &&
        (vsn[GOSSIP_PMIN] == 0 || vsn[GOSSIP_PMAX] == 0 || vsn[GOSSIP_PMIN] > vsn[GOSSIP_PMAX])) {
        g_log_input(g, LOG_WARN, false,
                    "Ignoring an alive message for '" STR_FMT "' (" STR_FMT
                    ") because protocol version(s) are wrong: %d <= %d <= %d should be >0",
                    STR_ARG(a->node), STR_ARG(address_text(g, at)), vsn[GOSSIP_PMIN],
                    vsn[GOSSIP_PCUR], vsn[GOSSIP_PMAX]);
        return false;
    }
    if (a->vsn.len < GOSSIP_VERSIONS) {
        g_log_input(g, LOG_WARN, false,
                    "ignoring alive message for '" STR_FMT "' (" STR_FMT
                    ") because Vsn is not present",
                    STR_ARG(a->node), STR_ARG(address_text(g, at)));
        return false;
    }
    return true;
}

/* Rule 3, its second half. */
static bool is_welcome(struct gossip *g, const struct alive_message *a,
                       const struct gossip_address *at) {
    if (g->merge == NULL)
        return true;
    struct gossip_member m = {.name = a->node,
                              .address = *at,
                              .meta = a->meta,
                              .status = GOSSIP_STATUS_ALIVE,
                              .state = GOSSIP_ALIVE};
    memcpy(m.versions, a->vsn.data, sizeof m.versions);
    struct error e = g_error(g);
    if (g->merge(g->owner, &m, 1, &e))
        return true;
    g_log_input(g, LOG_WARN, false, "ignoring alive message for '" STR_FMT "': " STR_FMT,
                STR_ARG(a->node), STR_ARG(e.text));
    return false;
}

static bool check_cidr(struct gossip *g, const struct alive_message *a,
                       const struct gossip_address *at) {
    if (g_address_allowed(g, at))
        return true;
    char ip[GOSSIP_ADDRESS_TEXT];
    struct str text = gossip_address_ip(at, ip);
    g_log_input(g, LOG_WARN, false,
                "Rejected node " STR_FMT " (" STR_FMT "): IP " STR_FMT " is not allowed",
                STR_ARG(a->node), STR_ARG(text), STR_ARG(text));
    return false;
}

/* Rule 4 for a node that is there: whether it may have this address. Sets *changed if it is a new
 * one. */
static bool address_fits(struct gossip *g, struct member *m, const struct alive_message *a,
                         const struct gossip_address *at, bool *changed) {
    *changed = false;
    if (gossip_address_eq(&m->id->address, at))
        return true;
    if (!check_cidr(g, a, at))
        return false;
    bool reclaim = m->state == GOSSIP_LEFT ||
                   (m->state == GOSSIP_DEAD && g->now - m->changed > g->timing.dead_reclaim);
    static const char *const states[] = {"0", "1", "2", "3"};
    if (reclaim) {
        g_log(g, LOG_INFO, false,
              "Updating address for left or failed node " STR_FMT " from " STR_FMT " to " STR_FMT,
              STR_ARG(a->node), STR_ARG(address_text(g, &m->id->address)),
              STR_ARG(address_text(g, at)));
        *changed = true;
        return true;
    }
    g_log_input(g, LOG_ERROR, false,
                "Conflicting address for " STR_FMT ". Mine: " STR_FMT " Theirs: " STR_FMT
                " Old state: %s",
                STR_ARG(a->node), STR_ARG(address_text(g, &m->id->address)),
                STR_ARG(address_text(g, at)), states[m->state & 3]);
    serf_conflict(g, m, at);
    return false;
}

/* The node in the table; a new one is put into it. NULL: it may not come in, or is there with
 * another address. */
static struct member *node_of(struct gossip *g, const struct alive_message *a,
                              const struct gossip_address *at, bool *changed) {
    struct member *m = members_find(&g->members, a->node);
    *changed = false;
    if (m != NULL && m->listed)
        return address_fits(g, m, a, at, changed) ? m : NULL;
    if (a->incarnation == 0 || !check_cidr(g, a, at))
        return NULL;
    if (m == NULL) {
        if (g->members.count >= g->max_members) {
            g_log_input(g, LOG_WARN, false,
                        "ignoring alive message for '" STR_FMT "': there are %u members already",
                        STR_ARG(a->node), g->members.count);
            return NULL;
        }
        m = members_add(&g->members, identity_new(g->members.shared, a->node, at, a->meta,
                                                  (const uint8_t *)a->vsn.data));
    }
    members_list(&g->members, m, &g->rng);
    m->changed = g->now;
    return m;
}

/* Rule 7 for others, and for our own start and changes. */
static void take_over(struct gossip *g, struct member *m, const struct alive_message *a,
                      const struct gossip_address *at, uint32_t waiter) {
    struct alive_message out = *a;
    out.port = at->port;
    broadcast_membership(g, a->node, message_of(g, MESSAGE_ALIVE, &alive_wire, &out), waiter);
    bool was_gone = m->state == GOSSIP_DEAD || m->state == GOSSIP_LEFT;
    bool new_meta = !str_eq(identity_meta(m->id), a->meta);
    member_set_identity(
        &g->members, m,
        identity_new(g->members.shared, a->node, at, a->meta, (const uint8_t *)a->vsn.data));
    m->incarnation = a->incarnation;
    if (m->state != GOSSIP_ALIVE) {
        m->state = GOSSIP_ALIVE;
        m->changed = g->now;
    }
    g_metric(g, METRIC_COUNTER, "memberlist.msg.alive", 1);
    if (was_gone) {
        dissemination_wake(g);
        serf_joined(g, m);
    } else if (new_meta) {
        serf_updated(g, m);
    }
}

/* As the peer shows bytes: "[1 5 2]". */
static struct str byte_list(struct gossip *g, struct str bytes) {
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < bytes.len; i++)
        buf_add_format(&out, "%s%u", i > 0 ? " " : "", (uint8_t)bytes.data[i]);
    struct str text = str_format(g_arena(g), "[" STR_FMT "]", STR_ARG(buf_str(&out)));
    buf_free(&out);
    return text;
}

static void log_refuted(struct gossip *g, const struct alive_message *a,
                        const struct gossip_address *at) {
    if (g->log > LOG_WARN)
        return;
    const struct identity *us = g->self->id;
    g_log_input(g, LOG_WARN, false,
                "Refuting an alive message for '" STR_FMT "' (" STR_FMT ") meta:(" STR_FMT
                " VS " STR_FMT "), vsn:(" STR_FMT " VS " STR_FMT ")",
                STR_ARG(a->node), STR_ARG(address_text(g, at)), STR_ARG(byte_list(g, a->meta)),
                STR_ARG(byte_list(g, identity_meta(us))), STR_ARG(byte_list(g, a->vsn)),
                STR_ARG(byte_list(g, str_of(us->versions, GOSSIP_VERSIONS))));
}

void alive_apply(struct gossip *g, const struct alive_message *a,
                 const struct gossip_address *source, bool own, uint32_t waiter) {
    struct gossip_address at;
    if (!may_enter(g, a, &at))
        return;
    if (source != NULL && !g_address_allowed(g, source)) {
        check_cidr(g, a, source);
        return;
    }
    if (!own && !is_welcome(g, a, &at))
        return;
    bool changed;
    struct member *m = node_of(g, a, &at, &changed);
    if (m == NULL)
        return;
    bool ours = m == g->self;
    if (!ours && a->incarnation <= m->incarnation && !changed)
        return;
    if (ours && a->incarnation < m->incarnation)
        return;
    suspicion_cancel(g, m);
    if (!ours || own) {
        take_over(g, m, a, &at, waiter);
        return;
    }
    if (a->incarnation == m->incarnation && str_eq(a->meta, identity_meta(m->id)) &&
        memcmp(a->vsn.data, m->id->versions, GOSSIP_VERSIONS) == 0 && a->vsn.len == GOSSIP_VERSIONS)
        return;
    log_refuted(g, a, &at);
    refute(g, a->incarnation);
}

static struct alive_message own_record(struct gossip *g) {
    const struct identity *id = g->self->id;
    return (struct alive_message){.incarnation = g->incarnation,
                                  .node = identity_name(id),
                                  .addr = str_of(id->address.ip, id->address.len),
                                  .port = id->address.port,
                                  .meta = identity_meta(id),
                                  .vsn = str_of(id->versions, GOSSIP_VERSIONS)};
}

/* The next number that others will believe. At the end of the numbers there is none: we stay what
 * they say. */
static void next_incarnation(struct gossip *g, uint32_t above) {
    if (g->incarnation < UINT32_MAX)
        g->incarnation++;
    if (g->incarnation <= above)
        g->incarnation = above < UINT32_MAX ? above + 1 : UINT32_MAX;
}

void alive_announce(struct gossip *g, struct str meta, uint32_t waiter) {
    next_incarnation(g, 0);
    struct alive_message a = own_record(g);
    a.node = str_copy(g_arena(g), a.node); /* the record it lies in is replaced */
    a.addr = str_copy(g_arena(g), a.addr);
    a.vsn = str_copy(g_arena(g), a.vsn);
    a.meta = meta;
    alive_apply(g, &a, NULL, true, waiter);
}

void refute(struct gossip *g, uint32_t accused) {
    next_incarnation(g, accused);
    g->self->incarnation = g->incarnation;
    g_health(g, 1);
    struct alive_message a = own_record(g);
    char ip[GOSSIP_ADDRESS_TEXT];
    broadcast_membership(g, gossip_address_ip(&g->self->id->address, ip),
                         message_of(g, MESSAGE_ALIVE, &alive_wire, &a), 0);
}
