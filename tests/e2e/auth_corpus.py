"""What test_auth_methods.py writes and presents: configurations of auth methods, binding rules, bearer tokens. A case is
(label, ...); labels are unique. Everything is made for keys and fakes that one run shares between both sides."""

import json
import time

from e2e.identity import b64

NANOSECONDS = 10 ** 9


def claims(now, **more):
    """Claims of a token that is good now; None leaves one out."""
    found = {"iat": now, "nbf": now, "exp": now + 3600}
    found.update(more)
    return {k: v for k, v in found.items() if v is not None}


def jwt_configs(keys, fake, ca):
    """(label, Config) that are written, and refused or taken."""
    good = {"JWTValidationPubKeys": [keys["rsa"].pem]}
    bad = {"JWTValidationPubKeys": ["x"]}
    dead = "http://127.0.0.1:1"
    twice = {"a": "z", "b": "z"}
    yield "none", {}
    yield "null", None
    yield "unknown", {"Foo": 1, "Bar": 2}
    yield "two sources", dict(good, JWKSURL=dead)
    for label, value in {
            "bad": ["x"], "second bad": [keys["rsa"].pem, "x"], "single": keys["rsa"].pem, "int": 1, "bool": True, "[null]": [None],
            "null": None, "map": {"a": "b"}, "empty map": {}, "[map]": [{"a": "b"}], "[list]": [[1]], "empty text": "", "[]": [],
            "all kinds": [key.pem for key in keys.values()], "certificate": [keys["rsa"].certificate()],
            "EC certificate": [keys["prime256v1"].certificate()], "junk before": ["junk\n" + keys["rsa"].pem],
            "junk behind": [keys["rsa"].pem + "tail"], "two in one": [keys["rsa"].pem + keys["prime256v1"].pem],
            "private": [open(keys["prime256v1"].path).read()], "blank before": [" " + keys["rsa"].pem],
            "label": [keys["rsa"].pem.replace("PUBLIC KEY", "FOO")]}.items():
        yield "keys: " + label, {"JWTValidationPubKeys": value}
    yield "key in small letters", {"jwtvalidationpubkeys": [keys["rsa"].pem]}
    for value in ("10s", "10", "0x10", "1_0", "", "99999999999999999999", 1.5, 1e30, True, None, {}, [], -5):
        yield "leeway %r" % (value,), dict(good, ExpirationLeeway=value)
    yield "three leeways", dict(good, ExpirationLeeway="a", NotBeforeLeeway="b", ClockSkewLeeway="c")
    for value in (5, 5.5, True, ["a"], [], {"a": 1}):
        yield "issuer %r" % (value,), dict(good, BoundIssuer=value)
    for value in ([], [{"a": "b"}, {"c": "d"}], "a", 5, True, [1], ["x"], [None], {"a": 1}, {"a": [1]}, {"a": {}}, {"a": None}, twice,
                  {"a": [], "b": {}}):
        yield "mappings %r" % (value,), dict(good, ClaimMappings=value)
    yield "list mappings", dict(good, ListClaimMappings=twice)
    yield "both mappings", dict(good, ClaimMappings={"a": "z"}, ListClaimMappings={"b": "z"})
    yield "several problems", dict(good, ClaimMappings=5, BoundIssuer=[], Foo=1)
    yield "key twice", dict(good, boundissuer="x", BoundIssuer="y")
    for alg in ("HS256", "EdDSA", "none", "", "rs256", "ES512", "PS256"):
        yield "algorithm %r" % alg, dict(good, JWTSupportedAlgs=[alg])
    yield "order 1", dict(bad, JWKSCACert="x")
    yield "order 2", dict(bad, OIDCDiscoveryCACert="x", JWTSupportedAlgs=["x"])
    yield "order 3", dict(good, OIDCDiscoveryCACert="x", JWTSupportedAlgs=["x"], ClaimMappings=twice)
    yield "order 4", dict(good, JWTSupportedAlgs=["x"], ClaimMappings=twice)
    yield "order 5", dict(good, ClaimMappings=twice, ListClaimMappings=twice)
    yield "order 6", {"JWKSURL": dead, "OIDCDiscoveryCACert": "x", "ClaimMappings": twice}
    yield "order 7", {"OIDCDiscoveryURL": dead, "JWTSupportedAlgs": ["x"]}
    yield "order 8", {"OIDCDiscoveryURL": dead, "JWKSCACert": "x"}
    for url in (dead, dead + "/keys", "::", "foo", "ftp://x", "http://127.0.0.1:99999/", "http://a b/", fake["http"].url + "/none",
                fake["https"].url + "/none"):
        yield "key set %s" % url, {"JWKSURL": url}
    for url in (dead, dead + "/x/", "foo", fake["http"].url, fake["https"].url):
        yield "discovery %s" % url, {"OIDCDiscoveryURL": url}
    yield "trusted", {"JWKSURL": fake["https"].url + "/none", "JWKSCACert": ca}
    yield "not trusted", {"JWKSURL": fake["https"].url + "/none", "JWKSCACert": keys["rsa"].certificate()}
    yield "no certificate", {"JWKSURL": dead, "JWKSCACert": "x"}
    yield "no discovery certificate", {"OIDCDiscoveryURL": dead, "OIDCDiscoveryCACert": "x"}


def kubernetes_configs(keys, ca):
    token = keys["rsa"].token({"a": 1})
    yield "none", {}
    yield "null", None
    yield "unknown", {"Foo": 1}
    yield "host", {"Host": 1}
    yield "host list", {"Host": []}
    yield "no certificate", {"Host": "h", "CACert": "x"}
    yield "a key", {"Host": "h", "CACert": keys["rsa"].pem}
    yield "certificate", {"Host": "h", "CACert": ca}
    for bearer in ("x", "a.b.c", "e30.e30.e30", "e30.e30.", "....", "{}", token, " " + token + "\n"):
        yield "token %r" % bearer[:20], {"Host": "h", "CACert": ca, "ServiceAccountJWT": bearer}


RULES = [("selector", selector, "service", "a") for selector in (
    "value.t == Hello", "value.t is empty", "value.anything == x", "foo == bar", "value", "value.t.x == 1", "list.l == a", "list == a",
    "value == a", "value is empty", "list.l matches a", "Value.t == Hello", "value.t = Hello", "  ", "value.t == Hello and", "list.l[0] == a",
    "value[t] == a", "serviceaccount.name == a", "value.u matches `[`", "value.t in Hello", "value[\"a b\"] == 1")] + [
    ("type", "", "zz", "a"), ("no type", "", "", "a"), ("no name", "", "service", "")] + [
    ("name", "", kind, name) for kind in ("service", "node", "role") for name in (
        "a", "A", "a_b", "a-", "_a", "a b", " ", "a.b", "é", "${value.t}", "${ value.t }", "${value.q}", "${list.l}", "${value}", "${value.T}",
        "${value.t", "${", "${}", "$x", "$${x}", "${upper(value.t)}", "a-${1+2}", "${\"a\"}", "${true}", "${value[\"t\"]}", "x" * 256, "x" * 257,
        "${value.t+1}")]

MAPPED = {"ClaimMappings": {"x": "t", "y": "u"}, "ListClaimMappings": {"l": "l"}}
SELECTORS = [
    "value.t == Hello", "value.t == hello", "value.t != Hello", "ell in value.t", "value.t contains ell", "value.t matches `^H`",
    "value.t not matches `^H`", "value[\"t\"] == Hello", "value is empty", "value is not empty", "t in value", "zz in value", "value.q == a",
    "value.q != a", "q in value.q", "q not in value.q", "value.q matches `x`", "value.q not matches `x`", "list is empty", "l in list", "a in list.l",
    "a not in list.l", "list.l is empty", "list.l is not empty", "list.q is empty", "list.q is not empty", "a in list.q", "a not in list.q",
    "not a in list.l", "list[\"l\"] contains B", "value.t == Hello and value.u == 7", "value.q == 1 or value.u == 7", ""]
SELECTED = [{"x": "Hello", "y": 7, "l": ["a", "B"]}, {"x": "hello", "l": "a"}, {}, {"x": "", "l": []}, {"x": "Hello", "y": 8, "l": ["b"]}]

NAMES = [("service", "${value.t}"), ("service", "x-${value.u}-${value.t}"), ("node", "${value.t}"), ("role", "${value.t}"), ("service", "a-${1+2}")]
NAMED = [{"x": "Hello", "y": 7}, {"x": "with blank", "y": 1.9}, {"x": "", "y": -1}, {"x": True, "y": 1e300}, {"x": "\u00c4B"}, {}, {"x": []}, {"x": {}}]

POINTERS = [("x", {"x": "a"}), ("/x/y", {"x": {"y": "b"}}), ("/x/1", {"x": ["a", "b"]}), ("/x/01", {"x": ["a", "b"]}), ("/x/5", {"x": ["a"]}),
            ("/x/-1", {"x": ["a"]}), ("/x/a", {"x": "s"}), ("/a~1b/c~0d", {"a/b": {"c~d": "t"}}), ("/a~01", {"a~1": "z"}), ("/", {"": "r"}),
            ("/x//y", {"x": {"": {"y": "d"}}}), ("a/b", {"a/b": "l"}), ("x", {"X": "no"})]

LISTS = [["a", "B"], "a", "", 7, 1.5, True, {}, [], ["", "a"], ["a", 7, True, 1.5], ["a", None], ["a", {"b": 1, "c": [1e21, 1e-7, 123456789, "x"]}],
         ["a", ["b"]]]


def key_tokens(keys, now):
    """(label, bearer) for a method with all public keys, nothing bound."""
    rsa, good = keys["rsa"], claims(now)
    for kind in ("rsa", "prime256v1", "secp384r1", "secp521r1", "ed25519"):
        yield kind, keys[kind].token(good)
    for alg in ("RS384", "RS512", "PS256", "PS384", "PS512", "none", "HS256", "HS512"):
        yield alg, rsa.token(good, alg=alg)
    yield "foreign", keys["foreign"].token(good)
    yield "ES256 of P-384", keys["secp384r1"].token(good, alg="ES256")
    for header in ({"alg": None}, {"alg": "XX"}, {"alg": 1}, {"typ": 1}, {"kid": "abc"}, {"kid": 5}, {"crit": ["x"], "x": 1},
                   {"b64": False, "crit": ["b64"]}, {"b64": True, "crit": ["b64"]}, {"jwk": 5}, {"nonce": "x"}):
        yield "header %r" % header, rsa.token(good, header=header)
    token = rsa.token(good)
    head, payload, signature = token.split(".")
    for label, bearer in {
            "empty": "", "blank": " ", "x": "x", "x.y.z": "x.y.z", "two parts": head + "." + payload, "four parts": token + ".x",
            "bad header": "!" + token, "bad payload": head + "." + payload + "!." + signature, "bad signature": token + "!",
            "padding": token + "==", "blanks": " " + head + " . " + payload[:9] + "\n" + payload[9:] + "." + signature + "\n",
            "no signature": head + "." + payload + ".", "no header": "." + payload + "." + signature,
            "header x": b64(b"x") + "." + payload + "." + signature, "header []": b64(b"[]") + "." + payload + "." + signature,
            "header null": b64(b"null") + "." + payload + "." + signature,
            "header twice": b64(b'{"alg":"RS256","alg":"RS256"}') + "." + payload + "." + signature,
            "JSON": json.dumps({"payload": payload, "protected": head, "signature": signature}),
            "JSON, list": json.dumps({"payload": payload, "signatures": [{"protected": head, "signature": signature}]}),
            "JSON, unprotected": json.dumps({"payload": payload, "header": {"alg": "RS256"}, "signature": signature}),
            "JSON x": "{x", "JSON {}": "{}"}.items():
        yield label, bearer
    for raw in (b"x", b"[]", b"null", b"", b'{"exp":%d,"exp":1,"iat":1}' % (now + 9), b'{"x":{"a":1,"a":2},"iat":%d}' % now,
                b'{"EXP":1,"iat":%d}' % now, b'{"exp":1e300,"iat":%d}' % now, b'{"exp":null,"iat":%d}' % now):
        yield "payload %r" % raw.replace(str(now).encode(), b"NOW")[:30], rsa.token({}, raw_claims=raw)
    for label, body in {
            "no times": {}, "exp only": {"exp": now + 100}, "iat only": {"iat": now}, "nbf only": {"nbf": now}, "old": {"iat": now - 180},
            "too old": {"iat": now - 260}, "just expired": claims(now, exp=now - 30), "expired": claims(now, exp=now - 90),
            "soon": claims(now, nbf=now + 30), "not yet": claims(now, nbf=now + 120), "issued soon": claims(now, iat=now + 30),
            "issued later": claims(now, iat=now + 120), "exp 0": claims(now, exp=0), "all 0": claims(now, exp=0, iat=0, nbf=0),
            "exp text": claims(now, exp="x"), "exp digits": claims(now, exp=str(now + 9)), "exp fraction": claims(now, exp=now + 100.5),
            "exp true": claims(now, exp=True), "exp negative": claims(now, exp=-5), "iss 5": claims(now, iss=5), "sub 5": claims(now, sub=5),
            "jti 5": claims(now, jti=5), "aud": claims(now, aud="a"), "aud []": claims(now, aud=[]), "aud empty": claims(now, aud=""),
            "aud 5": claims(now, aud=5), "aud [5]": claims(now, aud=[5])}.items():
        yield label, rsa.token(body)


def bound_tokens(keys, now):
    """(label, bearer) for BoundAudiences a, b and BoundIssuer me."""
    for label, more in {"good": {"aud": "a", "iss": "me"}, "list": {"aud": ["z", "b"], "iss": "me"}, "other": {"aud": ["z"], "iss": "me"},
                        "no audience": {"iss": "me"}, "no issuer": {"aud": "a"}, "case": {"aud": "a", "iss": "Me"},
                        "issuer first": {"iss": "x", "exp": now - 1000}, "nbf second": {"iss": "me", "exp": now - 1000, "nbf": now + 1000},
                        "exp third": {"iss": "me", "exp": now - 1000, "aud": "z"}}.items():
        yield label, keys["rsa"].token(claims(now, **more))


def key_sets(keys):
    """(label, document, Content-Type, status) of a provider."""
    rsa, ec, ed = keys["rsa"], keys["prime256v1"], keys["ed25519"]
    good, kind = {"keys": [rsa.jwk(kid="k1"), ec.jwk(kid="k2"), ed.jwk(kid="k3")]}, "application/json"
    yield "good", good, kind, 200
    yield "text/plain", good, "text/plain", 200
    for text in ("zzz", "", "[]", "{}", "null", '{"keys":null}', '{"keys":"x"}', json.dumps(good) + "x"):
        yield "document %r" % text[:20], text, kind, 200
    yield "zzz as text", "zzz", "text/plain", 200
    yield "zzz, charset", "zzz", "application/json; charset=utf-8", 200
    for label, key in {
            "null": None, "text": "x", "{}": {}, "kty": {"kty": "XX"}, "no n": {"kty": "RSA", "e": "AQAB"}, "n base64": {"kty": "RSA", "n": "!"},
            "n 5": {"kty": "RSA", "n": 5, "e": "AQAB"}, "curve": dict(ec.jwk(), crv="P-999"), "no curve": dict(ec.jwk(), crv=""),
            "not on it": dict(ec.jwk(), x=b64(b"\1" * 32)), "short": dict(ec.jwk(), x=b64(b"\1" * 31)),
            "no y": {k: v for k, v in ec.jwk().items() if k != "y"}, "X25519": dict(ed.jwk(), crv="X25519"),
            "no x": {"kty": "OKP", "crv": "Ed25519"}, "enc": rsa.jwk(use="enc"), "other alg": rsa.jwk(alg="RS512"), "kid 5": rsa.jwk(kid=5),
            "x5c": rsa.jwk(x5c=["zz"]), "x5c 5": rsa.jwk(x5c=5), "more": rsa.jwk(foo=[1])}.items():
        yield "key " + label, {"keys": [key]}, kind, 200
    yield "500", good, kind, 500
    yield "201", good, kind, 201


def set_tokens(keys, now):
    """(label, bearer) for a method with the good key set."""
    rsa, good = keys["rsa"], claims(now)
    yield "no kid", rsa.token(good)
    for kid in ("k1", "k2", "k9"):
        yield "kid " + kid, rsa.token(good, header={"kid": kid})
    yield "EC", keys["prime256v1"].token(good, header={"kid": "k2"})
    yield "Ed25519", keys["ed25519"].token(good, header={"kid": "k3"})
    for alg in ("none", "HS256"):
        yield alg, rsa.token(good, alg=alg)
    yield "foreign", keys["foreign"].token(good)
    for bearer in ("", "x", "x.y.z", "{}"):
        yield "bearer %r" % bearer, bearer
    yield "payload x", rsa.token({}, raw_claims=b"x")
    for label, more in {"exp text": {"exp": "x"}, "iss 5": {"iss": 5}, "aud": {"aud": "x"}, "aud 5": {"aud": 5}, "expired": {"exp": now - 1000},
                        "EXP": {"EXP": now - 1000}}.items():
        yield label, rsa.token(claims(now, **more))


def discoveries(url):
    """(label, document, Content-Type, status) for the issuer url/o."""
    good, kind = {"issuer": url + "/o", "jwks_uri": url + "/jwks"}, "application/json"
    yield "good", good, kind, 200
    yield "other issuer", dict(good, issuer=url), kind, 200
    yield "no issuer", {"jwks_uri": url + "/jwks"}, kind, 200
    yield "no keys", {"issuer": url + "/o"}, kind, 200
    yield "dead keys", dict(good, jwks_uri="http://127.0.0.1:1/"), kind, 200
    yield "missing keys", dict(good, jwks_uri=url + "/none"), kind, 200
    yield "keys 5", dict(good, jwks_uri=5), kind, 200
    for text in ("zzz", "[]", "null", "", json.dumps(good) + "x"):
        yield "document %r" % text[:20], text, kind, 200
    yield "zzz as text", "zzz", "text/plain", 200
    yield "500", good, kind, 500
    yield "201", good, kind, 201


def id_tokens(keys, now, url):
    """(label, bearer, more of the Config) for the good discovery."""
    rsa, issuer = keys["rsa"], url + "/o"

    def body(**more):
        return claims(now, **{"iss": issuer, **more})
    yield "good", rsa.token(body()), {}
    yield "audience", rsa.token(body(aud="x")), {}
    yield "bound", rsa.token(body(aud="x")), {"BoundAudiences": ["x"]}
    yield "bound, other", rsa.token(body(aud="y")), {"BoundAudiences": ["x"]}
    yield "bound, none", rsa.token(body()), {"BoundAudiences": ["x"]}
    yield "issuer does not count", rsa.token(body()), {"BoundIssuer": "zz"}
    yield "ES256", keys["prime256v1"].token(body()), {}
    yield "ES256 allowed", keys["prime256v1"].token(body()), {"JWTSupportedAlgs": ["ES256", "RS384"]}
    yield "RS256 not", rsa.token(body()), {"JWTSupportedAlgs": ["ES256", "PS256"]}
    for alg in ("none", "HS256", "RS384"):
        yield alg, rsa.token(body(), alg=alg), {}
    yield "Ed25519", keys["ed25519"].token(body()), {}
    yield "foreign", keys["foreign"].token(body()), {}
    for bearer in ("x", "x.y.z", "{}", "e30.!!.e30"):
        yield "bearer %r" % bearer, bearer, {}
    head, payload, signature = rsa.token(body()).split(".")
    yield "JSON", json.dumps({"payload": payload, "protected": head, "signature": signature}), {}
    for raw in (b"x", b"[]"):
        yield "payload %r" % raw, rsa.token({}, raw_claims=raw), {}
    past = 1700000000
    for label, more in {"iss": {"iss": "no"}, "no iss": {"iss": None}, "iss 5": {"iss": 5}, "expired": {"exp": past}, "no exp": {"exp": None},
                        "exp text": {"exp": "x"}, "exp digits": {"exp": str(now + 900)}, "exp fraction": {"exp": now + 900.5},
                        "nbf soon": {"nbf": now + 20}, "nbf text": {"nbf": "x"}, "iat later": {"iat": now + 900}, "aud 5": {"aud": 5},
                        "aud [5]": {"aud": [5]}, "sources": {"_claim_names": {"a": "b"}}, "names 5": {"_claim_names": 5},
                        "at_hash 5": {"at_hash": 5}, "EXP": {"EXP": past}, "mapped": {"a": "Zed"}, "not mapped": {"a": []}}.items():
        yield label, rsa.token(body(**more)), {"ClaimMappings": {"a": "b"}} if "mapped" in label else {}
    yield "skew does not count", rsa.token(body(exp=past)), {"ClockSkewLeeway": (now - past) * 2 * NANOSECONDS}


def reviews(keys):
    """(label, bearer, review, its status, account, its status)"""
    bearer = keys["prime256v1"].token({"x": 1})

    def user(name):
        return {"status": {"authenticated": True, "user": {"username": name, "uid": "U-1"}}}
    good, account = user("system:serviceaccount:Ns:Web"), {"metadata": {"name": "Web"}}
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "nope", "reason": "Forbidden", "code": 403}
    yield "good", bearer, good, 201, account, 200
    yield "200", bearer, good, 200, account, 200
    for text in ("x", "", "x.y.z", "{}"):
        yield "bearer %r" % text, text, good, 201, account, 200
    yield "blanks", " " + bearer + "\n", good, 201, account, 200
    for code in (400, 401, 404, 409, 500, 503):
        yield "review %d" % code, bearer, good, code, account, 200
        yield "account %d" % code, bearer, good, 201, account, code
    yield "status", bearer, status, 403, account, 200
    yield "account status", bearer, good, 201, dict(status, code=404), 404
    for label, review in {"error": {"status": {"error": "boom"}}, "not": {"status": {"authenticated": False}}, "{}": {}, "zzz": "zzz",
                          "[]": "[]"}.items():
        yield "review " + label, bearer, review, 201, account, 200
    for name in ("a", "system:serviceaccount:a", "system:serviceaccount:a:b:c", "system:node:a:b", "system:serviceaccount::"):
        yield "user " + name, bearer, user(name), 201, account, 200
    for label, found in {"zzz": "zzz", "empty": "",
                         "name": {"metadata": {"annotations": {"consul.hashicorp.com/service-name": "Other"}}},
                         "empty name": {"metadata": {"annotations": {"consul.hashicorp.com/service-name": ""}}}}.items():
        yield "account " + label, bearer, good, 201, found, 200


def now():
    return int(time.time())
