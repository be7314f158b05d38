"""Keys with access control, beside the same without."""

import json

from ..bench import Bench, Figure, expect, measure_wrk
from ..httpc import put
from ..load import request, value
from .kv import KEYS, keys_100, shuffled

POLICIES = 10
CONFIG = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": "root"}}}


class KvGetAcl(Bench):
    name = "kv_get_acl"
    title = ("GET of 1 in 1,000 keys of 100 bytes, 64 connections: with a token of %d policies, and at an agent without access\n"
             "    control" % POLICIES)
    connections = 64
    repeatable = True
    figures = [Figure("acl_rate", "requests/s with access control", "high"),
               Figure("open_rate", "requests/s without", "high"),
               Figure("rate_x", "  share of the rate without that is left", "high", 2),
               Figure("acl_cpu", "server CPU µs/request with access control", "low", 1),
               Figure("open_cpu", "server CPU µs/request without", "low", 1),
               Figure("cpu_x", "  times that without", "low", 2)]

    def make_token(self, agent):
        """A token of ten policies; the keys are readable by the last."""
        for i in range(POLICIES):
            rules = 'key_prefix "bench/%s" { policy = "read" }' % ("k" if i == POLICIES - 1 else "other%d/" % i)
            put(agent.http, "/v1/acl/policy", {"Name": "p%d" % i, "Rules": rules}, token="root")
        made = put(agent.http, "/v1/acl/token", {"Policies": [{"Name": "p%d" % i} for i in range(POLICIES)]}, token="root")
        return json.loads(made)["SecretID"]

    def begin(self, run, stage):
        stage.open = stage.server()
        stage.guarded = stage.new_agent(CONFIG, node=2)
        stage.guarded.start()
        stage.guarded.ready()
        keys = [request("PUT", "/v1/kv/bench/k%d" % i, value(100, i), token="root") for i in range(KEYS)]
        run.load.blast(stage.open.http, run.load.file("keys_100", keys_100))
        run.load.blast(stage.guarded.http, run.load.file("keys_100_root", lambda: keys))
        stage.token = self.make_token(stage.guarded)
        stage.files = {agent: run.load.file(name, lambda: [
            request("GET", "/v1/kv/bench/k%d" % i, token=token) for i in shuffled(KEYS)]) for agent, name, token in (
                (stage.open, "kv_get_open", None), (stage.guarded, "kv_get_acl_%s" % stage.side.name, stage.token))}
        for agent, file in stage.files.items():
            run.load.warm("http://" + agent.http, file, self.connections)
        self.check(stage)

    def check(self, stage):
        for agent, token in ((stage.open, None), (stage.guarded, stage.token)):
            expect(agent, "/v1/kv/bench/k7?raw", lambda b: b.decode() == value(100, 7), "the key's value", token)

    def round(self, run, stage, number):
        """Both agents one after the other, in half a round each; which one begins alternates."""
        found, order = {}, [("open", stage.open), ("acl", stage.guarded)]
        for key, agent in order if number % 2 else reversed(order):
            one = measure_wrk(run, stage, "http://" + agent.http, stage.files[agent], self.connections, max(1, run.seconds // 2))
            found[key + "_rate"], found[key + "_cpu"] = one["rate"], one["cpu"]
            found["client_busy"] = max(found.get("client_busy", 0), one["client_busy"])
        found["rate_x"] = found["acl_rate"] / found["open_rate"]
        found["cpu_x"] = found["acl_cpu"] / found["open_cpu"]
        return found

    def end(self, run, stage):
        self.check(stage)
        return {}


BENCHES = [KvGetAcl]
