"""translate_wan_addrs (http-core.md 8): what agents of one datacenter say of nodes and instances of another, ours beside the peer's."""

import pytest

from e2e.harness import until

TAGGED = {
    "all": ({"lan": "10.0.0.1", "wan": "1.1.1.1", "wan_ipv4": "1.1.1.4"}, {"wan": {"Address": "2.2.2.2", "Port": 99}, "lan_ipv4": {"Address": "3.3.3.3", "Port": 98}}),
    "v6": ({"lan_ipv6": "fd00::1", "wan_ipv4": "1.1.1.4", "wan": "1.1.1.1"}, {"wan_ipv6": {"Address": "fd00::9", "Port": 97}}),
    "both": ({"lan_ipv6": "fd00::1", "wan_ipv6": "fd00::2"}, {"wan": {"Address": "5.5.5.5", "Port": 0}}),
    "wan": ({"wan": "1.1.1.1"}, {"wan": {"Address": "2.2.2.2", "Port": 99}}),
    "empty": ({"wan": "", "lan_ipv4": "4.4.4.4"}, {"wan": {"Address": "", "Port": 96}}),
    "empty6": ({"lan_ipv6": "fd00::1", "wan_ipv6": "", "wan": ""}, {"wan_ipv4": {"Address": "", "Port": 1}, "lan_ipv4": {"Address": "3.3.3.3", "Port": 98}}),
    "none": ({}, {}),
}
PATHS = ["/v1/catalog/nodes", "/v1/catalog/service/web", "/v1/catalog/connect/web", "/v1/health/service/web", "/v1/health/service/web?passing", "/v1/health/connect/web", "/v1/catalog/node/all",
         "/v1/catalog/node-services/all", "/v1/catalog/node/none", "/v1/catalog/node/v6", "/v1/health/node/all", "/v1/internal/ui/nodes"]


def without_indexes(value, drop):
    if isinstance(value, dict):
        return {k: without_indexes(v, drop) for k, v in value.items() if not k.endswith("Index")}
    if isinstance(value, list):
        return [without_indexes(v, drop) for v in value if not (isinstance(v, dict) and (v.get("Node") == drop or (isinstance(v.get("Node"), dict) and v["Node"].get("Node") == drop)))]
    return value


def federated(agents, here, there):
    """One server of `there` in dc2 with the instances; one of each of `here` in dc1, which translate."""
    far = agents(there, name="far", config={"datacenter": "dc2", "primary_datacenter": "dc1"}).start()
    near = [agents(binary, name="near%d" % n, config={"translate_wan_addrs": translate, "bootstrap_expect": 1, "datacenter": "dc%d" % (n + 3)}).start() for n, (binary, translate) in enumerate(here)]
    for agent in near:
        assert agent.put("/v1/agent/join/" + far.ip + "?wan=1").status == 200
        assert "(WAN) joining" in agent.tail(10 ** 6) and "(LAN) joining" not in agent.tail(10 ** 6)
    for name, (node, service) in TAGGED.items():
        far.put("/v1/catalog/register", {"Node": name, "Address": "10.9.9.9", "TaggedAddresses": node,
                                         "Service": {"ID": "web", "Service": "web", "Address": "10.8.8.8" if name != "wan" else "", "Port": 80, "TaggedAddresses": service, "Connect": {"Native": True}},
                                         "Check": {"Node": name, "CheckID": "c", "Name": "c", "Status": "passing", "ServiceID": "web"}})
    assert far.request("POST", "/v1/query", b'{"Name": "q", "Service": {"Service": "web"}}').status == 200
    for agent in near:
        until("%s sees dc2" % agent.name, lambda agent=agent: agent.get("/v1/catalog/service/web?dc=dc2").status == 200)
    return far, near


@pytest.mark.parametrize("far_kind", ["praetor_asan", "peer"])
def test_translated(agents, praetor_asan, peer, request, far_kind):
    far, (ours, theirs, plain) = federated(agents, [(praetor_asan, True), (peer, True), (praetor_asan, False)], request.getfixturevalue(far_kind))
    changed = 0
    for path in PATHS:
        path += ("&" if "?" in path else "?") + "dc=dc2"
        a, b, untouched = (agent.get(path) for agent in (ours, theirs, plain))
        assert a.status == b.status == untouched.status == 200, path
        assert without_indexes(a.json, "far") == without_indexes(b.json, "far"), path
        changed += without_indexes(a.json, "far") != without_indexes(untouched.json, "far")
    assert changed == 9
    # A query that another datacenter answers.
    a, b = (sorted((n["Node"]["Node"], n["Node"]["Address"], n["Service"]["Address"], n["Service"]["Port"]) for n in agent.get("/v1/query/q/execute?dc=dc2").json["Nodes"]) for agent in (ours, theirs))
    assert a == b and ("all", "1.1.1.4", "3.3.3.3", 99) in a
    assert ours.get("/v1/catalog/nodes?dc=dc2").headers.get("X-Consul-Translate-Addresses") == "true"
    # Of its own datacenter nothing is rewritten.
    assert far.get("/v1/catalog/node/all").json["Node"]["Address"] == "10.9.9.9"
