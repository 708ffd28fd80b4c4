"""The ground of a track as a colour picture from above, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.simulation.sensors.camera_geometry import GREY_WEIGHTS, GROUND_BRIGHTNESS, lit
from drctl.simulation.sensors.distance_field import curve_length_m, measure_distances
from drctl.simulation.sensors.ground_pattern import (
    DASH_LENGTH_M,
    DASH_WIDTH_M,
    FINISH_DARK,
    FINISH_LIGHT,
    FINISH_SQUARE_M,
    FINISH_THICK_M,
    KERB_RED,
    KERB_WHITE,
    GroundPattern,
    pattern_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.track.track import Scene, Track

MARGIN_M: Final = 2.0
"""Ground shown around the road, where the field goes on that far."""

_BAND_ROWS: Final = 256  # painted at a time, so that a fine picture of a long track needs little besides itself


@dataclass(frozen=True, eq=False)
class GroundImage:
    """The ground from above, y up and x to the right.

    Attributes:
        rgb: Colours as the camera sees them, shape (rows, columns, 3), uint8; row 0 is the top.
        origin_m: World position of the picture's upper left corner.
        metres_per_pixel: Size of a pixel.
    """

    rgb: NDArray[np.uint8]
    origin_m: tuple[float, float]
    metres_per_pixel: float

    @property
    def grey(self) -> NDArray[np.uint8]:
        """The picture in the camera's grey, shape (rows, columns), uint8."""
        return np.asarray(self.rgb @ np.asarray(GREY_WEIGHTS), np.uint8)

    def pixel_at(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the row and column of world points, in pixels from the upper left corner.

        Args:
            points_m: x and y, shape (n, 2).

        Returns:
            Shape (n, 2); pixel (r, c) covers [r, r + 1) x [c, c + 1). Points beside the picture lie outside its size.
        """
        row = (self.origin_m[1] - points_m[:, 1]) / self.metres_per_pixel
        column = (points_m[:, 0] - self.origin_m[0]) / self.metres_per_pixel
        return np.stack([row, column], axis=1)


def paint_ground(track: Track, metres_per_pixel: float) -> GroundImage:
    """Paint the road of a track and the ground around it, at most as far as the field goes.

    A pixel has the mean colour of what it covers, so that thin lines stay visible in a small picture.

    Args:
        track: What to paint.
        metres_per_pixel: Size of a pixel.

    Raises:
        ValueError: The size of a pixel is not a positive number.
    """
    if not 0.0 < metres_per_pixel < np.inf:
        raise ValueError(f"metres_per_pixel must be positive, got {metres_per_pixel}")
    scene = track.scene
    pattern = pattern_of(scene, curve_length_m(scene))
    x_min, y_min, x_max, y_max = _shown_rectangle(scene, pattern)
    columns = max(1, round((x_max - x_min) / metres_per_pixel))
    rows = max(1, round((y_max - y_min) / metres_per_pixel))
    rgb = np.empty((rows, columns, 3), np.uint8)
    for first in range(0, rows, _BAND_ROWS):
        last = min(rows, first + _BAND_ROWS)
        low_m = y_max - (last - 0.5) * metres_per_pixel  # middle of the band's lowest row
        half_pixel_m = metres_per_pixel / 2
        bounds = (
            x_min + half_pixel_m,
            low_m,
            x_min + (columns - 1) * metres_per_pixel,  # half a pixel short of the last node, against rounding up
            low_m + (last - first - 1.5) * metres_per_pixel,
        )
        field = measure_distances(scene, bounds, metres_per_pixel, pattern.road_to_m + 2 * metres_per_pixel)
        offset, along = np.moveaxis(field.values_m[: last - first, :columns][::-1].astype(np.float64), 2, 0)
        rgb[first:last] = _paint(pattern, scene.is_closed, offset, along, metres_per_pixel)
    return GroundImage(rgb, (x_min, y_max), metres_per_pixel)


def _shown_rectangle(scene: Scene, pattern: GroundPattern) -> tuple[float, float, float, float]:
    margin_m = pattern.road_to_m + MARGIN_M
    low, high = scene.curve_m.min(axis=0) - margin_m, scene.curve_m.max(axis=0) + margin_m
    field = scene.field_m
    return (
        max(float(low[0]), field[0]),
        max(float(low[1]), field[1]),
        min(float(high[0]), field[2]),
        min(float(high[1]), field[3]),
    )


def _paint(
    pattern: GroundPattern,
    is_closed: bool,
    offset: NDArray[np.float64],
    along: NDArray[np.float64],
    pixel_m: float,
) -> NDArray[np.uint8]:
    """Return the colours of pixels, from their middles' distances from and along the curve."""
    color = np.empty((*offset.shape, 3))
    color[:] = pattern.road
    away = np.abs(offset)
    _lay(color, pattern.dash, _band(offset, DASH_WIDTH_M / 2, pixel_m) * _dashes(pattern, along, pixel_m))
    if pattern.finish_at_m is not None:
        _lay_finish(color, pattern, offset, _from_finish(pattern, is_closed, along), pixel_m)
    _lay(color, pattern.line, _beyond(away, pattern.line_from_m, pixel_m))
    if pattern.kerb_pitch_m > 0:
        white = _stripes(along, pixel_m, pattern.kerb_pitch_m, pattern.kerb_pitch_m / 2)
        kerb = _beyond(away, pattern.line_to_m, pixel_m)
        _lay(color, lit(KERB_RED, GROUND_BRIGHTNESS), kerb)
        _lay(color, lit(KERB_WHITE, GROUND_BRIGHTNESS), kerb * white)
    beside = _beyond(away, pattern.road_to_m, pixel_m)
    if not is_closed:
        inside = _beyond(along, 0.0, pixel_m) - _beyond(along, pattern.length_m, pixel_m)
        beside = 1.0 - (1.0 - beside) * inside
    _lay(color, pattern.field, beside)
    return np.round(color).astype(np.uint8)


def _lay(color: NDArray[np.float64], paint: tuple[float, float, float], cover: NDArray[np.float64]) -> None:
    color += cover[..., None] * (np.asarray(paint) - color)


def _lay_finish(
    color: NDArray[np.float64],
    pattern: GroundPattern,
    offset: NDArray[np.float64],
    ahead: NDArray[np.float64],
    pixel_m: float,
) -> None:
    """Lay the chequered strip: two rows of squares, the colours of one the other way round in the other."""
    across = _band(offset, pattern.finish_half_across_m, pixel_m)
    middle = _beyond(ahead, 0.0, pixel_m)
    near = _beyond(ahead, -FINISH_THICK_M / 2, pixel_m) - middle
    far = middle - _beyond(ahead, FINISH_THICK_M / 2, pixel_m)
    light = _stripes(offset, pixel_m, 2 * FINISH_SQUARE_M, FINISH_SQUARE_M)
    both = near + far
    share = np.divide(near * light + far * (1.0 - light), both, out=np.zeros_like(both), where=both > 0)
    dark, bright = (np.asarray(lit(paint, GROUND_BRIGHTNESS)) for paint in (FINISH_DARK, FINISH_LIGHT))
    color += (across * both)[..., None] * (dark + share[..., None] * (bright - dark) - color)


def _from_finish(pattern: GroundPattern, is_closed: bool, along: NDArray[np.float64]) -> NDArray[np.float64]:
    ahead = along - (pattern.finish_at_m or 0.0)
    if is_closed:
        ahead -= pattern.length_m * np.round(ahead / pattern.length_m)
    return ahead


def _dashes(pattern: GroundPattern, along: NDArray[np.float64], pixel_m: float) -> NDArray[np.float64]:
    return _stripes(along, pixel_m, pattern.dash_pitch_m, DASH_LENGTH_M)


def _beyond(at: NDArray[np.float64], edge: float, pixel_m: float) -> NDArray[np.float64]:
    """Return how much of a pixel's width lies beyond an edge, 0 to 1."""
    return np.clip((at - edge) / pixel_m + 0.5, 0.0, 1.0)


def _band(at: NDArray[np.float64], half_width: float, pixel_m: float) -> NDArray[np.float64]:
    """Return how much of a pixel's width lies in a band around 0."""
    return _beyond(at, -half_width, pixel_m) - _beyond(at, half_width, pixel_m)


def _stripes(at: NDArray[np.float64], pixel_m: float, pitch: float, length: float) -> NDArray[np.float64]:
    """Return how much of a pixel's width is covered by stripes that begin at multiples of a pitch."""

    def covered_before(place: NDArray[np.float64]) -> NDArray[np.float64]:
        whole = np.floor(place / pitch)
        return whole * length + np.minimum(place - whole * pitch, length)

    return (covered_before(at + pixel_m / 2) - covered_before(at - pixel_m / 2)) / pixel_m
