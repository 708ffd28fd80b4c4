"""Which checkpoint is raced, and what is said when there is none."""

from __future__ import annotations

import json

import pytest

from drctl.errors import FormatError, ObjectNotFoundError
from drctl.evaluation.checkpoint import load_checkpoint, read_metadata
from drctl.formats.object_keys import ModelKeys
from drctl.storage.directory import DirectoryStore

KEYS = ModelKeys("car")


@pytest.fixture
def store(tmp_path):
    store = DirectoryStore(tmp_path / "data" / "bucket")
    store.put(KEYS.model_metadata, b"{}")
    for number in (2, 10, 7):
        store.put(KEYS.frozen_graph(number), b"graph %d" % number)
    write_index(store, best="7_Step-70.ckpt", last="10_Step-100.ckpt")
    return store


def write_index(store, best, last):
    index = {
        f"{word}_checkpoint": {"name": name, "avg_eval_metric": None, "time_stamp": 0}
        for word, name in (("best", best), ("last", last))
    }
    store.put(KEYS.checkpoint_index, json.dumps(index).encode())


@pytest.mark.parametrize(("choice", "number"), [("best", 7), ("last", 10), ("2", 2)])
def test_a_checkpoint_is_chosen_by_word_or_number(store, choice, number):
    found = load_checkpoint(store, KEYS, choice)
    assert (found.number, found.graph) == (number, b"graph %d" % number)
    assert found.source == f"data/bucket/car/model/model_{number}.pb"


def test_a_number_that_is_not_there_names_those_that_are(store):
    with pytest.raises(ObjectNotFoundError) as caught:
        load_checkpoint(store, KEYS, "8")
    (problem,) = caught.value.problems
    assert problem.what == "checkpoint 8 of car is not in the store"
    assert problem.where == "data/bucket/car/model"
    assert problem.expected == "best, last or one of: 2, 7, 10"
    assert problem.fix == "drctl eval --model car --checkpoint 10"


def test_an_index_that_names_a_lost_graph_is_told(store):
    store.delete(KEYS.frozen_graph(7))
    with pytest.raises(ObjectNotFoundError, match=r"checkpoint best \(7\) of car is not in the store"):
        load_checkpoint(store, KEYS, "best")


def test_without_an_index_a_number_is_needed(store):
    store.delete(KEYS.checkpoint_index)
    with pytest.raises(ObjectNotFoundError, match="it is not known which one is last"):
        load_checkpoint(store, KEYS, "last")
    assert load_checkpoint(store, KEYS, "2").number == 2


def test_an_index_without_a_best_checkpoint(store):
    write_index(store, best=None, last="10_Step-100.ckpt")
    with pytest.raises(ObjectNotFoundError, match="car has no best checkpoint yet"):
        load_checkpoint(store, KEYS, "best")


def test_a_broken_index_is_told(store):
    store.put(KEYS.checkpoint_index, b"{")
    with pytest.raises(FormatError, match=r"deepracer_checkpoints\.json is not JSON"):
        load_checkpoint(store, KEYS, "last")


def test_a_graph_removed_by_a_training_that_goes_on_is_looked_up_again(store):
    class Training:
        """Publishes checkpoint 11 and removes 10 while the index is being read."""

        name = store.name

        def get(self, key):
            data = store.get(key)
            if key == KEYS.checkpoint_index and b"10_Step" in data:
                write_index(store, best="7_Step-70.ckpt", last="11_Step-110.ckpt")
                store.put(KEYS.frozen_graph(11), b"graph 11")
                store.delete(KEYS.frozen_graph(10))
            return data

    assert load_checkpoint(Training(), KEYS, "last").graph == b"graph 11"


def test_a_model_that_is_not_there_names_those_that_are(store):
    with pytest.raises(ObjectNotFoundError) as caught:
        read_metadata(store, ModelKeys("cart"))
    (problem,) = caught.value.problems
    assert problem.what == "there is no model under the prefix cart"
    assert problem.expected == "the prefix of a model: car"
    assert problem.fix == "drctl eval --model car"


def test_an_empty_bucket(tmp_path):
    with pytest.raises(ObjectNotFoundError) as caught:
        read_metadata(DirectoryStore(tmp_path / "bucket"), KEYS)
    assert caught.value.problems[0].fix == "drctl start-training"
