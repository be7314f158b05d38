"""The API of access control, request by request beside the peer: both agents are asked the same, and must answer the same but
for random IDs, times and indexes. And in clusters of both kinds, what one makes the other reads."""

import json
import re

import pytest

from e2e.cluster import Cluster, same_state, write_peers
from e2e.harness import until

ROOT = "11111111-aaaa-4bbb-8ccc-222222222222"
ACL = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": ROOT, "agent": ROOT}}}
GONE = "99999999-0000-4000-8000-999999999999"
PEM = ("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAL846lg+MOvhW+Ftdau2gXO+i3T9jDxPK7F4aC0C+XtY=\n"
       "-----END PUBLIC KEY-----\n")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"20\d\d-\d\d-\d\dT[0-9:.]+Z")

# "who METHOD path [body]", and "=> name:Field …" for what later lines put between « and ».
TOKENS = r"""
root GET tokens
root GET token/self
none GET token/self
nobody GET token/self
root PUT token {"Description":"plain"}                                                     => plain:AccessorID secret:SecretID
root GET token/«plain»
plain GET token/self
plain GET token/«plain»
none GET token/«plain»
nobody GET token/«plain»
allow GET tokens
root GET token/x
root GET token/zz345678-1234-1234-1234-123456789012
root GET token/
root GET token
root PUT token []
root PUT token null
root PUT token
root PUT token {
root PUT token {"Description":5}
root PUT token {"Policies":5}
root PUT token {"Policies":[{"ID":5}]}
root PUT token {"Roles":{"ID":"x"}}
root PUT token {"Roles":[{"ID":5}]}
root PUT token {"ExpirationTime":"a\"b"}
root PUT token {"ExpirationTime":[ 1, 2] }
root PUT token {"ExpirationTime":""}
root PUT token {"ServiceIdentities":[{"ServiceName":5}]}
root PUT token {"NodeIdentities":[{"Foo":1}]}
root PUT token {"Hash":5}
root PUT token {"Hash":"whatever","description":"case"}
root PUT token {"Local":"x"}
root PUT token {"CreateTime":"x"}
root PUT token {"ExpirationTime":5}
root PUT token {"CreateIndex":-1}
root PUT token {"CreateIndex":7,"ModifyIndex":8,"CreateTime":"2020-01-01T00:00:00Z","Description":"not mine to say"}
root PUT token {"Namespace":"x"}
root PUT token {"namespace":"x"}
root PUT token {"Type":"client"}
root PUT token {"Description":"more"} trailing
root PUT token?ns=x {}
root PUT token {"ExpirationTTL":"bogus"}
root PUT token {"ExpirationTTL":true}
root PUT token {"ExpirationTTL":5}
root PUT token {"ExpirationTTL":"-1h"}
root PUT token {"ExpirationTTL":"25h"}
root PUT token {"ExpirationTTL":"30s"}
root PUT token {"ExpirationTime":"2020-11-25T12:40:00.5+02:00"}
root PUT token {"ExpirationTime":"2020-11-25T12:40:00Z","ExpirationTTL":"1h"}
root PUT token {"ExpirationTTL":"1h","Description":"ends"}                                 => ends:AccessorID
root PUT token {"ExpirationTTL":3600000000000}
root PUT token {"AccessorID":"x"}
root PUT token {"AccessorID":"«plain»"}
root PUT token {"AccessorID":"«secret»"}
root PUT token {"AccessorID":"316356fdcf50b5e2d3ae9e4920d3725fabcd"}
root PUT token {"AccessorID":"316356fdcf-50-b5e2-d3ae-9e4920d3725f"}
root PUT token {"AccessorID":"00000000-0000-0000-0000-000000000002"}
root PUT token {"AccessorID":"00000000-0000-0000-0000-000000000009"}
root PUT token {"AccessorID":"aaaaaaaa-0000-4000-8000-000000000001","SecretID":"aaaaaaaa-0000-4000-8000-000000000002"}
root PUT token {"AccessorID":"aaaaaaaa-0000-4000-8000-000000000003","SecretID":"aaaaaaaa-0000-4000-8000-000000000002"}
root PUT token {"SecretID":"aaaaaaaa-0000-4000-8000-000000000001"}
root PUT token {"SecretID":"deny"}
root PUT token {"SecretID":"00000000-0000-0000-0000-000000000009"}
root PUT token {"AuthMethod":"x","Rules":"y"}
root PUT token {"Rules":"y","Policies":[{"Name":"nope"}]}
root PUT token {"Rules":"y"}
root PUT policy {"Name":"p1","Rules":"key_prefix \"a/\" { policy = \"write\" }"}            => p1:ID
root PUT policy {"Name":"p2","Rules":"acl = \"read\""}                                     => p2:ID
root PUT policy {"Name":"p3","Rules":"acl = \"write\""}                                    => p3:ID
root PUT role {"Name":"r1","Policies":[{"Name":"p1"}]}                                     => r1:ID
root PUT token {"Policies":[{"ID":"«p1»","Name":"ignored"},{"Name":"p1"},{"Name":"P2"}],"Roles":[{"Name":"r1"},{"ID":"«r1»"}]} => linked:AccessorID
root PUT token {"Policies":[{}]}
root PUT token {"Policies":[{"ID":"nope"}]}
root PUT token {"Policies":[{"ID":"GONE"}]}
root PUT token {"Roles":[{"Name":"nope"}]}
root PUT token {"Roles":[{"ID":"nope"}]}
root PUT token {"Roles":[{"ID":"GONE"}]}
root PUT token {"ServiceIdentities":[{}]}
root PUT token {"ServiceIdentities":[{"ServiceName":"Web"}],"NodeIdentities":[{}]}
root PUT token {"Local":true,"ServiceIdentities":[{"ServiceName":"Web","Datacenters":["x"]}]}
root PUT token {"ServiceIdentities":[{"ServiceName":"-web"}]}
root PUT token {"ServiceIdentities":[{"ServiceName":"z","Datacenters":["b","a","a"]},{"ServiceName":"c","Datacenters":["b"]},{"ServiceName":"c"},{"ServiceName":"d","Datacenters":["y","x"]},{"ServiceName":"d","Datacenters":["x","w"]}]}
root PUT token {"NodeIdentities":[{}]}
root PUT token {"NodeIdentities":[{"NodeName":"X"}]}
root PUT token {"NodeIdentities":[{"NodeName":"X","Datacenter":"dc 1"}]}
root PUT token {"NodeIdentities":[{"NodeName":"x","Datacenter":"dc 1"},{"NodeName":"x","Datacenter":"dc0"},{"NodeName":"x","Datacenter":"dc 1"},{"NodeName":"a","Datacenter":"dc1"}]}
root PUT token {"Description":"reads","Policies":[{"ID":"«p2»"}]}                           => reader:SecretID readerid:AccessorID
root PUT token {"Description":"writes","Policies":[{"ID":"«p3»"}]}                          => writer:SecretID writerid:AccessorID
reader GET token/«plain»
writer GET token/«plain»
reader GET tokens
reader PUT token {"Description":"no"}
reader DELETE token/«plain»
none PUT token {"AccessorID":"x"}
nobody PUT token {}
writer PUT token {"Description":"by writer"}
root PUT token/«plain» {"Description":"new","Policies":[{"Name":"p1"}]}
root PUT token/«plain» {"AccessorID":"«ends»"}
root PUT token/«plain» {"SecretID":"deny"}
root PUT token/«plain» {"SecretID":"x"}
root PUT token/«plain» {"SecretID":"«secret»","Description":"same"}
root PUT token/«plain» {"Local":true,"AuthMethod":"x","ExpirationTTL":"1h"}
root PUT token/«plain» {"AuthMethod":"x","ExpirationTTL":"1h"}
root PUT token/«plain» {"ExpirationTTL":"1h","Rules":"x","Policies":[{"Name":"nope"}]}
root PUT token/«plain» {"Rules":"x","Policies":[{"Name":"nope"}]}
root PUT token/«plain» {"Rules":"x","ServiceIdentities":[{"ServiceName":""}]}
root PUT token/«plain» {"Rules":"x"}
root PUT token/«ends» {"Description":"still ends"}
root PUT token/«ends» {"ExpirationTTL":"2h"}
root PUT token/x {}
root PUT token/316356fdcf50b5e2d3ae9e4920d3725fabcd {}
root PUT token/GONE {}
root PUT token/ {"Description":"created by an empty path"}
root PUT token/ {"AccessorID":"x"}
root PUT token/y {"AccessorID":"x"}
root PUT token/self {}
root PUT token/«linked»/clone {}
root PUT token/«linked»/clone {"Description":"copy"}
root PUT token/«linked»/clone
root PUT token/«linked»/clone {"Foo":1}
root PUT token/nope/clone {}
root PUT token/GONE/clone {}
reader PUT token/«linked»/clone {}
root GET token/«linked»/clone
root DELETE token/«linked»/clone
root PUT token//clone {}
root DELETE policy/«p1»
root GET token/«linked»
root GET role/«r1»
root DELETE role/«r1»
root GET token/«linked»
root GET tokens?policy=«p2»
root GET tokens?policy=x
root GET tokens?role=«r1»
root GET tokens?authmethod=none
root GET tokens?policy=x&role=y
root GET tokens?dc=nowhere
root GET tokens?stale
root GET tokens?index=1&wait=1s
root GET tokens?stale&consistent
root GET tokens?ns=x
root GET token/«plain»?pretty
root DELETE token/x
root DELETE token/
root DELETE token/00000000-0000-0000-0000-000000000002
root DELETE token/GONE
writer DELETE token/«writerid»
root DELETE token/«plain»
root GET token/«plain»
root PATCH token/«plain»
root PUT token/00000000-0000-0000-0000-000000000002 {"Description":"Anonymous Token","Policies":[{"Name":"p2"}]}
none GET tokens
root GET tokens
"""

POLICIES = r"""
root GET policies
root GET policies?pretty
root GET roles
root PUT policy {"Name":"a","Description":"d","Rules":"key \"\" { policy = \"read\" }","Datacenters":["x y","dc1"]} => a:ID
root PUT policy {"Name":"A"}
root PUT policy {"Name":"b"}                                                               => b:ID
root PUT policy {"ID":"x"}
root PUT policy {}
root PUT policy
root PUT policy []
root PUT policy {"Name":5}
root PUT policy {"Name":"x y"}
root PUT policy {"Name":"x","Syntax":1}
root PUT policy {"Name":"x","Datacenters":"x"}
root PUT policy {"Name":"x","Namespace":"y"}
root PUT policy {"Name":"c","Rules":"x"}
root PUT policy {"Name":"c","Rules":"key \"\" { policy = \"zz\" }"}
root PUT policy {"Name":"c","Rules":"acl = \"list\""}
root PUT policy {"Name":"","Rules":"x"}
root PUT policy {"Name":"json","Rules":"{\"key\":{\"a\":{\"policy\":\"read\"}}}","Hash":"zzz"}
root PUT policy/«a» {"Name":"a"}
root PUT policy/«a» {"Name":"b"}
root PUT policy/«a» {"Name":"renamed","Rules":"acl = \"read\""}
root PUT policy/«a» {"ID":"«b»","Name":"a"}
root PUT policy/«a» {"Name":""}
root PUT policy/«a» {"Name":"a","Rules":"x"}
root PUT policy/x {"Name":"x"}
root PUT policy/x {"ID":"x"}
root PUT policy/ {"Name":"by-empty-path"}
root PUT policy/ {"ID":"x","Name":"z"}
root PUT policy/GONE {"Name":"n"}
root PUT policy/00000000-0000-0000-0000-000000000001 {"Name":"n"}
root PUT policy/00000000-0000-0000-0000-000000000001 {"Name":"n","Rules":"acl=\"read\"","Datacenters":["x"]}
root GET policy/«a»
root GET policy/x
root GET policy/GONE
root GET policy/
root GET policy
root GET policy/name/RENAMED
root GET policy/name/nope
root GET policy/name/
root GET policy/name
root PUT policy/name/x {}
root GET policy/«a»?ns=x
none GET policy/x
none GET policies
none PUT policy {}
none DELETE policy/00000000-0000-0000-0000-000000000001
nobody GET policies
manage GET policies
root DELETE policy/x
root DELETE policy/
root DELETE policy/00000000-0000-0000-0000-000000000001
root DELETE policy/GONE
root DELETE policy/«a»
root GET policies
root PUT role {"Name":"r","Description":"d","Policies":[{"Name":"b"},{"ID":"«b»"}],"ServiceIdentities":[{"ServiceName":"web","Datacenters":["b","a"]}],"NodeIdentities":[{"NodeName":"n","Datacenter":"dc1"}]} => r:ID
root PUT role {"Name":"q"}                                                                 => q:ID
root PUT role {"Name":"R"}
root PUT role {"ID":"GONE"}
root PUT role {}
root PUT role []
root PUT role {"Name":5}
root PUT role {"Foo":5}
root PUT role {"Name":"x y","Policies":[{"Name":"nope"}]}
root PUT role {"Name":"x","Policies":[{"Name":"nope"}],"ServiceIdentities":[{}]}
root PUT role {"Name":"x","Policies":[{"ID":"nope"}]}
root PUT role {"Name":"x","Policies":[{"ID":"GONE"}]}
root PUT role {"Name":"x","ServiceIdentities":[{}]}
root PUT role {"Name":"x","ServiceIdentities":[{"ServiceName":"X"}]}
root PUT role {"Name":"x","NodeIdentities":[{}]}
root PUT role {"Name":"x","NodeIdentities":[{"NodeName":"X"}]}
root PUT role {"Name":"x","NodeIdentities":[{"NodeName":"X","Datacenter":"A"}]}
root PUT role {"Name":"x","Namespace":"y"}
root PUT role/«r» {"Name":"q"}
root PUT role/«r» {"Name":"s"}
root PUT role/«r» {"ID":"«q»","Name":"s"}
root PUT role/x {"Name":"s"}
root PUT role/GONE {"Name":"t"}
root PUT role/GONE {"Name":""}
root PUT role/ {"Name":"by-empty-path"}
root GET role/«r»
root GET role/x
root GET role/GONE
root GET role/
root GET role/name/S
root GET role/name/nope
root GET role/name/
root GET roles
root GET roles?policy=«b»
root GET roles?policy=zz
none GET roles
none GET role/x
none PUT role {}
none DELETE role/x
root DELETE role/x
root DELETE role/
root DELETE role/GONE
root DELETE role/«r»
root GET roles
"""

METHODS = r"""
root GET auth-methods
root GET binding-rules
root PUT auth-method {}
root PUT auth-method {"Name":"x y"}
root PUT auth-method {"Name":"m"}
root PUT auth-method {"Name":"m","Type":"oidc"}
root PUT auth-method {"Name":"m","Type":"zz","TokenLocality":"zz","MaxTokenTTL":"5s"}
root PUT auth-method {"Name":"m","Type":"jwt","MaxTokenTTL":"5s","TokenLocality":"zz"}
root PUT auth-method {"Name":"m","Type":"jwt","MaxTokenTTL":"-5s"}
root PUT auth-method {"Name":"m","Type":"jwt","MaxTokenTTL":"25h"}
root PUT auth-method {"Name":"m","Type":"jwt","MaxTokenTTL":"x"}
root PUT auth-method {"Name":"m","Type":"jwt","MaxTokenTTL":true}
root PUT auth-method {"Name":"m","Type":"jwt","TokenLocality":"zz"}
root PUT auth-method {"Name":"m","Type":"jwt"}
root PUT auth-method {"Name":"m","Type":"jwt","Config":5}
root PUT auth-method {"Name":"m","Type":"jwt","Config":{"Foo":1}}
root PUT auth-method {"Name":"m","Type":"kubernetes"}
root PUT auth-method {"Name":5}
root PUT auth-method {"Foo":5}
root PUT auth-method []
root PUT auth-method {"Name":"m","Namespace":"x"}
root PUT auth-method {"Name":"M1","Type":"jwt","MaxTokenTTL":"5m","DisplayName":"D","Description":"d","TokenLocality":"global","Config":{"JWTValidationPubKeys":"PEM","BoundIssuer":"i","ClaimMappings":{"name":"n"},"ClockSkewLeeway":5}}
root GET auth-method/m1
root GET auth-method/m2
root GET auth-method/
root GET auth-methods
root PUT auth-method/m1 {"Description":"no config"}
root PUT auth-method/m1 {"Name":"m2","Type":"jwt"}
root PUT auth-method/m1 {"Type":"kubernetes","Config":{"JWTValidationPubKeys":["PEM"]}}
root PUT auth-method {"Name":"m1","Config":{"JWTValidationPubKeys":["PEM"],"ClaimMappings":{"name":"n"}}}
root PUT auth-method/ {"Type":"jwt"}
root GET auth-method/M1
none GET auth-methods
none GET auth-method/m1
none PUT auth-method {}
none DELETE auth-method/m1
root PUT binding-rule {}
root PUT binding-rule {"AuthMethod":"nope"}
root PUT binding-rule {"AuthMethod":"m1"}
root PUT binding-rule {"AuthMethod":"m1","BindType":"zz","BindName":"x"}
root PUT binding-rule {"AuthMethod":"m1","BindType":"service"}
root PUT binding-rule {"AuthMethod":"m1","BindType":"service","BindName":"Bad Name"}
root PUT binding-rule {"AuthMethod":"m1","BindType":"service","BindName":"a-${value.zz}"}
root PUT binding-rule {"AuthMethod":"m1","Selector":"foo","BindType":"service","BindName":"x"}
root PUT binding-rule {"ID":"x","AuthMethod":"m1"}
root PUT binding-rule {"BindName":5}
root PUT binding-rule {"Foo":5}
root PUT binding-rule []
root PUT binding-rule {"Namespace":"x"}
root PUT binding-rule {"AuthMethod":"M1","Description":"d","Selector":"value.n==web","BindType":"service","BindName":"x-${value.n}"} => rule:ID
root PUT binding-rule/«rule» {"BindType":"node","BindName":"n"}
root PUT binding-rule/«rule» {"AuthMethod":"m1","BindType":"node","BindName":"n"}
root PUT binding-rule/x {"AuthMethod":"m1"}
root PUT binding-rule/GONE {"AuthMethod":"m1"}
root PUT binding-rule/«rule» {"ID":"GONE","AuthMethod":"m1"}
root GET binding-rule/«rule»
root GET binding-rule/GONE
root GET binding-rule/x
root GET binding-rule/
root GET binding-rules?authmethod=m1
root GET binding-rules?authmethod=zz
root GET binding-rules
none GET binding-rules
none GET binding-rule/x
none PUT binding-rule {}
none DELETE binding-rule/x
root DELETE binding-rule/x
root DELETE binding-rule/
root DELETE binding-rule/GONE
none POST login null
none POST login {}
none POST login []
none POST login
none POST login {"Foo":1}
none POST login {"Namespace":"x"}
none POST login {"AuthMethod":5}
none POST login {"AuthMethod":"m1","Meta":5}
none POST login {"AuthMethod":"nope","BearerToken":"x"}
none POST login {"AuthMethod":"m1"}
nobody POST login {"AuthMethod":"m1","BearerToken":"x"}
none POST login {"AuthMethod":"m1","BearerToken":"a.b.c"}
none POST login?dc=nowhere {"AuthMethod":"m1","BearerToken":"x"}
none GET login
root POST logout
none POST logout
nobody POST logout
root DELETE auth-method/nope
root DELETE auth-method/
root DELETE auth-method/m1
root GET binding-rules
root GET auth-methods
"""

REST = r"""
none GET replication
root GET replication?dc=nowhere
root PUT bootstrap
root PUT bootstrap?legacy=true
none PUT bootstrap?ns=x
root GET bootstrap
root POST internal/acl/authorize [{"Resource":"key","Segment":"a","Access":"Read"},{"Resource":"acl","Access":"WRITE"},{"Resource":"intention","Segment":"*","Access":"read"},{"Resource":"keyring","Access":"read"},{"Resource":"operator","Access":"write"},{"Resource":"agent","Segment":"n","Access":"write"},{"Resource":"event","Segment":"","Access":"write"},{"Resource":"node","Segment":"","Access":"read"},{"Resource":"query","Segment":"q","Access":"read"},{"Resource":"service","Segment":"q","Access":"write"},{"Resource":"session","Segment":"q","Access":"read"},{"Resource":"key","Segment":"x","Access":"list"}]
none POST internal/acl/authorize [{"Resource":"key","Segment":"a","Access":"read"},{"Resource":"key","Segment":"a","Access":"write-prefix"}]
nobody POST internal/acl/authorize [{"Resource":"key","Segment":"a","Access":"read"}]
root POST internal/acl/authorize [{"Resource":"key","Segment":"a","Access":"zz"}]
root POST internal/acl/authorize [{"Resource":"acl","Segment":"a","Access":"list"}]
root POST internal/acl/authorize [{"Resource":"Key","Segment":"a","Access":"list"}]
root POST internal/acl/authorize [{"Resource":"","Segment":"a","Access":"list"}]
root POST internal/acl/authorize [{"Resource":"session","Access":"Write-Prefix"}]
root POST internal/acl/authorize {}
root POST internal/acl/authorize
root POST internal/acl/authorize null
root POST internal/acl/authorize [null]
root POST internal/acl/authorize []
root POST internal/acl/authorize [{"Segment":5}]
root POST internal/acl/authorize [{"Foo":5}]
root POST internal/acl/authorize?dc=nowhere []
root POST internal/acl/authorize?dc=nowhere [{"Resource":"key"}]
root POST internal/acl/authorize?dc=dc1 [{"Resource":"key","Access":"read"}]
root PUT internal/acl/authorize []
root POST authorize []
root POST rules/translate key "a" { policy = "read" }
root POST rules/translate key {
root POST rules/translate
none POST rules/translate key "a" {}
nobody POST rules/translate key "a" {}
root GET rules/translate
root GET rules/translate/
root GET rules/translate/x
root GET rules/translate/GONE
root GET rules/translate/00000000-0000-0000-0000-000000000002
none GET rules/translate/x
"""

LEGACY = r"""
root GET list
none GET list
root PUT create []
root PUT create {"ID":5}
root PUT create {"Namespace":"x"}
root PUT create {"ID":"deny","Type":"zz","Rules":"x"}
root PUT create {"ID":"deny","Type":"client","Rules":"x"}
root PUT create {"Type":""}
root PUT create {"Rules":"x"}
root PUT create {"Rules":"key \"\" { policy = \"zz\" }"}
root PUT create {"Rules":"key_prefix \"\" { policy = \"zz\" } acl = \"write\"","Name":"ignored rules"}
root PUT create {"ID":"fixed","Name":"n","Rules":"key \"\" { policy = \"read\" }"}
root PUT create {"ID":"boss","Name":"b","Type":"management"}
root PUT create null
root PUT create
none PUT create {"ID":"mine"}
nobody PUT create {"ID":"mine"}
root PUT update
root PUT update {}
root PUT update {"Name":"x"}
root PUT update {"ID":"fixed","Name":"changed","CreateIndex":77}
root PUT update {"ID":"new-by-update"}
root GET info/fixed
none GET info/fixed
nobody GET info/fixed
none GET info/nope
none GET info/
none GET info/anonymous
root PUT clone/fixed
root PUT clone/nope
root PUT clone/
none PUT clone/fixed
nobody PUT clone/fixed
fixed GET kv
root PUT destroy/
root PUT destroy/anonymous
root PUT destroy/nope
none PUT destroy/fixed
root PUT destroy/new-by-update
root PUT token {"Description":"new style","SecretID":"aaaaaaaa-0000-4000-8000-000000000002"}
root PUT update {"ID":"aaaaaaaa-0000-4000-8000-000000000002"}
root PUT update {"ID":"aaaaaaaa-0000-4000-8000-000000000002","Type":"zz"}
root PUT update {"ID":"anonymous","Type":"management"}
root GET info/aaaaaaaa-0000-4000-8000-000000000002
root PUT destroy/aaaaaaaa-0000-4000-8000-000000000002
boss GET list
root GET list?pretty
root GET create
"""

BATTERIES = {"tokens": TOKENS, "policies": POLICIES, "methods": METHODS, "rest": REST, "legacy": LEGACY}


class Side:
    """One of the two agents, with what it answered earlier."""

    def __init__(self, agent):
        self.agent, self.known = agent, {"root": ROOT, "nobody": "77777777-0000-4000-8000-000000000000", "none": ""}

    def fill(self, text):
        text = text.replace("GONE", GONE).replace("PEM", PEM.replace("\n", "\\n"))
        return re.sub("«(.*?)»", lambda m: self.known[m.group(1)], text)

    def who(self, name):
        return {"plain": self.known.get("secret")}.get(name) or self.known.get(name, name)

    def ask(self, who, method, path, body):
        path = self.fill(path)
        prefix = "/v1/" if path.startswith(("internal/", "kv/", "catalog/")) else "/v1/acl/"
        headers = {"X-Consul-Token": self.who(who)} if who != "none" else {}
        return self.agent.request(method, prefix + path, self.fill(body).encode() or None, headers=headers)

    def plain(self, text):
        """Without what is random: captured IDs by their names, other UUIDs and times masked."""
        for name, value in self.known.items():
            if UUID.fullmatch(value) and name not in ("root", "nobody"):
                text = text.replace(value, "«%s»" % name)
        return TIME.sub("<time>", UUID.sub(lambda m: m.group(0) if m.group(0)[:8] in
                                           ("00000000", "99999999", "aaaaaaaa", "11111111") else "<uuid>", text))


def comparable(side, answer, path):
    shown = {k: v for k, v in answer.headers.items()
             if k in ("Content-Type", "Allow", "Location") or k.startswith("X-Consul-") and k != "X-Consul-Index"}
    shown["index"] = "X-Consul-Index" in answer.headers and (answer.headers["X-Consul-Index"] == "1")
    shown["status"] = answer.status
    shown["layout"] = answer.body[-1:] == b"\n"
    try:
        tree = json.loads(answer.text)
    except ValueError:
        shown["text"] = side.plain(re.sub(r"reset index: \d+", "reset index: N", answer.text))
        return shown

    def walk(v):
        if isinstance(v, list):
            out = [walk(x) for x in v]
            return sorted(out, key=json.dumps) if path.split("?")[0] in ("tokens", "policies", "roles", "binding-rules", "list") else out
        if not isinstance(v, dict):
            return side.plain(v) if isinstance(v, str) else v
        out = {}
        for key, value in v.items():  # in their order
            if key == "Hash" and (v.get("Policies") or v.get("Roles") or "«r1»" in path):
                value = "<of random IDs>"
            elif key == "CreateIndex":
                value = "<index>"
            elif key == "ModifyIndex":  # the upgrade of legacy tokens comes when it comes
                value = "<index>"
            elif key == "AccessorID" and v.get("CreateTime", "").startswith("0001") and v.get("SecretID") != "anonymous":
                value = "<uuid or not yet>"
            out[key] = walk(value)
        return list(out.items())
    shown["json"] = walk(tree)
    return shown


def parse(line):
    line, _, captures = line.partition("=>")
    who, method, rest = line.strip().split(" ", 2)
    path, _, body = rest.partition(" ")
    return who, method, path, body, [c.split(":") for c in captures.split()]


@pytest.fixture
def pair(agents, praetor_asan, peer):
    sides = [Side(agents(binary, name=name, config=ACL)) for binary, name in ((peer, "theirs"), (praetor_asan, "ours"))]
    for side in sides:
        side.agent.launch()
    for side in sides:
        until("the management token", lambda: answers(side.agent, "/v1/acl/token/self"))
        until("the anonymous token", lambda: answers(
            side.agent, "/v1/acl/token/00000000-0000-0000-0000-000000000002"))
    return sides


def answers(agent, path):
    try:
        return agent.get(path, headers={"X-Consul-Token": ROOT}).status == 200
    except OSError:
        return False


@pytest.mark.parametrize("name", list(BATTERIES))
def test_beside_the_peer(pair, name):
    theirs, ours = pair
    wrong = []
    for line in BATTERIES[name].strip().split("\n"):
        who, method, path, body, captures = parse(line)
        got = [side.ask(who, method, path, body) for side in pair]
        seen = [comparable(side, answer, path) for side, answer in zip(pair, got)]
        if seen[0] != seen[1]:
            wrong.append("%s\n   peer: %s\n   ours: %s" % (line, seen[0], seen[1]))
        for side, answer in zip(pair, got):
            for key, field in captures:
                side.known[key] = answer.json[field]
    assert not wrong, "%d differ\n" % len(wrong) + "\n".join(wrong)


# ---- bootstrap and its reset ----


def test_bootstrap_and_reset(agents, praetor_asan, peer):
    """The first token, once; then only with the index in the leader's file, which is used up."""
    config = {"acl": {"enabled": True, "default_policy": "deny"}}
    told = []
    for binary, name in ((peer, "theirs"), (praetor_asan, "ours")):
        agent = agents(binary, name=name, config=config)
        agent.launch()
        first = until("a bootstrap", lambda: bootstrapped(agent))
        assert list(first.json)[:3] == ["ID", "AccessorID", "SecretID"] and first.json["ID"] == first.json["SecretID"]
        seen = [(first.status, sorted(first.json))]

        def again(content=None):
            path = agent.data + "/acl-bootstrap-reset"
            if content is not None:
                with open(path, "w") as handle:
                    handle.write(content)
            answer = agent.put("/v1/acl/bootstrap")
            text = answer.text if answer.status != 200 else json.dumps(sorted(answer.json))
            seen.append((answer.status, re.sub(r"(reset index: |specified )\d+", r"\1N", text)))
            return answer
        index = int(re.search(r"reset index: (\d+)", again().text).group(1))
        again("bogus")
        again("%d\n" % (index + 1))
        again("-%d" % index)
        second = again(" %dxyz\n" % index)
        assert second.status == 200 and second.json["SecretID"] != first.json["SecretID"]
        for answer in (first, second):
            assert agent.get("/v1/acl/tokens", headers={"X-Consul-Token": answer.json["ID"]}).status == 200
        again()
        again("%d" % index)
        told.append(seen)
    assert told[0] == told[1]


def bootstrapped(agent):
    try:
        answer = agent.put("/v1/acl/bootstrap")
    except OSError:
        return None
    return answer if answer.status == 200 else None


RULES = 'node "" { policy = "read" } service "" { policy = "read" } key "open/" { policy = "read" }'


# ---- servers of both kinds ----


@pytest.mark.parametrize("kinds", ["opp", "poo"])
def test_in_a_cluster_of_both_kinds(agents, praetor_asan, peer, kinds):
    """What is made through a server of one kind is read on those of the other, whoever leads; the state is the same."""
    binary = {"o": praetor_asan, "p": peer}
    # with an old key too: ours then lets the anonymous token have rules by the old API
    cluster = Cluster(agents, [binary[k] for k in kinds], config=dict(ACL, acl_datacenter="dc1"), only_first_votes=True)
    first = cluster.servers[0]
    first.launch()
    until("the management token", lambda: answers(first, "/v1/acl/token/self"))
    first.stop()
    write_peers(first, cluster.peers())
    for server in cluster.servers:
        server.configure(dict(server.conf, retry_join=[s.ip for s in cluster.servers], retry_interval="1s"))
    for server in cluster.servers[1:] + [first]:
        server.launch()
    cluster.wait_leader()
    for server in cluster.servers:
        until("access control on %s" % server.name, lambda: answers(server, "/v1/acl/token/self"))
    root = {"X-Consul-Token": ROOT}
    made = []
    for i, server in enumerate(cluster.servers):
        made.append(objects_through(server, "n%d" % i, root))
    for server in cluster.servers:  # who leads decides; the entry is one that the peer applies alike
        done = server.put("/v1/acl/update", {"ID": "anonymous", "Type": "client", "Rules": RULES}, headers=root)
        assert done.status == (200 if kinds[0] == "o" else 500), done.text
    index = int(stats(first, root)["last_log_index"])
    for server in cluster.servers:
        until("applied", lambda: int(stats(server, root)["applied_index"]) >= index)
        for things in made:
            for path, expected in things.items():
                got = server.get(path + "?stale", headers=root)
                if "auth-method" in path:  # each wrote it anew
                    expected = dict(expected, ModifyIndex=made[-1][path]["ModifyIndex"])
                assert got.status == 200 and got.json == expected, (server.name, path, got.text)
            token = [t for p, t in things.items() if "/token/" in p][0]
            mine = server.get("/v1/acl/token/self", headers={"X-Consul-Token": token["SecretID"]})
            assert mine.json == token
    for path in ("/v1/acl/tokens", "/v1/acl/policies", "/v1/acl/roles", "/v1/acl/binding-rules", "/v1/acl/list"):
        def alike():  # the leader goes on to write: it upgrades old tokens
            got = [s.get(path + "?stale", headers=root).json for s in cluster.servers]
            return all(a == got[0] for a in got)
        until("the same %s everywhere" % path, alike)
    same_state(cluster.servers, token=ROOT)


def stats(server, headers):
    return server.get("/v1/agent/self", headers=headers).json["Stats"]["raft"]


def objects_through(server, name, root):
    """One of each, with writes that change and delete; what reads must answer from then on."""
    put = lambda path, body, status=200: checked(server.put(path, body, headers=root), status)
    policy = put("/v1/acl/policy", {"Name": "p-" + name, "Rules": 'key_prefix "%s/" { policy = "write" }' % name})
    role = put("/v1/acl/role", {"Name": "r-" + name, "Policies": [{"Name": "p-" + name}], "ServiceIdentities": [
        {"ServiceName": "web", "Datacenters": ["b", "a"]}]})
    token = put("/v1/acl/token", {"Description": name, "Policies": [{"Name": "p-" + name}], "Roles": [{"ID": role["ID"]}],
                                  "NodeIdentities": [{"NodeName": "n", "Datacenter": "dc1"}], "ExpirationTTL": "1h"})
    token = put("/v1/acl/token/" + token["AccessorID"], dict(token, Description="changed", Hash=None, ExpirationTime=None))
    gone = put("/v1/acl/token/%s/clone" % token["AccessorID"], {"Description": "copy"})
    assert server.delete("/v1/acl/token/" + gone["AccessorID"], headers=root).body.strip() == b"true"
    # all use one method: the peer's snapshots hold no more than the first (fsm.md 7)
    method = put("/v1/acl/auth-method", {"Name": "m", "Type": "jwt", "MaxTokenTTL": "5m", "Config": {
        "JWTValidationPubKeys": [PEM], "ClaimMappings": {"name": "n"}}})
    rule = put("/v1/acl/binding-rule", {"AuthMethod": "m", "BindType": "service", "BindName": "x-${value.n}"})
    old = put("/v1/acl/create", {"Name": "old-" + name, "Rules": 'key "%s" { policy = "read" }' % name})
    legacy = until("legacy token", lambda: server.get("/v1/acl/info/" + old["ID"]).json)
    assert legacy[0]["Name"] == "old-" + name
    return {"/v1/acl/policy/" + policy["ID"]: policy, "/v1/acl/role/" + role["ID"]: role,
            "/v1/acl/token/" + token["AccessorID"]: token, "/v1/acl/auth-method/m": method,
            "/v1/acl/binding-rule/" + rule["ID"]: rule}


def checked(answer, status):
    assert answer.status == status, answer.text
    return answer.json
