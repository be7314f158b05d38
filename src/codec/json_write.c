/* Writing JSON with the peer's layout and escapes (http-core.md 5.1). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"

void json_begin(struct json_writer *w, struct buf *out, bool pretty) {
    *w = (struct json_writer){.out = out, .pretty = pretty, .depth = 0, .first = true};
}

void json_finish(struct json_writer *w) {
    if (w->pretty) {
        buf_add_char(w->out, '\n');
    }
}

static void new_line(struct json_writer *w) {
    size_t blanks = (size_t)w->depth * 4;
    char *p = buf_reserve(w->out, 1 + blanks);
    p[0] = '\n';
    memset(p + 1, ' ', blanks);
    w->out->len += 1 + blanks;
}

/* What comes before a key or an array's item. */
static void separate(struct json_writer *w) {
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->depth == 0) {
        return;
    }
    if (!w->first) {
        buf_add_char(w->out, ',');
    }
    w->first = false;
    if (w->pretty) {
        new_line(w);
    }
}

static void open_container(struct json_writer *w, char bracket) {
    separate(w);
    buf_add_char(w->out, bracket);
    w->depth++;
    w->first = true;
}

static void close_container(struct json_writer *w, char bracket) {
    ASSERT(w->depth > 0);
    w->depth--;
    if (!w->first && w->pretty) {
        new_line(w);
    }
    buf_add_char(w->out, bracket);
    w->first = false;
}

void json_open_object(struct json_writer *w) {
    open_container(w, '{');
}
void json_close_object(struct json_writer *w) {
    close_container(w, '}');
}
void json_open_array(struct json_writer *w) {
    open_container(w, '[');
}
void json_close_array(struct json_writer *w) {
    close_container(w, ']');
}

static void end_key(struct json_writer *w) {
    if (w->pretty) {
        buf_add(w->out, ": ", 2);
    } else {
        buf_add_char(w->out, ':');
    }
    w->after_key = true;
}

void json_key(struct json_writer *w, struct str key) {
    separate(w);
    json_escape(w->out, key);
    end_key(w);
}

void json_key_quoted(struct json_writer *w, struct str quoted) {
    separate(w);
    buf_add_str(w->out, quoted);
    end_key(w);
}

void json_null(struct json_writer *w) {
    separate(w);
    buf_add(w->out, "null", 4);
}

void json_bool(struct json_writer *w, bool b) {
    separate(w);
    buf_add_text(w->out, b ? "true" : "false");
}

void json_i64(struct json_writer *w, int64_t n) {
    separate(w);
    buf_add_i64(w->out, n);
}

void json_u64(struct json_writer *w, uint64_t n) {
    separate(w);
    buf_add_u64(w->out, n);
}

void json_str(struct json_writer *w, struct str s) {
    separate(w);
    json_escape(w->out, s);
}

void json_base64(struct json_writer *w, struct str bytes) {
    if (bytes.data == NULL) {
        json_null(w);
        return;
    }
    separate(w);
    buf_add_char(w->out, '"');
    base64_encode(w->out, bytes);
    buf_add_char(w->out, '"');
}

void json_time(struct json_writer *w, struct timestamp t) {
    struct arena arena = ARENA_INIT;
    json_str(w, timestamp_format(&arena, t));
    arena_free(&arena);
}

void json_value(struct json_writer *w, const struct value *v) {
    if (v == NULL) {
        json_null(w);
        return;
    }
    switch (v->kind) {
    case VALUE_NULL:
        json_null(w);
        break;
    case VALUE_BOOL:
        json_bool(w, v->boolean);
        break;
    case VALUE_INT:
        json_i64(w, v->integer);
        break;
    case VALUE_UINT:
        json_u64(w, v->uinteger);
        break;
    case VALUE_FLOAT:
        json_f64(w, v->number);
        break;
    case VALUE_STRING:
        json_str(w, v->string);
        break;
    case VALUE_LIST:
        json_open_array(w);
        for (size_t i = 0; i < v->list.len; i++) {
            json_value(w, &v->list.items[i]);
        }
        json_close_array(w);
        break;
    case VALUE_MAP: {
        const struct value_pair **sorted;
        size_t len = value_sorted_pairs(v, &sorted);
        json_open_object(w);
        for (size_t i = 0; i < len; i++) {
            json_key(w, sorted[i]->key);
            json_value(w, &sorted[i]->value);
        }
        json_close_object(w);
        mem_free(sorted);
        break;
    }
    }
}

/* Bytes that do not stand for themselves inside a string, or not without a look at what follows. */
static const bool special[256] = {
    [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true,          ['<'] = true,
    ['>'] = true,        ['&'] = true, [0x80 ... 0xff] = true,
};

static void escape_ascii(struct buf *out, unsigned char c) {
    switch (c) {
    case '"':
        buf_add(out, "\\\"", 2);
        break;
    case '\\':
        buf_add(out, "\\\\", 2);
        break;
    case '\n':
        buf_add(out, "\\n", 2);
        break;
    case '\r':
        buf_add(out, "\\r", 2);
        break;
    case '\t':
        buf_add(out, "\\t", 2);
        break;
    default: {
        static const char hex[] = "0123456789abcdef";
        char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        buf_add(out, text, sizeof(text));
    }
    }
}

void json_escape(struct buf *out, struct str s) {
    size_t done = 0, at = 0;
    while (at < s.len && !special[(unsigned char)s.data[at]]) {
        at++;
    }
    char *p = buf_reserve(out, at + 2);
    p[0] = '"';
    if (at > 0) {
        memcpy(p + 1, s.data, at);
    }
    if (at == s.len) {
        p[at + 1] = '"';
        out->len += at + 2;
        return;
    }
    out->len += at + 1;
    done = at;
    while (at < s.len) {
        unsigned char c = (unsigned char)s.data[at];
        if (!special[c]) {
            at++;
            continue;
        }
        uint32_t rune = 0;
        size_t size = c < 0x80 ? 1 : utf8_decode(s.data + at, s.len - at, &rune);
        if (size > 1 && rune != 0x2028 && rune != 0x2029) {
            at += size;
            continue;
        }
        buf_add(out, s.data + done, at - done);
        if (c < 0x80) {
            escape_ascii(out, c);
        } else if (size == 0) {
            buf_add(out, "\\ufffd", 6);
            size = 1;
        } else {
            buf_add_text(out, rune == 0x2028 ? "\\u2028" : "\\u2029");
        }
        at += size;
        done = at;
    }
    if (done < s.len) {
        buf_add(out, s.data + done, s.len - done);
    }
    buf_add_char(out, '"');
}

/* ---- numbers ---- */

/* Digits of the shortest decimal that reads back as the same number: d.ddd x 10^exponent. */
struct decimal {
    char digits[24];
    int len;
    int exponent;
};

static void split_decimal(const char *scientific, struct decimal *d) {
    d->len = 0;
    const char *at = scientific;
    for (; *at != 'e'; at++) {
        if (*at != '.') {
            d->digits[d->len++] = *at;
        }
    }
    d->exponent = atoi(at + 1);
    while (d->len > 1 && d->digits[d->len - 1] == '0') {
        d->len--;
    }
}

static bool reads_back(const char *text, double x, bool single) {
    return single ? strtof(text, NULL) == (float)x : strtod(text, NULL) == x;
}

/* The next decimal of as many digits. At powers of two the nearest decimal can lie outside the
 * (there shorter) lower half of the interval while this one lies inside. */
static bool next_up(char *scientific) {
    char *at = strchr(scientific, 'e');
    while (at > scientific) {
        at--;
        if (*at == '.') {
            continue;
        }
        if (*at != '9') {
            ++*at;
            return true;
        }
        *at = '0';
    }
    return false; /* 9.99: one digit less would have done */
}

static bool try_precision(double x, bool single, int precision, struct decimal *d) {
    char text[40];
    int unused;
    snprintf(text, sizeof(text), "%.*e", precision - 1, x);
    bool ok = reads_back(text, x, single);
    if (!ok && frexp(x, &unused) == 0.5 && next_up(text)) {
        ok = reads_back(text, x, single);
    }
    if (ok) {
        split_decimal(text, d);
    }
    return ok;
}

/* x > 0 and finite. */
static void shortest(double x, bool single, struct decimal *d) {
    int most = single ? 9 : 17;
    int probe = single ? 6 : 15;
    int low = try_precision(x, single, probe, d) ? 1 : probe + 1;
    int high = low == 1 ? probe : most;
    while (low < high) {
        int middle = (low + high) / 2;
        if (try_precision(x, single, middle, d)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if (!try_precision(x, single, low, d)) {
        try_precision(x, single, most, d);
    }
}

static void put_plain(struct buf *out, const struct decimal *d) {
    if (d->exponent < 0) {
        buf_add(out, "0.", 2);
        for (int i = -1; i > d->exponent; i--) {
            buf_add_char(out, '0');
        }
        buf_add(out, d->digits, (size_t)d->len);
        return;
    }
    for (int i = 0; i <= d->exponent || i < d->len; i++) {
        if (i == d->exponent + 1) {
            buf_add_char(out, '.');
        }
        buf_add_char(out, i < d->len ? d->digits[i] : '0');
    }
}

static void put_scientific(struct buf *out, const struct decimal *d) {
    buf_add_char(out, d->digits[0]);
    if (d->len > 1) {
        buf_add_char(out, '.');
        buf_add(out, d->digits + 1, (size_t)d->len - 1);
    }
    /* At least two digits behind "e+", but the first zero behind "e-" goes. */
    buf_add_format(out, d->exponent < 0 ? "e-%d" : "e+%02d", abs(d->exponent));
}

static void write_float(struct json_writer *w, double x, bool single) {
    separate(w);
    if (!isfinite(x)) { /* cannot come from JSON, and the rooms above refuse it elsewhere */
        buf_add(w->out, "null", 4);
        return;
    }
    if (signbit(x)) {
        buf_add_char(w->out, '-');
        x = -x;
    }
    if (x < (single ? 16777216 : 1e15) && x == floor(x)) {
        buf_add_u64(w->out, (uint64_t)x);
        return;
    }
    struct decimal d = {0};
    shortest(x, single, &d);
    /* The bounds are compared in the number's own width, as the peer does. */
    bool plain = single ? (float)x >= 1e-6f && (float)x < 1e21f : x >= 1e-6 && x < 1e21;
    if (plain) {
        put_plain(w->out, &d);
    } else {
        put_scientific(w->out, &d);
    }
}

void json_f64(struct json_writer *w, double d) {
    write_float(w, d, false);
}
void json_f32(struct json_writer *w, float f) {
    write_float(w, (double)f, true);
}
