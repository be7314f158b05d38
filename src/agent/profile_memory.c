/* What memory is used for: every mapping with what of it is resident, private and swapped out
 * (/proc/self/smaps), and, in the form for people, what malloc has.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/profile_parts.h"
#include "base/mem.h"
#include "base/time.h"

struct usage {
    struct str name, group;
    uint64_t size, resident, private, swapped; /* bytes */
};

/* What a mapping is, by its name: the last part of the file's, or the kernel's in brackets. */
static void name_mapping(struct usage *u, struct str file, const char *access,
                         struct arena *arena) {
    size_t slash = file.len;
    while (slash > 0 && file.data[slash - 1] != '/')
        slash--;
    struct str last = str_sub(file, slash, file.len);
    if (str_is(file, "[heap]"))
        u->group = STR("malloc");
    else if (file.len == 0)
        u->group = STR("malloc and stacks of threads");
    else if (file.data[0] == '[')
        u->group = STR("system");
    else if (str_find(last, STR(".mdb"), 0) >= 0 || str_has_prefix(file, STR("/memfd:")))
        u->group = STR("state store");
    else
        u->group = STR("program and libraries");
    u->name =
        str_format(arena, STR_FMT " %s", STR_ARG(last.len > 0 ? last : STR("anonymous")), access);
}

static void add_field(struct usage *u, const char *line) {
    char key[32];
    unsigned long kb;
    if (sscanf(line, "%31[^:]: %lu kB", key, &kb) != 2)
        return;
    uint64_t bytes = (uint64_t)kb * 1024;
    if (strcmp(key, "Size") == 0)
        u->size = bytes;
    else if (strcmp(key, "Rss") == 0)
        u->resident = bytes;
    else if (strcmp(key, "Private_Clean") == 0 || strcmp(key, "Private_Dirty") == 0)
        u->private += bytes;
    else if (strcmp(key, "Swap") == 0)
        u->swapped = bytes;
}

typedef void usage_fn(void *owner, const struct usage *u);

static bool each_mapping(usage_fn *fn, void *owner, struct arena *arena, struct error *e) {
    FILE *maps = fopen("/proc/self/smaps", "re");
    char line[4352], access[8];
    struct usage u = {0};
    int at;
    if (maps == NULL)
        return error_set(e, ERROR_IO, "/proc/self/smaps cannot be read");
    while (fgets(line, sizeof(line), maps) != NULL) {
        at = 0;
        if (sscanf(line, "%*x-%*x %7s %*x %*s %*s %n", access, &at) == 1 && at > 0) {
            if (u.size > 0)
                fn(owner, &u);
            u = (struct usage){0};
            name_mapping(&u, str_trim(str_from(line + at)), access, arena);
        } else {
            add_field(&u, line);
        }
    }
    if (u.size > 0)
        fn(owner, &u);
    fclose(maps);
    return true;
}

/* ---- for pprof ---- */

static void add_usage(void *owner, const struct usage *u) {
    const struct str names[] = {u->name, u->group};
    const int64_t values[] = {(int64_t)u->size, (int64_t)u->swapped, (int64_t)u->private,
                              (int64_t)u->resident};
    proto_add_names(owner, names, COUNT_OF(names), values);
}

static bool write_proto(struct profile *p, struct arena *arena) {
    static const struct proto_kind kinds[] = {
        {"virtual", "bytes"}, {"swapped", "bytes"}, {"private", "bytes"}, {"resident", "bytes"}};
    struct symbols none = {.arena = arena};
    struct proto *proto = proto_new(arena, &none, kinds, COUNT_OF(kinds));
    bool ok = each_mapping(add_usage, proto, arena, p->e);
    proto_finish(proto, time_now_wall(), 0, 0, &p->out);
    return ok;
}

/* ---- for people ---- */

static void add_line(void *owner, const struct usage *u) {
    struct buf *out = owner;
    if (u->resident > 0 || u->swapped > 0)
        buf_add_format(out, "%12llu %12llu %12llu %12llu  " STR_FMT " (" STR_FMT ")\n",
                       (unsigned long long)u->resident, (unsigned long long)u->private,
                       (unsigned long long)u->swapped, (unsigned long long)u->size,
                       STR_ARG(u->name), STR_ARG(u->group));
}

static void add_file(struct buf *out, const char *path) {
    FILE *file = fopen(path, "re");
    char line[512];
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        buf_add_text(out, line);
    if (file != NULL)
        fclose(file);
}

static void add_malloc_info(struct buf *out) {
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    if (stream == NULL)
        return;
    malloc_info(0, stream);
    if (fclose(stream) == 0)
        buf_add(out, text, len);
    free(text);
}

static bool write_text(struct profile *p, struct arena *arena) {
    struct mallinfo2 m = mallinfo2();
    buf_add_format(&p->out,
                   "memory profile: malloc has %zu bytes in use, %zu free, %zu of its arenas, %zu "
                   "in %zu mappings of their own\n"
                   "\n    resident      private      swapped      virtual  mapping\n",
                   m.uordblks, m.fordblks, m.arena, m.hblkhd, m.hblks);
    if (!each_mapping(add_line, &p->out, arena, p->e))
        return false;
    buf_add_text(&p->out, "\n");
    add_file(&p->out, "/proc/self/smaps_rollup");
    buf_add_text(&p->out, "\n");
    add_malloc_info(&p->out);
    return true;
}

bool profile_memory(struct profile *p) {
    struct arena arena = ARENA_INIT;
    bool ok = p->text ? write_text(p, &arena) : write_proto(p, &arena);
    arena_free(&arena);
    return ok;
}
