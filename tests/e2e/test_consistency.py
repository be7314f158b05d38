"""What clients may count on while many of them write and read at once through connections of all I/O threads, and snapshots
are taken: one winner for each check-and-set and each lock, no default read older than an acknowledged write, indexes that only
grow, blocking queries that never miss the last state. PRAETOR_SECONDS says for how long (default 6)."""

import base64
import http.client
import json
import os
import threading
import time

import pytest

from e2e.harness import PORTS, until

SECONDS = float(os.environ.get("PRAETOR_SECONDS", "6"))


class Client:
    """One connection, kept open."""

    def __init__(self, agent):
        self.link = http.client.HTTPConnection(agent.ip, PORTS["http"], timeout=60)

    def call(self, method, path, body=None):
        self.link.request(method, path, body=body)
        got = self.link.getresponse()
        return got.status, int(got.headers.get("X-Consul-Index", 0)), got.read()


class Crowd:
    """Threads that run until the time is over; the first failure of any is the test's."""

    def __init__(self, agent):
        self.agent, self.over, self.failures, self.threads = agent, threading.Event(), [], []

    def add(self, work, *args):
        def run():
            try:
                work(Client(self.agent), *args)
            except Exception as error:  # also a broken connection: nothing is killed here
                self.failures.append("%s%r: %r" % (work.__name__, args, error))
                self.over.set()
        self.threads.append(threading.Thread(target=run, daemon=True))

    def run(self, seconds, enough):
        """For that long, and on a machine that is busy until there was enough of it."""
        end, last = time.monotonic() + seconds, time.monotonic() + seconds + 120
        for thread in self.threads:
            thread.start()
        while not self.over.wait(0.1) and (time.monotonic() < end or not enough() and time.monotonic() < last):
            pass
        self.over.set()
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive(), "a client hangs"
        assert not self.failures, self.failures[:5]


class Floor:
    """The newest state that was acknowledged: no read that begins later may show an older one."""

    def __init__(self):
        self.lock, self.value, self.index = threading.Lock(), 0, 0

    def raise_to(self, value, index):
        with self.lock:
            self.value, self.index = max(self.value, value), max(self.index, index)

    def now(self):
        with self.lock:
            return self.value, self.index


@pytest.mark.parametrize("binary", ["praetor", "praetor_asan"])
def test_many_clients_at_once(binary, request, agents):
    agent = agents(request.getfixturevalue(binary), config={"log_level": "ERR", "raft_snapshot_threshold": 200,
                                                            "raft_snapshot_interval": "5s"}).start()
    crowd = Crowd(agent)
    wins, floors = [0, 0], [Floor(), Floor()]
    wins_lock = threading.Lock()
    holder, held = [None], [0]
    for key in range(2):
        assert agent.put("/v1/kv/count/%d" % key, "0").json is True
    sessions = [agent.put("/v1/session/create", {"LockDelay": "0s", "TTL": "3600s"}).json["ID"] for _ in range(4)]

    def add_one(client, key):
        """Reads and checks-and-sets: each success must have added exactly one."""
        while not crowd.over.is_set():
            least = floors[key].now()
            status, index, body = client.call("GET", "/v1/kv/count/%d" % key)
            assert status == 200, body
            entry = json.loads(body)[0]
            value = int(base64.b64decode(entry["Value"]))
            assert value >= least[0] and index >= least[1], "stale: %d@%d, acknowledged %r" % (value, index, least)
            assert index >= entry["ModifyIndex"]
            status, _, body = client.call("PUT", "/v1/kv/count/%d?cas=%d" % (key, entry["ModifyIndex"]), str(value + 1))
            assert status == 200, body
            if body.strip() == b"true":
                floors[key].raise_to(value + 1, entry["ModifyIndex"] + 1)
                with wins_lock:
                    wins[key] += 1

    def read(client, key, how):
        """Never older than what was acknowledged before, and never back."""
        last = (0, 0)
        while not crowd.over.is_set():
            least = floors[key].now()
            status, index, body = client.call("GET", "/v1/kv/count/%d?raw%s" % (key, how))
            assert status == 200, body
            assert int(body) >= least[0] and index >= least[1], "stale%s: %s@%d, acknowledged %r" % (how, body, index, least)
            assert (int(body), index) >= last, "back: %s@%d after %r" % (body, index, last)
            last = (int(body), index)

    def follow(client, key):
        """Blocking queries: the last value must come, whatever was skipped in between."""
        value, index = -1, 0
        while value < 10 ** 9:
            status, index_now, body = client.call("GET", "/v1/kv/count/%d?raw&wait=20s&index=%d" % (key, index))
            assert status == 200 and index_now >= index and int(body) >= value, (status, index_now, index, body, value)
            value, index = int(body), index_now

    def lock(client, session):
        """Whoever got the lock is alone with it until he gives it back."""
        while not crowd.over.is_set():
            status, _, body = client.call("PUT", "/v1/kv/lock?acquire=" + session, session)
            assert status == 200, body
            if body.strip() != b"true":
                continue
            assert holder[0] is None, "two holders: %s and %s" % (holder[0], session)
            holder[0] = session
            status, _, body = client.call("GET", "/v1/kv/lock")
            assert json.loads(body)[0]["Session"] == session
            assert holder[0] == session
            holder[0] = None
            held[0] += 1
            status, _, body = client.call("PUT", "/v1/kv/lock?release=" + session, session)
            assert body.strip() == b"true", body

    def save(client):
        while not crowd.over.is_set():
            status, _, body = client.call("GET", "/v1/snapshot")
            assert status == 200 and len(body) > 100, body[:200]

    followers = Crowd(agent)
    for key in range(2):
        for _ in range(3):
            crowd.add(add_one, key)
        crowd.add(read, key, "")
        crowd.add(read, key, "&consistent")
        for _ in range(3):
            followers.add(follow, key)
    for session in sessions:
        crowd.add(lock, session)
    crowd.add(save)
    for thread in followers.threads:
        thread.start()
    crowd.run(SECONDS, lambda: sum(wins) > 50 and held[0] > 5)
    for key in range(2):
        assert int(agent.get("/v1/kv/count/%d?raw" % key).body) == wins[key], "a success was lost, or two won"
        assert agent.put("/v1/kv/count/%d" % key, str(10 ** 9)).json is True  # the followers' end
    assert sum(wins) > 50 and held[0] > 5, "too little for this to mean anything: %r %r" % (wins, held)
    until("all followers see the end", lambda: not any(t.is_alive() for t in followers.threads))
    assert not followers.failures, followers.failures[:5]
