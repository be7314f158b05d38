"""What an agent holds of its own, beside the real peer: services and checks through reloads that change, break and mend its
configuration; readers that wait for a service meanwhile; user events."""

import json
import os
import re
import threading

import pytest

from e2e.harness import until

BEFORE = {
    "enable_script_checks": True, "check_update_interval": "0s",
    "services": [{"name": "one", "port": 1, "check": {"ttl": "1h"}}, {"name": "two", "port": 2, "tags": ["t"], "check": {"ttl": "1h"}},
                 {"name": "three", "check": {"ttl": "1h", "status": "passing"}}],
    "checks": [{"id": "nc", "name": "nc", "ttl": "1h", "notes": "n1"}, {"id": "gone", "name": "gone", "ttl": "1h"},
               {"id": "sc", "name": "sc", "args": ["sh", "-c", "echo hi; exit 1"], "interval": "1s"}]}
AFTER = {
    "services": [{"name": "one", "port": 11, "tags": ["new"], "check": {"ttl": "1h"}}, {"name": "three", "check": {"ttl": "1h"}},
                 {"name": "future", "port": 77, "check": {"ttl": "1h"}}],
    "checks": [{"id": "nc", "name": "nc", "ttl": "1h", "notes": "n2"}, {"id": "sc", "name": "sc", "args": ["sh", "-c", "echo hi; exit 1"], "interval": "1h"},
               {"id": "futurecheck", "name": "from config", "ttl": "1h"}]}


class Configured:
    """An agent whose configuration file is written anew."""

    def __init__(self, agent):
        self.agent = agent
        with open(agent.config) as handle:
            self.config = json.load(handle)

    def reload(self, **change):
        self.config.update(change)
        with open(self.agent.config, "w") as handle:
            json.dump(self.config, handle)
        got = self.agent.put("/v1/agent/reload")
        return got.status, re.sub(r"/\S*/", "/", got.text)


def files(agent):
    out = []
    for folder in ("services", "checks", "checks/state"):
        for name in os.listdir(os.path.join(agent.data, folder)):
            path = os.path.join(agent.data, folder, name)
            if os.path.isfile(path):
                record = json.load(open(path))
                out.append((folder, record.get("Service", {}).get("ID") or record.get("Check", {}).get("CheckID") or record.get("CheckID")))
    return sorted(out)


def known(agent):
    services, checks = agent.get("/v1/agent/services").json, agent.get("/v1/agent/checks").json
    return (services, {k: (c["Status"], c["Output"], c["Notes"], c["ServiceName"], c["Type"]) for k, c in checks.items()}, files(agent))


def story(agent):
    """What the agent knows after each step."""
    steps = []
    for body in ({"Name": "api", "Port": 9, "Check": {"TTL": "1h"}}, {"Name": "future", "Port": 9, "Check": {"TTL": "1h"}}):
        assert agent.put("/v1/agent/service/register", body).status == 200
    for name, service in (("futurecheck", None), ("onapi", "api"), ("onone", "one"), ("ontwo", "two")):
        assert agent.put("/v1/agent/check/register", dict({"ID": name, "Name": name, "TTL": "1h"}, **({"ServiceID": service} if service else {}))).status == 200
    for check in ("service:api", "service:future", "futurecheck", "onapi", "onone", "ontwo", "nc", "gone", "service:one", "service:two"):
        assert agent.put("/v1/agent/check/pass/%s?note=n-%s" % (check, check)).status == 200
    agent.put("/v1/agent/service/maintenance/one?enable=true&reason=r")
    agent.put("/v1/agent/maintenance?enable=true")
    until("the script has run", lambda: agent.get("/v1/agent/checks").json["sc"]["Output"])
    steps.append(known(agent))
    configured = Configured(agent)
    steps += [configured.reload(**AFTER), known(agent)]
    bad = AFTER["services"] + [{"name": "bad", "check": {"ttl": "1s", "interval": "1s"}}]
    steps += [configured.reload(services=bad), known(agent)]
    steps += [configured.reload(**AFTER), known(agent)]
    steps += [configured.reload(services=AFTER["services"] + [{"nme": "x"}]), known(agent)]
    steps += [configured.reload(discard_check_output=True, **AFTER), known(agent)]
    agent.put("/v1/agent/check/warn/nc?note=zzz")
    steps.append(known(agent))
    agent.put("/v1/agent/service/deregister/one")
    steps.append(known(agent))
    steps += [configured.reload(), known(agent)]
    return steps


def test_reloads_beside_the_peer(praetor_asan, peer, agents):
    theirs = agents(peer, name="n1", config=BEFORE).start()
    want = story(theirs)
    theirs.kill()
    os.rename(theirs.data, theirs.data + ".peer")
    ours = agents(praetor_asan, name="n1", config=BEFORE).start()
    got = story(ours)
    for number, (mine, other) in enumerate(zip(got, want)):
        assert mine == other, "step %d" % number
    until("the catalog follows", lambda: set(ours.get("/v1/catalog/node/n1").json["Services"]) == {"consul", "api", "future", "three", "one"})


def test_waiting_readers_survive_reloads(praetor_asan, agents):
    """Several readers wait for one service while the configuration is loaded again: none is answered, none holds the agent up."""
    agent = agents(praetor_asan, config={"services": [{"name": "s", "port": 1}]}).start()
    content = agent.get("/v1/agent/service/s").headers["X-Consul-Contenthash"]
    answers = []

    def wait():
        answers.append(agent.get("/v1/agent/service/s?wait=120s&hash=" + content, timeout=180))
    readers = [threading.Thread(target=wait) for _ in range(5)]
    for reader in readers:
        reader.start()
    configured = Configured(agent)
    for _ in range(5):
        assert configured.reload()[0] == 200
    assert agent.put("/v1/agent/service/register?token=other", {"Name": "s", "Port": 1}).status == 200
    until("the registration in the catalog", lambda: "s" in agent.get("/v1/catalog/services").json)
    assert not answers
    assert agent.put("/v1/agent/service/register", {"Name": "s", "Port": 2}).status == 200
    for reader in readers:
        reader.join(180)
    assert [a.json["Port"] for a in answers] == [2] * 5


FIRES = ["a", "n?node=n1", "n2?node=nope", "n3?node=^n", "bad?node=[", "s?service=web", "s1?service=web1", "s2?service=web&tag=x", "s3?service=web&tag=z",
         "s4?tag=x", "s5?service=db&tag=x", "s6?service=(", "dc?dc=dc1", "dc2?dc=nope", "", "_rexec", "b%20c/d"]
LISTS = ["", "?name=a", "?name=zz", "?wait=zz", "?index=zz", "?index=99", "?node=n1"]


def events(agent):
    out = []
    for query in FIRES:
        got = agent.put("/v1/event/fire/" + query, b"payload")
        out.append((query, got.status, got.text if got.status != 200 else {k: v for k, v in got.json.items() if k not in ("ID", "LTime")}))
    for size in (0, 100, 400, 420, 600):
        got = agent.put("/v1/event/fire/x", b"z" * size)
        out.append((size, got.status, got.text if got.status != 200 else ""))
    # As many as came through the filters, the last of them last.
    until("the events", lambda: any(e["Payload"] and len(e["Payload"]) > 400 for e in agent.get("/v1/event/list?name=x").json))
    for query in LISTS:
        got = agent.get("/v1/event/list" + query)
        out.append((query, got.status, got.text if got.status != 200 else
                    [(e["Name"], e["Payload"], e["NodeFilter"], e["ServiceFilter"], e["TagFilter"], e["Version"]) for e in got.json]))
    return out


def blocked(agent):
    """An answer comes with the next event of the name, and its index is the event's."""
    before = agent.get("/v1/event/list?name=blk").index
    answers = []
    reader = threading.Thread(target=lambda: answers.append(agent.get("/v1/event/list?name=blk&wait=120s&index=%d" % before, timeout=180)))
    reader.start()
    assert agent.put("/v1/event/fire/other").status == 200
    until("the other event", lambda: agent.get("/v1/event/list?name=other").json)
    assert not answers
    assert agent.put("/v1/event/fire/blk", b"x").status == 200
    reader.join(180)
    event = answers[0].json[-1]
    number = int(event["ID"].replace("-", ""), 16)
    return event["Name"], answers[0].index == (number >> 64) ^ (number & (1 << 64) - 1)


def ring(agent):
    for number in range(300):
        agent.put("/v1/event/fire/m%d" % number)
    until("the last event", lambda: agent.get("/v1/event/list?name=m299").json)
    listed = agent.get("/v1/event/list").json
    return len(listed), listed[0]["Name"], listed[-1]["Name"], listed[-1]["LTime"] - listed[0]["LTime"]


@pytest.mark.parametrize("what", [events, blocked, ring])
def test_events_beside_the_peer(praetor_asan, peer, agents, what):
    config = {"services": [{"name": "web", "id": "web1", "tags": ["x", "y"], "port": 1}, {"name": "db", "port": 2}]}
    found = []
    for binary in (peer, praetor_asan):
        agent = agents(binary, name="n1", config=config, dev=True).start()
        found.append(what(agent))
        agent.kill()
    assert found[1] == found[0]
