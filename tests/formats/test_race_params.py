"""Race types and their objects: from settings through the worker's file and back."""

from __future__ import annotations

import json

import pytest

from drctl.config.settings import Settings
from drctl.errors import FormatError
from drctl.formats.fields import FieldReader
from drctl.formats.race_params import RaceParams, parse_position, race_of, read_race_params
from drctl.formats.training_params import parse_training_params, render_training_params, training_params_for


def settings(**changes):
    return Settings(local_s3_model_prefix="m", local_s3_metrics_prefix="m/metrics", **changes)


def through_the_file(**changes):
    return parse_training_params(render_training_params(training_params_for(settings(**changes))), "f").race


OBSTACLES = {
    "race_type": "OBJECT_AVOIDANCE",
    "oa_number_of_obstacles": 4,
    "oa_min_distance_between_obstacles": 7.5,
    "oa_randomize_obstacle_locations": True,
    "oa_is_obstacle_bot_car": True,
    "oa_obstacle_type": "amazon_box_obstacle",
}
BOTS = {
    "race_type": "HEAD_TO_BOT",
    "h2b_number_of_bot_cars": 5,
    "h2b_min_distance_between_bot_cars": 1.25,
    "h2b_randomize_bot_car_locations": True,
    "h2b_bot_car_speed": 0.75,
    "h2b_is_lane_change": True,
    "h2b_lower_lane_change_time": 2.0,
    "h2b_upper_lane_change_time": 2.5,
    "h2b_lane_change_distance": 1.5,
    "h2b_bot_car_penalty": 4.0,
}


def test_obstacles_reach_the_worker():
    race = through_the_file(**OBSTACLES)
    assert (race.race_type, race.objects, race.obstacle_gap_percent) == ("OBJECT_AVOIDANCE", 4, 7.5)
    assert (race.randomizes_obstacles, race.are_obstacles_cars, race.obstacle_kind) == (
        True, True, "amazon_box_obstacle",
    )  # fmt: skip


def test_places_take_the_place_of_the_number():
    race = through_the_file(**OBSTACLES | {"oa_object_positions": "0.25,-1; 1.5,1;0.5,-1.0;"})
    assert race.obstacle_positions == ((0.25, -1), (0.5, 1), (0.5, -1))
    assert race.objects == 3


def test_bot_cars_reach_the_worker():
    race = through_the_file(**BOTS)
    assert (race.race_type, race.objects, race.bot_gap_m, race.randomizes_bots) == ("HEAD_TO_BOT", 5, 1.25, True)
    assert (race.bot_speed_m_s, race.changes_lanes, race.lane_change_after_s) == (0.75, True, (2.0, 2.5))
    assert (race.lane_change_over_m, race.bot_penalty_s) == (1.5, 4.0)


@pytest.mark.parametrize("changes", [OBSTACLES, BOTS])
def test_an_evaluation_reads_the_settings_as_a_training_does(changes):
    own, worker = race_of(settings(**changes)), through_the_file(**changes)
    part = "bot" if changes is BOTS else "obstacle"
    for name, value in own.to_json().items():
        if part in name or "lane" in name or name == "race_type":
            assert getattr(worker, name) == value, name


def test_a_time_trial_has_nothing_on_the_track():
    assert through_the_file(oa_number_of_obstacles=5).objects == 0
    assert race_of(settings(oa_number_of_obstacles=5)).objects == 0
    assert race_of(settings(race_type="HEAD_TO_MODEL", oa_number_of_obstacles=5)).objects == 0


def test_params_travel_as_json():
    race = race_of(settings(**BOTS | {"oa_object_positions": "0.1,1"}))
    assert RaceParams.from_json(json.loads(json.dumps(race.to_json()))) == race


def test_every_lane_but_minus_one_is_the_inner_one():
    assert [parse_position(f"0.5,{lane}") for lane in ("-1", "-1.0", "1", "0", "2")] == [
        (0.5, -1), (0.5, -1), (0.5, 1), (0.5, 1), (0.5, 1),
    ]  # fmt: skip


def test_all_that_is_wrong_is_told_at_once():
    values = {
        "RACE_TYPE": "F1",
        "NUMBER_OF_OBSTACLES": "many",
        "OBJECT_POSITIONS": ["0.5"],
        "OBSTACLE_TYPE": "box",
        "LOWER_LANE_CHANGE_TIME": "6",
        "BOT_CAR_SPEED": "-1",
    }
    fields = FieldReader(values, "training_params.yaml")
    read_race_params(fields)
    with pytest.raises(FormatError) as caught:
        fields.raise_problems()
    places = {problem.where for problem in caught.value.problems}
    assert places == {f"training_params.yaml: {key}" for key in values}
    said = {problem.what for problem in caught.value.problems}
    assert "LOWER_LANE_CHANGE_TIME is 6, UPPER_LANE_CHANGE_TIME 5" in said
    assert "OBJECT_POSITIONS is ['0.5']" in said
