"""Real agents for the end-to-end tests: ours and the peer's, on loopback addresses of their own, with data directories
in a temporary folder. Waiting is always for a condition, bounded; processes are ended by their own ids."""

import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from urllib.parse import quote

TERMINATED = 1  # a server's exit code after SIGTERM without a leave (agent.md 8.2)
PORTS = {"http": 8500, "dns": 8600, "server": 8300, "serf_lan": 8301, "serf_wan": 8302}
# How long a condition is waited for, in seconds. Nobody waits longer than for the condition, so it can be much more than even a
# machine with many more processes than cores needs; it is no measure of how fast something has to be.
PATIENCE = 90.0
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl  # found here: not between fork and exec, where other threads' locks stay shut
_taken, _lock = [], threading.Lock()


def _address():
    """A loopback address that no other test of this machine holds, kept by a listening socket."""
    with _lock:
        for tail in range(os.getpid() % 200, os.getpid() % 200 + 4000):
            ip = "127.51.%d.%d" % (tail // 200 % 200 + 1, tail % 200 + 1)
            held = socket.socket()
            try:
                held.bind((ip, 8499))
                held.listen(1)
            except OSError:
                held.close()
                continue
            _taken.append(held)
            return ip
    raise RuntimeError("no free loopback address")


def _die_with_parent():
    _PRCTL(1, signal.SIGKILL, 0, 0, 0)


def until(what, check, seconds=PATIENCE):
    """Asks again and again, ever less often, until check() gives something true, which is returned. Who is asked may not be up
    yet, or know no leader yet: no answer, half of one, and one that is no JSON are a "not yet", told when the time is up."""
    end, pause, trouble = time.monotonic() + seconds, 0.01, None
    while True:
        try:
            got, trouble = check(), None
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            got, trouble = None, error
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError("%s: not within %g s%s" % (what, seconds, " (%r)" % trouble if trouble else "")) from trouble
        time.sleep(pause)
        pause = min(pause * 1.1, 0.1)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def index(self):
        return int(self.headers.get("X-Consul-Index", 0))


class Agent:
    """One agent, of either binary. start() waits until it leads."""

    def __init__(self, binary, folder, config=None, dev=False, name="n1"):
        self.binary, self.folder, self.dev, self.name = binary, str(folder), dev, name
        self.ip = _address()
        self.proc, self.log = None, os.path.join(self.folder, name + ".log")
        self.data = os.path.join(self.folder, name + "-data")
        conf = {"node_name": name, "bind_addr": self.ip, "client_addr": self.ip, "disable_update_check": True,
                "ports": dict(PORTS, https=-1, grpc=-1), "log_level": "DEBUG", "limits": {"http_max_conns_per_client": 0}}
        if not dev:
            conf.update(data_dir=self.data, server=True, bootstrap_expect=1, performance={"raft_multiplier": 1})
        conf.update(config or {})
        os.makedirs(self.folder, exist_ok=True)
        self.config = os.path.join(self.folder, name + ".json")
        self.prefix = []  # what the command line begins with ("ip netns exec ...")
        self.configure(conf)

    def configure(self, conf):
        self.conf = conf
        with open(self.config, "w") as handle:
            json.dump(conf, handle)

    def move(self, ip):
        """To another address (before its start)."""
        self.ip = ip
        self.configure(dict(self.conf, bind_addr=ip, client_addr=ip))

    def launch(self):
        argv = self.prefix + [self.binary, "agent"] + (["-dev"] if self.dev else []) + ["-config-file=" + self.config]
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                         preexec_fn=_die_with_parent)

    def start(self, seconds=PATIENCE):
        self.launch()
        self.wait_leader(seconds)
        return self

    def wait_leader(self, seconds=PATIENCE):
        """Until it knows a leader, and all is in the catalog that agent and leader write there by themselves when they begin:
        nothing of that is still to come between two requests of a test."""
        def wait(what, check):
            def runs_and_is():
                if self.proc.poll() is not None:
                    raise AssertionError("agent ended with %s: %s" % (self.proc.returncode, self.tail()))
                return check()
            until(what, runs_and_is, seconds)

        def leads():
            return self.get("/v1/status/leader", timeout=5).body not in (b'""', b'""\n')

        def listed():
            answer = self.get("/v1/health/node/" + self.name)
            return answer.status == 200 and answer.json

        def described():  # by the agent's first synchronization
            answer = self.get("/v1/catalog/node/" + self.name)
            return answer.status == 200 and answer.json and answer.json["Node"]["TaggedAddresses"]

        def federated():  # the leader's record of its own datacenter; a secondary one's needs the primary
            primary = self.conf.get("primary_datacenter") or self.conf.get("acl_datacenter")
            if primary and primary != self.conf.get("datacenter", "dc1"):
                return True
            answer = self.get("/v1/internal/federation-states")
            return answer.status != 200 or answer.json
        wait("a leader", leads)
        wait("its node in the catalog", listed)
        wait("its node's description", described)
        wait("its datacenter's record", federated)

    def tail(self, size=4000):
        with open(self.log, "rb") as handle:
            return handle.read()[-size:].decode("utf-8", "replace")

    def request(self, method, path, body=None, headers=None, timeout=60):
        link = http.client.HTTPConnection(self.ip, PORTS["http"], timeout=timeout)
        try:
            link.request(method, path, body=body, headers=headers or {})
            got = link.getresponse()
            return Answer(got.status, got.headers, got.read())
        finally:
            link.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def put(self, path, body=b"", **more):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        return self.request("PUT", path, body=body, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)

    def key(self, key):
        return "/v1/kv/" + quote(key, safe="/")

    def cli(self, *argv, stdin=None, timeout=120):
        env = dict(os.environ, CONSUL_HTTP_ADDR="%s:%d" % (self.ip, PORTS["http"]))
        return subprocess.run([self.binary, *argv], env=env, input=stdin, capture_output=True, timeout=timeout)

    def kill(self):
        """As a crash: SIGKILL, at once."""
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)
        if self.proc:
            self.proc.wait()

    def stop(self, seconds=PATIENCE):
        """As an operator: SIGTERM; the exit code."""
        if self.proc.poll() is None:
            self.proc.terminate()
        return self.proc.wait(seconds)
