"""The built-in proxy (`connect proxy`, cli.md 2.7, connect.md 7.1): services that reach each other through proxies of both kinds and agents
of both kinds; who is let in and who is not; what changes while connections run; slow, silent and half-open clients."""

import hashlib
import json
import os
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from e2e.harness import _die_with_parent, until
from e2e.test_connect_envoy import in_order, run

MIB = 1 << 20


class Echo:
    """An application that gives back what it gets, until the end, and counts who came."""

    def __init__(self, ip, port, times=1):
        self.came, self.times = 0, times
        self.listener = socket.create_server((ip, port), backlog=512)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                link = self.listener.accept()[0]
            except OSError:
                return
            self.came += 1
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        with link:
            try:
                while data := link.recv(65536):
                    link.sendall(data * self.times)
                link.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # who waits in accept() holds it
        except OSError:
            pass
        self.listener.close()


class Proxy:
    """A `connect proxy` of either binary, and its log."""

    def __init__(self, binary, folder, agent, argv, name):
        self.path = os.path.join(str(folder), name + ".log")
        with open(self.path, "wb") as log:
            self.proc = subprocess.Popen([binary, "connect", "proxy", "-http-addr", agent.ip + ":8500", "-log-level", "TRACE", *argv],
                                         stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent)

    def log(self):
        with open(self.path, "rb") as handle:
            return handle.read().decode("utf-8", "replace")

    def says(self, text, times=1, seconds=150):  # watches that fail begin again after 5, 20, 45, 80 s
        until("%r of the proxy" % text, lambda: self.log().count(text) >= times or self.ended(text), seconds)

    def ended(self, text):
        if self.proc.poll() is not None:
            raise AssertionError("it ended with %s before it said %r: %s" % (self.proc.returncode, text, self.log()[-4000:]))

    def memory(self):
        with open("/proc/%d/status" % self.proc.pid) as handle:
            return int(re.search(r"VmRSS:\s+(\d+)", handle.read()).group(1)) * 1024

    def stop(self, number=signal.SIGINT):
        if self.proc.poll() is None:
            self.proc.send_signal(number)
        return self.proc.wait(60)


class Mesh:
    """An agent with the service db and its sidecar, and web with its own, whose upstream db is."""

    def __init__(self, agent, folder):
        self.agent, self.folder, self.ip, self.proxies = agent, folder, agent.ip, []
        self.echo = Echo(self.ip, 9000)
        self.register_db()
        self.register_web([{"DestinationName": "db", "LocalBindAddress": self.ip, "LocalBindPort": 9100}])

    def put(self, path, body=b""):
        got = self.agent.put(path, body)
        assert got.status == 200, (path, got.text)

    def register_db(self, config=None):
        passing = [{"Name": "up", "TTL": "1h", "Status": "passing"}]
        config = dict({"local_connect_timeout_ms": 30000}, **(config or {}))  # by default a second, which a busy machine may need
        self.put("/v1/agent/service/register", {"Name": "db", "ID": "db1", "Address": self.ip, "Port": 9000, "Connect": {"SidecarService": {
            "Port": 9001, "Checks": passing, "Proxy": {"LocalServiceAddress": self.ip, "Config": config}}}})

    def register_web(self, upstreams):
        self.put("/v1/agent/service/register", {"Name": "web", "ID": "web1", "Address": self.ip, "Port": 9010, "Connect": {"SidecarService": {
            "Port": 9011, "Checks": [{"Name": "up", "TTL": "1h", "Status": "passing"}], "Proxy": {"Upstreams": upstreams}}}})

    def proxy(self, binary, *argv):
        proxy = Proxy(binary, self.folder, self.agent, argv, "proxy%d" % len(self.proxies))
        self.proxies.append(proxy)
        return proxy

    def both(self, db, web):
        made = self.proxy(db, "-sidecar-for", "db1"), self.proxy(web, "-proxy-id", "web1-sidecar-proxy")
        for one in made:
            one.says('listener="public listener"')
        made[1].says("9100->service:default/db")
        # The catalog has them a moment later than the agent, and who listens has its certificate a moment later, too.
        until("the catalog's db", lambda: self.agent.get("/v1/health/connect/db?passing").json)
        until("an answer", lambda: answers(self))
        return made

    def dial(self, port=9100):
        link = socket.create_connection((self.ip, port), 60)
        link.settimeout(60)
        return link

    def close(self):
        self.echo.close()
        for proxy in self.proxies:
            if proxy.proc.poll() is None:
                proxy.stop()


@pytest.fixture
def meshes(agents, tmp_path):
    made = []

    def make(binary, **more):
        made.append(Mesh(agents(binary, dev=True, **more).start(), tmp_path))
        return made[-1]
    yield make
    for mesh in made:
        mesh.close()
    for mesh in made:
        for proxy in mesh.proxies:
            log = proxy.log()
            assert "ERROR: AddressSanitizer" not in log and "runtime error:" not in log and "LeakSanitizer" not in log, log[-6000:]
            assert proxy.proc.returncode in (0, 1), (proxy.proc.returncode, log[-3000:])


def ask(link, text=b"hello"):
    link.sendall(text)
    got = b""
    while len(got) < len(text):
        more = link.recv(65536)
        if not more:
            break
        got += more
    return got


def answers(mesh, port=9100):
    try:
        with mesh.dial(port) as link:
            return ask(link) == b"hello"
    except OSError:
        return False


def refused(mesh, port=9100):
    """The connection is made, but nothing comes of it."""
    with mesh.dial(port) as link:
        try:
            return ask(link) == b""
        except OSError:
            return True


def transfer(link, size, end):
    """Sends that much and takes it back; whether it is the same."""
    block, sent, got = os.urandom(MIB), hashlib.sha256(), hashlib.sha256()

    def send():
        for _ in range(size // MIB):
            link.sendall(block)
            sent.update(block)
        if end:
            link.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    count = 0
    while count < size or end:
        data = link.recv(262144)
        if not data:
            break
        count += len(data)
        got.update(data)
    sender.join(60)
    return count == size and sent.digest() == got.digest()


def test_all_kinds(meshes, praetor, praetor_asan, peer):
    """Both agents, and proxies of both kinds at both ends."""
    for agent in (praetor, peer):
        mesh = meshes(agent)
        for db, web in ((praetor_asan, praetor_asan), (praetor, peer), (peer, praetor)):
            pair = mesh.both(db, web)
            for _ in range(3):
                assert answers(mesh)
            with mesh.dial() as link:
                assert transfer(link, 64 * MIB, end=False)
            links = [mesh.dial() for _ in range(50)]
            assert all(ask(link, b"%d" % i) == b"%d" % i for i, link in enumerate(links))
            for link in links:
                link.close()
            assert [one.stop() for one in pair] == [0, 0]
        mesh.close()


def test_half_open(meshes, praetor_asan):
    """A client that has said all it has to say still gets all that comes (the peer's proxy cuts it off)."""
    mesh = meshes(praetor_asan)
    mesh.both(praetor_asan, praetor_asan)
    with mesh.dial() as link:
        assert transfer(link, 64 * MIB, end=True)
    with mesh.dial() as link:
        link.shutdown(socket.SHUT_WR)
        assert link.recv(10) == b""


def test_intentions(meshes, praetor_asan, peer):
    mesh = meshes(praetor_asan)
    for web in (praetor_asan, peer):
        db, other = mesh.both(praetor_asan, web)
        with mesh.dial() as running:
            assert ask(running) == b"hello"
            before = mesh.echo.came
            made = mesh.agent.request("POST", "/v1/connect/intentions", body=json.dumps(
                {"SourceName": "web", "DestinationName": "db", "SourceType": "consul", "Action": "deny"})).json["ID"]
            until("the refusal", lambda: not answers(mesh))
            db.says('[ERROR] proxy.connect: authz call denied: service=db reason="Matched intention: DENY default/web => default/db')
            before = mesh.echo.came
            for _ in range(5):
                assert refused(mesh)
            assert mesh.echo.came == before  # nobody was dialled on behalf of who may not
            assert ask(running) == b"hello"  # what runs goes on
            assert mesh.agent.delete("/v1/connect/intentions/" + made).status == 200
            until("the way in", lambda: answers(mesh))
        assert db.stop() == 0 and other.stop() == 0


def tls_client(mesh, certificate=None, port=9001, folder=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(*certificate)
    return context.wrap_socket(mesh.dial(port), do_handshake_on_connect=True)


def files(folder, name, certificate, key):
    paths = [os.path.join(str(folder), name + end) for end in (".pem", ".key")]
    for path, text in zip(paths, (certificate, key)):
        with open(path, "w") as handle:
            handle.write(text)
    return paths


def refuses(connect):
    """With TLS 1.3 a client learns it with its first read."""
    try:
        with connect() as link:
            return ask(link) == b""
    except (ssl.SSLError, OSError):
        return True


def test_strangers(meshes, praetor_asan, tmp_path):
    """Without a certificate of the roots nobody reaches the application, not even by a connection."""
    mesh = meshes(praetor_asan)
    db, _ = mesh.both(praetor_asan, praetor_asan)
    before = mesh.echo.came
    leaf = mesh.agent.get("/v1/agent/connect/ca/leaf/web").json
    good = files(tmp_path, "good", leaf["CertPEM"], leaf["PrivateKeyPEM"])
    assert refuses(lambda: tls_client(mesh))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "s.key", "-out",
                    tmp_path / "s.pem", "-subj", "/CN=web", "-addext", "subjectAltName=URI:" + leaf["ServiceURI"], "-days", "2"],
                   check=True, capture_output=True)
    assert refuses(lambda: tls_client(mesh, (tmp_path / "s.pem", tmp_path / "s.key")))
    for bytes_ in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 100, os.urandom(3000), b""):
        with mesh.dial(9001) as link:
            link.sendall(bytes_)
            link.shutdown(socket.SHUT_WR)
            try:
                while link.recv(1000):
                    pass
            except OSError:
                pass
    assert mesh.echo.came == before
    assert db.proc.poll() is None
    with tls_client(mesh, good) as link:  # who has one comes in
        assert ask(link) == b"hello"
    assert mesh.echo.came == before + 1


def test_mistaken_identity(meshes, praetor_asan):
    """An instance that shows another service's certificate is not believed to be the upstream."""
    mesh = meshes(praetor_asan)
    web = mesh.both(praetor_asan, praetor_asan)[1]
    mesh.put("/v1/agent/service/register", {"Name": "false", "ID": "false", "Kind": "connect-proxy", "Address": mesh.ip, "Port": 9001,
                                            "Proxy": {"DestinationServiceName": "cache"}})
    mesh.register_web([{"DestinationName": "cache", "LocalBindAddress": mesh.ip, "LocalBindPort": 9101}])
    web.says("9101->service:default/cache")
    until("the false instance", lambda: mesh.agent.get("/v1/health/connect/cache?passing").json)
    leaf = mesh.agent.get("/v1/agent/connect/ca/leaf/db").json["ServiceURI"]
    refused_because(mesh, web, "peer certificate mismatch got %s, want spiffe:///ns/default/dc/dc1/svc/cache" % leaf)
    assert mesh.agent.put("/v1/agent/service/deregister/false").status == 200
    until("its end", lambda: not mesh.agent.get("/v1/health/connect/cache?passing").json)
    refused_because(mesh, web, "no healthy instances found")


def refused_because(mesh, web, reason):
    """Never let in; and that is said to be the reason, once the proxy has heard of it, too."""
    def said():
        assert refused(mesh, 9101)
        return 'proxy.upstream: failed to dial: error="%s"' % reason in web.log()
    until(reason, said, 60)


def test_changed_registration(meshes, praetor_asan):
    """Upstreams come and go; what stays is not disturbed."""
    mesh = meshes(praetor_asan)
    web = mesh.both(praetor_asan, praetor_asan)[1]
    db = {"DestinationName": "db", "LocalBindAddress": mesh.ip}
    with mesh.dial() as running:
        assert ask(running) == b"hello"
        mesh.register_web([dict(db, LocalBindPort=9100), dict(db, LocalBindPort=9101), dict(db, LocalBindPort=9102)])
        until("the new listeners", lambda: answers(mesh, 9101) and answers(mesh, 9102))
        assert web.log().count("bind_addr=%s:9100" % mesh.ip) == 1
        mesh.register_web([dict(db, LocalBindPort=9101)])
        for port in (9100, 9102):
            def gone():
                try:
                    mesh.dial(port).close()
                    return False
                except ConnectionRefusedError:
                    return True
            until("the end of %d" % port, gone)
        assert answers(mesh, 9101)
        assert ask(running) == b"hello"  # of a listener that is no more
    taken = socket.create_server((mesh.ip, 9103))
    mesh.register_web([dict(db, LocalBindPort=9101), dict(db, LocalBindPort=9103)])
    web.says("bind: address already in use")
    taken.close()
    until("the address that was taken", lambda: answers(mesh, 9103))


def test_rotation(meshes, praetor_asan, peer):
    """New roots and certificates while connections run."""
    mesh = meshes(praetor_asan)
    db, web = mesh.both(praetor_asan, praetor_asan)
    third = mesh.proxy(peer, "-service", "web", "-upstream", "db:%s:9105" % mesh.ip)
    third.says("Parsed TLS identity")
    until("an answer of the third's", lambda: answers(mesh, 9105))
    with mesh.dial() as running, mesh.dial(9105) as other:
        assert ask(running) == ask(other) == b"hello"
        key = subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], check=True, capture_output=True).stdout.decode()
        mesh.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": {"PrivateKey": key}})
        until("the agent has both roots", lambda: len(mesh.agent.get("/v1/agent/connect/ca/roots").json["Roots"]) == 2)
        for one in (db, web):
            until("both roots", lambda: re.search(r"Parsed TLS identity: .*roots=\[[^ ]+, [^ ]+\]", one.log()) or
                  re.search(r"Parsed TLS identity: .*roots=\[[^ ]+ [^ ]+\]", one.log()), 150)
        end = time.monotonic() + 3
        while time.monotonic() < end:  # through all of the change
            assert answers(mesh) and answers(mesh, 9105)
            assert ask(running) == ask(other) == b"hello"
        for one in (db, web):
            one.says("Parsed TLS identity", times=3)
        assert answers(mesh) and answers(mesh, 9105)
        assert ask(running) == ask(other) == b"hello"


def test_slow_reader(meshes, praetor_asan, praetor):
    """Who does not read is waited for, with little memory, and nobody else waits."""
    mesh = meshes(praetor_asan)
    pair = mesh.both(praetor, praetor)
    before = [one.memory() for one in pair]
    links = [mesh.dial() for _ in range(4)]
    sent = []
    for link in links:
        link.settimeout(2)
        count = 0
        block = b"x" * MIB
        try:
            while count < 256 * MIB:
                count += link.send(block)
        except TimeoutError:
            pass
        sent.append(count)
        assert count < 256 * MIB  # it had to wait: all buffers of the kernel are full
    assert answers(mesh)
    for one, had in zip(pair, before):
        assert one.memory() - had < 24 * MIB, (one.memory(), had)
    for link, count in zip(links, sent):
        link.settimeout(60)
        link.shutdown(socket.SHUT_WR)
        got = 0
        while data := link.recv(MIB):
            got += len(data)
        assert got == count
        link.close()


def test_burst(meshes, praetor_asan):
    """Many at once, with an agent that takes few connections of one client."""
    mesh = meshes(praetor_asan, config={"limits": {"http_max_conns_per_client": 100}})
    mesh.both(praetor_asan, praetor_asan)
    for _ in range(2):
        links = [mesh.dial() for _ in range(300)]
        for i, link in enumerate(links):
            link.sendall(b"%03d" % i)
        for i, link in enumerate(links):
            assert link.recv(3) == b"%03d" % i
        for link in links:
            link.close()
    assert answers(mesh)


def test_silent_clients(meshes, praetor_asan):
    """Connections that do not begin, or stop in the middle, end by themselves: after the time that is configured, which is longer than
    the default of 10 s, so that a machine that is slow does not look as if it were right."""
    mesh = meshes(praetor_asan)
    mesh.register_db({"handshake_timeout_ms": 13000})
    mesh.both(praetor_asan, praetor_asan)
    before = mesh.echo.came
    began = time.monotonic()
    links = [mesh.dial(9001) for _ in range(100)]
    for link in links[::2]:
        link.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert answers(mesh)
    for link in links:
        try:
            while link.recv(100):
                pass
        except ConnectionResetError:
            pass
        link.close()
    assert time.monotonic() - began > 12
    assert mesh.echo.came == before + 1


def test_rude_clients(meshes, praetor_asan):
    """Connections that end at any moment, in any way, while registrations and intentions change: nobody falls, and all goes on after it."""
    mesh = meshes(praetor_asan)
    pair = mesh.both(praetor_asan, praetor_asan)
    began, seen = time.monotonic(), []
    db = {"DestinationName": "db", "LocalBindAddress": mesh.ip}

    def goes_on():
        """For a while, and until it was worth something."""
        return time.monotonic() - began < (8 if len(seen) > 100 else 120)

    def rude(seed):
        dice = random.Random(seed)
        while goes_on():
            try:
                link = socket.create_connection((mesh.ip, dice.choice((9100, 9100, 9100, 9101, 9001))), 2)
                link.settimeout(dice.choice((0.001, 0.02, 2)))
                if dice.random() < 0.3:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends with a reset
                for _ in range(dice.randrange(4)):
                    link.sendall(os.urandom(dice.choice((1, 100, 70000, 700000))))
                    if dice.random() < 0.5:
                        link.recv(dice.choice((1, 65536)))
                if dice.random() < 0.3:
                    link.shutdown(dice.choice((socket.SHUT_WR, socket.SHUT_RDWR)))
                if dice.random() < 0.3:
                    time.sleep(dice.random() / 20)
                link.close()
                seen.append(seed)
            except OSError:
                pass
    threads = [threading.Thread(target=rude, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    turn = 0
    while goes_on():
        turn += 1
        mesh.register_web([dict(db, LocalBindPort=9100)] + [dict(db, LocalBindPort=9101)] * (turn % 2))
        if turn % 3 == 0:
            made = mesh.agent.request("POST", "/v1/connect/intentions", body=json.dumps(
                {"SourceName": "web", "DestinationName": "db", "SourceType": "consul", "Action": "deny"})).json["ID"]
            time.sleep(0.1)
            assert mesh.agent.delete("/v1/connect/intentions/" + made).status == 200
        if turn % 4 == 0:
            mesh.echo.close()
            time.sleep(0.1)
            mesh.echo = Echo(mesh.ip, 9000)
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert len(seen) > 100
    until("an answer", lambda: answers(mesh))
    for one in pair:
        until("the end of all connections", lambda: len(os.listdir("/proc/%d/fd" % one.proc.pid)) < 40)
        assert one.proc.poll() is None, one.log()[-3000:]
    with mesh.dial() as link:
        link.sendall(b"x" * 3000000)  # in the middle of a transfer
        assert [one.stop() for one in pair] == [0, 0]


def test_application_down(meshes, praetor_asan):
    mesh = meshes(praetor_asan)
    db = mesh.both(praetor_asan, praetor_asan)[0]
    mesh.echo.close()
    assert refused(mesh)
    db.says('[ERROR] proxy.inbound: failed to dial: error="dial tcp %s:9000: connect: connection refused"' % mesh.ip)
    mesh.echo = Echo(mesh.ip, 9000)
    until("the application", lambda: answers(mesh))


def test_flags_and_registration(meshes, praetor_asan, peer):
    """Without a registration beforehand: the proxy makes its own, and takes it back at the end."""
    mesh = meshes(praetor_asan)
    got = mesh.agent.request("POST", "/v1/query", body=json.dumps({"Name": "q", "Service": {"Service": "cache"}}))
    assert got.status == 200
    for binary, other in ((praetor_asan, peer), (peer, praetor_asan), (praetor_asan, praetor_asan)):
        server = mesh.proxy(binary, "-service", "cache", "-service-addr", mesh.ip + ":9000", "-listen", mesh.ip + ":9002", "-register",
                            "-register-id", "x")
        client = mesh.proxy(other, "-service", "web", "-upstream", "cache:%s:9102" % mesh.ip, "-upstream", "q.query:%s:9103" % mesh.ip)
        server.says("registered Consul service: service=cache-proxy-x")
        client.says("Parsed TLS identity")
        client.says("9103->prepared_query:default/q")
        here = until("the registration", lambda: mesh.agent.get("/v1/agent/services").json.get("cache-proxy-x"))
        assert (here["Kind"], here["Service"], here["Port"], here["Address"]) == ("connect-proxy", "cache-proxy", 9002, mesh.ip)
        assert here["Proxy"]["DestinationServiceName"] == "cache"
        check = mesh.agent.get("/v1/agent/checks").json["cache-proxy-x-ttl"]
        assert (check["Name"], check["Status"], check["Type"], check["Notes"]) == (
            "proxy heartbeat", "passing", "ttl", "Built-in proxy will heartbeat this check.")
        until("an instance", lambda: mesh.agent.get("/v1/health/connect/cache?passing").json)
        until("an answer", lambda: answers(mesh, 9102))
        until("an answer by the query", lambda: answers(mesh, 9103))
        assert server.stop() == 0 and client.stop(signal.SIGTERM) == 0
        assert "stop request received, deregistering" in server.log()
        assert "cache-proxy-x" not in mesh.agent.get("/v1/agent/services").json


def test_heartbeat(meshes, praetor_asan):
    mesh = meshes(praetor_asan)
    server = mesh.proxy(praetor_asan, "-service", "cache", "-service-addr", mesh.ip + ":9000", "-listen", mesh.ip + ":9002", "-register")
    server.says("registered Consul service: service=cache-proxy")
    assert mesh.agent.put("/v1/agent/check/fail/cache-proxy-ttl").status == 200  # which is its state then, until the heartbeat
    until("the heartbeat", lambda: mesh.agent.get("/v1/agent/checks").json["cache-proxy-ttl"]["Status"] == "passing")


def test_registered_late(meshes, praetor_asan):
    """The proxy is there before its registration, or before that is one of a proxy."""
    mesh = meshes(praetor_asan)
    late = mesh.proxy(praetor_asan, "-proxy-id", "late")
    late.says('[ERROR] proxy.watch: Watch errored: service_id=late type=agent_service error="Unexpected response code: 404 (unknown service ID: late)" '
              'retry=5s')
    mesh.put("/v1/agent/service/register", {"Name": "late", "Port": 9012})
    late.says("[ERROR] proxy: service is not a valid connect proxy: service_id=late")
    mesh.put("/v1/agent/service/register", {"Kind": "connect-proxy", "Name": "late", "Address": mesh.ip, "Port": 9012, "Proxy": {
        "DestinationServiceName": "cache", "LocalServiceAddress": mesh.ip, "LocalServicePort": 9000}})
    late.says("bind_addr=%s:9012" % mesh.ip)
    late.says("svc/cache")


def test_agent_away(agents, tmp_path, praetor_asan):
    """It begins before the agent does, and goes on when that comes."""
    agent = agents(praetor_asan, dev=True)
    server = Proxy(praetor_asan, tmp_path, agent, ["-service", "web", "-upstream", "db:%s:9100" % agent.ip], "alone")
    server.says('[ERROR] proxy.connect.watch: Watch errored: service=web type=connect_roots error="Get "http://%s:8500/v1/agent/connect/ca/roots": '
                'dial tcp %s:8500: connect: connection refused" retry=5s' % (agent.ip, agent.ip))
    server.says("type=connect_leaf")
    agent.start()
    server.says("Parsed TLS identity")
    assert server.stop() == 0
    assert "AddressSanitizer" not in server.log()


def test_ways_to_the_agent(agents, tmp_path, praetor_asan):
    """By a unix socket, and by HTTPS with a token of the environment."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "k.pem", "-out",
                    tmp_path / "c.pem", "-subj", "/CN=agent", "-addext", "subjectAltName=DNS:agent.example,IP:127.0.0.1", "-days", "2"],
                   check=True, capture_output=True)
    master = "11111111-aaaa-4bbb-8ccc-222222222222"
    ports = {"http": 8500, "dns": -1, "server": 8300, "serf_lan": 8301, "serf_wan": -1, "https": 8501, "grpc": -1}
    agent = agents(praetor_asan, dev=True)
    agent.configure(dict(agent.conf, ports=ports, addresses={"http": "%s unix://%s" % (agent.ip, tmp_path / "s")}, cert_file=str(tmp_path / "c.pem"),
                         key_file=str(tmp_path / "k.pem"), ca_file=str(tmp_path / "c.pem"),
                         acl={"enabled": True, "default_policy": "deny", "tokens": {"master": master, "agent": master}}))
    agent.launch()
    until("the agent", lambda: os.path.exists(tmp_path / "s"))
    for way in (["-http-addr", "unix://%s" % (tmp_path / "s")],
                ["-http-addr", "https://%s:8501" % agent.ip, "-ca-file", str(tmp_path / "c.pem"), "-tls-server-name", "agent.example"]):
        for token, text in ((master, "Parsed TLS identity"), ("", "Permission denied")):
            more = ["-token", token] if token else []
            proxy = Proxy(praetor_asan, tmp_path, agent, ["-service", "web", "-upstream", "db:%s:9100" % agent.ip, *way, *more], "way")
            proxy.says(text)
            assert proxy.stop() == 0 and "AddressSanitizer" not in proxy.log()
            assert master not in proxy.log()


class Sink:
    """Takes metrics by datagrams, without those of the process, in no order: they are told by several threads."""

    def __init__(self, ip):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip, 0))
        self.address, self.got = "%s:%d" % self.socket.getsockname(), []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        while True:
            self.got += self.socket.recv(65536).decode().strip("\n").split("\n")

    def has(self, *parts):
        return any(all(part in line for part in parts) for line in self.got)

    def drain(self):
        """All that was sent before this is there."""
        self.socket.sendto(b"the end", self.socket.getsockname())
        until("the end", lambda: "the end" in self.got)
        self.got.remove("the end")

    def lines(self):
        return sorted(line for line in self.got if "runtime." not in line)


def says_much(settings):
    return settings.get("filter_default") is True and settings.get("dogstatsd_addr") != "1"


def told(meshes, binary, settings, agent):
    """What a proxy says that stands at both ends of a connection of 5 bytes there and 15 back, of one where nothing is said, and of one that
    comes to nothing; and what it logs of its settings."""
    mesh = meshes(agent)
    sink = Sink(mesh.ip)
    mesh.echo.close()
    app = Echo(mesh.ip, 9020, times=3)
    settings = json.loads(json.dumps(settings).replace("SINK", sink.address))
    passing = [{"Name": "up", "TTL": "1h", "Status": "passing"}]
    upstreams = [{"DestinationName": "self", "LocalBindAddress": mesh.ip, "LocalBindPort": 9100},
                 {"DestinationName": "nobody", "LocalBindAddress": mesh.ip, "LocalBindPort": 9101},
                 {"DestinationName": "q", "DestinationType": "prepared_query", "LocalBindAddress": mesh.ip, "LocalBindPort": 9102}]
    mesh.put("/v1/agent/service/register", {"Name": "self", "ID": "self", "Address": mesh.ip, "Port": 9020, "Connect": {"SidecarService": {
        "Port": 9021, "Checks": passing, "Proxy": {"LocalServiceAddress": mesh.ip, "Config": {"telemetry": settings}, "Upstreams": upstreams}}}})
    assert mesh.agent.request("POST", "/v1/query", body=json.dumps({"Name": "q", "Service": {"Service": "self", "Connect": True}})).status == 200
    proxy = mesh.proxy(binary, "-sidecar-for", "self")
    proxy.says('listener="public listener"')
    until("the catalog's", lambda: mesh.agent.get("/v1/health/connect/self?passing").json)

    def there_and_back(port, size):
        with mesh.dial(port) as link:
            link.sendall(b"x" * size)
            got = 0
            while got < 3 * size:
                more = link.recv(65536)
                if not more:
                    return False
                got += len(more)
        return True
    until("an answer", lambda: there_and_back(9100, 5))
    assert there_and_back(9102, 7)
    assert refused(mesh, 9101)
    if says_much(settings):
        until("what was said of all that", lambda: sink.has("prepared_query", "q", "tx_bytes", "21") and sink.has("service", "self", "tx_bytes", "15") and
              sink.has("prepared_query", "q", "conns", ":0.0") and sink.has("service", "self", "conns", ":0.0") and
              all(sink.has("inbound", kind, size) for kind, size in (("tx_bytes", ":21"), ("rx_bytes", ":7"), ("tx_bytes", ":15"), ("rx_bytes", ":5"))) and
              (settings.get("blocked_prefixes") or sink.has("inbound.conns", ":0.0")))
    proxy.proc.send_signal(signal.SIGUSR1)
    assert proxy.stop() == 0  # it still was there
    app.close()
    sink.drain()
    log = proxy.log()
    parts = [log[at.start():log.index("\n    2", at.start())] for at in re.finditer(r"\[(WARN|ERROR)\] *proxy: proxy telemetry", log)]
    # One connection may begin before the end of another is seen.
    return sorted(set(line for line in sink.lines() if ":2.0000" not in line)), parts


@pytest.mark.parametrize("settings", [
    {"statsd_address": "SINK", "filter_default": True},
    {"statsd_address": "SINK", "FILTER_default": True, "filter_default": True, "disable_hostname": True, "metrics_prefix": "mp"},
    {"dogstatsd_addr": "SINK", "filter_default": True, "dogstatsd_tags": ["a:b", "c"]},
    {"statsd_address": "SINK", "filter_default": True, "blocked_prefixes": ["upstream", "HOST.inbound"], "allowed_prefixes": ["upstream.tx"]},
    {"statsd_address": "SINK"},
    {"statsd_address": "SINK", "filter_default": "true", "metrics_prefix": 5, "dogstatsd_tags": "x", "blocked_prefixes": [1], "disable_hostname": []},
    {"dogstatsd_addr": "1", "statsd_address": "SINK", "filter_default": True},
], ids=["statsd", "named", "dogstatsd", "filtered", "nothing", "wrong", "bad address"])
def test_telemetry(meshes, praetor, praetor_asan, peer, settings):
    settings = json.loads(json.dumps(settings).replace("HOST", socket.gethostname()))
    theirs, ours = (told(meshes, binary, settings, praetor) for binary in (peer, praetor_asan))
    assert ours == theirs
    if says_much(settings):
        assert [line for line in ours[0] if "upstream.tx_bytes" in line and "21" in line and "q" in line], ours


def test_telemetry_of_what_runs(meshes, praetor_asan):
    """Every five seconds what flowed; all of it in the end, also of what runs then."""
    mesh = meshes(praetor_asan)
    sink = Sink(mesh.ip)
    mesh.register_db({"telemetry": {"statsd_address": sink.address, "filter_default": True, "disable_hostname": True}})
    db, _ = mesh.both(praetor_asan, praetor_asan)
    until("the first is over", lambda: sink.got.count("inbound.conns.db:0.000000|g"))
    sink.got.clear()
    with mesh.dial() as first, mesh.dial() as second:
        assert ask(first, b"1234") == b"1234" and ask(second, b"xx") == b"xx"
        until("both", lambda: "inbound.conns.db:2.000000|g" in sink.got)
        until("what flowed", lambda: {"inbound.rx_bytes.db:4.000000|c", "inbound.tx_bytes.db:2.000000|c"} <= set(sink.got), 10)
        sink.got.clear()
        assert ask(first, b"abcdefg") == b"abcdefg"
        assert db.stop() == 0
        until("the rest", lambda: "inbound.conns.db:0.000000|g" in sink.got)
        assert "inbound.rx_bytes.db:7.000000|c" in sink.got and not [line for line in sink.got if "bytes.db:4" in line or "bytes.db:2" in line]


def test_protocols(meshes, praetor_asan, peer):
    """The name of HTTP/2 is offered to upstreams and agreed on with who offers it, whatever flows; who knows it not is served all the same."""
    for binary in (peer, praetor_asan):
        mesh = meshes(praetor_asan)
        mesh.register_web([{"DestinationName": "native", "LocalBindAddress": mesh.ip, "LocalBindPort": 9102}])
        mesh.put("/v1/agent/service/register", {"Name": "native", "Address": mesh.ip, "Port": 9030, "Connect": {"Native": True}})
        mesh.proxy(binary, "-sidecar-for", "db1").says('listener="public listener"')
        mesh.proxy(binary, "-proxy-id", "web1-sidecar-proxy").says("Parsed TLS identity")
        leaves = {}
        for name in ("web", "native"):
            leaf = mesh.agent.get("/v1/agent/connect/ca/leaf/" + name).json
            leaves[name] = files(mesh.folder, name, leaf["CertPEM"], leaf["PrivateKeyPEM"])
        for offered, agreed in ((["h2"], "h2"), (["foo", "h2"], "h2"), (["http/1.1"], None), ([], None)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.load_cert_chain(*leaves["web"])
            if offered:
                context.set_alpn_protocols(offered)
            with context.wrap_socket(mesh.dial(9001)) as link:
                assert link.selected_alpn_protocol() == agreed and ask(link) == b"hello"
        until("the catalog's", lambda: mesh.agent.get("/v1/health/connect/native?passing").json)
        with socket.create_server((mesh.ip, 9030)) as listener:
            for spoken, agreed in ((["h2"], "h2"), (["http/1.1"], None), ([], None)):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*leaves["native"])
                if spoken:
                    context.set_alpn_protocols(spoken)
                with mesh.dial(9102) as link:
                    with context.wrap_socket(listener.accept()[0], server_side=True) as server:
                        assert server.selected_alpn_protocol() == agreed
                        server.sendall(b"here")
                        assert link.recv(4) == b"here"
        mesh.close()


def head(text):
    """What comes before the log, without times."""
    return text.split("\n==> Log data")[0].split("\nUsage:")[0]


def test_beside_peer(meshes, praetor_asan, peer):
    """What is shown at the start, and what is wrong with flags."""
    mesh = meshes(praetor_asan)
    mesh.put("/v1/agent/service/register", {"Kind": "connect-proxy", "Name": "p2", "ID": "p2", "Port": 3,
                                            "Proxy": {"DestinationServiceName": "web", "DestinationServiceID": "web1"}})
    for argv in (["foo"], ["-log-level", "zork"], [], ["-service", "s", "-listen", ":1"], ["-service", "s", "-listen", "x", "-service-addr", "y"],
                 ["-service", "s", "-upstream", "db"], ["-upstream", "db.zork:1"], ["-upstream", "c.service:127.0.0.9:x"], ["-upstream", "db:"],
                 ["-upstream", "a.b.service:4"], ["-upstream", "db:[::1]:5"], ["-upstream", "db:::1"], ["-upstream", "x:99999999999999999999"],
                 ["-register", "-service", "s"], ["-register", "-service", "s", "-upstream", "b:9", "-upstream", "a:127.0.0.3:8", "-upstream", "b:7"],
                 ["-sidecar-for", "nosuch"], ["-sidecar-for", "web1"], ["-register", "-proxy-id", "x"], ["-register", "-sidecar-for", "db1"],
                 ["-http-addr", "foo://x", "-service", "s"], ["-service", "s", "-listen", "127.0.0.1:x", "-service-addr", "y:1"],
                 ["-register", "-proxy-id", "x", "-sidecar-for", "db1"], ["-zork"], ["-service", "s", "-upstream", "db.:5", "-register"]):
        theirs, ours = (in_order(run(binary, ["proxy", *argv], mesh.ip + ":8500")) for binary in (peer, praetor_asan))
        assert (head(ours[0]), head(ours[1]), ours[2]) == (head(theirs[0]), head(theirs[1]), theirs[2]), argv
