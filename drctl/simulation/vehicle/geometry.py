"""The car's measures (simulator-facts 1.1, 1.6). Frame: base_link, x ahead, y to the left, metres."""

from __future__ import annotations

from typing import Final

WHEELBASE_M: Final = 0.163974
"""Distance of the axles."""

NOSE_M: Final = 0.14
"""How far ahead of base_link the point lies that counts as the car's position (simulator-facts 1.6)."""

WHEELS_M: Final = ((0.082311, 0.079601), (0.082311, -0.079601), (-0.081663, 0.08105), (-0.081663, -0.08105))
"""Wheel centres: front left, front right, rear left, rear right."""

LENGTH_M: Final = 0.32352
"""Length of the car's rectangle, centred on base_link."""

WIDTH_M: Final = 0.1961
"""Width of the car's rectangle."""
