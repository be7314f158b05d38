/* yamux.c: the recorded frames and reactions of vectors/rpc/yamux.json, limits, and pairs of
 * sessions that talk at random through a wire that cuts their bytes anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "codec/json.h"
#include "net/yamux.h"
#include "unit/vectors.h"

/* ---- a side: a session, its output, and users of its streams ---- */

#define STREAMS 300

struct side;
struct user {
    struct side *side;
    struct yamux_stream *stream;
    struct buf got;
    uint64_t written, read; /* of the random test's pattern */
    bool ended, gone, echo, closed;
    unsigned writable;
    size_t take_at_most; /* 0: all */
    enum yamux_why why;
};

struct side {
    struct yamux *y;
    struct buf out;
    bool accepts;
    struct user users[STREAMS];
    unsigned count;
    unsigned openable;
};

static struct buf *side_out(struct yamux *y) {
    return &((struct side *)yamux_owner(y))->out;
}

static size_t side_backlog(struct yamux *y) {
    return side_out(y)->len;
}

static size_t user_data(struct yamux_stream *s, const char *bytes, size_t len) {
    struct user *u = yamux_stream_owner(s);
    assert_ptr_equal(s, u->stream);
    size_t n = u->take_at_most > 0 && len > u->take_at_most ? u->take_at_most : len;
    buf_add(&u->got, bytes, n);
    if (u->echo)
        assert_int_equal(yamux_write(s, bytes, n), n);
    return n;
}

static void user_ended(struct yamux_stream *s) {
    struct user *u = yamux_stream_owner(s);
    assert_false(u->ended);
    u->ended = true;
}

static void user_writable(struct yamux_stream *s) {
    ((struct user *)yamux_stream_owner(s))->writable++;
}

static void user_gone(struct yamux_stream *s, enum yamux_why why) {
    struct user *u = yamux_stream_owner(s);
    u->gone = true;
    u->why = why;
    u->stream = NULL;
}

static const struct yamux_stream_handlers user_handlers = {user_data, user_ended, user_writable,
                                                           user_gone};

static void side_incoming(struct yamux *y) {
    struct side *d = yamux_owner(y);
    while (d->accepts && d->count < STREAMS) {
        struct user *u = &d->users[d->count];
        u->stream = yamux_accept(y, &user_handlers, u);
        if (u->stream == NULL)
            return;
        u->side = d;
        d->count++;
        yamux_set_busy(u->stream, false);
    }
}

static void side_openable(struct yamux *y) {
    ((struct side *)yamux_owner(y))->openable++;
}

static const struct yamux_handlers side_handlers = {side_out, side_backlog, side_incoming,
                                                    side_openable};

static struct side *side_new(enum yamux_role role) {
    struct side *d = MEM_NEW(struct side);
    d->y = yamux_new(role, 0, &side_handlers, d);
    d->accepts = true;
    return d;
}

static void side_free(struct side *d) {
    yamux_free(d->y);
    for (unsigned i = 0; i < d->count; i++) {
        assert_true(d->users[i].gone || d->users[i].closed);
        buf_free(&d->users[i].got);
    }
    buf_free(&d->out);
    mem_free(d);
}

static struct user *side_open(struct side *d) {
    bool wait;
    struct user *u = &d->users[d->count];
    u->side = d;
    u->stream = yamux_open(d->y, &user_handlers, u, &wait);
    assert_non_null(u->stream);
    d->count++;
    return u;
}

static void user_close(struct user *u) {
    yamux_close(u->stream);
    u->stream = NULL;
    u->closed = true;
}

/* ---- bytes ---- */

static struct buf from_hex(struct str text) {
    struct buf b = BUF_INIT;
    for (size_t i = 0; i + 1 < text.len;) {
        if (text.data[i] == ' ') {
            i++;
            continue;
        }
        char digits[3] = {text.data[i], text.data[i + 1], 0};
        char *end;
        unsigned long byte = strtoul(digits, &end, 16);
        if (*end != 0)
            break; /* "..." */
        buf_add_char(&b, (char)byte);
        i += 2;
    }
    return b;
}

static bool feed_hex(struct side *d, const char *hex) {
    struct buf b = from_hex(str_from(hex));
    bool ok = yamux_input(d->y, b.data, b.len, 0);
    buf_free(&b);
    return ok;
}

static void expect_out(struct side *d, struct str hex) {
    struct buf b = from_hex(hex);
    if (!str_eq(buf_str(&b), buf_str(&d->out))) {
        for (size_t i = 0; i < d->out.len && i < 100; i++)
            print_error("%02x", (uint8_t)d->out.data[i]);
        fail_msg("\nis not %.*s", STR_ARG(hex));
    }
    buf_free(&b);
    buf_clear(&d->out);
}

static const struct value *vectors(struct arena *arena, const char *key) {
    const struct value *list = value_get(vectors_json(arena, "rpc/yamux.json"), key);
    assert_non_null(list);
    return list;
}

/* ---- vectors ---- */

/* The recorded session: the client's frames go in, the server's come out when its user writes the
 * same; and the other way round for a client. */
static void test_recorded_session(void **state) {
    struct arena arena = ARENA_INIT;
    const struct value *list = vectors(&arena, "vectors");
    struct side *server = side_new(YAMUX_SERVER), *client = side_new(YAMUX_CLIENT);
    struct user *opened = side_open(client);
    for (size_t i = 0; i < list->list.len; i++) {
        const struct value *v = &list->list.items[i];
        struct buf frame = from_hex(value_text(v, "hex"));
        bool to_server = str_is(value_text(v, "dir"), "client->server");
        bool data = str_is(value_text(v, "type"), "data");
        uint32_t id = be32_get(frame.data + 4);
        if (id != 1) { /* FIN of streams whose beginning is not recorded */
            buf_free(&frame);
            continue;
        }
        struct side *from = to_server ? client : server, *to = to_server ? server : client;
        struct user *u = to_server ? opened : &server->users[0];
        if (data)
            assert_int_equal(yamux_write(u->stream, frame.data + 12, frame.len - 12),
                             frame.len - 12);
        expect_out(from, value_text(v, "hex"));
        assert_true(yamux_input(to->y, frame.data, frame.len, 0));
        buf_free(&frame);
    }
    assert_true(opened->got.len > 900 && server->users[0].got.len > 3000);
    assert_int_equal(server->count, 1);
    /* FIN, answered by FIN */
    yamux_close(opened->stream);
    opened->closed = true;
    expect_out(client, STR("000100040000000100000000"));
    assert_true(feed_hex(server, "000100040000000100000000"));
    assert_true(server->users[0].ended);
    user_close(&server->users[0]);
    expect_out(server, STR("000100040000000100000000"));
    assert_int_equal(yamux_count(server->y), 0);
    assert_int_equal(yamux_count(client->y), 1);
    assert_true(feed_hex(client, "000100040000000100000000"));
    assert_int_equal(yamux_count(client->y), 0);
    side_free(server);
    side_free(client);
    arena_free(&arena);
}

static void test_keepalive(void **state) {
    struct arena arena = ARENA_INIT;
    const struct value *list = vectors(&arena, "keepalive");
    struct side *d = side_new(YAMUX_SERVER);
    int64_t now = 0;
    for (size_t i = 0; i < list->list.len; i++) {
        const struct value *v = &list->list.items[i];
        struct buf frame = from_hex(value_text(v, "hex"));
        bool syn = frame.data[3] == 1, out = str_is(value_text(v, "dir"), "server->client");
        if (out && syn) {
            assert_int_equal(yamux_next(d->y), now + 30 * SECOND);
            now = yamux_next(d->y);
            assert_true(yamux_tick(d->y, now - 1));
            assert_int_equal(d->out.len, 0);
            assert_true(yamux_tick(d->y, now));
        }
        if (out)
            expect_out(d, value_text(v, "hex"));
        else
            assert_true(yamux_input(d->y, frame.data, frame.len, now));
        buf_free(&frame);
    }
    assert_true(yamux_tick(d->y, now + 30 * SECOND)); /* unanswered */
    now = yamux_next(d->y);
    assert_true(yamux_tick(d->y, now - 1));
    struct user *u = side_open(d);
    assert_false(yamux_tick(d->y, now));
    assert_string_equal(yamux_error(d->y), "keepalive failed");
    assert_true(u->gone);
    assert_int_equal(u->why, YAMUX_SESSION);
    side_free(d);
    arena_free(&arena);
}

/* 4096 bytes have gone before, as the recorded sender's first flush; windows as recorded. */
static void test_flow_control(void **state) {
    struct arena arena = ARENA_INIT;
    const struct value *list = vectors(&arena, "flow_control");
    struct side *d = side_new(YAMUX_SERVER);
    static char zero[YAMUX_WINDOW];
    assert_true(feed_hex(d, "000100010000000100000000"));
    buf_clear(&d->out);
    char first[12 + 4096] = {0};
    be32_put(first + 4, 1);
    be32_put(first + 8, 4096);
    assert_true(yamux_input(d->y, first, sizeof first, 0));
    for (size_t i = 0; i < list->list.len; i++) {
        const struct value *v = &list->list.items[i];
        if (!str_is(value_text(v, "dir"), "client->server") ||
            !str_is(value_text(v, "type"), "data"))
            continue;
        struct buf header = from_hex(str_sub(value_text(v, "hex"), 0, 24));
        assert_true(yamux_input(d->y, header.data, header.len, 0));
        assert_int_equal(d->out.len, 0);
        assert_true(yamux_input(d->y, zero, be32_get(header.data + 8), 0));
        buf_free(&header);
        expect_out(d, value_text(&list->list.items[i + 1], "hex"));
    }
    side_free(d);
    arena_free(&arena);
}

static void check_reaction(const struct value *v) {
    struct str what = value_text(v, "what"), result = value_text(v, "result"),
               sent = value_text(v, "sent");
    if (str_find(what, STR("before the first data byte"), 0) >= 0)
        return; /* the application's rule: test_rpc_serve.c */
    struct side *d = side_new(YAMUX_SERVER);
    struct buf bytes = from_hex(sent);
    bool big = str_find(sent, STR("327680"), 0) >= 0;
    if (big) {
        struct buf more = from_hex(STR("000000000000000100050000"));
        bytes.len = 12;
        buf_add(&bytes, more.data, more.len);
        char *to = buf_reserve(&bytes, 327680);
        memset(to, 'x', 327680);
        bytes.len += 327680;
        buf_free(&more);
    }
    bool lives = yamux_input(d->y, bytes.data, bytes.len, 0);
    print_message("  %.*s: %.*s\n", STR_ARG(what), STR_ARG(result));
    assert_int_equal(lives, !str_has_prefix(result, STR("TCP connection closed")));
    ptrdiff_t hex = str_find(result, STR("000"), 0);
    if (hex >= 0)
        expect_out(d, str_sub(result, (size_t)hex, 24));
    else if (str_has_prefix(what, STR("SYN on a data")))
        assert_int_equal(d->users[0].got.len, 0x21);
    else if (lives)
        assert_int_equal(d->out.len, 0);
    assert_int_equal(yamux_refuses(d->y), str_has_prefix(what, STR("go away, code 0")));
    buf_free(&bytes);
    side_free(d);
}

static void test_reactions(void **state) {
    struct arena arena = ARENA_INIT;
    const struct value *list = vectors(&arena, "client_sends_server_reacts");
    for (size_t i = 0; i < list->list.len; i++)
        check_reaction(&list->list.items[i]);
    arena_free(&arena);
}

/* ---- rules ---- */

static void test_backlog(void **state) {
    struct side *server = side_new(YAMUX_SERVER), *client = side_new(YAMUX_CLIENT);
    server->accepts = false;
    for (int i = 0; i < YAMUX_BACKLOG; i++)
        side_open(client);
    bool wait;
    assert_null(yamux_open(client->y, &user_handlers, NULL, &wait));
    assert_true(wait);
    assert_true(yamux_input(server->y, client->out.data, client->out.len, 0));
    assert_int_equal(server->out.len, 0);
    assert_true(feed_hex(server, "0001000100000fff00000000"));
    expect_out(server, STR("0001000800000fff00000000"));
    server->accepts = true;
    side_incoming(server->y);
    assert_int_equal(server->out.len, YAMUX_BACKLOG * 12);
    assert_int_equal(client->openable, 0);
    assert_true(yamux_input(client->y, server->out.data, server->out.len, 0));
    assert_int_equal(client->openable, 1);
    assert_non_null(side_open(client));
    /* A reset one is told. */
    assert_true(feed_hex(client, "000100080000000300000000"));
    assert_true(client->users[1].gone);
    assert_int_equal(client->users[1].why, YAMUX_RESET);
    assert_int_equal(yamux_count(client->y), YAMUX_BACKLOG);
    side_free(server);
    side_free(client);
}

static void test_no_acceptor(void **state) {
    static const struct yamux_handlers handlers = {side_out, side_backlog, NULL, NULL};
    struct side *d = MEM_NEW(struct side);
    d->y = yamux_new(YAMUX_CLIENT, 0, &handlers, d);
    assert_true(feed_hex(d, "000000010000000200000001"
                            "61"));
    expect_out(d, STR("000100080000000200000000"));
    side_free(d);
}

/* Writing stops at the window and at the output's limit, and goes on. */
static void test_write_limits(void **state) {
    static char bytes[1 << 20];
    struct side *d = side_new(YAMUX_CLIENT);
    struct user *a = side_open(d), *b = side_open(d), *c = side_open(d);
    assert_int_equal(yamux_write(a->stream, bytes, sizeof bytes), YAMUX_WINDOW);
    assert_int_equal(yamux_write(a->stream, bytes, 1), 0);
    size_t left = YAMUX_OUT_LIMIT - d->out.len;
    assert_int_equal(yamux_write(b->stream, bytes, sizeof bytes), left);
    assert_int_equal(yamux_write(c->stream, bytes, 1), 0);
    assert_int_equal(a->writable + b->writable + c->writable, 0);
    buf_clear(&d->out);
    yamux_drained(d->y);
    assert_int_equal(a->writable, 0); /* its window is used up */
    assert_int_equal(b->writable, 1);
    assert_int_equal(c->writable, 1);
    assert_true(feed_hex(d, "000100000000000100000005"));
    assert_int_equal(a->writable, 1);
    assert_int_equal(yamux_write(a->stream, bytes, 100), 5);
    /* The window cannot be pushed over its largest number. */
    assert_true(feed_hex(d, "0001000000000003ffffffff0001000000000003ffffffff"));
    assert_true(yamux_room(b->stream) > 0);
    side_free(d);
}

/* What a busy stream gets is kept, as much as the window; other streams go on. */
static void test_busy(void **state) {
    static char bytes[12 + YAMUX_WINDOW];
    struct side *d = side_new(YAMUX_SERVER);
    assert_true(feed_hex(d, "000100010000000100000000"));
    buf_clear(&d->out);
    yamux_set_busy(d->users[0].stream, true);
    be32_put(bytes + 4, 1);
    be32_put(bytes + 8, YAMUX_WINDOW);
    assert_true(yamux_input(d->y, bytes, sizeof bytes, 0));
    assert_int_equal(yamux_kept(d->users[0].stream).len, YAMUX_WINDOW);
    assert_int_equal(d->out.len, 0);
    assert_true(feed_hex(d, "000100010000000300000000"
                            "000000000000000300000001"
                            "61"
                            "000100040000000100000000"));
    assert_int_equal(d->users[1].got.len, 1);
    assert_true(d->users[0].ended); /* also when busy */
    buf_clear(&d->out);
    d->users[0].take_at_most = 1000;
    yamux_set_busy(d->users[0].stream, false);
    assert_int_equal(d->users[0].got.len, 1000);
    assert_int_equal(yamux_kept(d->users[0].stream).len, YAMUX_WINDOW - 1000);
    assert_int_equal(d->out.len, 0); /* nothing is granted to who has said goodbye */
    side_free(d);
}

/* However many streams: what nobody reads has a limit. */
static void test_kept_limit(void **state) {
    static char bytes[12 + 12 + YAMUX_WINDOW];
    struct side *d = side_new(YAMUX_SERVER);
    d->accepts = false;
    bool ok = true;
    for (uint32_t i = 0; i < YAMUX_BACKLOG; i++) {
        be16_put(bytes, 1);
        be16_put(bytes + 2, 1);
        be32_put(bytes + 4, i);
        be32_put(bytes + 16, i);
        be32_put(bytes + 20, YAMUX_WINDOW);
        ok = yamux_input(d->y, bytes, sizeof bytes, 0);
        if (!ok)
            break;
    }
    assert_true(ok); /* just fits */
    struct yamux_stream *s = yamux_accept(d->y, &user_handlers, &d->users[0]);
    d->users[0].stream = s;
    d->count = 1;
    assert_non_null(s);
    assert_true(feed_hex(d, "000100010000ffff00000000"));
    assert_false(feed_hex(d, "000000000000ffff00000001"
                             "61"));
    assert_true(d->users[0].gone);
    side_free(d);
}

static void test_ends(void **state) {
    /* In the middle of everything: all streams are told once. */
    struct side *d = side_new(YAMUX_SERVER);
    assert_true(feed_hex(d, "000100010000000100000000"
                            "000100010000000300000000"
                            "0000000000000003000000"));
    yamux_end(d->y, "EOF");
    yamux_end(d->y, "other");
    assert_string_equal(yamux_error(d->y), "EOF");
    assert_true(d->users[0].gone && d->users[1].gone);
    assert_false(feed_hex(d, "01"));
    bool wait;
    assert_null(yamux_open(d->y, &user_handlers, NULL, &wait));
    assert_false(wait);
    side_free(d);
}

/* ---- pairs ---- */

static char pattern(uint32_t id, uint64_t at) {
    return (char)(id * 31 + at * 7 + (at >> 8));
}

static size_t pair_data(struct yamux_stream *s, const char *bytes, size_t len) {
    struct user *u = yamux_stream_owner(s);
    uint32_t id = yamux_stream_id(s);
    size_t n = u->take_at_most > 0 && len > u->take_at_most ? u->take_at_most : len;
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != pattern(id, u->read + i))
            fail_msg("stream %u: wrong byte at %llu", id, (unsigned long long)(u->read + i));
    u->read += n;
    return n;
}

static const struct yamux_stream_handlers pair_handlers = {pair_data, user_ended, user_writable,
                                                           user_gone};

static void pair_incoming(struct yamux *y) {
    struct side *d = yamux_owner(y);
    while (d->count < STREAMS) {
        struct user *u = &d->users[d->count];
        u->stream = yamux_accept(y, &pair_handlers, u);
        if (u->stream == NULL)
            return;
        u->side = d;
        d->count++;
        yamux_set_busy(u->stream, false);
    }
}

static const struct yamux_handlers pair_session = {side_out, side_backlog, pair_incoming,
                                                   side_openable};

static void pair_write(struct prng *p, struct user *u) {
    static char bytes[300000];
    uint32_t id = yamux_stream_id(u->stream);
    size_t len = (size_t)prng_below(p, prng_below(p, 10) == 0 ? sizeof bytes : 2000);
    for (size_t i = 0; i < len; i++)
        bytes[i] = pattern(id, u->written + i);
    u->written += yamux_write(u->stream, bytes, len);
}

/* Up to len bytes of the output cross. */
static void pair_cross(struct side *from, struct side *to, size_t len, int64_t now) {
    len = len < from->out.len ? len : from->out.len;
    if (len == 0)
        return;
    if (!yamux_input(to->y, from->out.data, len, now))
        fail_msg("session over: %s", yamux_error(to->y));
    memmove(from->out.data, from->out.data + len, from->out.len - len);
    from->out.len -= len;
    yamux_drained(from->y);
}

static struct user *pair_find(struct side *d, uint32_t id) {
    for (unsigned i = 0; i < d->count; i++)
        if (d->users[i].stream != NULL && yamux_stream_id(d->users[i].stream) == id)
            return &d->users[i];
    return NULL;
}

static void pair_step(struct prng *p, struct side *sides[2], int64_t now) {
    struct side *d = sides[prng_below(p, 2)], *other = d == sides[0] ? sides[1] : sides[0];
    bool wait;
    struct user *u = d->count > 0 ? &d->users[prng_below(p, d->count)] : NULL;
    bool alive = u != NULL && u->stream != NULL;
    switch (prng_below(p, 12)) {
    case 0:
        if (d->count < STREAMS / 2 - 20) {
            u = &d->users[d->count];
            u->stream = yamux_open(d->y, &pair_handlers, u, &wait);
            assert_non_null(u->stream);
            u->side = d;
            d->count++;
        }
        break;
    case 1:
        if (alive && prng_below(p, 20) == 0) {
            if (prng_below(p, 3) == 0)
                yamux_reset(u->stream);
            else
                yamux_close(u->stream);
            u->closed = true;
            u->stream = NULL;
        }
        break;
    case 2:
        if (alive)
            yamux_set_busy(u->stream, prng_below(p, 2) == 0);
        break;
    case 3:
        if (alive)
            u->take_at_most = (size_t)prng_below(p, 5000);
        break;
    case 4:
        yamux_tick(d->y, now);
        break;
    case 5:
    case 6:
    case 7:
        if (alive)
            pair_write(p, u);
        break;
    default:
        pair_cross(d, other, (size_t)prng_below(p, prng_below(p, 3) == 0 ? 400000 : 100), now);
    }
}

/* All that was written to streams that both sides still have arrives. */
static void pair_settle(struct side *sides[2], int64_t now) {
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 2; i++) {
            for (unsigned k = 0; k < sides[i]->count; k++) {
                struct user *u = &sides[i]->users[k];
                if (u->stream == NULL)
                    continue;
                u->take_at_most = 0;
                yamux_set_busy(u->stream, true);
                yamux_set_busy(u->stream, false);
            }
            pair_cross(sides[i], sides[1 - i], SIZE_MAX, now);
        }
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sides[i]->out.len, 0);
        for (unsigned k = 0; k < sides[i]->count; k++) {
            struct user *u = &sides[i]->users[k];
            if (u->stream == NULL)
                continue;
            struct user *v = pair_find(sides[1 - i], yamux_stream_id(u->stream));
            assert_true(v != NULL || u->ended);
            if (v != NULL) {
                assert_int_equal(u->written, v->read);
                assert_int_equal(v->written, u->read);
                assert_true(yamux_room(u->stream) > YAMUX_WINDOW / 2);
            }
        }
    }
}

static void test_pairs(void **state) {
    const char *given = getenv("YAMUX_SEED");
    uint64_t first = given != NULL ? strtoull(given, NULL, 10) : 1;
    uint64_t read = 0;
    for (uint64_t seed = first; seed < first + (given != NULL ? 1 : 60); seed++) {
        struct prng p;
        prng_seed(&p, seed);
        struct side *sides[2] = {MEM_NEW(struct side), MEM_NEW(struct side)};
        for (int i = 0; i < 2; i++)
            sides[i]->y =
                yamux_new(i == 0 ? YAMUX_CLIENT : YAMUX_SERVER, 0, &pair_session, sides[i]);
        int64_t now = 0;
        for (int step = 0; step < 3000; step++)
            pair_step(&p, sides, now += (int64_t)prng_below(&p, 2 * MILLISECOND));
        pair_settle(sides, now);
        for (int i = 0; i < 2; i++) {
            for (unsigned k = 0; k < sides[i]->count; k++)
                read += sides[i]->users[k].read;
            side_free(sides[i]);
        }
    }
    print_message("  %llu bytes\n", (unsigned long long)read);
    assert_true(read > 1000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_session),
        cmocka_unit_test(test_keepalive),
        cmocka_unit_test(test_flow_control),
        cmocka_unit_test(test_reactions),
        cmocka_unit_test(test_backlog),
        cmocka_unit_test(test_no_acceptor),
        cmocka_unit_test(test_write_limits),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_kept_limit),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
