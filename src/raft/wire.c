/* Requests and responses in msgpack: maps with all keys, sorted (raft.md 1.4). Reading takes any
 * order and ignores unknown keys.
 */
#include "raft/wire.h"

#include "base/mem.h"
#include "codec/msgpack.h"

enum { RPC_APPEND = 0, RPC_VOTE = 1, RPC_INSTALL = 2, RPC_TIMEOUT_NOW = 3 };

static const uint8_t rpc_of_kind[] = {[RAFT_APPEND] = RPC_APPEND,
                                      [RAFT_VOTE] = RPC_VOTE,
                                      [RAFT_INSTALL] = RPC_INSTALL,
                                      [RAFT_TIMEOUT_NOW] = RPC_TIMEOUT_NOW};

/* ---- writing ---- */

static void put_u64(struct buf *out, const char *key, uint64_t n) {
    msgpack_write_text(out, key);
    msgpack_write_u64(out, n);
}

static void put_bool(struct buf *out, const char *key, bool b) {
    msgpack_write_text(out, key);
    msgpack_write_bool(out, b);
}

/* Bytes: absent is nil. */
static void put_bytes(struct buf *out, const char *key, struct str bytes) {
    msgpack_write_text(out, key);
    if (bytes.data == NULL)
        msgpack_write_nil(out);
    else
        msgpack_write_str(out, bytes);
}

static void put_address(struct buf *out, const char *key, struct str address) {
    msgpack_write_text(out, key);
    msgpack_write_str(out, address);
}

static void put_entry(struct buf *out, const struct raft_entry *e) {
    msgpack_write_map(out, 5);
    put_bytes(out, "Data", e->data);
    put_bytes(out, "Extensions", e->extensions);
    put_u64(out, "Index", e->index);
    put_u64(out, "Term", e->term);
    put_u64(out, "Type", e->type);
}

static void put_append(struct buf *out, const struct raft_append *a, unsigned own) {
    msgpack_write_map(out, 7);
    msgpack_write_text(out, "Entries");
    if (a->heartbeat) {
        msgpack_write_nil(out);
    } else {
        ASSERT(a->count == 0 || a->entries != NULL);
        msgpack_write_array(out, (uint32_t)a->count);
        for (size_t i = 0; i < a->count; i++)
            put_entry(out, a->entries[i]);
    }
    put_address(out, "Leader", a->leader);
    put_u64(out, "LeaderCommitIndex", a->commit);
    put_u64(out, "PrevLogEntry", a->previous_index);
    put_u64(out, "PrevLogTerm", a->previous_term);
    put_u64(out, "ProtocolVersion", own);
    put_u64(out, "Term", a->term);
}

static void put_vote(struct buf *out, const struct raft_vote *v, unsigned own) {
    msgpack_write_map(out, 6);
    put_address(out, "Candidate", v->candidate);
    put_u64(out, "LastLogIndex", v->last_log_index);
    put_u64(out, "LastLogTerm", v->last_log_term);
    put_bool(out, "LeadershipTransfer", v->leadership_transfer);
    put_u64(out, "ProtocolVersion", own);
    put_u64(out, "Term", v->term);
}

static void put_install(struct buf *out, const struct raft_install *in, unsigned own) {
    struct buf configuration = BUF_INIT, peers = BUF_INIT;
    raft_configuration_encode(in->configuration, &configuration);
    raft_configuration_encode_peers(in->configuration, &peers);
    msgpack_write_map(out, 10);
    put_bytes(out, "Configuration", buf_str(&configuration));
    put_u64(out, "ConfigurationIndex", in->configuration_index);
    put_u64(out, "LastLogIndex", in->last_index);
    put_u64(out, "LastLogTerm", in->last_term);
    put_address(out, "Leader", in->leader);
    put_bytes(out, "Peers", buf_str(&peers));
    put_u64(out, "ProtocolVersion", own);
    msgpack_write_text(out, "Size");
    msgpack_write_i64(out, in->size);
    msgpack_write_text(out, "SnapshotVersion");
    msgpack_write_i64(out, in->version);
    put_u64(out, "Term", in->term);
    buf_free(&configuration);
    buf_free(&peers);
}

void raft_wire_write_request(const struct raft_message *m, unsigned own, struct buf *out) {
    buf_add_char(out, (char)rpc_of_kind[m->kind]);
    switch (m->kind) {
    case RAFT_APPEND:
        put_append(out, &m->append, own);
        break;
    case RAFT_VOTE:
        put_vote(out, &m->vote, own);
        break;
    case RAFT_INSTALL:
        put_install(out, &m->install, own);
        break;
    default:
        ASSERT(m->kind == RAFT_TIMEOUT_NOW);
        msgpack_write_map(out, 1);
        put_u64(out, "ProtocolVersion", own);
        break;
    }
}

void raft_wire_write_response(const struct raft_message *m, struct str error, unsigned own,
                              struct buf *out) {
    msgpack_write_str(out, error);
    switch (m->kind) {
    case RAFT_APPEND_RESULT:
        msgpack_write_map(out, 5);
        put_u64(out, "LastLog", m->append_result.last_log);
        put_bool(out, "NoRetryBackoff", m->append_result.no_retry_backoff);
        put_u64(out, "ProtocolVersion", own);
        put_bool(out, "Success", m->append_result.success);
        put_u64(out, "Term", m->append_result.term);
        break;
    case RAFT_VOTE_RESULT:
        msgpack_write_map(out, 4);
        put_bool(out, "Granted", m->vote_result.granted);
        put_bytes(out, "Peers", STR_NONE);
        put_u64(out, "ProtocolVersion", own);
        put_u64(out, "Term", m->vote_result.term);
        break;
    case RAFT_INSTALL_RESULT: /* the peer leaves the version 0 in this one and the next */
        msgpack_write_map(out, 3);
        put_u64(out, "ProtocolVersion", 0);
        put_bool(out, "Success", m->install_result.success);
        put_u64(out, "Term", m->install_result.term);
        break;
    default:
        ASSERT(m->kind == RAFT_TIMEOUT_NOW_RESULT);
        msgpack_write_map(out, 1);
        put_u64(out, "ProtocolVersion", 0);
        break;
    }
}

void raft_wire_write_refusal(struct str text, struct buf *out) {
    msgpack_write_str(out, text);
    msgpack_write_nil(out);
}

bool raft_wire_version_ok(int64_t protocol, unsigned own) {
    return protocol >= (int64_t)own - 1 && protocol >= 0 && protocol <= RAFT_WIRE_PROTOCOL;
}

/* ---- where a request ends ---- */

/* What follows the first byte of a value: the bytes that say how long it is, its own bytes, and how
 * many values are inside. False: no msgpack. */
struct value_size {
    size_t length_bytes, bytes;
    uint64_t values;
    uint64_t unit; /* values = length x unit, or bytes += length when it is 0 */
};

static bool value_size(uint8_t first, struct value_size *v) {
    static const uint8_t scalar[0x100] = {
        [0xca] = 4, [0xcb] = 8,                                      /* floats */
        [0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xcf] = 8,              /* unsigned */
        [0xd0] = 1, [0xd1] = 2, [0xd2] = 4, [0xd3] = 8,              /* signed */
        [0xd4] = 2, [0xd5] = 3, [0xd6] = 5, [0xd7] = 9, [0xd8] = 17, /* ext, with its type */
    };
    *v = (struct value_size){0};
    if (first <= 0x7f || first >= 0xe0)
        return true;
    if (first <= 0x8f)
        v->values = 2 * (first & 0x0fu);
    else if (first <= 0x9f)
        v->values = first & 0x0fu;
    else if (first <= 0xbf)
        v->bytes = first & 0x1fu;
    else if (first >= 0xc4 && first <= 0xc6) /* bin */
        v->length_bytes = (size_t)1 << (first - 0xc4);
    else if (first >= 0xc7 && first <= 0xc9) { /* ext, with a byte for its type */
        v->length_bytes = (size_t)1 << (first - 0xc7);
        v->bytes = 1;
    } else if (first >= 0xd9 && first <= 0xdb) /* raw */
        v->length_bytes = (size_t)1 << (first - 0xd9);
    else if (first >= 0xdc) { /* array, map */
        v->length_bytes = (first & 1) != 0 ? 4 : 2;
        v->unit = first >= 0xde ? 2 : 1;
    } else
        v->bytes = scalar[first];
    return first != 0xc1;
}

/* Takes the value that begins at s->at. MORE: its head is not there yet. */
static enum raft_wire_status scan_value(struct raft_wire_scan *s, struct str bytes) {
    struct value_size v;
    if (!value_size((uint8_t)bytes.data[s->at], &v))
        return RAFT_WIRE_BAD;
    if (bytes.len - s->at < 1 + v.length_bytes)
        return RAFT_WIRE_MORE;
    uint64_t length = 0;
    for (size_t i = 1; i <= v.length_bytes; i++)
        length = length << 8 | (uint8_t)bytes.data[s->at + i];
    if (v.unit > 0)
        v.values = length * v.unit;
    else
        v.bytes += length;
    s->at += 1 + v.length_bytes + v.bytes;
    s->left[s->depth - 1]--;
    if (v.values > 0) {
        if (s->depth == RAFT_WIRE_DEPTH)
            return RAFT_WIRE_BAD;
        s->left[s->depth++] = v.values;
    }
    while (s->depth > 0 && s->left[s->depth - 1] == 0)
        s->depth--;
    return RAFT_WIRE_DONE;
}

enum raft_wire_status raft_wire_scan(struct raft_wire_scan *s, struct str bytes, struct error *e) {
    if (bytes.len == 0)
        return RAFT_WIRE_MORE;
    if (s->at == 0) {
        uint8_t rpc = (uint8_t)bytes.data[0];
        if (rpc > RPC_TIMEOUT_NOW) {
            error_set(e, ERROR_INTERNAL, "unknown rpc type %u", rpc);
            return RAFT_WIRE_BAD;
        }
        *s = (struct raft_wire_scan){.at = 1, .depth = 1, .left = {1}};
    }
    while (s->depth > 0) {
        if (s->at >= bytes.len)
            return RAFT_WIRE_MORE;
        enum raft_wire_status status = scan_value(s, bytes);
        if (status == RAFT_WIRE_BAD)
            error_set(e, ERROR_INTERNAL, "msgpack decode error: not a request");
        if (status != RAFT_WIRE_DONE)
            return status;
    }
    return s->at <= bytes.len ? RAFT_WIRE_DONE : RAFT_WIRE_MORE;
}

/* ---- reading: values ---- */

/* No term and no index ever gets there by counting; whatever counts on from one must not come round
 * to 0. */
#define NUMBER_MAX ((uint64_t)1 << 62)

static bool is_number(const struct msgpack_token *t) {
    return t->type == MSGPACK_UINT || t->type == MSGPACK_INT;
}

static bool take_u64(const struct msgpack_token *t, uint64_t *out) {
    if (t->type == MSGPACK_NIL)
        return true;
    if (!is_number(t) || (t->type == MSGPACK_INT && t->i < 0))
        return false;
    *out = t->type == MSGPACK_UINT ? t->u : (uint64_t)t->i;
    return *out <= NUMBER_MAX;
}

static bool take_i64(const struct msgpack_token *t, int64_t *out) {
    if (t->type == MSGPACK_NIL)
        return true;
    if (!is_number(t) || (t->type == MSGPACK_UINT && t->u > INT64_MAX))
        return false;
    *out = t->type == MSGPACK_UINT ? (int64_t)t->u : t->i;
    return true;
}

static bool take_bool(const struct msgpack_token *t, bool *out) {
    if (t->type == MSGPACK_NIL)
        return true;
    *out = t->type == MSGPACK_BOOL && t->b;
    return t->type == MSGPACK_BOOL;
}

static bool take_bytes(const struct msgpack_token *t, struct str *out) {
    if (t->type == MSGPACK_NIL)
        return true;
    if (t->type != MSGPACK_RAW && t->type != MSGPACK_BIN)
        return false;
    *out = str_of(t->str.data != NULL ? t->str.data : "", t->str.len);
    return true;
}

/* Field by field: `take` gets a key and where its value begins, and says whether it took it (then
 * `in` is behind the value), does not know it, or cannot use it. */
enum taken { TAKEN, UNKNOWN, UNUSABLE };
typedef enum taken take_field(void *owner, struct str key, struct msgpack_reader *in,
                              struct error *e);

static bool read_map(struct msgpack_reader *in, take_field *take, void *owner, struct error *e) {
    struct msgpack_token t;
    if (!msgpack_next(in, &t, e))
        return false;
    if (t.type != MSGPACK_MAP)
        return error_set(e, ERROR_INTERNAL, "msgpack decode error: no map");
    for (uint32_t n = t.len; n > 0; n--) {
        struct msgpack_token key;
        if (!msgpack_next(in, &key, e))
            return false;
        struct str name = STR_NONE;
        enum taken taken = take_bytes(&key, &name) ? take(owner, name, in, e) : UNUSABLE;
        if (taken == UNKNOWN && !msgpack_skip(in, e))
            return false;
        if (taken == UNUSABLE && !error_is_set(e))
            return error_set(e, ERROR_INTERNAL, "msgpack decode error: bad field " STR_FMT,
                             STR_ARG(str_sub(name, 0, 40)));
        if (error_is_set(e))
            return false;
    }
    return true;
}

/* The next token goes to `value` by the name of its field. */
enum field_type { FIELD_U64, FIELD_I64, FIELD_BOOL, FIELD_BYTES };
struct field {
    const char *name;
    enum field_type type;
    void *value;
};

static enum taken take_simple(const struct field *fields, size_t count, struct str key,
                              struct msgpack_reader *in, struct error *e) {
    const struct field *f = NULL;
    for (size_t i = 0; i < count && f == NULL; i++) {
        if (str_is(key, fields[i].name))
            f = &fields[i];
    }
    if (f == NULL)
        return UNKNOWN;
    struct msgpack_token t;
    if (!msgpack_next(in, &t, e))
        return UNUSABLE;
    bool ok = false;
    switch (f->type) {
    case FIELD_U64:
        ok = take_u64(&t, f->value);
        break;
    case FIELD_I64:
        ok = take_i64(&t, f->value);
        break;
    case FIELD_BOOL:
        ok = take_bool(&t, f->value);
        break;
    case FIELD_BYTES:
        ok = take_bytes(&t, f->value);
        break;
    }
    return ok ? TAKEN : UNUSABLE;
}

#define TAKE_SIMPLE(fields, key, in, e) take_simple((fields), COUNT_OF(fields), (key), (in), (e))

/* ---- reading: entries ---- */

struct entry_fields {
    struct str data, extensions;
    uint64_t index, term, type;
};

static enum taken take_entry_field(void *owner, struct str key, struct msgpack_reader *in,
                                   struct error *e) {
    struct entry_fields *f = owner;
    const struct field fields[] = {
        {"Data", FIELD_BYTES, &f->data}, {"Extensions", FIELD_BYTES, &f->extensions},
        {"Index", FIELD_U64, &f->index}, {"Term", FIELD_U64, &f->term},
        {"Type", FIELD_U64, &f->type},
    };
    return TAKE_SIMPLE(fields, key, in, e);
}

struct reading {
    struct raft_message *m;
    struct arena *arena;
    int64_t protocol;
    struct str configuration, peers;
    bool entries_nil;
};

static bool read_entry(struct reading *r, struct msgpack_reader *in, struct error *e) {
    struct raft_append *a = &r->m->append;
    struct entry_fields f = {0};
    if (!read_map(in, take_entry_field, &f, e))
        return false;
    if (f.type > UINT8_MAX >> 1)
        return error_set(e, ERROR_INTERNAL, "unrecognized log type: %llu",
                         (unsigned long long)f.type);
    struct raft_entry *entry = raft_entry_new((enum raft_entry_type)f.type, f.data, f.extensions);
    entry->index = f.index;
    entry->term = f.term;
    a->entries[a->count++] = entry;
    return true;
}

static enum taken take_entries(struct reading *r, struct msgpack_reader *in, struct error *e) {
    struct raft_append *a = &r->m->append;
    struct msgpack_token t;
    if (!msgpack_next(in, &t, e))
        return UNUSABLE;
    r->entries_nil = t.type == MSGPACK_NIL;
    if (t.type == MSGPACK_NIL)
        return TAKEN;
    if (t.type != MSGPACK_ARRAY || t.len > RAFT_WIRE_MAX_ENTRIES || a->entries != NULL)
        return UNUSABLE;
    a->entries = ARENA_ARRAY(r->arena, struct raft_entry *, t.len + 1);
    for (uint32_t n = t.len; n > 0; n--) {
        if (!read_entry(r, in, e))
            return UNUSABLE;
    }
    return TAKEN;
}

/* ---- reading: requests ---- */

static enum taken take_append(void *owner, struct str key, struct msgpack_reader *in,
                              struct error *e) {
    struct reading *r = owner;
    struct raft_append *a = &r->m->append;
    if (str_is(key, "Entries"))
        return take_entries(r, in, e);
    const struct field fields[] = {
        {"Leader", FIELD_BYTES, &a->leader},
        {"LeaderCommitIndex", FIELD_U64, &a->commit},
        {"PrevLogEntry", FIELD_U64, &a->previous_index},
        {"PrevLogTerm", FIELD_U64, &a->previous_term},
        {"ProtocolVersion", FIELD_I64, &r->protocol},
        {"Term", FIELD_U64, &a->term},
    };
    return TAKE_SIMPLE(fields, key, in, e);
}

static enum taken take_vote(void *owner, struct str key, struct msgpack_reader *in,
                            struct error *e) {
    struct reading *r = owner;
    struct raft_vote *v = &r->m->vote;
    const struct field fields[] = {
        {"Candidate", FIELD_BYTES, &v->candidate},
        {"LastLogIndex", FIELD_U64, &v->last_log_index},
        {"LastLogTerm", FIELD_U64, &v->last_log_term},
        {"LeadershipTransfer", FIELD_BOOL, &v->leadership_transfer},
        {"ProtocolVersion", FIELD_I64, &r->protocol},
        {"Term", FIELD_U64, &v->term},
    };
    return TAKE_SIMPLE(fields, key, in, e);
}

static enum taken take_install(void *owner, struct str key, struct msgpack_reader *in,
                               struct error *e) {
    struct reading *r = owner;
    struct raft_install *i = &r->m->install;
    const struct field fields[] = {
        {"Configuration", FIELD_BYTES, &r->configuration},
        {"ConfigurationIndex", FIELD_U64, &i->configuration_index},
        {"LastLogIndex", FIELD_U64, &i->last_index},
        {"LastLogTerm", FIELD_U64, &i->last_term},
        {"Leader", FIELD_BYTES, &i->leader},
        {"Peers", FIELD_BYTES, &r->peers},
        {"ProtocolVersion", FIELD_I64, &r->protocol},
        {"Size", FIELD_I64, &i->size},
        {"SnapshotVersion", FIELD_I64, &i->version},
        {"Term", FIELD_U64, &i->term},
    };
    return TAKE_SIMPLE(fields, key, in, e);
}

static enum taken take_timeout_now(void *owner, struct str key, struct msgpack_reader *in,
                                   struct error *e) {
    struct reading *r = owner;
    const struct field fields[] = {{"ProtocolVersion", FIELD_I64, &r->protocol}};
    return TAKE_SIMPLE(fields, key, in, e);
}

/* raft.md 1.3: everything 0 and no entries is a heartbeat. */
static void finish_append(struct reading *r) {
    struct raft_append *a = &r->m->append;
    a->leader = str_copy(r->arena, a->leader);
    a->first = a->previous_index + 1;
    a->heartbeat = a->term != 0 && a->leader.len > 0 && a->previous_index == 0 &&
                   a->previous_term == 0 && a->commit == 0 && a->count == 0;
}

static bool finish_install(struct reading *r, struct error *e) {
    struct raft_install *i = &r->m->install;
    i->leader = str_copy(r->arena, i->leader);
    if (i->size < 0)
        return error_set(e, ERROR_INTERNAL, "bad snapshot size");
    if (i->version == 0 && r->peers.len > 0)
        i->configuration = raft_configuration_decode_peers(r->peers, e);
    else if (r->configuration.len > 0)
        i->configuration = raft_configuration_decode(r->configuration, e);
    return i->configuration != NULL || !error_is_set(e);
}

/* An input that merely ends too early is no fault yet. */
static enum raft_wire_status status_of(const struct error *e) {
    return str_is(e->text, "EOF") || str_is(e->text, "unexpected EOF") ? RAFT_WIRE_MORE
                                                                       : RAFT_WIRE_BAD;
}

static bool read_body(struct reading *r, uint8_t rpc, struct msgpack_reader *in, struct error *e) {
    static take_field *const takes[] = {take_append, take_vote, take_install, take_timeout_now};
    static const enum raft_message_kind kinds[] = {RAFT_APPEND, RAFT_VOTE, RAFT_INSTALL,
                                                   RAFT_TIMEOUT_NOW};
    r->m->kind = kinds[rpc];
    if (!read_map(in, takes[rpc], r, e))
        return false;
    if (rpc == RPC_APPEND)
        finish_append(r);
    else if (rpc == RPC_VOTE)
        r->m->vote.candidate = str_copy(r->arena, r->m->vote.candidate);
    return rpc != RPC_INSTALL || finish_install(r, e);
}

enum raft_wire_status raft_wire_read_request(struct str bytes, size_t *used, struct raft_message *m,
                                             int64_t *protocol, struct arena *arena,
                                             struct error *e) {
    *m = (struct raft_message){0};
    if (bytes.len == 0)
        return RAFT_WIRE_MORE;
    uint8_t rpc = (uint8_t)bytes.data[0];
    if (rpc > RPC_TIMEOUT_NOW) {
        error_set(e, ERROR_INTERNAL, "unknown rpc type %u", rpc);
        return RAFT_WIRE_BAD;
    }
    /* First whether it is all there: a big request comes in many pieces, and is decoded once. */
    struct msgpack_reader whole = msgpack_read(str_sub(bytes, 1, SIZE_MAX));
    const uint8_t *start = whole.at;
    if (!msgpack_skip(&whole, e)) {
        enum raft_wire_status status = status_of(e);
        if (status == RAFT_WIRE_MORE)
            error_clear(e);
        return status;
    }
    *used = 1 + (size_t)(whole.at - start);
    struct msgpack_reader in = msgpack_read(str_sub(bytes, 1, *used - 1));
    struct reading r = {.m = m, .arena = arena};
    if (!read_body(&r, rpc, &in, e)) {
        raft_wire_release(m);
        return RAFT_WIRE_BAD;
    }
    *protocol = r.protocol;
    return RAFT_WIRE_DONE;
}

void raft_wire_release(struct raft_message *m) {
    if (m->kind == RAFT_APPEND) {
        for (size_t i = 0; i < m->append.count && m->append.entries != NULL; i++)
            raft_entry_release(m->append.entries[i]);
        m->append.count = 0;
    } else if (m->kind == RAFT_INSTALL) {
        raft_configuration_release(m->install.configuration);
        m->install.configuration = NULL;
    }
}

/* ---- reading: responses ---- */

static enum taken take_result(void *owner, struct str key, struct msgpack_reader *in,
                              struct error *e) {
    struct raft_message *m = owner;
    if (m->kind == RAFT_APPEND_RESULT) {
        const struct field fields[] = {
            {"LastLog", FIELD_U64, &m->append_result.last_log},
            {"NoRetryBackoff", FIELD_BOOL, &m->append_result.no_retry_backoff},
            {"Success", FIELD_BOOL, &m->append_result.success},
            {"Term", FIELD_U64, &m->append_result.term},
        };
        return TAKE_SIMPLE(fields, key, in, e);
    }
    if (m->kind == RAFT_VOTE_RESULT) {
        const struct field fields[] = {
            {"Granted", FIELD_BOOL, &m->vote_result.granted},
            {"Term", FIELD_U64, &m->vote_result.term},
        };
        return TAKE_SIMPLE(fields, key, in, e);
    }
    if (m->kind == RAFT_INSTALL_RESULT) {
        const struct field fields[] = {
            {"Success", FIELD_BOOL, &m->install_result.success},
            {"Term", FIELD_U64, &m->install_result.term},
        };
        return TAKE_SIMPLE(fields, key, in, e);
    }
    return UNKNOWN;
}

enum raft_wire_status raft_wire_read_response(enum raft_message_kind request, struct str bytes,
                                              size_t *used, struct raft_message *m,
                                              struct str *refusal, struct arena *arena,
                                              struct error *e) {
    struct msgpack_reader in = msgpack_read(bytes), body;
    const uint8_t *start = in.at;
    struct msgpack_token text;
    *refusal = STR_NONE;
    bool whole = msgpack_next(&in, &text, e);
    body = in;
    if (!whole || !msgpack_skip(&in, e)) {
        enum raft_wire_status status = status_of(e);
        if (status == RAFT_WIRE_MORE)
            error_clear(e);
        return status;
    }
    *used = (size_t)(in.at - start);
    struct str error = STR_NONE;
    if (!take_bytes(&text, &error)) {
        error_set(e, ERROR_INTERNAL, "msgpack decode error: no error string");
        return RAFT_WIRE_BAD;
    }
    if (error.len > 0) {
        *refusal = str_copy(arena, error);
        return RAFT_WIRE_DONE;
    }
    *m = (struct raft_message){.kind = (enum raft_message_kind)(request + 1)};
    return read_map(&body, take_result, m, e) ? RAFT_WIRE_DONE : RAFT_WIRE_BAD;
}
