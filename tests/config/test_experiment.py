"""DR_EXPERIMENT_NAME: experiments/NAME/run.env in the place of run.env."""

import pytest

from drctl.config.project import find_root, load_project
from drctl.errors import ConfigError
from drctl.operations.experiment import init_experiment
from drctl.operations.project import init_project, set_config


@pytest.fixture
def root(tmp_path):
    init_project(tmp_path)
    init_experiment(tmp_path, "fast")
    return tmp_path


def load(root, environment=(), **overrides):
    return load_project(root, overrides, dict(environment), with_entries=True)


def test_an_experiment_s_run_env_takes_the_place_of_the_project_s(root):
    (root / "run.env").write_text("DR_WORLD_NAME=Oval_track\nDR_SEED=7\n")
    (root / "experiments/fast/run.env").write_text("DR_WORLD_NAME=AWS_track\n")
    chosen = load(root, DR_EXPERIMENT_NAME="fast")
    assert (chosen.settings.world_name, chosen.settings.seed) == ("AWS_track", 0)
    assert str(chosen.settings.origin("DR_WORLD_NAME")) == "experiments/fast/run.env:1"
    assert load(root).settings.world_name == "Oval_track"


def test_system_env_the_environment_and_the_command_line_choose_in_this_order(root):
    init_experiment(root, "slow")
    init_experiment(root, "wide")
    system = root / "system.env"
    system.write_text(system.read_text() + "\nDR_EXPERIMENT_NAME=fast\n")
    assert load(root).settings.local_s3_model_prefix == "fast"
    assert load(root, {"DR_EXPERIMENT_NAME": "slow"}).settings.local_s3_model_prefix == "slow"
    chosen = load(root, {"DR_EXPERIMENT_NAME": "slow"}, DR_EXPERIMENT_NAME="wide")
    assert chosen.settings.local_s3_model_prefix == "wide"


def test_an_experiment_may_have_custom_files_of_its_own(root):
    chosen = load(root, DR_EXPERIMENT_NAME="fast")
    assert chosen.custom_files == root / "experiments/fast/custom_files"
    for file in chosen.custom_files.iterdir():
        file.unlink()
    chosen.custom_files.rmdir()
    assert chosen.custom_files == root / "custom_files"


def test_workers_files_lie_beside_the_experiment_s_run_env(root):
    (root / "worker-2.env").write_text("DR_WORLD_NAME=Oval_track\n")
    set_config(root, {"DR_TRAIN_MULTI_CONFIG": "True"}, {}, experiment="fast")
    with pytest.raises(ConfigError, match=r"experiments/fast/worker-2\.env is missing"):
        load(root, DR_EXPERIMENT_NAME="fast", DR_WORKERS="2")
    (root / "experiments/fast/worker-2.env").write_text("DR_WORLD_NAME=Bowtie_track\n")
    races = load(root, DR_EXPERIMENT_NAME="fast", DR_WORKERS="2").races
    assert races[1].world_name == "Bowtie_track"


def test_config_set_changes_the_experiment_s_file_alone(root):
    before = (root / "run.env").read_bytes()
    set_config(root, {"DR_WORLD_NAME": "AWS_track"}, {}, experiment="fast")
    assert (root / "run.env").read_bytes() == before
    assert load(root, DR_EXPERIMENT_NAME="fast").settings.world_name == "AWS_track"


def test_an_experiment_that_is_not_there_is_refused_with_the_nearest(root):
    with pytest.raises(ConfigError) as caught:
        load(root, DR_EXPERIMENT_NAME="fats")
    (problem,) = caught.value.problems
    assert problem.what == "there is no experiment fats: experiments/fats/run.env is missing"
    assert (problem.where, problem.expected) == ("--set", "one of: fast")
    assert problem.fix == "drctl -e fast ..., or drctl -e fats init makes it"


def test_run_env_cannot_say_which_run_env_counts(root):
    file = root / "run.env"
    file.write_text("DR_EXPERIMENT_NAME=fast\n")
    with pytest.raises(ConfigError) as caught:
        load(root)
    (problem,) = caught.value.problems
    assert problem.what == "DR_EXPERIMENT_NAME stands in run.env, which is itself chosen by it"
    assert problem.fix == "delete run.env:1"


def test_inside_an_experiment_s_folder_the_project_is_still_the_project(root):
    assert find_root(root / "experiments" / "fast" / "custom_files") == root


def test_the_experiment_is_chosen_apart_from_other_changes(root):
    with pytest.raises(ConfigError, match="chooses the file"):
        set_config(root, {"DR_EXPERIMENT_NAME": "fast", "DR_SEED": "1"}, {})
    set_config(root, {"DR_EXPERIMENT_NAME": "fast"}, {})
    assert load(root).settings.local_s3_model_prefix == "fast"
