"""Servers of both kinds in one cluster: either leads, the state stays the same on all, record by record as a snapshot shows
it, and snapshots of one kind are installed by the other."""

import json

import pytest

from e2e.cluster import STEADY, Cluster, formed, raft_stats, same_state, wait_applied, written
from e2e.harness import until
from e2e.test_snapshot_with_peer import fill

SMALL = {**STEADY, "raft_snapshot_threshold": 40, "raft_snapshot_interval": "1s", "raft_trailing_logs": 10}
ADMIN = "11111111-aaaa-4bbb-8ccc-222222222222"
ACL = {"acl": {"enabled": True, "default_policy": "allow", "tokens": {"master": ADMIN, "agent": ADMIN}}}


def everything_of_ours(server):
    """Writes of each kind that both kinds of server take."""
    fill(server)
    put = lambda path, body=b"", status=200: assert_status(server.put(path, body), status)
    put("/v1/kv/cas?cas=0", "1")
    index = server.get("/v1/kv/cas").json[0]["ModifyIndex"]
    put("/v1/kv/cas?cas=%d" % index, "2")
    put("/v1/kv/big", "x" * (1 << 19))
    session = server.put("/v1/session/create", {"Name": "gone", "Node": "outside", "NodeChecks": [], "Behavior": "delete"}).json["ID"]
    put("/v1/kv/gone?acquire=" + session, "x")
    put("/v1/session/destroy/" + session)
    put("/v1/catalog/deregister", {"Node": "outside", "ServiceID": "db"})
    put("/v1/txn", [{"KV": {"Verb": "delete-tree", "Key": "txn/"}}])
    assert_status(server.request("POST", "/v1/query", json.dumps({"Name": "q", "Service": {"Service": "web"}})), 200)
    put("/v1/operator/autopilot/configuration", {"CleanupDeadServers": False, "MaxTrailingLogs": 300, "LastContactThreshold": "1s",
                                                 "ServerStabilizationTime": "9s"})


def assert_status(answer, status):
    assert answer.status == status, answer.text
    return answer


def everything_of_theirs(server):
    """Entries that only the peer's API makes as yet: ours applies them all the same."""
    headers = {"X-Consul-Token": ADMIN}

    def put(path, body, method="PUT"):
        return assert_status(server.request(method, path, json.dumps(body), headers=headers), 200)
    policy = put("/v1/acl/policy", {"Name": "p", "Rules": 'key_prefix "" { policy = "read" }'}).json["ID"]
    role = put("/v1/acl/role", {"Name": "r", "Policies": [{"ID": policy}], "ServiceIdentities": [{"ServiceName": "web"}]}).json["ID"]
    token = put("/v1/acl/token", {"Description": "t", "Policies": [{"ID": policy}], "Roles": [{"ID": role}]}).json["AccessorID"]
    put("/v1/acl/token/%s/clone" % token, {"Description": "clone"})
    other = put("/v1/acl/token", {"Description": "to go"}).json["AccessorID"]
    server.request("DELETE", "/v1/acl/token/" + other, headers=headers)
    for kind, entry in (("proxy-defaults", {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http", "n": 1.5}}),
                        ("service-defaults", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}),
                        ("service-splitter", {"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": 100}]}),
                        ("service-resolver", {"Kind": "service-resolver", "Name": "db", "ConnectTimeout": "7s"})):
        assert kind and put("/v1/config", entry)
    server.request("DELETE", "/v1/config/service-resolver/db", headers=headers)
    put("/v1/connect/intentions", {"SourceName": "web", "DestinationName": "db", "Action": "deny"}, "POST")


def others(cluster):
    leader = cluster.leader()
    return [s for s in cluster.alive() if s is not leader]


def check_equal(cluster, leader, token=None):
    written(leader, "/v1/kv/check", "x")  # all have then applied a command since their start
    index = int(raft_stats(leader)["last_log_index"])
    wait_applied(cluster.alive(), index)
    records = same_state(cluster.alive(), seconds=60, token=token)
    paths = ["/v1/kv/?recurse&stale", "/v1/catalog/nodes?stale", "/v1/catalog/service/web?stale", "/v1/session/list?stale",
             "/v1/health/state/any?stale", "/v1/coordinate/nodes?stale"]
    headers = {"X-Consul-Token": token} if token else {}

    def equal():
        for path in paths:
            answers = [s.get(path, headers=headers) for s in cluster.alive()]
            assert [a.status for a in answers] == [200] * len(answers), path
            if not all(a.json == answers[0].json for a in answers):
                return False
        return True
    until("the same answers", equal)
    return records


@pytest.mark.parametrize("kinds", ["opp", "poo"])
def test_both_kinds(agents, praetor_asan, peer, kinds):
    """The first leads; its followers of the other kind get its snapshot at the beginning and then its entries. When it dies, one
    of the others leads, writes are made there, and the old leader follows when it is back."""
    binary = {"o": praetor_asan, "p": peer}
    cluster = Cluster(agents, [binary[k] for k in kinds], config=STEADY)
    first = formed(cluster)
    until("its federation state", lambda: first.get("/v1/internal/federation-state/dc1").status == 200)
    everything_of_ours(first)
    records = check_equal(cluster, first)
    assert {kind for kind, _ in records} >= {0, 2, 3, 5, 7, 9, 16, 29}
    through = others(cluster)[0]
    written(through, "/v1/kv/through-follower", "x")
    first.kill()
    second = cluster.wait_leader(but=first.raft, seconds=90)
    assert second.binary != first.binary
    written(second, "/v1/kv/that-it-writes", "1")
    assert second.put("/v1/kv/second", "1" * 600000).status in (200, 413)
    second.delete("/v1/kv/app?recurse")
    session = second.put("/v1/session/create", {"Node": "outside", "NodeChecks": []}).json["ID"]
    assert second.put("/v1/kv/held?acquire=" + session, "x").body.strip() == b"true"
    first.launch()
    until("the old leader follows", lambda: cluster.leader_seen_by(first) == second.raft)
    check_equal(cluster, second)


def test_entries_that_only_the_peer_makes(agents, praetor_asan, peer):
    """ACLs, configuration entries, intentions, Connect's CA: made on a leader of the peer's, applied by ours."""
    cluster = Cluster(agents, [peer, praetor_asan, praetor_asan], config={**STEADY, "connect": {"enabled": True}})
    for server in cluster.servers[:1]:
        server.configure(dict(server.conf, **ACL))
    leader = formed(cluster, join=False)  # the peer knows only itself then: it does not wait for others to know ACLs
    for path in ("/v1/acl/token/self", "/v1/internal/federation-state/dc1", "/v1/connect/ca/roots"):  # what it writes by itself
        until(path, lambda: leader.get(path, headers={"X-Consul-Token": ADMIN}).status == 200, 60)
    everything_of_theirs(leader)
    records = check_equal(cluster, leader, ADMIN)
    assert {kind for kind, _ in records} >= {0, 2, 12, 13, 14, 15, 17, 19, 22, 23}


@pytest.mark.parametrize("kinds", ["opp", "poo"])
def test_snapshot_is_installed(agents, praetor_asan, peer, kinds):
    """A follower that was away for longer than the leader's log reaches back gets a snapshot, and goes on behind it."""
    binary = {"o": praetor_asan, "p": peer}
    cluster = Cluster(agents, [binary[k] for k in kinds], config=SMALL)
    leader = formed(cluster)
    fill(leader)
    away = cluster.servers[2]
    assert away.binary != leader.binary
    away.kill()
    for n in range(120):
        written(leader, "/v1/kv/while-away/%d" % n, "v" * 1000)
    until("the log is compacted", lambda: int(raft_stats(leader)["last_snapshot_index"]) >
          int(raft_stats(leader)["last_log_index"]) - 100, 60)
    for n in range(30):
        written(leader, "/v1/kv/behind/%d" % n, "v")
    before = away.tail(1 << 22).count("Installed remote snapshot")
    away.launch()
    until("it installs a snapshot", lambda: away.tail(1 << 22).count("Installed remote snapshot") > before)
    check_equal(cluster, cluster.wait_leader())
    written(leader, "/v1/kv/afterwards", "1")
    check_equal(cluster, cluster.wait_leader())
    # and what it installed is what it starts from
    away.kill()
    away.launch()
    check_equal(cluster, cluster.wait_leader())  # of all: it is back


@pytest.mark.parametrize("kinds", ["p2 o2 o3", "o2 p3 o3"])
def test_versions_of_the_protocol(agents, praetor_asan, peer, kinds):
    """raft_protocol 2 and 3 in one cluster: servers of version 2 go by their address, those of version 3 by their ID."""
    binary, servers = {"o": praetor_asan, "p": peer}, []
    for i, (kind, version) in enumerate(kinds.split()):
        servers.append(agents(binary[kind], name="v%d" % (i + 1), config={
            **STEADY, "raft_protocol": int(version), "bootstrap_expect": 1 if i == 0 else 0,
            "autopilot": {"server_stabilization_time": "1s", "last_contact_threshold": "10s", "cleanup_dead_servers": False}}))
    for server in servers:
        server.raft = "%s:8300" % server.ip
        server.configure(dict(server.conf, retry_join=[servers[0].ip], retry_interval="1s"))
    cluster = Cluster.__new__(Cluster)
    cluster.servers = servers
    servers[0].start()
    for server in servers[1:]:
        server.launch()

    def listed():
        answer = servers[0].get("/v1/operator/raft/configuration?stale")
        found = answer.json["Servers"] if answer.status == 200 else []
        return found if len(found) == 3 and all(s["Voter"] for s in found) else None
    found = {s["Address"]: s["ID"] for s in until("three voters", listed, 90)}
    for server in servers:
        assert (found[server.raft] == server.raft) == (server.conf["raft_protocol"] == 2)
    first = cluster.wait_leader()
    check_equal(cluster, first)
    first.kill()
    second = cluster.wait_leader(but=first.raft, seconds=90)
    written(second, "/v1/kv/second", "1")
    first.launch()
    until("the old leader follows", lambda: cluster.leader_seen_by(first) == second.raft)
    check_equal(cluster, second)
