"""All sensors of the cars of a batch: puts what cameras and lidar give into one array of bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from drctl.formats.observation import PICTURE_BYTES
from drctl.simulation.sensors.camera_geometry import EYE_LEFT_M, IMAGE_HEIGHT, IMAGE_WIDTH
from drctl.simulation.sensors.lidar import Lidar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.formats.observation import ObservationForm
    from drctl.simulation.race.objects import ObjectBatch
    from drctl.simulation.track.track import Track

Render = Callable[["NDArray[np.float64]", "NDArray[np.uint8]"], None]
"""Renders one picture per pose, shape (k, 3), into an array of shape (k, 120, 160)."""


class CarSensors:
    """What the cars of a batch sense.

    Args:
        form: How it is laid out.
        tracks: Worlds of the lidar.
        num_cars: Cars of the batch.

    Attributes:
        frames: What each car sensed last, shape (num_cars, *form.shape), uint8.
        has_lidar: Whether `scan` does anything.
    """

    def __init__(self, form: ObservationForm, tracks: Sequence[Track], num_cars: int) -> None:
        self.frames = np.zeros((num_cars, *form.shape), np.uint8)
        self.has_lidar = form.lidar is not None
        self._form = form
        self._lidar = Lidar(tracks, form.sectors) if self.has_lidar else None
        # Of each car, as `scan` is told: at the end of its last step, and when that began; NaN where it was put.
        self._places = np.full((num_cars, 4), np.nan)
        self._before = self._places.copy()
        # Contiguous room for the pictures of some cars.
        self._pictures = np.zeros((num_cars, IMAGE_HEIGHT, IMAGE_WIDTH), np.uint8)

    def look(self, cars: NDArray[np.int64], poses: NDArray[np.float64], render: Render) -> None:
        """Take the pictures of some cars.

        Args:
            cars: Rows of the batch, shape (k,).
            poses: base_link's x, y in metres and yaw in radians of each, shape (k, 3).
            render: Renders what the single camera sees; a camera beside it sees what that one would see there.
        """
        pictures = self._pictures[: len(cars)]
        if self.frames.ndim == 3:  # the pictures are the frames
            is_whole = len(cars) == len(self.frames) and bool((cars[1:] > cars[:-1]).all())
            render(poses, self.frames if is_whole else pictures)
            if not is_whole:
                self.frames[cars] = pictures
            return
        for eye, left_m in enumerate(EYE_LEFT_M if self._form.pictures == len(EYE_LEFT_M) else (0.0,)):
            beside = poses.copy()
            beside[:, 0] -= left_m * np.sin(poses[:, 2])
            beside[:, 1] += left_m * np.cos(poses[:, 2])
            render(beside, pictures)
            self.frames[cars, eye * PICTURE_BYTES : (eye + 1) * PICTURE_BYTES] = pictures.reshape(len(cars), -1)

    def scan(
        self,
        cars: NDArray[np.int64],
        worlds: NDArray[np.int32],
        places: NDArray[np.float64],
        objects: ObjectBatch,
        seed: int,
        keys: NDArray[np.int64],
    ) -> None:
        """Make the lidar scans of some cars that are due; asked again at the same place and time, the same ones.

        Args:
            cars: Rows of the batch, all of which have driven a step since they were asked last, or none, shape (k,).
            worlds: Index of each of these cars' tracks, shape (k,).
            places: base_link's x, y in metres, yaw in radians and the car's clock in seconds, shape (k, 4).
            objects: What is around every car.
            seed: Of the run.
            keys: Stream offset, iteration and episode of every car, shape (num_cars, 3).
        """
        if self._lidar is None:
            return
        has_moved = (self._places[cars] != places).any(axis=1)
        moved = cars[has_moved]
        self._before[moved] = self._places[moved]
        self._places[moved] = places[has_moved]
        before = None if np.isnan(self._before[cars[0], 0]) else self._before[cars]
        bytes_of_scans = self.frames[:, self._form.pictures * PICTURE_BYTES :]
        self._lidar.sense(cars, worlds, before, places, objects.counts, objects.rows, seed, keys, bytes_of_scans)

    def forget(self, car: int) -> None:
        """Forget where a car was, because it is put elsewhere, which makes a scan at once."""
        self._places[car] = self._before[car] = np.nan
