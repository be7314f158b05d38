"""kill -9 at any moment loses nothing that was acknowledged. PRAETOR_KILLS says how often (default 200)."""

import os
import random
import threading
import time

from e2e.harness import Agent

KILLS = int(os.environ.get("PRAETOR_KILLS", "200"))
WRITERS = 4


class Writer(threading.Thread):
    """Counts up the value of its own key; remembers what was acknowledged and what was only tried."""

    def __init__(self, agent, name, first):
        super().__init__(daemon=True)
        self.agent, self.key_name, self.acknowledged, self.tried = agent, name, first, first
        self.start()

    def run(self):
        while True:
            self.tried = self.acknowledged + 1
            try:
                got = self.agent.put(self.agent.key(self.key_name), str(self.tried), timeout=10)
            except OSError:
                return
            except Exception:  # a broken answer of a server that was just killed
                return
            if got.status == 200 and got.body.strip() == b"true":
                self.acknowledged = self.tried
            else:
                return


def test_kill_9_loses_nothing_acknowledged(praetor, tmp_path):
    seed = int(os.environ.get("PRAETOR_SEED_BASE", random.randrange(2 ** 32)))
    print("seed %d" % seed)
    rng = random.Random(seed)
    agent = Agent(praetor, tmp_path, config={"log_level": "ERR", "raft_snapshot_threshold": 500, "raft_snapshot_interval": "5s"})
    state = {"w%d" % n: 0 for n in range(WRITERS)}
    last_index = round_number = 0
    try:
        # On a machine that is busy few writes are done before each crash: then it crashes more often.
        while round_number < KILLS or sum(state.values()) <= KILLS and round_number < 5 * KILLS:
            round_number += 1
            agent.start(60)
            for name, least in state.items():
                got = agent.get(agent.key(name) + "?raw")
                value = int(got.body) if got.status == 200 else 0
                assert value >= least, "round %d: %s acknowledged %d, found %d (seed %d)" % (
                    round_number, name, least, value, seed)
                assert value <= least + 1, "round %d: %s found %d, never written" % (round_number, name, value)
                state[name] = value
            index = agent.get("/v1/kv/?keys").index
            assert index >= last_index, "the index went back: %d after %d" % (index, last_index)
            last_index = index
            writers = [Writer(agent, name, value) for name, value in state.items()]
            time.sleep(rng.random() * 0.08)  # the moment of the crash, not a wait
            agent.kill()
            for writer in writers:
                writer.join(60)
                assert not writer.is_alive()
                state[writer.key_name] = writer.acknowledged
        assert sum(state.values()) > KILLS, "too few writes for this to mean anything"
    finally:
        agent.kill()
