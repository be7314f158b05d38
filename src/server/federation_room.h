/* The parts of what a leader does for federation states, for server/federation*.c only. Each lives
 * the life of a replication (replication.h), and waits while not all servers support them.
 */
#ifndef PRAETOR_SERVER_FEDERATION_ROOM_H
#define PRAETOR_SERVER_FEDERATION_ROOM_H

#include "schema/entries.h"
#include "schema/requests.h"
#include "server/federation.h"
#include "server/replication.h"

/* federation_sync.c: the own datacenter's record becomes what its catalog says of mesh gateways;
 * in a secondary the primary is told. */
struct federation_sync {
    struct replication base;
    struct federation_state state; /* what is being sent */
    struct federation_state_request request;
    bool busy;    /* it is under way */
    bool touched; /* meanwhile: to be looked at again */
};
void federation_sync_init(struct federation_sync *y, struct server *s);
void federation_sync_touched(struct federation_sync *y, const struct watch_touched *touched);

/* federation_replication.c: a secondary copies the primary's records. */
struct federation_replication {
    struct replication base;
    struct dc_request request;
    struct list ops; /* struct federation_op, of the round */
    uint32_t done;   /* of them */
    int64_t started; /* with the entries; monotonic */
};
void federation_replication_init(struct federation_replication *r, struct server *s);

/* federation.c: the log entry of a change. */
struct buf federation_entry(const struct server *s, const char *op,
                            const struct federation_state *state);

#endif
