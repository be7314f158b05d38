"""Checks that run by themselves, and what the rest of the agent feels of them."""

import os
import signal
import time

from ..bench import Bench, Figure
from ..httpc import call, get_json, wait_for
from ..load import request, value
from ..processes import PROCESSES, Failure

HTTP, TCP, SCRIPT = 450, 450, 100  # checks, each once a second
RATE = 200  # of each of the three streams of requests
STREAMS = {"get": ("GET of a key", "/v1/kv/bench/k%d", 0), "put": ("PUT of a key", "/v1/kv/bench/w%d", 100),
           "core": ("GET of a service of the agent", "/v1/agent/service/probe", 0)}


def definitions(target):
    url, address = "http://%s/" % target, target
    every = {"interval": "1s", "timeout": "900ms"}
    checks = [dict(every, http=url) for _ in range(HTTP)] + [dict(every, tcp=address) for _ in range(TCP)]
    checks += [dict(every, args=["/bin/true"]) for _ in range(SCRIPT)]
    return [dict(check, id="c%d" % n, name="c%d" % n) for n, check in enumerate(checks)]


class Checks(Bench):
    name = "checks_1000"
    title = ("1,000 checks a second (%d HTTP, %d TCP, %d scripts), and three steady streams of %d requests a second: what they wait\n"
             "    with the checks, and how many times that is of the wait at the same agent without any" % (HTTP, TCP, SCRIPT, RATE))
    repeatable = True
    figures = ([Figure("runs", "HTTP and TCP checks run per second", "high"),
                Figure("cpu", "agent's CPU µs/check, without that of the scripts and the streams", "low", 1)] +
               [figure for key, (what, _, _) in STREAMS.items() for figure in (
                   Figure(key + "_p50", what + ": p50 ms", "low", 3), Figure(key + "_p50_x", "  times that without checks", "low", 2),
                   Figure(key + "_p99", "  p99 ms", "low", 3), Figure(key + "_p99_x", "  times that without checks", "low", 2))])

    def begin(self, run, stage):
        """Two agents, of which the one with the checks only runs in the rounds of its side."""
        stage.sink_at = "%s.0.1:%d" % (stage.side.net, stage.side.ports["https"])
        stage.helpers.append(PROCESSES.start([run.load.tool, "sink", stage.sink_at]))
        wait_for("the checks' target", 5, lambda: self.count(stage) >= 0, 0.02)
        service = {"services": [{"name": "probe", "port": 1}]}
        stage.plain = stage.server(service)
        stage.busy = stage.new_agent(dict(service, enable_local_script_checks=True, checks=definitions(stage.sink_at)), node=2)
        stage.busy.start()
        stage.busy.ready()
        for agent in (stage.plain, stage.busy):
            run.load.blast(agent.http, run.load.file("checks_keys", lambda: [
                request("PUT", "/v1/kv/bench/k%d" % i, value(100, i)) for i in range(100)]), 4)
        wait_for("passing checks", 30, lambda: len(get_json(stage.busy.http, "/v1/health/state/passing")) >= HTTP + TCP + SCRIPT, 0.5)
        self.pause(stage, True)

    @staticmethod
    def pause(stage, on):
        os.kill(stage.busy.proc.pid, signal.SIGSTOP if on else signal.SIGCONT)

    @staticmethod
    def count(stage):
        return int(call(stage.sink_at, "GET", "/count")[2])

    @staticmethod
    def streams(run, agent, seconds):
        """{stream: sorted latencies in ms}"""
        started = {key: run.load.pace(agent.http, RATE, seconds, path, size, 1000) for key, (_, path, size) in STREAMS.items()}
        return {key: sorted(latency for _, latency in stream.finish()) for key, stream in started.items()}

    def round(self, run, stage, number):
        seconds = run.seconds * 2
        self.streams(run, stage.plain, 0.5)
        plain = stage.plain.cpu()
        without = self.streams(run, stage.plain, seconds)
        plain = stage.plain.cpu() - plain
        self.pause(stage, False)
        try:
            time.sleep(3)  # what was due while it was stopped
            before, began, cpu = self.count(stage), time.monotonic(), stage.busy.cpu()
            found = self.streams(run, stage.busy, seconds)
            took = time.monotonic() - began
            runs = (self.count(stage) - before - 1) / took
            cpu = stage.busy.cpu() - cpu - plain
            status = get_json(stage.busy.http, "/v1/health/state/passing")
        finally:
            self.pause(stage, True)
        if len(status) < HTTP + TCP + SCRIPT:
            raise Failure("only %d checks pass" % len(status))
        result = {"runs": runs, "cpu": cpu / (took * (runs + SCRIPT)) * 1e6}
        for key in STREAMS:
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                one, other = (times[int(share * (len(times) - 1))] for times in (found[key], without[key]))
                result["%s_%s" % (key, name)] = one
                result["%s_%s_x" % (key, name)] = one / other
        return result


BENCHES = [Checks]
