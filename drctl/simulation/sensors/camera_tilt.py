"""Frames of a camera that is pitched and raised a little against the usual one, made from the usual one's frames.

Rays through the same lens only turn, which is exact. A higher lens sees each point of the ground less far below the
horizon: exact for the ground and for what stands on it up to the lens, and off by a hundredth of the view above it.
"""

from __future__ import annotations

from math import cos, sin
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from drctl.simulation.sensors.camera_geometry import (
    FOCAL_LENGTH_PX,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    LENS_HEIGHT_M,
    PITCH_RAD,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIN: Final = sin(PITCH_RAD)
_COS: Final = cos(PITCH_RAD)


@njit(cache=True, fastmath=True)
def tilt_frame(frame: NDArray[np.uint8], pitch_rad: float, height_m: float) -> None:
    """Change a frame to what the camera sees when it is turned down and raised.

    What the usual camera does not show is filled with its nearest pixels: at most three rows for one degree.

    Args:
        frame: Shape (120, 160), uint8; changed.
        pitch_rad: How far the camera is turned down.
        height_m: How much higher the lens is.
    """
    source = frame.astype(np.float32)
    line = np.empty(IMAGE_WIDTH + 1, np.float32)  # the last pixel twice, so that each has one to its right
    sine, cosine = np.sin(pitch_rad), np.cos(pitch_rad)
    tilted_sine, tilted_cosine = _SIN * cosine + _COS * sine, _COS * cosine - _SIN * sine
    flattening = LENS_HEIGHT_M / (LENS_HEIGHT_M + height_m)
    zero, half, most = np.float32(0.0), np.float32(0.5), np.float32(IMAGE_WIDTH - 1)
    for row in range(IMAGE_HEIGHT):
        down = (row + 0.5 - IMAGE_HEIGHT / 2) / FOCAL_LENGTH_PX
        ahead, up = tilted_cosine - down * tilted_sine, -tilted_sine - down * tilted_cosine
        if up < 0.0:
            up *= flattening
        depth = ahead * _COS - up * _SIN
        place = -(ahead * _SIN + up * _COS) / depth * FOCAL_LENGTH_PX + IMAGE_HEIGHT / 2 - 0.5
        place = min(max(place, 0.0), IMAGE_HEIGHT - 1.0)
        upper = min(int(place), IMAGE_HEIGHT - 2)
        share = np.float32(place - upper)
        for column in range(IMAGE_WIDTH):
            line[column] = source[upper, column] + share * (source[upper + 1, column] - source[upper, column])
        line[IMAGE_WIDTH] = line[IMAGE_WIDTH - 1]
        first = np.float32((0.5 - IMAGE_WIDTH / 2) / depth + IMAGE_WIDTH / 2 - 0.5)
        per_column = np.float32(1.0 / depth)
        for column in range(IMAGE_WIDTH):
            across = min(max(first + per_column * np.float32(column), zero), most)
            left = np.uint32(across)
            value = line[left] + (across - np.float32(left)) * (line[left + np.uint32(1)] - line[left])
            frame[row, column] = np.uint8(value + half)
