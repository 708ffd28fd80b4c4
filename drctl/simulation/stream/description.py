"""Episodes and tracks as plain data that a map draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from drctl.simulation.stream.clip import Clip
    from drctl.simulation.track.track import Track

_POINT_S: Final = 0.2
"""Distance of the points of a driven line; 15 a second would be more than a map can show."""


def describe_clip(clip: Clip) -> dict[str, Any]:
    """Return an episode for a map: its driven line with few points, metres, seconds and m/s."""
    rows, start = clip.rows, clip.start
    step = max(1, round(_POINT_S * len(rows) / max(clip.duration_s, _POINT_S)))
    chosen = rows[sorted({*range(0, len(rows), step), len(rows) - 1})]
    names = ("time_s", "x_m", "y_m", "yaw_rad", "speed_m_s")
    return {
        "serial": clip.serial,
        "car": clip.car,
        "phase": start.phase,
        "iteration": start.iteration,
        "episode": start.episode,
        "world": start.world,
        "is_reversed": start.is_reversed,
        "status": clip.status,
        "is_running": clip.is_running,
        "duration_s": round(clip.duration_s, 2),
        "progress_percent": round(float(rows["progress_percent"][-1]), 1),
        "reward": round(float(rows["reward"].sum()), 2),
        "points": [[round(float(row[name]), 3) for name in names] for row in chosen],
    }


def describe_track(track: Track) -> dict[str, Any]:
    """Return a track's borders for a map, metres."""
    borders = {"inner": track.inner_m, "outer": track.outer_m}
    lines = {name: [[round(x, 3), round(y, 3)] for x, y in points.tolist()] for name, points in borders.items()}
    return {"name": track.name, "label": track.label, "is_closed": track.is_closed, **lines}
