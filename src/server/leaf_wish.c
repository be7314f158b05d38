/* Wishes for certificates: copied, told apart, and made requests. See leaf.h. */
#include "base/mem.h"
#include "server/ca_name.h"
#include "server/leaf.h"

/* ---- requests ---- */

static struct str agent_id(const struct leaf_wish *w, struct str trust_domain, struct spiffe_id *id,
                           struct arena *arena) {
    bool service = w->service.len > 0;
    *id = (struct spiffe_id){.kind = service ? SPIFFE_SERVICE : SPIFFE_AGENT,
                             .host = trust_domain,
                             .namespace = STR("default"),
                             .datacenter = w->datacenter,
                             .name = service ? w->service : w->agent};
    return spiffe_format(id, arena);
}

/* The two that every agent has, then its own. */
static struct list with_first(const struct str *first, uint32_t count, const struct list *rest,
                              struct arena *arena) {
    struct list out = LIST_NEW(arena, struct str, count + rest->len);
    for (uint32_t i = 0; i < out.len; i++) {
        LIST_AT(out, struct str, i) = i < count ? first[i] : LIST_AT(*rest, struct str, i - count);
    }
    return out;
}

struct str leaf_csr(const struct leaf_wish *w, struct str trust_domain, EVP_PKEY *key,
                    struct arena *arena) {
    struct spiffe_id id;
    struct ca_names names = {.uris = LIST_NEW(arena, struct str, 1)};
    LIST_AT(names.uris, struct str, 0) = agent_id(w, trust_domain, &id, arena);
    if (w->service.len == 0) {
        struct str host = STR("localhost");
        struct str own[] = {STR("\x7f\0\0\1"), STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1")};
        names.dns = with_first(&host, 1, &w->dns, arena);
        names.ips = with_first(own, 2, &w->ips, arena);
    } else {
        names.dns = w->dns;
        names.ips = w->ips;
    }
    return ca_csr_new(key, spiffe_common_name(&id, arena), &names, false, arena);
}

/* ---- as values ---- */

void leaf_wish_copy(struct leaf_wish *to, const struct leaf_wish *from, struct arena *arena) {
    *to = *from;
    to->service = str_copy(arena, from->service);
    to->agent = str_copy(arena, from->agent);
    to->token = str_copy(arena, from->token);
    to->datacenter = str_copy(arena, from->datacenter);
    to->key_type = str_copy(arena, from->key_type);
    to->dns = with_first(NULL, 0, &from->dns, arena);
    to->ips = with_first(NULL, 0, &from->ips, arena);
    for (uint32_t i = 0; i < to->dns.len; i++) {
        LIST_AT(to->dns, struct str, i) = str_copy(arena, LIST_AT(to->dns, struct str, i));
    }
    for (uint32_t i = 0; i < to->ips.len; i++) {
        LIST_AT(to->ips, struct str, i) = str_copy(arena, LIST_AT(to->ips, struct str, i));
    }
}

static void add_part(struct buf *out, struct str part) {
    buf_add_be32(out, (uint32_t)part.len);
    buf_add_str(out, part);
}

struct str leaf_wish_key(const struct leaf_wish *w, struct arena *arena) {
    struct buf out = BUF_INIT;
    add_part(&out, w->service);
    add_part(&out, w->agent);
    add_part(&out, w->token);
    add_part(&out, w->datacenter);
    for (uint32_t i = 0; i < w->dns.len; i++) {
        add_part(&out, LIST_AT(w->dns, struct str, i));
    }
    for (uint32_t i = 0; i < w->ips.len; i++) {
        add_part(&out, LIST_AT(w->ips, struct str, i));
    }
    struct str key = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return key;
}

void leaf_wish_complete(struct leaf_wish *w, struct str datacenter) {
    if (w->datacenter.len == 0) {
        w->datacenter = datacenter;
    }
    if (w->key_type.len == 0) {
        w->key_type = STR("ec");
        w->key_bits = 256;
    }
}
