"""Records how the peer answers the ACL matrix (tests/e2e/acl_matrix.py) into tests/vectors/acl/matrix.json.gz.

    tools/record_acl_matrix.py [BINARY]           asks twice, and fails if the two do not agree
    tools/record_acl_matrix.py show [WORD...]     what was recorded of requests that contain all the words
"""
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from e2e import acl_matrix_run as run  # noqa: E402
from e2e.acl_matrix import POLICIES  # noqa: E402


def asked(binary, policy):
    with tempfile.TemporaryDirectory() as folder:
        before = time.monotonic()
        world = run.start(binary, folder, policy)
        try:
            answers = world.run()
        finally:
            world.agent.kill()
        print("%s: %d requests, %d answers, %.1f s" % (policy, len(answers), sum(len(k) for a in answers.values() for k in a.values()),
                                                       time.monotonic() - before), flush=True)
        return answers


def show(words):
    for policy, requests in run.load().items():
        for name, answers in requests.items():
            if all(word in name for word in words):
                print("%s: %s" % (policy, name))
                for answer, kinds in answers.items():
                    print("    %s\n        %s" % (answer, " ".join(kinds)))


def main():
    if sys.argv[1:2] == ["show"]:
        show(sys.argv[2:])
        return
    binary = sys.argv[1] if len(sys.argv) > 1 else subprocess.check_output([str(ROOT / "tests/peer/get-peer")], text=True).strip()
    recording = {policy: asked(binary, policy) for policy in POLICIES}
    again = {policy: asked(binary, policy) for policy in POLICIES}
    unsteady = [(policy,) + each for policy in POLICIES for each in run.differences(recording[policy], again[policy])]
    for each in unsteady:
        print("unsteady:", *each, sep="\n    ")
    if unsteady:
        sys.exit(1)
    run.save(recording)


main()
