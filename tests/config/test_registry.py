import dataclasses
import re
from pathlib import Path

import pytest

from drctl.config.env_file import parse_env_file
from drctl.config.registry import (
    DERIVED_NAMES,
    OLDER_NAMES,
    RETIRED_NAMES,
    SETTINGS,
    has_default,
    idle_settings,
    nearest_name,
    refused_settings,
    todays_name,
    unused_settings,
)
from drctl.config.settings import Origin, Settings
from drctl.config.template import render_env_file
from drctl.config.text_rules import TEXT_RULES
from drctl.config.values import Refusal, describe_values, parse_value
from drctl.resources import resource_folder
from drctl.secrets import Secret

# Contract 3.2, copied by hand.
CONTRACT_RUN = """
DR_RUN_ID=0 DR_WORLD_NAME=reinvent_base DR_RACE_TYPE=TIME_TRIAL DR_CAR_NAME=FastCar DR_CAR_BODY_SHELL_TYPE=deepracer
DR_CAR_COLOR=Red DR_DISPLAY_NAME=FastCar DR_RACER_NAME=FastCar DR_ENABLE_DOMAIN_RANDOMIZATION=False
DR_EVAL_NUMBER_OF_TRIALS=3 DR_EVAL_IS_CONTINUOUS=True DR_EVAL_MAX_RESETS=100 DR_EVAL_OFF_TRACK_PENALTY=5.0
DR_EVAL_COLLISION_PENALTY=5.0 DR_EVAL_SAVE_MP4=False DR_EVAL_CHECKPOINT=last DR_EVAL_DEBUG_REWARD=False
DR_EVAL_RESET_BEHIND_DIST=1.0 DR_EVAL_REVERSE_DIRECTION=False DR_EVAL_OPP_S3_MODEL_PREFIX=rl-deepracer-sagemaker
DR_EVAL_OPP_CAR_BODY_SHELL_TYPE=deepracer DR_EVAL_OPP_CAR_NAME=FasterCar DR_EVAL_OPP_DISPLAY_NAME=FasterCar
DR_EVAL_OPP_RACER_NAME=FasterCar DR_TRAIN_CHANGE_START_POSITION=True DR_TRAIN_REVERSE_DIRECTION=False
DR_TRAIN_ALTERNATE_DRIVING_DIRECTION=False DR_TRAIN_START_POSITION_OFFSET=0.0 DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST=0.05
DR_TRAIN_MULTI_CONFIG=False DR_TRAIN_MIN_EVAL_TRIALS=5 DR_TRAIN_BEST_MODEL_METRIC=progress
DR_LOCAL_S3_MODEL_PREFIX=rl-deepracer-sagemaker DR_LOCAL_S3_PRETRAINED=False
DR_LOCAL_S3_PRETRAINED_PREFIX=rl-sagemaker-pretrained DR_LOCAL_S3_PRETRAINED_CHECKPOINT=last
DR_LOCAL_S3_CUSTOM_FILES_PREFIX=custom_files DR_LOCAL_S3_TRAINING_PARAMS_FILE=training_params.yaml
DR_LOCAL_S3_EVAL_PARAMS_FILE=evaluation_params.yaml DR_LOCAL_S3_MODEL_METADATA_KEY=custom_files/model_metadata.json
DR_LOCAL_S3_HYPERPARAMETERS_KEY=custom_files/hyperparameters.json
DR_LOCAL_S3_REWARD_KEY=custom_files/reward_function.py DR_LOCAL_S3_METRICS_PREFIX=rl-deepracer-sagemaker/metrics
DR_UPLOAD_S3_PREFIX=rl-deepracer-sagemaker-1 DR_OA_NUMBER_OF_OBSTACLES=6 DR_OA_MIN_DISTANCE_BETWEEN_OBSTACLES=2.0
DR_OA_RANDOMIZE_OBSTACLE_LOCATIONS=False DR_OA_IS_OBSTACLE_BOT_CAR=False DR_OA_OBSTACLE_TYPE=box_obstacle
DR_OA_OBJECT_POSITIONS= DR_H2B_IS_LANE_CHANGE=False DR_H2B_LOWER_LANE_CHANGE_TIME=3.0
DR_H2B_UPPER_LANE_CHANGE_TIME=5.0 DR_H2B_LANE_CHANGE_DISTANCE=1.0 DR_H2B_NUMBER_OF_BOT_CARS=3
DR_H2B_MIN_DISTANCE_BETWEEN_BOT_CARS=2.0 DR_H2B_RANDOMIZE_BOT_CAR_LOCATIONS=False DR_H2B_BOT_CAR_SPEED=0.2
DR_H2B_BOT_CAR_PENALTY=5.0
DR_TRAIN_RTF= DR_EVAL_RTF= DR_TRAIN_MAX_STEPS_PER_ITERATION= DR_GAZEBO_ARGS= DR_GAZEBO_RENDER_ENGINE=ogre2
"""
CONTRACT_SYSTEM = """
DR_CLOUD=local DR_UPLOAD_S3_PROFILE=default DR_UPLOAD_S3_BUCKET= DR_LOCAL_S3_BUCKET=bucket DR_LOCAL_S3_PROFILE=
DR_GUI_ENABLE=False DR_KINESIS_STREAM_NAME= DR_CAMERA_MAIN_ENABLE=True DR_CAMERA_SUB_ENABLE=False
DR_CAMERA_KVS_ENABLE=True DR_ENABLE_EXTRA_KVS_OVERLAY=False DR_SIMAPP_VERSION=6.0.4-cpu DR_MINIO_IMAGE=
DR_ANALYSIS_IMAGE=cpu DR_WORKERS=1 DR_ROBOMAKER_MOUNT_LOGS=False DR_ROBOMAKER_MOUNT_SIMAPP_DIR=
DR_ROBOMAKER_MOUNT_SCRIPTS_DIR= DR_CLOUD_WATCH_ENABLE=False DR_CLOUD_WATCH_LOG_STREAM_PREFIX= DR_HOST_X=False
DR_DISPLAY= DR_WEBVIEWER_PORT=8100 DR_QUIET_ACTIVATE=False DR_REMOTE_MINIO_URL= DR_ROBOMAKER_CUDA_DEVICES=
DR_SAGEMAKER_CUDA_DEVICES= DR_EXPERIMENT_NAME= DR_TELEGRAF_HOST= DR_TELEGRAF_PORT=8092 DR_DROA_URL= DR_DROA_USERNAME=
"""
# DESIGN 2, 4 and 6; DR_SIMAPP_SOURCE and DR_DOCKER_STYLE differ from DeepRacer-for-Cloud on purpose.
OURS = """
DR_SIMAPP_SOURCE=drctl DR_DOCKER_STYLE=process DR_AWS_APP_REGION=us-east-1 DR_PHYSICS=auto DR_KEEP_GB=10.0
DR_TRAIN_STOP_WHEN=max_episodes DR_CARS_PER_WORKER= DR_LINK_LISTEN= DR_SIM_TRACE_LOG=False DR_SAC_BUFFER_GB=2.0
DR_SAC_UPDATE_RATIO=0.25 DR_SEED=0 DR_WEBVIEWER_TOKEN= DR_PRETRAINED_FULL=False DR_NETWORK_HEADS=shared
DR_COACH=direct DR_RANDOMIZE=all DR_SAGEMAKER_IMAGE= DR_ROBOMAKER_IMAGE= DR_UPLOAD_S3_ENDPOINT_URL=
DR_EVAL_OPP_S3_METRICS_PREFIX=rl-deepracer-sagemaker/metrics DR_EVAL_OPP_CHECKPOINT=last
"""


def pairs(text):
    return dict(word.partition("=")[::2] for word in text.split())


def test_knows_every_name_with_its_default():
    expected = {**pairs(CONTRACT_RUN), **pairs(CONTRACT_SYSTEM), **pairs(OURS)}
    assert {name: Settings().text(name) for name in SETTINGS} == expected


def test_files_are_those_of_the_contract():
    for text, file in ((CONTRACT_RUN, "run"), (CONTRACT_SYSTEM, "system")):
        assert {name for name in pairs(text) if SETTINGS[name].about.file != file} == set()


def test_registry_and_typed_class_are_one():
    attributes = {field.name for field in dataclasses.fields(Settings)} - {"origins"}
    assert attributes == {entry.attribute for entry in SETTINGS.values()}
    assert {entry.name for entry in SETTINGS.values()} == set(SETTINGS)


@pytest.mark.parametrize("entry", SETTINGS.values(), ids=lambda entry: entry.name)
def test_every_entry_is_complete(entry):
    about = entry.about
    assert re.fullmatch(r"[A-Z].*\.", about.meaning)
    assert len(about.meaning.split()) >= 3
    assert about.read_by
    assert about.commands
    assert describe_values(entry)
    assert about.rule is None or about.rule in TEXT_RULES
    if about.used_when is not None:
        other = SETTINGS[about.used_when.name]
        choices = other.choices or (("True", "False") if other.kind == "bool" else about.used_when.values)
        assert set(about.used_when.values) <= set(choices)
    if "$" not in entry.default_text and entry.default_text:
        assert parse_value(entry, entry.default_text) == entry.default
    if about.in_new_project is not None:
        assert not isinstance(parse_value(entry, about.in_new_project), Refusal)


def test_other_names_do_not_overlap():
    groups = [set(SETTINGS), set(OLDER_NAMES), set(RETIRED_NAMES), set(DERIVED_NAMES)]
    assert len(set().union(*groups)) == sum(map(len, groups))
    assert set(OLDER_NAMES.values()) <= set(SETTINGS)
    assert set(re.findall(r"DR_[A-Z0-9_]+", " ".join(DERIVED_NAMES.values()))) <= set(SETTINGS)


def test_older_and_misspelt_names():
    assert todays_name("DR_TRAIN_ROUND_ROBIN_ADVANCE_DISTANCE") == "DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST"
    assert todays_name("DR_WORKERS") == "DR_WORKERS"
    assert nearest_name("DR_WORLDNAME") == "DR_WORLD_NAME"
    assert nearest_name("DR_QQQQ") is None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("DR_WORKERS", "4", 4),
        ("DR_WORKERS", " 04 ", 4),
        ("DR_WORKERS", "", 1),
        ("DR_CARS_PER_WORKER", "", None),
        ("DR_CARS_PER_WORKER", "20", 20),
        ("DR_KEEP_GB", "3", 3.0),
        ("DR_KEEP_GB", ".5", 0.5),
        ("DR_KEEP_GB", "1e1", 10.0),
        ("DR_SIM_TRACE_LOG", "true", True),
        ("DR_SIM_TRACE_LOG", "Yes", True),
        ("DR_SIM_TRACE_LOG", "1", True),
        ("DR_SIM_TRACE_LOG", "FALSE", False),
        ("DR_SIM_TRACE_LOG", "off", False),
        ("DR_DOCKER_STYLE", "Swarm", "swarm"),
        ("DR_RACE_TYPE", "time_trial", "TIME_TRIAL"),
        ("DR_TRAIN_BEST_MODEL_METRIC", "LapTime", "laptime"),
        ("DR_CLOUD", "azure", "local"),
        ("DR_CLOUD", "Azure", "local"),
        ("DR_MINIO_IMAGE", "", None),
        ("DR_LINK_LISTEN", "0.0.0.0", "0.0.0.0"),
        ("DR_LINK_LISTEN", "::", "::"),
        ("DR_LINK_LISTEN", "gpu-box.lan", "gpu-box.lan"),
        ("DR_LOCAL_S3_MODEL_PREFIX", "team a/my.model_1", "team a/my.model_1"),
        ("DR_LOCAL_S3_PRETRAINED_PREFIX", "s3://bucket/a/b", "s3://bucket/a/b"),
        ("DR_EVAL_CHECKPOINT", "12", "12"),
        ("DR_OA_OBJECT_POSITIONS", "0.23,-1;0.46,1", "0.23,-1;0.46,1"),
        ("DR_SIMAPP_SOURCE", "awsdeepracercommunity/deepracer-simapp", "awsdeepracercommunity/deepracer-simapp"),
        ("DR_WEBVIEWER_TOKEN", "abc", Secret("abc")),
        ("DR_REMOTE_MINIO_URL", "http://mynas:9000", "http://mynas:9000"),
        ("DR_WORLD_NAME", "2022_summit_speedway", "2022_summit_speedway"),
    ],
)
def test_reads_values(name, text, value):
    found = parse_value(SETTINGS[name], text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "expected", "suggestion"),
    [
        ("DR_WORKERS", "four", "an integer from 1 to 64", "4"),
        ("DR_WORKERS", "0", "an integer from 1 to 64", "1"),
        ("DR_WORKERS", "65", "an integer from 1 to 64", "64"),
        ("DR_WORKERS", "2.0", "an integer from 1 to 64", "2"),
        ("DR_WORKERS", "1_0", "an integer from 1 to 64", "1"),
        ("DR_WORKERS", "٣", "an integer from 1 to 64", "1"),
        ("DR_WORKERS", "many", "an integer from 1 to 64", "1"),
        ("DR_CARS_PER_WORKER", "many", "an integer from 1 to 1000", "1"),
        ("DR_RUN_ID", "-1", "an integer from 0 to 99", "0"),
        ("DR_KEEP_GB", "nan", "a number, 0 or more", "10.0"),
        ("DR_KEEP_GB", "1e999", "a number, 0 or more", "1.0"),
        ("DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST", "0,05", "a number from 0 to 1", "0.05"),
        ("DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST", "5", "a number from 0 to 1", "1.0"),
        ("DR_SIM_TRACE_LOG", "Ture", "True or False", "True"),
        ("DR_SIM_TRACE_LOG", "maybe", "True or False", "False"),
        ("DR_TRAIN_STOP_WHEN", "lap", "max_episodes, score or laps", "laps"),
        ("DR_TRAIN_STOP_WHEN", "never", "max_episodes, score or laps", "laps"),
        ("DR_DOCKER_STYLE", "docker", "process, compose or swarm", "process"),
        (
            "DR_LOCAL_S3_MODEL_PREFIX",
            "/m",
            "a key such as my-model: no empty part, none that begins with a dot",
            "rl-deepracer-sagemaker",
        ),
        (
            "DR_LOCAL_S3_MODEL_PREFIX",
            "m/../n",
            "a key such as my-model: no empty part, none that begins with a dot",
            "rl-deepracer-sagemaker",
        ),
        ("DR_LOCAL_S3_BUCKET", "a/b", "3 to 63 letters, digits, dots and dashes", "bucket"),
        ("DR_LOCAL_S3_BUCKET", "..", "3 to 63 letters, digits, dots and dashes", "bucket"),
        ("DR_LOCAL_S3_PROFILE", "<LOCAL_PROFILE>", "a value in place of the template's word", ""),
        ("DR_LOCAL_S3_TRAINING_PARAMS_FILE", "a/b.yaml", "a file name without a folder", "training_params.yaml"),
        ("DR_LINK_LISTEN", "tcp://0.0.0.0", "a host name or an IP address, without a port", ""),
        ("DR_LINK_LISTEN", "0.0.0.0:7300", "a host name or an IP address, without a port", ""),
        ("DR_EVAL_CHECKPOINT", "newest", "best, last or a checkpoint's number", "last"),
        ("DR_SIMAPP_SOURCE", "gazebo", "drctl, or an image source with deepracer-simapp in its name", "drctl"),
        ("DR_OA_OBJECT_POSITIONS", "0.23;1", "places such as 0.23,-1;0.46,1", ""),
    ],
)
def test_refuses_values(name, text, expected, suggestion):
    entry = SETTINGS[name]
    assert parse_value(entry, text) == Refusal(expected, suggestion)
    assert not isinstance(parse_value(entry, suggestion), Refusal)  # the fix works when typed


def test_defaults_that_follow_others():
    settings = Settings(local_s3_model_prefix="m", local_s3_custom_files_prefix="f", car_name="Blitz")
    assert settings.local_s3_metrics_prefix == "m/metrics"
    assert settings.upload_s3_prefix == "m-1"
    assert settings.local_s3_reward_key == "f/reward_function.py"
    assert settings.display_name == settings.racer_name == "Blitz"
    assert Settings(local_s3_model_prefix="m", local_s3_metrics_prefix="x").local_s3_metrics_prefix == "x"
    changed = dataclasses.replace(settings, local_s3_metrics_prefix="y")
    assert changed.local_s3_metrics_prefix == "y"


def test_has_default_follows_others():
    entry = SETTINGS["DR_LOCAL_S3_METRICS_PREFIX"]
    assert has_default(entry, Settings(local_s3_model_prefix="m"))
    assert not has_default(entry, Settings(local_s3_model_prefix="m", local_s3_metrics_prefix="x"))


def test_origins_and_texts():
    settings = Settings(workers=2, webviewer_token=Secret("abc"), origins={"DR_WORKERS": Origin("run.env", 12)})
    assert str(settings.origin("DR_WORKERS")) == "run.env:12"
    assert str(settings.origin("DR_SEED")) == "default"
    assert settings.text("DR_WORKERS") == "2"
    assert settings.text("DR_CARS_PER_WORKER") == ""
    assert settings.text("DR_WEBVIEWER_TOKEN") == "[REDACTED]"
    assert "abc" not in repr(settings)


LATER = {
    "telegraf_host": "telegraf",
}


@pytest.mark.parametrize("attribute", LATER)
def test_start_training_refuses_what_comes_later_by_name(attribute):
    settings = Settings(**{attribute: LATER[attribute]})
    name = f"DR_{attribute.upper()}"
    (problem,) = refused_settings(settings, "start-training")
    assert problem.what == f"{name} is {LATER[attribute]}; this version of drctl cannot do that yet"
    assert problem.where == "default"
    assert problem.fix == f"drctl config set {name}={SETTINGS[name].default_text}"


def test_start_training_takes_the_settings_of_this_version():
    settings = Settings(
        workers=4,
        run_id=3,
        world_name="reInvent2019_track",
        car_name="Blitz",
        car_color="Blue",
        car_body_shell_type="f1_2021",
        physics="kinematics",
        seed=5,
        train_stop_when="score",
        train_change_start_position=False,
        train_round_robin_advance_dist=0.1,
        train_start_position_offset=0.5,
        train_reverse_direction=True,
        train_alternate_driving_direction=True,
        train_min_eval_trials=3,
        train_best_model_metric="laptime",
        train_max_steps_per_iteration=10000,
        enable_domain_randomization=True,
        randomize="camera:0.5",
        train_multi_config=True,
        local_s3_pretrained=True,
        local_s3_pretrained_prefix="old",
        local_s3_pretrained_checkpoint="3",
        pretrained_full=True,
        experiment_name="x",
        network_heads="separate",
        cars_per_worker=5,
        keep_gb=1.0,
        sim_trace_log=True,
        sac_buffer_gb=1.0,
        sac_update_ratio=1.0,
        link_listen="0.0.0.0",
        sagemaker_cuda_devices="0,1",
        cloud_watch_enable=True,
        cloud="aws",
        local_s3_profile="x",
        local_s3_model_prefix="m",
    )
    assert refused_settings(settings, "start-training") == []


def test_settings_that_our_own_stack_has_no_use_for_are_named_with_the_reason():
    chosen = {"robomaker_cuda_devices": "0", "robomaker_mount_logs": True, "host_x": True}
    settings = Settings(**chosen)
    assert refused_settings(settings, "start-training") == []
    assert idle_settings(settings) == [
        "DR_ROBOMAKER_CUDA_DEVICES=0 has no effect: drctl's own workers compute on the processor",
        f"DR_ROBOMAKER_MOUNT_LOGS=True has no effect: {SETTINGS['DR_ROBOMAKER_MOUNT_LOGS'].about.idle_with_drctl}",
        "DR_HOST_X=True has no effect: drctl's own simulator draws without an X server",
    ]
    assert idle_settings(Settings()) == []
    assert idle_settings(Settings(**chosen, simapp_source="awsdeepracercommunity/deepracer-simapp")) == []


def test_start_training_does_not_mind_evaluation_viewer_and_idle_settings():
    settings = Settings(
        eval_number_of_trials=9,
        eval_save_mp4=True,
        webviewer_port=8200,
        camera_sub_enable=True,
        upload_s3_bucket="b",
        oa_number_of_obstacles=3,
        h2b_bot_car_speed=1.0,
        local_s3_pretrained_prefix="old",
        minio_image="alpine/minio:x",
        simapp_version="5.3.3-gpu",
        sagemaker_image="5.1.1-gpu",
        display=":99",
    )
    assert refused_settings(settings, "start-training") == []
    assert refused_settings(settings, "eval") == []


IMAGE_SETTINGS = {
    "robomaker_mount_simapp_dir": "x",
    "robomaker_mount_scripts_dir": "x",
    "host_x": True,
    "gui_enable": True,
    "kinesis_stream_name": "x",
    "train_rtf": 2.0,
    "eval_rtf": 2.0,
    "gazebo_args": "x",
    "gazebo_render_engine": "ogre",
    "coach": "sdk",
    "simapp_version": "6.0.4-gpu",
}
OWN_SETTINGS = {"physics": "effort", "seed": 3, "train_stop_when": "laps", "keep_gb": 1.0, "link_listen": "0.0.0.0"}
COMMUNITY = "awsdeepracercommunity/deepracer-simapp"


def unused_names(settings):
    return {entry.name: str(condition) for entry, condition in unused_settings(settings)}


def test_each_stack_leaves_the_settings_of_the_other_alone():
    values = {**IMAGE_SETTINGS, **OWN_SETTINGS}
    origins = {f"DR_{name.upper()}": Origin("run.env", 1) for name in values}
    own, images = Settings(**values, origins=origins), Settings(**values, simapp_source=COMMUNITY, origins=origins)
    for command in ("start-training", "eval"):
        assert refused_settings(own, command) == []
        assert refused_settings(images, command) == []
    assert unused_names(own) == {
        f"DR_{name.upper()}": "DR_SIMAPP_SOURCE names an image with deepracer-simapp" for name in IMAGE_SETTINGS
    }
    assert unused_names(images) == {f"DR_{name.upper()}": "DR_SIMAPP_SOURCE is drctl" for name in OWN_SETTINGS}


def test_the_community_images_do_what_ours_does_not_yet():
    values = {name: value for name, value in LATER.items() if name not in ("docker_style", "experiment_name")}
    settings = Settings(**values, simapp_source=COMMUNITY, local_s3_pretrained_checkpoint="best")
    assert refused_settings(settings, "start-training") == []
    assert [problem.what.split()[0] for problem in refused_settings(Settings(**values), "start-training")] == [
        f"DR_{name.upper()}" for name in sorted(values, key=lambda name: [*SETTINGS].index(f"DR_{name.upper()}"))
    ]


def test_two_models_race_in_an_evaluation_only():
    settings = Settings(race_type="HEAD_TO_MODEL", eval_opp_car_body_shell_type="f1_2021", eval_opp_checkpoint="best")
    assert refused_settings(settings, "eval") == []
    (problem,) = refused_settings(settings, "start-training")
    assert problem.what == (
        "DR_RACE_TYPE is HEAD_TO_MODEL, which start-training does not take: it races two models that are trained"
    )
    images = Settings(race_type="HEAD_TO_MODEL", simapp_source=COMMUNITY, local_s3_pretrained_checkpoint="best")
    assert refused_settings(images, "start-training") == []


@pytest.mark.parametrize(
    ("origin", "fix"),
    [
        (Origin("run.env", 3), "drctl config set DR_RACE_TYPE=TIME_TRIAL"),
        (Origin("environment"), "unset DR_RACE_TYPE"),
        (Origin("--set"), "--set DR_RACE_TYPE=TIME_TRIAL"),
    ],
)
def test_the_fix_of_a_refusal_fits_the_origin(origin, fix):
    settings = Settings(race_type="HEAD_TO_MODEL", origins={"DR_RACE_TYPE": origin})
    (problem,) = refused_settings(settings, "start-training")
    assert (problem.where, problem.fix) == (str(origin), fix)
    assert problem.expected == "TIME_TRIAL or OBJECT_AVOIDANCE or HEAD_TO_BOT"


def test_names_settings_that_change_nothing():
    origins = {"DR_OA_NUMBER_OF_OBSTACLES": Origin("run.env", 9), "DR_WORKERS": Origin("run.env", 1)}
    settings = Settings(oa_number_of_obstacles=3, workers=2, origins=origins)
    ((entry, condition),) = unused_settings(settings)
    assert (entry.name, str(condition)) == ("DR_OA_NUMBER_OF_OBSTACLES", "DR_RACE_TYPE is OBJECT_AVOIDANCE")


@pytest.mark.parametrize("kind", ["system", "run", "worker"])
def test_shipped_files_are_the_registry_in_words(kind):
    shipped = (resource_folder("defaults") / f"{kind}.env").read_text()
    assert shipped == render_env_file(kind), "write render_env_file(kind) to defaults/<kind>.env"


def test_shipped_files_hold_the_defaults():
    folder: Path = resource_folder("defaults")
    found = {}
    for kind in ("system", "run"):
        file = parse_env_file((folder / f"{kind}.env").read_text(), kind)
        assert file.problems == ()
        for one in file.assignments:
            assert SETTINGS[one.name].about.file == kind
            found[one.name] = "".join(part if isinstance(part, str) else f"${part.name}" for part in one.parts)
    differing = {name: text for name, text in found.items() if text != SETTINGS[name].default_text}
    assert differing == {
        "DR_TRAIN_STOP_WHEN": "laps",
        "DR_MINIO_IMAGE": "alpine/minio:RELEASE.2025-10-15T17-29-55Z",
    }
    missing = {name for name in SETTINGS if name not in found and not SETTINGS[name].is_optional}
    assert missing == {"DR_EVAL_OPP_S3_METRICS_PREFIX", "DR_ANALYSIS_IMAGE", "DR_GAZEBO_RENDER_ENGINE"}
