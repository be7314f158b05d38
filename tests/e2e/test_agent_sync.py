"""Anti-entropy among several servers: what agents register, change and remove while there is no leader reaches the catalog
once there is one; what somebody else changes in the catalog is put right; an agent that was down finds its way back."""

from e2e.cluster import Cluster
from e2e.harness import until

CONFIG = {"check_update_interval": "0s"}


def statuses(server, node):
    return {c["CheckID"]: c["Status"] for c in server.get("/v1/health/node/%s?stale" % node).json}


def services(server, node):
    return set(server.get("/v1/catalog/node/%s?stale" % node).json["Services"])


def test_while_there_is_no_leader(praetor_asan, agents):
    cluster = Cluster(agents, [praetor_asan] * 3, config=CONFIG)
    leader = cluster.form()
    agent, other = cluster.followers()
    node = agent.name
    for name in ("stays", "goes"):
        assert agent.put("/v1/agent/service/register", {"Name": name, "Check": {"TTL": "1h"}}).status == 200
    until("both in the catalog", lambda: {"stays", "goes"} <= services(other, node))
    leader.kill()
    # All of these answer at once: what the agent holds is its own.
    assert agent.put("/v1/agent/service/register", {"Name": "comes", "Check": {"TTL": "1h", "Status": "passing"}}).status == 200
    assert agent.put("/v1/agent/check/pass/service:stays?note=well").status == 200
    assert agent.put("/v1/agent/service/deregister/goes").status == 200
    assert set(agent.get("/v1/agent/services").json) == {"stays", "comes"}
    until("the catalog has caught up", lambda: services(other, node) - {"consul"} == {"stays", "comes"})
    until("the checks too", lambda: {k: v for k, v in statuses(other, node).items() if k != "serfHealth"} ==
          {"service:stays": "passing", "service:comes": "passing"})


def test_a_restart_puts_the_catalog_right(praetor_asan, agents):
    """Behind the agent's back: a service removed, one changed, one added, a check added. Its next full sync, here at its start,
    repairs all of it; a service that lets its tags be overridden adopts them."""
    cluster = Cluster(agents, [praetor_asan] * 3, config=CONFIG)
    cluster.form()
    agent, other = cluster.followers()
    node = agent.name
    for body in ({"Name": "kept", "Tags": ["a"], "Port": 1, "Check": {"TTL": "1h"}}, {"Name": "removed"}, {"Name": "loose", "Tags": ["a"], "EnableTagOverride": True}):
        assert agent.put("/v1/agent/service/register", body).status == 200
    assert agent.put("/v1/agent/check/pass/service:kept?note=fine").status == 200
    agent.kill()
    address = {"Node": node, "Address": agent.ip, "SkipNodeUpdate": True}
    for body in (dict(address, Service={"Service": "kept", "Port": 99}), dict(address, Service={"Service": "foreign"}),
                 dict(address, Service={"Service": "loose", "Tags": ["b", "c"], "EnableTagOverride": True}),
                 dict(address, Check={"Name": "foreign", "Status": "passing"}),
                 dict(address, Check={"CheckID": "service:kept", "Name": "x", "ServiceID": "kept", "Status": "critical", "Output": "not so"})):
        until("registered", lambda: other.put("/v1/catalog/register", body).status == 200)
    until("deregistered", lambda: other.put("/v1/catalog/deregister", {"Node": node, "ServiceID": "removed"}).status == 200)
    agent.launch()
    until("the same services", lambda: services(other, node) == {"consul", "kept", "removed", "loose"})

    def repaired():  # one after the other
        found = other.get("/v1/catalog/node/%s?stale" % node).json["Services"]
        checks = {c["CheckID"]: (c["Name"], c["Status"], c["Output"]) for c in other.get("/v1/health/node/%s?stale" % node).json}
        return (found["kept"]["Port"], found["kept"]["Tags"]) == (1, ["a"]) and \
            checks["service:kept"] == ("Service 'kept' check", "passing", "fine")
    until("what was changed is as before", repaired)
    until("the same checks", lambda: set(statuses(other, node)) == {"serfHealth", "service:kept"})
    assert other.get("/v1/catalog/node/%s?stale" % node).json["Services"]["loose"]["Tags"] == ["b", "c"]
    assert agent.get("/v1/agent/service/loose").json["Tags"] == ["b", "c"]
