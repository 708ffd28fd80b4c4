"""The report: one HTML file that holds everything it shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import drctl
from drctl.analysis import findings
from drctl.analysis.drawing.actions import ActionShare, draw_commands, draw_use, use_of_actions
from drctl.analysis.drawing.chart import POINTS, Figure, short
from drctl.analysis.drawing.curves import MODEL_COLORS, draw_curves
from drctl.analysis.drawing.maps import Sheet, draw_exits, draw_laps, draw_speed, replay, speed_range
from drctl.analysis.road import find_track
from drctl.analysis.settings_table import settings_rows
from drctl.formats.episode_status import EpisodeStatus
from drctl.status.text import duration

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.analysis.drive import Drive
    from drctl.analysis.laps import Lap, Race
    from drctl.analysis.record import ModelRecord
    from drctl.simulation.track.track import Track

_PAGE: Final = Path(__file__).parent / "page"
_RECENT: Final = 10
_TRACKS: Final = 4
_LAP_TIMES_SHOWN: Final = 10
_NONE: Final = "-"


@dataclass(frozen=True)
class Replay:
    """Laps of one track that are driven again."""

    track: str
    map: Markup
    notes: tuple[str, ...]
    ramp: tuple[str, str, str] | None
    laps: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class ModelSection:
    """What is shown of one model alone."""

    name: str
    color: str
    place: str
    tiles: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    actions: tuple[ActionShare, ...]
    actions_note: str
    races: tuple[Mapping[str, str], ...]
    notes: tuple[str, ...]


class Tracks:
    """The tracks of a report's models, each looked for once.

    Args:
        folder: The project's ``tracks`` folder, or None.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._found: dict[tuple[float, tuple[str, ...]], Track | None] = {}

    def of(self, drive: Drive, named: tuple[str, ...]) -> Track | None:
        """Return the track that a drive on a single track was driven on, or None."""
        length = float(drive.rows["track_len"][0])
        key = (round(length, 2), named)
        if key not in self._found:
            self._found[key] = find_track(length, _points(drive), named, self._folder)
        return self._found[key]


def render_report(records: Sequence[ModelRecord], tracks: Tracks, now: datetime | None = None) -> str:
    """Return the page.

    Args:
        records: The models, at most as many as there are `MODEL_COLORS`.
        tracks: Finds their tracks.
        now: When it is made; None for the clock's.
    """
    environment = Environment(
        loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    now = datetime.now() if now is None else now
    models = [_section(record, color, tracks) for record, color in zip(records, MODEL_COLORS, strict=False)]
    return environment.get_template("report.html.j2").render(
        title=records[0].name if len(records) == 1 else "Models compared",
        subtitle=_subtitle(records),
        made=f"{now:%Y-%m-%d %H:%M}",
        version=drctl.__version__,
        style=Markup((_PAGE / "report.css").read_text()),  # noqa: S704 - ours
        script=Markup((_PAGE / "report.js").read_text()),  # noqa: S704 - ours
        replays=_replays(records, tracks),
        charts=draw_curves(records),
        models=models,
        tile_names=list(dict.fromkeys(name for model in models for name, _ in model.tiles)),
        settings=settings_rows(records),
        rewards=_rewards(records),
        to_json=lambda value: Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")),  # noqa: S704
    )


def drives_by_track(drive: Drive) -> list[Drive]:
    """Part a drive by the tracks that it was driven on, the most driven first."""
    if not len(drive):
        return []
    lengths = np.round(drive.rows["track_len"], 2)
    values, counts = np.unique(lengths, return_counts=True)
    return [drive.where(lengths == value) for value in values[np.argsort(-counts)][:_TRACKS]]


def newest(drive: Drive) -> Drive:
    """Return the last fifth of the iterations that were read, at least one and at most ten."""
    numbers = np.unique(drive.iteration)
    count = min(_RECENT, max(1, len(numbers) // 5))
    return drive.where(drive.iteration >= numbers[-count]) if len(numbers) else drive


def _subtitle(records: Sequence[ModelRecord]) -> str:
    names = dict.fromkeys(name for record in records for name in record.track_names)
    types = dict.fromkeys(str(world.get("RACE_TYPE", "")) for record in records for world in record.worlds)
    parts = [", ".join(names), ", ".join(one.replace("_", " ").lower() for one in types if one)]
    return " · ".join(part for part in parts if part)


def _section(record: ModelRecord, color: str, tracks: Tracks) -> ModelSection:
    figures: list[Figure] = []
    drives = drives_by_track(record.drive)
    for drive in drives:
        figures += _maps(record, drive, tracks, is_only=len(drives) == 1)
    use = use_of_actions(record.drive, record.metadata)
    shares: list[ActionShare] = []
    if use is not None:
        shares = use.recent(_RECENT)
        drawn = draw_use(use, "")
        figures += [drawn] if drawn is not None else []
        figures += draw_commands(record.drive)
    return ModelSection(
        record.name,
        color,
        record.place,
        tuple(_tiles(record)),
        tuple(figures),
        tuple(shares),
        findings.about_actions(shares),
        tuple(_race_row(race, record, tracks) for race in reversed(record.races)),
        tuple(_notes(record)),
    )


def _maps(record: ModelRecord, drive: Drive, tracks: Tracks, *, is_only: bool) -> list[Figure]:
    track = tracks.of(drive, record.track_names)
    where = "" if is_only else f", {_track_name(track, drive)}"
    sheet, last = Sheet.around(track, _points(drive)), newest(drive)
    figures = []
    speed = draw_speed(sheet, _points(last), last.speed_m_s, f"Speed{where}")
    if speed is not None:
        svg, low, high = speed
        ramp = (f"{low:.1f}", f"{high:.1f} m/s", "speed")
        figures.append(Figure(f"Speed on the road{where}", svg, findings.about_speed(last.speed_m_s), ramp=ramp))
    off = drive.episodes_ending(EpisodeStatus.OFF_TRACK)
    crashed = drive.episodes_ending(EpisodeStatus.CRASHED)
    recent = drive.iteration[off] >= last.iteration[0] if len(last) else np.zeros(len(off), np.bool_)
    points = _points(drive)
    svg = draw_exits(sheet, points[off], points[crashed], recent, f"Where cars leave the road{where}")
    keys = [("newest", "var(--red)"), ("earlier", "var(--quiet)")] if len(off) else []
    keys += [("crash", "var(--violet)")] if len(crashed) else []
    figures.append(Figure(f"Where cars leave the road{where}", svg, findings.about_exits(last, track), tuple(keys)))
    return figures


def _replays(records: Sequence[ModelRecord], tracks: Tracks) -> list[Replay]:
    """Sort the models' best laps by track."""
    groups: dict[str, tuple[Track | None, list[tuple[str, str, Lap]]]] = {}
    notes: dict[str, list[str]] = {}
    for record, color in zip(records, MODEL_COLORS, strict=False):
        lap = record.drawable_lap()
        if lap is None:
            continue
        track = tracks.of(lap.drive, record.track_names)
        name = _track_name(track, lap.drive)
        groups.setdefault(name, (track, []))[1].append((record.name, color, lap))
        notes.setdefault(name, []).extend(findings.about_lap(record, lap))
    return [_replay(name, track, laps, tuple(notes[name])) for name, (track, laps) in groups.items()]


def _replay(name: str, track: Track | None, laps: Sequence[tuple[str, str, Lap]], notes: tuple[str, ...]) -> Replay:
    sheet = Sheet.around(track, np.concatenate([lap.points_m for _, _, lap in laps]))
    ramp = None
    if len(laps) == 1:
        low, high = speed_range(laps[0][2].drive.speed_m_s)
        ramp = (f"{low:.1f}", f"{high:.1f} m/s", "speed")
    shown = [{"name": model, "color": color, "origin": lap.origin, **replay(sheet, lap)} for model, color, lap in laps]
    return Replay(name, draw_laps(sheet, laps, f"Best lap on {name}"), notes, ramp, tuple(shown))


def _tiles(record: ModelRecord) -> list[tuple[str, str]]:
    tiles = []
    if record.best_lap_s is not None:
        tiles.append(("best lap", f"{record.best_lap_s:.2f} s"))
    judged = [iteration.evaluation for iteration in record.iterations if iteration.evaluation]
    if judged:
        last = judged[-1]
        tiles.append(("last evaluation", f"{last.laps}/{last.episodes} laps"))
    if record.first_lap is not None:
        tiles.append(("first lap in iteration", str(record.first_lap.number)))
    if record.iterations:
        tiles += [("iterations", f"{len(record.iterations):,}"), ("episodes", f"{record.episodes:,}")]
    if record.steps is not None:
        tiles.append(("steps", short(record.steps) if record.steps >= 10_000 else str(record.steps)))
    if record.wall_s is not None:
        tiles.append(("time", duration(record.wall_s)))
    if record.best_checkpoint is not None:
        tiles.append(("best checkpoint", str(record.best_checkpoint)))
    return tiles


def _race_row(race: Race, record: ModelRecord, tracks: Tracks) -> dict[str, str]:
    times = race.lap_times_s
    track = None if race.drive is None or not len(race.drive) else tracks.of(race.drive, record.track_names)
    shown = [f"{time:.2f}" for time in times[:_LAP_TIMES_SHOWN]] + ["…"] * (len(times) > _LAP_TIMES_SHOWN)
    return {
        "when": race.name,
        "track": _NONE if race.drive is None or not len(race.drive) else _track_name(track, race.drive),
        "laps": f"{len(times)}/{len(race.laps)}",
        "best": f"{min(times):.2f}" if times else _NONE,
        "mean": f"{sum(times) / len(times):.2f}" if times else _NONE,
        "off_tracks": str(sum(lap.off_track_count for lap in race.laps)),
        "crashes": str(sum(lap.crash_count for lap in race.laps)),
        "resets": str(sum(lap.reset_count for lap in race.laps)),
        "times": " · ".join(shown),
    }


def _rewards(records: Sequence[ModelRecord]) -> list[tuple[str, str]]:
    """Return each reward function once, with the names of its models."""
    names: dict[str, list[str]] = {}
    for record in records:
        if record.reward_source is not None:
            names.setdefault(record.reward_source, []).append(record.name)
    return [(", ".join(models), text) for text, models in names.items()]


def _notes(record: ModelRecord) -> list[str]:
    notes, read = list(record.missing), record.coverage
    if read.traces < read.traces_stored:
        notes.append(
            f"Maps and actions are drawn from {read.iterations} of {read.iterations_stored} iterations: the newest, "
            "the one with the fastest lap, and others spread over the training."
        )
    if len(record.iterations) > POINTS:
        notes.append(f"Each point of a chart is the mean of {-(-len(record.iterations) // POINTS)} iterations.")
    if read.unreadable:
        files = ", ".join(read.unreadable[:3]) + (" and others" if len(read.unreadable) > 3 else "")
        notes.append(f"{len(read.unreadable)} files could not be read: {files}.")
    return notes


def _track_name(track: Track | None, drive: Drive) -> str:
    return f"a track of {drive.rows['track_len'][0]:.2f} m" if track is None else track.name


def _points(drive: Drive) -> NDArray[np.float64]:
    return np.column_stack([drive.rows["x"], drive.rows["y"]])
