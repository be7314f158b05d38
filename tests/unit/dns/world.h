/* A catalog in memory and a DNS worker over it, without sockets and without a server: endpoints are
 * answered by the store's own reads, recursors by the rules of vectors/dns/recursion.json. The
 * functions of server/ that the room calls are defined here, so that nothing of server/ is linked.
 */
#ifndef TESTS_DNS_WORLD_H
#define TESTS_DNS_WORLD_H

#include "unit/dns_vectors.h"

#include "dns/dns.h"
#include "dns/query.h"
#include "schema/entries.h"
#include "server/agent_cache.h"
#include "server/agent_tokens.h"
#include "server/endpoints.h"
#include "store/catalog.h"

struct world {
    struct arena arena;
    struct store *store;  /* of dc1 */
    struct store *dc2;    /* or NULL: the datacenter is not known */
    struct store *target; /* which of them is written to */
    uint64_t index;
    struct config_dns config;
    struct dns_options options;
    struct dns_site site;
    struct dns_worker worker;
    /* how calls are answered */
    bool deferred; /* not at once, but by world_run */
    struct call *waiting[64];
    unsigned waiting_count;
    struct dns_exchange *exchanges[64];
    unsigned exchange_count;
    const char *fail;     /* error text of all calls */
    const char *token;    /* the agent's default one now; NULL: none */
    struct str asked;     /* that of the last call, in the arena */
    int64_t last_contact; /* of the answers with allow_stale */
    unsigned calls;
    unsigned cancelled;
    uint32_t client; /* who asks: an IPv4 address in host order; 0: loopback */
    /* the answer to the last query */
    bool answered;
    struct str response;
    int answers_alive;
};
static struct world *the_world;

/* ---- what server/ would do ---- */

const struct endpoint endpoint_health_service_nodes = {.name = "Health.ServiceNodes"};
const struct endpoint endpoint_prepared_query_execute = {.name = "PreparedQuery.Execute"};
const struct endpoint endpoint_catalog_node_services = {.name = "Catalog.NodeServices"};
const struct endpoint endpoint_catalog_list_nodes = {.name = "Catalog.ListNodes"};
const struct endpoint endpoint_catalog_service_nodes = {.name = "Catalog.ServiceNodes"};

static void world_answer(struct call *c);
static void world_call(struct dns_worker *worker, struct call *c);
static void world_cancel(struct dns_worker *worker, struct call *c);
void call_start(struct server *server, struct call *c) {
    world_call(NULL, c);
}
void call_cancel(struct call *c, void (*freed)(void *owner)) {
    world_cancel(NULL, c);
    freed(c->owner);
}

struct agent_tokens *server_tokens(struct server *s) {
    return NULL;
}
struct str agent_token(struct agent_tokens *t, enum agent_token_kind kind, struct arena *arena) {
    assert_int_equal(kind, AGENT_TOKEN_DEFAULT);
    return str_from(the_world->token != NULL ? the_world->token : "");
}

bool agent_cache_is_used(const struct server *server) {
    return false;
}
struct agent_cache_ask *agent_cache_ask(struct server *server, const struct endpoint *endpoint,
                                        void *request, enum agent_cache_kind kind,
                                        agent_cache_done *done, void *owner) {
    fail_msg("no cache is used");
    return NULL;
}
void agent_cache_cancel(struct agent_cache_ask *ask) {
    fail_msg("no cache is used");
}
struct answer *answer_hold(struct answer *a) {
    a->references++;
    return a;
}

void answer_release(struct answer *a) {
    if (--a->references > 0) {
        return;
    }
    for (size_t i = 0; i < COUNT_OF(a->encoded); i++) {
        if (a->encoded[i] != NULL) {
            buf_free(a->encoded[i]);
            mem_free(a->encoded[i]);
        }
    }
    arena_free(&a->arena);
    mem_free(a);
    the_world->answers_alive--;
}

static inline void read_service_nodes(struct store_read *r, struct answer *a,
                                      const struct service_request *q) {
    struct indexed_check_service_nodes *out =
        ARENA_NEW(&a->arena, struct indexed_check_service_nodes);
    a->reply = out;
    if (q->service_name.len == 0) {
        error_set(&a->error, ERROR_INTERNAL, "Must provide service name");
    } else if (q->connect) {
        catalog_check_connect_nodes(r, q->service_name, &out->nodes);
    } else if (q->ingress) {
        catalog_check_ingress_nodes(r, q->service_name, &out->nodes);
    } else {
        catalog_check_service_nodes(r, q->service_name, q->tag_filter ? &q->service_tags : NULL,
                                    &out->nodes);
    }
}

static inline void read_other(struct store_read *r, struct answer *a, const struct call *c) {
    if (c->endpoint == &endpoint_catalog_node_services) {
        struct indexed_node_services *out = ARENA_NEW(&a->arena, struct indexed_node_services);
        const struct node_request *q = c->request;
        catalog_node_services_map(r, q->node, &out->node_services);
        a->reply = out;
    } else if (c->endpoint == &endpoint_catalog_list_nodes) {
        struct indexed_nodes *out = ARENA_NEW(&a->arena, struct indexed_nodes);
        catalog_nodes(r, NULL, &out->nodes);
        a->reply = out;
    } else {
        struct indexed_service_nodes *out = ARENA_NEW(&a->arena, struct indexed_service_nodes);
        const struct service_request *q = c->request;
        assert_ptr_equal(c->endpoint, &endpoint_catalog_service_nodes);
        catalog_address_nodes(r, q->service_address, &out->service_nodes);
        a->reply = out;
    }
}

static void world_answer(struct call *c) {
    struct world *w = the_world;
    struct answer *a = MEM_NEW(struct answer);
    struct store_read read;
    w->answers_alive++;
    a->references = 1;
    a->error = ERROR_IN(&a->arena);
    struct str datacenter;
    const struct query_options *options;
    if (c->endpoint == &endpoint_catalog_node_services) {
        datacenter = ((struct node_request *)c->request)->datacenter;
        options = &((struct node_request *)c->request)->options;
    } else if (c->endpoint == &endpoint_catalog_list_nodes) {
        datacenter = ((struct dc_request *)c->request)->datacenter;
        options = &((struct dc_request *)c->request)->options;
    } else {
        datacenter = ((struct service_request *)c->request)->datacenter;
        options = &((struct service_request *)c->request)->options;
    }
    bool stale = options->allow_stale;
    w->asked = str_copy(&w->arena, options->token);
    bool remote = w->dc2 != NULL && str_is(datacenter, "dc2");
    assert_true(store_read_begin(remote ? w->dc2 : w->store, &read, &a->arena, NULL, &a->error));
    if (w->fail != NULL) {
        error_set(&a->error, ERROR_INTERNAL, "%s", w->fail);
    } else if (!remote && !str_is(datacenter, "dc1")) {
        error_set(&a->error, ERROR_INTERNAL, "No path to datacenter");
    } else if (c->endpoint == &endpoint_health_service_nodes) {
        read_service_nodes(&read, a, c->request);
    } else {
        read_other(&read, a, c);
    }
    a->meta.last_contact = stale ? w->last_contact : 0;
    store_read_end(&read);
    c->answer = a;
    c->done(c);
}

static void world_call(struct dns_worker *worker, struct call *c) {
    the_world->calls++;
    if (the_world->deferred) {
        assert_true(the_world->waiting_count < COUNT_OF(the_world->waiting));
        the_world->waiting[the_world->waiting_count++] = c;
    } else {
        world_answer(c);
    }
}

static void world_cancel(struct dns_worker *worker, struct call *c) {
    struct world *w = the_world;
    for (unsigned i = 0; i < w->waiting_count; i++) {
        if (w->waiting[i] == c) {
            w->waiting[i] = w->waiting[--w->waiting_count];
            w->cancelled++;
            return;
        }
    }
    fail_msg("cancelled a call that does not wait");
}

/* ---- recursors, by the description in vectors/dns/recursion.json ---- */

static inline void add(struct dns_records *list, struct arena *a, struct str name, uint16_t type,
                       uint32_t ttl, struct str data) {
    *dns_records_add(list, a) = (struct dns_record){name, data, ttl, type, DNS_CLASS_IN};
}

static inline struct str ip4(struct arena *a, unsigned last) {
    return str_format(a, "%c%c%c%c", 192, 0, 2, last);
}

static inline void upstream_records(struct dns_exchange *x, bool first, struct dns_records *out,
                                    uint16_t *flags) {
    struct arena *a = x->arena;
    struct str name = x->question.name;
    struct str lower = dns_name_text(dns_name_lower(name, a), a);
    if (str_has_prefix(lower, STR("many."))) {
        for (unsigned i = 1; i <= 8; i++) {
            add(&out[DNS_ANSWER], a, name, DNS_TYPE_A, 77, ip4(a, i));
        }
    } else if (str_has_prefix(lower, STR("mix."))) {
        struct str alias = dns_name_from_text(STR("a.mixx.com"), a);
        add(&out[DNS_ANSWER], a, name, DNS_TYPE_CNAME, 11, alias);
        add(&out[DNS_ANSWER], a, alias, DNS_TYPE_A, 12, ip4(a, 3));
        add(&out[DNS_ANSWER], a, alias, DNS_TYPE_TXT, 13, STR("\3abc"));
        uint8_t six[16] = {0x20, 1, 0xd, 0xb8, [15] = 9};
        add(&out[DNS_ANSWER], a, alias, DNS_TYPE_AAAA, 14, str_copy(a, str_of(six, 16)));
    } else if (str_has_prefix(lower, STR("nx."))) {
        *flags |= DNS_NXDOMAIN;
        struct buf soa = BUF_INIT;
        buf_add(&soa, "\2ns\7example\3com\0\1h\7example\3com\0", 16 + 15);
        for (uint32_t i = 1; i <= 5; i++) {
            buf_add_be32(&soa, i);
        }
        add(&out[DNS_AUTHORITY], a, dns_name_from_text(STR("example.com"), a), DNS_TYPE_SOA, 30,
            str_copy(a, buf_str(&soa)));
        buf_free(&soa);
    } else if (str_has_prefix(lower, STR("tcpart.")) && x->transport == DNS_UDP) {
        *flags |= DNS_TC;
        add(&out[DNS_ANSWER], a, name, DNS_TYPE_A, 60, ip4(a, 1));
    } else if (str_has_prefix(lower, STR("big."))) {
        for (unsigned i = 1; i <= 100; i++) {
            add(&out[DNS_ANSWER], a, name, DNS_TYPE_A, 60, ip4(a, i));
        }
    } else if (str_has_prefix(lower, STR("auth."))) {
        *flags = (uint16_t)((*flags | DNS_AA) & ~DNS_RA);
        add(&out[DNS_ANSWER], a, name, DNS_TYPE_A, 60, ip4(a, 9));
    } else if (str_has_prefix(lower, STR("opt."))) {
        add(&out[DNS_ANSWER], a, name, DNS_TYPE_A, 60, ip4(a, 5));
        *dns_records_add(&out[DNS_ADDITIONAL], a) =
            (struct dns_record){STR("\0"), STR("\0\12\0\10abcdefgh"), 0x8000, DNS_TYPE_OPT, 1111};
    } else if (str_has_prefix(lower, STR("badq."))) {
        add(&out[DNS_ANSWER], a, dns_name_from_text(STR("other.com"), a), DNS_TYPE_A, 60,
            ip4(a, 6));
    } else {
        add(&out[DNS_ANSWER], a, name, DNS_TYPE_A, 30, ip4(a, first ? 1 : 2));
    }
}

static inline void upstream_answer(struct dns_exchange *x) {
    struct world *w = the_world;
    struct dns_message query;
    assert_true(dns_message_parse(x->message, &query, x->arena));
    assert_int_equal(query.header.id, x->id);
    bool first =
        x->recursor == &x->recursor[0] && str_has_prefix(x->recursor->text, STR("127.18.0.53"));
    struct str lower = dns_name_text(dns_name_lower(x->question.name, x->arena), x->arena);
    uint16_t flags = (uint16_t)(DNS_QR | DNS_RA | (query.header.flags & (DNS_RD | DNS_CD)));
    if (str_has_prefix(lower, STR("r1drop.")) && first) {
        x->error = STR("i/o timeout");
        x->done(x);
        return;
    }
    struct dns_records out[DNS_SECTIONS] = {{0}};
    if (str_has_prefix(lower, STR("servfail.")) ||
        (str_has_prefix(lower, STR("r1fail.")) && first)) {
        flags |= DNS_SERVFAIL;
    } else if (str_has_prefix(lower, STR("refused."))) {
        flags |= DNS_REFUSED;
    } else {
        upstream_records(x, first, out, &flags);
    }
    struct buf b = BUF_INIT;
    struct dns_writer writer;
    struct dns_question question = query.question;
    if (str_has_prefix(lower, STR("badq."))) {
        question.name = dns_name_from_text(STR("other.com"), x->arena);
    }
    /* As the fakes of the vectors: the question's names are lower case. */
    question.name = dns_name_lower(question.name, x->arena);
    dns_writer_init(&writer, &b, w->worker.compressor, x->id, flags);
    dns_write_question(&writer, &question);
    for (int s = 0; s < DNS_SECTIONS; s++) {
        for (uint32_t i = 0; i < out[s].len; i++) {
            if (dns_name_equal_fold(out[s].items[i].name, question.name)) {
                out[s].items[i].name = question.name;
            }
            dns_write_record(&writer, (enum dns_section)s, &out[s].items[i]);
        }
    }
    assert_true(dns_writer_end(&writer));
    size_t len = x->transport == DNS_UDP && b.len > x->size ? x->size : b.len;
    if (!dns_exchange_accept(x, str_of(b.data, len))) {
        x->ok = false;
        x->error = STR("i/o timeout");
    }
    buf_free(&b);
    x->done(x);
}

static inline void world_exchange(struct dns_exchange *x) {
    struct world *w = the_world;
    if (w->deferred) {
        w->exchanges[w->exchange_count++] = x;
    } else {
        upstream_answer(x);
    }
}

/* ---- the world ---- */

static inline void world_configure(struct world *w) {
    struct error e = ERROR_IN(&w->arena);
    struct dns_settings *s = dns_settings_new(&w->config, &e);
    assert_non_null(s);
    dns_settings_release(w->worker.settings);
    w->worker.settings = s;
}

static inline void world_defaults(struct world *w) {
    w->config = (struct config_dns){.domain = STR("consul."),
                                    .allow_stale = true,
                                    .udp_answer_limit = 3,
                                    .node_meta_txt = true,
                                    .max_stale = 87600 * HOUR,
                                    .recursor_timeout = 2 * SECOND,
                                    .soa = {3600, 600, 86400, 0}};
}

static inline struct world *world_open(void) {
    struct world *w = the_world = MEM_NEW(struct world);
    struct error e = ERROR_IN(&w->arena);
    struct store_options options = {.memory_only = true, .reader_threads = 4};
    w->store = w->target = store_open(&options, &e);
    assert_non_null(w->store);
    world_defaults(w);
    w->options = (struct dns_options){
        .node_name = STR("n1"), .datacenter = STR("dc1"), .settings = &w->config};
    assert_true(dns_site_init(&w->site, &w->options, &e));
    struct dns_settings *settings = dns_settings_new(&w->config, &e);
    assert_non_null(settings);
    dns_worker_init(&w->worker, &w->site, settings, NULL, NULL, 42);
    w->worker.call = world_call;
    w->worker.cancel = world_cancel;
    w->worker.exchange = world_exchange;
    return w;
}

static inline void world_close(struct world *w) {
    dns_worker_free(&w->worker);
    store_close(w->store);
    if (w->dc2 != NULL) {
        store_close(w->dc2);
    }
    assert_int_equal(w->answers_alive, 0);
    arena_free(&w->site.arena);
    arena_free(&w->arena);
    mem_free(w);
    the_world = NULL;
}

static inline void world_register(struct world *w, struct register_request *r) {
    struct error e = ERROR_IN(&w->arena);
    struct buf entry = BUF_INIT;
    struct store_result result;
    if (r->service != NULL && r->service->id.len == 0) {
        r->service->id = r->service->service;
    }
    if (r->service != NULL && r->service->weights == NULL) {
        r->service->weights = ARENA_NEW(&w->arena, struct weights);
        *r->service->weights = (struct weights){1, 1};
    }
    buf_add_char(&entry, ENTRY_REGISTER);
    schema_encode(&entry, &register_request_shape, r);
    struct store_batch *b = store_batch_begin(w->target, &e);
    assert_non_null(b);
    assert_true(store_apply(b, ++w->index, 1, buf_str(&entry), STR_NONE, &result, &e));
    if (result.kind == STORE_RESULT_ERROR) {
        fail_msg("register: %.*s", STR_ARG(result.error.text));
    }
    assert_true(store_batch_commit(b, NULL, &e));
    buf_free(&entry);
}

static inline void world_register_value(struct world *w, const struct value *body) {
    struct error e = ERROR_IN(&w->arena);
    struct register_request *r = ARENA_NEW(&w->arena, struct register_request);
    struct json_options options = {.ignore_unknown = true};
    if (!schema_from_json(body, &register_request_shape, r, &options, &w->arena, &e)) {
        fail_msg("register: %.*s", STR_ARG(e.text));
    }
    world_register(w, r);
}

static inline void world_register_json(struct world *w, const char *text) {
    struct value *v = ARENA_NEW(&w->arena, struct value);
    struct error e = ERROR_IN(&w->arena);
    assert_true(json_parse_whole(str_from(text), v, &w->arena, &e));
    world_register_value(w, v);
}

static inline void world_op(struct world *w, const struct value *op) {
    const struct value *n = value_get(op, "Node"), *s = value_get(op, "Service");
    struct register_request *r = ARENA_NEW(&w->arena, struct register_request);
    struct error e = ERROR_IN(&w->arena);
    struct json_options options = {.ignore_unknown = true};
    if (n != NULL) {
        struct node node = {0};
        assert_true(
            schema_from_json(value_get(n, "Node"), &node_shape, &node, &options, &w->arena, &e));
        r->node = node.node;
        r->address = node.address;
        r->node_meta = node.meta;
    } else {
        r->node = value_text(s, "Node");
        r->skip_node_update = true;
        r->address = STR("ignored");
        r->service = ARENA_NEW(&w->arena, struct node_service);
        assert_true(schema_from_json(value_get(s, "Service"), &node_service_shape, r->service,
                                     &options, &w->arena, &e));
    }
    world_register(w, r);
}

#ifdef TEST_VECTORS
/* The catalog of the vectors: catalog.json without prepared queries and config entries, and the
 * agent's own node. */
static inline void world_load_agent(struct world *w, const char *node, const char *ip,
                                    const char *meta) {
    char text[1024];
    snprintf(text, sizeof(text),
             "{\"Node\": \"%s\", \"Address\": \"%s\", \"NodeMeta\": {%s"
             "\"consul-network-segment\": \"\"}, \"TaggedAddresses\": {\"lan\": \"%s\","
             "\"lan_ipv4\": \"%s\", \"wan\": \"%s\", \"wan_ipv4\": \"%s\"},"
             "\"Service\": {\"ID\": \"consul\", \"Service\": \"consul\", \"Port\": 24206},"
             "\"Check\": {\"Node\": \"%s\", \"CheckID\": \"serfHealth\", \"Name\": \"Serf\","
             "\"Status\": \"passing\"}}",
             node, ip, meta, ip, ip, ip, ip, node);
    world_register_json(w, text);
}

static inline void world_load_catalog(struct world *w) {
    world_load_agent(w, "n1", "127.18.0.1", "\"env\": \"prod\",");
    const struct value *requests =
        value_get(vectors_json(&w->arena, "dns/catalog.json"), "requests");
    for (size_t i = 0; i < requests->list.len; i++) {
        const struct value *r = &requests->list.items[i], *body = value_get(r, "body");
        struct str path = value_text(r, "path");
        if (str_is(path, "/v1/catalog/register")) {
            world_register_value(w, body);
        } else if (str_is(path, "/v1/txn")) {
            for (size_t k = 0; k < body->list.len; k++) {
                world_op(w, &body->list.items[k]);
            }
        }
    }
}

#endif

/* ---- queries ---- */

static inline void world_answered(struct dns_query *q) {
    struct world *w = q->owner;
    assert_false(w->answered);
    w->answered = true;
    w->response = q->response.len == 0 ? STR_NONE : str_copy(&w->arena, buf_str(&q->response));
    dns_query_release(q);
}

/* What was deferred, until nothing waits. */
static inline void world_run(struct world *w) {
    while (w->waiting_count > 0 || w->exchange_count > 0) {
        if (w->waiting_count > 0) {
            world_answer(w->waiting[--w->waiting_count]);
        } else {
            upstream_answer(w->exchanges[--w->exchange_count]);
        }
    }
}

static inline struct str world_ask(struct world *w, enum dns_transport transport,
                                   struct str bytes) {
    struct sockaddr_in client = {.sin_family = AF_INET,
                                 .sin_port = 4000,
                                 .sin_addr.s_addr =
                                     htonl(w->client != 0 ? w->client : INADDR_LOOPBACK)};
    struct dns_query *q = dns_query_take(&w->worker);
    assert_non_null(q);
    w->answered = false;
    dns_query_start(q, transport, bytes, (struct sockaddr *)&client, world_answered, w);
    world_run(w);
    assert_true(w->answered);
    assert_null(w->worker.running);
    return w->response;
}

/* A query with RD for a name in text. edns: size, or 0 for none. */
static inline struct dns_message world_query(struct world *w, enum dns_transport transport,
                                             const char *name, uint16_t type, uint16_t edns) {
    struct buf b = BUF_INIT;
    struct dns_writer writer;
    struct dns_question q = {dns_name_from_text(str_from(name), &w->arena), type, DNS_CLASS_IN};
    dns_writer_init(&writer, &b, NULL, 0x1234, DNS_RD);
    dns_write_question(&writer, &q);
    if (edns != 0) {
        struct dns_record opt = {STR("\0"), STR_NONE, 0, DNS_TYPE_OPT, edns};
        dns_write_record(&writer, DNS_ADDITIONAL, &opt);
    }
    assert_true(dns_writer_end(&writer));
    struct str response = world_ask(w, transport, buf_str(&b));
    buf_free(&b);
    struct dns_message m = {0};
    if (response.data != NULL) {
        assert_true(dns_message_parse(response, &m, &w->arena));
    }
    return m;
}

static inline unsigned rcode_of(const struct dns_message *m) {
    return m->header.flags & DNS_RCODE_MASK;
}

#endif
