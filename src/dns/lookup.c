/* What all look-ups share: the calls to endpoints and what is made of their errors, the records of
 * the reply, and the choice of the kind of look-up.
 */
#include "dns/query.h"

#include "base/log.h"
#include "base/metrics.h"
#include "server/agent_tokens.h"
#include "server/server.h"

void dns_lookup_init(struct dns_lookup *l, struct dns_query *q,
                     const struct dns_question *question) {
    *l = (struct dns_lookup){.query = q, .question = *question, .retry_stale = true};
    l->resolve.lookup = l;
    l->next_in_query = q->lookups;
    q->lookups = l;
}

void dns_lookup_finish(struct dns_lookup *l) {
    l->done(l);
}

void dns_lookup_finish_rcode(struct dns_lookup *l, enum dns_rcode rcode) {
    l->rcode = (uint16_t)rcode;
    if (rcode == DNS_NXDOMAIN) {
        dns_lookup_add_soa(l, DNS_AUTHORITY);
    }
    dns_lookup_finish(l);
}

void dns_lookup_finish_error(struct dns_lookup *l, const struct error *e) {
    if (str_find(e->text, STR("No path to datacenter"), 0) >= 0) {
        dns_lookup_finish_rcode(l, DNS_NXDOMAIN);
        return;
    }
    log_at(LOG_ERROR, "agent.dns", "rpc error", LOG_S("error", e->text));
    dns_lookup_finish_rcode(l, DNS_SERVFAIL);
}

struct dns_record *dns_lookup_add(struct dns_lookup *l, enum dns_section section, struct str owner,
                                  uint16_t type, uint32_t ttl, struct str data) {
    struct dns_record *r = dns_records_add(&l->sections[section], &l->query->arena);
    *r = (struct dns_record){owner, data, ttl, type, DNS_CLASS_IN};
    return r;
}

void dns_lookup_add_ip(struct dns_lookup *l, enum dns_section section, struct str owner,
                       uint32_t ttl, unsigned family, const uint8_t *ip) {
    size_t len = family == 4 ? 4 : 16;
    dns_lookup_add(l, section, owner, family == 4 ? DNS_TYPE_A : DNS_TYPE_AAAA, ttl,
                   (struct str){arena_copy(&l->query->arena, ip, len), len});
}

void dns_lookup_add_soa(struct dns_lookup *l, enum dns_section section) {
    const struct dns_site *site = l->query->worker->site;
    const struct dns_settings *s = l->query->settings;
    size_t names = site->ns_name.len + site->hostmaster.len;
    char *data = arena_alloc(&l->query->arena, names + 20);
    memcpy(data, site->ns_name.data, site->ns_name.len);
    memcpy(data + site->ns_name.len, site->hostmaster.data, site->hostmaster.len);
    be32_put(data + names, (uint32_t)(time_now_wall() / SECOND));
    be32_put(data + names + 4, s->soa_refresh);
    be32_put(data + names + 8, s->soa_retry);
    be32_put(data + names + 12, s->soa_expire);
    be32_put(data + names + 16, s->soa_min_ttl);
    dns_lookup_add(l, section, site->domain, DNS_TYPE_SOA, s->soa_min_ttl,
                   (struct str){data, names + 20});
}

/* ---- calls ---- */

/* Answers of a server that has not heard of the leader for too long are asked for again (dns.md
 * 10). */
static bool too_stale(struct dns_lookup *l) {
    int64_t age = l->call.answer->meta.last_contact;
    if (!l->retry_stale || !l->options->allow_stale || error_is_set(&l->call.answer->error)) {
        return false;
    }
    if (age > l->query->settings->max_stale) {
        log_at(LOG_WARN, "agent.dns", "Query results too stale, re-requesting");
        return true;
    }
    if (age > 5 * SECOND) {
        metric_count("dns.stale_queries", 1);
    }
    return false;
}

static void answered(struct call *c) {
    struct dns_lookup *l = c->owner;
    l->calling = false;
    if (too_stale(l)) {
        answer_release(c->answer);
        c->answer = NULL;
        l->options->allow_stale = false;
        l->bypass_cache = true;
        l->calling = true;
        l->query->worker->call(l->query->worker, c);
        return;
    }
    if (l->answer != NULL) {
        answer_release(l->answer);
    }
    l->answer = c->answer;
    c->answer = NULL;
    l->then(l); /* which may be the end of the query */
}

/* Of the variants of one question, ours: what is kept with the answer (instance.c, reverse.c) is
 * not what HTTP keeps. */
#define DNS_VARIANT 0x444e5300u

void dns_lookup_call(struct dns_lookup *l, const struct endpoint *endpoint, void *request,
                     struct query_options *options, void (*then)(struct dns_lookup *l)) {
    struct dns_worker *w = l->query->worker;
    options->allow_stale = l->query->settings->allow_stale;
    options->token = agent_token(server_tokens(w->server), AGENT_TOKEN_DEFAULT, &l->query->arena);
    l->options = options;
    l->then = then;
    l->call.endpoint = endpoint;
    l->call.arena = &l->query->arena;
    l->call.request = request;
    l->call.done = answered;
    l->call.owner = l;
    l->call.variant = DNS_VARIANT;
    l->calling = true;
    w->call(w, &l->call);
}

/* ---- kinds ---- */

static int hex_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The address is in the name itself (dns.md 7.4). */
static void look_up_address(struct dns_lookup *l) {
    struct str hex = l->parsed.name;
    uint8_t ip[16] = {0};
    size_t bytes = hex.len / 2;
    if (bytes != 4 && bytes != 16) {
        dns_lookup_finish(l);
        return;
    }
    bool good = hex.len % 2 == 0;
    for (size_t i = 0; good && i < bytes; i++) {
        int high = hex_value(hex.data[2 * i]), low = hex_value(hex.data[2 * i + 1]);
        good = high >= 0 && low >= 0;
        ip[i] = (uint8_t)(high * 16 + low);
    }
    if (!good) {
        dns_lookup_finish_rcode(l, DNS_NXDOMAIN);
        return;
    }
    /* The owner is in the primary domain, whichever was asked. */
    const struct dns_site *site = l->query->worker->site;
    struct str owner = dns_name_lower(l->question.name, &l->query->arena);
    if (!dns_name_is_below(owner, site->domain) ||
        (site->alt_domain.len > site->domain.len && dns_name_is_below(owner, site->alt_domain))) {
        size_t own = owner.len - site->alt_domain.len;
        char *first = arena_alloc(&l->query->arena, own + 1);
        memcpy(first, owner.data, own);
        first[own] = 0;
        owner = dns_name_join((struct str){first, own + 1}, site->domain, &l->query->arena);
    }
    if (owner.data != NULL) {
        dns_lookup_add_ip(l, DNS_ANSWER, owner, l->query->settings->node_ttl, bytes == 4 ? 4 : 6,
                          ip);
    }
    dns_lookup_finish(l);
}

/* The name without the domain, for the log. */
static struct str name_in_domain(struct dns_lookup *l) {
    const struct dns_site *site = l->query->worker->site;
    struct arena *arena = &l->query->arena;
    struct str name = dns_name_lower(l->question.name, arena);
    struct str text = dns_name_text(name, arena);
    struct str domain = dns_name_text(
        dns_name_is_below(name, site->domain) ? site->domain : site->alt_domain, arena);
    return str_sub(text, 0, text.len - domain.len);
}

void dns_lookup_start(struct dns_lookup *l) {
    dns_name_take_apart(l->query->worker->site, l->question.name, l->question.type, &l->parsed,
                        &l->query->arena);
    switch (l->parsed.kind) {
    case LOOKUP_NODE:
        dns_node_start(l);
        return;
    case LOOKUP_SERVICE:
    case LOOKUP_CONNECT:
    case LOOKUP_INGRESS:
        dns_service_start(l);
        return;
    case LOOKUP_ADDRESS:
        look_up_address(l);
        return;
    case LOOKUP_QUERY:
        dns_prepared_query_start(l);
        return;
    case LOOKUP_INVALID:
        log_at(LOG_WARN, "agent.dns", "QName invalid", LOG_S("qname", name_in_domain(l)));
        dns_lookup_finish_rcode(l, DNS_NXDOMAIN);
        return;
    }
}
