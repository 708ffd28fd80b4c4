"""Distributions against closed forms."""

import math
from statistics import NormalDist

import pytest
import torch

from drctl.trainer.distributions import Categorical, EpsilonGreedy, Gaussian, SquashedGaussian


def uniforms(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_categorical_log_probabilities_entropy_and_mode():
    distribution = Categorical(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]).log())
    assert distribution.log_prob(torch.tensor([1, 2])).tolist() == pytest.approx([math.log(0.25), math.log(0.8)])
    # 1/2 ln 2 + 2 * 1/4 ln 4 = 3/2 ln 2
    assert distribution.entropy()[0].item() == pytest.approx(1.5 * math.log(2))
    assert distribution.mode().tolist() == [0, 2]


def test_uniform_probabilities_have_the_largest_entropy():
    assert Categorical(torch.zeros(1, 5)).entropy().item() == pytest.approx(math.log(5))


@pytest.mark.parametrize(("number", "action"), [(0.0, 0), (0.49, 0), (0.51, 1), (0.74, 1), (0.76, 2), (1 - 2**-53, 2)])
def test_categorical_samples_by_cumulative_probability(number, action):
    distribution = Categorical(torch.tensor([[0.5, 0.25, 0.25]]).log())
    assert distribution.sample(uniforms([number])).tolist() == [action]


def test_an_impossible_action_keeps_the_floor_of_its_probability():
    distribution = Categorical(torch.tensor([[0.0, -1000.0]]))
    assert distribution.log_prob(torch.tensor([1])).item() == pytest.approx(math.log(1e-8))
    assert distribution.sample(uniforms([0.999999])).tolist() == [0]


@pytest.mark.parametrize(
    ("look", "guess", "action"), [(0.25, 0.0, 2), (0.24, 0.0, 0), (0.0, 0.5, 1), (0.0, 1 - 2**-53, 2), (0.9, 0.0, 2)]
)
def test_epsilon_greedy_guesses_below_epsilon_and_looks_above(look, guess, action):
    distribution = EpsilonGreedy(Categorical(torch.tensor([[0.1, 0.3, 0.6]]).log()), 0.25)
    assert distribution.sample(uniforms([look, guess])).tolist() == [action]
    assert distribution.mode().tolist() == [2]
    assert distribution.log_prob(torch.tensor([1])).item() == pytest.approx(math.log(0.3))


def test_gaussian_density_and_entropy():
    distribution = Gaussian(torch.tensor([[0.0, 1.0]]), torch.tensor([0.0, math.log(2.0)]))
    expected = math.log(NormalDist(0, 1).pdf(0.5)) + math.log(NormalDist(1, 2).pdf(-3.0))
    assert distribution.log_prob(torch.tensor([[0.5, -3.0]])).item() == pytest.approx(expected, rel=1e-6)
    # 1/2 ln(2 pi e s^2) each, with s = 1 and 2
    expected = math.log(2 * math.pi * math.e) + math.log(2)
    assert distribution.entropy().tolist() == pytest.approx([expected], rel=1e-6)
    assert distribution.mode().tolist() == [[0.0, 1.0]]


def test_gaussian_samples_by_quantile_and_does_not_clip():
    distribution = Gaussian(torch.tensor([[0.0, 1.0]]), torch.tensor([0.0, math.log(2.0)]))
    assert distribution.sample(uniforms([0.975, 0.1])).tolist()[0] == pytest.approx(
        [NormalDist(0, 1).inv_cdf(0.975), NormalDist(1, 2).inv_cdf(0.1)], rel=1e-5
    )
    assert distribution.sample(uniforms([0.0, 1 - 2**-53])).isfinite().all()


def test_the_log_deviation_is_clipped():
    wide = Gaussian(torch.zeros(1, 2), torch.tensor([50.0, -50.0]))
    expected = 3.0 - 20.0 + math.log(2 * math.pi * math.e)
    assert wide.entropy().item() == pytest.approx(expected, rel=1e-6)


def test_squashed_gaussian_on_two_numbers():
    distribution = SquashedGaussian(torch.tensor([[0.5, -1.0]]), torch.tensor([[0.0, math.log(2.0)]]))
    # The 97.5 % quantile of the normal distribution, 1.96, and its median.
    actions, log_probs = distribution.draw(uniforms([NormalDist().cdf(1.96), 0.5]))
    steering, speed = math.tanh(0.5 + 1.96), math.tanh(-1.0)
    assert actions[0].tolist() == pytest.approx([steering, speed], abs=1e-6)
    # By change of variables: p(a) = p(u) / (da/du), da/du = 1 - a^2.
    expected = math.log(NormalDist(0.5, 1).pdf(2.46) / (1 - steering**2))
    expected += math.log(NormalDist(-1, 2).pdf(-1.0) / (1 - speed**2))
    assert log_probs.item() == pytest.approx(expected, abs=1e-4)
    assert distribution.log_prob(actions).item() == pytest.approx(expected, abs=1e-3)
    assert distribution.mode()[0].tolist() == pytest.approx([math.tanh(0.5), speed])
    assert distribution.sample(uniforms([0.5, 0.5])).tolist() == distribution.mode().tolist()


@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (0.8, -1.0), (-0.3, -2.0)])
def test_squashed_gaussian_is_a_density(mean, log_std):
    edges = torch.linspace(-1, 1, 20001)
    middles = ((edges[1:] + edges[:-1]) / 2).unsqueeze(1)
    distribution = SquashedGaussian(torch.tensor([[mean]]), torch.tensor([[log_std]]))
    assert (distribution.log_prob(middles).exp() * 1e-4).sum().item() == pytest.approx(1.0, abs=2e-3)


def test_squashed_gaussian_stays_finite_far_out():
    distribution = SquashedGaussian(torch.tensor([[30.0]]), torch.tensor([[5.0]]))
    actions, log_probs = distribution.draw(uniforms([1 - 2**-53]))
    assert actions.item() == 1.0
    # log std is held at 2: the raw number is 30 + e^2 * 8.2, of which the stretch is 2 (ln 2 - raw).
    raw = 30 + math.exp(2) * NormalDist().inv_cdf(1 - 2**-53)
    expected = math.log(NormalDist(30, math.exp(2)).pdf(raw)) - 2 * (math.log(2) - raw)
    assert log_probs.item() == pytest.approx(expected, rel=1e-4)
    assert math.isfinite(distribution.log_prob(torch.ones(1, 1)).item())
