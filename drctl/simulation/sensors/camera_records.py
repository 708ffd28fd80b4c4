"""What the camera's compiled kernels are told about worlds and about the image."""

from __future__ import annotations

from typing import Final

import numpy as np

from drctl.simulation.sensors.camera_geometry import IMAGE_WIDTH

NODE_STEP: Final = 8
"""Pixels between nodes of a row: 6 cm or less within a metre of the car."""

NODES: Final = IMAGE_WIDTH // NODE_STEP + 1

WORLD: Final = np.dtype(
    [
        ("first", np.int64),
        ("rows", np.int64),
        ("columns", np.int64),
        ("origin_x_m", np.float64),
        ("origin_y_m", np.float64),
        ("nodes_per_m", np.float64),
        ("wrap_m", np.float64),
        ("open_length_m", np.float32),
        ("line_from_m", np.float32),
        ("line_to_m", np.float32),
        ("road_to_m", np.float32),
        ("dash_pitch_m", np.float32),
        ("kerb_pitch_m", np.float32),
        ("finish_at_m", np.float32),
        ("finish_half_across_m", np.float32),
        ("finish_x_m", np.float64),
        ("finish_y_m", np.float64),
        ("wall_height_m", np.float64),
        ("field_m", np.float64, (4,)),
        ("wall", np.float32, (4,)),
        ("backdrop", np.float32),
        ("field", np.float32),
        ("road", np.float32),
        ("line", np.float32),
        ("dash", np.float32),
        ("kerb_red", np.float32),
        ("kerb_white", np.float32),
        ("finish_dark", np.float32),
        ("finish_light", np.float32),
    ]
)
"""What the kernel knows of a world: its part of the distance grid (``first`` counts nodes), the pattern and the greys.

``wrap_m`` is the lap's length, and huge where the curve is open; ``open_length_m`` is 0 where it is closed;
``kerb_pitch_m`` and ``finish_half_across_m`` are 0 where there is no such thing; walls lower than the lens count as 0.
"""

STRIP: Final = np.dtype(
    [
        ("first_row", np.int64),
        ("rows", np.int64),
        ("is_first", np.bool_),
        ("is_last", np.bool_),
        ("weight", np.float32),
        ("top_ahead_m", np.float64),
        ("top_pixel_m", np.float64),
        ("bottom_ahead_m", np.float64),
        ("bottom_pixel_m", np.float64),
    ]
)
"""A strip of ground across the image: some rows of pixels, or, far away, a part of one row (``weight``).

``ahead`` is the distance of its upper and lower edge from base_link, ``pixel`` a pixel's width there. A strip's lower
edge is the next strip's upper edge.
"""
