/* The log: each line is formatted once for each form that somebody wants (text, JSON) and handed to
 * standard output and the sinks, all under one mutex, so that lines come in the order of their
 * times and a sink that was removed is never called again.
 */
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"

enum {
    SINKS_MOST = 64,
    FIELDS_MOST = 64,           /* fields come from code, not from outside */
    LINE_KEEP_MOST = 64 * 1024, /* a line buffer that grew beyond this is given back */
};

struct log_sink {
    enum log_level level;
    bool json;
    log_sink_fn *fn;
    void *owner;
};

_Atomic int log_threshold = LOG_INFO;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all that follows */
static enum log_level stdout_level = LOG_INFO;
static bool stdout_on = true;
static bool stdout_json = false;
static struct log_sink *sinks[SINKS_MOST];
static struct buf text_line, json_line;

static const char *const level_names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"};
static const char *const level_names_json[] = {"trace", "debug", "info", "warn", "error", "off"};
static const char *const level_columns[] = {"[TRACE] ", "[DEBUG] ", "[INFO]  ",
                                            "[WARN]  ", "[ERROR] ", "[OFF]   "};

bool log_level_parse(struct str text, enum log_level *level) {
    for (int i = LOG_TRACE; i <= LOG_ERROR; i++) {
        if (str_eq_fold(text, str_from(level_names[i]))) {
            *level = (enum log_level)i;
            return true;
        }
    }
    if (str_eq_fold(text, STR("err"))) {
        *level = LOG_ERROR;
        return true;
    }
    return false;
}

const char *log_level_name(enum log_level level) {
    ASSERT((size_t)level < COUNT_OF(level_names));
    return level_names[level];
}

/* Sets the threshold to the lowest level that standard output or a sink wants. */
static void threshold_update(void) {
    int lowest = stdout_on ? (int)stdout_level : LOG_OFF;
    for (size_t i = 0; i < SINKS_MOST; i++) {
        if (sinks[i] != NULL && (int)sinks[i]->level < lowest) {
            lowest = (int)sinks[i]->level;
        }
    }
    atomic_store_explicit(&log_threshold, lowest, memory_order_relaxed);
}

void log_set_level(enum log_level level) {
    pthread_mutex_lock(&mutex);
    stdout_level = level;
    threshold_update();
    pthread_mutex_unlock(&mutex);
}

enum log_level log_get_level(void) {
    pthread_mutex_lock(&mutex);
    enum log_level level = stdout_level;
    pthread_mutex_unlock(&mutex);
    return level;
}

void log_set_json(bool json) {
    pthread_mutex_lock(&mutex);
    stdout_json = json;
    pthread_mutex_unlock(&mutex);
}

void log_set_stdout(bool on) {
    pthread_mutex_lock(&mutex);
    stdout_on = on;
    threshold_update();
    pthread_mutex_unlock(&mutex);
}

struct log_sink *log_add_sink(enum log_level level, bool json, log_sink_fn *fn, void *owner) {
    struct log_sink *sink = MEM_NEW(struct log_sink);
    *sink = (struct log_sink){level, json, fn, owner};
    pthread_mutex_lock(&mutex);
    size_t i = 0;
    while (i < SINKS_MOST && sinks[i] != NULL) {
        i++;
    }
    if (i < SINKS_MOST) {
        sinks[i] = sink;
        threshold_update();
    }
    pthread_mutex_unlock(&mutex);
    if (i == SINKS_MOST) {
        mem_free(sink);
        return NULL;
    }
    return sink;
}

void log_sink_set_level(struct log_sink *sink, enum log_level level) {
    if (sink == NULL) {
        return;
    }
    pthread_mutex_lock(&mutex);
    sink->level = level;
    threshold_update();
    pthread_mutex_unlock(&mutex);
}

void log_remove_sink(struct log_sink *sink) {
    if (sink == NULL) {
        return;
    }
    pthread_mutex_lock(&mutex);
    size_t i = 0;
    while (i < SINKS_MOST && sinks[i] != sink) {
        i++;
    }
    ASSERT(i < SINKS_MOST);
    sinks[i] = NULL;
    threshold_update();
    pthread_mutex_unlock(&mutex);
    mem_free(sink);
}

/* Local time with `digits` decimals; a zone of UTC is written as Z, others as +0530 or +05:30. */
static void add_time(struct buf *out, int64_t now, int digits, const char *colon) {
    time_t seconds = (time_t)(now / SECOND);
    struct tm tm;
    ASSERT(localtime_r(&seconds, &tm) != NULL);
    long fraction = (long)(now % SECOND);
    for (int i = digits; i < 9; i++) {
        fraction /= 10;
    }
    buf_add_format(out, "%04d-%02d-%02dT%02d:%02d:%02d.%0*ld", tm.tm_year + 1900, tm.tm_mon + 1,
                   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, digits, fraction);
    long minutes = tm.tm_gmtoff / 60;
    if (minutes == 0) {
        buf_add_char(out, 'Z');
        return;
    }
    char sign = minutes < 0 ? '-' : '+';
    minutes = minutes < 0 ? -minutes : minutes;
    buf_add_format(out, "%c%02ld%s%02ld", sign, minutes / 60, colon, minutes % 60);
}

/* Quotes without escaping, as the peer does: such a value may span lines. */
static void text_add_str(struct buf *out, struct str s) {
    bool quote = false;
    for (size_t i = 0; i < s.len && !quote; i++) {
        quote = s.data[i] == ' ' || s.data[i] == '\t' || s.data[i] == '\n' || s.data[i] == '\r';
    }
    if (quote) {
        buf_add_char(out, '"');
    }
    buf_add_str(out, s);
    if (quote) {
        buf_add_char(out, '"');
    }
}

static void add_duration(struct buf *out, int64_t ns) {
    struct arena arena = ARENA_INIT;
    buf_add_str(out, duration_format(&arena, ns));
    arena_free(&arena);
}

static void text_add_value(struct buf *out, const struct log_field *field) {
    switch (field->kind) {
    case LOG_FIELD_STR:
        text_add_str(out, field->text);
        break;
    case LOG_FIELD_I64:
        buf_add_i64(out, field->number);
        break;
    case LOG_FIELD_BOOL:
        buf_add_text(out, field->number != 0 ? "true" : "false");
        break;
    case LOG_FIELD_DURATION:
        add_duration(out, field->number);
        break;
    case LOG_FIELD_LIST:
        buf_add_char(out, '[');
        for (int64_t i = 0; i < field->number; i++) {
            buf_add_text(out, i > 0 ? ", " : "");
            text_add_str(out, field->items[i]);
        }
        buf_add_char(out, ']');
        break;
    }
}

static void text_add_line(struct buf *out, int64_t now, enum log_level level, const char *name,
                          const char *message, const struct log_field *fields) {
    add_time(out, now, 3, "");
    buf_add_char(out, ' ');
    buf_add_text(out, level_columns[level]);
    buf_add_text(out, name);
    buf_add_text(out, ": ");
    buf_add_text(out, message);
    for (const struct log_field *field = fields; field->key != NULL; field++) {
        buf_add_text(out, field == fields ? ": " : " ");
        buf_add_text(out, field->key);
        buf_add_char(out, '=');
        text_add_value(out, field);
    }
}

static void json_add_rune(struct buf *out, const char *at, size_t size, uint32_t rune) {
    if (size == 0) {
        buf_add_text(out, "\\ufffd");
    } else if (rune == '"' || rune == '\\') {
        buf_add_char(out, '\\');
        buf_add_char(out, *at);
    } else if (rune == '\n') {
        buf_add_text(out, "\\n");
    } else if (rune == '\r') {
        buf_add_text(out, "\\r");
    } else if (rune == '\t') {
        buf_add_text(out, "\\t");
    } else if (rune < 0x20 || rune == '<' || rune == '>' || rune == '&' || rune == 0x2028 ||
               rune == 0x2029) {
        buf_add_format(out, "\\u%04x", (unsigned)rune);
    } else {
        buf_add(out, at, size);
    }
}

static void json_add_str(struct buf *out, struct str s) {
    buf_add_char(out, '"');
    for (size_t i = 0; i < s.len;) {
        uint32_t rune = 0;
        size_t size = utf8_decode(s.data + i, s.len - i, &rune);
        json_add_rune(out, s.data + i, size, rune);
        i += size > 0 ? size : 1;
    }
    buf_add_char(out, '"');
}

static void json_add_value(struct buf *out, const struct log_field *field) {
    switch (field->kind) {
    case LOG_FIELD_STR:
        json_add_str(out, field->text);
        break;
    case LOG_FIELD_I64:
    case LOG_FIELD_DURATION:
        buf_add_i64(out, field->number);
        break;
    case LOG_FIELD_BOOL:
        buf_add_text(out, field->number != 0 ? "true" : "false");
        break;
    case LOG_FIELD_LIST:
        buf_add_char(out, '[');
        for (int64_t i = 0; i < field->number; i++) {
            buf_add_text(out, i > 0 ? "," : "");
            json_add_str(out, field->items[i]);
        }
        buf_add_char(out, ']');
        break;
    }
}

static void json_add_line(struct buf *out, int64_t now, enum log_level level, const char *name,
                          const char *message, const struct log_field *fields) {
    struct buf when = BUF_INIT;
    add_time(&when, now, 6, ":");
    struct log_field all[FIELDS_MOST + 4] = {
        LOG_C("@level", level_names_json[level]),
        LOG_C("@message", message),
        LOG_C("@module", name),
        LOG_S("@timestamp", buf_str(&when)),
    };
    size_t count = 4;
    for (const struct log_field *field = fields; field->key != NULL; field++) {
        ASSERT(count < COUNT_OF(all));
        /* An insertion sort: a handful of keys, usually in order already. */
        size_t at = count++;
        for (; at > 0 && strcmp(all[at - 1].key, field->key) > 0; at--) {
            all[at] = all[at - 1];
        }
        all[at] = *field;
    }
    for (size_t i = 0; i < count; i++) {
        buf_add_char(out, i == 0 ? '{' : ',');
        json_add_str(out, str_from(all[i].key));
        buf_add_char(out, ':');
        json_add_value(out, &all[i]);
    }
    buf_add_char(out, '}');
    buf_free(&when);
}

static void line_forget(struct buf *line) {
    if (line->cap > LINE_KEEP_MOST) {
        buf_free(line);
    }
    buf_clear(line);
}

void log_write(enum log_level level, const char *name, const char *message,
               const struct log_field *fields) {
    static const struct log_field none[] = {{.key = NULL}};
    ASSERT(level >= LOG_TRACE && level < LOG_OFF);
    fields = fields != NULL ? fields : none;
    pthread_mutex_lock(&mutex);
    bool to_stdout = stdout_on && level >= stdout_level;
    bool want_json = to_stdout && stdout_json;
    bool want_text = to_stdout && !stdout_json;
    for (size_t i = 0; i < SINKS_MOST; i++) {
        if (sinks[i] != NULL && level >= sinks[i]->level) {
            want_json = want_json || sinks[i]->json;
            want_text = want_text || !sinks[i]->json;
        }
    }
    int64_t now = time_now_wall();
    if (want_text) {
        text_add_line(&text_line, now, level, name, message, fields);
    }
    if (want_json) {
        json_add_line(&json_line, now, level, name, message, fields);
    }
    if (to_stdout) {
        const struct buf *line = stdout_json ? &json_line : &text_line;
        /* Through stdio, so that lines keep their place among what the agent prints itself. */
        fprintf(stdout, "    " STR_FMT "\n", STR_ARG(buf_str(line)));
        fflush(stdout);
    }
    for (size_t i = 0; i < SINKS_MOST; i++) {
        if (sinks[i] != NULL && level >= sinks[i]->level) {
            sinks[i]->fn(sinks[i]->owner, level, buf_str(sinks[i]->json ? &json_line : &text_line));
        }
    }
    line_forget(&text_line);
    line_forget(&json_line);
    pthread_mutex_unlock(&mutex);
}
