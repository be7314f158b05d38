"""Intentions, request by request beside the peer (connect.md 2): the HTTP API with access control off and on, the methods on the server
port, the commands; what waits; and in clusters of both kinds, what one makes the other reads."""

import json
import re
import threading
from urllib.parse import quote

import pytest

from e2e.cluster import Cluster, same_state
from e2e.harness import PATIENCE, until
from e2e.rpc_wire import Plain
from e2e.test_cli_acl import Pair, Side, launch

ROOT = "11111111-aaaa-4bbb-8ccc-222222222222"
PATH = "/v1/connect/intentions"
GONE = "aaaaaaaa-0000-4000-8000-000000000001"
UUID = re.compile(r"(?!aaaaaaaa|11111111)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"20\d\d-\d\d-\d\dT[0-9:.]+Z")


def acl(policy="deny"):
    return {"acl": {"enabled": True, "default_policy": policy, "tokens": {"master": ROOT, "agent": ROOT}}}


# "who METHOD path [body]", "=> name" for the ID that later lines put between « and ».
BATTERY = r"""
root GET .
root POST . {"SourceName":"web","DestinationName":"db","Action":"allow"}                                 => web-db
root POST . {"SourceName":"web","DestinationName":"db","Action":"deny"}
root POST . {"SourceName":"WEB","DestinationName":"Db","Action":"deny"}
root POST . {"SourceName":"web","DestinationName":"db","Action":"bogus"}
root POST . {"SourceName":"web"}
root POST . {"ID":"x","SourceName":"web","DestinationName":"db","Action":"allow"}
root POST . {"ID":"x"}
root POST . null
root POST . []
root POST . "x"
root POST .
root POST . {
root POST . {"SourceName":"n1"
root POST . {"SourceName":"web","DestinationName":"db","Action":"allow"} trailing
root POST . {"Namespace":"x"}
root POST . {"source_name":"x"}
root POST . {"SourceName":5}
root POST . {"Meta":5}
root POST . {"Meta":{"a":5}}
root POST . {"ID":null,"Action":null}
root POST . {"Action":5}
root POST . {"Hash":5}
root POST . {"SourceType":5}
root POST . {"DefaultPort":"x"}
root POST . {"DefaultPort":5.5}
root POST . {"DefaultPort":99999999999999999999}
root POST . {"Precedence":"x"}
root POST . {"CreateIndex":-1}
root POST . {"CreatedAt":5}
root POST . {"UpdatedAt":{}}
root POST . {"sourcename":"low","DESTINATIONNAME":"db","Action":"deny","Hash":"x","CreatedAt":"5","Precedence":77,"CreateIndex":5,"UpdatedAt":""}
root POST . {"SourceName":"full","DestinationName":"db","Action":"deny","Description":"why & <how>","DefaultAddr":"x","DefaultPort":5,"Meta":{"b":"2","a":"1"},"SourceType":"consul","SourceNS":"default","DestinationNS":"default"}   => full
root POST ?ns=x {"SourceName":"n1","DestinationName":"n2","Action":"allow","Meta":null}
root POST ?dc=nowhere {"SourceName":"n1","DestinationName":"n2","Action":"allow"}
root POST ?dc=nowhere {"SourceName":"n1"
root POST ?dc=dc1 {"SourceName":"n1","DestinationName":"n3","Action":"allow"}
root POST . {"SourceName":"w","DestinationName":"d","Action":"allow","SourceType":"x"}
root POST . {"SourceName":"w","DestinationName":"d","Action":"ALLOW"}
root POST . {"SourceName":"w","DestinationName":"d","Action":"allow","SourceNS":"*"}
root POST . {"SourceName":"w","DestinationName":"d","Action":"allow","SourceNS":"a*"}
root POST . {"SourceName":"b*","DestinationName":"d","Action":"allow","SourceNS":"a*"}
root POST . {"SourceName":"b*","DestinationName":"d","Action":"allow","SourceNS":"*"}
root POST . {"SourceName":"w","DestinationName":"b*","Action":"allow","DestinationNS":"*"}
root POST . {"SourceName":"w","DestinationName":"*","Action":"allow","DestinationNS":"**"}
root POST . {"SourceName":"","DestinationName":"","Action":"","SourceNS":"*","DestinationNS":"*"}
root POST . {"SourceName":"w","DestinationName":"d","Action":"allow","Description":"LONG512"}
root POST . {"SourceName":"w","DestinationName":"d2","Action":"allow","Description":"LONG511"}
root POST . {"SourceName":"w","DestinationName":"d3","Action":"allow","Meta":{"LONG128":"LONG512","":""}}
root POST . {"SourceName":"w","DestinationName":"d4","Action":"allow","Meta":{"\"LONG128":"x"}}
root POST . {"SourceName":"w","DestinationName":"d5","Action":"allow","Meta":{"LONG127":"LONG511"}}
root POST . {"SourceName":"w","DestinationName":"d6","Action":"allow","Meta":PAIRS65}
root POST . {"SourceName":"w","DestinationName":"d7","Action":"allow","Meta":PAIRS64}
root POST . {"SourceName":"a\nb\"c","DestinationName":"é/x","Action":"allow"}
root POST . {"SourceName":"*","DestinationName":"*","Action":"deny","SourceNS":"*","DestinationNS":"*"}
root POST . {"SourceName":"*","DestinationName":"db","Action":"deny","SourceNS":"*"}
root POST . {"SourceName":"*","DestinationName":"db","Action":"deny"}
root POST . {"SourceName":"*","DestinationName":"*","Action":"allow"}
root POST . {"SourceName":"web","DestinationName":"*","Action":"deny","DestinationNS":"*"}
root POST . {"SourceName":"web","DestinationName":"*","Action":"deny"}
root POST . {"SourceName":"*","DestinationName":"*","Action":"deny","DestinationNS":"*"}
root POST . {"SourceName":"*","DestinationName":"*","Action":"deny","SourceNS":"*"}
root POST . {"SourceNS":"Other","SourceName":"web","DestinationNS":"other","DestinationName":"db","Action":"allow"}
root GET .
root GET ?pretty
root GET ?ns=x
root GET ?stale
root GET ?cached
root GET ?consistent
root GET ?stale&consistent
root GET ?index=x
root GET ?dc=nowhere
root GET ?filter=SourceName==web
root GET ?filter=SourceName==
root GET ?filter=Foo==web
root GET ?filter=Precedence==9
root GET ?filter=Meta.a==1
root GET ?filter=Action!=allow
root GET ?filter=ModifyIndex==1
root GET /
root GET /x
root GET /GONE
root GET /GON
root GET /GONE?dc=nowhere
root GET /x?dc=nowhere
root GET /x?index=x
root GET /«web-db»
root GET /«web-db»?pretty
root GET /«web-db»?filter=x==
root GET /«full»
root GET /aaaaaaaa-0000-4000-8-00-00000000001
root GET /aaaaaaaa-0000-4000-8000-00000000000z
root GET /GONE?index=900&wait=1s
root PUT /GONE {"SourceName":"web","DestinationName":"db","Action":"allow"}
root PUT /GONE {"SourceName":"web"}
root PUT /GONE
root PUT /GONE []
root PUT /GONE {"Bogus":1}
root PUT /x {"SourceName":"web","DestinationName":"db","Action":"allow"}
root PUT / {"SourceName":"web","DestinationName":"db","Action":"allow"}
root PUT /x?dc=nowhere {}
root PUT /«full» {"SourceName":"web","DestinationName":"db","Action":"allow"}
root PUT /«full» {"SourceName":"web","DestinationName":"other"}
root PUT /«full» {"ID":"ignored","SourceName":"full2","DestinationName":"db","Action":"allow","CreatedAt":"2000-01-01T00:00:00Z"}
root GET /«full»
root PUT /«full»?pretty {"SourceName":"full2","DestinationName":"*","Action":"deny","Meta":{"x":"y"}}
root GET /«full»
root POST /x {}
root PUT . {}
root HEAD .
root OPTIONS .
root OPTIONS /x
root OPTIONS /match
root OPTIONS /check
root POST /match
root DELETE /match
root PUT /check {}
root GET /match/
root GET /match/x
root GET /check/
root GET /match
root GET /match?by=x
root GET /match?by=
root GET /match?by=source
root GET /match?by=source&by=source&name=x
root GET /match?by=source&name=
root GET /match?by=source&name=a/b/c
root GET /match?by=source&name=web
root GET /match?by=source&name=WEB
root GET /match?by=source&name=default/web
root GET /match?by=source&name=other/web
root GET /match?by=source&name=/web
root GET /match?by=source&name=default/
root GET /match?by=source&name=/
root GET /match?by=destination&name=db
root GET /match?by=destination&name=db&pretty
root GET /match?by=destination&name=web&name=db&name=default/db&name=db
root GET /match?by=destination&name=*
root GET /match?by=destination&name=*/*
root GET /match?by=destination&name=default/*
root GET /match?by=destination&name=*/db
root GET /match?by=destination&name=Db
root GET /match?by=destination&name=%22%3C%C3%A9
root GET /match?by=destination&name=db&ns=x
root GET /match?by=destination&name=db&dc=nowhere
root GET /match?by=destination&name=db&filter=SourceName==
root GET /match?by=destination&name=db&index=x
root GET /match?index=x
root GET /match?by=destination&name=db&index=1&wait=1s
root GET /check
root GET /check?index=x
root GET /check?source=web
root GET /check?source=web&source=web&destination=db
root GET /check?source=web&destination=db&destination=db
root GET /check?source=web&destination=
root GET /check?source=&destination=db
root GET /check?source=web&destination=db
root GET /check?source=web&destination=db&pretty
root GET /check?source=WEB&destination=db
root GET /check?source=web&destination=DB
root GET /check?source=low&destination=db
root GET /check?source=nope&destination=db
root GET /check?source=nope&destination=nope
root GET /check?source=web&destination=nope
root GET /check?source=a/b/c&destination=db
root GET /check?source=web&destination=a/b/c
root GET /check?source=web&destination=db&source-type=zork
root GET /check?source=web&destination=db&source-type=
root GET /check?source=web&destination=db&source-type=consul&source-type=x
root GET /check?source=web&destination=db&source-type=x&dc=nowhere
root GET /check?source=default/web&destination=default/db
root GET /check?source=x/web&destination=db
root GET /check?source=other/web&destination=other/db
root GET /check?source=Other/web&destination=other/db
root GET /check?source=*&destination=db
root GET /check?source=/&destination=/
root GET /check?source=web&destination=db&index=5
root DELETE /
root DELETE /x
root DELETE /GONE
root DELETE /x?dc=nowhere
root DELETE /«full»
root DELETE /«full»
root GET /«full»
root DELETE /«WEB-DB»
root GET .
"""

# Tokens by their rules; "none" has none, "nobody" is unknown, "root" manages.
TOKENS = {
    "svc-read": 'service "db" { policy = "read" }',
    "svc-write": 'service "db" { policy = "write" }',
    "int-read": 'service "db" { policy = "deny" intentions = "read" }',
    "int-write": 'service "db" { policy = "read" intentions = "write" }',
    "int-deny": 'service "db" { policy = "write" intentions = "deny" }',
    "src": 'service "web" { policy = "read" intentions = "write" }',
    "prefix-read": 'service_prefix "" { policy = "read" }',
    "prefix-write": 'service_prefix "" { policy = "write" intentions = "write" }',
    "star": 'service "*" { policy = "write" intentions = "write" }',
    "but-db": 'service_prefix "" { policy = "write" intentions = "write" } service "db" { policy = "deny" }',
    "only-db": 'service "db" { policy = "write" intentions = "write" }',
}
# What each of them asks; what changes something is undone by root behind it.
BY_TOKEN = """
GET .
GET ?filter=SourceName==web
GET ?filter=x==
GET /«web-db»
GET /«db-web»
GET /«any-db»
GET /«any-any»
GET /«web-api»
GET /«WEB-DB»
GET /x
GET /GONE
GET /match?by=source&name=web
GET /match?by=destination&name=db
GET /match?by=destination&name=web
GET /match?by=destination&name=db&name=web
GET /match?by=destination&name=*
GET /match?by=source&name=
GET /match?by=x&name=db
GET /check?source=web&destination=db
GET /check?source=x&destination=db
GET /check?source=x&destination=web
GET /check?source=x&destination=y
GET /check?source=x&destination=
GET /check?source=x&destination=db&source-type=z
POST . {"SourceName":"new","DestinationName":"db","Action":"allow"}
POST . {"SourceName":"new","DestinationName":"web","Action":"allow"}
POST . {"SourceName":"new","DestinationName":"*","Action":"allow"}
POST . {"SourceName":"new","DestinationName":"","Action":"allow"}
POST . {"SourceName":"new","DestinationName":"db","Action":"zork"}
POST . {"ID":"x","SourceName":"new","DestinationName":"db","Action":"allow"}
POST . {"Foo":1}
PUT /«web-db» {"SourceName":"web","DestinationName":"db","Action":"allow"}
PUT /«web-db» {"SourceName":"web","DestinationName":"api","Action":"allow"}
PUT /«web-db» {}
PUT /«web-api» {"SourceName":"x","DestinationName":"db","Action":"allow"}
PUT /«any-any» {"SourceName":"*","DestinationName":"*","Action":"deny"}
PUT /x {"DestinationName":"db"}
PUT /x {}
PUT /GONE {"DestinationName":"db"}
DELETE /«web-db»
DELETE /«web-api»
DELETE /«any-db»
DELETE /«any-any»
DELETE /x
DELETE /GONE
"""
WORLD = {"web-db": ("web", "db"), "db-web": ("db", "web"), "web-api": ("web", "api"), "any-db": ("*", "db"), "any-any": ("*", "*")}


class Asked:
    """One of the two agents, with the IDs of what it made."""

    def __init__(self, agent):
        self.agent, self.known = agent, {}
        self.secrets = {"root": ROOT, "nobody": "77777777-0000-4000-8000-000000000000"}

    def fill(self, text):
        for n in (127, 128, 511, 512):
            text = text.replace("LONG%d" % n, "ä" * (n // 2) + "k" * (n % 2 + (n % 2 == 0)))
        for n in (64, 65):
            text = text.replace("PAIRS%d" % n, json.dumps({"key%d" % i: "v" for i in range(n)}))
        text = re.sub("«(.*?)»", lambda m: self.known.get(m.group(1)) or self.known[m.group(1).lower()].upper(), text)
        return text.replace("GONE", GONE).replace("GON", GONE[:-1])

    def ask(self, who, method, path, body=""):
        headers = {"X-Consul-Token": self.secrets[who]} if who in self.secrets else {}
        path = self.fill(path)
        return self.agent.request(method, PATH + (path if path != "." else ""), self.fill(body).encode() or None, headers=headers)

    def make(self, name, source, destination, action="deny"):
        answer = self.ask("root", "POST", ".", json.dumps({"SourceName": source, "DestinationName": destination, "Action": action}))
        assert answer.status == 200, answer.text
        self.known[name] = answer.json["ID"]

    def restore(self):
        """The world of the tokens, as it was."""
        there = {(x["SourceName"], x["DestinationName"]): x for x in self.ask("root", "GET", ".").json}
        for name, pair in WORLD.items():
            x = there.pop(pair, None)
            if x is None or x["ID"] != self.known.get(name) or x["Action"] != "deny":
                if x is not None:
                    self.ask("root", "DELETE", "/" + x["ID"])
                if name in self.known and any(x["ID"] == self.known[name] for x in there.values()):
                    there = {k: x for k, x in there.items() if x["ID"] != self.known[name]}
                    self.ask("root", "DELETE", "/" + self.known[name])
                self.make(name, *pair)
        for x in there.values():
            self.ask("root", "DELETE", "/" + x["ID"])

    def plain(self, text):
        for name, value in self.known.items():
            text = text.replace(value, "«%s»" % name)
        text = TIME.sub("<time>", UUID.sub("<uuid>", text))
        return re.sub(r'(Index": ?)\d+', r"\1N", re.sub(r'"Hash": ?"[A-Za-z0-9+/]{43}="', '"Hash":"<hash>"', text))

    def comparable(self, answer):
        shown = {k: v for k, v in answer.headers.items()
                 if k in ("Content-Type", "Allow", "Location") or k.startswith("X-Consul-") and k != "X-Consul-Index"}
        if "X-Consul-Index" in answer.headers:
            shown["index"] = answer.headers["X-Consul-Index"] == "1"
        return answer.status, shown, self.plain(answer.text)


def start_both(agents, peer, praetor_asan, config):
    sides = [Asked(agents(binary, name=name, config=config)) for binary, name in ((peer, "theirs"), (praetor_asan, "ours"))]
    for side in sides:
        side.agent.launch()
    for side in sides:
        until("an API", lambda side=side: answers(side.agent))
        if config:
            until("tokens", lambda side=side: side.agent.get("/v1/acl/token/self", headers={"X-Consul-Token": ROOT}).status == 200)
    return sides


def answers(agent):
    try:
        return agent.get(PATH, headers={"X-Consul-Token": ROOT}).status == 200 and agent.get("/v1/status/leader").json
    except OSError:
        return False


def lines(text):
    for line in text.strip().split("\n"):
        line, _, name = line.partition("=>")
        yield line.strip(), name.strip()


@pytest.mark.parametrize("config", [{}, acl("deny"), acl("allow")], ids=["open", "deny", "allow"])
def test_beside_the_peer(agents, peer, praetor_asan, config):
    sides = start_both(agents, peer, praetor_asan, config)
    wrong = []
    for line, name in lines(BATTERY):
        who, method, path, *body = line.split(" ", 3)
        got = [side.ask(who, method, path, *body) for side in sides]
        if name:
            for side, answer in zip(sides, got):
                side.known[name] = answer.json["ID"]
        seen = [side.comparable(answer) for side, answer in zip(sides, got)]
        if seen[0] != seen[1]:
            wrong.append("%s\n   peer: %s\n   ours: %s" % (line, seen[0], seen[1]))
    assert not wrong, "%d differ\n" % len(wrong) + "\n".join(wrong)


@pytest.mark.parametrize("policy", ["deny", "allow"])
def test_by_token(agents, peer, praetor_asan, policy):
    """acl.md 9.6"""
    sides = start_both(agents, peer, praetor_asan, acl(policy))
    for side in sides:
        for name, rules in TOKENS.items():
            root = {"X-Consul-Token": ROOT}
            assert side.agent.put("/v1/acl/policy", {"Name": name, "Rules": rules}, headers=root).status == 200
            token = side.agent.put("/v1/acl/token", {"Policies": [{"Name": name}]}, headers=root)
            side.secrets[name] = token.json["SecretID"]
        side.restore()
    wrong, statuses = [], set()
    for who in ["none", "nobody", "root", *TOKENS]:
        for line, _ in lines(BY_TOKEN):
            method, path, *body = line.split(" ", 2)
            seen = []
            for side in sides:
                answer = side.ask(who, method, path, *body)
                seen.append(side.comparable(answer))
                if answer.status == 200 and method != "GET":
                    side.restore()
            statuses.add(seen[0][0])
            if seen[0] != seen[1]:
                wrong.append("%s: %s\n   peer: %s\n   ours: %s" % (who, line, seen[0], seen[1]))
    assert not wrong, "%d differ\n" % len(wrong) + "\n".join(wrong)
    assert statuses >= {200, 400, 403, 404, 500}


# ---- whether a connection may be ----

AUTHORIZE = "/v1/agent/connect/authorize"
# Who asks, the target, the source (a whole URI, or the service); "" is a body that is none.
AUTHORIZED = """
root db web
root db web
root db api
root db none
root DB web
root other api
root other web
root * api
root db spiffe://h.consul
root db x
none db web
none db x
nobody db web
svc-write db web
svc-write db api
svc-write db none
svc-write other web
svc-read db web
int-deny db web
prefix-write other api
prefix-write other web
"""


def authorize(side, who, target, source):
    uri = source if "/" in source or source == "x" else "spiffe://h.consul/ns/default/dc/dc1/svc/" + source
    headers = {"X-Consul-Token": side.secrets[who]} if who in side.secrets else {}
    body = json.dumps({"Target": target, "ClientCertURI": uri}).encode()
    return side.agent.request("POST", AUTHORIZE, body, headers=headers)


def told(answer):
    shown = {k: v for k, v in answer.headers.items() if k in ("Content-Type", "X-Cache", "Age") or k.startswith("X-Consul-")}
    return answer.status, shown, UUID.sub("<uuid>", answer.text)


def settled(side):
    """The peer's client agents know no token at first."""
    text = side.agent.get("/v1/agent/self").text
    return "ACL not found" not in text


@pytest.mark.parametrize("access", [{}, acl("deny")], ids=["open", "deny"])
def test_authorize(agents, peer, praetor_asan, access):
    """Servers and client agents of both kinds, the clients with servers of both: by the agent's cache, which follows what changes and goes on
    without servers."""
    binaries, servers, clients = {"peer": peer, "ours": praetor_asan}, [], []
    for kind in binaries:
        servers.append(Asked(agents(binaries[kind], name=kind, config=dict(access, performance={"raft_multiplier": 1}))))
        servers[-1].agent.launch()
    for server in servers:
        until("an API", lambda: answers(server.agent))
        for name, source, destination, action in (("web-db", "web", "db", "allow"), ("api-db", "api", "db", "deny"), ("api-any", "api", "*", "allow")):
            server.make(name, source, destination, action)
        for name in TOKENS if access else ():
            root = {"X-Consul-Token": ROOT}
            server.agent.put("/v1/acl/policy", {"Name": name, "Rules": TOKENS[name]}, headers=root)
            server.secrets[name] = server.agent.put("/v1/acl/token", {"Policies": [{"Name": name}]}, headers=root).json["SecretID"]
        for kind in binaries:
            config = dict(access, server=False, bootstrap_expect=0, retry_join=[server.agent.ip], retry_interval="1s")
            clients.append(Asked(agents(binaries[kind], name="%s-by-%s" % (kind, server.agent.name), config=config)))
            clients[-1].secrets = server.secrets
            clients[-1].agent.launch()
    for client in clients:
        until("a client", lambda: answers(client.agent) and settled(client))

    def compare(asks, sides, lost=False):
        statuses = set()
        for line, _ in lines(asks):
            got = [told(authorize(side, *line.split())) for side in sides]
            for side, seen in zip(sides, got):
                if lost:
                    seen[1].pop("Age", None)  # since when the server is lost
                assert seen == got[0], (line, side.agent.name)
            statuses.add(got[0][0])
        return statuses
    expected = {200, 400, 403} if access else {200, 400}
    assert compare(AUTHORIZED, servers) == compare(AUTHORIZED, clients) == expected
    for side in servers:
        side.make("late", "late", "db", "allow")
    for side in servers + clients:
        until("the change", lambda: "ALLOW default/late" in authorize(side, "root", "db", "late").text)
    for side in servers:
        side.agent.kill()
    for side in clients:
        until("the loss", lambda: authorize(side, "root", "fresh", "web").status == 500)
    assert compare("root db late\nroot db api\nroot other web" + "\nsvc-write db web" * bool(access), clients, lost=True) == {200}
    assert compare("none db x", clients) == {400}


RPC = [
    ("Apply", {"Op": "x", "Intention": {"SourceName": "a", "DestinationName": "b"}}),
    ("Apply", {"Op": "", "Intention": {"ID": "x"}}),
    ("Apply", {"Op": "create", "Intention": {"SourceName": "a", "DestinationName": "b", "Action": "allow", "SourceType": "zz"}}),
    ("Apply", {"Op": "create", "Intention": {"ID": "zz"}}),
    ("Apply", {"Op": "delete", "Intention": {"DestinationName": "b"}}),
    ("Apply", {"Op": "update", "Intention": {"ID": GONE, "DestinationName": "b"}}),
    ("Match", {"Match": {"Type": "x", "Entries": [{"Namespace": "default", "Name": "b"}]}}),
    ("Match", {"Match": {"Type": "x", "Entries": []}}),
    ("Match", {"Match": {"Type": "Source", "Entries": [{"Namespace": "default", "Name": "b"}]}}),
    ("Match", {"Match": {"Type": "source", "Entries": []}}),
    ("Match", {"Match": {"Type": "source", "Entries": [{"Namespace": "", "Name": "web"}]}}),
    ("Match", {"Match": {"Type": "source", "Entries": [{"Namespace": "default", "Name": "web"}, {"Namespace": "default", "Name": ""}]}}),
    ("Match", {"Match": {"Type": "destination", "Entries": [{"Namespace": "default", "Name": "db"}]}}),
    ("Check", {"Check": None}),
    ("Check", {"Check": {"SourceName": "web", "DestinationName": "db"}}),
    ("Check", {"Check": {"SourceName": "web", "DestinationName": "db", "SourceType": "consul"}}),
    ("Check", {"Check": {"SourceNS": "default", "SourceName": "web", "DestinationNS": "default", "DestinationName": "db", "SourceType": "consul"}}),
    ("Get", {"IntentionID": "x"}),
    ("Get", {"IntentionID": GONE}),
    ("List", {}),
    ("List", {"Filter": "SourceName == nothere"}),
    ("List", {"Filter": "x =="}),
]
RANDOM = {b"ID", b"Hash", b"CreatedAt", b"UpdatedAt", b"CreateIndex", b"ModifyIndex", b"Index"}


@pytest.mark.parametrize("config", [{}, acl("deny")], ids=["open", "deny"])
def test_on_the_server_port(agents, peer, praetor_asan, config):
    sides = start_both(agents, peer, praetor_asan, config)

    def masked(value):
        if isinstance(value, list):
            return [(v[0], "random" if v[1] else v[1]) if isinstance(v, tuple) and v[0] in RANDOM else masked(v) for v in value]
        return tuple(masked(v) for v in value) if isinstance(value, tuple) else value
    for side in sides:
        side.make("a", "web", "db", "allow")
        side.make("b", "*", "db")
    for token in ("", ROOT, "77777777-0000-4000-8000-000000000000"):
        for method, body in RPC:
            seen = []
            for side in sides:
                line = Plain(side.agent.ip)
                try:
                    seen.append(masked(line.call("Intention." + method, Datacenter="dc1", Token=token, **body)))
                except RuntimeError as e:
                    seen.append(str(e))
                line.close()
            assert seen[1] == seen[0], (token, method, body)


def test_null_does_not_end_the_connection(agents, praetor_asan):
    """The peer's request crashes (compatibility.md)."""
    side = Asked(agents(praetor_asan).start())
    side.make("a", "web", "db", "allow")
    assert side.ask("none", "PUT", "/«a»", "null").status == 500
    assert side.ask("none", "GET", "/«a»").json["Action"] == "allow"
    for body in ({"Op": "create"}, {"Op": "update", "Intention": None}, {"Op": "delete", "Intention": None}):
        with pytest.raises(RuntimeError):
            Plain(side.agent.ip).call("Intention.Apply", Datacenter="dc1", **body)
    with pytest.raises(RuntimeError, match="Match must be specified on args"):
        Plain(side.agent.ip).call("Intention.Match", Datacenter="dc1", Match=None)


@pytest.mark.parametrize("kind", ["theirs", "ours"])
def test_who_waits_is_told(agents, peer, praetor_asan, kind):
    side = Asked(agents(peer if kind == "theirs" else praetor_asan).start())
    side.make("a", "web", "db", "allow")
    index = side.ask("none", "GET", ".").index
    paths = ["?index=%d&wait=9m", "/match?by=destination&name=db&index=%d&wait=9m", "/«a»?index=%d&wait=9m"]
    got = {}

    def wait(path):
        got[path] = side.agent.get(PATH + side.fill(path % index), timeout=PATIENCE)
    threads = [threading.Thread(target=wait, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(0.2)
    assert not got  # nothing has changed yet
    body = {"SourceName": "web", "DestinationName": "db", "Action": "deny"}
    assert side.ask("none", "PUT", "/«a»", json.dumps(body)).status == 200
    for thread in threads:
        thread.join()
    told = [got[path].json for path in paths]
    assert [told[0][0]["Action"], told[1]["db"][0]["Action"], told[2]["Action"]] == ["deny"] * 3


# ---- the commands ----


@pytest.fixture
def pair(agents, peer, praetor_asan, tmp_path):
    servers = [launch(agents(binary, name=name)) for binary, name in ((peer, "theirs"), (praetor_asan, "ours"))]
    for server in servers:
        server.wait_leader()
    return Pair(Side(peer, servers[0], tmp_path / "a"), Side(praetor_asan, servers[1], tmp_path / "b"))


MADE = """create web db
create web db
create -deny web api
create -allow -deny a b
create -deny '*' db
create -meta a=b -meta c=d x '*'
create -meta a x y
create default/d1 default/d2
create other/d1 d2
create a/b/c d
create d a/b/c
create a
create
create a b c
create -replace -deny web db
create -replace r1 r2
create -replace -meta new=1 r1 r2
create '' x
create 'a*' x
create -file one.json
create -file one.json two.json
create -file none.json
create -file broken.json
create -file
create -file -replace one.json
create -file list.json
create -file unknown.json
create -file lower.json
create -file lower.json one.json
create -file 0.json
create -file 1.json
create -file 2.json
create -file 3.json
create -file 4.json
create -file 5.json
create -file 6.json
create -file 7.json
create -file 8.json
create -file 9.json
match db
match -source web
match -destination web
match -source -destination web
match '*'
match
match a b
match a/b/c
match default/db
match -foo db
check web db
check web api
check nope api
check x y
check x
check a/b/c y
check -foo x y
get web db
get x '*'
get default/web default/db
get nope nope
get
get a b c
get x
get r1 r2
delete nope nope
delete
delete a b c
delete x
delete aaaaaaaa-0000-4000-8000-000000000001
delete web db
delete web db
delete default/d1 d2
match web
"""


def test_commands(pair):
    """Each command line against its own server; the codes, both outputs."""
    pair.file("one.json", json.dumps({"SourceName": "f1", "DestinationName": "f2", "Action": "allow", "Description": "from a file"}))
    pair.file("two.json", json.dumps({"SourceName": "f3", "DestinationName": "f4", "Action": "deny", "Meta": {"a": "b"}}))
    pair.file("list.json", "[]")
    pair.file("broken.json", "{")
    pair.file("unknown.json", json.dumps({"SourceName": "f5", "DestinationName": "f4", "Action": "deny", "Zork": 1}))
    pair.file("lower.json", '{"sourcename":"lo","DESTINATIONNAME":"hi","Action":"deny","Hash":"aGk=","CreatedAt":"2020-01-01T00:00:00Z","SourceNS":null} more')
    for i, text in enumerate(('{"SourceName":5}', '{"Hash":"x"}', '{"CreatedAt":"x"}', '{"CreatedAt":5}', '{"Meta":{"a":5}}', "null", "5", "",
                              '{"DefaultPort":5.5}', '{"Action":[]}')):
        pair.file("%d.json" % i, text)
    codes = set()
    wrong = []
    for line in MADE.strip().split("\n"):
        try:
            codes.add(pair.write("intention " + line, token="")[0])
        except AssertionError as e:
            wrong.append("%s: %s" % (line, e))
    assert not wrong, "\n".join(wrong)
    assert codes == {0, 1, 2}


def test_commands_by_id_and_without_a_server(pair):
    for side in (pair.theirs, pair.ours):
        made = side.server.request("POST", PATH, b'{"SourceName":"a","DestinationName":"b","Action":"deny","Description":"d","Meta":{"z":"1","y":"2"}}')
        side.names["id"] = made.json["ID"]
    get = pair.theirs.fill("intention get @{id}")
    mine, theirs = (s.run(get, server=pair.theirs.server, token="") for s in (pair.ours, pair.theirs))
    assert mine == theirs and "Meta[y]:" in mine[1]
    pair.write("intention delete @{id}", token="")
    pair.write("intention delete @{id}", token="")
    for line in ("create a b", "create -replace a b", "match a", "check a b", "get a b", "delete a b"):
        words = line.split(" ", 1)
        pair.write("intention %s -http-addr 127.0.0.1:1 %s" % tuple(words), token="")


# ---- servers of both kinds ----


@pytest.mark.parametrize("kinds", ["opp", "poo"])
def test_in_a_cluster_of_both_kinds(agents, praetor_asan, peer, kinds):
    binary = {"o": praetor_asan, "p": peer}
    cluster = Cluster(agents, [binary[k] for k in kinds], config=acl("deny"))
    cluster.form(ready=answers, multiplier=10)
    sides = [Asked(server) for server in cluster.servers]
    for side in sides:
        until("access control on %s" % side.agent.name, lambda side=side: answers(side.agent))
    for i, side in enumerate(sides):
        side.make("kept", "web%d" % i, "db", "allow")
        side.make("changed", "*", "db%d" % i)
        side.make("gone", "x%d" % i, "y")
        body = {"SourceName": "*", "DestinationName": "db%d" % i, "Action": "allow", "Description": "é", "Meta": {"b": "1", "a": "2"}, "DefaultPort": -5}
        assert side.ask("root", "PUT", "/«changed»", json.dumps(body)).status == 200
        assert side.ask("root", "DELETE", "/«gone»").text.strip() == "true"
        again = side.ask("root", "POST", ".", json.dumps({"SourceName": "WEB%d" % i, "DestinationName": "DB", "Action": "deny"}))
        assert again.status == 500 and "duplicate intention found" in again.text
    same_state(cluster.servers, PATIENCE, token=ROOT)
    for path in (".", "/match?by=destination&name=db", "/match?by=source&name=web1&name=*", "/check?source=web0&destination=db",
                 "/check?source=web0&destination=db9", "/" + sides[0].known["kept"], "/" + sides[1].known["changed"]):
        path += ("&" if "?" in path else "?") + "stale"
        told = [side.ask("root", "GET", path.lstrip(".")) for side in sides]  # all hold the same by now
        assert [a.status for a in told] == [200] * 3
        assert told[0].json == told[1].json == told[2].json, path
    assert len(sides[0].ask("root", "GET", ".").json) == 6
    # A follower of one kind is told of changes that come through the other.
    index = sides[1].ask("root", "GET", ".").index
    sides[2].make("late", "late", quote("db"))
    news = sides[1].agent.get(PATH + "?index=%d&wait=9m" % index, headers={"X-Consul-Token": ROOT}, timeout=PATIENCE)
    assert any(x["SourceName"] == "late" for x in news.json)


# ---- two datacenters ----


def two_datacenters(agents, kinds, mesh, access=None, names=("one", "two")):
    base = dict(access or {}, primary_datacenter="dc1", performance={"raft_multiplier": 1}, connect={"enabled": mesh})
    sides = []
    for binary, name in zip(kinds, names):
        more = {"datacenter": "dc2", "retry_join_wan": [sides[0].agent.ip], "retry_interval_wan": "1s"} if sides else {}
        sides.append(Asked(agents(binary, name=name, config=dict(base, **more))))
        sides[-1].agent.launch()
    for side in sides:
        until("an API", lambda side=side: answers(side.agent))
        until("the other datacenter", lambda side=side: set(side.agent.get("/v1/catalog/datacenters").json) == {"dc1", "dc2"})
    return sides


def held(side):
    """What replication copies, by ID."""
    return {x["ID"]: {k: v for k, v in x.items() if not k.endswith("Index")} for x in side.ask("root", "GET", ".").json}


KINDS = [("peer", "ours"), ("ours", "ours"), ("ours", "peer")]


def binaries(request, kinds):
    return [request.getfixturevalue("peer" if kind == "peer" else "praetor_asan") for kind in kinds]


@pytest.mark.parametrize("access", [{}, acl("deny")], ids=["open", "deny"])
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_secondary_has_the_primary_s(agents, request, kinds, access):
    if access:
        access = {"acl": dict(access["acl"], tokens={"master": ROOT, "agent": ROOT, "replication": ROOT})}
    one, two = two_datacenters(agents, binaries(request, kinds), True, access)
    one.make("a", "web", "db", "allow")
    until("the first one", lambda: held(two) and held(two) == held(one))
    # through the secondary, whatever datacenter is named: the primary writes it
    for i, path in enumerate((".", "?dc=dc1", "?dc=dc2")):
        made = two.ask("root", "POST", path, json.dumps({"SourceName": "by-two-%d" % i, "DestinationName": "db", "Action": "deny"}))
        assert made.status == 200 and made.json["ID"] in held(one), made.text
    two.known = dict(one.known)
    body = {"SourceName": "web", "DestinationName": "db", "Action": "deny", "Meta": {"k": "v"}}
    assert two.ask("root", "PUT", "/«a»", json.dumps(body)).status == 200
    until("all of them", lambda: held(two) == held(one))
    assert two.ask("root", "GET", "/check?source=web&destination=db").json == {"Allowed": False}
    refused = two.ask("root", "POST", ".", json.dumps({"SourceName": "web", "DestinationName": "db", "Action": "deny"}))
    assert refused.status == 500 and "duplicate intention found: DENY default/web => default/db" in refused.text
    if access:
        assert two.ask("none", "DELETE", "/«a»").status == 403
    # names that change hands (which the peer never gets over when it sees the end of it only: compatibility.md), and an end
    other = [i for i, x in held(one).items() if x["SourceName"] == "by-two-0"][0]
    names = ((other, "spare"), (one.known["a"], "by-two-0"), (other, "web"))
    for id_, name in names if kinds[1] == "ours" else names[:1]:
        assert one.ask("root", "PUT", "/" + id_, json.dumps(dict(body, SourceName=name))).status == 200
    assert two.ask("root", "DELETE", "/" + [i for i, x in held(one).items() if x["SourceName"] == "by-two-1"][0]).status == 200
    until("the changes", lambda: held(two) == held(one) and len(held(two)) == 3)


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_without_the_mesh_each_has_its_own(agents, request, kinds):
    one, two = two_datacenters(agents, binaries(request, kinds), False)
    one.make("a", "web", "db", "allow")
    two.make("b", "x", "y")
    made = two.ask("none", "POST", "?dc=dc1", json.dumps({"SourceName": "far", "DestinationName": "db", "Action": "deny"}))
    assert made.status == 200
    assert sorted(x["SourceName"] for x in held(one).values()) == ["far", "web"]
    assert [x["SourceName"] for x in held(two).values()] == ["x"]
    assert [x["SourceName"] for x in two.ask("none", "GET", "?dc=dc1").json] == [x["SourceName"] for x in one.ask("none", "GET", ".").json]


def test_without_the_primary(agents, peer, praetor_asan):
    """Reads go on, writes fail, as the peer says it."""
    told = []
    for binary, names in ((peer, ("p1", "p2")), (praetor_asan, ("o1", "o2"))):
        one, two = two_datacenters(agents, [peer, binary], True, names=names)
        one.make("a", "web", "db", "allow")
        until("the first one", lambda: held(two))
        one.agent.kill()
        answer = until("an error", lambda: failing(two))
        told.append((answer.status, re.sub(r"\d+\.\d+\.\d+\.\d+:\d+", "ADDRESS", answer.text)))
        assert two.ask("none", "GET", "/check?source=web&destination=db").json == {"Allowed": True}
        assert "error replicating intentions: routine=\"intention replication\"" in until("the log", lambda: [
            line for line in two.agent.tail(10 ** 6).split("\n") if "replicating intentions" in line], PATIENCE)[-1]
        two.agent.kill()
    assert told[0] == told[1]


def failing(side):
    try:
        answer = side.ask("none", "POST", ".", json.dumps({"SourceName": "n", "DestinationName": "m", "Action": "deny"}))
    except OSError:
        return None
    return answer if answer.status == 500 and "connection refused" in answer.text else None
