/* Rule text to rules: the syntax tree decoded as the peer decodes it, then the levels checked. See
 * rules.h.
 *
 * A block's keyword selects the items of the text with that first key, in any letter case. What has
 * a label behind it ("key "a" {…}") comes before what has none ("key = {…}", each of whose items
 * then is a rule).
 */
#include "acl/rules.h"

#include "base/mem.h"
#include "codec/hcl_syntax.h"

enum { NONE_OF_THEM = -1 };

struct block {
    const char *word;
    enum acl_resource resource;
    bool prefix;
};

/* In the order in which they are decoded and checked. */
static const struct block current_blocks[] = {
    {"agent", ACL_AGENT, false},     {"agent_prefix", ACL_AGENT, true},
    {"key", ACL_KEY, false},         {"key_prefix", ACL_KEY, true},
    {"node", ACL_NODE, false},       {"node_prefix", ACL_NODE, true},
    {"service", ACL_SERVICE, false}, {"service_prefix", ACL_SERVICE, true},
    {"session", ACL_SESSION, false}, {"session_prefix", ACL_SESSION, true},
    {"event", ACL_EVENT, false},     {"event_prefix", ACL_EVENT, true},
    {"query", ACL_QUERY, false},     {"query_prefix", ACL_QUERY, true},
};
static const struct block legacy_blocks[] = {
    {"agent", ACL_AGENT, true},     {"key", ACL_KEY, true},         {"node", ACL_NODE, true},
    {"service", ACL_SERVICE, true}, {"session", ACL_SESSION, true}, {"event", ACL_EVENT, true},
    {"query", ACL_QUERY, true},
};

/* How the peer's error texts show a rule: its type, and its name's field. */
static const struct shown {
    const char *type, *name;
    bool enterprise;
} shown[] = {
    [ACL_AGENT] = {"AgentRule", "Node", false},
    [ACL_EVENT] = {"EventRule", "Event", false},
    [ACL_KEY] = {"KeyRule", "Prefix", true},
    [ACL_NODE] = {"NodeRule", "Name", true},
    [ACL_QUERY] = {"PreparedQueryRule", "Prefix", false},
    [ACL_SERVICE] = {"ServiceRule", "Name", true},
    [ACL_SESSION] = {"SessionRule", "Node", false},
};

/* A rule as written. */
struct written {
    const struct block *block;
    struct str name, policy, intentions;
};

struct reader {
    struct hcl_tree tree;
    struct arena *arena;
    struct error *e;
    struct written *rules;
    size_t len, cap;
};

/* ---- decoding ---- */

static bool decode_error(struct reader *r, size_t place, struct str path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* place: SIZE_MAX: none. */
static bool decode_error(struct reader *r, size_t place, struct str path, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str message = str_vformat(r->arena, format, args);
    va_end(args);
    struct str at =
        r->tree.json || place == SIZE_MAX ? STR("-") : hcl_place(r->arena, r->tree.text, place);
    return error_set(r->e, ERROR_INTERNAL, "At " STR_FMT ": " STR_FMT "%s" STR_FMT, STR_ARG(at),
                     STR_ARG(path), path.len > 0 ? ": " : "", STR_ARG(message));
}

/* Where an object's first item stands: the peer shows that for the object. */
static size_t object_place(const struct hcl_node *object) {
    return object->kind == HCL_NODE_OBJECT && object->len > 0 && object->items[0].places != NULL
               ? object->items[0].places[0]
               : SIZE_MAX;
}

static bool string_error(struct reader *r, size_t place, struct str path, const char *type) {
    return decode_error(r, place, path, "unknown type for string *ast.%s", type);
}

/* In the JSON dialect a list of objects stands for as many items. */
static bool stands_for_items(const struct reader *r, const struct hcl_node *node) {
    if (!r->tree.json || node->kind != HCL_NODE_LIST || node->len == 0)
        return false;
    for (size_t i = 0; i < node->len; i++) {
        if (node->nodes[i]->kind != HCL_NODE_OBJECT)
            return false;
    }
    return true;
}

static bool string_value(struct reader *r, const struct hcl_node *node, struct str path,
                         struct str *out) {
    if (node->kind == HCL_NODE_OBJECT || stands_for_items(r, node))
        return string_error(r, object_place(node), path, "ObjectList");
    if (node->kind == HCL_NODE_LIST)
        return string_error(r, node->position, path, "ListType");
    switch (node->token.type) {
    case HCL_NULL:
        *out = STR("");
        return true;
    case HCL_STRING:
    case HCL_HEREDOC:
    case HCL_NUMBER:
        return hcl_literal_text(&node->token, out, r->arena, r->e);
    default:
        return string_error(r, node->position, path, "LiteralType");
    }
}

static struct str path_of(struct reader *r, struct str parent, const char *name) {
    return str_format(r->arena, STR_FMT ".%s", STR_ARG(parent), name);
}

/* The last of an attribute's values; *out stays as it is without any. */
static bool attribute(struct reader *r, const struct hcl_node *object, const char *word,
                      struct str path, struct str *out) {
    for (size_t i = 0; i < object->len; i++) {
        const struct hcl_item *item = &object->items[i];
        if (item->key_count > 1 && str_eq_fold(item->keys[0], str_from(word)))
            return string_error(r, item->places != NULL ? item->places[1] : SIZE_MAX, path,
                                "ObjectList");
    }
    for (size_t i = 0; i < object->len; i++) {
        const struct hcl_item *item = &object->items[i];
        if (str_eq_fold(item->keys[0], str_from(word)) && !string_value(r, item->value, path, out))
            return false;
    }
    return true;
}

static struct written *add_rule(struct reader *r) {
    if (r->len == r->cap) {
        size_t cap = r->cap > 0 ? r->cap * 2 : 8;
        struct written *rules = ARENA_ARRAY(r->arena, struct written, cap);
        if (r->len > 0)
            memcpy(rules, r->rules, r->len * sizeof(*rules));
        r->rules = rules;
        r->cap = cap;
    }
    return &r->rules[r->len++];
}

static bool read_body(struct reader *r, const struct block *b, struct str name,
                      const struct hcl_node *body, struct str path) {
    struct written rule = {b, name, STR(""), STR("")};
    if (!attribute(r, body, "policy", path_of(r, path, "Policy"), &rule.policy))
        return false;
    if (b->resource == ACL_SERVICE &&
        !attribute(r, body, "intentions", path_of(r, path, "Intentions"), &rule.intentions))
        return false;
    *add_rule(r) = rule;
    return true;
}

static bool not_an_object(struct reader *r, const struct hcl_node *node, struct str path) {
    return decode_error(r, node->position, path, "not an object type for struct (*ast.%s)",
                        node->kind == HCL_NODE_LIST ? "ListType" : "LiteralType");
}

/* One rule: the item's first key is its name. */
static bool read_rule(struct reader *r, const struct block *b, const struct hcl_item *item,
                      size_t index) {
    struct str path = str_format(r->arena, "root.%s[%zu]", b->word, index);
    struct hcl_item inner = *item;
    struct hcl_node around = {
        .kind = HCL_NODE_OBJECT, .position = item->value->position, .items = &inner, .len = 1};
    if (item->key_count == 2) {
        /* The peer takes "a" "b" {…} for the JSON dialect's a {b {…}}. */
        inner.keys++;
        inner.key_count--;
        inner.places = item->places != NULL ? item->places + 1 : NULL;
        return read_body(r, b, item->keys[0], &around, path);
    }
    if (item->value->kind == HCL_NODE_LITERAL)
        return read_body(r, b, item->keys[0], &around, path);
    if (stands_for_items(r, item->value)) {
        for (size_t i = 0; i < item->value->len; i++) {
            if (!read_body(r, b, item->keys[0], item->value->nodes[i], path))
                return false;
        }
        return true;
    }
    if (item->value->kind == HCL_NODE_LIST)
        return not_an_object(r, item->value, path);
    return read_body(r, b, item->keys[0], item->value, path);
}

static bool read_rules(struct reader *r, const struct block *b, const struct hcl_node *object) {
    for (size_t i = 0; i < object->len; i++) {
        if (!read_rule(r, b, &object->items[i], i))
            return false;
    }
    return true;
}

/* key = […]: what stands in a list has no name. */
static bool read_nameless(struct reader *r, const struct block *b, const struct hcl_node *list) {
    if (list->len == 0)
        return true;
    const struct hcl_node *first = list->nodes[0];
    struct str path = str_format(r->arena, "root.%s[0]", b->word);
    if (first->kind != HCL_NODE_OBJECT)
        return not_an_object(r, first, path);
    return decode_error(r, object_place(first), path, "%s asked for 'key', impossible",
                        shown[b->resource].name);
}

/* What stands behind a keyword that has no label. */
static bool read_unlabelled(struct reader *r, const struct block *b, const struct hcl_node *value) {
    if (value->kind == HCL_NODE_OBJECT)
        return read_rules(r, b, value);
    if (value->kind == HCL_NODE_LITERAL)
        return decode_error(r, value->position, STR(""), "unknown slice type: *ast.LiteralType");
    if (!stands_for_items(r, value))
        return read_nameless(r, b, value);
    for (size_t i = 0; i < value->len; i++) {
        if (!read_rules(r, b, value->nodes[i]))
            return false;
    }
    return true;
}

static bool read_block(struct reader *r, const struct block *b) {
    const struct hcl_node *root = r->tree.root;
    size_t index = 0;
    for (size_t i = 0; i < root->len; i++) {
        struct hcl_item item = root->items[i];
        if (item.key_count < 2 || !str_eq_fold(item.keys[0], str_from(b->word)))
            continue;
        item.keys++;
        item.key_count--;
        item.places = item.places != NULL ? item.places + 1 : NULL;
        if (!read_rule(r, b, &item, index++))
            return false;
    }
    for (size_t i = 0; i < root->len; i++) {
        const struct hcl_item *item = &root->items[i];
        if (item->key_count == 1 && str_eq_fold(item->keys[0], str_from(b->word)) &&
            !read_unlabelled(r, b, item->value))
            return false;
    }
    return true;
}

/* "id" is read like any text and then forgotten; "revision" never can be. */
static bool read_hidden(struct reader *r) {
    struct str id;
    if (!attribute(r, r->tree.root, "id", STR("root.id"), &id))
        return false;
    for (size_t i = 0; i < r->tree.root->len; i++) {
        const struct hcl_item *item = &r->tree.root->items[i];
        if (!str_eq_fold(item->keys[0], STR("revision")))
            continue;
        size_t place = item->key_count > 1 ? (item->places != NULL ? item->places[1] : SIZE_MAX)
                       : item->value->kind == HCL_NODE_OBJECT ? object_place(item->value)
                                                              : item->value->position;
        return decode_error(r, place, STR("root.revision"), "unknown kind to decode into: uint64");
    }
    return true;
}

/* ---- levels ---- */

static int level_of(struct str word) {
    static const struct {
        const char *word;
        enum acl_level level;
    } words[] = {{"read", ACL_LEVEL_READ},
                 {"list", ACL_LEVEL_LIST},
                 {"write", ACL_LEVEL_WRITE},
                 {"deny", ACL_LEVEL_DENY}};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_eq_fold(word, str_from(words[i].word)))
            return (int)words[i].level;
    }
    return NONE_OF_THEM;
}

static bool read_level(struct arena *arena, struct str word, bool may_list, struct acl_word *out) {
    int level = level_of(word);
    if (level == NONE_OF_THEM || (level == ACL_LEVEL_LIST && !may_list))
        return false;
    *out = (struct acl_word){(enum acl_level)level, str_eq(word, str_lower(arena, word))};
    return true;
}

bool acl_word_parse(struct str text, struct arena *arena, struct acl_word *out) {
    return read_level(arena, text, true, out);
}

static bool rule_error(struct reader *r, const struct written *w, const char *what) {
    const struct shown *s = &shown[w->block->resource];
    struct str name = str_quote(r->arena, w->name), policy = str_quote(r->arena, w->policy);
    struct str intentions = STR("");
    if (w->block->resource == ACL_SERVICE) {
        struct str quoted = str_quote(r->arena, w->intentions);
        intentions = str_format(r->arena, ", Intentions:" STR_FMT, STR_ARG(quoted));
    }
    return error_set(r->e, ERROR_INTERNAL,
                     "Invalid %s %s: &acl.%s{%s:" STR_FMT ", Policy:" STR_FMT STR_FMT "%s}",
                     w->block->word, what, s->type, s->name, STR_ARG(name), STR_ARG(policy),
                     STR_ARG(intentions),
                     s->enterprise ? ", EnterpriseRule:acl.EnterpriseRule{}" : "");
}

static bool check_rules(struct reader *r, struct acl_rules *out) {
    out->items = ARENA_ARRAY(r->arena, struct acl_rule, r->len + 1);
    for (size_t i = 0; i < r->len; i++) {
        const struct written *w = &r->rules[i];
        struct acl_rule *rule = &out->items[out->len++];
        *rule = (struct acl_rule){
            .resource = w->block->resource, .prefix = w->block->prefix, .name = w->name};
        if (!read_level(r->arena, w->policy, rule->resource == ACL_KEY, &rule->policy))
            return rule_error(r, w, "policy");
        if (w->intentions.len > 0 && !read_level(r->arena, w->intentions, false, &rule->intentions))
            return rule_error(r, w, "intentions policy");
    }
    return true;
}

static bool check_scalar(struct reader *r, const char *word, struct str text,
                         struct acl_word *out) {
    if (text.len == 0 || read_level(r->arena, text, false, out))
        return true;
    struct str quoted = str_quote(r->arena, text);
    return error_set(r->e, ERROR_INTERNAL, "Invalid %s policy: " STR_FMT, word, STR_ARG(quoted));
}

/* ---- entry ---- */

struct scalars {
    struct str acl, keyring, operator;
};

static bool decode(struct reader *r, enum acl_syntax syntax, struct scalars *s) {
    const struct hcl_node *root = r->tree.root;
    bool current = syntax == ACL_SYNTAX_CURRENT;
    const struct block *blocks = current ? current_blocks : legacy_blocks;
    size_t count = current ? COUNT_OF(current_blocks) : COUNT_OF(legacy_blocks);
    if (current && (!read_hidden(r) || !attribute(r, root, "acl", STR("root.acl"), &s->acl)))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!read_block(r, &blocks[i]))
            return false;
    }
    return attribute(r, root, "keyring", STR("root.keyring"), &s->keyring) &&
           attribute(r, root, "operator", STR("root.operator"), &s->operator);
}

bool acl_rules_parse(struct str text, enum acl_syntax syntax, struct acl_rules *out,
                     struct arena *arena, struct error *e) {
    struct reader r = {.arena = arena, .e = e};
    struct scalars s = {STR(""), STR(""), STR("")};
    *out = (struct acl_rules){0};
    if (!hcl_parse_tree(text, &r.tree, arena, e) || !decode(&r, syntax, &s))
        return error_prefix(e, "Failed to parse ACL rules: ");
    return check_scalar(&r, "acl", s.acl, &out->acl) && check_rules(&r, out) &&
           check_scalar(&r, "keyring", s.keyring, &out->keyring) &&
           check_scalar(&r, "operator", s.operator, & out->operator);
}
