"""Whether the objects of a race have room for their least distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drctl.operations.finding import Finding

if TYPE_CHECKING:
    from drctl.formats.race_params import RaceParams


def check_spacing(race: RaceParams, length_m: float) -> list[Finding]:
    """Say so when the objects of a race cannot keep their least distance.

    Args:
        race: What there is.
        length_m: Length of the lap.
    """
    from drctl.simulation.race.placement import least_gap_m, room_m

    gap_m, room = least_gap_m(race, length_m), room_m(race, length_m)
    if race.obstacle_positions or race.objects < 2 or gap_m * (race.objects - 1) <= room:
        return []
    kept_m = max(room, 0.0) / (race.objects - 1)
    names = "obstacles", "DR_OA_NUMBER_OF_OBSTACLES"
    if race.race_type == "HEAD_TO_BOT":
        names = "bot cars", "DR_H2B_NUMBER_OF_BOT_CARS"
    wanted = f"{race.objects} {names[0]} do not fit {gap_m:.2f} m apart on a lap of {length_m:.1f} m"
    what = f"{wanted}: {kept_m:.2f} m are left"
    return [Finding(what, names[1], f"set {names[1]} to {int(max(room, 0.0) / gap_m) + 1} or less")]
