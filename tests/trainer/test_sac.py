"""Soft actor-critic: targets by hand, one step against plain torch, equal results, what a resume needs, learning."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform
from trainer.test_ppo import CONTINUOUS, DISCRETE, QUIET, same_weights, tensors
from trainer.test_ppo import random_episodes as play_at_random

from drctl.errors import FailedError
from drctl.formats.hyperparameters import Hyperparameters
from drctl.formats.model_metadata import ModelMetadata
from drctl.formats.network_layout import SHALLOW
from drctl.simulation.episode import EpisodeStart
from drctl.simulation.random import STREAM_REPLAY, keyed_uniforms
from drctl.trainer.rollout import Episode
from drctl.trainer.sac import (
    ReplaySettings,
    SacLearner,
    action_value_targets,
    state_value_targets,
    update_count,
)
from drctl.trainer.shards import Shards


def make(*, seed=0, heads="shared", precision="fp32", shards=2, ratio=0.25, buffer_gb=0.01, **hyperparameters):
    metadata = ModelMetadata(CONTINUOUS, training_algorithm="sac")
    settings = {"minibatch_size": 4, "gamma": 0.9, **hyperparameters}
    replay = ReplaySettings(buffer_gb, ratio)
    return SacLearner(
        metadata,
        Hyperparameters(**settings),
        seed=seed,
        heads=heads,
        precision=precision,
        shards=shards,
        replay=replay,
    )


def random_episodes(learner, lengths=(3, 5), seed=0):
    return play_at_random(learner, lengths, seed)


# Targets


def test_what_follows_a_terminated_episode_is_worth_nothing():
    targets = action_value_targets(
        torch.tensor([1.0, -2.0]), torch.tensor([False, True]), torch.tensor([10.0, 7.0]), 0.9
    )
    assert targets.tolist() == pytest.approx([1.0 + 0.9 * 10.0, -2.0])


def test_the_soft_value_takes_the_smaller_estimate_and_pays_for_being_undecided():
    targets = state_value_targets(
        torch.tensor([3.0, -1.0]), torch.tensor([2.0, 4.0]), torch.tensor([-1.5, 0.5]), alpha=0.2
    )
    assert targets.tolist() == pytest.approx([2.0 + 0.3, -1.0 - 0.1])


@pytest.mark.parametrize(
    ("steps", "ratio", "count"), [(1000, 0.25, 250), (1000, 1.0, 1000), (1, 0.25, 1), (10, 0.25, 2)]
)
def test_gradient_steps_per_environment_step(steps, ratio, count):
    assert update_count(steps, ratio) == count


# One update


def plain_trunk(weights, frames, scope="", *, has_middleware=True):
    features = frames.float().unsqueeze(1) / 255.0
    for index, stride in enumerate((4, 2, 1)):
        name = f"{scope}embedder.conv.{index}"
        features = nn.functional.conv2d(features, weights[f"{name}.weight"], weights[f"{name}.bias"], stride).relu()
    features = features.flatten(1)
    return dense(weights, f"{scope}middleware.0", features).relu() if has_middleware else features


def dense(weights, name, features):
    return nn.functional.linear(features, weights[f"{name}.weight"], weights[f"{name}.bias"])


def action_values(weights, features, actions):
    values = []
    for twin in ("q1", "q2"):
        hidden = torch.cat([features, actions], 1)
        for index in range(2):
            hidden = dense(weights, f"{twin}.{index}", hidden).relu()
        values.append(dense(weights, f"{twin}.2", hidden)[:, 0])
    return values


@pytest.mark.parametrize("heads", ["shared", "separate"])
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_one_step_equals_plain_torch(heads, loss):
    learner = make(heads=heads, ratio=0.01, learning_rate=0.01, minibatch_size=8, sac_alpha=0.3, value_loss=loss)
    episodes = random_episodes(learner, lengths=(5, 6))
    start = tensors(learner)
    weights = {name: nn.Parameter(tensor.clone()) for name, tensor in start.items()}

    uniforms = keyed_uniforms(0, STREAM_REPLAY, 3, np.zeros(8, np.int64), np.arange(8), 3)
    picked = (uniforms[:, 0] * 11).astype(int)  # transitions lie in the buffer as in the episodes: none was cut off
    frames = torch.from_numpy(np.concatenate([episode.frames for episode in episodes]))
    behind = frames.roll(-1, 0)[picked]
    actions = torch.from_numpy(np.concatenate([episode.actions for episode in episodes])[picked])
    rewards = torch.from_numpy(np.concatenate([episode.rewards for episode in episodes])[picked])
    goes_on = torch.from_numpy(~np.isin(picked, (4, 10))).float()
    frames = frames[picked]
    noise = torch.special.ndtri(torch.from_numpy(uniforms[:, 1:])).float()

    q_scope, value_scope = ("", "") if heads == "shared" else ("q_", "value_")
    for_policy = plain_trunk(weights, frames)
    for_policy = for_policy.detach() if heads == "shared" else for_policy
    for_q = plain_trunk(weights, frames, q_scope, has_middleware=heads == "shared")
    for_value = plain_trunk(weights, frames, value_scope)
    with torch.no_grad():
        next_values = dense(weights, "value", plain_trunk(weights, behind, value_scope))[:, 0]
    criterion = nn.MSELoss() if loss == "mse" else nn.SmoothL1Loss()

    first, second = action_values(weights, for_q, actions)
    target = rewards + 0.9 * goes_on * next_values
    q_loss = criterion(first, target) + criterion(second, target)

    hidden = dense(weights, "policy.hidden", for_policy).relu()
    normal = Normal(dense(weights, "policy.mean", hidden), dense(weights, "policy.log_std", hidden).exp())
    raw = normal.mean + normal.stddev * noise
    squashed = TransformedDistribution(normal, TanhTransform(cache_size=1))
    log_probs = squashed.log_prob(raw.tanh()).sum(1)
    still = {name: tensor.detach() for name, tensor in weights.items()}
    soft = torch.minimum(*action_values(still, for_q.detach(), raw.tanh())) - 0.3 * log_probs
    error = criterion(dense(weights, "value", for_value)[:, 0], soft.detach())
    (q_loss + error - soft.mean()).backward()

    stats = learner.update(episodes, 3, **QUIET)
    assert stats.figures["updates"] == 1
    assert stats.figures["replay_transitions"] == 11
    assert stats.figures["q_loss"] == pytest.approx(q_loss.item() / 2, rel=1e-4)
    assert stats.figures["value_loss"] == pytest.approx(error.item(), rel=1e-3, abs=1e-5)
    assert stats.figures["policy_loss"] == pytest.approx(-soft.mean().item(), rel=1e-3, abs=1e-5)
    assert stats.figures["entropy"] == pytest.approx(-log_probs.mean().item(), rel=1e-4)
    for name, after in tensors(learner).items():
        gradient = weights[name].grad
        moment = learner._network.canonical(name, learner._optimizer.exp_avg[name])
        torch.testing.assert_close(10 * moment, gradient, rtol=2e-3, atol=2e-3 * gradient.abs().max().item(), msg=name)
        gradient = 10 * moment
        expected = start[name] - 0.01 * gradient / (gradient.abs() + 1e-5)
        torch.testing.assert_close(after, expected, rtol=0, atol=1e-5, msg=name)


def test_the_target_follows_when_an_update_begins_and_every_n_gradient_steps(monkeypatch):
    learner = make(ratio=0.5, episodes_per_iteration=5, minibatch_size=1)
    copied, copy = [], learner._network.target_weights
    monkeypatch.setattr(learner._network, "target_weights", lambda dtype: copied.append(done[0]) or copy(dtype))
    done = [0]
    learner.update(random_episodes(learner, lengths=(10, 14)), 0, lambda number, _total: done.__setitem__(0, number))
    assert (done[0], copied) == (12, [0, 5, 10])


def test_learning_does_not_reach_the_target():
    learner = make()
    target = learner._network.target_weights(torch.float32)
    frames = torch.full((1, 120, 160), 77, dtype=torch.uint8)
    before = learner._network.target_values(target, frames).item()
    learner.update(random_episodes(learner), 0, **QUIET)
    assert learner._network.target_values(target, frames).item() == before
    now = learner._network.target_weights(torch.float32)
    assert learner._network.target_values(now, frames).item() != before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_equal_seeds_give_equal_weights_whatever_the_threads(precision):
    learners = [make(seed=seed, precision=precision) for seed in (4, 4, 5)]
    for learner, threads in zip(learners, (1, 2, 2), strict=True):
        learner._shards = learner._optimizer._shards = Shards(2, threads=threads)
        for iteration in range(2):
            learner.update(random_episodes(learner, seed=iteration), iteration, **QUIET)
    assert same_weights(learners[0], learners[1])
    assert not same_weights(learners[0], learners[2])


# What each is changed to, and what nothing of SAC looks at.
ACTS = {
    "minibatch_size": 7,
    "learning_rate": 1e-3,
    "gamma": 0.5,
    "value_loss": "huber",
    "sac_alpha": 0.6,
    "episodes_per_iteration": 1,
}
IDLE = {"num_epochs": 3, "entropy_coef": 0.5, "epsilon_final": 0.5, "epsilon_steps": 5, "exploration": "e-greedy"}


@pytest.mark.parametrize(("attribute", "value"), [*ACTS.items(), *IDLE.items()])
def test_what_a_hyperparameter_changes(attribute, value):
    plain, changed = make(), make(**{attribute: value})
    for learner in (plain, changed):
        learner.update(random_episodes(learner), 0, **QUIET)
    assert same_weights(plain, changed) == (attribute in IDLE)


def test_the_settings_of_the_replay_act():
    episodes = random_episodes(make())
    stats = [make(ratio=ratio).update(episodes, 0, **QUIET) for ratio in (0.25, 0.5)]
    assert [one.figures["updates"] for one in stats] == [2, 4]
    small, large = make(buffer_gb=5 * 19_200 / 1e9), make()
    for learner in (small, large):
        learner.update(episodes, 0, **QUIET)
    assert (small.memory, large.memory) == (5, 8)


# Policies


def test_actions_lie_within_the_bounds_and_the_greedy_one_is_the_middle():
    learner = make(precision="fp32")
    frames = np.random.default_rng(0).integers(0, 256, (64, 120, 160), dtype=np.uint8)
    starts = [EpisodeStart("training", 0, episode) for episode in range(64)]
    drawn = learner.sampler().act(frames, starts, np.zeros(64, np.int64))
    assert drawn.actions.shape == (64, 2)
    assert np.abs(drawn.actions).max() < 1.0
    assert drawn.actions.std() > 0.4  # tanh of a normal number has 0.63
    greedy = learner.greedy().act(frames, starts, np.zeros(64, np.int64))
    assert np.abs(greedy.actions).max() < 0.1


def test_discrete_actions_are_impossible():
    with pytest.raises(ValueError, match="continuous"):
        SacLearner(ModelMetadata(DISCRETE, training_algorithm="sac"), Hyperparameters(), seed=0)


# State


@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_a_checkpoint_holds_all_but_the_buffer(heads):
    learner = make(heads=heads, precision="auto", seed=1)
    first, second = (random_episodes(learner, seed=seed) for seed in (1, 2))
    learner.update(first, 0, **QUIET)
    weights, optimizer = learner.weights(), learner.optimizer_state()
    assert learner.missing_steps(8) == 0
    learner.update(second, 1, **QUIET)

    resumed = make(heads=heads, precision="auto", seed=1)
    resumed.load_weights(weights)
    resumed.load_optimizer_state(optimizer)
    assert resumed.missing_steps(8) == 8
    resumed.remember(first)
    assert resumed.missing_steps(8) == 0
    resumed.update(second, 1, **QUIET)
    assert same_weights(learner, resumed)
    assert resumed.optimizer_state() == learner.optimizer_state()


def test_no_more_is_missing_than_fits():
    learner = make(buffer_gb=12 * 19_200 / 1e9)
    assert learner.missing_steps(1_000_000) == 12


def test_an_update_that_is_interrupted_leaves_no_trace():
    learner = make(precision="auto")
    before = learner.weights(), learner.optimizer_state()

    def stop(number, _total):
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learner.update(random_episodes(learner), 0, stop)
    assert (learner.weights(), learner.optimizer_state()) == before


def test_a_reward_that_breaks_the_update_is_named():
    learner = make()
    episodes = [Episode(**{**vars(e), "rewards": e.rewards * np.float32(1e30)}) for e in random_episodes(learner)]
    before = learner.weights()
    with pytest.raises(FailedError) as caught:
        learner.update(episodes, 0, **QUIET)
    (problem,) = caught.value.problems
    assert problem.what.startswith("the update of iteration 0 broke")
    assert "the largest reward was" in problem.expected
    assert problem.where == "reward_function.py"
    assert learner.weights() == before


# Learning


@pytest.mark.slow
def test_a_bandit_with_two_pictures_is_learned():
    """Steer left when it is bright and right when it is dark, at half speed."""
    learner = make(minibatch_size=32, learning_rate=1e-3, ratio=0.5, sac_alpha=0.02, gamma=0.0, precision="auto")
    wanted = {200: (0.6, -0.2), 20: (-0.6, -0.2)}

    def ask(policy, phase):
        grey = np.repeat(list(wanted), 32).astype(np.uint8)
        frames = np.ones((64, 120, 160), np.uint8) * grey[:, None, None]
        starts = [EpisodeStart(phase, iteration, episode) for episode in range(64)]
        return frames, starts, policy.act(frames, starts, np.zeros(64, np.int64)).actions

    for iteration in range(16):
        frames, starts, actions = ask(learner.sampler(), "training")
        aims = np.repeat(list(wanted.values()), 32, axis=0)
        rewards = (1.0 - np.square(actions - aims).sum(axis=1)).astype(np.float32)
        episodes = [
            Episode(
                starts[row],
                frames[row : row + 1],
                None,
                actions[row : row + 1],
                np.zeros(1, np.float32),
                np.zeros(1, np.float32),
                rewards[row : row + 1],
                True,
                False,
                None,
            )
            for row in range(64)
        ]
        learner.update(episodes, iteration, **QUIET)
    chosen = ask(learner.greedy(), "evaluation")[2][[0, 63]]
    assert chosen == pytest.approx(np.array(list(wanted.values())), abs=0.15)


def test_the_network_of_the_tests_is_the_shallow_one():
    assert ModelMetadata(CONTINUOUS).neural_network == SHALLOW
