/* Any bytes as a client's query, and any bytes as a recursor's reply, over a small catalog: there
 * is one answer or none, it can be read, and nothing is left behind. Input: a byte of settings, a
 * byte with the query's length, the query, the reply.
 */
#define TESTS_WITHOUT_CMOCKA
#include "unit/dns/world.h"

static struct str reply;

static void fuzz_exchange(struct dns_exchange *x) {
    char *bytes = (char *)(uintptr_t)str_copy(x->arena, reply).data;
    x->ok = false;
    if (reply.len > 12) {
        be16_put(bytes, x->id);
        bytes[2] = (char)(bytes[2] | 0x80);
    }
    size_t len = x->transport == DNS_UDP && reply.len > x->size ? x->size : reply.len;
    if (!dns_exchange_accept(x, str_of(bytes, len))) {
        x->ok = false;
        x->error = STR("i/o timeout");
    }
    x->done(x);
}

static const char *const registrations[] = {
    "{\"Node\": \"n1\", \"Address\": \"10.0.0.1\", \"NodeMeta\": {\"a\": \"b\", \"rfc1035-x\": "
    "\"y\\\\\"},"
    "\"Service\": {\"Service\": \"web\", \"Port\": 80, \"Tags\": [\"v1\"]}}",
    "{\"Node\": \"n2\", \"Address\": \"2001:db8::2\", \"Service\": {\"Service\": \"web\", "
    "\"Port\": 81}}",
    "{\"Node\": \"n3\", \"Address\": \"www.example.com\", \"Service\": {\"Service\": \"ext\"}}",
    "{\"Node\": \"n4\", \"Address\": \"10.0.0.4\", \"Service\": {\"Service\": \"loop\", "
    "\"Address\": "
    "\"loop.service.consul\"}}",
    "{\"Node\": \"n5\", \"Address\": \"10.0.0.5\", \"Service\": {\"Service\": \"la\", \"Address\": "
    "\"lb.service.consul\"}}",
    "{\"Node\": \"n6\", \"Address\": \"10.0.0.6\", \"Service\": {\"Service\": \"lb\", \"Address\": "
    "\"la.service.consul\"}}",
    "{\"Node\": \"n7\", \"Address\": \"n3.node.consul\", \"Service\": {\"Service\": \"ext\"}}",
    "{\"Node\": \"bad..name\", \"Address\": \"10.0.0.7\", \"Service\": {\"Service\": \"web\"}}",
    "{\"Node\": \"n8\", \"Address\": \"10.0.0.8\", \"Service\": {\"Service\": \"consul\"}}",
    "{\"Node\": \"n9\", \"Address\": \"host\", \"Service\": {\"Service\": \"consul\"}}",
};

static void open_world(void) {
    struct world *w = world_open();
    log_set_stdout(false);
    log_set_level(LOG_TRACE);
    for (size_t i = 0; i < COUNT_OF(registrations); i++) {
        world_register_json(w, registrations[i]);
    }
    for (int i = 0; i < 60; i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "{\"Node\": \"m%d\", \"Address\": \"10.1.0.%d\", \"NodeMeta\": {\"k\": \"v\"},"
                 "\"Service\": {\"Service\": \"many\", \"Port\": %d}}",
                 i, i, i);
        world_register_json(w, text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (the_world == NULL) {
        open_world();
    }
    struct world *w = the_world;
    struct arena saved = w->arena; /* what this run needs goes into an arena of its own */
    w->arena = ARENA_INIT;
    if (size > 2) {
        uint8_t settings = data[0];
        size_t len = data[1] < size - 2 ? data[1] : size - 2;
        w->worker.exchange = fuzz_exchange;
        reply = str_of(data + 2 + len, size - 2 - len);
        world_defaults(w);
        w->config.disable_compression = (settings & 1) != 0;
        w->config.enable_truncate = (settings & 2) != 0;
        w->config.udp_answer_limit = (settings >> 2) & 3;
        w->deferred = (settings & 16) != 0;
        w->fail = (settings & 0xe0) == 0xe0 ? "rpc failed" : NULL;
        if ((settings & 32) != 0) {
            w->config.recursors = LIST_NEW(&w->arena, struct str, 1);
            LIST_AT(w->config.recursors, struct str, 0) = STR("127.0.0.1:53");
        }
        world_configure(w);
        struct dns_message m;
        struct str answer =
            world_ask(w, (settings & 64) != 0 ? DNS_TCP : DNS_UDP, str_of(data + 2, len));
        ASSERT(answer.data == NULL || dns_message_parse(answer, &m, &w->arena));
        ASSERT(w->answers_alive == 0);
    }
    arena_free(&w->arena);
    w->arena = saved;
    return 0;
}
