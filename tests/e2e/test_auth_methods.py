"""Auth methods, binding rules and logins, one after the other with ours and with the peer: the same status and the same text.
Both ask the same fakes of a key server, an OIDC provider and a Kubernetes API (identity.py); what is asked of them is in
auth_corpus.py."""

import json
import time

import pytest

from e2e import auth_corpus as corpus
from e2e.harness import PATIENCE, _address, until
from e2e.identity import Fake, Key, own_tls

ROOT = {"X-Consul-Token": "root"}
ACL = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": "root"}}}


class World:
    """Keys and fakes, for both sides."""

    def __init__(self, folder):
        address = _address()
        self.keys = {kind: Key(folder, kind) for kind in ("rsa", "prime256v1", "secp384r1", "secp521r1", "ed25519")}
        self.foreign = dict(self.keys, foreign=Key(folder, "rsa", "foreign"))
        tls, self.ca = own_tls(folder, address)
        self.fake = {"http": Fake(address), "https": Fake(address, tls)}
        self.url = self.fake["http"].url

    @property
    def now(self):
        return corpus.now()

    def close(self):
        for fake in self.fake.values():
            fake.close()


class Side:
    """One agent, and how a case is put to it. What it answers is brought down to what must be equal."""

    def __init__(self, agent):
        self.agent, self.count = agent, 0

    def method(self, config, kind="jwt", **more):
        """(its name or None, the answer)"""
        self.count += 1
        name = "m%d" % self.count
        got = self.agent.put("/v1/acl/auth-method", dict({"Name": name, "Type": kind, "Config": config}, **more), headers=ROOT, timeout=120)
        if got.status != 200:
            return None, (got.status, got.text)
        return name, (200, {k: v for k, v in got.json.items() if k not in ("CreateIndex", "ModifyIndex")})

    def rule(self, method, selector, kind, name):
        got = self.agent.put("/v1/acl/binding-rule", {"AuthMethod": method, "Selector": selector, "BindType": kind, "BindName": name},
                             headers=ROOT)
        if got.status != 200:
            return got.status, got.text
        return 200, {k: v for k, v in got.json.items() if k not in ("CreateIndex", "ModifyIndex", "ID")}

    def login(self, method, bearer):
        body = json.dumps({"AuthMethod": method, "BearerToken": bearer})
        got = self.agent.request("POST", "/v1/acl/login", body=body, timeout=120)
        if got.status != 200:
            return got.status, got.text
        token = got.json
        kept = {k: token.get(k) for k in ("Description", "Local", "AuthMethod")}
        for k in ("ServiceIdentities", "NodeIdentities"):
            kept[k] = sorted(json.dumps(item, sort_keys=True) for item in token.get(k) or [])
        kept["Roles"] = sorted(role["Name"] for role in token.get("Roles") or [])
        return 200, kept

    def configured(self, config, rules, kind="jwt"):
        name, answer = self.method(config, kind)
        assert name, answer
        for rule in rules:
            assert self.rule(name, *rule)[0] == 200, rule
        return name


def _compare(label, ours, peer, same):
    if ours != peer:
        same.append("%s\n  peer %r\n  ours %r" % (label, peer, ours))


def _passed(cases, differ):
    assert not differ, "%d of %d differ:\n%s" % (len(differ), cases, "\n".join(differ[:20]))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("identity"))
    yield world
    world.close()


@pytest.fixture
def sides(agents, praetor_asan, peer):
    """[ours, the peer's]"""
    both = [agents(praetor_asan, config=ACL, name="ours"), agents(peer, config=ACL, name="peer")]
    for agent in both:
        agent.launch()
    for agent in both:
        until("ACLs of " + agent.name, lambda: _is_ready(agent))
    return [Side(agent) for agent in both]


def _is_ready(agent):
    try:
        return agent.get("/v1/acl/auth-methods", headers=ROOT, timeout=20).status == 200
    except OSError:
        return False


def _run(sides, cases):
    """cases: (label, what is done with a side). Ours, then the peer."""
    differ, count = [], 0
    for label, act in cases:
        count += 1
        _compare(label, act(sides[0]), act(sides[1]), differ)
    return count, differ


SERVICE = [("", "service", "svc")]


def test_configs(sides, world):
    cases = [(label, lambda side, config=config: side.method(config)) for label, config in
             corpus.jwt_configs(world.keys, world.fake, world.ca)]
    cases += [("kubernetes " + label, lambda side, config=config: side.method(config, "kubernetes")) for label, config in
              corpus.kubernetes_configs(world.keys, world.ca)]
    good = {"JWTValidationPubKeys": [world.keys["rsa"].pem]}
    cases += [("type " + kind, lambda side, kind=kind: side.method(good, kind)) for kind in ("oidc", "Jwt", "")]
    count, differ = _run(sides, cases)
    assert count > 110
    _passed(count, differ)


def test_rules(sides, world):
    jwt = [side.configured(dict(corpus.MAPPED, JWTValidationPubKeys=[world.keys["rsa"].pem]), []) for side in sides]
    token = world.keys["rsa"].token({"a": 1})
    cluster = {"Host": world.fake["https"].url, "CACert": world.ca, "ServiceAccountJWT": token}
    kubernetes = [side.configured(cluster, [], "kubernetes") for side in sides]
    assert jwt[0] == jwt[1] and kubernetes[0] == kubernetes[1]
    cases = [("%s %r %r %r" % rule, lambda side, rule=rule: side.rule(jwt[0], *rule[1:])) for rule in corpus.RULES]
    for rule in (("serviceaccount.name == a", "service", "${serviceaccount.namespace}-${serviceaccount.uid}"), ("value.t == a", "service", "a"),
                 ("", "service", "${value.t}"), ("serviceaccount.x == a", "service", "a")):
        cases.append(("kubernetes %r" % (rule,), lambda side, rule=rule: side.rule(kubernetes[0], *rule)))
    _passed(*_run(sides, cases))


def _logins(sides, config, rules, bearers, kind="jwt"):
    names = [side.configured(config, rules, kind) for side in sides]
    assert names[0] == names[1]
    # Each is signed when its turn comes: some are good, or not good, for seconds.
    return _run(sides, ((label, lambda side, bearer=bearer: side.login(names[0], bearer)) for label, bearer in bearers))


def test_public_keys(sides, world):
    config = {"JWTValidationPubKeys": [key.pem for key in world.keys.values()]}
    count, differ = _logins(sides, config, SERVICE, corpus.key_tokens(world.foreign, world.now))
    assert count > 80
    more, also = _logins(sides, dict(config, BoundAudiences=["a", "b"], BoundIssuer="me"), SERVICE,
                         corpus.bound_tokens(world.foreign, world.now))
    leeways = {"ExpirationLeeway": 60 * corpus.NANOSECONDS, "NotBeforeLeeway": 60 * corpus.NANOSECONDS, "ClockSkewLeeway": -1}
    rsa, now = world.keys["rsa"], corpus.now()
    last, too = _logins(sides, dict(config, **leeways), SERVICE, [
        ("fresh", rsa.token({"iat": now})), ("old", rsa.token({"iat": now - 90})), ("early", rsa.token({"exp": now + 90})),
        ("late", rsa.token({"exp": now + 40})), ("over", rsa.token(corpus.claims(now, exp=now - 2)))])
    _passed(count + more + last, differ + also + too)


def test_mappings(sides, world):
    """What selectors select and names become, of claims of all kinds."""
    rsa, key = world.keys["rsa"], {"JWTValidationPubKeys": [world.keys["rsa"].pem]}
    rules = [(selector, "service", "s%d" % i) for i, selector in enumerate(corpus.SELECTORS)]
    count, differ = _logins(sides, dict(corpus.MAPPED, **key), rules, [
        (str(more), rsa.token(corpus.claims(world.now, **more))) for more in corpus.SELECTED])
    for kind, name in corpus.NAMES:
        more, also = _logins(sides, dict(corpus.MAPPED, **key), [("", kind, name)], [
            ("%s %s %r" % (kind, name, body), rsa.token(corpus.claims(world.now, **body))) for body in corpus.NAMED])
        count, differ = count + more, differ + also
    for claim, body in corpus.POINTERS:
        more, also = _logins(sides, dict(key, ClaimMappings={claim: "t"}), [("", "service", "${value.t}"), ("t in value", "node", "there")],
                             [("%s %r" % (claim, body), rsa.token(corpus.claims(world.now, **body)))])
        count, differ = count + more, differ + also
    rules = [("`%s` in list.t" % item, "service", "has%d" % i) for i, item in enumerate(["a", "B", "true", "7", "1", "1.5", ""])]
    rules += [("list.t is empty", "service", "empty"), ("t in list", "service", "there")]
    more, also = _logins(sides, dict(key, ListClaimMappings={"x": "t"}), rules, [
        (repr(value), rsa.token(corpus.claims(world.now, x=value))) for value in corpus.LISTS])
    _passed(count + more, differ + also)


def test_key_sets(sides, world):
    fake, keys, differ, count = world.fake["http"], world.keys, [], 0
    bearer = keys["rsa"].token(corpus.claims(world.now))

    def written(side):
        name, answer = side.method({"JWKSURL": fake.url + "/jwks"})
        if name is None:
            return answer
        side.rule(name, *SERVICE[0])
        return side.login(name, bearer)
    for label, document, kind, status in corpus.key_sets(keys):
        fake.answer("/jwks", document, status, Content_Type=kind)
        more, also = _run(sides, [(label, written)])
        count, differ = count + more, differ + also
    fake.answer("/jwks", {"keys": [keys["rsa"].jwk(kid="k1"), keys["prime256v1"].jwk(kid="k2"), keys["ed25519"].jwk(kid="k3")]})
    more, also = _logins(sides, {"JWKSURL": fake.url + "/jwks"}, SERVICE, corpus.set_tokens(world.foreign, world.now))
    _passed(count + more, differ + also)


def test_keys_change(sides, world):
    """A key that is new is fetched with the first token that it signed; the old one is gone from then on."""
    fake, old, new = world.fake["http"], world.keys["rsa"], world.foreign["foreign"]
    tokens = {name: key.token(corpus.claims(world.now), header={"kid": name}) for name, key in (("old", old), ("new", new))}
    for side in sides:
        fake.answer("/change", {"keys": [old.jwk(kid="old")]})
        name = side.configured({"JWKSURL": fake.url + "/change"}, SERVICE)
        assert side.login(name, tokens["old"])[0] == 200
        assert side.login(name, tokens["new"]) == (500, "error verifying token: failed to verify id token signature")
        fake.answer("/change", {"keys": [new.jwk(kid="new")]})
        assert side.login(name, tokens["old"])[0] == 200
        assert side.login(name, tokens["new"])[0] == 200
        assert side.login(name, tokens["old"]) == (500, "error verifying token: failed to verify id token signature")
        fake.answer("/change", "boom", 500)
        assert side.login(name, tokens["old"]) == (
            500, "error verifying token: fetching keys oidc: get keys failed: 500 Internal Server Error boom")
        assert side.login(name, tokens["new"])[0] == 200
    # Over TLS, with the certificate that is named.
    world.fake["https"].answer("/jwks", {"keys": [old.jwk(kid="old")]})
    config = {"JWKSURL": world.fake["https"].url + "/jwks", "JWKSCACert": world.ca}
    assert all(side.login(side.configured(config, SERVICE), tokens["old"])[0] == 200 for side in sides)


def test_discovery(sides, world):
    fake, differ, count = world.fake["http"], [], 0
    place, base = "/o/.well-known/openid-configuration", {"OIDCDiscoveryURL": fake.url + "/o"}
    fake.answer("/jwks", {"keys": [key.jwk(kid=kind) for kind, key in world.keys.items()]})
    bearer = world.keys["rsa"].token(corpus.claims(world.now, iss=fake.url + "/o"))

    def written(side):
        name, answer = side.method(base)
        if name is None:
            return answer
        side.rule(name, *SERVICE[0])
        return side.login(name, bearer)
    for label, document, kind, status in corpus.discoveries(fake.url):
        fake.answer(place, document, status, Content_Type=kind)
        more, also = _run(sides, [(label, written)])
        count, differ = count + more, differ + also
    fake.answer(place, {"issuer": fake.url + "/o", "jwks_uri": fake.url + "/jwks"})
    for label, bearer, config in corpus.id_tokens(world.foreign, world.now, fake.url):
        more, also = _logins(sides, dict(base, **config), [("", "service", "svc")], [(label, bearer)])
        count, differ = count + more, differ + also
    _passed(count, differ)


def test_kubernetes(sides, world):
    fake = world.fake["https"]
    token = world.keys["rsa"].token({"a": 1})
    rules = [("serviceaccount.name == Web", "service", "selected"),
             ("", "service", "${serviceaccount.namespace}-${serviceaccount.name}-${serviceaccount.uid}")]
    differ, count = [], 0
    names = [side.configured({"Host": fake.url, "CACert": world.ca, "ServiceAccountJWT": token}, rules, "kubernetes") for side in sides]
    for label, bearer, review, review_status, account, account_status in corpus.reviews(world.keys):
        fake.answer("/apis/authentication.k8s.io/v1/tokenreviews", review, review_status)
        fake.answer("/api/v1/namespaces/Ns/serviceaccounts/Web", account, account_status)
        more, also = _run(sides, [(label, lambda side: side.login(names[0], bearer))])
        count, differ = count + more, differ + also
    _passed(count, differ)
    # What both send is the same, but for who they say they are.
    asked = []
    fake.answer("/apis/authentication.k8s.io/v1/tokenreviews",
                {"status": {"authenticated": True, "user": {"username": "system:serviceaccount:Ns:Web", "uid": "u"}}}, 201)
    fake.answer("/api/v1/namespaces/Ns/serviceaccounts/Web", {"metadata": {}})
    for side in sides:
        del fake.seen[:]
        assert side.login(names[0], world.keys["ed25519"].token({"<a>": "&"}))[0] == 200
        asked.append([(method, path, {k: headers.get(k) for k in ("Authorization", "Content-Type", "Accept")}, body)
                      for method, path, headers, body in fake.seen])
    assert len(asked[0]) == 2 and asked[0] == asked[1]


def test_provider_does_not_answer(sides, world):
    """A login that waits for a provider holds up neither others nor the end of the agent."""
    import threading
    fake, released = world.fake["http"], threading.Event()
    ours, good = sides[0], world.keys["rsa"].token(corpus.claims(world.now))
    fake.answer("/slow", {"keys": [world.keys["rsa"].jwk()]})
    slow = ours.configured({"JWKSURL": fake.url + "/slow"}, SERVICE)
    quick = ours.configured({"JWTValidationPubKeys": [world.keys["rsa"].pem]}, SERVICE)
    fake.answer("/slow", lambda request: (released.wait(600), (200, {}, "{}"))[1])
    waiting = [threading.Thread(target=lambda: _silently(ours.login, slow, world.foreign["foreign"].token({}))) for _ in range(4)]
    for thread in waiting:
        thread.start()
    until("the provider was asked", lambda: fake.count("/slow") >= 5)
    for _ in range(10):
        assert ours.login(quick, good)[0] == 200
    assert all(thread.is_alive() for thread in waiting)
    began = time.monotonic()
    ours.agent.stop()
    assert time.monotonic() - began < 60  # the provider holds out for ten minutes
    released.set()
    for thread in waiting:
        thread.join(PATIENCE)


def _silently(act, *arguments):
    try:
        act(*arguments)
    except OSError:
        pass
