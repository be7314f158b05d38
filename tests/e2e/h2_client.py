"""A client of HTTP/2 for the end-to-end tests: python's h2 for what is well-formed, frames by hand for what is not. It reads
only when it is asked to, so that a test decides what waits where."""

import socket
import ssl
import struct
import time

import h2.config
import h2.connection
import h2.events

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def connect(ip, port=8501, protocols=("h2",), timeout=60):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    return context.wrap_socket(socket.create_connection((ip, port), timeout=timeout))


class Answer:
    """What has come of one: complete when `ended`, or `reset` with a code."""

    def __init__(self):
        self.status, self.headers, self.body, self.ended, self.reset, self.interim = None, {}, b"", False, None, []
        self.trailers = {}

    @property
    def done(self):
        return self.ended or self.reset is not None


class Client:
    """Requests by number; answers in `self.answers`."""

    def __init__(self, ip, port=8501, window=65535, strict=True, grant=True, clear=False):
        self.ip, self.port, self.grant = ip, port, grant
        self.sock = socket.create_connection((ip, port), timeout=60) if clear else connect(ip, port)
        assert clear or self.sock.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=strict, normalize_outbound_headers=strict))
        self.h2.local_settings.initial_window_size = window
        self.h2.initiate_connection()
        self.answers, self.goaway, self.closed, self.pings = {}, None, False, 0
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def send(self, method, path, body=None, headers=(), end=True):
        """The number of the request. body: as much of it as the windows admit is sent, waiting for more."""
        number = self.h2.get_next_available_stream_id()
        self.answers[number] = Answer()
        self.h2.send_headers(number, [(":method", method), (":scheme", "https"), (":authority", "%s:%d" % (self.ip, self.port)),
                                      (":path", path), *headers], end_stream=body is None and end)
        self.flush()
        if body is not None:
            self.send_body(number, body, end)
        return number

    def send_body(self, number, body, end=True):
        while body:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, len(body))
            if room == 0:
                self.read_some(60)
                if self.answers[number].done:
                    return
                continue
            self.h2.send_data(number, body[:room])
            body = body[room:]
            self.flush()
        if end:
            self.h2.end_stream(number)
            self.flush()

    def reset(self, number, code=8):
        self.h2.reset_stream(number, code)
        self.flush()

    def read_some(self, seconds):
        """One read; False: nothing within that time, or the end."""
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(262144)
        except (TimeoutError, socket.timeout):
            return False
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return False
        for event in self.h2.receive_data(data):
            self.note(event)
        self.flush()
        return True

    def note(self, event):
        answer = self.answers.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ResponseReceived):
            answer.status, answer.headers = int(dict(event.headers)[":status"]), dict(event.headers)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            answer.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            if self.grant:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = dict(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event.error_code
        elif isinstance(event, h2.events.PingAckReceived):
            self.pings += 1

    def wait(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            assert left > 0 and not self.closed, "not within %g s, closed: %s" % (seconds, self.closed)
            self.read_some(left)

    def get(self, number, seconds=60):
        answer = self.answers[number]
        self.wait(lambda: answer.done, seconds)
        return answer

    def ask(self, method, path, body=None, headers=(), seconds=60):
        return self.get(self.send(method, path, body, headers), seconds)

    def close(self):
        self.sock.close()


# ---- by hand ----

def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def text(value):
    """A string of HPACK without Huffman's code."""
    value = value if isinstance(value, bytes) else value.encode("latin-1")
    if len(value) < 127:
        return bytes((len(value),)) + value
    out, left = b"\x7f", len(value) - 127
    while left >= 128:
        out, left = out + bytes((left % 128 + 128,)), left // 128
    return out + bytes((left,)) + value


def fields(*pairs):
    """A block of HPACK, all literal, nothing indexed."""
    return b"".join(b"\x00" + text(name) + text(value) for name, value in pairs)


def head(method="GET", path="/v1/status/leader", *more):
    return fields((":method", method), (":scheme", "https"), (":authority", "x"), (":path", path), *more)


class Raw:
    """A connection after its handshake, preface and SETTINGS; says what comes in frames."""

    def __init__(self, ip, port=8501, settings=b"", preface=PREFACE):
        self.sock, self.bytes, self.ended = connect(ip, port), b"", False
        self.sock.sendall(preface + (frame(SETTINGS, 0, 0, settings) if preface == PREFACE else b""))

    def send(self, *frames):
        """False: the other side has closed."""
        try:
            self.sock.sendall(b"".join(frames))
            return True
        except OSError:
            self.ended = True
            return False

    def next(self, seconds=60):
        """(kind, flags, stream, payload), or None: the end, or nothing within the time."""
        self.sock.settimeout(seconds)
        while True:
            if len(self.bytes) >= 9:
                size = int.from_bytes(self.bytes[:3], "big")
                if len(self.bytes) >= 9 + size:
                    kind, flags, stream = self.bytes[3], self.bytes[4], int.from_bytes(self.bytes[5:9], "big")
                    payload, self.bytes = self.bytes[9:9 + size], self.bytes[9 + size:]
                    return kind, flags, stream, payload
            try:
                data = self.sock.recv(65536)
            except (TimeoutError, socket.timeout):
                return None
            except OSError:
                data = b""
            if not data:
                self.ended = True
                return None
            self.bytes += data

    def outcome(self, stream=1, seconds=60):
        """How that request ended: ("status", "431"), ("reset", code), ("goaway", code), ("closed",)."""
        import hpack
        decoder = hpack.Decoder()
        while True:
            got = self.next(seconds)
            if got is None:
                return ("closed",) if self.ended else ("nothing",)
            kind, _, number, payload = got
            if kind == GOAWAY:
                return "goaway", int.from_bytes(payload[4:8], "big")
            if kind == HEADERS:
                found = dict(decoder.decode(payload))
                if number == stream:
                    return "status", found[":status"]
            if kind == RST_STREAM and number == stream:
                return "reset", int.from_bytes(payload, "big")

    def close(self):
        self.sock.close()
