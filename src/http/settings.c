/* What http_config and its neighbours mean for each request (http-core.md 7), made once for a
 * configuration.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/mem.h"
#include "http/room.h"

/* First letter of each dash-separated part upper, the rest lower (http-core.md 1.3). */
static void add_canonical(struct buf *out, struct str name) {
    bool upper = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (upper && c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        else if (!upper && c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        buf_add_char(out, c);
        upper = c == '-';
    }
}

static void add_header(struct buf *out, struct str name, struct str value) {
    if (!http_is_token(name))
        return; /* would break the message apart */
    add_canonical(out, name);
    buf_add_text(out, ": ");
    for (size_t i = 0; i < value.len; i++)
        buf_add_char(out, value.data[i] == '\r' || value.data[i] == '\n' ? ' ' : value.data[i]);
    buf_add_text(out, "\r\n");
}

static const char *header_value(struct arena *arena, struct str value) {
    char *text = arena_alloc(arena, value.len + 1);
    for (size_t i = 0; i < value.len; i++)
        text[i] = value.data[i] == '\r' || value.data[i] == '\n' ? ' ' : value.data[i];
    text[value.len] = '\0';
    return text;
}

static bool parse_cidr(struct str text, struct http_cidr *out) {
    char ip[64];
    uint64_t bits;
    struct str rest = text;
    struct str address = str_cut(&rest, '/');
    if (rest.data == NULL || address.len >= sizeof ip || !str_to_u64(rest, &bits))
        return false;
    snprintf(ip, sizeof ip, STR_FMT, STR_ARG(address));
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, ip, out->ip) == 1)
        out->len = 4;
    else if (inet_pton(AF_INET6, ip, out->ip) == 1)
        out->len = 16;
    else
        return false;
    out->bits = (uint8_t)(bits < out->len * 8u ? bits : out->len * 8u);
    return true;
}

static bool cidr_has(const struct http_cidr *c, const struct peer_address *peer) {
    if (c->len != peer->ip_len)
        return false;
    unsigned whole = c->bits / 8, rest = c->bits % 8;
    if (memcmp(c->ip, peer->ip, whole) != 0)
        return false;
    return rest == 0 || ((c->ip[whole] ^ peer->ip[whole]) >> (8 - rest)) == 0;
}

struct http_settings *http_settings_new(const struct config *config) {
    struct http_settings *s = MEM_NEW(struct http_settings);
    s->references = 1;
    s->config = config_hold(config);
    struct buf lines = BUF_INIT;
    const struct list *headers = &config->http.response_headers;
    for (uint32_t i = 0; i < headers->len; i++) {
        const struct str_pair *pair = &LIST_AT(*headers, struct str_pair, i);
        s->sets_vary |= str_eq_fold(pair->key, STR("Vary"));
        if (str_eq_fold(pair->key, STR("Content-Type"))) {
            s->content_type = header_value(&s->arena, pair->value);
            continue;
        }
        add_header(&lines, pair->key, pair->value);
    }
    s->plain_lines = str_copy(&s->arena, buf_str(&lines));
    if (config->translate_wan_addrs)
        buf_add_text(&lines, "X-Consul-Translate-Addresses: true\r\n");
    s->header_lines = str_copy(&s->arena, buf_str(&lines));
    buf_free(&lines);
    const struct list *writers = &config->http.allow_write_http_from;
    s->writers = ARENA_ARRAY(&s->arena, struct http_cidr, writers->len);
    for (uint32_t i = 0; i < writers->len; i++)
        if (parse_cidr(LIST_AT(*writers, struct str, i), &s->writers[s->writer_count]))
            s->writer_count++;
    return s;
}

void http_settings_release(struct http_settings *s) {
    if (--s->references > 0)
        return;
    config_release(s->config);
    arena_free(&s->arena);
    mem_free(s);
}

bool http_settings_may_write(const struct http_settings *s, const struct peer_address *peer) {
    if (s->config->http.allow_write_http_from.len == 0)
        return true;
    for (uint32_t i = 0; i < s->writer_count; i++)
        if (cidr_has(&s->writers[i], peer))
            return true;
    return false;
}
