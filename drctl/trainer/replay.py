"""What a training has seen, for algorithms that learn from it again: every frame is kept once.

A slot holds a frame and what followed it: the action, its reward, and in the next slot the frame that came then. An
episode that was cut off has one more slot, for its final frame, from which no transition starts. Full, the buffer
overwrites its oldest slots. A transition and the frame behind it never come apart: the frame in the next slot is
younger, so it is overwritten later.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from drctl.errors import ConfigError
from drctl.link.messages import PLAIN_FRAME
from drctl.trainer.transitions import as_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.trainer.rollout import Episode

MOST_SLOTS: Final = 1_000_000  # contract 6.5
ACTION_SIZE: Final = 2  # steering and speed


@dataclass(frozen=True)
class ReplayBatch:
    """Some transitions, on the device.

    Attributes:
        frames: uint8, shape (B, *frame), or (B, stack, *frame).
        next_frames: What came then, same shape; anything where the episode ended by a rule.
        actions: In [-1, 1], float32, shape (B, 2).
        rewards: float32, shape (B,).
        is_terminated: Whether a rule of the race ended the episode there, bool, shape (B,).
    """

    frames: Tensor
    next_frames: Tensor
    actions: Tensor
    rewards: Tensor
    is_terminated: Tensor


def slots_within(size_gb: float, frame_shape: tuple[int, ...] = PLAIN_FRAME) -> int:
    """Return how many frames fit into a number of GB (1e9 bytes), at most a million."""
    return min(MOST_SLOTS, int(size_gb * 1e9) // prod(frame_shape))


class ReplayBuffer:
    """A ring of slots; memory is taken as it fills.

    Args:
        slots: How many there are.
        device: Where batches are made; the buffer itself is in the main memory.
        frame_shape: Shape of a frame.
        stack: Frames that the network sees at once, oldest first; the first one that is there of an episode stands for
            those that are not.

    Raises:
        ConfigError: There is no room for two frames.
    """

    def __init__(
        self, slots: int, device: torch.device, frame_shape: tuple[int, ...] = PLAIN_FRAME, stack: int = 1
    ) -> None:
        if slots < 2:
            raise ConfigError(
                f"a replay buffer of {slots} frames holds no transition",
                where="DR_SAC_BUFFER_GB",
                expected="room for at least two frames",
                fix="drctl config set DR_SAC_BUFFER_GB=2.0",
            )
        memory = mmap.mmap(-1, slots * prod(frame_shape), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._frames = np.frombuffer(memory, np.uint8).reshape(slots, *frame_shape)
        self._steps = np.zeros(slots, np.int64)  # of the frame within its episode
        self._stack = stack
        self._actions = np.zeros((slots, ACTION_SIZE), np.float32)
        self._rewards = np.zeros(slots, np.float32)
        self._is_terminated = np.zeros(slots, np.bool_)
        self._has_transition = np.zeros(slots, np.bool_)
        self._starts = np.empty(0, np.int64)
        self._head = 0
        self._device = device

    def __len__(self) -> int:
        """Return the number of transitions."""
        return len(self._starts)

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return len(self._frames)

    def add(self, episodes: Sequence[Episode]) -> None:
        """Take in whole episodes, in their order; of one that is longer than the buffer, the end.

        Raises:
            ValueError: An episode was cut off and has no final frame.
        """
        for number, episode in enumerate(episodes):
            if not episode.terminated and episode.final_frame is None:
                raise ValueError(f"episode {number} was cut off but has no final observation")
            self._add(episode)
        self._starts = np.flatnonzero(self._has_transition)

    def largest_reward(self) -> float:
        """Return the largest absolute reward in it; not finite when one of them is not."""
        return float(np.abs(self._rewards).max())

    def pick(self, uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
        """Turn uniform numbers in [0, 1), shape (B,), into slots from which a transition starts, each as likely."""
        picked: NDArray[np.int64] = self._starts[(uniforms * len(self._starts)).astype(np.int64)]
        return picked

    def gather(self, slots: NDArray[np.int64]) -> ReplayBatch:
        """Collect the transitions that start in some slots."""
        return ReplayBatch(
            self._frames_at(slots).to(self._device),
            self._frames_at((slots + 1) % self.slots).to(self._device),
            as_tensor(self._actions[slots]).to(self._device),
            as_tensor(self._rewards[slots]).to(self._device),
            as_tensor(self._is_terminated[slots]).to(self._device),
        )

    def _frames_at(self, slots: NDArray[np.int64]) -> Tensor:
        stored = torch.from_numpy(self._frames)
        if self._stack == 1:
            return stored.index_select(0, torch.from_numpy(slots))
        # How far an episode reaches back from a slot; the slots before the head's are gone.
        reach = np.minimum(self._steps[slots], (slots - self._head) % self.slots)
        ages = np.minimum(np.arange(self._stack)[::-1], reach[:, np.newaxis])
        numbers = (slots[:, np.newaxis] - ages) % self.slots
        stacks = stored.index_select(0, torch.from_numpy(numbers.ravel()))
        return stacks.view(len(slots), self._stack, *stored.shape[1:])

    def _add(self, episode: Episode) -> None:
        first = max(0, len(episode) + episode.truncated - self.slots)
        steps = slice(first, len(episode))
        slots = self._take(len(episode) - first)
        self._frames[slots] = episode.frames[steps]
        self._steps[slots] = np.arange(first, len(episode))
        self._actions[slots] = episode.actions[steps]
        self._rewards[slots] = episode.rewards[steps]
        self._is_terminated[slots] = False
        self._has_transition[slots] = True
        if episode.terminated and len(slots):
            self._is_terminated[slots[-1]] = True
        elif episode.final_frame is not None:
            slot = self._take(1)
            self._frames[slot] = episode.final_frame
            self._steps[slot] = len(episode)
            self._has_transition[slot] = False

    def _take(self, count: int) -> NDArray[np.int64]:
        """Return the next slots to write, shape (count,)."""
        slots = (self._head + np.arange(count)) % self.slots
        self._head = (self._head + count) % self.slots
        return slots
