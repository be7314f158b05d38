/* What the files of the local state share. Only for agent/local*.c.
 */
#ifndef PRAETOR_AGENT_LOCAL_STATE_H
#define PRAETOR_AGENT_LOCAL_STATE_H

#include "agent/local.h"
#include "base/random.h"
#include "base/time.h"

struct ttl_timer {
    struct loop_timer timer;
    struct local *local;
    int64_t ttl;
    struct str check_id; /* in the check's arena */
    bool had_output;
};

struct sync_waiter {
    void (*done)(void *arg);
    void *arg;
    uint64_t file; /* files up to this one must be written; 0: does not matter */
    struct sync_waiter *next;
};

/* A service or check as it was at a time. */
struct sync_item {
    struct str id;
    uint64_t generation;
};

/* A check of a service that is not in sync. */
struct dirty_check {
    struct str service_id, check_id;
    uint64_t generation;
};

enum sync_state { SYNC_FULL, SYNC_RETRY_FULL, SYNC_PARTIAL };
enum sync_stage {
    STAGE_IDLE,
    STAGE_READ_SERVICES,
    STAGE_READ_CHECKS,
    STAGE_NODE,
    STAGE_SERVICES,
    STAGE_CHECKS
};

struct local {
    const struct config *config;
    struct server *server;
    struct loop *loop; /* the core's */
    char node_id[37];
    struct map services, checks;
    uint64_t generation;
    bool discards_output;     /* of checks: the setting */
    bool loading;             /* what is registered comes from files: no pass is started */
    const char *loading_part; /* what is being loaded, or was last */
    struct prng random;
    struct local_watch watches;                           /* head of the list */
    void (*listener)(void *owner, struct str service_id); /* local_listen */
    void *listener_owner;
    struct map exposures; /* service ID -> struct exposure: local_expose.c */
    struct map central;   /* service ID -> struct buf: the last answer, encoded: local_central.c */
    bool central_loaded;  /* what the files said is in it: from then on it is newer than they */

    /* anti-entropy: local_sync.c */
    bool node_in_sync;
    uint64_t node_version; /* counts the reloads, which may change the node */
    enum sync_state state;
    enum sync_stage stage;
    bool full_wanted;       /* a full sync is to run when the pass is over */
    bool again;             /* changes came after the pass took its list */
    bool failed;            /* the servers refuse: the pass ends */
    bool incomplete;        /* some entry could not be pushed */
    bool full;              /* the pass belongs to a full sync */
    bool synced;            /* a full sync was completed since the start */
    bool asked;             /* for a full sync, which begins when asked_timer fires */
    bool leaderless;        /* why the last sync failed */
    struct arena pass;      /* of one pass */
    struct str pass_error;  /* of an incomplete pass: the first */
    struct sync_item *todo; /* of the stage */
    size_t todo_len, todo_next;
    unsigned in_flight;
    struct sync_waiter *waiting, *waiting_next; /* for this pass, for the next */
    struct sync_waiter *written;                /* pass is over, files are not written */
    struct dirty_check *dirty;                  /* by service: of the stage of the services */
    size_t dirty_len;
    struct loop_timer full_timer, retry_timer, trigger_timer, asked_timer;
    int64_t retry_at;
    struct sync_call *calls; /* under way */
    bool started;

    /* files: local_file.c */
    struct file_job *jobs, **jobs_end;
    bool writing;
    uint64_t file_queued, file_done;

    /* checks: local_ttl.c, check_local.c */
    struct loop_timer reap_timer;
    struct check_pool *check_pool; /* NULL until the first check that runs by itself */
    struct alias_check *aliases;

    bool stopping;
    unsigned open_handles; /* timers that must close before `stopped` */
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* local.c */
void local_touch_service(struct local *l, struct local_service *s);
void local_touch_check(struct local *l, struct local_check *c);
void local_check_free(struct local *l, struct local_check *c);
void local_set_output(struct local_check *c, struct str output);
/* The service may have changed; STR_NONE: any may have. */
void local_notify(struct local *l, struct str service_id);
/* The servers' part of a service is another one. */
void local_central_changed(struct local *l, struct local_service *s,
                           const struct service_config_response *answer);
/* Removes for good: the catalog confirmed. */
void local_service_drop(struct local *l, struct local_service *s);
void local_check_drop(struct local *l, struct local_check *c);
/* A check as a file has it, but critical; type NULL: a maintenance check. */
bool local_restore_check(struct local *l, const struct health_check *kept,
                         const struct check_type *type, struct str token, enum check_source source,
                         struct error *e);
/* Status and output by an update (agent.md 4.5). */
void local_check_update(struct local *l, struct local_check *c, struct str status,
                        struct str output);
/* A handle is closed; the second form as loop_timer_close wants it, for timers whose owner is the
 * local state. */
void local_closed_one(struct local *l);
void local_handle_closed(struct loop_timer *t);
/* A call or a file is over: perhaps it was the last. */
void local_ended_one(struct local *l);
/* A timer of its own on the heap, counted in open_handles, freed when closed. */
struct loop_timer *local_timer_new(struct local *l, void (*fn)(struct loop_timer *), void *owner);
void local_timer_free(struct loop_timer *t);
struct local *local_timer_local(struct loop_timer *t);

/* local_expose.c */
/* A service is registered in place of another (NULL: none), or is gone (now NULL). */
void expose_change(struct local *l, const struct node_service *old, const struct node_service *now);
/* Before it is started; and when it goes. */
void expose_check(struct local *l, struct local_check *c);
void expose_check_gone(struct local *l, struct local_check *c);
/* Of all sidecars; their checks go too. */
void expose_forget(struct local *l);
/* The check's target: "host:port". Terminated, in the arena. */
void expose_rewrite(struct check_type *t, struct str target, struct arena *arena);

/* local_sidecar.c */
struct str local_sidecar_id(struct arena *arena, struct str parent_id);

/* local_ttl.c */
void ttl_start(struct local *l, struct local_check *c);
void ttl_stop(struct local_check *c);
void ttl_restart(struct local_check *c);
struct str status_literal(struct str status);
void local_reap_start(struct local *l);
/* On a check's registration: how long its service may stay critical. */
void local_reap_check(struct local_check *c);

/* local_sync.c */
void sync_init(struct local *l);
void sync_stop(struct local *l);
/* Something changed: a pass soon. */
void sync_trigger(struct local *l);
/* Files up to file_done are written. */
void sync_files_written(struct local *l);
/* node_meta and what the agent adds. */
struct list sync_own_meta(const struct local *l, struct arena *arena);
/* For what is not of this agent: started now, as part of the pass that follows. */
void sync_drop_service(struct local *l, struct str id);
void sync_drop_check(struct local *l, struct str id);
/* local_compare.c */
void sync_compare_services(struct local *l, const struct node_service_list *remote);
void sync_compare_checks(struct local *l, const struct list *remote);
/* local_sync.c again */
void sync_cancel_deferral(struct local_check *c);
void sync_defer(struct local *l, struct local_check *c);

/* local_central.c */
/* What the servers say of a service, by its ID; the last answer is kept in memory and on disk. */
void central_remember(struct local *l, struct str id, const struct service_config_response *answer);
/* NULL: nothing is known. In the arena, and pointing to what is remembered. */
const struct service_config_response *central_remembered(const struct local *l, struct str id,
                                                         struct arena *arena);
void central_forget(struct local *l, struct str id);
/* What is of no service that there is. */
void central_forget_gone(struct local *l);
/* The memory, not the files. */
void central_free(struct local *l);

/* local_file.c */
#define CENTRAL_FOLDER "services/configs"
void file_store_service(struct local *l, const struct local_service *s);
void file_remove_service(struct local *l, struct str id);
void file_store_central(struct local *l, struct str service_id,
                        const struct service_config_response *answer);
void file_remove_central(struct local *l, struct str service_id);
void file_store_check(struct local *l, struct local_check *c);
void file_remove_check(struct local *l, struct str id);
void file_store_state(struct local *l, const struct local_check *c, int64_t ttl);
void file_remove_state(struct local *l, struct str check_id);
/* Where the file of an ID is, to be freed with mem_free. */
char *file_path(const struct local *l, const char *folder, struct str id);
bool files_idle(const struct local *l);

/* local_restore.c */
/* Into the memory of local_central.c. */
void file_load_central(struct local *l);
bool file_load_services(struct local *l, struct error *e);
bool file_load_checks(struct local *l, struct error *e);
/* Status and output of a TTL check as they were before the restart. */
void file_load_state(struct local *l, struct local_check *c);

#endif
