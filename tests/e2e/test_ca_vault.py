"""The certificate authority on Vault (connect.md 3.11), against a stand-in (vault.py): what ours must do, alone and with the peer's
in other datacenters: leaves verify, roots rotate, Vault may be away, slow, or talk nonsense. test_ca_vault_peer.py compares."""

import json
import os
import struct
import subprocess
import threading
import time

import pytest

from e2e.cluster import Cluster
from e2e.harness import PATIENCE, _address, until
from e2e.mesh_authority import (DENIED, INTER, LEAF, PEM, ROOT, ROOTS, active, answer, configure, key_ids, leaf, mesh, on_vault,
                                quiet, roots_of, verifies)


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
        got = agent.get(LEAF + "held?index=%d&wait=300s" % watched["ModifyIndex"], timeout=400)
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
            waiter.join(300)
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
    ip, port = _address(), 8200  # which nobody else takes meanwhile
    config = mesh(ca_provider="vault", ca_config={"address": "http://%s:%d" % (ip, port), "token": "s.secret",
                                                  "root_pki_path": "pki-root", "intermediate_pki_path": "pki-inter"})
    agent = agents(praetor_asan, config=config).start()
    until("the error in the log", lambda: "failed to initialize the CA" in agent.tail(10 ** 7))
    assert "connect: connection refused" in agent.tail(10 ** 7)
    assert agent.put("/v1/kv/x", b"1").body.strip() == b"true"
    assert agent.get(LEAF + "web").status == 500
    assert vaults(ip=ip, port=port).config()["Token"] == config["connect"]["ca_config"]["token"]
    until("a leaf", lambda: agent.get(LEAF + "web").status == 200)


def test_vault_is_slow(agents, vaults, praetor_asan):
    """Only the authority waits, and not when the agent is to stop."""
    vault = vaults()
    agent = agents(praetor_asan, config=on_vault(vault)).start()
    roots_of(agent)
    free, there = threading.Event(), threading.Event()

    def hang(handler, raw):
        there.set()
        free.wait(300)
        return False
    vault.wrong = {INTER + "sign/leaf-cert": hang}
    got = []

    def ask():
        try:
            got.append(agent.get(LEAF + "web", timeout=400).status)
        except OSError:
            got.append(0)
    asking = threading.Thread(target=ask)
    asking.start()
    assert there.wait(PATIENCE)
    begin = time.monotonic()
    for i in range(20):
        assert agent.put("/v1/kv/x%d" % i, b"1").body.strip() == b"true"
    assert agent.get(ROOTS).status == 200
    assert time.monotonic() - begin < 25 and not got  # it gives up on Vault after 30 s
    begin = time.monotonic()
    agent.stop()
    assert time.monotonic() - begin < 25
    free.set()
    asking.join(PATIENCE)
    assert got and got[0] != 200


def test_leadership_goes_while_vault_is_slow(agents, vaults, praetor):
    """What is under way is called off: whoever waits is told at once, not when Vault's time is up (30 s)."""
    vault = vaults()
    cluster = Cluster(agents, [praetor] * 3, config=dict(on_vault(vault), performance={"raft_multiplier": 5}))
    first = cluster.form()
    leaf(first, "a")
    free, there, got = threading.Event(), threading.Event(), []

    def hang(handler, raw):
        there.set()
        free.wait(300)
        return False
    vault.wrong = {INTER + "sign/leaf-cert": hang}
    asking = threading.Thread(target=lambda: got.append(first.get(LEAF + "web", timeout=400).status))
    asking.start()
    assert there.wait(PATIENCE)
    begin = time.monotonic()
    for server in cluster.servers:
        if server is not first:
            server.kill()
    asking.join(PATIENCE)
    assert got and got[0] != 200 and time.monotonic() - begin < 25
    free.set()


def test_huge_and_endless_answers(agents, vaults, praetor_asan):
    vault = vaults()
    agent = agents(praetor_asan, config=on_vault(vault)).start()
    roots_of(agent)
    vault.wrong = {INTER + "sign/leaf-cert": answer(200, b'"' + b"x" * (20 << 20))}
    got = agent.get(LEAF + "web", timeout=120)
    assert got.status == 500 and got.text.startswith("error issuing cert: answer of more than")
    vault.wrong = {INTER + "sign/leaf-cert": answer(500, b"x" * (3 << 20))}
    got = agent.get(LEAF + "web2", timeout=120)
    assert got.status == 500 and len(got.body) < 8192
    vault.wrong = {INTER + "sign/leaf-cert": answer(200, b"[" * 100000)}
    assert agent.get(LEAF + "web3", timeout=120).status == 500
    certificate = {"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "issuing_ca": ""}
    vault.wrong = {INTER + "sign/leaf-cert": answer(200, json.dumps({"data": certificate}).encode())}
    assert agent.get(LEAF + "web4", timeout=120).status == 500
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
    until("a word of it", lambda: "connect.ca.vault: Successfully renewed token for Vault provider" in agent.tail(10 ** 7))
    vault.wrong = {renew: DENIED}
    count = len(renewals())
    until("refused renewals", lambda: len(renewals()) >= count + 3)
    begin, count = time.monotonic(), len(renewals())
    until("some time", lambda: time.monotonic() - begin > 3)
    assert len(renewals()) - count <= time.monotonic() - begin
    vault.wrong = {}
    done = agent.tail(10 ** 7).count("Successfully renewed")
    until("it goes on", lambda: agent.tail(10 ** 7).count("Successfully renewed") > done + 1)
    quiet(agent, vault)
    # With another provider nothing is left to renew.
    assert configure(agent, "consul", {}).status == 200

    def none_for_a_while():  # one may have been under way
        count, begin = len(renewals()), time.monotonic()
        until("some time", lambda: time.monotonic() - begin > 4)
        return len(renewals()) == count
    until("no renewals any more", none_for_a_while, 20)


# ---- several servers, several datacenters ----

@pytest.mark.parametrize("first_is_peer", [False, True])
def test_another_server_leads(agents, vaults, praetor, peer, first_is_peer, tmp_path):
    """It goes on with the intermediate that is there. Of a record that the peer wrote, which names the root's key as the one that
    signs leaves, ours makes a right one."""
    vault = vaults()
    # Slow to miss each other: the first one leads until it is ended, without a break in which it would begin anew.
    cluster = Cluster(agents, [peer if first_is_peer else praetor, praetor, praetor], config=dict(
        on_vault(vault), performance={"raft_multiplier": 5}))
    first = cluster.form()
    assert first is cluster.servers[0]
    until("a leaf", lambda: first.get(LEAF + "a").status == 200)  # its authority begins after it leads
    root = active(first)
    key = key_ids(tmp_path, vault.mounts["pki-inter"].chain, "subjectKeyIdentifier")
    assert (root["SigningKeyID"] == key) != first_is_peer
    made = vault.asked().count(("PUT", INTER + "intermediate/generate/internal"))
    first.kill()
    rest = [s for s in cluster.servers if s is not first]
    cluster.wait_leader(rest, but=first.raft)
    for i, server in enumerate(rest):
        until("a leaf", lambda: server.get(LEAF + "b%d" % i, timeout=120).status == 200)
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
    until("the new root", lambda: active(second_agent)["ID"] == now["ID"])
    signed = until("a leaf", lambda: second_agent.get(LEAF + "late").status == 200 and leaf(second_agent, "late"))
    assert verifies(tmp_path, signed["CertPEM"], [now["RootCert"]])
