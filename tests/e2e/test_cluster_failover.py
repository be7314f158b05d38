"""Real processes, three and five servers: the leader dies, is paused, is cut off, while clients write. No acknowledged write
is lost, there is a new leader, and whoever was leader is not any more when it comes back."""

import os
import signal
import statistics
import subprocess
import sys
import time
import uuid

import pytest

from e2e.cluster import Cluster, Writers, keys_of, led_by, written
from e2e.harness import until


def check_nothing_lost(cluster, acknowledged, prefix="load"):
    """Every server that is up has every acknowledged write, and all have the same."""
    last = str(uuid.uuid4())
    written(cluster.alive()[0], "/v1/kv/last", last)
    for server in cluster.alive():  # who has this one has what was acknowledged before
        until("%s has it" % server.name, lambda: server.get("/v1/kv/last?raw&stale").text == last)
    held = {s.name: keys_of(s, prefix) for s in cluster.alive()}
    for name, keys in held.items():
        lost = {k: v for k, v in acknowledged.items() if keys.get(k) != v}
        assert not lost, "%s lost %d of %d: %r" % (name, len(lost), len(acknowledged), list(lost.items())[:5])

    def same():  # of what was not acknowledged some may be under way still
        keys = [keys_of(s, prefix) for s in cluster.alive()]
        return all(k == keys[0] for k in keys)
    until("all have the same", same)


def kill_leader(cluster, writers):
    """Seconds from the kill to a new leader; writes went on before and after."""
    writers.wait_for(50)
    old = cluster.wait_leader()
    began = time.monotonic()
    old.kill()
    cluster.wait_leader(but=old.raft)
    elected = time.monotonic() - began
    writers.wait_for(20)
    old.launch()
    cluster.wait_leader()
    return elected


@pytest.mark.parametrize("count", [3, 5])
def test_leader_is_killed(agents, praetor, praetor_asan, count):
    cluster = Cluster(agents, [praetor_asan if count == 3 else praetor] * count)
    cluster.form()
    writers = Writers(cluster)
    for _ in range(3):
        kill_leader(cluster, writers)
    acknowledged = writers.stop()
    assert len(acknowledged) > 200
    check_nothing_lost(cluster, acknowledged)


def test_as_fast_as_the_peer(agents, praetor, peer, capsys):
    """How long a cluster of each kind is without a leader, in the same run: printed. Only the shortest time of ours is judged: timers
    are random, and a machine that is busy makes the others longer."""
    took = {}
    for name, binary in (("praetor", praetor), ("peer", peer)):
        cluster = Cluster(agents, [binary] * 3, prefix=name)
        cluster.form()
        writers = Writers(cluster)
        took[name] = [kill_leader(cluster, writers) for _ in range(4)]
        check_nothing_lost(cluster, writers.stop())
        for server in cluster.servers:
            server.kill()
    with capsys.disabled():
        for name, seconds in took.items():
            print("\n%s: leader killed, new one after %s s (mean %.2f)" % (
                name, ", ".join("%.2f" % s for s in seconds), statistics.mean(seconds)), end="")
    assert min(took["praetor"]) < 6


def asked(server, path, value):
    """A server that does not know yet that it leads no more may refuse, but not answer with what was before."""
    try:
        answer = server.get(path)
    except OSError:
        return False
    if answer.status == 200:
        assert answer.json[0]["Value"] == value
    return answer.status == 200


def test_leader_is_paused(agents, praetor_asan):
    """A leader that stands still (SIGSTOP) for longer than it takes to elect another: when it goes on, it does not answer as if
    it still led."""
    cluster = Cluster(agents, [praetor_asan] * 3)
    cluster.form()
    writers = Writers(cluster)
    for _ in range(2):
        writers.wait_for(50)
        old = cluster.wait_leader()
        old.proc.send_signal(signal.SIGSTOP)
        others = [s for s in cluster.servers if s is not old]
        cluster.wait_leader(others, but=old.raft)
        written(others[0], "/v1/kv/after", "pause")
        old.proc.send_signal(signal.SIGCONT)
        until("it answers again", lambda: asked(old, "/v1/kv/after?consistent", "cGF1c2U="))
        cluster.wait_leader()
    check_nothing_lost(cluster, writers.stop())


# ---- a network namespace of the leader's own ----

def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


class Island:
    """A network namespace with one link to this one: 10.201.<n>.1 here, .2 there."""

    def __init__(self, tail):
        self.name, self.here, self.there = "praetor%d" % tail, "prt%da" % tail, "prt%db" % tail
        self.net = "10.201.%d." % (tail % 250)
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.here, "type", "veth", "peer", "name", self.there)
        run("ip", "link", "set", self.there, "netns", self.name)
        for host in (1, 3):
            run("ip", "addr", "add", "%s%d/24" % (self.net, host), "dev", self.here)
        run("ip", "link", "set", self.here, "up")
        for line in ("addr add %s2/24 dev %s" % (self.net, self.there), "link set %s up" % self.there, "link set lo up"):
            run("ip", "-n", self.name, *line.split())

    def cut(self, cut=True):
        run("ip", "link", "set", self.here, "down" if cut else "up")

    def inside(self, code):
        """Runs Python there."""
        return run("ip", "netns", "exec", self.name, sys.executable, "-c", code)

    def remove(self):
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
        subprocess.run(["ip", "link", "del", self.here], capture_output=True)


ASK = """
import http.client, sys
c = http.client.HTTPConnection(%r, 8500, timeout=60)
c.request(%r, %r, body=%r)
r = c.getresponse()
sys.stdout.write("%%d %%s" %% (r.status, r.read().decode()))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_leader_is_cut_off(agents, praetor_asan):
    """The leader keeps running behind a dead link: it steps down when its lease is over, acknowledges nothing more, and what it
    had taken without a quorum is gone when it is back."""
    island = Island(os.getpid() % 10000)
    try:
        cluster = Cluster(agents, [praetor_asan] * 3)
        for server, host in zip(cluster.servers, (2, 1, 3)):
            server.move("%s%d" % (island.net, host))
            server.raft = "%s:8300" % server.ip
        cluster.servers[0].prefix = ["ip", "netns", "exec", island.name]
        first, others = cluster.servers[0], cluster.servers[1:]
        cluster.form()
        writers = Writers(cluster)
        writers.wait_for(50)
        led_by(cluster, first)
        island.cut()
        lost = island.inside(ASK % (first.ip, "PUT", "/v1/kv/never", "x"))
        assert lost.startswith("500"), lost
        cluster.wait_leader(others, but=first.raft)
        written(others[0], "/v1/kv/after", "cut")
        until("it knows no leader", lambda: '""' in island.inside(ASK % (first.ip, "GET", "/v1/status/leader", None)))
        writers.wait_for(50)
        island.cut(False)
        cluster.wait_leader()  # whoever that is: it comes back with a higher term, so there is another election
        acknowledged = writers.stop()
        check_nothing_lost(cluster, acknowledged)
        for server in cluster.servers:
            assert server.get("/v1/kv/never?stale").status == 404
    finally:
        for server in cluster.servers:
            server.kill()
        island.remove()
