"""Certificates from the mesh's authority (connect.md 3) and for client agents by auto_encrypt (tls.md 13): ours beside the
peer's, with both as servers and as clients, and clusters of both whose leader changes."""

import itertools
import json
import re
import socket
import ssl
import subprocess
import time

import pytest

from e2e.certificates import Authority
from e2e.cluster import Cluster
from e2e.harness import until

PAIRS = [("praetor_asan", "praetor_asan"), ("praetor_asan", "peer"), ("peer", "praetor_asan")]
DENY = {"enabled": True, "default_policy": "deny", "tokens": {"master": "root"}}
ROOT = {"X-Consul-Token": "root"}


@pytest.fixture
def ca(tmp_path):
    return Authority(tmp_path, "CA")


def server_config(ca, tmp_path, **more):
    made = ca.make("server", names=["server.dc1.consul", "localhost"])
    conf = {"ca_file": ca.file, "cert_file": made.cert, "key_file": made.key, "verify_incoming_rpc": True, "verify_outgoing": True,
            "verify_server_hostname": True, "auto_encrypt": {"allow_tls": True}}
    conf.update(more)
    return conf


def client_config(server, **more):
    conf = {"server": False, "bootstrap_expect": 0, "auto_encrypt": {"tls": True}, "verify_outgoing": True, "retry_join": [server.ip],
            "retry_interval": "1s"}
    conf.update(more)
    return conf


def roots(agent):
    try:
        answer = agent.get("/v1/agent/connect/ca/roots")
    except OSError:  # not up yet
        return {"Roots": []}
    return answer.json if answer.status == 200 else {"Roots": []}


def leaf(agent, service="web", index=0, **more):
    path = "/v1/agent/connect/ca/leaf/%s?index=%d&wait=120s" % (service, index)
    return agent.get(path, timeout=180, **more)


def verifies(folder, certificate, trusted):
    """Whether a chain (PEM texts) leads to one of the trusted certificates."""
    parts = [p + "-----END CERTIFICATE-----\n" for p in certificate.split("-----END CERTIFICATE-----\n") if "BEGIN" in p]
    for name, text in (("leaf", parts[0]), ("between", "".join(parts[1:])), ("trusted", "".join(trusted))):
        with open("%s/%s.pem" % (folder, name), "w") as handle:
            handle.write(text)
    between = ["-untrusted", "between.pem"] if len(parts) > 1 else []
    done = subprocess.run(["openssl", "verify", "-CAfile", "trusted.pem", *between, "leaf.pem"], cwd=folder, capture_output=True)
    return done.returncode == 0


def by_name(request, name):
    return request.getfixturevalue(name)


@pytest.mark.parametrize("server,client", PAIRS)
def test_a_client_gets_its_certificate(request, agents, tmp_path, ca, server, client):
    s = agents(by_name(request, server), name="s", config=server_config(ca, tmp_path)).start()
    until("a root", lambda: roots(s)["Roots"])
    c = agents(by_name(request, client), name="c", config=client_config(
        s, ca_file=ca.file, verify_server_hostname=True, ports={"http": 8500, "https": 8501, "dns": 8600, "server": 8300,
                                                                "serf_lan": 8301, "serf_wan": 8302}))
    c.start()
    assert c.put("/v1/kv/a", b"1").json is True
    assert s.get("/v1/kv/a?raw").body == b"1"
    # Its HTTPS shows the same certificate, which the mesh's roots vouch for.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata="".join(r["RootCert"] for r in roots(c)["Roots"]))
    with socket.create_connection((c.ip, 8501), timeout=60) as raw, context.wrap_socket(raw) as link:
        shown = link.getpeercert()
    domain = roots(s)["TrustDomain"]
    assert ("URI", "spiffe://%s/agent/client/dc/dc1/id/c" % domain) in shown["subjectAltName"]
    assert ("DNS", "localhost") in shown["subjectAltName"] and ("IP Address", "127.0.0.1") in shown["subjectAltName"]
    assert dict(shown["subject"][0])["commonName"] == "c.agnt.%s.consul" % domain[:8]
    # Whoever has no certificate is refused, whoever has one of the mesh's is not.
    assert leaf(c).status == 200


@pytest.mark.parametrize("server,client", PAIRS)
def test_rotation(request, agents, tmp_path, ca, server, client):
    s = agents(by_name(request, server), name="s", config=server_config(ca, tmp_path)).start()
    until("a root", lambda: roots(s)["Roots"])
    c = agents(by_name(request, client), name="c", config=client_config(s, ca_file=ca.file)).start()
    old, first = roots(c), leaf(c).json
    assert verifies(tmp_path, first["CertPEM"], [old["Roots"][0]["RootCert"]])
    key = subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True, text=True).stdout
    body = {"Provider": "consul", "Config": {"LeafCertTTL": "72h", "IntermediateCertTTL": "8760h", "PrivateKey": key}}
    assert s.put("/v1/connect/ca/configuration", body).status == 200
    now = until("two roots", lambda: len(roots(c)["Roots"]) == 2 and roots(c))
    assert now["ActiveRootID"] != old["ActiveRootID"] and now["TrustDomain"] == old["TrustDomain"]
    second = leaf(c, index=first["ModifyIndex"]).json
    assert second["SerialNumber"] != first["SerialNumber"]
    active = [r["RootCert"] for r in now["Roots"] if r["Active"]]
    assert verifies(tmp_path, second["CertPEM"], active)
    assert verifies(tmp_path, second["CertPEM"], [old["Roots"][0]["RootCert"]])
    until("the agent's own certificate", lambda: "leaf certificate watch fired" in c.tail(10 ** 7))
    until("a write after it", lambda: c.put("/v1/kv/b", b"2").status == 200)
    assert s.get("/v1/connect/ca/configuration").json["Config"]["PrivateKey"] == key


@pytest.mark.parametrize("server,client", PAIRS)
def test_tokens(request, agents, tmp_path, ca, server, client):
    s = agents(by_name(request, server), name="s", config=server_config(ca, tmp_path, acl=DENY))
    s.launch()
    until("a leader", lambda: roots(s)["Roots"] and s.get("/v1/connect/ca/configuration", headers=ROOT).status == 200)
    assert s.get("/v1/connect/ca/configuration").status == 403
    assert leaf(s).status == 403
    assert leaf(s, headers=ROOT).status == 200
    acl = dict(DENY, tokens={})
    c = agents(by_name(request, client), name="c", config=client_config(s, ca_file=ca.file, acl=acl))
    c.launch()
    until("refused", lambda: "Permission denied" in c.tail(10 ** 7) and "No servers successfully responded" in c.tail(10 ** 7))
    assert 'AutoEncrypt.Sign RPC failed: addr=%s:8300 error="rpcinsecure error making call: ' % s.ip in c.tail(10 ** 7)
    assert c.stop() == 1
    token = s.put("/v1/acl/token", {"NodeIdentities": [{"NodeName": "c", "Datacenter": "dc1"}]}, headers=ROOT).json["SecretID"]
    c.configure(dict(c.conf, acl=dict(acl, tokens={"agent": token})))
    c.launch()
    until("in the catalog", lambda: s.get("/v1/catalog/node/c", headers=ROOT).json)
    # Another token, while it runs: certificates are watched with that one from then on.
    other = s.put("/v1/acl/token", {"NodeIdentities": [{"NodeName": "c", "Datacenter": "dc1"}]}, headers=ROOT).json
    assert c.put("/v1/agent/token/agent", {"Token": other["SecretID"]}, headers=ROOT).status == 200
    assert leaf(c, headers=ROOT).status == 200
    assert c.stop() in (0, 1)


@pytest.mark.parametrize("server,client", PAIRS)
def test_what_a_client_is_told(request, agents, tmp_path, ca, server, client):
    other = Authority(tmp_path, "Other")
    conf = server_config(ca, tmp_path)
    del conf["auto_encrypt"]
    s = agents(by_name(request, server), name="s", config=conf).start()
    c = agents(by_name(request, client), name="c", config=client_config(s, ca_file=ca.file))
    c.launch()
    until("Connect is off", lambda: "rpcinsecure error making call: Connect must be enabled in order to use this endpoint" in c.tail(10 ** 7))
    c.stop()
    s.stop()
    s.configure(dict(s.conf, connect={"enabled": True}))
    s.start()
    c.launch()
    until("not allowed", lambda: "AutoEncrypt.AllowTLS must be enabled in order to use this endpoint" in c.tail(10 ** 7))
    c.stop()
    c.configure(dict(c.conf, ca_file=other.file))
    c.launch()
    until("not believed",
          lambda: 'error="rpcinsecure error establishing connection: x509: certificate signed by unknown authority' in c.tail(10 ** 7))


def test_both_kinds_sign_in_turn(agents, tmp_path, ca, praetor_asan, peer):
    """The authority survives its leaders: what one kind has signed is good by the other's roots."""
    cluster = Cluster(agents, [peer, praetor_asan, peer], config=server_config(ca, tmp_path))
    # When the first one ends, ours is the first to miss it.
    cluster.servers[2].configure(dict(cluster.servers[2].conf, performance={"raft_multiplier": 8}))
    first = cluster.form()
    before = until("a root", lambda: roots(first)["Roots"] and roots(first))
    until("the same everywhere", lambda: all(roots(s) == before for s in cluster.servers))
    ours = cluster.servers[1]
    seen = set()
    for round in range(6):
        leader = cluster.leader()
        kind = leader is ours
        for s in cluster.alive():
            made = until("a leaf", lambda: (lambda a: a.status == 200 and a.json)(leaf(s, "svc%d%s" % (round, s.name))))
            assert verifies(tmp_path, made["CertPEM"], [before["Roots"][0]["RootCert"]])
        seen.add(kind)
        if len(seen) == 2:
            break
        leader.stop()
        cluster.wait_leader(but=leader.raft)
        leader.launch()
        cluster.wait_leader(servers=cluster.servers)
    assert seen == {True, False}
    client = agents(praetor_asan, name="c", config=client_config(ours, ca_file=ca.file)).start()
    assert roots(client)["ActiveRootID"] == before["ActiveRootID"]


def test_a_certificate_that_is_over(agents, tmp_path, ca, praetor_asan):
    """No server for so long that it could not be renewed: it is asked for as at the beginning."""
    ttl = {"LeafCertTTL": "80s", "SkipValidate": True}  # of which the first minute is over
    s = agents(praetor_asan, name="s", config=server_config(ca, tmp_path, connect={"ca_config": ttl})).start()
    until("a root", lambda: roots(s)["Roots"])
    c = agents(praetor_asan, name="c", config=client_config(s, ca_file=ca.file)).start()
    s.kill()
    until("it is over", lambda: "agent's client certificate has expired" in c.tail(10 ** 7))
    until("nobody is there", lambda: "No servers successfully responded to the auto-encrypt request" in c.tail(10 ** 7))
    s.start()
    until("a write", lambda: c.put("/v1/kv/a", b"1").status == 200)


def test_limits(agents, praetor_asan, peer):
    """A CSR waits half a second for its turn, or is refused at once."""
    for binary in (peer, praetor_asan):
        s = agents(binary, name="limit-" + ("peer" if binary == peer else "ours"), config={"connect": {
            "enabled": True, "ca_config": {"csr_max_per_second": 0.001}}}).start()
        until("a root", lambda: roots(s)["Roots"])
        assert leaf(s, "first").status == 200

        def refused_at_once():
            began = time.monotonic()
            answer = leaf(s, "another-%d" % next(numbers))
            assert answer.status == 429 and "Rate limit reached, try again later" in answer.text
            return time.monotonic() - began < 0.5
        numbers = itertools.count()
        until("a refusal that waits for nothing", refused_at_once)
        s.stop()


def test_configuration_answers(agents, praetor_asan, peer):
    key = subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True, text=True).stdout
    bodies = [{"Provider": "consul", "Config": {"LeafCertTTL": "30m"}}, {"Provider": "zork", "Config": {}},
              {"Provider": "consul", "Bogus": 1}, {"Provider": "consul", "Config": {"LeafCertTTL": "zz"}},
              {"Provider": "consul", "Config": {"LeafCertTTL": "24h"}, "State": {"a": "b"}},
              {"Provider": "consul", "Config": {"LeafCertTTL": "24h"}, "ModifyIndex": 1},
              {"Provider": "consul", "Config": {"RootCert": "x"}},
              {"Provider": "consul", "Config": {"RootCert": "x", "PrivateKey": key}},
              {"Provider": "consul", "Config": {"PrivateKeyType": "rsa", "PrivateKeyBits": 2048}},
              {"Provider": "consul", "Config": {"DisableCrossSigning": True}},
              {"Provider": "consul", "Config": {"PrivateKey": key}},
              {"Provider": "consul", "Config": {"PrivateKey": key}, "ForceWithoutCrossSigning": True}]
    def ask(binary, name):
        s = agents(binary, name=name, config={"connect": {"enabled": True}}).start()
        until("a root", lambda: roots(s)["Roots"])
        out = []
        for body in bodies:
            answer = s.put("/v1/connect/ca/configuration", json.dumps(body))
            kept = s.get("/v1/connect/ca/configuration").json
            out.append((answer.status, answer.text, kept["Config"], kept["ForceWithoutCrossSigning"],
                        [(r["Active"], bool(r["IntermediateCerts"]), r["PrivateKeyType"]) for r in
                         sorted(s.get("/v1/connect/ca/roots").json["Roots"], key=lambda r: r["SerialNumber"])]))
        out.append([(p, s.get(p).status, s.get(p).text) for p in (
            "/v1/agent/connect/ca/leaf/", "/v1/agent/connect/ca/leaf/a/b?x", "/v1/connect/ca/roots?pem=zork", "/v1/connect/ca/roots?dc=dc9",
            "/v1/agent/connect/ca/leaf/web?dc=dc9")])
        s.stop()
        return out
    theirs, ours = ask(peer, "theirs"), ask(praetor_asan, "ours")
    plain = lambda text: re.sub(r"[0-9a-f-]{36}\.consul", "DOMAIN", text)
    for i, (a, b) in enumerate(zip(theirs, ours)):
        assert plain(repr(b)) == plain(repr(a)), bodies[i] if i < len(bodies) else "reads"


@pytest.mark.parametrize("first,second", PAIRS)
def test_a_secondary_datacenter(request, agents, tmp_path, praetor_asan, first, second):
    """It has an intermediate of its own under the primary's root, and follows it (connect.md 3.8)."""
    one = agents(request.getfixturevalue(first), name="one", config={"connect": {"enabled": True}, "primary_datacenter": "dc1"}).start()
    until("a root", lambda: roots(one)["Roots"])
    two = agents(request.getfixturevalue(second), name="two", config={
        "connect": {"enabled": True}, "datacenter": "dc2", "primary_datacenter": "dc1", "retry_join_wan": [one.ip],
        "retry_interval_wan": "1s"})
    two.launch()
    until("its roots", lambda: roots(two)["Roots"])
    keys = lambda found: [(r["ID"], r["SigningKeyID"]) for r in found["Roots"]]  # the peer writes its records again and again

    def seen():
        own = roots(two)
        return keys(one.get("/v1/connect/ca/roots?dc=dc2").json) == keys(own) and own
    above, below = roots(one), until("the same from the other side", seen)
    assert below["ActiveRootID"] == above["ActiveRootID"] and below["TrustDomain"] == above["TrustDomain"]
    top, own = above["Roots"][0], below["Roots"][0]
    assert own["RootCert"] == top["RootCert"] and len(own["IntermediateCerts"]) == 1 and not top["IntermediateCerts"]
    assert own["SigningKeyID"] != top["SigningKeyID"]
    made = until("a leaf", lambda: (lambda a: a.status == 200 and a.json)(leaf(two)))
    assert made["ServiceURI"] == "spiffe://%s/ns/default/dc/dc2/svc/web" % above["TrustDomain"]
    assert verifies(tmp_path, made["CertPEM"], [top["RootCert"]])
    # The primary's root changes.
    key = subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True, text=True).stdout
    body = {"Provider": "consul", "Config": {"LeafCertTTL": "72h", "IntermediateCertTTL": "8760h", "PrivateKey": key}}
    assert one.put("/v1/connect/ca/configuration", body).status == 200
    until("its new root", lambda: roots(two)["ActiveRootID"] == roots(one)["ActiveRootID"] != above["ActiveRootID"])
    after = leaf(two, index=made["ModifyIndex"]).json
    active = [r["RootCert"] for r in roots(one)["Roots"] if r["Active"]]
    assert verifies(tmp_path, after["CertPEM"], active) and verifies(tmp_path, after["CertPEM"], [top["RootCert"]])
    # Its own configuration: another key, under the same root.
    own = [r for r in roots(two)["Roots"] if r["Active"]][0]
    body["Config"] = dict(body["Config"], LeafCertTTL="71h", PrivateKey=subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True, text=True).stdout)
    assert two.put("/v1/connect/ca/configuration", body).status == 200
    assert two.get("/v1/connect/ca/configuration").json["Config"]["LeafCertTTL"] == "71h"
    now = [r for r in two.get("/v1/connect/ca/roots").json["Roots"] if r["Active"]]
    assert [r["ID"] for r in now] == [own["ID"]] and now[0]["SigningKeyID"] != own["SigningKeyID"]
    assert one.get("/v1/connect/ca/configuration").json["Config"]["LeafCertTTL"] == "72h"
    two.stop()
    two.launch()
    until("the same after a restart", lambda: [r["SigningKeyID"] for r in roots(two)["Roots"] if r["Active"]] == [now[0]["SigningKeyID"]])
    again = until("a leaf", lambda: (lambda a: a.status == 200 and a.json)(leaf(two, "other")))
    assert verifies(tmp_path, again["CertPEM"], active)
