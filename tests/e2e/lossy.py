"""A network that loses packets, for real agents: each agent lives in a network namespace of its own, whose only way out
is a TUN device; a process of ours carries the packets from one to the other and drops some. Needs root and /dev/net/tun
(nothing of the kernel's own traffic control, which is not everywhere).

Measured beside the peer, both kinds in one pool, for docs/performance.md:

    PYTHONPATH=tests python3 -m e2e.lossy --praetor build/release/praetor --peer .../consul --minutes 10 10 20 30
"""

import argparse
import collections
import ctypes
import fcntl
import json
import multiprocessing
import os
import random
import re
import select
import signal
import struct
import subprocess
import tempfile
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_LIBC = ctypes.CDLL(None, use_errno=True)


def possible():
    return os.geteuid() == 0 and os.path.exists("/dev/net/tun")


def _check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), "%s: %s" % (what, os.strerror(ctypes.get_errno())))


class LossyNet:
    """`count` namespaces with the addresses 10.77.0.1 and on. `loss` (0..1) may be changed at any time."""

    def __init__(self, count, seed=1):
        self._loss = multiprocessing.Value("d", 0.0)
        self.count, self.tuns, self.spaces = count, [], []
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            for number in range(1, count + 1):
                _check(_LIBC.unshare(CLONE_NEWNET), "unshare")
                tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"t0", IFF_TUN | IFF_NO_PI))
                for command in ("ip link set lo up", "ip addr add %s/24 dev t0" % self.ip(number), "ip link set t0 up"):
                    subprocess.run(command.split(), check=True)
                self.tuns.append(tun)
                self.spaces.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
                _check(_LIBC.setns(home, CLONE_NEWNET), "setns")
        finally:
            _LIBC.setns(home, CLONE_NEWNET)
            os.close(home)
        self.carrier = multiprocessing.get_context("fork").Process(target=self._carry, args=(seed,), daemon=True)
        self.carrier.start()

    @staticmethod
    def ip(number):
        return "10.77.0.%d" % number

    def prefix(self, number):
        """What a command line begins with to run in that namespace."""
        return ["nsenter", "--net=/proc/%d/fd/%d" % (os.getpid(), self.spaces[number - 1])]

    @property
    def loss(self):
        return self._loss.value

    @loss.setter
    def loss(self, value):
        self._loss.value = value

    def _carry(self, seed):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        chance, poll = random.Random(seed), select.epoll()
        for tun in self.tuns:
            poll.register(tun, select.EPOLLIN)
        while True:
            for tun, _ in poll.poll():
                for _ in range(64):
                    try:
                        packet = os.read(tun, 65536)
                    except BlockingIOError:
                        break
                    number = packet[19] if len(packet) >= 20 and packet[0] >> 4 == 4 and packet[16:19] == b"\x0a\x4d\x00" else 0
                    if not 1 <= number <= self.count or chance.random() < self._loss.value:
                        continue
                    try:
                        os.write(self.tuns[number - 1], packet)
                    except OSError:
                        pass  # the other end is full or gone: lost as well

    def close(self):
        self.carrier.kill()
        self.carrier.join()
        for fd in self.tuns + self.spaces:
            os.close(fd)


class Pool:
    """Client agents of both kinds in one pool on such a network, by number. No server: only gossip is of interest."""

    def __init__(self, net, binaries, folder, gossip=None):
        self.net, self.binaries, self.folder, self.procs, self.logs = net, binaries, str(folder), {}, {}
        for number in range(1, len(binaries) + 1):
            config = {"node_name": "n%d" % number, "data_dir": "%s/n%d" % (self.folder, number), "bind_addr": net.ip(number),
                      "client_addr": "127.0.0.1", "log_level": "DEBUG", "disable_update_check": True,
                      "retry_join": [net.ip(1), net.ip(2)], "retry_interval": "1s", "retry_interval_wan": "1s",
                      "gossip_lan": gossip or {}, "ports": {"grpc": -1, "dns": -1}}
            with open("%s/n%d.json" % (self.folder, number), "w") as handle:
                json.dump(config, handle)

    def start(self, number):
        path = self.logs[number] = "%s/n%d.log" % (self.folder, number)
        with open(path, "ab") as log:
            self.procs[number] = subprocess.Popen(
                self.net.prefix(number) + [self.binaries[number - 1], "agent", "-config-file=%s/n%d.json" % (self.folder, number)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                preexec_fn=lambda: _LIBC.prctl(1, signal.SIGKILL, 0, 0, 0))

    def kill(self, number):
        self.procs[number].kill()
        self.procs[number].wait()

    def alive(self, number):
        """The names that this member holds for alive."""
        got = subprocess.run(self.net.prefix(number) + [self.binaries[number - 1], "members", "-status=alive"],
                             capture_output=True, text=True, timeout=120)
        return {row.split()[0] for row in got.stdout.splitlines()[1:]}

    def failures(self):
        """(who said so, of whom) to how often, from the logs."""
        found = collections.Counter()
        for number, path in self.logs.items():
            with open(path, encoding="utf-8", errors="replace") as handle:
                for name in re.findall(r"EventMemberFailed: (\S+)", handle.read()):
                    found["n%d" % number, name] += 1
        return found

    def refutations(self):
        """How often each had to defend itself."""
        found = collections.Counter()
        for number, path in self.logs.items():
            with open(path, encoding="utf-8", errors="replace") as handle:
                found["n%d" % number] = handle.read().count("Refuting a")
        return found

    def close(self):
        for proc in self.procs.values():
            if proc.poll() is None:
                proc.kill()
            proc.wait()


def formed(pool):
    everybody = {"n%d" % number for number in pool.procs}
    return all(pool.alive(number) == everybody for number in pool.procs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--praetor", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--each", type=int, default=5, help="agents of each kind")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("percent", type=float, nargs="+")
    options = parser.parse_args()
    ours = {"n%d" % n for n in range(1, options.each + 1)}
    for percent in options.percent:
        net = LossyNet(2 * options.each)
        with tempfile.TemporaryDirectory() as folder:
            pool = Pool(net, [os.path.abspath(options.praetor)] * options.each + [options.peer] * options.each, folder)
            try:
                for number in range(1, 2 * options.each + 1):
                    pool.start(number)
                end = time.monotonic() + 60
                while not formed(pool):
                    if time.monotonic() > end:
                        raise SystemExit("the pool did not come together")
                    time.sleep(0.5)
                net.loss = percent / 100
                time.sleep(options.minutes * 60)
                net.loss = 0
                failures, refutations = pool.failures(), pool.refutations()
            finally:
                pool.close()
                net.close()
        count = lambda by, of: sum(n for (who, whom), n in failures.items() if (who in ours) == by and (whom in ours) == of)
        print("%g %% for %g min, %d + %d agents: wrong failures of ours %d (said by ours %d, by the peer's %d), of the peer's %d "
              "(by ours %d, by the peer's %d); refutations by ours %d, by the peer's %d" % (
                  percent, options.minutes, options.each, options.each, count(True, True) + count(False, True), count(True, True),
                  count(False, True), count(True, False) + count(False, False), count(True, False), count(False, False),
                  sum(n for who, n in refutations.items() if who in ours),
                  sum(n for who, n in refutations.items() if who not in ours)), flush=True)


if __name__ == "__main__":
    main()
