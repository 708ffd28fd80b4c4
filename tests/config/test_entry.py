"""worker-N.env: each entry from the run's files and its own file alone."""

import pytest

from drctl.config.project import load_project
from drctl.config.registry import fix_for
from drctl.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def do(**files):
        for name, text in files.items():
            path = tmp_path / f"{name.replace('_', '-')}.env"
            path.write_text(text)
        return tmp_path

    (tmp_path / "system.env").write_text("DR_WORKERS=3\n")
    (tmp_path / "run.env").write_text("DR_TRAIN_MULTI_CONFIG=True\nDR_WORLD_NAME=reInvent2019_track\n")
    return do


def load(root, environment=(), **overrides):
    return load_project(root, overrides, dict(environment), with_entries=True)


def refused(root, **overrides):
    with pytest.raises(ConfigError) as caught:
        load(root, **overrides)
    return caught.value.problems


def test_each_entry_has_its_own_values_and_none_of_the_entry_before(write):
    root = write(
        worker_2="DR_WORLD_NAME=Oval_track\nDR_TRAIN_REVERSE_DIRECTION=True\nDR_CAR_COLOR=Blue\n",
        worker_3="DR_TRAIN_START_POSITION_OFFSET=0.5\n",
    )
    races = load(root).races
    assert [race.world_name for race in races] == ["reInvent2019_track", "Oval_track", "reInvent2019_track"]
    assert [race.train_reverse_direction for race in races] == [False, True, False]
    assert [race.car_color for race in races] == ["Red", "Blue", "Red"]
    assert [race.train_start_position_offset for race in races] == [0.0, 0.0, 0.5]
    assert str(races[1].origin("DR_WORLD_NAME")) == "worker-2.env:1"


def test_values_with_equals_signs_and_spaces_come_whole(write):
    root = write(worker_2='DR_OA_OBJECT_POSITIONS="0.2,-1; 0.4,1"\n', worker_3="")
    assert load(root).races[1].oa_object_positions == "0.2,-1; 0.4,1"


def test_a_shell_in_which_run_env_was_exported_does_not_undo_worker_env_but_set_does(write):
    root = write(worker_2="DR_WORLD_NAME=Oval_track\n", worker_3="")
    shell = {"DR_WORLD_NAME": "Bowtie_track"}
    assert [race.world_name for race in load(root, shell).races] == ["Bowtie_track", "Oval_track", "Bowtie_track"]
    assert {race.world_name for race in load(root, shell, DR_WORLD_NAME="AWS_track").races} == {"AWS_track"}


def test_missing_files_are_all_named(write):
    problems = refused(write())
    assert [problem.what for problem in problems] == [
        "DR_TRAIN_MULTI_CONFIG is True, and worker-2.env is missing",
        "DR_TRAIN_MULTI_CONFIG is True, and worker-3.env is missing",
    ]
    assert problems[0].fix == "echo DR_WORLD_NAME=Oval_track > worker-2.env"


def test_everything_wrong_with_the_files_is_told_at_once(write):
    root = write(
        worker_2="DR_WORLD_NAM=x\nDR_CAR_COLOR=Pink\n", worker_3="DR_SEED=4\nDR_WORKERS=3\nDR_TRAIN_MIN_EVAL_TRIALS=9\n"
    )
    problems = refused(root)
    assert [(problem.what, problem.where) for problem in problems] == [
        ("there is no setting DR_WORLD_NAM", "worker-2.env:1"),
        ("DR_CAR_COLOR is 'Pink'", "worker-2.env:2"),
        ("DR_SEED is '4' in worker-3.env, but all workers share the run's '0'", "worker-3.env:1"),
        ("DR_TRAIN_MIN_EVAL_TRIALS is '9' in worker-3.env, but all workers share the run's '5'", "worker-3.env:3"),
    ]
    assert problems[2].fix == "delete worker-3.env:1"
    assert "DR_WORLD_NAME, DR_RACE_TYPE" in problems[2].expected


def test_files_without_a_worker_are_noted(write):
    root = write(worker_2="", worker_3="", worker_4="")
    assert "worker-4.env is not used: DR_WORKERS is 3" in load(root).notes
    alone = load(root, DR_WORKERS="1")
    assert "DR_TRAIN_MULTI_CONFIG has no effect with one worker; raise DR_WORKERS" in alone.notes
    assert (alone.entries, len(alone.races)) == ((), 1)


def test_commands_that_start_nothing_do_not_need_the_files(write):
    project = load_project(write(), environment={})
    assert project.settings.train_multi_config
    with pytest.raises(ValueError, match="with_entries"):
        _ = project.races


@pytest.mark.parametrize("source", ["worker-2.env", "experiments/fast/worker-2.env"])
def test_what_a_worker_s_file_sets_is_mended_there(source):
    assert fix_for("DR_WORLD_NAME", "Oval_track", source) == f"set DR_WORLD_NAME=Oval_track in {source}"
