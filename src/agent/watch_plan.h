/* A watch of the configuration (agent.md 5.3), read and checked: what it looks at and what it runs.
 * Running is watches.c's.
 */
#ifndef PRAETOR_AGENT_WATCH_PLAN_H
#define PRAETOR_AGENT_WATCH_PLAN_H

#include "base/arena.h"
#include "base/error.h"
#include "codec/value.h"
#include "schema/schema.h"

enum watch_type {
    WATCH_TYPE_KEY,
    WATCH_TYPE_KEYPREFIX,
    WATCH_TYPE_SERVICES,
    WATCH_TYPE_NODES,
    WATCH_TYPE_SERVICE,
    WATCH_TYPE_CHECKS,
    WATCH_TYPE_EVENT,
    WATCH_TYPE_AGENT_SERVICE,
};

struct watch_plan {
    enum watch_type type;
    const char *type_name;
    struct str datacenter, token;
    /* key, prefix, service or name, by type; of checks the service, else `state` counts */
    struct str subject;
    struct str state;
    struct list tags; /* of str */
    bool passing_only, stale;

    /* A script: argv ends with NULL. Otherwise argv is NULL and it is an HTTP call. */
    char **argv;
    struct list words; /* of str: the script as log lines name it */
    bool deprecated;   /* by `handler`: words has one, and argv is a shell's */
    const char *url, *method;
    int64_t timeout;     /* ns */
    struct list headers; /* of str, "Name: value" */
    bool skip_verify;
};

/* A map of config.watches. Everything is in the arena. False with the peer's text. */
bool watch_plan_parse(const struct value *params, struct watch_plan *out, struct arena *arena,
                      struct error *e);

#endif
