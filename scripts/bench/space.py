#!/usr/bin/env python3
"""What a night of training leaves on disk, and whether its memory stays what it is: measured on a short training.

usage: space.py [--minutes 8] [--keep-gb 1] [--night 8]

What the history of checkpoints may take is a setting (DR_KEEP_GB); everything else grows with what is driven, and its
growth per hour, between the first iteration and the last, times the hours of a night is what the night adds.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

from measure import emit, median, note
from training_run import PREFIX, TrainingRun

SAMPLE_S = 5.0
START_LIMIT_S = 180.0
# By the first words of a path under the project that fit.
KINDS = (
    ("checkpoints", (f"data/bucket/{PREFIX}/model/model_", f"data/bucket/{PREFIX}/.drctl/weights")),
    ("optimisers", (f"data/bucket/{PREFIX}/.drctl/optimizer",)),
    ("traces", (f"data/bucket/{PREFIX}/training-simtrace",)),
    ("metrics", (f"data/bucket/{PREFIX}/metrics",)),
    ("manifests and summaries", (f"data/bucket/{PREFIX}/.drctl/manifests", f"data/bucket/{PREFIX}/.drctl/iterations")),
    ("tensorboard", (f"data/bucket/{PREFIX}/.drctl/tensorboard",)),
    ("logs and run state", ("tmp/",)),
)
BOUNDED = ("checkpoints", "optimisers")


def sizes(folder: Path) -> Counter[str]:
    """Return the bytes below a folder by kind."""
    found: Counter[str] = Counter({kind: 0 for kind, _ in KINDS})
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        kind = next((kind for kind, starts in KINDS if name.startswith(starts)), "other")
        try:
            found[kind] += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # replaced or thinned out meanwhile
            continue
    return found


def growth_per_hour(samples: list[tuple[float, float]]) -> float:
    """Return the least-squares slope of (seconds, value), per hour."""
    count = len(samples)
    time_mean = sum(seconds for seconds, _ in samples) / count
    value_mean = sum(value for _, value in samples) / count
    spread = sum((seconds - time_mean) ** 2 for seconds, _ in samples)
    return 3600.0 * sum((seconds - time_mean) * (value - value_mean) for seconds, value in samples) / spread


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--keep-gb", type=float, default=1.0, help="DR_KEEP_GB; small, so that thinning is seen")
    parser.add_argument("--night", type=float, default=8.0, help="hours")
    options = parser.parse_args()
    settings = {"DR_TRAIN_STOP_WHEN": "max_episodes", "DR_KEEP_GB": str(options.keep_gb)}
    disk: list[tuple[float, Counter[str]]] = []
    memory: list[tuple[float, float]] = []
    with TrainingRun(settings, {"term_cond_max_episodes": 1_000_000}) as run:
        run.start()
        if run.wait(lambda: bool(run.iterations()), START_LIMIT_S) is None:
            raise SystemExit("there was no first iteration in time")
        begun, begun_with = time.time(), len(run.iterations())
        while (passed := time.time() - begun) < 60.0 * options.minutes:
            disk.append((passed, sizes(run.folder)))
            memory.append((passed, run.memory_mb()[1]))
            if len(memory) % 12 == 0:
                note(
                    f"{passed / 60:.1f} min: {disk[-1][1].total() / 1e6:.0f} MB on disk, {memory[-1][1]:.0f} MB memory"
                )
            time.sleep(SAMPLE_S)
        iterations = len(run.iterations()) - begun_with
        episodes = sum(one["episodes"] for one in run.iterations()[begun_with:])
        kept = len(list((run.folder / "data/bucket" / PREFIX / "model").glob("model_*.pb")))
    last = disk[-1][1]
    per_hour = {
        kind: growth_per_hour([(seconds, found[kind]) for seconds, found in disk])
        for kind in last
        if kind not in BOUNDED
    }
    late = memory[len(memory) // 2 :]
    emit(
        "space",
        minutes=options.minutes,
        iterations=iterations,
        episodes=episodes,
        keep_gb=options.keep_gb,
        bytes_at_the_end=dict(last),
        checkpoints_kept=kept,
        unbounded_bytes_per_hour={kind: round(value) for kind, value in per_hour.items()},
        unbounded_bytes_per_episode=round(sum(per_hour.values()) / 3600.0 * 60.0 * options.minutes / max(1, episodes)),
        night_mb=round(options.night * sum(per_hour.values()) / 1e6, 1),
        memory_mb={
            "first_minute": round(median([value for seconds, value in memory if seconds < 60.0]), 1),
            "last_minute": round(median([value for seconds, value in memory if seconds > memory[-1][0] - 60.0]), 1),
            "growth_per_hour_in_the_second_half": round(growth_per_hour(late), 1),
            "runs": [round(value, 1) for _, value in memory[::12]],
        },
    )


if __name__ == "__main__":
    main()
