"""What the ACL matrix asks (acl.md 9): every HTTP endpoint of 1.8.7 that has to do with tokens, in several variants, each with every kind
of token. Here are only the world that is asked and the requests; acl_matrix_run.py asks them.

The world knows two words: a token of kind "narrow-read" may read whatever is called "narrow", nothing that is called "other". What exists is
made before the first request and never changes while lists are read; a request that changes something has steps before and after it
(`before`, `after`; done by management) that bring the world back, and comes behind all that only read.

In paths and bodies {word} stands for an identifier that the world has remembered. What came with Connect (config entries, the certificate
authority, intentions, federation states) is asked by tests of its own.
"""

NODE = "n1"
DENY, ALLOW, LISTS = "deny", "allow", "deny-lists"
POLICIES = (DENY, ALLOW, LISTS)  # the last: with enable_key_list_policy, and only what that is about

# ---- tokens ----


def uuid(tail):
    return "aaaaaaaa-0000-4000-8000-%012x" % tail


NAMED = ("agent", "event", "key", "node", "query", "service", "session")


def everywhere(level, *more):
    rules = ['%s_prefix "" { policy = "%s"%s }' % (word, level, ' intentions = "%s"' % level if word == "service" else "") for word in NAMED]
    return "\n".join(rules + list(more))


def narrow(level):
    rules = ['%s "narrow" { policy = "%s" }' % (word, level) for word in NAMED]
    return "\n".join(rules + ['key_prefix "narrow/" { policy = "%s" }' % level])


def system(level):
    return "\n".join('%s = "%s"' % (word, level) for word in ("acl", "keyring", "operator"))


# kind: rules; None: no token is made for it.
KINDS = {
    "none": None,
    "unknown": None,
    "management": None,
    "agent-master": None,
    "read": everywhere("read"),
    "write": everywhere("write"),
    "list": 'key_prefix "" { policy = "list" }',
    "denied": everywhere("deny", system("deny")),
    "narrow-read": narrow("read"),
    "narrow-write": narrow("write"),
    "but-narrow": "\n".join([everywhere("write"), narrow("deny")]),
    "system-read": system("read"),
    "system-write": system("write"),
    "identities": None,  # a token with a service identity "narrow" and a node identity "other"
    "legacy": None,  # a client token of the legacy system that may write "narrow…"
}
SECRETS = {kind: uuid(0x100 + i) for i, kind in enumerate(KINDS)}
SECRETS.update({"none": None, "management": uuid(1), "agent-master": uuid(2)})
ACCESSORS = {kind: uuid(0x200 + i) for i, kind in enumerate(KINDS)}
FIXED = {"secret_of_temporary": uuid(0x301), "temporary": uuid(0x302), "missing": uuid(0x399), "accessor_of_read": ACCESSORS["read"],
         "secret_of_read": SECRETS["read"], "secret_of_legacy": SECRETS["legacy"], "node": NODE}

KEYS = ["MDEyMzQ1Njc4OTAxMjM0NQ==", "YWJjZGVmZ2hpamtsbW5vcA=="]  # of gossip

PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfWkVL1rQveSY72DYTPvwa3oI6FI2
MGGs16UbQFmwOBoK5VpknsQ3HkA7jI6W+0rc4Af4ek8ZeMdPqW50SJ8qAQ==
-----END PUBLIC KEY-----
"""


def configuration(policy):
    acl = {"enabled": True, "default_policy": ALLOW if policy == ALLOW else DENY, "enable_key_list_policy": policy == LISTS,
           "tokens": {"master": SECRETS["management"], "agent": SECRETS["management"], "agent_master": SECRETS["agent-master"]}}
    return {"acl": acl, "encrypt": KEYS[0], "enable_debug": False, "disable_remote_exec": True}


# ---- requests ----

class Request:
    """save: (word, field) remembered from its answer if that is 200. only: the kinds that ask it. opaque: a good answer's body is not looked at, as it has no end or is never the same.
    ignore: names that come and go in its answer. kind: who asks, of steps."""

    def __init__(self, method, path, body=None, before=(), after=(), save=None, only=None, opaque=False, ignore=(), kind="management", note=""):
        self.method, self.path, self.body, self.before, self.after = method, path, body, list(before), list(after)
        self.save, self.only, self.opaque, self.ignore, self.kind = save, only or list(KINDS), opaque, ignore, kind
        self.name = "%s %s%s" % (method, path, " " + note if note else "")


def get(path, **more):
    return Request("GET", path, **more)


def put(path, body=None, **more):
    return Request("PUT", path, body, **more)


def post(path, body=None, **more):
    return Request("POST", path, body, **more)


def delete(path, **more):
    return Request("DELETE", path, **more)


# ---- the world ----

def auth_method(name):
    return {"Name": name, "Type": "jwt", "Config": {"JWTValidationPubKeys": [PUBLIC_KEY]}}


def node(name, *services):
    """A node in the catalog with a check of its own, and services each with one."""
    yield put("/v1/catalog/register", {"Node": name, "Address": "127.0.0.9", "Check": {"Name": name + "-alive", "Status": "passing"}})
    for service in services:
        yield put("/v1/catalog/register", {
            "Node": name, "Address": "127.0.0.9", "Service": {"ID": service, "Service": service, "Tags": ["t"]},
            "Check": {"CheckID": service + "-works", "Name": "works", "Status": "passing", "ServiceID": service}})


def keys_of(name):
    return (name, name + "/a", name + "/b/c")


def local_service(name, **more):
    return dict({"Name": name, "ID": name, "Check": {"CheckID": name + "-ttl", "TTL": "1h", "Status": "passing"}}, **more)


INTENTIONS = (("narrow", "narrow"), ("narrow", "other"), ("other", "narrow"), ("other", "other"))


def intention(source, destination, **more):
    return post("/v1/connect/intentions", {"SourceName": source, "DestinationName": destination, "Action": "allow"}, **more)


def tokens():
    for kind, rules in KINDS.items():
        if rules is None:
            continue
        yield put("/v1/acl/policy", {"Name": "p-" + kind, "Rules": rules})
        yield put("/v1/acl/token", {"AccessorID": ACCESSORS[kind], "SecretID": SECRETS[kind], "Description": "token-" + kind,
                                    "Policies": [{"Name": "p-" + kind}]})
    yield put("/v1/acl/token", {"AccessorID": ACCESSORS["identities"], "SecretID": SECRETS["identities"], "Description": "token-identities",
                                "ServiceIdentities": [{"ServiceName": "narrow"}],
                                "NodeIdentities": [{"NodeName": "other", "Datacenter": "dc1"}]})
    yield put("/v1/acl/create", {"ID": SECRETS["legacy"], "Name": "token-legacy", "Type": "client",
                                 "Rules": "\n".join('%s "narrow" { policy = "write" }' % word for word in NAMED)})


AS_LEGACY = get("/v1/acl/token/self", kind="legacy", save=("accessor_of_legacy", "AccessorID"))


def world():
    yield from tokens()
    for name in ("narrow", "other"):
        yield from node(name, "narrow", "other")
        # Its ID does not tell its name.
        yield put("/v1/catalog/register", {"Node": name, "Address": "127.0.0.9", "Service": {"ID": "second", "Service": name}})
        yield put("/v1/catalog/register", {"Node": name, "Address": "127.0.0.9", "Service": {
            "ID": name + "-proxy", "Service": name + "-proxy", "Kind": "connect-proxy", "Port": 1, "Proxy": {"DestinationServiceName": name}}})
        yield put("/v1/agent/service/register", local_service(name))
        yield put("/v1/agent/check/register", {"ID": name + "-local", "Name": name + "-local", "TTL": "1h", "Status": "passing"})
        for key in keys_of(name):
            yield put("/v1/kv/" + key, "value-" + key)
        yield put("/v1/session/create", {"Node": name, "Name": name + "-session", "NodeChecks": [], "Checks": []}, save=("session_" + name, "ID"))
        yield post("/v1/query", {"Name": name, "Service": {"Service": name}}, save=("query_" + name, "ID"))
        yield post("/v1/query", {"Session": "{session_%s}" % name, "Service": {"Service": name}}, save=("unnamed_" + name, "ID"))
        yield put("/v1/event/fire/" + name)
        yield put("/v1/coordinate/update", {"Node": name, "Coord": {"Vec": [0.0] * 8, "Error": 1.5, "Adjustment": 0, "Height": 1e-05}})
        yield put("/v1/acl/policy", {"Name": "policy-" + name, "Rules": ""}, save=("policy_" + name, "ID"))
        yield put("/v1/acl/role", {"Name": "role-" + name}, save=("role_" + name, "ID"))
        yield put("/v1/acl/auth-method", auth_method("method-" + name))
        yield put("/v1/acl/binding-rule", {"AuthMethod": "method-" + name, "BindType": "service", "BindName": "bound-" + name},
                  save=("rule_" + name, "ID"))
    for source, destination in INTENTIONS:
        yield intention(source, destination, save=("%s_%s" % (source, destination), "ID"))
    yield post("/v1/query", {"Name": "query-with-token", "Service": {"Service": "narrow"}, "Token": SECRETS["read"]}, save=("query_token", "ID"))


# ---- what only reads ----

NAMES = ("narrow", "other", "missing")


def reads():
    for name in NAMES:
        for path in ("catalog/service", "catalog/connect", "catalog/node", "catalog/node-services", "catalog/gateway-services", "health/node",
                     "health/checks", "health/service", "health/connect", "health/ingress", "internal/ui/node", "agent/service", "session/node",
                     "internal/ui/gateway-services-nodes", "agent/health/service/id", "agent/health/service/name", "coordinate/node"):
            yield get("/v1/%s/%s" % (path, name))
    for path in ("catalog/nodes", "catalog/services", "internal/ui/nodes", "internal/ui/services", "agent/services", "agent/checks",
                 "session/list", "event/list", "query", "health/state/any", "health/state/passing", "health/state/bogus", "agent/members",
                 "agent/members?wan", "agent/members?segment=x", "catalog/datacenters", "coordinate/datacenters", "status/leader", "status/peers"):
        yield get("/v1/" + path)
    yield get("/v1/coordinate/nodes", ignore=(NODE,))
    for query in ("stale", "consistent", "index=1&wait=1ms", "near=_agent", "near=missing", "node-meta=a:b", "dc=missing", "pretty",
                  "filter=Node==narrow", "filter=bogus+%3D", "cached", "wait=bogus", "consistent&stale"):
        yield get("/v1/catalog/nodes?" + query)
    for query in ("dc=missing", "filter=ServiceName==narrow", "filter=Service.Service==narrow", "tag=t", "passing", "near=narrow", "cached"):
        yield get("/v1/health/service/narrow?" + query)
        yield get("/v1/catalog/service/narrow?" + query)
    for path in ("agent/services?filter=Service==narrow", "agent/services?filter=bogus", "agent/checks?filter=CheckID==x", "event/list?name=narrow",
                 "event/list?name=other", "event/list?service=narrow", "query?dc=missing", "session/list?dc=missing", "catalog/services?node-meta=a:b",
                 "agent/health/service/name/narrow?format=text", "agent/health/service/id/other?format=text", "agent/service/", "session/info/",
                 "session/node/", "catalog/node/", "catalog/service/", "health/node/", "health/service/", "health/checks/", "health/state/",
                 "internal/ui/node/", "internal/ui/services?dc=missing", "internal/ui/services?filter=Name==narrow",
                 "coordinate/node/narrow?segment=x", "coordinate/nodes?dc=missing"):
        yield get("/v1/" + path)
    for path in ("catalog/service/narrow", "catalog/connect/narrow", "catalog/node/narrow", "catalog/node-services/narrow", "health/node/narrow",
                 "health/checks/narrow", "health/state/any", "health/service/narrow", "health/connect/narrow", "internal/ui/nodes",
                 "internal/ui/services"):
        yield get("/v1/%s?filter=bogus+%%3D" % path)
    yield from reads_by_id()
    yield from reads_of_operator()


def reads_by_id():
    for name in ("narrow", "other"):
        yield get("/v1/session/info/{session_%s}" % name)
        for word in ("query", "unnamed"):
            yield get("/v1/query/{%s_%s}" % (word, name))
            yield get("/v1/query/{%s_%s}/explain" % (word, name))
            yield get("/v1/query/{%s_%s}/execute" % (word, name))
        yield get("/v1/query/%s/execute" % name)
        yield get("/v1/query/%s/explain" % name)
    for path in ("query/{query_token}", "query/{query_token}/execute", "query/missing/execute", "query/missing/explain", "query/{missing}",
                 "session/info/{missing}", "session/info/nonsense", "query/nonsense", "query/{query_narrow}?dc=missing",
                 "query/{query_narrow}/execute?near=_agent"):
        yield get("/v1/" + path)


def reads_of_operator():
    for path in ("operator/raft/configuration", "operator/raft/configuration?stale", "operator/autopilot/configuration",
                 "operator/autopilot/health", "operator/keyring", "operator/keyring?relay-factor=9", "operator/keyring?local-only=true",
                 "operator/raft/configuration?dc=missing", "agent/self", "agent/metrics?format=prometheus",
                 "snapshot", "snapshot?stale", "snapshot?dc=missing"):
        yield get("/v1/" + path)
    for path in ("agent/metrics", "agent/host", "agent/monitor"):
        yield get("/v1/" + path, opaque=True)
    yield get("/v1/agent/monitor?loglevel=bogus")
    for path in ("", "cmdline", "symbol", "heap?debug=1"):
        yield get("/debug/pprof/" + path)


def kv_reads():
    for path in ("narrow", "narrow/a", "narrow/missing", "other", "other/a", "missing", "narrow?raw", "other?raw", "narrow/?recurse", "other/?recurse",
                 "?recurse", "missing?recurse", "narrow?recurse", "narrow/?keys", "other/?keys", "?keys", "missing?keys", "?keys&separator=/",
                 "narrow?keys", "narrow/?keys&separator=/", "narrow?index=1&wait=1ms", "narrow?stale", "narrow?consistent", "narrow?dc=missing",
                 "narrow?recurse&dc=missing", "?recurse&stale", "nar?recurse", "nar?keys", "?raw"):
        yield get("/v1/kv/" + path)


def token_sources():
    """The same token given in other ways: only "read" is looked at, and nonsense."""
    for query in ("token={secret_of_read}", "token={missing}", "token=", "token=anonymous", "token=allow", "token=deny", "token=manage"):
        yield get("/v1/kv/narrow?" + query, only=("none",))
        yield get("/v1/catalog/nodes?" + query, only=("none",))
        yield get("/v1/agent/services?" + query, only=("none",))
        yield get("/v1/acl/token/self?" + query, only=("none",))
        yield put("/v1/event/fire/narrow?" + query, only=("none",))
        yield put("/v1/txn?" + query, [{"KV": {"Verb": "get", "Key": "narrow"}}], only=("none",))


def acl_reads():
    for path in ("tokens", "tokens?policy={policy_narrow}", "tokens?role={role_narrow}", "tokens?authmethod=method-narrow",
                 "tokens?policy={policy_narrow}&role={role_narrow}", "tokens?dc=missing", "token/self", "token/{accessor_of_read}", "token/{missing}",
                 "token/nonsense", "token/", "policies", "policies?dc=missing", "policy/{policy_narrow}", "policy/{missing}", "policy/nonsense", "policy/",
                 "policy/name/policy-narrow", "policy/name/missing", "policy/name/", "roles", "roles?policy={policy_narrow}", "role/{role_narrow}",
                 "role/{missing}", "role/nonsense", "role/", "role/name/role-narrow", "role/name/missing", "role/name/", "binding-rules",
                 "binding-rules?authmethod=method-narrow", "binding-rule/{rule_narrow}", "binding-rule/{missing}", "binding-rule/nonsense",
                 "binding-rule/", "auth-methods", "auth-method/method-narrow", "auth-method/missing", "auth-method/",
                 "rules/translate/{accessor_of_legacy}", "rules/translate/{accessor_of_read}", "rules/translate/{missing}",
                 "rules/translate/nonsense", "rules/translate/", "replication", "replication?dc=missing", "list", "info/{secret_of_legacy}",
                 "info/{secret_of_read}", "info/{missing}", "info/nonsense", "info/", "nonsense"):
        yield get("/v1/acl/" + path)
    for body in ('key "a" { policy = "read" }', 'key "a" {', ""):
        yield post("/v1/acl/rules/translate", body, note=repr(body))
    for kind in ("key", "service", "node", "agent", "event", "query", "session", "intention"):
        for access in ("read", "write"):
            yield post("/v1/internal/acl/authorize", [{"Resource": kind, "Segment": name, "Access": access} for name in ("narrow", "other", "")],
                       note="%s %s" % (kind, access))
    for access in ("read", "write"):
        yield post("/v1/internal/acl/authorize", [{"Resource": word, "Access": access} for word in ("acl", "operator", "keyring")],
                   note="system " + access)
    yield post("/v1/internal/acl/authorize", [{"Resource": "key", "Segment": name, "Access": access} for name in ("narrow", "narrow/", "", "other")
                                              for access in ("list", "write-prefix")], note="lists")
    for body in ([], [{"Resource": "bogus", "Access": "read"}], [{"Resource": "key", "Access": "bogus"}], [{"Resource": "acl", "Access": "list"}],
                 [{"Resource": "key", "Access": "read"}] * 65, "x", [{"Nonsense": 1}]):
        yield post("/v1/internal/acl/authorize", body, note=repr(body)[:60])
    yield get("/v1/internal/acl/authorize")


def methods():
    """Methods that an endpoint does not have: does the token or the method come first?"""
    for method, path in (("POST", "catalog/nodes"), ("GET", "catalog/register"), ("PUT", "kv/narrow?recurse&keys"), ("POST", "kv/narrow"),
                         ("GET", "txn"), ("GET", "event/fire/narrow"), ("POST", "session/list"), ("GET", "session/create"), ("POST", "agent/self"),
                         ("GET", "agent/leave"), ("GET", "agent/reload"), ("GET", "agent/join/x"), ("GET", "acl/bootstrap"), ("POST", "acl/tokens"),
                         ("GET", "acl/create"), ("GET", "acl/login"), ("POST", "operator/keyring/x"), ("POST", "operator/raft/configuration"),
                         ("GET", "operator/raft/peer"), ("POST", "snapshot"), ("DELETE", "status/leader"), ("PATCH", "acl/token/{accessor_of_read}"),
                         ("DELETE", "catalog/nodes"), ("OPTIONS", "kv/narrow"), ("HEAD", "kv/narrow"), ("HEAD", "kv/other"), ("HEAD", "catalog/nodes"),
                         ("OPTIONS", "agent/self"), ("OPTIONS", "acl/tokens"), ("GET", "nonsense"), ("PUT", "acl/tokens")):
        yield Request(method, "/v1/" + path)


# ---- what changes something ----

def kv_writes():
    for name in ("narrow", "other", "missing"):
        key = "/v1/kv/%s/temporary" % name
        gone, there = delete(key), put(key, "1")
        yield put(key, "1", after=[gone])
        yield put(key + "?cas=0", "1", after=[gone])
        yield put(key + "?cas=1", "1", before=[there], after=[gone])
        yield put(key + "?acquire={session_narrow}", "1", after=[gone])
        yield put(key + "?release={session_narrow}", "1", after=[gone])
        yield put(key + "?acquire={missing}", "1")
        yield put(key + "?flags=bogus", "1")
        yield delete(key, before=[there])
        yield delete(key + "?cas=1", before=[there], after=[gone])
        yield delete("/v1/kv/%s/temporary/?recurse" % name, before=[put(key + "/x", "1")])
        yield delete("/v1/kv/%s/temporary/missing" % name)
    everything = [put("/v1/kv/" + key, "value-" + key) for name in ("narrow", "other") for key in keys_of(name)]
    for path in ("nar?recurse", "other/?recurse", "?recurse"):
        yield delete("/v1/kv/" + path, after=everything)
    yield put("/v1/kv/", "1")
    yield put("/v1/kv/narrow/temporary?dc=missing", "1")


def sessions():
    for name in ("narrow", "other"):
        made = put("/v1/session/create", {"Node": name, "Name": "temporary", "NodeChecks": [], "Checks": [], "TTL": "1h"}, save=("made", "ID"))
        yield put("/v1/session/create", made.body, after=[put("/v1/session/destroy/{made}")], save=("made", "ID"), note=name)
        yield put("/v1/session/renew/{session_%s}" % name)
        yield put("/v1/session/destroy/{made}", before=[made], after=[put("/v1/session/destroy/{made}")], note=name)
    yield put("/v1/session/create", None, after=[put("/v1/session/destroy/{made}")], save=("made", "ID"), note="here")
    yield put("/v1/session/create", {"Node": "missing"}, note="missing")
    yield put("/v1/session/create", "{", note="bad")
    yield put("/v1/session/create?dc=missing", {"Node": "narrow"})
    for path in ("renew/{missing}", "destroy/{missing}", "renew/nonsense", "destroy/nonsense", "renew/", "destroy/"):
        yield put("/v1/session/" + path)


def queries():
    for name in ("narrow", "other", ""):
        gone = delete("/v1/query/{made}")
        body = {"Name": name + "-temporary" if name else "", "Session": "" if name else "{session_narrow}", "Service": {"Service": "narrow"}}
        if name == "narrow":
            body["Name"] = name  # refused for who may, as the name is taken
        made = post("/v1/query", dict(body, Name=name + "-2" if name else ""), save=("made", "ID"))
        yield post("/v1/query", body, save=("made", "ID"), after=[gone], note=name)
        yield put("/v1/query/{made}", dict(body, Name=name + "-3" if name else ""), before=[made], after=[gone], note=name)
        yield put("/v1/query/{made}", dict(body, Name="narrow-4"), before=[made], after=[gone], note=name + " to another name")
        yield delete("/v1/query/{made}", before=[made], after=[gone], note=name)
    whole = {"ID": "{query_narrow}", "Name": "narrow", "Service": {"Service": "narrow"}}
    yield put("/v1/query/{query_narrow}", whole)
    yield put("/v1/query/{query_narrow}", dict(whole, Token="<hidden>"), note="hidden")
    yield put("/v1/query/{missing}", dict(whole, ID="", Name="x"))
    yield post("/v1/query", {"Name": "", "Template": {"Type": "name_prefix_match"}, "Service": {"Service": "${name.full}"}}, save=("made", "ID"),
               after=[delete("/v1/query/{made}")], note="template")
    yield post("/v1/query", {"Name": "narrow-x"}, note="no service")
    yield post("/v1/query", {"Name": "x", "Service": {"Service": "y"}, "Session": "{missing}"}, note="no session")
    yield post("/v1/query", "{", note="bad")
    yield post("/v1/query?dc=missing", {"Name": "narrow-x", "Service": {"Service": "y"}})
    yield delete("/v1/query/{missing}")
    yield delete("/v1/query/nonsense")


def events():
    for name in ("narrow", "other"):
        yield put("/v1/event/fire/" + name, "payload")
        yield put("/v1/event/fire/%s?node=narrow&service=x" % name)
    yield put("/v1/event/fire/")
    yield put("/v1/event/fire/narrow?node=(")
    yield put("/v1/event/fire/narrow?dc=missing")


def transactions():
    def one(kind, **fields):
        return [{kind: fields}]

    for name in ("narrow", "other"):
        key = name + "/temporary"
        gone, there = delete("/v1/kv/" + key), put("/v1/kv/" + key, "1")
        for verb in ("set", "cas", "lock", "unlock", "get", "get-tree", "delete", "delete-tree", "delete-cas", "check-index", "check-session",
                     "check-not-exists", "bogus"):
            more = {"Value": "MQ=="} if verb in ("set", "cas", "lock") else {}
            if verb in ("lock", "unlock", "check-session"):
                more["Session"] = "{session_%s}" % name
            yield put("/v1/txn", one("KV", Verb=verb, Key=key, **more), before=[there], after=[gone], note="kv %s %s" % (verb, name))
        yield put("/v1/txn", [{"KV": {"Verb": "set", "Key": "narrow/temporary", "Value": "MQ=="}}, {"KV": {"Verb": "get", "Key": name}}],
                  after=[delete("/v1/kv/narrow/temporary")], note="set and get " + name)
        yield put("/v1/txn", [{"KV": {"Verb": "get", "Key": name}}, {"KV": {"Verb": "get", "Key": "narrow"}}], note="two gets " + name)
        for what in ("Node", "Service", "Check"):
            yield from transactions_of_catalog(what, name)
    yield put("/v1/txn", [{"KV": {"Verb": "get-tree", "Key": ""}}], note="whole tree")
    yield put("/v1/txn", [], note="nothing")
    yield put("/v1/txn", "{", note="bad")
    yield put("/v1/txn?dc=missing", [{"KV": {"Verb": "get", "Key": "narrow"}}])
    yield put("/v1/txn", [{"KV": {"Verb": "set", "Key": "narrow/temporary", "Value": "MQ=="}}, {"KV": {"Verb": "check-not-exists", "Key": "narrow"}}],
              note="undone")


def transactions_of_catalog(what, name):
    # A temporary node, service or check of that name: nothing else than it changes.
    bodies = {"Node": {"Node": name + "-temporary", "Address": "127.0.0.8"},
              "Service": {"ID": "temporary", "Service": name, "Port": 1},
              "Check": {"Node": name, "CheckID": "temporary", "Name": "temporary", "Status": "passing"}}
    undo = [put("/v1/catalog/deregister", {"Node": name + "-temporary"}),
            put("/v1/catalog/deregister", {"Node": name, "ServiceID": "temporary"}),
            put("/v1/catalog/deregister", {"Node": name, "CheckID": "temporary"})]
    for verb in ("get", "set", "cas", "delete", "delete-cas"):
        operation = {"Verb": verb, what: bodies[what]}
        if what == "Service":
            operation["Node"] = name
        yield put("/v1/txn", [{what: operation}], after=undo, note="%s %s %s" % (what.lower(), verb, name))
        if what == "Check":
            owned = dict(bodies[what], ServiceID=name, ServiceName=name)
            yield put("/v1/txn", [{what: {"Verb": verb, what: owned}}], after=undo, note="check of service %s %s" % (verb, name))
    there = {"Node": {"Node": name}, "Service": {"ID": name, "Service": name}, "Check": {"Node": name, "CheckID": name + "-works"}}[what]
    operation = {"Verb": "get", what: there}
    if what == "Service":
        operation["Node"] = name
    yield put("/v1/txn", [{what: operation}], note="%s get existing %s" % (what.lower(), name))


def intentions():
    base = "/v1/connect/intentions"
    for path in ("", "?dc=missing", "?filter=SourceName==narrow", "?filter=bogus+%3D", "/{missing}", "/nonsense", "/", "/match", "/match?by=x",
                 "/match?by=source", "/match?by=source&name=", "/match?by=source&name=narrow&name=other", "/match?by=destination&name=*",
                 "/match?by=source&name=narrow&dc=missing", "/check", "/check?source=narrow&destination=",
                 "/check?source=x&destination=narrow&source-type=bogus", "/check?source=x&destination=narrow&dc=missing"):
        yield get(base + path)
    for source, destination in INTENTIONS:
        yield get("%s/{%s_%s}" % (base, source, destination))
        yield get("%s/check?source=%s&destination=%s" % (base, source, destination))
    for name in ("narrow", "other", "missing"):
        yield get("%s/match?by=source&name=%s" % (base, name))
        yield get("%s/match?by=destination&name=%s" % (base, name))
        yield get("%s/check?source=x&destination=%s" % (base, name))
    gone = delete(base + "/{made}")
    for name in ("narrow", "other", "*"):
        body = {"SourceName": "x", "DestinationName": name, "Action": "deny"}
        made = post(base, body, save=("made", "ID"))
        yield post(base, body, save=("made", "ID"), after=[gone], note=name)
        yield put(base + "/{made}", dict(body, Action="allow"), before=[made], after=[gone], note=name)
        yield put(base + "/{made}", dict(body, DestinationName="narrow-2"), before=[made], after=[gone], note=name + " to narrow-2")
        yield put(base + "/{made}", dict(body, Action="bogus"), before=[made], after=[gone], note=name + " bogus")
        yield delete(base + "/{made}", before=[made], after=[gone], note=name)
        yield put(base + "/{missing}", body, note=name)
        yield put(base + "/nonsense", body, note=name)
        yield post(base, dict(body, ID="x"), note=name + " with an ID")
        yield post(base, dict(body, SourceName=""), note=name + " from nowhere")
    for source, destination in INTENTIONS:
        yield intention(source, destination, note="%s %s again" % (source, destination))
    yield post(base, {}, note="empty")
    yield post(base, "{", note="bad")
    yield put(base + "/{missing}", "{", note="bad")
    yield post(base + "?dc=missing", {"SourceName": "x", "DestinationName": "narrow", "Action": "deny"})
    for path in ("{missing}", "nonsense", ""):
        yield delete(base + "/" + path)


def registrations():
    for name in ("narrow", "other"):
        home = {"Node": name, "Address": "127.0.0.9"}
        undo = [put("/v1/catalog/deregister", {"Node": name, "ServiceID": "temporary"}),
                put("/v1/catalog/deregister", {"Node": name, "CheckID": "temporary"}),
                put("/v1/catalog/deregister", {"Node": "temporary"}),
                put("/v1/catalog/register", home)]
        service = {"ID": "temporary", "Service": name}
        bodies = {
            "same": home, "new address": dict(home, Address="127.0.0.7"), "new node": {"Node": "temporary", "Address": "127.0.0.7"},
            "service": dict(home, Service=service), "service, node not updated": dict(home, Service=service, Address="1.1.1.1", SkipNodeUpdate=True),
            "service on new node": {"Node": "temporary", "Address": "127.0.0.7", "Service": service},
            "rename": dict(home, Service={"ID": name, "Service": "else"}), "consul": dict(home, Service={"ID": "temporary", "Service": "consul"}),
            "proxy": dict(home, Service={"ID": "temporary", "Service": name, "Kind": "connect-proxy", "Port": 1,
                                         "Proxy": {"DestinationServiceName": "other"}}),
            "node check": dict(home, Check={"CheckID": "temporary", "Name": "x"}),
            "service check": dict(home, Check={"CheckID": "temporary", "Name": "x", "ServiceID": name}),
            "check of missing service": dict(home, Check={"CheckID": "temporary", "Name": "x", "ServiceID": "missing"}),
            "both": dict(home, Service=service, Check={"CheckID": "temporary", "Name": "x", "ServiceID": "temporary"}),
            "check elsewhere": dict(home, Check={"Node": "missing", "CheckID": "temporary", "Name": "x"}),
        }
        for note, body in bodies.items():
            again = [put("/v1/catalog/register", dict(home, Service={"ID": name, "Service": name, "Tags": ["t"]}))] if note == "rename" else []
            yield put("/v1/catalog/register", body, after=undo + again, note="%s %s" % (note, name))
        there = [put("/v1/catalog/register", bodies["both"])]
        yield put("/v1/catalog/deregister", {"Node": name, "ServiceID": "temporary"}, before=there, after=undo, note="service " + name)
        yield put("/v1/catalog/deregister", {"Node": name, "CheckID": "temporary"}, before=there, after=undo, note="service check " + name)
        yield put("/v1/catalog/deregister", {"Node": name, "CheckID": "temporary"}, before=[put("/v1/catalog/register", bodies["node check"])],
                  after=undo, note="node check " + name)
        yield put("/v1/catalog/deregister", {"Node": name, "ServiceID": "missing"}, note="missing service " + name)
        yield put("/v1/catalog/deregister", {"Node": name, "CheckID": "missing"}, note="missing check " + name)
    yield put("/v1/catalog/deregister", {"Node": "missing"}, note="missing node")
    yield put("/v1/catalog/deregister", {"Node": "temporary"}, before=[put("/v1/catalog/register", {"Node": "temporary", "Address": "1.1.1.1"})],
              after=[put("/v1/catalog/deregister", {"Node": "temporary"})], note="node")
    yield put("/v1/catalog/register", {"Node": "narrow"}, note="no address")
    yield put("/v1/catalog/register", "{", note="bad")
    yield put("/v1/catalog/register", {"Node": "narrow", "Address": "127.0.0.9", "Datacenter": "missing"}, note="elsewhere")
    for name in NAMES:
        yield put("/v1/coordinate/update", {"Node": name, "Coord": {"Vec": [0.0] * 8, "Error": 1.5, "Adjustment": 0, "Height": 1e-05}}, note=name)
    yield put("/v1/coordinate/update", "{", note="bad")


def local():
    for name in ("narrow", "other"):
        undo = [put("/v1/agent/service/deregister/temporary")]
        service = {"ID": "temporary", "Name": name}
        there = put("/v1/agent/service/register", dict(service, Check={"CheckID": "temporary-ttl", "TTL": "1h"}))
        yield put("/v1/agent/service/register", service, after=undo, note=name)
        yield put("/v1/agent/service/register", {"ID": "temporary", "Name": "else"}, before=[there], after=undo, note="rename " + name)
        yield put("/v1/agent/service/register", {"ID": "temporary", "Name": name, "Kind": "connect-proxy", "Port": 1,
                                                 "Proxy": {"DestinationServiceName": "other"}}, after=undo, note="proxy " + name)
        yield put("/v1/agent/service/register", {"ID": "temporary", "Name": name, "Token": "{missing}"}, after=undo, note="with token " + name)
        yield put("/v1/agent/service/deregister/temporary", before=[there], after=undo, note=name)
        yield put("/v1/agent/service/maintenance/temporary?enable=true", before=[there], after=undo, note=name)
        yield put("/v1/agent/service/maintenance/%s?enable=false" % name)
        check = {"ID": "temporary", "Name": "temporary", "TTL": "1h", "ServiceID": name}
        gone = put("/v1/agent/check/deregister/temporary")
        made = put("/v1/agent/check/register", check)
        yield put("/v1/agent/check/register", check, after=[gone], note=name)
        yield put("/v1/agent/check/register", dict(check, ServiceID=""), before=[made], after=[gone], note="service check to node check " + name)
        yield put("/v1/agent/check/deregister/temporary", before=[made], after=[gone], note=name)
        for verb in ("pass", "warn", "fail"):
            yield put("/v1/agent/check/%s/temporary?note=x" % verb, before=[made], after=[gone], note=name)
        yield put("/v1/agent/check/update/temporary", {"Status": "passing"}, before=[made], after=[gone], note=name)
        yield put("/v1/agent/check/update/temporary", {"Status": "bogus"}, before=[made], after=[gone], note="bad " + name)
    node_check = {"ID": "temporary", "Name": "temporary", "TTL": "1h"}
    gone = put("/v1/agent/check/deregister/temporary")
    yield put("/v1/agent/check/register", node_check, after=[gone], note="node")
    yield put("/v1/agent/check/pass/temporary", before=[put("/v1/agent/check/register", node_check)], after=[gone], note="node")
    yield put("/v1/agent/check/deregister/temporary", before=[put("/v1/agent/check/register", node_check)],
              after=[gone], note="node")
    yield put("/v1/agent/check/register", dict(node_check, ServiceID="missing"), note="missing service")
    yield put("/v1/agent/check/register", {"Name": ""}, note="no name")
    yield put("/v1/agent/check/register", "{", note="bad")
    yield put("/v1/agent/service/register", {"Name": ""}, note="no name")
    yield put("/v1/agent/service/register", "{", note="bad")
    for path in ("service/deregister/missing", "service/maintenance/missing?enable=true", "service/maintenance/narrow", "check/deregister/missing",
                 "check/pass/missing", "check/warn/missing", "check/fail/missing", "service/deregister/", "check/pass/", "maintenance",
                 "maintenance?enable=bogus", "force-leave/missing", "force-leave/missing?prune", "force-leave/"):
        yield put("/v1/agent/" + path)
    yield put("/v1/agent/check/update/missing", {"Status": "passing"})
    yield put("/v1/agent/maintenance?enable=true", after=[put("/v1/agent/maintenance?enable=false")])
    yield put("/v1/agent/maintenance?enable=false")


# Who may never do what agent:write is for, whatever the default.
HARMLESS = ("unknown", "denied")
HARMLESS_BY_DENY = HARMLESS + ("none", "read", "narrow-read", "narrow-write", "list", "system-read", "system-write", "identities", "legacy")


def agent_itself(policy):
    harmless = HARMLESS if policy == ALLOW else HARMLESS_BY_DENY
    yield put("/v1/agent/leave", only=harmless)
    yield put("/v1/agent/reload", only=harmless)
    yield put("/v1/agent/join/127.255.255.254", only=harmless)
    yield put("/v1/agent/join/127.255.255.254?wan", only=harmless)
    for name in ("default", "acl_token"):
        yield put("/v1/agent/token/" + name, {"Token": ""})
    for name in ("agent", "acl_agent_token"):
        yield put("/v1/agent/token/" + name, {"Token": SECRETS["management"]})
    for name in ("agent_master", "acl_agent_master_token"):
        yield put("/v1/agent/token/" + name, {"Token": SECRETS["agent-master"]})
    for name in ("replication", "acl_replication_token"):
        yield put("/v1/agent/token/" + name, {"Token": ""})
    yield put("/v1/agent/token/nonsense", {"Token": ""})
    yield put("/v1/agent/token/", {"Token": ""})
    yield put("/v1/agent/token/default", "{", note="bad")


def operator():
    yield delete("/v1/operator/raft/peer?address=127.0.0.1:1")
    yield delete("/v1/operator/raft/peer?id={missing}")
    yield delete("/v1/operator/raft/peer")
    yield delete("/v1/operator/raft/peer?id=x&address=y")
    yield put("/v1/operator/autopilot/configuration", {"CleanupDeadServers": True, "LastContactThreshold": "200ms", "MaxTrailingLogs": 250,
                                                       "ServerStabilizationTime": "10s"})
    yield put("/v1/operator/autopilot/configuration?cas=1", {"CleanupDeadServers": True})
    yield put("/v1/operator/autopilot/configuration", "{", note="bad")
    first, second = ({"Key": key} for key in KEYS)
    remove = Request("DELETE", "/v1/operator/keyring", second)
    yield post("/v1/operator/keyring", second, after=[remove])
    yield put("/v1/operator/keyring", second, before=[post("/v1/operator/keyring", second)], after=[put("/v1/operator/keyring", first), remove])
    yield Request("DELETE", "/v1/operator/keyring", second, before=[post("/v1/operator/keyring", second)],
                  after=[remove])
    yield post("/v1/operator/keyring", {"Key": "bad"}, note="bad key")
    yield post("/v1/operator/keyring", "{", note="bad")
    yield put("/v1/snapshot", "nonsense")
    yield put("/v1/snapshot?dc=missing", "nonsense")


def acl_writes():
    body = {"AccessorID": "{temporary}", "SecretID": "{secret_of_temporary}", "Description": "temporary"}
    gone = delete("/v1/acl/token/{temporary}")
    made = put("/v1/acl/token", body)
    yield put("/v1/acl/token", body, after=[gone])
    yield put("/v1/acl/token", {"Policies": [{"Name": "missing"}]}, note="missing policy")
    yield put("/v1/acl/token", {"Nonsense": 1}, note="unknown field")
    yield put("/v1/acl/token", "{", note="bad")
    yield put("/v1/acl/token/{temporary}", dict(body, Description="other"), before=[made], after=[gone])
    yield put("/v1/acl/token/{missing}", {"Description": "x"})
    yield put("/v1/acl/token/{missing}", {"AccessorID": "{temporary}"}, note="mismatch")
    yield delete("/v1/acl/token/{temporary}", before=[made], after=[gone])
    yield delete("/v1/acl/token/{missing}")
    yield delete("/v1/acl/token/nonsense")
    yield delete("/v1/acl/token/")
    yield delete("/v1/acl/token/00000000-0000-0000-0000-000000000002")
    yield put("/v1/acl/token/{accessor_of_read}/clone", {"Description": "clone"}, save=("made", "AccessorID"), after=[delete("/v1/acl/token/{made}")])
    yield put("/v1/acl/token/{accessor_of_read}/clone", None, note="no body")
    yield put("/v1/acl/token/{missing}/clone", {})
    for word, field, path, fresh in (("policy", "Name", "policy", {"Name": "temporary", "Rules": ""}), ("role", "Name", "role", {"Name": "temporary"}),
                                     ("rule", "AuthMethod", "binding-rule", {"AuthMethod": "method-other", "BindType": "role", "BindName": "x"})):
        url = "/v1/acl/" + path
        gone, made = delete(url + "/{made}"), put(url, fresh, save=("made", "ID"))
        yield put(url, fresh, save=("made", "ID"), after=[gone])
        yield put(url, {}, note="empty")
        yield put(url, "{", note="bad")
        yield put(url + "/{made}", dict(fresh, Description="x"), before=[made], after=[gone])
        yield put(url + "/{missing}", dict(fresh, **{field: "x"}))
        yield put(url + "/nonsense", dict(fresh, **{field: "x"}))
        yield put(url + "/{missing}", dict(fresh, ID="{temporary}"), note="mismatch")
        yield delete(url + "/{made}", before=[made], after=[gone])
        yield delete(url + "/{missing}")
        yield delete(url + "/nonsense")
        yield delete(url + "/")
    yield put("/v1/acl/policy", {"Name": "bad", "Rules": "key {"}, note="bad rules")
    yield delete("/v1/acl/policy/00000000-0000-0000-0000-000000000001")
    gone, made = delete("/v1/acl/auth-method/temporary"), put("/v1/acl/auth-method", auth_method("temporary"))
    yield put("/v1/acl/auth-method", auth_method("temporary"), after=[gone])
    yield put("/v1/acl/auth-method", {"Name": "x", "Type": "nonsense"}, note="type")
    yield put("/v1/acl/auth-method", "{", note="bad")
    yield put("/v1/acl/auth-method/temporary", dict(auth_method("temporary"), Description="x"), before=[made], after=[gone])
    yield put("/v1/acl/auth-method/missing", {"Name": "other"}, note="mismatch")
    yield delete("/v1/acl/auth-method/temporary", before=[made], after=[gone])
    yield delete("/v1/acl/auth-method/missing")
    yield delete("/v1/acl/auth-method/")
    yield from logins()
    yield from legacy_writes()


def logins():
    yield put("/v1/acl/bootstrap")
    yield post("/v1/acl/login", {"AuthMethod": "missing", "BearerToken": "x"}, note="missing")
    yield post("/v1/acl/login", {"AuthMethod": "method-narrow", "BearerToken": "x"}, note="bad")
    yield post("/v1/acl/login", {"AuthMethod": "method-narrow"}, note="no bearer")
    yield post("/v1/acl/login", "{", note="unreadable")
    yield post("/v1/acl/login?dc=missing", {"AuthMethod": "missing", "BearerToken": "x"})
    yield post("/v1/acl/logout")
    yield post("/v1/acl/logout?dc=missing")


def legacy_writes():
    gone = put("/v1/acl/destroy/{secret_of_temporary}")
    made = put("/v1/acl/create", {"ID": "{secret_of_temporary}", "Name": "temporary"})
    for verb in ("create", "update"):
        yield put("/v1/acl/" + verb, {"ID": "{secret_of_temporary}", "Name": "temporary", "Rules": 'key "a" { policy = "read" }'}, after=[gone])
        yield put("/v1/acl/" + verb, {"ID": "{secret_of_temporary}", "Rules": "key {"}, note="bad rules")
        yield put("/v1/acl/" + verb, {"ID": "{secret_of_temporary}", "Type": "nonsense"}, note="type")
        yield put("/v1/acl/" + verb, {"ID": "{secret_of_read}", "Name": "x"}, note="not legacy")
        yield put("/v1/acl/" + verb, {"ID": "allow"}, note="root")
        yield put("/v1/acl/" + verb, "{", note="bad")
    yield put("/v1/acl/update", {"Name": "x"}, note="no ID")
    yield put("/v1/acl/destroy/{secret_of_temporary}", before=[made], after=[gone])
    yield put("/v1/acl/destroy/{missing}")
    yield put("/v1/acl/destroy/anonymous")
    yield put("/v1/acl/destroy/")
    yield put("/v1/acl/clone/{secret_of_legacy}", save=("made", "ID"), after=[put("/v1/acl/destroy/{made}")])
    yield put("/v1/acl/clone/{missing}")
    yield put("/v1/acl/clone/")


def requests(policy):
    """All of one policy, in order; names are unique."""
    if policy == LISTS:
        groups = [kv_reads()]
    else:
        groups = [reads(), kv_reads(), acl_reads(), token_sources(), methods(), kv_writes(), sessions(), queries(), events(), transactions(),
                  intentions(), registrations(), local(), agent_itself(policy), operator(), acl_writes()]
    out = [request for group in groups for request in group]
    names = [request.name for request in out]
    assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
    return out
