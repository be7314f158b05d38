/* What applying an entry is measured as: see fsm_metrics.h. The entry's bytes are only skimmed for
 * the few words that names and labels need; it was decoded where it was applied.
 */
#include "server/fsm_metrics.h"

#include <stdio.h>

#include "codec/msgpack.h"
#include "schema/entries.h"

/* How an entry type is called; `op` is its label: fixed, or "" for the entry's own. */
static const struct entry_name {
    const char *name, *second; /* the peer measures some under two names */
    const char *op;            /* NULL: no label */
} entry_names[ENTRY_TYPE_MASK + 1] = {
    [ENTRY_REGISTER] = {"fsm.register"},
    [ENTRY_DEREGISTER] = {"fsm.deregister"},
    [ENTRY_KVS] = {"fsm.kvs", .op = ""},
    [ENTRY_SESSION] = {"fsm.session", .op = ""},
    [ENTRY_LEGACY_ACL] = {"fsm.acl", .op = ""},
    [ENTRY_TOMBSTONE] = {"fsm.tombstone", .op = ""},
    [ENTRY_COORDINATE_BATCH] = {"fsm.coordinate.batch-update"},
    [ENTRY_PREPARED_QUERY] = {"fsm.prepared-query", .op = ""},
    [ENTRY_TXN] = {"fsm.txn"},
    [ENTRY_AUTOPILOT] = {"fsm.autopilot"},
    [ENTRY_ACL_BOOTSTRAP] = {"fsm.acl.token", .op = "bootstrap"},
    [ENTRY_INTENTION] = {"fsm.intention", "consul.fsm.intention", ""},
    [ENTRY_CONNECT_CA] = {"fsm.ca", "consul.fsm.ca", ""},
    [ENTRY_CONNECT_CA_LEAF] = {"fsm.ca.leaf", .op = ""},
    [ENTRY_ACL_TOKEN_SET] = {"fsm.acl.token", .op = "upsert"},
    [ENTRY_ACL_TOKEN_DELETE] = {"fsm.acl.token", .op = "delete"},
    [ENTRY_ACL_POLICY_SET] = {"fsm.acl.policy", .op = "upsert"},
    [ENTRY_ACL_POLICY_DELETE] = {"fsm.acl.policy", .op = "delete"},
    [ENTRY_ACL_ROLE_SET] = {"fsm.acl.role", .op = "upsert"},
    [ENTRY_ACL_ROLE_DELETE] = {"fsm.acl.role", .op = "delete"},
    [ENTRY_ACL_BINDING_RULE_SET] = {"fsm.acl.bindingrule", .op = "upsert"},
    [ENTRY_ACL_BINDING_RULE_DELETE] = {"fsm.acl.bindingrule", .op = "delete"},
    [ENTRY_ACL_AUTH_METHOD_SET] = {"fsm.acl.authmethod", .op = "upsert"},
    [ENTRY_ACL_AUTH_METHOD_DELETE] = {"fsm.acl.authmethod", .op = "delete"},
    [ENTRY_CONFIG_ENTRY] = {"fsm.config_entry", .op = ""},
    [ENTRY_FEDERATION_STATE] = {"fsm.federation_state", .op = ""},
};

/* Moves to the value of a key of the map that comes next. */
static bool find_key(struct msgpack_reader *in, struct str key, struct error *e) {
    struct msgpack_token t;
    if (!msgpack_next(in, &t, e) || t.type != MSGPACK_MAP)
        return false;
    for (uint32_t i = t.len; i > 0; i--) {
        struct msgpack_token name;
        if (!msgpack_next(in, &name, e) || name.type != MSGPACK_RAW)
            return false;
        if (str_eq(name.str, key))
            return true;
        if (!msgpack_skip(in, e))
            return false;
    }
    return false;
}

static struct str text_of(struct msgpack_reader in, struct str key, struct error *e) {
    struct msgpack_token t;
    bool ok = find_key(&in, key, e) && msgpack_next(&in, &t, e) && t.type == MSGPACK_RAW;
    return ok ? t.str : STR("");
}

/* What stands behind the name: a configuration entry's kind, a federation state's datacenter. */
static struct str suffix_of(unsigned type, struct msgpack_reader *body, struct error *e) {
    struct msgpack_token whole, kind;
    if (type == ENTRY_CONFIG_ENTRY) {
        if (!msgpack_next(body, &whole, e) || whole.type != MSGPACK_RAW)
            return STR("");
        *body = msgpack_read(whole.str);
        return msgpack_next(body, &kind, e) && kind.type == MSGPACK_RAW ? kind.str : STR("");
    }
    struct msgpack_reader state = *body;
    return find_key(&state, STR("State"), e) ? text_of(state, STR("Datacenter"), e) : STR("");
}

/* Gives in: *t under the name and, when the kind has them, its second name and the label. */
static void give(const struct entry_name *n, const char *name, struct str op,
                 struct metric_tally *t) {
    const struct metric_label labels[] = {{"op", op}, {NULL, STR_NONE}};
    struct metric_tally again = *t;
    metric_add_tally(name, n->op != NULL ? labels : NULL, t);
    if (n->second != NULL)
        metric_add_tally(n->second, labels, &again);
}

void fsm_tally_end(struct fsm_tally *t) {
    const struct entry_name *n = &entry_names[t->type];
    if (t->tally.count > 0)
        give(n, n->name, t->op, &t->tally);
}

/* Those that have more in their names, and all while somebody wants each value. */
static void add_alone(unsigned type, struct str op, struct str suffix, double took) {
    char name[128];
    const struct entry_name *n = &entry_names[type];
    const struct metric_label labels[] = {{"op", op}, {NULL, STR_NONE}};
    snprintf(name, sizeof(name), "%s%s" STR_FMT, n->name, suffix.len > 0 ? "." : "",
             STR_ARG(suffix));
    metric_add(METRIC_SAMPLE, name, took, n->op != NULL ? labels : NULL);
    if (n->second != NULL)
        metric_add(METRIC_SAMPLE, n->second, took, labels);
}

void fsm_entry_measured(struct fsm_tally *t, struct str data, double took) {
    unsigned type = (uint8_t)data.data[0] & ENTRY_TYPE_MASK;
    const struct entry_name *n = &entry_names[type];
    struct str suffix = STR(""), op = STR("");
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct msgpack_reader body = msgpack_read(str_sub(data, 1, data.len));
    if (n->name == NULL)
        return;
    if (type == ENTRY_CONFIG_ENTRY || type == ENTRY_FEDERATION_STATE)
        suffix = suffix_of(type, &body, &e);
    if (n->op != NULL)
        op = n->op[0] != '\0' ? str_from(n->op) : text_of(body, STR("Op"), &e);
    if (suffix.len > 0 || metrics_are_observed()) {
        add_alone(type, op, suffix, took);
    } else {
        if (t->tally.count > 0 && (t->type != type || !str_eq(t->op, op)))
            fsm_tally_end(t);
        t->type = type;
        t->op = op;
        metric_tally_add(&t->tally, took);
    }
    arena_free(&arena);
}
