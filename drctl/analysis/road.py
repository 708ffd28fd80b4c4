"""Which track was driven: the one the settings name where it fits, else the one whose road the car followed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.errors import TrackError
from drctl.simulation.track.importer import imported_names
from drctl.simulation.track.library import load_track, track_facts, track_names

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from drctl.simulation.track.track import Track

_LENGTH_TOLERANCE: Final = 0.01
"""A trace gives the length of its track; the original's and ours differ by less (simulator-facts 4.2)."""

_OFFSET_M: Final = 1.0
"""A car that learns is nearly always this near to the centre line."""

_SAMPLE: Final = 300


def find_track(
    length_m: float, points_m: NDArray[np.float64], named: Sequence[str] = (), folder: Path | None = None
) -> Track | None:
    """Return the track that somebody drove on, or None.

    Args:
        length_m: Its length, as the trace says.
        points_m: Places of the car, shape (n, 2).
        named: Tracks that the model's settings name; they are tried first.
        folder: The project's ``tracks`` folder, or None.
    """
    sample = points_m[:: max(1, len(points_m) // _SAMPLE)]
    own = imported_names(folder)
    library = [
        name
        for name in track_names()
        if name not in named and abs(track_facts(name)["length"] - length_m) <= _LENGTH_TOLERANCE * length_m
    ]
    for names in (named, own, library):
        track = _nearest(names, length_m, sample, folder)
        if track is not None:
            return track
    return None


def _nearest(names: Iterable[str], length_m: float, points_m: NDArray[np.float64], folder: Path | None) -> Track | None:
    fitting: list[tuple[float, int, Track]] = []
    for name in names:
        try:
            track = load_track(name, folder)
        except TrackError:
            continue
        if abs(track.length_m - length_m) > _LENGTH_TOLERANCE * length_m:
            continue
        offset = _median_offset_m(track, points_m)
        if offset < _OFFSET_M:
            fitting.append((offset, len(fitting), track))
    return min(fitting)[2] if fitting else None


def _median_offset_m(track: Track, points_m: NDArray[np.float64]) -> float:
    """Return the median distance of points from the nearest vertex of the centre line."""
    if not len(points_m):
        return 0.0
    gaps = points_m[:, None, :] - track.centre_m[None, :, :]
    return float(np.median(np.hypot(gaps[..., 0], gaps[..., 1]).min(axis=1)))
