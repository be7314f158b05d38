"""HTTP/2 on the HTTPS port: the same answers as the peer's and as HTTP/1.1, many requests at once, bodies both ways, clients
that cancel, that do not read, or that mean no good (tls.md 6)."""

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import time
import zlib

import pytest

from e2e import h2_client as h2c
from e2e.h2_client import Client, Raw, fields, frame, head
from e2e.harness import PORTS, until

HTTPS = 8501


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-keyout", key, "-out", cert, "-subj", "/CN=server.dc1.consul"], check=True, capture_output=True)
    return {"cert_file": cert, "key_file": key}


@pytest.fixture
def secure(agents, pair):
    def make(binary, **more):
        config = dict(pair, ports=dict(PORTS, https=HTTPS, grpc=-1))
        config.update(more.pop("config", {}))
        return agents(binary, config=config, **more).start()
    return make


def memory(agent):
    with open("/proc/%d/status" % agent.proc.pid) as handle:
        return next(int(line.split()[1]) for line in handle if line.startswith("VmRSS:")) * 1024


def expect_clean_stop(agent):
    """Nothing holds on to a request whose client is gone."""
    agent.stop(60)
    assert "Requests left at the end" not in agent.tail(10 ** 7)


# ---- the same answers ----

BIG = b"0123456789abcdef" * 512
REQUESTS = [
    ("GET", "/", None, {}),
    ("GET", "/v1/kv/none", None, {}),
    ("PUT", "/v1/kv/one?flags=7", b"hello", {}),
    ("GET", "/v1/kv/one?raw", None, {}),
    ("PUT", "/v1/kv/big", BIG, {}),
    ("GET", "/v1/kv/big", None, {}),
    ("GET", "/v1/kv/big?raw", None, {}),
    ("GET", "/v1/kv/big?raw", None, {"accept-encoding": "gzip"}),
    ("GET", "/v1/kv/big", None, {"accept-encoding": "gzip"}),
    ("GET", "/v1/kv/one?keys", None, {"accept-encoding": "gzip"}),
    ("PUT", "/v1/kv/empty", b"", {}),
    ("GET", "/v1/kv/empty?raw", None, {}),
    ("HEAD", "/v1/kv/one", None, {}),
    ("HEAD", "/", None, {}),
    ("HEAD", "/v1/nothing", None, {}),
    ("OPTIONS", "/v1/kv/one", None, {}),
    ("OPTIONS", "*", None, {}),
    ("POST", "/v1/kv/one", b"x", {}),
    ("get", "/v1/kv/one", None, {}),
    ("DELETE", "/v1/catalog/nodes", None, {}),
    ("GET", "/v1/nothing", None, {}),
    ("GET", "/v1/kv?keys&x=1", None, {}),
    ("PUT", "/v1/kv/a%2f%2fb", b"x", {}),
    ("GET", "/v1/kv/one?index=x", None, {}),
    ("GET", "/v1/kv/one?stale&consistent", None, {}),
    ("GET", "/v1/kv/a%00", None, {}),
    ("GET", "/v1/kv/one?a=%zz", None, {}),
    ("GET", "/v1/catalog/service/", None, {}),
    ("PUT", "/v1/session/create", b"{nonsense", {}),
    ("PUT", "/v1/txn", b"[]", {}),
    ("PUT", "/v1/kv/over", b"x" * 524289, {}),
    ("GET", "/v1/catalog/nodes?dc=nowhere", None, {}),
    ("GET", "/v1/catalog/datacenters", None, {"cache-control": "max-age=x"}),
    ("PUT", "/v1/kv/one", b"x", {"expect": "100-continue"}),
    ("GET", "/v1/status/leader", None, {"expect": "something"}),
    ("DELETE", "/v1/kv/one", None, {}),
]
OWN = {"date", "connection", "transfer-encoding", ":status"}  # of a moment, or of one protocol only


def plain(headers):
    return {k.lower(): "?" if k.lower() == "x-consul-index" else v for k, v in headers.items() if k.lower() not in OWN}


def more(request, with_length):
    length = {"content-length": str(len(request[2]))} if with_length and request[2] is not None else {}
    return dict({"accept-encoding": "identity"}, **length, **request[3])


def over_http1(agent, method, path, body, headers):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    link = http.client.HTTPSConnection(agent.ip, HTTPS, context=context, timeout=60)
    link.request(method, path, body=body, headers=headers)
    got = link.getresponse()
    answer = got.status, plain(dict(got.getheaders())), got.read()
    link.close()
    return answer


def over_http2(client, method, path, body, headers):
    got = client.ask(method, path, body, list(headers.items()))
    return got.status, plain(got.headers), got.body


def unpacked(answer):
    """Compressed bytes depend on the library; what they mean does not."""
    status, headers, body = answer
    if headers.get("content-encoding") == "gzip":
        headers = dict(headers, **{"content-length": "?"} if "content-length" in headers else {})
        body = zlib.decompress(body, 31)
    return status, headers, body


def without_names(answer, agent):
    body = answer[2].replace(agent.ip.encode(), b"IP")
    headers = dict(answer[1])
    if headers.get("content-length") == str(len(answer[2])):
        headers["content-length"] = str(len(body))  # addresses have their lengths
    return answer[0], headers, re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"UUID", body)


@pytest.mark.parametrize("with_length", [True, False])
def test_answers_are_the_peers(with_length, secure, praetor_asan, peer, tmp_path):
    ours, theirs = secure(praetor_asan, name="ours"), secure(peer, name="theirs")
    mine, yours = Client(ours.ip), Client(theirs.ip)
    different = []
    for request in REQUESTS:
        ask = request[:3] + (more(request, with_length),)
        a = without_names(unpacked(over_http2(mine, *ask)), ours)
        b = without_names(unpacked(over_http2(yours, *ask)), theirs)
        if b"CreateIndex" in a[2]:
            a, b = [(x[0], x[1], [{k: v for k, v in row.items() if "Index" not in k} for row in json.loads(x[2])]) for x in (a, b)]
        if a != b:
            different.append((request[:2], a, b))
    assert not different, "\n".join("%s\n  ours   %.600s\n  theirs %.600s" % d for d in different)


def test_answers_are_those_of_http1(secure, praetor_asan):
    agent = secure(praetor_asan)
    client = Client(agent.ip)
    different = []
    for method, path, body, headers in REQUESTS:
        if "expect" in headers:
            continue
        ask = method, path, body, more((method, path, body, headers), True)
        over_http1(agent, *ask)  # so that both find the same state
        a, b = over_http2(client, *ask), over_http1(agent, *ask)
        if a != b:
            different.append((ask[:2], a, b))
    assert not different, "\n".join("%s\n  h2 %.600s\n  h1 %.600s" % d for d in different)
    assert client.goaway is None and not client.closed  # all of it over one connection


@pytest.mark.parametrize("offered,chosen", [(["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["h2"], "h2"),
                                            (["http/1.1"], "http/1.1"), (["spdy/1"], None)])
def test_protocol_is_agreed_on(offered, chosen, secure, praetor_asan, peer):
    for binary in (praetor_asan, peer):
        link = h2c.connect(secure(binary, name=os.path.basename(binary)).ip, protocols=offered)
        assert link.selected_alpn_protocol() == chosen
        link.close()


def test_greeting(secure, praetor_asan, peer):
    """SETTINGS first, then the window of the connection, as the peer's to the byte. Our own SETTINGS are acknowledged before or
    after that: the peer does both."""
    def greeting(agent):
        raw = Raw(agent.ip)
        got = [raw.next() for _ in range(3)]
        raw.close()
        return got[:1] + sorted(got[1:])
    assert greeting(secure(praetor_asan, name="ours")) == greeting(secure(peer, name="theirs"))


def test_curl(secure, praetor_asan, tmp_path):
    agent = secure(praetor_asan)
    big = os.urandom(500000)
    (tmp_path / "big").write_bytes(big)
    base = "https://%s:%d" % (agent.ip, HTTPS)

    def curl(*args):
        return subprocess.run(["curl", "-sSk", "--http2", *args], capture_output=True, check=True, timeout=120).stdout
    assert curl("-T", str(tmp_path / "big"), base + "/v1/kv/big", "-w", " %{http_version} %{http_code}") == b"true 2 200"
    assert curl(base + "/v1/kv/big?raw") == big
    at_once = ["-o", "/dev/null", base + "/v1/kv/big?raw"] * 50
    assert curl("-Z", "-w", "%{http_version} %{http_code} %{size_download}\n", *at_once) == b"2 200 500000\n" * 50
    assert b"content-encoding: gzip" in curl("-i", "--compressed", base + "/v1/agent/self").split(b"\r\n\r\n")[0].lower()


# ---- many at once ----

def test_others_are_answered_while_some_wait(secure, praetor_asan):
    agent = secure(praetor_asan)
    client = Client(agent.ip)
    client.ask("PUT", "/v1/kv/k", b"1")
    index = client.ask("GET", "/v1/kv/k").headers["x-consul-index"]
    waiting = [client.send("GET", "/v1/kv/k?wait=300s&index=" + index) for _ in range(200)]
    others = [client.send("GET", "/v1/kv/k?raw") for _ in range(50)]
    for number in others:
        assert client.get(number).body == b"1"
    assert not any(client.answers[n].done for n in waiting)
    client.ask("PUT", "/v1/kv/k", b"2")
    for number in waiting:
        answer = client.get(number)
        assert answer.status == 200 and b'"Value":"Mg=="' in answer.body


def test_no_more_than_250_at_once(secure, praetor_asan):
    """Who may not know of the limit yet is refused; who does has broken it."""
    agent = secure(praetor_asan)
    waiting = [frame(h2c.HEADERS, 5, 1 + 2 * i, head("GET", "/v1/kv/none?wait=60s&index=100000000")) for i in range(250)]
    raw = Raw(agent.ip)
    raw.send(*waiting, frame(h2c.HEADERS, 5, 501, head()))
    assert raw.outcome(501) == ("reset", 7)  # REFUSED_STREAM: it may try again
    raw.send(frame(h2c.RST_STREAM, 0, 1, b"\0\0\0\x08"), frame(h2c.HEADERS, 5, 503, head()))
    assert raw.outcome(503) == ("status", "200")
    raw.send(frame(h2c.SETTINGS, h2c.ACK), frame(h2c.HEADERS, 5, 505, head("GET", "/v1/kv/none?wait=60s&index=100000000")),
             frame(h2c.HEADERS, 5, 507, head()))
    assert raw.outcome(507) == ("goaway", 1)
    raw.close()
    expect_clean_stop(agent)


def test_limit_of_connections(secure, praetor_asan):
    agent = secure(praetor_asan, config={"limits": {"http_max_conns_per_client": 4}})
    clients = [Client(agent.ip) for _ in range(4)]
    for client in clients:
        assert client.ask("GET", "/v1/status/leader").status == 200
        client.send("GET", "/v1/kv/x?wait=60s&index=10000000")  # streams are not connections
        client.send("GET", "/v1/kv/x?wait=60s&index=10000000")
    with pytest.raises(OSError):
        Client(agent.ip)
    clients[0].close()
    def another():
        try:
            return Client(agent.ip)
        except OSError:
            return None
    until("room for another", another)


# ---- bodies ----

def test_large_bodies(secure, praetor_asan):
    agent = secure(praetor_asan)
    client = Client(agent.ip)
    value = os.urandom(524288)
    assert client.ask("PUT", "/v1/kv/big", value).body == b"true"
    assert client.ask("PUT", "/v1/kv/sized", value, [("content-length", str(len(value)))]).body == b"true"
    numbers = [client.send("GET", "/v1/kv/%s?raw" % key) for key in ("big", "sized") * 10]
    assert all(client.get(number).body == value for number in numbers)


def test_bodies_that_are_too_large(secure, praetor_asan, peer):
    """Said before all of it has come; the rest is not wanted."""
    for binary in (praetor_asan, peer):
        client = Client(secure(binary, name=os.path.basename(binary)).ip)
        number = client.send("PUT", "/v1/kv/x", headers=[("content-length", "1000000")], end=False)
        answer = client.get(number)
        assert answer.status == 413 and answer.body.startswith(b"Request body(1000000 bytes) too large, max size: 524288 bytes.")
        client.wait(lambda: answer.reset is not None or answer.ended)
        assert client.ask("GET", "/v1/status/leader").status == 200


def test_expectation(secure, praetor_asan, peer):
    for binary in (praetor_asan, peer):
        client = Client(secure(binary, name=os.path.basename(binary)).ip)
        number = client.send("PUT", "/v1/kv/x", headers=[("expect", "100-continue"), ("content-length", "3")], end=False)
        client.wait(lambda: client.answers[number].interim == [100])
        client.send_body(number, b"abc")
        assert client.get(number).body == b"true"


def test_snapshot(secure, praetor_asan):
    agent = secure(praetor_asan)
    client = Client(agent.ip)
    values = {"/v1/kv/s%d" % i: os.urandom(300000) for i in range(12)}
    for path, value in values.items():
        assert client.ask("PUT", path, value).body == b"true"
    snapshot = client.ask("GET", "/v1/snapshot", seconds=120)
    assert snapshot.status == 200 and len(snapshot.body) > 3000000
    assert client.ask("DELETE", "/v1/kv/?recurse").body == b"true"
    restored = client.ask("PUT", "/v1/snapshot", snapshot.body, seconds=120)
    assert restored.status == 200, restored.body
    for path, value in values.items():
        assert client.ask("GET", path + "?raw").body == value
    broken = client.ask("PUT", "/v1/snapshot", snapshot.body[:1000000], seconds=120)
    assert broken.status == 500


# ---- clients that go away ----

def test_cancelled_requests(secure, praetor_asan):
    agent = secure(praetor_asan)
    client = Client(agent.ip)
    monitors = [client.send("GET", "/v1/agent/monitor?loglevel=debug") for _ in range(5)]
    waiting = [client.send("GET", "/v1/kv/none?wait=300s&index=1000000") for _ in range(50)]
    bodies = [client.send("PUT", "/v1/kv/x", headers=[("content-length", "10")], end=False) for _ in range(5)]

    def all_seen():  # asked again: a monitor that begins later does not see what was before
        client.ask("GET", "/v1/kv/seen-in-the-log")
        return all(b"seen-in-the-log" in client.answers[number].body for number in monitors)
    until("the monitors show it", all_seen)
    for number in monitors + waiting + bodies:
        client.reset(number)
    assert client.ask("GET", "/v1/status/leader").status == 200
    sizes = [len(client.answers[n].body) for n in monitors]
    client.ask("GET", "/v1/kv/more")
    assert sizes == [len(client.answers[n].body) for n in monitors]
    # Others, whose connection breaks as a whole.
    second = Client(agent.ip)
    second.send("GET", "/v1/agent/monitor?loglevel=debug")
    second.send("GET", "/v1/kv/none?wait=300s&index=1000000")
    assert second.ask("GET", "/v1/status/leader").status == 200
    second.sock.shutdown(socket.SHUT_RDWR)
    second.close()
    assert client.ask("GET", "/v1/status/leader").status == 200
    expect_clean_stop(agent)


def test_goaway_at_the_end(secure, praetor_asan):
    agent = secure(praetor_asan)
    idle, busy = Client(agent.ip), Client(agent.ip)
    assert idle.ask("GET", "/v1/status/leader").status == 200
    busy.send("GET", "/v1/kv/none?wait=300s&index=1000000")
    assert busy.ask("GET", "/v1/status/leader").status == 200
    agent.proc.terminate()
    idle.wait(lambda: idle.goaway is not None)
    busy.wait(lambda: busy.goaway is not None)
    assert (idle.goaway, busy.goaway) == (0, 0)
    agent.proc.wait(60)


# ---- clients that do not read ----

def test_answers_wait_for_windows(secure, praetor):
    """The windows are closed: few answers are made, and no more than those are kept. When they open, all come."""
    agent = secure(praetor)
    value = os.urandom(500000)
    agent.put("/v1/kv/big", value)
    agent.get("/v1/kv/big?raw")
    client = Client(agent.ip, grant=False)
    before = memory(agent)
    numbers = [client.send("GET", "/v1/kv/big?raw") for _ in range(240)]
    client.wait(lambda: sum(len(a.body) for a in client.answers.values()) == 65535)  # the connection's window
    other = Client(agent.ip)
    assert other.ask("GET", "/v1/kv/big?raw").body == value
    assert memory(agent) - before < 30 << 20  # of 120 MB
    client.grant = True
    client.h2.increment_flow_control_window(1 << 24)
    for number in numbers:
        client.h2.increment_flow_control_window(1 << 20, number)
    client.flush()
    for number in numbers:
        assert client.get(number, 120).body == value


@pytest.mark.parametrize("also", [b"", frame(h2c.PING, 0, 0, b"12345678"), frame(h2c.SETTINGS)], ids=["", "PING", "SETTINGS"])
def test_who_reads_nothing(also, secure, praetor):
    """Not even from its socket, while it asks on: what is kept for it has an end."""
    agent = secure(praetor)
    value = os.urandom(500000)
    agent.put("/v1/kv/big", value)
    before = memory(agent)
    raw = Raw(agent.ip, settings=b"\0\4\x7f\xff\xff\xff")
    raw.send(frame(h2c.WINDOW_UPDATE, 0, 0, b"\x7f\xff\x00\x00"))
    raw.sock.settimeout(10)  # what is not taken in that time is not taken any more
    sent, thrown_out = 0, False
    try:
        for i in range(20000):
            raw.sock.sendall(frame(h2c.HEADERS, 5, 1 + 2 * i, head("GET", "/v1/kv/big?raw")) + also)
            sent = i
    except (TimeoutError, socket.timeout):
        pass
    except OSError:
        thrown_out = True
    assert sent > 250
    assert thrown_out or also  # refusals wait for him, up to a number; of the others the connection's end is the last word
    assert Client(agent.ip).ask("GET", "/v1/kv/big?raw").body == value
    assert memory(agent) - before < 40 << 20
    raw.close()


def test_bodies_wait_for_handlers(secure, praetor):
    """Nobody reads the bodies of waiting queries: their windows stay closed."""
    agent = secure(praetor)
    client = Client(agent.ip)
    number = client.send("GET", "/v1/kv/none?wait=60s&index=10000000", end=False)
    client.wait(lambda: client.h2.local_flow_control_window(number) > 900000)
    sent = 0
    while client.h2.local_flow_control_window(number) > 0:
        piece = min(16384, client.h2.local_flow_control_window(number))
        client.h2.send_data(number, b"x" * piece)
        client.flush()
        sent += piece
    assert sent <= 1 << 20
    assert not client.read_some(0.3) or client.h2.local_flow_control_window(number) == 0
    client.reset(number)
    assert client.ask("PUT", "/v1/kv/x", b"y" * 500000).body == b"true"  # the connection's window is given back


# ---- who means no good ----

BASE = [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/v1/status/leader")]
PUT = [(":method", "PUT"), (":scheme", "https"), (":authority", "x"), (":path", "/v1/kv/a")]


def without(name, *more):
    return fields(*[pair for pair in BASE if pair[0] != name], *more)


def headers(block, flags=5, stream=1):
    return frame(h2c.HEADERS, flags, stream, block)


def long_head(block, size=16384):
    parts = [block[i:i + size] for i in range(0, len(block), size)]
    out = headers(parts[0], 1)
    for i, part in enumerate(parts[1:], 2):
        out += frame(h2c.CONTINUATION, 4 if i == len(parts) else 0, 1, part)
    return out


HOSTILE = {
    "no method": (headers(without(":method")), ("reset", 1)),
    "no path": (headers(without(":path")), ("reset", 1)),
    "blank in path": (headers(without(":path", (":path", "/a b"))), ("reset", 1)),
    "line end in path": (headers(without(":path", (":path", "/ HTTP/1.1\r\nx: y"))), ("reset", 1)),
    "blank in method": (headers(fields((":method", "GET /a"), *BASE[1:])), ("reset", 1)),
    "line end in method": (headers(fields((":method", "G\r\n"), *BASE[1:])), ("reset", 1)),
    "line end in authority": (headers(without(":authority", (":authority", "x\r\ny: z"))), ("reset", 1)),
    "line end in value": (headers(fields(*BASE, ("x", "a\r\ny: z"))), ("reset", 1)),
    "bare line end in value": (headers(fields(*BASE, ("x", "a\ny: z"))), ("reset", 1)),
    "NUL in value": (headers(fields(*BASE, ("x", "a\0"))), ("reset", 1)),
    "colon in name": (headers(fields(*BASE, ("x: y", "a"))), ("reset", 1)),
    "upper case": (headers(fields(*BASE, ("Foo", "a"))), ("reset", 1)),
    "path twice": (headers(fields(*BASE, (":path", "/"))), ("reset", 1)),
    "late pseudo": (headers(without(":path", ("x", "y"), (":path", "/"))), ("reset", 1)),
    "unknown pseudo": (headers(fields(*BASE, (":x", "y"))), ("reset", 1)),
    "transfer-encoding": (headers(fields(*PUT, ("transfer-encoding", "chunked")), 4) + frame(h2c.DATA, 1, 1, b"0\r\n\r\n"),
                          ("reset", 1)),
    "connection": (headers(fields(*BASE, ("connection", "close"))), ("reset", 1)),
    "two lengths": (headers(fields(*PUT, ("content-length", "1"), ("content-length", "2")), 4), ("reset", 1)),
    "more than the length": (headers(fields(*PUT, ("content-length", "3")), 4) + frame(h2c.DATA, 1, 1, b"abcGET / HTTP/1.1\r\n\r\n"),
                             ("reset", 1)),
    "less than the length": (headers(fields(*PUT, ("content-length", "9")), 4) + frame(h2c.DATA, 1, 1, b"abc"), ("reset", 1)),
    "head too large": (long_head(fields(*BASE, *[("x%d" % i, "v" * 20000) for i in range(60)])), ("status", "431")),
    "too many fields": (long_head(fields(*BASE, *[("a", "b")] * 5000)), ("status", "431")),
    "head of 500 kB": (long_head(fields(*BASE, *[("x%d" % i, "v" * 20000) for i in range(25)])), ("status", "200")),
    "endless head": (headers(fields(*BASE), 1) + frame(h2c.CONTINUATION, 0, 1, fields(("a", "b"))) * 1000, ("closed",)),
    "bad HPACK": (headers(b"\xff\xff\xff\xff\xff\xff"), ("goaway", 9)),
    "even number": (headers(fields(*BASE), 5, 2), ("goaway", 1)),
    "number 0": (headers(fields(*BASE), 5, 0), ("goaway", 1)),
    "DATA of nobody": (frame(h2c.DATA, 1, 1, b"x"), ("goaway", 1)),
    "RST of nobody": (frame(h2c.RST_STREAM, 0, 1, b"\0\0\0\0"), ("goaway", 1)),
    "window of 0": (frame(h2c.WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), ("goaway", 1)),
    "window too large": (frame(h2c.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), ("goaway", 3)),
    "bad SETTINGS": (frame(h2c.SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff"), ("goaway", 3)),
    "SETTINGS of 3 bytes": (frame(h2c.SETTINGS, 0, 0, b"\0\4\xff"), ("goaway", 6)),
    "PING of 3 bytes": (frame(h2c.PING, 0, 0, b"abc"), ("goaway", 6)),
    "PUSH_PROMISE": (frame(h2c.PUSH_PROMISE, 4, 1, b"\0\0\0\2" + fields(*BASE)), ("goaway", 1)),
    "CONTINUATION of nothing": (frame(h2c.CONTINUATION, 4, 1, fields(*BASE)), ("goaway", 1)),
    "PING within a head": (frame(h2c.HEADERS, 1, 1, fields(*BASE)) + frame(h2c.PING, 0, 0, b"12345678"), ("goaway", 1)),
    "frame too large": (frame(h2c.DATA, 0, 1, b"x" * 1048577), ("goaway", 6)),
    "PING flood": (frame(h2c.PING, 0, 0, b"12345678") * 3000, ("goaway", 11)),
    "SETTINGS flood": (frame(h2c.SETTINGS) * 3000, ("goaway", 11)),
    "PRIORITY flood": (frame(h2c.PRIORITY, 0, 1, b"\0\0\0\0\1") * 3000, ("goaway", 11)),
    "flood of nothing": (headers(fields(*PUT), 4) + frame(h2c.DATA, 0, 1) * 3000, ("goaway", 11)),
}


def test_hostile_frames(secure, praetor_asan):
    agent = secure(praetor_asan)
    wrong = []
    for name, (frames, expected) in HOSTILE.items():
        raw = Raw(agent.ip)
        raw.send(frames)
        got = raw.outcome()
        if got != expected:
            wrong.append((name, got, expected))
        if got[0] == "goaway":
            while raw.next() is not None:
                pass
            assert raw.ended, name + ": the connection stays open"
        raw.close()
    assert not wrong, wrong
    assert Client(agent.ip).ask("GET", "/v1/kv/a").status == 404
    expect_clean_stop(agent)


def test_rapid_reset(secure, praetor_asan):
    """CVE-2023-44487: requests that are taken back at once."""
    agent = secure(praetor_asan)
    raw = Raw(agent.ip)
    for i in range(3000):
        number = 1 + 2 * i
        if not raw.send(headers(head("GET", "/v1/kv/none?wait=60s&index=1000000"), 5, number),
                        frame(h2c.RST_STREAM, 0, number, b"\0\0\0\x08")):
            break
    while not raw.ended:
        assert raw.next() is not None or raw.ended
    raw.close()
    assert Client(agent.ip).ask("GET", "/v1/status/leader").status == 200
    expect_clean_stop(agent)


def test_no_preface(secure, praetor_asan):
    agent = secure(praetor_asan, config={"limits": {"http_max_conns_per_client": 0, "https_handshake_timeout": "4s"}})
    raw = Raw(agent.ip, preface=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    while raw.next() is not None:
        pass
    assert raw.ended
    began = time.monotonic()
    silent = h2c.connect(agent.ip)
    while silent.recv(1000):
        pass
    assert time.monotonic() - began > 3
    # Who has begun may be silent as long as he likes.
    client = Client(agent.ip)
    assert client.ask("GET", "/v1/status/leader").status == 200
    assert not client.read_some(6) and not client.closed
    assert client.ask("GET", "/v1/status/leader").status == 200
