"""What the Compose engine makes of Docker's facts; no Docker is needed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from drctl.engines import compose, docker
from drctl.engines.choice import engine_of_run
from drctl.engines.compose import ComposeEngine, refuse_foreign
from drctl.engines.docker import ContainerFacts
from drctl.engines.process import ProcessEngine
from drctl.engines.state import EngineState, PartState, write_state
from drctl.errors import ConflictError, UnavailableError
from drctl.stack.plan import Part, RunPlan, write_plan

TRAINER = ContainerFacts("a" * 12, "deepracer-4-algo-1", "trainer", "/p", "running", "healthy", 0, 100.0, 0.0, 0)
WORKER = ContainerFacts("b" * 12, "deepracer-4-robomaker-1", "worker-0", "/p", "running", "healthy", 0, 100.0, 0.0, 0)


@pytest.fixture
def folder(tmp_path):
    """A run folder as `up` leaves it."""
    parts = (Part("trainer", "trainer", ()), Part("worker-0", "worker", ()))
    plan = RunPlan(
        run_id=4,
        run_token="token",
        prefix="model",
        engine="compose",
        stack="drctl",
        project="/p",
        run_folder=str(tmp_path),
        link_port=7304,
        ticket="/p/ticket",
        trainer={},
        parts=parts,
    )
    write_plan(plan)
    states = tuple(PartState(part.name, part.kind) for part in parts)
    write_state(tmp_path, EngineState("token", "here", None, "starting", 90.0, states))
    (tmp_path / "trainer").mkdir()
    return tmp_path


@pytest.fixture
def containers(monkeypatch):
    """Give the list of containers that Docker is to have."""
    found = [TRAINER, WORKER]
    monkeypatch.setattr(compose, "find_containers", lambda project: found if project == "deepracer-4" else [])
    return found


def say_goodbye(folder, **changes):
    outcome = {"reason": "finished", "message": "enough", "exit_status": 0, "problems": [], **changes}
    (folder / "trainer" / "outcome.json").write_text(json.dumps(outcome))


def test_a_run_whose_trainer_runs(folder, containers):
    state = ComposeEngine().state(folder)
    assert (state.phase, state.supervisor) == ("running", None)
    assert [(part.name, part.container, part.is_running, part.since) for part in state.parts] == [
        ("trainer", "a" * 12, True, 100.0),
        ("worker-0", "b" * 12, True, 100.0),
    ]


def test_a_part_that_docker_starts_again(folder, containers):
    containers[1] = replace(WORKER, status="restarting", exit_code=137, finished=120.0, restarts=2)
    part = ComposeEngine().state(folder).parts[1]
    assert (part.is_running, part.restarts, part.last_exit, part.last_exit_time) == (False, 2, -9, 120.0)
    assert part.next_start is not None


@pytest.mark.parametrize("status", ["restarting", "created", "paused"])
def test_a_run_whose_trainer_comes_back_goes_on(folder, containers, status):
    containers[0] = replace(TRAINER, status=status, exit_code=1, finished=120.0)
    assert ComposeEngine().is_running(folder)


def test_the_trainer_says_why_the_run_has_ended(folder, containers):
    containers[0] = replace(TRAINER, status="exited", exit_code=0, finished=130.0)
    problems = [{"what": "it raised", "where": "line 3", "expected": None, "fix": "mend it", "code": "reward_failed"}]
    say_goodbye(folder, reason="failed", message="it raised", exit_status=3, problems=problems)
    state = ComposeEngine().state(folder)
    assert (state.phase, state.phase_since, state.reason, state.exit_status) == ("ended", 130.0, "failed", 3)
    assert state.problems[0].where == "line 3"


@pytest.mark.parametrize(
    ("left", "message"),
    [
        ([replace(TRAINER, status="exited", exit_code=143, finished=1.0)], "its containers were stopped by somebody"),
        ([], "its containers were removed by somebody"),
    ],
)
def test_containers_that_somebody_else_ended(folder, containers, left, message):
    containers[:] = left
    state = ComposeEngine().state(folder)
    assert (state.phase, state.reason, state.exit_status) == ("ended", "interrupted", 143)
    assert state.message.startswith(message)


def test_a_trainer_that_does_not_stop_in_time(folder, containers):
    containers[0] = replace(TRAINER, status="exited", exit_code=137, finished=130.0)
    (folder / "trainer" / "stop").touch()
    state = ComposeEngine().state(folder)
    assert (state.reason, state.exit_status) == ("stopped", 0)
    assert "did not end in time" in state.message


def test_a_recorded_end_needs_no_docker(folder, monkeypatch):
    def fail(_project):
        raise AssertionError("Docker was asked")

    monkeypatch.setattr(compose, "find_containers", fail)
    write_state(folder, EngineState("token", "here", None, "ended", 90.0, (), reason="finished"))
    assert ComposeEngine().state(folder).reason == "finished"


def test_containers_of_others_are_not_ours(folder, containers):
    containers[0] = replace(TRAINER, owner="/elsewhere")
    assert ComposeEngine().state(folder).reason == "interrupted"
    with pytest.raises(ConflictError) as caught:
        refuse_foreign("deepracer-4", "/p")
    (problem,) = caught.value.problems
    assert problem.what == "there are containers of deepracer-4 already: deepracer-4-algo-1"
    assert problem.fix == "drctl --project /elsewhere stop-training, or choose another DR_RUN_ID"


def test_containers_of_another_program_are_left_alone(containers):
    containers[:] = [replace(TRAINER, owner=None)]
    with pytest.raises(ConflictError) as caught:
        refuse_foreign("deepracer-4", "/p")
    assert caught.value.problems[0].where == "not started by drctl"
    assert caught.value.problems[0].fix.startswith("docker compose --project-name deepracer-4 down")


def test_the_plan_says_which_engine_a_run_has(folder, tmp_path):
    assert isinstance(engine_of_run(folder), ComposeEngine)
    assert isinstance(engine_of_run(tmp_path / "nothing"), ProcessEngine)


def fake_docker(tmp_path, monkeypatch, script):
    """Put a program named docker in front of the real one."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")


@pytest.mark.parametrize(
    ("script", "what", "fix"),
    [
        (
            "echo 'Cannot connect to the Docker daemon' >&2; exit 1",
            "Docker does not answer",
            "sudo systemctl start docker",
        ),
        (
            "echo 'permission denied while trying to connect' >&2; exit 1",
            "this user may not talk to Docker",
            "sudo usermod -aG docker $USER, then log in again",
        ),
        (
            '[ "$1" != compose ]',
            "Docker has no compose command",
            "sudo apt-get install docker-compose-plugin",
        ),
    ],
)
def test_what_is_missing_is_said_with_the_fix(script, what, fix, tmp_path, monkeypatch):
    fake_docker(tmp_path, monkeypatch, script)
    with pytest.raises(UnavailableError) as caught:
        docker.check_docker()
    assert (caught.value.problems[0].what, caught.value.problems[0].fix) == (what, fix)


def test_a_machine_without_docker(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="there is no docker command"):
        docker.check_docker()
    with pytest.raises(UnavailableError, match="there is no docker command"):
        docker.run_docker(["version"])


def test_commands_that_change_something_are_shown(tmp_path, monkeypatch):
    fake_docker(tmp_path, monkeypatch, '[ "$2" != inspect ]')
    shown = []
    monkeypatch.setattr(docker, "host_routes", list)
    docker.ensure_network("a net", shown.append)
    assert shown == ["docker network create --subnet 172.18.0.0/16 'a net'"]


def test_dockers_times(monkeypatch):
    assert docker.epoch_of("0001-01-01T00:00:00Z") == 0.0
    assert docker.epoch_of("1970-01-02T00:00:01.5Z") == 86401.5
    assert docker.epoch_of("1970-01-01T00:00:00.123456789Z") == pytest.approx(0.123456789)


def test_log_lines_lose_dockers_time():
    from drctl.engines.container_logs import _stamped

    chunks = [b"2026-01-01T00:00:00.1Z first\r\n2026-01-01T00:00:00.2Z sec", b"ond line\n", b"rest"]
    assert list(_stamped(iter(chunks))) == [
        ("2026-01-01T00:00:00.1Z", "first"),
        ("2026-01-01T00:00:00.2Z", "second line"),
    ]
