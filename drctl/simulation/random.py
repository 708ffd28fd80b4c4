"""Random numbers that depend only on their key, never on the order of the draws.

Every draw of a run is named by (seed, stream, iteration, episode, step, draw). So an episode that is played again, by
another worker or beside other cars, meets the same jitter, the same start and the same action noise.

The generator is the SplitMix64 finaliser applied after each word of the key is mixed in (Steele, Lea, Flood: Fast
splittable pseudorandom number generators, OOPSLA 2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, uint64

if TYPE_CHECKING:
    from numpy.typing import NDArray

STREAM_STEP_TIME = 1
STREAM_WALL_SHADE = 2
STREAM_ACTION = 3
STREAM_SHUFFLE = 4
STREAM_START = 5
STREAM_RANDOMIZATION = 6
STREAM_PLACES = 7
STREAM_REPLAY = 8
STREAM_LIDAR = 9
STREAM_LANE_CHANGE = 10

EVALUATION_OFFSET = 1 << 20
"""Added to the stream in evaluation episodes, so that they share no draw with training episode e of their iteration."""

_GOLDEN = 0x9E3779B97F4A7C15
_TO_UNIT = 1.0 / (1 << 53)


@njit(cache=True, inline="always")
def _mix(state: int) -> int:
    z = uint64(state)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    mixed: int = z ^ (z >> uint64(31))
    return mixed


@njit(cache=True)
def keyed_uniform(seed: int, stream: int, iteration: int, episode: int, step: int, draw: int) -> float:
    """Return the uniform number in [0, 1) that belongs to a key; callable from compiled kernels.

    Args:
        seed: Seed of the run.
        stream: One of the ``STREAM_`` constants, plus `EVALUATION_OFFSET` in evaluation episodes.
        iteration: Iteration, from 0.
        episode: Episode of the iteration, from 0.
        step: Step of the episode.
        draw: Number of the draw within the step, from 0.
    """
    state = _mix(uint64(seed) + uint64(_GOLDEN))
    state = _mix((state ^ uint64(stream)) + uint64(_GOLDEN))
    state = _mix((state ^ uint64(iteration)) + uint64(_GOLDEN))
    state = _mix((state ^ uint64(episode)) + uint64(_GOLDEN))
    state = _mix((state ^ uint64(step)) + uint64(_GOLDEN))
    state = _mix((state ^ uint64(draw)) + uint64(_GOLDEN))
    uniform: float = (state >> uint64(11)) * _TO_UNIT
    return uniform


@njit(cache=True)
def keyed_uniforms(
    seed: int,
    stream: int,
    iteration: int,
    episodes: NDArray[np.int64],
    steps: NDArray[np.int64],
    draws: int,
) -> NDArray[np.float64]:
    """Return the draws 0..draws-1 of many (episode, step) keys of one iteration.

    Args:
        seed: Seed of the run.
        stream: One of the ``STREAM_`` constants.
        iteration: Iteration, from 0.
        episodes: Shape (B,).
        steps: Shape (B,).
        draws: Draws per key.

    Returns:
        Uniform numbers in [0, 1), shape (B, draws).
    """
    out = np.empty((len(episodes), draws))
    for row in range(len(episodes)):
        for draw in range(draws):
            out[row, draw] = keyed_uniform(seed, stream, iteration, episodes[row], steps[row], draw)
    return out


def keyed_permutation(seed: int, stream: int, iteration: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return a permutation of 0..count-1 that belongs to (seed, stream, iteration, epoch).

    Raises:
        ValueError: `count` is negative.
    """
    if count < 0:
        raise ValueError(f"count must not be negative, got {count}")
    keys = keyed_uniforms(
        seed, stream, iteration, np.full(count, epoch, np.int64), np.arange(count, dtype=np.int64), 1
    )[:, 0]
    return np.argsort(keys, kind="stable").astype(np.int64)
