"""Runs the conformance areas that are built against a binary, without the scenarios that tests/left-out.txt names
with the issue that brings them. What is left out but passes is an error too: the list must shrink."""

import fnmatch
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TESTS = os.path.join(ROOT, "tests")


def rows(name):
    with open(os.path.join(TESTS, name)) as handle:
        for line in handle:
            line = line.split("#")[0].strip()
            if line:
                yield line


def main():
    binary, rest = os.path.abspath(sys.argv[1]), sys.argv[2:]
    areas = list(rows("areas.txt"))
    listed = subprocess.run([sys.executable, "-m", "conformance", "list", "-l"] + areas, cwd=TESTS, text=True,
                            capture_output=True, check=True).stdout.split("\n")
    names = [word for row in listed for word in row.split()[:1] if "/" in word]
    left_out = [row.split()[0] for row in rows("left-out.txt")]
    unknown = [name for name in left_out if name not in names]
    if unknown or not names:
        print("conformance: left-out.txt names what is not in the areas: %s" % " ".join(unknown), file=sys.stderr)
        return 1
    chosen = [name for name in names if not any(fnmatch.fnmatch(name, out) for out in left_out)]
    print("conformance: %d scenarios of %d areas; %d left out" % (len(chosen), len(areas), len(names) - len(chosen)),
          flush=True)
    argv = [sys.executable, "-m", "conformance", "run", "--subject", binary, "--jobs", "4"] + rest + chosen
    return subprocess.run(argv, cwd=TESTS).returncode


if __name__ == "__main__":
    sys.exit(main())
