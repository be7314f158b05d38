/* A line of requests (rpc.md 3): bytes come in, requests are found in them, called one after the
 * other, and their answers go out in that order. What carries the bytes - a stream of a session, a
 * connection - is rpc_serve.c's.
 *
 * Everything happens on the line's loop. The line's input is taken only while no request is under
 * way; what was sent ahead waits with the carrier. A message that has not come completely is kept
 * here; all that lines keep counts against one budget of the process.
 */
#ifndef PRAETOR_SERVER_RPC_LINE_H
#define PRAETOR_SERVER_RPC_LINE_H

#include "base/buf.h"
#include "server/rpc_wire.h"

struct server;
struct answer;
struct rpc_line;
struct rpc_request;

/* Bytes that a line that waits costs in all, about: an eighth of the machine's memory may be used
 * for lines. */
#define RPC_LINE_COST ((size_t)4096)
/* One message at most, and msgpack tokens in it. The peer has no limit; what HTTP and agents let
 * through is far below. */
#define RPC_REQUEST_MAX ((size_t)64 << 20)
#define RPC_REQUEST_TOKENS ((uint64_t)4 << 20)
#define RPC_HEADER_MAX ((size_t)64 << 10)

struct rpc_line_carrier {
    /* Returns how much is taken. Less than all: rpc_line_writable follows. */
    size_t (*write)(struct rpc_line *l, struct str bytes);
    /* After writes, perhaps outside of what the carrier called. */
    void (*flush)(struct rpc_line *l);
    /* false: what came is offered again (rpc_line_data), perhaps before it returns. */
    void (*set_busy)(struct rpc_line *l, bool busy);
    /* Nothing more will be read or written: says goodbye after what was written, and frees the line
     * (rpc_line_free) now or later, without calling it in between. Never inside the other three. */
    void (*end)(struct rpc_line *l);
};

struct rpc_line {
    const struct rpc_line_carrier *carrier;
    struct server *server;
    const char *from; /* "from=127.0.0.1:5000", for logs; the carrier's */
    bool insecure;    /* of the restricted port: it has other services (rpc.md 6.17) */

    /* Own. */
    struct buf in;        /* a message that has not come completely */
    struct rpc_scan scan; /* of its header, then of its body */
    size_t header_len;    /* 0: the header has not come completely */
    struct rpc_request *request;
    struct buf out; /* the response that goes out: header, and the body unless it is shared */
    size_t sent;    /* of both */
    struct str shared;
    struct answer *answer; /* whose the shared body is */
    size_t counted;        /* in the budget */
    unsigned depth;
    uint8_t state; /* enum line_state */
    bool busy, ended, hang_up, over;
};

/* Before the first use; false: the process has as many lines as its memory allows (the struct is
 * not to be used). The rest of it is zeroed but for the first four. */
bool rpc_line_open(struct rpc_line *l);
size_t rpc_line_data(struct rpc_line *l, const char *bytes, size_t len);
/* The other side sends no more. A blocking query that it left is called off. */
void rpc_line_ended(struct rpc_line *l);
void rpc_line_writable(struct rpc_line *l);
/* After rpc_line_open: calls off what is under way and gives everything back but the struct. */
void rpc_line_free(struct rpc_line *l);

/* Bytes that all lines of the process keep. */
size_t rpc_line_bytes(void);

#endif
