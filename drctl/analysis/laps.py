"""Complete laps among driven steps, and the races that the evaluations of a model were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.analysis.drive import Drive
from drctl.formats.episode_status import EpisodeStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.formats.evaluation_metrics import LapMetrics

_COMPLETE: Final = EpisodeStatus.LAP_COMPLETE
_STEP_S: Final = 0.1  # a step takes 1/15 s, some a little longer (simulator-facts 1.4)


@dataclass(frozen=True, eq=False)
class Lap:
    """A complete lap that can be drawn.

    Attributes:
        time_s: Its time, penalties included.
        origin: Where it was driven, for people.
        drive: Its rows, one episode.
        is_training: It is a training episode, which may begin anywhere.
    """

    time_s: float
    origin: str
    drive: Drive
    is_training: bool = False

    @property
    def points_m(self) -> NDArray[np.float64]:
        """Places of the car, shape (T, 2)."""
        return np.column_stack([self.drive.rows["x"], self.drive.rows["y"]])

    @property
    def clock_s(self) -> NDArray[np.float64]:
        """Seconds since the first row, shape (T,)."""
        since: NDArray[np.float64] = self.drive.rows["tstamp"] - self.drive.rows["tstamp"][0]
        return since


@dataclass(frozen=True, eq=False)
class Race:
    """One evaluation.

    Attributes:
        stamp: Its 14 digits, local time.
        laps: What its metrics file says.
        drive: Its trace; None where that was not read.
    """

    stamp: str
    laps: tuple[LapMetrics, ...]
    drive: Drive | None = None

    @property
    def name(self) -> str:
        """When it was, for people."""
        s = self.stamp
        return f"{s[:4]}-{s[4:6]}-{s[6:8]} {s[8:10]}:{s[10:12]}:{s[12:]}"

    @property
    def complete(self) -> list[LapMetrics]:
        """The laps that were complete."""
        return [lap for lap in self.laps if lap.episode_status == _COMPLETE.label]

    @property
    def lap_times_s(self) -> list[float]:
        """Times of the complete laps, penalties included."""
        return [lap.elapsed_time_in_milliseconds / 1000 for lap in self.complete]

    @property
    def track_length_m(self) -> float | None:
        """Length of its track, where the trace tells."""
        return float(self.drive.rows["track_len"][0]) if self.drive is not None and len(self.drive) else None

    def best_lap(self) -> Lap | None:
        """Return the fastest complete lap that can be drawn; it may be slower than the metrics' fastest."""
        if self.drive is None:
            return None
        found = []
        for lap in self.complete:
            drive = self.drive.where(self.drive.rows["episode"] == lap.trial - 1)
            if len(drive) > 1:
                time_s = lap.elapsed_time_in_milliseconds / 1000
                found.append(Lap(time_s, f"evaluation of {self.name}, lap {lap.trial}", drive))
        return min(found, key=lambda lap: lap.time_s, default=None)


def best_training_lap(drive: Drive, times_s: Mapping[int, Sequence[float]]) -> Lap | None:
    """Return the fastest complete lap of training episodes.

    An episode's time runs from its reset to its end, and the trace begins a step later: the mean step is added, and of
    the times on record the nearest is taken.

    Args:
        drive: Training episodes.
        times_s: Times of the complete laps of each iteration, as the trainer has them.
    """
    ends = drive.episodes_ending(_COMPLETE)
    if not len(ends):
        return None
    starts = drive.starts[np.searchsorted(drive.starts, ends, side="right") - 1]
    clock = drive.rows["tstamp"]
    steps = np.maximum(1, ends - starts)
    times = (clock[ends] - clock[starts]) * (1 + 1 / steps)
    best = int(np.argmin(times))
    mask = np.zeros(len(drive), np.bool_)
    mask[starts[best] : ends[best] + 1] = True
    iteration, time_s = int(drive.iteration[ends[best]]), float(times[best])
    known = min(times_s.get(iteration, ()), key=lambda one: abs(one - time_s), default=time_s)
    time_s = known if abs(known - time_s) < _STEP_S else time_s
    return Lap(time_s, f"training, iteration {iteration}", drive.where(mask), is_training=True)
