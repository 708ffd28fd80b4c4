"""What holds with Docker Compose alone: its store, its daemon, what it shows of secrets, what stops a start."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import pytest
from engines.engine_case import COMPOSE, RUN_ID, ask_docker, containers, kill_container, wait_for

import drctl as drctl_package
from drctl.engines.docker import find_containers

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

DOCKER_ENGINE = Path(__file__).parents[2] / "scripts" / "docker-engine"


@pytest.fixture
def project(engine_project):
    return engine_project(COMPOSE)


def test_a_training_survives_its_store_and_its_daemon(project, capsys):
    project.write_hyperparameters(term_cond_max_episodes=2000)
    assert project.drctl("start-training", "-w", "-q") == 0
    assert f"$ docker compose --ansi never --file {project.root}/tmp/run-{RUN_ID}/compose.yml up" in (
        capsys.readouterr().out
    )
    check_secrets(project.root)

    checkpoint = project.last_checkpoint()
    kill_container("s3-minio-1")
    wait_for(lambda: project.last_checkpoint() > checkpoint + 1)

    restart_daemon()
    wait_for(lambda: project.case.living(project.root) and project.status().is_ready)
    checkpoint = project.last_checkpoint()
    wait_for(lambda: project.last_checkpoint() > checkpoint + 1)

    assert project.drctl("stop-all") == 0
    assert "stopped the store" in capsys.readouterr().out
    assert find_containers("s3") == []
    assert containers() == {}


def restart_daemon():
    """Restart the daemon, or skip the rest where it is not the one that scripts/docker-engine started."""
    if not Path("/run/drctl-dockerd.pid").exists():
        pytest.skip("the Docker daemon is not one that scripts/docker-engine started")
    for verb in ("stop", "start"):
        subprocess.run([DOCKER_ENGINE, verb], check=True, capture_output=True, timeout=240)


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


def test_a_taken_port_is_said_and_nothing_is_left(project, capsys):
    with socket.create_server(("127.0.0.1", 9000)):
        assert project.drctl("start-training", "-q") == 4
    err = capsys.readouterr().err
    assert "error[unavailable]: the store cannot listen on 127.0.0.1:9000: the port is taken" in err
    assert "fix:      ss -ltnp 'sport = :9000' names the program that has the port; end it" in err
    assert find_containers("s3") == []
    assert containers() == {}


def test_an_image_that_is_missing_is_said(project, capsys):
    assert project.drctl("start-training", "-q", DR_ROBOMAKER_IMAGE="nobody/worker:1") == 4
    err = capsys.readouterr().err
    assert "error[unavailable]: this machine lacks images: nobody/worker:1" in err
    assert "fix:      docker pull nobody/worker:1" in err
    assert find_containers("s3") == []


def test_a_start_that_fails_leaves_nothing(project, capsys):
    """The workers' image is that of the trainer, which does not know a worker's arguments."""
    project.write_hyperparameters()
    image = f"drctl/trainer:{drctl_package.__version__}"
    assert project.drctl("start-training", "-q", DR_ROBOMAKER_IMAGE=image, DR_LOCAL_S3_MODEL_PREFIX="never-starts") == 1
    err = capsys.readouterr().err
    assert re.search(r"error\[failed\]: worker-\d ends again and again, at last with exit status 2", err)
    assert "unrecognized arguments: --name" in err
    assert containers() == {}
    assert find_containers("s3") == []
    left = {path.name for path in (project.root / "tmp" / f"run-{RUN_ID}").iterdir()}
    assert left == {"lock", "logs"}
