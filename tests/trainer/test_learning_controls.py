"""The car learns to drive by what it sees: controls against a simulator or a judge that is too kind (DESIGN 7, 8)."""

from pathlib import Path

import numpy as np
import pytest

from drctl.formats.hyperparameters import parse_hyperparameters
from drctl.formats.model_metadata import parse_model_metadata
from drctl.formats.training_params import WorldParams
from drctl.simulation.environment import BatchEnvironment, EnvironmentSpec, WorldSpec
from drctl.trainer.ppo import PpoLearner
from drctl.trainer.rollout import Episode
from drctl.trainer.schedule import evaluation_starts, training_starts

CUSTOM_FILES = Path(__file__).resolve().parents[2] / "custom_files"
TRIALS = 10
LONGEST_EVALUATION = 700  # steps; a lap at 0.6 m/s takes about 430

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def text(name):
    return (CUSTOM_FILES / name).read_text()


def drive(environment, starts, policy, *, is_blind=False, limit=None):
    """Play episodes one batch beside the other, the way collection does, without processes."""
    cars = np.arange(len(starts))
    kept = [([], [], [], [], []) for _ in starts]
    for car, start in enumerate(starts):
        environment.begin(car, start)
    running, steps, ends = cars, np.zeros(len(starts), np.int64), {}
    while len(running) and (limit is None or steps.max() < limit):
        seen = np.zeros_like(environment.frames) if is_blind else environment.frames.copy()
        decided = policy.act(seen, starts, steps)
        for car in running:
            kept[car][0].append(seen[car])
            kept[car][1].append(decided.actions[car])
            kept[car][2].append(decided.log_probs[car])
            kept[car][3].append(decided.values[car])
        result = environment.step(running, decided.actions[running])
        steps[running] += 1
        for row, car in enumerate(running):
            kept[car][4].append(result.rewards[row])
            if result.terminated[row] or result.truncated[row]:
                ends[int(car)] = bool(result.terminated[row])
        running = running[~(result.terminated | result.truncated)]
    episodes = []
    for car, (frames, actions, log_probs, values, rewards) in enumerate(kept):
        if car in ends:
            episodes.append(
                Episode(
                    start=starts[car],
                    frames=np.stack(frames),
                    final_frame=None if ends[car] else environment.frames[car].copy(),
                    actions=np.array(actions),
                    log_probs=np.array(log_probs, np.float32),
                    values=np.array(values, np.float32),
                    rewards=np.array(rewards, np.float32),
                    terminated=ends[car],
                    truncated=not ends[car],
                    record=environment.record(car),
                )
            )
    return episodes


@pytest.fixture(scope="module")
def world():
    keys = dict.fromkeys(("bucket", "prefix", "metrics_key", "model_metadata_key", "reward_key"), "unused")
    return WorldParams(world_name="reinvent_base", **keys)


@pytest.fixture(scope="module")
def environment():
    spec = EnvironmentSpec(
        worlds=(WorldSpec("reinvent_base"),),
        metadata=text("model_metadata.json"),
        physics="ros2",
        reward_source=text("reward_function.py"),
        reward_file="reward_function.py",
        seed=0,
    )
    return BatchEnvironment(spec, 20)


@pytest.fixture
def learner():
    metadata = parse_model_metadata(text("model_metadata.json"), "model_metadata.json")
    return PpoLearner(metadata, parse_hyperparameters(text("hyperparameters.json"), "hyperparameters.json"), seed=0)


def laps(environment, world, policy, **options):
    starts = evaluation_starts([world], [True], 0, TRIALS) + evaluation_starts([world], [True], 1, TRIALS)
    played = drive(environment, starts, policy, limit=LONGEST_EVALUATION, **options)
    return sum(episode.record.is_lap for episode in played)


def test_a_trained_network_laps_but_an_untrained_or_a_blindfolded_one_does_not(environment, world, learner):
    assert laps(environment, world, learner.greedy()) == 0
    assert laps(environment, world, learner.sampler()) == 0
    for iteration in range(8):
        starts = training_starts([world], iteration, 20, 6000)
        learner.update(drive(environment, starts, learner.sampler()), iteration, lambda _done, _total: None)
        if laps(environment, world, learner.greedy()) == 2 * TRIALS:
            break
    else:
        pytest.fail("no clean evaluation within 8 iterations")
    assert laps(environment, world, learner.greedy(), is_blind=True) == 0
