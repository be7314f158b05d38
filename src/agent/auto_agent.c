/* See auto_agent.h. */
#include "agent/auto_agent.h"

#include <signal.h>
#include <uv.h>

#include "agent/auto_config.h"
#include "agent/auto_servers.h"
#include "agent/token_store.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/ca_config.h"
#include "server/endpoints.h"
#include "server/server.h"

#define EXPIRY_GRACE                                                                               \
    (10 * SECOND) /* a certificate is over: it is asked for as at the beginning                    \
                   */
#define WATCH_TIME (600 * SECOND)
#define RETRY (SECOND)
#define RETRY_MOST (60 * SECOND)

struct auto_agent {
    const struct config *config;
    const struct auto_mode *mode;
    struct arena arena;    /* of wish */
    struct leaf_wish wish; /* without a token */

    struct buf given;

    struct arena now; /* of material */
    struct auto_material material;
    bool have;

    /* While servers are asked. */
    struct auto_servers *servers;
    struct arena asking; /* of the key and what comes back */
    struct str key_pem, csr, token;
    struct auto_material coming;
    struct loop *waiting; /* the loop that runs until they have answered, or NULL */
    bool interrupted;

    /* While it runs, on the core. */
    struct server *server;
    struct call roots_call;
    struct dc_request roots_request;
    struct arena roots_arena;
    struct loop_timer roots_timer, expiry, leaf_timer;
    unsigned roots_failures, leaf_failures;
    bool asking_roots, stopped;
    struct leaf_ask *leaf;
    struct buf leaf_token; /* with which it is watched */
};

const struct config *auto_agent_config(const struct auto_agent *a) {
    return a->config;
}

struct buf *auto_agent_given(struct auto_agent *a) {
    return &a->given;
}

bool auto_agent_source(struct auto_agent *a, struct buf *out, struct error *e) {
    return a->given.len == 0 || auto_config_source(buf_str(&a->given), out, e);
}

/* ---- into force ---- */

bool auto_agent_apply(struct auto_agent *a, struct secure *secure, struct error *e) {
    struct arena arena = ARENA_INIT;
    const struct auto_material *m = &a->material;
    struct str *pems = ARENA_ARRAY(&arena, struct str, m->manual.len + m->roots.roots.len + 1);
    struct secure_auto automatic = {.authorities = pems,
                                    .certificate = m->cert.cert_pem,
                                    .key = m->cert.private_key_pem,
                                    .dials = true,
                                    .verify_server_hostname = m->verify_server_hostname};
    for (uint32_t i = 0; i < m->manual.len; i++)
        pems[automatic.authority_count++] = LIST_AT(m->manual, struct str, i);
    for (uint32_t i = 0; i < m->roots.roots.len; i++) {
        const struct ca_root *root = LIST_AT(m->roots.roots, struct ca_root *, i);
        if (root != NULL)
            pems[automatic.authority_count++] = root->root_cert;
    }
    bool ok = secure_set_auto(secure, &automatic, e);
    arena_free(&arena);
    return ok;
}

static void copy_roots(struct indexed_ca_roots *to, const struct indexed_ca_roots *from,
                       struct arena *arena) {
    schema_copy(&indexed_ca_roots_shape, to, from, arena);
}

/* Parts that are NULL stay as they are. */
static void material_set(struct auto_agent *a, const struct indexed_ca_roots *roots,
                         const struct list *manual, const struct issued_cert *cert) {
    struct arena arena = ARENA_INIT;
    struct auto_material m = a->material;
    const struct list *from = manual != NULL ? manual : &a->material.manual;
    m.manual = LIST_NEW(&arena, struct str, from->len);
    for (uint32_t i = 0; i < from->len; i++)
        LIST_AT(m.manual, struct str, i) = str_copy(&arena, LIST_AT(*from, struct str, i));
    copy_roots(&m.roots, roots != NULL ? roots : &a->material.roots, &arena);
    schema_copy(&issued_cert_shape, &m.cert, cert != NULL ? cert : &a->material.cert, &arena);
    arena_free(&a->now);
    a->now = arena;
    a->material = m;
    a->have = true;
}

static void keep(struct auto_agent *a) {
    if (a->mode->keep != NULL)
        a->mode->keep(a, &a->material);
}

/* ---- asking servers ---- */

static bool make_request(struct auto_agent *a, struct str token, struct error *e) {
    arena_free(&a->asking);
    EVP_PKEY *key = ca_key_new(a->wish.key_type, a->wish.key_bits, e);
    if (key == NULL)
        return false;
    a->key_pem = ca_key_pem(key, &a->asking);
    a->csr = leaf_csr(&a->wish, STR("unknown"), key, &a->asking);
    a->token = str_copy(&a->asking, token);
    EVP_PKEY_free(key);
    return true;
}

static bool on_body(void *owner, struct buf *out, struct error *e) {
    struct auto_agent *a = owner;
    return a->mode->body(a, a->csr, a->token, out, e);
}

static bool on_take(void *owner, struct str reply, struct error *e) {
    struct auto_agent *a = owner;
    struct str own = str_copy(&a->asking, reply);
    if (!a->mode->take(a, own, &a->coming, &a->asking, e))
        return false;
    a->coming.cert.private_key_pem = a->key_pem;
    /* Of no use if it cannot be used. */
    struct tls_options o = {.certificate = a->coming.cert.cert_pem, .key = a->key_pem};
    struct tls_config *config = tls_config_new(&o, e);
    tls_config_release(config);
    return config != NULL;
}

static void auto_agent_follow(struct auto_agent *a);

static void on_done(void *owner) {
    struct auto_agent *a = owner;
    auto_servers_end(a->servers);
    a->servers = NULL;
    a->material.verify_server_hostname = a->coming.verify_server_hostname;
    material_set(a, &a->coming.roots, &a->coming.manual, &a->coming.cert);
    arena_free(&a->asking);
    if (a->waiting != NULL)
        loop_stop(a->waiting);
    else
        auto_agent_follow(a);
}

static void ask_servers(struct auto_agent *a, struct loop *loop, struct secure *secure) {
    struct auto_servers_options o = {.loop = loop,
                                     .secure = secure,
                                     .datacenter = a->config->datacenter,
                                     .source = a->config->bind_addr,
                                     .ports = a->mode->ports,
                                     .port = (uint16_t)a->config->server_port,
                                     .method = a->mode->method,
                                     .none = a->mode->none,
                                     .failed = a->mode->failed,
                                     .body = on_body,
                                     .take = on_take,
                                     .done = on_done,
                                     .owner = a};
    a->mode->hosts(a->config, o.hosts);
    a->servers = auto_servers_start(&o);
}

/* ---- the beginning ---- */

static void on_signal(uv_signal_t *handle, int number) {
    struct auto_agent *a = handle->data;
    (void)number;
    a->interrupted = true;
    loop_stop(a->waiting);
}

static void unblock(int how) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(how, &set, NULL);
}

/* Runs the loop until servers have answered, or a signal has come. */
static void wait_for_servers(struct auto_agent *a, struct loop *loop, struct secure *secure) {
    static const int numbers[] = {SIGINT, SIGTERM};
    uv_signal_t signals[COUNT_OF(numbers)];
    a->waiting = loop;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        uv_signal_init(&loop->uv, &signals[i]);
        signals[i].data = a;
        uv_signal_start(&signals[i], on_signal, numbers[i]);
    }
    ask_servers(a, loop, secure);
    unblock(SIG_UNBLOCK);
    loop_run_here(loop);
    unblock(SIG_BLOCK);
    if (a->servers != NULL)
        auto_servers_end(a->servers);
    a->servers = NULL;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        uv_signal_stop(&signals[i]);
        uv_close((uv_handle_t *)&signals[i], NULL);
    }
    loop_free(loop);
    a->waiting = NULL;
}

/* The agent's own token as it will be once it runs. */
static struct str own_token(const struct config *c, struct arena *arena) {
    struct agent_tokens *tokens = agent_tokens_new();
    struct token_store *store = token_store_new(tokens);
    token_store_load(store, c);
    struct str token = agent_token_own(tokens, arena);
    token_store_free(store);
    agent_tokens_free(tokens);
    return token;
}

/* From an earlier life. */
static bool load_file(struct auto_agent *a, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct auto_material m;
    bool found;
    bool ok = auto_config_load(a, &m, &found, &arena, e);
    if (ok && found)
        material_set(a, &m.roots, &m.manual, &m.cert);
    arena_free(&arena);
    return ok;
}

bool auto_agent_begin(struct auto_agent *a, const struct secure_settings *settings,
                      struct error *e) {
    struct arena arena = ARENA_INIT;
    struct loop loop = {0};
    if (a->mode == &auto_config_mode && !load_file(a, e))
        return false;
    if (a->have)
        return true;
    if (a->mode == &auto_config_mode)
        log_at(LOG_INFO, AUTO_LOGGER, "retrieving initial agent auto configuration remotely");
    bool ok = make_request(a, own_token(a->config, &arena), e) && loop_init(&loop, "auto", 64, e);
    arena_free(&arena);
    if (!ok)
        return false;
    struct secure *secure = secure_new();
    secure_set(secure, settings);
    wait_for_servers(a, &loop, secure);
    secure_free(secure);
    if (!a->have)
        return error_set(e, ERROR_INTERNAL, "context canceled");
    keep(a);
    return true;
}

/* ---- renewal ---- */

static int64_t grow(unsigned *failures) {
    int64_t pause = RETRY << (*failures < 6 ? *failures : 6);
    (*failures)++;
    return pause < RETRY_MOST ? pause : RETRY_MOST;
}

static void use(struct auto_agent *a) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    if (!auto_agent_apply(a, server_secure(a->server), &e))
        log_at(LOG_ERROR, AUTO_LOGGER, "failed to update TLS", LOG_S("error", e.text));
    else
        keep(a);
    arena_free(&arena);
}

static void set_expiry(struct auto_agent *a) {
    int64_t at = timestamp_to_unix_ns(a->material.cert.valid_before) + EXPIRY_GRACE;
    int64_t now = time_now_wall();
    /* Long timers would not see the clock being set. */
    int64_t wait = at > now ? at - now : SECOND;
    loop_timer_set(&a->expiry, wait < HOUR ? wait : HOUR);
}

static void watch_roots(struct auto_agent *a);

static bool same_roots(const struct indexed_ca_roots *a, const struct indexed_ca_roots *b) {
    bool same = str_eq(a->active_root_id, b->active_root_id) && a->roots.len == b->roots.len;
    for (uint32_t i = 0; same && i < a->roots.len; i++)
        same = str_eq(LIST_AT(a->roots, struct ca_root *, i)->id,
                      LIST_AT(b->roots, struct ca_root *, i)->id);
    return same;
}

static void take_roots(struct auto_agent *a, const struct indexed_ca_roots *roots) {
    for (uint32_t i = 0; i < roots->roots.len; i++) {
        if (LIST_AT(roots->roots, struct ca_root *, i) == NULL)
            return;
    }
    if (roots->roots.len == 0 || same_roots(roots, &a->material.roots))
        return;
    log_at(LOG_DEBUG, AUTO_LOGGER, "roots watch fired - updating CA certificates");
    material_set(a, roots, NULL, NULL);
    use(a);
}

static void roots_came(struct call *call) {
    struct auto_agent *a = call->owner;
    struct answer *answer = call->answer;
    uint64_t *index = &a->roots_request.options.min_query_index;
    call->answer = NULL;
    a->asking_roots = false;
    if (error_is_set(&answer->error)) {
        *index = 0;
        loop_timer_set(&a->roots_timer, grow(&a->roots_failures));
    } else {
        bool is_new = *index != answer->meta.index;
        *index = answer->meta.index;
        a->roots_failures = 0;
        take_roots(a, answer->reply);
        loop_timer_set(&a->roots_timer, is_new ? 0 : SECOND);
    }
    answer_release(answer);
}

static void watch_roots(struct auto_agent *a) {
    if (a->asking_roots || a->stopped)
        return;
    a->asking_roots = true;
    arena_free(&a->roots_arena);
    a->roots_request.datacenter = a->config->datacenter;
    a->roots_request.options.max_query_time = WATCH_TIME;
    a->roots_request.options.token = str_copy(&a->roots_arena, buf_str(&a->leaf_token));
    a->roots_call = (struct call){.endpoint = &endpoint_connect_ca_roots,
                                  .arena = &a->roots_arena,
                                  .request = &a->roots_request,
                                  .done = roots_came,
                                  .owner = a};
    call_start(a->server, &a->roots_call);
}

static void roots_due(struct loop_timer *t) {
    watch_roots(t->owner);
}

static void watch_leaf(struct auto_agent *a);

static void leaf_came(void *owner, const struct issued_cert *cert, bool hit,
                      const struct error *e) {
    struct auto_agent *a = owner;
    (void)hit;
    a->leaf = NULL;
    if (cert == NULL) {
        log_at(LOG_DEBUG, AUTO_LOGGER, "leaf certificate watch failed", LOG_S("error", e->text));
        loop_timer_set(&a->leaf_timer, grow(&a->leaf_failures));
        return;
    }
    a->leaf_failures = 0;
    if (!str_eq(cert->cert_pem, a->material.cert.cert_pem)) {
        log_at(LOG_DEBUG, AUTO_LOGGER, "leaf certificate watch fired - updating TLS certificate");
        material_set(a, NULL, NULL, cert);
        use(a);
        set_expiry(a);
    }
    watch_leaf(a);
}

static void watch_leaf(struct auto_agent *a) {
    struct leaf_wish wish = a->wish;
    if (a->stopped)
        return;
    wish.token = buf_str(&a->leaf_token);
    a->leaf = leaf_ask(a->server, &wish, a->material.cert.modify_index, WATCH_TIME, leaf_came, a);
}

static void leaf_due(struct loop_timer *t) {
    struct auto_agent *a = t->owner;
    if (a->leaf == NULL)
        watch_leaf(a);
}

/* Both watches begin anew, with the token of now and the certificate of now. */
static void rewatch(struct auto_agent *a) {
    struct arena arena = ARENA_INIT;
    struct leaf_wish wish = a->wish;
    if (a->leaf != NULL)
        leaf_cancel(a->leaf);
    a->leaf = NULL;
    loop_timer_stop(&a->leaf_timer);
    buf_clear(&a->leaf_token);
    buf_add_str(&a->leaf_token, agent_token_own(server_tokens(a->server), &arena));
    arena_free(&arena);
    wish.token = buf_str(&a->leaf_token);
    leaf_hold(a->server, &wish, &a->material.cert);
    watch_leaf(a);
    watch_roots(a);
    set_expiry(a);
}

/* Servers were asked as at the beginning, while the agent ran. */
static void auto_agent_follow(struct auto_agent *a) {
    use(a);
    rewatch(a);
}

static void expired(struct loop_timer *t) {
    struct auto_agent *a = t->owner;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    int64_t over = timestamp_to_unix_ns(a->material.cert.valid_before) + EXPIRY_GRACE;
    if (a->servers == NULL && over <= time_now_wall()) {
        log_at(LOG_WARN, AUTO_LOGGER, "agent's client certificate has expired");
        if (make_request(a, agent_token_own(server_tokens(a->server), &arena), &e))
            ask_servers(a, server_core(a->server), server_secure(a->server));
    } else {
        set_expiry(a);
    }
    arena_free(&arena);
}

void auto_agent_start(struct auto_agent *a, struct server *server) {
    struct loop *core = server_core(server);
    a->server = server;
    loop_timer_init(core, &a->roots_timer, roots_due, a);
    loop_timer_init(core, &a->leaf_timer, leaf_due, a);
    loop_timer_init(core, &a->expiry, expired, a);
    a->roots_request.options.min_query_index = a->material.roots.meta.index;
    rewatch(a);
    log_at(LOG_INFO, AUTO_LOGGER, "auto-config started");
}

void auto_agent_token_changed(struct auto_agent *a) {
    if (a->server != NULL && !a->stopped)
        rewatch(a);
}

static void call_freed(void *owner) {
    (void)owner; /* the agent outlives the core */
}

void auto_agent_stop(struct auto_agent *a) {
    if (a->server == NULL || a->stopped)
        return;
    a->stopped = true;
    if (a->asking_roots)
        call_cancel(&a->roots_call, call_freed);
    if (a->leaf != NULL)
        leaf_cancel(a->leaf);
    if (a->servers != NULL)
        auto_servers_end(a->servers);
    a->servers = NULL;
    struct loop_timer *timers[] = {&a->roots_timer, &a->leaf_timer, &a->expiry};
    for (size_t i = 0; i < COUNT_OF(timers); i++) {
        loop_timer_stop(timers[i]);
        loop_timer_close(timers[i], NULL);
    }
}

/* ---- life ---- */

static void read_wish(struct auto_agent *a) {
    const struct config *c = a->config;
    struct list ips = LIST_NIL;
    struct error ignored = ERROR_IN(&a->arena);
    struct value map = {.kind = VALUE_MAP,
                        .map = {c->connect_ca_config.items, c->connect_ca_config.len}};
    struct ca_settings s = {.key_type = STR("ec"), .key_bits = 256};
    if (!ca_config_read(c->connect_ca_provider, &map, &s, &a->arena, &ignored))
        s = (struct ca_settings){.key_type = STR("ec"), .key_bits = 256};
    a->wish = (struct leaf_wish){.service = STR(""),
                                 .agent = c->node_name,
                                 .token = STR(""),
                                 .datacenter = c->datacenter,
                                 .key_type = s.key_type,
                                 .key_bits = s.key_bits,
                                 .spread = c->connect_test_ca_leaf_root_change_spread};
    a->mode->names(c, &a->wish.dns, &ips);
    a->wish.ips = LIST_NEW(&a->arena, struct str, ips.len);
    a->wish.ips.len = 0;
    for (uint32_t i = 0; i < ips.len; i++) {
        struct str bytes = ca_ip_bytes(LIST_AT(ips, struct str, i), &a->arena);
        if (bytes.data != NULL)
            LIST_AT(a->wish.ips, struct str, a->wish.ips.len++) = bytes;
    }
}

struct auto_agent *auto_agent_new(const struct config *c) {
    if (c->server_mode || (!c->auto_encrypt_tls && !c->auto_config.enabled))
        return NULL;
    struct auto_agent *a = MEM_NEW(struct auto_agent);
    a->config = config_hold(c);
    a->mode = c->auto_config.enabled ? &auto_config_mode : &auto_encrypt_mode;
    read_wish(a);
    return a;
}

void auto_agent_free(struct auto_agent *a) {
    if (a == NULL)
        return;
    config_release(a->config);
    buf_free(&a->leaf_token);
    buf_free(&a->given);
    arena_free(&a->roots_arena);
    arena_free(&a->asking);
    arena_free(&a->now);
    arena_free(&a->arena);
    mem_free(a);
}
