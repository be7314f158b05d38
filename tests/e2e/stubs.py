"""Small servers for the checks of agents: HTTP with every sort of answer, gRPC health over HTTP/2 (with and without TLS), a
Docker engine on a unix socket, and raw TCP. Each runs on threads of its own and ends with close()."""

import gzip
import json
import os
import re
import socket
import ssl
import struct
import threading
import time
from urllib.parse import unquote_plus


SLOW = 30  # seconds: longer than any check waits, even one whose agent is not let run for a while


class Server:
    """Accepts and hands each connection to serve(), on a thread of its own."""

    def __init__(self, address=None, path=None, tls=None):
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        if not path:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(path or (address, 0))
        self.listener.listen(256)
        self.port = None if path else self.listener.getsockname()[1]
        self.tls = tls
        self.closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.closed:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(link,), daemon=True).start()

    def _one(self, link):
        try:
            link.settimeout(120)
            if self.tls:
                link = self.tls.wrap_socket(link, server_side=True)
            self.serve(link)
        except (OSError, EOFError, ValueError):
            pass
        finally:
            link.close()

    def serve(self, link):
        pass  # closed at once

    def close(self):
        self.closed = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


def tls_context(folder, alpn=()):
    """A self-signed certificate for 127.0.0.1 that nobody trusts."""
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    if not os.path.exists(cert):
        import subprocess
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=stub", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                       check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


# ---- HTTP ----

def read_request(link):
    """(method, path, headers, body), read from a bare connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = link.recv(65536)
        if not more:
            raise EOFError
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    headers = {}
    for line in lines[1:]:
        name, value = line.split(":", 1)
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    if "chunked" in headers.get("transfer-encoding", [""])[0]:
        body = _read_chunks(link, body)
    else:
        length = int(headers.get("content-length", ["0"])[0])
        while len(body) < length:
            body += link.recv(65536)
    return method, path, headers, body


def _read_chunks(link, data):
    out = b""
    while True:
        while b"\r\n" not in data:
            data += link.recv(65536)
        size, data = data.split(b"\r\n", 1)
        size = int(size, 16)
        while len(data) < size + 2:
            data += link.recv(65536)
        if size == 0:
            return out
        out, data = out + data[:size], data[size + 2:]


class Http(Server):
    """/status/N, /echo, /redirect/N, /loop, /away, /slow-head, /slow-body, /gzip, /chunked, /bytes/N, /close, /reset, /garbage."""

    def answer(self, link, status, body=b"", headers=(), reason=None):
        reason = reason or {200: "OK", 404: "Not Found", 429: "Too Many Requests", 302: "Found", 503: "Service Unavailable"}.get(status, "Some Status")
        head = "HTTP/1.1 %d %s\r\nContent-Length: %d\r\nConnection: close\r\n" % (status, reason, len(body))
        head += "".join("%s: %s\r\n" % pair for pair in headers) + "\r\n"
        link.sendall(head.encode() + body)

    def serve(self, link):
        method, path, headers, body = read_request(link)
        word, _, rest = path.strip("/").partition("/")
        if word == "status":
            self.answer(link, int(rest), b"" if method == "HEAD" else b"the body\n")
        elif word == "echo":
            shown = {k: v for k, v in headers.items() if k not in ("host", "accept-encoding")}
            self.answer(link, 200, json.dumps([method, path, sorted(shown.items()), body.decode("latin-1")]).encode())
        elif word == "redirect":
            n = int(rest)
            self.answer(link, 302, b"", [("Location", "/redirect/%d" % (n - 1) if n else "/status/200")])
        elif word == "away":
            self.answer(link, 302, b"", [("Location", "ftp://elsewhere/")])
        elif word == "slow-head":
            time.sleep(SLOW)
        elif word == "slow-body":
            link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart of it")
            time.sleep(SLOW)
        elif word == "gzip":
            self.answer(link, 200, gzip.compress(b"was compressed"), [("Content-Encoding", "gzip")])
        elif word == "chunked":
            link.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
        elif word == "bytes":
            self.answer(link, 200, (b"0123456789" * (int(rest) // 10 + 1))[:int(rest)])
        elif word == "binary":
            self.answer(link, 200, bytes(range(1, 32)) + "ünïcode".encode())
        elif word == "reset":
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif word == "garbage":
            link.sendall(b"this is no HTTP\r\n\r\n")
        # else: closed without an answer


# ---- gRPC health over HTTP/2 ----

def _frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _headers(pairs):
    """HPACK without compression: literals with new names."""
    out = b""
    for name, value in pairs:
        out += b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return out


class Grpc(Server):
    """The service's name says what the answer is; see CASES."""

    CASES = {"": 1, "serving": 1, "not-serving": 2, "unknown": 0, "third": 3}
    ERRORS = {"missing": ("5", "unknown service"), "denied": ("7", "go%20away%21"), "odd": ("99", "x"), "internal": ("13", "")}

    def serve(self, link):
        data = self._exactly(link, 24)
        if not data.startswith(b"PRI * HTTP/2.0"):
            return
        link.sendall(_frame(4, 0, 0))
        message, stream = b"", 0
        while True:
            head = self._exactly(link, 9)
            size, kind, flags = struct.unpack(">I", b"\0" + head[:3])[0], head[3], head[4]
            number = struct.unpack(">I", head[5:])[0] & 0x7fffffff
            payload = self._exactly(link, size)
            if kind == 4 and not flags & 1:
                link.sendall(_frame(4, 1, 0))
            elif kind == 6 and not flags & 1:
                link.sendall(_frame(6, 1, 0, payload))
            elif kind == 7:
                return
            elif kind == 0:
                message += payload
            if kind in (0, 1) and flags & 1:
                self._answer(link, number, message)
                message = b""

    @staticmethod
    def _exactly(link, size):
        data = b""
        while len(data) < size:
            more = link.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _answer(self, link, stream, message):
        service = message[7:].decode() if len(message) > 7 else ""
        start = [(":status", "200"), ("content-type", "application/grpc")]
        if service == "slow":
            time.sleep(SLOW)
        elif service.startswith("reset-"):
            link.sendall(_frame(3, 0, stream, struct.pack(">I", int(service[6:]))))
        elif service == "bye":
            link.close()
        elif service == "http":
            link.sendall(_frame(1, 4, stream, _headers([(":status", "503"), ("content-type", "text/html")])) + _frame(0, 1, stream, b"no"))
        elif service in self.ERRORS:
            code, text = self.ERRORS[service]
            link.sendall(_frame(1, 5, stream, _headers(start + [("grpc-status", code), ("grpc-message", text)])))
        else:
            status = self.CASES.get(service, 1)
            body = b"\x08" + bytes([status]) if status else b""
            link.sendall(_frame(1, 4, stream, _headers(start)) + _frame(0, 0, stream, b"\0" + struct.pack(">I", len(body)) + body) +
                         _frame(1, 5, stream, _headers([("grpc-status", "0"), ("grpc-message", "")])))


# ---- a Docker engine ----

class Docker(Server):
    """The container's name says what happens: exit-N, create-N, start-N, inspect-N (that step answers with status N), and bad-….
    `seen` keeps the requests."""

    def __init__(self, path):
        self.seen, self.lock, self.execs = [], threading.Lock(), {}
        super().__init__(path=path)

    def serve(self, link):
        while True:
            method, path, headers, body = read_request(link)
            with self.lock:
                self.seen.append((method, path, {k: v for k, v in headers.items() if k not in ("user-agent",)}, body))
            status, answer = self._answer(method, path, body)
            if status is None:
                return
            link.sendall(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(answer)) + answer)

    def _answer(self, method, path, body):
        made = re.fullmatch(r"/containers/([^/]+)/exec", path)
        if method == "POST" and made:
            name = unquote_plus(made[1])
            with self.lock:
                number = re.sub("[^a-z0-9-]", "_", name)
                self.execs[number] = name
            return self._step(name, "create", 201, json.dumps({"Id": number}).encode())
        step = re.fullmatch(r"/exec/(.+)/(start|json)", path)
        number = unquote_plus(step[1]) if step else ""
        name = self.execs.get(number)
        if name is None:
            return 404, b"no such thing: " + path.encode()
        if step[2] == "start":
            return self._step(name, "start", 200, b"says %s\r\n" % name.encode())
        code = int(name[5:]) if name.startswith("exit-") else 0
        return self._step(name, "inspect", 200, json.dumps({"ExitCode": code, "Running": False, "ID": number}).encode())

    @staticmethod
    def _step(name, step, status, answer):
        kind, _, rest = name.partition("-")
        if kind == step:
            return int(rest), b"the engine says no"
        if name == "bad-" + step:
            return status, b'{"Id":'
        if name == "gone-" + step:
            return None, b""
        return status, answer
