"""Forms of cars: the DeepRacer's own shell, and one of a formula car.

Both lie within the original shell's extents: x -0.158 to 0.166, y -0.097 to 0.097, z to 0.2 (simulator-facts 1.1, 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drctl.simulation.vehicle.geometry import WHEELS_M

if TYPE_CHECKING:
    from drctl.simulation.views.mesh import Color, MeshBuilder

_GLASS: Final = (34, 40, 46)
_CHASSIS: Final = (48, 50, 54)
_LENS: Final = (70, 74, 80)
_CARBON: Final = (34, 36, 40)

# Second colours of the formula cars, by their number: the original's liveries are not known.
_ACCENTS: Final = (
    (236, 236, 236), (250, 200, 30), (30, 200, 190), (40, 90, 220), (230, 60, 60), (120, 220, 60),
    (240, 120, 20), (200, 60, 200), (90, 200, 250), (250, 160, 190), (150, 150, 160), (20, 140, 80),
)  # fmt: skip


def build_car(builder: MeshBuilder, color: Color, shell: str) -> None:
    """Add a car.

    Args:
        builder: Gets the surfaces.
        color: Of the body.
        shell: ``deepracer``, ``f1_2021`` or ``f1_car_<number>``.
    """
    for number, (x, y) in enumerate(WHEELS_M):
        builder.wheel(x, y, number + 1 if number < 2 else 0)
    if shell.startswith("f1"):
        number = int(shell.rpartition("_")[2])
        _build_formula(builder, color, _ACCENTS[number % len(_ACCENTS)])
    else:
        _build_deepracer(builder, color)


def _build_deepracer(builder: MeshBuilder, color: Color) -> None:
    dark = _darker(color)
    builder.box((0.0, 0.0, 0.04), (0.25, 0.11, 0.03), _CHASSIS)
    builder.box((0.152, 0.0, 0.04), (0.028, 0.15, 0.024), _CHASSIS)  # bumpers
    builder.box((-0.148, 0.0, 0.045), (0.02, 0.13, 0.025), _CHASSIS)
    builder.block((-0.155, 0.066, 0.05), (0.16, 0.062, 0.105), color, top=(-0.15, 0.12, 0), sides=dark)
    builder.block((-0.128, 0.058, 0.105), (0.075, 0.043, 0.186), dark, top=(-0.105, -0.012, 0), sides=_GLASS)
    builder.block((-0.108, 0.046, 0.186), (-0.008, 0.042, 0.2), color)  # roof
    for x in (WHEELS_M[0][0], WHEELS_M[2][0]):
        for side in (-1, 1):
            builder.box((x, side * 0.08, 0.083), (0.08, 0.033, 0.014), color)  # mudguards
    builder.box((0.098, 0.0, 0.112), (0.02, 0.03, 0.024), _CHASSIS)  # mast and camera
    builder.box((0.11, 0.0, 0.131), (0.026, 0.1, 0.024), _LENS)
    for side in (-1, 1):
        builder.box((-0.144, side * 0.04, 0.125), (0.012, 0.006, 0.04), _CHASSIS)
    builder.box((-0.142, 0.0, 0.148), (0.03, 0.16, 0.008), color)  # spoiler


def _build_formula(builder: MeshBuilder, color: Color, accent: Color) -> None:
    dark = _darker(color)
    builder.box((-0.01, 0.0, 0.026), (0.27, 0.09, 0.012), _CARBON)  # floor
    builder.block((0.03, 0.026, 0.03), (0.166, 0.02, 0.075), color, top=(0.03, 0.12, 0), sides=dark)  # nose
    builder.block((-0.13, 0.036, 0.03), (0.05, 0.028, 0.092), color, top=(-0.12, 0.045, 0), sides=dark)
    for side in (-1, 1):  # side pods
        builder.box((-0.02, side * 0.046, 0.055), (0.085, 0.03, 0.045), accent)
    builder.block((-0.14, 0.02, 0.09), (-0.02, 0.014, 0.15), color, top=(-0.08, -0.035, 0), sides=dark)  # air box
    builder.box((0.002, 0.0, 0.1), (0.036, 0.036, 0.03), accent)  # helmet
    builder.box((0.03, 0.0, 0.108), (0.006, 0.008, 0.034), _CARBON)  # halo
    builder.box((0.008, 0.0, 0.124), (0.05, 0.05, 0.006), _CARBON)
    builder.box((0.15, 0.0, 0.03), (0.03, 0.188, 0.008), accent)  # front wing
    for side in (-1, 1):
        builder.box((0.15, side * 0.092, 0.038), (0.032, 0.004, 0.024), dark)
        builder.box((-0.142, side * 0.072, 0.12), (0.034, 0.004, 0.07), dark)  # rear wing
    builder.box((-0.142, 0.0, 0.145), (0.03, 0.142, 0.008), accent)
    builder.box((-0.142, 0.0, 0.112), (0.02, 0.142, 0.005), _CARBON)
    builder.box((-0.142, 0.0, 0.075), (0.012, 0.012, 0.07), _CARBON)


def _darker(color: Color) -> Color:
    return color[0] * 4 // 5, color[1] * 4 // 5, color[2] * 4 // 5
