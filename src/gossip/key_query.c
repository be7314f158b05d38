/* Asking all nodes about keys (gossip.md 9.8, its end): the answers counted and summed up.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "gossip/state.h"

/* Texts to counts or texts; they live as long as the query. */
struct key_collection {
    struct arena arena;
    struct gossip_key_message *messages;
    struct gossip_key_count *keys, *primary_keys;
    size_t messages_len, keys_len, primary_keys_len;
    size_t nodes, responses, errors;
};

void key_collection_free(struct key_collection *c) {
    if (c == NULL)
        return;
    arena_free(&c->arena);
    mem_free(c->messages);
    mem_free(c->keys);
    mem_free(c->primary_keys);
    mem_free(c);
}

void key_query_start(struct gossip *g, struct gossip_event *event) {
    static const char *const names[] = {[GOSSIP_KEY_LIST] = "_serf_list-keys",
                                        [GOSSIP_KEY_INSTALL] = "_serf_install-key",
                                        [GOSSIP_KEY_USE] = "_serf_use-key",
                                        [GOSSIP_KEY_REMOVE] = "_serf_remove-key"};
    struct key_request r = {.key = event->key.key};
    if (event->key.operation == GOSSIP_KEY_LIST || r.key.data == NULL)
        r.key = STR("");
    struct query_message m = {.name = str_from(names[event->key.operation]),
                              .payload =
                                  serf_message_of(g, SERF_KEY_REQUEST, &key_request_wire, &r),
                              .relay_factor = event->key.relay};
    struct error e = g_error(g);
    struct own_query *q = query_run(g, &m, event->token, &e);
    if (q == NULL) {
        event->error = e.text;
        return;
    }
    q->key = true;
    q->keys = MEM_NEW(struct key_collection);
    q->keys->nodes = g_count_alive(g);
}

static void add_message(struct key_collection *c, struct str node, struct str text) {
    c->messages = mem_resize(c->messages, c->messages_len + 1, sizeof *c->messages);
    c->messages[c->messages_len++] =
        (struct gossip_key_message){str_copy(&c->arena, node), str_copy(&c->arena, text)};
}

static void count_key(struct key_collection *c, struct gossip_key_count **counts, size_t *len,
                      struct str key) {
    for (size_t i = 0; i < *len; i++) {
        if (str_eq((*counts)[i].key, key)) {
            (*counts)[i].count++;
            return;
        }
    }
    if (*len >= 4096) /* more than honest nodes can have */
        return;
    *counts = mem_resize(*counts, *len + 1, sizeof **counts);
    (*counts)[(*len)++] = (struct gossip_key_count){str_copy(&c->arena, key), 1};
}

static void failed(struct gossip *g, struct key_collection *c, struct str node, struct str text) {
    g_log_input(g, LOG_ERROR, true, STR_FMT, STR_ARG(text));
    add_message(c, node, text);
    c->errors++;
}

static struct str byte_list(struct gossip *g, struct str bytes) {
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < bytes.len; i++)
        buf_add_format(&out, "%s%u", i > 0 ? " " : "", (uint8_t)bytes.data[i]);
    struct str text = str_format(g_arena(g), "[" STR_FMT "]", STR_ARG(buf_str(&out)));
    buf_free(&out);
    return text;
}

bool key_query_response(struct gossip *g, struct own_query *q, struct str from,
                        struct str payload) {
    struct key_collection *c = q->keys;
    struct key_response r;
    struct error e = g_error(g);
    c->responses++;
    if (payload.len < 1 || payload.data[0] != SERF_KEY_RESPONSE) {
        failed(g, c, from,
               str_format(g_arena(g), "Invalid key query response type: " STR_FMT,
                          STR_ARG(byte_list(g, payload))));
    } else if (!wire_read_all(str_sub(payload, 1, SIZE_MAX), &key_response_wire, &r, g_arena(g),
                              &e)) {
        failed(g, c, from,
               str_format(g_arena(g), "Failed to decode key query response: " STR_FMT,
                          STR_ARG(byte_list(g, payload))));
    } else if (!r.result) {
        add_message(c, from, r.message);
        c->errors++;
        /* "" then; the peer counts it too */
        count_key(c, &c->primary_keys, &c->primary_keys_len, r.primary_key);
    } else {
        if (r.message.len > 0) {
            add_message(c, from, r.message);
            g_log_input(g, LOG_WARN, true, STR_FMT, STR_ARG(r.message));
        }
        const struct str *keys = r.keys.items;
        for (size_t i = 0; i < r.keys.len; i++)
            count_key(c, &c->keys, &c->keys_len, keys[i]);
        count_key(c, &c->primary_keys, &c->primary_keys_len, r.primary_key);
    }
    return c->responses >= c->nodes;
}

/* ---- the sum ---- */

static int compare_messages(const void *a, const void *b) {
    return str_compare(((const struct gossip_key_message *)a)->node,
                       ((const struct gossip_key_message *)b)->node);
}

static int compare_counts(const void *a, const void *b) {
    return str_compare(((const struct gossip_key_count *)a)->key,
                       ((const struct gossip_key_count *)b)->key);
}

static struct gossip_key_count *copy_counts(struct gossip *g, struct gossip_key_count *counts,
                                            size_t len) {
    struct gossip_key_count *out = arena_copy(g_arena(g), counts, len * sizeof *counts);
    for (size_t i = 0; i < len; i++)
        out[i].key = str_copy(g_arena(g), out[i].key);
    if (len > 0)
        qsort(out, len, sizeof *out, compare_counts);
    return out;
}

void key_query_done(struct gossip *g, struct own_query *q) {
    struct key_collection *c = q->keys;
    struct gossip_action *a = g_action(g, GOSSIP_ACTION_KEY_DONE);
    a->token = q->token;
    struct gossip_key_message *messages =
        arena_copy(g_arena(g), c->messages, c->messages_len * sizeof *messages);
    for (size_t i = 0; i < c->messages_len; i++) {
        messages[i].node = str_copy(g_arena(g), messages[i].node);
        messages[i].text = str_copy(g_arena(g), messages[i].text);
    }
    if (c->messages_len > 0)
        qsort(messages, c->messages_len, sizeof *messages, compare_messages);
    a->key = (struct gossip_key_result){.messages = messages,
                                        .messages_len = c->messages_len,
                                        .keys = copy_counts(g, c->keys, c->keys_len),
                                        .keys_len = c->keys_len,
                                        .primary_keys =
                                            copy_counts(g, c->primary_keys, c->primary_keys_len),
                                        .primary_keys_len = c->primary_keys_len,
                                        .nodes = c->nodes,
                                        .responses = c->responses,
                                        .errors = c->errors};
    if (c->errors > 0)
        a->error = str_format(g_arena(g), "%zu/%zu nodes reported failure", c->errors, c->nodes);
    else if (c->responses != c->nodes)
        a->error = str_format(g_arena(g), "%zu/%zu nodes reported success", c->responses, c->nodes);
}
