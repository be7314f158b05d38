"""Clusters in which a test presumes who leads, or that nobody else does meanwhile, on machines where any process may stand still
for a few seconds: leases that last that long, and a leader that is waited for instead of hoped for."""

import signal

from e2e.harness import until

# A lease of 2.5 s, elections after 5 to 10 s, as the peer has them by default. The harness takes a fifth of that, which is right
# only where elections are what is tested.
STEADY = {"performance": {"raft_multiplier": 5}}


def led_by(cluster, wanted, seconds=240):
    """Until that server leads: whoever else does stands still until another one is elected. Returns it."""
    def leads():
        leader = cluster.wait_leader(seconds=90)
        if leader is wanted:
            return True
        leader.proc.send_signal(signal.SIGSTOP)
        try:
            cluster.wait_leader([s for s in cluster.alive() if s is not leader], seconds=90, but=leader.raft)
        finally:
            leader.proc.send_signal(signal.SIGCONT)
        return False
    until("%s leads" % wanted.name, leads, seconds)
    return wanted


def formed(cluster, **more):
    """As cluster.form(), and its first server leads, which is returned."""
    cluster.form(seconds=90, **more)
    return led_by(cluster, cluster.servers[0])


def written(server, path, body, seconds=60):
    """Until that is written through this server (again, if need be: of a write during an election nobody knows what came of it)."""
    def done():
        try:
            answer = server.put(path, body)
        except OSError:
            return False
        return answer.status == 200 and answer.body.strip() == b"true"
    until("%s writes %s" % (server.name, path), done, seconds)
