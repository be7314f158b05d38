/* Everything that was captured from the peer, read and written again: packets and streams through
 * all layers, keys, tags, compression; and the numbers of formulas and coordinates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/sha.h>
#include <stdio.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/lzw.h"
#include "gossip/frame.h"
#include "gossip/state.h"
#include "unit/vectors.h"

static struct arena arena;

static struct str hex(const struct value *v, const char *key) {
    return value_hex(v, key, &arena);
}
static double number(const struct value *v, const char *key) {
    struct value *found = value_get(v, key);
    assert_non_null(found);
    return found->number;
}
static uint64_t whole(const struct value *v) {
    /* Numbers above 2^53 only by their literal. */
    uint64_t n = 0;
    if (v->literal.data != NULL && str_to_u64(v->literal, &n))
        return n;
    int64_t i = 0;
    if (v->literal.data != NULL && str_to_i64(v->literal, &i))
        return (uint64_t)i;
    return (uint64_t)(int64_t)v->number;
}

static void assert_bytes(struct str a, struct str b) {
    assert_int_equal(a.len, b.len);
    if (a.len > 0)
        assert_memory_equal(a.data, b.data, a.len);
}

/* ---- decoded structures against JSON ---- */

static void check_fields(const struct wire_shape *shape, const void *s, const struct value *x);

static struct str bytes_of(const struct value *v) {
    if (v->kind == VALUE_NULL)
        return STR_NONE;
    assert_int_equal(v->kind, VALUE_STRING);
    if (str_has_prefix(v->string, STR("hex:")))
        return hex_bytes(&arena, str_sub(v->string, 4, SIZE_MAX));
    return v->string;
}

static void check_list(const struct wire_field *f, const struct wire_list *list,
                       const struct value *x) {
    if (x->kind == VALUE_NULL) {
        assert_false(list->present);
        return;
    }
    if (x->kind == VALUE_MAP && f->kind == WIRE_STRUCTS) { /* the events: "non_nil" */
        assert_int_equal(list->len, number(x, "array_length"));
        const struct value *there = value_get(x, "non_nil");
        size_t seen = 0;
        for (size_t i = 0; i < list->len; i++)
            seen += ((void **)list->items)[i] != NULL;
        assert_int_equal(seen, there->list.len);
        return;
    }
    if (x->kind == VALUE_MAP) {
        assert_int_equal(list->len, x->map.len);
        for (size_t i = 0; i < list->len; i++) {
            if (f->kind == WIRE_LTIMES) {
                struct wire_ltime *t = &((struct wire_ltime *)list->items)[i];
                assert_true(str_eq(t->name, x->map.pairs[i].key));
                assert_int_equal(t->ltime, whole(&x->map.pairs[i].value));
            } else {
                struct wire_tag *t = &((struct wire_tag *)list->items)[i];
                assert_true(str_eq(t->name, x->map.pairs[i].key));
                assert_true(str_eq(t->value, x->map.pairs[i].value.string));
            }
        }
        return;
    }
    assert_int_equal(x->kind, VALUE_LIST);
    assert_int_equal(list->len, x->list.len);
    for (size_t i = 0; i < list->len; i++) {
        if (f->kind == WIRE_STRS || f->kind == WIRE_BYTESES)
            assert_bytes(((struct str *)list->items)[i], bytes_of(&x->list.items[i]));
        else
            assert_true(((double *)list->items)[i] == x->list.items[i].number);
    }
}

static void check_field(const struct wire_field *f, const void *at, const struct value *x) {
    switch (f->kind) {
    case WIRE_U8:
        assert_int_equal(*(const uint8_t *)at, whole(x));
        break;
    case WIRE_U16:
        assert_int_equal(*(const uint16_t *)at, whole(x));
        break;
    case WIRE_U32:
        assert_int_equal(*(const uint32_t *)at, whole(x));
        break;
    case WIRE_U64:
    case WIRE_I64:
        assert_int_equal(*(const uint64_t *)at, whole(x));
        break;
    case WIRE_BOOL:
        assert_int_equal(*(const bool *)at, x->boolean);
        break;
    case WIRE_F64:
        assert_true(*(const double *)at == x->number);
        break;
    case WIRE_STR:
    case WIRE_BYTES:
        assert_bytes(*(const struct str *)at, bytes_of(x));
        break;
    case WIRE_STRUCT:
        check_fields(f->sub, at, x);
        break;
    default:
        check_list(f, at, x);
    }
}

static void check_fields(const struct wire_shape *shape, const void *s, const struct value *x) {
    for (size_t i = 0; i < shape->len; i++) {
        const struct wire_field *f = &shape->fields[i];
        const struct value *v = value_get(x, f->name);
        if (v == NULL) {
            assert_true(f->omit_empty);
            continue;
        }
        check_field(f, (const char *)s + f->offset, v);
    }
}

/* Reads, compares, and writes again: the same bytes. Returns where the value ended. */
static size_t check_value(struct str bytes, const struct wire_shape *shape, const struct value *x,
                          void *to) {
    struct error e = ERROR_IN(&arena);
    struct msgpack_reader in = msgpack_read(bytes);
    assert_true(wire_read(&in, shape, to, &arena, &e));
    size_t used = (size_t)((const char *)in.at - bytes.data);
    check_fields(shape, to, x);
    struct buf again = BUF_INIT;
    wire_write(&again, shape, to);
    /* Empty bytes read as nil, and are written so. */
    assert_int_equal(again.len, used);
    for (size_t i = 0; i < used; i++) {
        uint8_t ours = (uint8_t)again.data[i], theirs = (uint8_t)bytes.data[i];
        assert_true(ours == theirs || (ours == 0xc0 && theirs == 0xa0));
    }
    buf_free(&again);
    struct wire_scan scan = {0, 0};
    for (size_t i = 0; i < used; i++)
        assert_int_equal(wire_scan_value(&scan, str_sub(bytes, 0, i)), WIRE_MORE);
    assert_int_equal(wire_scan_value(&scan, bytes), WIRE_DONE);
    assert_int_equal(scan.at, used);
    return used;
}

/* ---- messages ---- */

static const struct wire_shape *shapes[] = {
    [MESSAGE_PING] = &ping_wire,   [MESSAGE_INDIRECT_PING] = &indirect_ping_wire,
    [MESSAGE_ACK] = &ack_wire,     [MESSAGE_SUSPECT] = &accusation_wire,
    [MESSAGE_ALIVE] = &alive_wire, [MESSAGE_DEAD] = &accusation_wire,
    [MESSAGE_NACK] = &nack_wire,   [MESSAGE_ERROR] = &error_wire,
};
static const struct wire_shape *serf_shapes[] = {
    [SERF_LEAVE] = &leave_wire,
    [SERF_JOIN] = &join_wire,
    [SERF_PUSH_PULL] = &push_pull_state_wire,
    [SERF_USER_EVENT] = &user_event_wire,
    [SERF_QUERY] = &query_wire,
    [SERF_QUERY_RESPONSE] = &query_response_wire,
    [SERF_CONFLICT_RESPONSE] = &conflict_member_wire,
    [SERF_KEY_REQUEST] = &key_request_wire,
    [SERF_KEY_RESPONSE] = &key_response_wire,
    [SERF_RELAY] = &relay_header_wire,
};

union any {
    struct ping_message ping;
    struct indirect_ping_message indirect;
    struct alive_message alive;
    struct push_pull_state state;
    struct query_message query;
    struct query_response_message response;
    struct conflict_member conflict;
    struct node_record node;
    struct relay_header relay;
    struct key_response key;
    struct ack_message ack;
    char bytes[512];
};

static size_t checked;

static void check_tags(struct str meta, const struct value *x) {
    struct gossip_tag *tags;
    size_t len = gossip_tags_read(meta, &tags, &arena);
    assert_int_equal(len, x->map.len);
    for (size_t i = 0; i < len; i++) {
        assert_true(
            str_eq(gossip_tag_get(meta, x->map.pairs[i].key), x->map.pairs[i].value.string));
        assert_true(i == 0 || str_compare(tags[i - 1].name, tags[i].name) < 0);
    }
}

static void check_serf(struct str bytes, const struct value *m) {
    unsigned type = (uint8_t)bytes.data[0];
    assert_int_equal(type, number(m, "serf_type"));
    const struct value *fields = value_get(m, "fields");
    struct str body = str_sub(bytes, 1, SIZE_MAX);
    if (fields->kind == VALUE_NULL) { /* conflict: unknown */
        assert_int_equal(body.len, 1);
        assert_int_equal((uint8_t)body.data[0], 0xc0);
        return;
    }
    union any any;
    size_t used = check_value(body, serf_shapes[type], fields, &any);
    const struct value *payload = value_get(m, "payload_decoded");
    if (payload != NULL && value_get(payload, "serf_type") != NULL)
        check_serf(type == SERF_QUERY ? any.query.payload : any.response.payload, payload);
    if (type == SERF_RELAY)
        check_serf(str_sub(body, used, SIZE_MAX), value_get(m, "relayed"));
}

static void check_coordinate(struct str payload, const struct value *x) {
    struct error e = ERROR_IN(&arena);
    struct coordinate_payload c;
    assert_int_equal(payload.data[0], 1);
    assert_true(wire_read_all(str_sub(payload, 1, SIZE_MAX), &coordinate_wire, &c, &arena, &e));
    check_fields(&coordinate_wire, &c, value_get(x, "coordinate"));
    struct buf again = BUF_INIT;
    wire_write(&again, &coordinate_wire, &c);
    assert_bytes(buf_str(&again), str_sub(payload, 1, SIZE_MAX));
    buf_free(&again);
}

static void check_message(struct str bytes, const struct value *m) {
    unsigned type = (uint8_t)bytes.data[0];
    assert_int_equal(type, number(m, "type"));
    checked++;
    struct str body = str_sub(bytes, 1, SIZE_MAX);
    if (type == MESSAGE_USER) {
        check_serf(body, m);
        return;
    }
    union any any;
    check_value(body, shapes[type], value_get(m, "fields"), &any);
    if (value_get(m, "meta_tags") != NULL)
        check_tags(any.alive.meta, value_get(m, "meta_tags"));
    if (value_get(m, "payload_decoded") != NULL)
        check_coordinate(any.ack.payload, value_get(m, "payload_decoded"));
}

/* A push/pull of a stream. */
static void check_stream_message(struct str bytes, const struct value *m) {
    unsigned type = (uint8_t)bytes.data[0];
    if (type != MESSAGE_PUSH_PULL) {
        check_message(bytes, m);
        return;
    }
    assert_int_equal(type, number(m, "type"));
    checked++;
    union any any;
    size_t at = 1;
    struct push_pull_header h;
    at += check_value(str_sub(bytes, at, SIZE_MAX), &push_pull_header_wire, value_get(m, "header"),
                      &h);
    const struct value *nodes = value_get(m, "nodes");
    assert_int_equal(h.nodes, nodes->list.len);
    for (size_t i = 0; i < nodes->list.len; i++) {
        at += check_value(str_sub(bytes, at, SIZE_MAX), &node_record_wire, &nodes->list.items[i],
                          &any);
        if (value_get(&nodes->list.items[i], "Meta_tags") != NULL)
            check_tags(any.node.meta, value_get(&nodes->list.items[i], "Meta_tags"));
    }
    assert_int_equal(bytes.len - at, h.user_state_len);
    check_serf(str_sub(bytes, at, SIZE_MAX), value_get(m, "user_state"));
}

static void check_user_message(struct str bytes, const struct value *x) {
    struct user_header h;
    assert_int_equal((uint8_t)bytes.data[0], MESSAGE_USER);
    size_t at =
        1 + check_value(str_sub(bytes, 1, SIZE_MAX), &user_header_wire, value_get(x, "header"), &h);
    assert_int_equal(h.user_msg_len, bytes.len - at);
    check_serf(str_sub(bytes, at, SIZE_MAX), value_get(x, "message"));
    checked++;
}

/* Takes the layers off as "layers" says, and checks that ours would be the same. */
static void check_layers(struct str bytes, const struct value *x, bool stream) {
    const struct value *messages = value_get(x, "messages");
    struct buf whole_packet = BUF_INIT, inflated = BUF_INIT, again = BUF_INIT;
    struct error e = ERROR_IN(&arena);
    if (!stream && (uint8_t)bytes.data[0] == MESSAGE_CRC) {
        frame_add_crc(&whole_packet, str_sub(bytes, FRAME_CRC_SIZE, SIZE_MAX));
        assert_bytes(buf_str(&whole_packet), bytes);
        bytes = str_sub(bytes, FRAME_CRC_SIZE, SIZE_MAX);
    }
    if ((uint8_t)bytes.data[0] == MESSAGE_COMPRESS) {
        assert_true(frame_decompress(&inflated, str_sub(bytes, 1, SIZE_MAX), 1 << 20, &arena, &e));
        frame_compress(&again, buf_str(&inflated));
        assert_bytes(buf_str(&again), bytes);
        bytes = buf_str(&inflated);
    }
    if (!stream && (uint8_t)bytes.data[0] == MESSAGE_COMPOUND) {
        struct frame_parts parts;
        struct str list[FRAME_COMPOUND_MAX];
        size_t len = 0;
        assert_true(frame_parts_begin(&parts, str_sub(bytes, 1, SIZE_MAX), &e));
        while (frame_parts_next(&parts, &list[len])) {
            check_message(list[len], &messages->list.items[len]);
            len++;
        }
        assert_int_equal(len, messages->list.len);
        assert_int_equal(parts.truncated, 0);
        buf_clear(&again);
        frame_compound(&again, list, len);
        assert_bytes(buf_str(&again), bytes);
    } else {
        assert_int_equal(messages->list.len, 1);
        if (stream)
            check_stream_message(bytes, &messages->list.items[0]);
        else
            check_message(bytes, &messages->list.items[0]);
    }
    buf_free(&whole_packet);
    buf_free(&inflated);
    buf_free(&again);
}

static void test_packets(void **state) {
    const struct value *all = vectors_json(&arena, "gossip/packets.json");
    checked = 0;
    for (size_t i = 0; i < all->list.len; i++)
        check_layers(hex(&all->list.items[i], "hex"), &all->list.items[i], false);
    assert_true(all->list.len >= 30 && checked > 40);
}

static void test_streams(void **state) {
    const struct value *all = vectors_json(&arena, "gossip/streams.json");
    checked = 0;
    for (size_t i = 0; i < all->list.len; i++) {
        const struct value *x = &all->list.items[i];
        if (value_get(x, "message") != NULL)
            check_user_message(hex(x, "hex"), x);
        else
            check_layers(hex(x, "hex"), x, true);
    }
    assert_int_equal(checked, all->list.len);
}

static void test_encryption(void **state) {
    const struct value *all = vectors_json(&arena, "gossip/encryption.json");
    struct crypt crypt = {NULL};
    for (size_t i = 0; i < all->list.len; i++) {
        const struct value *x = &all->list.items[i];
        struct error e = ERROR_IN(&arena);
        struct keyring ring = {.len = 0};
        /* A wrong key first: all are tried. */
        assert_true(keyring_add(&ring, STR("0123456789abcdef"), &e));
        assert_true(keyring_add(&ring, hex(x, "key"), &e));
        bool stream = str_is(value_text(x, "transport"), "tcp");
        struct str payload = str_sub(hex(x, "hex"), stream ? 5 : 0, SIZE_MAX);
        struct buf plain = BUF_INIT, again = BUF_INIT;
        assert_true(crypt_open(&crypt, &plain, &ring, payload, hex(x, "aad"), &e));
        bool padded = value_get(x, "plaintext_unpadded") != NULL;
        assert_bytes(buf_str(&plain), hex(x, padded ? "plaintext_unpadded" : "plaintext"));
        assert_true(keyring_use(&ring, hex(x, "key"), &e));
        crypt_seal(&crypt, &again, (unsigned)number(x, "version"), &ring,
                   (const uint8_t *)hex(x, "nonce").data, buf_str(&plain), hex(x, "aad"));
        assert_bytes(buf_str(&again), payload);
        check_layers(buf_str(&plain), x, stream);
        /* One bit wrong, and it does not open. */
        again.data[again.len / 2] ^= 1;
        buf_clear(&plain);
        assert_false(crypt_open(&crypt, &plain, &ring, buf_str(&again), hex(x, "aad"), &e));
        buf_free(&plain);
        buf_free(&again);
    }
    crypt_free(&crypt);
}

static void test_lzw(void **state) {
    const struct value *all = vectors_json(&arena, "gossip/lzw.json");
    for (size_t i = 0; i < all->list.len; i++) {
        const struct value *x = &all->list.items[i];
        size_t len = (size_t)number(x, "raw_len");
        char *raw = arena_alloc(&arena, len);
        if (value_get(x, "raw") != NULL) {
            memcpy(raw, hex(x, "raw").data, len);
        } else if (str_has_prefix(value_text(x, "name"), STR("zeros"))) {
            memset(raw, 0, len);
        } else {
            for (size_t k = 0; k < len; k++)
                raw[k] = (char)(k % 5 ? ((k * k * 31 + k * 7) >> 3) & 255 : (k >> 4) & 255);
        }
        struct buf out = BUF_INIT, back = BUF_INIT;
        lzw_compress(&out, str_of(raw, len));
        assert_int_equal(out.len, number(x, "lzw_len"));
        uint8_t sum[32];
        SHA256((const uint8_t *)out.data, out.len, sum);
        assert_bytes(str_of(sum, 32), hex(x, "lzw_sha256"));
        struct error e = ERROR_IN(&arena);
        assert_true(lzw_decompress(&back, buf_str(&out), len, &e));
        assert_bytes(buf_str(&back), str_of(raw, len));
        if (len > 1) { /* a limit is kept, a cut is seen */
            buf_clear(&back);
            assert_false(lzw_decompress(&back, buf_str(&out), len - 1, &e));
            buf_clear(&back);
            assert_false(lzw_decompress(&back, str_sub(buf_str(&out), 0, out.len - 2), len, &e));
        }
        buf_free(&out);
        buf_free(&back);
    }
}

static void test_tags(void **state) {
    const struct value *all = vectors_json(&arena, "gossip/tags.json");
    for (size_t i = 0; i < all->list.len; i++) {
        const struct value *x = &all->list.items[i];
        struct str meta = hex(x, "hex"), again;
        check_tags(meta, value_get(x, "tags"));
        struct gossip_tag *tags;
        struct error e = ERROR_IN(&arena);
        size_t len = gossip_tags_read(meta, &tags, &arena);
        assert_true(gossip_tags_write(tags, len, &again, &arena, &e));
        assert_int_equal(again.len, meta.len);
        check_tags(again, value_get(x, "tags"));
    }
    struct gossip_tag *tags;
    assert_int_equal(gossip_tags_read(STR("old"), &tags, &arena), 1);
    assert_true(str_is(tags[0].name, "role") && str_is(tags[0].value, "old"));
    assert_int_equal(gossip_tags_read(STR("\xff\x82\xa1y\xa1z\xa1q"), &tags, &arena), 1);
    assert_true(str_is(gossip_tag_get(STR("\xff\x82\xa1y\xa1z\xa1q"), STR("y")), "z"));
}

static void test_formulas(void **state) {
    const struct value *x = vectors_json(&arena, "gossip/formulas.json");
    const struct value *list = value_get(x, "retransmit_limit");
    for (size_t i = 0; i < list->list.len; i++) {
        const struct value *v = &list->list.items[i];
        assert_int_equal(
            gossip_retransmit_limit((unsigned)number(v, "mult"), (size_t)number(v, "nodes")),
            number(v, "limit"));
    }
    list = value_get(x, "suspicion_min_ns");
    for (size_t i = 0; i < list->list.len; i++) {
        const struct value *v = &list->list.items[i];
        int64_t min = gossip_suspicion_min((unsigned)number(v, "mult"), (size_t)number(v, "nodes"),
                                           (int64_t)number(v, "probe_interval_ns"));
        assert_int_equal(min, number(v, "min"));
        assert_int_equal(6 * min, number(v, "max"));
    }
    list = value_get(x, "suspicion_timeout_after_confirmations_ns");
    for (size_t i = 0; i < list->list.len; i++) {
        const struct value *v = &list->list.items[i];
        assert_int_equal(
            gossip_suspicion_timeout((uint32_t)number(v, "k"), (uint32_t)number(v, "confirmations"),
                                     (int64_t)number(v, "min"), (int64_t)number(v, "max")),
            number(v, "timeout"));
    }
    list = value_get(x, "push_pull_interval_ns");
    for (size_t i = 0; i < list->list.len; i++) {
        const struct value *v = &list->list.items[i];
        assert_int_equal(
            gossip_push_pull_interval((int64_t)number(v, "base"), (size_t)number(v, "nodes")),
            number(v, "interval"));
    }
    list = value_get(x, "query_timeout_ns");
    for (size_t i = 0; i < list->list.len; i++) {
        const struct value *v = &list->list.items[i];
        assert_int_equal(gossip_query_timeout((int64_t)number(v, "gossip_interval"),
                                              (size_t)number(v, "members")),
                         number(v, "timeout"));
    }
}

static double bits(struct str hex_text) {
    uint64_t n = be64_get(hex_bytes(&arena, hex_text).data);
    double d;
    memcpy(&d, &n, sizeof d);
    return d;
}

static struct gossip_coordinate read_bits(const struct value *x) {
    struct gossip_coordinate c = {.error = bits(value_text(x, "Error")),
                                  .adjustment = bits(value_text(x, "Adjustment")),
                                  .height = bits(value_text(x, "Height"))};
    const struct value *vec = value_get(x, "Vec");
    for (size_t i = 0; i < COORDINATE_DIMENSIONS; i++)
        c.vec[i] = bits(vec->list.items[i].string);
    return c;
}

static void test_coordinates(void **state) {
    const struct value *steps = value_get(vectors_json(&arena, "gossip/coordinates.json"), "steps");
    struct coordinate_client client;
    coordinate_client_init(&client);
    struct coordinate_filter filters[16] = {0};
    struct str names[16] = {0};
    struct prng rng;
    prng_seed(&rng, 1);
    for (size_t i = 0; i < steps->list.len; i++) {
        const struct value *x = &steps->list.items[i];
        size_t k = 0;
        while (names[k].data != NULL && !str_eq(names[k], value_text(x, "node")))
            k++;
        names[k] = value_text(x, "node");
        struct gossip_coordinate other = read_bits(value_get(x, "other"));
        struct error e = ERROR_IN(&arena);
        if (value_get(x, "error") != NULL) {
            assert_false(coordinate_move(&client, &filters[k], &other, (int64_t)number(x, "rtt_ns"),
                                         &rng, &e));
            assert_true(str_eq(e.text, value_text(x, "error")));
            continue;
        }
        struct gossip_coordinate after = read_bits(value_get(x, "after_bits"));
        assert_true(
            coordinate_move(&client, &filters[k], &other, (int64_t)number(x, "rtt_ns"), &rng, &e));
        assert_memory_equal(&client.own, &after, sizeof after);
        assert_int_equal(coordinate_distance(&client.own, &other),
                         number(x, "distance_to_other_ns"));
    }
    struct gossip_coordinate before = client.own, bad = coordinate_initial();
    struct error e = ERROR_IN(&arena);
    assert_false(coordinate_move(&client, &filters[0], &bad, 11 * SECOND, &rng, &e));
    assert_true(str_is(e.text, "round trip time not in valid range, duration 11s is not a positive "
                               "value less than 10s "));
    error_clear(&e);
    bad.vec[3] = 0.0 / 0.0;
    assert_false(coordinate_move(&client, &filters[0], &bad, SECOND, &rng, &e));
    assert_true(str_is(e.text, "coordinate is invalid"));
    assert_memory_equal(&client.own, &before, sizeof before);
}

static void test_files(void **state) {
    const struct value *all = vectors_json(&arena, "gossip/files.json");
    size_t keyrings = 0;
    for (size_t i = 0; i < all->list.len; i++) {
        const struct value *x = &all->list.items[i];
        struct str name = value_text(x, "name"), file = value_text(x, "text");
        if (str_find(name, STR("keyring"), 0) < 0)
            continue;
        struct keyring ring;
        struct error e = ERROR_IN(&arena);
        assert_true(keyring_parse(&ring, file, &e));
        struct buf again = BUF_INIT;
        keyring_format(&again, &ring, str_find(name, STR("rewritten"), 0) >= 0);
        assert_bytes(buf_str(&again), file);
        buf_free(&again);
        keyrings++;
    }
    assert_int_equal(keyrings, 2);
}

/* codec.json: the dialect as our writer has it. */
static void test_codec(void **state) {
    const struct value *all = vectors_json(&arena, "gossip/codec.json");
    size_t seen = 0;
    for (size_t i = 0; i < all->list.len; i++) {
        const struct value *x = &all->list.items[i];
        const struct value *v = value_get(x, "value");
        struct str name = value_text(x, "name");
        struct buf out = BUF_INIT;
        if (str_has_prefix(name, STR("uint-")))
            msgpack_write_u64(&out, whole(v));
        else if (str_has_prefix(name, STR("int-")))
            msgpack_write_i64(&out, (int64_t)whole(v));
        else if (str_has_prefix(name, STR("str-")))
            msgpack_write_str(&out, v->string);
        else
            continue;
        assert_bytes(buf_str(&out), hex(x, "hex"));
        buf_free(&out);
        seen++;
    }
    assert_true(seen > 20);
}

static int teardown(void **state) {
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_packets, teardown),
        cmocka_unit_test_teardown(test_streams, teardown),
        cmocka_unit_test_teardown(test_encryption, teardown),
        cmocka_unit_test_teardown(test_lzw, teardown),
        cmocka_unit_test_teardown(test_tags, teardown),
        cmocka_unit_test_teardown(test_formulas, teardown),
        cmocka_unit_test_teardown(test_coordinates, teardown),
        cmocka_unit_test_teardown(test_files, teardown),
        cmocka_unit_test_teardown(test_codec, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
