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

static inline void verify_store(struct store_read *r) {
    struct verify v = {.read = r};
    verify_each(&v, TABLE_NODES, verify_node);
    verify_each(&v, TABLE_SERVICES, verify_service);
    verify_each(&v, TABLE_CHECKS, verify_check);
    verify_each(&v, TABLE_KVS, verify_kv);
    uint64_t sessions = verify_each(&v, TABLE_SESSIONS, verify_session);
    static const enum store_table lookups[] = {
        TABLE_NODES_ID,         TABLE_NODES_META,     TABLE_SERVICES_NAME, TABLE_SERVICES_KIND,
        TABLE_SERVICES_CONNECT, TABLE_CHECKS_SERVICE, TABLE_CHECKS_NAME,   TABLE_CHECKS_STATUS,
        TABLE_KVS_SESSION,      TABLE_SESSIONS_NODE};
    for (size_t i = 0; i < COUNT_OF(lookups); i++) {
        ASSERT(verify_each(&v, lookups[i], NULL) == v.expected[lookups[i]]);
    }
    if (sessions == 0)
        ASSERT(verify_each(&v, TABLE_SESSION_CHECKS, NULL) == 0);
}

#endif
