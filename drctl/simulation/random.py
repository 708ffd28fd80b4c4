"""Random numbers that depend only on their key, never on the order of the draws.

Every draw of a run is named by (seed, stream, iteration, episode, step, draw). So an episode that is played again, by
another worker or beside other cars, meets the same jitter, the same start and the same action noise.

The generator is the SplitMix64 finaliser applied after each word of the key is mixed in (Steele, Lea, Flood: Fast
splittable pseudorandom number generators, OOPSLA 2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_TO_UNIT = 1.0 / (1 << 53)


def uniform_of(seed: int, stream: int, iteration: int, episode: int, step: int, draw: int) -> float:
    """Return the uniform number in [0, 1) that belongs to a key.

    One text for two ways to compute it: `keyed_uniforms` calls it with whole arrays, of which the first is `seed`, and
    `random_kernel` compiles it, so that a trainer does without a compiler.

    Args:
        seed: Seed of the run.
        stream: One of the ``STREAM_`` constants, plus `EVALUATION_OFFSET` in evaluation episodes.
        iteration: Iteration, from 0.
        episode: Episode of the iteration, from 0.
        step: Step of the episode.
        draw: Number of the draw within the step, from 0.
    """
    state = np.uint64(0)
    run = (np.uint64(seed), np.uint64(stream), np.uint64(iteration))
    moment = (np.uint64(episode), np.uint64(step), np.uint64(draw))
    for word in run + moment:
        mixed = (state ^ word) + _GOLDEN
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FACTORS[0]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _FACTORS[1]
        state = mixed ^ (mixed >> np.uint64(31))
    uniform: float = (state >> np.uint64(11)) * _TO_UNIT
    return uniform


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
    # An array from the first word on: numpy warns of an overflow only where it computes with scalars.
    keys = np.full((1, 1), seed), stream, iteration, episodes[:, np.newaxis], steps[:, np.newaxis], np.arange(draws)
    uniforms: NDArray[np.float64] = uniform_of(*keys)  # type: ignore[arg-type, assignment]
    return uniforms


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
