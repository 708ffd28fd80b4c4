import pytest

from drctl.config.project import Project, find_root, load_project
from drctl.config.settings import Settings
from drctl.errors import ConfigError

# DeepRacer-for-Cloud's own templates, filled in as its init.sh does: names and values are contract 3.2.
DRFC_SYSTEM = """DR_CLOUD=local
DR_AWS_APP_REGION=us-east-1
DR_UPLOAD_S3_PROFILE=default
DR_UPLOAD_S3_BUCKET=not-defined
DR_UPLOAD_S3_ROLE=to-be-defined
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
DR_CLOUD_WATCH_ENABLE=False
DR_CLOUD_WATCH_LOG_STREAM_PREFIX=
DR_DOCKER_STYLE=swarm
DR_HOST_X=False
DR_WEBVIEWER_PORT=8100
# DR_DISPLAY=:99
"""
DRFC_RUN = """DR_RUN_ID=0
DR_WORLD_NAME=reinvent_base
DR_CAR_NAME=FastCar
DR_DISPLAY_NAME=$DR_CAR_NAME
DR_LOCAL_S3_MODEL_PREFIX=rl-deepracer-sagemaker
DR_LOCAL_S3_CUSTOM_FILES_PREFIX=custom_files
DR_LOCAL_S3_REWARD_KEY=$DR_LOCAL_S3_CUSTOM_FILES_PREFIX/reward_function.py
DR_LOCAL_S3_METRICS_PREFIX=$DR_LOCAL_S3_MODEL_PREFIX/metrics
DR_UPLOAD_S3_PREFIX=$DR_LOCAL_S3_MODEL_PREFIX-1
"""


@pytest.fixture
def load(tmp_path):
    def load(run="", system="", environment=None, overrides=None):
        (tmp_path / "run.env").write_bytes(run.encode())
        (tmp_path / "system.env").write_bytes(system.encode())
        return load_project(tmp_path, overrides or {}, environment or {})

    return load


def problems(load, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        load(*args, **kwargs)
    return caught.value.problems


@pytest.mark.parametrize(
    ("system", "run", "environment", "overrides", "value", "origin"),
    [
        (None, None, None, None, 1, "default"),
        (2, None, None, None, 2, "system.env:2"),
        (2, 3, None, None, 3, "run.env:3"),
        (None, 3, None, None, 3, "run.env:3"),
        (2, 3, 4, None, 4, "environment"),
        (None, None, 4, None, 4, "environment"),
        (2, 3, 4, 5, 5, "--set"),
        (2, None, None, 5, 5, "--set"),
        (None, None, None, 5, 5, "--set"),
        (2, "", None, None, 1, "run.env:3"),
        (2, 3, "", None, 1, "environment"),
        (2, 3, 4, "", 1, "--set"),
    ],
)
def test_precedence_and_origin(load, system, run, environment, overrides, value, origin):
    project = load(
        "\n\n" + ("" if run is None else f"DR_WORKERS={run}\n"),
        "\n" + ("" if system is None else f"DR_WORKERS={system}\n"),
        {} if environment is None else {"DR_WORKERS": str(environment)},
        {} if overrides is None else {"DR_WORKERS": str(overrides)},
    )
    assert project.settings.workers == value
    assert str(project.settings.origin("DR_WORKERS")) == origin


def test_without_files_settings_are_the_defaults(load, tmp_path):
    assert load().settings == Settings()
    (tmp_path / "system.env").unlink()
    assert load_project(tmp_path, environment={}).settings == Settings()


def test_references_follow_the_final_value(load):
    run = "DR_LOCAL_S3_METRICS_PREFIX=$DR_LOCAL_S3_MODEL_PREFIX/metrics\nDR_LOCAL_S3_MODEL_PREFIX=mine\n"
    assert load(run).settings.local_s3_metrics_prefix == "mine/metrics"
    changed = load(run, overrides={"DR_LOCAL_S3_MODEL_PREFIX": "other"}).settings
    assert changed.local_s3_metrics_prefix == "other/metrics"
    assert (
        load(run, environment={"DR_LOCAL_S3_MODEL_PREFIX": "shell"}).settings.local_s3_metrics_prefix == "shell/metrics"
    )


@pytest.mark.parametrize(
    ("run", "value"),
    [
        ("DR_CAR_NAME=$USER", "ann"),
        ("DR_CAR_NAME=${USER}s car", "anns car"),
        ("NAME=Blitz\nDR_CAR_NAME=$NAME", "Blitz"),
        ("USER=bob\nDR_CAR_NAME=$USER", "bob"),
        ("DR_CAR_NAME=a\nDR_CAR_NAME=${DR_CAR_NAME}b", "ab"),
        ("DR_CAR_NAME=$DR_CAR_NAME-2", "system-2"),
        ("DR_CAR_NAME=${NOTHING:-x}", "x"),
        ("DR_CAR_NAME=${DR_EXPERIMENT_NAME:-none}", "none"),
        ("DR_CAR_NAME=x$DR_EXPERIMENT_NAME", "x"),
        ("DR_CAR_NAME=car of $DR_WORKERS", "car of 1"),
        ("DR_CAR_NAME=$DR_UPLOAD_S3_PREFIX", "rl-deepracer-sagemaker-1"),
        ("DR_CAR_NAME='$USER'", "$USER"),
    ],
)
def test_references(load, run, value):
    assert load(run, "DR_CAR_NAME=system", {"USER": "ann"}).settings.car_name == value


def test_a_dollar_from_the_shell_or_from_set_is_a_dollar(load):
    assert load(environment={"DR_CAR_NAME": "$5"}).settings.car_name == "$5"
    assert load(overrides={"DR_CAR_NAME": "$5"}).settings.car_name == "$5"


def test_unknown_references_and_circles_are_problems(load):
    found = problems(load, "DR_CAR_NAME=$NOBODY\nDR_DISPLAY_NAME=$DR_RACER_NAME\nDR_RACER_NAME=$DR_DISPLAY_NAME\n")
    assert [(one.what, one.where) for one in found] == [
        ("DR_CAR_NAME uses $NOBODY, which has no value", "run.env:1"),
        ("DR_DISPLAY_NAME goes round in a circle: DR_RACER_NAME -> DR_DISPLAY_NAME -> DR_RACER_NAME", "run.env:2"),
        ("DR_RACER_NAME goes round in a circle: DR_DISPLAY_NAME -> DR_RACER_NAME -> DR_DISPLAY_NAME", "run.env:3"),
    ]
    assert found[0].fix == "set NOBODY in run.env, or put single quotes around the value"


def test_all_problems_at_once_in_the_order_of_the_files(load):
    found = problems(
        load,
        "DR_WORLDNAME=x\nDR_TRAIN_MIN_EVAL_TRIALS=none\nDR_SEED='1\n",
        "DR_CLOUD=moon\nDR_WORKERS=four\nDR_MINIO_URL=http://minio:9000\n",
        {"DR_PHYSICS": "real", "DR_UNHEARD_OF": "1"},
        {"DR_RUNID": "1", "DR_KEEP_GB": "-1"},
    )
    assert [(one.what, one.where, one.expected, one.fix) for one in found] == [
        ("DR_CLOUD is 'moon'", "system.env:1", "local, remote or aws", "drctl config set DR_CLOUD=local"),
        ("DR_WORKERS is 'four'", "system.env:2", "an integer from 1 to 64", "drctl config set DR_WORKERS=4"),
        (
            "DR_MINIO_URL cannot be set",
            "system.env:3",
            "it is worked out from DR_CLOUD and DR_REMOTE_MINIO_URL",
            "delete system.env:3",
        ),
        (
            "there is no setting DR_WORLDNAME",
            "run.env:1",
            "closest is DR_WORLD_NAME",
            "rename it to DR_WORLD_NAME in run.env:1",
        ),
        (
            "DR_TRAIN_MIN_EVAL_TRIALS is 'none'",
            "run.env:2",
            "an integer from 1 to 1000",
            "drctl config set DR_TRAIN_MIN_EVAL_TRIALS=5",
        ),
        (
            "DR_SEED: a single quote is opened and not closed",
            "run.env:3",
            "a second ' on the same line",
            r"close the quote, or write \', in run.env:3",
        ),
        ("there is no setting DR_RUNID", "--set", "closest is DR_RUN_ID", "rename it to DR_RUN_ID in --set DR_RUNID"),
        ("DR_KEEP_GB is '-1'", "--set", "a number, 0 or more", "--set DR_KEEP_GB=0.0"),
        ("DR_PHYSICS is 'real'", "environment", "auto, effort, kinematics or ros2", "unset DR_PHYSICS"),
    ]


def test_unknown_names_without_a_near_one(load):
    (found,) = problems(load, "DR_QQQQ=1\n")
    assert (found.expected, found.fix) == ("a name that `drctl config show` lists", "delete run.env:1")
    (found,) = problems(load, overrides={"DR_QQQQ": "1"})
    assert found.fix == "leave --set DR_QQQQ out"


def test_lower_case_names_are_unknown(load):
    (found,) = problems(load, "dr_workers=2\n")
    assert (found.what, found.expected) == ("there is no setting dr_workers", "closest is DR_WORKERS")


@pytest.mark.parametrize(
    ("run", "what", "fix"),
    [
        (
            "DR_CLOUD=remote",
            "DR_CLOUD is remote and DR_REMOTE_MINIO_URL has no value",
            "drctl config set DR_REMOTE_MINIO_URL=http://HOST:9000",
        ),
        (
            "DR_LOCAL_S3_MODEL_PREFIX=custom_files/x",
            "DR_LOCAL_S3_MODEL_PREFIX custom_files/x and DR_LOCAL_S3_CUSTOM_FILES_PREFIX custom_files share a folder",
            "drctl config set DR_LOCAL_S3_MODEL_PREFIX=rl-deepracer-sagemaker",
        ),
        (
            "DR_LOCAL_S3_EVAL_PARAMS_FILE=training_params.yaml",
            "training and evaluation both write training_params.yaml",
            "drctl config set DR_LOCAL_S3_EVAL_PARAMS_FILE=evaluation_params.yaml",
        ),
        (
            "DR_LOCAL_S3_PRETRAINED=True\nDR_LOCAL_S3_PRETRAINED_PREFIX=rl-deepracer-sagemaker",
            "the model rl-deepracer-sagemaker is to begin with itself",
            "drctl config set DR_LOCAL_S3_MODEL_PREFIX=rl-deepracer-sagemaker-1",
        ),
        ("DR_EVAL_MAX_RESETS=1", "DR_EVAL_MAX_RESETS is 1", "drctl config set DR_EVAL_MAX_RESETS=2"),
        (
            "DR_H2B_LOWER_LANE_CHANGE_TIME=6",
            "DR_H2B_LOWER_LANE_CHANGE_TIME 6.0 is above DR_H2B_UPPER_LANE_CHANGE_TIME 5.0",
            "drctl config set DR_H2B_LOWER_LANE_CHANGE_TIME=5.0",
        ),
        (
            "DR_WEBVIEWER_PORT=7302\nDR_RUN_ID=2",
            "port 7302 is both DR_WEBVIEWER_PORT and that of the trainer's link (7300 + DR_RUN_ID)",
            "drctl config set DR_WEBVIEWER_PORT=8099",
        ),
        (
            "DR_DOCKER_STYLE=swarm\nDR_RUN_ID=20",
            "port 8100 is both DR_WEBVIEWER_PORT and that of the workers' streams (8080 + DR_RUN_ID)",
            "drctl config set DR_WEBVIEWER_PORT=8099",
        ),
    ],
)
def test_contradictions(load, run, what, fix):
    (found,) = problems(load, run)
    assert (found.what, found.fix) == (what, fix)
    assert "run.env:" in found.where
    assert found.expected


def test_prefixes_that_only_look_alike_do_not_contradict(load):
    assert load("DR_LOCAL_S3_MODEL_PREFIX=custom_files_2").settings.local_s3_model_prefix == "custom_files_2"


def test_a_refused_value_is_not_also_a_contradiction(load):
    (found,) = problems(load, "DR_CLOUD=remote\nDR_REMOTE_MINIO_URL=mynas\n")
    assert found.what == "DR_REMOTE_MINIO_URL is 'mynas'"


def test_keys_in_an_address_are_refused_and_not_shown(load):
    (found,) = problems(load, "DR_CLOUD=remote\nDR_REMOTE_MINIO_URL=http://me:hunter2@mynas:9000\n")
    assert found.what == "DR_REMOTE_MINIO_URL is 'http://[REDACTED]@mynas:9000'"
    assert found.expected == "an address such as http://mynas:9000, without a password"


@pytest.mark.parametrize(
    ("old", "attribute", "value"),
    [
        ("DR_TRAIN_ROUND_ROBIN_ADVANCE_DISTANCE=0.1", "train_round_robin_advance_dist", 0.1),
        ("DR_KINESIS_STREAM_ENABLE=False", "camera_kvs_enable", False),
        ("DR_COLLISION_PENALTY=2.5", "eval_collision_penalty", 2.5),
        ("DR_CHANGE_START_POSITION=False", "train_change_start_position", False),
        ("DR_EVAL_NUMBER_OF_RESETS=7", "eval_max_resets", 7),
        ("DR_LOCAL_S3_PRETRAINED_FULL=True", "pretrained_full", True),
    ],
)
def test_older_names_act_as_todays(load, old, attribute, value):
    project = load(old)
    assert getattr(project.settings, attribute) == value
    name, today = old.partition("=")[0], f"DR_{attribute.upper()}"
    assert project.notes == (f"{name} (run.env:1) is the older name of {today} and acts as it",)
    assert str(project.settings.origin(today)) == "run.env:1"


def test_an_older_name_with_another_value_contradicts(load):
    (found,) = problems(load, "DR_KINESIS_STREAM_ENABLE=False\nDR_CAMERA_KVS_ENABLE=True\n")
    assert (found.what, found.where, found.expected, found.fix) == (
        "DR_KINESIS_STREAM_ENABLE is the older name of DR_CAMERA_KVS_ENABLE, and both are set, to different values",
        "run.env:1, run.env:2",
        "DR_CAMERA_KVS_ENABLE alone",
        "delete run.env:1",
    )
    assert load("DR_KINESIS_STREAM_ENABLE=False\nDR_CAMERA_KVS_ENABLE=False\n").settings.camera_kvs_enable is False
    assert load("DR_CAMERA_KVS_ENABLE=True", "DR_KINESIS_STREAM_ENABLE=False").settings.camera_kvs_enable is True


def test_notes_on_what_is_odd(load):
    project = load(
        "DR_WORKERS=2\nDR_WORKERS=3\nDR_COACH_IMAGE=5.0\nFOO=1\nBAR=2\nDR_CAR_NAME=$BAR\nCUDA_VISIBLE_DEVICES=0\n",
        "DR_CLOUD=azure\n",
    )
    assert project.settings.workers == 3
    assert project.settings.cloud == "local"
    assert project.notes == (
        "DR_CLOUD=azure (system.env:1) means local: MinIO's gateway to Azure no longer exists",
        "DR_WORKERS is set twice; run.env:2 counts, run.env:1 does not",
        "DR_COACH_IMAGE (run.env:3) does nothing any more: the trainer starts without a launcher; delete the line",
        "FOO (run.env:4) is no setting, and no value uses it",
        (
            "CUDA_VISIBLE_DEVICES (run.env:7) does nothing any more: GPUs are chosen by DR_SAGEMAKER_CUDA_DEVICES and "
            "DR_ROBOMAKER_CUDA_DEVICES"
        ),
    )


def test_unknown_names_in_the_environment_are_ignored(load):
    environment = {
        "DR_DIR": "/x",
        "DR_CONFIG": "y",
        "DR_WORLDNAME": "z",
        "DR_LOCAL_S3_ENDPOINT_URL": "u",
        "PATH": "/bin",
    }
    project = load(environment=environment)
    assert project.settings == Settings()
    assert project.environment_overrides == {}


def test_environment_overrides_name_what_differs(load):
    environment = {
        "DR_WORKERS": "8",
        "DR_SEED": "0",
        "DR_SIM_TRACE_LOG": "true",
        "DR_WORLD_NAME": "oval",
        "DR_WEBVIEWER_TOKEN": "hunter2",
        "DR_CAR_NAME": "",
    }
    project = load(
        "DR_WORKERS=2\nDR_SEED=0\nDR_SIM_TRACE_LOG=True\nDR_WEBVIEWER_TOKEN=abc\nDR_CAR_NAME=Blitz\n",
        environment=environment,
    )
    assert project.environment_overrides == {
        "DR_CAR_NAME": ("", "Blitz"),
        "DR_WEBVIEWER_TOKEN": ("[REDACTED]", "[REDACTED]"),
        "DR_WORKERS": ("8", "2"),
        "DR_WORLD_NAME": ("oval", "reinvent_base"),
    }
    assert project.settings.car_name == "FastCar"


def test_a_deepracer_for_cloud_folder_is_accepted(load):
    from drctl.config.registry import refused_settings

    project = load(DRFC_RUN, DRFC_SYSTEM)
    assert project.settings.docker_style == "swarm"
    refused = [problem.what.split()[0] for problem in refused_settings(project.settings, "start-training")]
    assert refused == []
    switched = load(DRFC_RUN, DRFC_SYSTEM, overrides={"DR_DOCKER_STYLE": "process", "DR_SIMAPP_SOURCE": "drctl"})
    assert refused_settings(switched.settings, "start-training") == []
    assert switched.settings.upload_s3_prefix == "rl-deepracer-sagemaker-1"
    assert switched.notes == (
        (
            "DR_UPLOAD_S3_ROLE (system.env:5) does nothing any more: the AWS console that took this role is gone; "
            "delete the line"
        ),
    )


def test_windows_files_and_byte_order_mark(load):
    project = load("\ufeffDR_WORKERS=2\r\nDR_CAR_NAME=Blitz \r\n")
    assert (project.settings.workers, project.settings.car_name) == (2, "Blitz")


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "run.env").write_bytes(b"DR_RUN_ID=0\nDR_CAR_NAME=Zo\xeb\n")
    with pytest.raises(ConfigError) as caught:
        load_project(tmp_path, environment={})
    (found,) = caught.value.problems
    assert (found.what, found.where, found.fix) == (
        "run.env is not UTF-8 text",
        "run.env:2",
        "save run.env as UTF-8",
    )


def test_finds_the_nearest_project(tmp_path, monkeypatch):
    (tmp_path / "run.env").touch()
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_root(inner) == tmp_path
    monkeypatch.chdir(inner)
    assert find_root() == tmp_path
    (tmp_path / "a" / "run.env").touch()
    assert find_root() == tmp_path / "a"


def test_without_a_project(tmp_path, monkeypatch):
    with pytest.raises(ConfigError) as caught:
        load_project(tmp_path)
    (found,) = caught.value.problems
    assert found.what == f"{tmp_path} is not a project"
    assert found.expected == "a run.env in this folder or in one above it"
    assert found.fix == f"drctl init {tmp_path}"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_project()
    assert caught.value.problems[0].fix == "drctl init"


def test_folders_of_a_project(tmp_path):
    project = Project(tmp_path, Settings(run_id=3))
    assert project.run_folder == tmp_path / "tmp/run-3"
    assert project.custom_files == tmp_path / "custom_files"
    assert project.data_folder == tmp_path / "data"
    assert project.secrets_folder == tmp_path / "tmp/secrets"
    assert project.secrets_folder.stat().st_mode & 0o777 == 0o700
