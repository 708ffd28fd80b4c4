"""The car's lidar: 64 rays around its back, ten times a second, for many cars at once (simulator-facts 2.2)."""

from __future__ import annotations

from math import cos, sin
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.formats.sensor import LIDAR_RAYS
from drctl.simulation.random import STREAM_LIDAR
from drctl.simulation.sensors.camera_geometry import NOSE_UP_RAD
from drctl.simulation.sensors.lidar_kernel import RAY_SIZE, scan_cars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.formats.sensor import LidarConfig
    from drctl.simulation.track.track import Track

NOISE_M: Final = 0.01
"""Standard deviation of a range (simulator-facts 2.2)."""

_IN_BODY_M: Final = (0.02913, 0.1847)  # ahead and up in base_link's own frame (simulator-facts 2.2)
_SETTLED_M: Final = 0.001  # base_link lies so far below the ground once the car has settled (simulator-facts 1.1)
_FORWARD_M: Final = _IN_BODY_M[0] * cos(NOSE_UP_RAD) - _IN_BODY_M[1] * sin(NOSE_UP_RAD)
_HEIGHT_M: Final = _IN_BODY_M[0] * sin(NOSE_UP_RAD) + _IN_BODY_M[1] * cos(NOSE_UP_RAD) - _SETTLED_M
_FROM_REAR_DEG: Final = np.linspace(-150.0, 150.0, LIDAR_RAYS)  # the lidar looks backwards (simulator-facts 2.2)


class Lidar:
    """Measures how far it is to walls, objects and, backwards, the ground, since the settled car's nose is up.

    A scan is made every tenth of a second of a car's clock, at the pose that the car had then; a step that ends before
    the next one is due shows the last one again, as the original does. Ranges have noise of `NOISE_M` and the lidar's
    resolution.

    Args:
        tracks: Worlds, by the index that `sense` is given.
        sectors: What a scan becomes; None for its ranges, clipped to 1 m, in hundredths of a metre.
        noise_m: Standard deviation of a range.
    """

    def __init__(self, tracks: Sequence[Track], sectors: LidarConfig | None, noise_m: float = NOISE_M) -> None:
        self._fields = np.array([track.scene.field_m for track in tracks], np.float64).reshape(-1, 4)
        self._wall_heights = np.array([track.scene.wall_height_m for track in tracks], np.float64)
        self._rays = _rays()
        self._origin = np.array([_FORWARD_M, _HEIGHT_M])
        self._sectors = (0, 0, 0.0)
        if sectors is not None:
            self._sectors = sectors.num_sectors, sectors.num_values_per_sector, sectors.clipping_distance_m
        self._noise_m = noise_m

    def sense(
        self,
        cars: NDArray[np.int64],
        world: NDArray[np.int32],
        before: NDArray[np.float64] | None,
        now: NDArray[np.float64],
        counts: NDArray[np.int64],
        solids: NDArray[np.float64],
        seed: int,
        keys: NDArray[np.int64],
        out: NDArray[np.uint8],
    ) -> None:
        """Bring the scans of some cars up to date; a car whose next scan is not due keeps its last one.

        Args:
            cars: Rows of the batch, shape (k,).
            world: Index of each of these cars' tracks, shape (k,).
            before: base_link's x, y in metres, yaw in radians and the car's clock in seconds when the step began, shape
                (k, 4); None where the car was put somewhere, which makes a scan at once.
            now: The same at its end, shape (k, 4).
            counts: Objects around every car, shape (num_cars,).
            solids: Middle x, y, yaw, length, width and height of these objects, shape (num_cars, most, 6 or more).
            seed: Of the run.
            keys: Stream offset, iteration and episode of every car, shape (num_cars, 3).
            out: Bytes of every car's scan, shape (num_cars, bytes), uint8.
        """
        scan_cars(
            cars,
            world,
            now if before is None else before,
            now,
            before is None,
            self._fields,
            self._wall_heights,
            counts,
            solids,
            self._origin,
            self._rays,
            *self._sectors,
            self._noise_m,
            seed,
            STREAM_LIDAR,
            keys,
            out,
        )


def _rays() -> NDArray[np.float64]:
    """Return unit vectors in the car's level frame, x ahead, y to the left, z up, shape (64, RAY_SIZE)."""
    rays = np.empty((LIDAR_RAYS, RAY_SIZE))
    for ray, angle in zip(rays, np.radians(_FROM_REAR_DEG + 180.0), strict=True):
        ray[:] = cos(angle) * cos(NOSE_UP_RAD), sin(angle), cos(angle) * sin(NOSE_UP_RAD)
    return rays
