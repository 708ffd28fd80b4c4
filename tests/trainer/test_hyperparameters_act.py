"""Every hyperparameter acts: a changed value shows in what is driven, learned, or when the run ends."""

import numpy as np
import pytest
import torch
from trainer.test_ppo import DISCRETE, QUIET, make, random_episodes, same_weights, tensors

from drctl.formats.hyperparameters import DECLARATIONS, Hyperparameters
from drctl.formats.manifest import Counters
from drctl.formats.training_params import WorldParams
from drctl.simulation.episode import EpisodeStart
from drctl.trainer.schedule import training_starts
from drctl.trainer.stop_rule import StopRule

# What each is changed to, beside the attributes that make it count.
IN_THE_WEIGHTS = {
    "minibatch_size": (16, {}),
    "num_epochs": (3, {}),
    "learning_rate": (1e-3, {}),
    "entropy_coef": (0.5, {}),
    "gamma": (0.5, {}),
    "value_loss": ("huber", {}),
}
IN_THE_ACTIONS = {
    "exploration": ("e-greedy", {}),
    "epsilon_final": (0.5, {"exploration": "e-greedy"}),
    "epsilon_steps": (100_000, {"exploration": "e-greedy"}),
}
IN_THE_RUN = {"episodes_per_iteration", "max_episodes", "target_score"}
IN_THE_NETWORK = {"stack_size"}
OF_SAC = {"sac_alpha"}


def test_no_hyperparameter_is_forgotten():
    assert {*IN_THE_WEIGHTS, *IN_THE_ACTIONS, *IN_THE_RUN, *IN_THE_NETWORK, *OF_SAC} == set(DECLARATIONS)


@pytest.mark.parametrize("attribute", IN_THE_WEIGHTS)
def test_it_changes_the_weights_of_ppo(attribute):
    value, others = IN_THE_WEIGHTS[attribute]
    plain, again, changed = (make(**{**others, **change}) for change in ({}, {}, {attribute: value}))
    for learner in (plain, again, changed):
        learner.update(random_episodes(learner), 0, **QUIET)
    assert same_weights(plain, again)
    assert not same_weights(plain, changed)


@pytest.mark.parametrize("attribute", IN_THE_ACTIONS)
def test_it_changes_the_actions_of_training_and_not_those_of_evaluation(attribute):
    value, others = IN_THE_ACTIONS[attribute]
    plain, changed = (make(DISCRETE, **{**others, **change}) for change in ({}, {attribute: value}))
    frames = np.full((64, 120, 160), 99, np.uint8)
    starts, steps = [EpisodeStart("training", 0, episode) for episode in range(64)], np.zeros(64, np.int64)
    actions = [learner.sampler(50_000).act(frames, starts, steps).actions.tolist() for learner in (plain, changed)]
    assert actions[0] != actions[1]
    greedy = [learner.greedy().act(frames, starts, steps).actions.tolist() for learner in (plain, changed)]
    assert greedy[0] == greedy[1]


def test_it_changes_how_long_iterations_and_runs_are():
    keys = dict.fromkeys(("bucket", "prefix", "metrics_key", "model_metadata_key", "reward_key"), "unused")
    wanted = Hyperparameters(episodes_per_iteration=7, max_episodes=30, target_score=5.0)
    assert len(training_starts([WorldParams(world_name="reinvent_base", **keys)], 0, 7, None)) == 7
    rule = StopRule.of("max_episodes", wanted)
    assert rule.reason_to_stop(Counters(episodes=29)) is None
    assert rule.reason_to_stop(Counters(episodes=30)) is not None
    rule = StopRule.of("score", wanted)
    assert rule.reason_to_stop(Counters(recent_scores=(4.9,) * 100)) is None
    assert rule.reason_to_stop(Counters(recent_scores=(5.1,) * 100)) is not None


def test_stacked_frames_widen_the_first_layer():
    assert [tensors(make(stack_size=stack))["embedder.conv.0.weight"].shape[1] for stack in (1, 3)] == [1, 3]


def test_weights_are_compared_to_the_last_bit():
    first, second = make(), make()
    assert same_weights(first, second)
    with torch.no_grad():
        second._network.parameters["policy.bias"][0] += 1e-7
    assert not same_weights(first, second)
