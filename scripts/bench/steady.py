#!/usr/bin/env python3
"""Whether a trained car stays trained: how complete evaluations are after the first clean one, while training goes on.

usage: steady.py [--seeds 0 1 2] [--minutes 10] [--trials 10] [--track reinvent_base] [--batch-size 256] [--lr 0.0006]
       steady.py --iterations 40 ...     as many iterations instead of minutes, where other work slows the machine down

Steps do not depend on what else the machine does; minutes do. (Wanted: never below 90 percent.)
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

from measure import emit, note
from training_run import TrainingRun, add_hyperparameters, changed_hyperparameters


def measure(
    seed: int, settings: dict[str, str], hyperparameters: dict[str, Any], seconds: float, iterations: float
) -> dict[str, Any]:
    """Train from nothing and go on after the first clean evaluation, for so many seconds or iterations."""
    with TrainingRun(
        {"DR_SEED": str(seed), **settings}, {"term_cond_max_episodes": 1_000_000, **hyperparameters}
    ) as run:
        run.start()
        clean_at: float | None = None
        told = 0

        def is_over() -> bool:
            nonlocal clean_at, told
            judged = [summary for summary in run.iterations() if summary["evaluation"]]
            for summary in judged[told:]:
                evaluation = summary["evaluation"]
                if clean_at is None and evaluation["laps"] == evaluation["trials"]:
                    clean_at = time.time()
                note(f"seed {seed}, iteration {summary['iteration']}: {evaluation['progress_mean']:.1f} %")
            told = len(judged)
            return told >= iterations or (clean_at is not None and time.time() - clean_at >= seconds)

        run.wait(is_over, math.inf)
        summaries = [summary for summary in run.iterations() if summary["evaluation"]]
    completions = [summary["evaluation"]["progress_mean"] for summary in summaries]
    laps = [summary["evaluation"]["laps"] for summary in summaries]
    clean = next((number for number, one in enumerate(summaries) if laps[number] == one["evaluation"]["trials"]), None)
    lap = next((number for number, count in enumerate(laps) if count), None)
    after = completions[clean + 1 :] if clean is not None else []

    def steps(until: int | None) -> int | None:
        return None if until is None else sum(summary["steps"] for summary in summaries[: until + 1])

    figures = {
        "seed": seed,
        "first_lap_steps": steps(lap),
        "first_clean_steps": steps(clean),
        "evaluations_afterwards": len(after),
        "lowest_afterwards_percent": min(after, default=None),
        "below_90_percent": sum(completion < 90 for completion in after),
        "completion_percent": completions,
        "laps": laps,
        "steps": [summary["steps"] for summary in summaries],
    }
    note(str({name: value for name, value in figures.items() if not isinstance(value, list)}))
    return figures


def main() -> None:
    """Measure each seed and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to train on after a clean evaluation")
    parser.add_argument("--iterations", type=float, default=math.inf, help="end after so many iterations in all")
    parser.add_argument("--trials", type=int, default=10, help="laps per evaluation")
    parser.add_argument("--track", default="reinvent_base")
    add_hyperparameters(parser)
    options = parser.parse_args()
    changed = changed_hyperparameters(options)
    settings = {
        "DR_WORLD_NAME": options.track,
        "DR_TRAIN_MIN_EVAL_TRIALS": str(options.trials),
        "DR_TRAIN_STOP_WHEN": "max_episodes",
    }
    seconds = options.minutes * 60 if math.isinf(options.iterations) else math.inf
    runs = [measure(seed, settings, changed, seconds, options.iterations) for seed in options.seeds]
    emit("steady", hyperparameters=changed or "as shipped", track=options.track, trials=options.trials, runs=runs)


if __name__ == "__main__":
    main()
