/* How templates print values, and the functions that every template has (config.md 1.8): print and
 * its kin, escapes, comparison, and, or, not, len, index, slice.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/template_syntax.h"
#include "base/mem.h"
#include "codec/url.h"

#define MAX_WIDTH 1024

const char *template_type_name(const struct template_value *v) {
    static const char *const names[] = {
        "nil", "bool", "int", "float64", "string", "sockaddr.IfAddrs", "sockaddr.IfAddr"};
    return v->kind == TEMPLATE_RECORD ? v->record->type : names[v->kind];
}

/* The shortest digits that read back as the same number; with an exponent below -4 or above 5. */
static void print_float(struct buf *out, double number) {
    char text[64];
    int digits = 1;
    for (; digits < 17; digits++) {
        snprintf(text, sizeof(text), "%.*e", digits - 1, number);
        if (strtod(text, NULL) == number)
            break;
    }
    snprintf(text, sizeof(text), "%.*e", digits - 1, number);
    const char *e = strchr(text, 'e');
    int exponent = e != NULL ? atoi(e + 1) : 0;
    if (e == NULL || exponent < -4 || exponent >= 6)
        buf_add_text(out, text);
    else
        buf_add_format(out, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0, number);
}

void template_add_rune(struct buf *out, uint32_t rune) {
    if (rune < 0x80) {
        buf_add_char(out, (char)rune);
        return;
    }
    unsigned more = rune < 0x800 ? 1 : rune < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
    buf_add_char(out, (char)(first[more] | rune >> (6 * more)));
    while (more-- > 0)
        buf_add_char(out, (char)(0x80 | ((rune >> (6 * more)) & 0x3F)));
}

static void print_addresses(struct buf *out, const struct template_value *v) {
    struct arena scratch = ARENA_INIT;
    if (v->kind == TEMPLATE_ADDRESS) {
        buf_add_str(out, template_address_dump(v->addresses, &scratch));
    } else {
        buf_add_char(out, '[');
        for (size_t i = 0; i < v->len; i++) {
            if (i > 0)
                buf_add_char(out, ' ');
            buf_add_str(out, template_address_dump(&v->addresses[i], &scratch));
        }
        buf_add_char(out, ']');
    }
    arena_free(&scratch);
}

/* What a pointer to a structure looks like: its values without their names. */
static void print_record(struct buf *out, const struct template_record *record) {
    buf_add_char(out, '{');
    for (size_t i = 0; i < record->count; i++) {
        const struct template_field *f = &record->fields[i];
        if (i > 0)
            buf_add_char(out, ' ');
        if (f->is_bool)
            buf_add_text(out, f->boolean ? "true" : "false");
        else
            buf_add_str(out, f->text);
    }
    buf_add_char(out, '}');
}

static void print_value(struct buf *out, const struct template_value *v, const char *nil) {
    switch (v->kind) {
    case TEMPLATE_NIL:
        buf_add_text(out, nil);
        break;
    case TEMPLATE_BOOL:
        buf_add_text(out, v->boolean ? "true" : "false");
        break;
    case TEMPLATE_INT:
        buf_add_i64(out, v->integer);
        break;
    case TEMPLATE_FLOAT:
        print_float(out, v->number);
        break;
    case TEMPLATE_STRING:
        buf_add_str(out, v->string);
        break;
    case TEMPLATE_RECORD:
        buf_add_char(out, '&');
        print_record(out, v->record);
        break;
    default:
        print_addresses(out, v);
        break;
    }
}

/* An action shows what a pointer points to. */
void template_print(struct buf *out, const struct template_value *v) {
    if (v->kind == TEMPLATE_RECORD)
        print_record(out, v->record);
    else
        print_value(out, v, "<no value>");
}

void template_print_all(struct buf *out, const struct template_value *args, size_t count,
                        bool line) {
    for (size_t i = 0; i < count; i++) {
        bool apart =
            i > 0 &&
            (line || (args[i].kind != TEMPLATE_STRING && args[i - 1].kind != TEMPLATE_STRING));
        if (apart)
            buf_add_char(out, ' ');
        print_value(out, &args[i], "<nil>");
    }
    if (line)
        buf_add_char(out, '\n');
}

/* ---- printf ---- */

struct verb {
    bool plus, minus, zero, sharp;
    size_t width;
    bool has_precision;
    size_t precision;
    char letter;
};

static size_t read_number(struct str format, size_t *at) {
    size_t n = 0;
    for (; *at < format.len && format.data[*at] >= '0' && format.data[*at] <= '9'; (*at)++)
        n = n * 10 < MAX_WIDTH ? n * 10 + (size_t)(format.data[*at] - '0') : MAX_WIDTH;
    return n < MAX_WIDTH ? n : MAX_WIDTH;
}

/* Behind a '%'. */
static struct verb read_verb(struct str format, size_t *at) {
    struct verb v = {0};
    for (;
         *at < format.len && strchr("+-0# ", format.data[*at]) != NULL && format.data[*at] != '\0';
         (*at)++) {
        v.plus |= format.data[*at] == '+';
        v.minus |= format.data[*at] == '-';
        v.zero |= format.data[*at] == '0';
        v.sharp |= format.data[*at] == '#';
    }
    v.width = read_number(format, at);
    if (*at < format.len && format.data[*at] == '.') {
        (*at)++;
        v.has_precision = true;
        v.precision = read_number(format, at);
    }
    if (*at < format.len)
        v.letter = format.data[(*at)++];
    return v;
}

static void format_hex(struct buf *out, struct str s) {
    for (size_t i = 0; i < s.len; i++)
        buf_add_format(out, "%02x", (unsigned char)s.data[i]);
}

/* False: the verb is not for such a value. */
static bool format_int(struct buf *out, const struct verb *v, int64_t n) {
    uint64_t size = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    const char *sign = n < 0 ? "-" : v->plus ? "+" : "";
    switch (v->letter) {
    case 'd':
    case 'v':
        buf_add_format(out, "%s%llu", sign, (unsigned long long)size);
        return true;
    case 'x':
        buf_add_format(out, "%s%llx", sign, (unsigned long long)size);
        return true;
    case 'o':
        buf_add_format(out, "%s%llo", sign, (unsigned long long)size);
        return true;
    case 'c':
        template_add_rune(out, n >= 0 && n <= 0x10FFFF ? (uint32_t)n : 0xFFFD);
        return true;
    default:
        return false;
    }
}

static bool format_text(struct buf *out, const struct verb *v, struct str s) {
    struct arena scratch = ARENA_INIT;
    bool known = true;
    if (v->has_precision)
        s = str_sub(s, 0, v->precision);
    if (v->letter == 's' || v->letter == 'v')
        buf_add_str(out, s);
    else if (v->letter == 'q')
        buf_add_str(out, str_quote(&scratch, s));
    else if (v->letter == 'x')
        format_hex(out, s);
    else
        known = false;
    arena_free(&scratch);
    return known;
}

static bool format_value(struct buf *out, const struct verb *v,
                         const struct template_value *value) {
    struct buf text = BUF_INIT;
    bool known;
    switch (value->kind) {
    case TEMPLATE_INT:
        return format_int(out, v, value->integer);
    case TEMPLATE_BOOL:
        if (v->letter != 't' && v->letter != 'v')
            return false;
        break;
    case TEMPLATE_FLOAT:
        if (v->letter == 'f') {
            buf_add_format(out, "%.*f", v->has_precision ? (int)v->precision : 6, value->number);
            return true;
        }
        if (v->letter != 'v' && v->letter != 'g')
            return false;
        break;
    case TEMPLATE_NIL:
        if (v->letter != 'v')
            return false;
        break;
    default:
        print_value(&text, value, "<nil>");
        known = format_text(out, v, buf_str(&text));
        buf_free(&text);
        return known;
    }
    print_value(out, value, "<nil>");
    return true;
}

static void pad(struct buf *out, const struct verb *v, struct str text) {
    size_t fill = text.len < v->width ? v->width - text.len : 0;
    for (size_t i = 0; !v->minus && i < fill; i++)
        buf_add_char(out, v->zero ? '0' : ' ');
    buf_add_str(out, text);
    for (size_t i = 0; v->minus && i < fill; i++)
        buf_add_char(out, ' ');
}

void template_format(struct buf *out, struct str format, const struct template_value *args,
                     size_t count, struct arena *arena) {
    size_t used = 0;
    for (size_t at = 0; at < format.len;) {
        if (format.data[at] != '%') {
            buf_add_char(out, format.data[at++]);
            continue;
        }
        at++;
        struct verb v = read_verb(format, &at);
        struct buf text = BUF_INIT;
        if (v.letter == '\0') {
            buf_add_text(out, "%!(NOVERB)");
        } else if (v.letter == '%') {
            buf_add_char(out, '%');
        } else if (used >= count) {
            buf_add_format(out, "%%!%c(MISSING)", v.letter);
        } else if (format_value(&text, &v, &args[used])) {
            pad(out, &v, str_copy(arena, text.len > 0 ? buf_str(&text) : STR("")));
            used++;
        } else {
            buf_add_format(out, "%%!%c(%s=", v.letter, template_type_name(&args[used]));
            print_value(out, &args[used++], "<nil>");
            buf_add_char(out, ')');
        }
        buf_free(&text);
    }
    for (size_t i = used; i < count; i++) {
        buf_add_format(out, "%s%s=", i == used ? "%!(EXTRA " : ", ", template_type_name(&args[i]));
        print_value(out, &args[i], "<nil>");
    }
    if (used < count)
        buf_add_char(out, ')');
}

/* ---- the functions ---- */

static void give_text(struct template_call *c, struct template_value *out, struct buf *text) {
    out->kind = TEMPLATE_STRING;
    out->string = str_copy(c->arena, text->len > 0 ? buf_str(text) : STR(""));
    buf_free(text);
}

static bool call_print(struct template_call *c, struct template_value *out) {
    struct buf text = BUF_INIT;
    template_print_all(&text, c->args, c->count, false);
    give_text(c, out, &text);
    return true;
}

static bool call_println(struct template_call *c, struct template_value *out) {
    struct buf text = BUF_INIT;
    template_print_all(&text, c->args, c->count, true);
    give_text(c, out, &text);
    return true;
}

static bool call_printf(struct template_call *c, struct template_value *out) {
    struct buf text = BUF_INIT;
    template_format(&text, c->args[0].string, c->args + 1, c->count - 1, c->arena);
    give_text(c, out, &text);
    return true;
}

/* ---- escapes ---- */

static bool call_html(struct template_call *c, struct template_value *out) {
    struct buf plain = BUF_INIT, text = BUF_INIT;
    template_print_all(&plain, c->args, c->count, false);
    for (size_t i = 0; i < plain.len; i++) {
        static const char from[] = "\"'&<>", *const to[] = {"&#34;", "&#39;", "&amp;", "&lt;",
                                                            "&gt;"};
        char byte = plain.data[i];
        const char *at = byte != '\0' ? strchr(from, byte) : NULL;
        if (at != NULL)
            buf_add_text(&text, to[at - from]);
        else if (byte == '\0')
            buf_add_text(&text, "\xef\xbf\xbd");
        else
            buf_add_char(&text, byte);
    }
    buf_free(&plain);
    give_text(c, out, &text);
    return true;
}

static void add_js_rune(struct buf *out, const char *bytes, size_t len, uint32_t rune) {
    static const char from[] = "\\'\"<>&=", *const to[] = {"\\\\",    "\\'",     "\\\"",
                                                           "\\u003C", "\\u003E", "\\u0026",
                                                           "\\u003D"};
    const char *at = rune > 0 && rune < 0x80 ? strchr(from, (int)rune) : NULL;
    if (at != NULL)
        buf_add_text(out, to[at - from]);
    else if (rune < 0x20 || (rune >= 0x80 && !utf8_is_print(rune)))
        buf_add_format(out, "\\u%04X", rune);
    else
        buf_add(out, bytes, len);
}

static bool call_js(struct template_call *c, struct template_value *out) {
    struct buf plain = BUF_INIT, text = BUF_INIT;
    template_print_all(&plain, c->args, c->count, false);
    for (size_t i = 0; i < plain.len;) {
        uint32_t rune = 0xfffd;
        size_t len = utf8_decode(plain.data + i, plain.len - i, &rune);
        add_js_rune(&text, plain.data + i, len > 0 ? len : 1, rune);
        i += len > 0 ? len : 1;
    }
    buf_free(&plain);
    give_text(c, out, &text);
    return true;
}

static bool call_urlquery(struct template_call *c, struct template_value *out) {
    struct buf plain = BUF_INIT, text = BUF_INIT;
    template_print_all(&plain, c->args, c->count, false);
    url_escape_query(&text, plain.len > 0 ? buf_str(&plain) : STR(""));
    buf_free(&plain);
    give_text(c, out, &text);
    return true;
}

static bool truth(const struct template_value *v) {
    return v->kind == TEMPLATE_BOOL     ? v->boolean
           : v->kind == TEMPLATE_INT    ? v->integer != 0
           : v->kind == TEMPLATE_FLOAT  ? v->number != 0
           : v->kind == TEMPLATE_STRING ? v->string.len > 0
           : v->kind == TEMPLATE_LIST   ? v->len > 0
                                        : v->kind != TEMPLATE_NIL;
}

static bool call_and(struct template_call *c, struct template_value *out) {
    size_t i = 0;
    while (i + 1 < c->count && truth(&c->args[i]))
        i++;
    *out = c->args[i];
    return true;
}

static bool call_or(struct template_call *c, struct template_value *out) {
    size_t i = 0;
    while (i + 1 < c->count && !truth(&c->args[i]))
        i++;
    *out = c->args[i];
    return true;
}

static bool give_bool(struct template_value *out, bool b) {
    *out = (struct template_value){.kind = TEMPLATE_BOOL, .boolean = b};
    return true;
}

static bool call_not(struct template_call *c, struct template_value *out) {
    return give_bool(out, !truth(&c->args[0]));
}

static bool call_len(struct template_call *c, struct template_value *out) {
    const struct template_value *v = &c->args[0];
    if (v->kind != TEMPLATE_STRING && v->kind != TEMPLATE_LIST)
        return error_set(c->e, ERROR_INTERNAL, "len of type %s", template_type_name(v));
    *out = (struct template_value){
        .kind = TEMPLATE_INT,
        .integer = (int64_t)(v->kind == TEMPLATE_LIST ? v->len : v->string.len)};
    return true;
}

static bool call_index(struct template_call *c, struct template_value *out) {
    *out = c->args[0];
    for (size_t i = 1; i < c->count; i++) {
        const struct template_value *at = &c->args[i];
        if (out->kind != TEMPLATE_STRING && out->kind != TEMPLATE_LIST)
            return error_set(c->e, ERROR_INTERNAL, "can't index item of type %s",
                             template_type_name(out));
        size_t len = out->kind == TEMPLATE_LIST ? out->len : out->string.len;
        if (at->kind != TEMPLATE_INT)
            return error_set(c->e, ERROR_INTERNAL, "cannot index slice/array with type %s",
                             template_type_name(at));
        if (at->integer < 0 || (uint64_t)at->integer >= len)
            return error_set(c->e, ERROR_INTERNAL, "index out of range: %lld",
                             (long long)at->integer);
        struct template_value item = {.kind = TEMPLATE_INT};
        if (out->kind == TEMPLATE_STRING)
            item.integer = (unsigned char)out->string.data[at->integer];
        else
            item = (struct template_value){.kind = TEMPLATE_ADDRESS,
                                           .addresses = &out->addresses[at->integer]};
        *out = item;
    }
    return true;
}

static bool call_slice(struct template_call *c, struct template_value *out) {
    *out = c->args[0];
    if ((out->kind != TEMPLATE_STRING && out->kind != TEMPLATE_LIST) || c->count > 3)
        return error_set(c->e, ERROR_INTERNAL, "can't slice item of type %s",
                         template_type_name(out));
    size_t len = out->kind == TEMPLATE_LIST ? out->len : out->string.len;
    size_t from = 0, to = len;
    for (size_t i = 1; i < c->count; i++) {
        const struct template_value *at = &c->args[i];
        if (at->kind != TEMPLATE_INT)
            return error_set(c->e, ERROR_INTERNAL, "cannot index slice/array with type %s",
                             template_type_name(at));
        if (at->integer < 0 || (uint64_t)at->integer > len)
            return error_set(c->e, ERROR_INTERNAL, "index out of range: %lld",
                             (long long)at->integer);
        *(i == 1 ? &from : &to) = (size_t)at->integer;
    }
    if (from > to)
        return error_set(c->e, ERROR_INTERNAL, "invalid slice index: %zu > %zu", from, to);
    if (out->kind == TEMPLATE_STRING) {
        out->string = str_sub(out->string, from, to - from);
    } else {
        out->addresses += from;
        out->len = to - from;
    }
    return true;
}

/* ---- comparison ---- */

static bool compare(struct template_call *c, const struct template_value *a,
                    const struct template_value *b, bool ordered, int *order) {
    if (ordered && a->kind == TEMPLATE_BOOL)
        return error_set(c->e, ERROR_INTERNAL, "invalid type for comparison");
    if (a->kind != b->kind)
        return error_set(c->e, ERROR_INTERNAL, "incompatible types for comparison");
    switch (a->kind) {
    case TEMPLATE_STRING:
        *order = str_compare(a->string, b->string);
        return true;
    case TEMPLATE_INT:
        *order = a->integer < b->integer ? -1 : a->integer > b->integer;
        return true;
    case TEMPLATE_FLOAT:
        *order = a->number < b->number ? -1 : a->number > b->number;
        return true;
    case TEMPLATE_BOOL:
        *order = a->boolean - b->boolean;
        return true;
    default:
        return error_set(c->e, ERROR_INTERNAL, "invalid type for comparison");
    }
}

static bool call_eq(struct template_call *c, struct template_value *out) {
    bool equal = false;
    if (c->count < 2)
        return error_set(c->e, ERROR_INTERNAL, "missing argument for comparison");
    for (size_t i = 1; i < c->count && !equal; i++) {
        int order;
        if (!compare(c, &c->args[0], &c->args[i], false, &order))
            return false;
        equal = order == 0;
    }
    return give_bool(out, equal);
}

#define COMPARISON(name, test, ordered)                                                            \
    static bool call_##name(struct template_call *c, struct template_value *out) {                 \
        int order;                                                                                 \
        return compare(c, &c->args[0], &c->args[1], ordered, &order) &&                            \
               give_bool(out, order test 0);                                                       \
    }
COMPARISON(ne, !=, false)
COMPARISON(lt, <, true)
COMPARISON(le, <=, true)
COMPARISON(gt, >, true)
COMPARISON(ge, >=, true)

const struct template_function *template_builtin(struct str name) {
    static const struct template_function functions[] = {
        {"and", "aa*", call_and},       {"or", "aa*", call_or},
        {"not", "a", call_not},         {"len", "a", call_len},
        {"index", "aa*", call_index},   {"slice", "aa*", call_slice},
        {"print", "a*", call_print},    {"println", "a*", call_println},
        {"printf", "sa*", call_printf}, {"eq", "aa*", call_eq},
        {"ne", "aa", call_ne},          {"lt", "aa", call_lt},
        {"le", "aa", call_le},          {"gt", "aa", call_gt},
        {"ge", "aa", call_ge},          {"html", "a*", call_html},
        {"js", "a*", call_js},          {"urlquery", "a*", call_urlquery},
    };
    return template_function_named(functions, COUNT_OF(functions), name);
}
