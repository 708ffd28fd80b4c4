"""One race of one checkpoint on one track, as plain data that another process can run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drctl.evaluation.race import Race, RaceOutcome, RaceProgress
from drctl.evaluation.recording import CarLook, cut_into_laps
from drctl.evaluation.rules import RaceRules
from drctl.formats.model_metadata import parse_model_metadata

if TYPE_CHECKING:
    from drctl.evaluation.checkpoint import StoredCheckpoint
    from drctl.simulation.environment_spec import EnvironmentSpec


@dataclass(frozen=True)
class RaceJob:
    """What to race.

    Attributes:
        number: Place among the jobs that are run together, from 0.
        checkpoint: Whose graph drives.
        spec: What is simulated; its one world is the track.
        rules: How the race is judged.
        look: How the car is drawn.
        video_folder: Where to put videos; None for none.
    """

    number: int
    checkpoint: StoredCheckpoint
    spec: EnvironmentSpec
    rules: RaceRules
    look: CarLook
    video_folder: str | None = None

    @property
    def track(self) -> str:
        """Name of the track."""
        return self.spec.worlds[0].track


@dataclass(frozen=True)
class JobOutcome:
    """What came of a job.

    Attributes:
        number: Of the job.
        race: Results, trace and poses.
        race_s: Wall-clock seconds that the race took, without loading.
        videos: MP4 files, each in a folder that is named for its camera.
    """

    number: int
    race: RaceOutcome
    race_s: float
    videos: tuple[Path, ...] = ()


def run_job(job: RaceJob, on_progress: Callable[[RaceProgress], None]) -> JobOutcome:
    """Race, and draw the videos.

    Args:
        job: What to race.
        on_progress: See `Race`.

    Raises:
        DrctlError: The graph cannot be run, the track does not exist or the reward function failed.
    """
    # Loads OpenVINO, which only those who race need.
    from drctl.evaluation.graph_policy import GraphPolicy

    metadata = parse_model_metadata(job.spec.metadata, "model_metadata.json")
    driver = GraphPolicy(job.checkpoint.graph, metadata, job.checkpoint.source)
    race = Race(job.spec, job.rules, driver, max(job.checkpoint.number - 1, 0), on_progress)
    started = time.monotonic()
    outcome = race.run()
    race_s = time.monotonic() - started
    return JobOutcome(job.number, outcome, race_s, _draw(job, outcome))


def _draw(job: RaceJob, outcome: RaceOutcome) -> tuple[Path, ...]:
    if job.video_folder is None:
        return ()
    from drctl.evaluation.video import record_videos

    world = job.spec.worlds[0]
    laps = cut_into_laps(outcome, world, job.rules, job.look)
    return tuple(record_videos(world.load(), laps, Path(job.video_folder)))
