/* Which comments of an HCL text may belong to what: those on the line of the token before them wait
 * for whatever ends there, those right above the next token for whatever starts with it. The peer's
 * formatter decides so (acl.md 5.4); what it does not attach stands alone.
 */
#include "base/mem.h"
#include "codec/hcl_syntax.h"

void hcl_gather_init(struct hcl_gatherer *g, struct str text, struct arena *arena) {
    *g = (struct hcl_gatherer){.arena = arena, .text = text, .line = 1};
}

/* The line of a position that is not before the last one asked for. */
static size_t line_of(struct hcl_gatherer *g, size_t position) {
    for (; g->counted_to < position && g->counted_to < g->text.len; g->counted_to++)
        g->line += g->text.data[g->counted_to] == '\n';
    return g->line;
}

static struct hcl_token scan(struct hcl_gatherer *g, struct hcl_scanner *s) {
    struct hcl_token t = hcl_scan(s);
    t.line = line_of(g, t.position);
    return t;
}

static struct hcl_comments *new_comments(struct hcl_gatherer *g, const struct hcl_token *t) {
    struct hcl_comments *c = ARENA_NEW(g->arena, struct hcl_comments);
    c->position = t->position;
    if (g->last == NULL)
        g->first = c;
    else
        g->last->next = c;
    g->last = c;
    return c;
}

static void add_text(struct hcl_gatherer *g, struct hcl_comments *c, struct str text) {
    if (c->len == c->cap) {
        c->cap = c->cap > 0 ? c->cap * 2 : 1;
        struct str *texts = ARENA_ARRAY(g->arena, struct str, c->cap);
        if (c->len > 0)
            memcpy(texts, c->texts, c->len * sizeof(*texts));
        c->texts = texts;
    }
    c->texts[c->len++] = text;
}

/* The comments from *t on of which each starts at most `apart` lines below the end of the one
 * before; *t becomes the token behind them. Returns the line in which the last one ends. */
static struct hcl_comments *gather(struct hcl_gatherer *g, struct hcl_scanner *s,
                                   struct hcl_token *t, size_t apart, size_t *end) {
    struct hcl_comments *c = new_comments(g, t);
    *end = t->line;
    while (t->type == HCL_COMMENT && t->line <= *end + apart) {
        add_text(g, c, t->text);
        c->line = t->line;
        *end = line_of(g, t->position + t->text.len);
        *t = scan(g, s);
    }
    return c;
}

struct hcl_token hcl_gather_scan(struct hcl_gatherer *g, struct hcl_scanner *s) {
    size_t before = g->token_line, end = 0;
    struct hcl_token t = scan(g, s);
    if (t.type == HCL_COMMENT && t.line == before) {
        struct hcl_comments *c = gather(g, s, &t, 0, &end);
        if (t.line != end)
            g->behind = c;
    }
    struct hcl_comments *above = NULL;
    while (t.type == HCL_COMMENT)
        above = gather(g, s, &t, 1, &end);
    if (above != NULL && end + 1 == t.line && t.type != HCL_RBRACE && t.type != HCL_RBRACK)
        g->lead = above;
    g->token_line = t.line;
    return t;
}

struct hcl_comments *hcl_gather_take(struct hcl_comments **waiting) {
    struct hcl_comments *c = *waiting;
    if (c != NULL)
        c->attached = true;
    *waiting = NULL;
    return c;
}
