/* DNS messages: every message of the vectors is read, and what the peer wrote is written again to
 * the same bytes; names, EDNS, and what must be refused.
 */
#include "codec/dns.h"
#include "unit/dns_vectors.h"

static const char *const files[] = {
    "dns/node.json",   "dns/service.json",   "dns/query_connect_addr_ptr.json",
    "dns/edns.json",   "dns/malformed.json", "dns/truncation.json",
    "dns/config.json", "dns/recursion.json", "dns/multi_dc.json"};

static void rewrite(const struct dns_message *m, struct dns_compressor *c, struct buf *out) {
    struct dns_writer w;
    buf_clear(out);
    dns_writer_init(&w, out, c, m->header.id, m->header.flags);
    if (m->has_question) {
        dns_write_question(&w, &m->question);
    }
    for (int s = 0; s < DNS_SECTIONS; s++) {
        for (uint32_t i = 0; i < m->sections[s].len; i++) {
            dns_write_record(&w, (enum dns_section)s, &m->sections[s].items[i]);
        }
    }
    assert_true(dns_writer_end(&w));
}

static bool same_records(const struct dns_message *a, const struct dns_message *b) {
    for (int s = 0; s < DNS_SECTIONS; s++) {
        if (a->sections[s].len != b->sections[s].len) {
            return false;
        }
        for (uint32_t i = 0; i < a->sections[s].len; i++) {
            const struct dns_record *x = &a->sections[s].items[i], *y = &b->sections[s].items[i];
            if (!dns_name_equal(x->name, y->name) || x->type != y->type || x->class != y->class ||
                x->ttl != y->ttl || x->data.len != y->data.len ||
                memcmp(x->data.data, y->data.data, x->data.len) != 0) {
                return false;
            }
        }
    }
    return true;
}

static void test_vectors(void **state) {
    struct arena arena = ARENA_INIT;
    struct dns_compressor *c = dns_compressor_new();
    struct buf out = BUF_INIT;
    int rewritten = 0;
    for (size_t f = 0; f < COUNT_OF(files); f++) {
        const struct value *cases = value_get(vectors_json(&arena, files[f]), "cases");
        for (size_t i = 0; i < cases->list.len; i++) {
            const struct value *v = &cases->list.items[i];
            struct str bytes = value_hex(v, "response_hex", &arena);
            struct str query = value_hex(v, "query_hex", &arena);
            struct dns_message m, again;
            if (query.len >= DNS_HEADER_SIZE) {
                dns_message_parse(query, &m, &arena);
            }
            if (bytes.data == NULL) {
                continue;
            }
            assert_true(dns_message_parse(bytes, &m, &arena));
            const struct value *config = value_get(v, "config");
            const struct value *dns = config == NULL ? NULL : value_get(config, "dns_config");
            bool plain = dns != NULL && value_get(dns, "disable_compression") != NULL;
            rewrite(&m, plain ? NULL : c, &out);
            if (!str_eq(buf_str(&out), bytes)) {
                fail_msg("%s: %.*s is written differently", files[f],
                         STR_ARG(value_text(v, "name")));
            }
            /* Without compression the content is the same. */
            rewrite(&m, NULL, &out);
            assert_true(dns_message_parse(str_copy(&arena, buf_str(&out)), &again, &arena));
            assert_true(same_records(&m, &again));
            rewritten++;
        }
    }
    assert_true(rewritten > 250);
    buf_free(&out);
    dns_compressor_free(c);
    arena_free(&arena);
}

static void test_names(void **state) {
    struct arena a = ARENA_INIT;
    struct str web = dns_name_from_text(STR("web.service.consul"), &a);
    assert_true(str_eq(web, STR("\3web\7service\6consul\0")));
    assert_true(str_eq(dns_name_from_text(STR("web.service.consul."), &a), web));
    assert_true(str_eq(dns_name_from_text(STR("."), &a), STR("\0")));
    assert_true(str_eq(dns_name_from_text(STR(""), &a), STR("\0")));
    assert_null(dns_name_from_text(STR("a..b"), &a).data);
    assert_null(dns_name_from_text(STR(".a"), &a).data);
    assert_null(dns_name_from_text(STR("a.."), &a).data);
    char label[65];
    memset(label, 'x', sizeof(label));
    assert_non_null(dns_name_from_text(str_of(label, 63), &a).data);
    assert_null(dns_name_from_text(str_of(label, 64), &a).data);
    /* 255 bytes on the wire are 253 of text. */
    char text[255];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = i % 64 == 63 ? '.' : 'y';
    }
    assert_int_equal(dns_name_from_text(str_of(text, 253), &a).len, 255);
    assert_null(dns_name_from_text(str_of(text, 254), &a).data);

    struct str domain = dns_name_from_text(STR("consul"), &a);
    assert_true(dns_name_is_below(web, domain));
    assert_true(dns_name_is_below(domain, domain));
    assert_true(dns_name_is_below(dns_name_from_text(STR("x.CONSUL"), &a), domain));
    assert_false(dns_name_is_below(dns_name_from_text(STR("myconsul"), &a), domain));
    assert_false(dns_name_is_below(STR("\0"), domain));
    assert_int_equal(dns_name_labels(web), 3);
    assert_true(str_is(dns_name_text(STR("\4a.b \3\\\377;\0"), &a), "a\\.b\\ .\\\\\\255\\;."));
    assert_true(str_is(dns_name_text(STR("\0"), &a), "."));
    assert_true(str_is(dns_name_text(dns_name_join(STR("\2ns\0"), domain, &a), &a), "ns.consul."));
    assert_true(str_is(dns_type_text(65280, &a), "TYPE65280"));
    assert_true(str_is(dns_type_text(33, &a), "SRV"));
    assert_true(str_is(dns_class_text(9, &a), "CLASS9"));
    arena_free(&a);
}

#define QUERY(counts) "\0\1\1\0\0\1" counts
#define GOOD(bytes) assert_true(dns_message_parse(STR(bytes), &m, &a))
#define BAD(bytes) assert_false(dns_message_parse(STR(bytes), &m, &a))

static void test_malformed(void **state) {
    struct arena a = ARENA_INIT;
    struct dns_message m;
    GOOD(QUERY("\0\0\0\0\0\0"));
    assert_false(m.has_question);
    GOOD(QUERY("\0\0\0\0\0\0") "\1a\0");
    assert_int_equal(m.question.type, 0);
    BAD(QUERY("\0\0\0\0\0\0") "\1a\0\0");
    GOOD(QUERY("\0\0\0\0\0\0") "\1a\0\0\1");
    BAD(QUERY("\0\0\0\0\0\0") "\1a");
    BAD(QUERY("\0\0\0\0\0\0") "\300");
    BAD(QUERY("\0\0\0\0\0\0") "\300\14\0\1\0\1");
    GOOD(QUERY("\0\0\0\0\0\0") "\300\22\0\1\0\1\1a\0");
    assert_true(str_eq(m.question.name, STR("\1a\0")));
    /* A record whose data does not fit its type, is empty, or is cut. */
    BAD(QUERY("\0\1\0\0\0\0") "\0\0\1\0\1"
                              "\0\0\1\0\1\0\0\0\0\0\3abc");
    GOOD(QUERY("\0\1\0\0\0\0") "\0\0\1\0\1"
                               "\0\0\1\0\1\0\0\0\0\0\4abcd");
    GOOD(QUERY("\0\1\0\0\0\0") "\0\0\1\0\1"
                               "\0\0\1\0\1\0\0\0\0\0\0");
    BAD(QUERY("\0\1\0\0\0\0") "\0\0\1\0\1"
                              "\0\0\1\0\1\0\0\0\0\0\5abcd");
    BAD(QUERY("\0\1\0\0\0\0") "\0\0\1\0\1"
                              "\0\0\20\0\1\0\0\0\0\0\2\3a");
    GOOD(QUERY("\0\1\0\0\0\0") "\0\0\1\0\1"
                               "\0\0\20\0\1\0\0\0\0\0\4\3abc");
    BAD(QUERY("\0\1\0\0\0\0") "\0\0\1\0\1"
                              "\0\0\5\0\1\0\0\0\0\0\2\1a\0");
    /* A name in the data is written out, whatever it pointed to. */
    GOOD(QUERY("\0\1\0\0\0\0") "\1q\0\0\1\0\1"
                               "\300\14\0\5\0\1\0\0\0\0\0\4\1b\300\14");
    assert_true(str_eq(m.sections[DNS_ANSWER].items[0].data, STR("\1b\1q\0")));
    assert_true(str_eq(m.sections[DNS_ANSWER].items[0].name, STR("\1q\0")));
    /* More than 126 jumps. */
    struct buf b = BUF_INIT;
    buf_add(&b, QUERY("\0\0\0\0\0\0"), 12);
    for (unsigned i = 0; i < 130; i++) {
        buf_add_be16(&b, (uint16_t)(0xc000 + 12 + 2 * (i + 1)));
    }
    buf_add(&b, "\0", 1);
    assert_false(dns_message_parse(buf_str(&b), &m, &a));
    b.len = 0;
    buf_add(&b, QUERY("\0\0\0\0\0\0"), 12);
    for (unsigned i = 0; i < 126; i++) {
        buf_add_be16(&b, (uint16_t)(i == 0 ? 0xc000 + 18 : 0xc000 + 18 + 2 * i));
        if (i == 0) {
            buf_add(&b, "\0\1\0\1", 4);
        }
    }
    buf_add(&b, "\0", 1);
    assert_true(dns_message_parse(buf_str(&b), &m, &a));
    buf_free(&b);
    arena_free(&a);
}

static bool parse_opt(struct str options, struct dns_edns *edns, struct arena *a) {
    struct buf b = BUF_INIT;
    struct dns_message m;
    buf_add(&b,
            QUERY("\0\0\0\0\0\1") "\0\0\1\0\1"
                                  "\0\0\51\20\0\0\0\0\0",
            12 + 5 + 9);
    buf_add_be16(&b, (uint16_t)options.len);
    buf_add_str(&b, options);
    bool good = dns_message_parse(str_copy(a, buf_str(&b)), &m, a);
    buf_free(&b);
    return good && dns_edns_get(&m, edns);
}

static void test_edns(void **state) {
    struct arena a = ARENA_INIT;
    struct dns_edns e;
    assert_true(parse_opt(STR(""), &e, &a));
    assert_int_equal(e.size, 4096);
    assert_false(e.has_subnet);
    assert_false(parse_opt(STR("\0\12\0\5abcd"), &e, &a));
    assert_true(parse_opt(STR("\0\12\0\4abcd"), &e, &a));
    assert_false(parse_opt(STR("\0\10\0\3\0\1\30"), &e, &a));
    assert_false(parse_opt(STR("\0\10\0\4\0\0\1\0"), &e, &a));
    assert_false(parse_opt(STR("\0\10\0\4\0\1\41\0"), &e, &a));
    assert_false(parse_opt(STR("\0\10\0\4\0\1\0\41"), &e, &a));
    assert_false(parse_opt(STR("\0\10\0\4\0\3\0\0"), &e, &a));
    assert_true(parse_opt(STR("\0\10\0\10\0\1\24\0\306\63\144\377"), &e, &a));
    assert_true(e.has_subnet);
    struct dns_record r = dns_edns_record(&e, 20, &a);
    assert_int_equal(r.class, 4096);
    assert_true(str_eq(r.data, STR("\0\10\0\7\0\1\24\24\306\63\140")));
    arena_free(&a);
}

/* Names beyond the reach of pointers, and more than 65535 bytes. */
static void test_large(void **state) {
    struct arena a = ARENA_INIT;
    struct dns_compressor *c = dns_compressor_new();
    struct buf out = BUF_INIT;
    struct dns_writer w;
    struct dns_message m;
    struct dns_question q = {STR("\4many\7service\6consul\0"), 33, 1};
    for (int round = 0; round < 3; round++) {
        uint32_t count = round == 1 ? 3000 : 1000;
        buf_clear(&out);
        dns_writer_init(&w, &out, c, 7, DNS_QR);
        dns_write_question(&w, &q);
        for (uint32_t i = 0; i < count; i++) {
            struct str target = str_format(&a, "%c%c%c%c%c%c%cnode%05u%cnode%cdc1%cconsul%c", 0, 1,
                                           0, 2, 0, 3, 9, i, 4, 3, 6, 0);
            struct dns_record r = {q.name, target, 5, 33, 1};
            dns_write_record(&w, DNS_ANSWER, &r);
        }
        assert_int_equal(dns_writer_end(&w), round != 1);
        if (round == 1) {
            continue;
        }
        assert_true(dns_message_parse(buf_str(&out), &m, &a));
        assert_int_equal(m.sections[DNS_ANSWER].len, count);
        for (uint32_t i = 0; i < count; i++) {
            const struct dns_record *r = &m.sections[DNS_ANSWER].items[i];
            assert_true(dns_name_equal(r->name, q.name));
            struct str want = dns_name_from_text(str_format(&a, "node%05u.node.dc1.consul", i), &a);
            assert_true(str_eq(str_sub(r->data, 6, SIZE_MAX), want));
        }
    }
    buf_free(&out);
    dns_compressor_free(c);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_edns),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
