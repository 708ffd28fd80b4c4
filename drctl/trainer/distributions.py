"""The kinds of action distributions, one row per observation."""

from __future__ import annotations

import math
from typing import ClassVar, Final, Protocol

import torch
from torch import Tensor
from torch.nn import functional

LOG_STD_RANGE: Final = (-20.0, 3.0)  # contract 6.3
_LOG_PROBABILITY_FLOOR: Final = math.log(1e-8)  # contract 6.3: softmax, floored at 1e-8
SQUASHED_LOG_STD_RANGE: Final = (-20.0, 2.0)  # contract 6.5
_LARGEST_SQUASHED: Final = 1.0 - 1e-6  # beyond, the number whose tanh it is grows without bound
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


class EntropicDistribution(ActionDistribution, Protocol):
    """One whose entropy has a closed form."""

    def entropy(self) -> Tensor:
        """Return the entropy in nats, shape (B,)."""
        ...


class Categorical:
    """One of A actions.

    Args:
        logits: float32, shape (B, A).

    Attributes:
        num_actions: A.
    """

    draws: ClassVar[int] = 1

    def __init__(self, logits: Tensor) -> None:
        self._log_probs = functional.log_softmax(logits, dim=1).clamp_min(_LOG_PROBABILITY_FLOOR)
        self.num_actions = logits.shape[1]

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


class EpsilonGreedy:
    """The likeliest of A actions, or with probability epsilon any of them, each as often.

    Log probabilities are those of the policy behind it, as in the original.

    Args:
        policy: Distribution that the network gives.
        epsilon: In [0, 1].
    """

    draws: ClassVar[int] = 2

    def __init__(self, policy: Categorical, epsilon: float) -> None:
        self._policy = policy
        self._epsilon = epsilon

    def sample(self, uniforms: Tensor) -> Tensor:
        """Let the first number choose between looking and guessing, and the second one guess; int64, shape (B,)."""
        guesses = (uniforms[:, 1] * self._policy.num_actions).long()
        return torch.where(uniforms[:, 0] < self._epsilon, guesses, self._policy.mode())

    def mode(self) -> Tensor:
        """Return the likeliest action, int64, shape (B,)."""
        return self._policy.mode()

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return log p(action) of the policy, shape (B,)."""
        return self._policy.log_prob(actions)


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
        return self._mean + self._log_std.exp() * _normal(uniforms)

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


class SquashedGaussian:
    """The tanh of independent normal numbers, so that every action lies in (-1, 1).

    Args:
        mean: Of the numbers before tanh, float32, shape (B, D).
        log_std: float32, shape (B, D); clipped to `SQUASHED_LOG_STD_RANGE`.

    Reference: Haarnoja et al., 2018 (arXiv 1801.01290), appendix C.
    """

    draws: ClassVar[int] = 2

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self._mean = mean
        self._log_std = log_std.clamp(*SQUASHED_LOG_STD_RANGE)

    def draw(self, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Turn uniform numbers in [0, 1), float64, shape (B, D), into actions that gradients flow through.

        Returns:
            Actions, float32, shape (B, D), and the logarithm of their density, shape (B,).
        """
        raw = self._mean + self._log_std.exp() * _normal(uniforms)
        return raw.tanh(), self._log_density(raw)

    def sample(self, uniforms: Tensor) -> Tensor:
        """Return the actions of `draw`."""
        return self.draw(uniforms)[0]

    def mode(self) -> Tensor:
        """Return the tanh of the mean, shape (B, D)."""
        return self._mean.tanh()

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the log density, shape (B,); that of an action next to 1 or -1 is taken a millionth inside."""
        return self._log_density(actions.clamp(-_LARGEST_SQUASHED, _LARGEST_SQUASHED).atanh())

    def _log_density(self, raw: Tensor) -> Tensor:
        normalised = (raw - self._mean) * (-self._log_std).exp()
        density = -0.5 * normalised.square() - self._log_std - 0.5 * math.log(2.0 * math.pi)
        # d tanh(u) / du = 1 - tanh(u)^2; its logarithm, without the difference that vanishes for large u.
        stretch = 2.0 * (math.log(2.0) - raw - functional.softplus(-2.0 * raw))
        return (density - stretch).sum(dim=1)


def _normal(uniforms: Tensor) -> Tensor:
    """Map uniform numbers in [0, 1), float64, through the inverse of the normal distribution, to float32."""
    noise: Tensor = torch.special.ndtri(uniforms.clamp_min(_SMALLEST_UNIFORM))
    return noise.float()
