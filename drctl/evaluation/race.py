"""One car on one track: drives laps by a policy, is put back after mishaps, and leaves results, trace and poses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from drctl.evaluation.rules import RacedLap, RaceRules
from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.environment import BatchEnvironment
from drctl.simulation.episode import EpisodeStart
from drctl.simulation.race.resets import reset_pose
from drctl.simulation.race.step_time import NOMINAL_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.environment_spec import EnvironmentSpec

_CAR: Final = np.zeros(1, np.int64)
_LEAST_WAIT_S: Final = 1e-9


class Driver(Protocol):
    """What drives the car."""

    def begin(self) -> None:
        """Forget what was seen: an episode begins, or the car was put elsewhere."""

    def act(self, frame: NDArray[np.uint8]) -> NDArray[Any]:
        """Choose an action for what the car senses: shape (1,), whole numbers, or (1, 2) in [-1, 1]."""


@dataclass(frozen=True)
class RaceProgress:
    """Where a race stands.

    Attributes:
        lap: Lap under way, from 1.
        laps: Laps of the race.
        progress_percent: Progress of that lap.
        clock_s: Seconds on its clock.
        resets: Times the car was put back so far in the race.
        finished: The lap that has just ended, or None.
    """

    lap: int
    laps: int
    progress_percent: float
    clock_s: float
    resets: int
    finished: RacedLap | None = None


@dataclass(frozen=True)
class RaceOutcome:
    """What a race leaves.

    Attributes:
        laps: In the order in which they were driven; fewer than asked for when resets ran out in a continuous race.
        rows: Trace of the whole race, dtype `TRACE_DTYPE`; `episode` is the number of laps that ended before, `tstamp`
            counts from the beginning of the race.
        poses: base_link's x, y in metres and yaw in radians at the end of each row's step, shape (T, 3).
        resets: Times the car had been put back by each row, shape (T,).
    """

    laps: tuple[RacedLap, ...]
    rows: NDArray[np.void]
    poses: NDArray[np.float64]
    resets: NDArray[np.int64]


@dataclass
class _OpenLap:
    number: int
    start_s: float
    mishaps: Counter[EpisodeStatus] = field(default_factory=Counter)
    resets: int = 0
    penalty_s: float = 0.0

    def close(self, end_s: float, status: EpisodeStatus, progress_percent: float) -> RacedLap:
        return RacedLap(
            self.number,
            self.start_s,
            end_s,
            status,
            progress_percent,
            self.mishaps,
            self.resets,
            self.penalty_s,
        )


class Race:
    """A race of one car.

    Args:
        spec: What is simulated; its first world is the track.
        rules: How the race is judged.
        driver: Chooses the actions.
        iteration: Iteration that made the checkpoint: steps then have the lengths that they had in the trainer's own
            evaluation of it.
        on_progress: Called about once per simulated second and at the end of every lap.

    Raises:
        DrctlError: See `BatchEnvironment`.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        rules: RaceRules,
        driver: Driver,
        iteration: int = 0,
        on_progress: Callable[[RaceProgress], None] = lambda _progress: None,
    ) -> None:
        self._rules = rules
        self._driver = driver
        self._iteration = iteration
        self._on_progress = on_progress
        self._environment = BatchEnvironment(spec, 1)
        self._laps: list[RacedLap] = []
        self._rows: list[NDArray[np.void]] = []
        self._poses: list[NDArray[np.float64]] = []
        self._row_laps: list[int] = []
        self._row_pauses_s: list[float] = []
        self._row_resets: list[int] = []
        self._offset_s = 0.0
        self._resets = 0

    def run(self) -> RaceOutcome:
        """Drive all laps.

        Raises:
            RewardFailedError: The reward function failed.
        """
        while len(self._laps) < self._rules.laps:
            self._drive_episode()
            if self._rules.is_continuous:
                break
        rows = np.concatenate(self._rows)
        rows["episode"] = self._row_laps
        rows["pause_duration"] = self._row_pauses_s
        # A lap's last row is done; in a continuous race the log knows the end of the last lap alone.
        rows["done"] |= rows["status"] == EpisodeStatus.LAP_COMPLETE.index
        return RaceOutcome(tuple(self._laps), rows, np.array(self._poses), np.array(self._row_resets, np.int64))

    def _drive_episode(self) -> None:
        """Drive one lap, or all of them when the race is continuous."""
        environment, rules = self._environment, self._rules
        number = len(self._laps)
        environment.begin(
            0,
            EpisodeStart(
                "evaluation",
                self._iteration,
                number,
                start_fraction=rules.start_fraction,
                is_reversed=rules.is_reversed,
            ),
        )
        self._driver.begin()
        lap: _OpenLap | None = _OpenLap(number + 1, self._offset_s)
        resets_left = rules.max_resets
        self._note_row()
        while lap is not None:
            before, percent = environment.poses(_CAR)[0], float(environment.progress_percent(_CAR)[0])
            result = environment.step(_CAR, self._driver.act(environment.frames[0]))
            status = environment.status(0)
            if status is EpisodeStatus.IN_PROGRESS and not result.truncated[0]:
                self._note_row()
                self._report(lap)
            elif status in (EpisodeStatus.LAP_COMPLETE, EpisodeStatus.IN_PROGRESS):
                self._note_row()
                lap = self._close(lap, status)
            else:
                lap.mishaps[status] += 1
                if resets_left == 0:
                    self._note_row()
                    lap = self._close(lap, status)
                else:
                    resets_left -= 1
                    self._put_back(lap, status, before, percent)
        self._rows.append(self._take_log())

    def _close(self, lap: _OpenLap, status: EpisodeStatus) -> _OpenLap | None:
        """End a lap; return the next one of the same episode, if there is one."""
        finished = lap.close(self._now_s(), status, float(self._environment.progress_percent(_CAR)[0]))
        self._laps.append(finished)
        self._report(lap, finished)
        goes_on = self._rules.is_continuous and finished.is_complete and len(self._laps) < self._rules.laps
        if not goes_on:
            return None
        self._environment.begin_lap(0)
        return _OpenLap(lap.number + 1, finished.end_s)

    def _put_back(
        self, lap: _OpenLap, mishap: EpisodeStatus, before: NDArray[np.float64], progress_percent: float
    ) -> None:
        """Put the car back on the track and let it wait for its penalty."""
        environment = self._environment
        seen_m = (float(before[0]), float(before[1]))
        pose = reset_pose(environment.track(0), self._rules.start_fraction, progress_percent, seen_m)
        environment.put_back(0, pose, progress_percent)
        self._driver.begin()
        lap.resets += 1
        self._resets += 1
        left_s = self._rules.penalty_s(mishap)
        lap.penalty_s += left_s
        self._note_row(left_s)
        while left_s > _LEAST_WAIT_S:
            # The last piece is as short as it must be: a penalty is never longer than it says.
            piece_s = min(NOMINAL_S, left_s)
            environment.wait(0, piece_s)
            left_s -= piece_s
            self._note_row(max(left_s, 0.0))

    def _note_row(self, pause_s: float = 0.0) -> None:
        """Write down what the log does not know of its newest row."""
        self._poses.append(self._environment.poses(_CAR)[0])
        self._row_laps.append(len(self._laps))
        self._row_pauses_s.append(pause_s)
        self._row_resets.append(self._resets)

    def _take_log(self) -> NDArray[np.void]:
        rows = self._environment.record(0).rows
        rows["tstamp"] += self._offset_s
        self._offset_s = float(rows["tstamp"][-1])
        return rows

    def _now_s(self) -> float:
        return self._offset_s + self._environment.time_s(0)

    def _report(self, lap: _OpenLap, finished: RacedLap | None = None) -> None:
        if finished is None and len(self._poses) % 15:
            return
        percent = float(self._environment.progress_percent(_CAR)[0])
        clock_s = self._now_s() - lap.start_s
        self._on_progress(RaceProgress(lap.number, self._rules.laps, percent, clock_s, self._resets, finished))
