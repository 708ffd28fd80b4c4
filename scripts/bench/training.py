#!/usr/bin/env python3
"""Environment steps per second of a whole training, through real worker and link, against Stable-Baselines3 PPO.

Both learn with the same network and 5 epochs; theirs from an environment that costs nothing. Ours counts everything:
collecting, updating, publishing, and the one trial that judges each checkpoint.

usage: training.py [--pairs 5] [--iterations 6] [--batch-size 64]   (DESIGN 8: floor 1.8 at batch 64, 2.3 as shipped)
"""

from __future__ import annotations

import argparse
from typing import Any

from measure import alternate, emit
from sb3 import measure_sb3
from training_run import TrainingRun, learning_speed


def measure_ours(iterations: int, hyperparameters: dict[str, Any]) -> float:
    """Train some iterations and return steps per second, the first iteration (warm-up) left out."""
    # Enough steps per iteration that an update is a few hundred minibatches, as in the middle of a real training.
    settings = {"DR_TRAIN_STOP_WHEN": "max_episodes", "DR_TRAIN_MIN_EVAL_TRIALS": "1"}
    episodes = 20
    limits = {"term_cond_max_episodes": episodes * iterations, "num_episodes_between_training": episodes}
    with TrainingRun(settings, {**hyperparameters, **limits}) as run:
        run.start()
        run.wait(lambda: bool(run.status().get("outcome")), 900.0)
        return learning_speed(run.iterations()[1:])


def main() -> None:
    """Measure alternating pairs and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--batch-size", type=int, help="batch_size other than the shipped one")
    options = parser.parse_args()
    changed = {} if options.batch_size is None else {"batch_size": options.batch_size}
    figures = alternate(lambda: measure_ours(options.iterations, changed), measure_sb3, options.pairs)
    floor = 1.8 if options.batch_size == 64 else 2.3
    emit("training", unit="env steps/s", batch_size=options.batch_size or "as shipped", floor=floor, **figures)


if __name__ == "__main__":
    main()
