"""Worlds for the gRPC port that the vectors do not have: settings as users may write them, and what is seldom. For test_xds.py."""


def ttl(status="passing"):
    return [{"TTL": "1h", "Status": status}]


def service(name, port=80, sidecar=None, **more):
    out = dict({"Name": name, "Port": port}, **more)
    if sidecar is not None:
        out["Connect"] = {"SidecarService": sidecar}
    return out


def upstream(name, port, config=None, **more):
    return dict({"DestinationName": name, "LocalBindPort": port}, **({"Config": config} if config is not None else {}), **more)


def sidecar(upstreams=(), config=None, **more):
    proxy = {"Upstreams": list(upstreams)}
    if config is not None:
        proxy["Config"] = config
    proxy.update(more.pop("proxy", {}))
    return dict({"Port": 25900, "Proxy": proxy, "Checks": ttl()}, **more)


def defaults(name, protocol):
    return {"Kind": "service-defaults", "Name": name, "Protocol": protocol}


def world(node, registrations, entries=()):
    return {"node": {"id": node}, "registrations": registrations, "config_entries": list(entries), "answers": {"latest": {}}}


def web(upstreams=(), config=None, entries=(), others=(), **more):
    return world("web-sidecar-proxy", list(others) + [service("web", 8080, sidecar(upstreams, config, **more))], entries)


DB = service("db", 5432, {"Port": 25950, "Checks": ttl()})


def instances(name, settings):
    """(status, weights or None, more) of each."""
    return [service(name, 5000 + i, dict({"Port": 26000 + i, "Checks": ttl(status)}, **({"Weights": weights} if weights else {}), **more), ID="%s%d" % (name, i))
            for i, (status, weights, more) in enumerate(settings)]


MORE = {
    "settings that are texts": web(
        [upstream("db", 9001, {"Protocol": "HTTP", "connect_timeout_ms": "1500", "limits": {"max_connections": "7"},
                               "passive_health_check": {"interval": "1m", "max_failures": "3"}})],
        {"PROTOCOL": "http", "bind_port": "8888", "local_connect_timeout_ms": "250"}, others=[DB]),
    "settings that cannot be read": web(
        [upstream("db", 9001, {"connect_timeout_ms": "soon", "limits": {"max_connections": "many", "max_pending_requests": 4},
                               "passive_health_check": {"interval": "never", "max_failures": 2}}),
         upstream("other", 9002, {"limits": 5, "passive_health_check": "x"})],
        {"bind_port": True, "local_connect_timeout_ms": [1250], "bind_address": ["127.0.0.9"]}, others=[DB]),
    "settings that are zero": web(
        [upstream("db", 9001, {"connect_timeout_ms": 0, "protocol": "", "limits": {"max_connections": 0, "max_concurrent_requests": 0},
                               "passive_health_check": {"interval": 0, "max_failures": 0}})],
        {"bind_port": 0, "local_connect_timeout_ms": 0, "bind_address": "", "protocol": ""}, others=[DB]),
    "protocols that nobody knows": web([upstream("db", 9001, {"protocol": "redis"})], {"protocol": "mongo"}, others=[DB]),
    "upstreams of one service": web(
        [upstream("db", 9001), upstream("db", 9002), upstream("db", 9003, Datacenter="dc1"), upstream("db", 9004, DestinationType="service"),
         upstream("none", 9005, LocalBindAddress="127.0.0.7"), upstream("gone", 9006, DestinationType="prepared_query")], others=[DB]),
    "health and weights": web([upstream("db", 9001)], others=instances("db", [
        ("passing", {"Passing": 1, "Warning": 1}, {}), ("warning", {"Passing": 9, "Warning": 4}, {}), ("critical", {"Passing": 9, "Warning": 4}, {}),
        ("passing", {"Passing": 128, "Warning": 1}, {}), ("passing", {"Passing": 129, "Warning": 1}, {}), ("warning", {"Passing": 5, "Warning": 500}, {}),
        ("passing", None, {"Address": "10.1.1.1"}), ("passing", None, {"TaggedAddresses": {"wan": {"Address": "9.9.9.9", "Port": 9}}})])),
    "subsets that only pass": web([upstream("db", 9001)], entries=[{
        "Kind": "service-resolver", "Name": "db", "DefaultSubset": "ok", "Subsets": {"ok": {"OnlyPassing": True}, "v2": {"Filter": "Service.Meta.v == 2"}}}],
        others=instances("db", [("passing", None, {}), ("warning", None, {}), ("critical", None, {})])),
    "failover to another service": web([upstream("db", 9001)], entries=[{
        "Kind": "service-resolver", "Name": "db", "ConnectTimeout": "1500ms", "Failover": {"*": {"Service": "spare"}}}],
        others=instances("db", [("critical", None, {})]) + [service("spare", 81, {"Port": 26100, "Checks": ttl()})]),
    "an external name": web([upstream("db", 9001)], entries=[{"Kind": "service-defaults", "Name": "db", "Protocol": "tcp", "ExternalSNI": "db.example.com"}],
                            others=[DB]),
    "a redirect to a subset": web([upstream("old", 9001)], entries=[
        {"Kind": "service-resolver", "Name": "db", "Subsets": {"v1": {"Filter": "Service.Meta.v == 1"}}},
        {"Kind": "service-resolver", "Name": "old", "Redirect": {"Service": "db", "ServiceSubset": "v1"}}],
        others=instances("db", [("passing", None, {"Meta": {"v": "1"}}), ("passing", None, {"Meta": {"v": "2"}})])),
    "routes of every kind": web([upstream("api", 9001, {"protocol": "http2"}), upstream("grp", 9002)], entries=[
        defaults("web", "http2"), defaults("api", "http2"), defaults("b", "http2"), defaults("grp", "grpc"),
        {"Kind": "service-resolver", "Name": "api", "Subsets": {"v": {"Filter": "Service.Meta.v == 1"}}},
        {"Kind": "service-splitter", "Name": "api", "Splits": [{"Weight": 33.33}, {"Weight": 33.33, "Service": "b"}, {"Weight": 33.34, "ServiceSubset": "v"}]},
        {"Kind": "service-resolver", "Name": "grp", "ConnectTimeout": "2s"},
        {"Kind": "service-router", "Name": "api", "Routes": [
            {"Match": {"HTTP": {"PathRegex": "/x.*", "Methods": ["POST"], "Header": [{"Name": "h", "Exact": "1"}], "QueryParam": [{"Name": "q", "Present": True}]}},
             "Destination": {"Service": "b", "RequestTimeout": "1500ms", "NumRetries": 1}},
            {"Match": {"HTTP": {"Header": [{"Name": "h", "Suffix": "z", "Invert": True}, {"Name": "i", "Regex": "a|b", "Invert": True}]}},
             "Destination": {"ServiceSubset": "v", "RetryOnStatusCodes": [500]}},
            {"Match": {"HTTP": {"PathPrefix": "/p"}}, "Destination": {"PrefixRewrite": "/"}},
            {"Destination": {"Service": "b"}}]}]),
    "open paths": web(config={"bind_address": "127.0.0.8"}, proxy={"Expose": {"Paths": [
        {"Path": "/a-b/c.d?e=f", "LocalPathPort": 8080, "ListenerPort": 21600}, {"Path": "/", "LocalPathPort": 8081, "ListenerPort": 21601, "Protocol": "http2"},
        {"Path": "/again", "LocalPathPort": 8081, "ListenerPort": 21602, "Protocol": "http2"}]}}),
    "an address of its own": web(Address="127.0.0.11", proxy={"LocalServiceAddress": "127.0.0.12"}),
    "gateway: names behind it": world("tg1", [
        service("two", 443, Address="a.example.org", ID="two1", Check=ttl("critical")[0]), service("two", 444, Address="b.example.org", ID="two2"),
        service("two", 445, Address="10.0.0.1", ID="two3"), service("bad", 443, Address="c.example.org", Check=ttl("critical")[0]),
        service("ip", 443, Address="10.0.0.2", ID="ip1", Meta={"v": "1"}), service("plain", 80),
        {"Kind": "terminating-gateway", "Name": "tg", "ID": "tg1", "Port": 8443, "Address": "127.0.0.20",
         "Proxy": {"Config": {"envoy_dns_discovery_type": "STRICT_DNS", "connect_timeout_ms": "3000"}}}],
        [{"Kind": "terminating-gateway", "Name": "tg", "Services": [{"Name": "two", "CAFile": "/ca"}, {"Name": "bad"}, {"Name": "ip", "CAFile": "/c", "CertFile": "/d", "KeyFile": "/e"}]},
         defaults("ip", "http"), {"Kind": "service-resolver", "Name": "ip", "Subsets": {"none": {"Filter": "Service.Meta.v == 9"}, "one": {"Filter": "Service.Meta.v == 1"}}}]),
    "gateway: where it listens": world("mg1", [DB, {
        "Kind": "mesh-gateway", "Name": "mg", "ID": "mg1", "Port": 8443, "TaggedAddresses": {"lan": {"Address": "127.0.0.21", "Port": 1}, "wan": {"Address": "127.0.0.22", "Port": 2}},
        "Proxy": {"Config": {"envoy_mesh_gateway_no_default_bind": "true", "envoy_mesh_gateway_bind_tagged_addresses": True,
                             "envoy_mesh_gateway_bind_addresses": {"x": {"Address": "127.0.0.21", "Port": 3}, "y": {"address": "127.0.0.23", "port": "4"}}}}}]),
    "gateway: nothing behind it": world("tg1", [{"Kind": "terminating-gateway", "Name": "tg", "ID": "tg1", "Port": 8443}]),
    "gateway: no listeners": world("ig1", [{"Kind": "ingress-gateway", "Name": "ig", "ID": "ig1", "Port": 8443, "Address": "127.0.0.25"}],
                                   [{"Kind": "ingress-gateway", "Name": "ig", "Listeners": []}]),
    "gateway: chains behind it": world("ig1", [DB, service("api", 80, {"Port": 26001, "Checks": ttl()}), service("v2", 81, {"Port": 26002, "Checks": ttl("warning")}),
                                               {"Kind": "ingress-gateway", "Name": "ig", "ID": "ig1", "Port": 8443, "Address": "127.0.0.25",
                                                "Proxy": {"Config": {"connect_timeout_ms": 1234, "protocol": "x"}}}],
                                       [defaults("api", "http"), defaults("v2", "http"), {"Kind": "service-resolver", "Name": "db", "ConnectTimeout": "9s"},
                                        {"Kind": "service-router", "Name": "api", "Routes": [{"Match": {"HTTP": {"PathPrefix": "/2"}}, "Destination": {"Service": "v2"}}]},
                                        {"Kind": "ingress-gateway", "Name": "ig", "Listeners": [
                                            {"Port": 8080, "Protocol": "http", "Services": [{"Name": "api", "Hosts": ["x.com", "*.y.com:99"]}, {"Name": "v2"}]},
                                            {"Port": 8081, "Protocol": "tcp", "Services": [{"Name": "db"}]}]}]),
}
