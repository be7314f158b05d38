"""What an operator's tools see of an agent: a real Prometheus (Debian's) scrapes it and answers for it, statsd lines arrive at
a socket, profiles are taken under load without a request failing, and `debug` packs all of it."""

import gzip
import http.client
import json
import os
import shutil
import signal
import select
import socket
import subprocess
import tarfile
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from e2e.harness import PATIENCE, PORTS, until, _address, _die_with_parent

PROMETHEUS = """
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: praetor
    metrics_path: /v1/agent/metrics
    params: {format: [prometheus]}
    static_configs: [{targets: ['%s:%d']}]
"""


class Prometheus:
    def __init__(self, folder, target):
        self.ip = _address()
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w") as handle:
            handle.write(PROMETHEUS % (target.ip, PORTS["http"]))
        self.log = open(os.path.join(folder, "prometheus.log"), "wb")
        self.proc = subprocess.Popen(
            ["prometheus", "--config.file=" + config, "--storage.tsdb.path=" + os.path.join(folder, "tsdb"),
             "--web.listen-address=%s:9090" % self.ip], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent)

    def ask(self, query):
        """The values of an instant query, by their labels; None while it does not answer."""
        url = "http://%s:9090/api/v1/query?%s" % (self.ip, urllib.parse.urlencode({"query": query}))
        try:
            with urllib.request.urlopen(url, timeout=5) as got:
                answer = json.load(got)
        except (OSError, urllib.error.URLError):
            assert self.proc.poll() is None, open(self.log.name).read()
            return None
        assert answer["status"] == "success", answer
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def end(self):
        self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()
        self.log.close()


def test_prometheus_scrapes_it(praetor, agents, tmp_path):
    if shutil.which("prometheus") is None:
        pytest.fail("prometheus is not installed: run ./dev test e2e")
    agent = agents(praetor, dev=True, config={
        "telemetry": {"prometheus_retention_time": "1h", "disable_hostname": True}}).start()
    for n in range(7):
        assert agent.put("/v1/kv/k%d" % n, b"v").status == 200
    assert agent.get("/v1/catalog/nodes").status == 200
    prometheus = Prometheus(str(tmp_path), agent)
    try:
        def value(query, wanted):
            got = prometheus.ask(query)
            return got is not None and len(got) == 1 and got[0][1] == wanted and got
        # Each may be gone for a moment: when a scrape took too long.
        def seen(query, wanted):
            return until("%s is %g" % (query, wanted), lambda: value(query, wanted))

        def above(query, bound):
            until("%s above %g" % (query, bound), lambda: (got := prometheus.ask(query)) and got[0][1] > bound)
        seen("consul_kvs_apply_count", 7)
        metric, _ = seen('consul_fsm_kvs_count{op="set"}', 7)[0]
        assert metric["job"] == "praetor" and metric["instance"] == "%s:%d" % (agent.ip, PORTS["http"])
        seen('consul_client_api_catalog_nodes{node="n1"}', 1)
        seen("up", 1)
        above("consul_runtime_alloc_bytes", 100000)
        above("process_open_fds", 5)
    finally:
        prometheus.end()


def test_statsd_lines_arrive(praetor, agents):
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind((_address(), 0))
    sink.settimeout(PATIENCE)
    agent = agents(praetor, dev=True, config={
        "telemetry": {"statsd_address": "%s:%d" % sink.getsockname(), "disable_hostname": True,
                      "prefix_filter": ["-consul.raft"]}}).start()
    agent.put("/v1/kv/a", b"b")
    seen = {}
    while not {"consul.http.PUT.v1.kv._", "consul.runtime.alloc_bytes", "consul.client.rpc"} <= set(seen):
        for line in sink.recv(65536).decode().splitlines():
            name, value = line.split(":", 1)
            seen.setdefault(name, value)
    assert seen["consul.http.PUT.v1.kv._"].endswith("|ms")
    assert seen["consul.runtime.alloc_bytes"].endswith(".000000|g")
    assert seen["consul.client.rpc"] == "1.000000|c"
    assert not [name for name in seen if name.startswith("consul.raft")]
    sink.close()


def fields(data):
    """The fields of one protobuf message: (number, value), bytes for those with a length."""
    def varint(at):
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 0x80:
                return value, at
    at = 0
    while at < len(data):
        tag, at = varint(at)
        if tag & 7 == 0:
            value, at = varint(at)
            yield tag >> 3, value
        else:
            assert tag & 7 == 2, "no such wire type in a profile"
            size, at = varint(at)
            yield tag >> 3, data[at:at + size]
            at += size


def texts_of(profile):
    got = list(fields(gzip.decompress(profile)))
    texts = [value.decode() for number, value in got if number == 6]
    assert texts[0] == "" and len(set(texts)) == len(texts)
    return texts, [value for number, value in got if number == 2]


@pytest.mark.parametrize("binary", ["praetor", "praetor_asan"])
def test_profiles_under_load(request, agents, binary):
    agent = agents(request.getfixturevalue(binary), dev=True, config={"enable_debug": True}).start()
    over, failed = threading.Event(), []

    def load():
        link = http.client.HTTPConnection(agent.ip, PORTS["http"], timeout=PATIENCE)
        while not over.is_set():
            link.request("PUT", "/v1/kv/load", b"x")
            got = link.getresponse()
            if got.read().strip() != b"true":
                failed.append(got.status)

    workers = [threading.Thread(target=load) for _ in range(4)]
    for worker in workers:
        worker.start()
    try:
        # What a thread did not do in that time, or could not tell in a moment, is not in a profile: the next one has it.
        def sampled():
            texts, samples = texts_of(agent.get("/debug/pprof/profile?seconds=2").body)
            return {"cpu", "nanoseconds", "core", "io-0", "loop_run_here"} <= set(texts) and len(samples) > 5

        def listed():
            texts, samples = texts_of(agent.get("/debug/pprof/goroutine").body)
            return {"threads", "count", "core", "io-0", "profile", "loop_run_here"} <= set(texts)

        def traced():
            trace = agent.get("/debug/pprof/trace?seconds=0.3").json
            return {"running"} <= {event["name"] for event in trace["traceEvents"] if event["ph"] == "X"}
        until("a profile of what works", sampled)
        for _ in range(10):
            until("a profile of all threads", listed)
        assert "thread profile: total" in agent.get("/debug/pprof/goroutine?debug=1").text
        until("a trace", traced)
        heap = agent.get("/debug/pprof/heap")
    finally:
        over.set()
        for worker in workers:
            worker.join()
    assert not failed
    texts, samples = texts_of(heap.body)
    assert {"resident", "bytes", "malloc and stacks of threads"} <= set(texts)
    assert agent.get("/debug/pprof/nothing").status == 404


def begin_profile(agent):
    """One of an hour, under way. Asked for again when the short one that asks whether it is was the quicker of the two."""
    busy = "Could not enable CPU profiling: cpu profiling already in use\n"
    link = None

    def under_way():
        nonlocal link
        if link is None:
            link = socket.create_connection((agent.ip, PORTS["http"]))
            link.sendall(b"GET /debug/pprof/profile?seconds=3600 HTTP/1.1\r\nHost: a\r\n\r\n")
        if agent.get("/debug/pprof/profile?seconds=0.05").text == busy:
            return True
        if select.select([link], [], [], 0)[0]:
            link.close()
            link = None
        return False
    until("a profile is under way", under_way)
    return link


def test_a_profile_ends_with_its_client_and_its_agent(praetor, agents):
    agent = agents(praetor, dev=True, config={"enable_debug": True}).start()
    begin_profile(agent).close()
    until("the end of the first", lambda: agent.get("/debug/pprof/profile?seconds=0.05").status == 200)
    last = begin_profile(agent)
    assert agent.stop() == 1
    last.close()


def test_profiles_are_off_by_default(praetor, agents):
    agent = agents(praetor).start()
    for path in ["", "heap", "goroutine", "profile", "trace", "cmdline", "symbol"]:
        got = agent.get("/debug/pprof/" + path)
        assert (got.status, got.text) == (401, "ACL support disabled")


def test_debug_makes_an_archive(praetor, agents, tmp_path):
    agent = agents(praetor, dev=True, config={"enable_debug": True}).start()
    out = str(tmp_path / "found")
    over = threading.Event()

    def work():
        while not over.wait(0.2):
            agent.put("/v1/kv/work", b"x")

    worker = threading.Thread(target=work)
    worker.start()
    try:
        # The second interval is what the first has left of the time: long enough that there is one.
        done = agent.cli("debug", "-duration=20s", "-interval=10s", "-output=" + out, timeout=3 * PATIENCE)
    finally:
        over.set()
        worker.join()
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    assert done.stdout.endswith(b"    Saved debug archive: %s.tar.gz\n" % out.encode())
    assert not os.path.exists(out) and os.stat(out + ".tar.gz").st_mode & 0o777 == 0o600
    with tarfile.open(out + ".tar.gz") as archive:
        files = {one.name: archive.extractfile(one).read() for one in archive if one.isfile()}
    assert json.loads(files["found/index.json"])["Targets"] == ["metrics", "logs", "pprof", "host", "agent", "cluster"]
    assert json.loads(files["found/agent.json"])["Config"]["NodeName"] == "n1"
    assert json.loads(files["found/cluster.json"])[0]["Name"] == "n1.dc1"
    assert json.loads(files["found/host.json"])["Memory"]["total"] > 0
    intervals = sorted({name.split("/")[1] for name in files if name.count("/") == 2})
    assert len(intervals) == 2
    for one in intervals:
        inside = {name.split("/")[2]: body for name, body in files.items() if name.startswith("found/%s/" % one)}
        assert set(inside) == {"metrics.json", "consul.log", "heap.prof", "goroutine.prof", "profile.prof", "trace.out"}
        assert "Gauges" in json.loads(inside["metrics.json"])
        texts_of(inside["profile.prof"])
        json.loads(inside["trace.out"])
        assert b"[DEBUG] agent.http: Request finished: method=PUT url=/v1/kv/work" in inside["consul.log"]


def test_debug_can_be_interrupted(praetor, agents, tmp_path):
    agent = agents(praetor, dev=True).start()
    out = str(tmp_path / "cut")
    env = dict(os.environ, CONSUL_HTTP_ADDR="%s:%d" % (agent.ip, PORTS["http"]))
    proc = subprocess.Popen([praetor, "debug", "-capture=logs", "-duration=1h", "-output=" + out], env=env,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while b"Beginning" not in proc.stdout.readline():
        assert proc.poll() is None
    until("the log is being written", lambda: any("consul.log" in names for _, _, names in os.walk(out)))
    proc.send_signal(signal.SIGINT)
    text, errors = proc.communicate(timeout=PATIENCE)
    assert proc.returncode == 0
    assert errors == b"==> Error encountered during collection: stopping collection due to shutdown signal\n"
    assert os.path.exists(out + ".tar.gz") and not os.path.exists(out)
