"""TrainingMetrics.json: key set, whole numbers, rounding."""

from __future__ import annotations

import json

import pytest

from drctl.errors import FormatError
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.training_metrics import (
    make_episode_metrics,
    parse_training_metrics,
    render_training_metrics,
)

ENTRY = make_episode_metrics(
    reward=123.6,
    start_time_s=10.0004,
    end_time_s=20.5006,
    episode=21,
    trial=1,
    phase="training",
    progress_percent=57.99,
    status=EpisodeStatus.OFF_TRACK,
)


def test_byte_for_byte():
    assert render_training_metrics([ENTRY], "progress") == (
        b'{"metrics": [{"reward_score": 124, "metric_time": 20501, "start_time": 10000, '
        b'"elapsed_time_in_milliseconds": 10500, "episode": 21, "trial": 1, "phase": "training", '
        b'"completion_percentage": 57, "episode_status": "Off track"}], '
        b'"version": 2.0, "best_model_metric": "progress"}'
    )


def test_an_empty_file():
    assert json.loads(render_training_metrics([], "laptime")) == {
        "metrics": [],
        "version": 2.0,
        "best_model_metric": "laptime",
    }


def test_progress_is_cut_off_towards_zero_and_may_be_negative():
    backwards = make_episode_metrics(
        reward=-0.4,
        start_time_s=0.0,
        end_time_s=1.0,
        episode=1,
        trial=1,
        phase="evaluation",
        progress_percent=-2.7,
        status=EpisodeStatus.REVERSED,
    )
    assert (backwards.completion_percentage, backwards.reward_score) == (-2, 0)
    assert type(backwards.completion_percentage) is int


@pytest.mark.parametrize(
    ("status", "label"),
    [
        ("prepare", "Prepare"),
        ("in_progress", "In progress"),
        ("off_track", "Off track"),
        ("crashed", "Crashed"),
        ("lap_complete", "Lap complete"),
        ("immobilized", "Immobilized"),
        ("reversed", "Reversed"),
        ("pause", "Pause"),
        ("park", "Park"),
        ("time_up", "Time Up"),
    ],
)
def test_the_labels_of_the_contract(status, label):
    assert EpisodeStatus(status).label == label


def test_round_trip():
    metrics = parse_training_metrics(render_training_metrics([ENTRY, ENTRY], "reward"), "TrainingMetrics.json")
    assert metrics.episodes == (ENTRY, ENTRY)
    assert metrics.best_model_metric == "reward"


def test_all_problems_at_once():
    entry = json.loads(render_training_metrics([ENTRY], "progress"))["metrics"][0]
    entry["phase"] = "racing"
    entry["extra"] = 1
    del entry["trial"]
    with pytest.raises(FormatError) as caught:
        parse_training_metrics(json.dumps({"metrics": [entry, 3], "best_model_metric": "speed"}), "f.json")
    assert {problem.where for problem in caught.value.problems} == {
        "f.json: best_model_metric",
        "f.json: metrics[0].phase",
        "f.json: metrics[0].extra",
        "f.json: metrics[0].trial",
        "f.json: metrics[1]",
    }
