"""Gossip where packets are lost: agents of both kinds in one pool. A killed member is found out, those that are alive are
not taken for dead, ours no more often than the peer's, and all see the same members at the end."""

import glob
import time
import warnings

import pytest

from e2e import lossy
from e2e.harness import until

# Twice as fast as usual, so that a minute is worth two.
GOSSIP = {"probe_interval": "500ms", "probe_timeout": "250ms", "gossip_interval": "100ms"}

STILL = 1.0  # seconds without a step of an agent, which makes ten in each: less than any suspicion lasts


def steps(proc):
    """How often threads of that process have run, all in all."""
    total = 0
    for path in glob.glob("/proc/%d/task/*/schedstat" % proc.pid):
        try:
            with open(path, encoding="ascii") as handle:
                total += int(handle.read().split()[2])
        except OSError:
            pass  # the thread has ended
    return total


def longest_stillness(pool, seconds):
    """Lets the agents gossip for that long; the longest time in which one of them did not run at all, in seconds."""
    end, longest, last = time.monotonic() + seconds, 0.0, {}
    while time.monotonic() < end:
        for number, proc in pool.procs.items():
            now, count = time.monotonic(), steps(proc)
            if number not in last or last[number][0] != count:
                last[number] = (count, now)
            longest = max(longest, now - last[number][1])
        time.sleep(0.1)
    return longest


def measured(pool, seconds=20, times=8):
    """The wrong failures of that time. Who stands still, on a machine that is busy, is taken for dead rightly: then it is measured again,
    when the suspicions of this time are over. None: there was no such time in which all agents ran."""
    for _ in range(times):
        before = pool.failures()
        still = longest_stillness(pool, seconds)
        wrong = pool.failures() - before
        if still < STILL:
            return wrong
        print("an agent stood still for %.1f s: measured again" % still)
        longest_stillness(pool, 10)
    return None


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
        if wrong is None:
            warnings.warn("this machine is too busy to count wrong failures")
        else:
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
