"""Policies that a network plays: what a collection asks for actions."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from drctl.simulation.random import EVALUATION_OFFSET, STREAM_ACTION, keyed_uniforms
from drctl.trainer.cuda_graph import CudaGraph
from drctl.trainer.distributions import Categorical, EpsilonGreedy
from drctl.trainer.rollout import Actions
from drctl.trainer.transitions import as_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from drctl.simulation.episode import EpisodeStart
    from drctl.trainer.distributions import ActionDistribution
    from drctl.trainer.networks import Network


# Rows that one core decides about together: fewer read the weights too often for what another core gives
# (docs/performance.md, "Blocks of rows").
_ROWS_PER_CORE: Final = {torch.float32: 10, torch.bfloat16: 20}


class NetworkPolicy:
    """A network as it was when the policy was made; later updates do not reach it.

    One thread computes all rows of a call; on a CPU other threads may call it meanwhile.

    Args:
        network: Its weights are copied.
        dtype: Type the network computes in.
        device: Where the network is.
        seed: Of the action noise.
        is_greedy: Take the likeliest action, or the mean, instead of drawing one.
        epsilon: Share of actions that are drawn without looking, the others being the likeliest; None draws them all
            from the network's distribution. For discrete actions.

    Attributes:
        rows_at_once: See `rollout.Policy`; a GPU takes all that there are.
    """

    def __init__(
        self,
        network: Network,
        dtype: torch.dtype,
        device: torch.device,
        *,
        seed: int,
        is_greedy: bool,
        epsilon: float | None = None,
    ) -> None:
        self._network = network
        self._device = device
        self._seed = seed
        self._is_greedy = is_greedy
        self.rows_at_once = _ROWS_PER_CORE[dtype] if device.type == "cpu" else sys.maxsize
        self._epsilon = epsilon
        self._recorded: _Recorded | None = None
        with torch.inference_mode():
            self._weights = {
                name: tensor.clone() if tensor is network.parameters[name] else tensor
                for name, tensor in network.weights_for(dtype).items()
            }

    def act(self, frames: NDArray[np.uint8], starts: Sequence[EpisodeStart], steps: NDArray[np.int64]) -> Actions:
        """Choose one action per row; see `rollout.Policy`.

        Raises:
            ValueError: The arguments have different lengths.
        """
        if not len(frames) == len(starts) == len(steps):
            raise ValueError(
                f"expected as many frames as starts and steps, got {len(frames)}, {len(starts)} and {len(steps)}"
            )
        uniforms = None if self._is_greedy else self._uniforms(starts, steps)
        if self._device.type == "cuda":
            return self._replay(frames, uniforms)
        with torch.inference_mode():
            pixels = as_tensor(frames)
            parts = [
                self._decide(pixels[rows], None if uniforms is None else uniforms[rows])
                for rows in (
                    slice(first, first + self.rows_at_once) for first in range(0, len(frames), self.rows_at_once)
                )
            ]
            return Actions(*(torch.cat(columns).numpy() for columns in zip(*parts, strict=True)))

    def _replay(self, frames: NDArray[np.uint8], uniforms: Tensor | None) -> Actions:
        """Decide on a GPU; what is recorded are all rows of a collection's batch, which always has as many."""
        with torch.inference_mode():
            if self._recorded is None or len(self._recorded.pixels) != len(frames):
                self._recorded = _Recorded(self._decide, frames, uniforms, self._device)
            return self._recorded.replay(frames, uniforms)

    def _decide(self, pixels: Tensor, uniforms: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        distribution: ActionDistribution
        distribution, values = self._network.forward(self._weights, pixels)
        if self._epsilon is not None and isinstance(distribution, Categorical):
            distribution = EpsilonGreedy(distribution, self._epsilon)
        actions = distribution.mode() if uniforms is None else distribution.sample(uniforms)
        return actions, distribution.log_prob(actions), values

    def _uniforms(self, starts: Sequence[EpisodeStart], steps: NDArray[np.int64]) -> Tensor:
        episodes = np.fromiter((start.episode for start in starts), np.int64, len(starts))
        stream = STREAM_ACTION + (EVALUATION_OFFSET if starts[0].phase == "evaluation" else 0)
        draws = self._network.distribution.draws if self._epsilon is None else EpsilonGreedy.draws
        uniforms = keyed_uniforms(self._seed, stream, starts[0].iteration, episodes, steps.astype(np.int64), draws)
        return torch.from_numpy(uniforms)


class _Recorded:
    """A policy's decision for a fixed number of rows, recorded for a GPU."""

    def __init__(
        self,
        decide: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor, Tensor]],
        frames: NDArray[np.uint8],
        uniforms: Tensor | None,
        device: torch.device,
    ) -> None:
        self.pixels = as_tensor(frames).to(device)
        self._uniforms = None if uniforms is None else uniforms.to(device)
        compute = partial(decide, self.pixels, self._uniforms)
        self._decision = CudaGraph(compute, compute)

    def replay(self, frames: NDArray[np.uint8], uniforms: Tensor | None) -> Actions:
        self.pixels.copy_(as_tensor(frames))
        if self._uniforms is not None and uniforms is not None:
            self._uniforms.copy_(uniforms)
        return Actions(*(column.cpu().numpy() for column in self._decision.replay()))
