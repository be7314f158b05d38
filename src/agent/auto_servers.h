/* An agent that has no certificate yet asks servers for one (tls.md 13, 14): all addresses in turn,
 * by their restricted port, in rounds with growing pauses, until one answers. What is asked, and
 * what is made of the answer, is auto_encrypt.c's and auto_config.c's.
 */
#ifndef PRAETOR_AGENT_AUTO_SERVERS_H
#define PRAETOR_AGENT_AUTO_SERVERS_H

#include "net/loop.h"
#include "schema/schema.h"
#include "server/secure.h"

#define AUTO_LOGGER "agent.auto_config"

struct auto_servers_options {
    struct loop *loop;
    struct secure *secure;
    struct str datacenter, source; /* source: the IP that connections come from */
    struct list hosts[2];          /* of str: names, addresses, "provider=…" */
    bool ports;                    /* they may name a port; otherwise it is cut off */
    uint16_t port;
    const char *method; /* "AutoEncrypt.Sign" */
    const char *none;   /* what is logged when there is no address at all */
    const char *failed; /* when none has answered */
    /* Before each call. False: the error is logged, and it goes on as if nobody had answered. */
    bool (*body)(void *owner, struct buf *out, struct error *e);
    /* An answer. False: it is of no use. */
    bool (*take)(void *owner, struct str reply, struct error *e);
    /* It was: nothing more happens. */
    void (*done)(void *owner);
    void *owner;
};

struct auto_servers;
/* On the loop's thread; the strings must live as long. */
struct auto_servers *auto_servers_start(const struct auto_servers_options *options);
/* From done() on, and at any time before. */
void auto_servers_end(struct auto_servers *a);

/* "host:8300", "[::1]:8300", "::1", "host" -> host and port (`port` when there is none). */
struct str auto_servers_split(struct str text, uint16_t *port);

#endif
