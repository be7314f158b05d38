"""The agent's side of access control (acl.md 3, 8.2, 9.1, 9.8), beside the real peer: a server of each kind joins a cluster
that the peer leads, and both are asked the same. What they answer, log and keep must be the same."""

import json
import os
import re
import shutil
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.cluster import NO_PROMOTION
from e2e.harness import PATIENCE, until

ROOT = "5ca1ab1e-0000-4000-8000-00000000000a"
MASTER = "5ca1ab1e-0000-4000-8000-00000000000b"  # the agent master token
ANONYMOUS = "00000000-0000-0000-0000-000000000002"
NOBODY = "5ca1ab1e-0000-4000-8000-00000000000c"  # no such token
KINDS = ("peer", "ours")


def acl(**more):
    return {"enabled": True, "default_policy": "deny", **more}


class Both:
    """A leader (the peer), and what is asked of an agent of each kind."""

    def __init__(self, leader, peer, ours, servers=None):
        self.leader, self.peer, self.ours, self.servers = leader, peer, ours, servers or [peer, ours]

    def __iter__(self):
        return iter((self.peer, self.ours))

    def normal(self, agent, text):
        for other in self:
            text = text.replace(other.name, "NODE" if other is agent else "OTHER").replace(other.ip, "IP")
        return text

    def ask(self, method, path, body=None, token=None):
        """The answers of both: status, and the text of what is no JSON object or list."""
        headers = {"X-Consul-Token": token} if token is not None else {}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        got = []
        for agent in self:
            asked = body.replace("NODE", agent.name) if body else body
            answer = agent.request(method, path.replace("NODE", agent.name), body=asked, headers=headers)
            got.append((answer.status, self.normal(agent, answer.text), answer.headers.get("Content-Type")))
        return got

    def same(self, method, path, body=None, token=None, text=True):
        theirs, ours = self.ask(method, path, body, token)
        if not text:
            theirs, ours = theirs[0], ours[0]
        assert ours == theirs, "%s %s with %s: %r" % (method, path, body, token)
        return ours

    def make_token(self, name, rules):
        """A token with one policy, known to both."""
        headers = {"X-Consul-Token": ROOT}
        rules = rules.replace("NODE_PREFIX", self.ours.name[:2])
        made = self.leader.put("/v1/acl/policy", {"Name": name, "Rules": rules}, headers=headers)
        assert made.status == 200, made.text
        made = self.leader.put("/v1/acl/token", {"Policies": [{"Name": name}]}, headers=headers)
        assert made.status == 200, made.text
        secret = made.json["SecretID"]
        for agent in self.servers:
            until("a token at " + agent.name, lambda: _answers(agent, "/v1/agent/services", secret))
        return secret

    def logged(self, pattern, count=1):
        """The same, as soon as both have logged that many of them: an answer may be there before what is logged of it."""
        return until("%d lines %s of both" % (count, pattern), lambda: (lambda found: all(
            len(lines) >= count for lines in found) and found)(self.lines(pattern)))

    def lines(self, pattern, since=(0, 0)):
        """What both logged that fits: without times, names and IDs of nodes. since: sizes of the logs at the beginning."""
        found = []
        for agent, begin in zip(self, since):
            text = agent.tail(10 ** 7)[begin:]
            lines = [line[line.index("["):] for line in text.splitlines() if re.search(pattern, line)]
            found.append({re.sub("node=[0-9a-f-]{36}", "node=ID", self.normal(agent, line)) for line in lines})
        return found


SERVICES = {"services": [{"name": "blocked", "token": NOBODY, "check": {"ttl": "10m"}}],
            "checks": [{"name": "blocked-check", "ttl": "10m", "token": NOBODY}]}


@pytest.fixture(scope="module")
def both(peer, praetor_asan, shared_agents):
    leader = shared_agents(peer, name="leader", config={"acl": acl(tokens={"master": ROOT, "agent": ROOT}), "autopilot": NO_PROMOTION})
    leader.launch()
    until("a leader", lambda: _answers(leader, "/v1/catalog/nodes", ROOT))
    made = []
    for kind, binary in zip(KINDS, (peer, praetor_asan)):
        agent = shared_agents(binary, name="s-" + kind, config={
            "acl": acl(tokens={"agent_master": MASTER}, enable_token_persistence=True), "bootstrap_expect": 0,
            "retry_join": [leader.ip], "log_level": "TRACE", "disable_remote_exec": False, "enable_script_checks": True,
            "node_meta": {"kind": "x"}, **SERVICES})
        agent.launch()
        made.append(agent)
    for agent in made:
        until(agent.name + " knows tokens", lambda: _settled(agent) and _answers(agent, "/v1/kv/none?stale", ROOT, 404))
        until(agent.name + " knows everybody", lambda: _members(agent) == 3)
    yield Both(leader, *made)


def _members(agent):
    return len([m for m in agent.get("/v1/agent/members", headers={"X-Consul-Token": ROOT}).json if m["Status"] == 1])


def _answers(agent, path, token, status=200):
    try:
        return agent.get(path, headers={"X-Consul-Token": token}, timeout=20).status == status
    except OSError:
        return False


def _settled(agent):
    """It has left the old system: until then, its answers depend on the moment."""
    try:
        answer = agent.get("/v1/agent/self", headers={"X-Consul-Token": ROOT}, timeout=20)
    except OSError:
        return False
    return answer.status == 200 and answer.json["Stats"]["consul"]["acl"] == "enabled"


# ---- who may do what (9.1) ----

READS = ["self", "host", "metrics", "monitor?loglevel=bogus", "members", "members?wan=1&segment=x", "members?segment=foo",
         "services", "services?filter=bogus%20x", "services?ns=x", "checks", "checks?filter=nonsense==1", "checks?filter=((",
         "service/web", "service/none", "service/web?wait=bogus", "service/web?ns=x", "health/service/name/db",
         "health/service/name/", "health/service/name/none", "health/service/id/db", "health/service/id/none",
         "health/service/id/none?format=text", "health/service/id/", "self?ns=x"]
WRITES = [("reload", None), ("maintenance?enable=true", None), ("maintenance", None), ("maintenance?enable=x", None),
          ("join/127.0.0.1:1", None), ("force-leave/nobody", None), ("token/master", '{"Token":"x"}'), ("token/bogus", "{}"),
          ("token/default", "{"), ("token/default", '{"Tok":1}'), ("token/default?ns=x", "{"),
          ("service/register", '{"Name":"foo"}'), ("service/register", '{"Nam'), ("service/register", "{}"),
          ("service/register", '{"Name":"x","Address":"0.0.0.0"}'), ("service/register", '{"Name":"x","Weights":{"Passing":-1}}'),
          ("service/register", '{"Name":"x","Meta":{" ":"x"}}'), ("service/register", '{"Name":"x","Check":{"TTL":"1m","Status":"q"}}'),
          ("service/register", '{"Name":"foo","Check":{"TTL":"1m","HTTP":"x"}}'), ("service/register", '{"ID":"web","Name":"foo"}'),
          ("service/register", '{"Name":"x","Connect":{"SidecarService":{"Check":{"HTTP":"x"}}}}'),
          ("service/register", '{"Name":"pr","Kind":"connect-proxy","Port":1,"Proxy":{"DestinationServiceName":"dest"}}'),
          ("service/register", '{"Name":"x","Kind":"connect-proxy"}'), ("service/register?ns=x", '{"Name":"x"}'),
          ("service/register", '{"Name":"par","Port":1,"Connect":{"SidecarService":{}}}'), ("service/register", '{"Name":"consul"}'),
          ("service/deregister/none", None), ("service/deregister/db", None), ("service/deregister/", None),
          ("service/maintenance/db?enable=true", None), ("service/maintenance/none?enable=true", None),
          ("service/maintenance/web", None), ("service/maintenance/?enable=true", None),
          ("check/register", '{"Name":"c1","TTL":"1m","ServiceID":"db"}'), ("check/register", '{"Name":"c1","TTL":"1m","ServiceID":"none"}'),
          ("check/register", '{"Name":"disk","ServiceID":"db","TTL":"1m"}'), ("check/register", '{"Name":"c1"}'),
          ("check/register", "{}"), ("check/register", '{"Name":"x","Status":"q"}'), ("check/register?ns=x", '{"Name":"x"}'),
          ("check/register", '{"ID":"service:db","Name":"c1","TTL":"1m"}'), ("check/deregister/none", None),
          ("check/deregister/service:db", None), ("check/pass/none", None), ("check/pass/service:db", None),
          ("check/warn/", None), ("check/update/service:db", '{"Status":"passing"}'), ("check/update/none", '{"Status":"passing"}'),
          ("check/update/disk", '{"Status":"x"}'), ("check/pass/disk?ns=x", None), ("check/deregister/disk?ns=x", None)]
OTHERS = ["/v1/event/list", "/v1/event/list?index=x", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap", "/debug/pprof/x"]
RULES = {
    "read": 'agent_prefix "NODE_PREFIX" { policy = "read" } node_prefix "" { policy = "read" } service "web" { policy = "read" }',
    "write": 'agent_prefix "NODE_PREFIX" { policy = "write" } node_prefix "NODE_PREFIX" { policy = "write" } service "web" { policy = "write" }',
    "other": 'agent "elsewhere" { policy = "write" } node "elsewhere" { policy = "write" } service "webber" { policy = "write" }',
    "operator": 'operator = "read" event_prefix "" { policy = "write" }',
    "pr": 'service "pr" { policy = "write" } service "par" { policy = "write" }',
}


def make_tokens(both):
    """Of all RULES; and services and a check to ask for."""
    made = {name: both.make_token("matrix-" + name, rules) for name, rules in RULES.items()}
    for name in ("web", "db"):
        assert both.same("PUT", "/v1/agent/service/register", {"Name": name, "Check": {"TTL": "10m"}}, ROOT)[0] == 200
    assert both.same("PUT", "/v1/agent/check/register", {"Name": "disk", "TTL": "10m"}, ROOT)[0] == 200
    return {None: None, "nobody": NOBODY, "master": MASTER, "root": "allow", **made}


@pytest.fixture(scope="module")
def tokens(both):
    return make_tokens(both)


def shape(text):
    """What of an answer is the same on both: the names in it."""
    try:
        body = json.loads(text)
    except ValueError:
        return text
    if isinstance(body, dict) and "Timestamp" not in body and "DebugConfig" not in body and "CollectionTime" not in body:
        return sorted(body)
    return sorted(item["Name"] for item in body) if isinstance(body, list) else type(body).__name__


@pytest.mark.parametrize("who", [None, "nobody", "master", "root", *RULES])
def test_endpoints(both, tokens, who):
    compare_endpoints(both, tokens[who])


def compare_endpoints(both, token):
    wrong, seen = [], set()
    asks = [("GET", "/v1/agent/" + path, None) for path in READS] + [("PUT", "/v1/agent/" + path, body) for path, body in WRITES]
    for method, path, body in asks + [("GET", path, None) for path in OTHERS]:
        theirs, ours = both.ask(method, path, body, token)
        theirs, ours = [(s, None if "pprof" in path and s == 200 else shape(t), None if "pprof" in path else c) for s, t, c in (theirs, ours)]
        seen.add(ours[0])
        if ours != theirs:
            wrong.append("%s %s %s: peer %r, ours %r" % (method, path, body, theirs, ours))
    assert not wrong, "\n".join(wrong)
    assert len(seen) > 2
    for path in ("maintenance?enable=false", "service/maintenance/web?enable=false"):
        assert both.same("PUT", "/v1/agent/" + path, None, ROOT)[0] == 200


def test_sidecar_and_owner(both):
    """A service's ID belongs to its name; a sidecar is judged by its own token, and synced with it."""
    par, side = both.make_token("par", RULES["pr"]), both.make_token(
        "side", 'service "par-sidecar-proxy" { policy = "write" } service "par" { policy = "write" } node_prefix "" { policy = "read" }')
    definition = {"Name": "par", "Port": 1, "Connect": {"SidecarService": {}}}
    register = "/v1/agent/service/register"
    assert both.same("PUT", register, definition, par)[1] == "Permission denied: Missing service:write on par-sidecar-proxy"
    assert both.same("PUT", register, dict(definition, Token=par))[0] == 403
    definition["Connect"]["SidecarService"]["Token"] = NOBODY
    assert both.same("PUT", register, definition, side)[1] == "ACL not found"
    definition["Connect"]["SidecarService"]["Token"] = side
    assert both.same("PUT", register, definition, par)[0] == 200
    assert both.same("PUT", register, {"ID": "par", "Name": "pr"}, both.make_token("pr-only", 'service "pr" { policy = "write" }'))[1] == \
        "Permission denied: Missing service:write on pr"  # sic
    for agent in both:
        until("the sidecar of " + agent.name, lambda: [s for s in both.leader.get(
            "/v1/catalog/service/par-sidecar-proxy", headers={"X-Consul-Token": ROOT}).json if s["Node"] == agent.name])
    assert both.same("PUT", "/v1/agent/service/deregister/par", None, par)[0] == 200


def test_files_with_tokens(both):
    """What is registered is kept with its token, for the owner of the agent only."""
    assert both.same("PUT", "/v1/agent/service/register", {"Name": "filed", "Check": {"TTL": "10m"}}, ROOT)[0] == 200
    found = 0
    for folder in ("services", "checks"):
        directory = os.path.join(both.ours.data, folder)
        assert os.stat(directory).st_mode & 0o077 == 0
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if os.path.isfile(path):
                assert os.stat(path).st_mode & 0o777 == 0o600
                with open(path) as handle:
                    found += ROOT in handle.read()
    assert found >= 2
    assert both.same("PUT", "/v1/agent/service/deregister/filed", None, ROOT)[0] == 200


def test_token_sources(both):
    """Parameter, header, bearer: the first that is not empty (3.1)."""
    path = "/v1/agent/members"
    cases = [(path + "?token=" + ROOT, {}), (path + "?token=" + NOBODY, {"X-Consul-Token": ROOT}), (path + "?token=", {"X-Consul-Token": ROOT})]
    cases += [(path, {"Authorization": "%s %s" % (scheme, ROOT)}) for scheme in ("Bearer", "bearer", "BEARER", "Token", "Basic")]
    cases += [(path, {"Authorization": "Bearer"}), (path, {"Authorization": "Bearer %s more" % ROOT}),
              (path, {"Authorization": "Bearer " + NOBODY, "X-Consul-Token": ROOT})]
    for url, headers in cases:
        answers = [agent.get(url, headers=headers) for agent in both]
        assert answers[0].status == answers[1].status, (url, headers)
        assert (len(answers[0].json) if answers[0].status == 200 else answers[0].text) == \
            (len(answers[1].json) if answers[1].status == 200 else answers[1].text), (url, headers)


# ---- the agent's own tokens (3.3) ----

def set_token(both, kind, secret, status=200):
    assert both.same("PUT", "/v1/agent/token/" + kind, {"Token": secret}, ROOT)[0] == status


def kept(agent):
    path = os.path.join(agent.data, "acl-tokens.json")
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path) as handle:
        return handle.read()


def test_token_api(both):
    for body in ("", "{", '"x"', "[]", "null", '{"Tok":"x"}', '{"token":1}', '{"Token":"q"} junk', "{}"):
        both.same("PUT", "/v1/agent/token/replication", body, ROOT)
    for kind in ("", "master", "Default", "default/x"):
        assert both.same("PUT", "/v1/agent/token/" + kind, {"Token": "q"}, ROOT)[0] == 404
    for method in ("GET", "POST", "DELETE"):
        assert both.same(method, "/v1/agent/token/default")[0] == 405
    for kind in ("acl_replication_token", "replication", "acl_agent_token", "agent", "acl_token", "default", "acl_agent_master_token"):
        set_token(both, kind, MASTER if "master" in kind else "token-" + kind.replace("_", "-"))
    assert kept(both.ours) == kept(both.peer) == '{"replication":"token-replication","agent_master":"%s","default":"token-default","agent":"token-agent"}' % MASTER
    assert both.same("GET", "/v1/agent/members")[1] == "ACL not found"  # at once
    set_token(both, "default", ROOT)
    assert both.same("GET", "/v1/kv/none?stale")[0] == 404
    set_token(both, "default", "")
    assert both.same("GET", "/v1/kv/none?stale")[:2] == (403, "Permission denied")
    for kind in ("agent", "replication", "agent_master"):
        set_token(both, kind, "")
    assert kept(both.ours) == kept(both.peer) == "{}"
    assert both.same("GET", "/v1/agent/self", None, MASTER)[1] == "ACL not found"
    assert both.same("PUT", "/v1/agent/reload", None, ROOT)[0] == 200  # the configured one is back
    assert both.same("GET", "/v1/agent/self", None, MASTER, text=False) == 200
    theirs, ours = both.logged("Updated agent's ACL token", 7)
    assert ours == theirs


def test_unwritable(both):
    for agent in both:
        os.rename(os.path.join(agent.data, "acl-tokens.json"), os.path.join(agent.data, "aside"))
        os.mkdir(os.path.join(agent.data, "acl-tokens.json"))
    answers = both.ask("PUT", "/v1/agent/token/default", {"Token": ROOT}, ROOT)
    for agent, (status, text, _) in zip(both, answers):
        assert (status, re.sub("rename .*: ", "rename: ", text)) == (500, "Failed to persist tokens - rename: file exists")
        assert ROOT not in text
        os.rmdir(os.path.join(agent.data, "acl-tokens.json"))
        os.rename(os.path.join(agent.data, "aside"), os.path.join(agent.data, "acl-tokens.json"))
    assert both.same("GET", "/v1/kv/none?stale")[0] == 404  # in force all the same
    set_token(both, "default", "")


def test_reload(both):
    """The file wins over the configuration, with a warning; what cannot be read is told, and left out."""
    set_token(both, "agent_master", "from-api")
    assert both.same("PUT", "/v1/agent/reload", None, ROOT)[0] == 200
    assert both.same("GET", "/v1/agent/members", None, "from-api", text=False) == 200
    theirs, ours = both.logged("present in both")
    assert ours == theirs == {'[WARN]  agent: "agent_master" token present in both the configuration and persisted token store, using the persisted token'}
    for content in ("", "{bad", "[]", '{"default":"x"} trailing', '{"default":"%s","agent":5}' % ROOT):
        for agent in both:
            with open(os.path.join(agent.data, "acl-tokens.json"), "w") as handle:
                handle.write(content)
        assert both.same("PUT", "/v1/agent/reload", None, ROOT)[0] == 200
        assert both.same("GET", "/v1/agent/members", None, "from-api")[1] == "ACL not found"
        both.same("GET", "/v1/kv/none?stale")
    for agent in both:
        shutil.rmtree(os.path.join(agent.data, "acl-tokens.json"), ignore_errors=True)
    theirs, ours = both.logged("unable to load persisted tokens", 5)
    for agent in both:
        found = {line.replace(agent.data, "DATA") for line in (theirs if agent is both.peer else ours)}
        assert len(found) == 5, found
    assert {re.sub('file ".*?"', "file", line) for line in ours} == {re.sub('file ".*?"', "file", line) for line in theirs}
    set_token(both, "default", "")
    assert both.same("PUT", "/v1/agent/reload", None, ROOT)[0] == 200


def test_restart_with_the_peers_file(both):
    """What the peer kept, ours starts with."""
    set_token(both, "default", ROOT)
    set_token(both, "agent_master", "kept")
    shutil.copy(os.path.join(both.peer.data, "acl-tokens.json"), os.path.join(both.ours.data, "acl-tokens.json"))
    for agent in both:
        agent.stop()
        agent.launch()
    for agent in both:
        until(agent.name + " is back", lambda: _settled(agent) and _answers(agent, "/v1/kv/none?stale", "", 404))
        until(agent.name + " knows everybody", lambda: _members(agent) == 3)
    assert both.same("GET", "/v1/agent/members", None, "kept", text=False) == 200
    assert both.same("GET", "/v1/agent/members", None, MASTER)[1] == "ACL not found"
    set_token(both, "default", "")
    set_token(both, "agent_master", "")
    assert both.same("PUT", "/v1/agent/reload", None, ROOT)[0] == 200


# ---- anti-entropy (3.1) ----

def test_blocked(both):
    """Without tokens nothing of the agent reaches the catalog; what is refused is told once a full sync, with whose token."""
    for agent in both:
        for body in ({"Service": {"Service": "stranger"}}, {"Check": {"Name": "strange-check", "CheckID": "strange-check"}}):
            made = both.leader.put("/v1/catalog/register", dict(body, Node=agent.name, Address=agent.ip, SkipNodeUpdate=True),
                                   headers={"X-Consul-Token": ROOT})
            assert made.status == 200, made.text
    reads = both.make_token("reads", 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }')
    for agent in both:
        agent.configure(dict(agent.conf, node_meta={"kind": "y"}))
    assert both.same("PUT", "/v1/agent/reload", None, ROOT)[0] == 200
    since = [len(agent.tail(10 ** 7)) for agent in both]
    set_token(both, "agent", reads)  # which is a full sync that sees all
    wanted = ("Node info update", "Service registration", "Check registration", "Service deregistration", "Check deregistration",
              "Coordinate update")
    accessor = both.leader.get("/v1/acl/token/self", headers={"X-Consul-Token": reads}).json["AccessorID"]

    def refused():
        """What was said by each; without what came before the token was another."""
        return [{line for line in lines if "accessorID=" + ANONYMOUS not in line or not re.search("Node|Coordinate", line)}
                for lines in both.lines("agent: .* blocked by ACLs", since)]

    def told():
        said = refused()
        mine = [[line for line in lines if accessor in line] for lines in said]
        return said[0] == said[1] and all(any(what in line for line in lines) for what in wanted for lines in said) and \
            all(any(what in line for line in lines) for what in ("Node info update", "Coordinate update") for lines in mine)
    try:
        until("all of it was refused by both", told, 3 * PATIENCE)  # coordinates are sent every now and then
    except AssertionError:
        theirs, ours = refused()
        raise AssertionError("peer %s\nours %s" % (sorted(theirs), sorted(ours))) from None
    writes = both.make_token("writes", 'node_prefix "" { policy = "write" } service_prefix "" { policy = "write" }')
    set_token(both, "agent", writes)
    for agent in both:
        until(agent.name + " is described", lambda: [n for n in both.leader.get(
            "/v1/catalog/nodes", headers={"X-Consul-Token": ROOT}).json if n["Node"] == agent.name and (n["Meta"] or {}).get("kind") == "y"])
    set_token(both, "default", writes)
    for agent in both:
        until("strangers of %s are gone" % agent.name, lambda: "stranger" not in both.leader.get(
            "/v1/catalog/node/" + agent.name, headers={"X-Consul-Token": ROOT}).json["Services"])
    set_token(both, "default", "")
    set_token(both, "agent", "")


# ---- events (9.2) ----

def test_events(both):
    may = both.make_token("events", 'event "go" { policy = "write" } event_prefix "see-" { policy = "read" } event "see-not" { policy = "deny" }')
    for name, token in (("go", may), ("see-this", may), ("go", None), ("go", NOBODY)):
        both.same("PUT", "/v1/event/fire/" + name, "p", token, text=(name, token) != ("go", may))
    for name in ("see-this", "see-not", "other"):
        assert both.same("PUT", "/v1/event/fire/" + name, "p", ROOT, text=False) == 200
    for agent in both:
        until("all events at " + agent.name, lambda: {"go", "see-this", "see-not", "other"} <= {
            e["Name"] for e in agent.get("/v1/event/list", headers={"X-Consul-Token": ROOT}).json})
        seen = agent.get("/v1/event/list", headers={"X-Consul-Token": may})
        assert {e["Name"] for e in seen.json} == {"go", "see-this"} and seen.index > 1
        for path, token in (("/v1/event/list", ""), ("/v1/event/list?name=other", may)):
            nothing = agent.get(path, headers={"X-Consul-Token": token})
            assert (nothing.json, nothing.index) == ([], 1)


def test_watches(both, tmp_path):
    """A watch sees what its token sees, else the default one."""
    may = both.make_token("watching", 'event "seen" { policy = "read" } service "web" { policy = "read" } node_prefix "" { policy = "read" }')
    for agent in both:
        out = lambda name: ["sh", "-c", "cat >> %s/%s-%s; echo >> %s/%s-%s" % ((tmp_path, agent.name, name) * 2)]
        agent.configure(dict(agent.conf, watches=[
            {"type": "event", "token": may, "args": out("event")}, {"type": "services", "token": may, "args": out("services")},
            {"type": "event", "args": out("anonymous")}, {"type": "services", "token": NOBODY, "args": out("nobody")}]))
    assert both.same("PUT", "/v1/agent/reload", None, ROOT)[0] == 200
    def read(agent, name):
        path = tmp_path / ("%s-%s" % (agent.name, name))
        return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []
    for agent in both:
        until("services that %s watches" % agent.name, lambda: any("web" in lines for lines in read(agent, "services")))
    for name in ("unseen", "seen"):
        assert both.same("PUT", "/v1/event/fire/" + name, "p", ROOT, text=False) == 200
    for agent in both:
        until("the event that %s watches" % agent.name, lambda: any(e["Name"] == "seen" for got in read(agent, "event") for e in got or []))
        until("a refusal of " + agent.name, lambda: "ACL not found" in "".join(
            line for line in agent.tail(10 ** 7).splitlines() if "Watch errored" in line))
        assert {e["Name"] for got in read(agent, "event") for e in got or []} == {"seen"}
        assert not [e for got in read(agent, "anonymous") for e in got or []] and not read(agent, "nobody")
        assert all("par" not in lines for lines in read(agent, "services"))
        agent.configure(dict(agent.conf, watches=[]))
    assert both.same("PUT", "/v1/agent/reload", None, ROOT)[0] == 200


def test_remote_exec(both):
    """`consul exec` on an agent: its own token must be able to read the job and to write what comes of it."""
    job = lambda agent, wait: both.leader.cli("exec", "-token=" + ROOT, "-node=" + agent.name, "-wait=" + wait, "echo came-out")
    for agent in both:
        refused = job(agent, "2s")
        assert b"came-out" not in refused.stdout, refused.stdout
    set_token(both, "agent", both.make_token("rexec", 'key_prefix "_rexec/" { policy = "write" }'))
    with ThreadPoolExecutor(2) as pool:  # an agent may need long for the first word, and the end is what nobody says any more
        jobs = list(pool.map(lambda agent: job(agent, "15s"), both))
    for agent, done in zip(both, jobs):
        assert b"came-out" in done.stdout and b"exit code 0" in done.stdout, (agent.name, done.stdout, done.stderr)
    set_token(both, "agent", "")


# ---- secrets (8.2) ----

def test_no_secret_is_logged(both):
    """After all of the above, at the finest level: not by any way in which a request can bring one."""
    secret = "5ca1ab1e-0000-4000-8000-0000000000ff"
    paths = [path.replace("%s", secret).replace("%%", "%") for path in (
        "/v1/kv/x?token=%s&stale", "/v1/kv/x?stale&token=%s", "/v1/kv/x?to%%6ben=%s", "/v1/kv/x?a=b;token=%s", "/v1/acl/info/%s", "/v1/acl/clone/%s",
        "/v1/acl/destroy/%s", "/v1/acl/in%%66o/%s", "/v1/agent/self?token=%s&token=%s")]
    told = lambda: both.ours.tail(10 ** 8).count("Request finished")
    before = told()
    for path in paths:
        both.ours.get(path)
        both.ours.put(path)
    both.ours.get("/v1/kv/x", headers={"X-Consul-Token": secret})
    both.ours.get("/v1/kv/x", headers={"Authorization": "Bearer " + secret})
    both.ours.put("/v1/agent/token/default", '{"Token":"%s"' % secret, headers={"X-Consul-Token": ROOT})
    until("all of it in the log", lambda: told() >= before + 2 * len(paths) + 3)  # which comes behind the answers
    log = both.ours.tail(10 ** 8)
    assert "x?token=<hidden>&stale" in log and "to%6ben=<hidden>" in log and "/v1/acl/info/<hidden>" in log
    for shown in (secret, ROOT, NOBODY, MASTER, "token-default", "from-api"):
        assert shown not in log
    config = both.ours.get("/v1/agent/self", headers={"X-Consul-Token": ROOT})
    for name in ("AgentMasterToken", "AgentToken", "MasterToken", "ReplicationToken", "Token"):
        assert config.json["DebugConfig"]["ACL" + name] == "hidden"
    for shown in (ROOT, MASTER, NOBODY):
        assert shown not in config.text
    assert config.json["Stats"]["consul"]["acl"] == "enabled" and config.json["Member"]["Tags"]["acls"] == "1"


# ---- client agents: the peer's servers decide, the agent brings the token ----

def ask_dns(agent, name, kind=1):
    """(rcode, number of answers)"""
    query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0)
    query += b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack(">HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(60)
        line.sendto(query, (agent.ip, 8600))
        _, flags, _, answers, authority, _ = struct.unpack(">HHHHHH", line.recv(4096)[:12])
    return flags & 15, bool(flags & 0x400), answers, authority


@pytest.fixture(scope="module")
def clients(peer, praetor_asan, shared_agents):
    server = shared_agents(peer, name="server", config={"acl": acl(tokens={"master": ROOT, "agent": ROOT})})
    server.launch()
    until("a leader", lambda: _answers(server, "/v1/catalog/nodes", ROOT))
    made = []
    for kind, binary in zip(KINDS, (peer, praetor_asan)):
        agent = shared_agents(binary, name="c-" + kind, config={
            "acl": acl(tokens={"agent_master": MASTER, "agent": ROOT}, token_ttl="1s"), "server": False, "bootstrap_expect": None,
            "retry_join": [server.ip], "log_level": "TRACE"})
        agent.configure({k: v for k, v in agent.conf.items() if v is not None})
        agent.launch()
        made.append(agent)
    for agent in made:
        until(agent.name + " reaches a server", lambda: _settled(agent) and _answers(agent, "/v1/agent/services", "")
              and _answers(agent, "/v1/kv/none", ROOT, 404))
        until(agent.name + " knows everybody", lambda: _members(agent) == 3)
    return Both(server, *made, servers=[server])


@pytest.fixture(scope="module")
def client_tokens(clients):
    return make_tokens(clients)


@pytest.mark.parametrize("who", [None, "nobody", "master", "root", *RULES])
def test_client_endpoints(clients, client_tokens, who):
    """The same where servers have to be asked who that is."""
    compare_endpoints(clients, client_tokens[who])


def test_client_blocked(clients):
    """Whose token was refused is asked for, too."""
    reads = clients.make_token("client-reads", 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }')
    accessor = clients.leader.get("/v1/acl/token/self", headers={"X-Consul-Token": reads}).json["AccessorID"]
    for agent in clients:
        agent.configure(dict(agent.conf, node_meta={"kind": "z"}))
    assert clients.same("PUT", "/v1/agent/token/agent", {"Token": reads}, ROOT)[0] == 200
    for agent in clients:  # a reload would bring the configured token back, and the node's description with it
        agent.configure(dict(agent.conf, acl=acl(tokens={"agent_master": MASTER, "agent": reads}, token_ttl="1s")))
    assert clients.same("PUT", "/v1/agent/reload", None, ROOT)[0] == 200
    def told():
        theirs, ours = clients.lines("agent: Node info update blocked by ACLs")
        return theirs and ours and (theirs, ours)
    theirs, ours = until("the refusal", told)
    assert theirs == ours and all(accessor in line for line in ours)


def test_dns(clients):
    made = clients.leader.put("/v1/catalog/register", {"Node": "dns1", "Address": "10.0.0.9", "Service": {"Service": "named", "Port": 80}},
                              headers={"X-Consul-Token": ROOT})
    assert made.status == 200
    sees = clients.make_token("dns", 'node_prefix "" { policy = "read" } service "named" { policy = "read" }')
    names = ("named.service.consul", "dns1.node.consul", "9.0.0.10.in-addr.arpa", "none.service.consul")
    for token, found in (("", False), (sees, True), (NOBODY, False), ("", False)):
        for agent in clients:
            set_by_master = agent.put("/v1/agent/token/default", {"Token": token}, headers={"X-Consul-Token": MASTER})
            assert set_by_master.status == 200, set_by_master.text
        for name in names:
            theirs, ours = [ask_dns(agent, name, 12 if "arpa" in name else 1) for agent in clients]
            assert ours == theirs, (name, token)
            assert (ours[2] > 0) == (found and name != "none.service.consul"), (name, token)
    theirs, ours = clients.logged('agent.dns: rpc error')
    assert all("ACL not found" in line for line in ours | theirs)


def test_cache_is_not_shared(clients):
    """What one token was shown from the cache another one is not."""
    sees = clients.make_token("cache", 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }')
    for path in ("/v1/health/service/named?cached", "/v1/catalog/services?cached"):
        for token, found in ((sees, True), ("", False), (sees, True), ("", False)):
            for agent in clients:
                answer = agent.get(path, headers={"X-Consul-Token": token})
                assert answer.status == 200 and bool(answer.json) == found, (agent.name, path, answer.text)


def test_disabled(agents, peer, praetor_asan):
    """Access control is off: no tokens to set, any token will do, no profiles."""
    answers = []
    for kind, binary in zip(KINDS, (peer, praetor_asan)):
        agent = agents(binary, name="off-" + kind).start()
        answers.append([(a.status, a.text) for a in (
            agent.put("/v1/agent/token/default", {"Token": "x"}), agent.put("/v1/agent/token/bogus", "{"),
            agent.get("/debug/pprof/heap"), agent.get("/v1/agent/members?token=" + NOBODY + "&segment=x"),
            agent.put("/v1/agent/check/deregister/none?token=allow"), agent.put("/v1/agent/check/pass/none"),
            agent.put("/v1/agent/service/maintenance/none?enable=true"), agent.get("/v1/event/list?token=allow"))])
        assert agent.get("/v1/agent/self").json["Stats"]["consul"]["acl"] == "disabled"
    assert answers[0] == answers[1]
    assert answers[0][0] == (401, "ACL support disabled")
