/* Queries that every member answers by itself (gossip.md 9.8): who has a name, and the keys.
 */
#include "base/mem.h"
#include "codec/base64.h"
#include "gossip/state.h"

enum { LISTED_KEYS_MAX = 40 };

/* ---- conflicts ---- */

static struct str encode_member(struct gossip *g, const struct member *m) {
    struct conflict_member c = {.addr = str_of(m->id->address.ip, m->id->address.len),
                                .name = member_name(m),
                                .port = m->id->address.port,
                                .status = m->status};
    const uint8_t *v = m->id->versions;
    c.protocol_min = v[GOSSIP_PMIN];
    c.protocol_max = v[GOSSIP_PMAX];
    c.protocol_cur = v[GOSSIP_PCUR];
    c.delegate_min = v[GOSSIP_DMIN];
    c.delegate_max = v[GOSSIP_DMAX];
    c.delegate_cur = v[GOSSIP_DCUR];
    struct gossip_tag *tags;
    size_t len = gossip_tags_read(identity_meta(m->id), &tags, g_arena(g));
    _Static_assert(sizeof(struct gossip_tag) == sizeof(struct wire_tag), "the same two strings");
    c.tags = (struct wire_list){tags, len, true};
    return serf_message_of(g, SERF_CONFLICT_RESPONSE, &conflict_member_wire, &c);
}

static void answer(struct gossip *g, const struct asked_query *q, const char *kind,
                   struct str payload) {
    struct error e = g_error(g);
    if (g->now >= q->deadline)
        error_set(&e, ERROR_INTERNAL, "response is past the deadline");
    if (error_is_set(&e) || !query_answer(g, q, 0, payload, &e))
        g_log_input(g, LOG_ERROR, true,
                    "Failed to respond to %s query: failed to respond to key query: " STR_FMT, kind,
                    STR_ARG(e.text));
}

static void conflict_query(struct gossip *g, const struct asked_query *q, struct str name) {
    if (str_eq(name, member_name(g->self)))
        return; /* it is us; the others shall say */
    static const char unknown[] = {SERF_CONFLICT_RESPONSE, (char)0xc0};
    g_log_input(g, LOG_DEBUG, true, "Got conflict resolution query for '" STR_FMT "'",
                STR_ARG(name));
    const struct member *m = members_find(&g->members, name);
    if (m == NULL || m->status == GOSSIP_STATUS_NONE)
        answer(g, q, "conflict", str_of(unknown, sizeof unknown));
    else
        answer(g, q, "conflict", encode_member(g, m));
}

/* ---- keys ---- */

static struct str encode_response(struct gossip *g, const struct key_response *r) {
    return serf_message_of(g, SERF_KEY_RESPONSE, &key_response_wire, r);
}

static void answer_key(struct gossip *g, const struct asked_query *q, bool result,
                       struct str message) {
    struct key_response r = {.result = result, .message = message};
    answer(g, q, "key", encode_response(g, &r));
}

static struct str base64_of(struct gossip *g, const struct gossip_key *key) {
    struct buf out = BUF_INIT;
    base64_encode(&out, str_of(key->bytes, key->len));
    struct str text = str_copy(g_arena(g), buf_str(&out));
    buf_free(&out);
    return text;
}

/* All keys, or as many as fit, with a message that says so. */
static void list_keys(struct gossip *g, const struct asked_query *q) {
    g_log_input(g, LOG_INFO, true, "Received list-keys query");
    if (!g_encrypts(g)) {
        static const struct str text = STR_INIT("Keyring is empty (encryption not enabled)");
        g_log_input(g, LOG_ERROR, true, STR_FMT, STR_ARG(text));
        answer_key(g, q, false, text);
        return;
    }
    struct str keys[KEYRING_MAX];
    size_t total = g->keyring->len;
    for (size_t i = 0; i < total; i++)
        keys[i] = base64_of(g, &g->keyring->keys[i]);
    struct key_response r = {.result = true, .keys = {keys, total, true}, .primary_key = keys[0]};
    struct str payload = encode_response(g, &r);
    if (query_answer_size(g, q, payload) > GOSSIP_QUERY_MAX && r.keys.len > LISTED_KEYS_MAX)
        r.keys.len = LISTED_KEYS_MAX + 1;
    while (query_answer_size(g, q, payload) > GOSSIP_QUERY_MAX && r.keys.len > 0) {
        r.keys.len--;
        r.message =
            str_format(g_arena(g), "truncated key list response, showing first %zu of %zu keys",
                       r.keys.len, total);
        payload = encode_response(g, &r);
    }
    answer(g, q, "key", payload);
}

static void remember_answer(struct gossip *g, const struct asked_query *q) {
    struct key_answer *a = MEM_NEW(struct key_answer);
    *a = (struct key_answer){.next = g->key_answers, .sequence = ++g->key_sequence, .query = *q};
    a->query.source = mem_strdup(q->source);
    g->key_answers = a;
    struct buf text = BUF_INIT;
    keyring_format(&text, g->keyring, true);
    struct gossip_action *action = g_action(g, GOSSIP_ACTION_KEYRING);
    action->keyring.sequence = a->sequence;
    action->keyring.text = str_copy(g_arena(g), buf_str(&text));
    explicit_bzero(text.data, text.len);
    buf_free(&text);
}

void key_answer_free(struct key_answer *a) {
    mem_free(a->query.source);
    mem_free(a);
}

void keyring_written(struct gossip *g, struct gossip_event *event) {
    for (struct key_answer **link = &g->key_answers; *link != NULL; link = &(*link)->next) {
        struct key_answer *a = *link;
        if (a->sequence != event->keyring_written.sequence)
            continue;
        struct str error = event->keyring_written.error;
        if (error.len > 0)
            g_log(g, LOG_ERROR, true, "Failed to write keyring file: " STR_FMT, STR_ARG(error));
        *link = a->next;
        answer_key(g, &a->query, error.len == 0, error);
        key_answer_free(a);
        return;
    }
}

typedef bool ring_change(struct keyring *ring, struct str key, struct error *e);

static void change_keys(struct gossip *g, const struct asked_query *q, struct str payload,
                        const char *name, const char *doing, ring_change *change) {
    struct key_request r;
    struct error e = g_error(g);
    if (!wire_read_all(str_sub(payload, 1, SIZE_MAX), &key_request_wire, &r, g_arena(g), &e)) {
        g_log_input(g, LOG_ERROR, true, "Failed to decode key request: " STR_FMT, STR_ARG(e.text));
        answer_key(g, q, false, STR(""));
        return;
    }
    g_log_input(g, LOG_INFO, true, "Received %s query", name);
    if (!g_encrypts(g)) {
        error_set(&e, ERROR_INTERNAL, "No keyring to modify (encryption not enabled)");
        g_log_input(g, LOG_ERROR, true, STR_FMT, STR_ARG(e.text));
        answer_key(g, q, false, e.text);
        return;
    }
    if (!change(g->keyring, r.key, &e)) {
        g_log_input(g, LOG_ERROR, true, "Failed to %s: " STR_FMT, doing, STR_ARG(e.text));
        answer_key(g, q, false, e.text);
        return;
    }
    if (g->keyring_file)
        remember_answer(g, q);
    else
        answer_key(g, q, true, STR(""));
}

void internal_query(struct gossip *g, const struct asked_query *q, struct str name,
                    struct str payload) {
    if (str_is(name, "ping"))
        return; /* the acknowledgement is all of the answer */
    if (str_is(name, "conflict"))
        conflict_query(g, q, payload);
    else if (str_is(name, "install-key"))
        change_keys(g, q, payload, "install-key", "install key", keyring_add);
    else if (str_is(name, "use-key"))
        change_keys(g, q, payload, "use-key", "change primary key", keyring_use);
    else if (str_is(name, "remove-key"))
        change_keys(g, q, payload, "remove-key", "remove key", keyring_remove);
    else if (str_is(name, "list-keys"))
        list_keys(g, q);
    else
        g_log_input(g, LOG_WARN, true, "Unhandled internal query '" STR_FMT "'", STR_ARG(name));
}
