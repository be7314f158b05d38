/* Expressions compiled and run by PCRE2, after their translation (regex_translate.h). A search that
 * would backtrack for too long is run once more by the matcher that does not.
 */
#include "schema/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"
#include "schema/regex_translate.h"

#define MATCH_LIMIT 100000
#define WORKSPACE_START 1000
#define WORKSPACE_MOST (1 << 20)

struct regex {
    pcre2_code *code;
    uint32_t groups;
};

static pcre2_code *compile(struct str text, struct error *e) {
    int code;
    PCRE2_SIZE offset;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    ASSERT(context != NULL);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, 2 * REGEX_MAX_NESTING);
    uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX | PCRE2_DUPNAMES;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)(text.data != NULL ? text.data : ""), text.len,
                                         options, &code, &offset, context);
    pcre2_compile_context_free(context);
    if (compiled == NULL) {
        PCRE2_UCHAR message[200];
        pcre2_get_error_message(code, message, sizeof(message));
        error_set(e, ERROR_INTERNAL, "error parsing regexp: %s", (const char *)message);
    }
    return compiled;
}

struct regex *regex_compile(struct str pattern, struct error *e) {
    if (pattern.len > REGEX_MAX_BYTES) {
        error_set(e, ERROR_INTERNAL, "error parsing regexp: expression is longer than %d bytes",
                  REGEX_MAX_BYTES);
        return NULL;
    }
    struct buf text = BUF_INIT;
    pcre2_code *code = regex_translate(pattern, &text, e) ? compile(buf_str(&text), e) : NULL;
    buf_free(&text);
    if (code == NULL) {
        return NULL;
    }
    struct regex *re = MEM_NEW(struct regex);
    re->code = code;
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &re->groups);
    return re;
}

void regex_free(struct regex *re) {
    if (re != NULL) {
        pcre2_code_free(re->code);
        mem_free(re);
    }
}

/* Runs without backtracking, for what the first matcher gave up on. */
static bool search_without_backtracking(const struct regex *re, struct str subject) {
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    ASSERT(data != NULL);
    bool found = false;
    for (size_t size = WORKSPACE_START; size <= WORKSPACE_MOST; size *= 4) {
        int *workspace = mem_zalloc(size, sizeof(int));
        int rc =
            pcre2_dfa_match(re->code, (PCRE2_SPTR)subject.data, subject.len, 0,
                            PCRE2_NO_UTF_CHECK | PCRE2_DFA_SHORTEST, data, NULL, workspace, size);
        mem_free(workspace);
        if (rc != PCRE2_ERROR_DFA_WSSIZE) {
            found = rc >= 0;
            break;
        }
    }
    pcre2_match_data_free(data);
    return found;
}

static int run(const struct regex *re, struct str subject, pcre2_match_data *data) {
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    ASSERT(context != NULL);
    pcre2_set_match_limit(context, MATCH_LIMIT);
    int rc = pcre2_match(re->code, (PCRE2_SPTR)subject.data, subject.len, 0, PCRE2_NO_UTF_CHECK,
                         data, context);
    pcre2_match_context_free(context);
    return rc;
}

static bool is_utf8(struct str s) {
    for (size_t at = 0; at < s.len;) {
        size_t size =
            (unsigned char)s.data[at] < 0x80 ? 1 : utf8_decode(s.data + at, s.len - at, NULL);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

static bool search_valid(const struct regex *re, struct str subject) {
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    ASSERT(data != NULL);
    int rc = run(re, subject, data);
    pcre2_match_data_free(data);
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH) {
        return rc >= 0;
    }
    return search_without_backtracking(re, subject);
}

bool regex_search(const struct regex *re, struct str subject) {
    if (subject.data == NULL) {
        subject = STR("");
    }
    if (is_utf8(subject)) {
        return search_valid(re, subject);
    }
    struct buf b = BUF_INIT;
    for (size_t at = 0; at < subject.len;) {
        size_t size = utf8_decode(subject.data + at, subject.len - at, NULL);
        if (size == 0) {
            buf_add(&b, "\xef\xbf\xbd", 3);
            at++;
        } else {
            buf_add(&b, subject.data + at, size);
            at += size;
        }
    }
    bool found = search_valid(re, buf_str(&b));
    buf_free(&b);
    return found;
}

size_t regex_groups(const struct regex *re, struct str subject, struct str *groups, size_t max) {
    for (size_t i = 0; i < max; i++) {
        groups[i] = STR_NONE;
    }
    if (subject.data == NULL) {
        subject = STR("");
    }
    if (!is_utf8(subject)) {
        return 0;
    }
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(re->code, NULL);
    ASSERT(data != NULL);
    int rc = run(re, subject, data);
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(data);
    for (int i = 0; i < rc && (size_t)i < max; i++) {
        if (offsets[2 * i] != PCRE2_UNSET && offsets[2 * i] <= offsets[2 * i + 1]) {
            groups[i] = str_sub(subject, offsets[2 * i], offsets[2 * i + 1] - offsets[2 * i]);
        }
    }
    pcre2_match_data_free(data);
    return rc > 0 ? re->groups + 1 : 0;
}
