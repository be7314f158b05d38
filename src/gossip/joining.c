/* Joining (gossip.md 12.7, 9.10): one address after the other, each by a push/pull. For commands
 * all are tried and counted; a reconnect has one; after a start the first of the remembered nodes
 * that works is enough.
 */
#include "base/mem.h"
#include "gossip/state.h"

static char *copy_text(struct str text) {
    if (text.len == 0)
        return NULL;
    char *copy = mem_alloc(text.len + 1);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

struct join *join_add(struct gossip *g, enum join_kind kind, void *token, size_t targets) {
    size_t count = 0;
    for (const struct join *j = g->joins; j != NULL; j = j->next)
        count++;
    if (count >= JOINS_MAX)
        return NULL;
    struct join *j = MEM_NEW(struct join);
    *j = (struct join){.next = g->joins, .kind = kind, .token = token, .len = targets};
    j->targets = mem_zalloc(targets, sizeof *j->targets);
    g->joins = j;
    return j;
}

void join_free(struct gossip *g, struct join *j) {
    struct join **link = &g->joins;
    while (*link != j)
        link = &(*link)->next;
    *link = j->next;
    for (size_t i = 0; i < j->len; i++) {
        mem_free(j->targets[i].name);
        mem_free(j->targets[i].failed);
    }
    mem_free(j->targets);
    buf_free(&j->errors);
    mem_free(j);
}

static void add_error(struct join *j, struct str text) {
    j->error_count++;
    buf_add_text(&j->errors, "\t* ");
    buf_add_str(&j->errors, text);
    buf_add_text(&j->errors, "\n");
}

static void join_done(struct gossip *g, struct join *j) {
    if (j->kind == JOIN_COMMAND) {
        struct gossip_action *a = g_action(g, GOSSIP_ACTION_JOINED);
        a->token = j->token;
        a->joined.joined = j->joined;
        if (j->joined == 0 && j->error_count > 0)
            a->error =
                str_format(g_arena(g), "%zu error%s occurred:\n" STR_FMT "\n", j->error_count,
                           j->error_count == 1 ? "" : "s", STR_ARG(buf_str(&j->errors)));
        if (j->joined > 0)
            join_intent_announce(g, g->clock);
    } else if (j->kind == JOIN_REJOIN && j->joined == 0) {
        g_log(g, LOG_WARN, true, "Failed to re-join any previously known node");
    }
    join_free(g, j);
}

static void log_rejoin(struct gossip *g, const struct join_target *t, const char *what) {
    char text[GOSSIP_ADDRESS_TEXT];
    g_log(g, LOG_INFO, true, "%s previously known node: %s: " STR_FMT, what,
          t->name != NULL ? t->name : "", STR_ARG(gossip_address_text(&t->address, text)));
}

static void target_failed(struct gossip *g, struct join *j, struct str error) {
    const struct join_target *t = &j->targets[j->at];
    char text[GOSSIP_ADDRESS_TEXT];
    struct str line = str_format(g_arena(g), "Failed to join " STR_FMT ": " STR_FMT,
                                 STR_ARG(gossip_address_ip(&t->address, text)), STR_ARG(error));
    g_log(g, LOG_DEBUG, false, STR_FMT, STR_ARG(line));
    add_error(j, line);
}

/* Goes on until a stream is under way or nothing is left. */
void join_begin(struct gossip *g, struct join *j) {
    for (; j->at < j->len; j->at++) {
        struct join_target *t = &j->targets[j->at];
        if (j->kind == JOIN_REJOIN && j->joined > 0)
            break;
        if (t->failed != NULL) {
            g_log(g, LOG_WARN, false, "%s", t->failed);
            add_error(j, str_from(t->failed));
            continue;
        }
        if (j->kind == JOIN_REJOIN)
            log_rejoin(g, t, "Attempting re-join to");
        struct stream *s = stream_begin(g, STREAM_JOIN, &t->address, str_from(t->name),
                                        g->now + g->timing.stream_timeout);
        if (s != NULL) {
            s->join = j;
            return;
        }
        target_failed(g, j, STR("too many streams"));
    }
    join_done(g, j);
}

void join_stream_done(struct gossip *g, struct stream *s, struct str error) {
    struct join *j = s->join;
    ASSERT(j != NULL && j->at < j->len);
    stream_free(g, s);
    if (error.len > 0) {
        target_failed(g, j, error);
    } else {
        j->joined++;
        if (j->kind == JOIN_REJOIN)
            log_rejoin(g, &j->targets[j->at], "Re-joined to");
    }
    j->at++;
    join_begin(g, j);
}

void join_command(struct gossip *g, struct gossip_event *event) {
    if (g->life != GOSSIP_RUNNING) {
        event->error = STR("Serf can't Join after Leave or Shutdown");
        return;
    }
    struct join *j = join_add(g, JOIN_COMMAND, event->token, event->join.len);
    if (j == NULL) {
        event->error = STR("too many joins at a time");
        return;
    }
    for (size_t i = 0; i < j->len; i++) {
        const struct gossip_target *t = &event->join.targets[i];
        j->targets[i] = (struct join_target){
            .name = copy_text(t->name), .failed = copy_text(t->failed), .address = t->address};
    }
    join_begin(g, j);
}
