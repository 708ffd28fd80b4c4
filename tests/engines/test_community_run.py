"""How the end of the community images is read from containers and logs; no Docker is needed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from drctl.engines import community_run, compose
from drctl.engines.community_run import describe_ending, stop_launched_trainers
from drctl.engines.compose import ComposeEngine
from drctl.engines.container_run import clear_container_run
from drctl.engines.docker import ContainerFacts
from drctl.engines.state import EngineState, PartState, write_state
from drctl.stack.plan import Container, Part, RestartPolicy, RunPlan, read_plan, write_plan

TRAINER = ContainerFacts("a" * 12, "deepracer-4-algo-1", "trainer", "/p", "running", "", 0, 100.0, 0.0, 0)
WORKERS = [
    replace(TRAINER, id=str(number) * 12, name=f"deepracer-4-robomaker-{number + 1}", part=f"worker-{number}")
    for number in (0, 1)
]
GOODBYE = ["more", "Exited main loop. Done."]


def ended(container, status=0):
    return replace(container, status="exited", exit_code=status, finished=200.0)


def exception(kind="user_error", message="it raised"):
    found = {"date": "today", "function": "step", "message": message, "exceptionType": "x", "eventType": kind}
    return json.dumps({"simapp_exception": {**found, "errorCode": "400"}})


def ending(containers, logs=None):
    return describe_ending(containers, lambda name: (logs or {}).get(name, []))


def test_a_run_whose_parts_live_is_not_over():
    assert ending([TRAINER, *WORKERS]) is None


def test_one_worker_of_two_does_not_end_the_run():
    logs = {WORKERS[0].name: [exception()]}
    assert ending([TRAINER, ended(WORKERS[0]), WORKERS[1]], logs) is None


def test_workers_that_have_driven_everything_end_the_run():
    logs = {one.name: GOODBYE for one in WORKERS}
    found = ending([TRAINER, *map(ended, WORKERS)], logs)
    assert (found["reason"], found["exit_status"]) == ("finished", 0)
    assert "term_cond_max_episodes" in found["message"]


def test_a_worker_that_fails_is_blamed_although_its_exit_status_is_0():
    logs = {WORKERS[0].name: ["noise", exception(message="reward: None"), "ERROR: FAULT_CODE: 400"]}
    found = ending([TRAINER, ended(WORKERS[0])], logs)
    assert (found["reason"], found["exit_status"], found["message"]) == ("failed", 3, "reward: None")
    (problem,) = found["problems"]
    assert problem.where == "deepracer-4-robomaker-1, step (x)"
    assert problem.fix == "drctl logs-robomaker -n 0 shows what came before it"


def test_workers_that_end_without_a_word_are_a_failure():
    found = ending([TRAINER, ended(WORKERS[0])], {WORKERS[0].name: ["Segmentation fault"]})
    assert (found["reason"], found["exit_status"]) == ("failed", 1)
    assert "Segmentation fault" in found["problems"][0].where


@pytest.mark.parametrize(
    ("status", "log", "reason", "exit_status"),
    [
        (0, [], "finished", 0),
        (0, [exception("system_error")], "failed", 1),
        (137, [], "interrupted", 143),
        (1, ["ModuleNotFoundError"], "failed", 1),
    ],
)
def test_the_end_of_the_trainer_ends_the_run(status, log, reason, exit_status):
    found = ending([ended(TRAINER, status), *WORKERS], {TRAINER.name: log})
    assert (found["reason"], found["exit_status"]) == (reason, exit_status)


def test_an_evaluation_is_over_when_its_worker_is():
    assert ending([ended(WORKERS[0])])["message"] == "the race is over"
    assert ending([ended(WORKERS[0])], {WORKERS[0].name: [exception()]})["reason"] == "failed"


@pytest.fixture
def folder(tmp_path):
    """A run folder as `up` leaves it."""
    plan = RunPlan(
        run_id=4,
        run_token="token",
        prefix="model",
        engine="compose",
        stack="community",
        project="/p",
        run_folder=str(tmp_path),
        link_port=0,
        ticket="",
        trainer={},
        parts=(Part("trainer", "trainer", ()), Part("worker-0", "worker", ())),
        restart=RestartPolicy(limit=0),
    )
    write_plan(plan)
    states = (PartState("trainer", "trainer"), PartState("worker-0", "worker"))
    write_state(tmp_path, EngineState("token", "here", None, "starting", 90.0, states))
    (tmp_path / "trainer").mkdir()
    return tmp_path


@pytest.fixture
def containers(monkeypatch):
    found = [TRAINER, WORKERS[0]]
    monkeypatch.setattr(compose, "find_containers", lambda _project: found)
    monkeypatch.setattr(compose, "read_log", lambda _name, _lines: GOODBYE)
    return found


def test_the_engine_tells_the_end(folder, containers):
    assert ComposeEngine().state(folder).phase == "running"
    containers[1] = ended(WORKERS[0])
    state = ComposeEngine().state(folder)
    assert (state.phase, state.reason, state.phase_since) == ("ended", "finished", 200.0)


def test_a_run_that_is_being_stopped_was_stopped(folder, containers):
    (folder / "trainer" / "stop").touch()
    assert ComposeEngine().state(folder).phase == "stopping"
    containers[:] = [ended(TRAINER, 143), ended(WORKERS[0], 143)]
    assert ComposeEngine().state(folder).reason == "stopped"
    containers.clear()
    assert ComposeEngine().state(folder).message == "stopped by its user"


def test_containers_that_somebody_removed(folder, containers):
    containers.clear()
    state = ComposeEngine().state(folder)
    assert (state.phase, state.reason, state.exit_status) == ("ended", "interrupted", 143)


def test_clearing_a_start_that_failed_removes_nothing_else(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").write_text("x")
    clear_container_run(folder)
    assert (tmp_path / "mine").exists()
    assert not (folder / "plan.json").exists()


def test_keys_of_a_run_that_has_ended_are_removed(folder, tmp_path):
    keys = tmp_path / "keys.env"
    keys.write_text("x")
    plan = read_plan(folder)
    part = replace(plan.parts[0], container=Container("n", "s", "i", env_files=(str(keys),)))
    community_run.remove_key_files(replace(plan, parts=(part, plan.parts[1])))
    assert not keys.exists()


def test_the_launchers_trainer_is_found_by_its_variables(folder, monkeypatch):
    there = {
        "mine-algo-1-abcde": ["RUN_ID=4", "TRAINING_JOB_NAME=model", "X=1"],
        "other-algo-1-fghij": ["RUN_ID=5", "TRAINING_JOB_NAME=model"],
        "third-algo-1-klmno": ["RUN_ID=4", "TRAINING_JOB_NAME=model-2"],
    }
    removed = []
    monkeypatch.setattr(community_run, "list_containers", lambda name: there if name == "algo-1-" else {})
    monkeypatch.setattr(community_run, "run_docker", lambda words, _echo: removed.append(words))
    stop_launched_trainers(read_plan(folder), lambda _command: None)
    assert removed == [["rm", "--force", "mine-algo-1-abcde"]]
