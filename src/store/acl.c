/* Access control's tables and the reads over them. What log entries do to them is acl_apply.c's.
 */
#include "store/acl.h"

#include "codec/blake2b.h"
#include "store/acl_tables.h"

const struct str acl_global_management_rules =
    STR_INIT("\nacl = \"write\"\nagent_prefix \"\" {\n\tpolicy = \"write\"\n}\n"
             "event_prefix \"\" {\n\tpolicy = \"write\"\n}\nkey_prefix \"\" {\n\tpolicy = "
             "\"write\"\n}\nkeyring = \"write\"\nnode_prefix \"\" {\n\tpolicy = \"write\"\n}\n"
             "operator = \"write\"\nquery_prefix \"\" {\n\tpolicy = \"write\"\n}\n"
             "service_prefix \"\" {\n\tpolicy = \"write\"\n\tintentions = \"write\"\n}\n"
             "session_prefix \"\" {\n\tpolicy = \"write\"\n}");

/* ---- keys ---- */

struct str acl_token_key(struct store_read *r, struct str secret) {
    return KEY(r->arena, K_EXACT(secret));
}

struct str acl_method_key(struct store_read *r, struct str name) {
    return KEY(r->arena, K_LOWER(name));
}

bool acl_id_key(struct store_read *r, const char *what, struct str id, struct str *key,
                struct error *e) {
    if (uuid_key(r->arena, id, key, e))
        return true;
    return error_prefix(e, "failed acl %s lookup: index error: ", what);
}

bool acl_named_key(struct store_read *r, enum store_table names, struct str name, struct str *key) {
    if (!table_get(r, names, KEY(r->arena, K_LOWER(name)), key))
        return false;
    *key = str_copy(r->arena, *key);
    return true;
}

/* Expiry in the order of time. Instants before 1677 or after 2262 are all the same. */
static struct str expiry_key(struct store_read *r, const struct acl_token *token,
                             struct str secret) {
    char bytes[9] = {token->local ? 1 : 0};
    uint64_t ns = (uint64_t)timestamp_to_unix_ns(token->expiration_time);
    be64_put(bytes + 1, ns ^ (UINT64_C(1) << 63));
    return KEY(r->arena, K_BARE(str_of(bytes, sizeof bytes)), K_BARE(secret));
}

/* ---- records and their lookups ---- */

bool acl_token_fetch(struct store_read *r, struct str key, struct acl_token *token) {
    return record_get(r, TABLE_ACL_TOKENS, key, &acl_token_shape, token);
}
bool acl_policy_fetch(struct store_read *r, struct str key, struct acl_policy *policy) {
    return record_get(r, TABLE_ACL_POLICIES, key, &acl_policy_shape, policy);
}
bool acl_role_fetch(struct store_read *r, struct str key, struct acl_role *role) {
    return record_get(r, TABLE_ACL_ROLES, key, &acl_role_shape, role);
}
bool acl_rule_fetch(struct store_read *r, struct str key, struct acl_binding_rule *rule) {
    return record_get(r, TABLE_ACL_RULES, key, &acl_binding_rule_shape, rule);
}
bool acl_method_fetch(struct store_read *r, struct str key, struct acl_auth_method *method) {
    return record_get(r, TABLE_ACL_METHODS, key, &acl_auth_method_shape, method);
}

/* Puts or deletes one lookup. */
static void lookup(struct store_batch *b, bool put, enum store_table table, struct str key,
                   struct str primary) {
    if (put)
        lookup_put(b, table, key, primary);
    else
        lookup_delete(b, table, key);
}

static void link_lookups(struct store_batch *b, bool put, enum store_table table,
                         const struct list *links, struct str primary) {
    for (uint32_t i = 0; i < links->len; i++) {
        struct str id = LIST_AT(*links, struct acl_link, i).id;
        lookup(b, put, table, KEY(b->read.arena, K_LOWER(id), K_BARE(primary)), primary);
    }
}

/* How long a look-up in a tree takes depends on how much of a key is right. By its digest nothing
 * can be told of a secret from that. */
static struct str digest_key(struct arena *arena, struct str secret) {
    struct blake2b h;
    uint8_t *digest = arena_alloc(arena, BLAKE2B_BYTES);
    blake2b_start(&h);
    blake2b_add(&h, secret);
    blake2b_end(&h, digest);
    return KEY(arena, K_BARE(str_of((const char *)digest, BLAKE2B_BYTES)));
}

static void token_lookups(struct store_batch *b, bool put, const struct acl_token *token,
                          struct str key) {
    struct arena *a = b->read.arena;
    struct error ignored = ERROR_IN(a);
    struct str accessor;
    if (token->accessor_id.len > 0 && uuid_key(a, token->accessor_id, &accessor, &ignored))
        lookup(b, put, TABLE_ACL_TOKENS_ACCESSOR, accessor, key);
    if (token->accessor_id.len == 0)
        lookup(b, put, TABLE_ACL_TOKENS_OLD, key, key);
    lookup(b, put, TABLE_ACL_TOKENS_DIGEST, digest_key(a, token->secret_id), key);
    link_lookups(b, put, TABLE_ACL_TOKENS_POLICY, &token->policies, key);
    link_lookups(b, put, TABLE_ACL_TOKENS_ROLE, &token->roles, key);
    if (token->auth_method.len > 0) {
        lookup(b, put, TABLE_ACL_TOKENS_METHOD, KEY(a, K_EXACT(token->auth_method), K_BARE(key)),
               key);
    }
    if (acl_token_expires(token))
        lookup(b, put, TABLE_ACL_TOKENS_EXPIRY, expiry_key(&b->read, token, key), key);
}

bool acl_token_remove(struct store_batch *b, struct str key) {
    struct acl_token old;
    if (!acl_token_fetch(&b->read, key, &old))
        return false;
    token_lookups(b, false, &old, key);
    table_delete(b, TABLE_ACL_TOKENS, key);
    touch_record(b, TOKENS_INDEX, key);
    return true;
}

void acl_token_store(struct store_batch *b, const struct acl_token *token) {
    struct str key = acl_token_key(&b->read, token->secret_id);
    acl_token_remove(b, key);
    record_put(b, TABLE_ACL_TOKENS, key, &acl_token_shape, token);
    token_lookups(b, true, token, key);
    touch_record(b, TOKENS_INDEX, key);
}

bool acl_policy_remove(struct store_batch *b, struct str key) {
    struct acl_policy old;
    if (!acl_policy_fetch(&b->read, key, &old))
        return false;
    lookup_delete(b, TABLE_ACL_POLICIES_NAME, KEY(b->read.arena, K_LOWER(old.name)));
    table_delete(b, TABLE_ACL_POLICIES, key);
    touch_record(b, POLICIES_INDEX, key);
    return true;
}

bool acl_policy_store(struct store_batch *b, const struct acl_policy *policy, struct error *e) {
    struct str key;
    if (!acl_id_key(&b->read, "policy", policy->id, &key, e))
        return false;
    acl_policy_remove(b, key);
    record_put(b, TABLE_ACL_POLICIES, key, &acl_policy_shape, policy);
    lookup_put(b, TABLE_ACL_POLICIES_NAME, KEY(b->read.arena, K_LOWER(policy->name)), key);
    touch_record(b, POLICIES_INDEX, key);
    return true;
}

bool acl_role_remove(struct store_batch *b, struct str key) {
    struct acl_role old;
    if (!acl_role_fetch(&b->read, key, &old))
        return false;
    lookup_delete(b, TABLE_ACL_ROLES_NAME, KEY(b->read.arena, K_LOWER(old.name)));
    link_lookups(b, false, TABLE_ACL_ROLES_POLICY, &old.policies, key);
    table_delete(b, TABLE_ACL_ROLES, key);
    touch_record(b, ROLES_INDEX, key);
    return true;
}

bool acl_role_store(struct store_batch *b, const struct acl_role *role, struct error *e) {
    struct str key;
    if (!acl_id_key(&b->read, "role", role->id, &key, e))
        return false;
    acl_role_remove(b, key);
    record_put(b, TABLE_ACL_ROLES, key, &acl_role_shape, role);
    lookup_put(b, TABLE_ACL_ROLES_NAME, KEY(b->read.arena, K_LOWER(role->name)), key);
    link_lookups(b, true, TABLE_ACL_ROLES_POLICY, &role->policies, key);
    touch_record(b, ROLES_INDEX, key);
    return true;
}

static struct str rule_method_key(struct store_read *r, const struct acl_binding_rule *rule,
                                  struct str key) {
    return KEY(r->arena, K_LOWER(rule->auth_method), K_BARE(key));
}

bool acl_rule_remove(struct store_batch *b, struct str key) {
    struct acl_binding_rule old;
    if (!acl_rule_fetch(&b->read, key, &old))
        return false;
    lookup_delete(b, TABLE_ACL_RULES_METHOD, rule_method_key(&b->read, &old, key));
    table_delete(b, TABLE_ACL_RULES, key);
    touch_record(b, RULES_INDEX, key);
    return true;
}

bool acl_rule_store(struct store_batch *b, const struct acl_binding_rule *rule, struct error *e) {
    struct str key;
    if (!acl_id_key(&b->read, "binding rule", rule->id, &key, e))
        return false;
    acl_rule_remove(b, key);
    record_put(b, TABLE_ACL_RULES, key, &acl_binding_rule_shape, rule);
    lookup_put(b, TABLE_ACL_RULES_METHOD, rule_method_key(&b->read, rule, key), key);
    touch_record(b, RULES_INDEX, key);
    return true;
}

bool acl_method_remove(struct store_batch *b, struct str key) {
    if (!table_delete(b, TABLE_ACL_METHODS, key))
        return false;
    touch_record(b, METHODS_INDEX, key);
    return true;
}

void acl_method_store(struct store_batch *b, const struct acl_auth_method *method) {
    struct str key = acl_method_key(&b->read, method->name);
    record_put(b, TABLE_ACL_METHODS, key, &acl_auth_method_shape, method);
    touch_record(b, METHODS_INDEX, key);
}

/* ---- links as they are now ---- */

static struct list links_now(struct store_read *r, enum store_table table,
                             const struct list *links) {
    struct list now = {.present = links->present};
    uint32_t cap = 0;
    struct error ignored = ERROR_IN(r->arena);
    for (uint32_t i = 0; i < links->len; i++) {
        struct acl_link link = LIST_AT(*links, struct acl_link, i);
        struct acl_policy policy;
        struct acl_role role;
        struct str key;
        if (!uuid_key(r->arena, link.id, &key, &ignored))
            continue;
        if (table == TABLE_ACL_POLICIES && acl_policy_fetch(r, key, &policy))
            link.name = policy.name;
        else if (table == TABLE_ACL_ROLES && acl_role_fetch(r, key, &role))
            link.name = role.name;
        else
            continue;
        *(struct acl_link *)list_push(&now, &cap, sizeof link, r->arena) = link;
    }
    return now;
}

static void token_links_now(struct store_read *r, struct acl_token *token) {
    token->policies = links_now(r, TABLE_ACL_POLICIES, &token->policies);
    token->roles = links_now(r, TABLE_ACL_ROLES, &token->roles);
}

static void watch_links(struct store_read *r, bool roles) {
    watch_name(r, WATCH_TABLE, STR(POLICIES_INDEX));
    if (roles)
        watch_name(r, WATCH_TABLE, STR(ROLES_INDEX));
}

/* ---- tokens ---- */

static struct acl_token *token_shown(struct store_read *r, struct str key) {
    struct acl_token *token = ARENA_NEW(r->arena, struct acl_token);
    if (!acl_token_fetch(r, key, token))
        return NULL;
    token_links_now(r, token);
    return token;
}

uint64_t acl_token_by_secret(struct store_read *r, struct str secret, struct acl_token **token) {
    struct str primary;
    watch_set_add_record(r->watch, TOKENS_INDEX, acl_token_key(r, secret));
    watch_links(r, true);
    *token = NULL;
    if (table_get(r, TABLE_ACL_TOKENS_DIGEST, digest_key(r->arena, secret), &primary))
        *token = token_shown(r, str_copy(r->arena, primary));
    return INDEX_MAX(r, TOKENS_INDEX);
}

bool acl_token_by_accessor(struct store_read *r, struct str accessor, struct acl_token **token,
                           uint64_t *index, struct error *e) {
    struct str key, primary;
    *token = NULL;
    *index = INDEX_MAX(r, TOKENS_INDEX);
    if (!acl_id_key(r, "token", accessor, &key, e))
        return false;
    watch_name(r, WATCH_TABLE, STR(TOKENS_INDEX)); /* a token may get this accessor */
    watch_links(r, true);
    if (table_get(r, TABLE_ACL_TOKENS_ACCESSOR, key, &primary))
        *token = token_shown(r, str_copy(r->arena, primary));
    return true;
}

static struct list tokens_by(struct store_read *r, enum store_table table, struct str prefix) {
    struct list keys = lookup_keys(r, table, prefix);
    struct list tokens = LIST_NIL;
    uint32_t cap = 0;
    for (uint32_t i = 0; i < keys.len; i++) {
        struct acl_token *token = ARENA_NEW(r->arena, struct acl_token);
        if (acl_token_fetch(r, LIST_AT(keys, struct str, i), token))
            *(struct acl_token **)list_push(&tokens, &cap, sizeof token, r->arena) = token;
    }
    return tokens;
}

uint64_t acl_token_list(struct store_read *r, const struct acl_token_filter *filter,
                        struct list *tokens) {
    struct list all;
    uint32_t cap = 0;
    watch_name(r, WATCH_TABLE, STR(TOKENS_INDEX));
    watch_links(r, true);
    if (filter->policy.len > 0)
        all = tokens_by(r, TABLE_ACL_TOKENS_POLICY, KEY(r->arena, K_LOWER(filter->policy)));
    else if (filter->role.len > 0)
        all = tokens_by(r, TABLE_ACL_TOKENS_ROLE, KEY(r->arena, K_LOWER(filter->role)));
    else if (filter->auth_method.len > 0)
        all = tokens_by(r, TABLE_ACL_TOKENS_METHOD, KEY(r->arena, K_EXACT(filter->auth_method)));
    else
        record_list(r, TABLE_ACL_TOKENS, STR(""), &acl_token_shape, &all);
    *tokens = LIST_NIL;
    for (uint32_t i = 0; i < all.len; i++) {
        struct acl_token *token = LIST_AT(all, struct acl_token *, i);
        if (token->local ? !filter->local : !filter->global)
            continue;
        token_links_now(r, token);
        *(struct acl_token **)list_push(tokens, &cap, sizeof token, r->arena) = token;
    }
    return INDEX_MAX(r, TOKENS_INDEX);
}

void acl_tokens_expired(struct store_read *r, bool local, int64_t before_unix_ns, uint32_t max,
                        struct list *tokens) {
    struct table_scan s;
    struct str value;
    char prefix[1] = {local ? 1 : 0};
    uint32_t cap = 0;
    *tokens = LIST_NIL;
    table_scan_begin(&s, r, TABLE_ACL_TOKENS_EXPIRY, str_of(prefix, 1));
    while (tokens->len < max && table_scan_next(&s, NULL, &value)) {
        struct acl_token *token = ARENA_NEW(r->arena, struct acl_token);
        if (!acl_token_fetch(r, str_copy(r->arena, value), token) ||
            timestamp_to_unix_ns(token->expiration_time) >= before_unix_ns)
            break;
        *(struct acl_token **)list_push(tokens, &cap, sizeof token, r->arena) = token;
    }
    table_scan_end(&s);
}

int64_t acl_tokens_next_expiry(struct store_read *r, bool local) {
    struct table_scan s;
    struct str key;
    char prefix[1] = {local ? 1 : 0};
    int64_t when = INT64_MAX;
    table_scan_begin(&s, r, TABLE_ACL_TOKENS_EXPIRY, str_of(prefix, 1));
    if (table_scan_next(&s, &key, NULL) && key.len >= 9)
        when = (int64_t)(be64_get(key.data + 1) ^ (UINT64_C(1) << 63));
    table_scan_end(&s);
    return when;
}

void acl_tokens_without_accessor(struct store_read *r, uint32_t max, struct list *tokens) {
    struct table_scan s;
    struct str value;
    uint32_t cap = 0;
    *tokens = LIST_NIL;
    table_scan_begin(&s, r, TABLE_ACL_TOKENS_OLD, STR(""));
    while (tokens->len < max && table_scan_next(&s, NULL, &value)) {
        struct acl_token *token = ARENA_NEW(r->arena, struct acl_token);
        if (acl_token_fetch(r, str_copy(r->arena, value), token))
            *(struct acl_token **)list_push(tokens, &cap, sizeof token, r->arena) = token;
    }
    table_scan_end(&s);
}

uint64_t acl_bootstrap_index(struct store_read *r) {
    return store_index(r, STR(BOOTSTRAP_INDEX));
}

/* ---- policies ---- */

bool acl_policy_by_id(struct store_read *r, struct str id, struct acl_policy **policy,
                      uint64_t *index, struct error *e) {
    struct str key;
    *policy = NULL;
    *index = INDEX_MAX(r, POLICIES_INDEX);
    if (!acl_id_key(r, "policy", id, &key, e))
        return false;
    watch_set_add_record(r->watch, POLICIES_INDEX, key);
    struct acl_policy *found = ARENA_NEW(r->arena, struct acl_policy);
    if (acl_policy_fetch(r, key, found))
        *policy = found;
    return true;
}

uint64_t acl_policy_by_name(struct store_read *r, struct str name, struct acl_policy **policy) {
    struct acl_policy *found = ARENA_NEW(r->arena, struct acl_policy);
    struct str key;
    watch_name(r, WATCH_TABLE, STR(POLICIES_INDEX));
    bool known =
        acl_named_key(r, TABLE_ACL_POLICIES_NAME, name, &key) && acl_policy_fetch(r, key, found);
    *policy = known ? found : NULL;
    return INDEX_MAX(r, POLICIES_INDEX);
}

uint64_t acl_policy_list(struct store_read *r, struct list *policies) {
    watch_name(r, WATCH_TABLE, STR(POLICIES_INDEX));
    record_list(r, TABLE_ACL_POLICIES, STR(""), &acl_policy_shape, policies);
    return INDEX_MAX(r, POLICIES_INDEX);
}

/* ---- roles ---- */

static struct acl_role *role_shown(struct store_read *r, struct str key) {
    struct acl_role *role = ARENA_NEW(r->arena, struct acl_role);
    if (!acl_role_fetch(r, key, role))
        return NULL;
    role->policies = links_now(r, TABLE_ACL_POLICIES, &role->policies);
    return role;
}

bool acl_role_by_id(struct store_read *r, struct str id, struct acl_role **role, uint64_t *index,
                    struct error *e) {
    struct str key;
    *role = NULL;
    *index = INDEX_MAX(r, ROLES_INDEX);
    if (!acl_id_key(r, "role", id, &key, e))
        return false;
    watch_set_add_record(r->watch, ROLES_INDEX, key);
    watch_links(r, false);
    *role = role_shown(r, key);
    return true;
}

uint64_t acl_role_by_name(struct store_read *r, struct str name, struct acl_role **role) {
    struct str key;
    watch_links(r, true);
    bool known = acl_named_key(r, TABLE_ACL_ROLES_NAME, name, &key);
    *role = known ? role_shown(r, key) : NULL;
    return INDEX_MAX(r, ROLES_INDEX);
}

uint64_t acl_role_list(struct store_read *r, struct str policy, struct list *roles) {
    watch_links(r, true);
    if (policy.len == 0) {
        record_list(r, TABLE_ACL_ROLES, STR(""), &acl_role_shape, roles);
        for (uint32_t i = 0; i < roles->len; i++) {
            struct acl_role *role = LIST_AT(*roles, struct acl_role *, i);
            role->policies = links_now(r, TABLE_ACL_POLICIES, &role->policies);
        }
        return INDEX_MAX(r, ROLES_INDEX);
    }
    struct list keys = lookup_keys(r, TABLE_ACL_ROLES_POLICY, KEY(r->arena, K_LOWER(policy)));
    uint32_t cap = 0;
    *roles = LIST_NIL;
    for (uint32_t i = 0; i < keys.len; i++) {
        struct acl_role *role = role_shown(r, LIST_AT(keys, struct str, i));
        if (role != NULL)
            *(struct acl_role **)list_push(roles, &cap, sizeof role, r->arena) = role;
    }
    return INDEX_MAX(r, ROLES_INDEX);
}

/* ---- binding rules, auth methods ---- */

bool acl_binding_rule_by_id(struct store_read *r, struct str id, struct acl_binding_rule **rule,
                            uint64_t *index, struct error *e) {
    struct str key;
    *rule = NULL;
    *index = INDEX_MAX(r, RULES_INDEX);
    if (!acl_id_key(r, "binding rule", id, &key, e))
        return false;
    watch_set_add_record(r->watch, RULES_INDEX, key);
    struct acl_binding_rule *found = ARENA_NEW(r->arena, struct acl_binding_rule);
    if (acl_rule_fetch(r, key, found))
        *rule = found;
    return true;
}

uint64_t acl_binding_rule_list(struct store_read *r, struct str auth_method, struct list *rules) {
    watch_name(r, WATCH_TABLE, STR(RULES_INDEX));
    if (auth_method.len == 0) {
        record_list(r, TABLE_ACL_RULES, STR(""), &acl_binding_rule_shape, rules);
        return INDEX_MAX(r, RULES_INDEX);
    }
    struct list keys = lookup_keys(r, TABLE_ACL_RULES_METHOD, acl_method_key(r, auth_method));
    uint32_t cap = 0;
    *rules = LIST_NIL;
    for (uint32_t i = 0; i < keys.len; i++) {
        struct acl_binding_rule *rule = ARENA_NEW(r->arena, struct acl_binding_rule);
        if (acl_rule_fetch(r, LIST_AT(keys, struct str, i), rule))
            *(struct acl_binding_rule **)list_push(rules, &cap, sizeof rule, r->arena) = rule;
    }
    return INDEX_MAX(r, RULES_INDEX);
}

uint64_t acl_auth_method_by_name(struct store_read *r, struct str name,
                                 struct acl_auth_method **method) {
    struct acl_auth_method *found = ARENA_NEW(r->arena, struct acl_auth_method);
    struct str key = acl_method_key(r, name);
    watch_set_add_record(r->watch, METHODS_INDEX, key);
    *method = acl_method_fetch(r, key, found) ? found : NULL;
    return INDEX_MAX(r, METHODS_INDEX);
}

uint64_t acl_auth_method_list(struct store_read *r, struct list *methods) {
    watch_name(r, WATCH_TABLE, STR(METHODS_INDEX));
    record_list(r, TABLE_ACL_METHODS, STR(""), &acl_auth_method_shape, methods);
    return INDEX_MAX(r, METHODS_INDEX);
}

/* ---- the tables as a whole ---- */

bool acl_tokens_written(struct store_read *r) {
    return store_index(r, STR(TOKENS_INDEX)) > 0;
}
bool acl_policies_written(struct store_read *r) {
    return store_index(r, STR(POLICIES_INDEX)) > 0;
}
bool acl_roles_written(struct store_read *r) {
    return store_index(r, STR(ROLES_INDEX)) > 0;
}
