"""A snapshot saved by us restores into the real peer and the other way round, with every record equal when listed."""

import os
import json

from e2e.harness import until

RECORDS = ["/v1/catalog/nodes", "/v1/catalog/service/web", "/v1/catalog/service/db", "/v1/health/state/any",
           "/v1/kv/?recurse", "/v1/session/list", "/v1/coordinate/nodes", "/v1/catalog/node/outside"]
SESSION_NODE = "outside"


def fill(agent):
    for n in range(40):
        agent.put(agent.key("app/%03d" % n), "value %d" % n)
    agent.put(agent.key("binary"), bytes(range(256)))
    agent.put(agent.key("empty"), b"")
    agent.put(agent.key("long/" + "k" * 1500), "a key longer than LMDB's limit")
    agent.put("/v1/kv/flags?flags=18446744073709551615", "x")
    agent.delete(agent.key("app/003"))
    agent.delete("/v1/kv/app/01?recurse")
    assert agent.put("/v1/catalog/register", {
        "Node": "outside", "Address": "10.1.2.3", "ID": "6f3b3d3e-1111-4222-8333-944455556666",
        "TaggedAddresses": {"lan": "10.1.2.3", "wan": "1.2.3.4"}, "NodeMeta": {"rack": "7"},
        "Service": {"ID": "web-1", "Service": "web", "Tags": ["a", "b"], "Port": 80, "Meta": {"m": "1"},
                    "Weights": {"Passing": 7, "Warning": 2}, "TaggedAddresses": {"wan": {"Address": "9.9.9.9", "Port": 99}}},
        "Checks": [{"CheckID": "node-check", "Name": "node check", "Status": "passing", "Output": "ünïcode \u2028"},
                   {"CheckID": "web-check", "Name": "web check", "Status": "warning", "ServiceID": "web-1",
                    "Definition": {"HTTP": "http://x/", "Interval": "10s", "Header": {"h": ["1", "2"]}}}]}).status == 200
    assert agent.put("/v1/catalog/register", {
        "Node": "outside", "Address": "10.1.2.3", "SkipNodeUpdate": True,
        "Service": {"Service": "db", "Port": 5432, "Kind": "connect-proxy",
                    "Proxy": {"DestinationServiceName": "web", "Config": {"n": 1.5, "deep": {"list": [1, "x", True]}}}}}).status == 200
    session = agent.put("/v1/session/create", {"Node": SESSION_NODE, "Name": "lock", "TTL": "3600s",
                                               "NodeChecks": ["node-check"]}).json["ID"]
    assert agent.put("/v1/kv/locked?acquire=" + session, "mine").body.strip() == b"true"
    agent.put("/v1/txn", [{"KV": {"Verb": "set", "Key": "txn/a", "Value": "YQ=="}},
                          {"KV": {"Verb": "set", "Key": "txn/b", "Value": "Yg=="}}])
    agent.put("/v1/coordinate/update", {"Node": "outside", "Coord": {
        "Vec": [0.1, 0.2, 0.3, 0, 0, 0, 0, 0], "Error": 1.5, "Adjustment": 0.001, "Height": 0.0001}})
    # Servers write coordinates some seconds later, all together.
    until("its coordinate", lambda: "outside" in {c["Node"] for c in agent.get("/v1/coordinate/nodes").json or []})


def listed(agent, own_nodes):
    """Everything that came with the archive: what the agents say of themselves differs by nature."""
    out = {}
    for path in RECORDS:
        got = agent.get(path + ("&" if "?" in path else "?") + "stale")
        records = json.loads(got.body) if got.body else None
        if isinstance(records, list):
            records = [r for r in records if r.get("Node") not in own_nodes]
        out[path] = records
    return out


def carry_over(source, target):
    fill(source)
    before = listed(source, {source.name, target.name})
    archive = source.get("/v1/snapshot")
    assert archive.status == 200 and archive.body[:2] == b"\x1f\x8b"
    target.put(target.key("not/in/the/archive"), "x")
    restored = target.put("/v1/snapshot", archive.body)
    assert restored.status == 200, restored.text
    after = listed(target, {source.name, target.name})
    for path, records in before.items():
        assert after[path] == records, path
    assert target.get(target.key("not/in/the/archive")).status == 404
    # and it goes on working
    assert target.put(target.key("after"), "1").body.strip() == b"true"
    assert target.get(target.key("after") + "?raw").body == b"1"


def test_ours_into_the_peer(praetor, peer, agents):
    carry_over(agents(praetor, name="ours").start(), agents(peer, name="theirs").start())


def test_the_peers_into_ours(praetor, peer, agents):
    ours = agents(praetor, name="ours").start()
    carry_over(agents(peer, name="theirs").start(), ours)
    # what was restored survives a crash
    ours.kill()
    ours.start()
    assert ours.get(ours.key("binary") + "?raw").body == bytes(range(256))
    assert ours.get(ours.key("long/" + "k" * 1500) + "?raw").status == 200


def test_archive_with_the_command_line(praetor, peer, agents, tmp_path):
    ours = agents(praetor, name="ours").start()
    ours.put(ours.key("k"), "v")
    file = str(tmp_path / "backup.snap")
    saved = ours.cli("snapshot", "save", file)
    assert saved.returncode == 0, saved
    assert b"Saved and verified snapshot" in saved.stdout
    assert os.stat(file).st_mode & 0o777 == 0o600  # it holds all secrets
    inspected = ours.cli("snapshot", "inspect", file)
    assert inspected.returncode == 0 and b"KVS" in inspected.stdout or b"Version" in inspected.stdout, inspected
    theirs = agents(peer, name="theirs").start()
    assert theirs.cli("snapshot", "restore", file).returncode == 0
    assert theirs.get(theirs.key("k") + "?raw").body == b"v"
