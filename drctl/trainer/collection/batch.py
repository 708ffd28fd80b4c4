"""The episodes of one collection while they are driven: each has its row, whoever drives it."""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.link.messages import PLAIN_FRAME
from drctl.trainer.rollout import Episode
from drctl.trainer.shards import split_evenly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.episode import EpisodeRecord, EpisodeStart
    from drctl.trainer.rollout import Actions, Policy

    AtOnce = Callable[[Sequence[Callable[[], Actions]]], list[Actions]]

FIRST_CAPACITY: Final = 1024
"""Frames, and steps, that there is room for at first: 68 s of driving at 15 steps per second."""


class FrameStore:
    """Frames of one episode in memory of its own.

    It grows by remapping, so nothing is copied and what is not filled takes no memory, and it goes back to the
    system at once when the last array on it is gone: an iteration's frames are most of what a trainer holds.

    Args:
        shape: Of a frame.
    """

    def __init__(self, shape: tuple[int, ...] = PLAIN_FRAME) -> None:
        self._shape = shape
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._memory = mmap.mmap(-1, FIRST_CAPACITY * math.prod(shape), flags=flags)
        with contextlib.suppress(OSError):  # a kernel without huge pages
            # A page fault every fifth of a frame is half the time of a tick; a fault every 109 frames is nothing.
            self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._frames: NDArray[np.uint8] | None = None
        self._count = 0
        self._open_view()

    def __len__(self) -> int:
        return self._count

    def append(self, frame: NDArray[np.uint8]) -> None:
        """Add a frame; not after `take`."""
        if self._frames is None or self._count == len(self._frames):
            self._frames = None  # a mapping that arrays look into cannot be resized
            self._memory.resize(2 * len(self._memory))
            self._frames = self._open_view()
        self._frames[self._count] = frame
        self._count += 1

    def take(self) -> NDArray[np.uint8]:
        """Return all frames, shape (T, *shape), without a copy."""
        return self._open_view()[: self._count]

    def _open_view(self) -> NDArray[np.uint8]:
        self._frames = np.frombuffer(self._memory, np.uint8).reshape(-1, *self._shape)
        return self._frames


@dataclass(frozen=True)
class Group:
    """Episodes of a collection that one policy plays.

    Attributes:
        starts: The episodes, all of one phase and iteration.
        policy: Decides; asked with one row per start, in equal blocks of at most its `rows_at_once`.
    """

    starts: Sequence[EpisodeStart]
    policy: Policy


def one_by_one(decisions: Sequence[Callable[[], Actions]]) -> list[Actions]:
    """Let policies decide one after the other."""
    return [decide() for decide in decisions]


@dataclass(frozen=True)
class _Block:
    """Rows of a group that are decided together, always all of them."""

    rows: slice
    starts: Sequence[EpisodeStart]
    policy: Policy


class Batch:
    """What is known of the episodes of a collection.

    Args:
        groups: Who plays what. The rows of a group follow those of the group before, in the order of its starts.
        frame_shape: Shape of a frame.
        stack: Frames that a policy sees at once, oldest first; the first one of an episode stands for those that are
            missing.
        at_once: Lets policies decide about several blocks of rows.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        frame_shape: tuple[int, ...] = PLAIN_FRAME,
        stack: int = 1,
        at_once: AtOnce = one_by_one,
    ) -> None:
        self.starts = [start for group in groups for start in group.starts]
        count = len(self.starts)
        ends = np.cumsum([0, *(len(group.starts) for group in groups)]).tolist()
        self._at_once = at_once
        self._group_rows = list(map(range, ends[:-1], ends[1:]))
        self._blocks = [
            block for group, rows in zip(groups, self._group_rows, strict=True) for block in _blocks(group, rows)
        ]
        self.steps = np.zeros(count, np.int64)
        self.finished: dict[int, Episode] = {}
        self._frame_shape = frame_shape
        self._frames = np.zeros((count, *frame_shape) if stack == 1 else (count, stack, *frame_shape), np.uint8)
        self._is_stacked = stack > 1
        self._stores = [FrameStore(frame_shape) for _ in range(count)]
        self._log_probs = np.empty((count, FIRST_CAPACITY), np.float32)
        self._values = np.empty((count, FIRST_CAPACITY), np.float32)
        self._rewards = np.empty((count, FIRST_CAPACITY), np.float32)
        self._actions: NDArray[Any] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every episode is finished."""
        return len(self.finished) == len(self.starts)

    @property
    def group_rows(self) -> list[range]:
        """Rows of each group."""
        return self._group_rows

    def number_of(self, row: int) -> int:
        """Return an episode's number in its run: those of its phase are counted through all iterations, from 0."""
        start = self.starts[row]
        size = next(len(rows) for rows in self.group_rows if row in rows)
        return start.iteration * size + start.episode

    def episodes(self) -> list[list[Episode]]:
        """Return the finished episodes of each group in the order of its starts."""
        return [[self.finished[row] for row in rows] for rows in self.group_rows]

    def forget(self, row: int) -> None:
        """Take back what was seen of an episode: it is driven again from its start."""
        self.steps[row] = 0
        self._stores[row] = FrameStore(self._frame_shape)

    def observe(self, rows: NDArray[np.int64], frames: NDArray[np.uint8]) -> None:
        """Take in what the cars of some rows see.

        Args:
            rows: Shape (k,), each at most once.
            frames: Shape (k, *frame_shape).
        """
        for row, frame in zip(rows.tolist(), frames, strict=True):
            if self._is_stacked and len(self._stores[row]):
                self._frames[row, :-1] = self._frames[row, 1:]
                self._frames[row, -1] = frame
            else:
                self._frames[row] = frame
            self._stores[row].append(frame)

    def decide(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Ask the policies for the actions of some rows, each with all rows of its block.

        Args:
            rows: Rows whose cars wait, shape (k,), k > 0.

        Returns:
            Their actions, shape (k,) or (k, 2).
        """
        steps = self.steps[rows]
        if steps.max() >= self._rewards.shape[1]:
            self._grow()
        waiting = [
            (block, mine)
            for block in self._blocks
            if len(mine := rows[(rows >= block.rows.start) & (rows < block.rows.stop)])
        ]
        decisions = self._at_once(
            [
                partial(block.policy.act, self._frames[block.rows], block.starts, self.steps[block.rows])
                for block, _ in waiting
            ]
        )
        for (block, mine), decided in zip(waiting, decisions, strict=True):
            if self._actions is None:
                shape = (*self._rewards.shape, *decided.actions.shape[1:])
                self._actions = np.empty(shape, decided.actions.dtype)
            chosen, at = mine - block.rows.start, self.steps[mine]
            self._actions[mine, at] = decided.actions[chosen]
            self._log_probs[mine, at] = decided.log_probs[chosen]
            self._values[mine, at] = decided.values[chosen]
        if self._actions is None:
            raise ValueError("no row to decide for")
        return self._actions[rows, steps]

    def reward(self, rows: NDArray[np.int64], rewards: NDArray[np.float32]) -> None:
        """Take in what the last actions of some rows earned, shapes (k,)."""
        self._rewards[rows, self.steps[rows]] = rewards
        self.steps[rows] += 1

    def finish(
        self,
        row: int,
        record: EpisodeRecord,
        final_frame: NDArray[np.uint8] | None,
        *,
        is_terminated: bool,
    ) -> None:
        """Close an episode.

        Args:
            row: Which.
            record: What the log tools get.
            final_frame: What the car sees after its last action when the episode was truncated, else None; copied.
            is_terminated: Whether a rule of the race ended it.
        """
        if self._actions is None:
            raise ValueError(f"episode {row} cannot end before its first action")
        taken = slice(0, int(self.steps[row]))
        self.finished[row] = Episode(
            start=self.starts[row],
            frames=self._stores[row].take(),
            final_frame=None if final_frame is None else final_frame.copy(),
            actions=self._actions[row, taken].copy(),
            log_probs=self._log_probs[row, taken].copy(),
            values=self._values[row, taken].copy(),
            rewards=self._rewards[row, taken].copy(),
            terminated=is_terminated,
            truncated=final_frame is not None,
            record=record,
        )

    def _grow(self) -> None:
        self._log_probs = _doubled(self._log_probs)
        self._values = _doubled(self._values)
        self._rewards = _doubled(self._rewards)
        if self._actions is not None:
            self._actions = _doubled(self._actions)


def _blocks(group: Group, rows: range) -> list[_Block]:
    """Divide a group into blocks whose sizes differ by at most one; nothing but the group and its policy matters."""
    count = max(1, math.ceil(len(rows) / group.policy.rows_at_once))
    return [
        _Block(slice(rows.start + part.start, rows.start + part.stop), group.starts[part], group.policy)
        for part in split_evenly(len(rows), count)
    ]


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    larger = np.empty((array.shape[0], 2 * array.shape[1], *array.shape[2:]), array.dtype)
    larger[:, : array.shape[1]] = array
    return larger
