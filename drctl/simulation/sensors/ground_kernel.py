"""The compiled part of the front camera that paints the ground, pixel row by pixel row.

The camera never moves against the car, so where a row of the image meets the ground is known beforehand. Left to do per
frame: look up the distance from the centre curve at some places of each row (nodes), interpolate between them, and turn
distances into greys.

Antialiasing: a pixel's grey is a mean over its footprint, weighed like the original's downscaling by a triangle that
falls to nothing one pixel away. Across a painted edge it falls to nothing as far away as the distance changes from
pixel to pixel and row to row. So an edge is the integral of such a triangle, and a thin line, the difference of two,
keeps its sum over the pixels however thin it becomes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from drctl.simulation.sensors.camera_geometry import IMAGE_WIDTH
from drctl.simulation.sensors.camera_records import NODE_STEP
from drctl.simulation.sensors.ground_pattern import DASH_LENGTH_M, DASH_WIDTH_M, FINISH_SQUARE_M, FINISH_THICK_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SLIVER = 1e-4  # metres: no footprint is smaller, so that slopes stay finite
_MAX_JUMP = 3.0  # spacings: a larger step between neighbouring nodes is a change of sides, not a distance

Real = Any
"""A number, float32 in the compiled code; as Python objects numpy's and Python's own mix."""


@njit(cache=True, fastmath=True)
def _beyond(at: Real) -> Real:
    """Return how much of a footprint lies beyond an edge, 0 to 1, from its middle's distance in half widths."""
    t = min(np.float32(1.0), max(np.float32(-1.0), at))
    return np.float32(0.5) + t * (np.float32(1.0) - np.float32(0.5) * abs(t))


@njit(cache=True, fastmath=True)
def _pulses_before(at: Real, length: Real) -> Real:
    """Return how much of the line up to a place is covered by pulses of a length that begin at whole numbers."""
    whole = np.floor(at)
    return whole * length + min(at - whole, length)


@njit(cache=True, fastmath=True)
def _pulses(at: Real, width: Real, per_pitch: Real, length: Real) -> Real:
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
def _unwrapped(along: Real, beside: Real, wrap: Real) -> Real:
    """Return a distance along the curve so that the finish does not lie between it and a neighbouring place's."""
    if along - beside > np.float32(0.5) * wrap:
        return along - wrap
    if beside - along > np.float32(0.5) * wrap:
        return along + wrap
    return along


@njit(cache=True, fastmath=True)
def look_up_nodes(
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
    left = pixel * (IMAGE_WIDTH // 2)
    column_0 = np.float32((x + ahead * cosine - left * sine - world.origin_x_m) * scale)
    row_0 = np.float32((y + ahead * sine + left * cosine - world.origin_y_m) * scale)
    column_step, row_step = (
        np.float32(pixel * NODE_STEP * sine * scale),
        np.float32(-pixel * NODE_STEP * cosine * scale),
    )
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
    offset: Real,
    offset_step: Real,
    width: Real,
    world: Any,
) -> None:
    """Set the grey of road, lines and field in the pixels first..first+count-1; the arguments are `_paint_span`'s."""
    slope = np.float32(1.0) / width
    line_from, line_to = world.line_from_m, world.line_to_m
    road, line_contrast, field_contrast = world.road, world.line - world.road, world.field - world.line
    for i in range(count):
        x = abs(offset + np.float32(i) * offset_step)
        ground[first + np.uint64(i)] = (
            road + _beyond((x - line_from) * slope) * line_contrast + _beyond((x - line_to) * slope) * field_contrast
        )


@njit(cache=True, fastmath=True)
def _paint_kerb(
    ground: NDArray[np.float32],
    first: np.uint64,
    count: int,
    offset: Real,
    offset_step: Real,
    width: Real,
    along: Real,
    along_step: Real,
    along_width: Real,
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
            + _beyond((x - line_from) * slope) * (line - road)
            + _beyond((x - line_to) * slope) * (kerb - line)
            + _beyond((x - road_to) * slope) * (field - kerb)
        )


@njit(cache=True, fastmath=True)
def _paint_span(
    ground: NDArray[np.float32],
    first: np.uint64,
    count: int,
    offset: Real,
    offset_step: Real,
    width: Real,
    along: Real,
    along_step: Real,
    along_width: Real,
    world: Any,
    is_plain: bool,
) -> None:
    """Set the ground's grey of the pixels first..first+count-1, among which something is painted.

    Offset and distance along the curve are those at the middle of the first pixel; their steps are per pixel; the
    widths are half a footprint's. A plain span shows neither the chequered strip nor the end of a road.
    """
    if world.kerb_pitch_m > 0:
        _paint_kerb(ground, first, count, offset, offset_step, width, along, along_step, along_width, world)
    else:
        _paint_lines(ground, first, count, offset, offset_step, width, world)
    wide = np.float32(DASH_WIDTH_M / 2)
    end = offset + np.float32(count - 1) * offset_step
    if offset * end <= 0 or min(abs(offset), abs(end)) < wide + width:
        slope, per_pitch = np.float32(1.0) / width, np.float32(1.0) / world.dash_pitch_m
        length = np.float32(DASH_LENGTH_M) * per_pitch
        contrast = world.dash - world.road
        for i in range(count):
            x = offset + np.float32(i) * offset_step
            across = _beyond((x + wide) * slope) - _beyond((x - wide) * slope)
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
    offset: Real,
    offset_step: Real,
    width: Real,
    along: Real,
    along_step: Real,
    along_width: Real,
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
        middle = _beyond(s * along_slope)
        row_0 = _beyond((s + thick) * along_slope) - middle
        row_1 = middle - _beyond((s - thick) * along_slope)
        inside = _beyond((x + across) * slope) - _beyond((x - across) * slope)
        light = _pulses(x, width, per_pitch, half)
        check = (row_0 + row_1) * dark + (row_0 * light + row_1 * (one - light)) * contrast
        ground[first + np.uint64(i)] += inside * (check - (row_0 + row_1) * ground[first + np.uint64(i)])


@njit(cache=True, fastmath=True)
def _cut_ends(
    ground: NDArray[np.float32],
    first: np.uint64,
    count: int,
    along: Real,
    along_step: Real,
    along_width: Real,
    world: Any,
) -> None:
    """Let an open road begin and end; the arguments are those of `_paint_span`."""
    slope = np.float32(1.0) / along_width
    field, length = world.field, world.open_length_m
    for i in range(count):
        s = along + np.float32(i) * along_step
        road = _beyond(s * slope) - _beyond((s - length) * slope)
        ground[first + np.uint64(i)] = field + road * (ground[first + np.uint64(i)] - field)


@njit(cache=True, fastmath=True)
def paint_strip_row(
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
    sliver = np.float32(_SLIVER)
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
        reach = abs(offset_step) + abs(drop)  # at least half a footprint
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
        width = max(sliver, np.sqrt(offset_step * offset_step + drop * drop))
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
        along_width = max(sliver, np.sqrt(along_step * along_step + drop * drop))
        along += half * along_step
        _paint_span(ground, first, count, offset, offset_step, width, along, along_step, along_width, world, is_plain)
