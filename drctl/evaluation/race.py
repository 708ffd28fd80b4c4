"""Races: one car alone, or two that see and touch each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from drctl.evaluation.racer import Driver, RaceOutcome, RaceProgress, Racer
from drctl.simulation.race.lanes import INNER, OUTER

if TYPE_CHECKING:
    from drctl.evaluation.rules import RaceRules
    from drctl.simulation.environment_spec import EnvironmentSpec
    from drctl.simulation.track.track import Track

__all__ = ["Driver", "Duel", "DuelCar", "Race", "RaceOutcome", "RaceProgress", "find_winner"]

START_GAP_M: Final = 0.75
"""How far the second car starts behind the first (contract 3.3, START_POS_OFFSET)."""

_START_LANES: Final = (int(OUTER), int(INNER))  # of the first and the second car (simulator-facts 7)


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


@dataclass(frozen=True)
class DuelCar:
    """One of the two cars of a duel.

    Attributes:
        spec: What is simulated for it; the world is the same for both, sensors and actions are its own.
        driver: Chooses its actions.
        color: How the other car sees it: red, green and blue, 0 to 255.
    """

    spec: EnvironmentSpec
    driver: Driver
    color: tuple[int, int, int]


class Duel:
    """A race of two cars in lock step.

    Each car sees the other one where it is, and touches it. Of two cars that touch, the one behind has crashed. A car
    that waits for a penalty is seen but not touched; one that has finished is taken off the track. The second car
    starts `START_GAP_M` behind the first on the other lane, and both drive laps of the same length, from start to
    start. Of laps that start anew each begins for both cars at once.

    Args:
        cars: The two cars; the first one starts in front.
        rules: How the race is judged; their starting place is that of the first car.
        iteration: See `Racer`; the same for both, so that their clocks agree.
        on_progress: Told about both cars.

    Raises:
        DrctlError: See `BatchEnvironment`.
    """

    def __init__(
        self,
        cars: Sequence[DuelCar],
        rules: RaceRules,
        iteration: int = 0,
        on_progress: Callable[[RaceProgress], None] = lambda _progress: None,
    ) -> None:
        track = cars[0].spec.worlds[0].load()
        self._colors = [car.color for car in cars]
        self._racers = [
            Racer(
                car.spec,
                replace(rules, start_fraction=start_fraction_of(number, track, rules.start_fraction)),
                car.driver,
                iteration,
                on_progress,
                number=number,
                keeps_time=True,
                lane=_START_LANES[number],
            )
            for number, car in enumerate(cars)
        ]

    def run(self) -> tuple[RaceOutcome, ...]:
        """Drive all laps of both cars and return what is left of each.

        Raises:
            RewardFailedError: The reward function of one of them failed.
        """
        racers = self._racers
        while not all(racer.has_finished for racer in racers):
            at_s = max(racer.clock_s for racer in racers)
            for racer in racers:
                racer.begin_episode(at_s)
            self._show(racers)
            while driving := [racer for racer in racers if racer.is_driving]:
                for racer in driving:
                    racer.advance()
                self._show(driving)
        return tuple(racer.outcome() for racer in racers)

    def _show(self, racers: Sequence[Racer]) -> None:
        """Show some racers the other one, when both have come to the same moment."""
        seen = [racer.seen(color) for racer, color in zip(self._racers, self._colors, strict=True)]
        for racer in racers:
            racer.see(seen[1 - self._racers.index(racer)])


def start_fraction_of(number: int, track: Track, first_fraction: float) -> float:
    """Return where a car of a duel starts: a share of the lap, in [0, 1).

    Args:
        number: 0 for the car in front, 1 for the other one.
        track: In its own direction or the other one.
        first_fraction: Where the car in front starts. On an open track nothing is behind the start; then both stand
            side by side.
    """
    fraction = first_fraction - number * START_GAP_M / track.length_m
    return fraction % 1.0 if track.is_closed else max(fraction, 0.0)


def find_winner(races: Sequence[RaceOutcome], laps: int) -> int | None:
    """Return which car completed all its laps in the least time, penalties included; None for neither, or a tie.

    Args:
        races: What each car left.
        laps: Laps of the race.
    """
    totals = {
        number: round(sum(lap.total_s for lap in race.laps), 6)
        for number, race in enumerate(races)
        if sum(lap.is_complete for lap in race.laps) == laps
    }
    fastest = min(totals.values(), default=None)
    first = [number for number, total in totals.items() if total == fastest]
    return first[0] if len(first) == 1 else None
