/* The upper layer's members (gossip.md 9.2): what joins, failures and changes of the membership
 * layer make of them; and which of its messages goes where.
 */
#include "base/mem.h"
#include "gossip/state.h"

void clock_witness(uint64_t *clock, uint64_t ltime) {
    if (ltime >= *clock && ltime < UINT64_MAX)
        *clock = ltime + 1;
}

/* ---- members ---- */

void member_event(struct gossip *g, enum gossip_member_event event, const struct member *m,
                  bool forced) {
    static const struct {
        const char *log, *metric;
    } names[] = {
        [GOSSIP_MEMBER_JOIN] = {"Join", "serf.member.join"},
        [GOSSIP_MEMBER_LEAVE] = {"Leave", "serf.member.left"},
        [GOSSIP_MEMBER_FAILED] = {"Failed", "serf.member.failed"},
        [GOSSIP_MEMBER_UPDATE] = {"Update", "serf.member.update"},
        [GOSSIP_MEMBER_REAP] = {"Reap", NULL},
    };
    struct gossip_action *a = g_action(g, GOSSIP_ACTION_MEMBER);
    a->member.event = event;
    g_describe(m, &a->member.member);
    a->member.member.name = str_copy(g_arena(g), a->member.member.name);
    a->member.member.meta = str_copy(g_arena(g), a->member.member.meta);
    if (names[event].metric != NULL)
        g_metric(g, METRIC_COUNTER, names[event].metric, 1);
    char text[GOSSIP_ADDRESS_TEXT];
    struct str ip = gossip_address_ip(&m->id->address, text);
    if (event == GOSSIP_MEMBER_UPDATE || (event == GOSSIP_MEMBER_REAP && !forced))
        g_log(g, LOG_INFO, true, "EventMember%s: " STR_FMT, names[event].log,
              STR_ARG(member_name(m)));
    else
        g_log(g, LOG_INFO, true, "EventMember%s%s: " STR_FMT " " STR_FMT, names[event].log,
              forced ? " (forced)" : "", STR_ARG(member_name(m)), STR_ARG(ip));
}

void serf_joined(struct gossip *g, struct member *m) {
    if (m->status == GOSSIP_STATUS_NONE) {
        enum gossip_status status = GOSSIP_STATUS_ALIVE;
        m->status_ltime = 0;
        m->left_at = 0;
        const struct intent *intent = map_get(&g->intents, member_name(m));
        if (intent != NULL) {
            m->status_ltime = intent->ltime;
            status = intent->leave ? GOSSIP_STATUS_LEAVING : GOSSIP_STATUS_ALIVE;
        }
        member_set_status(&g->members, m, status);
    } else {
        if (m->status == GOSSIP_STATUS_FAILED && g->now - m->left_at < 60 * (int64_t)1000000000)
            g_metric(g, METRIC_COUNTER, "serf.member.flap", 1);
        member_set_status(&g->members, m, GOSSIP_STATUS_ALIVE);
        m->left_at = 0;
    }
    member_event(g, GOSSIP_MEMBER_JOIN, m, false);
    snapshot_member(g, m, true);
}

void serf_left(struct gossip *g, struct member *m) {
    if (m->status != GOSSIP_STATUS_LEAVING && m->status != GOSSIP_STATUS_ALIVE)
        return;
    bool left = m->status == GOSSIP_STATUS_LEAVING;
    m->left_at = g->now;
    member_set_status(&g->members, m, left ? GOSSIP_STATUS_LEFT : GOSSIP_STATUS_FAILED);
    member_event(g, left ? GOSSIP_MEMBER_LEAVE : GOSSIP_MEMBER_FAILED, m, false);
    snapshot_member(g, m, false);
}

void serf_updated(struct gossip *g, struct member *m) {
    if (m->status != GOSSIP_STATUS_NONE)
        member_event(g, GOSSIP_MEMBER_UPDATE, m, false);
}

void serf_conflict(struct gossip *g, struct member *m, const struct gossip_address *theirs) {
    char a[GOSSIP_ADDRESS_TEXT], b[GOSSIP_ADDRESS_TEXT];
    struct str other = gossip_address_text(theirs, b);
    if (m == g->self)
        g_log_input(g, LOG_ERROR, true,
                    "Node name conflicts with another node at " STR_FMT
                    ". Names must be unique! (Resolution enabled: false)",
                    STR_ARG(other));
    else
        g_log_input(g, LOG_WARN, true,
                    "Name conflict for '" STR_FMT "' both " STR_FMT " and " STR_FMT " are claiming",
                    STR_ARG(member_name(m)), STR_ARG(gossip_address_text(&m->id->address, a)),
                    STR_ARG(other));
}

void member_erase(struct gossip *g, struct member *m, bool forced) {
    if (m == g->self || m->status == GOSSIP_STATUS_NONE)
        return;
    member_event(g, GOSSIP_MEMBER_REAP, m, forced);
    member_forget_coordinate(m);
    member_set_status(&g->members, m, GOSSIP_STATUS_NONE);
}

/* ---- messages ---- */

/* Whether the message is to be passed on. */
static bool take(struct gossip *g, enum serf_type type, struct str body, struct error *e,
                 bool *decoded) {
    struct arena *arena = g_arena(g);
    *decoded = false;
    switch (type) {
    case SERF_LEAVE: {
        struct leave_message m;
        if (!(*decoded = wire_read_all(body, &leave_wire, &m, arena, e)))
            return false;
        g_log_input(g, LOG_DEBUG, true, "messageLeaveType: " STR_FMT, STR_ARG(m.node));
        return leave_intent_apply(g, &m);
    }
    case SERF_JOIN: {
        struct join_message m;
        if (!(*decoded = wire_read_all(body, &join_wire, &m, arena, e)))
            return false;
        g_log_input(g, LOG_DEBUG, true, "messageJoinType: " STR_FMT, STR_ARG(m.node));
        return join_intent_apply(g, &m);
    }
    case SERF_USER_EVENT: {
        struct user_event_message m;
        if (!(*decoded = wire_read_all(body, &user_event_wire, &m, arena, e)))
            return false;
        g_log_input(g, LOG_DEBUG, true, "messageUserEventType: " STR_FMT, STR_ARG(m.name));
        return user_event_apply(g, &m);
    }
    default: {
        struct query_message m;
        ASSERT(type == SERF_QUERY);
        if (!(*decoded = wire_read_all(body, &query_wire, &m, arena, e)))
            return false;
        g_log_input(g, LOG_DEBUG, true, "messageQueryType: " STR_FMT, STR_ARG(m.name));
        return query_apply(g, &m);
    }
    }
}

void serf_receive(struct gossip *g, struct str message) {
    static const enum queue_name queues[] = {[SERF_LEAVE] = QUEUE_INTENTS,
                                             [SERF_JOIN] = QUEUE_INTENTS,
                                             [SERF_USER_EVENT] = QUEUE_EVENTS,
                                             [SERF_QUERY] = QUEUE_QUERIES};
    static const char *const names[] = {[SERF_LEAVE] = "leave",
                                        [SERF_JOIN] = "join",
                                        [SERF_USER_EVENT] = "user event",
                                        [SERF_QUERY] = "query"};
    if (message.len == 0)
        return;
    g_metric(g, METRIC_SAMPLE, "serf.msgs.received", (double)message.len);
    enum serf_type type = (uint8_t)message.data[0];
    struct str body = str_sub(message, 1, SIZE_MAX);
    switch (type) {
    case SERF_LEAVE:
    case SERF_JOIN:
    case SERF_USER_EVENT:
    case SERF_QUERY: {
        struct error e = g_error(g);
        bool decoded;
        if (take(g, type, body, &e, &decoded))
            broadcast_serf(g, queues[type], message, 0); /* unchanged: gossip.md 9.4 */
        if (!decoded)
            g_log_input(g, LOG_ERROR, true, "Error decoding %s message: " STR_FMT, names[type],
                        STR_ARG(e.text));
        break;
    }
    case SERF_QUERY_RESPONSE:
        query_response_receive(g, body);
        break;
    case SERF_RELAY:
        relay_receive(g, body);
        break;
    default:
        g_log_input(g, LOG_WARN, true, "Received message of unknown type: %d", (int)type);
    }
}
