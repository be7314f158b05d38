"""auto_config (tls.md 14): client agents that know a few addresses and a bearer token get certificate, access token, gossip
key and settings; ours beside the peer's, on both sides."""

import base64
import json
import os
import shutil
import stat
import time

import pytest

from e2e.auth_corpus import claims
from e2e.certificates import Authority
from e2e.harness import until
from e2e.identity import Key

PAIRS = [("praetor_asan", "praetor_asan"), ("praetor_asan", "peer"), ("peer", "praetor_asan")]
ROOT = {"X-Consul-Token": "root"}
GOSSIP = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def ca(tmp_path):
    return Authority(tmp_path, "CA")


@pytest.fixture
def key(tmp_path):
    return Key(tmp_path, "prime256v1")


def server_config(ca, key, **more):
    made = ca.make("server", names=["server.dc1.consul", "localhost"])
    conf = {"ca_file": ca.file, "cert_file": made.cert, "key_file": made.key, "verify_incoming_rpc": True, "verify_outgoing": True,
            "verify_server_hostname": True, "connect": {"enabled": True}, "encrypt": GOSSIP,
            "acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": "root"}},
            "auto_config": {"authorization": {"enabled": True, "static": {
                "jwt_validation_pub_keys": [key.pem], "bound_issuer": "me", "bound_audiences": ["consul"],
                "claim_mappings": {"node": "node"}, "claim_assertions": ['value.node == "${node}"']}}}}
    conf.update(more)
    return conf


def intro(key, **more):
    return key.token(claims(int(time.time()), **dict({"iss": "me", "aud": ["consul"], "node": "c"}, **more)))


def client_config(server, ca, token, **more):
    conf = {"server": False, "bootstrap_expect": 0, "ca_file": ca.file, "verify_outgoing": True, "auto_config": {
        "enabled": True, "intro_token": token, "server_addresses": [server.ip]}}
    conf.update(more)
    return conf


def start_server(agents, binary, ca, key, **more):
    s = agents(binary, name="s", config=server_config(ca, key, **more))
    s.launch()
    def up():
        try:
            return s.get("/v1/agent/connect/ca/roots", headers=ROOT).json["Roots"]
        except (OSError, ValueError, KeyError):
            return False
    until("a root", up)
    until("the master token", lambda: s.get("/v1/acl/tokens", headers=ROOT).status == 200)
    return s


def is_healthy(s, node):
    return any(c["Status"] == "passing" for c in s.get("/v1/health/node/" + node, headers=ROOT).json)


def auto_tokens(s):
    return [t for t in s.get("/v1/acl/tokens", headers=ROOT).json if t["Description"].startswith("Auto Config Token")]


@pytest.mark.parametrize("server,client", PAIRS)
def test_an_agent_is_configured(request, agents, ca, key, server, client):
    s = start_server(agents, request.getfixturevalue(server), ca, key)
    c = agents(request.getfixturevalue(client), name="c", config=client_config(s, ca, intro(key)))
    c.launch()
    until("in the catalog", lambda: s.get("/v1/catalog/node/c", headers=ROOT).json)
    made = auto_tokens(s)
    assert [(t["Description"], t["Local"], t["NodeIdentities"]) for t in made] == [
        ('Auto Config Token for Node "c"', True, [{"NodeName": "c", "Datacenter": "dc1"}])]
    assert c.get("/v1/kv/a", headers=ROOT).status == 404  # encrypted gossip, and calls
    path = os.path.join(c.data, "auto-config.json")
    with open(path) as handle:
        kept = json.load(handle)
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o007 == 0 or client == "peer"
    config = kept["Config"]
    assert config["Gossip"]["Encryption"] == {"Key": GOSSIP, "VerifyIncoming": True, "VerifyOutgoing": True}
    assert config["Gossip"]["RetryJoinLAN"] == [s.ip + ":8301"]
    assert config["ACL"]["Enabled"] and config["ACL"]["DefaultPolicy"] == "deny"
    assert config["TLS"] == {"VerifyOutgoing": True, "VerifyServerHostname": True, "CipherSuites": "", "MinVersion": "tls12",
                             "PreferServerCipherSuites": False}
    with open(ca.file) as handle:
        assert [p.strip() for p in kept["ExtraCACertificates"]] == [handle.read().strip()]
    assert kept["Certificate"]["Agent"] == "c" and "PRIVATE KEY" in kept["Certificate"]["PrivateKeyPEM"]
    # What is kept is enough: the token is over, and nobody is asked.
    c.stop()
    c.configure(dict(c.conf, auto_config=dict(c.conf["auto_config"], intro_token=intro(key, exp=1))))
    c.launch()
    until("up again", lambda: "read persisted configuration" in c.tail(10 ** 7))
    until("its node", lambda: is_healthy(s, "c"))
    assert len(auto_tokens(s)) == 1


@pytest.mark.parametrize("first,second", [("praetor_asan", "peer"), ("peer", "praetor_asan")])
def test_one_kind_reads_what_the_other_kept(request, agents, ca, key, praetor_asan, first, second):
    s = start_server(agents, praetor_asan, ca, key)
    c = agents(request.getfixturevalue(first), name="c", config=client_config(s, ca, intro(key)))
    c.launch()
    until("in the catalog", lambda: s.get("/v1/catalog/node/c", headers=ROOT).json)
    c.stop()
    c.binary = request.getfixturevalue(second)
    c.launch()
    until("read", lambda: "read persisted configuration" in c.tail(10 ** 7))
    until("at work", lambda: is_healthy(s, "c"))
    assert len(auto_tokens(s)) == 1


CASES = [("issuer", {"iss": "you"}), ("expired", {"exp": 1}), ("audience", {"aud": ["nobody"]}), ("node", {"node": "d"}),
         ("no node", {"node": None})]


def test_tokens_that_are_no_good(agents, ca, key, tmp_path, praetor_asan, peer):
    """By ours and by the peer, told to an agent of each kind."""
    def told(server, client):
        s = start_server(agents, server, ca, key)
        out = {}
        for label, more in CASES:
            c = agents(client, name="c", config=client_config(s, ca, intro(key, **more)))
            c.launch()
            mark = 'AutoConfig.InitialConfiguration RPC failed: addr=%s:8300 error="' % s.ip
            until("refused", lambda: mark in c.tail(10 ** 7) and "No server successfully responded to the auto-config request" in
                  c.tail(10 ** 7))
            out[label] = c.tail(10 ** 7).split(mark)[1].split("\n")[0]
            c.kill()
            os.truncate(c.log, 0)
        c = agents(client, name="c", config=client_config(s, ca, "zork"))
        c.launch()
        until("refused", lambda: "\n" in c.tail(10 ** 7).partition(mark)[2])
        out["zork"] = c.tail(10 ** 7).split(mark)[1].split("\n")[0]
        c.kill()
        os.truncate(c.log, 0)
        assert auto_tokens(s) == []
        s.kill()
        shutil.rmtree(s.data)
        return out
    theirs = told(peer, peer)
    assert told(praetor_asan, peer) == theirs
    assert told(peer, praetor_asan) == theirs


def test_files_and_switches(agents, ca, key, tmp_path, praetor_asan):
    s = start_server(agents, praetor_asan, ca, key)
    file = os.path.join(str(tmp_path), "intro")
    conf = client_config(s, ca, "")
    conf["auto_config"] = {"enabled": True, "intro_token_file": file, "server_addresses": [s.ip + ":8300"]}
    c = agents(praetor_asan, name="c", config=conf)
    c.launch()
    until("no file", lambda: "Failed to read intro token from file: open %s: no such file or directory" % file in c.tail(10 ** 7))
    open(file, "w").close()
    until("empty", lambda: "intro_token_file did not contain any token" in c.tail(10 ** 7))
    with open(file, "w") as handle:
        handle.write(intro(key))
    until("in the catalog", lambda: s.get("/v1/catalog/node/c", headers=ROOT).json)
    c.stop()
    with open(os.path.join(c.data, "auto-config.json"), "w") as handle:
        handle.write('{"Config": 1}')
    c.launch()
    until("it ends", lambda: c.proc.poll() is not None)
    assert "failed to decode persisted auto-config data: proto: field Config is not of its kind" in c.tail(10 ** 7)
    os.remove(os.path.join(c.data, "auto-config.json"))
    s.stop()
    plain = dict(s.conf)
    del plain["auto_config"]
    s.configure(plain)
    s.launch()
    c.launch()
    until("off", lambda: "rpcinsecure error making call: Auto Config is disabled" in c.tail(10 ** 7))
    began = time.monotonic()
    assert c.stop() == 1
    assert time.monotonic() - began < 60
