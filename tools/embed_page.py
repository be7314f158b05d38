"""Writes the C file that embeds the built page (ui/dist) in the binary: a table of path, type and bytes, which
src/http/ui_files.h declares. The bytes come in by the assembler's .incbin, so nothing is re-encoded.

usage: embed_page.py DIST OUT.c"""

import os
import sys

TYPES = {".html": "text/html; charset=utf-8", ".js": "application/javascript", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml", ".json": "application/json", ".txt": "text/plain; charset=utf-8", ".png": "image/png",
         ".ico": "image/x-icon", ".woff2": "font/woff2"}


def main():
    dist, out = os.path.abspath(sys.argv[1]), sys.argv[2]
    files = sorted(os.path.relpath(os.path.join(folder, name), dist) for folder, _, names in os.walk(dist) for name in names)
    rows = ["/* The built page, embedded. Made by tools/embed_page.py; not to be edited. */", '#include "http/ui_files.h"', ""]
    table = []
    for number, name in enumerate(files):
        path = os.path.join(dist, name)
        symbol = "ui_file_%d" % number
        rows.append('__asm__(".section .rodata\\n.balign 16\\n%s:\\n.incbin \\"%s\\"\\n.byte 0\\n.previous\\n");' % (symbol, path))
        rows.append("extern const unsigned char %s[];" % symbol)
        kind = TYPES.get(os.path.splitext(name)[1], "application/octet-stream")
        table.append('    {"%s", "%s", %s, %d},' % (name, kind, symbol, os.path.getsize(path)))
    rows += ["", "const struct ui_file ui_files[] = {"] + table + ["    {0, 0, 0, 0},", "};", "const size_t ui_file_count = %d;" % len(files), ""]
    with open(out, "w") as handle:
        handle.write("\n".join(rows))


if __name__ == "__main__":
    main()
