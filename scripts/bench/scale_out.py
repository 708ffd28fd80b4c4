#!/usr/bin/env python3
"""How collecting scales with worker processes, apart from how many cores this machine has.

usage: scale_out.py [--workers 1 2 4 8 16] [--step-ms 10] [--steps 200] [--repetitions 3]

Real workers, collector, link and messages with frames; a step of a worker's 20 cars lasts --step-ms without computing,
as if each worker had a core of its own, and the policy takes no time. What is left is what a tick costs beside
simulator and network. Workers that share fewer cores than there are of them compute that on these cores too, so three
figures are given: the steps per second that were seen; the processor time of trainer and workers per tick; and the
steps per second that follow when each worker computes its part on a core of its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
from pathlib import Path
from typing import Any

from free_worker import CARS, FreeRun, free_run
from measure import emit, median, note

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def measure(workers: int, steps: int, step_ms: float, repetitions: int) -> dict[str, Any]:
    """Return what ticks of some workers cost, in milliseconds, and steps per second; medians."""
    with (
        tempfile.TemporaryDirectory() as folder,
        free_run(Path(folder), workers=workers, steps=steps, step_ms=step_ms) as run,
    ):
        runs = [_one(run, steps) for _ in range(repetitions)]
    tick_ms, trainer_ms, worker_ms = (median([one[part] for one in runs]) for part in range(3))
    cars = CARS * workers
    return {
        "workers": workers,
        "steps_per_s": cars / tick_ms * 1000,
        "tick_ms": tick_ms,
        "trainer_cpu_ms": trainer_ms,
        "cpu_ms_of_each_worker": worker_ms,
        "steps_per_s_with_a_core_each": cars / (step_ms + worker_ms + trainer_ms) * 1000,
        "raw": runs,
    }


def _one(run: FreeRun, steps: int) -> tuple[float, float, float]:
    """Return milliseconds per tick: wall time, processor time of the trainer, and of each worker."""
    before, workers_before = _own_cpu_s(), _cpu_s(run.pids)
    seconds = run.collect()
    trainer_s, workers_s = _own_cpu_s() - before, _cpu_s(run.pids) - workers_before
    return seconds / steps * 1000, trainer_s / steps * 1000, workers_s / len(run.pids) / steps * 1000


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _cpu_s(pids: list[int]) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / _TICKS_PER_S


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--step-ms", type=float, default=10.0, help="wall time of one step of a worker's 20 cars")
    parser.add_argument("--steps", type=int, default=200, help="steps of an episode")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for workers in options.workers:
        rows.append(measure(workers, options.steps, options.step_ms, options.repetitions))
        for figure in ("steps_per_s", "steps_per_s_with_a_core_each"):
            rows[-1][figure.replace("steps_per_s", "speedup")] = rows[-1][figure] / rows[0][figure] * rows[0]["workers"]
        note("  ".join(f"{name} {value:.4g}" for name, value in rows[-1].items() if name != "raw"))
    emit("scale_out", cars_per_worker=CARS, step_ms=options.step_ms, steps=options.steps, rows=rows)


if __name__ == "__main__":
    main()
