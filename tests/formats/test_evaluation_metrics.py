"""``evaluation-<stamp>.json`` against contract 4.2, written out by hand."""

from __future__ import annotations

import json

import pytest

from drctl.errors import FormatError
from drctl.formats.evaluation_metrics import LapMetrics, parse_evaluation_metrics, render_evaluation_metrics

LAP = LapMetrics(
    completion_percentage=100,
    metric_time=61400,
    start_time=28311,
    elapsed_time_in_milliseconds=33089,
    episode_status="Lap complete",
    crash_count=0,
    immobilized_count=0,
    off_track_count=1,
    reversed_count=0,
    reset_count=1,
    trial=2,
)
FIELDS = {
    "completion_percentage": 100,
    "metric_time": 61400,
    "start_time": 28311,
    "elapsed_time_in_milliseconds": 33089,
    "episode_status": "Lap complete",
    "crash_count": 0,
    "immobilized_count": 0,
    "off_track_count": 1,
    "reversed_count": 0,
    "reset_count": 1,
    "trial": 2,
}


def test_the_file_is_the_contracts():
    assert json.loads(render_evaluation_metrics([LAP])) == {"metrics": [FIELDS]}


def test_what_is_written_can_be_read():
    assert parse_evaluation_metrics(render_evaluation_metrics([LAP, LAP]), "e.json") == (LAP, LAP)


def test_everything_wrong_is_told_at_once():
    broken = {**FIELDS, "episode_status": "Flying", "crash_count": -1}
    del broken["trial"]
    with pytest.raises(FormatError) as caught:
        parse_evaluation_metrics(json.dumps({"metrics": [broken]}), "e.json")
    text = " ".join(problem.what for problem in caught.value.problems)
    assert len(caught.value.problems) == 3
    assert all(name in text for name in ("episode_status", "crash_count", '"trial" is missing'))
