/* See url_parts.h. */
#include "codec/url_parts.h"

#include "base/buf.h"

struct str url_scheme(struct str url) {
    for (size_t i = 0; i < url.len; i++) {
        char c = url.data[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
            continue;
        bool later = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (later && i > 0)
            continue;
        return c == ':' && i > 0 ? str_sub(url, 0, i) : STR("");
    }
    return STR("");
}

/* Where the authority starts and ends, the user included; false when there is none. */
static bool find_authority(struct str url, size_t *start, size_t *end) {
    struct str scheme = url_scheme(url);
    size_t at = scheme.len > 0 ? scheme.len + 1 : 0;
    if (!str_has_prefix(str_sub(url, at, url.len), STR("//")))
        return false;
    *start = *end = at + 2;
    while (*end < url.len && url.data[*end] != '\0' && strchr("/?#", url.data[*end]) == NULL)
        ++*end;
    return true;
}

struct str url_authority(struct str url) {
    size_t start, end;
    if (!find_authority(url, &start, &end))
        return STR("");
    for (size_t i = end; i-- > start;)
        if (url.data[i] == '@') {
            start = i + 1;
            break;
        }
    return str_sub(url, start, end - start);
}

/* Offset of the colon before the port, or -1. */
static ptrdiff_t port_colon(struct str authority) {
    ptrdiff_t bracket = str_find_char(authority, ']'), colon = -1;
    for (size_t i = bracket < 0 ? 0 : (size_t)bracket; i < authority.len; i++)
        if (authority.data[i] == ':')
            colon = (ptrdiff_t)i;
    return colon;
}

struct str url_host(struct str url) {
    struct str authority = url_authority(url);
    ptrdiff_t colon = port_colon(authority);
    if (colon >= 0)
        authority = str_sub(authority, 0, (size_t)colon);
    if (authority.len > 1 && authority.data[0] == '[')
        return str_sub(authority, 1, authority.len - 2);
    return authority;
}

struct str url_path(struct str url) {
    size_t start, end;
    if (!find_authority(url, &start, &end)) {
        size_t scheme = url_scheme(url).len;
        end = scheme > 0 ? scheme + 1 : 0;
        if (scheme > 0 && !str_has_prefix(str_sub(url, end, url.len), STR("/")))
            return STR("");
    }
    size_t stop = end;
    while (stop < url.len && url.data[stop] != '?' && url.data[stop] != '#')
        stop++;
    return str_sub(url, end, stop - end);
}

struct str url_port(struct str url) {
    struct str authority = url_authority(url);
    ptrdiff_t colon = port_colon(authority);
    return colon < 0 ? STR("") : str_sub(authority, (size_t)colon + 1, authority.len);
}

/* ---- what is refused ---- */

static int hex_value(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set) {
    return c != '\0' && strchr(set, c) != NULL;
}

/* ASCII that stands for itself in a host. */
static bool is_of_host(char c) {
    return is_alphanumeric(c) || is_one_of(c, "-_.~!$&'()*+,;=:[]<>\"");
}

enum part { PART_OTHER, PART_HOST, PART_ZONE /* of an IPv6 address */ };

/* In a host only what is not ASCII can be escaped, and "%"; in a zone what could stand there. */
static bool may_be_escaped(enum part part, int value) {
    switch (part) {
    case PART_HOST:
        return value >= 0x80 || value == '%';
    case PART_ZONE:
        return value == '%' || value == ' ' || (value < 0x80 && is_of_host((char)value));
    default:
        return true;
    }
}

/* What is wrong with a part's characters and escapes; absent: nothing. */
static struct str fault_in(struct str s, enum part part, struct arena *arena) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == '%') {
            int high = i + 1 < s.len ? hex_value(s.data[i + 1]) : -1;
            int low = i + 2 < s.len ? hex_value(s.data[i + 2]) : -1;
            if (high < 0 || low < 0 || !may_be_escaped(part, high * 16 + low)) {
                struct str quoted = str_quote(arena, str_sub(s, i, 3));
                return str_format(arena, "invalid URL escape " STR_FMT, STR_ARG(quoted));
            }
            i += 2;
        } else if (part != PART_OTHER && (unsigned char)c < 0x80 && !is_of_host(c)) {
            struct str quoted = str_quote(arena, str_sub(s, i, 1));
            return str_format(arena, "invalid character " STR_FMT " in host name", STR_ARG(quoted));
        }
    }
    return STR_NONE;
}

/* `port` with its colon; there may be none, or only the colon. */
static struct str fault_of_port(struct str port, struct arena *arena) {
    bool ok = port.len == 0 || port.data[0] == ':';
    for (size_t i = 1; i < port.len; i++)
        ok = ok && port.data[i] >= '0' && port.data[i] <= '9';
    if (ok)
        return STR_NONE;
    struct str quoted = str_quote(arena, port);
    return str_format(arena, "invalid port " STR_FMT " after host", STR_ARG(quoted));
}

static ptrdiff_t find_last(struct str s, char c) {
    ptrdiff_t i = (ptrdiff_t)s.len - 1;
    while (i >= 0 && s.data[i] != c)
        i--;
    return i;
}

static struct str fault_of_authority(struct str authority, struct arena *arena) {
    bool bracketed = authority.len > 0 && authority.data[0] == '[';
    ptrdiff_t end = find_last(authority, bracketed ? ']' : ':');
    if (bracketed && end < 0)
        return STR("missing ']' in host");
    size_t port = end < 0 ? authority.len : (size_t)end + (bracketed ? 1 : 0);
    struct str fault = fault_of_port(str_sub(authority, port, authority.len), arena);
    if (fault.data != NULL)
        return fault;
    struct str address = bracketed ? str_sub(authority, 0, (size_t)end) : STR("");
    ptrdiff_t zone = str_find(address, STR("%25"), 0);
    if (zone < 0)
        return fault_in(authority, PART_HOST, arena);
    fault = fault_in(str_sub(address, 0, (size_t)zone), PART_HOST, arena);
    return fault.data != NULL
               ? fault
               : fault_in(str_sub(address, (size_t)zone, address.len), PART_ZONE, arena);
}

static struct str fault_of_user(struct str url, struct arena *arena) {
    size_t start, end;
    if (!find_authority(url, &start, &end))
        return STR_NONE;
    ptrdiff_t at = find_last(str_sub(url, start, end - start), '@');
    struct str user = at < 0 ? STR("") : str_sub(url, start, (size_t)at);
    for (size_t i = 0; i < user.len; i++)
        if (!is_alphanumeric(user.data[i]) && !is_one_of(user.data[i], "-._:~!$&'()*+,;=%@"))
            return STR("net/url: invalid userinfo");
    return fault_in(user, PART_OTHER, arena);
}

static bool has_controls(struct str url) {
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.data[i] < ' ' || url.data[i] == 0x7f)
            return true;
    return false;
}

/* Without its fragment. */
static struct str fault_of(struct str url, struct arena *arena) {
    if (has_controls(url))
        return STR("net/url: invalid control character in URL");
    if (url.len > 0 && url.data[0] == ':')
        return STR("missing protocol scheme");
    struct str rest = url, path = str_cut(&rest, '?'), first = str_cut(&path, '/');
    if (url_scheme(url).len == 0 && str_find_char(first, ':') >= 0)
        return STR("first path segment in URL cannot contain colon");
    struct str fault = fault_of_authority(url_authority(url), arena);
    if (fault.data == NULL)
        fault = fault_of_user(url, arena);
    return fault.data != NULL ? fault : fault_in(url_path(url), PART_OTHER, arena);
}

/* ---- how it is written ---- */

/* A path keeps what may stand there; of the query only what would end the request line goes. */
static void add_escaped(struct buf *out, struct str s, bool path) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool bad = path ? (unsigned char)c >= 0x80 || strchr(" \"<>\\^`{|}", c) != NULL : c == ' ';
        if (bad)
            buf_add_format(out, "%%%02X", (unsigned)(unsigned char)c);
        else
            buf_add_char(out, c);
    }
}

bool url_valid(struct str url, struct arena *arena, struct error *e) {
    struct str fragment = url, rest = str_cut(&fragment, '#');
    struct str fault = fault_of(rest, arena), shown = rest;
    if (fault.data == NULL) {
        fault = fault_in(fragment, PART_OTHER, arena);
        shown = url;
    }
    if (fault.data == NULL)
        return true;
    struct str quoted = str_quote(arena, shown);
    return error_set(e, ERROR_BAD_REQUEST, "parse " STR_FMT ": " STR_FMT, STR_ARG(quoted),
                     STR_ARG(fault));
}

bool url_normal(struct str url, struct str *out, struct arena *arena, struct error *e) {
    if (!url_valid(url, arena, e))
        return false;
    struct str scheme = url_scheme(url);
    struct buf text = BUF_INIT;
    buf_add_str(&text, str_lower(arena, scheme));
    size_t start, end;
    if (find_authority(url, &start, &end)) {
        struct str path = url_path(url);
        buf_add(&text, url.data + scheme.len, end - scheme.len);
        add_escaped(&text, path, true);
        add_escaped(&text, str_sub(url, end + path.len, url.len), false);
    } else {
        buf_add(&text, url.data + scheme.len, url.len - scheme.len);
    }
    *out = str_copy(arena, buf_str(&text));
    if (out->data == NULL)
        *out = STR("");
    buf_free(&text);
    return true;
}

struct str url_bare(struct str url, struct arena *arena) {
    size_t start, end;
    if (!find_authority(url, &start, &end))
        return url;
    size_t host = (size_t)(url_authority(url).data - url.data);
    return host == start ? url
                         : str_format(arena, "%.*s" STR_FMT, (int)start, url.data,
                                      STR_ARG(str_sub(url, host, url.len)));
}

struct str url_shown(struct str url, struct arena *arena) {
    size_t start, end;
    if (!find_authority(url, &start, &end))
        return url;
    if (end == url.len && start == end) /* "http://" */
        return str_sub(url, 0, start - 2);
    struct str authority = url_authority(url);
    size_t host = (size_t)(authority.data - url.data);
    struct str user = host > start ? str_sub(url, start, host - start - 1) : STR("");
    ptrdiff_t colon = str_find_char(user, ':');
    if (colon < 0)
        return url;
    return str_format(arena, "%.*s:***@" STR_FMT, (int)(start + (size_t)colon), url.data,
                      STR_ARG(str_sub(url, host, url.len)));
}

/* "." and ".." of the path are followed, as far as there is something to go back to. */
static struct str without_dots(struct arena *arena, struct str url) {
    size_t start, root;
    if (!find_authority(url, &start, &root) || str_find(url, STR("/."), root) < 0)
        return url;
    size_t end = root, len = root;
    while (end < url.len && strchr("?#", url.data[end]) == NULL)
        end++;
    struct str rest = str_sub(url, root, end - root), last = STR("");
    char *out = arena_alloc(arena, url.len + 2);
    memcpy(out, url.data, root);
    str_cut(&rest, '/'); /* what is in front of the first is empty */
    while (rest.data != NULL) {
        last = str_cut(&rest, '/');
        if (str_is(last, "..")) {
            while (len > root && out[--len] != '/') {
            }
        } else if (!str_is(last, ".")) {
            out[len++] = '/';
            if (last.len > 0)
                memcpy(out + len, last.data, last.len);
            len += last.len;
        }
    }
    if (str_is(last, ".") || str_is(last, "..") || len == root)
        out[len++] = '/';
    memcpy(out + len, url.data + end, url.len - end);
    out[len + url.len - end] = '\0';
    return str_of(out, len + url.len - end);
}

static struct str resolve(struct arena *arena, struct str base, struct str to) {
    if (url_scheme(to).len > 0)
        return to;
    struct str scheme = url_scheme(base);
    if (str_has_prefix(to, STR("//")))
        return str_format(arena, STR_FMT ":" STR_FMT, STR_ARG(scheme), STR_ARG(to));
    size_t start, root = 0;
    if (!find_authority(base, &start, &root))
        root = scheme.len > 0 ? scheme.len + 1 : 0;
    if (str_has_prefix(to, STR("/")))
        return str_format(arena, "%.*s" STR_FMT, (int)root, base.data, STR_ARG(to));
    size_t end = root, folder = root;
    while (end < base.len && strchr("?#", base.data[end]) == NULL) {
        if (base.data[end] == '/')
            folder = end + 1;
        end++;
    }
    bool query = str_has_prefix(to, STR("?")), fragment = str_has_prefix(to, STR("#"));
    while (fragment && end < base.len && base.data[end] != '#')
        end++;
    size_t keep = query || fragment ? end : folder;
    return str_format(arena, "%.*s%s" STR_FMT, (int)keep, base.data,
                      keep == root && !query && !fragment ? "/" : "", STR_ARG(to));
}

struct str url_resolve(struct arena *arena, struct str base, struct str to) {
    return without_dots(arena, resolve(arena, base, to));
}
