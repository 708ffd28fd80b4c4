"""Where objects stand when an episode begins."""

from __future__ import annotations

import numpy as np
import pytest

from drctl.formats.race_params import RaceParams
from drctl.simulation.race.placement import find_places

KEY = (0, 3, 7)


def test_given_places_are_fractions_of_the_lap():
    race = RaceParams("OBJECT_AVOIDANCE", obstacles=6, obstacle_positions=((0.25, -1), (0.5, 1)))
    assert find_places(race, 20.0, 0, KEY) == [(5.0, -1.0), (10.0, 1.0)]


def test_obstacles_are_spread_from_the_gap_to_a_metre_before_the_finish():
    race = RaceParams("OBJECT_AVOIDANCE", obstacles=4, obstacle_gap_percent=5.0)  # 1 m of 20 m
    expected = np.array([(1.0, 1.0), (7.0, -1.0), (13.0, 1.0), (19.0, -1.0)])
    assert np.array(find_places(race, 20.0, 0, KEY)) == pytest.approx(expected)


def test_bot_cars_keep_their_gap_in_metres():
    race = RaceParams("HEAD_TO_BOT", bots=3, bot_gap_m=2.0)
    expected = np.array([(2.0, 1.0), (11.0, -1.0), (20.0, 1.0)])
    assert np.array(find_places(race, 21.0, 0, KEY)) == pytest.approx(expected)


def test_one_object_stands_at_its_gap():
    assert find_places(RaceParams("HEAD_TO_BOT", bots=1, bot_gap_m=3.0), 21.0, 0, KEY) == [(3.0, 1.0)]


def test_random_places_keep_the_gap_and_use_both_lanes():
    race = RaceParams("OBJECT_AVOIDANCE", obstacles=5, obstacle_gap_percent=10.0, randomizes_obstacles=True)
    found = [find_places(race, 20.0, 1, (0, 0, episode)) for episode in range(200)]
    along = np.array([[place for place, _ in places] for places in found])
    lanes = np.array([[lane for _, lane in places] for places in found])
    assert np.diff(along, axis=1).min() >= 2.0 - 1e-9
    assert along.min() >= 2.0
    assert along.max() <= 19.0
    assert along.std(axis=0).min() > 0.5  # each of them moves
    assert 0.4 < (lanes == 1.0).mean() < 0.6
    assert len({tuple(row) for row in along.tolist()}) == 200


def test_the_gap_does_not_shrink_from_episode_to_episode():
    """The original multiplies it by the length at every reset (contract 10.16)."""
    race = RaceParams("OBJECT_AVOIDANCE", obstacles=2, obstacle_gap_percent=40.0)
    assert [find_places(race, 17.0, 0, (0, 0, episode))[0][0] for episode in range(5)] == pytest.approx([6.8] * 5)


def test_places_depend_on_their_key_alone():
    race = RaceParams("HEAD_TO_BOT", bots=4, randomizes_bots=True)
    assert find_places(race, 30.0, 5, KEY) == find_places(race, 30.0, 5, KEY)
    others = [find_places(race, 30.0, *key) for key in ((6, KEY), (5, (0, 3, 8)), (5, (0, 4, 7)), (5, (1 << 20, 3, 7)))]
    assert all(places != find_places(race, 30.0, 5, KEY) for places in others)


def test_what_does_not_fit_is_spread_all_the_same():
    race = RaceParams("HEAD_TO_BOT", bots=10, bot_gap_m=3.0, randomizes_bots=True)
    along = [place for place, _ in find_places(race, 10.0, 0, KEY)]
    assert along == pytest.approx(np.linspace(3.0, 9.0, 10))


def test_no_objects_no_places():
    assert find_places(RaceParams("TIME_TRIAL", obstacles=3, bots=3), 20.0, 0, KEY) == []
