/* What the files that compile discovery chains share: chain_entries.c (which entries a chain
 * needs), chain.c (the graph), chain_finish.c (splitters flattened, what nobody needs dropped).
 */
#ifndef PRAETOR_STORE_CHAIN_ROOM_H
#define PRAETOR_STORE_CHAIN_ROOM_H

#include "base/map.h"
#include "store/chain.h"
#include "store/config_entry_tables.h"

/* Entries of one kind, by the names that were asked for. */
struct kind_of_entry {
    const char *kind;
    struct map known;  /* name: entry, or a mark for none */
    struct list names; /* of str, in the order in which they were asked for */
    uint32_t cap;
};

struct splitter {
    struct chain_node *node; /* its splits are NULL until it is expanded */
    const struct service_splitter *entry;
    struct str service;
    struct list legs; /* of uint32_t: splitters that it leads to */
    uint32_t leg_cap;
    uint32_t next_split; /* when expanded */
    uint32_t next_leg;   /* when walked for circles */
    bool walking, walked;
};

struct compile {
    struct store_read *read;
    const struct config_change *change; /* or NULL */
    const struct chain_question *question;
    struct arena *arena;
    const struct service_router *router;         /* or NULL */
    const struct proxy_defaults *proxy_defaults; /* or NULL */
    struct kind_of_entry splitter_entries, resolver_entries, defaults_entries;
    struct str protocol;
    bool any_protocol;
    bool plain;            /* by the protocol asked for: routers and splitters are left out */
    bool advanced;         /* a router or splitter is used */
    struct list splitters; /* of struct splitter */
    uint32_t splitter_cap;
    struct map known_splitters; /* node name: its number + 1 */
    struct map resolved;        /* ID of a target, as first asked for: struct chain_node * */
    struct map nodes;           /* name in the graph: struct chain_node * */
    struct map targets;         /* ID: struct chain_target *, where walks ended */
    struct str start;           /* node */
    bool by_protocol, by_timeout, by_gateway; /* overrides that made a difference */
    struct error *error;
};

/* ---- chain_entries.c ---- */

void chain_collect(struct compile *c);
/* The entry of exactly this name, if it was collected; or NULL. */
const void *chain_entry(const struct kind_of_entry *k, struct str name);
struct str chain_protocol_of(struct compile *c, struct str service);
/* The mode of mesh gateways that the entries say for the service. */
struct str chain_gateway_of(const struct compile *c, struct str service);

/* ---- chain_finish.c ---- */

/* Splitters that lead to splitters are replaced by what those lead to; what is no longer reached is
 * dropped. False: there would be too many splits. */
bool chain_flatten(struct compile *c);
/* The customization hash (connect.md 5.2), "" when nothing was customized. */
struct str chain_customization(const struct compile *c);
/* The maps of the nodes and targets. */
struct list chain_nodes(const struct compile *c);
struct list chain_targets(const struct compile *c);

#endif
