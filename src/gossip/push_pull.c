/* Push/pull (gossip.md 4 and 7.3): the whole state goes over, both ways, and is merged: who is
 * there, and what the layer above adds.
 */
#include "base/mem.h"
#include "base/time.h"
#include "gossip/state.h"

static bool is_alive(const struct gossip *g, const struct member *m, const void *context) {
    (void)g, (void)context;
    return m->state == GOSSIP_ALIVE;
}

void push_pull_tick(struct gossip *g) {
    timer_start(&g->timers, &g->push_pull_timer,
                g->now +
                    gossip_push_pull_interval(g->timing.push_pull_interval, g->members.listed));
    if (!g->push_pull_begun || g->left) {
        g->push_pull_begun = true;
        return;
    }
    struct member *node;
    if (g_pick_nodes(g, 1, is_alive, NULL, &node) == 0)
        return;
    stream_begin(g, STREAM_PUSH_PULL, &node->id->address, member_name(node),
                 g->now + g->timing.stream_timeout);
}

/* ---- out ---- */

static void encode_node(struct buf *out, const struct member *m) {
    const struct identity *id = m->id;
    struct node_record r = {.name = identity_name(id),
                            .addr = str_of(id->address.ip, id->address.len),
                            .port = id->address.port,
                            .meta = identity_meta(id),
                            .incarnation = m->incarnation,
                            .state = m->state,
                            .vsn = str_of(id->versions, GOSSIP_VERSIONS)};
    wire_write(out, &node_record_wire, &r);
}

struct str push_pull_encode(struct gossip *g, bool join) {
    struct str state = serf_state_encode(g);
    struct buf out = BUF_INIT;
    struct push_pull_header h = {
        .nodes = g->members.listed, .user_state_len = (int64_t)state.len, .join = join};
    buf_add_char(&out, MESSAGE_PUSH_PULL);
    wire_write(&out, &push_pull_header_wire, &h);
    for (uint32_t i = 0; i < g->members.listed; i++)
        encode_node(&out, members_in_order(&g->members, i));
    buf_add_str(&out, state);
    struct str message = str_copy(g_arena(g), buf_str(&out));
    buf_free(&out);
    return message;
}

/* ---- in ---- */

bool push_pull_is_join(struct gossip *g, struct str body) {
    struct push_pull_header h;
    struct error e = g_error(g);
    return wire_read_all(body, &push_pull_header_wire, &h, g_arena(g), &e) && h.join;
}

struct range {
    unsigned min, max;
};

static void narrow(struct range *r, const uint8_t *min_and_max) {
    if (min_and_max[0] > r->min)
        r->min = min_and_max[0];
    if (min_and_max[1] < r->max)
        r->max = min_and_max[1];
}

static bool fits(struct str name, const uint8_t versions[GOSSIP_VERSIONS], struct range protocol,
                 struct range delegate, struct error *e) {
    unsigned pcur = versions[GOSSIP_PCUR], dcur = versions[GOSSIP_DCUR];
    if (pcur < protocol.min || pcur > protocol.max)
        return error_set(e, ERROR_INTERNAL,
                         "Node '" STR_FMT "' protocol version (%u) is incompatible: [%u, %u]",
                         STR_ARG(name), pcur, protocol.min, protocol.max);
    if (dcur < delegate.min || dcur > delegate.max)
        return error_set(e, ERROR_INTERNAL,
                         "Node '" STR_FMT
                         "' delegate protocol version (%u) is incompatible: [%u, %u]",
                         STR_ARG(name), dcur, delegate.min, delegate.max);
    return true;
}

static const uint8_t *versions_of(const struct node_record *r) {
    static const uint8_t none[GOSSIP_VERSIONS];
    return r->vsn.len == GOSSIP_VERSIONS ? (const uint8_t *)r->vsn.data : none;
}

/* All that are alive must be able to speak to each other, and all must speak what they can. */
static bool check_versions(struct gossip *g, const struct node_record *records, size_t len,
                           struct error *e) {
    struct range protocol = {0, 255}, delegate = {0, 255};
    for (size_t i = 0; i < len; i++) {
        if (records[i].state == GOSSIP_ALIVE && records[i].vsn.len == GOSSIP_VERSIONS) {
            narrow(&protocol, versions_of(&records[i]) + GOSSIP_PMIN);
            narrow(&delegate, versions_of(&records[i]) + GOSSIP_DMIN);
        }
    }
    for (uint32_t i = 0; i < g->members.listed; i++) {
        const struct member *m = members_in_order(&g->members, i);
        if (m->state == GOSSIP_ALIVE) {
            narrow(&protocol, m->id->versions + GOSSIP_PMIN);
            narrow(&delegate, m->id->versions + GOSSIP_DMIN);
        }
    }
    for (size_t i = 0; i < len; i++) {
        if (!fits(records[i].name, versions_of(&records[i]), protocol, delegate, e))
            return false;
    }
    for (uint32_t i = 0; i < g->members.listed; i++) {
        const struct member *m = members_in_order(&g->members, i);
        if (!fits(member_name(m), m->id->versions, protocol, delegate, e))
            return false;
    }
    return true;
}

/* Of a later version there may be others, which mean nothing to us. */
static bool is_state(const struct node_record *r) {
    return r->state >= GOSSIP_ALIVE && r->state <= GOSSIP_LEFT;
}

static bool check_merge_rule(struct gossip *g, const struct node_record *records, size_t len,
                             struct error *e) {
    static const enum gossip_status status[] = {GOSSIP_STATUS_ALIVE, GOSSIP_STATUS_ALIVE,
                                                GOSSIP_STATUS_FAILED, GOSSIP_STATUS_LEFT};
    if (g->merge == NULL)
        return true;
    struct gossip_member *members = ARENA_ARRAY(g_arena(g), struct gossip_member, len);
    for (size_t i = 0; i < len; i++) {
        const struct node_record *r = &records[i];
        members[i] =
            (struct gossip_member){.name = r->name,
                                   .meta = r->meta,
                                   .status = is_state(r) ? status[r->state] : GOSSIP_STATUS_NONE,
                                   .state = (enum gossip_state)r->state};
        uint16_t port = r->port != 0 ? r->port : g->self->id->address.port;
        gossip_address_set(&members[i].address, r->addr, port);
        memcpy(members[i].versions, versions_of(r), GOSSIP_VERSIONS);
    }
    return g->merge(g->owner, members, len, e);
}

static void merge_node(struct gossip *g, const struct node_record *r) {
    if (!is_state(r))
        return;
    struct accusation_message m = {.incarnation = r->incarnation, .node = r->name};
    switch ((enum gossip_state)r->state) {
    case GOSSIP_ALIVE: {
        struct alive_message a = {.incarnation = r->incarnation,
                                  .node = r->name,
                                  .addr = r->addr,
                                  .port = r->port,
                                  .meta = r->meta,
                                  .vsn = r->vsn};
        alive_apply(g, &a, NULL, false, 0);
        break;
    }
    case GOSSIP_LEFT:
        m.from = r->name;
        dead_apply(g, &m, 0);
        break;
    case GOSSIP_DEAD: /* that others hold it for dead is only a reason to ask */
    case GOSSIP_SUSPECT:
        m.from = member_name(g->self);
        suspect_apply(g, &m);
        break;
    }
}

static bool read_nodes(struct gossip *g, struct msgpack_reader *in, int64_t count,
                       struct node_record *records, struct error *e) {
    for (int64_t i = 0; i < count; i++) {
        struct node_record *r = &records[i];
        if (!wire_read(in, &node_record_wire, r, g_arena(g), e))
            return false;
        if (r->vsn.len != 0 && r->vsn.len != GOSSIP_VERSIONS)
            return error_set(e, ERROR_INTERNAL, "Node '" STR_FMT "' has a Vsn of %zu bytes",
                             STR_ARG(r->name), r->vsn.len);
    }
    return true;
}

bool push_pull_merge(struct gossip *g, struct str body, bool ours, bool ignore_old,
                     struct error *e) {
    struct msgpack_reader in = msgpack_read(body);
    struct push_pull_header h;
    if (!wire_read(&in, &push_pull_header_wire, &h, g_arena(g), e))
        return false;
    if (h.nodes < 0 || h.nodes > in.end - in.at || h.user_state_len < 0)
        return error_set(e, ERROR_INTERNAL, "unexpected EOF");
    struct node_record *records = ARENA_ARRAY(g_arena(g), struct node_record, (size_t)h.nodes);
    if (!read_nodes(g, &in, h.nodes, records, e))
        return false;
    if (h.user_state_len > in.end - in.at)
        return error_set(e, ERROR_INTERNAL, "unexpected EOF");
    struct str state = str_of(in.at, (size_t)h.user_state_len);
    if (!check_versions(g, records, (size_t)h.nodes, e))
        return false;
    if ((h.join || ours) && !check_merge_rule(g, records, (size_t)h.nodes, e))
        return false;
    for (int64_t i = 0; i < h.nodes; i++)
        merge_node(g, &records[i]);
    serf_state_merge(g, state, ignore_old);
    return true;
}
