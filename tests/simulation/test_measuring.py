"""Where a car is on its track: against the original's log, and on a track that can be worked out by hand."""

from math import hypot, radians

import numpy as np
import pytest

from drctl.simulation.race.measuring import (
    CENTRE_DISTANCE,
    HEADING,
    IS_LEFT,
    MEASURE_SIZE,
    NEAREST_WAYPOINT,
    NEXT_WAYPOINT,
    NOSE_X,
    NOSE_Y,
    PREVIOUS_WAYPOINT,
    PROJECTION,
    TRACK_WIDTH,
    WHEELS_ON_TRACK,
    is_on_road,
    measure_car,
)
from drctl.simulation.race.packed_tracks import pack_tracks
from drctl.simulation.race.rules import PROGRESS, RACE_SIZE, begin_race, judge
from drctl.simulation.race.start_pose import start_pose
from drctl.simulation.track.library import load_track
from drctl.simulation.track.track import Track
from drctl.simulation.vehicle.geometry import WHEELS_M


def measure(tracks, track, x, y, yaw):
    """Measure a car by the pose of base_link."""
    out = np.full(MEASURE_SIZE, np.nan)
    measure_car(tracks, track, np.array([x, y, yaw, 0.0, 0.0, 0.0]), out)
    return out


def measure_nose(tracks, track, x, y, yaw):
    return measure(tracks, track, x - 0.14 * np.cos(yaw), y - 0.14 * np.sin(yaw), yaw)


def test_the_original_s_log_is_reproduced(original_track, excerpt):
    """The figures that the traces' description gives for these definitions."""
    packed = pack_tracks([original_track])
    progress_hits, waypoint_hits, wheel_hits, off_hits = [], [], [], []
    for rows in excerpt:
        race = np.zeros(RACE_SIZE)
        # The episodes' starts are not logged: the round robin moves them by a 20th of a lap from the start line.
        first = measure_nose(packed, 0, rows[0]["X"], rows[0]["Y"], radians(rows[0]["yaw"]))
        start = first[PROJECTION] / original_track.length_m - rows[0]["progress"] / 100
        start = round(start * 20) / 20 % 1.0
        begin_race(start, original_track.length_m, first, race)
        for row in rows[1:]:
            here = measure_nose(packed, 0, row["X"], row["Y"], radians(row["yaw"]))
            judge(original_track.length_m, here, race)
            progress_hits.append(abs(race[PROGRESS] - row["progress"]) < 0.01)
            waypoint_hits.append(here[NEAREST_WAYPOINT] == row["closest_waypoint"] % len(original_track.centre_m))
            wheel_hits.append((here[WHEELS_ON_TRACK] == 4) == (row["all_wheels_on_track"] == "True"))
            if row["episode_status"] == "off_track":
                off_hits.append(here[WHEELS_ON_TRACK] == 0)
    assert len(progress_hits) > 1500
    assert np.mean(progress_hits) >= 0.999
    assert np.mean(waypoint_hits) == 1.0
    assert np.mean(wheel_hits) >= 0.999
    assert len(off_hits) == 12
    assert np.mean(off_hits) >= 0.996


def test_the_original_s_rewards_are_reproduced(original_track, excerpt):
    """The log was written with the centre-line reward of three bands."""
    packed, hits = pack_tracks([original_track]), []
    for rows in excerpt:
        for row in rows[1:]:
            here = measure_nose(packed, 0, row["X"], row["Y"], radians(row["yaw"]))
            share = here[CENTRE_DISTANCE] / here[TRACK_WIDTH]
            expected = 1.0 if share <= 0.1 else 0.5 if share <= 0.25 else 0.1 if share <= 0.5 else 1e-3
            hits.append(abs(expected - row["reward"]) < 1e-9)
    assert np.mean(hits) >= 0.999


@pytest.fixture(scope="module")
def square():
    """A square road of 1 m around a centre line from (0, 0) to (4, 0), (4, 4), (0, 4): a waypoint every 2 m."""
    corners = np.array([(0, 0), (2, 0), (4, 0), (4, 2), (4, 4), (2, 4), (0, 4), (0, 2), (0, 0)], float)
    middle = np.array([2.0, 2.0])
    rows = np.hstack([middle + factor * (corners - middle) for factor in (1.0, 0.75, 1.25)])
    return Track.from_waypoints("square", rows)


@pytest.fixture(scope="module")
def packed(square):
    return pack_tracks([square, square.reversed_direction()])


def test_quantities_beside_a_straight(packed):
    here = measure(packed, 0, 2.46, -0.2, 0.0)  # nose at (2.6, -0.2), right of the centre line
    assert (here[NOSE_X], here[NOSE_Y], here[HEADING]) == pytest.approx((2.6, -0.2, 0.0))
    assert here[PROJECTION] == pytest.approx(2.6)
    assert here[CENTRE_DISTANCE] == pytest.approx(0.2)
    assert here[TRACK_WIDTH] == pytest.approx(1.0)
    assert here[IS_LEFT] == 0.0
    assert (here[PREVIOUS_WAYPOINT], here[NEXT_WAYPOINT], here[NEAREST_WAYPOINT]) == (1, 2, 1)
    assert here[WHEELS_ON_TRACK] == 4


def test_the_same_place_in_the_other_direction(packed):
    here = measure(packed, 1, 2.74, -0.2, np.pi)  # nose at (2.6, -0.2) again, now left of the centre line
    assert here[PROJECTION] == pytest.approx(16.0 - 2.6)
    assert here[IS_LEFT] == 1.0
    # Waypoints count from the same corner the other way round: 6 is (4, 0), 7 is (2, 0).
    assert (here[PREVIOUS_WAYPOINT], here[NEXT_WAYPOINT], here[NEAREST_WAYPOINT]) == (6, 7, 7)
    assert abs(here[HEADING]) == pytest.approx(180.0)


def test_waypoints_wrap_at_the_finish_line(packed):
    here = measure_nose(packed, 0, 0.0, 1.0, -np.pi / 2)
    assert here[PROJECTION] == pytest.approx(15.0)
    assert (here[PREVIOUS_WAYPOINT], here[NEXT_WAYPOINT]) == (7, 0)
    at_start = measure_nose(packed, 0, 0.0, 0.0, 0.0)
    assert at_start[PROJECTION] % 16.0 == 0.0
    assert (at_start[PREVIOUS_WAYPOINT], at_start[NEXT_WAYPOINT]) == (0, 1)


@pytest.mark.parametrize(
    ("y", "wheels"),
    [
        # Border at y = -0.5; wheels at y +-0.0796 in front and +-0.0811 behind.
        (-0.4, 4),
        (-0.4195, 3),
        (-0.45, 2),
        (-0.55, 2),
        (-0.5805, 1),
        (-0.6, 0),
        (0.6, 0),
        (0.4, 4),
    ],
)
def test_wheels_on_the_road_are_counted_one_by_one(packed, y, wheels):
    assert measure(packed, 0, 2.0, y, 0.0)[WHEELS_ON_TRACK] == wheels


@pytest.mark.parametrize("name", ["reinvent_base", "2022_october_pro", "Oval_track", "Straight_track", "red_star_open"])
def test_the_short_way_to_a_wheel_agrees_with_the_road_polygon(name):
    track = load_track(name)
    packed, rng = pack_tracks([track]), np.random.default_rng(3)
    half = 0.5 * np.linalg.norm(track.inner_m - track.outer_m, axis=1).max()
    for _ in range(400):
        x, y, yaw = start_pose(track, rng.uniform(0, 0.99))
        aside, yaw = rng.uniform(-1.5, 1.5) * half, yaw + rng.normal()
        x, y = x - aside * np.sin(yaw), y + aside * np.cos(yaw)
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        wheels = np.array(WHEELS_M) @ turn.T
        on_road = sum(is_on_road(packed, 0, x + wheel[0], y + wheel[1]) for wheel in wheels)
        assert measure(packed, 0, x, y, yaw)[WHEELS_ON_TRACK] == on_road


def test_an_open_track_s_road_ends_at_its_ends():
    track = load_track("Straight_track")
    packed = pack_tracks([track])
    along = (track.centre_m[-1] - track.centre_m[0]) / track.length_m
    for distance, expected in [(-0.1, False), (0.1, True), (track.length_m - 0.1, True), (track.length_m + 0.1, False)]:
        assert is_on_road(packed, 0, *(track.centre_m[0] + distance * along)) == expected
    beyond = measure_nose(packed, 0, *(track.centre_m[-1] + 0.3 * along), 0.0)
    assert beyond[PROJECTION] == pytest.approx(track.length_m)
    last = len(track.centre_m) - 1
    assert (beyond[PREVIOUS_WAYPOINT], beyond[NEXT_WAYPOINT]) == (last - 1, last)


def test_a_start_lies_on_the_centre_line_and_heads_for_the_next_waypoint(square):
    assert start_pose(square, 0.0) == (0.0, 0.0, 0.0)
    assert start_pose(square, 0.4) == pytest.approx((4.0, 2.4, np.pi / 2))
    assert start_pose(square, 0.25) == pytest.approx((4.0, 0.0, np.pi / 2))  # at a corner the next side counts
    back = square.reversed_direction()
    assert start_pose(back, 0.1) == pytest.approx((0.0, 1.6, np.pi / 2))
    x, y, _ = start_pose(square, 15.99 / 16)
    assert hypot(x, y) == pytest.approx(0.01)
