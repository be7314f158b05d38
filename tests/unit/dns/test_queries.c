/* What the vectors do not show: failures, stale answers, cancelling, limits, translated addresses,
 * metadata, names taken apart, TTL rules, and trimming against a plain calculation.
 */
#include "unit/dns/world.h"

#include <arpa/inet.h>

#include "codec/ip.h"
#include "dns/budget.h"

static int setup(void **state) {
    *state = world_open();
    return 0;
}
static int teardown(void **state) {
    world_close(*state);
    return 0;
}

static void test_failures(void **state) {
    struct world *w = *state;
    world_load_catalog(w);
    w->fail = "No cluster leader";
    struct dns_message m = world_query(w, DNS_UDP, "solo.node.consul", DNS_TYPE_A, 0);
    assert_int_equal(rcode_of(&m), DNS_SERVFAIL);
    assert_int_equal(m.header.flags & DNS_AA, DNS_AA);
    assert_int_equal(m.sections[DNS_AUTHORITY].len, 0);
    m = world_query(w, DNS_UDP, "web.service.consul", DNS_TYPE_SRV, 0);
    assert_int_equal(rcode_of(&m), DNS_SERVFAIL);
    m = world_query(w, DNS_UDP, "consul", DNS_TYPE_SOA, 0);
    assert_int_equal(rcode_of(&m), DNS_NOERROR);
    assert_int_equal(m.sections[DNS_ANSWER].len, 1);
    assert_int_equal(m.sections[DNS_AUTHORITY].len, 0);
    m = world_query(w, DNS_UDP, "3.0.1.10.in-addr.arpa", DNS_TYPE_PTR, 0);
    assert_int_equal(rcode_of(&m), DNS_SERVFAIL);
    assert_int_equal(m.header.flags & (DNS_AA | DNS_RA), DNS_RA);
    w->fail = "Remote error: No path to datacenter";
    m = world_query(w, DNS_UDP, "web.service.consul", DNS_TYPE_A, 0);
    assert_int_equal(rcode_of(&m), DNS_NXDOMAIN);
    assert_int_equal(m.sections[DNS_AUTHORITY].len, 1);
}

static void test_stale(void **state) {
    struct world *w = *state;
    world_load_catalog(w);
    w->last_contact = 10 * SECOND;
    world_query(w, DNS_UDP, "solo.node.consul", DNS_TYPE_A, 0);
    assert_int_equal(w->calls, 1);
    w->config.max_stale = 5 * SECOND;
    world_configure(w);
    w->calls = 0;
    struct dns_message m = world_query(w, DNS_UDP, "solo.node.consul", DNS_TYPE_A, 0);
    assert_int_equal(w->calls, 2);
    assert_int_equal(m.sections[DNS_ANSWER].len, 1);
    w->calls = 0;
    world_query(w, DNS_UDP, "3.0.1.10.in-addr.arpa", DNS_TYPE_PTR, 0); /* without the check */
    assert_int_equal(w->calls, 1);
    w->config.allow_stale = false;
    world_configure(w);
    w->calls = 0;
    world_query(w, DNS_UDP, "solo.node.consul", DNS_TYPE_A, 0);
    assert_int_equal(w->calls, 1);
}

static void never(struct dns_query *q) {
    fail_msg("done() of a released query");
}

/* Queries that are let go while a call or an exchange is under way. */
static void test_cancel(void **state) {
    struct world *w = *state;
    world_load_catalog(w);
    struct sockaddr_in client = {.sin_family = AF_INET};
    struct str bytes = STR("\0\1\1\0\0\1\0\0\0\0\0\0\4solo\4node\6consul\0\0\1\0\1");
    w->deferred = true;
    struct dns_query *q = dns_query_take(&w->worker);
    dns_query_start(q, DNS_UDP, bytes, (struct sockaddr *)&client, never, w);
    assert_int_equal(w->waiting_count, 1);
    dns_query_release(q);
    assert_int_equal(w->cancelled, 1);
    w->config.recursors = LIST_NEW(&w->arena, struct str, 1);
    LIST_AT(w->config.recursors, struct str, 0) = STR("127.18.0.53:53");
    world_configure(w);
    bytes = STR("\0\1\1\0\0\1\0\0\0\0\0\0\6extsvc\7service\6consul\0\0\41\0\1");
    q = dns_query_take(&w->worker);
    dns_query_start(q, DNS_UDP, bytes, (struct sockaddr *)&client, never, w);
    assert_int_equal(w->waiting_count, 1);
    world_answer(w->waiting[--w->waiting_count]);
    assert_int_equal(w->exchange_count, 1);
    dns_query_release(q);
    w->exchange_count = 0;
    assert_int_equal(w->answers_alive, 0);
    /* No more queries than there may be. */
    unsigned taken = 0;
    while (dns_query_take(&w->worker) != NULL) {
        taken++;
    }
    assert_int_equal(taken, DNS_QUERIES_MAX);
    while (w->worker.running != NULL) {
        w->worker.running->finished = true;
        dns_query_release(w->worker.running);
    }
}

static void test_bad_nodes(void **state) {
    struct world *w = *state;
    char text[512];
    snprintf(text, sizeof(text),
             "{\"Node\": \"%064d\", \"Address\": \"10.0.0.1\", \"Service\": {\"Service\": \"s\"}}",
             7);
    world_register_json(w, text);
    world_register_json(
        w, "{\"Node\": \"a..b\", \"Address\": \"10.0.0.2\", \"Service\": {\"Service\": "
           "\"s\"}}");
    world_register_json(
        w, "{\"Node\": \"end.\", \"Address\": \"10.0.0.3\", \"Service\": {\"Service\": "
           "\"s\"}}");
    world_register_json(
        w, "{\"Node\": \"good\", \"Address\": \"10.0.0.4\", \"Service\": {\"Service\": "
           "\"s\"}}");
    struct dns_message m = world_query(w, DNS_UDP, "s.service.consul", DNS_TYPE_SRV, 4096);
    assert_int_equal(m.sections[DNS_ANSWER].len, 1);
    m = world_query(w, DNS_UDP, "s.service.consul", DNS_TYPE_A, 4096);
    assert_int_equal(m.sections[DNS_ANSWER].len, 4);
    m = world_query(w, DNS_UDP, "2.0.0.10.in-addr.arpa", DNS_TYPE_PTR, 0);
    assert_int_equal(rcode_of(&m), DNS_SERVFAIL); /* as if not found */
}

static struct str meta(struct arena *a, const char *key, const char *value) {
    return dns_meta_text(str_from(key), str_from(value), a);
}

static void test_meta(void **state) {
    struct world *w = *state;
    struct arena *a = &w->arena;
    assert_true(str_eq(meta(a, "a", "b"), STR("\3a=b")));
    assert_true(str_eq(meta(a, "back", "a\\b\"c`d"), STR("\14back=ab\"c``d")));
    assert_true(str_eq(meta(a, "RFC1035-foo", "k=v;\\065x"), STR("\6k=v;Ax")));
    assert_true(str_eq(meta(a, "rfc1035-", ""), STR("\0")));
    assert_true(str_eq(meta(a, " a=`b ", "c"), STR("\14` a`=``b` =c")));
    assert_true(str_eq(meta(a, "x", "y\\"), STR("\3x=y")));
    assert_true(str_eq(meta(a, "x", "\\25"), STR("\4x=25")));
    char value[600];
    memset(value, 'v', sizeof(value));
    struct str long_one = dns_meta_text(STR("k"), str_of(value, 300), a);
    assert_int_equal(long_one.len, 302 + 2);
    assert_int_equal((uint8_t)long_one.data[0], 255);
    assert_int_equal((uint8_t)long_one.data[256], 47);
    world_register_json(w,
                        "{\"Node\": \"n\", \"Address\": \"10.0.0.1\", \"NodeMeta\": {\"a\": \"b\"},"
                        "\"Service\": {\"Service\": \"s\"}}");
    struct dns_message m = world_query(w, DNS_UDP, "s.service.consul", DNS_TYPE_SRV, 0);
    assert_int_equal(m.sections[DNS_ADDITIONAL].len, 2);
    w->config.node_meta_txt = false;
    world_configure(w);
    m = world_query(w, DNS_UDP, "s.service.consul", DNS_TYPE_SRV, 0);
    assert_int_equal(m.sections[DNS_ADDITIONAL].len, 1);
    m = world_query(w, DNS_UDP, "n.node.consul", DNS_TYPE_A, 0);
    assert_int_equal(m.sections[DNS_ADDITIONAL].len, 0);
    m = world_query(w, DNS_UDP, "n.node.consul", DNS_TYPE_TXT, 0);
    assert_int_equal(m.sections[DNS_ANSWER].len, 1);
}

static void parsed_is(struct world *w, const char *name, uint16_t type, enum dns_lookup_kind kind,
                      const char *what, const char *tag, const char *datacenter) {
    struct dns_parsed p;
    dns_name_take_apart(&w->site, dns_name_from_text(str_from(name), &w->arena), type, &p,
                        &w->arena);
    assert_int_equal(p.kind, kind);
    if (kind != LOOKUP_INVALID) {
        assert_true(str_is(p.name, what));
        assert_true(str_is(p.tag, tag) || (tag[0] == 0 && p.tag.len == 0));
        assert_true(str_is(p.datacenter, datacenter));
    }
}

static void test_names(void **state) {
    struct world *w = *state;
    uint16_t a = DNS_TYPE_A, srv = DNS_TYPE_SRV;
    parsed_is(w, "Web.Service.CONSUL", a, LOOKUP_SERVICE, "web", "", "dc1");
    parsed_is(w, "a.b.web.service.DC2.consul", a, LOOKUP_SERVICE, "web", "a.b", "dc2");
    parsed_is(w, "web.service.x.dc2.consul", a, LOOKUP_INVALID, "", "", "");
    parsed_is(w, "web.service.service.consul", a, LOOKUP_SERVICE, "service", "web", "dc1");
    parsed_is(w, "_web._tcp.service.consul", a, LOOKUP_SERVICE, "web", "", "dc1");
    parsed_is(w, "_web._udp.service.consul", a, LOOKUP_SERVICE, "web", "udp", "dc1");
    parsed_is(w, "_web._tcp.consul", a, LOOKUP_INVALID, "", "", "");
    parsed_is(w, "_web._tcp.consul", srv, LOOKUP_SERVICE, "web", "", "dc1");
    parsed_is(w, "_web._v1.dc9.consul", srv, LOOKUP_SERVICE, "web", "v1", "dc9");
    parsed_is(w, "_web._v1._x.consul", srv, LOOKUP_SERVICE, "_x", "_web._v1", "dc1");
    parsed_is(w, "_web.service.consul", srv, LOOKUP_SERVICE, "_web", "", "dc1");
    parsed_is(w, "x.a.b.node.consul", a, LOOKUP_NODE, "x.a.b", "", "dc1");
    parsed_is(w, "x.y.connect.consul", a, LOOKUP_CONNECT, "y", "", "dc1");
    parsed_is(w, "y.ingress.consul", a, LOOKUP_INGRESS, "y", "", "dc1");
    parsed_is(w, "q.x.query.consul", a, LOOKUP_QUERY, "q.x", "", "dc1");
    parsed_is(w, "7f000001.addr.a.b.c.consul", a, LOOKUP_ADDRESS, "7f000001", "", "dc1");
    parsed_is(w, "x.7f000001.addr.consul", a, LOOKUP_INVALID, "", "", "");
    parsed_is(w, "service.consul", a, LOOKUP_INVALID, "", "", "");
    parsed_is(w, "consul", a, LOOKUP_INVALID, "", "", "");
}

static void test_alt_domain(void **state) {
    struct world *w = *state;
    struct error e = ERROR_IN(&w->arena);
    world_load_catalog(w);
    static const char *const alts[] = {"alt.test.", "sub.consul."};
    for (size_t i = 0; i < 2; i++) {
        w->config.alt_domain = str_from(alts[i]);
        arena_free(&w->site.arena);
        assert_true(dns_site_init(&w->site, &w->options, &e));
        char name[64];
        snprintf(name, sizeof(name), "one.service.%s", alts[i]);
        struct dns_message m = world_query(w, DNS_UDP, name, DNS_TYPE_SRV, 0);
        assert_int_equal(m.sections[DNS_ANSWER].len, 1);
        struct str target = dns_name_from_text(STR("solo.node.dc1.consul"), &w->arena);
        assert_true(dns_name_equal(m.sections[DNS_ADDITIONAL].items[0].name, target));
        snprintf(name, sizeof(name), "7F000001.addr.%s", alts[i]);
        m = world_query(w, DNS_UDP, name, DNS_TYPE_A, 0);
        assert_true(dns_name_equal(m.sections[DNS_ANSWER].items[0].name,
                                   dns_name_from_text(STR("7f000001.addr.consul"), &w->arena)));
        m = world_query(w, DNS_UDP, "one.service.consul", DNS_TYPE_A, 0);
        assert_int_equal(m.sections[DNS_ANSWER].len, 1);
    }
}

static void test_ttls(void **state) {
    struct world *w = *state;
    static const struct {
        const char *name;
        int64_t ttl;
    } rules[] = {{"*", 5}, {"o*", 7}, {"one", 11}, {"ones*", 13}, {"Web", 17}};
    w->config.service_ttl = LIST_NEW(&w->arena, struct config_service_ttl, COUNT_OF(rules));
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        LIST_AT(w->config.service_ttl, struct config_service_ttl, i) = (struct config_service_ttl){
            str_from(rules[i].name), rules[i].ttl * SECOND + 999 * MILLISECOND};
    }
    world_configure(w);
    const struct dns_settings *s = w->worker.settings;
    assert_int_equal(dns_settings_service_ttl(s, STR("one")), 11);
    assert_int_equal(dns_settings_service_ttl(s, STR("onesie")), 13);
    assert_int_equal(dns_settings_service_ttl(s, STR("on")), 7);
    assert_int_equal(dns_settings_service_ttl(s, STR("web")), 5);
    w->config.service_ttl = LIST_EMPTY;
    world_configure(w);
    assert_int_equal(dns_settings_service_ttl(w->worker.settings, STR("web")), 0);
}

static void test_recursor_addresses(void **state) {
    struct world *w = *state;
    struct error e = ERROR_IN(&w->arena);
    static const char *const bad[][2] = {
        {"", "address : missing port in address"},
        {"1.2.3.4", "address 1.2.3.4: missing port in address"},
        {"1.2.3.4:70000", "address 70000: invalid port"},
        {"1.2.3.4:x", "address tcp/x: unknown port"},
        {"a:b:c", "address a:b:c: too many colons in address"},
        {"[::1:53", "address [::1:53: missing ']' in address"},
        {"[::1]53:5", "address [::1]53:5: missing port in address"},
        {"[::1]:53:5", "address [::1]:53:5: too many colons in address"},
    };
    static const char *const good[] = {"1.2.3.4:53", "[::1]:5353", "[2001:db8::1]:53"};
    w->config.recursors = LIST_NEW(&w->arena, struct str, 1);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        LIST_AT(w->config.recursors, struct str, 0) = str_from(bad[i][0]);
        error_clear(&e);
        assert_null(dns_settings_new(&w->config, &e));
        assert_true(str_has_prefix(e.text, STR("Invalid recursor address: ")));
        assert_true(str_has_suffix(e.text, str_from(bad[i][1])));
    }
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        LIST_AT(w->config.recursors, struct str, 0) = str_from(good[i]);
        struct dns_settings *s = dns_settings_new(&w->config, &e);
        assert_non_null(s);
        assert_int_equal(s->recursors[0].address.ss_family, i == 0 ? AF_INET : AF_INET6);
        dns_settings_release(s);
    }
}

static void test_addresses(void **state) {
    uint8_t ip[16];
    assert_int_equal(ip_parse(STR("10.0.0.1"), ip), 4);
    assert_int_equal(ip_parse(STR("010.0.0.001"), ip), 4);
    assert_memory_equal(ip, "\12\0\0\1", 4);
    assert_int_equal(ip_parse(STR("256.0.0.1"), ip), 0);
    assert_int_equal(ip_parse(STR("10.0.0"), ip), 0);
    assert_int_equal(ip_parse(STR("10.0.0.1."), ip), 0);
    assert_int_equal(ip_parse(STR("10.0.0.1:80"), ip), 0);
    assert_int_equal(ip_parse(STR(""), ip), 0);
    assert_int_equal(ip_parse(STR("::1"), ip), 6);
    assert_int_equal(ip_parse(STR("[::1]"), ip), 0);
    assert_int_equal(ip_parse(STR("fe80::1%eth0"), ip), 0);
    assert_int_equal(ip_parse(STR("::ffff:1.2.3.4"), ip), 4);
    assert_memory_equal(ip, "\1\2\3\4", 4);

    struct arena arena = {0}, *a = &arena;
    assert_string_equal(str_terminated(a, ip_text(STR("127.0.0.01"), a)), "127.0.0.1");
    assert_string_equal(str_terminated(a, ip_text(STR("::FFFF:1.2.3.4"), a)), "1.2.3.4");
    assert_string_equal(str_terminated(a, ip_text(STR("0:0::01"), a)), "::1");
    assert_int_equal(ip_text(STR("localhost"), a).len, 0);
    arena_free(a);
}

/* Addresses of another datacenter are translated (dns.md 6). */
static void test_translation(void **state) {
    struct world *w = *state;
    struct str_pair tags[] = {{STR("lan_ipv4"), STR("10.0.0.2")},
                              {STR("wan"), STR("99.0.0.1")},
                              {STR("wan_ipv6"), STR("2001:db8::9")}};
    struct node n = {.address = STR("10.0.0.1"), .tagged_addresses = {tags, 3, true}};
    assert_true(str_is(dns_pick_node(&n, DNS_PICK_A, false), "10.0.0.2"));
    assert_true(str_is(dns_pick_node(&n, DNS_PICK_AAAA, false), "10.0.0.1"));
    assert_true(str_is(dns_pick_node(&n, DNS_PICK_ANY, false), "10.0.0.2"));
    assert_true(str_is(dns_pick_node(&n, DNS_PICK_A, true), "10.0.0.2"));
    assert_true(str_is(dns_pick_node(&n, DNS_PICK_AAAA, true), "2001:db8::9"));
    assert_true(str_is(dns_pick_node(&n, DNS_PICK_ANY, true), "2001:db8::9"));
    n.tagged_addresses = (struct list){tags + 1, 1, true};
    assert_true(str_is(dns_pick_node(&n, DNS_PICK_A, true), "99.0.0.1"));
    assert_true(str_is(dns_pick_node(&n, DNS_PICK_A, false), "10.0.0.1"));
    struct {
        struct str key;
        struct service_address value;
    } service_tags[] = {{STR("wan"), {STR("99.1.1.1"), 8080}}};
    struct node_service s = {
        .address = STR("10.9.0.1"), .port = 80, .tagged_addresses = {service_tags, 1, true}};
    assert_true(str_is(dns_pick_service(&s, DNS_PICK_ANY, true), "99.1.1.1"));
    assert_int_equal(dns_pick_port(&s, true), 8080);
    assert_int_equal(dns_pick_port(&s, false), 80);
    assert_false(dns_is_remote(&w->site, STR("dc2")));
    w->site.translate_wan_addrs = true;
    assert_true(dns_is_remote(&w->site, STR("dc2")));
    assert_false(dns_is_remote(&w->site, STR("dc1")));
}

/* All answers of a reply, with the additional record of each, as the peer keeps them. */
static size_t plain_size(struct world *w, const struct dns_message *all, uint32_t n,
                         bool compress) {
    struct dns_query query = {.worker = &w->worker};
    struct dns_lookup l = {.query = &query, .question = all->question};
    struct dns_records sections[DNS_SECTIONS] = {{all->sections[DNS_ANSWER].items, n, n}};
    struct dns_records *additional = &sections[DNS_ADDITIONAL];
    for (uint32_t i = 0; i < n; i++) {
        struct str target = str_sub(all->sections[DNS_ANSWER].items[i].data, 6, SIZE_MAX);
        for (uint32_t k = 0; k < all->sections[DNS_ADDITIONAL].len; k++) {
            const struct dns_record *r = &all->sections[DNS_ADDITIONAL].items[k];
            if (dns_name_equal(r->name, target)) {
                *dns_records_add(additional, &w->arena) = *r;
                break;
            }
        }
    }
    return dns_reply_size(&l, sections, compress);
}

/* For many sizes, the reply has as many answers as fit, no more and no less. */
static void test_trimming(void **state) {
    struct world *w = *state;
    world_load_catalog(w);
    for (int compress = 0; compress < 2; compress++) {
        w->config.disable_compression = !compress;
        world_configure(w);
        struct dns_message all = world_query(w, DNS_TCP, "big.service.consul", DNS_TYPE_SRV, 0);
        uint32_t total = all.sections[DNS_ANSWER].len;
        assert_int_equal(total, 300);
        for (uint16_t size = 513; size < 25000; size = (uint16_t)(size + 61 + size / 8)) {
            struct dns_message m =
                world_query(w, DNS_UDP, "big.service.consul", DNS_TYPE_SRV, size);
            uint32_t n = m.sections[DNS_ANSWER].len;
            assert_true(n > 0);
            assert_true(n == 1 || plain_size(w, &all, n, compress) <= size - 7u);
            if (n < total) {
                assert_true(plain_size(w, &all, n + 1, compress) > size - 7u);
            }
            assert_int_equal(w->response.len - 11, plain_size(w, &m, n, compress));
        }
    }
}

/* Targets that are names: their chains stay with the answers that are kept. */
static void test_trimming_names(void **state) {
    struct world *w = *state;
    for (unsigned i = 0; i < 40; i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "{\"Node\": \"t%02u\", \"Address\": \"u%02u.node.consul\", "
                 "\"Service\": {\"Service\": \"far\"}}",
                 i, i);
        world_register_json(w, text);
        snprintf(text, sizeof(text), "{\"Node\": \"u%02u\", \"Address\": \"10.0.0.%u\"}", i, i);
        world_register_json(w, text);
    }
    for (uint16_t size = 513; size < 4000; size = (uint16_t)(size + 97)) {
        struct dns_message m = world_query(w, DNS_UDP, "far.service.consul", DNS_TYPE_SRV, size);
        uint32_t n = m.sections[DNS_ANSWER].len;
        assert_true(n > 1 && n <= 40);
        assert_true(w->response.len <= size + 4u);
        assert_int_equal(m.sections[DNS_ADDITIONAL].len, n + 1); /* an address each, and OPT */
        for (uint32_t i = 0; i < n; i++) {
            assert_true(dns_name_equal(m.sections[DNS_ADDITIONAL].items[i].name,
                                       str_sub(m.sections[DNS_ANSWER].items[i].data, 6, SIZE_MAX)));
        }
    }
}

/* Each instance is chosen about as often as any other. */
static void test_shuffle(void **state) {
    struct world *w = *state;
    unsigned seen[10] = {0};
    for (unsigned i = 0; i < 10; i++) {
        char text[256];
        snprintf(
            text, sizeof(text),
            "{\"Node\": \"s%u\", \"Address\": \"10.0.0.%u\", \"Service\": {\"Service\": \"ten\"}}",
            i, i);
        world_register_json(w, text);
    }
    for (unsigned round = 0; round < 1000; round++) {
        struct dns_message m = world_query(w, DNS_UDP, "ten.service.consul", DNS_TYPE_A, 0);
        assert_int_equal(m.sections[DNS_ANSWER].len, 3);
        for (uint32_t i = 0; i < 3; i++) {
            seen[(uint8_t)m.sections[DNS_ANSWER].items[i].data.data[3]]++;
        }
    }
    for (unsigned i = 0; i < 10; i++) {
        assert_true(seen[i] > 220 && seen[i] < 380);
    }
}

/* A query goes with the agent's default token of its moment (acl.md 9.8). One that is not known is
 * a failure of the server. */
static void test_token(void **state) {
    struct world *w = *state;
    world_query(w, DNS_UDP, "solo.node.consul", DNS_TYPE_A, 0);
    assert_true(str_is(w->asked, ""));
    w->token = "first";
    world_query(w, DNS_UDP, "solo.node.consul", DNS_TYPE_A, 0);
    assert_true(str_is(w->asked, "first"));
    w->token = "second";
    w->fail = "ACL not found";
    struct dns_message m = world_query(w, DNS_UDP, "web.service.consul", DNS_TYPE_A, 0);
    assert_true(str_is(w->asked, "second"));
    assert_int_equal(rcode_of(&m), DNS_SERVFAIL);
    assert_true(m.header.flags & DNS_AA);
    assert_int_equal(m.sections[DNS_ANSWER].len, 0);
}

static struct sockaddr_storage address(const char *text) {
    struct sockaddr_storage out = {.ss_family = AF_INET};
    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&out)->sin_addr) == 1) {
        return out;
    }
    out.ss_family = AF_INET6;
    assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&out)->sin6_addr), 1);
    return out;
}

/* Bytes that one network gets at a moment, in answers of 4000. */
static size_t drain(struct dns_budget *b, const char *client, int64_t now) {
    struct sockaddr_storage a = address(client);
    size_t sum = 0;
    while (sum < 100 << 20 && dns_budget_take(b, &a, 4000, now)) {
        sum += 4000;
    }
    return sum;
}

static void test_budget(void **state) {
    (void)state;
    struct dns_budget *b = dns_budget_new(7);
    int64_t now = 1000 * SECOND;
    size_t all = DNS_BUDGET_BURST / 4000 * 4000;
    assert_int_equal(drain(b, "192.0.2.1", now), all);
    assert_int_equal(drain(b, "192.0.2.77", now), 0); /* the same network */
    assert_int_equal(drain(b, "::ffff:192.0.2.3", now), 0);
    assert_int_equal(drain(b, "192.0.3.1", now), all);
    assert_int_equal(drain(b, "2001:db8:0:aa01::1", now), all);
    assert_int_equal(drain(b, "2001:db8:0:aa02::1", now), 0); /* its /56 */
    assert_int_equal(drain(b, "2001:db8:0:bb01::1", now), all);
    assert_true(drain(b, "127.9.9.9", now) >= 100 << 20); /* nobody forges it */
    assert_true(drain(b, "::1", now) >= 100 << 20);
    /* However often it is asked, time alone fills it. */
    size_t got = 0;
    for (int i = 0; i < 10000; i++) {
        now += SECOND / 10000;
        got += drain(b, "192.0.2.1", now);
    }
    assert_in_range(got, DNS_BUDGET_RATE * 9 / 10, DNS_BUDGET_RATE + 4000);
    assert_int_equal(drain(b, "192.0.2.1", now + 3600 * SECOND), all);
    dns_budget_free(b);
}

/* A forged sender gets his question back, not the answer; who asks over TCP gets it. */
static void test_amplification(void **state) {
    struct world *w = *state;
    char text[4600] = "{\"Node\": \"large\", \"Address\": \"10.0.0.1\", \"NodeMeta\": {";
    for (int i = 0; i < 16; i++) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\"k%d\": \"%0200d\"",
                 i > 0 ? ", " : "", i, i);
    }
    strcat(text, "}}");
    world_register_json(w, text);
    w->client = 0xc0000201;
    struct dns_message m;
    size_t sent = 0, cut = 0, asked = DNS_BUDGET_BURST / 3000;
    for (size_t i = 0; i < asked; i++) {
        m = world_query(w, DNS_UDP, "large.node.consul", DNS_TYPE_ANY, 65535);
        sent += w->response.len;
        if ((m.header.flags & DNS_TC) != 0) {
            cut++;
            assert_int_equal(m.sections[DNS_ANSWER].len, 0);
            assert_true(m.has_question && w->response.len < 64);
            assert_int_equal(rcode_of(&m), DNS_NOERROR);
        } else {
            assert_int_equal(m.sections[DNS_ANSWER].len, 17);
        }
    }
    assert_true(cut > 0);
    assert_in_range(sent, DNS_BUDGET_BURST / 2, 3 * DNS_BUDGET_BURST);
    m = world_query(w, DNS_TCP, "large.node.consul", DNS_TYPE_ANY, 65535);
    assert_int_equal(m.sections[DNS_ANSWER].len, 17);
    m = world_query(w, DNS_UDP, "large.node.consul", DNS_TYPE_A, 0); /* with its texts: large */
    w->config.node_meta_txt = false;
    world_configure(w);
    m = world_query(w, DNS_UDP, "large.node.consul", DNS_TYPE_A, 0); /* small: always */
    assert_int_equal(m.sections[DNS_ANSWER].len, 1);
    w->client = 0xc6336401;
    m = world_query(w, DNS_UDP, "large.node.consul", DNS_TYPE_ANY, 65535);
    assert_int_equal(m.sections[DNS_ANSWER].len, 17);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(failures),       TEST(stale),         TEST(cancel),
        TEST(bad_nodes),      TEST(meta),          TEST(names),
        TEST(alt_domain),     TEST(ttls),          TEST(recursor_addresses),
        TEST(addresses),      TEST(translation),   TEST(trimming),
        TEST(trimming_names), TEST(token),         TEST(shuffle),
        TEST(budget),         TEST(amplification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
