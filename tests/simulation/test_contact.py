"""Who touches what, by hand: the racer's corners, and rectangles turned and moved."""

from __future__ import annotations

from math import cos, hypot, pi, radians, sin

import numpy as np
import pytest
from simulation.ring import OUTER_M, RADIUS_M, bots, ring

from drctl.simulation.race.contact import CRASH, HIT_FROM_BEHIND, NO_CONTACT, find_contact, wrap_along
from drctl.simulation.race.measuring import measure_place
from drctl.simulation.race.objects import (
    KIND_BOX,
    KIND_CAR,
    OBJECT_CENTRE_DISTANCE,
    OBJECT_CONTACT_LENGTH,
    OBJECT_IS_LEFT,
    OBJECT_PAUSE,
    OBJECT_PROJECTION,
    OBJECT_SPEED,
    OBJECT_X,
    OBJECT_Y,
    OBJECT_YAW,
    ROLE_BOT,
    ROLE_OBSTACLE,
    ROLE_RIVAL,
    clear_row,
    make_objects,
)
from drctl.simulation.race.packed_tracks import pack_tracks
from drctl.simulation.vehicle.dynamics import STATE_SIZE, STATE_X, STATE_Y, STATE_YAW

TRACKS = pack_tracks([ring()])
HALF_CAR, HALF_WIDE = 0.32352 / 2, 0.1961 / 2


def contact(car, *others):
    """Return what happens to a car at (x, y, yaw) among (kind, role, x, y, yaw) objects, and the objects."""
    state = np.zeros(STATE_SIZE)
    state[[STATE_X, STATE_Y, STATE_YAW]] = car
    objects = make_objects(1, len(others))
    objects.counts[0], objects.bots[0] = len(others), bots(speed=0.5, penalty=3.0)
    for row, (kind, role, *pose) in zip(objects.rows[0], others, strict=True):
        clear_row(row, kind, role)
        row[[OBJECT_X, OBJECT_Y, OBJECT_YAW]] = pose
        place = measure_place(TRACKS, 0, pose[0], pose[1])
        row[[OBJECT_PROJECTION, OBJECT_CENTRE_DISTANCE, OBJECT_IS_LEFT]] = place
    return find_contact(TRACKS, 0, state, objects, 0), objects.rows[0]


@pytest.mark.parametrize(
    ("ahead_m", "expected"), [(HALF_CAR + 0.25 + 1e-4, NO_CONTACT), (HALF_CAR + 0.25 - 1e-4, CRASH)]
)
def test_a_box_begins_a_quarter_of_a_metre_before_its_middle(ahead_m, expected):
    (found, number), _ = contact((2.0, 0.0, pi / 2), (KIND_BOX, ROLE_OBSTACLE, 2.0, ahead_m, pi / 2))
    assert (found, number) == (expected, 0 if expected else -1)


@pytest.mark.parametrize(
    ("aside_m", "expected"), [(HALF_WIDE + 0.2 + 1e-4, NO_CONTACT), (HALF_WIDE + 0.2 - 1e-4, CRASH)]
)
def test_a_box_is_so_wide(aside_m, expected):
    (found, _), _ = contact((2.0, 0.0, pi / 2), (KIND_BOX, ROLE_OBSTACLE, 2.0 + aside_m, 0.0, pi / 2))
    assert found == expected


@pytest.mark.parametrize(("gap_m", "expected"), [(1e-4, NO_CONTACT), (-1e-4, CRASH)])
def test_a_turned_car_touches_with_one_corner(gap_m, expected):
    """The car is turned by 30 degrees; its front left corner is its foremost one, beside a box that lies along x."""
    turn = radians(30)
    corner = HALF_CAR * cos(turn) - HALF_WIDE * sin(turn), HALF_CAR * sin(turn) + HALF_WIDE * cos(turn)
    foremost = HALF_CAR * cos(turn) + HALF_WIDE * sin(turn)  # the front right one's x
    (found, _), _ = contact((1.0, 1.0, turn), (KIND_BOX, ROLE_OBSTACLE, 1.0 + foremost + 0.25 + gap_m, 1.0, 0.0))
    assert found == expected
    assert corner[1] == pytest.approx(HALF_CAR * 0.5 + HALF_WIDE * 0.8660254, abs=1e-6)


def test_only_the_racers_own_corners_count():
    """A box whose corner pokes into the car's side without reaching one of its corners is no crash (contract 5.3)."""
    away = hypot(0.25, 0.2) + HALF_WIDE - 0.02  # the box stands on its corner, which reaches 2 cm into the side
    turn = pi / 2 - np.arctan2(0.2, 0.25)
    (found, _), _ = contact((2.0, 0.0, pi / 2), (KIND_BOX, ROLE_OBSTACLE, 2.0 + away, 0.0, turn + pi / 2))
    assert found == NO_CONTACT


def at(angle, radius_m=RADIUS_M):
    return radius_m * cos(angle), radius_m * sin(angle), angle + pi / 2


@pytest.mark.parametrize(("role", "pauses"), [(ROLE_BOT, True), (ROLE_RIVAL, False)])
def test_of_two_cars_the_one_behind_is_at_fault(role, pauses):
    ahead, behind = at(0.15), at(-0.15)  # 0.3 m away: the rectangles overlap by 2 cm
    (found, number), rows = contact(at(0.0), (KIND_CAR, role, *ahead))
    assert (found, number) == (CRASH, 0)
    assert rows[0, OBJECT_PAUSE] == 0.0
    (found, number), rows = contact(at(0.0), (KIND_CAR, role, *behind))
    assert (found, number) == (HIT_FROM_BEHIND, 0)
    assert rows[0, OBJECT_PAUSE] == (3.0 if pauses else 0.0)
    assert rows[0, OBJECT_SPEED] == 0.0


def test_an_obstacle_behind_is_a_crash_all_the_same():
    (found, _), _ = contact(at(0.0), (KIND_CAR, ROLE_OBSTACLE, *at(-0.15)))
    assert found == CRASH


def test_behind_and_ahead_are_told_across_the_finish():
    (found, _), _ = contact(at(-0.05), (KIND_CAR, ROLE_BOT, *at(0.1)))
    assert found == CRASH
    (found, _), _ = contact(at(0.05), (KIND_CAR, ROLE_BOT, *at(-0.1)))
    assert found == HIT_FROM_BEHIND


def test_a_car_that_is_hit_from_behind_is_blamed_for_nothing():
    (found, number), _ = contact(
        at(0.0), (KIND_BOX, ROLE_OBSTACLE, *at(0.1, OUTER_M)), (KIND_CAR, ROLE_BOT, *at(-0.15))
    )
    assert (found, number) == (HIT_FROM_BEHIND, 1)


def test_what_cannot_be_touched_is_not_touched():
    state, objects = np.zeros(STATE_SIZE), make_objects(1, 1)
    objects.counts[0] = 1
    clear_row(objects.rows[0, 0], KIND_CAR, ROLE_RIVAL)
    objects.rows[0, 0, OBJECT_CONTACT_LENGTH] = 0.0
    assert find_contact(TRACKS, 0, state, objects, 0) == (NO_CONTACT, -1)


def test_the_shorter_way_round():
    assert wrap_along(1.0, 10.0, True) == 1.0
    assert wrap_along(9.0, 10.0, True) == -1.0
    assert wrap_along(-9.0, 10.0, True) == 1.0
    assert wrap_along(9.0, 10.0, False) == 9.0
