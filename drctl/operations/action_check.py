"""Whether a model's actions can drive its tracks."""

from __future__ import annotations

from math import inf, radians
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.formats.model_metadata import ContinuousActionSpace
from drctl.operations.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drctl.formats.model_metadata import ModelMetadata
    from drctl.simulation.track.track import Track

MANY_ACTIONS: Final = 30
"""More discrete actions than this are tried too seldom each: DeepRacer's console allowed 21."""

_WINDOW_M: Final = 1.0  # a bend shorter than this is cut


def check_actions(metadata: ModelMetadata, tracks: Sequence[Track], physics: str, place: str) -> list[Finding]:
    """Look at an action space: both sides, doubles, number, and the tightest bend that it can follow.

    Args:
        metadata: With the action space.
        tracks: That the training drives on.
        physics: ``effort``, ``kinematics`` or ``ros2``.
        place: Path of the metadata for messages.
    """
    angles, speeds = _corners(metadata)
    findings = []
    if metadata.num_actions == 1:
        findings.append(Finding("there is one action only: nothing can be learned", place, f"add actions to {place}"))
    elif max(angles) <= 0.0 or min(angles) >= 0.0:
        side = "left" if max(angles) <= 0.0 else "right"
        findings.append(Finding(f"no action steers to the {side}", place, f"add one to {place}"))
    if not isinstance(metadata.action_space, ContinuousActionSpace):
        pairs = list(zip(angles, speeds, strict=True))
        doubles = sorted({pairs.index(pair) for number, pair in enumerate(pairs) if pairs.index(pair) < number})
        if doubles:
            listed = ", ".join(map(str, doubles))
            findings.append(Finding(f"actions are there twice: {listed}", place, f"delete the doubles in {place}"))
        if len(pairs) > MANY_ACTIONS:
            what = f"{len(pairs)} actions: each is tried seldom, so that learning takes long"
            findings.append(Finding(what, place, f"keep at most {MANY_ACTIONS}, or use a continuous action space"))
    findings += [one for track in tracks for one in _check_bends(track, angles, speeds, physics, place)]
    return findings


def tightest_radius_m(track: Track) -> float:
    """Return the radius of a track's tightest bend, over a stretch of a metre of its centre line.

    The heading's change over the stretch divides its length; waypoints that jitter by millimetres do not count.
    """
    count = max(8, int(track.length_m / 0.05))
    along = np.arange(count) * track.length_m / count
    closed = np.concatenate([track.centre_m, track.centre_m[:1]]) if track.is_closed else track.centre_m
    arc = np.append(track.arc_m, track.length_m) if track.is_closed else track.arc_m
    x, y = np.interp(along, arc, closed[:, 0]), np.interp(along, arc, closed[:, 1])
    heading = np.arctan2(np.diff(y, append=y[0]), np.diff(x, append=x[0]))
    turns = (np.diff(heading, append=heading[0]) + np.pi) % (2 * np.pi) - np.pi
    steps = max(1, round(_WINDOW_M / (track.length_m / count)))
    # An open track's last piece would lead from its end back to its start.
    around = np.concatenate([turns, turns[:steps]]) if track.is_closed else turns[:-2]
    total = np.concatenate([[0.0], np.cumsum(around)])
    turn = float(np.abs(total[steps:] - total[:-steps]).max())
    return _WINDOW_M / turn if turn > 0.0 else inf


def _corners(metadata: ModelMetadata) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return angles in degrees and speeds of the actions, or of the corners of a continuous space."""
    space = metadata.action_space
    if isinstance(space, ContinuousActionSpace):
        low, high = space.steering_low_deg, space.steering_high_deg
        slow, fast = space.speed_low_m_s, space.speed_high_m_s
        return (low, high, low, high), (slow, slow, fast, fast)
    return space.steering_deg, space.speed_m_s


def _check_bends(
    track: Track, angles: Sequence[float], speeds: Sequence[float], physics: str, place: str
) -> list[Finding]:
    from drctl.simulation.vehicle.dynamics import curvature
    from drctl.simulation.vehicle.physics import PHYSICS, STEERING_LIMIT_DEG

    figures = PHYSICS[physics].pack()
    bends = [
        abs(curvature(figures, radians(max(-STEERING_LIMIT_DEG, min(STEERING_LIMIT_DEG, angle))), max(speed, 0.1)))
        for angle, speed in zip(angles, speeds, strict=True)
    ]
    reach_m = 1.0 / max(bends) if max(bends) > 0.0 else inf
    width_m = float(np.hypot(*(track.inner_m - track.outer_m).T).mean())
    bend_m = tightest_radius_m(track)
    if reach_m <= bend_m + width_m / 2:
        return []
    what = (
        f"no action follows the tightest bend of {track.name}: its radius is {bend_m:.2f} m on a road {width_m:.2f} m "
        f"wide, and the car turns no tighter than {reach_m:.2f} m"
    )
    return [Finding(what, place, f"add an action with a larger angle or a lower speed to {place}")]
