/* Addresses of this process to names: what is mapped where (/proc/self/maps), and the functions of
 * the files that are mapped, read when one of their addresses is first asked for. Without symbols
 * in a file its addresses stay numbers; `pprof` can name those by the file itself.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/profile_parts.h"

#define MAPPINGS_MAX 16384
#define FILE_MAX ((off_t)1 << 30)

static bool read_line(const char *line, struct mapping *m, struct arena *arena) {
    unsigned long start, end, offset;
    char access[8];
    int at = 0;
    if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %n", &start, &end, access, &offset, &at) != 4)
        return false;
    *m = (struct mapping){.start = start,
                          .end = end,
                          .offset = offset,
                          .file = str_copy(arena, str_trim(str_from(line + at))),
                          .executable = access[2] == 'x'};
    return true;
}

void symbols_load(struct symbols *s, struct arena *arena) {
    *s = (struct symbols){.arena = arena};
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4352];
    uint32_t cap = 256;
    s->mappings = ARENA_ARRAY(arena, struct mapping, cap);
    while (maps != NULL && s->mapping_count < MAPPINGS_MAX &&
           fgets(line, sizeof(line), maps) != NULL) {
        if (s->mapping_count == cap) {
            struct mapping *more = ARENA_ARRAY(arena, struct mapping, cap * 2);
            memcpy(more, s->mappings, cap * sizeof(*more));
            s->mappings = more;
            cap *= 2;
        }
        s->mapping_count += read_line(line, &s->mappings[s->mapping_count], arena);
    }
    if (maps != NULL)
        fclose(maps);
}

void symbols_free(struct symbols *s) {
    for (uint32_t i = 0; i < s->mapping_count; i++)
        if (s->mappings[i].bytes.len > 0)
            munmap((void *)(uintptr_t)s->mappings[i].bytes.data, s->mappings[i].bytes.len);
}

static struct mapping *find(struct symbols *s, uintptr_t address) {
    uint32_t low = 0, high = s->mapping_count; /* the kernel lists them in order */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (address < s->mappings[middle].start)
            high = middle;
        else if (address >= s->mappings[middle].end)
            low = middle + 1;
        else
            return &s->mappings[middle];
    }
    return NULL;
}

const struct mapping *symbols_mapping(struct symbols *s, uintptr_t address) {
    return find(s, address);
}

/* A file that was replaced since it was mapped has " (deleted)" behind its name and is not found:
 * its functions could be others. */
static void look(struct symbols *s, struct mapping *m) {
    struct stat info;
    m->looked = true;
    if (m->file.len == 0 || m->file.data[0] != '/')
        return;
    int fd = open(m->file.data, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 &&
        info.st_size <= FILE_MAX) {
        void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED) {
            m->bytes = str_of(bytes, (size_t)info.st_size);
            m->function_count = elf_functions(m->bytes, s->arena, &m->functions);
        }
    }
    close(fd);
}

struct str symbols_function(struct symbols *s, uintptr_t address, uintptr_t *distance) {
    struct mapping *m = find(s, address);
    uint64_t in_file;
    if (m == NULL)
        return STR_NONE;
    if (!m->looked)
        look(s, m);
    if (m->function_count == 0 || !elf_address(m->bytes, address - m->start + m->offset, &in_file))
        return STR_NONE;
    size_t low = 0, high = m->function_count; /* the last that starts at or before it */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->functions[middle].start <= in_file)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return STR_NONE;
    const struct elf_function *f = &m->functions[low - 1];
    if (f->size > 0 && in_file - f->start >= f->size)
        return STR_NONE;
    *distance = in_file - f->start;
    return f->name;
}
