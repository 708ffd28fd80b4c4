"""What is painted on the ground of a track, by distance from and along its centre curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from drctl.simulation.sensors.camera_geometry import GROUND_BRIGHTNESS, lit

if TYPE_CHECKING:
    from drctl.simulation.track.track import Scene

LitColor = tuple[float, float, float]

DASH_LENGTH_M: Final = 0.0508
DASH_WIDTH_M: Final = 0.0254
DASH_PITCH_M: Final = 0.1016
"""Dashes of the centre line (simulator-facts 5.1)."""

FINISH_ACROSS_M: Final = 0.914
FINISH_THICK_M: Final = 0.078
"""Chequered strip; it lies between the lines, so it is shorter on a narrower road (simulator-facts 5.1)."""

FINISH_SQUARE_M: Final = FINISH_ACROSS_M / 24
"""Width of a square across the road. Two rows; 24 columns make the squares square, their number is not measured."""

FINISH_DARK: Final = (62, 62, 62)
FINISH_LIGHT: Final = (222, 222, 222)
"""Two colours with the mean 142 and the deviation 80 that were measured (simulator-facts 5.2)."""

KERB_RED: Final = (137, 13, 13)
KERB_WHITE: Final = (223, 223, 223)
"""Two colours with the measured mean 180, 118, 118 and deviation 43, 105, 105 (simulator-facts 5.2)."""

KERB_PITCH_M: Final = 0.4
"""One red and one white stripe. Their length is not measured."""


@dataclass(frozen=True)
class GroundPattern:
    """Painted bands of a road, symmetrical to its centre curve, with the colours that the camera sees.

    Attributes:
        length_m: Length of the centre curve.
        line_from_m: Inner edge of the white lines, from the centre.
        line_to_m: Outer edge of the white lines.
        road_to_m: Outer edge of everything painted: of the kerb, or else of the lines.
        dash_pitch_m: `DASH_PITCH_M`, stretched so that a whole number fits a lap.
        kerb_pitch_m: `KERB_PITCH_M` likewise; 0 without kerb.
        finish_at_m: Distance along the curve of the chequered strip's middle; None without strip.
        finish_half_across_m: Half its extent across the road.
        field: Colour beside the road, 0 to 255 each.
        road: Between the lines.
        line: Edge lines.
        dash: Dashes of the centre line.
    """

    length_m: float
    line_from_m: float
    line_to_m: float
    road_to_m: float
    dash_pitch_m: float
    kerb_pitch_m: float
    finish_at_m: float | None
    finish_half_across_m: float
    field: LitColor
    road: LitColor
    line: LitColor
    dash: LitColor


def pattern_of(scene: Scene, length_m: float) -> GroundPattern:
    """Return what is painted around a scene's centre curve.

    Args:
        scene: The track's scene.
        length_m: Length of its centre curve.
    """
    theme = scene.theme
    finish = scene.finish_ahead_m
    if finish is not None and scene.is_closed:
        finish %= length_m
    return GroundPattern(
        length_m=length_m,
        line_from_m=scene.line_from_m,
        line_to_m=scene.line_to_m,
        road_to_m=scene.line_to_m if scene.kerb_m is None else max(scene.line_to_m, scene.kerb_m[1]),
        dash_pitch_m=_whole_pitch(DASH_PITCH_M, length_m),
        kerb_pitch_m=0.0 if scene.kerb_m is None else _whole_pitch(KERB_PITCH_M, length_m),
        finish_at_m=finish,
        finish_half_across_m=min(FINISH_ACROSS_M / 2, scene.line_from_m),
        field=lit(theme.field, GROUND_BRIGHTNESS),
        road=lit(theme.road, GROUND_BRIGHTNESS),
        line=lit(theme.line, GROUND_BRIGHTNESS),
        dash=lit(theme.dash, GROUND_BRIGHTNESS),
    )


def _whole_pitch(pitch_m: float, length_m: float) -> float:
    return length_m / max(1, round(length_m / pitch_m))
