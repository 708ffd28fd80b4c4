"""Two cars on a round track, in lock step: where they start, what each sees of the other, who is at fault, who wins."""

from __future__ import annotations

import json
from dataclasses import replace
from math import atan2, degrees, hypot

import numpy as np
import pytest
from evaluation.round_track import LEFT, METADATA, STRAIGHT, Script

from drctl.evaluation.race import Duel, DuelCar, RaceOutcome, find_winner, start_fraction_of
from drctl.evaluation.recording import CarLook, RivalRun, cut_into_laps
from drctl.evaluation.rules import RacedLap, RaceRules
from drctl.evaluation.video import frame_times
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.race_params import RaceParams
from drctl.simulation.environment_spec import WorldSpec
from drctl.simulation.race.objects import OBJECT_BLUE, OBJECT_RED, OBJECT_SIZE
from drctl.simulation.race.traffic import HIDDEN_POSE

CRASHED, PAUSE = EpisodeStatus.CRASHED.index, EpisodeStatus.PAUSE.index
PURPLE, ORANGE = (159, 42, 195), (255, 160, 10)
RACE = RaceParams("HEAD_TO_MODEL")


def metadata(speed, **changes):
    actions = [{**action, "speed": speed} for action in METADATA["action_space"]]
    return json.dumps({**METADATA, "action_space": actions, **changes})


@pytest.fixture
def duel(circle, circle_spec):
    """Return a function that races two cars round the circle, or by plans, at two speeds."""

    def run(rules, speeds=(0.6, 0.9), plans=(lambda _: LEFT,) * 2, world=circle, spec=circle_spec, **changes):
        world = replace(world, race=RACE)
        cars = [
            DuelCar(spec(worlds=(world,), metadata=metadata(speed), **changes), Script(plan), color)
            for speed, plan, color in zip(speeds, plans, (PURPLE, ORANGE), strict=True)
        ]
        return Duel(cars, rules).run()

    return run


@pytest.fixture
def narrow():
    """A road of 0.6 m, whose lanes at 0.85 m and 1.15 m leave no room to pass."""
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    unit = np.column_stack([np.cos(angle), np.sin(angle)])
    unit[-1] = unit[0]
    return WorldSpec("narrow", tuple(map(tuple, np.hstack([unit, 0.7 * unit, 1.3 * unit]).tolist())))


def angle_of(pose):
    return degrees(atan2(pose[1], pose[0]))


def test_they_start_one_behind_the_other_on_different_lanes(duel, circle):
    first, second = duel(RaceRules(laps=1, max_resets=0))
    # The lanes of the road from 0.5 m to 1.5 m lie at 0.75 m and 1.25 m; 0.75 m of a centre line with radius 1 m are
    # 0.75 rad.
    assert hypot(*first.poses[0][:2]) == pytest.approx(1.25, abs=2e-3)
    assert angle_of(first.poses[0]) == pytest.approx(0.0, abs=0.1)
    assert hypot(*second.poses[0][:2]) == pytest.approx(0.75, abs=2e-3)
    assert angle_of(second.poses[0]) == pytest.approx(-degrees(0.75), abs=0.2)
    straight = [[float(x), 0.0, float(x), 0.3, float(x), -0.3] for x in range(5)]
    open_track = WorldSpec("open", tuple(map(tuple, straight))).load()
    assert not open_track.is_closed
    assert start_fraction_of(1, open_track, 0.0) == 0.0
    assert start_fraction_of(1, circle.load(), 0.5) == pytest.approx(0.5 - 0.75 / (2 * np.pi), abs=1e-3)


def test_each_sees_the_other_where_it_is_at_the_same_moment(duel):
    first, second = duel(RaceRules(laps=1, max_resets=3), has_step_jitter=True)
    both = min(len(first.rows), len(second.rows))
    np.testing.assert_array_equal(first.rows["tstamp"][:both], second.rows["tstamp"][:both])
    np.testing.assert_array_equal(first.object_poses[: both - 1, 0], second.poses[: both - 1])
    np.testing.assert_array_equal(second.object_poses[: both - 1, 0], first.poses[: both - 1])
    assert first.objects[0, OBJECT_RED : OBJECT_BLUE + 1].tolist() == list(ORANGE)
    assert second.objects[0, OBJECT_RED : OBJECT_BLUE + 1].tolist() == list(PURPLE)
    # The quicker car has finished before; from then on it is not on the track any more.
    assert len(second.rows) < len(first.rows)
    assert (first.object_poses[both - 1 :, 0] == HIDDEN_POSE).all()


def test_the_car_behind_has_crashed_and_waits_where_it_is(duel, narrow):
    first, second = duel(RaceRules(laps=1, collision_penalty_s=2.0), world=narrow)
    assert not (first.rows["status"] == CRASHED).any()
    (row, *_) = np.flatnonzero(second.rows["status"] == CRASHED)
    assert second.laps[0].metrics().crash_count >= 1
    assert second.laps[0].penalty_s >= 2.0
    # 2 s are 30 steps of 1/15 s, in which it stands at the place where it touched the other one.
    assert (second.rows["status"][row + 1 : row + 31] == PAUSE).all()
    assert second.rows["status"][row + 31] != PAUSE
    assert hypot(*(second.poses[row] - second.poses[row - 1])[:2]) < 1e-9
    assert (second.poses[row : row + 31] == second.poses[row]).all()
    # A corner of the car behind is inside the car in front: their middles are within two half diagonals.
    away = first.poses[row - 1][:2] - second.poses[row - 1][:2]
    assert hypot(*away) < 2 * hypot(0.32352, 0.1961) / 2
    assert first.laps[0].is_complete


def test_a_car_that_waits_for_a_penalty_is_not_touched(duel, narrow):
    """The first car leaves the road and is put where the second one comes along."""
    rules = RaceRules(laps=1, off_track_penalty_s=10.0, max_resets=20)
    plans = (lambda step: STRAIGHT if 20 <= step < 45 else LEFT, lambda _: LEFT)
    first, second = duel(rules, speeds=(0.9, 0.6), plans=plans, world=narrow)
    waiting = first.rows["status"] == PAUSE
    assert waiting.sum() >= 150
    both = min(len(first.rows), len(second.rows))
    away = np.hypot(*(first.poses[:both, :2] - second.poses[:both, :2]).T)
    # It drives through the place where the other one stands.
    assert away[waiting[:both]].min() < 0.15
    assert not (second.rows["status"] == CRASHED).any()


def test_laps_that_start_anew_begin_for_both_at_once(duel, circle):
    rules = RaceRules(laps=2, is_continuous=False, max_resets=0)
    quick, slow = duel(rules, speeds=(0.9, 0.6))
    assert all(lap.is_complete for lap in (*quick.laps, *slow.laps))
    assert [lap.start_s for lap in quick.laps] == [lap.start_s for lap in slow.laps] == [0.0, slow.laps[0].end_s]
    assert [lap.number for lap in quick.laps] == [1, 2]
    assert find_winner((quick, slow), 2) == 0
    # In the video of the quicker car there is nothing of the time in which it waited for the other one.
    run = RivalRun(slow, CarLook("Slow"), is_beaten=True)
    laps = cut_into_laps(quick, circle, rules, CarLook("Quick"), run)
    assert laps[1].times_s[0] - laps[0].times_s[-1] < 2.0 / 15.0
    assert all(lap.has_won and lap.rival.look.name == "Slow" for lap in laps)
    assert (np.diff(frame_times(laps).clock_s) < 0).sum() == 1
    (one, other) = cut_into_laps(slow, circle, rules, CarLook("Slow"), RivalRun(quick, CarLook("Quick")))
    assert not one.has_won
    assert [bool(one.rival.is_there[row]) for row in (0, -1)] == [True, False]
    assert one.rival.lap.tolist() == [1] * len(one.times_s)
    assert one.rival.lap_clock_s[-1] == pytest.approx(quick.laps[0].total_s)
    assert other.rival.is_there[0]
    assert not one.rival.is_out.any()


def test_a_car_without_resets_left_is_out(duel, circle):
    rules = RaceRules(laps=1, max_resets=0)
    done, out = duel(rules, speeds=(0.9, 0.6), plans=(lambda _: LEFT, lambda step: LEFT if step < 20 else STRAIGHT))
    assert not out.laps[0].is_complete
    (lap,) = cut_into_laps(done, circle, rules, CarLook(), RivalRun(out, CarLook()))
    assert (lap.rival.is_out == ~lap.rival.is_there).all()
    assert lap.rival.is_out[-1]


def test_cars_with_other_sensors_race_each_other(circle, circle_spec):
    world = replace(circle, race=RACE)
    sees = metadata(0.6, sensor=["STEREO_CAMERAS", "LIDAR"])
    frames = []

    class Watcher:
        def begin(self):
            pass

        def act(self, frame):
            frames.append(frame.copy())
            return np.array([LEFT])

    cars = [
        DuelCar(circle_spec(worlds=(world,), metadata=metadata(0.9)), Script(lambda _: LEFT), PURPLE),
        DuelCar(circle_spec(worlds=(world,), metadata=sees), Watcher(), ORANGE),
    ]
    first, second = Duel(cars, RaceRules(laps=1, max_resets=3)).run()
    assert first.laps[0].is_complete
    assert second.laps[0].is_complete
    assert frames[0].shape == (2 * 120 * 160 + 64,)  # two pictures and 64 rays


LAP = RacedLap(1, 0.0, 10.0, EpisodeStatus.LAP_COMPLETE, 100.0)
SLOWER = replace(LAP, end_s=11.0)
BROKEN = replace(LAP, end_s=3.0, status=EpisodeStatus.OFF_TRACK)


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ((LAP, LAP), (LAP, SLOWER), 0),
        ((LAP, SLOWER), (LAP, LAP), 1),
        ((LAP, BROKEN), (SLOWER, SLOWER), 1),
        ((LAP, BROKEN), (LAP,), None),
        ((LAP, SLOWER), (SLOWER, LAP), None),
    ],
)
def test_the_winner_completes_all_laps_in_the_least_time(first, second, winner):
    nothing = (np.zeros(0), np.zeros((0, 3)), np.zeros(0), np.zeros((1, OBJECT_SIZE)), np.zeros((0, 1, 3)))
    assert find_winner([RaceOutcome(laps, *nothing) for laps in (first, second)], 2) == winner
