"""A made-up race for the videos' tests: evenly along the x axis, with uneven steps."""

import numpy as np

from drctl.evaluation.recording import LapRecording
from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.environment_spec import WorldSpec


def straight_lap(times_s, *, speed_m_s=2.0, start_m=(1.0, 1.2), **changes):
    """Return a lap of a car that drives along x from a place, one row per time."""
    times_s = np.asarray(times_s, float)
    count = len(times_s)
    poses = np.zeros((count, 3))
    poses[:, 0] = start_m[0] + speed_m_s * (times_s - times_s[0])
    poses[:, 1] = start_m[1]
    statuses = np.full(count, EpisodeStatus.IN_PROGRESS.index, np.uint8)
    statuses[-1] = EpisodeStatus.LAP_COMPLETE.index
    values = {
        "world": WorldSpec("Straight_track"),
        "is_reversed": False,
        "poses": poses,
        "times_s": times_s,
        "lap_clock_s": times_s - times_s[0],
        "speed_m_s": np.full(count, speed_m_s),
        "steering_deg": np.zeros(count),
        "progress_percent": np.linspace(0, 100, count),
        "statuses": statuses,
        "resets": np.zeros(count, np.int64),
        "lap": 1,
        "laps_total": 1,
        "display_name": "Racer",
        "car_color": "Red",
    }
    return LapRecording(**(values | changes))
