/* gRPC checks: one call of grpc.health.v1.Health/Check on a connection of its own (agent.md 3.5).
 * HTTP/2 is libcurl's; the two messages, a string going out and a number coming in, are made and
 * read here.
 */
#include <errno.h>
#include <stdlib.h>

#include "agent/check_run.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/protobuf.h"
#include "net/http_client.h"

#define DEFAULT_TIMEOUT (10 * SECOND)
#define CONNECT_LIMIT (20 * SECOND) /* gRPC's own for a connection */
#define ANSWER_MAX 65536
#define FRAME_HEAD 5 /* compressed or not, length */
#define SERVING 1

static const char *const code_names[] = {
    "OK",       "Canceled",        "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",   "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",      "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated",
};

struct grpc_check {
    struct http_transfer transfer;
    struct arena arena;
    struct check_run *run;
    struct str address, host;
    struct str content_type;
    struct str code, message; /* grpc-status, grpc-message */
};

/* ---- messages ---- */

/* HealthCheckRequest{service} in a frame. */
static struct str request_bytes(struct str service, struct arena *arena) {
    struct buf message = BUF_INIT, framed = BUF_INIT;
    if (service.len > 0)
        pb_add_bytes(&message, 1, service);
    buf_add_char(&framed, 0);
    buf_add_be32(&framed, (uint32_t)message.len);
    buf_add_str(&framed, buf_str(&message));
    struct str bytes = str_copy(arena, buf_str(&framed));
    buf_free(&message);
    buf_free(&framed);
    return bytes;
}

bool check_grpc_read_status(struct str frame, uint64_t *status) {
    *status = 0;
    if (frame.len < FRAME_HEAD || frame.data[0] != 0 ||
        be32_get(frame.data + 1) > frame.len - FRAME_HEAD)
        return false;
    struct pb_reader in = {str_sub(frame, FRAME_HEAD, be32_get(frame.data + 1)), NULL};
    while (in.rest.len > 0) {
        uint64_t number;
        unsigned wire;
        if (!pb_take_key(&in, &number, &wire))
            return false;
        bool is_status = number == 1 && wire == PB_VARINT;
        if (is_status ? !pb_take_varint(&in, status) : !pb_skip(&in, wire))
            return false;
    }
    return true;
}

/* grpc-message: percent-encoded. */
static struct str decode_message(struct str s, struct arena *arena) {
    char *out = arena_alloc(arena, s.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        char hex[3] = {0}, *end = hex;
        unsigned long byte = 0;
        if (s.data[i] == '%' && i + 2 < s.len) {
            memcpy(hex, s.data + i + 1, 2);
            byte = strtoul(hex, &end, 16);
        }
        bool escaped = end == hex + 2 && hex[0] != '+' && hex[0] != '-' && hex[0] != ' ';
        out[len++] = escaped ? (char)byte : s.data[i];
        i += escaped ? 2 : 0;
    }
    return str_of(out, len);
}

/* ---- end ---- */

static void over(struct grpc_check *g, enum check_health status, struct str output) {
    struct arena arena = g->arena;
    check_run_over(g->run, status, output);
    http_transfer_free(&g->transfer);
    mem_free(g);
    arena_free(&arena);
}

static void fail(struct grpc_check *g, const char *code, struct str text) {
    over(g, CHECK_CRITICAL,
         str_format(&g->arena, "rpc error: code = %s desc = " STR_FMT, code, STR_ARG(text)));
}

/* RST_STREAM: what its error codes mean is gRPC's (doc/PROTOCOL-HTTP2.md of gRPC). */
static void stream_reset(struct grpc_check *g) {
    static const struct {
        const char *name, *code;
    } codes[] = {
        {"NO_ERROR", "Internal"},
        {"PROTOCOL_ERROR", "Internal"},
        {"INTERNAL_ERROR", "Internal"},
        {"FLOW_CONTROL_ERROR", "ResourceExhausted"},
        {"SETTINGS_TIMEOUT", "Internal"},
        {"STREAM_CLOSED", "Internal"},
        {"FRAME_SIZE_ERROR", "Internal"},
        {"REFUSED_STREAM", "Unavailable"},
        {"CANCEL", "Canceled"},
        {"COMPRESSION_ERROR", "Internal"},
        {"CONNECT_ERROR", "Internal"},
        {"ENHANCE_YOUR_CALM", "ResourceExhausted"},
        {"INADEQUATE_SECURITY", "PermissionDenied"},
        {"HTTP_1_1_REQUIRED", "Internal"},
    };
    struct str error = str_from(g->transfer.error_text);
    ptrdiff_t at = str_find(error, STR("(err "), 0);
    size_t number = at < 0 ? 2 : strtoul(error.data + at + 5, NULL, 10);
    if (number >= COUNT_OF(codes))
        number = 2;
    fail(g, codes[number].code,
         str_format(&g->arena, "stream terminated by RST_STREAM with error code: %s",
                    codes[number].name));
}

static void connection_failed(struct grpc_check *g) {
    struct http_transfer *t = &g->transfer;
    if (t->code == CURLE_HTTP2_STREAM) {
        stream_reset(g);
        return;
    }
    if (g->host.len == 0)
        t->address = g->address;
    struct str fault = http_transfer_fault(t, g->host), text;
    if (t->code == CURLE_SSL_CONNECT_ERROR || t->code == CURLE_PEER_FAILED_VERIFICATION) {
        if (str_has_prefix(fault, STR("http: server gave")))
            fault = STR("tls: first record does not look like a TLS handshake");
        else if (t->exceeded == LIMIT_HANDSHAKE)
            fault = STR("context deadline exceeded");
        text = str_format(&g->arena, "transport: authentication handshake failed: " STR_FMT,
                          STR_ARG(fault));
    } else if (t->code == CURLE_COULDNT_CONNECT || t->code == CURLE_COULDNT_RESOLVE_HOST) {
        text = str_format(&g->arena, "transport: Error while dialing " STR_FMT, STR_ARG(fault));
    } else {
        fail(g, "Unavailable", STR("connection closed"));
        return;
    }
    struct str quoted = str_quote(&g->arena, text);
    fail(g, "Unavailable",
         str_format(&g->arena, "connection error: desc = " STR_FMT, STR_ARG(quoted)));
}

static const char *status_text(long status) {
    static const struct {
        long status;
        const char *text;
    } texts[] = {{200, "OK"},
                 {204, "No Content"},
                 {301, "Moved Permanently"},
                 {302, "Found"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {415, "Unsupported Media Type"},
                 {429, "Too Many Requests"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"}};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "";
}

/* An answer that is not gRPC's. */
static void http_failed(struct grpc_check *g) {
    long status = g->transfer.status;
    const char *code = "Unknown";
    if (status == 401)
        code = "Unauthenticated";
    else if (status == 403)
        code = "PermissionDenied";
    else if (status == 404)
        code = "Unimplemented";
    else if (status == 429 || (status >= 502 && status <= 504))
        code = "Unavailable";
    else if (status == 400)
        code = "Internal";
    struct str type = STR("missing content-type field");
    if (g->content_type.len > 0) {
        struct str quoted = str_quote(&g->arena, g->content_type);
        type =
            str_format(&g->arena, "received the unexpected content-type " STR_FMT, STR_ARG(quoted));
    }
    fail(g, code,
         str_format(&g->arena, "%s: HTTP status code %ld; transport: " STR_FMT, status_text(status),
                    status, STR_ARG(type)));
}

static void answered(struct grpc_check *g) {
    struct http_transfer *t = &g->transfer;
    uint64_t code, status;
    if (!str_to_u64(g->code, &code)) {
        fail(g, "Internal", STR("server closed the stream without sending trailers"));
    } else if (code >= COUNT_OF(code_names)) {
        struct str name = str_format(&g->arena, "Code(%llu)", (unsigned long long)code);
        fail(g, name.data, decode_message(g->message, &g->arena));
    } else if (code != 0) {
        fail(g, code_names[code], decode_message(g->message, &g->arena));
    } else if (t->output.total > ANSWER_MAX) {
        fail(g, "ResourceExhausted", STR("grpc: received message larger than max"));
    } else if (!check_grpc_read_status(tail_bytes(&t->output), &status)) {
        fail(g, "Internal", STR("grpc: failed to unmarshal the received message"));
    } else if (status != SERVING) {
        over(g, CHECK_CRITICAL, STR("gRPC application didn't report service healthy"));
    } else {
        over(g, CHECK_PASSING,
             str_format(&g->arena, "gRPC check " STR_FMT ": success", STR_ARG(g->run->type.grpc)));
    }
}

static void transfer_done(struct http_transfer *t) {
    struct grpc_check *g = t->owner;
    bool complete = t->code == CURLE_OK || g->code.len > 0;
    if (t->code == CURLE_OPERATION_TIMEDOUT && !complete)
        fail(g, "DeadlineExceeded", STR("context deadline exceeded"));
    else if (!complete)
        connection_failed(g);
    else if (g->code.len == 0 && !str_has_prefix(g->content_type, STR("application/grpc")))
        http_failed(g);
    else
        answered(g);
}

static void on_header(struct http_transfer *t, struct str name, struct str value) {
    struct grpc_check *g = t->owner;
    if (str_eq_fold(name, STR("grpc-status")))
        g->code = str_copy(&g->arena, value);
    else if (str_eq_fold(name, STR("grpc-message")))
        g->message = str_copy(&g->arena, value);
    else if (str_eq_fold(name, STR("content-type")))
        g->content_type = str_copy(&g->arena, value);
}

/* ---- start ---- */

/* "host:port" of the target as a URL, or of the name that the agent's TLS settings want. */
static void set_url(struct grpc_check *g, struct str port) {
    struct http_transfer *t = &g->transfer;
    struct check_run *r = g->run;
    struct str name = r->type.grpc_use_tls ? r->tls.server_name : STR_NONE;
    struct str authority = g->address;
    if (g->host.len == 0) /* on this machine, which libcurl would not know */
        authority = str_format(&g->arena, "127.0.0.1" STR_FMT, STR_ARG(authority));
    if (name.len > 0) {
        t->connect_to = str_format(&g->arena, "::" STR_FMT, STR_ARG(authority)).data;
        authority = str_format(&g->arena, STR_FMT ":" STR_FMT, STR_ARG(name), STR_ARG(port));
    }
    t->url = str_format(&g->arena, "http%s://" STR_FMT "/grpc.health.v1.Health/Check",
                        r->type.grpc_use_tls ? "s" : "", STR_ARG(authority))
                 .data;
}

static bool split_target(struct grpc_check *g, struct str *service, struct str *port) {
    struct str rest = g->run->type.grpc;
    g->address = str_cut(&rest, '/');
    *service = rest;
    ptrdiff_t bracket = str_find_char(g->address, ']');
    ptrdiff_t colon = str_find(g->address, STR(":"), bracket < 0 ? 0 : (size_t)bracket);
    if (colon < 0)
        return false;
    *port = str_sub(g->address, (size_t)colon + 1, g->address.len);
    g->host = str_sub(g->address, 0, (size_t)colon);
    return port->len > 0;
}

static bool cannot_dial(struct grpc_check *g, struct str why, struct error *e) {
    struct str text =
        str_format(&g->arena, "transport: Error while dialing " STR_FMT, STR_ARG(why));
    struct str quoted = str_quote(&g->arena, text);
    return error_set(e, ERROR_BAD_REQUEST,
                     "rpc error: code = Unavailable desc = connection error: desc = " STR_FMT,
                     STR_ARG(quoted));
}

static bool prepare(struct grpc_check *g, struct error *e) {
    struct http_transfer *t = &g->transfer;
    struct check_run *r = g->run;
    struct str service, port;
    struct error bad = ERROR_IN(&g->arena);
    if (!split_target(g, &service, &port))
        return cannot_dial(
            g,
            g->address.len == 0
                ? STR("dial tcp: missing address")
                : str_format(&g->arena, "dial tcp: address " STR_FMT ": missing port in address",
                             STR_ARG(g->address)),
            e);
    if (!check_port_known(port, &g->arena, &bad))
        return cannot_dial(g, bad.text, e);
    set_url(g, port);
    t->arena = &g->arena;
    t->owner = g;
    t->done = transfer_done;
    t->header = on_header;
    t->method = "POST";
    t->body = request_bytes(service, &g->arena);
    t->sends_body = true;
    t->http2 = true;
    t->tls = &r->tls;
    t->skip_verify = r->type.tls_skip_verify;
    t->timeout = check_run_timeout(r, DEFAULT_TIMEOUT);
    t->dial_limit = t->handshake_limit = CONNECT_LIMIT;
    t->output.limit = ANSWER_MAX;
    http_transfer_header(t, "Content-Type: application/grpc");
    http_transfer_header(t, "TE: trailers");
    http_transfer_header(t, "User-Agent: grpc-c/praetor");
    http_transfer_header(t, "Accept:");
    http_transfer_header(t, "Expect:");
    return http_transfer_start(t, e);
}

static void grpc_start(struct check_run *r) {
    struct grpc_check *g = MEM_NEW(struct grpc_check);
    struct error e = ERROR_IN(&g->arena);
    g->run = r;
    r->state = g;
    g->transfer.curl = check_run_curl(r, &e);
    if (g->transfer.curl == NULL) {
        check_run_over(r, CHECK_CRITICAL, e.text);
        struct arena arena = g->arena;
        mem_free(g);
        arena_free(&arena);
        return;
    }
    if (!prepare(g, &e))
        over(g, CHECK_CRITICAL, e.text);
}

static void grpc_cancel(struct check_run *r) {
    struct grpc_check *g = r->state;
    http_transfer_cancel(&g->transfer);
    over(g, CHECK_CRITICAL, STR(""));
}

const struct check_kind check_kind_grpc = {grpc_start, grpc_cancel};
