"""The agent as a process, beside the peer: readiness for systemd, PID file, log files and their rotation, signals and exit codes."""

import glob
import os
import platform
import re
import signal
import socket
import stat
import subprocess

import pytest

from e2e.harness import PATIENCE, PORTS, until

BOTH = ["praetor", "peer"]


@pytest.fixture(params=BOTH)
def binary(request):
    return request.getfixturevalue(request.param)


def test_systemd_readiness(praetor, agents, tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path)
    listener.settimeout(PATIENCE)
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    agent = agents(praetor, dev=True)
    agent.launch()
    assert listener.recv(100) == b"READY=1"
    assert agent.get("/v1/agent/self").status == 200  # ready means that it serves


def late_libraries(agent):
    """Those that are loaded when they are needed (tools/lazy_link.py, base/library.h) and are there."""
    with open("/proc/%d/maps" % agent.proc.pid) as maps:
        text = maps.read()
    return [name for name in ("libcrypto", "libssl", "libcurl", "libarchive", "libcjose") if "/%s." % name in text]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="OpenSSL is loaded late on this machine only")
def test_libraries_come_when_they_are_needed(praetor, agents):
    agent = agents(praetor).start()
    assert agent.put("/v1/kv/a", "1").status == 200
    assert agent.put("/v1/agent/service/register", '{"Name": "a", "Check": {"TTL": "10s"}}').status == 200
    assert agent.cli("kv", "get", "a").stdout == b"1\n"
    assert late_libraries(agent) == []
    assert agent.get("/v1/snapshot").status == 200  # which holds checksums
    assert late_libraries(agent) == ["libcrypto", "libssl"]


def test_openssl_comes_late_and_works(praetor, agents, tmp_path):
    """All that uses it, in the release binary: the others have it from their start."""
    folder = str(tmp_path)
    assert subprocess.run([praetor, "tls", "ca", "create"], cwd=folder, capture_output=True, timeout=PATIENCE).returncode == 0
    assert subprocess.run([praetor, "tls", "cert", "create", "-server"], cwd=folder, capture_output=True, timeout=PATIENCE).returncode == 0
    pem = lambda name: os.path.join(folder, name)
    key = subprocess.run([praetor, "keygen"], capture_output=True, text=True, timeout=PATIENCE).stdout.strip()
    secure = {"encrypt": key, "verify_incoming_rpc": True, "verify_outgoing": True, "ca_file": pem("consul-agent-ca.pem"), "connect": {"enabled": True},
              "cert_file": pem("dc1-server-consul-0.pem"), "key_file": pem("dc1-server-consul-0-key.pem"), "ports": dict(PORTS, https=8501, grpc=-1)}
    one = agents(praetor, name="n1", config=secure).start()
    two = agents(praetor, name="n2", config=dict(secure, server=False, bootstrap_expect=0, retry_join=[one.ip])).start()
    assert two.put("/v1/kv/a", "1").status == 200
    asked = subprocess.run(["curl", "-sS", "--cacert", secure["ca_file"], "--resolve", "server.dc1.consul:8501:" + one.ip, "https://server.dc1.consul:8501/v1/kv/a?raw"],
                           capture_output=True, timeout=PATIENCE)
    assert (asked.stdout, asked.stderr) == (b"1", b"")
    leaf = until("a leaf certificate", lambda: (lambda a: a.status == 200 and a.json)(two.get("/v1/agent/connect/ca/leaf/web")))
    assert "BEGIN CERTIFICATE" in leaf["CertPEM"] and two.get("/v1/connect/ca/roots").json["ActiveRootID"]


def test_pid_file(binary, agents, tmp_path):
    path = tmp_path / "agent.pid"
    path.write_text("something else that is longer\n")
    agent = agents(binary, dev=True, config={"pid_file": str(path)}).start()
    assert path.read_text() == str(agent.proc.pid)
    agent.stop()
    assert not path.exists()


@pytest.mark.parametrize("setting,pattern", [
    ("foo", "foo-[0-9]+[.]log"), ("foo.txt", "foo-[0-9]+[.]txt"), ("a.b.c", "a[.]b-[0-9]+[.]c"), ("", "consul-[0-9]+[.]log")])
def test_log_file_names(setting, pattern, binary, agents, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    agent = agents(binary, dev=True, config={"log_file": "%s/%s" % (folder, setting)}).start()
    names = os.listdir(folder)
    assert len(names) == 1 and re.fullmatch(pattern, names[0]), names
    assert stat.S_IMODE(os.stat(folder / names[0]).st_mode) == 0o640 & ~_umask()
    # The same lines as on standard output, without the blanks before them.
    until("a line", lambda: b"Started HTTP server" in (folder / names[0]).read_bytes())
    assert all(line[:1].isdigit() for line in (folder / names[0]).read_text().splitlines() if "error=" not in line)
    agent.kill()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("most,expected", [(2, 3), (0, None), (-1, 1)])
def test_log_rotation(most, expected, binary, agents, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    agent = agents(binary, dev=True, config={"log_file": str(folder / "x.log"), "log_rotate_bytes": 600, "log_rotate_max_files": most})
    agent.start()
    first = set(os.listdir(folder))
    for _ in range(60):
        agent.get("/v1/agent/self")

    def rotated():
        return not first & set(os.listdir(folder)) if expected else len(os.listdir(folder)) > 8
    until("rotation", rotated)
    agent.stop()  # not in the middle of one
    files = glob.glob(str(folder / "x-*.log"))
    assert expected is None or len(files) <= expected, files
    for path in files:  # one line more than allowed at most
        lines = open(path, "rb").read().splitlines(True)
        assert sum(len(line) for line in lines[:-1]) < 600 or len(lines) == 1


@pytest.mark.parametrize("number,config,code", [
    (signal.SIGTERM, {}, 1), (signal.SIGINT, {}, 1), (signal.SIGTERM, {"leave_on_terminate": True}, 0),
    (signal.SIGINT, {"skip_leave_on_interrupt": False}, 0), (signal.SIGINT, {"leave_on_terminate": True}, 1),
    (signal.SIGTERM, {"skip_leave_on_interrupt": False}, 1)])
def test_exit_codes_of_servers(number, config, code, binary, agents):
    agent = agents(binary, config=dict(config, performance={"raft_multiplier": 1, "leave_drain_time": "50ms"})).start()
    until("its start is over", lambda: "Consul agent running!" in agent.tail(10 ** 6))
    agent.proc.send_signal(number)
    assert agent.proc.wait(PATIENCE) == code
    log = agent.tail(20000)
    assert ("Graceful exit completed" in log) == (code == 0)
    assert ("Graceful shutdown disabled. Exiting" in log) == (code == 1)


@pytest.mark.parametrize("number,config,code", [
    (signal.SIGTERM, {}, 0), (signal.SIGINT, {}, 0), (signal.SIGTERM, {"leave_on_terminate": False}, 1),
    (signal.SIGINT, {"skip_leave_on_interrupt": True}, 1)])
def test_exit_codes_of_clients(number, config, code, binary, agents):
    agent = agents(binary, config=dict(config, server=False, bootstrap_expect=0, bootstrap=False))
    agent.launch()
    until("an answer", lambda: _answers(agent))
    until("its start is over", lambda: "Consul agent running!" in agent.tail(10 ** 6))
    agent.proc.send_signal(number)
    assert agent.proc.wait(PATIENCE) == code


def _answers(agent):
    try:
        return agent.get("/v1/agent/self", timeout=2).status == 200
    except OSError:
        return False
