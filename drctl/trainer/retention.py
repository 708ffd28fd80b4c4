"""Which checkpoints stay in the store (DESIGN 4.7)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

RECENT = 10
"""The newest checkpoints that always stay."""

UNTRAINED = 0
"""The checkpoint that was there before anything was learned."""

OPTIMIZERS = 2
"""The newest checkpoints whose optimiser state stays: one to resume from, one in case that it is damaged."""


def checkpoints_to_drop(sizes: Mapping[int, int], best: int, budget_bytes: float) -> list[int]:
    """Choose the checkpoints to delete so that the rest fits a budget.

    The best and the last ten always stay, also beyond the budget. Of the others the untrained network, number 0, goes
    first, then the most redundant: the one whose two neighbours are closest in age on a logarithmic scale, so what
    remains is dense near the end and sparse before. The oldest, from which the history counts, goes last.

    Args:
        sizes: Bytes of each stored checkpoint by number.
        best: Number of the best checkpoint.
        budget_bytes: Space for all of them.

    Returns:
        Numbers to delete, ascending.
    """
    newest = max(sizes)
    kept = sorted(sizes)
    protected = {*kept[-RECENT:], best}
    dropped = []
    while sum(sizes[number] for number in kept) > budget_bytes:
        redundancy = {
            number: _redundancy(newest, kept, place) for place, number in enumerate(kept) if number not in protected
        }
        if not redundancy:
            break
        victim = min(redundancy, key=lambda number: (redundancy[number], number))
        kept.remove(victim)
        dropped.append(victim)
    return sorted(dropped)


def _redundancy(newest: int, kept: Sequence[int], place: int) -> float:
    """Return how far apart a checkpoint's neighbours are in logarithmic age: the less, the sooner it goes."""
    if kept[place] == UNTRAINED:
        return -math.inf
    if place == 0:
        return math.inf
    return _log_age(newest, kept[place - 1]) - _log_age(newest, kept[place + 1])


def _log_age(newest: int, number: int) -> float:
    return math.log(newest - number + 1)
