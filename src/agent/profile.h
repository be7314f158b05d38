/* What the process is doing, for whoever looks for a fault: /debug/pprof and `debug`. Four
 * profiles of our own stand in for those of the peer's language runtime:
 *
 *   PROFILE_CPU      where time is spent: a stack for every 10 ms of processor time, for as long as
 *                    asked
 *   PROFILE_THREADS  where each thread is now
 *   PROFILE_MEMORY   resident, private and swapped memory, by mapping
 *   PROFILE_TRACE    what each thread did when: on a processor, waiting for one, waiting for a disk
 *
 * The first three have the published format of pprof (a gzipped profile.proto; compressing is left
 * to who sends it), so `pprof -top` or `pprof -http=:` shows them; threads and memory also as text.
 * The last is a list of trace events in JSON, which Perfetto and chrome://tracing show.
 *
 * A thread of its own ("profile") does the work; it is started by the first profile. Threads are
 * interrupted by SIGPROF, which signals_block leaves open. Nothing here costs anything before that.
 */
#ifndef PRAETOR_AGENT_PROFILE_H
#define PRAETOR_AGENT_PROFILE_H

#include "base/buf.h"
#include "base/error.h"
#include "net/loop.h"

enum profile_kind { PROFILE_CPU, PROFILE_THREADS, PROFILE_MEMORY, PROFILE_TRACE };

#define PROFILE_TIME_MAX (3600 * SECOND) /* longer ones end then */

/* The caller's, zeroed but for the first fields; stays where it is until done has run. */
struct profile {
    enum profile_kind kind;
    bool text;        /* threads and memory: for people */
    int64_t duration; /* ns; CPU and trace */
    struct error *e;
    void (*done)(struct profile *p); /* on the loop that called */
    void *owner;

    bool ok;        /* else *e is set, with the peer's text where it has one */
    struct buf out; /* the caller frees it */

    /* profile.c's own */
    struct loop *home;
    struct message message, cancel_message;
    bool ended, cancelled, cancel_seen; /* the home loop's */
    bool begun, dropped;                /* the profiler's */
};

/* From a loop's thread. Only one CPU profile and one trace at a time. False: *e is set, and done
 * will not run. */
bool profile_start(struct profile *p);
/* Nobody wants it any more: done runs soon, if it is not on its way already. Same thread, once. */
void profile_cancel(struct profile *p);
/* At the end of the agent, when no loop can start another. Those under way are cut short. */
void profile_stop(void);

#endif
