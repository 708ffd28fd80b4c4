"""Heat maps: values on a grid over the ground, as small pictures inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPEED_STOPS: Final = ("#3b6ef5", "#19b5b0", "#6cc644", "#f2c230", "#ef5b35")
"""Slow to fast; the viewer's map has the same."""

HEAT_STOPS: Final = ("#f2c230", "#ef8a35", "#e0432f", "#a3122a")
_CELLS: Final = 320
_GONE: Final = 1e-6
_FAINT: Final = 0.06


@dataclass(frozen=True)
class Grid:
    """Square cells over a rectangle of the ground.

    Attributes:
        left_m: Smallest x.
        bottom_m: Smallest y.
        cell_m: Side of a cell.
        columns: Cells along x.
        rows: Cells along y.
    """

    left_m: float
    bottom_m: float
    cell_m: float
    columns: int
    rows: int

    @classmethod
    def over(cls, low_m: NDArray[np.float64], high_m: NDArray[np.float64]) -> Grid:
        """Lay a grid over the rectangle between two corners, each of shape (2,)."""
        cell = max(float((high_m - low_m).max()) / _CELLS, 1e-3)
        columns, rows = (max(1, int(np.ceil(extent / cell))) for extent in high_m - low_m)
        return cls(float(low_m[0]), float(low_m[1]), cell, columns, rows)

    def sums(self, points_m: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Add up weights (1 each when None) of points, shape (n, 2), per cell: shape (rows, columns), y upwards."""
        edges = (
            self.bottom_m + self.cell_m * np.arange(self.rows + 1),
            self.left_m + self.cell_m * np.arange(self.columns + 1),
        )
        found: NDArray[np.float64] = np.histogram2d(points_m[:, 1], points_m[:, 0], edges, weights=weights)[0]
        return found


def blur(values: NDArray[np.float64], radius_cells: float) -> NDArray[np.float64]:
    """Smooth a grid by a Gaussian of this standard deviation."""
    reach = max(1, int(np.ceil(2.5 * radius_cells)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius_cells) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        values = np.apply_along_axis(np.convolve, axis, np.pad(values, _pad(axis, reach)), kernel, "valid")
    return values


def mean_picture(
    grid: Grid, points_m: NDArray[np.float64], values: NDArray[np.float64], low: float, high: float
) -> str:
    """Colour each cell by the mean of the values driven there; untouched cells are transparent.

    Args:
        grid: Over the map.
        points_m: Shape (n, 2).
        values: Shape (n,), without NaN.
        low: Value of the first colour of `SPEED_STOPS`.
        high: Value of the last one.
    """
    radius = max(1.0, 0.05 / grid.cell_m)
    total, count = (blur(grid.sums(points_m, weights), radius) for weights in (values, None))
    means = np.divide(total, count, out=np.zeros_like(total), where=count > _GONE)
    share = np.clip((means - low) / max(high - low, 1e-9), 0.0, 1.0)
    typical = np.median(count[count > _GONE]) if (count > _GONE).any() else 1.0
    alpha = np.clip(count / (0.4 * typical), 0.0, 1.0)
    return _picture(share, alpha, SPEED_STOPS)


def density_picture(grid: Grid, points_m: NDArray[np.float64]) -> str:
    """Colour the ground by how many points lie near, transparent where there are none.

    Args:
        grid: Over the map.
        points_m: Shape (n, 2).
    """
    density = blur(grid.sums(points_m), max(1.0, 0.16 / grid.cell_m))
    share = density / max(float(density.max()), _GONE)
    return _picture(share, np.clip((share - _FAINT) * 1.7, 0.0, 0.75), HEAT_STOPS)


def ramp_colors(share: NDArray[np.float64], stops: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return the colours at shares of a ramp, 0 to 1: the shape of the shares and three channels."""
    places = np.linspace(0.0, 1.0, len(stops))
    channels = np.array([[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in stops], float)
    mixed = np.stack([np.interp(share, places, channels[:, channel]) for channel in range(3)], axis=-1)
    return np.round(mixed).astype(np.uint8)


def hex_color(rgb: NDArray[np.uint8]) -> str:
    """Return a colour of three channels as ``#rrggbb``."""
    return "#" + "".join(f"{int(channel):02x}" for channel in rgb)


def _picture(share: NDArray[np.float64], alpha: NDArray[np.float64], stops: tuple[str, ...]) -> str:
    pixels = np.dstack([ramp_colors(share, stops), np.round(alpha * 255).astype(np.uint8)])
    return data_uri(pixels[::-1])  # y upwards


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Return a picture, shape (rows, columns, 4), top row first, as a PNG that stands in the page itself."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels), "RGBA").quantize(128).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _pad(axis: int, reach: int) -> list[tuple[int, int]]:
    return [(reach, reach) if one == axis else (0, 0) for one in (0, 1)]
