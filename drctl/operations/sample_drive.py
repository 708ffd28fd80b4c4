"""Drive real laps of a race before it is trained for: what the reward function pays there, and how fast it goes."""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import dataclass
from math import atan2, degrees, hypot, pi
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.formats.model_metadata import ContinuousActionSpace
from drctl.simulation.environment import BatchEnvironment
from drctl.simulation.episode import EpisodeStart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.formats.model_metadata import DiscreteActionSpace, ModelMetadata
    from drctl.simulation.environment import EnvironmentSpec
    from drctl.simulation.track.track import Track

CARS: Final = 10
LOOK_AHEAD_M: Final = 0.7
_WHEELBASE_M: Final = 0.164
_NOMINAL_GAIN: Final = 0.6  # of the path's curvature over the ideal one's (simulator-facts 1.5)


@dataclass(frozen=True)
class SampleDrive:
    """What came of it.

    Attributes:
        steps: Steps of all cars together.
        steps_per_s: How many of them a core makes: dynamics, camera and reward function.
        rewards: Reward of every step.
        lap_steps: Steps that a lap takes at this pace.
    """

    steps: int
    steps_per_s: float
    rewards: NDArray[np.float64]
    lap_steps: float


def drive_along(spec: EnvironmentSpec, world: int, metadata: ModelMetadata, steps: int) -> SampleDrive:
    """Let cars follow the centre line of a race with the actions that they have, from places all around the track.

    What the reward function prints is thrown away.

    Args:
        spec: The run's environment.
        world: Which of its races.
        metadata: With the action space.
        steps: Most steps of each car.

    Raises:
        RewardFailedError: The reward function raises, hangs or returns something else than a finite number.
    """
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        environment = BatchEnvironment(spec, CARS)
        for car in range(CARS):
            start = EpisodeStart("training", 0, car, world, car / CARS, max_steps=steps)
            environment.begin(car, start)
        driver = _Driver(environment.track(0), metadata)
        running, rewards, seconds = np.arange(CARS), [], 0.0
        driven = 0.0
        environment.step(running, driver.choose(environment.poses(running)))  # compiles, reads caches
        while len(running):
            actions = driver.choose(environment.poses(running))
            before = environment.progress_percent(running)
            started = time.perf_counter()
            result = environment.step(running, actions)
            seconds += time.perf_counter() - started
            rewards.append(result.rewards)
            driven += float(np.clip(environment.progress_percent(running) - before, 0.0, None).sum())
            running = running[~(result.terminated | result.truncated)]
    paid = np.concatenate(rewards).astype(np.float64)
    count = len(paid)
    return SampleDrive(count, count / seconds, paid, 100.0 * count / driven if driven > 0.0 else float(steps))


class _Driver:
    """Chooses, among a model's actions, the one that points best at the centre line some way ahead."""

    def __init__(self, track: Track, metadata: ModelMetadata) -> None:
        self._track = track
        self._space = metadata.action_space

    def choose(self, poses: NDArray[np.float64]) -> NDArray[Any]:
        """Return an action per pose, as `BatchEnvironment.step` takes it."""
        wanted = [self._steering_deg(*pose) for pose in poses.tolist()]
        space = self._space
        if isinstance(space, ContinuousActionSpace):
            middle, half = (
                (space.steering_high_deg + space.steering_low_deg) / 2,
                (space.steering_high_deg - space.steering_low_deg) / 2,
            )
            steering = [(angle - middle) / half if half else 0.0 for angle in wanted]
            return np.array([(max(-1.0, min(1.0, one)), -1.0) for one in steering], np.float32)
        return np.array([self._nearest_action(space, angle) for angle in wanted])

    @staticmethod
    def _nearest_action(space: DiscreteActionSpace, angle: float) -> int:
        """Return the action nearest to an angle, of several the slowest."""
        return min(range(len(space)), key=lambda one: (abs(space.steering_deg[one] - angle), space.speed_m_s[one]))

    def _steering_deg(self, x: float, y: float, yaw: float) -> float:
        centre, track = self._track.centre_m, self._track
        here = int(np.argmin(np.hypot(centre[:, 0] - x, centre[:, 1] - y)))
        along = float(track.arc_m[here]) + LOOK_AHEAD_M
        if track.is_closed:
            along %= track.length_m
        there = int(np.argmin(np.abs(track.arc_m - along)))
        ahead_x, ahead_y = centre[there, 0] - x, centre[there, 1] - y
        aside = (atan2(ahead_y, ahead_x) - yaw + pi) % (2 * pi) - pi
        distance = max(hypot(ahead_x, ahead_y), 0.1)
        # Pure pursuit: the circle through here and there has the curvature 2 sin(angle) / distance.
        bend = 2.0 * np.sin(aside) / distance
        return degrees(atan2(bend * _WHEELBASE_M, _NOMINAL_GAIN))
