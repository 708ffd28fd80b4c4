"""Speed, episodes and laps of hand-made rows."""

from __future__ import annotations

import numpy as np
import pytest

from drctl.analysis.drive import Drive
from drctl.analysis.laps import best_training_lap
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.simtrace import TRACE_DTYPE


def rows_of(episode, xs, times, status=EpisodeStatus.OFF_TRACK):
    rows = np.zeros(len(xs), TRACE_DTYPE)
    rows["episode"], rows["x"], rows["tstamp"] = episode, xs, times
    rows["status"] = EpisodeStatus.IN_PROGRESS.index
    rows["status"][-1] = status.index
    return rows


def test_episodes_of_several_files():
    first = np.concatenate([rows_of(0, [0, 1], [0, 1]), rows_of(1, [0, 1, 2], [2, 3, 4])])
    drive = Drive.join([(0, 0, first), (0, 1, rows_of(0, [0], [0])), (1, 0, rows_of(2, [0, 1], [5, 6]))])
    assert drive.starts.tolist() == [0, 2, 5, 6]
    assert drive.ends.tolist() == [1, 4, 5, 7]
    assert drive.iteration.tolist() == [0] * 6 + [1, 1]


def test_speed_is_way_over_time_of_two_steps_before_and_after():
    drive = Drive.join([(0, 0, rows_of(0, [0, 1, 2, 4, 6, 6], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]))])
    assert drive.speed_m_s.tolist() == pytest.approx([2 / 2, 4 / 3, 6 / 4, 5 / 4, 4 / 3, 2 / 2])


def test_a_car_that_was_put_back_did_not_drive_there():
    drive = Drive.join([(0, 0, rows_of(0, [0, 0.1, 0.2, 90.2, 90.3], np.arange(5) / 10))])
    assert drive.is_placed.tolist() == [True, False, False, True, False]
    assert drive.speed_m_s[[0, 2, 4]].tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_no_rows():
    drive = Drive.join([])
    assert (len(drive), len(drive.starts), len(drive.ends), len(drive.speed_m_s)) == (0, 0, 0, 0)
    assert best_training_lap(drive, {}) is None


def test_the_fastest_training_lap_has_the_time_on_record():
    lap = EpisodeStatus.LAP_COMPLETE
    slow, fast = rows_of(0, [0, 1, 2, 3], [0.1, 1.1, 2.1, 3.1], lap), rows_of(1, [0, 1, 2], [4.07, 5.0, 6.0], lap)
    off = rows_of(2, [0, 1], [7.0, 7.1])
    drive = Drive.join([(3, 0, np.concatenate([slow, fast, off]))])
    found = best_training_lap(drive, {3: (3.1, 2.95)})
    assert found.time_s == 2.95  # the trace alone: 1.93 s and a step of 0.97 s
    assert found.origin == "training, iteration 3"
    assert found.points_m[:, 0].tolist() == [0.0, 1.0, 2.0]
    assert best_training_lap(drive, {}).time_s == pytest.approx(1.93 * 1.5)
