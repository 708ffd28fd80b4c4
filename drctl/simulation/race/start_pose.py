"""Where an episode begins (simulator-facts 7)."""

from __future__ import annotations

from math import atan2
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from drctl.simulation.track.track import Track


def start_pose(track: Track, fraction: float) -> tuple[float, float, float]:
    """Return base_link's x, y in metres and yaw in radians: on the centre line, heading for the next waypoint.

    Args:
        track: In driving direction.
        fraction: Share of the lap from waypoint 0, in [0, 1).
    """
    centre, arc = track.centre_m, track.arc_m
    along = fraction * track.length_m
    last = len(centre) - 1 if track.is_closed else len(centre) - 2
    here = min(int(np.searchsorted(arc, along, side="right")) - 1, last)
    there = (here + 1) % len(centre)
    end = track.length_m if there == 0 else float(arc[there])
    share = (along - float(arc[here])) / (end - float(arc[here]))
    step = centre[there] - centre[here]
    x, y = centre[here] + share * step
    return float(x), float(y), atan2(step[1], step[0])
