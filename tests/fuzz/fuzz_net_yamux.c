/* A session of either role with bytes of anybody in pieces of any size; users of its streams that
 * take all, some or nothing, answer, close, reset and go busy, as the input says. The first bytes
 * choose; the rest is what comes over the connection.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/yamux.h"

#define USERS 64

struct user {
    struct yamux_stream *stream;
    unsigned turn;
};

static struct buf out;
static struct user users[USERS];
static const uint8_t *choice;
static size_t choices, next_choice;
static uint64_t sent; /* per input */

static uint8_t choose(void) {
    return choices > 0 ? choice[next_choice++ % choices] : 0;
}

static struct buf *give_out(struct yamux *y) {
    (void)y;
    return &out;
}

static size_t backlog(struct yamux *y) {
    (void)y;
    return out.len;
}

static void act(struct user *u) {
    static char bytes[100000];
    struct yamux_stream *s = u->stream;
    if (s == NULL)
        return;
    switch (choose() % 8) {
    case 0:
        yamux_close(s);
        u->stream = NULL;
        break;
    case 1:
        yamux_reset(s);
        u->stream = NULL;
        break;
    case 2:
        yamux_set_busy(s, true);
        break;
    case 3:
        yamux_set_busy(s, false);
        break;
    case 4:
        sent += yamux_write(s, bytes, (size_t)choose() * 390);
        break;
    default:
        break;
    }
}

static size_t on_data(struct yamux_stream *s, const char *bytes, size_t len) {
    struct user *u = yamux_stream_owner(s);
    static char seen[2 * YAMUX_WINDOW];
    memcpy(seen, bytes, len); /* all of it is there */
    ASSERT(len > 0 && len <= 2 * (size_t)YAMUX_WINDOW);
    act(u);
    size_t n = choose();
    return n < len && n % 2 == 0 ? n : len;
}

static void on_ended(struct yamux_stream *s) {
    act(yamux_stream_owner(s));
}

static void on_writable(struct yamux_stream *s) {
    ASSERT(yamux_room(s) > 0);
    act(yamux_stream_owner(s));
}

static void on_gone(struct yamux_stream *s, enum yamux_why why) {
    (void)why;
    struct user *u = yamux_stream_owner(s);
    ASSERT(u->stream == s);
    u->stream = NULL;
}

static const struct yamux_stream_handlers on_stream = {on_data, on_ended, on_writable, on_gone};

static struct user *free_user(void) {
    for (size_t i = 0; i < USERS; i++)
        if (users[i].stream == NULL)
            return &users[i];
    return NULL;
}

static void on_incoming(struct yamux *y) {
    struct user *u = free_user();
    if (u == NULL || choose() % 4 == 0)
        return;
    u->stream = yamux_accept(y, &on_stream, u);
    if (u->stream != NULL)
        yamux_set_busy(u->stream, false);
}

static void on_openable(struct yamux *y) {
    (void)y;
}

static const struct yamux_handlers on_session = {give_out, backlog, on_incoming, on_openable};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 18)
        return 0;
    choice = data;
    choices = 16;
    next_choice = 0;
    sent = 0;
    struct yamux *y =
        yamux_new(data[0] % 2 == 0 ? YAMUX_SERVER : YAMUX_CLIENT, 0, &on_session, NULL);
    int64_t now = 0;
    for (size_t at = 16; at < size && !yamux_is_over(y);) {
        size_t n = 1 + choose();
        n = n > size - at ? size - at : n;
        yamux_input(y, (const char *)data + at, n, now);
        at += n;
        bool wait;
        struct user *u = free_user();
        uint8_t what = choose();
        if (what % 8 == 0 && u != NULL)
            u->stream = yamux_open(y, &on_stream, u, &wait);
        if (what % 4 == 1)
            act(&users[choose() % USERS]);
        if (what % 16 == 2) {
            buf_clear(&out);
            yamux_drained(y);
        }
        if (what % 16 == 3)
            yamux_tick(y, now += 9 * SECOND);
        /* A header in, at most a header and a grant out, besides what was written. */
        ASSERT(out.len <= 16 * size + 2 * sent + 4096);
    }
    yamux_free(y);
    for (size_t i = 0; i < USERS; i++)
        ASSERT(users[i].stream == NULL);
    buf_free(&out);
    return 0;
}
