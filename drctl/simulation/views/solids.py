"""Cars and boxes as solids: triangles in their own frame, with colours.

Frame: x ahead, y to the left, z up from the ground; a car's origin is base_link, a box's the middle of its base.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from drctl.simulation.race.objects import (
    OBJECT_BLUE,
    OBJECT_GREEN,
    OBJECT_KIND,
    OBJECT_RED,
    OBJECT_X,
    OBJECT_Y,
    OBJECT_YAW,
    SOLID_M,
)
from drctl.simulation.sensors.camera_geometry import SOLID_AMBIENT, SOLID_DIFFUSE, SUN
from drctl.simulation.vehicle.geometry import WHEELS_M
from drctl.simulation.views.car_shapes import build_car
from drctl.simulation.views.mesh import Color, MeshBuilder

if TYPE_CHECKING:
    from numpy.typing import NDArray

SolidKind = Literal["car", "box", "deepracer_box", "amazon_box"]

CAR_COLORS: Final[Mapping[str, Color]] = {
    "Black": (26, 26, 26),
    "Grey": (135, 149, 150),
    "Blue": (68, 95, 229),
    "Red": (224, 26, 37),
    "Orange": (255, 160, 10),
    "White": (255, 255, 255),
    "Purple": (159, 42, 195),
}
"""By the names of ``CAR_COLOR`` (simulator-facts 3)."""

_TAPES: Final[Mapping[str, Color]] = {"box": (176, 152, 120), "amazon_box": (60, 66, 74)}
_KINDS: Final[tuple[SolidKind, ...]] = ("box", "deepracer_box", "amazon_box", "car")  # by OBJECT_KIND

_SUN: Final = np.array(SUN)


@dataclass(frozen=True)
class Solid:
    """A thing on the ground.

    Attributes:
        kind: What it is.
        pose: x and y in metres and yaw in radians.
        color: Of the car's shell or the box, 0 to 255 each.
        steering_rad: Angle of a car's front wheels, left positive.
        shell: Form of a car's body, a value of ``DR_CAR_BODY_SHELL_TYPE``.
        opacity: 0 to 1.
    """

    kind: SolidKind
    pose: tuple[float, float, float]
    color: Color
    steering_rad: float = 0.0
    shell: str = "deepracer"
    opacity: float = 1.0

    def triangles(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the corners in the world, shape (n, 3, 3), and the lit colours, shape (n, 3); not to be changed."""
        return _place(self)

    def shadow(self) -> NDArray[np.float64]:
        """Return the patch of ground that it darkens, a convex polygon with corners x, y, z, shape (n, 3)."""
        length, width = (0.34, 0.2) if self.kind == "car" else np.array(_size_m(self.kind)[:2]) + 0.05
        across, along, cut = width / 2, length / 2, 0.04
        outline = [(along, across - cut), (along - cut, across), (cut - along, across), (-along, across - cut)]
        outline += [(-x, -y) for x, y in outline]
        corners = np.array([[(x, y, 0.0) for x, y in outline]])
        x, y, yaw = self.pose
        shifted: NDArray[np.float64] = (
            _turn(corners, yaw)[0] - 0.015 * np.array([*_SUN[:2], 0.0]) + np.array([x, y, 0.0])
        )
        return shifted


def solids_of(objects: NDArray[np.float64]) -> list[Solid]:
    """Return the solids of objects on the track.

    Args:
        objects: ``OBJECT_`` numbers of `race.objects`, shape (n, OBJECT_SIZE).
    """
    solids = []
    for row in objects.tolist():
        pose = row[OBJECT_X], row[OBJECT_Y], row[OBJECT_YAW]
        color = int(row[OBJECT_RED]), int(row[OBJECT_GREEN]), int(row[OBJECT_BLUE])
        solids.append(Solid(_KINDS[int(row[OBJECT_KIND])], pose, color))
    return solids


@lru_cache(maxsize=64)  # several cameras see the same solid
def _place(solid: Solid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    corners, colors, hinges = _mesh(solid.kind, solid.color, solid.shell)
    if hinges.any() and solid.steering_rad != 0.0:
        corners = corners.copy()
        for wheel, (x, y) in enumerate(WHEELS_M[:2], start=1):
            turned = hinges == wheel
            corners[turned] = _turn(corners[turned], solid.steering_rad, (x, y))
    x, y, yaw = solid.pose
    corners = _turn(corners, yaw) + np.array([x, y, 0.0])
    return corners, _light(corners, colors)


def _turn(corners: NDArray[np.float64], angle: float, about: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    middle = np.array([*about, 0.0])
    rotation = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    turned: NDArray[np.float64] = (corners - middle) @ rotation + middle
    return turned


def _light(corners: NDArray[np.float64], colors: NDArray[np.float64]) -> NDArray[np.float64]:
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    brightness = SOLID_AMBIENT + SOLID_DIFFUSE * np.maximum(0.0, normal @ _SUN)
    lit: NDArray[np.float64] = np.minimum(255.0, colors * brightness[:, None])
    return lit


@cache
def _mesh(
    kind: SolidKind, color: Color, shell: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    builder = MeshBuilder()
    if kind == "car":
        build_car(builder, color, shell)
    else:
        length, width, height = _size_m(kind)
        builder.box((0.0, 0.0, height / 2), (length, width, height), color)
        if kind in _TAPES:
            builder.box((0.0, 0.0, height / 2), (length + 0.002, 0.05, height + 0.002), _TAPES[kind])
    return builder.done()


def _size_m(kind: SolidKind) -> tuple[float, float, float]:
    return SOLID_M[_KINDS.index(kind)]
