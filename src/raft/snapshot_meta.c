/* meta.json of a snapshot (raft.md 6.2) and of an archive (fsm.md 8). */
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "raft/snapshots.h"

void snapshot_meta_free(struct snapshot_meta *m) {
    raft_configuration_release(m->configuration);
    m->configuration = NULL;
}

static void write_servers(struct json_writer *w, const struct raft_configuration *c) {
    json_open_object(w);
    json_key(w, STR("Servers"));
    json_open_array(w);
    for (size_t i = 0; c != NULL && i < c->len; i++) {
        json_open_object(w);
        json_key(w, STR("Suffrage"));
        json_i64(w, c->servers[i].suffrage);
        json_key(w, STR("ID"));
        json_str(w, c->servers[i].id);
        json_key(w, STR("Address"));
        json_str(w, c->servers[i].address);
        json_close_object(w);
    }
    json_close_array(w);
    json_close_object(w);
}

void snapshot_meta_write(const struct snapshot_meta *m, bool crc_key, struct buf *out) {
    struct buf peers = BUF_INIT;
    if (m->configuration != NULL)
        raft_configuration_encode_peers(m->configuration, &peers);
    struct json_writer w;
    json_begin(&w, out, false);
    json_open_object(&w);
    json_key(&w, STR("Version"));
    json_i64(&w, m->version);
    json_key(&w, STR("ID"));
    json_str(&w, m->id);
    json_key(&w, STR("Index"));
    json_u64(&w, m->index);
    json_key(&w, STR("Term"));
    json_u64(&w, m->term);
    json_key(&w, STR("Peers"));
    json_base64(&w, buf_str(&peers));
    json_key(&w, STR("Configuration"));
    write_servers(&w, m->configuration);
    json_key(&w, STR("ConfigurationIndex"));
    json_u64(&w, m->configuration_index);
    json_key(&w, STR("Size"));
    json_i64(&w, m->size);
    if (crc_key) {
        char crc[8];
        be64_put(crc, m->crc);
        json_key(&w, STR("CRC"));
        json_base64(&w, m->has_crc ? str_of(crc, 8) : STR_NONE);
    }
    json_close_object(&w);
    json_finish(&w);
    buf_add_char(out, '\n');
    buf_free(&peers);
}

/* ---- reading ---- */

static bool number_of(const struct value *v, const char *key, bool is_signed, uint64_t *out,
                      struct error *e) {
    const struct value *n = value_get(v, key);
    *out = 0;
    if (n == NULL || n->kind == VALUE_NULL)
        return true;
    int64_t i;
    if (is_signed && str_to_i64(n->literal, &i)) {
        *out = (uint64_t)i;
        return true;
    }
    if (!is_signed && str_to_u64(n->literal, out))
        return true;
    return error_set(e, ERROR_INTERNAL, "json: cannot unmarshal field SnapshotMeta.%s", key);
}

static struct str string_of(const struct value *v, const char *key) {
    const struct value *s = value_get(v, key);
    return s != NULL && s->kind == VALUE_STRING ? s->string : STR("");
}

static bool read_configuration(const struct value *v, struct snapshot_meta *m, struct arena *arena,
                               struct error *e) {
    const struct value *c = value_get(v, "Configuration");
    const struct value *servers = c != NULL ? value_get(c, "Servers") : NULL;
    if (servers == NULL || servers->kind != VALUE_LIST || servers->list.len > RAFT_MAX_SERVERS)
        return true;
    struct raft_server *list = ARENA_ARRAY(arena, struct raft_server, servers->list.len + 1);
    for (size_t i = 0; i < servers->list.len; i++) {
        const struct value *s = &servers->list.items[i];
        uint64_t suffrage;
        if (!number_of(s, "Suffrage", false, &suffrage, e))
            return false;
        if (suffrage > RAFT_STAGING)
            return error_set(e, ERROR_INTERNAL, "unknown suffrage %llu",
                             (unsigned long long)suffrage);
        list[i] = (struct raft_server){string_of(s, "ID"), string_of(s, "Address"),
                                       (enum raft_suffrage)suffrage};
    }
    m->configuration = raft_configuration_new(list, servers->list.len);
    return true;
}

bool snapshot_meta_read(struct str text, struct snapshot_meta *m, struct arena *arena,
                        struct error *e) {
    struct value v;
    *m = (struct snapshot_meta){0};
    if (!json_parse_whole(text, &v, arena, e))
        return false;
    if (v.kind != VALUE_MAP)
        return error_set(e, ERROR_INTERNAL, "json: cannot unmarshal meta.json");
    uint64_t version, size;
    if (!number_of(&v, "Version", true, &version, e) || !number_of(&v, "Size", true, &size, e) ||
        !number_of(&v, "Index", false, &m->index, e) ||
        !number_of(&v, "Term", false, &m->term, e) ||
        !number_of(&v, "ConfigurationIndex", false, &m->configuration_index, e))
        return false;
    m->version = (int64_t)version;
    m->size = (int64_t)size;
    m->id = str_copy(arena, string_of(&v, "ID"));
    struct str crc;
    struct error ignored = ERROR_IN(arena);
    if (base64_decode(string_of(&v, "CRC"), &crc, arena, &ignored) && crc.len == 8) {
        m->has_crc = true;
        m->crc = be64_get(crc.data);
    }
    return read_configuration(&v, m, arena, e);
}
