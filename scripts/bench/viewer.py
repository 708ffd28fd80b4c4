#!/usr/bin/env python3
"""What watching costs: steps per second of the same training while a worker's stream is read, and while nobody looks.

usage: viewer.py [--pairs 5] [--iterations 6] [--topic NAME]   (the ratio watched / unwatched is to be 0.95 or more)
"""

from __future__ import annotations

import argparse
import threading
import urllib.error
import urllib.request

from measure import alternate, emit
from training_run import TrainingRun, learning_speed

from drctl.formats.stream_topics import TOPICS

LIMIT_S = 900.0
_READ_BYTES = 1 << 16


class Watcher:
    """Reads the picture stream of a run's first worker for as long as it lasts."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._has_ended = threading.Event()
        self.bytes_seen = 0

    def watch(self, run: TrainingRun) -> threading.Thread:
        """Start watching as soon as the worker tells its address."""
        thread = threading.Thread(target=self._follow, args=(run,), daemon=True)
        thread.start()
        return thread

    def leave(self) -> None:
        """Stop watching."""
        self._has_ended.set()

    def _follow(self, run: TrainingRun) -> None:
        while not self._has_ended.wait(0.2):
            address = next((worker.get("address") for worker in run.status().get("workers", [])), None)
            if not address:
                continue
            try:
                with urllib.request.urlopen(f"http://{address}/stream?topic={self._topic}", timeout=30) as stream:
                    while not self._has_ended.is_set() and (chunk := stream.read(_READ_BYTES)):
                        self.bytes_seen += len(chunk)
            except (urllib.error.URLError, OSError):
                continue  # the worker or its stream's process is just starting or leaving


def measure(iterations: int, topic: str | None) -> float:
    """Train and return steps per second, the first iteration left out.

    Args:
        iterations: How many; equal seeds make both sides drive the same steps.
        topic: What is watched; None when nobody looks.
    """
    settings = {"DR_TRAIN_STOP_WHEN": "max_episodes", "DR_TRAIN_MIN_EVAL_TRIALS": "1", "DR_SEED": "0"}
    watcher = Watcher(topic) if topic else None
    with TrainingRun(settings, {"term_cond_max_episodes": 20 * iterations}) as run:
        run.start()
        thread = watcher.watch(run) if watcher else None
        run.wait(lambda: bool(run.status().get("outcome")), LIMIT_S)
        summaries = run.iterations()[1:]
    if watcher and thread:
        watcher.leave()
        thread.join(60)
        if not watcher.bytes_seen:
            raise SystemExit("no picture arrived: nothing was measured")
    return learning_speed(summaries)


def main() -> None:
    """Measure alternating pairs and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--topic", default=TOPICS["overlay"])
    options = parser.parse_args()
    figures = alternate(
        lambda: measure(options.iterations, options.topic), lambda: measure(options.iterations, None), options.pairs
    )
    emit("viewer", unit="env steps/s", watched=options.topic, floor=0.95, **figures)


if __name__ == "__main__":
    main()
