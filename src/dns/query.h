/* The life of one client's query, without sockets: bytes in, bytes out. A query has one look-up of
 * its own, and that starts others for names that are given as addresses (dns.md 8). Everything
 * happens on one thread; steps that must wait (a call to an endpoint, an exchange with a recursor)
 * go on in their done() functions, which may run before the function that started them returns.
 *
 *   query.c      accepting, routing, header, the reply's bytes    name.c      names to look-ups
 *   lookup.c     calls to endpoints, and what is said of errors   address.c   addresses and targets
 *   node.c service.c authority.c reverse.c   one kind of look-up each; service.c also queries
 *   instance.c   what an instance's records are, made once for an answer of the endpoint
 *   resolve.c    names as addresses    trim.c   size limits    forward.c exchange.c   recursors
 */
#ifndef PRAETOR_DNS_QUERY_H
#define PRAETOR_DNS_QUERY_H

#include <netinet/in.h>

#include "base/random.h"
#include "codec/dns.h"
#include "dns/settings.h"
#include "server/call.h"

/* Queries of one thread that wait for something; beyond, new ones are not answered. */
#define DNS_QUERIES_MAX 4096u
/* Exchanges with recursors of one thread at a time; beyond, they fail at once. */
#define DNS_EXCHANGES_MAX 1024u
/* Names given as addresses that one query resolves; the rest stay without addresses. */
#define DNS_RESOLVES_MAX 64u
/* How deep a client's query may go from name to name in our own domain. */
#define DNS_DEPTH 3
/* Idle queries kept for the next, with their memory. */
#define DNS_IDLE_MAX 256u

enum dns_transport { DNS_UDP, DNS_TCP };

struct dns_query;
struct dns_lookup;
struct dns_exchange;

/* What a thread has to work with. call, cancel and exchange are functions so that tests can answer
 * in the place of the server and of recursors. */
struct dns_worker {
    const struct dns_site *site;
    struct dns_settings *settings;
    struct dns_compressor *compressor;
    struct dns_budget *budget; /* of large answers over UDP */
    struct prng random;
    struct buf scratch; /* of trim.c */
    struct loop *loop;  /* NULL in tests */
    struct server *server;
    void (*call)(struct dns_worker *w, struct call *c);
    void (*cancel)(struct dns_worker *w, struct call *c);
    void (*exchange)(struct dns_exchange *x);
    struct dns_query *idle;
    uint32_t idle_count;
    struct dns_query *running; /* taken and not released */
    uint32_t running_count;
    uint32_t exchange_count;
    struct dns_channel *channels; /* open exchanges: exchange.c */
    uint8_t *receive_buffer;      /* of UDP exchanges, 64 KiB, on first use */
};
/* Fills in what does not depend on the caller; server and loop may be NULL. The settings' reference
 * is taken over. */
void dns_worker_init(struct dns_worker *w, const struct dns_site *site,
                     struct dns_settings *settings, struct server *server, struct loop *loop,
                     uint64_t seed);
/* No query may be taken any more. */
void dns_worker_free(struct dns_worker *w);

enum dns_lookup_kind {
    LOOKUP_INVALID,
    LOOKUP_NODE,
    LOOKUP_SERVICE,
    LOOKUP_CONNECT,
    LOOKUP_INGRESS,
    LOOKUP_QUERY,
    LOOKUP_ADDRESS,
};

/* A name in the domain, taken apart (dns.md 5). Texts are lower case and escaped. */
struct dns_parsed {
    enum dns_lookup_kind kind;
    struct str name;       /* node, service, query or hex digits */
    struct str tag;        /* or empty */
    struct str datacenter; /* never empty, unless kind is LOOKUP_INVALID */
};
/* name: below the domain or the alternative domain. */
void dns_name_take_apart(const struct dns_site *site, struct str name, uint16_t type,
                         struct dns_parsed *out, struct arena *arena);

/* A name given as an address. */
struct dns_resolve {
    struct dns_lookup *lookup; /* who asks */
    struct str name;
    void (*done)(struct dns_lookup *l);
    bool finished;
    struct dns_records records; /* result */
    struct dns_lookup *child;
    struct dns_exchange *exchange;
    size_t recursor; /* the one being asked */
};

struct dns_lookup {
    struct dns_query *query;
    struct dns_question question;
    enum dns_transport transport;
    bool has_edns;
    uint16_t edns_size;
    int depth;
    void (*done)(struct dns_lookup *l);
    void *owner;

    /* the reply */
    uint16_t rcode;
    bool truncated;
    struct dns_records sections[DNS_SECTIONS];

    struct dns_parsed parsed;
    uint32_t ttl; /* of a service's records */

    /* the call under way */
    struct call call;
    bool calling;
    struct agent_cache_ask *ask; /* instead, on a client agent with use_cache */
    bool bypass_cache;           /* what is there is too old */
    union {
        struct service_request service;
        struct node_request node;
        struct dc_request dc;
        struct prepared_query_execute_request query;
    } request;
    struct query_options *options; /* of the request */
    bool retry_stale;              /* ask again when the answer is too old */
    void (*then)(struct dns_lookup *l);
    struct answer *answer; /* for then(), which may keep it by setting this to NULL */

    /* the walk over instances or servers, which stops at each name that must be resolved */
    struct answer *kept; /* what the walk reads from; released with the query */
    const struct dns_instances *instances;
    uint32_t *order; /* shuffled */
    uint32_t count, next;
    uint8_t *seen;
    uint32_t given; /* instances that gave records */
    size_t bytes;   /* of SRV records, at least */
    uint32_t named; /* first instance with a name, or UINT32_MAX */
    uint32_t healthy;
    bool scan;   /* `seen` does not know all */
    bool chosen; /* the endpoint has filtered and ordered them: a prepared query's */
    bool walking;
    struct dns_resolve resolve;
    struct dns_lookup *next_in_query;
};

struct dns_query {
    struct dns_worker *worker;
    struct dns_settings *settings;
    struct arena arena;
    enum dns_transport transport;
    struct sockaddr_storage client;
    struct str bytes; /* of the request, in the arena */
    struct dns_message request;
    bool has_edns;
    struct dns_edns edns;
    struct dns_lookup lookup;
    struct dns_lookup *lookups; /* all, the query's own among them */
    uint32_t resolves;
    struct dns_exchange *exchange; /* forwarding */
    size_t recursor;
    int64_t started; /* monotonic */
    bool finished;
    enum { SERVED_DOMAIN = 1, SERVED_REVERSE = 2, SERVED_FORWARDED = 4 } served; /* for the log */
    struct buf response; /* empty: no answer */
    void (*done)(struct dns_query *q);
    void *owner;
    uint8_t local[32]; /* udp.c's: the address that was asked */
    size_t local_len;
    struct dns_query *next, *previous;
};

/* NULL when too many are running. */
struct dns_query *dns_query_take(struct dns_worker *w);
/* bytes need to live only during this call. done() runs once, perhaps inside; then response is the
 * answer, without a length in front. */
void dns_query_start(struct dns_query *q, enum dns_transport transport, struct str bytes,
                     const struct sockaddr *client, void (*done)(struct dns_query *q), void *owner);
/* After done(); or before, when nobody waits for the answer any more. */
void dns_query_release(struct dns_query *q);

/* ---- between the files of this room ---- */

/* query.c: the reply is complete. */
void dns_query_finish(struct dns_query *q);
/* All failed or nothing to ask: SERVFAIL with RA=1, AA=0. */
void dns_query_finish_unresolved(struct dns_query *q);
/* The reply of a recursor, passed on. */
void dns_query_finish_forwarded(struct dns_query *q, const struct dns_message *reply);
struct str dns_sockaddr_text(const struct sockaddr_storage *a, struct arena *arena);
struct str dns_client_text(struct dns_query *q); /* "127.0.0.1:40000" */
struct str dns_question_text(const struct dns_question *q, struct arena *arena); /* "{x. 1 1}" */

/* lookup.c */
void dns_lookup_init(struct dns_lookup *l, struct dns_query *q,
                     const struct dns_question *question);
/* Takes the name apart and looks it up (dns.md 5, 7.1 to 7.4). */
void dns_lookup_start(struct dns_lookup *l);
void dns_lookup_finish(struct dns_lookup *l);
void dns_lookup_finish_rcode(struct dns_lookup *l, enum dns_rcode rcode); /* NXDOMAIN: with SOA */
/* then() runs with the answer of the endpoint, whose error may be set. */
void dns_lookup_call(struct dns_lookup *l, const struct endpoint *endpoint, void *request,
                     struct query_options *options, void (*then)(struct dns_lookup *l));
/* NXDOMAIN when the datacenter is not known, otherwise SERVFAIL. */
void dns_lookup_finish_error(struct dns_lookup *l, const struct error *e);
struct dns_record *dns_lookup_add(struct dns_lookup *l, enum dns_section section, struct str owner,
                                  uint16_t type, uint32_t ttl, struct str data);
void dns_lookup_add_soa(struct dns_lookup *l, enum dns_section section);
void dns_lookup_add_ip(struct dns_lookup *l, enum dns_section section, struct str owner,
                       uint32_t ttl, unsigned family, const uint8_t *ip);

/* node.c, service.c, authority.c, reverse.c */
void dns_node_start(struct dns_lookup *l);
void dns_service_start(struct dns_lookup *l);
void dns_prepared_query_start(struct dns_lookup *l);
void dns_authority_start(struct dns_lookup *l); /* SOA and NS of the domain */
void dns_reverse_start(struct dns_lookup *l);   /* done, or dns_forward_start */
/* TXT data of a pair of node metadata (dns.md 7.1). */
struct str dns_meta_text(struct str key, struct str value, struct arena *arena);

/* address.c */
enum dns_pick { DNS_PICK_A, DNS_PICK_AAAA, DNS_PICK_ANY, DNS_PICKS };
enum dns_pick dns_pick_for(uint16_t type);
/* dns.md 6; remote: addresses are to be translated. */
struct str dns_pick_node(const struct node *n, enum dns_pick pick, bool remote);
struct str dns_pick_service(const struct node_service *s, enum dns_pick pick, bool remote);
uint16_t dns_pick_port(const struct node_service *s, bool remote);
bool dns_is_remote(const struct dns_site *site, struct str datacenter);
/* Names in the primary domain; absent when they cannot be encoded. */
struct str dns_node_target(const struct dns_site *site, struct str node, struct str datacenter,
                           struct arena *arena);
struct str dns_address_target(const struct dns_site *site, unsigned family, const uint8_t ip[16],
                              struct str datacenter, struct arena *arena);
/* Whether an address record of that family is an answer to the type. */
bool dns_ip_fits(uint16_t type, unsigned family);

/* resolve.c: l->resolve.records, then done(l). */
void dns_resolve_start(struct dns_lookup *l, struct str name, void (*done)(struct dns_lookup *l));

/* trim.c */
void dns_trim(struct dns_lookup *l);
/* The size of the reply with the first n answers and their additional records. Exported for tests.
 */
size_t dns_reply_size(struct dns_lookup *l, const struct dns_records sections[DNS_SECTIONS],
                      bool compress);

/* forward.c */
void dns_forward_start(struct dns_query *q);

/* exchange.c: one message to one recursor, and its reply. The caller fills in the first part and
 * keeps the struct until done() or dns_exchange_cancel. */
struct dns_exchange {
    struct dns_worker *worker;
    const struct dns_recursor *recursor;
    enum dns_transport transport;
    struct str message;
    struct dns_question question; /* the reply must repeat it */
    uint16_t id;
    size_t size;         /* longest reply over UDP */
    int64_t timeout;     /* ns, for each of connecting, writing and reading */
    struct arena *arena; /* of reply and error */
    void (*done)(struct dns_exchange *x);
    void *owner;

    bool ok;
    struct dns_message reply;
    struct str error;
    int64_t started;
    struct dns_channel *channel;
};
void dns_exchange_start(struct dns_exchange *x);  /* the worker's default for .exchange */
void dns_exchange_cancel(struct dns_exchange *x); /* done() will not run */
/* Gives up all exchanges of the thread: for stopping. */
void dns_exchange_close_all(struct dns_worker *w);
/* Checks and takes over a reply's bytes: false when it is not the reply to x (go on waiting). */
bool dns_exchange_accept(struct dns_exchange *x, struct str bytes);

/* instance.c: what the records of each instance are, for one pick. Made from the endpoint's answer
 * and kept with it; depends on nothing else but the datacenter and the site. */
#define DNS_NO_NAME UINT32_MAX
struct dns_instance {
    enum { INSTANCE_SKIP, INSTANCE_IP, INSTANCE_NAME } kind;
    uint32_t target, node_target; /* offsets of wire names, or DNS_NO_NAME */
    uint32_t same_address;        /* the first instance with this ip */
    uint32_t same_endpoint;       /* the first with this node, service address and port */
    uint32_t meta; /* offset of the node's TXT data: a length of two bytes, then data */
    uint16_t meta_count;
    uint16_t weight, port;
    bool critical, passing;
    uint8_t family;      /* INSTANCE_IP */
    uint8_t node_family; /* INSTANCE_NAME: of the node's address, when the name is the service's */
    uint8_t ip[16], node_ip[16];
};
struct dns_instances {
    uint32_t count;
    uint32_t names; /* offset of where names begin, from this struct */
    struct dns_instance items[];
};
/* nodes: of struct check_service_node, in the answer's reply. */
const struct dns_instances *dns_instances_of(struct answer *answer, const struct list *nodes,
                                             const struct dns_site *site, enum dns_pick pick,
                                             struct str datacenter);
struct str dns_instances_name(const struct dns_instances *list, uint32_t offset);

#endif
