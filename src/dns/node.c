/* Look-ups of a node (dns.md 7.1): its address, or what is behind the name that is given as its
 * address, and its metadata as text.
 */
#include "codec/ip.h"
#include "dns/query.h"
#include "server/endpoints.h"

/* The text of the pair, before it is read as zone-file text (RFC 1464). */
static struct str pair_text(struct str key, struct str value, struct arena *arena) {
    if (key.len >= 8 && str_eq_fold(str_sub(key, 0, 8), STR("rfc1035-"))) {
        return value;
    }
    size_t first = 0, last = key.len; /* of what is no blank at either end */
    while (first < key.len && (key.data[first] == ' ' || key.data[first] == '\t')) {
        first++;
    }
    while (last > first && (key.data[last - 1] == ' ' || key.data[last - 1] == '\t')) {
        last--;
    }
    char *out = arena_alloc(arena, 2 * key.len + 1 + 2 * value.len);
    size_t n = 0;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.data[i];
        if (c == '`' || c == '=' || i < first || i >= last) {
            out[n++] = '`';
        }
        out[n++] = c;
    }
    out[n++] = '=';
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] == '`') {
            out[n++] = '`';
        }
        out[n++] = value.data[i];
    }
    return (struct str){out, n};
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* "\DDD" is a byte, "\x" is x, a backslash at the end is dropped. */
static struct str unescape(struct str text, struct arena *arena) {
    if (text.len == 0 || memchr(text.data, '\\', text.len) == NULL) {
        return text;
    }
    char *out = arena_alloc(arena, text.len);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *p = text.data + i;
        if (*p != '\\') {
            out[n++] = *p;
        } else if (text.len - i > 3 && is_digit(p[1]) && is_digit(p[2]) && is_digit(p[3])) {
            out[n++] = (char)((p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0'));
            i += 3;
        } else if (i + 1 < text.len) {
            out[n++] = p[1];
            i++;
        }
    }
    return (struct str){out, n};
}

struct str dns_meta_text(struct str key, struct str value, struct arena *arena) {
    struct str text = unescape(pair_text(key, value, arena), arena);
    /* The peer cannot send more than 255 bytes and never answers (dns.md 15); a record may have
     * several strings, which readers join. */
    uint8_t *out = arena_alloc(arena, text.len + text.len / 255 + 1);
    size_t n = 0;
    do {
        size_t part = text.len < 255 ? text.len : 255;
        out[n++] = (uint8_t)part;
        if (part > 0) {
            memcpy(out + n, text.data, part);
        }
        n += part;
        text = str_sub(text, part, SIZE_MAX);
    } while (text.len > 0);
    return (struct str){(const char *)out, n};
}

static void add_meta(struct dns_lookup *l, enum dns_section section) {
    const struct indexed_node_services *reply = l->kept->reply;
    const struct list *meta = &reply->node_services->node->meta;
    for (uint32_t i = 0; i < meta->len; i++) {
        const struct str_pair *pair = &LIST_AT(*meta, struct str_pair, i);
        struct str data = dns_meta_text(pair->key, pair->value, &l->query->arena);
        if (data.len <= UINT16_MAX) {
            dns_lookup_add(l, section, l->question.name, DNS_TYPE_TXT, l->query->settings->node_ttl,
                           data);
        }
    }
}

static void finish(struct dns_lookup *l) {
    if (l->question.type == DNS_TYPE_TXT || l->question.type == DNS_TYPE_ANY) {
        add_meta(l, DNS_ANSWER);
    } else if (l->query->settings->node_meta_txt) {
        add_meta(l, DNS_ADDITIONAL);
    }
    dns_lookup_finish(l);
}

static void after_resolve(struct dns_lookup *l) {
    for (uint32_t i = 0; i < l->resolve.records.len; i++) {
        *dns_records_add(&l->sections[DNS_ANSWER], &l->query->arena) = l->resolve.records.items[i];
    }
    finish(l);
}

static void after_call(struct dns_lookup *l) {
    const struct dns_site *site = l->query->worker->site;
    if (error_is_set(&l->answer->error)) {
        dns_lookup_finish_error(l, &l->answer->error);
        return;
    }
    const struct indexed_node_services *reply = l->answer->reply;
    if (reply->node_services == NULL || reply->node_services->node == NULL) {
        dns_lookup_finish_rcode(l, DNS_NXDOMAIN);
        return;
    }
    l->kept = l->answer;
    l->answer = NULL;
    if (l->question.type == DNS_TYPE_TXT) {
        finish(l);
        return;
    }
    struct str address = dns_pick_node(reply->node_services->node, dns_pick_for(l->question.type),
                                       dns_is_remote(site, l->parsed.datacenter));
    uint8_t ip[16];
    unsigned family = ip_parse(address, ip);
    struct str name = family != 0 ? STR_NONE : dns_name_from_text(address, &l->query->arena);
    uint32_t ttl = l->query->settings->node_ttl;
    if (family != 0 && dns_ip_fits(l->question.type, family)) {
        dns_lookup_add_ip(l, DNS_ANSWER, l->question.name, ttl, family, ip);
    } else if (name.len > 1) {
        dns_lookup_add(l, DNS_ANSWER, l->question.name, DNS_TYPE_CNAME, ttl, name);
        dns_resolve_start(l, name, after_resolve);
        return;
    }
    finish(l);
}

void dns_node_start(struct dns_lookup *l) {
    switch (l->question.type) {
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
    case DNS_TYPE_ANY:
    case DNS_TYPE_TXT:
        break;
    default:
        dns_lookup_finish(l);
        return; /* no look-up at all: also for unknown nodes */
    }
    l->request.node =
        (struct node_request){.datacenter = l->parsed.datacenter, .node = l->parsed.name};
    dns_lookup_call(l, &endpoint_catalog_node_services, &l->request.node, &l->request.node.options,
                    after_call);
}
