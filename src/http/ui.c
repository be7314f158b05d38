/* "/" and the web page: files embedded in the binary (http-core.md 2.1, 11.15). Their names hold a
 * hash of what is in them, so they are cached for good; index.html stands for every view, is asked
 * again each time, and is told where it lies: how far the page's folder and the API are up from the
 * path that was asked for, as relative paths, so that it is right behind a proxy that puts
 * something before the path or takes it away.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/room.h"
#include "http/ui_files.h"

static const struct ui_file *find_file(struct str path) {
    for (size_t i = 0; i < ui_file_count; i++)
        if (str_is(path, ui_files[i].path))
            return &ui_files[i];
    return NULL;
}

#define DISK_FILE_MAX ((off_t)64 << 20)

static void answer_static(struct http_request *r, const char *type, struct str bytes) {
    buf_add_str(&r->extra, r->settings->plain_lines);
    http_answer_bytes(r, 200, type, bytes, true);
}

static const char *type_of(struct str path) {
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "application/javascript"},
        {".css", "text/css; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".json", "application/json"},
        {".txt", "text/plain; charset=utf-8"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (str_has_suffix(path, str_from(types[i][0])))
            return types[i][1];
    return "application/octet-stream";
}

/* ---- index.html ---- */

static const char security_lines[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'self'; form-action 'none'; "
    "frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n";

static struct str content_path(const struct config *c) {
    return c->ui_content_path.len > 0 ? c->ui_content_path : STR("/ui/");
}

static size_t count_slashes(struct str path) {
    size_t count = 0;
    for (size_t i = 0; i < path.len && path.data[i] != '?'; i++)
        count += path.data[i] == '/';
    return count;
}

/* How many folders below the page's own the path is, as the client wrote it. */
static size_t depth_of(const struct http_request *r) {
    size_t here = count_slashes(r->target), top = count_slashes(content_path(r->config));
    return here > top ? here - top : 0;
}

static void add_ups(struct buf *out, size_t count) {
    for (size_t i = 0; i < count; i++)
        buf_add_text(out, "../");
}

/* Puts `count` steps up in the place of `old`, which follows `mark`. A page without the mark stays.
 */
static struct str fill_in(struct http_request *r, struct str page, struct str mark, struct str old,
                          size_t count) {
    struct str whole = str_format(&r->arena, STR_FMT STR_FMT, STR_ARG(mark), STR_ARG(old));
    int64_t at = str_find(page, whole, 0);
    if (at < 0)
        return page;
    struct buf out = BUF_INIT;
    size_t end = (size_t)at + mark.len;
    buf_add_str(&out, str_sub(page, 0, end));
    if (count == 0)
        buf_add_str(&out, STR("./"));
    add_ups(&out, count);
    buf_add_str(&out, str_sub(page, end + old.len, page.len));
    struct str filled = str_copy(&r->arena, buf_str(&out));
    buf_free(&out);
    return filled;
}

static struct str fill_page(struct http_request *r, struct str page) {
    page = fill_in(r, page, STR("<base href=\""), STR("./"), depth_of(r));
    return fill_in(r, page, STR("<meta name=\"api\" content=\""), STR("../"),
                   count_slashes(content_path(r->config)) - 1);
}

static void answer_page(struct http_request *r, const struct ui_file *file) {
    struct str tag = str_format(&r->arena, "\"%s-%zu\"", file->hash, depth_of(r));
    buf_add_text(&r->extra, security_lines);
    buf_add_text(&r->extra, "Cache-Control: no-cache\r\n");
    http_set_header(r, "ETag", tag);
    if (str_find(http_header(r, "If-None-Match"), tag, 0) >= 0) {
        buf_add_str(&r->extra, r->settings->plain_lines);
        http_answer_empty(r, 304);
        return;
    }
    answer_static(r, file->type, fill_page(r, str_of(file->data, file->len)));
}

/* ---- files ---- */

static bool is_asset(struct str path) {
    return str_has_prefix(path, STR("assets/"));
}

static void answer_embedded(struct http_request *r, const struct ui_file *file) {
    bool packed = r->accepts_gzip && file->packed != NULL && !http_is_head(r);
    buf_add_text(&r->extra, security_lines);
    buf_add_text(&r->extra, is_asset(r->argument)
                                ? "Cache-Control: public, max-age=31536000, immutable\r\n"
                                : "Cache-Control: no-cache\r\n");
    if (file->packed != NULL)
        buf_add_text(&r->extra, "Vary: Accept-Encoding\r\n");
    if (!packed) {
        answer_static(r, file->type, str_of(file->data, file->len));
        return;
    }
    buf_add_str(&r->extra, r->settings->plain_lines);
    http_answer_owned(r, 200, file->type, str_of(file->packed, file->packed_len), true, NULL, NULL);
}

/* ui_dir. The path is clean (no ".."), so it stays below the folder. False: no such file. */
static bool answer_from_disk(struct http_request *r, struct str path) {
    struct stat s;
    struct str name =
        str_format(&r->arena, STR_FMT "/" STR_FMT, STR_ARG(r->config->ui_dir), STR_ARG(path));
    if (memchr(path.data, '\0', path.len) != NULL)
        return false;
    int file = open(name.data, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    if (fstat(file, &s) != 0 || !S_ISREG(s.st_mode) || s.st_size > DISK_FILE_MAX) {
        close(file);
        return false;
    }
    char *bytes = arena_alloc(&r->arena, (size_t)s.st_size + 1);
    ssize_t got = read(file, bytes, (size_t)s.st_size);
    close(file);
    if (got != s.st_size)
        return false;
    struct str body = str_of(bytes, (size_t)got);
    answer_static(r, type_of(path), str_is(path, "index.html") ? fill_page(r, body) : body);
    return true;
}

/* Paths that are no file are views of the page; but who asks for a script of an older build (or a
 * newer one, while agents are replaced) must not get a page in its place. */
static void ui_page(struct http_request *r) {
    if (str_is(r->argument, "index.html")) { /* the page's one address is the folder's */
        http_set_header(r, "Location", STR("./"));
        http_answer_empty(r, 301);
        return;
    }
    if (r->config->ui_dir.len > 0) {
        if (!answer_from_disk(r, r->argument) && !answer_from_disk(r, STR("index.html")))
            http_answer_empty(r, 404);
        return;
    }
    const struct ui_file *file = find_file(r->argument);
    if (file == NULL && is_asset(r->argument)) {
        http_answer_text(r, 404, STR("This build of the web page has no such file."));
        return;
    }
    if (file != NULL) {
        answer_embedded(r, file);
        return;
    }
    file = find_file(STR("index.html"));
    if (file == NULL)
        http_answer_text(r, 404, STR("This build has no web page."));
    else
        answer_page(r, file);
}

static void robots(struct http_request *r) {
    answer_static(r, "text/plain; charset=utf-8",
                  STR("# http://www.robotstxt.org\nUser-agent: *\nDisallow: *"));
}

/* Only the root itself: everything else that no pattern takes is not there. */
static void root(struct http_request *r) {
    if (http_ui_is_on(r->config))
        http_redirect(r, content_path(r->config));
    else
        http_answer_text(r, 200, STR("Consul Agent"));
}

static const struct http_route page_route = {"/ui/", "", ui_page, ROUTE_PLAIN | ROUTE_ANY_METHOD};
static const struct http_route robots_route = {"/robots.txt", "", robots,
                                               ROUTE_PLAIN | ROUTE_ANY_METHOD};

bool http_ui_is_on(const struct config *c) {
    return c->enable_ui || c->ui_dir.len > 0;
}

void http_ui_add_routes(struct http *http, const struct config *c) {
    if (!http_ui_is_on(c))
        return;
    http_routes_add(http, STR("/robots.txt"), &robots_route);
    http_routes_add(http, content_path(c), &page_route);
}

const struct http_route http_routes_ui[] = {
    {"/", "", root, ROUTE_PLAIN | ROUTE_ANY_METHOD},
    {NULL, NULL, NULL, 0},
};
