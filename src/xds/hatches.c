/* What users write themselves (connect.md 4.1, 6.4): clusters and listeners as JSON. Known are the
 * fields of Envoy's API of version 2 and the configurations of message_named; what is unknown is an
 * error and not dropped.
 */
#include "codec/json.h"
#include "xds/room.h"

/* Comments of the .json extension proper are not JSON here either. */
bool xds_hatch(struct xds_maker *m, struct str json, const struct envoy_message *message,
               struct value *out) {
    struct buf bytes = BUF_INIT;
    if (!json_parse_whole(str_copy(m->arena, json), out, m->arena, m->error))
        return false;
    const struct value *type = value_get(out, "@type");
    bool ok = true;
    if (type != NULL && type->kind == VALUE_STRING) {
        ptrdiff_t name = (ptrdiff_t)type->string.len - (ptrdiff_t)strlen(message->name);
        ok = name >= 0 && str_is(str_sub(type->string, (size_t)name, SIZE_MAX), message->name);
        if (!ok)
            error_set(m->error, ERROR_INTERNAL, "invalid type URL " STR_FMT, STR_ARG(type->string));
    }
    ok = ok && message_encode(&bytes, message, out, m->error);
    buf_free(&bytes);
    return ok;
}
