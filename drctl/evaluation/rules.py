"""What a race is: how many laps, which mishaps cost how much time, and what is written down of a lap (contract 8)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.evaluation_metrics import LapMetrics

MISHAPS: Final = (
    EpisodeStatus.CRASHED,
    EpisodeStatus.IMMOBILIZED,
    EpisodeStatus.OFF_TRACK,
    EpisodeStatus.REVERSED,
)
"""What the car is put back after, as long as it has resets left."""


@dataclass(frozen=True)
class RaceRules:
    """How a race is judged.

    Attributes:
        laps: Laps to drive, at least 1.
        is_continuous: One run until all laps are complete; otherwise every lap starts anew at the start line.
        max_resets: Times the car may be put back: in the whole race when it is continuous, else in each lap. 0 ends a
            lap at its first mishap.
        off_track_penalty_s: Seconds that a car waits after leaving the track or driving backwards.
        collision_penalty_s: Seconds that it waits after a crash.
        is_reversed: Drive against the track's own direction.
        start_fraction: Where laps start, in [0, 1) of the lap from waypoint 0.
        reset_behind_m: How far behind an object in the way the car is put back.
    """

    laps: int = 3
    is_continuous: bool = True
    max_resets: int = 100
    off_track_penalty_s: float = 5.0
    collision_penalty_s: float = 5.0
    is_reversed: bool = False
    start_fraction: float = 0.0
    reset_behind_m: float = 1.0

    def penalty_s(self, mishap: EpisodeStatus) -> float:
        """Return how long the car waits after a mishap; standing still costs nothing more (contract 3.3)."""
        if mishap is EpisodeStatus.IMMOBILIZED:
            return 0.0
        return self.collision_penalty_s if mishap is EpisodeStatus.CRASHED else self.off_track_penalty_s


@dataclass(frozen=True)
class RacedLap:
    """A lap, complete or not.

    Attributes:
        number: From 1.
        start_s: Simulated seconds of the race at its beginning.
        end_s: The same at its end.
        status: ``LAP_COMPLETE``; or the mishap after which no reset was left; or ``IN_PROGRESS`` when the car did not
            arrive within 100,000 steps.
        progress_percent: Progress at its end, at most 100.
        mishaps: How often each happened, the one that ended the lap included.
        resets: Times the car was put back.
        penalty_s: Seconds that it waited, which are part of the lap's time.
    """

    number: int
    start_s: float
    end_s: float
    status: EpisodeStatus
    progress_percent: float
    mishaps: Counter[EpisodeStatus] = field(default_factory=Counter)
    resets: int = 0
    penalty_s: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether the car crossed the line."""
        return self.status is EpisodeStatus.LAP_COMPLETE

    @property
    def total_s(self) -> float:
        """Time on the lap's clock, penalties included."""
        return self.end_s - self.start_s

    @property
    def driving_s(self) -> float:
        """Time without the waiting."""
        return self.total_s - self.penalty_s

    def metrics(self) -> LapMetrics:
        """Round the lap's figures the way its metrics file has them."""
        start, end = round(self.start_s * 1000), round(self.end_s * 1000)
        return LapMetrics(
            completion_percentage=int(self.progress_percent),
            metric_time=end,
            start_time=start,
            elapsed_time_in_milliseconds=end - start,
            episode_status=self.status.label,
            crash_count=self.mishaps[EpisodeStatus.CRASHED],
            immobilized_count=self.mishaps[EpisodeStatus.IMMOBILIZED],
            off_track_count=self.mishaps[EpisodeStatus.OFF_TRACK],
            reversed_count=self.mishaps[EpisodeStatus.REVERSED],
            reset_count=sum(self.mishaps[mishap] for mishap in MISHAPS),
            trial=self.number,
        )
