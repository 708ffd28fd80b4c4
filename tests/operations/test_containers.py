"""What trainings in containers need of this machine and of stores elsewhere; a small program stands in for Docker."""

from __future__ import annotations

import http.server
import json
import os
import threading
import time

import pytest

from drctl.engines.evaluation_process import evaluation_folder, only_evaluation
from drctl.engines.store_container import StoreContainer
from drctl.errors import ConfigError, DrctlError, UnavailableError
from drctl.operations import runs
from drctl.operations.container_store import (
    location_inside,
    provide_store,
    store_image,
    store_notes,
    store_problems,
    trainer_keys_file,
)
from drctl.operations.containers import check_machine, plan_evaluation
from drctl.operations.machine_check import check_gpu
from drctl.operations.workers import invite_worker
from drctl.stack.store_server import MinioFiles, minio_server
from drctl.storage.s3 import keys_on_this_machine

# Knows every image, no container, no network, and one label of images; runtimes are those of its environment.
DOCKER = """#!/bin/sh
case "$1 $2" in
  "info --format") echo "{\\"runc\\": {}$RUNTIMES}" ;;
  "network inspect") exit 1 ;;
  "image inspect") [ "$3" = --format ] && echo "${TORCH:-sha256:0123456789abcdef}" ;;
esac
exit 0
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Put a program named docker in front of the real one, and say what its machine has."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    for module in ("drctl.engines.compose", "drctl.engines.store_container"):
        monkeypatch.setattr(f"{module}.find_containers", lambda _project: [])
    return monkeypatch.setenv


@pytest.fixture
def compose_project(make_project):
    def make(**settings):
        return make_project(run_id=7, docker_style="compose", minio_image="", **settings)

    return make


def problem_of(error):
    (problem,) = error.value.problems
    return problem


def test_a_gpu_needs_docker_to_give_it(compose_project, docker):
    with pytest.raises(UnavailableError) as caught:
        check_machine(compose_project(sagemaker_cuda_devices="0,1"))
    problem = problem_of(caught)
    assert problem.what == "DR_SAGEMAKER_CUDA_DEVICES is 0,1, but Docker cannot give GPUs to containers"
    assert problem.where == "--set"
    assert "sudo nvidia-ctk runtime configure --runtime=docker" in problem.fix


def test_a_gpu_needs_an_image_that_uses_it(compose_project, docker):
    docker("RUNTIMES", ', "nvidia": {}')
    docker("TORCH", "cpu")
    with pytest.raises(UnavailableError) as caught:
        check_machine(compose_project(sagemaker_cuda_devices="0"))
    assert problem_of(caught).fix == "drctl build-images --cuda"
    docker("TORCH", "cuda")
    check_machine(compose_project(sagemaker_cuda_devices="0"))
    check_machine(compose_project())


def test_a_gpu_without_containers_needs_its_driver(make_project, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    check_gpu(make_project())
    with pytest.raises(UnavailableError) as caught:
        check_gpu(make_project(sagemaker_cuda_devices="0"))
    assert problem_of(caught).what == "DR_SAGEMAKER_CUDA_DEVICES is 0, but this machine has no NVIDIA driver"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "box.localhost"])
def test_an_address_that_means_the_container_itself_is_refused(compose_project, docker, host):
    project = compose_project(cloud="remote", remote_minio_url=f"http://{host}:9000")
    with pytest.raises(ConfigError, match="which inside a container is the container itself") as caught:
        check_machine(project)
    assert problem_of(caught).fix == "drctl config set DR_REMOTE_MINIO_URL=http://HOST:9000"
    assert store_problems(compose_project(cloud="remote", remote_minio_url="http://mynas:9000")) == []


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Write a profile of the AWS configuration files."""
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "missing"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def write(token=""):
        session = f"aws_session_token = {token}\n" if token else ""
        file.write_text(f"[nas]\naws_access_key_id = AKIA\naws_secret_access_key = hidden\n{session}")

    return write


@pytest.mark.usefixtures("docker")
def test_the_keys_of_a_profile_reach_the_trainer_as_a_file(compose_project, profile):
    profile()
    project = compose_project(cloud="aws", aws_app_region="eu-central-1", local_s3_profile="nas")
    assert provide_store(project, lambda _command: None) is False
    file = trainer_keys_file(project)
    assert json.loads(file.read_text()) == {"access_key_id": "AKIA", "secret_access_key": "hidden"}
    assert file.stat().st_mode & 0o777 == 0o600
    inside = location_inside(project)
    assert (inside.keys_file, inside.profile, inside.endpoint_url, inside.region) == (
        *("/run/secrets/store_keys", None, None, "eu-central-1"),
    )
    mounts = {mount.target: mount.source for mount in plan_evaluation(project).part.container.mounts}
    assert mounts["/run/secrets/store_keys"] == str(file)
    assert store_notes(project) == ()


@pytest.mark.usefixtures("docker")
def test_temporary_keys_are_taken_with_a_warning(compose_project, profile):
    profile("of-an-hour")
    project = compose_project(cloud="aws", local_s3_profile="nas")
    provide_store(project, lambda _command: None)
    assert json.loads(trainer_keys_file(project).read_text())["session_token"] == "of-an-hour"
    (note,) = store_notes(project)
    assert "the store's keys are temporary" in note.text


@pytest.mark.usefixtures("docker")
def test_without_keys_the_role_of_the_machine_lets_the_trainer_in(compose_project, profile):
    project = compose_project(cloud="aws")
    assert keys_on_this_machine(None) is None
    provide_store(project, lambda _command: None)
    assert not trainer_keys_file(project).exists()
    assert location_inside(project).keys_file is None


def test_a_profile_that_is_missing_is_named(profile):
    profile()
    with pytest.raises(DrctlError, match="other"):
        keys_on_this_machine("other")


def test_the_image_of_the_store(make_project, compose_project):
    assert store_image(make_project(minio_image="latest")) == "minio/minio:latest"
    assert store_image(compose_project()).startswith("drctl/store:")
    assert "CVE-2025-62506" in store_notes(make_project(minio_image="latest"))[0].text
    assert store_notes(make_project()) == ()  # what `drctl init` writes


@pytest.mark.parametrize("zone", ["UTC", "<+0530>-05:30", "<-0300>+03:00"])
def test_an_evaluation_in_a_container_has_the_time_of_this_machine(compose_project, docker, monkeypatch, zone):
    """Local time names its files; the images know no zone by name."""
    try:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        here = time.localtime(1_700_000_000)[:6]
        monkeypatch.setenv("TZ", plan_evaluation(compose_project()).part.environment["TZ"])
        time.tzset()
        assert time.localtime(1_700_000_000)[:6] == here
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_store_of_an_evaluation_under_way_is_not_stopped(compose_project, monkeypatch):
    project = compose_project()
    (project.root / "tmp" / "s3").mkdir(parents=True)
    (project.root / "tmp" / "s3" / "compose.yml").touch()
    stopped = []
    monkeypatch.setattr(runs, "stop_store", lambda _project: stopped.append(True) or True)
    with only_evaluation(evaluation_folder(project.root, 7), "a model is being evaluated"):
        result = runs.stop_all(project)
    assert stopped == []
    assert result.messages[-1].text == "the store goes on: an evaluation is under way and needs it"
    assert result.next_steps == ("drctl stop-evaluation", "drctl stop-all")
    assert runs.stop_all(project).messages[-1].text == "stopped the store; what is in it stays"


def test_minio_gets_its_folder_and_its_keys_in_files(tmp_path, docker, monkeypatch):
    """Its image cannot be had here: a small server answers in its place."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("drctl.engines.store_container.STORE_PORT", server.server_port)
    monkeypatch.setattr("drctl.engines.store_container._check_port", lambda _port: None)
    monkeypatch.setattr("drctl.engines.store_container.ensure_network", lambda *_: None)
    files = MinioFiles(tmp_path / "data" / "minio", tmp_path / "tmp/secrets/user", tmp_path / "tmp/secrets/password")
    user_id = os.getuid() or 10001
    keys = tmp_path / "tmp" / "secrets" / "store-keys.json"
    shown = []
    store = StoreContainer(tmp_path, keys, server=minio_server("me/minio:1", user_id, files), echo=shown.append)
    try:
        assert store.start() is True
    finally:
        server.shutdown()
        server.server_close()
    assert files.data.is_dir()
    stored = json.loads(keys.read_text())
    assert files.user.read_text() == stored["access_key_id"]
    assert files.password.read_text() == stored["secret_access_key"]
    for path in (files.user, files.password, files.data):
        assert path.stat().st_uid == user_id
    assert files.password.stat().st_mode & 0o777 == 0o600
    assert stored["secret_access_key"] not in (tmp_path / "tmp" / "s3" / "compose.yml").read_text() + "".join(shown)
    assert Health.asked == ["/minio/health/live"]


def test_an_image_that_cannot_be_pulled_is_told_with_a_way_out(tmp_path, monkeypatch):
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho manifest unknown\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr("drctl.engines.store_container._check_port", lambda _port: None)
    for module in ("drctl.engines.compose", "drctl.engines.store_container"):
        monkeypatch.setattr(f"{module}.find_containers", lambda _project: [])
    files = MinioFiles(tmp_path / "data", tmp_path / "user", tmp_path / "password")
    shown = []
    store = StoreContainer(
        tmp_path, tmp_path / "keys", server=minio_server("me/minio:1", 1000, files), echo=shown.append
    )
    with pytest.raises(UnavailableError) as caught:
        store.start()
    problem = problem_of(caught)
    assert (problem.what, problem.where) == ("the store's image me/minio:1 cannot be pulled", "manifest unknown")
    assert "drctl config set DR_MINIO_IMAGE=" in problem.fix
    assert shown == ["docker pull me/minio:1"]
    assert not files.data.exists()


class Health(http.server.BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_run_in_containers_that_publishes_no_port_invites_nobody(compose_project, docker):
    from drctl.engines.engine import Engine
    from drctl.operations.containers import plan_containers
    from drctl.stack.drctl_stack import RunFolders, trainer_spec
    from drctl.stack.plan import write_plan
    from drctl.storage.location import project_store_location

    project = compose_project()
    folders = RunFolders(project.root, project.run_folder, project.secrets_path)
    location = project_store_location(project)
    spec = trainer_spec(
        project.settings, folders, location, run_token="t", metrics_prefix="m/metrics", advertised_host="h"
    )
    project.run_folder.mkdir(parents=True)
    write_plan(plan_containers(project, spec, folders))

    class Running(Engine):
        def is_running(self, _folder):
            return True

    with pytest.raises(ConfigError, match="it listens on its containers' network only"):
        invite_worker(project, engine=Running())
