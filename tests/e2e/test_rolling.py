"""A cluster of real Consul servers is replaced by ours, one server at a time, and back again, as an operator does it: the new
server joins and is promoted, then the old one leaves. Meanwhile writes of every kind go on and clients of both kinds are served."""

import json
import threading
import time

from e2e.cluster import keys_of, raft_stats, wait_applied
from e2e.harness import PATIENCE, until

AUTOPILOT = {"server_stabilization_time": "1s", "last_contact_threshold": "10s"}


def server(agents, binary, name, joins, expect=0):
    return agents(binary, name=name, config={
        "server": True, "bootstrap_expect": expect, "retry_join": joins, "retry_interval": "1s", "autopilot": AUTOPILOT,
        "performance": {"raft_multiplier": 4, "leave_drain_time": "500ms"}})


def client(agents, binary, name, joins):
    return agents(binary, name=name, config={"server": False, "bootstrap_expect": 0, "retry_join": joins,
                                             "retry_interval": "1s"})


def voters(agent):
    try:
        answer = agent.get("/v1/operator/raft/configuration?stale")
        return {s["Node"] for s in answer.json["Servers"] or [] if s["Voter"]} if answer.status == 200 else None
    except OSError:
        return None


class Traffic:
    """Writes of every kind through the given agents, each thing once, and reads whose index must not fall."""

    KINDS = ("kv", "service", "session", "query", "txn")

    def __init__(self, through):
        self.through, self.done, self.errors, self.fell = through, {kind: [] for kind in self.KINDS}, [], []
        self.reads = {agent.name: 0 for agent in through}
        self.gap = {agent.name: 0.0 for agent in through}
        self._stop, self._lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self._write, args=(kind, i), daemon=True) for i, kind in enumerate(self.KINDS)]
        self.threads += [threading.Thread(target=self._read, args=(agent,), daemon=True) for agent in through]
        for thread in self.threads:
            thread.start()

    def _once(self, agent, kind, n):
        name = "%s-%d" % (kind, n)
        if kind == "kv":
            return agent.put("/v1/kv/roll/" + name, name)
        if kind == "service":
            return agent.put("/v1/catalog/register", {"Node": "node-" + name, "Address": "10.1.2.3", "Service": {"Service": name}})
        if kind == "session":
            return agent.put("/v1/session/create", {"Name": name, "Node": agent.name, "Checks": []})
        if kind == "query":
            return agent.request("POST", "/v1/query", body=json.dumps({"Name": name, "Service": {"Service": "x"}}))
        return agent.put("/v1/txn", [{"KV": {"Verb": "set", "Key": "roll/" + name, "Value": ""}}])

    def _write(self, kind, number):
        n, at = 0, number
        while not self._stop.is_set():
            try:
                answer = self._once(self.through[at % len(self.through)], kind, n)
                ok = answer.status == 200
                # A name that is taken was written by a try whose answer got lost.
                taken = kind == "query" and "aliases an existing query" in answer.text
            except OSError:
                ok = taken = False
            if ok or taken:
                with self._lock:
                    self.done[kind].append(n)
                n += 1
            else:
                at += 1
            time.sleep(0.02)

    def _read(self, agent):
        highest, last_ok = 0, time.monotonic()
        while not self._stop.is_set():
            try:
                # Consistent: a leader that is none any more, but does not know it yet, may answer other reads with what was.
                answer = agent.get("/v1/kv/roll/?keys&consistent", timeout=15)
            except OSError:
                answer = None
            now = time.monotonic()
            if answer is not None and answer.status == 200:
                if answer.index < highest:
                    self.fell.append((agent.name, highest, answer.index))
                highest = max(highest, answer.index)
                self.gap[agent.name] = max(self.gap[agent.name], now - last_ok)
                self.reads[agent.name] += 1
                last_ok = now
            time.sleep(0.02)

    def counts(self):
        """Of the reads through each client and the writes of each kind."""
        return [self.reads[agent.name] for agent in self.through] + [len(self.done[kind]) for kind in self.KINDS]

    def goes_on(self, more):
        """Waits until each has so many more."""
        before = self.counts()
        until("%d more of each" % more, lambda: all(n >= b + more for n, b in zip(self.counts(), before)))

    def stop(self):
        self._stop.set()
        for thread in self.threads:
            thread.join(PATIENCE)


def replace(cluster, old, new):
    """new joins and becomes a voter; then old leaves."""
    new.launch()
    until("%s is a voter" % new.name, lambda: new.name in (voters(new) or ()), 2 * PATIENCE)
    cluster.append(new)
    assert old.put("/v1/agent/leave", timeout=PATIENCE).status == 200
    cluster.remove(old)
    until("%s is no server any more" % old.name, lambda: (names := voters(new)) and old.name not in names)
    old.proc.wait(PATIENCE)


def test_servers_are_replaced_and_back(agents, praetor, peer):
    cluster = []
    for i in range(3):
        cluster.append(server(agents, peer, "peer%d" % i, [c.ip for c in cluster], expect=3))
    for s in cluster:
        s.launch()
    for s in cluster:
        s.wait_leader()
    joins = [s.ip for s in cluster]
    clients = [client(agents, peer, "client-peer", joins), client(agents, praetor, "client-ours", joins)]
    for c in clients:
        c.launch()
        c.wait_leader()
    traffic = Traffic(clients)
    for i in range(3):
        replace(cluster, cluster[0], server(agents, praetor, "ours%d" % i, [c.ip for c in cluster]))
        traffic.goes_on(9)
    assert {s.name for s in cluster} == {"ours0", "ours1", "ours2"}
    for i in range(3):
        replace(cluster, cluster[0], server(agents, peer, "again%d" % i, [c.ip for c in cluster]))
        traffic.goes_on(9)
    traffic.stop()
    print("not served for", traffic.gap)

    assert not traffic.fell, "an index went backwards: %s" % traffic.fell[:5]
    for c in clients:
        assert traffic.reads[c.name] > 50, "%s was hardly served: %d reads" % (c.name, traffic.reads[c.name])
        assert traffic.gap[c.name] < PATIENCE / 2, "%s was not served for %.1f s" % (c.name, traffic.gap[c.name])
    for kind in traffic.KINDS:
        assert len(traffic.done[kind]) > 20, "%s: only %d writes" % (kind, len(traffic.done[kind]))
    check_nothing_lost(cluster, traffic)


def check_nothing_lost(cluster, traffic):
    wait_applied(cluster, max(int(raft_stats(s)["commit_index"]) for s in cluster), PATIENCE)
    for s in cluster:
        keys = keys_of(s, "roll/")
        assert all(keys.get("roll/kv-%d" % n) == "kv-%d" % n for n in traffic.done["kv"]), s.name
        assert all("roll/txn-%d" % n in keys for n in traffic.done["txn"]), s.name
        services = s.get("/v1/catalog/services?stale").json
        assert all("service-%d" % n in services for n in traffic.done["service"]), s.name
        queries = {q["Name"] for q in s.get("/v1/query?stale").json}
        assert all("query-%d" % n in queries for n in traffic.done["query"]), s.name
        sessions = {e["Name"] for e in s.get("/v1/session/list?stale").json}
        assert all("session-%d" % n in sessions for n in traffic.done["session"]), s.name
