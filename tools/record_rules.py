"""Records what the peer says of rule texts into tests/vectors/acl/rules.json: of policies (current syntax) and of legacy tokens.

    tools/record_rules.py URL TOKEN     a peer's agent with ACLs, and a management token

Each text is [text, current, legacy]: null where it is accepted, the error's text, or false where the peer's handler dies of it.
"""
import http.client
import json
import pathlib
import random
import sys
import urllib.error
import urllib.request

BLOCKS = ["agent", "event", "key", "node", "query", "service", "session"]
LEVELS = ["read", "list", "write", "deny", "Read", "DENY", "", "bogus", "re\"ad", "é\u0001\n"]

BY_HAND = [
    "", " \n", "# nothing", 'key { policy = "read" }', 'key { "a" "b" { policy="read" } }', 'key "a" "b" { policy="read" }',
    'key "a" "b" "c" { policy="read" }', 'key "a" "policy" { x = "y" }', 'key "a" { policy "x" { } }', 'key "a" { policy "x" { y = 1 } }',
    'key "a" { policy="read" } key "a" { policy="write" }', 'key "a" { policy = "read" policy = "zzz" }',
    'key = [{ "a" = { policy="read" } }]', 'key = [{}]', 'key = []', 'key = ["a"]', 'key = [["a"]]', 'key = ["a", {b = "c"}]',
    'key = { "a" = "read" }', 'key = { a { policy = "write" } }', 'key = { a = [{ policy = "write" }] }', 'key "a" = { policy = "read" }',
    'KEY "a" { POLICY = "Write" }', '"key" "a" { "policy" = "read" }', 'key "a" { policy { x = "y" } }', 'key "a" { policy { } }',
    'acl = "read" acl = "bogus"', 'acl = "bogus" acl = "read"', 'acl "x" { a = "b" }', 'acl "x" { }', 'acl { a = "b" }', 'acl { }', 'acl = {}',
    'acl = 5', 'acl = 1.5', 'acl = true', 'acl = ["read"]', 'acl = []', 'operator = ""', 'keyring = "LIST"', 'operator = "list"', 'acl = "list"',
    'key "" { policy = "read" }', 'key { }', 'key "a" {}', 'key "a" { } key_prefix "b" { }', 'key = "read"', 'key = 5', 'key = true',
    'key "a" { policy = "read" } key_prefix "" { policy = "list" } service "s" { intentions = "write" }',
    'service "s" { policy = "read" intentions = "list" }', 'service "s" { policy = "x" intentions = "x" }', 'service "s" { intentions = 1 policy = true }',
    'service "s" { policy = "read" intentions = ["a"] }', 'key "s" { policy = "read" intentions = ["a"] }',
    'service "s" { policy="read" sentinel { code = "x" } }', 'key "a" { policy = "read" sentinel { code = "x" enforcementlevel = "y" } }',
    'key "a" { sentinel = "x" policy="read"}', 'node_prefix "x" { policy = 5 }', 'node_prefix "x" { policy = 5.5 }', 'node "x" { policy = 0x10 }',
    'key "a" { policy = <<EOF\nread\nEOF\n}', 'key "a" { policy = <<-EOF\n  read\n  EOF\n}', 'key "${x}" { policy = "read" }',
    'key "a" { policy = "${x}" }', 'id = "x" revision = "y"', 'id = "zz"', 'id = 5', 'id = true', 'id { }', 'id { a = 1 }', 'id = ["x"]', 'revision = 5',
    'revision { }', 'revision { a = 1 }', 'revision "a" { }', 'revision = [5]', 'Revision = 5 acl = true', 'acl = true key = "x"',
    'key = "x" agent = "y"', 'operator = true key = "x"', 'keyring = true operator = 5 query = "x"', 'acl = "bad" key "x" { policy = "bad" }',
    'event "x" { policy = "list" } agent "q" { policy = "nope" }', 'query_prefix "\\"q\\n" { policy = "x" }', 'session "é\u0001" { policy = "x" }',
    'key "a" { key = "b" policy="read" }', 'key "a" { prefix = "b" policy="read" }', 'node "a" { name = "zz" policy = "read" }',
    'nonsense "x" { policy = "bad" }', 'policy = "bad"', 'key "a" { extra = 5 policy = "read" }', 'key, "a" { policy = "read" }',
    'key "a" { policy = "read", }, key "b" { policy = "bad" }', '// c\n/* d */ key "a" { policy = "read" } # e', 'key_prefix a { policy = "read" }',
    'key "\\u002f" { policy = "bad" }', 'key "a\\qb" { policy = "bad" }', 'key "a" { policy = "\\q" }', 'key "a" {\r\n policy = "bad"\r\n}\r\n',
    'key "a" {\n  policy = true\n}', 'key "a" { ', 'key', '"x"', 'key_prefix "x" "read"', '[]', ';', '\ufeffkey "a" { policy = "read" }', '}', '{', '= 5',
    'key "x', 'key "x" { policy = "read" }}', 'key "x" { policy = }', 'key =', '/* open', 'a.b = 1', 'key "a" { policy = read }', 'key "é" {policy = ;}',
    'key "policy" { policy = "read" }', 'key { policy "a" { policy = "read" } }', 'key "a" { b = "c" } acl { x = 1 }',
    '{"key": {"a": {"policy": "read"}}}', '{"key": [{"a": {"policy": "read"}}, {"b": [{"policy":"write"}]}]}', '{"key": {"policy":"read"}}',
    '{"key": "read"}', '{"acl": {"a":"b"}}', '{"acl": {}}', '{"acl": []}', '{"acl": ["a"]}', '{"acl": [{"a":"b"}]}', '{"key":{"a":"read"}}', '{"key":null}',
    '{"acl":null}', '{"acl":5}', '{"acl":1.5}', '{"acl":true}', '{"key":{"a":{"policy":null}}}', '{"key":{"a":{"policy":5}}} trailing',
    '{"key":[["a"]]}', '{"key":["a"]}', '{"key":[]}', '{"key":{}}', '{"key":[{}]}', '{"key":{"a":{}}}', '{"key":{"a":[]}}', '{"key":{"a":[{}]}}',
    '{"key":{"a":["b"]}}', '{"key":{"a":[{"policy":"read"},{"policy":"bad"}]}}', '{"key":{"a":{"policy":{"x":"y"}}}}', '{"key":{"a":{"policy":{}}}}',
    '{"key":{"a":{"policy":["x"]}}}', '{"key":{"a":{"policy":[{"x":1}]}}}', '{"key":{"a":{"b":{"policy":"read"}}}}',
    '{"key":{"a":{"b":{"c":{"policy":"bad"}}}}}', '{"key":{"a":{"policy":"read"},"b":5}}', '{"key":{"a":{"policy":"read"},"b":{"policy":"bad"}}}',
    '{"key":[{"a":{"policy":"read"},"b":{"policy":"bad"}}]}', '{"key":[{"a":"read"}]}', '{"key":[{"a":{"policy":"read"}},5]}', '{"KEY":{"a":{"Policy":"bad"}}}',
    '{"key":{"a":{"policy":"read"}},"key":{"b":{"policy":"bad"}}}', '{"key" "a":{"policy":"bad"}}', '{"id":"x","revision":5}', '{"id":{}}', '{', '{}', '{"a"}',
    '{"key":{"a":{"policy":"\\u0041"}}}', '{"key":{"${a":{"policy":"bad"}}}', ' \n{"acl":"bad"}', '{"service":{"s":{"policy":"read","intentions":"list"}}}',
    '{"service":{"s":[{"policy":"read"},{"intentions":"list"}]}}', '{"key":{"a":[{"policy":"read"},5]}}',
]


def generated(p):
    def level():
        return p.choice(LEVELS[:4]) if p.random() < 0.7 else p.choice(LEVELS)

    def scalar():
        return p.choice([json.dumps(level()), json.dumps(level()), "5", "true", "1.5", "[]", '["a"]', "{}", "{a = 1}"])

    def word():
        return p.choice(BLOCKS) + p.choice(["", "", "_prefix"])

    def attributes():
        out = ["policy = %s" % (json.dumps(level()) if p.random() < 0.85 else scalar())] if p.random() < 0.9 else []
        if p.random() < 0.3:
            out.append("intentions = %s" % json.dumps(level()))
        return p.choice([" ", "\n", ", "]).join(p.sample(out, len(out)))

    def item():
        labels = p.choice(["", '"a"', '"a"', '"a/b"', "b", '"a" "b"', '"a" "policy"', '"a" b "c"'])
        shape = p.random()
        if shape < 0.7:
            return "%s %s { %s }" % (word(), labels, attributes())
        if shape < 0.8:
            return "%s = %s" % (p.choice(["acl", "keyring", "operator", word()]), scalar())
        if shape < 0.9:
            return "%s { x { %s } y { %s } }" % (word(), attributes(), attributes())
        return "%s = [{ x { %s } }]" % (word(), attributes())

    def value(depth):
        kind = p.random()
        if kind < 0.6 and depth > 0:
            return {p.choice(["a", "b", "policy", "intentions"]): value(depth - 1) for _ in range(p.randrange(3))}
        if kind < 0.75 and depth > 0:
            return [value(depth - 1) for _ in range(p.randrange(3))]
        return level() if p.random() < 0.8 else p.choice([5, True, None, 1.5])

    for _ in range(300):
        yield p.choice([" ", "\n"]).join(item() for _ in range(p.randrange(1, 4)))
    for _ in range(200):
        yield json.dumps({p.choice(["acl", "operator"] + [word()] * 6): value(3) for _ in range(p.randrange(1, 3))})


def answer(url, token, path, body):
    request = urllib.request.Request(url + path, data=json.dumps(body).encode(), method="PUT", headers={"X-Consul-Token": token})
    try:
        with urllib.request.urlopen(request, timeout=20):
            return None
    except urllib.error.HTTPError as e:
        return e.read().decode()
    except (http.client.RemoteDisconnected, ConnectionError):
        return False


def main():
    url, token = sys.argv[1:]
    texts = list(dict.fromkeys(BY_HAND + list(generated(random.Random(1)))))
    out = []
    for i, text in enumerate(texts):
        current = answer(url, token, "/v1/acl/policy", {"Name": "rules-%d-%d" % (i, random.randrange(1 << 30)), "Rules": text})
        legacy = answer(url, token, "/v1/acl/create", {"Name": "r", "Type": "client", "Rules": text})
        if legacy:
            legacy = legacy.removeprefix("ACL rule compilation failed: ")
        out.append([text, current, legacy])
    path = pathlib.Path(__file__).parent.parent / "tests/vectors/acl/rules.json"
    path.write_text("[\n" + ",\n".join(json.dumps(each) for each in out) + "\n]\n")
    print(len(out), "texts", sum(c is None for _, c, _ in out), "accepted", sum(c is False for _, c, _ in out), "deadly")


main()
