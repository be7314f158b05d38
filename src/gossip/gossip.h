/* The gossip core (gossip.md): one agent's part in one pool, as a value that events change. It
 * holds both layers: membership (probes, suspicion, dissemination, push/pull, encryption) and what
 * lies on top (intents, user events, queries, tags, coordinates, the snapshot for rejoining). It
 * does no I/O, reads no clock, starts no thread and draws no randomness but from its seed: time,
 * packets, streams' bytes and commands come in as events; packets, streams, membership changes,
 * file contents and log lines go out as actions. The same core runs under the driver and in
 * simulations.
 *
 * What the caller does with actions: all of them at once, in order. Strings of an action live until
 * gossip_actions_clear. Getters' strings live until the next gossip_step.
 *
 * Streams are TCP connections, named by numbers. Those that the core wants opened it numbers
 * itself (GOSSIP_ACTION_STREAM_OPEN); those that are accepted get theirs from the core
 * (GOSSIP_EVENT_STREAM_ACCEPTED). Their time limits are the core's: when it closes one, whatever
 * state it is in, nothing more is said about it, and its number is not used again.
 *
 * Not here: sockets, DNS names, files, cloud discovery, the catalog; what Consul makes of tags
 * (rules.h).
 */
#ifndef PRAETOR_GOSSIP_GOSSIP_H
#define PRAETOR_GOSSIP_GOSSIP_H

#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "gossip/address.h"
#include "gossip/coordinate.h"
#include "gossip/keyring.h"
#include "gossip/tags.h"

struct gossip;
struct gossip_shared;

/* ---- options ---- */

/* Durations in ns: gossip.md 8. */
struct gossip_timing {
    int64_t gossip_interval;
    unsigned gossip_nodes;
    int64_t probe_interval, probe_timeout;
    unsigned suspicion_mult, suspicion_max_mult;
    unsigned retransmit_mult;
    unsigned indirect_checks;
    int64_t push_pull_interval; /* 0: none */
    int64_t gossip_to_dead, dead_reclaim;
    int64_t stream_timeout;
    int64_t broadcast_timeout, leave_propagate;
    int64_t reap_interval;
    int64_t failed_kept; /* reconnect_timeout */
    int64_t left_kept;
    int64_t reconnect_interval;
    int64_t intent_kept;
};
struct gossip_timing gossip_timing_lan(void);
struct gossip_timing gossip_timing_wan(void);
/* What -dev changes, in either pool. */
void gossip_timing_dev(struct gossip_timing *t);

enum gossip_state { GOSSIP_ALIVE, GOSSIP_SUSPECT, GOSSIP_DEAD, GOSSIP_LEFT };
enum gossip_status {
    GOSSIP_STATUS_NONE,
    GOSSIP_STATUS_ALIVE,
    GOSSIP_STATUS_LEAVING,
    GOSSIP_STATUS_LEFT,
    GOSSIP_STATUS_FAILED,
};
const char *gossip_status_name(enum gossip_status s); /* "alive" */

/* The six numbers of a member's versions, in the order of the wire. */
enum gossip_version {
    GOSSIP_PMIN,
    GOSSIP_PMAX,
    GOSSIP_PCUR,
    GOSSIP_DMIN,
    GOSSIP_DMAX,
    GOSSIP_DCUR,
    GOSSIP_VERSIONS
};

struct gossip_member {
    struct str name;
    struct gossip_address address;
    struct str meta; /* encoded tags: tags.h reads them */
    uint8_t versions[GOSSIP_VERSIONS];
    enum gossip_status status;
    enum gossip_state state; /* of the membership layer; of a merge: as it was announced */
    uint64_t status_ltime;
    int64_t left_at; /* when it failed or left */
};

/* Members that are announced together in a join, or one alone. False with an error refuses all of
 * them: the text is shown to the other side of a join. NULL in options: all are welcome. */
typedef bool gossip_merge_fn(void *owner, const struct gossip_member *members, size_t len,
                             struct error *e);
/* Whether the expression is found in the value; for queries' filters. False with an error when it
 * is no expression. NULL in options: such filters never match. */
typedef bool gossip_match_fn(void *owner, struct str expression, struct str value, bool *matches,
                             struct error *e);
/* Fills in bytes that no other node has used: nonces. NULL in options: from the seed, which is for
 * simulations only. */
typedef void gossip_nonce_fn(void *owner, void *out, size_t len);

/* Whether a member is reached through something that carries packets reliably, so that a ping on a
 * stream would tell nothing more (gossip.md 12.9). NULL in options: none is. */
typedef bool gossip_carried_fn(void *owner, struct str name);

struct gossip_options {
    struct str name;                    /* copied */
    struct gossip_address address;      /* advertised */
    struct str meta;                    /* gossip_tags_write; at most GOSSIP_META_MAX; copied */
    const struct gossip_timing *timing; /* copied */
    const struct keyring *keyring;      /* copied; NULL: no encryption */
    bool verify_incoming, verify_outgoing;
    bool keyring_file; /* changes of the keyring are to be written: GOSSIP_ACTION_KEYRING */
    bool snapshot;     /* the snapshot file is to be written: GOSSIP_ACTION_SNAPSHOT */
    bool rejoin_after_leave;
    struct str snapshot_text; /* the file as it was found; looked at during gossip_new only */
    const struct gossip_cidr *allowed; /* copied; none: all addresses are */
    size_t allowed_len;
    void *owner;
    gossip_merge_fn *merge;
    gossip_match_fn *match;
    gossip_nonce_fn *nonce;
    gossip_carried_fn *carried;
    bool metrics;       /* GOSSIP_ACTION_METRIC wanted */
    enum log_level log; /* lines below are not made */
    size_t max_members; /* 0: GOSSIP_MAX_MEMBERS */
    /* Simulations: cores of one thread that keep equal records once. NULL otherwise. */
    struct gossip_shared *shared;
};

#define GOSSIP_META_MAX 512
#define GOSSIP_MAX_MEMBERS 100000
#define GOSSIP_NAME_MAX 512 /* bytes of a member's name; the peer has no limit */
#define GOSSIP_EVENT_MAX 512
#define GOSSIP_QUERY_MAX 1024
#define GOSSIP_PACKET_MAX 65536      /* a datagram that comes in */
#define GOSSIP_STREAM_MAX 20971520   /* an encrypted stream, and what is accepted of a plain one */
#define GOSSIP_INFLATED_MAX 67108864 /* a stream after decompression */
#define GOSSIP_ACCEPTED_MAX 256      /* accepted streams at a time */
#define GOSSIP_ACCEPTED_FROM_ONE 64  /* those of one address */
#define GOSSIP_OPENED_MAX 128

struct gossip_shared *gossip_shared_new(void);
void gossip_shared_free(struct gossip_shared *s); /* after all its cores */

/* ---- events ---- */

enum gossip_event_kind {
    GOSSIP_EVENT_TICK, /* nothing but time; due at gossip_next_wakeup */
    GOSSIP_EVENT_PACKET,
    GOSSIP_EVENT_STREAM_ACCEPTED, /* sets stream.id; 0: close it */
    GOSSIP_EVENT_STREAM_OPENED,
    GOSSIP_EVENT_STREAM_DATA,
    GOSSIP_EVENT_STREAM_CLOSED, /* the other side closed, it broke, or could not be opened */
    /* Commands. Those with an error that is set are done with. */
    GOSSIP_EVENT_JOIN,            /* ends with GOSSIP_ACTION_JOINED */
    GOSSIP_EVENT_LEAVE,           /* ends with GOSSIP_ACTION_LEFT */
    GOSSIP_EVENT_FORCE_LEAVE,     /* ends with GOSSIP_ACTION_FORCED_LEAVE */
    GOSSIP_EVENT_FIRE,            /* a user event; done at once */
    GOSSIP_EVENT_QUERY,           /* ends with GOSSIP_ACTION_QUERY_DONE; gives back query.id */
    GOSSIP_EVENT_RESPOND,         /* to a query that came; done at once */
    GOSSIP_EVENT_SET_TAGS,        /* ends with GOSSIP_ACTION_TAGS_SET */
    GOSSIP_EVENT_KEY,             /* a query to all about keys; ends with GOSSIP_ACTION_KEY_DONE */
    GOSSIP_EVENT_KEYRING_WRITTEN, /* the answer to GOSSIP_ACTION_KEYRING */
};

/* One thing to join: an address, or the text of why there is none ("Failed to resolve …"). */
struct gossip_target {
    struct str name; /* the node's, when it is known */
    struct gossip_address address;
    struct str failed;
};

enum gossip_key_operation {
    GOSSIP_KEY_LIST,
    GOSSIP_KEY_INSTALL,
    GOSSIP_KEY_USE,
    GOSSIP_KEY_REMOVE,
};

/* Filters of a query. */
struct gossip_filter {
    const struct str *nodes; /* names, or NULL: */
    size_t nodes_len;
    struct str tag, expression;
};

struct gossip_event {
    enum gossip_event_kind kind;
    int64_t now; /* monotonic ns, never going back */
    void *token; /* of commands: comes back with the action that ends them */
    union {
        struct {
            struct gossip_address from;
            struct str bytes;
        } packet;
        struct {
            uint64_t id;
            struct gossip_address from; /* ACCEPTED, for log lines */
            struct str bytes;           /* DATA */
            /* CLOSED: empty when the other side ended it in order, else what happened, as the peer
             * has it: "dial tcp 127.0.0.1:1: connect: connection refused". */
            struct str text;
        } stream;
        struct {
            const struct gossip_target *targets;
            size_t len;
        } join;
        struct {
            struct str name;
            bool prune;
        } force_leave;
        struct {
            struct str name, payload;
            bool coalesce;
        } fire;
        struct {
            struct str name, payload;
            const struct gossip_filter *filters;
            size_t filters_len;
            bool want_ack;
            uint8_t relay;
            int64_t timeout; /* 0: the default */
            uint64_t id;     /* out: that of its actions */
        } query;
        struct {
            uint64_t id; /* GOSSIP_ACTION_QUERY's */
            struct str payload;
        } respond;
        struct {
            struct str meta; /* gossip_tags_write */
        } set_tags;
        struct {
            enum gossip_key_operation operation;
            struct str key; /* raw */
            uint8_t relay;
        } key;
        struct {
            uint64_t sequence;
            struct str error; /* empty: written */
        } keyring_written;
    };
    /* Set by the core: empty, or why the command was refused (in the actions' arena). */
    struct str error;
};

/* ---- actions ---- */

enum gossip_action_kind {
    GOSSIP_ACTION_SEND, /* a datagram from the pool's socket */
    GOSSIP_ACTION_STREAM_OPEN,
    GOSSIP_ACTION_STREAM_WRITE,
    GOSSIP_ACTION_STREAM_CLOSE, /* when what was written is out */
    GOSSIP_ACTION_MEMBER,
    GOSSIP_ACTION_USER_EVENT,
    GOSSIP_ACTION_QUERY,          /* somebody asks us something that is not internal */
    GOSSIP_ACTION_QUERY_ACK,      /* to our own query */
    GOSSIP_ACTION_QUERY_RESPONSE, /* to our own query */
    GOSSIP_ACTION_QUERY_DONE,
    GOSSIP_ACTION_JOINED,
    GOSSIP_ACTION_LEFT,
    GOSSIP_ACTION_FORCED_LEAVE,
    GOSSIP_ACTION_TAGS_SET,
    GOSSIP_ACTION_KEY_DONE,
    GOSSIP_ACTION_COORDINATE, /* our own moved: gossip_coordinate */
    GOSSIP_ACTION_SNAPSHOT,   /* the snapshot file changes */
    GOSSIP_ACTION_KEYRING,    /* replace the keyring file, then GOSSIP_EVENT_KEYRING_WRITTEN */
    GOSSIP_ACTION_LOG,
    GOSSIP_ACTION_METRIC,
};

enum gossip_member_event {
    GOSSIP_MEMBER_JOIN,
    GOSSIP_MEMBER_LEAVE,
    GOSSIP_MEMBER_FAILED,
    GOSSIP_MEMBER_UPDATE,
    GOSSIP_MEMBER_REAP,
};

/* What the nodes of a pool said to GOSSIP_EVENT_KEY. */
struct gossip_key_count {
    struct str key; /* base64 */
    size_t count;
};
struct gossip_key_message {
    struct str node, text;
};
struct gossip_key_result {
    struct gossip_key_message *messages; /* sorted by node */
    size_t messages_len;
    struct gossip_key_count *keys; /* sorted */
    size_t keys_len;
    struct gossip_key_count *primary_keys;
    size_t primary_keys_len;
    size_t nodes, responses, errors;
};

struct gossip_action {
    enum gossip_action_kind kind;
    void *token;
    /* JOINED, LEFT, FORCED_LEAVE, TAGS_SET, KEY_DONE: empty, or the peer's text. */
    struct str error;
    union {
        struct {
            struct gossip_address to;
            struct str name; /* of the node that is meant, if known: mesh gateways need it */
            struct str bytes;
        } send;
        struct {
            uint64_t id;
            struct gossip_address to;
            struct str name;
            struct str bytes; /* WRITE */
        } stream;
        struct {
            enum gossip_member_event event;
            struct gossip_member member;
        } member;
        struct {
            uint64_t ltime;
            struct str name, payload;
            bool coalesce;
        } user_event;
        struct {
            uint64_t id; /* for GOSSIP_EVENT_RESPOND; or that of our own */
            uint64_t ltime;
            struct str name, payload; /* payload also of RESPONSE */
            struct str from;          /* ACK, RESPONSE */
            int64_t deadline;
        } query;
        struct {
            size_t joined; /* addresses that worked; error is empty if there is one */
        } joined;
        struct gossip_key_result key;
        struct {
            /* Appended; or with `replace` the whole new content, written beside and renamed. */
            bool replace;
            bool sync;
            struct str bytes;
        } snapshot;
        struct {
            uint64_t sequence;
            struct str text; /* mode 0600 */
        } keyring;
        struct {
            enum log_level level;
            bool serf; /* logger "serf", else "memberlist": the text begins with it */
            struct str text;
        } log;
        struct {
            enum metric_kind kind;
            struct str name;
            double value;
        } metric;
    };
};

struct gossip_actions {
    struct gossip_action *items;
    size_t len, cap;
    struct arena arena;
};
#define GOSSIP_ACTIONS_INIT ((struct gossip_actions){NULL, 0, 0, ARENA_INIT})
/* Forgets the actions, keeps the memory. */
void gossip_actions_clear(struct gossip_actions *a);
void gossip_actions_free(struct gossip_actions *a);

/* ---- the core ---- */

/* NULL: the meta is too long, the name or address is none. `out` gets the first actions (our own
 * join, attempts to rejoin what the snapshot remembers). */
struct gossip *gossip_new(const struct gossip_options *options, int64_t now, uint64_t seed,
                          struct gossip_actions *out, struct error *e);
/* The end: what is still to be written to the snapshot. Then gossip_free. */
void gossip_close(struct gossip *g, int64_t now, struct gossip_actions *out);
void gossip_free(struct gossip *g);
/* Adds to `out` what is to be done because of the event. */
void gossip_step(struct gossip *g, struct gossip_event *event, struct gossip_actions *out);
/* When the next TICK is due. */
int64_t gossip_next_wakeup(const struct gossip *g);

/* Simulations: those whose cores these are (all with the same `shared`) are known, as if heard of
 * long ago, without the joins that it would take; nothing is said of it. */
void gossip_preload(struct gossip *g, struct gossip *const *cores, size_t len);

/* ---- looking in ---- */

size_t gossip_member_count(const struct gossip *g);
/* for (size_t i = 0; gossip_member_next(g, &i, &m);) …; ourselves included, in no order. */
bool gossip_member_next(const struct gossip *g, size_t *cursor, struct gossip_member *out);
bool gossip_member_find(const struct gossip *g, struct str name, struct gossip_member *out);
void gossip_member_self(const struct gossip *g, struct gossip_member *out);

/* The statistics of gossip.md 9.10 and what tests want to know. */
struct gossip_stats {
    size_t members, failed, left;
    unsigned health_score;
    uint64_t member_time, event_time, query_time;
    size_t intent_queue, event_queue, query_queue, membership_queue;
    bool encrypted;
    uint64_t coordinate_resets;
    uint32_t incarnation;
    size_t nodes; /* n: nodes in the membership layer */
    size_t alive; /* of them alive or suspect */
};
struct gossip_stats gossip_get_stats(const struct gossip *g);
enum gossip_life { GOSSIP_RUNNING, GOSSIP_LEAVING, GOSSIP_GONE };
enum gossip_life gossip_get_life(const struct gossip *g);
const struct keyring *gossip_keyring(const struct gossip *g);

struct gossip_coordinate gossip_coordinate(const struct gossip *g);
/* That of another member as it was last heard (false: never, or forgotten), or our own. */
bool gossip_coordinate_of(const struct gossip *g, struct str name, struct gossip_coordinate *out);

#endif
