"""Where the camera sits, how it projects, and how bright things look through it.

Frames: the car's frame has its origin at base_link's position on the ground, x ahead, y to the left, z up. Image rows
count down from the top edge and columns from the left edge; pixel (r, c) covers [r, r + 1] x [c, c + 1].
"""

from __future__ import annotations

from math import cos, radians, sin, sqrt, tan
from typing import Final

IMAGE_WIDTH: Final = 160
IMAGE_HEIGHT: Final = 120
"""Size of the frame a network sees (simulator-facts 2.1)."""

HORIZONTAL_FIELD_OF_VIEW_RAD: Final = 1.13
"""simulator-facts 2.1."""

FOCAL_LENGTH_PX: Final = IMAGE_WIDTH / 2 / tan(HORIZONTAL_FIELD_OF_VIEW_RAD / 2)
"""126.2 pixels, the same in both directions (simulator-facts 2.1)."""

LENS_HEIGHT_M: Final = 0.1328
"""Above the ground once the car has settled on its wheels (simulator-facts 2.1)."""

PITCH_RAD: Final = radians(13.6)
"""Downwards once the car has settled: 15 degrees less 1.39 degrees nose up (simulator-facts 1.1, 2.1)."""

_LENS_IN_BODY_M: Final = (0.145294, 0.130326)
"""Ahead and up in base_link's own frame (simulator-facts 2.1)."""

NOSE_UP_RAD: Final = radians(1.39)
"""Of the settled car (simulator-facts 1.1)."""

LENS_FORWARD_M: Final = _LENS_IN_BODY_M[0] * cos(NOSE_UP_RAD) - _LENS_IN_BODY_M[1] * sin(NOSE_UP_RAD)
"""Ahead of base_link over level ground: 0.1421 m, since the nose-up car leans the lens back by 3 mm."""

EYE_LEFT_M: Final = (0.03, -0.03)
"""Where the left and the right eye of ``STEREO_CAMERAS`` sit beside the single camera (simulator-facts 2.1)."""

HORIZON_ROW: Final = IMAGE_HEIGHT / 2 - FOCAL_LENGTH_PX * tan(PITCH_RAD)
"""29.5 from the top; 118 of 480 lines in the original's frames (simulator-facts 2.1)."""

GREY_WEIGHTS: Final = (0.2989, 0.5870, 0.1140)
"""Of red, green and blue (simulator-facts 2.1)."""

GROUND_BRIGHTNESS: Final = 1.11
"""Ground in the original's frames over its texture: the mean of road, line, dash and field (simulator-facts 5.2)."""

WALL_BRIGHTNESS: Final = (0.39, 0.035, 0.225, 0.33)
"""Inner faces of the walls at x_min, x_max, y_min, y_max over their texture.

simulator-facts 5.2 gives the four values, not which wall has which; they are dealt out in the order in which the faces
look towards the sun of the worlds, whose light runs along (-0.5, 0.1, -0.9).
"""

SUN: Final = (0.5 / sqrt(1.07), -0.1 / sqrt(1.07), 0.9 / sqrt(1.07))
"""Direction towards the sun; the worlds' light runs the other way (simulator-facts 5.2)."""

SOLID_AMBIENT: Final = 0.62
SOLID_DIFFUSE: Final = 0.5
"""Brightness of a solid's face over its texture: the first, and so much of the second as it looks towards the sun."""


def grey_of(color: tuple[float, float, float]) -> float:
    """Return the grey of a colour as the original's preprocessing weighs it.

    Args:
        color: Red, green and blue, 0 to 255.
    """
    return sum(weight * part for weight, part in zip(GREY_WEIGHTS, color, strict=True))


def lit(color: tuple[int, int, int], brightness: float) -> tuple[float, float, float]:
    """Return a texture's colour as it appears under the light, in whole steps of at most 255.

    Args:
        color: Red, green and blue of the texture, 0 to 255.
        brightness: Factor, such as `GROUND_BRIGHTNESS`.
    """
    red, green, blue = (float(min(255, round(part * brightness))) for part in color)
    return red, green, blue


def ground_point(row: float, column: float) -> tuple[float, float]:
    """Return the ground point seen at a place of the image, in the car's frame.

    Args:
        row: From the top edge, in pixels; below `HORIZON_ROW`.
        column: From the left edge, in pixels.

    Returns:
        Metres ahead of base_link and metres to its left.

    Raises:
        ValueError: The row is not below the horizon.
    """
    if row <= HORIZON_ROW:
        raise ValueError(f"row must be below the horizon at {HORIZON_ROW:.2f}, got {row}")
    down = (row - IMAGE_HEIGHT / 2) / FOCAL_LENGTH_PX
    depth_m = LENS_HEIGHT_M / (sin(PITCH_RAD) + down * cos(PITCH_RAD))
    forward_m = LENS_FORWARD_M + depth_m * (cos(PITCH_RAD) - down * sin(PITCH_RAD))
    return forward_m, depth_m * (IMAGE_WIDTH / 2 - column) / FOCAL_LENGTH_PX
