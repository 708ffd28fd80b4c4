#!/usr/bin/env python3
"""Environment steps per second of Stable-Baselines3's PPO with an environment that costs nothing.

The yardstick for our training: the same network, 5 epochs, minibatch 64, 8 environments of 256 steps; its environment
only hands out pictures made beforehand.

usage: sb3.py [--repetitions 5]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import gymnasium
import numpy as np
from measure import emit, median, note

ENVIRONMENTS = 8
STEPS = 256
EPOCHS = 5
MINIBATCH_SIZE = 64
EPISODE_STEPS = 100
ACTIONS = 5


class FreeEnvironment(gymnasium.Env[np.ndarray, np.int64]):
    """Hands out pictures; rewards and actions mean nothing."""

    observation_space = gymnasium.spaces.Box(0, 255, (120, 160, 1), np.uint8)
    action_space = gymnasium.spaces.Discrete(ACTIONS)

    def __init__(self) -> None:
        self._frames = np.random.default_rng(0).integers(0, 256, (32, 120, 160, 1), dtype=np.uint8)
        self._step = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Start again."""
        super().reset(seed=seed, options=options)
        self._step = 0
        return self._frames[0], {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Go on to the next picture."""
        self._step += 1
        return self._frames[self._step % len(self._frames)], float(action == 0), self._step == EPISODE_STEPS, False, {}


def measure_sb3(iterations: int = 1, minibatch_size: int = MINIBATCH_SIZE) -> float:
    """Return environment steps per second of rollout and update, after a short warm-up.

    Args:
        iterations: Rollouts of 2048 steps with their updates.
        minibatch_size: Transitions per gradient step.
    """
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    environments = DummyVecEnv([FreeEnvironment] * ENVIRONMENTS)
    settings: dict[str, Any] = {"n_epochs": EPOCHS, "batch_size": minibatch_size, "device": "auto", "seed": 0}
    PPO("CnnPolicy", environments, n_steps=32, **settings).learn(ENVIRONMENTS * 32)
    model = PPO("CnnPolicy", environments, n_steps=STEPS, **settings)
    steps = iterations * ENVIRONMENTS * STEPS
    started = time.perf_counter()
    model.learn(steps)
    return steps / (time.perf_counter() - started)


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    raw = []
    for repetition in range(options.repetitions):
        raw.append(measure_sb3())
        note(f"repetition {repetition + 1}/{options.repetitions}: {raw[-1]:.1f} steps/s")
    emit("sb3", unit="env steps/s", minibatch_size=MINIBATCH_SIZE, epochs=EPOCHS, raw=raw, median=median(raw))


if __name__ == "__main__":
    main()
