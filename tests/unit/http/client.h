/* For tests of http/: a server with its HTTP interface on 127.45.8.1, and raw requests to it. */
#ifndef TEST_HTTP_CLIENT_H
#define TEST_HTTP_CLIENT_H

#include "unit/server/fake_driver.h"
#include "unit/server/harness.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/room.h"

const struct http_route http_routes_agent[] = {{NULL, NULL, NULL, 0}}; /* instead of http/agent.c */

static struct http *http;
static struct config config;
static struct listen_address where = {.network = LISTEN_TCP, .text = STR_INIT("127.45.8.1")};
static struct loop *loop_list[8];

/* A copy of the configuration as it is now, which the loops read. */
static inline const struct config *config_now(void) {
    static struct config copies[64];
    static unsigned used;
    assert_true(used < 64);
    copies[used] = config;
    copies[used].references = 1000; /* never freed */
    return &copies[used++];
}

/* A changed configuration takes effect with the next requests. */
static inline void http_changed(void) {
    http_reload(http, config_now());
}

/* The room below: what src/agent would give. Only the settings that http/ looks at are set. */
static inline void http_begin(void) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct server_options options = harness_options();
    server_begin(&options);
    config.datacenter = STR("dc1");
    config.node_name = STR("n1");
    config.server_mode = true;
    config.http_addrs = (struct list){&where, 1, true};
    config.limits.http_max_conns_per_client = 200;
    config.limits.kv_max_value_size = 524288;
    config.limits.txn_max_req_len = 524288;
    config.http.use_cache = true;
    config.ui_content_path = STR("/ui/");
    struct http_options o = {.server = server, .config = config_now(), .loops = loop_list};
    for (unsigned i = 0; i < server_io_count(server); i++)
        loop_list[o.loop_count++] = server_io(server, i);
    http = http_start(&o, &e);
    if (http == NULL)
        fail_msg("http: %.*s", STR_ARG(e.text));
    arena_free(&arena);
}

static inline void http_end(void) {
    http_stop(http);
    server_end();
}

static inline int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_port = htons((uint16_t)listener_port(http->listeners[0].listener));
    inet_pton(AF_INET, "127.45.8.1", &to.sin_addr);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void put_bytes(int fd, const void *bytes, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, (const char *)bytes + at, len - at, MSG_NOSIGNAL);
        assert_true(n > 0);
        at += (size_t)n;
    }
}

static inline void put_text(int fd, const char *text) {
    put_bytes(fd, text, strlen(text));
}

/* What comes until the end, or nothing for `quiet` ms; a NUL byte behind it. */
static inline struct buf read_all(int fd, int quiet) {
    struct buf out = BUF_INIT;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, quiet) != 1)
            break;
        ssize_t n = recv(fd, buf_reserve(&out, 65536), 65536, 0);
        if (n <= 0)
            break;
        out.len += (size_t)n;
    }
    *buf_reserve(&out, 1) = '\0';
    return out;
}

/* Sends and reads until the server closes; the request must ask for that. */
static inline struct buf ask_raw(const char *text) {
    int fd = dial();
    put_text(fd, text);
    struct buf out = read_all(fd, 10000);
    close(fd);
    return out;
}

#define CLOSE " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

/* One request; extra: header lines; body may be NULL. */
static inline struct buf http_ask(const char *method_and_path, const char *extra,
                                  const char *body) {
    struct buf text = BUF_INIT;
    buf_add_text(&text, method_and_path);
    buf_add_text(&text, CLOSE);
    buf_add_text(&text, extra);
    if (body != NULL)
        buf_add_format(&text, "Content-Length: %zu\r\n", strlen(body));
    buf_add_format(&text, "\r\n%s", body != NULL ? body : "");
    struct buf out = ask_raw(text.data);
    buf_free(&text);
    return out;
}

/* Checks status and body (NULL: whatever) of what came, and frees it. Each of `has`, separated by
 * "|", must be a header line. */
static inline void check(struct buf got, int status, const char *has, const char *body) {
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d", status);
    char *end = strstr(got.data, "\r\n\r\n");
    if (strncmp(got.data, line, strlen(line)) != 0 || end == NULL)
        fail_msg("not a %d: %s", status, got.data);
    struct str rest = str_from(has);
    struct arena arena = ARENA_INIT;
    while (rest.data != NULL && rest.len > 0) {
        struct str one = str_cut(&rest, '|');
        struct str part = str_format(&arena, "\r\n%.*s\r\n", STR_ARG(one));
        char *found = strstr(got.data, part.data);
        if (found == NULL || found > end)
            fail_msg("no header %s in: %s", part.data, got.data);
    }
    arena_free(&arena);
    if (body != NULL)
        assert_string_equal(end + 4, body);
    buf_free(&got);
}

static inline void want(const char *method_and_path, const char *extra, const char *body,
                        int status, const char *has, const char *answer) {
    check(http_ask(method_and_path, extra, body), status, has, answer);
}

/* Waits for the leader. */
static inline void http_ready(void) {
    for (int i = 0; i < 500; i++) {
        struct buf got = http_ask("GET /v1/status/leader", "", NULL);
        bool ready = strstr(got.data, ":8300\"") != NULL;
        buf_free(&got);
        if (ready)
            return;
        usleep(10000);
    }
    fail_msg("no leader");
}

#endif
