"""The published graph drives as the trainer's own greedy policy does, and broken ones are refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation.round_track import METADATA, constant_graph

from drctl.errors import FormatError
from drctl.evaluation.graph_policy import GraphPolicy, check_graph
from drctl.formats.hyperparameters import Hyperparameters
from drctl.formats.model_metadata import ContinuousActionSpace, DiscreteActionSpace, ModelMetadata, parse_model_metadata
from drctl.formats.observation import ObservationForm
from drctl.simulation.environment import BatchEnvironment
from drctl.simulation.episode import EpisodeStart
from drctl.trainer.ppo import PpoLearner
from drctl.trainer.rollout import Episode
from drctl.trainer.sac import ReplaySettings, SacLearner

DISCRETE = DiscreteActionSpace((-30.0, -15.0, 0.0, 15.0, 30.0), (0.6,) * 5)
CONTINUOUS = ContinuousActionSpace(-30.0, 30.0, 0.5, 2.0)
START = EpisodeStart("evaluation", 0, 0)
THREE = parse_model_metadata(json.dumps(METADATA), "model_metadata.json")


def seen_frames(spec):
    """Frames of a real drive, and noise: both kinds must give the same action."""
    environment = BatchEnvironment(spec, 1)
    environment.begin(0, START)
    frames = []
    for step in range(40):
        frames.append(environment.frames[0].copy())
        if environment.step(np.array([0]), np.array([step // 5 % 3])).terminated[0]:
            break
    noise = np.random.default_rng(3).integers(0, 256, (40, 120, 160), dtype=np.uint8)
    return [*frames, *noise]


@pytest.mark.parametrize("space", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_the_graph_chooses_what_the_trainers_greedy_policy_chooses(space, circle_spec):
    learner = PpoLearner(ModelMetadata(space), Hyperparameters(), seed=5, precision="fp32")
    policy = GraphPolicy(learner.frozen_graph(), ModelMetadata(space), "model_0.pb")
    frames = seen_frames(circle_spec())
    assert len(frames) > 60
    greedy = learner.greedy().act(np.array(frames), [START] * len(frames), np.arange(len(frames))).actions
    chosen = np.concatenate([policy.act(frame) for frame in frames])
    if space is DISCRETE:
        assert chosen.dtype == np.int64
        assert (chosen == greedy).all()
        assert len(set(chosen.tolist())) > 1  # otherwise nothing would be told apart
    else:
        assert chosen == pytest.approx(greedy, abs=1e-5)


def test_the_graph_of_sac_chooses_what_its_greedy_policy_chooses(circle_spec):
    metadata = ModelMetadata(CONTINUOUS, training_algorithm="sac")
    learner = SacLearner(metadata, Hyperparameters(), seed=5, precision="fp32", replay=ReplaySettings(0.01))
    learner._network.parameters["policy.mean.weight"].data.mul_(1000)  # as far apart as after a training
    policy = GraphPolicy(learner.frozen_graph(), metadata, "model_0.pb")
    frames = seen_frames(circle_spec())[::4]
    greedy = learner.greedy().act(np.array(frames), [START] * len(frames), np.arange(len(frames))).actions
    assert np.ptp(greedy, axis=0).min() > 0.1  # otherwise nothing would be told apart
    assert np.concatenate([policy.act(frame) for frame in frames]) == pytest.approx(greedy, abs=1e-5)

    with pytest.raises(FormatError, match=r"was trained by sac, model_metadata\.json says clipped_ppo"):
        check_graph(learner.frozen_graph(), ModelMetadata(CONTINUOUS), "model_0.pb")


@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_sac_learns_from_several_sensors_and_frames_and_its_graph_drives_by_them(heads):
    metadata = ModelMetadata(CONTINUOUS, ("SECTOR_LIDAR", "STEREO_CAMERAS"), training_algorithm="sac")
    shape = ObservationForm.of(metadata).shape
    wanted = Hyperparameters(minibatch_size=4, stack_size=2)
    learner = SacLearner(metadata, wanted, seed=5, precision="fp32", heads=heads, replay=ReplaySettings(0.01))
    frames = np.random.default_rng(3).integers(0, 2, (6, *shape), dtype=np.uint8) * 200
    frames[:, -8:] //= 200  # the sectors are on or off
    zeros = np.zeros(6, np.float32)
    actions = np.full((6, 2), 0.5, np.float32)
    episode = Episode(START, frames, frames[0], actions, zeros, zeros, zeros + 1, False, True, None)
    before = learner._network.parameters["lidar.dense.0.weight"].clone()
    learner.update([episode], 0, lambda *_: None)
    assert not np.array_equal(before.detach(), learner._network.parameters["lidar.dense.0.weight"].detach())

    learner._network.parameters["policy.mean.weight"].data.mul_(100)
    policy = GraphPolicy(learner.frozen_graph(), metadata, "model_0.pb")
    chosen = np.concatenate([policy.act(frame) for frame in frames])
    pairs = np.stack([frames[[max(0, step - 1), step]] for step in range(6)])
    greedy = learner.greedy().act(pairs, [START] * 6, np.arange(6)).actions
    assert chosen == pytest.approx(greedy, abs=1e-5)


def test_a_broken_graph_is_refused():
    graph = constant_graph(0)
    with pytest.raises(FormatError) as caught:
        check_graph(graph[: len(graph) // 2], THREE, "data/bucket/m/model/model_3.pb")
    assert str(caught.value) == "data/bucket/m/model/model_3.pb is truncated or not a frozen graph"


def test_a_graph_of_another_action_space_is_refused():
    with pytest.raises(FormatError) as caught:
        check_graph(constant_graph(0, actions=5), THREE, "model_3.pb")
    assert str(caught.value) == "model_3.pb chooses one of 5 actions, model_metadata.json has one of 3 actions"


def test_a_graph_of_another_camera_is_refused():
    other = parse_model_metadata(json.dumps({**METADATA, "sensor": ["LEFT_CAMERA"]}), "model_metadata.json")
    with pytest.raises(FormatError, match=r"sees with FRONT_FACING_CAMERA, model_metadata\.json says LEFT_CAMERA"):
        check_graph(constant_graph(0), other, "model_3.pb")


CTRL_C = """
import gc, signal, sys
from pathlib import Path
from evaluation.round_track import METADATA, constant_graph
from drctl.evaluation.graph_policy import GraphPolicy
from drctl.formats.model_metadata import parse_model_metadata
import json
metadata = parse_model_metadata(json.dumps(METADATA), "model_metadata.json")
policies = [GraphPolicy(constant_graph(1), metadata, "model_0.pb") for _ in range(2)]
while policies:
    del policies[0]
    gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_is_heard_after_models_were_loaded_and_dropped():
    """OpenVINO gives the thread a stack for signals, and two of its cores leave one behind that is gone."""
    tests = str(Path(__file__).parents[1])
    paths = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
