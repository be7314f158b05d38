"""Reload while clients are at work: none of their requests is dropped, and what was registered survives."""

import http.client
import json
import os
import signal
import socket
import struct
import threading

from e2e.harness import PORTS, until

ROUNDS = 25


class Load:
    """Clients that work until told to stop; what goes wrong is kept."""

    def __init__(self, agent):
        self.agent, self.over, self.faults, self.done = agent, threading.Event(), [], {}
        self.threads = []

    def start(self, name, work, count):
        self.done[name] = 0
        for number in range(count):
            thread = threading.Thread(target=self._run, args=(name, work, number), daemon=True)
            thread.start()
            self.threads.append(thread)

    def _run(self, name, work, number):
        try:
            for _ in work(number):
                self.done[name] += 1
                if self.over.is_set():
                    return
        except Exception as error:  # whatever it is, a client saw it
            self.faults.append("%s %d: %r" % (name, number, error))

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not self.faults, self.faults[:5]

    def kept_alive(self, number):
        """One connection for all its requests: writes and reads back."""
        link = http.client.HTTPConnection(self.agent.ip, PORTS["http"], timeout=60)
        turn = 0
        while True:
            turn += 1
            link.request("PUT", "/v1/kv/load/%d" % number, body=str(turn).encode())
            got = link.getresponse()
            assert (got.status, got.read().strip()) == (200, b"true")
            link.request("GET", "/v1/kv/load/%d?raw" % number)
            got = link.getresponse()
            assert (got.status, got.read()) == (200, str(turn).encode())
            yield

    def one_by_one(self, number):
        while True:
            got = self.agent.get("/v1/agent/self", timeout=60)
            assert got.status == 200 and got.json["Config"]["NodeName"] == "n1"
            yield

    def blocking(self, number):
        """Waits for the next change of its key, which kept_alive makes all the time."""
        link = http.client.HTTPConnection(self.agent.ip, PORTS["http"], timeout=60)
        index = 0
        while True:
            link.request("GET", "/v1/kv/load/%d?index=%d&wait=20s" % (number, index))
            got = link.getresponse()
            body = got.read()
            assert got.status in (200, 404), (got.status, body)
            index = int(got.headers["X-Consul-Index"])
            yield

    def dns(self, number):
        name = b"".join(bytes([len(part)]) + part for part in (b"n1", b"node", b"consul", b""))
        link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        link.settimeout(60)
        link.connect((self.agent.ip, PORTS["dns"]))
        turn = 0
        while True:
            turn = (turn + 1) % 65536
            link.send(struct.pack(">HHHHHH", turn, 0x0100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1))
            ident, flags, _, answers = struct.unpack(">HHHH", link.recv(2000)[:8])
            assert ident == turn and flags & 15 == 0 and answers == 1
            yield


def _configure(agent, base, turn):
    settings = dict(base, log_level="DEBUG" if turn % 2 else "INFO", node_meta={"turn": str(turn)},
                    dns_config={"node_ttl": "%ds" % (turn % 5), "udp_answer_limit": 1 + turn % 4},
                    telemetry={"prefix_filter": ["-consul.x%d" % turn]}, discard_check_output=bool(turn % 2),
                    services=[{"name": "from-file", "port": 1000 + turn, "check": {"ttl": "1h", "status": "passing"}}],
                    checks=[{"id": "ttl", "name": "ttl", "ttl": "1h"}],
                    watches=[{"type": "key", "key": "watched", "args": ["/bin/true"]}] if turn % 3 else [])
    fresh = agent.config + ".new"
    with open(fresh, "w") as handle:
        json.dump(settings, handle)
    os.rename(fresh, agent.config)


def test_reload_under_load(praetor_asan, agents):
    agent = agents(praetor_asan)
    with open(agent.config) as handle:
        base = json.load(handle)
    _configure(agent, base, 0)
    agent.start()
    agent.put("/v1/agent/service/register", {"Name": "by-api", "ID": "api1", "Port": 7, "Check": {"TTL": "1h"}})
    agent.put("/v1/agent/check/pass/service:api1?note=fine")
    agent.put("/v1/agent/check/warn/ttl?note=noted")
    load = Load(agent)
    load.start("kept_alive", load.kept_alive, 4)
    load.start("one_by_one", load.one_by_one, 2)
    load.start("blocking", load.blocking, 4)
    load.start("dns", load.dns, 2)
    for turn in range(1, ROUNDS + 1):
        _configure(agent, base, turn)
        if turn % 2:
            assert agent.put("/v1/agent/reload").status == 200
        else:
            os.kill(agent.proc.pid, signal.SIGHUP)
        until("reload %d" % turn, lambda: agent.get("/v1/agent/self").json["Meta"].get("turn") == str(turn))
        services = agent.get("/v1/agent/services").json
        assert services["from-file"]["Port"] == 1000 + turn and services["api1"]["Port"] == 7
    until("all have worked", lambda: load.faults or all(count >= ROUNDS for count in load.done.values()))
    load.stop()
    checks = agent.get("/v1/agent/checks").json
    assert checks["service:api1"]["Status"] == "passing" and checks["ttl"]["Status"] == "warning"
    until("the catalog", lambda: agent.get("/v1/catalog/node/n1").json["Node"]["Meta"].get("turn") == str(ROUNDS))

    # A reload that fails changes nothing, and nobody notices.
    with open(agent.config, "w") as handle:
        handle.write("{")
    answer = agent.put("/v1/agent/reload")
    assert answer.status == 500 and answer.text.endswith("unexpected end of JSON input")
    assert agent.get("/v1/agent/services").json["from-file"]["Port"] == 1000 + ROUNDS

    # What was registered over HTTP comes back with the next start.
    _configure(agent, base, ROUNDS)
    agent.stop(60)
    agent.start()
    assert agent.get("/v1/agent/services").json["api1"]["Port"] == 7
    assert agent.get("/v1/agent/checks").json["service:api1"]["Status"] == "passing"
