"""Several servers, of either binary, brought together by raft/peers.json: the first one bootstraps alone, then learns who
else belongs to it; the others start with nothing, vote for it and get its snapshot. Names, addresses and IDs are fixed, so
that a server that comes back is the same one."""

import http.client
import json
import os
import signal
import threading
import time
import uuid

from e2e.harness import PATIENCE, until

RAFT_PORT = 8300
CONFIG_ENTRY = 22  # type of a snapshot record

# A lease of 2.5 s, elections after 5 to 10 s, as the peer has them by default: whose processes may stand still for that long
# without another leader. The harness takes a fifth of it, which is right only where elections are what is tested.
STEADY = {"performance": {"raft_multiplier": 5}}

# Who joins does not vote, and stays so: the server that was there first leads whatever the machine does to its processes.
NO_PROMOTION = {"cleanup_dead_servers": False, "server_stabilization_time": "24h"}


class Cluster:
    """agents: the fixture. binaries: one a server, the first of them leads at the beginning (it alone has data then).
    only_first_votes: for tests that are not about elections; then it leads for ever."""

    def __init__(self, agents, binaries, config=None, prefix="s", only_first_votes=False):
        self.servers, self.only_first_votes = [], only_first_votes
        for i, binary in enumerate(binaries):
            own = {"node_id": str(uuid.uuid4()), "bootstrap_expect": 1 if i == 0 else 0, "autopilot": (
                NO_PROMOTION if only_first_votes else {"cleanup_dead_servers": False})}
            own.update(config or {})
            server = agents(binary, name="%s%d" % (prefix, i + 1), config=own)
            server.id, server.raft = own["node_id"], "%s:%d" % (server.ip, RAFT_PORT)
            self.servers.append(server)

    def peers(self, servers=None):
        return [{"id": s.id, "address": s.raft, "non_voter": self.only_first_votes and s is not self.servers[0]}
                for s in servers or self.servers]

    def form(self, seconds=PATIENCE, join=True, ready=None, multiplier=None):
        """All start; returns the leader, when every server knows it. join: in gossip too, so that calls are forwarded.
        ready(server): whether the first one, which starts alone, has what it is to have; that it leads if there is none.
        multiplier: of all times in Raft from when they are together; a leader with STEADY's or more stays."""
        first = self.servers[0]
        if ready is None:
            first.start(seconds)
        else:
            first.launch()
            until("%s is ready" % first.name, lambda: ready(first), seconds)
        first.stop()
        write_peers(first, self.peers())
        more = dict({"retry_join": [s.ip for s in self.servers], "retry_interval": "1s"} if join else {},
                    **({"performance": {"raft_multiplier": multiplier}} if multiplier else {}))
        for server in self.servers if more else []:
            server.configure(dict(server.conf, **more))
        for server in self.servers[1:] + [first]:
            server.launch()
        return self.wait_leader(seconds=seconds)

    def alive(self):
        return [s for s in self.servers if s.proc is not None and s.proc.poll() is None]

    def leader_seen_by(self, server):
        try:
            return json.loads(server.get("/v1/status/leader", timeout=5).body or b'""')
        except (OSError, http.client.HTTPException, ValueError):
            return ""

    def wait_leader(self, servers=None, seconds=PATIENCE, but=None):
        """Until all of them name the same leader, not `but`'s address; returns that server."""
        def agreed():
            seen = {self.leader_seen_by(s) for s in servers or self.alive()}
            address = seen.pop() if len(seen) == 1 else ""
            return [s for s in self.servers if s.raft == address and address != but]
        return until("one leader", agreed, seconds)[0]

    def leader(self):
        return self.wait_leader()

    def followers(self):
        leader = self.leader()
        return [s for s in self.alive() if s is not leader]


def led_by(cluster, wanted, seconds=240):
    """Until that server leads: whoever else does stands still until another one is elected. Returns it."""
    def leads():
        leader = cluster.wait_leader()
        if leader is wanted:
            return True
        leader.proc.send_signal(signal.SIGSTOP)
        try:
            cluster.wait_leader([s for s in cluster.alive() if s is not leader], but=leader.raft)
        finally:
            leader.proc.send_signal(signal.SIGCONT)
        return False
    until("%s leads" % wanted.name, leads, seconds)
    return wanted


def formed(cluster, **more):
    """As cluster.form(), and its first server leads, which is returned."""
    cluster.form(**more)
    return led_by(cluster, cluster.servers[0])


def written(server, path, body, seconds=PATIENCE):
    """Until that is written through this server (again, if need be: of a write during an election nobody knows what came of it)."""
    def done():
        try:
            answer = server.put(path, body)
        except OSError:
            return False
        return answer.status == 200 and answer.body.strip() == b"true"
    until("%s writes %s" % (server.name, path), done, seconds)


def write_peers(server, entries):
    with open(os.path.join(server.data, "raft", "peers.json"), "w") as handle:
        json.dump(entries, handle)


def raft_stats(server):
    return server.get("/v1/agent/self").json["Stats"]["raft"]


def wait_applied(servers, index, seconds=PATIENCE):
    def reached(server):
        try:
            return int(raft_stats(server)["applied_index"]) >= index
        except OSError:
            return False  # not up yet
    for server in servers:
        until("%s applies %d" % (server.name, index), lambda: reached(server), seconds)


class Writers:
    """Threads that write one key after the other to whoever answers, and remember what was acknowledged."""

    def __init__(self, cluster, count=4, prefix="load"):
        self.cluster, self.prefix = cluster, prefix
        self.acknowledged, self.failed, self.last_ok = {}, 0, 0.0
        self._stop, self._lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        n, at = 0, number
        while not self._stop.is_set():
            key, value = "%s/%d/%d" % (self.prefix, number, n), "%d-%d" % (number, n)
            servers = self.cluster.servers
            try:
                answer = servers[at % len(servers)].put("/v1/kv/" + key, value, timeout=5)
                ok = answer.status == 200 and answer.body.strip() == b"true"
            except (OSError, http.client.HTTPException):
                ok = False
            with self._lock:
                if ok:
                    self.acknowledged[key] = value
                    self.last_ok = time.monotonic()
                else:
                    self.failed += 1
            if ok:
                n += 1
            else:
                at += 1
                time.sleep(0.01)

    def count(self):
        with self._lock:
            return len(self.acknowledged)

    def wait_for(self, more, seconds=PATIENCE):
        before = self.count()
        until("%d more writes" % more, lambda: self.count() >= before + more, seconds)

    def stop(self):
        self._stop.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        return self.acknowledged


def keys_of(server, prefix, stale=True):
    """All keys and values below a prefix as that server has them."""
    import base64
    answer = server.get("/v1/kv/%s?recurse%s" % (prefix, "&stale" if stale else ""))
    if answer.status == 404:
        return {}
    assert answer.status == 200, answer.text
    return {e["Key"]: base64.b64decode(e["Value"] or "").decode("latin-1") for e in answer.json}


# ---- what a server holds, whatever its kind ----

def _plain(value):
    """Maps without their order, so that two decodings compare."""
    from e2e import rpc_wire
    if isinstance(value, rpc_wire.Map):
        return {k: _plain(v) for k, v in value}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def state_of(server, token=None):
    """The records of state.bin (fsm.md 7), as (type, value), and the raft index that they are of."""
    import io
    import tarfile
    from e2e import rpc_wire
    headers = {"X-Consul-Token": token} if token else {}
    answer = server.get("/v1/snapshot?stale", headers=headers)
    assert answer.status == 200 or "wait until the configuration" in answer.text, answer.text
    if answer.status != 200:
        return 0, [answer.text]
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        meta = json.load(archive.extractfile("meta.json"))
        raw = archive.extractfile("state.bin").read()
    header, at = rpc_wire.decode(raw)
    records = [(-1, _plain(header))]
    while at < len(raw):
        kind = raw[at]
        value, at = rpc_wire.decode(raw, at + 1)
        # configuration entries are maps in raw strings, of which each writer has its own order
        records.append((kind, _plain(rpc_wire.opened(value) if kind == CONFIG_ENTRY else value)))
    return meta["Index"], records


def same_state(servers, seconds=PATIENCE, token=None):
    """Until all hold the same records at the same index; returns them."""
    last = {}

    def equal():
        states = [state_of(s, token) for s in servers]
        last.update(zip((s.name for s in servers), states))
        return states[0][1] if all(s == states[0] for s in states) else None
    try:
        return until("the same state", equal, seconds)
    except AssertionError:
        names = sorted(last)
        raise AssertionError("states differ: " + differences(last[names[0]], last[names[-1]])) from None


def differences(a, b):
    if a[0] != b[0]:
        return "indexes %d and %d" % (a[0], b[0])
    return repr([(x, y) for x, y in zip(a[1], b[1]) if x != y][:4]) + " lengths %d, %d" % (len(a[1]), len(b[1]))
