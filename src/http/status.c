/* /v1/status: who leads, who takes part (http-core.md 11.1). */
#include "http/records.h"
#include "http/room.h"

static void write_leader(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    json_str(w, *(const struct str *)reply);
}

static void write_peers(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    http_write_strings(w, reply);
}

static void ask(struct http_request *r, const struct endpoint *endpoint, http_reply_writer *write) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    q->datacenter = http_datacenter(r);
    if (http_read_options(r, &q->options))
        http_call_json(r, endpoint, q, 0, write);
}

static void status_leader(struct http_request *r) {
    ask(r, &endpoint_status_leader, write_leader);
}

static void status_peers(struct http_request *r) {
    ask(r, &endpoint_status_peers, write_peers);
}

const struct http_route http_routes_status[] = {
    {"/v1/status/leader", "GET", status_leader, 0},
    {"/v1/status/peers", "GET", status_peers, 0},
    {NULL, NULL, NULL, 0},
};
