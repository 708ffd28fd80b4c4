"""``start-training --dry-run``: everything is told, nothing is done."""

from __future__ import annotations

import json

import pytest
import yaml

from drctl.cli.app import main
from drctl.stack.plan import PARENT_PID


@pytest.fixture
def dry_run(project, without_docker, monkeypatch, capsys):
    """Type the command in a project on a machine without Docker; gives status, output and errors."""
    monkeypatch.setattr("drctl.operations.container_store.host_routes", list)

    def type_in(*words):
        before = contents(project)
        status = main(["--project", str(project.root), "--set", "DR_RUN_ID=7", "start-training", "--dry-run", *words])
        assert contents(project) == before
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return type_in


def contents(project):
    return sorted((str(path), path.stat().st_mtime_ns) for path in project.root.rglob("*"))


def test_processes_are_told_with_their_arguments(dry_run, project):
    status, out, err = dry_run("--set", "DR_WORKERS=2")
    assert (status, err) == (0, "")
    commands = [line for line in out.splitlines() if line.startswith("$ ")]
    assert commands[0].endswith(f" -m drctl.trainer.main {project.run_folder} --parent-pid '{PARENT_PID}'")
    assert [command.partition("--name ")[2].split()[0] for command in commands[1:]] == ["worker-0", "worker-1"]
    assert out.endswith("Next:\n  drctl start-training\n")


def test_containers_are_told_with_their_files(dry_run, project):
    status, out, err = dry_run("--engine", "compose", "--set", "DR_MINIO_IMAGE=", "--output", "json")
    assert (status, err) == (0, "")
    data = json.loads(out)["data"]
    store, run = (project.root / "tmp" / folder / "compose.yml" for folder in ("s3", "run-7"))
    assert list(data["files"]) == [str(store), str(run)]
    assert set(yaml.safe_load(data["files"][str(run)])["services"]) == {"algo", "robomaker-1"}
    assert set(yaml.safe_load(data["files"][str(store)])["services"]) == {"minio"}
    assert data["engine"] == "compose"
    assert data["commands"] == [
        ["docker", "network", "create", "--subnet", "172.18.0.0/16", "sagemaker-local"],
        ["docker", "volume", "create", "s3_data"],
        ["docker", "compose", "--ansi", "never", "--file", str(store), "up", "--detach", "--no-build"],
        ["docker", "volume", "create", "--label=drctl.kernels", "drctl-kernels-of-the-image"],
        ["docker", "compose", "--ansi", "never", "--file", str(run), "up", "--detach", "--no-build"],
    ]


def test_a_swarm_is_told_with_its_network_and_its_stack(dry_run, project):
    """Neither Docker nor a swarm is asked: what only they know stands in words."""
    status, out, err = dry_run("--engine", "swarm", "--set", "DR_MINIO_IMAGE=", "--output", "json")
    assert (status, err) == (0, "")
    data = json.loads(out)["data"]
    store, run = (project.root / "tmp" / folder / "compose.yml" for folder in ("s3", "run-7"))
    assert list(data["files"]) == [str(store), str(run)]
    services = yaml.safe_load(data["files"][str(run)])["services"]
    assert set(services) == {"algo", "robomaker"}
    assert "node.id == id-of-this-machine" in services["algo"]["deploy"]["placement"]["constraints"]
    overlay = ["--driver", "overlay", "--attachable", "--opt", "encrypted", "--subnet", "10.200.0.0/24"]
    deploy = ["--compose-file", str(run), "--resolve-image", "never", "deepracer-7"]
    assert data["commands"] == [
        ["docker", "network", "create", *overlay, "sagemaker-local"],
        ["docker", "volume", "create", "s3_data"],
        ["docker", "compose", "--ansi", "never", "--file", str(store), "up", "--detach", "--no-build"],
        ["docker", "stack", "deploy", *deploy],
    ]


def test_an_old_minio_is_named(dry_run):
    status, out, err = dry_run("--engine", "compose", "--set", "DR_MINIO_IMAGE=latest")
    assert status == 0
    assert 'image: "minio/minio:latest"' in out
    assert "warning: DR_MINIO_IMAGE=latest is MinIO without the fix of CVE-2025-62506" in err


def test_the_file_is_shown_as_it_would_be_written(dry_run, project):
    _, out, _ = dry_run("--engine", "compose")
    path = project.run_folder / "compose.yml"
    _, document, _ = dry_run("--engine", "compose", "--output", "json")
    assert f"# {path}\n{json.loads(document)['data']['files'][str(path)]}" in out
    assert "$ docker compose --ansi never --file" in out
    assert out.endswith("Next:\n  drctl start-training --engine compose\n")


@pytest.mark.usefixtures("without_docker")
def test_an_evaluation_is_told_too(project, capsys):
    general = ("--project", str(project.root), "--set", "DR_RUN_ID=7", "--set", "DR_MINIO_IMAGE=")
    before = contents(project)
    options = ("--dry-run", "--checkpoint", "best", "--output", "json")
    assert main([*general, "--set", "DR_DOCKER_STYLE=compose", "eval", *options]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    path = str(project.root / "tmp" / "eval-7" / "compose.yml")
    assert yaml.safe_load(data["files"][path])["name"] == "deepracer-eval-7"
    assert data["commands"][-1][:7] == ["docker", "compose", "--ansi", "never", "--file", path, "up"]
    assert data["request"] == {"checkpoints": ["best"], "tracks": [], "copy": False}
    assert main([*general, "eval", *options]) == 0
    (command,) = json.loads(capsys.readouterr().out)["data"]["commands"]
    assert command[-2:] == ["eval", "--checkpoint=best"]
    assert contents(project) == before


def test_what_stands_against_a_start_is_told_at_once(dry_run, project):
    (project.custom_files / "reward_function.py").write_text("def reward(params):\n    return 1.0\n")
    (project.custom_files / "hyperparameters.json").write_text("{")
    status, _, err = dry_run()
    assert status == 3
    assert "hyperparameters.json" in err
    assert "error[reward_failed]" in err
