"""What Vault asks of its Consul storage backend and service registration, as the Go client sends it: a session with a
TTL that is renewed, the lock with its flags, watching it, transactions of up to 64 operations, lists by separator, and a
service whose TTL check is kept up to date. Two stand-ins for Vault's nodes contend for the lock."""

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.harness import PATIENCE, Agent, until

LOCK_FLAGS = 0x2DDCCBC058A50C18  # the Go client marks its locks with it
ROOT, LOCK = "vault/", "vault/core/lock"
TXN_OPERATIONS = 64


def encoded(value):
    return base64.b64encode(value).decode()


class Vault:
    """One node of Vault: what its storage backend and its service registration send."""

    def __init__(self, agent, name):
        self.agent, self.name = agent, name
        self.session, self.service = None, "vault:10.1.1.1:%s" % name

    # -- storage

    def put(self, key, value):
        assert self.agent.put("/v1/kv/" + ROOT + key + "?flags=0", value).json is True

    def get(self, key):
        got = self.agent.get("/v1/kv/" + ROOT + key)
        if got.status == 404:
            return None
        (pair,) = got.json
        return base64.b64decode(pair["Value"] or "")

    def delete(self, key):
        assert self.agent.delete("/v1/kv/" + ROOT + key).json is True

    def list(self, prefix):
        got = self.agent.get("/v1/kv/" + ROOT + prefix + "?keys=&separator=%2F")
        return [] if got.status == 404 else [key[len(ROOT + prefix):] for key in got.json]

    def transact(self, operations):
        return self.agent.put("/v1/txn", [{"KV": dict({"Flags": 0, "Index": 0, "Session": ""}, **o)} for o in operations])

    # -- the lock

    def open_session(self, ttl="1h"):
        body = {"Name": "Vault Lock", "TTL": ttl, "LockDelay": "1s"}
        self.session = self.agent.put("/v1/session/create", body).json["ID"]

    def renew(self):
        return self.agent.put("/v1/session/renew/" + self.session)

    def acquire(self, value=b""):
        path = "/v1/kv/%s?acquire=%s&flags=%d" % (LOCK, self.session, LOCK_FLAGS)
        return self.agent.put(path, value or self.name.encode()).json

    def release(self):
        path = "/v1/kv/%s?flags=%d&release=%s" % (LOCK, LOCK_FLAGS, self.session)
        return self.agent.put(path, self.name.encode()).json

    def look(self, index=0, wait="9m", consistent=False):
        """wait: much longer than a test has patience, so that who is not told of a change is found out."""
        path = "/v1/kv/%s?wait=%s&index=%d%s" % (LOCK, wait, index, "&consistent=" if consistent else "")
        return self.agent.get(path, timeout=PATIENCE)

    def watch_loss(self):
        """As the client's monitor: returns when the key is no longer held by this session."""
        got = self.look(consistent=True)
        while got.status == 200 and got.json[0].get("Session") == self.session:
            got = self.look(got.index, consistent=True)
        return got

    def lock(self):
        """As the client's Lock: waits until the key is free, then tries; lock-delay means trying again."""
        index = 0
        while True:
            got = self.look(index)
            pair = got.json[0] if got.status == 200 else None
            if pair is not None:
                assert pair["Flags"] == LOCK_FLAGS
                if pair.get("Session"):
                    index = got.index
                    continue
            if self.acquire():
                return
            index = 0
            time.sleep(0.1)

    # -- service registration

    def register(self):
        body = {"ID": self.service, "Name": "vault", "Tags": ["standby"], "Port": 8200, "Address": "10.1.1.1",
                "EnableTagOverride": False}
        assert self.agent.put("/v1/agent/service/register", body).status == 200
        check = {"ID": self.service + ":vault-sealed-check", "Name": "Vault Sealed Status", "ServiceID": self.service,
                 "Notes": "Vault service is healthy when Vault is in an unsealed status", "TTL": "1h", "Status": "passing"}
        assert self.agent.put("/v1/agent/check/register", check).status == 200

    def beat(self, sealed):
        body = {"Status": "critical" if sealed else "passing", "Output": "Vault Sealed" if sealed else "Vault Unsealed"}
        return self.agent.put("/v1/agent/check/update/%s:vault-sealed-check" % self.service, body)


@pytest.fixture(scope="module", params=["ours", "peer"])
def agent(request, praetor, peer, tmp_path_factory):
    binary = praetor if request.param == "ours" else peer
    one = Agent(binary, tmp_path_factory.mktemp("vault"), config={"session_ttl_min": "1s"}).start()
    yield one
    one.kill()


def test_storage(agent):
    vault = Vault(agent, "a")
    vault.put("sys/policy/default", b'path "x" {}')
    vault.put("logical/1234/data/secret", bytes(range(256)))
    vault.put("logical/1234/meta", b"m")
    vault.put("core/keyring", b"k" * 100000)
    assert vault.get("logical/1234/data/secret") == bytes(range(256))
    assert vault.get("core/keyring") == b"k" * 100000
    assert vault.get("logical/nothing") is None
    assert vault.list("logical/") == ["1234/"]
    assert vault.list("logical/1234/") == ["data/", "meta"]
    assert vault.list("none/") == []
    vault.delete("logical/1234/meta")
    assert vault.list("logical/1234/") == ["data/"]
    too_large = agent.put("/v1/kv/" + ROOT + "large", b"x" * (512 * 1024 + 1))
    assert too_large.status == 413 and b"too large" in too_large.body


def test_transactions(agent):
    vault = Vault(agent, "a")
    keys = [ROOT + "txn/%02d" % n for n in range(TXN_OPERATIONS)]
    wrote = vault.transact([{"Verb": "set", "Key": key, "Value": encoded(key.encode())} for key in keys])
    assert wrote.status == 200 and [one["KV"]["Key"] for one in wrote.json["Results"]] == keys
    assert len({one["KV"]["ModifyIndex"] for one in wrote.json["Results"]}) == 1
    over = vault.transact([{"Verb": "set", "Key": key, "Value": ""} for key in keys + [ROOT + "txn/more"]])
    assert over.status == 413 and over.text == "Transaction contains too many operations (65 > 64)"
    assert len(vault.list("txn/")) == TXN_OPERATIONS
    mixed = vault.transact([{"Verb": "delete", "Key": keys[0]}, {"Verb": "set", "Key": keys[1], "Value": encoded(b"new")},
                            {"Verb": "get", "Key": keys[1]}])
    assert mixed.status == 200
    assert base64.b64decode(mixed.json["Results"][-1]["KV"]["Value"]) == b"new"
    failed = vault.transact([{"Verb": "delete", "Key": keys[2]}, {"Verb": "get", "Key": keys[0]}])
    assert failed.status == 409
    assert failed.json["Errors"] == [{"OpIndex": 1, "What": 'key "%s" doesn\'t exist' % keys[0]}]
    assert vault.get("txn/02") is not None, "a failed transaction must leave nothing behind"


class TooSlow(Exception):
    """A session was not renewed in its time, since the machine had none to spare."""


def renew_for_a_while(vault, ttl, *watchers):
    """For more than two of its TTLs, within which a session that is not renewed ends; while it is renewed it is not lost."""
    began = sent = time.monotonic()
    while time.monotonic() < began + 2.4 * ttl:
        time.sleep(0.4 * ttl)
        before, sent = sent, time.monotonic()
        renewed = vault.renew()
        if time.monotonic() > before + ttl:  # from the one before to the answer
            raise TooSlow()
        assert renewed.status == 200 and renewed.json[0]["TTL"] == "%ds" % ttl
    lost = [watcher.done() for watcher in watchers]
    if time.monotonic() > sent + ttl:
        raise TooSlow()
    assert not any(lost)


def fail_over(agent, ttl):
    """The standby, which holds the lock; the active node's session has ended. TooSlow: so has it before it should."""
    active, standby = Vault(agent, "active"), Vault(agent, "standby")
    standby.open_session()
    opened = time.monotonic()
    active.open_session("%ds" % ttl)
    with ThreadPoolExecutor(3) as pool:
        try:
            held, refused = active.acquire(), standby.acquire()
            if time.monotonic() > opened + ttl:
                raise TooSlow()
            assert (held, refused) == (True, False)
            lost, took = pool.submit(active.watch_loss), pool.submit(standby.lock)
            renew_for_a_while(active, ttl, lost, took)
            took.result(PATIENCE)
            assert lost.result(PATIENCE).status == 200
        except TooSlow:
            for one in (active, standby):  # and who waits for the lock is told that it is gone
                agent.put("/v1/session/destroy/" + one.session)
            agent.delete("/v1/kv/" + LOCK)
            raise
    return active, standby


def test_failover(agent):
    """The active node's session ends (it stopped renewing): the standby, which watches the lock, takes over."""
    for ttl in (1, 5, 20):
        try:
            active, standby = fail_over(agent, ttl)
            break
        except TooSlow:
            assert ttl < 20, "no session could be renewed in its time"
    (pair,) = standby.look().json
    assert (pair["Session"], pair["Flags"], pair["LockIndex"]) == (standby.session, LOCK_FLAGS, 2)
    assert base64.b64decode(pair["Value"]) == b"standby"
    assert active.renew().status == 404
    assert standby.release() is True
    (pair,) = standby.look().json
    assert "Session" not in pair
    gone = agent.delete("/v1/kv/%s?cas=%d" % (LOCK, pair["ModifyIndex"]))
    assert gone.json is True and standby.look(wait="1ms").status == 404
    assert agent.put("/v1/session/destroy/" + standby.session).json is True


def test_step_down(agent):
    """The active node gives the lock up while a standby waits: no lock-delay, the standby has it at once."""
    active, standby = Vault(agent, "active"), Vault(agent, "standby")
    active.open_session()
    standby.open_session()
    active.lock()
    with ThreadPoolExecutor(1) as pool:
        took = pool.submit(standby.lock)
        until("the standby waits", lambda: not took.done() and active.look().json[0]["Session"] == active.session)
        assert active.release() is True
        took.result(PATIENCE)
    assert standby.look().json[0]["Session"] == standby.session
    for one in (active, standby):
        agent.put("/v1/session/destroy/" + one.session)
    agent.delete("/v1/kv/" + LOCK)


def test_contention(agent):
    """Of many that try, one holds; what each does under the lock is not seen half done."""
    held, counter, guard = [], [0], threading.Lock()

    def work(number):
        vault = Vault(agent, "n%d" % number)
        vault.open_session()
        for _ in range(3):
            vault.lock()
            with guard:
                held.append(number)
                assert len(held) == 1
            seen = int(vault.get("contended") or b"0")
            vault.put("contended", b"%d" % (seen + 1))
            with guard:
                counter[0] += 1
                held.remove(number)
            assert vault.release() is True
        agent.put("/v1/session/destroy/" + vault.session)

    with ThreadPoolExecutor(5) as pool:
        for one in [pool.submit(work, number) for number in range(5)]:
            one.result(3 * PATIENCE)
    assert counter == [15] and Vault(agent, "a").get("contended") == b"15"


def test_service(agent):
    vault = Vault(agent, "a")
    me = agent.get("/v1/agent/self").json
    assert me["Config"]["NodeName"] == agent.name and me["Member"]["Name"] == agent.name
    vault.register()
    passing = "/v1/health/service/vault?passing=1"
    check_id = vault.service + ":vault-sealed-check"
    (seen,) = until("the service and its check in the catalog", lambda: [
        entry for entry in agent.get(passing).json if check_id in {check["CheckID"] for check in entry["Checks"]}], PATIENCE)
    assert seen["Service"]["ID"] == vault.service and seen["Service"]["Tags"] == ["standby"]
    index = agent.get(passing).index

    def watch(index):
        """As those who find it do: until none passes."""
        while (got := agent.get("%s&index=%d&wait=9m" % (passing, index), timeout=PATIENCE)).json:
            index = got.index
        return got.json
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch, index)
        assert vault.beat(sealed=True).status == 200
        assert watching.result(2 * PATIENCE) == []
    assert vault.beat(sealed=False).status == 200
    (seen,) = until("it is passing again", lambda: agent.get(passing).json, PATIENCE)
    outputs = {check["CheckID"]: check["Output"] for check in seen["Checks"]}
    assert outputs[check_id] == "Vault Unsealed"
    assert agent.get("/v1/agent/health/service/id/%s?format=text" % vault.service).text == "passing"
    body = json.loads(agent.get("/v1/agent/services").body)[vault.service]
    assert body["Port"] == 8200 and body["Service"] == "vault"
    assert agent.put("/v1/agent/check/deregister/%s:vault-sealed-check" % vault.service).status == 200
    assert agent.put("/v1/agent/service/deregister/" + vault.service).status == 200
    until("it is gone", lambda: agent.get("/v1/health/service/vault").json == [])
