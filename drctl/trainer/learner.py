"""What an algorithm is to a training: a policy to collect with, an update, and a state to save."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from drctl.errors import FailedError
from drctl.formats.observation import layout_of
from drctl.formats.policy_graph import inspect_policy
from drctl.formats.policy_weights import decode_policy
from drctl.trainer import learner_state
from drctl.trainer.memory import release_free_memory
from drctl.trainer.optimizer import Adam
from drctl.trainer.policies import NetworkPolicy
from drctl.trainer.precision import Precision, PrecisionRequest, compute_dtype, compute_reproducibly, precision_on
from drctl.trainer.shards import Shards, default_shards
from drctl.trainer.trunk import Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.formats.hyperparameters import Hyperparameters
    from drctl.formats.model_metadata import ModelMetadata
    from drctl.trainer.networks import Network
    from drctl.trainer.rollout import Actions, Episode, Policy

# Rows of a shard that learn at once: on a CPU few enough for the activations to stay near the caches.
_ROWS_AT_ONCE: Final = {"cpu": 128, "cuda": 4096}
_LARGE_RETURN: Final = 1e4  # returns beyond this are a likelier cause of a broken update than the learning rate


@dataclass(frozen=True)
class UpdateStats:
    """What an update did.

    Attributes:
        figures: For the iteration's summary, by name: ``policy_loss``, ``value_loss``, ``entropy`` in nats, and what
            else the algorithm knows.
        lines: For the trainer's log.
        samples: Transitions that went through the network.
        seconds: Wall time.
    """

    figures: Mapping[str, float]
    lines: tuple[str, ...]
    samples: int
    seconds: float


class Learner(ABC):
    """A policy and its update.

    Equal seeds, hyperparameters, episodes and shards give equal weights, bit for bit, on equal processors: floating
    point sums, and how much of the values' gradient reaches a shared trunk, depend on how minibatches are split, but
    not on how many cores there are or what else runs on them.

    Args:
        metadata: Action space, network and camera.
        hyperparameters: How to learn.
        make_network: Makes the network on a device.
        seed: Of the initial weights, the action noise and the order of learning.
        device: None for the GPU where there is one.
        precision: See `precision.choose_precision`.
        shards: Parts that every minibatch is divided into, each computed by one thread; None for one per core. A GPU
            always has one.

    Attributes:
        precision: ``fp32`` or ``bf16``; part of every checkpoint, kept by a resume.
        device_name: ``cpu`` or the GPU's name.
        shards: How many there are; part of every checkpoint, kept by a resume.
    """

    def __init__(
        self,
        metadata: ModelMetadata,
        hyperparameters: Hyperparameters,
        make_network: Callable[[torch.device], Network],
        *,
        seed: int,
        device: str | None,
        precision: PrecisionRequest,
        shards: int | None,
    ) -> None:
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
        self._network = make_network(self._device)
        self._optimizer = Adam(self._network.parameters, hyperparameters.learning_rate, self._shards)
        self._copies = self._network.copies_in(compute_dtype(self.precision))
        self._rows_at_once = _ROWS_AT_ONCE[self._device.type]

    @property
    def description(self) -> str:
        """Device and precision for people, such as ``cpu (2 shards), bf16``."""
        place = f"cpu ({self.shards} shards)" if self._device.type == "cpu" else self.device_name
        return f"{place}, {self.precision}"

    def exploration(self, steps: int) -> float:  # noqa: ARG002  some algorithms have a schedule
        """Return the share of training actions that are drawn without looking, after some training steps of the run."""
        return 0.0

    def sampler(self, steps: int = 0) -> Policy:  # noqa: ARG002  likewise
        """Return the policy as it is now, exploring as it does after some training steps of the run."""
        return self._policy(self.precision, is_greedy=False)

    def greedy(self) -> Policy:
        """Return the policy as it is now, taking the likeliest action, always computed in float32."""
        return self._policy("fp32", is_greedy=True)

    def decide_at_once(self, decisions: Sequence[Callable[[], Actions]]) -> list[Actions]:
        """Let policies decide about blocks of rows, at once where the device bears it; return the answers in order."""
        return self._shards.call(decisions)

    def missing_steps(self, steps: int) -> int:  # noqa: ARG002  most algorithms forget
        """Return how many of a run's training steps it should remember and does not, because no checkpoint holds them.

        Args:
            steps: Training steps of the run so far.
        """
        return 0

    def remember(self, episodes: Sequence[Episode]) -> None:  # noqa: B027  most algorithms forget
        """Take in episodes without learning yet, to make up for what `missing_steps` names."""

    @abstractmethod
    def update(
        self, episodes: Sequence[Episode], iteration: int, on_minibatch: Callable[[int, int], None]
    ) -> UpdateStats:
        """Learn from the episodes of one iteration, all of them played by the present policy.

        When anything goes wrong, or `on_minibatch` raises, weights and optimiser are as before.

        Args:
            episodes: In an order that does not depend on when they ended.
            iteration: Number of the iteration; decides the order of learning.
            on_minibatch: Called after each minibatch with the number done and the number there will be.

        Raises:
            FailedError: The loss or a weight is not a finite number any more.
        """

    @abstractmethod
    def frozen_graph(self) -> bytes:
        """Return the policy as the file that the physical car loads."""

    def load_policy(self, graph: bytes, source: str) -> None:
        """Take over the policy of a frozen graph; the values, and how widely it explores, stay as they are.

        Args:
            graph: Content of a ``model_<n>.pb``.
            source: Its name for messages.

        Raises:
            FormatError: It is no such file or belongs to another network.
        """
        layout = layout_of(self._metadata, self._hyperparameters.stack_size)
        learner_state.load_policy(self._network, decode_policy(inspect_policy(graph, source), layout, source), source)

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
        """Return the optimiser's state for `load_optimizer_state`; with `weights` all that a checkpoint keeps."""
        return learner_state.save_optimizer(self._network, self._optimizer)

    def load_optimizer_state(self, data: bytes) -> None:
        """Take over an optimiser's state; the learning rate stays that of the hyperparameters.

        Raises:
            FormatError: See `load_weights`.
        """
        learner_state.load_optimizer(self._network, self._optimizer, data)

    def _policy(self, precision: Precision, *, is_greedy: bool, epsilon: float | None = None) -> NetworkPolicy:
        return NetworkPolicy(
            self._network,
            compute_dtype(precision),
            self._device,
            seed=self._seed,
            is_greedy=is_greedy,
            epsilon=epsilon,
        )

    def _step(self, count: int, judge: Callable[[Weights, slice], tuple[Tensor, Tensor]]) -> Tensor:
        """Make one gradient step down the mean of a loss over `count` rows.

        Args:
            count: Number of rows, at least 1.
            judge: Takes weights ready to compute and some of the rows; returns the loss of these rows, summed, and the
                sums over them of whatever figures, shape (k,). Called from the threads of the shards.

        Returns:
            The means of the figures, float64, shape (k,), on the device.
        """
        rows = self._shards.split(count)
        parts = self._shards.run(lambda shard: self._differentiate(rows[shard], count, judge))
        self._optimizer.step([gradients for gradients, _ in parts if gradients], self._copies)
        return torch.stack([figures for _, figures in parts if figures is not None]).sum(dim=0) / count

    def _differentiate(
        self, rows: slice, count: int, judge: Callable[[Weights, slice], tuple[Tensor, Tensor]]
    ) -> tuple[Weights, Tensor | None]:
        """Differentiate the loss of some rows, as a part of the mean over `count` rows; see `_step`.

        Returns:
            The gradient of each parameter and the sums of the figures, float64; nothing where there is no row.
        """
        # Leaves of its own, so that no other shard adds to their gradients.
        leaves = {
            name: self._copies.get(name, parameter).detach().requires_grad_()
            for name, parameter in self._network.parameters.items()
        }
        gradients: Weights = {}
        sums: Tensor | None = None
        for start in range(rows.start, rows.stop, self._rows_at_once):
            weights = self._network.weights_for(compute_dtype(self.precision), leaves)
            loss, figures = judge(weights, slice(start, min(start + self._rows_at_once, rows.stop)))
            parts = dict(zip(leaves, torch.autograd.grad(loss / count, list(leaves.values())), strict=True))
            gradients = {name: gradients[name].float() + part for name, part in parts.items()} if gradients else parts
            figures = figures.detach().double()
            sums = figures if sums is None else sums + figures
        return gradients, sums

    def _canonical_weights(self) -> dict[str, NDArray[np.float32]]:
        with torch.no_grad():
            return {
                name: self._network.canonical(name, parameter).cpu().numpy()
                for name, parameter in self._network.parameters.items()
            }

    def _has_finite_weights(self) -> bool:
        return all(bool(parameter.isfinite().all()) for parameter in self._network.parameters.values())

    @contextmanager
    def _learning(self) -> Iterator[None]:
        """Surround an update: when anything goes wrong in it, weights and optimiser are as before."""
        before = learner_state.copy_state(self._network, self._optimizer)
        self._network.refresh_copies(self._copies)
        try:
            yield
        except BaseException:
            learner_state.restore_state(self._network, self._optimizer, before)
            raise
        finally:
            del before
            release_free_memory()

    def _broken(self, what: str, largest: float, seen: str) -> FailedError:
        """Make the error of an update whose numbers are not finite any more, naming the likeliest cause.

        Args:
            what: What broke, as the start of a sentence.
            largest: Absolute value of the largest return that was learned from, or a bound of it.
            seen: What is said about it.
        """
        what = f"{what}: its loss is not a finite number any more"
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
                expected=f"returns of moderate size; {seen}",
                fix="return smaller rewards in custom_files/reward_function.py, about 1 per step",
            )
        return FailedError(
            what,
            where="hyperparameters.json: lr",
            expected=f"a learning rate that stays stable; {self._hyperparameters.learning_rate:g} is probably too high",
            fix='lower "lr" in custom_files/hyperparameters.json, for example to 0.0003',
        )
