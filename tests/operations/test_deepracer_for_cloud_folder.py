"""A folder of DeepRacer-for-Cloud, its template files filled in as its own set-up does, is trained as it is."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from drctl.cli.app import main
from drctl.resources import resource_folder

# Contract 3.2: names, order of the templates and values as they stand there.
SYSTEM = """DR_CLOUD=local
DR_AWS_APP_REGION=us-east-1
DR_UPLOAD_S3_PROFILE=default
DR_UPLOAD_S3_BUCKET=not-defined
DR_LOCAL_S3_BUCKET=bucket
DR_LOCAL_S3_PROFILE=minio
DR_GUI_ENABLE=False
DR_KINESIS_STREAM_NAME=
DR_CAMERA_MAIN_ENABLE=True
DR_CAMERA_SUB_ENABLE=False
DR_CAMERA_KVS_ENABLE=True
DR_ENABLE_EXTRA_KVS_OVERLAY=False
DR_SIMAPP_SOURCE=awsdeepracercommunity/deepracer-simapp
DR_SIMAPP_VERSION=6.0.4-cpu
DR_MINIO_IMAGE=latest
DR_ANALYSIS_IMAGE=cpu
DR_WORKERS=1
DR_ROBOMAKER_MOUNT_LOGS=False
# DR_ROBOMAKER_MOUNT_SIMAPP_DIR=
# DR_ROBOMAKER_MOUNT_SCRIPTS_DIR=
DR_CLOUD_WATCH_ENABLE=False
DR_CLOUD_WATCH_LOG_STREAM_PREFIX=
DR_DOCKER_STYLE=swarm
DR_HOST_X=False
DR_WEBVIEWER_PORT=8100
DR_QUIET_ACTIVATE=False
# DR_DISPLAY=:99
# DR_REMOTE_MINIO_URL=http://mynas:9000
# DR_ROBOMAKER_CUDA_DEVICES=0
# DR_SAGEMAKER_CUDA_DEVICES=0
# DR_EXPERIMENT_NAME=
# DR_TELEGRAF_HOST=telegraf
# DR_TELEGRAF_PORT=8092
"""
RUN = """DR_RUN_ID=0
DR_WORLD_NAME=reinvent_base
DR_RACE_TYPE=TIME_TRIAL
DR_CAR_NAME=FastCar
DR_CAR_BODY_SHELL_TYPE=deepracer
DR_CAR_COLOR=Red
DR_DISPLAY_NAME=$DR_CAR_NAME
DR_RACER_NAME=$DR_CAR_NAME
DR_ENABLE_DOMAIN_RANDOMIZATION=False
DR_EVAL_NUMBER_OF_TRIALS=3
DR_EVAL_IS_CONTINUOUS=True
DR_EVAL_MAX_RESETS=100
DR_EVAL_OFF_TRACK_PENALTY=5.0
DR_EVAL_COLLISION_PENALTY=5.0
DR_EVAL_SAVE_MP4=False
DR_EVAL_CHECKPOINT=last
DR_EVAL_OPP_S3_MODEL_PREFIX=rl-deepracer-sagemaker
DR_EVAL_OPP_CAR_BODY_SHELL_TYPE=deepracer
DR_EVAL_OPP_CAR_NAME=FasterCar
DR_EVAL_OPP_DISPLAY_NAME=$DR_EVAL_OPP_CAR_NAME
DR_EVAL_OPP_RACER_NAME=$DR_EVAL_OPP_CAR_NAME
DR_EVAL_DEBUG_REWARD=False
DR_EVAL_RESET_BEHIND_DIST=1.0
DR_EVAL_REVERSE_DIRECTION=False
DR_TRAIN_CHANGE_START_POSITION=True
DR_TRAIN_REVERSE_DIRECTION=False
DR_TRAIN_ALTERNATE_DRIVING_DIRECTION=False
DR_TRAIN_START_POSITION_OFFSET=0.0
DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST=0.05
DR_TRAIN_MULTI_CONFIG=False
DR_TRAIN_MIN_EVAL_TRIALS=5
DR_TRAIN_BEST_MODEL_METRIC=progress
DR_LOCAL_S3_MODEL_PREFIX=rl-deepracer-sagemaker
DR_LOCAL_S3_PRETRAINED=False
DR_LOCAL_S3_PRETRAINED_PREFIX=rl-sagemaker-pretrained
DR_LOCAL_S3_PRETRAINED_CHECKPOINT=last
DR_LOCAL_S3_CUSTOM_FILES_PREFIX=custom_files
DR_LOCAL_S3_TRAINING_PARAMS_FILE=training_params.yaml
DR_LOCAL_S3_EVAL_PARAMS_FILE=evaluation_params.yaml
DR_LOCAL_S3_MODEL_METADATA_KEY=$DR_LOCAL_S3_CUSTOM_FILES_PREFIX/model_metadata.json
DR_LOCAL_S3_HYPERPARAMETERS_KEY=$DR_LOCAL_S3_CUSTOM_FILES_PREFIX/hyperparameters.json
DR_LOCAL_S3_REWARD_KEY=$DR_LOCAL_S3_CUSTOM_FILES_PREFIX/reward_function.py
DR_LOCAL_S3_METRICS_PREFIX=$DR_LOCAL_S3_MODEL_PREFIX/metrics
DR_UPLOAD_S3_PREFIX=$DR_LOCAL_S3_MODEL_PREFIX-1
DR_OA_NUMBER_OF_OBSTACLES=6
DR_OA_MIN_DISTANCE_BETWEEN_OBSTACLES=2.0
DR_OA_RANDOMIZE_OBSTACLE_LOCATIONS=False
DR_OA_IS_OBSTACLE_BOT_CAR=False
DR_OA_OBSTACLE_TYPE=box_obstacle
DR_OA_OBJECT_POSITIONS=""
DR_H2B_IS_LANE_CHANGE=False
DR_H2B_LOWER_LANE_CHANGE_TIME=3.0
DR_H2B_UPPER_LANE_CHANGE_TIME=5.0
DR_H2B_LANE_CHANGE_DISTANCE=1.0
DR_H2B_NUMBER_OF_BOT_CARS=3
DR_H2B_MIN_DISTANCE_BETWEEN_BOT_CARS=2.0
DR_H2B_RANDOMIZE_BOT_CAR_LOCATIONS=False
DR_H2B_BOT_CAR_SPEED=0.2
DR_H2B_BOT_CAR_PENALTY=5.0
"""


@pytest.fixture
def folder(tmp_path):
    """Such a folder, with a user's files."""
    (tmp_path / "system.env").write_text(SYSTEM)
    (tmp_path / "run.env").write_text(RUN)
    shutil.copytree(resource_folder("defaults") / "custom_files", tmp_path / "custom_files")
    file = tmp_path / "custom_files" / "hyperparameters.json"
    short = {"num_episodes_between_training": 2, "num_epochs": 1, "term_cond_max_episodes": 2}
    file.write_text(json.dumps({**json.loads(file.read_text()), **short}))
    return tmp_path


def test_its_settings_are_valid_and_say_nothing_odd(folder, capsys):
    options = ("--set", "DR_SIMAPP_SOURCE=drctl", "--set", "DR_DOCKER_STYLE=process", "--output", "json")
    assert main(["--project", str(folder), *options, "config", "check"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["notes"] == []
    assert data["refused"] == []


@pytest.mark.usefixtures("without_docker")
def test_it_runs_in_our_containers(folder, capsys):
    words = ("start-training", "--stack", "drctl", "--engine", "compose", "--dry-run", "--output", "json")
    assert main(["--project", str(folder), *words]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["data"]["engine"] == "compose"
    run = yaml.safe_load(document["data"]["files"][str(folder / "tmp" / "run-0" / "compose.yml")])
    assert set(run["services"]) == {"algo", "robomaker-1"}
    store = yaml.safe_load(document["data"]["files"][str(folder / "tmp" / "s3" / "compose.yml")])
    assert store["services"]["minio"]["image"] == "minio/minio:latest"
    warnings = [message["text"] for message in document["messages"] if message["level"] == "warning"]
    assert [text.split()[0] for text in warnings if text.startswith("DR_")] == ["DR_MINIO_IMAGE=latest"]


@pytest.mark.usefixtures("without_docker")
def test_as_it_is_it_runs_the_community_images_on_this_machine(folder, capsys):
    """It names a swarm, which the images do not need and drctl does not give them."""
    assert main(["--project", str(folder), "start-training", "--dry-run", "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["data"]["engine"] == "compose"
    run = yaml.safe_load(document["data"]["files"][str(folder / "tmp" / "run-0" / "compose.yml")])
    assert {service["image"] for service in run["services"].values()} == {
        "awsdeepracercommunity/deepracer-simapp:6.0.4-cpu"
    }
    warnings = [message["text"] for message in document["messages"] if message["level"] == "warning"]
    assert any("the community images use this machine alone, under Docker Compose" in text for text in warnings)


@pytest.mark.usefixtures("without_docker")
def test_our_software_takes_the_swarm_that_it_names(folder, capsys):
    words = ("start-training", "--stack", "drctl", "--dry-run", "--output", "json")
    assert main(["--project", str(folder), *words]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["engine"] == "swarm"
    assert data["commands"][-1][:3] == ["docker", "stack", "deploy"]


@pytest.mark.slow
def test_it_trains_at_once_without_docker(folder, capsys):
    assert main(["--project", str(folder), "start-training", "--stack", "drctl", "--engine", "process"]) == 0
    out = capsys.readouterr().out
    assert "2 training episodes were driven (term_cond_max_episodes 2)" in out
    assert (folder / "data" / "bucket" / "rl-deepracer-sagemaker" / "model" / "model_1.pb").exists()
