/* The framing of the server RPC: headers, and the end of an object that comes in pieces. */
#include "server/rpc_wire.h"

#include "codec/msgpack.h"
#include "schema/table.h"

/* In the order in which the peer declares them: a header may be an array. */
#define OF struct rpc_request_header
static const struct field rpc_request_header_fields[] = {
    F_STR("ServiceMethod", service_method),
    F_UINT("Seq", seq),
};
#undef OF
SHAPE(rpc_request_header, "Request");

#define OF struct rpc_response_header
static const struct field rpc_response_header_fields[] = {
    F_STR("ServiceMethod", service_method),
    F_UINT("Seq", seq),
    F_STR("Error", error),
};
#undef OF
SHAPE(rpc_response_header, "Response");

void rpc_write_request(struct buf *out, uint64_t seq, struct str method) {
    struct rpc_request_header header = {seq, method};
    schema_encode(out, &rpc_request_header_shape, &header);
}

void rpc_write_response(struct buf *out, uint64_t seq, struct str method, struct str error) {
    struct rpc_response_header header = {error, seq, method};
    schema_encode(out, &rpc_response_header_shape, &header);
}

/* ---- scanning ---- */

/* A token's own bytes: how many its head has, and where its length is. */
struct token {
    size_t head;    /* tag and length */
    uint64_t data;  /* bytes behind that */
    uint64_t items; /* objects inside */
};

static uint64_t number(const uint8_t *at, unsigned width) {
    uint64_t n = 0;
    for (unsigned i = 0; i < width; i++) {
        n = n << 8 | at[i];
    }
    return n;
}

/* How many bytes of length follow the tag, for what has one. */
static unsigned length_width(uint8_t tag) {
    switch (tag) {
    case 0xc4:
    case 0xc7:
    case 0xd9:
        return 1;
    case 0xc5:
    case 0xc8:
    case 0xda:
    case 0xdc:
    case 0xde:
        return 2;
    case 0xc6:
    case 0xc9:
    case 0xdb:
    case 0xdd:
    case 0xdf:
        return 4;
    default:
        return 0;
    }
}

/* Bytes that follow a tag without a length. */
static unsigned fixed_data(uint8_t tag) {
    static const uint8_t numbers[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8}; /* ca .. d3 */
    if (tag >= 0xca && tag <= 0xd3) {
        return numbers[tag - 0xca];
    }
    return tag >= 0xd4 && tag <= 0xd8 ? 1 + (1u << (tag - 0xd4)) : 0; /* fixext, with its type */
}

/* False: the head is not all there. */
static bool read_token(const uint8_t *at, size_t left, struct token *t) {
    uint8_t tag = *at;
    *t = (struct token){.head = 1};
    if (tag >= 0x80 && tag <= 0x8f) {
        t->items = 2 * (uint64_t)(tag & 15);
    } else if (tag >= 0x90 && tag <= 0x9f) {
        t->items = tag & 15;
    } else if (tag >= 0xa0 && tag <= 0xbf) {
        t->data = tag & 31;
    } else if (tag >= 0xc0 && tag <= 0xdf) {
        unsigned width = length_width(tag);
        t->head = 1 + width;
        if (left < t->head) {
            return false;
        }
        uint64_t n = number(at + 1, width);
        if (tag >= 0xdc) {
            t->items = tag >= 0xde ? 2 * n : n;
        } else {
            t->data = width > 0 ? n + (tag >= 0xc7 && tag <= 0xc9) : fixed_data(tag);
        }
    }
    return true;
}

enum rpc_scan_result rpc_scan(struct rpc_scan *scan, const char *bytes, size_t len) {
    while (scan->tokens == 0 || scan->announced > 0) {
        struct token t;
        if (scan->at >= len || !read_token((const uint8_t *)bytes + scan->at, len - scan->at, &t)) {
            return RPC_SCAN_MORE;
        }
        scan->announced -= scan->tokens > 0;
        scan->announced += t.items;
        scan->tokens++;
        if (scan->announced > scan->max_tokens - scan->tokens || scan->tokens > scan->max_tokens ||
            t.data > scan->max_bytes || scan->at + t.head + t.data > scan->max_bytes ||
            /* each has at least its tag */
            scan->at + t.head + t.data + scan->announced > scan->max_bytes) {
            return RPC_SCAN_TOO_LARGE;
        }
        scan->at += t.head + (size_t)t.data;
    }
    return scan->at <= len ? RPC_SCAN_DONE : RPC_SCAN_MORE;
}
