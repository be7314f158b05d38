"""Clusters whose leader stays, however slow the machine is: for tests in which no request may fail. One server bootstraps alone and at
once, as in cluster.py; all three then count in long times (10 s without a heartbeat, a lease of 5 s)."""

from e2e.cluster import write_peers
from e2e.harness import until

MULTIPLIER = 10
PATIENCE = 120  # s, where nothing but a slow machine takes long


def form(cluster, ready=None, multiplier=MULTIPLIER):
    """ready(server): whether the first one, which starts alone, has what it is to have; that it leads if there is none. The leader."""
    first = cluster.servers[0]
    first.launch()
    if ready is None:
        first.wait_leader(PATIENCE)
    else:
        until("%s is ready" % first.name, lambda: ready(first), PATIENCE)
    first.stop(PATIENCE)
    write_peers(first, cluster.peers())
    for server in cluster.servers:
        server.configure(dict(server.conf, retry_join=[s.ip for s in cluster.servers], retry_interval="1s",
                              performance={"raft_multiplier": multiplier}))
    for server in cluster.servers[1:] + [first]:
        server.launch()
    return cluster.wait_leader(seconds=PATIENCE)
