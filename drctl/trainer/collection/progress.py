"""How far a collection is, as it tells after each answer to workers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GroupProgress:
    """How far a group of a collection is.

    Attributes:
        finished: Episodes that are finished.
        wanted: Episodes in all.
        steps: Steps with a reward so far, those of unfinished episodes included.
    """

    finished: int
    wanted: int
    steps: int

    @property
    def is_complete(self) -> bool:
        """Whether every episode is finished."""
        return self.finished == self.wanted


@dataclass(frozen=True)
class CollectionProgress:
    """How far a collection is.

    Attributes:
        groups: Each group.
        running: Episodes under way.
        waiting_since: Since when no worker has been there, seconds since 1970; None while one is.
    """

    groups: tuple[GroupProgress, ...]
    running: int
    waiting_since: float | None

    @property
    def steps(self) -> int:
        """Steps with a reward so far."""
        return sum(group.steps for group in self.groups)

    @property
    def is_waiting_for_workers(self) -> bool:
        """Whether there is no worker to play with."""
        return self.waiting_since is not None
