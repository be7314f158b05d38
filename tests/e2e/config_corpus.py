"""Good and bad configuration files for test_validate.py: what `validate` says of each must be what the peer says. A case is
the text of one file behind a base file (BASE), or a dictionary of files that stand alone. Neither has a word about what is
right: the peer, run beside, is."""

import json

BASE = '{"data_dir": "/nonexistent", "node_name": "n", "bind_addr": "127.0.0.1"}'

# The syntax of HCL: tokens, grammar, errors and their places.
HCL = r'''
datacenter = "x"
= 5
}
5 = 1
true = 1
[
a,,
a
"a"
datacenter "x"
ports { http }
a b = 5
datacenter = foo
datacenter = +5
datacenter = -
datacenter = -a
datacenter = .
ports { http = 1
ports { http = 1 } }
retry_join = ["a" "b"]
retry_join = ["a",]
retry_join = [,"a"]
retry_join = ["a",,"b"]
retry_join = [foo]
retry_join = [["a"] ["b"]]
retry_join = [{a=1} {b=2}]
retry_join = [{a=}]
retry_join = [[foo]]
retry_join = ["a"
retry_join = [
{{
{ datacenter = "a" }
datacenter =
ports { http = }
ports { http = }}
datacenter = "a", node_name = "b"
datacenter = "a" node_name = "b"
datacenter = "a"; node_name = "b"
datacenter : "a"
datacenter = 'a'
datacenter = "a
datacenter = "a\q"
datacenter = "a\'"
datacenter = "\u0041\x42\103\U00000044"
datacenter = "\u00"
datacenter = "\x4"
datacenter = "\10"
datacenter = "\400"
datacenter = "\ud800"
datacenter = "\U00110000"
node_name = "tab\there"
node_name = "${foo "bar" {x} \n}"
node_name = "${foo"
node_name = "${a${b}}"
node_name = "a$b$$c"
# only a comment
// only a comment
/* only a comment */
/* not ended
/* a /* b */ c = 1 */
/x
/
#
datacenter = "a" # after
datacenter = "a" // after
datacenter /* between */ = /* and */ "a"
ports { http = 010 }
ports { http = 08 }
ports { http = 0x1F }
ports { http = 0xZZ }
ports { http = 0x }
ports { http = 1_000 }
ports { http = +5 }
ports { http = -5 }
ports { http = -0x3 }
ports { http = 99999999999999999999 }
ports { http = 8500.9 }
ports { http = 1e3 }
ports { http = 1e }
ports { http = 1e+ }
ports { http = 1.5E-3 }
ports { http = .5 }
ports { http = 1. }
ports { http = 1.2.3 }
ports { http = 1ee3 }
ports { http = 1e999 }
limits { rpc_rate = 1.0e2 }
limits { rpc_rate = -1.5 }
a.b = 1
a-b = 1
_a = 1
é = 1
日本 = 1
a1 = 1
1a = 1
"data center" = 1
"datacenter" = "x"
"data\x63enter" = "x"
"datacenter" "x" = 1
DATACENTER = "x"
Datacenter = "x"
DataCenter = "x" datacenter = "y"
data_center = "x"
service "web" { port = 80 }
service "a" "b" { port = 80 }
service "web" { port = 80 } service { name = "y" }
service { name = "y" } service "web" { port = 80 }
ports "http" = 5
node_meta { a = "b" } node_meta { c = "d" }
ports { http = 1 } ports { dns = 2 }
ports = { http = 1 }
service { name = "a" } service { name = "b" }
services { name = "a" } services { name = "b" }
services = [{ name = "a" }, { name = "b" }] services { name = "c" }
services = { name = "a" }
recursors = ["1.1.1.1"] recursors = ["8.8.8.8"]
recursors = "1.1.1.1"
recursors = "1.1.1.1" recursors = ["8.8.8.8"]
recursors = ["1.1.1.1"] recursors = "8.8.8.8"
datacenter = "a" datacenter = 5
datacenter = 5 datacenter = "a"
datacenter = 5 datacenter = "6"
datacenter = "a" datacenter = true
datacenter = "a" datacenter = 1.5
datacenter = "a" datacenter { }
datacenter = 1.5 datacenter = "a"
datacenter = 1.5 datacenter = 2
server = true server = "x"
server = true server = false
server = true server = 5
datacenter = ["a"]
datacenter = [["a"]]
datacenter = [[["a"]]]
datacenter = ["a", "b"]
datacenter = []
datacenter = { }
ports = [{ http = 1 }]
ports = [[{ http = 1 }]]
ports = [{ http = 1 }, { dns = 2 }]
ports = 5
ports = "x"
ports = []
server = "true"
server = 1
server = [[true]]
node_meta { a = 1 }
node_meta { a = ["b"] }
node_meta { a = [["b"]] }
node_meta { a = { b = "c" } }
recursors = [["1.1.1.1"], ["8.8.8.8"]]
recursors = [[["1.1.1.1"]]]
recursors = [1, 2]
recursors = { a = 1 }
limits { kv_max_value_size = -1 }
limits { kv_max_value_size = -1.5 }
limits { kv_max_value_size = 1.5 }
autopilot { min_quorum = -1 }
dns_config { soa { retry = -1 } }
dns_config { soa { retry = 99999999999 } }
dns_config { soa { retry = 1 } soa { expire = 2 } }
foo = 1
foo = 1 bar = 2
foo { bar = 1 }
dns_config { foo = 1 bar = 2 }
service { name = "a" bogus = 1 check { bogus = 2 } }
acl { tokens { zork = 1 } }
acl_enforce_version_8 = true
acl { acl_enforce_version_8 = true }
ui_config { enabled = true }
use_streaming_backend = true
rpc { enable_streaming = true }
statsd_addr = "x"
service { name = "a" check { script = "x" } }
service { name = "a" namespace = "x" }
service { Name = "web" PORT = 80 }
service { name = "a" EnableTagOverride = true }
service { name = "a" enableTagOverride = true }
check { name = "c" ScriptArgs = ["a"] DockerContainerID = "x" ServiceID = "y" TLSSkipVerify = true interval = "1s" }
check { name = "c" scriptargs = ["a"] args = ["b"] interval = "1s" }
check { name = "c" DeregisterCriticalServiceAfter = "x" ttl = "1s" }
check { name = "c" Interval = "x" }
advertise_addr_wan_ipv6 = "::1"
advertise_addr_ipv6 = 5
{
{}
{ "datacenter": "a" }
{ "datacenter": "a" } garbage
{ "datacenter": "a", }
{ "datacenter": "a"
{ "datacenter": "a" "node_name": "b" }
{ "datacenter": null }
{ "ports": null }
{ "datacenter": 5 }
{ "ports": { "http": 8500.5 } }
{ "ports": { "http": "x" } }
{ // comment
{ "datacenter": "\u0041\"x${a \"b\"}" }
{ "services": { "name": "x" } }
{ "service": { "name": "x", "tagged_addresses": { "lan": { "address": "1.2.3.4" } } } }
{ "foo": 1, "bar": { "baz": 1 } }
{ "recursors": ["1.1.1.1" "8.8.8.8"] }
{ "server": tru }
{ server = true }
{ "a" = 1 }
{ "ports": { "http": 1 }, "ports": { "dns": 2 } }
{ "datacenter": "a\qb" }
{ "ports": { "http": 1e3 } }
{ "ports": { "http": -5 } }
{ "ports": { "http": 010 } }
'''.strip("\n").split("\n")

HCL_BYTES = [
    b"", b" ", b"\n", b"\r\n", b"\xef\xbb\xbfdatacenter = \"x\"", b"datacenter = \"\xff\"", b"\xff", b"a\x00b = 1", b"datacenter = \"a\x00\"",
    "\ue123 = 1".encode(), "datacenter = \"\ue123\"".encode(), b"datacenter = \"a\r\nb\"", b"datacenter = \"x\"\r\nnode_name = \"y\"\r\n",
    b"datacenter = \"a\nb\"\n", b"datacenter = \"${a\nb}\"", b"datacenter\n=\n\"x\"\n", b"\tdatacenter\t=\t\"x\"\t",
    b"datacenter = <<EOF\nx\nEOF\n", b"datacenter = <<EOF\nx\nEOF", b"node_name = <<EOF\nx\n  EOF\n", b"node_name = <<EOF\nEOF\n",
    b"node_name = <<-EOF\n  x\n  EOF\n", b"node_name = <<-EOF\nx\nEOF\n", b"node_name = <<-EOF\n  x\n y\n  EOF\n", b"node_name = <<-EOF\n\tx\n\tEOF\n",
    b"node_name = <EOF\nx\nEOF\n", b"node_name = <<\nx\n\n", b"node_name = <<A B\nx\nA B\n", b"node_name = <<EOF \nx\nEOF\n", b"node_name = <<EOF\nEOFX\nEOF\n",
    b"node_name = <<EOF\r\nx\r\nEOF\r\n", b"node_meta { a = <<E\nx\nE\n b = \"c\" }", b"datacenter = \"x\" # \xff", b"/* \xff */ datacenter = \"x\"",
    b"\n\n  datacenter = \n  foo\n", "node_name = \"é\" datacenter = foo".encode(), "é é é = foo".encode(),
    b"a = [\n1,\n2\n}\n", b"a {\n b {\n c = ]\n}\n}\n", b"d = \"abc\nx\"\n", b"a = \"\\q\" b = \"\\z\"\n", b"a { \"b", b"#\xe2\x80\xa8", b"\x0c", b"\x0b = 1",
    b"[" * 40, b"a = " + b"[" * 40 + b"]" * 40, b"a {" * 40 + b"}" * 40,
]

# JSON files are strict JSON.
JSON = r'''
{"config_entries": {"bootstrap": {"kind": "zork"}}}
{"config_entries": {"bootstrap": [[{"kind": "service-defaults", "name": "x"}], [], null]}}
{"config_entries": {"bootstrap": [null]}}
{"config_entries": {"bootstrap": [{"Kind": "service-defaults", "kind": "x", "Name": "y"}]}}
{"config_entries": {"bootstrap": [{"kind": "service-defaults", "name": "x", "bogus": 1}, {"kind": "zork"}]}}
{"config_entries": {"bootstrap": [{"kind": "service-router", "name": "x", "routes": [{"match": {"http": {"methods": ["get", "GET"]}}}]}]}}
{}
null
[]
5
"x"
true
{
{"datacenter": "x"} x
{"datacenter": "x",}
{"datacenter" "x"}
{datacenter: "x"}
{'datacenter': 'x'}
{"datacenter": 'x'}
{"datacenter": "x" "a": 1}
{// comment
{"datacenter": "x"} // comment
{"datacenter": "a\qb"}
{"datacenter": "\u00"}
{"datacenter": "\ud800"}
{"datacenter": 5}
{"datacenter": null}
{"datacenter": [null]}
{"datacenter": ["x"]}
{"datacenter": "x", "datacenter": "y"}
{"DATACENTER": "x"}
{"ports": {"http": 8500.9}}
{"ports": {"http": 1e3}}
{"ports": {"http": 1e400}}
{"ports": {"http": 01}}
{"ports": {"http": +1}}
{"ports": {"http": .5}}
{"ports": {"http": 1.}}
{"ports": {"http": -}}
{"ports": {"http": "8500"}}
{"ports": {"http": [[1]]}}
{"ports": {"http": [[[1]]]}}
{"ports": [{"http": 1}]}
{"ports": [{"http": 1}, {"dns": 2}]}
{"ports": null}
{"ports": []}
{"ports": [[{"http": 1}]]}
{"services": {"name": "x"}}
{"services": [{"name": "x"}, {"name": "y"}]}
{"service": [{"name": "x"}]}
{"service": {"name": "x", "tagged_addresses": {"lan": {"address": "1.2.3.4"}, "wan": {"address": "1.2.3.5", "port": 2}}}}
{"service": {"name": "x", "check": {"http": "http://x", "interval": "5s", "header": {"a": ["b"], "c": "d"}}}}
{"service": {"name": "x", "check": {"header": {"c": 5}}}}
{"service": {"name": "x", "meta": {"a": 5}}}
{"node_meta": {"a": null}}
{"recursors": [null]}
{"recursors": null}
{"recursors": "1.1.1.1"}
{"recursors": {"a": 1}}
{"recursors": [["1.1.1.1", "8.8.8.8"]]}
{"limits": {"kv_max_value_size": -1}}
{"limits": {"kv_max_value_size": "1"}}
{"limits": {"rpc_rate": "x"}}
{"foo": 1, "bar": {"x": 1}}
{"watches": [{"type": "key", "key": "a", "args": ["/bin/x"], "five": {"a": ["x"]}}]}
{"watches": {"type": "key"}}
{"watches": "x"}
{"snapshot_agent": {"a": {"b": [1]}}}
{"snapshot_agent": "x"}
{"connect": {"ca_config": {"a": 1}}}
{"server": tru}
{"server": true
{"server": true]
{"a": "
nul
tru
-
'''.strip("\n").split("\n")

JSON_BYTES = [
    b"", b" ", b"\xef\xbb\xbf{}", b"{\"datacenter\": \"a\nb\"}", b"{\"datacenter\": \"\xff\"}", b"{\"datacenter\": \"\x01\"}", b"\xff", b"{\"a\x00\": 1}",
    b"\r\n{}\r\n", b"\x0c{}", b"[" * 200, b"{\"a\":" * 50 + b"1" + b"}" * 50,
]

# What is checked of the values, one key after the other and in combination.
VALUES = r'''
datacenter = ""
datacenter = "a b"
datacenter = "DC-1_x"
datacenter = "é"
primary_datacenter = "a b"
acl_datacenter = "a b"
acl_datacenter = "x"
acl_datacenter = ""
data_dir = ""
data_dir = "/etc/passwd"
data_dir = "/etc/passwd/x"
node_name = ""
node_name = "   "
node_name = " a "
node_name = "a b"
node_name = "a.b"
node_name = "a\\b"
node_name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
node_id = "not-a-uuid"
node_meta { "" = "x" }
node_meta { "a b" = "x" }
node_meta { "consul-x" = "x" }
node_meta { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" = "x" }
ui_content_path = "/a b/"
ui_content_path = "v1"
ui_content_path = "/v1/"
ui_content_path = "/v1a/"
ui_content_path = "/a/v1/"
ui_content_path = ""
ui_content_path = "/"
ui = true ui_dir = "/x"
ui_dir = "/nonexistent"
server = false bootstrap = true
server = true bootstrap = true
server = true bootstrap_expect = 1
server = true bootstrap_expect = 2
server = true bootstrap_expect = 3
server = true bootstrap_expect = 4
server = true bootstrap_expect = -1
server = true bootstrap_expect = 1e30
server = true autopilot { max_trailing_logs = 1e19 }
ports { http = 1e19 }
ports { http = 1e12 }
data_dir = "/etc/passwd" recursors = ["0.0.0.0"]
recursors = ["::", "unix:///x"]
bootstrap_expect = -1
bootstrap_expect = 1
bootstrap_expect = 3
server = true bootstrap = true bootstrap_expect = 3
server = true bootstrap = true bootstrap_expect = 1
check_output_max_size = 0
check_output_max_size = -1
autopilot { max_trailing_logs = -1 }
dns_config { udp_answer_limit = -1 }
dns_config { a_record_limit = -1 }
performance { raft_multiplier = 0 }
performance { raft_multiplier = 11 }
performance { raft_multiplier = -1 }
performance { raft_multiplier = 10 }
encrypt = "short"
encrypt = "c2hvcnQ="
encrypt = "c2hvcnQ"
encrypt = "c2hv cnQ="
encrypt = "!!"
alt_domain = "service.x"
alt_domain = "DC.x"
alt_domain = "dc.x"
alt_domain = "query."
alt_domain = "queryx"
alt_domain = "a.service.x"
alt_domain = "addr"
domain = ""
segment = "x"
segment = ""
segments = []
segments = [{ name = "x" port = 1 }]
segments = [{ name = "x" port = 0 }]
segments = [{ name = "x" port = 1 bind = "zork" }]
ports { http = 100000 }
ports { http = -100 }
ports { http = 65536 dns = 65536 }
ports { http = 9 dns = 9 }
ports { http = 9 https = 9 }
ports { https = 8300 }
ports { https = 8301 }
ports { https = 8302 }
ports { grpc = 8500 }
ports { server = 8301 }
ports { serf_lan = 8302 }
ports { serf_lan = 8301 serf_wan = 8301 }
ports { proxy_min_port = 20300 }
ports { proxy_min_port = 0 proxy_max_port = 0 }
ports { proxy_min_port = 20255 }
ports { sidecar_min_port = 30000 }
ports { expose_max_port = 1 }
ports { proxy_min_port = 20300 http = 100000 }
bind_addr = ""
bind_addr = "zork"
bind_addr = "1.2.3.4 5.6.7.8"
bind_addr = "unix:///x"
bind_addr = "{{ zork }}"
bind_addr = "[::1]"
bind_addr = "::1"
bind_addr = "127.0.0.1:80"
bind_addr = " 127.0.0.1 "
advertise_addr = "0.0.0.0"
advertise_addr = "::"
advertise_addr = "[::]"
advertise_addr = "zork"
advertise_addr = "1.2.3.4 5.6.7.8"
advertise_addr = "unix:///x"
advertise_addr = "{{ zork }}"
advertise_addr_wan = "0.0.0.0"
advertise_addr_wan = "zork"
advertise_addr_wan = "1.1.1.1 2.2.2.2"
advertise_addr_ipv4 = "::1"
advertise_addr_ipv4 = "1.2.3.4"
advertise_addr_ipv4 = "zork"
advertise_addr_ipv6 = "1.2.3.4"
advertise_addr_ipv6 = "::1"
advertise_addr_wan_ipv4 = "::1"
advertise_addr_wan_ipv4 = "0.0.0.0"
serf_lan = "zork"
serf_lan = "1.1.1.1 2.2.2.2"
serf_lan = "unix:///x"
serf_wan = "zork"
client_addr = "zork"
client_addr = "127.0.0.1 zork"
client_addr = "127.0.0.1 127.0.0.2"
client_addr = "127.0.0.1 127.0.0.1"
client_addr = "unix:///x"
client_addr = ""
client_addr = "localhost"
client_addr = "{{ foo }}"
addresses { http = "zork" }
addresses { dns = "unix:///x" }
addresses { http = "unix:///x" }
addresses { http = "unix:///x unix:///x" }
addresses { http = "unix:///x" https = "unix:///x" } ports { https = 1 }
addresses { http = "127.0.0.1 unix:///x" }
addresses { dns = "127.0.0.1" http = "127.0.0.2" } ports { dns = 8500 }
addresses { https = "zork" }
addresses { https = "zork" } ports { https = 1 }
addresses { grpc = "zork" } ports { grpc = 1 }
recursors = ["0.0.0.0"]
recursors = ["::"]
recursors = ["unix:///x"]
recursors = ["{{ foo }}"]
recursors = ["nonsense:x:y"]
recursors = ["1.1.1.1:54", "[::1]:53", "1.1.1.1", "1.1.1.1"]
recursors = [""]
serf_lan_allowed_cidrs = ["x"]
serf_lan_allowed_cidrs = ["x", "10.0.0.0/8", "y"]
serf_lan_allowed_cidrs = [" 10.0.0.0/8 "]
serf_wan_allowed_cidrs = ["1.2.3.4"]
serf_lan_allowed_cidrs = ["10.0.0.1/33"]
serf_lan_allowed_cidrs = ["::/0"]
http_config { allow_write_http_from = ["x"] }
http_config { allow_write_http_from = [" 10.0.0.0/8 "] }
http_config { allow_write_http_from = ["x", "y"] }
http_config { block_endpoints = ["x"] }
cache { entry_fetch_rate = 0 }
cache { entry_fetch_rate = -1.5 }
cache { entry_fetch_max_burst = 0 }
cache { entry_fetch_max_burst = -2 entry_fetch_rate = 0 }
limits { http_max_conns_per_client = 1000000000 }
limits { http_max_conns_per_client = 0 }
telemetry { prefix_filter = ["nosign", "", "+ok", "-no"] }
telemetry { prometheus_retention_time = "x" }
tls_min_version = "tls9"
tls_cipher_suites = "foo"
tls_cipher_suites = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
tls_cipher_suites = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,foo"
tls_cipher_suites = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
tls_cipher_suites = "TLS_RSA_WITH_AES_128_GCM_SHA256"
tls_cipher_suites = ","
verify_incoming = true
acl { default_policy = "maybe" }
acl { down_policy = "maybe" }
acl { enabled = true token_ttl = "x" }
acl { policy_ttl = "x" role_ttl = "y" }
acl_ttl = "x"
acl_ttl = "x" acl { token_ttl = "1s" }
acl { disabled_ttl = "x" }
log_level = "zork"
session_ttl_min = "x"
session_ttl_min = ""
session_ttl_min = "5"
session_ttl_min = "1d"
session_ttl_min = "-5s"
session_ttl_min = "1h2m3s4ms5us6ns"
session_ttl_min = "1.5h"
session_ttl_min = ".5s"
session_ttl_min = "s"
session_ttl_min = "0"
session_ttl_min = "+5s"
session_ttl_min = "5µs"
session_ttl_min = "9999999h"
session_ttl_min = " 5s"
check_update_interval = "x" session_ttl_min = "y"
retry_interval = "x"
retry_interval_wan = "x"
reconnect_timeout = "x"
reconnect_timeout_wan = "x"
ae_interval = "x"
discovery_max_stale = "x"
default_query_time = "x"
max_query_time = "x"
log_rotate_duration = "x"
raft_snapshot_interval = "x"
primary_gateways_interval = "x"
check_reap_interval = "x"
check_deregister_interval_min = "x"
sync_coordinate_interval_min = "x"
gossip_lan { gossip_interval = "x" }
gossip_lan { probe_interval = "x" probe_timeout = "y" }
gossip_wan { gossip_interval = "x" }
gossip_wan { probe_timeout = "x" }
autopilot { last_contact_threshold = "x" }
autopilot { server_stabilization_time = "x" }
performance { leave_drain_time = "x" }
performance { rpc_hold_timeout = "x" }
limits { https_handshake_timeout = "x" }
limits { rpc_handshake_timeout = "x" }
dns_config { max_stale = "x" }
dns_config { node_ttl = "x" }
dns_config { cache_max_age = "x" }
dns_config { recursor_timeout = "x" }
dns_config { service_ttl { web = "x" } }
dns_config { service_ttl { web = "1s" "*" = "2s" } }
consul { raft { election_timeout = "x" } }
consul { server { health_interval = "x" } }
consul { coordinate { update_period = "x" } }
connect { test_ca_leaf_root_change_spread = "x" }
session_ttl_min = "x" client_addr = "zork"
session_ttl_min = "x" ports { http = 100000 }
client_addr = "zork" ports { http = 100000 }
client_addr = "zork" serf_lan = "foo" advertise_addr = "bar"
client_addr = "zork" http_config { allow_write_http_from = ["x"] }
tls_cipher_suites = "foo" http_config { allow_write_http_from = ["x"] }
tls_cipher_suites = "foo" session_ttl_min = "x"
dns_config { service_ttl { web = "x" } } session_ttl_min = "y"
dns_config { service_ttl { web = "x" } } client_addr = "zork"
service { name = "a" check { ttl = "x" } } client_addr = "zork"
service { name = "a" check { ttl = "x" } } session_ttl_min = "y"
check { name = "c" ttl = "x" }
check { id = "c" ttl = "x" interval = "y" timeout = "z" }
check { name = "c" deregister_critical_service_after = "x" }
checks = [{ id = "a" ttl = "x" }, { id = "b" ttl = "y" }]
check { name = "c" }
check { }
service { }
service { name = "" }
service { name = "a b" }
service { name = "a" port = 100000 }
service { name = "a" port = -1 }
service { name = "a" kind = "zork" }
service { name = "a" id = "x" } service { name = "b" id = "x" }
service { name = "a" meta { "a b" = "c" } }
service { name = "a" meta { "consul-x" = "c" } }
service { name = "a" kind = "mesh-gateway" port = 1 meta { "consul-wan-federation" = "c" } }
service { name = "a" kind = "mesh-gateway" port = 1 meta { "consul-x" = "c" } }
service { name = "a" weights { passing = 0 } }
service { name = "a" weights { passing = -1 warning = -1 } }
service { name = "a" weights { warning = -1 } }
service { name = "a" weights { passing = 70000 } }
service { name = "a" weights { passing = 1 warning = 70000 } }
service { name = "a" weights { } }
service { name = "a" weights { warning = 3 } }
service { name = "a" tagged_addresses { lan_ipv4 { address = "::1" } } }
service { name = "a" tagged_addresses { x { address = "::1" port = "y" } } }
service { name = "a" kind = "connect-proxy" }
service { name = "a" kind = "connect-proxy" port = 1 }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "*" } }
service { name = "a" kind = "connect-proxy" proxy { destination_service_name = "b" } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" } connect { native = true } }
service { name = "a" proxy { destination_service_name = "b" } }
service { name = "a" connect { native = true sidecar_service { } } }
service { name = "a" connect { sidecar_service { } } }
service { name = "a" port = 1 connect { sidecar_service { id = "x" } } }
service { name = "a" connect { sidecar_service { connect { sidecar_service { } } } } }
service { name = "a" connect { sidecar_service { id = "x" weights { passing = 0 } } } }
service { name = "a" connect { sidecar_service { id = "x" name = "s" meta { "b c" = "d" } connect { sidecar_service { id = "y" } } } } }
service { name = "a" connect { sidecar_service { meta { "b c" = "d" } connect { sidecar_service { name = "n" weights { passing = 0 } } } } } }
service { name = "a" proxy { mesh_gateway { mode = "x" } } connect { sidecar_service { proxy { mesh_gateway { mode = "y" } } connect { sidecar_service { id = "i" proxy { mesh_gateway { mode = "z" } } } } } } }
service { name = "a" proxy { mesh_gateway { mode = "x" } upstreams = [{ mesh_gateway { mode = "y" } }] } }
service { name = "a" connect { sidecar_service { proxy { upstreams = [{ destination_name = "x" }] } } } }
service { name = "a" connect { sidecar_service { check { ttl = "x" } } } }
service { name = "a" connect { sidecar_service { proxy { mesh_gateway { mode = "x" } } } } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" upstreams = [{ }] } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" upstreams = [{ destination_name = "x" local_bind_port = 1 }, { destination_name = "y" local_bind_port = 1 }] } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" upstreams = [{ destination_name = "x" local_bind_port = 1 }, { destination_name = "x" local_bind_port = 2 }] } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" upstreams = [{ destination_name = "x" }] } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" upstreams = [{ destination_type = "zork" destination_name = "x" local_bind_port = 1 }] } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" upstreams = [{ destination_name = "*" local_bind_port = 1 }] } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" mesh_gateway { mode = "zork" } } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" expose { paths = [{ }] } } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" expose { paths = [{ path = "/x" listener_port = 0 }] } } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" expose { paths = [{ path = "/x" listener_port = 1 }, { path = "/x" listener_port = 2 }] } } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" expose { paths = [{ path = "/x" listener_port = 1 }, { path = "/y" listener_port = 1 }] } } }
service { name = "a" kind = "connect-proxy" port = 1 proxy { destination_service_name = "b" expose { paths = [{ path = "/x" listener_port = 70000 }] } } }
service { name = "a" kind = "mesh-gateway" }
service { name = "a" kind = "mesh-gateway" port = 1 connect { sidecar_service { } } }
service { name = "a" kind = "mesh-gateway" port = 1 proxy { destination_service_name = "x" } }
service { name = "a" kind = "mesh-gateway" port = 1 proxy { destination_service_id = "x" local_service_address = "y" local_service_port = 1 upstreams = [{ destination_name = "x" local_bind_port = 1 }] } }
service { name = "a" kind = "terminating-gateway" }
service { name = "a" kind = "ingress-gateway" proxy { destination_service_name = "x" } }
service { name = "a" kind = "mesh-gateway" } service { name = "b" kind = "mesh-gateway" }
services { name = "a" meta { "a b" = "c" } } services { name = "b" meta { "c d" = "e" } }
services { name = "a" weights { passing = 0 } } services { name = "b" meta { "c d" = "e" } }
services { name = "a" connect { sidecar_service { id = "x" } } } services { name = "b" connect { sidecar_service { id = "x" } } }
services { name = "a" connect { sidecar_service { id = "x" } } } services { name = "b" meta { "c d" = "e" } }
watches = [{ type = "zork" }]
watches = [{ type = "key" }]
connect { enable_mesh_gateway_wan_federation = true }
connect { enabled = true enable_mesh_gateway_wan_federation = true }
server = true connect { enabled = true enable_mesh_gateway_wan_federation = true } node_name = "a/b"
server = true connect { enabled = true enable_mesh_gateway_wan_federation = true } start_join_wan = ["x"]
server = true connect { enabled = true enable_mesh_gateway_wan_federation = true } retry_join_wan = ["x"]
server = true connect { enabled = true enable_mesh_gateway_wan_federation = true }
primary_gateways = ["x"]
server = true primary_gateways = ["x"]
server = true primary_gateways = ["x"] primary_datacenter = "y"
connect { ca_provider = "zork" }
connect { ca_provider = "consul" }
connect { ca_provider = "vault" }
connect { ca_provider = "vault" ca_config { token = "x" } }
connect { ca_provider = "vault" ca_config { token = "x" address = "y" root_pki_path = "a" intermediate_pki_path = "b" } }
connect { ca_provider = "aws-pca" }
connect { ca_provider = "consul" ca_config { leaf_cert_ttl = "zz" } }
connect { ca_provider = "consul" ca_config { leaf_cert_ttl = "1m" } }
connect { ca_provider = "consul" ca_config { leaf_cert_ttl = "9000h" } }
connect { ca_provider = "consul" ca_config { intermediate_cert_ttl = "1h" } }
connect { ca_provider = "consul" ca_config { leaf_cert_ttl = "2h" intermediate_cert_ttl = "4h" } }
connect { ca_provider = "consul" ca_config { private_key_type = "x" } }
connect { ca_provider = "consul" ca_config { private_key_type = "ec" private_key_bits = 1 } }
connect { ca_provider = "consul" ca_config { private_key_type = "rsa" private_key_bits = 1 } }
connect { ca_provider = "consul" ca_config { private_key_type = "rsa" private_key_bits = 2048 } }
connect { ca_provider = "consul" ca_config { root_cert = "x" } }
connect { ca_provider = "consul" ca_config { csr_max_per_second = "x" } }
connect { ca_provider = "consul" ca_config { rotation_period = 5 } }
connect { ca_provider = "consul" ca_config { zork = 5 } }
connect { ca_config { leaf_cert_ttl = "zz" } }
auto_encrypt { tls = true }
server = true auto_encrypt { tls = true }
auto_encrypt { allow_tls = true }
server = true auto_encrypt { allow_tls = true }
server = true verify_incoming = true auto_encrypt { allow_tls = true }
server = true verify_incoming_rpc = true auto_encrypt { allow_tls = true }
auto_encrypt { ip_san = ["x", "1.2.3.4"] }
auto_encrypt { tls = true } auto_config { enabled = true }
auto_config { enabled = true }
auto_config { enabled = true } verify_outgoing = true
server = true auto_config { enabled = true } verify_outgoing = true
auto_config { enabled = true intro_token = "x" } verify_outgoing = true
auto_config { enabled = true intro_token = "x" intro_token_file = "y" } verify_outgoing = true
auto_config { enabled = true intro_token = "x" server_addresses = ["a"] } verify_outgoing = true
auto_config { enabled = true intro_token_file = "x" server_addresses = ["a"] } verify_server_hostname = true
auto_config { enabled = true intro_token = "x" intro_token_file = "y" server_addresses = ["a"] ip_sans = ["zork"] } verify_outgoing = true
auto_config { authorization { enabled = true } }
server = true auto_config { authorization { enabled = true } }
server = true cert_file = "x" auto_config { authorization { enabled = true } }
server = true verify_outgoing = true cert_file = "x" key_file = "y" auto_config { authorization { enabled = true } }
server = true cert_file = "x" auto_config { authorization { enabled = true static { jwt_validation_pub_keys = ["x"] } } }
server = true cert_file = "x" auto_config { authorization { enabled = true static { jwks_url = "x" oidc_discovery_url = "y" } } }
server = true cert_file = "x" auto_config { authorization { static { expiration_leeway = "x" } } }
auto_config { authorization { static { expiration_leeway = "x" not_before_leeway = "y" clock_skew_leeway = "z" } } }
enable_script_checks = true
enable_script_checks = true acl { enabled = true }
enable_script_checks = true http_config { allow_write_http_from = ["10.0.0.0/8"] }
enable_local_script_checks = true
audit { enabled = true sink { "x" { type = "file" } } }
audit { sink { x = "y" } }
non_voting_server = true
autopilot { redundancy_zone_tag = "x" upgrade_version_tag = "y" disable_upgrade_migration = true }
acl { msp_disable_bootstrap = true tokens { managed_service_provider = [{ accessor_id = "x" }] } }
dns_config { prefer_namespace = true }
config_entries { bootstrap = [{ kind = "service-defaults" name = "x" protocol = "http" }] }
config_entries { bootstrap { kind = "service-defaults" name = "x" } bootstrap { kind = "zork" } }
config_entries { bootstrap = [{ kind = "service-defaults" name = "x" mesh_gateway = 5 }] }
config_entries { bootstrap = [{ kind = "service-defaults" name = "x" expose { paths { path = "/x" } paths = [{ path = "/y"}] } meta { a = 1 } }] }
config_entries { bootstrap = [{ kind = "service-router" name = "" }] } data_dir = ""
config_entries { bootstrap = [{ kind = "service-router" name = "x" routes { destination { prefix_rewrite = "/x" } } }] }
config_entries { bootstrap = [{ kind = "service-splitter" name = "x" splits = [{ weight = 50 }] }] }
config_entries { bootstrap = [{ kind = "ingress-gateway" name = "x" listeners { port = 1 protocol = "zork" } }] }
config_entries { bootstrap = [{ kind = "terminating-gateway" name = "x" services { name = "a" cert_file = "b" } }] }
config_entries { bootstrap = [{ kind = "service-resolver" name = "x" connect_timeout = "zz" }] }
config_entries { bootstrap = [{ kind = "service-defaults" name = "x" namespace = "y" }] }
config_entries { bootstrap = [{ name = "x" }, { kind = "zork" }] }
config_entries { bootstrap = [{ kind = 5 }] }
config_entries { bootstrap = [5, {}] }
config_entries { bootstrap = [] }
config_entries { bootstrap = "x" }
config_entries { bootstrap = [{ kind = "proxy-defaults" name = "x" config { a { b = [1] } c = [2] d = [{ e = [3] }] } }] }
config_entries { bootstrap = [{ kind = "zork" }] } serf_lan_allowed_cidrs = ["x"]
config_entries { bootstrap = [{ kind = "zork" }] } performance { raft_multiplier = 0 }
unix_sockets { user = "zork" group = "x" mode = "y" }
skip_leave_on_interrupt = true leave_on_terminate = true
disable_remote_exec = false disable_update_check = true disable_coordinates = true
start_join = ["{{ zork }}"]
retry_join = ["{{ zork }}"]
retry_join = ["provider=zork a=b"]
retry_max = -1
raft_protocol = 9
protocol = 9
pid_file = "/nonexistent/x"
log_file = "/nonexistent/x" log_rotate_bytes = -1 log_rotate_max_files = -1
tagged_addresses { lan = "x" foo = "y" }
datacenter = "a\"b\\c"
node_name = "a\"b\tc"
data_dir = "/etc/passwd\"x"
alt_domain = "dc1.x"
alt_domain = "Service.x"
alt_domain = "service"
datacenter = "DC7" alt_domain = "dc7.x"
service { name = "a\"b" kind = "mesh-gateway" }
service { name = "a\"b" meta { "c d" = "e\"f" } }
service { name = "a\"b" weights { passing = 0 } }
connect { ca_provider = "a\"b" }
session_ttl_min = "a\"b"
dns_config { service_ttl { "a\"b" = "x\"y" } }
check { id = "a\"b" ttl = "x\"y" }
telemetry { prefix_filter = ["a\"b"] }
segments = [{ name = "a\"b" }]
node_meta { "a\"b" = "x" }
serf_lan_allowed_cidrs = ["a\"b"]
client_addr = "a\"b"
tls_cipher_suites = "a\"b"
encrypt = "a\"b"
recursors = ["{{ \"a }}"]
client_addr = "{{ \"a\" }}"
advertise_addr = "{{ GetInterfaceIP \"nope\" }}"
client_addr = "{{ GetAllInterfaces | include \"type\" \"ipv4\" | join \"address\" \" \" }} x"
client_addr = "{{ GetPrivateInterfaces | exclude \"type\" \"zork\" }}"
bind_addr = "{{ GetInterfaceIP \"^lo$\" }}"
acl_ttl = "5s" acl_default_policy = "deny" acl_token = "x"
primary_datacenter = "B"
translate_wan_addrs = true
'''.strip("\n").split("\n")

# Many files: merging across them, folders, names, formats. "args" is what `validate` gets; None is a folder's link target.
FILES = [
    {"args": []},
    {"args": ["none.hcl"]},
    {"args": ["a.txt"], "a.txt": "x"},
    {"args": ["-config-format=hcl", "a.txt"], "a.txt": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1"'},
    {"args": ["-config-format=json", "a.hcl"], "a.hcl": 'data_dir = "/nonexistent"'},
    {"args": ["-config-format=hcl", "a.json"], "a.json": '{"data_dir": "/nonexistent", "bind_addr": "127.0.0.1"}'},
    {"args": ["-config-format=toml", "a.json"], "a.json": "{}"},
    {"args": ["-config-format=", "a.json"], "a.json": "{}"},
    {"args": ["-quiet", "a.json", "a.txt"], "a.json": '{"data_dir": "/nonexistent", "bind_addr": "127.0.0.1"}', "a.txt": ""},
    {"args": ["-quiet", "a.json"], "a.json": '{"foo": 1}'},
    {"args": ["a.json", "a.txt"], "a.json": '{"data_dir": "/nonexistent", "bind_addr": "127.0.0.1"}', "a.txt": ""},
    {"args": ["d"], "d/b.hcl": 'datacenter = "b c"', "d/a.json": '{"data_dir": "/nonexistent", "bind_addr": "127.0.0.1"}'},
    {"args": ["d/"], "d/b.hcl": 'foo = 1', "d/a.hcl": 'bar = 1'},
    {"args": ["d"], "d/.hidden.hcl": 'foo = 1', "d/a.hcl": 'bar = 1'},
    {"args": ["d"], "d/sub/a.hcl": 'foo = 1', "d/a.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1"'},
    {"args": ["d"], "d/B.hcl": 'foo = 1', "d/a.hcl": 'bar = 1'},
    {"args": ["d"], "d/a.HCL": 'foo = 1', "d/a.hcl~": 'bar = 1', "d/b.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1"'},
    {"args": ["d", "b.hcl"], "d/a.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1" datacenter = "a b"', "b.hcl": 'datacenter = "ok"'},
    {"args": ["b.hcl", "d"], "d/a.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1" datacenter = "a b"', "b.hcl": 'datacenter = "ok"'},
    {"args": ["d"], "d/x.hcl": ("link", "../t.txt"), "t.txt": "foo = 1"},
    {"args": ["d"], "d/x": ("link", "../t.hcl"), "t.hcl": "foo = 1"},
    {"args": ["d"], "d/x.hcl": ("link", "/nope/nope")},
    {"args": ["d"], "d/x.hcl": ("link", "../e"), "e/a.hcl": "foo = 1", "d/a.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1"'},
    {"args": ["l.hcl"], "l.hcl": ("link", "t.hcl"), "t.hcl": "foo = 1"},
    {"args": ["a.hcl", "b.json"], "a.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1" node_meta { a = "1" }', "b.json": '{"node_meta": {"b c": "2"}}'},
    {"args": ["a.hcl", "b.json"], "a.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1" ports { http = 1 }', "b.json": '{"ports": {"dns": 1}}'},
    {"args": ["a.hcl", "b.json"], "a.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1" datacenter = "a"', "b.json": '{"datacenter": ""}'},
    {"args": ["a.hcl", "b.json"], "a.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1" datacenter = "a"', "b.json": '{"datacenter": null}'},
    {"args": ["a.hcl", "b.hcl"], "a.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1" segments = []', "b.hcl": 'audit { } non_voting_server = true'},
    {"args": ["a.hcl", "b.hcl", "c.txt"], "a.hcl": 'bogus = 1', "b.hcl": '= 5', "c.txt": ""},
    {"args": ["a.hcl", "a.hcl"], "a.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1" service { name = "a" meta { "b c" = "" } }'},
    {"args": ["a.hcl", "-quiet"], "a.hcl": 'data_dir = "/nonexistent" bind_addr = "127.0.0.1"'},
    {"args": ["a.hcl"], "a.hcl": 'data_dir = "d" bind_addr = "127.0.0.1"', "d/x": ""},
    {"args": ["a.hcl"], "a.hcl": 'server = true data_dir = "d" bind_addr = "127.0.0.1"', "d/mdb/x": ""},
    {"args": ["a.hcl"], "a.hcl": 'data_dir = "d" bind_addr = "127.0.0.1"', "d/mdb/x": ""},
]

_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENN79EZ8bKQnFeNa6yvgsE/ZvLrKY
jJV2vAZoF24gL7txRhxrPrrgWlYuZI0DAxYdcwfNS5pN6KVEoyR3fdthXA==
-----END PUBLIC KEY-----
"""


def _static(**static):
    """auto_config's static authorizer with a key of its own."""
    block = dict(jwt_validation_pub_keys=[_KEY], **static)
    config = {"server": True, "cert_file": "x", "auto_config": {"authorization": {"enabled": True, "static": block}}}
    return {"args": ["b.json", "c.json"], "b.json": BASE, "c.json": json.dumps(config)}


FILES += [
    _static(),
    _static(jwks_url="x"),
    _static(jwks_ca_cert="x"),
    _static(jwt_supported_algs=["ES256", "RS256"]),
    _static(jwt_supported_algs=["none"]),
    _static(claim_mappings={"a": "b", "c": "b"}),
    _static(list_claim_mappings={"a": "b", "c": "b"}),
    _static(claim_assertions=["value.x == y"]),
    _static(claim_assertions=["zork"]),
    _static(claim_assertions=["value.x == "]),
    _static(claim_mappings={"a": "x"}, claim_assertions=['value.x == "${node}"']),
    _static(claim_mappings={"a": "x"}, claim_assertions=['value.x == "${zork}"']),
    _static(claim_mappings={"a": "x"}, claim_assertions=['value.x == "${node"']),
    _static(list_claim_mappings={"a": "x"}, claim_assertions=['"a" in list.x', "list.x == a"]),
]
