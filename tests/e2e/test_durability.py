"""What a server makes of disks that fail or are full, of files that were damaged, cut off or removed, and of being killed in
the middle of snapshots, restores and starts. In short: what was acknowledged is there afterwards, or the agent refuses to
start and says why; what was not written is not acknowledged; it never ends other than with a reason."""

import errno
import glob
import http.client
import os
import random
import shutil
import subprocess
import threading
import time

import pytest

from e2e.harness import until

QUIET = {"log_level": "INFO", "raft_snapshot_threshold": 200, "raft_snapshot_interval": "5s"}


class Writers:
    """Write keys of their own as fast as they can until told to stop, or until the agent is gone."""

    def __init__(self, agent, count=3, value="v" * 300):
        self.agent, self.value, self.acknowledged, self.refused, self.over = agent, value, {}, [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, n):
        i = 0
        while not self.over.is_set():
            i += 1
            name = "w/%d/%d" % (n, i)
            try:
                got = self.agent.put("/v1/kv/" + name, self.value + name)
            except Exception:  # no answer: nothing was promised
                if self.agent.proc.poll() is not None:
                    return
                continue
            if got.status == 200 and got.body.strip() == b"true":
                self.acknowledged[name] = self.value + name
            else:
                self.refused.append(got)
                time.sleep(0.02)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def check(self, agent):
        there = set(agent.get("/v1/kv/w/?keys").json) if self.acknowledged else set()
        lost = [name for name in self.acknowledged if name not in there]
        assert not lost, "%d of %d acknowledged writes are lost, such as %s" % (len(lost), len(self.acknowledged), lost[0])
        for name in list(self.acknowledged)[-30:]:
            assert agent.get("/v1/kv/%s?raw" % name).text == self.acknowledged[name]


# ---- disks that fail ----

@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    out = tmp_path_factory.mktemp("shim") / "fault.so"
    source = os.path.join(os.path.dirname(__file__), "fault_shim.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(out), source, "-ldl"], check=True)
    return str(out)


class Faults:
    """The environment of agents launched within."""

    def __init__(self, shim, call, path, at, count=0, code=errno.EIO):
        self.more = {"LD_PRELOAD": shim, "FAULT_CALL": call, "FAULT_PATH": path, "FAULT_AT": str(at),
                     "FAULT_COUNT": str(count), "FAULT_ERRNO": str(code)}

    def __enter__(self):
        os.environ.update(self.more)

    def __exit__(self, *_):
        for name in self.more:
            del os.environ[name]


def test_a_failed_sync_ends_the_process(praetor, shim, agents):
    """What the kernel has of a file whose sync failed is not what the disk has: only a new start can tell."""
    agent = agents(praetor, config=QUIET)
    with Faults(shim, "sync", "/wal/", 60):
        agent.start()
    writers = Writers(agent)
    assert agent.proc.wait(90) == 1
    writers.stop()
    assert "cannot go on, stopping the process" in agent.tail() and "cannot sync" in agent.tail()
    assert writers.acknowledged
    agent.start()
    writers.check(agent)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_state_that_cannot_be_written_holds_writes_up(praetor, shim, agents, code):
    agent = agents(praetor, config=QUIET)
    with Faults(shim, "write", "/state/state", 200, count=2, code=code):
        agent.start()
    writers = Writers(agent)
    until("the disk is full", lambda: "failed to apply entries, will try again" in agent.tail(1 << 20))
    before = len(writers.acknowledged)
    until("writes go on", lambda: len(writers.acknowledged) > before + 20 or agent.proc.poll() is not None)
    writers.stop()
    if agent.proc.poll() is None:
        writers.check(agent)
    else:  # it was LMDB's root that could not be written: what the file holds is not known then
        assert agent.proc.returncode == 1 and "cannot go on, stopping the process" in agent.tail()
    agent.kill()
    agent.start()
    writers.check(agent)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_write_of_the_log_that_fails_is_no_write(praetor, shim, agents, code):
    """Answered with an error, and when the disk is well again, so is the agent."""
    agent = agents(praetor, config=QUIET)
    agent.start()
    assert agent.stop() == 1
    with Faults(shim, "write", "/00000000000000000001.wal", 80, count=4, code=code):
        agent.start()
    writers = Writers(agent)
    until("writes are refused", lambda: writers.refused)
    assert all(got.status == 500 for got in writers.refused)
    before = len(writers.acknowledged)
    until("writes go on", lambda: len(writers.acknowledged) > before + 20)
    writers.stop()
    assert agent.proc.poll() is None
    writers.check(agent)
    agent.kill()
    agent.start()
    writers.check(agent)


def test_a_snapshot_that_cannot_be_written(praetor, shim, agents):
    agent = agents(praetor, config=QUIET)
    with Faults(shim, "write", "/snapshots/", 1, count=2, code=errno.ENOSPC):
        agent.start()
    agent.put("/v1/kv/a", "1")
    got = agent.get("/v1/snapshot")
    assert got.status == 500 and "No space left on device" in got.text
    assert not glob.glob(agent.data + "/raft/snapshots/*"), "a half snapshot was left"
    assert agent.put("/v1/kv/a", "2").json is True
    until("a snapshot", lambda: agent.get("/v1/snapshot").status == 200)
    agent.kill()
    agent.start()
    assert agent.get("/v1/kv/a?raw").text == "2"


def test_two_processes(praetor, agents):
    first, second = agents(praetor, config=QUIET, name="n1").start(), agents(praetor, config=QUIET, name="n2")
    second.data = first.data
    with open(second.config) as handle:
        text = handle.read()
    with open(second.config, "w") as handle:
        handle.write(text.replace("n2-data", "n1-data"))
    second.launch()
    assert second.proc.wait(60) == 1
    assert "in use by another process" in second.tail()
    assert first.put("/v1/kv/a", "1").json is True
    first.kill()
    first.start()
    assert first.get("/v1/kv/a?raw").text == "1"


# ---- files that were damaged ----

def _flip(path, at):
    with open(path, "r+b") as handle:
        handle.seek(at)
        byte = handle.read(1)
        handle.seek(at)
        handle.write(bytes([byte[0] ^ 0x41]))


def _used(path):
    with open(path, "rb") as handle:
        return len(handle.read().rstrip(b"\0"))


def _zero_pages(path):
    with open(path, "r+b") as handle:
        for page in range(2, os.path.getsize(path) // 4096):
            handle.seek(page * 4096)
            handle.write(bytes(4096))


class Files:
    def __init__(self, data):
        self.data = data
        self.wal = sorted(glob.glob(data + "/raft/wal/*.wal"))
        self.snapshots = sorted(glob.glob(data + "/raft/snapshots/*"), key=lambda name: int(name.split("-")[-2]))
        self.state = glob.glob(data + "/state/state-*/data.mdb")[0]

    def no_state(self):
        shutil.rmtree(self.data + "/state")


# How the files are damaged -> a piece of the reason why it refuses to start; None: it starts, and has everything.
DAMAGES = {
    "nothing": (lambda f: None, None),
    "the last record": (lambda f: _flip(f.wal[-1], _used(f.wal[-1]) - 3), "its end is damaged or missing"),
    "a record in the middle": (lambda f: _flip(f.wal[-1], _used(f.wal[-1]) // 2), "is damaged at byte"),
    "a record in the middle, state lost": (lambda f: (f.no_state(), _flip(f.wal[-1], _used(f.wal[-1]) // 2)),
                                           "is damaged at byte"),
    "the log's end cut off": (lambda f: os.truncate(f.wal[-1], _used(f.wal[-1]) // 2), "was cut off at byte"),
    "the last segment removed": (lambda f: os.unlink(f.wal[-1]), "is missing"),
    "the last segment removed, state lost": (lambda f: (f.no_state(), os.unlink(f.wal[-1])), "is missing"),
    "the log removed": (lambda f: shutil.rmtree(f.data + "/raft/wal"), "is missing"),
    "state lost": (lambda f: f.no_state(), None),
    "state cut off": (lambda f: os.truncate(f.state, 16384), None),
    "state full of zeros": (lambda f: _zero_pages(f.state), None),
    "newest snapshot, state lost": (lambda f: (f.no_state(), _flip(f.snapshots[-1] + "/state.bin", 2000)), None),
    "all snapshots, state lost": (lambda f: (f.no_state(), [_flip(s + "/state.bin", 2000) for s in f.snapshots]),
                                  "failed to load any existing snapshots"),
    "leftovers": (lambda f: (os.mkdir(f.data + "/raft/snapshots/1-2-3.tmp"), os.mkdir(f.data + "/raft/snapshots/local.tmp"),
                             open(f.data + "/raft/snapshots/local.tmp/other", "w").close(),
                             open(f.data + "/raft/wal/spare.tmp", "w").close()), None),
    "node ID": (lambda f: open(f.data + "/node-id", "w").close(), "uuid string is wrong length"),
}


@pytest.fixture(scope="module")
def worn(request, tmp_path_factory):
    """A data directory with two segments and two snapshots, and what must be in it."""
    from e2e.harness import Agent
    agent = Agent(request.getfixturevalue("praetor"), tmp_path_factory.mktemp("worn"), config=dict(
        QUIET, raft_snapshot_interval="24h"))  # none of its own, which might be half done at the end
    want = {}
    agent.start()
    for i in range(900):
        key, value = "k%d" % (i % 50), "%d %s" % (i, "y" * 28000)
        assert agent.put("/v1/kv/" + key, value).json is True
        want[key] = value
        if i in (100, 300):
            assert agent.get("/v1/snapshot").status == 200
    agent.kill()
    assert len(Files(agent.data).wal) == 2 and len(Files(agent.data).snapshots) == 2
    return agent, want


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files(praetor, worn, agents, damage):
    gold, want = worn
    spoil, reason = DAMAGES[damage]
    agent = agents(praetor, config=QUIET)
    shutil.copytree(gold.data, agent.data)
    shutil.copy(gold.data + "/node-id", agent.data)
    spoil(Files(agent.data))
    if reason is not None:
        for _ in range(2):  # and not another way the second time
            agent.launch()
            assert agent.proc.wait(60) == 1
            assert reason in agent.tail()
        return
    try:
        agent.start()
        assert all(agent.get("/v1/kv/%s?raw" % key).text == value for key, value in want.items())
    except (AssertionError, OSError, http.client.HTTPException):
        # A state file that is damaged may be noticed late, and ends the process: then the next start builds it anew.
        assert damage.startswith("state") and until("the end", lambda: agent.proc.poll() is not None, 60)
        agent.start()
    assert all(agent.get("/v1/kv/%s?raw" % key).text == value for key, value in want.items())


# ---- kill -9 ----

def test_killed_while_snapshots_are_taken_and_restored(praetor, agents):
    rng = random.Random()
    agent = agents(praetor, config=QUIET)
    agent.start()
    for i in range(60):
        agent.put("/v1/kv/base/%d" % i, "b" * 20000)
    archive = agent.get("/v1/snapshot").body
    restored = kept = 0
    for i in range(14):
        agent.put("/v1/kv/mark", str(i))
        done = []

        def restore():
            try:
                done.append(agent.request("PUT", "/v1/snapshot", body=archive).status == 200)
                agent.get("/v1/snapshot")
            except Exception:
                pass
        thread = threading.Thread(target=restore, daemon=True)
        thread.start()
        time.sleep(rng.random() * 0.05)  # the moment of the crash, not a wait
        was_done = bool(done and done[0])
        agent.kill()
        thread.join(60)
        agent.start()
        assert len(agent.get("/v1/kv/base/?keys").json) == 60
        mark = agent.get("/v1/kv/mark?raw")
        if mark.status == 404:
            restored += 1
        else:
            assert not was_done, "an acknowledged restore is lost"
            assert mark.text == str(i)
            kept += 1
    print("restored %d, kept %d" % (restored, kept))


def test_killed_while_it_starts(praetor, worn, agents):
    rng = random.Random()
    gold, want = worn
    agent = agents(praetor, config=QUIET)
    shutil.copytree(gold.data, agent.data)
    for i in range(40):
        if i % 4 == 0:
            shutil.rmtree(agent.data + "/state", ignore_errors=True)
        agent.launch()
        time.sleep(rng.random() * 0.12)  # the moment of the crash, not a wait
        assert agent.proc.poll() is None, agent.tail()
        agent.kill()
    agent.start()
    assert all(agent.get("/v1/kv/%s?raw" % key).text == value for key, value in want.items())
