"""A map of a track as a picture: the painted ground with numbered waypoints and the way to drive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.simulation.sensors.painting import GroundImage, paint_ground

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.ImageDraw import ImageDraw

    from drctl.simulation.track.track import Track

_LONG_SIDE_PX: Final = 1600
_LABEL_EVERY: Final = 10
_LABEL_GAP_M: Final = 0.25  # beyond the outer border
_DOT_PX: Final = 2
_ARROW_M: Final = 0.5
_START_COLOR: Final = (235, 70, 60)
_WAYPOINT_COLOR: Final = (90, 200, 250)
_LABEL_COLOR: Final = (255, 255, 255)


def save_picture(track: Track, path: Path) -> tuple[int, int]:
    """Write a PNG, north up, and return its width and height in pixels.

    Every tenth waypoint has its number, as reward functions count them; a red arrow shows start and direction.

    Args:
        track: In driving direction.
        path: File to write.

    Raises:
        OSError: The file cannot be written.
    """
    from PIL import Image, ImageDraw

    ground = paint_ground(track, _metres_per_pixel(track))
    image = Image.fromarray(ground.rgb)
    pen = ImageDraw.Draw(image)
    _mark_waypoints(pen, ground, track)
    _mark_start(pen, ground, track)
    image.save(path, "PNG")
    return image.size


def _metres_per_pixel(track: Track) -> float:
    ends = np.concatenate([track.inner_m, track.outer_m])
    return float((ends.max(axis=0) - ends.min(axis=0)).max()) / _LONG_SIDE_PX


def _pixels(ground: GroundImage, points_m: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(column, row) for row, column in ground.pixel_at(points_m).tolist()]


def _mark_waypoints(pen: ImageDraw, ground: GroundImage, track: Track) -> None:
    for column, row in _pixels(ground, track.centre_m):
        pen.ellipse((column - _DOT_PX, row - _DOT_PX, column + _DOT_PX, row + _DOT_PX), fill=_WAYPOINT_COLOR)
    outwards = track.outer_m - track.centre_m
    length = np.hypot(outwards[:, 0], outwards[:, 1])[:, None]
    places = _pixels(ground, track.outer_m + outwards / length * _LABEL_GAP_M)
    for number in range(0, len(places), _LABEL_EVERY):
        pen.text(places[number], str(number), fill=_LABEL_COLOR, anchor="mm", font_size=18)


def _mark_start(pen: ImageDraw, ground: GroundImage, track: Track) -> None:
    start, ahead = track.centre_m[0], track.centre_m[1] - track.centre_m[0]
    ahead = ahead / np.hypot(ahead[0], ahead[1])
    left = np.array([-ahead[1], ahead[0]])
    tip = start + _ARROW_M * ahead
    barbs = np.array([tip - 0.15 * ahead + 0.1 * left, tip, tip - 0.15 * ahead - 0.1 * left])
    pen.line(_pixels(ground, np.array([track.inner_m[0], track.outer_m[0]])), fill=_START_COLOR, width=3)
    pen.line(_pixels(ground, np.array([start, tip])), fill=_START_COLOR, width=4)
    pen.line(_pixels(ground, barbs), fill=_START_COLOR, width=4)
