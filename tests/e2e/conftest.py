"""Fixtures: the binaries (./dev test sets PRAETOR, PRAETOR_ASAN and CONSUL_PEER) and agents that end with their test."""

import os

import pytest

from e2e.harness import Agent


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
    assert not crashed, "\n".join(crashed)


@pytest.fixture
def agents(tmp_path):
    """agents(binary, ...) makes an Agent; all are killed at the end, and one of ours that crashed fails the test."""
    yield from _agents(tmp_path)


@pytest.fixture(scope="module")
def shared_agents(tmp_path_factory):
    """The same for agents that all tests of a file use."""
    yield from _agents(tmp_path_factory.mktemp("shared"))
