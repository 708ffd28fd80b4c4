"""The words for how a step or an episode stands: in traces and in metrics files (contract 4.1, 4.3)."""

from __future__ import annotations

from enum import Enum


class EpisodeStatus(Enum):
    """State of an episode at one step; the value is the word in traces."""

    PREPARE = "prepare"
    IN_PROGRESS = "in_progress"
    OFF_TRACK = "off_track"
    CRASHED = "crashed"
    LAP_COMPLETE = "lap_complete"
    IMMOBILIZED = "immobilized"
    REVERSED = "reversed"
    PAUSE = "pause"
    PARK = "park"
    TIME_UP = "time_up"

    @property
    def label(self) -> str:
        """The word in metrics files, such as ``Off track``."""
        return "Time Up" if self is EpisodeStatus.TIME_UP else self.value.replace("_", " ").capitalize()

    @property
    def index(self) -> int:
        """Position in the enumeration, 0 to 9; what compiled kernels and `TRACE_DTYPE` hold."""
        return _ORDER.index(self)

    @classmethod
    def from_index(cls, index: int) -> EpisodeStatus:
        """Return the member at a position."""
        return _ORDER[index]


_ORDER = tuple(EpisodeStatus)
