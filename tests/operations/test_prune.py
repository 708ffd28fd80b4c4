"""``prune``: what goes, what stays, and that it says so first."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import asdict

import pytest

from drctl.cli.app import main
from drctl.engines.identity import ProcessIdentity
from drctl.engines.lock import RunLock
from drctl.engines.state import EngineState, write_state
from drctl.formats.manifest import BestRecord, Counters, FileRecord, Manifest, SlotState, render_manifest
from drctl.formats.object_keys import ModelKeys
from drctl.storage.trash import list_trash, move_to_trash
from drctl.trainer.lease import Holder, process_start

WEIGHTS, OPTIMIZER = b"w" * 1_000_000, b"o" * 2_000_000
BEST = 3
DAY_S = 86_400


@pytest.fixture
def drctl(project, capsys):
    """Type a command in the project, with room for five checkpoints of 2 MB."""

    def type_in(*words, keep_gb="0.01"):
        status = main(["--project", str(project.root), "--set", f"DR_KEEP_GB={keep_gb}", *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return type_in


def put_checkpoints(store, prefix, count):
    keys = ModelKeys(prefix)
    store.put(keys.model_metadata, b"{}")
    for number in range(count):
        files = {keys.weights(number): WEIGHTS, keys.frozen_graph(number): WEIGHTS, keys.optimizer(number): OPTIMIZER}
        for key, data in files.items():
            store.put(key, data)
        manifest = Manifest(
            number=number,
            steps=number,
            name=f"{number}_Step-{number}.ckpt",
            created=0.0,
            run_token="token",
            lease_epoch=1,
            files={key.removeprefix(f"{prefix}/"): FileRecord(len(data), "") for key, data in files.items()},
            counters=Counters(),
            slots=(SlotState(),),
            conditions={},
            best=BestRecord(BEST, f"{BEST}_Step-{BEST}.ckpt", 100.0, 1.0),
        )
        store.put(keys.manifest(number), render_manifest(manifest))
    return keys


def numbers(store, folder):
    return sorted(
        int(info.key.rpartition("/")[2].partition(".")[0].removeprefix("model_")) for info in store.list(folder)
    )


def hold_lease(store, keys):
    holder = Holder("token", os.uname().nodename, os.getpid(), process_start(os.getpid()), 1, time.time())
    store.put(keys.lease, json.dumps(asdict(holder)).encode())


def age(store, entry, days):
    """Make an entry of the trash older."""
    key = f".trash/{entry.id}/entry.json"
    record = json.loads(store.get(key))
    record["time"] = (entry.time.fromtimestamp(time.time() - days * DAY_S, entry.time.tzinfo)).isoformat()
    store.put(key, json.dumps(record).encode())


def end_run(root, run_id, days, supervisor=None, phase="ended"):
    """Leave what a run leaves, last written some days ago."""
    folder = root / "tmp" / f"run-{run_id}"
    (folder / "logs").mkdir(parents=True)
    write_state(folder, EngineState("token", "here", supervisor, phase, 0.0, ()))
    (folder / "logs" / "trainer.log").write_bytes(b"x" * 300_000)
    RunLock.acquire(folder, "test").close()
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - days * DAY_S,) * 2)
    return folder


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_checkpoints_beyond_the_budget_go_and_best_and_newest_stay(drctl, store):
    keys = put_checkpoints(store, "team/car", 14)
    before = [info.key for info in store.list()]
    status, out, err = drctl("prune", "--dry-run")
    assert (status, err) == (0, "")
    assert out == (
        "what                             which     number     size\n"
        "optimisers that no resume needs  team/car      12  24.0 MB\n"
        "checkpoints beyond DR_KEEP_GB    team/car       3   6.0 MB\n"
        "together                                           30.0 MB\n"
        "Next:\n  drctl prune --set DR_KEEP_GB=0.01\n"
    )
    assert [info.key for info in store.list()] == before

    assert drctl("prune") == (
        2,
        "",
        (
            "error[usage]: prune asks first, and nobody can answer here\n"
            "  expected: -f, which does not ask\n  fix:      drctl prune --set DR_KEEP_GB=0.01 -f\n"
        ),
    )
    assert [info.key for info in store.list()] == before

    assert drctl("prune", "-f") == (0, "removed 30.0 MB\nNext:\n  drctl list-models\n", "")
    kept = [BEST, *range(4, 14)]
    assert numbers(store, keys.manifests_folder) == numbers(store, keys.weights_folder) == kept
    assert numbers(store, keys.optimizers_folder) == [12, 13]
    assert store.stat(keys.frozen_graph(0)) is None
    assert drctl("prune", "-f")[1] == "nothing to remove; what is younger than 7 days stays\n"


def test_a_model_that_is_being_trained_is_left_alone(drctl, store):
    keys = put_checkpoints(store, "busy", 14)
    hold_lease(store, keys)
    before = [info.key for info in store.list()]
    status, out, _ = drctl("--output", "json", "prune", "-f")
    data = json.loads(out)["data"]
    assert (status, data["items"], data["in_training"]) == (0, [], ["busy"])
    assert [info.key for info in store.list()] == before


def test_a_training_that_begins_meanwhile_keeps_its_checkpoints(store, project):
    from drctl.operations.prune import plan_pruning, prune

    keys = put_checkpoints(store, "car", 14)
    plan = plan_pruning(project, days=7.0)
    hold_lease(store, keys)
    result = prune(plan)
    assert result.data["kept"] == ["car"]
    assert result.data["items"] == []
    assert [message.text for message in result.messages] == ["car is in use now and stays", "removed 0 B"]
    assert numbers(store, keys.optimizers_folder) == list(range(14))


def test_old_trash_goes_and_the_younger_can_still_be_brought_back(drctl, store):
    store.put("old/a", b"1" * 2_000_000)
    store.put("new/a", b"2")
    old, new = move_to_trash(store, "old", "test"), move_to_trash(store, "new", "test")
    age(store, old, 8)
    status, out, _ = drctl("prune", "--dry-run")
    assert (status, "trash" in out, old.id in out, new.id in out) == (0, True, True, False)
    assert drctl("prune", "-f") == (0, "removed 2.0 MB\nNext:\n  drctl list-models\n", "")
    assert [entry.id for entry in list_trash(store)] == [new.id]
    assert [info.key for info in store.list(f".trash/{old.id}")] == []
    assert drctl("undo", old.id)[0] == 4
    assert drctl("undo")[0] == 0
    assert store.get("new/a") == b"2"


def test_what_ended_runs_left_goes_after_a_week(drctl, project):
    old, young = end_run(project.root, 5, 8), end_run(project.root, 6, 1)
    supervisor = subprocess.Popen(["sleep", "60"])
    running = end_run(project.root, 8, 9, supervisor=ProcessIdentity.of(supervisor.pid), phase="running")
    status, out, _ = drctl("prune", "--dry-run", "--older-than", "2")
    assert (status, "tmp/run-5" in out, "tmp/run-6" in out, "tmp/run-8" in out) == (0, True, False, False)
    assert out.endswith("Next:\n  drctl prune --older-than 2 --set DR_KEEP_GB=0.01\n")
    assert drctl("prune", "-f")[1] == "removed 0.3 MB\nNext:\n  drctl list-models\n"
    assert files_of(old) == ["lock"]
    assert "logs/trainer.log" in files_of(young)
    assert "logs/trainer.log" in files_of(running)
    supervisor.kill()
    supervisor.wait()


def test_a_run_folder_that_somebody_holds_stays(drctl, project):
    folder = end_run(project.root, 5, 8)
    lock = RunLock.acquire(folder, "a start")
    assert drctl("prune", "-f") == (
        0,
        "removed 0 B\nNext:\n  drctl list-models\n",
        "warning: tmp/run-5 is in use now and stays\n",
    )
    lock.close()
    assert "logs/trainer.log" in files_of(folder)


def test_a_run_that_begins_meanwhile_keeps_its_folder(project):
    from drctl.operations.prune import plan_pruning, prune

    folder = end_run(project.root, 5, 8)
    plan = plan_pruning(project, days=7.0)
    supervisor = subprocess.Popen(["sleep", "60"])
    running = EngineState("token", "here", ProcessIdentity.of(supervisor.pid), "running", 0.0, ())
    write_state(folder, running)
    assert prune(plan).data["kept"] == ["tmp/run-5"]
    assert "logs/trainer.log" in files_of(folder)
    supervisor.kill()
    supervisor.wait()


def test_videos_go_only_when_asked_and_never_a_models_newest(drctl, store):
    keys = ModelKeys("car")
    store.put(keys.model_metadata, b"{}")
    store.put(keys.newest_video("camera-pip"), b"v" * 1_000_000)
    for stamp in ("20200101120000", "20200102120000"):
        store.put(keys.evaluation_video(stamp, "camera-pip"), b"v" * 1_000_000)
        store.put(keys.evaluation_trace(stamp), b"trace")
    assert drctl("prune", "--dry-run")[1] == "nothing to remove; what is younger than 7 days stays\n"
    _, out, _ = drctl("prune", "--dry-run", "--videos")
    assert "videos of an old race  car, evaluation 20200101120000" in out
    assert drctl("prune", "-f", "--videos")[1] == "removed 1.0 MB\nNext:\n  drctl list-models\n"
    left = [info.key for info in store.list("car") if info.key.endswith(".mp4")]
    assert left == [keys.evaluation_video("20200102120000", "camera-pip"), keys.newest_video("camera-pip")]
    assert store.stat(keys.evaluation_trace("20200101120000")) is not None
