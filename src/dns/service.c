/* Look-ups of a service's instances: service, connect, ingress (dns.md 7.2), and query (7.3).
 *
 * The walk goes over the healthy instances in random order (over those of a prepared query in the
 * endpoint's order) and adds their records. It stops at each
 * name that must be resolved and goes on when that is done; it ends early when what would follow is
 * cut off anyway, which is what makes an answer of 3 from 300 instances cheap.
 */
#include <arpa/inet.h>

#include "dns/query.h"
#include "server/endpoints.h"

static const struct dns_instance *take_next(struct dns_lookup *l) {
    if (l->chosen) {
        return &l->instances->items[l->order[l->next++]];
    }
    uint32_t left = l->count - l->next;
    uint32_t at = l->next + (uint32_t)prng_below(&l->query->worker->random, left);
    uint32_t chosen = l->order[at];
    l->order[at] = l->order[l->next];
    l->order[l->next++] = chosen;
    return &l->instances->items[chosen];
}

/* Whether it counts: what a prepared query gave, always. */
static bool is_wanted(const struct dns_lookup *l, const struct dns_instance *instance) {
    return l->chosen ||
           (!instance->critical && (!l->query->settings->only_passing || instance->passing));
}

/* More than that many answers need not be collected: the first `lim` stay, and that there was one
 * more is all that trimming wants to know (dns.md 9). */
static uint32_t answers_needed(const struct dns_lookup *l) {
    uint32_t limit = l->query->settings->udp_answer_limit;
    if (l->transport == DNS_TCP || (l->has_edns && l->edns_size > 512)) {
        return UINT32_MAX;
    }
    return (limit < 8 ? limit : 8) + 1;
}

/* Nor are answers beyond this size (counted low): the reply is then cut to what fits, and that does
 * not depend on what was behind. */
static size_t bytes_needed(const struct dns_lookup *l) {
    size_t max = l->has_edns && l->edns_size > 512 ? l->edns_size : 512;
    return l->transport == DNS_TCP ? SIZE_MAX : max + 100;
}

static void finish(struct dns_lookup *l) {
    if (l->healthy == 0) {
        dns_lookup_finish_rcode(l, DNS_NXDOMAIN);
        return;
    }
    dns_trim(l);
    if (l->sections[DNS_ANSWER].len == 0 && !l->truncated) {
        dns_lookup_add_soa(l, DNS_AUTHORITY);
    }
    dns_lookup_finish(l);
}

/* What was resolved for a name: addresses and further names, with the service's TTL. */
static void add_resolved(struct dns_lookup *l, enum dns_section section) {
    uint32_t room = l->has_edns ? UINT32_MAX : 5;
    for (uint32_t i = 0; i < l->resolve.records.len && room > 0; i++) {
        const struct dns_record *r = &l->resolve.records.items[i];
        if (r->type != DNS_TYPE_CNAME && r->type != DNS_TYPE_A && r->type != DNS_TYPE_AAAA) {
            continue;
        }
        struct dns_record *added = dns_records_add(&l->sections[section], &l->query->arena);
        *added = *r;
        added->ttl = l->ttl;
        room--;
    }
}

/* ---- addresses ---- */

static void after_name(struct dns_lookup *l) {
    add_resolved(l, DNS_ANSWER);
    finish(l);
}

static bool has_answer_ip(const struct dns_lookup *l, const uint8_t *ip, unsigned family) {
    const struct dns_records *answer = &l->sections[DNS_ANSWER];
    size_t len = family == 4 ? 4 : 16;
    for (uint32_t i = 0; i < answer->len; i++) {
        if (answer->items[i].data.len == len && memcmp(answer->items[i].data.data, ip, len) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the instance's name is just what was asked: then its node's address is meant. */
static bool names_itself(const struct dns_lookup *l, const struct dns_instance *instance) {
    return instance->node_family != 0 &&
           dns_name_equal(dns_instances_name(l->instances, instance->target), l->question.name);
}

static void add_address(struct dns_lookup *l, const struct dns_instance *instance) {
    unsigned family = instance->family;
    const uint8_t *ip = instance->ip;
    if (instance->kind == INSTANCE_NAME) {
        if (!names_itself(l, instance)) {
            if (l->named == UINT32_MAX) {
                l->named = (uint32_t)(instance - l->instances->items);
            }
            return;
        }
        family = instance->node_family;
        ip = instance->node_ip;
        l->scan = true;
    } else if (instance->kind == INSTANCE_SKIP || l->seen[instance->same_address]) {
        return;
    } else {
        l->seen[instance->same_address] = 1;
    }
    if (dns_ip_fits(l->question.type, family) && !(l->scan && has_answer_ip(l, ip, family))) {
        dns_lookup_add_ip(l, DNS_ANSWER, l->question.name, l->ttl, family, ip);
        l->given++;
    }
}

static void collect_addresses(struct dns_lookup *l) {
    const struct dns_settings *settings = l->query->settings;
    uint32_t needed = answers_needed(l);
    size_t enough = bytes_needed(l);
    if (settings->a_record_limit > 0 && settings->a_record_limit < needed) {
        needed = settings->a_record_limit;
    }
    while (l->next < l->count && l->given < needed && l->given * (size_t)16 <= enough) {
        const struct dns_instance *instance = take_next(l);
        if (!is_wanted(l, instance)) {
            continue;
        }
        l->healthy++;
        add_address(l, instance);
    }
    if (l->given > 0 || l->named == UINT32_MAX) {
        finish(l);
        return;
    }
    struct str name = dns_instances_name(l->instances, l->instances->items[l->named].target);
    dns_lookup_add(l, DNS_ANSWER, l->question.name, DNS_TYPE_CNAME, l->ttl, name);
    dns_resolve_start(l, name, after_name);
}

/* ---- SRV ---- */

static void add_node_meta(struct dns_lookup *l, const struct dns_instance *instance) {
    if (!l->query->settings->node_meta_txt || instance->node_target == DNS_NO_NAME) {
        return;
    }
    struct str owner = dns_instances_name(l->instances, instance->node_target);
    const char *p = (const char *)l->instances + l->instances->names + instance->meta;
    for (uint16_t i = 0; i < instance->meta_count; i++) {
        struct str data = {p + 2, be16_get(p)};
        dns_lookup_add(l, DNS_ADDITIONAL, owner, DNS_TYPE_TXT, l->ttl, data);
        p += 2 + data.len;
    }
}

/* The record; false when the instance has none or had it already. */
static bool add_srv(struct dns_lookup *l, const struct dns_instance *instance, struct str *target) {
    if (instance->kind == INSTANCE_SKIP || l->seen[instance->same_endpoint]) {
        return false;
    }
    uint32_t name = instance->target;
    if (instance->kind == INSTANCE_NAME && names_itself(l, instance)) {
        name = instance->node_target;
    }
    if (name == DNS_NO_NAME) {
        return false; /* a node's name that cannot be encoded: the peer never answers (dns.md 15) */
    }
    l->seen[instance->same_endpoint] = 1;
    *target = dns_instances_name(l->instances, name);
    char *data = arena_alloc(&l->query->arena, 6 + target->len);
    be16_put(data, 1);
    be16_put(data + 2, instance->weight);
    be16_put(data + 4, instance->port);
    memcpy(data + 6, target->data, target->len);
    dns_lookup_add(l, DNS_ANSWER, l->question.name, DNS_TYPE_SRV, l->ttl,
                   (struct str){data, 6 + target->len});
    l->bytes += 12 + 6 + target->len;
    l->given++;
    return true;
}

static void collect_srv(struct dns_lookup *l);

static void after_target(struct dns_lookup *l) {
    add_resolved(l, DNS_ADDITIONAL);
    add_node_meta(l, &l->instances->items[l->order[l->next - 1]]);
    if (!l->walking) {
        collect_srv(l);
    }
}

static void collect_srv(struct dns_lookup *l) {
    uint32_t needed = answers_needed(l);
    size_t enough = bytes_needed(l);
    l->walking = true;
    while (l->next < l->count && l->given < needed && l->bytes <= enough) {
        const struct dns_instance *instance = take_next(l);
        struct str target;
        if (!is_wanted(l, instance)) {
            continue;
        }
        l->healthy++;
        if (!add_srv(l, instance, &target)) {
            continue;
        }
        if (instance->kind == INSTANCE_NAME && !names_itself(l, instance)) {
            dns_resolve_start(l, target, after_target);
            if (!l->resolve.finished) {
                l->walking = false;
                return;
            }
            continue;
        }
        bool own = instance->kind == INSTANCE_IP;
        dns_lookup_add_ip(l, DNS_ADDITIONAL, target, l->ttl,
                          own ? instance->family : instance->node_family,
                          own ? instance->ip : instance->node_ip);
        add_node_meta(l, instance);
    }
    l->walking = false;
    finish(l);
}

/* nodes: in the kept answer. */
static void start_walk(struct dns_lookup *l, const struct list *nodes, struct str datacenter) {
    struct arena *arena = &l->query->arena;
    l->instances = dns_instances_of(l->kept, nodes, l->query->worker->site,
                                    dns_pick_for(l->question.type), datacenter);
    l->count = l->instances->count;
    l->order = arena_alloc(arena, l->count * sizeof(*l->order));
    for (uint32_t i = 0; i < l->count; i++) {
        l->order[i] = i;
    }
    l->seen = arena_zalloc(arena, l->count, 1);
    l->named = UINT32_MAX;
    if (l->question.type == DNS_TYPE_SRV) {
        collect_srv(l);
    } else {
        collect_addresses(l);
    }
}

static void after_call(struct dns_lookup *l) {
    if (error_is_set(&l->answer->error)) {
        dns_lookup_finish_error(l, &l->answer->error);
        return;
    }
    l->kept = l->answer;
    l->answer = NULL;
    const struct indexed_check_service_nodes *reply = l->kept->reply;
    start_walk(l, &reply->nodes, l->parsed.datacenter);
}

void dns_service_start(struct dns_lookup *l) {
    struct arena *arena = &l->query->arena;
    l->ttl = dns_settings_service_ttl(l->query->settings, l->parsed.name);
    l->request.service = (struct service_request){
        .datacenter = l->parsed.datacenter,
        .service_name = l->parsed.name,
        .connect = l->parsed.kind == LOOKUP_CONNECT,
        .ingress = l->parsed.kind == LOOKUP_INGRESS,
    };
    if (l->parsed.tag.len > 0) {
        l->request.service.tag_filter = true;
        l->request.service.service_tags = LIST_NEW(arena, struct str, 1);
        LIST_AT(l->request.service.service_tags, struct str, 0) = l->parsed.tag;
    }
    dns_lookup_call(l, &endpoint_health_service_nodes, &l->request.service,
                    &l->request.service.options, after_call);
}

/* ---- prepared queries ---- */

/* The TTL that the query was given, in whole seconds; otherwise that of its service. */
static uint32_t query_ttl(const struct dns_lookup *l,
                          const struct prepared_query_execute_response *reply) {
    int64_t ttl = 0;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    bool own = reply->dns.ttl.len > 0 && duration_parse(reply->dns.ttl, &ttl, &e);
    struct str name = str_lower(&arena, reply->service);
    uint32_t seconds =
        own ? (uint32_t)(ttl / SECOND) : dns_settings_service_ttl(l->query->settings, name);
    arena_free(&arena);
    return seconds;
}

static void after_query(struct dns_lookup *l) {
    const struct error *e = &l->answer->error;
    if (error_is_set(e)) {
        bool absent = str_find(e->text, STR("Query not found"), 0) >= 0 ||
                      str_find(e->text, STR("No path to datacenter"), 0) >= 0;
        dns_lookup_finish_rcode(l, absent ? DNS_NXDOMAIN : DNS_SERVFAIL);
        return;
    }
    l->kept = l->answer;
    l->answer = NULL;
    const struct prepared_query_execute_response *reply = l->kept->reply;
    l->chosen = true;
    l->ttl = query_ttl(l, reply);
    start_walk(l, &reply->nodes, reply->datacenter);
}

/* Whose distance counts for `near=_ip`: the address that the client's resolver gave, or its own. */
static struct str source_ip(struct dns_query *q) {
    char text[INET6_ADDRSTRLEN];
    const void *ip;
    int family = AF_INET;
    if (q->has_edns && q->edns.has_subnet) {
        ip = q->edns.subnet_address;
        family = q->edns.subnet_family == 2 ? AF_INET6 : AF_INET;
    } else if (q->client.ss_family == AF_INET6) {
        ip = &((const struct sockaddr_in6 *)&q->client)->sin6_addr;
        family = AF_INET6;
    } else {
        ip = &((const struct sockaddr_in *)&q->client)->sin_addr;
    }
    return inet_ntop(family, ip, text, sizeof(text)) == NULL ? STR("")
                                                             : str_copy(&q->arena, str_from(text));
}

void dns_prepared_query_start(struct dns_lookup *l) {
    const struct dns_site *site = l->query->worker->site;
    l->request.query = (struct prepared_query_execute_request){
        .datacenter = l->parsed.datacenter,
        .query_id_or_name = l->parsed.name,
        .agent = {.datacenter = site->datacenter, .node = site->node_name},
        .source = {.datacenter = site->datacenter, .ip = source_ip(l->query)},
    };
    dns_lookup_call(l, &endpoint_prepared_query_execute, &l->request.query,
                    &l->request.query.options, after_query);
}
