"""What a car does: how often each action, and how that changed while it learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.analysis.drawing.chart import Figure, Point, Series, draw_areas, draw_chart
from drctl.analysis.drawing.pixels import hex_color, ramp_colors
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.model_metadata import DiscreteActionSpace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.analysis.drive import Drive
    from drctl.formats.model_metadata import ModelMetadata

_STEERING_STOPS: Final = ("#2f6fed", "#2aa8b8", "#3db56b", "#e5a52a", "#d9482f")
"""Hard right, straight on, hard left."""

_PREPARE: Final = EpisodeStatus.PREPARE.index


@dataclass(frozen=True)
class ActionShare:
    """How often one action was taken lately.

    Attributes:
        name: Such as ``+15° 0.6 m/s``, left positive; the action's number where it is unknown.
        color: By its steering angle.
        percent: Share of the steps.
    """

    name: str
    color: str
    percent: float


@dataclass(frozen=True, eq=False)
class ActionUse:
    """Actions of a drive.

    Attributes:
        names: Of each kind of action.
        colors: Likewise.
        iterations: Iterations whose traces were read, shape (I,).
        percent: Share of each action in each of them, shape (actions, I).
    """

    names: tuple[str, ...]
    colors: tuple[str, ...]
    iterations: NDArray[np.int64]
    percent: NDArray[np.float64]

    def recent(self, count: int) -> list[ActionShare]:
        """Return the shares over the last iterations that were read."""
        means = self.percent[:, -count:].mean(axis=1) if self.percent.size else np.zeros(len(self.names))
        return [
            ActionShare(name, color, float(share))
            for name, color, share in zip(self.names, self.colors, means, strict=True)
        ]


def use_of_actions(drive: Drive, metadata: ModelMetadata | None) -> ActionUse | None:
    """Count the actions of a drive; None when it has none.

    Continuous actions are counted by steering angle, in bands.

    Args:
        drive: Training episodes.
        metadata: Of the model; None where it is unknown.
    """
    driven = drive.rows["status"] != _PREPARE
    if not driven.any():
        return None
    rows, iteration = drive.rows[driven], drive.iteration[driven]
    space = None if metadata is None else metadata.action_space
    if isinstance(space, DiscreteActionSpace):
        count = max(len(space), int(rows["action"].max()) + 1)
        kinds = np.clip(rows["action"], 0, None)
        names = _names(space, count)
        angles = np.array([*space.steering_deg, *[0.0] * (count - len(space))])
    elif (rows["action"] >= 0).all():
        kinds = rows["action"]
        count = int(kinds.max()) + 1
        names, angles = tuple(f"action {number}" for number in range(count)), np.linspace(-30, 30, count)
    else:
        kinds, names, angles = _bands(rows["steer"])
        count = len(names)
    numbers, column = np.unique(iteration, return_inverse=True)
    table = np.zeros((count, len(numbers)))
    np.add.at(table, (kinds, column), 1.0)
    shares = np.clip((angles + 30) / 60, 0, 1)
    colors = tuple(hex_color(color) for color in _apart(shares))
    return ActionUse(names, colors, numbers, 100 * table / table.sum(axis=0))


def draw_use(use: ActionUse, note: str) -> Figure | None:
    """Draw the shares of the actions over the iterations that were read."""
    layers: list[tuple[str, str, Sequence[Point]]] = [
        (name, color, list(zip(use.iterations.tolist(), row.tolist(), strict=True)))
        for name, color, row in zip(use.names, use.colors, use.percent, strict=True)
    ]
    return draw_areas("Actions while it learned", layers, note=note) if len(use.iterations) > 1 else None


def draw_commands(drive: Drive) -> list[Figure]:
    """Draw mean speed and mean steering, as commanded, over the iterations that were read."""
    driven = drive.rows["status"] != _PREPARE
    rows, iteration = drive.rows[driven], drive.iteration[driven]
    numbers, column = np.unique(iteration, return_inverse=True)
    if len(numbers) < 2:
        return []
    counts = np.bincount(column)

    def means(values: NDArray[np.float64]) -> list[Point]:
        return list(zip(numbers.tolist(), (np.bincount(column, values) / counts).tolist(), strict=True))

    figures: list[Any] = [
        draw_chart("Speed", [Series("commanded, mean", "var(--violet)", means(rows["throttle"]))], unit=" m/s"),
        draw_chart(
            "Steering", [Series("angle, mean size", "var(--orange)", means(np.abs(rows["steer"])))], unit="°", low=0.0
        ),
    ]
    return [figure for figure in figures if figure is not None]


def action_name(steering_deg: float, speed_m_s: float) -> str:
    """Return an action for people."""
    return f"{'+' if steering_deg > 0 else ''}{steering_deg:g}° {speed_m_s:g} m/s"


def _names(space: DiscreteActionSpace, count: int) -> tuple[str, ...]:
    known = [action_name(*pair) for pair in zip(space.steering_deg, space.speed_m_s, strict=True)]
    return (*known, *(f"action {number}" for number in range(len(known), count)))


def _bands(steer: NDArray[np.float64]) -> tuple[NDArray[np.intp], tuple[str, ...], NDArray[np.float64]]:
    """Sort continuous steering angles into seven bands."""
    edges = np.array([-25.0, -15.0, -5.0, 5.0, 15.0, 25.0])
    right, left = ("right, over 25°", "right 15-25°", "right 5-15°"), ("left 5-15°", "left 15-25°", "left, over 25°")
    words = (*right, "straight", *left)
    return np.digitize(steer, edges), words, np.array([-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0])


def _apart(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return colours by steering; actions with the same angle are told apart by lightness, darkest first."""
    colors = ramp_colors(shares, _STEERING_STOPS).astype(float)
    for share in np.unique(shares):
        same = np.flatnonzero(shares == share)
        for place, index in enumerate(same):
            lighter = 0.55 * place / max(1, len(same) - 1) if len(same) > 1 else 0.0
            colors[index] += (255 - colors[index]) * lighter
    return np.round(colors).astype(np.uint8)
