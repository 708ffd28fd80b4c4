"""The community images' compose files, parameters and variables, against what DeepRacer-for-Cloud gives them.

The images could not be had where these files were written; contract 2, 3 and appendix A say what they read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from drctl.config.settings import Settings
from drctl.formats.evaluation_params import evaluation_params_for
from drctl.formats.training_params import parse_training_params, render_training_params, training_params_for
from drctl.stack.community_stack import (
    CommunityHost,
    TrainingJob,
    community_evaluation_plan,
    community_images,
    community_training_plan,
)
from drctl.stack.drctl_stack import RunFolders
from drctl.stack.plan import RunPlan
from drctl.stack.render import render_run

GOLDEN = Path(__file__).parent / "golden" / "community"
SOURCE = "awsdeepracercommunity/deepracer-simapp"
FOLDERS = RunFolders(Path("/home/ann/car"), Path("/home/ann/car/tmp/run-3"), Path("/home/ann/car/tmp/secrets"))
ENDPOINT = "http://minio:9000"
HYPERPARAMETERS = {"batch_size": 64, "lr": 0.0003, "loss_type": "huber", "term_cond_max_episodes": 1000}

CASES = {
    "one": {},
    "three": {"workers": 3, "train_max_steps_per_iteration": 8000, "telegraf_host": "telegraf"},
    "multi": {"workers": 3, "train_multi_config": True},
    "gpu": {
        "simapp_version": "6.0.4-gpu",
        "workers": 2,
        "sagemaker_cuda_devices": "0",
        "robomaker_cuda_devices": "1",
        "gui_enable": True,
        "cloud_watch_enable": True,
        "cloud_watch_log_stream_prefix": "ann-",
        "robomaker_mount_logs": True,
        "robomaker_mount_scripts_dir": "/home/ann/scripts",
        "train_rtf": 2.0,
        "kinesis_stream_name": "stream",
    },
    "sdk": {"coach": "sdk", "local_s3_pretrained": True, "local_s3_pretrained_prefix": "old"},
    "evaluation": {"eval_save_mp4": True, "eval_rtf": 3.0},
}
WORLDS = {"multi": ("reinvent_base", "reInvent2019_track", "Oval_track")}


def settings_of(name, **changes):
    return Settings(**{"run_id": 3, "simapp_source": SOURCE, **CASES[name], **changes})


def make_plan(name, **changes):
    settings = settings_of(name, **changes)
    trainer, worker = community_images(settings)
    host = CommunityHost(trainer, worker, ENDPOINT, "/home/ann/car/tmp/secrets/run-3-store.env", "/home/ann/car/data")
    if name == "evaluation":
        return community_evaluation_plan(settings, FOLDERS, host, run_token="0123456789abcdef", engine="compose")
    job = TrainingJob(HYPERPARAMETERS, WORLDS.get(name, ()), "0123456789abcdef", {"workers": settings.workers})
    return community_training_plan(settings, FOLDERS, host, job, engine="compose")


def services(name, **changes):
    return yaml.safe_load(render_run(make_plan(name, **changes)))["services"]


def params_of(name):
    """Return what a case's parameter files hold, one text."""
    settings = settings_of(name)
    if name == "evaluation":
        params = evaluation_params_for(settings, stamp="20261128011500", epoch_s=1795828500, endpoint_url=ENDPOINT)
        return render_training_params(params).decode()
    numbers = range(1, 4) if name == "multi" else [None]
    files = []
    for number in numbers:
        entry = settings if number in (None, 1) else settings_of(name, world_name=WORLDS[name][number - 1])
        files.append(render_training_params(training_params_for(entry, endpoint_url=ENDPOINT, worker=number)).decode())
    return "".join(files)


@pytest.mark.parametrize("name", CASES)
def test_whole_files(name):
    """After a wanted change: write what is rendered over the golden files, and read the difference."""
    assert render_run(make_plan(name)) == (GOLDEN / f"{name}.yml").read_text()
    assert params_of(name) == (GOLDEN / f"{name}_params.yaml").read_text()


# Contract 3.1: what a training's worker has in its environment, whatever the settings are.
WORKER_NAMES = {
    *("WORLD_NAME", "APP_REGION", "SAGEMAKER_SHARED_S3_BUCKET", "SAGEMAKER_SHARED_S3_PREFIX", "S3_YAML_NAME"),
    *("S3_ENDPOINT_URL", "KINESIS_VIDEO_STREAM_NAME", "ENABLE_KINESIS", "ENABLE_GUI", "GAZEBO_ARGS"),
    *("GAZEBO_RENDER_ENGINE", "RTF_OVERRIDE", "CUDA_VISIBLE_DEVICES", "TELEGRAF_HOST", "TELEGRAF_PORT"),
    *("ROS_MASTER_URI", "ROS_IP"),
}


def test_a_single_worker_is_told_what_the_contract_says():
    worker = services("one")["robomaker-1"]
    assert set(worker["environment"]) == WORKER_NAMES
    assert worker["command"] == ["/opt/ml/code/run.sh run distributed_training.launch.py"]
    assert worker["environment"]["WORLD_NAME"] == yaml.safe_load(params_of("one"))["WORLD_NAME"] == "reinvent_base"
    assert worker["environment"]["S3_ENDPOINT_URL"] == yaml.safe_load(params_of("one"))["S3_ENDPOINT_URL"]
    assert worker["environment"]["ENABLE_KINESIS"] == "True"
    assert worker["environment"]["RTF_OVERRIDE"] == ""
    assert worker["ports"] == [
        {"target": 8080, "published": "8080-8089", "host_ip": "127.0.0.1"},
        {"target": 5900, "published": "5901-5920", "host_ip": "127.0.0.1"},
    ]


def test_several_workers_are_numbered_and_share_one_parameter_file():
    found = services("three")
    slots = [found[f"robomaker-{number}"]["environment"]["DOCKER_REPLICA_SLOT"] for number in (1, 2, 3)]
    assert slots == ["1", "2", "3"]
    worker = found["robomaker-2"]
    assert set(worker["environment"]) == {*WORKER_NAMES, "DOCKER_REPLICA_SLOT"}
    assert worker["command"] == ["/opt/ml/code/run.sh multi distributed_training.launch.py"]
    assert yaml.safe_load(params_of("three"))["NUM_WORKERS"] == "3"
    assert found["algo"]["environment"]["MAX_MEMORY_STEPS"] == "8000"
    assert (worker["environment"]["TELEGRAF_HOST"], worker["environment"]["TELEGRAF_PORT"]) == ("telegraf", "8092")


def test_each_worker_finds_its_own_world():
    environment = services("multi")["robomaker-3"]["environment"]
    assert json.loads(environment["MULTI_CONFIG"]) == {
        "multi_config": [
            {"config_file": "training_params_1.yaml", "world_name": "reinvent_base"},
            {"config_file": "training_params_2.yaml", "world_name": "reInvent2019_track"},
            {"config_file": "training_params_3.yaml", "world_name": "Oval_track"},
        ]
    }
    files = list(yaml.safe_load_all(params_of("multi")))
    assert [found["WORLD_NAME"] for found in files] == list(WORLDS["multi"])
    assert [found.get("MULTI_CONFIG") for found in files] == [None, "True", "True"]


def test_ports_are_enough_for_every_worker():
    workers = list(services("one", workers=12).values())[1:]
    assert {port["published"] for worker in workers for port in worker["ports"]} == {"8080-8091", "5901-5920"}


def test_the_trainer_starts_without_the_docker_socket():
    trainer = services("one")["algo"]
    assert "volumes" not in trainer
    command = (
        "/opt/ml/code/sage-train.sh --s3_bucket bucket --s3_prefix rl-deepracer-sagemaker --aws_region us-east-1 "
        "--model_metadata_s3_key s3://bucket/rl-deepracer-sagemaker/custom_files/model_metadata.json"
    )
    assert trainer["command"] == [command]
    assert json.loads(trainer["environment"]["SM_TRAINING_ENV"]) == {
        "hyperparameters": {
            "s3_bucket": "bucket",
            "s3_prefix": "rl-deepracer-sagemaker",
            "aws_region": "us-east-1",
            "model_metadata_s3_key": "s3://bucket/rl-deepracer-sagemaker/custom_files/model_metadata.json",
            **HYPERPARAMETERS,
        }
    }
    assert "CUDA_VISIBLE_DEVICES" not in trainer["environment"]
    assert trainer["container_name"] == "deepracer-3-algo-1"


def test_a_clone_names_the_model_it_begins_with():
    trainer = services("one", local_s3_pretrained=True, local_s3_pretrained_prefix="old")["algo"]
    words = trainer["command"][0].split()
    assert words[-6:] == [
        *("--pretrained_s3_bucket", "bucket", "--pretrained_s3_prefix", "old", "--pretrained_checkpoint", "last"),
    ]


def test_the_launcher_is_the_one_of_deepracer_for_cloud():
    launcher = services("sdk")["rl_coach"]
    assert launcher["command"] == [
        "source /root/sagemaker-venv/bin/activate && python3 /opt/ml/code/rl_coach/start.py",
    ]
    assert [(one["source"], one["target"]) for one in launcher["volumes"]] == [
        ("/var/run/docker.sock", "/var/run/docker.sock"),
        ("/tmp/sagemaker", "/tmp/sagemaker"),
    ]
    environment = launcher["environment"]
    assert (environment["PRETRAINED"], environment["PRETRAINED_S3_PREFIX"]) == ("True", "old")
    assert environment["SAGEMAKER_IMAGE"] == f"{SOURCE}:6.0.4-cpu"
    assert environment["HYPERPARAMETER_FILE_S3_KEY"] == "rl-deepracer-sagemaker/custom_files/hyperparameters.json"


def test_gpus_are_chosen_by_the_machines_numbers():
    found = services("gpu")
    for service in found.values():
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert found["algo"]["environment"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert found["robomaker-1"]["environment"]["CUDA_VISIBLE_DEVICES"] == "1"
    assert not any("deploy" in service for service in services("one").values())


def test_logs_and_scripts_are_mounted_and_cloudwatch_is_fed():
    worker = services("gpu")["robomaker-1"]
    assert [(one["source"], one["target"]) for one in worker["volumes"]] == [
        ("/home/ann/car/data/logs/robomaker/rl-deepracer-sagemaker", "/root/.ros/log"),
        ("/home/ann/scripts", "/scripts"),
    ]
    assert worker["logging"]["driver"] == "awslogs"
    assert worker["logging"]["options"]["tag"] == "ann-{{.Name}}"


def test_this_machines_x_server_is_shown_to_the_workers():
    settings = settings_of("one", host_x=True)
    images = community_images(settings)
    host = CommunityHost(*images, ENDPOINT, None, "/home/ann/car/data", "/home/ann/.Xauthority", ":1")
    plan = community_training_plan(settings, FOLDERS, host, TrainingJob({}, (), "token", {}), engine="compose")
    worker = yaml.safe_load(render_run(plan))["services"]["robomaker-1"]
    shown = {name: worker["environment"][name] for name in ("DISPLAY", "USE_EXTERNAL_X", "XAUTHORITY")}
    assert shown == {"DISPLAY": ":1", "USE_EXTERNAL_X": "True", "XAUTHORITY": "/root/.Xauthority"}
    targets = [one["target"] for one in worker["volumes"]]
    assert targets == ["/tmp/.X11-unix", "/root/.Xauthority"]
    assert "env_file" not in worker


def test_the_snapshot_is_what_workers_read():
    params = yaml.safe_load(params_of("one"))
    assert params["REWARD_FILE_S3_KEY"] == "rl-deepracer-sagemaker/custom_files/reward_function.py"
    assert params["MODEL_METADATA_FILE_S3_KEY"] == "rl-deepracer-sagemaker/custom_files/model_metadata.json"
    assert parse_training_params(params_of("one"), "params").prefix == "rl-deepracer-sagemaker"


def test_an_evaluation_is_one_worker():
    found = services("evaluation")
    assert set(found) == {"robomaker"}
    worker = found["robomaker"]
    assert worker["command"] == ["/opt/ml/code/run.sh run evaluation.launch.py"]
    assert worker["container_name"] == "deepracer-eval-3-robomaker-1"
    missing = {"SAGEMAKER_SHARED_S3_BUCKET", "SAGEMAKER_SHARED_S3_PREFIX"}
    assert set(worker["environment"]) == WORKER_NAMES - missing | {
        *("MODEL_S3_BUCKET", "MODEL_S3_PREFIX", "ROLLOUT_IDX", "DEBUG_REWARD"),
    }
    assert worker["environment"]["S3_YAML_NAME"] == "evaluation_params.yaml"
    params = yaml.safe_load(params_of("evaluation"))
    assert params["METRICS_S3_OBJECT_KEY"] == [
        "rl-deepracer-sagemaker/metrics/evaluation/evaluation-20261128011500.json"
    ]
    assert params["SIMTRACE_S3_PREFIX"] == ["rl-deepracer-sagemaker/evaluation-20261128011500"]
    assert params["MP4_S3_OBJECT_PREFIX"] == ["rl-deepracer-sagemaker/mp4"]


def test_two_models_race_with_two_entries_in_every_list():
    settings = settings_of("one", race_type="HEAD_TO_MODEL", eval_opp_s3_model_prefix="rival", eval_save_mp4=True)
    params = evaluation_params_for(settings, stamp="20261128011500", epoch_s=1795828500)
    lists = {name: value for name, value in params.items() if isinstance(value, list)}
    assert {len(value) for value in lists.values()} == {2}
    assert params["CAR_COLOR"] == ["Purple", "Orange"]
    assert params["METRICS_S3_OBJECT_KEY"][1] == "rival/metrics/EvaluationMetrics-1795828500.json"
    assert params["SIMTRACE_S3_PREFIX"][1] == "rival"
    assert "S3_ENDPOINT_URL" not in params


@pytest.mark.parametrize(
    ("changes", "images"),
    [
        ({}, (f"{SOURCE}:6.0.4-cpu", f"{SOURCE}:6.0.4-cpu")),
        ({"simapp_source": "reg.example:5000/me/deepracer-simapp:7"}, ("reg.example:5000/me/deepracer-simapp:7",) * 2),
        ({"robomaker_image": "me/sim:1"}, (f"{SOURCE}:6.0.4-cpu", "me/sim:1")),
    ],
)
def test_images(changes, images):
    assert community_images(settings_of("one", **changes)) == images


@pytest.mark.parametrize("name", CASES)
def test_plans_survive_their_files_and_name_no_secret(name):
    plan = make_plan(name)
    assert RunPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    text = render_run(plan)
    assert "AWS_ACCESS_KEY_ID" not in text
    assert "/home/ann/car/tmp/secrets/run-3-store.env" in text


@pytest.mark.docker
@pytest.mark.parametrize("name", CASES)
def test_docker_compose_accepts_it(name, tmp_path):
    if shutil.which("docker") is None:
        reason = "there is no docker command; scripts/docker-engine installs one"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    keys = tmp_path / "keys.env"
    keys.write_text("AWS_SECRET_ACCESS_KEY='a$b'\n")
    file = tmp_path / "compose.yml"
    file.write_text(render_run(make_plan(name)).replace("/home/ann/car/tmp/secrets/run-3-store.env", str(keys)))
    argv = ["docker", "compose", "--file", str(file), "config", "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)["services"]
    assert set(found) == set(services(name))
    assert all("a$" in service["environment"]["AWS_SECRET_ACCESS_KEY"] for service in found.values())
