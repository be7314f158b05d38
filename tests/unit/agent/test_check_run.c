/* Checks that run, on their thread: what scripts, connections and HTTP servers of all sorts amount
 * to, thresholds apart; the bound on time and output; stopping in the middle of a run.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/check_run.h"
#include "base/mem.h"
#include "base/time.h"

#define ADDRESS "127.64.77.1"

struct world {
    struct loop core;
    struct check_pool *pool;
    uv_sem_t result, ended;
};

struct check {
    struct check_run *run;
    struct world *w;
    struct message message, stop_message;
    enum check_health status;
    struct buf output;
    bool bypass;
    atomic_uint results;
};

static void start_world(struct world *w) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    uv_sem_init(&w->result, 0);
    uv_sem_init(&w->ended, 0);
    assert_true(loop_init(&w->core, "core", 16, &e));
    assert_true(loop_start(&w->core, &e));
    w->pool = check_pool_new(&w->core, &e);
    assert_non_null(w->pool);
    arena_free(&arena);
}

static void end_world(struct world *w) {
    check_pool_free(w->pool);
    loop_stop(&w->core);
    loop_join(&w->core);
    loop_free(&w->core);
    uv_sem_destroy(&w->result);
    uv_sem_destroy(&w->ended);
}

static void on_result(struct check_run *r) {
    struct check *c = r->owner;
    if (atomic_fetch_add(&c->results, 1) > 0)
        return; /* the first one is looked at */
    c->status = r->status;
    c->bypass = r->bypass;
    buf_add_str(&c->output, r->output);
    uv_sem_post(&c->w->result);
}

static void on_ended(struct check_run *r) {
    struct check *c = r->owner;
    check_run_free(r);
    uv_sem_post(&c->w->ended);
}

static void do_start(struct message *m) {
    struct check *c = CONTAINER_OF(m, struct check, message);
    check_run_start(c->w->pool, c->run);
}
static void do_stop(struct message *m) {
    check_run_stop(CONTAINER_OF(m, struct check, stop_message)->run);
}

static void post(struct check *c, struct message *m, void (*run)(struct message *)) {
    m->run = run;
    loop_post_reply(&c->w->core, m);
}

static void start(struct world *w, struct check *c, const struct check_kind *kind,
                  struct check_type type) {
    *c = (struct check){.run = MEM_NEW(struct check_run), .w = w};
    struct check_run *r = c->run;
    r->type = type;
    if (type.interval == 0)
        r->type.interval = SECOND;
    r->check_id = STR("c");
    r->kind = kind;
    r->output_limit = 100;
    r->at_once = true;
    r->result = on_result;
    r->ended = on_ended;
    r->owner = c;
    post(c, &c->message, do_start);
}

static void stop(struct check *c) {
    post(c, &c->stop_message, do_stop);
    uv_sem_wait(&c->w->ended);
}

static void expect(struct world *w, const struct check_kind *kind, struct check_type type,
                   enum check_health status, const char *output) {
    struct check c;
    start(w, &c, kind, type);
    uv_sem_wait(&w->result);
    stop(&c);
    if (c.status != status || !str_is(buf_str(&c.output), output))
        fail_msg("%d '%.*s' instead of '%s'", c.status, STR_ARG(buf_str(&c.output)), output);
    buf_free(&c.output);
}

/* ---- scripts ---- */

static struct str shell[3] = {STR_INIT("/bin/sh"), STR_INIT("-c")};
static struct check_type script(const char *text) {
    shell[2] = str_from(text);
    return (struct check_type){.script_args = {.items = shell, .len = 3, .present = true},
                               .timeout = 20 * SECOND};
}

static void test_script(void **state) {
    struct world w;
    start_world(&w);
    const struct check_kind *kind = &check_kind_script;
    expect(&w, kind, script("echo out; echo err >&2"), CHECK_PASSING, "out\nerr\n");
    expect(&w, kind, script("exit 1"), CHECK_WARNING, "");
    expect(&w, kind, script("echo x; exit 42"), CHECK_CRITICAL, "x\n");
    expect(&w, kind, script("kill -9 $$"), CHECK_CRITICAL, "");
    expect(&w, kind, script("read x; echo \"$x\""), CHECK_PASSING, "\n"); /* nothing to read */
    expect(&w, kind, script("ps -o pgid= -p $$ | grep -qw $$ && echo own"), CHECK_PASSING, "own\n");
    expect(&w, kind, script("i=0; while [ $i -lt 50 ]; do echo 12345; i=$((i+1)); done"),
           CHECK_PASSING,
           "Captured 100 of 300 bytes\n...\n"
           "345\n12345\n12345\n12345\n12345\n12345\n12345\n12345\n12345\n12345\n12345\n12345\n12345"
           "\n12345\n12345\n12345\n12345\n");
    struct str absent = STR("/nonexistent/x"), unknown = STR("no-such-program-here");
    struct check_type t = {.script_args = {.items = &absent, .len = 1, .present = true}};
    expect(&w, kind, t, CHECK_CRITICAL, "fork/exec /nonexistent/x: no such file or directory");
    t.script_args.items = &unknown;
    expect(&w, kind, t, CHECK_CRITICAL,
           "exec: \"no-such-program-here\": executable file not found in $PATH");
    end_world(&w);
}

/* The time is up: the whole group ends, also what ignores other signals. */
static void test_script_timeout(void **state) {
    struct world w;
    start_world(&w);
    struct check_type t = script("trap '' TERM; echo begun; sleep 60 & echo $!; wait");
    t.timeout = 300 * MILLISECOND;
    struct check c;
    start(&w, &c, &check_kind_script, t);
    uv_sem_wait(&w.result);
    assert_int_equal(c.status, CHECK_CRITICAL);
    assert_true(c.bypass);
    struct str output = buf_str(&c.output);
    assert_true(str_has_prefix(output, STR("Timed out (300ms) running check\n\nbegun\n")));
    buf_add_char(&c.output, '\0');
    pid_t child = atoi(c.output.data + strlen("Timed out (300ms) running check\n\nbegun\n"));
    assert_true(child > 1);
    for (int i = 0; i < 1000 && kill(child, 0) == 0; i++) /* init may be slow to bury it */
        usleep(1000);
    char path[64], status[512] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", child);
    FILE *f = fopen(path, "r");
    if (f != NULL && fgets(status, sizeof(status), f) != NULL)
        assert_non_null(strstr(status, ") Z"));
    if (f != NULL)
        fclose(f);
    stop(&c);
    buf_free(&c.output);
    end_world(&w);
}

/* A program that takes long does not hold up the end of its check. */
static void test_stop_while_running(void **state) {
    struct world w;
    start_world(&w);
    struct check_type t = script("sleep 60");
    t.timeout = 60 * SECOND;
    struct check c;
    int64_t before = time_now_monotonic();
    start(&w, &c, &check_kind_script, t);
    usleep(300000); /* stopped before it runs, it is no less over */
    stop(&c);
    assert_true(time_now_monotonic() - before < 20 * SECOND);
    assert_int_equal(atomic_load(&c.results), 0);
    end_world(&w);
}

/* ---- servers ---- */

struct server {
    int fd;
    uint16_t port;
    const char *answer; /* NULL: silence until the client goes */
    pthread_t thread;
    char url[64], address[64];
    char request[2048];
};

static void *serve(void *arg) {
    struct server *s = arg;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0; close(fd)) {
        ssize_t n = read(fd, s->request, sizeof(s->request) - 1);
        if (n > 0)
            s->request[n] = '\0';
        if (s->answer != NULL) {
            ssize_t written = write(fd, s->answer, strlen(s->answer));
            (void)written;
            shutdown(fd, SHUT_WR);
        }
        char rest[256];
        while (read(fd, rest, sizeof(rest)) > 0)
            continue;
    }
    return NULL;
}

static void serve_start(struct server *s, const char *answer) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);
    memset(s, 0, sizeof(*s));
    s->answer = answer;
    inet_pton(AF_INET, ADDRESS, &a.sin_addr);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(s->fd, 512), 0);
    getsockname(s->fd, (struct sockaddr *)&a, &len);
    s->port = ntohs(a.sin_port);
    snprintf(s->url, sizeof(s->url), "http://" ADDRESS ":%u/x", s->port);
    snprintf(s->address, sizeof(s->address), ADDRESS ":%u", s->port);
    pthread_create(&s->thread, NULL, serve, s);
}

static void serve_stop(struct server *s) {
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

static void expect_http(struct world *w, const char *answer, struct check_type t,
                        enum check_health status, const char *format) {
    struct server s;
    char text[512];
    serve_start(&s, answer);
    t.http = str_from(s.url);
    if (t.timeout == 0)
        t.timeout = 20 * SECOND;
    snprintf(text, sizeof(text), format, s.url);
    expect(w, &check_kind_http, t, status, text);
    serve_stop(&s);
}

static void test_http(void **state) {
    struct world w;
    struct check_type get = {0}, quick = {.timeout = 300 * MILLISECOND};
    start_world(&w);
    expect_http(&w, "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok", get, CHECK_PASSING,
                "HTTP GET %s: 200 Fine Output: ok");
    expect_http(&w, "HTTP/1.1 299 \r\n\r\n", get, CHECK_PASSING, "HTTP GET %s: 299  Output: ");
    expect_http(&w, "HTTP/1.1 429 Slow\r\n\r\n", get, CHECK_WARNING,
                "HTTP GET %s: 429 Slow Output: ");
    expect_http(&w, "HTTP/1.1 500 Bad\r\n\r\nwhy", get, CHECK_CRITICAL,
                "HTTP GET %s: 500 Bad Output: why");
    expect_http(&w, "HTTP/1.1 302 Found\r\n\r\n", get, CHECK_CRITICAL,
                "Get \"%s\": 302 response missing Location header");
    expect_http(&w, "", get, CHECK_CRITICAL, "Get \"%s\": EOF");
    expect_http(&w, NULL, quick, CHECK_CRITICAL,
                "Get \"%s\": context deadline exceeded (Client.Timeout exceeded while awaiting "
                "headers)");
    struct check_type post = {.method = STR("POST"), .body = STR("data")};
    expect_http(&w, "HTTP/1.1 204 None\r\n\r\n", post, CHECK_PASSING,
                "HTTP POST %s: 204 None Output: ");
    struct check_type bad = {.method = STR("B AD"), .http = STR("http://x/")};
    expect(&w, &check_kind_http, bad, CHECK_CRITICAL, "net/http: invalid method \"B AD\"");
    struct check_type refused = {.http = STR("http://" ADDRESS ":1/"), .method = STR("PUT")};
    expect(&w, &check_kind_http, refused, CHECK_CRITICAL,
           "Put \"http://" ADDRESS ":1/\": dial tcp " ADDRESS ":1: connect: connection refused");
    end_world(&w);
}

static void test_http_request(void **state) {
    struct world w;
    struct server s;
    start_world(&w);
    serve_start(&s, "HTTP/1.1 200 OK\r\n\r\n");
    struct str value = STR("v");
    struct list_pair header = {STR("X-a"), {.items = &value, .len = 1, .present = true}};
    struct check_type t = {.http = str_from(s.url),
                           .method = STR("PUT"),
                           .header = {.items = &header, .len = 1, .present = true},
                           .timeout = 20 * SECOND};
    struct check c;
    start(&w, &c, &check_kind_http, t);
    uv_sem_wait(&w.result);
    stop(&c);
    buf_free(&c.output);
    serve_stop(&s);
    assert_non_null(strstr(s.request, "PUT /x HTTP/1.1\r\n"));
    assert_non_null(strstr(s.request, "\r\nX-a: v\r\n"));
    assert_non_null(strstr(s.request, "\r\nUser-Agent: Consul Health Check\r\n"));
    assert_non_null(strstr(s.request, "\r\nAccept: text/plain, text/*, */*\r\n"));
    assert_non_null(strstr(s.request, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(s.request, "\r\nContent-Length: 0\r\n"));
    assert_null(strstr(s.request, "Content-Type"));
    end_world(&w);
}

static void test_tcp(void **state) {
    struct world w;
    struct server s;
    char text[128];
    start_world(&w);
    serve_start(&s, "x");
    struct check_type t = {.tcp = str_from(s.address), .timeout = 20 * SECOND};
    snprintf(text, sizeof(text), "TCP connect %s: Success", s.address);
    expect(&w, &check_kind_tcp, t, CHECK_PASSING, text);
    serve_stop(&s);
    static const char *const cases[][2] = {
        {ADDRESS ":1", "dial tcp " ADDRESS ":1: connect: connection refused"},
        {ADDRESS, "dial tcp: address " ADDRESS ": missing port in address"},
        {"::1:80", "dial tcp: address ::1:80: too many colons in address"},
        {ADDRESS ":99999", "dial tcp: address 99999: invalid port"},
        {ADDRESS ":no-port", "dial tcp: address tcp/no-port: unknown port"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        t.tcp = str_from(cases[i][0]);
        expect(&w, &check_kind_tcp, t, CHECK_CRITICAL, cases[i][1]);
    }
    end_world(&w);
}

static void test_grpc_failures(void **state) {
    struct world w;
    struct server s;
    start_world(&w);
    struct check_type t = {.grpc = STR(ADDRESS ":1/svc"), .timeout = 20 * SECOND};
    expect(&w, &check_kind_grpc, t, CHECK_CRITICAL,
           "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while "
           "dialing dial tcp " ADDRESS ":1: connect: connection refused\"");
    serve_start(&s, NULL);
    t.grpc = str_from(s.address);
    t.timeout = 300 * MILLISECOND;
    expect(&w, &check_kind_grpc, t, CHECK_CRITICAL,
           "rpc error: code = DeadlineExceeded desc = context deadline exceeded");
    serve_stop(&s);
    end_world(&w);
}

/* Many at once, stopped at once: each ends, none is lost. */
static void test_many(void **state) {
    enum { MANY = 300 };
    static struct check checks[MANY];
    struct world w;
    struct server s;
    start_world(&w);
    serve_start(&s, "HTTP/1.1 200 OK\r\n\r\n");
    struct check_type t = {.http = str_from(s.url), .timeout = 20 * SECOND};
    for (size_t i = 0; i < MANY; i++)
        start(&w, &checks[i], &check_kind_http, t);
    for (size_t i = 0; i < MANY; i++)
        uv_sem_wait(&w.result);
    for (size_t i = 0; i < MANY; i++)
        post(&checks[i], &checks[i].stop_message, do_stop);
    for (size_t i = 0; i < MANY; i++)
        uv_sem_wait(&w.ended);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(checks[i].status, CHECK_PASSING);
        buf_free(&checks[i].output);
    }
    serve_stop(&s);
    end_world(&w);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_script_timeout),
        cmocka_unit_test(test_stop_while_running),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_http_request),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_grpc_failures),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
