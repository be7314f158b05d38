"""A client of gRPC over tests/e2e/h2_client.py: calls, their messages and statuses; and the two that Envoy makes of the agent."""

import time
from urllib.parse import unquote

from e2e import envoy_proto as proto
from e2e.h2_client import Client
from e2e.harness import PATIENCE

ADS = "/envoy.service.discovery.v2.AggregatedDiscoveryService/StreamAggregatedResources"
CHECK = "/envoy.service.auth.v2.Authorization/Check"
KINDS = {"cds": "Cluster", "eds": "ClusterLoadAssignment", "rds": "RouteConfiguration", "lds": "Listener"}


def frame(message, compressed=0):
    return bytes([compressed]) + len(message).to_bytes(4, "big") + message


class Call:
    def __init__(self, client, path, token=None, headers=(), body=None, end=False):
        self.client, self.taken = client, 0
        more = [("content-type", "application/grpc"), ("te", "trailers"), *headers]
        if token is not None:
            more.append(("x-consul-token", token))
        self.number = client.send("POST", path, body=body, headers=more, end=end)

    @property
    def answer(self):
        return self.client.answers[self.number]

    def send(self, message, end=False):
        self.client.send_body(self.number, frame(message), end=end)

    def message(self, seconds=PATIENCE):
        """The next one, whole; None: it did not come, or the call is over."""
        until = time.monotonic() + seconds
        while True:
            rest = self.answer.body[self.taken:]
            if len(rest) >= 5 and len(rest) - 5 >= int.from_bytes(rest[1:5], "big"):
                size = int.from_bytes(rest[1:5], "big")
                self.taken += 5 + size
                return rest[5:5 + size]
            left = until - time.monotonic()
            if self.answer.done or self.client.closed or left <= 0:
                return None
            self.client.read_some(left)

    def over(self, seconds=PATIENCE):
        """(status, text); messages that come meanwhile stay. None: it is not over."""
        until = time.monotonic() + seconds
        while not self.answer.done and not self.client.closed and time.monotonic() < until:
            self.client.read_some(max(until - time.monotonic(), 0.001))
        if not self.answer.ended:
            return ("reset", self.answer.reset) if self.answer.reset is not None else None
        fields = self.answer.trailers or self.answer.headers
        return int(fields["grpc-status"]), unquote(fields.get("grpc-message", ""))


def clear(ip, port=8502, **more):
    return Client(ip, port, clear=True, **more)


class Envoy:
    """A stream of discovery; what comes is acknowledged, the newest of each type is kept."""

    def __init__(self, ip, name, port=8502, token=None, envoy="1.14.4", client=None):
        self.client = client or clear(ip, port)
        self.call = Call(self.client, ADS, token)
        self.node = proto.node(name, envoy)
        self.latest, self.order, self.first = {}, [], True

    def ask(self, kind, nonce=None, seen=None):
        self.call.send(proto.discovery_request(KINDS[kind], self.node if self.first else None, nonce, seen=seen))
        self.first = False

    def take(self, seconds=PATIENCE):
        """The next answer, decoded; None: none."""
        raw = self.call.message(seconds)
        if raw is None:
            return None
        got = proto.decode("DiscoveryResponse", raw)
        got.setdefault("resources", [])
        kind = next(k for k, name in KINDS.items() if proto.URL + name == got["type_url"])
        self.latest[kind] = got
        self.order.append((kind, got["version_info"], got["nonce"], len(got["resources"])))
        if not self.call.answer.done:
            self.ask(kind, got["nonce"], got["version_info"])
        return kind

    def settle(self, seconds=1.0, first=PATIENCE):
        """Reads until nothing comes any more for a while. What must have come is for hear()."""
        while self.take(first) is not None:
            first = seconds
        return self.latest

    def hear(self, what, known):
        """Reads until what has come is what known() wants, which is given back."""
        end = time.monotonic() + PATIENCE
        while not (got := known()):
            assert time.monotonic() < end and self.call.over(0) is None and not self.client.closed, "%s: not heard of, over: %s, known: %s" % (
                what, self.call.over(0), self.order)
            self.take(1)
        return got


def check(ip, source, destination, token=None, port=8502, path=CHECK, client=None, attributes=True):
    """((code, text) of the answer, or None; status and text of the call)."""
    client = client or clear(ip, port)
    call = Call(client, path, token)
    call.send(proto.check_request(source, destination, attributes), end=True)
    raw = call.message()
    over = call.over()
    if raw is None:
        return None, over
    status = proto.decode("CheckResponse", raw).get("status", {})
    return (status.get("code", 0), status.get("message", "")), over
