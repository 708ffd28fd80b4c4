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

import numpy as np
from free_worker import CARS, free_run

from drctl.formats.simtrace import TRACE_DTYPE
from drctl.link.keys import new_keys
from drctl.link.listening import Binding
from drctl.link.messages import PLAIN_FRAME, Act, Ended, Hello, Tick
from drctl.link.ticket import JoinTicket
from drctl.link.transport import TrainerLink, WorkerLink, make_ticket

SESSION = b"bench"
ALL_CARS = np.arange(CARS, dtype=np.int32)
NOTHING = np.empty((0, *PLAIN_FRAME), np.uint8)


def echo(ticket: JoinTicket) -> None:
    """Answer every `Act` with a tick of 20 frames."""
    link = WorkerLink(ticket, SESSION)
    frames = np.random.default_rng(0).integers(0, 255, (CARS, *PLAIN_FRAME), dtype=np.uint8)
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


def tick_ms(folder: Path, steps: int) -> float:
    """Return milliseconds per tick of one worker with 20 cars, simulator and network free of cost."""
    with free_run(folder, steps=steps) as run:
        return (run.collect() + run.collect()) / (2 * steps) * 1000


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
