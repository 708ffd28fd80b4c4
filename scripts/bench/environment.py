#!/usr/bin/env python3
"""Complete environment steps per second of one core: rules, params, the shipped Python reward, dynamics and camera.

usage: environment.py [--repetitions 5] [--seconds 4]   (DESIGN 8: floor 10,000; camera.py gives the grey difference)
"""

from __future__ import annotations

import argparse
import os
import time

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


def main() -> None:
    """Measure on one core and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--track", default="reinvent_base")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    measure(options.track, 1.0)
    runs = []
    for _ in range(options.repetitions):
        runs.append(measure(options.track, options.seconds))
        note(f"{runs[-1]:.0f} steps/s")
    emit("environment", unit="steps/s on one core", track=options.track, runs=runs, median=median(runs), floor=10000)


if __name__ == "__main__":
    main()
