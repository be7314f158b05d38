"""Requests to a server that does not lead, in clusters of ours, of the peer's and of both: what is forwarded, what is
answered where it was asked, what the headers say, and what becomes of requests under way when the leader is killed."""

import json
import threading
import time

import pytest

from e2e.cluster import STEADY, Cluster, written
from e2e.harness import until

CLUSTERS = ["ppp", "pcc", "cpp", "cpc"]  # who leads at first, then the others; p: Praetor, c: the peer

READS = ["/v1/catalog/nodes", "/v1/catalog/services", "/v1/catalog/service/web", "/v1/catalog/node/db1",
         "/v1/health/node/db1", "/v1/health/checks/web", "/v1/health/service/web", "/v1/health/state/any",
         "/v1/kv/tree?recurse", "/v1/kv/tree/a", "/v1/kv/tree/?keys&separator=/", "/v1/session/list", "/v1/session/node/db1",
         "/v1/coordinate/nodes", "/v1/internal/ui/nodes", "/v1/internal/ui/services", "/v1/internal/ui/node/db1",
         "/v1/operator/raft/configuration", "/v1/operator/autopilot/configuration", "/v1/query", "/v1/status/leader",
         "/v1/catalog/datacenters"]


def join(cluster):
    """Servers find each other's leader by gossip."""
    first = cluster.servers[0]
    for other in cluster.servers[1:]:
        until("it joins", lambda: other.put("/v1/agent/join/" + first.ip).status == 200)

    def all_alive():
        return all([m["Status"] for m in s.get("/v1/agent/members").json] == [1] * len(cluster.servers)
                   for s in cluster.servers)
    until("members", all_alive)


@pytest.fixture
def cluster(request, agents, praetor_asan, peer):
    binaries = [praetor_asan if kind == "p" else peer for kind in request.param]
    made = Cluster(agents, binaries, {"performance": dict(STEADY["performance"], rpc_hold_timeout="60s")})
    made.form(seconds=90)
    join(made)
    return made


def fill(server):
    """Writes of many kinds, through one server."""
    node = {"Node": "db1", "Address": "10.0.0.9", "NodeMeta": {"zone": "a"}, "Service": {
        "ID": "web1", "Service": "web", "Tags": ["v1"], "Port": 80, "Meta": {"m": "1"}},
        "Checks": [{"Name": "alive", "CheckID": "alive", "Status": "passing"},
                   {"Name": "web", "CheckID": "web1", "ServiceID": "web1", "Status": "warning", "Output": "so so"}]}
    got = [server.put("/v1/catalog/register", node)]
    for key, value in [("tree/a", "1"), ("tree/b/c", "2"), ("tree/b/d", "")]:
        got.append(server.put("/v1/kv/" + key, value))
    session = server.put("/v1/session/create", {"Node": "db1", "Name": "s", "TTL": "60s", "NodeChecks": ["alive"]})
    got.append(session)
    got.append(server.put("/v1/session/renew/" + session.json["ID"]))
    got.append(server.put("/v1/kv/tree/locked?acquire=" + session.json["ID"], "x"))
    got.append(server.put("/v1/txn", [{"KV": {"Verb": "set", "Key": "tree/txn", "Value": "dHhu"}},
                                      {"KV": {"Verb": "get", "Key": "tree/a"}}]))
    got.append(server.request("POST", "/v1/query", body=json.dumps({"Name": "q", "Service": {"Service": "web"}}).encode()))
    for answer in got:
        assert answer.status == 200, answer.text
    return session.json["ID"]


def same_answers(leader, others):
    """Of all reads. Members may still be coming into the catalog: then it is asked again."""
    def same(got, wanted):
        return got.status == 200 and got.json == wanted.json and got.index == wanted.index
    for path in READS:
        for other in others:
            end = time.monotonic() + 60
            while True:
                wanted, got = leader.get(path), other.get(path)
                assert wanted.status == 200, (path, wanted.text)
                if same(got, wanted) or time.monotonic() > end:
                    break
                time.sleep(0.05)
            assert (got.status, got.json, got.index) == (200, wanted.json, wanted.index), (path, other.name)
            if "X-Consul-Index" in wanted.headers:
                assert got.headers["X-Consul-KnownLeader"] == "true", path
                assert got.headers["X-Consul-LastContact"] == "0", path


def a_follower_answers_as_the_leader(cluster):
    leader, followers = cluster.leader(), cluster.followers()
    fill(followers[0])
    same_answers(leader, followers)


def consistency_and_errors(cluster):
    follower = cluster.followers()[0]
    leader = cluster.leader()
    assert leader.put("/v1/kv/one", "1").status == 200
    assert follower.get("/v1/kv/one?consistent").status == 200
    until("stale", lambda: follower.get("/v1/kv/one?stale").status == 200)
    stale = follower.get("/v1/kv/one?stale")
    assert stale.headers["X-Consul-KnownLeader"] == "true"
    until("a contact of just now", lambda: 0 <= int(follower.get("/v1/kv/one?stale").headers["X-Consul-LastContact"]) < 2000)
    bad = {"Node": "x", "Address": "1.2.3.4", "Service": {"ID": "id-without-name"}}
    want = leader.put("/v1/catalog/register", bad)
    got = follower.put("/v1/catalog/register", bad)
    assert (want.status, got.status) == (500, 500)
    assert got.text == "rpc error making call: " + want.text
    assert follower.get("/v1/kv/one?dc=elsewhere").text == "No path to datacenter"


def waiting_through_a_follower(cluster):
    first, second = cluster.followers()[:2]
    assert first.put("/v1/kv/wait", "1").status == 200
    before = first.get("/v1/kv/wait")
    answers = {}

    def wait(server, how):
        answers[server.name, how] = server.get("/v1/kv/wait?index=%d&wait=90s%s" % (before.index, how), timeout=120)
    until("stale", lambda: all(s.get("/v1/kv/wait?stale").index == before.index for s in (first, second)))
    threads = [threading.Thread(target=wait, args=(server, how)) for server in (first, second) for how in ("", "&stale")]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    assert not answers
    assert second.put("/v1/kv/wait", "2").status == 200
    for thread in threads:
        thread.join(60)
    assert len(answers) == 4
    for got in answers.values():
        assert got.json[0]["Value"] == "Mg==" and got.index > before.index


def snapshots_through_a_follower(cluster):
    first, second = cluster.followers()[:2]
    assert first.put("/v1/kv/snap", "before").status == 200
    saved = first.get("/v1/snapshot")
    assert saved.status == 200 and saved.body[:2] == b"\x1f\x8b"
    assert saved.headers["X-Consul-KnownLeader"] == "true" and saved.index > 0
    assert second.put("/v1/kv/snap", "after").status == 200
    assert second.put("/v1/snapshot", saved.body, timeout=60).status == 200
    assert first.get("/v1/kv/snap?raw").text == "before"
    bad = first.put("/v1/snapshot", saved.body[:100])
    assert bad.status == 500, bad.text


def the_leader_is_killed(cluster):
    leader, followers = cluster.leader(), cluster.followers()
    follower = followers[0]
    assert follower.put("/v1/kv/gone", "1").status == 200
    index = follower.get("/v1/kv/gone").index
    got = []

    def wait():
        got.append(follower.get("/v1/kv/gone?index=%d&wait=500s" % index, timeout=600))
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.sleep(0.5)
    for _ in range(20):  # that it is under way: others that went the same way later are back
        assert follower.get("/v1/kv/gone").status == 200
    leader.kill()
    thread.join(60)  # well before its time
    assert [(answer.status, answer.text) for answer in got] == [(500, "rpc error making call: EOF")]
    until("stale", lambda: follower.get("/v1/kv/gone?stale").status == 200)
    until("the leader is missed", lambda: follower.get("/v1/status/leader").json != leader.raft)
    # What is asked while nobody leads is held until somebody does (who may lose it again, on a machine that is busy).
    def held():
        answer = follower.put("/v1/kv/gone", "2", timeout=90)
        assert answer.status == 200 or "leadership lost" in answer.text, answer.text
        return answer.status == 200
    until("a write", held, 120)
    new = cluster.wait_leader(but=leader.raft)
    assert new in followers
    for server in followers:
        assert server.get("/v1/kv/gone?raw", timeout=90).text == "2"


@pytest.mark.parametrize("cluster", CLUSTERS, indirect=True)
def test_followers(cluster):
    a_follower_answers_as_the_leader(cluster)
    consistency_and_errors(cluster)
    waiting_through_a_follower(cluster)
    snapshots_through_a_follower(cluster)
    the_leader_is_killed(cluster)


def test_without_a_quorum(agents, praetor_asan):
    # It is held for longer than by default (7 s), so that a machine that is slow does not look as if it were right.
    cluster = Cluster(agents, [praetor_asan] * 3, {"performance": {"raft_multiplier": 1, "rpc_hold_timeout": "10s"}})
    cluster.form()
    join(cluster)
    first, *others = cluster.servers
    written(first, "/v1/kv/alone", "1")
    until("stale", lambda: first.get("/v1/kv/alone?stale").status == 200)
    for other in others:
        other.kill()
    until("there is no leader", lambda: first.get("/v1/status/leader").json == "")
    began = time.monotonic()
    answer = first.get("/v1/kv/alone", timeout=60)
    took = time.monotonic() - began
    assert (answer.status, answer.text) == (500, "No cluster leader")
    assert took > 9.9
    stale = first.get("/v1/kv/alone?stale")
    assert stale.status == 200 and stale.headers["X-Consul-KnownLeader"] == "false"
    assert first.get("/v1/snapshot", timeout=60).text == "No cluster leader"
    assert first.get("/v1/snapshot?stale").status == 200


def client_of(agents, binary, cluster, name="client"):
    client = agents(binary, name=name, config={"server": False, "bootstrap_expect": 0,
                                               "retry_join": [s.ip for s in cluster.servers]})
    client.launch()

    def registered():
        try:
            return client.get("/v1/health/node/" + name, timeout=2).json
        except (OSError, ValueError):
            return False
    until("the client is in the catalog", registered)
    return client


def without_prefix(answer):
    return answer.text.replace("rpc error making call: ", "")


@pytest.mark.parametrize("cluster", ["ppp", "ccc", "cpc"], indirect=True)
def test_client_agents(cluster, agents, praetor_asan, peer):
    leader = cluster.leader()
    ours = client_of(agents, praetor_asan, cluster, "ours")
    theirs = client_of(agents, peer, cluster, "theirs")
    fill(ours)
    same_answers(leader, (ours, theirs))
    nameless = '{"Node":"x","Address":"1.2.3.4","Service":{"ID":"i"}}'
    for method, path, body in [("GET", "/v1/kv/one?dc=elsewhere", None), ("GET", "/v1/kv/none", None),
                               ("PUT", "/v1/catalog/register", nameless), ("GET", "/v1/catalog/node-services/", None),
                               ("PUT", "/v1/session/renew/adf4238a-882b-9ddc-4a9d-5b6758e4159e", None)]:
        got, want = ours.request(method, path, body=body), theirs.request(method, path, body=body)
        # The server asked may or may not lead: as many prefixes as calls.
        assert got.status == want.status, (path, got.text, want.text)
        assert without_prefix(got) == without_prefix(want), path
    saved = ours.get("/v1/snapshot")
    assert saved.status == 200 and saved.body[:2] == b"\x1f\x8b"
    assert ours.put("/v1/snapshot", saved.body, timeout=60).status == 200
    # Waiting, through clients of both kinds, for what the other writes.
    for waiter, writer in ((ours, theirs), (theirs, ours)):
        assert writer.put("/v1/kv/wait", writer.name).status == 200
        index = waiter.get("/v1/kv/wait").index
        got = []

        def wait():
            got.append(waiter.get("/v1/kv/wait?wait=90s&index=%d" % index, timeout=120))
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        assert not got
        assert writer.put("/v1/kv/wait", "again").status == 200
        thread.join(60)
        assert got[0].index > index
    # One server goes, perhaps the one that was asked: another one answers.
    cluster.wait_leader().kill()
    cluster.wait_leader(seconds=90)
    for client in (ours, theirs):
        written(client, "/v1/kv/after", client.name, 90)
        assert client.get("/v1/kv/after?raw").text == client.name
