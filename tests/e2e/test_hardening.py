"""Who means no good, port by port: slow clients, limits, what two readers could read differently, line ends in what comes back,
tricks with paths, answers that hit others, http_config. What each line of docs/security.md names is here or there."""

import http.client
import json
import os
import select
import socket
import struct
import subprocess
import time

import pytest

from e2e import hostile
from e2e.harness import PORTS, TERMINATED, until
from e2e.rpc_wire import encode, snapshot

HTTPS = hostile.HTTPS
MASTER = {"X-Consul-Token": "root"}
ACL = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": "root"}}}


def connect(agent, port=PORTS["http"], source="127.0.0.1", timeout=60):
    return socket.create_connection((agent.ip, port), timeout, (source, 0))


def talk(agent, data, port=PORTS["http"], timeout=60):
    """All that comes back on a connection with those bytes."""
    with connect(agent, port, timeout=timeout) as link:
        link.sendall(data)
        out = b""
        try:
            while piece := link.recv(65536):
                out += piece
        except ConnectionResetError:
            pass
        return out


def ended(link):
    """Whether the other side has closed it, looking without waiting; what has come is thrown away."""
    look = select.poll()  # its number may be beyond what select() takes
    look.register(link, select.POLLIN)
    while look.poll(0):
        try:
            if link.recv(65536) == b"":
                return True
        except OSError:
            return True
    return False


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    config = hostile.certificate(str(tmp_path_factory.mktemp("certificate")))
    return dict(config, ports=dict(PORTS, https=HTTPS, grpc=-1))


# ---- slow clients ----

def test_who_is_slow(agents, praetor_asan):
    """A head has a minute from its first byte, a body a minute for each 16 KiB; handlers and idle connections have all time."""
    agent = agents(praetor_asan).start()
    cut, kept = {}, {}
    cut["head"], dribble = connect(agent), b"GET /v1/kv/a HTTP/1.1\r\nHost: x\r\nX: "
    cut["head"].sendall(dribble)
    cut["body"] = connect(agent)
    cut["body"].sendall(b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    cut["chunks"] = connect(agent)
    cut["chunks"].sendall(b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n")
    cut["unwanted body"] = connect(agent)
    cut["unwanted body"].sendall(b"GET /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    cut["no body"] = connect(agent)
    cut["no body"].sendall(b"PUT /v1/txn HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    kept["waiting"] = connect(agent)  # its head comes in two pieces
    kept["waiting"].sendall(b"GET /v1/kv/none?index=100000&wait=200s HTTP/1.1\r\nHo")
    kept["idle"] = connect(agent)
    kept["silent"] = connect(agent)
    kept["idle"].sendall(b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n")
    kept["steady"] = connect(agent)
    kept["steady"].sendall(b"PUT /v1/kv/steady HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n")
    time.sleep(0.2)
    kept["waiting"].sendall(b"st: x\r\n\r\n")
    assert b"200 OK" in kept["idle"].recv(65536)
    assert b"404" in cut["unwanted body"].recv(65536)
    began, gone, left, lost = time.monotonic(), {}, 400000, 0
    while time.monotonic() < began + 75 + lost and len(gone) < len(cut):
        round_began = time.monotonic()
        for name, link in cut.items():
            if name in gone:
                continue
            try:
                if name != "no body":
                    link.sendall(b"1")
            except OSError:
                pass
            if ended(link):
                gone[name] = time.monotonic() - began
        kept["steady"].sendall(b"s" * 2000)
        left -= 2000
        assert agent.get("/v1/status/leader").status == 200
        time.sleep(1)
        lost += max(0, time.monotonic() - round_began - 1.2)  # what the machine did not give to the agent, or to us
    assert set(gone) == set(cut), (gone, "are cut off, the others not")
    assert all(55 < seconds < 70 + lost for seconds in gone.values()), (gone, lost)
    assert not any(ended(kept[name]) for name in ("waiting", "idle", "silent"))
    kept["steady"].sendall(b"s" * left)
    assert b"200 OK" in kept["steady"].recv(1000)
    for link in [*cut.values(), *kept.values()]:
        link.close()
    assert agent.stop() == TERMINATED


def test_handshakes_have_their_time(agents, praetor_asan, certified):
    """On the HTTPS port and, of both kinds, on the server port: silent, half a hello, a hello and nothing more."""
    limits = {"https_handshake_timeout": "1s", "rpc_handshake_timeout": "1s"}
    agent = agents(praetor_asan, config=dict(certified, limits=limits)).start()
    hello, began = hostile.HELLO, time.monotonic()
    links = [connect(agent, HTTPS) for _ in range(3)] + [connect(agent, PORTS["server"]) for _ in range(6)]
    for link, data in zip(links, (b"", hello[:60], hello, b"", b"\x03", b"\x03" + hello[:60], b"\x03" + hello, b"\x07" + hello[:60], b"\x07")):
        try:
            link.sendall(data)
        except OSError:
            pass  # its time is over already
    until("all are cut off", lambda: all(ended(link) for link in links))
    assert time.monotonic() - began > 0.5
    assert agent.get("/v1/status/leader").status == 200
    assert agent.stop() == TERMINATED


# ---- limits ----

def test_one_client_leaves_room_for_others(agents, praetor_asan, certified):
    """Default limits: 200 connections of one address on HTTP and HTTPS together, handshakes not done included; 100 on the
    server port, 256 of DNS over TCP, 64 of gossip. Thousands that come leave others as they were."""
    agent = agents(praetor_asan, config=dict(certified, limits={})).start()
    greedy = "127.90.2.1"
    opened = []
    for port in (HTTPS, PORTS["http"], PORTS["server"], PORTS["dns"], PORTS["serf_lan"]):
        for _ in range(500):
            try:
                link = connect(agent, port, greedy)
            except OSError:
                continue
            if port == HTTPS:
                try:
                    link.sendall(hostile.HELLO[:50])
                except OSError:
                    pass
            opened.append((port, link))
    def open_of(port):
        with open("/proc/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table][1:]
        local = "%08X:%04X" % (struct.unpack("=I", socket.inet_aton(agent.ip))[0], port)
        return sum(1 for row in rows if row[1] == local and row[3] == "01" and row[2].startswith(
            "%08X" % struct.unpack("=I", socket.inet_aton(greedy))[0]))
    for port, most in ((HTTPS, 200), (PORTS["server"], 100), (PORTS["dns"], 256), (PORTS["serf_lan"], 64)):
        until("port %d has no more than %d" % (port, most), lambda: open_of(port) <= most)
    until("HTTP and HTTPS have no more than 200", lambda: open_of(HTTPS) + open_of(PORTS["http"]) <= 200)
    other = http.client.HTTPSConnection(agent.ip, HTTPS, timeout=60, source_address=("127.90.2.2", 0), context=hostile.trusting())
    other.request("GET", "/v1/status/leader")
    assert other.getresponse().status == 200
    with connect(agent, PORTS["dns"], "127.90.2.2") as link:
        query = hostile.question("consul", 6)
        link.sendall(struct.pack(">H", len(query)) + query)
        assert len(link.recv(1000)) > 12
    with connect(agent, PORTS["server"], "127.90.2.2") as link:
        assert not ended(link)
    for _, link in opened:
        link.close()
    assert agent.stop() == TERMINATED


def test_descriptors_are_kept_for_the_log(agents, praetor_asan):
    """However many come, from however many addresses: writes go on."""
    agent = agents(praetor_asan, config={"limits": {"http_max_conns_per_client": 80, "rpc_max_conns_per_client": 80}})
    agent.prefix = ["prlimit", "--nofile=512:512"]
    agent.start()
    kept = http.client.HTTPConnection(agent.ip, PORTS["http"], timeout=60)
    kept.connect()
    links = []
    for tail in range(20):
        for port in (PORTS["http"], PORTS["server"], PORTS["dns"]):
            for _ in range(40):
                link = socket.socket()
                link.setblocking(False)
                link.bind(("127.90.3.%d" % (tail + 1), 0))
                link.connect_ex((agent.ip, port))
                links.append(link)
    for i in range(30):
        kept.request("PUT", "/v1/kv/k%d" % i, body=b"v" * 300000)
        answer = kept.getresponse()
        assert answer.read() == b"true" and answer.status == 200
    for link in links:
        link.close()
    until("others are let in again", lambda: answers(agent))
    assert agent.stop() == TERMINATED


# ---- what is written before anybody may ----

def size_of_files(agent):
    """Bytes of files that the agent has open without a name."""
    total, folder = 0, "/proc/%d/fd" % agent.proc.pid
    for name in os.listdir(folder):
        try:
            if os.readlink(os.path.join(folder, name)).endswith("(deleted)"):
                total += os.stat(os.path.join(folder, name)).st_blocks * 512
        except OSError:
            pass
    return total


def send_without_end(ip, path):
    """An archive of 13 MB by somebody without a token; the connection, which is to be closed by the caller."""
    link = socket.create_connection((ip, PORTS["http"]), timeout=60)
    link.sendall(b"PUT %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode())
    try:
        for _ in range(200):
            link.sendall(b"10000\r\n" + b"z" * 65536 + b"\r\n")
    except OSError:
        pass  # has been told, and is not listened to any more
    return link


def test_archives_of_strangers_are_not_kept(agents, praetor_asan, peer):
    """An archive to restore goes to disk: not before its sender may restore it. Over HTTP the answers are the peer's (which
    leaves the archive of a stranger on its server port unread, so that its answer is lost more often than not)."""
    ours, theirs = (agents(binary, config=ACL, name=os.path.basename(binary) + "-n") for binary in (praetor_asan, peer))
    for agent in (ours, theirs):
        agent.launch()
        until("it leads", lambda: answers_master(agent))
    for headers in ({}, {"X-Consul-Token": "nobody"}, MASTER):
        got, want = (agent.put("/v1/snapshot", b"x" * 1000, headers=headers) for agent in (ours, theirs))
        assert (got.status, got.text) == (want.status, want.text)
        request = encode({"Datacenter": "dc1", "Token": headers.get("X-Consul-Token", ""), "Op": 1})
        assert snapshot(ours.ip, request, b"x" * 1000)[0].get(b"Error") == got.text.encode(), headers
    before = size_of_files(ours)
    rpc = connect(ours, PORTS["server"])
    rpc.sendall(b"\x05" + encode({"Datacenter": "dc1", "Token": "", "Op": 1}))
    link = send_without_end(ours.ip, "/v1/snapshot")
    for _ in range(200):
        rpc.sendall(b"z" * 65536)
    assert size_of_files(ours) - before < 1 << 20
    rpc.shutdown(socket.SHUT_WR)
    assert b"Permission denied" in rpc.recv(65536)
    link.close()
    rpc.close()
    assert ours.stop() == TERMINATED


def answers_master(agent):
    """It leads, and has made the anonymous token."""
    try:
        return agent.get("/v1/kv/none", headers=MASTER, timeout=2).status == 404 and \
            agent.get("/v1/acl/token/00000000-0000-0000-0000-000000000002", headers=MASTER, timeout=2).status == 200
    except OSError:
        return False


# ---- two readers ----

SMUGGLED = [
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0x4\r\n\r\nabcd",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\nabcd",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabcd",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551617\r\n\r\na",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nX\0: y\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\na\r\n0\r\n\r\n",
]


def test_no_request_within_another(agents, praetor_asan):
    """Where it is not sure where a message ends, it is refused and what follows is not looked at."""
    agent = agents(praetor_asan).start()
    agent.put("/v1/kv/bait", b"there")
    for message in SMUGGLED:
        got = talk(agent, message + b"DELETE /v1/kv/bait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert got.split(b"\r\n")[0] in (b"HTTP/1.1 400 Bad Request", b"HTTP/1.1 501 Not Implemented") or \
            got.startswith(b"HTTP/1.1 400 Bad Request:"), (message, got[:200])
        assert got.count(b"HTTP/1.1 ") == 1 and b"Connection: close" in got, (message, got[:400])
        assert agent.get("/v1/kv/bait?raw").body == b"there", message
    assert agent.stop() == TERMINATED


# ---- line ends in what comes back ----

def head_lines(answer):
    return answer.split(b"\r\n\r\n")[0].split(b"\r\n")


def test_no_header_is_made_by_a_client(agents, praetor_asan):
    """Line ends in paths, queries, names, values and outputs of checks: never a line of their own."""
    agent = agents(praetor_asan, config={"ui": True}).start()
    evil = "%0d%0aSet-Cookie:%20evil=1%0d%0a%0d%0a"
    agent.put("/v1/agent/service/register", {"Name": "web", "Check": {"TTL": "60s", "Status": "critical"}})
    agent.put("/v1/agent/check/update/service:web", {"Status": "warning", "Output": "a\r\nSet-Cookie: evil=1\r\n\r\n"})
    for path in ("/ui" + evil, "/" + evil, "//" + evil, "/v1/kv/../" + evil, "/v1//kv/" + evil, "/v1/kv/a?x=" + evil, "/v1/kv/" + evil,
                 "/v1/agent/health/service/name/" + evil, "/v1/agent/health/service/id/" + evil + "?format=text",
                 "/v1/agent/health/service/name/web?format=text", "/v1/agent/health/service/id/web", "/v1/agent/service/" + evil,
                 "/v1/catalog/service/" + evil + "?cached", "/v1/query/" + evil + "/execute", "/v1/agent/monitor?loglevel=" + evil):
        for method in (b"GET", b"HEAD", b"OPTIONS", b"POST"):
            got = talk(agent, method + b" " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 ") and not any(b"evil" in line and line.startswith(b"Set-Cookie") for line in head_lines(got)), path
            assert not any(line[:10].lower() == b"set-cookie" for line in head_lines(got)), (path, got[:300])
    # Bare ones do not even get so far.
    for path in (b"/v1/kv/a\rSet-Cookie:x", b"/v1/kv/a\x0bb", b"/v1/kv/\x7f"):
        assert talk(agent, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert agent.stop() == TERMINATED


def test_configured_headers_stay_lines(agents, praetor_asan):
    agent = agents(praetor_asan, config={"http_config": {"response_headers": {
        "X-Two": "a\r\nX-Three: b", "bad name": "x", "x-frame-options": "DENY"}}}).start()
    for path in ("/v1/kv/a", "/v1/nothing", "/"):
        got = talk(agent, b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        lines = head_lines(got)
        assert not any(line.startswith((b"X-Three", b"bad name")) for line in lines), lines
        if path == "/v1/kv/a":
            assert b"X-Frame-Options: DENY" in lines and b"X-Two: a  X-Three: b" in lines
    assert agent.stop() == TERMINATED


# ---- paths ----

def test_no_way_out_of_the_page(agents, praetor_asan, tmp_path):
    """ui_dir: what is above it stays unseen, however it is spelt; not through names with a NUL either."""
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("the page")
    (tmp_path / "secret.html").write_text("the secret")
    agent = agents(praetor_asan, config={"ui_dir": str(page), "disable_http_unprintable_char_filter": True}).start()
    dots = ["..", "%2e%2e", ".%2e", "%2e.", "..%00", "%252e%252e", "..%5c", "..;", "%c0%ae%c0%ae", "....//..", "%2e%2e%2f%2e%2e"]
    slashes = ["/", "%2f", "//", "\\", "%5c", "/./", "%252f"]
    for dot in dots:
        for slash in slashes:
            for base in ("/ui/", "/ui/index.html/", "/ui/a/%2e%2e/", "/ui//", "/ui/%2f"):
                target = base + dot + slash + "secret.html"
                got = talk(agent, b"GET " + target.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert got.startswith(b"HTTP/1.1 ") and b"the secret" not in got, (target, got[:200])
    for target in ("/ui/..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd", "/ui/%2fetc/passwd", "/ui//etc/passwd", "/ui/index.html%00.png"):
        got = talk(agent, b"GET " + target.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"root:" not in got, target
    os.symlink("/etc/passwd", page / "link.html")  # who may write the folder may show what he likes: as the peer
    assert agent.get("/ui/").body == b"the page"
    assert agent.stop() == TERMINATED


def test_keys_are_only_keys(agents, praetor_asan, peer):
    """Dots, slashes, NULs and blanks in keys: the same keys and answers as the peer's, and nothing beside the store."""
    ours, theirs = (agents(binary, name=os.path.basename(binary)).start() for binary in (praetor_asan, peer))
    tricks = ["%2e%2e/%2e%2e/etc/passwd", "..%2fx", "a/%2e%2e/b", "a/./b", "a//b", "%2fa", "a%2f", "a%00b", "%00", "a%0d%0ab", "a%09b", "%ff%fe",
              "%", "%z", "a?raw", "a;b", "a%3fb", "a%23b", "%20", "a+b", "~", "*", "%2a", "k" * 600, "..", ".", "../kv/x", "%2e%2e/catalog/nodes"]
    for key in tricks:
        for method, body in (("PUT", b"v"), ("GET", None), ("DELETE", None)):
            answers = []
            for agent in (ours, theirs):
                got = agent.request(method, "/v1/kv/" + key, body=body)
                text = got.text if method != "GET" or got.status != 200 else json.dumps([
                    (e["Key"], e["Value"]) for e in got.json] if got.body.startswith(b"[{\"Lock") else got.text)
                answers.append((got.status, text.replace(agent.ip, "IP"), got.headers.get("Location")))
            assert answers[0] == answers[1], (method, key, answers)
    assert ours.get("/v1/kv/?keys").text == theirs.get("/v1/kv/?keys").text
    assert ours.stop() == TERMINATED


# ---- http_config ----

def test_http_config(agents, praetor_asan, peer):
    """Blocked endpoints and addresses that may not write, also under other spellings of the path."""
    config = {"http_config": {"block_endpoints": ["/v1/agent/self", "/v1/kv"], "allow_write_http_from": ["127.90.4.0/24"]}}
    ours, theirs = (agents(binary, config=config, name=os.path.basename(binary)) for binary in (praetor_asan, peer))
    for agent in (ours, theirs):
        agent.launch()
        until("it answers", lambda: leads(agent))
    for method, path, source in [("GET", "/v1/agent/self", "127.0.0.1"), ("GET", "/v1/agent/%73elf", "127.0.0.1"),
                                 ("GET", "/v1/agent//self", "127.0.0.1"), ("GET", "/v1/agent/./self", "127.0.0.1"),
                                 ("GET", "/v1/agent/members/../self", "127.0.0.1"), ("GET", "/v1/kv/a", "127.0.0.1"),
                                 ("GET", "/V1/agent/self", "127.0.0.1"), ("PUT", "/v1/agent/force-leave/none", "127.0.0.1"),
                                 ("PUT", "/v1/agent/force-leave/none", "127.90.4.9"), ("PUT", "/v1/agent/force-leave/none", "127.90.5.9"),
                                 ("PUT", "/v1/session/create", "127.0.0.1"), ("DELETE", "/v1/kv/a", "127.90.4.1"),
                                 ("POST", "/v1/session/create", "127.0.0.1"), ("PUT", "/v1/session/create?x", "127.90.5.1")]:
        answers = []
        for agent in (ours, theirs):
            link = http.client.HTTPConnection(agent.ip, PORTS["http"], timeout=60, source_address=(source, 0))
            link.request(method, path, body=b"{}" if method in ("PUT", "POST") else None, headers={"X-Forwarded-For": "127.90.4.1"})
            got = link.getresponse()
            answers.append((got.status, got.read(), got.headers.get("Location")))
        assert answers[0] == answers[1], (method, path, source, answers)
    assert ours.stop() == TERMINATED


def answers(agent):
    try:
        return agent.get("/v1/status/leader").status == 200
    except OSError:
        return False


def leads(agent):
    try:
        return agent.get("/v1/status/leader", timeout=2).body.strip() not in (b'""', b"")
    except OSError:
        return False


# ---- scripts ----

def test_scripts_are_off(agents, praetor_asan, peer, tmp_path):
    """Not over HTTP, also when files of the configuration may have them; `consul exec` not at all. The refusals are the peer's."""
    mark = tmp_path / "mark"
    check = {"Name": "c", "Args": ["touch", str(mark)], "Interval": "1s"}
    for config in ({}, {"enable_local_script_checks": True}):
        answers = []
        for binary in (praetor_asan, peer):
            agent = agents(binary, config=config, name="%s%d" % (os.path.basename(binary), len(config))).start()
            answers.append([])
            for path, body in (("/v1/agent/check/register", check), ("/v1/agent/service/register", {"Name": "s", "Check": check}),
                               ("/v1/agent/service/register", {"Name": "s", "Checks": [check]})):
                got = agent.put(path, body)
                assert got.status >= 400 and "Scripts are disabled" in got.text, got.text
                answers[-1].append((got.status, got.text))
            if binary == praetor_asan:
                agent.put("/v1/kv/_rexec/x/job", json.dumps({"Command": "touch " + str(mark), "Wait": 10 ** 9}))
                agent.put("/v1/event/fire/_rexec", json.dumps({"Prefix": "_rexec", "Session": "x"}))
                until("the event has come", lambda: any(e["Name"] == "_rexec" for e in agent.get("/v1/event/list").json) or
                      "remote exec" in agent.tail(10 ** 6), 60)
            assert agent.stop() == TERMINATED
        assert answers[0] == answers[1]
    assert not mark.exists()


# ---- DNS ----

def test_answers_fit_what_was_asked(agents, praetor_asan):
    """Without EDNS at most 512 bytes for services, whatever type is asked; ANY is no more than the rest; garbage is not answered
    with more than it was. (The budget of a network, which loopback does not have: unit/dns/test_queries.c test_amplification.)"""
    agent = agents(praetor_asan).start()
    for i in range(100):
        assert agent.put("/v1/catalog/register", {"Node": "w%d" % i, "Address": "10.0.1.%d" % i, "NodeMeta": {"text": "t" * 200},
                                                  "Service": {"Service": "web", "Port": 80}}).status == 200
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(60)
        for kind in (1, 28, 33, 16, 255, 15, 6, 2):
            for edns, most in ((None, 512), (0, 512), (512, 512), (1232, 1232 + 15), (4096, 4096 + 15)):
                query = hostile.question("web.service.consul", kind, edns or 0)
                if edns is None:
                    query = query[:10] + b"\0\0" + query[12:-11]
                link.sendto(query, (agent.ip, PORTS["dns"]))
                answer = link.recv(65535)
                count = struct.unpack(">H", answer[6:8])[0]
                assert len(answer) <= most or count == 1, (kind, edns, len(answer))
        for answer in (b"\x12\x34\x80\0\0\1\0\0\0\0\0\0", b"\x12\x34"):  # answers, and less than a head: never answered
            link.sendto(answer, (agent.ip, PORTS["dns"]))
        link.sendto(hostile.question("web.service.example", 255), (agent.ip, PORTS["dns"]))
        refused = link.recv(65535)
        assert refused[3] & 15 == 5 and len(refused) <= len(hostile.question("web.service.example", 255))
    assert agent.stop() == TERMINATED


# ---- all of it at once ----

def test_soak(agents, praetor, tmp_path):
    agent = agents(praetor, config=hostile.configuration(str(tmp_path))).start()
    report = hostile.run(agent, 20)
    hostile.show(report)
    wrong = hostile.judge(report)
    assert not wrong, wrong
    assert agent.stop() == TERMINATED


# ---- the unit of systemd ----

def test_unit_is_tight():
    """What `systemd-analyze security` says of packaging/praetor.service: well below "medium"."""
    unit = os.path.join(os.path.dirname(__file__), "..", "..", "packaging", "praetor.service")
    try:
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", unit],
                              capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no systemd-analyze here")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
