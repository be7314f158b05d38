"""`connect envoy` and `connect expose` (cli.md 2.6, 2.8, connect.md 6.9, 8): the recorded bootstraps with an agent of ours, many more
beside the peer's command with the same agent, what is registered, how Envoy is started, and what is written for an ingress gateway."""

import json
import os
import re
import subprocess
from http.server import BaseHTTPRequestHandler

import pytest

from e2e.harness import _address, until
from e2e.http_listener import HttpListener

VECTORS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors", "connect", "envoy-bootstrap.json")
GRPC = {"ports": {"http": 8500, "dns": 8600, "server": 8300, "serf_lan": 8301, "serf_wan": 8302, "https": -1, "grpc": 25802}}
WEB = {"Name": "web", "ID": "web1", "Port": 8080, "Connect": {"SidecarService": {"Proxy": {"Config": {}}}}}
SIDECAR = ["-sidecar-for", "web1"]


def run(binary, argv, address, env=None, cwd=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("CONSUL_", "CONNECT_"))}
    clean.update(env or {}, CONSUL_HTTP_ADDR=address)
    got = subprocess.run([binary, "connect", *argv], env=clean, cwd=cwd, capture_output=True, timeout=90)
    return got.stdout.decode(), got.stderr.decode(), got.returncode


def register(agent, services):
    for name in agent.get("/v1/agent/services").json:
        assert agent.put("/v1/agent/service/deregister/" + name).status == 200
    for service in services if isinstance(services, list) else [services]:
        if service:
            got = agent.put("/v1/agent/service/register", service)
            assert got.status == 200, got.text


def ordered(value):
    """The same JSON only if the order of keys is the same too."""
    return json.dumps(value)


def test_recorded(agents, praetor_asan):
    agent = agents(praetor_asan, dev=True, config=GRPC).start()
    with open(VECTORS) as handle:
        vectors = json.load(handle)["vectors"]
    assert len(vectors) == 22
    for case in vectors:
        register(agent, case["registrations"])
        out, err, code = run(praetor_asan, ["envoy", "-bootstrap", *case["args"]], agent.ip + ":8500", env=case["env"])
        assert (err, code) == (case["stderr"], case["exit"]), case["case"]
        if case["stdout_raw"] is not None:
            assert out == case["stdout_raw"], case["case"]
        elif case["stdout_json"] is not None:
            assert ordered(json.loads(out)) == ordered(case["stdout_json"]), case["case"]
        else:
            assert out == (case["stdout"] or ""), case["case"]


# ---- beside the peer ----

KEYS = ["envoy_statsd_url", "envoy_dogstatsd_url", "envoy_prometheus_bind_addr", "envoy_stats_bind_addr", "envoy_stats_flush_interval",
        "envoy_tracing_json", "envoy_stats_config_json", "envoy_extra_stats_sinks_json", "envoy_extra_static_clusters_json",
        "envoy_extra_static_listeners_json", "envoy_bootstrap_json_tpl", "envoy_stats_tags"]
VALUES = [5, True, 1.5, [], {}, ["a"], {"a": "b"}, 'x"y', " ", "[", "a=b=c", None, ""]
URLS = ["udp://1.2.3.4:5", "udp://1.2.3.4", "udp://h:x", "udp://[::1]:5", "udp://u@h:5", "unix:///a/b", "unix://a/b", "unix:a", "udp:1",
        "$NOPE", "$X", "$XY", "$1A", "${XY}", "$$XY", "udp://$XY:1", "UDP://1.1.1.1:1", "tcp://1.1.1.1:1", "1.2.3.4:5", "udp://a:1/b", "://",
        "%zz", "udp://%41:1", "unix:///a%20b", "unix:///a b", "udp://1.2.3.4:99999", "udp://a b:1", "udp://:5"]
ADDRESSES = ["x", "1.2.3.4", "1.2.3.4:5:6", "[::1]:5", "[::1]", "::1:5", ":5", "1.2.3.4:", 'a"b:1', "[a]b:1", "a]:1", "[a:1", "a[b:1", " :1"]
TAGS = [["a"], ["a=b=c"], ["=x"], [""], ["A B = c "], ['a"="b'], ["local_cluster"], ["LOCAL_CLUSTER=z"], ["a=b", "a=c"], [1, True], "single",
        "a=1,b=2"]
CLUSTERS = ['{"name":"self_admin"}', '{"name":"a"},{"name":"self_admin","x":1}', "{", '{"name":1}', "5", "[]", "{}", '{"Name":"self_admin"}',
            "null", '"x"', '{"name":"a"},', ',{"name":"a"}']
TEMPLATES = ['{"a":{{if .AgentTLS}}1{{else}}0{{end}}} \n ', "{{ .ProxyID", "{{ foo }}", "{{ .ProxyID.X }}", "{{ if }}",
             "{{range .ProxyID}}{{end}}", "{{eq .AgentTLS true}}", '{{.ProxyID | printf "%q"}}',
             '{{"<a\'b\\"&=\\u00e9\\u2028\\u0001\\\\"|js|printf "%q"}}', '{{"<a\'b\\"&=\\u00e9>"|html|printf "%q"}}',
             '{{"a b&=\\u00e9/?~"|urlquery|printf "%q"}}', "  ", "x", '{"a":1}x', "{{.Nope}}{{.X}}", "{{.AgentTLS.X}}", "{{not .AgentTLS}}",
             '{"a":1,"a":1e5,"b":"\\u00e9","c":[],"d":{ },"e":[ 1,{"x":[]}]}', '{{$x := .ProxyID}}"{{$x}}"', "{{with .Token}}1{{else}}2{{end}}",
             "{{- /* c */ -}} 5", '{{and .AgentTLS .ProxyID | printf "%v"}}', "\n\n{{ .ProxyID\n.Foo}}", '"a{{- 5 -}} b"', '"{{-\t5}}"',
             '{{define "x"}}1{{end}}{{template "x"}}',
             '{{template "x"}}{{define "x"}}2{{end}}',
             '{{block "b" .ProxyID}}"{{.}}"{{end}}',
             '{{template "nope"}}',
             '{{define "x"}}{{.Nope}}{{end}}{{template "x" .}}',
             '{{define "x"}}{{.}}{{end}}[{{template "x"}}]',
             '{{define "x"}}{{template "x"}}{{end}}{{template "x"}}',
             '{{define "x"}}1{{end}}{{define "x"}}2{{end}}{{template "x"}}',
             '{{if 1}}{{define "x"}}{{end}}{{end}}',
             '{{define x}}{{end}}',
             '{{define}}{{end}}',
             '{{define "x" 1}}{{end}}',
             '{{define "x"}}',
             '{{define "x"}}{{else}}{{end}}',
             '{{template}}',
             '{{template x}}',
             '{{template "x" .ProxyID .Token}}',
             '{{$a := 1}}{{define "x"}}{{$a}}{{end}}',
             '{{$a := 1}}{{template "x" $a}}{{define "x"}}{{$}}{{.}}{{end}}',
             '{{define "x"}}{{define "y"}}1{{end}}{{end}}{{template "y"}}',
             '{{block "b"}}1{{end}}',
             '{{block "b" .}}1{{else}}2{{end}}',
             '{{block "b" .}}1{{end}}{{define "b"}}2{{end}}',
             '{{define "b"}}2{{end}}{{block "b" .}}1{{end}}',
             '{{define `x`}}5{{end}}{{template `x`}}',
             '{{define "x"}} {{end}}{{define "x"}}2{{end}}{{template "x"}}',
             '{{define "bootstrap"}}7{{end}}',
             '{{define "bootstrap"}}7{{end}} 5',
             '{{template "bootstrap" .}}',
             '\n{{template "x" .Nope}}{{define "x"}}{{end}}',
             '{{define "x"}}\n\n {{ .ProxyID.Y }}{{end}}\n{{template "x" .}}',
             '{{template "x" .ProxyID | printf "%q"}}{{define "x"}}{{.}}{{end}}',
             '{{define "x"}}a{{end}}',
             '{{template 5}}',
             '{{end}}',
             '{{break}}',
             '{{define "x"}}1{{end }}{{ template "x" }}',
             '{"c":"{{.LocalAgentClusterName}}","n":"{{.Namespace}}","p":"{{.AdminAccessLogPath}}","s":"{{.AgentSocket}}"}']
GRPC_ADDRESSES = ["127.0.0.1:1/", "http://127.0.0.1", "https://[::1]:5", "unix://", "http://", "x:y:z", ":", "[::1", "HTTPS://127.0.0.1:5",
                  " 127.0.0.1:5", ":5", "localhost:5"]


def web(config):
    return dict(WEB, Connect={"SidecarService": {"Proxy": {"Config": config}}})


def cases():
    env = {"X": "udp://9.9.9.9:9", "XY": "udp://9.9.9.9:9", "1A": "udp://9.9.9.9:9"}
    for key in KEYS:
        for value in VALUES:
            yield SIDECAR, web({key: value}), {}
    for url in URLS:
        yield SIDECAR, web({"envoy_statsd_url": url}), env
    yield SIDECAR, web({"envoy_dogstatsd_url": "http://x", "envoy_statsd_url": "udp://1.1.1.1:1"}), {}
    for address in ADDRESSES:
        yield SIDECAR, web({"envoy_prometheus_bind_addr": address}), {}
        yield SIDECAR + ["-admin-bind", address.replace("nosuch", "x")] if "[" in address or ":" not in address else SIDECAR, web({}), {}
    for tags in TAGS:
        yield SIDECAR, web({"envoy_stats_tags": tags}), {}
    for clusters in CLUSTERS:
        yield SIDECAR, web({"envoy_extra_static_clusters_json": clusters, "envoy_stats_bind_addr": "1.1.1.1:1"}), {}
    for template in TEMPLATES:
        yield SIDECAR, web({"envoy_bootstrap_json_tpl": template}), {}
    for address in GRPC_ADDRESSES:
        yield SIDECAR + ["-grpc-addr", address], web({}), {}
    yield SIDECAR, web({"Envoy_Statsd_URL": "udp://1.1.1.1:1", "ENVOY_STATS_TAGS": ["q=r"]}), {}
    yield SIDECAR, web({"envoy_statsd_url": {"a": 1}, "envoy_tracing_json": [1], "envoy_stats_tags": [{"a": 1}, [2]]}), {}
    for argv in (["-proxy-id", "nosuch"], ["-sidecar-for", "zz"], ["-proxy-id", "web1"], ["-gateway", "mesh"], ["-gateway", "zork"], [],
                 ["-proxy-id", "web1-sidecar-proxy", "-sidecar-for", "q"], ["-gateway", "mesh", "-mesh-gateway"], ["-expose-servers"],
                 ["-gateway", "mesh", "-expose-servers"], ["-gateway", "ingress", "-proxy-id", "web1-sidecar-proxy"], ["-proxy-id", "a", "-register"],
                 ["-gateway", "ingress", "-sidecar-for", "web1", "-address", "127.0.0.1"], ["-gateway", "mesh", "-register", "-address", "9.9.9.9"],
                 ["-gateway", "mesh", "-register", "-deregister-after-critical", "zork"], ["-gateway", "mesh", "-register", "-namespace", "foo"],
                 SIDECAR + ["-namespace", "foo"], SIDECAR + ["-token", 'a"b'], SIDECAR + ["-envoy-version", "a\\b"], SIDECAR + ["-ca-file", "/nope"]):
        yield argv, web({}), {}
    yield ["-mesh-gateway"], {"Kind": "mesh-gateway", "Name": "mg", "ID": "m1", "Port": 1}, {}
    yield SIDECAR, [WEB, {"Kind": "connect-proxy", "Name": "p2", "ID": "p2", "Port": 3,
                          "Proxy": {"DestinationServiceName": "web", "DestinationServiceID": "web1"}}], {}
    yield ["-sidecar-for", "web"], {"Name": "web", "ID": "WEB", "Port": 8080, "Connect": {"SidecarService": {}}}, {}
    yield ["-proxy-id", "pp"], {"Kind": "connect-proxy", "Name": "pp", "Port": 3, "Proxy": {"DestinationServiceName": "web"}}, {}
    yield [], WEB, {"CONNECT_PROXY_ID": "web1-sidecar-proxy"}
    yield [], WEB, {"CONNECT_SIDECAR_FOR": "web1", "CONSUL_GRPC_ADDR": "127.0.0.7:77"}
    yield ["-proxy-id", "x", "-no-central-config"], WEB, {"CONSUL_NAMESPACE": "bar"}


def in_order(result):
    """The order of IDs is the peer's luck."""
    return result[0], re.sub("(?<=IDs: ).*", lambda m: ", ".join(sorted(m.group(0).split(", "))), result[1]), result[2]


def test_beside_peer(agents, praetor, peer):
    agent = agents(praetor, dev=True, config=GRPC).start()
    wrong, done, before = [], 0, None
    for argv, services, env in cases():
        if services != before:
            register(agent, services)
            before = services
        theirs, ours = (in_order(run(binary, ["envoy", "-bootstrap", *argv], agent.ip + ":8500", env=env)) for binary in (peer, praetor))
        done += 1
        if theirs != ours:
            wrong.append((argv, services, theirs[1:], ours[1:]) if theirs[1:] != ours[1:] else (argv, services, theirs[0], ours[0]))
    assert not wrong, "%d of %d: %s" % (len(wrong), done, json.dumps(wrong[:4], indent=1)[:6000])
    assert done > 250


def test_flags(praetor_asan):
    """What is wrong with addresses is told by the flags."""
    for flag, value, text in (("address", "x", 'Error parsing address "x": not an IP address'),
                              ("address", "", 'Error parsing address "": not an IP address'),
                              ("address", "::1", 'Error parsing address "::1": address ::1: too many colons in address'),
                              ("address", "1.2.3.4:http", 'Error parsing port "http": strconv.Atoi: parsing "http": invalid syntax'),
                              ("wan-address", "[::1]", 'Error parsing address "[::1]": not an IP address'),
                              ("address", "{{ Foo }}", 'Error parsing address "{{ Foo }}": unable to parse template "{{ Foo }}": template: '
                               'sockaddr.Parse:1: function "Foo" not defined'),
                              ("bind-address", "x", 'Missing "=" in argument: x'),
                              ("bind-address", "x=1", 'Error parsing address "1": not an IP address')):
        out, err, code = run(praetor_asan, ["envoy", "-" + flag, value], "127.0.0.1:1")
        want = 'invalid value %s for flag -%s: %s' % (json.dumps(value), flag, text)
        assert (out, err.split("\n")[0], code) == ("", want, 1)


# ---- a server that records ----

class Recorder:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                outer.asked.append((self.command, self.path, json.loads(body) if body.strip() else None))
                code, answer = outer.answers.get(self.command + " " + self.path.split("?")[0], (404, "nope"))
                answer = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            do_GET = do_PUT = do_POST = handle_one

            def log_message(self, *_):
                pass

        self.server = HttpListener((_address(), 8500), Handler)
        self.address, self.close = "%s:8500" % self.server.server_address[0], self.server.close

    def beside(self, peer, ours, argv):
        """Both do it; the results, and what was asked, are the same."""
        results = []
        for binary in (peer, ours):
            self.asked = []
            got = run(binary, argv, self.address)
            results.append((got[0], got[1].split("\nUsage:")[0], got[2], self.asked))
        assert results[1] == results[0], argv
        return results[0]


@pytest.fixture
def recorder():
    made = Recorder({})
    yield made
    made.close()


def test_registration(recorder, praetor_asan, peer):
    recorder.answers = {"PUT /v1/agent/service/register": (200, ""),
                        "GET /v1/agent/self": (200, {"DebugConfig": {"GRPCPort": 7777}})}
    for name in ("mesh-gateway", "terminating-gateway", "ingress-gateway", "mgx", "ig", "y"):
        recorder.answers["GET /v1/agent/service/" + name] = (200, {"Kind": "x", "ID": name, "Service": name, "Proxy": {}})
    for argv in (["-gateway", "mesh"], ["-gateway", "mesh", "-address", "127.0.0.1:25990", "-wan-address", "127.0.0.1:25992", "-expose-servers"],
                 ["-gateway", "mesh", "-address", "127.22.1.1:25990", "-wan-address", "9.9.9.9:443", "-bind-address", "pub=127.0.0.1:25991",
                  "-bind-address", "b=:4", "-bind-address", "a=1.2.3.4", "-bind-address", "b=:5", "-service", "mgx"],
                 ["-gateway", "terminating", "-address", "127.0.0.1", "-deregister-after-critical", "1h"],
                 ["-gateway", "ingress", "-service", "ig", "-address", "127.0.0.1:25990", "-proxy-id", "y", "-token", "t"],
                 ["-gateway", "ingress", "-wan-address", "9.9.9.9:443", "-bind-address", "pub=127.0.0.1:1", "-deregister-after-critical", ""],
                 ["-gateway", "mesh", "-wan-address", "9.9.9.9:443", "-address", "127.0.0.1:5"], ["-gateway", "mesh", "-wan-address", "127.0.0.1"],
                 ["-gateway", "mesh", "-address", ":5", "-wan-address", "127.0.0.1:1"], ["-gateway", "mesh", "-address", "localhost:5"]):
        got = recorder.beside(peer, praetor_asan, ["envoy", "-bootstrap", "-register", *argv])
        assert got[2] == (1 if "localhost:5" in argv else 0), got


# ---- starting Envoy ----

FAKE = r"""#!/bin/sh
echo "args: $*"
[ -p "$2" ] && echo pipe
stat -c %a "$2"
cat "$2" > "$OUT"
while [ -e "$2" ]; do sleep 0.02; done
echo "pid $$"
exit 7
"""


@pytest.fixture
def envoy(tmp_path):
    path = tmp_path / "bin" / "envoy"
    path.parent.mkdir()
    path.write_text(FAKE)
    path.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    return path


def test_starts_envoy(envoy, tmp_path, praetor_asan, peer):
    env = {"PATH": "%s:%s" % (envoy.parent, os.environ["PATH"]), "TMPDIR": str(tmp_path / "tmp"), "OUT": str(tmp_path / "out")}
    base = ["envoy", "-proxy-id", "x", "-no-central-config", "-grpc-addr", "127.0.0.1:1", "-token", "sekrit"]
    printed = run(praetor_asan, base + ["-bootstrap"], "127.0.0.1:1")[0]
    for more in ([], ["--", "-l", "debug"], ["--", "--restart-epoch", "1"], ["--", "--drain-time-s=1"], ["--", "--restart-epochs"], ["a", "-b"],
                 ["--", "--disable-hot-restart"], ["--", "--max-obj-name-len", "60"]):
        results = []
        for binary in (peer, praetor_asan):
            out, err, code = run(binary, base + more, "127.0.0.1:1", env=env)
            lines = out.split("\n")
            words = lines[0].split(" ")
            assert words[2].startswith(str(tmp_path / "tmp" / "envoy-")) and words[2].endswith("-bootstrap.json"), out
            words[2] = "PIPE"
            results.append((words, lines[1:3], err, code, (tmp_path / "out").read_text()))
            assert os.listdir(tmp_path / "tmp") == []
        assert results[1] == results[0]
        assert results[1][1] == ["pipe", "600"] and results[1][3] == 7 and results[1][4] == printed
    # The peer overlooks the form with "=", and Envoy then refuses to start.
    out, _, code = run(praetor_asan, base + ["--", "--max-obj-name-len=60"], "127.0.0.1:1", env=env)
    assert "256" not in out and code == 7


def test_does_not_start(envoy, tmp_path, praetor_asan, peer):
    base = ["envoy", "-proxy-id", "x", "-no-central-config", "-grpc-addr", "127.0.0.1:1"]
    plain = tmp_path / "plain"
    plain.write_text("")
    env = {"PATH": "/nowhere", "TMPDIR": str(tmp_path / "tmp")}
    for more, place in ((["-envoy-binary", "/nope"], env), (["-envoy-binary", str(plain)], env), ([], env),
                        (["-envoy-binary", str(envoy)], dict(env, TMPDIR="/nope"))):
        theirs, ours = (run(binary, base + more, "127.0.0.1:1", env=place) for binary in (peer, praetor_asan))
        assert ours == theirs and ours[2] == 1
        for name in os.listdir(tmp_path / "tmp"):  # the peer's
            os.unlink(tmp_path / "tmp" / name)
        assert run(praetor_asan, base + more, "127.0.0.1:1", env=place)[2] == 1
        assert os.listdir(tmp_path / "tmp") == []  # ours leaves none


def test_pipe(tmp_path, praetor_asan, peer):
    for binary in (peer, praetor_asan):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        sender = subprocess.Popen([binary, "connect", "envoy", "pipe-bootstrap", str(pipe)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
            sender.stdin.write(b"hello" * 10000)  # the peer reads it once somebody reads the pipe
            sender.stdin.close()
            assert reader.stdout.read() == b"hello" * 10000
        assert sender.stdout.read() == b"Bootstrap sent, unlinking named pipe\n" and sender.wait(60) == 0
        until("the pipe's end", lambda: not pipe.exists())
    for argv in ([], ["a", "b"], ["/nope/x"]):
        theirs, ours = (run(binary, ["envoy", "pipe-bootstrap", *argv], "127.0.0.1:1") for binary in (peer, praetor_asan))
        assert ours == theirs and ours[2] == 1


# ---- connect expose ----

ENTRY = {"Kind": "ingress-gateway", "Name": "g", "TLS": {"Enabled": True}, "CreateIndex": 11, "ModifyIndex": 12,
         "Listeners": [{"Port": 8, "Protocol": "tcp", "Services": [{"Name": "a", "Namespace": "", "Hosts": None}]},
                       {"Port": 9, "Protocol": "http", "Services": [{"Name": "b", "Hosts": ["x"]}, {"Name": "a", "Namespace": "n2"}]}]}
INTENTION = {"ID": "i9", "SourceNS": "default", "SourceName": "g", "DestinationNS": "default", "DestinationName": "a", "Action": "allow",
             "SourceType": "consul", "Meta": {"x": "y"}, "Precedence": 9, "CreatedAt": "2026-11-23T09:13:30Z",
             "UpdatedAt": "2026-11-23T09:13:30Z", "CreateIndex": 4, "ModifyIndex": 5}


def test_expose_beside_peer(recorder, praetor_asan, peer):
    absent = {"GET /v1/config/ingress-gateway/g": (404, 'Config entry not found for "ingress-gateway" / "g"'),
              "PUT /v1/config": (200, "true"), "GET /v1/connect/intentions": (200, []), "POST /v1/connect/intentions": (200, {"ID": "i1"})}
    present = dict(absent, **{"GET /v1/config/ingress-gateway/g": (200, ENTRY), "GET /v1/connect/intentions": (200, [INTENTION])})
    named = ["-service", "a", "-ingress-gateway", "g"]
    for answers in (absent, present, dict(present, **{"PUT /v1/config": (200, "false")}), dict(present, **{"PUT /v1/config": (400, "no")}),
                    dict(present, **{"GET /v1/connect/intentions": (500, "no")}), dict(absent, **{"POST /v1/connect/intentions": (403, "no")}),
                    {"GET /v1/config/ingress-gateway/g": (404, "else")}, {"GET /v1/config/ingress-gateway/g": (500, "bad")}):
        recorder.answers = answers
        everything = answers in (absent, present)
        for argv in ([], ["-service", "a"], named, ["-service", "a/b/c"], ["-service", "a", "-ingress-gateway", "a/b/c"], named + ["-port", "8"],
                     named + ["-port", "8", "-host", "q", "-host", "r"], named + ["-port", "9"], named + ["-port", "9", "-protocol", "http"],
                     named + ["-port", "10", "-protocol", "HTTP"], named + ["-port", "-5"], named + ["-port", "zork"], named + ["-port", "8", "x"],
                     ["-service", "n2/a", "-ingress-gateway", "g", "-port", "9", "-protocol", "http"],
                     ["-service", "default/a", "-ingress-gateway", "ns/g", "-port", "9", "-protocol", "http"],
                     ["-service", "a/", "-ingress-gateway", "g", "-port", "7", "-datacenter", "dcx"], ["-service", "/", "-ingress-gateway", "/", "-port", "1"],
                     named + ["-port", "8", "-http-addr", "foo://x"]):
            if everything or argv == named + ["-port", "9", "-protocol", "http"]:
                recorder.beside(peer, praetor_asan, ["expose", *argv])


def test_expose(agents, praetor_asan):
    agent = agents(praetor_asan, dev=True).start()
    made = agent.request("POST", "/v1/connect/intentions", body=json.dumps(
        {"SourceName": "edge", "DestinationName": "web", "Action": "deny", "SourceType": "consul", "Meta": {"a": "b"}})).json["ID"]
    argv = ["expose", "-service", "web", "-ingress-gateway", "edge", "-port", "8080"]
    # The peer's own command forgets the intention's ID here, and fails.
    out, err, code = run(praetor_asan, argv, agent.ip + ":8500")
    assert (err, code) == ("", 0) and out.endswith('Successfully set up intention for "edge" -> "web"\n')
    now = agent.get("/v1/connect/intentions/" + made).json
    assert now["Action"] == "allow" and now["Meta"] == {"a": "b"}
    out, err, code = run(praetor_asan, argv, agent.ip + ":8500")
    assert code == 0 and 'Intention already exists for "edge" -> "web"' in out and "Updating service definition" in out
    assert agent.put("/v1/config", {"Kind": "service-defaults", "Name": "api", "Protocol": "http"}).status == 200
    run(praetor_asan, ["expose", "-service", "api", "-ingress-gateway", "edge", "-port", "9090", "-protocol", "http", "-host", "x.example"],
        agent.ip + ":8500")
    listeners = agent.get("/v1/config/ingress-gateway/edge").json["Listeners"]
    assert [(x["Port"], x["Protocol"], [(s["Name"], s["Hosts"]) for s in x["Services"]]) for x in listeners] == [
        (8080, "tcp", [("web", None)]), (9090, "http", [("api", ["x.example"])])]
