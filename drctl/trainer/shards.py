"""Fixed shares of a computation, and the threads that carry them out.

Torch by itself splits every operation among its threads and waits for the last of them, several hundred times per
gradient step: whenever another process takes a core, all of them wait for the thread that had it. Here an operation is
computed by the one thread that called it, a thread computes a whole shard, and threads wait for each other once per
step. What a shard computes depends on how many shards there are, and not on how many threads carry them out or when.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Final, TypeVar

import torch

MOST_SHARDS: Final = 8  # each holds a gradient of its own; beyond, a minibatch of 64 leaves it too few rows
_Result = TypeVar("_Result")


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_shards(device: torch.device) -> int:
    """Return how many shards make use of a device: as many as the process has cores, at most eight; 1 on a GPU."""
    return min(usable_cores(), MOST_SHARDS) if device.type == "cpu" else 1


def split_evenly(length: int, count: int) -> list[slice]:
    """Divide `length` rows into `count` consecutive slices of sizes that differ by at most one."""
    edges = [length * number // count for number in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


class Shards:
    """A fixed number of shards.

    From here on torch computes every operation of the process with one thread.

    Args:
        count: Number of shards, at least 1.
        threads: Threads that carry them out; None for as many as the process has cores. Results do not depend on it.

    Attributes:
        count: Number of shards.

    Raises:
        ValueError: There is no shard.
    """

    def __init__(self, count: int, *, threads: int | None = None) -> None:
        if count < 1:
            raise ValueError(f"expected at least one shard, got {count}")
        self.count = count
        _compute_alone()
        # Torch keeps the number of threads per thread; a new one may start with as many as there are cores.
        self._pool = ThreadPoolExecutor(min(count, threads or usable_cores()), "shard", _compute_alone)

    def split(self, length: int) -> list[slice]:
        """Divide `length` rows into one slice per shard; see `split_evenly`."""
        return split_evenly(length, self.count)

    def run(self, work: Callable[[int], _Result]) -> list[_Result]:
        """Call `work` with the number of each shard and return the answers in that order.

        When a call fails, the error of the first shard that failed is raised, after all calls have ended.
        """
        return self.call([partial(work, number) for number in range(self.count)])

    def call(self, works: Sequence[Callable[[], _Result]]) -> list[_Result]:
        """Call each of some functions in a thread of a shard and return the answers in that order; errors as in `run`.

        With one shard, as on a GPU, this thread calls them one after the other.
        """
        if self.count == 1 or len(works) == 1:
            return [work() for work in works]
        calls = [self._pool.submit(work) for work in works]
        try:
            return [call.result() for call in calls]
        finally:
            wait(calls)


def _compute_alone() -> None:
    torch.set_num_threads(1)
