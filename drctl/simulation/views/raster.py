"""Polygons and solids in a picture, with smooth edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.views.camera import ViewCamera

NEAREST_M: Final = 0.02
"""What is nearer to the lens is cut off (simulator-facts 2.1)."""

SAMPLES: Final = 1_300_000
"""Most samples of a solid at a time; 640 x 480 pixels with 2 x 2 each fit."""

_MOST_SAMPLES_PER_SIDE: Final = 4


@njit(cache=True, fastmath=True)
def _to_camera(points: NDArray[np.float64], camera: ViewCamera, seen: NDArray[np.float64]) -> None:
    """Turn world points (x, y, z) into (right, down, depth)."""
    ahead_x, ahead_y = np.cos(camera.yaw_rad), np.sin(camera.yaw_rad)
    sine, cosine = np.sin(camera.pitch_rad), np.cos(camera.pitch_rad)
    for i in range(len(points)):
        x, y, up = points[i, 0] - camera.x_m, points[i, 1] - camera.y_m, points[i, 2] - camera.height_m
        ahead = x * ahead_x + y * ahead_y
        seen[i, 0] = x * ahead_y - y * ahead_x
        seen[i, 1] = -ahead * sine - up * cosine
        seen[i, 2] = ahead * cosine - up * sine


@njit(cache=True, fastmath=True)
def _cut_near(seen: NDArray[np.float64], kept: NDArray[np.float64]) -> int:
    """Keep the part of a polygon that is beyond the nearest distance; return its number of corners."""
    count = 0
    for i in range(len(seen)):
        j = (i + 1) % len(seen)
        if seen[i, 2] >= NEAREST_M:
            kept[count] = seen[i]
            count += 1
        if (seen[i, 2] >= NEAREST_M) != (seen[j, 2] >= NEAREST_M):
            t = (NEAREST_M - seen[i, 2]) / (seen[j, 2] - seen[i, 2])
            kept[count] = seen[i] + t * (seen[j] - seen[i])
            count += 1
    return count


@njit(cache=True, fastmath=True, nogil=True)
def draw_polygon(
    points: NDArray[np.float64],
    color: tuple[float, float, float],
    opacity: float,
    grow_px: float,
    camera: ViewCamera,
    out: NDArray[np.uint8],
) -> None:
    """Draw a convex polygon over a picture.

    Args:
        points: Corners x, y, z in the world in either sense, shape (n, 3).
        color: Red, green and blue, 0 to 255.
        opacity: 0 to 1.
        grow_px: By how much it is larger than it should be; half a pixel lets neighbours close up.
        camera: Where it is seen from.
        out: Picture, shape (rows, columns, 3), uint8.
    """
    rows, columns = out.shape[0], out.shape[1]
    seen, kept = np.empty((len(points), 3)), np.empty((len(points) + 2, 3))
    _to_camera(points, camera, seen)
    count = _cut_near(seen, kept)
    if count < 3:
        return
    across, down = np.empty(count), np.empty(count)
    for i in range(count):
        across[i] = columns / 2 + camera.focal_px * kept[i, 0] / kept[i, 2]
        down[i] = rows / 2 + camera.focal_px * kept[i, 1] / kept[i, 2]
    area = 0.0
    for i in range(count):
        j = (i + 1) % count
        area += across[i] * down[j] - across[j] * down[i]
    side = 1.0 if area > 0 else -1.0
    edges = np.zeros((count, 3))  # distance inwards in pixels is edges @ (column, row, 1)
    for i in range(count):
        j = (i + 1) % count
        du, dv = across[j] - across[i], down[j] - down[i]
        length = np.hypot(du, dv)
        if length < 1e-9:
            edges[i, 2] = 1e9
            continue
        edges[i, 0], edges[i, 1] = -side * dv / length, side * du / length
        edges[i, 2] = grow_px - edges[i, 0] * across[i] - edges[i, 1] * down[i]
    first = max(0, int(min(max(down.min() - 1 - grow_px, 0.0), rows)))
    last = min(rows, int(max(0.0, min(down.max() + 1 + grow_px, rows - 1.0))) + 1)
    for row in range(first, last):
        _fill_row(edges, row, color, opacity, out)


@njit(cache=True, fastmath=True)
def _fill_row(
    edges: NDArray[np.float64], row: int, color: tuple[float, float, float], opacity: float, out: NDArray[np.uint8]
) -> None:
    columns = out.shape[1]
    low, high = 0.0, columns - 1.0  # columns that are covered at all
    whole_low, whole_high = 0.0, columns - 1.0  # and wholly
    for k in range(len(edges)):
        slope, rest = edges[k, 0], edges[k, 1] * (row + 0.5) + edges[k, 2] + 0.5
        if abs(slope) < 1e-9:
            if rest <= 0:
                return
            if rest < 1:
                whole_high = -1.0
        elif slope > 0:
            low = max(low, -rest / slope - 0.5)
            whole_low = max(whole_low, (1.0 - rest) / slope - 0.5)
        else:
            high = min(high, -rest / slope - 0.5)
            whole_high = min(whole_high, (1.0 - rest) / slope - 0.5)
    if high < low:
        return
    for column in range(int(np.ceil(low)), int(np.floor(high)) + 1):
        inwards = 1.0
        if not whole_low <= column <= whole_high:
            for k in range(len(edges)):
                inwards = min(inwards, edges[k, 0] * (column + 0.5) + edges[k, 1] * (row + 0.5) + edges[k, 2] + 0.5)
        cover = opacity * max(0.0, inwards)
        for channel in range(3):
            value = out[row, column, channel] + cover * (color[channel] - out[row, column, channel])
            out[row, column, channel] = np.uint8(value + 0.5)


@njit(cache=True, fastmath=True, nogil=True)
def draw_triangles(
    triangles: NDArray[np.float64],
    colors: NDArray[np.float64],
    opacity: float,
    camera: ViewCamera,
    nearness: NDArray[np.float32],
    shown: NDArray[np.int16],
    out: NDArray[np.uint8],
) -> None:
    """Draw a closed solid over a picture; of its own parts the nearest is seen.

    A triangle that comes nearer to the lens than `NEAREST_M` is left out.

    Args:
        triangles: Corners in the world, counter-clockwise as seen from outside, shape (n, 3, 3), at most 32767.
        colors: Red, green and blue of each, 0 to 255, shape (n, 3).
        opacity: 0 to 1.
        camera: Where it is seen from.
        nearness: Room, shape (SAMPLES,).
        shown: Room, shape (SAMPLES,).
        out: Picture, shape (rows, columns, 3), uint8.
    """
    rows, columns = out.shape[0], out.shape[1]
    seen = np.empty((len(triangles) * 3, 3))
    _to_camera(triangles.reshape(-1, 3), camera, seen)
    left, right, top, bottom = 1e9, -1e9, 1e9, -1e9
    for i in range(len(seen)):
        if seen[i, 2] < NEAREST_M:
            seen[i, 2] = -1.0
            continue
        seen[i, 0] = columns / 2 + camera.focal_px * seen[i, 0] / seen[i, 2]
        seen[i, 1] = rows / 2 + camera.focal_px * seen[i, 1] / seen[i, 2]
        seen[i, 2] = 1.0 / seen[i, 2]
        left, right = min(left, seen[i, 0]), max(right, seen[i, 0])
        top, bottom = min(top, seen[i, 1]), max(bottom, seen[i, 1])
    if right <= 0 or left >= columns or bottom <= 0 or top >= rows or right < left:
        return
    first_column, last_column = int(max(0.0, left)), min(columns, int(min(right, columns * 1.0)) + 1)
    first_row, last_row = int(max(0.0, top)), min(rows, int(min(bottom, rows * 1.0)) + 1)
    wide, tall = last_column - first_column, last_row - first_row
    per_side = _MOST_SAMPLES_PER_SIDE
    while per_side > 1 and wide * tall * per_side * per_side > SAMPLES:
        per_side -= 1
    wide, tall = wide * per_side, tall * per_side
    nearness[: wide * tall] = 0
    for k in range(len(triangles)):
        if seen[3 * k, 2] > 0 and seen[3 * k + 1, 2] > 0 and seen[3 * k + 2, 2] > 0:
            corners = seen[3 * k : 3 * k + 3]
            _sample(corners, k, first_column, first_row, per_side, wide, tall, nearness, shown)
    region = (first_row, last_row, first_column, last_column)
    _blend_samples(region, per_side, colors, opacity, nearness, shown, out)


@njit(cache=True, fastmath=True)
def _blend_samples(
    region: tuple[int, int, int, int],
    per_side: int,
    colors: NDArray[np.float64],
    opacity: float,
    nearness: NDArray[np.float32],
    shown: NDArray[np.int16],
    out: NDArray[np.uint8],
) -> None:
    """Lay the mean colour of the samples over each pixel, by the share of samples that the solid covers."""
    first_row, last_row, first_column, last_column = region
    wide = (last_column - first_column) * per_side
    samples = per_side * per_side
    for row in range(first_row, last_row):
        for column in range(first_column, last_column):
            red = green = blue = 0.0
            hits = 0
            start = (row - first_row) * per_side * wide + (column - first_column) * per_side
            for i in range(per_side):
                for j in range(per_side):
                    at = start + i * wide + j
                    if nearness[at] > 0:
                        hits += 1
                        red += colors[shown[at], 0]
                        green += colors[shown[at], 1]
                        blue += colors[shown[at], 2]
            if hits:
                share = opacity / samples
                rest = 1.0 - share * hits
                out[row, column, 0] = np.uint8(rest * out[row, column, 0] + share * red + 0.5)
                out[row, column, 1] = np.uint8(rest * out[row, column, 1] + share * green + 0.5)
                out[row, column, 2] = np.uint8(rest * out[row, column, 2] + share * blue + 0.5)


@njit(cache=True, fastmath=True)
def _sample(
    corners: NDArray[np.float64],
    number: int,
    first_column: int,
    first_row: int,
    per_side: int,
    wide: int,
    tall: int,
    nearness: NDArray[np.float32],
    shown: NDArray[np.int16],
) -> None:
    """Enter a triangle at the samples where it is the nearest so far; corners are (column, row, nearness)."""
    u0, v0 = (corners[0, 0] - first_column) * per_side, (corners[0, 1] - first_row) * per_side
    u1, v1 = (corners[1, 0] - first_column) * per_side, (corners[1, 1] - first_row) * per_side
    u2, v2 = (corners[2, 0] - first_column) * per_side, (corners[2, 1] - first_row) * per_side
    area = (u1 - u0) * (v2 - v0) - (u2 - u0) * (v1 - v0)
    if area >= 0:  # rows count down, so what is counter-clockwise from outside is clockwise here
        return
    top, bottom = max(0, int(np.floor(min(v0, v1, v2)))), min(tall - 1, int(np.floor(max(v0, v1, v2))))
    low, high = max(0, int(np.floor(min(u0, u1, u2)))), min(wide - 1, int(np.floor(max(u0, u1, u2))))
    a_u, a_v = -(v2 - v1) / area, (u2 - u1) / area
    b_u, b_v = -(v0 - v2) / area, (u0 - u2) / area
    for row in range(top, bottom + 1):
        v = row + 0.5
        for column in range(low, high + 1):
            u = column + 0.5
            a = a_u * (u - u1) + a_v * (v - v1)
            b = b_u * (u - u2) + b_v * (v - v2)
            if a < 0 or b < 0 or a + b > 1:
                continue
            near = np.float32(a * corners[0, 2] + b * corners[1, 2] + (1 - a - b) * corners[2, 2])
            at = row * wide + column
            if near > nearness[at]:
                nearness[at] = near
                shown[at] = number
