/* What a gossip core consists of, for the files of this folder only. Each file holds one duty or
 * the handling of one kind of message; this says which functions they offer each other.
 */
#ifndef PRAETOR_GOSSIP_STATE_H
#define PRAETOR_GOSSIP_STATE_H

#include "gossip/broadcasts.h"
#include "gossip/crypt.h"
#include "gossip/members.h"
#include "gossip/messages.h"
#include "gossip/timer.h"

/* Ours: gossip.md 1. */
#define OUR_VERSIONS                                                                               \
    { 1, 5, 2, 2, 5, 4 }

#define PACKET_BUDGET 1400                    /* bytes of messages in a packet that goes out */
#define EVENT_BUFFER 512                      /* buckets */
#define BUCKET_MAX 256                        /* events or queries of one time */
#define INTENTS_MAX 8192                      /* remembered of unknown nodes */
#define RELAYED_PINGS_MAX 1024                /* pings sent for others */
#define OWN_QUERIES_MAX 256                   /* running */
#define ASKED_QUERIES_MAX 256                 /* of others, that may still be answered */
#define JOINS_MAX 256                         /* waiting or running */
#define INPUT_LOG_MAX 50                      /* lines a second that input can cause */
#define STREAM_MEMORY_MAX (64u * 1024 * 1024) /* waiting in accepted streams */
#define PUSH_PULLS_MAX 127                    /* that others began, at a time */

enum timer_kind {
    TIMER_GOSSIP,
    TIMER_PROBE_TICK,
    TIMER_PROBE_TIMEOUT,
    TIMER_PROBE_DEADLINE,
    TIMER_RELAYED_PING,
    TIMER_SUSPICION,
    TIMER_PUSH_PULL,
    TIMER_STREAM,
    TIMER_WAIT,
    TIMER_LEAVE,
    TIMER_REAP,
    TIMER_RECONNECT,
    TIMER_QUEUES,
    TIMER_QUERY,
    TIMER_PRUNE,
    TIMER_SNAPSHOT,
};

/* ---- failure detection ---- */

struct probe {
    bool active, indirect;
    uint32_t target; /* slot */
    uint32_t sequence;
    uint32_t nacks_expected, nacks;
    uint64_t stream; /* of the fallback ping; 0: none */
    bool stream_acked;
    int64_t sent_at;
    struct timer timeout, deadline;
};

/* A ping that we sent because somebody asked us to. */
struct relayed_ping {
    struct relayed_ping *next;
    uint32_t sequence, original;
    struct gossip_address from;
    struct str from_name; /* behind the struct */
    bool nack;
    struct timer timer;
};

struct suspicion {
    uint32_t slot; /* of the member */
    uint32_t needed, confirmations;
    int64_t start, min, max;
    char **from; /* who confirmed: the accuser, then `confirmations` others */
    struct timer timer;
};

/* ---- what waits for a broadcast to be out ---- */

enum wait_kind { WAIT_LEAVE_INTENT, WAIT_LEAVE, WAIT_TAGS, WAIT_FORCED_LEAVE };
struct wait {
    struct wait *next;
    uint32_t id;
    enum wait_kind kind;
    bool finished; /* noticed at the end of the step */
    void *token;
    struct timer timer;
};

/* ---- streams ---- */

enum stream_purpose {
    STREAM_ACCEPTED,
    STREAM_JOIN,      /* push/pull of a join */
    STREAM_PUSH_PULL, /* the periodic one */
    STREAM_PING,      /* of the probe */
};
enum stream_stage {
    STAGE_OUTER, /* a frame, or what it would hold */
    STAGE_INNER, /* compressed, or what that would hold */
    STAGE_PLAIN, /* the message itself */
    STAGE_DONE,
};
struct stream {
    struct stream *next;
    uint64_t id;
    enum stream_purpose purpose;
    bool opened;
    bool push_pull; /* accepted, and counted as one of those */
    struct gossip_address address;
    char *name;        /* of the node, may be NULL */
    struct join *join; /* STREAM_JOIN */
    int64_t begun;     /* own ones */
    uint32_t sequence; /* STREAM_PING */
    struct timer timer;
    /* What came. */
    struct buf in;
    bool whole; /* `in` was decrypted or decompressed: nothing more will come */
    enum stream_stage stage;
    struct wire_scan scan;
    int64_t items_left; /* push/pull: records that are still to be found; -1: header not read yet */
    int64_t tail;       /* bytes behind them, once the header is read */
};

enum join_kind {
    JOIN_COMMAND,   /* explicit: an intent follows, old events are ignored */
    JOIN_RECONNECT, /* a failed member */
    JOIN_REJOIN,    /* what the snapshot remembers: the first that works is enough */
};
struct join_target {
    char *name, *failed; /* may be NULL */
    struct gossip_address address;
};
struct join {
    struct join *next;
    enum join_kind kind;
    void *token;
    struct join_target *targets;
    size_t len, at;
    size_t joined;
    struct buf errors; /* lines of the combined error */
    size_t error_count;
};

/* ---- intents, events, queries ---- */

struct intent {
    bool leave;
    uint64_t ltime;
    int64_t at;
};

struct event_item {
    uint32_t name_len, payload_len;
    bool has_payload;
    char data[]; /* name, payload */
};
struct event_bucket {
    uint64_t ltime;
    struct event_item **items;
    size_t len;
};
struct query_bucket {
    uint64_t ltime;
    uint32_t *ids;
    size_t len;
};

/* A query of ours that runs. */
struct own_query {
    struct own_query *next;
    uint64_t id; /* for the owner */
    uint64_t ltime;
    uint32_t wire_id;
    void *token;
    bool key; /* GOSSIP_EVENT_KEY */
    int64_t deadline;
    struct timer timer;
    struct map acks, responses; /* by name of the node */
    struct key_collection *keys;
};

/* A query of somebody: where its answer goes. */
struct asked_query {
    uint64_t id; /* for the owner; 0: free */
    uint64_t ltime;
    uint32_t wire_id;
    struct gossip_address address;
    char *source; /* name of the node */
    uint8_t relay;
    int64_t deadline;
};

/* The answer to a key operation, which waits until the keyring file is written. */
struct key_answer {
    struct key_answer *next;
    uint64_t sequence;
    struct asked_query query;
};

struct prune {
    struct prune *next;
    struct timer timer;
    char *name;
};

/* The snapshot file. */
struct snapshot {
    bool on;
    bool left;                                /* `leave` was written */
    struct map alive;                         /* name to address, as text */
    uint64_t clock, event_clock, query_clock; /* written last */
    size_t size;                              /* of the file, with what is buffered */
    struct buf buffer;                        /* lines that are not handed out yet */
    int64_t flushed;
    struct timer timer;
};

enum queue_name { QUEUE_MEMBERSHIP, QUEUE_INTENTS, QUEUE_QUERIES, QUEUE_EVENTS, QUEUE_COUNT };

/* ---- the core ---- */

struct gossip {
    struct gossip_timing timing;
    void *owner;
    gossip_merge_fn *merge;
    gossip_match_fn *match;
    gossip_nonce_fn *nonce;
    gossip_carried_fn *carried;
    bool verify_incoming, verify_outgoing, keyring_file, metrics;
    enum log_level log;
    size_t max_members;
    struct gossip_cidr *allowed;
    size_t allowed_len;

    struct keyring *keyring; /* NULL: never had one */
    struct crypt crypt;
    struct prng rng;
    int64_t now;
    struct gossip_actions *out; /* of the step that runs */
    struct timers timers;

    struct members members;
    struct member *self;
    uint32_t incarnation; /* own counter */
    uint32_t sequence;    /* of pings */
    int health;
    enum gossip_life life;
    bool left; /* the membership layer has been told that we leave */

    struct broadcasts queues[QUEUE_COUNT];
    struct wait *waits;
    uint32_t next_wait;
    int64_t gossip_phase; /* ticks are at this time plus multiples of the interval */
    int64_t early_since;  /* when early_left was last added to */
    uint32_t early_left;  /* rounds that may come before their tick */
    struct timer gossip_timer, queues_timer;

    struct probe probe;
    uint32_t probe_at; /* in the probe list */
    bool probe_due;    /* a tick came while one was running */
    struct timer probe_timer;
    struct relayed_ping *relayed;
    size_t relayed_len;
    struct suspicion **suspicions;
    size_t suspicions_cap;

    struct stream *streams;
    uint64_t next_stream;
    size_t accepted, opened, push_pulls;
    size_t stream_memory;
    struct timer push_pull_timer;
    bool push_pull_begun; /* the random delay before the first interval is over */
    struct join *joins;   /* the first of each kind that waits runs; see joining.c */

    uint64_t clock, event_clock, query_clock;
    uint64_t event_min, query_min;
    struct map intents;           /* name to struct intent */
    struct event_bucket *events;  /* EVENT_BUFFER, or NULL */
    struct query_bucket *queries; /* the same */
    struct own_query *own_queries;
    uint64_t next_query;
    struct asked_query *asked; /* a ring of ASKED_QUERIES_MAX, or NULL */
    size_t asked_at;
    struct key_answer *key_answers;
    uint64_t key_sequence;
    struct prune *prunes;
    struct timer reap_timer, reconnect_timer;
    void *leave_token;
    struct timer leave_timer;
    struct snapshot snapshot;
    struct coordinate_client coordinate;

    int64_t input_log_second; /* lines that input caused, and how many in this second */
    unsigned input_log_lines, input_log_dropped;
};

/* ---- gossip.c: actions and small things ---- */

struct gossip_action *g_action(struct gossip *g, enum gossip_action_kind kind);
void g_log(struct gossip *g, enum log_level level, bool serf, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* For lines that whoever sends us something can cause as often as he likes. */
void g_log_input(struct gossip *g, enum log_level level, bool serf, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void g_metric(struct gossip *g, enum metric_kind kind, const char *name, double value);
/* Counts under "<group><name>", the name being a member's choice. */
void g_count(struct gossip *g, const char *group, struct str name);
struct arena *g_arena(struct gossip *g); /* that of the step's actions */
struct error g_error(struct gossip *g);
bool g_encrypts(const struct gossip *g); /* there are keys */
void g_health(struct gossip *g, int delta);
void g_describe(const struct member *m, struct gossip_member *out);
/* Distinct random nodes of the membership layer, not ourselves, that `wanted` agrees to. */
typedef bool node_filter(const struct gossip *g, const struct member *m, const void *context);
size_t g_pick_nodes(struct gossip *g, size_t count, node_filter *wanted, const void *context,
                    struct member **out);
/* Alive or suspect; ourselves included. */
size_t g_count_alive(const struct gossip *g);
bool g_others_alive(const struct gossip *g);
unsigned g_retransmit_limit(const struct gossip *g, size_t nodes);
/* Waits until a broadcast is out, but not longer than the broadcast timeout. Returns what
 * broadcasts_add wants. */
uint32_t g_wait(struct gossip *g, enum wait_kind kind, void *token);
/* The formulas of gossip.md 6.3, 7.1, 7.3, 9.6, for tests too. */
unsigned gossip_retransmit_limit(unsigned mult, size_t nodes);
int64_t gossip_suspicion_min(unsigned mult, size_t nodes, int64_t interval);
int64_t gossip_suspicion_timeout(uint32_t needed, uint32_t confirmations, int64_t min, int64_t max);
int64_t gossip_push_pull_interval(int64_t interval, size_t nodes);
int64_t gossip_query_timeout(int64_t interval, size_t nodes);

/* ---- packet.c ---- */

void packet_receive(struct gossip *g, const struct gossip_address *from, struct str bytes);
/* A message alone. crc: the receiver is known to understand it. */
void packet_send(struct gossip *g, const struct gossip_address *to, struct str name,
                 struct str message, bool crc);
/* The message, and behind it what waits to be spread. */
void packet_send_with_broadcasts(struct gossip *g, const struct gossip_address *to, struct str name,
                                 struct str message);
bool member_takes_crc(const struct member *m);
/* Encodes type byte and body into the step's arena. */
struct str message_of(struct gossip *g, enum message_type type, const struct wire_shape *shape,
                      const void *body);
struct str serf_message_of(struct gossip *g, enum serf_type type, const struct wire_shape *shape,
                           const void *body);
/* Compression if it helps, checksum, encryption: what goes out. */
void g_seal_stream(struct gossip *g, struct buf *out, struct str message);
void g_nonce(struct gossip *g, uint8_t nonce[CRYPT_NONCE]);

/* ---- dissemination.c ---- */

void gossip_tick(struct gossip *g);
/* What fits: like broadcasts_take, from all four queues. */
size_t broadcasts_gather(struct gossip *g, size_t space, size_t max, struct str *out);
void broadcast_membership(struct gossip *g, struct str key, struct str message, uint32_t waiter);
void broadcast_serf(struct gossip *g, enum queue_name queue, struct str message, uint32_t waiter);
void queues_check(struct gossip *g);
/* Somebody is there to gossip to. */
void dissemination_wake(struct gossip *g);

/* ---- alive.c, suspect.c, dead.c: membership ---- */

/* source: the packet's sender; NULL: from a push/pull. own: our own start or change. */
void alive_apply(struct gossip *g, const struct alive_message *a,
                 const struct gossip_address *source, bool own, uint32_t waiter);
void alive_announce(struct gossip *g, struct str meta, uint32_t waiter);
void refute(struct gossip *g, uint32_t accused);
void suspect_apply(struct gossip *g, const struct accusation_message *s);
void dead_apply(struct gossip *g, const struct accusation_message *d, uint32_t waiter);
void suspicion_cancel(struct gossip *g, struct member *m);
void suspicion_start(struct gossip *g, struct member *m, struct str accuser);
/* Whether the confirmation is a new one. */
bool suspicion_confirm(struct gossip *g, struct member *m, struct str from);
void suspicion_expired(struct gossip *g, struct suspicion *s);
bool g_address_allowed(const struct gossip *g, const struct gossip_address *a);

/* ---- probe.c, serve_probe.c ---- */

void probe_tick(struct gossip *g);
void probe_timeout(struct gossip *g);
void probe_deadline(struct gossip *g);
void probe_acked(struct gossip *g, uint32_t sequence, struct str payload);
void probe_nacked(struct gossip *g, uint32_t sequence);
void probe_stream_result(struct gossip *g, uint32_t sequence, bool acked, struct str error);
void ping_receive(struct gossip *g, const struct gossip_address *from, struct str body);
void indirect_ping_receive(struct gossip *g, const struct gossip_address *from, struct str body);
void ack_receive(struct gossip *g, const struct gossip_address *from, struct str body);
void nack_receive(struct gossip *g, const struct gossip_address *from, struct str body);
void relayed_ping_expired(struct gossip *g, struct relayed_ping *r);
void relayed_ping_free(struct gossip *g, struct relayed_ping *r);
struct str coordinate_encode(struct gossip *g);
void coordinate_heard(struct gossip *g, struct member *m, struct str payload, int64_t rtt);

/* ---- stream.c, push_pull.c, joining.c ---- */

struct stream *stream_begin(struct gossip *g, enum stream_purpose purpose,
                            const struct gossip_address *to, struct str name, int64_t deadline);
void stream_accept(struct gossip *g, struct gossip_event *event);
void stream_opened(struct gossip *g, uint64_t id);
void stream_data(struct gossip *g, uint64_t id, struct str bytes);
void stream_closed(struct gossip *g, uint64_t id, struct str text);
void stream_expired(struct gossip *g, struct stream *s);
void stream_write(struct gossip *g, struct stream *s, struct str message);
/* Closes it and tells whoever waits for it: error empty when it did its work. */
void stream_end(struct gossip *g, struct stream *s, struct str error);
void stream_free(struct gossip *g, struct stream *s);
struct stream *stream_find(struct gossip *g, uint64_t id);
void push_pull_tick(struct gossip *g);
struct str push_pull_encode(struct gossip *g, bool join);
/* All of a push/pull but its type byte. `ask_old`: the events it brings are wanted. */
bool push_pull_merge(struct gossip *g, struct str body, bool ours, bool ignore_old,
                     struct error *e);
bool push_pull_is_join(struct gossip *g, struct str body);
struct str serf_state_encode(struct gossip *g);
void serf_state_merge(struct gossip *g, struct str state, bool ignore_old);
void join_command(struct gossip *g, struct gossip_event *event);
struct join *join_add(struct gossip *g, enum join_kind kind, void *token, size_t targets);
void join_begin(struct gossip *g, struct join *j);
void join_stream_done(struct gossip *g, struct stream *s, struct str error);
void join_free(struct gossip *g, struct join *j);

/* ---- the upper layer ---- */

void serf_receive(struct gossip *g, struct str message);
void serf_joined(struct gossip *g, struct member *m);
void serf_left(struct gossip *g, struct member *m);
void serf_updated(struct gossip *g, struct member *m);
void serf_conflict(struct gossip *g, struct member *m, const struct gossip_address *theirs);
void member_event(struct gossip *g, enum gossip_member_event event, const struct member *m,
                  bool forced);
void member_erase(struct gossip *g, struct member *m, bool forced);
void clock_witness(uint64_t *clock, uint64_t ltime);
/* Whether it is to be passed on. */
bool join_intent_apply(struct gossip *g, const struct join_message *m);
bool leave_intent_apply(struct gossip *g, const struct leave_message *m);
void join_intent_announce(struct gossip *g, uint64_t ltime);
void prune_expired(struct gossip *g, struct prune *p);
void prune_free(struct gossip *g, struct prune *p);
bool user_event_apply(struct gossip *g, const struct user_event_message *m);
void user_event_fire(struct gossip *g, struct gossip_event *event);
bool query_apply(struct gossip *g, const struct query_message *m);
void query_start(struct gossip *g, struct gossip_event *event);
struct own_query *query_run(struct gossip *g, struct query_message *m, void *token,
                            struct error *e);
void query_response_receive(struct gossip *g, struct str body);
void query_expired(struct gossip *g, struct own_query *q);
void query_free(struct gossip *g, struct own_query *q);
void query_respond(struct gossip *g, struct gossip_event *event);
/* False: too long. */
bool query_answer(struct gossip *g, const struct asked_query *q, uint32_t flags, struct str payload,
                  struct error *e);
size_t query_answer_size(struct gossip *g, const struct asked_query *q, struct str payload);
void internal_query(struct gossip *g, const struct asked_query *q, struct str name,
                    struct str payload);
void keyring_written(struct gossip *g, struct gossip_event *event);
void key_answer_free(struct key_answer *a);
void key_query_start(struct gossip *g, struct gossip_event *event);
bool key_query_response(struct gossip *g, struct own_query *q, struct str from,
                        struct str payload); /* whether all answered */
void key_query_done(struct gossip *g, struct own_query *q);
void key_collection_free(struct key_collection *c);
void relay_receive(struct gossip *g, struct str body);
void reap(struct gossip *g);
void reconnect(struct gossip *g);
void rejoin(struct gossip *g);
void leave_command(struct gossip *g, struct gossip_event *event);
void leave_wait_over(struct gossip *g, enum wait_kind kind, bool in_time);
void leave_expired(struct gossip *g);
void force_leave_command(struct gossip *g, struct gossip_event *event);
void set_tags_command(struct gossip *g, struct gossip_event *event);

/* ---- snapshot.c ---- */

void snapshot_load(struct gossip *g, struct str text, bool rejoin_after_leave);
void snapshot_member(struct gossip *g, const struct member *m, bool alive);
void snapshot_event_clock(struct gossip *g, uint64_t ltime);
void snapshot_query_clock(struct gossip *g, uint64_t ltime);
void snapshot_leave(struct gossip *g);
void snapshot_check(struct gossip *g); /* at the end of each step */
void snapshot_timer(struct gossip *g);
void snapshot_close(struct gossip *g);
void snapshot_free(struct gossip *g);

#endif
