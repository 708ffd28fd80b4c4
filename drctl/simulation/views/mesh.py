"""Builds the surfaces of solids: triangles in the solid's own frame, each with a colour.

Frame: x ahead, y to the left, z up from the ground.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Color = tuple[int, int, int]

WHEEL_RADIUS_M: Final = 0.036  # simulator-facts 1.1
WHEEL_WIDTH_M: Final = 0.034
WHEEL_SIDES: Final = 16
TIRE_COLOR: Final = (26, 26, 26)  # simulator-facts 6
_RIM_COLOR: Final = (150, 152, 156)


class MeshBuilder:
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
        """Add a wheel that stands on the ground, its middle at (x, y)."""
        angle = np.arange(WHEEL_SIDES) * 2 * np.pi / WHEEL_SIDES
        ring = np.stack([np.cos(angle), np.zeros(WHEEL_SIDES), np.sin(angle)], axis=1)
        middle, half = np.array([x, y, WHEEL_RADIUS_M]), np.array([0.0, WHEEL_WIDTH_M / 2, 0.0])
        left, right = middle + WHEEL_RADIUS_M * ring + half, middle + WHEEL_RADIUS_M * ring - half
        for i in range(WHEEL_SIDES):
            j = (i + 1) % WHEEL_SIDES
            self.face(np.array([left[i], left[j], right[j], right[i]]), TIRE_COLOR, hinge)
        self.face(left[::-1], TIRE_COLOR, hinge)
        self.face(right, TIRE_COLOR, hinge)
        rim = middle + 0.55 * WHEEL_RADIUS_M * ring
        self.face((rim + 1.05 * half)[::-1], _RIM_COLOR, hinge)
        self.face(rim - 1.05 * half, _RIM_COLOR, hinge)

    def done(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Return corners, colours and hinges."""
        return np.array(self.corners), np.array(self.colors, np.float64), np.array(self.hinges)
