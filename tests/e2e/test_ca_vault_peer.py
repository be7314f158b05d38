"""The certificate authority on Vault (connect.md 3.11), against a stand-in (vault.py): an agent of ours and one of the peer's, each
with a Vault of its own, must ask the same in the same order and say the same of what is wrong; where ours is meant to be better, the
test says so."""

import json
import os
import re

from e2e.certificates import Authority
from e2e.harness import until
from e2e.mesh_authority import (CONFIGURATION, DENIED, INTER, LEAF, LOOKUP, PEM, ROOT, active, answer, configure, leaf, mesh,
                                on_vault, quiet, roots_of, shown)
from e2e.vault import tls_context


# ---- the same requests ----

def plain(body):
    """A body without what is random in it."""
    if body is None:
        return None
    out = dict(body)
    for key, value in body.items():
        if key == "csr":
            assert value.startswith("-----BEGIN CERTIFICATE REQUEST-----")
            out[key] = "CSR"
        elif key == "certificate":
            out[key] = "%d certificates" % len(PEM.findall(value))
        elif key == "common_name":
            assert re.fullmatch(r"(pri|sec)-[a-z0-9]{1,8}\.vault\.ca\.[0-9a-f]{8}\.consul", value), value
            out[key] = value[:3]
        elif key == "uri_sans":
            assert re.fullmatch(r"spiffe://[0-9a-f-]{36}\.consul", value), value
            out[key] = "URI"
    return json.dumps(out, sort_keys=True)


def requests(vault, since, end):
    """What was asked: without renewals of the token, whose place is chance, and without the same reading again at once."""
    out = []
    for method, path, body, headers in vault.seen[since:end]:
        assert headers["X-Vault-Token"] == vault.token and headers["X-Vault-Request"] == "true"
        assert "Content-Type" not in headers
        if path == "/v1/auth/token/renew-self":
            continue
        one = (method, path, plain(body))
        if not out or out[-1] != one or method != "GET":
            out.append(one)
    return out


def without(asked, *left_out):
    return [r for r in asked if (r[0], r[1]) not in left_out]


class Pair:
    def __init__(self, agents, vaults, binary, name, peer, on=True):
        self.vault = vaults(renewable=True, ttl=3600)
        config = on_vault(self.vault) if on else mesh()
        self.agent = agents(binary, name=name, config=config).start()
        self.peer, self.at = peer, 0
        roots_of(self.agent)
        if not on:
            leaf(self.agent, "early")

    def asked(self):
        since, self.at = self.at, len(self.vault.seen)
        return requests(self.vault, since, self.at)

    def put(self, provider, **more):
        got = configure(self.agent, provider, self.vault.config(**more) if provider == "vault" else more)
        assert got.status == 200, got.text


def both(agents, vaults, ours, peer, **more):
    return Pair(agents, vaults, ours, "ours", False, **more), Pair(agents, vaults, peer, "peer", True, **more)


def test_the_same_is_asked(agents, vaults, praetor_asan, peer):
    ours, theirs = both(agents, vaults, praetor_asan, peer)
    assert ours.asked() == theirs.asked() != []

    for side in (ours, theirs):
        leaf(side.agent, "web")
    mine, other = ours.asked(), theirs.asked()
    # The peer asks for both CA certificates at each leaf, only to see whether they differ. Ours has them in the root's record.
    assert mine == without(other, ("GET", INTER + "ca/pem"), ("GET", ROOT + "ca/pem")) and len(mine) == 1

    for side in (ours, theirs):
        side.put("vault", LeafCertTTL="50h")
    mine, other = ours.asked(), theirs.asked()
    # Ours sees to it that the engine of the intermediate is there (below); the peer does not look.
    look = [("GET", "/v1/sys/mounts", None), ("GET", INTER + "roles/leaf-cert", None), ("GET", INTER + "ca/pem", None)]
    assert mine == other + look

    for side in (ours, theirs):
        side.put("vault", root="a b?c#d%41", intermediate="/lead/\u00e9")
    assert ours.asked() == theirs.asked() != []
    for side in (ours, theirs):
        side.put("vault", root="root-2", intermediate="inter/2/")
    assert ours.asked() == theirs.asked() != []

    for side in (ours, theirs):
        side.put("consul")
    assert ours.asked() == theirs.asked() != []
    for side in (ours, theirs):
        side.put("vault", root="root-2", intermediate="inter/2/")
    assert ours.asked() == theirs.asked() != []
    for side in (ours, theirs):
        assert [r["Name"] for r in sorted(roots_of(side.agent)["Roots"], key=lambda r: r["Active"])][-1] == "Vault CA Root Cert"
        leaf(side.agent, "db")
        side.asked()

    # Only the intermediate's engine is another: the peer takes the configuration and cannot sign any more. Ours makes the engine.
    for side in (ours, theirs):
        side.put("vault", root="root-2", intermediate="inter-3")
    assert ("POST", "/v1/sys/mounts/inter-3") in [r[:2] for r in ours.asked()]
    assert ("POST", "/v1/sys/mounts/inter-3") not in [r[:2] for r in theirs.asked()]
    leaf(ours.agent, "cache")
    assert theirs.agent.get(LEAF + "cache").status == 500
    quiet(ours.agent, ours.vault)
    assert ours.agent.get(CONFIGURATION).json["Config"]["Token"] == ours.vault.token  # as the peer's (connect.md 3.3)


# ---- the same errors ----

def elsewhere(handler, raw):
    handler.send_response(307)
    handler.send_header("Location", "/v1/elsewhere")
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return True


SECRET = "what only the agent may read\n"
WRONG_SETTINGS = [
    {"Address": "http://127.0.0.1:1"}, {"Address": ""}, {"Address": "http://a b:1"}, {"Address": "127.0.0.1:8200"},
    {"Address": "ftp://x"}, {"Token": "other"}, {"Token": "x\n"}, {"Token": [1]}, {"Token": ""}, {"Token": "t\u00e9\u200b"},
    {"TLSSkipVerify": "x"}, {"CAFile": "/nope", "CertFile": "/nope"}, {"CAFile": "/nope", "Token": "x\n"},
    {"CAFile": "/nope", "Address": "http://a b:1"}, {"Address": "http://a b:1", "Token": "x\n"},
    {"CAFile": "/nope"}, {"CAPath": "/nope"}, {"CertFile": "/nope"}, {"KeyFile": "/nope"},
    {"CertFile": "/nope", "KeyFile": "/nope"}, {"RootPKIPath": ""}, {"IntermediatePKIPath": ""}, {"LeafCertTTL": "1m"},
    {"PrivateKeyType": "dsa"},
]
WRONG_ANSWERS = [
    (LOOKUP, DENIED), (LOOKUP, answer(500, b'{"errors":["internal","x"]}')), (LOOKUP, answer(500, b"oops")),
    (LOOKUP, answer(503, b'{"errors":["Vault is sealed"]}')), (LOOKUP, answer(404, b'{"errors":[]}')),
    (LOOKUP, answer(200, b"garbage<")), (LOOKUP, answer(200, b'{"data":{"renewable":true,"ttl":"x"}}')),
    (LOOKUP, answer(200, b'{"data":{"renewable":"x","ttl":1}}')), (LOOKUP, elsewhere),
    (ROOT + "ca/pem", answer(500, b'{"errors":["x"]}')), (ROOT + "ca/pem", DENIED), (ROOT + "ca/pem", answer(200, b"garbage")),
    ("/v1/sys/mounts/pki-root", DENIED), (ROOT + "root/generate/internal", answer(400, b'{"errors":["no"]}')),
    ("/v1/sys/mounts", DENIED), ("/v1/sys/mounts", answer(200, b"{}")), ("/v1/sys/mounts/pki-inter", DENIED),
    (INTER + "roles/leaf-cert", DENIED), (INTER + "intermediate/generate/internal", DENIED),
    (INTER + "intermediate/generate/internal", answer(200, b'{"data":{}}')),
    (INTER + "intermediate/generate/internal", answer(200, b'{"data":{"csr":""}}')),
    (INTER + "intermediate/generate/internal", answer(204, b"")), (ROOT + "root/sign-intermediate", DENIED),
    (ROOT + "root/sign-intermediate", answer(200, b'{"data":{"certificate":""}}')),
    (INTER + "intermediate/set-signed", DENIED), (INTER + "ca/pem", DENIED),
]
WRONG_LEAVES = [
    DENIED, answer(500, b'{"errors":["x"]}'), answer(200, b'{"data":{}}'),
    answer(200, b'{"data":{"certificate":"","issuing_ca":""}}'), answer(200, b'{"data":{"certificate":"x"}}'), answer(204, b""),
    answer(200, b"{{"),
]
WRONG_CROSS = [DENIED, answer(200, b'{"data":{}}')]


def wrong_files(folder):
    """Settings that name files which are not what they should be. No answer shows what is in them."""
    authority = Authority(folder, "CA")
    one, other = authority.make("c1"), authority.make("c2")
    names = {n: str(folder / n) for n in ("text", "below", "empty", "mixed", "bad")}
    for name in ("below", "empty", "mixed"):
        os.makedirs(names[name])
    for name, content in (("text", SECRET), ("below/x", SECRET), ("mixed/b", SECRET), ("mixed/a", open(authority.file).read()),
                          ("bad", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")):
        (folder / name).write_text(content)
    return [{"CAFile": names["text"]}, {"CAFile": names["below"]}, {"CAFile": names["bad"]}, {"CAPath": names["below"]},
            {"CAPath": names["mixed"]}, {"CAPath": names["text"]}, {"CertFile": names["text"], "KeyFile": names["text"]},
            {"CertFile": one.cert, "KeyFile": other.key}, {"CertFile": one.cert, "KeyFile": names["text"]},
            {"CertFile": one.key, "KeyFile": one.key}, {"CertFile": one.cert, "KeyFile": "/nope"},
            {"CertFile": names["below"], "KeyFile": one.key}]


def test_the_same_is_said(agents, vaults, praetor_asan, peer, tmp_path):
    ours, theirs = both(agents, vaults, praetor_asan, peer, on=False)
    for wrong in WRONG_SETTINGS + wrong_files(tmp_path):
        got = [shown(configure(s.agent, "vault", dict(s.vault.config(), **wrong)), s.vault) for s in (ours, theirs)]
        assert got[0] == got[1] and got[0][0] == 500 and SECRET.strip() not in got[0][1], wrong
    for path, wrong in WRONG_ANSWERS:
        got = []
        for side in (ours, theirs):
            side.vault.mounts.clear()
            side.vault.wrong = {path: wrong}
            got.append(shown(configure(side.agent, "vault", side.vault.config()), side.vault))
        assert got[0] == got[1] and got[0][0] == 500, path
        assert active(ours.agent)["Name"] == "Consul CA Root Cert"
    for side in (ours, theirs):
        side.vault.mounts.clear()
        side.vault.wrong = {}
        side.put("vault")
    for i, wrong in enumerate(WRONG_LEAVES):
        got = []
        for side in (ours, theirs):
            side.vault.wrong = {INTER + "sign/leaf-cert": wrong}
            got.append(shown(side.agent.get(LEAF + "wrong-%d" % i), side.vault))
        assert got[0] == got[1] and got[0][0] == 500, i
    for wrong in WRONG_CROSS:
        got = []
        for side in (ours, theirs):
            side.vault.wrong = {ROOT + "root/sign-self-issued": wrong}
            got.append(shown(configure(side.agent, "consul", {}), side.vault))
        assert got[0] == got[1] and got[0][0] == 500
    # What cannot be cleaned up is told in the log, and the rotation stands.
    for side in (ours, theirs):
        side.vault.wrong = {"/v1/sys/mounts/pki-inter": DENIED}
        side.put("consul")
        assert active(side.agent)["Name"] == "Consul CA Root Cert"
        until("a word of it", lambda: "failed to clean up old provider: provider=vault" in side.agent.tail(10 ** 7))
    quiet(ours.agent, ours.vault)


def test_a_failure_leaves_what_is_used(agents, vaults, praetor_asan):
    """The peer drops the engine of the intermediate that is in use when a new configuration fails (connect.md 3.6), and when the new
    one shares it. Ours drops what this very call has made."""
    side = Pair(agents, vaults, praetor_asan, "ours", False)
    leaf(side.agent, "a")
    side.vault.wrong = {"/v1/root-2/root/generate/internal": DENIED}
    assert configure(side.agent, "vault", side.vault.config(root="root-2")).status == 500
    assert "DELETE" not in [m for m, _ in side.vault.asked()]
    leaf(side.agent, "b")
    side.vault.wrong = {"/v1/inter-2/intermediate/set-signed": DENIED}
    assert configure(side.agent, "vault", side.vault.config(root="root-2", intermediate="inter-2")).status == 500
    side.vault.wrong = {}
    assert side.vault.asked()[-1] == ("DELETE", "/v1/sys/mounts/inter-2")
    leaf(side.agent, "c")
    side.put("vault", root="root-2")
    assert active(side.agent)["SigningKeyID"] and "DELETE" not in [m for m, p in side.vault.asked() if p.endswith("pki-inter")]
    leaf(side.agent, "d")


def test_errors_in_a_second_datacenter(agents, vaults, praetor_asan, peer):
    vault = vaults()
    primary = agents(peer, name="p1", config=dict(mesh(), primary_datacenter="dc1")).start()
    sides = [agents(b, name="n-" + dc, config=dict(mesh(), datacenter=dc, primary_datacenter="dc1", retry_join_wan=[primary.ip]))
             for b, dc in ((praetor_asan, "dc2"), (peer, "dc3"))]
    for side in sides:
        side.start()
        leaf(side, "a")
    for path, settings in ((None, {"Token": "other"}), ("/v1/sys/mounts", {}), (INTER + "intermediate/generate/internal", {}),
                           (INTER + "intermediate/set-signed", {}), (INTER + "ca/pem", {})):
        got, asked = [], []
        for side in sides:
            vault.mounts.clear()
            vault.wrong, since = {path: DENIED}, len(vault.seen)
            got.append(shown(configure(side, "vault", dict(vault.config(), **settings)), vault))
            asked.append(vault.asked(since))
        assert got[0] == got[1] and got[0][0] == 500, path
        # The peer drops the engine even if it has made none.
        assert asked[0] == asked[1] or (path == "/v1/sys/mounts" and asked[0] == asked[1][:-1])
    leaf(sides[0], "b")


# ---- TLS ----

def test_tls(agents, vaults, praetor_asan, peer, tmp_path):
    authority, foreign = Authority(tmp_path, "Vault CA"), Authority(tmp_path, "Other CA")
    server = authority.make("vault", common="vault", names=["vault.test"])
    named = authority.make("named", common="vault", names=["vault.test"], addresses=())
    client = authority.make("client")
    folder = tmp_path / "authorities"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "ca.pem").write_bytes(open(authority.file, "rb").read())
    ours, theirs = [agents(b, name=n, config=mesh()).start() for b, n in ((praetor_asan, "ours"), (peer, "peer"))]
    plain_vault = tls_context(server.cert, server.key)
    cases = [
        (plain_vault, {}, False), (plain_vault, {"CAFile": foreign.file}, False),
        (plain_vault, {"CAFile": authority.file}, True), (plain_vault, {"CAPath": str(folder)}, True),
        (plain_vault, {"TLSSkipVerify": True}, True),
        (tls_context(named.cert, named.key), {"CAFile": authority.file}, False),
        (tls_context(named.cert, named.key), {"CAFile": authority.file, "TLSServerName": "vault.test"}, True),
        (tls_context(server.cert, server.key, authority.file), {"CAFile": authority.file}, False),
        (tls_context(server.cert, server.key, authority.file),
         {"CAFile": authority.file, "CertFile": client.cert, "KeyFile": client.key}, True),
    ]
    for number, (context, settings, good) in enumerate(cases):
        got = []
        for agent in (ours, theirs):
            vault = vaults(tls=context)
            config = vault.config(root="root-%d" % number, intermediate="inter-%d" % number, **settings)
            got.append(shown(configure(agent, "vault", config), vault))
            if good:
                leaf(agent, "s%d" % number)
                assert configure(agent, "consul", {}).status == 200
        assert (got[0][0] == 200) == good, (settings, got)
        assert got[0] == got[1], settings
