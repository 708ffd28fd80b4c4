"""training_params.yaml: DRfC's keys and quoting, and back."""

from __future__ import annotations

import pytest
import yaml

from drctl.config.randomization import RANDOMIZED_GROUPS
from drctl.config.settings import Settings
from drctl.errors import FormatError
from drctl.formats.race_params import RaceParams
from drctl.formats.training_params import (
    WorldParams,
    parse_training_params,
    render_training_params,
    training_params_for,
)

# A fresh DeepRacer-for-Cloud folder has these (contract 3.2); the names make each value recognisable in the file.
GIVEN = {
    "aws_app_region": "us-east-1",
    "local_s3_bucket": "bucket",
    "local_s3_model_prefix": "rl-deepracer-sagemaker",
    "car_name": "FastCar",
    "display_name": "Zippy",
    "racer_name": "Zoe",
}
GOLDEN = """---
'ALTERNATE_DRIVING_DIRECTION': 'False'
'AWS_REGION': 'us-east-1'
'BEST_MODEL_METRIC': 'progress'
'BODY_SHELL_TYPE': 'deepracer'
'CAMERA_MAIN_ENABLE': 'True'
'CAMERA_SUB_ENABLE': 'False'
'CAR_COLOR': 'Red'
'CAR_NAME': 'FastCar'
'CHANGE_START_POSITION': 'True'
'DISPLAY_NAME': 'Zippy'
'ENABLE_DOMAIN_RANDOMIZATION': 'False'
'ENABLE_EXTRA_KVS_OVERLAY': 'False'
'JOB_TYPE': 'TRAINING'
'KINESIS_VIDEO_STREAM_NAME': ''
'METRICS_S3_BUCKET': 'bucket'
'METRICS_S3_OBJECT_KEY': 'rl-deepracer-sagemaker/metrics/TrainingMetrics.json'
'MIN_EVAL_TRIALS': '5'
'MODEL_METADATA_FILE_S3_KEY': 'rl-deepracer-sagemaker/custom_files/model_metadata.json'
'NUM_WORKERS': '1'
'RACER_NAME': 'Zoe'
'RACE_TYPE': 'TIME_TRIAL'
'REVERSE_DIR': 'False'
'REWARD_FILE_S3_KEY': 'rl-deepracer-sagemaker/custom_files/reward_function.py'
'ROBOMAKER_SIMULATION_JOB_ACCOUNT_ID': 'Dummy'
'ROUND_ROBIN_ADVANCE_DIST': '0.05'
'SAGEMAKER_SHARED_S3_BUCKET': 'bucket'
'SAGEMAKER_SHARED_S3_PREFIX': 'rl-deepracer-sagemaker'
'SIMTRACE_S3_BUCKET': 'bucket'
'SIMTRACE_S3_PREFIX': 'rl-deepracer-sagemaker'
'START_POSITION_OFFSET': '0.0'
'TRAINING_JOB_ARN': 'arn:Dummy'
'WORLD_NAME': 'reinvent_base'
"""


def settings(**changes):
    return Settings(**{**GIVEN, **changes})


def problems_of(text):
    with pytest.raises(FormatError) as caught:
        parse_training_params(text, "training_params.yaml")
    return caught.value.problems


def test_byte_for_byte():
    assert render_training_params(training_params_for(settings())).decode() == GOLDEN


def test_round_trip():
    changed = settings(
        world_name="Oval_track",
        workers=3,
        train_reverse_direction=True,
        train_alternate_driving_direction=True,
        train_change_start_position=False,
        train_round_robin_advance_dist=0.125,
        train_start_position_offset=0.5,
        enable_domain_randomization=True,
        randomize="camera:0.5, lights",
        train_min_eval_trials=7,
        train_best_model_metric="laptime",
        car_body_shell_type="f1_2021",
        car_color="Blue",
        local_s3_model_prefix="m",
        local_s3_metrics_prefix="m/metrics",
    )
    assert parse_training_params(render_training_params(training_params_for(changed)), "f") == WorldParams(
        world_name="Oval_track",
        bucket="bucket",
        prefix="m",
        metrics_key="m/metrics/TrainingMetrics.json",
        model_metadata_key="m/custom_files/model_metadata.json",
        reward_key="m/custom_files/reward_function.py",
        num_workers=3,
        race=RaceParams(),
        change_start_position=False,
        round_robin_advance_dist=0.125,
        start_position_offset=0.5,
        reverse_dir=True,
        alternate_driving_direction=True,
        randomized=(("lights", 1.0), ("camera", 0.5)),
        min_eval_trials=7,
        best_model_metric="laptime",
        body_shell_type="f1_2021",
        car_color="Blue",
    )


def test_what_is_randomized_stands_in_the_file_only_where_it_acts():
    assert "RANDOMIZE" not in training_params_for(settings(randomize="camera"))
    every = training_params_for(settings(enable_domain_randomization=True))
    assert "RANDOMIZE" not in every
    assert len(parse_training_params(render_training_params(every), "f").randomized) == len(RANDOMIZED_GROUPS)
    some = training_params_for(settings(enable_domain_randomization=True, randomize="camera"))
    assert some["RANDOMIZE"] == "camera"
    (problem,) = problems_of(render_training_params({**some, "RANDOMIZE": "camra"}))
    assert problem.what == 'RANDOMIZE is "camra"'
    assert problem.expected.startswith("all, or some of: lights, colors, walls,")


def test_an_s3_server_is_named_and_a_folder_is_not():
    assert "S3_ENDPOINT_URL" not in training_params_for(settings())
    params = training_params_for(settings(), endpoint_url="http://minio:9000")
    assert params["S3_ENDPOINT_URL"] == "http://minio:9000"


def test_the_second_entry_of_a_multi_config_run_says_so():
    assert "MULTI_CONFIG" not in training_params_for(settings(), worker=1)
    assert training_params_for(settings(), worker=2)["MULTI_CONFIG"] == "True"


def test_objects_only_where_the_race_has_them():
    params = training_params_for(settings(race_type="OBJECT_AVOIDANCE", oa_object_positions="0.2,-1;0.6,1"))
    assert params["OBJECT_POSITIONS"] == ["0.2,-1", "0.6,1"]
    assert (params["NUMBER_OF_OBSTACLES"], params["OBSTACLE_TYPE"]) == ("2", "box_obstacle")
    text = render_training_params(params).decode()
    assert "'OBJECT_POSITIONS':\n- '0.2,-1'\n- '0.6,1'\n" in text
    assert parse_training_params(text, "f").race.race_type == "OBJECT_AVOIDANCE"
    bots = training_params_for(settings(race_type="HEAD_TO_BOT"))
    assert (bots["NUMBER_OF_BOT_CARS"], bots["PENALTY_SECONDS"]) == ("3", "5.0")
    assert "NUMBER_OF_OBSTACLES" not in bots


@pytest.mark.parametrize("name", ["it's", "Zoë: # 1", "x" * 300, "a " * 100, "true", "1.0", "null", "---"])
def test_every_text_stays_what_it_was(name):
    text = render_training_params(training_params_for(settings(car_name=name))).decode()
    assert yaml.safe_load(text)["CAR_NAME"] == name
    assert len(text.splitlines()) == len(GOLDEN.splitlines())
    assert '"' not in text.replace(name, "")


def test_truth_values_in_any_case_and_unquoted():
    text = GOLDEN.replace("'REVERSE_DIR': 'False'", "REVERSE_DIR: true").replace("'True'", "'tRUE'")
    params = parse_training_params(text, "f")
    assert (params.reverse_dir, params.change_start_position) == (True, True)


def test_missing_keys_have_the_contracts_defaults():
    mandatory = (
        *("SAGEMAKER_SHARED_S3_BUCKET", "SAGEMAKER_SHARED_S3_PREFIX", "METRICS_S3_BUCKET", "METRICS_S3_OBJECT_KEY"),
        *("MODEL_METADATA_FILE_S3_KEY", "BODY_SHELL_TYPE", "CAR_COLOR", "WORLD_NAME", "REWARD_FILE_S3_KEY"),
    )
    values = yaml.safe_load(GOLDEN)
    params = parse_training_params(render_training_params({key: values[key] for key in mandatory}), "f")
    assert (params.change_start_position, params.round_robin_advance_dist) == (True, 0.05)
    assert (params.min_eval_trials, params.best_model_metric, params.race.race_type) == (5, "progress", "TIME_TRIAL")
    assert {problem.where for problem in problems_of("---\n'AWS_REGION': 'x'\n")} == {
        f"training_params.yaml: {key}" for key in mandatory
    }


def test_all_problems_at_once():
    text = (
        GOLDEN.replace("'CAR_COLOR': 'Red'", "'CAR_COLOR': 'Pink'")
        .replace("'MIN_EVAL_TRIALS': '5'", "'MIN_EVAL_TRIALS': 'many'")
        .replace("'REVERSE_DIR': 'False'", "'REVERSE_DIR': 'No'")
        .replace("'AWS_REGION'", "'AWS_REGOIN'")
    )
    problems = {problem.where: problem for problem in problems_of(text)}
    assert problems.keys() == {
        f"training_params.yaml: {key}" for key in ("CAR_COLOR", "MIN_EVAL_TRIALS", "REVERSE_DIR", "AWS_REGOIN")
    }
    assert problems["training_params.yaml: AWS_REGOIN"].expected == '"AWS_REGION"'
    assert problems["training_params.yaml: REVERSE_DIR"].expected == "True or False"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("---\n'A': 'b'\n  'C': 'd'\n", "training_params.yaml:3:3"),
        ("---\n- 'A'\n", "training_params.yaml"),
        ("", "training_params.yaml"),
        ("'A': 'b'\n'A': 'c'\n", "training_params.yaml:2"),
        (b"\xff\xfe", "training_params.yaml"),
    ],
)
def test_what_is_no_such_file(text, where):
    (problem,) = problems_of(text)
    assert problem.where == where
