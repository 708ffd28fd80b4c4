"""What is concluded about containers without asking Docker: from the trainer's words, and from the network."""

from __future__ import annotations

import json

import pytest

from drctl.engines.state import EngineState, PartState, write_state
from drctl.errors import UnavailableError
from drctl.stack.plan import Container, Part, RestartPolicy, RunPlan, write_plan
from drctl.status.run_status import RunReader
from drctl.status.witness import Witness
from drctl.storage.directory import DirectoryStore

NOW = 1000.0


class _Lost:
    def get(self, key):
        raise UnavailableError("the store does not answer", where=key)


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "bucket")


@pytest.fixture
def run(tmp_path):
    """Make a run folder as the Compose engine leaves it."""

    def make(stack="drctl", phase="starting"):
        folder = tmp_path / "run-4"
        folder.mkdir(exist_ok=True)
        names = {"trainer": "algo-1", "worker-0": "robomaker-1"}
        parts = tuple(
            Part(name, name.partition("-")[0], (), container=Container(f"deepracer-4-{end}", end, "image"))
            for name, end in names.items()
        )
        facts = {"workers": 1, "episodes_per_iteration": 4, "max_episodes": 8, "metrics_prefix": "model/metrics"}
        restart = RestartPolicy(limit=0) if stack == "community" else RestartPolicy()
        plan = RunPlan(4, "token", "model", "compose", stack, "/p", str(folder), 7304, "", facts, parts, restart)
        write_plan(plan)
        states = tuple(PartState(part.name, part.kind) for part in parts)
        write_state(folder, EngineState("token", "box", None, phase, 900.0, states))
        return folder

    return make


def tell(store, state="driving", **changes):
    view = {"name": "worker-0", "host": "abc", "pid": 1, "state": state, "cars": 2, "episodes_running": 2}
    told = {
        "run": {"id": 4, "token": "token", "started": 900.0},
        "phase": "collecting",
        "phase_since": 990.0,
        "heartbeat": 999.0,
    }
    content = {**told, "workers": [{**view, "last_heard": 999.0}], "iteration": 0, **changes}
    store.put("model/.drctl/status.json", json.dumps(content).encode())


def conditions(folder, store, witness, now=NOW):
    status = RunReader(folder, store, witness.state).read(now)
    return status.phase, [part.condition for part in status.parts]


def test_a_run_is_starting_until_its_trainer_speaks(run, store):
    folder = run()
    witness = Witness(folder, store)
    assert conditions(folder, store, witness) == ("starting", ["late", "late"])
    tell(store)
    assert conditions(folder, store, witness) == ("collecting", ["alive", "alive"])
    tell(store, workers=[])
    assert conditions(folder, store, witness) == ("collecting", ["alive", "late"])
    tell(store, state="lost")
    assert conditions(folder, store, witness) == ("collecting", ["alive", "restarting"])
    assert conditions(folder, store, witness, now=NOW + 60)[1][0] == "restarting"


def test_the_end_is_what_the_trainer_says(run, store):
    tell(store, outcome={"reason": "finished", "message": "enough", "exit_status": 0, "problems": []})
    state = Witness(run(), store).state(NOW)
    assert (state.phase, state.reason, state.message) == ("ended", "finished", "enough")


def test_a_store_that_does_not_answer_is_no_sign_of_anything(run):
    with pytest.raises(UnavailableError, match="the store does not answer"):
        Witness(run(), _Lost()).state(NOW)
    assert Witness(run(phase="ended"), _Lost()).state(NOW).phase == "ended"


def test_containers_of_the_images_are_known_by_their_addresses(run, store, monkeypatch):
    folder, there = run("community"), set()
    clock = [0.0]
    monkeypatch.setattr("drctl.status.witness.time.monotonic", lambda: clock[0])
    witness = Witness(folder, store, there.__contains__)
    assert conditions(folder, store, witness)[1] == ["late", "late"]

    there |= {"deepracer-4-algo-1", "deepracer-4-robomaker-1"}
    assert witness.state(NOW).phase == "starting"  # the answers from before still hold
    clock[0] += 6
    assert conditions(folder, store, witness)[1] == ["alive", "alive"]

    there.remove("deepracer-4-robomaker-1")
    clock[0] += 6
    state = RunReader(folder, store, witness.state).read(NOW)
    assert [(part.condition, part.doing) for part in state.parts][1] == ("gone", "has ended")
