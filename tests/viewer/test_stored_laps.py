"""Driven lines for the map, out of the traces of trainings and races."""

from __future__ import annotations

import numpy as np
import pytest

from drctl.formats.object_keys import ModelKeys
from drctl.formats.simtrace import TRACE_DTYPE, render_rows
from drctl.simulation.track.library import load_track
from drctl.simulation.vehicle.geometry import NOSE_M
from drctl.storage.directory import DirectoryStore
from drctl.viewer.stored_laps import MOST_EPISODES, StoredLaps

STEPS = 31
SPEED_M_S = 2.0


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "bucket")


@pytest.fixture
def laps(store, tmp_path):
    return StoredLaps(store, ModelKeys("model"), tmp_path / "tracks")


def trace(episodes, track="reinvent_base"):
    """Return a trace of cars that follow the centre line for two seconds."""
    road = load_track(track)
    rows = np.zeros(STEPS * len(episodes), TRACE_DTYPE)
    for place, episode in enumerate(episodes):
        part = rows[place * STEPS : (place + 1) * STEPS]
        clock = np.arange(STEPS) / 15
        for axis, name in enumerate(("x", "y")):
            part[name] = np.interp(clock * SPEED_M_S, road.arc_m, road.centre_m[:, axis])
        part["yaw"] = np.degrees(np.arctan2(*np.gradient(np.stack([part["y"], part["x"]]), axis=1)))
        part["episode"], part["tstamp"], part["reward"] = episode, 100 * place + clock, 1.0
        part["progress"], part["track_len"] = np.linspace(0, 20, STEPS), road.length_m
    return render_rows(rows)


def test_the_newest_iteration_of_every_slot(store, laps):
    assert laps.read() is None
    for slot in (0, 1):
        for iteration in (2, 9, 10):
            store.put(f"model/{slot}/training-simtrace/{iteration}-iteration.csv", trace([20, 21]))
    found = laps.read()
    assert (found["iteration"], found["track"]["name"]) == (10, "reinvent_base")
    assert [clip["car"] for clip in found["clips"]] == [1, 2, 3, 4]
    clip = found["clips"][3]
    assert (clip["phase"], clip["duration_s"], clip["progress_percent"], clip["reward"]) == (
        "training",
        2.0,
        20.0,
        31.0,
    )
    time_s, x, y, yaw, _ = clip["points"][0]
    start = load_track("reinvent_base").centre_m[0]
    assert time_s == 0.0
    # A trace has the car's nose, a map its middle.
    assert (x + NOSE_M * np.cos(yaw), y + NOSE_M * np.sin(yaw)) == pytest.approx(start, abs=2e-3)
    assert laps.read() is found  # nothing new, nothing read


def test_a_race_and_its_own_track(store, laps):
    store.put("model/training-simtrace/0-iteration.csv", trace([0]))
    store.put("model/evaluation-20260102030405/evaluation-simtrace/0-iteration.csv", trace([0, 1, 2], "Oval_track"))
    found = laps.read("20260102030405")
    assert (found["iteration"], found["track"]["name"], len(found["clips"])) == (None, "Oval_track", 3)
    assert {clip["phase"] for clip in found["clips"]} == {"evaluation"}
    store.put("model/evaluation-20260102030405/opponent/evaluation-simtrace/0-iteration.csv", trace([0], "Oval_track"))
    assert [clip["car"] for clip in laps.read("20260102030405")["clips"]] == [1, 2, 3, 4]
    assert laps.read("20260102030406") is None
    assert laps.read()["track"]["name"] == "reinvent_base"


def test_a_track_that_nobody_knows_and_a_long_trace(store, laps):
    rows = trace(range(MOST_EPISODES + 5)).replace(str(load_track("reinvent_base").length_m).encode(), b"1234.5")
    store.put("model/training-simtrace/0-iteration.csv", rows)
    found = laps.read()
    assert (found["track"], len(found["clips"])) == (None, MOST_EPISODES)
