"""Races on a round track, where places and clocks can be worked out by hand."""

from __future__ import annotations

from math import atan2, degrees, hypot, pi

import numpy as np
import pytest
from evaluation.round_track import LEFT, RIGHT, STRAIGHT, Script

from drctl.evaluation.race import Race
from drctl.evaluation.recording import CarLook, cut_into_laps
from drctl.evaluation.rules import RacedLap, RaceRules
from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.environment import BatchEnvironment
from drctl.simulation.episode import EpisodeStart

STEP_S = 1.0 / 15.0
PAUSE = EpisodeStatus.PAUSE.index
OFF_TRACK = EpisodeStatus.OFF_TRACK.index
IN_PROGRESS = EpisodeStatus.IN_PROGRESS.index
LAP_COMPLETE = EpisodeStatus.LAP_COMPLETE.index


def astray(*, at, until):
    """Drive round the circle, but straight on in the steps from `at` to before `until`."""
    return Script(lambda step: STRAIGHT if at <= step < until else LEFT)


def test_a_clean_race_is_laps_one_after_the_other(circle_spec):
    outcome = Race(circle_spec(), RaceRules(laps=3), Script(lambda _: LEFT)).run()
    first, second, third = outcome.laps
    assert all(lap.is_complete and lap.progress_percent == 100.0 for lap in outcome.laps)
    assert first.start_s == 0.0
    assert (second.start_s, third.start_s) == (first.end_s, second.end_s)
    # Every step is one camera frame, so a lap takes as many of them as it has rows.
    for lap in outcome.laps:
        rows = outcome.rows[outcome.rows["episode"] == lap.number - 1]
        assert lap.total_s == pytest.approx(len(rows) * STEP_S, abs=1e-9)
        assert rows["done"].tolist() == [False] * (len(rows) - 1) + [True]
        assert rows["status"][-1] == LAP_COMPLETE
        assert rows["progress"][0] < 2.5
    # Once round at 0.6 m/s x 36/35 on a circle of 0.96 m around the pivot (simulator-facts 0.5, 1.5).
    assert third.total_s == pytest.approx(2 * pi * 0.956 / (0.6 * 36 / 35), rel=0.02)
    assert outcome.rows["steps"].tolist() == list(range(1, len(outcome.rows) + 1))
    assert np.diff(outcome.rows["tstamp"]) == pytest.approx(STEP_S)


def test_a_penalty_stops_the_car_and_not_the_clock(circle_spec):
    rules = RaceRules(laps=1, off_track_penalty_s=5.0)
    outcome = Race(circle_spec(), rules, astray(at=30, until=80)).run()
    (lap,) = outcome.laps
    waiting = outcome.rows["status"] == PAUSE
    off_tracks = np.flatnonzero(outcome.rows["status"] == OFF_TRACK)
    assert len(off_tracks) == lap.resets == lap.mishaps[EpisodeStatus.OFF_TRACK] >= 1
    assert waiting.sum() == 75 * lap.resets  # 5 s of 15 frames
    assert lap.penalty_s == 5.0 * lap.resets
    assert lap.driving_s == pytest.approx((~waiting).sum() * STEP_S, abs=1e-9)
    assert lap.total_s == pytest.approx((~waiting).sum() * STEP_S + 5.0 * lap.resets, abs=1e-9)
    # The row that left the track shows the whole penalty, the last one that waits none of it.
    first = off_tracks[0]
    left = outcome.rows["pause_duration"][first : first + 77]
    assert left == pytest.approx([*np.linspace(5.0, 0.0, 76), 0.0], abs=1e-9)
    paused = outcome.rows[waiting]
    assert not paused["reward"].any()
    assert not paused["throttle"].any()
    assert not paused["done"].any()
    metrics = lap.metrics()
    assert metrics.elapsed_time_in_milliseconds == round(lap.total_s * 1000)
    assert (metrics.off_track_count, metrics.reset_count, metrics.crash_count) == (lap.resets, lap.resets, 0)


def test_the_last_piece_of_a_penalty_is_as_short_as_it_must_be(circle_spec):
    rules = RaceRules(laps=1, off_track_penalty_s=1.03)
    outcome = Race(circle_spec(), rules, astray(at=30, until=50)).run()
    (lap,) = outcome.laps
    waiting = outcome.rows["status"] == PAUSE
    assert lap.resets == 1
    assert waiting.sum() == 16  # 15 frames are 1.0 s
    assert lap.total_s == pytest.approx((~waiting).sum() * STEP_S + 1.03, abs=1e-9)


def test_the_car_is_put_back_beside_the_progress_of_the_step_before(circle_spec):
    outcome = Race(circle_spec(), RaceRules(laps=1), astray(at=30, until=50)).run()
    (row,) = np.flatnonzero(outcome.rows["status"] == OFF_TRACK)
    x, y, yaw = outcome.poses[row]
    # It left over the outer border, so it comes to the outer lane: midway between 1.0 m and 1.5 m.
    assert hypot(x, y) == pytest.approx(1.25, abs=1e-3)
    angle = outcome.rows["progress"][row - 1] / 100.0 * 360.0
    assert degrees(atan2(y, x)) == pytest.approx(angle, abs=0.2)
    assert degrees(yaw) % 360.0 == pytest.approx((angle + 90.0) % 360.0, abs=1.0)
    # It stands there until the penalty is over, and then goes on from where it stands.
    assert (outcome.poses[row : row + 76] == outcome.poses[row]).all()
    assert outcome.rows["status"][row + 76] == IN_PROGRESS
    assert outcome.rows["progress"][row + 76] == pytest.approx(outcome.rows["progress"][row - 1], abs=3.0)
    assert outcome.resets[row - 1 : row + 1].tolist() == [0, 1]


def test_progress_counts_from_the_start_wherever_that_is(circle_spec):
    # The original forgets the start's place when it puts a car back (contract 10.18).
    rules = RaceRules(laps=1, start_fraction=0.6)
    outcome = Race(circle_spec(), rules, astray(at=30, until=50)).run()
    (row,) = np.flatnonzero(outcome.rows["status"] == OFF_TRACK)
    x, y, _ = outcome.poses[row]
    angle = (0.6 + outcome.rows["progress"][row - 1] / 100.0) * 360.0
    assert degrees(atan2(y, x)) % 360.0 == pytest.approx(angle % 360.0, abs=0.2)
    assert outcome.laps[0].is_complete


def test_a_lap_that_runs_out_of_resets_is_recorded(circle_spec):
    rules = RaceRules(laps=3, max_resets=2, off_track_penalty_s=2.0)
    outcome = Race(circle_spec(), rules, Script(lambda _: STRAIGHT)).run()
    (lap,) = outcome.laps
    assert lap.status is EpisodeStatus.OFF_TRACK
    assert (lap.resets, lap.mishaps[EpisodeStatus.OFF_TRACK], lap.penalty_s) == (2, 3, 4.0)
    metrics = lap.metrics()
    assert metrics.episode_status == "Off track"
    assert (metrics.reset_count, metrics.trial) == (3, 1)
    assert 0 < metrics.completion_percentage < 100
    assert outcome.rows["done"].tolist() == [False] * (len(outcome.rows) - 1) + [True]


def test_no_resets_end_a_lap_at_its_first_mishap(circle_spec):
    rules = RaceRules(laps=2, is_continuous=False, max_resets=0)
    outcome = Race(circle_spec(), rules, Script(lambda _: STRAIGHT)).run()
    first, second = outcome.laps
    for lap in (first, second):
        assert (lap.status, lap.resets, lap.penalty_s) == (EpisodeStatus.OFF_TRACK, 0, 0.0)
        assert lap.metrics().off_track_count == 1
    assert second.start_s == first.end_s
    assert second.total_s == pytest.approx(first.total_s)
    assert outcome.rows["steps"].tolist() == [*range(1, len(outcome.rows) // 2 + 1)] * 2
    assert outcome.rows["episode"].tolist() == [0] * (len(outcome.rows) // 2) + [1] * (len(outcome.rows) // 2)


def test_resets_are_counted_per_lap_when_laps_are_independent(circle_spec):
    rules = RaceRules(laps=2, is_continuous=False, max_resets=2, off_track_penalty_s=0.0)
    outcome = Race(circle_spec(), rules, Script(lambda _: STRAIGHT)).run()
    assert [lap.resets for lap in outcome.laps] == [2, 2]
    assert not (outcome.rows["status"] == PAUSE).any()
    assert outcome.resets[-1] == 4


def test_driving_back_is_a_mishap(circle_spec):
    # A right turn from the start leads back along the circle's other side before it leaves the track.
    rules = RaceRules(laps=1, is_continuous=False, max_resets=0, is_reversed=True)
    assert Race(circle_spec(), rules, Script(lambda _: RIGHT)).run().laps[0].is_complete
    rules = RaceRules(laps=1, is_continuous=False, max_resets=0)
    assert not Race(circle_spec(), rules, Script(lambda _: RIGHT)).run().laps[0].is_complete


def test_the_reversed_direction_puts_the_car_back_in_that_direction(circle_spec):
    rules = RaceRules(laps=1, is_reversed=True)
    script = Script(lambda step: STRAIGHT if 30 <= step < 50 else RIGHT)
    outcome = Race(circle_spec(), rules, script).run()
    (row,) = np.flatnonzero(outcome.rows["status"] == OFF_TRACK)
    x, y, yaw = outcome.poses[row]
    angle = -outcome.rows["progress"][row - 1] / 100.0 * 360.0
    assert degrees(atan2(y, x)) == pytest.approx(angle, abs=0.2)
    assert degrees(yaw) % 360.0 == pytest.approx((angle - 90.0) % 360.0, abs=1.0)


def test_each_mishap_has_its_penalty():
    rules = RaceRules(off_track_penalty_s=3.0, collision_penalty_s=7.0)
    costs = {status: rules.penalty_s(status) for status in EpisodeStatus if status.value in COSTS}
    assert {status.value: cost for status, cost in costs.items()} == COSTS


COSTS = {"off_track": 3.0, "reversed": 3.0, "crashed": 7.0, "immobilized": 0.0}


def test_the_first_lap_is_the_trainers_own_first_trial(circle_spec):
    spec = circle_spec(has_step_jitter=True, seed=4)
    outcome = Race(spec, RaceRules(laps=1, is_continuous=False, max_resets=0), Script(lambda _: LEFT), 6).run()
    environment = BatchEnvironment(spec, 1)
    environment.begin(0, EpisodeStart("evaluation", 6, 0))
    while not environment.step(np.array([0]), np.array([LEFT])).terminated[0]:
        pass
    expected = environment.record(0).rows
    for name in ("x", "y", "tstamp", "progress", "reward", "status", "done", "steps"):
        assert (outcome.rows[name] == expected[name]).all(), name
    assert np.ptp(np.diff(expected["tstamp"])) > 0.01  # steps do differ in length


def test_progress_is_reported_and_every_lap_announced(circle_spec):
    seen = []
    Race(circle_spec(), RaceRules(laps=2), Script(lambda _: LEFT), on_progress=seen.append).run()
    assert [report.finished.number for report in seen if report.finished] == [1, 2]
    running = [report.progress_percent for report in seen if report.lap == 1 and not report.finished]
    assert running == sorted(running)
    assert len(running) >= 8


def test_a_race_is_cut_into_recordings_of_its_laps(circle_spec, circle):
    rules = RaceRules(laps=2)
    outcome = Race(circle_spec(), rules, astray(at=30, until=50)).run()
    look = CarLook("Name", "Racer", "Blue", "f1_2021", "TIME_TRIAL")
    first, second = cut_into_laps(outcome, circle, rules, look)
    assert len(first.poses) + len(second.poses) == len(outcome.rows)
    assert (first.lap, second.lap, second.laps_total) == (1, 2, 2)
    assert first.lap_clock_s[-1] == pytest.approx(outcome.laps[0].total_s)
    assert second.lap_clock_s[0] == pytest.approx(STEP_S)
    assert second.times_s[0] == pytest.approx(first.times_s[-1] + STEP_S)
    assert (first.best_lap_s, second.best_lap_s) == (None, outcome.laps[0].total_s)
    assert (first.resets[0], second.resets[-1]) == (0, 1)
    assert (first.display_name, first.car_color, first.is_reversed) == ("Name", "Blue", False)
    paused = first.statuses == PAUSE
    assert not first.speed_m_s[paused].any()


def test_an_entry_of_the_metrics_is_rounded_from_the_laps_figures():
    lap = RacedLap(2, 28.3106, 56.6514, EpisodeStatus.LAP_COMPLETE, 100.0)
    assert lap.metrics().start_time == 28311
    assert lap.metrics().metric_time == 56651
    assert lap.metrics().elapsed_time_in_milliseconds == 28340
