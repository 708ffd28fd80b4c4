"""Proximal policy optimisation with the original's constants (contract 6.4).

Reference: Schulman et al., Proximal Policy Optimization Algorithms, 2017 (arXiv 1707.06347), equations 7 and 9.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from drctl.errors import FailedError, NotSupportedError
from drctl.formats.frozen_graph import encode_policy
from drctl.formats.observation import layout_of
from drctl.simulation.random import STREAM_SHUFFLE, keyed_permutation
from drctl.trainer import learner_state
from drctl.trainer.cuda_graph import CudaGraph
from drctl.trainer.gae import Estimate, estimate_advantages, standardise
from drctl.trainer.memory import release_free_memory
from drctl.trainer.networks import ActorCritic, Heads, Weights
from drctl.trainer.optimizer import Adam
from drctl.trainer.policies import NetworkPolicy
from drctl.trainer.precision import Precision, PrecisionRequest, compute_dtype, compute_reproducibly, precision_on
from drctl.trainer.shards import Shards, default_shards
from drctl.trainer.transitions import Minibatch, Transitions, as_tensor, final_observation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.formats.hyperparameters import Hyperparameters, ValueLoss
    from drctl.formats.model_metadata import ModelMetadata
    from drctl.trainer.rollout import Episode, Policy

CLIP_RANGE: Final = 0.2  # contract 6.4
VALUE_LOSS_COEF: Final = 1.0  # contract 6.4
HUBER_DELTA: Final = 1.0  # contract 6.4
# Rows of a shard that go through the network at once: on a CPU few enough for the activations to stay near the caches.
_ROWS_AT_ONCE: Final = {"cpu": 128, "cuda": 4096}
_LARGE_RETURN: Final = 1e4  # returns beyond this are a likelier cause of a broken update than the learning rate


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
class UpdateStats:
    """What an update did.

    Attributes:
        epochs: One entry per epoch.
        samples: Transitions that went through the network, all epochs together.
        seconds: Wall time.
    """

    epochs: tuple[EpochStats, ...]
    samples: int
    seconds: float


def policy_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Return the clipped surrogate loss of each row, shape (B,); to be minimised.

    Reference: Schulman 2017, equation 7: -min(r A, clip(r, 1 - eps, 1 + eps) A) with r = pi(a|s) / pi_old(a|s).
    """
    ratio = (log_probs - old_log_probs).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1.0 - CLIP_RANGE, 1.0 + CLIP_RANGE) * advantages)


def value_loss(values: Tensor, returns: Tensor, kind: ValueLoss) -> Tensor:
    """Return the loss of each row's value, shape (B,): Huber with delta 1, or the squared error."""
    if kind == "huber":
        return functional.huber_loss(values, returns, reduction="none", delta=HUBER_DELTA)
    return (values - returns).square()


def minibatch_size(wanted: int, transitions: int) -> int:
    """Return the minibatch size for an iteration.

    With no more transitions than wanted it is the largest power of two they can fill (contract 6.4).
    """
    return wanted if transitions > wanted else 1 << (transitions.bit_length() - 1)


class PpoLearner:
    """A policy and its update.

    Equal seeds, hyperparameters, episodes and shards give equal weights, bit for bit, on equal processors: floating
    point sums depend on how they are split, but not on how many cores there are or what else runs on them.

    Args:
        metadata: Action space, network and camera.
        hyperparameters: How to learn.
        seed: Of the initial weights, the action noise and the shuffling.
        device: None for the GPU where there is one.
        precision: See `precision.choose_precision`.
        heads: See `networks.ActorCritic`.
        shards: Parts that every minibatch is divided into, each computed by one thread; None for one per core. A GPU
            always has one.

    Attributes:
        precision: ``fp32`` or ``bf16``; part of every checkpoint, kept by a resume.
        device_name: ``cpu`` or the GPU's name.
        shards: How many there are; part of every checkpoint, kept by a resume.

    Raises:
        NotSupportedError: The hyperparameters ask for an exploration that this version does not have.
    """

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
        if hyperparameters.exploration != "categorical":
            raise NotSupportedError(
                f"exploration_type {hyperparameters.exploration!r} is not in this version",
                where="hyperparameters.json: exploration_type",
                expected="categorical",
                fix='set "exploration_type": "categorical" in hyperparameters.json',
            )
        self._metadata = metadata
        self._hyperparameters = hyperparameters
        self._seed = seed
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if self._device.type == "cuda":
            compute_reproducibly()
        self.precision: Precision = precision_on(self._device, precision)
        self.device_name = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu"
        count = shards if shards is not None and self._device.type == "cpu" else default_shards(self._device)
        self._shards = Shards(count)
        self.shards = count
        self._layout = layout_of(metadata, hyperparameters.stack_size)
        self._network = ActorCritic(self._layout, metadata.num_actions, heads=heads, seed=seed, device=self._device)
        self._optimizer = Adam(self._network.parameters, hyperparameters.learning_rate, self._shards)
        self._copies = self._network.copies_in(compute_dtype(self.precision))
        self._rows_at_once = _ROWS_AT_ONCE[self._device.type]
        self._recorded_steps: dict[int, tuple[Minibatch, CudaGraph[Tensor]]] = {}

    @property
    def description(self) -> str:
        """Device and precision for people, such as ``cpu (2 shards), bf16``."""
        place = f"cpu ({self.shards} shards)" if self._device.type == "cpu" else self.device_name
        return f"{place}, {self.precision}"

    def sampler(self) -> Policy:
        """Return the policy as it is now, drawing its actions at random."""
        return self._policy(self.precision, is_greedy=False)

    def greedy(self) -> Policy:
        """Return the policy as it is now, taking the likeliest action, always computed in float32."""
        return self._policy("fp32", is_greedy=True)

    def update(
        self, episodes: Sequence[Episode], iteration: int, on_minibatch: Callable[[int, int], None]
    ) -> UpdateStats:
        """Learn from the episodes of one iteration, all of them played by the present policy.

        When anything goes wrong, or `on_minibatch` raises, weights and optimiser are as before.

        Args:
            episodes: In an order that does not depend on when they ended.
            iteration: Number of the iteration; decides the shuffling.
            on_minibatch: Called after each minibatch with the number done and the number there will be.

        Raises:
            FailedError: The loss or a weight is not a finite number any more.
        """
        started = time.perf_counter()
        transitions = self._estimate(episodes)
        size = minibatch_size(self._hyperparameters.minibatch_size, len(transitions))
        per_epoch = len(transitions) // size
        total = per_epoch * self._hyperparameters.num_epochs
        epochs = []
        step = self._replay_step if self._device.type == "cuda" and size <= self._rows_at_once else self._step
        with self._undone_on_failure():
            self._network.refresh_copies(self._copies)
            for epoch in range(self._hyperparameters.num_epochs):
                order = keyed_permutation(self._seed, STREAM_SHUFFLE, iteration, epoch, len(transitions))
                sums = torch.zeros(4, dtype=torch.float64, device=self._device)
                for number in range(per_epoch):
                    sums += step(transitions, order[number * size : (number + 1) * size])
                    on_minibatch(epoch * per_epoch + number + 1, total)
                means = (sums / per_epoch).tolist()
                if not np.isfinite(means).all():
                    raise self._broken(transitions, iteration, epoch)
                epochs.append(EpochStats(*means))
            if not all(bool(parameter.isfinite().all()) for parameter in self._network.parameters.values()):
                raise self._broken(transitions, iteration, self._hyperparameters.num_epochs - 1)
        return UpdateStats(tuple(epochs), total * size, time.perf_counter() - started)

    def weights(self) -> bytes:
        """Return the weights for `load_weights`: float32 tensors by canonical name, as ``torch.save`` writes them."""
        return learner_state.save_weights(self._network)

    def load_weights(self, data: bytes) -> None:
        """Take over weights.

        Raises:
            FormatError: The file is no such file or belongs to another network; it names every layer that does not fit.
        """
        learner_state.load_weights(self._network, data)

    def optimizer_state(self) -> bytes:
        """Return the optimiser's state for `load_optimizer_state`; with `weights` all that an exact resume needs."""
        return learner_state.save_optimizer(self._network, self._optimizer)

    def load_optimizer_state(self, data: bytes) -> None:
        """Take over an optimiser's state; the learning rate stays that of the hyperparameters.

        Raises:
            FormatError: See `load_weights`.
        """
        learner_state.load_optimizer(self._network, self._optimizer, data)

    def frozen_graph(self) -> bytes:
        """Return the policy as the file that the physical car loads."""
        with torch.no_grad():
            weights: dict[str, NDArray[np.float32]] = {
                name: self._network.canonical(name, parameter).cpu().numpy()
                for name, parameter in self._network.parameters.items()
            }
        return encode_policy(self._layout, self._metadata.num_actions, weights)

    def _policy(self, precision: Precision, *, is_greedy: bool) -> NetworkPolicy:
        return NetworkPolicy(
            self._network,
            compute_dtype(precision),
            self._device,
            seed=self._seed,
            is_greedy=is_greedy,
            rows_at_once=self._rows_at_once,
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

    def _step(self, transitions: Transitions, numbers: NDArray[np.int64]) -> Tensor:
        """Make one gradient step; return the means that `EpochStats` holds, float64, shape (4,), on the device."""
        numbers = np.sort(numbers)
        rows = self._shards.split(len(numbers))

        def learn(shard: int) -> tuple[Weights, Tensor]:
            return self._differentiate(transitions.gather(numbers[rows[shard]]), len(numbers))

        gradients, sums = zip(*self._shards.run(learn), strict=True)
        self._optimizer.step([gradient for gradient in gradients if gradient], self._copies)
        return torch.stack(sums).sum(dim=0) / len(numbers)

    def _replay_step(self, transitions: Transitions, numbers: NDArray[np.int64]) -> Tensor:
        """Make the step of `_step` on a GPU, which is handed it as a whole; the result is overwritten by the next."""
        count = len(numbers)
        if count not in self._recorded_steps:
            batch = transitions.gather(numbers)

            def learn() -> Tensor:
                gradients, sums = self._differentiate(batch, count)
                self._optimizer.step([gradients], self._copies)
                return sums / count

            self._recorded_steps[count] = batch, CudaGraph(learn, lambda: self._differentiate(batch, count))
        batch, step = self._recorded_steps[count]
        transitions.gather(numbers, into=batch)
        return step.replay()

    def _differentiate(self, batch: Minibatch, count: int) -> tuple[Weights, Tensor]:
        """Differentiate the loss of some rows, as a part of the mean over `count` rows.

        Returns:
            The gradient of each parameter, empty where there is no row, and the sums over the rows of what
            `EpochStats` holds the means of, float64.
        """
        # Leaves of its own, so that no other shard adds to their gradients.
        leaves = {
            name: self._copies.get(name, parameter).detach().requires_grad_()
            for name, parameter in self._network.parameters.items()
        }
        gradients: Weights = {}
        sums = torch.zeros(4, dtype=torch.float64, device=self._device)
        for start in range(0, len(batch.frames), self._rows_at_once):
            rows = slice(start, start + self._rows_at_once)
            weights = self._network.weights_for(compute_dtype(self.precision), leaves)
            distribution, values = self._network.forward(weights, batch.frames[rows])
            log_probs = distribution.log_prob(batch.actions[rows])
            surrogate = policy_loss(log_probs, batch.log_probs[rows], batch.advantages[rows]).sum()
            error = value_loss(values, batch.returns[rows], self._hyperparameters.value_loss).sum()
            entropy = distribution.entropy().sum()
            # Schulman 2017, equation 9, with its sign turned: gradient steps go down.
            loss = surrogate + VALUE_LOSS_COEF * error - self._hyperparameters.entropy_coef * entropy
            parts = dict(zip(leaves, torch.autograd.grad(loss / count, list(leaves.values())), strict=True))
            gradients = {name: gradients[name].float() + part for name, part in parts.items()} if gradients else parts
            with torch.no_grad():
                kl = _kl_divergence(log_probs, batch.log_probs[rows]).sum()
                sums += torch.stack([surrogate, error, entropy, kl]).double()
        return gradients, sums

    @contextmanager
    def _undone_on_failure(self) -> Iterator[None]:
        before = learner_state.copy_state(self._network, self._optimizer)
        try:
            yield
        except BaseException:
            learner_state.restore_state(self._network, self._optimizer, before)
            raise
        finally:
            del before
            release_free_memory()

    def _broken(self, transitions: Transitions, iteration: int, epoch: int) -> FailedError:
        largest = transitions.largest_return()
        what = f"the update of iteration {iteration} broke in epoch {epoch}: its loss is not a finite number any more"
        if not np.isfinite(largest):
            return FailedError(
                what,
                expected="finite rewards and values",
                fix="resume from an older checkpoint: drctl start-training --resume",
            )
        if largest > _LARGE_RETURN:
            return FailedError(
                what,
                where="reward_function.py",
                expected=f"returns of moderate size; the largest sum of discounted rewards was {largest:.3g}",
                fix="return smaller rewards in custom_files/reward_function.py, about 1 per step",
            )
        return FailedError(
            what,
            where="hyperparameters.json: lr",
            expected=f"a learning rate that stays stable; {self._hyperparameters.learning_rate:g} is probably too high",
            fix='lower "lr" in custom_files/hyperparameters.json, for example to 0.0003',
        )


def _kl_divergence(log_probs: Tensor, old_log_probs: Tensor) -> Tensor:
    """Estimate KL(old, new) from each row as (r - 1) - log r, which is never negative.

    Reference: Schulman, Approximating KL Divergence, 2020.
    """
    difference = log_probs - old_log_probs
    return difference.expm1() - difference
