"""Datacenters that reach each other through mesh gateways only (connect.md 7.3, gossip.md 12.9): of ours, of the peer's and of both kinds.
There is no Envoy here: sni_gateway.py does its part. In the WAN pool each server of a datacenter alone says an address where a trap
listens, so that whatever goes straight to a server, past the gateways, is noticed."""

import base64
import json
import os
import re
import selectors
import socket
import ssl
import struct
import threading
import time

import pytest

from e2e import harness
from e2e.certificates import Authority
from e2e.harness import PORTS, until
from e2e.sni_gateway import Gateway, federation

ROOT = "11111111-aaaa-4bbb-8ccc-222222222222"
KINDS = pytest.mark.parametrize("kinds", [("praetor_asan", "praetor_asan"), ("praetor_asan", "peer"), ("peer", "praetor_asan")], ids="-".join)
MULTI, SNAPSHOT = "consul/rpc-multi", "consul/rpc-snapshot"
PACKET, STREAM = "consul/wan-gossip/packet", "consul/wan-gossip/stream"


class Trap:
    """An address at which nobody should ask for a server: what comes to its ports is kept."""

    def __init__(self):
        self.ip, self.caught = harness._address(), []
        self.selector, self.sockets = selectors.DefaultSelector(), []
        for port, kind in ((8300, socket.SOCK_STREAM), (8301, socket.SOCK_STREAM), (8302, socket.SOCK_STREAM), (8302, socket.SOCK_DGRAM)):
            made = socket.socket(socket.AF_INET, kind)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.ip, port))
            if kind == socket.SOCK_STREAM:
                made.listen(5)
            self.selector.register(made, selectors.EVENT_READ, (port, kind))
            self.sockets.append(made)
        self.stopped = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopped:
            for key, _ in self.selector.select(0.2):
                port, kind = key.data
                if kind == socket.SOCK_STREAM:
                    link, source = key.fileobj.accept()
                    link.close()
                else:
                    source = key.fileobj.recvfrom(65536)[1]
                self.caught.append((port, source))

    def close(self):
        self.stopped = True
        self.thread.join()
        for made in self.sockets:
            made.close()
        self.selector.close()


class Federation:
    """datacenters: {dc: [binary, ...]}; the first is the primary one. Each has `gateways` gateways; servers are started by start()."""

    def __init__(self, agents, folder, datacenters, gateways=1, config=None, secondary=None, prefix="", trapped=True):
        self.authority, self.prefix = Authority(folder, prefix + "ca"), prefix
        self.primary, self.trapped = next(iter(datacenters)), trapped
        self.traps, self.servers, self.gateways = [], {}, {}
        for dc in datacenters:
            self.gateways[dc] = [Gateway(harness._address(), 8443, {}) for _ in range(gateways)]
        for dc, binaries in datacenters.items():
            self.servers[dc] = [self._server(agents, dc, i, len(binaries), binary, dict(config or {}, **(secondary or {} if dc != self.primary else {})))
                                for i, binary in enumerate(binaries)]
        self.route()

    def _server(self, agents, dc, number, count, binary, more):
        name = "%s%s-s%d" % (self.prefix, dc, number + 1)
        pair = self.authority.make(name, common="server.%s.consul" % dc, names=["server.%s.consul" % dc, "%s.server.%s.consul" % (name, dc), "localhost"])
        conf = {"datacenter": dc, "primary_datacenter": self.primary, "bootstrap_expect": count, "ca_file": self.authority.file, "cert_file": pair.cert,
                "key_file": pair.key, "verify_incoming": True, "verify_outgoing": True, "verify_server_hostname": True, "retry_interval_wan": "1s",
                "retry_interval": "1s", "log_level": "TRACE", "connect": {"enabled": True, "enable_mesh_gateway_wan_federation": True}}
        if dc != self.primary:
            conf["primary_gateways"] = [g.address for g in self.gateways[self.primary]]
        if count == 1 and self.trapped:
            self.traps.append(Trap())
            conf["advertise_addr_wan"] = self.traps[-1].ip
        conf.update(more)
        return agents(binary, name=name, config=conf)

    def route(self):
        """Each gateway leads to the servers of its datacenter, and to the first gateway of another one that is up."""
        first = {dc: next((g for g in gs if g.is_up), gs[0]) for dc, gs in self.gateways.items()}
        routes = federation({dc: ((first[dc].ip, first[dc].port), {s.name: s.ip for s in ss}) for dc, ss in self.servers.items()})
        for dc, made in self.gateways.items():
            for gateway in made:
                gateway.routes = routes[dc]

    def start(self):
        """The primary has its gateways before others come; returns the first server of each."""
        for dc, servers in self.servers.items():
            for server in servers:
                if len(servers) > 1:
                    server.configure(dict(server.conf, retry_join=[s.ip for s in servers]))
                server.launch()
            for server in servers:
                until("a leader of %s" % server.name, lambda: leads(server))
            for number, gateway in enumerate(self.gateways[dc]):
                register(servers[0], gateway, "mesh-gateway-%d" % number)
        return [servers[0] for servers in self.servers.values()]

    def all(self):
        return [s for servers in self.servers.values() for s in servers]

    def wait(self):
        """Until all know all, and the states of all."""
        gateways = {dc: sum(g.registered for g in made) for dc, made in self.gateways.items()}
        names = {"%s.%s" % (s.name, dc): 1 for dc, servers in self.servers.items() for s in servers}
        for server in self.all():
            until("%s sees all servers" % server.name, lambda: wan_members(server) == names)
            until("%s has all states" % server.name, lambda: known_gateways(server) == gateways)

    def protocols(self):
        return {protocol for gateways in self.gateways.values() for g in gateways for _, protocol in g.seen}

    def check(self):
        """Nothing went past the gateways, and they were asked for what there is."""
        assert [trap.caught for trap in self.traps if trap.caught] == []
        assert [g.unknown for gateways in self.gateways.values() for g in gateways if g.unknown] == []

    def close(self):
        for server in self.all():
            server.kill()
        for gateways in self.gateways.values():
            while gateways:
                gateways.pop().close()
        while self.traps:
            self.traps.pop().close()


@pytest.fixture
def federate(agents, tmp_path):
    made = []

    def make(datacenters, **more):
        made.append(Federation(agents, tmp_path, datacenters, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def both(request, kinds):
    return {"dc%d" % (i + 1): [request.getfixturevalue(kind)] for i, kind in enumerate(kinds)}


def register(server, gateway, name, token=None, **more):
    address = {"Address": gateway.ip, "Port": gateway.port}
    service = dict({"Kind": "mesh-gateway", "ID": name, "Name": "mesh-gateway", "Address": gateway.ip, "Port": gateway.port,
                    "TaggedAddresses": {"lan": address, "wan": address}, "Meta": {"consul-wan-federation": "1"}}, **more)
    answer = server.put("/v1/agent/service/register", service, headers={"X-Consul-Token": ROOT})
    assert answer.status == 200, answer.text
    gateway.registered = True


def leads(server):
    """It knows a leader, whose duties have begun."""
    try:
        nodes = server.get("/v1/catalog/nodes", headers={"X-Consul-Token": ROOT})
        return nodes.status == 200 and server.name in [n["Node"] for n in nodes.json]
    except OSError:
        assert server.proc.poll() is None, server.tail()
        return False


def wan_members(server):
    try:
        return {m["Name"]: m["Status"] for m in server.get("/v1/agent/members?wan=1", headers={"X-Consul-Token": ROOT}).json}
    except OSError:
        return {}


def known_gateways(server):
    answer = server.get("/v1/internal/federation-states", headers={"X-Consul-Token": ROOT})
    return {s["Datacenter"]: len(s.get("MeshGateways") or []) for s in answer.json} if answer.status == 200 else {}


def lines(agent, pattern):
    """What the agent's log says after its time, of the lines that match."""
    with open(agent.log, errors="replace") as handle:
        return [line.strip().split(" ", 1)[1] for line in handle if re.search(pattern, line)]


def put(server, key, value, dc):
    answer = server.put("/v1/kv/%s?dc=%s" % (key, dc), value, timeout=60)
    return answer.text.strip() if answer.status == 200 else answer.text


def value(server, key, dc=None, query=""):
    answer = server.get("/v1/kv/%s?%s%s" % (key, "dc=%s" % dc if dc else "", query))
    return base64.b64decode(answer.json[0]["Value"]).decode() if answer.status == 200 else None


# ---- all that goes between datacenters ----

@KINDS
def test_everything_goes_through_gateways(federate, request, kinds):
    world = federate(both(request, kinds))
    one, two = world.start()
    world.wait()
    for here, there, dc in ((one, two, "dc2"), (two, one, "dc1")):
        until("a way to " + dc, lambda: put(here, "from-" + here.name, "v", dc) == "true")
        assert value(there, "from-" + here.name) == "v" == value(here, "from-" + here.name, dc)
        names = {n["Node"] for n in here.get("/v1/catalog/nodes?dc=" + dc).json}
        assert names == {there.name}
        assert {s["ServiceName"] for s in here.get("/v1/catalog/service/mesh-gateway?dc=" + dc).json} == {"mesh-gateway"}
        assert sorted(here.get("/v1/catalog/datacenters").json) == ["dc1", "dc2"]
        listed = here.cli("members", "-wan")
        assert listed.returncode == 0 and listed.stdout.count(b"alive") == 2, listed
        until("coordinates", lambda: here.cli("rtt", "-wan", one.name + ".dc1", two.name + ".dc2").returncode == 0)
    blocking_query(one, two)
    snapshots(one, two, "dc2")
    replicated(one, two)
    assert world.protocols() == {MULTI, SNAPSHOT, PACKET, STREAM}
    first = world.gateways["dc1"][0].seen[0]
    assert first == ("server.dc1.consul", STREAM), "a secondary joins whomever the primary's gateway leads to"
    assert {name for name, protocol in world.gateways["dc1"][0].seen if protocol != STREAM} == {
        "%s.server.dc1.consul" % one.name, "%s.server.dc2.consul" % two.name}
    assert two.cli("leave").returncode == 0
    until("the primary hears of the leave", lambda: wan_members(one) == {one.name + ".dc1": 1, two.name + ".dc2": 3})
    world.check()


def blocking_query(here, there):
    """A question that waits in the other datacenter is answered when its answer changes."""
    assert put(here, "watched", "1", there.conf["datacenter"]) == "true"
    path = "/v1/kv/watched?dc=" + there.conf["datacenter"]
    index, got = here.get(path).index, []
    waiter = threading.Thread(target=lambda: got.append(here.get(path + "&index=%d&wait=60s" % index, timeout=70)), daemon=True)
    waiter.start()
    waiter.join(0.5)
    assert waiter.is_alive()
    assert there.put("/v1/kv/watched", "2").text.strip() == "true"
    waiter.join(20)
    assert not waiter.is_alive() and base64.b64decode(got[0].json[0]["Value"]) == b"2"


def snapshots(here, there, dc):
    """Taken there and put back there, over a connection of its own."""
    there.put("/v1/kv/kept", b"x" * 300000)
    taken = here.get("/v1/snapshot?dc=" + dc)
    assert taken.status == 200 and len(taken.body) > 500, taken.text
    there.put("/v1/kv/kept", b"y")
    restored = here.put("/v1/snapshot?dc=" + dc, taken.body, timeout=60)
    assert restored.status == 200, restored.text
    until("what was kept", lambda: value(there, "kept") == "x" * 300000)


def replicated(primary, secondary):
    entry = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
    assert primary.put("/v1/config", entry).text.strip() == "true"
    until("the configuration entry", lambda: secondary.get("/v1/config/service-defaults/web").status == 200)
    assert primary.request("POST", "/v1/connect/intentions", json.dumps({"SourceName": "a", "DestinationName": "b", "Action": "deny"})).status == 200
    until("the intention", lambda: [i["SourceName"] for i in secondary.get("/v1/connect/intentions").json or []] == ["a"])
    root = primary.get("/v1/connect/ca/roots").json["ActiveRootID"]
    until("the root", lambda: secondary.get("/v1/connect/ca/roots").json["ActiveRootID"] == root)


@KINDS
def test_access_control_across(federate, request, kinds):
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": ROOT, "agent": ROOT, "replication": ROOT}}
    keys = [base64.b64encode(bytes([i]) * 32).decode() for i in range(2)]
    world = federate(both(request, kinds), config={"acl": acl, "encrypt": keys[0]}, secondary={"acl": dict(acl, enable_token_replication=True), "encrypt": keys[0]}, trapped=False)  # who asks all for keys asks himself at his address, too
    one, two = world.start()
    world.wait()
    root = {"X-Consul-Token": ROOT}
    rules = json.dumps({"Name": "keys", "Rules": 'key_prefix "" { policy = "write" }'})
    assert one.put("/v1/acl/policy", rules, headers=root).status == 200
    made = one.put("/v1/acl/token", {"Policies": [{"Name": "keys"}]}, headers=root).json["SecretID"]
    headers = {"X-Consul-Token": made}
    until("the token is known in the other datacenter", lambda: two.put("/v1/kv/a", "b", headers=headers).status == 200)
    for here, dc in ((one, "dc2"), (two, "dc1")):
        until("a way to " + dc, lambda: here.put("/v1/kv/across?dc=" + dc, "v", headers=headers).text.strip() == "true")
    refused = one.put("/v1/kv/across?dc=dc2", "v")
    assert refused.status == 403 and "Permission denied" in refused.text
    # gossip is encrypted, and so are its packets through gateways: keys are asked for and told in both directions
    def rings(server):
        answer = server.get("/v1/operator/keyring", headers=root, timeout=60)
        return sorted([r["WAN"], r["Datacenter"], r["Keys"], r["NumNodes"]] for r in answer.json) if answer.status == 200 else answer.text

    def wanted(server, known):
        return sorted([wan, dc, {key: nodes for key in known}, nodes] for wan, dc, nodes in ((True, server.conf["datacenter"], 2), (False, "dc1", 1), (False, "dc2", 1)))
    for server in (one, two):
        until("the keys as %s sees them" % server.name, lambda: rings(server) == wanted(server, keys[:1]))
    until("a key more", lambda: one.request("POST", "/v1/operator/keyring", json.dumps({"Key": keys[1]}), headers=root, timeout=60).status == 200)
    until("both keys everywhere", lambda: rings(two) == wanted(two, keys))
    world.check()


# ---- gateways that fail ----

@KINDS
def test_another_gateway_takes_over(federate, request, kinds):
    world = federate(both(request, kinds), gateways=2)
    one, two = world.start()
    world.wait()
    for here, dc in ((one, "dc2"), (two, "dc1")):
        until("the first way", lambda: put(here, "a", "1", dc) == "true")
    for dc in ("dc1", "dc2"):
        world.gateways[dc][0].kill()
    world.route()
    # each try takes a gateway at random
    for here, dc in ((one, "dc2"), (two, "dc1")):
        until("another gateway", lambda: put(here, "b", "2", dc) == "true")
    for server, dc in ((one, "dc1"), (two, "dc2")):
        answer = server.put("/v1/agent/service/deregister/mesh-gateway-0")
        assert answer.status == 200
        world.gateways[dc][0].registered = False
    until("states without those that are gone", lambda: all(known_gateways(s) == {"dc1": 1, "dc2": 1} for s in (one, two)))
    for dc in ("dc1", "dc2"):
        world.gateways[dc][1].kill()
    for here, dc in ((one, "dc2"), (two, "dc1")):
        until("no way", lambda: put(here, "c", "3", dc).startswith("rpc error "))
        assert put(here, "own", "x", here.conf["datacenter"]) == "true"
    for dc in ("dc1", "dc2"):
        world.gateways[dc][1].open()
    for here, dc in ((one, "dc2"), (two, "dc1")):
        until("the way is back", lambda: put(here, "c", "3", dc) == "true")
    world.wait()
    world.check()


@KINDS
def test_a_secondary_that_comes_before_the_gateway(federate, request, kinds):
    """It tries again and again; what it says meanwhile."""
    world = federate(both(request, kinds))
    one, two = world.servers["dc1"][0], world.servers["dc2"][0]
    gateway = world.gateways["dc1"][0]
    gateway.kill()
    two.start()
    until("it was tried twice", lambda: len(lines(two, "Join cluster failed")) >= 2)
    assert put(two, "a", "b", "dc1") == "No path to datacenter"
    one.start()
    gateway.open()
    until("it has joined", lambda: len(wan_members(two)) == 2)
    # The primary hears of the own gateways of nobody yet.
    unreachable = "rpc error getting client: failed to get conn: Remote DC has no server currently reachable"
    until("the primary knows of it", lambda: len(wan_members(one)) == 2)
    assert put(one, "a", "b", "dc2") == unreachable
    until("by the primary's gateway", lambda: put(two, "a", "b", "dc1") == "true")
    register(one, gateway, "mesh-gateway-0")
    register(two, world.gateways["dc2"][0], "mesh-gateway-0")
    world.wait()
    until("both ways", lambda: put(one, "a", "b", "dc2") == "true")
    world.check()


def test_a_gateway_that_does_nothing(federate, praetor_asan, peer):
    """Callers come and go, on all threads, while their calls wait for a connection; then the server ends."""
    world = federate({"dc1": [praetor_asan], "dc2": [peer]})
    one, _ = world.start()
    world.wait()
    gateway = world.gateways["dc1"][0]
    gateway.kill()
    gateway.holds = True
    gateway.open()
    callers = []
    for number in range(40):
        link = socket.create_connection((one.ip, PORTS["http"]))
        link.sendall(b"GET /v1/kv/a%d?dc=dc2 HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        callers.append(link)
    until("it was asked", lambda: gateway.seen.count((world.servers["dc2"][0].name + ".server.dc2.consul", MULTI)) >= 1)
    first = callers[0].recv(4096)
    # Who began the connection is told why there is none, who waited with him that there is none; another may have begun before.
    assert b" 500 " in first and b"rpc error getting client: failed to get conn: " in first, first
    assert first.endswith((b"i/o timeout", b"rpc error: lead thread didn't get connection")), first
    for number in range(20):
        link = socket.create_connection((one.ip, PORTS["http"]))
        link.sendall(b"GET /v1/kv/b%d?dc=dc2 HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        callers.append(link)
    until("it was asked again", lambda: gateway.seen.count((world.servers["dc2"][0].name + ".server.dc2.consul", MULTI)) >= 2)
    for link in callers[::2]:
        link.close()
    assert one.get("/v1/status/leader").status == 200
    assert one.stop() == harness.TERMINATED
    for link in callers[1::2]:
        link.close()
    world.check()


def test_one_connection_for_all_threads(federate, praetor, peer):
    """Since gateways are the clients, the limit on connections of one client is shared by all servers behind them."""
    world = federate({"dc1": [praetor], "dc2": [peer]})
    one, two = world.start()
    world.wait()
    answers = []
    def ask(number):
        for i in range(20):
            answers.append(put(one, "many/%d/%d" % (number, i), "v", "dc2"))
    threads = [threading.Thread(target=ask, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == ["true"] * 320
    assert len(two.get("/v1/kv/many/?keys").json) == 320
    assert world.gateways["dc1"][0].seen.count((two.name + ".server.dc2.consul", MULTI)) == 1
    world.check()


# ---- more datacenters, more servers ----

def test_secondaries_reach_each_other(federate, praetor_asan, peer):
    world = federate({"dc1": [praetor_asan], "dc2": [peer], "dc3": [praetor_asan]})
    servers = world.start()
    world.wait()
    for here in servers:
        for there in servers:
            dc = there.conf["datacenter"]
            until("%s reaches %s" % (here.name, dc), lambda: put(here, "from-" + here.name, "v", dc) == "true")
            assert value(there, "from-" + here.name) == "v"
    world.check()


@pytest.mark.parametrize("kinds", [("praetor_asan", "praetor_asan"), ("peer", "praetor_asan"), ("praetor_asan", "peer")], ids="-".join)
def test_two_servers_in_a_secondary(federate, request, praetor_asan, kinds):
    """They come to know each other in the WAN pool without being told, both reach the primary, also after a new start."""
    world = federate({"dc1": [praetor_asan], "dc2": [request.getfixturevalue(kind) for kind in kinds]})
    world.start()
    world.wait()
    one, pair = world.servers["dc1"][0], world.servers["dc2"]
    for server in pair:
        assert put(server, "from-" + server.name, "v", "dc1") == "true"
        assert value(one, "from-" + server.name) == "v"
    for server in pair:
        server.kill()
    for server in pair:
        server.launch()
    for server in pair:
        server.wait_leader()
    world.wait()
    for server in pair:
        until("it works again", lambda: put(server, "again-" + server.name, "v", "dc1") == "true")
    until("the primary reaches it", lambda: put(one, "again", "v", "dc2") == "true")
    world.check()


# ---- beside the peer ----

def alone(agents, binary, authority, name, dc="dc1", **more):
    pair = authority.make(name, common="server.%s.consul" % dc, names=["server.%s.consul" % dc, "%s.server.%s.consul" % (name, dc)])
    conf = {"datacenter": dc, "primary_datacenter": "dc1", "ca_file": authority.file, "cert_file": pair.cert, "key_file": pair.key,
            "verify_incoming": True, "verify_outgoing": True, "verify_server_hostname": True, "retry_interval_wan": "1s", "log_level": "TRACE",
            "advertise_addr_wan": "127.0.0.77", "connect": {"enabled": True, "enable_mesh_gateway_wan_federation": True}}
    conf.update(more)
    agent = agents(binary, name=name, config={k: v for k, v in conf.items() if v is not None})
    return agent


LOCATOR = "agent.server.gateway_locator: "
GATEWAYS = [  # of an agent: port, address, more
    (1, "1.0.0.1", {"TaggedAddresses": {"lan": {"Address": "1.0.0.2", "Port": 101}}}),
    (2, "", {"TaggedAddresses": {"lan": {"Address": "2.0.0.2", "Port": 102}}}),
    (3, "3.0.0.1", {"TaggedAddresses": {"wan": {"Address": "3.0.0.2", "Port": 0}}}),
    (4, "4.0.0.1", {"TaggedAddresses": {"wan": {"Address": "4.0.0.2", "Port": 104}}}),
    (5, "5.0.0.1", {"TaggedAddresses": {"wan_ipv4": {"Address": "5.0.0.2", "Port": 105}}}),
    (6, "", {"TaggedAddresses": {"wan": {"Address": "", "Port": 106}}}),
    (16, "7.0.0.1", {"TaggedAddresses": {"wan": {"Address": "", "Port": 107}}}), (17, "8.0.0.1", {"TaggedAddresses": {"wan": {"Address": "", "Port": 0}}}),
    (7, "gw.example.com", {}), (8, "::1", {}), (9, "9.0.0.1", {"Meta": {}}), (10, "9.0.0.2", {"Meta": {"consul-wan-federation": "true"}}),
    (11, "9.0.0.3", {"Check": {"TTL": "1000s"}}), (12, "9.0.0.4", {"Check": {"TTL": "1000s", "Status": "passing"}}),
    (13, "9.0.0.5", {"Check": {"TTL": "1000s", "Status": "warning"}}), (14, "9.0.0.4", {"Name": "another"}), (12, "9.0.0.4", {})]
NODES = [  # of the catalog: tagged addresses of the node, checks
    ({}, []), ({"wan": "9.9.9.9"}, []), ({"lan": "9.9.9.8"}, []), ({"wan": "9.9.9.7"}, ["passing", "critical"]), ({"wan": "9.9.9.6"}, ["warning"])]


def test_which_gateways_count(agents, praetor_asan, peer, tmp_path):
    """The addresses, in their order, of whatever is registered as a mesh gateway."""
    authority, seen = Authority(tmp_path, "ca"), []
    for binary, name in ((praetor_asan, "ours"), (peer, "peers")):
        agent = alone(agents, binary, authority, name).start()
        for number, (port, address, more) in enumerate(GATEWAYS):
            service = {"Kind": "mesh-gateway", "ID": "g%d" % number, "Name": "mesh-gateway", "Port": port, "Address": address, "Meta": {"consul-wan-federation": "1"}}
            assert agent.put("/v1/agent/service/register", dict(service, **more)).status == 200
        for number, (tagged, checks) in enumerate(NODES):
            record = {"Node": "n%d" % number, "Address": "9.9.9.1", "TaggedAddresses": tagged,
                      "Service": {"Kind": "mesh-gateway", "ID": "g", "Service": "mesh-gateway", "Port": 21 + number, "Meta": {"consul-wan-federation": "1"}},
                      "Checks": [{"CheckID": "c%d" % i, "Name": "c", "Status": status} for i, status in enumerate(checks)]}
            assert agent.put("/v1/catalog/register", record).status == 200
        last = "9.9.9.1:%d[],]" % (20 + len(NODES))
        until("the last of them", lambda: lines(agent, "new cached locations.* local=.*" + last))
        seen.append(lines(agent, "new cached locations")[-1].replace(agent.ip, "OWN"))
    assert seen[0] == seen[1] and "127.0.0.77:106" in seen[0]


def test_where_envoys_find_other_datacenters(federate, praetor_asan, peer):
    """The same gateways of another datacenter, as a mesh gateway's Envoy is told of them."""
    from e2e.grpc_client import Envoy  # and with it python3-h2
    seen = []
    for binary in (praetor_asan, peer):
        world = federate({"dc1": [binary], "dc2": [peer]}, config={"ports": dict(PORTS, https=-1, grpc=8502)}, prefix="%d-" % len(seen))
        one, two = world.start()
        world.wait()
        for number, (port, address, more) in enumerate(GATEWAYS[:8]):
            service = {"Kind": "mesh-gateway", "ID": "g%d" % number, "Name": "mesh-gateway", "Port": port, "Address": address, "Meta": {"consul-wan-federation": "1"}}
            assert two.put("/v1/agent/service/register", dict(service, **more)).status == 200
        envoy = Envoy(one.ip, "mesh-gateway-0")
        for kind in ("cds", "eds"):
            envoy.ask(kind)
        told = []

        def complete():
            envoy.take(1)
            for cluster in envoy.latest.get("eds", {}).get("resources", []):
                if cluster["cluster_name"] == "server.dc2.consul":
                    places = [e["endpoint"]["address"]["socket_address"] for group in cluster["endpoints"] for e in group["lb_endpoints"]]
                    told[:] = sorted("%s:%d" % (p["address"], p["port_value"]) for p in places)
            return len(told) == 9
        until("all gateways", complete)
        own = {two.ip: "LAN", two.conf["advertise_addr_wan"]: "WAN", world.gateways["dc2"][0].ip: "GATEWAY"}
        seen.append(sorted(re.sub(r"^[^:]*", lambda m: own.get(m.group(), m.group()), place) for place in told))
        world.close()
    assert seen[0] == seen[1] and "WAN:106" in seen[0]


@pytest.mark.parametrize("more", [
    {}, {"primary_gateways": ["127.0.0.78:8443"]}, {"primary_gateways": ["127.0.0.78"]}, {"primary_gateways": ["[::1:3"]},
    {"primary_gateways": ["127.0.0.78:70000"]}, {"primary_gateways": ["127.0.0.78:x"]}, {"primary_gateways": ["::1:8443"]}, {"primary_gateways": ["[::1]x:8443"]},
    {"primary_gateways": ["provider=nope"], "primary_gateways_interval": "1s"},
    {"primary_gateways": ["127.0.0.78:8443"], "ca_file": None, "verify_incoming": None, "verify_outgoing": None, "verify_server_hostname": None},
    {"primary_gateways": ["127.0.0.78:8443"], "cert_file": None, "key_file": None, "verify_incoming": None},
    {"primary_gateways": ["127.0.0.78:8443"], "verify_incoming": None, "verify_outgoing": None, "verify_server_hostname": None},
    {"primary_gateways": ["127.0.0.78:8443"], "ports": dict(PORTS, https=-1, grpc=-1, serf_wan=-1)},
    {"primary_gateways": ["127.0.0.78:8443"], "connect": {"enabled": True}}, {"datacenter": "dc1"}],
    ids=["none", "dead", "no-port", "bracket", "large-port", "named-port", "colons", "behind-bracket", "undiscovered", "no-ca", "no-pair", "unverified", "no-wan", "off", "primary"])
def test_what_is_said_without_a_gateway(agents, praetor_asan, peer, tmp_path, more):
    """The lines of the start and of the first joins, word for word."""
    authority, seen = Authority(tmp_path, "ca"), []
    for binary, name in ((praetor_asan, "ours"), (peer, "peers")):
        agent = alone(agents, binary, authority, name, dc="dc2", **more).start()
        done = "Refreshing mesh gateways failed|Join cluster failed"
        federated = more.get("datacenter") != "dc1" and "enable_mesh_gateway_wan_federation" in agent.conf["connect"]
        if federated:
            until("the first round", lambda: lines(agent, done))
        answer = agent.put("/v1/agent/join/127.0.0.79?wan=1", timeout=40)
        text = answer.text if federated or more.get("datacenter") else ""
        shown = lines(agent, LOCATOR + "(will|updated|new)|Refreshing|Cannot discover|Retry join|Joining cluster|joining: wan|couldn't join|Failed to join|" + done)
        shown = [re.sub('discovery_methods=".*"', "", line) for line in shown]
        first = next((i for i, line in enumerate(shown) if re.search(done, line)), len(shown) - 1)
        seen.append([re.sub(" +", " ", line) for line in shown[:first + 1] if "127.0.0.79" not in line] + [answer.status, text])
    assert seen[0] == seen[1]


def native(agent, protocol, name="ours.server.dc1.consul"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(agent.conf["cert_file"], agent.conf["key_file"])
    context.set_alpn_protocols([protocol])
    link = context.wrap_socket(socket.create_connection((agent.ip, PORTS["server"])), server_hostname=name)
    link.settimeout(10)
    assert link.selected_alpn_protocol() == protocol
    return link


def ended(link):
    try:
        return link.recv(100) == b""
    except ssl.SSLError:
        return True


def framed(*packets):
    return b"".join(struct.pack(">I", len(p)) + p for p in packets)


HOSTILE = [(PACKET, struct.pack(">I", 4194305) + b"x" * 10, True), (PACKET, struct.pack(">I", 0xffffffff), True), (PACKET, framed(b""), True),
           (PACKET, framed(b"xyz", b"\x09", b"\x00"), False), (PACKET, framed(b"\x07\x02\x00\x01\x00"), False), (STREAM, b"xyzxyz", True),
           ("consul/rpc-gossip", b"", True)]


def test_hostile_native_gossip(agents, praetor_asan, peer, tmp_path):
    """What ends a connection and what does not, and the lines that tell of it."""
    authority, seen = Authority(tmp_path, "ca"), []
    for binary, name in ((praetor_asan, "ours"), (peer, "peers")):
        agent = alone(agents, binary, authority, name).start()
        closed = []
        for protocol, data, closes in HOSTILE:
            link = native(agent, protocol)
            link.sendall(data)
            if closes:
                closed.append(ended(link))
            else:
                link.settimeout(0.5)
                with pytest.raises((socket.timeout, TimeoutError)):
                    link.recv(1)
            link.close()
        shown = [re.sub(r"127\.0\.0\.1:\d+", "FROM", line) for line in lines(agent, "failed to ingest|memberlist.wan: .* from=|accepted nativeTLS")]
        seen.append((closed, [re.sub(" +", " ", line) for line in shown if "unknown negotiated" not in line and "packet too short" not in line]))
        assert len(lines(agent, "packet too short")) == 1 and agent.get("/v1/status/leader").status == 200
    assert seen[0] == seen[1]


def test_packets_come_in_pieces_and_many_at_once(agents, praetor_asan, tmp_path):
    """A ping that is answered, sent byte by byte, behind junk that is too large to be a packet; connections that end in the middle."""
    agent = alone(agents, praetor_asan, Authority(tmp_path, "ca"), "ours").start()
    link = native(agent, PACKET)
    ping = b"\x00\x82\xa5SeqNo\xce\x00\x00\x00\x07\xa4Node\xa5other"
    link.sendall(framed(b"\xff" * 70000))
    for byte in framed(ping):
        link.sendall(bytes([byte]))
    link.sendall(framed(ping) * 3)
    until("the pings are taken", lambda: len(lines(agent, "Got ping for unexpected node 'other'")) >= 1)
    for _ in range(20):
        other = native(agent, PACKET)
        other.sendall(framed(ping)[:-3])
        other.close()
    until("what is not whole is told of", lambda: len(lines(agent, "unexpected EOF")) == 20)
    assert os.path.exists("/proc/%d" % agent.proc.pid)
    link.close()
