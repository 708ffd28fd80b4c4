"""Bot cars against closed forms on a ring."""

from __future__ import annotations

from math import atan2, cos, pi, sin

import numpy as np
import pytest
from simulation.ring import INNER_M, OUTER_M, RADIUS_M, bots, ring

from drctl.simulation.race.bot_cars import draw_wait, drive_bots, place_object
from drctl.simulation.race.lanes import pack_lanes
from drctl.simulation.race.objects import (
    KIND_CAR,
    OBJECT_ALONG,
    OBJECT_CENTRE_DISTANCE,
    OBJECT_DRAWS,
    OBJECT_IS_LEFT,
    OBJECT_LANE,
    OBJECT_PAUSE,
    OBJECT_PROJECTION,
    OBJECT_SPEED,
    OBJECT_WAITING,
    OBJECT_X,
    OBJECT_Y,
    OBJECT_YAW,
    ROLE_BOT,
    clear_row,
    make_objects,
)
from drctl.simulation.race.packed_tracks import pack_tracks
from drctl.simulation.random import STREAM_LANE_CHANGE
from drctl.simulation.random_kernel import keyed_uniform

KEYS = np.array([0, 2, 5], np.int64)


TRACK = ring()
LANES, TRACKS = pack_lanes([TRACK]), pack_tracks([TRACK])


class Scene:
    """One racer's bot car on the ring."""

    def __init__(self, lane=1.0, along_m=0.0, seed=0, **about):
        self.seed = seed
        self.objects = make_objects(1, 1)
        self.objects.counts[0], self.objects.bots[0] = 1, bots(**about)
        self.row = self.objects.rows[0, 0]
        clear_row(self.row, KIND_CAR, ROLE_BOT)
        self.row[[OBJECT_LANE, OBJECT_ALONG]] = lane, along_m
        if about.get("waits"):
            draw_wait(self.objects.bots[0], self.row, 0, seed, KEYS)
        place_object(LANES, TRACKS, 0, self.objects.bots[0], self.row)

    def drive(self, *times_s):
        for time_s in times_s:
            drive_bots(LANES, TRACKS, 0, self.objects, 0, self.seed, KEYS, time_s)
        return self

    @property
    def place(self):
        return self.row[OBJECT_X], self.row[OBJECT_Y]


def on_ring(along_m, radius_m):
    angle = along_m / RADIUS_M
    return pytest.approx((radius_m * cos(angle), radius_m * sin(angle)), abs=1e-3)


@pytest.mark.parametrize(("lane", "radius_m"), [(1.0, INNER_M), (-1.0, OUTER_M)])
def test_a_bot_car_drives_evenly_in_metres_of_the_centre_line(lane, radius_m):
    scene = Scene(lane, along_m=1.0, speed=0.5).drive(4.0)
    assert scene.place == on_ring(3.0, radius_m)
    assert cos(scene.row[OBJECT_YAW] - 1.5 - pi / 2) == pytest.approx(1.0, abs=1e-5)
    assert scene.row[OBJECT_SPEED] == 0.5
    assert scene.row[OBJECT_PROJECTION] == pytest.approx(3.0, abs=5e-3)
    assert scene.row[OBJECT_CENTRE_DISTANCE] == pytest.approx(0.2, abs=1e-3)
    assert scene.row[OBJECT_IS_LEFT] == (lane == 1.0)  # the ring runs counter-clockwise


def test_a_bot_car_goes_on_after_a_lap():
    lap_m = 2 * pi * RADIUS_M
    scene = Scene(along_m=lap_m - 0.2, speed=0.5).drive(1.0)
    assert scene.place == on_ring(0.3, INNER_M)
    assert scene.row[OBJECT_PROJECTION] == pytest.approx(0.3, abs=5e-3)


def test_a_lane_change_starts_after_its_wait_and_takes_its_way():
    # 2 s on the lane, then 1 m at 0.5 m/s: halfway across after 3 s, on the other lane after 4 s.
    scene = Scene(speed=0.5, waits=(2.0, 2.0), over=1.0)
    assert scene.drive(2.0).place == on_ring(1.0, INNER_M)
    scene.drive(1.0)
    assert scene.place == on_ring(1.5, RADIUS_M)
    # There the share of the way across changes by 1.5 per metre, 0.4 m outwards, to the right.
    angle = atan2(-0.4 * 1.5, 1.0)
    assert scene.row[OBJECT_YAW] == pytest.approx(1.5 / RADIUS_M + pi / 2 + angle, abs=2e-3)
    assert scene.drive(1.0).place == on_ring(2.0, OUTER_M)
    assert scene.row[OBJECT_LANE] == -1.0
    assert scene.drive(1.0).place == on_ring(2.5, OUTER_M)  # waits again
    assert scene.drive(3.0).place == on_ring(4.0, INNER_M)  # and back


def test_a_quarter_of_a_lane_change():
    scene = Scene(speed=0.5, waits=(2.0, 2.0), over=1.0).drive(2.5)
    w = 0.25**2 * (3 - 2 * 0.25)
    assert scene.place == on_ring(1.25, INNER_M + w * (OUTER_M - INNER_M))


def test_how_time_is_cut_changes_nothing():
    about = {"speed": 0.7, "waits": (0.5, 2.0), "over": 0.6, "seed": 3}
    whole = Scene(**about).drive(20.0)
    pieces = Scene(**about).drive(*np.random.default_rng(0).dirichlet(np.ones(300)) * 20.0)
    assert whole.row == pytest.approx(pieces.row, abs=1e-7)
    assert whole.row[OBJECT_DRAWS] > 5


def test_waiting_times_are_keyed_and_within_their_bounds():
    waits = []
    for seed in range(40):
        scene = Scene(speed=0.5, waits=(3.0, 5.0), seed=seed)
        waits.append(scene.row[OBJECT_WAITING])
        expected = 3.0 + 2.0 * keyed_uniform(seed, STREAM_LANE_CHANGE, 2, 5, 0, 0)
        assert waits[-1] == pytest.approx(expected, abs=1e-12)
    assert 3.0 <= min(waits) < 3.5
    assert 4.5 < max(waits) <= 5.0


def test_a_change_without_wait_and_way_comes_to_an_end():
    scene = Scene(speed=0.5, waits=(0.0, 0.0), over=0.0).drive(1.0)
    assert scene.row[OBJECT_ALONG] == pytest.approx(0.5)


def test_a_bot_car_at_fault_stands_for_its_penalty():
    scene = Scene(speed=0.5, waits=(2.0, 2.0))
    scene.row[OBJECT_PAUSE] = 1.5
    scene.drive(1.0)
    assert (scene.row[OBJECT_ALONG], scene.row[OBJECT_SPEED]) == (0.0, 0.0)
    scene.drive(1.0)  # half a second of standing is left
    assert scene.row[OBJECT_ALONG] == pytest.approx(0.25)
    assert scene.row[OBJECT_SPEED] == 0.5
    assert scene.row[OBJECT_WAITING] == pytest.approx(1.5)  # it does not wait for its change while it stands


def test_standing_bot_cars_stand():
    scene = Scene(along_m=3.0, speed=0.0, waits=(1.0, 1.0)).drive(10.0)
    assert scene.place == on_ring(3.0, INNER_M)
