"""List, show and import tracks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import DrctlError, TrackError, UnavailableError
from drctl.result import Message, Result

if TYPE_CHECKING:
    from pathlib import Path

    from drctl.simulation.track.track import Track

TRACKS_FOLDER: Final = "tracks"
"""Where a project keeps the waypoint files that its user has imported."""

_DIRECTIONS: Final = {"ccw": "counter-clockwise", "cw": "clockwise", "open": "open"}


def tracks_folder(root: Path | None) -> Path | None:
    """Return a project's folder of imported tracks; None without a project."""
    return None if root is None else root / TRACKS_FOLDER


def list_tracks(root: Path | None) -> Result:
    """Name every track: the library's and the project's own.

    Args:
        root: The project's folder, or None.
    """
    from drctl.simulation.track.importer import imported_names
    from drctl.simulation.track.library import track_facts, track_names

    own = imported_names(tracks_folder(root))
    entries = [_describe_own(name, root) for name in own]
    for name in track_names():
        if name not in own:
            facts = track_facts(name)
            entries.append(_entry(name, facts["label"], facts["length"], _DIRECTIONS[facts["dir"]], "library"))
    width = max(len(entry["name"]) for entry in entries)
    messages = [
        Message(
            f"{entry['name']:<{width}}  {_length_text(entry['length_m'])}  {entry['direction']:<17}  {entry['label']}"
            + ("" if entry["source"] == "library" else f"  ({entry['source']})")
        )
        for entry in entries
    ]
    return Result({"tracks": entries}, tuple(messages), ("drctl tracks show NAME",))


def show_track(name: str, root: Path | None, png: Path | None = None) -> Result:
    """Describe a track and draw it in the terminal, and as a picture where one is wanted.

    Args:
        name: Its name.
        root: The project's folder, or None.
        png: Picture to write.

    Raises:
        TrackError: There is no such track, or its file is not usable.
        UnavailableError: The picture cannot be written.
    """
    from drctl.simulation.track.library import load_track
    from drctl.simulation.track.terminal_map import draw_in_text

    folder = tracks_folder(root)
    try:
        track = load_track(name, folder)
    except TrackError as error:
        raise _for_looking(error) from None
    facts = _facts(track, _source(name, folder))
    messages = [
        Message(f"{track.name}: {track.label}"),
        Message(
            f"{track.length_m:.2f} m, {facts['width_m']:.2f} m wide, {facts['direction']}, "
            f"{facts['waypoints']} waypoints, from {facts['source']}"
        ),
        *(Message(line) for line in draw_in_text(track)),
    ]
    if png is not None:
        _write_picture(track, png)
        messages.append(Message(f"wrote {png}", "success"))
        facts["png"] = str(png)
    return Result(facts, tuple(messages), (f"drctl config set DR_WORLD_NAME={name}",))


def import_track(path: Path, root: Path, name: str | None = None, *, overwrite: bool = False) -> Result:
    """Make a user's waypoint file one of the project's tracks.

    Args:
        path: The ``.npy``.
        root: The project's folder.
        name: Name of the track; None for the file's own.
        overwrite: Replace a track imported under this name.

    Raises:
        ConflictError: The project has another track of this name.
        TrackError: The file is not usable; every reason at once.
    """
    from drctl.simulation.track.importer import import_npy

    imported = import_npy(path, root / TRACKS_FOLDER, name, overwrite=overwrite)
    track = imported.track
    facts = _facts(track, _relative(imported.path, root)) | {"notes": list(imported.notes)}
    messages = (
        Message(f"imported {track.name}: {track.length_m:.2f} m, {facts['waypoints']} waypoints", "success"),
        *(Message(note) for note in imported.notes),
    )
    return Result(facts, messages, (f"drctl tracks show {track.name}", f"drctl config set DR_WORLD_NAME={track.name}"))


def _describe_own(name: str, root: Path | None) -> dict[str, Any]:
    """Return the entry of an imported track; one whose file has become unusable is listed all the same."""
    from drctl.simulation.track.library import load_track

    folder = tracks_folder(root)
    try:
        track = load_track(name, folder)
    except DrctlError as error:
        return _entry(name, f"not usable: {error}", None, "", _source(name, folder))
    return _entry(name, track.label, round(track.length_m, 3), _direction(track), _source(name, folder))


def _entry(name: str, label: str, length_m: float | None, direction: str, source: str) -> dict[str, Any]:
    return {"name": name, "label": label, "length_m": length_m, "direction": direction, "source": source}


def _facts(track: Track, source: str) -> dict[str, Any]:
    scene = track.scene
    width_m = float((scene.curve_half_width_left_m + scene.curve_half_width_right_m).mean())
    entry = _entry(track.name, track.label, round(track.length_m, 3), _direction(track), source)
    return entry | {"width_m": round(width_m, 3), "waypoints": len(track.centre_m)}


def _direction(track: Track) -> str:
    if not track.is_closed:
        return _DIRECTIONS["open"]
    return _DIRECTIONS["ccw" if track.is_counter_clockwise else "cw"]


def _source(name: str, folder: Path | None) -> str:
    if folder is not None and (folder / f"{name}.npy").is_file():
        return f"{folder.name}/{name}.npy"
    return "the library"


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _length_text(length_m: float | None) -> str:
    return " " * 8 if length_m is None else f"{length_m:6.2f} m"


def _write_picture(track: Track, path: Path) -> None:
    from drctl.simulation.track.picture import save_picture

    try:
        save_picture(track, path)
    except OSError as error:
        raise UnavailableError(
            f"cannot write {path}: {error.strerror or error}",
            where=str(path),
            expected="a folder that exists and can be written to",
            fix="choose another file with --png",
        ) from error


def _for_looking(error: TrackError) -> TrackError:
    """Return the same problems with fixes that look at a track instead of choosing it for training."""
    return TrackError.from_problems(
        [
            replace(problem, fix=problem.fix.replace("drctl config set DR_WORLD_NAME=", "drctl tracks show "))
            if problem.fix
            else problem
            for problem in error.problems
        ]
    )
