"""A browser for all tests of the page, and a cluster of three servers with something to see in it."""

import json
import os

import pytest

from e2e.cluster import Cluster
from e2e.harness import until
from e2e.page.browser import Browser

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    with open(tmp_path_factory.mktemp("browser") / "driver.log", "w") as log:
        made = Browser(log)
        yield made
        made.close()


@pytest.fixture
def browser(chromium):
    """A fresh window; at the end nothing may have gone wrong in it that a test did not expect."""
    chromium.fresh()
    yield chromium
    seen = chromium.seen()
    assert seen["errors"] == [], "errors that nothing caught"
    assert seen["foreign"] == [], "something was loaded from elsewhere"
    refused = [line for line in seen["console"] if "Content Security Policy" in line]
    assert refused == [], "the page wants what its content policy forbids"


@pytest.fixture(scope="session")
def shots(tmp_path_factory):
    """Where screenshots go: docs/page/ when they are to be kept (PRAETOR_SCREENSHOTS=1), else a folder that is thrown away."""
    if os.environ.get("PRAETOR_SCREENSHOTS"):
        return os.path.join(ROOT, "docs", "page")
    return str(tmp_path_factory.mktemp("shots"))


# What a view says of the servers' health does not change because one was slow for a moment.
UI = {"ui": True, "autopilot": {"cleanup_dead_servers": False, "last_contact_threshold": "30s"}}


def make_cluster(agents, praetor, prefix, config=None, multiplier=10):
    cluster = Cluster(agents, [praetor] * 3, dict(UI, **(config or {})), prefix=prefix)
    cluster.form(multiplier=multiplier)
    cluster.url = "http://%s:8500/ui/" % cluster.servers[0].ip
    return cluster


def put(server, path, body=b"", token=None):
    answer = server.put("/v1/" + path, body, headers={"X-Consul-Token": token} if token else {})
    assert answer.status == 200, (path, answer.status, answer.text)
    return answer.json if answer.body else None


def intend(server, source, destination, action, description="", token=None):
    body = json.dumps({"SourceName": source, "DestinationName": destination, "Action": action, "Description": description})
    answer = server.request("POST", "/v1/connect/intentions", body, headers={"X-Consul-Token": token} if token else {})
    assert answer.status == 200, answer.text
    return answer.json["ID"]


OUTPUT = {"passing": "HTTP GET http://10.2.0.4:8443/health: 200 OK Output: {\"status\":\"up\"}",
          "warning": "latency p99 412 ms is above the threshold of 250 ms",
          "critical": "dial tcp 10.2.0.6:5432: connect: connection refused\nlast success 41 s ago"}
# node -> (address, rack, {service: (port, tags, kind, [(check, status)])})
NODES = {
    "web-1": ("10.2.0.4", "r1", {"checkout": (8443, ["http", "primary", "v2"], "", [("HTTP /health", "passing"), ("Latency", "warning")]),
                                 "catalog-api": (9090, ["grpc", "v1"], "", [("gRPC ping", "passing")]),
                                 "redis": (6379, ["cache"], "", [("PING", "passing")])}),
    "web-2": ("10.2.0.5", "r2", {"checkout": (8443, ["http", "v2"], "", [("HTTP /health", "passing"), ("Latency", "passing")]),
                                 "catalog-api": (9090, ["grpc", "v1"], "", [("gRPC ping", "passing")]),
                                 "checkout-sidecar-proxy": (21000, [], "connect-proxy", [("Public listener", "passing")]),
                                 "postgres": (5432, ["replica", "pg15"], "", [("TCP 5432", "passing")])}),
    "db-1": ("10.2.0.6", "r3", {"postgres": (5432, ["primary", "pg15"], "", [("TCP 5432", "critical"), ("Replication lag", "warning")]),
                                "mailer": (2525, ["smtp"], "", [("Queue length", "warning")]),
                                "vault": (8200, ["active", "standby"], "", [("Sealed", "passing")])}),
}
KEYS = {
    "config/checkout/settings.json": json.dumps({"currency": "EUR", "retries": 3, "sandbox": False, "limits": {"basket": 40, "voucher": None},
                                                 "regions": ["de", "fr", "it"]}, indent=2),
    "config/checkout/flags.yaml": "# what is switched on\nnew-basket: true\nrollout: 25\nteams:\n  - payments\n  - \"search\"\n",
    "config/gateway.hcl": '# entry of all traffic\nlistener "public" {\n  address = "0.0.0.0:443"\n  tls     = true\n}\n',
    "config/motd": "Good morning",
    "secrets/logo.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" * 20,
    "service/checkout/leader": "web-1",
}


# source, destination, action, description
INTENTIONS = [("checkout", "postgres", "allow", "orders"), ("mailer", "postgres", "deny", "must go through the API"), ("*", "postgres", "deny", "the database is for few"),
              ("checkout", "*", "allow", "")]


ENTRIES = [
    {"Kind": "service-defaults", "Name": "checkout", "Protocol": "http"},
    {"Kind": "service-defaults", "Name": "catalog-api", "Protocol": "http"},
    {"Kind": "service-resolver", "Name": "checkout", "DefaultSubset": "v1", "Subsets": {"v1": {"Filter": "Service.Meta.version != 2"}, "v2": {"OnlyPassing": True}},
     "Failover": {"*": {"Datacenters": ["dc2"]}}},
    {"Kind": "service-splitter", "Name": "checkout", "Splits": [{"Weight": 90, "ServiceSubset": "v1"}, {"Weight": 10, "ServiceSubset": "v2"}]},
    {"Kind": "service-router", "Name": "checkout", "Routes": [
        {"Match": {"HTTP": {"PathPrefix": "/admin", "Methods": ["GET", "PUT"]}}, "Destination": {"Service": "catalog-api", "RequestTimeout": "5s", "NumRetries": 2}},
        {"Match": {"HTTP": {"PathPrefix": "/", "Header": [{"Name": "x-debug", "Present": True}]}}, "Destination": {"ServiceSubset": "v2", "PrefixRewrite": "/debug"}}]},
]


def register(server, node, address, service, port, tags, kind, checks, token=None, meta=None):
    body = {"Node": node, "Address": address, "SkipNodeUpdate": False, "NodeMeta": meta or {},
            "Service": {"ID": service, "Service": service, "Port": port, "Tags": tags, "Kind": kind, "Meta": {"version": "2.4.1"}},
            "Checks": [{"Node": node, "CheckID": "%s:%d" % (service, i), "Name": name, "Status": status, "ServiceID": service,
                        "Output": OUTPUT[status], "Notes": "Runbook: %s-down" % service if status == "critical" else ""}
                       for i, (name, status) in enumerate(checks)]}
    if kind == "connect-proxy":
        body["Service"]["Proxy"] = {"DestinationServiceName": "checkout"}
    put(server, "catalog/register", body, token)


def populate(server, token=None):
    for node, (address, rack, services) in NODES.items():
        for name, (port, tags, kind, checks) in services.items():
            register(server, node, address, name, port, tags, kind, checks, token, {"rack": rack, "os": "debian-12"})
    for key, value in KEYS.items():
        put(server, "kv/" + key, value, token)
    for source, destination, action, description in INTENTIONS:
        intend(server, source, destination, action, description, token)
    for entry in ENTRIES:
        put(server, "config", entry, token)
    session = put(server, "session/create", {"Name": "leader election", "TTL": "3600s", "Node": server.name}, token)["ID"]
    assert put(server, "kv/service/checkout/leader?acquire=" + session, "web-1", token) is True
    return session


@pytest.fixture(scope="module")
def cluster(shared_agents, praetor):
    made = make_cluster(shared_agents, praetor, "roma-", {"connect": {"enabled": True}})
    made.session = populate(made.servers[0])
    return made


@pytest.fixture(scope="module")
def settled(cluster):
    """A cluster that is some time old: coordinates come seconds after the start; autopilot calls a server healthy that has been stable for ten."""
    until("coordinates", lambda: len(cluster.servers[0].get("/v1/coordinate/nodes").json) == 3, 180)
    until("healthy servers", lambda: cluster.servers[0].get("/v1/operator/autopilot/health").status == 200, 180)
    return cluster


@pytest.fixture(scope="module")
def secured(shared_agents, praetor):
    acl = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": "root", "agent": "root"}}}
    made = Cluster(shared_agents, [praetor] * 3, dict(UI, **acl), prefix="lex-")
    first, root = made.servers[0], {"X-Consul-Token": "root"}

    def ready(server):
        """A leader that takes the master token."""
        try:
            return server.put("/v1/kv/ready", b"1", headers=root).status == 200 and server.get("/v1/acl/token/self", headers=root).status == 200
        except OSError:
            return False
    made.form(ready=ready, multiplier=10)
    made.url = "http://%s:8500/ui/" % first.ip
    until("the master token", lambda: ready(first))
    populate(first, "root")
    rules = 'service "checkout" {\n  policy = "write"\n}\nkey_prefix "config/checkout/" {\n  policy = "write"\n}\n'
    policy = put(first, "acl/policy", {"Name": "checkout-write", "Description": "What the checkout team may do", "Rules": "# own service and settings\n" + rules}, "root")
    role = put(first, "acl/role", {"Name": "developers", "Description": "People who build services", "Policies": [{"ID": policy["ID"]}]}, "root")
    made.limited = put(first, "acl/token", {"Description": "checkout in production", "Policies": [{"ID": policy["ID"]}]}, "root")
    made.ada = put(first, "acl/token", {"Description": "Ada's laptop", "Roles": [{"ID": role["ID"]}]}, "root")
    made.policy, made.role = policy, role
    return made
