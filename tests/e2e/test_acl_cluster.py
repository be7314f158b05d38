"""Access control across agents (acl.md 7, 12, 14): client agents and secondary datacenters that must ask others whose token it is,
in clusters of both kinds; what happens when nobody answers; from the old system to the new."""

import http.client
import itertools
import re
import threading
import time

import pytest

from e2e.cluster import NO_PROMOTION
from e2e.harness import PATIENCE, until

ROOT = "5ca1ab1e-0000-4000-8000-0000000000a1"
NOBODY = "5ca1ab1e-0000-4000-8000-0000000000ff"  # no such token


def acl(**more):
    return {"enabled": True, "default_policy": "deny", "tokens": {"master": ROOT, "agent": ROOT}, **more}


def with_token(secret):
    return {"X-Consul-Token": secret} if secret is not None else {}


def get(agent, path, secret=ROOT, **more):
    return agent.get(path, headers=with_token(secret), **more)


def put(agent, path, body=b"", secret=ROOT, **more):
    return agent.put(path, body, headers=with_token(secret), **more)


def status_of(agent, path, secret=ROOT):
    """None: it does not answer yet."""
    try:
        return get(agent, path, secret).status
    except OSError:
        return None


def launch(agents, binary, name, access=None, wait=True, **config):
    """A server (or, with server=False, a client agent); ready when it finds itself in the catalog. The first one of a datacenter
    leads for ever."""
    base = {"acl": access if access is not None else acl(), "primary_datacenter": "dc1", "performance": {"raft_multiplier": 1},
            "autopilot": NO_PROMOTION}
    agent = agents(binary, name=name, config=dict(base, **config))
    if not config.get("server", True) or config.get("bootstrap_expect", 1) == 0:
        conf = dict(agent.conf)
        conf.pop("bootstrap_expect")
        agent.configure(conf)
    agent.launch()
    if wait:
        ready(agent)
    return agent


def ready(agent):
    def listed():
        assert agent.proc.poll() is None, agent.tail()
        try:
            answer = get(agent, "/v1/catalog/nodes")
            return answer.status == 200 and agent.name in {n["Node"] for n in answer.json}
        except OSError:
            return False

    until(agent.name + " is in the catalog", listed)
    # an agent that began before it knew any server keeps for a while that nobody knew the anonymous token
    until("the anonymous token at " + agent.name, lambda: shown(get(agent, "/v1/agent/self", None)) == (403, "Permission denied"))


def client(agents, binary, server, name, access=None, **config):
    return launch(agents, binary, name, access, server=False, retry_join=[server.ip], **config)


def made(answer):
    assert answer.status == 200, answer.text
    return answer.json


def policy(server, name, rules, **more):
    return made(put(server, "/v1/acl/policy", dict({"Name": name, "Rules": rules}, **more)))


def token(server, **links):
    return made(put(server, "/v1/acl/token", links))["SecretID"]


def shown(answer):
    """What can be compared of an answer: how it ended, and why not."""
    return answer.status, answer.text if answer.status >= 400 else None


AGENT_READ = 'agent_prefix "" { policy = "read" }'


# ---- client agents ----


def asked(agent, secret):
    """What a client agent says itself, and what a server says through it. The servers' prefixes alternate (acl.md 8.1)."""
    got = [shown(get(agent, path, secret)) for path in ("/v1/agent/self", "/v1/agent/members", "/v1/agent/services", "/v1/agent/host")]
    answer = get(agent, "/v1/kv/app/x", secret)
    return got + [(answer.status, answer.text.replace("rpc error making call: ", "") if answer.status == 403 else None)]


def alike(ours, theirs, name, secret):
    """What was told while the other began may live on for its time in one of them."""
    end = time.monotonic() + PATIENCE
    while True:
        a, b = asked(ours, secret), asked(theirs, secret)
        if a == b:
            return
        assert time.monotonic() < end, "with %s: ours %s, the peer's %s" % (name, a, b)
        time.sleep(0.05)


def at_once(seconds, act):
    """What act() gives, done anew until it took less than that: what it is about is kept for so long only."""
    def done():
        begin = time.monotonic()
        got = act()
        return time.monotonic() - begin < seconds and [got]
    return until("something done within %g s" % seconds, done)[0]


def leave(agent):
    try:
        agent.put("/v1/agent/leave")
    except (OSError, http.client.HTTPException):
        pass  # it is gone before it has said so


def test_clients_of_the_peers_server(agents, praetor_asan, peer):
    server = launch(agents, peer, "s1")
    short = acl(token_ttl="1s", policy_ttl="1s")
    ours = client(agents, praetor_asan, server, "c-ours", short)
    theirs = client(agents, peer, server, "c-peer", short)
    policy(server, "agents", AGENT_READ)
    keys = policy(server, "keys", 'key_prefix "app/" { policy = "write" }')
    role = made(put(server, "/v1/acl/role", {"Name": "r", "Policies": [{"Name": "agents"}, {"Name": "keys"}]}))
    secrets = {
        "root": ROOT,
        "nobody": NOBODY,
        "without": None,
        "direct": token(server, Policies=[{"Name": "agents"}]),
        "both": token(server, Policies=[{"Name": "agents"}, {"Name": "keys"}]),
        "role": token(server, Roles=[{"Name": "r"}]),
        "service": token(server, ServiceIdentities=[{"ServiceName": "web"}]),
        "node": token(server, NodeIdentities=[{"NodeName": "c-ours", "Datacenter": "dc1"}]),
        "nothing": token(server, Policies=[]),
        "elsewhere": token(server, Policies=[{"ID": policy(server, "dc9", AGENT_READ, Datacenters=["dc9"])["ID"]}]),
    }
    for name, secret in secrets.items():
        assert asked(ours, secret) == asked(theirs, secret), name
    assert get(ours, "/v1/agent/self", secrets["role"]).status == 200
    assert put(ours, "/v1/kv/app/x", b"1", secrets["role"]).status == 200

    # what changes shows after the time to live, in both the same
    put(server, "/v1/acl/policy/" + keys["ID"], {"Name": "keys", "Rules": AGENT_READ})
    put(server, "/v1/acl/role/" + role["ID"], {"Name": "r", "Policies": [{"Name": "keys"}]})
    gone = get(server, "/v1/acl/token/self", secrets["direct"]).json["AccessorID"]
    assert server.delete("/v1/acl/token/" + gone, headers=with_token(ROOT)).status == 200
    for agent in (ours, theirs):
        until("the token is gone at " + agent.name, lambda: shown(get(agent, "/v1/agent/self", secrets["direct"])) == (403, "ACL not found"))
        for name in ("both", "role"):
            until("the policies changed at " + agent.name, lambda: put(agent, "/v1/kv/app/x", b"2", secrets[name]).status == 403)
    for name, secret in secrets.items():
        alike(ours, theirs, name, secret)


def test_a_known_token_costs_no_question(agents, praetor_asan, peer):
    """Within the time to live the servers are not asked again: what was changed meanwhile does not show."""
    server = launch(agents, peer, "s1")
    ours = client(agents, praetor_asan, server, "c-ours", acl(token_ttl="3600s", policy_ttl="3600s"))
    policy(server, "agents", AGENT_READ)
    secret = token(server, Policies=[{"Name": "agents"}])
    assert get(ours, "/v1/agent/self", secret).status == 200
    assert get(ours, "/v1/agent/self", NOBODY).status == 403
    accessor = get(server, "/v1/acl/token/self", secret).json["AccessorID"]
    assert server.delete("/v1/acl/token/" + accessor, headers=with_token(ROOT)).status == 200
    made(put(server, "/v1/acl/token", {"SecretID": NOBODY, "Policies": [{"Name": "agents"}]}))
    for _ in range(20):  # on connections of their own: whichever thread answers knows it
        assert get(ours, "/v1/agent/self", secret).status == 200
        assert get(ours, "/v1/agent/self", NOBODY).status == 403


@pytest.mark.parametrize("down", ["allow", "deny", "extend-cache", "async-cache"])
def test_when_no_server_answers(agents, praetor_asan, peer, down):
    """As the peer, but that extend-cache and async-cache open nothing to a token that nobody knows (acl.md 18.1.1)."""
    server = launch(agents, peer, "s1")
    access = acl(token_ttl="2s", policy_ttl="2s", down_policy=down)
    ours, theirs = client(agents, praetor_asan, server, "c-ours", access), client(agents, peer, server, "c-peer", access)
    policy(server, "agents", AGENT_READ)
    secret = token(server, Policies=[{"Name": "agents"}])
    for agent in (ours, theirs):
        assert [get(agent, "/v1/agent/self", s).status for s in (secret, NOBODY, None)] == [200, 403, 403]
    server.kill()

    def down_for(agent):  # the connection is known to be broken
        return get(agent, "/v1/catalog/nodes").status == 500

    for agent in (ours, theirs):
        until("no server for " + agent.name, lambda: down_for(agent))
    time.sleep(2.1)  # what is known is older than its time to live
    extends = down in ("extend-cache", "async-cache")
    for path in ("/v1/agent/self", "/v1/agent/services"):
        a, b = shown(get(ours, path, secret)), shown(get(theirs, path, secret))
        if extends:
            assert a == b, path
            assert a[0] == 200
    numbers = itertools.count()

    def three(agent, path):
        secret = "5ca1ab1e-0000-4000-8000-00000000e%03d" % next(numbers)
        return [shown(get(agent, path, secret)) for _ in range(3)]
    for path in ("/v1/agent/self", "/v1/agent/members", "/v1/agent/host", "/v1/agent/metrics", "/v1/agent/services"):
        got = [at_once(2, lambda: three(agent, path)) for agent in (ours, theirs)]
        if extends:
            assert got[0][0][0] == 403 and got[0][0][1] == "Permission denied: Error communicating with the ACL Datacenter", got
            assert got[1][0][0] in (200, 500), got  # the peer's defect
            got = [one[1:] for one in got]
        assert got[0] == got[1], path
    for secret in (NOBODY, None):
        assert shown(get(ours, "/v1/agent/self", secret)) == shown(get(theirs, "/v1/agent/self", secret))


# ---- mixed servers, and clients of ours ----


@pytest.mark.parametrize("leads", ["ours", "peer"])
def test_three_mixed_servers(agents, praetor_asan, peer, leads):
    """Tokens made on either side are honoured on the other, through servers and client agents of both kinds."""
    first, other = (praetor_asan, peer) if leads == "ours" else (peer, praetor_asan)
    s1 = launch(agents, first, "s1")
    s2 = launch(agents, other, "s2", bootstrap_expect=0, retry_join=[s1.ip])
    s3 = launch(agents, praetor_asan, "s3", bootstrap_expect=0, retry_join=[s1.ip])
    short = acl(token_ttl="1s", policy_ttl="1s")
    c1 = client(agents, praetor_asan, s1, "c1", short)
    c2 = client(agents, peer, s1, "c2", short)
    everybody = (s1, s2, s3, c1, c2)
    for i, maker in enumerate(everybody):
        policy(maker, "p%d" % i, 'key_prefix "%d/" { policy = "write" }\n%s' % (i, AGENT_READ))
        secret = token(maker, Policies=[{"Name": "p%d" % i}])
        for agent in everybody:
            until("token %d at %s" % (i, agent.name), lambda: status_of(agent, "/v1/agent/self", secret) == 200)
            assert put(agent, "/v1/kv/%d/%s" % (i, agent.name), b"1", secret).status == 200
            assert put(agent, "/v1/kv/other", b"1", secret).status == 403
            assert get(agent, "/v1/agent/host", secret).status == 403
        accessor = get(maker, "/v1/acl/token/self", secret).json["AccessorID"]
        assert maker.delete("/v1/acl/token/" + accessor, headers=with_token(ROOT)).status == 200
        for agent in everybody:
            until("token %d is gone at %s" % (i, agent.name), lambda: status_of(agent, "/v1/agent/self", secret) == 403)


def test_expired_tokens_are_reaped(agents, praetor_asan):
    server = launch(agents, praetor_asan, "s1")
    made(put(server, "/v1/acl/token", {"Policies": [{"Name": "global-management"}], "ExpirationTTL": "60s", "Description": "longer"}))
    short = made(put(server, "/v1/acl/token", {"Policies": [{"Name": "global-management"}], "ExpirationTTL": "60s"}))
    assert status_of(server, "/v1/agent/self", short["SecretID"]) == 200
    until("it is dead", lambda: status_of(server, "/v1/agent/self", short["SecretID"]) == 403, 2 * PATIENCE)
    until("it is gone", lambda: "deleting expired ACL tokens: amount=" in server.tail(10 ** 7))
    until("it is in no list", lambda: short["AccessorID"] not in {t["AccessorID"] for t in get(server, "/v1/acl/tokens").json})


# ---- secondary datacenters ----


def pair(agents, primary, secondary, replicate, **more):
    one = launch(agents, primary, "one")
    tokens = {"agent": ROOT, "replication": ROOT}
    access = dict(acl(token_ttl="1s", policy_ttl="1s"), tokens=tokens, enable_token_replication=replicate, **more)
    two = launch(agents, secondary, "two", access, wait=False, datacenter="dc2", retry_join_wan=[one.ip], retry_interval_wan="1s")
    ready(two)
    return one, two


def replication(agent):
    return agent.get("/v1/acl/replication").json


def listed(agent, what):
    return {o["ID"]: o["Hash"] for o in get(agent, "/v1/acl/" + what).json}


KINDS = [("peer", "ours"), ("ours", "peer"), ("ours", "ours")]


def binaries(request, kinds):
    return [request.getfixturevalue("peer" if kind == "peer" else "praetor_asan") for kind in kinds]


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_secondary_with_token_replication(agents, request, kinds):
    one, two = pair(agents, *binaries(request, kinds), True)
    policy(one, "keys", 'key_prefix "k/" { policy = "write" }')
    made(put(one, "/v1/acl/role", {"Name": "r", "Policies": [{"Name": "keys"}]}))
    secrets = [token(one, Policies=[{"Name": "keys"}]), token(one, Roles=[{"Name": "r"}]), token(one, ServiceIdentities=[{"ServiceName": "web"}])]
    local = token(one, Policies=[{"Name": "keys"}], Local=True)
    for secret in secrets[:2]:
        until("the token in dc2", lambda: status_of(two, "/v1/kv/k/x", secret) == 404)
        assert put(two, "/v1/kv/k/x", b"1", secret).status == 200
        assert two.delete("/v1/kv/k/x", headers=with_token(secret)).status == 200
    assert shown(get(two, "/v1/kv/k/x", local)) == (403, "ACL not found")
    until("all policies", lambda: listed(two, "policies") == listed(one, "policies"))
    until("all roles", lambda: listed(two, "roles") == listed(one, "roles"))
    tokens = lambda agent: {t["AccessorID"]: t["Hash"] for t in get(agent, "/v1/acl/tokens").json if not t["Local"]}
    until("all global tokens", lambda: tokens(one) == tokens(two))

    status = until("rounds of all three", lambda: (lambda s: all(
        s[k] > 1 for k in ("ReplicatedIndex", "ReplicatedRoleIndex", "ReplicatedTokenIndex")) and s)(replication(two)))
    assert (status["Enabled"], status["Running"], status["SourceDatacenter"], status["ReplicationType"]) == (True, True, "dc1", "tokens")
    assert replication(one) == {"Enabled": False, "Running": False, "SourceDatacenter": "", "ReplicationType": "", "ReplicatedIndex": 0, "ReplicatedRoleIndex": 0,
                                "ReplicatedTokenIndex": 0, "LastSuccess": "0001-01-01T00:00:00Z", "LastError": "0001-01-01T00:00:00Z"}

    # changes and deletions follow
    mine = token(two, Policies=[{"Name": "keys"}], Local=True)
    assert status_of(two, "/v1/kv/k/x", mine) == 404
    named = get(one, "/v1/acl/policy/name/keys").json
    made(put(one, "/v1/acl/policy/" + named["ID"], {"Name": "keys", "Rules": 'key_prefix "other/" { policy = "write" }'}))
    until("the changed policy", lambda: status_of(two, "/v1/kv/k/x", mine) == 403 and status_of(two, "/v1/kv/other/x", mine) == 404)
    accessor = get(one, "/v1/acl/token/self", secrets[0]).json["AccessorID"]
    assert one.delete("/v1/acl/token/" + accessor, headers=with_token(ROOT)).status == 200
    until("the token is gone", lambda: shown(get(two, "/v1/kv/other/x", secrets[0])) == (403, "ACL not found"))
    assert one.delete("/v1/acl/policy/" + named["ID"], headers=with_token(ROOT)).status == 200
    until("the policy is gone", lambda: status_of(two, "/v1/kv/other/x", mine) == 403)

    # the primary's end changes nothing
    one.kill()
    assert status_of(two, "/v1/kv/other/x", mine) == 403
    assert status_of(two, "/v1/acl/tokens") == 200
    until("the error shows", lambda: replication(two)["LastError"] > status["LastError"])


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_secondary_without_token_replication(agents, request, kinds):
    one, two = pair(agents, *binaries(request, kinds), False)
    policy(one, "keys", 'key_prefix "k/" { policy = "write" }')
    made(put(one, "/v1/acl/role", {"Name": "r", "Policies": [{"Name": "keys"}]}))
    secrets = [token(one, Policies=[{"Name": "keys"}]), token(one, Roles=[{"Name": "r"}])]
    until("the policy in dc2", lambda: listed(two, "policies") == listed(one, "policies"))
    until("the role in dc2", lambda: listed(two, "roles") == listed(one, "roles"))
    for secret in secrets:
        assert put(two, "/v1/kv/k/x", b"1", secret).status == 200
        assert put(two, "/v1/kv/other", b"1", secret).status == 403
    assert shown(get(two, "/v1/kv/k/x", NOBODY)) == (403, "ACL not found")
    status = replication(two)
    assert (status["Enabled"], status["Running"], status["SourceDatacenter"], status["ReplicationType"]) == (True, True, "dc1", "policies")
    assert put(two, "/v1/acl/token", {"Local": True, "Policies": [{"Name": "keys"}]}).status == 500

    def twice():
        local = token(one, Policies=[{"Name": "keys"}], Local=True)
        return shown(put(two, "/v1/kv/k/pwn", b"1", local)), shown(get(two, "/v1/kv/k/x", local))
    first, second = at_once(1, twice)
    if kinds[1] == "ours":  # the peer lets it in, once (acl.md 18.1.1)
        assert first == (403, 'Permission denied: This is a local token in datacenter "dc1"')
    assert second == (403, "ACL not found")

    # without the primary what is known goes on (extend-cache), and nothing else
    if kinds[1] == "ours":
        one.kill()
        time.sleep(1.1)
        assert put(two, "/v1/kv/k/x", b"2", secrets[0]).status == 200
        numbers = itertools.count()

        def unknown():
            secret = "5ca1ab1e-0000-4000-8000-00000000d%03d" % next(numbers)
            return [shown(put(two, "/v1/kv/k/x", b"3", secret)) for _ in range(2)]
        assert at_once(1, unknown) == [(403, "Permission denied: Error communicating with the ACL Datacenter"), (403, "ACL not found")]
        assert get(two, "/v1/kv/k/x?raw", secrets[0]).body == b"2"


# ---- from the old system to the new ----


def mode_of(agent):
    """The agent's tag: "2" the old system, "1" the new one."""
    try:
        members = get(agent, "/v1/agent/members")
        return {m["Name"]: m["Tags"].get("acls") for m in members.json}[agent.name] if members.status == 200 else None
    except (OSError, KeyError):
        return None


def old_token(server, name, rules, kind="client"):
    return made(put(server, "/v1/acl/create", {"Name": name, "Type": kind, "Rules": rules}))["ID"]


def held_back(agents, binary, holder, **more):
    """A server with access control, and one without that keeps it in the old system. The first leads: the second does
    not bootstrap (one server may find the other's peers and leave the bootstrap to it), and both are slow to miss each other."""
    access = dict(acl(token_ttl="1s", policy_ttl="1s"), **more)
    s1 = agents(binary, name="s1", config={"acl": access, "primary_datacenter": "dc1", "bootstrap_expect": 2, "performance": {"raft_multiplier": 10}})
    # its default policy shows in what it tells client agents of old tokens, access control or not
    s2 = agents(holder, name="s2", config={"acl": {"enabled": False, "default_policy": "deny"}, "bootstrap_expect": 0, "performance": {"raft_multiplier": 10}})
    for agent, other in ((s1, s2), (s2, s1)):
        agent.configure(dict(agent.conf, retry_join=[other.ip], retry_interval="1s"))
        agent.launch()
    until("s1 leads in the old system", lambda: status_of(s1, "/v1/acl/list") == 200)
    assert mode_of(s1) == "2"
    return s1, s2


@pytest.mark.parametrize("kind", ["ours", "peer"])
def test_the_old_system_and_the_switch(agents, praetor_asan, peer, kind):
    s1, s2 = held_back(agents, praetor_asan if kind == "ours" else peer, peer)
    short = acl(token_ttl="1s", policy_ttl="1s")
    ours, theirs = (client(agents, binary, s1, name, short, wait=False) for binary, name in ((praetor_asan, "c-ours"), (peer, "c-others")))
    for agent in (ours, theirs):
        until("the client works", lambda: status_of(agent, "/v1/kv/none") == 404)
    secrets = {
        "root": ROOT,
        "nobody": NOBODY,
        "without": None,
        "app": old_token(s1, "app", 'key "app/" { policy = "write" }\nagent "c-" { policy = "read" }'),
        "exact": old_token(s1, "exact", 'key "app/x" { policy = "read" }\nagent "c-o" { policy = "write" }\nservice "" { policy = "read" }'),
        "all": old_token(s1, "all", "", "management"),
        "nothing": old_token(s1, "nothing", ""),
        "operator": old_token(s1, "operator", 'operator = "read"\nnode "" { policy = "read" }'),
    }
    assert (mode_of(s1), mode_of(ours), mode_of(theirs)) == ("2", "2", "2")

    def same():
        for name, secret in secrets.items():
            alike(ours, theirs, name, secret)
        assert put(ours, "/v1/kv/app/x", b"1", secrets["app"]).status == 200
        assert put(ours, "/v1/kv/other", b"1", secrets["app"]).status == 403
        assert get(ours, "/v1/agent/self", secrets["app"]).status == 200

    same()
    for path in ("tokens", "policies", "roles"):
        assert shown(get(s1, "/v1/acl/" + path)) == (500, "The ACL system is currently in legacy mode.")
    old = {t["ID"]: t for t in get(s1, "/v1/acl/list").json}
    assert set(old) == {s for s in secrets.values() if s not in (NOBODY, None)} | {"anonymous"}

    leave(s2)
    for agent in (s1, ours, theirs):
        until("the new system at " + agent.name, lambda: mode_of(agent) == "1", 2 * PATIENCE)

    def upgraded():
        answer = get(s1, "/v1/acl/tokens")
        return answer.status == 200 and all(t["AccessorID"] for t in answer.json) and answer.json

    tokens = {t["Description"]: t for t in until("all tokens have an accessor", upgraded)}
    assert tokens["Anonymous Token"]["AccessorID"] == "00000000-0000-0000-0000-000000000002"
    for name in ("Master Token", "all"):
        assert [p["Name"] for p in tokens[name]["Policies"]] == ["global-management"]
    assert tokens["app"]["Legacy"] and "Policies" not in tokens["app"]
    assert set(tokens) == {t["Name"] for t in old.values()}
    same()
    policy(s1, "agents", AGENT_READ)
    assert get(ours, "/v1/agent/self", token(s1, Policies=[{"Name": "agents"}])).status == 200


def test_many_old_tokens_are_upgraded_in_batches(agents, praetor_asan, peer):
    """Tokens of the old kind may come after the switch too, over the old API."""
    s1 = launch(agents, praetor_asan, "s1")
    secrets = [old_token(s1, "old%d" % i, 'key "%d/" { policy = "write" }' % i) for i in range(300)]

    def upgraded():
        return all(t["AccessorID"] for t in get(s1, "/v1/acl/tokens").json)

    until("all have an accessor", upgraded)
    assert put(s1, "/v1/kv/299/x", b"1", secrets[299]).status == 200
    assert put(s1, "/v1/kv/298/x", b"1", secrets[299]).status == 403


def test_client_whose_servers_know_no_access_control(agents, praetor_asan, peer):
    server = agents(peer, name="s1", config={"performance": {"raft_multiplier": 1}}).start()
    ours, theirs = (client(agents, binary, server, name, wait=False) for binary, name in ((praetor_asan, "c-ours"), (peer, "c-peer")))
    for agent in (ours, theirs):
        until("it works", lambda: status_of(agent, "/v1/kv/none") == 404)
    for secret in (NOBODY, None, ROOT):
        def same():
            mine, other = ([shown(get(a, "/v1/agent/self", secret)) for _ in range(2)] for a in (ours, theirs))
            return mine == other and mine
        got = until("the same with %s" % secret, same)
    assert got[1] != (200, None)


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_secondary_in_the_old_system(agents, request, peer, kinds):
    """The primary is held in the old system: so is the secondary, which keeps its tokens; then both go over."""
    first, second = binaries(request, kinds)
    one, holder = held_back(agents, first, peer)
    key = old_token(one, "key", 'key "k/" { policy = "write" }')
    access = {"enabled": True, "default_policy": "deny", "tokens": {"agent": ROOT, "replication": ROOT}, "enable_token_replication": True}
    two = launch(agents, second, "two", access, wait=False, datacenter="dc2", retry_join_wan=[one.ip], retry_interval_wan="1s")
    until("the old tokens in dc2", lambda: replication(two)["ReplicatedIndex"] > 0 if status_of(two, "/v1/status/leader") == 200 else False)
    status = replication(two)
    assert (status["Enabled"], status["Running"], status["SourceDatacenter"], status["ReplicationType"]) == (True, True, "dc1", "legacy")
    until("the token in dc2", lambda: put(two, "/v1/kv/k/x", b"1", key).status == 200)
    assert put(two, "/v1/kv/x", b"1", key).status == 403
    assert mode_of(two) == "2"
    gone = old_token(one, "gone", 'key "g/" { policy = "write" }')
    until("another", lambda: status_of(two, "/v1/kv/g/x", gone) == 404)
    assert put(one, "/v1/acl/destroy/" + gone).status == 200
    until("it is gone", lambda: status_of(two, "/v1/kv/g/x", gone) == 403)

    leave(holder)
    until("the primary goes over", lambda: mode_of(one) == "1", 2 * PATIENCE)
    until("the secondary follows", lambda: mode_of(two) == "1", 2 * PATIENCE)
    until("new replication", lambda: replication(two)["ReplicationType"] == "tokens" and replication(two)["ReplicatedTokenIndex"] > 1)

    def accessors(agent):
        return {t["AccessorID"]: t["Description"] for t in get(agent, "/v1/acl/tokens").json}

    until("the same tokens", lambda: accessors(one) == accessors(two) and "" not in accessors(one))
    assert put(two, "/v1/kv/k/x", b"2", key).status == 200


# ---- more of client agents and of replication ----


def test_async_cache_answers_at_once(agents, praetor_asan, peer):
    """What is known is used however old it is, and asked for anew behind it: a change shows one request later."""
    server = launch(agents, peer, "s1")
    access = acl(token_ttl="1s", policy_ttl="1s", down_policy="async-cache")
    clients = [client(agents, praetor_asan, server, "c-ours", access), client(agents, peer, server, "c-peer", access)]
    agents_policy = policy(server, "agents", AGENT_READ)
    policy(server, "others", AGENT_READ)
    secret, gone = (token(server, Policies=[{"Name": name}]) for name in ("agents", "others"))
    for agent in clients:
        assert [get(agent, "/v1/agent/self", s).status for s in (secret, gone, NOBODY)] == [200, 200, 403]
    accessor = get(server, "/v1/acl/token/self", gone).json["AccessorID"]
    assert server.delete("/v1/acl/token/" + accessor, headers=with_token(ROOT)).status == 200
    made(put(server, "/v1/acl/policy/" + agents_policy["ID"], {"Name": "agents", "Rules": ""}))
    made(put(server, "/v1/acl/token", {"SecretID": NOBODY, "Policies": [{"Name": "global-management"}]}))
    time.sleep(1.2)
    for agent in clients:
        assert [get(agent, "/v1/agent/self", s).status for s in (secret, gone, NOBODY)] == [200, 200, 403], agent.name
    for agent in clients:
        until("what changed shows", lambda: [get(agent, "/v1/agent/self", s).status for s in (secret, gone, NOBODY)] == [403, 403, 200])


def test_who_asks_for_the_same_waits_together(agents, praetor_asan, peer):
    """However many ask at once with a token that is not known yet, a thread asks the servers once."""
    server = launch(agents, peer, "s1", log_level="TRACE")
    ours = client(agents, praetor_asan, server, "c-ours", acl(token_ttl="3600s"), telemetry={"prometheus_retention_time": "1h"})
    before = _fetches(ours)
    secret, answers = "5ca1ab1e-0000-4000-8000-0000000000c1", []
    threads = [threading.Thread(target=lambda: answers.append(shown(get(ours, "/v1/agent/self", secret)))) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [(403, "ACL not found")] * 40
    assert 1 <= _fetches(ours) - before <= 4  # a client agent has at most four threads


def _fetches(agent):
    """Questions whose token it is, since the agent began."""
    text = get(agent, "/v1/agent/metrics?format=prometheus").text
    return sum(int(n) for n in re.findall(r"(?m)^\w*_acl_ResolveTokenToIdentity_count (\d+)", text))


@pytest.mark.parametrize("kinds", KINDS[:2], ids="-".join)
def test_much_to_replicate(agents, request, kinds):
    """More than one log entry takes; then all of it goes again."""
    one, two = pair(agents, *binaries(request, kinds), True)
    rules = "".join('key "%d" { policy = "read" }\n' % i for i in range(100))
    ids = [policy(one, "p%d" % i, rules)["ID"] for i in range(150)]
    secrets = [token(one, Policies=[{"ID": i}]) for i in ids[:50]]
    until("all policies", lambda: listed(two, "policies") == listed(one, "policies"))
    for secret in secrets:
        until("the token", lambda: status_of(two, "/v1/kv/7", secret) == 404)
    for i in ids:
        assert one.delete("/v1/acl/policy/" + i, headers=with_token(ROOT)).status == 200
    until("all are gone", lambda: listed(two, "policies") == listed(one, "policies") and len(listed(two, "policies")) == 1)
    assert status_of(two, "/v1/kv/7", secrets[0]) == 403


def test_replication_token_that_may_not(agents, praetor_asan, peer):
    """acl:read is enough for policies and roles; tokens come with their secrets only to who may write. Errors are told."""
    one = launch(agents, peer, "one")
    policy(one, "reader", 'acl = "read"')
    weak = token(one, Policies=[{"Name": "reader"}])
    access = dict(acl(), tokens={"agent": ROOT, "replication": weak, "agent_master": ROOT}, enable_token_replication=True)
    two = launch(agents, praetor_asan, "two", access, wait=False, datacenter="dc2", retry_join_wan=[one.ip], retry_interval_wan="1s")
    until("policies come", lambda: status_of(two, "/v1/status/leader") == 200 and replication(two)["ReplicatedIndex"] > 0)
    error = "failed to retrieve unredacted tokens - replication token in use does not grant acl:write"
    until("it is told why", lambda: error in two.tail(10 ** 7))
    assert replication(two)["ReplicatedTokenIndex"] == 0
    until("the status tells so", lambda: replication(two)["LastError"] > "2000")
    # a better one, over the API, is used at the next round
    assert put(two, "/v1/agent/token/replication", {"Token": ROOT}).status == 200
    until("tokens come", lambda: replication(two)["ReplicatedTokenIndex"] > 0)
    until("and are honoured", lambda: status_of(two, "/v1/acl/tokens", ROOT) == 200)
