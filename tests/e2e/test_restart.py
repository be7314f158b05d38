"""Restarts: after kill -9 on the same boot the state serves as it stands; after the loss of the state store it is rebuilt from
snapshot and log; after a clean stop nothing is missing. A second agent on the same data directory or port is refused."""

import os
import shutil

from e2e.harness import TERMINATED, until


def fill(agent, count):
    for start in range(0, count, 64):
        ops = [{"KV": {"Verb": "set", "Key": "k/%07d" % n, "Value": "dmFsdWU="}} for n in range(start, min(start + 64, count))]
        assert agent.put("/v1/txn", ops).status == 200


def state(agent):
    got = agent.get("/v1/kv/?recurse")
    return got.index, got.json


def test_after_kill_9(praetor, agents):
    agent = agents(praetor, config={"raft_snapshot_threshold": 16384}).start()
    fill(agent, 5000)
    before = state(agent)
    agent.kill()
    agent.start()
    assert state(agent) == before


def test_rebuilt_when_the_state_store_is_lost(praetor, agents):
    agent = agents(praetor).start()
    fill(agent, 2000)
    agent.put("/v1/snapshot", agent.get("/v1/snapshot").body)  # leaves a raft snapshot
    fill(agent, 500)
    before = state(agent)
    assert agent.stop(60) == TERMINATED
    store = [os.path.join(folder, name) for folder, _, names in os.walk(agent.data) for name in names if name == "data.mdb"]
    assert store, "where is the state store?"
    shutil.rmtree(os.path.dirname(store[0]))
    agent.start()
    assert state(agent) == before


def test_the_term_and_index_go_on(praetor, agents):
    agent = agents(praetor).start()
    last = 0
    for _ in range(3):
        agent.put(agent.key("k"), "x%d" % last)
        index = agent.get(agent.key("k")).json[0]["ModifyIndex"]
        assert index > last
        last = index
        assert agent.stop(60) == TERMINATED
        agent.start()


def test_a_second_agent_is_refused(praetor, agents):
    agent = agents(praetor).start()
    second = agents(praetor, name="n2")
    second.config = agent.config
    second.launch()
    assert second.proc.wait(60) == 1
    assert "address already in use" in second.tail() or "lock" in second.tail()
    until("the first goes on", lambda: agent.get("/v1/status/leader").status == 200)
