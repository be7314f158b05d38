/* Connections of the application to its upstreams: an instance of the service is found, dialled
 * over TLS, and must show a certificate that names the service. See proxy.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "cli/proxy.h"
#include "codec/json.h"
#include "net/connect.h"

static void on_instances(void *owner, struct agent_answer *answer, const struct error *failure);

void proxy_outbound_start(struct proxy_connection *c, int fd) {
    struct proxy_upstream *u = &c->upstream;
    struct url_param params[4];
    uint32_t count = 0;
    proxy_side_open(&c->near, fd);
    stream_set_busy(&c->near.stream, true);
    if (u->datacenter.len > 0)
        params[count++] = (struct url_param){STR("dc"), u->datacenter};
    if (u->is_query) {
        params[count++] = (struct url_param){STR("connect"), STR("true")};
    } else {
        params[count++] = (struct url_param){STR("passing"), STR("1")};
        params[count++] = (struct url_param){STR("stale"), STR("")};
    }
    const struct agent_ask ask = {.method = "GET",
                                  .path = str_format(&c->arena,
                                                     u->is_query ? "/v1/query/" STR_FMT "/execute"
                                                                 : "/v1/health/connect/" STR_FMT,
                                                     STR_ARG(u->name)),
                                  .params = params,
                                  .param_count = count,
                                  .timeout = proxy_time_left(c)};
    c->question = agent_ask(c->proxy->agent, &ask, on_instances, c);
}

static size_t random_below(size_t count) {
    uint64_t seed;
    struct prng p;
    random_bytes(&seed, sizeof seed);
    prng_seed(&p, seed);
    return (size_t)prng_below(&p, count);
}

static bool choose(struct proxy_connection *c, const struct agent_answer *answer, struct error *e) {
    struct value whole;
    const struct value *entries = &whole;
    size_t count;
    if (!json_parse_whole(answer->body, &whole, answer->arena, e))
        return false;
    if (c->upstream.is_query)
        entries = value_get(&whole, "Nodes");
    struct proxy_instance *all =
        entries != NULL ? proxy_instances_read(entries, &count, answer->arena) : NULL;
    if (all == NULL || count == 0)
        return error_set(e, ERROR_NOT_FOUND, "no healthy instances found");
    struct proxy_instance *one = &all[random_below(count)];
    c->instance = (struct proxy_instance){
        .address = str_copy(&c->arena, one->address),
        .port = one->port,
        .name_space = str_copy(&c->arena, one->name_space),
        .datacenter = str_copy(&c->arena, one->datacenter),
        .service = str_copy(&c->arena, one->service),
    };
    return true;
}

static void log_instance(const struct proxy_connection *c, const char *what) {
    struct arena scratch = ARENA_INIT;
    if (log_get_level() <= LOG_DEBUG)
        log_at(LOG_DEBUG, "proxy.connect", what, LOG_S("service", c->proxy->config->service),
               LOG_S("address", proxy_address(c->instance.address, c->instance.port, &scratch)),
               LOG_S("identity", proxy_identity_text(&c->instance, &scratch)));
    arena_free(&scratch);
}

static void on_instances(void *owner, struct agent_answer *answer, const struct error *failure) {
    struct proxy_connection *c = owner;
    struct error e = ERROR_IN(answer->arena);
    c->question = NULL;
    if (failure != NULL) {
        proxy_fail(c, "failed to dial", failure->text);
    } else if (!choose(c, answer, &e)) {
        proxy_fail(c, "failed to dial", e.text);
    } else if (c->proxy->tls == NULL) {
        proxy_fail(c, "failed to dial", STR("no certificate yet"));
    } else {
        log_instance(c, "resolved service instance");
        proxy_find(c, c->instance.address, c->instance.port);
    }
}

static bool is_meant(void *owner, struct str uri, struct buf *why) {
    struct proxy_connection *c = owner;
    struct arena scratch = ARENA_INIT;
    bool meant = uri.data != NULL && proxy_identity_matches(uri, &c->instance, &scratch);
    if (!meant)
        buf_add_format(why, "peer certificate mismatch got " STR_FMT ", want " STR_FMT,
                       STR_ARG(uri), STR_ARG(proxy_identity_text(&c->instance, &scratch)));
    arena_free(&scratch);
    return meant;
}

static void on_connected(void *owner, struct stream_detached *connection, const struct error *e) {
    struct proxy_connection *c = owner;
    c->connect = NULL;
    if (connection == NULL) {
        proxy_fail(c, "failed to dial", e->text);
        return;
    }
    log_instance(c, "successfully connected to service instance");
    proxy_side_attach(&c->far, connection);
    proxy_pipe(c);
}

void proxy_outbound_dial(struct proxy_connection *c, struct str ip) {
    struct proxy *p = c->proxy;
    if (p->tls == NULL) {
        proxy_fail(c, "failed to dial", STR("no certificate yet"));
        return;
    }
    struct tls_session *tls = tls_session_new(p->tls, TLS_CLIENT, STR_NONE);
    tls_require(tls, is_meant, c);
    tls_propose(tls, STR(PROXY_PROTOCOL));
    const struct connect_options options = {
        .target = {.ip = ip, .port = c->port, .timeout = proxy_time_left(c)}, .tls = tls};
    c->connect = connect_start(p->loop, &options, on_connected, c);
}
