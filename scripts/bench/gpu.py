#!/usr/bin/env python3
"""A training on an NVIDIA GPU: environment steps per second, time to three clean evaluations, how busy the GPU is.

Where there is no GPU it says so and measures nothing.

usage: gpu.py [--workers 1 4 8] [--limit 180]
"""

from __future__ import annotations

import argparse
import subprocess
import threading
from typing import Any, Self

from measure import emit, median, note
from training_run import TrainingRun

TRIALS = 5
_QUERY = ("nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-lms", "200")


class GpuWatch:
    """Asks the driver five times a second how busy the GPU is."""

    def __enter__(self) -> Self:
        self.utilisation: list[float] = []
        self.memory_mib = 0.0
        self._program = subprocess.Popen(_QUERY, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._program.terminate()
        self._thread.join()

    def _read(self) -> None:
        assert self._program.stdout is not None
        for line in self._program.stdout:
            utilisation, memory = line.split(",")
            self.utilisation.append(float(utilisation))
            self.memory_mib = max(self.memory_mib, float(memory))


def name_gpu() -> str | None:
    """Return the name of the GPU that PyTorch sees, None where it sees none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def measure(workers: int, limit_s: float) -> dict[str, Any]:
    """Train until three evaluations in a row are clean."""
    settings = {
        "DR_WORKERS": str(workers),
        "DR_TRAIN_MIN_EVAL_TRIALS": str(TRIALS),
        "DR_TRAIN_STOP_WHEN": "laps",
        "DR_SEED": "0",
    }
    with TrainingRun(settings) as run, GpuWatch() as gpu:
        run.start()
        clean = run.wait(lambda: bool(run.status().get("outcome")), limit_s)
        summaries = run.iterations()
    seconds = {
        phase: round(sum(summary["seconds"].get(phase, 0.0) for summary in summaries), 2)
        for phase in ("collect", "update", "publish", "evaluate")
    }
    figures = {
        "workers": workers,
        "three_clean_evaluations_s": clean,
        "steps": sum(summary["steps"] for summary in summaries),
        "steps_per_s": round(sum(summary["steps"] for summary in summaries) / sum(seconds.values()), 1),
        "seconds": seconds,
        "gpu_utilisation_percent": median(gpu.utilisation) if gpu.utilisation else None,
        "gpu_memory_mib": gpu.memory_mib,
    }
    note(str(figures))
    return figures


def main() -> None:
    """Measure with each number of workers and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--limit", type=float, default=180.0)
    options = parser.parse_args()
    gpu = name_gpu()
    if gpu is None:
        emit("gpu", gpu=None, note="PyTorch sees no NVIDIA GPU here; nothing was measured")
        return
    emit("gpu", gpu=gpu, trials=TRIALS, runs=[measure(workers, options.limit) for workers in options.workers])


if __name__ == "__main__":
    main()
