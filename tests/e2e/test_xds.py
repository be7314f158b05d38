"""The gRPC port beside the peer (connect.md 6): what a proxy is told of, by worlds of the vectors registered with both; what follows a
change, and what a token may; Envoy's check; and clients that mean no good."""

import copy
import json
import os
import re
import resource
import socket
import ssl
import struct
import threading
import time

import pytest

from e2e import envoy_proto as proto
from e2e.certificates import Authority
from e2e.grpc_client import ADS, CHECK, KINDS, PATIENCE, Call, Envoy, check, clear, frame
from e2e.h2_client import Client
from e2e.harness import PORTS, until
from e2e.test_agent_cache import client_of
from e2e.xds_worlds import MORE

VECTORS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors", "connect")
CLUSTER = "11111111-2222-3333-4444-555555555555"
ROOT = "11111111-aaaa-4bbb-8ccc-222222222222"
GRPC = {"ports": dict(PORTS, https=-1, grpc=8502), "enable_central_service_config": True,
        "connect": {"enabled": True, "ca_config": {"cluster_id": CLUSTER}}}
ACL = dict(GRPC, acl={"enabled": True, "default_policy": "deny", "tokens": {"master": ROOT, "agent": ROOT}})
MASTER = {"X-Consul-Token": ROOT}


URI = "spiffe://%s.consul/ns/default/dc/dc1/svc/" % CLUSTER
AGENT = "spiffe://%s.consul/agent/client/dc/dc1/id/n1" % CLUSTER


def _tries(fn):
    try:
        return fn()
    except OSError:
        return False


def authority(agent, **more):
    """Whether it knows of one."""
    answer = agent.get("/v1/connect/ca/roots", **more)
    return answer.status == 200 and answer.json["Roots"]


def vector(name):
    with open(os.path.join(VECTORS, "xds-%s.json" % name)) as handle:
        return json.load(handle)


def ok(answer):
    assert answer.status == 200, answer.text
    return answer


def furnish(agent, world, registrations="registrations", headers=None):
    for entry in world["config_entries"]:
        ok(agent.put("/v1/config", entry, headers=headers))
    for query in world.get("prepared_queries", []):
        ok(agent.request("POST", "/v1/query", json.dumps(query).encode(), headers=headers))
    for service in world[registrations]:
        ok(agent.put("/v1/agent/service/register", service, headers=headers))


# ---- comparing ----

def canonical(resources, agent):
    """Without what differs from agent to agent, each once, in one order (maps of the peer have none)."""
    text = json.dumps(resources)
    text = re.sub(r"-----BEGIN EC PRIVATE KEY-----.*?-----END EC PRIVATE KEY-----(\\n)*", "<KEY>", text)
    text = re.sub(r"(?<![0-9])2150[01](?![0-9])", "21599", text)  # checks are exposed in any order
    text = re.sub(r"(-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----(\\n)*)+", "<PEM>", text)
    out = []
    for one in json.loads(text.replace(agent.ip, "<IP>") if agent else text):
        for field in ("filter_chains", "virtual_hosts"):
            if field in one:
                one[field].sort(key=lambda x: json.dumps(x, sort_keys=True))
        one = json.dumps(one, sort_keys=True)
        if one not in out:
            out.append(one)
    return sorted(out)


def told(agent, world, envoy="1.14.4", kinds=KINDS):
    """What a proxy is told when all is known."""
    end = time.monotonic() + PATIENCE
    while True:
        client = Envoy(agent.ip, world["node"]["id"], envoy=envoy)
        for kind in kinds:
            client.ask(kind)
        client.settle()
        over = client.call.over(0.01)
        if over is None:
            return client
        print("the peer:", over)  # which ends streams while it does not know a chain yet
        assert agent.binary == os.environ["CONSUL_PEER"] and time.monotonic() < end, over


def eventually(check):
    """What check() gives, asked until it is true or too late."""
    end = time.monotonic() + PATIENCE
    while not (got := check()) and time.monotonic() < end:
        pass
    return got


def kinds_of(world):
    """The peer ends a stream that asks a mesh or terminating gateway for routes."""
    return [k for k in KINDS if k != "rds" or k in world["answers"]["latest"] or not world["node"]["id"].startswith(("mg", "tg"))]


WORLDS = ["sidecar-tcp", "sidecar-router-splitter-resolver", "sidecar-protocols", "sidecar-options", "sidecar-escape-hatches",
          "ingress", "ingress-tls", "terminating", "mesh-gateway"]


@pytest.mark.parametrize("name", WORLDS + list(MORE))
def test_a_proxy_is_told_what_the_peer_tells(agents, praetor_asan, peer, name):
    world = MORE.get(name) or vector(name)
    ours, theirs = (agents(binary, dev=True, config=GRPC, name=who).start() for who, binary in (("ours", praetor_asan), ("theirs", peer)))
    got = {}
    for agent in (ours, theirs):
        furnish(agent, world)
        got[agent] = told(agent, world, kinds=kinds_of(world))

    def same():
        wrong = []
        for kind in kinds_of(world):
            a, b = (canonical(got[x].latest.get(kind, {}).get("resources", []), x) for x in (ours, theirs))
            if a != b:
                wrong.append((kind, [x for x in a if x not in b], [x for x in b if x not in a]))
        if set(got[ours].latest) != set(got[theirs].latest):
            wrong.append(("kinds", sorted(got[ours].latest), sorted(got[theirs].latest)))
        return wrong
    end = time.monotonic() + PATIENCE
    while (wrong := same()) and time.monotonic() < end:
        for agent, client in got.items():  # something may come late
            client.take(0.5)
            if agent is theirs and client.call.over(0) is not None:
                got[agent] = told(agent, world, kinds=kinds_of(world))
    assert not wrong, "ours alone, the peer's alone:\n" + "\n".join("%s\n%s\n----\n%s" % (k, "\n".join(a), "\n".join(b)) for k, a, b in wrong)


def test_old_envoys_are_told_of_other_fields(agents, praetor_asan, peer):
    world = vector("sidecar-router-splitter-resolver")
    build = "e349fb6139e4b7a59a9a359be0ea45dd61e589c5/1.10.0/Clean/RELEASE/BoringSSL"
    both = [agents(binary, dev=True, config=GRPC, name=who).start() for who, binary in (("ours", praetor_asan), ("theirs", peer))]
    for agent in both:
        furnish(agent, world)
    got = []

    def alike():
        got[:] = [[canonical(told(agent, world, envoy, ["rds"]).latest.get("rds", {}).get("resources", []), agent)
                   for envoy in (None, build, build.replace("10.0", "11.2"))] for agent in both]
        return got[0] == got[1] and all(got[0])
    eventually(alike)
    assert got[0] == got[1]
    assert got[0][0] == got[0][1] != got[0][2]


def test_what_users_write_and_nobody_can_read(agents, praetor_asan, peer):
    """Settings of the proxy itself, and JSON for Envoy: the stream ends, with the same text."""
    kind = "json: cannot unmarshal %s into Go value of type %s"
    cases = [
        ({"bind_port": "x", "local_connect_timeout_ms": "abc"},
         "2 error(s) decoding:\n\n* cannot parse 'bind_port' as int: strconv.ParseInt: parsing \"x\": invalid syntax\n"
         "* cannot parse 'local_connect_timeout_ms' as int: strconv.ParseInt: parsing \"abc\": invalid syntax"),
        ({"protocol": {"a": 1}}, "1 error(s) decoding:\n\n* 'protocol' expected type 'string', got unconvertible type 'map[string]interface {}'"),
        ({"local_connect_timeout_ms": []}, "1 error(s) decoding:\n\n* 'local_connect_timeout_ms' expected type 'int', got unconvertible type '[]interface {}'"),
        ({"envoy_local_cluster_json": 5}, kind % ("number", "map[string]*json.RawMessage")),
        ({"envoy_local_cluster_json": "[]"}, kind % ("array", "map[string]*json.RawMessage")),
        ({"envoy_local_cluster_json": '{"name":"x"'}, "unexpected end of JSON input"),
        ({"envoy_local_cluster_json": '{"name":"a"} trailing'}, "invalid character 't' after top-level value"),
        ({"envoy_local_cluster_json": '{"name":"x","bogus":1}'}, 'unknown field "bogus" in envoy_api_v2.Cluster'),
        ({"envoy_local_cluster_json": '{"@type":"foo","name":"l"}'}, 'unknown message type "foo"'),
        ({"envoy_local_cluster_json": '{"type":"NOPE"}'}, 'unknown value "NOPE" for enum envoy.api.v2.Cluster_DiscoveryType'),
        ({"envoy_local_cluster_json": '{"name":5}'}, kind % ("number", "string")),
        ({"envoy_local_cluster_json": '{"connect_timeout":"5x"}'}, 'bad Duration: time: unknown unit "x" in duration "5x"'),
        ({"envoy_local_cluster_json": '{"eds_cluster_config":{"eds_config":{"x":1}}}'}, 'unknown field "x" in envoy_api_v2_core.ConfigSource'),
        ({"envoy_local_cluster_json": '{"common_lb_config":{"x":1}}'}, 'unknown field "x" in envoy_api_v2.Cluster_CommonLbConfig'),
        ({"envoy_local_cluster_json": '{"hosts":{}}'}, kind % ("object", "[]json.RawMessage")),
    ]
    for who, binary in (("ours", praetor_asan), ("theirs", peer)):
        agent = agents(binary, dev=True, config=GRPC, name=who).start()
        for i, (config, wanted) in enumerate(cases):
            name = "w%d" % i
            ok(agent.put("/v1/agent/service/register", {"Name": name, "Port": 80, "Connect": {"SidecarService": {"Proxy": {"Config": config}}}}))
            client = Envoy(agent.ip, name + "-sidecar-proxy")
            client.ask("cds")
            assert client.call.over() == (2, wanted), (who, config)


# ---- two datacenters ----

def shown(resources, addresses):
    """As canonical, of a vector too, whose certificates are descriptions."""
    text = json.dumps(resources)
    for pattern, instead in addresses + [("<PEM, [^>]*>", "<PEM>"), ("<private key of the leaf>", "<KEY>")]:
        text = re.sub(pattern, instead, text)
    return canonical(json.loads(text), None)


def test_what_leads_to_another_datacenter(agents, praetor_asan):
    """Failover without gateways and through them, and a gateway itself: as the vectors say."""
    config = dict(GRPC, primary_datacenter="dc1")
    first = agents(praetor_asan, dev=True, config=config, name="s1").start()
    second = agents(praetor_asan, dev=True, name="s2", config=dict(config, datacenter="dc2", retry_join_wan=[first.ip])).start()
    until("two datacenters", lambda: set(first.get("/v1/catalog/datacenters").json) == {"dc1", "dc2"})
    until("a certificate authority", lambda: authority(second), 2 * PATIENCE)
    there = [(re.escape("127.22.2.1") + r"(?![0-9])", "<IP1>"), (re.escape("127.22.3.1") + r"(?![0-9])", "<IP2>")]
    there.append(("25844", str(PORTS["server"])))
    here = [(re.escape(first.ip) + r"(?![0-9])", "<IP1>"), (re.escape(second.ip) + r"(?![0-9])", "<IP2>")]
    for name in ("sidecar-failover-none", "sidecar-failover-local", "sidecar-failover-remote", "mesh-gateway-two-dcs",
                 "mesh-gateway-wan-federation"):
        world = vector(name)
        furnish(second, {"config_entries": [], "registrations": world["registrations_dc2"]})
        furnish(first, world)
        client = Envoy(first.ip, world["node"]["id"])
        for kind in kinds_of(world):
            client.ask(kind)

        def wrong():
            """What is told, beside what should be; changes may come one by one."""
            client.take(1)
            out = []
            for kind, wanted in world["answers"]["latest"].items():
                a = shown(client.latest.get(kind, {}).get("resources", []), here)
                b = shown(wanted["resources"], there)
                if a != b:
                    out.append("%s %s\nours:   %s\nvector: %s" % (name, kind, "\n        ".join(a), "\n        ".join(b)))
            return out
        end = time.monotonic() + 2 * PATIENCE
        while (bad := wrong()) and time.monotonic() < end:
            pass
        assert not bad, "\n".join(bad)
        for entry in world["config_entries"]:
            ok(first.delete("/v1/config/%s/%s" % (entry["Kind"], entry["Name"])))
        for service in world["registrations"]:
            ok(first.put("/v1/agent/service/deregister/" + service.get("ID", service["Name"])))


# ---- client agents ----

@pytest.mark.parametrize("server_is", ["praetor_asan", "peer"])
def test_client_agents_tell_the_same(agents, praetor_asan, peer, server_is, request):
    """Of one server, whoever's it is: ours and the peer's, each with a proxy of its own of the same service."""
    config = {key: value for key, value in GRPC.items()}
    server = agents(request.getfixturevalue(server_is), name="s1", config=config).start()
    until("a certificate authority", lambda: authority(server))
    world = vector("sidecar-router-splitter-resolver")
    furnish(server, {"config_entries": world["config_entries"], "registrations": world["registrations"][:3]})
    clients, got = {}, {}
    for name, binary in (("ours", praetor_asan), ("theirs", peer)):
        client = clients[name] = client_of(agents, binary, server, name, **config)
        furnish(client, {"config_entries": [], "registrations": world["registrations"][3:]})
        made = ok(server.request("POST", "/v1/connect/intentions", json.dumps(
            {"SourceName": "x" + name, "DestinationName": "db", "Action": "deny"}).encode())).json["ID"]
        wanted = "Denied: Matched intention: DENY default/x%s => default/db (ID: %s, Precedence: 9)" % (name, made)
        until("the intention", lambda: check(client.ip, URI + "x" + name, URI + "db") == ((7, wanted), (0, "")))
        assert check(client.ip, URI + "web", URI + "db") == ((0, "ALLOWED: ACLs disabled, access is allowed by default"), (0, ""))

    def alike():
        for name, client in clients.items():
            latest = told(client, world).latest
            got[name] = [canonical(latest.get(kind, {}).get("resources", []), server) for kind in KINDS]
        return got["ours"] == got["theirs"] and all(got["ours"])
    eventually(alike)
    assert got["ours"] == got["theirs"] and all(got["ours"])


# ---- changes ----

SIDECAR = {"Name": "web", "ID": "web1", "Port": 8080,
           "Connect": {"SidecarService": {"Port": 25900, "Proxy": {"Upstreams": [{"DestinationName": "db", "LocalBindPort": 9191}]}}}}
DB = {"Name": "db", "ID": "db1", "Port": 5432, "Connect": {"SidecarService": {"Port": 25950, "Checks": [{"CheckID": "dbc", "TTL": "1h", "Status": "passing"}]}}}


def health(client):
    return [e["health_status"] for one in client.latest.get("eds", {}).get("resources", []) for part in one.get("endpoints", [])
            for e in part.get("lb_endpoints", [])]


@pytest.fixture(scope="module")
def agent(shared_agents, praetor_asan):
    return shared_agents(praetor_asan, dev=True, config=GRPC, name="shared").start()


def test_changes_are_pushed(agent):
    client = Envoy(agent.ip, "web1-sidecar-proxy")
    for kind in KINDS:
        client.ask(kind)
    assert client.take(0.5) is None  # nobody is registered by that name
    ok(agent.put("/v1/agent/service/register", DB))
    ok(agent.put("/v1/agent/service/register", SIDECAR))
    client.hear("all of it", lambda: "lds" in client.latest and health(client) == ["HEALTHY"])
    client.settle(first=1)
    assert client.order[0][:3] == ("cds", "00000001", "00000001")
    assert "rds" not in client.latest
    nonces = [int(nonce, 16) for _, _, nonce, _ in client.order]
    assert nonces == list(range(1, len(nonces) + 1))
    ok(agent.put("/v1/agent/check/fail/dbc"))
    client.hear("the failure", lambda: health(client) == ["UNHEALTHY"])
    ok(agent.put("/v1/agent/check/pass/dbc"))
    client.hear("the recovery", lambda: health(client) == ["HEALTHY"])
    ok(agent.put("/v1/config", {"Kind": "service-resolver", "Name": "db", "ConnectTimeout": "7s"}))
    client.hear("routes", lambda: "rds" in client.latest)
    client.hear("the new time", lambda: [c["connect_timeout"] for c in client.latest["cds"]["resources"]] == ["5s", "7s"])
    ok(agent.delete("/v1/config/service-resolver/db"))
    ok(agent.put("/v1/agent/service/deregister/web1"))
    client.settle(first=3)
    assert client.call.over(0.2) is None  # the stream stays
    ok(agent.put("/v1/agent/service/deregister/db1"))


def test_two_streams_of_one_connection(agent):
    ok(agent.put("/v1/agent/service/register", SIDECAR))
    link = clear(agent.ip)
    first, second = (Envoy(agent.ip, "web1-sidecar-proxy", client=link) for _ in range(2))
    first.ask("cds")
    second.ask("lds")
    assert first.take() == "cds" and second.take() == "lds"
    link.reset(first.call.number)
    second.ask("cds")
    second.hear("clusters", lambda: "cds" in second.latest)
    ok(agent.put("/v1/agent/service/deregister/web1"))


def test_ends_of_streams(agent):
    ok(agent.put("/v1/agent/service/register", SIDECAR))
    cases = [
        (proto.discovery_request("Cluster"), (3, "the first request must say which node asks")),
        (proto.discovery_request(None, proto.node("x")), (3, "type URL is required for ADS")),
        (proto.discovery_request("Cluster", proto.node("x", "e349fb6139e4b7a59a9a359be0ea45dd61e589c5/1.x/Clean/RELEASE/BoringSSL")),
         (3, "the version of the node cannot be understood")),
    ]
    for request, wanted in cases:
        call = Call(clear(agent.ip), ADS)
        call.send(request)
        assert call.over() == wanted
    call = Call(clear(agent.ip), ADS)
    call.send(proto.discovery_request("Cluster", proto.node("web1-sidecar-proxy")), end=True)
    assert call.over() == (0, "")
    assert Call(clear(agent.ip), ADS.replace("Stream", "Delta")).over() == (2, "not implemented")
    ok(agent.put("/v1/agent/service/deregister/web1"))


def test_calls_of_what_is_not_there(agent):
    for path, wanted in [("/x", (8, 'malformed method name: "/x"')), ("/a/b", (12, "unknown service a")),
                         ("/grpc.health.v1.Health/Check", (12, "unknown service grpc.health.v1.Health")),
                         (CHECK[:-5] + "Nope", (12, "unknown method Nope for service envoy.service.auth.v2.Authorization"))]:
        call = Call(clear(agent.ip), path)
        call.send(b"", end=True)
        assert call.over() == wanted


# ---- rights ----

@pytest.fixture(scope="module", params=["ours", "theirs"])
def guarded(request, shared_agents, praetor_asan, peer):
    """An agent with access control, the world of web and db, and tokens."""
    agent = shared_agents(praetor_asan if request.param == "ours" else peer, dev=True, config=ACL, name="guarded-" + request.param)
    agent.launch()
    until("a leader", lambda: _tries(lambda: agent.get("/v1/status/leader", timeout=2).body.strip() not in (b'""',)))
    until("the master token", lambda: agent.get("/v1/acl/token/self", headers=MASTER).status == 200)
    until("roots", lambda: authority(agent, headers=MASTER))

    def token(rules):
        name = "p%d" % len(agent.tokens)
        policy = ok(agent.put("/v1/acl/policy", {"Name": name, "Rules": rules}, headers=MASTER)).json["ID"]
        made = ok(agent.put("/v1/acl/token", {"Policies": [{"ID": policy}]}, headers=MASTER)).json
        agent.tokens[made["SecretID"]] = made["AccessorID"]
        return made["SecretID"]
    agent.tokens, agent.token = {}, token
    for service in (DB, SIDECAR):
        service = copy.deepcopy(service)
        service["Token"] = service["Connect"]["SidecarService"]["Token"] = ROOT
        ok(agent.put("/v1/agent/service/register", service, headers=MASTER))
    return agent


def test_who_may_be_told(guarded):
    web = guarded.token('service "web" { policy = "write" }')
    reads = guarded.token('service "web" { policy = "read" }')
    for token, wanted in [(None, (7, "permission denied")), (reads, (7, "permission denied")),
                          ("99999999-0000-4000-8000-000000000000", (16, "unauthenticated: ACL not found"))]:
        client = Envoy(guarded.ip, "web1-sidecar-proxy", token=token)
        client.ask("cds")
        assert client.call.over() == wanted
    client = Envoy(guarded.ip, "web1-sidecar-proxy", token=web)
    for kind in KINDS:
        client.ask(kind)
    assert client.take() == "cds"
    client.hear("a listener", lambda: client.latest.get("lds", {}).get("resources"))
    client.settle(first=1)
    chain = client.latest["lds"]["resources"][0]["filter_chains"][0]
    service = chain["filters"][0]["config"]["grpc_service"]
    assert service["initial_metadata"] == [{"key": "x-consul-token", "value": web}]
    ok(guarded.delete("/v1/acl/token/" + guarded.tokens[web], headers=MASTER))
    ok(guarded.put("/v1/agent/check/fail/dbc", headers=MASTER))
    while client.take() is not None:
        pass
    assert client.call.over() == (16, "unauthenticated: ACL not found")
    ok(guarded.put("/v1/agent/check/pass/dbc", headers=MASTER))
    # Somebody else's name: nothing is there, so nothing is asked.
    client = Envoy(guarded.ip, "nobody", token="99999999-0000-4000-8000-000000000000")
    client.ask("cds")
    assert client.call.over(0.5) is None


def test_check(guarded):
    db = guarded.token('service "db" { policy = "write" }')
    web, none = guarded.token('service "web" { policy = "write" }'), "99999999-0000-4000-8000-000000000000"
    made = ok(guarded.request("POST", "/v1/connect/intentions", json.dumps(
        {"SourceName": "web", "DestinationName": "db", "Action": "allow"}).encode(), headers=MASTER)).json["ID"]
    told = "Matched intention: ALLOW default/web => default/db (ID: %s, Precedence: 9)" % made
    source, target = URI + "web", URI + "db"
    for path in (CHECK, CHECK.replace("v2", "v2alpha")):
        assert check(guarded.ip, source, target, db, path=path) == ((0, "ALLOWED: " + told), (0, ""))
    assert check(guarded.ip, URI + "api", target, db) == ((7, "Denied: Default behavior configured by ACLs"), (0, ""))
    cases = [
        ((source, target, web), (None, (7, "Permission denied"))),
        ((source, target, None), (None, (7, "Permission denied"))),
        ((source, target, none), (None, (13, "ACL not found"))),
        (("x", target, db), (None, (13, "Bad request: ClientCertURI not a valid Connect identifier"))),
        ((AGENT, target, db), (None, (13, "Bad request: ClientCertURI not a valid Service identifier"))),
        ((source, "x", db), ((7, "Denied: Destination Principal is not a valid Connect identity"), (0, ""))),
        ((source, AGENT, db), ((7, "Denied: Destination Principal is not a valid Service identity"), (0, ""))),
        ((source, "", db), (None, (3, "source and destination Principal are required"))),
        ((None, target, db), (None, (3, "source and destination attributes are required"))),
        ((source, None, none), (None, (3, "source and destination attributes are required"))),
    ]
    for (one, other, token), wanted in cases:
        assert check(guarded.ip, one, other, token) == wanted, (one, other)
    assert check(guarded.ip, source, target, db, attributes=False)[1] == (3, "source and destination attributes are required")
    ok(guarded.put("/v1/connect/intentions/" + made, {"SourceName": "web", "DestinationName": "db", "Action": "deny"}, headers=MASTER))
    denied = ((7, "Denied: " + told.replace("ALLOW", "DENY")), (0, ""))
    until("the new word", lambda: check(guarded.ip, source, target, db) == denied)
    ok(guarded.delete("/v1/connect/intentions/" + made, headers=MASTER))


# ---- clients that mean no good ----

def test_messages_that_are_none(agent):
    for path in (ADS, CHECK):
        for body, wanted in [(b"\x01\0\0\0\0", (13, "grpc: compressed flag set with identity or empty encoding")),
                             (b"\0\x00\x40\0\x01", (8, "grpc: received message larger than max (4194305 vs. 4194304)")),
                             (b"\0\xff\xff\xff\xff", (8, "grpc: received message larger than max (4294967295 vs. 4194304)"))]:
            call = Call(clear(agent.ip), path, body=body)
            assert call.over() == wanted
        call = Call(clear(agent.ip), path, body=frame(b"\xff"))
        assert call.over()[0] == 13
    call = Call(clear(agent.ip), CHECK, body=frame(b"", 1), headers=[("grpc-encoding", "gzip")])
    assert call.over() == (12, 'grpc: Decompressor is not installed for grpc-encoding "gzip"')
    link = clear(agent.ip)
    number = link.send("POST", CHECK, body=frame(b""), headers=[("content-type", "application/json")])
    until("a reset", lambda: link.read_some(1) and link.answers[number].reset == 2)


def test_a_large_message_comes_whole(agent):
    """More than all windows: it is 4 MiB, the most that there may be."""
    request = proto.discovery_request("Cluster", proto.node("nobody"), names=["x" * 1000] * 4100)
    size = (4 << 20) - len(request) - 1
    request += proto.put(6, b"y" * (size - len(proto.number_bytes(size))))
    assert len(request) == 4 << 20
    call = Call(clear(agent.ip), ADS)
    call.send(request)
    call.send(proto.discovery_request(None))
    assert call.over() == (3, "type URL is required for ADS")


def memory(agent):
    with open("/proc/%d/status" % agent.proc.pid) as handle:
        return int(re.search(r"VmRSS:\s+(\d+)", handle.read()).group(1)) << 10


def whole(client, upstreams=301):
    """All clusters, endpoints and listeners are there, and of one version."""
    latest = [client.latest.get(kind, {"version_info": None, "resources": []}) for kind in ("cds", "eds", "lds")]
    return ([len(one["resources"]) for one in latest] == [upstreams + 1, upstreams, upstreams + 1] and
            len({one["version_info"] for one in latest}) == 1)


def db_of(client):
    return [e["health_status"] for one in client.latest["eds"]["resources"] if one["cluster_name"].startswith("db.") for part in one["endpoints"]
            for e in part.get("lb_endpoints", [])]


def test_who_does_not_read_costs_one_answer(agents, praetor):
    """Many changes, and a window that is shut: what waits is one answer; what comes then is the newest."""
    agent = agents(praetor, dev=True, config=GRPC, name="memory").start()
    upstreams = [{"DestinationName": "u%d" % i, "LocalBindPort": 10000 + i} for i in range(300)]
    ok(agent.put("/v1/agent/service/register", DB))
    many = copy.deepcopy(SIDECAR)
    many["Connect"]["SidecarService"]["Proxy"]["Upstreams"] += upstreams
    ok(agent.put("/v1/agent/service/register", many))
    client = Envoy(agent.ip, "web1-sidecar-proxy", client=clear(agent.ip, window=0))
    client.client.grant = False
    for kind in KINDS:
        client.ask(kind)
    reader = Envoy(agent.ip, "web1-sidecar-proxy")
    for kind in KINDS:
        reader.ask(kind)
    reader.hear("all upstreams", lambda: whole(reader) and db_of(reader) == ["HEALTHY"])
    before = memory(agent)
    for i in range(20):
        ok(agent.put("/v1/agent/check/%s/dbc" % ("fail" if i % 2 == 0 else "pass")))
        reader.hear("a change", lambda: whole(reader) and db_of(reader) == ["UNHEALTHY" if i % 2 == 0 else "HEALTHY"])
    assert memory(agent) - before < 64 << 20
    assert client.call.answer.body == b""
    link = client.client
    link.h2.increment_flow_control_window(1 << 28, client.call.number)
    link.h2.increment_flow_control_window(1 << 28)
    link.flush()
    client.hear("two versions", lambda: client.order and client.order[-1][0] == "lds" and client.order[-1][1] != client.order[0][1])
    client.settle(first=1)
    versions = [v for kind, v, _, _ in client.order]
    assert versions[0] == "00000001" and len(set(versions)) == 2  # the one that waited, and the newest
    assert client.order[-1][0] == "lds" and [k for k, v, _, _ in client.order if v == versions[-1]] == ["cds", "eds", "lds"]


def test_many_streams_are_the_most(agent):
    """2048 of a connection, and no more; they end with it."""
    link = clear(agent.ip)
    until("settings", lambda: link.read_some(1) and link.h2.remote_settings.max_concurrent_streams == 2048)
    for _ in range(2048):
        number = link.h2.get_next_available_stream_id()
        link.h2.send_headers(number, [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", ADS),
                                      ("content-type", "application/grpc")])
        link.h2.send_data(number, frame(b""))
    link.flush()
    link.sock.close()
    assert ok(agent.get("/v1/status/leader"))


def test_one_address_leaves_room_for_others(agent):
    """1024 connections of it; more end at once, and others are served."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))

    def greeted(sock):
        """Ours speaks first: it says SETTINGS, or hangs up."""
        try:
            return sock.recv(100) != b""
        except ConnectionResetError:
            return False

    def full():
        """Never more than 1024; fewer as long as the agent has not seen the end of those of before."""
        held = []
        try:
            for _ in range(1100):
                held.append(socket.create_connection((agent.ip, 8502), timeout=PATIENCE))
            count = sum(greeted(sock) for sock in held)
            assert count <= 1024
            other = socket.socket()
            held.append(other)
            other.bind(("127.0.0.9", 0))
            other.settimeout(PATIENCE)
            other.connect((agent.ip, 8502))
            assert greeted(other)
            return count == 1024
        finally:
            for sock in held:
                sock.close()
    until("1024 at once", full)
    until("room again", lambda: _tries(lambda: check(agent.ip, URI + "web", URI + "db")[1] == (0, "")))


def test_bytes_of_anybody(agent):
    raw = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\0" * 100, os.urandom(3000),
           b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(3000), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
           b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">BHBBI", 0, 0, 4, 0, 0) + struct.pack(">BHBBI", 0, 8, 6, 0, 0) + b"12345678"]
    for bytes_ in raw:
        with socket.create_connection((agent.ip, 8502), timeout=PATIENCE) as sock:
            sock.sendall(bytes_)
            sock.shutdown(socket.SHUT_WR)
            while True:
                try:
                    if not sock.recv(65536):
                        break
                except ConnectionResetError:
                    break
    # Nobody's frames without end, that ask for nothing.
    with socket.create_connection((agent.ip, 8502), timeout=PATIENCE) as sock:
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">BHBBI", 0, 0, 4, 0, 0))
        ping = struct.pack(">BHBBI", 0, 8, 6, 0, 0) + b"12345678"
        with pytest.raises(OSError):
            while True:
                sock.sendall(ping * 1000)
                sock.recv(1 << 20)
    assert ok(agent.get("/v1/status/leader"))


def test_clients_that_go(agent):
    """In the middle of anything, many at a time: nothing of them stays (the sanitizer looks at the end)."""
    ok(agent.put("/v1/agent/service/register", DB))
    ok(agent.put("/v1/agent/service/register", SIDECAR))

    def come_and_go(seed):
        for i in range(20):
            client = Envoy(agent.ip, "web1-sidecar-proxy")
            for kind in list(KINDS)[:(seed + i) % 5]:
                client.ask(kind)
            if i % 3 == 0:
                client.take(5)
            if i % 4 == 0:
                client.client.reset(client.call.number)
            call = Call(client.client, CHECK)
            call.send(proto.check_request(URI + "web", URI + "db"), end=True)
            client.client.sock.close()
    threads = [threading.Thread(target=come_and_go, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert check(agent.ip, URI + "web", URI + "db")[0] == (0, "ALLOWED: ACLs disabled, access is allowed by default")
    ok(agent.put("/v1/agent/service/deregister/web1"))
    ok(agent.put("/v1/agent/service/deregister/db1"))


# ---- the port ----

def test_encrypted_when_https_is(agents, praetor_asan, peer, tmp_path):
    """With HTTPS on and a certificate: encrypted only, and nobody is asked for a certificate. Ours agrees on h2, the peer on nothing."""
    authority = Authority(tmp_path, "ca")
    made = authority.make("server")
    for name, binary in (("ours", praetor_asan), ("theirs", peer)):
        agent = agents(binary, dev=True, name=name, config=dict(GRPC, ports=dict(PORTS, https=8501, grpc=8502), ca_file=authority.file,
                                                                cert_file=made.cert, key_file=made.key, verify_incoming_https=True)).start()
        context = ssl.create_default_context(cafile=authority.file)
        context.check_hostname = False
        if name == "ours":
            context.set_alpn_protocols(["h2"])
        sock = context.wrap_socket(socket.create_connection((agent.ip, 8502), timeout=PATIENCE))
        assert sock.selected_alpn_protocol() == ("h2" if name == "ours" else None)
        sock.close()
        furnish(agent, {"config_entries": [], "registrations": [DB, SIDECAR]})
        client = Client(agent.ip, 8502, strict=True) if name == "ours" else None
        if client is not None:
            stream = Envoy(agent.ip, "web1-sidecar-proxy", client=client)
            for kind in KINDS:
                stream.ask(kind)
            stream.hear("all of it", lambda: set(stream.latest) == {"cds", "eds", "lds"})
        with socket.create_connection((agent.ip, 8502), timeout=PATIENCE) as plain:
            plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">BHBBI", 0, 0, 4, 0, 0))
            assert not plain.recv(100) or name == "theirs"
    # HTTPS without a certificate: in clear.
    agent = agents(praetor_asan, dev=True, name="without", config=dict(GRPC, ports=dict(PORTS, https=8501, grpc=8502))).start()
    assert check(agent.ip, URI + "web", URI + "db")[1] == (0, "")


def test_the_port_is_a_setting(agents, praetor_asan, tmp_path):
    path = str(tmp_path / "grpc.sock")
    agent = agents(praetor_asan, dev=True, name="socket", config={"addresses": {"grpc": "unix://" + path}, "ports": dict(PORTS, grpc=8502)})
    agent.start()
    until("its word", lambda: "Started gRPC server: address=%s network=unix" % path in agent.tail(100000))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">BHBBI", 0, 0, 4, 0, 0))
        assert sock.recv(100)[3] == 4  # SETTINGS
    got = agent.get("/v1/agent/self").json
    shown = got["DebugConfig"]
    assert got["xDS"] == {"SupportedProxies": {"envoy": ["1.14.5", "1.13.6", "1.12.7", "1.11.2"]}}
    assert shown["GRPCPort"] == 8502 and shown["GRPCAddrs"] == ["unix://" + path]
    assert agent.stop() in (0, 1)
    assert not os.path.exists(path)


def test_the_port_as_an_argument(agents, praetor_asan):
    """-dev has 8502 unless it is told otherwise."""
    agent = agents(praetor_asan, dev=True, name="flag", config={"ports": PORTS})
    agent.prefix = []
    agent.start()
    assert check(agent.ip, URI + "web", URI + "db")[1] == (0, "")
    agent.stop()
    with open(os.path.join(agent.folder, "run"), "w") as handle:
        handle.write("#!/bin/sh\nexec \"$@\" -grpc-port=8512\n")
    agent.prefix = ["sh", handle.name]
    agent.start()
    assert check(agent.ip, URI + "web", URI + "db", port=8512)[1] == (0, "")


def test_without_the_port_nobody_listens(agents, praetor_asan):
    agent = agents(praetor_asan, dev=True, name="off").start()
    with pytest.raises(OSError):
        socket.create_connection((agent.ip, 8502), timeout=2)
    assert "xDS" not in agent.get("/v1/agent/self").json
