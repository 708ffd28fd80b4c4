"""What is checked before the community images train, without Docker."""

from __future__ import annotations

import json

import pytest

from drctl.config.project import load_project
from drctl.config.settings import Origin, Settings
from drctl.errors import ConflictError, DrctlError, NotSupportedError, UnavailableError
from drctl.operations import community, preflight
from drctl.operations.community import check_clone, provide_images, stack_notes, stack_problems, write_container_keys
from drctl.operations.preflight import prepare
from drctl.operations.training import plan_training
from drctl.secrets import Secret
from drctl.storage.directory import DirectoryStore
from drctl.storage.location import write_store_keys
from drctl.storage.s3 import StoreKeys

SOURCE = "awsdeepracercommunity/deepracer-simapp"


@pytest.fixture
def images_project(make_project, monkeypatch, tmp_path):
    """Make a project whose Docker is well and whose store is a folder."""
    monkeypatch.setattr(preflight, "check_machine", lambda _project: None)
    monkeypatch.setattr(preflight, "open_store", lambda _location: DirectoryStore(tmp_path / "store"))

    def make(**settings):
        return make_project(**{"docker_style": "compose", "simapp_source": SOURCE, **settings})

    return make


def refused(project, **options):
    with pytest.raises(DrctlError) as caught:
        prepare(project, **{"wipe": False, "resume": False, "force": False, **options})
    return caught.value


def check(project):
    return prepare(project, wipe=False, resume=False, force=False)


def test_a_start_says_what_runs_and_how_to_switch(images_project):
    notes = [note.text for note in check(images_project()).notes]
    assert notes[0] == (
        f"The community image {SOURCE}:6.0.4-cpu trains; drctl start-training --stack drctl --engine process takes "
        "drctl's own software instead"
    )
    assert notes[1] == "no effect with the community images: DR_TRAIN_STOP_WHEN=laps"
    assert "term_cond_avg_score=350 has no effect: the community images do not read it" in notes


def test_only_what_is_set_and_differs_is_noted():
    settings = Settings(simapp_source=SOURCE, seed=4, origins={"DR_SEED": Origin("run.env", 3)})
    assert [note.text for note in stack_notes(settings)][1:] == ["no effect with the community images: DR_SEED=4"]
    assert len(stack_notes(Settings(simapp_source=SOURCE))) == 1


def test_the_images_take_best_or_last_alone():
    settings = Settings(
        docker_style="compose",
        simapp_source=SOURCE,
        eval_checkpoint="7",
        local_s3_pretrained=True,
        local_s3_pretrained_checkpoint="3",
    )
    assert [problem.what for problem in stack_problems(settings)] == [
        "DR_LOCAL_S3_PRETRAINED_CHECKPOINT is 3; the community images take best or last and nothing else",
        "DR_EVAL_CHECKPOINT is 7; the community images take best or last and nothing else",
    ]


def test_mounted_folders_are_there(tmp_path):
    wrong = {"robomaker_mount_scripts_dir": "scripts", "robomaker_mount_simapp_dir": str(tmp_path / "none")}
    problems = stack_problems(Settings(docker_style="compose", simapp_source=SOURCE, **wrong))
    assert [problem.what.split()[0] for problem in problems] == [f"DR_{name.upper()}" for name in wrong]
    right = Settings(docker_style="compose", simapp_source=SOURCE, robomaker_mount_scripts_dir=str(tmp_path))
    assert stack_problems(right) == []


def test_an_x_server_needs_a_display_and_a_key(monkeypatch, tmp_path):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("XAUTHORITY", str(tmp_path / "key"))
    settings = Settings(docker_style="compose", simapp_source=SOURCE, host_x=True)
    whats = [problem.what for problem in stack_problems(settings)]
    assert [what.partition(",")[0] for what in whats] == ["DR_HOST_X is True"] * 2
    (tmp_path / "key").write_text("x")
    monkeypatch.setenv("DISPLAY", ":0")
    assert stack_problems(settings) == []


def test_sensors_and_tracks_that_only_the_images_have_are_theirs_to_judge(images_project):
    project = images_project(world_name="a_track_of_theirs", race_type="HEAD_TO_BOT")
    file = project.custom_files / "model_metadata.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "sensor": ["FRONT_FACING_CAMERA", "LIDAR"]}))
    notes = [note.text for note in check(project).notes]
    (note,) = [note for note in notes if "a_track_of_theirs" in note]
    assert note.endswith("; the image may have it, and the reward function was not tried on it")


def test_each_worker_of_a_multi_config_run_has_its_file_and_track(images_project):
    settings = {"DR_WORKERS": "2", "DR_TRAIN_MULTI_CONFIG": "True", "DR_DOCKER_STYLE": "compose"}
    root = images_project().root
    (root / "worker-2.env").write_text("DR_WORLD_NAME=reInvent2019_track\n")
    project = load_project(root, {**settings, "DR_SIMAPP_SOURCE": SOURCE}, with_entries=True)
    found = check(project)
    files = found.files.objects(found.keys, "training_params.yaml")
    names = sorted(key.rpartition("/")[2] for key in files if key.endswith(".yaml"))
    assert names == ["training_params_1.yaml", "training_params_2.yaml"]
    environment = plan_training(found, "token").parts[2].environment
    assert json.loads(environment["MULTI_CONFIG"])["multi_config"][1] == {
        "config_file": "training_params_2.yaml",
        "world_name": "reInvent2019_track",
    }
    assert environment["DOCKER_REPLICA_SLOT"] == "2"


def test_a_used_prefix_is_kept_and_a_resume_becomes_a_clone(images_project, tmp_path):
    project = images_project()
    DirectoryStore(tmp_path / "store").put("rl-deepracer-sagemaker/model/.coach_checkpoint", b"1_Step-9.ckpt")
    error = refused(project)
    assert isinstance(error, ConflictError)
    assert "--resume" not in error.problems[0].fix
    error = refused(project, resume=True)
    assert isinstance(error, NotSupportedError)
    assert error.problems[0].fix == "drctl increment-training && drctl start-training"


def test_a_clone_needs_a_model_of_the_images(tmp_path):
    store = DirectoryStore(tmp_path / "store")
    settings = Settings(simapp_source=SOURCE, local_s3_pretrained=True, local_s3_pretrained_prefix="old")
    with pytest.raises(ConflictError, match="there is no model old"):
        check_clone(settings, store)
    store.put("old/model/model_1.pb", b"")
    with pytest.raises(ConflictError, match="old was not trained by the community images"):
        check_clone(settings, store)
    store.put("old/model/1_Step-9.ckpt.index", b"")
    check_clone(settings, store)


def test_images_are_pulled_and_a_failure_says_what_docker_said(images_project, monkeypatch):
    said = ["6.0.4-cpu: Pulling from x/deepracer-simapp", "0123456789ab: Downloading", "0123456789ab: Pull complete"]
    statuses = iter([0, 1])
    monkeypatch.setattr(community.docker, "missing_images", lambda names: list(dict.fromkeys(names)))

    def pull(argv, on_line):
        assert argv == ["docker", "pull", f"{SOURCE}:6.0.4-cpu"]
        for line in said:
            on_line(line)
        return next(statuses)

    monkeypatch.setattr(community.docker, "run_build", pull)
    shown = []
    provide_images(images_project(), lambda message: shown.append(message.text))
    assert shown == [f"$ docker pull {SOURCE}:6.0.4-cpu", f"  {said[0]}", f"  {said[2]}"]
    said.append("Error response from daemon: no such host")
    with pytest.raises(UnavailableError, match="cannot be pulled") as caught:
        provide_images(images_project())
    assert "no such host" in caught.value.problems[0].where
    assert caught.value.problems[0].fix == f"docker pull {SOURCE}:6.0.4-cpu"


def test_an_image_for_gpus_needs_one(images_project, monkeypatch):
    monkeypatch.setattr(community.docker, "has_gpu_runtime", lambda: False)
    community.check_image_gpu(images_project())
    with pytest.raises(UnavailableError) as caught:
        community.check_image_gpu(images_project(simapp_version="6.0.4-gpu"))
    assert caught.value.problems[0].fix == "--set DR_SIMAPP_VERSION=6.0.4-cpu"


def test_the_containers_keys_are_in_a_file_of_its_owner(images_project):
    project = images_project()
    write_store_keys(project.secrets_folder / "store-keys.json", StoreKeys("name", Secret("se$cret")))
    path = project.secrets_folder / "run-7-store.env"
    write_container_keys(project, path)
    assert path.read_text() == "AWS_ACCESS_KEY_ID='name'\nAWS_SECRET_ACCESS_KEY='se$cret'\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_plan_takes_the_users_hyperparameters_as_they_are(images_project):
    project = images_project(run_id=7, workers=2)
    plan = plan_training(check(project), "token")
    given = json.loads((project.custom_files / "hyperparameters.json").read_text())
    told = json.loads(plan.parts[0].environment["SM_TRAINING_ENV"])["hyperparameters"]
    assert {name: told[name] for name in given} == given
    assert plan.trainer["episodes_per_iteration"] == given["num_episodes_between_training"]
    assert plan.parts[0].container.env_files == (str(project.root / "tmp" / "secrets" / "run-7-store.env"),)
    assert plan.parts[1].environment["S3_ENDPOINT_URL"] == "http://minio:9000"
