"""A browser for the tests: Debian's Chromium, driven by playwright-core in a process of its own (driver.mjs)."""

import ctypes
import json
import os
import platform
import struct
import subprocess
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKET = {"x86_64": 41, "aarch64": 198}.get(platform.machine())  # the system call's number
AF_NETLINK, EAFNOSUPPORT = 16, 97
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
_LIBC = ctypes.CDLL(None, use_errno=True)


def _without_netlink():
    """The browser ends all its requests when an interface of the machine changes (net::ERR_NETWORK_CHANGED), as others' tests, containers
    and cables do. It hears of that by netlink, and does well without: by a filter of system calls, it has no such sockets."""
    if SOCKET is None:
        return
    code = [(0x20, 0, 0, 0),                                    # load the number of the call
            (0x15, 0, 3, SOCKET),                               # another one: allowed
            (0x20, 0, 0, 16),                                   # load its first argument
            (0x15, 0, 1, AF_NETLINK),
            (0x06, 0, 0, 0x00050000 | EAFNOSUPPORT),            # fails
            (0x06, 0, 0, 0x7fff0000)]                           # allowed
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(filters)))
    if _LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or _LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no filter of system calls")


class Browser:
    def __init__(self, log):
        self.proc = subprocess.Popen(["node", os.path.join(HERE, "driver.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=log, text=True, cwd=HERE, preexec_fn=_without_netlink)
        self._id = 0

    def run(self, code, seconds=240, **args):
        """Runs JavaScript with `page` (Playwright's), `args` and what driver.mjs gives in sight; gives back what it returns."""
        self._id += 1
        # A browser that hangs must fail the test, not the run.
        watchdog = threading.Timer(seconds, self.proc.kill)
        watchdog.start()
        try:
            self.proc.stdin.write(json.dumps({"id": self._id, "code": code, "args": args}) + "\n")
            self.proc.stdin.flush()
            line = self.proc.stdout.readline()
        finally:
            watchdog.cancel()
        assert line, "the browser ended or took longer than %d s: %s" % (seconds, code[:200])
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def fresh(self, **options):
        """A new window without any memory; options are Playwright's."""
        self.run("await fresh(args.options)", options=options)

    def open(self, address):
        self.run("await page.goto(args.address)", address=address)

    def seen(self):
        return self.run("return seen")

    def close(self):
        self.proc.stdin.close()
        try:
            self.proc.wait(15)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
