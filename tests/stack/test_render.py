"""The compose files of runs and store: whole text, then facts, then what Docker Compose thinks of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import jinja2
import pytest
import yaml

from drctl.config.settings import Settings
from drctl.stack import render
from drctl.stack.container_stack import (
    ContainerHost,
    Images,
    container_plan,
    evaluation_plan,
    images_for,
    in_containers,
    link_folders,
    user_id_for,
)
from drctl.stack.drctl_stack import RunFolders, trainer_spec
from drctl.stack.plan import CloudWatch, RunPlan
from drctl.stack.store_server import MinioFiles, minio_reference, minio_server, minio_warning, own_server
from drctl.stack.viewer_container import viewer_container
from drctl.stack.viewer_plan import ViewerPlan
from drctl.storage.location import StoreLocation

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = RunFolders(Path("/home/ann/car"), Path("/home/ann/car/tmp/run-3"), Path("/home/ann/car/tmp/secrets"))
KEYS = FOLDERS.secrets_folder / "store-keys.json"
IMAGES = Images("drctl/trainer:1.2.3", "drctl/worker:1.2.3")
TOKEN_FILE = str(KEYS.with_name("viewer-token"))
OWN_STORE = own_server("drctl/store:1.2.3", 1000, KEYS)
MINIO_FILES = MinioFiles(
    Path("/home/ann/car/data/minio"), KEYS.with_name("minio-user"), KEYS.with_name("minio-password")
)
MINIO = minio_server("alpine/minio:RELEASE.2025-10-15T17-29-55Z", 1000, MINIO_FILES)
INSIDE = StoreLocation("s3", "bucket", endpoint_url="http://minio:9000", keys_file="/run/secrets/store_keys")


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch):
    monkeypatch.setattr("drctl.stack.container_stack.usable_cores", lambda: 4)


def make_plan(store=INSIDE, store_keys=KEYS, host=None, **settings):
    spec = trainer_spec(
        Settings(**{"run_id": 3, "workers": 2, **settings}),
        FOLDERS,
        StoreLocation("s3", "bucket", endpoint_url="http://127.0.0.1:9000", keys_file=str(KEYS)),
        run_token="0123456789abcdef",
        metrics_prefix="rl-deepracer-sagemaker/metrics",
        advertised_host="10.0.0.1",
    )
    machine = ContainerHost(IMAGES, 1000, "drctl-kernels-abc", store_keys, **(host or {}))
    return container_plan(in_containers(spec, store), FOLDERS, machine)


def make_evaluation():
    machine = ContainerHost(IMAGES, 1000, "drctl-kernels-abc", KEYS)
    folder = Path("/home/ann/car/tmp/eval-3")
    return evaluation_plan(
        Settings(run_id=3), FOLDERS, machine, folder=folder, run_token="0123456789abcdef", timezone="<+0100>-01:00"
    )


def make_viewer(store_keys=KEYS, token_file=TOKEN_FILE):
    told = ViewerPlan(
        *("/home/ann/car", "compose", None, "0.0.0.0", 8100, token_file, True, ("overlay",), False, "Red"),
        store=INSIDE.to_json(),
    )
    return viewer_container(told, run_id=3, image="drctl/viewer:1.2.3", user_id=1000, store_keys=store_keys)


def render_store(project="/home/ann/car", server=OWN_STORE):
    return render.render_store(server, Path(project))


def services(plan):
    return yaml.safe_load(render.render_run(plan))["services"]


# No test ever ran on a GPU or sent a log to AWS: these blocks are what Docker's documentation asks for.
ELSEWHERE = {
    "gpus": ("0", "2"),
    "link_address": "0.0.0.0",
    "cloud_watch": CloudWatch("eu-central-1", "/deepracer-for-cloud", "box-{{.Name}}"),
}
RENDERED = {
    "run": lambda: render.render_run(make_plan()),
    "run-gpu-cloudwatch-link": lambda: render.render_run(make_plan(workers=1, host=ELSEWHERE)),
    "evaluation": lambda: render.render_evaluation(make_evaluation()),
    "viewer": lambda: render.render_viewer(make_viewer()),
    "store": render_store,
    # MinIO's image was never run by these tests: the block is what its documentation asks for.
    "minio": lambda: render_store(server=MINIO),
}


@pytest.mark.parametrize("name", RENDERED)
def test_whole_file(name):
    """After a wanted change: write what is rendered over the golden file, and read the difference."""
    assert RENDERED[name]() == (GOLDEN / f"{name}.yml").read_text()


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_one_trainer_and_every_worker(workers):
    found = services(make_plan(workers=workers))
    assert set(found) == {"algo", *(f"robomaker-{number}" for number in range(1, workers + 1))}
    names = [service["container_name"] for service in found.values()]
    assert len(set(names)) == workers + 1
    commands = [found[f"robomaker-{number}"]["command"] for number in range(1, workers + 1)]
    assert commands == [["--name", f"worker-{number}"] for number in range(workers)]


@pytest.mark.parametrize("run_id", [0, 7])
def test_names_that_tools_look_for(run_id):
    """Contract 0: project, network, ``algo`` and ``robomaker`` in the containers' names."""
    found = yaml.safe_load(render.render_run(make_plan(run_id=run_id)))
    assert found["name"] == f"deepracer-{run_id}"
    assert found["networks"] == {"sagemaker-local": {"name": "sagemaker-local", "external": True}}
    names = sorted(service["container_name"] for service in found["services"].values())
    assert names == [f"deepracer-{run_id}-{part}" for part in ("algo-1", "robomaker-1", "robomaker-2")]


def test_every_container_is_hardened():
    store = yaml.safe_load(render_store())["services"]["minio"]
    evaluation = yaml.safe_load(RENDERED["evaluation"]())["services"]["robomaker"]
    viewer = yaml.safe_load(RENDERED["viewer"]())["services"]["viewer"]
    assert (evaluation["restart"], viewer["restart"]) == ("no", "unless-stopped")
    others = ({**service, "restart": "on-failure"} for service in (evaluation, viewer))
    for service in (*services(make_plan()).values(), store, *others):
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["read_only"] is service["init"] is True
        assert service["tmpfs"] == ["/tmp"]
        assert service["restart"] == "on-failure"
        assert service["stop_grace_period"] == "30s"
        assert service["user"] == "1000:0"
        assert service["mem_limit"]
        assert service["pids_limit"]
        assert "/var/run/docker.sock" not in str(service)


def test_nobody_outside_reaches_a_port():
    assert not any("ports" in service for service in services(make_plan()).values())
    (port,) = yaml.safe_load(render_store())["services"]["minio"]["ports"]
    assert port == {"target": 9000, "published": "9000", "host_ip": "127.0.0.1"}


def test_the_viewer_is_for_everybody_with_a_token_and_changes_nothing():
    plan = make_viewer()
    (service,) = yaml.safe_load(render.render_viewer(plan))["services"].values()
    assert service["container_name"] == plan.compose_project == "deepracer-3-viewer"
    assert service["ports"] == [{"target": 8100, "published": "8100", "host_ip": "0.0.0.0"}]
    assert all(mount["read_only"] for mount in service["volumes"])
    inside = {mount["target"]: mount["source"] for mount in service["volumes"]}
    told = plan.viewer
    assert inside[told.token_file] == TOKEN_FILE
    assert inside[told.store["keys_file"]] == str(KEYS)
    assert inside[f"{told.root}/tmp/run-3"] == "/home/ann/car/tmp/run-3"
    assert (told.is_loopback_free, told.run_id) == (False, 3)

    open_to_all = make_viewer(store_keys=None, token_file=None)
    assert open_to_all.viewer.token_file is None
    assert len(open_to_all.part.container.mounts) == len(service["volumes"]) - 2
    assert open_to_all.part.environment["AWS_METADATA_SERVICE_NUM_ATTEMPTS"] == "5"


def test_minio_is_reached_from_this_machine_alone_and_shows_no_key():
    service = yaml.safe_load(render_store(server=MINIO))["services"]["minio"]
    assert [(port["published"], port["host_ip"]) for port in service["ports"]] == [
        ("9000", "127.0.0.1"),
        ("9001", "127.0.0.1"),
    ]
    inside = {mount["target"]: mount["source"] for mount in service["volumes"]}
    assert inside["/data"] == "/home/ann/car/data/minio"
    environment = service["environment"]
    assert inside[environment["MINIO_ROOT_PASSWORD_FILE"]] == str(KEYS.with_name("minio-password"))
    assert inside[environment["MINIO_ROOT_USER_FILE"]] == str(KEYS.with_name("minio-user"))
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize(
    ("setting", "image"),
    [
        ("latest", "minio/minio:latest"),
        ("RELEASE.2025-09-07T16-13-09Z", "minio/minio:RELEASE.2025-09-07T16-13-09Z"),
        ("alpine/minio:RELEASE.2025-10-15T17-29-55Z", "alpine/minio:RELEASE.2025-10-15T17-29-55Z"),
        ("quay.io/minio/minio", "quay.io/minio/minio"),
        ("minio/minio:latest", "minio/minio:latest"),
    ],
)
def test_minio_is_a_tag_or_a_full_reference(setting, image):
    assert minio_reference(setting) == image


@pytest.mark.parametrize(
    ("setting", "is_old"),
    [
        ("latest", True),
        ("minio/minio:latest", True),
        ("docker.io/minio/minio:RELEASE.2025-09-07T16-13-09Z", True),
        ("RELEASE.2025-10-15T17-29-55Z", False),
        ("alpine/minio:RELEASE.2025-10-15T17-29-55Z", False),
        ("my/minio:latest", False),
    ],
)
def test_images_without_the_fix_are_named(setting, is_old):
    warning = minio_warning(setting)
    assert (warning is not None) is is_old
    if warning:
        assert "CVE-2025-62506" in warning
        assert "alpine/minio:RELEASE.2025-10-15T17-29-55Z" in warning


def test_the_trainer_alone_gets_gpus():
    found = services(make_plan(host={"gpus": ("all",)}))
    (device,) = found["algo"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert "deploy" not in found["robomaker-1"]


def test_workers_of_other_machines_reach_the_trainer_where_they_may():
    trainer, worker = (services(make_plan(host={"link_address": "10.0.0.1"}))[name] for name in ("algo", "robomaker-1"))
    assert trainer["ports"] == [{"target": 7303, "published": "7303", "host_ip": "10.0.0.1"}]
    assert "ports" not in worker


def test_a_store_elsewhere_is_reached_with_the_keys_of_a_file():
    aws = StoreLocation("s3", "models", region="eu-central-1", keys_file="/run/secrets/store_keys")
    keys = KEYS.with_name("run-3-store-keys.json")
    plan = make_plan(store=aws, store_keys=keys)
    assert plan.trainer["store"] == aws.to_json()
    sources = {mount["target"]: mount["source"] for mount in services(plan)["algo"]["volumes"]}
    assert sources["/run/secrets/store_keys"] == str(keys)


def test_a_trainer_with_the_role_of_its_machine_gets_no_key():
    plan = make_plan(store=StoreLocation("s3", "models", region="eu-central-1"), store_keys=None)
    trainer = services(plan)["algo"]
    assert "/run/secrets/store_keys" not in {mount["target"] for mount in trainer["volumes"]}
    assert trainer["environment"]["AWS_METADATA_SERVICE_NUM_ATTEMPTS"] == "5"


def test_workers_see_their_ticket_and_no_key():
    keys, ticket = link_folders(FOLDERS, 3)
    worker = services(make_plan())["robomaker-1"]
    assert [(mount["source"], mount["target"], mount.get("read_only", False)) for mount in worker["volumes"]] == [
        (str(ticket), "/run/secrets", True),
        ("kernels", "/var/cache/drctl", False),
    ]
    assert ticket not in keys.parents
    assert keys not in ticket.parents
    assert not [name for name in worker["environment"] if name.startswith("AWS_")]


def test_the_trainer_is_told_how_things_look_from_inside():
    trainer = make_plan().trainer
    assert trainer["store"]["endpoint_url"] == "http://minio:9000"
    inside = {mount["target"] for mount in services(make_plan())["algo"]["volumes"]}
    assert trainer["store"]["keys_file"] in inside
    link = trainer["link"]
    assert (link["ipc_folder"], link["tcp_host"], link["tcp_port"], link["advertised_host"]) == (
        *(None, "0.0.0.0", 7303, "algo"),
    )
    for name in ("local_ticket", "remote_ticket"):
        assert str(Path(link[name]).parent) in inside
    assert Path(link["local_ticket"]).parent != Path(link["remote_ticket"]).parent


def test_a_plan_survives_its_file():
    for plan in (make_plan(), make_plan(host=ELSEWHERE)):
        assert RunPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_containers_never_run_as_root():
    assert (user_id_for(1000), user_id_for(0)) == (1000, 10001)


def test_settings_name_other_images():
    found = images_for(Settings(sagemaker_image="me/trainer:1", robomaker_image=None), "1.2.3")
    assert found == Images("me/trainer:1", "drctl/worker:1.2.3")


def test_no_value_can_break_out_of_its_place():
    odd = '/home/a "b" $HOME: {x} #1'
    labels = yaml.safe_load(render_store(odd))["services"]["minio"]["labels"]
    assert labels["drctl.project"] == odd.replace("$", "$$")  # Compose reads $$ as $


def test_a_template_with_an_unknown_name_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "store.yml.j2").write_text("{{ unknown }}")
    monkeypatch.setattr(render, "resource_folder", lambda _name: tmp_path)
    with pytest.raises(jinja2.UndefinedError, match="unknown"):
        render_store()


@pytest.mark.docker
@pytest.mark.parametrize("name", RENDERED)
def test_docker_compose_accepts_it(name, tmp_path):
    if shutil.which("docker") is None:
        if os.environ.get("CI"):
            pytest.fail("there is no docker command; scripts/docker-engine installs one")
        pytest.skip("there is no docker command; scripts/docker-engine installs one")
    file = tmp_path / "compose.yml"
    file.write_text(render_store('/home/a "b" $HOME') if name == "store" else RENDERED[name]())
    argv = ["docker", "compose", "--file", str(file), "config", "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)["services"]
    if name == "run":
        assert set(found) == {"algo", "robomaker-1", "robomaker-2"}
    elif name == "run-gpu-cloudwatch-link":
        (device,) = found["algo"]["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["device_ids"], device["capabilities"]) == ("nvidia", ["0", "2"], ["gpu"])
        assert found["robomaker-1"]["logging"]["options"]["tag"] == "box-{{.Name}}"
    elif name == "evaluation":
        assert set(found) == {"robomaker"}
        assert found["robomaker"]["restart"] == "no"
        assert found["robomaker"]["healthcheck"] == {"disable": True}
    elif name == "minio":
        assert found["minio"]["command"] == ["server", "/data", "--console-address", ":9001"]
    elif name == "viewer":
        assert (found["viewer"]["read_only"], found["viewer"]["cap_drop"]) == (True, ["ALL"])
    else:
        assert found["minio"]["labels"]["drctl.project"] in ('/home/a "b" $HOME', '/home/a "b" $$HOME')
