/* Snapshots that another server takes or restores (rpc.md 8, client side): one connection for each,
 * on which the request goes out, for a restore the archive behind it, and a response comes back,
 * for a save the archive behind that. The archive goes through a file without a name, as everywhere
 * (snapshot.c). On the loop of who asked.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/stream.h"
#include "server/endpoints.h"
#include "server/rpc_reply.h"
#include "server/secure.h"
#include "server/server_dial.h"
#include "server/server_room.h"
#include "server/snapshot_wire.h"

#define TYPE_SNAPSHOT 5
#define RESPONSE_MAX ((size_t)1 << 20)
#define PIECE ((size_t)64 << 10)
#define BACKLOG_MAX ((size_t)256 << 10)
/* How soon a server that stops ends it. */
#define LOOK ((int64_t)200 * MILLISECOND)

struct snapshot_forward {
    struct snapshot_call *call;
    snapshot_forwarded *done;
    struct server_dial dial;
    struct stream stream;
    struct loop_timer look;
    struct buf in; /* of the response, until it is complete */
    struct rpc_scan scan;
    off_t sent; /* of the archive, restore */
    off_t size;
    bool connected, half_closed, responded, over;
    unsigned handles; /* that are to be closed before the end */
};

/* ---- the end ---- */

static void handle_closed(struct snapshot_forward *f) {
    if (--f->handles > 0) {
        return;
    }
    struct snapshot_call *c = f->call;
    snapshot_forwarded *done = f->done;
    buf_free(&f->in);
    mem_free(f);
    done(c);
}

static void look_closed(struct loop_timer *t) {
    handle_closed(t->owner);
}

/* Everything is said, or an error is set. */
static void finish(struct snapshot_forward *f) {
    struct snapshot_call *c = f->call;
    if (f->over) {
        return;
    }
    f->over = true;
    if (c->result >= 0 && error_is_set(&c->error)) {
        close(c->result);
        c->result = -1;
    } else if (c->result >= 0) {
        off_t end = lseek(c->result, 0, SEEK_CUR);
        c->size = end > 0 ? (uint64_t)end : 0;
        lseek(c->result, 0, SEEK_SET);
    }
    server_dial_cancel(&f->dial);
    if (f->connected) {
        stream_close(&f->stream);
    }
    loop_timer_stop(&f->look);
    loop_timer_close(&f->look, look_closed);
}

static void fail(struct snapshot_forward *f, const char *text) {
    if (!f->over && !error_is_set(&f->call->error)) {
        error_set(&f->call->error, ERROR_IO, "%s", text);
    }
    finish(f);
}

static void on_look(struct loop_timer *t) {
    struct snapshot_forward *f = t->owner;
    if (atomic_load(&f->call->server->stopping)) {
        fail(f, "server is shutting down");
        return;
    }
    loop_timer_set(t, LOOK);
}

/* ---- sending ---- */

/* The archive, as much as there is room for; then the end. */
static void send_more(struct snapshot_forward *f) {
    struct snapshot_call *c = f->call;
    while (f->sent < f->size && stream_backlog(&f->stream) < BACKLOG_MAX) {
        struct buf *out = stream_out(&f->stream);
        ssize_t n = pread(c->archive, buf_reserve(out, PIECE), PIECE, f->sent);
        if (n <= 0) {
            error_set_errno(&c->error, n < 0 ? errno : EIO, "failed to read the snapshot");
            finish(f);
            return;
        }
        out->len += (size_t)n;
        f->sent += n;
        stream_push(&f->stream);
        if (f->stream.closing) {
            return;
        }
    }
    stream_push(&f->stream);
    if (f->sent >= f->size && !f->half_closed && !f->stream.closing &&
        stream_backlog(&f->stream) == 0) {
        f->half_closed = true;
        stream_end_output(&f->stream);
    }
}

static void on_drained(struct stream *s) {
    send_more(CONTAINER_OF(s, struct snapshot_forward, stream));
}

static void send_request(struct snapshot_forward *f) {
    struct snapshot_call *c = f->call;
    struct snapshot_request request = {.allow_stale = c->allow_stale,
                                       .datacenter = c->datacenter,
                                       .op = c->restoring ? SNAPSHOT_RESTORE : SNAPSHOT_SAVE,
                                       .token = c->token};
    struct buf *out = stream_out(&f->stream);
    if (!f->dial.native) {
        buf_add_char(out, TYPE_SNAPSHOT);
    }
    schema_encode(out, &snapshot_request_shape, &request);
    send_more(f);
}

/* ---- receiving ---- */

static void archive_add(struct snapshot_forward *f, const char *bytes, size_t len) {
    struct snapshot_call *c = f->call;
    while (len > 0) {
        ssize_t n = write(c->result, bytes, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            error_set_errno(&c->error, errno, "failed to write the snapshot");
            finish(f);
            return;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

static void take_response(struct snapshot_forward *f, struct str bytes) {
    struct snapshot_call *c = f->call;
    struct snapshot_response response;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    f->responded = true;
    if (!schema_decode_bytes(bytes, &snapshot_response_shape, &response, &arena, &e)) {
        error_set(&c->error, ERROR_INTERNAL, "failed to decode response: " STR_FMT,
                  STR_ARG(e.text));
    } else if (response.error.len > 0) {
        error_set(&c->error, rpc_error_kind(response.error), STR_FMT, STR_ARG(response.error));
    }
    c->meta = response.meta;
    c->meta.consistency_level = STR_NONE;
    arena_free(&arena);
    if (c->restoring || error_is_set(&c->error)) {
        finish(f);
        return;
    }
    c->result = snapshot_scratch_file(c->server, &c->error);
    if (c->result < 0) {
        finish(f);
    }
}

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    struct snapshot_forward *f = CONTAINER_OF(s, struct snapshot_forward, stream);
    if (f->responded) {
        archive_add(f, bytes, len);
        return len;
    }
    buf_add(&f->in, bytes, len);
    switch (rpc_scan(&f->scan, f->in.data, f->in.len)) {
    case RPC_SCAN_MORE:
        return len;
    case RPC_SCAN_TOO_LARGE:
        fail(f, "failed to decode response: it is too large");
        return len;
    case RPC_SCAN_DONE:
        break;
    }
    take_response(f, str_of(f->in.data, f->scan.at));
    if (!f->over) {
        archive_add(f, f->in.data + f->scan.at, f->in.len - f->scan.at);
    }
    buf_free(&f->in);
    return len;
}

static void on_ended(struct stream *s) {
    struct snapshot_forward *f = CONTAINER_OF(s, struct snapshot_forward, stream);
    if (!f->responded) {
        fail(f, "failed to decode response: EOF");
    } else {
        finish(f);
    }
}

/* The other side takes nothing any more. */
static void on_expired(struct stream *s) {
    fail(CONTAINER_OF(s, struct snapshot_forward, stream), "i/o timeout");
}

static void on_closed(struct stream *s) {
    struct snapshot_forward *f = CONTAINER_OF(s, struct snapshot_forward, stream);
    fail(f, "connection reset by peer"); /* unless that was us */
    handle_closed(f);
}

static const struct stream_handlers handlers = {
    .data = on_data,
    .ended = on_ended,
    .drained = on_drained,
    .expired = on_expired,
    .closed = on_closed,
};

/* ---- the beginning ---- */

static void on_dialled(void *owner, struct stream_detached *connection, const struct error *e) {
    struct snapshot_forward *f = owner;
    server_dial_over(&f->dial);
    if (connection == NULL) {
        error_copy(&f->call->error, e);
        finish(f);
        return;
    }
    f->connected = true;
    f->handles++;
    stream_attach(&f->stream, f->call->home, connection, &handlers);
    send_request(f);
    stream_set_busy(&f->stream, false);
}

void snapshot_forward(struct snapshot_call *c, struct str address, snapshot_forwarded *done) {
    struct snapshot_forward *f = MEM_NEW(struct snapshot_forward);
    const struct server *s = c->server;
    const struct server_dial_options options = {.address = address,
                                                .datacenter = c->datacenter,
                                                .node = c->peer != NULL ? c->peer->name : STR_NONE,
                                                .source = s->options.bind_address,
                                                .protocol = SECURE_NATIVE_SNAPSHOT,
                                                .own_datacenter = s->options.datacenter,
                                                .secure = s->secure,
                                                .gateways = s->gateways};
    f->call = c;
    f->done = done;
    f->scan = (struct rpc_scan){.max_bytes = RESPONSE_MAX, .max_tokens = 1024};
    f->handles = 1;
    loop_timer_init(c->home, &f->look, on_look, f);
    loop_timer_set(&f->look, LOOK);
    struct stat info;
    if (c->restoring && fstat(c->archive, &info) == 0) {
        f->size = info.st_size;
    }
    if (!server_dial_start(&f->dial, c->home, &options, on_dialled, f)) {
        fail(f, "invalid address");
    }
}
