/* Connections to the service that the built-in proxy stands for: TLS with a certificate that the
 * roots vouch for, then the agent's word whether it may connect, and only then the application is
 * dialled. See proxy.h.
 */
#include <unistd.h>

#include "base/log.h"
#include "cli/client.h"
#include "cli/proxy.h"
#include "codec/json.h"
#include "net/dial.h"

static void on_authorized(void *owner, struct agent_answer *answer, const struct error *failure);

void proxy_inbound_start(struct proxy_connection *c, int fd) {
    struct proxy *p = c->proxy;
    if (p->tls == NULL) {
        close(fd);
        proxy_drop(c);
        return;
    }
    struct tls_session *tls = tls_session_new(p->tls, TLS_SERVER_VERIFY, STR_NONE);
    tls_offer(tls, STR(PROXY_PROTOCOL));
    proxy_side_open(&c->near, fd);
    stream_start_tls(&c->near.stream, tls, STR_NONE);
}

static void add_text(struct json_writer *w, const char *key, struct str value) {
    json_key(w, str_from(key));
    json_str(w, value);
}

void proxy_inbound_secured(struct proxy_connection *c) {
    struct buf body = BUF_INIT;
    struct json_writer w;
    struct str uri, serial;
    tls_peer_identity(c->near.stream.tls, &uri, &serial, &c->arena);
    json_begin(&w, &body, false);
    json_open_object(&w);
    add_text(&w, "Target", c->proxy->config->service);
    add_text(&w, "ClientCertURI", uri);
    add_text(&w, "ClientCertSerial", serial);
    json_close_object(&w);
    const struct agent_ask ask = {.method = "POST",
                                  .path = STR("/v1/agent/connect/authorize"),
                                  .body = buf_str(&body),
                                  .timeout = proxy_time_left(c)};
    c->question = agent_ask(c->proxy->agent, &ask, on_authorized, c);
    buf_free(&body);
}

static void on_authorized(void *owner, struct agent_answer *answer, const struct error *failure) {
    struct proxy_connection *c = owner;
    struct value verdict;
    struct error e = ERROR_IN(answer->arena);
    c->question = NULL;
    if (failure == NULL && json_parse_whole(answer->body, &verdict, answer->arena, &e)) {
        if (value_bool(&verdict, "Authorized")) {
            proxy_find(c, c->proxy->config->local_host, c->proxy->config->local_port);
            return;
        }
        log_at(LOG_ERROR, "proxy.connect", "authz call denied",
               LOG_S("service", c->proxy->config->service),
               LOG_S("reason", value_str(&verdict, "Reason")));
        proxy_fail(c, "", STR_NONE);
        return;
    }
    proxy_fail(c, "authz call failed", failure != NULL ? failure->text : e.text);
}

static void on_dialled(void *owner, int fd, const struct error *e) {
    struct proxy_connection *c = owner;
    c->dial = NULL;
    if (fd < 0) {
        proxy_fail(c, "failed to dial", e->text);
        return;
    }
    proxy_side_open(&c->far, fd);
    proxy_pipe(c);
}

void proxy_inbound_dial(struct proxy_connection *c, struct str ip) {
    const struct dial_target target = {
        .ip = ip, .port = c->port, .timeout = c->proxy->config->local_connect_timeout};
    c->dial = dial_start(c->proxy->loop, &target, on_dialled, c);
}
