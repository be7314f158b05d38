/* The agent's log, in the peer's formats (config.md 4.2): one line a message,
 *   2026-11-23T09:06:25.632Z [INFO]  agent.server: text: key=value key2="two words"
 * or one JSON object a line. Thread-safe; lines below the level cost one comparison. Sinks beyond
 * standard output (monitor, files, syslog) register with log_add_sink.
 */
#ifndef PRAETOR_BASE_LOG_H
#define PRAETOR_BASE_LOG_H

#include <stdatomic.h>

#include "base/str.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

/* Accepts trace, debug, info, warn, err, error in any case (config.md 3.8). */
bool log_level_parse(struct str text, enum log_level *level);
const char *log_level_name(enum log_level level); /* "INFO" */

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_set_json(bool json);
/* Lines go to standard output from the start, behind four blanks (config.md 4.1); false turns that
 * off. */
void log_set_stdout(bool on);

/* A sink gets each line of its level and above, without the final newline, on the thread that logs:
 * it must be quick and must neither log nor add or remove sinks. Returns a handle for
 * log_remove_sink. At most 64 sinks; NULL when there are more. log_set_level does not change the
 * level of sinks. */
struct log_sink;
typedef void log_sink_fn(void *owner, enum log_level level, struct str line);
struct log_sink *log_add_sink(enum log_level level, bool json, log_sink_fn *fn, void *owner);
void log_sink_set_level(struct log_sink *sink, enum log_level level); /* NULL is allowed */
/* When it returns, the sink is not being called and will not be again. NULL is allowed. */
void log_remove_sink(struct log_sink *sink);

/* name: the dotted name before the colon ("agent.server.raft"). fields: pairs made by the LOG_*
 * macros below, ended by one whose key is NULL; at most 64. The log_at macro does that. Everything
 * is copied before log_write returns. A value is quoted in the text form when it holds blanks. */
struct log_field {
    const char *key; /* NULL ends the list */
    enum { LOG_FIELD_STR, LOG_FIELD_I64, LOG_FIELD_BOOL, LOG_FIELD_DURATION, LOG_FIELD_LIST } kind;
    struct str text;
    int64_t number;          /* value; nanoseconds; number of items */
    const struct str *items; /* of a list */
};
void log_write(enum log_level level, const char *name, const char *message,
               const struct log_field *fields);

extern _Atomic int log_threshold; /* lowest level that anybody wants */

#define LOG_S(k, v)                                                                                \
    { .key = (k), .kind = LOG_FIELD_STR, .text = (v) }
#define LOG_C(k, v)                                                                                \
    { .key = (k), .kind = LOG_FIELD_STR, .text = str_from(v) }
#define LOG_I(k, v)                                                                                \
    { .key = (k), .kind = LOG_FIELD_I64, .number = (int64_t)(v) }
#define LOG_B(k, v)                                                                                \
    { .key = (k), .kind = LOG_FIELD_BOOL, .number = (v) }
#define LOG_D(k, ns)                                                                               \
    { .key = (k), .kind = LOG_FIELD_DURATION, .number = (ns) }
#define LOG_L(k, v, n)                                                                             \
    { .key = (k), .kind = LOG_FIELD_LIST, .items = (v), .number = (int64_t)(n) }
/* log_at(LOG_INFO, "agent", "Synced service", LOG_S("service", id)); */
#define log_at(level, name, message, ...)                                                          \
    ((int)(level) >= atomic_load_explicit(&log_threshold, memory_order_relaxed)                    \
         ? log_write((level), (name), (message),                                                   \
                     (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}})          \
         : (void)0)

#endif
