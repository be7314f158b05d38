"""`acl`, `login` and `logout`: our command line beside the peer's (acl.md 17). What reads is asked of one server by both and must
print the same bytes; what writes is done by each on a server of its own, and is compared without what is random."""

import os
import re
import shlex
import stat
import subprocess
import tomllib

import pytest

from e2e.harness import until

ROOT = "root"
GROUPS = ["acl", "acl policy", "acl token", "acl role", "acl auth-method", "acl binding-rule"]
COMMANDS = (["acl bootstrap", "acl set-agent-token", "acl translate-rules", "acl token clone", "login", "logout"]
            + ["acl %s %s" % (kind, verb) for kind in ("policy", "token", "role", "auth-method", "binding-rule")
               for verb in ("create", "read", "update", "delete", "list")])
UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
NOBODY = "11111111-2222-3333-4444-555555555555"
UNREAL = [(re.compile(r"(?!0001)\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?"), "TIME"),
          (re.compile(r"\w+day, \d\d-\w{3}-\d\d \d\d:\d\d:\d\d UTC"), "TIME"),
          (re.compile(r"\b[0-9a-f]{64}\b|(?<=\")[A-Za-z0-9+/]{43}=(?=\")"), "HASH"),
          (re.compile(r"((?:Create|Modify) ?Index\"?: +)\d+"), r"\1N")]


class Side:
    """One command line, the server that it writes to, and what it was told there."""

    def __init__(self, binary, server, folder):
        self.binary, self.server, self.folder, self.names, self.seen = binary, server, str(folder), {}, {}
        os.makedirs(self.folder)

    def fill(self, line):
        def one(match):
            name, _, size = match.group(1).partition(":")
            return self.names[name][:int(size)] if size else self.names[name]
        return [re.sub(r"@\{([^}]*)\}", one, word) for word in shlex.split(line)]

    def run(self, argv, server=None, stdin="", token=ROOT, env=None):
        env = dict(os.environ, CONSUL_HTTP_ADDR="%s:8500" % (server or self.server).ip, CONSUL_HTTP_TOKEN=token, **(env or {}))
        got = subprocess.run([self.binary, *argv], env=env, cwd=self.folder, input=stdin.encode(), capture_output=True, timeout=180)
        return got.returncode, got.stdout.decode(), got.stderr.decode()

    def plain(self, text):
        text = text.replace(self.server.ip, "ADDRESS")
        text = UUID.sub(lambda m: "<%d>" % self.seen.setdefault(m.group(0), len(self.seen)) if not m.group(0).startswith("0000") else m.group(0), text)
        for pattern, instead in UNREAL:
            text = pattern.sub(instead, text)
        return text


class Pair:
    def __init__(self, theirs, ours):
        self.theirs, self.ours = theirs, ours

    def write(self, line, keep=None, **more):
        """Both do it, each to its own server."""
        results = []
        for side in (self.theirs, self.ours):
            code, out, err = side.run(side.fill(line), **more)
            for name, pattern in (keep or {}).items():
                found = re.search(pattern, out)
                assert found, (side.binary, line, code, out, err)
                side.names[name] = found.group(1)
            results.append((code, side.plain(out), side.plain(structure(err))))
        assert results[1] == results[0], line
        return results[0]

    def read(self, line, **more):
        """Both ask the peer's server."""
        argv = self.theirs.fill(line)
        theirs, ours = (side.run(argv, server=self.theirs.server, **more) for side in (self.theirs, self.ours))
        assert (ours[0], ours[1], structure(ours[2])) == (theirs[0], theirs[1], structure(theirs[2])), line
        return theirs

    def file(self, name, content):
        for side in (self.theirs, self.ours):
            with open(os.path.join(side.folder, name), "w") as handle:
                handle.write(content)


def structure(text):
    """Of a help text or the list of flags behind an error, all but the prose, which is our own; other text as it is."""
    if "\nUsage:\n" in text:
        # A flag whose default differs by intention is named in test_better.
        return "\n".join(line for line in text.split("\n") if not line.startswith("    \t"))
    if "Usage: consul " not in text:
        return text
    lines, about = [], False
    for line in text.split("\n"):
        if line.startswith("Usage: consul "):
            about = True
        elif re.match(r"(HTTP API Options|Command Options|Subcommands:)$", line):
            about = False
        elif about or line.startswith("     ") or not line:
            continue
        lines.append(re.sub(r"^(    \S+) {4,}.*", r"\1", line))
    return "\n".join(lines)


def wait_for_acls(server):
    for token in ("self", "00000000-0000-0000-0000-000000000002"):
        until("the token " + token, lambda: server.get("/v1/acl/token/" + token, headers={"X-Consul-Token": ROOT}).status == 200)


def launch(server):
    server.launch()
    until("its API", lambda: answers(server))
    return server


def answers(server):
    try:
        return server.get("/v1/status/leader", timeout=20).body not in (b'""', b'""\n')
    except OSError:
        return False


@pytest.fixture
def pair(agents, peer, praetor_asan, tmp_path):
    config = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": ROOT}}}
    servers = [launch(agents(peer, name=name, config=config)) for name in ("theirs", "ours")]
    for server in servers:
        wait_for_acls(server)
    return Pair(Side(peer, servers[0], tmp_path / "a"), Side(praetor_asan, servers[1], tmp_path / "b"))


ID = r"(?m)^ID: +(\S+)"
ACCESSOR = r"(?m)^AccessorID: +(\S+)"
SECRET = r"(?m)^SecretID: +(\S+)"


def test_help(peer, praetor_asan, tmp_path):
    class Nowhere:
        ip = "127.0.0.1"
    pair = Pair(Side(peer, Nowhere, tmp_path / "a"), Side(praetor_asan, Nowhere, tmp_path / "b"))
    for name in GROUPS + COMMANDS:
        for line in (name + " -h", name + " -bogus", name + " --help x"):
            got = [side.run(shlex.split(line)) for side in (pair.theirs, pair.ours)]
            theirs, ours = ((code, structure(out), structure(err)) for code, out, err in got)
            if name != "acl binding-rule update" or "bogus" not in line:
                assert ours == theirs, line
            assert "not part of this build" not in got[1][1]
    for name in GROUPS + ["acl nonsense", "acl token nonsense"]:
        assert pair.read(name)[0] == 1


def test_policies(pair):
    pair.file("rules.hcl", 'service_prefix "" { policy = "read" }\n')
    pair.write("acl policy create -name p1 -rules 'key \"a\" { policy = \"read\" }'", keep={"p1": ID})
    pair.write("acl policy create -name p2 -description 'second <one>' -valid-datacenter dc1 -valid-datacenter dc2 -rules @rules.hcl -meta", keep={"p2": ID})
    pair.write("acl policy create -name p3 -format json -rules -", stdin='key "<&>" { policy = "deny" }\n')
    for line in ("-name p1", "-name 'bad name'", "-rules x", "-name x -rules 'key {'", "-name x -rules @none", "-name x -from-token t -rules y", "-name x -from-token @none", "",
                 "-name x -from-token nope", "-name x -from-token anonymous", "-name x -from-token " + NOBODY, "-name x -namespace foo", "-name z1 -token-secret", "-name z2 -from-token ''",
                 "-name z3 -format xml", "-name ''"):
        pair.write("acl policy create " + line)
    for line in ("list", "list -meta", "list -format json", "list -format=xml", "list -stale", "list extra", "list -datacenter nowhere", "list -namespace foo", "read", "read -name p2 -meta",
                 "read -name p3", "read -id @{p2} -format json", "read -id @{p2:9}", "read -id @{p2} -name p1", "read -id global-management", "read -name global-management -format json", "read -name P1",
                 "read -name nope", "read -id zz", "read -id ''", "read -id " + NOBODY, "read -id @{p1} -format xml", "read -name"):
        pair.read("acl policy " + line)
        pair.read("acl policy " + line, token="nobody's")
    for line in ("", "-name nope", "-id zz", "-id " + NOBODY, "-id %s -no-merge" % NOBODY, "-name p2 -rules @none", "-name p2 -description ''", "-name p2 -valid-datacenter dc3", "-name p2 -rules ''",
                 "-id @{p2} -name renamed -format json", "-id @{p2:8} -name p2", "-id @{p2} -name ''", "-name p2 -no-merge", "-id @{p2} -no-merge", "-name p2 -no-merge -description d -rules @rules.hcl -meta",
                 "-name global-management -description mine", "-id global-management -rules ''", "-name p1 -rules 'key {'", "-name ''", "-name p1 -id zz", "-name p2 -format xml"):
        pair.write("acl policy update " + line)
    for line in ("", "-name nope", "-id zz", "-id ''", "-id " + NOBODY, "-name global-management", "-name p2", "-id @{p1:12}", "-id @{p1}"):
        pair.write("acl policy delete " + line)
    pair.read("acl policy list")


def test_roles(pair):
    pair.write("acl policy create -name p1", keep={"p1": ID})
    pair.write("acl policy create -name p2", keep={"p2": ID})
    pair.read("acl role list")
    pair.read("acl role list -format json")
    pair.write("acl role create -name r1 -description 'a role' -policy-name p1 -service-identity web -node-identity n1:dc1", keep={"r1": ID})
    pair.write("acl role create -name r2 -policy-id @{p1:8} -policy-name p2 -policy-name p2 -service-identity web:dc1,dc2 -service-identity db -node-identity n:dc1 -format json", keep={"r2": r'"ID": "([^"]*)"'})
    pair.write("acl role create -name r3 -service-identity a: -node-identity n:d -meta")
    pair.write("acl role create -name r4 -service-identity x:dc2 -service-identity x:dc1 -format json")
    for line in ("", "-name x", "-name x -policy-name none", "-name 'b d' -policy-name p1", "-name r1 -policy-name p1", "-name x -policy-id zz -service-identity a:b:c", "-name x -policy-id zz", "-policy-name p1",
                 "-name x -service-identity a:b:c", "-name x -node-identity n", "-name x -node-identity n:d:e", "-name x -node-identity a -service-identity a:b:c", "-name x -service-identity web:, -node-identity n:",
                 "-name x -service-identity :", "-name x -service-identity ''", "-name x -policy-id " + NOBODY, "-name x -policy-id ''"):
        pair.write("acl role create " + line)
    for line in ("list", "list -meta", "list -format json", "list -format=xml", "read", "read -name r1", "read -name r1 -meta", "read -name R2", "read -id @{r2} -format json", "read -id @{r2:10}", "read -name none",
                 "read -id zz", "read -id zz -name r1", "read -id " + NOBODY, "read -id @{r1} -format xml", "read -name 'a b'"):
        pair.read("acl role " + line)
        pair.read("acl role " + line, token="nobody's")
    for line in ("", "-name x", "-id zz", "-id " + NOBODY, "-id %s -no-merge" % NOBODY, "-id @{r1} -name rr1 -policy-name p2 -policy-id @{p1} -service-identity web:dc3 -node-identity n2:dc2", "-id @{r1:8} -name '' -description ''",
                 "-id @{r1} -service-identity db -service-identity web -description new -meta", "-id @{r1} -policy-id zz", "-id @{r1} -policy-id zz -no-merge", "-id @{r1} -policy-id zz -service-identity a:b:c",
                 "-id zz -service-identity a:b:c", "-id @{r1} -node-identity a -service-identity a:b:c", "-id @{r2} -no-merge", "-id @{r2} -no-merge -name r2 -policy-name p1 -policy-id @{p1} -policy-name p1 -format json",
                 "-id @{r2} -no-merge -name r2 -service-identity x:dc2 -service-identity x:dc1", "-id @{r2} -name r3", "-id @{r2} -format xml"):
        pair.write("acl role update " + line)
    for line in ("", "-id ''", "-name none", "-id zz", "-id zz -name r3", "-id " + NOBODY, "-name R3", "-name r3", "-id @{r1:9}", "-id @{r2}"):
        pair.write("acl role delete " + line)
    pair.read("acl role list")


def test_tokens(pair):
    for name in ("p1", "p2"):
        pair.write("acl policy create -name " + name, keep={name: ID})
        pair.write("acl role create -policy-name p1 -name r" + name, keep={"r" + name: ID})
    pair.write("acl token create -description 'for all' -policy-name p1 -role-name rp1 -service-identity web -service-identity db:dc1,dc2 -node-identity n1:dc1 -node-identity m:dc2",
               keep={"t": ACCESSOR, "secret": SECRET})
    pair.write("acl token create -accessor 0f2e4d6c-1111-4222-8333-944455556666 -secret 0f2e4d6c-1111-4222-8333-944455557777 -policy-id @{p2:12} -role-id @{rp2} -expires-ttl 90m -meta")
    pair.write("acl token create -local -policy-name p2 -format json -description <x>", keep={"local": r'"AccessorID": "([^"]*)"'})
    for line in ("", "-local -service-identity db:dc1", "-policy-name none", "-policy-id zz", "-role-id zz", "-role-name none", "-service-identity a:b:c", "-node-identity a", "-node-identity a -policy-id zz -service-identity a:b:c",
                 "-policy-name p1 -policy-id zz -role-id zz", "-policy-name p1 -expires-ttl 1s", "-policy-name p1 -expires-ttl 5", "-policy-name p1 -expires-ttl 0s", "-policy-name p1 -secret x", "-policy-name p1 -accessor x",
                 "-policy-id ''", "-policy-name p1 -format xml", "-policy-id global-management", "-service-identity Web", "-node-identity n:", "-policy-name p1 -bogus"):
        pair.write("acl token create " + line)
    for line in ("read -self", "read -self -id zz", "read -self -meta -format json", "read", "read -id @{t} -format json", "read -id @{t:8} -meta", "read -id anonymous", "read -id 00", "read -id zz", "read -id zz extra",
                 "read -id ''", "read -id " + NOBODY, "read -id @{local} -format xml", "list -format json", "list -format=xml"):
        pair.read("acl token " + line)
        pair.read("acl token " + line, token="nobody's")
        pair.read("acl token " + line, token="")
    pair.read("acl token read -self", token=pair.theirs.names["secret"])
    pair.write("acl token clone -id @{t}", keep={"copy": ACCESSOR})
    merge = " -merge-policies -merge-roles -merge-service-identities -merge-node-identities"
    for line in ("clone", "clone -id zz", "clone -id @{t:9} -description copy -format json", "clone -id @{t} -format xml", "clone -id @{t} -description ''", "clone -id " + NOBODY, "clone -id anonymous",
                 "update -description x", "update -id zz", "update -id " + NOBODY, "update -id 0f2e4d6c -upgrade-legacy", "update -id @{copy}" + merge, "update -id @{copy} -policy-name p1 -policy-name p2 -policy-name p2" + merge,
                 "update -id @{copy:9} -policy-name P1 -policy-id @{p2} -policy-id @{p1:9} -service-identity db:dc3 -service-identity x -node-identity n1:dc1 -node-identity n1:dc2" + merge,
                 "update -id @{copy} -merge-roles -role-name rp2 -role-id @{rp1}", "update -id @{copy} -policy-name p2 -role-id @{rp2:12}", "update -id @{copy} -description ''", "update -id @{copy} -description new -format json",
                 "update -id @{copy} -policy-id zz -merge-policies", "update -id @{copy} -role-id zz", "update -id @{copy} -role-id zz -merge-roles", "update -id @{copy} -service-identity a:b:c -upgrade-legacy",
                 "update -id @{copy} -node-identity a -service-identity a:b:c", "update -id @{copy} -node-identity a -policy-id zz", "update -id @{copy} -policy-id ''", "update -id @{local} -description here",
                 "update -id anonymous -policy-name p1", "update -id @{copy} -format xml", "update -id 0f2e4d6c -description until -meta"):
        pair.write("acl token " + line)
    for line in ("", "-id zz", "-id anonymous", "-id " + NOBODY, "-id @{copy}", "-id @{t:8}"):
        pair.write("acl token delete " + line)


def test_token_list(pair):
    """Without tokens that have node identities, which the peer's list does not show."""
    pair.write("acl policy create -name p1")
    pair.write("acl role create -policy-name p1 -name r1")
    pair.write("acl token create -description 'for all' -policy-name p1 -role-name r1 -service-identity web -service-identity db:dc1,dc2")
    pair.write("acl token create -policy-name p1 -policy-name global-management -expires-ttl 90m -local")
    for line in ("list", "list -meta", "list -format json"):
        assert pair.read("acl token " + line)[0] == 0


def test_token_sources(pair):
    """The token of a request: flag, environment and files, for several commands."""
    pair.file("token", "  %s\n" % ROOT)
    pair.file("empty", "\n")
    name = iter(range(100))
    for make in ("acl policy list", "acl token read -self", "acl role create -service-identity x -name n%d", "acl auth-method list", "acl binding-rule list", "acl set-agent-token agent x", "logout"):
        for flags, env in (("", {}), ("-token root", {}), ("-token-file token", {}), ("-token wrong -token-file token", {}), ("-token root -token-file empty", {}), ("-token-file none", {}),
                           ("", {"CONSUL_HTTP_TOKEN": "root"}), ("", {"CONSUL_HTTP_TOKEN": "wrong"}), ("-token root", {"CONSUL_HTTP_TOKEN": "wrong"}), ("", {"CONSUL_HTTP_TOKEN_FILE": "token"}),
                           ("", {"CONSUL_HTTP_TOKEN_FILE": "none"}), ("", {"CONSUL_HTTP_TOKEN": "wrong", "CONSUL_HTTP_TOKEN_FILE": "token"})):
            words = make.split(" ")
            at = next((i for i, word in enumerate(words) if word.startswith("-") or word == "agent"), len(words))
            line = " ".join(words[:at] + ([flags] if flags else []) + words[at:])
            results = []
            for side in (pair.theirs, pair.ours):
                full = dict({"CONSUL_HTTP_TOKEN": ""}, **env)
                code, out, err = side.run(shlex.split(line % next(name) if "%d" in line else line), token=full.pop("CONSUL_HTTP_TOKEN"), env=full)
                results.append((code, re.sub(r"\bn\d+\b", "n", side.plain(out)), side.plain(err)))
            assert results[1] == results[0], (line, env)


def test_without_acls(agents, peer, praetor_asan, tmp_path):
    server = launch(agents(peer, name="open"))
    pair = Pair(Side(peer, server, tmp_path / "a"), Side(praetor_asan, server, tmp_path / "b"))
    for line in ("policy list", "policy read -name x", "token list", "token read -self", "role list", "role read -name x", "bootstrap", "auth-method list", "auth-method read -name x", "binding-rule list",
                 "binding-rule read -id x", "set-agent-token default x", "token create -policy-name x"):
        pair.read("acl " + line)
    for line in ("acl policy list", "acl policy read -name x", "acl token read -self", "acl token create -policy-id a", "acl role read -name a", "acl bootstrap", "logout", "acl auth-method read -name x"):
        for address in ("foo://x", "127.0.0.1:1"):
            words = line.split(" ")
            pair.read(" ".join(words + ["-http-addr", address]))


def test_bootstrap_and_agent_tokens(agents, peer, praetor_asan, tmp_path):
    servers = [launch(agents(peer, name=name, config={"acl": {"enabled": True, "default_policy": "deny"}})) for name in ("theirs", "ours")]
    pair = Pair(Side(peer, servers[0], tmp_path / "a"), Side(praetor_asan, servers[1], tmp_path / "b"))
    for server in servers:
        until("the anonymous token", lambda server=server: "not found" in server.get("/v1/acl/token/self").text)
    pair.write("acl bootstrap", keep={"root": SECRET}, token="")
    pair.read("acl bootstrap", token="")
    pair.read("acl bootstrap -format xml", token="")
    pair.file("value", "from-a-file")
    for line in ("", "default", "chief", "chief x", "chief @none", "'' x", "agent x y", "default a b", "default @none", "default from-arguments", "agent -", "master @value", "replication ''"):
        for side in (pair.theirs, pair.ours):
            side.names["words"] = line
        results = [side.run(["acl", "set-agent-token", *shlex.split(line)], stdin="from-stdin", token=side.names["root"]) for side in (pair.theirs, pair.ours)]
        assert results[1] == results[0], line
    for side in (pair.theirs, pair.ours):
        # The agent's own API takes the master token that the file gave.
        assert side.server.get("/v1/agent/self", headers={"X-Consul-Token": "from-a-file"}).status == 200


def certificate(folder):
    path = os.path.join(str(folder), "ca.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", os.devnull, "-out", path, "-subj", "/CN=x", "-days", "3000"], check=True, capture_output=True)
    with open(path) as handle:
        return handle.read()


def login_files():
    path = os.path.join(os.path.dirname(__file__), "../conformance/scenarios/cli-acl/login.toml")
    with open(path, "rb") as handle:
        return tomllib.load(handle)["files"]


def test_auth_methods(pair, tmp_path):
    files = login_files()
    pair.file("config.json", files["config.json"])
    pair.file("jwt", files["jwt"])
    pair.file("ca.pem", certificate(tmp_path))
    jwt = files["jwt"].strip()
    create = "acl auth-method create -type "
    pair.write(create + "jwt -name m -description d -display-name D -max-token-ttl 5m -token-locality local -config @config.json")
    pair.write(create + "jwt -name m2 -config - -format json", stdin=files["config.json"])
    pair.write(create + "kubernetes -name k -kubernetes-host https://x:1 -kubernetes-ca-cert @ca.pem -kubernetes-service-account-jwt %s -meta" % jwt)
    for line in ("", "jwt", "'' -name x", "jwt -name x -config '{'", "jwt -name x -config '{} x'", "jwt -name x -config '[]'", "jwt -name x -config '\"s\"'", "jwt -name x -config 1", "jwt -name x -config true",
                 "jwt -name x -config null", "jwt -name x -config ''", "jwt -name x -config @none", "jwt -name x -kubernetes-host x", "jwt -name x -kubernetes-host x -config '{}'", "jwt -name x -kubernetes-ca-cert x -config @none",
                 "jwt -name x -kubernetes-service-account-jwt x -config '{}'", "kubernetes -name x", "kubernetes -name x -kubernetes-host x", "kubernetes -name x -kubernetes-host x -kubernetes-ca-cert @none",
                 "kubernetes -name x -kubernetes-host x -kubernetes-ca-cert @none -kubernetes-service-account-jwt x", "kubernetes -name x -kubernetes-host x -kubernetes-ca-cert y -kubernetes-service-account-jwt z",
                 "kubernetes -name x -kubernetes-host x -config '{}'", "foo -name x", "jwt -name x -max-token-ttl 1s -config @config.json", "jwt -name x -max-token-ttl 1 -config @config.json"):
        pair.write(create + line if line else "acl auth-method create")
    for line in ("list", "list -meta", "list -format json", "list -format xml", "read", "read -name m", "read -name m -meta", "read -name m2 -format json", "read -name k", "read -name M", "read -name none", "read -name m -format xml"):
        pair.read("acl auth-method " + line)
        pair.read("acl auth-method " + line, token="nobody's")
    for line in ("", "-name none", "-name none -no-merge", "-name m -display-name '' -description '' -max-token-ttl 0s -token-locality ''", "-name m -display-name X -max-token-ttl 10m -token-locality global -format json",
                 "-name m -no-merge", "-name m -no-merge -config @config.json -description fresh", "-name m -config '{\"BoundIssuer\":\"a\"}'", "-name m -config '{'", "-name m -no-merge -config '{'", "-name m -config @none",
                 "-name m -kubernetes-host x", "-name m -kubernetes-host x -config '{}'", "-name k -kubernetes-service-account-jwt x -config '{}'", "-name k -kubernetes-host https://y -meta", "-name k -kubernetes-ca-cert @none",
                 "-name k -kubernetes-ca-cert @config.json", "-name k -no-merge -kubernetes-host https://y", "-name k -no-merge -kubernetes-host https://z -kubernetes-ca-cert @ca.pem -kubernetes-service-account-jwt " + jwt,
                 "-name k -no-merge -kubernetes-host x -config '{}'", "-name m -format xml"):
        pair.write("acl auth-method update " + line)
    pair.write("acl role create -name web -service-identity web")
    create = "acl binding-rule create "
    pair.write(create + "-method m -bind-name 'svc-${value.name}' -selector 'value.name==Web' -description r", keep={"rule": ID})
    pair.write(create + "-method m -bind-type role -bind-name web -format json", keep={"role": r'"ID": "([^"]*)"'})
    pair.write(create + "-method m2 -bind-name y -meta")
    for line in ("", "-method m", "-bind-name x", "-method m -bind-name x -bind-type ''", "-method m -bind-name x -bind-type bogus", "-method none -bind-name x", "-method m -bind-name x -selector foo", "-method m -bind-name 'x y'"):
        pair.write(create + line)
    for line in ("list", "list -meta", "list -method m", "list -method none", "list -method none -format json", "list -format json -method m2", "list -format xml", "read", "read -id zz", "read -id @{rule}", "read -id @{role:9} -meta",
                 "read -id @{rule} -format json", "read -id @{rule} -format xml", "read -id " + NOBODY):
        pair.read("acl binding-rule " + line)
        pair.read("acl binding-rule " + line, token="nobody's")
    # With -bind-type each time: the peer would set it to "service" without.
    for line in ("", "-id zz", "-id " + NOBODY, "-id @{rule:9} -bind-type role -bind-name z -selector 'value.name==y' -description new", "-id @{rule} -bind-type '' -selector '' -bind-name '' -description ''", "-id @{rule} -no-merge",
                 "-id @{rule} -no-merge -bind-type ''", "-id @{rule} -no-merge -bind-type '' -bind-name foo", "-id @{rule} -no-merge -bind-name foo -meta", "-id @{rule} -no-merge -bind-name svc2 -bind-type service -format json",
                 "-id @{rule} -bind-type bogus", "-id @{rule} -bind-type service -selector foo", "-id @{rule} -bind-type service -format xml"):
        pair.write("acl binding-rule update " + line)
    login(pair)
    for line in ("acl binding-rule delete", "acl binding-rule delete -id zz", "acl binding-rule delete -id " + NOBODY, "acl binding-rule delete -id @{rule:9}", "acl auth-method delete", "acl auth-method delete -name none",
                 "acl auth-method delete -name m"):
        pair.write(line)


def login(pair):
    line = "login -method m -bearer-token-file jwt -token-sink-file "
    pair.file("old", "was there")
    for name in ("plain", "new/folders/token", "old"):
        pair.write(line + name + " -meta b=2 -meta a=1 -type ignored")
        for side in (pair.theirs, pair.ours):
            path = os.path.join(side.folder, name)
            with open(path) as handle:
                assert UUID.fullmatch(handle.read())
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    for side in (pair.theirs, pair.ours):
        assert os.listdir(os.path.join(side.folder, "new/folders")) == ["token"]  # no temporary file is left
        assert stat.S_IMODE(os.stat(os.path.join(side.folder, "new/folders")).st_mode) == 0o755
    pair.write("acl token read -self -token-file plain")
    for more in ("", "-method m", "-method m -token-sink-file x", "-method m -token-sink-file x -bearer-token-file none", "-method none -token-sink-file x -bearer-token-file jwt", "extra",
                 "-method m -token-sink-file x -bearer-token-file /dev/null", "-method m -token-sink-file x -bearer-token-file config.json", "-method m -token-sink-file /dev/null/x -bearer-token-file jwt", "-meta x",
                 "-method m -token-sink-file y -bearer-token-file jwt -token-file none -token wrong"):
        pair.write("login " + more)
    for side in (pair.theirs, pair.ours):
        assert not os.path.exists(os.path.join(side.folder, "x"))
    for more in ("-token-file plain", "-token-file plain", "", "extra", "-token nobody", "-token-file none"):
        pair.write("logout " + more)
    pair.write("logout", token="")


def test_old_tokens(pair):
    """Tokens of the old kind, whose rules can be translated."""
    for side in (pair.theirs, pair.ours):
        for name, secret in (("old", "0f58cc75-487d-31fd-d7bc-3b3d2d02b907"), ("older", "1f58cc75-487d-31fd-d7bc-3b3d2d02b907")):
            answer = side.server.put("/v1/acl/create", {"ID": secret, "Name": name, "Rules": 'key "a/" { policy = "write" }'}, headers={"X-Consul-Token": ROOT})
            assert answer.status == 200
            def accessor(side=side, secret=secret):
                return side.server.get("/v1/acl/token/self", headers={"X-Consul-Token": secret}).json["AccessorID"]
            side.names[name] = until("an accessor for it", accessor)
            side.names["secret-" + name] = secret
    pair.file("old.hcl", 'service "x" { policy = "write" intentions="read" }  # c\n')
    for line in ("acl token read -id @{old}", "acl token read -id @{old} -format json", "acl token list", "acl token list -meta", "acl token list -format json", "acl translate-rules -token-secret @{secret-old}",
                 "acl translate-rules -token-accessor @{old}", "acl translate-rules -token-accessor @{older:9}", "acl translate-rules -token-accessor nope", "acl translate-rules -token-accessor anonymous",
                 "acl translate-rules -token-accessor -token-secret x", "acl translate-rules -token-secret x y", "acl translate-rules -token-secret " + NOBODY, "acl translate-rules -token-accessor " + NOBODY, "acl translate-rules",
                 "acl translate-rules a b", "acl translate-rules ''", "acl translate-rules 'key \"a\" { policy = \"write\" }'", "acl translate-rules 'key {'", "acl translate-rules @old.hcl", "acl translate-rules @none",
                 "acl translate-rules '{\"key\":{\"a\":{\"policy\":\"write\"}}}'"):
        pair.read(line)
        pair.read(line, token="nobody's")
    pair.read("acl translate-rules -", stdin='keyring="read" operator="write"')
    for line in ("acl policy create -name l1 -from-token @{old}", "acl policy create -name l2 -from-token @{old:12} -format json", "acl policy create -name l3 -from-token @{secret-old} -token-secret",
                 "acl token update -id @{old} -policy-name l1", "acl token update -id @{old} -description x", "acl token clone -id @{old}", "acl token update -id @{old} -policy-name l1 -upgrade-legacy",
                 "acl token update -id @{old} -policy-name l1 -upgrade-legacy", "acl token update -id @{older} -upgrade-legacy -format json", "acl translate-rules -token-accessor @{old}", "acl policy create -name l4 -from-token @{old}"):
        pair.write(line)


def test_better(pair, tmp_path):
    """What of the peer fails or writes something else than it was told (acl.md 18.1), and does not here."""
    ours = pair.ours

    def run(line, code=0, **more):
        got = ours.run(ours.fill(line), **more)
        assert got[0] == code, (line, got)
        return got[1] if code == 0 else got[2]

    def remember(name, pattern, text):
        ours.names[name] = re.search(pattern, text).group(1)

    remember("p", ID, run("acl policy create -name p"))
    for role in ("r1", "r2"):
        remember(role, ID, run("acl role create -policy-name p -service-identity a -node-identity n:dc1 -name " + role))
        # The beginning of an ID that has no characters means none, even where there is only one.
        assert "Partial role ID is not unique" in run("acl token create -role-id ''", 1)
    remember("t", ACCESSOR, run("acl token create -role-name r1 -service-identity s -node-identity n:dc1"))
    # -merge-roles -role-id sends the ID as an ID.
    assert re.findall(r" - (r\d)", run("acl token update -id @{t} -merge-roles -role-id @{r2}")) == ["r1", "r2"]
    # A node identity of another datacenter is one of its own.
    assert "n (Datacenter: dc1)\n   n (Datacenter: dc2)" in run("acl role update -id @{r1} -node-identity n:dc2")
    # -no-merge with an ID that is cut short.
    assert "Name:         short" in run("acl role update -id @{r2:9} -no-merge -name short")
    # Two datacenters of one service are both kept, as when they are given to a new object.
    assert "x (Datacenters: dc1, dc2)" in run("acl role update -id @{r1} -service-identity x:dc1 -service-identity x:dc2")
    # token list shows node identities, and service identities once.
    run("acl token update -id @{t} -service-identity s -node-identity n:dc1")
    listed = run("acl token list")
    assert listed.count("Service Identities:\n   s (Datacenters: all)\nNode Identities:\n   n (Datacenter: dc1)\n") == 1 and listed.count("Service Identities:") == 1
    # A lifetime below zero is refused, instead of meaning none.
    assert "should be > 0" in run("acl token create -policy-name p -expires-ttl -5s", 1)
    better_methods(ours, run, remember, tmp_path)
    better_secrets(ours, run, remember)


def better_methods(ours, run, remember, tmp_path):
    with open(os.path.join(ours.folder, "config.json"), "w") as handle:
        handle.write(login_files()["config.json"])
    assert "MaxTokenTTL -5s cannot be less than" in run("acl auth-method create -type jwt -name m -max-token-ttl -5s -config @config.json", 1)
    run("acl auth-method create -type jwt -name m -config @config.json")
    # -config serves for type kubernetes too.
    jwt = login_files()["jwt"].strip()
    config = '{"Host": "https://x", "ServiceAccountJWT": "%s", "CACert": "%s"}' % (jwt, certificate(tmp_path).replace("\n", "\\n"))
    run("acl auth-method create -type kubernetes -name k -config -", stdin=config)
    assert '"Host": "https://y"' in run("acl auth-method update -name k -no-merge -config -", stdin=config.replace("https://x", "https://y"))
    # An update that does not speak of the type does not change it.
    remember("rule", ID, run("acl binding-rule create -method m -bind-type role -bind-name r"))
    assert re.search(r"BindType: +role", run("acl binding-rule update -id @{rule} -description new"))


def better_secrets(ours, run, remember):
    secrets = ["0f58cc75-487d-31fd-d7bc-3b3d2d02b907", "short"]
    for secret in secrets:
        assert ours.server.put("/v1/acl/create", {"ID": secret, "Name": "old", "Rules": 'key "a/" { policy = "write" }'}, headers={"X-Consul-Token": ROOT}).status == 200
    rules = 'key_prefix "a/" {\n  policy = "write"\n}\n'
    # A secret is none of the IDs that may be cut short; a file's last newline is no part of it.
    assert run("acl translate-rules -token-secret short") == rules
    assert rules in run("acl policy create -name s1 -from-token short -token-secret")
    with open(os.path.join(ours.folder, "secret"), "w") as handle:
        handle.write(secrets[0] + "\n")
    assert run("acl translate-rules -token-secret @secret") == rules
    assert rules in run("acl policy create -name s2 -from-token @secret -token-secret")
    run("acl set-agent-token master @secret")
    assert ours.server.get("/v1/agent/self", headers={"X-Consul-Token": secrets[0]}).status == 200
