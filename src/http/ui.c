/* "/" and the web page: files embedded in the binary (http-core.md 2.1, 11.15). */
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
    answer_static(r, type_of(path), str_of(bytes, (size_t)got));
    return true;
}

/* Paths that are no file are views of the page. */
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
    if (file == NULL)
        file = find_file(STR("index.html"));
    if (file == NULL)
        http_answer_text(r, 404, STR("This build has no web page."));
    else
        answer_static(r, file->type, str_of(file->data, file->len));
}

static void robots(struct http_request *r) {
    answer_static(r, "text/plain; charset=utf-8",
                  STR("# http://www.robotstxt.org\nUser-agent: *\nDisallow: *"));
}

static struct str content_path(const struct config *c) {
    return c->ui_content_path.len > 0 ? c->ui_content_path : STR("/ui/");
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
