"""`validate` says of every file of the corpus (config_corpus.py) what the peer says: run beside it, the same exit code and
the same texts on both streams. What the peer crashes on is refused with a text."""

import concurrent.futures
import os
import re
import subprocess

import pytest

from e2e import config_corpus as corpus

UNKNOWN = re.compile(r"\t\* invalid config key ")
GROUPS = {
    "hcl": [("case.hcl", text) for text in corpus.HCL + corpus.HCL_BYTES],
    "json": [("case.json", text) for text in corpus.JSON + corpus.JSON_BYTES],
    "values": [("case.hcl", text) for text in corpus.VALUES],
}


def _write(folder, name, content):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if isinstance(content, tuple):  # ("link", target)
        os.symlink(content[1], path)
        return
    with open(path, "wb") as handle:
        handle.write(content.encode() if isinstance(content, str) else content)


def _verdict(binary, argv, folder):
    ran = subprocess.run([binary, "validate", *argv], cwd=folder, capture_output=True, timeout=120)
    text = ran.stderr.decode("utf-8", "replace")
    # Unknown keys of one block are told in any order.
    lines = text.split("\n")
    at = [i for i, line in enumerate(lines) if UNKNOWN.match(line)]
    for i, line in zip(at, sorted(lines[i] for i in at)):
        lines[i] = line
    return ran.returncode, ran.stdout.decode("utf-8", "replace"), "\n".join(lines)


def _compare(ours, peer, argv, folder):
    expected = _verdict(peer, argv, folder)
    got = _verdict(ours, argv, folder)
    if expected[0] == 2 and "goroutine" in expected[2]:
        return got[0] == 1 and got[2] != "", expected, got
    return got == expected, expected, got


def _run_all(cases):
    """cases: (what it is, argv, folder). Two at a time: each is two short processes."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda case: _compare(*case[1:]), cases))
    bad = ["%r\n  peer %r\n  ours %r" % (case[0], expected, got)
           for case, (same, expected, got) in zip(cases, answers) if not same]
    assert not bad, "%d of %d differ:\n%s" % (len(bad), len(cases), "\n".join(bad[:10]))


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_one_file(group, praetor, peer, tmp_path):
    _write(tmp_path, "base.json", corpus.BASE)
    cases = []
    for i, (name, text) in enumerate(GROUPS[group]):
        folder = tmp_path / str(i)
        folder.mkdir()
        _write(folder, name, text)
        cases.append((text, praetor, peer, ["../base.json", name], folder))
    assert len(cases) >= 60
    _run_all(cases)


def test_many_files(praetor, peer, tmp_path):
    cases = []
    for i, case in enumerate(corpus.FILES):
        folder = tmp_path / str(i)
        folder.mkdir()
        for name, content in case.items():
            if name != "args":
                _write(folder, name, content)
        cases.append((case, praetor, peer, case["args"], folder))
    _run_all(cases)
