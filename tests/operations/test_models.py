"""Models are listed, drawn as a tree and moved to the trash."""

from __future__ import annotations

import json
import os
import socket
import time

import pytest
from operations.stored_model import add_community_model, add_model, index, metrics

from drctl.cli.app import main
from drctl.errors import ConflictError
from drctl.formats.copy_record import CopyRecord, render_copy_record
from drctl.formats.object_keys import ModelKeys
from drctl.operations.lineage import grow_tree
from drctl.operations.models import describe_model, plan_deletion
from drctl.operations.stored_models import read_models
from drctl.storage.directory import DirectoryStore


class CountingStore(DirectoryStore):
    """Notes what is read whole."""

    def __init__(self, root):
        super().__init__(root)
        self.read = []

    def get(self, key):
        self.read.append(key)
        return super().get(key)


def test_a_model_of_ours_is_told_by_its_manifests(store):
    add_model(store, "sprint", checkpoints=3, best=2)
    (model,) = read_models(store)
    assert (model.prefix, model.iterations, model.best_lap_s, model.tracks) == ("sprint", 3, 9.5, ("reinvent_base",))
    assert model.completion_percent == 72.0  # of checkpoint 2, the best one
    assert (model.is_of_drctl, model.parent, model.is_parent_known) == (True, None, True)
    objects = list(store.list("sprint"))
    assert (model.objects, model.size_bytes) == (len(objects), sum(info.size_bytes for info in objects))
    assert model.modified == max(info.modified for info in objects)


def test_only_small_objects_are_read(store):
    add_model(store, "sprint")
    counting = CountingStore(store._root)
    read_models(counting)
    assert sorted(counting.read) == [
        "sprint/.drctl/manifests/2.json",
        "sprint/.drctl/manifests/3.json",
        "sprint/training_params.yaml",
    ]


def test_a_model_of_the_community_images_tells_what_it_can(store):
    add_community_model(store, "gazebo", numbers=(4, 5, 6), best=4, last=5)
    (model,) = read_models(store)
    assert (model.iterations, model.best_lap_s, model.completion_percent) == (6, 9.5, 75.0)
    assert (model.is_of_drctl, model.is_parent_known, model.tracks) == (False, False, ("reinvent_base",))


def test_what_files_do_not_tell_is_unknown(store):
    add_community_model(store, "gazebo")
    store.put("gazebo/metrics/TrainingMetrics_1.json", b"cut sho")
    store.put("gazebo/training_params.yaml", b"[")
    store.put(ModelKeys("gazebo").checkpoint_index, b"{}")
    (model,) = read_models(store)
    assert (model.best_lap_s, model.tracks, model.iterations) == (None, None, 5)
    assert model.completion_percent is None


def test_several_races_and_workers(store):
    add_community_model(store, "gazebo")
    store.delete("gazebo/training_params.yaml")
    for number, track in enumerate(("Oval_track", "reinvent_base", "Oval_track"), 1):
        store.put(f"gazebo/training_params_{number}.yaml", f"'WORLD_NAME': '{track}'\n".encode())
    store.put("gazebo/metrics/TrainingMetrics_1.json", metrics(8000))
    (model,) = read_models(store)
    assert (model.tracks, model.best_lap_s) == (("Oval_track", "reinvent_base"), 8.0)


def test_models_lie_at_any_depth_and_other_folders_are_none(store):
    add_model(store, "team/left")
    add_model(store, "team/left/again")
    store.put("custom_files/reward_function.py", b"")
    store.put("team/notes.txt", b"")
    store.put(".trash/1/objects/model/model_metadata.json", b"")
    models = read_models(store)
    assert [model.prefix for model in models] == ["team/left", "team/left/again"]
    assert models[0].objects == models[1].objects


def test_the_table(store, drctl):
    add_model(store, "rl-deepracer-sagemaker")
    add_model(
        store, "sprint-1", pretrained={"bucket": "bucket", "prefix": "sprint", "checkpoint": 7}, track="Oval_track"
    )
    add_community_model(store, "gazebo")
    store.put("gazebo/metrics/TrainingMetrics_1.json", b"cut sho")
    status, out, err = drctl("list-models")
    assert (status, err) == (0, "")
    lines = [line.split("  ") for line in out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[0] == ["model", "parent", "track", "iterations", "best lap", "completion", "size", "date"]
    assert cells[1][:6] == ["gazebo", "?", "reinvent_base", "5", "?", "75 %"]
    assert cells[2][:6] == ["rl-deepracer-sagemaker *", "-", "reinvent_base", "3", "9.500 s", "72 %"]
    assert cells[3][:6] == ["sprint-1", "sprint@7", "Oval_track", "3", "9.500 s", "72 %"]
    assert out.splitlines()[4:6] == [
        "* rl-deepracer-sagemaker is the model of this project's settings",
        "?: the model's files do not tell",
    ]


def test_the_list_as_json(store, drctl):
    add_model(store, "sprint-1", pretrained={"bucket": "other", "prefix": "sprint", "checkpoint": 7})
    status, out, _ = drctl("list-models", "--output", "json")
    data = json.loads(out)["data"]
    assert (status, data["store"]) == (0, "data/bucket")
    (model,) = data["models"]
    assert set(model) == {
        "prefix",
        "parent",
        "is_parent_known",
        "tracks",
        "iterations",
        "best_lap_s",
        "completion_percent",
        "objects",
        "size_bytes",
        "modified",
        "is_of_drctl",
        "is_half_copied",
        "is_imported",
    }
    assert model["parent"] == {
        "store": "data/other",
        "prefix": "sprint",
        "checkpoint": 7,
        "is_copy": False,
    }


def test_an_empty_store(drctl):
    assert drctl("list-models") == (0, "data/bucket has no models\nNext:\n  drctl start-training\n", "")
    assert drctl("models", "tree") == (0, "data/bucket has no models\nNext:\n  drctl start-training\n", "")


def test_no_upload_bucket(drctl):
    status, _, err = drctl("list-models", "--upload")
    assert status == 3
    assert err.startswith("error[config_invalid]: there is no bucket to upload to\n")
    assert "  fix:      drctl config set DR_UPLOAD_S3_BUCKET=NAME\n" in err


def born(prefix, checkpoint, bucket="bucket"):
    return {"bucket": bucket, "prefix": prefix, "checkpoint": checkpoint}


def outline(branches, depth=0):
    return [line for one in branches for line in ("  " * depth + one.name, *outline(one.children, depth + 1))]


def test_the_tree(store):
    add_model(store, "a")
    add_model(store, "a-1", pretrained=born("a", 3))
    add_model(store, "a-2", pretrained=born("a-1", 2))
    add_model(store, "b", pretrained=born("a", 1))
    add_model(store, "orphan", pretrained=born("deleted", 1))
    add_model(store, "guest", pretrained=born("a", 1, bucket="friends"))
    assert outline(grow_tree(read_models(store), store.name)) == [
        "a",
        "  a-1",
        "    a-2",
        "  b",
        "data/friends/a",
        "  guest",
        "deleted",
        "  orphan",
    ]


def test_a_model_that_began_anew_with_its_descendant_is_a_root(store):
    add_model(store, "a", pretrained=born("b", 1))
    add_model(store, "b", pretrained=born("a", 1))
    add_model(store, "c", pretrained=born("c", 1))
    assert outline(grow_tree(read_models(store), store.name)) == ["b", "  a", "c"]


def test_a_copy_hangs_on_what_it_was_copied_from(store):
    add_model(store, "a")
    add_model(store, "twin")
    record = CopyRecord("data/bucket", "a", 2, "", "", 0, 0, (), {}, is_complete=False)
    store.put(ModelKeys("twin").copy_record, render_copy_record(record))
    (root,) = grow_tree(read_models(store), store.name)
    (twin,) = root.children
    assert twin.model is not None
    assert twin.model.is_half_copied
    assert describe_model(twin).startswith("copy of checkpoint 2, 3 iterations, best lap 9.500 s, 72 %")


def test_a_record_that_cannot_be_read_leaves_the_parent_unknown(store):
    add_model(store, "twin")
    store.put(ModelKeys("twin").copy_record, b'{"version": 99}')
    (twin,) = read_models(store)
    assert (twin.parent, twin.is_parent_known, twin.iterations) == (None, False, 3)


def test_the_tree_is_drawn(store, drctl):
    add_model(store, "sprint")
    add_model(store, "sprint[1]", pretrained=born("sprint", 3))
    status, out, err = drctl("models", "tree")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "sprint  3 iterations, best lap 9.500 s, 72 %, reinvent_base",
        "└── sprint[1]  from checkpoint 3, 3 iterations, best lap 9.500 s, 72 %, reinvent_base",
        "Next:",
        "  drctl list-models",
    ]


def test_deleting_moves_to_the_trash_and_undo_brings_it_back(store, drctl):
    add_model(store, "sprint")
    add_model(store, "sprint-1")
    before = {info.key: store.get(info.key) for info in store.list("sprint")}
    status, out, err = drctl("delete-model", "-f", "sprint/")
    assert (status, err) == (0, "")
    assert out.startswith(f"sprint is in the trash: {len(before)} objects, 22.7 kB\nNext:\n  drctl undo ")
    assert [model.prefix for model in read_models(store)] == ["sprint-1"]
    assert main(["--project", str(store._root.parents[1]), *out.splitlines()[-1].split()[1:]]) == 0
    assert {info.key: store.get(info.key) for info in store.list("sprint")} == before


def test_metrics_that_lie_elsewhere_go_with_the_model(make_project):
    project = make_project(local_s3_model_prefix="sprint", local_s3_metrics_prefix="figures/sprint")
    store = DirectoryStore(project.data_folder / "bucket")
    add_model(store, "sprint")
    store.put("figures/sprint/TrainingMetrics.json", b"{}")
    plan = plan_deletion(project, ["sprint"])
    from drctl.operations.models import delete_models

    assert len(delete_models(plan).data["deleted"][0]["trash"]) == 2
    assert list(store.list("figures")) == []


def test_deleting_asks(store, drctl):
    add_model(store, "sprint")
    status, _, err = drctl("delete-model", "sprint")
    assert status == 2
    assert "error[usage]: delete-model asks first, and nobody can answer here\n" in err
    assert "  fix:      drctl delete-model sprint -f\n" in err
    assert store.stat(ModelKeys("sprint").checkpoint_index) is not None


def test_every_model_that_is_not_there_is_named_and_none_is_deleted(store, drctl):
    add_model(store, "sprint")
    status, _, err = drctl("delete-model", "-f", "sprint", "spirnt", "zzz")
    assert status == 4
    assert "error[object_not_found]: there is no model spirnt\n" in err
    assert "  expected: closest is sprint\n  fix:      drctl delete-model sprint\n" in err
    assert "error[object_not_found]: there is no model zzz\n" in err
    assert "  fix:      drctl list-models\n" in err
    assert store.stat(ModelKeys("sprint").checkpoint_index) is not None


def test_a_model_that_is_being_trained_stays(project, store):
    add_model(store, "sprint")
    lease = {
        "token": "t",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": 0,
        "epoch": 1,
        "renewed": time.time(),
    }
    store.put(ModelKeys("sprint").lease, json.dumps(lease).encode())
    with pytest.raises(ConflictError, match=rf"a trainer on .* \(pid {os.getpid()}\) is writing under 'sprint'"):
        plan_deletion(project, ["sprint"])


def test_the_source_of_the_next_training_is_named(make_project):
    project = make_project(local_s3_pretrained=True, local_s3_pretrained_prefix="sprint")
    add_model(DirectoryStore(project.data_folder / "bucket"), "sprint")
    assert [(message.level, message.text) for message in plan_deletion(project, ["sprint"]).describe()][1:] == [
        ("warning", "the next training is to begin with sprint (DR_LOCAL_S3_PRETRAINED_PREFIX)")
    ]


def test_an_index_alone_is_a_model_too(store):
    store.put(ModelKeys("bare").checkpoint_index, index(1, 2))
    (model,) = read_models(store)
    assert (model.prefix, model.iterations, model.best_lap_s, model.completion_percent) == ("bare", 2, None, None)
