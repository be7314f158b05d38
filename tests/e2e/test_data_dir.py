"""An agent's own files go from the peer to us and back: the same registrations leave the same bytes, and an agent that starts on
the other's data directory has the same services, checks and states. Node maintenance, sidecars and TTL states among them."""

import hashlib
import json
import os
import re
import shutil

import pytest

from e2e.harness import until

CONFIG = {"enable_script_checks": True, "check_update_interval": "0s",
          "services": [{"name": "fixed", "id": "fixed-1", "port": 7, "tags": ["from", "config"], "check": {"ttl": "1h"}}]}
FOLDERS = ("services", "checks", os.path.join("checks", "state"))


def register(agent):
    """One of everything that an agent keeps."""
    def put(path, body=b""):
        got = agent.put("/v1/agent/" + path, body)
        assert got.status == 200, (agent.name, path, got.text)
    put("service/register", {"Name": "plain"})
    put("service/register?token=0f5a2f2e-1111-4222-8333-944455556666", {
        "ID": "web/1 ünï", "Name": "web", "Tags": ["a", "b"], "Meta": {"k": "v", "a": "<&>"}, "Port": 80, "Address": "10.0.0.1",
        "TaggedAddresses": {"wan": {"Address": "1.2.3.4", "Port": 99}}, "Weights": {"Passing": 7, "Warning": 2}, "EnableTagOverride": True,
        "Checks": [{"TTL": "1h", "Notes": "the beat", "Status": "passing"}, {"CheckID": "own-id", "Name": "own", "TTL": "90m", "DeregisterCriticalServiceAfter": "100h"},
                   {"HTTP": "http://127.0.0.1:1/x", "Method": "POST", "Body": "b", "Header": {"h": ["1", "2"]}, "Interval": "1h", "Timeout": "3s", "TLSSkipVerify": True},
                   {"TCP": "127.0.0.1:1", "Interval": "1h", "SuccessBeforePassing": 2, "FailuresBeforeCritical": 3}, {"GRPC": "127.0.0.1:1/x", "GRPCUseTLS": True, "Interval": "1h"},
                   {"Args": ["true", "x y"], "Interval": "1h", "OutputMaxSize": 100}]})
    put("service/register", {"Name": "app", "Port": 8080, "Connect": {"SidecarService": {"Proxy": {"Config": {"n": 1.5, "deep": {"l": [1, "x", True]}},
                             "Upstreams": [{"DestinationName": "db", "LocalBindPort": 9191, "Config": {"c": 2}}]}}}})
    put("service/register", {"Name": "mesh", "Kind": "mesh-gateway", "Port": 443, "Proxy": {"MeshGateway": {"Mode": "local"}}})
    put("service/register", {"Name": "native", "Connect": {"Native": True}})
    put("check/register", {"Name": "node beat", "TTL": "1h", "Notes": "of the node"})
    put("check/register", {"ID": "late", "Name": "late", "ServiceID": "plain", "TTL": "1h"})
    put("check/register", {"ID": "alias", "Name": "alias", "ServiceID": "native", "AliasService": "plain"})
    put("check/register", {"ID": "container", "Name": "container", "DockerContainerID": "abc", "Shell": "/bin/sh", "Args": ["x"], "Interval": "1h"})
    put("check/pass/node%20beat?note=all%20is%20well")
    put("check/warn/late?note=so%20so%20%C3%BC")
    put("check/fail/own-id")
    put("check/pass/service:fixed-1?note=fixed")
    put("service/maintenance/plain?enable=true&reason=why%20not")
    put("maintenance?enable=true")


def files(agent):
    """Of every file that the agent keeps: its text; the end of a state's life is left out."""
    out = {}
    for folder in FOLDERS:
        path = os.path.join(agent.data, folder)
        for name in os.listdir(path):
            if os.path.isfile(os.path.join(path, name)):
                with open(os.path.join(path, name)) as handle:
                    text = handle.read()
                if folder == FOLDERS[2]:
                    text = json.dumps(dict(json.loads(text), Expires=0))
                out[folder + "/" + name] = text
    return out


def known(agent):
    """What the agent says of its services and checks; what a check of its own accord found later is left out."""
    checks = agent.get("/v1/agent/checks").json
    for check in checks.values():
        if check["Type"] not in ("ttl", "maintenance"):
            check["Output"] = check["Status"] = ""
    return agent.get("/v1/agent/services").json, checks


def mode(path):
    return oct(os.stat(path).st_mode & 0o777)


def test_the_same_registrations_leave_the_same_files(praetor_asan, peer, agents):
    theirs = agents(peer, name="n1", config=CONFIG).start()
    register(theirs)
    want, shown = files(theirs), known(theirs)
    modes = {name: mode(os.path.join(theirs.data, name)) for name in list(want) + list(FOLDERS)}
    theirs.kill()
    shutil.move(theirs.data, theirs.data + ".peer")
    ours = agents(praetor_asan, name="n1", config=CONFIG).start()
    register(ours)
    got = files(ours)
    assert sorted(got) == sorted(want)
    for name in want:
        assert got[name] == want[name], name
    assert known(ours) == shown
    assert {name: mode(os.path.join(ours.data, name)) for name in modes} == modes


def move(source, target):
    """The agent's own files, without those of a server's consensus and of the gossip."""
    os.makedirs(target.data)
    for name in ("services", "checks"):
        shutil.copytree(os.path.join(source.data, name), os.path.join(target.data, name))
    shutil.copy(os.path.join(source.data, "node-id"), os.path.join(target.data, "node-id"))


def goes_on(agent):
    """What was taken over can be used: beats, changes, removals, and the catalog has it."""
    all_of_them = {"plain", "web/1 ünï", "app", "app-sidecar-proxy", "mesh", "native", "fixed-1"}
    until("services in the catalog", lambda: all_of_them <= set(agent.get("/v1/catalog/node/" + agent.name).json["Services"]))
    until("checks in the catalog", lambda: {c["CheckID"]: c["Status"] for c in agent.get("/v1/health/node/" + agent.name).json}.get("late") == "warning")
    assert agent.put("/v1/agent/check/pass/late?note=again").status == 200
    assert agent.get("/v1/agent/checks").json["late"]["Output"] == "again"
    assert agent.put("/v1/agent/service/maintenance/plain?enable=false").status == 200
    assert agent.put("/v1/agent/maintenance?enable=false").status == 200
    before = len(os.listdir(os.path.join(agent.data, "services")))
    assert agent.put("/v1/agent/service/deregister/app").status == 200  # with its sidecar
    assert len(os.listdir(os.path.join(agent.data, "services"))) == before - 2
    left = agent.get("/v1/agent/services").json
    assert "app" not in left and "app-sidecar-proxy" not in left
    assert not any("maintenance" in c for c in agent.get("/v1/agent/checks").json)


def take_over(source, target):
    register(source)
    # Before the stop: what another start would make of it is what the other binary must make of it.
    services, checks = known(source)
    for name, check in checks.items():
        if check["Type"] == "ttl" and name not in ("node beat", "late", "own-id", "service:fixed-1"):
            check["Status"] = "critical"  # initial: only beats are kept
    identity = open(os.path.join(source.data, "node-id")).read()
    source.stop(60)
    move(source, target)
    target.start()
    got_services, got_checks = known(target)
    # The peer does not give the state back to checks inside of configured services.
    got_checks["service:fixed-1"].update({k: checks["service:fixed-1"][k] for k in ("Status", "Output")})
    assert got_services == services
    assert {n: c for n, c in got_checks.items() if n not in checks} == {}
    for name in checks:
        assert got_checks[name] == checks[name], name
    assert target.get("/v1/agent/self").json["Config"]["NodeID"] == identity.strip()
    goes_on(target)


def test_a_peer_servers_files_are_taken_over(praetor_asan, peer, agents, tmp_path):
    source = agents(peer, name="n1", config=CONFIG).start()
    target = agents(praetor_asan, name="n1", config=CONFIG)
    target.data = str(tmp_path / "taken")
    rewrite(target)
    take_over(source, target)


def test_our_files_are_taken_over_by_the_peer(praetor_asan, peer, agents, tmp_path):
    source = agents(praetor_asan, name="n1", config=CONFIG).start()
    target = agents(peer, name="n1", config=CONFIG)
    target.data = str(tmp_path / "taken")
    rewrite(target)
    take_over(source, target)


def rewrite(agent):
    """The agent's data directory is another than the harness gave it."""
    with open(agent.config) as handle:
        conf = json.load(handle)
    conf["data_dir"] = agent.data
    agent.config += ".json"
    with open(agent.config, "w") as handle:
        json.dump(conf, handle)


def client(agents, binary, server, **more):
    agent = agents(binary, name="n1", config=dict(CONFIG, server=False, retry_join=[server.ip], retry_interval="1s"), **more)
    with open(agent.config) as handle:
        conf = json.load(handle)
    conf.pop("bootstrap_expect")
    with open(agent.config, "w") as handle:
        json.dump(conf, handle)
    return agent


def in_catalog(server, wanted):
    got = server.get("/v1/catalog/node/n1").json
    return got is not None and wanted <= set(got["Services"])


@pytest.mark.parametrize("stop", ["stop", "kill"])
def test_a_peer_clients_data_directory_is_taken_over(praetor_asan, peer, agents, tmp_path, stop):
    """As it is, gossip's snapshot and all: a client of real servers is stopped (it leaves) or killed, and ours starts in its place."""
    server = agents(peer, name="s1").start()
    source = client(agents, peer, server)
    source.launch()
    until("it serves", lambda: answers(source))
    until("the client is in the catalog", lambda: in_catalog(server, set()))
    register(source)
    services, checks = known(source)
    before = server.get("/v1/catalog/node/n1").json
    source.stop(60) if stop == "stop" else source.kill()
    assert os.path.exists(os.path.join(source.data, "serf", "local.snapshot"))
    target = client(agents, praetor_asan, server)
    target.data = str(tmp_path / "taken")
    rewrite(target)
    with open(target.config) as handle:
        text = handle.read().replace(target.ip, source.ip)  # the same machine
    with open(target.config, "w") as handle:
        handle.write(text)
    target.ip = source.ip
    shutil.copytree(source.data, target.data)
    target.launch()
    until("it serves", lambda: answers(target))
    got_services, got_checks = known(target)
    assert got_services == services
    assert set(got_checks) == set(checks)
    for name in ("node beat", "late", "own-id", "service:fixed-1", "_node_maintenance", "_service_maintenance:plain"):
        assert got_checks[name] == checks[name], name
    until("the servers have it again", lambda: in_catalog(server, set(before["Services"])))

    def statuses():
        return {c["CheckID"]: c["Status"] for c in server.get("/v1/health/node/n1").json}
    until("its checks too", lambda: statuses().get("serfHealth") == "passing" and statuses().get("late") == "warning" and set(statuses()) >= set(checks))
    assert server.get("/v1/catalog/node/n1").json["Node"]["ID"] == before["Node"]["ID"]
    assert target.put("/v1/agent/check/pass/late?note=again").status == 200
    until("the servers hear of a beat", lambda: statuses().get("late") == "passing")
    assert target.put("/v1/agent/service/deregister/app").status == 200
    until("and of a removal", lambda: not in_catalog(server, {"app"}) and not in_catalog(server, {"app-sidecar-proxy"}))
    assert target.stop(60) == 0


CENTRAL = os.path.join("services", "configs")
DEFAULTS = {"Kind": "proxy-defaults", "Name": "global", "Config": {"z": 5, "f": True, "e": "d<&>", "l": [1, "x"], "n": {"a": 1.5, "b": {"c": 2}}},
            "MeshGateway": {"Mode": "local"}, "Expose": {"Paths": [{"Path": "/all", "LocalPathPort": 7, "ListenerPort": 8}]}}
MESH = [{"ID": "web", "Name": "web", "Port": 80, "Connect": {"SidecarService": {"Proxy": {"Config": {"own": 1}, "Upstreams": [
            {"DestinationName": "db", "LocalBindPort": 9191}, {"DestinationName": "q", "DestinationType": "prepared_query", "LocalBindPort": 9192}]}}}},
        {"ID": "mg", "Name": "gateway", "Kind": "mesh-gateway", "Port": 84}, {"ID": "plain", "Name": "plain", "Port": 85},
        {"ID": "sole", "Name": "sole", "Kind": "connect-proxy", "Port": 86, "Proxy": {"DestinationServiceName": "plain"}}]


def digest(name):
    return hashlib.md5(name.encode()).hexdigest()


def read(path):
    with open(path) as handle:
        return handle.read()


def write(path, text):
    with open(path, "w") as handle:
        handle.write(text)


def central_files(agent):
    """Of what the servers said: text and mode; what is on its way (the peer writes some twice) is left out."""
    path = os.path.join(agent.data, CENTRAL)
    return {name: (read(os.path.join(path, name)), mode(os.path.join(path, name))) for name in os.listdir(path) if "-" not in name}


def proxies(agent):
    return {name: service["Proxy"] for name, service in agent.get("/v1/agent/services").json.items() if service.get("Kind")}


def mesh_client(agents, binary, server):
    conf = {"enable_central_service_config": True, "performance": {"rpc_hold_timeout": "1s"}}
    agent = client(agents, binary, server)
    agent.conf = dict(json.loads(read(agent.config)), **conf)
    agent.configure(agent.conf)
    agent.launch()
    until("the client's servers", lambda: answers(agent) and agent.get("/v1/catalog/nodes").status == 200, 30)
    for service in MESH:
        assert agent.put("/v1/agent/service/register", service).status == 200
    return agent


def test_what_servers_said_is_in_the_same_files(praetor_asan, peer, agents):
    """Central configuration of a sidecar and a gateway, as clients of either kind keep it; a change; a removal."""
    server = agents(peer, name="s1").start()
    for entry in (DEFAULTS, {"Kind": "service-defaults", "Name": "db", "Protocol": "grpc"}):
        assert server.put("/v1/config", entry).status == 200
    told = []
    for binary in (peer, praetor_asan):
        agent = mesh_client(agents, binary, server)
        first = central_files(agent)
        assert set(first) == {digest("web-sidecar-proxy"), digest("mg")}
        assert mode(os.path.join(agent.data, CENTRAL)) == "0o700"

        def removed():  # again: the peer registers a sidecar anew that goes while its first answer comes
            assert agent.put("/v1/agent/service/deregister/web-sidecar-proxy").status == 200
            return set(central_files(agent)) == {digest("mg")}
        assert agent.put("/v1/agent/service/deregister/web").status == 200
        until("the removal", removed)
        assert server.put("/v1/config", {"Kind": "service-defaults", "Name": "gateway", "Protocol": "http"}).status == 200
        until("the change", lambda: json.loads(central_files(agent)[digest("mg")][0])["Defaults"]["ProxyConfig"].get("protocol") == "http")
        second = json.loads(central_files(agent)[digest("mg")][0])
        second["Defaults"]["Index"] = 0
        told.append((first, second))
        assert server.delete("/v1/config/service-defaults/gateway").status == 200
        agent.kill()
    # the index is of when it was written last
    plain = [{name: (re.sub('"Index":[1-9][0-9]*,', "", text), mode_) for name, (text, mode_) in files.items()} for files, _ in told]
    assert plain[0] == plain[1]
    assert told[0][1] == told[1][1]


@pytest.mark.parametrize("direction", ["taken over by us", "taken over by the peer"])
def test_what_servers_said_is_there_without_servers(praetor_asan, peer, agents, tmp_path, direction):
    """An agent of the one kind goes on with the files of the other, no server in sight; so does one of its own kind, equally. What is broken
    is told and left, what is of nobody goes."""
    first, second = (peer, praetor_asan) if direction.endswith("us") else (praetor_asan, peer)
    server = agents(peer, name="s1").start()
    for entry in (DEFAULTS, {"Kind": "service-defaults", "Name": "db", "Protocol": "grpc"}):
        assert server.put("/v1/config", entry).status == 200
    source = mesh_client(agents, first, server)
    want = proxies(source)
    assert want["web-sidecar-proxy"]["Config"] == {"z": 5, "f": True, "e": "d<&>", "l": [1, "x"], "n": {"a": 1.5, "b": {"c": 2}}, "own": 1}
    source.kill()
    server.kill()
    folder = os.path.join(source.data, CENTRAL)
    good = read(os.path.join(folder, digest("mg")))
    for name, text in {"broken": good[:-1], "more": good + "x", "list": "[]", "null": "null", "bare": '{"ServiceID":"mg"}', "bad": '{"ServiceID":7}',
                       "index": '{"ServiceID":"mg","Defaults":{"Index":-1}}', "config": '{"ServiceID":"mg","Defaults":{"ProxyConfig":[1]}}',
                       "xx.tmp": good, "zz": good.replace('"z":5', '"z":6'), digest("gone"): good.replace('"mg"', '"gone"')}.items():
        write(os.path.join(folder, name), text)
    want["mg"]["Config"]["z"] = 6
    told = []
    for binary in (first, second):
        target = agents(binary, name="n1", config=source.conf)
        target.data = str(tmp_path / ("taken%d" % len(told)))
        target.configure(dict(source.conf, data_dir=target.data, bind_addr=target.ip, client_addr=target.ip))
        shutil.copytree(source.data, target.data)
        target.log = target.data + ".log"
        target.launch()
        until("it serves", lambda: answers(target))
        assert proxies(target) == want
        until("what is of nobody is gone", lambda: digest("gone") not in os.listdir(os.path.join(target.data, CENTRAL)))
        left = central_files(target)
        said = sorted(line[line.index("agent: "):].strip().replace(target.data, "") for line in read(target.log).splitlines()
                      if "service config file" in line)
        assert target.put("/v1/agent/service/deregister/web").status == 200
        until("a removal", lambda: digest("web-sidecar-proxy") not in os.listdir(os.path.join(target.data, CENTRAL)))
        told.append((left, said))
        target.kill()
    assert told[0] == told[1]
    assert len(told[0][1]) == 7, told[0][1]


def answers(agent):
    if agent.proc.poll() is not None:
        raise AssertionError(agent.tail())
    try:
        return agent.get("/v1/agent/checks").status == 200
    except OSError:
        return False


def test_states_that_are_over_are_not_taken(praetor_asan, agents):
    agent = agents(praetor_asan).start()
    assert agent.put("/v1/agent/check/register", {"Name": "beat", "TTL": "1h"}).status == 200
    assert agent.put("/v1/agent/check/pass/beat?note=fine").status == 200
    path = os.path.join(agent.data, "checks", "state", hashlib.md5(b"beat").hexdigest())
    agent.kill()
    with open(path) as handle:
        state = json.load(handle)
    with open(path, "w") as handle:
        json.dump(dict(state, Expires=state["Expires"] - 3700), handle)
    agent.start()
    check = agent.get("/v1/agent/checks").json["beat"]
    assert (check["Status"], check["Output"]) == ("critical", "")
    assert not os.path.exists(path)
