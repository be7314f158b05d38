/* Names in the domain taken apart: which kind of look-up, of what, in which datacenter (dns.md 5).
 */
#include "dns/query.h"

#define LABELS_MAX 128

static const struct {
    const char *label;
    enum dns_lookup_kind kind;
} kinds[] = {
    {"service", LOOKUP_SERVICE}, {"node", LOOKUP_NODE},   {"connect", LOOKUP_CONNECT},
    {"ingress", LOOKUP_INGRESS}, {"query", LOOKUP_QUERY}, {"addr", LOOKUP_ADDRESS},
};

static enum dns_lookup_kind kind_of(struct str label) {
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (str_is(label, kinds[i].label)) {
            return kinds[i].kind;
        }
    }
    return LOOKUP_INVALID;
}

/* Lower case and escaped, as everything is compared (dns.md 2). Returns the number of labels. */
static unsigned split(struct str name, unsigned domain_labels, struct str labels[LABELS_MAX],
                      struct arena *arena) {
    unsigned n = 0;
    struct str label;
    name = dns_name_lower(name, arena);
    while (dns_name_next(&name, &label)) {
        bool plain = true;
        for (size_t i = 0; i < label.len; i++) {
            char c = label.data[i];
            plain &= (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        }
        labels[n++] = plain ? label : dns_label_text(label, arena);
    }
    return n > domain_labels ? n - domain_labels : 0;
}

static struct str join(const struct str *labels, unsigned count, struct arena *arena) {
    if (count == 1) {
        return labels[0];
    }
    size_t len = count == 0 ? 0 : count - 1;
    for (unsigned i = 0; i < count; i++) {
        len += labels[i].len;
    }
    char *out = arena_alloc(arena, len);
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        if (i > 0) {
            out[at++] = '.';
        }
        memcpy(out + at, labels[i].data, labels[i].len);
        at += labels[i].len;
    }
    return (struct str){out, len};
}

static bool has_underscore(struct str label) {
    return label.len > 0 && label.data[0] == '_';
}

static struct str without_underscore(struct str label) {
    return str_sub(label, 1, SIZE_MAX);
}

static void take_service(struct dns_parsed *out, const struct str *parts, unsigned count,
                         struct arena *arena) {
    if (count == 2 && has_underscore(parts[0]) && has_underscore(parts[1])) { /* RFC 2782 */
        out->name = without_underscore(parts[0]);
        out->tag = without_underscore(parts[1]);
        if (str_is(out->tag, "tcp")) {
            out->tag = STR_NONE;
        }
        return;
    }
    out->name = parts[count - 1];
    out->tag = count > 1 ? join(parts, count - 1, arena) : STR_NONE;
}

/* The labels left of the kind. */
static void take_parts(struct dns_parsed *out, const struct str *parts, unsigned count,
                       struct arena *arena) {
    switch (out->kind) {
    case LOOKUP_NODE:
    case LOOKUP_QUERY:
        out->name = join(parts, count, arena);
        return;
    case LOOKUP_SERVICE:
        take_service(out, parts, count, arena);
        return;
    case LOOKUP_CONNECT:
    case LOOKUP_INGRESS:
        out->name = parts[count - 1];
        return;
    case LOOKUP_ADDRESS:
        out->name = parts[0];
        if (count != 1) {
            out->kind = LOOKUP_INVALID;
        }
        return;
    case LOOKUP_INVALID:
        return;
    }
}

void dns_name_take_apart(const struct dns_site *site, struct str name, uint16_t type,
                         struct dns_parsed *out, struct arena *arena) {
    struct str labels[LABELS_MAX];
    *out = (struct dns_parsed){.kind = LOOKUP_INVALID, .datacenter = site->datacenter};
    bool below = dns_name_is_below(name, site->domain);
    bool below_alt = site->alt_domain.data != NULL && dns_name_is_below(name, site->alt_domain);
    bool use_alt = below_alt && (!below || site->alt_domain.len > site->domain.len);
    unsigned n =
        split(name, dns_name_labels(use_alt ? site->alt_domain : site->domain), labels, arena);
    for (unsigned i = n; i > 0; i--) {
        unsigned parts = i - 1, suffix = n - i;
        out->kind = kind_of(labels[i - 1]);
        if (out->kind == LOOKUP_INVALID && type == DNS_TYPE_SRV && has_underscore(labels[i - 1])) {
            out->kind = LOOKUP_SERVICE;
            parts = i;
        }
        if (out->kind == LOOKUP_INVALID) {
            continue;
        }
        if (parts == 0 || (suffix > 1 && out->kind != LOOKUP_ADDRESS)) {
            out->kind = LOOKUP_INVALID;
            return;
        }
        if (suffix == 1) {
            out->datacenter = labels[n - 1];
        }
        take_parts(out, labels, parts, arena);
        return;
    }
}
