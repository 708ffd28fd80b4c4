"""A car file is run on golden frames and compared with the checkpoint's own graph and with the trainer's weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation.round_track import METADATA, constant_graph

from drctl.errors import FailedError
from drctl.evaluation.car_check import TrainedWeights, check_car_model
from drctl.evaluation.checkpoint import StoredCheckpoint
from drctl.evaluation.golden_frames import golden_frames
from drctl.formats.hyperparameters import Hyperparameters
from drctl.formats.model_metadata import parse_model_metadata
from drctl.trainer.ppo import PpoLearner
from drctl.trainer.sac import ReplaySettings, SacLearner

BOUNDS = {"steering_angle": {"low": -30, "high": 30}, "speed": {"low": 0.5, "high": 4}}
CONTINUOUS = {**METADATA, "action_space_type": "continuous", "action_space": BOUNDS}
LIDAR = {**METADATA, "sensor": ["STEREO_CAMERAS", "LIDAR"]}
SAC = {**CONTINUOUS, "training_algorithm": "sac"}


def learner_of(content, heads="shared", seed=5):
    metadata = parse_model_metadata(json.dumps(content), "model_metadata.json")
    options = {"seed": seed, "precision": "fp32", "heads": heads}
    if metadata.training_algorithm == "sac":
        return SacLearner(metadata, Hyperparameters(), replay=ReplaySettings(0.001), **options)
    return PpoLearner(metadata, Hyperparameters(), **options)


def check(content, packed, stored, weights=None):
    text = json.dumps(content)
    return check_car_model(packed, text.encode(), StoredCheckpoint(3, stored, "model_3.pb"), text, weights)


def test_golden_frames_are_those_of_a_drive_and_of_no_track_and_always_the_same():
    frames = golden_frames(json.dumps(METADATA))
    assert frames.shape[1:] == (120, 160)
    assert len(frames) > 25
    drive, (black, white, noise) = frames[:-3], frames[-3:]
    assert len({frame.tobytes() for frame in drive}) == len(drive)
    assert (black.max(), white.min()) == (0, 255)
    assert np.std(noise) > 70
    assert np.array_equal(frames, golden_frames(json.dumps(METADATA)))


def test_pictures_of_no_track_keep_the_scan_of_the_lidar():
    frames = golden_frames(json.dumps(LIDAR))
    assert frames.shape[1:] == (2 * 19200 + 64,)
    assert np.array_equal(frames[-1, -64:], frames[0, -64:])
    assert frames[0, -64:].any()


@pytest.mark.parametrize(
    ("content", "heads"),
    [(METADATA, "separate"), (LIDAR, "shared"), (CONTINUOUS, "shared"), (SAC, "shared")],
    ids=["discrete", "lidar", "continuous", "sac"],
)
def test_a_car_file_answers_as_graph_and_weights_do(content, heads):
    learner = learner_of(content, heads)
    graph = learner.frozen_graph()
    found = check(content, graph, graph, TrainedWeights(learner.weights(), heads))
    assert found.graph_difference == 0.0
    assert found.weights_difference is not None
    assert 0.0 < found.weights_difference < 1e-5
    assert found.frames - 3 <= found.same_in_half_precision <= found.frames  # a tie of an untrained network may fall


def test_a_model_of_other_software_has_no_weights_to_compare_with():
    found = check(METADATA, constant_graph(1), constant_graph(1))
    assert (found.choices, found.graph_difference, found.weights_difference) == (1, 0.0, None)


def test_half_precision_is_told_when_it_changes_what_is_chosen():
    """Half precision does not tell 1.0002 from 1, and of equal actions the first is taken."""
    biases = [np.array(values, np.float32).tobytes() for values in ((0, 1, 0), (1, 1.0002, 0))]
    close = constant_graph(1).replace(*biases)
    assert check(METADATA, close, close).same_in_half_precision == 0


def test_another_graph_in_the_car_file_is_noticed():
    with pytest.raises(FailedError) as caught:
        check(METADATA, constant_graph(1), constant_graph(2))
    count = len(golden_frames(json.dumps(METADATA)))
    assert str(caught.value) == (
        f"the car file does not drive like checkpoint 3: it answers otherwise to {count} of {count} frames"
    )
    assert caught.value.problems[0].expected == "answers that differ by at most 1e-06; the largest difference is 0.36"


@pytest.mark.parametrize("content", [METADATA, CONTINUOUS], ids=["discrete", "continuous"])
def test_weights_of_another_checkpoint_are_noticed(content):
    graph = learner_of(content).frozen_graph()
    with pytest.raises(FailedError, match="does not drive like the weights of checkpoint 3: it answers otherwise to"):
        check(content, graph, graph, TrainedWeights(learner_of(content, seed=6).weights(), "shared"))
