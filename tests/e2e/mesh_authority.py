"""What the tests of the certificate authority on Vault share: what is asked of agents, what certificates say, and answers that a
Vault should not give."""

import os
import re
import subprocess

from e2e.harness import until
from e2e.vault import Vault

ROOTS, CONFIGURATION, LEAF = "/v1/connect/ca/roots", "/v1/connect/ca/configuration", "/v1/agent/connect/ca/leaf/"
LOOKUP, INTER, ROOT = "/v1/auth/token/lookup-self", "/v1/pki-inter/", "/v1/pki-root/"
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.S)


def roots_of(agent):
    def there():
        got = agent.get(ROOTS)
        return got.status == 200 and got.json.get("Roots") and got.json
    return until("roots", there)


def active(agent):
    found = roots_of(agent)
    return [r for r in found["Roots"] if r["ID"] == found["ActiveRootID"]][0]


def configure(agent, provider, config, **more):
    return agent.put(CONFIGURATION, dict({"Provider": provider, "Config": config}, **more), timeout=120)


def leaf(agent, service):
    """Of an authority that may have to begin yet: a server leads before it is there."""
    def issued():
        got = agent.get(LEAF + service, timeout=120)
        early = "internal error: CA " in got.text or "no CA bootstrapped" in got.text
        assert got.status == 200 or early, got.text
        return got.status == 200 and got.json
    return until("a leaf", issued)


def mesh(**more):
    return {"connect": dict({"enabled": True}, **more)}


def on_vault(vault, **more):
    return mesh(ca_provider="vault", ca_config=vault.file_config(**more))


def key_ids(folder, pem, which):
    """The hex of an extension, as the API shows it."""
    text = openssl(folder, ["x509", "-noout", "-ext", which], pem)
    return re.search(r"((?:[0-9A-F]{2}:)+[0-9A-F]{2})", text).group(1).lower()


def openssl(folder, argv, pem):
    path = os.path.join(str(folder), "one.pem")
    with open(path, "w") as handle:
        handle.write(pem)
    return subprocess.run(["openssl", *argv, "-in", path], check=True, capture_output=True, text=True).stdout


def verifies(folder, chain, roots):
    """Whether the first certificate of a chain leads to one of the roots by the others, as OpenSSL finds."""
    parts = PEM.findall(chain)
    names = {"leaf": parts[0], "rest": "\n".join(parts[1:]), "roots": "\n".join(roots)}
    for name, text in names.items():
        with open(os.path.join(str(folder), name + ".pem"), "w") as handle:
            handle.write(text)
    more = ["-untrusted", "rest.pem"] if len(parts) > 1 else []
    done = subprocess.run(["openssl", "verify", "-CAfile", "roots.pem", *more, "leaf.pem"], cwd=str(folder), capture_output=True)
    return done.returncode == 0


def quiet(agent, vault):
    """Nothing that the agent says holds the token."""
    with open(agent.log, "rb") as handle:
        assert vault.token.encode() not in handle.read()
    metrics = agent.get("/v1/agent/metrics")
    assert vault.token not in metrics.text


def answer(status, body):
    return lambda handler, raw: Vault.send(handler, status, body)


DENIED = answer(403, b'{"errors":["permission denied"]}')


def shown(answer, vault):
    return answer.status, answer.text.replace(vault.address, "VAULT")
