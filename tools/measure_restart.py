#!/usr/bin/env python3
"""Measures how a server with many keys comes back (docs/performance.md).

    tools/measure_restart.py BINARY [--keys 1000000] [--net 127.61] [--data DIR]

Loads keys of 100 bytes by transactions of 64, ends the server with kill -9, starts it again and waits for the
first answer to a GET of one of the keys; then the same once more after the state store's folder was removed,
so that it is built again from snapshot and log. Prints one line of JSON for each step: seconds from the start
of the process to that answer, and its memory (MiB) then and at its highest.
"""

import argparse
import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TXN_KEYS = 64
VALUE_BYTES = 100


class Server:
    def __init__(self, binary, folder, ip):
        self.binary, self.folder, self.ip = binary, folder, ip
        self.data = os.path.join(folder, "data")
        self.config = os.path.join(folder, "agent.json")
        self.process = None
        ports = {"http": 28500, "dns": 28600, "server": 28300, "serf_lan": 28301, "serf_wan": -1, "grpc": -1, "https": -1}
        with open(self.config, "w") as f:
            json.dump({"server": True, "bootstrap_expect": 1, "node_name": "restart", "data_dir": self.data,
                       "bind_addr": ip, "client_addr": ip, "ports": ports, "log_level": "err",
                       "disable_update_check": True, "connect": {"enabled": False},
                       "performance": {"raft_multiplier": 1}}, f)

    def start(self):
        self.began = time.monotonic()
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen([self.binary, "agent", "-config-file=" + self.config], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)

    def connect(self):
        return http.client.HTTPConnection(self.ip, 28500, timeout=600)

    def until_get(self, path, limit=900):
        """Seconds from the start to the first 200."""
        while time.monotonic() - self.began < limit:
            if self.process.poll() is not None:
                sys.exit("the server ended with status %d: see %s/log" % (self.process.returncode, self.folder))
            try:
                connection = self.connect()
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    return time.monotonic() - self.began
            except OSError:
                pass
            time.sleep(0.002)
        sys.exit("no answer within %d s" % limit)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def memory(self):
        found = {}
        with open("/proc/%d/status" % self.process.pid) as f:
            for line in f:
                name, _, value = line.partition(":")
                if name in ("VmHWM", "VmRSS", "RssAnon"):
                    found[name] = round(int(value.split()[0]) / 1024, 1)
        return {"rss_mib": found["VmRSS"], "anonymous_mib": found["RssAnon"], "peak_rss_mib": found["VmHWM"]}


def load(server, keys):
    connection = server.connect()
    value = base64.b64encode(b"v" * VALUE_BYTES).decode()
    for first in range(0, keys, TXN_KEYS):
        operations = [{"KV": {"Verb": "set", "Key": "restart/%07d" % i, "Value": value}}
                      for i in range(first, min(first + TXN_KEYS, keys))]
        connection.request("PUT", "/v1/txn", json.dumps(operations))
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit("a transaction was answered %d: %s" % (answer.status, body[:200]))


def folder_size(folder):
    size = 0
    for where, _, names in os.walk(folder):
        size += sum(os.stat(os.path.join(where, n)).st_blocks * 512 for n in names)
    return round(size / 2**20)


def say(step, **figures):
    print(json.dumps({"step": step, **figures}), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("binary")
    p.add_argument("--keys", type=int, default=1000000)
    p.add_argument("--net", default="127.61")
    p.add_argument("--data", default=None, help="folder on a real disk")
    o = p.parse_args()
    folder = tempfile.mkdtemp(prefix="restart-", dir=o.data)
    server = Server(os.path.abspath(o.binary), folder, o.net + ".0.9")
    probe = "/v1/kv/restart/%07d" % (o.keys - 1)
    try:
        server.start()
        server.until_get("/v1/status/leader")
        time.sleep(1)
        began = time.monotonic()
        load(server, o.keys)
        say("load", keys=o.keys, seconds=round(time.monotonic() - began, 1), disk_mib=folder_size(server.data),
            **server.memory())
        server.kill()
        server.start()
        say("restart after kill -9", seconds=round(server.until_get(probe), 3), **server.memory())
        server.kill()
        shutil.rmtree(os.path.join(server.data, "state"))
        server.start()
        say("rebuild", seconds=round(server.until_get(probe), 3), **server.memory())
        server.kill()
        server.start()
        say("restart after the rebuild", seconds=round(server.until_get(probe), 3), **server.memory())
    finally:
        if server.process and server.process.poll() is None:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


main()
