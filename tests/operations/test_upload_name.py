"""The name under which the next upload goes."""

from __future__ import annotations

import pytest
from operations.stored_model import add_model, index

from drctl.config.project import load_project
from drctl.formats.object_keys import ModelKeys


def test_incrementing_the_name(project, bucket, drctl):
    before = (project.root / "run.env").read_bytes()
    status, out, err = drctl("increment-upload-model", "-f")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "DR_UPLOAD_S3_PREFIX: rl-deepracer-sagemaker-1 -> rl-deepracer-sagemaker-2",
        "kept the former settings in run.env.bak",
        "models are uploaded as rl-deepracer-sagemaker-2",
        "Next:",
        "  drctl upload-model",
    ]
    assert "DR_UPLOAD_S3_PREFIX=$DR_LOCAL_S3_MODEL_PREFIX-2\n" in (project.root / "run.env").read_text()
    assert (project.root / "run.env.bak").read_bytes() == before


@pytest.mark.parametrize(
    ("written", "name", "expected"),
    [
        ("$DR_LOCAL_S3_MODEL_PREFIX", "sprint-v1-1", "$DR_LOCAL_S3_MODEL_PREFIX-1"),
        ("${DR_LOCAL_S3_MODEL_PREFIX}_9", "sprint-v1_10", "${DR_LOCAL_S3_MODEL_PREFIX}_10"),
        ("fixed-7", "fixed-8", "fixed-8"),
        ("cup/$DR_LOCAL_S3_MODEL_PREFIX-1", "cup/sprint-v1-2", "cup/sprint-v1-2"),
    ],
)
def test_a_name_is_counted_on_as_it_is_written(project, drctl, written, name, expected):
    assert drctl("config", "set", "DR_LOCAL_S3_MODEL_PREFIX=sprint-v1", f"DR_UPLOAD_S3_PREFIX={written}")[0] == 0
    delimiter = ["-d", "_"] if "_9" in written else []
    assert drctl("increment-upload-model", "-f", *delimiter)[0] == 0
    assert f"DR_UPLOAD_S3_PREFIX={expected}\n" in (project.root / "run.env").read_text()
    assert load_project(project.root, environment={}).settings.upload_s3_prefix == name


def test_incrementing_to_a_used_name(bucket, drctl):
    add_model(bucket, "cup-2")
    add_model(bucket, "cup-3")
    status, _, err = drctl("increment-upload-model", "-f", "-p", "cup-2")
    assert status == 5
    fix = "drctl increment-upload-model -p cup-4; with -w it is moved to the trash"
    assert f"  fix:      {fix}\n" in err
    status, out, _ = drctl("increment-upload-model", "-f", "-p", "cup-2", "-w")
    assert status == 0
    assert "to the trash; drctl undo --upload takes that back\n" in out
    assert list(bucket.list("cup-2")) == []
    assert drctl("undo", "--upload")[0] == 0
    assert bucket.get(ModelKeys("cup-2").checkpoint_index) == index(2, 3)


def test_without_a_bucket_the_name_changes_all_the_same(drctl):
    status, out, err = drctl("increment-upload-model", "-f")
    assert (status, err) == (0, "warning: the bucket was not asked what it has: there is no bucket to upload to\n")
    assert "models are uploaded as rl-deepracer-sagemaker-2\n" in out


@pytest.mark.parametrize("words", [("cup-2",), ("-s", "cup-2")])
def test_choosing_the_name(project, bucket, drctl, words):
    status, out, err = drctl("set-upload-model", "-f", *words)
    assert (status, err) == (0, "")
    assert out.splitlines()[:2] == [
        f"{bucket.name}/cup-2 is free",
        "DR_UPLOAD_S3_PREFIX: rl-deepracer-sagemaker-1 -> cup-2",
    ]
    assert load_project(project.root, environment={}).settings.upload_s3_prefix == "cup-2"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("set-upload-model", "-f"), "error[usage]: set-upload-model needs a prefix"),
        (("set-upload-model", "-f", "a//b"), "error[usage]: a//b cannot be a prefix"),
        (("increment-upload-model", "-f", "-d", ""), "error[usage]: -d needs a delimiter"),
        (
            ("increment-upload-model",),
            "error[usage]: increment-upload-model asks first, and nobody can answer here",
        ),
    ],
)
def test_names_that_cannot_be(drctl, words, what):
    status, _, err = drctl(*words)
    assert (status, next(line for line in err.splitlines() if line.startswith("error"))) == (2, what)
