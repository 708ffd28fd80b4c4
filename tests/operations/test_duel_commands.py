"""``eval`` of two models that race each other, as a user types it; both always steer the same way."""

from __future__ import annotations

import json
import re
from datetime import datetime

import numpy as np
import pytest
from evaluation.round_track import LEFT, METADATA, STRAIGHT, circle_rows, constant_graph

from drctl.cli.app import main
from drctl.formats.evaluation_metrics import parse_evaluation_metrics
from drctl.formats.object_keys import ModelKeys
from drctl.formats.simtrace import parse_rows
from drctl.storage.directory import DirectoryStore

OWN, RIVAL = "rl-deepracer-sagemaker", "rival"
DUEL = ("--set", "DR_EVAL_MAX_RESETS=5", "eval", "--opponent", RIVAL)


@pytest.fixture(scope="module")
def graphs():
    return {1: constant_graph(STRAIGHT), 2: constant_graph(LEFT)}


def put_model(store, prefix, graphs, speed):
    keys = ModelKeys(prefix)
    actions = [{**action, "speed": speed} for action in METADATA["action_space"]]
    store.put(keys.model_metadata, json.dumps({**METADATA, "action_space": actions}).encode())
    last = {"name": f"{max(graphs)}_Step-20.ckpt", "avg_eval_metric": 100.0, "time_stamp": 1.0}
    store.put(keys.checkpoint_index, json.dumps({"best_checkpoint": last, "last_checkpoint": last}).encode())
    for number, graph in graphs.items():
        store.put(keys.frozen_graph(number), graph)


@pytest.fixture
def store(project, graphs):
    """The project's store: a model of 0.9 m/s and a rival of 0.6 m/s; the round track among the project's own."""
    store = DirectoryStore(project.data_folder / "bucket")
    put_model(store, OWN, graphs, 0.9)
    put_model(store, RIVAL, graphs, 0.6)
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


def contents(store):
    return {info.key: store.get(info.key) for info in store.list()}


def test_a_duel_from_its_start_to_its_end(drctl, store, project):
    before = contents(store)
    status, out, err = drctl(*DUEL, "--trials", "1")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(r"FastCar \(checkpoint 2\) on circle, lap 1/1: \d\.\d{3} s", lines[0])
    assert re.fullmatch(r"FasterCar \(checkpoint 2\) on circle, lap 1/1: \d+\.\d{3} s", lines[1])
    assert lines[2] == (
        f"FastCar ({OWN}, checkpoint 2) against FasterCar ({RIVAL}, checkpoint 2) on circle, times in seconds"
    )
    assert re.split(r"  +", lines[3])[:3] == ["car", "lap", "time"]
    assert [line.split()[:2] for line in lines[4:6]] == [["FastCar", "1"], ["FasterCar", "1"]]
    assert re.fullmatch(r"FastCar wins by \d\.\d{3} s", lines[6])
    assert lines[-1] == f"  drctl eval --model {OWN} --checkpoint 2 --opponent {RIVAL} --opponent-checkpoint 2 --mp4"
    added = {key: content for key, content in contents(store).items() if key not in before}
    assert {key: content for key, content in contents(store).items() if key in before} == before
    (stamp,) = {match[1] for key in added if (match := re.match(rf"{OWN}/evaluation-(\d{{14}})/", key))}
    epoch_s = round(datetime.strptime(stamp, "%Y%m%d%H%M%S").timestamp())
    theirs = f"{OWN}/evaluation-{stamp}/opponent/evaluation-simtrace/0-iteration.csv"
    assert sorted(added) == sorted(
        [
            f"{OWN}/evaluation-{stamp}/evaluation-simtrace/0-iteration.csv",
            f"{OWN}/metrics/evaluation/evaluation-{stamp}.json",
            theirs,
            f"{RIVAL}/evaluation-simtrace/0-iteration.csv",
            f"{RIVAL}/metrics/EvaluationMetrics-{epoch_s}.json",
        ]
    )
    assert added[f"{RIVAL}/evaluation-simtrace/0-iteration.csv"] == added[theirs]
    (lap,) = parse_evaluation_metrics(added[f"{RIVAL}/metrics/EvaluationMetrics-{epoch_s}.json"], "metrics")
    rows = parse_rows(added[theirs], "trace")
    assert rows["tstamp"][-1] * 1000 == pytest.approx(lap.metric_time, abs=0.5)
    assert set(rows["throttle"]) == {0.0, 0.6}


def test_figures_of_both_cars(drctl, store):
    out = drctl(*DUEL, "--trials", "1", "--output", "json")[1]
    (race,) = json.loads(out)["data"]["races"]
    assert race["winner"] == "model"
    assert race["laps_complete"] == race["opponent"]["laps_complete"] == 1
    assert race["best_s"] < race["opponent"]["best_s"]
    assert (race["opponent"]["name"], race["opponent"]["prefix"]) == ("FasterCar", RIVAL)
    assert race["opponent"].keys() - race.keys() == {"name", "prefix"}
    first = store.get(race["opponent"]["trace"]), store.get(race["opponent"]["metrics"])
    (again,) = json.loads(drctl(*DUEL, "--trials", "1", "--output", "json")[1])["data"]["races"]
    assert again["opponent"]["metrics"] != race["opponent"]["metrics"]
    assert (store.get(race["opponent"]["trace"]), store.get(race["opponent"]["metrics"])) == first


def test_several_checkpoints_and_tracks_race_the_same_opponent(drctl):
    words = ("--checkpoint", "1", "--checkpoint", "2", "--trials", "1")
    status, out, err = drctl(*DUEL, *words)
    assert status == 0
    lines = out.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("track "))
    rows = [re.split(r"  +", line) for line in lines[head : head + 5]]
    assert rows[0][:4] == ["track", "car", "place", "checkpoint"]
    assert [row[:4] for row in rows[1:]] == [
        ["circle", "FastCar", "2", "1"],
        ["circle", "FasterCar", "1", "2"],
        ["circle", "FastCar", "1", "2"],
        ["circle", "FasterCar", "2", "2"],
    ]
    assert lines[head + 5] == "checkpoint 1 on circle: FasterCar wins as the only one to finish"
    assert re.fullmatch(r"checkpoint 2 on circle: FastCar wins by \d\.\d{3} s", lines[head + 6])
    assert err == "warning: FastCar, checkpoint 1 on circle: 0 of 1 laps complete\n"


def test_videos_of_both_cars(drctl, store, monkeypatch):
    from drctl.evaluation import video

    filmed = []

    def film(_track, laps, folder):
        filmed.append((laps[0].display_name, laps[0].car_color, laps[0].rival.look.car_color, laps[0].has_won))
        path = folder / "camera-pip" / "0-video.mp4"
        path.parent.mkdir(parents=True)
        path.write_bytes(laps[0].display_name.encode())
        return [path]

    monkeypatch.setattr(video, "record_videos", film)
    (race,) = json.loads(drctl(*DUEL, "--trials", "1", "--mp4", "--output", "json")[1])["data"]["races"]
    assert filmed == [("FastCar", "Purple", "Orange", True), ("FasterCar", "Orange", "Purple", False)]
    folder = f"{OWN}/evaluation-{race['stamp']}"
    assert race["videos"] == [f"{folder}/mp4/camera-pip/0-video.mp4"]
    assert race["opponent"]["videos"] == [f"{folder}/opponent/mp4/camera-pip/0-video.mp4"]
    assert store.get(race["opponent"]["videos"][0]) == b"FasterCar"
    assert store.get(f"{OWN}/mp4/camera-pip/0-video.mp4") == b"FastCar"
    assert store.stat(f"{RIVAL}/mp4/camera-pip/0-video.mp4") is None


def test_a_model_can_race_its_earlier_self(drctl):
    words = ("--set", "DR_EVAL_MAX_RESETS=0", "eval", "--opponent", OWN, "--trials", "1")
    status, out, err = drctl(*words, "--opponent-checkpoint", "1")
    assert (status, "FastCar wins as the only one to finish" in out) == (0, True)
    assert "itself" not in err
    status, _, err = drctl("--set", "DR_RACE_TYPE=HEAD_TO_MODEL", *words[:3], "--trials", "1")
    assert err.startswith(
        f"warning: checkpoint 2 of {OWN} races against itself; --opponent and --opponent-checkpoint choose another "
        "opponent\n"
    )


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (
            ("--opponent", "rivel"),
            4,
            (
                "error[object_not_found]: the opponent: there is no model under the prefix rivel\n"
                "  where:    data/bucket/rivel/model/model_metadata.json\n"
                f"  expected: the prefix of a model: {RIVAL}, {OWN}\n"
                f"  fix:      drctl eval --opponent {RIVAL}\n"
            ),
        ),
        (
            ("--opponent", RIVAL, "--opponent-checkpoint", "9"),
            4,
            (
                f"error[object_not_found]: the opponent: checkpoint 9 of {RIVAL} is not in the store\n"
                f"  where:    data/bucket/{RIVAL}/model\n"
                "  expected: best, last or one of: 1, 2\n"
                f"  fix:      drctl eval --opponent {RIVAL} --opponent-checkpoint 2\n"
            ),
        ),
        (
            ("--opponent", RIVAL, "--opponent-checkpoint", "newest"),
            2,
            "error[usage]: --opponent-checkpoint newest is no checkpoint\n",
        ),
        (
            ("--opponent-checkpoint", "1"),
            2,
            "error[usage]: --opponent-checkpoint is about an opponent, and the model races alone\n",
        ),
    ],
)
def test_mistakes_are_told_and_leave_nothing(drctl, store, words, status, message):
    before = contents(store)
    found, out, err = drctl("eval", *words)
    assert (found, out) == (status, "")
    assert err.startswith(message)
    assert contents(store) == before


def test_everything_wrong_with_both_models_is_told_at_once(drctl, store):
    other = {**METADATA, "sensor": ["STEREO_CAMERAS"]}
    store.put(ModelKeys(RIVAL).model_metadata, json.dumps(other).encode())
    status, _, err = drctl("eval", "--track", "nowhere", "--checkpoint", "5", "--opponent", RIVAL)
    assert status == 3
    assert err.count("error[") == 3
    assert f"error[object_not_found]: checkpoint 5 of {OWN} is not in the store\n" in err
    assert (
        f"error[file_invalid]: the opponent: data/bucket/{RIVAL}/model/model_2.pb sees with FRONT_FACING_CAMERA, "
        "model_metadata.json says STEREO_CAMERAS\n"
    ) in err


def test_a_training_has_no_opponent(drctl, store):
    before = contents(store)
    status, _, err = drctl(
        "--set", "DR_RACE_TYPE=HEAD_TO_MODEL", "--set", "DR_LOCAL_S3_MODEL_PREFIX=new", "start-training"
    )
    assert status == 3
    assert err.startswith(
        "error[not_supported]: DR_RACE_TYPE is HEAD_TO_MODEL, which start-training does not take: it races two models "
        "that are trained\n"
        "  where:    --set\n"
        "  expected: TIME_TRIAL or OBJECT_AVOIDANCE or HEAD_TO_BOT\n"
        "  fix:      --set DR_RACE_TYPE=TIME_TRIAL\n"
    )
    assert contents(store) == before
