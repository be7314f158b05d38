"""The ACL matrix: some 820 requests of every endpoint, with 15 kinds of tokens, under both default policies, and the key lists under
enable_key_list_policy, answered as the peer answered (tests/vectors/acl/matrix.json.gz, recorded by tools/record_acl_matrix.py)."""

import pytest

from e2e import acl_matrix_run as run
from e2e.acl_matrix import POLICIES, requests

# What we deliberately answer otherwise: (request, kinds, policies, why). Each of them must be seen to differ.
STRANGERS = ("unknown", "agent-master")  # no token that servers know
DELIBERATE = [
    ("GET /v1/catalog/node/narrow", ("narrow-read", "narrow-write", "legacy"), ("deny",),
     "services are filtered by their names, not by their IDs (acl.md 18.1, 3)"),
    ("GET /v1/query/{missing}", STRANGERS, ("deny", "allow"), "whose token is unknown is told so before anything is looked up"),
    ("GET /v1/query/nonsense", STRANGERS, ("deny", "allow"), "the same"),
]


def deliberate(policy):
    return {(name, kind) for name, kinds, policies, _ in DELIBERATE for kind in kinds if policy in policies}


@pytest.mark.parametrize("policy", POLICIES)
def test_matrix(praetor, tmp_path, policy):
    wanted = run.load()[policy]
    assert list(wanted) == [request.name for request in requests(policy)], "record anew: tools/record_acl_matrix.py"
    world = run.start(praetor, tmp_path, policy)
    try:
        found = run.differences(wanted, world.run())
        assert world.agent.proc.poll() is None, world.agent.tail()
    finally:
        world.agent.kill()
    expected = deliberate(policy)
    bad = [each for each in found if each[:2] not in expected]
    assert not bad, "%d answers differ:\n%s" % (len(bad), "\n".join("%s [%s]\n    peer %s\n    ours %s" % each for each in bad[:60]))
    assert len(found) == len(expected), "no longer different: %s" % (expected - {each[:2] for each in found})
