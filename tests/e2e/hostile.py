"""Slow, broken and hostile clients on every port of an agent, while ordinary clients must see no error: the hostile soak.
`./dev soak hostile [--seconds N]` runs it for ten minutes; test_hardening.py for 20 seconds. The hostile come from addresses
of their own, with as many connections as they are given; each kind is a process."""

import argparse
import http.client
import json
import multiprocessing
import os
import random
import select
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

from e2e import h2_client as h2c
from e2e.h2_client import fields, frame
from e2e.harness import PORTS, Agent, until

HTTPS = 8501
BIG = 400000  # bytes of a value that is asked for and not read
HEAD = b"GET /v1/kv/big?raw HTTP/1.1\r\nHost: x\r\n\r\n"


# ---- what hostile clients have ----

class Sender:
    """One hostile address: opens connections as long as it is let, and counts what it has done."""

    def __init__(self, ip, source, seed):
        self.ip, self.source, self.rng = ip, source, random.Random(seed)
        self.links, self.opened, self.cut, self.sent = [], 0, 0, 0

    def connect(self, port, timeout=3.0):
        link = socket.socket()
        link.settimeout(timeout)
        link.bind((self.source, 0))
        try:
            link.connect((self.ip, port))
        except OSError:
            link.close()
            return None
        self.opened += 1
        return link

    def push(self, link, data):
        """Without waiting. False: cut off."""
        try:
            link.setblocking(False)
            self.sent += link.send(data)
            return True
        except BlockingIOError:
            return True
        except OSError:
            self.cut += 1
            link.close()
            return False

    def is_cut(self, link):
        """Looks whether the other side has ended it; what it has sent is left unread."""
        poll = select.poll()
        poll.register(link, select.POLLRDHUP)
        return bool(poll.poll(0))

    def keep(self, port, count, begin):
        """As many connections as `count`, new ones for those that were cut off."""
        alive = []
        for link in self.links:
            if self.is_cut(link):
                self.cut += 1
                link.close()
            else:
                alive.append(link)
        self.links = alive
        for _ in range(min(40, count - len(self.links))):
            link = self.connect(port)
            if link is None:
                return
            if begin(link):
                self.links.append(link)

    def noise(self, size):
        return self.rng.randbytes(self.rng.randrange(1, size))

    def broken(self, data):
        """What was right once."""
        data = bytearray(data)
        for _ in range(self.rng.randrange(1, 6)):
            at = self.rng.randrange(len(data))
            if self.rng.random() < 0.5:
                data[at] = self.rng.randrange(256)
            elif self.rng.random() < 0.5:
                del data[at:at + 4]
            else:
                data[at:at] = self.noise(8)
            data = data or bytearray(b"x")
        return bytes(data)

    def throw(self, port, data, reset=False):
        """One connection with that on it; what is answered is read for a moment."""
        link = self.connect(port)
        if link is None:
            return
        try:
            link.sendall(data)
            self.sent += len(data)
            if reset:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                link.settimeout(0.05)
                link.recv(4096)
        except OSError:
            pass
        link.close()


def trusting(*protocols):
    """Believes everybody; made without reading the system's authorities, which takes longer than a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def hello():
    """The first bytes of a handshake."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = trusting("h2", "http/1.1").wrap_bio(into, out)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


HELLO = hello()


# ---- the kinds; each function is one round, called again and again ----

def slow_heads(s):
    s.keep(PORTS["http"], 220, lambda link: s.push(link, b"GET /v1/kv/a HTTP/1.1\r\nHost: x\r\n"))
    s.links = [link for link in s.links if s.push(link, b"X-%d: y\r\n" % s.sent)]
    time.sleep(0.5)


def slow_bodies(s):
    s.keep(PORTS["http"], 220, lambda link: s.push(link, b"PUT /v1/kv/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n"))
    s.links = [link for link in s.links if s.push(link, b"z")]
    time.sleep(0.5)


def never_read(s):
    s.keep(PORTS["http"], 60, lambda link: s.push(link, HEAD * 50))
    s.links = [link for link in s.links if s.push(link, HEAD)]
    time.sleep(0.2)


def waits_and_leaves(s):
    waiting = b"GET /v1/kv/none?index=100000000&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n"
    s.keep(PORTS["http"], 150, lambda link: s.push(link, waiting))
    for link in s.links[:20]:
        link.close()
    del s.links[:20]
    time.sleep(0.1)


def broken_http(s):
    from e2e.test_bad_input import HTTP_SEEDS
    for _ in range(10):
        s.throw(PORTS["http"], s.broken(s.rng.choice(HTTP_SEEDS)), reset=s.rng.random() < 0.5)
    time.sleep(0.05)


def half_handshakes(s):
    """Of all connections that are let in; some with all of their hello, some with a part."""
    s.keep(HTTPS, 220, lambda link: s.push(link, HELLO[:s.rng.randrange(1, len(HELLO) + 1)]))
    time.sleep(0.2)


def broken_tls(s):
    for _ in range(5):
        kind = s.rng.randrange(4)
        data = (s.broken(HELLO), b"\x16\x03\x01" + s.noise(2000), HELLO + s.noise(500), HELLO)[kind]
        s.throw(HTTPS, data, reset=s.rng.random() < 0.3)
    time.sleep(0.05)


def http2_floods(s):
    head = h2c.head
    long = head("GET", "/v1/kv/none?wait=60s&index=1000000")
    floods = [
        frame(h2c.PING, 0, 0, b"12345678") * 3000,
        frame(h2c.SETTINGS) * 3000,
        frame(h2c.HEADERS, 1, 1, head()) + frame(h2c.CONTINUATION, 0, 1, fields(("a", "b"))) * 500,
        b"".join(frame(h2c.HEADERS, 5, 1 + 2 * i, long) + frame(h2c.RST_STREAM, 0, 1 + 2 * i, b"\0\0\0\x08") for i in range(1500)),
        b"".join(frame(h2c.HEADERS, 5, 1 + 2 * i, head("GET", "/v1/kv/big?raw")) for i in range(240)),
        s.noise(20000),
    ]
    link = s.connect(HTTPS)
    if link is None:
        return
    try:
        secure = trusting("h2").wrap_socket(link)
        secure.sendall(h2c.PREFACE + frame(h2c.SETTINGS) + s.rng.choice(floods))
        s.sent += 1
        secure.settimeout(0.2)
        secure.recv(100)
    except OSError:
        s.cut += 1
    link.close()
    time.sleep(0.1)


def rpc_port(s):
    first = [b"\x00", b"\x04", b"\x05", b"\x01", b"\x03" + HELLO[:40], b"\x03" + HELLO, b"\x07" + HELLO[:40], b"", b"\x04\x00\x00\x00\x01"]
    s.keep(PORTS["server"], 90, lambda link: s.push(link, s.rng.choice(first)) if s.rng.random() < 0.9 else True)
    for _ in range(5):
        data = s.rng.choice([b"\x04", b"\x00", b"\x05", b"\x01"]) + s.noise(3000)
        s.throw(PORTS["server"], data, reset=s.rng.random() < 0.5)
    for link in s.links[:5]:
        link.close()
    del s.links[:5]
    time.sleep(0.1)


def question(name, kind=255, edns=65535):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    opt = b"\0\0\x29" + struct.pack(">HIH", edns, 0, 0)
    return struct.pack(">HHHHHH", 4711, 0x0100, 1, 0, 0, 1) + labels + struct.pack(">HH", kind, 1) + opt


def dns_udp(s):
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind((s.source, 0))
    large = question("web.service.consul")
    for _ in range(40):
        data = large if s.rng.random() < 0.5 else s.broken(large) if s.rng.random() < 0.7 else s.noise(1500)
        link.sendto(data, (s.ip, PORTS["dns"]))
        s.sent += len(data)
    link.close()
    time.sleep(0.05)


def dns_tcp(s):
    large = question("web.service.consul")
    whole = struct.pack(">H", len(large)) + large
    s.keep(PORTS["dns"], 300, lambda link: s.push(link, s.rng.choice([b"", b"\0", whole[:9], whole * 100])))
    time.sleep(0.3)


def gossip_port(s):
    s.keep(PORTS["serf_lan"], 300, lambda link: s.push(link, s.rng.choice([b"\x06", b"\x0a\x00\x10\x00\x00", b"\x0a\xff\xff\xff\xff", b""])))
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind((s.source, 0))
    for _ in range(20):
        link.sendto(s.noise(1400), (s.ip, PORTS["serf_lan"]))
    link.close()
    for _ in range(3):
        s.throw(PORTS["serf_lan"], s.noise(5000), reset=True)
    time.sleep(0.2)


KINDS = [slow_heads, slow_bodies, never_read, waits_and_leaves, broken_http, half_handshakes, broken_tls, http2_floods, rpc_port,
         dns_udp, dns_tcp, gossip_port]


# ---- ordinary clients; each function is one request, and raises when it is not as it should be ----

def _ask(link, method, path, body=None):
    link.request(method, path, body=body)
    answer = link.getresponse()
    got = answer.read()
    assert answer.status == 200, (method, path, answer.status, got[:200])
    return got


def _plain(ip, source):
    return http.client.HTTPConnection(ip, PORTS["http"], timeout=60, source_address=(source, 0))


def _secure(ip, source):
    return http.client.HTTPSConnection(ip, HTTPS, timeout=60, source_address=(source, 0), context=trusting())


def http_kept(ip, source, state):
    link = state.setdefault("link", None) or _plain(ip, source)
    state["link"] = link
    state["n"] = state.get("n", 0) + 1
    assert _ask(link, "PUT", "/v1/kv/own", b"%d" % state["n"]) == b"true"
    assert _ask(link, "GET", "/v1/kv/own?raw") == b"%d" % state["n"]


def http_new(ip, source, state):
    link = _plain(ip, source)
    assert len(json.loads(_ask(link, "GET", "/v1/health/service/web?passing"))) == 10
    link.close()


def https_kept(ip, source, state):
    link = state.setdefault("link", None) or _secure(ip, source)
    state["link"] = link
    assert len(_ask(link, "GET", "/v1/kv/big?raw")) == BIG


def https_new(ip, source, state):
    link = _secure(ip, source)
    _ask(link, "GET", "/v1/status/leader")
    link.close()


def dns_client(ip, source, state):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind((source, 0))
        link.settimeout(5)  # as resolvers wait, and ask again: the kernel drops what comes while the agent does not run
        for left in (2, 1, 0):
            link.sendto(question("web.service.consul", 1, 4096), (ip, PORTS["dns"]))
            try:
                answer = link.recv(65535)
                break
            except TimeoutError:
                if not left:
                    raise
        flags, _, count = struct.unpack(">HHH", answer[2:8])
        assert flags & 15 == 0 and count == 10, (flags, count)


def dns_stream(ip, source, state):
    with socket.create_connection((ip, PORTS["dns"]), 60, (source, 0)) as link:
        data = question("web.service.consul", 33)
        link.sendall(struct.pack(">H", len(data)) + data)
        assert len(link.recv(65535)) > 100


def bystander(ip, source, state):
    """Nobody's client: 10 ms of work of its own. How long that takes is how busy the machine is, whoever is the cause."""
    end = time.process_time() + 0.01
    while time.process_time() < end:
        pass


CLIENTS = [http_kept, http_new, https_kept, https_new, dns_client, dns_stream, bystander]


# ---- the run ----

ENOUGH = 20  # requests of an ordinary client, for which a busy machine is given time


def _hostile(kind, ip, number, end, out):
    s = Sender(ip, "127.90.1.%d" % (number + 1), number)
    while time.monotonic() < end:
        try:
            kind(s)
        except OSError:
            pass  # cut off: as it should be
    out.put((kind.__name__, {"opened": s.opened, "cut off": s.cut, "bytes": s.sent}))


def _ordinary(client, ip, number, end, out):
    took, errors, state = [], [], {}
    while (time.monotonic() < end or len(took) < ENOUGH and time.monotonic() < end + 100) and len(errors) < 20:
        began = time.monotonic()
        try:
            client(ip, "127.91.1.%d" % (number + 1), state)
        except Exception as error:  # whatever it is, it is counted
            errors.append("%s: %s %s" % (client.__name__, type(error).__name__, error))
            state.clear()
        took.append(time.monotonic() - began)
        time.sleep(0.02)
    took.sort()
    at = lambda share: round(1000 * took[int(share * (len(took) - 1))], 1)
    out.put((client.__name__, {"requests": len(took), "errors": errors, "p50": at(0.5), "p99": at(0.99), "max": at(1)}))


def _status(agent, key):
    with open("/proc/%d/status" % agent.proc.pid) as handle:
        return next(int(line.split()[1]) for line in handle if line.startswith(key)) * 1024


def _files(agent):
    return len(os.listdir("/proc/%d/fd" % agent.proc.pid))


def certificate(folder):
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-keyout", key, "-out", cert, "-subj", "/CN=server.dc1.consul"], check=True, capture_output=True)
    return {"cert_file": cert, "key_file": key}


def configuration(folder):
    """Default limits, HTTPS, gossip encrypted, each answer logged nowhere."""
    return dict(certificate(folder), ports=dict(PORTS, https=HTTPS, grpc=-1), limits={}, log_level="ERR",
                encrypt="pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=")


def prepare(agent):
    agent.put("/v1/kv/big", b"b" * BIG)
    for i in range(10):
        agent.put("/v1/catalog/register", {"Node": "w%d" % i, "Address": "10.0.0.%d" % (i + 1), "NodeMeta": {"text": "t" * 200},
                                           "Service": {"Service": "web", "Port": 80}})


def run(agent, seconds, kinds=KINDS):
    """The report of a run against an agent that leads."""
    prepare(agent)
    files, memory = _files(agent), _status(agent, "VmRSS:")
    queue = multiprocessing.get_context("fork").Queue()
    end = time.monotonic() + seconds
    processes = [multiprocessing.get_context("fork").Process(target=_hostile, args=(kind, agent.ip, i, end - 1, queue), daemon=True)
                 for i, kind in enumerate(kinds)]
    processes += [multiprocessing.get_context("fork").Process(target=_ordinary, args=(client, agent.ip, i, end, queue), daemon=True)
                  for i, client in enumerate(CLIENTS)]
    for process in processes:
        process.start()
    report, highest = {}, [memory]
    while len(report) < len(processes):
        try:
            name, figures = queue.get(timeout=1)
            report[name] = figures
        except Exception:  # none has ended
            if time.monotonic() > end + 240:
                raise AssertionError("a client does not end")
        highest.append(_status(agent, "VmRSS:"))
    for process in processes:
        process.join(60)
    until("all descriptors are given back", lambda: _files(agent) <= files + 5, 180)
    half = len(highest) // 2
    report["memory"] = {"before": memory, "first half": max(highest[:half + 1]), "second half": max(highest[half:]),
                        "after": _status(agent, "VmRSS:")}
    return report


def show(report):
    memory = report["memory"]
    print("%-18s %10s %10s %14s" % ("hostile", "opened", "cut off", "bytes sent"))
    for name, f in report.items():
        if "opened" in f:
            print("%-18s %10d %10d %14d" % (name, f["opened"], f["cut off"], f["bytes"]))
    print("%-18s %10s %10s %8s %8s %8s" % ("ordinary", "requests", "errors", "p50 ms", "p99 ms", "max ms"))
    for name, f in report.items():
        if "requests" in f:
            print("%-18s %10d %10d %8.1f %8.1f %8.1f" % (name, f["requests"], len(f["errors"]), f["p50"], f["p99"], f["max"]))
            for line in f["errors"][:5]:
                print("    " + line)
    print("memory, MiB: " + ", ".join("%s %.1f" % (key, value / 1048576) for key, value in memory.items()))


def judge(report, p99=1000.0):
    """What is wrong with it; empty: nothing. p99: milliseconds, more on a machine that is so busy that the bystander's 10 ms of work
    take a tenth of that."""
    wrong, p99 = [], max(p99, 10 * report["bystander"]["p99"])
    for name, f in report.items():
        if "requests" in f:
            wrong += f["errors"]
            if f["p99"] > p99 and name != "bystander":
                wrong.append("%s: p99 is %.0f ms" % (name, f["p99"]))
            if f["requests"] < ENOUGH:
                wrong.append("%s: only %d requests" % (name, f["requests"]))
        elif "opened" in f and f["opened"] + f["bytes"] == 0:
            wrong.append("%s has done nothing" % name)
    memory = report["memory"]
    if memory["after"] > memory["before"] + (160 << 20):
        wrong.append("memory has grown from %d to %d" % (memory["before"], memory["after"]))
    if memory["second half"] > 1.3 * memory["first half"] + (64 << 20):
        wrong.append("memory goes on growing: %s" % memory)
    return wrong


def main():
    parser = argparse.ArgumentParser(description="ordinary clients among hostile ones")
    parser.add_argument("binary")
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        agent = Agent(options.binary, folder, config=configuration(folder))
        agent.start()
        try:
            report = run(agent, options.seconds)
        finally:
            agent.stop()
    show(report)
    wrong = judge(report)
    print("\n".join(wrong) or "all as it should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
