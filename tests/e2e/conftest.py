"""Fixtures: the binaries (./dev test sets PRAETOR, PRAETOR_ASAN and CONSUL_PEER) and agents that end with their test."""

import glob
import os
import subprocess

import pytest

from e2e.harness import Agent


# Files that take long (a minute and more, most of it waiting), the longest first: files are given to workers in the order in which
# they are collected, and a long one that begins last is waited for.
LONG = ("test_acl_cluster.py", "test_forwarding.py", "test_mesh_federation.py", "test_federation.py", "test_auto_encrypt.py", "test_rolling.py",
        "test_hardening.py", "test_cluster_mixed.py", "test_cluster_recovery.py", "test_intentions.py", "test_xds.py", "page/test_views.py", "test_cli_acl.py",
        "test_ca_vault.py", "test_tls.py", "test_connect_proxy.py", "page/test_live.py", "page/test_large.py", "page/test_xss.py", "test_config_entries.py",
        "test_tls_versions.py", "test_validate.py", "test_ca_vault_peer.py", "test_cluster_failover.py", "test_gossip_mixed.py")


def pytest_collection_modifyitems(items):
    here = os.path.dirname(os.path.abspath(__file__))

    def rank(item):
        name = os.path.relpath(str(item.fspath), here)
        return LONG.index(name) if name in LONG else len(LONG)
    items.sort(key=rank)  # stable: within a file, and among the short ones, all stays as it was


def _binary(name):
    path = os.environ.get(name)
    if not path:
        pytest.fail("%s is not set: run ./dev test e2e" % name)
    return path


@pytest.fixture(scope="session")
def praetor():
    return _binary("PRAETOR")


@pytest.fixture(scope="session")
def praetor_asan():
    return _binary("PRAETOR_ASAN")


@pytest.fixture(scope="session")
def peer():
    return _binary("CONSUL_PEER")


def _dig_holes(folder):
    """Gives back the blocks of zeros of the logs of all agents under `folder`, whose bytes stay the same: a segment has its 16 MiB from its
    beginning, and what some 700 tests leave behind for reading would fill 12 GiB of the disk."""
    for segment in glob.glob(os.path.join(folder, "**", "wal", "*"), recursive=True):
        subprocess.run(["fallocate", "--dig-holes", segment], check=True)


def _agents(folder):
    made = []

    def make(binary, **more):
        agent = Agent(binary, folder, **more)
        made.append(agent)
        return agent

    yield make
    crashed = []
    for agent in made:
        if agent.proc is None:
            continue
        code = agent.proc.poll()
        if code is not None and code not in (0, 1, -9):
            crashed.append("%s ended with %d:\n%s" % (agent.name, code, agent.tail()))
        agent.kill()
        log = agent.tail(10 ** 7)
        if "ERROR: AddressSanitizer" in log or "ERROR: LeakSanitizer" in log or "runtime error:" in log:
            crashed.append("%s: sanitizer report:\n%s" % (agent.name, log[-6000:]))
    _dig_holes(folder)
    assert not crashed, "\n".join(crashed)


@pytest.fixture
def agents(tmp_path):
    """agents(binary, ...) makes an Agent; all are killed at the end, and one of ours that crashed fails the test."""
    yield from _agents(tmp_path)


@pytest.fixture
def vaults():
    """vaults(...) makes a stand-in for Vault; all are closed at the end."""
    from e2e.vault import Vault  # and with it python3-cryptography
    made = []

    def make(**more):
        made.append(Vault(**more))
        return made[-1]

    yield make
    for vault in made:
        vault.close()


@pytest.fixture(scope="module")
def shared_agents(tmp_path_factory):
    """The same for agents that all tests of a file use."""
    yield from _agents(tmp_path_factory.mktemp("shared"))
