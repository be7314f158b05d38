/* Who is in the cluster (raft.md 2.3 to 2.5): the list of servers as a shared, immutable value, its
 * two encodings, and what each membership command makes of it. Which configuration counts is
 * membership.c's.
 */
#ifndef PRAETOR_RAFT_CONFIGURATION_H
#define PRAETOR_RAFT_CONFIGURATION_H

#include "base/buf.h"
#include "base/error.h"

enum raft_suffrage { RAFT_VOTER = 0, RAFT_NONVOTER = 1, RAFT_STAGING = 2 };

struct raft_server {
    struct str id;
    struct str address;
    enum raft_suffrage suffrage;
};

#define RAFT_MAX_SERVERS 128 /* a configuration from outside with more is refused */

struct raft_configuration {
    unsigned references; /* one thread */
    struct arena arena;  /* holds the servers and their strings */
    struct raft_server *servers;
    size_t len;
};

/* Copies the servers. One reference, the caller's. */
struct raft_configuration *raft_configuration_new(const struct raft_server *servers, size_t len);
struct raft_configuration *raft_configuration_hold(struct raft_configuration *c);
void raft_configuration_release(struct raft_configuration *c); /* NULL is allowed */

/* The msgpack map {Servers: [{Address, ID, Suffrage}]}. */
void raft_configuration_encode(const struct raft_configuration *c, struct buf *out);
struct raft_configuration *raft_configuration_decode(struct str bytes, struct error *e);
/* The legacy peer list: an array of the voters' addresses; read as voters with ID = address. */
void raft_configuration_encode_peers(const struct raft_configuration *c, struct buf *out);
struct raft_configuration *raft_configuration_decode_peers(struct str bytes, struct error *e);
/* An entry that says c: of type 5, or (not modern) of type 3, the voters' addresses. */
struct raft_entry;
struct raft_entry *raft_configuration_entry(const struct raft_configuration *c, bool modern);
/* The configuration that an entry of type 2, 3 or 5 holds. */
struct raft_configuration *raft_configuration_of_entry(uint8_t type, struct str data,
                                                       struct error *e);

/* NULL when there is none. */
const struct raft_server *raft_configuration_find(const struct raft_configuration *c,
                                                  struct str id);
bool raft_configuration_is_voter(const struct raft_configuration *c, struct str id);
size_t raft_configuration_voters(const struct raft_configuration *c);
/* Errors of raft.md 2.5: empty or duplicate ID or address, no voter. */
bool raft_configuration_validate(const struct raft_configuration *c, struct error *e);

enum raft_change {
    RAFT_ADD_VOTER, /* the peer's AddStaging */
    RAFT_ADD_NONVOTER,
    RAFT_DEMOTE,
    RAFT_REMOVE,
};
/* What the command makes of c: a new configuration (perhaps equal to c), not validated. */
struct raft_configuration *raft_configuration_change(const struct raft_configuration *c,
                                                     enum raft_change change, struct str id,
                                                     struct str address);
/* "[{Suffrage:Voter ID:... Address:...} ...]", as stats and log lines show it. */
struct str raft_configuration_text(const struct raft_configuration *c, struct arena *arena);

#endif
