"""Races of the community images, without Docker: an engine whose container writes its laps at once."""

from __future__ import annotations

import json

import pytest
import yaml

from drctl.engines.state import EngineState
from drctl.errors import ConflictError, FailedError, NotSupportedError, Problem, UsageError
from drctl.operations import community_evaluation
from drctl.operations.community_evaluation import race_with_images
from drctl.storage.directory import DirectoryStore

SOURCE = "awsdeepracercommunity/deepracer-simapp"
P = "rl-deepracer-sagemaker"


def lap(trial, status="Lap complete", percent=100, seconds=21.5):
    return {
        "completion_percentage": percent,
        "metric_time": 1,
        "start_time": 0,
        "elapsed_time_in_milliseconds": round(seconds * 1000),
        "episode_status": status,
        "crash_count": 0,
        "immobilized_count": 0,
        "off_track_count": 1,
        "reversed_count": 0,
        "reset_count": 1,
        "trial": trial,
    }


class FakeEngine:
    """Its container reads the parameters and leaves what the image would."""

    def __init__(self, store, laps, **ending):
        self.store, self.laps = store, laps
        self.ending = {"reason": "finished", "message": "the race is over", **ending}
        self.plan, self.calls = None, []

    def up(self, plan, _lock):
        self.plan = plan
        self.calls.append("up")
        self.params = yaml.safe_load(self.store.get(f"{plan.prefix}/evaluation_params.yaml"))
        self.store.put(f"{plan.prefix}/model/.coach_checkpoint", b"0_Step-0.ckpt")
        if self.laps:
            key = self.params["METRICS_S3_OBJECT_KEY"][0]
            self.store.put(key, json.dumps({"metrics": self.laps}).encode())
        if self.params["MP4_S3_BUCKET"]:
            self.store.put(f"{self.params['MP4_S3_OBJECT_PREFIX'][0]}/camera-pip/0-video.mp4", b"film")

    def state(self, _folder):
        return EngineState("token", "here", None, "ended", 0.0, (), **self.ending)

    def down(self, _folder, **_options):
        self.calls.append("down")
        return False

    def logs(self, _folder, _part, **_options):
        return iter(["the last words"])


@pytest.fixture
def store(tmp_path):
    """A bucket with a model of the images."""
    store = DirectoryStore(tmp_path / "store")
    record = {"name": "3_Step-99.ckpt", "avg_eval_metric": 9.0, "time_stamp": 1.0}
    index = {"best_checkpoint": {**record, "name": "2_Step-50.ckpt"}, "last_checkpoint": record}
    store.put(f"{P}/model/deepracer_checkpoints.json", json.dumps(index).encode())
    store.put(f"{P}/model/3_Step-99.ckpt.index", b"")
    store.put(f"{P}/model/.coach_checkpoint", b"4_Step-120.ckpt")
    return store


@pytest.fixture
def project(make_project, monkeypatch, store):
    for name in ("check_machine", "provide_images", "write_container_keys"):
        monkeypatch.setattr(community_evaluation, name, lambda *_: None)
    monkeypatch.setattr(community_evaluation, "provide_store", lambda *_: False)
    monkeypatch.setattr(community_evaluation, "open_store", lambda _location: store)
    return lambda **settings: make_project(**{"docker_style": "compose", "simapp_source": SOURCE, **settings})


def test_a_race_is_told_and_the_model_stays_as_it_was(project, store):
    engine, said = FakeEngine(store, [lap(1), lap(2, "Off track", 40)]), []
    result = race_with_images(
        project(eval_save_mp4=True), checkpoints=["best"], tracks=["Oval_track"], report=said.append, engine=engine
    )
    (race,) = result.data["races"]
    assert (race["checkpoint"], race["track"]) == ("2_Step-50.ckpt", "Oval_track")
    assert (race["laps_complete"], race["laps_wanted"], race["best_s"]) == (1, 3, 21.5)
    assert store.get(race["videos"][0]) == b"film"
    assert race["videos"] == [f"{P}/evaluation-{race['stamp']}/mp4/camera-pip/0-video.mp4"]
    assert (engine.params["EVAL_CHECKPOINT"], engine.params["WORLD_NAME"]) == ("best", "Oval_track")
    assert engine.plan.compose_project == "deepracer-eval-0"
    assert engine.plan.parts[0].environment["WORLD_NAME"] == "Oval_track"
    texts = [message.text for message in (*said, *result.messages)]
    assert "lap 1/3: 21.500" in texts
    assert "lap 2/3: unfinished (off track at 40 %)" in texts
    assert "1 of 3 laps complete" in texts
    assert store.get(f"{P}/model/.coach_checkpoint") == b"4_Step-120.ckpt"
    assert engine.calls == ["down", "up", "down"]


def test_a_copy_is_raced_in_place_of_the_model(project, store):
    from drctl.operations.evaluation import _copy_model

    engine = FakeEngine(store, [lap(1)])
    loaded = project(eval_number_of_trials=1)
    result = race_with_images(loaded, copy_model=lambda *given: _copy_model(*given, loaded), engine=engine)
    assert engine.plan.prefix == result.data["prefix"] == f"{P}-E"
    assert result.data["races"][0]["metrics"].startswith(f"{P}-E/metrics/evaluation/")
    assert [info.key for info in store.list(P) if "evaluation" in info.key] == []


def test_a_race_that_fails_says_why_and_leaves_nothing(project, store):
    problem = Problem("no checkpoint", where="deepracer-eval-0-robomaker-1", fix="drctl logs-robomaker -n 0")
    engine = FakeEngine(store, [], reason="failed", message="no checkpoint", problems=(problem,))
    with pytest.raises(FailedError, match="no checkpoint"):
        race_with_images(project(), engine=engine)
    assert engine.calls[-1] == "down"
    engine = FakeEngine(store, [], reason="interrupted", message="its containers were removed by somebody else")
    with pytest.raises(FailedError) as caught:
        race_with_images(project(), engine=engine)
    assert "the last words" in caught.value.problems[0].where


def test_what_the_images_cannot_race_is_refused_before_anything_starts(project, store):
    engine = FakeEngine(store, [])
    with pytest.raises(UsageError, match="--track is there 2 times"):
        race_with_images(project(), tracks=["a", "b"], engine=engine)
    with pytest.raises(NotSupportedError, match="the community images choose both cars' checkpoints alike"):
        race_with_images(project(race_type="HEAD_TO_MODEL", eval_opp_checkpoint="best"), engine=engine)
    with pytest.raises(NotSupportedError, match="take best or last and nothing else"):
        race_with_images(project(), checkpoints=["3"], engine=engine)
    store.delete(f"{P}/model/3_Step-99.ckpt.index")
    with pytest.raises(ConflictError, match="was not trained by the community images"):
        race_with_images(project(), engine=engine)
    assert engine.calls == []


def test_a_dry_run_shows_the_file_and_the_command(project):
    from drctl.operations.dry_run import preview_evaluation
    from drctl.operations.race_preparation import EvaluationRequest

    found = preview_evaluation(project(), EvaluationRequest(tracks=("Oval_track",)), ()).data
    (path,) = [path for path in found["files"] if "eval-0" in path]
    assert 'WORLD_NAME: "Oval_track"' in found["files"][path]
    assert found["commands"][-1][:2] == ["docker", "compose"]
    with pytest.raises(NotSupportedError, match="DR_EVAL_CHECKPOINT is 7"):
        preview_evaluation(project(), EvaluationRequest(checkpoints=("7",)), ())
