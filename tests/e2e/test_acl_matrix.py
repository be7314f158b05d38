"""The ACL matrix: some 740 requests of every endpoint, with 15 kinds of tokens, under both default policies, and the key lists under
enable_key_list_policy, answered as the peer answered (tests/vectors/acl/matrix.json.gz, recorded by tools/record_acl_matrix.py)."""

import pytest

from e2e import acl_matrix_run as run
from e2e.acl_matrix import POLICIES, requests

# What we deliberately answer otherwise: (part of the request's name, kinds or None for all, why). Each must be seen to differ.
DELIBERATE = []


def deliberate(name, kind):
    return next((each for each in DELIBERATE if each[0] in name and (each[1] is None or kind in each[1])), None)


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
    known = {deliberate(name, kind) for name, kind, _, _ in found}
    bad = [each for each in found if deliberate(each[0], each[1]) is None]
    assert not bad, "%d answers differ:\n%s" % (len(bad), "\n".join("%s [%s]\n    peer %s\n    ours %s" % each for each in bad[:60]))
    assert policy != "deny" or known == set(DELIBERATE), "no longer different: %s" % [each for each in DELIBERATE if each not in known]
