"""One race on one track, of one model or of two, as plain data that another process can run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drctl.evaluation.race import Duel, DuelCar, Race, RaceOutcome, RaceProgress, find_winner
from drctl.evaluation.recording import CarLook, RivalRun, cut_into_laps
from drctl.evaluation.rules import RaceRules
from drctl.formats.model_metadata import parse_model_metadata

if TYPE_CHECKING:
    from drctl.evaluation.checkpoint import StoredCheckpoint
    from drctl.evaluation.racer import Driver
    from drctl.simulation.environment_spec import EnvironmentSpec, WorldSpec


@dataclass(frozen=True)
class Entrant:
    """One car of a race.

    Attributes:
        prefix: Of its model.
        checkpoint: Whose graph drives.
        spec: What is simulated; its one world is the track.
        look: How the car is drawn.
    """

    prefix: str
    checkpoint: StoredCheckpoint
    spec: EnvironmentSpec
    look: CarLook


@dataclass(frozen=True)
class RaceJob:
    """What to race.

    Attributes:
        number: Place among the jobs that are run together, from 0.
        entrants: One car, or the two of a duel; the first is that of the model that is evaluated.
        rules: How the race is judged.
        video_folder: Where to put videos, each car's in a folder with its number; None for none.
    """

    number: int
    entrants: tuple[Entrant, ...]
    rules: RaceRules
    video_folder: str | None = None

    @property
    def checkpoint(self) -> StoredCheckpoint:
        """The checkpoint that is evaluated."""
        return self.entrants[0].checkpoint

    @property
    def world(self) -> WorldSpec:
        """What is driven on."""
        return self.entrants[0].spec.worlds[0]

    @property
    def track(self) -> str:
        """Name of the track."""
        return self.world.track


@dataclass(frozen=True)
class JobOutcome:
    """What came of a job.

    Attributes:
        number: Of the job.
        races: Results, trace and poses of each entrant.
        race_s: Wall-clock seconds that the race took, without loading.
        videos: MP4 files of each entrant, each in a folder that is named for its camera.
        winner: Number of the entrant that won; None for neither, or without a second one.
    """

    number: int
    races: tuple[RaceOutcome, ...]
    race_s: float
    videos: tuple[tuple[Path, ...], ...]
    winner: int | None = None


def run_job(job: RaceJob, on_progress: Callable[[RaceProgress], None]) -> JobOutcome:
    """Race, and draw the videos.

    Args:
        job: What to race.
        on_progress: See `Race`.

    Raises:
        DrctlError: A graph cannot be run, the track does not exist or a reward function failed.
    """
    drivers = [_driver_of(entrant) for entrant in job.entrants]
    iteration = max(job.checkpoint.number - 1, 0)
    started = time.monotonic()
    races: tuple[RaceOutcome, ...]
    if len(drivers) == 1:
        races = (Race(job.entrants[0].spec, job.rules, drivers[0], iteration, on_progress).run(),)
    else:
        races = Duel(_duel_cars(job, drivers), job.rules, iteration, on_progress).run()
    race_s = time.monotonic() - started
    winner = find_winner(races, job.rules.laps) if len(races) > 1 else None
    return JobOutcome(job.number, races, race_s, _draw(job, races, winner), winner)


def _driver_of(entrant: Entrant) -> Driver:
    # Loads OpenVINO, which only those who race need.
    from drctl.evaluation.graph_policy import GraphPolicy

    metadata = parse_model_metadata(entrant.spec.metadata, "model_metadata.json")
    return GraphPolicy(entrant.checkpoint.graph, metadata, entrant.checkpoint.source)


def _duel_cars(job: RaceJob, drivers: list[Driver]) -> list[DuelCar]:
    from drctl.simulation.views.solids import CAR_COLORS

    return [
        DuelCar(entrant.spec, driver, CAR_COLORS[entrant.look.car_color])
        for entrant, driver in zip(job.entrants, drivers, strict=True)
    ]


def _draw(job: RaceJob, races: tuple[RaceOutcome, ...], winner: int | None) -> tuple[tuple[Path, ...], ...]:
    if job.video_folder is None:
        return tuple(() for _ in races)
    from drctl.evaluation.video import record_videos

    track, videos = job.world.load(), []
    for number, (race, entrant) in enumerate(zip(races, job.entrants, strict=True)):
        rival = None
        if len(races) > 1:
            rival = RivalRun(races[1 - number], job.entrants[1 - number].look, is_beaten=winner == number)
        laps = cut_into_laps(race, job.world, job.rules, entrant.look, rival)
        videos.append(tuple(record_videos(track, laps, Path(job.video_folder, str(number)))))
    return tuple(videos)
