"""Runs every fuzz target of a build folder for some seconds, from its seeds in tests/fuzz/seeds/<room>_<what>/.
A crash, leak, hang or use of too much memory fails the run; the input is kept and named."""

import concurrent.futures
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run_one(binary, seconds):
    name = os.path.basename(binary)[len("fuzz_"):]
    seeds = os.path.join(ROOT, "tests", "fuzz", "seeds", name)
    kept = os.path.join(os.path.dirname(binary), "crashes") + os.sep
    os.makedirs(kept, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        argv = [binary, "-max_total_time=%d" % seconds, "-timeout=10", "-rss_limit_mb=2048", "-max_len=65536",
                "-print_final_stats=1", "-artifact_prefix=" + kept + name + "-", corpus]
        if os.path.isdir(seeds):
            argv.append(seeds)
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=seconds + 120)
    runs = [row.split()[-1] for row in done.stderr.splitlines() if "number_of_executed_units" in row]
    print("%-24s %s runs%s" % (name, runs[0] if runs else "?", "" if done.returncode == 0 else "  FAILED"), flush=True)
    if done.returncode:
        print(done.stderr[-6000:], file=sys.stderr)
    return done.returncode == 0


def main():
    folder, seconds = sys.argv[1], int(sys.argv[2])
    targets = sorted(os.path.join(folder, n) for n in os.listdir(folder)
                     if n.startswith("fuzz_") and os.access(os.path.join(folder, n), os.X_OK)
                     and os.path.isfile(os.path.join(folder, n)))
    if not targets:
        print("fuzz: no targets in %s" % folder, file=sys.stderr)
        return 1
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        good = list(pool.map(lambda target: run_one(target, seconds), targets))
    print("%d passed, %d failed" % (sum(good), len(good) - sum(good)))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
