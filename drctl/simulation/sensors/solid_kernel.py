"""The compiled part of the front camera that draws boxes and cars over the ground and the walls.

A solid is a few blocks, a block six flat faces. The faces that look at the lens are drawn with edges of the same width
as those of walls and lines, so that what is far away does not flicker; where two of them meet, the one drawn first
reaches beneath the other, so that nothing shines through.
"""

from __future__ import annotations

from math import cos, hypot, sin
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from drctl.simulation.race.objects import (
    KIND_CAR,
    OBJECT_BLUE,
    OBJECT_GREEN,
    OBJECT_HEIGHT,
    OBJECT_KIND,
    OBJECT_LENGTH,
    OBJECT_RED,
    OBJECT_WIDTH,
    OBJECT_X,
    OBJECT_Y,
    OBJECT_YAW,
)
from drctl.simulation.sensors.camera_geometry import (
    FOCAL_LENGTH_PX,
    GREY_WEIGHTS,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    LENS_FORWARD_M,
    LENS_HEIGHT_M,
    PITCH_RAD,
    SOLID_AMBIENT,
    SOLID_DIFFUSE,
    SUN,
)
from drctl.simulation.sensors.solid_shapes import (
    BLOCK_BASE_FRONT,
    BLOCK_BASE_HALF,
    BLOCK_BASE_REAR,
    BLOCK_BASE_UP,
    BLOCK_PAINT,
    BLOCK_TOP_FRONT,
    BLOCK_TOP_HALF,
    BLOCK_TOP_REAR,
    BLOCK_TOP_UP,
    CAR_BLOCKS,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEAREST_M = 0.02  # simulator-facts 2.1
_RAMP_PX = float(np.sqrt(2.0))  # see camera_kernel
_BENEATH_PX = 1.0  # how far a face reaches beneath the next one
_SIN, _COS = sin(PITCH_RAD), cos(PITCH_RAD)
_RED, _GREEN, _BLUE = GREY_WEIGHTS
_SUN_X, _SUN_Y, _SUN_Z = SUN
# Corners of the faces, counter-clockwise from outside; 0 to 3 are the base's, front left first, 4 to 7 the top's.
_FACES = np.array([[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7], [3, 2, 1, 0]])
# The face on the other side of each edge, from a corner to the next one.
_NEIGHBOURS = np.array([[5, 1, 4, 3], [5, 2, 4, 0], [5, 3, 4, 1], [5, 0, 4, 2], [0, 1, 2, 3], [2, 1, 0, 3]])


@njit(cache=True)
def _place_block(row: NDArray[np.float64], block: NDArray[np.float64], corners: NDArray[np.float64]) -> None:
    """Write the world places of a block's eight corners, shape (8, 3)."""
    cosine, sine = cos(row[OBJECT_YAW]), sin(row[OBJECT_YAW])
    for i in range(8):
        is_top = i >= 4
        front = block[BLOCK_TOP_FRONT] if is_top else block[BLOCK_BASE_FRONT]
        rear = block[BLOCK_TOP_REAR] if is_top else block[BLOCK_BASE_REAR]
        half = block[BLOCK_TOP_HALF] if is_top else block[BLOCK_BASE_HALF]
        ahead = front if i % 4 == 0 or i % 4 == 3 else rear
        left = half if i % 4 < 2 else -half
        corners[i, 0] = row[OBJECT_X] + ahead * cosine - left * sine
        corners[i, 1] = row[OBJECT_Y] + ahead * sine + left * cosine
        corners[i, 2] = block[BLOCK_TOP_UP] if is_top else block[BLOCK_BASE_UP]


@njit(cache=True)
def _face_normal(corners: NDArray[np.float64], face: int, normal: NDArray[np.float64]) -> None:
    """Write the unit vector that points out of a face, shape (3,)."""
    a, b, c = _FACES[face, 0], _FACES[face, 1], _FACES[face, 2]
    x1, y1, z1 = corners[b, 0] - corners[a, 0], corners[b, 1] - corners[a, 1], corners[b, 2] - corners[a, 2]
    x2, y2, z2 = corners[c, 0] - corners[b, 0], corners[c, 1] - corners[b, 1], corners[c, 2] - corners[b, 2]
    x, y, z = y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2
    length = np.sqrt(x * x + y * y + z * z)
    normal[0], normal[1], normal[2] = x / length, y / length, z / length


@njit(cache=True)
def _outline(
    seen: NDArray[np.float64], face: int, is_drawn: NDArray[np.bool_], is_seen: NDArray[np.bool_],
    kept: NDArray[np.float64], edges: NDArray[np.float64],
) -> int:  # fmt: skip
    """Write a face's edges in the image and return how many there are; below 3, nothing of it is in front of the lens.

    Args:
        seen: The block's corners as (right, down, depth) of the lens, shape (8, 3).
        face: Which face.
        is_drawn: The faces that are drawn already.
        is_seen: The faces that look at the lens.
        kept: Room for corners and, in column 3, how far the edge that follows is moved outwards, shape (6, 4).
        edges: Filled: a column's and a row's part of the distance inwards in pixels, and the rest, shape (6, 3).
    """
    count = 0
    for i in range(4):
        here, there = _FACES[face, i], _FACES[face, (i + 1) % 4]
        other = _NEIGHBOURS[face, i]
        beneath = _BENEATH_PX if is_seen[other] and not is_drawn[other] else 0.0
        is_near, next_is_near = seen[here, 2] < _NEAREST_M, seen[there, 2] < _NEAREST_M
        if not is_near:
            kept[count, 0], kept[count, 1], kept[count, 2] = seen[here, 0], seen[here, 1], seen[here, 2]
            kept[count, 3] = beneath
            count += 1
        if is_near != next_is_near:
            share = (_NEAREST_M - seen[here, 2]) / (seen[there, 2] - seen[here, 2])
            for k in range(3):
                kept[count, k] = seen[here, k] + share * (seen[there, k] - seen[here, k])
            kept[count, 3] = beneath if is_near else 0.0  # an edge that was cut lies far outside the image
            count += 1
    if count < 3:
        return 0
    for i in range(count):
        depth = kept[i, 2]
        kept[i, 0] = IMAGE_WIDTH / 2 + FOCAL_LENGTH_PX * kept[i, 0] / depth
        kept[i, 1] = IMAGE_HEIGHT / 2 + FOCAL_LENGTH_PX * kept[i, 1] / depth
    for i in range(count):
        j = (i + 1) % count
        across, down = kept[j, 0] - kept[i, 0], kept[j, 1] - kept[i, 1]
        length = hypot(across, down)
        if length < 1e-9:
            edges[i, 0], edges[i, 1], edges[i, 2] = 0.0, 0.0, 1e9
            continue
        # Rows count down, so what is counter-clockwise from outside runs clockwise in the image's own sense.
        edges[i, 0], edges[i, 1] = down / length, -across / length
        edges[i, 2] = kept[i, 3] - edges[i, 0] * kept[i, 0] - edges[i, 1] * kept[i, 1]
    return count


@njit(cache=True, fastmath=True)
def _span(edges: NDArray[np.float64], count: int, row: int) -> tuple[float, float, float, float]:
    """Return the columns between which a row is covered at all, and those between which it is covered wholly."""
    low, high = 0.0, IMAGE_WIDTH - 1.0
    whole_low, whole_high = low, high
    for k in range(count):
        # The edge's weight in a column is slope * column + rest, cut to 0 to 1.
        slope = edges[k, 0] / _RAMP_PX
        rest = 0.5 + (0.5 * edges[k, 0] + edges[k, 1] * (row + 0.5) + edges[k, 2]) / _RAMP_PX
        if abs(slope) < 1e-9:
            if rest <= 0.0:
                high = -1.0
            elif rest < 1.0:
                whole_high = -1.0
        elif slope > 0.0:
            low, whole_low = max(low, -rest / slope), max(whole_low, (1.0 - rest) / slope)
        else:
            high, whole_high = min(high, -rest / slope), min(whole_high, (1.0 - rest) / slope)
    return low, high, whole_low, whole_high


@njit(cache=True, fastmath=True)
def _fill(
    edges: NDArray[np.float64], count: int, grey: float, weights: NDArray[np.float64], out: NDArray[np.uint8]
) -> None:
    """Lay a grey over the pixels inside some edges, by the share of each that they cover."""
    for row in range(IMAGE_HEIGHT):
        low, high, whole_low, whole_high = _span(edges, count, row)
        if high < low:
            continue
        for column in range(int(np.ceil(low)), int(np.floor(high)) + 1):
            cover = 1.0
            if not whole_low <= column <= whole_high:
                for k in range(count):
                    at = edges[k, 0] * (column + 0.5) + edges[k, 1] * (row + 0.5) + edges[k, 2]
                    weights[k] = min(1.0, max(0.0, 0.5 + at / _RAMP_PX))
                if count == 4:  # exact for a strip between two edges however thin, and for right angles
                    cover = max(0.0, weights[0] + weights[2] - 1.0) * max(0.0, weights[1] + weights[3] - 1.0)
                else:
                    for k in range(count):
                        cover = min(cover, weights[k])
            before = float(out[row, column])
            out[row, column] = np.uint8(before + cover * (grey - before) + 0.5 * cover)


@njit(cache=True)
def _draw_block(
    row: NDArray[np.float64],
    block: NDArray[np.float64],
    lens: NDArray[np.float64],
    corners: NDArray[np.float64],
    kept: NDArray[np.float64],
    edges: NDArray[np.float64],
    out: NDArray[np.uint8],
) -> None:
    """Draw one block; `lens` is the place of the lens and the cosine and sine of its direction, shape (5,)."""
    _place_block(row, block, corners)
    seen = np.empty((8, 3))
    for i in range(8):
        x, y, up = corners[i, 0] - lens[0], corners[i, 1] - lens[1], corners[i, 2] - lens[2]
        ahead = x * lens[3] + y * lens[4]
        seen[i, 0] = x * lens[4] - y * lens[3]
        seen[i, 1] = -ahead * _SIN - up * _COS
        seen[i, 2] = ahead * _COS - up * _SIN
    normals, is_seen, is_drawn = np.empty((6, 3)), np.zeros(6, np.bool_), np.zeros(6, np.bool_)
    for face in range(6):
        _face_normal(corners, face, normals[face])
        towards = 0.0
        for k in range(3):
            towards += normals[face, k] * (lens[k] - corners[_FACES[face, 0], k])
        is_seen[face] = towards > 0.0
    paint = block[BLOCK_PAINT]
    if paint < 0.0:
        paint = _RED * row[OBJECT_RED] + _GREEN * row[OBJECT_GREEN] + _BLUE * row[OBJECT_BLUE]
    weights = np.empty(6)
    for face in range(6):
        if not is_seen[face]:
            continue
        count = _outline(seen, face, is_drawn, is_seen, kept, edges)
        if count >= 3:
            facing = normals[face, 0] * _SUN_X + normals[face, 1] * _SUN_Y + normals[face, 2] * _SUN_Z
            grey = min(255.0, paint * (SOLID_AMBIENT + SOLID_DIFFUSE * max(0.0, facing)))
            _fill(edges, count, grey, weights, out)
        is_drawn[face] = True


@njit(cache=True)
def draw_objects(
    pose: NDArray[np.float64], counts: NDArray[np.int64], rows: NDArray[np.float64], out: NDArray[np.uint8]
) -> None:
    """Draw the objects of each car into its frame, the farthest first; they must not run into each other.

    Args:
        pose: base_link's x, y in metres and yaw in radians, shape (N, 3).
        counts: Objects of each car, shape (N,).
        rows: Their ``OBJECT_`` numbers, shape (N, most, OBJECT_SIZE).
        out: Frames, shape (N, 120, 160), uint8; changed.
    """
    most = rows.shape[1]
    away, order = np.empty(most), np.empty(most, np.int64)
    corners, kept, edges = np.empty((8, 3)), np.empty((6, 4)), np.empty((6, 3))
    box, lens = np.zeros(9), np.empty(5)
    for car in range(len(pose)):
        cosine, sine = cos(pose[car, 2]), sin(pose[car, 2])
        lens[0], lens[1] = pose[car, 0] + LENS_FORWARD_M * cosine, pose[car, 1] + LENS_FORWARD_M * sine
        lens[2], lens[3], lens[4] = LENS_HEIGHT_M, cosine, sine
        shown = 0
        for i in range(counts[car]):
            x, y = rows[car, i, OBJECT_X] - lens[0], rows[car, i, OBJECT_Y] - lens[1]
            reach = 0.5 * hypot(rows[car, i, OBJECT_LENGTH], rows[car, i, OBJECT_WIDTH])
            if x * cosine + y * sine < -reach:
                continue
            away[shown] = hypot(x, y)
            order[shown] = i
            at = shown
            while at > 0 and away[at - 1] < away[at]:
                away[at - 1], away[at] = away[at], away[at - 1]
                order[at - 1], order[at] = order[at], order[at - 1]
                at -= 1
            shown += 1
        for at in range(shown):
            row = rows[car, order[at]]
            if row[OBJECT_KIND] == KIND_CAR:
                for block in range(len(CAR_BLOCKS)):
                    _draw_block(row, CAR_BLOCKS[block], lens, corners, kept, edges, out[car])
                continue
            box[BLOCK_BASE_FRONT] = box[BLOCK_TOP_FRONT] = 0.5 * row[OBJECT_LENGTH]
            box[BLOCK_BASE_REAR] = box[BLOCK_TOP_REAR] = -0.5 * row[OBJECT_LENGTH]
            box[BLOCK_BASE_HALF] = box[BLOCK_TOP_HALF] = 0.5 * row[OBJECT_WIDTH]
            box[BLOCK_BASE_UP], box[BLOCK_TOP_UP] = 0.0, row[OBJECT_HEIGHT]
            box[BLOCK_PAINT] = -1.0
            _draw_block(row, box, lens, corners, kept, edges, out[car])
