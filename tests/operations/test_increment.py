"""increment-training: names, the change, the backup, and what it refuses."""

import json

import pytest

from drctl.config.project import load_project
from drctl.errors import ConflictError, UsageError
from drctl.formats.object_keys import ModelKeys
from drctl.operations.increment import next_name, plan_increment

INDEX = {
    "best_checkpoint": {"name": "2_Step-20.ckpt", "avg_eval_metric": 100.0, "time_stamp": 1.0},
    "last_checkpoint": {"name": "3_Step-30.ckpt", "avg_eval_metric": 90.0, "time_stamp": 2.0},
}


@pytest.fixture
def add_model(store):
    def add(prefix):
        store.put(ModelKeys(prefix).checkpoint_index, json.dumps(INDEX).encode())

    add("rl-deepracer-sagemaker")
    return add


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my-model", "my-model-1"),
        ("my-model-1", "my-model-2"),
        ("my-model-9", "my-model-10"),
        ("sprint-v1", "sprint-v1-1"),
        ("rl-deepracer-sagemaker", "rl-deepracer-sagemaker-1"),
        ("run-009", "run-010"),
        ("7", "7-1"),
        ("-7", "-7-1"),
        ("a/b-2", "a/b-3"),
        ("model-", "model--1"),
    ],
)
def test_a_name_is_counted_on_and_never_cut(name, expected):
    assert next_name(name) == expected


def test_another_delimiter():
    assert next_name("my-model-3", "_") == "my-model-3_1"
    assert next_name("my-model_3", "_") == "my-model_4"


def test_the_settings_change_and_the_file_as_it_was_is_kept(project, add_model, drctl):
    before = (project.root / "run.env").read_bytes()
    status, out, err = drctl("increment-training", "-f")
    assert (status, err) == (0, "")
    assert out.splitlines()[:3] == [
        "DR_LOCAL_S3_MODEL_PREFIX: rl-deepracer-sagemaker -> rl-deepracer-sagemaker-1",
        "DR_LOCAL_S3_PRETRAINED: False -> True",
        "DR_LOCAL_S3_PRETRAINED_PREFIX: rl-sagemaker-pretrained -> rl-deepracer-sagemaker",
    ]
    assert (project.root / "run.env.bak").read_bytes() == before
    settings = load_project(project.root, environment={}).settings
    assert settings.local_s3_model_prefix == "rl-deepracer-sagemaker-1"
    assert (settings.local_s3_pretrained, settings.local_s3_pretrained_prefix) == (True, "rl-deepracer-sagemaker")
    assert settings.local_s3_metrics_prefix == "rl-deepracer-sagemaker-1/metrics"


def test_json_tells_the_names(add_model, drctl):
    status, out, _ = drctl("increment-training", "-f", "-p", "better", "--output", "json")
    data = json.loads(out)["data"]
    assert (status, data["prefix"], data["pretrained_prefix"]) == (0, "better", "rl-deepracer-sagemaker")
    assert data["backups"] == ["run.env.bak"]


def test_nobody_who_could_answer_means_no_change(project, add_model, drctl):
    before = (project.root / "run.env").read_bytes()
    status, _, err = drctl("increment-training")
    assert status == 2
    assert "  fix:      drctl increment-training -f\n" in err
    assert (project.root / "run.env").read_bytes() == before


def test_a_prefix_in_use_is_refused_and_the_next_free_one_named(project, add_model):
    for number in (1, 2):
        add_model(f"rl-deepracer-sagemaker-{number}")
    with pytest.raises(ConflictError) as caught:
        plan_increment(project, name=None, delimiter="-", wipe=False)
    (problem,) = caught.value.problems
    assert problem.what.startswith("the prefix rl-deepracer-sagemaker-1 is in use: 1 object, ")
    assert problem.fix == "drctl increment-training -p rl-deepracer-sagemaker-3; with -w it is moved to the trash"


def test_wiping_moves_to_the_trash_and_undo_brings_it_back(store, add_model, drctl):
    add_model("rl-deepracer-sagemaker-1")
    key = ModelKeys("rl-deepracer-sagemaker-1").checkpoint_index
    status, out, _ = drctl("increment-training", "-f", "-w")
    assert status == 0
    assert "moved 1 object to the trash; drctl undo takes that back" in out
    assert store.stat(key) is None
    assert drctl("undo")[0] == 0
    assert json.loads(store.get(key)) == INDEX


def test_without_a_model_there_is_nothing_to_begin_with(project):
    with pytest.raises(ConflictError, match="there is no model rl-deepracer-sagemaker that the next training"):
        plan_increment(project, name=None, delimiter="-", wipe=False)


@pytest.mark.parametrize(
    ("name", "delimiter", "what"),
    [
        ("a//b", "-", "a//b cannot be a prefix"),
        ("rl-deepracer-sagemaker", "-", "-p rl-deepracer-sagemaker is the present prefix"),
        (None, "", "-d needs a delimiter"),
    ],
)
def test_names_that_cannot_be(project, add_model, name, delimiter, what):
    with pytest.raises(UsageError, match=what):
        plan_increment(project, name=name, delimiter=delimiter, wipe=False)
