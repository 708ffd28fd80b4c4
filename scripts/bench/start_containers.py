#!/usr/bin/env python3
"""Seconds from Enter to the first collected step of a training in containers, with images present and no store running.

usage: start_containers.py [--engine compose] [--workers 2] [--starts 3]   (floor: 15 s with Compose, 40 s with Swarm)

Its models go into the bucket drctl-bench of this machine's store volume.
"""

from __future__ import annotations

import argparse
import json
import time

from measure import emit, median, note
from training_run import TrainingRun

LIMIT_S = 180.0
FLOORS_S = {"compose": 15.0, "swarm": 40.0}


def measure_start(engine: str, workers: int) -> float:
    """Start a training and its store and return the seconds until its first step was collected."""
    settings = {
        "DR_DOCKER_STYLE": engine,
        "DR_WORKERS": str(workers),
        "DR_LOCAL_S3_BUCKET": "drctl-bench",
        "DR_LOCAL_S3_MODEL_PREFIX": f"start-{time.time_ns()}",
        "DR_MINIO_IMAGE": "",
    }
    with TrainingRun(settings) as run:
        try:
            run.start()
            while time.time() - run.entered < LIMIT_S:
                (status,) = json.loads(run.command("status", "--output", "json"))["data"]["runs"]
                first_step = status["trainer"].get("first_step_at")
                if first_step:
                    return float(first_step) - run.entered
                time.sleep(1.0)  # the trainer notes the moment; asking costs the cores that it needs
            raise SystemExit(f"no step was collected within {LIMIT_S:.0f} s")
        finally:
            run.command("stop-all", "-f")


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=FLOORS_S, default="compose")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--starts", type=int, default=3)
    options = parser.parse_args()
    starts = []
    for _ in range(options.starts):
        starts.append(measure_start(options.engine, options.workers))
        note(f"first step after {starts[-1]:.2f} s")
    figures = {"runs": starts, "median": median(starts), "floor": FLOORS_S[options.engine]}
    emit("start_containers", engine=options.engine, workers=options.workers, first_step_s=figures)


if __name__ == "__main__":
    main()
