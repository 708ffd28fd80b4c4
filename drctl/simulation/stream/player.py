"""Plays a car's newest episodes one after the other at the speed of life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from drctl.simulation.stream.clip import Clip

PAUSE_S: Final = 1.0
"""How long the last picture of an episode stays."""


@dataclass(frozen=True)
class Moment:
    """A car at one moment of its playback.

    Attributes:
        clip: The episode.
        time_s: Since its start.
        pose: base_link's x and y in metres and yaw in radians.
        speed_m_s: Commanded speed.
        steering_deg: Commanded steering angle, left positive.
        progress_percent: Progress of the lap.
        has_jumped: It is the first moment of an episode, so cameras must not follow smoothly.
    """

    clip: Clip
    time_s: float
    pose: tuple[float, float, float]
    speed_m_s: float
    steering_deg: float
    progress_percent: float
    has_jumped: bool


class Player:
    """Decides which episode of a car is shown, and where in it the car is.

    An episode is shown to its end. Then comes the newest finished one; while there is none, the one under way, which
    may grow meanwhile; and where nothing has happened since, the same one again.
    """

    def __init__(self) -> None:
        self._clip: Clip | None = None
        self._next: Clip | None = None
        self._began = 0.0
        self._has_jumped = True
        self.best_lap_s: float | None = None
        self.last_lap_s: float | None = None

    def offer(self, clip: Clip) -> None:
        """Take the car's newest episode."""
        shown = self._clip
        if clip.status == "lap_complete" and not clip.is_running:
            self.last_lap_s = clip.duration_s
            self.best_lap_s = min(self.best_lap_s or self.last_lap_s, self.last_lap_s)
        if shown is not None and shown.is_running and shown.start == clip.start:
            self._clip = clip  # the same episode, further on
        elif self._next is None or not clip.is_running or self._next.is_running:
            self._next = clip

    def wants_running(self, now: float) -> bool:
        """Tell whether the episode under way should be asked for: nothing finished is there to be shown."""
        if self._next is not None:
            return False
        return self._clip is None or self._clip.is_running or now - self._began > self._clip.duration_s

    def at(self, now: float) -> Moment | None:
        """Return where the car is.

        Args:
            now: Seconds on any clock that runs evenly.

        Returns:
            None before the first episode.
        """
        if self._clip is None or self._is_over(now):
            self._turn_over(now)
        clip = self._clip
        if clip is None:
            return None
        has_jumped, self._has_jumped = self._has_jumped, False
        rows = clip.rows
        time_s = min(now - self._began + float(rows["time_s"][0]), clip.duration_s)
        names = ("x_m", "y_m", "yaw_rad", "speed_m_s", "steering_deg", "progress_percent")
        x, y, yaw, speed, steering, progress = (float(np.interp(time_s, rows["time_s"], rows[name])) for name in names)
        return Moment(clip, time_s, (x, y, yaw), speed, steering, progress, has_jumped)

    def _is_over(self, now: float) -> bool:
        clip = self._clip
        if clip is None:
            return True
        length = clip.duration_s - float(clip.rows["time_s"][0])
        if clip.is_running:  # it waits for more, unless another one is there
            return self._next is not None and now - self._began > length
        return now - self._began > length + PAUSE_S

    def _turn_over(self, now: float) -> None:
        if self._next is not None:
            self._clip, self._next = self._next, None
        self._began, self._has_jumped = now, True
