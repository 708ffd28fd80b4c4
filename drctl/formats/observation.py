"""What a car's sensors give in one step, as bytes on their way from the simulator to a network.

Everything a sensor reports fits into bytes without loss: grey levels, hundredths of a metre up to 1 m, sectors that are
on or off. So all that carries observations about carries one array of bytes, and only its two ends look inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.formats.network_layout import FRAME_HEIGHT, FRAME_WIDTH, NetworkLayout, network_layout
from drctl.formats.sensor import (
    BINARY_SECTORS,
    DISCRETIZED_SECTOR_LIDAR,
    LIDAR,
    LIDAR_RAYS,
    LIDAR_RESOLUTION_M,
    LIDARS,
    STEREO_CAMERAS,
    LidarConfig,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from drctl.formats.model_metadata import ModelMetadata

PICTURE_BYTES: Final = FRAME_HEIGHT * FRAME_WIDTH


@dataclass(frozen=True)
class ObservationForm:
    """How the bytes of a car's sensors are laid out.

    A frame of a single camera alone is the picture itself, shape (120, 160). Any other frame is a row of bytes: the
    pictures, left eye first, and then the lidar's.

    Attributes:
        camera: Name of the camera.
        lidar: Name of the lidar; None without one.
        sectors: What the lidar's scans become; None where its rays are reported.
    """

    camera: str
    lidar: str | None
    sectors: LidarConfig | None

    @classmethod
    def of(cls, metadata: ModelMetadata) -> ObservationForm:
        """Return the form that a model's sensors ask for."""
        lidar = next((sensor for sensor in metadata.sensors if sensor in LIDARS), None)
        sectors = None if lidar in (None, LIDAR) else BINARY_SECTORS
        return cls(metadata.camera, lidar, metadata.lidar if lidar == DISCRETIZED_SECTOR_LIDAR else sectors)

    @property
    def pictures(self) -> int:
        """Pictures in a frame."""
        return 2 if self.camera == STEREO_CAMERAS else 1

    @property
    def lidar_bytes(self) -> int:
        """Bytes of the lidar in a frame."""
        if self.lidar is None:
            return 0
        return LIDAR_RAYS if self.sectors is None else self.sectors.num_values

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame, uint8."""
        if self.pictures == 1 and self.lidar is None:
            return FRAME_HEIGHT, FRAME_WIDTH
        return (self.pictures * PICTURE_BYTES + self.lidar_bytes,)

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of what one frame feeds into each of a network's inputs."""
        shapes: dict[str, tuple[int, ...]] = {self.camera: (FRAME_HEIGHT, FRAME_WIDTH, self.pictures)}
        if self.lidar is not None:
            shapes[self.lidar] = (self.lidar_bytes,)
        return shapes

    def split(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return views of the pictures and of the lidar's bytes of some frames.

        Args:
            frames: Shape (N, *shape), uint8.

        Returns:
            Shapes (N, pictures, 120, 160) and (N, lidar_bytes).
        """
        rows = frames.reshape(len(frames), -1)
        end = self.pictures * PICTURE_BYTES
        return rows[:, :end].reshape(len(rows), self.pictures, FRAME_HEIGHT, FRAME_WIDTH), rows[:, end:]

    def lidar_values(self, scans: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the lidar's bytes as the numbers that a network's input takes: metres, or 0 and 1."""
        unit = LIDAR_RESOLUTION_M if self.lidar == LIDAR else 1.0
        return np.asarray(scans * np.float64(unit), np.float32)

    def sensor_values(self, frames: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8] | NDArray[np.float32]]:
        """Return copies of what each sensor gives in some frames: pictures, shape (N, 120, 160, pictures), and lidar.

        Args:
            frames: Shape (N, *shape), uint8.
        """
        pictures, scans = self.split(frames)
        values: dict[str, NDArray[np.uint8] | NDArray[np.float32]] = {
            self.camera: np.array(pictures.transpose(0, 2, 3, 1), order="C")
        }
        if self.lidar is not None:
            values[self.lidar] = self.lidar_values(scans)
        return values

    def input_values(self, stack: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return what one observation feeds into each input of a frozen graph, with one row.

        Args:
            stack: Its frames, oldest first, shape (S, *shape), uint8.
        """
        pictures, scans = self.split(stack)
        channels = pictures.reshape(-1, FRAME_HEIGHT, FRAME_WIDTH).transpose(1, 2, 0)
        values = {self.camera: np.ascontiguousarray(channels[np.newaxis], np.float32)}
        if self.lidar is not None:
            values[self.lidar] = self.lidar_values(scans.reshape(1, -1))
        return values


def layout_of(metadata: ModelMetadata, stack: int = 1) -> NetworkLayout:
    """Return the layout of the network that a model asks for.

    Args:
        metadata: Of the model.
        stack: Frames in an observation (``stack_size``).
    """
    return network_layout(metadata.neural_network, ObservationForm.of(metadata).inputs, stack)
