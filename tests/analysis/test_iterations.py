"""Which iteration an entry belongs to, in the files of every stack."""

from __future__ import annotations

import pytest

from drctl.analysis.iterations import iterations_from_metrics
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.training_metrics import make_episode_metrics


def entry(episode, trial, phase="training", *, progress=50.0, seconds=2.0, reward=10.0):
    status = EpisodeStatus.LAP_COMPLETE if progress == 100.0 else EpisodeStatus.OFF_TRACK
    return make_episode_metrics(
        reward=reward,
        start_time_s=0.0,
        end_time_s=seconds,
        episode=episode,
        trial=trial,
        phase=phase,
        progress_percent=progress,
        status=status,
    )


def test_one_file():
    entries = [
        *(entry(number + 1, number + 1, progress=20.0) for number in range(3)),
        *(entry(3, 3, "evaluation", progress=100.0, seconds=9.5) for _ in range(2)),
        *(entry(number + 4, number + 1, progress=40.0, reward=number) for number in range(3)),
    ]
    first, second = iterations_from_metrics([entries], 3)
    assert (first.number, first.training.episodes, first.training.progress_mean_percent) == (0, 3, 20.0)
    assert (first.evaluation.laps, first.evaluation.best_lap_s) == (2, 9.5)
    assert (second.training.reward_mean, second.evaluation) == (1.0, None)


def test_the_images_workers_beyond_the_first_count_on():
    # Contract 4.1: five episodes for two workers are three and two; worker 1 never resets its trial.
    first = [entry(count + 1, count % 3 + 1) for count in range(9)]
    second = [entry(count + 1, count + 1, progress=80.0) for count in range(6)]
    found = iterations_from_metrics([first, second], 5)
    assert [one.training.episodes for one in found] == [5, 5, 5]
    assert [one.training.progress_mean_percent for one in found] == pytest.approx([62.0] * 3)


def test_without_hyperparameters_the_trials_tell():
    entries = [entry(count + 1, count % 4 + 1) for count in range(8)]
    assert [one.training.episodes for one in iterations_from_metrics([entries], None)] == [4, 4]


def test_no_entries():
    assert iterations_from_metrics([], 20) == ()
    assert iterations_from_metrics([[]], 20) == ()
