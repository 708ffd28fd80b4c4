"""Tracks as arrays that compiled kernels read: every car of a batch may be on another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from drctl.simulation.track.waypoint_list import distance_to_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.simulation.track.track import Track


class PackedTracks(NamedTuple):
    """Several tracks end to end; track t owns the vertices ``first[t]`` to ``first[t + 1] - 1``.

    Attributes:
        first: Shape (T + 1,), int64.
        centre_m: Centre line, shape (V, 2).
        arc_m: Distance of each vertex along its centre line, shape (V,).
        inner_m: Inner border, shape (V, 2).
        outer_m: Outer border, shape (V, 2).
        length_m: Shape (T,).
        is_closed: Shape (T,).
        is_counter_clockwise: Shape (T,).
        clear_m: No border comes nearer to the centre line than this, shape (T,).
    """

    first: NDArray[np.int64]
    centre_m: NDArray[np.float64]
    arc_m: NDArray[np.float64]
    inner_m: NDArray[np.float64]
    outer_m: NDArray[np.float64]
    length_m: NDArray[np.float64]
    is_closed: NDArray[np.bool_]
    is_counter_clockwise: NDArray[np.bool_]
    clear_m: NDArray[np.float64]


def pack_tracks(tracks: Sequence[Track]) -> PackedTracks:
    """Lay tracks, at least one, end to end."""
    counts = [len(track.centre_m) for track in tracks]
    return PackedTracks(
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        centre_m=np.concatenate([track.centre_m for track in tracks]),
        arc_m=np.concatenate([track.arc_m for track in tracks]),
        inner_m=np.concatenate([track.inner_m for track in tracks]),
        outer_m=np.concatenate([track.outer_m for track in tracks]),
        length_m=np.array([track.length_m for track in tracks]),
        is_closed=np.array([track.is_closed for track in tracks]),
        is_counter_clockwise=np.array([track.is_counter_clockwise for track in tracks]),
        clear_m=np.array([_clear_m(track) for track in tracks]),
    )


def _clear_m(track: Track) -> float:
    """Return how near the borders come to the centre line; 0 for open tracks, whose road also has two ends.

    Of two segments that do not cross, one end is nearest, so the vertices of both lines decide. Waypoint lists whose
    centre leaves the road are refused (`waypoint_list.check_waypoints`).
    """
    if not track.is_closed:
        return 0.0
    centre, distances = track.centre_m, []
    for border in (track.inner_m, track.outer_m):
        distances.append(distance_to_line(border, centre, is_closed=True).min())
        distances.append(distance_to_line(centre, border, is_closed=True).min())
    return float(min(distances))
