"""What ``DR_RANDOMIZE`` names: the groups of quantities that domain randomisation varies."""

from __future__ import annotations

from typing import Final

RANDOMIZED_GROUPS: Final = (
    "lights",
    "colors",
    "walls",
    "texture",
    "camera",
    "curvature",
    "steering",
    "grip",
    "latency",
)
"""`drctl.simulation.variation` says what belongs to each, and between which bounds it is drawn."""

EVERY_GROUP: Final = "all"


def parse_randomized(text: str) -> tuple[tuple[str, float], ...] | None:
    """Read a list of groups, each with the share of its range that is used; None when it is not one.

    ``all`` stands for every group, ``camera:0.5`` for half of a range, and of two mentions the later one counts:
    ``all,latency:0`` leaves the latency out.

    Args:
        text: Names, separated by commas.

    Returns:
        Groups and shares, 0 to 1, in the order of `RANDOMIZED_GROUPS`; groups with the share 0 are left out.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, colon, number = part.strip().partition(":")
        names = RANDOMIZED_GROUPS if name == EVERY_GROUP else (name,)
        try:
            share = float(number) if colon else 1.0
        except ValueError:
            return None
        if names[0] not in RANDOMIZED_GROUPS or not 0.0 <= share <= 1.0:
            return None
        shares.update(dict.fromkeys(names, share))
    return tuple((name, shares[name]) for name in RANDOMIZED_GROUPS if shares.get(name))
