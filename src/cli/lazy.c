/* libcurl and libarchive, loaded when the first of their functions is called. Commands need them,
 * agents do not: linked in the usual way they bring some thirty more libraries into every process,
 * which costs an agent more memory than all of its own (about 5 of 12 MB) and most of its time to
 * start. The functions that this room uses are defined here under their own names and passed on, so
 * that nobody else has to know; one that is missing here makes the linker take the real library
 * again.
 */
#include <archive.h>
#include <archive_entry.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#undef curl_easy_setopt
#undef curl_easy_getinfo

struct lazy_library {
    const char *file;
    pthread_once_t once;
    void *handle;
};

static struct lazy_library curl = {.file = "libcurl.so.4", .once = PTHREAD_ONCE_INIT};
static struct lazy_library archive = {.file = "libarchive.so.13", .once = PTHREAD_ONCE_INIT};

static void open_library(struct lazy_library *l) {
    l->handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);
    if (l->handle == NULL) {
        fprintf(stderr, "Error executing CLI: %s\n", dlerror());
        exit(1);
    }
}

static void open_curl(void) {
    open_library(&curl);
}
static void open_archive(void) {
    open_library(&archive);
}

/* Never NULL: a library without the function is as good as none. */
static void *find(struct lazy_library *l, void (*open)(void), const char *name) {
    pthread_once(&l->once, open);
    void *function = dlsym(l->handle, name);
    if (function == NULL) {
        fprintf(stderr, "Error executing CLI: %s has no %s\n", l->file, name);
        exit(1);
    }
    return function;
}

/* The function behind a name of ours, with its own type. */
#define CURL_FUNCTION(name) ((__typeof__(&(name)))find(&curl, open_curl, #name))
#define ARCHIVE_FUNCTION(name) ((__typeof__(&(name)))find(&archive, open_archive, #name))

/* ---- libcurl ---- */

CURLcode curl_global_init(long flags) {
    return CURL_FUNCTION(curl_global_init)(flags);
}
CURL *curl_easy_init(void) {
    return CURL_FUNCTION(curl_easy_init)();
}
void curl_easy_cleanup(CURL *c) {
    CURL_FUNCTION(curl_easy_cleanup)(c);
}
const char *curl_easy_strerror(CURLcode code) {
    return CURL_FUNCTION(curl_easy_strerror)(code);
}

/* The one argument behind the option is a pointer, a long or a curl_off_t: one register of the same
 * kind on all 64-bit systems. */
_Static_assert(sizeof(long) == sizeof(void *) && sizeof(curl_off_t) == sizeof(void *),
               "64-bit only");

CURLcode curl_easy_setopt(CURL *c, CURLoption option, ...) {
    va_list args;
    va_start(args, option);
    void *value = va_arg(args, void *);
    va_end(args);
    return CURL_FUNCTION(curl_easy_setopt)(c, option, value);
}

CURLcode curl_easy_getinfo(CURL *c, CURLINFO info, ...) {
    va_list args;
    va_start(args, info);
    void *value = va_arg(args, void *);
    va_end(args);
    return CURL_FUNCTION(curl_easy_getinfo)(c, info, value);
}

struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text) {
    return CURL_FUNCTION(curl_slist_append)(list, text);
}
void curl_slist_free_all(struct curl_slist *list) {
    CURL_FUNCTION(curl_slist_free_all)(list);
}

CURLM *curl_multi_init(void) {
    return CURL_FUNCTION(curl_multi_init)();
}
CURLMcode curl_multi_cleanup(CURLM *m) {
    return CURL_FUNCTION(curl_multi_cleanup)(m);
}
CURLMcode curl_multi_add_handle(CURLM *m, CURL *c) {
    return CURL_FUNCTION(curl_multi_add_handle)(m, c);
}
CURLMcode curl_multi_remove_handle(CURLM *m, CURL *c) {
    return CURL_FUNCTION(curl_multi_remove_handle)(m, c);
}
CURLMcode curl_multi_perform(CURLM *m, int *running) {
    return CURL_FUNCTION(curl_multi_perform)(m, running);
}
CURLMcode curl_multi_poll(CURLM *m, struct curl_waitfd extra[], unsigned int count, int timeout_ms,
                          int *ready) {
    return CURL_FUNCTION(curl_multi_poll)(m, extra, count, timeout_ms, ready);
}
CURLMsg *curl_multi_info_read(CURLM *m, int *left) {
    return CURL_FUNCTION(curl_multi_info_read)(m, left);
}

/* ---- libarchive ---- */

struct archive *archive_read_new(void) {
    return ARCHIVE_FUNCTION(archive_read_new)();
}
int archive_read_free(struct archive *a) {
    return ARCHIVE_FUNCTION(archive_read_free)(a);
}
int archive_read_support_format_empty(struct archive *a) {
    return ARCHIVE_FUNCTION(archive_read_support_format_empty)(a);
}
int archive_read_support_format_tar(struct archive *a) {
    return ARCHIVE_FUNCTION(archive_read_support_format_tar)(a);
}
int archive_read_open(struct archive *a, void *owner, archive_open_callback *open,
                      archive_read_callback *read, archive_close_callback *close) {
    return ARCHIVE_FUNCTION(archive_read_open)(a, owner, open, read, close);
}
int archive_read_next_header(struct archive *a, struct archive_entry **entry) {
    return ARCHIVE_FUNCTION(archive_read_next_header)(a, entry);
}
int archive_read_data_block(struct archive *a, const void **data, size_t *size,
                            la_int64_t *offset) {
    return ARCHIVE_FUNCTION(archive_read_data_block)(a, data, size, offset);
}
const char *archive_entry_pathname(struct archive_entry *entry) {
    return ARCHIVE_FUNCTION(archive_entry_pathname)(entry);
}
const char *archive_error_string(struct archive *a) {
    return ARCHIVE_FUNCTION(archive_error_string)(a);
}

struct archive *archive_write_new(void) {
    return ARCHIVE_FUNCTION(archive_write_new)();
}
int archive_write_free(struct archive *a) {
    return ARCHIVE_FUNCTION(archive_write_free)(a);
}
int archive_write_add_filter_gzip(struct archive *a) {
    return ARCHIVE_FUNCTION(archive_write_add_filter_gzip)(a);
}
int archive_write_set_format_pax_restricted(struct archive *a) {
    return ARCHIVE_FUNCTION(archive_write_set_format_pax_restricted)(a);
}
int archive_write_open_fd(struct archive *a, int fd) {
    return ARCHIVE_FUNCTION(archive_write_open_fd)(a, fd);
}
int archive_write_header(struct archive *a, struct archive_entry *entry) {
    return ARCHIVE_FUNCTION(archive_write_header)(a, entry);
}
la_ssize_t archive_write_data(struct archive *a, const void *data, size_t size) {
    return ARCHIVE_FUNCTION(archive_write_data)(a, data, size);
}
int archive_write_close(struct archive *a) {
    return ARCHIVE_FUNCTION(archive_write_close)(a);
}
struct archive_entry *archive_entry_new(void) {
    return ARCHIVE_FUNCTION(archive_entry_new)();
}
void archive_entry_free(struct archive_entry *entry) {
    ARCHIVE_FUNCTION(archive_entry_free)(entry);
}
struct archive_entry *archive_entry_clear(struct archive_entry *entry) {
    return ARCHIVE_FUNCTION(archive_entry_clear)(entry);
}
void archive_entry_set_pathname(struct archive_entry *entry, const char *name) {
    ARCHIVE_FUNCTION(archive_entry_set_pathname)(entry, name);
}
void archive_entry_set_filetype(struct archive_entry *entry, unsigned int type) {
    ARCHIVE_FUNCTION(archive_entry_set_filetype)(entry, type);
}
void archive_entry_set_perm(struct archive_entry *entry, mode_t mode) {
    ARCHIVE_FUNCTION(archive_entry_set_perm)(entry, mode);
}
void archive_entry_set_mtime(struct archive_entry *entry, time_t time, long ns) {
    ARCHIVE_FUNCTION(archive_entry_set_mtime)(entry, time, ns);
}
void archive_entry_set_size(struct archive_entry *entry, la_int64_t size) {
    ARCHIVE_FUNCTION(archive_entry_set_size)(entry, size);
}

void archive_set_error(struct archive *a, int number, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ARCHIVE_FUNCTION(archive_set_error)(a, number, "%s", text);
}
