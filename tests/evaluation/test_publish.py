"""Where an evaluation's files go: the next free second, new keys alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import numpy as np
import pytest

from drctl.evaluation.publish import publish
from drctl.evaluation.race import RaceOutcome
from drctl.evaluation.rules import RacedLap
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.object_keys import ModelKeys
from drctl.formats.simtrace import TRACE_DTYPE
from drctl.simulation.race.objects import OBJECT_SIZE
from drctl.storage.directory import DirectoryStore

STARTED = datetime(2026, 2, 28, 23, 59, 59)
OUTCOME = RaceOutcome(
    (RacedLap(1, 0.0, 10.0, EpisodeStatus.LAP_COMPLETE, 100.0),),
    np.zeros(3, TRACE_DTYPE),
    np.zeros((3, 3)),
    np.zeros(3, np.int64),
    np.zeros((0, OBJECT_SIZE)),
    np.zeros((3, 0, 3)),
)


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "bucket")


def keys_of(store):
    return [info.key for info in store.list()]


def test_an_evaluation_adds_trace_metrics_and_videos(store, tmp_path):
    video = tmp_path / "camera-pip" / "0-video.mp4"
    video.parent.mkdir()
    video.write_bytes(b"film")
    published = publish(store, ModelKeys("car"), STARTED, OUTCOME, [video])
    assert keys_of(store) == [
        "car/evaluation-20260228235959/evaluation-simtrace/0-iteration.csv",
        "car/evaluation-20260228235959/mp4/camera-pip/0-video.mp4",
        "car/metrics/evaluation/evaluation-20260228235959.json",
        "car/mp4/camera-pip/0-video.mp4",
    ]
    assert published.videos == ("car/evaluation-20260228235959/mp4/camera-pip/0-video.mp4",)
    assert len(json.loads(store.get(published.metrics))["metrics"]) == 1


def test_a_second_that_is_taken_gives_the_next_one(store):
    stamps = [publish(store, ModelKeys("car"), STARTED, OUTCOME).stamp for _ in range(3)]
    assert stamps == ["20260228235959", "20260301000000", "20260301000001"]


def test_models_that_share_a_metrics_folder_share_its_seconds(store):
    publish(store, ModelKeys("one", "metrics"), STARTED, OUTCOME)
    assert publish(store, ModelKeys("two", "metrics"), STARTED, OUTCOME).stamp == "20260301000000"
    assert not [key for key in keys_of(store) if key.startswith("two/evaluation-20260228235959")]


def test_evaluations_at_the_same_time_get_different_seconds(store):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: publish(store, ModelKeys("car"), STARTED, OUTCOME), range(8)))
    assert len({published.stamp for published in found}) == 8
    assert len(keys_of(store)) == 16
