/* The whole log of a real server, and archives of it (tests/vectors/fsm): applied here, our
 * state.bin must hold the same records. Only the order inside maps may differ, and the peer writes
 * one auth method of several (fsm.md 7.2), where we write all.
 */
#include "fixture.h"
#include "store/apply.h"
#include "unit/vectors.h"

/* ---- files ---- */

/* state.bin of an archive. */
static struct str state_of_archive(struct arena *a, const char *name) {
    struct str tar = vectors_unpacked(a, name);
    for (size_t at = 0; at + 512 <= tar.len && tar.data[at] != 0;) {
        size_t size = strtoul(tar.data + at + 124, NULL, 8);
        if (strcmp(tar.data + at, "state.bin") == 0)
            return str_sub(tar, at + 512, size);
        at += 512 + (size + 511) / 512 * 512;
    }
    fail_msg("no state.bin");
    return STR_NONE;
}

static uint64_t number_of(const struct value *v, const char *key) {
    const struct value *found = value_get(v, key);
    assert_true(found != NULL && found->kind == VALUE_FLOAT);
    return (uint64_t)found->number;
}

/* ---- records with sorted maps ---- */

struct pair {
    struct str bytes;
    size_t key_len;
};

static int compare_pairs(const void *a, const void *b) {
    const struct pair *x = a, *y = b;
    return str_compare(str_sub(x->bytes, 0, x->key_len), str_sub(y->bytes, 0, y->key_len));
}

static struct str canonical(struct arena *a, struct msgpack_reader *in);

static struct str canonical_map(struct arena *a, struct msgpack_reader *in, struct str head,
                                uint32_t len) {
    struct pair *pairs = ARENA_ARRAY(a, struct pair, len);
    struct buf out = BUF_INIT;
    for (uint32_t i = 0; i < len; i++) {
        struct str key = canonical(a, in), value = canonical(a, in);
        struct str parts[] = {key, value};
        struct buf both = BUF_INIT;
        buf_add_str(&both, parts[0]);
        buf_add_str(&both, parts[1]);
        pairs[i] = (struct pair){str_copy(a, buf_str(&both)), key.len};
        buf_free(&both);
    }
    qsort(pairs, len, sizeof *pairs, compare_pairs);
    buf_add_str(&out, head);
    for (uint32_t i = 0; i < len; i++)
        buf_add_str(&out, pairs[i].bytes);
    struct str copy = str_copy(a, buf_str(&out));
    buf_free(&out);
    return copy;
}

/* The next object with all maps in it sorted; raw strings that hold a kind and a map, or a map, are
 * opened (config entries). */
static struct str canonical(struct arena *a, struct msgpack_reader *in) {
    struct error e = ERROR_IN(a);
    struct msgpack_token token;
    const uint8_t *start = in->at;
    assert_true(msgpack_next(in, &token, &e));
    struct str head = str_of(start, (size_t)(in->at - start));
    if (token.type == MSGPACK_MAP)
        return canonical_map(a, in, head, token.len);
    if (token.type == MSGPACK_ARRAY) {
        struct buf out = BUF_INIT;
        buf_add_str(&out, head);
        for (uint32_t i = 0; i < token.len; i++)
            buf_add_str(&out, canonical(a, in));
        head = str_copy(a, buf_str(&out));
        buf_free(&out);
    }
    return head;
}

static struct str canonical_config_entry(struct arena *a, struct msgpack_reader *in) {
    struct error e = ERROR_IN(a);
    struct msgpack_token wrapper, token;
    struct buf out = BUF_INIT;
    assert_true(msgpack_next(in, &wrapper, &e));
    struct msgpack_reader inner = msgpack_read(wrapper.str);
    buf_add_str(&out, canonical(a, &inner)); /* the kind */
    assert_true(msgpack_next(&inner, &token, &e));
    for (uint32_t left = token.len; left > 0; left--) {
        struct str key = canonical(a, &inner);
        struct msgpack_reader peek = inner;
        buf_add_str(&out, key);
        assert_true(msgpack_next(&peek, &token, &e));
        bool raw = str_has_suffix(key, STR("Entry")) && token.type == MSGPACK_RAW;
        struct msgpack_reader nested = msgpack_read(token.str);
        buf_add_str(&out, canonical(a, raw ? &nested : &inner));
        if (raw)
            inner = peek;
    }
    struct str copy = str_copy(a, buf_str(&out));
    buf_free(&out);
    return copy;
}

struct record {
    uint8_t type; /* 255: the header */
    struct str body;
};

static struct list records_of(struct arena *a, struct str state) {
    struct list records = LIST_EMPTY;
    uint32_t cap = 0;
    struct msgpack_reader in = msgpack_read(state);
    struct record *header = list_push(&records, &cap, sizeof *header, a);
    *header = (struct record){255, canonical(a, &in)};
    while (in.at < in.end) {
        uint8_t type = *in.at++;
        struct str body =
            type == ENTRY_CONFIG_ENTRY ? canonical_config_entry(a, &in) : canonical(a, &in);
        *(struct record *)list_push(&records, &cap, sizeof(struct record), a) =
            (struct record){type, body};
    }
    return records;
}

static void print_record(const char *whose, const struct record *r) {
    print_error("%s: %u ", whose, r->type);
    for (size_t i = 0; i < r->body.len && i < 700; i++) {
        unsigned char c = (unsigned char)r->body.data[i];
        print_error(c >= ' ' && c < 127 ? "%c" : "\\%02x", c);
    }
    print_error("\n");
}

/* `more_methods`: auth methods that only we write, behind the peer's. */
static void assert_same_state(struct arena *a, struct str ours, struct str theirs,
                              uint32_t more_methods) {
    struct list mine = records_of(a, ours), peers = records_of(a, theirs);
    uint32_t k = 0;
    for (uint32_t i = 0; i < mine.len; i++) {
        const struct record *m = &LIST_AT(mine, struct record, i);
        const struct record *p = k < peers.len ? &LIST_AT(peers, struct record, k) : NULL;
        bool same = p != NULL && p->type == m->type && str_eq(p->body, m->body);
        if (!same && m->type == ENTRY_ACL_AUTH_METHOD_SET && more_methods > 0) {
            more_methods--;
            continue;
        }
        if (!same) {
            print_record("ours", m);
            if (p != NULL)
                print_record("peer", p);
        }
        assert_true(same);
        k++;
    }
    assert_int_equal(k, peers.len);
    assert_int_equal(more_methods, 0);
}

/* ---- our side ---- */

static bool to_buf(void *owner, struct str bytes, struct error *e) {
    buf_add_str(owner, bytes);
    return true;
}

static struct str state_of(struct fixture *f) {
    struct buf out = BUF_INIT;
    WITH_READ(f, r) assert_true(store_snapshot_write(r, to_buf, &out, &f->error));
    struct str copy = str_copy(&f->arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

static void restore(struct fixture *f, struct str bytes, uint64_t index) {
    struct store_restore *r = store_restore_begin(f->store, &f->error);
    assert_non_null(r);
    bool ok = store_restore_feed(r, bytes, &f->error);
    if (!ok)
        print_error("%.*s\n", STR_ARG(f->error.text));
    assert_true(ok);
    assert_true(store_restore_commit(r, index, 2, NULL, &f->error));
    f->index = index;
}

static struct str refused[512]; /* by index: the text */

/* Applies the entries with indexes from `from` to `to`. */
static void apply_log(struct fixture *f, const struct value *log, uint64_t from, uint64_t to) {
    const struct value *entries = value_get(log, "entries");
    assert_non_null(entries);
    for (size_t i = 0; i < entries->list.len; i++) {
        const struct value *entry = &entries->list.items[i];
        uint64_t index = number_of(entry, "index");
        const struct value *type = value_get(entry, "type"); /* of the Raft entry */
        if (index < from || index > to || (type != NULL && type->number != 0))
            continue;
        const struct value *term = value_get(entry, "term");
        f->term = term != NULL ? (uint64_t)term->number : 100;
        struct str data = hex_bytes(&f->arena, value_text(entry, "data_hex"));
        struct str extensions = hex_bytes(&f->arena, value_text(entry, "extensions_hex"));
        struct store_result *result = apply_at(f, index, data, extensions);
        refused[index] = STR_NONE;
        if (result->kind == STORE_RESULT_ERROR)
            refused[index] = str_copy(&f->arena, result->error.text);
    }
}

static void log_gives_the_peers_state(void **state) {
    struct fixture *f = *state;
    const struct value *log = vectors_json(&f->arena, "fsm/log/entries.json.gz");
    apply_log(f, log, 1, 92);
    assert_same_state(&f->arena, state_of(f), state_of_archive(&f->arena, "fsm/full.snap"), 1);
    apply_log(f, log, 93, 214);
    assert_same_state(&f->arena, state_of(f), state_of_archive(&f->arena, "fsm/log/final.snap"), 1);
    for (uint64_t i = 0; i <= 214; i++) {
        bool expected = i == 52 || i == 53 || i == 54 || i == 107;
        if (expected != (refused[i].data != NULL))
            print_error("%llu: %.*s\n", (unsigned long long)i, STR_ARG(refused[i]));
        assert_int_equal(expected, refused[i].data != NULL);
    }
}

/* Restored half way, the rest of the log leads to the same end. */
static void restored_state_goes_on(void **state) {
    struct fixture *f = *state;
    const struct value *log = vectors_json(&f->arena, "fsm/log/entries.json.gz");
    restore(f, state_of_archive(&f->arena, "fsm/full.snap"), 92);
    assert_same_state(&f->arena, state_of(f), state_of_archive(&f->arena, "fsm/full.snap"), 0);
    apply_log(f, log, 93, 214);
    assert_same_state(&f->arena, state_of(f), state_of_archive(&f->arena, "fsm/log/final.snap"), 0);
}

static void replay_gives_the_peers_state(void **state) {
    struct fixture *f = *state;
    const struct value *log = vectors_json(&f->arena, "fsm/replay/entries.json");
    restore(f, vectors_unpacked(&f->arena, "fsm/replay/base-state.bin.gz"), 7);
    apply_log(f, log, 8, 1000);
    assert_same_state(&f->arena, state_of(f),
                      vectors_unpacked(&f->arena, "fsm/replay/result-state.bin.gz"), 0);
    assert_refused(&f->result, "Invalid KVS operation 'bogus'"); /* the last one */
}

static void pending_chunk_survives(void **state) {
    struct fixture *f = *state;
    struct str theirs = state_of_archive(&f->arena, "fsm/chunk.snap");
    restore(f, theirs, 86);
    assert_same_state(&f->arena, state_of(f), theirs, 0);
}

/* Records of types 4 and 11 become a token and an index entry. */
static void old_records_are_read(void **state) {
    struct fixture *f = *state;
    restore(f, state_of_archive(&f->arena, "fsm/rewritten.snap"), 92);
    struct str ours = state_of(f);
    WITH_READ(f, r) {
        struct acl_token token;
        struct str key = KEY(r->arena, K_EXACT(STR("legacy-secret-1")));
        assert_true(record_get(r, TABLE_ACL_TOKENS, key, &acl_token_shape, &token));
        assert_str(token.description, "old token");
        assert_str(token.type, "client");
        assert_str(token.rules, "key \"\" { policy = \"read\" }");
        assert_str(token.accessor_id, "");
        assert_int_equal(token.create_index, 50);
        assert_int_equal(token.modify_index, 51);
        assert_int_equal(token.hash.len, 32);
    }
    restore(f, ours, 92); /* and ours is read again */
    assert_same_state(&f->arena, state_of(f), ours, 0);
}

/* One entry of each type and operation, alone: none stops the state machine. */
static void entries_alone_are_applied(void **state) {
    struct fixture *f = *state;
    const struct value *sample = vectors_json(&f->arena, "fsm/entries.json");
    const struct value *entries = value_get(sample, "entries");
    for (size_t i = 0; i < entries->list.len; i++) {
        struct fixture *alone = fixture_open(NULL);
        struct str data = hex_bytes(&f->arena, value_text(&entries->list.items[i], "data_hex"));
        apply_at(alone, 5, data, STR_NONE);
        fixture_close(alone);
    }
    assert_true(entries->list.len > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(log_gives_the_peers_state, setup, teardown),
        cmocka_unit_test_setup_teardown(restored_state_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(replay_gives_the_peers_state, setup, teardown),
        cmocka_unit_test_setup_teardown(pending_chunk_survives, setup, teardown),
        cmocka_unit_test_setup_teardown(old_records_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(entries_alone_are_applied, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
