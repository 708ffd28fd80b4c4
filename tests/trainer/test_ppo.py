"""The update: losses by hand, one step against plain torch, exact resume, failures."""

import numpy as np
import pytest
import torch
from torch import nn

from drctl.errors import FailedError, FormatError
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.hyperparameters import Hyperparameters
from drctl.formats.model_metadata import ContinuousActionSpace, DiscreteActionSpace, ModelMetadata
from drctl.formats.network_layout import DEEP, MIDDLE, SHALLOW
from drctl.simulation.episode import EpisodeRecord, EpisodeStart
from drctl.trainer.networks import dampen_gradient
from drctl.trainer.ppo import PpoLearner, minibatch_size, policy_loss, value_loss
from drctl.trainer.rollout import Episode
from drctl.trainer.shards import Shards, default_shards
from drctl.trainer.transitions import Transitions

DISCRETE = DiscreteActionSpace((-30.0, 0.0, 30.0), (0.6,) * 3)
CONTINUOUS = ContinuousActionSpace(-30.0, 30.0, 0.5, 2.0)
QUIET = {"on_minibatch": lambda *_: None}


def make(
    action_space=DISCRETE, network=SHALLOW, *, seed=0, heads="shared", precision="fp32", shards=None, **hyperparameters
):
    metadata = ModelMetadata(action_space, neural_network=network)
    settings = {"minibatch_size": 8, "num_epochs": 2, "gamma": 0.9, **hyperparameters}
    return PpoLearner(metadata, Hyperparameters(**settings), seed=seed, heads=heads, precision=precision, shards=shards)


def record():
    return EpisodeRecord(np.empty(0, [("steps", "f4")]), EpisodeStatus.OFF_TRACK, 0.0, 0, 0.0, 0.0)


def play(learner, frames, rewards, *, episode=0, terminated=True, final_frame=None):
    """Make an episode by asking the learner's own policy."""
    count = len(frames)
    start = EpisodeStart("training", 0, episode)
    answer = learner.sampler().act(frames, [start] * count, np.arange(count))
    return Episode(
        start,
        frames,
        final_frame,
        answer.actions,
        answer.log_probs,
        answer.values,
        np.asarray(rewards, np.float32),
        terminated,
        not terminated,
        record(),
    )


def random_episodes(learner, lengths=(10, 14), seed=0):
    generator = np.random.default_rng(seed)
    return [
        play(
            learner,
            generator.integers(0, 256, (length, 120, 160), dtype=np.uint8),
            generator.normal(size=length),
            episode=number,
        )
        for number, length in enumerate(lengths)
    ]


def tensors(learner):
    network = learner._network
    return {name: network.canonical(name, inner.detach()).clone() for name, inner in network.parameters.items()}


def same_weights(first, second):
    second = tensors(second)
    return all(torch.equal(tensor, second[name]) for name, tensor in tensors(first).items())


# Losses


def test_the_surrogate_is_clipped_where_it_would_reward_a_large_step():
    ratios = torch.tensor([1.5, 0.5, 1.5, 0.5, 1.1])
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0, 2.0])
    old = torch.full((5,), -1.0)
    new = (ratios.log() + old).requires_grad_()
    loss = policy_loss(new, old, advantages)
    # -min(r A, clip(r, 0.8, 1.2) A)
    assert loss.tolist() == pytest.approx([-1.2, -0.5, 1.5, 0.8, -2.2])
    loss.sum().backward()
    # d(-r A)/d(log r) = -r A where the surrogate is not clipped, 0 where it is.
    assert new.grad.tolist() == pytest.approx([0.0, -0.5, 1.5, 0.0, -2.2])


def test_value_losses():
    values, returns = torch.tensor([0.5, 3.0, -3.0]), torch.zeros(3)
    assert value_loss(values, returns, "huber").tolist() == pytest.approx([0.125, 2.5, 2.5])
    assert value_loss(values, returns, "mse").tolist() == pytest.approx([0.25, 9.0, 9.0])


@pytest.mark.parametrize(("transitions", "size"), [(65, 64), (64, 64), (63, 32), (33, 32), (3, 2), (1, 1), (500, 64)])
def test_a_short_iteration_shrinks_the_minibatch(transitions, size):
    assert minibatch_size(64, transitions) == size


# One update


def test_one_step_equals_plain_torch():
    learner = make(minibatch_size=4, num_epochs=1, learning_rate=0.01, entropy_coef=0.1, value_loss="huber", shards=1)
    frames = np.random.default_rng(5).integers(0, 256, (4, 120, 160), dtype=np.uint8)
    rewards = np.array([1.0, -1.0, 2.0, 0.5])
    episode = play(learner, frames, rewards)
    start = tensors(learner)

    weights = {name: nn.Parameter(tensor.clone()) for name, tensor in start.items()}
    features = torch.from_numpy(frames).float().unsqueeze(1) / 255.0
    for index, stride in enumerate((4, 2, 1)):
        name = f"embedder.conv.{index}"
        features = nn.functional.conv2d(features, weights[f"{name}.weight"], weights[f"{name}.bias"], stride).relu()
    features = nn.functional.linear(features.flatten(1), weights["middleware.0.weight"], weights["middleware.0.bias"])
    features = features.relu()
    logits = nn.functional.linear(features, weights["policy.weight"], weights["policy.bias"])
    seen = dampen_gradient(features)  # see test_networks.py
    values = nn.functional.linear(seen, weights["value.weight"], weights["value.bias"])[:, 0]
    old_values = values.detach().numpy()
    # Every A_t is a discounted sum of the deltas after it.
    deltas = rewards + 0.9 * np.append(old_values[1:], 0.0) - old_values
    advantages = np.array([sum(deltas[k] * (0.9 * 0.95) ** (k - t) for k in range(t, 4)) for t in range(4)])
    standard = torch.from_numpy((advantages - advantages.mean()) / advantages.std()).float()
    returns = torch.from_numpy(advantages + old_values).float()
    distribution = torch.distributions.Categorical(logits=logits)
    log_probs = distribution.log_prob(torch.from_numpy(episode.actions))
    ratio = (log_probs - log_probs.detach()).exp()
    value = torch.nn.SmoothL1Loss()(values, returns)
    (-(ratio * standard).mean() + value - 0.1 * distribution.entropy().mean()).backward()

    stats = learner.update([episode], 0, **QUIET)
    assert stats.samples == 4
    assert stats.epochs[0].value_loss == pytest.approx(value.item(), rel=1e-4)
    assert stats.epochs[0].entropy == pytest.approx(distribution.entropy().mean().item(), rel=1e-4)
    assert stats.epochs[0].policy_loss == pytest.approx(0.0, abs=1e-5)
    for name, after in tensors(learner).items():
        gradient = weights[name].grad
        # Adam's first moment after one step is a tenth of the gradient, and the step lr * g / (|g| + eps).
        moment = learner._network.canonical(name, learner._optimizer.exp_avg[name])
        torch.testing.assert_close(10 * moment, gradient, rtol=1e-3, atol=1e-3 * gradient.abs().max().item(), msg=name)
        gradient = 10 * moment
        expected = start[name] - 0.01 * gradient / (gradient.abs() + 1e-5)
        torch.testing.assert_close(after, expected, rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize("is_truncated", [False, True])
def test_only_a_truncated_episode_goes_on_with_its_final_frame(is_truncated):
    learner = make(num_epochs=1, value_loss="mse")
    generator = np.random.default_rng(2)
    frames, final = (generator.integers(0, 256, (count, 120, 160), dtype=np.uint8) for count in (2, 2))
    episodes = [
        play(learner, frames[row : row + 1], [1.0], episode=row, terminated=not is_truncated, final_frame=final[row])
        for row in range(2)
    ]
    starts = [EpisodeStart("evaluation", 0, 0)] * 2
    values, after = (learner.greedy().act(pictures, starts, np.zeros(2)).values for pictures in (frames, final))
    assert abs(values - after).max() > 1e-3
    targets = 1.0 + (0.9 * after if is_truncated else 0.0)
    stats = learner.update(episodes, 0, **QUIET)
    assert stats.epochs[0].value_loss == pytest.approx(np.mean((values - targets) ** 2), rel=1e-3)


def test_a_truncated_episode_needs_its_final_frame():
    learner = make()
    episode = play(learner, np.zeros((2, 120, 160), np.uint8), [0.0, 0.0], terminated=False)
    with pytest.raises(ValueError, match="episode 0 was cut off but has no final observation"):
        learner.update([episode], 0, **QUIET)


def test_each_epoch_visits_every_transition_once_in_a_new_order(monkeypatch):
    learner = make(minibatch_size=8, num_epochs=3, shards=2)
    seen = []
    gather = Transitions.gather

    def watch(self, numbers):
        seen.append(numbers.tolist())
        return gather(self, numbers)

    monkeypatch.setattr(Transitions, "gather", watch)
    calls = []
    stats = learner.update(random_episodes(learner), 0, lambda done, total: calls.append((done, total)))
    epochs = [[number for part in seen[first : first + 6] for number in part] for first in (0, 6, 12)]
    assert all(sorted(epoch) == list(range(24)) for epoch in epochs)
    assert len({str(epoch) for epoch in epochs}) == 3
    assert calls == [(done, 9) for done in range(1, 10)]
    assert (stats.samples, len(stats.epochs)) == (72, 3)


def test_minibatches_hold_the_right_rows_and_the_remainder_is_dropped():
    learner = make()
    episodes = random_episodes(learner, lengths=(3, 4, 2))
    count = 9
    batch = Transitions(episodes, np.arange(count, dtype=np.float32), np.zeros(count, np.float32), torch.device("cpu"))
    picked = batch.gather(np.array([8, 3, 0, 6]))
    assert picked.advantages.tolist() == [0.0, 3.0, 6.0, 8.0]
    expected = [episodes[0].frames[0], episodes[1].frames[0], episodes[1].frames[3], episodes[2].frames[1]]
    assert np.array_equal(picked.frames.numpy(), np.stack(expected))
    assert picked.actions.tolist() == [
        episode.actions[step] for episode, step in zip([episodes[i] for i in (0, 1, 1, 2)], (0, 0, 3, 1), strict=True)
    ]
    assert learner.update(episodes, 0, **QUIET).samples == 2 * 8


def test_a_large_minibatch_in_parts_makes_the_same_step():
    whole, parts = (make(minibatch_size=24, num_epochs=1, heads="separate") for _ in range(2))
    parts._rows_at_once = 5
    episodes = random_episodes(whole, lengths=(12, 13))
    first, second = (learner.update(episodes, 0, **QUIET).epochs[0] for learner in (whole, parts))
    assert second.value_loss == pytest.approx(first.value_loss, rel=1e-5)
    for name, expected in whole._optimizer.exp_avg.items():
        gradient = parts._optimizer.exp_avg[name]
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item() + 1e-9)


@pytest.mark.parametrize("action_space", [DISCRETE, CONTINUOUS])
def test_equal_seeds_give_equal_weights_bit_for_bit(action_space):
    learners = [make(action_space, seed=seed, precision="auto") for seed in (4, 4, 5)]
    for learner in learners:
        learner.update(random_episodes(learner), 0, **QUIET)
    assert same_weights(learners[0], learners[1])
    assert not same_weights(learners[0], learners[2])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_depend_on_the_shards_and_not_on_the_threads(precision):
    learners = [make(precision=precision, shards=shards) for shards in (2, 2, 3)]
    for learner, threads in zip(learners, (1, 2, 2), strict=True):
        learner._shards = Shards(learner.shards, threads=threads)
        learner._optimizer._shards = learner._shards
        learner.update(random_episodes(learner), 0, **QUIET)
    assert same_weights(learners[0], learners[1])
    assert not same_weights(learners[0], learners[2])


@pytest.mark.parametrize("minibatch_size", [1, 7])
def test_more_shards_than_rows_make_the_same_step(minibatch_size):
    settings = {"minibatch_size": minibatch_size, "num_epochs": 1, "heads": "separate"}
    one, many = (make(shards=shards, **settings) for shards in (1, 8))
    episodes = random_episodes(one, lengths=(minibatch_size,))
    first, second = (learner.update(episodes, 0, **QUIET).epochs[0] for learner in (one, many))
    assert second.value_loss == pytest.approx(first.value_loss, rel=1e-5)
    for name, expected in one._optimizer.exp_avg.items():
        gradient = many._optimizer.exp_avg[name]
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item() + 1e-9)


def test_there_are_as_many_shards_as_wanted_or_one_per_core():
    assert make(shards=3).shards == 3
    assert make().shards == default_shards(torch.device("cpu"))


def test_the_iteration_decides_the_shuffling():
    first, second = make(), make()
    episodes = random_episodes(first)
    first.update(episodes, 0, **QUIET)
    second.update(episodes, 1, **QUIET)
    assert not same_weights(first, second)


def test_a_policy_stays_as_it_was_when_the_network_learns():
    learner = make()
    frames = np.random.default_rng(0).integers(0, 256, (4, 120, 160), dtype=np.uint8)
    starts, steps = [EpisodeStart("training", 0, episode) for episode in range(4)], np.zeros(4, np.int64)
    policy = learner.sampler()
    before = policy.act(frames, starts, steps)
    learner.update(random_episodes(learner), 0, **QUIET)
    assert policy.act(frames, starts, steps).values.tolist() == before.values.tolist()
    assert learner.sampler().act(frames, starts, steps).values.tolist() != before.values.tolist()


# Saved state


@pytest.mark.parametrize(
    ("action_space", "network", "heads"),
    [(DISCRETE, SHALLOW, "shared"), (CONTINUOUS, DEEP, "separate"), (DISCRETE, MIDDLE, "separate")],
)
def test_a_resumed_update_equals_an_uninterrupted_one(action_space, network, heads):
    learner = make(action_space, network, heads=heads, precision="auto")
    learner.update(random_episodes(learner, seed=1), 0, **QUIET)
    weights, optimizer = learner.weights(), learner.optimizer_state()
    episodes = random_episodes(learner, seed=2)
    learner.update(episodes, 1, **QUIET)

    resumed = make(action_space, network, heads=heads, precision="auto")
    resumed.load_weights(weights)
    resumed.load_optimizer_state(optimizer)
    assert (resumed.weights(), resumed.optimizer_state()) == (weights, optimizer)
    resumed.update(episodes, 1, **QUIET)
    assert same_weights(learner, resumed)
    assert resumed.optimizer_state() == learner.optimizer_state()


def test_the_files_hold_nothing_but_tensors_under_canonical_names():
    import io

    learner = make()
    weights = torch.load(io.BytesIO(learner.weights()), weights_only=True)
    assert weights["embedder.conv.0.weight"].shape == (32, 1, 8, 8)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    state = torch.load(io.BytesIO(learner.optimizer_state()), weights_only=True)
    assert state["steps"].item() == 0
    assert set(state) == {"steps", *(f"{moment}.{name}" for moment in ("exp_avg", "exp_avg_sq") for name in weights)}


def test_weights_of_another_network_are_refused_by_layer():
    learner = make()
    before = learner.weights()
    with pytest.raises(FormatError) as caught:
        learner.load_weights(make(DiscreteActionSpace((0.0,) * 4, (1.0,) * 4)).weights())
    assert [problem.what for problem in caught.value.problems] == [
        "policy.weight in the weights file has shape (4, 512) of float32",
        "policy.bias in the weights file has shape (4,) of float32",
    ]
    assert caught.value.problems[0].expected == "shape (3, 512) of float32"
    with pytest.raises(FormatError) as caught:
        learner.load_weights(make(CONTINUOUS, DEEP, heads="separate").weights())
    told = " ".join(problem.what for problem in caught.value.problems)
    assert "embedder.conv.3.weight in the weights file belongs to another network" in told
    assert "value_middleware.1.bias in the weights file belongs to another network" in told
    assert learner.weights() == before


def test_damaged_files_are_refused():
    learner = make()
    for data in (b"", b"not a file of tensors", learner.weights()[:-1000]):
        with pytest.raises(FormatError, match="the weights file is damaged or something else"):
            learner.load_weights(data)
    with pytest.raises(FormatError, match="steps is missing in the optimiser file"):
        learner.load_optimizer_state(learner.weights())


# Failures


def test_a_broken_update_names_its_epoch_and_cause_and_changes_nothing():
    learner = make(learning_rate=1e30)
    episodes = random_episodes(learner)
    before = learner.weights(), learner.optimizer_state()
    with pytest.raises(FailedError, match="the update of iteration 7 broke in epoch 0") as caught:
        learner.update(episodes, 7, **QUIET)
    assert caught.value.problems[0].where == "hyperparameters.json: lr"
    assert (learner.weights(), learner.optimizer_state()) == before


def test_huge_rewards_are_named_as_the_cause():
    learner = make(value_loss="mse")
    frames = np.random.default_rng(0).integers(0, 256, (24, 120, 160), dtype=np.uint8)
    episode = play(learner, frames, np.full(24, 1e30, np.float32))
    with pytest.raises(FailedError) as caught:
        learner.update([episode], 0, **QUIET)
    assert caught.value.problems[0].where == "reward_function.py"


def test_an_interrupted_update_changes_nothing():
    learner = make()
    episodes = random_episodes(learner)
    before = learner.weights(), learner.optimizer_state()

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learner.update(episodes, 0, interrupt)
    assert (learner.weights(), learner.optimizer_state()) == before


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(FailedError, match="no step to learn from"):
        make().update([], 0, **QUIET)


# The car's file


@pytest.mark.parametrize("network", [SHALLOW, MIDDLE, DEEP])
@pytest.mark.parametrize("action_space", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_the_frozen_graph_is_the_fp32_network(network, action_space, tmp_path):
    import openvino

    learner = make(action_space, network, seed=1)
    frames = np.random.default_rng(0).integers(0, 256, (4, 120, 160), dtype=np.uint8)
    core = openvino.Core()
    path = tmp_path / "model.pb"
    path.write_bytes(learner.frozen_graph())
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    got = compiled(frames[..., np.newaxis].astype(np.float32))[0]

    with torch.no_grad():
        distribution, _ = learner._network.forward(
            learner._network.weights_for(torch.float32), torch.from_numpy(frames)
        )
        if action_space is CONTINUOUS:
            expected = distribution.mode()
        else:
            expected = torch.stack([distribution.log_prob(torch.full((4,), action)) for action in range(3)], 1).exp()
    assert got == pytest.approx(expected.numpy(), abs=1e-5)


# Learning


def show_pictures(learner, iteration, *, is_greedy, count=128):
    """Play one iteration of pictures with one bright third, which tells the right action."""
    wanted = np.random.default_rng(iteration).integers(0, 3, count)
    frames = np.full((count, 120, 3, 160 // 3), 40, np.uint8)
    frames[np.arange(count), :, wanted] = 220
    frames = np.pad(frames.reshape(count, 120, 159), ((0, 0), (0, 0), (0, 1)))
    starts = [EpisodeStart("training", iteration, episode) for episode in range(count)]
    policy = learner.greedy() if is_greedy else learner.sampler()
    return wanted, frames, policy.act(frames, starts, np.zeros(count, np.int64))


@pytest.mark.parametrize(("action_space", "learning_rate"), [(DISCRETE, 3e-4), (CONTINUOUS, 1e-3)])
def test_it_learns_to_answer_a_picture(action_space, learning_rate):
    learner = make(action_space, minibatch_size=64, num_epochs=4, gamma=0.0, learning_rate=learning_rate)
    is_discrete = action_space is DISCRETE
    streak = 0
    for iteration in range(20):
        wanted, frames, answer = show_pictures(learner, iteration, is_greedy=False)
        # The right steering is -1, 0 or 1.
        rewards = answer.actions == wanted if is_discrete else -abs(answer.actions[:, 0] - (wanted - 1))
        start = EpisodeStart("training", iteration, 0)
        episode = Episode(
            start,
            frames,
            None,
            answer.actions,
            answer.log_probs,
            answer.values,
            rewards.astype(np.float32),
            terminated=True,
            truncated=False,
            record=record(),
        )
        learner.update([episode], iteration, **QUIET)
        wanted, _, answer = show_pictures(learner, 1000, is_greedy=True)
        is_right = answer.actions == wanted if is_discrete else abs(answer.actions[:, 0] - (wanted - 1)) < 0.5
        streak = streak + 1 if is_right.mean() > 0.95 else 0
        if streak == 3:
            return
    pytest.fail("never right in more than 95 % of the pictures, three times in a row")
