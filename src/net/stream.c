/* Streams over libuv's poll handles: the sockets are read and written here, not by libuv, so that
 * one read buffer serves a whole loop and one sendmsg takes a whole round of answers.
 */
#include "net/stream_room.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"

#define READ_SIZE ((size_t)65536)
#define READ_ROUNDS 4              /* reads of one stream before others have their turn */
#define PIECE_FULL ((size_t)65536) /* then a new piece is opened */
#define SPARE_PIECES 8
#define IOV_MAX_USED 32
#define LINGER (2 * SECOND)
#define SEND_MOST ((size_t)131072) /* encrypted and not yet sent */

struct stream_loop {
    struct loop *loop;
    char *read_buffer;
    char *plain_buffer;         /* what was decrypted of it */
    struct stream *first;       /* all streams */
    struct stream *deadlines;   /* those with one, in no order */
    struct stream_piece *spare; /* pieces with their memory */
    unsigned spare_count;
    atomic_uint count;
    struct loop_timer sweep;
    bool sweeping;
};

/* ---- the loop's part ---- */

static void on_sweep(struct loop_timer *t);

struct stream_loop *stream_loop_new(struct loop *l) {
    struct stream_loop *home = MEM_NEW(struct stream_loop);
    home->loop = l;
    loop_timer_init(l, &home->sweep, on_sweep, home);
    return home;
}

void stream_loop_close(struct stream_loop *home) {
    for (struct stream *s = home->first; s != NULL; s = s->next)
        stream_close(s);
    loop_timer_close(&home->sweep, NULL);
}

void stream_loop_free(struct stream_loop *home) {
    while (home->spare != NULL) {
        struct stream_piece *p = home->spare;
        home->spare = p->next;
        buf_free(&p->own);
        mem_free(p);
    }
    mem_free(home->read_buffer);
    mem_free(home->plain_buffer);
    mem_free(home);
}

unsigned stream_count(const struct loop *l) {
    return atomic_load_explicit(&l->streams->count, memory_order_relaxed);
}

void stream_promise(struct loop *l) {
    atomic_fetch_add_explicit(&l->streams->count, 1, memory_order_relaxed);
}

void stream_promise_kept(struct loop *l) {
    atomic_fetch_sub_explicit(&l->streams->count, 1, memory_order_relaxed);
}

void stream_for_each(struct loop *l, const struct stream_handlers *on,
                     void (*fn)(struct stream *s)) {
    struct stream *next;
    for (struct stream *s = l->streams->first; s != NULL; s = next) {
        next = s->next;
        if (s->on == on && !s->closing)
            fn(s);
    }
}

/* ---- deadlines ---- */

static void deadline_unlink(struct stream *s) {
    if (s->deadline == 0)
        return;
    s->deadline = 0;
    if (s->deadline_previous != NULL)
        s->deadline_previous->deadline_next = s->deadline_next;
    else
        s->home->deadlines = s->deadline_next;
    if (s->deadline_next != NULL)
        s->deadline_next->deadline_previous = s->deadline_previous;
}

static void on_sweep(struct loop_timer *t) {
    struct stream_loop *home = t->owner;
    int64_t now = time_now_monotonic();
    struct stream *next;
    home->sweeping = false;
    for (struct stream *s = home->deadlines; s != NULL; s = next) {
        next = s->deadline_next;
        if (s->deadline > now)
            continue;
        deadline_unlink(s);
        if (s->finishing)
            stream_close(s);
        else
            s->on->expired(s);
        /* expired() may have changed other deadlines: the rest has its turn in a moment. */
        if (next != NULL && next->deadline == 0)
            break;
    }
    if (home->deadlines != NULL && !home->sweeping) {
        home->sweeping = true;
        loop_timer_set(&home->sweep, SECOND);
    }
}

void stream_set_deadline(struct stream *s, int64_t ns) {
    if (s->closing)
        return;
    if (ns == 0) {
        deadline_unlink(s);
        return;
    }
    struct stream_loop *home = s->home;
    if (s->deadline == 0) {
        s->deadline_previous = NULL;
        s->deadline_next = home->deadlines;
        if (home->deadlines != NULL)
            home->deadlines->deadline_previous = s;
        home->deadlines = s;
    }
    s->deadline = time_now_monotonic() + ns;
    if (!home->sweeping) {
        home->sweeping = true;
        loop_timer_set(&home->sweep, SECOND);
    }
}

/* ---- pieces of output ---- */

static struct stream_piece *piece_new(struct stream *s) {
    struct stream_loop *home = s->home;
    struct stream_piece *p = home->spare;
    if (p != NULL) {
        home->spare = p->next;
        home->spare_count--;
    } else {
        p = MEM_NEW(struct stream_piece);
    }
    p->next = NULL;
    p->sent = 0;
    p->is_shared = false;
    if (s->out_last != NULL)
        s->out_last->next = p;
    else
        s->out_first = p;
    s->out_last = p;
    return p;
}

static void piece_free(struct stream_loop *home, struct stream_piece *p) {
    if (p->is_shared)
        p->release(p->owner);
    if (home->spare_count >= SPARE_PIECES || p->own.cap > 4 * PIECE_FULL) {
        buf_free(&p->own);
        mem_free(p);
        return;
    }
    buf_clear(&p->own);
    p->next = home->spare;
    home->spare = p;
    home->spare_count++;
}

struct str stream_piece_left(const struct stream_piece *p) {
    struct str all = p->is_shared ? p->shared : buf_str(&p->own);
    return str_of(all.data + p->sent, all.len - p->sent);
}

static void drop_output(struct stream *s) {
    while (s->out_first != NULL) {
        struct stream_piece *p = s->out_first;
        s->out_first = p->next;
        piece_free(s->home, p);
    }
    s->out_last = NULL;
}

struct buf *stream_out(struct stream *s) {
    struct stream_piece *p = s->out_last;
    if (p == NULL || p->is_shared || p->own.len >= PIECE_FULL)
        p = piece_new(s);
    return &p->own;
}

void stream_out_shared(struct stream *s, struct str bytes, void (*release)(void *owner),
                       void *owner) {
    struct stream_piece *p = piece_new(s);
    p->is_shared = true;
    p->shared = bytes;
    p->release = release;
    p->owner = owner;
}

size_t stream_backlog(const struct stream *s) {
    size_t bytes = 0;
    for (const struct stream_piece *p = s->out_first; p != NULL; p = p->next)
        bytes += stream_piece_left(p).len;
    return bytes;
}

/* ---- polling ---- */

static void on_poll(uv_poll_t *poll, int status, int events);

/* Always polls for something, because errors and hang-ups are only reported then; out-of-band data,
 * which nobody sends, stands for nothing. */
static void update_poll(struct stream *s) {
    if (s->closing || s->carrier != NULL)
        return;
    int mask = 0;
    bool full = s->busy && s->in.len >= STREAM_INPUT_LIMIT;
    if (!s->read_ended && !full)
        mask |= UV_READABLE;
    if (s->blocked || s->drain_due)
        mask |= UV_WRITABLE;
    if (mask == 0)
        mask = UV_PRIORITIZED;
    if (mask == s->mask)
        return;
    s->mask = (uint8_t)mask;
    uv_poll_start(&s->poll, mask, on_poll);
}

void stream_init(struct stream *s, struct loop *l, int fd, const struct stream_handlers *on) {
    memset(s, 0, sizeof *s);
    s->on = on;
    s->fd = fd;
    s->home = l->streams;
    s->next = s->home->first;
    if (s->next != NULL)
        s->next->previous = s;
    s->home->first = s;
}

void stream_open(struct stream *s, struct loop *l, int fd, const struct stream_handlers *on) {
    stream_init(s, l, fd, on);
    int code = uv_poll_init(&l->uv, &s->poll, fd);
    ASSERT(code == 0);
    atomic_fetch_add_explicit(&s->home->count, 1, memory_order_relaxed);
    update_poll(s);
}

static void on_closed(uv_handle_t *handle) {
    /* Either handle of the union begins where it does. */
    struct stream *s = CONTAINER_OF((uv_poll_t *)handle, struct stream, poll);
    if (s->previous != NULL)
        s->previous->next = s->next;
    else
        s->home->first = s->next;
    if (s->next != NULL)
        s->next->previous = s->previous;
    drop_output(s);
    buf_free(&s->in);
    buf_free(&s->tls_input);
    struct tls_session *tls = s->tls;
    s->on->closed(s); /* the memory may be gone */
    tls_session_free(tls);
}

void stream_close(struct stream *s) {
    if (s->closing)
        return;
    deadline_unlink(s);
    s->closing = true;
    if (s->carrier != NULL) {
        s->carrier->dropped(s);
        uv_close((uv_handle_t *)&s->closer, on_closed);
        return;
    }
    atomic_fetch_sub_explicit(&s->home->count, 1, memory_order_relaxed);
    uv_close((uv_handle_t *)&s->poll, on_closed); /* stops polling first */
    close(s->fd);
    s->fd = -1;
}

void stream_set_handlers(struct stream *s, const struct stream_handlers *on) {
    s->on = on;
}

/* ---- changing owners ---- */

static void decrypt(struct stream *s, struct str bytes);

void stream_detach(struct stream *s, struct stream_detached *out) {
    ASSERT(!s->closing && s->out_first == NULL && s->carrier == NULL);
    *out = (struct stream_detached){.fd = s->fd, .tls = s->tls, .encrypted = s->tls_input};
    s->tls_input = BUF_INIT;
    if (s->tls != NULL)
        buf_add_str(&out->encrypted, tls_take_input(s->tls));
    s->tls = NULL;
    if (!s->delivering) {
        out->input = s->in;
        s->in = BUF_INIT;
    }
    deadline_unlink(s);
    s->closing = true;
    atomic_fetch_sub_explicit(&s->home->count, 1, memory_order_relaxed);
    uv_close((uv_handle_t *)&s->poll, on_closed); /* the loop forgets the descriptor at once */
    s->fd = -1;
}

void stream_attach(struct stream *s, struct loop *l, struct stream_detached *in,
                   const struct stream_handlers *on) {
    stream_open(s, l, in->fd, on);
    s->busy = true;
    s->in = in->input;
    s->tls = in->tls;
    if (s->tls != NULL)
        decrypt(s, buf_str(&in->encrypted)); /* into s->in, as it is busy */
    update_poll(s);
    buf_free(&in->encrypted);
    *in = (struct stream_detached){.fd = -1};
}

void stream_detached_drop(struct stream_detached *d) {
    if (d->fd >= 0)
        close(d->fd);
    buf_free(&d->input);
    buf_free(&d->encrypted);
    tls_session_free(d->tls);
    d->fd = -1;
    d->tls = NULL;
}

/* ---- sending ---- */

static void goodbye(struct stream *s) {
    if (s->read_ended) {
        stream_close(s);
        return;
    }
    shutdown(s->fd, SHUT_WR);
    stream_set_deadline(s, LINGER);
}

void stream_drop_first(struct stream *s) {
    struct stream_piece *p = s->out_first;
    s->out_first = p->next;
    if (s->out_first == NULL)
        s->out_last = NULL;
    piece_free(s->home, p);
}

/* Encrypts what waits, as far as the handshake is over and not too much is under way. */
static bool encrypt_some(struct stream *s) {
    while (s->out_first != NULL && tls_output(s->tls)->len < SEND_MOST) {
        struct str left = stream_piece_left(s->out_first);
        size_t taken = 0;
        if (left.len > 0) {
            enum tls_result result = tls_write(s->tls, left.data, left.len, &taken);
            if (result == TLS_MORE)
                return true;
            if (result != TLS_OK)
                return false;
        }
        s->out_first->sent += taken;
        if (taken == left.len)
            stream_drop_first(s);
    }
    return true;
}

/* all: nothing waits for the system. (What waits for the handshake does not: reading goes on with
 * that.) */
static bool send_encrypted(struct stream *s, bool *all, size_t *total) {
    *all = false;
    *total = 0;
    for (;;) {
        if (!s->tls_failed && !encrypt_some(s))
            return false;
        if (s->finishing && s->out_first == NULL && !s->tls_failed)
            tls_end(s->tls); /* says it once */
        struct buf *out = tls_output(s->tls);
        if (out->len == 0) {
            *all = true;
            return true;
        }
        ssize_t sent = send(s->fd, out->data, out->len, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR || errno == ENOBUFS;
        *total += (size_t)sent;
        if ((size_t)sent < out->len) {
            out->len -= (size_t)sent;
            memmove(out->data, out->data + sent, out->len);
            return true;
        }
        buf_free(out); /* who is at rest holds none */
    }
}

/* Sends as much as the system takes. False: the connection is broken. */
static bool send_some(struct stream *s, bool *all, size_t *total) {
    struct iovec iov[IOV_MAX_USED];
    *all = false;
    *total = 0;
    while (s->out_first != NULL) {
        size_t n = 0, want = 0;
        for (struct stream_piece *p = s->out_first; p != NULL && n < IOV_MAX_USED; p = p->next) {
            struct str left = stream_piece_left(p);
            iov[n++] = (struct iovec){(void *)(uintptr_t)left.data, left.len};
            want += left.len;
        }
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};
        ssize_t sent = 0;
        if (want > 0) /* mostly it is one piece, and send is the cheaper one */
            sent = n == 1 ? send(s->fd, iov[0].iov_base, want, MSG_NOSIGNAL)
                          : sendmsg(s->fd, &message, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR || errno == ENOBUFS;
        size_t left = (size_t)sent;
        *total += left;
        while (s->out_first != NULL && stream_piece_left(s->out_first).len <= left) {
            left -= stream_piece_left(s->out_first).len;
            stream_drop_first(s);
        }
        if (s->out_first != NULL && left > 0)
            s->out_first->sent += left;
        if ((size_t)sent < want)
            return true;
    }
    *all = true;
    return true;
}

void stream_flush(struct stream *s) {
    if (!s->corked)
        stream_push(s);
}

void stream_write_waits(struct stream *s, size_t taken) {
    s->moved += taken;
    if (s->blocked && s->moved < STREAM_WRITE_LEAST)
        return;
    s->blocked = true;
    s->moved = 0;
    stream_set_deadline(s, STREAM_WRITE_TIME);
}

void stream_push(struct stream *s) {
    bool all;
    size_t sent;
    if (s->closing)
        return;
    if (s->carrier != NULL) {
        stream_push_carried(s);
        return;
    }
    bool encrypted = s->tls != NULL && tls_output(s->tls)->len > 0;
    if (s->out_first == NULL && !encrypted && !s->finishing)
        return;
    if (!(s->tls != NULL ? send_encrypted : send_some)(s, &all, &sent)) {
        stream_close(s);
        return;
    }
    if (!all) {
        stream_write_waits(s, sent);
        s->drain_due = s->on->drained != NULL;
    } else if (s->blocked) {
        stream_set_deadline(s, 0);
    }
    s->blocked = !all;
    if (all && s->finishing && (s->out_first == NULL || s->tls_failed)) {
        s->drain_due = false; /* nobody has more to say */
        goodbye(s);
    }
    update_poll(s);
}

void stream_tell_drained(struct stream *s) {
    if (s->finishing || s->on->drained == NULL)
        return;
    s->corked = true;
    s->on->drained(s);
    s->corked = false;
    stream_flush(s);
}

static void on_writable(struct stream *s) {
    stream_flush(s);
    if (s->closing || s->blocked)
        return;
    s->drain_due = false;
    stream_tell_drained(s);
    update_poll(s);
}

void stream_finish(struct stream *s) {
    if (s->closing || s->finishing)
        return;
    s->finishing = true;
    buf_free(&s->in);
    if (s->tls != NULL && !tls_is_established(s->tls))
        stream_set_deadline(s, LINGER); /* the handshake may never end */
    stream_flush(s);
}

void stream_end_output(struct stream *s) {
    ASSERT(s->out_first == NULL);
    if (s->closing)
        return;
    ASSERT(s->carrier == NULL);
    if (s->tls != NULL) {
        tls_end(s->tls);
        stream_push(s); /* the little that it is fits, or goes with the next round */
        return;
    }
    s->output_ended = true;
    shutdown(s->fd, SHUT_WR);
}

/* ---- receiving ---- */

/* Puts the rest that the owner did not take into the stream's own buffer. */
static void keep_rest(struct stream *s, const char *bytes, size_t len, size_t taken) {
    ASSERT(taken <= len);
    if (bytes == s->in.data) {
        memmove(s->in.data, s->in.data + taken, len - taken);
        s->in.len = len - taken;
        if (s->in.len == 0)
            buf_free(&s->in);
    } else if (taken < len) {
        buf_add(&s->in, bytes + taken, len - taken);
    }
}

static void deliver(struct stream *s, const char *bytes, size_t len) {
    s->corked = s->delivering = true;
    size_t taken = s->on->data(s, bytes, len);
    s->corked = s->delivering = false;
    if (s->closing)
        return;
    if (s->finishing)
        buf_free(&s->in);
    else
        keep_rest(s, bytes, len, taken);
    if (s->carrier != NULL)
        s->carrier->taken(s);
    stream_flush(s);
}

static void tell_end(struct stream *s) {
    if (s->end_told || s->closing)
        return;
    s->end_told = true;
    if (s->finishing)
        stream_close(s);
    else
        s->on->ended(s);
}

/* What has come is delivered, or kept while the owner is busy. */
void stream_receive(struct stream *s, const char *bytes, size_t len) {
    if (s->finishing)
        return;
    if (s->busy || s->in.len > 0)
        buf_add(&s->in, bytes, len);
    if (s->busy)
        return;
    if (s->in.len > 0)
        deliver(s, s->in.data, s->in.len);
    else
        deliver(s, bytes, len);
}

/* Says why, with an alert, then closes. */
static void tls_broke(struct stream *s) {
    s->tls_failed = true;
    drop_output(s);
    stream_finish(s);
}

/* The handshake is over: who waited with his output has it sent now. */
static void secured(struct stream *s) {
    bool waited = s->out_first != NULL;
    if (s->on->secured != NULL)
        s->on->secured(s);
    if (!waited || s->closing)
        return;
    stream_flush(s);
    if (!s->closing && !s->blocked && s->out_first == NULL)
        stream_tell_drained(s);
}

static enum tls_result handshake(struct stream *s) {
    bool before = tls_is_established(s->tls);
    enum tls_result result = before ? TLS_OK : tls_handshake(s->tls);
    if (!before && result == TLS_OK)
        secured(s); /* may detach or close it */
    return result;
}

/* All of it, so that nothing waits anywhere but in s->in. */
static void decrypt(struct stream *s, struct str bytes) {
    struct stream_loop *home = s->home;
    if (home->plain_buffer == NULL)
        home->plain_buffer = mem_alloc(READ_SIZE);
    tls_feed(s->tls, bytes);
    enum tls_result result = handshake(s);
    while (result == TLS_OK && !s->closing && tls_has_input(s->tls)) {
        size_t len;
        result = tls_read(s->tls, home->plain_buffer, READ_SIZE, &len);
        if (result == TLS_OK)
            stream_receive(s, home->plain_buffer, len);
    }
    if (s->closing)
        return;
    tls_take_input(s->tls); /* none is left but after an error */
    if (result == TLS_ENDED)
        s->read_ended = true;
    if (result == TLS_FAILED && !s->tls_failed)
        tls_broke(s);
    stream_flush(s); /* the handshake's */
}

void stream_start_tls(struct stream *s, struct tls_session *tls, struct str rest) {
    ASSERT(s->tls == NULL && !s->closing && (s->delivering || (s->in.len == 0 && rest.len == 0)));
    for (; s->out_first != NULL; stream_drop_first(s))
        buf_add_str(tls_output(tls), stream_piece_left(s->out_first));
    s->tls = tls;
    buf_add_str(&s->tls_input, rest);
    if (!s->delivering)
        decrypt(s, STR_NONE); /* who connects speaks first */
}

/* What came together with the end of what is in clear. */
static void decrypt_rest(struct stream *s) {
    if (s->closing || s->tls == NULL)
        return;
    struct buf input = s->tls_input;
    s->tls_input = BUF_INIT;
    decrypt(s, buf_str(&input));
    buf_free(&input);
}

const char *stream_error(const struct stream *s) {
    return s->tls_failed && s->tls != NULL ? tls_error(s->tls) : NULL;
}

/* One read, always into the loop's buffer: what is kept of it takes no more memory than it needs.
 * False: nothing more to read for now. */
static bool read_once(struct stream *s) {
    struct stream_loop *home = s->home;
    if (home->read_buffer == NULL)
        home->read_buffer = mem_alloc(READ_SIZE);
    ssize_t got = recv(s->fd, home->read_buffer, READ_SIZE, 0);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR)
            stream_close(s);
        return false;
    }
    if (got == 0) {
        s->read_ended = true;
        return false;
    }
    bool more = (size_t)got == READ_SIZE;
    if (s->tls != NULL)
        decrypt(s, str_of(home->read_buffer, (size_t)got));
    else
        stream_receive(s, home->read_buffer, (size_t)got);
    if (s->tls_input.len > 0)
        decrypt_rest(s);
    return more && !s->closing && !(s->busy && s->in.len >= STREAM_INPUT_LIMIT);
}

static void on_readable(struct stream *s) {
    for (int i = 0; i < READ_ROUNDS && read_once(s); i++)
        continue;
    if (s->closing)
        return;
    if (s->read_ended)
        tell_end(s);
    update_poll(s);
}

void stream_set_busy(struct stream *s, bool busy) {
    if (s->busy == busy || s->closing)
        return;
    s->busy = busy;
    if (busy)
        return; /* polling stops when there is too much: mostly there is nothing */
    if (s->in.len > 0 && !s->delivering)
        deliver(s, s->in.data, s->in.len);
    if (s->tls_input.len > 0 && !s->delivering)
        decrypt_rest(s);
    if (s->read_ended && !s->closing && !s->delivering)
        tell_end(s);
    update_poll(s);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct stream *s = CONTAINER_OF(poll, struct stream, poll);
    if (status < 0) { /* broken: the handle has been stopped */
        stream_close(s);
        return;
    }
    if ((events & UV_PRIORITIZED) != 0 && s->mask == UV_PRIORITIZED) {
        /* A hang-up in both directions. If the one was ours, what came before the other, read or
         * not, still waits for its owner: then there is nothing to poll for until he wants it. */
        if (s->output_ended && (!s->read_ended || s->busy)) {
            s->mask = 0;
            uv_poll_stop(&s->poll);
        } else {
            stream_close(s);
        }
        return;
    }
    if ((events & UV_WRITABLE) != 0)
        on_writable(s);
    if (!s->closing && (events & UV_READABLE) != 0)
        on_readable(s);
}
