"""What the physical car accepts of a ``model_metadata.json``, and the file as it is written for it (contract 1.6)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from drctl.errors import FormatError, Problem
from drctl.formats.model_metadata import (
    SPEED_HIGH_M_S,
    SPEED_LOW_M_S,
    STEERING_LIMIT_DEG,
    ContinuousActionSpace,
    parse_model_metadata,
)
from drctl.formats.sensor import CAMERAS, LIDAR, LIDARS, SECTOR_LIDAR

CAR_SENSORS: Final = (*CAMERAS, LIDAR, SECTOR_LIDAR)
"""Sensors that the car's software knows, by the names that it knows them by."""

# The car compares these values letter by letter, where the simulator does not mind capitals.
_LOWER_CASE_KEYS: Final = ("action_space_type", "training_algorithm")


@dataclass(frozen=True)
class CarMetadata:
    """A ``model_metadata.json`` as it goes on the car.

    Attributes:
        data: The file's content: the model's own, byte for byte, where nothing had to change.
        notes: What had to change, and what the car may not do; for people.
    """

    data: bytes
    notes: tuple[str, ...]


def write_for_car(text: str, source: str, *, frames: int = 1) -> CarMetadata:
    """Write a model's metadata for the car.

    Discrete actions beyond the car's limits are written as what they were driven as in the simulator. Bounds of a
    continuous action space cannot be: the network's answers are parts of them.

    Args:
        text: The model's ``model_metadata.json``.
        source: Its name for messages.
        frames: How many frames the model sees at once (``stack_size``).

    Raises:
        FormatError: The car cannot drive such a model; everything that stands against it, at once.
    """
    metadata = parse_model_metadata(text, source)
    problems = [
        Problem(
            f"the car has no {sensor}",
            f"{source}: sensor",
            f"a camera, and at most one of {', '.join(one for one in CAR_SENSORS if one in LIDARS)}",
            'train with "sensor": ["FRONT_FACING_CAMERA"]',
        )
        for sensor in metadata.sensors
        if sensor not in CAR_SENSORS
    ]
    if frames > 1:
        what = f"the model sees {frames} frames at once, and the car shows it one"
        problems.append(Problem(what, source, '"stack_size": 1 in hyperparameters.json', 'train with "stack_size": 1'))
    if isinstance(metadata.action_space, ContinuousActionSpace):
        problems += _beyond_limits(metadata.action_space, source)
    if problems:
        raise FormatError.from_problems(problems)
    content: dict[str, Any] = json.loads(text)
    notes = _lower_names(content)
    if not metadata.is_continuous:
        notes += _limit_actions(content["action_space"])
    data = text.encode() if not notes else (json.dumps(content, indent=2) + "\n").encode()
    if metadata.training_algorithm == "sac":
        notes.append("the model was trained by sac, and the car's TFLite converter knows the policies of clipped_ppo")
    return CarMetadata(data, tuple(notes))


def _beyond_limits(space: ContinuousActionSpace, source: str) -> list[Problem]:
    problems = []
    if max(-space.steering_low_deg, space.steering_high_deg) > STEERING_LIMIT_DEG:
        problems.append(
            Problem(
                f"steering goes from {space.steering_low_deg:g} to {space.steering_high_deg:g} degrees",
                f"{source}: action_space.steering_angle",
                f"at most {STEERING_LIMIT_DEG:g} degrees to either side",
                "train with bounds that the car can steer",
            )
        )
    if space.speed_low_m_s < SPEED_LOW_M_S or space.speed_high_m_s > SPEED_HIGH_M_S:
        problems.append(
            Problem(
                f"speed goes from {space.speed_low_m_s:g} to {space.speed_high_m_s:g} m/s",
                f"{source}: action_space.speed",
                f"from {SPEED_LOW_M_S:g} to {SPEED_HIGH_M_S:g} m/s",
                "train with bounds that the car can drive",
            )
        )
    return problems


def _lower_names(content: dict[str, Any]) -> list[str]:
    notes = []
    for key in _LOWER_CASE_KEYS:
        value = content.get(key)
        if isinstance(value, str) and value != value.lower():
            content[key] = value.lower()
            notes.append(f"{key} {value} is written as {value.lower()}, which is how the car reads it")
    return notes


def _limit_actions(actions: list[dict[str, Any]]) -> list[str]:
    notes = []
    limits = (
        ("steering_angle", -STEERING_LIMIT_DEG, STEERING_LIMIT_DEG, "degrees"),
        ("speed", SPEED_LOW_M_S, SPEED_HIGH_M_S, "m/s"),
    )
    for number, action in enumerate(actions):
        for key, low, high, unit in limits:
            value, limited = float(action[key]), min(max(float(action[key]), low), high)
            if value != limited:
                action[key] = limited
                notes.append(f"action {number}: {key} {value:g} is written as {limited:g} {unit}, as it was driven")
    return notes
