"""?cached and DNS use_cache on client agents: ours and the peer's, both clients of one server, are asked the same and must answer alike."""

import socket
import struct
import threading
import time

import pytest

from e2e.harness import PATIENCE, until


def client_of(agents, binary, server, name, **more):
    agent = agents(binary, name=name, config=dict({"server": False, "retry_join": [server.ip], "dns_config": {"use_cache": True, "cache_max_age": "1h"}, "log_level": "TRACE"}, **more))
    conf = dict(agent.conf)
    conf.pop("bootstrap_expect")
    agent.configure(conf)
    agent.launch()

    def works():  # and all that is to come of it in the catalog is there
        answer = agent.get("/v1/catalog/nodes")
        return answer.status == 200 and [n for n in answer.json if n["Node"] == name and n["TaggedAddresses"]]

    until(name + " works", works)
    return agent


@pytest.fixture
def both(agents, praetor_asan, peer, request):
    server = agents(request.param if isinstance(request.param, str) and "/" in request.param else request.getfixturevalue(request.param), name="s1").start()
    until("the server has told of itself", lambda: server.get("/v1/catalog/node/s1").json["Node"]["TaggedAddresses"])
    return server, client_of(agents, praetor_asan, server, "c1"), client_of(agents, peer, server, "c2")


def asked(agent, path, control=None):
    a = agent.get(path, headers={"Cache-Control": control} if control else {})
    body = a.json if a.status == 200 else None
    if isinstance(body, list) and body and isinstance(body[0], dict):
        body = sorted(str(i) for i in body)
    elif isinstance(body, dict):
        body.pop("Nodes", None)
    return a.status, a.headers.get("X-Cache"), a.headers.get("Age"), a.headers.get("X-Consul-Effective-Consistency"), a.headers.get("X-Consul-Knownleader"), body


def alike(ours, theirs, path, control=None, apart=None):
    """apart: how many seconds the two agents' entries of a path may have begun to grow old one after the other."""
    apart, begin = {} if apart is None else apart, time.monotonic()
    a, b = (asked(agent, path, control) for agent in (ours, theirs))
    took = time.monotonic() - begin
    assert a[:2] + a[3:] == b[:2] + b[3:], (path, control)
    assert (a[2] is None) == (b[2] is None), (path, control, a, b)
    if a[1] == "MISS":
        apart[path] = took
    if a[2] is not None:
        assert abs(int(a[2]) - int(b[2])) <= 1 + apart.get(path, 0) + took, (path, control, a, b)
    return a


@pytest.mark.parametrize("both", ["praetor_asan", "peer"], indirect=True)
def test_headers_and_reuse(both):
    server, ours, theirs = both
    apart = {}
    assert server.request("POST", "/v1/query", b'{"Name": "q", "Service": {"Service": "web"}}').status == 200
    for path in ("/v1/catalog/datacenters", "/v1/catalog/services", "/v1/catalog/service/consul", "/v1/catalog/connect/consul", "/v1/health/service/consul", "/v1/health/connect/consul", "/v1/query/none/execute", "/v1/query/q/execute"):
        for control in (None, None, "max-age=0", "must-revalidate", "max-age=100", "x, max-age=z"):
            alike(ours, theirs, path + "?cached", control, apart)
    for path in ("/v1/health/service/consul?cached&passing", "/v1/health/service/consul?cached&stale", "/v1/health/service/consul?cached&dc=dc1", "/v1/health/service/consul?cached&dc=none",
                 "/v1/health/service/consul?cached&index=1", "/v1/health/service/consul?cached&filter=Node.Node==s1", "/v1/health/service/consul?cached&tag=x", "/v1/catalog/nodes?cached", "/v1/health/service/consul?cached&consistent"):
        alike(ours, theirs, path)


@pytest.mark.parametrize("both", ["praetor_asan"], indirect=True)
def test_kept_current_in_the_background(both):
    server, ours, theirs = both
    first = [agent.get("/v1/health/service/web?cached") for agent in (ours, theirs)]
    assert [a.headers["X-Cache"] for a in first] == ["MISS", "MISS"]
    server.put("/v1/catalog/register", {"Node": "a", "Address": "1.1.1.1", "Service": {"Service": "web", "Port": 1}})
    for agent in (ours, theirs):
        until("it comes by itself", lambda agent=agent: len(agent.get("/v1/health/service/web?cached").json) == 1)
        assert agent.get("/v1/health/service/web?cached").headers["X-Cache"] == "HIT"
    # Who waits for an index is woken; who waits in vain gets what there is, as a miss.
    index = [agent.get("/v1/health/service/web?cached").index for agent in (ours, theirs)]
    timer = threading.Timer(0.5, lambda: server.put("/v1/catalog/register", {"Node": "b", "Address": "1.1.1.1", "Service": {"Service": "web", "Port": 1}}))
    timer.start()
    for agent, at in zip((ours, theirs), index):
        a = agent.get("/v1/health/service/web?cached&wait=120s&index=%d" % at, timeout=180)
        assert a.headers["X-Cache"] in ("MISS", "HIT") and len(a.json) == 2 and a.index > at
    timer.join()
    for agent in (ours, theirs):
        at = agent.get("/v1/health/service/web?cached").index
        begun = time.monotonic()
        a = agent.get("/v1/health/service/web?cached&wait=1s&index=%d" % at)
        assert 0.9 < time.monotonic() - begun < 60 and a.headers["X-Cache"] == "MISS" and a.index == at


@pytest.mark.parametrize("both", ["praetor_asan"], indirect=True)
def test_without_servers(both):
    server, ours, theirs = both
    assert server.request("POST", "/v1/query", b'{"Name": "q", "Service": {"Service": "web"}}').status == 200
    apart = {}
    for path in ("/v1/health/service/web", "/v1/query/q/execute", "/v1/catalog/datacenters"):
        alike(ours, theirs, path + "?cached", None, apart)
    server.kill()
    begin = time.monotonic()
    for agent in (ours, theirs):
        until("contact is lost", lambda agent=agent: int(agent.get("/v1/health/service/web?cached").headers["Age"]) >= 2)
    for path in apart:
        apart[path] = max(apart[path], time.monotonic() - begin - 2)
    for path, control in (("/v1/health/service/web", None), ("/v1/catalog/datacenters", None), ("/v1/query/q/execute", None), ("/v1/query/q/execute", "max-age=1"),
                          ("/v1/query/q/execute", "max-age=1, stale-if-error=100"), ("/v1/query/q/execute", "must-revalidate, stale-if-error=100"), ("/v1/query/q/execute", "must-revalidate, stale-if-error=1"),
                          ("/v1/query/q/execute", "must-revalidate"), ("/v1/catalog/datacenters", "must-revalidate, stale-if-error=900"), ("/v1/query/q/execute", None), ("/v1/health/service/other", None), ("/v1/health/service/web", "max-age=1")):
        alike(ours, theirs, path + "?cached", control, apart)
    for agent in (ours, theirs):
        assert agent.get("/v1/health/service/web?cached&wait=5s&index=99999").status == 500
    # It goes on by itself, also for what could never be fetched.
    server.start()
    for agent in (ours, theirs):
        until("fetched in the background", lambda agent=agent: agent.get("/v1/health/service/other?cached").status == 200, 2 * PATIENCE)


def dns(agent, name, kind=1):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(60)
        s.sendto(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0" + struct.pack(">HH", kind, 1), (agent.ip, agent.conf["ports"].get("dns", 8600)))
        answer = s.recv(4096)
    return answer[3] & 15, struct.unpack(">H", answer[6:8])[0]


@pytest.mark.parametrize("both", ["praetor_asan"], indirect=True)
def test_dns(both):
    server, ours, theirs = both
    server.put("/v1/catalog/register", {"Node": "a", "Address": "1.1.1.1", "Service": {"Service": "web", "Port": 1}})
    assert server.request("POST", "/v1/query", b'{"Name": "q", "Service": {"Service": "web"}}').status == 200
    names = ("web.service.consul", "a.node.consul", "q.query.consul")
    for agent in (ours, theirs):
        for name in names:
            assert dns(agent, name) == (0, 1), (agent.name, name)
    # Node and service entries follow what changes, queries do not.
    for agent in (ours, theirs):
        assert agent.get("/v1/health/service/web?cached").status == 200
    server.put("/v1/catalog/register", {"Node": "b", "Address": "1.1.1.2", "Service": {"Service": "web", "Port": 1}})
    for agent in (ours, theirs):
        until("the service follows", lambda agent=agent: dns(agent, names[0]) == (0, 2))
        assert dns(agent, names[2]) == (0, 1)
    server.kill()
    for agent in (ours, theirs):
        until("contact is lost", lambda agent=agent: int(agent.get("/v1/health/service/web?cached").headers["Age"]) >= 1)
        assert [dns(agent, name) for name in names] == [(0, 2), (0, 1), (0, 1)]


def test_without_use_cache(agents, praetor_asan):
    server = agents(praetor_asan, name="s1").start()
    client = client_of(agents, praetor_asan, server, "c1", http_config={"use_cache": False})
    for _ in range(2):
        assert client.get("/v1/health/service/consul?cached").headers.get("X-Cache") is None


def test_many_entries_and_a_clean_end(agents, praetor_asan):
    """More questions than there is room for; then it ends while queries wait."""
    server = agents(praetor_asan, name="s1", config={"limits": {"http_max_conns_per_client": 0, "rpc_max_conns_per_client": 0}}).start()
    client = client_of(agents, praetor_asan, server, "c1")
    for number in range(300):
        assert client.get("/v1/health/service/s%d?cached" % number).status == 200
    waiting = [threading.Thread(target=lambda n=n: _ignore(client, n), daemon=True) for n in range(8)]
    for thread in waiting:
        thread.start()
    time.sleep(0.3)  # some wait by then, or none: it must end either way
    client.stop()
    assert client.proc.returncode in (0, 1)


def _ignore(client, number):
    try:
        client.get("/v1/health/service/s%d?cached&wait=60s&index=99999" % number, timeout=180)
    except OSError:
        pass
    except Exception as error:  # the connection ends in the middle
        assert "RemoteDisconnected" in repr(error) or "IncompleteRead" in repr(error) or "Connection" in repr(error)
