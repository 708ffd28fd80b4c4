"""How the network's camera sees boxes and cars: a few blocks each, whose outlines are those of the real shapes.

A block lies between two heights; its upper end may be smaller than its base. Frame: the object's, x ahead, y to the
left, z up from the ground.
"""

from __future__ import annotations

from typing import Final

import numpy as np

# Columns of a block.
BLOCK_BASE_REAR: Final = 0  # m, least x of the base
BLOCK_BASE_FRONT: Final = 1  # m, greatest x
BLOCK_BASE_HALF: Final = 2  # m, half its width
BLOCK_BASE_UP: Final = 3  # m, height of the base
BLOCK_TOP_REAR: Final = 4
BLOCK_TOP_FRONT: Final = 5
BLOCK_TOP_HALF: Final = 6
BLOCK_TOP_UP: Final = 7
BLOCK_PAINT: Final = 8  # grey of its texture, 0 to 255; less than 0 for the object's own colour

_OWN: Final = -1.0
_TIRE: Final = 26.0  # simulator-facts 6
_GLASS: Final = 39.0

CAR_BLOCKS: Final = np.array(
    [
        [-0.118, 0.118, 0.097, 0.000, -0.118, 0.118, 0.097, 0.075, _TIRE],
        [-0.156, 0.164, 0.080, 0.040, -0.150, 0.130, 0.072, 0.105, _OWN],
        [-0.140, 0.080, 0.060, 0.105, -0.108, -0.010, 0.044, 0.200, _GLASS],
    ]
)
"""Wheels with chassis, body, cabin, from below; within the shell's extents (simulator-facts 1.1, 6), simplified.

Of two blocks the upper one is drawn later, which is right for whoever looks at them from above the upper one's base.
"""
