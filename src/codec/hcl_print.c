/* The peer's layout of HCL, learnt from its answers (tests/vectors/acl/translate.json): also where
 * it looks odd, as clients see it. Comments that belong to no item are printed before the next item
 * of any object, and lost if that item stands in the middle of aligned ones.
 */
#include "codec/hcl_print.h"

#include "base/mem.h"

struct printer {
    struct buf *out;
    unsigned depth;
    bool at_start;                    /* of a line, whose indentation is not written yet */
    const struct hcl_comments *alone; /* the first behind the start of the newest item printed */
};

static void print_node(struct printer *p, const struct hcl_node *node);

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* ---- bytes ---- */

static void indent(struct printer *p, unsigned depth) {
    for (unsigned i = 0; i < depth; i++)
        buf_add_text(p->out, "  ");
}

/* Newlines in the text are not followed by an indentation: those of strings and heredocs. */
static void put(struct printer *p, struct str text) {
    if (p->at_start && text.len > 0) {
        indent(p, p->depth);
        p->at_start = false;
    }
    buf_add_str(p->out, text);
}

static void put_blanks(struct printer *p, size_t count) {
    for (; count > 0; count--)
        put(p, STR(" "));
}

static void end_line(struct printer *p) {
    buf_add_char(p->out, '\n');
    p->at_start = true;
}

/* A comment, whose further lines are moved by `depth` too. */
static void put_moved(struct printer *p, struct str text, unsigned depth) {
    struct str rest = text;
    put(p, str_cut(&rest, '\n'));
    while (rest.data != NULL) {
        struct str line = str_cut(&rest, '\n');
        buf_add_char(p->out, '\n');
        if (line.len > 0)
            indent(p, depth);
        buf_add_str(p->out, line);
    }
}

/* ---- comments ---- */

/* The first comments from `c` on that belong to nothing and stand before `position`; NULL: none. */
static const struct hcl_comments *alone_before(const struct hcl_comments *c, size_t position) {
    while (c != NULL && c->attached && c->position < position)
        c = c->next;
    return c != NULL && c->position < position ? c : NULL;
}

static void set_printed(struct printer *p, size_t position) {
    while (p->alone != NULL && p->alone->position <= position)
        p->alone = p->alone->next;
}

/* Each on its own line; the last one's end is left to the caller. At the top of an object the peer
 * forgets the ends of lines. */
static void print_alone(struct printer *p, const struct hcl_comments *c, bool at_top) {
    for (size_t i = 0; i < c->len; i++) {
        if (i > 0 && at_top)
            put(p, STR("  "));
        else if (i > 0)
            end_line(p);
        put(p, c->texts[i]);
    }
}

static void print_lines(struct printer *p, const struct hcl_comments *c) {
    for (size_t i = 0; c != NULL && i < c->len; i++) {
        put_moved(p, c->texts[i], p->depth);
        end_line(p);
    }
}

static void print_behind(struct printer *p, const struct hcl_comments *c, unsigned depth) {
    put(p, STR(" "));
    for (size_t i = 0; i < c->len; i++)
        put_moved(p, c->texts[i], depth);
}

/* ---- lists ---- */

static bool is_heredoc(const struct hcl_node *node) {
    return node->kind == HCL_NODE_LITERAL && node->token.type == HCL_HEREDOC;
}

static bool on_one_line(const struct hcl_node *list) {
    for (size_t i = 0; i < list->len; i++) {
        const struct hcl_node *node = list->nodes[i];
        if (node->kind != HCL_NODE_LITERAL || node->line != list->line || node->behind != NULL ||
            (is_heredoc(node) && list->len > 1))
            return false;
    }
    return true;
}

static void print_list_on_one_line(struct printer *p, const struct hcl_node *list) {
    put(p, STR("["));
    for (size_t i = 0; i < list->len; i++) {
        if (i > 0)
            put(p, STR(", "));
        print_node(p, list->nodes[i]);
        if (is_heredoc(list->nodes[i]))
            end_line(p);
    }
    put(p, STR("]"));
}

static struct str literal_text(const struct hcl_node *node) {
    return node->token.null ? STR("") : node->token.text;
}

static size_t newlines_in(struct str text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '\n';
    return count;
}

/* As the peer counts: a heredoc with its last newline. */
static size_t token_len(const struct hcl_node *node) {
    return literal_text(node).len + is_heredoc(node);
}

/* And when it is printed, each newline, or row of newlines, is three bytes longer. */
static size_t counted_len(const struct hcl_node *node) {
    struct str text = literal_text(node);
    size_t len = text.len;
    for (size_t i = 0; i < text.len; i++) {
        bool newline = text.data[i] == '\n';
        len += newline && (i == 0 || text.data[i - 1] != '\n') ? 3 : 0;
    }
    return len;
}

static size_t longest_literal(const struct hcl_node *list) {
    size_t longest = 0;
    for (size_t i = 0; i < list->len; i++) {
        const struct hcl_node *node = list->nodes[i];
        if (node->kind == HCL_NODE_LITERAL)
            longest = larger(longest, token_len(node));
    }
    return longest;
}

static void print_list(struct printer *p, const struct hcl_node *list) {
    if (on_one_line(list)) {
        print_list_on_one_line(p, list);
        return;
    }
    size_t longest = longest_literal(list);
    put(p, STR("["));
    end_line(p);
    p->depth++;
    for (size_t i = 0; i < list->len; i++) {
        const struct hcl_node *node = list->nodes[i];
        if (node->lead != NULL && i > 0 && list->nodes[i - 1]->lead == NULL)
            end_line(p);
        print_lines(p, node->lead);
        print_node(p, node);
        if (is_heredoc(node))
            end_line(p);
        put(p, STR(","));
        if (node->behind != NULL) {
            put_blanks(p, larger(longest, counted_len(node)) - counted_len(node));
            print_behind(p, node->behind, p->depth - 1);
        }
        end_line(p);
        if (node->lead != NULL && i + 1 < list->len)
            end_line(p);
    }
    p->depth--;
    put(p, STR("]"));
}

/* ---- items ---- */

static bool is_empty_object(const struct hcl_node *node) {
    return node->kind == HCL_NODE_OBJECT && node->len == 0;
}

static void print_item(struct printer *p, const struct hcl_item *item) {
    bool above = item->behind != NULL && item->value->line != item->line;
    print_lines(p, item->lead);
    if (above)
        print_lines(p, item->behind);
    for (size_t i = 0; i < item->key_count; i++) {
        put(p, item->written[i]);
        put(p, STR(" "));
    }
    if (item->assigned)
        put(p, STR("= "));
    print_node(p, item->value);
    if (item->behind != NULL && !above)
        print_behind(p, item->behind, p->depth);
}

static size_t newlines_in_comments(const struct hcl_comments *c, bool own_lines) {
    size_t count = 0;
    for (size_t i = 0; c != NULL && i < c->len; i++)
        count += newlines_in(c->texts[i]) + own_lines;
    return count;
}

/* How many there are in a value's text; MANY_LINES: at least that. */
#define MANY_LINES 2
static size_t newlines_of(const struct printer *p, const struct hcl_node *node) {
    size_t count = 0;
    switch (node->kind) {
    case HCL_NODE_LITERAL:
        return newlines_in(literal_text(node));
    case HCL_NODE_OBJECT:
        return node->len > 0 || alone_before(p->alone, node->end) != NULL ? MANY_LINES : 0;
    default:
        if (!on_one_line(node))
            return MANY_LINES;
        for (size_t i = 0; i < node->len; i++)
            count += newlines_in(literal_text(node->nodes[i])) + is_heredoc(node->nodes[i]);
        return count;
    }
}

/* Whether an item may stand among aligned ones: one newline in it the peer does not mind. */
static bool is_short(const struct printer *p, const struct hcl_item *item) {
    return newlines_in_comments(item->lead, true) +
               newlines_in_comments(item->behind, item->value->line != item->line) +
               newlines_of(p, item->value) <
           MANY_LINES;
}

/* Whether the item stands in the line below that of the one before it. What is before the first is
 * in line 0. */
static bool follows(const struct hcl_node *object, size_t at) {
    return object->items[at].line == (at > 0 ? object->items[at - 1].line : 0) + 1;
}

/* How many of an object's items from `at` on are aligned with each other; 0: that one is printed
 * for itself. */
static size_t count_aligned(const struct printer *p, const struct hcl_node *object, size_t at) {
    size_t n = 1;
    if (!is_short(p, &object->items[at]) || object->len == 1 ||
        !(follows(object, at) || (at + 1 < object->len && follows(object, at + 1))))
        return 0;
    while (at + n < object->len && is_short(p, &object->items[at + n]) && follows(object, at + n))
        n++;
    return n;
}

/* Of a short value. */
static size_t value_len(const struct hcl_node *node) {
    if (node->kind == HCL_NODE_LITERAL)
        return counted_len(node);
    size_t len = 2;
    for (size_t i = 0; i < node->len; i++)
        len += counted_len(node->nodes[i]) + (i > 0 ? 2 : 0);
    return len;
}

static void print_aligned(struct printer *p, const struct hcl_item *items, size_t len) {
    size_t longest_key = 0, longest_value = 0;
    for (size_t i = 0; i < len; i++) {
        size_t value = value_len(items[i].value);
        longest_key = larger(longest_key, items[i].written[0].len);
        longest_value = larger(longest_value, value);
    }
    for (size_t i = 0; i < len; i++) {
        const struct hcl_item *item = &items[i];
        print_lines(p, item->lead);
        for (size_t k = 0; k < item->key_count; k++) {
            put(p, item->written[k]);
            put_blanks(p, larger(longest_key + 1, item->written[k].len) - item->written[k].len);
        }
        if (item->key_count == 1)
            put(p, STR("= "));
        print_node(p, item->value);
        if (item->behind != NULL && item->value->line == item->line) {
            put_blanks(p, longest_value - value_len(item->value));
            print_behind(p, item->behind, p->depth);
        }
        if (i + 1 < len)
            end_line(p);
    }
}

static size_t place_of(const struct hcl_item *item) {
    return item->places != NULL ? item->places[0] : 0;
}

static void print_empty_object(struct printer *p, const struct hcl_node *object) {
    const struct hcl_comments *c = alone_before(p->alone, object->end);
    if (c != NULL)
        end_line(p);
    p->depth++;
    for (; c != NULL; c = alone_before(c->next, object->end)) {
        print_alone(p, c, true);
        end_line(p);
    }
    p->depth--;
    set_printed(p, object->end);
    put(p, STR("}"));
}

/* The comments above an item. False: there are none. */
static bool print_alone_above(struct printer *p, const struct hcl_item *item, bool first) {
    const struct hcl_comments *c = alone_before(p->alone, place_of(item));
    bool any = c != NULL;
    for (; c != NULL; c = alone_before(c->next, place_of(item))) {
        if (!first)
            end_line(p);
        print_alone(p, c, first);
        end_line(p);
        if (c->line + 1 != item->line)
            end_line(p);
    }
    return any;
}

/* Comments between aligned items are lost, but for those behind the last empty object. */
static void skip_aligned(struct printer *p, const struct hcl_item *items, size_t len) {
    size_t position = place_of(&items[len - 1]);
    for (size_t i = 0; i < len; i++) {
        if (items[i].value->kind == HCL_NODE_OBJECT)
            position = items[i].value->end;
    }
    set_printed(p, position);
}

static void print_items(struct printer *p, const struct hcl_node *object) {
    bool commented =
        false; /* once there was a comment between items, no more lines are left blank */
    for (size_t i = 0; i < object->len;) {
        const struct hcl_item *item = &object->items[i];
        bool above = print_alone_above(p, item, i == 0);
        if (i > 0 && !above && !commented)
            end_line(p);
        commented = commented || (above && i > 0);
        size_t run = count_aligned(p, object, i);
        if (run > 0) {
            print_aligned(p, item, run);
            skip_aligned(p, item, run);
        } else {
            set_printed(p, place_of(item));
            print_item(p, item);
        }
        end_line(p);
        i += run > 0 ? run : 1;
    }
    const struct hcl_comments *c = alone_before(p->alone, object->end);
    for (; c != NULL; c = alone_before(c->next, object->end)) {
        end_line(p);
        print_alone(p, c, false);
        end_line(p);
    }
}

static void print_object(struct printer *p, const struct hcl_node *object) {
    put(p, STR("{"));
    if (object->len == 0) {
        print_empty_object(p, object);
        return;
    }
    end_line(p);
    p->depth++;
    print_items(p, object);
    p->depth--;
    set_printed(p, object->end);
    put(p, STR("}"));
}

static void print_node(struct printer *p, const struct hcl_node *node) {
    switch (node->kind) {
    case HCL_NODE_LITERAL:
        put(p, literal_text(node));
        return;
    case HCL_NODE_OBJECT:
        print_object(p, node);
        return;
    case HCL_NODE_LIST:
        print_list(p, node);
    }
}

/* ---- the whole ---- */

/* Empty blocks in lines that follow each other stay together. */
static bool stays_together(const struct hcl_item *item, const struct hcl_item *next) {
    return item->line > 0 && item->line + 1 == next->line && is_empty_object(item->value) &&
           is_empty_object(next->value) && !item->assigned && !next->assigned &&
           item->lead == NULL && next->lead == NULL;
}

static void print_root(struct printer *p, const struct hcl_node *root) {
    const struct hcl_comments *c;
    for (size_t i = 0; i < root->len; i++) {
        const struct hcl_item *item = &root->items[i];
        for (c = alone_before(p->alone, place_of(item)); c != NULL;
             c = alone_before(c->next, place_of(item))) {
            print_alone(p, c, false);
            end_line(p);
            end_line(p);
        }
        set_printed(p, place_of(item));
        print_item(p, item);
        if (i + 1 == root->len)
            break;
        end_line(p);
        if (!stays_together(item, item + 1))
            end_line(p);
    }
    for (c = alone_before(p->alone, SIZE_MAX); c != NULL; c = alone_before(c->next, SIZE_MAX)) {
        if (root->len > 0) {
            end_line(p);
            end_line(p);
        }
        print_alone(p, c, false);
        end_line(p);
    }
}

void hcl_print(const struct hcl_tree *tree, struct buf *out) {
    struct printer p = {.out = out, .alone = tree->comments};
    print_root(&p, tree->root);
}
