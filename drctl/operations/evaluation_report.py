"""What an evaluation tells: figures for programs, tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from drctl.result import Message, Result

if TYPE_CHECKING:
    from drctl.evaluation.job import RaceJob
    from drctl.evaluation.publish import Published
    from drctl.evaluation.race import RaceProgress
    from drctl.evaluation.rules import RacedLap

_NONE = "-"


@dataclass(frozen=True)
class RaceView:
    """Where a race stands, as plain data.

    Attributes:
        number: Place among the races that were asked for, from 0.
        checkpoint: Number of the checkpoint.
        track: Name of the track.
        lap: Lap under way, from 1.
        laps: Laps of the race.
        progress_percent: Progress of that lap.
        clock_s: Simulated seconds on its clock.
        resets: Times the car was put back so far.
        finished: The lap that has just ended, in one line; empty otherwise.
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


def view_race(job: RaceJob, progress: RaceProgress) -> RaceView:
    """Return where the race of a job stands."""
    return RaceView(
        number=job.number,
        checkpoint=job.checkpoint.number,
        track=job.track,
        lap=progress.lap,
        laps=progress.laps,
        progress_percent=float(progress.progress_percent),
        clock_s=float(progress.clock_s),
        resets=progress.resets,
        finished="" if progress.finished is None else describe_lap(progress.finished, progress.laps),
    )


@dataclass(frozen=True)
class RaceReport:
    """One race.

    Attributes:
        number: Place among the races that were asked for, from 0.
        checkpoint: Number of the checkpoint.
        track: Name of the track.
        laps_wanted: Laps that were asked for.
        laps: Those that were driven.
        published: Where its files are.
        race_s: Wall-clock seconds that it took.
    """

    number: int
    checkpoint: int
    track: str
    laps_wanted: int
    laps: tuple[RacedLap, ...]
    published: Published
    race_s: float

    @property
    def complete(self) -> list[RacedLap]:
        """The laps that were complete."""
        return [lap for lap in self.laps if lap.is_complete]

    @property
    def best_s(self) -> float | None:
        """The fastest complete lap, penalties included, or None."""
        return min((lap.total_s for lap in self.complete), default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data; times in simulated seconds."""
        published = asdict(self.published)
        published["videos"] = list(published["videos"])
        return {
            "checkpoint": self.checkpoint,
            "track": self.track,
            "laps_wanted": self.laps_wanted,
            "laps_complete": len(self.complete),
            "best_s": _rounded(self.best_s),
            "laps": [_lap_to_json(lap) for lap in self.laps],
            "race_wall_s": _rounded(self.race_s),
            **published,
        }


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
    lines = _laps_table(races[0]) if len(races) == 1 else _comparison(races)
    paths = []
    for race in races:
        published = race.published
        if len(races) > 1:
            paths.append(Message(f"  checkpoint {race.checkpoint} on {race.track}"))
        paths += [Message(f"  {place}/{key}") for key in (published.metrics, published.trace, *published.videos)]
    steps = () if has_videos else (f"drctl eval --model {prefix} --checkpoint {races[0].checkpoint} --mp4",)
    data = {"prefix": prefix, "races": [race.to_json() for race in races]}
    return Result(data, (*notes, *map(Message, lines), *_unfinished(races), Message("Written:"), *paths), steps)


def describe_lap(lap: RacedLap, laps: int) -> str:
    """Return a lap in one line."""
    ending = f"{lap.total_s:.3f} s" if lap.is_complete else f"{_ending(lap)} at {lap.progress_percent:.1f} %"
    resets = f", {lap.resets} reset{'s' * (lap.resets != 1)}" if lap.resets else ""
    return f"lap {lap.number}/{laps}: {ending}{resets}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a table: the first column to the left, the others to the right.

    Args:
        head: Titles of the columns.
        rows: Texts, as many per row as there are titles.
    """
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]


def _laps_table(race: RaceReport) -> list[str]:
    head = ("lap", "time", "off-tracks", "crashes", "resets", "total with penalties")
    rows = [
        (
            str(lap.number),
            f"{lap.driving_s:.3f}",
            str(lap.metrics().off_track_count),
            str(lap.metrics().crash_count),
            str(lap.resets),
            f"{lap.total_s:.3f}" if lap.is_complete else f"unfinished ({_ending(lap)})",
        )
        for lap in race.laps
    ]
    return [f"Checkpoint {race.checkpoint} on {race.track}, times in seconds", *table(head, rows)]


def _comparison(races: Sequence[RaceReport]) -> list[str]:
    head = ("track", "checkpoint", "laps", "best", "mean", "off-tracks", "crashes", "resets", "total with penalties")
    rows = []
    for race in races:
        totals = [lap.total_s for lap in race.complete]
        metrics = [lap.metrics() for lap in race.laps]
        rows.append(
            (
                race.track,
                str(race.checkpoint),
                f"{len(totals)}/{race.laps_wanted}",
                f"{min(totals):.3f}" if totals else _NONE,
                f"{sum(totals) / len(totals):.3f}" if totals else _NONE,
                str(sum(lap.off_track_count for lap in metrics)),
                str(sum(lap.crash_count for lap in metrics)),
                str(sum(lap.resets for lap in race.laps)),
                f"{sum(lap.total_s for lap in race.laps):.3f}",
            )
        )
    return ["Times in seconds; best and mean are of complete laps, penalties included", *table(head, rows)]


def _unfinished(races: Sequence[RaceReport]) -> list[Message]:
    missing = [race for race in races if len(race.complete) < race.laps_wanted]
    return [
        Message(
            f"checkpoint {race.checkpoint} on {race.track}: {len(race.complete)} of {race.laps_wanted} laps complete",
            "warning",
        )
        for race in missing
    ]


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
