"""The file of a run for ``docker stack deploy``: whole text, then facts, then what Docker thinks of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from stack.test_render import ELSEWHERE, FOLDERS, GOLDEN, KEYS, make_plan

from drctl.stack import render
from drctl.stack.plan import RunPlan
from drctl.stack.swarm_stack import SwarmPlace, in_swarm

PINNED = {"drctl/trainer:1.2.3": "sha256:" + "a" * 64, "drctl/worker:1.2.3": "sha256:" + "b" * 64}
TICKET = FOLDERS.secrets_folder / "run-3-link" / "ticket" / "join"


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch):
    monkeypatch.setattr("drctl.stack.container_stack.usable_cores", lambda: 4)


def swarm_plan(worker_nodes=2, **settings):
    return in_swarm(make_plan(**settings), SwarmPlace("node0id", worker_nodes, PINNED))


def stack(**arguments):
    return yaml.safe_load(render.render_stack(swarm_plan(**arguments)))


def test_whole_file():
    """After a wanted change: write what is rendered over the golden file, and read the difference."""
    assert render.render_stack(swarm_plan()) == (GOLDEN / "stack.yml").read_text()


def test_gpus_logs_and_a_port_for_workers_of_other_places():
    """No test ever ran on a GPU or sent a log to AWS: these blocks are what Docker's documentation asks for."""
    found = yaml.safe_load(render.render_stack(swarm_plan(workers=1, host=ELSEWHERE)))["services"]
    trainer, worker = found["algo"], found["robomaker"]
    assert trainer["environment"]["NVIDIA_VISIBLE_DEVICES"] == "0,2"
    assert "NVIDIA_VISIBLE_DEVICES" not in worker["environment"]
    assert trainer["ports"] == [{"target": 7303, "published": 7303, "mode": "host"}]
    for service in found.values():
        assert service["logging"]["driver"] == "awslogs"
        assert service["logging"]["options"]["tag"] == "box-{{.Name}}"
        assert "devices" not in str(service["deploy"])


def test_names_and_places_that_users_know():
    """Contract 0: stack, network, services and labels of nodes."""
    plan, found = swarm_plan(), stack()
    assert (plan.engine, plan.compose_project) == ("swarm", "deepracer-3")
    assert found["networks"] == {"sagemaker-local": {"name": "sagemaker-local", "external": True}}
    places = {name: service["deploy"]["placement"]["constraints"] for name, service in found["services"].items()}
    assert places == {
        "algo": ["node.labels.Sagemaker == true", "node.id == node0id"],
        "robomaker": ["node.labels.Robomaker == true"],
    }


def test_workers_are_slots_of_one_service_and_keep_their_names():
    plan = swarm_plan(workers=3)
    assert plan.workers == ("worker-0", "worker-1", "worker-2")
    assert [part.container.placement.slot for part in plan.parts] == [1, 1, 2, 3]
    worker = stack(workers=3)["services"]["robomaker"]
    assert worker["deploy"]["replicas"] == 3
    assert worker["environment"]["DOCKER_REPLICA_SLOT"] == "{{.Task.Slot}}"  # contract 2.5
    assert "command" not in worker


@pytest.mark.parametrize(
    ("workers", "nodes", "most"), [(1, 1, 1), (2, 1, 2), (2, 2, 1), (5, 2, 3), (3, 8, 1), (2, 0, 2)]
)
def test_no_machine_takes_more_than_its_share(workers, nodes, most):
    worker = stack(workers=workers, worker_nodes=nodes)["services"]["robomaker"]
    assert worker["deploy"]["placement"]["max_replicas_per_node"] == most


def test_nothing_of_this_machine_is_asked_of_the_others():
    worker = stack()["services"]["robomaker"]
    assert [mount["type"] for mount in worker["volumes"]] == ["tmpfs", "volume"]
    assert worker["secrets"] == [
        {"source": "join", "target": "/run/secrets/join", "uid": "1000", "gid": "0", "mode": 0o400}
    ]
    assert stack()["secrets"] == {"join": {"file": str(TICKET)}}
    for name, service in stack()["services"].items():
        assert service["image"].startswith("sha256:"), name  # no registry is asked for a name that others could take


def test_the_trainer_has_the_same_mounts_as_with_compose():
    compose = yaml.safe_load(render.render_run(make_plan()))["services"]["algo"]["volumes"]
    tmpfs, *mounts = stack()["services"]["algo"]["volumes"]
    assert tmpfs == {"type": "tmpfs", "target": "/tmp"}
    assert mounts == compose
    assert str(KEYS) in {mount["source"] for mount in mounts}


def test_every_service_is_hardened_and_has_no_virtual_address():
    for service in stack()["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is service["init"] is True
        assert service["stop_grace_period"] == "30s"
        assert service["user"] == "1000:0"
        assert service["healthcheck"] == {"disable": True}
        assert set(service["deploy"]["resources"]["limits"]) == {"memory", "pids"}
        assert service["deploy"]["endpoint_mode"] == "dnsrr"
        assert service["deploy"]["restart_policy"] == {"condition": "on-failure", "delay": "1s"}
        assert "ports" not in service
        assert "container_name" not in service
        assert "/var/run/docker.sock" not in str(service)


def test_a_plan_survives_its_file():
    plan = swarm_plan()
    assert RunPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_what_is_no_container_has_no_place_in_a_swarm():
    plan = make_plan()
    bare = RunPlan(**{**plan.__dict__, "parts": (plan.parts[0].__class__("trainer", "trainer", ()),)})
    with pytest.raises(ValueError, match="trainer has no container"):
        in_swarm(bare, SwarmPlace("node0id", 1, PINNED))


@pytest.mark.docker
def test_docker_reads_it(tmp_path):
    """``docker stack config`` needs no swarm; it fails on what a stack may not say."""
    if shutil.which("docker") is None:
        reason = "there is no docker command; scripts/docker-engine installs one"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    file = Path(tmp_path) / "compose.yml"
    file.write_text(render.render_stack(swarm_plan()))
    argv = ["docker", "stack", "config", "--compose-file", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = yaml.safe_load(done.stdout)["services"]
    assert found["robomaker"]["deploy"]["placement"]["max_replicas_per_node"] == 1
    assert found["algo"]["init"] is True
