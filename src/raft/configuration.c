/* Configurations: encodings, lookups, and membership commands on a list of servers. */
#include "raft/configuration.h"

#include "base/mem.h"
#include "codec/msgpack.h"
#include "raft/entry.h"

static struct raft_configuration *configuration_empty(size_t room) {
    struct raft_configuration *c = MEM_NEW(struct raft_configuration);
    c->references = 1;
    c->arena = ARENA_INIT;
    c->servers = room > 0 ? ARENA_ARRAY(&c->arena, struct raft_server, room) : NULL;
    return c;
}

static void configuration_add(struct raft_configuration *c, const struct raft_server *s) {
    c->servers[c->len++] = (struct raft_server){
        .id = str_copy(&c->arena, s->id),
        .address = str_copy(&c->arena, s->address),
        .suffrage = s->suffrage,
    };
}

struct raft_configuration *raft_configuration_new(const struct raft_server *servers, size_t len) {
    struct raft_configuration *c = configuration_empty(len);
    for (size_t i = 0; i < len; i++)
        configuration_add(c, &servers[i]);
    return c;
}

struct raft_configuration *raft_configuration_hold(struct raft_configuration *c) {
    c->references++;
    return c;
}

void raft_configuration_release(struct raft_configuration *c) {
    if (c == NULL || --c->references > 0)
        return;
    arena_free(&c->arena);
    mem_free(c);
}

/* ---- encodings ---- */

void raft_configuration_encode(const struct raft_configuration *c, struct buf *out) {
    msgpack_write_map(out, 1);
    msgpack_write_text(out, "Servers");
    msgpack_write_array(out, (uint32_t)c->len);
    for (size_t i = 0; i < c->len; i++) {
        msgpack_write_map(out, 3);
        msgpack_write_text(out, "Address");
        msgpack_write_str(out, c->servers[i].address);
        msgpack_write_text(out, "ID");
        msgpack_write_str(out, c->servers[i].id);
        msgpack_write_text(out, "Suffrage");
        msgpack_write_i64(out, c->servers[i].suffrage);
    }
}

void raft_configuration_encode_peers(const struct raft_configuration *c, struct buf *out) {
    msgpack_write_array(out, (uint32_t)raft_configuration_voters(c));
    for (size_t i = 0; i < c->len; i++) {
        if (c->servers[i].suffrage == RAFT_VOTER)
            msgpack_write_str(out, c->servers[i].address);
    }
}

static bool decode_suffrage(const struct value *v, enum raft_suffrage *out) {
    uint64_t n = 0;
    if (v == NULL)
        n = 0;
    else if (v->kind == VALUE_UINT)
        n = v->uinteger;
    else if (v->kind == VALUE_INT && v->integer >= 0)
        n = (uint64_t)v->integer;
    else
        return false;
    if (n > RAFT_STAGING)
        return false;
    *out = (enum raft_suffrage)n;
    return true;
}

static struct str decode_string(const struct value *v) {
    return v != NULL && v->kind == VALUE_STRING ? v->string : STR("");
}

static bool decode_list(struct str bytes, const char *key, struct value *tree, struct arena *arena,
                        const struct value **list, struct error *e) {
    struct msgpack_reader in = msgpack_read(bytes);
    if (!msgpack_read_value(&in, tree, arena, e))
        return error_prefix(e, "failed to decode configuration: ");
    const struct value *found = key != NULL ? value_get(tree, key) : tree;
    *list = found != NULL && found->kind == VALUE_LIST ? found : NULL;
    if (*list == NULL && (found == NULL || found->kind == VALUE_NULL))
        return true;
    if (*list == NULL || (*list)->list.len > RAFT_MAX_SERVERS)
        return error_set(e, ERROR_INTERNAL, "failed to decode configuration: no list of servers");
    return true;
}

struct raft_configuration *raft_configuration_decode(struct str bytes, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct value tree;
    const struct value *list = NULL;
    struct raft_configuration *c = NULL;
    if (decode_list(bytes, "Servers", &tree, &arena, &list, e)) {
        size_t len = list != NULL ? list->list.len : 0;
        c = configuration_empty(len);
        for (size_t i = 0; i < len; i++) {
            const struct value *v = &list->list.items[i];
            struct raft_server s = {.id = decode_string(value_get(v, "ID")),
                                    .address = decode_string(value_get(v, "Address"))};
            if (!decode_suffrage(value_get(v, "Suffrage"), &s.suffrage)) {
                error_set(e, ERROR_INTERNAL, "failed to decode configuration: unknown suffrage");
                raft_configuration_release(c);
                c = NULL;
                break;
            }
            configuration_add(c, &s);
        }
    }
    arena_free(&arena);
    return c;
}

struct raft_configuration *raft_configuration_decode_peers(struct str bytes, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct value tree;
    const struct value *list = NULL;
    struct raft_configuration *c = NULL;
    if (decode_list(bytes, NULL, &tree, &arena, &list, e)) {
        size_t len = list != NULL ? list->list.len : 0;
        c = configuration_empty(len);
        for (size_t i = 0; i < len; i++) {
            struct str address = decode_string(&list->list.items[i]);
            configuration_add(c, &(struct raft_server){.id = address, .address = address});
        }
    }
    arena_free(&arena);
    return c;
}

struct raft_entry *raft_configuration_entry(const struct raft_configuration *c, bool modern) {
    struct buf bytes = BUF_INIT;
    if (modern)
        raft_configuration_encode(c, &bytes);
    else
        raft_configuration_encode_peers(c, &bytes);
    struct raft_entry *entry =
        raft_entry_new(modern ? RAFT_CONFIGURATION : RAFT_REMOVE_PEER, buf_str(&bytes), STR_NONE);
    buf_free(&bytes);
    return entry;
}

struct raft_configuration *raft_configuration_of_entry(uint8_t type, struct str data,
                                                       struct error *e) {
    return type == 5 ? raft_configuration_decode(data, e)
                     : raft_configuration_decode_peers(data, e);
}

/* ---- questions ---- */

const struct raft_server *raft_configuration_find(const struct raft_configuration *c,
                                                  struct str id) {
    for (size_t i = 0; i < c->len; i++) {
        if (str_eq(c->servers[i].id, id))
            return &c->servers[i];
    }
    return NULL;
}

bool raft_configuration_is_voter(const struct raft_configuration *c, struct str id) {
    const struct raft_server *s = raft_configuration_find(c, id);
    return s != NULL && s->suffrage == RAFT_VOTER;
}

size_t raft_configuration_voters(const struct raft_configuration *c) {
    size_t n = 0;
    for (size_t i = 0; i < c->len; i++)
        n += c->servers[i].suffrage == RAFT_VOTER;
    return n;
}

static const char *suffrage_name(enum raft_suffrage s) {
    return s == RAFT_VOTER ? "Voter" : s == RAFT_NONVOTER ? "Nonvoter" : "Staging";
}

struct str raft_configuration_text(const struct raft_configuration *c, struct arena *arena) {
    struct buf b = BUF_INIT;
    buf_add_char(&b, '[');
    for (size_t i = 0; i < c->len; i++) {
        const struct raft_server *s = &c->servers[i];
        buf_add_format(&b, "%s{Suffrage:%s ID:" STR_FMT " Address:" STR_FMT "}", i > 0 ? " " : "",
                       suffrage_name(s->suffrage), STR_ARG(s->id), STR_ARG(s->address));
    }
    buf_add_char(&b, ']');
    struct str text = str_copy(arena, buf_str(&b));
    buf_free(&b);
    return text;
}

/* The way the peer's errors show it: "{[{Voter id address}]}". */
static void add_server(struct buf *b, const struct raft_server *s) {
    buf_add_format(b, "{%s " STR_FMT " " STR_FMT "}", suffrage_name(s->suffrage), STR_ARG(s->id),
                   STR_ARG(s->address));
}

static bool fail_all(const struct raft_configuration *c, struct error *e, const char *what) {
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < c->len; i++) {
        buf_add_text(&b, i > 0 ? " " : "");
        add_server(&b, &c->servers[i]);
    }
    error_set(e, ERROR_INTERNAL, "%s: {[" STR_FMT "]}", what, STR_ARG(buf_str(&b)));
    buf_free(&b);
    return false;
}

static bool fail_one(const struct raft_server *s, struct error *e, const char *what) {
    struct buf b = BUF_INIT;
    add_server(&b, s);
    error_set(e, ERROR_INTERNAL, "%s: " STR_FMT, what, STR_ARG(buf_str(&b)));
    buf_free(&b);
    return false;
}

bool raft_configuration_validate(const struct raft_configuration *c, struct error *e) {
    for (size_t i = 0; i < c->len; i++) {
        const struct raft_server *s = &c->servers[i];
        if (s->id.len == 0)
            return fail_all(c, e, "Empty ID in configuration");
        if (s->address.len == 0)
            return fail_one(s, e, "Empty address in configuration");
        for (size_t k = 0; k < i; k++) {
            if (str_eq(c->servers[k].id, s->id))
                return error_set(e, ERROR_INTERNAL, "Found duplicate ID in configuration: " STR_FMT,
                                 STR_ARG(s->id));
            if (str_eq(c->servers[k].address, s->address))
                return error_set(e, ERROR_INTERNAL,
                                 "Found duplicate address in configuration: " STR_FMT,
                                 STR_ARG(s->address));
        }
    }
    if (raft_configuration_voters(c) == 0)
        return fail_all(c, e, "Need at least one voter in configuration");
    return true;
}

/* ---- membership commands ---- */

/* The table of raft.md 2.5 for a server that is in the configuration. */
static struct raft_server change_present(struct raft_server s, enum raft_change change,
                                         struct str address) {
    switch (change) {
    case RAFT_ADD_VOTER:
        s.suffrage = RAFT_VOTER;
        s.address = address;
        break;
    case RAFT_ADD_NONVOTER: /* a voter keeps its vote; only its address is updated */
        s.address = address;
        break;
    case RAFT_DEMOTE:
        s.suffrage = RAFT_NONVOTER;
        break;
    case RAFT_REMOVE:
        break;
    }
    return s;
}

struct raft_configuration *raft_configuration_change(const struct raft_configuration *c,
                                                     enum raft_change change, struct str id,
                                                     struct str address) {
    struct raft_configuration *next = configuration_empty(c->len + 1);
    bool present = false;
    for (size_t i = 0; i < c->len; i++) {
        struct raft_server s = c->servers[i];
        if (str_eq(s.id, id)) {
            present = true;
            if (change == RAFT_REMOVE)
                continue;
            s = change_present(s, change, address);
        }
        configuration_add(next, &s);
    }
    if (!present && (change == RAFT_ADD_VOTER || change == RAFT_ADD_NONVOTER)) {
        enum raft_suffrage suffrage = change == RAFT_ADD_VOTER ? RAFT_VOTER : RAFT_NONVOTER;
        configuration_add(next, &(struct raft_server){id, address, suffrage});
    }
    return next;
}
