"""The replay buffer: frames once, the right frame behind each transition, the oldest overwritten."""

import numpy as np
import pytest
import torch
from trainer.test_ppo import record

from drctl.errors import ConfigError
from drctl.simulation.episode import EpisodeStart
from drctl.trainer.replay import ReplayBuffer, slots_within
from drctl.trainer.rollout import Episode

CPU = torch.device("cpu")


def numbered(first, steps, *, terminated=True):
    """An episode whose frames, actions and rewards all say their number; one more frame follows when it was cut off."""
    numbers = np.arange(first, first + steps + 1)
    frames = np.zeros((steps + 1, 120, 160), np.uint8)
    frames[:, 5, 7] = numbers
    values = numbers[:steps].astype(np.float32)
    return Episode(
        EpisodeStart("training", 0, 0),
        frames[:steps],
        None if terminated else frames[steps],
        np.stack([values / 100, -values / 100], axis=1),
        np.zeros(steps, np.float32),
        np.zeros(steps, np.float32),
        values,
        terminated,
        not terminated,
        record(),
    )


def contents(buffer):
    """(number, number of the frame behind it or None) of every transition, by an exhaustive look."""
    batch = buffer.gather(buffer.pick(np.arange(len(buffer)) / len(buffer)))
    seen, behind = (frames[:, 5, 7].tolist() for frames in (batch.frames, batch.next_frames))
    assert batch.rewards.tolist() == seen
    assert np.allclose(batch.actions.numpy(), np.array([[n / 100, -n / 100] for n in seen]))
    pairs = zip(seen, behind, batch.is_terminated.tolist(), strict=True)
    return sorted((number, None if is_terminated else after) for number, after, is_terminated in pairs)


def test_every_frame_is_kept_once():
    buffer = ReplayBuffer(10, CPU)
    buffer.add([numbered(10, 3), numbered(20, 4, terminated=False)])
    assert contents(buffer) == [(10, 11), (11, 12), (12, None), (20, 21), (21, 22), (22, 23), (23, 24)]
    # 3 frames, and 4 with a final one, take 8 of 10 slots.
    buffer.add([numbered(30, 1, terminated=False)])
    assert len(buffer) == 8
    buffer.add([numbered(40, 1)])
    assert contents(buffer) == [(11, 12), (12, None), (20, 21), (21, 22), (22, 23), (23, 24), (30, 31), (40, None)]


def test_the_oldest_slots_are_overwritten_across_the_end():
    buffer = ReplayBuffer(6, CPU)
    buffer.add([numbered(10, 4, terminated=False)])
    buffer.add([numbered(20, 3)])
    # Slots: 22 11 12 13 | 14 is the final frame of the first episode | 20 21, the latter at the end of the ring.
    assert contents(buffer) == [(12, 13), (13, 14), (20, 21), (21, 22), (22, None)]


@pytest.mark.parametrize(
    ("terminated", "kept"), [(True, [(16, 17), (17, 18), (18, None)]), (False, [(17, 18), (18, 19)])]
)
def test_of_an_episode_longer_than_the_buffer_the_end_stays(terminated, kept):
    buffer = ReplayBuffer(3, CPU)
    buffer.add([numbered(10, 9, terminated=terminated)])
    assert contents(buffer) == kept


def test_whatever_came_before_what_is_there_fits_together():
    generator = np.random.default_rng(0)
    buffer, number, made = ReplayBuffer(37, CPU), 0, []
    for _ in range(40):
        steps, terminated = int(generator.integers(1, 20)), bool(generator.random() < 0.6)
        if number + steps > 250:
            number = 0
        buffer.add([numbered(number, steps, terminated=terminated)])
        ends = [number + step + 1 for step in range(steps)]
        made += [(end - 1, None if terminated and end == number + steps else end) for end in ends]
        number += steps + 1
        found = contents(buffer)
        assert sorted(made[-len(found) :]) == found
        # Of 37 slots, final frames and the half of an episode that was overwritten hold no transition.
        assert len(found) >= min(len(made), 30)


def test_every_transition_is_as_likely():
    buffer = ReplayBuffer(8, CPU)
    buffer.add([numbered(1, 2, terminated=False), numbered(5, 2)])
    picked = buffer.pick(np.array([0.0, 0.2499, 0.25, 0.5, 0.75, 1 - 2**-53]))
    assert buffer.gather(picked).rewards.tolist() == [1, 1, 2, 5, 6, 6]


def test_stacks_reach_back_to_the_first_frame_that_is_there_of_their_episode():
    buffer = ReplayBuffer(7, CPU, stack=3)
    buffer.add([numbered(10, 4, terminated=False), numbered(20, 3)])
    # The head has passed slot 0, where 10 was: 22 stands there now.
    batch = buffer.gather(np.array([1, 2, 3, 5, 6]))
    seen, behind = (frames[:, :, 5, 7].tolist() for frames in (batch.frames, batch.next_frames))
    assert seen == [[11, 11, 11], [11, 11, 12], [11, 12, 13], [20, 20, 20], [20, 20, 21]]
    assert behind == [[11, 11, 12], [11, 12, 13], [12, 13, 14], [20, 20, 21], [20, 21, 22]]
    assert buffer.gather(np.array([0])).frames[0, :, 5, 7].tolist() == [20, 21, 22]


def test_an_episode_that_was_cut_off_needs_its_final_frame():
    episode = numbered(1, 2)
    broken = Episode(**{**vars(episode), "terminated": False, "truncated": True})
    with pytest.raises(ValueError, match="episode 0 was cut off but has no final observation"):
        ReplayBuffer(8, CPU).add([broken])


@pytest.mark.parametrize(("size_gb", "slots"), [(2.0, 104_166), (0.05, 2604), (100.0, 1_000_000)])
def test_slots_by_memory(size_gb, slots):
    assert slots_within(size_gb) == slots


def test_no_room_is_said():
    with pytest.raises(ConfigError, match="a replay buffer of 1 frames holds no transition"):
        ReplayBuffer(1, CPU)
