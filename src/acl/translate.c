/* Legacy rules are all of prefixes: their keywords get "_prefix" wherever they are an item's first
 * key, at any depth, and the rest is printed as the peer's formatter does.
 */
#include "acl/translate.h"

#include "base/buf.h"
#include "base/mem.h"
#include "codec/hcl_print.h"

static void rename_key(struct arena *arena, struct hcl_item *item) {
    static const char *const words[] = {"agent",   "key",     "node", "query",
                                        "service", "session", "event"};
    struct str key = item->keys[0];
    if (str_is(key, "policy"))
        item->written[0] = key;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_is(key, words[i]))
            item->written[0] = str_format(arena, "%s_prefix", words[i]);
    }
}

static void rename_keys(struct arena *arena, struct hcl_node *node) {
    for (size_t i = 0; i < node->len; i++) {
        if (node->kind == HCL_NODE_LIST) {
            rename_keys(arena, node->nodes[i]);
        } else {
            rename_key(arena, &node->items[i]);
            rename_keys(arena, node->items[i].value);
        }
    }
}

bool acl_rules_translate(struct arena *arena, struct str text, struct str *out, struct error *e) {
    struct hcl_tree tree;
    if (!hcl_parse_commented(text, &tree, arena, e))
        return error_prefix(e, "Failed to parse rules: ");
    rename_keys(arena, tree.root);
    struct buf printed = BUF_INIT;
    hcl_print(&tree, &printed);
    *out = str_copy(arena, buf_str(&printed));
    buf_free(&printed);
    return true;
}
