/* One client's query from its bytes to the reply's: what is accepted (dns.md 2), who answers which
 * name (4), the reply's header and OPT record (3).
 */
#include "dns/query.h"

#include <arpa/inet.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "dns/budget.h"
#include "server/agent_cache.h"
#include "server/endpoints.h"

#define ARENA_KEPT ((size_t)16 << 10)
#define RESPONSE_KEPT ((size_t)8 << 10)

/* ---- the worker ---- */

static void from_agent_cache(void *owner, struct answer *answer, bool hit, int64_t age) {
    struct dns_lookup *l = owner;
    (void)age;
    l->ask = NULL;
    l->call.answer = answer;
    log_at(LOG_TRACE, "agent.dns", "cache results", LOG_B("cache_hit", hit),
           LOG_S("endpoint", str_from(l->call.endpoint->name)));
    l->call.done(&l->call);
}

/* What the peer asks of its cache (dns.md 10); a server agent has the state at hand. */
static bool ask_cache(struct dns_worker *w, struct dns_lookup *l) {
    const struct endpoint *endpoint = l->call.endpoint;
    bool is_query = endpoint == &endpoint_prepared_query_execute;
    if (!l->query->settings->use_cache || l->bypass_cache || !agent_cache_is_used(w->server) ||
        (!is_query && endpoint != &endpoint_catalog_node_services &&
         endpoint != &endpoint_health_service_nodes))
        return false;
    l->options->max_age = l->query->settings->cache_max_age;
    l->ask =
        agent_cache_ask(w->server, endpoint, l->call.request,
                        is_query ? AGENT_CACHE_PLAIN : AGENT_CACHE_REFRESHED, from_agent_cache, l);
    return true;
}

static void call_server(struct dns_worker *w, struct call *c) {
    if (!ask_cache(w, CONTAINER_OF(c, struct dns_lookup, call)))
        call_start(w->server, c);
}

static void ignore_freed(void *owner) {
    (void)owner;
}

static void cancel_server(struct dns_worker *w, struct call *c) {
    struct dns_lookup *l = CONTAINER_OF(c, struct dns_lookup, call);
    (void)w;
    if (l->ask != NULL) {
        agent_cache_cancel(l->ask);
        l->ask = NULL;
        return;
    }
    call_cancel(c,
                ignore_freed); /* reads are never with the core: nothing is under way after this */
}

void dns_worker_init(struct dns_worker *w, const struct dns_site *site,
                     struct dns_settings *settings, struct server *server, struct loop *loop,
                     uint64_t seed) {
    *w = (struct dns_worker){.site = site,
                             .settings = settings,
                             .compressor = dns_compressor_new(),
                             .budget = dns_budget_new(seed),
                             .loop = loop,
                             .server = server,
                             .call = call_server,
                             .cancel = cancel_server,
                             .exchange = dns_exchange_start};
    prng_seed(&w->random, seed);
}

void dns_worker_free(struct dns_worker *w) {
    ASSERT(w->running == NULL);
    while (w->idle != NULL) {
        struct dns_query *q = w->idle;
        w->idle = q->next;
        arena_free(&q->arena);
        buf_free(&q->response);
        mem_free(q);
    }
    dns_settings_release(w->settings);
    dns_compressor_free(w->compressor);
    dns_budget_free(w->budget);
    buf_free(&w->scratch);
    mem_free(w->receive_buffer);
}

struct dns_query *dns_query_take(struct dns_worker *w) {
    if (w->running_count >= DNS_QUERIES_MAX) {
        return NULL;
    }
    struct dns_query *q = w->idle;
    if (q != NULL) {
        w->idle = q->next;
        w->idle_count--;
    } else {
        q = MEM_NEW(struct dns_query);
        q->arena = ARENA_INIT;
    }
    q->worker = w;
    q->settings = dns_settings_hold(w->settings);
    q->lookups = NULL;
    q->exchange = NULL;
    q->finished = false;
    q->previous = NULL;
    q->next = w->running;
    if (q->next != NULL) {
        q->next->previous = q;
    }
    w->running = q;
    w->running_count++;
    return q;
}

static void stop_lookup(struct dns_lookup *l, bool cancel) {
    struct dns_worker *w = l->query->worker;
    if (cancel) {
        if (l->calling) {
            w->cancel(w, &l->call);
        }
        if (l->resolve.exchange != NULL) {
            dns_exchange_cancel(l->resolve.exchange);
        }
    }
    if (l->answer != NULL) {
        answer_release(l->answer);
    }
    if (l->kept != NULL) {
        answer_release(l->kept);
    }
}

void dns_query_release(struct dns_query *q) {
    struct dns_worker *w = q->worker;
    for (struct dns_lookup *l = q->lookups, *next; l != NULL; l = next) {
        next = l->next_in_query;
        stop_lookup(l, !q->finished);
    }
    if (q->exchange != NULL) {
        dns_exchange_cancel(q->exchange);
    }
    dns_settings_release(q->settings);
    if (q->previous != NULL) {
        q->previous->next = q->next;
    } else {
        w->running = q->next;
    }
    if (q->next != NULL) {
        q->next->previous = q->previous;
    }
    w->running_count--;
    if (w->idle_count >= DNS_IDLE_MAX) {
        arena_free(&q->arena);
        buf_free(&q->response);
        mem_free(q);
        return;
    }
    arena_reset(&q->arena, ARENA_KEPT);
    if (q->response.cap > RESPONSE_KEPT) {
        buf_free(&q->response);
    }
    buf_clear(&q->response);
    q->lookups = NULL;
    q->next = w->idle;
    w->idle = q;
    w->idle_count++;
}

/* ---- logs and metrics ---- */

struct str dns_sockaddr_text(const struct sockaddr_storage *a, struct arena *arena) {
    char ip[INET6_ADDRSTRLEN] = "";
    if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
        inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
        return str_format(arena, "[%s]:%u", ip, ntohs(v6->sin6_port));
    }
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
    return str_format(arena, "%s:%u", ip, ntohs(v4->sin_port));
}

struct str dns_client_text(struct dns_query *q) {
    return dns_sockaddr_text(&q->client, &q->arena);
}

struct str dns_question_text(const struct dns_question *q, struct arena *arena) {
    return str_format(arena, "{" STR_FMT " %u %u}", STR_ARG(dns_name_text(q->name, arena)), q->type,
                      q->class);
}

static void measure(const struct dns_query *q, const char *metric, int64_t took) {
    const struct metric_label labels[] = {{"node", q->worker->site->node_name}, {NULL, STR_NONE}};
    metric_add(METRIC_SAMPLE, metric, (double)took / (double)MILLISECOND, labels);
}

static void log_domain(struct dns_query *q, int64_t took) {
    const struct dns_question *question = &q->request.question;
    log_at(LOG_DEBUG, "agent.dns", "request served from client",
           LOG_S("name", dns_name_text(question->name, &q->arena)),
           LOG_S("type", dns_type_text(question->type, &q->arena)),
           LOG_S("class", dns_class_text(question->class, &q->arena)),
           LOG_S("latency", duration_format(&q->arena, took)), LOG_S("client", dns_client_text(q)),
           LOG_C("client_network", q->transport == DNS_TCP ? "tcp" : "udp"));
}

static void log_question(struct dns_query *q, int64_t took, bool forwarded) {
    struct str question = dns_question_text(&q->request.question, &q->arena);
    const char *network = q->transport == DNS_TCP ? "tcp" : "udp";
    struct str latency = duration_format(&q->arena, took);
    if (forwarded) {
        log_at(LOG_DEBUG, "agent.dns", "request served from client", LOG_S("question", question),
               LOG_C("network", network), LOG_S("latency", latency),
               LOG_S("client", dns_client_text(q)), LOG_C("client_network", network));
    } else {
        log_at(LOG_DEBUG, "agent.dns", "request served from client", LOG_S("question", question),
               LOG_S("latency", latency), LOG_S("client", dns_client_text(q)),
               LOG_C("client_network", network));
    }
}

static void note_served(struct dns_query *q) {
    if (q->served == 0) {
        return;
    }
    int64_t took = time_now_monotonic() - q->started;
    bool debug = LOG_DEBUG >= atomic_load_explicit(&log_threshold, memory_order_relaxed);
    if ((q->served & SERVED_DOMAIN) != 0) {
        measure(q, "dns.domain_query", took);
        if (debug) {
            log_domain(q, took);
        }
    }
    if ((q->served & SERVED_FORWARDED) != 0 && debug) {
        log_question(q, took, true);
    }
    if ((q->served & SERVED_REVERSE) != 0) {
        measure(q, "dns.ptr_query", took);
        if (debug) {
            log_question(q, took, false);
        }
    }
}

/* ---- the reply ---- */

static void finish(struct dns_query *q) {
    q->finished = true;
    note_served(q);
    q->done(q); /* may release it */
}

static void finish_without_answer(struct dns_query *q) {
    buf_clear(&q->response);
    finish(q);
}

/* Opcode, and with a query RD and CD, as they came (dns.md 3). */
static uint16_t reply_flags(const struct dns_query *q) {
    unsigned flags = q->request.header.flags;
    unsigned opcode = flags & DNS_OPCODE_MASK;
    unsigned kept = opcode == 0 ? DNS_OPCODE_MASK | DNS_RD | DNS_CD : DNS_OPCODE_MASK;
    return (uint16_t)(DNS_QR | (flags & kept));
}

static void begin_reply(struct dns_query *q, struct dns_writer *w, unsigned flags) {
    struct dns_compressor *compressor = q->settings->compress ? q->worker->compressor : NULL;
    buf_clear(&q->response);
    dns_writer_init(w, &q->response, compressor, q->request.header.id, (uint16_t)flags);
}

static void add_edns(struct dns_query *q, struct dns_writer *w, unsigned rcode) {
    if (!q->has_edns) {
        return;
    }
    bool own_scope =
        q->lookup.parsed.kind == LOOKUP_QUERY && (rcode < DNS_SERVFAIL || rcode > DNS_REFUSED);
    struct dns_record opt =
        dns_edns_record(&q->edns, own_scope ? q->edns.subnet_mask : 0, &q->arena);
    dns_write_record(w, DNS_ADDITIONAL, &opt);
}

/* Too large an answer for whoever may have forged his address: only the question, with TC. */
static bool cut_reply(struct dns_query *q) {
    unsigned flags = be16_get(q->response.data + 2) | DNS_TC;
    struct dns_writer w;
    metric_count("dns.udp_answers_cut", 1);
    begin_reply(q, &w, flags);
    dns_write_question(&w, &q->request.question);
    add_edns(q, &w, flags & DNS_RCODE_MASK);
    return dns_writer_end(&w);
}

static bool is_too_much(struct dns_query *q) {
    return q->transport == DNS_UDP && q->response.len > DNS_BUDGET_FREE &&
           !dns_budget_take(q->worker->budget, &q->client, q->response.len, q->started);
}

static void end_reply(struct dns_query *q, struct dns_writer *w) {
    bool whole = dns_writer_end(w);
    if (whole && is_too_much(q)) {
        whole = cut_reply(q);
    }
    if (!whole) {
        log_at(LOG_WARN, "agent.dns", "failed to respond",
               LOG_C("error", "dns: message too large"));
        finish_without_answer(q);
        return;
    }
    finish(q);
}

/* The table of dns.md 2: a header, and the question where it had been read. */
static void finish_refusing(struct dns_query *q, enum dns_rcode rcode, bool with_question) {
    unsigned flags = q->request.header.flags;
    unsigned kept = DNS_RD | DNS_TC | DNS_RA | DNS_AD | DNS_CD;
    if (rcode != DNS_FORMERR) {
        kept |= DNS_OPCODE_MASK;
    }
    struct dns_writer w;
    begin_reply(q, &w, DNS_QR | (flags & kept) | rcode);
    if (with_question) {
        dns_write_question(&w, &q->request.question);
    }
    end_reply(q, &w);
}

/* Question and OPT only. */
static void finish_empty(struct dns_query *q, unsigned flags, bool edns) {
    struct dns_writer w;
    begin_reply(q, &w, reply_flags(q) | flags);
    dns_write_question(&w, &q->request.question);
    if (edns) {
        add_edns(q, &w, flags & DNS_RCODE_MASK);
    }
    end_reply(q, &w);
}

void dns_query_finish_unresolved(struct dns_query *q) {
    finish_empty(q, DNS_RA | DNS_SERVFAIL, true);
}

void dns_query_finish_forwarded(struct dns_query *q, const struct dns_message *reply) {
    struct dns_writer w;
    begin_reply(q, &w, reply->header.flags);
    dns_write_question(&w, &q->request.question);
    for (int s = 0; s < DNS_SECTIONS; s++) {
        for (uint32_t i = 0; i < reply->sections[s].len; i++) {
            dns_write_record(&w, (enum dns_section)s, &reply->sections[s].items[i]);
        }
    }
    end_reply(q, &w);
}

void dns_query_finish(struct dns_query *q) {
    struct dns_lookup *l = &q->lookup;
    unsigned flags = reply_flags(q) | DNS_AA | l->rcode;
    if (q->settings->recursor_count > 0) {
        flags |= DNS_RA;
    }
    if (l->truncated) {
        flags |= DNS_TC;
    }
    struct dns_writer w;
    begin_reply(q, &w, flags);
    dns_write_question(&w, &l->question);
    for (int s = 0; s < DNS_SECTIONS; s++) {
        for (uint32_t i = 0; i < l->sections[s].len; i++) {
            dns_write_record(&w, (enum dns_section)s, &l->sections[s].items[i]);
        }
    }
    add_edns(q, &w, l->rcode);
    end_reply(q, &w);
}

/* ---- routing ---- */

static void lookup_done(struct dns_lookup *l) {
    dns_query_finish(l->query);
}

static void begin_lookup(struct dns_query *q) {
    struct dns_lookup *l = &q->lookup;
    dns_lookup_init(l, q, &q->request.question);
    l->transport = q->transport;
    l->has_edns = q->has_edns;
    l->edns_size = q->edns.size;
    l->depth = DNS_DEPTH;
    l->done = lookup_done;
}

static void start_domain(struct dns_query *q) {
    begin_lookup(q);
    switch (q->request.question.type) {
    case DNS_TYPE_SOA:
    case DNS_TYPE_NS:
        dns_authority_start(&q->lookup);
        return;
    case DNS_TYPE_AXFR:
        dns_lookup_finish_rcode(&q->lookup, DNS_NOTIMP);
        return;
    default:
        dns_lookup_start(&q->lookup);
        return;
    }
}

/* The most specific zone that has the name decides (dns.md 4). */
static void route(struct dns_query *q) {
    const struct dns_site *site = q->worker->site;
    const struct dns_question *question = &q->request.question;
    static const struct str arpa = STR_INIT("\4arpa\0");
    bool recursors = q->settings->recursor_count > 0;
    size_t domain = 0, reverse = dns_name_is_below(question->name, arpa) ? arpa.len : 0;
    if (dns_name_is_below(question->name, site->domain)) {
        domain = site->domain.len;
    }
    if (site->alt_domain.len > domain && dns_name_is_below(question->name, site->alt_domain)) {
        domain = site->alt_domain.len;
    }
    if (recursors && (question->type == DNS_TYPE_DS || (domain == 0 && reverse == 0))) {
        q->lookup.parsed.kind = LOOKUP_INVALID;
        q->served = SERVED_FORWARDED;
        dns_forward_start(q);
    } else if (domain == 0 && reverse == 0) {
        finish_empty(q, DNS_REFUSED, false);
    } else if (domain >= reverse) {
        q->served = SERVED_DOMAIN;
        start_domain(q);
    } else {
        q->served = SERVED_REVERSE;
        begin_lookup(q);
        dns_reverse_start(&q->lookup);
    }
}

void dns_query_start(struct dns_query *q, enum dns_transport transport, struct str bytes,
                     const struct sockaddr *client, void (*done)(struct dns_query *q),
                     void *owner) {
    q->transport = transport;
    q->done = done;
    q->owner = owner;
    q->started = time_now_monotonic();
    q->resolves = 0;
    q->recursor = 0;
    q->served = 0;
    q->has_edns = false;
    memcpy(&q->client, client,
           client->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                         : sizeof(struct sockaddr_in));
    struct dns_header *h = &q->request.header;
    struct dns_writer w;
    if (!dns_header_parse(bytes, h) || (h->flags & DNS_QR) != 0) {
        finish_without_answer(q);
        return;
    }
    unsigned opcode = (h->flags & DNS_OPCODE_MASK) >> DNS_OPCODE_SHIFT;
    if (opcode != DNS_OPCODE_QUERY && opcode != DNS_OPCODE_NOTIFY) {
        finish_refusing(q, DNS_NOTIMP, false);
        return;
    }
    if (h->questions != 1 || h->records[DNS_ANSWER] > 1 || h->records[DNS_AUTHORITY] > 1 ||
        h->records[DNS_ADDITIONAL] > 2) {
        finish_refusing(q, DNS_FORMERR, false);
        return;
    }
    if (bytes.len == DNS_HEADER_SIZE) {
        begin_reply(q, &w, reply_flags(q) | DNS_REFUSED);
        end_reply(q, &w);
        return;
    }
    q->bytes = str_copy(&q->arena, bytes);
    if (!dns_message_parse(q->bytes, &q->request, &q->arena)) {
        finish_refusing(q, DNS_FORMERR, q->request.has_question);
        return;
    }
    q->has_edns = dns_edns_get(&q->request, &q->edns);
    route(q);
}
