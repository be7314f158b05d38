"""Configuration entries (connect.md 1) where servers of both kinds meet: in one cluster, and of two datacenters. What the API says,
answer by answer, is in tests/conformance-more/scenarios/connect-config and tests/vectors/connect/config-write.json."""

import json

import pytest

from e2e.cluster import Cluster, same_state
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


@pytest.mark.parametrize("kinds", ["opp", "poo"])
def test_in_a_cluster_of_both_kinds(agents, praetor_asan, peer, kinds):
    cluster = Cluster(agents, [{"o": praetor_asan, "p": peer}[k] for k in kinds])
    cluster.form(seconds=40)
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
        answer = waits.get("/v1/config/service-defaults?index=%d&wait=20s" % index)
        assert any(x["Name"] == "late-" + waits.name for x in answer.json)
    # Another leader, of the other kind, goes on from the same state.
    first = cluster.leader()
    first.kill()
    leader = cluster.wait_leader(seconds=60, but=first.raft)
    until("a leader that writes", lambda: put(leader, {"Kind": "service-defaults", "Name": "after"}).status == 200, 30)
    assert [x["Name"] for x in leader.get("/v1/config/ingress-gateway").json] == ["ig0", "ig1", "ig2"]
    same_state(cluster.alive())


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


# ---- two datacenters ----


def two_datacenters(agents, kinds, access=None):
    base = dict(access or {}, primary_datacenter="dc1", performance={"raft_multiplier": 1})
    servers = []
    for binary, name in zip(kinds, ("one", "two")):
        more = {"datacenter": "dc2", "retry_join_wan": [servers[0].ip], "retry_interval_wan": "1s"} if servers else {}
        servers.append(agents(binary, name=name, config=dict(base, **more)))
        servers[-1].launch()
        until("an API", lambda: entries(servers[-1]) is not None, 90)
        if not more:  # the secondary begins with nothing when there is something already
            for entry in of_all_kinds(1)[0:2]:
                until("the first of them", lambda entry=entry: put(servers[0], entry).status == 200, 30)
    return servers


@pytest.mark.parametrize("access", [None, "deny"], ids=["open", "deny"])
@pytest.mark.parametrize("kinds", [("peer", "ours"), ("ours", "ours"), ("ours", "peer")], ids="-".join)
def test_secondary_has_the_primary_s(agents, peer, praetor_asan, kinds, access):
    config = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {
        "master": ROOT, "agent": ROOT, "replication": ROOT}}} if access else None
    one, two = two_datacenters(agents, [peer if kind == "peer" else praetor_asan for kind in kinds], config)
    until("what was there", lambda: content(two) and content(two) == content(one), 60)
    for entry in of_all_kinds(1):
        written(two, entry)  # the primary writes it
    until("all kinds", lambda: content(two) == content(one) and len(content(two)) == 8, 60)
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
    until("the changes", lambda: content(two) == content(one), 60)
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
    until("an API", lambda: entries(one) is not None, 60)
    for entry in of_all_kinds(1):
        until("it is taken", lambda entry=entry: put(one, entry).status == 200, 30)
    two = agents(praetor_asan, name="two", config=dict(base, datacenter="dc2", retry_join_wan=[one.ip], retry_interval_wan="1s"))
    two.launch()
    until("all of them", lambda: len(content(two)) == 8 and content(two) == content(one), 60)
    # All goes at once: what others need is deleted last.
    for path in ("ingress-gateway/ig1", "terminating-gateway/tg1", "service-router/a1", "service-splitter/a1", "service-resolver/a1",
                 "service-defaults/a1", "service-defaults/b1", "proxy-defaults/global"):
        assert delete(one, path).text.strip() == "{}"
    until("nothing is left", lambda: entries(two) == [], 60)
