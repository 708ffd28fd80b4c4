"""Models are copied to the upload bucket and back: all of it, checked, or nothing."""

from __future__ import annotations

import json
import os
import secrets
import socket

import pytest
import yaml
from operations.stored_model import add_community_model, add_model, checkpoint, content

from drctl.engines.identity import ProcessIdentity
from drctl.errors import ConflictError, FailedError, FormatError, ObjectNotFoundError, UnavailableError
from drctl.formats.checkpoint_index import parse_checkpoint_index
from drctl.formats.copy_record import CopyRecord, parse_copy_record, render_copy_record
from drctl.formats.manifest import FileRecord, parse_manifest
from drctl.formats.object_keys import ModelKeys
from drctl.operations.model_copy import copy_model, plan_copy
from drctl.operations.model_selection import Place, select_all, select_checkpoint
from drctl.storage.directory import DirectoryStore
from drctl.storage.transfer import check_arrived
from drctl.storage.trash import list_trash

ONE = [
    ".drctl/copy.json",
    ".drctl/manifests/2.json",
    ".drctl/weights/2.pt",
    "custom_files/hyperparameters.json",
    "custom_files/model_metadata.json",
    "custom_files/reward_function.py",
    "ip/hyperparameters.json",
    "metrics/TrainingMetrics.json",
    "model/deepracer_checkpoints.json",
    "model/model_2.pb",
    "model/model_metadata.json",
    "model_metadata.json",
    "reward_function.py",
    "training_params.yaml",
]


def names(store, prefix):
    return [info.key.removeprefix(f"{prefix}/") for info in store.list(prefix)]


def contents(store, prefix=""):
    return {info.key: store.get(info.key) for info in store.list(prefix)}


def places(store, source="sprint", target="copy", other=None):
    there = other or store
    return (
        Place(store, "bucket", ModelKeys(source)),
        Place(there, there.name.rpartition("/")[2], ModelKeys(target)),
    )


def plan_one(store, choice="last", *, wipe=False, **where):
    source, target = places(store, **where)
    return plan_copy(
        source,
        target,
        lambda: select_checkpoint(source, target, choice),
        wipe=wipe,
        command="drctl upload-model -w",
        free_name="drctl upload-model -1",
    )


def plan_all(store, **where):
    source, target = places(store, **where)
    return plan_copy(source, target, lambda: select_all(source, target), wipe=False, command="", free_name="")


def test_one_checkpoint_goes_to_the_upload_bucket(store, bucket, drctl):
    add_model(store, "sprint", best=2)
    status, out, err = drctl("upload-model", "-p", "sprint", "-b", "-f")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith(" kB, each checked on arrival")
    assert lines[0].startswith(f"{len(ONE) - 1} objects, ")
    target = "rl-deepracer-sagemaker-1"
    assert lines[1:] == [
        f"uploaded checkpoint 2 of data/bucket/sprint to {bucket.name}/{target}",
        "Next:",
        "  drctl list-models --upload",
    ]
    assert names(bucket, target) == ONE
    for name in set(ONE) - {".drctl/copy.json", ".drctl/manifests/2.json", "training_params.yaml"}:
        wanted = name if name != "model_metadata.json" else "model/model_metadata.json"
        if name != "model/deepracer_checkpoints.json":
            assert bucket.get(f"{target}/{name}") == store.get(f"sprint/{wanted}")


def test_the_copy_is_a_model_of_its_own(store):
    add_model(store, "sprint", best=2, checkpoints=3)
    copy_model(plan_one(store, "last"))
    keys = ModelKeys("copy")
    found = parse_checkpoint_index(store.get(keys.checkpoint_index), "index")
    assert (found.best.name, found.last.name, found.last.avg_eval_metric) == (checkpoint(3), checkpoint(3), 50.0)
    manifest = parse_manifest(store.get(keys.manifest(3)), "manifest")
    assert (manifest.best.number, manifest.best.metric) == (3, 73.0)
    assert sorted(manifest.files) == [".drctl/weights/3.pt", "model/model_3.pb"]
    params = yaml.safe_load(store.get("copy/training_params.yaml"))
    assert params["SAGEMAKER_SHARED_S3_PREFIX"] == params["SIMTRACE_S3_PREFIX"] == "copy"
    assert params["METRICS_S3_OBJECT_KEY"] == "copy/metrics/TrainingMetrics.json"
    assert params["MODEL_METADATA_FILE_S3_KEY"] == "copy/custom_files/model_metadata.json"


def test_the_record_of_the_copy(store):
    add_model(store, "sprint")
    copy_model(plan_one(store, "1"))
    record = parse_copy_record(store.get(ModelKeys("copy").copy_record), "record")
    assert (record.source, record.source_prefix, record.checkpoint, record.is_complete) == (
        "data/bucket",
        "sprint",
        1,
        True,
    )
    assert record.names == tuple(sorted(record.names))
    assert record.files["model/model_1.pb"] == FileRecord.of(content("sprint", "graph 1"))


def test_a_checkpoint_that_the_index_does_not_name(store):
    add_model(store, "sprint")
    copy_model(plan_one(store, "1"))
    found = parse_checkpoint_index(store.get(ModelKeys("copy").checkpoint_index), "index")
    assert (found.best.name, found.best.avg_eval_metric) == (checkpoint(1), 71.0)


def test_a_model_of_the_community_images(store):
    add_community_model(store, "gazebo", numbers=(4, 5, 14), best=4, last=5)
    store.put("gazebo/training_params.yaml", b"WORLD_NAME: x\nREWARD_FILE_S3_KEY: custom_files/reward_function.py\n")
    store.delete("gazebo/metrics/TrainingMetrics.json")
    plan = plan_one(store, "best", source="gazebo")
    assert plan.selection.notes == ("the model has no metrics/TrainingMetrics.json",)
    copy_model(plan)
    assert names(store, "copy") == [
        ".drctl/copy.json",
        "ip/hyperparameters.json",
        "model/.coach_checkpoint",
        "model/4_Step-40.ckpt.data-00000-of-00001",
        "model/4_Step-40.ckpt.index",
        "model/4_Step-40.ckpt.meta",
        "model/deepracer_checkpoints.json",
        "model/model_4.pb",
        "model/model_metadata.json",
        "model_metadata.json",
        "reward_function.py",
        "training_params.yaml",
    ]
    assert store.get("copy/model/.coach_checkpoint") == checkpoint(4).encode()
    assert yaml.safe_load(store.get("copy/training_params.yaml"))["REWARD_FILE_S3_KEY"] == "copy/reward_function.py"


def test_metrics_that_lie_elsewhere_come_along(store):
    add_model(store, "sprint")
    store.put("figures/TrainingMetrics.json", b"elsewhere")
    source, target = places(store)
    source = Place(store, "bucket", ModelKeys("sprint", "figures"))
    plan = plan_copy(
        source, target, lambda: select_checkpoint(source, target, "last"), wipe=False, command="", free_name=""
    )
    copy_model(plan)
    assert store.get("copy/metrics/TrainingMetrics.json") == b"elsewhere"


@pytest.mark.parametrize(
    ("source", "choice", "what", "expected"),
    [
        ("spirnt", "last", "there is no model under the prefix spirnt", "closest is sprint"),
        ("sprint", "9", "checkpoint 9 of sprint is not in the store", "one of: 0, 1, 2, 3"),
    ],
)
def test_what_is_not_there(store, source, choice, what, expected):
    add_model(store, "sprint")
    with pytest.raises(ObjectNotFoundError) as caught:
        plan_one(store, choice, source=source)
    assert (caught.value.problems[0].what, caught.value.problems[0].expected) == (what, expected)


def test_a_damaged_checkpoint_does_not_go_out(store):
    add_model(store, "sprint")
    data = content("sprint", "graph 3")
    store.put("sprint/model/model_3.pb", b"X" + data[1:])
    before = contents(store)
    with pytest.raises(FormatError) as caught:
        copy_model(plan_one(store))
    (problem,) = caught.value.problems
    assert problem.what == "sprint/model/model_3.pb is damaged: it has another content than its record says"
    assert problem.fix == "choose another checkpoint with -c"
    assert contents(store) == before


def test_a_prefix_in_use_is_left_alone(store, drctl):
    add_model(store, "sprint")
    add_model(store, "rl-deepracer-sagemaker-1")
    before = contents(store)
    status, _, err = drctl("upload-model", "-L", "-p", "sprint", "-f")
    assert status == 5
    assert err.startswith("error[conflict]: the prefix rl-deepracer-sagemaker-1 is in use: ")
    assert "  fix:      drctl upload-model -L -p sprint -1; with -w what is there is moved to the trash\n" in err
    assert contents(store) == before


def test_a_car_file_may_lie_there_already(store, drctl):
    add_model(store, "sprint")
    car = "rl-deepracer-sagemaker-1/carfile.tar.gz"
    store.put(car, b"car")
    assert drctl("upload-model", "-L", "-p", "sprint", "-f")[0] == 0
    assert store.get(car) == b"car"
    assert "rl-deepracer-sagemaker-1/model/deepracer_checkpoints.json" in contents(store)
    assert drctl("upload-model", "-L", "-p", "sprint", "-f")[0] == 5


def test_wiping_can_be_undone_in_the_upload_bucket(store, bucket, drctl):
    add_model(store, "sprint")
    assert drctl("upload-model", "-p", "sprint", "-f", "-c", "1")[0] == 0
    before = contents(bucket)
    status, out, _ = drctl("upload-model", "-p", "sprint", "-f", "-w")
    assert status == 0
    (entry,) = list_trash(bucket)
    undo = f"drctl undo {entry.id} -w --upload"
    assert f"what was at {bucket.name}/rl-deepracer-sagemaker-1 is in the trash: {undo} brings it back" in out
    assert drctl(*undo.split()[1:])[0] == 0
    assert contents(bucket, "rl-deepracer-sagemaker-1") == before


def test_a_dry_run_shows_every_object_and_copies_none(store, drctl):
    add_model(store, "sprint")
    before = contents(store)
    status, out, err = drctl("upload-model", "-L", "-p", "sprint", "-c", "2", "-d")
    assert (status, err) == (0, "")
    shown = [line.split()[1] for line in out.splitlines() if "data/bucket/rl-deepracer-sagemaker-1/" in line]
    assert shown == [f"data/bucket/rl-deepracer-sagemaker-1/{name}" for name in ONE if name != ".drctl/copy.json"]
    assert out.splitlines()[-2:] == ["Next:", "  drctl upload-model -c 2 -p sprint -L -f"]
    assert contents(store) == before


class FailingStore(DirectoryStore):
    """Cannot take one object."""

    def __init__(self, root, ending):
        super().__init__(root)
        self.ending = ending

    def put(self, key, data, **condition):
        if key.endswith(self.ending):
            raise UnavailableError("the disk is full")
        return super().put(key, data, **condition)


@pytest.mark.parametrize("ending", ["weights/3.pt", "manifests/3.json", "deepracer_checkpoints.json"])
def test_a_copy_that_fails_leaves_all_as_it_was(store, tmp_path, ending):
    add_model(store, "sprint")
    folder = tmp_path / "elsewhere" / "models"
    add_model(DirectoryStore(folder), "copy")
    before = contents(DirectoryStore(folder))
    plan = plan_one(store, wipe=True, other=FailingStore(folder, ending))
    assert plan.describe()[-1].text.startswith("what is there (")
    with pytest.raises(UnavailableError, match="the disk is full"):
        copy_model(plan)
    assert contents(DirectoryStore(folder)) == before


def test_an_interruption_leaves_nothing(store):
    add_model(store, "sprint")
    before = contents(store)

    def press_ctrl_c(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_model(plan_one(store), press_ctrl_c)
    assert contents(store) == before


def test_an_interrupted_command_says_so(store, drctl, monkeypatch):
    add_model(store, "sprint")

    def press_ctrl_c(self, key, data, **condition):
        if key.endswith(".pb"):
            raise KeyboardInterrupt
        return put(self, key, data, **condition)

    put = DirectoryStore.put
    monkeypatch.setattr(DirectoryStore, "put", press_ctrl_c)
    status, out, err = drctl("upload-model", "-L", "-p", "sprint", "-f")
    assert (status, out) == (130, "")
    assert err == "error[interrupted]: the copy was interrupted; nothing of it is left, all is as it was\n"
    assert names(store, "rl-deepracer-sagemaker-1") == []


def half_copy(store, *, pid, host=None, started=0):
    """Leave what a killed copy leaves."""
    record = CopyRecord(
        source="data/bucket",
        source_prefix="sprint",
        checkpoint=3,
        time="2026-11-28T04:50:04+00:00",
        host=host or socket.gethostname(),
        pid=pid,
        started=started,
        names=("model/model_3.pb", "reward_function.py"),
        files={},
        is_complete=False,
    )
    store.put("copy/.drctl/copy.json", render_copy_record(record))
    store.put("copy/model/model_3.pb", b"half")


def test_after_a_kill_the_next_copy_begins_anew(store):
    add_model(store, "sprint")
    half_copy(store, pid=2**22 + 1)  # above the highest pid
    plan = plan_one(store, "2")
    assert plan.describe()[-1].text == "2 objects of an interrupted copy there will be replaced"
    copy_model(plan)
    assert names(store, "copy") == ONE


def test_a_copy_under_way_is_not_disturbed(store):
    add_model(store, "sprint")
    own = ProcessIdentity.of(os.getpid())
    half_copy(store, pid=own.pid, started=own.started)
    with pytest.raises(ConflictError, match=rf"process {own.pid} is copying a model to data/bucket/copy"):
        plan_one(store)


@pytest.mark.parametrize("plan", [plan_one, plan_all])
def test_a_half_copy_is_copied_nowhere(store, plan):
    add_model(store, "copy")
    half_copy(store, pid=2**22 + 1)
    with pytest.raises(ConflictError, match="data/bucket/copy is a copy of which not everything has arrived"):
        plan(store, source="copy", target="again")


@pytest.mark.parametrize("other", ["host", "object"])
def test_what_may_be_somebody_elses_is_not_replaced(store, other):
    add_model(store, "sprint")
    half_copy(store, pid=2**22 + 1, host="elsewhere" if other == "host" else None)
    if other == "object":
        store.put("copy/notes.txt", b"mine")
    with pytest.raises(ConflictError, match="the prefix copy is in use"):
        plan_one(store)


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("sprint", "data/bucket/sprint is the model itself"),
        ("sprint/copy", "data/bucket/sprint/copy and data/bucket/sprint lie in one another"),
    ],
)
def test_a_model_is_not_copied_into_itself(store, target, what):
    add_model(store, "sprint")
    with pytest.raises(ConflictError) as caught:
        plan_one(store, target=target)
    assert caught.value.problems[0].what == what


def test_a_whole_model_comes_back_as_it_was(store, bucket, drctl):
    add_model(store, "sprint", bucket="bucket")
    store.put("sprint/evaluation-20261128050000/evaluation-simtrace/0-iteration.csv", b"rows")
    store.put("sprint/training_params_2.yaml", b"no: params")
    assert drctl("upload-model", "-p", "sprint", "--all", "-f")[0] == 0
    there = contents(bucket, "rl-deepracer-sagemaker-1")
    params = yaml.safe_load(there["rl-deepracer-sagemaker-1/training_params.yaml"])
    assert params["SAGEMAKER_SHARED_S3_BUCKET"] == bucket.name.removeprefix("s3://")
    status, out, err = drctl("download-model", "-t", "back", "-f")
    assert (status, err) == (0, "")
    assert f"downloaded all of {bucket.name}/rl-deepracer-sagemaker-1 to data/bucket/back" in out
    states = {".drctl/lease.json", ".drctl/status.json", ".drctl/copy.json"}
    before = {key.removeprefix("sprint/"): data for key, data in contents(store, "sprint").items()}
    after = {key.removeprefix("back/"): data for key, data in contents(store, "back").items()}
    assert set(after) == (set(before) - states) | {".drctl/copy.json"}
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {".drctl/copy.json", "training_params.yaml"}
    assert yaml.safe_load(after["training_params.yaml"]) == {
        key: value.replace("sprint", "back") for key, value in yaml.safe_load(before["training_params.yaml"]).items()
    }


class ForgettingStore(DirectoryStore):
    """Its training removes objects between the listing and the copy."""

    gone: frozenset[str] = frozenset()

    def get(self, key):
        if key in self.gone:
            raise ObjectNotFoundError(f"there is no object {key!r}")
        return super().get(key)


def test_a_training_that_goes_on_may_remove_what_is_old(store):
    add_model(store, "sprint", checkpoints=3, best=2)
    source = ForgettingStore(store._root)
    source.gone = frozenset({"sprint/.drctl/manifests/1.json", "sprint/.drctl/weights/1.pt", "sprint/model/model_1.pb"})
    copy_model(plan_all(source, other=store))
    assert ".drctl/manifests/0.json" in names(store, "copy")
    assert [name for name in names(store, "copy") if name.endswith(("1.json", "1.pt", "_1.pb"))] == []


def test_what_the_index_names_must_not_go(store):
    add_model(store, "sprint", checkpoints=3, best=2)
    source = ForgettingStore(store._root)
    plan = plan_all(source, other=store)
    source.gone = frozenset({"sprint/.drctl/weights/2.pt"})
    with pytest.raises(ObjectNotFoundError):
        copy_model(plan)
    assert names(store, "copy") == []


def test_a_copy_of_a_copy_is_checked_by_the_first_ones_record(store):
    add_community_model(store, "gazebo")
    copy_model(plan_all(store, source="gazebo"))
    store.put("copy/model/model_4.pb", b"damaged")
    with pytest.raises(FormatError, match=r"copy/model/model_4.pb is damaged: it has 7 bytes, not the \d+ of its"):
        copy_model(plan_all(store, source="copy", target="again"))


def test_what_has_not_arrived_is_told(store):
    store.put("copy/a", b"four")
    with pytest.raises(FailedError) as caught:
        check_arrived(store, "copy", {"copy/a": FileRecord.of(b"fourteen"), "copy/b": FileRecord.of(b"")})
    problem = caught.value.problems[0]
    assert (problem.what, problem.expected) == (
        "the store has 4 bytes under copy/a and 1 more objects",
        "the 8 bytes that were put there",
    )


def test_counting_on_takes_the_next_free_prefix_and_keeps_what_it_is_made_of(project, store, drctl):
    add_model(store, "rl-deepracer-sagemaker")
    add_model(store, "rl-deepracer-sagemaker-2")
    before = (project.root / "run.env").read_bytes()
    status, out, err = drctl("upload-model", "-L", "-1", "-f")
    assert (status, err) == (0, "")
    assert "DR_UPLOAD_S3_PREFIX: rl-deepracer-sagemaker-1 -> rl-deepracer-sagemaker-3\n" in out
    assert "kept the former settings in run.env.bak\n" in out
    assert "DR_UPLOAD_S3_PREFIX=$DR_LOCAL_S3_MODEL_PREFIX-3\n" in (project.root / "run.env").read_text()
    assert (project.root / "run.env.bak").read_bytes() == before
    assert names(store, "rl-deepracer-sagemaker-3")


def test_a_failed_upload_changes_no_setting(project, store, drctl):
    add_model(store, "rl-deepracer-sagemaker")
    store.put("rl-deepracer-sagemaker/model/model_3.pb", b"damaged")
    before = (project.root / "run.env").read_bytes()
    assert drctl("upload-model", "-L", "-1", "-f")[0] == 3
    assert (project.root / "run.env").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "status", "what"),
    [
        (("-b", "-c", "3", "-f"), 2, "error[usage]: -b and -c do not go together"),
        (("-c", "x", "-f"), 2, "error[usage]: -c x is no checkpoint"),
        (("-p", "a//b", "-L", "-f"), 2, "error[usage]: 'a//b' is not the prefix of a model"),
        (("-f",), 3, "error[config_invalid]: there is no bucket to upload to"),
        (("-L", "-p", "sprint"), 2, "error[usage]: upload-model asks first, and nobody can answer here"),
    ],
)
def test_what_upload_model_refuses(store, drctl, words, status, what):
    add_model(store, "sprint")
    found, _, err = drctl("upload-model", *words)
    assert (found, err.splitlines()[0]) == (status, what)


def test_the_command_that_does_not_ask_is_told(store, drctl):
    add_model(store, "sprint")
    err = drctl("upload-model", "-L", "-p", "sprint", "-b")[2]
    assert "  fix:      drctl upload-model -b -p sprint -L -f\n" in err


def test_a_missing_bucket_is_told_and_made(store, bucket, drctl, s3_server):
    add_model(store, "sprint")
    other = ["--set", f"DR_UPLOAD_S3_BUCKET=new-{secrets.token_hex(4)}"]
    status, _, err = drctl("upload-model", "-p", "sprint", "-f", *other)
    assert status == 4
    assert "  expected: the bucket that DR_UPLOAD_S3_BUCKET names\n" in err
    assert "  fix:      drctl upload-model --create-bucket\n" in err
    assert drctl("upload-model", "-p", "sprint", "-f", "--create-bucket", *other)[0] == 0
    assert drctl("list-models", "--upload", *other)[1].splitlines()[1].startswith("rl-deepracer-sagemaker-1  copy of ")


def test_the_upload_as_json(store, drctl):
    add_model(store, "sprint")
    data = json.loads(drctl("upload-model", "-L", "-p", "sprint", "-f", "--output", "json")[1])["data"]
    assert set(data) == {"source", "target", "checkpoint", "objects", "size_bytes", "trash", "backups"}
    assert (data["source"], data["target"], data["checkpoint"]) == (
        "data/bucket/sprint",
        "data/bucket/rl-deepracer-sagemaker-1",
        3,
    )


def test_a_download_brings_the_users_files(project, store, bucket, drctl):
    add_community_model(bucket, "race/gazebo")
    reward = project.custom_files / "reward_function.py"
    before = reward.read_bytes()
    status, out, err = drctl("download-model", "-s", f"{bucket.name}/race/gazebo", "-c", "-f", "--output", "json")
    data = json.loads(out)["data"]
    assert (status, err, data["target"]) == (0, "", "data/bucket/gazebo")
    assert sorted(data["custom_files"]) == ["hyperparameters.json", "model_metadata.json", "reward_function.py"]
    assert reward.read_bytes() == content("race/gazebo", "reward_function.py")
    assert (project.root / data["kept_in"] / "reward_function.py").read_bytes() == before


@pytest.mark.parametrize(
    ("source", "status", "what"),
    [
        ("s3://bucket", 2, "error[usage]: -s s3://bucket is no model's address"),
        ("nobody", 4, "error[object_not_found]: there is no model under the prefix nobody"),
    ],
)
def test_what_download_model_refuses(bucket, drctl, source, status, what):
    found, _, err = drctl("download-model", "-s", source, "-f")
    assert (found, err.splitlines()[0]) == (status, what)
    assert "  fix:      drctl list-models --upload\n" in err
