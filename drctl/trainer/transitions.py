"""The transitions of an iteration, ordered by (episode, step), and minibatches of them.

Frames are never copied as a whole: they stay the bytes of their episodes, and a minibatch gathers the rows it needs.
Only a GPU gets a copy of its own, once per iteration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.trainer.rollout import Episode


@dataclass(frozen=True)
class Minibatch:
    """Some transitions, on the device.

    Attributes:
        frames: uint8, shape (B, *frame), or (B, stack, *frame).
        actions: int64 (B,) or float32 (B, 2).
        log_probs: Of the actions when they were drawn, float32, shape (B,).
        advantages: Standardised, float32, shape (B,).
        returns: Targets of the value function, float32, shape (B,).
    """

    frames: Tensor
    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    returns: Tensor


class Transitions:
    """What an update learns from.

    Args:
        episodes: Their transitions are numbered in this order.
        advantages: Standardised, shape (number of transitions,).
        returns: Same shape.
        device: Where minibatches are made.
        stack: Frames that the network sees at once.
    """

    def __init__(
        self,
        episodes: Sequence[Episode],
        advantages: NDArray[np.float32],
        returns: NDArray[np.float32],
        device: torch.device,
        stack: int = 1,
    ) -> None:
        lengths = [len(episode) for episode in episodes]
        self._firsts = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)  # where each transition's episode begins
        self._stack = stack
        self._frames = [as_tensor(episode.frames) for episode in episodes]
        if device.type != "cpu":
            self._frames = [_on_device(self._frames, device)]
        self._ends = np.cumsum([len(frames) for frames in self._frames])
        self._actions = as_tensor(np.concatenate([episode.actions for episode in episodes])).to(device)
        self._log_probs = as_tensor(np.concatenate([episode.log_probs for episode in episodes])).to(device)
        self._advantages = as_tensor(advantages).to(device)
        self._returns = as_tensor(returns).to(device)
        self._device = device

    def __len__(self) -> int:
        return int(self._ends[-1])

    def largest_return(self) -> float:
        """Return the largest absolute target of the value function; not finite when one of them is not."""
        return float(self._returns.abs().max())

    def gather(self, numbers: NDArray[np.int64], into: Minibatch | None = None) -> Minibatch:
        """Collect transitions, in ascending order of their numbers.

        Args:
            numbers: Numbers of transitions, each at most once, shape (B,).
            into: A minibatch of B transitions whose tensors are overwritten; None for a new one.
        """
        numbers = np.sort(numbers)
        index = self._index(numbers)
        batch = into or self._empty(len(numbers))
        if self._stack == 1:
            self._gather_frames(numbers, batch.frames)
        else:
            self._gather_stacks(numbers, batch.frames)
        for source, target in (
            (self._actions, batch.actions),
            (self._log_probs, batch.log_probs),
            (self._advantages, batch.advantages),
            (self._returns, batch.returns),
        ):
            torch.index_select(source, 0, index, out=target)
        return batch

    def _empty(self, count: int) -> Minibatch:
        columns = (self._actions, self._log_probs, self._advantages, self._returns)
        frame = self._frames[0].shape[1:]
        frames = self._frames[0].new_empty((count, *frame) if self._stack == 1 else (count, self._stack, *frame))
        return Minibatch(frames, *(column.new_empty((count, *column.shape[1:])) for column in columns))

    def _gather_stacks(self, numbers: NDArray[np.int64], stacks: Tensor) -> None:
        frames = torch.empty_like(stacks[:, 0])
        for place in range(self._stack):
            age = self._stack - 1 - place
            self._gather_frames(np.maximum(numbers - age, self._firsts[numbers]), frames)
            stacks[:, place] = frames

    def _gather_frames(self, numbers: NDArray[np.int64], frames: Tensor) -> None:
        stops = np.searchsorted(numbers, self._ends)
        start = 0
        for source, end, stop in zip(self._frames, self._ends, stops, strict=True):
            if stop > start:
                rows = self._index(numbers[start:stop] - (end - len(source)))
                torch.index_select(source, 0, rows, out=frames[start:stop])
            start = stop

    def _index(self, numbers: NDArray[np.int64]) -> Tensor:
        index = torch.from_numpy(numbers)
        # From memory that the GPU reads by itself, or the copy would wait until the GPU has done all that it was given.
        return index if self._device.type == "cpu" else index.pin_memory().to(self._device, non_blocking=True)


def _on_device(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    """Lay tensors end to end in a device's memory; on this side nothing is copied."""
    whole = torch.empty((sum(map(len, parts)), *parts[0].shape[1:]), dtype=parts[0].dtype, device=device)
    start = 0
    for part in parts:
        whole[start : start + len(part)].copy_(part)
        start += len(part)
    return whole


def final_observation(frames: NDArray[np.uint8], final: NDArray[np.uint8], stack: int) -> NDArray[np.uint8]:
    """Return what a network sees after the last decision of an episode that was cut off.

    Args:
        frames: What was seen before each decision, shape (T, *frame).
        final: What was seen after the last one, shape (*frame).
        stack: Frames that the network sees at once.

    Returns:
        Shape (*frame) for one frame, (stack, *frame) for several.
    """
    if stack == 1:
        return final
    before = np.arange(len(frames) - stack + 1, len(frames)).clip(0)
    return np.concatenate([frames[before], final[np.newaxis]])


def as_tensor(array: NDArray[Any]) -> Tensor:
    """View an array as a tensor; it is copied only where it is read-only or has gaps."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))
