"""What is kept of an episode so that it can be played: the car's poses and a few numbers per step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.simulation.episode import EpisodeRecord, EpisodeStart
from drctl.simulation.vehicle.geometry import NOSE_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLIP_DTYPE: Final = np.dtype(
    [
        (name, np.float32)
        for name in ("time_s", "x_m", "y_m", "yaw_rad", "speed_m_s", "steering_deg", "progress_percent", "reward")
    ]
)
"""Since the episode's start; base_link's pose, the yaw without jumps; commanded speed and angle; reward of the step."""

LONGEST_ROWS: Final = 18_000
"""Twenty minutes of driving; of a longer episode the end is kept."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A finished episode, or one under way as far as it has come.

    Attributes:
        serial: Rises from clip to clip of a worker.
        car: Row of the worker's batch.
        start: The episode.
        status: How it ended, or ``in_progress``.
        is_running: It goes on.
        rows: Shape (T,), dtype `CLIP_DTYPE`, T >= 1.
    """

    serial: int
    car: int
    start: EpisodeStart
    status: str
    is_running: bool
    rows: NDArray[np.void]

    @property
    def duration_s(self) -> float:
        """Simulated seconds."""
        return float(self.rows["time_s"][-1])

    def to_message(self) -> dict[str, Any]:
        """Return the plain mapping that `from_message` reads."""
        return {
            "serial": self.serial,
            "car": self.car,
            "start": self.start.to_json(),
            "status": self.status,
            "is_running": self.is_running,
            "rows": self.rows.tobytes(),
        }

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Clip:
        """Read what `to_message` gave."""
        rows = np.frombuffer(message["rows"], CLIP_DTYPE)
        return cls(**{**message, "start": EpisodeStart.from_json(message["start"]), "rows": rows})


def cut_clip(serial: int, car: int, start: EpisodeStart, record: EpisodeRecord, *, is_running: bool) -> Clip:
    """Take from an episode's record what is needed to play it."""
    trace = record.rows[-LONGEST_ROWS:]
    yaw = np.unwrap(np.radians(trace["yaw"]))
    rows = np.empty(len(trace), CLIP_DTYPE)
    rows["time_s"] = trace["tstamp"]
    rows["x_m"] = trace["x"] - NOSE_M * np.cos(yaw)
    rows["y_m"] = trace["y"] - NOSE_M * np.sin(yaw)
    rows["yaw_rad"] = yaw
    rows["speed_m_s"] = trace["throttle"]
    rows["steering_deg"] = trace["steer"]
    rows["progress_percent"] = trace["progress"]
    rows["reward"] = trace["reward"]
    return Clip(serial, car, start, record.status.value, is_running, rows)
