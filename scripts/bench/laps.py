#!/usr/bin/env python3
"""Wall time from pressing Enter to the first full evaluation lap, and to 20 of 20 laps in three evaluations in a row.

usage: laps.py [--seeds 0 1 2] [--batch-size 64] [--limit 600]   (DESIGN 8: floor 60 s and 600 s)

Each seed is trained twice: as shipped until a lap is driven, and with 20 trials per evaluation until three are clean.
"""

from __future__ import annotations

import argparse
from typing import Any

from measure import emit, note
from training_run import TrainingRun, add_hyperparameters, changed_hyperparameters

TRIALS = 20
STREAK = 3


def measure(seed: int, trials: int | None, limit_s: float, hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Train once from nothing; time the first lap and, with a number of trials, three clean evaluations in a row."""
    settings = {"DR_SEED": str(seed), "DR_TRAIN_STOP_WHEN": "laps"}
    if trials is not None:
        settings["DR_TRAIN_MIN_EVAL_TRIALS"] = str(trials)
    with TrainingRun(settings, hyperparameters) as run:
        run.start()

        def evaluations() -> list[dict[str, Any]]:
            return [summary["evaluation"] for summary in run.iterations() if summary["evaluation"]]

        def is_clean() -> bool:
            return [e["laps"] == e["trials"] for e in evaluations()[-STREAK:]] == [True] * STREAK

        first = run.wait(lambda: any(evaluation["laps"] for evaluation in evaluations()), limit_s)
        clean = {} if trials is None else {"three_clean_evaluations_s": run.wait(is_clean, limit_s)}
        summaries = [summary for summary in run.iterations() if summary["evaluation"]]
    laps = [summary["evaluation"]["laps"] for summary in summaries]
    reached = next((number for number, count in enumerate(laps) if count), None)
    figures = {
        "seed": seed,
        "trials": trials or "as shipped",
        "first_lap_s": first,
        "first_lap_steps": None if reached is None else sum(s["steps"] for s in summaries[: reached + 1]),
        **clean,
        "steps": sum(summary["steps"] for summary in summaries),
        "laps_per_evaluation": laps,
    }
    note(str(figures))
    return figures


def main() -> None:
    """Measure each seed and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a training counts as failed")
    add_hyperparameters(parser)
    options = parser.parse_args()
    changed = changed_hyperparameters(options)
    runs = [measure(seed, trials, options.limit, changed) for trials in (None, TRIALS) for seed in options.seeds]
    emit("laps", hyperparameters=changed or "as shipped", runs=runs, floors_s={"first_lap": 60, "three_clean": 600})


if __name__ == "__main__":
    main()
