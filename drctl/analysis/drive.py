"""Driven steps: trace rows of many files as one table, its episodes, and the speed that the car really had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.simtrace import TRACE_DTYPE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WINDOW: Final = 2
_NEAR_M: Final = 0.05
_FASTEST_M_S: Final = 8.0
"""Twice the speed limit of an action (contract 5.2): beyond it the car was put somewhere else."""


@dataclass(frozen=True, eq=False)
class Drive:
    """Rows of several trace files, episode after episode.

    Attributes:
        rows: Shape (T,), dtype `TRACE_DTYPE`.
        iteration: Iteration of each row, shape (T,).
        slot: Its log slot, shape (T,).
    """

    rows: NDArray[np.void]
    iteration: NDArray[np.int64]
    slot: NDArray[np.int64]

    @classmethod
    def join(cls, files: Sequence[tuple[int, int, NDArray[np.void]]]) -> Drive:
        """Lay files end to end.

        Args:
            files: Iteration, slot and rows of each.
        """
        files = [one for one in files if len(one[2])]
        lengths = [len(rows) for _, _, rows in files]
        return cls(
            np.concatenate([np.empty(0, TRACE_DTYPE), *(rows for _, _, rows in files)]),
            np.repeat(np.array([one[0] for one in files], np.int64), lengths),
            np.repeat(np.array([one[1] for one in files], np.int64), lengths),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, mask: NDArray[np.bool_]) -> Drive:
        """Return some of the rows; a mask that cuts through episodes makes shorter ones of them."""
        return Drive(self.rows[mask], self.iteration[mask], self.slot[mask])

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """First row of each episode, shape (E,)."""
        if not len(self.rows):
            return np.empty(0, np.intp)
        changes = np.zeros(len(self.rows), np.bool_)
        changes[0] = True
        for column in (self.rows["episode"], self.iteration, self.slot):
            changes[1:] |= column[1:] != column[:-1]
        return np.flatnonzero(changes)

    @cached_property
    def ends(self) -> NDArray[np.intp]:
        """Last row of each episode, shape (E,)."""
        return np.append(self.starts[1:], len(self.rows))[: len(self.starts)] - 1

    @cached_property
    def speed_m_s(self) -> NDArray[np.float64]:
        """Way over time of the two steps before and after each row, shape (T,); NaN where nothing tells.

        Single steps vary in length, so their own speeds would jump (simulator-facts 1.4).
        """
        if not len(self.rows):
            return np.empty(0)
        distance = np.hypot(np.diff(self.rows["x"], prepend=np.nan), np.diff(self.rows["y"], prepend=np.nan))
        duration = np.diff(self.rows["tstamp"], prepend=np.nan)
        is_step = (duration > 0) & ~self.is_placed & (distance <= _FASTEST_M_S * duration)
        way, time = (np.cumsum(np.where(is_step, values, 0.0)) for values in (distance, duration))
        row = np.arange(len(self.rows))
        episode = np.searchsorted(self.starts, row, side="right") - 1
        low = np.maximum(row - _WINDOW, self.starts[episode])
        high = np.minimum(row + _WINDOW, self.ends[episode])
        seconds = time[high] - time[low]
        speed = np.full(len(row), np.nan)
        np.divide(way[high] - way[low], seconds, out=speed, where=seconds > 0)
        return speed

    @cached_property
    def is_placed(self) -> NDArray[np.bool_]:
        """Whether the car was put where it is, not driven there: first rows, and after resets, shape (T,)."""
        placed = np.zeros(len(self.rows), np.bool_)
        if len(self.rows) > 1:
            distance = np.hypot(np.diff(self.rows["x"]), np.diff(self.rows["y"]))
            placed[1:] = distance > np.maximum(_FASTEST_M_S * np.diff(self.rows["tstamp"]), _NEAR_M)
        placed[self.starts] = True
        return placed

    @cached_property
    def end_status(self) -> NDArray[np.uint8]:
        """How each episode ended, as `EpisodeStatus.index`, shape (E,)."""
        status: NDArray[np.uint8] = self.rows["status"][self.ends]
        return status

    def episodes_ending(self, *statuses: EpisodeStatus) -> NDArray[np.intp]:
        """Return the last rows of the episodes that ended so, shape (n,)."""
        wanted = np.isin(self.end_status, [status.index for status in statuses])
        return self.ends[wanted]
