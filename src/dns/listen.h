/* The sockets of one I/O thread: UDP in batches, TCP connections. Started and closed on the thread.
 */
#ifndef PRAETOR_DNS_LISTEN_H
#define PRAETOR_DNS_LISTEN_H

#include "dns/query.h"
#include "net/client_limit.h"

/* Datagrams taken and sent with one system call. */
#define DNS_BATCH 32u

struct dns_thread;

/* Memory for receiving, shared by the UDP sockets of a thread. */
struct dns_batch;
struct dns_batch *dns_batch_new(void);
void dns_batch_free(struct dns_batch *b);

struct dns_udp {
    struct dns_worker *worker;
    struct dns_batch *batch;
    uv_poll_t poll;
    int fd;
    bool any_address; /* answers must leave from the address that was asked */
    bool receiving;   /* answers are collected and sent together */
    bool closing;
    int events;                             /* waited for */
    struct dns_query *ready[DNS_BATCH * 2]; /* answers to send */
    uint32_t ready_count;
    uint64_t lost; /* answers that found no room */
    void (*closed)(void *owner);
    void *owner;
};
bool dns_udp_start(struct dns_udp *u, struct dns_worker *w, struct dns_batch *batch, int fd,
                   bool any_address);
void dns_udp_close(struct dns_udp *u, void (*closed)(void *owner), void *owner);

struct dns_connection;
struct dns_tcp {
    struct dns_worker *worker;
    uv_tcp_t listener;
    struct dns_connection *connections;
    uint32_t count, limit;
    struct client_limit *clients; /* shared by all threads */
    int open;                     /* handles, the listener's and the connections' */
    bool closing;
    void (*closed)(void *owner);
    void *owner;
};
/* fd: bound, not listening yet. limit: connections at a time; clients: how many of one address. */
bool dns_tcp_start(struct dns_tcp *t, struct dns_worker *w, int fd, uint32_t limit,
                   struct client_limit *clients);
/* closed() runs when all is closed; connections are cut off. */
void dns_tcp_close(struct dns_tcp *t, void (*closed)(void *owner), void *owner);

#endif
