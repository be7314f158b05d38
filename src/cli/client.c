/* The HTTP client of commands on libcurl's multi interface: see client.h. Its settings are read in
 * settings.c, the texts of failures are made in transport.c, signals are caught in signals.c.
 */
#include "cli/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "cli/settings.h"
#include "cli/transport.h"
#include "codec/json.h"
#include "codec/trust.h"

#define CONNECT_TIMEOUT_MS 30000L
#define REDIRECTS_MAX 10L
#define POLL_MS_MAX 1000

struct client {
    struct settings settings;
    CURLM *multi;
    struct trust_watch *trust;
    struct call_state *calls; /* under way */
    size_t done;              /* ended during the current poll */
    int64_t timer_at;
    void (*timer_fn)(void *owner);
    void *timer_owner;
};

struct call_state {
    struct call_state *next;
    struct client *client;
    struct call *call;
    struct arena *arena;
    CURL *easy;
    struct curl_slist *headers;
    struct curl_slist *connect_to;
    struct buf body;
    char *url;
    struct str shown_url;
    struct sockaddr_storage peer;
    bool too_large, stopped;
    int read_errno; /* why the upload could not be read */
    char text[CURL_ERROR_SIZE];
};

const char *errno_text(int errno_value) {
    static _Thread_local char text[128];
    char spare[128];
    const char *reason = strerror_r(errno_value, spare, sizeof spare);
    snprintf(text, sizeof text, "%s", reason);
    if (isupper((unsigned char)text[0]) && !isupper((unsigned char)text[1]) && text[1] != '/')
        text[0] = (char)tolower((unsigned char)text[0]);
    return text;
}

/* ---- the client ---- */

struct client *client_new(struct cli *cli, struct error *e) {
    static bool ready;
    if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        error_set(e, ERROR_INTERNAL, "libcurl cannot start");
        return NULL;
    }
    ready = true;
    struct settings settings;
    if (!settings_read(cli, &settings, e))
        return NULL;
    struct client *c = MEM_NEW(struct client);
    c->settings = settings;
    c->multi = curl_multi_init();
    if (c->multi == NULL) {
        mem_free(c);
        error_set(e, ERROR_INTERNAL, "libcurl cannot start");
        return NULL;
    }
    c->trust = trust_watch_new(settings.server_name.len > 0 ? settings.server_name : settings.name);
    return c;
}

struct client *client_open(struct cli *cli) {
    struct error e = ERROR_IN(cli->arena);
    struct client *c = client_new(cli, &e);
    if (c == NULL)
        cli_err(cli, "Error connecting to Consul agent: " STR_FMT, STR_ARG(e.text));
    return c;
}

static void state_free(struct call_state *state) {
    struct call_state **at = &state->client->calls;
    while (*at != state)
        at = &(*at)->next;
    *at = state->next;
    state->call->state = NULL;
    if (state->easy != NULL) {
        curl_multi_remove_handle(state->client->multi, state->easy);
        curl_easy_cleanup(state->easy);
    }
    curl_slist_free_all(state->headers);
    curl_slist_free_all(state->connect_to);
    buf_free(&state->body);
    mem_free(state->url);
    mem_free(state);
}

void client_free(struct client *c) {
    if (c == NULL)
        return;
    while (c->calls != NULL)
        state_free(c->calls);
    curl_multi_cleanup(c->multi);
    trust_watch_release(c->trust);
    mem_free(c);
}

const char *client_address(const struct client *c) {
    return c->settings.shown_host.data;
}

/* ---- one call ---- */

const struct settings *client_settings(const struct client *c) {
    return &c->settings;
}

void call_init(struct call *call, const char *method, struct str path) {
    *call = (struct call){.method = method, .path = path};
}

void call_param(struct call *call, const char *name, struct str value) {
    ASSERT(call->param_count < CLIENT_PARAMS_MAX);
    call->params[call->param_count++] =
        (struct url_param){str_from(name), value.data != NULL ? value : STR("")};
}

void call_stale(struct call *call, const struct cli *cli) {
    if (cli->http.stale.value)
        call_param(call, "stale", STR(""));
}

/* "/v1/kv/a?dc=x" */
static void add_target(struct call_state *state, struct buf *out) {
    struct call *call = state->call;
    const struct settings *s = &state->client->settings;
    if (!call->no_datacenter && s->datacenter.len > 0 && call->param_count < CLIENT_PARAMS_MAX)
        call_param(call, "dc", s->datacenter);
    if (!call->no_datacenter && !call->has_namespace && s->name_space.len > 0 &&
        call->param_count < CLIENT_PARAMS_MAX)
        call_param(call, "ns", s->name_space);
    url_escape_path(out, call->path);
    if (call->param_count > 0) {
        struct str query = url_encode_query(state->arena, call->params, call->param_count);
        buf_add_char(out, '?');
        buf_add_str(out, query);
    }
}

/* The URL that libcurl dials, and the one that errors show. */
static void build_urls(struct call_state *state) {
    const struct settings *s = &state->client->settings;
    struct buf target = BUF_INIT, url = BUF_INIT;
    add_target(state, &target);
    bool https = s->https;
    state->shown_url = str_format(state->arena, "%s://" STR_FMT STR_FMT, https ? "https" : "http",
                                  STR_ARG(s->shown_host), STR_ARG(buf_str(&target)));
    struct str name = s->is_socket ? STR("localhost") : s->name;
    if (https && s->server_name.len > 0)
        name = s->server_name;
    if (name.len == 0)
        name = STR("127.0.0.1");
    bool v6 = str_find_char(name, ':') >= 0;
    buf_add_format(&url, "%s://%s" STR_FMT "%s", https ? "https" : "http", v6 ? "[" : "",
                   STR_ARG(name), v6 ? "]" : "");
    if (!s->is_socket)
        buf_add_format(&url, ":" STR_FMT, STR_ARG(s->port));
    buf_add_str(&url, buf_str(&target));
    buf_add_char(&url, '\0');
    state->url = url.data;
    buf_free(&target);
}

static void add_header(struct call_state *state, const char *name, struct str value) {
    struct buf line = BUF_INIT;
    buf_add_format(&line, "%s: ", name);
    buf_add_str(&line, value);
    buf_add_char(&line, '\0');
    state->headers = curl_slist_append(state->headers, line.data);
    buf_free(&line);
}

static struct str call_token(const struct call *call, const struct settings *s) {
    return call->token.data != NULL ? call->token : s->token;
}

static void set_headers(struct call_state *state) {
    const struct settings *s = &state->client->settings;
    struct call *call = state->call;
    struct str token = call_token(call, s);
    if (token.len > 0)
        add_header(state, "X-Consul-Token", token);
    if (s->authorization.len > 0)
        add_header(state, "Authorization", s->authorization);
    add_header(state, "Host", s->is_socket ? s->shown_host : s->host);
    add_header(state, "User-Agent", STR("praetor/" CLI_PRAETOR_VERSION));
    state->headers = curl_slist_append(state->headers, "Expect:");
    state->headers = curl_slist_append(state->headers, "Accept:");
    state->headers = curl_slist_append(state->headers, "Content-Type:");
    curl_easy_setopt(state->easy, CURLOPT_HTTPHEADER, state->headers);
}

static void set_address(struct call_state *state) {
    const struct settings *s = &state->client->settings;
    CURL *easy = state->easy;
    curl_easy_setopt(easy, CURLOPT_URL, state->url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    if (s->is_socket)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, str_terminated(state->arena, s->host));
    if (s->https && s->server_name.len > 0 && !s->is_socket) {
        bool v6 = str_find_char(s->name, ':') >= 0;
        struct str to = str_format(state->arena, "::%s" STR_FMT "%s:" STR_FMT, v6 ? "[" : "",
                                   STR_ARG(s->name), v6 ? "]" : "", STR_ARG(s->port));
        state->connect_to = curl_slist_append(NULL, to.data);
        curl_easy_setopt(easy, CURLOPT_CONNECT_TO, state->connect_to);
    }
    /* The peer never asks a proxy for this machine's own addresses. */
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "localhost,127.0.0.0/8,::1");
    if (str_has_prefix(s->name, STR("127.")) || str_is(s->name, "localhost") || s->name.len == 0)
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

/* libcurl's context before its first use: servers are judged as the peer does, names included. */
static CURLcode on_tls(CURL *easy, void *context, void *owner) {
    (void)easy;
    struct client *c = owner;
    trust_watch_forget(c->trust);
    return trust_watch_attach(c->trust, context, c->settings.verify) ? CURLE_OK
                                                                     : CURLE_OUT_OF_MEMORY;
}

static void set_tls(struct call_state *state) {
    const struct settings *s = &state->client->settings;
    CURL *easy = state->easy;
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, s->verify ? 1L : 0L);
    bool judged = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK;
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, state->client);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, s->verify && !judged ? 2L : 0L);
    if (s->ca.data != NULL) { /* these and no others, which may be none */
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (s->ca.len > 0) {
        struct curl_blob pem = {(void *)s->ca.data, s->ca.len, CURL_BLOB_NOCOPY};
        curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &pem);
    }
    if (s->client_cert.len > 0) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, str_terminated(state->arena, s->client_cert));
        curl_easy_setopt(easy, CURLOPT_SSLKEY, str_terminated(state->arena, s->client_key));
    }
}

/* ---- what libcurl calls ---- */

static size_t on_body(char *data, size_t size, size_t count, void *owner) {
    struct call_state *state = owner;
    size_t len = size * count;
    long status = 0;
    curl_easy_getinfo(state->easy, CURLINFO_RESPONSE_CODE, &status);
    if (state->call->sink != NULL && status == 200) {
        if (state->call->sink(state->call->sink_owner, str_of(data, len)))
            return len;
        state->stopped = true;
        return 0;
    }
    if (len > CLIENT_BODY_MAX - state->body.len) {
        state->too_large = true;
        return 0;
    }
    buf_add(&state->body, data, len);
    return len;
}

/* Elsewhere, most of these say, is what a GET finds: a write is not repeated there. */
static void turn_into_get(struct call_state *state) {
    long status = 0;
    curl_easy_getinfo(state->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 301 && status <= 303)
        curl_easy_setopt(state->easy, CURLOPT_CUSTOMREQUEST, NULL);
}

static size_t on_header(char *data, size_t size, size_t count, void *owner) {
    static const char name[] = "X-Consul-Index:";
    struct call_state *state = owner;
    struct str line = str_of(data, size * count);
    if (str_has_prefix(line, STR("HTTP/")))
        turn_into_get(state);
    if (line.len > sizeof name && strncasecmp(data, name, sizeof name - 1) == 0) {
        uint64_t index = 0;
        if (str_to_u64(str_trim(str_sub(line, sizeof name - 1, line.len)), &index))
            state->call->index = index;
    }
    return line.len;
}

static size_t on_upload(char *to, size_t size, size_t count, void *owner) {
    struct call_state *state = owner;
    size_t got = fread(to, 1, size * count, state->call->upload);
    if (got > 0 || !ferror(state->call->upload))
        return got;
    state->read_errno = errno;
    return CURL_READFUNC_ABORT;
}

/* Only to know which address was tried first. */
static curl_socket_t on_open(void *owner, curlsocktype purpose, struct curl_sockaddr *address) {
    struct call_state *state = owner;
    (void)purpose;
    if (state->peer.ss_family == 0 && address->addrlen <= sizeof state->peer)
        memcpy(&state->peer, &address->addr, address->addrlen);
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void set_body(struct call_state *state) {
    CURL *easy = state->easy;
    struct call *call = state->call;
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, state);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, state);
    if (strcmp(call->method, "GET") == 0)
        return;
    if (call->upload != NULL) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L); /* size unknown: chunks */
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(easy, CURLOPT_READDATA, state);
    } else if (strcmp(call->method, "DELETE") != 0 || call->body.len > 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.len > 0 ? call->body.data : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

/* ---- several calls at a time ---- */

/* `Get "http://127.0.0.1:8500/v1/…": ` in front of the reason. */
static void name_request(struct call_state *state) {
    struct call *call = state->call;
    error_prefix(&call->error, "%c%s " STR_FMT ": ", call->method[0],
                 str_lower(state->arena, str_from(call->method + 1)).data,
                 STR_ARG(str_quote(state->arena, state->shown_url)));
}

static void fail_call(struct call_state *state, CURLcode code) {
    struct call *call = state->call;
    struct client *c = state->client;
    long os_errno = 0;
    curl_off_t connected = 0;
    curl_easy_getinfo(state->easy, CURLINFO_OS_ERRNO, &os_errno);
    curl_easy_getinfo(state->easy, CURLINFO_CONNECT_TIME_T, &connected);
    struct failure failure = {.code = code,
                              .curl_text = state->text,
                              .peer = state->peer,
                              .os_errno = (int)os_errno,
                              .connected = connected > 0,
                              .local_ip = "",
                              .settings = &c->settings,
                              .tls_fault = trust_watch_fault(c->trust)};
    curl_easy_getinfo(state->easy, CURLINFO_LOCAL_IP, &failure.local_ip);
    curl_easy_getinfo(state->easy, CURLINFO_LOCAL_PORT, &failure.local_port);
    call->failed = true;
    if (state->too_large) {
        error_set(&call->error, ERROR_TOO_LARGE, "the answer is larger than %zu bytes",
                  CLIENT_BODY_MAX);
    } else if (state->stopped) {
        error_set(&call->error, ERROR_IO, "stopped");
    } else if (state->read_errno != 0) {
        error_set(&call->error, ERROR_IO, "read %s: %s", call->upload_name,
                  errno_text(state->read_errno));
        name_request(state);
    } else {
        transport_error(&failure, &call->error);
        if (code != CURLE_PARTIAL_FILE) /* met while reading the body, which names no request */
            name_request(state);
    }
}

static void finish(struct call_state *state, CURLcode code) {
    struct call *call = state->call;
    long status = 0;
    curl_easy_getinfo(state->easy, CURLINFO_RESPONSE_CODE, &status);
    call->status = (int)status;
    if (code != CURLE_OK)
        fail_call(state, code);
    call->answer = state->body.len > 0 ? str_copy(state->arena, buf_str(&state->body)) : STR("");
    call->done = true;
    state->client->done++;
    state_free(state);
}

void client_start(struct client *c, struct call *call, struct arena *arena) {
    struct call_state *state = MEM_NEW(struct call_state);
    state->client = c;
    state->call = call;
    state->arena = arena;
    state->next = c->calls;
    c->calls = state;
    call->state = state;
    call->error = ERROR_IN(arena);
    build_urls(state);
    state->easy = curl_easy_init();
    if (state->easy == NULL || !transport_check_host(&c->settings, &call->error) ||
        !transport_check_token(call_token(call, &c->settings), &call->error)) {
        if (state->easy == NULL)
            error_set(&call->error, ERROR_INTERNAL, "libcurl cannot start");
        name_request(state);
        call->failed = call->done = true;
        c->done++;
        state_free(state);
        return;
    }
    CURL *easy = state->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, state);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, state->text);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(call->timeout / MILLISECOND));
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, state);
    set_address(state);
    set_tls(state);
    set_body(state);
    set_headers(state);
    curl_multi_add_handle(c->multi, easy);
}

void client_cancel(struct client *c, struct call *call) {
    (void)c;
    if (call->state != NULL)
        state_free(call->state);
}

void client_set_timer(struct client *c, int64_t at, void (*fn)(void *owner), void *owner) {
    c->timer_at = at;
    c->timer_fn = fn;
    c->timer_owner = owner;
}

static void run_timer(struct client *c) {
    if (c->timer_at == 0 || time_now_monotonic() < c->timer_at)
        return;
    c->timer_at = 0;
    c->timer_fn(c->timer_owner);
}

static void collect(struct client *c) {
    int left = 0;
    CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(c->multi, &left)) != NULL) {
        char *private = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        finish((struct call_state *)(void *)private, code);
    }
}

static int wait_ms(const struct client *c, int64_t until) {
    int64_t now = time_now_monotonic();
    int64_t wait = POLL_MS_MAX * MILLISECOND;
    if (until >= 0 && until - now < wait)
        wait = until - now;
    if (c->timer_at != 0 && c->timer_at - now < wait)
        wait = c->timer_at - now;
    return wait > 0 ? (int)((wait + MILLISECOND - 1) / MILLISECOND) : 0;
}

void client_poll(struct client *c, int wake_fd, int64_t timeout) {
    int64_t until = timeout < 0 ? -1 : time_now_monotonic() + timeout;
    for (;;) {
        int running = 0;
        run_timer(c);
        curl_multi_perform(c->multi, &running);
        collect(c);
        struct curl_waitfd fds[2] = {{client_wake_fd(), CURL_WAIT_POLLIN, 0},
                                     {wake_fd, CURL_WAIT_POLLIN, 0}};
        unsigned count = wake_fd >= 0 ? 2 : fds[0].fd >= 0 ? 1 : 0;
        if (fds[0].fd < 0 && wake_fd >= 0) {
            fds[0] = fds[1];
            count = 1;
        }
        bool over = until >= 0 && time_now_monotonic() >= until;
        if (c->done > 0 || over || client_signal() != 0)
            break;
        int ready = 0;
        if (curl_multi_poll(c->multi, count > 0 ? fds : NULL, count, wait_ms(c, until), &ready) !=
            CURLM_OK)
            break;
        if ((count > 0 && fds[0].revents != 0) || (count > 1 && fds[1].revents != 0))
            break;
    }
    c->done = 0;
}

/* ---- one call at a time ---- */

bool client_call(struct client *c, struct call *call, struct arena *arena, struct error *e) {
    client_start(c, call, arena);
    while (!call->done) {
        client_poll(c, -1, -1);
        client_wake_drain();
        if (!call->done && client_signal() != 0) {
            client_cancel(c, call);
            return error_set(e, ERROR_IO, "interrupted");
        }
    }
    if (call->failed)
        return error_copy(e, &call->error);
    return true;
}

bool call_unexpected(const struct call *call, struct error *e) {
    struct str body = call->answer; /* may hold anything: not through printf */
    struct buf text = BUF_INIT;
    buf_add_format(&text, "Unexpected response code: %d (", call->status);
    buf_add_str(&text, body);
    buf_add_char(&text, ')');
    e->kind = ERROR_INTERNAL;
    e->text = str_copy(e->arena, buf_str(&text));
    buf_free(&text);
    return false;
}

bool client_expect(struct client *c, struct call *call, struct arena *arena, struct error *e) {
    if (!client_call(c, call, arena, e))
        return false;
    return call->status == 200 || call_unexpected(call, e);
}

bool client_json(struct client *c, struct call *call, struct value *out, struct arena *arena,
                 struct error *e) {
    return client_expect(c, call, arena, e) && json_parse(call->answer, out, NULL, arena, e);
}

bool client_get(struct client *c, struct str path, struct value *out, struct arena *arena,
                struct error *e) {
    struct call call;
    call_init(&call, "GET", path);
    return client_json(c, &call, out, arena, e);
}

/* ---- reading answers ---- */

struct str value_str(const struct value *v, const char *key) {
    const struct value *field = value_get(v, key);
    return field != NULL && field->kind == VALUE_STRING ? field->string : STR("");
}

uint64_t value_u64(const struct value *v, const char *key) {
    const struct value *field = value_get(v, key);
    uint64_t n = 0;
    if (field == NULL)
        return 0;
    if (field->literal.data != NULL && str_to_u64(field->literal, &n))
        return n;
    return field->kind == VALUE_FLOAT && field->number > 0 && field->number < 1.8e19
               ? (uint64_t)field->number
               : 0;
}

bool value_bool(const struct value *v, const char *key) {
    const struct value *field = value_get(v, key);
    return field != NULL && field->kind == VALUE_BOOL && field->boolean;
}

size_t value_len(const struct value *v) {
    return v->kind == VALUE_LIST ? v->list.len : 0;
}
