"""Keyed draws: the same whether computed by numpy or compiled, and the same as ever."""

import numpy as np
import pytest

from drctl.simulation.random import EVALUATION_OFFSET, STREAM_ACTION, keyed_permutation, keyed_uniforms
from drctl.simulation.random_kernel import keyed_uniform


@pytest.mark.parametrize("stream", [STREAM_ACTION, STREAM_ACTION + EVALUATION_OFFSET])
@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_arrays_and_kernels_draw_the_same_bits(seed, stream):
    random = np.random.default_rng(seed)
    episodes, steps = random.integers(0, 1000, 50), random.integers(0, 5000, 50)
    drawn = keyed_uniforms(seed, stream, 12, episodes, steps, 2)
    expected = [
        [keyed_uniform(seed, stream, 12, episode, step, draw) for draw in range(2)]
        for episode, step in zip(episodes, steps, strict=True)
    ]
    assert drawn.tolist() == expected


def test_draws_stay_what_they_are():
    """Another generator would change every training with a seed."""
    (drawn,) = keyed_uniforms(7, STREAM_ACTION, 12, np.array([850]), np.array([1234]), 2)
    assert drawn.tolist() == [0.6115809986202256, 0.7791963804674948]
    assert keyed_permutation(7, STREAM_ACTION, 3, 1, 6).tolist() == [2, 0, 1, 4, 3, 5]


def test_uniforms_fill_the_unit_interval_evenly():
    drawn = keyed_uniforms(3, STREAM_ACTION, 0, np.arange(5000), np.zeros(5000, np.int64), 2)
    assert drawn.shape == (5000, 2)
    assert 0.0 <= drawn.min() < 0.001 < 0.999 < drawn.max() < 1.0
    # Four standard deviations of the mean of 5,000 uniforms.
    assert drawn.mean(axis=0) == pytest.approx(0.5, abs=4 / (12 * 5000) ** 0.5)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 4 / 5000**0.5


def test_a_permutation_needs_a_count():
    with pytest.raises(ValueError, match="count must not be negative, got -1"):
        keyed_permutation(0, STREAM_ACTION, 0, 0, -1)
