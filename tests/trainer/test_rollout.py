"""Policies: which row depends on what."""

from functools import partial

import numpy as np
import pytest

from drctl.formats.hyperparameters import Hyperparameters
from drctl.formats.model_metadata import ContinuousActionSpace, DiscreteActionSpace, ModelMetadata
from drctl.simulation.episode import EpisodeStart
from drctl.trainer.ppo import PpoLearner
from drctl.trainer.shards import Shards

DISCRETE = ModelMetadata(DiscreteActionSpace((-30.0, -15.0, 0.0, 15.0, 30.0), (0.6,) * 5))
CONTINUOUS = ModelMetadata(ContinuousActionSpace(-30.0, 30.0, 0.5, 2.0))
B = 6


@pytest.fixture(scope="module", params=[DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def learner(request):
    return PpoLearner(request.param, Hyperparameters(), seed=3)


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (B, 120, 160), dtype=np.uint8)


def starts(*, iteration=0, phase="training"):
    return [EpisodeStart(phase, iteration, episode) for episode in range(B)]


def rows(answer):
    return [answer.actions[row].tolist() for row in range(B)], answer.log_probs.tolist(), answer.values.tolist()


def test_shapes_and_types(learner, frames):
    answer = learner.sampler().act(frames, starts(), np.zeros(B, np.int64))
    is_discrete = learner._metadata.num_actions is not None
    assert answer.actions.shape == ((B,) if is_discrete else (B, 2))
    assert answer.actions.dtype == (np.int64 if is_discrete else np.float32)
    assert answer.log_probs.shape == answer.values.shape == (B,)
    assert answer.log_probs.dtype == answer.values.dtype == np.float32


@pytest.mark.parametrize("kind", ["sampler", "greedy"])
def test_a_row_does_not_depend_on_the_other_rows(learner, frames, kind):
    policy = getattr(learner, kind)()
    steps = np.arange(B)
    before = policy.act(frames, starts(), steps)
    changed = np.random.default_rng(1).integers(0, 256, frames.shape, dtype=np.uint8)
    changed[2] = frames[2]
    changed_steps = np.full(B, 77)
    changed_steps[2] = steps[2]
    after = policy.act(changed, starts(), changed_steps)
    assert after.actions[2].tolist() == before.actions[2].tolist()
    assert after.log_probs[2] == before.log_probs[2]
    assert after.values[2] == before.values[2]
    assert not np.array_equal(after.values[3], before.values[3])


@pytest.mark.parametrize("kind", ["sampler", "greedy"])
def test_blocks_are_decided_by_several_threads_as_by_one(learner, frames, kind):
    policy = getattr(learner, kind)()
    blocks = [
        partial(policy.act, frames[part], starts()[part], np.full(2, step))
        for step in range(10)
        for part in (slice(0, 2), slice(2, 4), slice(4, 6))
    ]
    alone = [block() for block in blocks]
    together = Shards(3, threads=3).call(blocks)
    for expected, answer in zip(alone, together, strict=True):
        assert np.array_equal(answer.actions, expected.actions)
        assert np.array_equal(answer.values, expected.values)


def test_noise_depends_on_seed_iteration_episode_step_and_phase_only(learner, frames):
    policy = learner.sampler()
    same = np.repeat(frames[:1], B, axis=0)

    def many(policy, **start):
        return [policy.act(same, starts(**start), np.full(B, step)).actions.tolist() for step in range(8)]

    reference = many(policy)
    assert many(policy) == reference
    assert many(learner.sampler()) == reference
    assert many(policy, iteration=1) != reference
    assert many(policy, phase="evaluation") != reference
    assert len({str(step) for step in reference}) > 1
    assert len({str(action) for step in reference for action in step}) > 1


def test_greedy_takes_no_chance_and_its_log_prob_is_the_largest(learner, frames):
    policy = learner.greedy()
    first = policy.act(frames, starts(), np.zeros(B, np.int64))
    second = policy.act(frames, starts(iteration=9, phase="evaluation"), np.full(B, 5))
    assert rows(first) == rows(second)
    sampled = learner.sampler().act(frames, starts(), np.zeros(B, np.int64))
    assert (first.log_probs >= sampled.log_probs - 0.01).all()


def test_sampled_actions_follow_their_probabilities():
    learner = PpoLearner(DISCRETE, Hyperparameters(), seed=0)
    policy = learner.sampler()
    frames = np.full((50, 120, 160), 128, np.uint8)
    episodes = [EpisodeStart("training", 0, episode) for episode in range(50)]
    seen = {}
    counts = np.zeros(5)
    for step in range(20):
        answer = policy.act(frames, episodes, np.full(50, step))
        counts += np.bincount(answer.actions, minlength=5)
        seen.update(zip(answer.actions.tolist(), np.exp(answer.log_probs).tolist(), strict=True))
    for action, probability in seen.items():
        # Four standard deviations of a share among 1000 draws.
        assert counts[action] / 1000 == pytest.approx(
            probability, abs=4 * (probability * (1 - probability) / 1000) ** 0.5
        )


@pytest.mark.parametrize(("steps", "epsilon"), [(0, 1.0), (2500, 0.8), (5000, 0.6), (10_000, 0.2), (99_999, 0.2)])
def test_epsilon_falls_on_a_line_and_stays(steps, epsilon):
    wanted = Hyperparameters(exploration="e-greedy", epsilon_final=0.2, epsilon_steps=10_000)
    assert PpoLearner(DISCRETE, wanted, seed=0).exploration(steps) == pytest.approx(epsilon)
    assert PpoLearner(DISCRETE, Hyperparameters(), seed=0).exploration(steps) == 0.0


def test_e_greedy_actions_are_as_often_random_as_the_closed_form_says(frames):
    learner = PpoLearner(DISCRETE, Hyperparameters(exploration="e-greedy", epsilon_steps=1000), seed=0)
    episodes = [EpisodeStart("training", 0, episode) for episode in range(50)]
    same = np.repeat(frames[:1], 50, axis=0)
    best = learner.greedy().act(same, episodes, np.zeros(50)).actions[0]
    policy = learner.sampler(500)  # epsilon 0.525
    counts = sum(np.bincount(policy.act(same, episodes, np.full(50, step)).actions, minlength=5) for step in range(20))
    for action, count in enumerate(counts):
        share = 0.525 / 5 + (0.475 if action == best else 0.0)
        # Four standard deviations of a share among 1000 draws.
        assert count / 1000 == pytest.approx(share, abs=4 * (share * (1 - share) / 1000) ** 0.5)


def test_large_batches_are_played_in_parts(learner, frames):
    policy = learner.greedy()
    policy.rows_at_once = 4
    parts = policy.act(frames, starts(), np.zeros(B, np.int64))
    policy.rows_at_once = B
    whole = policy.act(frames, starts(), np.zeros(B, np.int64))
    assert parts.values == pytest.approx(whole.values, abs=1e-5)
    assert parts.actions == pytest.approx(whole.actions, abs=1e-5)


def test_lengths_must_agree(learner, frames):
    with pytest.raises(ValueError, match="got 6, 6 and 5"):
        learner.sampler().act(frames, starts(), np.zeros(5, np.int64))
