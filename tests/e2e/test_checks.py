"""Every type of check beside the real peer: the same definitions against the same servers, programs and Docker engine; status and
output must be equal. What a text says of a connection's own port is left out of the comparison."""

import os
import re

import pytest

from e2e.harness import until
from e2e.stubs import Docker, Grpc, Http, Server, tls_context


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    tls = tls_context(str(tmp_path))
    tls_h2 = tls_context(str(tmp_path), ["h2"])
    path = str(tmp_path / "engine.sock")
    made = {"http": Http("127.0.0.1"), "https": Http("127.0.0.1", tls=tls), "grpc": Grpc("127.0.0.1"), "grpcs": Grpc("127.0.0.1", tls=tls_h2),
            "raw": Server("127.0.0.1"), "docker": Docker(path)}
    monkeypatch.setenv("DOCKER_HOST", "unix://" + path)
    yield made
    for server in made.values():
        server.close()


def script(folder, name, text):
    path = os.path.join(str(folder), name)
    with open(path, "w") as handle:
        handle.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return [path]


def script_checks(folder):
    plain = os.path.join(str(folder), "not-executable")
    open(plain, "w").close()
    return {
        "passing": script(folder, "s0", "echo fine; exit 0"),
        "warning": script(folder, "s1", "echo so so >&2; exit 1"),
        "critical": script(folder, "s2", "printf 'no newline'; exit 2"),
        "killed": script(folder, "s3", "echo before; kill -9 $$"),
        "terminated": script(folder, "s4", "echo before; kill -TERM $$"),
        "both": script(folder, "s5", "echo out; echo err >&2; echo out again"),
        "much": script(folder, "s6", "i=0; while [ $i -lt 900 ]; do echo line $i; i=$((i+1)); done"),
        "slow": (script(folder, "s7", "echo started; sleep 20"), {"Timeout": "700ms"}),
        "silent": (script(folder, "s8", "sleep 20"), {"Timeout": "1500ms"}),
        "limited": (script(folder, "s9", "echo 0123456789abcdef"), {"OutputMaxSize": 5}),
        "stdin": script(folder, "s10", "cat; echo end of input"),
        "group": (script(folder, "s11", "sleep 20 & echo left a child; wait"), {"Timeout": "500ms"}),
        "arguments": script(folder, "s12", 'for a in "$@"; do echo "[$a]"; done') + ["a b", "", "c'd", "é"],
        "shell": ["sh", "-c", "echo $0 $1; exit 1", "zero", "one"],
        "absent": ["/nonexistent/program"],
        "nowhere": ["no-such-program-anywhere"],
        "denied": [plain],
        "folder": [str(folder)],
    }


def http_checks(stubs):
    base, tls, closed = "http://127.0.0.1:%d" % stubs["http"].port, "https://127.0.0.1:%d" % stubs["https"].port, "http://127.0.0.1:%d" % stubs["raw"].port
    out = {"status-%d" % n: (base + "/status/%d" % n, {}) for n in (200, 204, 299, 300, 404, 429, 500, 503, 999)}
    out.update({
        "head": (base + "/status/200", {"Method": "HEAD"}),
        "post": (base + "/echo", {"Method": "POST", "Body": '{"a": 1}', "Header": {"X-One": ["1", "2"], "Content-Type": ["application/json"]}}),
        "get-body": (base + "/echo", {"Body": "sent all the same"}),
        "own-agent": (base + "/echo", {"Header": {"User-Agent": ["mine"], "Accept": ["a/b"]}}),
        "odd-method": (base + "/echo", {"Method": "pUrGe"}),
        "bad-method": (base + "/echo", {"Method": "A B"}),
        "redirects": (base + "/redirect/3", {}), "loop": (base + "/redirect/30", {}), "away": (base + "/away", {}),
        "post-redirect": (base + "/redirect/1", {"Method": "POST", "Body": "x"}),
        "slow-head": (base + "/slow-head", {"Timeout": "800ms"}), "slow-body": (base + "/slow-body", {"Timeout": "800ms"}),
        "gzip": (base + "/gzip", {}), "chunked": (base + "/chunked", {}), "binary": (base + "/binary", {}),
        "long": (base + "/bytes/9000", {}), "limited": (base + "/bytes/50", {"OutputMaxSize": 7}),
        "close": (base + "/close", {}), "reset": (base + "/reset", {}), "garbage": (base + "/garbage", {}),
        "no-answer": (closed + "/", {}), "refused": ("http://127.0.0.1:1/", {}),
        "scheme": ("ftp://127.0.0.1/", {}), "no-host": ("http:///x", {}), "no-scheme": ("127.0.0.1:80/x", {}), "bad-port": ("http://127.0.0.1:99999/", {}),
        "untrusted": (tls + "/status/200", {}), "unverified": (tls + "/status/200", {"TLSSkipVerify": True}),
        "tls-to-plain": (base.replace("http:", "https:") + "/status/200", {"TLSSkipVerify": True, "Timeout": "2s"}),
        "plain-to-tls": (tls.replace("https:", "http:") + "/status/200", {}),
        "query": (base + "/echo?a=b&c=%20d#fragment", {}),
        "unresolved": ("http://no-such-host.invalid/", {}),
    })
    return out


def tcp_checks(stubs):
    return {"open": "127.0.0.1:%d" % stubs["raw"].port, "name": "localhost:%d" % stubs["raw"].port, "refused": "127.0.0.1:1", "no-port": "127.0.0.1",
            "no-host": ":%d" % stubs["raw"].port, "bad-port": "127.0.0.1:99999", "odd-port": "127.0.0.1:nonsense", "colons": "::1:80",
            "v6-refused": "[::1]:1", "bracket": "[::1:80"}


def grpc_checks(stubs):
    plain, tls, http = "127.0.0.1:%d" % stubs["grpc"].port, "127.0.0.1:%d" % stubs["grpcs"].port, "127.0.0.1:%d" % stubs["http"].port
    out = {name or "whole": (plain + ("/" + name if name else ""), {}) for name in list(Grpc.CASES) + list(Grpc.ERRORS)}
    out.update({"reset-%d" % n: (plain + "/reset-%d" % n, {}) for n in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12)})
    out.update({
        "slashes": (plain + "/a/b/c", {}), "slow": (plain + "/slow", {"Timeout": "800ms"}), "http": (plain + "/http", {}),
        "refused": ("127.0.0.1:1", {}), "no-port": ("127.0.0.1", {"Timeout": "1s"}),
        "untrusted": (tls, {"GRPCUseTLS": True, "Timeout": "1s"}), "unverified": (tls + "/serving", {"GRPCUseTLS": True, "TLSSkipVerify": True}),
        "tls-to-plain": (plain, {"GRPCUseTLS": True, "TLSSkipVerify": True, "Timeout": "1s"}),
    })
    return out


def docker_checks():
    return ["exit-0", "exit-1", "exit-2", "exit-255", "create-404", "create-409", "create-500", "start-404", "start-409", "start-500", "inspect-404",
            "inspect-500", "bad-create", "bad-inspect", "gone-create", "gone-start", "gone-inspect", "a/b c+é"]


def definitions(folder, stubs):
    out = {}

    def add(kind, name, body, more=None):
        # A second between runs, and not the status that is expected: one sees that it has run.
        out["%s:%s" % (kind, name)] = dict({"Interval": "1s", "Name": name, "Timeout": "30s"}, **body, **(more or {}))
    for name, args in script_checks(folder).items():
        args, more = args if isinstance(args, tuple) else (args, {})
        add("script", name, {"Args": args}, more)
    for name, (url, more) in http_checks(stubs).items():
        add("http", name, {"HTTP": url}, more)
    for name, address in tcp_checks(stubs).items():
        add("tcp", name, {"TCP": address})
    for name, (target, more) in grpc_checks(stubs).items():
        add("grpc", name, {"GRPC": target}, more)
    for name in docker_checks():
        add("docker", name, {"DockerContainerID": name, "Args": ["/bin/check", "-x", "<&>"]})
    return out




def results(agent):
    """What the checks have come to, without what is different by nature."""
    out = {}
    for name, check in agent.get("/v1/agent/checks").json.items():
        text = re.sub(r"127\.0\.0\.1:\d+->", "127.0.0.1:<port>->", check["Output"])
        out[name] = (check["Status"], text)
    return out


def test_every_type_beside_the_peer(praetor_asan, peer, agents, stubs, tmp_path):
    config = {"enable_script_checks": True, "check_update_interval": "0s"}
    both = [agents(peer, name="theirs", config=config).start(), agents(praetor_asan, name="ours", config=config).start()]
    theirs, ours = both
    wanted = definitions(tmp_path, stubs)
    for agent in both:
        for name, body in wanted.items():
            body = dict(body, ID=name, Status="passing")
            got = agent.put("/v1/agent/check/register", body)
            assert got.status == 200, (agent.name, name, got.text)

    def all_ran(agent):
        now = results(agent)
        return all(now[name][1] for name in wanted)
    for agent in both:
        until("every check of %s has run" % agent.name, lambda: all_ran(agent))
    different = set(wanted)  # each has its own time: they need not be equal all at once
    mine, other = {}, {}

    def all_were_equal():
        mine.update(results(ours))
        other.update(results(theirs))
        different.difference_update([name for name in wanted if mine[name] == other[name]])
        return not different
    try:
        until("equal results", all_were_equal)
    except AssertionError:
        wrong = ["%s\n  peer %s\n  ours %s" % (name, other[name], mine[name]) for name in sorted(different)]
        raise AssertionError("%d of %d checks differ:\n%s" % (len(wrong), len(wanted), "\n".join(wrong)))


def test_what_the_engine_is_asked(praetor, peer, agents, tmp_path, monkeypatch):
    """The requests to the Docker engine are those of the peer, to the header."""
    seen = {}
    for name, binary in (("theirs", peer), ("ours", praetor)):
        path = str(tmp_path / (name + ".sock"))
        engine = Docker(path)
        monkeypatch.setenv("DOCKER_HOST", "unix://" + path)
        agent = agents(binary, name=name, config={"enable_script_checks": True}).start()
        assert agent.put("/v1/agent/check/register", {"ID": "d", "Name": "d", "DockerContainerID": "exit-1", "Args": ["/bin/check", "a b"],
                                                     "Shell": "/bin/bash", "Interval": "1s"}).status == 200
        until("a result", lambda: agent.get("/v1/agent/checks").json["d"]["Status"] == "warning")
        agent.kill()
        with engine.lock:
            seen[name] = engine.seen[:3]
        engine.close()
    assert seen["ours"] == seen["theirs"]


def test_scripts_end_with_their_check(praetor_asan, agents, tmp_path):
    """A script that runs when its check is deregistered, or the agent stops, is ended with all of its children."""
    agent = agents(praetor_asan, config={"enable_script_checks": True}).start()
    for name in ("one", "two"):
        pids = tmp_path / (name + ".pids")
        args = script(tmp_path, name + ".sh", "sleep 300 & echo $$ $! > %s.new; mv %s.new %s; wait\n" % (pids, pids, pids))
        assert agent.put("/v1/agent/check/register", {"Name": name, "Args": args, "Interval": "1s", "Timeout": "200s"}).status == 200
        until("the script runs", pids.exists)

    def runs(pid):
        try:
            with open("/proc/%s/stat" % pid) as handle:
                return "Z" not in handle.read().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False

    def gone(name):
        return not any(runs(pid) for pid in (tmp_path / (name + ".pids")).read_text().split())
    assert not gone("one")
    agent.put("/v1/agent/check/deregister/one")
    until("the first script has ended", lambda: gone("one"))
    assert not gone("two")
    agent.stop()
    until("the second script has ended", lambda: gone("two"))


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_exposed_checks_beside_the_peer(praetor_asan, peer, agents, stubs, kind):
    """A sidecar that exposes the checks of its service has them sent to a port of its own, until it does no more."""
    port = stubs[kind].port
    refused = {"http": {"HTTP": "http://127.0.0.1:1/echo/x?a=%20b#c"}, "grpc": {"GRPC": "127.0.0.1:1/serving"}}[kind]
    config = {"check_update_interval": "0s", "ports": {"expose_min_port": port, "expose_max_port": port + 1}}
    both = [agents(peer, name="theirs", config=config).start(), agents(praetor_asan, name="ours", config=config).start()]

    def sidecar(agent, address, exposes):
        assert agent.put("/v1/agent/service/register", {
            "Name": "web-proxy", "Kind": "connect-proxy", "Port": 20000, "Address": address,
            "Proxy": {"DestinationServiceName": "web", "DestinationServiceID": "web", "Expose": {"Checks": exposes}}}).status == 200

    def outputs(status, step):
        """Until both agents' checks have the status, and say the same, which is of this step."""
        def all_there():
            found = [agent.get("/v1/agent/checks").json["c"] for agent in both]
            return found[0]["Output"] == found[1]["Output"] and step(found[0]["Output"]) and all(one["Status"] == status for one in found)
        try:
            until("equal outputs", all_there)
        except AssertionError:
            raise AssertionError("\n".join(agent.get("/v1/agent/checks").json["c"]["Output"] for agent in both))

    for agent in both:
        assert agent.put("/v1/agent/service/register", {
            "Name": "web", "Port": 1, "Check": dict({"CheckID": "c", "Interval": "500ms", "Timeout": "2s"}, **refused)}).status == 200
    outputs("critical", lambda text: "127.0.0.1:1" in text and "refused" in text)
    for address in ("127.0.0.1", "127.0.0.2", ""):  # nobody listens on the second
        for agent in both:
            sidecar(agent, address, True)
        wanted = "%s:%d" % (address, port) if address or kind == "grpc" else "http://:%d/" % port
        outputs("critical" if address == "127.0.0.2" else "passing", lambda text: wanted in text)
    for agent in both:
        sidecar(agent, "", False)
    outputs("critical", lambda text: "127.0.0.1:1" in text and "refused" in text)
    for agent in both:
        sidecar(agent, "127.0.0.1", True)
    outputs("passing", lambda text: ":%d" % port in text)
    for agent in both:
        assert agent.put("/v1/agent/service/deregister/web-proxy").status == 200
    outputs("critical", lambda text: "127.0.0.1:1" in text and "refused" in text)
