"""The arithmetic of episodes, start positions, batches and workers."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Final

from drctl.config.registry import fix_for
from drctl.operations.amount import count_text
from drctl.operations.finding import Finding

if TYPE_CHECKING:
    from drctl.config.settings import Settings
    from drctl.formats.hyperparameters import Hyperparameters

_ADVANCE: Final = "DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST"
_FEW_STEPS: Final = 25
"""Steps of an episode before anything is learned (simulator-facts 8)."""


def check_arithmetic(race: Settings, entries: int, rules: Hyperparameters) -> list[Finding]:
    """Look at one race's start positions and at the batches that its episodes give.

    Args:
        race: Its settings.
        entries: How many races share the episodes of an iteration.
        rules: The hyperparameters.
    """
    episodes = rules.episodes_per_iteration // entries
    findings = []
    if race.train_change_start_position:
        findings += _check_starts(race, episodes)
    elif episodes > 1:
        what = f"every episode of {race.world_name} starts at the same place; what lies far from it is learned last"
        fix = fix_for("DR_TRAIN_CHANGE_START_POSITION", "True", race.origin("DR_TRAIN_CHANGE_START_POSITION").source)
        findings.append(Finding(what, str(race.origin("DR_TRAIN_CHANGE_START_POSITION")), fix))
    first = rules.episodes_per_iteration * _FEW_STEPS
    if rules.minibatch_size > first:
        what = (
            f"batch_size {rules.minibatch_size} is more than the {first} steps or so that "
            f"{rules.episodes_per_iteration} untrained episodes give: the first updates use smaller batches"
        )
        fix = f"set batch_size to {2 ** (first.bit_length() - 1)} or less, or play more episodes per iteration"
        findings.append(Finding(what, "hyperparameters.json: batch_size", fix))
    return findings


def start_count(advance: float) -> int:
    """Return at how many different places episodes start, in the long run.

    Args:
        advance: Of the start from episode to episode, as a fraction of the lap.
    """
    return Fraction(advance).limit_denominator(10_000).denominator if advance else 1


def _check_starts(race: Settings, episodes: int) -> list[Finding]:
    advance, origin = race.train_round_robin_advance_dist, race.origin(_ADVANCE)
    places = start_count(advance)
    findings = []
    if places < min(episodes, 5):
        what = f"episodes of {race.world_name} start at {count_text(places, 'place')} only"
        findings.append(Finding(what, str(origin), fix_for(_ADVANCE, f"{1 / episodes:.4g}", origin.source)))
    elif episodes > 1 and (episodes * Fraction(advance).limit_denominator(10_000)).denominator != 1:
        laps = episodes * advance
        what = (
            f"{episodes} episodes x {advance:g} = {laps:.3g} laps: an iteration of {race.world_name} does not cover "
            f"the track evenly, {ceil(places / episodes)} together do"
        )
        findings.append(Finding(what, str(origin), fix_for(_ADVANCE, f"{1 / episodes:.4g}", origin.source)))
    if race.train_alternate_driving_direction and places > 1 and places % 2 == 0:
        what = (
            f"with {places} start places and a change of direction after every episode, each place is driven from in "
            "one direction only"
        )
        findings.append(Finding(what, str(origin), fix_for(_ADVANCE, f"{1 / (places + 1):.4g}", origin.source)))
    return findings
