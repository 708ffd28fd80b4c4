"""The two kinds of action distributions, one row per observation."""

from __future__ import annotations

import math
from typing import ClassVar, Final, Protocol

import torch
from torch import Tensor
from torch.nn import functional

LOG_STD_RANGE: Final = (-20.0, 3.0)  # contract 6.3
_LOG_PROBABILITY_FLOOR: Final = math.log(1e-8)  # contract 6.3: softmax, floored at 1e-8
_SMALLEST_UNIFORM: Final = 2.0**-54  # half the step of the uniform numbers, whose 0 has no finite quantile


class ActionDistribution(Protocol):
    """Distribution of the action in each of B rows."""

    draws: ClassVar[int]
    """Uniform numbers that one sample needs."""

    def sample(self, uniforms: Tensor) -> Tensor:
        """Turn uniform numbers in [0, 1), float64, shape (B, draws), into actions."""
        ...

    def mode(self) -> Tensor:
        """Return the most likely actions."""
        ...

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the logarithm of the actions' probability or density, shape (B,)."""
        ...

    def entropy(self) -> Tensor:
        """Return the entropy in nats, shape (B,)."""
        ...


class Categorical:
    """One of A actions.

    Args:
        logits: float32, shape (B, A).
    """

    draws: ClassVar[int] = 1

    def __init__(self, logits: Tensor) -> None:
        self._log_probs = functional.log_softmax(logits, dim=1).clamp_min(_LOG_PROBABILITY_FLOOR)

    def sample(self, uniforms: Tensor) -> Tensor:
        """Take the first action whose cumulative probability exceeds the number; int64, shape (B,)."""
        cumulative = self._log_probs.double().exp().cumsum(dim=1)
        # Scaled, because the floor and rounding leave a sum that is not quite 1.
        threshold = uniforms * cumulative[:, -1:]
        return (cumulative <= threshold).sum(dim=1).clamp_max(cumulative.shape[1] - 1)

    def mode(self) -> Tensor:
        """Return the likeliest action, the first among equals; int64, shape (B,)."""
        return self._log_probs.argmax(dim=1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return log p(action), shape (B,)."""
        return self._log_probs.gather(1, actions.unsqueeze(1)).squeeze(1)

    def entropy(self) -> Tensor:
        """Return -sum p log p, shape (B,)."""
        return -(self._log_probs.exp() * self._log_probs).sum(dim=1)


class Gaussian:
    """Independent normal numbers with one standard deviation for all observations.

    Args:
        mean: float32, shape (B, D).
        log_std: float32, shape (D,); clipped to `LOG_STD_RANGE`.
    """

    draws: ClassVar[int] = 2

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self._mean = mean
        self._log_std = log_std.clamp(*LOG_STD_RANGE)

    def sample(self, uniforms: Tensor) -> Tensor:
        """Map each number through the inverse of the normal distribution; float32, shape (B, D), not clipped."""
        noise: Tensor = torch.special.ndtri(uniforms.clamp_min(_SMALLEST_UNIFORM))
        return self._mean + self._log_std.exp() * noise.float()

    def mode(self) -> Tensor:
        """Return the mean, shape (B, D)."""
        return self._mean

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the log density, shape (B,)."""
        normalised = (actions - self._mean) * (-self._log_std).exp()
        return (-0.5 * normalised.square() - self._log_std - 0.5 * math.log(2.0 * math.pi)).sum(dim=1)

    def entropy(self) -> Tensor:
        """Return sum(log std + 1/2 log(2 pi e)), the same in every row, shape (B,)."""
        return (self._log_std + 0.5 * math.log(2.0 * math.pi * math.e)).sum().expand(self._mean.shape[0])
