"""What one car has done since its reset, and the record that is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.simtrace import CONTINUOUS_ACTION, TRACE_DTYPE
from drctl.simulation.episode import EpisodeRecord
from drctl.simulation.stepping import (
    LOG_ACTION,
    LOG_ALL_WHEELS,
    LOG_PROGRESS,
    LOG_REWARD,
    LOG_SIZE,
    LOG_SPEED,
    LOG_STATUS,
    LOG_STEERING,
    LOG_TIME,
    LOG_WALL_CLOCK,
    LOG_WAYPOINT,
    LOG_X,
    LOG_Y,
    LOG_YAW,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST_ROWS: Final = 512
_COLUMNS: Final = {
    "x": LOG_X,
    "y": LOG_Y,
    "yaw": LOG_YAW,
    "steer": LOG_STEERING,
    "throttle": LOG_SPEED,
    "action": LOG_ACTION,
    "reward": LOG_REWARD,
    "all_wheels_on_track": LOG_ALL_WHEELS,
    "progress": LOG_PROGRESS,
    "closest_waypoint": LOG_WAYPOINT,
    "tstamp": LOG_TIME,
    "status": LOG_STATUS,
    "wall_clock": LOG_WALL_CLOCK,
}


class EpisodeLog:
    """Rows of one car's episode; they are kept until the next one begins."""

    def __init__(self) -> None:
        self._rows = np.empty((_FIRST_ROWS, LOG_SIZE))
        self._count = 0
        self._track_length_m = 0.0

    def clear(self, track_length_m: float) -> None:
        """Begin an episode on a track of this length."""
        self._count = 0
        self._track_length_m = track_length_m

    def append(self, row: NDArray[np.float64]) -> None:
        """Add a step, shape (LOG_SIZE,)."""
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[self._count] = row
        self._count += 1

    def record(self) -> EpisodeRecord:
        """Return the record of the rows so far; the first is the prepare step."""
        log = self._rows[: self._count]
        rows = np.zeros(self._count, TRACE_DTYPE)
        for field, column in _COLUMNS.items():
            rows[field] = log[:, column]
        rows["steps"] = np.arange(1, self._count + 1)
        rows["track_len"] = self._track_length_m
        is_continuous = rows["action"] == CONTINUOUS_ACTION
        rows["action_steer"] = np.where(is_continuous, rows["steer"], 0.0)
        rows["action_speed"] = np.where(is_continuous, rows["throttle"], 0.0)
        status = EpisodeStatus.from_index(int(rows["status"][-1]))
        rows["done"][-1] = status is not EpisodeStatus.IN_PROGRESS
        return EpisodeRecord(
            rows=rows,
            status=status,
            reward=float(log[:, LOG_REWARD].sum()),
            steps=self._count - 1,
            progress_percent=float(log[-1, LOG_PROGRESS]),
            duration_s=float(log[-1, LOG_TIME]),
        )
