"""Real workers around a simulator that computes nothing, for a policy that does not either: the link is left."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.simtrace import TRACE_DTYPE
from drctl.link.listening import Binding
from drctl.link.messages import PLAIN_FRAME
from drctl.link.ticket import JoinTicket, write_ticket
from drctl.link.transport import TrainerLink
from drctl.simulation.episode import EpisodeRecord, EpisodeStart
from drctl.simulation.worker import Worker
from drctl.trainer.collection import Collector, Group
from drctl.trainer.rollout import Actions

CARS = 20


class FreeWorld:
    """An environment that computes nothing: an episode has so many steps, and each lasts as long as it is told.

    Args:
        spec: ``steps`` of an episode, and ``step_ms``, the wall time of one step of all cars, which is slept through.
        cars: Number of cars.
    """

    def __init__(self, spec: dict[str, Any], cars: int, _on_reward_call: object) -> None:
        self.frames = np.random.default_rng(0).integers(0, 255, (cars, *PLAIN_FRAME), dtype=np.uint8)
        self._length, self._step_s = spec["steps"], spec["step_ms"] / 1000
        self._steps = np.zeros(cars, np.int64)

    def begin(self, car: int, _start: EpisodeStart) -> None:
        """Start counting."""
        self._steps[car] = 0

    def step(self, cars: np.ndarray, _actions: np.ndarray) -> SimpleNamespace:
        """Count, and take the time."""
        if self._step_s:
            time.sleep(self._step_s)
        self._steps[cars] += 1
        return SimpleNamespace(
            rewards=np.ones(len(cars), np.float32),
            terminated=self._steps[cars] >= self._length,
            truncated=np.zeros(len(cars), np.bool_),
        )

    def record(self, car: int) -> EpisodeRecord:
        """Return a record of the usual size."""
        steps = int(self._steps[car])
        return EpisodeRecord(np.zeros(steps + 1, TRACE_DTYPE), EpisodeStatus.OFF_TRACK, 1.0, steps, 1.0, steps / 15)


class FreePolicy:
    """A policy that takes no time, whatever it is shown."""

    rows_at_once = sys.maxsize

    def act(self, frames: np.ndarray, *_: object) -> Actions:
        """Return the same action for every row."""
        count = len(frames)
        return Actions(np.zeros(count, np.int64), np.zeros(count, np.float32), np.zeros(count, np.float32))


class FreeRun:
    """A collector and its workers, each of them a process with `CARS` cars.

    Attributes:
        pids: Of the workers.
    """

    def __init__(self, collector: Collector, processes: list[BaseProcess], steps: int) -> None:
        self._collector = collector
        self._cars = CARS * len(processes)
        self._steps = steps
        self._iteration = 0
        self.pids = [process.pid for process in processes if process.pid is not None]

    def collect(self) -> float:
        """Play one episode with every car and return the seconds it took."""
        starts = [EpisodeStart("training", self._iteration, episode) for episode in range(self._cars)]
        self._iteration += 1
        started = time.perf_counter()
        (episodes,) = self._collector.collect(Group(starts, FreePolicy()))
        seconds = time.perf_counter() - started
        assert all(len(episode) == self._steps for episode in episodes)
        return seconds


@contextmanager
def free_run(folder: Path, *, workers: int = 1, steps: int, step_ms: float = 0.0) -> Iterator[FreeRun]:
    """Start workers, play one iteration in which all of them connect, and end them afterwards.

    Args:
        folder: For the socket and the ticket.
        workers: How many processes.
        steps: Of an episode.
        step_ms: Wall time that the simulator of a worker takes for one step of its cars.
    """
    link = TrainerLink([Binding(f"ipc://{folder}/link.sock", has_keys=False)])
    ticket = folder / "ticket.json"
    write_ticket(ticket, JoinTicket(0, link.endpoints[0]))
    processes: list[BaseProcess] = [
        multiprocessing.Process(target=_serve, args=(ticket, f"worker-{number}")) for number in range(workers)
    ]
    for process in processes:
        process.start()
    collector = Collector(link)
    try:
        collector.set_up(SimpleNamespace(to_json=lambda: {"steps": steps, "step_ms": step_ms}), CARS)
        while sum(view.state == "idle" for view in collector.workers()) < workers:
            if not all(process.is_alive() for process in processes):
                raise SystemExit("a worker ended before it was asked to")
            collector.poll()
            time.sleep(0.01)
        run = FreeRun(collector, processes, steps)
        run.collect()
        yield run
    finally:
        collector.close("")
        for process in processes:
            process.join()
        link.close()


def _serve(ticket: Path, name: str) -> None:
    Worker(ticket, name, FreeWorld, lambda _line: None).run()
