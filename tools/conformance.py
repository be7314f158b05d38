"""Runs the conformance areas that are built against a binary, and all of tests/conformance-more, without the scenarios that
tests/left-out.txt names with the issue that brings them. A name there that no scenario has is an error: the list must
shrink."""

import fnmatch
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TESTS = os.path.join(ROOT, "tests")
MORE = ["--root", os.path.join(TESTS, "conformance-more")]


def rows(name):
    with open(os.path.join(TESTS, name)) as handle:
        for line in handle:
            line = line.split("#")[0].strip()
            if line:
                yield line


def names_of(select):
    listed = subprocess.run([sys.executable, "-m", "conformance", "list", "-l"] + select, cwd=TESTS, text=True,
                            capture_output=True, check=True).stdout.split("\n")
    return [word for row in listed for word in row.split()[:1] if "/" in word]


def main():
    binary, rest = os.path.abspath(sys.argv[1]), sys.argv[2:]
    areas = list(rows("areas.txt"))
    left_out = [row.split()[0] for row in rows("left-out.txt")]
    sets = [([], names_of(areas)), (MORE, names_of(MORE))]
    known = [name for _, names in sets for name in names]
    unknown = [out for out in left_out if out not in known]
    if unknown or not all(names for _, names in sets):
        print("conformance: left-out.txt names what is not in the areas: %s" % " ".join(unknown), file=sys.stderr)
        return 1
    failed = 0
    for root, names in sets:
        chosen = [name for name in names if not any(fnmatch.fnmatch(name, out) for out in left_out)]
        print("conformance: %d scenarios%s; %d left out" % (len(chosen), " of conformance-more" if root else
              " of %d areas" % len(areas), len(names) - len(chosen)), flush=True)
        argv = [sys.executable, "-m", "conformance", "run", "--subject", binary, "--jobs", "6"] + root + rest + chosen
        failed |= subprocess.run(argv, cwd=TESTS).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
