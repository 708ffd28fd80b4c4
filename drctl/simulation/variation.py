"""Domain randomisation: how an episode's world and car differ from the usual ones, and by how much at most.

The original gives every light a random colour (simulator-facts 5.3). What else a policy must cope with on a real track
follows from what was measured to decide whether it laps (simulator-facts 10): the camera's pose, how the car steers,
the walls. Each quantity has a range and a number of its own among the draws of an episode, so that leaving one group
out changes nothing about the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.simulation.random import STREAM_RANDOMIZATION
from drctl.simulation.random_kernel import keyed_uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Range:
    """Where a quantity lies when it is drawn.

    Attributes:
        group: Name that ``DR_RANDOMIZE`` switches it by.
        low: Least value.
        high: Greatest value.
        meaning: What it is, with its unit.
    """

    group: str
    low: float
    high: float
    meaning: str


def _drawn(usual: float, group: str, low: float, high: float, meaning: str) -> Any:
    return field(default=usual, metadata={"range": Range(group, low, high, meaning)})


@dataclass(frozen=True)
class Variation:
    """What is different in one episode; the defaults are the usual world.

    Factors without a unit multiply what is usual. New quantities go to the end: the place of a field is the number of
    its draw.
    """

    # Half of the ground's brightness is ambient light, which stays (simulator-facts 5.2).
    sun_red: float = _drawn(1.0, "lights", 0.0, 1.0, "red part of the sunlight")
    sun_green: float = _drawn(1.0, "lights", 0.0, 1.0, "green part of the sunlight")
    sun_blue: float = _drawn(1.0, "lights", 0.0, 1.0, "blue part of the sunlight")
    wall: float = _drawn(1.0, "walls", 0.0, 4.0, "brightness of the walls, which are almost black")
    road: float = _drawn(1.0, "texture", 0.8, 1.2, "brightness of the road")
    line: float = _drawn(1.0, "texture", 0.8, 1.2, "brightness of the edge lines")
    dash: float = _drawn(1.0, "texture", 0.8, 1.2, "brightness of the centre line")
    field: float = _drawn(1.0, "texture", 0.8, 1.2, "brightness of the ground beside the road")
    backdrop: float = _drawn(1.0, "texture", 0.6, 1.4, "brightness of what is above the walls")
    # A policy of the original laps 32 times out of 40, with the pitch off by 0.75 degrees 2 to 4 times.
    pitch_deg: float = _drawn(0.0, "camera", -1.0, 1.0, "camera turned down, degrees")
    pan_deg: float = _drawn(0.0, "camera", -1.0, 1.0, "camera turned left, degrees")
    height_m: float = _drawn(0.0, "camera", -0.01, 0.01, "camera higher, metres")
    aside_m: float = _drawn(0.0, "camera", -0.01, 0.01, "camera further left, metres")
    curvature: float = _drawn(1.0, "curvature", 0.8, 1.2, "curvature gain of the steering")
    steering_lag: float = _drawn(1.0, "steering", 0.7, 1.4, "time constant of the steering")
    lateral_cap: float = _drawn(1.0, "grip", 0.75, 1.25, "greatest sideways acceleration")
    latency_s: float = _drawn(0.0, "latency", 0.0, 0.033, "later begin of a steering command, seconds")


RANGES: Final[Mapping[str, Range]] = {item.name: item.metadata["range"] for item in fields(Variation)}
"""Of every quantity, in the order of their draws."""

OBJECT_COLOR: Final = Range("colors", 0.0, 255.0, "red, green and blue of each box and bot car")
"""Of what else is on the track; each object has three draws of its own (simulator-facts 5.3)."""

_FIRST_OBJECT_DRAW: Final = 256  # behind those of all fields, also of later ones

USUAL: Final = Variation()

AMBIENT_SHARE: Final = 0.45
"""Of the ground's brightness of 1.11, what the ambient light of 0.5 gives (simulator-facts 5.2)."""


def draw_variation(shares: Mapping[str, float], seed: int, offset: int, iteration: int, episode: int) -> Variation:
    """Return how an episode differs from the usual world.

    Args:
        shares: Groups that vary, each with the share of its range that is used, 0 to 1.
        seed: Seed of the run.
        offset: `random.EVALUATION_OFFSET` in evaluation episodes, otherwise 0.
        iteration: Iteration, from 0.
        episode: Episode of the iteration, from 0.
    """
    values = {}
    for number, (name, span) in enumerate(RANGES.items()):
        share = shares.get(span.group, 0.0)
        if share:
            uniform = keyed_uniform(seed, STREAM_RANDOMIZATION + offset, iteration, episode, 0, number)
            usual = getattr(USUAL, name)
            values[name] = usual + share * (span.low + (span.high - span.low) * uniform - usual)
    return Variation(**values)


def draw_colors(count: int, seed: int, offset: int, iteration: int, episode: int) -> NDArray[np.float64]:
    """Return the colours of an episode's objects: red, green and blue, shape (count, 3).

    Args:
        count: How many objects there are.
        seed: Seed of the run.
        offset: `random.EVALUATION_OFFSET` in evaluation episodes, otherwise 0.
        iteration: Iteration, from 0.
        episode: Episode of the iteration, from 0.
    """
    key = (seed, STREAM_RANDOMIZATION + offset, iteration, episode, 0)
    uniforms = [keyed_uniform(*key, _FIRST_OBJECT_DRAW + number) for number in range(3 * count)]
    span = OBJECT_COLOR.high - OBJECT_COLOR.low
    return OBJECT_COLOR.low + span * np.array(uniforms).reshape(count, 3)
