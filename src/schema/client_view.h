/* Answers of the API as the peer's own client gives them on, to the handlers of watches and in what
 * commands print: its order of fields, and all of them (agent.md 5.3, cli.md 2.30). The server's
 * order differs, and it leaves some out.
 */
#ifndef PRAETOR_SCHEMA_CLIENT_VIEW_H
#define PRAETOR_SCHEMA_CLIENT_VIEW_H

#include "codec/json.h"
#include "codec/value.h"

enum shape_kind {
    SHAPE_STR,
    SHAPE_INT,
    SHAPE_BOOL,
    SHAPE_DURATION, /* "0s" when absent */
    SHAPE_TIME,     /* as it came; the zero time when absent */
    SHAPE_ANY,      /* as it came, keys of maps sorted; null when absent */
    SHAPE_STRUCT,   /* of `of` */
    SHAPE_LIST,     /* of structs; null when absent */
    SHAPE_MAP,      /* of structs by name */
};

struct shape_field {
    const char *name; /* NULL ends the list */
    enum shape_kind kind;
    bool omit; /* when it is empty */
    const struct shape_field *of;
};

/* Writes an object; v may be NULL (all fields empty) or of the wrong kind (as NULL). */
void shape_write(struct json_writer *w, const struct value *v, const struct shape_field *fields);
void shape_write_list(struct json_writer *w, const struct value *v,
                      const struct shape_field *fields);

extern const struct shape_field shape_kv[], shape_node[], shape_health_check[], shape_service[],
    shape_plain_service[], /* of the agent's own, without proxy and connect */
    shape_service_entry[], shape_event[], shape_intention[], shape_ca_config[], shape_acl_token[],
    shape_acl_token_stub[], shape_acl_policy[], shape_acl_policy_stub[], shape_acl_role[],
    shape_acl_binding_rule[], shape_acl_auth_method[], shape_acl_auth_method_stub[];

/* Of a kind of configuration entries; NULL: there is no such kind. */
const struct shape_field *shape_config_entry(struct str kind);

#endif
