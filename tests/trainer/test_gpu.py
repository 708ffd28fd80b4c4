"""The trainer on an NVIDIA GPU: what is recorded equals what is launched, and runs repeat bit for bit."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from drctl.formats.hyperparameters import Hyperparameters
from drctl.formats.model_metadata import ContinuousActionSpace, DiscreteActionSpace, ModelMetadata
from drctl.simulation.episode import EpisodeStart
from drctl.trainer.ppo import PpoLearner
from drctl.trainer.rollout import Episode

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no NVIDIA GPU"),
]

DISCRETE = DiscreteActionSpace((-30.0, 0.0, 30.0), (0.6,) * 3)
CONTINUOUS = ContinuousActionSpace(-30.0, 30.0, 0.5, 2.0)
BOTH = pytest.mark.parametrize("action_space", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])


def make(action_space=DISCRETE, device="cuda", precision="auto"):
    hyperparameters = Hyperparameters(minibatch_size=64, num_epochs=3, gamma=0.9)
    return PpoLearner(ModelMetadata(action_space), hyperparameters, seed=3, device=device, precision=precision)


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 120, 160), dtype=np.uint8)


def ask(policy, frames):
    starts = [EpisodeStart("training", 0, episode) for episode in range(len(frames))]
    return policy.act(frames, starts, np.zeros(len(frames), np.int64))


def play(learner, lengths=(70, 95), seed=0):
    episodes = []
    for number, length in enumerate(lengths):
        frames = pictures(length, seed + number)
        answer = ask(learner.sampler(), frames)
        rewards = np.random.default_rng(number).random(length, dtype=np.float32)
        episodes.append(
            Episode(
                EpisodeStart("training", 0, number),
                frames,
                None,
                answer.actions,
                answer.log_probs,
                answer.values,
                rewards,
                terminated=True,
                truncated=False,
                record=SimpleNamespace(),
            )
        )
    return episodes


def weights(learner):
    return {name: parameter.detach().cpu() for name, parameter in learner._network.parameters.items()}


@BOTH
def test_a_recorded_step_is_the_launched_step(action_space):
    recorded, launched = make(action_space), make(action_space)
    launched._replay_step = launched._learn
    episodes = play(recorded)
    for iteration in range(2):
        first, second = (
            learner.update(episodes, iteration, on_minibatch=lambda *_: None) for learner in (recorded, launched)
        )
        assert first.epochs == second.epochs
    for name, expected in weights(launched).items():
        assert torch.equal(weights(recorded)[name], expected), name


@BOTH
def test_equal_seeds_give_equal_weights_bit_for_bit(action_space):
    learners = [make(action_space) for _ in range(2)]
    for learner in learners:
        learner.update(play(learner), 0, on_minibatch=lambda *_: None)
    assert learners[0].weights() == learners[1].weights()


@BOTH
@pytest.mark.parametrize("is_greedy", [False, True])
def test_a_policy_decides_as_on_the_cpu(action_space, is_greedy):
    answers = []
    for device in ("cuda", "cpu"):
        learner = make(action_space, device, precision="fp32")
        policy = learner.greedy() if is_greedy else learner.sampler()
        ask(policy, pictures(20, seed=1))  # what is recorded must read the frames of the next call
        answers.append(ask(policy, pictures(20, seed=2)))
    gpu, cpu = answers
    np.testing.assert_allclose(gpu.actions, cpu.actions, atol=1e-4)
    np.testing.assert_allclose(gpu.log_probs, cpu.log_probs, atol=1e-4)
    np.testing.assert_allclose(gpu.values, cpu.values, atol=1e-4)


def test_a_policy_stays_as_it_was_when_the_network_learns():
    learner = make()
    policy, frames = learner.sampler(), pictures(20)
    before = ask(policy, frames)
    learner.update(play(learner), 0, on_minibatch=lambda *_: None)
    assert ask(policy, frames).values.tolist() == before.values.tolist()
    assert ask(learner.sampler(), frames).values.tolist() != before.values.tolist()


def test_a_resumed_update_equals_an_uninterrupted_one():
    learner = make()
    learner.update(play(learner), 0, on_minibatch=lambda *_: None)
    resumed = make()
    resumed.load_weights(learner.weights())
    resumed.load_optimizer_state(learner.optimizer_state())
    episodes = play(learner, seed=5)
    for one in (learner, resumed):
        one.update(episodes, 1, on_minibatch=lambda *_: None)
    assert resumed.weights() == learner.weights()
    assert resumed.optimizer_state() == learner.optimizer_state()


SEVERAL = ("LIDAR", "STEREO_CAMERAS")


def make_several(device="cuda", precision="auto"):
    """Return a learner that sees three frames of two cameras and a lidar at once."""
    hyperparameters = Hyperparameters(minibatch_size=64, num_epochs=2, gamma=0.9, stack_size=3)
    return PpoLearner(ModelMetadata(DISCRETE, SEVERAL), hyperparameters, seed=3, device=device, precision=precision)


def stacks_of(frames):
    """Return what a collection shows for the frames of one episode."""
    numbers = np.arange(len(frames))
    return np.stack([frames[(numbers - age).clip(0)] for age in (2, 1, 0)], axis=1)


def play_several(learner, lengths=(70, 95)):
    episodes = []
    for number, length in enumerate(lengths):
        frames = np.random.default_rng(number).integers(0, 100, (length + 1, 2 * 19200 + 64), dtype=np.uint8)
        answer = ask(learner.sampler(), stacks_of(frames[:-1]))
        columns = (answer.actions, answer.log_probs, answer.values, np.ones(length, np.float32))
        start, record = EpisodeStart("training", 0, number), SimpleNamespace()
        episodes.append(
            Episode(start, frames[:-1], frames[-1], *columns, terminated=False, truncated=True, record=record)
        )
    return episodes


def test_a_recorded_step_of_several_sensors_and_frames_is_the_launched_step():
    recorded, launched = make_several(), make_several()
    launched._replay_step = launched._learn
    episodes = play_several(recorded)
    for iteration in range(2):
        first, second = (
            learner.update(episodes, iteration, on_minibatch=lambda *_: None) for learner in (recorded, launched)
        )
        assert first.epochs == second.epochs
    for name, expected in weights(launched).items():
        assert torch.equal(weights(recorded)[name], expected), name


def test_a_policy_of_several_sensors_and_frames_decides_as_on_the_cpu():
    frames = np.random.default_rng(5).integers(0, 100, (20, 2 * 19200 + 64), dtype=np.uint8)
    answers = []
    for device in ("cuda", "cpu"):
        policy = make_several(device, precision="fp32").sampler()
        ask(policy, stacks_of(frames[::-1]))
        answers.append(ask(policy, stacks_of(frames)))
    gpu, cpu = answers
    assert gpu.actions.tolist() == cpu.actions.tolist()
    np.testing.assert_allclose(gpu.log_probs, cpu.log_probs, atol=1e-4)
    np.testing.assert_allclose(gpu.values, cpu.values, atol=1e-4)
