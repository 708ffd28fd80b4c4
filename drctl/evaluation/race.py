"""Races: one car alone, or two that see and touch each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from drctl.evaluation.racer import Driver, RaceOutcome, RaceProgress, Racer

if TYPE_CHECKING:
    from drctl.evaluation.rules import RaceRules
    from drctl.simulation.environment_spec import EnvironmentSpec

__all__ = ["Driver", "Race", "RaceOutcome", "RaceProgress"]


class Race:
    """A race of one car; the arguments are those of `Racer`."""

    def __init__(
        self,
        spec: EnvironmentSpec,
        rules: RaceRules,
        driver: Driver,
        iteration: int = 0,
        on_progress: Callable[[RaceProgress], None] = lambda _progress: None,
    ) -> None:
        self._racer = Racer(spec, rules, driver, iteration, on_progress)

    def run(self) -> RaceOutcome:
        """Drive all laps.

        Raises:
            RewardFailedError: The reward function failed.
        """
        racer = self._racer
        while not racer.has_finished:
            racer.begin_episode()
            while racer.is_driving:
                racer.advance()
        return racer.outcome()
