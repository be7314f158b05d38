"""Asks the ACL matrix (acl_matrix.py) of an agent of either kind: the recorder (tools/record_acl_matrix.py) the peer's, the test
(test_acl_matrix.py) ours. An answer is a line: status, whether an index was told, and either the text of what is no 200 or which of the
world's names are to be seen in it."""

import gzip
import http.client
import json
import os
import re

from e2e.acl_matrix import ACCESSORS, AS_LEGACY, FIXED, KINDS, NODE, SECRETS, configuration, requests, world
from e2e.harness import PATIENCE, PORTS, Agent, until

RECORDING = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors", "acl", "matrix.json.gz")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
INDEX = re.compile(r'("(?:Create|Modify)?Index": ?|reset index: |modify index )\d+')
WORD = re.compile(r"\{(\w+)\}")
# What the world's names begin with, or are.
BEGINNINGS = ("narrow", "other", "temporary", "token-", "policy-", "role-", "method-", "bound-", "query-", "p-", "value-", "$")
NAMES = {"serfHealth", "consul", "<hidden>", "else", "second", "clone", "global-management", "Anonymous Token", "Master Token", NODE}
SHORT = 60  # answers of fewer bytes are told as they are
KNOWN = {value: "$%s:%s" % (word, kind) for word, table in (("secret", SECRETS), ("accessor", ACCESSORS))
         for kind, value in table.items() if value}


class World:
    """An agent with everything in it that the matrix asks about."""

    def __init__(self, agent, policy):
        self.agent, self.policy, self.words = agent, policy, dict(FIXED)
        self.link = None
        agent.launch()
        until("the agent answers management", self._is_up)
        for step in world():
            self._must(step)
        until("the world is complete", self._is_complete, 3 * PATIENCE)

    def _is_up(self):
        if self.agent.proc.poll() is not None:
            raise AssertionError("agent ended: " + self.agent.tail())
        try:
            got = [self.ask("GET", path) for path in ("/v1/acl/tokens", "/v1/health/node/" + NODE)]
        except OSError:
            return False
        return all(status == 200 for status, _, _ in got) and b"passing" in got[1][2]

    def _is_complete(self):
        """What is registered with the agent is in the catalog, events have come back, coordinates were flushed, the server was found healthy,
        and the legacy token got its accessor."""
        self._must(AS_LEGACY)
        if self.ask("GET", "/v1/operator/autopilot/health")[0] != 200 or not self.words["accessor_of_legacy"]:
            return False
        shown = {path: self.ask("GET", path)[2].decode() for path in
                 ("/v1/health/node/" + NODE, "/v1/event/list", "/v1/coordinate/nodes", "/v1/catalog/node-services/" + NODE)}
        checks, events, coordinates, services = shown.values()
        return all(name + "-ttl" in checks and name + "-local" in checks and name in events and name in coordinates and name in services
                   for name in ("narrow", "other"))

    def ask(self, method, path, body=None, secret=SECRETS["management"], opaque=False):
        """(status, headers, body)"""
        link = self.link
        if link is None or opaque:
            link = http.client.HTTPConnection(self.agent.ip, PORTS["http"], timeout=60)
        headers = {"X-Consul-Token": secret} if secret else {}
        try:
            link.request(method, path, body=body, headers=headers)
            got = link.getresponse()
            answer = got.status, got.headers, b"" if opaque and got.status == 200 else got.read()
        except (OSError, http.client.HTTPException):
            self.link = None
            link.close()
            raise
        if opaque:
            link.close()
        else:
            self.link = link
        return answer

    def _filled(self, text):
        """With its words; None: one of them is not known."""
        missing = [word for word in WORD.findall(text) if word not in self.words]
        return None if missing else WORD.sub(lambda m: self.words[m.group(1)], text)

    def _body(self, request):
        if request.body is None:
            return b""
        if isinstance(request.body, str):
            return request.body.encode()
        text = json.dumps(request.body)
        return re.sub(r"\{(\w+)\}", lambda m: self.words.get(m.group(1), m.group(0)), text).encode()

    def _send(self, request, secret):
        answer = self.ask(request.method, self._filled(request.path), self._body(request), secret, request.opaque)
        if request.save:
            word, field = request.save
            self.words.pop(word, None)
            if answer[0] == 200:
                self.words[word] = json.loads(answer[2])[field]
        return answer

    def _must(self, step):
        status, _, body = self._send(step, SECRETS[step.kind])
        assert status == 200, (step.name, status, body)

    def answer(self, request, kind):
        for step in request.before:
            self._must(step)
        got = self._line(request, self._send(request, SECRETS[kind]))
        for step in request.after:
            if self._filled(step.path) is not None:
                self._send(step, SECRETS["management"])
        return got

    def _line(self, request, answer):
        status, headers, body = answer
        index = headers.get("X-Consul-Index")
        index = "-" if index is None else "1" if index == "1" else "n"
        if request.opaque and status == 200:
            return "200 %s ..." % index
        text = self._plain(body)
        if status == 200 and len(text) > SHORT and not request.path.startswith("/v1/acl/rules/"):
            text = " ".join(sorted(visible(body, request.ignore)))
        return "%d %s %s" % (status, index, text)

    def _plain(self, body):
        text = body.decode("utf-8", "replace").replace(self.agent.ip, "<ip>")
        for word, value in self.words.items():
            text = text.replace(value, "{%s}" % word) if UUID.fullmatch(value) else text
        text = UUID.sub(lambda m: KNOWN.get(m.group(0), "<uuid>"), text)
        text = " ".join(INDEX.sub(r"\1N", text).split())
        # Several errors come in any order.
        return " * ".join(sorted(text.split(" * "))) if " errors occurred:" in text else text

    def run(self):
        """{request: {answer: [kinds]}}"""
        out = {}
        for request in requests(self.policy):
            answers = out.setdefault(request.name, {})
            for kind in request.only:
                answers.setdefault(self.answer(request, kind), []).append(kind)
        return out


def visible(body, ignore=()):
    """The world's names in an answer, with the fields that they stand in, and what was allowed."""
    try:
        value = json.loads(body)
    except ValueError:
        return {"(no JSON)"}
    found = set()

    def is_name(text):
        return (text in NAMES or text.startswith(BEGINNINGS)) and text not in ignore

    def look(value, field):
        if isinstance(value, dict):
            for key, inner in value.items():
                if is_name(key):
                    found.add(key)
                look(inner, key)
        elif isinstance(value, list):
            for inner in value:
                look(inner, field)
        elif isinstance(value, str):
            value = KNOWN.get(value, value)
            if is_name(value):
                found.add("%s=%s" % (field, value))
        elif isinstance(value, bool) and field == "Allow":
            found.add("Allow=%s" % value)
    look(value, "")
    return found


def start(binary, folder, policy):
    """A World, to be ended by world.agent.kill()."""
    return World(Agent(binary, folder, config=configuration(policy), dev=True, name=NODE), policy)


def load():
    with gzip.open(RECORDING, "rt", encoding="utf-8") as handle:
        return json.load(handle)


def save(recording):
    raw = json.dumps(recording, indent=0, sort_keys=False, ensure_ascii=True).encode()
    with open(RECORDING, "wb") as handle, gzip.GzipFile("", "wb", 9, handle, 0) as packed:
        packed.write(raw)


def by_kind(answers):
    return {kind: answer for answer, kinds in answers.items() for kind in kinds}


def differences(wanted, got):
    """[(request, kind, wanted, got)] between two recordings of one policy."""
    out = []
    for name in list(wanted) + [name for name in got if name not in wanted]:
        theirs, ours = by_kind(wanted.get(name, {})), by_kind(got.get(name, {}))
        out += [(name, kind, theirs.get(kind), ours.get(kind)) for kind in KINDS if theirs.get(kind) != ours.get(kind)]
    return out
