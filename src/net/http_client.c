/* libcurl's multi interface on an event loop: libcurl says which sockets and which time it
 * waits for, the loop tells it when they are there.
 */
#include "net/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/library.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/trust.h"
#include "codec/url_parts.h"
#include "net/fault.h"
#include "net/tls.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

/* ---- the library ---- */

static struct {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
    __typeof__(&curl_multi_init) multi_init;
    __typeof__(&curl_multi_cleanup) multi_cleanup;
    __typeof__(&curl_multi_setopt) multi_setopt;
    __typeof__(&curl_multi_add_handle) multi_add_handle;
    __typeof__(&curl_multi_remove_handle) multi_remove_handle;
    __typeof__(&curl_multi_socket_action) multi_socket_action;
    __typeof__(&curl_multi_info_read) multi_info_read;
    __typeof__(&curl_multi_assign) multi_assign;
} lib;
static char load_fault[256]; /* empty: loaded */
static pthread_once_t load_once = PTHREAD_ONCE_INIT;

static void load(void) {
    const struct library_function functions[] = {
        {"curl_global_init", &lib.global_init},
        {"curl_easy_init", &lib.easy_init},
        {"curl_easy_cleanup", &lib.easy_cleanup},
        {"curl_easy_setopt", &lib.easy_setopt},
        {"curl_easy_getinfo", &lib.easy_getinfo},
        {"curl_easy_strerror", &lib.easy_strerror},
        {"curl_slist_append", &lib.slist_append},
        {"curl_slist_free_all", &lib.slist_free_all},
        {"curl_multi_init", &lib.multi_init},
        {"curl_multi_cleanup", &lib.multi_cleanup},
        {"curl_multi_setopt", &lib.multi_setopt},
        {"curl_multi_add_handle", &lib.multi_add_handle},
        {"curl_multi_remove_handle", &lib.multi_remove_handle},
        {"curl_multi_socket_action", &lib.multi_socket_action},
        {"curl_multi_info_read", &lib.multi_info_read},
        {"curl_multi_assign", &lib.multi_assign},
    };
    if (library_load("libcurl.so.4", functions, COUNT_OF(functions), load_fault) &&
        lib.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(load_fault, sizeof(load_fault), "libcurl does not start");
}

/* ---- sockets and time ---- */

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer timer, limit_timer;
    unsigned open_timers;
    struct http_transfer *limited; /* those that wait for a connection, with a limit */
    int64_t limit_next;            /* when one of them may be over it; INT64_MAX: not soon */
};

struct watched_socket {
    uv_poll_t poll;
    struct http_client *curl;
    curl_socket_t fd;
};

static void collect(struct http_client *c);

static void socket_ready(uv_poll_t *poll, int status, int events) {
    struct watched_socket *s = CONTAINER_OF(poll, struct watched_socket, poll);
    struct http_client *c = s->curl;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0, running;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    lib.multi_socket_action(c->multi, s->fd, flags, &running);
    collect(c);
}

static void socket_closed(uv_handle_t *h) {
    mem_free(CONTAINER_OF((uv_poll_t *)h, struct watched_socket, poll));
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *socket_owner) {
    (void)easy;
    struct http_client *c = owner;
    struct watched_socket *s = socket_owner;
    if (what == CURL_POLL_REMOVE) {
        if (s != NULL) {
            uv_poll_stop(&s->poll);
            uv_close((uv_handle_t *)&s->poll, socket_closed);
            lib.multi_assign(c->multi, fd, NULL);
        }
        return 0;
    }
    if (s == NULL) {
        s = MEM_NEW(struct watched_socket);
        s->curl = c;
        s->fd = fd;
        if (uv_poll_init(&c->loop->uv, &s->poll, fd) != 0) {
            mem_free(s);
            return -1;
        }
        lib.multi_assign(c->multi, fd, s);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&s->poll, events, socket_ready);
    return 0;
}

static void timer_fired(struct loop_timer *t) {
    struct http_client *c = t->owner;
    int running;
    lib.multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(c);
}

static int on_timer(CURLM *multi, long ms, void *owner) {
    (void)multi;
    struct http_client *c = owner;
    if (ms < 0)
        loop_timer_stop(&c->timer);
    else
        loop_timer_set(&c->timer, ms * MILLISECOND);
    return 0;
}

/* ---- limits of the parts of a connection, which libcurl only has for all of it ---- */

static void limit_end(struct http_transfer *t) {
    if (t->limited == LIMIT_NONE)
        return;
    t->limited = LIMIT_NONE;
    *t->back_limited = t->next_limited;
    if (t->next_limited != NULL)
        t->next_limited->back_limited = t->back_limited;
}

/* A transfer that has ended before leaves the timer as it is: then it fires for nothing. */
static void limit_expect(struct http_client *c, int64_t ends) {
    if (ends >= c->limit_next)
        return;
    int64_t left = ends - time_now_monotonic();
    c->limit_next = ends;
    loop_timer_set(&c->limit_timer, left > 0 ? left : 0);
}

static void limit_begin(struct http_transfer *t, enum http_limit what, int64_t ns) {
    struct http_client *c = t->curl;
    limit_end(t);
    int64_t ends = time_now_monotonic() + ns;
    bool matters = t->timeout <= 0 || ends < t->started + t->timeout;
    if (ns > 0 && matters) {
        t->limited = what;
        t->limit_ends = ends;
        t->next_limited = c->limited;
        t->back_limited = &c->limited;
        if (t->next_limited != NULL)
            t->next_limited->back_limited = &t->next_limited;
        c->limited = t;
        limit_expect(c, ends);
    }
}

static bool limit_kept(const struct http_transfer *t) {
    curl_off_t took = 0;
    lib.easy_getinfo(
        t->easy, t->limited == LIMIT_DIAL ? CURLINFO_CONNECT_TIME_T : CURLINFO_APPCONNECT_TIME_T,
        &took);
    return took > 0;
}

static void finish(struct http_transfer *t, CURLcode code);

static void limit_over(struct loop_timer *timer) {
    struct http_client *c = timer->owner;
    int64_t now = time_now_monotonic();
    for (struct http_transfer *t = c->limited; t != NULL;) {
        struct http_transfer *next = t->next_limited;
        enum http_limit limit = t->limited;
        if (t->limit_ends <= now && limit_kept(t)) {
            limit_end(t);
        } else if (t->limit_ends <= now) {
            t->exceeded = limit;
            finish(t, limit == LIMIT_DIAL ? CURLE_COULDNT_CONNECT : CURLE_SSL_CONNECT_ERROR);
            next = c->limited; /* the list may be another by now */
        }
        t = next;
    }
    c->limit_next = INT64_MAX;
    for (struct http_transfer *t = c->limited; t != NULL; t = t->next_limited)
        limit_expect(c, t->limit_ends);
}

struct http_client *http_client_new(struct loop *loop, struct error *e) {
    pthread_once(&load_once, load);
    if (load_fault[0] != '\0') {
        error_set(e, ERROR_INTERNAL, "libcurl is needed: %s", load_fault);
        return NULL;
    }
    CURLM *multi = lib.multi_init();
    if (multi == NULL) {
        error_set(e, ERROR_INTERNAL, "libcurl: out of memory");
        return NULL;
    }
    struct http_client *c = MEM_NEW(struct http_client);
    c->loop = loop;
    c->multi = multi;
    loop_timer_init(loop, &c->timer, timer_fired, c);
    loop_timer_init(loop, &c->limit_timer, limit_over, c);
    c->open_timers = 2;
    c->limit_next = INT64_MAX;
    lib.multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    lib.multi_setopt(multi, CURLMOPT_SOCKETDATA, c);
    lib.multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    lib.multi_setopt(multi, CURLMOPT_TIMERDATA, c);
    lib.multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return c;
}

static void curl_closed(struct loop_timer *t) {
    struct http_client *c = t->owner;
    if (--c->open_timers == 0)
        mem_free(c);
}

void http_client_free(struct http_client *c) {
    if (c == NULL)
        return;
    lib.multi_cleanup(c->multi);
    loop_timer_stop(&c->timer);
    loop_timer_stop(&c->limit_timer);
    loop_timer_close(&c->timer, curl_closed);
    loop_timer_close(&c->limit_timer, curl_closed);
}

/* ---- one transfer ---- */

void http_transfer_header(struct http_transfer *t, const char *line) {
    t->headers = lib.slist_append(t->headers, line);
}

/* libcurl is given the name as the URL's host, and told where to connect to. */
struct str http_transfer_name(struct http_transfer *t, struct str name) {
    struct str url = str_from(t->url), host = url_authority(url);
    if (name.len == 0 || !str_eq_fold(url_scheme(url), STR("https")))
        return STR_NONE;
    size_t start = (size_t)(host.data - url.data);
    ptrdiff_t bracket = str_find_char(host, ']');
    ptrdiff_t colon = str_find(host, STR(":"), bracket < 0 ? 0 : (size_t)bracket);
    struct str port = colon < 0 ? STR("443") : str_sub(host, (size_t)colon + 1, host.len);
    struct str real = colon < 0 ? host : str_sub(host, 0, (size_t)colon);
    if (real.len == 0)
        real = STR("127.0.0.1"); /* "https://:8080/" is on this machine */
    t->connect_to =
        str_format(t->arena, "::" STR_FMT ":" STR_FMT, STR_ARG(real), STR_ARG(port)).data;
    t->url = str_format(t->arena, "https://" STR_FMT ":" STR_FMT "%s", STR_ARG(name), STR_ARG(port),
                        url.data + start + host.len)
                 .data;
    return host;
}

void http_transfer_clear_headers(struct http_transfer *t) {
    lib.slist_free_all(t->headers);
    t->headers = NULL;
}

/* The first line of what is no HTTP, as the peer's language judges it. */
static struct str malformed(struct arena *arena, struct str line) {
    struct str rest = line, version = str_cut(&rest, ' ');
    if (rest.data == NULL)
        return str_format(arena, "malformed HTTP response " STR_FMT,
                          STR_ARG(str_quote(arena, line)));
    while (rest.len > 0 && rest.data[0] == ' ')
        rest = str_sub(rest, 1, rest.len);
    struct str code = str_cut(&rest, ' ');
    uint64_t number;
    if (code.len != 3 || !str_to_u64(code, &number))
        return str_format(arena, "malformed HTTP status code " STR_FMT,
                          STR_ARG(str_quote(arena, code)));
    return str_format(arena, "malformed HTTP version " STR_FMT, STR_ARG(str_quote(arena, version)));
}

#define FIRST_LINE_MAX 4096

static size_t on_body(char *data, size_t one, size_t len, void *owner) {
    struct http_transfer *t = owner;
    tail_add(&t->output, data, one * len);
    /* What is no HTTP comes as a body without a head: over with its first line. */
    if (t->status_line.data == NULL &&
        (memchr(data, '\n', one * len) != NULL || t->output.total > FIRST_LINE_MAX))
        return CURL_WRITEFUNC_ERROR;
    return one * len;
}

static void judge_first_line(struct http_transfer *t) {
    struct str rest = tail_bytes(&t->output), line = str_cut(&rest, '\n');
    if (str_has_suffix(line, STR("\r")))
        line.len--;
    t->broken = malformed(t->arena, line);
}

static bool is_version(struct str line) {
    return line.len > 8 && line.data[5] >= '0' && line.data[5] <= '9' &&
           (line.data[6] == ' ' ||
            (line.data[6] == '.' && line.data[7] >= '0' && line.data[7] <= '9'));
}

/* False: broken. */
static bool take_status_line(struct http_transfer *t, struct str line) {
    struct str rest = line; /* with the blanks at its end */
    if (!t->http2 && !is_version(line))
        t->broken = malformed(t->arena, line);
    str_cut(&rest, ' ');
    t->status_line = str_copy(t->arena, rest);
    t->location = STR_NONE;
    t->head_over = false;
    return t->broken.data == NULL;
}

static void take_header(struct http_transfer *t, struct str line) {
    struct str value = line, name = str_cut(&value, ':');
    if (value.data == NULL)
        return;
    value = str_trim(value);
    if (str_eq_fold(name, STR("location")))
        t->location = str_copy(t->arena, value);
    if (t->header != NULL)
        t->header(t, name, value);
}

static size_t on_header(char *data, size_t one, size_t len, void *owner) {
    struct http_transfer *t = owner;
    struct str line = str_of(data, one * len);
    while (line.len > 0 && strchr("\r\n", line.data[line.len - 1]) != NULL)
        line.len--;
    bool ok = true;
    if (str_has_prefix(line, STR("HTTP/")))
        ok = take_status_line(t, line);
    else if (line.len == 0)
        t->head_over = true;
    else if (!t->head_over || t->http2) /* there with trailers */
        take_header(t, line);
    return ok ? one * len : CURL_WRITEFUNC_ERROR;
}

static struct str socket_text(struct arena *arena, const struct sockaddr *a) {
    char text[INET6_ADDRSTRLEN] = "";
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)a;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        return str_format(arena, "%s:%u", text, ntohs(in->sin_port));
    }
    if (a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)a;
        inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
        return str_format(arena, "[%s]:%u", text, ntohs(in->sin6_port));
    }
    const struct sockaddr_un *un = (const void *)a;
    return str_copy(arena, str_from(un->sun_path));
}

static curl_socket_t on_open_socket(void *owner, curlsocktype purpose, struct curl_sockaddr *a) {
    (void)purpose;
    struct http_transfer *t = owner;
    if (t->address.len == 0)
        t->address = socket_text(t->arena, &a->addr);
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* libcurl's context before its first use. */
static CURLcode on_tls(CURL *easy, void *context, void *owner) {
    (void)easy;
    struct http_transfer *t = owner;
    limit_begin(t, LIMIT_HANDSHAKE, t->handshake_limit);
    if (t->tls != NULL && t->tls->config != NULL)
        tls_config_dress(t->tls->config, context);
    return trust_watch_attach(t->trust, context, !t->skip_verify) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

static void set_tls(struct http_transfer *t) {
    CURL *c = t->easy;
    const struct http_tls *tls = t->tls;
    t->trust = trust_watch_new(url_host(str_from(t->url)));
    bool judged = lib.easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK;
    lib.easy_setopt(c, CURLOPT_SSL_CTX_DATA, t);
    lib.easy_setopt(c, CURLOPT_SSL_VERIFYPEER, t->skip_verify ? 0L : 1L);
    lib.easy_setopt(c, CURLOPT_SSL_VERIFYHOST, t->skip_verify || judged ? 0L : 2L);
    /* The system's authorities are read at each connection: not when nobody asks them. */
    if (t->skip_verify ||
        (tls != NULL && tls->config != NULL && tls_config_has_authorities(tls->config))) {
        lib.easy_setopt(c, CURLOPT_CAINFO, NULL);
        lib.easy_setopt(c, CURLOPT_CAPATH, NULL);
    }
    if (tls == NULL)
        return;
    if (tls->ca_file.len > 0)
        lib.easy_setopt(c, CURLOPT_CAINFO, tls->ca_file.data);
    if (tls->ca_pem.len > 0) {
        struct curl_blob blob = {(void *)(uintptr_t)tls->ca_pem.data, tls->ca_pem.len,
                                 CURL_BLOB_NOCOPY};
        lib.easy_setopt(c, CURLOPT_CAINFO, NULL);
        lib.easy_setopt(c, CURLOPT_CAPATH, NULL);
        lib.easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
    }
    if (tls->cert_file.len > 0)
        lib.easy_setopt(c, CURLOPT_SSLCERT, tls->cert_file.data);
    if (tls->key_file.len > 0)
        lib.easy_setopt(c, CURLOPT_SSLKEY, tls->key_file.data);
}

static void set_request(struct http_transfer *t) {
    CURL *c = t->easy;
    lib.easy_setopt(c, CURLOPT_URL, t->url);
    if (t->no_answer_body)
        lib.easy_setopt(c, CURLOPT_NOBODY, 1L);
    if (t->sends_body) {
        lib.easy_setopt(c, CURLOPT_POST, 1L);
        lib.easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body.len);
        lib.easy_setopt(c, CURLOPT_POSTFIELDS, t->body.len > 0 ? t->body.data : "");
    }
    lib.easy_setopt(c, CURLOPT_CUSTOMREQUEST, t->method);
    lib.easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
    if (t->gunzip)
        lib.easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "gzip");
    if (t->unix_socket != NULL)
        lib.easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, t->unix_socket);
    if (t->no_proxy != NULL)
        lib.easy_setopt(c, CURLOPT_NOPROXY, t->no_proxy);
    if (t->connect_to != NULL) {
        t->connect_list = lib.slist_append(NULL, t->connect_to);
        lib.easy_setopt(c, CURLOPT_CONNECT_TO, t->connect_list);
    }
    if (t->timeout > 0) {
        int64_t ms = (t->timeout + MILLISECOND - 1) / MILLISECOND;
        lib.easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)ms);
        lib.easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)ms);
    }
}

static void set_manners(struct http_transfer *t) {
    CURL *c = t->easy;
    lib.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    lib.easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    lib.easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    lib.easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
    lib.easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
    lib.easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    lib.easy_setopt(c, CURLOPT_HTTP09_ALLOWED, t->http2 ? 0L : 1L); /* to see what it is */
    if (t->http2) {
        lib.easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
        lib.easy_setopt(c, CURLOPT_NOPROXY, "*");
    } else {
        lib.easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        lib.easy_setopt(c, CURLOPT_SSL_ENABLE_ALPN, 0L);
    }
    lib.easy_setopt(c, CURLOPT_ERRORBUFFER, t->error_text);
    lib.easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    lib.easy_setopt(c, CURLOPT_WRITEDATA, t);
    lib.easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    lib.easy_setopt(c, CURLOPT_HEADERDATA, t);
    lib.easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    lib.easy_setopt(c, CURLOPT_OPENSOCKETDATA, t);
    lib.easy_setopt(c, CURLOPT_PRIVATE, t);
}

static void drop(struct http_transfer *t) {
    limit_end(t);
    lib.easy_cleanup(t->easy);
    t->easy = NULL;
    lib.slist_free_all(t->connect_list);
    t->connect_list = NULL;
    trust_watch_release(t->trust);
    t->trust = NULL;
}

bool http_transfer_start(struct http_transfer *t, struct error *e) {
    ASSERT(t->easy == NULL);
    t->code = CURLE_OK;
    t->os_error = 0;
    t->status = 0;
    t->status_line = t->address = t->location = t->local_end = t->remote_end = STR_NONE;
    t->broken = t->tls_fault = STR_NONE;
    t->head_over = false;
    t->exceeded = LIMIT_NONE;
    t->error_text[0] = '\0';
    t->easy = lib.easy_init();
    if (t->easy == NULL)
        return error_set(e, ERROR_INTERNAL, "libcurl: out of memory");
    set_manners(t);
    set_request(t);
    set_tls(t);
    CURLMcode code = lib.multi_add_handle(t->curl->multi, t->easy);
    if (code == CURLM_OK) {
        t->started = time_now_monotonic();
        limit_begin(t, LIMIT_DIAL, t->dial_limit);
        return true;
    }
    drop(t);
    return error_set(e, ERROR_INTERNAL, "libcurl: error %d", (int)code);
}

void http_transfer_cancel(struct http_transfer *t) {
    if (t->easy == NULL)
        return;
    lib.multi_remove_handle(t->curl->multi, t->easy);
    drop(t);
}

void http_transfer_free(struct http_transfer *t) {
    http_transfer_cancel(t);
    http_transfer_clear_headers(t);
    tail_free(&t->output);
}

static struct str end_text(struct http_transfer *t, CURLINFO ip_info, CURLINFO port_info) {
    char *ip = NULL;
    long port = 0;
    lib.easy_getinfo(t->easy, ip_info, &ip);
    lib.easy_getinfo(t->easy, port_info, &port);
    if (ip == NULL || ip[0] == '\0')
        return STR_NONE;
    bool v6 = strchr(ip, ':') != NULL;
    return str_format(t->arena, "%s%s%s:%ld", v6 ? "[" : "", ip, v6 ? "]" : "", port);
}

/* What libcurl did not like without showing it. */
static struct str refused(const struct http_transfer *t) {
    struct str error = str_from(t->error_text);
    if (str_find(error, STR("without colon"), 0) >= 0)
        return STR("malformed MIME header: missing colon");
    if (str_find(error, STR("Content-Length"), 0) >= 0)
        return STR("bad Content-Length");
    return STR("malformed HTTP response");
}

/* Whether the head of the answer was HTTP, and all there. */
static void judge_head(struct http_transfer *t) {
    if (t->http2 || t->broken.data != NULL)
        return;
    if (t->status_line.data == NULL && t->output.total > 0)
        judge_first_line(t);
    else if (t->code == CURLE_UNSUPPORTED_PROTOCOL || t->code == CURLE_WEIRD_SERVER_REPLY)
        t->broken = refused(t);
    else if (t->code == CURLE_OK && !t->head_over)
        t->broken = STR("unexpected EOF");
}

static void finish(struct http_transfer *t, CURLcode code) {
    long number = 0;
    t->code = code;
    judge_head(t);
    if (t->broken.data != NULL)
        t->code = CURLE_WEIRD_SERVER_REPLY;
    lib.easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &number);
    t->os_error = (int)number;
    lib.easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
    struct str fault = trust_watch_fault(t->trust);
    if (code != CURLE_OK && fault.data != NULL)
        t->tls_fault = str_copy(t->arena, fault);
    t->local_end = end_text(t, CURLINFO_LOCAL_IP, CURLINFO_LOCAL_PORT);
    t->remote_end = end_text(t, CURLINFO_PRIMARY_IP, CURLINFO_PRIMARY_PORT);
    http_transfer_cancel(t);
    t->done(t);
}

static void collect(struct http_client *c) {
    int left;
    for (CURLMsg *m; (m = lib.multi_info_read(c->multi, &left)) != NULL;) {
        char *owner = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result; /* m is gone with the handle */
        lib.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &owner);
        finish((struct http_transfer *)(void *)owner, code);
    }
}

/* ---- what went wrong ---- */

struct str http_transfer_fault(const struct http_transfer *t, struct str host) {
    struct arena *arena = t->arena;
    struct str error = str_from(t->error_text);
    struct str why = fault_errno(arena, t->os_error > 0 ? t->os_error : ECONNREFUSED);
    if (t->tls_fault.data != NULL)
        return t->tls_fault;
    if (t->exceeded == LIMIT_DIAL && t->address.len == 0)
        return str_format(arena, "dial tcp: lookup " STR_FMT ": i/o timeout", STR_ARG(host));
    if (t->exceeded == LIMIT_DIAL)
        return str_format(arena, "dial tcp " STR_FMT ": i/o timeout", STR_ARG(t->address));
    if (t->exceeded == LIMIT_HANDSHAKE)
        return STR("net/http: TLS handshake timeout");
    switch (t->code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return fault_lookup(arena, host);
    case CURLE_COULDNT_CONNECT:
        if (t->unix_socket != NULL)
            return str_format(arena, "dial unix %s: connect: " STR_FMT, t->unix_socket,
                              STR_ARG(why));
        return str_format(arena, "dial tcp " STR_FMT ": connect: " STR_FMT, STR_ARG(t->address),
                          STR_ARG(why));
    case CURLE_GOT_NOTHING:
        return STR("EOF");
    case CURLE_PARTIAL_FILE:
        return STR("unexpected EOF");
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return str_format(arena,
                          "read tcp " STR_FMT "->" STR_FMT ": read: connection reset by peer",
                          STR_ARG(t->local_end), STR_ARG(t->remote_end));
    case CURLE_PEER_FAILED_VERIFICATION:
        return STR("x509: certificate signed by unknown authority");
    case CURLE_SSL_CONNECT_ERROR:
        if (str_find(error, STR("reset by peer"), 0) >= 0)
            return str_format(arena,
                              "read tcp " STR_FMT "->" STR_FMT ": read: connection reset by peer",
                              STR_ARG(t->local_end), STR_ARG(t->remote_end));
        if (str_find(error, STR("wrong version number"), 0) >= 0)
            return STR("http: server gave HTTP response to HTTPS client");
        return str_format(arena, "remote error: tls: " STR_FMT, STR_ARG(error));
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return str_format(arena, "net/http: HTTP/1.x transport connection broken: " STR_FMT,
                          STR_ARG(t->broken));
    default:
        return error.len > 0 ? str_copy(arena, error) : str_from(lib.easy_strerror(t->code));
    }
}
