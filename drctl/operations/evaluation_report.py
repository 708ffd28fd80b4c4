"""What an evaluation tells: figures for programs, tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drctl.operations.amount import count_text
from drctl.operations.table import lay_out
from drctl.result import Message, Result

if TYPE_CHECKING:
    from drctl.evaluation.job import JobOutcome, RaceJob
    from drctl.evaluation.publish import Published
    from drctl.evaluation.race import RaceProgress
    from drctl.evaluation.rules import RacedLap

_NONE = "-"


@dataclass(frozen=True)
class RaceView:
    """Where one car of a race stands, as plain data.

    Attributes:
        number: Place among the races that were asked for, from 0.
        checkpoint: Number of the car's checkpoint.
        track: Name of the track.
        lap: Lap under way, from 1.
        laps: Laps of the race.
        progress_percent: Progress of that lap.
        clock_s: Simulated seconds on its clock.
        resets: Times the car was put back so far.
        finished: The lap that has just ended, in one line; empty otherwise.
        racer: Name of the car where two race; empty for one that races alone.
    """

    number: int
    checkpoint: int
    track: str
    lap: int
    laps: int
    progress_percent: float
    clock_s: float
    resets: int
    finished: str = ""
    racer: str = ""

    @property
    def title(self) -> str:
        """Who drives where, in a few words."""
        car = f"{self.racer} (checkpoint {self.checkpoint})" if self.racer else f"checkpoint {self.checkpoint}"
        return f"{car} on {self.track}"


def view_race(job: RaceJob, progress: RaceProgress) -> RaceView:
    """Return where a car in the race of a job stands."""
    return RaceView(
        number=job.number,
        checkpoint=job.entrants[progress.racer].checkpoint.number,
        track=job.track,
        lap=progress.lap,
        laps=progress.laps,
        progress_percent=float(progress.progress_percent),
        clock_s=float(progress.clock_s),
        resets=progress.resets,
        finished="" if progress.finished is None else describe_lap(progress.finished, progress.laps),
        racer=_names(job)[progress.racer] if len(job.entrants) > 1 else "",
    )


@dataclass(frozen=True)
class RacerReport:
    """One car of a race.

    Attributes:
        name: Of the car.
        prefix: Of its model.
        checkpoint: Number of its checkpoint.
        laps_wanted: Laps that were asked for.
        laps: Those that were driven.
        published: Where its files are.
    """

    name: str
    prefix: str
    checkpoint: int
    laps_wanted: int
    laps: tuple[RacedLap, ...]
    published: Published

    @property
    def complete(self) -> list[RacedLap]:
        """The laps that were complete."""
        return [lap for lap in self.laps if lap.is_complete]

    @property
    def has_finished(self) -> bool:
        """Whether all laps that were asked for are complete."""
        return len(self.complete) == self.laps_wanted

    @property
    def total_s(self) -> float:
        """Time of all laps, penalties included."""
        return sum(lap.total_s for lap in self.laps)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data; times in simulated seconds."""
        return {
            "checkpoint": self.checkpoint,
            "laps_wanted": self.laps_wanted,
            "laps_complete": len(self.complete),
            "best_s": _rounded(min((lap.total_s for lap in self.complete), default=None)),
            "laps": [_lap_to_json(lap) for lap in self.laps],
            "trace": self.published.trace,
            "metrics": self.published.metrics,
            "videos": list(self.published.videos),
        }


@dataclass(frozen=True)
class RaceReport:
    """One race.

    Attributes:
        number: Place among the races that were asked for, from 0.
        track: Name of the track.
        racers: The car that was evaluated, and its opponent if it had one.
        race_s: Wall-clock seconds that it took.
        winner: Number of the car that won, None for neither.
    """

    number: int
    track: str
    racers: tuple[RacerReport, ...]
    race_s: float
    winner: int | None = None

    @property
    def own(self) -> RacerReport:
        """The car that was evaluated."""
        return self.racers[0]

    @property
    def is_duel(self) -> bool:
        """Whether two models raced."""
        return len(self.racers) > 1

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data; ``winner`` is ``model``, ``opponent`` or None."""
        opponents = [{"name": car.name, "prefix": car.prefix, **car.to_json()} for car in self.racers[1:]]
        return {
            "track": self.track,
            **self.own.to_json(),
            "race_wall_s": _rounded(self.race_s),
            "stamp": self.own.published.stamp,
            "opponent": opponents[0] if opponents else None,
            "winner": None if self.winner is None else ("model", "opponent")[self.winner],
        }


def report_race(job: RaceJob, outcome: JobOutcome, published: Sequence[Published]) -> RaceReport:
    """Return what came of a job, with what was written of each car."""
    racers = tuple(
        RacerReport(name, entrant.prefix, entrant.checkpoint.number, job.rules.laps, race.laps, written)
        for name, entrant, race, written in zip(_names(job), job.entrants, outcome.races, published, strict=True)
    )
    return RaceReport(job.number, job.track, racers, outcome.race_s, outcome.winner)


def describe_races(
    races: Sequence[RaceReport], prefix: str, place: str, notes: Sequence[Message], *, has_videos: bool
) -> Result:
    """Return the tables of an evaluation and the paths of what it wrote.

    Args:
        races: At least one.
        prefix: Of the model.
        place: Where the bucket is.
        notes: What was said before the races began.
        has_videos: Whether videos were drawn.
    """
    first = races[0]
    lines = _laps_table(first) if len(races) == 1 else _comparison(races)
    paths = []
    for race in races:
        if len(races) > 1:
            paths.append(Message(f"  checkpoint {race.own.checkpoint} on {race.track}"))
        for racer in race.racers:
            written = racer.published
            paths += [Message(f"  {place}/{key}") for key in (written.metrics, written.trace, *written.videos)]
    steps = []
    if not has_videos:
        against = (f" --opponent {one.prefix} --opponent-checkpoint {one.checkpoint}" for one in first.racers[1:])
        steps.append(f"drctl eval --model {prefix} --checkpoint {first.own.checkpoint}{''.join(against)} --mp4")
    data = {"prefix": prefix, "races": [race.to_json() for race in races]}
    told = [*map(Message, lines), *_winners(races), *_unfinished(races), Message("Written:"), *paths]
    return Result(data, (*notes, *told), tuple(steps))


def describe_lap(lap: RacedLap, laps: int) -> str:
    """Return a lap in one line."""
    ending = f"{lap.total_s:.3f} s" if lap.is_complete else f"{_ending(lap)} at {lap.progress_percent:.1f} %"
    resets = f", {count_text(lap.resets, 'reset')}" if lap.resets else ""
    return f"lap {lap.number}/{laps}: {ending}{resets}"


def _laps_table(race: RaceReport) -> list[str]:
    head = ["lap", "time", "off-tracks", "crashes", "resets", "total with penalties"]
    rows = [
        [
            str(lap.number),
            f"{lap.driving_s:.3f}",
            str(lap.metrics().off_track_count),
            str(lap.metrics().crash_count),
            str(lap.resets),
            f"{lap.total_s:.3f}" if lap.is_complete else f"unfinished ({_ending(lap)})",
        ]
        for racer in race.racers
        for lap in racer.laps
    ]
    if not race.is_duel:
        return [
            f"Checkpoint {race.own.checkpoint} on {race.track}, times in seconds",
            *lay_out(head, rows),
        ]
    names = [racer.name for racer in race.racers for _ in racer.laps]
    cars = " against ".join(f"{car.name} ({car.prefix}, checkpoint {car.checkpoint})" for car in race.racers)
    named = [[name, *row] for name, row in zip(names, rows, strict=True)]
    return [f"{cars} on {race.track}, times in seconds", *lay_out(["car", *head], named)]


def _comparison(races: Sequence[RaceReport]) -> list[str]:
    has_duels = any(race.is_duel for race in races)
    head = ["track", "checkpoint", "laps", "best", "mean", "off-tracks", "crashes", "resets", "total with penalties"]
    if has_duels:
        head[1:1] = ["car", "place"]
    rows = []
    for race in races:
        for number, racer in enumerate(race.racers):
            totals = [lap.total_s for lap in racer.complete]
            metrics = [lap.metrics() for lap in racer.laps]
            row = [
                race.track,
                str(racer.checkpoint),
                f"{len(totals)}/{racer.laps_wanted}",
                f"{min(totals):.3f}" if totals else _NONE,
                f"{sum(totals) / len(totals):.3f}" if totals else _NONE,
                str(sum(lap.off_track_count for lap in metrics)),
                str(sum(lap.crash_count for lap in metrics)),
                str(sum(lap.resets for lap in racer.laps)),
                f"{racer.total_s:.3f}",
            ]
            if has_duels:
                place = _NONE if race.winner is None else str(1 + (race.winner != number))
                row[1:1] = [racer.name, place]
            rows.append(row)
    return [
        "Times in seconds; best and mean are of complete laps, penalties included",
        *lay_out(head, rows),
    ]


def _winners(races: Sequence[RaceReport]) -> list[Message]:
    """Say who won, where two models raced."""
    told = []
    for race in races:
        if not race.is_duel:
            continue
        which = f"checkpoint {race.own.checkpoint} on {race.track}: " if len(races) > 1 else ""
        if race.winner is None:
            is_tie = all(racer.has_finished for racer in race.racers)
            reason = "both took the same time" if is_tie else "neither car completed all its laps"
            told.append(Message(f"{which}nobody wins: {reason}"))
            continue
        winner, loser = race.racers[race.winner], race.racers[1 - race.winner]
        lead = f"by {loser.total_s - winner.total_s:.3f} s" if loser.has_finished else "as the only one to finish"
        told.append(Message(f"{which}{winner.name} wins {lead}", "success"))
    return told


def _unfinished(races: Sequence[RaceReport]) -> list[Message]:
    return [
        Message(
            f"{f'{racer.name}, ' if race.is_duel else ''}checkpoint {racer.checkpoint} on {race.track}: "
            f"{len(racer.complete)} of {racer.laps_wanted} laps complete",
            "warning",
        )
        for race in races
        for racer in race.racers
        if not racer.has_finished
    ]


def _names(job: RaceJob) -> list[str]:
    """Return the names of a race's cars, which differ."""
    names = [entrant.look.name for entrant in job.entrants]
    if len(names) > len(set(names)):
        names[1:] = [f"{name} (opponent)" for name in names[1:]]
    return names


def _ending(lap: RacedLap) -> str:
    return "time up" if lap.status.value == "in_progress" else lap.status.label.lower()


def _lap_to_json(lap: RacedLap) -> dict[str, Any]:
    counts = lap.metrics()
    return {
        "lap": lap.number,
        "status": lap.status.value,
        "is_complete": lap.is_complete,
        "progress_percent": _rounded(lap.progress_percent),
        "time_s": _rounded(lap.driving_s),
        "penalty_s": _rounded(lap.penalty_s),
        "total_s": _rounded(lap.total_s),
        "off_tracks": counts.off_track_count,
        "crashes": counts.crash_count,
        "immobilized": counts.immobilized_count,
        "reversed": counts.reversed_count,
        "resets": lap.resets,
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)
