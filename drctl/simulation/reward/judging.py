"""The rewards of a batch of cars: each car's episode has the user's function to itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from drctl.simulation.reward.params import ParamsBuilder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.reward.function import EpisodeReward, RewardFunction
    from drctl.simulation.track.track import Track


class CarRewards:
    """What judges the steps of a batch of cars.

    Args:
        reward: The user's file.
        tracks: By the number that `begin` is given, each in its driving direction.
        on_call: Called before each call of the user's function.
    """

    def __init__(
        self, reward: RewardFunction, tracks: Sequence[Track], on_call: Callable[[], None] | None = None
    ) -> None:
        self._reward = reward
        self._params = [ParamsBuilder(track) for track in tracks]
        self._on_call = on_call
        self._episodes: dict[int, tuple[ParamsBuilder, EpisodeReward]] = {}

    def begin(self, car: int, track: int) -> None:
        """Execute the user's file for the next episode of a car, on the track of that number.

        Raises:
            RewardFailedError: The file raises or defines no function.
        """
        self._episodes[car] = self._params[track], self._reward.for_episode()

    def judge(
        self,
        cars: NDArray[np.int64],
        measures: NDArray[np.float64],
        progress: NDArray[np.float64],
        steps: NDArray[np.int64],
        commands: NDArray[np.float64],
        times_s: NDArray[np.float64],
        objects_of: Callable[[int], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """Return the rewards of some cars for a step, shape (k,).

        Args:
            cars: Rows of the batch, shape (k,).
            measures: `race.measuring` rows of their poses before the step, shape (k, MEASURE_SIZE).
            progress: Percent, shape (k,).
            steps: Numbers of the step, shape (k,).
            commands: Steering in degrees and speed in m/s, shape (k, 2).
            times_s: Simulated seconds since each car's reset, shape (k,).
            objects_of: Returns the `race.objects` rows of a car.

        Raises:
            RewardFailedError: The user's function failed.
        """
        rewards = []
        facts = zip(
            cars.tolist(),
            measures.tolist(),
            progress.tolist(),
            steps.tolist(),
            commands.tolist(),
            times_s.tolist(),
            strict=True,
        )
        with self._reward.watchdog:
            for car, measure, percent, step, (steering_deg, speed_m_s), time_s in facts:
                builder, reward = self._episodes[car]
                params = builder.build(measure, percent, float(step), speed_m_s, steering_deg, time_s, objects_of(car))
                if self._on_call is not None:
                    self._on_call()
                rewards.append(reward(params, car))
        return np.array(rewards, np.float64)
