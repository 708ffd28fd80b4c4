"""Which episodes are driven, and from where: numbers worked out by hand from DESIGN 4.5 and 4.6."""

from dataclasses import replace

import pytest

from drctl.formats.training_params import WorldParams
from drctl.trainer.schedule import evaluation_starts, training_starts


@pytest.fixture
def world(default_world: WorldParams) -> WorldParams:
    return replace(
        default_world,
        change_start_position=True,
        round_robin_advance_dist=0.05,
        start_position_offset=0.0,
        reverse_dir=False,
        alternate_driving_direction=False,
    )


def test_start_positions_go_around_the_track_and_on_in_the_next_iteration(world):
    first = training_starts([world], 0, 4, None)
    second = training_starts([world], 1, 4, None)
    assert [round(start.start_fraction, 6) for start in first + second] == [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35]
    assert [start.episode for start in second] == [0, 1, 2, 3]
    assert {start.iteration for start in second} == {1}


def test_a_fixed_start_position_stays_at_the_offset(world):
    starts = training_starts([replace(world, change_start_position=False, start_position_offset=0.25)], 3, 3, None)
    assert [start.start_fraction for start in starts] == [0.25, 0.25, 0.25]


def test_offset_plus_advance_wraps_at_the_finish_line(world):
    starts = training_starts([replace(world, start_position_offset=0.9)], 0, 4, None)
    assert [round(start.start_fraction, 6) for start in starts] == [0.9, 0.95, 0.0, 0.05]


def test_alternating_direction_flips_with_every_training_episode_and_across_iterations(world):
    alternating = replace(world, alternate_driving_direction=True)
    flips = [s.is_reversed for i in range(2) for s in training_starts([alternating], i, 3, None)]
    assert flips == [False, True, False, True, False, True]
    reversed_first = replace(alternating, reverse_dir=True)
    assert [s.is_reversed for s in training_starts([reversed_first], 0, 2, None)] == [True, False]


def test_each_world_counts_its_own_episodes(world):
    other = replace(world, start_position_offset=0.5)
    starts = training_starts([world, other], 1, 5, None)
    # Iteration 0 gave the first world episodes 0, 2, 4 (c = 0..2) and the second 1, 3 (c = 0..1).
    assert [start.world for start in starts] == [0, 1, 0, 1, 0]
    assert [round(start.start_fraction, 6) for start in starts] == [0.15, 0.6, 0.2, 0.65, 0.25]


@pytest.mark.parametrize(
    ("cap", "episodes", "expected"), [(None, 20, None), (1000, 20, 50), (1009, 20, 50), (5, 20, 1)]
)
def test_the_step_cap_is_spread_over_the_episodes(world, cap, episodes, expected):
    assert {start.max_steps for start in training_starts([world], 0, episodes, cap)} == {expected}


def test_evaluation_trials_are_spread_around_a_loop_and_stay_at_the_start_of_an_open_track(world):
    assert [s.start_fraction for s in evaluation_starts([world], [True], 2, 5)] == [0, 0.2, 0.4, 0.6, 0.8]
    assert [s.start_fraction for s in evaluation_starts([world], [False], 2, 3)] == [0, 0, 0]
    assert {s.phase for s in evaluation_starts([world], [True], 2, 5)} == {"evaluation"}
