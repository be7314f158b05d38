/* Services and checks read from disk at start and on a reload (agent.md 4.7): files of ours or of
 * the peer. What the configuration defines wins over them; what cannot be used is left alone or
 * removed, as the peer does it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/local_record.h"
#include "agent/local_state.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"

#define LOGGER "agent"
#define FILE_MAX ((size_t)8 << 20)

static const struct json_options lenient = {.ignore_unknown = true};

/* ---- files ---- */

static bool read_file(const char *path, struct str *out, struct arena *arena, struct error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
        int code = errno;
        if (fd >= 0)
            close(fd);
        return error_set_errno(e, code, "open %s", path);
    }
    if (!S_ISREG(info.st_mode) || (size_t)info.st_size > FILE_MAX) {
        close(fd);
        return error_set(e, ERROR_IO, "%s is no file of a service or check", path);
    }
    char *data = arena_alloc(arena, (size_t)info.st_size + 1);
    size_t len = 0;
    ssize_t n;
    while (len < (size_t)info.st_size && (n = read(fd, data + len, (size_t)info.st_size - len)) > 0)
        len += (size_t)n;
    close(fd);
    *out = str_of(data, len);
    return true;
}

static bool read_json(const char *path, struct value *out, struct arena *arena, struct error *e) {
    struct str text;
    return read_file(path, &text, arena, e) && json_parse_whole(text, out, arena, e);
}

struct found_file {
    struct local *local;
    const char *name, *path;
    struct error *failed; /* ends the start */
};

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* In the order of their names: where two files are of one ID, it matters. */
static void for_each_file(struct local *l, const char *folder, void (*fn)(struct found_file *f),
                          struct error *failed) {
    struct buf directory = BUF_INIT;
    buf_add_format(&directory, STR_FMT "/%s", STR_ARG(l->config->data_dir), folder);
    buf_add_char(&directory, '\0');
    struct dirent **entries = NULL;
    int count = scandir(directory.data, &entries, NULL, by_name);
    for (int i = 0; i < count; i++) {
        struct buf path = BUF_INIT;
        buf_add_format(&path, "%s/%s", directory.data, entries[i]->d_name);
        buf_add_char(&path, '\0');
        struct found_file file = {l, entries[i]->d_name, path.data, failed};
        struct stat info;
        if (!error_is_set(failed) && stat(path.data, &info) == 0 && S_ISREG(info.st_mode))
            fn(&file);
        buf_free(&path);
        free(entries[i]);
    }
    free(entries);
    buf_free(&directory);
}

/* ---- services ---- */

/* From the stored form back to a definition, since registering fills in what follows from it. */
static void definition_of(const struct node_service *s, struct service_definition *d,
                          struct arena *arena) {
    *d = (struct service_definition){
        .address = s->address,
        .enable_tag_override = s->enable_tag_override,
        .id = s->id,
        .kind = s->kind,
        .meta = s->meta,
        .name = s->service,
        .port = s->port,
        .tagged_addresses = s->tagged_addresses,
        .tags = s->tags,
        .weights = s->weights,
    };
    d->proxy = ARENA_NEW(arena, struct connect_proxy_config);
    *d->proxy = s->proxy;
    d->connect = ARENA_NEW(arena, struct service_connect);
    d->connect->native = s->connect.native;
}

/* A record, or the service alone, as before 0.5.1. */
static bool decode_service(const struct value *json, struct service_record *r, struct arena *arena,
                           struct error *e) {
    if (schema_from_json(json, &service_record_shape, r, &lenient, arena, e)) {
        if (r->service != NULL)
            return true;
        return error_set(e, ERROR_BAD_REQUEST, "there is no service in it");
    }
    error_clear(e);
    *r = (struct service_record){.service = ARENA_NEW(arena, struct node_service)};
    struct json_options bare = {.ignore_unknown = true, .go_type = "structs.NodeService"};
    return schema_from_json(json, &node_service_shape, r->service, &bare, arena, e);
}

static bool known_source(struct str source) {
    return source.len == 0 || str_is(source, "remote") || str_is(source, "local");
}

static bool register_service(struct local *l, const struct service_record *r, struct arena *arena,
                             struct error *e) {
    struct service_definition d;
    definition_of(r->service, &d, arena);
    struct local_registration registration = {
        .definition = &d, .token = r->token, .from_api = true, .is_sidecar = r->is_sidecar};
    if (d.name.len == 0)
        return error_set(e, ERROR_INTERNAL, "Service name missing");
    return local_register_service(l, &registration, e);
}

static void restore_service(struct found_file *f, const struct service_record *r,
                            struct arena *arena) {
    struct str id = r->service->id;
    struct error e = ERROR_IN(arena);
    if (!known_source(r->source)) {
        log_at(LOG_WARN, LOGGER, "service exists with invalid source, purging",
               LOG_S("service", id), LOG_S("source", r->source));
        unlink(f->path);
    } else if (local_service_find(f->local, id) != NULL) {
        log_at(LOG_DEBUG, LOGGER, "service exists, not restoring from file", LOG_S("service", id),
               LOG_C("file", f->path));
        unlink(f->path);
    } else {
        log_at(LOG_DEBUG, LOGGER, "restored service definition from file", LOG_S("service", id),
               LOG_C("file", f->path));
        if (!register_service(f->local, r, arena, &e))
            error_set(f->failed, ERROR_INTERNAL,
                      "failed adding service {\"" STR_FMT "\" {}}: " STR_FMT, STR_ARG(id),
                      STR_ARG(e.text));
    }
}

static void load_service(struct found_file *f) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    struct service_record r = {0};
    if (str_has_suffix(str_from(f->name), STR("tmp")))
        log_at(LOG_WARN, LOGGER, "Ignoring temporary service file", LOG_C("file", f->name));
    else if (!read_json(f->path, &json, &arena, &e) || !decode_service(&json, &r, &arena, &e))
        log_at(LOG_ERROR, LOGGER, "Failed decoding service file", LOG_C("file", f->path),
               LOG_S("error", e.text));
    else
        restore_service(f, &r, &arena);
    arena_free(&arena);
}

/* ---- what the servers said of them ---- */

static void load_central(struct found_file *f) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    struct central_record r = {0};
    if (str_has_suffix(str_from(f->name), STR("tmp")))
        log_at(LOG_WARN, LOGGER, "Ignoring temporary service config file", LOG_C("file", f->name));
    else if (!read_json(f->path, &json, &arena, &e) ||
             !schema_from_json(&json, &central_record_shape, &r, &lenient, &arena, &e))
        log_at(LOG_ERROR, LOGGER, "Failed decoding service config file", LOG_C("file", f->path),
               LOG_S("error", e.text));
    else if (r.service_id.len > 0 && r.defaults != NULL)
        central_remember(f->local, r.service_id, r.defaults);
    arena_free(&arena);
}

void file_load_central(struct local *l) {
    struct error never = ERROR_IN(NULL); /* nothing in it ends the start */
    for_each_file(l, CENTRAL_FOLDER, load_central, &never);
}

bool file_load_services(struct local *l, struct error *e) {
    for_each_file(l, "services", load_service, e);
    return !error_is_set(e);
}

/* ---- checks ---- */

static bool decode_check(const struct value *json, struct check_record *r, struct arena *arena,
                         struct error *e) {
    if (!schema_from_json(json, &check_record_shape, r, &lenient, arena, e))
        return false;
    return r->check != NULL || error_set(e, ERROR_BAD_REQUEST, "there is no check in it");
}

static void restore_check(struct found_file *f, const struct check_record *r, struct arena *arena) {
    struct str id = r->check->check_id;
    struct error e = ERROR_IN(arena);
    if (!known_source(r->source)) {
        log_at(LOG_WARN, LOGGER, "check exists with invalid source, purging", LOG_S("check", id),
               LOG_S("source", r->source));
        unlink(f->path);
        return;
    }
    if (local_check_find(f->local, id) != NULL) {
        log_at(LOG_DEBUG, LOGGER, "check exists, not restoring from file", LOG_S("check", id),
               LOG_C("file", f->path));
        unlink(f->path);
        return;
    }
    enum check_source source = str_is(r->source, "remote") ? CHECK_FROM_API : CHECK_FROM_LOCAL;
    if (local_restore_check(f->local, r->check, r->type, r->token, source, &e)) {
        file_load_state(f->local, local_check_find(f->local, id));
    } else {
        log_at(LOG_WARN, LOGGER, "Failed to restore check", LOG_S("check", id),
               LOG_S("error", e.text));
        unlink(f->path);
    }
    log_at(LOG_DEBUG, LOGGER, "restored health check from file", LOG_S("check", id),
           LOG_C("file", f->path));
}

static void load_check(struct found_file *f) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    struct check_record r = {0};
    if (!read_json(f->path, &json, &arena, &e) || !decode_check(&json, &r, &arena, &e))
        log_at(LOG_ERROR, LOGGER, "Failed decoding check file", LOG_C("file", f->path),
               LOG_S("error", e.text));
    else
        restore_check(f, &r, &arena);
    arena_free(&arena);
}

bool file_load_checks(struct local *l, struct error *e) {
    for_each_file(l, "checks", load_check, e);
    return !error_is_set(e);
}

/* ---- states ---- */

static void restore_state(struct local_check *c, const char *path) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    struct state_record r = {0};
    if (!read_json(path, &json, &arena, &e) ||
        !schema_from_json(&json, &state_record_shape, &r, &lenient, &arena, &e)) {
        log_at(LOG_ERROR, LOGGER, "failed decoding check state", LOG_S("error", e.text));
        unlink(path);
    } else if (time_now_wall() / SECOND >= r.expires) {
        log_at(LOG_DEBUG, LOGGER, "check state expired, not restoring",
               LOG_S("check", c->check.check_id));
        unlink(path);
    } else {
        c->check.status = status_literal(r.status);
        local_set_output(c, r.output);
    }
    arena_free(&arena);
}

void file_load_state(struct local *l, struct local_check *c) {
    if (l->config->data_dir.len == 0 || c->ttl == NULL)
        return;
    char *path = file_path(l, "checks/state", c->check.check_id);
    if (access(path, F_OK) == 0)
        restore_state(c, path);
    mem_free(path);
}
