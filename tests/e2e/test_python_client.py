"""A client that people use: Debian's python3-consul reads, writes, locks and watches."""

import threading

import consul
import pytest

from e2e.harness import PORTS, until


@pytest.fixture
def agent(praetor, agents):
    return agents(praetor).start()


@pytest.fixture
def client(agent):
    return consul.Consul(host=agent.ip, port=PORTS["http"])


def test_reads_and_writes(client):
    assert client.kv.put("a/b", "1")
    _, entry = client.kv.get("a/b")
    assert entry["Value"] == b"1"
    assert client.kv.put("a/b", "2", cas=entry["ModifyIndex"])
    assert not client.kv.put("a/b", "3", cas=entry["ModifyIndex"])
    _, keys = client.kv.get("a", keys=True)
    assert keys == ["a/b"]
    assert client.kv.delete("a", recurse=True)
    assert client.kv.get("a/b")[1] is None


def test_locks(client):
    first, second = client.session.create(name="one", lock_delay=0), client.session.create(name="two", lock_delay=0)
    assert client.kv.put("lock", "1", acquire=first)
    assert not client.kv.put("lock", "2", acquire=second)
    assert client.kv.get("lock")[1]["Session"] == first
    assert client.session.destroy(first)
    assert "Session" not in client.kv.get("lock")[1]
    assert client.kv.put("lock", "2", acquire=second)
    assert client.kv.put("lock", "", release=second)


def test_watches(client):
    client.kv.put("watched", "1")
    index, _ = client.kv.get("watched")
    seen = []
    waiting = threading.Thread(target=lambda: seen.append(client.kv.get("watched", index=index, wait="5m")))
    waiting.start()
    client.kv.put("other", "x")
    client.kv.put("watched", "2")
    waiting.join(60)
    assert seen and seen[0][1]["Value"] == b"2" and int(seen[0][0]) > int(index)


def test_services(agent, client):
    assert client.agent.service.register("web", service_id="web1", port=80, tags=["v1"], check=consul.Check.ttl("60s"))
    # the library's own ttl_pass sends GET, which this version of the protocol answers with 405
    assert not client.agent.check.ttl_pass("service:web1")
    assert agent.put("/v1/agent/check/pass/service:web1").status == 200

    def passing():
        return client.health.service("web", passing=True)[1]

    rows = until("the service to pass", passing)
    assert rows[0]["Service"]["Port"] == 80 and rows[0]["Service"]["Tags"] == ["v1"]
    assert client.catalog.services()[1]["web"] == ["v1"]
    assert agent.put("/v1/agent/service/deregister/web1").status == 200
    until("the service to go", lambda: not client.catalog.service("web")[1])
