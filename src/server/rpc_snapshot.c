/* Snapshots over the server port (rpc.md 8): one a connection. Save: a request, then its answer and
 * the archive. Restore: a request and the archive up to the client's end, then the answer. Archives
 * go through a file, because taking and restoring them do (server/snapshot.c, which also decides
 * which server does it).
 */
#include <unistd.h>

#include "acl/authorizer.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/msgpack.h"
#include "server/authorize.h"
#include "server/endpoints.h"
#include "server/rpc_serve.h"
#include "server/rpc_wire.h"
#include "server/server_room.h"
#include "server/snapshot_wire.h"

#define LOGGER "agent.server.rpc"
#define REQUEST_MAX ((size_t)64 << 10)
#define REQUEST_TOKENS 4096
#define CHUNK ((size_t)64 << 10)
#define BACKLOG ((size_t)512 << 10)
#define RECEIVE_TIME (300 * SECOND) /* without a byte of a request or archive */

enum snapshot_state {
    SNAPSHOT_REQUEST,
    SNAPSHOT_ASKING,    /* whether the archive is wanted */
    SNAPSHOT_RECEIVING, /* it, into `file`; or into nothing, because of `error` */
    SNAPSHOT_WORKING,
    SNAPSHOT_SENDING, /* an archive, from `file` */
    SNAPSHOT_OVER,
};

struct snapshot_link {
    struct rpc_link link;
    struct stream stream;
    enum snapshot_state state;
    struct arena arena; /* of the request */
    struct rpc_scan scan;
    struct snapshot_request request;
    struct snapshot_call call;
    struct authorize authorize;
    struct error error; /* of receiving */
    int file;           /* -1: none */
    bool ended;         /* while we were asking */
    bool closed;        /* but the work goes on */
};

static struct snapshot_link *link_of(struct stream *s) {
    return CONTAINER_OF(s, struct snapshot_link, stream);
}

static void link_free(struct snapshot_link *k) {
    if (k->file >= 0) {
        close(k->file);
    }
    arena_free(&k->arena);
    rpc_link_remove(&k->link);
}

static void fail(struct snapshot_link *k, const char *step, struct str text) {
    struct str what = str_format(&k->arena, "%s: " STR_FMT, step, STR_ARG(text));
    log_at(LOG_ERROR, LOGGER, "Snapshot RPC error", LOG_C("conn", k->link.from),
           LOG_S("error", what));
    k->state = SNAPSHOT_OVER;
    stream_close(&k->stream);
}

/* ---- answers ---- */

static void respond(struct snapshot_link *k, struct str error, const struct query_meta *meta) {
    struct snapshot_response response = {.error = error};
    if (meta != NULL) {
        response.meta = *meta;
    }
    schema_encode(stream_out(&k->stream), &snapshot_response_shape, &response);
}

static void respond_error(struct snapshot_link *k, struct str text) {
    respond(k, text, NULL);
    k->state = SNAPSHOT_OVER;
    stream_finish(&k->stream);
}

/* More of the archive, as long as the system takes it. */
static void send_archive(struct snapshot_link *k) {
    struct stream *s = &k->stream;
    while (!s->closing && stream_backlog(s) < BACKLOG) {
        ssize_t n = read(k->file, buf_reserve(stream_out(s), CHUNK), CHUNK);
        if (n < 0) {
            fail(k, "failed to read the snapshot", str_from(strerror(errno)));
            return;
        }
        stream_out(s)->len += (size_t)n;
        if (n == 0) {
            k->state = SNAPSHOT_OVER;
            stream_finish(s);
            return;
        }
        if (stream_backlog(s) >= BACKLOG) {
            stream_push(s);
        }
    }
}

/* ---- the work ---- */

static bool work_over(struct snapshot_link *k) {
    k->state = SNAPSHOT_OVER;
    if (!k->closed) {
        return true;
    }
    link_free(k);
    return false;
}

static void saved(struct snapshot_call *c) {
    struct snapshot_link *k = c->owner;
    k->file = c->result;
    struct str error = str_copy(&k->arena, c->error.text);
    bool failed = error_is_set(&c->error);
    arena_free(&c->arena);
    if (!work_over(k)) {
        return;
    }
    if (failed) {
        respond_error(k, error);
        return;
    }
    c->meta.consistency_level = STR_NONE;
    respond(k, STR_NONE, &c->meta);
    k->state = SNAPSHOT_SENDING;
    send_archive(k);
}

static void restored(struct snapshot_call *c) {
    struct snapshot_link *k = c->owner;
    struct str error = str_copy(&k->arena, c->error.text);
    arena_free(&c->arena);
    if (work_over(k)) {
        respond_error(k, error);
    }
}

static void work(struct snapshot_link *k) {
    struct snapshot_call *c = &k->call;
    c->remote = true;
    c->allow_stale = k->request.allow_stale;
    c->datacenter = k->request.datacenter;
    c->token = k->request.token;
    c->archive = k->file;
    c->owner = k;
    k->state = SNAPSHOT_WORKING;
    stream_set_deadline(&k->stream, 0);
    if (k->request.op == SNAPSHOT_RESTORE) {
        c->done = restored;
        server_snapshot_restore(k->link.home->server, c);
    } else {
        c->done = saved;
        server_snapshot_save(k->link.home->server, c);
    }
}

/* ---- requests ---- */

/* 'c', as %q shows a character. */
static struct str quote_op(struct arena *arena, int64_t op) {
    if (op == '\'' || op == '"') {
        return op == '"' ? STR("'\"'") : STR("'\\''");
    }
    if (op < 0 || op > 127) {
        return STR("'\\ufffd'");
    }
    char c = (char)op;
    struct str quoted = str_quote(arena, str_of(&c, 1));
    return str_format(arena, "'" STR_FMT "'", STR_ARG(str_sub(quoted, 1, quoted.len - 2)));
}

static void on_ended(struct stream *s);

/* An archive may be as large as our disk: it is kept when its sender may restore it, else it is
 * read to its end for nothing, and then answered as it would have been. */
static void restorer_known(struct authorize *a) {
    struct snapshot_link *k = CONTAINER_OF(a, struct snapshot_link, authorize);
    bool may = authorizer_may_snapshot(authorization_may(a->result));
    authorization_release(a->result);
    k->state = SNAPSHOT_RECEIVING;
    if (error_is_set(&a->error)) {
        error_copy(&k->error, &a->error);
    } else if (!may) {
        error_set(&k->error, ERROR_DENIED, "Permission denied");
    } else {
        k->file = snapshot_scratch_file(k->link.home->server, &k->error);
    }
    stream_set_busy(&k->stream, false);
    if (k->ended && !k->stream.closing) {
        on_ended(&k->stream);
    }
}

static void ask_for_restorer(struct snapshot_link *k) {
    k->state = SNAPSHOT_ASKING;
    k->authorize = (struct authorize){
        .secret = k->request.token, .done = restorer_known, .error = ERROR_IN(&k->arena)};
    if (authorize_start(&k->authorize)) {
        restorer_known(&k->authorize);
    } else {
        stream_set_busy(&k->stream, true);
    }
}

static void begin(struct snapshot_link *k) {
    const struct snapshot_request *r = &k->request;
    struct str own = server_options(k->link.home->server)->datacenter;
    struct error e = ERROR_IN(&k->arena);
    if (r->datacenter.len == 0) {
        respond_error(k, STR("No path to datacenter"));
    } else if (r->op == SNAPSHOT_SAVE) {
        work(k);
    } else if (r->op == SNAPSHOT_RESTORE && r->allow_stale && str_eq(r->datacenter, own)) {
        respond_error(k, STR("stale not allowed for restore"));
    } else if (r->op == SNAPSHOT_RESTORE && str_eq(r->datacenter, own)) {
        ask_for_restorer(k);
    } else if (r->op == SNAPSHOT_RESTORE) { /* another's: the token may be its own */
        k->file = snapshot_scratch_file(k->link.home->server, &e);
        if (k->file < 0) {
            respond_error(k, e.text);
            return;
        }
        k->state = SNAPSHOT_RECEIVING;
    } else if (!str_eq(r->datacenter, own)) {
        respond_error(k, STR("No path to datacenter"));
    } else {
        respond_error(k, str_format(&k->arena, "unrecognized snapshot op " STR_FMT,
                                    STR_ARG(quote_op(&k->arena, r->op))));
    }
}

static size_t take_request(struct snapshot_link *k, const char *bytes, size_t len) {
    struct error e = ERROR_IN(&k->arena);
    switch (rpc_scan(&k->scan, bytes, len)) {
    case RPC_SCAN_MORE:
        return 0;
    case RPC_SCAN_TOO_LARGE:
        fail(k, "failed to decode request", STR("too large"));
        return 0;
    case RPC_SCAN_DONE:
        break;
    }
    struct str copy = str_copy(&k->arena, str_of(bytes, k->scan.at));
    if (!schema_decode_bytes(copy, &snapshot_request_shape, &k->request, &k->arena, &e)) {
        error_prefix(&e, "codec.decoder: ");
        fail(k, "failed to decode request", e.text);
        return 0;
    }
    begin(k);
    return copy.len;
}

static void take_archive(struct snapshot_link *k, const char *bytes, size_t len) {
    while (len > 0 && !error_is_set(&k->error)) {
        ssize_t n = write(k->file, bytes, len);
        if (n < 0 && errno != EINTR) {
            error_set_errno(&k->error, errno, "failed to write the snapshot");
        }
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
}

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    struct snapshot_link *k = link_of(s);
    size_t taken = 0;
    if (k->state == SNAPSHOT_REQUEST) {
        taken = take_request(k, bytes, len);
        if (k->state == SNAPSHOT_REQUEST || k->state == SNAPSHOT_ASKING) {
            return taken;
        }
    }
    if (k->state == SNAPSHOT_RECEIVING) {
        take_archive(k, bytes + taken, len - taken);
        stream_set_deadline(s, RECEIVE_TIME);
    }
    return len;
}

static void on_ended(struct stream *s) {
    struct snapshot_link *k = link_of(s);
    k->ended = true;
    if (k->state == SNAPSHOT_REQUEST) {
        fail(k, "failed to decode request", STR("EOF"));
    } else if (k->state == SNAPSHOT_RECEIVING && error_is_set(&k->error)) {
        respond_error(k, k->error.text);
    } else if (k->state == SNAPSHOT_RECEIVING) {
        work(k);
    }
}

static void on_drained(struct stream *s) {
    struct snapshot_link *k = link_of(s);
    if (k->state == SNAPSHOT_SENDING) {
        send_archive(k);
    }
}

static void on_closed(struct stream *s) {
    struct snapshot_link *k = link_of(s);
    k->closed = true;
    if (k->state == SNAPSHOT_ASKING) {
        authorize_cancel(&k->authorize);
    }
    if (k->state != SNAPSHOT_WORKING) {
        link_free(k);
    }
}

static const struct stream_handlers handlers = {
    .data = on_data,
    .ended = on_ended,
    .drained = on_drained,
    .expired = stream_close,
    .closed = on_closed,
};

static void close_link(struct rpc_link *l) {
    stream_close(&CONTAINER_OF(l, struct snapshot_link, link)->stream);
}

void rpc_serve_snapshot(struct rpc_home *h, struct stream_detached *connection,
                        const struct peer_address *from, struct rpc_lease *lease) {
    struct snapshot_link *k = MEM_NEW(struct snapshot_link);
    rpc_link_add(&k->link, h, from, lease, close_link);
    k->file = -1;
    k->scan = (struct rpc_scan){.max_bytes = REQUEST_MAX, .max_tokens = REQUEST_TOKENS};
    k->error = ERROR_IN(&k->arena);
    stream_attach(&k->stream, h->loop, connection, &handlers);
    stream_set_deadline(&k->stream, RECEIVE_TIME);
    stream_set_busy(&k->stream, false);
}
