#!/usr/bin/env python3
"""Seconds from Enter to the first collected step, and the memory of all processes of a default training.

usage: start_and_memory.py [--starts 5] [--watch 60]   (DESIGN 8: floor 8 s and 2 GB)
"""

from __future__ import annotations

import argparse
import time

from measure import emit, median, note
from training_run import TrainingRun


def measure_start() -> float:
    """Start a training and return the seconds until its first step was collected."""
    with TrainingRun({}) as run:
        run.start()
        run.wait(lambda: bool(run.status().get("first_step_at")), 120.0)
        return float(run.status()["first_step_at"]) - run.entered


def measure_memory(seconds: float) -> dict[str, float]:
    """Return the largest sums of resident and of proportional memory of a run's processes, in MB (1e6 bytes)."""
    peak = {"resident_mb": 0.0, "proportional_mb": 0.0}
    with TrainingRun({}) as run:
        run.start()
        while time.time() - run.entered < seconds and not run.status().get("outcome"):
            resident, proportional = run.memory_mb()
            peak["resident_mb"] = max(peak["resident_mb"], resident)
            peak["proportional_mb"] = max(peak["proportional_mb"], proportional)
            time.sleep(0.5)
    return peak


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--watch", type=float, default=60.0, help="seconds of training to watch the memory of")
    options = parser.parse_args()
    starts = []
    for _ in range(options.starts):
        starts.append(measure_start())
        note(f"first step after {starts[-1]:.2f} s")
    memory = measure_memory(options.watch)
    emit(
        "start_and_memory",
        first_step_s={"runs": starts, "median": median(starts), "floor": 8.0},
        memory={**memory, "floor_mb": 2000.0},
    )


if __name__ == "__main__":
    main()
