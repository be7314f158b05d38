"""`./dev cluster`: three servers and two client agents on loopback addresses, 127.0.0.1 to 127.0.0.5, with the page on each.
Ctrl-C (or SIGTERM) stops them cleanly, clients first; their data is in a directory of its own that goes with them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

SERVERS, CLIENTS = 3, 2


def start(binary, folder, number, server):
    address = "127.0.0.%d" % number
    name = ("server-%d" if server else "client-%d") % (number if server else number - SERVERS)
    argv = [binary, "agent", "-node=" + name, "-bind=" + address, "-client=" + address,
            "-data-dir=" + os.path.join(folder, name), "-retry-join=127.0.0.1", "-retry-interval=1s", "-ui"]
    argv += ["-server", "-bootstrap-expect=%d" % SERVERS] if server else []
    log = open(os.path.join(folder, name + ".log"), "w")
    # A session of its own: Ctrl-C reaches only this script, which stops them in order.
    return name, subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def leader():
    try:
        with urllib.request.urlopen("http://127.0.0.1:8500/v1/status/leader", timeout=2) as answer:
            return json.load(answer)
    except OSError:
        return ""


def wait_for_leader(agents, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, process in agents:
            if process.poll() is not None:
                raise SystemExit("cluster: %s ended with code %d; see its log" % (name, process.returncode))
        if leader():
            return
        time.sleep(0.1)
    raise SystemExit("cluster: no leader within %d s; see the logs" % seconds)


def stop(agents):
    for name, process in reversed(agents):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for name, process in reversed(agents):
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            print("cluster: %s does not end; killing it" % name, file=sys.stderr)
            process.kill()
            process.wait()


def main():
    binary = os.path.abspath(sys.argv[1])
    folder = tempfile.mkdtemp(prefix="praetor-cluster-")
    agents, failed = [], True
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        for number in range(1, SERVERS + CLIENTS + 1):
            agents.append(start(binary, folder, number, number <= SERVERS))
        wait_for_leader(agents, 30)
        print("cluster: leader %s; pages http://127.0.0.1:8500/ui/ to http://127.0.0.%d:8500/ui/; logs in %s; Ctrl-C stops it"
              % (leader(), SERVERS + CLIENTS, folder), flush=True)
        while all(process.poll() is None for _, process in agents):
            time.sleep(0.5)
        print("cluster: an agent ended; stopping the others", file=sys.stderr)
    except KeyboardInterrupt:
        failed = False
    finally:
        stop(agents)
        if not failed:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
