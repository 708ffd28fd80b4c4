"""How progress is counted and when an episode ends (contract 5.1 progress, 5.3)."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final

from numba import njit

from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.race.contact import CRASH, HIT_FROM_BEHIND
from drctl.simulation.race.measuring import CONTACT, NOSE_X, NOSE_Y, PROJECTION, WHEELS_ON_TRACK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Columns of a car's race state.
START_FRACTION: Final = 0  # where the lap began
PROGRESS: Final = 1  # percent, of the step that was judged last
LAST_X: Final = 2  # m, nose of that step
LAST_Y: Final = 3
STILL_STEPS: Final = 4  # steps in a row without movement
BACKWARD_STEPS: Final = 5  # steps in a row with less progress than before
TOUCHED: Final = 6  # which object the car touched in that step, or -1
RACE_SIZE: Final = 7

STILL_M: Final = 0.0003
"""Moving no more than this counts as standing still (contract 5.3)."""

PATIENCE_STEPS: Final = 15
"""Steps in a row after which standing still or driving backwards ends an episode (contract 5.3)."""

MAX_STEPS: Final = 100_000
"""Steps after which an episode is cut off whatever happens (contract 5.2)."""

_LAP_COMPLETE: Final = EpisodeStatus.LAP_COMPLETE.index
_CRASHED: Final = EpisodeStatus.CRASHED.index
_OFF_TRACK: Final = EpisodeStatus.OFF_TRACK.index
_IMMOBILIZED: Final = EpisodeStatus.IMMOBILIZED.index
_REVERSED: Final = EpisodeStatus.REVERSED.index
_IN_PROGRESS: Final = EpisodeStatus.IN_PROGRESS.index


@njit(cache=True)
def count_progress(fraction: float, start_fraction: float, previous_percent: float) -> float:
    """Return the progress in percent, at most 100; a little below 0 right after a start that rolls back.

    Args:
        fraction: Projection of the nose on the centre line as a share of the lap, 0 to 1.
        start_fraction: The same where the episode began.
        previous_percent: Progress of the step before; 0 at the start.
    """
    progress = 100.0 * (fraction - start_fraction)
    if progress <= 0.0:
        progress += 100.0
    if previous_percent > progress + 50.0:
        progress += 100.0
    if progress > previous_percent + 50.0:
        progress -= 100.0
    return min(progress, 100.0)


@njit(cache=True)
def begin_race(start_fraction: float, length_m: float, measure: NDArray[np.float64], race: NDArray[np.float64]) -> None:
    """Set a car's race state for its prepare step.

    Args:
        start_fraction: Where the car was placed.
        length_m: Length of the centre line.
        measure: The placed car's row of `measuring` numbers.
        race: Filled, shape (RACE_SIZE,).
    """
    race[:] = 0.0
    race[START_FRACTION], race[TOUCHED] = start_fraction, -1.0
    race[PROGRESS] = count_progress(measure[PROJECTION] / length_m, start_fraction, 0.0)
    race[LAST_X], race[LAST_Y] = measure[NOSE_X], measure[NOSE_Y]


@njit(cache=True)
def judge(length_m: float, measure: NDArray[np.float64], race: NDArray[np.float64]) -> int:
    """Bring a car's race state up to date and return the `EpisodeStatus.index` of its step.

    Of several rules that hold, the first of lap complete, crashed, off track, immobilized, reversed is returned; none
    when a car ran into this one from behind.

    Args:
        length_m: Length of the centre line.
        measure: The car's row of `measuring` numbers, of the pose before its action.
        race: Its race state, shape (RACE_SIZE,); changed.
    """
    progress = count_progress(measure[PROJECTION] / length_m, race[START_FRACTION], race[PROGRESS])
    moved = sqrt((measure[NOSE_X] - race[LAST_X]) ** 2 + (measure[NOSE_Y] - race[LAST_Y]) ** 2)
    race[STILL_STEPS] = race[STILL_STEPS] + 1.0 if moved <= STILL_M else 0.0
    race[BACKWARD_STEPS] = race[BACKWARD_STEPS] + 1.0 if progress < race[PROGRESS] else 0.0
    race[PROGRESS], race[LAST_X], race[LAST_Y] = progress, measure[NOSE_X], measure[NOSE_Y]
    if measure[CONTACT] == HIT_FROM_BEHIND:
        return _IN_PROGRESS
    if progress >= 100.0:
        return _LAP_COMPLETE
    if measure[CONTACT] == CRASH:
        return _CRASHED
    if measure[WHEELS_ON_TRACK] == 0.0:
        return _OFF_TRACK
    if race[STILL_STEPS] >= PATIENCE_STEPS:
        return _IMMOBILIZED
    if race[BACKWARD_STEPS] >= PATIENCE_STEPS:
        return _REVERSED
    return _IN_PROGRESS
