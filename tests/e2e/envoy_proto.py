"""Envoy's messages (connect.md 6.8) out of their bytes, as the vectors show them: dictionaries by the names of the .proto, enums by name,
durations as text. Written by the specification and not by our tables. What is unknown fails: nothing is overlooked."""

import struct

MESSAGES = """
DiscoveryResponse version_info 1 s, resources 2* Any, type_url 4 s, nonce 5 s
Cluster name 1 s, type 2 enum(STATIC STRICT_DNS LOGICAL_DNS EDS), eds_cluster_config 3 EdsClusterConfig, connect_timeout 4 duration, hosts 7* Address, circuit_breakers 10 CircuitBreakers, tls_context 11 UpstreamTlsContext, http2_protocol_options 14 Empty, dns_refresh_rate 16 duration, dns_lookup_family 17 enum(AUTO V4_ONLY), outlier_detection 19 OutlierDetection, common_lb_config 27 CommonLbConfig, alt_stat_name 28 s, load_assignment 33 ClusterLoadAssignment
EdsClusterConfig eds_config 1 ConfigSource
ConfigSource ads 3 Empty
CommonLbConfig healthy_panic_threshold 1 Percent
Percent value 1 f64
CircuitBreakers thresholds 1* Thresholds
Thresholds max_connections 2 u32, max_pending_requests 3 u32, max_requests 4 u32
OutlierDetection consecutive_5xx 1 u32, interval 2 duration
ClusterLoadAssignment cluster_name 1 s, endpoints 2* LocalityLbEndpoints, policy 4 Policy
Policy overprovisioning_factor 3 u32
LocalityLbEndpoints lb_endpoints 2* LbEndpoint, priority 5 v
LbEndpoint endpoint 1 Endpoint, health_status 2 enum(UNKNOWN HEALTHY UNHEALTHY), load_balancing_weight 4 u32
Endpoint address 1 Address
Address socket_address 1 SocketAddress
SocketAddress address 2 s, port_value 3 v
CidrRange address_prefix 1 s, prefix_len 2 u32
DataSource filename 1 s, inline_string 3 s
UpstreamTlsContext common_tls_context 1 CommonTlsContext, sni 2 s
DownstreamTlsContext common_tls_context 1 CommonTlsContext, require_client_certificate 2 boolean
CommonTlsContext tls_params 1 Empty, tls_certificates 2* TlsCertificate, validation_context 3 CertificateValidationContext
TlsCertificate certificate_chain 1 DataSource, private_key 2 DataSource
CertificateValidationContext trusted_ca 1 DataSource
Listener name 1 s, address 2 Address, filter_chains 3* FilterChain, listener_filters 9* ListenerFilter
FilterChain filter_chain_match 1 FilterChainMatch, tls_context 2 DownstreamTlsContext, filters 3* Filter
FilterChainMatch source_prefix_ranges 6* CidrRange, server_names 11* s
Filter name 1 s, config 2 Struct, typed_config 4 RawAny
RawAny type_url 1 s, value 2 s
ListenerFilter name 1 s
RouteConfiguration name 1 s, virtual_hosts 2* VirtualHost, validate_clusters 7 boolean
VirtualHost name 1 s, domains 2* s, routes 3* Route
Route match 1 RouteMatch, route 2 RouteAction
RouteMatch prefix 1 s, path 2 s, regex 3 s, headers 6* HeaderMatcher, query_parameters 7* QueryParameterMatcher, safe_regex 10 RegexMatcher
RouteAction cluster 1 s, weighted_clusters 3 WeightedCluster, prefix_rewrite 5 s, timeout 8 duration, retry_policy 9 RetryPolicy
WeightedCluster clusters 1* ClusterWeight, total_weight 3 u32
ClusterWeight name 1 s, weight 2 u32
RetryPolicy retry_on 1 s, num_retries 2 u32, retriable_status_codes 7 packed
HeaderMatcher name 1 s, exact_match 4 s, regex_match 5 s, present_match 7 b, invert_match 8 b, prefix_match 9 s, suffix_match 10 s, safe_regex_match 11 RegexMatcher
QueryParameterMatcher name 1 s, value 3 s, regex 4 boolean, string_match 5 StringMatcher, present_match 6 b
RegexMatcher google_re2 1 Empty, regex 2 s
StringMatcher exact 1 s, safe_regex 5 RegexMatcher
Empty
CheckResponse status 1 Status
Status code 1 v, message 2 s
"""


def _table():
    table = {}
    for line in MESSAGES.strip().splitlines():
        name, _, rest = line.partition(" ")
        table[name] = {}
        for field in filter(None, rest.split(", ")):
            key, number, kind = field.split(" ", 2)
            table[name][int(number.rstrip("*"))] = (key, kind, number.endswith("*"))
    return table


TABLE = _table()
URL = "type.googleapis.com/envoy.api.v2."


def varint(data, at):
    n = shift = 0
    while True:
        n |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return n, at


def fields(data):
    """(number, wire type, value), in their order."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            value, at = data[at:at + 8], at + 8
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size
        else:
            raise ValueError("wire type %d" % (key & 7))
        yield key >> 3, key & 7, value


def scalar(data, number=1, default=0):
    return next((v for n, _, v in fields(data) if n == number), default)


def duration(data):
    seconds, nanoseconds = scalar(data, 1), scalar(data, 2)
    return "%d%ss" % (seconds, ("." + ("%09d" % nanoseconds).rstrip("0")) if nanoseconds else "")


def value(data):
    """google.protobuf.Value."""
    (number, _, content), = fields(data)
    if number == 1:
        return None
    if number == 2:
        return struct.unpack("<d", content)[0]
    if number == 3:
        return content.decode()
    if number == 4:
        return bool(content)
    if number == 5:
        return struct_of(content)
    assert number == 6
    return [value(v) for _, _, v in fields(content)]


def struct_of(data):
    out = {}
    for number, _, entry in fields(data):
        assert number == 1
        pair = {n: v for n, _, v in fields(entry)}
        out[pair[1].decode()] = value(pair[2])
    return out


def any_of(data):
    pair = {n: v for n, _, v in fields(data)}
    url = pair[1].decode()
    assert url.startswith(URL)
    return decode(url[len(URL):], pair.get(2, b""))


def one(kind, raw):
    if kind == "s":
        return raw.decode()
    if kind == "v":
        return raw
    if kind == "b":
        return bool(raw)
    if kind == "u32":
        return scalar(raw)
    if kind == "boolean":
        return bool(scalar(raw))
    if kind == "f64":
        return struct.unpack("<d", raw)[0]
    if kind == "duration":
        return duration(raw)
    if kind == "Struct":
        return struct_of(raw)
    if kind == "Any":
        return any_of(raw)
    if kind == "packed":
        out, at = [], 0
        while at < len(raw):
            n, at = varint(raw, at)
            out.append(n)
        return out
    if kind.startswith("enum"):
        return kind[5:-1].split()[raw]
    return decode(kind, raw)


def decode(name, data):
    out = {}
    for number, _, raw in fields(data):
        assert number in TABLE[name], "%s has a field %d: %r" % (name, number, raw)
        key, kind, many = TABLE[name][number]
        if many:
            out.setdefault(key, []).append(one(kind, raw))
        else:
            assert key not in out or name == "RetryPolicy", "%s.%s twice" % (name, key)
            out[key] = one(kind, raw)
    return out


# ---- out ----

def put(number, content):
    """A field: an integer, text, bytes, or nothing at all for None."""
    if content is None:
        return b""
    if isinstance(content, int):
        return number_bytes(number << 3) + number_bytes(content)
    content = content.encode() if isinstance(content, str) else content
    return number_bytes(number << 3 | 2) + number_bytes(len(content)) + content


def number_bytes(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def version(text):
    major, minor, patch = (int(n) for n in text.split("."))
    return put(1, put(1, major) + put(2, minor) + put(3, patch))


def node(name, envoy="1.14.4", cluster="test"):
    """envoy: its version, None: it does not say; beginning with a letter or "/": as build_version."""
    out = put(1, name) + put(2, cluster)
    if envoy is None:
        return out
    return out + put(6, "envoy") + put(8, version(envoy)) if envoy[0].isdigit() else out + put(5, envoy)


def discovery_request(kind=None, of=None, nonce=None, url=None, names=(), seen=None):
    url = URL + kind if url is None and kind else url
    return (put(1, seen) + put(2, of) + b"".join(put(3, n) for n in names) + put(4, url) + put(5, nonce))


def check_request(source=None, destination=None, attributes=True):
    def peer(principal):
        return None if principal is None else put(4, principal)
    return put(1, put(1, peer(source)) + put(2, peer(destination))) if attributes else b""
