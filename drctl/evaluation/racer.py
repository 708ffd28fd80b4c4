"""One car in a race: drives by a policy, is put back after mishaps, and leaves results, trace and poses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import hypot
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from drctl.evaluation.rules import RacedLap, RaceRules
from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.environment import BatchEnvironment
from drctl.simulation.episode import EpisodeStart
from drctl.simulation.race.objects import OBJECT_X, OBJECT_YAW
from drctl.simulation.race.resets import Mishap, find_place
from drctl.simulation.race.step_time import NOMINAL_S
from drctl.simulation.race.traffic import HIDDEN_POSE, Rival

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
        racer: Number of the car, from 0.
    """

    lap: int
    laps: int
    progress_percent: float
    clock_s: float
    resets: int
    finished: RacedLap | None = None
    racer: int = 0


@dataclass(frozen=True)
class RaceOutcome:
    """What a race leaves of one car.

    Attributes:
        laps: In the order in which they were driven; fewer than asked for when resets ran out in a continuous race.
        rows: Trace of the whole race, dtype `TRACE_DTYPE`; `episode` is the number of laps that ended before, `tstamp`
            counts from the beginning of the race.
        poses: base_link's x, y in metres and yaw in radians at the end of each row's step, shape (T, 3).
        resets: Times the car had been put back by each row, shape (T,).
        objects: What else was on the track, ``OBJECT_`` numbers of `race.objects`, shape (n, OBJECT_SIZE); their places
            are those at the beginning.
        object_poses: x, y and yaw of each of them at the end of each row's step, shape (T, n, 3).
    """

    laps: tuple[RacedLap, ...]
    rows: NDArray[np.void]
    poses: NDArray[np.float64]
    resets: NDArray[np.int64]
    objects: NDArray[np.float64]
    object_poses: NDArray[np.float64]


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


@dataclass
class _Row:
    """What the environment's log does not know of a row."""

    laps: int
    pause_s: float
    resets: int
    pose: NDArray[np.float64]
    object_poses: NDArray[np.float64]


class Racer:
    """One car of a race; episode after episode, step by step.

    Args:
        spec: What is simulated; its first world is the track.
        rules: How the race is judged.
        driver: Chooses the actions.
        iteration: Iteration that made the checkpoint: steps then have the lengths that they had in the trainer's own
            evaluation of it.
        on_progress: Called about once per simulated second and at the end of every lap.
        number: Of the car, from 0.
        keeps_time: Waits in steps of the same lengths as it drives, so that cars with equal clocks keep them; a penalty
            may then last until the end of the step in which it ends. Otherwise it lasts exactly as long as it says.
        lane: Where it starts, see `EpisodeStart`.

    Raises:
        DrctlError: See `BatchEnvironment`.

    Attributes:
        environment: Where it drives.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        rules: RaceRules,
        driver: Driver,
        iteration: int = 0,
        on_progress: Callable[[RaceProgress], None] = lambda _progress: None,
        *,
        number: int = 0,
        keeps_time: bool = False,
        lane: int | None = None,
    ) -> None:
        self.environment = BatchEnvironment(spec, 1)
        self._rules = rules
        self._driver = driver
        self._iteration = iteration
        self._on_progress = on_progress
        self._number = number
        self._keeps_time = keeps_time
        self._lane = lane
        self._speed_m_s = 0.0
        self._laps: list[RacedLap] = []
        self._logs: list[NDArray[np.void]] = []
        self._rows: list[_Row] = []
        self._objects: NDArray[np.float64] = self.environment.traffic.of(0).copy()
        self._offset_s = 0.0
        self._resets = 0
        self._resets_left = 0
        self._lap: _OpenLap | None = None
        self._pause_s = 0.0

    @property
    def is_driving(self) -> bool:
        """Whether its episode is under way."""
        return self._lap is not None

    @property
    def has_finished(self) -> bool:
        """Whether it has had all its laps, or has no reset left for the rest of a continuous race."""
        is_over = len(self._laps) >= self._rules.laps or (self._rules.is_continuous and bool(self._laps))
        return not self.is_driving and is_over

    @property
    def is_waiting(self) -> bool:
        """Whether it stands and waits for a penalty to end; it cannot be touched then."""
        return self._pause_s > _LEAST_WAIT_S

    @property
    def pose(self) -> tuple[float, float, float]:
        """base_link's x, y in metres and yaw in radians."""
        x, y, yaw = self.environment.poses(_CAR)[0].tolist()
        return x, y, yaw

    @property
    def clock_s(self) -> float:
        """Seconds since the beginning of the race, at the end of its last episode."""
        return self._offset_s

    def seen(self, color: tuple[int, int, int]) -> Rival | None:
        """Return what other racers see of it; None when it is not on the track.

        Args:
            color: Of its body, red, green and blue, 0 to 255.
        """
        return Rival(self.pose, self._speed_m_s, color, not self.is_waiting) if self.is_driving else None

    def see(self, rival: Rival | None) -> None:
        """Show it where another racer has come to while it drove its last step itself; None takes that one away."""
        self.environment.show_rival(0, rival)
        objects = self.environment.traffic.of(0)
        if len(objects) and not len(self._objects):
            self._objects = objects.copy()
        pose = HIDDEN_POSE if rival is None else rival.pose
        self._rows[-1].object_poses = np.array([pose])

    def begin_episode(self, at_s: float = 0.0) -> None:
        """Begin one lap, or all of them when the race is continuous.

        Args:
            at_s: Seconds since the beginning of the race; at once, if its clock has gone farther.
        """
        self._offset_s = max(self._offset_s, at_s)
        number = len(self._laps)
        self.environment.begin(
            0,
            EpisodeStart(
                "evaluation",
                self._iteration,
                number,
                start_fraction=self._rules.start_fraction,
                is_reversed=self._rules.is_reversed,
                lane=self._lane,
            ),
        )
        self._driver.begin()
        self._speed_m_s = 0.0
        self._lap = _OpenLap(number + 1, self._offset_s)
        self._resets_left = self._rules.max_resets
        if not self._rows:
            self._objects = self.environment.traffic.of(0).copy()
        self._note_row()

    def advance(self) -> None:
        """Drive one step, or wait one where a penalty is to be waited for.

        Raises:
            RewardFailedError: The reward function failed.
            RuntimeError: There is no episode under way.
        """
        if self._lap is None:
            raise RuntimeError("a racer drives in an episode")
        if self.is_waiting:
            self._wait()
        else:
            self._step(self._lap)
        if not self.is_driving:
            self._logs.append(self._take_log())

    def outcome(self) -> RaceOutcome:
        """Return what is left of the race when all episodes are over."""
        rows = np.concatenate(self._logs)
        rows["episode"] = [row.laps for row in self._rows]
        rows["pause_duration"] = [row.pause_s for row in self._rows]
        # A lap's last row is done; in a continuous race the log knows the end of the last lap alone.
        rows["done"] |= rows["status"] == EpisodeStatus.LAP_COMPLETE.index
        return RaceOutcome(
            tuple(self._laps),
            rows,
            np.array([row.pose for row in self._rows]),
            np.array([row.resets for row in self._rows], np.int64),
            self._objects,
            np.array([row.object_poses for row in self._rows]).reshape(len(rows), len(self._objects), 3),
        )

    def _step(self, lap: _OpenLap) -> None:
        environment = self.environment
        before, percent = self.pose, float(environment.progress_percent(_CAR)[0])
        began_s = environment.time_s(0)
        result = environment.step(_CAR, self._driver.act(environment.frames[0]))
        status, (x, y, _) = environment.status(0), self.pose
        self._speed_m_s = hypot(x - before[0], y - before[1]) / (environment.time_s(0) - began_s)
        if status is EpisodeStatus.IN_PROGRESS and not result.truncated[0]:
            self._note_row()
            self._report(lap)
        elif status in (EpisodeStatus.LAP_COMPLETE, EpisodeStatus.IN_PROGRESS):
            self._note_row()
            self._close(lap, status)
        else:
            lap.mishaps[status] += 1
            if self._resets_left == 0:
                self._note_row()
                self._close(lap, status)
            else:
                self._resets_left -= 1
                self._put_back(lap, Mishap(status, before, percent))

    def _close(self, lap: _OpenLap, status: EpisodeStatus) -> None:
        """End a lap and begin the next one of the same episode, if there is one."""
        finished = lap.close(self._now_s(), status, float(self.environment.progress_percent(_CAR)[0]))
        self._laps.append(finished)
        self._report(lap, finished)
        self._lap = None
        if self._rules.is_continuous and finished.is_complete and len(self._laps) < self._rules.laps:
            self.environment.begin_lap(0)
            self._lap = _OpenLap(lap.number + 1, finished.end_s)

    def _put_back(self, lap: _OpenLap, mishap: Mishap) -> None:
        """Put the car back on the track; from then on it waits for its penalty."""
        environment, rules = self.environment, self._rules
        pose = find_place(environment, 0, rules.start_fraction, mishap, rules.reset_behind_m)
        environment.put_back(0, pose, mishap.progress_percent)
        self._driver.begin()
        lap.resets += 1
        self._resets += 1
        self._speed_m_s = 0.0
        self._pause_s = rules.penalty_s(mishap.status)
        lap.penalty_s += self._pause_s
        self._note_row(self._pause_s)

    def _wait(self) -> None:
        # The last piece is as short as it must be, unless others' clocks go on by whole steps.
        piece_s = self.environment.next_step_s(0) if self._keeps_time else min(NOMINAL_S, self._pause_s)
        self.environment.wait(0, piece_s)
        self._pause_s = max(self._pause_s - piece_s, 0.0)
        self._note_row(self._pause_s)

    def _note_row(self, pause_s: float = 0.0) -> None:
        objects = self.environment.traffic.of(0)
        self._rows.append(
            _Row(
                len(self._laps),
                pause_s,
                self._resets,
                self.environment.poses(_CAR)[0],
                objects[:, OBJECT_X : OBJECT_YAW + 1].copy(),
            )
        )

    def _take_log(self) -> NDArray[np.void]:
        rows = self.environment.record(0).rows
        rows["tstamp"] += self._offset_s
        self._offset_s = float(rows["tstamp"][-1])
        return rows

    def _now_s(self) -> float:
        return self._offset_s + self.environment.time_s(0)

    def _report(self, lap: _OpenLap, finished: RacedLap | None = None) -> None:
        if finished is None and len(self._rows) % 15:
            return
        percent = float(self.environment.progress_percent(_CAR)[0])
        clock_s = self._now_s() - lap.start_s
        self._on_progress(
            RaceProgress(lap.number, self._rules.laps, percent, clock_s, self._resets, finished, self._number)
        )
