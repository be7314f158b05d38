"""A browser for the tests: Debian's Chromium, driven by playwright-core in a process of its own (driver.mjs)."""

import json
import os
import subprocess
import threading

HERE = os.path.dirname(os.path.abspath(__file__))


class Browser:
    def __init__(self, log):
        self.proc = subprocess.Popen(["node", os.path.join(HERE, "driver.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=log, text=True, cwd=HERE)
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
