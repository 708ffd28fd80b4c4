"""Advantages against numbers worked out by hand."""

import numpy as np
import pytest

from drctl.trainer.gae import estimate_advantages, standardise

REWARDS = np.array([1.0, 2.0, 3.0], np.float32)
VALUES = np.array([0.5, 0.4, 0.3], np.float32)


def test_a_terminated_episode_earns_nothing_after_its_end():
    estimate = estimate_advantages(REWARDS, VALUES, truncated_value=None, gamma=0.9, gae_lambda=0.8)
    # delta: 1 + 0.9 * 0.4 - 0.5 = 0.86; 2 + 0.9 * 0.3 - 0.4 = 1.87; 3 - 0.3 = 2.7; each step back is worth 0.72.
    assert estimate.advantages == pytest.approx([3.60608, 3.814, 2.7], rel=1e-6)
    assert estimate.returns == pytest.approx([4.10608, 4.214, 3.0], rel=1e-6)


def test_a_truncated_episode_goes_on_with_the_value_of_its_final_observation():
    # The last decision's observation is worth 0.3, the final one 2: only the latter may follow the last reward.
    estimate = estimate_advantages(REWARDS, VALUES, truncated_value=2.0, gamma=0.9, gae_lambda=0.8)
    assert estimate.advantages == pytest.approx([4.5392, 5.11, 4.5], rel=1e-6)
    assert estimate.returns == pytest.approx([5.0392, 5.51, 4.8], rel=1e-6)


def test_lambda_1_without_discount_counts_the_rewards_that_are_left():
    estimate = estimate_advantages(REWARDS, VALUES, truncated_value=None, gamma=1.0, gae_lambda=1.0)
    assert estimate.returns == pytest.approx([6.0, 5.0, 3.0], rel=1e-6)


def test_the_default_lambda_is_the_contracts():
    estimate = estimate_advantages(
        np.array([0.0, 1.0], np.float32), np.zeros(2, np.float32), truncated_value=None, gamma=1.0
    )
    assert estimate.advantages == pytest.approx([0.95, 1.0], rel=1e-6)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"one shape \(T,\), got \(3,\) and \(2,\)"):
        estimate_advantages(REWARDS, VALUES[:2], truncated_value=None, gamma=0.9)


def test_standardised_advantages_have_mean_0_and_deviation_1():
    assert standardise(np.array([1.0, 2.0, 3.0, 6.0], np.float32)) == pytest.approx(
        [-2 / 3.5**0.5, -1 / 3.5**0.5, 0.0, 3 / 3.5**0.5], abs=1e-6
    )
    assert standardise(np.array([5.0], np.float32)).tolist() == [0.0]
