"""Object keys, written out as contract 1.2 and 4.4 list them."""

from __future__ import annotations

import re

import pytest

from drctl.formats.object_keys import ModelKeys, training_params_name

KEYS = ModelKeys("races/my-model")


def test_keys_that_tools_know():
    assert KEYS.hyperparameters == "races/my-model/ip/hyperparameters.json"
    assert KEYS.model_metadata == "races/my-model/model/model_metadata.json"
    assert KEYS.checkpoint_index == "races/my-model/model/deepracer_checkpoints.json"
    assert KEYS.frozen_graph(48) == "races/my-model/model/model_48.pb"
    assert KEYS.reward_function == "races/my-model/reward_function.py"
    assert KEYS.training_params() == "races/my-model/training_params.yaml"
    assert KEYS.training_params(2) == "races/my-model/training_params_2.yaml"
    assert KEYS.training_params(2, file_name="params.yml") == "races/my-model/params_2.yml"
    assert KEYS.custom_files("reward_function.py") == "races/my-model/custom_files/reward_function.py"


def test_metrics_of_a_slot():
    assert KEYS.metrics(0) == "races/my-model/metrics/TrainingMetrics.json"
    assert KEYS.metrics(2) == "races/my-model/metrics/TrainingMetrics_2.json"
    assert ModelKeys("m", "elsewhere/metrics/").metrics(1) == "elsewhere/metrics/TrainingMetrics_1.json"


def test_traces_of_one_slot_and_of_several():
    assert KEYS.trace(0, 12, slots=1) == "races/my-model/training-simtrace/12-iteration.csv"
    assert KEYS.trace(9, 0, slots=10) == "races/my-model/9/training-simtrace/0-iteration.csv"
    # The pattern that deepracer-utils has for several workers: one character.
    assert re.fullmatch(r".*/(.)/training-simtrace/(.*)-iteration\.csv", KEYS.trace(0, 3, slots=2)).groups() == (
        "0",
        "3",
    )


def test_our_own_keys_lie_in_one_folder():
    assert KEYS.status == "races/my-model/.drctl/status.json"
    assert KEYS.lease == "races/my-model/.drctl/lease.json"
    assert KEYS.iteration_summary(3) == "races/my-model/.drctl/iterations/3.json"
    assert KEYS.manifest(3) == "races/my-model/.drctl/manifests/3.json"
    assert KEYS.weights(3) == "races/my-model/.drctl/weights/3.pt"
    assert KEYS.optimizer(3) == "races/my-model/.drctl/optimizer/3.pt"
    assert KEYS.tensorboard("events.1") == "races/my-model/.drctl/tensorboard/events.1"


def test_slashes_at_the_ends_do_not_count():
    assert ModelKeys("/m/").status == "m/.drctl/status.json"


@pytest.mark.parametrize("prefix", ["", "/", "a//b", "a/../b", "./a"])
def test_what_is_no_prefix(prefix):
    with pytest.raises(ValueError, match="not a prefix"):
        ModelKeys(prefix)


def test_names_of_parameter_files():
    assert training_params_name(None, "x.yaml") == "x.yaml"
    assert training_params_name(1) == "training_params_1.yaml"
