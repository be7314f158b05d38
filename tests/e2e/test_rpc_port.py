"""The server port (docs/protocol/rpc.md), ours beside the peer's: what vectors/rpc recorded is sent to both, byte for byte,
and the answers must be the same; then snapshots across, and clients that mean no good."""

import concurrent.futures
import json
import os
import re
import select
import socket
import subprocess
import threading
import time

from e2e.harness import PATIENCE, until
from e2e.rpc_wire import (ACK, FIN, PING, RST, SYN, WINDOW, Map, Plain, Session, data, decode, encode, frame, header, opened,
                          opening, read_all, snapshot)

VECTORS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors", "rpc")
NOT_BUILT = re.compile(rb"not supported yet by this version of Praetor|Connect must be enabled in order to use this endpoint")
UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
INDEXES = (b"CreateIndex", b"ModifyIndex", b"PrimaryModifyIndex", b"Index", b"LockIndex", b"LastIndex", b"LastTerm")
ID = "11111111-2222-3333-4444-555555555555"
REPLAYED = ["all_methods_minimal", "client_agent_sync", "client_agent_http_driven", "server_to_server", "config_entry"]
# What a recording server alone can know (coordinates of a WAN pool that these have not), and what a server's age decides (health).
OWN_STATE = {"Coordinate.ListDatacenters", "Operator.ServerHealth"}
# What a server writes of its own accord some seconds after it was told, or has started: these are asked again until both have.
LATE = {"Coordinate.ListNodes", "Coordinate.Node"}


def vectors(name):
    with open(os.path.join(VECTORS, name + ".json"), encoding="utf-8") as handle:
        return json.load(handle)


def start(agents, binary, name, **config):
    config.setdefault("node_id", ID)
    return agents(binary, name=name, config=dict(config, node_name="n1", bootstrap_expect=1))


def pair(agents, praetor, peer, **config):
    both = [start(agents, peer, "peer", **config), start(agents, praetor, "ours", **config)]
    for agent in both:
        agent.name = "n1"
        agent.start()
        until("its own record in full", lambda: (agent.get("/v1/catalog/node/n1").json or {}).get("Node", {}).get("Meta"))
        until("its federation state", lambda: agent.get("/v1/internal/federation-state/dc1").status == 200)
    return both


def same(value, key=None, ip=b""):
    """What two servers with the same past agree on: indexes are there or not, IDs are IDs, plain maps have no order."""
    if key in INDEXES:
        return value if isinstance(value, int) and value < 2 else "N"
    if key in (b"CreatedAt", b"UpdatedAt", b"Hash"):  # of intentions; the hash is also of their ID
        return len(value)
    if isinstance(value, bytes):
        return UUID.sub(b"UUID", value.replace(ip, b"IP"))
    if isinstance(value, Map):
        return Map(sorted(((k, same(v, k, ip)) for k, v in value), key=lambda pair: pair[0]))
    if isinstance(value, list):
        out = [same(v, None, ip) for v in value]
        return sorted(out, key=repr) if key in (b"Services", b"Queries") or all(isinstance(v, bytes) for v in out) else out
    return value


def ordered(value):
    """Ours writes every map in the order of its keys."""
    if isinstance(value, Map):
        keys = [k for k, _ in value]
        assert keys == sorted(keys), keys
        for _, v in value:
            ordered(v)
    elif isinstance(value, list):
        for v in value:
            ordered(v)


def others_coordinates(exchange):
    """Without those of the server itself, which it measures."""
    head, body = exchange
    drop = [c for c in body.get(b"Coordinates") or [] if c.get(b"Node") == b"n1"]
    return [head, Map((k, [c for c in v if c not in drop] or None if k == b"Coordinates" and v else v) for k, v in body)]


def test_recorded_exchanges(agents, praetor, peer):
    """Every request that a peer's agent or server was recorded to send, in order, to a server of each kind."""
    theirs, ours = pair(agents, praetor, peer, ports={"http": 8500, "dns": 8600, "server": 8300, "serf_lan": 8301,
                                                     "serf_wan": -1, "https": -1, "grpc": -1})
    links, missing, compared = [Plain(theirs.ip), Plain(ours.ip)], set(), 0
    for name in REPLAYED:
        for number, vector in enumerate(vectors(name)["vectors"]):
            method, request = vector.get("method", ""), vector.get("request", {})
            if "header_hex" not in request:
                continue
            raw = bytes.fromhex(request["header_hex"]) + bytes.fromhex(request["body_hex"])
            raw = raw.replace(b"\xa310s", b"\xa323h")  # no session ends by itself while this runs
            mine = links[1].exchange(raw)
            assert mine[0].get(b"Seq") == request["header"].get("Seq", 0)
            assert mine[0].get(b"ServiceMethod") == method.encode()
            ordered(mine[0]), ordered(opened(mine[1]) if method.startswith("ConfigEntry.") else mine[1])
            if method.startswith("ACL."):  # those were recorded with ACLs on
                assert mine[0].get(b"Error") or method == "ACL.ReplicationStatus", method
                continue
            got = [(links[0].exchange(raw), theirs.ip.encode()), (mine, ours.ip.encode())]
            if NOT_BUILT.search(mine[0].get(b"Error")):
                missing.add(method)
                continue
            if method in OWN_STATE:
                continue
            if method.startswith("ConfigEntry."):
                got = [((head, opened(body)), ip) for (head, body), ip in got]
            peers, own = [[same(part, None, ip) for part in exchange] for exchange, ip in got]
            if method in LATE:
                def alike():
                    peers, own = [[same(part) for part in others_coordinates(link.exchange(raw))] for link in links]
                    return own == peers
                until("%s %d %s is the same" % (name, number, method), alike)
            else:
                assert own == peers, "%s %d %s" % (name, number, method)
            compared += 1
    print("compared", compared, "not built", sorted(missing))
    assert compared > 140
    assert not {m.split(".")[0] for m in missing} & {"Catalog", "ConfigEntry", "Health", "KVS", "Session", "Status", "Txn",
                                                         "PreparedQuery"}


def test_decoder_tolerance(agents, praetor, peer):
    for agent in pair(agents, praetor, peer):
        link = Plain(agent.ip)
        for vector in vectors("msgpack")["vectors"]:
            note = vector["note"]
            method = "KVS.Apply" if "KVS.Apply" in note else "Status.Leader" if "Status.Leader" in note else "Catalog.ListNodes"
            head, _ = link.exchange(header(method) + bytes.fromhex(vector["request_body_hex"]))
            wanted = vector["result"]
            assert head.get(b"Error").decode() == (wanted[7:] if wanted.startswith("error: ") else ""), (agent.name, note)
            if wanted.startswith("error: codec"):
                assert link.link.recv(1) == b""  # the line ends
                link.close()
        stored = {k: link.call("KVS.Get", Datacenter="dc1", Key=k).get(b"Entries")[0].get(b"Value") for k in ("arr", "b8", "vempty")}
        assert stored == {"arr": b"x", "b8": b"abc", "vempty": None}


def logged(agent, pattern, times=1):
    """Waits until the log, which may lag behind what it is about, has that many lines that match."""
    until("%d lines of %s" % (times, pattern), lambda: len(re.findall(pattern, agent.tail(1 << 20))) >= times)


def served(ip):
    """Whether there is room for a connection, which is answered."""
    link = Plain(ip)
    try:
        return link.call("Status.Ping") == Map()
    except ConnectionError:
        return False
    finally:
        link.close()


def closed_after(ip, first, wait):
    """How long until the server closes the connection; None: not in that time."""
    began = time.monotonic()
    link = socket.create_connection((ip, 8300), timeout=wait)
    try:
        if first:
            link.sendall(first)
        link.recv(1)
        return time.monotonic() - began
    except ConnectionError:
        return time.monotonic() - began
    except socket.timeout:
        return None
    finally:
        link.close()


def test_first_bytes(agents, praetor):
    agent = start(agents, praetor, "ours", limits={"rpc_handshake_timeout": "6s", "rpc_max_conns_per_client": 50})
    agent.name = "n1"
    agent.start()
    cases, stay = vectors("first_byte")["vectors"], ("00", "01", "04", "05")

    def reaction(vector):
        return closed_after(agent.ip, bytes.fromhex(vector["byte"].strip("(none)")), 8.0 if vector["byte"] in stay else PATIENCE)
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        took = list(pool.map(reaction, cases))
    for vector, seconds in zip(cases, took):
        if vector["byte"] in ("(none)", "03", "07"):  # the peer waits for ever behind 07
            assert seconds is not None and seconds > 5.9, vector
        elif vector["byte"] in stay:
            assert seconds is None, vector
        else:
            assert seconds is not None, vector  # at once: the log says why
    for byte in (2, 6, 8, 9, 22):
        logged(agent, r"agent\.server\.rpc: unrecognized RPC byte: byte=%d conn=from=127\.0\.0\.1:" % byte)
    logged(agent, r'failed to read byte: conn=from=\S+ error="read tcp %s:8300->\S+: i/o timeout"' % re.escape(agent.ip))


def test_connection_limit(agents, praetor):
    """So many of one address, whatever they speak; the next is closed at once, until one goes. A reload changes it."""
    agent = start(agents, praetor, "ours", limits={"rpc_max_conns_per_client": 3})
    agent.name = "n1"
    agent.start()
    kept = [Plain(agent.ip).open(first) for first in (b"\0", b"\x04", b"\x05", b"\0")]
    # Which one is one too many is up to the threads that take them.
    refused = until("one is closed", lambda: select.select([k.link for k in kept], [], [], 0)[0])
    assert len(refused) == 1
    kept = [k for k in kept if k.link is not refused[0]]
    assert closed_after(agent.ip, b"\0", PATIENCE) is not None
    logged(agent, "rejecting RPC conn from because rpc_max_conns_per_client exceeded: conn=from=")
    kept[0].close()
    until("room for another", lambda: served(agent.ip))
    with open(agent.config) as handle:
        conf = json.load(handle)
    conf["limits"]["rpc_max_conns_per_client"] = 1
    with open(agent.config, "w") as handle:
        json.dump(conf, handle)
    assert agent.put("/v1/agent/reload").status == 200
    assert closed_after(agent.ip, b"\0", PATIENCE) is not None
    assert closed_after(agent.ip, b"\0", PATIENCE) is not None
    kept[1].close(), kept[2].close()
    until("room for one", lambda: served(agent.ip))


def test_verify_incoming(agents, praetor, tmp_path):
    """Where only TLS may come in, nothing is served in clear text (and TLS is not there yet)."""
    key, cert = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
                    "-subj", "/CN=n1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    agent = start(agents, praetor, "ours", verify_incoming_rpc=True, ca_file=cert, cert_file=cert, key_file=key)
    agent.name = "n1"
    agent.start()
    for byte in (b"\0", b"\1", b"\4", b"\5"):
        assert closed_after(agent.ip, byte, PATIENCE) is not None
    logged(agent, "Non-TLS connection attempted with VerifyIncoming set: conn=from=", 4)


def react(ip, sent, ends, wanted=b""):
    """What comes back after these bytes of a session, and whether it was closed. Where it should not end, a ping goes behind them: when
    that is answered, and `wanted` has come, there is no more to come."""
    pinged, pong = frame(PING, SYN, 0, 0x77777777), frame(PING, ACK, 0, 0x77777777)
    link = socket.create_connection((ip, 8300), timeout=PATIENCE)
    out = b""
    try:
        link.sendall(b"\x04" + sent + (b"" if ends else pinged))
        while ends or pong not in out or wanted not in out:
            more = link.recv(1 << 20)
            if not more:
                return out, True
            out += more
        return out.replace(pong, b""), False
    except ConnectionError:
        return out, True
    finally:
        link.close()


def test_bad_frames(agents, praetor):
    agent = start(agents, praetor, "ours")
    agent.name = "n1"
    agent.start()
    for vector in vectors("yamux")["client_sends_server_reacts"]:
        sent = vector["sent"].replace(" ", "")
        if "+" in sent:
            sent = sent.split("+")[0] + data(1, b"\x82" * 327680).hex()
        if vector["what"] == "second FIN":
            continue  # the peer is slower to close its side; ours knows no such stream any more, which is allowed
        ends, wanted = "TCP connection closed" in vector["result"], re.search(r"0{3}[0-9a-f]{21}", vector["result"])
        answer = bytes.fromhex(wanted.group(0)) if wanted else b"Status.Ping" if vector["what"] == "SYN on a data frame" else b""
        out, closed = react(agent.ip, bytes.fromhex(sent), ends, answer)
        assert closed == ends, vector
        if wanted:
            assert out.hex() == wanted.group(0), vector
        elif "before the first data byte" in vector["what"]:
            assert out.startswith(frame(WINDOW, ACK, 1, 0))
        elif vector["what"] == "SYN on a data frame":
            assert out.startswith(frame(WINDOW, ACK, 3, 0)) and b"Status.Ping" in out
        elif closed:
            assert out in (b"", frame(3, 0, 0, 1)) or out.startswith(frame(WINDOW, ACK, 1, 0)), (vector, out.hex())
        else:
            assert out == b"", vector
    for text in ("invalid protocol version", "invalid msg type", "yamux protocol error"):
        logged(agent, r'multiplex conn accept failed: conn=from=127\.0\.0\.1\S* error="%s"' % text)
    logged(agent, r'Problem peeking connection: conn=from=\S+ err=EOF')
    logged(agent, r'Problem peeking connection: conn=from=\S+ err="connection reset"')


def test_streams(agents, praetor, peer):
    """The order in which streams are taken, pipelined requests, errors of both kinds, big values through the window."""
    for agent in pair(agents, praetor, peer, limits={"kv_max_value_size": 4 << 20}):
        session = Session(agent.ip)
        ping = header("Status.Ping", 7) + encode({})
        # Nothing is taken of a stream behind one that has not spoken.
        session.send(opening(1) + opening(3) + data(3, ping))
        while 1 not in session.acked:
            session.read_frame()
        session.send(frame(PING, SYN, 0, 99))
        while session.read_frame()[0] != PING:
            pass
        assert session.acked == {1}
        session.send(data(1, ping + ping))
        assert session.answer(3)[0].get(b"Seq") == 7
        assert session.answer(1) and session.answer(1)
        # An error of the application keeps the stream, one of the layer ends it.
        session.send(data(1, header("KVS.Get") + encode({"Datacenter": "nowhere"})))
        assert session.answer(1)[0].get(b"Error") == b"No path to datacenter"
        session.send(data(1, header("KVS.Nope") + encode({}) + ping))
        assert session.answer(1)[0].get(b"Error") == b"rpc: can't find method KVS.Nope"
        assert session.answer(1) is None
        session.send(frame(WINDOW, FIN, 1, 0))
        # 0x06 as first byte: only that stream ends.
        session.send(opening(5) + data(5, b"\x06") + opening(7) + data(7, ping))
        assert session.answer(7) and session.answer(5) is None
        session.close()
        # 3 MB both ways, in pieces of the window.
        value = os.urandom(3 << 20)
        big, session = Plain(agent.ip), Session(agent.ip)
        assert big.call("KVS.Apply", Datacenter="dc1", Op="set", DirEnt={"Key": "big", "Value": value}) is False
        session.send(opening(1) + data(1, header("KVS.Get") + encode({"Datacenter": "dc1", "Key": "big"})))
        assert session.answer(1)[1].get(b"Entries")[0].get(b"Value") == value
        session.close()


def test_blocking(agents, praetor, peer):
    """Waits on a stream, seen by others; a stream that is closed while it waits ends without an answer."""
    for agent in pair(agents, praetor, peer):
        link, session = Plain(agent.ip), Session(agent.ip)
        link.call("KVS.Apply", Datacenter="dc1", Op="set", DirEnt={"Key": "w", "Value": "1"})
        index = link.call("KVS.Get", Datacenter="dc1", Key="w").get(b"Index")
        wait = header("KVS.Get") + encode({"Datacenter": "dc1", "Key": "w", "MinQueryIndex": index, "MaxQueryTime": 60 * 10**9})
        for stream in range(1, 401, 2):
            session.send(opening(stream) + data(stream, wait))
        session.send(opening(1001) + data(1001, header("Status.Ping") + encode({})))
        assert session.answer(1001)
        assert not any(session.streams.get(stream) for stream in range(1, 401, 2))
        link.call("KVS.Apply", Datacenter="dc1", Op="set", DirEnt={"Key": "w", "Value": "2"})
        for stream in range(1, 401, 2):
            head, body = session.answer(stream)
            assert head.get(b"Error") == b"" and body.get(b"Entries")[0].get(b"Value") == b"2"
        session.close()


def test_snapshots_across(agents, praetor, peer):
    theirs, ours = pair(agents, praetor, peer)
    for vector in vectors("snapshot")["vectors"][2:8]:
        request = encode(vector["request"])
        note = vector["note"]
        archive = b"garbage" if "garbage" in note else b""
        if "cut short" in note:  # the text depends on the place, which the two unpackers see some bytes apart
            whole = snapshot(ours.ip, encode({"Datacenter": "dc1"}))[1]
            for size in range(0, len(whole), 97):
                texts = [snapshot(agent.ip, request, whole[:size])[0].get(b"Error") for agent in (ours, theirs)]
                assert texts[0].endswith(b"EOF") and texts[0].split(b":")[0] == texts[1].split(b":")[0], (size, texts)
            continue
        wanted = Map(sorted((k.encode(), v.encode() if isinstance(v, str) else v) for k, v in vector["response"].items()))
        got, rest = snapshot(ours.ip, request, archive)
        assert got == wanted and rest == b"", note
    for request in (b"", b"\x05", b"\xc1", b"\x81"):
        assert snapshot(ours.ip, request) == (None, b"")
    assert snapshot(ours.ip, encode({}))[0].get(b"Error") == b"No path to datacenter"
    for source, target in ((theirs, ours), (ours, theirs)):
        source.put(source.key("from"), source.ip)
        head, archive = snapshot(source.ip, bytes.fromhex(vectors("snapshot")["vectors"][0]["request_hex"]), half_close=False)
        assert head.get(b"Error") == b"" and head.get(b"Index") > 5 and head.get(b"KnownLeader") is True
        got, rest = snapshot(target.ip, bytes.fromhex(vectors("snapshot")["vectors"][1]["request_header_hex"]), archive)
        assert got == Map([(b"ConsistencyLevel", b""), (b"Error", b""), (b"Index", 0), (b"KnownLeader", False), (b"LastContact", 0)])
        assert rest == b""
        assert target.get(target.key("from") + "?raw").text == source.ip


def memory(agent):
    with open("/proc/%d/statm" % agent.proc.pid, encoding="ascii") as handle:
        return int(handle.read().split()[1]) * 4096


def alive(agent):
    assert served(agent.ip)


def test_hostile(agents, praetor):
    """Lengths that promise gigabytes, streams that say nothing, floods that nobody reads: refused or bounded, and everybody
    else is served."""
    agent = start(agents, praetor, "ours", limits={"rpc_handshake_timeout": "6s", "rpc_max_conns_per_client": 300})
    agent.name = "n1"
    agent.start()
    before = memory(agent)
    for body in (b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
                 b"\xdd\x0f\xff\xff\xff" + b"\xdd\x0f\xff\xff\xff" * 100, b"\x91" * 70000000):
        link = Plain(agent.ip).open()
        try:
            link.send(header("KVS.Get") + body)
        except ConnectionError:
            pass  # closed while we were still sending
        assert read_all(link.link) == b""
        link.close()
        alive(agent)
    deep = Plain(agent.ip)
    head, _ = deep.exchange(header("KVS.Get") + b"\x81\xa1x" + b"\x91" * 100000 + b"\xc0")
    assert b"codec.decoder" in head.get(b"Error") or b"depth" in head.get(b"Error")
    deep.close()
    # Connections that say nothing are gone after the handshake's time.
    silent = [socket.create_connection((agent.ip, 8300)) for _ in range(200)]
    for link in silent:
        link.settimeout(PATIENCE)
        assert link.recv(1) == b""
        link.close()
    # Streams that say nothing, and as many as there may be.
    session = Session(agent.ip)
    session.send(b"".join(opening(2 * n + 1) for n in range(2000)))
    resets = 0
    while resets < 2000 - 257:
        resets += bool(session.read_frame()[1] & RST)
    session.close()
    # Pings, and answers, that nobody reads.
    flood = socket.create_connection((agent.ip, 8300))
    flood.settimeout(1)
    try:
        flood.sendall(b"\x04")
        for _ in range(2000):
            flood.sendall(frame(PING, SYN, 0, 1) * 5000)
        raise AssertionError("the server read 120 MB of pings and kept the answers")
    except (socket.timeout, ConnectionError):
        pass
    big = Plain(agent.ip)
    big.call("KVS.Apply", Datacenter="dc1", Op="set", DirEnt={"Key": "big", "Value": b"x" * 500000})
    readers = []
    for _ in range(20):
        session = Session(agent.ip)
        session.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = header("KVS.Get") + encode({"Datacenter": "dc1", "Key": "big"})
        session.send(b"".join(opening(2 * n + 1) + data(2 * n + 1, request) for n in range(200)))
        readers.append(session)
    alive(agent)
    time.sleep(0.5)
    grown = memory(agent) - before
    flood.close()
    for session in readers:
        session.close()
    alive(agent)
    assert agent.proc.poll() is None
    print("grown by %d MB" % (grown >> 20))
    # 4000 answers of half a megabyte are 2 GB
    assert grown < 700 << 20


def test_many_streams_wait(agents, praetor):
    """Ten thousand blocking queries on one connection: what one costs, and that all are told."""
    agent = start(agents, praetor, "ours")
    agent.name = "n1"
    agent.start()
    link, session = Plain(agent.ip), Session(agent.ip)
    link.call("KVS.Apply", Datacenter="dc1", Op="set", DirEnt={"Key": "w", "Value": "1"})
    index = link.call("KVS.Get", Datacenter="dc1", Key="w").get(b"Index")
    request = header("KVS.Get") + encode({"Datacenter": "dc1", "Key": "w", "MinQueryIndex": index})
    count = 10000
    before = memory(agent)
    for n in range(count):
        session.send(opening(2 * n + 1) + data(2 * n + 1, request))
        if n % 200 == 199:
            while 2 * n + 1 not in session.acked:
                session.read_frame()
    session.send(frame(PING, SYN, 0, 1))
    while session.read_frame()[0] != PING:
        pass
    cost = (memory(agent) - before) / count
    link.call("KVS.Apply", Datacenter="dc1", Op="set", DirEnt={"Key": "w", "Value": "2"})
    began = time.monotonic()
    for n in range(count):
        assert session.answer(2 * n + 1)[1].get(b"Entries")[0].get(b"Value") == b"2"
    print("%d bytes each, all told after %.2f s" % (cost, time.monotonic() - began))
    assert cost < 4096
    session.close()


def test_stop_with_work_under_way(agents, praetor_asan):
    """An agent that ends while calls wait on its port, on both kinds of connections and in a snapshot that is not read."""
    agent = start(agents, praetor_asan, "ours")
    agent.name = "n1"
    agent.start()
    link = Plain(agent.ip)
    link.call("KVS.Apply", Datacenter="dc1", Op="set", DirEnt={"Key": "w", "Value": "1"})
    index = link.call("KVS.Get", Datacenter="dc1", Key="w").get(b"Index")
    wait = header("KVS.Get") + encode({"Datacenter": "dc1", "Key": "w", "MinQueryIndex": index})
    link.send(wait)
    session = Session(agent.ip)
    session.send(b"".join(opening(n) + data(n, wait) for n in range(1, 99, 2)) + opening(99))
    slow = socket.create_connection((agent.ip, 8300))
    slow.sendall(b"\x05" + encode({"Datacenter": "dc1", "Op": 1}) + b"x" * 1000)
    raft = socket.create_connection((agent.ip, 8300))
    raft.sendall(b"\x01")
    while 99 not in session.acked:
        session.read_frame()
    codes = []
    ended = threading.Thread(target=lambda: codes.append(agent.stop()))
    ended.start()
    for other in (link.link, session.link, slow, raft):
        other.settimeout(PATIENCE)
        read_all(other)
        other.close()
    ended.join()
    assert codes == [1]
    assert "Sanitizer" not in agent.tail(100000)


def places(value, path=()):
    for at, item in enumerate(value):
        yield path + (at,)
        item = item[1] if isinstance(value, Map) else item
        if isinstance(item, list):
            yield from places(item, path + (at,))


def replaced(value, path, new):
    if not path:
        return new
    out = type(value)(value)
    old = out[path[0]]
    out[path[0]] = (old[0], replaced(old[1], path[1:], new)) if isinstance(value, Map) else replaced(old, path[1:], new)
    return out


def test_mutated_requests(agents, praetor_asan):
    """All recorded requests with something else in each place in turn: nil where the peer's own code would follow a pointer,
    lists of nil, other kinds. Whatever the answer is, there is one."""
    agent = start(agents, praetor_asan, "ours", limits={"rpc_max_conns_per_client": 0}, log_level="WARN")
    agent.name = "n1"
    agent.start()
    link, sent = Plain(agent.ip), 0
    for name in REPLAYED + ["acl"]:
        for vector in vectors(name)["vectors"]:
            request = vector.get("request", {})
            body = decode(bytes.fromhex(request.get("body_hex", "c0")))[0]
            body = opened(body) if vector.get("method", "").startswith("ConfigEntry.") else body
            if not isinstance(body, list) or (isinstance(body, Map) and body.get(b"MinQueryIndex")):
                continue
            for path in places(body):
                for new in (None, [None], Map(), -1, b"x" * 300):
                    sent += 1
                    if sent % 3 != 0 and new is not None:
                        continue
                    link.exchange(header(vector["method"]) + encode(replaced(body, path, new)))
    assert sent > 10000
    alive(agent)
    assert agent.stop() == 1
    assert "Sanitizer" not in agent.tail(1 << 20)


def test_a_real_client_agent(agents, praetor, peer):
    """The peer's own client agent, joined by gossip, lives on our server: what it registers, reads, waits for, saves."""
    server = agents(praetor, name="srv").start()
    client = agents(peer, name="cli", config={
        "server": False, "bootstrap_expect": 0, "retry_join": [server.ip],
        "services": [{"name": "web", "port": 80, "check": {"ttl": "60s", "status": "passing"}}]})
    client.launch()
    until("its service here", lambda: server.get("/v1/health/service/web?passing").json)

    def same_leader():
        try:
            return client.get("/v1/status/leader").body == server.get("/v1/status/leader").body
        except OSError:
            return False
    until("a server there", same_leader)
    for path in ("/v1/catalog/nodes", "/v1/catalog/services", "/v1/catalog/service/web", "/v1/health/node/cli", "/v1/session/list",
                 "/v1/health/state/any", "/v1/health/service/web?cached", "/v1/query", "/v1/operator/raft/configuration"):
        def same_answer():
            """What the two agents tell of themselves comes in between."""
            ours, theirs = server.get(path), client.get(path)
            assert theirs.status == 200, (path, theirs.text)
            return theirs.json == ours.json
        until("the same of " + path, same_answer)
    assert client.put("/v1/kv/a", "1").json is True
    index, got = client.get("/v1/kv/a").index, []
    waiting = threading.Thread(target=lambda: got.append(client.get("/v1/kv/a?wait=60s&index=%d" % index, timeout=70)))
    waiting.start()
    server.put("/v1/kv/a", "2")
    waiting.join()
    assert got[0].index > index and client.get("/v1/kv/a?raw&stale").text == "2"
    session = client.put("/v1/session/create", {"TTL": "60s"}).json["ID"]
    assert client.put("/v1/kv/lock?acquire=" + session, "x").json is True
    assert client.put("/v1/session/renew/" + session).status == 200
    assert client.put("/v1/txn", [{"KV": {"Verb": "get", "Key": "a"}}]).json["Results"][0]["KV"]["Value"] == "Mg=="
    assert client.get("/v1/acl/tokens").status == 401  # "ACL support disabled"
    archive = client.get("/v1/snapshot")
    client.put("/v1/kv/a", "3")
    assert client.put("/v1/snapshot", archive.body).status == 200
    assert client.get("/v1/kv/a?raw").text == "2"
    assert client.put("/v1/agent/service/deregister/web").status == 200
    until("it is gone here", lambda: server.get("/v1/catalog/service/web").json == [])
