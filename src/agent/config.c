/* Reading the sources of the configuration in their order (config.md 1.1, 1.2), and the life of the
 * result.
 */
#include "agent/config.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent_files.h"
#include "agent/config_table.h"
#include "base/mem.h"
#include "codec/hcl.h"
#include "codec/json.h"

#define FILE_MAX_SIZE ((size_t)16 << 20)

void config_inputs_init(struct config_inputs *in) {
    *in = (struct config_inputs){.arena = ARENA_INIT};
    in->flag_lists.kind = VALUE_MAP;
    in->flag_values.kind = VALUE_MAP;
}

void config_inputs_free(struct config_inputs *in) {
    arena_free(&in->arena);
}

const struct config *config_hold(const struct config *c) {
    /* Only the count changes, never what readers see. */
    atomic_fetch_add_explicit(&((struct config *)(uintptr_t)c)->references, 1,
                              memory_order_relaxed);
    return c;
}

void config_release(const struct config *c) {
    if (c == NULL)
        return;
    struct config *own = (struct config *)(uintptr_t)c;
    if (atomic_fetch_sub_explicit(&own->references, 1, memory_order_acq_rel) != 1)
        return;
    struct arena arena = own->arena;
    mem_free(own);
    arena_free(&arena);
}

void config_keep_start(struct config *fresh, const struct config *start) {
    struct config read = *fresh;
    *fresh = *start;
    atomic_init(&fresh->references, 1);
    fresh->arena = read.arena;
    fresh->ineffective = read.ineffective;
    fresh->node_meta = read.node_meta;
    fresh->services = read.services;
    fresh->checks = read.checks;
    fresh->watches = read.watches;
    fresh->discard_check_output = read.discard_check_output;
    fresh->config_entry_bootstrap = read.config_entry_bootstrap;
    fresh->tls = read.tls;
    fresh->dns = read.dns;
    fresh->dns.domain = start->dns.domain;
    fresh->dns.alt_domain = start->dns.alt_domain;
    fresh->limits.http_max_conns_per_client = read.limits.http_max_conns_per_client;
    fresh->limits.rpc_rate = read.limits.rpc_rate;
    fresh->limits.rpc_max_burst = read.limits.rpc_max_burst;
    fresh->limits.rpc_max_conns_per_client = read.limits.rpc_max_conns_per_client;
    fresh->cache_entry_fetch_rate = read.cache_entry_fetch_rate;
    fresh->cache_entry_fetch_max_burst = read.cache_entry_fetch_max_burst;
    fresh->telemetry.allowed_prefixes = read.telemetry.allowed_prefixes;
    fresh->telemetry.blocked_prefixes = read.telemetry.blocked_prefixes;
    fresh->logging.level = read.logging.level;
    fresh->acl.token_agent = read.acl.token_agent;
    fresh->acl.token_agent_master = read.acl.token_agent_master;
    fresh->acl.token_default = read.acl.token_default;
    fresh->acl.token_replication_secret = read.acl.token_replication_secret;
}

struct str listen_address_format(struct arena *arena, const struct listen_address *a,
                                 const char *network) {
    if (a->network == LISTEN_UNIX)
        return str_format(arena, "unix://" STR_FMT, STR_ARG(a->text));
    const char *format =
        str_find_char(a->text, ':') >= 0 ? "%s://[" STR_FMT "]:%d" : "%s://" STR_FMT ":%d";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return str_format(arena, format, network, STR_ARG(a->text), a->port);
#pragma GCC diagnostic pop
}

/* ---- files ---- */

struct source {
    struct str name;
    struct str text;
    bool json;
};

struct sources {
    struct arena *arena;
    struct source *items;
    size_t len, cap;
    struct str format; /* -config-format */
    struct texts *warnings;
    struct error *e;
};

static void add_source(struct sources *s, struct source source) {
    if (s->len == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 8;
        struct source *items = ARENA_ARRAY(s->arena, struct source, cap);
        if (s->len > 0)
            memcpy(items, s->items, s->len * sizeof(*items));
        s->items = items;
        s->cap = cap;
    }
    s->items[s->len++] = source;
}

static bool read_all(struct sources *s, const char *path, struct str *out) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(s->e, ERROR_INTERNAL, "config: failed to read %s: open %s: %s", path, path,
                         agent_os_error(errno));
    struct buf content = BUF_INIT;
    size_t got;
    do {
        char *at = buf_reserve(&content, 65536);
        got = fread(at, 1, 65536, file);
        content.len += got;
    } while (got > 0 && content.len <= FILE_MAX_SIZE);
    bool failed = ferror(file) != 0, too_large = content.len > FILE_MAX_SIZE;
    fclose(file);
    *out = str_copy(s->arena, buf_str(&content));
    buf_free(&content);
    if (failed || too_large)
        return error_set(s->e, ERROR_INTERNAL, "config: failed to read %s: %s", path,
                         too_large ? "file is too large" : "read error");
    return true;
}

/* One file, whose format its name or the flag tells. */
static bool add_file(struct sources *s, const char *path) {
    struct str name = str_from(path);
    bool json = str_has_suffix(name, STR(".json")), hcl = str_has_suffix(name, STR(".hcl"));
    if (s->format.len > 0) {
        json = str_is(s->format, "json");
    } else if (!json && !hcl) {
        texts_addf(
            s->warnings,
            "skipping file %s, extension must be .hcl or .json, or config format must be set",
            path);
        return true;
    }
    struct source source = {.name = str_copy(s->arena, name), .json = json};
    if (!read_all(s, path, &source.text))
        return false;
    add_source(s, source);
    return true;
}

static int compare_names(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* What the path leads to lacks its first part that is not there. */
static bool missing_target(struct sources *s, const char *path) {
    char target[4096];
    int code = errno;
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    for (char *at = target + (target[0] == '/');; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        struct stat info;
        *at = '\0';
        if (end == '\0' || lstat(target, &info) != 0)
            break;
        *at = end;
    }
    return error_set(s->e, ERROR_INTERNAL, "lstat %s: %s", target, agent_os_error(code));
}

/* A link's target; relative to this directory, as the path was, when it lies below it. */
static const char *resolve(struct sources *s, const char *path) {
    char *resolved = realpath(path, NULL);
    if (resolved == NULL)
        return NULL;
    char here[4096];
    struct str name = str_from(resolved);
    struct str base = str_from(getcwd(here, sizeof(here) - 1) != NULL ? strcat(here, "/") : "");
    if (path[0] != '/' && base.len > 1 && str_has_prefix(name, base))
        name = str_sub(name, base.len, SIZE_MAX);
    path = str_copy(s->arena, name).data;
    free(resolved);
    return path;
}

/* "./a//b/../c" and "x" are "a/c/x", as the texts of errors spell it. */
static const char *join(const char *directory, const char *name, struct arena *arena) {
    struct str rest = str_from(directory);
    struct str path = str_from(rest.len > 0 && rest.data[0] == '/' ? "/" : "");
    size_t root = path.len, parts = 0; /* that ".." can take away */
    while (rest.data != NULL) {
        struct str part = str_cut(&rest, '/');
        if (part.len == 0 || str_is(part, "."))
            continue;
        if (str_is(part, "..") && (parts > 0 || root > 0)) {
            while (path.len > root && path.data[path.len - 1] != '/')
                path.len--;
            path.len -= path.len > root;
            parts -= parts > 0;
            continue;
        }
        parts += !str_is(part, "..");
        path = str_format(arena, STR_FMT "%s" STR_FMT, STR_ARG(path), path.len > root ? "/" : "",
                          STR_ARG(part));
    }
    return str_format(arena, STR_FMT "%s%s", STR_ARG(path), path.len > root ? "/" : "", name).data;
}

static bool add_entry(struct sources *s, const char *directory, const char *name) {
    const char *path = join(directory, name, s->arena);
    struct stat info;
    if (lstat(path, &info) != 0)
        return error_set(s->e, ERROR_INTERNAL, "lstat %s: %s", path, agent_os_error(errno));
    if (S_ISLNK(info.st_mode)) {
        const char *target = resolve(s, path);
        if (target == NULL)
            return missing_target(s, path);
        path = target;
        if (stat(path, &info) != 0)
            return error_set(s->e, ERROR_INTERNAL, "stat %s: %s", path, agent_os_error(errno));
    }
    return S_ISDIR(info.st_mode) || add_file(s, path);
}

static bool add_directory(struct sources *s, const char *path) {
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, compare_names);
    if (count < 0)
        return error_set(s->e, ERROR_INTERNAL, "config: Readdir failed on %s. %s", path,
                         agent_os_error(errno));
    bool ok = true;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (ok && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            ok = add_entry(s, path, name);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

static bool add_path(struct sources *s, struct str path) {
    const char *name = str_terminated(s->arena, path);
    struct stat info;
    if (stat(name, &info) != 0)
        return error_set(s->e, ERROR_INTERNAL, "config: Open failed on %s. open %s: %s", name, name,
                         agent_os_error(errno));
    return S_ISDIR(info.st_mode) ? add_directory(s, name) : add_file(s, name);
}

/* ---- parsing and merging ---- */

struct loader {
    const struct config_inputs *in;
    struct config_builder *b;
    struct texts *later;
};

static bool merge_tree(struct loader *l, const struct value *raw, struct str name, bool user) {
    struct config_builder *b = l->b;
    struct value tree = {0};
    struct texts ignored = {.arena = b->arena};
    if (!config_decode(raw, &tree, user ? &b->warnings : &ignored, b->arena, b->e))
        return error_prefix(b->e, "failed to parse " STR_FMT ": ", STR_ARG(name));
    if (user)
        config_later_keys(&config_root, &tree, STR(""), l->later);
    config_merge(&config_root, &b->tree, &tree, b->arena);
    return true;
}

/* The first number that is none of float64. The parser bounds the depth. */
static const struct value *find_overflow(const struct value *v) {
    const struct value *found = NULL;
    if (v->kind == VALUE_FLOAT && isinf(v->number))
        return v;
    for (size_t i = 0; v->kind == VALUE_LIST && i < v->list.len && found == NULL; i++)
        found = find_overflow(&v->list.items[i]);
    for (size_t i = 0; v->kind == VALUE_MAP && i < v->map.len && found == NULL; i++)
        found = find_overflow(&v->map.pairs[i].value);
    return found;
}

static bool merge_text(struct loader *l, const struct source *s, bool user) {
    struct config_builder *b = l->b;
    struct value raw = {0};
    if (s->text.len == 0)
        return true;
    if (!s->json) {
        if (!hcl_parse(s->text, &raw, b->arena, b->e))
            return error_prefix(b->e, "failed to parse " STR_FMT ": ", STR_ARG(s->name));
        return merge_tree(l, &raw, s->name, user);
    }
    bool ok = json_parse_whole(s->text, &raw, b->arena, b->e);
    if (ok && raw.kind != VALUE_MAP && raw.kind != VALUE_NULL) {
        const char *what = raw.kind == VALUE_LIST     ? "array"
                           : raw.kind == VALUE_STRING ? "string"
                           : raw.kind == VALUE_BOOL   ? "bool"
                                                      : "number";
        ok = error_set(b->e, ERROR_INTERNAL,
                       "json: cannot unmarshal %s into Go value of type map[string]interface {}",
                       what);
    }
    const struct value *overflow = ok ? find_overflow(&raw) : NULL;
    if (overflow != NULL)
        ok = error_set(b->e, ERROR_INTERNAL,
                       "json: cannot unmarshal number " STR_FMT " into Go value of type float64",
                       STR_ARG(overflow->literal));
    if (!ok)
        return error_prefix(b->e, "failed to parse " STR_FMT ": ", STR_ARG(s->name));
    return merge_tree(l, &raw, s->name, user);
}

static bool merge_builtin(struct loader *l, const char *name, const char *text) {
    struct source s = {str_from(name), str_from(text), false};
    return merge_text(l, &s, false);
}

static bool merge_sources(struct loader *l, const struct sources *files) {
    const struct config_inputs *in = l->in;
    struct config_builder *b = l->b;
    if (!merge_builtin(l, "default", config_source_default))
        return false;
    if (in->dev_mode && !merge_builtin(l, "dev", config_source_dev))
        return false;
    struct source given = {STR("auto-config"), in->auto_config, true};
    if (in->auto_config.data != NULL && !merge_text(l, &given, false))
        return false;
    if (!merge_tree(l, &in->flag_lists, STR("flags.slices"), true))
        return false;
    for (size_t i = 0; i < files->len; i++)
        if (!merge_text(l, &files->items[i], true))
            return false;
    if (!merge_tree(l, &in->flag_values, STR("flags.values"), true))
        return false;
    for (uint32_t i = 0; i < in->fragments.len; i++) {
        struct source s = {str_format(b->arena, "flags-%u.hcl", i),
                           LIST_AT(in->fragments, struct str, i), false};
        if (!merge_text(l, &s, true))
            return false;
    }
    if (!merge_builtin(l, "non-user", config_source_fixed))
        return false;
    return !in->dev_mode || merge_builtin(l, "consul-dev", config_source_fixed_dev);
}

static bool load(struct config_builder *b, const struct config_inputs *in) {
    if (in->config_format.len > 0 && !str_is(in->config_format, "hcl") &&
        !str_is(in->config_format, "json"))
        return error_set(b->e, ERROR_INTERNAL,
                         "config: -config-format must be either 'hcl' or 'json'");
    struct sources files = {
        .arena = b->arena, .format = in->config_format, .warnings = &b->warnings, .e = b->e};
    for (uint32_t i = 0; i < in->paths.len; i++)
        if (!add_path(&files, LIST_AT(in->paths, struct str, i)))
            return false;
    struct texts later = {.arena = b->arena};
    struct loader l = {in, b, &later};
    if (!merge_sources(&l, &files) || !config_build(b) || !config_validate(b))
        return false;
    b->c->ineffective = (struct list){later.items, (uint32_t)later.len, true};
    return true;
}

struct config *config_load(const struct config_inputs *in, struct list *warnings,
                           struct arena *arena, struct error *e) {
    struct config *c = MEM_NEW(struct config);
    atomic_init(&c->references, 1);
    c->dev_mode = in->dev_mode;
    struct error own = ERROR_IN(&c->arena);
    struct config_builder b = {.c = c,
                               .arena = &c->arena,
                               .errors = {.arena = &c->arena},
                               .warnings = {.arena = &c->arena},
                               .e = &own};
    bool ok = load(&b, in);
    *warnings = LIST_NEW(arena, struct str, b.warnings.len);
    for (size_t i = 0; i < b.warnings.len; i++)
        LIST_AT(*warnings, struct str, i) = str_copy(arena, b.warnings.items[i]);
    if (ok)
        return c;
    error_copy(e, &own);
    config_release(c);
    return NULL;
}
