"""TLS beside the peer: who is believed and what is said of it, in every role that has to judge (tls.md 3, 5, 6, 8, 11), for
certificates made in three ways with whatever is wrong with them; reload; a cluster that goes from clear to TLS while it is at
work (tls.md 10, 12)."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from e2e import rpc_wire
from e2e.certificates import Everything
from e2e.cluster import Cluster, Writers
from e2e.harness import PATIENCE, PORTS, until

HTTPS = 8501
NAME = "server.dc1.consul"


@pytest.fixture(scope="module")
def made(tmp_path_factory, praetor, peer):
    return Everything(tmp_path_factory.mktemp("certificates"), praetor, peer)


def plain(text):
    """Without what differs from one moment to the next."""
    return re.sub(r"current time \S+ is", "current time NOW is", text)


def same(ours, theirs):
    """Each difference on a line of its own."""
    found = ["%s: the peer %r, ours %r" % (name, theirs[name], ours[name]) for name in theirs if ours[name] != theirs[name]]
    if found:
        pytest.fail("\n".join(found))


# ---- servers that show a certificate ----

class Shop:
    """One TLS server for each certificate, on ports of one address; answers every request with 404. One that talks RPC takes
    the byte 0x03 first and hands what it decrypts on to a real server."""

    def __init__(self, ip, made):
        self.ip, self.ports, self.sockets = ip, {}, []
        for name, one in made.all.items():
            context = server_context(one)
            listener = socket.create_server((ip, 0), backlog=64)
            self.ports[name] = listener.getsockname()[1]
            self.sockets.append(listener)
            threading.Thread(target=self._serve, args=(listener, context), daemon=True).start()

    def _serve(self, listener, context):
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(raw, context), daemon=True).start()

    def _answer(self, raw, context):
        try:
            raw.settimeout(PATIENCE)
            with context.wrap_socket(raw, server_side=True) as link:
                while link.recv(65536):
                    link.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        except OSError:
            raw.close()

    def close(self):
        for listener in self.sockets:
            listener.close()


def server_context(made):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(made.cert, made.key)
    return context


@pytest.fixture
def shop(made):
    shop = Shop("127.0.0.1", made)  # an address that certificates are for
    yield shop
    shop.close()


def command(binary, address, *more, env=None):
    got = subprocess.run([binary, "kv", "get", "-http-addr=https://" + address, *more, "x"], capture_output=True, text=True,
                         timeout=PATIENCE, env=dict(os.environ, **(env or {})))
    return got.returncode, plain(got.stdout + got.stderr)


@pytest.mark.parametrize("more", [[], ["-tls-server-name=" + NAME], ["-tls-server-name=SERVER.dc1.consul."]],
                         ids=["address", "name", "name-with-dot"])
def test_commands_judge_servers(praetor, peer, made, shop, more):
    """To the letter what the peer's command line says of each."""
    def ask(binary, name):
        return command(binary, "%s:%d" % (shop.ip, shop.ports[name]), "-ca-file=" + made.bundle, *more)
    ours, theirs = ({name: ask(binary, name) for name in made.all} for binary in (praetor, peer))
    same(ours, theirs)
    believed = [name for name, (_, text) in theirs.items() if "No key exists" in text]
    assert len(believed) > 5 and len(theirs) - len(believed) > 10


def test_commands_that_do_not_judge(praetor, peer, made, shop):
    for name in ("good", "expired", "other-ca", "cn-only"):
        for binary in (praetor, peer):
            code, text = command(binary, "%s:%d" % (shop.ip, shop.ports[name]), env={"CONSUL_HTTP_SSL_VERIFY": "false"})
            assert (code, text) == (1, "Error! No key exists at: x\n"), name


def test_checks_judge_servers(agents, praetor_asan, peer, made, shop):
    """Checks with the agent's TLS settings: the output, to the letter."""
    outputs = []
    for number, binary in enumerate((praetor_asan, peer)):
        agent = agents(binary, name="n%d" % number, dev=True, config={
            "enable_agent_tls_for_checks": True, "ca_file": made.bundle, "server_name": NAME})
        agent.start()
        for name, port in shop.ports.items():
            answer = agent.put("/v1/agent/check/register", {
                "ID": name, "Name": name, "HTTP": "https://%s:%d/x" % (shop.ip, port), "Interval": "4s", "Timeout": "20s"})
            assert answer.status == 200, answer.text
        def told():
            checks = agent.get("/v1/agent/checks").json
            return all(checks[name]["Output"] for name in shop.ports) and checks
        checks = until("every check has run", told, 2 * PATIENCE)
        outputs.append({name: (checks[name]["Status"], plain(checks[name]["Output"])) for name in shop.ports})
        agent.stop()
    same(*outputs)


# ---- clients that show a certificate ----

def client_context(made, one, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    if version:
        context.minimum_version = context.maximum_version = version
    if one is not None:
        context.load_cert_chain(one.cert, one.key)
    return context


def alert_of(error):
    """The alert's name in OpenSSL's words; a connection that just ended is something else."""
    found = re.search(r"alert [a-z ]+[a-z]|unrecognized name", str(error))
    return found.group(0) if found else type(error).__name__


def refused(link, seconds):
    """Raises the alert that comes within that time; nothing else comes of itself."""
    if seconds > 0:
        link.settimeout(seconds)
        try:
            link.recv(1)
        except TimeoutError:
            pass


def talk(agent, port, context, first, request):
    """What comes back for a request, or the alert's name."""
    said = None
    for turn in range(20):
        try:
            raw = socket.create_connection((agent.ip, port), PATIENCE)
            raw.sendall(first)
            with context.wrap_socket(raw) as link:
                refused(link, 0.1 * turn)
                link.settimeout(PATIENCE)
                link.sendall(request)
                got = link.recv(4096)
                if got:
                    return got
                said = "ended"
        except OSError as failed:
            said = alert_of(failed)
            if "alert" in str(failed):
                break
        # Over 1.3 the request may cross the alert, and the answer to it wipes the alert out: once more, with longer and longer to hear of
        # it before anything is sent. And an agent that stands still for the time that a handshake may take hangs up.
    return said


def ask_https(agent, context):
    got = talk(agent, HTTPS, context, b"", b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return int(got.split()[1]) if isinstance(got, bytes) else got


def ask_rpc(agent, context):
    """Status.Ping over TLS on the server port."""
    got = talk(agent, PORTS["server"], context, b"\x03", b"\x00" + rpc_wire.encode(rpc_wire.Map([
        ("ServiceMethod", "Status.Ping"), ("Seq", 1)])) + rpc_wire.encode(rpc_wire.Map()))
    return "pong" if isinstance(got, bytes) and b"Status.Ping" in got else got


def guarded(agents, binary, made, name, **more):
    """An agent that wants a certificate of everybody, on RPC and HTTPS."""
    good = made.all["good"]
    config = {"ports": dict(PORTS, https=HTTPS, grpc=-1), "verify_incoming": True, "verify_outgoing": True,
              "ca_file": made.bundle, "cert_file": good.cert, "key_file": good.key}
    config.update(more)
    return agents(binary, name=name, config=config).start()


def test_servers_judge_clients(agents, praetor_asan, peer, made):
    """Accepted or refused, with the same alert, over 1.2 and 1.3 alike."""
    both = [guarded(agents, praetor_asan, made, "ours"), guarded(agents, peer, made, "theirs")]
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for ask in (ask_https, ask_rpc):
            ours, theirs = ({name: ask(agent, client_context(made, one, version)) for name, one in
                             [*made.all.items(), ("none", None)]} for agent in both)
            # OpenSSL has an alert of its own for no certificate at all, by version (docs/compatibility.md).
            assert "alert" in ours.pop("none") and theirs.pop("none") == "alert bad certificate"
            same(ours, theirs)
            assert theirs["server-only"] == theirs["other-ca"] == "alert bad certificate"
            assert theirs["good"] in (200, "pong")
    # The reasons, which only the log tells, some a moment later. Not those of a connection itself, which has its own luck.
    def reasons(agent):
        found = set(re.findall(r'failed to read byte: .*error="?(.*?)"?$', plain(agent.tail(10 ** 6)), re.M))
        return {reason for reason in found if reason.startswith(("tls: ", "x509: "))}
    until("the same reasons", lambda: len(reasons(both[1])) > 4 and reasons(both[0]) == reasons(both[1]))


def test_commands_show_certificates(agents, praetor, praetor_asan, peer, made):
    """The command line of each to the agent of each."""
    both = [guarded(agents, praetor_asan, made, "ours"), guarded(agents, peer, made, "theirs")]
    for agent in both:
        def ask(binary, one):
            code, text = command(binary, "%s:%d" % (agent.ip, HTTPS), "-ca-file=" + made.bundle, "-tls-server-name=" + NAME,
                                 "-client-cert=" + one.cert, "-client-key=" + one.key)
            return code, "No key exists" in text
        chosen = {name: made.all[name] for name in ("good", "client-only", "server-only", "no-eku", "expired", "other-ca", "chain",
                                                    "no-middle", "rsa", "ed25519", "peer-cli", "praetor-cli", "praetor-server")}
        ours, theirs = ({name: ask(binary, one) for name, one in chosen.items()} for binary in (praetor, peer))
        same(ours, theirs)
        assert theirs["good"] == theirs["praetor-cli"] == theirs["peer-cli"] == (1, True)
        assert theirs["expired"] == (1, False)


# ---- the client's side of RPC ----

class Front:
    """Stands before a server's RPC port, shows a certificate to whoever dials, and hands on in clear. Gossip goes to the
    server itself, which has bound it here too."""

    def __init__(self, ip, server_ip):
        self.to, self.context, self.links, self.lock = (server_ip, PORTS["server"]), None, [], threading.Lock()
        self.listener = socket.create_server((ip, PORTS["server"]), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def show(self, one):
        """From now on, to connections to come; those that are there end."""
        with self.lock:
            self.context = server_context(one)
            links, self.links = self.links, []
        for link in links:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(raw, self.context), daemon=True).start()

    def _connect(self, raw, context):
        try:
            raw.settimeout(PATIENCE)
            if raw.recv(1) != b"\x03":
                raw.close()
                return
            inner = context.wrap_socket(raw, server_side=True)
            outer = socket.create_connection(self.to, PATIENCE)
        except OSError:
            raw.close()
            return
        with self.lock:
            late = context is not self.context  # another is shown by now
            if not late:
                self.links.append(inner)
        if late:
            inner.close()
            outer.close()
            return
        inner.settimeout(0.05)  # one thread reads and writes: an SSLSocket is not for two
        outer.setblocking(False)
        self._carry(inner, outer)
        inner.close()
        outer.close()

    @staticmethod
    def _carry(inner, outer):
        while True:
            try:
                got = inner.recv(65536)
                if not got:
                    return
                outer.setblocking(True)
                outer.sendall(got)
                outer.setblocking(False)
            except TimeoutError:
                pass
            except OSError:
                return
            try:
                got = outer.recv(65536)
                if not got:
                    return
                inner.settimeout(PATIENCE)
                inner.sendall(got)
                inner.settimeout(0.05)
            except BlockingIOError:
                pass
            except OSError:
                return


@pytest.mark.parametrize("hostname", [False, True], ids=["any-name", "hostname"])
def test_dialling_judges_servers(agents, praetor_asan, peer, made, hostname):
    """A client agent of each kind, with verify_outgoing and verify_server_hostname: what its API answers, to the letter."""
    front_ip = agents(peer, name="front").ip
    server = agents(peer, name="server", config={"serf_lan": front_ip, "advertise_addr": front_ip,
                                                 "ports": dict(PORTS, serf_wan=-1, https=-1, grpc=-1)})
    front = Front(front_ip, server.ip)
    front.show(made.all["good"])
    server.start()
    clients = []
    for name, binary in (("ours", praetor_asan), ("theirs", peer)):
        client = agents(binary, name=name, config={
            "server": False, "bootstrap_expect": 0, "verify_outgoing": True, "verify_server_hostname": hostname,
            "ca_file": made.bundle, "retry_join": [front_ip], "retry_interval": "1s"})
        client.configure({k: v for k, v in client.conf.items() if k != "bootstrap_expect"})
        clients.append(client.start())

    def ask(client):
        answer = client.get("/v1/kv/x", timeout=PATIENCE)
        return answer.status, plain(answer.text).strip()

    def settled(client):
        """The answer once the connection of before is known to be gone."""
        def told():
            got = ask(client)
            return got if got[0] == 404 or "x509" in got[1] or "tls" in got[1] else None
        return until("an answer", told, 2 * PATIENCE)
    outcomes = [{}, {}]
    for name, one in made.all.items():
        front.show(one)
        for client, outcome in zip(clients, outcomes):
            outcome[name] = settled(client)
    front.listener.close()
    same(*outcomes)
    good = [name for name, (status, _) in outcomes[1].items() if status == 404]
    assert "good" in good and "no-eku" in good and ("wrong-name" in good) == (not hostname)


# ---- reload ----

def shown(agent, port=HTTPS, first=b""):
    """The serial number of the certificate that a new connection is shown, or why there is none."""
    context = client_context(None, None)
    for _ in range(5):  # an agent that stands still for the time that a handshake may take hangs up
        try:
            raw = socket.create_connection((agent.ip, port), PATIENCE)
            raw.sendall(first)
            with context.wrap_socket(raw) as link:
                return hash(link.getpeercert(True))
        except OSError as error:
            said = alert_of(error)
            if "alert" in str(error):
                break
    return said


def in_clear(agent):
    """Whether the server port answers RPC in clear."""
    for _ in range(3):  # an agent that stands still for the time that a handshake may take hangs up
        with socket.create_connection((agent.ip, PORTS["server"]), PATIENCE) as link:
            try:
                link.sendall(b"\x00" + rpc_wire.encode(rpc_wire.Map([("ServiceMethod", "Status.Ping"), ("Seq", 1)])) +
                             rpc_wire.encode(rpc_wire.Map()))
                if b"Status.Ping" in link.recv(4096):
                    return True
            except OSError:
                pass
    return False


def reload_story(agent, made, folder):
    """What happens, step by step: [(what, outcome)]."""
    good, rsa = made.all["good"], made.all["rsa"]
    cert, key = os.path.join(folder, "live.pem"), os.path.join(folder, "live-key.pem")
    serials, story = {}, []

    def put(one):
        shutil.copy(one.cert, cert)
        shutil.copy(one.key, key)

    def note(what):
        got = [shown(agent), shown(agent, PORTS["server"], b"\x03")]
        story.append((what, [serials.setdefault(g, len(serials)) if isinstance(g, int) else g for g in got], in_clear(agent)))

    def again(what, **more):
        agent.configure(dict(agent.conf, **more))
        answer = agent.put("/v1/agent/reload")
        story.append((what, answer.status, answer.text.strip().replace(folder, "DIR")))
    put(good)
    base = {"ports": dict(PORTS, https=HTTPS, grpc=-1), "ca_file": made.bundle, "cert_file": cert, "key_file": key}
    agent.configure(dict(agent.conf, **base))
    agent.start()
    note("at the start")
    kept = client_context(None, None).wrap_socket(socket.create_connection((agent.ip, HTTPS), PATIENCE))
    put(rsa)
    note("files replaced")
    again("reload")
    note("reloaded")
    again("verify_incoming", verify_incoming=True, verify_outgoing=True)
    story.append(("without a certificate", "alert" in str(ask_https(agent, client_context(None, None)))))
    story.append(("with one", ask_https(agent, client_context(None, good)), ask_rpc(agent, client_context(None, good))))
    story.append(("in clear", in_clear(agent)))
    kept.sendall(b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n")
    story.append(("the old connection lives", kept.recv(4096)[:15]))
    again("only HTTPS", verify_incoming=False, verify_incoming_https=True)
    story.append(("without a certificate", "alert" in str(ask_https(agent, client_context(None, None)))))
    story.append(("RPC without one", ask_rpc(agent, client_context(None, None)), in_clear(agent)))
    with open(cert, "w") as handle:
        handle.write("nonsense\n")
    again("broken certificate", verify_incoming_https=False)
    story.append(("still guarded", "alert" in str(ask_https(agent, client_context(None, None)))))
    put(made.all["p384"])
    again("another authority's", ca_file=made.other.file, verify_incoming_https=True)
    story.append(("ours is refused now", "alert" in str(ask_https(agent, client_context(None, good))),
                  ask_https(agent, client_context(None, made.all["other-ca"]))))
    again("no authority", ca_file="", verify_incoming_https=True)
    again("no authority, no rule", ca_file="", verify_incoming_https=False, verify_outgoing=False)
    note("no authority")
    again("no certificate", cert_file="", key_file="")
    note("no certificate")
    again("tls13", cert_file=cert, key_file=key, tls_min_version="tls13")
    story.append(("1.2", ask_https(agent, client_context(None, None, ssl.TLSVersion.TLSv1_2)), "1.3",
                  ask_https(agent, client_context(None, None, ssl.TLSVersion.TLSv1_3))))
    return story


def test_reload(agents, praetor_asan, peer, made, tmp_path):
    """Certificates, authorities and rules change live, for connections to come, in both in the same way."""
    stories = []
    for name, binary in (("ours", praetor_asan), ("theirs", peer)):
        agent = agents(binary, name=name)
        folder = str(tmp_path / name)
        os.makedirs(folder)
        stories.append(reload_story(agent, made, folder))
        agent.stop()
    for ours, theirs in zip(*stories):
        assert ours == theirs
    assert len(stories[0]) == len(stories[1])


def test_from_clear_to_tls_at_work(agents, praetor_asan, peer, made):
    """tls.md 12: every step by reload, on ours and one of the peer's, while keys are written; no request fails."""
    cluster = Cluster(agents, [praetor_asan, praetor_asan, peer])
    cluster.form(multiplier=10)
    client = agents(praetor_asan, name="c1", config={
        "server": False, "retry_join": [s.ip for s in cluster.servers], "retry_interval": "1s"})
    client.configure({k: v for k, v in client.conf.items() if k != "bootstrap_expect"})
    client.start()
    everybody = cluster.servers + [client]
    good = made.all["good"]

    def change(those, **more):
        for agent in those:
            agent.configure(dict(agent.conf, **more))
            answer = agent.put("/v1/agent/reload")
            assert answer.status == 200, answer.text
            work.wait_for(20, PATIENCE)
            through.wait_for(20, PATIENCE)
    work, through = Writers(Patient(cluster.servers), count=2), Writers(Patient([client]), count=1, prefix="through")
    work.wait_for(20, PATIENCE)
    through.wait_for(20, PATIENCE)
    change(everybody, ca_file=made.bundle, cert_file=good.cert, key_file=good.key)
    change(everybody, verify_outgoing=True)
    change(everybody, verify_server_hostname=True)
    # Connections in clear that exist stay; a leader that dials anew does so in TLS from here on.
    change(cluster.servers, verify_incoming=True)
    written = dict(work.stop(), **through.stop())
    assert (work.failed, through.failed) == (0, 0)
    for server in cluster.servers:
        assert not in_clear(server) and ask_rpc(server, client_context(None, None)) != "pong"
        assert ask_rpc(server, client_context(None, good)) == "pong"
    # The rules hold for those who start with them, too: a server of each kind comes back.
    for server in (cluster.servers[2], cluster.servers[1]):
        server.stop()
        server.launch()
        cluster.wait_leader(seconds=2 * PATIENCE)
        until("it has all", lambda: holds(server, written), 2 * PATIENCE)


def holds(server, written):
    try:
        answer = server.get("/v1/kv/?keys&consistent")
        return answer.status == 200 and set(written) <= set(answer.json)
    except OSError:
        return False


class Patient:
    """Agents as Writers see a cluster; each answers in its own time."""

    def __init__(self, agents):
        self.servers = [self.Agent(agent) for agent in agents]

    class Agent:
        def __init__(self, agent):
            self.agent = agent

        def put(self, path, body, timeout):
            return self.agent.put(path, body, timeout=PATIENCE)


# ---- settings of the command line ----

def test_commands_read_their_settings(praetor, peer, made, shop, tmp_path):
    """Flags and environment, right and wrong: to the letter as the peer."""
    good, rsa = made.all["good"], made.all["rsa"]
    for name, content in (("folder/below/a", open(made.bundle).read()), ("bad/a", "no\n"), ("mixed/a", open(made.bundle).read()),
                          ("mixed/b", "no\n"), ("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")):
        os.makedirs(os.path.dirname(tmp_path / name), exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "empty").mkdir()
    address, pair = "%s:%d" % (shop.ip, shop.ports["good"]), ["-client-cert=" + good.cert, "-client-key=" + good.key]
    named, at = "-tls-server-name=" + NAME, "%s/" % tmp_path
    cases = [([flag], {}) for flag in (
        "-ca-path=%sfolder" % at, "-ca-path=%sempty" % at, "-ca-path=%sbad" % at, "-ca-path=%smixed" % at, "-ca-path=/nope",
        "-ca-file=/nope", "-ca-file=/tmp", "-ca-file=/dev/null", "-ca-file=" + good.key, "-ca-file=%sbroken" % at,
        "-ca-file=" + made.other.file, "-client-cert=" + good.cert, "-client-key=" + good.key)]
    cases += [(["-ca-file=" + made.bundle, *more], {}) for more in (
        [], pair, ["-client-cert=" + good.cert, "-client-key=" + rsa.key], ["-client-cert=" + good.key, "-client-key=" + good.key],
        ["-client-cert=" + good.cert, "-client-key=" + good.cert], ["-client-cert=/nope", "-client-key=" + good.key],
        ["-client-cert=" + good.cert, "-client-key=/nope"], ["-client-cert=/dev/null", "-client-key=" + good.key],
        ["-client-cert=" + good.cert, "-client-key=/dev/null"],
        ["-client-cert=" + good.cert, "-client-key=" + made.all["peer-server"].key])]
    cases += [(["-ca-file=" + made.bundle, "-tls-server-name=" + name], {}) for name in (
        "foo", "foo:80", "127.0.0.1", "127.0.0.9", "::1", "[::1]", "[::1", "[127.0.0.1]:80", "localhost:", ":80")]
    cases += [([], env) for env in (
        {"CONSUL_CACERT": made.bundle}, {"CONSUL_CAPATH": at + "folder"}, {"CONSUL_CACERT": made.bundle, "CONSUL_TLS_SERVER_NAME": "x"},
        {"CONSUL_HTTP_SSL_VERIFY": "0"}, {"CONSUL_HTTP_SSL_VERIFY": "false", "CONSUL_TLS_SERVER_NAME": "x"},
        {"CONSUL_CACERT": made.bundle, "CONSUL_CLIENT_CERT": good.cert}, {"CONSUL_CACERT": made.bundle, "CONSUL_CLIENT_KEY": good.key},
        {"CONSUL_CACERT": made.bundle, "CONSUL_CLIENT_CERT": good.cert, "CONSUL_CLIENT_KEY": good.key})]
    cases += [([named], {"CONSUL_CACERT": made.other.file}), ([named, "-ca-file=" + made.bundle], {"CONSUL_CACERT": "/nope"})]
    ours, theirs = ({str(case): command(binary, address, *case[0], env=case[1]) for case in cases} for binary in (praetor, peer))
    same(ours, theirs)
    assert sum("No key exists" in text for _, text in theirs.values()) > 5
