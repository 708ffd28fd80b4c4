"""Objects that have no room."""

from __future__ import annotations

from drctl.formats.race_params import RaceParams
from drctl.operations.spacing_check import check_spacing


def test_bot_cars_without_room_are_told_of():
    # From 3 m to 1 m before the end of 20 m there are 16 m: room for 6 cars 3 m apart.
    (found,) = check_spacing(RaceParams("HEAD_TO_BOT", bots=9, bot_gap_m=3.0), 20.0)
    assert found.what == "9 bot cars do not fit 3.00 m apart on a lap of 20.0 m: 2.00 m are left"
    assert (found.where, found.fix) == ("DR_H2B_NUMBER_OF_BOT_CARS", "set DR_H2B_NUMBER_OF_BOT_CARS to 6 or less")
    assert check_spacing(RaceParams("HEAD_TO_BOT", bots=6, bot_gap_m=3.0), 20.0) == []


def test_so_are_obstacles_and_given_places_are_not():
    race = RaceParams("OBJECT_AVOIDANCE", obstacles=5, obstacle_gap_percent=25.0)
    (found,) = check_spacing(race, 20.0)
    assert found.fix == "set DR_OA_NUMBER_OF_OBSTACLES to 3 or less"
    given = RaceParams("OBJECT_AVOIDANCE", obstacles=5, obstacle_gap_percent=25.0, obstacle_positions=((0.1, 1),) * 2)
    assert check_spacing(given, 20.0) == []
    assert check_spacing(RaceParams(obstacles=5, bots=50), 20.0) == []
