"""The numbers of a model as plain data, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from drctl.analysis.drawing.actions import use_of_actions
from drctl.formats.episode_status import EpisodeStatus

if TYPE_CHECKING:
    from drctl.analysis.iterations import Iteration, Outcome
    from drctl.analysis.laps import Race
    from drctl.analysis.record import ModelRecord

_RECENT = 10


def model_to_json(record: ModelRecord) -> dict[str, Any]:
    """Return what the report shows of a model, without its pictures; times in simulated seconds."""
    lap = record.drawable_lap()
    use = use_of_actions(record.drive, record.metadata)
    return {
        "prefix": record.name,
        "place": record.place,
        "tracks": list(record.track_names),
        "best_checkpoint": record.best_checkpoint,
        "last_checkpoint": record.last_checkpoint,
        "episodes": record.episodes,
        "steps": record.steps,
        "wall_s": _rounded(record.wall_s),
        "best_lap_s": _rounded(record.best_lap_s),
        "drawn_lap": None if lap is None else {"time_s": _rounded(lap.time_s), "origin": lap.origin},
        "iterations": [_iteration(one) for one in record.iterations],
        "races": [_race(race) for race in record.races],
        "actions": [] if use is None else [asdict(share) for share in use.recent(_RECENT)],
        "episode_ends": _ends(record),
        "hyperparameters": dict(record.hyperparameters),
        "conditions": dict(record.conditions),
        "traces_read": asdict(record.coverage),
        "missing": list(record.missing),
    }


def _iteration(one: Iteration) -> dict[str, Any]:
    return {
        "iteration": one.number,
        "steps": one.steps,
        "training": _outcome(one.training),
        "evaluation": None if one.evaluation is None else _outcome(one.evaluation),
        "learning": dict(one.learning),
        "seconds": {name: _rounded(value) for name, value in one.seconds.items()},
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "episodes": outcome.episodes,
        "laps": outcome.laps,
        "reward_mean": _rounded(outcome.reward_mean),
        "progress_mean_percent": _rounded(outcome.progress_mean_percent),
        "lap_times_s": [_rounded(time) for time in outcome.lap_times_s],
    }


def _race(race: Race) -> dict[str, Any]:
    return {
        "stamp": race.stamp,
        "track_length_m": _rounded(race.track_length_m),
        "laps": [asdict(lap) for lap in race.laps],
        "lap_times_s": [_rounded(time) for time in race.lap_times_s],
    }


def _ends(record: ModelRecord) -> list[dict[str, Any]]:
    """Return where the training episodes that were read ended before the lap did."""
    drive = record.drive
    rows = drive.episodes_ending(EpisodeStatus.OFF_TRACK, EpisodeStatus.CRASHED)
    return [
        {
            "iteration": int(drive.iteration[row]),
            "status": EpisodeStatus.from_index(int(drive.rows["status"][row])).value,
            "waypoint": int(drive.rows["closest_waypoint"][row]),
            "x_m": round(float(drive.rows["x"][row]), 3),
            "y_m": round(float(drive.rows["y"][row]), 3),
        }
        for row in np.sort(rows)
    ]


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)
