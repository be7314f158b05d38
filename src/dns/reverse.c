/* Reverse names (dns.md 7.8): the node, else the service, that has the address. What is not found
 * goes to the recursors. The type asked for does not matter.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/ip.h"
#include "dns/query.h"
#include "server/endpoints.h"

/* The addresses of all nodes, sorted; made once for each answer of the endpoint. */
struct address_entry {
    uint8_t family;
    uint8_t ip[16];
    uint32_t index; /* of the node, in the catalog's order */
};

static int by_address(const void *a, const void *b) {
    const struct address_entry *x = a, *y = b;
    int diff = memcmp(x, y, offsetof(struct address_entry, index));
    return diff != 0 ? diff : x->index < y->index ? -1 : x->index > y->index;
}

static const struct buf *addresses_of(struct answer *answer) {
    if (answer->encoded[0] != NULL) {
        return answer->encoded[0];
    }
    const struct indexed_nodes *reply = answer->reply;
    struct buf *out = MEM_NEW(struct buf);
    for (uint32_t i = 0; i < reply->nodes.len; i++) {
        const struct node *node = LIST_AT(reply->nodes, struct node *, i);
        struct address_entry entry;
        memset(&entry, 0, sizeof(entry)); /* padding is compared */
        entry.family = (uint8_t)ip_parse(node->address, entry.ip);
        entry.index = i;
        if (entry.family != 0) {
            buf_add(out, &entry, sizeof(entry));
        }
    }
    if (out->len > 0) {
        qsort(out->data, out->len / sizeof(struct address_entry), sizeof(struct address_entry),
              by_address);
    }
    answer->encoded[0] = out;
    return out;
}

/* The first node, in the catalog's order, with that address. */
static const struct node *find_node(struct answer *answer, unsigned family, const uint8_t ip[16]) {
    const struct buf *list = addresses_of(answer);
    const struct address_entry *entries = (const struct address_entry *)(const void *)list->data;
    struct address_entry key;
    memset(&key, 0, sizeof(key));
    key.family = (uint8_t)family;
    memcpy(key.ip, ip, 16);
    size_t low = 0, high = list->len / sizeof(*entries), count = high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_address(&entries[middle], &key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == count || memcmp(&entries[low], &key, offsetof(struct address_entry, index)) != 0) {
        return NULL;
    }
    const struct indexed_nodes *reply = answer->reply;
    return LIST_AT(reply->nodes, struct node *, entries[low].index);
}

/* A decimal label without leading zeros. */
static bool parse_octet(struct str label, uint8_t *out) {
    uint64_t n;
    if (label.len == 0 || label.len > 3 || (label.len > 1 && label.data[0] == '0') ||
        !str_to_u64(label, &n) || n > 255) {
        return false;
    }
    *out = (uint8_t)n;
    return true;
}

static bool parse_nibble(struct str label, uint8_t *out) {
    char c = label.len == 1 ? label.data[0] : 0;
    if (c >= '0' && c <= '9') {
        *out = (uint8_t)(c - '0');
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        *out = (uint8_t)((c | 0x20) - 'a' + 10);
    } else {
        return false;
    }
    return true;
}

/* 4 or 6; 0: no whole address. */
static unsigned parse_reverse(struct str name, uint8_t ip[16]) {
    unsigned labels = dns_name_labels(name);
    struct str rest = name, label;
    memset(ip, 0, 16);
    if (labels == 6) {
        for (int i = 3; i >= 0; i--) {
            if (!dns_name_next(&rest, &label) || !parse_octet(label, &ip[i])) {
                return 0;
            }
        }
        return dns_name_equal_fold(rest, STR("\7in-addr\4arpa\0")) ? 4 : 0;
    }
    if (labels != 34) {
        return 0;
    }
    for (int i = 31; i >= 0; i--) {
        uint8_t nibble;
        if (!dns_name_next(&rest, &label) || !parse_nibble(label, &nibble)) {
            return 0;
        }
        ip[i / 2] |= (uint8_t)(i % 2 == 1 ? nibble : nibble << 4);
    }
    return dns_name_equal_fold(rest, STR("\3ip6\4arpa\0")) ? 6 : 0;
}

/* As the catalog has it; ::ffff:a.b.c.d is written as IPv4. */
static struct str address_text(unsigned family, const uint8_t ip[16], struct arena *arena) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[INET6_ADDRSTRLEN];
    bool v4 = family == 4 || memcmp(ip, mapped, sizeof(mapped)) == 0;
    inet_ntop(v4 ? AF_INET : AF_INET6, family == 6 && v4 ? ip + 12 : ip, text, sizeof(text));
    return str_copy(arena, str_from(text));
}

static void found(struct dns_lookup *l, struct str target) {
    if (target.data == NULL) {
        dns_forward_start(l->query);
        return;
    }
    dns_lookup_add(l, DNS_ANSWER, l->question.name, DNS_TYPE_PTR, 0, target);
    if (l->question.type == DNS_TYPE_SOA) {
        dns_lookup_add_soa(l, DNS_AUTHORITY);
    }
    dns_lookup_finish(l);
}

static struct str service_target(struct dns_lookup *l, struct str service) {
    const struct dns_site *site = l->query->worker->site;
    struct arena *arena = &l->query->arena;
    struct str text =
        str_format(arena, STR_FMT ".service." STR_FMT, STR_ARG(service), STR_ARG(site->datacenter));
    struct str name = dns_name_from_text(text, arena);
    return name.data == NULL ? name : dns_name_join(name, site->domain, arena);
}

static void after_services(struct dns_lookup *l) {
    const struct indexed_service_nodes *reply = l->answer->reply;
    if (!error_is_set(&l->answer->error)) {
        for (uint32_t i = 0; i < reply->service_nodes.len; i++) {
            const struct service_node *sn = LIST_AT(reply->service_nodes, struct service_node *, i);
            if (str_eq(sn->service_address, l->request.service.service_address)) {
                found(l, service_target(l, sn->service_name));
                return;
            }
        }
    }
    dns_forward_start(l->query);
}

static void after_nodes(struct dns_lookup *l) {
    const struct dns_site *site = l->query->worker->site;
    uint8_t ip[16];
    unsigned family = parse_reverse(l->question.name, ip);
    if (!error_is_set(&l->answer->error)) {
        const struct node *node = find_node(l->answer, family, ip);
        if (node != NULL) {
            found(l, dns_node_target(site, node->node, site->datacenter, &l->query->arena));
            return;
        }
    }
    l->request.service = (struct service_request){
        .datacenter = site->datacenter,
        .service_address = address_text(family, ip, &l->query->arena),
    };
    dns_lookup_call(l, &endpoint_catalog_service_nodes, &l->request.service,
                    &l->request.service.options, after_services);
}

void dns_reverse_start(struct dns_lookup *l) {
    uint8_t ip[16];
    if (parse_reverse(l->question.name, ip) == 0) {
        dns_forward_start(l->query);
        return;
    }
    l->request.dc = (struct dc_request){.datacenter = l->query->worker->site->datacenter};
    l->retry_stale = false;
    dns_lookup_call(l, &endpoint_catalog_list_nodes, &l->request.dc, &l->request.dc.options,
                    after_nodes);
}
