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


FINAL_FRAME = np.random.default_rng(9).integers(0, 256, (120, 160), dtype=np.uint8)


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


# The update, against the published algorithm in float64


def plain_trunk(weights, frames, scope="", *, has_middleware=True):
    features = frames.double().unsqueeze(1) / 255.0
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


def stored(episodes):
    """All transitions in the buffer's order: frames, frames behind, actions, rewards, whether the episode goes on."""
    frames, behind, goes_on = [], [], []
    for episode in episodes:
        final = np.zeros((1, 120, 160), np.uint8) if episode.terminated else episode.final_frame[np.newaxis]
        frames.append(episode.frames)
        behind.append(np.concatenate([episode.frames[1:], final]))
        goes_on += [1.0] * (len(episode) - 1) + [float(not episode.terminated)]
    actions, rewards = ([getattr(episode, name) for episode in episodes] for name in ("actions", "rewards"))
    columns = (*map(np.concatenate, (frames, behind, actions, rewards)), np.array(goes_on))
    return [torch.from_numpy(column) for column in columns]


def reference_losses(weights, target, batch, normal_noise, learner, heads):
    """Losses of Q, V and policy for a batch, and the policy's entropy; gamma is 0.9."""
    frames, behind, actions, rewards, goes_on = batch
    rules = learner._hyperparameters
    q_scope, value_scope = ("", "") if heads == "shared" else ("q_", "value_")
    for_policy = plain_trunk(weights, frames)
    for_policy = for_policy.detach() if heads == "shared" else for_policy
    for_q = plain_trunk(weights, frames, q_scope, has_middleware=heads == "shared")
    for_value = plain_trunk(weights, frames, value_scope)
    with torch.no_grad():
        next_values = dense(target, "value", plain_trunk(target, behind, value_scope))[:, 0]
    criterion = nn.MSELoss() if rules.value_loss == "mse" else nn.SmoothL1Loss()

    first, second = action_values(weights, for_q, actions.double())
    wanted = rewards.double() + 0.9 * goes_on * next_values
    q_loss = criterion(first, wanted) + criterion(second, wanted)

    hidden = dense(weights, "policy.hidden", for_policy).relu()
    normal = Normal(dense(weights, "policy.mean", hidden), dense(weights, "policy.log_std", hidden).exp())
    raw = normal.mean + normal.stddev * normal_noise
    squashed = TransformedDistribution(normal, TanhTransform(cache_size=1))
    log_probs = squashed.log_prob(raw.tanh()).sum(1)
    still = {name: tensor.detach() for name, tensor in weights.items()}
    judged = torch.minimum(*action_values(still, for_q.detach(), raw.tanh()))
    soft = judged - rules.sac_alpha * log_probs
    error = criterion(dense(weights, "value", for_value)[:, 0], soft.detach())
    return q_loss, error, -soft.mean(), -log_probs.mean()


def draws(learner, iteration, number, count):
    """Which transitions a gradient step picks, and the normal numbers of its actions."""
    size = learner._hyperparameters.minibatch_size
    uniforms = keyed_uniforms(0, STREAM_REPLAY, iteration, np.full(size, number), np.arange(size), 3)
    return (uniforms[:, 0] * count).astype(int), torch.special.ndtri(torch.from_numpy(uniforms[:, 1:]))


def in_float64(learner):
    return {name: nn.Parameter(tensor.double()) for name, tensor in tensors(learner).items()}


@pytest.mark.parametrize("heads", ["shared", "separate"])
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_one_step_equals_plain_torch(heads, loss):
    learner = make(heads=heads, ratio=0.01, learning_rate=0.01, minibatch_size=8, sac_alpha=0.3, value_loss=loss)
    episodes = random_episodes(learner, lengths=(5, 6))
    start, weights = in_float64(learner), in_float64(learner)
    picked, noise = draws(learner, 3, 0, 11)
    batch = [column[picked] for column in stored(episodes)]
    q_loss, error, policy_loss, entropy = reference_losses(weights, start, batch, noise, learner, heads)
    (q_loss + error + policy_loss).backward()

    stats = learner.update(episodes, 3, **QUIET)
    assert stats.figures["updates"] == 1
    assert stats.figures["replay_transitions"] == 11
    assert stats.figures["q_loss"] == pytest.approx(q_loss.item() / 2, rel=1e-4)
    assert stats.figures["value_loss"] == pytest.approx(error.item(), rel=1e-3, abs=1e-5)
    assert stats.figures["policy_loss"] == pytest.approx(policy_loss.item(), rel=1e-3, abs=1e-5)
    assert stats.figures["entropy"] == pytest.approx(entropy.item(), rel=1e-4)
    for name, after in tensors(learner).items():
        gradient = weights[name].grad.float()
        moment = learner._network.canonical(name, learner._optimizer.exp_avg[name])
        torch.testing.assert_close(10 * moment, gradient, rtol=2e-3, atol=2e-3 * gradient.abs().max().item(), msg=name)
        expected = start[name].float() - 0.01 * 10 * moment / ((10 * moment).abs() + 1e-5)
        torch.testing.assert_close(after, expected, rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_updates_in_a_row_equal_the_published_algorithm(heads):
    """Adam, and a target that begins each update as a copy of V and comes a third nearer with every gradient step."""
    learner = make(heads=heads, ratio=0.3, learning_rate=1e-3, episodes_per_iteration=3)
    start, weights = in_float64(learner), in_float64(learner)
    adam = torch.optim.Adam(weights.values(), lr=1e-3, eps=1e-5)
    memory = []
    for iteration in range(2):
        episodes = random_episodes(learner, lengths=(4, 6), seed=iteration)
        cut_off = Episode(**{**vars(episodes[1]), "terminated": False, "truncated": True, "final_frame": FINAL_FRAME})
        memory += [episodes[0], cut_off]
        stats = learner.update([episodes[0], cut_off], iteration, **QUIET)
        columns, target, means = stored(memory), {name: w.detach().clone() for name, w in weights.items()}, []
        for number in range(3):
            picked, noise = draws(learner, iteration, number, len(columns[0]))
            batch = [column[picked] for column in columns]
            losses = reference_losses(weights, target, batch, noise, learner, heads)
            adam.zero_grad()
            sum(losses[:3]).backward()
            adam.step()
            for name, tensor in target.items():
                tensor += (weights[name].detach() - tensor) / 3
            means.append([loss.item() for loss in losses])
        q_loss, error, policy_loss, entropy = np.mean(means, axis=0)
        expected = {"q_loss": q_loss / 2, "value_loss": error, "policy_loss": policy_loss, "entropy": entropy}
        assert {name: stats.figures[name] for name in expected} == pytest.approx(expected, rel=1e-3, abs=1e-4)
    for name, after in tensors(learner).items():
        moved = (weights[name] - start[name]).norm().item()
        assert (after - weights[name]).norm().item() < 0.05 * moved, name


def test_gradients_reach_every_layer():
    for heads in ("shared", "separate"):
        learner = make(heads=heads)
        before = tensors(learner)
        learner.update(random_episodes(learner), 0, **QUIET)
        assert [name for name, after in tensors(learner).items() if torch.equal(after, before[name])] == []


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
