"""The phases of an iteration: which one a collection is in, and how long each took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from drctl.trainer.collection import CollectionProgress, GroupProgress

SECONDS_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {"collecting": "collect", "updating": "update", "publishing": "publish", "evaluating": "evaluate"}
)
"""Under which key an iteration's summary has the seconds of a phase."""


class PhaseWatch:
    """Follows a collection whose groups are phases: it is in the phase of the first group that is not complete.

    Args:
        phases: Name of each group's phase.
        tell: Called with the phase, its group's progress and the whole collection's.

    Attributes:
        seconds: How long each phase took; together they are the time of the collection.
    """

    def __init__(self, phases: Sequence[str], tell: Callable[[str, GroupProgress, CollectionProgress], None]) -> None:
        self.seconds = dict.fromkeys(phases, 0.0)
        self._tell = tell
        self._told = time.monotonic()

    def __call__(self, progress: CollectionProgress) -> None:
        """Take in how far the collection is."""
        pairs = list(zip(self.seconds, progress.groups, strict=True))
        phase, group = next((pair for pair in pairs if not pair[1].is_complete), pairs[-1])
        now = time.monotonic()
        self.seconds[phase] += now - self._told
        self._told = now
        self._tell(phase, group, progress)
