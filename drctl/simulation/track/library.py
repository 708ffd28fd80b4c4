"""The tracks that come with the program, by name, and those a user has imported."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.errors import TrackError, nearest
from drctl.simulation.track.spline import Spline, fit_spline, tabulate_arc
from drctl.simulation.track.track import Color, Scene, Theme, Track

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

ARC_CHORDS: Final = 40
"""Chords per spline span when arc length is measured; the format's own figure (track/README.md)."""

CURVE_SPACING_M: Final = 0.02
"""Largest distance between points of a scene's centre curve."""

_MIRRORS: Final[Mapping[str | None, tuple[float, float]]] = {"x": (-1.0, 1.0), "y": (1.0, -1.0), None: (1.0, 1.0)}


def track_names() -> tuple[str, ...]:
    """Return the 128 names of the library, sorted without regard to case."""
    return tuple(sorted(_data()["tracks"], key=str.casefold))


def track_facts(name: str) -> Mapping[str, Any]:
    """Return what the library knows of a track without building it: ``label``, ``length``, ``dir`` and so on.

    Raises:
        TrackError: No track of the library has this name.
    """
    facts = _data()["tracks"].get(_aliases().get(name, name))
    if facts is None:
        raise unknown_track(name, track_names())
    return dict(facts)


def is_library_track(name: str) -> bool:
    """Whether the library has a track of this name or with this further name."""
    return _aliases().get(name, name) in _data()["tracks"]


def load_track(name: str, folder: Path | None = None) -> Track:
    """Return a track in its own driving direction.

    A file ``NAME.npy`` in the folder wins over the library's track of that name. Tracks are built once per process;
    a file that has changed is read again.

    Args:
        name: What ``DR_WORLD_NAME`` says.
        folder: The project's ``tracks`` folder; None to use the library alone.

    Raises:
        TrackError: Nothing has this name, or the file is not usable.
    """
    from drctl.simulation.track.importer import imported_names, load_imported

    if folder is not None:
        track = load_imported(name, folder)
        if track is not None:
            return track
    if not is_library_track(name):
        raise unknown_track(name, (*track_names(), *imported_names(folder)))
    return load_library_track(name)


@cache
def load_library_track(name: str) -> Track:
    """Return a track of the library; see `load_track`.

    Raises:
        TrackError: No track of the library has this name.
    """
    facts = track_facts(name)
    return Track(
        name=name,
        label=facts["label"],
        waypoints_m=_read_only(_Layout(facts).rows()),
        is_closed=facts.get("closed", True),
        is_reversed=False,
        scene=_build_scene(facts),
    )


def theme(name: str) -> Theme:
    """Return a set of colours: ``common``, ``reinvent``, ``caecer``, ``carpet``, ``concrete`` or ``wood``."""
    facts = _data()["themes"][name]
    noise = facts["noise"]
    return Theme(
        name=name,
        road=_color(facts["road"]),
        line=_color(facts["line"]),
        dash=_color(facts["dash"]),
        field=_color(facts["field"]),
        wall=_color(facts["wall"]),
        backdrop=_color(facts["backdrop"]),
        noise=(noise["road"], noise["line"], noise["dash"], noise["field"]),
    )


def unknown_track(name: str, choices: tuple[str, ...]) -> TrackError:
    """Return the error that says that no track has this name and which name comes nearest."""
    near = nearest(name, choices)
    return TrackError(
        f"there is no track '{name}'",
        expected=f"{near}, or another name of 'drctl tracks list'" if near else "a name of 'drctl tracks list'",
        fix=f"drctl config set DR_WORLD_NAME={near}" if near else "drctl tracks list",
    )


class _Layout:
    """A track's control points, widths and way into the world (track/README.md)."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        layout = _data()["layouts"][facts["layout"]]
        self.facts = facts
        self.is_closed: bool = layout.get("closed", True)
        self.is_inner_right = layout.get("inner") == "right"
        self.is_along: bool = facts.get("along", True)
        self.spline: Spline = fit_spline(np.asarray(layout["pts"], np.float64), self.is_closed)
        self.parameter_m, self.arc_m = tabulate_arc(self.spline, ARC_CHORDS)
        self.length_m = float(self.arc_m[-1])
        self.width = facts.get("w", layout["w"])

    def parameter_at(self, fraction: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the spline's parameter at fractions of the lap from waypoint 0 in driving direction."""
        start_m: float = self.facts["start"]
        distance: NDArray[np.float64] = start_m + (1 if self.is_along else -1) * fraction * self.length_m
        if self.is_closed:
            distance = np.mod(distance, self.length_m)
        return _interpolate(distance, self.arc_m, self.parameter_m)

    def half_widths(self, parameter_m: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the half width left and right of the stored direction, each shape (m,)."""
        if not isinstance(self.width, dict):
            half = np.full(len(parameter_m), float(self.width))
            return half, half
        sides = (np.asarray(self.width[side], np.float64) for side in ("l", "r"))
        knots = self.spline.knots_m
        left, right = (np.append(side, side[:1]) if self.is_closed else side for side in sides)
        return _interpolate(parameter_m, knots, left), _interpolate(parameter_m, knots, right)

    def to_world(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mirror, then shift points of the layout."""
        mirror = np.asarray(_MIRRORS[self.facts.get("mirror")], np.float64)
        return points_m * mirror + np.asarray(self.facts.get("shift", (0.0, 0.0)), np.float64)

    def rows(self) -> NDArray[np.float64]:
        """Return the rows of the waypoint list, shape (n, 6)."""
        parameter = self.parameter_at(self._fractions())
        centre, normal = self.spline.at(parameter), self.spline.left_normal_at(parameter)
        left, right = self.half_widths(parameter)
        borders = [centre + normal * left[:, None], centre - normal * right[:, None]]
        if self.is_inner_right:
            borders.reverse()
        rows = np.hstack([self.to_world(points) for points in (centre, *borders)])
        if self.is_closed:
            rows = np.vstack([rows, rows[:1]])
        for row in self.facts.get("dup", ()):
            rows = np.insert(rows, row, rows[row - 1], axis=0)
        return rows

    def _fractions(self) -> NDArray[np.float64]:
        """Return the arc-length fractions of the distinct waypoints in driving order, the first 0."""
        spread = self.facts["wp"]
        if isinstance(spread, list):
            return np.asarray(spread, np.float64)
        count = self.facts["n"] - len(self.facts.get("dup", ())) - (1 if self.is_closed else 0)
        if isinstance(spread, dict) and "flank" in spread:
            edge = spread["flank"] / self.length_m
            even = (edge + np.arange(count - 2) / (count - 2)) % 1.0
            return np.asarray(np.sort(np.concatenate([[0.0, 2.0 * edge], even])), np.float64)
        if isinstance(spread, dict):
            lead: float = spread["lead"] / self.length_m
            return np.concatenate([[0.0], lead + (1.0 - lead) * np.arange(count - 1) / (count - 1)])
        return np.linspace(0.0, 1.0, count, endpoint=not self.is_closed)


def _build_scene(facts: Mapping[str, Any]) -> Scene:
    layout = _Layout(facts)
    count = int(np.ceil(layout.length_m / (0.95 * CURVE_SPACING_M)))  # chords vary a little around their mean
    fraction = np.arange(count) / count if layout.is_closed else np.linspace(0.0, 1.0, count + 1)
    parameter = layout.parameter_at(fraction)
    normal = layout.spline.left_normal_at(parameter) * np.asarray(_MIRRORS[facts.get("mirror")])
    left, right = layout.half_widths(parameter)
    # A mirrored layout and one driven against its stored direction each swap left and right.
    if (facts.get("mirror") is not None) != (not layout.is_along):
        normal, left, right = -normal, right, left
    kerb = facts.get("kerb")
    return Scene(
        field_m=tuple(facts["field"]),
        wall_height_m=float(facts["wall"]),
        line_from_m=facts["line"][0],
        line_to_m=facts["line"][1],
        kerb_m=None if kerb is None else (kerb[0], kerb[1]),
        finish_ahead_m=facts["finish"],
        theme=theme(facts["theme"]),
        has_sky=facts.get("sky", True),
        is_closed=layout.is_closed,
        curve_m=_read_only(layout.to_world(layout.spline.at(parameter))),
        curve_normal=_read_only(normal),
        curve_half_width_left_m=_read_only(left),
        curve_half_width_right_m=_read_only(right),
    )


def _interpolate(
    at: NDArray[np.float64], knots: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(np.interp(at, knots, values), np.float64)


def _color(values: list[int]) -> Color:
    red, green, blue = values
    return red, green, blue


def _read_only(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


@cache
def _data() -> dict[str, Any]:
    text = files("drctl.simulation.track").joinpath("tracks.json").read_text("utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


@cache
def _aliases() -> dict[str, str]:
    return {alias: name for name, facts in _data()["tracks"].items() for alias in facts.get("aliases", ())}
