"""Several frames per observation: what the network is shown while it plays, while it learns and at the end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.hyperparameters import Hyperparameters
from drctl.formats.model_metadata import DiscreteActionSpace, ModelMetadata
from drctl.simulation.episode import EpisodeRecord, EpisodeStart
from drctl.trainer.collection.batch import Batch, Group
from drctl.trainer.ppo import PpoLearner
from drctl.trainer.rollout import Actions, Episode
from drctl.trainer.transitions import Transitions, final_observation

CPU = torch.device("cpu")
RECORD = EpisodeRecord(np.empty(0, [("steps", "f4")]), EpisodeStatus.OFF_TRACK, 0.0, 0, 0.0, 0.0)
SENSORS = ("STEREO_CAMERAS", "LIDAR")
FRAME = (2 * 120 * 160 + 64,)


def start(number):
    return EpisodeStart("training", 0, number)


def numbered_episode(first, length):
    """Frame t holds the number first + t, so that a stack tells what it is made of."""
    frames = np.repeat(np.arange(first, first + length, dtype=np.uint8), 6).reshape(length, 2, 3)
    column = np.zeros(length, np.float32)
    return Episode(start(0), frames, None, column.astype(np.int64), column, column, column, True, False, RECORD)


def test_a_minibatch_shows_the_frames_before_and_never_those_of_another_episode():
    episodes = [numbered_episode(10, 3), numbered_episode(50, 1), numbered_episode(70, 4)]
    zeros = np.zeros(8, np.float32)
    transitions = Transitions(episodes, zeros, zeros, CPU, stack=3)
    batch = transitions.gather(np.array([7, 0, 2, 4, 3, 1]))
    assert batch.frames.shape == (6, 3, 2, 3)
    assert batch.frames[:, :, 0, 0].tolist() == [
        [10, 10, 10],
        [10, 10, 11],
        [10, 11, 12],
        [50, 50, 50],
        [70, 70, 70],
        [71, 72, 73],
    ]
    again = transitions.gather(np.array([5, 6, 0, 1, 2, 3]), into=batch)
    assert again is batch
    assert batch.frames[-1, :, 1, 2].tolist() == [70, 71, 72]


@pytest.mark.parametrize(
    ("length", "stack", "expected"), [(5, 3, [3, 4, 99]), (1, 3, [0, 0, 99]), (2, 4, [0, 0, 1, 99]), (5, 2, [4, 99])]
)
def test_the_observation_behind_the_last_decision(length, stack, expected):
    frames = np.arange(length, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), np.uint8)
    final = np.full((2, 3), 99, np.uint8)
    assert final_observation(frames, final, stack)[:, 1, 1].tolist() == expected
    assert final_observation(frames, final, 1) is final


class Recorder:
    rows_at_once = 1000

    def __init__(self):
        self.seen = []

    def act(self, frames, _starts, _steps):
        self.seen.append(frames[:, :, 0].tolist())
        zeros = np.zeros(len(frames), np.float32)
        return Actions(zeros.astype(np.int64), zeros, zeros)


def test_a_collection_shows_the_last_frames_of_each_row():
    policy = Recorder()
    batch = Batch([Group([start(0), start(1)], policy)], (5,), 3)

    def see(row, number):
        rows = np.array([row])
        batch.observe(rows, np.full((1, 5), number, np.uint8))
        batch.decide(rows)
        batch.reward(rows, np.ones(1, np.float32))
        return policy.seen[-1][row]

    assert see(0, 10) == [10, 10, 10]
    assert see(1, 20) == [20, 20, 20]
    assert see(0, 11) == [10, 10, 11]
    assert see(0, 12) == [10, 11, 12]
    assert see(0, 13) == [11, 12, 13]
    batch.forget(0)  # its worker is lost: the episode begins anew
    assert see(0, 30) == [30, 30, 30]
    assert see(1, 21) == [20, 20, 21]


def learner(seed=0, learning_rate=3e-4):
    metadata = ModelMetadata(DiscreteActionSpace((-15.0, 0.0, 15.0), (1.0,) * 3), SENSORS)
    hyperparameters = Hyperparameters(
        minibatch_size=8, num_epochs=2, gamma=0.9, stack_size=2, learning_rate=learning_rate
    )
    return PpoLearner(metadata, hyperparameters, seed=seed, precision="fp32", shards=2)


def played(by, lengths, seed=0, is_cut=False):
    """Episodes of random frames as a collection would have played them."""
    random = np.random.default_rng(seed)
    episodes = []
    for number, length in enumerate(lengths):
        frames = random.integers(0, 100, (length + 1, *FRAME), dtype=np.uint8)
        stacks = np.stack([frames[[max(t - 1, 0), t]] for t in range(length)])
        answer = by.sampler().act(stacks, [start(number)] * length, np.arange(length))
        rewards = random.normal(size=length).astype(np.float32)
        columns = (answer.actions, answer.log_probs, answer.values, rewards)
        final = frames[-1] if is_cut else None
        episodes.append(Episode(start(number), frames[:-1], final, *columns, not is_cut, is_cut, RECORD))
    return episodes


def test_an_update_continues_exactly_from_its_stored_state():
    whole, first = learner(), learner()
    rounds = [played(whole, (9, 12), seed=0, is_cut=True)]
    for each in (whole, first):
        each.update(rounds[0], 0, lambda _done, _total: None)
    second = learner(seed=7)
    second.load_weights(first.weights())
    second.load_optimizer_state(first.optimizer_state())
    second._seed = first._seed
    rounds.append(played(whole, (11, 8), seed=1))
    for each in (whole, second):
        each.update(rounds[1], 1, lambda _done, _total: None)
    assert second.weights() == whole.weights()
    assert second.weights() != first.weights()


def test_an_update_sees_what_the_collection_saw():
    """Without a step to speak of no action's probability differs from the one with which it was drawn."""
    one = learner(learning_rate=1e-8)
    episodes = played(one, (8, 8), is_cut=True)
    assert one.update(episodes, 0, lambda _done, _total: None).epochs[0].kl_divergence < 1e-6
    turned = [replace(episode, frames=episode.frames[::-1].copy()) for episode in episodes]
    assert one.update(turned, 1, lambda _done, _total: None).epochs[0].kl_divergence > 1e-5
