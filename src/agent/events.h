/* User events (agent.md 5.1): the agent's memory of the last 256 that concerned it, who waits for
 * the next, and an event's form on the wire. Fired events come through gossip to events_receive,
 * wherever they were fired. The memory is the core thread's; checking,
 * encoding and decoding may happen on any.
 */
#ifndef PRAETOR_AGENT_EVENTS_H
#define PRAETOR_AGENT_EVENTS_H

#include "acl/authorizer.h"
#include "agent/local.h"
#include "base/buf.h"

#define EVENTS_KEPT 256
#define EVENT_REXEC "_rexec"
#define EVENT_TOO_LONG ((size_t)2048) /* no part that is longer fits into gossip's 512 bytes */

struct user_event {
    struct str id; /* a UUID */
    struct str name;
    struct str payload; /* absent: none */
    struct str node_filter, service_filter, tag_filter;
    int64_t version;
    uint64_t ltime;
};
extern const struct shape user_event_shape;

/* Before it is fired: filters that compile. The peer's texts (500). */
bool event_check(const struct user_event *event, struct error *e);
/* What a serf user event carries, and back: strings are views into the bytes. */
void event_encode(struct buf *out, const struct user_event *event);
bool event_decode(struct str bytes, struct user_event *out, struct arena *arena, struct error *e);

/* The number that a list's newest event gives it: the halves of its UUID by exclusive or. */
uint64_t event_index(struct str id);

/* ---- the memory: core thread only ---- */

struct events;
/* local and node_name must live as long. rexec: gets the payload of a remote exec event that chose
 * this node; NULL: such events are ignored. */
struct events *events_new(struct local *local, struct str node_name,
                          void (*rexec)(void *owner, struct str payload), void *owner);
void events_free(struct events *events); /* NULL is allowed */

/* One that came, with its time: kept when its filters choose this node. */
void events_receive(struct events *events, const struct user_event *event);

/* The i-th of those kept, oldest first; NULL behind the last. */
const struct user_event *events_at(const struct events *events, size_t i);
/* Whether a list by that name (empty: any) shows the event to who may read so much (acl.md 9.2). */
bool event_shows(const struct user_event *event, struct str name, const struct authorizer *may);
/* Of the newest that such a list shows, 1 when there is none. */
uint64_t events_index(const struct events *events, struct str name, const struct authorizer *may);

/* Waiting for a new event: fn runs once, after which the wait is no longer in the list. */
struct events_wait {
    void (*fn)(struct events_wait *w);
    struct events_wait *next, *previous;
    bool listed;
};
void events_wait_add(struct events *events, struct events_wait *w);
void events_wait_remove(struct events_wait *w); /* also when it is not listed */

#endif
