/* Reading flags, and listing them: see flag.h. */
#include "cli/flag.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"

static void *field(void *options, const struct flag *f) {
    return (char *)options + f->offset;
}

/* ---- numbers ---- */

enum number { NUMBER_OK, NUMBER_SYNTAX, NUMBER_RANGE };

static int digit_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

/* The base that a literal's prefix asks for; moves *s behind it. "0" alone and "0_7" are octal. */
static unsigned base_prefix(struct str *s) {
    if (s->len == 0 || s->data[0] != '0')
        return 10;
    char letter = s->len >= 3 ? (char)(s->data[1] | 0x20) : '\0';
    unsigned base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    *s = str_sub(*s, base != 0 ? 2 : 1, s->len);
    return base != 0 ? base : 8;
}

/* '_' must stand between digits or between the prefix and a digit. */
static bool underscores_fit(struct str s, bool prefixed) {
    bool before = prefixed;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] != '_') {
            before = true;
            continue;
        }
        if (!before || i + 1 == s.len || s.data[i + 1] == '_')
            return false;
        before = false;
    }
    return true;
}

static enum number parse_magnitude(struct str s, bool any_base, uint64_t *out) {
    struct str digits = s;
    unsigned base = any_base ? base_prefix(&digits) : 10;
    bool prefixed = digits.len != s.len;
    if (digits.len == 0 && !prefixed)
        return NUMBER_SYNTAX;
    uint64_t n = 0;
    bool overflow = false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] == '_' && any_base)
            continue;
        unsigned digit = (unsigned)digit_value(digits.data[i]);
        if (digit >= base)
            return NUMBER_SYNTAX;
        overflow |= __builtin_mul_overflow(n, (uint64_t)base, &n);
        overflow |= __builtin_add_overflow(n, (uint64_t)digit, &n);
        if (overflow) /* the peer stops reading here */
            return NUMBER_RANGE;
    }
    if (any_base && !underscores_fit(digits, prefixed))
        return NUMBER_SYNTAX;
    *out = n;
    return NUMBER_OK;
}

static enum number parse_signed(struct str s, bool any_base, int64_t *out) {
    bool negative = s.len > 0 && s.data[0] == '-';
    if (s.len > 0 && (s.data[0] == '-' || s.data[0] == '+'))
        s = str_sub(s, 1, s.len);
    uint64_t n = 0;
    enum number result = parse_magnitude(s, any_base, &n);
    if (result != NUMBER_OK)
        return result;
    uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (n > limit)
        return NUMBER_RANGE;
    *out = negative ? (int64_t)(0 - n) : (int64_t)n;
    return NUMBER_OK;
}

/* ---- values ---- */

static bool bad_value(const struct flag *f, struct str value, struct str why, struct arena *arena,
                      struct error *e) {
    return error_set(e, ERROR_BAD_REQUEST, "invalid value " STR_FMT " for flag -%s: " STR_FMT,
                     STR_ARG(str_quote(arena, value)), f->name, STR_ARG(why));
}

static bool bad_number(const struct flag *f, struct str value, enum number why, struct arena *arena,
                       struct error *e) {
    return bad_value(f, value, why == NUMBER_RANGE ? STR("value out of range") : STR("parse error"),
                     arena, e);
}

/* The texts of flags that know whether they were given name the function that failed. */
static bool bad_strconv(const struct flag *f, struct str value, const char *function,
                        enum number why, struct arena *arena, struct error *e) {
    const char *reason = why == NUMBER_RANGE ? "value out of range" : "invalid syntax";
    return bad_value(f, value,
                     str_format(arena, "strconv.%s: parsing " STR_FMT ": %s", function,
                                STR_ARG(str_quote(arena, value)), reason),
                     arena, e);
}

static bool set_bool(const struct flag *f, bool *out, struct str value, struct arena *arena,
                     struct error *e) {
    if (str_to_bool(value, out))
        return true;
    struct str quoted = str_quote(arena, value);
    if (f->kind == FLAG_BOOL)
        return error_set(e, ERROR_BAD_REQUEST,
                         "invalid boolean value " STR_FMT " for -%s: parse error", STR_ARG(quoted),
                         f->name);
    return error_set(e, ERROR_BAD_REQUEST,
                     "invalid boolean value " STR_FMT
                     " for -%s: strconv.ParseBool: parsing " STR_FMT ": invalid syntax",
                     STR_ARG(quoted), f->name, STR_ARG(quoted));
}

static bool set_duration(const struct flag *f, int64_t *out, struct str value, struct arena *arena,
                         struct error *e) {
    struct error why = ERROR_IN(arena);
    if (duration_parse(value, out, &why))
        return true;
    return bad_value(f, value, f->kind == FLAG_DURATION ? STR("parse error") : why.text, arena, e);
}

static void list_add(struct flag_list *list, struct str item, struct arena *arena) {
    if (list->len == list->cap) {
        size_t cap = list->cap > 0 ? list->cap * 2 : 8;
        struct str *items = ARENA_ARRAY(arena, struct str, cap);
        if (list->len > 0)
            memcpy(items, list->items, list->len * sizeof *items);
        list->items = items;
        list->cap = cap;
    }
    list->items[list->len++] = item;
}

static bool set_pair(const struct flag *f, struct flag_list *map, struct str value,
                     struct arena *arena, struct error *e) {
    ptrdiff_t at = str_find_char(value, '=');
    if (at < 0)
        return bad_value(
            f, value,
            str_format(arena, "Missing \"=\" value in argument: " STR_FMT, STR_ARG(value)), arena,
            e);
    struct str key = str_sub(value, 0, (size_t)at);
    struct str item = str_sub(value, (size_t)at + 1, value.len);
    for (size_t i = 0; i < map->len; i += 2) {
        if (str_eq(map->items[i], key)) {
            map->items[i + 1] = item;
            return true;
        }
    }
    list_add(map, key, arena);
    list_add(map, item, arena);
    return true;
}

static bool set_number(const struct flag *f, void *at, struct str value, struct arena *arena,
                       struct error *e) {
    enum number why = NUMBER_OK;
    switch (f->kind) {
    case FLAG_INT:
        why = parse_signed(value, true, at);
        return why == NUMBER_OK || bad_number(f, value, why, arena, e);
    case FLAG_UINT:
        why = parse_magnitude(value, true, at);
        return why == NUMBER_OK || bad_number(f, value, why, arena, e);
    case FLAG_SET_UINT: {
        struct flag_set_uint *number = at;
        number->set = true;
        why = parse_magnitude(value, true, &number->value);
        return why == NUMBER_OK || bad_strconv(f, value, "ParseUint", why, arena, e);
    }
    default: {
        struct flag_set_int *number = at;
        number->set = true;
        why = parse_signed(value, false, &number->value);
        return why == NUMBER_OK || bad_strconv(f, value, "Atoi", why, arena, e);
    }
    }
}

static bool set_own(const struct flag *f, void *at, struct str value, const void *context,
                    struct arena *arena, struct error *e) {
    struct error why = ERROR_IN(arena);
    return f->read(at, value, context, arena, &why) || bad_value(f, value, why.text, arena, e);
}

static bool set_value(const struct flag *f, const struct flag_group *group, struct str value,
                      struct arena *arena, struct error *e) {
    void *at = field(group->options, f);
    switch (f->kind) {
    case FLAG_OWN:
        return set_own(f, at, value, group->context, arena, e);
    case FLAG_BOOL:
        return set_bool(f, at, value, arena, e);
    case FLAG_SET_BOOL:
        ((struct flag_set_bool *)at)->set = true;
        return set_bool(f, &((struct flag_set_bool *)at)->value, value, arena, e);
    case FLAG_STRING:
        *(struct str *)at = value;
        return true;
    case FLAG_SET_STRING:
        *(struct flag_set_string *)at = (struct flag_set_string){true, value};
        return true;
    case FLAG_DURATION:
        return set_duration(f, at, value, arena, e);
    case FLAG_SET_DURATION:
        ((struct flag_set_duration *)at)->set = true;
        return set_duration(f, &((struct flag_set_duration *)at)->value, value, arena, e);
    case FLAG_LIST:
        list_add(at, value, arena);
        return true;
    case FLAG_MAP:
        return set_pair(f, at, value, arena, e);
    default:
        return set_number(f, at, value, arena, e);
    }
}

/* ---- the command line ---- */

static const struct flag *find(const struct flag_group *groups, size_t group_count, struct str name,
                               const struct flag_group **group) {
    for (size_t g = 0; g < group_count; g++) {
        for (size_t i = 0; i < groups[g].count; i++) {
            if (str_is(name, groups[g].flags[i].name)) {
                *group = &groups[g];
                return &groups[g].flags[i];
            }
        }
    }
    return NULL;
}

bool flags_parse(const struct flag_group *groups, size_t group_count, char *const *args,
                 size_t count, size_t *used, struct arena *arena, struct error *e) {
    size_t i = 0;
    while (i < count) {
        struct str arg = str_from(args[i]);
        if (arg.len < 2 || arg.data[0] != '-')
            break;
        i++;
        struct str name = str_sub(arg, arg.data[1] == '-' ? 2 : 1, arg.len);
        if (name.len == 0) /* "--" */
            break;
        if (name.data[0] == '-' || name.data[0] == '=')
            return error_set(e, ERROR_BAD_REQUEST, "bad flag syntax: " STR_FMT, STR_ARG(arg));
        struct str value = STR_NONE;
        ptrdiff_t equals = str_find_char(name, '=');
        if (equals > 0) {
            value = str_from(name.data + equals + 1);
            name.len = (size_t)equals;
        }
        const struct flag_group *group = NULL;
        const struct flag *f = find(groups, group_count, name, &group);
        if (f == NULL)
            return error_set(e, ERROR_BAD_REQUEST, "flag provided but not defined: -" STR_FMT,
                             STR_ARG(name));
        if (value.data == NULL && (f->kind == FLAG_BOOL || f->kind == FLAG_SET_BOOL)) {
            value = STR("true");
        } else if (value.data == NULL) {
            if (i == count)
                return error_set(e, ERROR_BAD_REQUEST, "flag needs an argument: -" STR_FMT,
                                 STR_ARG(name));
            value = str_from(args[i++]);
        }
        if (!set_value(f, group, value, arena, e))
            return false;
    }
    *used = i;
    return true;
}

/* ---- listing ---- */

static int compare_names(const void *a, const void *b) {
    const struct flag *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

const struct flag **flags_sorted(const struct flag_group *groups, size_t group_count, size_t *count,
                                 struct arena *arena) {
    size_t total = 0;
    for (size_t g = 0; g < group_count; g++)
        total += groups[g].count;
    const struct flag **all = ARENA_ARRAY(arena, const struct flag *, total + 1);
    size_t at = 0;
    for (size_t g = 0; g < group_count; g++) {
        for (size_t i = 0; i < groups[g].count; i++)
            all[at++] = &groups[g].flags[i];
    }
    qsort(all, total, sizeof *all, compare_names);
    *count = total;
    return all;
}

static const char *placeholder(const struct flag *f) {
    if (f->placeholder != NULL)
        return f->placeholder;
    switch (f->kind) {
    case FLAG_BOOL:
    case FLAG_SET_BOOL:
        return "";
    case FLAG_STRING:
        return "string";
    case FLAG_INT:
        return "int";
    case FLAG_UINT:
        return "uint";
    case FLAG_DURATION:
        return "duration";
    default:
        return "value";
    }
}

/* " (default …)" unless the default is nothing; flags that know whether they were given have none.
 */
static void list_default(const struct flag *f, const void *at, struct buf *out) {
    struct arena scratch = ARENA_INIT;
    struct str text = STR_NONE;
    if (f->kind == FLAG_BOOL && *(const bool *)at)
        text = STR("true");
    else if (f->kind == FLAG_STRING && ((const struct str *)at)->len > 0)
        text = str_quote(&scratch, *(const struct str *)at);
    else if (f->kind == FLAG_INT && *(const int64_t *)at != 0)
        text = str_format(&scratch, "%lld", (long long)*(const int64_t *)at);
    else if (f->kind == FLAG_UINT && *(const uint64_t *)at != 0)
        text = str_format(&scratch, "%llu", (unsigned long long)*(const uint64_t *)at);
    else if (f->kind == FLAG_DURATION && *(const int64_t *)at != 0)
        text = duration_format(&scratch, *(const int64_t *)at);
    if (text.data != NULL)
        buf_add_format(out, " (default " STR_FMT ")", STR_ARG(text));
    arena_free(&scratch);
}

void flags_list(const struct flag_group *groups, size_t group_count, struct buf *out) {
    struct arena scratch = ARENA_INIT;
    size_t count = 0;
    const struct flag **sorted = flags_sorted(groups, group_count, &count, &scratch);
    buf_add_text(out, "Usage:\n");
    for (size_t i = 0; i < count; i++) {
        const struct flag *f = sorted[i];
        const char *type = placeholder(f);
        buf_add_format(out, "  -%s%s%s\n    \t%s", f->name, *type != '\0' ? " " : "", type,
                       f->help);
        for (size_t g = 0; g < group_count; g++) {
            if (f >= groups[g].flags && f < groups[g].flags + groups[g].count)
                list_default(f, (const char *)groups[g].options + f->offset, out);
        }
        buf_add_char(out, '\n');
    }
    arena_free(&scratch);
}

#define WRAP_WIDTH ((size_t)72)
#define WRAP_INDENT ((size_t)5)

static void wrap(const char *text, struct buf *out) {
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > WRAP_WIDTH) {
            buf_add_char(out, '\n');
            column = 0;
        }
        if (column == 0) {
            buf_add_format(out, "%*s", (int)WRAP_INDENT, "");
            column = WRAP_INDENT;
        } else {
            buf_add_char(out, ' ');
            column++;
        }
        buf_add(out, text, word);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    buf_add_char(out, '\n');
}

void flags_describe(const struct flag *const *sorted, size_t count, struct buf *out) {
    for (size_t i = 0; i < count; i++) {
        const char *type = placeholder(sorted[i]);
        buf_add_format(out, "  -%s", sorted[i]->name);
        if (*type != '\0')
            buf_add_format(out, "=<%s>", type);
        buf_add_char(out, '\n');
        wrap(sorted[i]->help, out);
        buf_add_char(out, '\n');
    }
}
