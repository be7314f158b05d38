"""The five-minute tour of README.md works when pasted: its `sh` blocks are run as they stand against an agent on the default
ports, in a network namespace of the test's own. A line `# -> TEXT` behind a command says what must be in its output; where a command only
asks, it is asked again until that is there: what an agent is told comes to its server a moment later."""

import os
import re
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHANGES = re.compile(r"-X PUT|kv put|kv delete|snapshot|session\.json")


def tour():
    text = open(os.path.join(ROOT, "README.md")).read()
    part = text[text.index("## A tour of five minutes"):]
    part = part[:part.index("\n## ", 5)]
    return re.findall(r"```sh\n(.*?)```", part, re.S)


def test_the_tour_works_when_pasted(praetor):
    blocks = tour()
    assert blocks, "no tour in README.md"
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(praetor, os.path.join(folder, "praetor"))
        script = ["set -u", "ip link set lo up", "export PATH=%s:$PATH" % folder, "cd %s" % folder,
                  "praetor agent -dev -config-file=%s/tools/sample-service.json >agent.log 2>&1 & agent=$!" % ROOT,
                  "trap 'kill $agent' EXIT",
                  "for i in $(seq 1200); do curl -sf 127.0.0.1:8500/v1/catalog/service/hello | grep -q hello && curl -sf 127.0.0.1:8500/v1/health/state/passing | grep -q serfHealth && break; sleep 0.05; done",
                  "check() { case \"$1\" in *\"$2\"*) ;; *) echo \"WRONG: $3 gave: $1\"; exit 9;; esac; }"]
        for block in blocks:
            for command, wanted in re.findall(r"^((?!#).+)\n((?:# -> .*\n)*)", block, re.M):
                lines = re.findall(r"# -> (.*)", wanted)
                found = " && ".join("[[ $out == *%s* ]]" % quoted(line) for line in lines) or "true"
                script.append("for i in $(seq %d); do out=$(%s 2>&1); %s && break; sleep 0.1; done" % (
                    1 if CHANGES.search(command) else 300, command.split("   #")[0], found))
                for line in lines:
                    script.append("check \"$out\" %s %s" % (quoted(line), quoted(command)))
        done = subprocess.run(["unshare", "--net", "bash", "-c", "\n".join(script)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"
