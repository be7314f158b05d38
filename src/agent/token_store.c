/* See token_store.h. */
#include "agent/token_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent_files.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "codec/json.h"
#include "schema/table.h"

#define LOGGER "agent"
#define FILE_NAME "acl-tokens.json"
#define FILE_MAX ((size_t)1 << 20)

struct token_store {
    struct agent_tokens *tokens;
    char *path; /* NULL: nothing is kept */
    bool loaded;
    bool from_api[AGENT_TOKEN_KINDS]; /* set by API, or read from the file */
};

/* In the order of the file. */
struct kept_tokens {
    struct str replication, agent_master, by_default, agent;
};
#define OF struct kept_tokens
static const struct field kept_tokens_fields[] = {
    F_STR("replication", replication),
    F_STR("agent_master", agent_master),
    F_STR("default", by_default),
    F_STR("agent", agent),
};
#undef OF
SHAPE(kept_tokens, "persistedTokens", .go = "agent.persistedTokens");

static const struct {
    const char *name;
    enum agent_token_kind kind;
} file_order[] = {
    {"replication", AGENT_TOKEN_REPLICATION},
    {"agent_master", AGENT_TOKEN_AGENT_MASTER},
    {"default", AGENT_TOKEN_DEFAULT},
    {"agent", AGENT_TOKEN_AGENT},
};

bool token_kind_find(struct str name, enum agent_token_kind *out) {
    static const struct {
        const char *name;
        enum agent_token_kind kind;
    } names[] = {
        {"default", AGENT_TOKEN_DEFAULT},
        {"acl_token", AGENT_TOKEN_DEFAULT},
        {"agent", AGENT_TOKEN_AGENT},
        {"acl_agent_token", AGENT_TOKEN_AGENT},
        {"agent_master", AGENT_TOKEN_AGENT_MASTER},
        {"acl_agent_master_token", AGENT_TOKEN_AGENT_MASTER},
        {"replication", AGENT_TOKEN_REPLICATION},
        {"acl_replication_token", AGENT_TOKEN_REPLICATION},
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_is(name, names[i].name)) {
            *out = names[i].kind;
            return true;
        }
    }
    return false;
}

struct token_store *token_store_new(struct agent_tokens *tokens) {
    struct token_store *s = MEM_NEW(struct token_store);
    s->tokens = tokens;
    return s;
}

void token_store_free(struct token_store *s) {
    if (s == NULL) {
        return;
    }
    mem_free(s->path);
    mem_free(s);
}

/* ---- the file ---- */

bool token_file_parse(struct str text, struct str secrets[AGENT_TOKEN_KINDS], struct arena *arena,
                      struct error *e) {
    const struct json_options options = {.ignore_unknown = true};
    struct kept_tokens kept = {STR(""), STR(""), STR(""), STR("")};
    struct value json;
    bool ok = json_parse_whole(text, &json, arena, e) &&
              schema_from_json(&json, &kept_tokens_shape, &kept, &options, arena, e);
    secrets[AGENT_TOKEN_REPLICATION] = kept.replication;
    secrets[AGENT_TOKEN_AGENT_MASTER] = kept.agent_master;
    secrets[AGENT_TOKEN_DEFAULT] = kept.by_default;
    secrets[AGENT_TOKEN_AGENT] = kept.agent;
    return ok;
}

/* *there: false when there is none, which is no error. */
static bool file_read(const char *path, struct buf *out, bool *there, struct error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *there = fd >= 0 || errno != ENOENT;
    if (fd < 0) {
        return !*there || error_set(e, ERROR_IO, "open %s: %s", path, agent_os_error(errno));
    }
    ssize_t got = 1;
    int failed = 0;
    while (failed == 0 && got > 0 && out->len <= FILE_MAX) {
        got = read(fd, buf_reserve(out, 4096), 4096);
        out->len += got > 0 ? (size_t)got : 0;
        failed = got < 0 && errno != EINTR ? errno : 0;
        got = got < 0 ? 1 : got;
    }
    close(fd);
    if (failed == 0 && out->len > FILE_MAX) {
        failed = EFBIG;
    }
    return failed == 0 || error_set(e, ERROR_IO, "read %s: %s", path, agent_os_error(failed));
}

static void buf_forget(struct buf *b) {
    if (b->len > 0) {
        explicit_bzero(b->data, b->len);
    }
    buf_free(b);
}

/* What is kept, as far as it can be read. */
static void file_load(const struct token_store *s, struct str secrets[AGENT_TOKEN_KINDS],
                      struct arena *arena) {
    struct buf text = BUF_INIT;
    struct error e = ERROR_IN(arena);
    bool there;
    bool ok = file_read(s->path, &text, &there, &e);
    if (!ok) {
        error_prefix(&e, "failed reading tokens file \"%s\": ", s->path);
    } else if (there) {
        /* A copy: what is parsed points into it. */
        ok = token_file_parse(str_copy(arena, buf_str(&text)), secrets, arena, &e) ||
             error_prefix(&e, "failed to decode tokens file \"%s\": ", s->path);
    }
    if (!ok) {
        log_at(LOG_WARN, LOGGER, "unable to load persisted tokens", LOG_S("error", e.text));
    }
    buf_forget(&text);
}

static bool write_synced(int fd, struct str text) {
    for (size_t done = 0; done < text.len;) {
        ssize_t n = write(fd, text.data + done, text.len - done);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0;
}

/* All of it or what was there before, also after a loss of power. */
static bool file_write(const char *path, struct str text, struct error *e) {
    struct arena scratch = ARENA_INIT;
    char id[37];
    uuid_random(id);
    const char *fresh = str_format(&scratch, "%s-%s.tmp", path, id).data;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 || error_set(e, ERROR_INTERNAL, "open %s: %s", fresh, agent_os_error(errno));
    if (ok && !write_synced(fd, text)) {
        ok = error_set(e, ERROR_INTERNAL, "write %s: %s", fresh, agent_os_error(errno));
    }
    if (fd >= 0 && close(fd) != 0 && ok) {
        ok = error_set(e, ERROR_INTERNAL, "close %s: %s", fresh, agent_os_error(errno));
    }
    if (ok && rename(fresh, path) != 0) {
        int code = errno == EISDIR ? EEXIST : errno; /* as the peer tells it */
        ok = error_set(e, ERROR_INTERNAL, "rename %s %s: %s", fresh, path, agent_os_error(code));
    }
    if (!ok && fd >= 0) {
        unlink(fresh);
    }
    arena_free(&scratch);
    return ok;
}

/* Those set by API, without what is empty. */
static void file_print(const struct token_store *s, struct buf *out) {
    struct arena arena = ARENA_INIT;
    struct json_writer w;
    json_begin(&w, out, false);
    json_open_object(&w);
    for (size_t i = 0; i < COUNT_OF(file_order); i++) {
        enum agent_token_kind kind = file_order[i].kind;
        struct str secret = s->from_api[kind] ? agent_token(s->tokens, kind, &arena) : STR("");
        if (secret.len > 0) {
            json_key(&w, str_from(file_order[i].name));
            json_str(&w, secret);
        }
    }
    json_close_object(&w);
    arena_free(&arena);
}

static bool file_store(const struct token_store *s, struct error *e) {
    if (s->path == NULL) {
        return true;
    }
    struct buf text = BUF_INIT;
    file_print(s, &text);
    bool ok = file_write(s->path, buf_str(&text), e);
    buf_forget(&text);
    if (!ok) {
        log_at(LOG_WARN, LOGGER, "failed to persist tokens", LOG_S("error", e->text));
        error_prefix(e, "Failed to persist tokens - ");
    }
    return ok;
}

/* ---- both ---- */

static struct str configured(const struct config *c, enum agent_token_kind kind) {
    switch (kind) {
    case AGENT_TOKEN_DEFAULT:
        return c->acl.token_default;
    case AGENT_TOKEN_AGENT:
        return c->acl.token_agent;
    case AGENT_TOKEN_AGENT_MASTER:
        return c->acl.token_agent_master;
    default:
        return c->acl.token_replication_secret;
    }
}

/* What anti-entropy presents. */
static bool is_own(enum agent_token_kind kind) {
    return kind == AGENT_TOKEN_DEFAULT || kind == AGENT_TOKEN_AGENT;
}

static void tell_both(const char *name) {
    struct arena arena = ARENA_INIT;
    struct str text = str_format(&arena,
                                 "\"%s\" token present in both the configuration and persisted "
                                 "token store, using the persisted token",
                                 name);
    log_at(LOG_WARN, LOGGER, text.data);
    arena_free(&arena);
}

bool token_store_load(struct token_store *s, const struct config *c) {
    /* In the peer's order of warnings. */
    static const enum agent_token_kind order[] = {
        AGENT_TOKEN_DEFAULT, AGENT_TOKEN_AGENT, AGENT_TOKEN_AGENT_MASTER, AGENT_TOKEN_REPLICATION};
    struct arena arena = ARENA_INIT;
    struct str kept[AGENT_TOKEN_KINDS] = {STR(""), STR(""), STR(""), STR("")};
    if (!s->loaded && c->acl.enable_token_persistence && c->data_dir.len > 0) {
        s->path = mem_strdup(str_format(&arena, STR_FMT "/" FILE_NAME, STR_ARG(c->data_dir)).data);
    }
    s->loaded = true;
    if (s->path != NULL) {
        file_load(s, kept, &arena);
    }
    bool changed = false;
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        enum agent_token_kind kind = order[i];
        struct str given = configured(c, kind);
        s->from_api[kind] = kept[kind].len > 0;
        if (kept[kind].len > 0 && given.len > 0) {
            for (size_t n = 0; n < COUNT_OF(file_order); n++) {
                if (file_order[n].kind == kind) {
                    tell_both(file_order[n].name);
                }
            }
        }
        struct str secret = kept[kind].len > 0 ? kept[kind] : given;
        changed |= agent_token_set(s->tokens, kind, secret) && is_own(kind);
    }
    arena_free(&arena);
    return changed;
}

bool token_store_set(struct token_store *s, enum agent_token_kind kind, struct str secret,
                     bool *changed, struct error *e) {
    *changed = agent_token_set(s->tokens, kind, secret) && is_own(kind);
    s->from_api[kind] = true;
    return file_store(s, e);
}
