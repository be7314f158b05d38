"""The five-minute tour of README.md works when pasted: its `sh` blocks are run as they stand against an agent on the default
ports, in a network namespace of the test's own. A line `# -> TEXT` behind a command says what must be in its output."""

import os
import re
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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
                  "for i in $(seq 200); do curl -sf 127.0.0.1:8500/v1/catalog/service/hello | grep -q hello && break; sleep 0.05; done",
                  "check() { case \"$1\" in *\"$2\"*) ;; *) echo \"WRONG: $3 gave: $1\"; exit 9;; esac; }"]
        for block in blocks:
            for command, wanted in re.findall(r"^((?!#).+)\n((?:# -> .*\n)*)", block, re.M):
                script.append("out=$(%s 2>&1)" % command.split("   #")[0])
                for line in re.findall(r"# -> (.*)", wanted):
                    script.append("check \"$out\" %s %s" % (quoted(line), quoted(command)))
        done = subprocess.run(["unshare", "--net", "bash", "-c", "\n".join(script)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"
