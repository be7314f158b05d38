"""The API of access control in a secondary datacenter (acl.md 14.4): a server of each kind, each a datacenter of its own below
the same primary, with and without replication of tokens, is asked the same and must answer the same."""

import re

import pytest

from e2e.harness import until
from e2e.test_acl_api import GONE, ROOT, Side, answers, comparable, parse
from e2e.test_hardening import send_without_end, size_of_files

SECONDARY = r"""
none GET replication
root GET policies
root GET tokens
root PUT policy {"Name":"shared-WHO","Rules":"key_prefix \"\" { policy = \"read\" }"}           => policy:ID
root GET policy/«policy»?dc=dc1
root PUT policy {"Name":"x y"}
root PUT role {"Name":"role-WHO","Policies":[{"Name":"shared-WHO"}]}                          => role:ID
root GET role/«role»?dc=dc1
root PUT token {"Description":"global","Policies":[{"ID":"«policy»"}]}                          => global:AccessorID gsecret:SecretID
root GET token/«global»?dc=dc1
root PUT token {"Description":"l","Local":true,"Policies":[{"Name":"global-management"}]}      => local:AccessorID lsecret:SecretID
root GET token/«local»
root GET token/«local»?dc=dc1
lsecret GET token/self
lsecret GET policies
lsecret GET policies?dc=dc1
lsecret GET kv/x?dc=dc1
lsecret PUT kv/x?dc=dc1 1
lsecret GET catalog/nodes?dc=dc1
lsecret PUT token?dc=dc1 {}
lsecret PUT policy {"Name":"by-local"}
root PUT token/«local» {"Local":true,"Description":"changed","Policies":[{"Name":"global-management"}]}
root PUT token/«local» {"Description":"changed"}
root PUT token/«local»/clone {"Description":"copy"}
lsecret DELETE token/«local»
root PUT token {"Local":true,"ServiceIdentities":[{"ServiceName":"a","Datacenters":["x"]}]}
root DELETE token/«local»
root GET token/«local»
root PUT token/GONE {"Local":true}
root PUT token/GONE {}
root PUT token/«global»/clone {}
root PUT token/GONE/clone {}
root DELETE token/GONE
gsecret GET token/self
none GET token/self
nobody GET token/self
gsecret PUT token {"Description":"no"}
gsecret PUT token {"Description":"no","Local":true}
root PUT token/«global» {"Description":"changed"}
root PUT token/«global» {"Description":"changed","Local":true}
root DELETE token/«global»
root GET token/«global»?dc=dc1
root GET binding-rules
root GET auth-methods
root PUT auth-method {"Name":"m","Type":"jwt","TokenLocality":"global","Config":{"JWTValidationPubKeys":"PEM"}}
root PUT auth-method {"Name":"m","Type":"jwt","Config":{"JWTValidationPubKeys":"PEM"}}
root PUT binding-rule {"AuthMethod":"m","BindType":"service","BindName":"x"}
none POST login {"AuthMethod":"m","BearerToken":"x"}
root POST logout
none POST logout
root DELETE auth-method/m
root PUT bootstrap
root PUT create {"Name":"old"}
root PUT update {"ID":"fixed-WHO","Name":"old","Rules":"key \"\" { policy = \"read\" }"}
root GET info/fixed-WHO
root PUT clone/fixed-WHO
root PUT destroy/fixed-WHO
root GET list?pretty
none GET list
root DELETE policy/«policy»
root DELETE role/«role»
root DELETE policy/00000000-0000-0000-0000-000000000001
root POST internal/acl/authorize [{"Resource":"key","Segment":"a","Access":"write"}]
root POST internal/acl/authorize?dc=dc1 [{"Resource":"key","Segment":"a","Access":"write"}]
root POST internal/acl/authorize?dc=dc1 [{"Resource":"zz","Segment":"a","Access":"write"}]
none POST internal/acl/authorize?dc=dc1 [{"Resource":"key","Segment":"a","Access":"write"}]
nobody POST internal/acl/authorize?dc=dc1 [{"Resource":"key","Segment":"a","Access":"write"}]
"""


# What is answered to these depends on what the primary has passed on by then.
OF_WHAT_IS_REPLICATED = ("gsecret ", "root PUT token/«global»", "root DELETE token/«global»", "root GET info/", "root GET list")


def passed_on(primary, agent, tokens):
    """Whether the secondary datacenter holds what the primary does."""
    def held(of, what, key):
        found = of.get("/v1/acl/" + what, headers={"X-Consul-Token": ROOT}).json
        return {one[key]: one["Hash"] for one in found if not one.get("Local")}
    kinds = [("policies", "ID"), ("roles", "ID")] + ([("tokens", "AccessorID")] if tokens else [])
    pairs = [(held(primary, *kind), held(agent, *kind)) for kind in kinds]
    return all(a == b and "" not in a for a, b in pairs)  # tokens of the old kind get their accessor first


def access(**more):
    return {"acl": dict({"enabled": True, "default_policy": "deny", "tokens": {"agent": ROOT, "replication": ROOT}}, **more),
            "primary_datacenter": "dc1", "performance": {"raft_multiplier": 1}}


@pytest.mark.parametrize("tokens", [True, False], ids=["tokens replicated", "tokens of the primary"])
def test_beside_the_peer(agents, praetor_asan, peer, tokens):
    primary = agents(peer, name="one", config=dict(access(tokens={"master": ROOT, "agent": ROOT}), datacenter="dc1"))
    primary.launch()
    until("the management token", lambda: answers(primary, "/v1/acl/token/self"))
    sides = []
    for binary, name in ((peer, "theirs"), (praetor_asan, "ours")):
        agent = agents(binary, name=name, config=dict(access(enable_token_replication=tokens), datacenter="dc-" + name,
                                                       retry_join_wan=[primary.ip], retry_interval_wan="1s"))
        agent.launch()
        sides.append(Side(agent))
    for side in sides:
        until("the new system", lambda: answers(side.agent, "/v1/acl/policies"))

        def replicated():
            status = side.agent.get("/v1/acl/replication").json
            wanted = ["ReplicatedIndex"] + (["ReplicatedTokenIndex"] if tokens else [])
            return all(status[k] > 0 for k in wanted)
        until("replication", replicated)
    wrong = []
    for line in SECONDARY.strip().split("\n"):
        if line.startswith(OF_WHAT_IS_REPLICATED):
            for side in sides:
                until("the primary's state at " + side.agent.name, lambda: passed_on(primary, side.agent, tokens))
        seen = []
        for side in sides:
            who, method, path, body, captures = parse(line.replace("WHO", side.agent.name))
            answer = side.ask(who, method, path, body)
            shown = comparable(side, answer, path.split("?")[0])
            text = re.sub(r"'Hash', '[^']*'", "'Hash', ''", repr(sorted(shown.items())).replace(side.agent.name, "WHO"))
            if path == "replication":
                text = repr((answer.status, list(answer.json), [answer.json[k] for k in (
                    "Enabled", "Running", "SourceDatacenter", "ReplicationType")]))
            if path in ("tokens", "policies", "list?pretty"):  # what the other one has made is on its way
                text = repr((answer.status, [list(x) for x in answer.json][:1]) if answer.status == 200 else sorted(shown.items()))
            seen.append(text)
            for key, field in captures:
                side.known[key] = answer.json[field] if answer.status == 200 else GONE
        if seen[0] != seen[1]:
            wrong.append("%s\n   peer: %s\n   ours: %s" % (line, seen[0], seen[1]))
    assert not wrong, "%d differ\n" % len(wrong) + "\n".join(wrong)
    # An archive for the other datacenter: who may restore it there is asked before it is kept here.
    for secret in ("", "nobody", sides[1].known["lsecret"], ROOT):
        for archive in (b"", b"x" * 1000):
            def restore(side):
                done = side.agent.put("/v1/snapshot?dc=dc1", archive, headers={"X-Consul-Token": secret})
                # The peer loses answers now and then, and says how its connection broke.
                return re.match("Permission denied|ACL not found|failed to decompress", done.text) and (done.status, done.text)
            theirs, own = (until("an answer", lambda: restore(side)) for side in sides)
            assert own == theirs, secret
    ours = sides[1].agent
    before = size_of_files(ours)
    link = send_without_end(ours.ip, "/v1/snapshot?dc=dc1")
    assert size_of_files(ours) - before < 1 << 20
    link.close()
