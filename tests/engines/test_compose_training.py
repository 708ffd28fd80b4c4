"""What holds with Docker Compose alone: its store, its daemon, what it shows of secrets, what stops a start."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from engines.engine_case import COMPOSE, ENDLESS, RUN_ID, ask_docker, containers, kill_container, wait_for

import drctl as drctl_package
from drctl.engines.container_run import give_to_container
from drctl.engines.docker import ensure_network, find_containers
from drctl.engines.evaluation_process import find_evaluations
from drctl.stack.container_stack import NETWORK
from drctl.storage.location import create_bucket, open_store, project_store_location

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

VIEWER = f"deepracer-{RUN_ID}-viewer"
DOCKER_ENGINE = Path(__file__).parents[2] / "scripts" / "docker-engine"


@pytest.fixture
def project(engine_project):
    return engine_project(COMPOSE)


def test_a_training_survives_its_store_and_its_daemon(project, capsys):
    project.write_hyperparameters(term_cond_max_episodes=2000)
    assert project.drctl("start-training", "-w", "-q", "-v") == 0
    assert f"$ docker compose --ansi never --file {project.root}/tmp/run-{RUN_ID}/compose.yml up" in (
        capsys.readouterr().out
    )
    check_secrets(project.root)
    check_viewer(project)

    checkpoint = project.last_checkpoint()
    kill_container("s3-minio-1")
    wait_for(lambda: project.last_checkpoint() > checkpoint + 1)

    restart_daemon()
    wait_for(lambda: project.case.living(project.root) and project.status().is_ready)
    checkpoint = project.last_checkpoint()
    wait_for(lambda: project.last_checkpoint() > checkpoint + 1)
    wait_for(lambda: project.is_seen("worker-1"))

    assert project.drctl("stop-all") == 0
    assert "stopped the store" in capsys.readouterr().out
    assert project.drctl("stop-viewer") == 0
    assert find_containers(VIEWER) == []
    assert find_containers("s3") == []
    assert containers() == {}


def check_viewer(project):
    """Browsers need the token, which Docker shows nobody; every worker is seen, and one that was started again."""
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen("http://127.0.0.1:8197/", timeout=10)
    (viewer,) = find_containers(VIEWER)
    token = (project.root / "tmp" / "secrets" / "viewer-token").read_text()
    assert token not in ask_docker("inspect", viewer.name)
    assert ask_docker("exec", viewer.name, "id", "-u").strip() == str(os.getuid() or 10001)
    wait_for(lambda: find_containers(VIEWER)[0].health == "healthy")
    assert project.drctl("start-viewer") == 0  # runs already

    wait_for(lambda: all(project.is_seen(f"worker-{number}") for number in (0, 1)))
    before = containers()["worker-1"].started
    project.case.kill(project.root, "worker-1")
    wait_for(lambda: containers()["worker-1"].started > before and project.is_seen("worker-1"))


def restart_daemon():
    """Restart the daemon, or skip the rest where it is not the one that scripts/docker-engine started."""
    if not Path("/run/drctl-dockerd.pid").exists():
        pytest.skip("the Docker daemon is not one that scripts/docker-engine started")
    for verb in ("stop", "start"):
        subprocess.run([DOCKER_ENGINE, verb], check=True, capture_output=True, timeout=240)


def check_secrets(root):
    """No key of store or link stands in what Docker and the run folder show."""
    folder = root / "tmp" / "secrets"
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "viewer-token"]
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


@pytest.fixture
def server_elsewhere(project, tmp_path, monkeypatch):
    """An S3 server that drctl did not start, with a bucket; gives its settings and the secret of its key."""
    secret, name = secrets.token_urlsafe(24), "drctl-test-server"
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"access_key_id": "somebody", "secret_access_key": secret}))
    keys.chmod(0o600)
    give_to_container(keys)
    profile = tmp_path / "credentials"
    profile.write_text(f"[nas]\naws_access_key_id = somebody\naws_secret_access_key = {secret}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "missing"))
    ensure_network(NETWORK, lambda _command: None)
    mount = f"--volume={keys}:/run/secrets/store_keys:ro"
    image = f"drctl/store:{drctl_package.__version__}"
    ask_docker("run", "--detach", "--init", f"--name={name}", f"--network={NETWORK}", mount, image)
    try:
        (facts,) = json.loads(ask_docker("inspect", name))
        address = facts["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
        settings = {
            "DR_CLOUD": "remote",
            "DR_REMOTE_MINIO_URL": f"http://{address}:9000",
            "DR_LOCAL_S3_PROFILE": "nas",
        }
        wait_for(lambda: ask_docker("inspect", "--format={{.State.Health.Status}}", name).strip() == "healthy")
        create_bucket(project_store_location(project.load(**settings)))
        yield settings, secret
    finally:
        ask_docker("rm", "--force", "--volumes", name)


def test_an_evaluation_whose_watcher_was_killed_is_found_and_ended(project, capsys):
    project.write_hyperparameters()
    assert project.drctl("start-training", "-w") == 0
    assert project.drctl("stop-training") == 0
    assert project.drctl("eval", "-q", **ENDLESS) == 0
    name = f"deepracer-eval-{RUN_ID}"
    wait_for(lambda: [one.status for one in containers(name).values()] == ["running"])
    (watcher,) = find_evaluations(project.root)
    watcher.process.send(signal.SIGKILL)
    wait_for(lambda: not find_evaluations(project.root))
    capsys.readouterr()
    assert project.drctl("eval") == 5
    assert f"an evaluation of run {RUN_ID} is under way in a container" in capsys.readouterr().err
    assert [one.status for one in containers(name).values()] == ["running"]
    assert project.drctl("stop-evaluation") == 0
    assert "which nobody watched any more" in capsys.readouterr().out
    assert containers(name) == {}


def test_a_store_elsewhere_takes_the_model_and_no_key_is_shown(project, server_elsewhere, capsys):
    settings, secret = server_elsewhere
    project.write_hyperparameters()
    assert project.drctl("start-training", **settings) == 0
    assert "4 training episodes were driven" in capsys.readouterr().out
    store = open_store(project_store_location(project.load(**settings)))
    assert store.stat("rl-deepracer-sagemaker/model/model_2.pb") is not None
    assert find_containers("s3") == []
    names = [one.name for one in containers().values()]
    assert secret not in ask_docker("inspect", *names)
    assert project.drctl("eval", "--trials", "1", DR_EVAL_MAX_RESETS="0", **settings) == 0
    assert "Checkpoint 2 on reinvent_base" in capsys.readouterr().out
    assert project.drctl("stop-training", **settings) == 0


def test_a_worker_of_another_machine_helps(project, capsys):
    project.write_hyperparameters(term_cond_max_episodes=2000)
    assert project.drctl("start-training", "-w", "-q", DR_LINK_LISTEN="0.0.0.0") == 0
    capsys.readouterr()
    assert project.drctl("worker-invite", "--output", "json", DR_LINK_LISTEN="0.0.0.0") == 0
    ticket = Path(json.loads(capsys.readouterr().out)["data"]["ticket"])
    assert ticket.stat().st_mode & 0o777 == 0o600
    argv = [sys.executable, "-m", "drctl", "start-worker", "--join", str(ticket), "--name", "guest"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as guest:
        try:
            wait_for(lambda: "elsewhere" in [part.condition for part in project.status().parts if part.name == "guest"])
        finally:
            guest.kill()
    assert project.drctl("stop-training") == 0


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
