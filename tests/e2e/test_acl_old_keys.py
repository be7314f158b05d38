"""Access control as guides of 2017 set it up (acl.md 11): the old keys, then the rights of those without a token written
down by /v1/acl/update of the anonymous token. On a fresh server the peer refuses that; ours does it, with entries that a
peer's server applies alike."""

import json
import socket
import struct

from e2e.harness import PORTS, until

ROOT = "5ca1ab1e-0000-4000-8000-00000000000a"
KEYS = {"acl_datacenter": "dc1", "acl_default_policy": "deny", "acl_down_policy": "extend-cache", "acl_master_token": ROOT,
        "acl_agent_token": ROOT}
RULES = 'node "" { policy = "read" } service "" { policy = "read" } key "public/" { policy = "read" }'
TOKEN = {"headers": {"X-Consul-Token": ROOT}}


def rcode(agent, name):
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"
    query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(60)
        s.sendto(query, (agent.ip, PORTS["dns"]))
        return s.recv(2000)[3] & 15


def answers(agent, path):
    try:
        got = agent.get(path, **TOKEN)
        return got.json if got.status == 200 else None
    except OSError:
        return None


def test_anonymous_by_the_old_api(agents, praetor_asan):
    agent = agents(praetor_asan, config=KEYS, name="old1")
    agent.launch()
    until("the new system", lambda: answers(agent, "/v1/acl/token/self"))
    until("the node", lambda: answers(agent, "/v1/health/node/old1") not in (None, []))
    until("the service", lambda: answers(agent, "/v1/health/service/consul?passing") not in (None, []))
    assert agent.get("/v1/acl/info/anonymous").json == []
    before = agent.get("/v1/acl/token/00000000-0000-0000-0000-000000000002", **TOKEN).json
    assert rcode(agent, "old1.node.consul") == 3
    assert agent.get("/v1/kv/public/x").status == 403

    bad = agent.put("/v1/acl/update", json.dumps({"ID": "anonymous", "Type": "client", "Rules": "key {"}).encode(), **TOKEN)
    assert (bad.status, bad.text.split(":")[0]) == (500, "ACL rule compilation failed")
    assert agent.put("/v1/acl/update", b'{"ID": "anonymous"}').status == 403
    done = agent.put("/v1/acl/update", json.dumps({"ID": "anonymous", "Type": "client", "Rules": RULES}).encode(), **TOKEN)
    assert (done.status, done.json) == (200, {"ID": "anonymous"})

    assert rcode(agent, "old1.node.consul") == 0
    assert rcode(agent, "consul.service.consul") == 0
    assert agent.get("/v1/kv/public/x").status == 404
    assert agent.get("/v1/kv/private/x").status == 403
    info = agent.get("/v1/acl/info/anonymous").json
    assert [(i["ID"], i["Type"], i["Rules"]) for i in info] == [("anonymous", "client", RULES)]
    token = agent.get("/v1/acl/token/00000000-0000-0000-0000-000000000002", **TOKEN).json
    assert (token["Rules"], token["SecretID"]) == (RULES, "anonymous")
    assert token["CreateTime"] == before["CreateTime"] and token["Hash"] != before["Hash"]
    assert token["CreateIndex"] == before["CreateIndex"] < token["ModifyIndex"]
    # Again, as any token of the old kind; and taken away.
    again = json.dumps({"ID": "anonymous", "Type": "client", "Rules": ""}).encode()
    assert agent.put("/v1/acl/update", again, **TOKEN).status == 200
    assert rcode(agent, "old1.node.consul") == 3
    refused = agent.put("/v1/acl/destroy/anonymous", **TOKEN)
    assert (refused.status, refused.text) == (403, "Permission denied: Cannot delete anonymous token")
    # Until it gets policies, which makes it one of the new kind.
    policies = json.dumps({"Policies": [{"Name": "global-management"}]}).encode()
    assert agent.put("/v1/acl/token/00000000-0000-0000-0000-000000000002", policies, **TOKEN).status == 200
    assert agent.get("/v1/acl/info/anonymous").json == []
    refused = agent.put("/v1/acl/update", again, **TOKEN)
    assert (refused.status, refused.text) == (500, "Cannot use legacy endpoint to modify a non-legacy token")
