"""The server port spoken by hand, from docs/protocol/rpc.md 2 and 3: msgpack of the old dialect, requests on a plain
connection or on the streams of a session, snapshot connections. For tests: keeps what came as it came (maps as lists of
pairs, so that the order of keys can be compared)."""

import socket
import struct

PORT = 8300
DATA, WINDOW, PING, GO_AWAY = 0, 1, 2, 3
SYN, ACK, FIN, RST = 1, 2, 4, 8


class Map(list):
    """Pairs in the order of the bytes."""

    def get(self, key, default=None):
        return next((v for k, v in self if k == key), default)


class Raw(list):
    """Objects one after the other inside of a raw string (docs/protocol/rpc.md 3.5)."""


class Incomplete(Exception):
    pass


def encode(value):
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        return b"\xcf" + struct.pack(">Q", value) if value >= 0 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, (str, bytes)):
        raw = value.encode() if isinstance(value, str) else value
        if len(raw) < 32:
            return bytes([0xA0 | len(raw)]) + raw
        return (b"\xda" + struct.pack(">H", len(raw)) if len(raw) < 65536 else b"\xdb" + struct.pack(">I", len(raw))) + raw
    if isinstance(value, Raw):
        return encode(b"".join(encode(v) for v in value))
    if isinstance(value, Map):
        return b"\xde" + struct.pack(">H", len(value)) + b"".join(encode(k) + encode(v) for k, v in value)
    if isinstance(value, dict):
        return b"\xde" + struct.pack(">H", len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())
    return b"\xdc" + struct.pack(">H", len(value)) + b"".join(encode(v) for v in value)


def _take(raw, at, size):
    if at + size > len(raw):
        raise Incomplete()
    return raw[at:at + size], at + size


def _number(raw, at, size, signed=False):
    piece, at = _take(raw, at, size)
    return int.from_bytes(piece, "big", signed=signed), at


def _items(raw, at, count):
    out = []
    for _ in range(count):
        value, at = decode(raw, at)
        out.append(value)
    return out, at


def _map(raw, at, count):
    flat, at = _items(raw, at, 2 * count)
    return Map(zip(flat[0::2], flat[1::2])), at


def decode(raw, at=0):
    """One object: (value, where it ends). Strings are bytes."""
    (tag,), at = _take(raw, at, 1)
    if tag < 0x80:
        return tag, at
    if tag < 0x90:
        return _map(raw, at, tag & 15)
    if tag < 0xA0:
        return _items(raw, at, tag & 15)
    if tag < 0xC0:
        return _take(raw, at, tag & 31)
    if tag >= 0xE0:
        return tag - 256, at
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    if tag in (0xCA, 0xCB):
        piece, at = _take(raw, at, 4 if tag == 0xCA else 8)
        return struct.unpack(">f" if tag == 0xCA else ">d", piece)[0], at
    if 0xCC <= tag <= 0xD3:
        return _number(raw, at, 1 << (tag & 3), tag >= 0xD0)
    if tag in (0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF):
        count, at = _number(raw, at, 2 if tag % 2 == 0 else 4)
        return (_take, _items, _map)[(tag - 0xDA) // 2](raw, at, count)
    raise ValueError("not of the old dialect: %02x" % tag)


def opened(value):
    """With the raw strings that hold objects as Raw."""
    if isinstance(value, bytes) and value:
        inside, at = Raw(), 0
        try:
            while at < len(value):
                one, at = decode(value, at)
                inside.append(one)
        except (Incomplete, ValueError):
            return value
        return Raw(opened(one) for one in inside) if any(isinstance(one, Map) for one in inside) else value
    if isinstance(value, Map):
        return Map((k, opened(v)) for k, v in value)
    return [opened(v) for v in value] if isinstance(value, list) else value


def header(method, seq=1):
    return encode({"Seq": seq, "ServiceMethod": method})


def response(raw):
    """(header, body, where they end) or Incomplete."""
    head, at = decode(raw)
    body, at = decode(raw, at)
    return head, body, at


class Plain:
    """First byte 0x00: requests directly on a connection, which is made again when it was closed."""

    def __init__(self, ip, timeout=60):
        self.ip, self.timeout, self.link, self.raw = ip, timeout, None, b""

    def open(self, first=b"\0"):
        self.link = socket.create_connection((self.ip, PORT), timeout=self.timeout)
        self.link.sendall(first)
        self.raw = b""
        return self

    def close(self):
        if self.link is not None:
            self.link.close()
        self.link = None

    def send(self, raw):
        self.link.sendall(raw)

    def receive(self):
        while True:
            try:
                head, body, end = response(self.raw)
                self.raw = self.raw[end:]
                return head, body
            except Incomplete:
                more = self.link.recv(1 << 20)
                if not more:
                    raise ConnectionError("closed")
                self.raw += more

    def exchange(self, raw):
        """(header, body); the connection is made anew if the server had closed it after an error of the layer."""
        for again in (True, False):
            if self.link is None:
                self.open()
            try:
                self.send(raw)
                return self.receive()
            except ConnectionError:
                self.close()
                if not again:
                    raise

    def call(self, method, **body):
        head, got = self.exchange(header(method) + encode(body))
        error = head.get(b"Error")
        if error:
            raise RuntimeError(error.decode())
        return got


def frame(kind, flags, stream, length, payload=b""):
    return struct.pack(">BBHII", 0, kind, flags, stream, length) + payload


def opening(stream):
    return frame(WINDOW, SYN, stream, 0)


def data(stream, payload):
    return frame(DATA, 0, stream, len(payload), payload)


class Session:
    """First byte 0x04. Frames are read one by one; pings are answered, windows are granted for what comes."""

    def __init__(self, ip, timeout=60):
        self.link = socket.create_connection((ip, PORT), timeout=timeout)
        self.link.sendall(b"\x04")
        self.streams, self.ended, self.acked = {}, set(), set()

    def close(self):
        self.link.close()

    def send(self, raw):
        self.link.sendall(raw)

    def _exactly(self, size):
        out = b""
        while len(out) < size:
            more = self.link.recv(size - len(out))
            if not more:
                raise ConnectionError("closed")
            out += more
        return out

    def read_frame(self):
        _, kind, flags, stream, length = struct.unpack(">BBHII", self._exactly(12))
        payload = self._exactly(length) if kind == DATA else b""
        if kind == PING and flags & SYN:
            self.send(frame(PING, ACK, 0, length))
        if kind == DATA:
            self.streams[stream] = self.streams.get(stream, b"") + payload
            if payload:
                self.send(frame(WINDOW, 0, stream, len(payload)))
        if flags & ACK and stream:
            self.acked.add(stream)
        if flags & (FIN | RST):
            self.ended.add(stream)
        return kind, flags, stream, length, payload

    def answer(self, stream):
        """The next response of the stream; None when it ended without."""
        while True:
            try:
                head, body, end = response(self.streams.get(stream, b""))
                self.streams[stream] = self.streams[stream][end:]
                return head, body
            except Incomplete:
                if stream in self.ended:
                    return None
                self.read_frame()


def read_all(link, limit=1 << 30):
    out = b""
    while len(out) < limit:
        try:
            more = link.recv(1 << 20)
        except ConnectionResetError:
            return out
        if not more:
            return out
        out += more
    return out


def snapshot(ip, request, archive=b"", half_close=True, timeout=60):
    """First byte 0x05: (response, archive); (None, ...) when the server only closed."""
    link = socket.create_connection((ip, PORT), timeout=timeout)
    try:
        link.sendall(b"\x05" + request + archive)
        if half_close:
            link.shutdown(socket.SHUT_WR)
        raw = read_all(link)
    finally:
        link.close()
    if not raw:
        return None, b""
    head, at = decode(raw)
    return head, raw[at:]
