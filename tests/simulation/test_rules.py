"""Progress and the ends of episodes, on sequences worked out by hand (contract 5.1, 5.3)."""

import numpy as np
import pytest

from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.race.measuring import MEASURE_SIZE, NOSE_X, NOSE_Y, PROJECTION, WHEELS_ON_TRACK
from drctl.simulation.race.rules import PROGRESS, RACE_SIZE, begin_race, count_progress, judge

LENGTH_M = 20.0


@pytest.mark.parametrize(
    ("fraction", "start", "previous", "expected"),
    [
        (0.007, 0.0, 0.0, 0.7),  # the nose is past the line from the start
        (0.507, 0.5, 0.0, 0.7),
        (0.002, 0.995, 0.0, 0.7),  # over the finish line from a start just before it
        (0.4, 0.5, 80.0, 90.0),
        (0.999, 0.0, 1.0, -0.1),  # rolled back over the line
        (0.997, 0.0, -0.1, -0.3),
        (0.001, 0.0, 99.8, 100.0),  # a full lap, capped
        (0.2, 0.0, 10.0, 20.0),
    ],
)
def test_progress(fraction, start, previous, expected):
    assert count_progress(fraction, start, previous) == pytest.approx(expected)


class Race:
    """A car that is put where the test says."""

    def __init__(self, along_m=0.14):
        self.state = np.zeros(RACE_SIZE)
        begin_race(0.0, LENGTH_M, self.row(along_m), self.state)

    @staticmethod
    def row(along_m, wheels=4, aside_m=0.0):
        row = np.zeros(MEASURE_SIZE)
        row[[NOSE_X, NOSE_Y, PROJECTION, WHEELS_ON_TRACK]] = along_m, aside_m, along_m % LENGTH_M, wheels
        return row

    def judge(self, *args, **kwargs):
        return EpisodeStatus.from_index(judge(LENGTH_M, self.row(*args, **kwargs), self.state))


def drive_to(race, along_m):
    for place in np.arange(0.5, along_m, 0.5):
        assert race.judge(place) is EpisodeStatus.IN_PROGRESS


def test_a_lap_is_complete_when_the_nose_is_back_where_the_lap_began():
    race = Race()
    drive_to(race, 20.0)
    assert race.judge(20.001) is EpisodeStatus.LAP_COMPLETE
    assert race.state[PROGRESS] == 100.0


def test_a_lap_wins_over_leaving_the_track():
    race = Race()
    drive_to(race, 20.0)
    assert race.judge(20.1, wheels=0) is EpisodeStatus.LAP_COMPLETE


def test_off_the_track_is_without_any_wheel_on_it():
    race = Race()
    assert race.judge(0.5, wheels=1) is EpisodeStatus.IN_PROGRESS
    assert race.judge(0.6, wheels=0) is EpisodeStatus.OFF_TRACK


def test_the_15th_step_without_movement_ends_the_episode():
    race = Race()
    for step in range(14):
        assert race.judge(0.14 + 0.00029 * (step + 1)) is EpisodeStatus.IN_PROGRESS
    assert race.judge(0.14 + 0.00029 * 15) is EpisodeStatus.IMMOBILIZED


def test_a_movement_of_more_than_a_third_of_a_millimetre_begins_the_count_again():
    race = Race()
    for _ in range(14):
        race.judge(0.14)
    assert race.judge(0.1404) is EpisodeStatus.IN_PROGRESS
    for _ in range(14):
        assert race.judge(0.1404) is EpisodeStatus.IN_PROGRESS
    assert race.judge(0.1404) is EpisodeStatus.IMMOBILIZED


def test_the_15th_step_backwards_ends_the_episode():
    race = Race()
    drive_to(race, 5.1)
    for step in range(14):
        assert race.judge(5.0 - 0.05 * (step + 1)) is EpisodeStatus.IN_PROGRESS
    assert race.judge(4.25) is EpisodeStatus.REVERSED


def test_equal_progress_is_not_backwards():
    race = Race()
    drive_to(race, 5.1)
    for step in range(14):
        race.judge(5.0 - 0.05 * (step + 1))
    assert race.judge(4.3, aside_m=0.1) is EpisodeStatus.IN_PROGRESS
    assert race.judge(4.25) is EpisodeStatus.IN_PROGRESS


def test_backwards_from_the_start_line_is_backwards():
    race = Race(along_m=0.14)
    statuses = [race.judge(0.14 - 0.05 * (step + 1)) for step in range(15)]
    assert statuses[-1] is EpisodeStatus.REVERSED
    assert race.state[PROGRESS] == pytest.approx(100 * (0.14 - 0.75) / LENGTH_M)


def test_leaving_the_track_wins_over_standing_still_and_both_over_driving_backwards():
    race = Race()
    drive_to(race, 5.1)
    for step in range(14):
        race.judge(5.0 - 1e-5 * (step + 1))  # backwards, and too little to be a movement
    assert race.judge(5.0 - 15e-5) is EpisodeStatus.IMMOBILIZED
    assert race.judge(5.0 - 16e-5, wheels=0) is EpisodeStatus.OFF_TRACK
