/* Answers, found and looked at. */
#include "server/rpc_reply.h"

/* Objects in one reply: each becomes memory when it is decoded. */
#define REPLY_TOKENS_MAX ((uint64_t)1 << 26)
#define HEADER_MAX ((size_t)1 << 20) /* it holds the error's text */

static bool has(struct str text, struct str part) {
    return str_find(text, part, 0) >= 0;
}

/* Errors travel as text only (rpc.md 7.5). */
enum error_kind rpc_error_kind(struct str text) {
    if (has(text, STR("Permission denied")) || has(text, STR("ACL not found"))) {
        return ERROR_DENIED;
    }
    if (has(text, STR("RPC rate limit exceeded"))) {
        return ERROR_RATE_LIMIT;
    }
    if (has(text, STR("Query not found"))) {
        return ERROR_NOT_FOUND;
    }
    return has(text, STR("No cluster leader")) ? ERROR_NO_LEADER : ERROR_INTERNAL;
}

static void scan_begin(struct rpc_reply *r, size_t max) {
    r->scan = (struct rpc_scan){.max_bytes = max, .max_tokens = REPLY_TOKENS_MAX};
}

void rpc_reply_begin(struct rpc_reply *r) {
    r->header_len = 0;
    scan_begin(r, HEADER_MAX);
}

/* False: it is no header. */
static bool header_read(struct str bytes, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct error why = ERROR_IN(&arena);
    struct rpc_response_header header;
    bool ok = schema_decode_bytes(bytes, &rpc_response_header_shape, &header, &arena, &why);
    if (!ok) {
        error_set(e, ERROR_INTERNAL, "rpc error making call: " STR_FMT, STR_ARG(why.text));
    } else if (header.error.len > 0) {
        error_set(e, rpc_error_kind(header.error), "rpc error making call: " STR_FMT,
                  STR_ARG(header.error));
    }
    arena_free(&arena);
    return ok;
}

enum rpc_reply_result rpc_reply_look(struct rpc_reply *r, const char *bytes, size_t len,
                                     struct str *body, size_t *end, struct error *e) {
    for (;;) {
        size_t from = r->header_len;
        enum rpc_scan_result result = rpc_scan(&r->scan, bytes + from, len - from);
        if (result == RPC_SCAN_TOO_LARGE) {
            error_clear(e);
            error_set(e, ERROR_INTERNAL, "rpc error making call: the reply is too large");
            return RPC_REPLY_BAD;
        }
        if (result == RPC_SCAN_MORE) {
            return RPC_REPLY_MORE;
        }
        if (from > 0) {
            *body = str_of(bytes + from, r->scan.at);
            *end = from + r->scan.at;
            return RPC_REPLY_DONE;
        }
        r->header_len = r->scan.at;
        if (!header_read(str_of(bytes, r->header_len), e)) {
            return RPC_REPLY_BAD;
        }
        scan_begin(r, RPC_REPLY_MAX);
    }
}
