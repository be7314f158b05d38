/* Calls to other servers' RPC ports (rpc.md 2 "client pool", 3, 7.5): one multiplexed connection
 * for each address, a stream for each exchange, idle streams used again. What an exchange means,
 * whether it is tried again and where else, is call.c's business.
 *
 * Threads: a pool belongs to one loop and everything happens there; each server thread has its own,
 * so a process has at most (threads) connections to a server.
 */
#ifndef PRAETOR_SERVER_RPC_POOL_H
#define PRAETOR_SERVER_RPC_POOL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "net/loop.h"

/* Exchanges under way in one pool; more are refused with "RPC rate limit exceeded". */
#define RPC_EXCHANGES_MAX 65536

struct gateways; /* gateways.h */
struct secure;
struct rpc_pool_options {
    struct str source;     /* IP that connections come from; absent: any */
    struct str datacenter; /* the own one */
    struct secure *secure; /* NULL: in clear (tests) */
    /* Servers of other datacenters are reached through mesh gateways; NULL: as all others. */
    struct gateways *gateways;
    /* Whose connections through gateways are used, another thread's (rpc_away.h); NULL: own ones.
     */
    struct rpc_pool *gateway_home;
    bool server;       /* 64 idle streams, 120 s; client agents: 32 and 127 s */
    int64_t idle_time; /* ns until an unused connection is closed; 0: that */
};

struct rpc_pool;
struct rpc_pool *rpc_pool_new(struct loop *loop, const struct rpc_pool_options *options);
/* On the loop: ends what is under way with an error and closes everything. New exchanges are
 * refused. */
void rpc_pool_close(struct rpc_pool *pool);
/* After loop_free. */
void rpc_pool_free(struct rpc_pool *pool);

struct loop *rpc_pool_loop(const struct rpc_pool *pool);

struct rpc_away;
struct rpc_connection;
struct rpc_stream;
struct rpc_insecure;

/* One request and its answer. The caller fills in the first part and keeps the struct, and what it
 * points to, until done or rpc_cancel. */
struct rpc_exchange {
    struct str address;    /* "ip:port" */
    struct str datacenter; /* of the server there; absent: the own one */
    struct str node;       /* its name, without which it is behind no gateway; or absent */
    struct str method;     /* "KVS.Get" */
    struct str body;       /* one msgpack object, encoded once whatever the tries */
    bool insecure;         /* to the restricted port (rpc_insecure.h) */
    /* Later, never inside rpc_start unless the pool is closed. Either error is set: the text with
     * its prefix (7.5), living in `arena`, kind ERROR_NO_LEADER, ERROR_DENIED, ERROR_RATE_LIMIT or
     * ERROR_INTERNAL as the text says, or ERROR_IO for what went wrong on the way. Or the reply is
     * one whole msgpack object, valid until done returns. */
    void (*done)(struct rpc_exchange *x);
    void *owner;
    struct arena *arena; /* for the error's text */

    struct error error;
    struct str reply;

    /* Own. */
    struct rpc_pool *pool;
    struct rpc_connection *connection;
    struct rpc_stream *stream;
    struct rpc_insecure *single;
    struct rpc_away *away;
    struct rpc_exchange *next, *previous;
    uint8_t state;
    bool again; /* the connection was made anew once because no stream could be opened */
};
void rpc_start(struct rpc_pool *pool, struct rpc_exchange *x);
/* done will not run; the other side sees the stream closed. After that the struct is the caller's
 * again. Nothing when it is not under way. */
void rpc_cancel(struct rpc_exchange *x);

/* For tests and statistics. */
unsigned rpc_pool_connections(const struct rpc_pool *pool);

#endif
