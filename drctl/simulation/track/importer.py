"""Waypoint files of users: how they become tracks of a project, and how they are found again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from drctl.errors import ConflictError, TrackError
from drctl.simulation.track.library import is_library_track
from drctl.simulation.track.waypoint_list import COLUMNS, check_waypoints, track_from_waypoints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.track.track import Track


@dataclass(frozen=True)
class ImportedTrack:
    """A waypoint file that is now one of the project's tracks.

    Attributes:
        track: The track.
        path: Where the project keeps it.
        notes: What was mended or is worth knowing, one sentence each.
    """

    track: Track
    path: Path
    notes: tuple[str, ...]


def import_npy(path: Path, folder: Path, name: str | None = None, *, overwrite: bool = False) -> ImportedTrack:
    """Check a waypoint file and keep a copy in the project.

    Args:
        path: The user's ``.npy``.
        folder: The project's ``tracks`` folder; made when missing.
        name: Name of the track; None for the file's own.
        overwrite: Replace a track that was imported under this name before.

    Raises:
        TrackError: The file cannot be used; every reason at once. Nothing was written.
        ConflictError: The project has another track of this name already.
    """
    name = name or path.stem
    _check_name(name)
    rows, notes = check_waypoints(_read_array(path), str(path))
    track = track_from_waypoints(name, rows)
    target = folder / f"{name}.npy"
    if target.exists() and not overwrite and not _has_same_rows(target, rows):
        raise ConflictError(
            f"the project has another track '{name}' already",
            where=str(target),
            expected="a new name",
            fix=f"drctl tracks import {path} --name {name}-2",
        )
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{name}.npy.part"
    with unfinished.open("wb") as file:
        np.save(file, rows, allow_pickle=False)
    unfinished.replace(target)
    if is_library_track(name):
        notes = (*notes, f"it stands for the library's {name} in this project")
    return ImportedTrack(track, target, notes)


def imported_names(folder: Path | None) -> tuple[str, ...]:
    """Return the names of the tracks in the project's ``tracks`` folder, sorted."""
    if folder is None or not folder.is_dir():
        return ()
    return tuple(sorted(path.stem for path in folder.glob("*.npy") if not path.name.startswith(".")))


def load_imported(name: str, folder: Path) -> Track | None:
    """Return the track of ``NAME.npy`` in the folder; None when there is no such file.

    Raises:
        TrackError: The file is not usable.
    """
    path = folder / f"{name}.npy"
    if Path(name).name != name or not path.is_file():
        return None
    state = path.stat()
    return _load_unchanged(name, path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _load_unchanged(name: str, path: Path, _modified_ns: int, _size: int) -> Track:
    rows, _ = check_waypoints(_read_array(path), str(path))
    return track_from_waypoints(name, rows)


def _read_array(path: Path) -> NDArray[np.generic]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        found = f"there is no file {path}" if not path.exists() else f"{path} is not a NumPy array file"
        raise TrackError(found, where=str(path), expected="a waypoint file (.npy)", fix="check the path") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise TrackError(f"{path} holds several arrays", where=str(path), expected=COLUMNS, fix="use numpy.save")
    return array


def _check_name(name: str) -> None:
    if not name or name.startswith(".") or not all(letter.isalnum() or letter in "._-" for letter in name):
        raise TrackError(
            f"'{name}' cannot be the name of a track",
            expected="letters, digits, '.', '_' and '-'",
            fix="choose a name with --name",
        )


def _has_same_rows(path: Path, rows: NDArray[np.float64]) -> bool:
    try:
        return bool(np.array_equal(_read_array(path), rows))
    except TrackError:
        return False
