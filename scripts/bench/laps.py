#!/usr/bin/env python3
"""Wall time from pressing Enter to the first full evaluation lap, and to 20 of 20 laps in three evaluations in a row.

usage: laps.py [--seeds 0 1 2] [--batch-size 64] [--limit 600]   (DESIGN 8: floor 60 s and 600 s)
"""

from __future__ import annotations

import argparse
from typing import Any

from measure import emit, note
from training_run import TrainingRun, add_hyperparameters, changed_hyperparameters

TRIALS = 20
STREAK = 3


def measure(seed: int, limit_s: float, hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Train once from nothing and time the two events."""
    settings = {"DR_SEED": str(seed), "DR_TRAIN_MIN_EVAL_TRIALS": str(TRIALS), "DR_TRAIN_STOP_WHEN": "laps"}
    with TrainingRun(settings, hyperparameters) as run:
        run.start()

        def evaluations() -> list[dict[str, Any]]:
            return [summary["evaluation"] for summary in run.iterations() if summary["evaluation"]]

        first = run.wait(lambda: any(evaluation["laps"] for evaluation in evaluations()), limit_s)
        clean = run.wait(
            lambda: [e["laps"] == e["trials"] for e in evaluations()[-STREAK:]] == [True] * STREAK, limit_s
        )
        summaries = run.iterations()
        laps = [summary["evaluation"]["laps"] for summary in summaries if summary["evaluation"]]
        reached = next((i for i, count in enumerate(laps) if count), None)
        figures = {
            "seed": seed,
            "first_lap_s": first,
            "three_clean_evaluations_s": clean,
            "first_lap_steps": None if reached is None else sum(s["steps"] for s in summaries[: reached + 1]),
            "steps": sum(summary["steps"] for summary in summaries),
            "laps_of_20_per_evaluation": laps,
        }
        note(str(figures))
        return figures


def main() -> None:
    """Measure each seed and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a training counts as failed")
    add_hyperparameters(parser)
    options = parser.parse_args()
    changed = changed_hyperparameters(options)
    runs = [measure(seed, options.limit, changed) for seed in options.seeds]
    emit("laps", hyperparameters=changed or "as shipped", runs=runs, floors_s={"first_lap": 60, "three_clean": 600})


if __name__ == "__main__":
    main()
