"""Cars and boxes as solids: triangles in their own frame, with colours.

Frame: x ahead, y to the left, z up from the ground; a car's origin is base_link, a box's the middle of its base.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from drctl.simulation.vehicle.geometry import WHEELS_M

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Color = tuple[int, int, int]
SolidKind = Literal["car", "box", "deepracer_box"]

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

BOT_COLOR: Final = (40, 40, 40)
"""simulator-facts 6."""

BOX_COLOR: Final = (123, 97, 79)
DEEPRACER_BOX_COLOR: Final = (36, 46, 68)
"""simulator-facts 6."""

_TIRE: Final = (26, 26, 26)  # simulator-facts 6
_RIM: Final = (150, 152, 156)
_GLASS: Final = (52, 62, 74)
_CHASSIS: Final = (48, 50, 54)
_LENS: Final = (70, 74, 80)
_TAPE: Final = (176, 152, 120)
_WHEEL_RADIUS_M: Final = 0.036  # simulator-facts 1.1
_WHEEL_WIDTH_M: Final = 0.034
_WHEEL_SIDES: Final = 16
_BOX_M: Final = {"box": (0.4, 0.3, 0.25), "deepracer_box": (0.36, 0.265, 0.24)}  # simulator-facts 6

_SUN: Final = np.array([0.5, -0.1, 0.9]) / np.sqrt(1.07)  # towards it; the worlds' light runs the other way (5.2)
_AMBIENT: Final = 0.62
_DIFFUSE: Final = 0.5


@dataclass(frozen=True)
class Solid:
    """A thing on the ground.

    Attributes:
        kind: What it is.
        pose: x and y in metres and yaw in radians.
        color: Of the car's shell or the box, 0 to 255 each.
        steering_rad: Angle of a car's front wheels, left positive.
    """

    kind: SolidKind
    pose: tuple[float, float, float]
    color: Color
    steering_rad: float = 0.0

    def triangles(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the corners in the world, shape (n, 3, 3), and the lit colours, shape (n, 3); not to be changed."""
        return _place(self)

    def shadow(self) -> NDArray[np.float64]:
        """Return the patch of ground that it darkens, a convex polygon with corners x, y, z, shape (n, 3)."""
        length, width = (
            (0.34, 0.2) if self.kind == "car" else (_BOX_M[self.kind][0] + 0.05, _BOX_M[self.kind][1] + 0.05)
        )
        across, along, cut = width / 2, length / 2, 0.04
        outline = [(along, across - cut), (along - cut, across), (cut - along, across), (-along, across - cut)]
        outline += [(-x, -y) for x, y in outline]
        corners = np.array([[(x, y, 0.0) for x, y in outline]])
        x, y, yaw = self.pose
        shifted: NDArray[np.float64] = (
            _turn(corners, yaw)[0] - 0.015 * np.array([*_SUN[:2], 0.0]) + np.array([x, y, 0.0])
        )
        return shifted


@lru_cache(maxsize=64)  # several cameras see the same solid
def _place(solid: Solid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    corners, colors, hinges = _mesh(solid.kind, solid.color)
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
    brightness = _AMBIENT + _DIFFUSE * np.maximum(0.0, normal @ _SUN)
    lit: NDArray[np.float64] = np.minimum(255.0, colors * brightness[:, None])
    return lit


class _Builder:
    """Collects the faces of a mesh; `hinge` is 1 or 2 for what turns with the left or right front wheel."""

    def __init__(self) -> None:
        self.corners: list[NDArray[np.float64]] = []
        self.colors: list[Color] = []
        self.hinges: list[int] = []

    def face(self, points: NDArray[np.float64], color: Color, hinge: int = 0) -> None:
        """Add a convex face, counter-clockwise as seen from outside."""
        for i in range(1, len(points) - 1):
            self.corners.append(points[[0, i, i + 1]])
            self.colors.append(color)
            self.hinges.append(hinge)

    def block(
        self,
        low: tuple[float, float, float],
        high: tuple[float, float, float],
        color: Color,
        *,
        top: tuple[float, float, float] | None = None,
        sides: Color | None = None,
    ) -> None:
        """Add a block between two heights whose upper end may be smaller than its base.

        Args:
            low: Least x, half width, and z of the base; `high` likewise, with the base's greatest x in its place.
            high: See `low`; its half width counts at the upper end.
            color: Of the upper face and, without `sides`, of all.
            top: Least x and greatest x of the upper end, and nothing third; None for the base's.
            sides: Of the other faces.
        """
        (x0, w0, z0), (x1, w1, z1) = low, high
        t0, t1 = (x0, x1) if top is None else top[:2]
        base = np.array([(x1, w0, z0), (x0, w0, z0), (x0, -w0, z0), (x1, -w0, z0)])
        roof = np.array([(t1, w1, z1), (t0, w1, z1), (t0, -w1, z1), (t1, -w1, z1)])
        self.face(roof, color)
        self.face(base[::-1], sides or color)
        for i in range(4):
            j = (i + 1) % 4
            self.face(np.array([base[i], base[j], roof[j], roof[i]]), sides or color)

    def box(self, middle: tuple[float, float, float], size: tuple[float, float, float], color: Color) -> None:
        """Add a cuboid."""
        first = len(self.corners)
        half = (size[0] / 2, size[1] / 2)
        self.block((-half[0], half[1], -size[2] / 2), (half[0], half[1], size[2] / 2), color)
        for i in range(first, len(self.corners)):
            self.corners[i] = self.corners[i] + np.array(middle)

    def wheel(self, x: float, y: float, hinge: int) -> None:
        """Add a wheel that stands on the ground."""
        angle = np.arange(_WHEEL_SIDES) * 2 * np.pi / _WHEEL_SIDES
        ring = np.stack([np.cos(angle), np.zeros(_WHEEL_SIDES), np.sin(angle)], axis=1)
        middle, half = np.array([x, y, _WHEEL_RADIUS_M]), np.array([0.0, _WHEEL_WIDTH_M / 2, 0.0])
        left, right = middle + _WHEEL_RADIUS_M * ring + half, middle + _WHEEL_RADIUS_M * ring - half
        for i in range(_WHEEL_SIDES):
            j = (i + 1) % _WHEEL_SIDES
            self.face(np.array([left[i], left[j], right[j], right[i]]), _TIRE, hinge)
        self.face(left[::-1], _TIRE, hinge)
        self.face(right, _TIRE, hinge)
        rim = middle + 0.55 * _WHEEL_RADIUS_M * ring
        self.face((rim + 1.05 * half)[::-1], _RIM, hinge)
        self.face(rim - 1.05 * half, _RIM, hinge)

    def done(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Return corners, colours and hinges."""
        return np.array(self.corners), np.array(self.colors, np.float64), np.array(self.hinges)


@cache
def _mesh(kind: SolidKind, color: Color) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    builder = _Builder()
    if kind == "car":
        _build_car(builder, color)
    else:
        length, width, height = _BOX_M[kind]
        builder.box((0.0, 0.0, height / 2), (length, width, height), color)
        if kind == "box":
            builder.box((0.0, 0.0, height / 2), (length + 0.002, 0.05, height + 0.002), _TAPE)
    return builder.done()


def _build_car(builder: _Builder, color: Color) -> None:
    """Add a car within the original shell's extents: x -0.158 to 0.166, y -0.094 to 0.094 (simulator-facts 1.1)."""
    dark: Color = (color[0] * 4 // 5, color[1] * 4 // 5, color[2] * 4 // 5)
    for number, (x, y) in enumerate(WHEELS_M):
        builder.wheel(x, y, number + 1 if number < 2 else 0)
    builder.box((0.0, 0.0, 0.04), (0.25, 0.11, 0.03), _CHASSIS)
    builder.box((0.15, 0.0, 0.04), (0.03, 0.15, 0.022), _CHASSIS)  # bumpers
    builder.box((-0.148, 0.0, 0.045), (0.02, 0.13, 0.025), _CHASSIS)
    builder.block((-0.15, 0.058, 0.05), (0.155, 0.055, 0.088), color, top=(-0.145, 0.115, 0), sides=dark)
    builder.block((-0.135, 0.05, 0.088), (0.07, 0.036, 0.142), color, top=(-0.115, 0.01, 0), sides=_GLASS)
    for x in (WHEELS_M[0][0], WHEELS_M[2][0]):
        for side in (-1, 1):
            builder.box((x, side * 0.077, 0.081), (0.075, 0.032, 0.012), color)  # mudguards
    builder.box((0.088, 0.0, 0.097), (0.02, 0.03, 0.03), _CHASSIS)  # mast and camera
    builder.box((0.098, 0.0, 0.122), (0.026, 0.1, 0.026), _LENS)
    for side in (-1, 1):
        builder.box((-0.137, side * 0.04, 0.112), (0.012, 0.006, 0.05), _CHASSIS)
    builder.box((-0.142, 0.0, 0.14), (0.03, 0.15, 0.007), color)  # spoiler
