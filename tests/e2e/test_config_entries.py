"""Configuration entries (connect.md 1) where servers of both kinds meet: in one cluster, and of two datacenters. What the API says,
answer by answer, is in tests/conformance-more/scenarios/connect-config and tests/vectors/connect/config-write.json."""

import json

import pytest

from e2e.cluster import STEADY, Cluster, same_state
from e2e.harness import until
from e2e.rpc_wire import Map, Plain, Raw, encode, header, opened
from e2e.test_rpc_port import pair, same

ROOT = "11111111-aaaa-4bbb-8ccc-222222222222"
KINDS = ["service-defaults", "proxy-defaults", "service-router", "service-splitter", "service-resolver", "ingress-gateway",
         "terminating-gateway"]


def put(server, entry, query="", token=ROOT):
    return server.put("/v1/config" + query, json.dumps(entry), headers={"X-Consul-Token": token})


def written(server, entry, query=""):
    answer = put(server, entry, query)
    assert (answer.status, answer.text.strip()) == (200, "true"), answer.text


def delete(server, path):
    return server.delete("/v1/config/" + path, headers={"X-Consul-Token": ROOT})


def entries(server, query=""):
    try:
        answer = server.get("/v1/config/" + query, headers={"X-Consul-Token": ROOT})
    except OSError:  # not up yet
        return None
    return answer.json if answer.status == 200 else None


def content(server):
    """What replication copies."""
    return [{k: v for k, v in x.items() if not k.endswith("Index")} for x in entries(server) or []]


def of_all_kinds(n):
    """In an order in which they are taken; those of n have names of their own."""
    a, b = "a%d" % n, "b%d" % n
    return [
        {"Kind": "proxy-defaults", "Config": {"n": n, "m": {"x": [1.5, "y", True]}, "text": "<é>"}, "MeshGateway": {"Mode": "local"}},
        {"Kind": "service-defaults", "Name": a, "Protocol": "HTTP", "Meta": {"k": "v"},
         "Expose": {"Checks": True, "Paths": [{"ListenerPort": 1, "Path": "/x", "LocalPathPort": 2, "Protocol": "http2"}]}},
        {"Kind": "service-defaults", "Name": b, "Protocol": "http", "ExternalSNI": "sni"},
        {"Kind": "service-resolver", "Name": a, "ConnectTimeout": "15s", "DefaultSubset": "v1",
         "Subsets": {"v1": {"Filter": "Service.Meta.v == 1", "OnlyPassing": True}, "v2": {}}, "Failover": {"*": {"Datacenters": ["dc2"]}}},
        {"Kind": "service-splitter", "Name": a, "Splits": [{"Weight": 33.333, "ServiceSubset": "v2"}, {"Weight": "66.667", "Service": b}]},
        {"Kind": "service-router", "Name": a, "Routes": [
            {"Match": {"HTTP": {"PathPrefix": "/x", "Header": [{"Name": "a", "Present": True, "Invert": True}],
                                "QueryParam": [{"Name": "q", "Exact": "z"}], "Methods": ["get"]}},
             "Destination": {"RequestTimeout": "5s", "Service": b, "PrefixRewrite": "/y", "NumRetries": 2, "RetryOnStatusCodes": [503]}}, {}]},
        {"Kind": "ingress-gateway", "Name": "ig%d" % n, "TLS": {"Enabled": True},
         "Listeners": [{"Port": 8080, "Protocol": "http", "Services": [{"Name": a, "Hosts": ["x.com"]}, {"Name": "*", "Meta": {"a": "b"}}]}]},
        {"Kind": "terminating-gateway", "Name": "tg%d" % n, "Services": [{"Name": "old", "CAFile": "/ca", "SNI": "s"}, {"Name": "*"}]},
    ]


def chains_are_the_same(ours, theirs):
    """Each compiles on its own (stale), and who waits is told of a change that the other was asked for."""
    names = ["a0", "b1", "x", "first", "nobody"]
    for server in (ours, theirs):
        until("the certificate authority", lambda server=server: server.get("/v1/discovery-chain/nobody?stale").status == 200)
    for name in names:
        for overrides in ({}, {"OverrideProtocol": "tcp"}, {"OverrideConnectTimeout": "7s", "OverrideMeshGateway": {"Mode": "local"}}):
            asked = ["/v1/discovery-chain/%s?stale&compile-dc=%s" % (name, dc) for dc in ("", "dc2")]
            told = [[server.request("POST", path, json.dumps(overrides)).json for path in asked] for server in (ours, theirs)]
            assert told[0] == told[1] and told[0][0]["Chain"]["ServiceName"] == name
    for waits, writes in ((ours, theirs), (theirs, ours)):
        index = waits.get("/v1/discovery-chain/nobody").index
        written(writes, {"Kind": "service-resolver", "Name": "nobody", "ConnectTimeout": "%ds" % (index % 1000 + 6)})
        chain = waits.get("/v1/discovery-chain/nobody?index=%d&wait=60s" % index, timeout=80).json["Chain"]
        assert chain["Nodes"][chain["StartNode"]]["Resolver"]["ConnectTimeout"] in ("%ds" % (index % 1000 + 6), "%dm%ds" % divmod(index % 1000 + 6, 60))


@pytest.mark.parametrize("kinds", ["opp", "poo"])
def test_in_a_cluster_of_both_kinds(agents, praetor_asan, peer, kinds):
    cluster = Cluster(agents, [{"o": praetor_asan, "p": peer}[k] for k in kinds], {**STEADY, "connect": {"enabled": True}})
    cluster.form(seconds=90)
    servers = cluster.servers
    for n, server in enumerate(servers):
        until("calls that reach the leader", lambda server=server: put(server, {"Kind": "service-defaults", "Name": "first"}).status == 200)
        for entry in of_all_kinds(n):
            written(server, entry)
        refused = put(server, {"Kind": "service-router", "Name": "tcp%d" % n})
        assert (refused.status, "does not permit advanced routing" in refused.text) == (500, True)
        refused = delete(server, "service-defaults/a%d" % n)
        assert refused.status == 500 and "discovery chain" in refused.text
        assert put(server, {"Kind": "service-splitter", "Name": "x", "Splits": [{"Weight": 1}]}).text.endswith(
            "the sum of all split weights must be 100, not 1.000000")
        # check-and-set
        assert put(server, {"Kind": "service-defaults", "Name": "cas"}, "?cas=0").text.strip() == ("true" if n == 0 else "false")
        index = server.get("/v1/config/service-defaults/cas").json["ModifyIndex"]
        written(server, {"Kind": "service-defaults", "Name": "cas", "Protocol": "p%d" % n}, "?cas=%d" % index)
        assert put(server, {"Kind": "service-defaults", "Name": "cas"}, "?cas=%d" % index).text.strip() == "false"
        written(server, {"Kind": "service-defaults", "Name": "gone"})
        assert delete(server, "service-defaults/GONE").text.strip() == "{}"
    same_state(servers)
    for kind in KINDS:
        told = [server.get("/v1/config/%s?stale" % kind) for server in servers]
        assert told[0].json and told[0].json == told[1].json == told[2].json, kind
    ours = servers[kinds.index("o")]
    if cluster.leader() is ours:  # what would end the peer's servers, and each of their starts, never gets into the log
        for server in servers:
            refused = put(server, {"Kind": "proxy-defaults", "Config": {"a": {"b": [None, 1]}}})
            assert refused.status == 500 and refused.text.endswith("Config must not contain null")
    # Who waits on one kind is told of what came through the other.
    theirs = servers[kinds.index("p")]
    for waits, writes in ((ours, theirs), (theirs, ours)):
        index = waits.get("/v1/config/service-defaults").index
        written(writes, {"Kind": "service-defaults", "Name": "late-" + waits.name})
        answer = waits.get("/v1/config/service-defaults?index=%d&wait=60s" % index, timeout=80)
        assert any(x["Name"] == "late-" + waits.name for x in answer.json)
    chains_are_the_same(ours, theirs)
    # Another leader, of the other kind, goes on from the same state.
    first = cluster.leader()
    first.kill()
    leader = cluster.wait_leader(seconds=90, but=first.raft)
    until("a leader that writes", lambda: put(leader, {"Kind": "service-defaults", "Name": "after"}).status == 200)
    assert [x["Name"] for x in leader.get("/v1/config/ingress-gateway").json] == ["ig0", "ig1", "ig2"]
    same_state(cluster.alive())


def test_bootstrapped_before_anything_is_answered(agents, praetor_asan):
    entries = [{"Kind": "service-defaults", "Name": "s%d" % i, "Meta": {"text": "x" * 500}} for i in range(400)]
    agent = agents(praetor_asan, config={"config_entries": {"bootstrap": entries}})
    agent.launch()

    def first():
        try:
            answer = agent.get("/v1/config/service-defaults")
        except OSError:
            return None
        return answer.json if answer.status == 200 else None
    assert len(until("an answer", first, 60)) == len(entries)


# ---- the server port ----


def raw(kind, body):
    return encode(Raw([kind, body]))


def entry(kind, op="upsert", **fields):
    return raw(kind, {"Datacenter": "dc1", "Op": op, "Entry": fields, "Token": ""})


def resolve(name, **more):
    return "ConfigEntry.ResolveServiceConfig", encode(dict({"Datacenter": "dc1", "Name": name}, **more))


BOTH = {"Upstreams": ["web", "nope", "web"]}, {"UpstreamIDs": [{"ID": "web"}, {"ID": "nope"}, {"ID": ""}, {"ID": "web"}]}
APPLY, DELETE, GET, LIST = ("ConfigEntry." + name for name in ("Apply", "Delete", "Get", "List"))
ASKED = [
    (LIST, encode({"Datacenter": "dc1", "Kind": ""})),
    (LIST, encode({"Datacenter": "dc1", "Kind": "service-router"})),
    ("ConfigEntry.ListAll", encode({"Datacenter": "dc1"})),
    resolve("web", **BOTH[0]), resolve("web", **BOTH[1]), resolve(""),
    (APPLY, entry("service-defaults", Kind="service-defaults", Name="web", Protocol="HTTP")),
    (APPLY, entry("service-defaults", "zork", Kind="proxy-defaults", Name="e")),
    (APPLY, entry("service-defaults", "upsert-cas", Name="web", ModifyIndex=1)),
    (APPLY, raw("service-defaults", {"Datacenter": "", "Op": "delete", "Entry": {"Name": "kept"}})),
    (APPLY, raw("service-defaults", {"Datacenter": "nowhere", "Entry": {"Name": "kept2", "Protocol": "grpc"}})),
    (APPLY, entry("service-splitter", Name="x")), (APPLY, entry("service-router", Name="x")), (APPLY, entry("service-resolver", Name="")),
    (APPLY, entry("zork", Name="x")), (APPLY, entry("", Name="x")), (APPLY, encode("")), (APPLY, encode(5)), (APPLY, encode({"Datacenter": "dc1"})),
    (APPLY, encode("\x05")), (APPLY, encode("\xb0service-defaults".encode("latin1"))),
    (APPLY, encode("\xb0service-defaults\x05".encode("latin1"))), (APPLY, raw("service-defaults", {"Entry": {"Kind": 5, "Name": "x"}})),
    resolve("web", **BOTH[0]), resolve("e", **BOTH[1]), resolve("WEB", Upstreams=["WEB", "e"]),
] + [ask for config in ({"protocol": 5, "m": 1}, {"protocol": True}, {"Protocol": "http"}, {"protocol": ""}, {"protocol": ["a", "b"]}, {"x": {"y": [1]}}, {})
     for ask in ((APPLY, entry("proxy-defaults", Name="any", Config=config, MeshGateway={"Mode": "local"},
                                Expose={"Checks": True, "Paths": [{"Path": "/a"}]})),
                 resolve("e", **BOTH[0]), resolve("web", **BOTH[1]), resolve("nope"))] + [
    (APPLY, entry("service-defaults", Name="e", Expose={"Paths": [{"Path": "/b"}]}, MeshGateway={"Mode": "remote"})), resolve("e"),
    (GET, encode({"Datacenter": "dc1", "Kind": "proxy-defaults", "Name": "any"})),
    (GET, encode({"Datacenter": "dc1", "Kind": "proxy-defaults", "Name": "global"})),
    (GET, encode({"Datacenter": "dc1", "Kind": "", "Name": "x"})), (GET, encode({"Datacenter": "", "Kind": "service-defaults", "Name": "x"})),
    (GET, encode({"Datacenter": "nowhere", "Kind": "zork", "Name": "x"})), (GET, encode({"Datacenter": "dc1", "Kind": "service-defaults", "Name": "WEB"})),
    (LIST, encode({"Datacenter": "dc1", "Kind": "service-defaults"})), ("ConfigEntry.ListAll", encode({"Datacenter": "dc1"})),
    (LIST, encode({"Datacenter": "dc1", "Kind": ""})),
    (DELETE, entry("proxy-defaults", "", Name="other")), (DELETE, entry("service-defaults", "", Name="")),
    (DELETE, raw("service-defaults", {"Datacenter": "nowhere", "Op": "upsert", "Entry": {"Name": "WEB"}})),
    ("ConfigEntry.ListAll", encode({"Datacenter": "dc1"})),
]


def any_order(value):
    """What the peer makes of a map in an order of its own."""
    if isinstance(value, Map):
        return Map((k, sorted(v, key=repr) if k == b"UpstreamIDConfigs" and v else any_order(v)) for k, v in value)
    return [any_order(v) for v in value] if isinstance(value, list) else value


def test_on_the_server_port(agents, peer, praetor_asan):
    sides = pair(agents, praetor_asan, peer)
    for number, (method, body) in enumerate(ASKED):
        told = []
        for agent in sides:
            link = Plain(agent.ip)
            head, answer = link.exchange(header(method) + body)
            link.close()
            told.append(any_order([same(part, None, agent.ip.encode()) for part in (head, opened(answer))]))
        assert told[0] == told[1], (number, method, body)


# ---- what agents make of it ----


LOCAL = {"z": 0, "f": False, "e": "", "l0": [], "n": {"a": 9, "b": {"d": 1}}, "own": "x"}
CENTRAL = {"z": 5, "f": True, "e": "def", "l0": [1, 2], "n": {"a": 1, "b": {"c": 2}}, "more": {"x": [1]}}
SERVICES = [
    {"Name": "web", "Port": 80, "Connect": {"SidecarService": {"Proxy": {"Config": LOCAL, "Upstreams": [
        {"DestinationName": "db", "LocalBindPort": 1000, "Config": {"protocol": "", "own": 1}},
        {"DestinationName": "db", "LocalBindPort": 1001, "Datacenter": "dc2", "MeshGateway": {"Mode": "none"}},
        {"DestinationName": "nope", "LocalBindPort": 1002}, {"DestinationName": "q", "DestinationType": "prepared_query", "LocalBindPort": 1003}]}}}},
    {"Name": "api", "Port": 81},
    {"ID": "p1", "Name": "api-proxy", "Kind": "connect-proxy", "Port": 82, "Proxy": {
        "DestinationServiceName": "api", "DestinationServiceID": "api", "MeshGateway": {"Mode": "remote"}, "Expose": {"Paths": [
            {"Path": "/own", "LocalPathPort": 5, "ListenerPort": 6}]}}},
    {"ID": "p2", "Name": "api-proxy", "Kind": "connect-proxy", "Port": 83, "Proxy": {"DestinationServiceName": "api"}},
    {"ID": "mg", "Name": "gateway", "Kind": "mesh-gateway", "Port": 84},
    {"ID": "tg", "Name": "tg", "Kind": "terminating-gateway", "Port": 85, "Proxy": {"Config": {"z": 7}}},
    {"ID": "ig", "Name": "ig", "Kind": "ingress-gateway", "Port": 86},
]


def shown(agent):
    """The agent's services, and the same in the catalog, without what is each agent's own."""
    here = {k: {f: v for f, v in x.items() if f not in ("ContentHash", "Datacenter")} for k, x in agent.get("/v1/agent/services").json.items()}
    services = agent.get("/v1/catalog/node/" + agent.name).json["Services"]
    there = {k: services[k]["Proxy"] for k in services if services[k].get("Kind")}
    return here, there


def equal(sides, what):
    def compare():
        told = [shown(side) for side in sides]
        return told[0] if told[0] == told[1] else None
    try:
        return until(what, compare, 60)
    except AssertionError:
        told = [shown(side) for side in sides]
        raise AssertionError([(part, k, a.get(k), b.get(k)) for part, (a, b) in enumerate(zip(*told)) for k in {**a, **b}
                              if a.get(k) != b.get(k)]) from None


def test_central_configuration(agents, peer, praetor_asan):
    sides = pair(agents, praetor_asan, peer, enable_central_service_config=True)
    for side in sides:
        for entry_ in ({"Kind": "proxy-defaults", "Config": CENTRAL, "MeshGateway": {"Mode": "local"}, "Expose": {"Checks": False, "Paths": [
                {"Path": "/all", "LocalPathPort": 7, "ListenerPort": 8}]}}, {"Kind": "service-defaults", "Name": "web", "Protocol": "http"},
                       {"Kind": "service-defaults", "Name": "db", "Protocol": "grpc"}):
            written(side, entry_)
        for service in SERVICES:
            answer = side.put("/v1/agent/service/register", json.dumps(service))
            assert answer.status == 200, answer.text
    here, there = equal(sides, "the same services")
    sidecar = here["web-sidecar-proxy"]["Proxy"]
    assert sidecar["Config"] == {"z": 5, "f": True, "e": "def", "l0": [1, 2], "n": {"a": 9, "b": {"c": 2, "d": 1}}, "own": "x",
                                 "more": {"x": [1]}, "protocol": "http"}
    assert [u.get("Config") for u in sidecar["Upstreams"]] == [{"protocol": "grpc", "own": 1}, {"protocol": "grpc"}, None, None]
    assert there["web-sidecar-proxy"]["Config"] == sidecar["Config"] and here["p2"]["Proxy"].get("Config") is None
    # what changes is followed, in the agent and in the catalog
    for side in sides:
        written(side, {"Kind": "proxy-defaults", "Config": {"protocol": "tcp", "only": 1}})
        written(side, {"Kind": "service-defaults", "Name": "api", "Protocol": "http2", "Expose": {"Checks": True}, "MeshGateway": {"Mode": "none"}})
    until("the change", lambda: all(shown(side)[0]["p1"]["Proxy"]["Config"] == {"protocol": "http2", "only": 1} for side in sides))
    equal(sides, "the same after the change")
    for side in sides:
        assert delete(side, "proxy-defaults/global").status == 200
    until("without it", lambda: all(shown(side)[0]["p1"]["Proxy"]["Config"] == {"protocol": "http2"} for side in sides))
    until("nor in the sidecar", lambda: all("only" not in shown(side)[0]["web-sidecar-proxy"]["Proxy"]["Config"] for side in sides))
    for side in sides:  # the peer registers a sidecar again that goes while it takes a change
        assert side.put("/v1/agent/service/deregister/web").status == 200
    here, _ = equal(sides, "the same in the end")
    assert "web-sidecar-proxy" not in here
    # after a restart, from the files with what was registered
    ours = sides[1]
    ours.stop()
    ours.launch()
    until("the same after a restart", lambda: entries(ours) is not None and shown(ours)[0].get("p1", {}).get("Proxy", {}).get("Config")
          == {"protocol": "http2"}, 60)
    equal(sides, "the same after a restart")


def test_central_configuration_that_cannot_be_had(agents, peer, praetor_asan):
    """A client agent of either kind: without a server, and with a server that refuses; then what servers of either kind say."""
    told = []
    for binary in (peer, praetor_asan):
        lonely = agents(binary, name="l%d" % len(told), config={
            "server": False, "bootstrap_expect": 0, "enable_central_service_config": True, "performance": {"rpc_hold_timeout": "1s"}})
        lonely.launch()
        until("the client's API", lambda: _answers(lonely))
        answer = lonely.put("/v1/agent/service/register", json.dumps(SERVICES[4]))
        told.append((answer.status, answer.text, lonely.get("/v1/agent/services").json))
        lonely.kill()
    assert told[0] == told[1] == (500, 'could not retrieve initial service_defaults config for service "mg": No known Consul servers', {})
    told = []
    for binary, other in ((peer, peer), (praetor_asan, peer), (praetor_asan, praetor_asan)):
        number = len(told)
        access = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": ROOT}}}
        server = agents(other, name="s%d" % number, config=dict(access, performance={"raft_multiplier": 1}))
        client = agents(binary, name="c%d" % number, config={
            "server": False, "bootstrap_expect": 0, "enable_central_service_config": True, "retry_join": [server.ip], "retry_interval": "1s",
            "acl": {"enabled": True, "default_policy": "deny", "tokens": {"agent": ROOT, "default": ROOT}}})
        server.launch()
        until("entries", lambda: entries(server) is not None and put(server, {
            "Kind": "proxy-defaults", "Config": {"a": 1, "b": {"c": "x"}}}).status == 200, 90)
        client.launch()
        rules = {"Name": "r", "Rules": 'service "proxy" { policy = "write" } node_prefix "" { policy = "read" }'}
        until("a policy", lambda: server.put("/v1/acl/policy", json.dumps(rules), headers={"X-Consul-Token": ROOT}).status == 200)
        token = server.put("/v1/acl/token", json.dumps({"Policies": [{"Name": "r"}]}), headers={"X-Consul-Token": ROOT}).json["SecretID"]
        proxy = {"ID": "p", "Name": "proxy", "Kind": "connect-proxy", "Port": 1, "Proxy": {
            "DestinationServiceName": "hidden", "DestinationServiceID": "hidden"}}
        until("the client's server", lambda: _answers(client, "/v1/catalog/nodes"))
        refused = client.put("/v1/agent/service/register", json.dumps(proxy), headers={"X-Consul-Token": token})
        taken = until("it is taken", lambda: client.put("/v1/agent/service/register", json.dumps(proxy), headers={
            "X-Consul-Token": ROOT}).status == 200, 60)
        assert taken
        config = client.get("/v1/agent/service/p", headers={"X-Consul-Token": ROOT}).json["Proxy"]["Config"]
        told.append((refused.status, refused.text, config))
        client.kill()
        server.kill()
    assert told[0] == told[1] == told[2], told
    assert told[0][2] == {"a": 1, "b": {"c": "x"}}


def _answers(agent, path="/v1/agent/self"):
    try:
        return agent.get(path, headers={"X-Consul-Token": ROOT}).status == 200
    except OSError:
        return False


# ---- two datacenters ----


def two_datacenters(agents, kinds, access=None):
    base = dict(access or {}, primary_datacenter="dc1", performance={"raft_multiplier": 1})
    servers = []
    for binary, name in zip(kinds, ("one", "two")):
        more = {"datacenter": "dc2", "retry_join_wan": [servers[0].ip], "retry_interval_wan": "1s"} if servers else {}
        servers.append(agents(binary, name=name, config=dict(base, **more)))
        servers[-1].launch()
        until("an API", lambda: entries(servers[-1]) is not None)
        if not more:  # the secondary begins with nothing when there is something already
            for entry in of_all_kinds(1)[0:2]:
                until("the first of them", lambda entry=entry: put(servers[0], entry).status == 200)
    return servers


@pytest.mark.parametrize("access", [None, "deny"], ids=["open", "deny"])
@pytest.mark.parametrize("kinds", [("peer", "ours"), ("ours", "ours"), ("ours", "peer")], ids="-".join)
def test_secondary_has_the_primary_s(agents, peer, praetor_asan, kinds, access):
    config = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {
        "master": ROOT, "agent": ROOT, "replication": ROOT}}} if access else None
    one, two = two_datacenters(agents, [peer if kind == "peer" else praetor_asan for kind in kinds], config)
    until("what was there", lambda: content(two) and content(two) == content(one), 120)
    for entry in of_all_kinds(1):
        written(two, entry)  # the primary writes it
    until("all kinds", lambda: content(two) == content(one) and len(content(two)) == 8, 120)
    if access:
        assert two.put("/v1/config", json.dumps(of_all_kinds(2)[0])).status == 403
    refused = put(two, {"Kind": "service-router", "Name": "tcp"})
    assert (refused.status, "does not permit advanced routing" in refused.text) == (500, True)
    # changed, gone, spelled otherwise
    name = "B1" if kinds[1] == "ours" else "b1"  # a new spelling stops the peer: it deletes the old one first
    written(one, {"Kind": "service-defaults", "Name": name, "Protocol": "http", "Meta": {"new": "one"}})
    assert delete(two, "ingress-gateway/ig1?dc=dc2").text.strip() == "{}"
    written(one, {"Kind": "service-splitter", "Name": "a1", "Splits": [{"Weight": 100}]}, "")
    if kinds[1] == "ours":  # the peer stops for ever at what its order of writing does not allow
        for path in ("service-router/a1", "service-splitter/a1", "service-resolver/a1"):
            assert delete(one, path).text.strip() == "{}"
        written(one, {"Kind": "service-defaults", "Name": "a1", "Protocol": "tcp"})
    until("the changes", lambda: content(two) == content(one), 120)
    assert [x["Name"] for x in two.get("/v1/config/service-defaults", headers={"X-Consul-Token": ROOT}).json] == ["a1", name]
    # The same entries again are no change where they are held.
    index = two.get("/v1/config/service-defaults/b1", headers={"X-Consul-Token": ROOT}).index
    assert two.get("/v1/config/service-defaults/b1?dc=dc1", headers={"X-Consul-Token": ROOT}).json["Meta"] == {"new": "one"}
    assert index > 1


def test_secondary_begins_with_a_whole_mesh(agents, praetor_asan, peer):
    """The peer's secondaries never get over an http listener that is there before them (connect.md 1.12)."""
    base = {"primary_datacenter": "dc1", "performance": {"raft_multiplier": 1}}
    one = agents(peer, name="one", config=base)
    one.launch()
    until("an API", lambda: entries(one) is not None)
    for entry in of_all_kinds(1):
        until("it is taken", lambda entry=entry: put(one, entry).status == 200)
    two = agents(praetor_asan, name="two", config=dict(base, datacenter="dc2", retry_join_wan=[one.ip], retry_interval_wan="1s"))
    two.launch()
    until("all of them", lambda: len(content(two)) == 8 and content(two) == content(one), 120)
    # All goes at once: what others need is deleted last.
    for path in ("ingress-gateway/ig1", "terminating-gateway/tg1", "service-router/a1", "service-splitter/a1", "service-resolver/a1",
                 "service-defaults/a1", "service-defaults/b1", "proxy-defaults/global"):
        assert delete(one, path).text.strip() == "{}"
    until("nothing is left", lambda: entries(two) == [], 120)
