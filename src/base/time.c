/* Clocks, and the texts of durations and instants. The two clock functions are the only ones in the
 * program that ask what time it is; everything else here is arithmetic.
 */
#include "base/time.h"

#include <stdatomic.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"

static int64_t clock_read(clockid_t clock) {
    struct timespec t;
    ASSERT(clock_gettime(clock, &t) == 0);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

int64_t time_now_wall(void) {
    return clock_read(CLOCK_REALTIME);
}

int64_t time_now_monotonic(void) {
    return clock_read(CLOCK_MONOTONIC);
}

int64_t time_now_steady(void) {
    static _Atomic int64_t base; /* wall - monotonic */
    int64_t monotonic = time_now_monotonic(), offset = base;
    if (offset == 0) {
        int64_t fresh = time_now_wall() - monotonic;
        offset = atomic_compare_exchange_strong(&base, &offset, fresh) ? fresh : offset;
    }
    return monotonic + offset;
}

/* n / unit with as many of the `digits` decimals as are not trailing zeros. */
static void add_decimal(struct buf *out, uint64_t n, uint64_t unit, int digits) {
    buf_add_u64(out, n / unit);
    uint64_t fraction = n % unit;
    if (fraction == 0) {
        return;
    }
    for (; fraction % 10 == 0; digits--) {
        fraction /= 10;
    }
    buf_add_format(out, ".%0*llu", digits, (unsigned long long)fraction);
}

struct str duration_format(struct arena *arena, int64_t ns) {
    /* As unsigned, so that the smallest number has an absolute value. */
    uint64_t n = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    struct buf out = BUF_INIT;
    if (ns < 0) {
        buf_add_char(&out, '-');
    }
    if (n == 0) {
        buf_add_text(&out, "0s");
    } else if (n < (uint64_t)MICROSECOND) {
        add_decimal(&out, n, 1, 0);
        buf_add_text(&out, "ns");
    } else if (n < (uint64_t)MILLISECOND) {
        add_decimal(&out, n, (uint64_t)MICROSECOND, 3);
        buf_add_text(&out, "\u00b5s");
    } else if (n < (uint64_t)SECOND) {
        add_decimal(&out, n, (uint64_t)MILLISECOND, 6);
        buf_add_text(&out, "ms");
    } else {
        if (n >= (uint64_t)HOUR) {
            buf_add_u64(&out, n / (uint64_t)HOUR);
            buf_add_char(&out, 'h');
        }
        if (n >= (uint64_t)MINUTE) {
            buf_add_u64(&out, n % (uint64_t)HOUR / (uint64_t)MINUTE);
            buf_add_char(&out, 'm');
        }
        add_decimal(&out, n % (uint64_t)MINUTE, (uint64_t)SECOND, 9);
        buf_add_char(&out, 's');
    }
    struct str text = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return text;
}

static const struct {
    struct str name;
    int64_t ns;
} duration_units[] = {
    {STR_INIT("ns"), NANOSECOND},
    {STR_INIT("us"), MICROSECOND},
    {STR_INIT("\u00b5s"), MICROSECOND},
    {STR_INIT("\u03bcs"), MICROSECOND},
    {STR_INIT("ms"), MILLISECOND},
    {STR_INIT("s"), SECOND},
    {STR_INIT("m"), MINUTE},
    {STR_INIT("h"), HOUR},
};

static int64_t duration_unit(struct str name) {
    for (size_t i = 0; i < COUNT_OF(duration_units); i++) {
        if (str_eq(duration_units[i].name, name)) {
            return duration_units[i].ns;
        }
    }
    return 0;
}

/* Takes the digits at the start. False when the number does not fit; *digits tells how many. */
static bool take_digits(struct str *rest, int64_t *n, size_t *digits) {
    bool fits = true;
    *n = 0;
    size_t i = 0;
    for (; i < rest->len && rest->data[i] >= '0' && rest->data[i] <= '9'; i++) {
        fits = fits && !__builtin_mul_overflow(*n, 10, n) &&
               !__builtin_add_overflow(*n, rest->data[i] - '0', n);
    }
    *digits = i;
    *rest = str_sub(*rest, i, SIZE_MAX);
    return fits;
}

/* Takes the digits behind the point as value / scale. Digits beyond what fits are dropped: they are
 * worth less than a nanosecond in any unit. */
static size_t take_fraction(struct str *rest, int64_t *value, double *scale) {
    bool full = false;
    *value = 0;
    *scale = 1;
    size_t i = 0;
    for (; i < rest->len && rest->data[i] >= '0' && rest->data[i] <= '9'; i++) {
        int64_t next;
        full = full || __builtin_mul_overflow(*value, 10, &next) ||
               __builtin_add_overflow(next, rest->data[i] - '0', &next);
        if (!full) {
            *value = next;
            *scale *= 10;
        }
    }
    *rest = str_sub(*rest, i, SIZE_MAX);
    return i;
}

enum part { PART_OK, PART_INVALID, PART_NO_UNIT, PART_UNKNOWN_UNIT };

/* One "<decimal><unit>" from the start of *rest; adds it to *sum. */
static enum part take_part(struct str *rest, int64_t *sum, struct str *unit_name) {
    int64_t whole, fraction = 0;
    double scale = 1;
    size_t digits, decimals = 0;
    if (!take_digits(rest, &whole, &digits)) {
        return PART_INVALID;
    }
    if (rest->len > 0 && rest->data[0] == '.') {
        *rest = str_sub(*rest, 1, SIZE_MAX);
        decimals = take_fraction(rest, &fraction, &scale);
    }
    if (digits + decimals == 0) {
        return PART_INVALID;
    }
    size_t len = 0;
    while (len < rest->len && rest->data[len] != '.' &&
           (rest->data[len] < '0' || rest->data[len] > '9')) {
        len++;
    }
    *unit_name = str_sub(*rest, 0, len);
    *rest = str_sub(*rest, len, SIZE_MAX);
    if (len == 0) {
        return PART_NO_UNIT;
    }
    int64_t unit = duration_unit(*unit_name);
    if (unit == 0) {
        return PART_UNKNOWN_UNIT;
    }
    /* The fraction goes through a double, as the peer computes it, so that results agree. */
    int64_t more = (int64_t)((double)fraction * ((double)unit / scale));
    bool overflow = __builtin_mul_overflow(whole, unit, &whole) ||
                    __builtin_add_overflow(whole, more, &whole) ||
                    __builtin_add_overflow(*sum, whole, sum);
    return overflow ? PART_INVALID : PART_OK;
}

bool duration_parse(struct str text, int64_t *ns, struct error *e) {
    struct str rest = text;
    bool negative = rest.len > 0 && rest.data[0] == '-';
    if (negative || (rest.len > 0 && rest.data[0] == '+')) {
        rest = str_sub(rest, 1, SIZE_MAX);
    }
    if (str_is(rest, "0")) {
        *ns = 0;
        return true;
    }
    enum part part = rest.len > 0 ? PART_OK : PART_INVALID;
    struct str unit = STR_NONE;
    int64_t sum = 0;
    while (part == PART_OK && rest.len > 0) {
        part = take_part(&rest, &sum, &unit);
    }
    switch (part) {
    case PART_OK:
        *ns = negative ? -sum : sum;
        return true;
    case PART_INVALID:
        return error_set(e, ERROR_INTERNAL, "time: invalid duration \"" STR_FMT "\"",
                         STR_ARG(text));
    case PART_NO_UNIT:
        return error_set(e, ERROR_INTERNAL, "time: missing unit in duration \"" STR_FMT "\"",
                         STR_ARG(text));
    default:
        return error_set(e, ERROR_INTERNAL,
                         "time: unknown unit \"" STR_FMT "\" in duration \"" STR_FMT "\"",
                         STR_ARG(unit), STR_ARG(text));
    }
}

#define DAY_SECONDS ((int64_t)86400)

/* Rounds down also when n is negative, unlike C's own division. */
static int64_t floor_divide(int64_t n, int64_t by) {
    return n / by - (n % by < 0 ? 1 : 0);
}

/* What floor_divide leaves, 0..by-1. Not n - quotient * by, which overflows for the smallest n. */
static int64_t floor_rest(int64_t n, int64_t by) {
    return n % by + (n % by < 0 ? by : 0);
}

struct timestamp timestamp_from_unix_ns(int64_t ns) {
    return (struct timestamp){
        .seconds = floor_divide(ns, SECOND) + TIMESTAMP_UNIX_EPOCH,
        .nanoseconds = (int32_t)floor_rest(ns, SECOND),
        .offset = -1,
        .present = true,
    };
}

int64_t timestamp_to_unix_ns(struct timestamp t) {
    int64_t seconds, ns;
    if (__builtin_sub_overflow(t.seconds, TIMESTAMP_UNIX_EPOCH, &seconds)) {
        return INT64_MIN;
    }
    /* Before the epoch count back from the next second, so that the very first instant fits too. */
    int64_t rest = t.nanoseconds;
    if (seconds < 0) {
        seconds++;
        rest -= SECOND;
    }
    if (__builtin_mul_overflow(seconds, SECOND, &ns) || __builtin_add_overflow(ns, rest, &ns)) {
        return seconds < 0 ? INT64_MIN : INT64_MAX;
    }
    return ns;
}

/* Dates are counted in years that begin on 1 March, so that the leap day comes last and the months
 * before it have the same lengths every year; and in eras of 400 years, after which all repeats. */
#define ERA_DAYS ((int64_t)146097)
#define MARCH_TO_JANUARY ((int64_t)306) /* days from 1 March of year 0 to 1 January of year 1 */

struct date {
    int64_t year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
};

/* days: since 0001-01-01. */
static struct date date_from_days(int64_t days) {
    days += MARCH_TO_JANUARY;
    int64_t era = floor_divide(days, ERA_DAYS);
    int64_t day = days - era * ERA_DAYS; /* of the era, 0..146096 */
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100; /* of the year */
    int64_t month = (5 * day + 2) / 153;       /* 0 is March: five months have 153 days */
    return (struct date){
        .year = era * 400 + year + (month >= 10 ? 1 : 0),
        .month = (int)(month < 10 ? month + 3 : month - 9),
        .day = (int)(day - (153 * month + 2) / 5 + 1),
    };
}

static int64_t date_to_days(struct date date) {
    int64_t month = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t year = date.year - (date.month <= 2 ? 1 : 0);
    int64_t era = floor_divide(year, 400);
    year -= era * 400;
    int64_t day = 365 * year + year / 4 - year / 100 + (153 * month + 2) / 5 + date.day - 1;
    return era * ERA_DAYS + day - MARCH_TO_JANUARY;
}

struct str timestamp_format(struct arena *arena, struct timestamp t) {
    int offset = t.offset == -1 ? 0 : t.offset;
    int64_t seconds;
    /* Nobody means an instant this close to the end of the number; show it in UTC. */
    if (__builtin_add_overflow(t.seconds, (int64_t)offset * 60, &seconds)) {
        seconds = t.seconds;
        offset = 0;
    }
    int64_t days = floor_divide(seconds, DAY_SECONDS);
    int of_day = (int)floor_rest(seconds, DAY_SECONDS);
    struct date date = date_from_days(days);

    struct buf out = BUF_INIT;
    buf_add_format(&out, "%s%04lld-%02d-%02dT%02d:%02d:", date.year < 0 ? "-" : "",
                   (long long)(date.year < 0 ? -date.year : date.year), date.month, date.day,
                   of_day / 3600, of_day / 60 % 60);
    buf_add_text(&out, of_day % 60 < 10 ? "0" : "");
    add_decimal(&out, (uint64_t)(of_day % 60) * (uint64_t)SECOND + (uint64_t)t.nanoseconds,
                (uint64_t)SECOND, 9);
    if (offset == 0) {
        buf_add_char(&out, 'Z');
    } else {
        int minutes = offset < 0 ? -offset : offset;
        buf_add_format(&out, "%c%02d:%02d", offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
    }
    struct str text = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return text;
}

#define LAYOUT "2006-01-02T15:04:05Z07:00"

/* Reading a timestamp: what is left of the text, and what went wrong first. */
struct timestamp_reader {
    struct str rest;
    const char *missing;      /* the piece of the layout that is not there */
    const char *out_of_range; /* the field whose number is impossible */
};

static bool reader_ok(const struct timestamp_reader *r) {
    return r->missing == NULL && r->out_of_range == NULL;
}

static bool is_digit_at(struct str s, size_t i) {
    return i < s.len && s.data[i] >= '0' && s.data[i] <= '9';
}

/* `most` digits, or as few as `least`; the number is 0 when they are not there. */
static int read_number(struct timestamp_reader *r, size_t least, size_t most, const char *piece) {
    int n = 0;
    size_t len = 0;
    while (reader_ok(r) && len < most && is_digit_at(r->rest, len)) {
        n = n * 10 + (r->rest.data[len++] - '0');
    }
    if (reader_ok(r) && len < least) {
        r->missing = piece;
        return 0;
    }
    r->rest = str_sub(r->rest, len, SIZE_MAX);
    return n;
}

static int read_year(struct timestamp_reader *r) {
    bool digits = is_digit_at(r->rest, 1) && is_digit_at(r->rest, 2) && is_digit_at(r->rest, 3);
    if (reader_ok(r) && r->rest.len >= 4 && is_digit_at(r->rest, 0) && !digits) {
        /* Here, and only here, the peer's message shows what is behind the bad number. */
        r->rest = str_sub(r->rest, 4, SIZE_MAX);
        r->missing = "2006";
    }
    return read_number(r, 4, 4, "2006");
}

static void read_literal(struct timestamp_reader *r, const char *text) {
    if (reader_ok(r) && !str_has_prefix(r->rest, str_from(text))) {
        r->missing = text;
    } else if (reader_ok(r)) {
        r->rest = str_sub(r->rest, strlen(text), SIZE_MAX);
    }
}

static void check_range(struct timestamp_reader *r, int n, int lowest, int highest,
                        const char *field) {
    if (reader_ok(r) && (n < lowest || n > highest)) {
        r->out_of_range = field;
    }
}

/* A point and digits, if they are there. */
static int32_t read_fraction(struct timestamp_reader *r) {
    if (!reader_ok(r) || r->rest.len < 2 || r->rest.data[0] != '.' || !is_digit_at(r->rest, 1)) {
        return 0;
    }
    int32_t ns = 0;
    size_t digits = 0;
    for (; is_digit_at(r->rest, digits + 1); digits++) {
        if (digits < 9) {
            ns = ns * 10 + (r->rest.data[digits + 1] - '0');
        }
    }
    if (digits > 9) {
        r->out_of_range = "fractional second";
    }
    r->rest = str_sub(r->rest, digits + 1, SIZE_MAX);
    for (; digits < 9; digits++) {
        ns *= 10;
    }
    return ns;
}

/* "Z" (-1, which means UTC) or "+05:30", in minutes. */
static int read_zone(struct timestamp_reader *r) {
    if (!reader_ok(r)) {
        return 0;
    }
    struct str s = r->rest;
    if (s.len > 0 && s.data[0] == 'Z') {
        r->rest = str_sub(s, 1, SIZE_MAX);
        return -1;
    }
    if (s.len < 6 || (s.data[0] != '+' && s.data[0] != '-') || s.data[3] != ':' ||
        !is_digit_at(s, 1) || !is_digit_at(s, 2) || !is_digit_at(s, 4) || !is_digit_at(s, 5)) {
        r->missing = "Z07:00";
        return 0;
    }
    r->rest = str_sub(s, 6, SIZE_MAX);
    int minutes = ((s.data[1] - '0') * 10 + (s.data[2] - '0')) * 60 + (s.data[4] - '0') * 10 +
                  (s.data[5] - '0');
    return s.data[0] == '-' ? -minutes : minutes;
}

static int days_of_month(int64_t year, int month) {
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* quote: "\"" when the text is a raw JSON string, whose layout then has quotes too. */
static bool timestamp_parse_failed(const struct timestamp_reader *r, struct str text,
                                   const char *quote, struct error *e) {
    if (r->out_of_range != NULL) {
        return error_set(e, ERROR_INTERNAL, "parsing time \"" STR_FMT "\": %s out of range",
                         STR_ARG(text), r->out_of_range);
    }
    if (r->missing != NULL) {
        return error_set(e, ERROR_INTERNAL,
                         "parsing time \"" STR_FMT "\" as \"%s" LAYOUT
                         "%s\": cannot parse \"" STR_FMT "\" as \"%s\"",
                         STR_ARG(text), quote, quote, STR_ARG(r->rest), r->missing);
    }
    return error_set(e, ERROR_INTERNAL, "parsing time \"" STR_FMT "\": extra text: " STR_FMT,
                     STR_ARG(text), STR_ARG(r->rest));
}

bool timestamp_parse(struct str text, struct timestamp *t, struct error *e) {
    struct timestamp_reader r = {.rest = text};
    const char *quote = text.len > 0 && text.data[0] == '"' ? "\"" : "";
    read_literal(&r, quote);
    struct date date = {.year = read_year(&r)};
    read_literal(&r, "-");
    date.month = read_number(&r, 2, 2, "01");
    check_range(&r, date.month, 1, 12, "month");
    read_literal(&r, "-");
    date.day = read_number(&r, 2, 2, "02");
    read_literal(&r, "T");
    int hour = read_number(&r, 1, 2, "15"); /* the peer takes one digit here, and only here */
    check_range(&r, hour, 0, 23, "hour");
    read_literal(&r, ":");
    int minute = read_number(&r, 2, 2, "04");
    check_range(&r, minute, 0, 59, "minute");
    read_literal(&r, ":");
    int second = read_number(&r, 2, 2, "05");
    check_range(&r, second, 0, 59, "second");
    int32_t nanoseconds = read_fraction(&r);
    int offset = read_zone(&r);
    read_literal(&r, quote);
    if (!reader_ok(&r) || r.rest.len > 0) {
        return timestamp_parse_failed(&r, text, quote, e);
    }
    check_range(&r, date.day, 1, days_of_month(date.year, date.month), "day");
    if (!reader_ok(&r)) {
        return timestamp_parse_failed(&r, text, quote, e);
    }
    *t = (struct timestamp){
        .seconds = date_to_days(date) * DAY_SECONDS + hour * 3600 + minute * 60 + second -
                   (offset == -1 ? 0 : (int64_t)offset * 60),
        .nanoseconds = nanoseconds,
        .offset = (int16_t)offset,
        .present = true,
    };
    return true;
}
