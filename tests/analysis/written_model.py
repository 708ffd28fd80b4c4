"""A model as a short training and a race leave it, written by the trainer's own writers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace

import numpy as np

from drctl.evaluation.publish import publish
from drctl.evaluation.rules import RacedLap
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.hyperparameters import parse_hyperparameters, render_effective
from drctl.formats.manifest import SlotState
from drctl.formats.object_keys import ModelKeys
from drctl.formats.simtrace import TRACE_DTYPE
from drctl.resources import resource_folder
from drctl.simulation.episode import EpisodeRecord
from drctl.simulation.track.library import load_track
from drctl.storage.location import StoreLocation, open_store
from drctl.trainer.slots import SlotBook

STEP_S = 1 / 15
EPISODES = 5
ITERATIONS = 4
TRIALS = 2
SLOTS = 2


def drive_along(track, steps, stride, status, reward=1.0):
    """Return an episode that follows the centre line: `steps` rows, `stride` vertices each."""
    centre = track.centre_m
    places = (np.arange(steps) * stride) % len(centre)
    rows = np.zeros(steps, TRACE_DTYPE)
    rows["steps"] = np.arange(1, steps + 1)
    rows["x"], rows["y"] = centre[places].T
    rows["throttle"], rows["steer"], rows["action"] = 0.6, 15.0, np.arange(steps) % 5
    rows["reward"] = reward
    rows["reward"][0] = 0.0
    rows["progress"] = np.linspace(0.8, 100.0 if status is EpisodeStatus.LAP_COMPLETE else 40.0, steps)
    rows["closest_waypoint"], rows["track_len"] = places, track.length_m
    rows["tstamp"] = STEP_S * np.arange(1, steps + 1)
    rows["status"] = EpisodeStatus.IN_PROGRESS.index
    rows["status"][0], rows["status"][-1] = EpisodeStatus.PREPARE.index, status.index
    rows["done"][-1] = rows["all_wheels_on_track"][:] = True
    total = float(rows["reward"].sum())
    return EpisodeRecord(rows, status, total, steps - 1, float(rows["progress"][-1]), steps * STEP_S)


@dataclass
class WrittenModel:
    """A model in a folder store, and what was written."""

    root: object
    store: object
    keys: ModelKeys
    training: list
    evaluation: list

    @property
    def folder(self):
        return self.root / self.keys.prefix


def write_model_into(root, prefix="model", *, slots=SLOTS, is_ours=True, has_race=True, lap_steps=60):
    """Write a model into a bucket's folder; the last training episode of each iteration from the second on is a lap."""
    root.mkdir(parents=True, exist_ok=True)
    store, track = open_store(StoreLocation("directory", "bucket", folder=str(root))), load_track("reinvent_base")
    keys = ModelKeys(prefix)
    book = SlotBook(keys, EPISODES, "progress", [SlotState()] * slots, [[]] * slots)
    training, evaluation = [], []
    for iteration in range(ITERATIONS):
        records = [drive_along(track, 8 + e + iteration, 1, EpisodeStatus.OFF_TRACK) for e in range(EPISODES)]
        if iteration:
            records[-1] = drive_along(track, lap_steps + 10 - iteration, 2, EpisodeStatus.LAP_COMPLETE)
        judged = [drive_along(track, lap_steps - iteration, 2, EpisodeStatus.LAP_COMPLETE) for _ in range(TRIALS)]
        for key, data in book.add_training(iteration, records).items():
            store.put(key, data)
        book.add_evaluation(judged)
        training.append(records)
        evaluation.append(judged)
        if is_ours:
            summary = _summary(iteration, records, judged)
            store.put(keys.iteration_summary(iteration), json.dumps(summary).encode())
    for key, data in book.metrics_files().items():
        store.put(key, data)
    if is_ours:
        _write_rest(store, keys)
    if has_race:
        _race(store, keys, track, lap_steps)
    return WrittenModel(root, store, keys, training, evaluation)


def _summary(iteration, records, judged):
    def figures(some):
        return {
            "reward_mean": sum(one.reward for one in some) / len(some),
            "progress_mean": sum(one.progress_percent for one in some) / len(some),
            "laps": sum(one.is_lap for one in some),
            "lap_times_s": [one.duration_s for one in some if one.is_lap],
        }

    return {
        "iteration": iteration,
        "checkpoint": iteration + 1,
        "episodes": len(records),
        "steps": sum(one.steps for one in records),
        **figures(records),
        "policy_loss": 0.1,
        "value_loss": 1.0,
        "entropy": 1.6 - 0.3 * iteration,
        "seconds": {"collect": 3.0, "update": 4.0, "publish": 1.0, "evaluate": 2.0},
        "evaluation": {"trials": len(judged), **figures(judged), "metric": 100.0},
    }


def _write_rest(store, keys):
    shipped = resource_folder("defaults") / "custom_files"
    store.put(keys.model_metadata, (shipped / "model_metadata.json").read_bytes())
    effective = render_effective(
        parse_hyperparameters((shipped / "hyperparameters.json").read_bytes(), "f"), "clipped_ppo"
    )
    store.put(keys.hyperparameters, effective.encode())
    store.put(keys.reward_function, b"def reward_function(params):\n    return 1.0  # </pre><script>x</script>\n")
    store.put(keys.training_params(), b"---\n'WORLD_NAME': 'reinvent_base'\n'RACE_TYPE': 'TIME_TRIAL'\n")


def _race(store, keys, track, steps):
    laps, rows, start = [], [], 0.0
    for number in range(2):
        lap = drive_along(track, steps - 5 * number, 2, EpisodeStatus.LAP_COMPLETE)
        lap.rows["episode"] = number
        lap.rows["tstamp"] += start
        laps.append(RacedLap(number + 1, start, start + lap.duration_s, lap.status, 100.0))
        rows.append(lap.rows)
        start += lap.duration_s
    outcome = SimpleNamespace(laps=tuple(laps), rows=np.concatenate(rows))  # all that a publisher reads
    publish(store, keys, datetime(2026, 1, 2, 3, 4, 5), outcome)
