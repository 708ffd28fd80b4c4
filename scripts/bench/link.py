"""Measure the link: round trips of 20 frames per transport, and what a tick costs beside simulator and network.

Prints one JSON line with medians and the raw numbers of each repetition. Worker and trainer are processes of their
own, as in a run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.simtrace import TRACE_DTYPE
from drctl.link.keys import new_keys
from drctl.link.listening import Binding
from drctl.link.messages import Act, Ended, Hello, Tick
from drctl.link.ticket import JoinTicket, write_ticket
from drctl.link.transport import TrainerLink, WorkerLink, make_ticket
from drctl.simulation.episode import EpisodeRecord, EpisodeStart
from drctl.simulation.worker import Worker
from drctl.trainer.collection import Collector, Group
from drctl.trainer.rollout import Actions

CARS = 20
SESSION = b"bench"
ALL_CARS = np.arange(CARS, dtype=np.int32)
NOTHING = np.empty((0, 120, 160), np.uint8)


def echo(ticket: JoinTicket) -> None:
    """Answer every `Act` with a tick of 20 frames."""
    link = WorkerLink(ticket, SESSION)
    frames = np.random.default_rng(0).integers(0, 255, (CARS, 120, 160), dtype=np.uint8)
    rewards, outcomes, rows = np.zeros(CARS, np.float32), np.zeros(CARS, np.uint8), np.empty(0, TRACE_DTYPE)
    while not link.take_new_connection():
        link.receive(1.0)
    while not link.send(Hello("bench", "", 0, "")):
        time.sleep(0.01)
    while not isinstance(message := link.receive(1.0), Ended):
        if isinstance(message, Act):
            tick = Tick("", message.number, [], ALL_CARS, rewards, outcomes, ALL_CARS, frames, NOTHING, rows)
            link.send(tick)
    link.close()


def round_trips_per_s(binding: Binding, count: int) -> float:
    """Return round trips of (actions out, 20 frames back) per second."""
    keys = new_keys()
    link = TrainerLink([binding], keys)
    endpoint = link.endpoints[0]
    ticket = make_ticket(0, endpoint, keys) if binding.has_keys else JoinTicket(0, endpoint)
    process = multiprocessing.Process(target=echo, args=(ticket,))
    process.start()
    while link.receive(1.0) is None:
        pass
    actions = np.zeros(CARS, np.int64)
    started = 0.0
    for number in range(-count // 10, count):
        if number == 0:
            started = time.perf_counter()
        link.send(SESSION, Act("", number, [], ALL_CARS, actions))
        while link.receive(1.0) is None:
            pass
    seconds = time.perf_counter() - started
    link.send(SESSION, Ended(""))
    process.join()
    link.close()
    return count / seconds


class FreeWorld:
    """An environment that takes no time: episodes end after a number of steps."""

    def __init__(self, spec: dict[str, Any], cars: int, _on_reward_call: object) -> None:
        self.frames = np.random.default_rng(0).integers(0, 255, (cars, 120, 160), dtype=np.uint8)
        self._length = spec["steps"]
        self._steps = np.zeros(cars, np.int64)

    def begin(self, car: int, _start: EpisodeStart) -> None:
        """Start counting."""
        self._steps[car] = 0

    def step(self, cars: np.ndarray, _actions: np.ndarray) -> SimpleNamespace:
        """Count."""
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
    """A policy that takes no time."""

    _answer = Actions(np.zeros(CARS, np.int64), np.zeros(CARS, np.float32), np.zeros(CARS, np.float32))

    def act(self, *_: object) -> Actions:
        """Return the same actions for ever."""
        return self._answer


def serve(ticket_file: Path) -> None:
    """Be a worker."""
    Worker(ticket_file, "bench", FreeWorld, lambda _line: None).run()


def tick_ms(folder: Path, steps: int) -> float:
    """Return milliseconds per tick of one worker with 20 cars, simulator and network free of cost."""
    link = TrainerLink([Binding(f"ipc://{folder}/tick.sock", has_keys=False)])
    ticket_file = folder / "ticket.json"
    write_ticket(ticket_file, JoinTicket(0, link.endpoints[0]))
    process = multiprocessing.Process(target=serve, args=(ticket_file,))
    process.start()
    collector = Collector(link)
    collector.set_up(SimpleNamespace(to_json=lambda: {"steps": steps}), CARS)
    seconds = 0.0
    for iteration in range(3):  # the first connects and warms up
        starts = [EpisodeStart("training", iteration, episode) for episode in range(CARS)]
        started = time.perf_counter()
        (episodes,) = collector.collect(Group(starts, FreePolicy()))
        seconds += time.perf_counter() - started if iteration else 0.0
        assert all(len(episode) == steps for episode in episodes)
    collector.close("")
    process.join()
    link.close()
    return seconds / (2 * steps) * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="round trips, and steps per episode / 4")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    raw: dict[str, list[float]] = {"ipc": [], "tcp": [], "tcp_curve": [], "tick_ms": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(options.repeat):
            bindings = {
                "ipc": Binding(f"ipc://{folder}/bench.sock", has_keys=False),
                "tcp": Binding("tcp://127.0.0.1:*", has_keys=False),
                "tcp_curve": Binding("tcp://127.0.0.1:*", has_keys=True),
            }
            for kind, binding in bindings.items():
                raw[kind].append(round(round_trips_per_s(binding, options.count), 1))
            raw["tick_ms"].append(round(tick_ms(folder, options.count // 4), 4))
    medians = {name: statistics.median(values) for name, values in raw.items()}
    result = {
        "benchmark": "link",
        "frames_per_round_trip": CARS,
        "round_trips_per_s": {kind: medians[kind] for kind in ("ipc", "tcp", "tcp_curve")},
        "tick_ms": medians["tick_ms"],
        "raw": raw,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
