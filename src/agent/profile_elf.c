/* The functions that an ELF file names: of .symtab when it has one, otherwise of .dynsym. Every
 * offset and count is checked against the file's size, since a file may be replaced while the
 * process runs.
 */
#include <elf.h>
#include <stdlib.h>

#include "agent/profile_parts.h"
#include "base/mem.h"

#define FUNCTIONS_MAX ((size_t)1 << 20)
#define HEADERS_MAX 4096

/* A piece of the file, copied out because nothing says how it is aligned. */
static bool take(struct str file, uint64_t offset, void *to, size_t size) {
    if (offset > file.len || size > file.len - offset)
        return false;
    memcpy(to, file.data + offset, size);
    return true;
}

static bool head(struct str file, Elf64_Ehdr *to) {
    return take(file, 0, to, sizeof(*to)) && memcmp(to->e_ident, ELFMAG, SELFMAG) == 0 &&
           to->e_ident[EI_CLASS] == ELFCLASS64 && to->e_ident[EI_DATA] == ELFDATA2LSB &&
           to->e_shentsize == sizeof(Elf64_Shdr) && to->e_phentsize == sizeof(Elf64_Phdr);
}

static bool section(struct str file, const Elf64_Ehdr *h, uint32_t i, Elf64_Shdr *to) {
    return i < h->e_shnum && i < HEADERS_MAX && h->e_shoff <= file.len &&
           take(file, h->e_shoff + (uint64_t)i * sizeof(*to), to, sizeof(*to));
}

/* The best table of symbols, and its names. */
static bool find_tables(struct str file, const Elf64_Ehdr *h, Elf64_Shdr *symbols,
                        Elf64_Shdr *names) {
    bool found = false;
    for (uint32_t i = 0; i < h->e_shnum; i++) {
        Elf64_Shdr s;
        if (!section(file, h, i, &s))
            return found;
        if (s.sh_type != SHT_SYMTAB && (s.sh_type != SHT_DYNSYM || found))
            continue;
        if (s.sh_entsize != sizeof(Elf64_Sym) || !section(file, h, s.sh_link, names))
            continue;
        *symbols = s;
        found = true;
        if (s.sh_type == SHT_SYMTAB)
            return true;
    }
    return found;
}

static struct str name_at(struct str file, const Elf64_Shdr *names, uint64_t offset) {
    if (names->sh_offset > file.len || names->sh_size > file.len - names->sh_offset ||
        offset >= names->sh_size)
        return STR_NONE;
    const char *start = file.data + names->sh_offset + offset;
    const char *end = memchr(start, '\0', names->sh_size - offset);
    return end != NULL ? str_of(start, (size_t)(end - start)) : STR_NONE;
}

static int compare(const void *a, const void *b) {
    const struct elf_function *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

size_t elf_functions(struct str file, struct arena *arena, const struct elf_function **out) {
    Elf64_Ehdr h;
    Elf64_Shdr symbols, names;
    *out = NULL;
    if (!head(file, &h) || !find_tables(file, &h, &symbols, &names))
        return 0;
    size_t count = symbols.sh_size / sizeof(Elf64_Sym), len = 0;
    if (symbols.sh_offset > file.len || symbols.sh_size > file.len - symbols.sh_offset ||
        count > FUNCTIONS_MAX)
        return 0;
    struct elf_function *functions = ARENA_ARRAY(arena, struct elf_function, count);
    for (size_t i = 0; i < count; i++) {
        Elf64_Sym s;
        if (!take(file, symbols.sh_offset + i * sizeof(s), &s, sizeof(s)))
            return 0;
        struct str name = name_at(file, &names, s.st_name);
        unsigned type = ELF64_ST_TYPE(s.st_info);
        if ((type == STT_FUNC || type == STT_GNU_IFUNC) && s.st_shndx != SHN_UNDEF && name.len > 0)
            functions[len++] = (struct elf_function){s.st_value, s.st_size, name};
    }
    qsort(functions, len, sizeof(*functions), compare);
    *out = functions;
    return len;
}

bool elf_address(struct str file, uint64_t offset, uint64_t *address) {
    Elf64_Ehdr h;
    if (!head(file, &h) || h.e_phoff > file.len)
        return false;
    for (uint32_t i = 0; i < h.e_phnum && i < HEADERS_MAX; i++) {
        Elf64_Phdr p;
        if (!take(file, h.e_phoff + (uint64_t)i * sizeof(p), &p, sizeof(p)))
            return false;
        if (p.p_type == PT_LOAD && offset >= p.p_offset && offset - p.p_offset < p.p_filesz) {
            *address = offset - p.p_offset + p.p_vaddr;
            return true;
        }
    }
    return false;
}
