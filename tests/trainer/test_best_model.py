"""How a checkpoint is judged: contract 7."""

import numpy as np
import pytest

from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.episode import EpisodeRecord
from drctl.trainer.best_model import is_better, judge


def record(progress, reward, seconds, status=EpisodeStatus.OFF_TRACK):
    return EpisodeRecord(np.zeros(0), status, reward, 10, progress, seconds)


LAP = record(100.0, 40.0, 20.5, EpisodeStatus.LAP_COMPLETE)
SHORT = record(25.0, 10.0, 4.0)


@pytest.mark.parametrize(
    ("metric", "expected"), [("progress", 62.5), ("reward", 25.0), ("laptime", (20_500 + 999_999) / 2)]
)
def test_the_metric_is_the_mean_over_all_trials(metric, expected):
    judged = judge([LAP, SHORT], metric)
    assert judged.metric == pytest.approx(expected)
    assert (judged.trials, judged.laps, judged.lap_times_s) == (2, 1, (20.5,))


def test_equal_or_higher_progress_wins_and_equal_or_lower_lap_time():
    assert is_better(50.0, None, "progress")
    assert is_better(50.0, 50.0, "progress")
    assert not is_better(49.9, 50.0, "reward")
    assert is_better(20_000.0, 20_000.0, "laptime")
    assert not is_better(20_001.0, 20_000.0, "laptime")
