/* Services and checks written to disk, in the peer's format (agent.md 4.7): in order, on a worker
 * thread, so that the core never waits for the disk. They are read by local_restore.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <md5.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/local_record.h"
#include "agent/local_state.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"

#define LOGGER "agent"

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

char *file_path(const struct local *l, const char *folder, struct str id) {
    unsigned char digest[MD5_DIGEST_LENGTH];
    struct buf path = BUF_INIT;
    MD5_CTX md5;
    MD5Init(&md5);
    MD5Update(&md5, (const uint8_t *)id.data, id.len);
    MD5Final(digest, &md5);
    buf_add_format(&path, STR_FMT "/%s/", STR_ARG(l->config->data_dir), folder);
    for (size_t i = 0; i < sizeof digest; i++)
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

static void queue_write(struct local *l, const char *folder, struct str id,
                        const struct shape *shape, const void *record, bool sync) {
    struct buf content = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &content, false);
    schema_write_json(&w, shape, record);
    json_finish(&w);
    queue_job(l, file_path(l, folder, id), content.data, content.len, sync);
}

static void queue_remove(struct local *l, const char *folder, struct str id) {
    if (persists(l))
        queue_job(l, file_path(l, folder, id), NULL, 0, false);
}

/* ---- what is written ---- */

void file_store_service(struct local *l, const struct local_service *s) {
    if (!persists(l))
        return;
    struct node_service service = s->own != NULL ? *s->own : s->service;
    service.create_index = service.modify_index = 0;
    struct service_record record = {.token = s->token,
                                    .service = &service,
                                    .source = STR("remote"),
                                    .is_sidecar = s->is_sidecar};
    queue_write(l, "services", s->service.id, &service_record_shape, &record, true);
}

void file_remove_service(struct local *l, struct str id) {
    queue_remove(l, "services", id);
}

void file_store_central(struct local *l, struct str service_id,
                        const struct service_config_response *answer) {
    if (!persists(l))
        return;
    struct service_config_response defaults = *answer;
    struct central_record record = {.service_id = service_id, .defaults = &defaults};
    queue_write(l, CENTRAL_FOLDER, service_id, &central_record_shape, &record, true);
}

void file_remove_central(struct local *l, struct str service_id) {
    queue_remove(l, CENTRAL_FOLDER, service_id);
}

void file_store_check(struct local *l, struct local_check *c) {
    if (!persists(l))
        return;
    struct check_record record = {.check = &c->check,
                                  .type = c->has_type ? &c->type : NULL,
                                  .token = c->token,
                                  .source =
                                      c->source == CHECK_FROM_API ? STR("remote") : STR("local")};
    queue_write(l, "checks", c->check.check_id, &check_record_shape, &record, true);
}

void file_remove_check(struct local *l, struct str id) {
    queue_remove(l, "checks", id);
}

void file_store_state(struct local *l, const struct local_check *c, int64_t ttl) {
    if (!persists(l))
        return;
    struct state_record record = {.check_id = c->check.check_id,
                                  .output = c->check.output,
                                  .status = c->check.status,
                                  .expires = (time_now_wall() + ttl) / SECOND};
    queue_write(l, "checks/state", c->check.check_id, &state_record_shape, &record, false);
}

void file_remove_state(struct local *l, struct str check_id) {
    queue_remove(l, "checks/state", check_id);
}
