/* Requests of one line. Each lives in an arena of its own, from its header to its answer; an idle
 * line holds nothing but its struct.
 */
#include "server/rpc_line.h"

#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "codec/msgpack.h"
#include "server/call.h"
#include "server/rpc_methods.h"
#include "server/server_room.h"

#define LOGGER "agent.server.rpc"
#define VARIANT 0x72706300u /* answers keep the encoded reply: nobody else's form */
#define COUNTED_FROM ((size_t)16 << 10)
#define COPIED_UP_TO ((size_t)16 << 10)

enum line_state {
    LINE_READING,
    LINE_CALLING,
    LINE_SENDING,
};

struct rpc_request {
    struct arena arena; /* holds this struct too */
    struct call call;
    struct rpc_line *line; /* NULL: called off */
    struct rpc_request_header header;
};

/* ---- the budget ---- */

static _Atomic size_t kept_bytes;

size_t rpc_line_bytes(void) {
    return atomic_load_explicit(&kept_bytes, memory_order_relaxed);
}

static size_t budget(void) {
    static _Atomic size_t most;
    size_t n = atomic_load_explicit(&most, memory_order_relaxed);
    if (n == 0) {
        n = (size_t)sysconf(_SC_PHYS_PAGES) / 4 * (size_t)sysconf(_SC_PAGESIZE);
        atomic_store_explicit(&most, n, memory_order_relaxed);
    }
    return n;
}

static _Atomic size_t lines;

bool rpc_line_open(struct rpc_line *l) {
    (void)l;
    if (atomic_fetch_add_explicit(&lines, 1, memory_order_relaxed) < budget() / 2 / RPC_LINE_COST) {
        return true;
    }
    atomic_fetch_sub_explicit(&lines, 1, memory_order_relaxed);
    return false;
}

/* Small ones are not worth the sharing of a number between threads. */
static void account(struct rpc_line *l) {
    size_t bytes = l->in.cap + l->out.cap + (l->request != NULL ? l->request->arena.total : 0);
    bytes = bytes < COUNTED_FROM ? 0 : bytes;
    if (bytes != l->counted) { /* wraps around when it falls */
        atomic_fetch_add_explicit(&kept_bytes, bytes - l->counted, memory_order_relaxed);
        l->counted = bytes;
    }
}

static bool within_budget(struct rpc_line *l) {
    account(l);
    return l->counted == 0 || rpc_line_bytes() < budget();
}

/* ---- the end ---- */

static void request_free(struct rpc_request *r) {
    struct arena arena = r->arena;
    arena_free(&arena);
}

static void request_freed(void *owner) {
    request_free(owner);
}

static void call_off(struct rpc_line *l) {
    struct rpc_request *r = l->request;
    l->request = NULL;
    if (r == NULL) {
        return;
    }
    r->line = NULL;
    if (l->state == LINE_CALLING) {
        call_cancel(&r->call, request_freed);
    } else {
        request_free(r);
    }
}

static void drop_output(struct rpc_line *l) {
    buf_free(&l->out);
    answer_release(l->answer);
    l->answer = NULL;
    l->shared = STR_NONE;
    l->sent = 0;
}

void rpc_line_free(struct rpc_line *l) {
    call_off(l);
    l->state = LINE_READING;
    drop_output(l);
    buf_free(&l->in);
    account(l);
    atomic_fetch_sub_explicit(&lines, 1, memory_order_relaxed);
}

/* The last thing that is done with a line in whatever came from outside: it may be gone then. */
static void leave(struct rpc_line *l) {
    if (l->depth > 1) {
        l->depth--;
        return;
    }
    while (!l->over && l->busy != (l->state != LINE_READING)) {
        l->busy = !l->busy;
        l->carrier->set_busy(l, l->busy);
    }
    if (!l->over && l->ended && l->state == LINE_READING) {
        if (l->header_len > 0) { /* in the middle of a body: the peer is silent about others */
            log_at(LOG_ERROR, LOGGER, "RPC error", LOG_C("conn", l->from),
                   LOG_C("error", "unexpected EOF"));
        }
        l->over = true;
    }
    l->depth--;
    if (l->over) {
        l->carrier->end(l);
    }
}

static void hang_up(struct rpc_line *l, struct str text) {
    metric_count("rpc.request_error", 1);
    log_at(LOG_ERROR, LOGGER, "RPC error", LOG_C("conn", l->from), LOG_S("error", text));
    l->over = true;
}

/* ---- responses ---- */

static void send_response(struct rpc_line *l) {
    while (l->sent < l->out.len + l->shared.len) {
        struct str part = l->sent < l->out.len
                              ? str_sub(buf_str(&l->out), l->sent, l->out.len)
                              : str_sub(l->shared, l->sent - l->out.len, l->shared.len);
        size_t n = l->carrier->write(l, part);
        l->sent += n;
        if (n < part.len) {
            l->carrier->flush(l);
            return;
        }
    }
    l->carrier->flush(l);
    drop_output(l);
    account(l);
    l->state = LINE_READING;
    l->over |= l->hang_up;
}

static void respond_error(struct rpc_line *l, const struct rpc_request_header *h, struct str text) {
    rpc_write_response(&l->out, h->seq, h->service_method, text);
    msgpack_write_map(&l->out, 0);
    l->state = LINE_SENDING;
    send_response(l);
}

static void encode_reply(struct buf *out, const struct endpoint *endpoint, const void *reply) {
    if (endpoint->reply != NULL) {
        schema_encode(out, endpoint->reply, reply);
    } else {
        schema_encode_type(out, endpoint->reply_type, reply);
    }
}

/* With answer->encoded[0]: what it says of the leader. */
static bool same_meta(const struct query_meta *a, const struct query_meta *b) {
    return a->index == b->index && a->known_leader == b->known_leader &&
           a->last_contact == b->last_contact;
}

/* An answer that others have too (blocking queries that woke together, a kept answer) is encoded
 * once for all; its beginning, which says how fresh it is, may forbid that. */
static struct str shared_reply(const struct endpoint *endpoint, struct answer *a) {
    if (a->references < 2 || !answer_may_encode()) {
        return STR_NONE;
    }
    if (a->encoded[0] == NULL) {
        a->encoded[0] = MEM_NEW(struct buf);
        a->encoded[1] = MEM_NEW(struct buf);
        encode_reply(a->encoded[0], endpoint, a->reply);
        buf_add(a->encoded[1], &a->meta, sizeof(a->meta));
        answer_encoded(a);
    }
    struct query_meta meta;
    memcpy(&meta, a->encoded[1]->data, sizeof(meta));
    return same_meta(&meta, &a->meta) ? buf_str(a->encoded[0]) : STR_NONE;
}

static void respond(struct rpc_line *l, const struct rpc_request_header *h,
                    const struct endpoint *endpoint, struct answer *a) {
    rpc_write_response(&l->out, h->seq, h->service_method, STR_NONE);
    struct str shared = shared_reply(endpoint, a);
    if (shared.len > COPIED_UP_TO) {
        l->shared = shared;
        l->answer = answer_hold(a);
    } else if (shared.len > 0) {
        buf_add_str(&l->out, shared); /* one frame instead of two */
    } else {
        encode_reply(&l->out, endpoint, a->reply);
    }
    if (!within_budget(l)) { /* of slow readers */
        hang_up(l, STR("too much memory is used by responses"));
        return;
    }
    l->state = LINE_SENDING;
    send_response(l);
}

static void on_call_done(struct call *call) {
    struct rpc_request *r = call->owner;
    struct rpc_line *l = r->line;
    struct answer *a = call->answer;
    call->answer = NULL;
    l->depth++;
    l->request = NULL;
    if (error_is_set(&a->error)) {
        respond_error(l, &r->header, a->error.text);
    } else {
        respond(l, &r->header, call->endpoint, a);
    }
    answer_release(a);
    request_free(r);
    leave(l);
}

/* ---- requests ---- */

/* Errors of the layer itself: the line ends behind them (rpc.md 3.1). */
static void refuse(struct rpc_line *l, struct str text) {
    struct rpc_request *r = l->request;
    metric_count("rpc.request_error", 1);
    log_at(LOG_ERROR, LOGGER, "RPC error", LOG_C("conn", l->from), LOG_S("error", text));
    l->hang_up = true;
    l->request = NULL;
    respond_error(l, &r->header, text);
    request_free(r);
}

/* "the service is the part before the last dot" */
static const struct endpoint *find_endpoint(struct rpc_line *l, struct rpc_request *r) {
    struct str name = r->header.service_method;
    size_t dot = name.len;
    while (dot > 0 && name.data[dot - 1] != '.') {
        dot--;
    }
    const struct endpoint *endpoint = endpoint_find(name);
    const char *missing;
    if (endpoint != NULL && endpoint->insecure != l->insecure) {
        endpoint = NULL;
    }
    if (dot == 0) {
        refuse(l, str_format(&r->arena, "rpc: service/method request ill-formed: " STR_FMT,
                             STR_ARG(name)));
    } else if (!rpc_service_known(str_sub(name, 0, dot - 1), l->insecure)) {
        refuse(l, str_format(&r->arena, "rpc: can't find service " STR_FMT, STR_ARG(name)));
    } else if (endpoint == NULL && (missing = rpc_method_missing(name)) == NULL) {
        refuse(l, str_format(&r->arena, "rpc: can't find method " STR_FMT, STR_ARG(name)));
    } else if (endpoint == NULL) {
        l->request = NULL;
        respond_error(l, &r->header, str_from(missing));
        request_free(r);
    }
    return endpoint;
}

static size_t request_size(const struct endpoint *endpoint) {
    return endpoint->request != NULL ? endpoint->request->size
                                     : schema_type_size(endpoint->request_type);
}

static bool decode_request(struct str bytes, const struct endpoint *endpoint, void *request,
                           struct arena *arena, struct error *e) {
    if (endpoint->request != NULL) {
        return schema_decode_bytes(bytes, endpoint->request, request, arena, e);
    }
    struct msgpack_reader in = msgpack_read(bytes);
    return schema_decode_type(&in, endpoint->request_type, request, arena, e);
}

static void start_call(struct rpc_line *l, struct str body) {
    struct rpc_request *r = l->request;
    metric_count("rpc.request", 1);
    const struct endpoint *endpoint = find_endpoint(l, r);
    if (endpoint == NULL) {
        return;
    }
    struct error e = ERROR_IN(&r->arena);
    void *request = arena_zalloc(&r->arena, 1, request_size(endpoint));
    struct str copy = str_copy(&r->arena, body); /* strings of the request point into it */
    if (!decode_request(copy, endpoint, request, &r->arena, &e)) {
        /* What a form of its own says of its content is told bare. */
        bool bare = endpoint->request != NULL && endpoint->request->wire != NULL &&
                    e.kind == ERROR_INTERNAL;
        refuse(l,
               str_format(&r->arena, "%s" STR_FMT, bare ? "" : "codec.decoder: ", STR_ARG(e.text)));
        return;
    }
    if (!within_budget(l)) {
        hang_up(l, STR("too much memory is used by requests"));
        return;
    }
    r->call.endpoint = endpoint;
    r->call.arena = &r->arena;
    r->call.request = request;
    r->call.done = on_call_done;
    r->call.owner = r;
    r->call.variant = VARIANT;
    r->call.remote = true;
    l->state = LINE_CALLING;
    call_start(l->server, &r->call);
}

static bool read_header(struct rpc_line *l, struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct rpc_request *r = ARENA_NEW(&arena, struct rpc_request);
    struct str copy = str_copy(&arena, bytes);
    r->arena = arena;
    r->line = l;
    struct error e = ERROR_IN(&r->arena);
    if (schema_decode_bytes(copy, &rpc_request_header_shape, &r->header, &r->arena, &e)) {
        l->request = r;
        return true;
    }
    hang_up(l, str_format(&r->arena, "rpc: server cannot decode request: codec.decoder: " STR_FMT,
                          STR_ARG(e.text)));
    request_free(r);
    return false;
}

static void scan_begin(struct rpc_line *l, size_t max_bytes) {
    l->scan = (struct rpc_scan){.max_bytes = max_bytes, .max_tokens = RPC_REQUEST_TOKENS};
}

/* Looks at what there is of the message that begins there. True: it is complete, and *end bytes
 * long. */
static bool scan_message(struct rpc_line *l, struct str bytes, size_t *end) {
    enum rpc_scan_result result = RPC_SCAN_MORE;
    if (l->header_len == 0) {
        if (l->scan.tokens == 0) {
            scan_begin(l, RPC_HEADER_MAX);
        }
        result = rpc_scan(&l->scan, bytes.data, bytes.len);
        if (result == RPC_SCAN_DONE) {
            if (!read_header(l, str_sub(bytes, 0, l->scan.at))) {
                return false;
            }
            l->header_len = l->scan.at;
            scan_begin(l, RPC_REQUEST_MAX);
        }
    }
    if (l->header_len > 0) {
        result = rpc_scan(&l->scan, bytes.data + l->header_len, bytes.len - l->header_len);
        *end = l->header_len + l->scan.at;
    }
    if (result == RPC_SCAN_TOO_LARGE) {
        hang_up(l, STR("rpc: message too large"));
    }
    return result == RPC_SCAN_DONE;
}

/* Takes one message, or the part that came of it. Returns the bytes taken. */
static size_t take_message(struct rpc_line *l, const char *bytes, size_t len) {
    size_t before = l->in.len, end = 0;
    struct str view = str_of(bytes, len);
    if (before > 0) {
        buf_add(&l->in, bytes, len);
        view = buf_str(&l->in);
    }
    if (!scan_message(l, view, &end)) {
        if (before == 0 && !l->over) {
            buf_add(&l->in, bytes, len);
        }
        if (!l->over && !within_budget(l)) {
            hang_up(l, STR("too much memory is used by requests"));
        }
        return len;
    }
    struct buf in = l->in;
    l->in = BUF_INIT;
    size_t header_len = l->header_len;
    l->header_len = 0;
    l->scan = (struct rpc_scan){0};
    start_call(l, str_sub(view, header_len, end - header_len));
    buf_free(&in);
    account(l);
    return end - before;
}

size_t rpc_line_data(struct rpc_line *l, const char *bytes, size_t len) {
    size_t taken = 0;
    l->depth++;
    while (taken < len && !l->over && l->state == LINE_READING) {
        taken += take_message(l, bytes + taken, len - taken);
    }
    leave(l);
    return taken;
}

void rpc_line_ended(struct rpc_line *l) {
    l->depth++;
    l->ended = true;
    if (l->state == LINE_CALLING) {
        const struct call *call = &l->request->call;
        ptrdiff_t at = call->endpoint->options;
        const struct query_options *options =
            at < 0 ? NULL : (const struct query_options *)((char *)call->request + at);
        l->over |= options != NULL && options->min_query_index > 0;
    }
    leave(l);
}

void rpc_line_writable(struct rpc_line *l) {
    l->depth++;
    if (l->state == LINE_SENDING) {
        send_response(l);
    }
    leave(l);
}
