"""Races with things in the way, on a round track where places can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from math import atan2, degrees, hypot, pi

import numpy as np
import pytest
from evaluation.round_track import LEFT, Script

from drctl.evaluation.race import Race
from drctl.evaluation.recording import CarLook, cut_into_laps
from drctl.evaluation.rules import RaceRules
from drctl.evaluation.video import frame_times
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.race_params import RaceParams
from drctl.simulation.environment_spec import WorldSpec
from drctl.simulation.race.objects import KIND_BOX, OBJECT_KIND

CRASHED = EpisodeStatus.CRASHED.index
PAUSE = EpisodeStatus.PAUSE.index
LAP_M = 2 * pi


@pytest.fixture
def race_spec(circle_spec, circle):
    """Return a function that makes a spec of the round track with what a race puts there."""

    def make(race, **changes):
        return circle_spec(worlds=(replace(circle, race=race),), **changes)

    return make


@pytest.fixture
def narrow_spec(circle_spec):
    """The same on a road of 0.6 m, whose lanes at 0.85 m and 1.15 m leave no room to pass."""
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    unit = np.column_stack([np.cos(angle), np.sin(angle)])
    unit[-1] = unit[0]
    rows = tuple(map(tuple, np.hstack([unit, 0.7 * unit, 1.3 * unit]).tolist()))
    return lambda race: circle_spec(worlds=(WorldSpec("narrow", rows, race=race),))


def around():
    """Drives round the circle of 0.96 m."""
    return Script(lambda _: LEFT)


def box(fraction, lane=-1):
    return RaceParams("OBJECT_AVOIDANCE", obstacle_positions=((fraction, lane),))


def angle_of(pose):
    return degrees(atan2(pose[1], pose[0])) % 360.0


def test_a_crash_with_a_box_puts_the_car_behind_it_on_the_other_lane(race_spec):
    """The box stands at 90 degrees on the inner lane, at 0.75 m; its contact rectangle reaches to 0.95 m."""
    rules = RaceRules(laps=1, collision_penalty_s=4.0, reset_behind_m=0.8)
    outcome = Race(race_spec(box(0.25, 1)), rules, around()).run()
    (row, *_) = np.flatnonzero(outcome.rows["status"] == CRASHED)
    pose = outcome.poses[row]
    # 0.8 m of the centre line, which has a radius of 1 m, before the box; on the outer lane, whose radius is 1.25 m.
    assert angle_of(pose) == pytest.approx(90.0 - degrees(0.8), abs=0.5)
    assert hypot(*pose[:2]) == pytest.approx(1.25, abs=2e-3)
    assert degrees(pose[2]) % 360.0 == pytest.approx(180.0 - degrees(0.8), abs=0.5)
    assert outcome.rows["pause_duration"][row] == pytest.approx(4.0)
    assert (outcome.rows["status"][row + 1 : row + 61] == PAUSE).all()
    lap = outcome.laps[0]
    assert lap.mishaps[EpisodeStatus.CRASHED] == lap.metrics().crash_count >= 1
    assert lap.penalty_s >= 4.0


def test_on_the_free_lane_nothing_happens(race_spec):
    spec = race_spec(RaceParams("OBJECT_AVOIDANCE", obstacle_positions=((0.5, -1),)))
    outcome = Race(spec, RaceRules(laps=1), Script(lambda _: LEFT)).run()
    # The circle of 0.96 m passes the box at 1.25 m: its contact rectangle begins at 1.05 m, the car's side is at 1.06 m
    # at most where it is farthest out.
    assert outcome.objects.shape[0] == 1
    assert outcome.object_poses.shape == (len(outcome.rows), 1, 3)
    assert (outcome.object_poses == outcome.object_poses[0]).all()
    assert outcome.objects[0, OBJECT_KIND] == KIND_BOX


def test_a_crash_with_a_car_that_drives_leaves_the_car_where_it_is(narrow_spec):
    race = RaceParams("HEAD_TO_BOT", bots=1, bot_gap_m=1.5, bot_speed_m_s=0.1)
    outcome = Race(narrow_spec(race), RaceRules(laps=1, collision_penalty_s=2.0), around()).run()
    (row, *_) = np.flatnonzero(outcome.rows["status"] == CRASHED)
    pose = outcome.poses[row]
    # It stays where it touched the bot car, and that drives on while it waits.
    assert hypot(*(pose[:2] - outcome.poses[row - 1][:2])) < 0.02
    before, after = outcome.object_poses[row, 0], outcome.object_poses[row + 30, 0]
    assert (angle_of(after) - angle_of(before)) % 360.0 == pytest.approx(degrees(0.1 * 2.0), abs=0.5)
    assert outcome.rows["progress"][row + 1] == pytest.approx(outcome.rows["progress"][row], abs=0.1)


def test_standing_bot_cars_are_gone_round_like_boxes(narrow_spec):
    race = RaceParams("HEAD_TO_BOT", bots=1, bot_gap_m=1.5, bot_speed_m_s=0.0)
    outcome = Race(narrow_spec(race), RaceRules(laps=1, reset_behind_m=0.8), around()).run()
    (row, *_) = np.flatnonzero(outcome.rows["status"] == CRASHED)
    assert angle_of(outcome.poses[row]) == pytest.approx(degrees(1.5 - 0.8), abs=0.5)
    assert hypot(*outcome.poses[row][:2]) == pytest.approx(1.15, abs=2e-3)


def test_a_place_where_another_box_stands_gives_way_to_one_farther_back(race_spec):
    """Behind the box that was hit, on the other lane, stands another one."""
    angle = 0.25 * LAP_M
    places = ((0.25, 1), ((angle - 0.8) / LAP_M, -1))
    race = RaceParams("OBJECT_AVOIDANCE", obstacle_positions=places)
    outcome = Race(race_spec(race), RaceRules(laps=1, reset_behind_m=0.8), around()).run()
    (row, *_) = np.flatnonzero(outcome.rows["status"] == CRASHED)
    pose = outcome.poses[row]
    other = outcome.object_poses[row, 1]
    away = pose[:2] - other[:2]
    ahead, aside = np.array([np.cos(other[2]), np.sin(other[2])]), np.array([-np.sin(other[2]), np.cos(other[2])])
    assert abs(away @ ahead) > 0.25 or abs(away @ aside) > 0.2
    assert outcome.rows["status"][row + 76] != CRASHED


def test_a_car_that_left_the_track_beside_a_box_is_put_behind_it(race_spec):
    """It drives straight on; where it would come back a box stands near."""
    rules = RaceRules(laps=1, reset_behind_m=0.5)
    script = Script(lambda step: 0 if 30 <= step < 60 else LEFT)
    free = Race(race_spec(RaceParams()), rules, Script(script.plan)).run()
    (row, *_) = np.flatnonzero(free.rows["status"] == EpisodeStatus.OFF_TRACK.index)
    at = angle_of(free.poses[row])
    # On the inner lane, 0.4 m farther on: out of the way of the car that leaves to the outside.
    fraction = ((at + degrees(0.4)) % 360.0) / 360.0
    outcome = Race(race_spec(box(fraction, 1)), rules, Script(script.plan)).run()
    (row, *_) = np.flatnonzero(outcome.rows["status"] == EpisodeStatus.OFF_TRACK.index)
    assert angle_of(outcome.poses[row]) == pytest.approx(at + degrees(0.4 - 0.5), abs=1.5)
    assert hypot(*outcome.poses[row][:2]) == pytest.approx(1.25, abs=2e-3)


def test_recordings_hold_what_was_on_the_track(race_spec, circle):
    race = RaceParams("HEAD_TO_BOT", bots=2, bot_gap_m=1.5, bot_speed_m_s=0.3)
    rules = RaceRules(laps=2, is_continuous=False, max_resets=0)
    outcome = Race(race_spec(race), rules, around()).run()
    laps = cut_into_laps(outcome, circle, rules, CarLook())
    frames = frame_times(laps)
    assert frames.object_poses.shape == (len(frames.lap), 2, 3)
    # Between two frames a bot car moves by a 15th of a second; a new lap begins with both where they were.
    angles = np.unwrap(np.arctan2(frames.object_poses[:, 0, 1], frames.object_poses[:, 0, 0]))
    moved = np.diff(angles)
    begins = np.flatnonzero(np.diff(frames.lap) > 0)
    assert np.delete(moved, begins) == pytest.approx(0.3 / 15, abs=2e-3)
    assert len(begins) == 1
