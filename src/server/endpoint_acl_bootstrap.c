/* The first token of a cluster (acl.md 13), in its new and its old form: ACL.BootstrapTokens,
 * ACL.Bootstrap. Who has lost all tokens may have another by writing the index that the refusal
 * names into a file on the leader.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "schema/hash.h"
#include "server/endpoint_acl.h"

#define RESET_FILE "acl-bootstrap-reset"
#define RESET_FILE_MAX 64 /* bytes that are looked at */

#define REFUSE(e, ...) error_set((e), ERROR_INTERNAL, __VA_ARGS__)

/* ---- the reset file ---- */

static void reset_failed(const char *path, const char *what) {
    log_at(LOG_ERROR, "agent.server.acl", what, LOG_S("path", str_from(path)));
}

/* A decimal number at the beginning of the text, behind blanks, as the peer scans it. */
static bool scan_number(const char *text, uint64_t *out) {
    while (*text == ' ' || *text == '\t' || *text == '\r')
        text++;
    if (*text == '+')
        text++;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, NULL, 10);
    return errno == 0;
}

/* 0: there is none that says something. */
static uint64_t reset_read(const char *path) {
    char text[RESET_FILE_MAX + 1];
    uint64_t index = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        if (errno != ENOENT)
            reset_failed(path, "bootstrap reset file could not be read");
        return 0;
    }
    ssize_t len = read(file, text, RESET_FILE_MAX);
    close(file);
    text[len > 0 ? len : 0] = '\0';
    if (len < 0 || !scan_number(text, &index)) {
        reset_failed(path, "failed to parse bootstrap reset index path");
        return 0;
    }
    return index;
}

/* Whether a further bootstrap is wanted: *reset is what the file says. Used up at once. */
static bool reset_take(struct call_context *c, uint64_t done, uint64_t *reset, struct error *e) {
    struct str dir = c->server->options.data_dir;
    char *path =
        str_terminated(c->arena, str_format(c->arena, STR_FMT "/" RESET_FILE, STR_ARG(dir)));
    *reset = dir.len > 0 ? reset_read(path) : 0;
    if (*reset == 0)
        return REFUSE(e, "ACL bootstrap no longer allowed (reset index: %llu)",
                      (unsigned long long)done);
    if (*reset != done)
        return REFUSE(e, "Invalid bootstrap reset index (specified %llu, reset index: %llu)",
                      (unsigned long long)*reset, (unsigned long long)done);
    if (unlink(path) != 0)
        reset_failed(path, "failed to remove bootstrap reset file");
    return true;
}

/* ---- BootstrapTokens ---- */

static bool only_primary(const struct call_context *c, struct error *e) {
    return acl_is_primary(c->server) || REFUSE(e, ACL_DISABLED);
}

static bool tokens_prepare(struct call_context *c, void *request, struct buf *entry,
                           struct error *e) {
    (void)request;
    struct acl_token *t = c->reply;
    struct acl_bootstrap_request bootstrap = {0};
    uint64_t done = acl_bootstrap_index(c->store);
    if (!only_primary(c, e) || (done != 0 && !reset_take(c, done, &bootstrap.reset_index, e)))
        return false;
    struct acl_link management = {.id = STR(ACL_POLICY_GLOBAL_MANAGEMENT)};
    *t = (struct acl_token){.accessor_id = acl_new_id(c, acl_token_id_taken),
                            .secret_id = acl_new_id(c, acl_token_id_taken),
                            .description = STR("Bootstrap Token (Global Management)"),
                            .policies = LIST_NEW(c->arena, struct acl_link, 1),
                            .create_time = timestamp_from_unix_ns(time_now_wall()),
                            .type = STR("management")};
    LIST_AT(t->policies, struct acl_link, 0) = management;
    t->hash = acl_token_hash(t, c->arena);
    bootstrap.token = *t;
    endpoint_entry(entry, ENTRY_ACL_BOOTSTRAP, &acl_bootstrap_request_shape, &bootstrap);
    return true;
}

static bool tokens_finish(struct call_context *c, const void *request,
                          const struct store_result *result, void *reply, struct error *e) {
    if (!acl_token_finish(c, request, result, reply, e))
        return false;
    log_at(LOG_INFO, "agent.server.acl", "ACL bootstrap completed");
    return true;
}

/* ---- Bootstrap, of the old system ---- */

static bool legacy_prepare(struct call_context *c, void *request, struct buf *entry,
                           struct error *e) {
    (void)request;
    if (!c->server->options.acl.enabled || !acl_is_primary(c->server))
        return REFUSE(e, ACL_DISABLED);
    struct legacy_acl_request r = {.datacenter = c->server->options.datacenter,
                                   .op = STR("bootstrap-now"),
                                   .acl = {.id = acl_new_id(c, acl_token_id_taken),
                                           .name = STR("Bootstrap Token"),
                                           .type = STR("management")}};
    endpoint_entry(entry, ENTRY_LEGACY_ACL, &legacy_acl_request_shape, &r);
    return true;
}

static bool legacy_finish(struct call_context *c, const void *request,
                          const struct store_result *result, void *reply, struct error *e) {
    (void)request;
    (void)e;
    if (result->kind == STORE_RESULT_ACL)
        schema_copy(&legacy_acl_shape, reply, result->acl, c->arena);
    return true;
}

/* Like writes, but the request is that of a read. */
#define ENDPOINT_BOOTSTRAPS(wire, reply_)                                                          \
    .name = (wire), .kind = ENDPOINT_WRITE, .request = &dc_request_shape,                          \
    .reply = &reply_##_shape, .datacenter = offsetof(struct dc_request, datacenter),               \
    .options = -1, .meta = -1, .token = -1

const struct endpoint endpoint_acl_bootstrap_tokens = {
    ENDPOINT_BOOTSTRAPS("ACL.BootstrapTokens", acl_token),
    .place = acl_place,
    .prepare = tokens_prepare,
    .prepare_reads = true,
    .finish = tokens_finish,
};

const struct endpoint endpoint_acl_bootstrap = {
    ENDPOINT_BOOTSTRAPS("ACL.Bootstrap", legacy_acl),
    .prepare = legacy_prepare,
    .prepare_reads = true,
    .finish = legacy_finish,
};
