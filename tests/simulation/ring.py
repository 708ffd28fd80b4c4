"""A round road on which places and lanes can be worked out by hand, and objects to put there."""

from __future__ import annotations

import numpy as np

from drctl.simulation.race.objects import (
    BOT_CHANGE_OVER,
    BOT_CHANGES_LANES,
    BOT_LONGEST_WAIT,
    BOT_PENALTY,
    BOT_SHORTEST_WAIT,
    BOT_SIZE,
    BOT_SPEED,
)
from drctl.simulation.track.track import Track

RADIUS_M, INNER_M, OUTER_M = 2.0, 1.8, 2.2  # centre line, inner lane, outer lane
POINTS = 180


def ring_rows():
    """Waypoint rows of a ring around (0, 0), counter-clockwise from (2, 0), borders 0.4 m from the centre line."""
    angle = np.linspace(0.0, 2.0 * np.pi, POINTS + 1)
    unit = np.column_stack([np.cos(angle), np.sin(angle)])
    unit[-1] = unit[0]
    return np.hstack([RADIUS_M * unit, (RADIUS_M - 0.4) * unit, (RADIUS_M + 0.4) * unit])


def ring():
    """The track."""
    return Track.from_waypoints("ring", ring_rows())


def bots(speed=0.5, *, waits=None, over=1.0, penalty=3.0):
    """Numbers of a set of bot cars; `waits` are shortest and longest time on a lane, None for no changes."""
    row = np.zeros(BOT_SIZE)
    row[[BOT_SPEED, BOT_CHANGE_OVER, BOT_PENALTY]] = speed, over, penalty
    if waits is not None:
        row[[BOT_CHANGES_LANES, BOT_SHORTEST_WAIT, BOT_LONGEST_WAIT]] = 1.0, *waits
    return row
