/* A small XML reader: see discover_xml.h. */
#include "agent/discover_xml.h"

#include "base/buf.h"
#include "base/mem.h"

struct open_element {
    struct xml_element *element, *last;
    struct str text; /* the last piece of text in it that was not blank */
};

struct reader {
    struct str text;
    size_t at, elements, depth;
    struct arena *arena;
    struct error *e;
    struct open_element open[XML_DEPTH_MAX];
    struct xml_element *root;
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool fail(struct reader *r, const char *what) {
    return error_set(r->e, ERROR_BAD_REQUEST, "XML syntax error at byte %zu: %s", r->at, what);
}

static bool starts(const struct reader *r, const char *what) {
    return str_has_prefix(str_sub(r->text, r->at, r->text.len), str_from(what));
}

/* Moves behind the next occurrence of `end`. */
static bool skip_to(struct reader *r, const char *end) {
    ptrdiff_t found = str_find(r->text, str_from(end), r->at);
    if (found < 0)
        return fail(r, "unexpected EOF");
    r->at = (size_t)found + strlen(end);
    return true;
}

/* "#65", "#x41": false when it is no character. */
static bool read_number(struct str name, uint64_t *rune) {
    uint64_t n = 0;
    bool hex = name.len > 1 && name.data[1] == 'x';
    size_t start = hex ? 2 : 1;
    if (name.len == start || name.len > 10)
        return false;
    for (size_t i = start; i < name.len; i++) {
        char c = name.data[i];
        unsigned digit = c >= '0' && c <= '9'          ? (unsigned)(c - '0')
                         : hex && c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : hex && c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                       : 99;
        if (digit == 99)
            return false;
        n = n * (hex ? 16 : 10) + digit;
    }
    *rune = n;
    return n > 0 && n <= 0x10ffff && (n < 0xd800 || n > 0xdfff);
}

static bool unescape(struct reader *r, struct str raw, struct str *out) {
    static const struct {
        const char *name;
        char c;
    } names[] = {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}};
    *out = raw;
    if (str_find_char(raw, '&') < 0)
        return true;
    struct buf text = BUF_INIT;
    bool ok = true;
    for (size_t i = 0; ok && i < raw.len; i++) {
        ptrdiff_t end = raw.data[i] == '&' ? str_find(raw, STR(";"), i) : -1;
        if (raw.data[i] != '&') {
            buf_add_char(&text, raw.data[i]);
            continue;
        }
        struct str name = end < 0 ? STR("") : str_sub(raw, i + 1, (size_t)end - i - 1);
        uint64_t rune = 0;
        for (size_t n = 0; n < COUNT_OF(names); n++)
            rune = str_is(name, names[n].name) ? (uint64_t)names[n].c : rune;
        ok = rune != 0 || (name.len > 0 && name.data[0] == '#' && read_number(name, &rune));
        char utf8[4];
        if (ok)
            buf_add(&text, utf8, utf8_encode(utf8, (uint32_t)rune));
        i = end < 0 ? raw.len : (size_t)end;
    }
    *out = text.len > 0 ? str_copy(r->arena, buf_str(&text)) : STR("");
    buf_free(&text);
    return ok || fail(r, "invalid character entity");
}

static bool take_text(struct reader *r, struct str raw, bool escaped) {
    struct str text = str_trim(raw);
    if (text.len == 0)
        return true;
    if (r->depth == 0)
        return fail(r, "text outside of the document");
    if (escaped && !unescape(r, text, &text))
        return false;
    r->open[r->depth - 1].text = text;
    return true;
}

static struct str read_name(struct reader *r) {
    size_t start = r->at;
    while (r->at < r->text.len && !is_blank(r->text.data[r->at]) &&
           strchr("<>/=\"'", r->text.data[r->at]) == NULL)
        r->at++;
    return str_sub(r->text, start, r->at - start);
}

/* Attributes, up to and with the '>'. */
static bool skip_attributes(struct reader *r, bool *empty) {
    while (r->at < r->text.len) {
        char c = r->text.data[r->at++];
        if (c == '>')
            return true;
        if (c == '<')
            return fail(r, "unexpected '<' in an element");
        if ((c == '"' || c == '\'') && !skip_to(r, c == '"' ? "\"" : "'"))
            return false;
        *empty = c == '/';
    }
    return fail(r, "unexpected EOF");
}

static bool close_element(struct reader *r, struct str name) {
    if (r->depth == 0 || !str_eq(r->open[r->depth - 1].element->name, name))
        return fail(r, "unexpected end element");
    struct open_element *o = &r->open[--r->depth];
    o->element->text = o->text;
    return true;
}

static bool read_start(struct reader *r) {
    struct str name = read_name(r);
    bool empty = false;
    if (name.len == 0)
        return fail(r, "expected element name after <");
    if (!skip_attributes(r, &empty))
        return false;
    if (r->depth == XML_DEPTH_MAX || ++r->elements > XML_ELEMENTS_MAX)
        return fail(r, "too many elements");
    if (r->depth == 0 && r->root != NULL)
        return fail(r, "a second document");
    struct xml_element *x = ARENA_NEW(r->arena, struct xml_element);
    x->name = name;
    x->text = STR("");
    if (r->depth == 0) {
        r->root = x;
    } else {
        struct open_element *parent = &r->open[r->depth - 1];
        *(parent->last == NULL ? &parent->element->first : &parent->last->next) = x;
        parent->last = x;
    }
    r->open[r->depth++] = (struct open_element){.element = x, .text = STR("")};
    return !empty || close_element(r, name);
}

static bool read_end(struct reader *r) {
    struct str name = read_name(r);
    bool empty = false;
    return skip_attributes(r, &empty) && close_element(r, name);
}

/* At a '<'. */
static bool read_markup(struct reader *r) {
    if (starts(r, "<?"))
        return skip_to(r, "?>");
    if (starts(r, "<!--"))
        return skip_to(r, "-->");
    if (starts(r, "<![CDATA[")) {
        size_t start = r->at + strlen("<![CDATA[");
        return skip_to(r, "]]>") && take_text(r, str_sub(r->text, start, r->at - 3 - start), false);
    }
    if (starts(r, "<!"))
        return fail(r, "document types are not read");
    r->at++;
    if (starts(r, "/")) {
        r->at++;
        return read_end(r);
    }
    return read_start(r);
}

struct xml_element *xml_parse(struct str text, struct arena *arena, struct error *e) {
    struct reader *r = MEM_NEW(struct reader);
    *r = (struct reader){.text = text, .arena = arena, .e = e};
    bool ok = true;
    if (str_has_prefix(text, STR("\xef\xbb\xbf")))
        r->at = 3;
    while (ok && r->at < text.len) {
        ptrdiff_t found = str_find(text, STR("<"), r->at);
        size_t end = found < 0 ? text.len : (size_t)found;
        ok = take_text(r, str_sub(text, r->at, end - r->at), true);
        r->at = end;
        ok = ok && (end == text.len || read_markup(r));
    }
    if (ok && (r->root == NULL || r->depth > 0))
        ok = fail(r, "unexpected EOF");
    struct xml_element *root = r->root;
    mem_free(r);
    return ok ? root : NULL;
}

const struct xml_element *xml_next(const struct xml_element *x, const char *name) {
    for (x = x->next; x != NULL && !str_is(x->name, name); x = x->next)
        ;
    return x;
}

const struct xml_element *xml_child(const struct xml_element *x, const char *name) {
    const struct xml_element *child = x == NULL ? NULL : x->first;
    return child == NULL || str_is(child->name, name) ? child : xml_next(child, name);
}

struct str xml_text(const struct xml_element *x, const char *name) {
    const struct xml_element *child = xml_child(x, name);
    return child == NULL ? STR_NONE : child->text;
}
