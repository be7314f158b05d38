/* The list of keys and its file's text. */
#include "gossip/keyring.h"

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"

static ptrdiff_t find(const struct keyring *ring, struct str key) {
    for (size_t i = 0; i < ring->len; i++) {
        if (str_eq(str_of(ring->keys[i].bytes, ring->keys[i].len), key))
            return (ptrdiff_t)i;
    }
    return -1;
}

bool keyring_has(const struct keyring *ring, struct str key) {
    return find(ring, key) >= 0;
}

bool keyring_add(struct keyring *ring, struct str key, struct error *e) {
    if (key.len != 16 && key.len != 24 && key.len != 32)
        return error_set(e, ERROR_INTERNAL, "key size must be 16, 24 or 32 bytes");
    if (keyring_has(ring, key))
        return true;
    if (ring->len == KEYRING_MAX)
        return error_set(e, ERROR_INTERNAL, "keyring has %d keys, which is the most it can hold",
                         KEYRING_MAX);
    struct gossip_key *to = &ring->keys[ring->len++];
    *to = (struct gossip_key){.len = (uint8_t)key.len};
    memcpy(to->bytes, key.data, key.len);
    return true;
}

bool keyring_use(struct keyring *ring, struct str key, struct error *e) {
    ptrdiff_t at = find(ring, key);
    if (at < 0)
        return error_set(e, ERROR_INTERNAL, "Requested key is not in the keyring");
    struct gossip_key primary = ring->keys[at];
    memmove(&ring->keys[1], &ring->keys[0], (size_t)at * sizeof ring->keys[0]);
    ring->keys[0] = primary;
    return true;
}

bool keyring_remove(struct keyring *ring, struct str key, struct error *e) {
    ptrdiff_t at = find(ring, key);
    if (at == 0)
        return error_set(e, ERROR_INTERNAL, "Removing the primary key is not allowed");
    if (at < 0)
        return true;
    ring->len--;
    memmove(&ring->keys[at], &ring->keys[at + 1], (ring->len - (size_t)at) * sizeof ring->keys[0]);
    return true;
}

bool keyring_parse(struct keyring *ring, struct str text, struct error *e) {
    struct value list;
    ring->len = 0;
    if (!json_parse_whole(text, &list, e->arena, e))
        return false;
    if (list.kind != VALUE_LIST && list.kind != VALUE_NULL)
        return error_set(e, ERROR_INTERNAL, "keyring is not a list of keys");
    for (size_t i = 0; list.kind == VALUE_LIST && i < list.list.len; i++) {
        struct str key;
        if (list.list.items[i].kind != VALUE_STRING)
            return error_set(e, ERROR_INTERNAL, "keyring is not a list of keys");
        if (!base64_decode(list.list.items[i].string, &key, e->arena, e) ||
            !keyring_add(ring, key, e))
            return false;
    }
    return true;
}

void keyring_format(struct buf *out, const struct keyring *ring, bool indented) {
    buf_add_text(out, "[");
    for (size_t i = 0; i < ring->len; i++) {
        buf_add_text(out, i > 0 ? "," : "");
        buf_add_text(out, indented ? "\n  \"" : "\"");
        base64_encode(out, str_of(ring->keys[i].bytes, ring->keys[i].len));
        buf_add_text(out, "\"");
    }
    buf_add_text(out, indented && ring->len > 0 ? "\n]" : "]");
}
