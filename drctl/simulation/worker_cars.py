"""The cars of a worker: carries out one answer of the trainer and tells what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from drctl.errors import RewardError
from drctl.formats import log_lines
from drctl.link.messages import TERMINATED, TRUNCATED, Act, Setup, Tick
from drctl.simulation.episode import EpisodeRecord, EpisodeStart
from drctl.simulation.episode_message import pack_records
from drctl.simulation.stream.shelf import ClipShelf

if TYPE_CHECKING:
    from numpy.typing import NDArray


class StepResult(Protocol):
    """What one step gave k cars."""

    @property
    def rewards(self) -> NDArray[np.float32]:
        """Shape (k,), float32."""

    @property
    def terminated(self) -> NDArray[np.bool_]:
        """Whether each episode ended by a rule of the race, shape (k,)."""

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """Whether each episode was cut off, shape (k,)."""


class Environment(Protocol):
    """What a worker drives; `simulation.environment.BatchEnvironment` is one."""

    @property
    def frames(self) -> NDArray[np.uint8]:
        """What each car senses, shape (num_cars, *frame), uint8."""

    def begin(self, car: int, start: EpisodeStart) -> None:
        """Place a car at the start of an episode."""

    def step(self, cars: NDArray[Any], actions: NDArray[Any]) -> StepResult:
        """Let some cars act."""

    def record(self, car: int) -> EpisodeRecord:
        """Return the finished episode of a car."""

    def record_so_far(self, car: int) -> EpisodeRecord:
        """Return the episode of a car as far as it has come."""


BuildEnvironment = Callable[[dict[str, Any], int, Callable[[], None]], Environment]
"""Makes an environment from an `EnvironmentSpec` as mapping, the number of cars and what to call before each reward."""


NO_CAR: Final = -1
"""Stands for no car in particular."""


class RewardTroubleError(Exception):
    """The reward function failed, and for which car.

    Args:
        error: What it raised.
        car: Car it was called for, or `NO_CAR` where the error does not say.
    """

    def __init__(self, error: RewardError, car: int) -> None:
        super().__init__(str(error))
        self.error = error
        self.car = car


@dataclass(frozen=True)
class _Running:
    """An episode under way.

    Attributes:
        number: Number of the episode over the run, for log lines.
        start: What defines it.
    """

    number: int
    start: EpisodeStart


class Cars:
    """All cars of a setup, driven in step.

    Args:
        environment: Drives them.
        setup: What the trainer asked for.
        say: Prints one line.
        shelf: Gets each finished episode, for people who watch.
    """

    def __init__(self, environment: Environment, setup: Setup, say: Callable[[str], None], shelf: ClipShelf) -> None:
        self._environment = environment
        self._setup = setup
        self._say = say
        self._shelf = shelf
        self._running: dict[int, _Running] = {}

    @property
    def running(self) -> int:
        """Cars with an episode under way."""
        return len(self._running)

    def play(self, act: Act) -> Tick:
        """Carry out the actions, begin the episodes, and report.

        Args:
            act: The trainer's answer to the last tick.

        Raises:
            RewardTroubleError: The user's reward function cannot go on.
        """
        frames = self._environment.frames
        rewards, outcomes, final_frames = np.empty(0, np.float32), np.empty(0, np.uint8), frames[:0]
        records = []
        if len(act.cars):
            rewards, outcomes = self._step(act.cars, act.actions)
        if outcomes.any():
            final_frames = frames[act.cars[(outcomes & TRUNCATED) != 0]]  # a copy: the car may begin anew below
            records = [self._end(int(car)) for car in act.cars[outcomes != 0]]
        for episode in act.episodes:
            self._begin(episode["car"], EpisodeStart.from_json(episode["start"]), episode["number"])
        mappings, rows = pack_records(records)
        waiting = np.array(sorted(self._running), np.int32)
        return Tick(
            setup=self._setup.setup,
            number=act.number + 1,
            records=mappings,
            acted=act.cars,
            rewards=rewards,
            outcomes=outcomes,
            waiting=waiting,
            # Sending copies, so all frames together need no copy of their own.
            frames=frames if len(waiting) == len(frames) else frames[waiting],
            final_frames=final_frames,
            rows=rows,
        )

    def show_running(self) -> None:
        """Put the episodes under way that somebody wants to see on the shelf."""
        wanted = self._shelf.wanted
        while wanted:
            car = wanted.pop()
            if car in self._running:
                record = self._environment.record_so_far(car)
                self._shelf.keep(car, self._running[car].start, record, is_running=True)

    def _step(self, cars: NDArray[np.int32], actions: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        try:
            result = self._environment.step(cars, actions)
        except RewardError as error:
            raise RewardTroubleError(error, _blamed_car(error, cars)) from error
        outcomes = result.terminated * np.uint8(TERMINATED) | result.truncated * np.uint8(TRUNCATED)
        return result.rewards.astype(np.float32, copy=False), outcomes

    def _begin(self, car: int, start: EpisodeStart, number: int) -> None:
        try:
            self._environment.begin(car, start)
        except RewardError as error:
            raise RewardTroubleError(error, car) from error
        self._running[car] = _Running(number, start)

    def _end(self, car: int) -> EpisodeRecord:
        running = self._running.pop(car)
        record = self._environment.record(car)
        self._shelf.keep(car, running.start, record)
        if self._setup.prints_steps and running.start.phase == "training":
            # Whole episodes, since the lines of many cars at once would be hard to tell apart.
            rows = record.rows.copy()
            rows["episode"] = running.number
            for row in rows:
                self._say(log_lines.sim_trace(row))
        return record


def _blamed_car(error: RewardError, cars: Sequence[int] | NDArray[np.int32]) -> int:
    car = getattr(getattr(error, "details", None), "car", None)
    if car is None and len(cars) == 1:
        return int(cars[0])
    return NO_CAR if car is None else int(car)
