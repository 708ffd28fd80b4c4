from __future__ import annotations

import json
import re
import shutil
from collections import namedtuple

import pytest

from drctl.errors import ConfigError, DrctlError, FormatError, NotSupportedError, RewardError, TrackError
from drctl.operations.preflight import prepare


def check(project, **options):
    return prepare(project, **{"wipe": False, "resume": False, "force": False, **options})


def refused(project, **options):
    with pytest.raises(DrctlError) as caught:
        check(project, **options)
    return caught.value


def reward_file(project, body):
    (project.custom_files / "reward_function.py").write_text(f"def reward_function(params):\n    {body}\n")


def edit_json(project, name, **changes):
    file = project.custom_files / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_the_shipped_files_pass_and_leave_no_trace(project):
    found = check(project)
    assert [note.text for note in found.notes] == ["term_cond_avg_score=350 has no effect: DR_TRAIN_STOP_WHEN=laps"]
    assert sorted(found.files.contents) == ["hyperparameters.json", "model_metadata.json", "reward_function.py"]
    files = [path.name for path in project.data_folder.rglob("*") if path.is_file()]
    assert [name for name in files if name != ".drctl-store-lock"] == []
    assert not project.run_folder.exists()


def test_every_problem_is_reported_at_once_what_the_user_wrote_first(make_project):
    project = make_project(world_name="reinvent_bse", race_type="HEAD_TO_MODEL")
    edit_json(project, "hyperparameters.json", lr=-1)
    edit_json(project, "model_metadata.json", sensor=["FRONT_FACING_CAMERA", "LEFT_CAMERA"])
    (project.data_folder / "bucket" / "rl-deepracer-sagemaker").mkdir(parents=True)
    (project.data_folder / "bucket" / "rl-deepracer-sagemaker" / "old").write_text("a model")
    error = refused(project)
    codes = [problem.code for problem in error.problems]
    assert sorted(codes) == ["conflict", "file_invalid", "file_invalid", "not_supported", "track_invalid"]
    assert codes[-1] == "conflict"
    assert error.exit_status == 3


def test_a_model_that_the_physical_car_cannot_drive_is_noted(project):
    edit_json(project, "hyperparameters.json", stack_size=4)
    edit_json(project, "model_metadata.json", sensor=["STEREO_CAMERAS", "DISCRETIZED_SECTOR_LIDAR"])
    notes = [note.text for note in check(project).notes]
    assert "stack_size=4: the physical car shows its model one frame, so this one drives in simulation only" in notes
    assert any("the physical car has no DISCRETIZED_SECTOR_LIDAR" in note for note in notes)


def test_later_parts_are_refused_by_name_with_the_fix(make_project):
    error = refused(make_project(telegraf_host="telegraf"))
    assert isinstance(error, NotSupportedError)
    assert error.problems[0].what.startswith("DR_TELEGRAF_HOST is telegraf")


def test_community_images_need_containers(make_project):
    error = refused(make_project(simapp_source="awsdeepracercommunity/deepracer-simapp"))
    assert isinstance(error, NotSupportedError)
    (problem,) = error.problems
    assert problem.what == "DR_DOCKER_STYLE is process; the community images run under Docker Compose alone"
    assert problem.fix == "drctl config set DR_DOCKER_STYLE=compose"
    assert "drctl start-training --stack drctl --engine process" in problem.expected


def test_hyperparameters_that_cannot_or_do_not_act_are_named(project):
    edit_json(project, "hyperparameters.json", sac_alpha=0.1, epsilon_steps=99)
    told = [note.text for note in check(project).notes]
    assert (
        "custom_files/hyperparameters.json: no effect with clipped_ppo and exploration_type categorical: "
        "epsilon_steps, sac_alpha" in told
    )

    edit_json(project, "hyperparameters.json", exploration_type="e-greedy")
    bounds = {"steering_angle": {"low": -30, "high": 30}, "speed": {"low": 0.5, "high": 1}}
    edit_json(project, "model_metadata.json", action_space=bounds, action_space_type="continuous")
    (problem,) = refused(project).problems
    assert problem.what == "exploration_type e-greedy chooses from a list of actions, and this model has none"

    edit_json(project, "hyperparameters.json", exploration_type="categorical")
    edit_json(project, "model_metadata.json", training_algorithm="sac")
    told = [note.text for note in check(project).notes]
    assert "custom_files/hyperparameters.json: no effect with sac: num_epochs, epsilon_steps" in told


def test_missing_custom_files_are_named_each(project):
    (project.custom_files / "model_metadata.json").unlink()
    (project.custom_files / "reward_function.py").unlink()
    error = refused(project)
    assert isinstance(error, FormatError)
    assert [problem.what for problem in error.problems] == [
        "custom_files/reward_function.py is missing",
        "custom_files/model_metadata.json is missing",
    ]


def test_the_key_settings_choose_among_local_files(make_project):
    project = make_project(local_s3_reward_key="custom_files/reward_b.py")
    chosen = "def reward_function(params):\n    return float(params['all_wheels_on_track'])\n"
    (project.custom_files / "reward_b.py").write_text(chosen)
    files = check(project).files
    assert files.contents["reward_function.py"] == chosen.encode()
    assert files.places["reward_function.py"] == "custom_files/reward_b.py"


def test_without_local_files_the_buckets_are_taken(project):
    bucket = project.data_folder / "bucket" / "custom_files"
    bucket.parent.mkdir(parents=True)
    shutil.move(project.custom_files, bucket)
    found = check(project)
    assert found.files.places["reward_function.py"] == "data/bucket/custom_files/reward_function.py"
    shutil.rmtree(bucket)
    error = refused(project)
    assert "the bucket lacks data/bucket/custom_files/reward_function.py" in error.problems[0].what


def test_an_unknown_track_names_the_nearest_and_the_line(project):
    env = project.root / "run.env"
    env.write_text(env.read_text().replace("DR_WORLD_NAME=reinvent_base", "DR_WORLD_NAME=reinvent_bse"))
    from drctl.config.project import load_project

    error = refused(load_project(project.root))
    assert isinstance(error, TrackError)
    assert "reinvent_base" in f"{error.problems[0].expected} {error.problems[0].fix}"
    assert re.fullmatch(r"run\.env:\d+", error.problems[0].where)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("return params['sped']", "KeyError: 'sped'"),
        ("return float('nan')", "nan"),
        ("return 'fast'", "'fast'"),
        ("return 1e6", "1000000.0"),
        ("return (", "not Python"),
        ("import no_such_module", "no_such_module"),
    ],
)
def test_a_reward_function_that_fails_names_file_and_line(project, body, what):
    reward_file(project, body)
    error = refused(project)
    assert isinstance(error, RewardError)
    assert what in error.problems[0].what
    assert error.problems[0].where.startswith("custom_files/reward_function.py:")


def test_a_reward_file_without_the_function(project):
    (project.custom_files / "reward_function.py").write_text("def reward(params):\n    return 1.0\n")
    assert "defines no reward_function" in refused(project).problems[0].what


def test_what_the_reward_function_prints_is_not_shown(project, capsys):
    reward_file(project, "print('driving', params['x']); return 1.0 if not params['is_offtrack'] else 0.0")
    check(project)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("return 2.0 if params['is_offtrack'] else 1.0", r"pays more off the track \(2 per step\) than .* \(1\)"),
        ("return 1.0", "pays 1 everywhere"),
        ("import time; time.sleep(0.002); return -params['distance_from_center']", "ms per step"),
    ],
)
def test_odd_rewards_are_noted(project, body, note):
    reward_file(project, body)
    assert any(re.search(note, found.text) for found in check(project).notes)


def test_lanes_are_where_they_should_be(project):
    reward_file(
        project,
        "w, d = params['track_width'], params['distance_from_center']; on = params['all_wheels_on_track']; "
        "assert on or d > 0.2 * w, 'centre'; assert not params['is_offtrack'] or d > w, 'off'; return float(on)",
    )
    check(project)


def test_the_score_rule_needs_a_score(make_project):
    project = make_project(train_stop_when="score")
    file = project.custom_files / "hyperparameters.json"
    content = {key: value for key, value in json.loads(file.read_text()).items() if key != "term_cond_avg_score"}
    file.write_text(json.dumps(content))
    error = refused(project)
    assert isinstance(error, ConfigError)
    assert "term_cond_avg_score" in error.problems[0].what


def test_a_foreign_address_is_refused(make_project):
    error = refused(make_project(link_listen="192.0.2.7"))
    assert isinstance(error, ConfigError)
    assert error.problems[0].what == "DR_LINK_LISTEN is '192.0.2.7': this machine does not have that address"


def test_a_full_disk_is_seen(project, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**12, 10**12 - 4 * 10**8, 4 * 10**8))
    error = refused(project)
    assert error.exit_status == 4
    assert error.problems[0].what == "only 0.40 GB are free for the store"


def test_more_workers_than_episodes_are_noted(make_project):
    notes = [note.text for note in check(make_project(workers=32)).notes]
    assert "32 workers for 20 episodes and 5 evaluation trials at a time: 7 will idle" in notes


def test_missing_packages_are_one_problem(project, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("torch", "zmq") else real(name))
    error = refused(project)
    assert error.exit_status == 4
    assert error.problems[0].what == "training needs packages that are not installed: torch, zmq"
    assert error.problems[0].fix == "pip install 'drctl[local]'"
