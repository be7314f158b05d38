/* Time as numbers: durations are int64 nanoseconds, instants are nanoseconds since the Unix epoch
 * or of a monotonic clock. Only this file reads clocks, and pure cores never call those two
 * functions. Also the duration and date texts of the peer's language, which appear in its API
 * (http-core.md 5.1).
 */
#ifndef PRAETOR_BASE_TIME_H
#define PRAETOR_BASE_TIME_H

#include "base/error.h"
#include "base/str.h"

#define NANOSECOND ((int64_t)1)
#define MICROSECOND ((int64_t)1000)
#define MILLISECOND ((int64_t)1000000)
#define SECOND ((int64_t)1000000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

int64_t time_now_wall(void);      /* ns since 1970-01-01T00:00:00Z */
int64_t time_now_monotonic(void); /* ns, for measuring and timers */
/* The wall clock as this process found it, going on without jumps when somebody sets it: for delays
 * that outlive the process. */
int64_t time_now_steady(void);

/* "1m5s", "1.5s", "200ms", "0s": http-core.md 5.1. Written to the arena. */
struct str duration_format(struct arena *arena, int64_t ns);
/* Grammar and error texts of http-core.md 5.3 ("time: invalid duration \"abc\""). The
 * kind is ERROR_INTERNAL, as that of timestamp_parse; *ns is unchanged on failure. */
bool duration_parse(struct str text, int64_t *ns, struct error *e);

/* An instant as the protocol carries it (rpc.md 3.4). `offset` in minutes, -1 = UTC. */
struct timestamp {
    int64_t seconds;     /* since 0001-01-01T00:00:00Z */
    int32_t nanoseconds; /* 0..999999999 */
    int16_t offset;
    bool present; /* false only for an absent ?time */
};
#define TIMESTAMP_UNIX_EPOCH ((int64_t)62135596800)

struct timestamp timestamp_from_unix_ns(int64_t ns);
/* Saturates at INT64_MIN (years before 1677, so also the zero time) and INT64_MAX. */
int64_t timestamp_to_unix_ns(struct timestamp t);
/* RFC 3339 with up to nine decimals: "2026-11-23T09:06:25.632339631Z". Offsets 0 and -1 give Z,
 * others
 * "+05:30". */
struct str timestamp_format(struct arena *arena, struct timestamp t);
/* RFC 3339. "Z" gives offset -1, "+00:00" gives 0. The text may be a raw JSON string with its
 * quotes: the peer's error texts for those show the quotes of text and layout, doubled. */
bool timestamp_parse(struct str text, struct timestamp *t, struct error *e);

#endif
