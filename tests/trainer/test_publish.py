"""A kill at any moment of a publish leaves a model that loads (DESIGN 7)."""

import numpy as np
import pytest

from drctl.errors import FormatError, UnavailableError
from drctl.formats.checkpoint_index import parse_checkpoint_index
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.manifest import Counters, SlotState
from drctl.formats.object_keys import ModelKeys
from drctl.formats.simtrace import TRACE_DTYPE
from drctl.formats.training_metrics import parse_training_metrics
from drctl.simulation.episode import EpisodeRecord
from drctl.storage.directory import DirectoryStore
from drctl.trainer import publish
from drctl.trainer.best_model import judge
from drctl.trainer.publish import CheckpointContent, Publisher, load_manifests, load_newest_complete
from drctl.trainer.slots import SlotBook

KEYS = ModelKeys("model")


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


class MortalStore:
    """Passes calls on to a real store until its life is over; the fatal put may leave the object written."""

    def __init__(self, store, life, *, writes_last):
        self._store, self._life, self._writes_last = store, life, writes_last
        self.name = store.name

    def __getattr__(self, name):
        action = getattr(self._store, name)
        if name not in ("put", "delete", "copy"):
            return action

        def counted(*arguments, **options):
            if self._life == 0:
                if self._writes_last:
                    action(*arguments, **options)
                raise Killed
            self._life -= 1
            return action(*arguments, **options)

        return counted


class HeldLease:
    epoch = 1

    def check(self):
        pass


def record(steps):
    rows = np.zeros(steps + 1, TRACE_DTYPE)
    rows["steps"] = np.arange(1, steps + 2)
    return EpisodeRecord(rows, EpisodeStatus.OFF_TRACK, float(steps), steps, 5.0 * steps, steps / 15)


def content(number):
    return CheckpointContent(b"weights %d" % number, b"optimizer %d" % number, b"graph %d" % number)


def play(store, resumed, iterations):
    """Publish iterations the way the main loop does: enter training, publish 1, enter evaluation, publish 2."""
    publisher = Publisher(store, KEYS, HeldLease(), "token", 60.0, lambda _: None)
    if resumed is None:
        slots = SlotBook(KEYS, 3, "progress", [SlotState()] * 2, [[], []])
        manifest = publisher.publish_checkpoint(
            0, content(0), counters=Counters(), slots=slots, traces={}, conditions={}, summary=None, previous=None
        )
    else:
        manifest = resumed
        entries = [
            parse_training_metrics(store.get(KEYS.metrics(slot)), "metrics").episodes if state.entries else []
            for slot, state in enumerate(manifest.slots)
        ]
        slots = SlotBook(KEYS, 3, "progress", manifest.slots, entries)
        publisher.adopt(load_manifests(store, KEYS), manifest)
        publisher.write_index(manifest)
    while manifest.number < iterations or (manifest.number and manifest.evaluation is None):
        if manifest.number and manifest.evaluation is None:
            trials = [record(10 + manifest.number)]
            slots.add_evaluation(trials)
            evaluation = judge(trials, "progress")
            manifest = publisher.publish_evaluation(
                manifest, evaluation, counters=manifest.counters, slots=slots, is_best=True
            )
            continue
        number = manifest.number + 1
        traces = slots.add_training(manifest.number, [record(number + e) for e in range(3)])
        manifest = publisher.publish_checkpoint(
            number,
            content(number),
            counters=Counters(episodes=3 * number, steps=10 * number),
            slots=slots,
            traces=traces,
            conditions={},
            summary={"iteration": number - 1},
            previous=manifest,
        )
    return manifest


def objects(store):
    """Everything in the store except what rightly differs: times of writing."""
    found = {}
    for info in store.list():
        data = store.get(info.key)
        found[info.key] = None if info.key.startswith(KEYS.manifests_folder) else data
    return found


def test_a_kill_at_every_point_leaves_a_loadable_model_and_the_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole = DirectoryStore(tmp_path / "whole")
    play(whole, None, 4)
    points, life = 0, 0
    while True:
        for writes_last in (False, True):
            store = DirectoryStore(tmp_path / f"{life}-{writes_last}")
            try:
                play(MortalStore(store, life, writes_last=writes_last), None, 4)
            except Killed:
                points += 1
            else:
                assert points >= 50
                assert objects(store) == objects(whole)
                return
            loaded = load_newest_complete(store, KEYS, load_manifests(store, KEYS))
            if loaded is not None:
                manifest, files = loaded
                assert files == content(manifest.number)
                index = parse_checkpoint_index(store.get(KEYS.checkpoint_index), "index") if _has_index(store) else None
                if index is not None:
                    assert store.get(KEYS.frozen_graph(int(index.best.name.partition("_")[0])))
            play(store, loaded and loaded[0], 4)
            assert objects(store) == objects(whole), f"killed at call {life}"
        life += 1


def _has_index(store):
    return store.stat(KEYS.checkpoint_index) is not None


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path):
    store = DirectoryStore(tmp_path / "bucket")
    play(store, None, 3)
    store.put(KEYS.weights(3), b"damaged")
    manifest, files = load_newest_complete(store, KEYS, load_manifests(store, KEYS))
    assert (manifest.number, files.weights) == (2, b"weights 2")


def test_the_index_names_last_without_a_metric_until_it_is_evaluated(tmp_path):
    store = DirectoryStore(tmp_path / "bucket")
    play(store, None, 1)
    index = parse_checkpoint_index(store.get(KEYS.checkpoint_index), "index")
    assert (index.last.name, index.best.name) == ("1_Step-10.ckpt", "1_Step-10.ckpt")
    assert index.last.avg_eval_metric == pytest.approx(55.0)
    untrained = DirectoryStore(tmp_path / "untrained")
    play(untrained, None, 0)
    index = parse_checkpoint_index(untrained.get(KEYS.checkpoint_index), "index")
    assert (index.last.name, index.best.name) == ("0_Step-0.ckpt", "0_Step-0.ckpt")
    assert index.last.avg_eval_metric is None


def test_a_store_that_fails_for_a_while_holds_the_publish_up(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "RETRY_S", 0.0)
    store = DirectoryStore(tmp_path / "bucket")
    failures = iter([True, True, False])
    put = store.put

    def flaky(*arguments, **options):
        if next(failures, False):
            raise UnavailableError("the disk is full")
        return put(*arguments, **options)

    monkeypatch.setattr(store, "put", flaky)
    heard = []
    publisher = Publisher(store, KEYS, HeldLease(), "token", 1e9, lambda error: heard.append(str(error)))
    publisher.put("model/some", b"object")
    assert store.get("model/some") == b"object"
    assert heard == ["the disk is full", "the disk is full", "None"]


def test_checkpoints_of_which_none_can_be_loaded_are_not_written_over(tmp_path):
    store = DirectoryStore(tmp_path / "bucket")
    play(store, None, 1)
    for number in (0, 1):
        store.put(KEYS.weights(number), b"damaged")
    with pytest.raises(FormatError, match="no checkpoint under model can be loaded") as caught:
        load_newest_complete(store, KEYS, load_manifests(store, KEYS))
    assert "drctl start-training -w" in caught.value.problems[0].fix


def test_each_old_optimizer_is_deleted_once(tmp_path):
    store = DirectoryStore(tmp_path / "bucket")
    deleted = []
    delete = store.delete
    store.delete = lambda key: (deleted.append(key), delete(key))
    play(store, None, 5)
    optimizers = [key for key in deleted if key.startswith(KEYS.optimizers_folder)]
    assert optimizers == [KEYS.optimizer(number) for number in range(4)]
