"""Lanes: midway between centre line and border, by metres of the centre line."""

from math import cos, hypot, pi, sin

import numpy as np
import pytest
from simulation.ring import INNER_M, OUTER_M, RADIUS_M, ring

from drctl.simulation.race.lanes import lane_pose, pack_lanes
from drctl.simulation.track.library import load_track, track_names


@pytest.mark.parametrize(("inwards", "radius_m"), [(0.0, OUTER_M), (1.0, INNER_M), (0.5, RADIUS_M)])
@pytest.mark.parametrize("along_m", [0.0, 1.0, 5.0, 12.5, -1.0])
def test_lanes_of_a_ring_are_circles(along_m, inwards, radius_m):
    x, y, yaw = lane_pose(pack_lanes([ring()]), 0, along_m, inwards, 0.0)
    angle = along_m / RADIUS_M
    assert (x, y) == pytest.approx((radius_m * cos(angle), radius_m * sin(angle)), abs=1e-3)
    assert cos(yaw - angle - pi / 2) == pytest.approx(1.0, abs=1e-5)


def test_the_other_direction_has_the_same_lanes_the_other_way():
    track = ring()
    lanes = pack_lanes([track, track.reversed_direction()])
    x, y, yaw = lane_pose(lanes, 1, 1.0, 1.0, 0.0)
    assert (x, y) == pytest.approx((INNER_M * cos(-0.5), INNER_M * sin(-0.5)), abs=1e-3)
    assert cos(yaw - (-0.5 - pi / 2)) == pytest.approx(1.0, abs=1e-5)


def test_a_slope_turns_the_heading_inwards():
    # From the outer lane inwards by 0.25 of 0.4 m per metre: to the left on a counter-clockwise ring.
    _, _, yaw = lane_pose(pack_lanes([ring()]), 0, 0.0, 0.0, 0.25)
    assert np.tan(yaw - pi / 2) == pytest.approx(0.25 * 0.4 / (OUTER_M / RADIUS_M), rel=1e-3)


def test_an_open_track_ends_where_it_ends():
    track = load_track("Straight_track")
    lanes = pack_lanes([track])
    first, last = lane_pose(lanes, 0, -3.0, 0.5, 0.0), lane_pose(lanes, 0, track.length_m + 3.0, 0.5, 0.0)
    assert first[:2] == pytest.approx((track.centre_m[0] * 2 + track.inner_m[0] + track.outer_m[0]) / 4, abs=1e-6)
    assert last[:2] == pytest.approx((track.centre_m[-1] * 2 + track.inner_m[-1] + track.outer_m[-1]) / 4, abs=1e-6)


def check_lanes(name):
    """Both lanes go the way of the centre line, stay beside it, and have no gap."""
    track = load_track(name)
    lanes = pack_lanes([track])
    width_m = np.hypot(*(track.inner_m - track.outer_m).T).max()
    length_m = track.length_m
    for inwards in (0.0, 1.0):
        poses = np.array([lane_pose(lanes, 0, at, inwards, 0.0) for at in np.arange(0.0, length_m - 0.02, 0.02)])
        steps = np.hypot(*np.diff(poses[:, :2], axis=0).T)
        assert steps.max() < 0.05, name
        centre = [np.array(lane_pose(lanes, 0, at, 0.5, 0.0)) for at in np.arange(0.0, length_m - 0.02, 0.02)]
        for pose, middle in zip(poses, centre, strict=True):
            assert cos(pose[2] - middle[2]) > 0.5, name
            assert hypot(*(pose[:2] - middle[:2])) < 0.4 * width_m, name


@pytest.mark.parametrize("name", ["reinvent_base", "hamption_pro", "Bowtie_track"])
def test_lanes_follow_the_road(name):
    check_lanes(name)


@pytest.mark.slow
def test_lanes_follow_the_road_on_every_track():
    for name in track_names():
        check_lanes(name)
