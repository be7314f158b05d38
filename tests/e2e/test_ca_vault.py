"""The certificate authority on Vault (connect.md 3.11), against a stand-in (vault.py): an agent of ours and one of the peer's, each
with a Vault of its own, must ask the same in the same order and say the same of what is wrong; where ours is meant to be better, the
test says so. Then what only ours must do: verify, rotate, follow, wait, stop."""

import json
import os
import re
import struct
import subprocess
import threading
import time

import pytest

from e2e.certificates import Authority
from e2e.cluster import Cluster
from e2e.harness import until
from e2e.vault import Vault, tls_context

ROOTS, CONFIGURATION, LEAF = "/v1/connect/ca/roots", "/v1/connect/ca/configuration", "/v1/agent/connect/ca/leaf/"
LOOKUP, INTER, ROOT = "/v1/auth/token/lookup-self", "/v1/pki-inter/", "/v1/pki-root/"
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.S)


@pytest.fixture
def vaults():
    made = []

    def make(**more):
        made.append(Vault(**more))
        return made[-1]

    yield make
    for vault in made:
        vault.close()


def roots_of(agent):
    def there():
        got = agent.get(ROOTS)
        return got.status == 200 and got.json.get("Roots") and got.json
    return until("roots", there)


def active(agent):
    found = roots_of(agent)
    return [r for r in found["Roots"] if r["ID"] == found["ActiveRootID"]][0]


def configure(agent, provider, config, **more):
    return agent.put(CONFIGURATION, dict({"Provider": provider, "Config": config}, **more), timeout=60)


def leaf(agent, service):
    """Of an authority that may have to begin yet: a server leads before it is there."""
    def issued():
        got = agent.get(LEAF + service, timeout=60)
        early = "internal error: CA " in got.text or "no CA bootstrapped" in got.text
        assert got.status == 200 or early, got.text
        return got.status == 200 and got.json
    return until("a leaf", issued)


def mesh(**more):
    return {"connect": dict({"enabled": True}, **more)}


def on_vault(vault, **more):
    return mesh(ca_provider="vault", ca_config=vault.file_config(**more))


def key_ids(folder, pem, which):
    """The hex of an extension, as the API shows it."""
    text = openssl(folder, ["x509", "-noout", "-ext", which], pem)
    return re.search(r"((?:[0-9A-F]{2}:)+[0-9A-F]{2})", text).group(1).lower()


def openssl(folder, argv, pem):
    path = os.path.join(str(folder), "one.pem")
    with open(path, "w") as handle:
        handle.write(pem)
    return subprocess.run(["openssl", *argv, "-in", path], check=True, capture_output=True, text=True).stdout


def verifies(folder, chain, roots):
    """Whether the first certificate of a chain leads to one of the roots by the others, as OpenSSL finds."""
    parts = PEM.findall(chain)
    names = {"leaf": parts[0], "rest": "\n".join(parts[1:]), "roots": "\n".join(roots)}
    for name, text in names.items():
        with open(os.path.join(str(folder), name + ".pem"), "w") as handle:
            handle.write(text)
    more = ["-untrusted", "rest.pem"] if len(parts) > 1 else []
    done = subprocess.run(["openssl", "verify", "-CAfile", "roots.pem", *more, "leaf.pem"], cwd=str(folder), capture_output=True)
    return done.returncode == 0


def quiet(agent, vault):
    """Nothing that the agent says holds the token."""
    with open(agent.log, "rb") as handle:
        assert vault.token.encode() not in handle.read()
    metrics = agent.get("/v1/agent/metrics")
    assert vault.token not in metrics.text


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


def requests(vault, since):
    """What was asked: without renewals of the token, whose place is chance, and without the same reading again at once."""
    out = []
    for method, path, body, headers in vault.seen[since:]:
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
        got, self.at = requests(self.vault, self.at), len(self.vault.seen)
        return got

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

def answer(status, body):
    return lambda handler, raw: Vault.send(handler, status, body)


DENIED = answer(403, b'{"errors":["permission denied"]}')


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


def shown(answer, vault):
    return answer.status, answer.text.replace(vault.address, "VAULT")


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
        assert "failed to clean up old provider: provider=vault" in side.agent.tail()
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


# ---- what is answered can be used ----

def test_leaves_and_rotation(agents, vaults, praetor, tmp_path):
    """From consul to vault and back, with leaves held all the while: each verifies against all roots that were there when it was
    made, new ones by the cross-signed root also against the old root alone."""
    vault = vaults()
    agent = agents(praetor, config=mesh()).start()
    roots_of(agent)
    held = []

    def issue(name):
        got = leaf(agent, name)
        now = [r["RootCert"] for r in roots_of(agent)["Roots"]]
        held.append(got["CertPEM"])
        assert all(verifies(tmp_path, pem, now) for pem in held)
        first = PEM.findall(got["CertPEM"])[0]
        # So agents see that it is of the active root: the peer's record names the root's own key, and its agents renew for ever.
        assert key_ids(tmp_path, first, "authorityKeyIdentifier") == active(agent)["SigningKeyID"]
        assert len(set(PEM.findall(got["CertPEM"]))) == len(PEM.findall(got["CertPEM"]))
        return got

    first = issue("a0")
    watched = leaf(agent, "held")
    waiter, news = None, []

    def wait():
        got = agent.get(LEAF + "held?index=%d&wait=60s" % watched["ModifyIndex"], timeout=80)
        news.append(got.json)
    for turn, provider in enumerate(("vault", "consul", "vault")):
        before = active(agent)
        if turn == 0:
            waiter = threading.Thread(target=wait)
            waiter.start()
        assert configure(agent, provider, vault.config() if provider == "vault" else {}).status == 200
        now = active(agent)
        assert now["ID"] != before["ID"] and now["Name"] == provider.capitalize() + " CA Root Cert"
        assert len(now["IntermediateCerts"]) == (2 if provider == "vault" else 1)
        assert all(verifies(tmp_path, pem, [before["RootCert"]]) for pem in now["IntermediateCerts"][:1])
        got = issue("a%d" % (turn + 1))
        assert verifies(tmp_path, got["CertPEM"], [before["RootCert"]])
        if turn == 0:
            waiter.join(60)
            assert news and news[0]["SerialNumber"] != watched["SerialNumber"]
            assert verifies(tmp_path, news[0]["CertPEM"], [now["RootCert"]])
    assert first["CertPEM"] in held
    quiet(agent, vault)


GENERATE = ("PUT", INTER + "intermediate/generate/internal")


def test_a_restart_keeps_the_intermediate(agents, vaults, praetor_asan):
    """The peer makes another at each start, so that all leaves are renewed. Ours does so when it is old: half of its life is over."""
    vault = vaults()
    agent = agents(praetor_asan, config=on_vault(vault)).start()
    key = active(agent)["SigningKeyID"]
    leaf(agent, "a")
    agent.stop()
    agent.start()
    until("a leaf", lambda: agent.get(LEAF + "b").status == 200)
    assert active(agent)["SigningKeyID"] == key and len(active(agent)["IntermediateCerts"]) == 1
    assert vault.asked().count(GENERATE) == 1


def test_an_old_intermediate_is_renewed(agents, vaults, praetor, tmp_path, monkeypatch):
    """When a server begins to lead, and every hour."""
    shim, clock = str(tmp_path / "clock.so"), tmp_path / "clock"
    source = os.path.join(os.path.dirname(__file__), "clock_shim.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", shim, source], check=True)
    clock.write_bytes(struct.pack("<q", 0))
    monkeypatch.setenv("LD_PRELOAD", shim)
    monkeypatch.setenv("CLOCK_FILE", str(clock))
    vault = vaults()
    vault.old = True
    # Without a limit on signing: the turns of a queue would be waited for in the kernel.
    agent = agents(praetor, config=on_vault(vault, csr_max_per_second=0)).start()
    first = active(agent)
    leaf(agent, "a")
    agent.stop()
    agent.start()
    second = until("another", lambda: active(agent)["SigningKeyID"] != first["SigningKeyID"] and active(agent))
    held = leaf(agent, "b")
    assert vault.asked().count(GENERATE) == 2
    vault.old = False
    with open(clock, "r+b") as handle:
        handle.write(struct.pack("<q", 3700 * 10 ** 9))
    leaf(agent, "c")  # the authority wakes
    third = until("another", lambda: active(agent)["SigningKeyID"] != second["SigningKeyID"] and active(agent))
    assert vault.asked().count(GENERATE) == 3
    assert third["ID"] == first["ID"] and len(third["IntermediateCerts"]) == 1
    new = leaf(agent, "d")
    assert all(verifies(tmp_path, pem["CertPEM"], [first["RootCert"]]) for pem in (held, new))
    with open(clock, "r+b") as handle:
        handle.write(struct.pack("<q", 2 * 3700 * 10 ** 9))
    leaf(agent, "e")
    leaf(agent, "f")
    assert active(agent)["SigningKeyID"] == third["SigningKeyID"] and vault.asked().count(GENERATE) == 3


# ---- Vault is not as it should be ----

def test_vault_is_down_at_start(agents, vaults, praetor_asan):
    """The rest works; the authority is there once Vault is."""
    first = vaults()
    config, port = on_vault(first), first.server.server_address[1]
    first.server.shutdown()
    first.server.server_close()
    agent = agents(praetor_asan, config=config).start()
    until("the error in the log", lambda: "failed to initialize the CA" in agent.tail())
    assert "connect: connection refused" in agent.tail()
    assert agent.put("/v1/kv/x", b"1").body.strip() == b"true"
    assert agent.get(LEAF + "web").status == 500
    vaults(port=port)
    until("a leaf", lambda: agent.get(LEAF + "web").status == 200, 30)


def test_vault_is_slow(agents, vaults, praetor_asan):
    """Only the authority waits, and not when the agent is to stop."""
    vault = vaults()
    agent = agents(praetor_asan, config=on_vault(vault)).start()
    roots_of(agent)
    free, there = threading.Event(), threading.Event()

    def hang(handler, raw):
        there.set()
        free.wait(60)
        return False
    vault.wrong = {INTER + "sign/leaf-cert": hang}
    got = []

    def ask():
        try:
            got.append(agent.get(LEAF + "web", timeout=60).status)
        except OSError:
            got.append(0)
    asking = threading.Thread(target=ask)
    asking.start()
    assert there.wait(20)
    begin = time.monotonic()
    for i in range(20):
        assert agent.put("/v1/kv/x%d" % i, b"1").body.strip() == b"true"
    assert agent.get(ROOTS).status == 200
    assert time.monotonic() - begin < 10 and not got
    begin = time.monotonic()
    agent.stop()
    assert time.monotonic() - begin < 10
    free.set()
    asking.join(30)
    assert got and got[0] != 200


def test_leadership_goes_while_vault_is_slow(agents, vaults, praetor):
    """What is under way is called off: whoever waits is told at once, not when Vault's time is up (30 s)."""
    vault = vaults()
    cluster = Cluster(agents, [praetor] * 3, config=on_vault(vault))
    first = cluster.form()
    leaf(first, "a")
    free, there, got = threading.Event(), threading.Event(), []

    def hang(handler, raw):
        there.set()
        free.wait(60)
        return False
    vault.wrong = {INTER + "sign/leaf-cert": hang}
    asking = threading.Thread(target=lambda: got.append(first.get(LEAF + "web", timeout=60).status))
    begin = time.monotonic()
    asking.start()
    assert there.wait(20)
    for server in cluster.servers:
        if server is not first:
            server.kill()
    asking.join(25)
    assert got and got[0] != 200 and time.monotonic() - begin < 25
    free.set()


def test_huge_and_endless_answers(agents, vaults, praetor_asan):
    vault = vaults()
    agent = agents(praetor_asan, config=on_vault(vault)).start()
    roots_of(agent)
    vault.wrong = {INTER + "sign/leaf-cert": answer(200, b'"' + b"x" * (20 << 20))}
    got = agent.get(LEAF + "web", timeout=60)
    assert got.status == 500 and got.text.startswith("error issuing cert: answer of more than")
    vault.wrong = {INTER + "sign/leaf-cert": answer(500, b"x" * (3 << 20))}
    got = agent.get(LEAF + "web2", timeout=60)
    assert got.status == 500 and len(got.body) < 8192
    vault.wrong = {INTER + "sign/leaf-cert": answer(200, b"[" * 100000)}
    assert agent.get(LEAF + "web3", timeout=60).status == 500
    certificate = {"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "issuing_ca": ""}
    vault.wrong = {INTER + "sign/leaf-cert": answer(200, json.dumps({"data": certificate}).encode())}
    assert agent.get(LEAF + "web4", timeout=60).status == 500
    vault.wrong = {}
    leaf(agent, "web5")


def test_the_token_is_renewed(agents, vaults, praetor_asan):
    """At once, then at about two thirds of its lease. While that is refused ours asks ever less often, where the peer asks a
    thousand times a second."""
    vault = vaults(renewable=True, ttl=3)
    agent = agents(praetor_asan, config=on_vault(vault)).start()
    renew = "/v1/auth/token/renew-self"

    def renewals():
        return [(b, t) for m, p, b, t in vault.seen if p == renew]
    until("renewals", lambda: len(renewals()) >= 3)
    assert all(body == {"increment": 3} for body, _ in renewals())
    assert "connect.ca.vault: Successfully renewed token for Vault provider" in agent.tail()
    vault.wrong = {renew: DENIED}
    count = len(renewals())
    until("refused renewals", lambda: len(renewals()) >= count + 3, 30)
    begin, count = time.monotonic(), len(renewals())
    until("some time", lambda: time.monotonic() - begin > 3)
    assert len(renewals()) - count <= 3
    vault.wrong = {}
    done = agent.tail(10 ** 6).count("Successfully renewed")
    until("it goes on", lambda: agent.tail(10 ** 6).count("Successfully renewed") > done + 1, 40)
    quiet(agent, vault)
    # With another provider nothing is left to renew.
    assert configure(agent, "consul", {}).status == 200
    count, begin = len(renewals()), time.monotonic()
    until("some time", lambda: time.monotonic() - begin > 4)
    assert len(renewals()) == count


# ---- several servers, several datacenters ----

@pytest.mark.parametrize("first_is_peer", [False, True])
def test_another_server_leads(agents, vaults, praetor, peer, first_is_peer, tmp_path):
    """It goes on with the intermediate that is there. Of a record that the peer wrote, which names the root's key as the one that
    signs leaves, ours makes a right one."""
    vault = vaults()
    cluster = Cluster(agents, [peer if first_is_peer else praetor, praetor, praetor], config=on_vault(vault))
    first = cluster.form()
    assert first is cluster.servers[0]
    until("a leaf", lambda: first.get(LEAF + "a").status == 200)  # its authority begins after it leads
    root = active(first)
    key = key_ids(tmp_path, vault.mounts["pki-inter"].chain, "subjectKeyIdentifier")
    assert (root["SigningKeyID"] == key) != first_is_peer
    made = vault.asked().count(("PUT", INTER + "intermediate/generate/internal"))
    first.kill()
    rest = [s for s in cluster.servers if s is not first]
    cluster.wait_leader(rest, 30)
    for i, server in enumerate(rest):
        until("a leaf", lambda: server.get(LEAF + "b%d" % i, timeout=30).status == 200, 40)
        now = until("the right record", lambda: active(server)["SigningKeyID"] == key and active(server))
        assert now["ID"] == root["ID"] and len(now["IntermediateCerts"]) == 1
    assert vault.asked().count(("PUT", INTER + "intermediate/generate/internal")) == made


@pytest.mark.parametrize("first, second, other", [("ours", "ours", True), ("ours", "peer", False), ("peer", "ours", True),
                                                  ("peer", "ours", False)])
def test_two_datacenters(agents, vaults, praetor, peer, tmp_path, first, second, other):
    """other: the second datacenter has a Vault as well, its own engine of the same one (the peer can do no other)."""
    binary = {"ours": praetor, "peer": peer}
    vault = vaults()
    primary = agents(binary[first], name="p1", config=dict(on_vault(vault), primary_datacenter="dc1")).start()
    root = active(primary)
    config = on_vault(vault, intermediate_pki_path="pki-second") if other else mesh()
    second_agent = agents(binary[second], name="s1", config=dict(config, datacenter="dc2", primary_datacenter="dc1",
                                                                 retry_join_wan=[primary.ip])).start()
    assert active(second_agent)["ID"] == root["ID"]
    asked = [b for m, p, b, _ in vault.seen if p == ROOT + "root/sign-intermediate"]
    assert asked[-1]["max_path_length"] == 0 and "max_path_length" not in asked[0]
    signed = until("a leaf", lambda: second_agent.get(LEAF + "web").status == 200 and leaf(second_agent, "web"))
    assert "/dc/dc2/" in signed["ServiceURI"]
    assert verifies(tmp_path, signed["CertPEM"], [root["RootCert"]])
    if other:
        assert ("PUT", "/v1/pki-second/sign/leaf-cert") in vault.asked()
    if second == "ours":
        first_pem = PEM.findall(signed["CertPEM"])[0]
        assert key_ids(tmp_path, first_pem, "authorityKeyIdentifier") == active(second_agent)["SigningKeyID"]
        # The other provider under the same root, and back.
        turns = [("consul", {}), ("vault", vault.config(intermediate="pki-second"))]
        for i, (provider, settings) in enumerate(turns if other else turns[1:]):
            assert configure(second_agent, provider, settings).status == 200
            signed = leaf(second_agent, "turn-%d" % i)
            assert verifies(tmp_path, signed["CertPEM"], [root["RootCert"]])
    # The primary rotates: the second datacenter follows.
    assert configure(primary, "consul", {}).status == 200
    now = active(primary)
    assert now["ID"] != root["ID"]
    until("the new root", lambda: active(second_agent)["ID"] == now["ID"], 40)
    signed = until("a leaf", lambda: second_agent.get(LEAF + "late").status == 200 and leaf(second_agent, "late"), 40)
    assert verifies(tmp_path, signed["CertPEM"], [now["RootCert"]])


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
