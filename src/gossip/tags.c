/* Tags to blobs and back. */
#include "gossip/tags.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/msgpack.h"
#include "gossip/gossip.h"

#define TAGS_MAGIC ((char)0xff)

static int compare_tags(const void *a, const void *b) {
    return str_compare(((const struct gossip_tag *)a)->name, ((const struct gossip_tag *)b)->name);
}

bool gossip_tags_write(const struct gossip_tag *tags, size_t len, struct str *meta,
                       struct arena *arena, struct error *e) {
    struct gossip_tag *sorted = arena_copy(arena, tags, len * sizeof *tags);
    if (len > 0)
        qsort(sorted, len, sizeof *sorted, compare_tags);
    struct buf out = BUF_INIT;
    buf_add_char(&out, TAGS_MAGIC);
    msgpack_write_map(&out, (uint32_t)len);
    for (size_t i = 0; i < len; i++) {
        msgpack_write_str(&out, sorted[i].name);
        msgpack_write_str(&out, sorted[i].value);
    }
    *meta = str_copy(arena, buf_str(&out));
    buf_free(&out);
    if (meta->len > GOSSIP_META_MAX)
        return error_set(e, ERROR_INTERNAL, "Encoded length of tags exceeds limit of %d bytes",
                         GOSSIP_META_MAX);
    return true;
}

struct cursor {
    struct msgpack_reader in;
    uint32_t left;
    bool role; /* no map: the whole is the value of one tag */
    struct str whole;
};

static bool next_text(struct cursor *c, struct str *out) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct msgpack_token t;
    bool ok = msgpack_next(&c->in, &t, &e) && (t.type == MSGPACK_RAW || t.type == MSGPACK_NIL);
    if (ok)
        *out = t.type == MSGPACK_RAW ? t.str : STR("");
    arena_free(&arena);
    return ok;
}

static struct cursor cursor_of(struct str meta) {
    struct cursor c = {.whole = meta};
    if (meta.len == 0 || meta.data[0] != TAGS_MAGIC) {
        c.role = true;
        c.left = 1;
        return c;
    }
    c.in = msgpack_read(str_sub(meta, 1, SIZE_MAX));
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct msgpack_token t;
    if (msgpack_next(&c.in, &t, &e) && t.type == MSGPACK_MAP)
        c.left = t.len;
    arena_free(&arena);
    return c;
}

static bool next_tag(struct cursor *c, struct gossip_tag *out) {
    if (c->left == 0)
        return false;
    c->left--;
    if (c->role) {
        *out = (struct gossip_tag){STR("role"), c->whole.data == NULL ? STR("") : c->whole};
        return true;
    }
    return next_text(c, &out->name) && next_text(c, &out->value);
}

size_t gossip_tags_read(struct str meta, struct gossip_tag **tags, struct arena *arena) {
    struct cursor c = cursor_of(meta);
    struct gossip_tag *out = ARENA_ARRAY(arena, struct gossip_tag, c.left);
    size_t len = 0;
    for (struct gossip_tag tag; next_tag(&c, &tag);) {
        size_t at = 0; /* some ten tags: a scan for each is quickest */
        while (at < len && str_compare(out[at].name, tag.name) < 0)
            at++;
        if (at < len && str_eq(out[at].name, tag.name)) {
            out[at] = tag;
            continue;
        }
        memmove(&out[at + 1], &out[at], (len - at) * sizeof *out);
        out[at] = tag;
        len++;
    }
    *tags = out;
    return len;
}

struct str gossip_tag_get(struct str meta, struct str name) {
    struct cursor c = cursor_of(meta);
    struct str found = STR_NONE;
    for (struct gossip_tag tag; next_tag(&c, &tag);) {
        if (str_eq(tag.name, name))
            found = tag.value;
    }
    return found;
}
