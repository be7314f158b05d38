"""Makes stand-ins for the functions of shared libraries that the program calls, so that these libraries are loaded at the first
call and not with the process (docs/performance.md, "Memory at rest"). What Solaris has as `-z lazyload` and Windows as delayed
loading, the linkers here lack.

    lazy_link.py OUT.c ARCHIVE… -- LIBRARY.so…

Looks which undefined symbols of the archives the libraries define, and writes a C file: for each one a function of its name
that jumps through a slot. A slot first leads to a routine that loads all the libraries and fills all slots (once, whatever
thread comes first), then to the function itself. Once filled the slots are read-only, as -z relro has it for others. x86-64
only, for functions whose arguments are integers and pointers."""

import subprocess
import sys

HEAD = """/* Made by tools/lazy_link.py: %(libraries)s, loaded at the first call. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/library.h"

extern void *lazy_slots[], *lazy_slots_end[];
void lazy_load(void);

"""
LOADER = """
static void load(void) {
    char fault[256];
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        if (!library_load(libraries[i].file, libraries[i].functions, libraries[i].count, fault)) {
            fprintf(stderr, "%s\\n", fault);
            abort();
        }
    }
    mprotect(lazy_slots, (size_t)((char *)lazy_slots_end - (char *)lazy_slots), PROT_READ);
}

void lazy_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
}

/* The arguments survive the loading; then the call goes on through its slot. */
__asm__(".text\\n"
        "lazy_first:\\n"
        "    push %rdi; push %rsi; push %rdx; push %rcx; push %r8; push %r9; push %rax\\n"
        "    sub $8, %rsp\\n"
        "    call lazy_load\\n"
        "    add $8, %rsp\\n"
        "    pop %rax; pop %r9; pop %r8; pop %rcx; pop %rdx; pop %rsi; pop %rdi\\n"
        "    pop %r11\\n"
        "    lea lazy_slots(%rip), %r10\\n"
        "    jmp *(%r10, %r11, 8)\\n");

__asm__(".macro LAZY name, number\\n"
        ".globl \\\\name\\n"
        ".hidden \\\\name\\n"
        ".type \\\\name, @function\\n"
        "\\\\name:\\n"
        "    endbr64\\n"
        "    jmp *lazy_slots + 8 * \\\\number(%rip)\\n"
        ".size \\\\name, . - \\\\name\\n"
        "lazy_first_\\\\number:\\n"
        "    endbr64\\n"
        "    push $\\\\number\\n"
        "    jmp lazy_first\\n"
        ".pushsection .data.lazy_slots, \\"aw\\", @progbits\\n"
        "    .quad lazy_first_\\\\number\\n"
        ".popsection\\n"
        ".endm\\n"
        ".pushsection .data.lazy_slots, \\"aw\\", @progbits\\n"
        ".balign 4096\\n"
        ".hidden lazy_slots\\n"
        ".globl lazy_slots\\n"
        "lazy_slots:\\n"
        ".popsection\\n");
"""

TAIL = """
__asm__(".pushsection .data.lazy_slots, \\"aw\\", @progbits\\n"
        ".balign 4096\\n"
        ".hidden lazy_slots_end\\n"
        ".globl lazy_slots_end\\n"
        "lazy_slots_end:\\n"
        ".popsection\\n");
"""


def symbols(path, *options):
    """Names without their versions."""
    told = subprocess.run(["nm", *options, path], capture_output=True, text=True, check=True).stdout
    for line in told.splitlines():
        words = line.split()
        if len(words) >= 2 and not line.endswith(":"):
            yield words[-2], words[-1].split("@")[0]


def soname(path):
    told = subprocess.run(["objdump", "-p", path], capture_output=True, text=True, check=True).stdout
    return next(line.split()[1] for line in told.splitlines() if line.strip().startswith("SONAME"))


def main():
    out, rest = sys.argv[1], sys.argv[2:]
    archives, libraries = rest[:rest.index("--")], rest[rest.index("--") + 1:]
    wanted = {name for path in archives for _, name in symbols(path, "-u")}
    text, stubs, number = [HEAD % {"libraries": ", ".join(map(soname, libraries))}], [], 0
    for i, path in enumerate(libraries):
        functions = sorted({name for kind, name in symbols(path, "-D", "--defined-only") if kind in "Tti"} & wanted)
        text.append("static const struct library_function functions_%d[] = {\n" % i)
        for name in functions:
            text.append('    {"%s", &lazy_slots[%d]},\n' % (name, number))
            stubs.append('__asm__("LAZY %s %d\\n");\n' % (name, number))
            number += 1
        text.append("};\n")
    text.append("static const struct {\n    const char *file;\n    const struct library_function *functions;\n    size_t count;\n} libraries[] = {\n")
    for i, path in enumerate(libraries):
        text.append('    {"%s", functions_%d, sizeof functions_%d / sizeof *functions_%d},\n' % (soname(path), i, i, i))
    text.append("};\n" + LOADER)
    with open(out, "w", encoding="utf-8") as file:
        file.write("".join(text + stubs) + TAIL)


if __name__ == "__main__":
    main()
