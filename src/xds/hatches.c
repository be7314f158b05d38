/* What users write themselves (connect.md 4.1, 6.4): clusters and listeners as JSON. Known are the
 * fields of Envoy's API of version 2 and the configurations of message_named; what is unknown is an
 * error and not dropped.
 */
#include "codec/json.h"
#include "xds/room.h"

/* Whether the "@type" that is given, if any is, is the message's. */
static bool is_of_type(struct xds_maker *m, const struct value *tree,
                       const struct envoy_message *message) {
    const struct value *type = value_get(tree, "@type");
    if (type == NULL || type->kind != VALUE_STRING)
        return true;
    struct str name = type->string;
    for (struct str rest = name; rest.data != NULL;)
        name = str_cut(&rest, '/');
    if (message_named(name) == NULL)
        return error_set(m->error, ERROR_INTERNAL, "unknown message type \"" STR_FMT "\"",
                         STR_ARG(name));
    return message_named(name) == message ||
           error_set(m->error, ERROR_INTERNAL, "invalid type URL " STR_FMT, STR_ARG(type->string));
}

bool xds_hatch(struct xds_maker *m, struct str json, const struct envoy_message *message,
               struct value *out) {
    struct buf bytes = BUF_INIT;
    if (!json_parse_whole(str_copy(m->arena, json), out, m->arena, m->error))
        return false;
    bool ok = is_of_type(m, out, message) && message_encode(&bytes, message, out, m->error);
    buf_free(&bytes);
    return ok;
}
