"""Gossip where packets are lost: agents of both kinds in one pool. A killed member is found out, those that are alive are
not taken for dead, ours no more often than the peer's, and all see the same members at the end."""

import glob
import time

import pytest

from e2e import lossy
from e2e.harness import until

# Twice as fast as usual, so that a minute is worth two.
GOSSIP = {"probe_interval": "500ms", "probe_timeout": "250ms", "gossip_interval": "100ms"}

BUSY = 2.0  # seconds of a measurement that an agent may wait for the CPU; suspicions last as long as that


def waited(pool):
    """For how long each thread of the agents has waited for the CPU, in seconds."""
    most = {}
    for proc in pool.procs.values():
        for path in glob.glob("/proc/%d/task/*/schedstat" % proc.pid):
            try:
                with open(path, encoding="ascii") as handle:
                    most[path] = int(handle.read().split()[1]) / 1e9
            except OSError:
                pass  # the thread has ended
    return most


def measured(pool, seconds=20, times=6):
    """The wrong failures of that time. Agents that got no CPU are taken for dead rightly: then it is measured again."""
    for _ in range(times):
        before, had = pool.failures(), waited(pool)
        time.sleep(seconds)  # the measured time itself
        wrong, most = pool.failures() - before, waited(pool)
        longest = max(most[path] - had.get(path, 0) for path in most)
        print("an agent waited for the CPU for %.1f s" % longest)
        if longest < BUSY:
            break
    return wrong


def test_both_kinds_under_loss(praetor, peer, tmp_path):
    if not lossy.possible():
        pytest.skip("needs root and /dev/net/tun")
    net = lossy.LossyNet(8)
    pool = lossy.Pool(net, [praetor] * 4 + [peer] * 4, tmp_path, GOSSIP)
    try:
        for number in range(1, 9):
            pool.start(number)
        until("all see all", lambda: lossy.formed(pool), 120)
        net.loss = 0.20
        wrong = measured(pool)
        ours = sum(n for (_, whom), n in wrong.items() if whom in ("n1", "n2", "n3", "n4"))
        theirs = sum(wrong.values()) - ours
        print("wrong failures of ours %d, of the peer's %d; refutations %s" % (ours, theirs, dict(pool.refutations())))
        assert ours <= theirs + 2 and theirs <= 4
        # One of each kind dies; both kinds notice, in spite of the loss.
        pool.kill(4)
        pool.kill(8)
        left = (1, 2, 3, 5, 6, 7)
        until("both deaths known to all", lambda: not any({"n4", "n8"} & pool.alive(n) for n in left), 180)
        net.loss = 0
        until("all see the same", lambda: all(pool.alive(n) == {"n%d" % k for k in left} for n in left), 180)
    finally:
        pool.close()
        net.close()
