"""Numbering and clocks of the log slots: worked out by hand from DESIGN 4.6."""

import json

import numpy as np

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.manifest import SlotState
from drctl.formats.object_keys import ModelKeys
from drctl.formats.simtrace import TRACE_DTYPE, parse_rows
from drctl.simulation.episode import EpisodeRecord
from drctl.trainer.slots import SlotBook, slot_count

KEYS = ModelKeys("model")


def record(seconds, progress=10.0):
    rows = np.zeros(2, TRACE_DTYPE)
    rows["tstamp"] = [0.067, seconds]
    return EpisodeRecord(rows, EpisodeStatus.OFF_TRACK, 3.6, 1, progress, seconds)


def book(slots, episodes):
    return SlotBook(KEYS, episodes, "progress", [SlotState()] * slots, [[]] * slots)


def test_slots_are_limited_by_workers_episodes_and_ten():
    assert [slot_count(w, n) for w, n in ((1, 20), (3, 20), (12, 20), (4, 2))] == [1, 3, 10, 2]


def test_five_episodes_in_two_slots_over_two_iterations():
    slots = book(2, 5)
    files = slots.add_training(0, [record(1.0 + e) for e in range(5)])
    assert sorted(files) == ["model/0/training-simtrace/0-iteration.csv", "model/1/training-simtrace/0-iteration.csv"]
    slots.add_evaluation([record(10.0, 100.0)])
    files = slots.add_training(1, [record(1.0) for _ in range(5)])
    # Slot 0 plays e = 0, 2, 4 and slot 1 plays e = 1, 3; ceil(5 / 2) = 3 numbers are set aside per iteration in both.
    metrics = [json.loads(data)["metrics"] for _, data in sorted(slots.metrics_files().items())]
    assert [(m["episode"], m["trial"], m["phase"]) for m in metrics[0]] == [
        (1, 1, "training"),
        (2, 2, "training"),
        (3, 3, "training"),
        (3, 3, "evaluation"),
        (4, 1, "training"),
        (5, 2, "training"),
        (6, 3, "training"),
    ]
    assert [(m["episode"], m["trial"]) for m in metrics[1]] == [(1, 1), (2, 2), (4, 1), (5, 2)]
    # Trace episodes count the slot's own training episodes: 3 per iteration in slot 0, 2 in slot 1.
    assert parse_rows(files["model/0/training-simtrace/1-iteration.csv"], "t")["episode"].tolist() == [3, 3, 4, 4, 5, 5]
    assert parse_rows(files["model/1/training-simtrace/1-iteration.csv"], "t")["episode"].tolist() == [2, 2, 3, 3]


def test_a_slots_clock_lays_its_episodes_end_to_end_with_the_evaluation_after_the_training():
    slots = book(2, 5)
    slots.add_training(0, [record(1.0 + e) for e in range(5)])
    slots.add_evaluation([record(10.0)])
    files = slots.add_training(1, [record(1.0) for _ in range(5)])
    entries = json.loads(slots.metrics_files()[KEYS.metrics(0)])["metrics"]
    # Durations in slot 0: 1, 3, 5 s of training, 10 s of evaluation, then 1, 1, 1 s.
    assert [entry["start_time"] for entry in entries] == [0, 1000, 4000, 9000, 19000, 20000, 21000]
    assert [entry["metric_time"] for entry in entries] == [1000, 4000, 9000, 19000, 20000, 21000, 22000]
    assert [entry["elapsed_time_in_milliseconds"] for entry in entries[:4]] == [1000, 3000, 5000, 10000]
    trace = parse_rows(files["model/0/training-simtrace/1-iteration.csv"], "t")
    assert np.allclose(trace["tstamp"], [19.067, 20.0, 20.067, 21.0, 21.067, 22.0])


def test_a_single_slot_writes_to_the_plain_names():
    slots = book(1, 2)
    assert list(slots.add_training(4, [record(1.0), record(1.0)])) == ["model/training-simtrace/4-iteration.csv"]
    assert list(slots.metrics_files()) == ["model/metrics/TrainingMetrics.json"]


def test_entries_of_a_publish_that_was_cut_off_are_dropped():
    slots = book(1, 1)
    slots.add_training(0, [record(1.0)])
    state = slots.states
    slots.add_evaluation([record(2.0)])
    entries = [slots._entries[0]]
    again = SlotBook(KEYS, 1, "progress", state, entries)
    again.add_evaluation([record(2.0)])
    assert again.metrics_files() == slots.metrics_files()
