"""What stands and drives on the track of an episode: obstacles or bot cars, as settings and worker files tell it.

``DR_OA_*`` and ``DR_H2B_*`` settings and the keys of ``training_params.yaml`` (contract 3.3) are translated here, once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from drctl.formats.fields import FieldReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drctl.config.settings import Settings

RaceType = Literal["TIME_TRIAL", "OBJECT_AVOIDANCE", "HEAD_TO_BOT", "HEAD_TO_MODEL"]
RACE_TYPES: Final = ("TIME_TRIAL", "OBJECT_AVOIDANCE", "HEAD_TO_BOT", "HEAD_TO_MODEL")

ObstacleKind = Literal["box_obstacle", "deepracer_box_obstacle", "amazon_box_obstacle"]
OBSTACLE_KINDS: Final = ("box_obstacle", "deepracer_box_obstacle", "amazon_box_obstacle")

MOST_OBJECTS: Final = 50

# YAML key -> attribute of Settings, as DRfC takes them from the environment.
OBSTACLE_KEYS: Final = {
    "NUMBER_OF_OBSTACLES": "oa_number_of_obstacles",
    "MIN_DISTANCE_BETWEEN_OBSTACLES": "oa_min_distance_between_obstacles",
    "RANDOMIZE_OBSTACLE_LOCATIONS": "oa_randomize_obstacle_locations",
    "IS_OBSTACLE_BOT_CAR": "oa_is_obstacle_bot_car",
    "OBSTACLE_TYPE": "oa_obstacle_type",
}
BOT_CAR_KEYS: Final = {
    "IS_LANE_CHANGE": "h2b_is_lane_change",
    "LOWER_LANE_CHANGE_TIME": "h2b_lower_lane_change_time",
    "UPPER_LANE_CHANGE_TIME": "h2b_upper_lane_change_time",
    "LANE_CHANGE_DISTANCE": "h2b_lane_change_distance",
    "NUMBER_OF_BOT_CARS": "h2b_number_of_bot_cars",
    "MIN_DISTANCE_BETWEEN_BOT_CARS": "h2b_min_distance_between_bot_cars",
    "RANDOMIZE_BOT_CAR_LOCATIONS": "h2b_randomize_bot_car_locations",
    "BOT_CAR_SPEED": "h2b_bot_car_speed",
    "PENALTY_SECONDS": "h2b_bot_car_penalty",
}
POSITIONS_KEY: Final = "OBJECT_POSITIONS"


@dataclass(frozen=True)
class RaceParams:
    """The race type of a world, with what it puts on the track.

    Attributes:
        race_type: ``TIME_TRIAL`` and ``HEAD_TO_MODEL`` put nothing there.
        obstacles: Boxes, or standing cars, of an object avoidance.
        obstacle_gap_percent: Least distance between two of them, in percent of the lap.
        randomizes_obstacles: Place them anew for every episode.
        are_obstacles_cars: Standing cars in place of boxes.
        obstacle_kind: Look of the boxes.
        obstacle_positions: (fraction of the lap in driving direction, lane) pairs in place of number and random places;
            lane -1 is the outer one, 1 the inner one.
        bots: Bot cars of a head-to-bot race.
        bot_gap_m: Least distance between two of them at the start.
        randomizes_bots: Place them anew for every episode.
        bot_speed_m_s: Along the centre line.
        changes_lanes: Bot cars change to the other lane now and then.
        lane_change_after_s: Shortest and longest time between two changes.
        lane_change_over_m: Way along the centre line that a change takes.
        bot_penalty_s: How long a bot car stands after it ran into the racer from behind.
    """

    race_type: RaceType = "TIME_TRIAL"
    obstacles: int = 0
    obstacle_gap_percent: float = 2.0
    randomizes_obstacles: bool = False
    are_obstacles_cars: bool = False
    obstacle_kind: ObstacleKind = "box_obstacle"
    obstacle_positions: tuple[tuple[float, int], ...] = ()
    bots: int = 0
    bot_gap_m: float = 2.0
    randomizes_bots: bool = False
    bot_speed_m_s: float = 0.2
    changes_lanes: bool = False
    lane_change_after_s: tuple[float, float] = (3.0, 5.0)
    lane_change_over_m: float = 1.0
    bot_penalty_s: float = 2.0

    @property
    def objects(self) -> int:
        """How many things are on the track, the racer not counted."""
        if self.race_type == "OBJECT_AVOIDANCE":
            return len(self.obstacle_positions) or self.obstacles
        return self.bots if self.race_type == "HEAD_TO_BOT" else 0

    def to_json(self) -> dict[str, Any]:
        """Return the plain mapping that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RaceParams:
        """Read what `to_json` gave, also after it went through JSON or msgpack."""
        positions = tuple((float(fraction), int(lane)) for fraction, lane in data["obstacle_positions"])
        low, high = data["lane_change_after_s"]
        return cls(**{**data, "obstacle_positions": positions, "lane_change_after_s": (low, high)})


def race_of(settings: Settings) -> RaceParams:
    """Translate a project's settings.

    Args:
        settings: Checked: positions keep their rule.
    """
    return RaceParams(
        race_type=settings.race_type,
        obstacles=settings.oa_number_of_obstacles,
        obstacle_gap_percent=settings.oa_min_distance_between_obstacles,
        randomizes_obstacles=settings.oa_randomize_obstacle_locations,
        are_obstacles_cars=settings.oa_is_obstacle_bot_car,
        obstacle_kind=settings.oa_obstacle_type,
        obstacle_positions=tuple(map(parse_position, split_positions(settings.oa_object_positions))),
        bots=settings.h2b_number_of_bot_cars,
        bot_gap_m=settings.h2b_min_distance_between_bot_cars,
        randomizes_bots=settings.h2b_randomize_bot_car_locations,
        bot_speed_m_s=settings.h2b_bot_car_speed,
        changes_lanes=settings.h2b_is_lane_change,
        lane_change_after_s=(settings.h2b_lower_lane_change_time, settings.h2b_upper_lane_change_time),
        lane_change_over_m=settings.h2b_lane_change_distance,
        bot_penalty_s=settings.h2b_bot_car_penalty,
    )


def split_positions(text: str) -> list[str]:
    """Return the places of a list such as ``0.23,-1;0.46,1``, each as a text."""
    return [place.strip() for place in text.split(";") if place.strip()]


def parse_position(text: str) -> tuple[float, int]:
    """Return the fraction of the lap, in [0, 1), and the lane of a place such as ``0.23,-1``.

    Lane -1 is the outer one, everything else the inner one (contract 3.3).

    Raises:
        ValueError: These are not two numbers.
    """
    fraction, lane = (float(part) for part in text.split(","))
    return fraction % 1.0, -1 if lane == -1.0 else 1


def read_race_params(fields: FieldReader) -> RaceParams:
    """Take the race type and its objects out of a worker's file; what is wrong becomes a problem of the reader."""
    low, high = (
        fields.number("LOWER_LANE_CHANGE_TIME", 3.0, low=0.0),
        fields.number("UPPER_LANE_CHANGE_TIME", 5.0, low=0.0),
    )
    if low > high:
        fields.report(
            "LOWER_LANE_CHANGE_TIME",
            f"LOWER_LANE_CHANGE_TIME is {low:g}, UPPER_LANE_CHANGE_TIME {high:g}",
            "the lower time first",
            f"exchange them in {fields.source}",
        )
    return RaceParams(
        race_type=cast("RaceType", fields.choice("RACE_TYPE", "TIME_TRIAL", RACE_TYPES)),
        obstacles=fields.integer("NUMBER_OF_OBSTACLES", 0, low=0, high=MOST_OBJECTS),
        obstacle_gap_percent=fields.number("MIN_DISTANCE_BETWEEN_OBSTACLES", 2.0, low=0.0, high=100.0),
        randomizes_obstacles=fields.boolean("RANDOMIZE_OBSTACLE_LOCATIONS", default=False),
        are_obstacles_cars=fields.boolean("IS_OBSTACLE_BOT_CAR", default=False),
        obstacle_kind=cast("ObstacleKind", fields.choice("OBSTACLE_TYPE", "box_obstacle", OBSTACLE_KINDS)),
        obstacle_positions=_read_positions(fields),
        bots=fields.integer("NUMBER_OF_BOT_CARS", 0, low=0, high=MOST_OBJECTS),
        bot_gap_m=fields.number("MIN_DISTANCE_BETWEEN_BOT_CARS", 2.0, low=0.0),
        randomizes_bots=fields.boolean("RANDOMIZE_BOT_CAR_LOCATIONS", default=False),
        bot_speed_m_s=fields.number("BOT_CAR_SPEED", 0.2, low=0.0, high=4.0),
        changes_lanes=fields.boolean("IS_LANE_CHANGE", default=False),
        lane_change_after_s=(low, high),
        lane_change_over_m=fields.number("LANE_CHANGE_DISTANCE", 1.0, low=0.0),
        bot_penalty_s=fields.number("PENALTY_SECONDS", 2.0, low=0.0),
    )


def _read_positions(fields: FieldReader) -> tuple[tuple[float, int], ...]:
    value = fields.raw(POSITIONS_KEY)
    if value is None:
        return ()
    places: Sequence[Any] = value if isinstance(value, list) else [value]
    try:
        return tuple(parse_position(str(place)) for place in places)
    except ValueError:
        fields.report(
            POSITIONS_KEY,
            f"{POSITIONS_KEY} is {value!r}",
            'a list of places such as "0.23,-1": fraction of a lap, then lane (-1 outer, 1 inner)',
            f"correct {POSITIONS_KEY} in {fields.source}",
        )
        return ()
