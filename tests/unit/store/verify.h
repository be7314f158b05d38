/* Checks that the tables of the store agree with each other: each secondary lookup leads to a
 * record that belongs there, and each record has all of its lookups. Used by unit tests and by fuzz
 * targets.
 */
#ifndef TESTS_UNIT_STORE_VERIFY_H
#define TESTS_UNIT_STORE_VERIFY_H

#include "store/apply.h"

struct verify {
    struct store_read *read;
    uint64_t expected[TABLE_COUNT]; /* lookups that records should have */
};

static inline void verify_lookup(struct verify *v, enum store_table table, struct str key,
                                 struct str primary) {
    struct str value;
    ASSERT(table_get(v->read, table, key, &value));
    ASSERT(str_eq(value, primary));
    v->expected[table]++;
}

static inline void verify_node(struct verify *v, struct str key, struct str value) {
    struct arena *a = v->read->arena;
    struct error e = ERROR_IN(a);
    struct node n;
    struct str id;
    record_decode(v->read, value, &node_shape, &n);
    ASSERT(str_eq(key, KEY(a, K_LOWER(n.node))));
    if (n.id.len > 0) {
        ASSERT(uuid_key(a, n.id, &id, &e));
        verify_lookup(v, TABLE_NODES_ID, id, key);
    }
    for (uint32_t i = 0; i < n.meta.len; i++) {
        const struct str_pair *pair = &LIST_AT(n.meta, struct str_pair, i);
        verify_lookup(v, TABLE_NODES_META,
                      KEY(a, K_EXACT(pair->key), K_EXACT(pair->value), K_BARE(key)), key);
    }
}

static inline void verify_service(struct verify *v, struct str key, struct str value) {
    struct arena *a = v->read->arena;
    struct node_service s;
    struct str node;
    service_decode(v->read, value, &node, &s);
    ASSERT(str_eq(key, KEY(a, K_LOWER(node), K_LOWER(s.id))));
    ASSERT(table_has(v->read, TABLE_NODES, KEY(a, K_LOWER(node))));
    struct str connect = service_connect_name(&s);
    verify_lookup(v, TABLE_SERVICES_NAME, KEY(a, K_LOWER(s.service), K_BARE(key)), key);
    verify_lookup(v, TABLE_SERVICES_KIND, KEY(a, K_EXACT(s.kind), K_BARE(key)), key);
    if (connect.data != NULL) {
        verify_lookup(v, TABLE_SERVICES_CONNECT, KEY(a, K_LOWER(connect), K_BARE(key)), key);
    }
}

static inline void verify_check(struct verify *v, struct str key, struct str value) {
    struct arena *a = v->read->arena;
    struct health_check c;
    record_decode(v->read, value, &health_check_shape, &c);
    struct str node = KEY(a, K_LOWER(c.node)), id = KEY(a, K_LOWER(c.check_id));
    ASSERT(str_eq(key, KEY(a, K_BARE(node), K_BARE(id))));
    ASSERT(table_has(v->read, TABLE_NODES, node));
    ASSERT(c.status.len > 0);
    verify_lookup(v, TABLE_CHECKS_SERVICE, KEY(a, K_BARE(node), K_LOWER(c.service_id), K_BARE(id)),
                  key);
    verify_lookup(v, TABLE_CHECKS_NAME, KEY(a, K_LOWER(c.service_name), K_BARE(key)), key);
    verify_lookup(v, TABLE_CHECKS_STATUS, KEY(a, K_EXACT(c.status), K_BARE(key)), key);
}

static inline void verify_kv(struct verify *v, struct str key, struct str value) {
    struct arena *a = v->read->arena;
    struct error e = ERROR_IN(a);
    struct dir_entry d;
    struct str session;
    record_decode(v->read, value, &dir_entry_shape, &d);
    ASSERT(str_eq(key, d.key));
    if (d.session.len > 0 && uuid_key(a, d.session, &session, &e)) {
        verify_lookup(v, TABLE_KVS_SESSION, KEY(a, K_BARE(session), K_BARE(key)), key);
    }
}

static inline void verify_session(struct verify *v, struct str key, struct str value) {
    struct arena *a = v->read->arena;
    struct session s;
    record_decode(v->read, value, &session_shape, &s);
    verify_lookup(v, TABLE_SESSIONS_NODE, KEY(a, K_LOWER(s.node), K_BARE(key)), key);
}

static inline void verify_query(struct verify *v, struct str key, struct str value) {
    struct arena *a = v->read->arena;
    struct error e = ERROR_IN(a);
    struct prepared_query q;
    struct str id, session;
    record_decode(v->read, value, &prepared_query_shape, &q);
    ASSERT(uuid_key(a, q.id, &id, &e) && str_eq(id, key));
    if (q.session.len > 0 && uuid_key(a, q.session, &session, &e)) {
        verify_lookup(v, TABLE_QUERIES_SESSION, KEY(a, K_BARE(session), K_BARE(key)), key);
    }
}

/* A list of links may have repeats. */
static inline void verify_links(struct verify *v, enum store_table table, const struct list *links,
                                struct str key) {
    struct arena *a = v->read->arena;
    for (uint32_t i = 0; i < links->len; i++) {
        struct str id = name_lower(a, LIST_AT(*links, struct acl_link, i).id);
        bool repeat = false;
        for (uint32_t k = 0; k < i && !repeat; k++)
            repeat = str_eq(name_lower(a, LIST_AT(*links, struct acl_link, k).id), id);
        if (!repeat)
            verify_lookup(v, table, KEY(a, K_LOWER(id), K_BARE(key)), key);
    }
}

static inline void verify_token(struct verify *v, struct str key, struct str value) {
    struct arena *a = v->read->arena;
    struct acl_token t;
    record_decode(v->read, value, &acl_token_shape, &t);
    ASSERT(str_eq(key, KEY(a, K_EXACT(t.secret_id))));
    verify_links(v, TABLE_ACL_TOKENS_POLICY, &t.policies, key);
    verify_links(v, TABLE_ACL_TOKENS_ROLE, &t.roles, key);
    if (t.auth_method.len > 0) {
        verify_lookup(v, TABLE_ACL_TOKENS_METHOD, KEY(a, K_EXACT(t.auth_method), K_BARE(key)), key);
    }
    v->expected[TABLE_ACL_TOKENS_OLD] += t.accessor_id.len == 0;
    v->expected[TABLE_ACL_TOKENS_DIGEST]++;
    v->expected[TABLE_ACL_TOKENS_EXPIRY] += t.expiration_time.present;
}

static inline void verify_role(struct verify *v, struct str key, struct str value) {
    struct acl_role r;
    record_decode(v->read, value, &acl_role_shape, &r);
    verify_links(v, TABLE_ACL_ROLES_POLICY, &r.policies, key);
}

static inline void verify_rule(struct verify *v, struct str key, struct str value) {
    struct acl_binding_rule r;
    record_decode(v->read, value, &acl_binding_rule_shape, &r);
    verify_lookup(v, TABLE_ACL_RULES_METHOD,
                  KEY(v->read->arena, K_LOWER(r.auth_method), K_BARE(key)), key);
}

static inline void verify_intention(struct verify *v, struct str key, struct str value) {
    struct arena *a = v->read->arena;
    struct intention x;
    record_decode(v->read, value, &intention_shape, &x);
    struct str source = KEY(a, K_LOWER(x.source_ns), K_LOWER(x.source_name));
    struct str destination = KEY(a, K_LOWER(x.destination_ns), K_LOWER(x.destination_name));
    verify_lookup(v, TABLE_INTENTIONS_SOURCE, KEY(a, K_BARE(source), K_BARE(key)), key);
    verify_lookup(v, TABLE_INTENTIONS_DESTINATION, KEY(a, K_BARE(destination), K_BARE(key)), key);
}

static inline void verify_mapping(struct verify *v, struct str key, struct str value) {
    struct arena *a = v->read->arena;
    struct gateway_service m;
    record_decode(v->read, value, &gateway_service_shape, &m);
    struct str gateway = KEY(a, K_LOWER(m.gateway.name)), name = KEY(a, K_LOWER(m.service.name));
    struct str port = str_sub(key, key.len - 8, 8);
    ASSERT(str_eq(key, KEY(a, K_BARE(gateway), K_BARE(name), K_BARE(port))));
    verify_lookup(v, TABLE_GATEWAYS_SERVICE, KEY(a, K_BARE(name), K_BARE(gateway), K_BARE(port)),
                  key);
}

static inline uint64_t verify_each(struct verify *v, enum store_table table,
                                   void (*fn)(struct verify *v, struct str key, struct str value)) {
    struct table_scan s;
    struct str key, value, last = STR_NONE;
    uint64_t count = 0;
    table_scan_begin(&s, v->read, table, STR(""));
    while (table_scan_next(&s, &key, &value)) {
        key = str_copy(v->read->arena, key);
        ASSERT(last.data == NULL || str_compare(last, key) < 0);
        last = key;
        if (fn != NULL)
            fn(v, key, value);
        count++;
    }
    table_scan_end(&s);
    return count;
}

/* Lookups by what should be unique lead to the record that had it last. Restored records, and
 * tokens with one accessor, may have it twice. */
static inline void verify_unique(struct verify *v, enum store_table lookups,
                                 enum store_table primary) {
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, v->read, lookups, STR(""));
    while (table_scan_next(&s, NULL, &value))
        ASSERT(table_has(v->read, primary, value));
    table_scan_end(&s);
}

static inline void verify_store(struct store_read *r) {
    struct verify v = {.read = r};
    verify_each(&v, TABLE_NODES, verify_node);
    verify_each(&v, TABLE_SERVICES, verify_service);
    verify_each(&v, TABLE_CHECKS, verify_check);
    verify_each(&v, TABLE_KVS, verify_kv);
    verify_each(&v, TABLE_QUERIES, verify_query);
    verify_each(&v, TABLE_ACL_TOKENS, verify_token);
    verify_each(&v, TABLE_ACL_ROLES, verify_role);
    verify_each(&v, TABLE_ACL_RULES, verify_rule);
    verify_each(&v, TABLE_INTENTIONS, verify_intention);
    verify_each(&v, TABLE_GATEWAYS, verify_mapping);
    verify_unique(&v, TABLE_QUERIES_NAME, TABLE_QUERIES);
    verify_unique(&v, TABLE_ACL_TOKENS_ACCESSOR, TABLE_ACL_TOKENS);
    verify_unique(&v, TABLE_ACL_POLICIES_NAME, TABLE_ACL_POLICIES);
    verify_unique(&v, TABLE_ACL_ROLES_NAME, TABLE_ACL_ROLES);
    verify_unique(&v, TABLE_INTENTIONS_NAMES, TABLE_INTENTIONS);
    verify_unique(&v, TABLE_CONFIG_LINKS, TABLE_CONFIG_ENTRIES);
    uint64_t sessions = verify_each(&v, TABLE_SESSIONS, verify_session);
    static const enum store_table lookups[] = {TABLE_NODES_ID,
                                               TABLE_NODES_META,
                                               TABLE_SERVICES_NAME,
                                               TABLE_SERVICES_KIND,
                                               TABLE_SERVICES_CONNECT,
                                               TABLE_CHECKS_SERVICE,
                                               TABLE_CHECKS_NAME,
                                               TABLE_CHECKS_STATUS,
                                               TABLE_KVS_SESSION,
                                               TABLE_SESSIONS_NODE,
                                               TABLE_QUERIES_SESSION,
                                               TABLE_ACL_TOKENS_POLICY,
                                               TABLE_ACL_TOKENS_ROLE,
                                               TABLE_ACL_TOKENS_METHOD,
                                               TABLE_ACL_TOKENS_EXPIRY,
                                               TABLE_ACL_ROLES_POLICY,
                                               TABLE_ACL_RULES_METHOD,
                                               TABLE_INTENTIONS_SOURCE,
                                               TABLE_INTENTIONS_DESTINATION,
                                               TABLE_GATEWAYS_SERVICE};
    for (size_t i = 0; i < COUNT_OF(lookups); i++) {
        ASSERT(verify_each(&v, lookups[i], NULL) == v.expected[lookups[i]]);
    }
    if (sessions == 0)
        ASSERT(verify_each(&v, TABLE_SESSION_CHECKS, NULL) == 0);
}

#endif
