/* JSON text laid out anew. Values are not read: numbers and strings stay as they are written. See
 * json.h.
 */
#include "codec/json.h"

struct layout {
    struct buf *out;
    const char *indent;
    size_t depth;
    bool opened; /* a container has just been opened */
};

static void new_line(struct layout *l) {
    buf_add_char(l->out, '\n');
    for (size_t i = 0; i < l->depth; i++)
        buf_add_text(l->out, l->indent);
}

static void close_container(struct layout *l, char c) {
    if (!l->opened) { /* an empty one stays on its line */
        l->depth--;
        new_line(l);
    }
    l->opened = false;
    buf_add_char(l->out, c);
}

static void add_mark(struct layout *l, char c) {
    if (c == '}' || c == ']') {
        close_container(l, c);
        return;
    }
    if (l->opened) {
        l->opened = false;
        l->depth++;
        new_line(l);
    }
    buf_add_char(l->out, c);
    if (c == '{' || c == '[')
        l->opened = true;
    else if (c == ',')
        new_line(l);
    else if (c == ':')
        buf_add_char(l->out, ' ');
}

/* Behind the quote that ends the string at `from`. */
static size_t string_end(struct str text, size_t from) {
    size_t i = from + 1;
    while (text.data[i] != '"')
        i += text.data[i] == '\\' ? 2 : 1;
    return i + 1;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool json_layout(struct str text, const char *indent, struct buf *out, struct arena *arena,
                 struct error *e) {
    struct value whole;
    struct layout l = {.out = out, .indent = indent};
    if (!json_parse_whole(text, &whole, arena, e))
        return false;
    size_t end = text.len;
    while (end > 0 && is_blank(text.data[end - 1]))
        end--;
    for (size_t i = 0; i < end;) {
        if (is_blank(text.data[i])) {
            i++;
        } else if (text.data[i] == '"') {
            size_t behind = string_end(text, i);
            add_mark(&l, '"');
            buf_add_str(out, str_sub(text, i + 1, behind - i - 1));
            i = behind;
        } else {
            add_mark(&l, text.data[i++]);
        }
    }
    buf_add_str(out, str_sub(text, end, text.len));
    return true;
}
