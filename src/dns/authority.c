/* SOA and NS of the domain, whatever name below it was asked for (dns.md 7.6, 7.7): the servers are
 * the instances of the service "consul" in our own datacenter.
 */
#include "base/log.h"
#include "codec/ip.h"
#include "dns/query.h"
#include "server/endpoints.h"

#define SERVERS_MAX 3

static bool is_ns_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '\\';
}

static bool is_ns_name(struct str node) {
    for (size_t i = 0; i < node.len; i++) {
        if (!is_ns_character(node.data[i])) {
            return false;
        }
    }
    return node.len > 0;
}

static bool is_healthy(const struct dns_lookup *l, const struct check_service_node *csn) {
    for (uint32_t i = 0; i < csn->checks.len; i++) {
        const struct health_check *check = LIST_AT(csn->checks, struct health_check *, i);
        if (str_is(check->status, "critical") ||
            (l->query->settings->only_passing && !str_is(check->status, "passing"))) {
            return false;
        }
    }
    return csn->node != NULL;
}

static void walk(struct dns_lookup *l);

static void after_resolve(struct dns_lookup *l) {
    for (uint32_t i = 0; i < l->resolve.records.len; i++) {
        *dns_records_add(&l->sections[DNS_ADDITIONAL], &l->query->arena) =
            l->resolve.records.items[i];
    }
    if (!l->walking) {
        walk(l);
    }
}

/* The glue: address or name chain of the node. True when it is complete. */
static bool add_glue(struct dns_lookup *l, const struct node *node, struct str owner) {
    const struct dns_site *site = l->query->worker->site;
    uint32_t ttl = l->query->settings->node_ttl;
    struct str address =
        dns_pick_node(node, DNS_PICK_ANY, dns_is_remote(site, l->parsed.datacenter));
    uint8_t ip[16];
    unsigned family = ip_parse(address, ip);
    if (family != 0) {
        dns_lookup_add_ip(l, DNS_ADDITIONAL, owner, ttl, family, ip);
        return true;
    }
    struct str name = dns_name_from_text(address, &l->query->arena);
    if (name.len <= 1) {
        return true;
    }
    dns_lookup_add(l, DNS_ADDITIONAL, owner, DNS_TYPE_CNAME, ttl, name);
    dns_resolve_start(l, name, after_resolve);
    return l->resolve.finished;
}

static void walk(struct dns_lookup *l) {
    const struct dns_site *site = l->query->worker->site;
    const struct indexed_check_service_nodes *reply = l->kept->reply;
    enum dns_section section = l->question.type == DNS_TYPE_NS ? DNS_ANSWER : DNS_AUTHORITY;
    struct arena *arena = &l->query->arena;
    l->walking = true;
    while (l->next < l->count && l->given < SERVERS_MAX) {
        uint32_t at = l->next + (uint32_t)prng_below(&l->query->worker->random, l->count - l->next);
        uint32_t chosen = l->order[at];
        l->order[at] = l->order[l->next];
        l->order[l->next++] = chosen;
        const struct check_service_node *csn =
            &LIST_AT(reply->nodes, struct check_service_node, chosen);
        if (!is_healthy(l, csn)) {
            continue;
        }
        if (!is_ns_name(csn->node->node)) {
            log_at(LOG_WARN, "agent.dns", "Skipping invalid node for NS records",
                   LOG_S("node", csn->node->node));
            continue;
        }
        struct str target = dns_node_target(site, csn->node->node, l->parsed.datacenter, arena);
        if (target.data == NULL) {
            continue;
        }
        target = dns_name_lower(target, arena);
        dns_lookup_add(l, section, site->domain, DNS_TYPE_NS, l->query->settings->node_ttl, target);
        l->given++;
        if (!add_glue(l, csn->node, target)) {
            l->walking = false;
            return;
        }
    }
    l->walking = false;
    if (l->given == 0) {
        log_at(LOG_WARN, "agent.dns", "no servers found");
    }
    dns_lookup_finish(l);
}

static void after_call(struct dns_lookup *l) {
    if (error_is_set(&l->answer->error)) {
        log_at(LOG_WARN, "agent.dns", "Unable to get list of servers",
               LOG_S("error", l->answer->error.text));
        dns_lookup_finish(l);
        return;
    }
    l->kept = l->answer;
    l->answer = NULL;
    const struct indexed_check_service_nodes *reply = l->kept->reply;
    l->count = reply->nodes.len;
    l->order = arena_alloc(&l->query->arena, l->count * sizeof(*l->order));
    for (uint32_t i = 0; i < l->count; i++) {
        l->order[i] = i;
    }
    walk(l);
}

void dns_authority_start(struct dns_lookup *l) {
    if (l->question.type == DNS_TYPE_SOA) {
        dns_lookup_add_soa(l, DNS_ANSWER);
    }
    l->parsed.datacenter = l->query->worker->site->datacenter;
    l->request.service =
        (struct service_request){.datacenter = l->parsed.datacenter, .service_name = STR("consul")};
    dns_lookup_call(l, &endpoint_health_service_nodes, &l->request.service,
                    &l->request.service.options, after_call);
}
