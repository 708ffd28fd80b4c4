"""Policies that a network plays: what a collection asks for actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from drctl.simulation.random import EVALUATION_OFFSET, STREAM_ACTION, keyed_uniforms
from drctl.trainer.rollout import Actions
from drctl.trainer.transitions import as_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.simulation.episode import EpisodeStart
    from drctl.trainer.distributions import ActionDistribution
    from drctl.trainer.networks import ActorCritic


class NetworkPolicy:
    """A network as it was when the policy was made; later updates do not reach it.

    The rows of a call are computed by one thread: a collection's batch is so small that dividing it saves a quarter of
    the time on an idle machine and costs more than that where workers use the other cores.

    Args:
        network: Its weights are copied.
        dtype: Type the network computes in.
        device: Where the network is.
        seed: Of the action noise.
        is_greedy: Take the likeliest action, or the mean, instead of drawing one.
        rows_at_once: Rows that go through the network together.
    """

    def __init__(
        self,
        network: ActorCritic,
        dtype: torch.dtype,
        device: torch.device,
        *,
        seed: int,
        is_greedy: bool,
        rows_at_once: int,
    ) -> None:
        self._network = network
        self._device = device
        self._seed = seed
        self._is_greedy = is_greedy
        self._rows_at_once = rows_at_once
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
        with torch.inference_mode():
            pixels = as_tensor(frames).to(self._device)
            parts = [
                self._decide(pixels[rows], starts[rows], steps[rows])
                for rows in (
                    slice(first, first + self._rows_at_once) for first in range(0, len(frames), self._rows_at_once)
                )
            ]
            actions, log_probs, values = (torch.cat(columns).cpu().numpy() for columns in zip(*parts, strict=True))
        return Actions(actions, log_probs, values)

    def _decide(
        self, pixels: Tensor, starts: Sequence[EpisodeStart], steps: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor, Tensor]:
        distribution, values = self._network.forward(self._weights, pixels)
        actions = distribution.mode() if self._is_greedy else self._draw(distribution, starts, steps)
        return actions, distribution.log_prob(actions), values

    def _draw(
        self, distribution: ActionDistribution, starts: Sequence[EpisodeStart], steps: NDArray[np.int64]
    ) -> Tensor:
        episodes = np.fromiter((start.episode for start in starts), np.int64, len(starts))
        stream = STREAM_ACTION + (EVALUATION_OFFSET if starts[0].phase == "evaluation" else 0)
        uniforms = keyed_uniforms(
            self._seed, stream, starts[0].iteration, episodes, steps.astype(np.int64), distribution.draws
        )
        return distribution.sample(torch.from_numpy(uniforms).to(self._device))
