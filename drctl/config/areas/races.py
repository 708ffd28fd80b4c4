"""Obstacles and bot cars."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from drctl.config.setting import Condition, setting

_race = partial(
    setting,
    file="run",
    commands=("start-training", "eval"),
    read_by="worker, evaluation",
    is_per_worker=True,
    is_in_images=True,
)
_obstacle = partial(_race, used_when=Condition("DR_RACE_TYPE", ("OBJECT_AVOIDANCE",)))
_bot = partial(_race, used_when=Condition("DR_RACE_TYPE", ("HEAD_TO_BOT",)))


@dataclass(frozen=True, kw_only=True)
class RaceSettings:
    """Object avoidance and head to bot. Contract 3.2 and 3.3."""

    oa_number_of_obstacles: int = _obstacle(6, "Obstacles on the track.", minimum=0, maximum=50)
    oa_min_distance_between_obstacles: float = _obstacle(
        2.0, "Least distance between two obstacles.", unit="percent of a lap", minimum=0.0, maximum=100.0
    )
    oa_randomize_obstacle_locations: bool = _obstacle(False, "Place the obstacles anew for every episode.")
    oa_is_obstacle_bot_car: bool = _obstacle(False, "Standing cars in place of boxes.")
    oa_obstacle_type: Literal["box_obstacle", "deepracer_box_obstacle", "amazon_box_obstacle"] = _obstacle(
        "box_obstacle", "Look of the boxes."
    )
    oa_object_positions: str = _obstacle(
        "",
        "Fixed places, such as 0.23,-1;0.46,1: fraction of a lap in driving direction, then lane (-1 outer, 1 inner). "
        "They replace number and random places.",
        rule="positions",
    )
    h2b_is_lane_change: bool = _bot(False, "Bot cars change lanes.")
    h2b_lower_lane_change_time: float = _bot(3.0, "Least time between lane changes.", unit="s", minimum=0.0)
    h2b_upper_lane_change_time: float = _bot(5.0, "Longest time between lane changes.", unit="s", minimum=0.0)
    h2b_lane_change_distance: float = _bot(1.0, "Distance over which a lane change stretches.", unit="m", minimum=0.0)
    h2b_number_of_bot_cars: int = _bot(3, "Bot cars on the track.", minimum=0, maximum=50)
    h2b_min_distance_between_bot_cars: float = _bot(
        2.0, "Least distance between two bot cars at the start.", unit="m", minimum=0.0
    )
    h2b_randomize_bot_car_locations: bool = _bot(False, "Place the bot cars anew for every episode.")
    h2b_bot_car_speed: float = _bot(0.2, "Speed of the bot cars.", unit="m/s", minimum=0.0, maximum=4.0)
    h2b_bot_car_penalty: float = _bot(
        5.0, "Pause of a bot car that ran into the racer from behind.", unit="s", minimum=0.0
    )
