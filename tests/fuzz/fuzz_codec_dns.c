/* Any bytes as a DNS message: what can be read can be written, compressed or not, and reads the
 * same again.
 */
#include "base/mem.h"
#include "codec/dns.h"

static void check_same(const struct dns_message *a, const struct dns_message *b) {
    ASSERT(a->has_question == b->has_question);
    for (int s = 0; s < DNS_SECTIONS; s++) {
        ASSERT(a->sections[s].len == b->sections[s].len);
        for (uint32_t i = 0; i < a->sections[s].len; i++) {
            const struct dns_record *x = &a->sections[s].items[i], *y = &b->sections[s].items[i];
            ASSERT(dns_name_equal(x->name, y->name) && x->type == y->type);
            ASSERT(x->class == y->class && x->ttl == y->ttl && str_eq(x->data, y->data));
        }
    }
}

static void rewrite(const struct dns_message *m, struct dns_compressor *c, struct arena *arena) {
    struct buf out = BUF_INIT;
    struct dns_writer w;
    struct dns_message again;
    dns_writer_init(&w, &out, c, m->header.id, m->header.flags);
    if (m->has_question) {
        dns_write_question(&w, &m->question);
    }
    for (int s = 0; s < DNS_SECTIONS; s++) {
        for (uint32_t i = 0; i < m->sections[s].len; i++) {
            dns_write_record(&w, (enum dns_section)s, &m->sections[s].items[i]);
        }
    }
    /* A record without a question before it looks like one. */
    if (dns_writer_end(&w) && (m->has_question || out.len == DNS_HEADER_SIZE)) {
        ASSERT(dns_message_parse(buf_str(&out), &again, arena));
        check_same(m, &again);
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct dns_compressor *compressor;
    if (compressor == NULL) {
        compressor = dns_compressor_new();
    }
    struct arena arena = ARENA_INIT;
    struct dns_message m;
    struct dns_edns edns;
    struct str bytes = str_copy(&arena, str_of(data, size));
    bool good = dns_message_parse(bytes, &m, &arena);
    if (m.has_question) {
        struct str text = dns_name_text(m.question.name, &arena);
        ASSERT(text.len > 0 && text.len <= DNS_TEXT_MAX);
        ASSERT(dns_name_is_below(m.question.name, STR("\0")));
        ASSERT(m.question.name.len <= DNS_NAME_MAX);
    }
    if (good) {
        if (dns_edns_get(&m, &edns)) {
            dns_edns_record(&edns, 0, &arena);
        }
        rewrite(&m, compressor, &arena);
        rewrite(&m, NULL, &arena);
    }
    arena_free(&arena);
    return 0;
}
