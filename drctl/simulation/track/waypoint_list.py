"""Lists of waypoints: checked, mended where the mend is certain, and made into tracks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.errors import Problem, TrackError
from drctl.simulation.track.library import CURVE_SPACING_M, is_library_track, load_library_track, theme
from drctl.simulation.track.spline import fit_spline, tabulate_arc
from drctl.simulation.track.track import COINCIDENT_M, Scene, Track, distinct_rows, signed_area_m2

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLOSING_GAP_M: Final = 0.1
"""A loop whose last row misses the first by less lacks its closing row (simulator-facts 4.1: 0.09 and 0.05 m)."""

COLUMNS: Final = "float rows (n, 6): centre x, y, inner border x, y, outer border x, y in metres"
"""What a waypoint file holds, for messages."""

_LEAST_POINTS: Final = 4
_LEAST_WIDTH_M: Final = 0.1  # the car alone is 0.2 m wide
_GREATEST_STEP_M: Final = 5.0  # published files have 0.15 to 0.30 m (simulator-facts 4.1)
_SAME_CIRCUIT_M: Final = 0.1

# What generated tracks look like (simulator-facts 5.1).
_LINE_WIDTH_M: Final = 0.0762
_WALL_MARGIN_M: Final = 0.762
_WALL_HEIGHT_M: Final = 1.0


def check_waypoints(array: NDArray[np.generic], source: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Check the rows of a waypoint file and close a loop that lacks its closing row.

    Args:
        array: What the file holds.
        source: Its name for messages.

    Returns:
        Rows, shape (n, 6), float64, and notes on what was found or mended.

    Raises:
        TrackError: Every reason why the rows are not a track.
    """
    if array.ndim != 2 or array.shape[1] != 6 or array.dtype.kind not in "fiu":
        raise TrackError(
            f"{source} holds {_describe(array)}",
            where=source,
            expected=COLUMNS,
            fix="save the waypoints as such an array with numpy.save",
        )
    rows = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise TrackError(
            f"row {bad[0]} of {source} is not finite" + (f", and {len(bad) - 1} more" if len(bad) > 1 else ""),
            where=f"{source}: row {bad[0]}",
            expected=COLUMNS,
            fix="remove or replace these rows",
        )
    rows, notes = _close(rows)
    repeated = int(np.sum(np.hypot(*np.diff(rows[:, :2], axis=0).T) <= COINCIDENT_M))
    if repeated:
        notes = (*notes, f"{repeated} repeated point{'s' if repeated > 1 else ''} will not count as a waypoint")
    problems = _find_problems(rows, source)
    if problems:
        raise TrackError.from_problems(problems)
    return rows, notes


def track_from_waypoints(name: str, rows: NDArray[np.float64]) -> Track:
    """Make a track of checked rows.

    The library's scene is taken over when it has a track of this name on the same circuit; otherwise the scene is that
    of a generated track: lines inside the borders, a wall of 1 m around the outer border.

    Args:
        name: Name of the track.
        rows: As `check_waypoints` returns them, shape (n, 6).
    """
    rows = np.array(rows, np.float64)
    rows.flags.writeable = False
    is_closed = bool(np.hypot(*(rows[-1, :2] - rows[0, :2])) <= COINCIDENT_M)
    model = _library_twin(name, rows)
    scene = _build_scene(rows, is_closed, model.scene if model else None)
    return Track(name, model.label if model else name, rows, is_closed, is_reversed=False, scene=scene)


def _describe(array: NDArray[np.generic]) -> str:
    return f"an array of shape {tuple(array.shape)} and type {array.dtype}"


def _close(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    if len(rows) < _LEAST_POINTS:
        return rows, ()
    gap = float(np.hypot(*(rows[-1, :2] - rows[0, :2])))
    if gap <= COINCIDENT_M:
        rows[-1] = rows[0]
        return rows, ()
    if gap < CLOSING_GAP_M:
        return np.vstack([rows, rows[:1]]), (f"the closing row was missing by {gap:.2f} m and was added",)
    return rows, (f"the track is open: its ends are {gap:.2f} m apart",)


def _find_problems(rows: NDArray[np.float64], source: str) -> list[Problem]:
    step = np.hypot(*np.diff(rows[:, :2], axis=0).T)
    if np.sum(step > COINCIDENT_M) < _LEAST_POINTS:
        return [Problem(f"{source} has fewer than {_LEAST_POINTS} different points", source, COLUMNS, "add waypoints")]
    problems = []
    if step.max() > _GREATEST_STEP_M:
        row = int(step.argmax())
        problems.append(
            Problem(
                f"rows {row} and {row + 1} are {step[row]:.1f} m apart",
                f"{source}: row {row + 1}",
                f"metres, at most {_GREATEST_STEP_M:g} m between rows",
                "save the rows in driving order and in metres",
            )
        )
    width = np.hypot(*(rows[:, 2:4] - rows[:, 4:6]).T)
    if width.min() < _LEAST_WIDTH_M:
        row = int(width.argmin())
        problems.append(
            Problem(
                f"the road is {width[row]:.3f} m wide at row {row}",
                f"{source}: row {row}",
                f"borders at least {_LEAST_WIDTH_M:g} m apart",
                "move the borders apart",
            )
        )
    beside = np.sum((rows[:, 2:4] - rows[:, 0:2]) * (rows[:, 4:6] - rows[:, 0:2]), axis=1)
    if beside.max() >= 0.0:
        row = int(beside.argmax())
        problems.append(
            Problem(
                f"the centre does not lie between the borders at row {row}",
                f"{source}: row {row}",
                COLUMNS,
                "order the columns so, and move the centre onto the road",
            )
        )
    is_closed = np.array_equal(rows[0, :2], rows[-1, :2])
    if is_closed and abs(signed_area_m2(rows[:, 2:4])) >= abs(signed_area_m2(rows[:, 4:6])):
        problems.append(
            Problem(
                "the inner border encloses more than the outer one",
                source,
                "columns 2, 3: the border on the enclosed side; columns 4, 5: the other one",
                "swap columns 2, 3 with 4, 5",
            )
        )
    return problems


def _library_twin(name: str, rows: NDArray[np.float64]) -> Track | None:
    """Return the library's track of this name when the rows describe the same circuit."""
    if not is_library_track(name):
        return None
    track = load_library_track(name)
    away = distance_to_line(rows[:, :2], track.centre_m, track.is_closed)
    starts_together = np.hypot(*(rows[0, :2] - track.centre_m[0])) < _SAME_CIRCUIT_M
    return track if starts_together and away.max() < _SAME_CIRCUIT_M else None


def distance_to_line(
    points_m: NDArray[np.float64], line_m: NDArray[np.float64], is_closed: bool
) -> NDArray[np.float64]:
    """Return the distance of points, shape (p, 2), from a polyline with vertices of shape (v, 2)."""
    line = np.vstack([line_m, line_m[:1]]) if is_closed else line_m
    start, along = line[:-1], np.diff(line, axis=0)
    squared = np.maximum(np.sum(along * along, axis=1), COINCIDENT_M**2)
    result = np.empty(len(points_m))
    for low in range(0, len(points_m), 1024):  # bounds the size of the intermediate arrays
        offset = points_m[low : low + 1024, None] - start
        share = np.clip(np.sum(offset * along, axis=2) / squared, 0.0, 1.0)
        result[low : low + 1024] = np.hypot(*np.moveaxis(offset - share[..., None] * along, 2, 0)).min(axis=1)
    return result


def _build_scene(rows: NDArray[np.float64], is_closed: bool, look: Scene | None) -> Scene:
    distinct = distinct_rows(rows, is_closed)
    centre, inner, outer = distinct[:, 0:2], distinct[:, 2:4], distinct[:, 4:6]
    spline = fit_spline(centre, is_closed)
    parameter, arc = tabulate_arc(spline, 16)
    count = int(np.ceil(arc[-1] / (0.95 * CURVE_SPACING_M)))  # chords vary a little around their mean
    fraction = np.arange(count) / count if is_closed else np.linspace(0.0, 1.0, count + 1)
    where = np.interp(fraction * arc[-1], arc, parameter)
    curve, normal = spline.at(where), spline.left_normal_at(where)
    to_inner, to_outer = distance_to_line(curve, inner, is_closed), distance_to_line(curve, outer, is_closed)
    is_inner_left = np.sum((inner[0] - centre[0]) * normal[0]) > 0
    half = float(np.median(np.concatenate([to_inner, to_outer])))
    ends = np.concatenate([inner, outer])
    low, high = ends.min(axis=0) - _WALL_MARGIN_M, ends.max(axis=0) + _WALL_MARGIN_M
    own = Scene(
        field_m=(float(low[0]), float(low[1]), float(high[0]), float(high[1])),
        wall_height_m=_WALL_HEIGHT_M,
        line_from_m=half - _LINE_WIDTH_M,
        line_to_m=half,
        kerb_m=None,
        finish_ahead_m=None,
        theme=theme("common"),
        has_sky=True,
        is_closed=is_closed,
        curve_m=curve,
        curve_normal=normal,
        curve_half_width_left_m=to_inner if is_inner_left else to_outer,
        curve_half_width_right_m=to_outer if is_inner_left else to_inner,
    )
    if look is None:
        return own
    return replace(
        look,
        curve_m=own.curve_m,
        curve_normal=own.curve_normal,
        curve_half_width_left_m=own.curve_half_width_left_m,
        curve_half_width_right_m=own.curve_half_width_right_m,
    )
