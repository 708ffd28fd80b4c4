#!/usr/bin/env python3
"""Complete environment steps per second of one core: rules, params, the shipped Python reward, dynamics and camera.

usage: environment.py [--repetitions 5] [--seconds 4]   (DESIGN 8: floor 10,000; camera.py gives the grey difference)

Also how much of that is left per core when every core simulates, as with one worker per core.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

import numpy as np
from measure import ROOT, emit, median, note

from drctl.simulation.environment import BatchEnvironment, EnvironmentSpec, WorldSpec
from drctl.simulation.episode import EpisodeStart

CARS = 20


def measure(track: str, seconds: float) -> float:
    """Drive random actions from starts around the track and return steps per second, resets included."""
    spec = EnvironmentSpec(
        worlds=(WorldSpec(track),),
        metadata=(ROOT / "custom_files" / "model_metadata.json").read_text(),
        physics="ros2",
        reward_source=(ROOT / "custom_files" / "reward_function.py").read_text(),
        reward_file="reward_function.py",
        seed=0,
    )
    environment = BatchEnvironment(spec, CARS)
    cars, random = np.arange(CARS), np.random.default_rng(0)
    for car in cars:
        environment.begin(int(car), EpisodeStart("training", 0, int(car), start_fraction=car / CARS))
    steps, episodes, started = 0, CARS, time.perf_counter()
    while time.perf_counter() - started < seconds:
        result = environment.step(cars, random.integers(0, 5, CARS))
        steps += CARS
        for car in np.flatnonzero(result.terminated | result.truncated):
            start = EpisodeStart("training", 1, episodes, start_fraction=(episodes % CARS) / CARS)
            environment.begin(int(car), start)
            episodes += 1
    return steps / (time.perf_counter() - started)


def measure_on(cores: Sequence[int], track: str, seconds: float) -> float:
    """Drive on some cores at the same time, a process on each, and return the sum of their steps per second."""
    barrier = multiprocessing.Barrier(len(cores))
    results: multiprocessing.SimpleQueue[float] = multiprocessing.SimpleQueue()
    processes = [
        multiprocessing.Process(target=_drive, args=(core, track, seconds, barrier, results)) for core in cores
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)
    return sum(results.get() for _ in processes)


def _drive(core: int, track: str, seconds: float, barrier: Barrier, results: SimpleQueue[float]) -> None:
    os.sched_setaffinity(0, {core})
    measure(track, 1.0)
    barrier.wait(timeout=60)
    results.put(measure(track, seconds))


def main() -> None:
    """Measure on one core and on all in turn, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--track", default="reinvent_base")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    runs: dict[str, list[float]] = {"one core": [], "all cores": []}
    for _ in range(options.repetitions):
        for name, some in (("one core", cores[:1]), ("all cores", cores)):
            runs[name].append(measure_on(some, options.track, options.seconds))
            note(f"{name}: {runs[name][-1]:.0f} steps/s")
    alone, together = (median(runs[name]) for name in ("one core", "all cores"))
    emit(
        "environment",
        unit="steps/s",
        track=options.track,
        runs=runs,
        median=alone,
        scaling=together / alone / len(cores),
        floor=10000,
    )


if __name__ == "__main__":
    main()
