"""Whole trainings in containers, as a user starts them, on a real Docker engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

import drctl as drctl_package
from drctl.cli.app import main
from drctl.config.project import load_project
from drctl.engines.docker import find_containers
from drctl.engines.process import ProcessEngine
from drctl.operations.project import init_project
from drctl.operations.training import read_project_run
from drctl.storage.location import open_store, project_store_location

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

RUN_ID = 97
VOLUME = "drctl-test-store"
"""In place of the volume with this machine's models."""

SETTINGS = {
    "DR_RUN_ID": str(RUN_ID),
    "DR_WORKERS": "2",
    "DR_LOCAL_S3_BUCKET": "drctl-test",
    "DR_TRAIN_STOP_WHEN": "max_episodes",
    "DR_TRAIN_MIN_EVAL_TRIALS": "1",
    "DR_TRAIN_MAX_STEPS_PER_ITERATION": "80",
}


def ask_docker(*arguments):
    """Run the docker command and return what it printed."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture(scope="module")
def engine():
    """A Docker engine with the images of this checkout, and no store on it; a missing one is a failure in CI."""
    reason = "no Docker engine answers; scripts/docker-engine starts one"
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    if find_containers("s3"):
        pytest.fail("a store runs on this machine; drctl stop-all in its project stops it")
    assert main(["build-images"]) == 0
    yield
    for container in ask_docker("ps", "--all", "--quiet", "--filter", "label=drctl.part").split():
        ask_docker("rm", "--force", container)
    ask_docker("volume", "rm", VOLUME)


@pytest.fixture
def root(engine, tmp_path, monkeypatch):
    """A project with a short training; its containers are removed afterwards."""
    for name in [name for name in os.environ if name.startswith(("DR_", "AWS_"))]:
        monkeypatch.delenv(name)
    for module in ("drctl.engines.store_container", "drctl.stack.render"):
        monkeypatch.setattr(f"{module}.STORE_VOLUME", VOLUME)
    root = tmp_path / "project"
    init_project(root)
    yield root
    project = load_project(root, {**SETTINGS, "DR_DOCKER_STYLE": "compose"})
    drctl(root, "stop-all", "-f")
    ProcessEngine().down(project.run_folder, at_once=True)


def write_hyperparameters(root, **changes):
    file = root / "custom_files" / "hyperparameters.json"
    few = {"num_episodes_between_training": 2, "num_epochs": 1, "term_cond_max_episodes": 4}
    file.write_text(json.dumps({**json.loads(file.read_text()), **few, **changes}))


def drctl(root, *words, **settings):
    chosen = {**SETTINGS, "DR_DOCKER_STYLE": "compose", **settings}
    return main(["--project", str(root), *(f"--set={name}={value}" for name, value in chosen.items()), *words])


def project_of(root, **settings):
    return load_project(root, {**SETTINGS, "DR_DOCKER_STYLE": "compose", **settings})


def wait_for(condition, limit_s=90.0):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")


def last_checkpoint(root):
    status = read_project_run(project_of(root))
    return (status.trainer.get("checkpoint") or {}).get("last", 0) if status else 0


def containers(part=None):
    found = {one.part: one for one in find_containers(f"deepracer-{RUN_ID}")}
    return found if part is None else found[part]


def kill_process_of(name):
    """End the first process of a container from outside, as the system does when memory runs out."""
    os.kill(int(ask_docker("inspect", "--format={{.State.Pid}}", name)), signal.SIGKILL)


def kinds_of_files(root, prefix, **settings):
    """Return the keys under a prefix; numbers and the host's name, which ends TensorBoard's files, are left out."""
    store = open_store(project_store_location(project_of(root, **settings)))
    names = [re.sub(r"(tfevents\.\d+\.).*", r"\1HOST", info.key.removeprefix(prefix)) for info in store.list(prefix)]
    return {re.sub(r"\d+", "#", name) for name in names}


def test_a_training_leaves_the_same_kinds_of_files_as_with_processes(root, capsys):
    write_hyperparameters(root)
    assert drctl(root, "start-training", "-w", DR_LOCAL_S3_MODEL_PREFIX="in-containers") == 0
    out = capsys.readouterr().out
    assert f"$ docker compose --ansi never --file {root}/tmp/run-{RUN_ID}/compose.yml up" in out
    assert "4 training episodes were driven (term_cond_max_episodes 4)" in out
    in_containers = kinds_of_files(root, "in-containers")
    assert drctl(root, "stop-training") == 0
    assert drctl(root, "start-training", DR_LOCAL_S3_MODEL_PREFIX="as-processes", DR_DOCKER_STYLE="process") == 0
    assert in_containers == kinds_of_files(root, "as-processes", DR_DOCKER_STYLE="process")
    assert "/model/model_#.pb" in in_containers


def test_a_training_survives_the_death_of_each_part(root, capsys):
    write_hyperparameters(root, term_cond_max_episodes=2000)
    assert drctl(root, "start-training", "-w", "-q") == 0

    assert drctl(root, "start-training", "-q") == 5
    assert f"run {RUN_ID} is taken: the training of rl-deepracer-sagemaker runs" in capsys.readouterr().err
    assert drctl(root, "status") == 0
    assert f"worker-1   alive      container {containers('worker-1').id}" in capsys.readouterr().out
    assert drctl(root, "logs-robomaker", "-n", "1") == 0
    assert "Connected to the trainer at tcp://algo:" in capsys.readouterr().out
    assert drctl(root, "logs-sagemaker") == 0
    assert "Best checkpoint number" in capsys.readouterr().out or last_checkpoint(root) == 0
    check_secrets(root)

    for part, name in (
        ("worker-0", f"deepracer-{RUN_ID}-robomaker-1"),
        ("trainer", f"deepracer-{RUN_ID}-algo-1"),
        ("store", "s3-minio-1"),
    ):
        before = last_checkpoint(root)
        kill_process_of(name)
        wait_for(lambda before=before: last_checkpoint(root) > before + 1)
        if part != "store":
            wait_for(lambda part=part: containers(part).restarts == 1)
    status = wait_for(lambda: (found := read_project_run(project_of(root))) and found.is_ready and found)
    assert [part.restarts for part in status.parts] == [1, 1, 0]

    started = time.monotonic()
    assert drctl(root, "stop-training") == 0
    assert time.monotonic() - started < 15.0  # DESIGN 4.8
    assert containers() == {}
    assert "stopped by its user" in capsys.readouterr().out
    assert drctl(root, "stop-training") == 0
    assert drctl(root, "logs-sagemaker") == 0
    assert "The run has ended: stopped by its user" in capsys.readouterr().out

    before = last_checkpoint(root)
    assert drctl(root, "start-training", "--resume", "-q") == 0
    wait_for(lambda: last_checkpoint(root) > before)
    assert drctl(root, "stop-all") == 0
    assert "stopped the store" in capsys.readouterr().out
    assert find_containers("s3") == []
    assert containers() == {}


def check_secrets(root):
    """No key of store or link stands in what Docker and the run folder show."""
    folder = root / "tmp" / "secrets"
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = [json.loads(path.read_text()) for path in files]
    secret = {value for data in found for name, value in data.items() if "secret" in name and value}
    assert len(secret) >= 2
    names = [one.name for one in (*containers().values(), *find_containers("s3"))]
    shown = ask_docker("inspect", *names) + "".join(
        path.read_text() for pattern in ("*.json", "*.yml") for path in (root / "tmp" / f"run-{RUN_ID}").glob(pattern)
    )
    assert [word for word in secret if word in shown] == []
    for path in (root / "tmp" / "secrets").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_taken_port_is_said_and_nothing_is_left(root, capsys):
    with socket.create_server(("127.0.0.1", 9000)):
        assert drctl(root, "start-training", "-q") == 4
    err = capsys.readouterr().err
    assert "error[unavailable]: the store cannot listen on 127.0.0.1:9000: the port is taken" in err
    assert "fix:      ss -ltnp 'sport = :9000' names the program that has the port; end it" in err
    assert find_containers("s3") == []
    assert containers() == {}


def test_an_image_that_is_missing_is_said(root, capsys):
    assert drctl(root, "start-training", "-q", DR_ROBOMAKER_IMAGE="nobody/worker:1") == 4
    err = capsys.readouterr().err
    assert "error[unavailable]: this machine lacks images: nobody/worker:1" in err
    assert "fix:      docker pull nobody/worker:1" in err
    assert find_containers("s3") == []


def test_a_start_that_fails_leaves_nothing(root, capsys):
    """The workers' image is that of the trainer, which does not know a worker's arguments."""
    write_hyperparameters(root)
    image = f"drctl/trainer:{drctl_package.__version__}"
    assert drctl(root, "start-training", "-q", DR_ROBOMAKER_IMAGE=image, DR_LOCAL_S3_MODEL_PREFIX="never-starts") == 1
    err = capsys.readouterr().err
    assert re.search(r"error\[failed\]: worker-\d ends again and again, at last with exit status 2", err)
    assert "unrecognized arguments: --name" in err
    assert containers() == {}
    assert find_containers("s3") == []
    left = {path.name for path in (root / "tmp" / f"run-{RUN_ID}").iterdir()}
    assert left == {"lock", "logs"}
