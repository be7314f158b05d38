"""Federation states (connect.md 7.2): the HTTP API and the methods on the server port beside the peer's, with access control off and on;
and two datacenters of both kinds, where each comes to know the mesh gateways of the other."""

import itertools
import json
import re
import signal
import socket

import pytest

from e2e.cluster import STEADY, Cluster, same_state
from e2e.harness import PORTS, until
from e2e.rpc_wire import Plain, encode, header
from e2e.test_rpc_port import same

ROOT = "11111111-aaaa-4bbb-8ccc-222222222222"
WITH_ROOT = {"X-Consul-Token": ROOT}
PATH = "/v1/internal/federation-state"
TIME = re.compile(r"20\d\d-\d\d-\d\dT[0-9:.]+Z")


def gateway(node, **service):
    return {"Node": node, "Address": "10.0.0.1", "Service": dict({
        "Kind": "mesh-gateway", "Service": "mgw", "Port": 443, "Meta": {"consul-wan-federation": "1"},
        "TaggedAddresses": {"wan": {"Address": "198.18.0.1", "Port": 443}}}, **service),
        "Checks": [{"Name": "listening", "CheckID": "l-" + node, "ServiceID": "mgw", "Status": "passing"},
                   {"Name": "node", "CheckID": "n-" + node, "Status": "warning"}]}


def register(agent, record):
    answer = agent.put("/v1/catalog/register", json.dumps(record), headers=WITH_ROOT)
    assert answer.status == 200, answer.text


def deregister(agent, node):
    answer = agent.put("/v1/catalog/deregister", json.dumps({"Node": node}), headers=WITH_ROOT)
    assert answer.status == 200, answer.text


def states(agent, query="", headers=WITH_ROOT):
    """{datacenter: state}; what an agent that is not up yet, or may not, answers is {}."""
    try:
        answer = agent.get(PATH + "s" + query, headers=headers)
    except OSError:
        return {}
    return {s["Datacenter"]: s for s in answer.json} if answer.status == 200 else {}


def nodes_in(records):
    """{datacenter: names of the nodes with a gateway}"""
    return {dc: sorted(g["Node"]["Node"] for g in s.get("MeshGateways", [])) for dc, s in records.items()}


def nodes_of(agent):
    return nodes_in(states(agent))


def acl(replication):
    tokens = {"master": ROOT, "agent": ROOT}
    return {"acl": {"enabled": True, "default_policy": "deny", "tokens": dict(tokens, replication=ROOT) if replication else tokens}}


# ---- beside the peer ----

READS = ["s", "s?pretty", "s/mesh-gateways", "s/mesh-gateways?pretty", "s/", "s/x", "", "/", "/?index=x", "/?dc=nowhere", "/dc1", "/DC1", "/dc1/x",
         "/dc1?pretty", "/nope", "/x?index=x", "/%20", "s?filter=x==", "s/mesh-gateways?filter=x==", "/dc1?filter=x==", "s?ns=x", "/dc1?ns=x",
         "s?filter=Datacenter==nope", "s/mesh-gateways?filter=Service.Port==1", "s?near=_agent"]
READS += [p + q for p in ("s", "s/mesh-gateways", "/dc1", "/nope")
          for q in ("?dc=nowhere", "?dc=dc1", "?stale", "?consistent", "?stale&consistent", "?cached", "?index=1", "?index=x", "?wait=x", "?wait=1s")]
OTHER_METHODS = [(m, p) for m in ("PUT", "POST", "DELETE", "HEAD", "OPTIONS") for p in ("s", "s/mesh-gateways", "/dc1", "/")]
UNKNOWN = "77777777-0000-4000-8000-000000000000"
RULES = {"op-read": 'operator = "read"', "op-write": 'operator = "write"', "node": 'node_prefix "" { policy = "read" }',
         "service": 'service_prefix "" { policy = "read" }',
         "one": 'node "gw1" { policy = "read" } service_prefix "" { policy = "read" }',
         "both": 'node_prefix "" { policy = "read" } service "mgw" { policy = "read" }'}


def comparable(answer, agent):
    shown = {k: v for k, v in answer.headers.items()
             if k in ("Content-Type", "Allow", "Location") or k.startswith("X-Consul-") and k != "X-Consul-Index"}
    index = answer.headers.get("X-Consul-Index")
    text = TIME.sub("<time>", answer.text.replace(agent.ip, "ADDRESS"))
    return answer.status, shown, index if index in (None, "1") else "N", re.sub(r'(Index": ?)\d+', r"\1N", text)


def sides(agents, peer, praetor_asan, config):
    both = [agents(binary, name=name, config=config) for binary, name in ((peer, "theirs"), (praetor_asan, "ours"))]
    for agent in both:
        agent.launch()
    for agent in both:
        until("its own record", lambda agent=agent: "dc1" in states(agent))
    return both


def world(agent):
    register(agent, gateway("gw1"))
    register(agent, gateway("gw2", Tags=["a"], Address="10.0.0.2"))
    register(agent, {"Node": "gw1", "Address": "10.0.0.1", "Service": {"Service": "web", "Port": 80}})
    until("both gateways", lambda: nodes_of(agent) == {"dc1": ["gw1", "gw2"]})
    # Records settle: a change behind the first is seen in a later round.
    until("the checks", lambda: [len(g["Checks"] or []) for g in states(agent)["dc1"]["MeshGateways"]] == [2, 2])


def compare(both, ask):
    told = [comparable(ask(agent), agent) for agent in both]
    return [] if told[0] == told[1] else ["   peer: %s\n   ours: %s" % tuple(told)]


@pytest.mark.parametrize("config", [{}, acl(True)], ids=["open", "deny"])
def test_http_beside_the_peer(agents, peer, praetor_asan, config):
    both = sides(agents, peer, praetor_asan, config)
    tokens = {"root": [ROOT, ROOT]}
    if config:
        tokens.update(none=["", ""], nobody=[UNKNOWN, UNKNOWN])
    for name, rules in RULES.items() if config else ():
        for agent in both:
            assert agent.put("/v1/acl/policy", {"Name": name, "Rules": rules}, headers=WITH_ROOT).status == 200
            made = agent.put("/v1/acl/token", {"Policies": [{"Name": name}]}, headers=WITH_ROOT)
            tokens.setdefault(name, []).append(made.json["SecretID"])
    wrong = []
    for filled in (False, True):
        for agent in both if filled else ():
            world(agent)
        for who, secrets in tokens.items():
            for method, path in [("GET", p) for p in READS] + OTHER_METHODS:
                def ask(agent):
                    secret = secrets[both.index(agent)]
                    return agent.request(method, PATH + path, headers={"X-Consul-Token": secret} if secret else {})
                wrong += ["%s %s %s\n%s" % (who, method, path, d) for d in compare(both, ask)]
    wrong += ["gzip\n" + d for d in compare(both, lambda a: a.get(PATH + "/nope", headers=dict(WITH_ROOT, **{"Accept-Encoding": "gzip"})))]
    assert not wrong, "%d differ\n" % len(wrong) + "\n".join(wrong)


INSTANCE = {"Node": {"Node": "n", "Address": "1.1.1.1"}, "Service": {"Service": "s", "ID": "s"}, "Checks": None}
APPLIED = [{"Op": "zip", "State": {"Datacenter": "x"}}, {"Op": "zip"}, {"Op": "zip", "State": {}}, {"Op": "", "State": {"Datacenter": "x"}},
           {"Op": "upsert"}, {"Op": "delete"}, {"Op": "delete", "State": {}}, {}, {"Datacenter": "nowhere", "Op": "upsert", "State": {"Datacenter": "Dcx"}},
           {"Datacenter": "", "Op": "upsert", "State": {"Datacenter": "dcy", "PrimaryModifyIndex": 1, "CreateIndex": 77, "ModifyIndex": 99, "MeshGateways": []}},
           {"Op": "upsert", "State": {"Datacenter": "DCY", "MeshGateways": [INSTANCE]}},
           {"Op": "upsert", "State": {"Datacenter": "dcz", "MeshGateways": [INSTANCE, INSTANCE]}},
           {"Op": "delete", "State": {"Datacenter": "dcx"}}, {"Op": "delete", "State": {"Datacenter": "dcx"}},
           {"Op": "UPSERT", "State": {"Datacenter": "x"}}]
READ = [("List", {"Datacenter": "dc1"}), ("List", {"Datacenter": ""}), ("ListMeshGateways", {"Datacenter": "dc1"}),
        ("Get", {"Datacenter": "dc1", "TargetDatacenter": "dc1"}), ("Get", {"Datacenter": "DCY", "TargetDatacenter": "dc1"}),
        ("Get", {"Datacenter": "", "TargetDatacenter": "dc1"}), ("Get", {"Datacenter": "dc1"}), ("Get", {"Datacenter": "dc1", "TargetDatacenter": "x"})]


@pytest.mark.parametrize("config", [{}, acl(True)], ids=["open", "deny"])
def test_on_the_server_port(agents, peer, praetor_asan, config):
    both = sides(agents, peer, praetor_asan, config)
    asked = [("Apply", dict(body, Token=token)) for token in ("", UNKNOWN, ROOT) for body in APPLIED]
    asked += [(method, dict(body, Token=token)) for token in ("", UNKNOWN, ROOT) for method, body in READ]
    for method, body in asked:
        told = []
        for agent in both:
            link = Plain(agent.ip)
            told.append([same(part, None, agent.ip.encode()) for part in link.exchange(header("FederationState." + method) + encode(body))])
            link.close()
        assert told[0] == told[1], (method, body)


@pytest.mark.parametrize("kinds", [("peer", "praetor_asan"), ("praetor_asan", "peer")], ids="-".join)
def test_through_a_client_agent(agents, request, kinds):
    server, client = (request.getfixturevalue(kind) for kind in kinds)
    server = agents(server, name="s")
    server.start()
    world(server)
    client = agents(client, name="c", config={"server": False, "bootstrap_expect": 0, "retry_join": [server.ip], "retry_interval": "1s"})
    client.launch()
    until("an answer", lambda: states(client))
    for path in READS:
        if "nowhere" not in path:  # which another server says: with a prefix
            there, here = (comparable(agent.get(PATH + path), agent) for agent in (server, client))
            assert here == there, path


def test_the_own_record_comes_back(agents, peer, praetor_asan):
    for agent in sides(agents, peer, praetor_asan, {}):
        before = states(agent)["dc1"]
        assert before["PrimaryModifyIndex"] == before["ModifyIndex"] == before["CreateIndex"]
        link = Plain(agent.ip)
        assert link.call("FederationState.Apply", Op="delete", State={"Datacenter": "dc1"}) is False
        until("it is back", lambda: states(agent).get("dc1", before)["CreateIndex"] > before["CreateIndex"])
        # A wrong one is put right.
        assert link.call("FederationState.Apply", Op="upsert", State={"Datacenter": "dc1", "MeshGateways": [INSTANCE]}) is True
        until("it is right", lambda: nodes_of(agent) == {"dc1": []})
        link.close()


# ---- two datacenters ----

MIXES = [("peer", "ours"), ("ours", "peer"), ("ours", "ours")]


def datacenters(agents, request, kinds, config):
    base = dict(config, primary_datacenter="dc1", performance={"raft_multiplier": 1})
    one, two = (request.getfixturevalue("peer" if kind == "peer" else "praetor_asan") for kind in kinds)
    one = agents(one, name="one", config=base)
    two = agents(two, name="two", config=dict(base, datacenter="dc2", retry_join_wan=[one.ip], retry_interval_wan="1s"))
    one.launch()
    two.launch()
    return one, two


def copied(one, two, wanted):
    """Until both have those gateways, and the secondary's records are copies; returns what each has."""
    def check():
        here, there = states(one), states(two)
        if not nodes_in(here) == nodes_in(there) == wanted:
            return None
        same_records = all(
            {k: v for k, v in here[dc].items() if not k.endswith("Index")} == {k: v for k, v in there[dc].items() if not k.endswith("Index")}
            and there[dc]["PrimaryModifyIndex"] == here[dc]["ModifyIndex"] == here[dc]["PrimaryModifyIndex"] for dc in wanted)
        return (here, there) if same_records else None
    return until("gateways %s in both" % wanted, check, 240)  # who failed for a while tries again ever more rarely


@pytest.mark.parametrize("access", [False, True], ids=["open", "deny"])
@pytest.mark.parametrize("kinds", MIXES, ids="-".join)
def test_each_knows_the_others_gateways(agents, request, kinds, access):
    one, two = datacenters(agents, request, kinds, acl(True) if access else {})
    copied(one, two, {"dc1": [], "dc2": []})
    register(two, gateway("b1"))
    copied(one, two, {"dc1": [], "dc2": ["b1"]})
    register(one, gateway("a1"))
    register(one, gateway("a2", Tags=["x"]))
    here, there = copied(one, two, {"dc1": ["a1", "a2"], "dc2": ["b1"]})
    # What the catalog says of them, in whichever datacenter one asks.
    for agent, own, node in ((one, "dc1", "a1"), (two, "dc2", "b1")):
        said = agent.get("/v1/health/service/mgw", headers=WITH_ROOT).json
        plain = [g for g in (here if agent is one else there)[own]["MeshGateways"] if g["Node"]["Node"] == node][0]
        wanted = [g for g in said if g["Node"]["Node"] == node][0]
        assert (plain["Node"], plain["Service"]["Meta"], plain["Service"]["ModifyIndex"]) == (
            wanted["Node"], wanted["Service"]["Meta"], wanted["Service"]["ModifyIndex"])
    for path in ("s", "s/mesh-gateways", "/dc2"):
        direct, through = (agent.get(PATH + path + "?dc=dc1", headers=WITH_ROOT) for agent in (one, two))
        assert direct.status == 200 and direct.json == through.json, path
    # Who waits in the secondary is told.
    index = two.get(PATH + "s/mesh-gateways", headers=WITH_ROOT).index
    deregister(one, "a1")
    answer = two.get(PATH + "s/mesh-gateways?index=%d&wait=200s" % index, headers=WITH_ROOT, timeout=240)
    assert [g["Node"]["Node"] for g in answer.json["dc1"]] == ["a2"]
    deregister(two, "b1")
    deregister(one, "a2")
    here, there = copied(one, two, {"dc1": [], "dc2": []})
    # A record that only the primary had, and that it loses.
    link = Plain(one.ip)
    assert link.call("FederationState.Apply", Op="upsert", State={"Datacenter": "lost"}, Token=ROOT) is True
    copied(one, two, {"dc1": [], "dc2": [], "lost": []})
    assert link.call("FederationState.Apply", Op="delete", State={"Datacenter": "LOST"}, Token=ROOT) is False
    copied(one, two, {"dc1": [], "dc2": []})
    link.close()
    # Written through the secondary it is the primary that has it first.
    link = Plain(two.ip)
    assert link.call("FederationState.Apply", Op="upsert", State={"Datacenter": "dc2", "MeshGateways": [INSTANCE]}, Token=ROOT) is True
    link.close()
    copied(one, two, {"dc1": [], "dc2": []})  # which the secondary puts right


@pytest.mark.parametrize("kinds", MIXES, ids="-".join)
def test_without_a_token_that_may(agents, request, kinds):
    one, two = datacenters(agents, request, kinds, acl(False))
    until("it is refused", lambda: re.search(r"\[ERROR\] agent.server: error performing anti-entropy sync of federation state: error=\"error performing "
                                            r"federation state anti-entropy sync: .*Permission denied\"", two.tail(10 ** 7)), 120)
    until("and may not read", lambda: re.search(r"\[WARN\]  agent.replication.federation_state: replication error \(will retry if still leader\): "
                                               r"error=\"failed to retrieve federation states: .*Permission denied\"", two.tail(10 ** 7)), 120)
    until("the primary's own", lambda: list(states(one)) == ["dc1"])
    assert states(two) == {}
    # With one that may, it goes on.
    policy = one.put("/v1/acl/policy", {"Name": "replication", "Rules": 'acl = "read" operator = "write" service_prefix "" { policy = "read" intentions = "read" }'},
                     headers=WITH_ROOT)
    token = one.put("/v1/acl/token", {"Policies": [{"ID": policy.json["ID"]}]}, headers=WITH_ROOT).json["SecretID"]
    assert two.put("/v1/agent/token/replication", {"Token": token}, headers=WITH_ROOT).status == 200
    copied(one, two, {"dc1": [], "dc2": []})


@pytest.mark.parametrize("kinds", ["opp", "poo"])
def test_another_leader_goes_on(agents, praetor_asan, peer, kinds):
    cluster = Cluster(agents, [{"o": praetor_asan, "p": peer}[k] for k in kinds], STEADY)
    first = cluster.form(seconds=90)
    until("the own record", lambda: all("dc1" in states(s) for s in cluster.servers))
    before = states(first)["dc1"]
    register(first, gateway("gw1"))
    for server in cluster.servers:
        until("the gateway", lambda server=server: nodes_of(server) == {"dc1": ["gw1"]})
    index = states(first)["dc1"]["ModifyIndex"]
    first.kill()
    leader = cluster.wait_leader(seconds=90, but=first.raft)
    assert until("it leads", lambda: states(leader), 60)["dc1"]["CreateIndex"] == before["CreateIndex"]
    until("that it leads", lambda: leader.put("/v1/kv/x", "1").status == 200)
    assert states(leader)["dc1"]["ModifyIndex"] == index  # nothing was to be done
    deregister(leader, "gw1")
    until("it is gone", lambda: nodes_of(leader) == {"dc1": []})
    same_state(cluster.alive())


def old_server(agent, incarnation=1, **tags):
    """Tells the agent of a server of its datacenter that does not support them unless the tags say so, and never answers (gossip.md 3, 12.2).
    In both pools: the peer looks for such only in the WAN's."""
    meta = dict({"role": "consul", "dc": "dc1", "segment": "", "id": "22222222-2222-3333-4444-555555555555", "vsn": "2", "vsn_min": "2", "vsn_max": "3",
                 "build": "1.8.7:", "port": "8300", "raft_vsn": "3", "acls": "0"}, **tags)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        for pool, name in (("serf_wan", "old.dc1"), ("serf_lan", "old")):
            alive = {"Incarnation": incarnation, "Node": name, "Addr": bytes([127, 51, 255, 250]), "Port": PORTS[pool],
                     "Meta": b"\xff" + encode(meta), "Vsn": bytes([1, 5, 2, 2, 5, 4])}
            link.sendto(b"\x04" + encode(alive), (agent.ip, PORTS[pool]))


@pytest.mark.parametrize("kind", ["peer", "praetor_asan"])
def test_not_before_all_servers_support_them(agents, request, kind):
    # Two servers, neither of which can lead without the other: they do not see each other before both know of the third.
    cluster = Cluster(agents, [request.getfixturevalue(kind)] * 2, {"performance": {"raft_multiplier": 3}})
    cluster.form(seconds=90)
    for server in cluster.servers:
        server.stop(60)

    def known(server):
        old_server(server)
        try:
            return all("old" in server.get("/v1/agent/members" + wan, timeout=2).text for wan in ("", "?wan=1"))
        except OSError:
            return False
    one, two = cluster.servers
    for server in (one, two):
        server.launch()
        until("it knows the old server", lambda: known(server))
        if server is one:
            one.proc.send_signal(signal.SIGSTOP)
    one.proc.send_signal(signal.SIGCONT)
    agent = cluster.wait_leader(seconds=90)
    until("it leads", lambda: agent.get(PATH + "s").text != "No cluster leader")
    reason = "Federation states are currently disabled until all servers in the datacenter support the feature"
    for path in ("s", "s/mesh-gateways", "/dc1"):
        answer = agent.get(PATH + path)
        assert (answer.status, answer.text) == (500, reason), path
    link = Plain(agent.ip)
    head, _ = link.exchange(header("FederationState.Apply") + encode({"Op": "zip"}))
    assert head.get(b"Error").decode() == reason
    link.close()
    register(agent, gateway("gw1"))
    until("it says so", lambda: "[DEBUG] agent.server: federation states are not enabled in this datacenter: datacenter=dc1" in agent.tail(10 ** 6))
    # It is renewed.
    incarnation = itertools.count(10 ** 6)
    until("it may", lambda: old_server(agent, next(incarnation), ft_fs="1") or nodes_of(agent) == {"dc1": ["gw1"]})
    # And is for good.
    until("it is old again", lambda: old_server(agent, next(incarnation)) or not any(
        "ft_fs" in m["Tags"] for m in agent.get("/v1/agent/members").json if m["Name"] == "old"), 60)
    assert nodes_of(agent) == {"dc1": ["gw1"]}


def test_without_the_primary(agents, request, peer, praetor_asan):
    """As long as nobody of the primary is known, they are not in use."""
    told = []
    for binary, name in ((peer, "theirs"), (praetor_asan, "ours")):
        agent = agents(binary, name=name, config={"datacenter": "dc2", "primary_datacenter": "dc1"})
        agent.start()
        told.append([comparable(agent.get(PATH + path), agent) for path in ("s", "s/mesh-gateways", "/dc2", "/", "s?dc=dc1", "/dc1?dc=dc1")])
        until("it says so", lambda: "[DEBUG] agent.server: federation states are not enabled in the primary dc" in agent.tail(10 ** 6))
        link = Plain(agent.ip)
        head, _ = link.exchange(header("FederationState.Apply") + encode({"Op": "upsert", "State": {"Datacenter": "dc2"}}))
        told[-1].append(head.get(b"Error"))
        link.close()
        agent.kill()
    assert told[0] == told[1] and told[0][0][0] == 500
    # It comes later.
    one = agents(praetor_asan, name="one", config={"primary_datacenter": "dc1"})
    two = agents(praetor_asan, name="two", config={"datacenter": "dc2", "primary_datacenter": "dc1", "retry_join_wan": [one.ip], "retry_interval_wan": "1s"})
    two.start()
    register(two, gateway("b1"))
    one.start()
    copied(one, two, {"dc1": [], "dc2": ["b1"]})
    # Away and back, with a change meanwhile.
    one.stop()
    register(two, gateway("b2"))
    until("it cannot tell", lambda: "error performing anti-entropy sync of federation state" in two.tail(10 ** 7))
    one.start()
    copied(one, two, {"dc1": [], "dc2": ["b1", "b2"]})
