"""A model as pandas tables, for notebooks.

The table of steps has the columns of deepracer-utils' ``DeepRacerLog.dataframe()``, so its tools and the notebooks of
the community work on it, whichever store the model lies in and however many workers drove.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.analysis.opening import model_keys, project_store
from drctl.analysis.reading import Limits, read_model
from drctl.analysis.road import find_track
from drctl.config.project import load_project
from drctl.formats.episode_status import EpisodeStatus

if TYPE_CHECKING:
    import pandas as pd

    from drctl.analysis.drive import Drive
    from drctl.analysis.laps import Race
    from drctl.analysis.record import ModelRecord
    from drctl.simulation.track.track import Track

ITERATIONS: Final = 300
_BYTES: Final = 400e6
_COPIED: Final = (
    *("episode", "steps", "x", "y", "yaw", "action", "reward", "done", "progress", "closest_waypoint"),
    *("track_len", "tstamp", "pause_duration", "wall_clock"),
)
_RENAMED: Final = {"steer": "steering_angle", "throttle": "speed", "all_wheels_on_track": "on_track"}


@dataclass(frozen=True, eq=False)
class ModelTables:
    """A model that was read.

    Attributes:
        record: Everything that is known of it.
        tracks: The project's folder of tracks.
    """

    record: ModelRecord
    tracks: Path

    @cached_property
    def iterations(self) -> pd.DataFrame:
        """One row per iteration: rewards, progress, laps, best laps, figures of the update."""
        import pandas as pd

        rows = []
        for one in self.record.iterations:
            row: dict[str, Any] = {"iteration": one.number, "steps": one.steps}
            for name, outcome in (("training", one.training), ("evaluation", one.evaluation)):
                if outcome is not None:
                    row |= {
                        f"{name}_reward": outcome.reward_mean,
                        f"{name}_progress": outcome.progress_mean_percent,
                        f"{name}_laps": outcome.laps,
                        f"{name}_best_lap": outcome.best_lap_s,
                    }
            rows.append({**row, **one.learning})
        frame = pd.DataFrame(rows)
        return frame.set_index("iteration") if rows else frame

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row per step of the training episodes that were read."""
        frame = _steps(self.record.drive)
        frame["unique_episode"] = _unique_episodes(self.record.drive)
        return frame.sort_values(["unique_episode", "steps"]).reset_index(drop=True)

    @cached_property
    def race_steps(self) -> pd.DataFrame:
        """One row per step of the evaluations, ``stream`` being their 14 digits."""
        import pandas as pd

        driven = [(race.stamp, race.drive) for race in self.record.races if race.drive is not None]
        frames = [_steps(drive).assign(stream=stamp) for stamp, drive in driven]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    @cached_property
    def races(self) -> pd.DataFrame:
        """One row per lap of the evaluations."""
        import pandas as pd

        return pd.DataFrame([row for race in self.record.races for row in _laps(race)])

    @cached_property
    def track(self) -> Track | None:
        """The track that most steps were driven on, or None where it is unknown."""
        drives = [self.record.drive, *(race.drive for race in self.record.races if race.drive is not None)]
        drive = next((one for one in drives if len(one)), None)
        if drive is None:
            return None
        points = np.column_stack([drive.rows["x"], drive.rows["y"]])
        return find_track(float(np.median(drive.rows["track_len"])), points, self.record.track_names, self.tracks)


def open_model(
    prefix: str | None = None, *, folder: str | Path | None = None, iterations: int = ITERATIONS
) -> ModelTables:
    """Read a model of a project.

    Args:
        prefix: Of the model; None for that of ``DR_LOCAL_S3_MODEL_PREFIX``.
        folder: Where the search for the project begins; None for the current folder.
        iterations: Traces of so many iterations are read: half of them the newest, half spread over the training.

    Raises:
        DrctlError: There is no such project or model.
    """
    project = load_project(None if folder is None else Path(folder))
    limits = Limits(trace_iterations=iterations, trace_bytes=_BYTES)
    record = read_model(project_store(project), model_keys(project, prefix), limits)
    return ModelTables(record, project.root / "tracks")


def _steps(drive: Drive) -> pd.DataFrame:
    import pandas as pd

    words = np.array([status.value for status in EpisodeStatus], object)
    columns = {name: drive.rows[name] for name in _COPIED}
    columns |= {theirs: drive.rows[ours] for ours, theirs in _RENAMED.items()}
    columns["episode_status"] = words[drive.rows["status"]]
    return pd.DataFrame(
        {**columns, "iteration": drive.iteration, "worker": drive.slot, "driven_speed": drive.speed_m_s}
    )


def _unique_episodes(drive: Drive) -> Any:
    """Number the episodes of all slots as they were issued to them, iteration after iteration."""
    if not len(drive):
        return np.empty(0, np.int64)
    first = drive.iteration == drive.iteration[0]
    slots = int(drive.slot.max()) + 1
    # Each slot has as many episodes in every iteration.
    per_slot = np.array([len(np.unique(drive.rows["episode"][first & (drive.slot == slot)])) for slot in range(slots)])
    before = np.concatenate([[0], np.cumsum(per_slot)])
    within = drive.rows["episode"] % np.maximum(1, per_slot)[drive.slot]
    return within + before[drive.slot] + drive.iteration * before[-1]


def _laps(race: Race) -> list[dict[str, Any]]:
    return [
        {
            "stream": race.stamp,
            "lap": lap.trial,
            "time": lap.elapsed_time_in_milliseconds / 1000,
            "progress": lap.completion_percentage,
            "status": lap.episode_status,
            "off_tracks": lap.off_track_count,
            "crashes": lap.crash_count,
            "resets": lap.reset_count,
        }
        for lap in race.laps
    ]
