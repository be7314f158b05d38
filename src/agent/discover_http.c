/* Exchanges by net/http_call.h, and the small things that all providers need. See
 * discover_http.h. */
#include "agent/discover_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"
#include "net/fault.h"
#include "net/http_call.h"

#define ERROR_SHOWN 300 /* bytes of a body that are quoted in an error */

void discover_web_init(struct discover_web *w, struct arena *arena) {
    *w = (struct discover_web){.arena = arena,
                               .deadline = time_now_monotonic() + DISCOVER_TIME,
                               .ca_file = discover_env("SSL_CERT_FILE")};
}

bool discover_web_call(struct discover_web *w, struct discover_call *c, struct error *e) {
    int64_t left = w->deadline - time_now_monotonic(), time = c->time;
    if (time == 0 || time > DISCOVER_CALL_TIME)
        time = DISCOVER_CALL_TIME;
    if (left <= 0 || ++w->calls > DISCOVER_CALLS_MAX)
        return error_set(e, ERROR_IO, "the look-up takes too long");
    struct http_tls tls = {
        .ca_file = w->ca_file, .cert_file = w->cert_file, .key_file = w->key_file};
    struct http_call call = {
        .method = c->method,
        .url = c->url,
        .body = c->body,
        .tls = &tls,
        .skip_verify = w->skip_verify,
        .time = time < left ? time : left,
        .limit = DISCOVER_ANSWER_MAX,
        .arena = w->arena,
    };
    size_t headers = 0;
    while (headers < DISCOVER_HEADERS_MAX && c->headers[headers].data != NULL) {
        call.headers[headers] = c->headers[headers];
        headers++;
    }
    call.headers[headers] = STR("User-Agent: praetor");
    bool ok = http_call_run(&call, e);
    c->status = call.status;
    c->status_line = call.status_line;
    c->answer = call.answer;
    if (ok && (w->bytes += c->answer.len) > DISCOVER_BYTES_MAX)
        return error_set(e, ERROR_TOO_LARGE, "answers of more than %zu bytes", DISCOVER_BYTES_MAX);
    return ok;
}

bool discover_web_json(struct discover_web *w, struct discover_call *c, struct value *out,
                       struct error *e) {
    if (!discover_web_call(w, c, e))
        return false;
    if (c->status < 200 || c->status > 299)
        return error_set(e, ERROR_IO, "unexpected status " STR_FMT ": " STR_FMT,
                         STR_ARG(c->status_line),
                         STR_ARG(str_trim(str_sub(c->answer, 0, ERROR_SHOWN))));
    return json_parse_whole(c->answer, out, w->arena, e);
}

/* ---- values ---- */

struct value *discover_path(const struct value *v, const char *path) {
    struct str rest = str_from(path);
    struct value *found = NULL;
    char key[64];
    while (rest.data != NULL) {
        struct str part = str_cut(&rest, '.');
        ASSERT(part.len < sizeof key);
        memcpy(key, part.data, part.len);
        key[part.len] = '\0';
        found = value_get(v, key);
        if (found == NULL)
            return NULL;
        v = found;
    }
    return found;
}

struct str discover_text(const struct value *v, const char *path) {
    const struct value *found = discover_path(v, path);
    return found != NULL && found->kind == VALUE_STRING ? found->string : STR_NONE;
}

size_t discover_count(const struct value *v, const char *path) {
    const struct value *found = discover_path(v, path);
    return found != NULL && found->kind == VALUE_LIST ? found->list.len : 0;
}

bool discover_add(struct list *addresses, struct str address, struct arena *arena,
                  struct error *e) {
    if (address.len == 0)
        return true;
    if (addresses->len >= DISCOVER_ADDRESSES_MAX)
        return error_set(e, ERROR_TOO_LARGE, "more than %d addresses", DISCOVER_ADDRESSES_MAX);
    if (addresses->items == NULL)
        addresses->items = ARENA_ARRAY(arena, struct str, DISCOVER_ADDRESSES_MAX);
    addresses->present = true;
    LIST_AT(*addresses, struct str, addresses->len++) = str_copy(arena, address);
    return true;
}

/* ---- settings ---- */

struct str discover_env(const char *name) {
    struct str value = str_from(getenv(name));
    return value.len > 0 ? value : STR_NONE;
}

struct str discover_setting(const struct discover_keys *keys, const char *key, const char *env) {
    struct str value = discover_key(keys, key);
    return value.len > 0 ? value : discover_env(env);
}

bool discover_bool(struct str text, bool *out, struct error *e) {
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        if (str_is(text, yes[i]) || str_is(text, no[i])) {
            *out = str_is(text, yes[i]);
            return true;
        }
    }
    return error_set(e, ERROR_BAD_REQUEST, "strconv.ParseBool: parsing " STR_FMT ": invalid syntax",
                     STR_ARG(str_quote(e->arena, text)));
}

struct str discover_home(const char *below, struct arena *arena) {
    struct str home = discover_env("HOME");
    return home.data == NULL ? STR_NONE : str_format(arena, STR_FMT "/%s", STR_ARG(home), below);
}

struct str discover_escape(struct str text, struct arena *arena) {
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '_' || c == '.' || c == '~')
            buf_add_char(&out, (char)c);
        else
            buf_add_format(&out, "%%%02X", c);
    }
    struct str escaped = out.len > 0 ? str_copy(arena, buf_str(&out)) : STR("");
    buf_free(&out);
    return escaped;
}
