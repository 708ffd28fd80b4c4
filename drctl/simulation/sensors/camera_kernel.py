"""The compiled part of the front camera: from poses to frames.

The camera never moves against the car, so where a row of the image meets the ground is known beforehand, as are the
weights of its pixels. Per frame there is left to do: look up the distance from the centre curve at some places of
each row (nodes), interpolate between them, and turn distances into greys.

Antialiasing: a pixel's grey is the mean over its footprint. Across a painted edge the footprint is as wide as the
distance changes from pixel to pixel and row to row, so an edge is a ramp of that width, and a thin line, the difference
of two ramps, keeps its mean however thin it becomes. The walls' edges are straight in the image and are ramps likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from drctl.simulation.sensors.camera_geometry import (
    FOCAL_LENGTH_PX,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    LENS_FORWARD_M,
    LENS_HEIGHT_M,
    PITCH_RAD,
)
from drctl.simulation.sensors.ground_pattern import (
    DASH_LENGTH_M,
    DASH_WIDTH_M,
    FINISH_ACROSS_M,
    FINISH_SQUARE_M,
    FINISH_THICK_M,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

RAMP = float(np.sqrt(2.0))
"""Width of a ramp over the step of the distance from pixel to pixel.

The original's downscaling weighs a triangle two pixels wide, of variance 1/6; a box of this width has the same one.
"""

NODE_STEP = 8
"""Pixels between nodes of a row: 6 cm or less within a metre of the car."""

NODES = IMAGE_WIDTH // NODE_STEP + 1

_WIDTH, _HEIGHT = IMAGE_WIDTH, IMAGE_HEIGHT
_FOCAL, _LENS_UP, _LENS_AHEAD = FOCAL_LENGTH_PX, LENS_HEIGHT_M, LENS_FORWARD_M
_SIN, _COS = float(np.sin(PITCH_RAD)), float(np.cos(PITCH_RAD))
_SLIVER = 1e-4  # metres: no ramp is narrower, so that its slope stays finite
_CLOSEST_WALL = 0.02  # metres: nearer, or from outside, a wall is seen as if at this distance
_FINISH_RADIUS = float(np.hypot(FINISH_ACROSS_M, FINISH_THICK_M) / 2 + 0.1)
_MAX_JUMP = 3.0  # spacings: a larger step between neighbouring nodes is a change of sides, not a distance

WORLD = np.dtype(
    [
        ("first", np.int64),
        ("rows", np.int64),
        ("columns", np.int64),
        ("origin_x_m", np.float64),
        ("origin_y_m", np.float64),
        ("nodes_per_m", np.float64),
        ("wrap_m", np.float64),
        ("open_length_m", np.float32),
        ("line_from_m", np.float32),
        ("line_to_m", np.float32),
        ("road_to_m", np.float32),
        ("dash_pitch_m", np.float32),
        ("kerb_pitch_m", np.float32),
        ("finish_at_m", np.float32),
        ("finish_half_across_m", np.float32),
        ("finish_x_m", np.float64),
        ("finish_y_m", np.float64),
        ("wall_height_m", np.float64),
        ("field_m", np.float64, (4,)),
        ("wall", np.float32, (4,)),
        ("backdrop", np.float32),
        ("field", np.float32),
        ("road", np.float32),
        ("line", np.float32),
        ("dash", np.float32),
        ("kerb_red", np.float32),
        ("kerb_white", np.float32),
        ("finish_dark", np.float32),
        ("finish_light", np.float32),
    ]
)
"""What the kernel knows of a world: its part of the distance grid (``first`` counts nodes), the pattern and the greys.

``wrap_m`` is the lap's length, and huge where the curve is open; ``open_length_m`` is 0 where it is closed;
``kerb_pitch_m`` and ``finish_half_across_m`` are 0 where there is no such thing; walls lower than the lens count as 0.
"""

STRIP = np.dtype(
    [
        ("first_row", np.int64),
        ("rows", np.int64),
        ("is_first", np.bool_),
        ("is_last", np.bool_),
        ("weight", np.float32),
        ("top_ahead_m", np.float64),
        ("top_pixel_m", np.float64),
        ("bottom_ahead_m", np.float64),
        ("bottom_pixel_m", np.float64),
    ]
)
"""A strip of ground across the image: some rows of pixels, or, far away, a part of one row (``weight``).

``ahead`` is the distance of its upper and lower edge from base_link, ``pixel`` a pixel's width there. A strip's lower
edge is the next strip's upper edge.
"""


@njit(cache=True, fastmath=True)
def _clamp(value: float) -> float:
    return min(np.float32(1.0), max(np.float32(0.0), value))


@njit(cache=True, fastmath=True)
def _pulses_before(at: float, length: float) -> float:
    """Return how much of the line up to a place is covered by pulses of a length that begin at whole numbers."""
    whole = np.floor(at)
    return whole * length + min(at - whole, length)


@njit(cache=True, fastmath=True)
def _pulses(at: float, width: float, per_pitch: float, length: float) -> float:
    """Return the covered fraction of a window around a place; pulses begin at multiples of a pitch.

    Args:
        at: Middle of the window.
        width: Width of the window.
        per_pitch: One over the pitch.
        length: Length of a pulse in pitches.
    """
    middle, half = at * per_pitch, np.float32(0.5) * width * per_pitch
    return (_pulses_before(middle + half, length) - _pulses_before(middle - half, length)) / (half + half)


@njit(cache=True, fastmath=True)
def _unwrapped(along: float, beside: float, wrap: float) -> float:
    """Return a distance along the curve so that the finish does not lie between it and a neighbouring place's."""
    if along - beside > np.float32(0.5) * wrap:
        return along - wrap
    if beside - along > np.float32(0.5) * wrap:
        return along + wrap
    return along


@njit(cache=True, fastmath=True)
def _look_up_nodes(
    grid: NDArray[np.float32],
    world: Any,
    x: float,
    y: float,
    cosine: float,
    sine: float,
    ahead: float,
    pixel: float,
    first: int,
    last: int,
    nodes: NDArray[np.float32],
) -> None:
    """Look up offset and distance along the curve at the nodes first..last of a line across the image.

    (x, y) is base_link; the line is `ahead` of it, and a pixel is `pixel` wide there.
    """
    scale = world.nodes_per_m
    left = pixel * (_WIDTH // 2)
    column_0 = np.float32((x + ahead * cosine - left * sine - world.origin_x_m) * scale)
    row_0 = np.float32((y + ahead * sine + left * cosine - world.origin_y_m) * scale)
    column_step, row_step = np.float32(pixel * NODE_STEP * sine * scale), np.float32(-pixel * NODE_STEP * cosine * scale)
    zero, last_column, last_row = np.float32(0.0), np.float32(world.columns - 1.01), np.float32(world.rows - 1.01)
    start, stride = world.first, world.columns
    wrap, jump = np.float32(world.wrap_m), np.float32(2.0 * _MAX_JUMP / scale)
    for k in range(first, last + 1):
        column = min(max(column_0 + np.float32(k) * column_step, zero), last_column)
        row = min(max(row_0 + np.float32(k) * row_step, zero), last_row)
        j, i = int(column), int(row)
        u, v = column - np.float32(j), row - np.float32(i)
        a = start + i * stride + j
        b = a + stride
        d00, d01, d10, d11 = grid[a, 0], grid[a + 1, 0], grid[b, 0], grid[b + 1, 0]
        s00, s01, s10, s11 = grid[a, 1], grid[a + 1, 1], grid[b, 1], grid[b + 1, 1]
        if abs(d00 - d11) + abs(d01 - d10) > jump:
            nodes[k, 0], nodes[k, 1] = max(abs(d00), abs(d01), abs(d10), abs(d11)), s00
            continue
        if abs(s00 - s11) + abs(s01 - s10) > wrap:
            s01, s10, s11 = _unwrapped(s01, s00, wrap), _unwrapped(s10, s00, wrap), _unwrapped(s11, s00, wrap)
        lower, upper = d00 + u * (d01 - d00), d10 + u * (d11 - d10)
        nodes[k, 0] = lower + v * (upper - lower)
        lower, upper = s00 + u * (s01 - s00), s10 + u * (s11 - s10)
        nodes[k, 1] = lower + v * (upper - lower)


@njit(cache=True, fastmath=True)
def _paint_lines(
    ground: NDArray[np.float32],
    first: np.uint64,
    count: int,
    offset: float,
    offset_step: float,
    width: float,
    world: Any,
) -> None:
    """Set the grey of road, lines and field in the pixels first..first+count-1; the arguments are `_paint_span`'s."""
    half = np.float32(0.5)
    slope = np.float32(1.0) / width
    line_from, line_to = world.line_from_m, world.line_to_m
    road, line_contrast, field_contrast = world.road, world.line - world.road, world.field - world.line
    for i in range(count):
        x = abs(offset + np.float32(i) * offset_step)
        ground[first + np.uint64(i)] = (
            road
            + _clamp((x - line_from) * slope + half) * line_contrast
            + _clamp((x - line_to) * slope + half) * field_contrast
        )


@njit(cache=True, fastmath=True)
def _paint_kerb(
    ground: NDArray[np.float32],
    first: np.uint64,
    count: int,
    offset: float,
    offset_step: float,
    width: float,
    along: float,
    along_step: float,
    along_width: float,
    world: Any,
) -> None:
    """Set the grey of road, lines, kerb and field; the arguments are those of `_paint_span`."""
    half = np.float32(0.5)
    slope, per_pitch = np.float32(1.0) / width, np.float32(1.0) / world.kerb_pitch_m
    line_from, line_to, road_to = world.line_from_m, world.line_to_m, world.road_to_m
    road, line, field = world.road, world.line, world.field
    red, white = world.kerb_red, world.kerb_white - world.kerb_red
    for i in range(count):
        x = abs(offset + np.float32(i) * offset_step)
        kerb = red + white * _pulses(along + np.float32(i) * along_step, along_width, per_pitch, half)
        ground[first + np.uint64(i)] = (
            road
            + _clamp((x - line_from) * slope + half) * (line - road)
            + _clamp((x - line_to) * slope + half) * (kerb - line)
            + _clamp((x - road_to) * slope + half) * (field - kerb)
        )


@njit(cache=True, fastmath=True)
def _paint_span(
    ground: NDArray[np.float32],
    first: np.uint64,
    count: int,
    offset: float,
    offset_step: float,
    width: float,
    along: float,
    along_step: float,
    along_width: float,
    world: Any,
    is_plain: bool,
) -> None:
    """Set the ground's grey of the pixels first..first+count-1, among which something is painted.

    Offset and distance along the curve are those at the middle of the first pixel; their steps are per pixel; the
    widths are those of the ramps. A plain span shows neither the chequered strip nor the end of a road.
    """
    if world.kerb_pitch_m > 0:
        _paint_kerb(ground, first, count, offset, offset_step, width, along, along_step, along_width, world)
    else:
        _paint_lines(ground, first, count, offset, offset_step, width, world)
    half, wide = np.float32(0.5), np.float32(DASH_WIDTH_M / 2)
    end = offset + np.float32(count - 1) * offset_step
    if offset * end <= 0 or min(abs(offset), abs(end)) < wide + half * width:
        slope, per_pitch = np.float32(1.0) / width, np.float32(1.0) / world.dash_pitch_m
        length = np.float32(DASH_LENGTH_M) * per_pitch
        contrast = world.dash - world.road
        for i in range(count):
            x = offset + np.float32(i) * offset_step
            across = _clamp((x + wide) * slope + half) - _clamp((x - wide) * slope + half)
            dashes = _pulses(along + np.float32(i) * along_step, along_width, per_pitch, length)
            ground[first + np.uint64(i)] += across * dashes * contrast
    if is_plain:
        return
    if world.finish_half_across_m > 0:
        _paint_finish(ground, first, count, offset, offset_step, width, along, along_step, along_width, world)
    if world.open_length_m > 0:
        _cut_ends(ground, first, count, along, along_step, along_width, world)


@njit(cache=True, fastmath=True)
def _paint_finish(
    ground: NDArray[np.float32],
    first: np.uint64,
    count: int,
    offset: float,
    offset_step: float,
    width: float,
    along: float,
    along_step: float,
    along_width: float,
    world: Any,
) -> None:
    """Lay the chequered strip over a span of road; the arguments are those of `_paint_span`."""
    half, one = np.float32(0.5), np.float32(1.0)
    thick = np.float32(FINISH_THICK_M / 2)
    along = _unwrapped(along - world.finish_at_m, np.float32(0.0), np.float32(world.wrap_m))
    end = along + np.float32(count - 1) * along_step
    if min(along, end) > thick + along_width or max(along, end) < -thick - along_width:
        return
    slope, along_slope = one / width, one / along_width
    per_pitch, across = np.float32(0.5 / FINISH_SQUARE_M), world.finish_half_across_m
    dark, contrast = world.finish_dark, world.finish_light - world.finish_dark
    for i in range(count):
        x = offset + np.float32(i) * offset_step
        s = along + np.float32(i) * along_step
        middle = _clamp(s * along_slope + half)
        row_0 = _clamp((s + thick) * along_slope + half) - middle
        row_1 = middle - _clamp((s - thick) * along_slope + half)
        inside = _clamp((x + across) * slope + half) - _clamp((x - across) * slope + half)
        light = _pulses(x, width, per_pitch, half)
        check = (row_0 + row_1) * dark + (row_0 * light + row_1 * (one - light)) * contrast
        ground[first + np.uint64(i)] += inside * (check - (row_0 + row_1) * ground[first + np.uint64(i)])


@njit(cache=True, fastmath=True)
def _cut_ends(
    ground: NDArray[np.float32],
    first: np.uint64,
    count: int,
    along: float,
    along_step: float,
    along_width: float,
    world: Any,
) -> None:
    """Let an open road begin and end; the arguments are those of `_paint_span`."""
    half = np.float32(0.5)
    slope = np.float32(1.0) / along_width
    field, length = world.field, world.open_length_m
    for i in range(count):
        s = along + np.float32(i) * along_step
        road = _clamp(s * slope + half) - _clamp((s - length) * slope + half)
        ground[first + np.uint64(i)] = field + road * (ground[first + np.uint64(i)] - field)


@njit(cache=True, fastmath=True)
def _paint_strip_row(
    ground: NDArray[np.float32],
    strip: Any,
    row: int,
    top: NDArray[np.float32],
    bottom: NDArray[np.float32],
    first_node: int,
    last_node: int,
    world: Any,
    is_plain: bool,
) -> None:
    """Set the ground's grey along one pixel row of a strip, between two nodes.

    `row` counts from the strip's first; a plain strip shows neither the chequered strip nor the end of a road.
    """
    # The compiler vectorises the loops over a span's pixels only where it does not know that they are NODE_STEP many
    # and where it knows that no index is negative.
    count = len(ground) // (len(top) - 1)
    half = np.float32(0.5)
    share = np.float32(1.0) / np.float32(strip.rows)
    down = (np.float32(row) + half) * share
    per_pixel = np.float32(1.0 / NODE_STEP)
    wrap = np.float32(world.wrap_m)
    aside_limit = np.float32(_MAX_JUMP * NODE_STEP * strip.top_pixel_m)
    depth_limit = np.float32(_MAX_JUMP * (strip.top_ahead_m - strip.bottom_ahead_m))
    ramp, sliver = np.float32(RAMP), np.float32(_SLIVER)
    field, road, has_kerb = world.field, world.road, world.kerb_pitch_m > 0
    field_from, lines_from, dash_to = world.road_to_m, world.line_from_m, np.float32(DASH_WIDTH_M / 2)
    for k in range(first_node, last_node):
        top_0, top_1, bottom_0, bottom_1 = top[k, 0], top[k + 1, 0], bottom[k, 0], bottom[k + 1, 0]
        if top_0 * top_1 < 0 and abs(top_1 - top_0) > aside_limit:
            top_0, top_1 = abs(top_0), abs(top_1)
        if bottom_0 * bottom_1 < 0 and abs(bottom_1 - bottom_0) > aside_limit:
            bottom_0, bottom_1 = abs(bottom_0), abs(bottom_1)
        if top_0 * bottom_0 < 0 and abs(bottom_0 - top_0) > depth_limit:
            top_0, top_1, bottom_0, bottom_1 = abs(top_0), abs(top_1), abs(bottom_0), abs(bottom_1)
        offset = top_0 + down * (bottom_0 - top_0)
        end = top_1 + down * (bottom_1 - top_1)
        offset_step = (end - offset) * per_pixel
        drop = half * (bottom_0 - top_0 + bottom_1 - top_1) * share
        low = np.float32(0.0) if offset * end <= 0 else min(abs(offset), abs(end))
        reach = abs(offset_step) + abs(drop)  # at least half a ramp
        first = np.uint64(k * count)
        if low > field_from + reach:
            for i in range(count):
                ground[first + np.uint64(i)] = field
            continue
        is_simple = is_plain and low > dash_to + reach
        if is_simple and max(abs(offset), abs(end)) < lines_from - reach:
            for i in range(count):
                ground[first + np.uint64(i)] = road
            continue
        width = max(sliver, ramp * np.sqrt(offset_step * offset_step + drop * drop))
        offset += half * offset_step
        if is_simple and not has_kerb:
            _paint_lines(ground, first, count, offset, offset_step, width, world)
            continue
        along_0 = top[k, 1]
        along_1 = _unwrapped(top[k + 1, 1], along_0, wrap)
        fall_0 = _unwrapped(bottom[k, 1], along_0, wrap) - along_0
        fall_1 = _unwrapped(bottom[k + 1, 1], along_1, wrap) - along_1
        along = along_0 + down * fall_0
        along_step = (along_1 + down * fall_1 - along) * per_pixel
        drop = half * (fall_0 + fall_1) * share
        along_width = max(sliver, ramp * np.sqrt(along_step * along_step + drop * drop))
        along += half * along_step
        _paint_span(ground, first, count, offset, offset_step, width, along, along_step, along_width, world, is_plain)


@njit(cache=True, fastmath=True)
def _see_walls(world: Any, x: float, y: float, cosine: float, sine: float, walls: NDArray[np.float64]) -> None:
    """Work out how the walls lie in the image; (x, y) is the lens.

    The ray of a pixel leaves the field through the wall whose nearness, one over the distance along the ray, is the
    largest; it is linear in the image. Column 0 of `walls` is the nearness per unit of the ray's forward part, column
    1 per unit of its part to the right, columns 2 and 3 the slopes of the ramps at the wall's foot and top.
    """
    rest = world.wall_height_m - _LENS_UP
    for i in range(4):
        if i == 0:
            distance, forward, right = x - world.field_m[0], -cosine, -sine
        elif i == 1:
            distance, forward, right = world.field_m[2] - x, cosine, sine
        elif i == 2:
            distance, forward, right = y - world.field_m[1], -sine, cosine
        else:
            distance, forward, right = world.field_m[3] - y, sine, -cosine
        distance = max(distance, _CLOSEST_WALL)
        forward, right = forward / distance, right / distance
        walls[i, 0], walls[i, 1] = forward, right
        walls[i, 2] = _FOCAL / RAMP / np.hypot(_LENS_UP * right, _LENS_UP * forward * _SIN + _COS)
        walls[i, 3] = _FOCAL / RAMP / np.hypot(rest * right, rest * forward * _SIN - _COS)


@njit(cache=True, fastmath=True)
def _ground_columns(walls: NDArray[np.float64], row: int) -> tuple[float, float, float]:
    """Return where ground begins and ends in a pixel row, in columns, and where the row has nothing but ground (> 0)."""
    down = (row + 0.5 - _HEIGHT / 2) / _FOCAL
    forward, up = _COS - down * _SIN, -_SIN - down * _COS
    low, high, clear = 0.0, float(_WIDTH), 1.0
    for i in range(4):
        slope = walls[i, 2]
        # The ramp is 0.5 - slope * (height of the lens * nearness + up): positive on ground, at least 1 on nothing else.
        at_0 = 0.5 - slope * (_LENS_UP * (walls[i, 0] * forward - walls[i, 1] * (_WIDTH / 2) / _FOCAL) + up)
        step = -slope * _LENS_UP * walls[i, 1] / _FOCAL
        at_end = at_0 + step * _WIDTH
        clear = min(clear, min(at_0, at_end) - 1.0)
        if at_0 <= 0.0 and at_end <= 0.0:
            return 0.0, 0.0, -1.0
        if at_0 < 0.0:
            low = max(low, -at_0 / step)
        elif at_end < 0.0:
            high = min(high, -at_0 / step)
    return low, high, clear


@njit(cache=True, fastmath=True)
def _finish_row(
    out: NDArray[np.uint8],
    row: int,
    ground: NDArray[np.float32],
    world: Any,
    walls: NDArray[np.float64],
    wall_shade: float,
) -> None:
    """Write a row in which ground, walls and backdrop may meet."""
    half, one = np.float32(0.5), np.float32(1.0)
    down = (row + 0.5 - _HEIGHT / 2) / _FOCAL
    forward, up = _COS - down * _SIN, -_SIN - down * _COS
    per_column = 1.0 / _FOCAL
    lens, rest = np.float32(_LENS_UP), np.float32(world.wall_height_m - _LENS_UP)
    has_wall = world.wall_height_m > 0
    rise = np.float32(up)
    start = (0.5 - _WIDTH / 2) / _FOCAL
    n0, n1 = np.float32(walls[0, 0] * forward + walls[0, 1] * start), np.float32(walls[1, 0] * forward + walls[1, 1] * start)
    n2, n3 = np.float32(walls[2, 0] * forward + walls[2, 1] * start), np.float32(walls[3, 0] * forward + walls[3, 1] * start)
    d0, d1 = np.float32(walls[0, 1] * per_column), np.float32(walls[1, 1] * per_column)
    d2, d3 = np.float32(walls[2, 1] * per_column), np.float32(walls[3, 1] * per_column)
    f0, f1, f2, f3 = np.float32(walls[0, 2]), np.float32(walls[1, 2]), np.float32(walls[2, 2]), np.float32(walls[3, 2])
    t0, t1, t2, t3 = np.float32(walls[0, 3]), np.float32(walls[1, 3]), np.float32(walls[2, 3]), np.float32(walls[3, 3])
    g0, g1, g2, g3 = world.wall[0], world.wall[1], world.wall[2], world.wall[3]
    shade = np.float32(wall_shade)
    for column in range(_WIDTH):
        i = np.float32(column)
        nearness, foot, top, grey = n0 + d0 * i, f0, t0, g0
        other = n1 + d1 * i
        if other > nearness:
            nearness, foot, top, grey = other, f1, t1, g1
        other = n2 + d2 * i
        if other > nearness:
            nearness, foot, top, grey = other, f2, t2, g2
        other = n3 + d3 * i
        if other > nearness:
            nearness, foot, top, grey = other, f3, t3, g3
        on_ground = _clamp(half - foot * (lens * nearness + rise))
        above = one - on_ground
        if has_wall:
            above = _clamp(half + top * (rise - rest * nearness))
        grey *= shade
        value = grey + on_ground * (ground[column] - grey) + above * (world.backdrop - grey)
        out[row, column] = np.uint8(min(np.float32(255.0), max(np.float32(0.0), value)))


@njit(cache=True, fastmath=True)
def _render_ground(
    out: NDArray[np.uint8],
    grid: NDArray[np.float32],
    world: Any,
    strips: Any,
    pose: NDArray[np.float64],
    wall_shade: float,
    walls: NDArray[np.float64],
    spans: NDArray[np.float64],
    rows: NDArray[np.float32],
    nodes: NDArray[np.float32],
) -> None:
    """Write the rows in which strips of ground lie. `spans` holds each row's `_ground_columns`."""
    x, y, cosine, sine = pose[0], pose[1], np.cos(pose[2]), np.sin(pose[2])
    ground, total = rows[0], rows[1]
    top, bottom = nodes[0], nodes[1]
    known_first, known_last = 0, -1
    finish_ahead = (world.finish_x_m - x) * cosine + (world.finish_y_m - y) * sine
    for k in range(len(strips)):
        strip = strips[k]
        final = strip.first_row + strip.rows - 1
        first = int(min(spans[strip.first_row, 0], spans[final, 0])) // NODE_STEP
        last = (int(np.ceil(max(spans[strip.first_row, 1], spans[final, 1]))) + NODE_STEP - 1) // NODE_STEP
        if last > first:
            if known_first > first or known_last < last:
                _look_up_nodes(grid, world, x, y, cosine, sine, strip.top_ahead_m, strip.top_pixel_m, first, last, top)
            _look_up_nodes(
                grid, world, x, y, cosine, sine, strip.bottom_ahead_m, strip.bottom_pixel_m, first, last, bottom
            )
        has_finish = world.finish_half_across_m > 0 and (
            strip.bottom_ahead_m - _FINISH_RADIUS < finish_ahead < strip.top_ahead_m + _FINISH_RADIUS
        )
        is_plain = not has_finish and world.open_length_m == 0
        if strip.is_first and not strip.is_last:
            total[:] = 0
        for i in range(strip.rows):
            row = strip.first_row + i
            _paint_strip_row(ground, strip, i, top, bottom, first, last, world, is_plain)
            painted = ground
            if strip.weight < 1:
                weight = strip.weight
                for column in range(first * NODE_STEP, last * NODE_STEP):
                    total[column] += weight * ground[column]
                painted = total
            if not strip.is_last:
                continue
            if spans[row, 2] > 0:
                for column in range(_WIDTH):
                    out[row, column] = np.uint8(painted[column])
            else:
                _finish_row(out, row, painted, world, walls, wall_shade)
        top, bottom = bottom, top
        known_first, known_last = first, last


@njit(cache=True, fastmath=True)
def render_frames(
    grid: NDArray[np.float32],
    worlds: Any,
    strips: Any,
    pose: NDArray[np.float64],
    world: NDArray[np.int32],
    wall_shade: NDArray[np.float32],
    walls: NDArray[np.float64],
    spans: NDArray[np.float64],
    rows: NDArray[np.float32],
    nodes: NDArray[np.float32],
    out: NDArray[np.uint8],
) -> None:
    """Render one frame per car.

    Args:
        grid: Offset and distance along at all worlds' nodes, shape (nodes, 2), float32.
        worlds: Records of dtype `WORLD`.
        strips: Records of dtype `STRIP`, from the horizon down.
        pose: base_link's x, y in metres and yaw in radians, shape (N, 3).
        world: Which of the worlds each car is in, shape (N,).
        wall_shade: Factor on the walls' brightness, shape (N,).
        walls: Room for `_see_walls`, shape (4, 4), float64.
        spans: Room for `_ground_columns`, shape (IMAGE_HEIGHT, 3), float64.
        rows: Room for pixel rows, shape (2, IMAGE_WIDTH), float32.
        nodes: Room for nodes, shape (2, NODES, 2), float32.
        out: Receives the frames, shape (N, IMAGE_HEIGHT, IMAGE_WIDTH), uint8.
    """
    ground_from = strips[0].first_row
    for car in range(len(pose)):
        here = worlds[world[car]]
        cosine, sine = np.cos(pose[car, 2]), np.sin(pose[car, 2])
        lens_x, lens_y = pose[car, 0] + _LENS_AHEAD * cosine, pose[car, 1] + _LENS_AHEAD * sine
        _see_walls(here, lens_x, lens_y, cosine, sine, walls)
        rows[:] = here.field
        for row in range(_HEIGHT):
            if row < ground_from:
                _finish_row(out[car], row, rows[0], here, walls, wall_shade[car])
            else:
                spans[row, 0], spans[row, 1], spans[row, 2] = _ground_columns(walls, row)
        _render_ground(out[car], grid, here, strips, pose[car], wall_shade[car], walls, spans, rows, nodes)
