"""Generalised advantage estimation over one episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GAE_LAMBDA: Final = 0.95  # contract 6.4


@dataclass(frozen=True)
class Estimate:
    """How much better each action was than expected, and what the value function should have said.

    Attributes:
        advantages: float32, shape (T,), not standardised.
        returns: Targets of the value function, advantage plus value, float32, shape (T,).
    """

    advantages: NDArray[np.float32]
    returns: NDArray[np.float32]


def estimate_advantages(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    *,
    truncated_value: float | None,
    gamma: float,
    gae_lambda: float = GAE_LAMBDA,
) -> Estimate:
    """Estimate advantages and returns of one episode.

    The value behind the last step is that of the observation *after* it, which no decision was made on: neither the
    last of `values` nor the first of another episode.

    Args:
        rewards: Reward of each step, shape (T,).
        values: Value of the observation each step was decided on, shape (T,).
        truncated_value: Value of the final observation of an episode that was cut off; None for one that terminated,
            behind which nothing is earned.
        gamma: Discount per step, in [0, 1].
        gae_lambda: In [0, 1].

    Raises:
        ValueError: `rewards` and `values` have different shapes.

    Reference: Schulman et al., High-Dimensional Continuous Control Using Generalized Advantage Estimation, 2016,
        equation 16.
    """
    if rewards.shape != values.shape or rewards.ndim != 1:
        raise ValueError(f"expected rewards and values of one shape (T,), got {rewards.shape} and {values.shape}")
    advantages = np.zeros(len(rewards))
    next_value = 0.0 if truncated_value is None else truncated_value
    next_advantage = 0.0
    for step in reversed(range(len(rewards))):
        value = float(values[step])
        # delta_t = r_t + gamma V(s_t+1) - V(s_t)
        delta = float(rewards[step]) + gamma * next_value - value
        # A_t = delta_t + gamma lambda A_t+1
        next_advantage = delta + gamma * gae_lambda * next_advantage
        advantages[step] = next_advantage
        next_value = value
    return Estimate(advantages.astype(np.float32), (advantages + values).astype(np.float32))


def standardise(advantages: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shift and scale to mean 0 and standard deviation 1 over a whole iteration (contract 6.4)."""
    wide = advantages.astype(np.float64)
    result: NDArray[np.float32] = ((wide - wide.mean()) / (wide.std() + 1e-8)).astype(np.float32)
    return result
