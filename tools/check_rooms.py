"""The build's check of the table in docs/DESIGN.md: a room includes only from the rooms that it may use, every source
file opens with a comment that says what it is for, and no file names a package registry's host."""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# room -> the rooms that it may include from, besides itself. "All above" is written out.
BELOW_SCHEMA = ["base", "codec"]
CORES = BELOW_SCHEMA + ["schema", "raft", "gossip", "acl", "store"]
MAY = {
    "base": [],
    "codec": ["base"],
    "schema": ["base", "codec"],
    "raft": ["base", "codec"],
    "gossip": ["base", "codec"],
    "acl": BELOW_SCHEMA + ["schema"],
    "store": BELOW_SCHEMA + ["schema"],
    "net": ["base", "codec"],
    "server": CORES + ["net"],
    "agent": CORES + ["net", "server"],
    "http": CORES + ["net", "server", "agent"],
    "xds": CORES + ["net", "server", "agent", "http"],
    "dns": CORES + ["net", "server", "agent"],
    "cli": BELOW_SCHEMA + ["schema", "net"],
    "main": CORES + ["net", "server", "agent", "http", "xds", "dns", "cli"],
}
# Third-party headers that only some rooms may use: what keeps the cores pure.
LIBRARIES = {
    "uv.h": ["net", "server", "agent", "http", "xds", "dns", "cli", "main"],
    "lmdb.h": ["store"],
    "archive.h": ["server", "cli"],
    "archive_entry.h": ["server", "cli"],
    "curl/curl.h": ["net", "cli"],
    "cjose/cjose.h": ["server"],
    "zlib.h": ["server", "http", "cli"],
    "pcre2.h": ["schema"],
    "nghttp2/nghttp2.h": ["http", "xds"],
    "md5.h": ["agent"],
    "sha2.h": ["agent"],
}
PURE = ["raft", "gossip", "acl"]  # no clock, no thread, no file, no randomness of their own
IMPURE = re.compile(r"\b(time_now_wall|time_now_monotonic|random_bytes|uuid_random|pthread_create|clock_gettime|fopen)\s*\(")
REGISTRY = re.compile(r"registry\.npm|pypi\.org|crates\.io|proxy\.golang|deb\.debian|repo\.maven", re.I)


def problems_of(path, room):
    text = open(path, encoding="utf-8").read()
    where = os.path.relpath(path, ROOT)
    if not text.lstrip().startswith("/*"):
        yield "%s: does not open with a comment that says what it is for" % where
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+[<"]([^">]+)[">]', line)
        if not match:
            continue
        name = match.group(1)
        other = name.split("/")[0]
        if other in MAY and "/" in name and other != room and other not in MAY[room]:
            yield "%s:%d: %s/ may not include from %s/" % (where, number, room, other)
        if name in LIBRARIES and room not in LIBRARIES[name]:
            yield "%s:%d: %s/ may not use <%s>" % (where, number, room, name)
    if room in PURE:
        for match in IMPURE.finditer(text):
            yield "%s: %s() in a pure core" % (where, match.group(1))


def main():
    found, files = [], 0
    for folder, _, names in os.walk(os.path.join(ROOT, "src")):
        room = os.path.relpath(folder, os.path.join(ROOT, "src")).split(os.sep)[0]
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                files += 1
                found += problems_of(os.path.join(folder, name), "main" if room == "." else room)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    for name in listed:
        path = os.path.join(ROOT, name)
        if not name or name.startswith("tools/check_rooms.py") or not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8", errors="ignore") as handle:
            if REGISTRY.search(handle.read()):
                found.append("%s: names a package registry's host" % name)
    for line in found:
        print(line, file=sys.stderr)
    print("rooms: %d files, %d problems" % (files, len(found)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
