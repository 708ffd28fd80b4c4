#!/usr/bin/env python3
"""What a night of training leaves on disk, and whether its memory stays what it is: measured on a short training.

usage: space.py [--minutes 8] [--keep-gb 1] [--night 8] [--episodes N] [--epochs N]

What the history of checkpoints may take is a setting (DR_KEEP_GB); everything else grows with what is driven. Its bytes
per environment step, between the ends of the first and the last iteration, hold on any machine; times the steps of an
hour they are what an hour adds on this one. Few episodes and epochs make many iterations in a short time, which is what
a leak would show in: memory is the most of each iteration, in the first and in the last third of them. An iteration
with more steps takes more memory, so the steps stand beside it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from measure import emit, median, note
from training_run import PREFIX, TrainingRun

SAMPLE_S = 1.0
START_LIMIT_S = 180.0
MODEL = f"data/bucket/{PREFIX}"
# By the first words of a path under the project.
KINDS = {
    "checkpoints": (f"{MODEL}/model/model_", f"{MODEL}/.drctl/weights"),
    "optimisers": (f"{MODEL}/.drctl/optimizer",),
    "traces": (f"{MODEL}/training-simtrace",),
    "metrics": (f"{MODEL}/metrics",),
    "manifests and summaries": (f"{MODEL}/.drctl/manifests", f"{MODEL}/.drctl/iterations"),
    "tensorboard": (f"{MODEL}/.drctl/tensorboard",),
    "logs and run state": ("tmp/",),
}
BOUNDED = ("checkpoints", "optimisers")


@dataclass(frozen=True)
class IterationEnd:
    """What was there when an iteration had ended.

    Attributes:
        at: Epoch seconds.
        steps: Training steps so far.
        sizes: Bytes by kind.
        memory_mb: Most proportional memory since the iteration before.
    """

    at: float
    steps: int
    sizes: Counter[str]
    memory_mb: float


def sizes_of(folder: Path) -> Counter[str]:
    """Return the bytes below a folder by kind."""
    found: Counter[str] = Counter(dict.fromkeys([*KINDS, "other"], 0))
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        kind = next((kind for kind, starts in KINDS.items() if name.startswith(starts)), "other")
        try:
            found[kind] += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # replaced or thinned out meanwhile
            continue
    return found


def watch(run: TrainingRun, seconds: float) -> list[IterationEnd]:
    """Follow a training and return the ends of its iterations."""
    ends: list[IterationEnd] = []
    peak, begun = 0.0, time.time()
    while time.time() - begun < seconds:
        peak = max(peak, run.memory_mb()[1])
        summaries = run.iterations()
        if len(summaries) > len(ends):
            steps = sum(one["steps"] for one in summaries)
            ends.append(IterationEnd(time.time(), steps, sizes_of(run.folder), peak))
            note(f"{len(summaries)} iterations, {ends[-1].sizes.total() / 1e6:.0f} MB on disk, {peak:.0f} MB memory")
            peak = 0.0
        time.sleep(SAMPLE_S)
    return ends


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--keep-gb", type=float, default=1.0, help="DR_KEEP_GB; small, so that thinning is seen")
    parser.add_argument("--night", type=float, default=8.0, help="hours")
    parser.add_argument("--episodes", type=int, help="num_episodes_between_training; default: as shipped")
    parser.add_argument("--epochs", type=int, help="num_epochs; default: as shipped")
    options = parser.parse_args()
    settings = {"DR_TRAIN_STOP_WHEN": "max_episodes", "DR_KEEP_GB": str(options.keep_gb)}
    given = {"num_episodes_between_training": options.episodes, "num_epochs": options.epochs}
    changes = {"term_cond_max_episodes": 1_000_000, **{name: value for name, value in given.items() if value}}
    with TrainingRun(settings, changes) as run:
        run.start()
        if run.wait(lambda: bool(run.iterations()), START_LIMIT_S) is None:
            raise SystemExit("there was no first iteration in time")
        ends = watch(run, 60.0 * options.minutes)
        kept = len(list((run.folder / MODEL / "model").glob("model_*.pb")))
    first, last = ends[0], ends[-1]
    steps = last.steps - first.steps
    per_step = {kind: (size - first.sizes[kind]) / steps for kind, size in last.sizes.items() if kind not in BOUNDED}
    steps_per_hour = 3600.0 * steps / (last.at - first.at)
    peaks = [end.memory_mb for end in ends]
    third = max(1, len(peaks) // 3)
    emit(
        "space",
        minutes=options.minutes,
        iterations=len(ends) - 1,
        steps=steps,
        keep_gb=options.keep_gb,
        bytes_at_the_end=dict(last.sizes),
        checkpoints_kept=kept,
        bytes_per_step={kind: round(value, 2) for kind, value in per_step.items()},
        bytes_per_hour=round(steps_per_hour * sum(per_step.values())),
        night_mb=round(options.night * steps_per_hour * sum(per_step.values()) / 1e6, 1),
        memory_mb={
            "first_third": round(median(peaks[:third]), 1),
            "last_third": round(median(peaks[-third:]), 1),
            "runs": [round(peak, 1) for peak in peaks],
            "steps": [end.steps - (ends[place - 1].steps if place else 0) for place, end in enumerate(ends)],
        },
    )


if __name__ == "__main__":
    main()
