"""What the tests of every engine need of one: how it is chosen, how a part is killed from outside, what it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from drctl.cli.app import main
from drctl.config.project import load_project
from drctl.engines.docker import STACK_LABEL, find_containers
from drctl.engines.evaluation_process import find_evaluations
from drctl.engines.state import read_state
from drctl.operations.training import read_project_run
from drctl.storage.location import open_store, project_store_location

RUN_ID = 97
STORE_VOLUME = "drctl-test-store"
"""In place of the volume with this machine's models."""

SHORT_TRAINING = {
    "DR_RUN_ID": str(RUN_ID),
    "DR_WORKERS": "2",
    "DR_LOCAL_S3_BUCKET": "drctl-test",
    "DR_MINIO_IMAGE": "",
    "DR_TRAIN_STOP_WHEN": "max_episodes",
    "DR_TRAIN_MIN_EVAL_TRIALS": "1",
    "DR_TRAIN_MAX_STEPS_PER_ITERATION": "80",
    "DR_WEBVIEWER_PORT": "8197",
}


ENDLESS = {"DR_EVAL_NUMBER_OF_TRIALS": "1000", "DR_EVAL_MAX_RESETS": "1000000"}
"""An evaluation that is still under way when a test ends it, however fast the machine is."""


def ask_docker(*arguments):
    """Run the docker command and return what it printed."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=True).stdout


def need_docker():
    """Skip where no Docker engine answers; with CI set that is a failure."""
    if shutil.which("docker") and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return
    reason = "no Docker engine answers; scripts/docker-engine starts one"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def containers(project_name=f"deepracer-{RUN_ID}"):
    """Return the containers of a Compose project by part."""
    return {one.part: one for one in find_containers(project_name)}


def tasks(stack=f"deepracer-{RUN_ID}"):
    """Return this machine's containers of a stack by part; those that ended and were replaced are left out."""
    found = {}
    for one in find_containers(stack, STACK_LABEL):
        service, slot = re.fullmatch(rf"{stack}_(\w+)\.(\d+)\..*", one.name).groups()
        if one.status == "running":
            found["trainer" if service == "algo" else f"worker-{int(slot) - 1}"] = one
    return found


@contextlib.contextmanager
def swarm_of_this_machine(address="127.0.0.1"):
    """Make this machine a swarm of its own that may run everything, unless it is in one; it leaves it afterwards."""
    if ask_docker("info", "--format={{.Swarm.LocalNodeState}}").strip() == "active":
        yield
        return
    ask_docker("swarm", "init", f"--advertise-addr={address}")
    try:
        node = ask_docker("node", "ls", "--quiet").strip()
        ask_docker("node", "update", "--label-add=Sagemaker=true", "--label-add=Robomaker=true", node)
        yield
    finally:
        ask_docker("swarm", "leave", "--force")


def kill_container(name):
    """End the first process of a container from outside, as the system does when memory runs out."""
    os.kill(int(ask_docker("inspect", "--format={{.State.Pid}}", name)), signal.SIGKILL)


def _kill_process(root, part):
    state = read_state(root / "tmp" / f"run-{RUN_ID}")
    os.kill(next(one for one in state.parts if one.name == part).process.pid, signal.SIGKILL)


def _living_processes(root):
    state = read_state(root / "tmp" / f"run-{RUN_ID}")
    return [one.name for one in state.parts if one.process is not None and one.process.is_alive]


@dataclass(frozen=True)
class EngineCase:
    """One engine under test.

    Attributes:
        name: Value of ``DR_DOCKER_STYLE``.
        kill: Ends the process of a part from outside: (project folder, name of the part).
        living: Names what lives of the run: (project folder).
        settings: What it needs beside its name.
        is_on_docker: Whether it needs Docker and our images.
    """

    name: str
    kill: Callable[[Any, str], None]
    living: Callable[[Any], list[str]]
    settings: dict[str, str] = field(default_factory=dict)
    is_on_docker: bool = True


PROCESS = EngineCase("process", _kill_process, _living_processes, is_on_docker=False)
COMPOSE = EngineCase(
    "compose", lambda _root, part: kill_container(containers()[part].name), lambda _root: list(containers())
)
SWARM = EngineCase("swarm", lambda _root, part: kill_container(tasks()[part].name), lambda _root: list(tasks()))


class EngineProject:
    """A project that is trained with one engine, and the commands as a user types them.

    Args:
        root: Its folder.
        case: The engine.
    """

    def __init__(self, root, case):
        self.root, self.case = root, case

    def write_hyperparameters(self, **changes):
        """Make the training a short one."""
        file = self.root / "custom_files" / "hyperparameters.json"
        few = {"num_episodes_between_training": 2, "num_epochs": 1, "term_cond_max_episodes": 4}
        file.write_text(json.dumps({**json.loads(file.read_text()), **few, **changes}))

    def settings(self, **changes):
        """Return what every command gets with ``--set``."""
        return {**SHORT_TRAINING, **self.case.settings, "DR_DOCKER_STYLE": self.case.name, **changes}

    def drctl(self, *words, **changes):
        """Type a command; returns its exit status."""
        chosen = [f"--set={name}={value}" for name, value in self.settings(**changes).items()]
        return main(["--project", str(self.root), *chosen, *words])

    def load(self, **changes):
        return load_project(self.root, self.settings(**changes))

    def status(self):
        return read_project_run(self.load())

    def last_checkpoint(self):
        status = self.status()
        return (status.trainer.get("checkpoint") or {}).get("last", 0) if status else 0

    def restarts(self):
        return {part.name: part.restarts for part in self.status().parts}

    def evaluations(self):
        """Return what is under way of evaluations: processes, and containers where there is Docker."""
        found = [one.description for one in find_evaluations(self.root)]
        return found + list(containers(f"deepracer-eval-{RUN_ID}") if self.case.is_on_docker else [])

    def page(self, path, timeout_s=30):
        """Ask the viewer with its token; returns the open answer."""
        token = (self.root / "tmp" / "secrets" / "viewer-token").read_text()
        request = urllib.request.Request(
            f"http://127.0.0.1:{SHORT_TRAINING['DR_WEBVIEWER_PORT']}{path}",
            headers={"Authorization": f"Bearer {token}"},
        )
        return urllib.request.urlopen(request, timeout=timeout_s)

    def shown_parts(self):
        """Return the parts of the run as the viewer's page shows them, by name; none while it does not answer."""
        try:
            with self.page("/api/state") as answer:
                runs = json.load(answer)["runs"]
        except OSError:
            return {}
        return {part["name"]: part for run in runs if run["id"] == RUN_ID for part in run.get("parts", ())}

    def is_seen(self, name):
        """Tell whether the viewer has a picture of a part."""
        try:
            with self.page(f"/runs/{RUN_ID}/workers/{name}/snapshot?topic=/racecar/deepracer/kvs_stream") as answer:
                return answer.read().startswith(b"\xff\xd8")
        except OSError:
            return False

    def keys(self, prefix):
        return [info.key for info in open_store(project_store_location(self.load())).list(prefix)]

    def kinds_of_files(self, prefix):
        """Return the keys under a prefix; numbers and the host's name, which ends TensorBoard's files, are left out."""
        keys = [key.removeprefix(f"{prefix}/") for key in self.keys(prefix)]
        names = [re.sub(r"(tfevents\.\d+\.).*", r"\1HOST", key) for key in keys]
        return {re.sub(r"\d+", "#", name) for name in names}


def wait_for(condition, limit_s=120.0):
    """Wait until a condition holds and return what it gave."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")
