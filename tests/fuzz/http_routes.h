/* For the fuzz targets of connections: an HTTP interface without a server behind it, with handlers
 * that read, refuse or ignore bodies, answer at once and later, and stream.
 */
#ifndef FUZZ_HTTP_ROUTES_H
#define FUZZ_HTTP_ROUTES_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/room.h"

static void answer_body(struct http_request *r) {
    http_answer_text(r, 200, r->body);
}

static void echo(struct http_request *r) {
    http_read_body(r, 100, answer_body);
}

struct later {
    struct message message;
    struct http_request *request;
};

static void answer_later(struct message *m) {
    struct later *l = CONTAINER_OF(m, struct later, message);
    http_answer_bool(l->request, true);
    mem_free(l);
}

static void answer_in_a_moment(struct http_request *r) {
    struct later *l = MEM_NEW(struct later);
    l->request = r;
    l->message.run = answer_later;
    loop_post_reply(r->loop, &l->message);
}

static void later(struct http_request *r) {
    answer_in_a_moment(r);
}

static void echo_later(struct http_request *r) {
    http_read_body(r, 0, answer_in_a_moment);
}

static void large(struct http_request *r) {
    char *bytes = arena_zalloc(&r->arena, 1, 40000);
    http_answer_bytes(r, 200, NULL, str_of(bytes, 40000), http_has_param(r, "exact"));
}

static void gone(struct http_request *r) {
    http_stream_end(r);
}

static void stream(struct http_request *r) {
    r->gone = gone;
    http_stream_begin(r, 200, "text/plain");
    http_stream_write(r, STR("one"));
    if (!http_has_param(r, "wait")) {
        r->gone = NULL;
        http_stream_end(r);
    }
}

static const struct http_route routes[] = {
    {"/e/", "PUT,GET", echo, 0}, {"/l", "PUT,GET", later, 0},       {"/el", "PUT", echo_later, 0},
    {"/b", "GET", large, 0},     {"/s", "GET", stream, ROUTE_META}, {NULL, NULL, NULL, 0},
};
const struct http_route http_routes_agent[] = {{NULL, NULL, NULL, 0}};

static struct loop loop;
static struct loop *loops[] = {&loop};
static struct http *http;

static void start(void) {
    static struct config config = {.references = 1u << 30};
    static const struct http_route *const tables[] = {routes, NULL};
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct http_options o = {.config = &config, .loops = loops, .loop_count = 1, .tables = tables};
    log_set_level(LOG_OFF);
    if (!loop_init(&loop, "fuzz", 1000, &e) || (http = http_start(&o, &e)) == NULL)
        abort();
}

/* One round of the loop; what it says is read. */
static void turn(int fd) {
    char waste[65536];
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    while (fd >= 0 && recv(fd, waste, sizeof waste, MSG_DONTWAIT) > 0)
        continue;
}

/* After the client is gone: something that holds on to it is a fault. */
static void expect_nothing_left(void) {
    for (int i = 0; i < 100 && (http->loops[0].connections > 0 || http->loops[0].requests > 0); i++)
        turn(-1);
    if (http->loops[0].connections > 0 || http->loops[0].requests > 0)
        abort();
}

#endif
