"""Writes the C file that embeds the built page (ui/dist) in the binary: a table of path, type and bytes, which
src/http/ui_files.h declares. The bytes come in by the assembler's .incbin, so nothing is re-encoded; beside each file is
what gzip makes of it, when that is smaller.

usage: embed_page.py DIST OUT.c"""

import gzip
import hashlib
import os
import sys

TYPES = {".html": "text/html; charset=utf-8", ".js": "application/javascript", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml", ".json": "application/json", ".txt": "text/plain; charset=utf-8", ".png": "image/png",
         ".ico": "image/x-icon", ".woff2": "font/woff2"}


def embed(symbol, path):
    return ['__asm__(".section .rodata\\n.balign 16\\n%s:\\n.incbin \\"%s\\"\\n.byte 0\\n.previous\\n");' % (symbol, path),
            "extern const unsigned char %s[];" % symbol]


def pack(data, path):
    """The compressed bytes in a file of their own; None when that gains nothing. The same bytes on every machine."""
    packed = gzip.compress(data, 9, mtime=0)
    if len(packed) >= len(data):
        return None
    with open(path, "wb") as handle:
        handle.write(packed)
    return len(packed)


def main():
    dist, out = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    files = sorted(os.path.relpath(os.path.join(folder, name), dist) for folder, _, names in os.walk(dist) for name in names)
    rows = ["/* The built page, embedded. Made by tools/embed_page.py; not to be edited. */", '#include "http/ui_files.h"', ""]
    table = []
    os.makedirs(out + ".packed", exist_ok=True)
    for number, name in enumerate(files):
        path, packed_path = os.path.join(dist, name), os.path.join(out + ".packed", "%d.gz" % number)
        with open(path, "rb") as handle:
            data = handle.read()
        symbol = "ui_file_%d" % number
        rows += embed(symbol, path)
        # index.html is filled in for each request, so it is not compressed ahead.
        size = None if name == "index.html" else pack(data, packed_path)
        if size is not None:
            rows += embed(symbol + "_packed", packed_path)
        kind = TYPES.get(os.path.splitext(name)[1], "application/octet-stream")
        table.append('    {"%s", "%s", "%s", %s, %d, %s, %d},' % (
            name, kind, hashlib.sha256(data).hexdigest()[:16], symbol, len(data),
            symbol + "_packed" if size is not None else "0", size or 0))
    rows += ["", "const struct ui_file ui_files[] = {"] + table + ["    {0, 0, 0, 0, 0, 0, 0},", "};",
                                                                    "const size_t ui_file_count = %d;" % len(files), ""]
    with open(out, "w") as handle:
        handle.write("\n".join(rows))


if __name__ == "__main__":
    main()
