/* Host names to addresses by the system's resolver, without waiting for it: each look-up has a
 * thread of its own for as long as it takes, which nobody waits for when it is called off.
 */
#ifndef PRAETOR_NET_RESOLVE_H
#define PRAETOR_NET_RESOLVE_H

#include "base/error.h"
#include "net/loop.h"

#define RESOLVE_MAX 16       /* look-ups of the process at a time; beyond, they fail */
#define RESOLVE_ADDRESSES 64 /* of one name */

struct resolved_address {
    uint8_t ip[16];
    uint8_t len; /* 4 or 16 */
};

/* An IP address, which need not be looked up. */
bool resolve_is_literal(struct str host);
/* The address as text, in `out`. */
struct str resolved_address_text(const struct resolved_address *a, char out[46]);

struct resolve;
/* count 0: e has the peer's text: "lookup nope: no such host". Both are valid during the call. */
typedef void resolve_done(void *owner, const struct resolved_address *addresses, size_t count,
                          const struct error *e);
/* On the loop's thread. done always runs, later and never inside, unless it is cancelled. The
 * pointer is good until then. */
struct resolve *resolve_start(struct loop *l, struct str name, resolve_done *done, void *owner);
void resolve_cancel(struct resolve *r);

#endif
