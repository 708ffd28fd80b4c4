"""A learner takes an earlier model over: weights, and in full its optimiser and counters."""

from pathlib import Path

import numpy as np
import pytest

from drctl.errors import FailedError, FormatError
from drctl.formats.hyperparameters import Hyperparameters
from drctl.formats.manifest import BestRecord, Counters, Manifest, SlotState, render_manifest
from drctl.formats.model_metadata import DiscreteActionSpace, ModelMetadata
from drctl.formats.object_keys import ModelKeys
from drctl.storage.directory import DirectoryStore
from drctl.storage.location import StoreLocation
from drctl.trainer.ppo import PpoLearner
from drctl.trainer.pretrained import inherit
from drctl.trainer.spec import PretrainedSpec

KEYS = ModelKeys("old")


def make_learner(seed, actions=5, heads="shared"):
    space = DiscreteActionSpace((0.0,) * actions, (1.0,) * actions)
    return PpoLearner(ModelMetadata(space), Hyperparameters(), seed=seed, device="cpu", shards=1, heads=heads)


@pytest.fixture(scope="module")
def source():
    learner = make_learner(seed=1)
    learner._optimizer.steps.fill_(7)  # one that has learned
    return learner


@pytest.fixture
def location(tmp_path, source):
    store = DirectoryStore(tmp_path / "data" / "elsewhere")
    store.put(KEYS.weights(4), source.weights())
    store.put(KEYS.optimizer(4), source.optimizer_state())
    manifest = Manifest(
        number=4,
        steps=900,
        name="4_Step-900.ckpt",
        created=0.0,
        run_token="t",
        lease_epoch=1,
        files={},
        counters=Counters(80, 900, 7, (1.0, 2.0), 3, 12.5),
        slots=(SlotState(),),
        conditions={},
        best=BestRecord(4, "4_Step-900.ckpt", 100.0, 1.0),
    )
    store.put(KEYS.manifest(4), render_manifest(manifest))
    return StoreLocation("directory", "bucket", folder=str(tmp_path / "data" / "bucket"))


def test_the_weights_are_taken_over_and_everything_is_counted_anew(location, source):
    learner = make_learner(seed=2)
    assert learner.weights() != source.weights()
    untouched = learner.optimizer_state()
    found = inherit(PretrainedSpec("elsewhere", "old", 4, is_full=False), location, learner)
    assert learner.weights() == source.weights()
    assert learner.optimizer_state() == untouched != source.optimizer_state()
    assert found.counters == Counters()
    assert found.origin == {"bucket": "elsewhere", "prefix": "old", "checkpoint": 4}


def test_in_full_optimiser_and_counters_come_too_but_not_what_judges_the_model(location, source):
    learner = make_learner(seed=2)
    found = inherit(PretrainedSpec("elsewhere", "old", 4, is_full=True), location, learner)
    assert learner.optimizer_state() == source.optimizer_state()
    assert found.counters == Counters(episodes=80, steps=900, laps=7)


def test_another_network_is_refused_by_its_layers(location):
    with pytest.raises(FormatError) as caught:
        inherit(PretrainedSpec("elsewhere", "old", 4, is_full=False), location, make_learner(2, actions=3))
    assert caught.value.problems[0].fix == "drctl config set DR_LOCAL_S3_PRETRAINED=False"


def test_a_checkpoint_that_was_removed_meanwhile(location):
    with pytest.raises(FailedError, match="checkpoint 5 of old is no longer in the store"):
        inherit(PretrainedSpec("elsewhere", "old", 5, is_full=False), location, make_learner(2))


@pytest.mark.parametrize("heads", ["shared", "separate"])
def test_of_a_graph_the_policy_is_taken_over_and_the_rest_stays(location, source, heads):
    DirectoryStore(Path(location.folder).with_name("elsewhere")).put(KEYS.frozen_graph(8), source.frozen_graph())
    learner = make_learner(seed=2, heads=heads)
    before, theirs = learner._canonical_weights(), source._canonical_weights()
    found = inherit(PretrainedSpec("elsewhere", "old", 8, is_full=False, is_graph=True), location, learner)
    assert found.counters == Counters()
    assert learner.frozen_graph() == source.frozen_graph()
    for name, weight in learner._canonical_weights().items():
        assert np.array_equal(weight, (before if name.startswith("value") else theirs)[name])


def test_a_graph_of_other_actions_is_refused(location, source):
    DirectoryStore(Path(location.folder).with_name("elsewhere")).put(KEYS.frozen_graph(8), source.frozen_graph())
    learner = make_learner(2, actions=3)
    before = learner.weights()
    with pytest.raises(FormatError) as caught:
        inherit(PretrainedSpec("elsewhere", "old", 8, is_full=False, is_graph=True), location, learner)
    assert str(caught.value) == "policy.weight in old/model/model_8.pb has shape (5, 512) of float32"
    assert learner.weights() == before
