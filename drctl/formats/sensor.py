"""The sensors a ``model_metadata.json`` can name, and what the lidars make of their scans (contract 6.2, 6.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OBSERVATION: Final = "observation"
FRONT_FACING_CAMERA: Final = "FRONT_FACING_CAMERA"
LEFT_CAMERA: Final = "LEFT_CAMERA"
STEREO_CAMERAS: Final = "STEREO_CAMERAS"
LIDAR: Final = "LIDAR"
SECTOR_LIDAR: Final = "SECTOR_LIDAR"
DISCRETIZED_SECTOR_LIDAR: Final = "DISCRETIZED_SECTOR_LIDAR"

SINGLE_CAMERAS: Final = (OBSERVATION, FRONT_FACING_CAMERA, LEFT_CAMERA)
"""One grey picture of the same camera under three names (contract 6.3)."""

CAMERAS: Final = (*SINGLE_CAMERAS, STEREO_CAMERAS)
LIDARS: Final = (LIDAR, SECTOR_LIDAR, DISCRETIZED_SECTOR_LIDAR)

LIDAR_RAYS: Final = 64
"""Rays of a scan (simulator-facts 2.2); sectors are equal parts of them."""

LIDAR_NEAREST_M: Final = 0.15
"""Least range that the lidar reports (simulator-facts 2.2)."""

LIDAR_FARTHEST_M: Final = 12.0
"""Greatest range that the lidar reports (simulator-facts 2.2)."""

LIDAR_CLIP_M: Final = 1.0
"""Ranges of the sensor ``LIDAR`` are clipped to this (contract 6.3)."""

LIDAR_RESOLUTION_M: Final = 0.01
"""Step in which the lidar reports ranges (simulator-facts 2.2)."""


@dataclass(frozen=True)
class LidarConfig:
    """How a scan becomes sectors; the defaults are those of ``DISCRETIZED_SECTOR_LIDAR`` (contract 6.2).

    Attributes:
        num_sectors: Equal parts of the scan; divides 64.
        num_values_per_sector: Distance bins of a sector.
        clipping_distance_m: Beyond this nothing counts as detected.
    """

    num_sectors: int = 8
    num_values_per_sector: int = 8
    clipping_distance_m: float = 2.0

    @property
    def num_values(self) -> int:
        """Numbers that the network gets of a scan."""
        return self.num_sectors * self.num_values_per_sector


BINARY_SECTORS: Final = LidarConfig(num_sectors=8, num_values_per_sector=1, clipping_distance_m=0.5)
"""What ``SECTOR_LIDAR`` is: whether anything is near, for each of 8 sectors (contract 6.3)."""
