"""Whole trainings with real processes: several races at once, and models that begin with another one."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest

from drctl.simulation.track.library import load_track
from drctl.trainer.spec import PretrainedSpec

from .processes import KEYS, Processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RACES = ({}, {"world_name": "Oval_track", "train_reverse_direction": True})


@pytest.fixture
def train(tmp_path):
    runs = []

    def run(name, **options):
        processes = Processes(tmp_path / name, **{"episodes": 4, "iterations": 1, "steps": 80, **options})
        runs.append(processes)
        return processes

    yield run
    for processes in runs:
        processes.close()


def rows(processes, slot):
    text = processes.store.get(KEYS.trace(slot, 0, 2)).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_each_episode_drives_its_entry_s_race_whichever_worker_plays_it(train):
    both = train("both", workers=2, entries=RACES)
    both.start()
    both.finish()
    lengths = [load_track(name).length_m for name in ("reinvent_base", "Oval_track")]
    for slot, length in enumerate(lengths):
        assert all(abs(float(row["track_len"]) - length) < 0.01 for row in rows(both, slot))
    # The second race runs the other way round: its first car looks back along the first piece of the track.
    ahead = np.subtract(*load_track("Oval_track").centre_m[[1, 0]])
    turned = float(rows(both, 1)[0]["yaw"]) - math.degrees(math.atan2(ahead[1], ahead[0]))
    assert abs(math.remainder(turned, 360.0)) == pytest.approx(180.0, abs=5.0)
    # One worker plays all of it: the other is never started.
    alone = train("alone", workers=2, entries=RACES)
    alone.start_trainer()
    alone.start_worker(1)
    alone.finish()
    assert alone.results() == both.results()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A training of one iteration, whose model lies under the prefix ``old`` as well."""
    processes = Processes(tmp_path_factory.mktemp("source"), episodes=4, iterations=1, steps=80)
    processes.start()
    processes.finish()
    for info in list(processes.store.list("model")):
        processes.store.copy(info.key, info.key.replace("model/", "old/", 1))
    return processes


@pytest.mark.parametrize("is_full", [False, True])
def test_a_clone_begins_with_the_source_s_network_and_leaves_the_source_alone(train, source, is_full):
    clone = train("clone", pretrained=PretrainedSpec("bucket", "old", 1, is_full), iterations=3)
    for info in source.store.list("old"):
        clone.store.put(info.key, source.store.get(info.key))
    before = {info.key: info.version for info in clone.store.list("old")}
    clone.start()
    clone.finish()
    assert {info.key: info.version for info in clone.store.list("old")} == before
    ours, theirs = clone.results(), source.results()
    assert ours[KEYS.weights(0)] == theirs[KEYS.weights(1)]
    assert ours[KEYS.weights(1)] != theirs[KEYS.weights(1)]
    first, source_last = clone.manifest(0), source.manifest(1)
    assert first["conditions"]["pretrained"] == {"bucket": "bucket", "prefix": "old", "checkpoint": 1}
    assert first["counters"]["episodes"] == (4 if is_full else 0)
    assert first["steps"] == (source_last["steps"] if is_full else 0)
    # term_cond_max_episodes counts 12 episodes in all: a full clone has driven 4 of them already.
    assert json.loads(clone.store.get(KEYS.checkpoint_index))["last_checkpoint"]["name"].startswith(
        "2_Step-" if is_full else "3_Step-"
    )
