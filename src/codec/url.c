/* Percent-encoding, query strings and clean paths. */
#include "codec/url.h"

#include <stdlib.h>

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Length of "scheme:" at the front, 0 when there is none. */
static size_t scheme_length(struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == ':')
            return i > 0 ? i + 1 : 0;
        if (!is_letter(c) && (i == 0 || !(is_digit(c) || c == '+' || c == '-' || c == '.')))
            return 0;
    }
    return 0;
}

bool url_split_target(struct str target, struct str *path, struct str *query) {
    struct str rest = target;
    if (str_is(target, "*")) {
        *path = target;
        *query = STR_NONE;
        return true;
    }
    size_t scheme = scheme_length(rest);
    if (scheme > 0) {
        rest = str_sub(rest, scheme, rest.len);
        if (!str_has_prefix(rest, STR("//")))
            return false;
        size_t at = 2;
        while (at < rest.len && rest.data[at] != '/' && rest.data[at] != '?')
            at++;
        rest = str_sub(rest, at, rest.len);
    } else if (rest.len == 0 || rest.data[0] != '/') {
        return false;
    }
    *query = rest;
    *path = str_cut(query, '?');
    return true;
}

bool url_decode(struct str s, bool plus, struct arena *arena, struct str *out) {
    size_t at = 0;
    while (at < s.len && s.data[at] != '%' && !(plus && s.data[at] == '+'))
        at++;
    if (at == s.len) {
        *out = s;
        return true;
    }
    char *to = arena_alloc(arena, s.len + 1);
    memcpy(to, s.data, at);
    size_t len = at;
    for (; at < s.len; at++) {
        char c = s.data[at];
        if (c == '%') {
            int high = at + 2 < s.len ? hex_value(s.data[at + 1]) : -1;
            int low = at + 2 < s.len ? hex_value(s.data[at + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            at += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        to[len++] = c;
    }
    to[len] = '\0';
    *out = str_of(to, len);
    return true;
}

static size_t count_parts(struct str query) {
    size_t parts = 1;
    for (size_t i = 0; i < query.len; i++)
        parts += query.data[i] == '&' || query.data[i] == ';';
    return parts;
}

static struct str cut_part(struct str *rest) {
    size_t at = 0;
    while (at < rest->len && rest->data[at] != '&' && rest->data[at] != ';')
        at++;
    struct str part = str_sub(*rest, 0, at);
    *rest = at < rest->len ? str_of(rest->data + at + 1, rest->len - at - 1) : STR_NONE;
    return part;
}

bool url_parse_query(struct str query, struct arena *arena, struct url_param **params,
                     uint32_t *count) {
    *params = NULL;
    *count = 0;
    if (query.len == 0)
        return true;
    struct url_param *list = arena_alloc(arena, count_parts(query) * sizeof *list);
    uint32_t n = 0;
    for (struct str rest = query; rest.data != NULL;) {
        struct str value = cut_part(&rest);
        if (value.len == 0)
            continue;
        struct str name = str_cut(&value, '=');
        if (value.data == NULL)
            value = STR("");
        if (!url_decode(name, true, arena, &list[n].name) ||
            !url_decode(value, true, arena, &list[n].value))
            return false;
        n++;
    }
    *params = list;
    *count = n;
    return true;
}

static void add_escaped(struct buf *out, char c) {
    static const char digits[] = "0123456789ABCDEF";
    char text[3] = {'%', digits[(unsigned char)c >> 4], digits[(unsigned char)c & 15]};
    buf_add(out, text, 3);
}

void url_escape_query(struct buf *out, struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.' || c == '~')
            buf_add_char(out, c);
        else if (c == ' ')
            buf_add_char(out, '+');
        else
            add_escaped(out, c);
    }
}

void url_escape_path(struct buf *out, struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (is_letter(c) || is_digit(c) || (c != '\0' && strchr("-_.~$&+,/:;=@", c) != NULL))
            buf_add_char(out, c);
        else
            add_escaped(out, c);
    }
}

static int compare_params(const void *a, const void *b) {
    const struct url_param *x = *(const struct url_param *const *)a;
    const struct url_param *y = *(const struct url_param *const *)b;
    int order = str_compare(x->name, y->name);
    return order != 0 ? order : x < y ? -1 : 1; /* stable: by their places */
}

struct str url_encode_query(struct arena *arena, const struct url_param *params, uint32_t count) {
    const struct url_param **sorted = arena_alloc(arena, count * sizeof *sorted);
    for (uint32_t i = 0; i < count; i++)
        sorted[i] = &params[i];
    qsort(sorted, count, sizeof *sorted, compare_params);
    struct buf text = BUF_INIT;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(&text, '&');
        url_escape_query(&text, sorted[i]->name);
        buf_add_char(&text, '=');
        url_escape_query(&text, sorted[i]->value);
    }
    struct str out = str_copy(arena, text.len > 0 ? buf_str(&text) : STR(""));
    buf_free(&text);
    return out;
}

static bool path_is_clean(struct str path) {
    if (path.len == 0 || path.data[0] != '/')
        return false;
    for (size_t i = 0; i + 1 < path.len; i++) {
        if (path.data[i] != '/')
            continue;
        const char *next = path.data + i + 1;
        size_t left = path.len - i - 1;
        if (next[0] == '/')
            return false;
        if (next[0] != '.')
            continue;
        if (left == 1 || next[1] == '/' || (next[1] == '.' && (left == 2 || next[2] == '/')))
            return false;
    }
    return true;
}

struct str url_clean_path(struct str path, struct arena *arena) {
    if (path_is_clean(path))
        return path;
    char *to = arena_alloc(arena, path.len + 2);
    size_t len = 0; /* what is written ends without "/" */
    bool slash = path.len > 0 && path.data[path.len - 1] == '/';
    for (struct str rest = path; rest.data != NULL;) {
        struct str part = str_cut(&rest, '/');
        if (part.len == 0 || str_is(part, "."))
            continue;
        if (str_is(part, "..")) {
            while (len > 0 && to[--len] != '/')
                continue;
            continue;
        }
        to[len++] = '/';
        memcpy(to + len, part.data, part.len);
        len += part.len;
    }
    if (len == 0 || slash)
        to[len++] = '/';
    return str_of(to, len);
}
