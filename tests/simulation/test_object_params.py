"""The objects_* parameters of scenes that were worked out by hand."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
from simulation.ring import INNER_M, OUTER_M, RADIUS_M, ring

from drctl.simulation.race.measuring import MEASURE_SIZE, measure_car, measure_place
from drctl.simulation.race.objects import (
    KIND_BOX,
    KIND_CAR,
    OBJECT_CENTRE_DISTANCE,
    OBJECT_IS_LEFT,
    OBJECT_PROJECTION,
    OBJECT_SIZE,
    OBJECT_SPEED,
    OBJECT_X,
    OBJECT_Y,
    OBJECT_YAW,
    ROLE_BOT,
    ROLE_OBSTACLE,
    clear_row,
)
from drctl.simulation.race.packed_tracks import pack_tracks
from drctl.simulation.reward.params import ParamsBuilder
from drctl.simulation.vehicle.dynamics import STATE_SIZE, STATE_X, STATE_Y, STATE_YAW

LAP_M = 2 * pi * RADIUS_M


def rows_of(packed, *objects):
    rows = np.zeros((len(objects), OBJECT_SIZE))
    for row, (kind, role, angle, radius_m, speed) in zip(rows, objects, strict=True):
        clear_row(row, kind, role)
        row[[OBJECT_X, OBJECT_Y]] = radius_m * np.cos(angle), radius_m * np.sin(angle)
        row[[OBJECT_YAW, OBJECT_SPEED]] = angle + pi / 2, speed
        place = measure_place(packed, 0, row[OBJECT_X], row[OBJECT_Y])
        row[[OBJECT_PROJECTION, OBJECT_CENTRE_DISTANCE, OBJECT_IS_LEFT]] = place
    return rows


def params(*objects, pose=(RADIUS_M, 0.0, pi / 2), reverse=False):
    track = ring().reversed_direction() if reverse else ring()
    packed = pack_tracks([track])
    state, measure = np.zeros(STATE_SIZE), np.empty(MEASURE_SIZE)
    state[[STATE_X, STATE_Y, STATE_YAW]] = pose
    measure_car(packed, 0, state, measure)
    return ParamsBuilder(track).build(measure.tolist(), 0.0, 2.0, 1.0, 0.0, 0.1, rows_of(packed, *objects))


def box(angle, radius_m=INNER_M):
    return KIND_BOX, ROLE_OBSTACLE, angle, radius_m, 0.0


def bot(angle, radius_m=INNER_M, speed=0.5):
    return KIND_CAR, ROLE_BOT, angle, radius_m, speed


def test_boxes_are_described_in_the_order_in_which_they_were_placed():
    found = params(box(2.0), box(0.5, OUTER_M), box(5.0))
    assert np.array(found["objects_location"]) == pytest.approx(
        np.array([[1.8 * np.cos(a), 1.8 * np.sin(a)] for a in (2.0,)]
                 + [[2.2 * np.cos(0.5), 2.2 * np.sin(0.5)], [1.8 * np.cos(5.0), 1.8 * np.sin(5.0)]])
    )  # fmt: skip
    assert found["objects_distance"] == pytest.approx([4.0, 1.0, 10.0], abs=5e-3)
    assert found["objects_distance_from_center"] == pytest.approx([0.2, 0.2, 0.2], abs=1e-3)
    assert found["objects_left_of_center"] == [True, False, True]
    assert found["objects_speed"] == [0.0, 0.0, 0.0]
    assert found["objects_heading"] == [0.0, 0.0, 0.0]
    # The nose is at 0.14 m: the next one ahead is the second, the one behind, across the finish, the third.
    assert found["closest_objects"] == [2, 1]
    assert found["object_in_camera"] is True


def test_bot_cars_have_speed_and_heading():
    found = params(bot(1.0, speed=0.4), bot(3.0, OUTER_M, speed=0.4))
    assert found["objects_speed"] == [0.4, 0.4]
    assert found["objects_heading"] == pytest.approx([1.0 + pi / 2, 3.0 + pi / 2])


def test_the_object_in_camera_is_the_next_one_ahead():
    # The next one ahead is behind a bend of 90 degrees, the one after it is in view of nobody's question.
    assert params(box(pi / 2), box(pi))["object_in_camera"] is False
    assert params(box(0.4))["object_in_camera"] is True
    turned = params(box(0.4), pose=(RADIUS_M, 0.0, -pi / 2))
    assert turned["object_in_camera"] is False


@pytest.mark.parametrize(("degrees_left", "is_seen"), [(31.2, True), (31.8, False)])
def test_the_field_of_view_is_as_wide_as_the_cameras(degrees_left, is_seen):
    """0.565 rad to each side of an axis 15 degrees down are atan(tan(0.565) cos(15)) = 31.5 degrees over the ground."""
    track = ring()
    packed = pack_tracks([track])
    state, measure = np.zeros(STATE_SIZE), np.empty(MEASURE_SIZE)
    state[[STATE_X, STATE_Y, STATE_YAW]] = 0.0, 0.0, 0.0
    measure_car(packed, 0, state, measure)
    (row,) = rows_of(packed, bot(0.0))
    away = np.radians(degrees_left)
    # So far away that its own size does not count.
    row[[OBJECT_X, OBJECT_Y, OBJECT_YAW]] = 0.1453 + 100.0 * np.cos(away), 100.0 * np.sin(away), 0.0
    found = ParamsBuilder(track).build(measure.tolist(), 0.0, 2.0, 1.0, 0.0, 0.1, row[None])
    assert found["object_in_camera"] is is_seen


def test_what_lies_right_before_the_lens_is_too_near():
    assert params(bot(0.13, RADIUS_M))["object_in_camera"] is True
    near = params((KIND_BOX, ROLE_OBSTACLE, -0.2, RADIUS_M, 0.0))
    assert near["object_in_camera"] is False


def test_left_follows_the_driving_direction():
    found = params(box(-1.0), box(-2.0, OUTER_M), pose=(RADIUS_M, 0.0, -pi / 2), reverse=True)
    assert found["objects_left_of_center"] == [False, True]
    assert found["objects_distance"] == pytest.approx([2.0, 4.0], abs=5e-3)
    assert found["closest_objects"] == [1, 0]


def test_one_object_is_both_the_next_and_the_last():
    assert params(box(1.0))["closest_objects"] == [0, 0]


def test_without_objects_the_keys_are_there():
    found, other = params(), params(box(1.0))
    assert found.keys() == other.keys()
    assert (found["closest_objects"], found["object_in_camera"]) == ([0, 0], False)
    names = [name for name in found if name.startswith("objects_")]
    assert len(names) == 6
    assert all(found[name] == [] for name in names)


def test_every_value_is_plain_python():
    found = params(box(2.0), box(0.5))
    assert type(found["objects_location"][0][0]) is float
    assert type(found["objects_left_of_center"][0]) is bool
    assert type(found["closest_objects"][0]) is int
    assert type(found["objects_heading"][0]) is float
