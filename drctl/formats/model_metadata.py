"""``model_metadata.json``: what the car senses, what it can do and what its network looks like (contract 6.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from drctl.errors import Problem
from drctl.formats.fields import FieldReader
from drctl.formats.json_text import describe, read_json_object
from drctl.formats.network_layout import NETWORK_NAMES, SHALLOW
from drctl.formats.sensor import (
    CAMERAS,
    DISCRETIZED_SECTOR_LIDAR,
    FRONT_FACING_CAMERA,
    LIDAR_FARTHEST_M,
    LIDAR_NEAREST_M,
    LIDAR_RAYS,
    LIDARS,
    OBSERVATION,
    LidarConfig,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

Algorithm = Literal["clipped_ppo", "sac"]

STEERING_LIMIT_DEG: Final = 30.0  # contract 5.2: steering is clipped to +-30 degrees when it is driven
SPEED_LOW_M_S: Final = 0.1  # contract 5.2: speed is clipped to 0.1-4 m/s when it is driven
SPEED_HIGH_M_S: Final = 4.0

METADATA_KEYS: Final = (
    "action_space",
    "action_space_type",
    "sensor",
    "neural_network",
    "version",
    "training_algorithm",
    "lidar_config",
)
_HIGHEST_VERSION: Final = 6.0  # simulator generations so far (simulator-facts 1.5)


@dataclass(frozen=True)
class DiscreteActionSpace:
    """A list of actions; the position in the list is the action's number.

    Attributes:
        steering_deg: Steering angle of each action, degrees, left positive.
        speed_m_s: Speed of each action.
    """

    steering_deg: tuple[float, ...]
    speed_m_s: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.steering_deg)


_NO_ACTIONS: Final = DiscreteActionSpace((), ())  # stands for an unreadable one until the problems are raised


@dataclass(frozen=True)
class ContinuousActionSpace:
    """Bounds of two numbers that the network chooses freely.

    Attributes:
        steering_low_deg: Rightmost steering angle, degrees, left positive.
        steering_high_deg: Leftmost steering angle.
        speed_low_m_s: Lowest speed.
        speed_high_m_s: Highest speed.
    """

    steering_low_deg: float
    steering_high_deg: float
    speed_low_m_s: float
    speed_high_m_s: float


@dataclass(frozen=True)
class ModelMetadata:
    """What a model senses, does and is.

    Attributes:
        action_space: Discrete or continuous.
        sensors: Exactly one camera and at most one lidar, as the file names them.
        neural_network: One of `network_layout.NETWORK_NAMES`.
        version: Generation of the simulator the model is meant for; chooses the physics under ``DR_PHYSICS=auto``.
        training_algorithm: ``clipped_ppo`` or ``sac``.
        lidar: Used by ``DISCRETIZED_SECTOR_LIDAR`` alone.
        warnings: What is accepted but will not do what it says; for people.
    """

    action_space: DiscreteActionSpace | ContinuousActionSpace
    sensors: tuple[str, ...] = (FRONT_FACING_CAMERA,)
    neural_network: str = SHALLOW
    version: float = 5.0
    training_algorithm: Algorithm = "clipped_ppo"
    lidar: LidarConfig = field(default_factory=LidarConfig)
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def is_continuous(self) -> bool:
        """Whether the network chooses two numbers instead of one of several actions."""
        return isinstance(self.action_space, ContinuousActionSpace)

    @property
    def num_actions(self) -> int | None:
        """How many actions there are; None for a continuous action space."""
        return len(self.action_space) if isinstance(self.action_space, DiscreteActionSpace) else None

    @property
    def camera(self) -> str:
        """The camera among the sensors."""
        return next(sensor for sensor in self.sensors if sensor in CAMERAS)


def parse_model_metadata(data: bytes | str, source: str) -> ModelMetadata:
    """Read ``model_metadata.json``.

    Args:
        data: The file's content.
        source: Its name for messages.

    Returns:
        The metadata, defaults filled in: version 2.0 when ``sensor`` is there and 1.0 when it is not; below version 2
        the sensor is ``observation`` whatever the file says.

    Raises:
        FormatError: Everything that is wrong with the file, at once.
    """
    fields = FieldReader(read_json_object(data, source), source)
    fields.refuse_unknown(METADATA_KEYS)
    warnings: list[str] = []
    action_space = _read_action_space(fields, source, warnings)
    version = fields.number("version", 2.0 if fields.has("sensor") else 1.0, low=1.0, high=_HIGHEST_VERSION)
    algorithm = fields.choice("training_algorithm", "clipped_ppo", ("clipped_ppo", "sac"), ignores_case=True)
    network = fields.choice("neural_network", SHALLOW, NETWORK_NAMES)
    sensors = _read_sensors(fields, version, warnings)
    lidar = _read_lidar(fields, source)
    if fields.has("lidar_config") and DISCRETIZED_SECTOR_LIDAR not in sensors:
        warnings.append(f"lidar_config has no effect: {DISCRETIZED_SECTOR_LIDAR} is not among the sensors")
    if algorithm == "sac" and isinstance(action_space, DiscreteActionSpace) and len(action_space):
        fields.report(
            "training_algorithm",
            "sac cannot choose from a list of actions",
            "a continuous action space, or clipped_ppo",
            f'set "training_algorithm": "clipped_ppo" in {source}',
        )
    fields.raise_problems()
    return ModelMetadata(
        action_space,
        sensors,
        network,
        version,
        cast("Algorithm", algorithm),
        lidar,
        warnings=tuple(warnings),
    )


def _read_action_space(
    fields: FieldReader, source: str, warnings: list[str]
) -> DiscreteActionSpace | ContinuousActionSpace:
    kind = fields.choice("action_space_type", "discrete", ("discrete", "continuous"), ignores_case=True)
    value = fields.raw("action_space")
    if value is None:
        fields.report(
            "action_space",
            "no action space defined",
            'a list of {"steering_angle": degrees, "speed": m/s}, or their bounds',
            f'add "action_space" to {source}',
        )
        return _NO_ACTIONS
    if kind == "continuous":
        if isinstance(value, dict):
            return _read_continuous(value, fields, source, warnings)
        expected, other = '{"steering_angle": {"low", "high"}, "speed": {"low", "high"}}', "discrete"
        is_other = isinstance(value, list)
    else:
        if isinstance(value, list) and value:
            return _read_discrete(value, fields, source, warnings)
        expected, other = 'a list of {"steering_angle": degrees, "speed": m/s}', "continuous"
        is_other = isinstance(value, dict)
    fix = f'set "action_space_type": "{other}" in {source}' if is_other else f'correct "action_space" in {source}'
    fields.report("action_space", f"action_space is {describe(value)}, but the type is {kind}", expected, fix)
    return _NO_ACTIONS


def _read_discrete(
    entries: Sequence[Any], fields: FieldReader, source: str, warnings: list[str]
) -> DiscreteActionSpace:
    steering: list[float] = []
    speed: list[float] = []
    for index, entry in enumerate(entries):
        path = f"action_space[{index}]"
        pair = _read_pair(entry, path, source, fields.problems)
        if pair is None:
            continue
        pair.refuse_unknown(("steering_angle", "speed", "index"))
        steering.append(_required_number(pair, "steering_angle"))
        speed.append(_required_number(pair, "speed"))
        _warn_clipped(path, steering[-1:], speed[-1:], warnings)
    return DiscreteActionSpace(tuple(steering), tuple(speed))


def _read_continuous(
    value: dict[str, Any], fields: FieldReader, source: str, warnings: list[str]
) -> ContinuousActionSpace:
    bounds = FieldReader(value, source, path="action_space", problems=fields.problems)
    bounds.refuse_unknown(("steering_angle", "speed"))
    steering = _read_bounds(bounds, "steering_angle", source)
    speed = _read_bounds(bounds, "speed", source)
    _warn_clipped("action_space", steering, speed, warnings)
    return ContinuousActionSpace(*steering, *speed)


def _read_bounds(bounds: FieldReader, key: str, source: str) -> tuple[float, float]:
    pair = _read_pair(bounds.raw(key), f"action_space.{key}", source, bounds.problems)
    if pair is None:
        return 0.0, 1.0
    pair.refuse_unknown(("low", "high"))
    before = len(pair.problems)
    low, high = _required_number(pair, "low"), _required_number(pair, "high")
    if len(pair.problems) == before and low >= high:
        bounds.report(
            key,
            f"the bounds of {key} are {low:g} and {high:g}",
            "low below high",
            f'correct "{key}" of "action_space" in {source}',
        )
    return low, high


def _read_pair(value: Any, path: str, source: str, problems: list[Problem]) -> FieldReader | None:
    if isinstance(value, dict):
        return FieldReader(value, source, path=path, problems=problems)
    found = "missing" if value is None else describe(value)
    problems.append(Problem(f"{path} is {found}", f"{source}: {path}", "an object", f"correct {path} in {source}"))
    return None


def _required_number(fields: FieldReader, key: str) -> float:
    if not fields.has(key):
        fields.report(key, f'"{key}" is missing', "a number", f'add "{key}"')
    return float(fields.number(key, 0.0))


def _warn_clipped(path: str, steering: Sequence[float], speed: Sequence[float], warnings: list[str]) -> None:
    for value in steering:
        if abs(value) > STEERING_LIMIT_DEG:
            limit = STEERING_LIMIT_DEG if value > 0 else -STEERING_LIMIT_DEG
            warnings.append(f"{path}: steering_angle {value:g} is driven as {limit:g} degrees")
    for value in speed:
        if not SPEED_LOW_M_S <= value <= SPEED_HIGH_M_S:
            limit = SPEED_HIGH_M_S if value > SPEED_HIGH_M_S else SPEED_LOW_M_S
            warnings.append(f"{path}: speed {value:g} is driven as {limit:g} m/s")


def _read_sensors(fields: FieldReader, version: float, warnings: list[str]) -> tuple[str, ...]:
    value = fields.raw("sensor")
    listed = (value,) if isinstance(value, str) else value
    if not fields.has("sensor"):
        return (OBSERVATION,)
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        fields.report(
            "sensor",
            f"sensor is {describe(value)}",
            "a list of sensor names",
            f'set "sensor": ["{FRONT_FACING_CAMERA}"] in {fields.source}',
        )
        return (OBSERVATION,)
    before = len(fields.problems)
    for index, name in enumerate(listed):
        entry = FieldReader({f"sensor[{index}]": name}, fields.source, problems=fields.problems)
        entry.choice(f"sensor[{index}]", FRONT_FACING_CAMERA, (*CAMERAS, *LIDARS))
    if len(fields.problems) > before:
        return (OBSERVATION,)
    if sum(name in CAMERAS for name in listed) != 1:
        fields.report(
            "sensor",
            f"model_metadata MUST contain only 1 camera sensor: {describe(list(listed))}",
            "one of: " + ", ".join(CAMERAS),
            f'set "sensor": ["{FRONT_FACING_CAMERA}"] in {fields.source}',
        )
    if sum(name in LIDARS for name in listed) > 1:
        fields.report(
            "sensor",
            f"model_metadata contains more than 1 lidar sensor: {describe(list(listed))}",
            "at most one of: " + ", ".join(LIDARS),
            f'keep one lidar in "sensor" in {fields.source}',
        )
    if version < 2.0 and tuple(listed) != (OBSERVATION,):
        warnings.append(f"version {version:g} senses with {OBSERVATION}, not {', '.join(listed)}")
        return (OBSERVATION,)
    if DISCRETIZED_SECTOR_LIDAR in listed:
        # Contract 1.6: the sensors that the car's software knows.
        warnings.append(f"the physical car has no {DISCRETIZED_SECTOR_LIDAR}: the model drives in simulation only")
    return tuple(listed)


def _read_lidar(fields: FieldReader, source: str) -> LidarConfig:
    default = LidarConfig()
    if not fields.has("lidar_config"):
        return default
    lidar = _read_pair(fields.raw("lidar_config"), "lidar_config", source, fields.problems)
    if lidar is None:
        return default
    lidar.refuse_unknown(("num_sectors", "num_values_per_sector", "clipping_dist"))
    result = LidarConfig(
        lidar.integer("num_sectors", default.num_sectors, low=1, high=LIDAR_RAYS),
        lidar.integer("num_values_per_sector", default.num_values_per_sector, low=1, high=1000),
        lidar.number("clipping_dist", default.clipping_distance_m, low=LIDAR_NEAREST_M, high=LIDAR_FARTHEST_M),
    )
    if LIDAR_RAYS % result.num_sectors:
        lidar.report(
            "num_sectors",
            f"num_sectors {result.num_sectors} does not divide {LIDAR_RAYS}",
            "one of: 1, 2, 4, 8, 16, 32, 64",
            f'set "num_sectors": 8 in {source}',
        )
    return result
