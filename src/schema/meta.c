/* Validation of metadata pairs. See meta.h. */
#include "schema/meta.h"

#define PAIRS_MAX 64
#define KEY_MAX 128
#define VALUE_MAX 512

static bool key_characters_valid(struct str key) {
    for (size_t i = 0; i < key.len; i++) {
        char c = key.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

static bool key_is_allowed(struct str key, enum meta_reserved reserved) {
    return reserved == META_RESERVED_ALLOWED || !str_has_prefix(key, STR("consul-")) ||
           (reserved == META_RESERVED_MESH_GATEWAY && str_is(key, "consul-wan-federation"));
}

/* What is wrong with a pair; NULL: nothing. */
static const char *pair_fault(const struct str_pair *pair, enum meta_reserved reserved) {
    if (pair->key.len == 0)
        return "Key cannot be blank";
    if (!key_characters_valid(pair->key))
        return "Key contains invalid characters";
    if (pair->key.len > KEY_MAX)
        return "Key is too long (limit: 128 characters)";
    if (!key_is_allowed(pair->key, reserved))
        return "Key prefix 'consul-' is reserved for internal use";
    return pair->value.len > VALUE_MAX ? "Value is too long (limit: 512 characters)" : NULL;
}

bool meta_validate(const struct list *meta, enum meta_reserved reserved, struct error *e) {
    if (meta->len > PAIRS_MAX)
        return error_set(e, ERROR_INTERNAL,
                         "Node metadata cannot contain more than 64 key/value pairs");
    for (uint32_t i = 0; i < meta->len; i++) {
        const struct str_pair *pair = &LIST_AT(*meta, struct str_pair, i);
        const char *fault = pair_fault(pair, reserved);
        if (fault != NULL)
            return error_set(e, ERROR_INTERNAL,
                             "Couldn't load metadata pair ('" STR_FMT "', '" STR_FMT "'): %s",
                             STR_ARG(pair->key), STR_ARG(pair->value), fault);
    }
    return true;
}
