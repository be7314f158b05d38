"""Outage recovery: raft/peers.json in both formats, and what is said when it cannot be used, compared with the peer; a
cluster without a quorum; an archive restored into a new cluster."""

import os
import re

import pytest

from e2e.cluster import STEADY, Cluster, keys_of, raft_stats, same_state, wait_applied, write_peers, written
from e2e.harness import until
from e2e.test_snapshot_with_peer import fill

ID = "aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb"


def read(path):
    with open(path) as handle:
        return handle.read()


def recovered_alone(server):
    """As an operator after losing the others for good."""
    server.wait_leader(60)
    assert raft_stats(server)["state"] == "Leader"
    assert not os.path.exists(os.path.join(server.data, "raft", "peers.json"))
    log = server.tail(1 << 20)
    assert "agent.server: found peers.json file, recovering Raft configuration..." in log
    assert "agent.server: deleted peers.json file after successful recovery" in log


@pytest.mark.parametrize("protocol", [3, 2])
def test_two_of_three_are_gone(agents, praetor_asan, protocol):
    cluster = Cluster(agents, [praetor_asan] * 3, config={**STEADY, "raft_protocol": protocol})
    if protocol == 2:
        cluster.peers = lambda: [s.raft for s in cluster.servers]
    leader = cluster.form(seconds=90)
    fill(leader)
    assert leader.put("/v1/kv/chunked", "c" * 700000).status in (200, 413)
    wait_applied(cluster.servers, int(raft_stats(leader)["last_log_index"]), seconds=60)
    last = cluster.servers[2]
    before = keys_of(last, "")
    for server in cluster.servers:
        server.kill()
    write_peers(last, [last.raft] if protocol == 2 else cluster.peers([last]))
    last.launch()
    recovered_alone(last)
    assert keys_of(last, "", stale=False) == before
    stats = raft_stats(last)
    assert stats["num_peers"] == "0" and stats["protocol_version"] == str(protocol)
    assert last.put("/v1/kv/goes/on", "1").body.strip() == b"true"
    # what it became stays: also after a crash
    last.kill()
    last.start(60)
    assert last.get("/v1/kv/goes/on?raw").body == b"1" and keys_of(last, "app", stale=False)


def test_texts_and_files(agents, praetor, peer):
    """The same peers.json given to both: the same words."""
    bad = ["", "{", "[]", "null", "xyz", "7", '"x"', "[1]", "[null]", '["1.2.3.4:8300"]', '{"a":1}', '[{"id":"","address":"1.2.3.4:8300"}]',
           '[{"id":"x","address":""}]', '[{"id":"x","address":null}]', '[{"id":1,"address":"1.2.3.4:8300"}]', '[{"id":"a",}]',
           '[{"id":"a","address":["x"]}]', '[{"id":"a","address":"1.2.3.4:5","non_voter":"yes"}]',
           '[{"id":"a","address":"1.2.3.4:5"},{"id":"a","address":"1.2.3.4:6"}]',
           '[{"id":"a","address":"1.2.3.4:5"},{"id":"b","address":"1.2.3.4:5"}]', '[{"id":"a","address":"1.2.3.4:5","non_voter":true}]',
           '[{"ID":"a","id":"b","ADDRESS":"1.2.3.4:5","non_voter":true}]']
    said = {}
    for name, binary in (("ours", praetor), ("theirs", peer)):
        server = agents(binary, name=name, config={"node_id": ID})
        server.start()
        server.stop()
        info = read(os.path.join(server.data, "raft", "peers.info"))
        mode = os.stat(os.path.join(server.data, "raft", "peers.info")).st_mode & 0o777
        errors = [refusal(server, text) for text in bad]
        fresh = agents(binary, name=name + "-fresh", config={"bootstrap_expect": 0})
        os.makedirs(os.path.join(fresh.data, "raft"))
        write_peers(fresh, [])
        fresh.launch()
        until("peers.json is deleted", lambda: "deleted peers.json file (see peers.info for details)" in fresh.tail(1 << 20))
        fresh.kill()
        errors.append(refusal(fresh, '[{"id":"a","address":"1.2.3.4:5"}]'))
        said[name] = (info, mode, errors)
    assert said["ours"][:2] == said["theirs"][:2]
    for text, ours, theirs in zip(bad + ["no state"], said["ours"][2], said["theirs"][2]):
        assert ours == theirs, text


def refusal(server, text):
    with open(os.path.join(server.data, "raft", "peers.json"), "w") as handle:
        handle.write(text)
    start = os.path.getsize(server.log)
    server.launch()
    assert server.proc.wait(60) == 1
    with open(server.log) as handle:
        handle.seek(start)
        return re.search(r'Error starting agent: error="(.*)"', handle.read()).group(1)


def test_a_peers_data_is_refused(agents, praetor, peer):
    theirs = agents(peer, name="one")
    theirs.start()
    theirs.stop()
    ours = agents(praetor, name="other")
    os.rename(theirs.data, ours.data)
    ours.launch()
    assert ours.proc.wait(60) == 1
    assert "raft.db was written by Consul" in ours.tail()


def test_no_quorum(agents, praetor, peer):
    """One of three is left: what it says is what the peer says."""
    said = {}
    for name, binary in (("ours", praetor), ("theirs", peer)):
        cluster = Cluster(agents, [binary] * 3, prefix=name, config={
            "performance": {"raft_multiplier": 5, "rpc_hold_timeout": "300ms"}})
        written(cluster.form(seconds=90), "/v1/kv/a", "x")
        for server in cluster.servers:
            until("all have it", lambda: server.get("/v1/kv/a?stale").status == 200)
        leader = cluster.wait_leader()
        for server in cluster.servers:
            if server is not leader:
                server.kill()
        until("it knows that it does not lead", lambda: leader.get("/v1/status/leader").body.strip() == b'""')
        said[name] = [(path, answer.status, answer.body.strip()) for path in
                      ("/v1/kv/a", "/v1/kv/a?raw&stale", "/v1/kv/a?consistent", "/v1/catalog/nodes", "/v1/status/leader",
                       "/v1/operator/raft/configuration") for answer in [leader.get(path)]]
        answer = leader.put("/v1/kv/b", "x")
        said[name].append(("PUT", answer.status, answer.body.strip()))
        for line in ("[WARN]  agent.server.raft: failed to contact quorum of nodes, stepping down", "agent.server: cluster leadership lost",
                     "[WARN]  agent.server.raft: Election timeout reached, restarting election",
                     "[ERROR] agent.server.raft: failed to make requestVote RPC: target="):
            until(line, lambda: line in leader.tail(1 << 22), 60)
        for server in cluster.servers:
            server.kill()
    assert said["ours"] == said["theirs"]


def test_archive_into_a_new_cluster(agents, praetor_asan):
    source = agents(praetor_asan, name="source").start()
    fill(source)
    archive = source.get("/v1/snapshot").body
    wanted = keys_of(source, "")
    source.kill()
    cluster = Cluster(agents, [praetor_asan] * 3, config=STEADY)
    leader = cluster.form(seconds=90)
    written(leader, "/v1/kv/not/in/it", "x")
    answer = leader.put("/v1/snapshot", archive, timeout=60)
    assert answer.status == 200, answer.text
    written(leader, "/v1/kv/behind", "1")
    wait_applied(cluster.servers, int(raft_stats(leader)["last_log_index"]), seconds=60)
    for server in cluster.servers:
        assert keys_of(server, "") == dict(wanted, behind="1"), server.name
    same_state(cluster.servers)
    leader.kill()
    cluster.wait_leader(but=leader.raft, seconds=90)
    for server in cluster.alive():
        assert keys_of(server, "") == dict(wanted, behind="1"), server.name
