/* For tests of proxies' snapshots: an agent's local state on a real server in memory with a
 * certificate authority, calls to it, and watchers on an I/O thread.
 */
#ifndef TEST_AGENT_PROXY_WORLD_H
#define TEST_AGENT_PROXY_WORLD_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/local.h"
#include "agent/proxy_watch.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/endpoints.h"

#define NODE_ID "11111111-2222-3333-4444-555555555555"

struct world {
    struct arena arena;
    struct config_inputs in;
    const struct config *config;
    struct server *server;
    struct local *local;
    struct proxies *proxies;
};
static struct world w;

/* Asks until it is so, for at most twenty seconds. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        int64_t end = time_now_monotonic() + 20 * SECOND;                                          \
        while (!(condition)) {                                                                     \
            if (time_now_monotonic() > end)                                                        \
                fail_msg("never: %s", #condition);                                                 \
            usleep(5000);                                                                          \
        }                                                                                          \
    } while (0)

/* ---- on the core, and wait ---- */

struct job {
    void (*fn)(struct job *job);
    uv_sem_t over;
    bool posts; /* fn posts `over` itself */
    bool ok;
    struct error e;
    struct str id;
    const struct service_definition *definition;
    struct str token;
    struct call call;
    struct arena arena;
    uint64_t count;
};

static void run_job(void *arg) {
    struct job *job = arg;
    bool posts = job->posts;
    job->fn(job);
    if (!posts)
        uv_sem_post(&job->over);
}

static void on_core(struct job *job, void (*fn)(struct job *job)) {
    job->fn = fn;
    job->e = ERROR_IN(&w.arena);
    uv_sem_init(&job->over, 0);
    assert_true(server_run_on_core(w.server, run_job, NULL, job));
    uv_sem_wait(&job->over);
    uv_sem_destroy(&job->over);
}

static void job_over(void *arg) {
    uv_sem_post(&((struct job *)arg)->over);
}

static void call_over(struct call *c) {
    struct job *job = c->owner;
    job->ok = !error_is_set(&c->answer->error);
    if (!job->ok)
        job->e.text = str_copy(&w.arena, c->answer->error.text);
    if (c->endpoint == &endpoint_connect_ca_roots && job->ok)
        job->count = ((const struct indexed_ca_roots *)c->answer->reply)->roots.len;
    answer_release(c->answer);
    uv_sem_post(&job->over);
}
static void do_call(struct job *job) {
    job->call.arena = &job->arena;
    job->call.owner = job;
    job->call.done = call_over;
    call_start(w.server, &job->call);
}

/* false: job->e.text says why. */
static inline bool try_call(const struct endpoint *endpoint, void *request, struct job *job) {
    *job = (struct job){.posts = true, .call = {.endpoint = endpoint, .request = request}};
    on_core(job, do_call);
    arena_free(&job->arena);
    return job->ok;
}
static inline void apply(const struct endpoint *endpoint, void *request) {
    struct job job;
    if (!try_call(endpoint, request, &job))
        fail_msg("%s: " STR_FMT, endpoint->name, STR_ARG(job.e.text));
}

/* ---- the world ---- */

static void do_load(struct job *job) {
    job->ok = local_load(w.local, w.config, &job->e);
}
static void do_start(struct job *job) {
    local_start(w.local);
}
static void do_stop(struct job *job) {
    local_stop(w.local, job_over, job);
}
static void do_stop_proxies(struct job *job) {
    proxies_stop(w.proxies, job_over, job);
}

static bool has_roots(void) {
    struct dc_request r = {0};
    struct job job;
    return try_call(&endpoint_connect_ca_roots, &r, &job) && job.count > 0;
}

static const struct config *read_config(const char *hcl) {
    struct error e = ERROR_IN(&w.arena);
    struct list warnings;
    config_inputs_free(&w.in);
    config_inputs_init(&w.in);
    w.in.dev_mode = true;
    w.in.fragments = LIST_NEW(&w.in.arena, struct str, 2);
    LIST_AT(w.in.fragments, struct str, 0) = STR("node_name=\"n1\" bind_addr=\"127.47.12.9\"");
    LIST_AT(w.in.fragments, struct str, 1) = str_from(hcl);
    const struct config *c = config_load(&w.in, &warnings, &w.arena, &e);
    if (c == NULL)
        fail_msg(STR_FMT, STR_ARG(e.text));
    return c;
}

static inline void start_world(const char *hcl) {
    struct error e = ERROR_IN(&w.arena);
    w = (struct world){0};
    w.config = read_config(hcl);
    struct value_pair cluster = {STR("cluster_id"),
                                 value_from_str(STR("11111111-2222-3333-4444-555555555555"))};
    struct value ca_config = {.kind = VALUE_MAP, .map = {&cluster, 1}};
    struct server_options options = {.node_name = STR("n1"),
                                     .node_id = STR(NODE_ID),
                                     .datacenter = STR("dc1"),
                                     .dev_mode = true,
                                     .bootstrap = true,
                                     .advertise_address = STR("127.47.12.9"),
                                     .server_port = 8300,
                                     .io_threads = 2,
                                     .raft_multiplier = 1,
                                     .acl = {.primary_datacenter = STR("dc1")},
                                     .ca = {.enabled = true, .config = &ca_config}};
    w.server = server_new(&options, &e);
    assert_non_null(w.server);
    assert_true(server_start(w.server, &e));
    struct local_options local = {w.config, w.server, STR(NODE_ID)};
    w.local = local_new(&local);
    w.proxies = proxies_new(w.local);
    struct job job = {0};
    on_core(&job, do_load);
    if (!job.ok)
        fail_msg(STR_FMT, STR_ARG(job.e.text));
    on_core(&job, do_start);
    UNTIL(has_roots());
}

static inline void end_world(void) {
    struct job proxies = {.posts = true}, job = {.posts = true};
    on_core(&proxies, do_stop_proxies);
    on_core(&job, do_stop);
    server_stop(w.server);
    server_free(w.server);
    proxies_free(w.proxies);
    local_free(w.local);
    config_release(w.config);
    config_inputs_free(&w.in);
    arena_free(&w.arena);
}

/* ---- registrations ---- */

static void do_register(struct job *job) {
    struct local_registration r = {.definition = job->definition, .token = job->token};
    job->ok = local_register_service(w.local, &r, &job->e);
}
static void do_deregister(struct job *job) {
    job->ok = local_deregister_service(w.local, job->id, &job->e);
}

static inline void register_with(const struct service_definition *d, const char *token) {
    struct job job = {.definition = d, .token = str_from(token)};
    on_core(&job, do_register);
    if (!job.ok)
        fail_msg(STR_FMT, STR_ARG(job.e.text));
}
static inline void deregister(const char *id) {
    struct job job = {.id = str_from(id)};
    on_core(&job, do_deregister);
    assert_true(job.ok);
}

static const char *catalog = "dc1"; /* whose */

/* In the catalog, on another node; with a sidecar when it is part of the mesh. */
static inline void put_instance(const char *node, const char *service, int64_t port) {
    struct node_service s = {.id = str_from(service), .service = str_from(service), .port = port};
    struct register_request r = {
        .datacenter = str_from(catalog), .node = str_from(node), .address = STR("127.47.12.10")};
    r.service = &s;
    apply(&endpoint_catalog_register, &r);
}
static inline void put_sidecar(const char *node, const char *service, int64_t port,
                               const char *version) {
    struct str_pair meta = {STR("version"), str_from(version)};
    struct node_service s = {.id = str_format(&w.arena, "%s-sidecar", service),
                             .service = str_format(&w.arena, "%s-sidecar", service),
                             .kind = STR("connect-proxy"),
                             .port = port,
                             .meta = {&meta, 1, true},
                             .proxy = {.destination_service_name = str_from(service)}};
    struct register_request r = {
        .datacenter = str_from(catalog), .node = str_from(node), .address = STR("127.47.12.10")};
    r.service = &s;
    apply(&endpoint_catalog_register, &r);
}
static inline void put_entry(struct config_entry *entry) {
    struct config_entry_request r = {.kind = entry->kind, .entry = entry, .op = STR("upsert")};
    apply(&endpoint_config_entry_apply, &r);
}

/* ---- watchers ---- */

struct viewer {
    struct message begin, end;
    struct str id;
    struct proxy_watch *watch;
    pthread_mutex_t lock;
    struct proxy_snapshot *newest; /* of them all */
    unsigned count;
    uv_sem_t over;
};

static void got_snapshot(void *owner, struct proxy_snapshot *s) {
    struct viewer *x = owner;
    pthread_mutex_lock(&x->lock);
    proxy_snapshot_release(x->newest);
    x->newest = s;
    x->count++;
    pthread_mutex_unlock(&x->lock);
}
static void begin_watching(struct message *m) {
    struct viewer *x = CONTAINER_OF(m, struct viewer, begin);
    x->watch = proxy_watch_begin(w.proxies, x->id, got_snapshot, x);
}
static void end_watching(struct message *m) {
    struct viewer *x = CONTAINER_OF(m, struct viewer, end);
    proxy_watch_end(x->watch);
    uv_sem_post(&x->over);
}

static inline void watch(struct viewer *x, const char *id) {
    *x = (struct viewer){.id = str_from(id), .begin.run = begin_watching};
    pthread_mutex_init(&x->lock, NULL);
    uv_sem_init(&x->over, 0);
    loop_post_reply(server_io(w.server, 1), &x->begin);
}
static inline void unwatch(struct viewer *x) {
    x->end.run = end_watching;
    loop_post_reply(server_io(w.server, 1), &x->end);
    uv_sem_wait(&x->over);
    uv_sem_destroy(&x->over);
    proxy_snapshot_release(x->newest);
    pthread_mutex_destroy(&x->lock);
}

/* The newest; the caller releases it. NULL: none came. */
static inline struct proxy_snapshot *newest(struct viewer *x) {
    pthread_mutex_lock(&x->lock);
    struct proxy_snapshot *s = x->newest;
    proxy_snapshot_hold(s);
    pthread_mutex_unlock(&x->lock);
    return s;
}
static inline unsigned count_of(struct viewer *x) {
    pthread_mutex_lock(&x->lock);
    unsigned count = x->count;
    pthread_mutex_unlock(&x->lock);
    return count;
}

typedef bool good_fn(const struct proxy_snapshot *s);
static inline bool is_good(struct viewer *x, good_fn *good) {
    struct proxy_snapshot *s = newest(x);
    bool is = s != NULL && good(s);
    proxy_snapshot_release(s);
    return is;
}

#endif
