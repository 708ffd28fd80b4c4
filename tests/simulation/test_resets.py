"""Where a car is put back on tracks whose lanes can be seen at a glance, and what it may do there."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest

from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.environment import BatchEnvironment
from drctl.simulation.episode import EpisodeStart
from drctl.simulation.race.resets import reset_pose
from drctl.simulation.track.track import Track

STRAIGHT_AHEAD = 2  # of the shipped actions: 0 degrees


def strip():
    """An open road of 10 m along x, 1 m wide; the inner border is on the left."""
    x = np.linspace(0.0, 10.0, 41)
    rows = np.column_stack([x, 0 * x, x, 0 * x + 0.5, x, 0 * x - 0.5])
    return Track.from_waypoints("strip", rows)


@pytest.mark.parametrize(
    ("start", "progress", "seen", "expected"),
    [
        (0.0, 25.0, (2.4, 0.1), (2.5, 0.25)),  # the inner lane is nearer
        (0.0, 25.0, (2.4, -0.9), (2.5, -0.25)),
        (0.3, 25.0, (5.4, -0.1), (5.5, -0.25)),
        (0.0, -2.0, (0.0, -0.1), (0.0, -0.25)),  # an open track has nothing before its beginning
        (0.3, 100.0, (9.9, 0.1), (10.0, 0.25)),
    ],
)
def test_the_car_comes_to_the_nearer_lane(start, progress, seen, expected):
    x, y, yaw = reset_pose(strip(), start, progress, seen)
    assert (x, y, yaw) == pytest.approx((*expected, 0.0), abs=1e-6)


def test_the_other_direction_has_the_same_lanes():
    x, y, yaw = reset_pose(strip().reversed_direction(), 0.0, 25.0, (7.5, 0.1))
    assert (x, y, abs(yaw)) == pytest.approx((7.5, 0.25, pi), abs=1e-6)


def test_progress_goes_on_beyond_the_finish_line_of_a_loop(original_track):
    there = reset_pose(original_track, 0.8, 50.0, (0.0, 0.0))
    assert there == pytest.approx(reset_pose(original_track, 0.0, 30.0, (0.0, 0.0)), abs=1e-6)


@pytest.fixture
def environment(make_spec):
    environment = BatchEnvironment(make_spec(has_step_jitter=False), 1)
    environment.begin(0, EpisodeStart("evaluation", 0, 0))
    return environment


def drive_off(environment):
    steps = 0
    while not environment.step(np.array([0]), np.array([STRAIGHT_AHEAD])).terminated[0]:
        steps += 1
    assert environment.status(0) is EpisodeStatus.OFF_TRACK
    return steps


def test_a_car_that_is_put_back_sees_the_place_and_drives_on_from_rest(environment):
    begin, place = environment.frames[0].copy(), tuple(environment.poses(np.array([0]))[0])
    drive_off(environment)
    before = environment.time_s(0)
    environment.put_back(0, place, 0.5)
    assert environment.time_s(0) == before
    # The walls keep the shade of the episode, so the view of the start is the first one again.
    assert (environment.frames[0] == begin).all()
    environment.wait(0, 2.5)
    assert environment.time_s(0) == before + 2.5
    assert tuple(environment.poses(np.array([0]))[0]) == place
    assert not environment.step(np.array([0]), np.array([STRAIGHT_AHEAD])).terminated[0]
    moved = np.hypot(*(environment.poses(np.array([0]))[0][:2] - place[:2]))
    assert 0.0 < moved < 0.6 / 15  # from rest: less than at full speed


def test_standing_before_the_mishap_does_not_count_after_it(environment):
    place = tuple(environment.poses(np.array([0]))[0])
    drive_off(environment)
    environment.put_back(0, place, 0.5)
    assert drive_off(environment) > 15


def test_a_log_keeps_the_whole_race(environment):
    place = tuple(environment.poses(np.array([0]))[0])
    steps = drive_off(environment)
    environment.put_back(0, place, 0.5)
    environment.wait(0, 1.0)
    more = drive_off(environment)
    rows = environment.record(0).rows
    assert len(rows) == 1 + (steps + 1) + 1 + (more + 1)
    words = [EpisodeStatus.from_index(index).value for index in rows["status"]]
    assert words[steps + 1 : steps + 4] == ["off_track", "pause", "in_progress"]
    assert np.flatnonzero(rows["done"]).tolist() == [len(rows) - 1]


def test_only_a_car_that_stands_is_put_back_and_only_a_lap_is_followed_by_one(environment):
    with pytest.raises(ValueError, match="car 0 is still driving"):
        environment.put_back(0, (0.0, 0.0, 0.0), 0.0)
    drive_off(environment)
    with pytest.raises(ValueError, match="car 0 has completed no lap, it is off_track"):
        environment.begin_lap(0)
