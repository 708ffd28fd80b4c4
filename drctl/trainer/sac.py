"""Soft actor-critic for continuous actions, with the original's constants (contract 6.5).

Reference: Haarnoja et al., Soft Actor-Critic, 2018 (arXiv 1801.01290), equations 3, 5, 7, 12 and appendix C.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from drctl.errors import FailedError
from drctl.formats import log_lines
from drctl.formats.frozen_graph import encode_sac_policy
from drctl.formats.model_metadata import ContinuousActionSpace
from drctl.formats.observation import ObservationForm, layout_of
from drctl.simulation.random import STREAM_REPLAY, keyed_uniforms
from drctl.trainer.distributions import SquashedGaussian
from drctl.trainer.learner import Learner, UpdateStats
from drctl.trainer.losses import value_loss
from drctl.trainer.networks import Heads
from drctl.trainer.precision import PrecisionRequest, compute_dtype
from drctl.trainer.replay import ReplayBatch, ReplayBuffer, slots_within
from drctl.trainer.sac_network import SacNetwork
from drctl.trainer.trunk import Weights

if TYPE_CHECKING:
    from drctl.formats.hyperparameters import Hyperparameters
    from drctl.formats.model_metadata import ModelMetadata
    from drctl.trainer.rollout import Episode

_FIGURES: Final = ("policy_loss", "value_loss", "q_loss", "entropy")
_STEPS_PER_CHECK: Final = 20


@dataclass(frozen=True)
class ReplaySettings:
    """How SAC uses its memory.

    Attributes:
        buffer_gb: Memory for frames, in GB (``DR_SAC_BUFFER_GB``).
        update_ratio: Gradient steps per environment step (``DR_SAC_UPDATE_RATIO``).
    """

    buffer_gb: float = 2.0
    update_ratio: float = 0.25


def action_value_targets(rewards: Tensor, is_terminated: Tensor, next_values: Tensor, gamma: float) -> Tensor:
    """Return what Q(s, a) is drawn to, shape (B,): r + gamma V'(s'), without what follows a terminated episode.

    Reference: Haarnoja 2018, equations 3 and 8.
    """
    return rewards + gamma * torch.where(is_terminated, 0.0, next_values)


def state_value_targets(first: Tensor, second: Tensor, log_probs: Tensor, alpha: float) -> Tensor:
    """Return what V(s) is drawn to, shape (B,): min(Q1, Q2) - alpha log pi of an action that the policy draws now.

    Reference: Haarnoja 2018, equations 3 and 5, with the smaller of two estimates.
    """
    return torch.minimum(first, second) - alpha * log_probs


def update_count(steps: int, ratio: float) -> int:
    """Return the gradient steps that follow some environment steps; at least one."""
    return max(1, round(steps * ratio))


class SacLearner(Learner):
    """Soft actor-critic.

    An update learns from all that the replay buffer holds. The target of V is a copy of it, made when an update begins,
    that then follows it: every gradient step brings it nearer by one part in ``num_episodes_between_training``. So it
    is that many gradient steps behind, without the leaps of a copy that is made anew every so often.

    Log probabilities are those of actions in [-1, 1], before they are scaled to the action space.

    Args:
        metadata: Action space, network and camera.
        hyperparameters: How to learn.
        seed: Of the initial weights, the action noise and what is picked from the buffer.
        device: See `Learner`.
        precision: Likewise.
        heads: See `sac_network.SacNetwork`.
        shards: See `Learner`.
        replay: See `ReplaySettings`.
    """

    _network: SacNetwork

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
        replay: ReplaySettings | None = None,
    ) -> None:
        if not isinstance(metadata.action_space, ContinuousActionSpace):
            raise ValueError("sac needs a continuous action space")  # model_metadata.json says so to the user
        self._layout = layout_of(metadata, hyperparameters.stack_size)
        super().__init__(
            metadata,
            hyperparameters,
            lambda device: SacNetwork(self._layout, heads=heads, seed=seed, device=device),
            seed=seed,
            device=device,
            precision=precision,
            shards=shards,
        )
        self._replay = replay or ReplaySettings()
        frame_shape = ObservationForm.of(metadata).shape
        slots = slots_within(self._replay.buffer_gb, frame_shape)
        self._buffer = ReplayBuffer(slots, self._device, frame_shape, self._layout.stack)

    @property
    def memory(self) -> int:
        """Transitions in the replay buffer."""
        return len(self._buffer)

    def missing_steps(self, steps: int) -> int:
        """Return how many of a run's steps the buffer should hold and, after a resume, does not."""
        return max(0, min(steps, self._buffer.slots) - len(self._buffer))

    def remember(self, episodes: Sequence[Episode]) -> None:
        """Put episodes into the replay buffer."""
        self._buffer.add(episodes)

    def update(
        self, episodes: Sequence[Episode], iteration: int, on_minibatch: Callable[[int, int], None]
    ) -> UpdateStats:
        """Learn from these episodes and from earlier ones; see `Learner.update`."""
        started = time.perf_counter()
        self._buffer.add(episodes)
        if not len(self._buffer):
            raise FailedError("there is no step to learn from yet", expected="at least one episode with a step")
        h, dtype = self._hyperparameters, compute_dtype(self.precision)
        total = update_count(sum(map(len, episodes)), self._replay.update_ratio)
        sums = torch.zeros(len(_FIGURES), dtype=torch.float64, device=self._device)
        with self._learning():
            target = self._network.copy_of_values()
            for number in range(total):
                if number % _STEPS_PER_CHECK == 0:
                    # A GPU is waited for here and not at every step.
                    self._check(iteration, bool(sums.isfinite().all()))
                sums += self._learn(iteration, number, self._network.weights_for(dtype, target))
                self._network.move_copy(target, 1.0 / h.episodes_per_iteration)
                on_minibatch(number + 1, total)
            self._check(iteration, bool(sums.isfinite().all()) and self._has_finite_weights())
        figures: dict[str, float] = dict(zip(_FIGURES, (sums / total).tolist(), strict=True))
        line = log_lines.sac_training(
            **figures, updates=total, transitions=len(self._buffer), learning_rate=h.learning_rate
        )
        figures |= {"updates": total, "replay_transitions": len(self._buffer)}
        return UpdateStats(figures, (line,), total * h.minibatch_size, time.perf_counter() - started)

    def frozen_graph(self) -> bytes:
        """Return the policy as the file that the physical car loads."""
        return encode_sac_policy(self._layout, self._canonical_weights())

    def _learn(self, iteration: int, number: int, target: Weights) -> Tensor:
        """Make one gradient step; return the means of `_FIGURES`, float64, shape (4,), on the device."""
        size = self._hyperparameters.minibatch_size
        # One number picks the transition, two draw the action.
        uniforms = keyed_uniforms(
            self._seed, STREAM_REPLAY, iteration, np.full(size, number), np.arange(size), 1 + SquashedGaussian.draws
        )
        slots = self._buffer.pick(uniforms[:, 0])
        noise = torch.from_numpy(uniforms[:, 1:])

        def judge(weights: Weights, rows: slice) -> tuple[Tensor, Tensor]:
            return self._judge(weights, target, self._buffer.gather(slots[rows]), noise[rows].to(self._device))

        return self._step(size, judge)

    def _judge(self, weights: Weights, target: Weights, batch: ReplayBatch, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of some transitions, summed, and the sums of `_FIGURES`."""
        network, h = self._network, self._hyperparameters
        for_policy, for_q, for_value = network.features(weights, batch.frames)
        values = network.state_values(weights, for_value)
        estimates = network.action_values(weights, for_q, batch.actions)
        actions, log_probs = network.policy(weights, for_policy).draw(noise)
        # What the policy does is judged by weights that stand still, or it would teach the judge to praise it.
        judge = {name: tensor.detach() for name, tensor in weights.items()}
        first, second = network.action_values(judge, for_q.detach(), actions)

        wanted = action_value_targets(
            batch.rewards, batch.is_terminated, network.target_values(target, batch.next_frames), h.gamma
        )
        q_loss = torch.stack([value_loss(estimate, wanted, h.value_loss) for estimate in estimates]).sum()
        soft_values = state_value_targets(first, second, log_probs, h.sac_alpha)
        error = value_loss(values, soft_values.detach(), h.value_loss).sum()
        # Haarnoja 2018, equation 12: alpha log pi - Q is the soft value with its sign turned.
        policy_loss = -soft_values.sum()
        figures = torch.stack([policy_loss, error, q_loss / 2, -log_probs.sum()])
        return policy_loss + error + q_loss, figures

    def _check(self, iteration: int, is_finite: bool) -> None:
        if is_finite:
            return
        largest = self._buffer.largest_reward()
        # A return is at most the largest reward, earned for ever.
        bound = largest / max(1.0 - self._hyperparameters.gamma, 1e-6)
        raise self._broken(f"the update of iteration {iteration} broke", bound, f"the largest reward was {largest:.3g}")
