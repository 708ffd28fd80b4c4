"""Maps of a track: the road, and on it what cars did there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from markupsafe import Markup, escape

from drctl.analysis.drawing.pixels import SPEED_STOPS, Grid, density_picture, hex_color, mean_picture, ramp_colors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.analysis.laps import Lap
    from drctl.simulation.track.track import Track

_WIDTH: Final = 460
_TALLEST: Final = 420
_MARGIN_M: Final = 0.45
_LABEL_EVERY: Final = 10
_NARROWEST_M_S: Final = 0.4  # nobody sees less than that in the car either
_COLOR_STEPS: Final = 24
_DOTS: Final = 400
_REPLAY_POINTS: Final = 500


@dataclass(frozen=True, eq=False)
class Sheet:
    """A piece of ground and its place in the drawing, north up.

    Attributes:
        low_m: Corner with the smallest coordinates, shape (2,).
        high_m: The opposite one.
        track: Whose road is drawn; None where it is unknown.
    """

    low_m: NDArray[np.float64]
    high_m: NDArray[np.float64]
    track: Track | None

    @classmethod
    def around(cls, track: Track | None, points_m: NDArray[np.float64]) -> Sheet:
        """Make room for a track, or for the places of a car where the track is unknown."""
        shown = points_m if track is None else np.concatenate([track.inner_m, track.outer_m])
        if not len(shown):
            shown = np.zeros((1, 2))
        return cls(shown.min(axis=0) - _MARGIN_M, shown.max(axis=0) + _MARGIN_M, track)

    @cached_property
    def pixels_per_m(self) -> float:
        """Scale of the drawing."""
        extent = self.high_m - self.low_m
        return float(min(_WIDTH / extent[0], _TALLEST / extent[1]))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the drawing."""
        width, height = (self.high_m - self.low_m) * self.pixels_per_m
        return float(width), float(height)

    @cached_property
    def grid(self) -> Grid:
        """Cells over the whole sheet."""
        return Grid.over(self.low_m, self.high_m)

    def place(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points, shape (n, 2), in the drawing."""
        placed: NDArray[np.float64] = (
            np.column_stack([points_m[:, 0] - self.low_m[0], self.high_m[1] - points_m[:, 1]]) * self.pixels_per_m
        )
        return placed

    def road(self) -> str:
        """Draw the road, its waypoints' numbers and the start line."""
        track = self.track
        if track is None:
            return ""
        inner, outer, centre = (self.place(points) for points in (track.inner_m, track.outer_m, track.centre_m))
        if track.is_closed:
            surface = f"{_lines(outer)}Z{_lines(inner)}Z"
            edges, dashes = surface, f"{_lines(centre)}Z"
        else:
            surface = f"{_lines(np.concatenate([outer, inner[::-1]]))}Z"
            edges, dashes = f"{_lines(outer)}{_lines(inner)}", _lines(centre)
        start = _lines(np.array([inner[0], outer[0]]))
        return (
            f'<path class="road" fill-rule="evenodd" d="{surface}"/><path class="edge" d="{edges}"/>'
            f'<path class="dash" d="{dashes}"/><path class="start" d="{start}"/>'
        )

    def labels(self) -> str:
        """Write the numbers of some waypoints beside the road, as reward functions count them."""
        if self.track is None:
            return ""
        outwards = self.track.outer_m - self.track.centre_m
        length = np.maximum(np.hypot(outwards[:, 0], outwards[:, 1])[:, None], 1e-9)
        places = self.place(self.track.outer_m + outwards / length * 0.2)
        every = _LABEL_EVERY * max(1, round(len(places) / 150))
        texts = [
            f'<text x="{x:.1f}" y="{y + 3:.1f}" text-anchor="middle">{number}</text>'
            for number, (x, y) in enumerate(places.tolist())
            if number % every == 0
        ]
        return f'<g class="waypoint">{"".join(texts)}</g>'

    def picture(self, uri: str) -> str:
        """Lay a picture of the grid's cells over the ground."""
        grid = self.grid
        corner = np.array([[grid.left_m, grid.bottom_m + grid.rows * grid.cell_m]])
        x, y = self.place(corner)[0]
        width, height = (count * grid.cell_m * self.pixels_per_m for count in (grid.columns, grid.rows))
        return (
            f'<image href="{uri}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            'preserveAspectRatio="none"/>'
        )

    def frame(self, title: str, *layers: str) -> Markup:
        """Put layers into one drawing."""
        width, height = self.size
        return Markup(  # noqa: S704 - numbers and escaped text alone
            f'<svg class="map" viewBox="0 0 {width:.1f} {height:.1f}" role="img" aria-label="{escape(title)}">'
            f"{''.join(layers)}</svg>"
        )


def draw_speed(sheet: Sheet, points_m: NDArray[np.float64], speed_m_s: NDArray[np.float64], title: str) -> Any:
    """Colour the road by the mean speed driven there.

    Args:
        sheet: The ground.
        points_m: Places of the car, shape (n, 2).
        speed_m_s: Its speed there, shape (n,); NaN where it is unknown.
        title: For readers that do not see it.

    Returns:
        The drawing, and the speeds of the ramp's ends; None without any speed.
    """
    known = np.isfinite(speed_m_s)
    if not known.any():
        return None
    low, high = speed_range(speed_m_s[known])
    picture = mean_picture(sheet.grid, points_m[known], speed_m_s[known], low, high)
    return sheet.frame(title, sheet.road(), sheet.picture(picture), sheet.labels()), low, high


def draw_exits(
    sheet: Sheet, off_m: NDArray[np.float64], crashed_m: NDArray[np.float64], recent: NDArray[np.bool_], title: str
) -> Markup:
    """Show where episodes ended before the lap did.

    Args:
        sheet: The ground.
        off_m: Where cars left the road, shape (n, 2).
        crashed_m: Where they crashed, shape (k, 2).
        recent: Which of the former are of the newest iterations, shape (n,).
        title: For readers that do not see it.
    """
    every = np.concatenate([off_m, crashed_m])
    heat = sheet.picture(density_picture(sheet.grid, every)) if len(every) else ""
    layers = [
        _dots(sheet, off_m[~recent], "exit old"),
        _dots(sheet, off_m[recent], "exit"),
        _dots(sheet, crashed_m, "crash"),
    ]
    return sheet.frame(title, sheet.road(), heat, *layers, sheet.labels())


def draw_laps(sheet: Sheet, laps: Sequence[tuple[str, str, Lap]], title: str) -> Markup:
    """Draw laps on one map, ready to be driven again by the page's script; a single one is coloured by speed.

    Args:
        sheet: The ground.
        laps: Name of the model, its colour, and the lap.
        title: For readers that do not see it.
    """
    alone = len(laps) == 1
    lines = [_speed_line(sheet, lap) if alone else _plain_line(sheet, color, lap) for _, color, lap in laps]
    cars = [
        f'<g class="car" data-lap="{number}"><circle r="7" fill="{color}" opacity=".3"/>'
        f'<path d="M6.5 0L-4 3.8L-2 0L-4 -3.8Z" fill="{color}"/></g>'
        for number, (_, color, _) in enumerate(laps)
    ]
    return sheet.frame(title, sheet.road(), sheet.labels(), *lines, *cars)


def replay(sheet: Sheet, lap: Lap) -> dict[str, Any]:
    """Return the places of a lap in the drawing, by time, for the page's script."""
    chosen = np.unique(np.linspace(0, len(lap.drive) - 1, _REPLAY_POINTS).round().astype(int))
    clock = lap.clock_s
    # The clock of the trace begins a step after the lap's own.
    clock = clock * (lap.time_s / clock[-1]) if clock[-1] > 0 else clock
    places = sheet.place(lap.points_m)
    return {
        "time": round(lap.time_s, 3),
        "t": np.round(clock[chosen], 3).tolist(),
        "x": np.round(places[chosen, 0], 1).tolist(),
        "y": np.round(places[chosen, 1], 1).tolist(),
        "speed": np.round(np.nan_to_num(lap.drive.speed_m_s[chosen]), 2).tolist(),
    }


def speed_range(speed_m_s: NDArray[np.float64]) -> tuple[float, float]:
    """Return the speeds at the ends of the colour ramp: nearly the slowest and the fastest."""
    low, high = np.nanpercentile(speed_m_s, [5, 95])
    margin = max(0.0, _NARROWEST_M_S - float(high - low)) / 2
    return max(0.0, float(low) - margin), float(high) + margin


def _speed_line(sheet: Sheet, lap: Lap) -> str:
    """Draw the driven line in pieces of one colour each."""
    speed = lap.drive.speed_m_s.copy()
    known = np.isfinite(speed)
    if not known.any():
        return _plain_line(sheet, "var(--blue)", lap)
    speed = np.interp(np.arange(len(speed)), np.flatnonzero(known), speed[known])
    low, high = speed_range(speed)
    level = np.round(np.clip((speed - low) / (high - low), 0, 1) * (_COLOR_STEPS - 1)).astype(int)
    colors = ramp_colors(np.linspace(0, 1, _COLOR_STEPS), SPEED_STOPS)
    places = sheet.place(lap.points_m)
    jumps = lap.drive.is_placed
    pieces, start = [], 0
    for row in range(1, len(level) + 1):
        if row < len(level) and level[row] == level[start] and not jumps[row]:
            continue
        end = min(row + 1, len(level)) if row < len(level) and not jumps[row] else row
        pieces.append(f'<path stroke="{hex_color(colors[level[start]])}" d="{_lines(places[start:end])}"/>')
        start = row
    return f'<g class="lap">{"".join(pieces)}</g>'


def _plain_line(sheet: Sheet, color: str, lap: Lap) -> str:
    places, cuts = sheet.place(lap.points_m), np.flatnonzero(lap.drive.is_placed[1:]) + 1
    path = "".join(_lines(part) for part in np.split(places, cuts))
    return f'<path class="lap" stroke="{color}" d="{path}"/>'


def _dots(sheet: Sheet, points_m: NDArray[np.float64], kind: str) -> str:
    points_m = points_m[:: max(1, -(-len(points_m) // _DOTS))]
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.8"/>' for x, y in sheet.place(points_m).tolist())
    return f'<g class="{kind}">{dots}</g>'


def _lines(places: NDArray[np.float64]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places.tolist())
