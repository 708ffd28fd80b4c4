"""A run folder and plans whose parts are small programs, so that engines are tested without torch or a simulator."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import pytest
from engines.engine_case import (
    RUN_ID,
    STORE_VOLUME,
    SWARM,
    EngineProject,
    ask_docker,
    need_docker,
    swarm_of_this_machine,
)

from drctl.cli.app import main
from drctl.engines.docker import find_containers
from drctl.engines.lock import RunLock
from drctl.engines.logs import log_path
from drctl.engines.process import ProcessEngine
from drctl.engines.state import read_state
from drctl.operations.project import init_project
from drctl.stack.plan import PARENT_PID, Part, RestartPolicy, RunPlan

PRELUDE = """
import json, os, signal, sys, threading, time
from pathlib import Path
folder, parent, leaves = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[0]).stem != "trainer"
def watch():
    while os.getppid() == parent:
        if leaves and (folder / "outcome.json").exists():
            os._exit(0)  # the trainer says goodbye
        time.sleep(0.05)
    os._exit(9)
threading.Thread(target=watch, daemon=True).start()
def finish(reason="finished", message="enough episodes", status=0):
    outcome = {"reason": reason, "message": message, "exit_status": status, "problems": []}
    (folder / "outcome.json").write_text(json.dumps(outcome))
    sys.exit(0)
def on_term(*_):
    if Path(sys.argv[0]).stem == "trainer" and (folder / "stop").exists():
        finish("stopped", "stopped by its user")
    sys.exit(143)
signal.signal(signal.SIGTERM, on_term)
print("hello from", os.getpid(), flush=True)
"""
FOREVER = "time.sleep(120)"


def _wait_for(condition, limit_s=10.0):
    """Wait until a condition holds and return what it gave."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def _program(folder, name, kind, body):
    """Return a part that runs a few lines of Python."""
    file = folder / f"{name}.py"
    file.write_text(PRELUDE + body)
    return Part(name=name, kind=kind, argv=(sys.executable, str(file), str(folder), PARENT_PID))


@pytest.fixture
def make_plan(tmp_path):
    """Make plans in a run folder; every run is stopped afterwards."""
    folders = []

    def make(trainer=FOREVER, worker=FOREVER, workers=1, restart=None, **changes):
        folder = tmp_path / f"run-{changes.get('run_id', 0)}"
        folder.mkdir(parents=True, exist_ok=True)
        folders.append(folder)
        parts = [_program(folder, "trainer", "trainer", trainer)]
        parts += [_program(folder, f"worker-{number}", "worker", worker) for number in range(workers)]
        fields = {
            "run_id": 0,
            "run_token": "token",
            "prefix": "model",
            "engine": "process",
            "stack": "drctl",
            "project": str(tmp_path),
            "run_folder": str(folder),
            "link_port": 7300,
            "ticket": str(tmp_path / "ticket.json"),
            "trainer": {},
            "parts": tuple(parts),
            "restart": restart or RestartPolicy(first_delay_s=0.05),
            "stop_grace_s": 5.0,
        }
        return RunPlan(**{**fields, **changes})

    yield make
    for folder in folders:
        ProcessEngine().down(folder, at_once=True)


@pytest.fixture
def start(make_plan):
    """Start a plan and return its run folder."""

    def run(*arguments, **changes):
        plan = make_plan(*arguments, **changes)
        folder = Path(plan.run_folder)
        with contextlib.closing(RunLock.acquire(folder, "test")) as lock:
            ProcessEngine().up(plan, lock)
        logs = [log_path(folder, part.name) for part in plan.parts]

        def is_up():  # their signal handlers are set from here on, unless the run was over sooner
            return read_state(folder).phase == "ended" or all("hello from" in log.read_text() for log in logs)

        _wait_for(is_up)
        return folder

    return run


def _part_of(folder, name):
    """Return the state of a part."""
    return next(part for part in read_state(folder).parts if part.name == name)


def _ended(folder):
    """Wait for the end of a run and return its state."""
    return _wait_for(lambda: (state := read_state(folder)) and state.phase == "ended" and state)


@pytest.fixture
def wait_for():
    return _wait_for


@pytest.fixture
def part_of():
    return _part_of


@pytest.fixture
def ended():
    return _ended


@pytest.fixture(scope="session")
def images():
    """A Docker engine with the images of this checkout, and no store on it."""
    need_docker()
    if find_containers("s3"):
        pytest.fail("a store runs on this machine; drctl stop-all in its project stops it")
    assert main(["build-images"]) == 0
    yield
    for container in ask_docker("ps", "--all", "--quiet", "--filter", "label=drctl.part").split():
        ask_docker("rm", "--force", container)
    if STORE_VOLUME in ask_docker("volume", "ls", "--quiet").split():
        ask_docker("volume", "rm", STORE_VOLUME)


@pytest.fixture
def engine_project(request, tmp_path, monkeypatch):
    """Make a project for an engine; what runs of it is ended afterwards."""
    made, surroundings = [], contextlib.ExitStack()

    def make(case):
        if case.is_on_docker:
            request.getfixturevalue("images")
        if case is SWARM:
            surroundings.enter_context(swarm_of_this_machine())
        for name in [name for name in os.environ if name.startswith(("DR_", "AWS_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setattr("drctl.stack.store_server.STORE_VOLUME", STORE_VOLUME)
        project = EngineProject(tmp_path / "project", case)
        init_project(project.root)
        made.append(project)
        return project

    yield make
    for project in made:
        project.drctl("stop-evaluation")
        project.drctl("stop-viewer")
        project.drctl("stop-all", "-f")
        ProcessEngine().down(project.root / "tmp" / f"run-{RUN_ID}", at_once=True)
    surroundings.close()
