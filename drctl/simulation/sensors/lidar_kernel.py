"""The compiled part of the lidar: from poses to the bytes that a network gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from drctl.formats.sensor import LIDAR_CLIP_M, LIDAR_FARTHEST_M, LIDAR_NEAREST_M, LIDAR_RAYS, LIDAR_RESOLUTION_M
from drctl.simulation.random_kernel import keyed_uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

RAY_SIZE: Final = 3
"""Ahead, left and up."""

SCANS_HZ: Final = 10.0
"""simulator-facts 2.2."""

SOLID_SIZE: Final = 6
"""Middle x and y in metres, yaw in radians, length, width and height in metres of an upright cuboid."""

_X, _Y, _YAW, _LENGTH, _WIDTH, _HEIGHT = 0, 1, 2, 3, 4, 5

_NEAREST, _FARTHEST, _RESOLUTION, _CLIP = LIDAR_NEAREST_M, LIDAR_FARTHEST_M, LIDAR_RESOLUTION_M, LIDAR_CLIP_M
_PARALLEL = 1e-12  # a ray with a smaller part along an axis never leaves a slab across it


@njit(cache=True)
def _wall_range(
    x: float, y: float, height: float, dx: float, dy: float, dz: float, field: NDArray[np.float64], wall_height: float
) -> float:
    """Return the distance to the walls around a field as seen from inside; infinite where the ray goes over them."""
    leave = np.inf
    if abs(dx) > _PARALLEL:
        leave = ((field[2] if dx > 0 else field[0]) - x) / dx
    if abs(dy) > _PARALLEL:
        leave = min(leave, ((field[3] if dy > 0 else field[1]) - y) / dy)
    leave = max(leave, 0.0)
    return leave if height + leave * dz < wall_height else np.inf


@njit(cache=True)
def _solid_range(
    x: float, y: float, height: float, dx: float, dy: float, dz: float, solid: NDArray[np.float64]
) -> float:
    """Return the distance to an upright cuboid that stands on the ground; infinite where the ray misses it."""
    cosine, sine = np.cos(solid[_YAW]), np.sin(solid[_YAW])
    x, y = x - solid[_X], y - solid[_Y]
    enter, leave = 0.0, np.inf
    for axis in range(3):
        if axis == 0:
            at, step, half = x * cosine + y * sine, dx * cosine + dy * sine, solid[_LENGTH] / 2
        elif axis == 1:
            at, step, half = y * cosine - x * sine, dy * cosine - dx * sine, solid[_WIDTH] / 2
        else:
            at, step, half = height - solid[_HEIGHT] / 2, dz, solid[_HEIGHT] / 2
        if abs(step) <= _PARALLEL:
            if abs(at) > half:
                return np.inf
            continue
        one, other = (-half - at) / step, (half - at) / step
        enter, leave = max(enter, min(one, other)), min(leave, max(one, other))
    return enter if enter <= leave else np.inf


@njit(cache=True)
def measure_ranges(
    x: float,
    y: float,
    yaw: float,
    field: NDArray[np.float64],
    wall_height: float,
    count: int,
    solids: NDArray[np.float64],
    origin: NDArray[np.float64],
    rays: NDArray[np.float64],
    ranges: NDArray[np.float64],
) -> None:
    """Measure the distance to the nearest thing along each ray, without noise and limits.

    Args:
        x: base_link's position in metres.
        y: Likewise.
        yaw: Its heading in radians.
        field: Rectangle on whose edge the walls stand (x_min, y_min, x_max, y_max).
        wall_height: Their height in metres; 0 for none.
        count: Objects around the car.
        solids: Middle x, y, yaw, length, width and height of each, shape (count or more, 6 or more).
        origin: Where the rays begin: metres ahead of base_link and above the ground, shape (2,).
        rays: Directions in the car's frame, shape (R, RAY_SIZE).
        ranges: Filled with metres, infinite where nothing is, shape (R,).
    """
    cosine, sine = np.cos(yaw), np.sin(yaw)
    x, y, height = x + origin[0] * cosine, y + origin[0] * sine, origin[1]
    for i in range(len(rays)):
        dx, dy, dz = rays[i, 0] * cosine - rays[i, 1] * sine, rays[i, 0] * sine + rays[i, 1] * cosine, rays[i, 2]
        nearest = -height / dz if dz < 0 else np.inf  # the ground
        nearest = min(nearest, _wall_range(x, y, height, dx, dy, dz, field, wall_height))
        for k in range(count):
            nearest = min(nearest, _solid_range(x, y, height, dx, dy, dz, solids[k]))
        ranges[i] = nearest


@njit(cache=True)
def _blur(
    ranges: NDArray[np.float64], noise: float, seed: int, stream: int, iteration: int, episode: int, number: int
) -> None:
    """Give ranges the lidar's noise, resolution and limits (Box and Muller, 1958, for pairs of normal numbers)."""
    for pair in range(len(ranges) // 2):
        length = keyed_uniform(seed, stream, iteration, episode, number, 2 * pair)
        angle = 2.0 * np.pi * keyed_uniform(seed, stream, iteration, episode, number, 2 * pair + 1)
        length = noise * np.sqrt(-2.0 * np.log(1.0 - length))
        ranges[2 * pair] += length * np.cos(angle)
        ranges[2 * pair + 1] += length * np.sin(angle)
    for i in range(len(ranges)):
        if ranges[i] > _FARTHEST:
            ranges[i] = np.inf
        else:
            ranges[i] = max(_NEAREST, np.round(ranges[i] / _RESOLUTION) * _RESOLUTION)


@njit(cache=True)
def encode_ranges(
    ranges: NDArray[np.float64], num_sectors: int, num_values: int, clip: float, out: NDArray[np.uint8]
) -> None:
    """Turn the ranges of a scan into what the network gets (contract 6.3).

    Args:
        ranges: Metres, infinite where nothing is, shape (64,).
        num_sectors: Sectors of equally many rays each; 0 for the ranges themselves, in hundredths of a metre.
        num_values: Distance bins of a sector.
        clip: Where the last bin ends, in metres.
        out: Filled, shape (64,) or (num_sectors * num_values,): for each sector a 1 in the bin of its nearest range, or
            no 1 where that is not below `clip`.
    """
    if num_sectors == 0:
        for i in range(len(ranges)):
            out[i] = np.uint8(np.round(min(ranges[i], _CLIP) / _RESOLUTION))
        return
    out[:] = 0
    width = len(ranges) // num_sectors
    for sector in range(num_sectors):
        nearest = np.inf
        for i in range(sector * width, (sector + 1) * width):
            nearest = min(nearest, ranges[i])
        if nearest < clip:
            place = int(np.floor(nearest / (clip / num_values)))
            if place < num_values:  # the division may round up to the end
                out[sector * num_values + place] = 1


@njit(cache=True)
def scan_cars(
    cars: NDArray[np.int64],
    world: NDArray[np.int32],
    before: NDArray[np.float64],
    now: NDArray[np.float64],
    is_placed: bool,
    fields: NDArray[np.float64],
    wall_heights: NDArray[np.float64],
    counts: NDArray[np.int64],
    solids: NDArray[np.float64],
    origin: NDArray[np.float64],
    rays: NDArray[np.float64],
    num_sectors: int,
    num_values: int,
    clip: float,
    noise: float,
    seed: int,
    stream: int,
    keys: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> None:
    """Make the scans that are due; see `Lidar.sense`.

    Args:
        cars: Rows of the batch, shape (k,).
        world: Index of each one's track, shape (k,).
        before: x, y, yaw and clock at the beginning of the step, shape (k, 4).
        now: The same at its end.
        is_placed: The cars were put where they are: scan at once.
        fields: Rectangle of every world, shape (W, 4).
        wall_heights: Shape (W,).
        counts: Objects of every car, shape (num_cars,).
        solids: Shape (num_cars, most, 6 or more).
        origin: See `measure_ranges`.
        rays: Likewise.
        num_sectors: See `encode_ranges`.
        num_values: Likewise.
        clip: Likewise.
        noise: Standard deviation of a range in metres.
        seed: Of the run.
        stream: Of the noise.
        keys: Stream offset, iteration and episode of every car, shape (num_cars, 3).
        out: Bytes of every car, shape (num_cars, bytes).
    """
    ranges = np.empty(LIDAR_RAYS)
    for entry in range(len(cars)):
        car = cars[entry]
        number = np.floor(now[entry, 3] * SCANS_HZ)
        if not is_placed and number <= np.floor(before[entry, 3] * SCANS_HZ):
            continue
        share = 1.0
        if not is_placed:
            share = (number / SCANS_HZ - before[entry, 3]) / (now[entry, 3] - before[entry, 3])
        x = before[entry, 0] + share * (now[entry, 0] - before[entry, 0])
        y = before[entry, 1] + share * (now[entry, 1] - before[entry, 1])
        turn = now[entry, 2] - before[entry, 2]
        yaw = before[entry, 2] + share * (turn - 2.0 * np.pi * np.round(turn / (2.0 * np.pi)))
        measure_ranges(
            x,
            y,
            yaw,
            fields[world[entry]],
            wall_heights[world[entry]],
            counts[car],
            solids[car],
            origin,
            rays,
            ranges,
        )
        _blur(ranges, noise, seed, stream + keys[car, 0], keys[car, 1], keys[car, 2], int(number))
        encode_ranges(ranges, num_sectors, num_values, clip, out[car])
