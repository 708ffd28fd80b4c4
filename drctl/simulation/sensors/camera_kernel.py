"""The compiled part of the front camera: from poses to frames.

`ground_kernel` paints the ground. Here it meets the walls and what is above them, whose edges are straight lines in the
image and antialiased as ramps too.
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
from drctl.simulation.sensors.camera_records import NODE_STEP
from drctl.simulation.sensors.ground_kernel import look_up_nodes, paint_strip_row
from drctl.simulation.sensors.ground_pattern import FINISH_ACROSS_M, FINISH_THICK_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WIDTH, _HEIGHT = IMAGE_WIDTH, IMAGE_HEIGHT
_FOCAL, _LENS_UP, _LENS_AHEAD = FOCAL_LENGTH_PX, LENS_HEIGHT_M, LENS_FORWARD_M
_SIN, _COS = float(np.sin(PITCH_RAD)), float(np.cos(PITCH_RAD))
_RAMP = float(np.sqrt(2.0))  # pixels: a ramp of this width has the variance of the original's downscaling, 1/6
_CLOSEST_WALL = 0.02  # metres: nearer, or from outside, a wall is seen as if at this distance
_FINISH_RADIUS = float(np.hypot(FINISH_ACROSS_M, FINISH_THICK_M) / 2 + 0.1)  # of the chequered strip, with some room


@njit(cache=True, fastmath=True)
def _clamp(value: Any) -> Any:
    return min(np.float32(1.0), max(np.float32(0.0), value))


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
        walls[i, 2] = _FOCAL / _RAMP / np.hypot(_LENS_UP * right, _LENS_UP * forward * _SIN + _COS)
        walls[i, 3] = _FOCAL / _RAMP / np.hypot(rest * right, rest * forward * _SIN - _COS)


@njit(cache=True, fastmath=True)
def _ground_columns(walls: NDArray[np.float64], row: int) -> tuple[float, float, float]:
    """Return the columns where ground begins and ends in a pixel row, and a number above 0 if all of it is ground."""
    down = (row + 0.5 - _HEIGHT / 2) / _FOCAL
    forward, up = _COS - down * _SIN, -_SIN - down * _COS
    low, high, clear = 0.0, float(_WIDTH), 1.0
    for i in range(4):
        slope = walls[i, 2]
        # Ground is seen with the weight 0.5 - slope * (height of the lens * nearness + up), cut to 0 to 1.
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
    n0, n1 = (
        np.float32(walls[0, 0] * forward + walls[0, 1] * start),
        np.float32(walls[1, 0] * forward + walls[1, 1] * start),
    )
    n2, n3 = (
        np.float32(walls[2, 0] * forward + walls[2, 1] * start),
        np.float32(walls[3, 0] * forward + walls[3, 1] * start),
    )
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
                look_up_nodes(grid, world, x, y, cosine, sine, strip.top_ahead_m, strip.top_pixel_m, first, last, top)
            look_up_nodes(
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
            paint_strip_row(ground, strip, i, top, bottom, first, last, world, is_plain)
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
