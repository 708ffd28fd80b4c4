"""The ground in colour: what is painted on it, sharp at every magnification and without flicker far away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from drctl.simulation.sensors.camera_geometry import GROUND_BRIGHTNESS, lit
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
    pattern_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.track.track import Scene
    from drctl.simulation.views.camera import ViewCamera

Color = tuple[float, float, float]

_SPACING_M: Final = 0.04  # of the grid of distances; see simulation/sensors/camera.py
_REACH_BESIDE_ROAD_M: Final = 0.35
_LONGEST_STEP: Final = 8  # columns between looked-up places
_STEP_M: Final = 0.08  # and at most so far apart on the ground, two cells of the grid
_SUB_ROW_M: Final = 0.1  # a pixel row that shows more depth than this is drawn as the mean of several
_MOST_SUB_ROWS: Final = 8
_FARTHEST_M: Final = 200.0  # ground beyond is not told from the horizon
_SLIVER: Final = 1e-4  # metres: narrowest footprint


GROUND_PAINT: Final = np.dtype(
    [
        *((name, np.float64) for name in ("origin_x_m", "origin_y_m", "x_min_m", "y_min_m", "x_max_m", "y_max_m")),
        *((name, np.float64) for name in ("length_m", "line_from_m", "line_to_m", "road_to_m", "dash_pitch_m")),
        *((name, np.float64) for name in ("kerb_pitch_m", "finish_at_m", "finish_half_across_m")),
        ("is_closed", np.bool_),
        ("has_finish", np.bool_),
        *((name, np.float64, 3) for name in ("field", "road", "line", "dash")),
        *((name, np.float64, 3) for name in ("kerb_red", "kerb_white", "finish_dark", "finish_light")),
    ]
)
"""The grid's place and what is painted, for the kernel: metres, and colours from 0 to 255."""


def measure_ground(scene: Scene) -> tuple[NDArray[np.float32], Any]:
    """Return the grid of distances of a scene, shape (rows, columns, 2), and its paint, of dtype `GROUND_PAINT`."""
    length_m = curve_length_m(scene)
    pattern = pattern_of(scene, length_m)
    reach_m = pattern.road_to_m + _REACH_BESIDE_ROAD_M
    low = scene.curve_m.min(axis=0) - reach_m - 2 * _SPACING_M
    high = scene.curve_m.max(axis=0) + reach_m + 2 * _SPACING_M
    grid = measure_distances(scene, (low[0], low[1], high[0], high[1]), _SPACING_M, reach_m)
    paint = np.zeros(1, GROUND_PAINT)[0]
    paint["origin_x_m"], paint["origin_y_m"] = low
    paint["x_min_m"], paint["y_min_m"], paint["x_max_m"], paint["y_max_m"] = scene.field_m
    paint["is_closed"] = scene.is_closed
    shared = ("length_m", "line_from_m", "line_to_m", "road_to_m", "dash_pitch_m", "kerb_pitch_m")
    for name in (*shared, "finish_half_across_m", "field", "road", "line", "dash"):
        paint[name] = getattr(pattern, name)
    if pattern.finish_at_m is not None:
        paint["has_finish"], paint["finish_at_m"] = True, pattern.finish_at_m
    paints = {"kerb_red": KERB_RED, "kerb_white": KERB_WHITE, "finish_dark": FINISH_DARK, "finish_light": FINISH_LIGHT}
    for name, color in paints.items():
        paint[name] = lit(color, GROUND_BRIGHTNESS)
    return grid.values_m, paint


@njit(cache=True, fastmath=True)
def _look_up(grid: NDArray[np.float32], paint: Any, x: float, y: float) -> tuple[float, float]:
    """Return the offset from and the distance along the centre curve at a place; at the edge's outside the grid."""
    place_y = min(max((y - paint.origin_y_m) / _SPACING_M, 0.0), grid.shape[0] - 1.001)
    place_x = min(max((x - paint.origin_x_m) / _SPACING_M, 0.0), grid.shape[1] - 1.001)
    i, j = int(place_y), int(place_x)
    v, u = place_y - i, place_x - j
    a, b, c, d = grid[i, j, 0], grid[i, j + 1, 0], grid[i + 1, j, 0], grid[i + 1, j + 1, 0]
    if abs(a) > 3 * _SPACING_M:  # the curve is not in this cell; its two sides may still meet here, far away
        side = 1.0 if a >= 0.0 else -1.0
        offset = side * ((1 - v) * ((1 - u) * abs(a) + u * abs(b)) + v * ((1 - u) * abs(c) + u * abs(d)))
    else:
        offset = (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * c + u * d)
    start = grid[i, j, 1]
    s_b = _unwrap(grid[i, j + 1, 1] - start, paint)
    s_c = _unwrap(grid[i + 1, j, 1] - start, paint)
    s_d = _unwrap(grid[i + 1, j + 1, 1] - start, paint)
    return offset, start + (1 - v) * u * s_b + v * ((1 - u) * s_c + u * s_d)


@njit(cache=True, fastmath=True)
def _unwrap(difference: float, paint: Any) -> Any:
    if paint.is_closed:
        if difference > paint.length_m / 2:
            return difference - paint.length_m
        if difference < -paint.length_m / 2:
            return difference + paint.length_m
    return difference


@njit(cache=True, fastmath=True)
def _beyond(at: float, edge: float, width: float) -> float:
    return min(1.0, max(0.0, (at - edge) / width + 0.5))


@njit(cache=True, fastmath=True)
def _covered_before(place: float, pitch: float, length: float) -> Any:
    whole = np.floor(place / pitch)
    return whole * length + min(place - whole * pitch, length)


@njit(cache=True, fastmath=True)
def _stripes(at: float, width: float, pitch: float, length: float) -> Any:
    """Return how much of a footprint is covered by stripes that begin at multiples of a pitch."""
    before, after = at - width / 2, at + width / 2
    return (_covered_before(after, pitch, length) - _covered_before(before, pitch, length)) / width


@njit(cache=True, fastmath=True)
def _mix(color: Any, paint: Any, cover: float) -> Any:
    return (
        color[0] + cover * (paint[0] - color[0]),
        color[1] + cover * (paint[1] - color[1]),
        color[2] + cover * (paint[2] - color[2]),
    )


@njit(cache=True, fastmath=True)
def _color_at(offset: float, width: float, along: float, long: float, paint: Any) -> Any:
    """Return the mean colour of a footprint with a width across the road and a length along it."""
    away = abs(offset)
    color = (paint.road[0], paint.road[1], paint.road[2])
    if away < paint.line_from_m + width:
        if away < DASH_WIDTH_M / 2 + width:
            across = _beyond(offset, -DASH_WIDTH_M / 2, width) - _beyond(offset, DASH_WIDTH_M / 2, width)
            color = _mix(color, paint.dash, across * _stripes(along, long, paint.dash_pitch_m, DASH_LENGTH_M))
        if paint.has_finish:
            ahead = _unwrap(_unwrap(along - paint.finish_at_m, paint), paint)
            if abs(ahead) < FINISH_THICK_M / 2 + long:
                color = _mix_finish(color, offset, width, ahead, long, paint)
    color = _mix(color, paint.line, _beyond(away, paint.line_from_m, width))
    if paint.kerb_pitch_m > 0:
        kerb = _beyond(away, paint.line_to_m, width)
        if kerb > 0:
            white = _stripes(along, long, paint.kerb_pitch_m, paint.kerb_pitch_m / 2)
            red = (paint.kerb_red[0], paint.kerb_red[1], paint.kerb_red[2])
            color = _mix(color, _mix(red, paint.kerb_white, white), kerb)
    beside = _beyond(away, paint.road_to_m, width)
    if not paint.is_closed:
        inside = _beyond(along, 0.0, long) - _beyond(along, paint.length_m, long)
        beside = 1.0 - (1.0 - beside) * inside
    return _mix(color, paint.field, beside)


@njit(cache=True, fastmath=True)
def _mix_finish(color: Any, offset: float, width: float, ahead: float, long: float, paint: Any) -> Any:
    half = paint.finish_half_across_m
    across = _beyond(offset, -half, width) - _beyond(offset, half, width)
    middle = _beyond(ahead, 0.0, long)
    near = _beyond(ahead, -FINISH_THICK_M / 2, long) - middle
    far = middle - _beyond(ahead, FINISH_THICK_M / 2, long)
    light = _stripes(offset, width, 2 * FINISH_SQUARE_M, FINISH_SQUARE_M)
    both = near + far
    share = (near * light + far * (1.0 - light)) / max(1e-9, both)
    dark = (paint.finish_dark[0], paint.finish_dark[1], paint.finish_dark[2])
    return _mix(color, _mix(dark, paint.finish_light, share), across * both)


@njit(cache=True, fastmath=True)
def _add(line: NDArray[np.float32], first: int, count: int, weight: float, color: Any) -> None:
    red, green, blue = np.float32(weight * color[0]), np.float32(weight * color[1]), np.float32(weight * color[2])
    for i in range(first, first + count):
        line[3 * i] += red
        line[3 * i + 1] += green
        line[3 * i + 2] += blue


@njit(cache=True, fastmath=True)
def _paint_span(
    line: NDArray[np.float32],
    first: int,
    count: int,
    weight: float,
    nodes: NDArray[np.float64],
    k: int,
    paint: Any,
    span_m: float,
) -> None:
    """Add the colours of the pixels between two nodes to a row.

    `nodes` holds the offsets and distances along of the row's upper edge, then those of its lower edge.
    """
    o_00, o_01, o_10, o_11 = nodes[0, k], nodes[0, k + 1], nodes[2, k], nodes[2, k + 1]
    if o_00 * o_01 < 0 and abs(o_01 - o_00) > 1.5 * span_m:  # not across the centre but between two far sides
        o_01, o_11 = -o_01, -o_11
    if o_00 * o_10 < 0 and abs(o_00) > 3 * _SPACING_M:
        o_10 = -o_10
    if o_01 * o_11 < 0 and abs(o_01) > 3 * _SPACING_M:
        o_11 = -o_11
    left, right = (o_00 + o_10) / 2, (o_01 + o_11) / 2
    step = (right - left) / count
    fall = (o_10 - o_00 + o_11 - o_01) / 2
    width = max(_SLIVER, np.sqrt(step * step + fall * fall))
    low = 0.0 if left * right <= 0 else min(abs(left), abs(right))
    high = max(abs(left), abs(right))
    if low > paint.road_to_m + width:
        _add(line, first, count, weight, paint.field)
        return
    s_00 = nodes[1, k]
    s_01 = _unwrap(nodes[1, k + 1] - s_00, paint)
    s_10 = _unwrap(nodes[3, k] - s_00, paint)
    s_11 = _unwrap(nodes[3, k + 1] - s_00, paint)
    if paint.is_closed and low > DASH_WIDTH_M / 2 + width and high < paint.line_from_m - width:
        to_finish = abs(_unwrap(_unwrap(s_00 - paint.finish_at_m, paint), paint))
        if not paint.has_finish or to_finish > FINISH_THICK_M + abs(s_01) + abs(s_10) + abs(s_11):
            _add(line, first, count, weight, paint.road)
            return
    along, along_step = s_00 + s_10 / 2, (s_01 + s_11 - s_10) / 2 / count
    along_fall = (s_10 + s_11 - s_01) / 2
    long = max(_SLIVER, np.sqrt(along_step * along_step + along_fall * along_fall))
    for i in range(count):
        place = i + 0.5
        color = _color_at(left + place * step, width, along + place * along_step, long, paint)
        _add(line, first + i, 1, weight, color)


@njit(cache=True, fastmath=True)
def _look_up_row(
    grid: NDArray[np.float32],
    paint: Any,
    camera: ViewCamera,
    size: tuple[int, int],
    place: float,
    step: int,
    first: int,
    last: int,
    nodes: NDArray[np.float64],
) -> None:
    """Look up the places that a line across the picture shows, every `step` columns."""
    x, y, dx, dy = _ground_line(camera, size, place)
    for k in range(first, last + 1):
        nodes[0, k], nodes[1, k] = _look_up(grid, paint, x + k * step * dx, y + k * step * dy)


@njit(cache=True, fastmath=True)
def _ground_line(camera: ViewCamera, size: tuple[int, int], place: float) -> tuple[float, float, float, float]:
    """Return the ground point at the left end of a line across the picture, and the way from column to column."""
    down = (place - size[0] / 2) / camera.focal_px
    sine, cosine = np.sin(camera.pitch_rad), np.cos(camera.pitch_rad)
    t = min(_FARTHEST_M, camera.height_m / max(1e-9, sine + down * cosine))
    forward, left = t * (cosine - down * sine), t * size[1] / 2 / camera.focal_px
    ahead_x, ahead_y = np.cos(camera.yaw_rad), np.sin(camera.yaw_rad)
    right = t / camera.focal_px
    x, y = camera.x_m + forward * ahead_x - left * ahead_y, camera.y_m + forward * ahead_y + left * ahead_x
    return x, y, right * ahead_y, -right * ahead_x


@njit(cache=True, fastmath=True)
def _measure_edges(
    ground: tuple[float, float, float, float], depth: float, paint: Any, edges: NDArray[np.float64]
) -> None:
    """Fill rows (distance to an edge of the field at column 0, per column, extent of a pixel across the edge)."""
    x, y, dx, dy = ground
    edges[0, 0], edges[0, 1] = x - paint.x_min_m, dx
    edges[1, 0], edges[1, 1] = paint.x_max_m - x, -dx
    edges[2, 0], edges[2, 1] = y - paint.y_min_m, dy
    edges[3, 0], edges[3, 1] = paint.y_max_m - y, -dy
    pixel_m = max(_SLIVER, np.hypot(dx, dy))
    for k in range(4):
        # A pixel's width on the ground, and its depth, which runs at right angles to it.
        share = min(1.0, abs(edges[k, 1]) / pixel_m)
        edges[k, 2] = max(_SLIVER, np.hypot(edges[k, 1], np.sqrt(1.0 - share * share) * depth))


@njit(cache=True, fastmath=True)
def _field_columns(edges: NDArray[np.float64], columns: int) -> tuple[int, int]:
    """Return from and to which column a row shows some of the field."""
    low, high = 0.0, float(columns)
    for k in range(4):
        start, step = edges[k, 0] + 1.5 * edges[k, 2], edges[k, 1]
        if step > 0:
            low = max(low, -start / step)
        elif step < 0:
            high = min(high, -start / step)
        elif start < 0:
            return 0, 0
    if high <= low:
        return 0, 0
    return int(low), int(np.ceil(high))


@njit(cache=True, fastmath=True)
def _blend_beyond(line: NDArray[np.float32], beyond: Color, edges: NDArray[np.float64], first: int, last: int) -> None:
    """Lay the colour of what is beside the field over a row."""
    for k in range(4):
        start, step, across = edges[k, 0], edges[k, 1], edges[k, 2]
        if min(start + first * step, start + last * step) > across:
            continue
        for i in range(first, last):
            outside = 1.0 - _beyond(start + (i + 0.5) * step, 0.0, across)
            if outside > 0:
                for channel in range(3):
                    line[3 * i + channel] += outside * (beyond[channel] - line[3 * i + channel])


@njit(cache=True, fastmath=True, nogil=True)
def draw_ground(
    grid: NDArray[np.float32], paint: Any, beyond: Color, camera: ViewCamera, out: NDArray[np.uint8]
) -> None:
    """Draw the ground into a picture; rows above the horizon stay as they are.

    Args:
        grid: See `measure_ground`.
        paint: See `measure_ground`.
        beyond: Colour of the ground beside the field.
        camera: Where it is seen from.
        out: Picture, shape (rows, columns, 3), uint8, contiguous.
    """
    size = out.shape[0], out.shape[1]
    flat = out.reshape(size[0], 3 * size[1])
    line = np.zeros(3 * size[1], np.float32)
    nodes, edges = np.zeros((4, size[1] + 1)), np.zeros((4, 3))
    sine, cosine = np.sin(camera.pitch_rad), np.cos(camera.pitch_rad)
    known_place, known_step, known_first, known_last = -1.0, 0, 0, 0
    for row in range(size[0]):
        falls = sine + (row + 1 - size[0] / 2) / camera.focal_px * cosine
        if falls <= camera.height_m / _FARTHEST_M:
            if falls > 0:
                line[:] = 0
                _add(line, 0, size[1], 1.0, beyond)
                flat[row] = line.astype(np.uint8)
            continue
        far, near = _ground_line(camera, size, row), _ground_line(camera, size, row + 1)
        depth = abs((far[0] - near[0]) * np.cos(camera.yaw_rad) + (far[1] - near[1]) * np.sin(camera.yaw_rad))
        _measure_edges(_ground_line(camera, size, row + 0.5), depth, paint, edges)
        low, high = _field_columns(edges, size[1])
        pixel_m = camera.height_m / falls / camera.focal_px
        step = _LONGEST_STEP
        while step > 1 and step * pixel_m > _STEP_M:
            step //= 2
        first, last = low // step, (high + step - 1) // step
        parts = min(_MOST_SUB_ROWS, int(np.ceil(depth / _SUB_ROW_M)))
        line[:] = 0
        if first > 0 or last * step < size[1]:
            _add(line, 0, first * step, 1.0, beyond)
            _add(line, last * step, size[1] - last * step, 1.0, beyond)
        for part in range(parts):
            top, bottom = row + part / parts, row + (part + 1) / parts
            if known_place == top and known_step == step and known_first <= first and known_last >= last:
                nodes[:2, first : last + 1] = nodes[2:, first : last + 1]
            else:
                _look_up_row(grid, paint, camera, size, top, step, first, last, nodes[:2])
            _look_up_row(grid, paint, camera, size, bottom, step, first, last, nodes[2:])
            known_place, known_step, known_first, known_last = bottom, step, first, last
            for k in range(first, last):
                _paint_span(line, k * step, step, 1.0 / parts, nodes, k, paint, step * pixel_m + depth / parts)
        _blend_beyond(line, beyond, edges, first * step, last * step)
        for i in range(3 * size[1]):
            flat[row, i] = np.uint8(line[i] + np.float32(0.5))
