/* The built-in layer-4 proxy (connect.md 7.1): everything on one loop. Connections that come in
 * over TLS are authorised by the agent and handed on to the application; connections of the
 * application to its upstreams go out over TLS to an instance whose certificate names the service
 * that is meant. Both begin with the other side proven, and only then is anybody dialled on its
 * behalf.
 */
#ifndef PRAETOR_CLI_PROXY_H
#define PRAETOR_CLI_PROXY_H

#include "base/map.h"
#include "cli/cli.h"
#include "cli/proxy_agent.h"
#include "cli/proxy_config.h"
#include "net/listener.h"
#include "net/stream.h"

/* In ALPN's form: what the peer's proxies say that they speak, whatever flows. */
#define PROXY_PROTOCOL "\x02h2"
#define PROXY_UNPROVEN_MAX 4096 /* connections whose two sides are not both there yet */

struct proxy_listener;
struct proxy_connection;
struct proxy_meter;
struct proxy_traffic;

struct proxy {
    struct loop *loop;
    struct proxy_agent *agent;
    struct arena config_arena;
    struct proxy_config *config; /* NULL: not known yet */
    struct agent_watch *roots_watch, *leaf_watch;
    /* Who we are, and whom we believe: proxy_identity.c. */
    struct arena roots_arena, leaf_arena;
    struct str *roots; /* PEM texts */
    size_t root_count;
    struct str certificate, key, uri;
    struct tls_config *tls;           /* NULL: not both are known yet */
    struct proxy_listener *listeners; /* all */
    struct proxy_connection *connections;
    size_t unproven;           /* connections before STEP_PIPING */
    struct proxy_meter *meter; /* NULL: nothing is measured */
    /* The host's name that was found last. */
    char found_name[256], found_ip[46];
    int64_t found_until;
    bool stopping;
};

/* Takes a configuration, the first or another one: listeners come and go, the others stay. */
void proxy_configure(struct proxy *p, const struct proxy_config *config);
/* Closes everything; the loop must go on for a round. */
void proxy_stop(struct proxy *p);
/* After the loop's end. */
void proxy_free(struct proxy *p);

/* ---- proxy_identity.c ---- */

/* Watches the roots and the certificate of the service, in place of those of another. */
void proxy_identity_watch(struct proxy *p, struct str service);
void proxy_identity_stop(struct proxy *p);

/* ---- proxy_metrics.c ---- */

/* Begins to measure as the settings of the registration say; or logs why not. At most once. */
void proxy_metrics_start(struct proxy *p, const struct cli_telemetry *telemetry,
                         const struct value *settings, struct str proxy_id);
/* What was measured, to standard error. */
void proxy_metrics_dump(const struct proxy *p);
/* With the connections gone; and after the loop's end. */
void proxy_metrics_stop(struct proxy *p);
void proxy_metrics_free(struct proxy *p);
/* Both sides are there; bytes flow no more. */
void proxy_metrics_opened(struct proxy_connection *c);
void proxy_metrics_closed(struct proxy_connection *c);

/* ---- proxy_listen.c ---- */

/* Opens what the configuration asks for and is not open, closes what it does not ask for. */
void proxy_listen(struct proxy *p);
void proxy_listen_stop(struct proxy *p);

/* ---- connections: proxy_connection.c, proxy_inbound.c, proxy_outbound.c ---- */

enum proxy_step {
    STEP_PROVING,  /* inbound: the handshake and the agent's word; outbound: nothing */
    STEP_DIALLING, /* on behalf of who came */
    STEP_PIPING,
    STEP_ENDING,
};

struct proxy_side {
    struct proxy_connection *connection;
    struct stream stream;
    bool open;
    bool end_waits; /* it has no more to say, but what it has said is not all passed on */
    bool ended;     /* it has no more to say */
    bool end_due;   /* it is to be told that the other has no more to say */
};

struct proxy_connection {
    struct proxy *proxy;
    struct proxy_connection *next, *previous;
    struct arena arena;
    bool inbound;
    enum proxy_step step;
    struct proxy_side near, far; /* who came; whom we dialled */
    struct loop_timer timer;
    bool moved;                     /* bytes, since the timer was set */
    struct proxy_traffic *traffic;  /* NULL: it is not measured */
    uint64_t received, sent;        /* bytes of and to who came, not reported yet */
    struct proxy_upstream upstream; /* outbound: the listener's */
    struct proxy_instance instance; /* outbound: whom it must meet */
    struct agent_question *question;
    struct resolve *resolve;
    struct dial *dial;
    struct connect *connect;
    struct str host; /* that is looked up */
    int64_t until;   /* when proving and dialling must be over; monotonic */
    uint16_t port;   /* that is dialled */
};

/* A connection was accepted. upstream NULL: by the public listener. */
void proxy_accept(struct proxy *p, int fd, const struct proxy_upstream *upstream);
/* Begins with what an accepted one needs first. */
void proxy_inbound_start(struct proxy_connection *c, int fd);
void proxy_outbound_start(struct proxy_connection *c, int fd);
/* The TLS handshake of an inbound one is over. */
void proxy_inbound_secured(struct proxy_connection *c);
/* The one side is a stream of this descriptor from here on, or the one that was made already. */
void proxy_side_open(struct proxy_side *side, int fd);
void proxy_side_attach(struct proxy_side *side, struct stream_detached *connection);
/* Both sides are open: bytes flow from here on. */
void proxy_pipe(struct proxy_connection *c);
/* Tells why (STR_NONE: nothing to tell), and ends it. */
void proxy_fail(struct proxy_connection *c, const char *what, struct str why);
void proxy_drop(struct proxy_connection *c);
/* Time that is left for proving and dialling. */
int64_t proxy_time_left(const struct proxy_connection *c);
/* Finds the IP of the host, then goes on with proxy_inbound_dial or proxy_outbound_dial. */
void proxy_find(struct proxy_connection *c, struct str host, int64_t port);
void proxy_inbound_dial(struct proxy_connection *c, struct str ip);
void proxy_outbound_dial(struct proxy_connection *c, struct str ip);

#endif
