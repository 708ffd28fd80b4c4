"""``eval`` and ``stop-evaluation`` as a user types them, on models that always steer the same way."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import threading

import numpy as np
import pytest
from evaluation.round_track import LEFT, METADATA, STRAIGHT, circle_rows, constant_graph

from drctl.cli.app import main
from drctl.engines.evaluation_process import evaluation_folder, only_evaluation, read_evaluation
from drctl.formats.evaluation_metrics import parse_evaluation_metrics
from drctl.formats.object_keys import ModelKeys
from drctl.formats.simtrace import parse_rows
from drctl.storage.directory import DirectoryStore

PREFIX = "rl-deepracer-sagemaker"
KEYS = ModelKeys(PREFIX)
GRAPHS = {1: STRAIGHT, 2: LEFT}


@pytest.fixture(scope="module")
def graphs():
    return {number: constant_graph(action) for number, action in GRAPHS.items()}


@pytest.fixture
def store(project, graphs):
    """The project's store with a model of two checkpoints, and the round track among the project's own."""
    store = DirectoryStore(project.data_folder / "bucket")
    store.put(KEYS.model_metadata, json.dumps(METADATA).encode())
    store.put(KEYS.hyperparameters, b"{}")
    index = {
        "best_checkpoint": {"name": "2_Step-20.ckpt", "avg_eval_metric": 100.0, "time_stamp": 1.0},
        "last_checkpoint": {"name": "2_Step-20.ckpt", "avg_eval_metric": 100.0, "time_stamp": 1.0},
    }
    store.put(KEYS.checkpoint_index, json.dumps(index).encode())
    for number, graph in graphs.items():
        store.put(KEYS.frozen_graph(number), graph)
    (project.root / "tracks").mkdir(exist_ok=True)
    np.save(project.root / "tracks" / "circle.npy", circle_rows())
    return store


@pytest.fixture
def drctl(project, store, capsys):
    """Type a command in the project."""

    def type_in(*words):
        general = ("--project", str(project.root), "--set", "DR_RUN_ID=7", "--set", "DR_WORLD_NAME=circle")
        status = main([*general, *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return type_in


def keys_of(store):
    return [info.key for info in store.list()]


def digests(store, prefix=PREFIX):
    return {info.key: hashlib.sha256(store.get(info.key)).hexdigest() for info in store.list(prefix)}


def test_an_evaluation_from_its_start_to_its_end(drctl, store, project):
    before = digests(store)
    status, out, err = drctl("eval", "--trials", "2")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(r"checkpoint 2 on circle, lap 1/2: \d+\.\d{3} s", lines[0])
    assert lines[2] == "Checkpoint 2 on circle, times in seconds"
    assert re.split(r"  +", lines[3]) == ["lap", "time", "off-tracks", "crashes", "resets", "total with penalties"]
    assert len(lines[4].split()) == 6
    added = sorted(set(keys_of(store)) - set(before))
    assert {key: digest for key, digest in digests(store).items() if key in before} == before
    trace, metrics = added
    stamp = re.fullmatch(rf"{PREFIX}/evaluation-(\d{{14}})/evaluation-simtrace/0-iteration\.csv", trace)[1]
    assert metrics == f"{PREFIX}/metrics/evaluation/evaluation-{stamp}.json"
    assert lines[-5:-2] == ["Written:", *(f"  {project.data_folder}/bucket/{key}" for key in (metrics, trace))]
    assert lines[-2:] == ["Next:", f"  drctl eval --model {PREFIX} --checkpoint 2 --mp4"]
    laps = parse_evaluation_metrics(store.get(metrics), metrics)
    assert [lap.trial for lap in laps] == [1, 2]
    assert laps[1].start_time == laps[0].metric_time
    rows = parse_rows(store.get(trace), trace)
    assert rows["tstamp"][-1] * 1000 == pytest.approx(laps[1].metric_time, abs=0.5)
    assert set(rows["episode"]) == {0, 1}
    assert rows["reward"].max() == 1.0  # the built-in reward


def test_json_is_one_document(drctl):
    status, out, err = drctl("start-evaluation", "--trials", "1", "--output", "json")
    document = json.loads(out)
    assert (status, err, document["ok"], document["command"]) == (0, "", True, "start-evaluation")
    (race,) = document["data"]["races"]
    assert (race["track"], race["checkpoint"], race["laps_complete"], race["videos"]) == ("circle", 2, 1, [])
    assert race["laps"][0]["total_s"] == race["best_s"] > 5.0


def test_every_pair_of_track_and_checkpoint_is_raced(drctl, store):
    status, out, _ = drctl(
        *("--set", "DR_EVAL_MAX_RESETS=0", "eval", "--trials", "1", "--checkpoint", "best", "--checkpoint", "1"),
        *("--track", "circle", "--track", "reinvent_base", "--output", "json"),
    )
    assert status == 0
    races = json.loads(out)["data"]["races"]
    assert [(race["checkpoint"], race["track"]) for race in races] == [
        (2, "circle"),
        (2, "reinvent_base"),
        (1, "circle"),
        (1, "reinvent_base"),
    ]
    assert [race["laps_complete"] for race in races] == [1, 0, 0, 0]
    assert len({race["stamp"] for race in races}) == 4
    assert all(race["trace"] in keys_of(store) and race["metrics"] in keys_of(store) for race in races)


def test_a_lap_without_resets_left_is_told(drctl):
    status, out, err = drctl("--set", "DR_EVAL_MAX_RESETS=2", "eval", "--checkpoint", "1", "--trials", "3")
    assert status == 0
    assert "unfinished (off track)" in out
    assert err == "warning: checkpoint 1 on circle: 0 of 3 laps complete\n"


def test_settings_decide_the_race(drctl):
    def race(*sets):
        options = [word for text in sets for word in ("--set", text)]
        out = drctl(*options, "eval", "--checkpoint", "1", "--trials", "2", "--output", "json")[1]
        return json.loads(out)["data"]["races"][0]["laps"]

    laps = race("DR_EVAL_MAX_RESETS=2", "DR_EVAL_OFF_TRACK_PENALTY=2.5", "DR_EVAL_IS_CONTINUOUS=False")
    assert [(lap["resets"], lap["penalty_s"], lap["off_tracks"]) for lap in laps] == [(2, 5.0, 3), (2, 5.0, 3)]
    (lap,) = race("DR_EVAL_MAX_RESETS=0")
    assert (lap["is_complete"], lap["off_tracks"]) == (False, 1)


def test_the_collision_penalty_is_honoured(project, store):
    from drctl.config.project import load_project
    from drctl.operations.race_preparation import EvaluationRequest, prepare_races

    changes = {"DR_EVAL_COLLISION_PENALTY": "7", "DR_EVAL_REVERSE_DIRECTION": "True", "DR_WORLD_NAME": "circle"}
    (job,) = prepare_races(load_project(project.root, changes), EvaluationRequest()).jobs
    assert (job.rules.collision_penalty_s, job.rules.off_track_penalty_s, job.rules.is_reversed) == (7.0, 5.0, True)


def test_a_copy_is_raced_beside_the_model(drctl, store):
    before = digests(store)
    status, _, _ = drctl("eval", "-c", "--trials", "1")
    assert status == 0
    assert digests(store) == before
    copied = [key.removeprefix(f"{PREFIX}-E/") for key in keys_of(store) if key.startswith(f"{PREFIX}-E/")]
    assert {key.split("/")[0].split("-")[0] for key in copied} == {"evaluation", "ip", "metrics", "model"}
    assert store.get(f"{PREFIX}-E/model/model_2.pb") == store.get(KEYS.frozen_graph(2))


def test_a_model_is_never_overwritten_by_a_copy(drctl, store):
    store.put(f"{PREFIX}-E/.drctl/manifests/1.json", b"{}")
    status, _, err = drctl("eval", "-c")
    assert status == 5
    assert err.startswith(f"error[conflict]: {PREFIX}-E holds a model that was trained there, not a copy of {PREFIX}\n")


def test_videos_are_stored_with_the_evaluation(drctl, store, monkeypatch):
    from drctl.evaluation import video

    def film(_track, laps, folder):
        assert [lap.lap for lap in laps] == [1]
        paths = [folder / name / "0-video.mp4" for name in video.VIDEO_NAMES]
        for path in paths:
            path.parent.mkdir(parents=True)
            path.write_bytes(path.parent.name.encode())
        return paths

    monkeypatch.setattr(video, "record_videos", film)
    status, out, _ = drctl("eval", "--trials", "1", "--mp4", "--output", "json")
    (race,) = json.loads(out)["data"]["races"]
    folder = f"{PREFIX}/evaluation-{race['stamp']}/mp4"
    assert (status, race["videos"]) == (0, [f"{folder}/{name}/0-video.mp4" for name in video.VIDEO_NAMES])
    assert store.get(f"{PREFIX}/mp4/camera-pip/0-video.mp4") == b"camera-pip"


def test_the_users_own_reward_can_be_recorded(drctl, store):
    store.put(KEYS.reward_function, b"def reward_function(params):\n    return 42.0\n")
    out = drctl("--set", "DR_EVAL_DEBUG_REWARD=True", "eval", "--trials", "1", "--output", "json")[1]
    (race,) = json.loads(out)["data"]["races"]
    assert set(parse_rows(store.get(race["trace"]), "trace")["reward"]) == {0.0, 42.0}


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--model", "nobody"), 4, "error[object_not_found]: there is no model under the prefix nobody\n"),
        (("--checkpoint", "9"), 4, f"error[object_not_found]: checkpoint 9 of {PREFIX} is not in the store\n"),
        (("--checkpoint", "newest"), 2, "error[usage]: --checkpoint newest is no checkpoint\n"),
        (("--track", "reinvent_bse"), 3, "error[track_invalid]: "),
        (("--trials", "0"), 3, "error[config_invalid]: DR_EVAL_NUMBER_OF_TRIALS is '0'\n"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(drctl, store, words, status, message):
    before = keys_of(store)
    found, out, err = drctl("eval", *words)
    assert (found, out) == (status, "")
    assert err.startswith(message)
    assert keys_of(store) == before


def test_everything_wrong_is_told_at_once(drctl, store):
    store.put(KEYS.frozen_graph(1), store.get(KEYS.frozen_graph(1))[:5000])
    status, _, err = drctl("eval", "--track", "nowhere", "--checkpoint", "1", "--checkpoint", "5")
    assert status == 3
    assert err.count("error[") == 3
    assert f"error[file_invalid]: data/bucket/{PREFIX}/model/model_1.pb is truncated or not a frozen graph\n" in err


def test_one_evaluation_per_run_at_a_time(drctl, project):
    with only_evaluation(evaluation_folder(project.root, 7), "m is being evaluated"):
        status, _, err = drctl("eval")
        assert status == 5
        assert err.startswith("error[conflict]: an evaluation of run 7 is under way\n")
        assert "fix:      drctl stop-evaluation" in err
        assert drctl("eval", "-q")[0] == 5
    assert read_evaluation(evaluation_folder(project.root, 7)) is None


def test_quiet_goes_on_in_the_background_and_can_be_stopped(drctl, project, store, wait_for):
    before = keys_of(store)
    status, out, _ = drctl("eval", "-q", "--trials", "1000", "--checkpoint", "2")
    assert status == 0
    assert out.endswith("  drctl stop-evaluation\n")
    folder = evaluation_folder(project.root, 7)
    state = read_evaluation(folder)
    assert state.description == f"{PREFIX} is being evaluated"
    assert drctl("status")[1] == f"{PREFIX} is being evaluated (process {state.process.pid})\n"
    wait_for(lambda: "lap 1/1000" in (folder / "evaluation.log").read_text(), 30.0)
    status, out, _ = drctl("stop-evaluation")
    assert (status, out) == (0, f"stopped: {PREFIX} is being evaluated\n")
    assert not state.process.is_alive
    assert keys_of(store) == before
    assert drctl("stop-evaluation")[1] == "run 7 has no evaluation under way\n"


def test_ctrl_c_ends_the_races_and_leaves_nothing(drctl, project, store):
    before = keys_of(store)
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    status, _, err = drctl("eval", "--trials", "1000")
    timer.cancel()
    assert status == 130
    assert err.startswith("error[interrupted]: the evaluation was interrupted; ")
    assert keys_of(store) == before
    assert read_evaluation(evaluation_folder(project.root, 7)) is None
    assert drctl("eval", "--trials", "1")[0] == 0


def test_quiet_ends_by_itself(drctl, project, store, wait_for):
    before = keys_of(store)
    assert drctl("eval", "-q", "--trials", "1")[0] == 0
    folder = evaluation_folder(project.root, 7)
    wait_for(lambda: read_evaluation(folder) is None, 30.0)
    wait_for(lambda: "Written:" in (folder / "evaluation.log").read_text(), 5.0)
    assert len(keys_of(store)) == len(before) + 2


@pytest.mark.filterwarnings("ignore")  # pandas, matplotlib and boto3 deprecate in one another's names
def test_the_communitys_reader_loads_the_trace(drctl, project, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "unused")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    logs = pytest.importorskip("deepracer.logs")
    assert drctl("eval", "--trials", "2")[0] == 0
    found = logs.DeepRacerLog(str(project.data_folder / "bucket" / PREFIX))
    found.load_evaluation_trace()
    frame = found.dataframe()
    assert sorted(frame["episode"].unique()) == [0, 1]
    summary = logs.AnalysisUtils.simulation_agg(frame, firstgroup="stream", is_eval=True)
    assert list(summary["progress"]) == [100.0, 100.0]
