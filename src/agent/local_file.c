/* Services and checks on disk, in the peer's format (agent.md 4.7). Writing happens in order on a
 * worker thread, so that the core never waits for the disk; reading happens at start.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/local_state.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"

#define LOGGER "agent"
#define FILE_MAX ((size_t)8 << 20)

struct file_job {
    struct file_job *next;
    char *path;
    char *content; /* NULL: remove the file */
    size_t len;
    bool sync;
    int failed; /* errno */
};

struct file_batch {
    uv_work_t work;
    struct local *local;
    struct file_job *jobs;
    uint64_t last;
};

/* ---- paths ---- */

static char *file_path(const struct local *l, const char *folder, struct str id) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_Digest(id.data ? id.data : "", id.len, digest, &len, EVP_md5(), NULL);
    struct buf path = BUF_INIT;
    buf_add_format(&path, STR_FMT "/%s/", STR_ARG(l->config->data_dir), folder);
    for (unsigned i = 0; i < len; i++)
        buf_add_format(&path, "%02x", digest[i]);
    buf_add_char(&path, '\0');
    return path.data;
}

/* The directories above the file, 0700. */
static void make_directories(const char *path) {
    char *copy = mem_strdup(path);
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(copy, 0700);
        *slash = '/';
    }
    mem_free(copy);
}

/* ---- the worker ---- */

static int write_file(const struct file_job *job) {
    char id[37];
    uuid_random(id);
    struct buf name = BUF_INIT;
    if (job->sync)
        buf_add_format(&name, "%s-%s.tmp", job->path, id);
    else
        buf_add_format(&name, "%s.tmp", job->path);
    buf_add_char(&name, '\0');
    make_directories(name.data);
    int fd = open(name.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int failed = fd < 0 ? errno : 0;
    for (size_t done = 0; failed == 0 && done < job->len;) {
        ssize_t n = write(fd, job->content + done, job->len - done);
        if (n < 0 && errno != EINTR)
            failed = errno;
        done += n > 0 ? (size_t)n : 0;
    }
    if (failed == 0 && job->sync && fsync(fd) != 0)
        failed = errno;
    if (fd >= 0 && close(fd) != 0 && failed == 0)
        failed = errno;
    if (failed == 0 && rename(name.data, job->path) != 0)
        failed = errno;
    if (failed != 0 && fd >= 0)
        unlink(name.data);
    buf_free(&name);
    return failed;
}

static void work(uv_work_t *w) {
    struct file_batch *batch = CONTAINER_OF(w, struct file_batch, work);
    for (struct file_job *job = batch->jobs; job != NULL; job = job->next) {
        if (job->content != NULL)
            job->failed = write_file(job);
        else if (unlink(job->path) != 0 && errno != ENOENT)
            job->failed = errno;
    }
}

static void start_batch(struct local *l);

static void work_done(uv_work_t *w, int status) {
    (void)status;
    struct file_batch *batch = CONTAINER_OF(w, struct file_batch, work);
    struct local *l = batch->local;
    for (struct file_job *job = batch->jobs, *next; job != NULL; job = next) {
        next = job->next;
        if (job->failed != 0)
            log_at(LOG_ERROR, LOGGER, "failed to persist", LOG_C("file", job->path),
                   LOG_C("error", strerror(job->failed)));
        mem_free(job->path);
        mem_free(job->content);
        mem_free(job);
    }
    l->file_done = batch->last;
    l->writing = false;
    mem_free(batch);
    start_batch(l);
    sync_files_written(l);
    local_ended_one(l);
}

static void start_batch(struct local *l) {
    if (l->writing || l->jobs == NULL)
        return;
    struct file_batch *batch = MEM_NEW(struct file_batch);
    batch->local = l;
    batch->jobs = l->jobs;
    batch->last = l->file_queued;
    l->jobs = NULL;
    l->jobs_end = &l->jobs;
    l->writing = true;
    int rc = uv_queue_work(&l->loop->uv, &batch->work, work, work_done);
    ASSERT(rc == 0);
}

bool files_idle(const struct local *l) {
    return !l->writing && l->jobs == NULL;
}

/* Takes path and content over. */
static void queue_job(struct local *l, char *path, char *content, size_t len, bool sync) {
    struct file_job *job = MEM_NEW(struct file_job);
    *job = (struct file_job){.path = path, .content = content, .len = len, .sync = sync};
    *l->jobs_end = job;
    l->jobs_end = &job->next;
    l->file_queued++;
    start_batch(l);
}

static bool persists(const struct local *l) {
    return l->config->data_dir.len > 0 && !l->loading;
}

static void queue_write(struct local *l, const char *folder, struct str id, struct buf *content,
                        bool sync) {
    queue_job(l, file_path(l, folder, id), content->data, content->len, sync);
    *content = BUF_INIT;
}

static void queue_remove(struct local *l, const char *folder, struct str id) {
    if (persists(l))
        queue_job(l, file_path(l, folder, id), NULL, 0, false);
}

/* ---- what is written ---- */

void file_store_service(struct local *l, const struct local_service *s) {
    if (!persists(l))
        return;
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    json_open_object(&w);
    json_key(&w, STR("Token"));
    json_str(&w, s->token);
    json_key(&w, STR("Service"));
    struct node_service service = s->service;
    service.create_index = service.modify_index = 0;
    schema_write_json(&w, &node_service_shape, &service);
    json_key(&w, STR("Source"));
    json_str(&w, STR("remote"));
    if (s->is_sidecar) {
        json_key(&w, STR("LocallyRegisteredAsSidecar"));
        json_bool(&w, true);
    }
    json_close_object(&w);
    json_finish(&w);
    queue_write(l, "services", s->service.id, &out, true);
}

void file_remove_service(struct local *l, struct str id) {
    queue_remove(l, "services", id);
}

void file_store_check(struct local *l, const struct local_check *c) {
    if (!persists(l))
        return;
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    json_open_object(&w);
    json_key(&w, STR("Check"));
    schema_write_json(&w, &health_check_shape, &c->check);
    json_key(&w, STR("ChkType"));
    if (c->has_type)
        schema_write_json(&w, &check_type_shape, &c->type);
    else
        json_null(&w);
    json_key(&w, STR("Token"));
    json_str(&w, c->token);
    json_key(&w, STR("Source"));
    json_str(&w, c->source == CHECK_FROM_API ? STR("remote") : STR("local"));
    json_close_object(&w);
    json_finish(&w);
    queue_write(l, "checks", c->check.check_id, &out, true);
}

void file_remove_check(struct local *l, struct str id) {
    queue_remove(l, "checks", id);
}

void file_store_state(struct local *l, const struct local_check *c, int64_t ttl) {
    if (!persists(l))
        return;
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    json_open_object(&w);
    json_key(&w, STR("CheckID"));
    json_str(&w, c->check.check_id);
    json_key(&w, STR("Output"));
    json_str(&w, c->check.output);
    json_key(&w, STR("Status"));
    json_str(&w, c->check.status);
    json_key(&w, STR("Expires"));
    json_i64(&w, (time_now_wall() + ttl) / SECOND);
    json_close_object(&w);
    json_finish(&w);
    queue_write(l, "checks/state", c->check.check_id, &out, false);
}

void file_remove_state(struct local *l, struct str check_id) {
    queue_remove(l, "checks/state", check_id);
}

/* ---- what is read ---- */

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
    return read_file(path, &text, arena, e) && json_parse(text, out, NULL, arena, e);
}

static struct str text_of(const struct value *map, const char *key) {
    const struct value *v = value_get(map, key);
    return v != NULL && v->kind == VALUE_STRING ? v->string : STR("");
}

typedef void each_file(struct local *l, const char *name, const char *path, struct error *failed);

static void for_each_file(struct local *l, const char *folder, each_file *fn,
                          struct error *failed) {
    struct buf directory = BUF_INIT;
    buf_add_format(&directory, STR_FMT "/%s", STR_ARG(l->config->data_dir), folder);
    buf_add_char(&directory, '\0');
    DIR *d = opendir(directory.data);
    for (struct dirent *entry;
         d != NULL && (entry = readdir(d)) != NULL && !error_is_set(failed);) {
        struct buf path = BUF_INIT;
        buf_add_format(&path, "%s/%s", directory.data, entry->d_name);
        buf_add_char(&path, '\0');
        struct stat info;
        if (stat(path.data, &info) == 0 && S_ISREG(info.st_mode))
            fn(l, entry->d_name, path.data, failed);
        buf_free(&path);
    }
    if (d != NULL)
        closedir(d);
    buf_free(&directory);
}

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

static void restore_service(struct local *l, const struct value *json, const char *path,
                            struct arena *arena, struct error *failed) {
    const struct value *body = value_get(json, "Service");
    bool bare = body == NULL || body->kind != VALUE_MAP; /* as before 0.5.1 */
    struct node_service s = {0};
    struct error e = ERROR_IN(arena);
    struct json_options lenient = {.ignore_unknown = true};
    if (!schema_from_json(bare ? json : body, &node_service_shape, &s, &lenient, arena, &e)) {
        log_at(LOG_ERROR, LOGGER, "Failed decoding service file", LOG_C("file", path),
               LOG_S("error", e.text));
        return;
    }
    struct str source = text_of(json, "Source");
    if (source.len > 0 && !str_is(source, "remote") && !str_is(source, "local")) {
        log_at(LOG_WARN, LOGGER, "service exists with invalid source, purging",
               LOG_S("service", s.id), LOG_S("source", source));
        unlink(path);
        return;
    }
    if (local_service_find(l, s.id) != NULL) {
        log_at(LOG_DEBUG, LOGGER, "service exists, not restoring from file", LOG_S("service", s.id),
               LOG_C("file", path));
        unlink(path);
        return;
    }
    log_at(LOG_DEBUG, LOGGER, "restored service definition from file", LOG_S("service", s.id),
           LOG_C("file", path));
    const struct value *sidecar = value_get(json, "LocallyRegisteredAsSidecar");
    struct service_definition d;
    definition_of(&s, &d, arena);
    struct local_registration r = {.definition = &d,
                                   .token = text_of(json, "Token"),
                                   .from_api = true,
                                   .is_sidecar = sidecar != NULL && sidecar->kind == VALUE_BOOL &&
                                                 sidecar->boolean};
    if (!local_register_service(l, &r, &e))
        error_set(failed, ERROR_INTERNAL, "failed adding service \"" STR_FMT "\": " STR_FMT,
                  STR_ARG(s.id), STR_ARG(e.text));
}

static void load_service(struct local *l, const char *name, const char *path,
                         struct error *failed) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    if (str_has_suffix(str_from(name), STR("tmp")))
        log_at(LOG_WARN, LOGGER, "Ignoring temporary service file", LOG_C("file", path));
    else if (!read_json(path, &json, &arena, &e))
        log_at(LOG_ERROR, LOGGER, "Failed decoding service file", LOG_C("file", path),
               LOG_S("error", e.text));
    else
        restore_service(l, &json, path, &arena, failed);
    arena_free(&arena);
}

bool file_load_services(struct local *l, struct error *e) {
    for_each_file(l, "services", load_service, e);
    return !error_is_set(e);
}

static void restore_maintenance(struct local *l, const struct health_check *h, struct str token) {
    struct local_service *s = h->service_id.len > 0 ? local_service_find(l, h->service_id) : NULL;
    if (s != NULL)
        local_maintenance_service(l, s, true, h->notes, token);
    else if (h->service_id.len == 0)
        local_maintenance_node(l, true, h->notes, token);
}

static void restore_check(struct local *l, const struct value *json, const char *path,
                          struct arena *arena) {
    struct health_check h = {0};
    struct config_check d = {0};
    struct error e = ERROR_IN(arena);
    struct json_options lenient = {.ignore_unknown = true};
    const struct value *check = value_get(json, "Check"), *type = value_get(json, "ChkType");
    bool has_type = type != NULL && type->kind == VALUE_MAP;
    if (check == NULL || !schema_from_json(check, &health_check_shape, &h, &lenient, arena, &e) ||
        (has_type && !schema_from_json(type, &check_type_shape, &d.type, &lenient, arena, &e))) {
        log_at(LOG_ERROR, LOGGER, "Failed decoding check file", LOG_C("file", path),
               LOG_S("error", e.text));
        return;
    }
    if (local_check_find(l, h.check_id) != NULL) {
        log_at(LOG_DEBUG, LOGGER, "check exists, not restoring from file",
               LOG_S("check", h.check_id), LOG_C("file", path));
        unlink(path);
        return;
    }
    d.token = text_of(json, "Token");
    d.service_id = h.service_id;
    d.type.check_id = h.check_id;
    d.type.name = h.name;
    d.type.notes = h.notes;
    d.type.status = STR("critical");
    if (!has_type) {
        restore_maintenance(l, &h, d.token);
    } else if (!local_register_check(l, &d, CHECK_FROM_API, &e)) {
        log_at(LOG_WARN, LOGGER, "Failed to restore check", LOG_S("check", h.check_id),
               LOG_S("error", e.text));
        unlink(path);
        return;
    } else {
        struct local_check *c = local_check_find(l, h.check_id);
        local_set_output(c, h.output);
        file_load_state(l, c);
    }
    log_at(LOG_DEBUG, LOGGER, "restored health check from file", LOG_S("check", h.check_id),
           LOG_C("file", path));
}

static void load_check(struct local *l, const char *name, const char *path, struct error *failed) {
    (void)name;
    (void)failed;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    if (!read_json(path, &json, &arena, &e))
        log_at(LOG_ERROR, LOGGER, "Failed decoding check file", LOG_C("file", path),
               LOG_S("error", e.text));
    else
        restore_check(l, &json, path, &arena);
    arena_free(&arena);
}

bool file_load_checks(struct local *l, struct error *e) {
    for_each_file(l, "checks", load_check, e);
    return !error_is_set(e);
}

void file_load_state(struct local *l, struct local_check *c) {
    if (l->config->data_dir.len == 0 || c->ttl == NULL)
        return;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    char *path = file_path(l, "checks/state", c->check.check_id);
    if (access(path, F_OK) == 0) {
        bool readable = read_json(path, &json, &arena, &e);
        const struct value *expires = readable ? value_get(&json, "Expires") : NULL;
        bool valid = expires != NULL && expires->kind == VALUE_FLOAT;
        if (valid && (double)(time_now_wall() / SECOND) < expires->number) {
            struct str output = text_of(&json, "Output");
            c->check.status = status_literal(text_of(&json, "Status"));
            local_set_output(c, output);
            c->ttl->had_output = output.len > 0;
        } else {
            if (valid)
                log_at(LOG_DEBUG, LOGGER, "check state expired, not restoring",
                       LOG_S("check", c->check.check_id));
            unlink(path);
        }
    }
    mem_free(path);
    arena_free(&arena);
}
