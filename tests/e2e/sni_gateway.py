"""A mesh gateway for the tests of federation: what Envoy does of it with `consul-wan-federation` (connect.md 6.6) in Python. A connection's
ClientHello says by SNI which server is meant; all its bytes go to that server, or to a gateway of its datacenter. Nothing is decrypted."""

import asyncio
import socket
import threading

HELLO_MAX = 65536


class Hello:
    """The server name and the protocols (ALPN) of a ClientHello."""

    def __init__(self, body):
        self.sni, self.alpn = None, []
        at = 2 + 32
        at += 1 + body[at]
        at += 2 + int.from_bytes(body[at:at + 2], "big")
        at += 1 + body[at]
        end = at + 2 + int.from_bytes(body[at:at + 2], "big")
        at += 2
        while at + 4 <= end:
            kind, size = int.from_bytes(body[at:at + 2], "big"), int.from_bytes(body[at + 2:at + 4], "big")
            self._extension(kind, body[at + 4:at + 4 + size])
            at += 4 + size

    def _extension(self, kind, data):
        if kind == 0:
            self.sni = data[5:5 + int.from_bytes(data[3:5], "big")].decode()
        elif kind == 16:
            at = 2
            while at < len(data):
                self.alpn.append(data[at + 1:at + 1 + data[at]].decode())
                at += 1 + data[at]


async def read_hello(reader):
    """(the bytes read, Hello)"""
    raw, body = b"", b""
    while len(body) < 4 or len(body) < 4 + int.from_bytes(body[1:4], "big"):
        head = await reader.readexactly(5)
        if head[0] != 22 or len(body) > HELLO_MAX:
            raise ValueError("no ClientHello")
        part = await reader.readexactly(int.from_bytes(head[3:5], "big"))
        raw, body = raw + head + part, body + part
    if body[0] != 1:
        raise ValueError("no ClientHello")
    return raw, Hello(body[4:4 + int.from_bytes(body[1:4], "big")])


class Gateway:
    """routes: {server name: (ip, port)}; a name "*.x" stands for all that end so. They may be changed at any time.
    seen: [(server name, protocol)] of all connections that came; unknown: names without a route."""

    def __init__(self, ip, port, routes):
        self.ip, self.port, self.routes = ip, port, dict(routes)
        self.seen, self.unknown, self.is_up = [], [], False
        self.holds = False  # connections are taken, and nothing comes of them
        self.registered = False  # whoever registers it says so here
        self.loop, self.listener, self.links = asyncio.new_event_loop(), None, {}
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.open()

    @property
    def address(self):
        return "%s:%d" % (self.ip, self.port)

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def open(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.ip, self.port))
        self.listener.listen(100)
        self.listener.setblocking(False)

        async def begin():
            self.loop.add_reader(self.listener, self._accept)
        self._run(begin())
        self.is_up = True

    def kill(self):
        """As a crash: nothing listens any more and all that was connected is cut."""
        async def cut():
            self.loop.remove_reader(self.listener)
            links = dict(self.links)
            for task in links:
                task.cancel()
            await asyncio.gather(*links, return_exceptions=True)
            for link in links.values():  # of those that had not begun
                link.close()
            self.links.clear()
            self.listener.close()
        if self.is_up:
            self._run(cut())
        self.is_up = False

    def close(self):
        self.kill()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def _accept(self):
        """At once, so that no connection is ever between the listener and us when it is closed."""
        link, _ = self.listener.accept()
        link.setblocking(False)
        task = asyncio.ensure_future(self._connection(link))
        self.links[task] = link
        task.add_done_callback(lambda t: self.links.pop(t, None))

    def _target(self, name):
        if name in self.routes:
            return self.routes[name]
        while "." in name:
            name = name.split(".", 1)[1]
            if "*." + name in self.routes:
                return self.routes["*." + name]
        return None

    async def _connection(self, link):
        writer = other = None
        try:
            reader, writer = await asyncio.open_connection(sock=link)
            raw, hello = await read_hello(reader)
            self.seen.append((hello.sni or "", ",".join(hello.alpn)))
            target = self._target(hello.sni or "")
            if target is None:
                self.unknown.append(hello.sni)
                return
            if self.holds:
                await reader.read(1)
            back, other = await asyncio.open_connection(*target)
            other.write(raw)
            await asyncio.gather(self._pump(reader, other), self._pump(back, writer))
        except (OSError, ValueError, IndexError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, other):
                if end is not None:
                    end.transport.abort()

    @staticmethod
    async def _pump(reader, writer):
        while True:
            data = await reader.read(65536)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def federation(datacenters, domain="consul"):
    """Routes for one gateway of each datacenter. datacenters: {dc: ((gateway ip, port), {node: server ip})}; gives {dc: routes}."""
    made = {}
    for dc, (_, servers) in datacenters.items():
        routes = {"%s.server.%s.%s" % (node, dc, domain): (ip, 8300) for node, ip in servers.items()}
        if servers:
            routes["server.%s.%s" % (dc, domain)] = (next(iter(servers.values())), 8300)
        for other, (where, _) in datacenters.items():
            if other != dc:
                routes["*.server.%s.%s" % (other, domain)] = where
                routes["server.%s.%s" % (other, domain)] = where
        made[dc] = routes
    return made
