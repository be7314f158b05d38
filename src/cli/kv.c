/* The group `kv`, and what its commands share: see kv.h. */
#include "cli/kv.h"

#include "codec/base64.h"
#include "codec/json.h"

const struct command command_kv = {
    .name = "kv",
    .synopsis = "Keys and values",
    .usage = "kv <subcommand> [options] [args]",
    .about = "  Keys and their values. Write one, read it back, see all about it, delete it:\n\n"
             "      $ consul kv put app/limit 5\n"
             "      $ consul kv get app/limit\n"
             "      $ consul kv get -detailed app/limit\n"
             "      $ consul kv delete app/limit\n\n"
             "  Each subcommand has a help text of its own.\n",
};

struct str kv_key(const char *argument) {
    return str_from(argument[0] == '/' ? argument + 1 : argument);
}

bool kv_key_check(struct str key, struct error *e) {
    return !str_has_prefix(key, STR("/")) ||
           error_set(e, ERROR_BAD_REQUEST, "Invalid key. Key must not begin with a '/': " STR_FMT,
                     STR_ARG(key));
}

struct str kv_path(struct arena *arena, struct str key) {
    static const char root[] = "/v1/kv/";
    if (str_has_prefix(key, STR("/")))
        key = str_sub(key, 1, key.len);
    size_t len = sizeof root - 1;
    char *path = arena_alloc(arena, len + key.len);
    memcpy(path, root, len);
    if (key.len > 0)
        memcpy(path + len, key.data, key.len);
    return str_of(path, len + key.len);
}

static bool read_pair(const struct value *from, struct kv_pair *to, struct arena *arena,
                      struct error *e) {
    *to = (struct kv_pair){
        .key = value_str(from, "Key"),
        .session = value_str(from, "Session"),
        .name_space = value_str(from, "Namespace"),
        .flags = value_u64(from, "Flags"),
        .create_index = value_u64(from, "CreateIndex"),
        .modify_index = value_u64(from, "ModifyIndex"),
        .lock_index = value_u64(from, "LockIndex"),
        .value = STR(""),
    };
    struct str encoded = value_str(from, "Value");
    return encoded.len == 0 || base64_decode(encoded, &to->value, arena, e);
}

bool kv_read_answer(const struct call *call, struct kv_pair **pairs, size_t *count,
                    struct arena *arena, struct error *e) {
    struct value list;
    *count = 0;
    if (call->failed)
        return error_copy(e, &call->error);
    if (call->status == 404)
        return true;
    if (call->status != 200)
        return error_set(e, ERROR_INTERNAL, "Unexpected response code: %d", call->status);
    if (!json_parse(call->answer, &list, NULL, arena, e))
        return false;
    *pairs = ARENA_ARRAY(arena, struct kv_pair, value_len(&list) + 1);
    for (size_t i = 0; i < value_len(&list); i++) {
        if (!read_pair(&list.list.items[i], &(*pairs)[i], arena, e))
            return false;
    }
    *count = value_len(&list);
    return true;
}

bool kv_read_call(struct client *c, struct call *call, struct kv_pair **pairs, size_t *count,
                  struct arena *arena, struct error *e) {
    *count = 0;
    return client_call(c, call, arena, e) && kv_read_answer(call, pairs, count, arena, e);
}

bool kv_read(struct client *c, struct str key, bool recurse, bool stale, struct kv_pair **pairs,
             size_t *count, struct arena *arena, struct error *e) {
    struct call call;
    call_init(&call, "GET", kv_path(arena, key));
    if (recurse)
        call_param(&call, "recurse", STR(""));
    if (stale)
        call_param(&call, "stale", STR(""));
    return kv_read_call(c, &call, pairs, count, arena, e);
}

bool kv_change(struct client *c, struct call *call, bool *done, struct arena *arena,
               struct error *e) {
    if (!client_expect(c, call, arena, e))
        return false;
    *done = str_find(call->answer, STR("true"), 0) >= 0;
    return true;
}
