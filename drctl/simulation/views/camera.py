"""Where the cameras for people are and how they project.

World frame: x and y on the ground, z up. Pixel (r, c) covers [r, r + 1] x [c, c + 1] from the upper left corner.
"""

from __future__ import annotations

from math import atan2, cos, exp, hypot, pi, radians, remainder, sin, tan
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from drctl.simulation.sensors.camera_geometry import (
    HORIZONTAL_FIELD_OF_VIEW_RAD,
    LENS_FORWARD_M,
    LENS_HEIGHT_M,
    PITCH_RAD,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.track.track import Track

VIEW_WIDTH: Final = 640
VIEW_HEIGHT: Final = 480
"""Size of every picture (simulator-facts 2.1, 3)."""

FRAMES_PER_S: Final = 15
"""simulator-facts 3."""

FOCAL_PX: Final = VIEW_WIDTH / 2 / tan(HORIZONTAL_FIELD_OF_VIEW_RAD / 2)
"""504.8 pixels (simulator-facts 2.1)."""

CHASE_HEIGHT_M: Final = 1.0
CHASE_PITCH_RAD: Final = radians(18)
CHASE_DISTANCE_M: Final = 1.427
"""Behind base_link over the ground (simulator-facts 3)."""

CHASE_TIME_CONSTANT_S: Final = 1.0
"""With which the chase camera's direction and place follow the car (simulator-facts 3)."""

TOP_HEIGHT_M: Final = 6.0
TOP_MARGIN: Final = 1.25
"""Extent of the top view over that of the outer border (simulator-facts 3)."""


class ViewCamera(NamedTuple):
    """A pinhole camera that is level from side to side.

    Attributes:
        x_m: Place of the lens.
        y_m: Place of the lens.
        height_m: Above the ground, more than 0.
        yaw_rad: Direction of view over the ground.
        pitch_rad: Downwards, 0 to pi / 2.
        focal_px: Focal length in pixels.
    """

    x_m: float
    y_m: float
    height_m: float
    yaw_rad: float
    pitch_rad: float
    focal_px: float

    def pixel_at(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the row and column at which world points appear, in pixels.

        Args:
            points_m: x, y and z, shape (n, 3).

        Returns:
            Shape (n, 2); not a number for points that are not in front of the lens.
        """
        cosine, sine = cos(self.yaw_rad), sin(self.yaw_rad)
        x, y, up = (points_m - np.array([self.x_m, self.y_m, self.height_m])).T
        ahead, right = x * cosine + y * sine, x * sine - y * cosine
        depth = ahead * cos(self.pitch_rad) - up * sin(self.pitch_rad)
        down = -ahead * sin(self.pitch_rad) - up * cos(self.pitch_rad)
        depth = np.where(depth > 0.0, depth, np.nan)
        row = VIEW_HEIGHT / 2 + self.focal_px * down / depth
        column = VIEW_WIDTH / 2 + self.focal_px * right / depth
        return np.stack([row, column], axis=1)


def onboard_camera(pose: tuple[float, float, float]) -> ViewCamera:
    """Return the car's front camera; its pose is that of a car that stands still, as in the frames a network sees.

    Args:
        pose: base_link's x and y in metres and yaw in radians.
    """
    x, y, yaw = pose
    lens = (x + LENS_FORWARD_M * cos(yaw), y + LENS_FORWARD_M * sin(yaw))
    return ViewCamera(*lens, LENS_HEIGHT_M, yaw, PITCH_RAD, FOCAL_PX)


def top_camera(track: Track) -> ViewCamera:
    """Return the camera above a track: straight down, x to the right, y up, over the middle of the outer border.

    A border that is wider than tall fills 80 % of the picture's width, another one 80 % of its height
    (simulator-facts 3).
    """
    low, high = track.outer_m.min(axis=0), track.outer_m.max(axis=0)
    width, height = (float(extent) for extent in high - low)
    middle = (low + high) / 2
    shown_m = TOP_MARGIN * (width if width > height else height * VIEW_WIDTH / VIEW_HEIGHT)
    return ViewCamera(
        float(middle[0]), float(middle[1]), TOP_HEIGHT_M, pi / 2, pi / 2, VIEW_WIDTH * TOP_HEIGHT_M / shown_m
    )


class ChaseCamera:
    """The camera behind the car, which follows smoothly.

    Its direction behind the car follows the car's yaw, and its place follows the place `CHASE_DISTANCE_M` away in that
    direction, both with the time constant `CHASE_TIME_CONSTANT_S`; it looks at the car. Between two calls the car
    counts as moving evenly, so on a straight the path does not depend on how often it is called.
    """

    def __init__(self) -> None:
        self._yaw = self._car_yaw = 0.0
        self._place = self._target = (0.0, 0.0)
        self._is_placed = False

    def reset(self) -> None:
        """Jump behind the car at the next call of `follow`."""
        self._is_placed = False

    def follow(self, pose: tuple[float, float, float], elapsed_s: float) -> ViewCamera:
        """Move on and return the camera.

        Args:
            pose: base_link's x and y in metres and yaw in radians.
            elapsed_s: Since the last call, more than 0; of no meaning after a reset.
        """
        x, y, yaw = pose
        if not self._is_placed:
            self._yaw = self._car_yaw = yaw
            self._place = self._target = _behind(x, y, yaw)
            self._is_placed = True
        else:
            turned = self._car_yaw + remainder(yaw - self._car_yaw, 2 * pi)
            self._yaw = _follow(self._yaw, self._car_yaw, turned, elapsed_s)
            self._car_yaw = turned
            target = _behind(x, y, self._yaw)
            self._place = (
                _follow(self._place[0], self._target[0], target[0], elapsed_s),
                _follow(self._place[1], self._target[1], target[1], elapsed_s),
            )
            self._target = target
        ahead = (x - self._place[0], y - self._place[1])
        looks_at = atan2(ahead[1], ahead[0]) if hypot(*ahead) > 1e-6 else yaw
        return ViewCamera(*self._place, CHASE_HEIGHT_M, looks_at, CHASE_PITCH_RAD, FOCAL_PX)


def _behind(x: float, y: float, yaw: float) -> tuple[float, float]:
    return x - CHASE_DISTANCE_M * cos(yaw), y - CHASE_DISTANCE_M * sin(yaw)


def _follow(value: float, target_before: float, target: float, elapsed_s: float) -> float:
    """Solve value' = (target - value) / time constant for a target that moves evenly."""
    lag = (target - target_before) / elapsed_s * CHASE_TIME_CONSTANT_S
    return target - lag + (value - target_before + lag) * exp(-elapsed_s / CHASE_TIME_CONSTANT_S)
