"""The files that ship: they parse, say what DRfC's sample says but for the batch, and exist once in content."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from drctl.formats.hyperparameters import Hyperparameters, parse_hyperparameters
from drctl.formats.model_metadata import DiscreteActionSpace, parse_model_metadata
from drctl.resources import resource_folder

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = resource_folder("defaults") / "custom_files"
NAMES = ("hyperparameters.json", "model_metadata.json", "reward_function.py")


def test_the_example_equals_the_defaults():
    for name in NAMES:
        assert (ROOT / "custom_files" / name).read_bytes() == (DEFAULTS / name).read_bytes()
    assert {path.name for path in DEFAULTS.iterdir() if path.is_file()} == set(NAMES)


def test_hyperparameters():
    h = parse_hyperparameters((DEFAULTS / NAMES[0]).read_bytes(), NAMES[0])
    assert h == Hyperparameters(
        minibatch_size=256,  # this and the learning rate were chosen by measurement (docs/performance.md)
        learning_rate=0.0006,
        num_epochs=5,
        gamma=0.99,
        value_loss="huber",
        max_episodes=1000,
        target_score=350.0,
    )


def test_model_metadata():
    metadata = parse_model_metadata((DEFAULTS / NAMES[1]).read_bytes(), NAMES[1])
    assert metadata.action_space == DiscreteActionSpace((-30.0, -15.0, 0.0, 15.0, 30.0), (0.6,) * 5)
    assert (metadata.sensors, metadata.version) == (("FRONT_FACING_CAMERA",), 5.0)
    assert metadata.neural_network == "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"
    assert metadata.warnings == ()


@pytest.mark.parametrize(
    ("distance_m", "reward"),
    [(0.0, 1.0), (0.1, 1.0), (0.11, 0.5), (0.25, 0.5), (0.26, 0.1), (0.5, 0.1), (0.51, 1e-3), (3.0, 1e-3)],
)
def test_reward_on_a_track_of_one_metre(distance_m, reward):
    reward_function = runpy.run_path(str(DEFAULTS / NAMES[2]))["reward_function"]
    assert reward_function({"distance_from_center": distance_m, "track_width": 1.0}) == reward
