"""Proximal policy optimisation with the original's constants (contract 6.4).

Reference: Schulman et al., Proximal Policy Optimization Algorithms, 2017 (arXiv 1707.06347), equations 7 and 9.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from drctl.errors import FailedError
from drctl.formats import log_lines
from drctl.formats.frozen_graph import encode_policy
from drctl.formats.observation import layout_of
from drctl.simulation.random import STREAM_SHUFFLE, keyed_permutation
from drctl.trainer.cuda_graph import CudaGraph
from drctl.trainer.gae import Estimate, estimate_advantages, standardise
from drctl.trainer.learner import Learner, UpdateStats
from drctl.trainer.losses import value_loss
from drctl.trainer.networks import ActorCritic, Heads
from drctl.trainer.precision import PrecisionRequest, compute_dtype
from drctl.trainer.transitions import Minibatch, Transitions, as_tensor, final_observation
from drctl.trainer.trunk import Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.formats.hyperparameters import Hyperparameters
    from drctl.formats.model_metadata import ModelMetadata
    from drctl.trainer.rollout import Episode, Policy

CLIP_RANGE: Final = 0.2  # contract 6.4
VALUE_LOSS_COEF: Final = 1.0  # contract 6.4


@dataclass(frozen=True)
class EpochStats:
    """Means over the transitions of one epoch.

    Attributes:
        policy_loss: Clipped surrogate, without the entropy bonus.
        value_loss: Huber or squared error.
        entropy: Of the policy, in nats.
        kl_divergence: From the policy that played to the one that is learned.
    """

    policy_loss: float
    value_loss: float
    entropy: float
    kl_divergence: float


@dataclass(frozen=True)
class PpoStats(UpdateStats):
    """What an update did; `epochs` has one entry per epoch, and `figures` are those of the last one."""

    epochs: tuple[EpochStats, ...]


def policy_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Return the clipped surrogate loss of each row, shape (B,); to be minimised.

    Reference: Schulman 2017, equation 7: -min(r A, clip(r, 1 - eps, 1 + eps) A) with r = pi(a|s) / pi_old(a|s).
    """
    ratio = (log_probs - old_log_probs).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1.0 - CLIP_RANGE, 1.0 + CLIP_RANGE) * advantages)


def minibatch_size(wanted: int, transitions: int) -> int:
    """Return the minibatch size for an iteration.

    With no more transitions than wanted it is the largest power of two they can fill (contract 6.4).
    """
    return wanted if transitions > wanted else 1 << (transitions.bit_length() - 1)


class PpoLearner(Learner):
    """Proximal policy optimisation.

    Args:
        metadata: Action space, network and camera.
        hyperparameters: How to learn.
        seed: Of the initial weights, the action noise and the shuffling.
        device: See `Learner`.
        precision: Likewise.
        heads: See `networks.ActorCritic`.
        shards: See `Learner`.
    """

    _network: ActorCritic

    def __init__(
        self,
        metadata: ModelMetadata,
        hyperparameters: Hyperparameters,
        *,
        seed: int,
        device: str | None = None,
        precision: PrecisionRequest = "auto",
        heads: Heads = "shared",
        shards: int | None = None,
    ) -> None:
        self._layout = layout_of(metadata, hyperparameters.stack_size)
        super().__init__(
            metadata,
            hyperparameters,
            lambda device: ActorCritic(self._layout, metadata.num_actions, heads=heads, seed=seed, device=device),
            seed=seed,
            device=device,
            precision=precision,
            shards=shards,
        )
        self._recorded_steps: dict[int, tuple[Minibatch, CudaGraph[Tensor]]] = {}

    def exploration(self, steps: int) -> float:
        """Return the share of random actions under ``e-greedy``, which falls linearly from 1 (contract 6.4); else 0."""
        h = self._hyperparameters
        if h.exploration != "e-greedy":
            return 0.0
        return max(h.epsilon_final, 1.0 + (h.epsilon_final - 1.0) * steps / h.epsilon_steps)

    def sampler(self, steps: int = 0) -> Policy:
        """Return the policy as it is now; see `Learner.sampler`."""
        is_epsilon_greedy = self._hyperparameters.exploration == "e-greedy"
        epsilon = self.exploration(steps) if is_epsilon_greedy else None
        return self._policy(self.precision, is_greedy=False, epsilon=epsilon)

    def update(self, episodes: Sequence[Episode], iteration: int, on_minibatch: Callable[[int, int], None]) -> PpoStats:
        """Learn from the episodes of one iteration; see `Learner.update`."""
        started = time.perf_counter()
        transitions = self._estimate(episodes)
        size = minibatch_size(self._hyperparameters.minibatch_size, len(transitions))
        per_epoch = len(transitions) // size
        total = per_epoch * self._hyperparameters.num_epochs
        epochs = []
        learn = self._replay_step if self._device.type == "cuda" and size <= self._rows_at_once else self._learn
        with self._learning():
            for epoch in range(self._hyperparameters.num_epochs):
                order = keyed_permutation(self._seed, STREAM_SHUFFLE, iteration, epoch, len(transitions))
                sums = torch.zeros(4, dtype=torch.float64, device=self._device)
                for number in range(per_epoch):
                    sums += learn(transitions, order[number * size : (number + 1) * size])
                    on_minibatch(epoch * per_epoch + number + 1, total)
                means = (sums / per_epoch).tolist()
                if not np.isfinite(means).all():
                    raise self._broken_in(transitions, iteration, epoch)
                epochs.append(EpochStats(*means))
            if not self._has_finite_weights():
                raise self._broken_in(transitions, iteration, self._hyperparameters.num_epochs - 1)
        lines = tuple(self._line(number, epoch) for number, epoch in enumerate(epochs))
        return PpoStats(asdict(epochs[-1]), lines, total * size, time.perf_counter() - started, tuple(epochs))

    def frozen_graph(self) -> bytes:
        """Return the policy as the file that the physical car loads."""
        return encode_policy(self._layout, self._metadata.num_actions, self._canonical_weights())

    def _line(self, number: int, epoch: EpochStats) -> str:
        return log_lines.policy_training(
            surrogate_loss=epoch.policy_loss,
            kl_divergence=epoch.kl_divergence,
            entropy=epoch.entropy,
            epoch=number,
            learning_rate=self._hyperparameters.learning_rate,
        )

    def _estimate(self, episodes: Sequence[Episode]) -> Transitions:
        if not any(len(episode) for episode in episodes):
            raise FailedError("the iteration has no step to learn from", expected="at least one episode with a step")
        final_values = self._judge_final_frames(episodes)
        estimates: list[Estimate] = [
            estimate_advantages(
                episode.rewards, episode.values, truncated_value=final_value, gamma=self._hyperparameters.gamma
            )
            for episode, final_value in zip(episodes, final_values, strict=True)
        ]
        advantages = standardise(np.concatenate([estimate.advantages for estimate in estimates]))
        returns = np.concatenate([estimate.returns for estimate in estimates])
        return Transitions(episodes, advantages, returns, self._device, self._layout.stack)

    def _judge_final_frames(self, episodes: Sequence[Episode]) -> list[float | None]:
        """Return the value behind each truncated episode, None for terminated ones."""
        values: list[float | None] = [None] * len(episodes)
        with torch.inference_mode():
            weights = self._network.weights_for(compute_dtype(self.precision))
            for number, episode in enumerate(episodes):
                if episode.terminated:
                    continue
                if episode.final_frame is None:
                    raise ValueError(f"episode {number} was cut off but has no final observation")
                frames = final_observation(episode.frames, episode.final_frame, self._layout.stack)
                seen = as_tensor(frames[np.newaxis]).to(self._device)
                values[number] = float(self._network.forward(weights, seen)[1])
        return values

    def _learn(self, transitions: Transitions, numbers: NDArray[np.int64]) -> Tensor:
        """Make one gradient step; return the means that `EpochStats` holds, float64, shape (4,), on the device.

        The numbers stay in their random order, so that every shard has rows of all episodes.
        """
        return self._step(len(numbers), lambda weights, rows: self._judge(weights, transitions.gather(numbers[rows])))

    def _replay_step(self, transitions: Transitions, numbers: NDArray[np.int64]) -> Tensor:
        """Make the step of `_learn` on a GPU, which is handed it as a whole; the result is overwritten by the next."""
        count = len(numbers)
        if count not in self._recorded_steps:
            batch = transitions.gather(numbers)

            def judge(weights: Weights, _rows: slice) -> tuple[Tensor, Tensor]:
                return self._judge(weights, batch)

            # Rehearsing must change no tensor that counts, so it stops before the optimiser.
            step = CudaGraph(
                lambda: self._step(count, judge), lambda: self._differentiate(slice(0, count), count, judge)
            )
            self._recorded_steps[count] = batch, step
        batch, step = self._recorded_steps[count]
        transitions.gather(numbers, into=batch)
        return step.replay()

    def _judge(self, weights: Weights, batch: Minibatch) -> tuple[Tensor, Tensor]:
        """Return the loss of some transitions, summed, and the sums of what `EpochStats` holds the means of."""
        distribution, values = self._network.forward(weights, batch.frames)
        log_probs = distribution.log_prob(batch.actions)
        surrogate = policy_loss(log_probs, batch.log_probs, batch.advantages).sum()
        error = value_loss(values, batch.returns, self._hyperparameters.value_loss).sum()
        entropy = distribution.entropy().sum()
        # Schulman 2017, equation 9, with its sign turned: gradient steps go down.
        loss = surrogate + VALUE_LOSS_COEF * error - self._hyperparameters.entropy_coef * entropy
        with torch.no_grad():
            kl = _kl_divergence(log_probs, batch.log_probs).sum()
        return loss, torch.stack([surrogate, error, entropy, kl])

    def _broken_in(self, transitions: Transitions, iteration: int, epoch: int) -> FailedError:
        what = f"the update of iteration {iteration} broke in epoch {epoch}"
        largest = transitions.largest_return()
        return self._broken(what, largest, f"the largest sum of discounted rewards was {largest:.3g}")


def _kl_divergence(log_probs: Tensor, old_log_probs: Tensor) -> Tensor:
    """Estimate KL(old, new) from each row as (r - 1) - log r, which is never negative.

    Reference: Schulman, Approximating KL Divergence, 2020.
    """
    difference = log_probs - old_log_probs
    return difference.expm1() - difference
