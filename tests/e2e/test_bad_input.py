"""Bad input: every endpoint answers malformed JSON, wrong types, over-long bodies and bad parameters with the peer's status
and text (both are asked the same, live), and garbage on the HTTP and DNS ports neither crashes nor leaks."""

import json
import os
import random
import re
import socket

import pytest

from e2e.harness import PORTS, TERMINATED

BODIES = {
    "empty": b"",
    "letter": b"x",
    "open": b"{",
    "string": b'"text"',
    "number": b"12",
    "null": b"null",
    "array": b"[]",
    "trailing comma": b'{"Node":"a",}',
    "bare key": b'{Node:1}',
    "unknown field": b'{"Nonsense":1}',
    "bad escape": b'{"Node":"\\x"}',
    "bad utf8": b'{"Node":"\xff"',
    "control": b'{"Node":"a\nb"}',
    "deep": b"[" * 200,
}
WRITES = ["/v1/catalog/register", "/v1/catalog/deregister", "/v1/session/create", "/v1/txn", "/v1/agent/service/register",
          "/v1/agent/check/register"]
REGISTER = [
    {}, {"Node": ""}, {"Node": 1}, {"Node": "a"}, {"Node": "a", "Address": []}, {"Node": "a", "Address": "1.1.1.1", "ID": "zz"},
    {"Node": "a", "Address": "1.1.1.1", "NodeMeta": {"a": 1}}, {"Node": "a", "Address": "1.1.1.1", "NodeMeta": []},
    {"Node": "a", "Address": "1.1.1.1", "Service": []}, {"Node": "a", "Address": "1.1.1.1", "Service": {"ID": "x"}},
    {"Node": "a", "Address": "1.1.1.1", "Service": {"Service": "x", "Port": "80"}},
    {"Node": "a", "Address": "1.1.1.1", "Service": {"Service": "x", "Port": 80.5}},
    {"Node": "a", "Address": "1.1.1.1", "Service": {"Service": "x", "Tags": "t"}},
    {"Node": "a", "Address": "1.1.1.1", "Service": {"Service": "x", "Address": "0.0.0.0"}},
    {"Node": "a", "Address": "1.1.1.1", "Service": {"Service": "x", "Kind": "connect-proxy"}},
    {"Node": "a", "Address": "1.1.1.1", "Service": {"Service": "x", "Meta": {"a b": "c"}}},
    {"Node": "a", "Address": "1.1.1.1", "Service": {"Service": "x", "Meta": {"k" * 129: "c"}}},
    {"Node": "a", "Address": "1.1.1.1", "Service": {}},
    {"Node": "a", "Address": "1.1.1.1", "Check": {"Node": "b", "Name": "c"}},
    {"Node": "a", "Address": "1.1.1.1", "Check": {"Name": "c", "ServiceID": "none"}},
    {"Node": "a", "Address": "1.1.1.1", "Check": {}}, {"Node": "a", "Address": "1.1.1.1", "Check": {"Name": 5}},
    {"Node": "a", "Address": "1.1.1.1", "Checks": {}}, {"Node": "a", "Address": "1.1.1.1", "Namespace": "x"},
    {"Node": "a", "Address": "1.1.1.1", "SkipNodeUpdate": "yes"}, {"Node": "a", "Address": "1.1.1.1", "TaggedAddresses": "x"},
]
SESSIONS = [{"TTL": "abc"}, {"TTL": "5s"}, {"TTL": "25h"}, {"TTL": 5}, {"Node": "nope"}, {"Node": ""}, {"Behavior": "x"},
            {"LockDelay": "x"}, {"LockDelay": []}, {"Checks": "x"}, {"Checks": ["nope"]}, {"NodeChecks": ["nope"]},
            {"ServiceChecks": ["x"]}, {"ServiceChecks": [{"ID": "nope"}]}, {"Name": 5}]
TXNS = [[{}], [{"KV": {}}], [{"KV": {"Verb": "nope", "Key": "a"}}], [{"KV": {"Verb": "set", "Key": "a", "Value": "!"}}],
        [{"KV": {"Verb": "set", "Key": ""}}], [{"KV": {"Verb": "get", "Key": "missing"}}],
        [{"KV": {"Verb": "cas", "Key": "a", "Index": "x"}}], [{"KV": {"Verb": "lock", "Key": "a"}}],
        [{"KV": {"Verb": "lock", "Key": "a", "Session": "b"}}], [{"Node": {"Verb": "get", "Node": {"Node": "nope"}}}],
        [{"Node": {"Verb": "nope", "Node": {"Node": "a"}}}], [{"Service": {"Verb": "set", "Node": "nope", "Service": {"Service": "s"}}}],
        [{"Check": {"Verb": "set", "Check": {"Node": "nope", "Name": "c"}}}], [{"KV": {"Verb": "get", "Key": "a"}}] * 65,
        [{"KV": {"Verb": "check-index", "Key": "a", "Index": 5}}], [{"KV": {"Verb": "delete-cas", "Key": "a", "Index": 5}}]]
PATHS = [
    ("GET", "/v1/kv/a?index=x"), ("GET", "/v1/kv/a?index=-1"), ("GET", "/v1/kv/a?wait=x"), ("GET", "/v1/kv/a?wait=5"),
    ("GET", "/v1/kv/a?stale&consistent"), ("GET", "/v1/kv/a?max_stale=x"), ("GET", "/v1/kv/a?ns=x"), ("GET", "/v1/kv/a?dc=zz"),
    ("GET", "/v1/kv/"), ("GET", "/v1/kv/a?a=%zz"), ("PUT", "/v1/kv/"), ("PUT", "/v1/kv/a?flags=-1"), ("PUT", "/v1/kv/a?flags=x"),
    ("PUT", "/v1/kv/a?cas=x"), ("PUT", "/v1/kv/a?cas=1&acquire=y"), ("PUT", "/v1/kv/a?acquire="), ("PUT", "/v1/kv/a?acquire=x"),
    ("PUT", "/v1/kv/a?acquire=00000000-0000-0000-0000-000000000000"), ("PUT", "/v1/kv/a?release="), ("DELETE", "/v1/kv/"),
    ("DELETE", "/v1/kv/a?recurse&cas=1"), ("DELETE", "/v1/kv/a?cas=x"), ("POST", "/v1/kv/a"), ("HEAD", "/v1/kv/a"),
    ("get", "/v1/kv/a"), ("OPTIONS", "/v1/kv/a"), ("GET", "/v1/nothing"), ("GET", "/V1/kv/a"), ("GET", "/v1//kv/a"), ("GET", "/v1/kv"),
    ("PUT", "/v1/kv/a%2f%2fb"), ("GET", "/v1/kv/%00"), ("GET", "/v1/kv/%e2%80%8b"), ("GET", "/v1/session/info/foo"),
    ("GET", "/v1/session/info/"), ("GET", "/v1/session/node/"), ("PUT", "/v1/session/destroy/foo"), ("PUT", "/v1/session/destroy/"),
    ("PUT", "/v1/session/renew/foo"), ("PUT", "/v1/session/renew/00000000-0000-0000-0000-000000000000"), ("PUT", "/v1/session/renew/"),
    ("GET", "/v1/catalog/node/"), ("GET", "/v1/catalog/node/nope"), ("GET", "/v1/catalog/service/"), ("GET", "/v1/catalog/connect/"),
    ("GET", "/v1/catalog/node-services/"), ("GET", "/v1/catalog/gateway-services/"), ("GET", "/v1/catalog/nodes?filter=x"),
    ("GET", "/v1/catalog/nodes?filter=Foo==1"), ("GET", "/v1/catalog/nodes?filter=Node%20is%20empty"), ("POST", "/v1/catalog/nodes"),
    ("GET", "/v1/health/node/"), ("GET", "/v1/health/checks/"), ("GET", "/v1/health/state/"), ("GET", "/v1/health/service/"),
    ("GET", "/v1/health/service/x?passing=maybe"), ("GET", "/v1/health/connect/"), ("GET", "/v1/health/ingress/"),
    ("GET", "/v1/health/service/x?stale&consistent"), ("GET", "/v1/coordinate/node/"), ("GET", "/v1/coordinate/node/nope"),
    ("GET", "/v1/status/leader?dc=zz"), ("GET", "/v1/status/peers?dc=zz"), ("PUT", "/v1/status/leader"), ("GET", "/v1/internal/ui/node/"),
    ("GET", "/v1/internal/ui/node/nope"), ("GET", "/v1/catalog/nodes?dc=zz"), ("PUT", "/v1/agent/check/pass/nope"),
    ("PUT", "/v1/agent/check/deregister/nope"), ("PUT", "/v1/agent/service/deregister/nope"), ("GET", "/v1/agent/nothing"),
]


def pairs():
    for path in WRITES:
        for name, body in BODIES.items():
            yield "PUT", path, body, "%s %s" % (path, name)
    for record in REGISTER:
        yield "PUT", "/v1/catalog/register", json.dumps(record).encode(), "register %s" % record
    for record in SESSIONS:
        yield "PUT", "/v1/session/create", json.dumps(record).encode(), "session %s" % record
    for record in TXNS:
        yield "PUT", "/v1/txn", json.dumps(record).encode(), "txn %s" % str(record)[:80]
    for method, path in PATHS:
        yield method, path, b"" if method in ("PUT", "POST") else None, "%s %s" % (method, path)
    yield "PUT", "/v1/kv/big", b"x" * 524289, "kv over the limit"
    yield "PUT", "/v1/txn", b" " * 700000, "txn over the limit"


def normal(text, agent):
    """Without what differs by nature: addresses, and identifiers made up on the spot."""
    text = text.replace(agent.ip, "IP").replace(agent.name, "NODE")
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", text)
    return re.sub(r'"(CreateIndex|ModifyIndex|Index)":\d+', r'"\1":N', text)


def test_the_peers_status_and_text(praetor_asan, peer, agents):
    ours, theirs = agents(praetor_asan, name="one").start(), agents(peer, name="one").start()
    different = []
    for method, path, body, what in pairs():
        try:
            want = theirs.request(method, path, body=body)
        except Exception:
            want = None  # the peer breaks the connection there; ours must answer 4xx or 5xx (http-core.md 3)
        got = ours.request(method, path, body=body)
        if want is None:
            if got.status < 400:
                different.append("%s: the peer fails, ours says %d" % (what, got.status))
        elif (got.status, normal(got.text, ours)) != (want.status, normal(want.text, theirs)):
            different.append("%s:\n   peer %d %r\n   ours %d %r" % (what, want.status, want.text[:300], got.status, got.text[:300]))
    assert not different, "%d differ\n%s" % (len(different), "\n".join(different))
    assert ours.stop() == TERMINATED


HALF = [
    (b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nxhello", 1),  # and something behind it
    (b"GET /v1/kv/none HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/kv/a HTT", 1),
    (b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nxPUT /v1/kv/b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel", 1),
    (b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nxPUT /v1/kv/b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nyz", 2),
    (b"PUT /v1/kv/b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel", 0),
]


@pytest.mark.parametrize("content, answers", HALF)
def test_the_last_half_of_a_connection(praetor_asan, agents, content, answers):
    """Who has said that there is no more is answered what was whole, and then the connection ends: also when he said so while a
    request was under way, with something behind it that is no request."""
    agent = agents(praetor_asan).start()
    for _ in range(20):  # the end comes with the request, or later
        with socket.create_connection((agent.ip, PORTS["http"]), timeout=60) as link:
            link.sendall(content)
            link.shutdown(socket.SHUT_WR)
            got = b""
            while True:
                more = link.recv(65536)  # the time runs out if it never ends
                if not more:
                    break
                got += more
        assert got.count(b"HTTP/1.1 ") - got.count(b"HTTP/1.1 400") == answers, got


def _garbage(rng, seeds):
    """A request that was right once: cut, repeated, with bytes changed."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(1, 8)):
        kind = rng.randrange(4)
        at = rng.randrange(len(data) + 1)
        if kind == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 1:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
        elif kind == 2:
            del data[at:at + rng.randrange(10)]
        else:
            data[at:at] = data[:rng.randrange(len(data) + 1)]
    return bytes(data)


HTTP_SEEDS = [
    b"GET /v1/kv/a HTTP/1.1\r\nHost: x\r\n\r\n", b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"PUT /v1/txn HTTP/1.1\r\nHost: x\r\nContent-Length: 44\r\n\r\n[{\"KV\":{\"Verb\":\"set\",\"Key\":\"a\",\"Value\":\"\"}}]",
    b"GET /v1/health/service/web?passing&filter=Node==x HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
    b"PUT /v1/catalog/register HTTP/1.0\r\nContent-Length: 33\r\n\r\n{\"Node\":\"a\",\"Address\":\"127.0.0.1\"}",
    b"GET /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
]
DNS_SEEDS = [
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x07service\x06consul\x00\x00\x01\x00\x01",
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x02n1\x04node\x06consul\x00\x00\xff\x00\x01\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00",
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x011\x010\x010\x03127\x07in-addr\x04arpa\x00\x00\x0c\x00\x01",
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01",
]


@pytest.mark.parametrize("port", ["http", "dns-udp", "dns-tcp"])
def test_garbage_does_no_harm(praetor_asan, agents, port):
    seed = int(os.environ.get("PRAETOR_SEED_BASE", random.randrange(2 ** 32)))
    print("seed %d" % seed)
    rng = random.Random(seed)
    agent = agents(praetor_asan).start()
    for _ in range(1500):
        if port == "dns-udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
                link.sendto(_garbage(rng, DNS_SEEDS), (agent.ip, PORTS["dns"]))
            continue
        with socket.create_connection((agent.ip, PORTS["http" if port == "http" else "dns"]), timeout=60) as link:
            data = _garbage(rng, HTTP_SEEDS if port == "http" else DNS_SEEDS)
            if port == "dns-tcp":
                size = len(data) if rng.random() < 0.8 else rng.randrange(65536)
                data = size.to_bytes(2, "big") + data
            try:
                link.sendall(data)
                link.shutdown(socket.SHUT_WR)
                while link.recv(65536):
                    pass
            except OSError:
                pass  # cut off: what garbage deserves
    assert agent.get("/v1/status/leader").status == 200
    assert agent.put(agent.key("still"), "here").status == 200
    assert agent.stop() == TERMINATED, agent.tail()  # leaks are reported at the end
