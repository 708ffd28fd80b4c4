"""How long a step lasts: the original's steps are paced by its camera and are not all alike (simulator-facts 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from drctl.simulation.random import STREAM_STEP_TIME
from drctl.simulation.random_kernel import keyed_uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOMINAL_S: Final = 1.0 / 15.0
"""One frame of the camera."""

# Share of steps that are shorter, and the length in seconds: 40,754 steps of a real training with one worker, to the
# log's millisecond. The longest are cut at the 137 ms of simulator-facts 1.4.
_QUANTILES: Final = np.array(
    [
        [0.0, 0.036],
        [0.005, 0.041],
        [0.025, 0.048],
        [0.05, 0.051],
        [0.1, 0.055],
        [0.15, 0.057],
        [0.2, 0.059],
        [0.3, 0.062],
        [0.4, 0.064],
        [0.5, 0.067],
        [0.6, 0.069],
        [0.7, 0.071],
        [0.8, 0.074],
        [0.85, 0.076],
        [0.9, 0.078],
        [0.95, 0.082],
        [0.975, 0.085],
        [0.995, 0.092],
        [0.999, 0.099],
        [1.0, 0.137],
    ]
)


@njit(cache=True)
def step_time(uniform: float) -> float:
    """Return the length in seconds of which a share `uniform` of all steps is shorter.

    Args:
        uniform: In [0, 1).
    """
    entry = 1
    while _QUANTILES[entry, 0] <= uniform:
        entry += 1
    share = (uniform - _QUANTILES[entry - 1, 0]) / (_QUANTILES[entry, 0] - _QUANTILES[entry - 1, 0])
    length: float = _QUANTILES[entry - 1, 1] + share * (_QUANTILES[entry, 1] - _QUANTILES[entry - 1, 1])
    return length


@njit(cache=True)
def draw_step_time(seed: int, keys: NDArray[np.int64], step: int, has_jitter: bool) -> float:
    """Return the length of a step in seconds.

    Args:
        seed: Seed of the run.
        keys: Stream offset, iteration and episode, shape (3,), int64.
        step: Number of the step in its episode, from 1.
        has_jitter: Whether steps differ.
    """
    if not has_jitter:
        return NOMINAL_S
    uniform: float = keyed_uniform(seed, STREAM_STEP_TIME + keys[0], keys[1], keys[2], step, 0)
    length: float = step_time(uniform)
    return length
