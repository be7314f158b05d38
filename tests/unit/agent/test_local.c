/* The local state on a real server in memory: what is registered arrives in the catalog and leaves
 * it again, a full sync repairs, TTLs run out, and what is kept on disk comes back.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/local.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"
#include "schema/requests_config.h"
#include "server/endpoints.h"

#define NODE_ID "11111111-2222-3333-4444-555555555555"

struct world {
    struct arena arena;
    struct config_inputs in;
    const struct config *config;
    struct server *server;
    struct local *local;
    char folder[64];                 /* "" : none */
    void (*loaded)(struct world *w); /* on the core, when the files are read; NULL */
};

/* ---- on the core, and wait ---- */

struct job {
    struct world *w;
    void (*fn)(struct job *job);
    uv_sem_t over;
    bool posts; /* fn posts `over` itself */
    /* arguments and results */
    struct str id, status, output;
    const struct local_registration *registration;
    const struct config_check *check;
    void *data;
    const struct config *config;
    bool ok, enable;
    struct error e;
    struct call call;
    struct arena arena;
    void (*got)(struct job *job, const void *reply);
    size_t count;
};

static void run_job(void *arg) {
    struct job *job = arg;
    bool posts = job->posts; /* who posts may end the job at once */
    job->fn(job);
    if (!posts)
        uv_sem_post(&job->over);
}

static void on_core(struct world *w, struct job *job, void (*fn)(struct job *job)) {
    job->w = w;
    job->fn = fn;
    job->e = ERROR_IN(&w->arena);
    uv_sem_init(&job->over, 0);
    assert_true(server_run_on_core(w->server, run_job, NULL, job));
    uv_sem_wait(&job->over);
    uv_sem_destroy(&job->over);
}

static void synced(void *arg) {
    uv_sem_post(&((struct job *)arg)->over);
}
static void do_sync(struct job *job) {
    local_sync_changes(job->w->local, synced, job);
}
static void push(struct world *w) {
    struct job job = {.posts = true};
    on_core(w, &job, do_sync);
}

static void do_start(struct job *job) {
    local_start(job->w->local);
}
static void do_stop(struct job *job) {
    local_stop(job->w->local, synced, job);
}
static void do_load(struct job *job) {
    job->ok = local_load(job->w->local, job->w->config, &job->e);
    if (job->w->loaded != NULL)
        job->w->loaded(job->w);
}
static void do_reload(struct job *job) {
    job->ok = local_reload(job->w->local, job->config, &job->e);
}
static void do_full(struct job *job) {
    local_full_sync_trigger(job->w->local);
}
static void do_register(struct job *job) {
    job->ok = local_register_service(job->w->local, job->registration, &job->e);
}
static void do_check(struct job *job) {
    job->ok = local_register_check(job->w->local, job->check, CHECK_FROM_API, &job->e);
}
static void do_deregister(struct job *job) {
    job->ok = local_deregister_service(job->w->local, job->id, &job->e);
}
static void do_deregister_check(struct job *job) {
    job->ok = local_deregister_check(job->w->local, job->id, &job->e);
}
static void do_beat(struct job *job) {
    job->ok = local_update_ttl(job->w->local, job->id, job->status, job->output, &job->e);
}
static void do_maintenance(struct job *job) {
    local_maintenance_node(job->w->local, job->enable, STR("why"), STR(""));
}
static void do_look(struct job *job) {
    const struct local_check *c = local_check_find(job->w->local, job->id);
    job->ok = c != NULL;
    if (c != NULL) {
        job->status = str_copy(&job->w->arena, c->check.status);
        job->output = str_copy(&job->w->arena, c->check.output);
    }
}
static void do_count(struct job *job) {
    job->count = local_service_count(job->w->local);
}

/* ---- calls from the core ---- */

static void call_over(struct call *c) {
    struct job *job = c->owner;
    job->ok = !error_is_set(&c->answer->error);
    if (job->ok && job->got != NULL)
        job->got(job, c->answer->reply);
    answer_release(c->answer);
    uv_sem_post(&job->over);
}
static void do_call(struct job *job) {
    job->call.arena = &job->arena;
    job->call.owner = job;
    job->call.done = call_over;
    call_start(job->w->server, &job->call);
}
static bool call(struct world *w, const struct endpoint *endpoint, void *request,
                 void (*got)(struct job *, const void *), struct job *job) {
    *job = (struct job){.posts = true, .got = got};
    job->call.endpoint = endpoint;
    job->call.request = request;
    on_core(w, job, do_call);
    arena_free(&job->arena);
    return job->ok;
}

static void got_services(struct job *job, const void *reply) {
    const struct indexed_node_service_list *list = reply;
    for (uint32_t i = 0; i < list->node_services.services.len; i++) {
        const struct node_service *s =
            LIST_AT(list->node_services.services, struct node_service *, i);
        if (str_eq(s->id, job->id)) {
            job->count++;
            job->output = s->tags.len > 0
                              ? str_copy(&job->w->arena, LIST_AT(s->tags, struct str, 0))
                              : STR("");
        }
    }
}

/* How often the catalog has the service on this node; *tag: its first tag. */
static size_t catalog_has(struct world *w, const char *id, struct str *tag) {
    struct node_request *r = ARENA_NEW(&w->arena, struct node_request);
    r->node = STR("n1");
    struct job job = {.posts = true, .got = got_services, .id = str_from(id)};
    job.call.endpoint = &endpoint_catalog_node_service_list;
    job.call.request = r;
    on_core(w, &job, do_call);
    assert_true(job.ok);
    arena_free(&job.arena);
    if (tag != NULL)
        *tag = job.output;
    return job.count;
}

static void got_checks(struct job *job, const void *reply) {
    const struct indexed_health_checks *list = reply;
    for (uint32_t i = 0; i < list->health_checks.len; i++) {
        const struct health_check *c = LIST_AT(list->health_checks, struct health_check *, i);
        if (!str_eq(c->check_id, job->id))
            continue;
        job->count++;
        job->status = str_copy(&job->w->arena, c->status);
        job->output = str_copy(&job->w->arena, c->output);
    }
}

static bool catalog_check(struct world *w, const char *id, struct str *status, struct str *output) {
    struct node_request *r = ARENA_NEW(&w->arena, struct node_request);
    r->node = STR("n1");
    struct job job = {.posts = true, .got = got_checks, .id = str_from(id)};
    job.call.endpoint = &endpoint_health_node_checks;
    job.call.request = r;
    on_core(w, &job, do_call);
    assert_true(job.ok);
    arena_free(&job.arena);
    *status = job.status;
    *output = job.output;
    return job.count == 1;
}

/* Asks until it is so, for at most ten seconds. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        int64_t end = time_now_monotonic() + 10 * SECOND;                                          \
        while (!(condition)) {                                                                     \
            assert_true(time_now_monotonic() < end);                                               \
            usleep(5000);                                                                          \
        }                                                                                          \
    } while (0)

/* ---- the world ---- */

static const struct config *make_config(struct world *w, const char *hcl) {
    struct error e = ERROR_IN(&w->arena);
    struct list warnings;
    config_inputs_free(&w->in);
    config_inputs_init(&w->in);
    w->in.dev_mode = w->folder[0] == '\0';
    w->in.fragments = LIST_NEW(&w->in.arena, struct str, 2);
    LIST_AT(w->in.fragments, struct str, 0) = str_format(
        &w->in.arena,
        "node_name=\"n1\" bind_addr=\"127.47.0.9\" server=true bootstrap=true data_dir=\"%s\"",
        w->folder);
    LIST_AT(w->in.fragments, struct str, 1) = str_from(hcl);
    const struct config *c = config_load(&w->in, &warnings, &w->arena, &e);
    if (c == NULL)
        fail_msg("%.*s", (int)e.text.len, e.text.data);
    return c;
}

static void start_world(struct world *w, const char *hcl) {
    struct error e = ERROR_IN(&w->arena);
    w->config = make_config(w, hcl);
    struct server_options options = {.node_name = STR("n1"),
                                     .node_id = STR(NODE_ID),
                                     .datacenter = STR("dc1"),
                                     .dev_mode = true,
                                     .bootstrap = true,
                                     .advertise_address = STR("127.47.0.9"),
                                     .server_port = 8300,
                                     .io_threads = 1,
                                     .raft_multiplier = 1};
    w->server = server_new(&options, &e);
    assert_non_null(w->server);
    assert_true(server_start(w->server, &e));
    struct local_options local = {w->config, w->server, STR(NODE_ID)};
    w->local = local_new(&local);
    struct job job = {0};
    on_core(w, &job, do_load);
    if (!job.ok)
        fail_msg("%.*s", (int)job.e.text.len, job.e.text.data);
    on_core(w, &job, do_start);
    UNTIL(catalog_has(w, "consul", NULL) == 1);
    push(w);
}

static void end_world(struct world *w) {
    struct job job = {.posts = true};
    on_core(w, &job, do_stop);
    server_stop(w->server);
    server_free(w->server);
    local_free(w->local);
    config_release(w->config);
    config_inputs_free(&w->in);
    arena_free(&w->arena);
}

static bool register_service(struct world *w, const char *id, const char *tag, bool override,
                             int64_t ttl) {
    struct service_definition *d = ARENA_NEW(&w->arena, struct service_definition);
    d->name = str_from(id);
    d->port = 80;
    d->enable_tag_override = override;
    d->tags = LIST_NEW(&w->arena, struct str, 1);
    LIST_AT(d->tags, struct str, 0) = str_from(tag);
    struct local_registration r = {.definition = d, .from_api = true};
    if (ttl > 0) {
        struct check_type *type = ARENA_NEW(&w->arena, struct check_type);
        type->ttl = ttl;
        d->checks = LIST_NEW(&w->arena, struct check_type *, 1);
        LIST_AT(d->checks, struct check_type *, 0) = type;
    }
    struct job job = {.registration = &r};
    on_core(w, &job, do_register);
    push(w);
    return job.ok;
}

static void test_register(void **state) {
    struct world w = {0};
    struct str tag, status, output;
    start_world(&w, "");
    assert_true(register_service(&w, "web", "a", false, 30 * SECOND));
    assert_int_equal(catalog_has(&w, "web", &tag), 1);
    assert_true(str_is(tag, "a"));
    assert_true(catalog_check(&w, "service:web", &status, &output));
    assert_true(str_is(status, "critical"));

    struct job beat = {.id = STR("service:web"), .status = STR("passing"), .output = STR("fine")};
    on_core(&w, &beat, do_beat);
    assert_true(beat.ok);
    push(&w);
    assert_true(catalog_check(&w, "service:web", &status, &output));
    assert_true(str_is(status, "passing"));
    assert_true(str_is(output, "fine"));

    /* Registered again: replaced, but its check keeps what it was. */
    assert_true(register_service(&w, "web", "b", false, 30 * SECOND));
    assert_int_equal(catalog_has(&w, "web", &tag), 1);
    assert_true(str_is(tag, "b"));
    assert_true(catalog_check(&w, "service:web", &status, &output));
    assert_true(str_is(status, "passing"));

    struct job gone = {.id = STR("web")};
    on_core(&w, &gone, do_deregister);
    push(&w);
    assert_int_equal(catalog_has(&w, "web", NULL), 0);
    assert_false(catalog_check(&w, "service:web", &status, &output));
    struct job count = {0};
    on_core(&w, &count, do_count);
    assert_int_equal(count.count, 0);
    end_world(&w);
}

static void test_many(void **state) {
    struct world w = {0};
    start_world(&w, "");
    for (int i = 0; i < 300; i++) {
        char id[16];
        snprintf(id, sizeof(id), "s%d", i);
        struct service_definition d = {.name = str_from(id), .port = i};
        struct local_registration r = {.definition = &d};
        struct job job = {.registration = &r};
        on_core(&w, &job, do_register);
        assert_true(job.ok);
    }
    push(&w);
    assert_int_equal(catalog_has(&w, "s0", NULL), 1);
    assert_int_equal(catalog_has(&w, "s299", NULL), 1);
    end_world(&w);
}

static void test_refused(void **state) {
    struct world w = {0};
    start_world(&w, "");
    struct job beat = {.id = STR("nope"), .status = STR("passing")};
    on_core(&w, &beat, do_beat);
    assert_false(beat.ok);
    assert_true(str_is(beat.e.text, "CheckID \"nope\" does not have associated TTL"));
    struct config_check check = {
        .service_id = STR("none"), .type.name = STR("c"), .type.ttl = SECOND};
    struct job reg = {.check = &check};
    on_core(&w, &reg, do_check);
    assert_true(str_is(reg.e.text, "ServiceID \"none\" does not exist"));
    struct config_check script = {.type.name = STR("c"), .type.interval = SECOND};
    script.type.script_args = LIST_NEW(&w.arena, struct str, 1);
    reg.check = &script;
    on_core(&w, &reg, do_check);
    assert_true(
        str_has_prefix(reg.e.text, STR("Scripts are disabled on this agent from remote calls")));
    struct job gone = {.id = STR("")};
    on_core(&w, &gone, do_deregister);
    assert_true(str_is(gone.e.text, "ServiceID missing"));
    end_world(&w);
}

/* What the catalog refuses does not keep the rest from it. */
static void test_one_bad(void **state) {
    struct world w = {0};
    start_world(&w, "services { name = \"any\" address = \"0.0.0.0\" } services { name = \"a\" } "
                    "services { name = \"b\" }");
    assert_int_equal(catalog_has(&w, "a", NULL), 1);
    assert_int_equal(catalog_has(&w, "b", NULL), 1);
    assert_int_equal(catalog_has(&w, "any", NULL), 0);
    end_world(&w);
}

static void test_expiry(void **state) {
    struct world w = {0};
    struct str status, output;
    start_world(&w, "");
    struct config_check check = {
        .type.name = STR("t"), .type.ttl = 60 * MILLISECOND, .type.status = STR("passing")};
    struct job reg = {.check = &check};
    on_core(&w, &reg, do_check);
    assert_true(reg.ok);
    UNTIL(catalog_check(&w, "t", &status, &output) && str_is(status, "critical"));
    assert_true(str_is(output, "TTL expired"));
    struct job beat = {.id = STR("t"), .status = STR("warning"), .output = STR("hm")};
    on_core(&w, &beat, do_beat);
    UNTIL(catalog_check(&w, "t", &status, &output) && str_has_prefix(output, STR("TTL expired (")));
    assert_true(str_is(status, "critical"));
    assert_true(str_is(output, "TTL expired (last output before timeout follows): hm"));
    struct job gone = {.id = STR("t")};
    on_core(&w, &gone, do_deregister_check);
    push(&w);
    assert_false(catalog_check(&w, "t", &status, &output));
    end_world(&w);
}

static void test_output_limit(void **state) {
    struct world w = {0};
    start_world(&w, "check_output_max_size = 4");
    struct config_check check = {.type.name = STR("t"), .type.ttl = MINUTE};
    struct job reg = {.check = &check};
    on_core(&w, &reg, do_check);
    struct job beat = {.id = STR("t"), .status = STR("passing"), .output = STR("123456")};
    on_core(&w, &beat, do_beat);
    struct job look = {.id = STR("t")};
    on_core(&w, &look, do_look);
    assert_true(str_is(look.output, "1234 ... (captured 4 of 6 bytes)"));
    end_world(&w);
}

/* A changed output alone waits before it is synced, half of the interval at least. */
static void test_deferral(void **state) {
    struct world w = {0};
    struct str status, output;
    start_world(&w, "check_update_interval = \"100ms\"");
    struct config_check check = {
        .type.name = STR("t"), .type.ttl = MINUTE, .type.status = STR("passing")};
    struct job reg = {.check = &check};
    on_core(&w, &reg, do_check);
    push(&w);
    int64_t start = time_now_monotonic();
    struct job beat = {.id = STR("t"), .status = STR("passing"), .output = STR("new")};
    on_core(&w, &beat, do_beat);
    UNTIL(catalog_check(&w, "t", &status, &output) && str_is(output, "new"));
    assert_true(time_now_monotonic() - start >= 50 * MILLISECOND);
    end_world(&w);
}

static void test_full_sync(void **state) {
    struct world w = {0};
    struct str tag, status, output;
    start_world(&w, "");
    assert_true(register_service(&w, "mine", "a", false, 0));
    assert_true(register_service(&w, "loose", "a", true, 0));

    /* Somebody else removes one, changes the other, and adds a third and a check. */
    struct job job;
    struct deregister_request *d = ARENA_NEW(&w.arena, struct deregister_request);
    d->node = STR("n1");
    d->service_id = STR("mine");
    assert_true(call(&w, &endpoint_catalog_deregister, d, NULL, &job));
    struct node_service loose = {
        .id = STR("loose"), .service = STR("loose"), .port = 80, .enable_tag_override = true};
    loose.tags = LIST_NEW(&w.arena, struct str, 1);
    LIST_AT(loose.tags, struct str, 0) = STR("changed");
    struct register_request *r = ARENA_NEW(&w.arena, struct register_request);
    r->node = STR("n1");
    r->address = STR("127.47.0.9");
    r->skip_node_update = true;
    r->service = &loose;
    assert_true(call(&w, &endpoint_catalog_register, r, NULL, &job));
    struct node_service foreign = {.id = STR("foreign"), .service = STR("foreign")};
    struct health_check check = {
        .check_id = STR("foreign"), .name = STR("f"), .node = STR("n1"), .status = STR("passing")};
    r = ARENA_NEW(&w.arena, struct register_request);
    r->node = STR("n1");
    r->address = STR("127.47.0.9");
    r->skip_node_update = true;
    r->service = &foreign;
    r->check = &check;
    assert_true(call(&w, &endpoint_catalog_register, r, NULL, &job));
    assert_int_equal(catalog_has(&w, "mine", NULL), 0);
    assert_int_equal(catalog_has(&w, "foreign", NULL), 1);

    struct job full = {0};
    on_core(&w, &full, do_full);
    UNTIL(catalog_has(&w, "mine", &tag) == 1);
    UNTIL(catalog_has(&w, "foreign", NULL) == 0);
    UNTIL(!catalog_check(&w, "foreign", &status, &output));
    assert_true(str_is(tag, "a"));
    assert_int_equal(catalog_has(&w, "loose", &tag), 1);
    assert_true(str_is(tag, "changed")); /* adopted */
    assert_int_equal(catalog_has(&w, "consul", NULL), 1);
    assert_true(catalog_check(&w, "serfHealth", &status, &output));
    end_world(&w);
}

static void test_maintenance(void **state) {
    struct world w = {0};
    struct str status, output;
    start_world(&w, "");
    struct job on = {.enable = true}, off = {.enable = false};
    on_core(&w, &on, do_maintenance);
    on_core(&w, &on, do_maintenance);
    push(&w);
    assert_true(catalog_check(&w, "_node_maintenance", &status, &output));
    assert_true(str_is(status, "critical"));
    on_core(&w, &off, do_maintenance);
    push(&w);
    assert_false(catalog_check(&w, "_node_maintenance", &status, &output));
    end_world(&w);
}

static void remove_folder(const char *folder) {
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

static void test_persistence(void **state) {
    struct world w = {.folder = "/tmp/praetor-local-XXXXXX"};
    struct str status, output;
    char folder[64];
    assert_non_null(mkdtemp(w.folder));
    memcpy(folder, w.folder, sizeof(folder));
    start_world(&w, "service { name = \"fixed\" }");
    assert_true(register_service(&w, "web", "a", false, 30 * SECOND));
    assert_true(register_service(&w, "fixed", "replaced", false, 0));
    struct job beat = {.id = STR("service:web"), .status = STR("passing"), .output = STR("fine")};
    on_core(&w, &beat, do_beat);
    struct job on = {.enable = true};
    on_core(&w, &on, do_maintenance);
    push(&w);
    end_world(&w);

    struct world again = {0};
    memcpy(again.folder, folder, sizeof(folder));
    start_world(&again, "service { name = \"fixed\" tags = [\"config\"] }");
    assert_int_equal(catalog_has(&again, "web", NULL), 1);
    assert_true(catalog_check(&again, "service:web", &status, &output));
    assert_true(str_is(status, "passing"));
    assert_true(str_is(output, "fine"));
    assert_true(catalog_check(&again, "_node_maintenance", &status, &output));
    struct str tag;
    assert_int_equal(catalog_has(&again, "fixed", &tag), 1);
    assert_true(str_is(tag, "config")); /* the configuration wins */
    struct job gone = {.id = STR("web")};
    on_core(&again, &gone, do_deregister);
    push(&again);
    end_world(&again);

    struct world last = {0};
    memcpy(last.folder, folder, sizeof(folder));
    start_world(&last, "");
    assert_int_equal(catalog_has(&last, "web", NULL), 0);
    end_world(&last);
    remove_folder(folder);
}

static void test_reload(void **state) {
    struct world w = {.folder = "/tmp/praetor-local-XXXXXX"};
    struct str status, output;
    char folder[64];
    assert_non_null(mkdtemp(w.folder));
    memcpy(folder, w.folder, sizeof(folder));
    start_world(&w,
                "services { name = \"one\" check { ttl = \"10m\" } } services { name = \"two\" }");
    assert_true(register_service(&w, "api", "a", false, 0));
    struct job beat = {.id = STR("service:one"), .status = STR("warning"), .output = STR("kept")};
    on_core(&w, &beat, do_beat);
    const struct config *next =
        make_config(&w, "services { name = \"one\" check { ttl = \"10m\" } }");
    struct job job = {.config = next};
    on_core(&w, &job, do_reload);
    assert_true(job.ok);
    config_release(next);
    push(&w);
    assert_int_equal(catalog_has(&w, "one", NULL), 1);
    assert_int_equal(catalog_has(&w, "two", NULL), 0);
    assert_int_equal(catalog_has(&w, "api", NULL), 1);
    assert_true(catalog_check(&w, "service:one", &status, &output));
    assert_true(str_is(status, "warning"));
    assert_true(str_is(output, "kept"));
    end_world(&w);
    remove_folder(folder);
}

/* ---- central configuration ---- */

#define CENTRAL "enable_central_service_config = true"
#define SIDECAR_CONFIG "{\"a\":1,\"of\":\"the servers\"}"
#define EMPTY "/services/configs/empty"
#define BROKEN "/services/configs/broken"

/* As the servers told it, at an index that they do not have: they say nothing more. */
static void register_central(struct world *w) {
    struct connect_proxy_config proxy = {.destination_service_name = STR("web"),
                                         .destination_service_id = STR("web")};
    struct service_definition d = {
        .name = STR("p"), .kind = STR("connect-proxy"), .port = 80, .proxy = &proxy};
    struct value config;
    struct error e = ERROR_IN(&w->arena);
    assert_true(json_parse_whole(STR(SIDECAR_CONFIG), &config, &w->arena, &e));
    struct service_config_response central = {.proxy_config = &config, .meta.index = 1000};
    struct local_registration r = {.definition = &d, .from_api = true, .central = &central};
    struct job job = {.registration = &r};
    on_core(w, &job, do_register);
    assert_true(job.ok);
    push(w);
}

static void has_central(struct world *w) {
    struct value config;
    struct error e = ERROR_IN(&w->arena);
    const struct local_service *s = local_service_find(w->local, STR("p"));
    assert_true(json_parse_whole(STR(SIDECAR_CONFIG), &config, &w->arena, &e));
    assert_non_null(s);
    assert_non_null(s->service.proxy.config);
    assert_true(value_equal(s->service.proxy.config, &config));
}

static void has_none(struct world *w) {
    assert_null(local_service_find(w->local, STR("p"))->service.proxy.config);
}

static size_t files_in(const char *folder, const char *below) {
    char path[128];
    snprintf(path, sizeof(path), "%s%s", folder, below);
    DIR *d = opendir(path);
    assert_non_null(d);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(d);
    return count;
}

static bool is_file(const char *folder, const char *below) {
    char path[128];
    snprintf(path, sizeof(path), "%s%s", folder, below);
    return access(path, F_OK) == 0;
}

static void write_file(const char *folder, const char *below, const char *text) {
    char path[128];
    snprintf(path, sizeof(path), "%s%s", folder, below);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static void start_again(struct world *w, const char *folder, const char *hcl,
                        void (*loaded)(struct world *w)) {
    *w = (struct world){.loaded = loaded};
    memcpy(w->folder, folder, sizeof(w->folder));
    start_world(w, hcl);
}

/* What the servers said of a sidecar is on disk: a start has it before they are asked. */
static void test_central(void **state) {
    char folder[64] = "/tmp/praetor-local-XXXXXX";
    struct world w;
    assert_non_null(mkdtemp(folder));
    start_again(&w, folder, CENTRAL, NULL);
    register_central(&w);
    end_world(&w);
    assert_int_equal(files_in(folder, "/services/configs"), 1);
    write_file(folder, BROKEN, "{\"ServiceID\":\"p\",");
    write_file(folder, EMPTY, "{\"ServiceID\":\"p\",\"Defaults\":null}");

    /* Without the setting it is only kept. */
    start_again(&w, folder, "", has_none);
    end_world(&w);
    start_again(&w, folder, CENTRAL, has_central);
    end_world(&w);
    assert_int_equal(files_in(folder, "/services/configs"), 3);
    assert_true(is_file(folder, BROKEN) && is_file(folder, EMPTY));

    /* It goes with the service, also without the setting. */
    start_again(&w, folder, "", has_none);
    struct job gone = {.id = STR("p")};
    on_core(&w, &gone, do_deregister);
    push(&w);
    assert_int_equal(files_in(folder, "/services/configs"), 2);
    end_world(&w);
    remove_folder(folder);
}

/* What is of no service goes at the next start; a reload forgets what went with it. */
static void test_central_of_nobody(void **state) {
    char folder[64] = "/tmp/praetor-local-XXXXXX";
    struct world w;
    assert_non_null(mkdtemp(folder));
    start_again(&w, folder, CENTRAL, NULL);
    register_central(&w);
    end_world(&w);
    char command[128];
    snprintf(command, sizeof(command), "rm %s/services/[0-9a-f]*[0-9a-f]", folder);
    assert_int_equal(system(command), 0);
    start_again(&w, folder, "", NULL);
    push(&w);
    assert_int_equal(files_in(folder, "/services/configs"), 0);
    end_world(&w);

    start_again(&w, folder,
                CENTRAL " services { name = \"web\" port = 1 connect { sidecar_service {} } }",
                NULL);
    UNTIL(files_in(folder, "/services/configs") == 1);
    const struct config *next = make_config(&w, CENTRAL);
    struct job job = {.config = next};
    on_core(&w, &job, do_reload);
    assert_true(job.ok);
    config_release(next);
    push(&w);
    assert_int_equal(files_in(folder, "/services/configs"), 0);
    end_world(&w);
    remove_folder(folder);
}

/* ---- waiting for a service, and sidecars ---- */

struct waiter {
    struct local_watch watch;
    struct local *local;
    unsigned told;
};

/* As a blocking query does whose service is as it was. */
static void told(struct local_watch *watch) {
    struct waiter *waiter = CONTAINER_OF(watch, struct waiter, watch);
    waiter->told++;
    local_watch_add(waiter->local, watch);
}

static void do_wait(struct job *job) {
    struct waiter *waiters = job->data;
    for (size_t i = 0; i < 3; i++) {
        waiters[i].watch = (struct local_watch){.service_id = STR("one"), .fn = told};
        waiters[i].local = job->w->local;
        local_watch_add(job->w->local, &waiters[i].watch);
    }
}

static void do_forget(struct job *job) {
    struct waiter *waiters = job->data;
    for (size_t i = 0; i < 3; i++)
        local_watch_remove(&waiters[i].watch);
}

static void test_waiters(void **state) {
    struct world w = {0};
    struct waiter waiters[3] = {0};
    start_world(&w, "services { name = \"one\" port = 1 }");
    struct job job = {.data = waiters};
    on_core(&w, &job, do_wait);
    const struct config *next = make_config(&w, "services { name = \"one\" port = 1 }");
    struct job reload = {.config = next};
    on_core(&w, &reload, do_reload);
    assert_true(reload.ok);
    unsigned before = waiters[0].told;
    assert_in_range(before, 1, 2); /* of the service, of the whole */
    assert_true(register_service(&w, "one", "new", false, 0));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(waiters[i].told, before + 1);
    on_core(&w, &job, do_forget);
    config_release(next);
    end_world(&w);
}

static void do_sidecar(struct job *job) {
    struct service_definition *sidecar;
    struct local *l = job->w->local;
    struct arena *arena = &job->w->arena;
    struct local_registration r = *job->registration;
    job->ok = local_sidecar_of(l, r.definition, &sidecar, arena, &job->e) &&
              local_register_service(l, &r, &job->e);
    if (!job->ok)
        return;
    r.definition = sidecar;
    r.is_sidecar = true;
    job->ok = local_register_service(l, &r, &job->e);
}

static bool register_with_sidecar(struct world *w, const char *id, int64_t port) {
    struct service_definition *d = ARENA_NEW(&w->arena, struct service_definition);
    d->name = str_from(id);
    d->port = 80;
    d->connect = ARENA_NEW(&w->arena, struct service_connect);
    d->connect->sidecar_service = ARENA_NEW(&w->arena, struct service_definition);
    d->connect->sidecar_service->port = port;
    struct local_registration r = {.definition = d, .from_api = true};
    struct job job = {.registration = &r};
    on_core(w, &job, do_sidecar);
    push(w);
    return job.ok;
}

static void test_sidecars(void **state) {
    struct world w = {0};
    struct str status, output;
    start_world(&w, "ports { sidecar_min_port = 21000 sidecar_max_port = 21001 }");
    assert_true(register_with_sidecar(&w, "a", 0));
    assert_true(register_with_sidecar(&w, "b", 0));
    assert_true(register_with_sidecar(&w, "b", 0)); /* keeps its port */
    assert_false(register_with_sidecar(&w, "c", 0));
    assert_true(register_with_sidecar(&w, "c", 9));
    assert_int_equal(catalog_has(&w, "a-sidecar-proxy", NULL), 1);
    assert_true(catalog_check(&w, "service:a-sidecar-proxy:2", &status, &output));
    assert_true(str_is(status, "passing"));
    assert_true(str_is(output, "No checks found."));
    struct job gone = {.id = STR("a")};
    on_core(&w, &gone, do_deregister);
    push(&w);
    assert_int_equal(catalog_has(&w, "a-sidecar-proxy", NULL), 0);
    assert_false(catalog_check(&w, "service:a-sidecar-proxy:2", &status, &output));
    assert_int_equal(catalog_has(&w, "b-sidecar-proxy", NULL), 1);
    end_world(&w);
}

int main(void) {
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_register),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_one_bad),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_output_limit),
        cmocka_unit_test(test_deferral),
        cmocka_unit_test(test_full_sync),
        cmocka_unit_test(test_maintenance),
        cmocka_unit_test(test_persistence),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_waiters),
        cmocka_unit_test(test_sidecars),
        cmocka_unit_test(test_central),
        cmocka_unit_test(test_central_of_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
