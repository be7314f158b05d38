/* The handler of one watch, run once at a time on the watch's loop: a script, which gets the
 * payload on its standard input, or an HTTP call. Only for watches.c.
 */
#ifndef PRAETOR_AGENT_WATCH_HANDLER_H
#define PRAETOR_AGENT_WATCH_HANDLER_H

#include "agent/watch_plan.h"
#include "base/buf.h"
#include "net/loop.h"

struct watch_handler;

/* over(owner) runs on the loop, later, when the handler has ended and its end is logged. The
 * payload is copied. NULL: it could not be started, which is logged. */
struct watch_handler *watch_handler_start(const struct watch_plan *plan, struct loop *loop,
                                          struct str payload, uint64_t index,
                                          void (*over)(void *owner), void *owner);
/* Nobody waits for it any longer: a script goes on by itself, a call is cut off. over() runs soon.
 */
void watch_handler_abandon(struct watch_handler *h);
/* A reload: a script is let finish, a call is cut off. */
void watch_handler_release(struct watch_handler *h);

#endif
