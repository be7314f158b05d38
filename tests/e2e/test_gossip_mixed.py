"""One encrypted cluster of six servers, three of each kind, and a client of each: all see the same members, know at once who is
gone and who is not, change their key together and hear each other's events; then two datacenters, one of each kind."""

import base64
import json
import os

import pytest

from e2e.cluster import written
from e2e.harness import until


def key():
    return base64.b64encode(os.urandom(32)).decode()


def agent(agents, binary, name, joins, **more):
    config = {"server": False, "bootstrap_expect": 0, "retry_join": joins, "retry_interval": "1s",
              "performance": {"raft_multiplier": 1, "leave_drain_time": "500ms"}}
    config.update(more)
    return agents(binary, name=name, config=config)


def members(a, wan=False):
    """Name to (status, build, role)."""
    answer = a.get("/v1/agent/members" + ("?wan=1" if wan else ""))
    assert answer.status == 200, answer.text
    return {m["Name"]: (m["Status"], m["Tags"]["build"].split(":")[0], m["Tags"]["role"]) for m in answer.json}


def change_key(a, method, value):
    """Until all have said that they did it: an answer may come too late, on a busy machine; doing it twice does no harm."""
    until("%s %s" % (method, a.name),
          lambda: a.request(method, "/v1/operator/keyring", body=json.dumps({"Key": value})).status == 200, 90)


def keys_of_pools(a):
    answer = a.get("/v1/operator/keyring")
    return answer.status == 200 and [(p["WAN"], p["Keys"], p["PrimaryKeys"], p["NumNodes"]) for p in answer.json]


@pytest.fixture
def six(agents, praetor, peer):
    first_key, joins, servers = key(), [], []
    for i in range(3):
        for binary, kind in ((praetor, "ours"), (peer, "peer")):
            s = agent(agents, binary, "%s-%d" % (kind, i), list(joins), server=True, bootstrap_expect=6, encrypt=first_key,
                      autopilot={"cleanup_dead_servers": False})  # who is dead stays failed, and is not made to have left
            servers.append(s)
            joins.append(s.ip)
    clients = [agent(agents, praetor, "client-ours", joins[:2], encrypt=first_key),
               agent(agents, peer, "client-peer", joins[:2], encrypt=first_key)]
    for a in servers + clients:
        a.launch()
    for a in servers + clients:
        a.wait_leader(120)
    return servers, clients, first_key


def test_six_servers_of_two_kinds(six):
    servers, clients, first_key = six
    everybody = servers + clients
    names = {a.name for a in everybody}

    def all_see(wanted):
        return all(members(a) == wanted for a in everybody if a.proc.poll() is None)
    alive = {a.name: (1, "1.8.7", "consul" if a in servers else "node") for a in everybody}
    until("all see the same members", lambda: all_see(alive))
    until("the WAN pool has the servers", lambda: len(members(servers[0], True)) == 6 and len(members(servers[1], True)) == 6)

    # Key rotation: installed, used, the old one removed, through servers of either kind.
    second = key()
    ours, theirs = servers[0], servers[1]
    change_key(ours, "POST", second)
    change_key(theirs, "PUT", second)
    change_key(ours, "DELETE", first_key)
    for s in (ours, theirs):  # an answer may come too late here, too
        until("%s knows of the new key only, everywhere" % s.name, lambda: sorted(keys_of_pools(s) or []) == [
            (wan, {second: nodes}, {second: nodes}, nodes) for wan, nodes in ((False, len(everybody)), (True, len(servers)))], 90)
    until("nobody was lost by it", lambda: all_see(alive))

    # Events cross, whoever fires them.
    for a in (clients[0], clients[1], ours, theirs):
        assert a.put("/v1/event/fire/said-by-" + a.name, b"x").status == 200
    wanted = {"said-by-" + a.name for a in (clients[0], clients[1], ours, theirs)}
    for a in everybody:  # what gossip missed, a push/pull brings
        until("%s hears all events" % a.name, lambda: {e["Name"] for e in a.get("/v1/event/list").json} >= wanted, 120)

    # Two are killed: all notice that, and take nobody else for failed.
    for dead in (clients[0], servers[3]):
        dead.kill()
        alive[dead.name] = (4,) + alive[dead.name][1:]
    until("all see who is gone", lambda: all_see(alive), 120)
    assert {a.name for a in everybody} == names


def test_two_datacenters_of_two_kinds(agents, praetor, peer):
    east = agent(agents, praetor, "east", [], server=True, bootstrap_expect=1, datacenter="east")
    east.launch()
    west = agent(agents, peer, "west", [], server=True, bootstrap_expect=1, datacenter="west", retry_join_wan=[east.ip])
    west.launch()
    for a in (east, west):
        a.wait_leader(60)
        until("%s knows both" % a.name, lambda: sorted(a.get("/v1/catalog/datacenters").json) == ["east", "west"])
    for at, other in ((east, "west"), (west, "east")):
        written(at, "/v1/kv/across?dc=" + other, "from-" + at.name)
    for at, by in ((west, "east"), (east, "west")):
        assert at.get("/v1/kv/across?raw").text == "from-" + by
        assert at.get("/v1/kv/across?raw&dc=" + by).text == "from-" + at.name
        assert at.get("/v1/catalog/nodes?dc=nowhere").status == 500
