"""Many cars at once: the environment that workers and the Gymnasium environments drive."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.model_metadata import parse_model_metadata
from drctl.formats.observation import ObservationForm
from drctl.simulation.actions import ActionTable
from drctl.simulation.environment_spec import EnvironmentSpec, WorldSpec
from drctl.simulation.episode_log import EpisodeLog
from drctl.simulation.race.measuring import MEASURE_SIZE, measure_car
from drctl.simulation.race.packed_tracks import pack_tracks
from drctl.simulation.race.resets import resume_race
from drctl.simulation.race.rules import MAX_STEPS, PROGRESS, RACE_SIZE, TOUCHED, begin_race
from drctl.simulation.race.step_time import draw_step_time
from drctl.simulation.race.traffic import Traffic
from drctl.simulation.random import EVALUATION_OFFSET
from drctl.simulation.reward.function import RewardFunction
from drctl.simulation.reward.judging import CarRewards
from drctl.simulation.sensors.camera import FrontCamera
from drctl.simulation.sensors.car_sensors import CarSensors
from drctl.simulation.stepping import LOG_SIZE, log_cars, measure_cars, move_cars
from drctl.simulation.variety import Variety
from drctl.simulation.vehicle.dynamics import STATE_SIZE, STATE_X, STATE_Y, STATE_YAW
from drctl.simulation.vehicle.physics import PHYSICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.episode import EpisodeRecord, EpisodeStart
    from drctl.simulation.race.traffic import Rival
    from drctl.simulation.track.track import Track

__all__ = ["BatchEnvironment", "EnvironmentSpec", "StepResult", "WorldSpec"]

_IN_PROGRESS: Final = EpisodeStatus.IN_PROGRESS.index
_PREPARE: Final = EpisodeStatus.PREPARE.index
_PAUSE: Final = EpisodeStatus.PAUSE.index


@dataclass(frozen=True)
class StepResult:
    """What one step gave the cars that acted.

    Attributes:
        rewards: Shape (k,), float32.
        terminated: A rule of the race ended the episode, shape (k,).
        truncated: The episode was cut off at its greatest number of steps, shape (k,).
    """

    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]


@dataclass
class _Car:
    """What Python knows of a car: its log and how its episode stands."""

    log: EpisodeLog
    max_steps: int = 0
    status: EpisodeStatus = EpisodeStatus.PARK
    is_running: bool = False


class BatchEnvironment:
    """Cars that drive independently of each other, each in an episode of its own.

    A step follows the original (contract 5.2): rules and reward look at the pose before the action acts, with the
    action's own angle and speed; then the car drives for one step, and the frame shows where it has come to. What
    happens in an episode depends on its `EpisodeStart`, its actions and the spec alone, not on other cars.

    Args:
        spec: What is the same for all episodes.
        num_cars: Cars of the batch, at least 1.
        on_reward_call: Called before each call of the reward function.
        reward: Used instead of the spec's source, for rewards that are functions of this process.

    Raises:
        FormatError: The metadata does not follow its format.
        RewardFailedError: The reward function is not Python.
        TrackError: A world does not exist.
        ValueError: There are no worlds or no cars, or the physics is unknown.

    Attributes:
        num_cars: Cars of the batch.
        observation: How what a car senses is laid out.
        frames: What each car senses, shape (num_cars, *observation.shape), uint8; overwritten by later steps.
        traffic: What else is on the tracks.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        num_cars: int,
        on_reward_call: Callable[[], None] | None = None,
        reward: RewardFunction | None = None,
    ) -> None:
        if num_cars < 1 or not spec.worlds:
            raise ValueError(f"an environment needs cars and worlds, got {num_cars} and {len(spec.worlds)}")
        if spec.physics not in PHYSICS:
            raise ValueError(f"physics must be one of {', '.join(PHYSICS)}, got {spec.physics!r}")
        self.num_cars = num_cars
        metadata = parse_model_metadata(spec.metadata, "model_metadata.json")
        self._actions = ActionTable(metadata)
        reward = reward or RewardFunction(spec.reward_source, spec.reward_file)
        self._seed, self._has_jitter = spec.seed, spec.has_step_jitter
        # Track 2w is world w in its own direction, 2w + 1 the same world reversed.
        worlds = [world.load() for world in spec.worlds]
        self._tracks = [track for world in worlds for track in (world, world.reversed_direction())]
        self._packed = pack_tracks(self._tracks)
        self.traffic = Traffic([world.race for world in spec.worlds], self._tracks, self._packed, num_cars)
        self._rewards = CarRewards(reward, self._tracks, on_reward_call)
        self._variety = Variety(num_cars, PHYSICS[spec.physics], FrontCamera(worlds), spec.worlds)
        self.observation = ObservationForm.of(metadata)
        self._sensors = CarSensors(self.observation, worlds, num_cars)
        self.frames = self._sensors.frames
        self._cars = [_Car(EpisodeLog()) for _ in range(num_cars)]
        self._states = np.zeros((num_cars, STATE_SIZE))
        self._races = np.zeros((num_cars, RACE_SIZE))
        self._track_of = np.zeros(num_cars, np.int64)
        self._times_s = np.zeros(num_cars)
        self._steps = np.zeros(num_cars, np.int64)
        self._keys = np.zeros((num_cars, 3), np.int64)

    def reseed(self, seed: int) -> None:
        """Use another seed from the next episode on."""
        self._seed = seed

    def begin(self, car: int, start: EpisodeStart) -> None:
        """Place a car at the start of an episode and play its prepare step; `frames` then holds its first observation.

        An episode that the car was still in is forgotten.

        Args:
            car: Row of the batch.
            start: The episode.

        Raises:
            RewardFailedError: The reward function's file raises or defines no function.
            ValueError: The start names no world, or no place on the track.
        """
        if not 0 <= start.world < len(self._tracks) // 2:
            raise ValueError(f"world must be 0 to {len(self._tracks) // 2 - 1}, got {start.world}")
        if not 0.0 <= start.start_fraction < 1.0:
            raise ValueError(f"start_fraction must be in [0, 1), got {start.start_fraction}")
        index = 2 * start.world + int(start.is_reversed)
        track = self._tracks[index]
        own = self._cars[car]
        self._rewards.begin(car, index)
        own.status, own.is_running = EpisodeStatus.PREPARE, True
        own.max_steps = min(start.max_steps or MAX_STEPS, MAX_STEPS - 1)
        self._track_of[car] = index
        offset = EVALUATION_OFFSET if start.phase == "evaluation" else 0
        self._keys[car] = offset, start.iteration, start.episode
        self.traffic.place(car, index, self._seed, self._keys[car])
        self._put(car, self.traffic.start_pose(car, index, start.start_fraction, start.lane))
        self._variety.begin(car, start.world, self._seed, self._keys[car])
        self._variety.paint_objects(car, start.world, self.traffic.of(car), self._seed, self._keys[car])
        self._prepare(car, start.start_fraction, track.length_m)

    def _prepare(self, car: int, start_fraction: float, length_m: float) -> None:
        cars, measures = np.array([car]), np.empty((1, MEASURE_SIZE))
        measure_car(self._packed, int(self._track_of[car]), self._states[car], measures[0])
        begin_race(start_fraction, length_m, measures[0], self._races[car])
        self._steps[car] = 1
        self._times_s[car] = draw_step_time(self._seed, self._keys[car], 1, self._has_jitter)
        self._cars[car].log.clear(length_m)
        self._write_log(
            cars, measures, self._races[cars, PROGRESS], np.array([_PREPARE]), np.zeros((1, 2)), None, np.zeros(1)
        )
        self._sense(cars)

    def step(self, cars: NDArray[Any], actions: NDArray[Any]) -> StepResult:
        """Let some cars act.

        Args:
            cars: Different rows of the batch whose episodes are under way, shape (k,), whole numbers.
            actions: Numbers of actions, shape (k,), or steering and speed in [-1, 1], shape (k, 2).

        Raises:
            RewardFailedError: The reward function failed; the environment must not be used any further.
            ValueError: An action means nothing, or a car's episode is over.
        """
        cars = np.ascontiguousarray(cars, np.int64)
        actions = np.asarray(actions)
        commands = self._actions.commands(actions)
        if len(commands) != len(cars) or not all(self._cars[car].is_running for car in cars):
            raise ValueError(f"{len(commands)} actions for the cars {cars.tolist()}, of which some may not be driving")
        measures, progress = np.empty((len(cars), MEASURE_SIZE)), np.empty(len(cars))
        statuses = np.empty(len(cars), np.int64)
        self._steps[cars] += 1
        measure_cars(
            self._packed,
            self._track_of,
            self._states,
            self._races,
            self.traffic.batch,
            cars,
            measures,
            progress,
            statuses,
        )
        rewards = self._rewards.judge(
            cars, measures, progress, self._steps[cars], commands, self._times_s[cars], self.traffic.of
        )
        move_cars(
            self._variety.physics,
            self._states,
            self._times_s,
            self._steps,
            self._keys,
            self._seed,
            self._has_jitter,
            self._packed,
            self.traffic.lanes,
            self._track_of,
            self.traffic.batch,
            cars,
            commands,
        )
        self._write_log(cars, measures, progress, statuses, commands, actions, rewards)
        self._sense(cars)
        return self._end_episodes(cars, statuses, rewards)

    def begin_lap(self, car: int) -> None:
        """Let a car that has just completed its lap drive on: progress counts from 0 again, clock and log go on.

        Raises:
            ValueError: The car's last step completed no lap.
        """
        own = self._cars[car]
        if own.status is not EpisodeStatus.LAP_COMPLETE:
            raise ValueError(f"car {car} has completed no lap, it is {own.status.value}")
        self._races[car, PROGRESS] = 0.0
        own.max_steps, own.is_running = int(self._steps[car]) + MAX_STEPS - 1, True

    def put_back(self, car: int, pose: tuple[float, float, float], progress_percent: float) -> None:
        """Let a car whose episode a mishap ended go on elsewhere, at rest; `frames` shows what it sees there.

        Args:
            car: Row of the batch.
            pose: base_link's x, y in metres and yaw in radians.
            progress_percent: Progress that the place stands for.

        Raises:
            ValueError: The car's episode is under way.
        """
        own = self._cars[car]
        if own.is_running:
            raise ValueError(f"car {car} is still driving")
        track = int(self._track_of[car])
        self._put(car, pose)
        self._races[car, PROGRESS] = progress_percent
        measure = np.empty(MEASURE_SIZE)
        measure_car(self._packed, track, self._states[car], measure)
        resume_race(self._tracks[track].length_m, measure, self._races[car])
        own.is_running = True
        self._sense(np.array([car]))

    def _put(self, car: int, pose: tuple[float, float, float]) -> None:
        """Let a car stand somewhere, at rest."""
        self._states[car] = 0.0
        self._states[car, [STATE_X, STATE_Y, STATE_YAW]] = pose
        self._sensors.forget(car)

    def wait(self, car: int, time_s: float) -> None:
        """Let time pass for a car that stands at rest; the log gets a row with the status ``PAUSE``.

        What else is on the track drives on, and `frames` shows it where it has come to; lidars go on scanning.
        """
        cars, measures = np.array([car]), np.empty((1, MEASURE_SIZE))
        measure_car(self._packed, int(self._track_of[car]), self._states[car], measures[0])
        self._steps[car] += 1
        self._times_s[car] += time_s
        self.traffic.drive(car, int(self._track_of[car]), self._seed, self._keys[car], time_s)
        progress, nothing = self._races[cars, PROGRESS], np.zeros(1)
        self._write_log(cars, measures, progress, np.array([_PAUSE]), np.zeros((1, 2)), None, nothing)
        if self._sensors.has_lidar or not self.traffic.is_empty:
            self._sense(cars)

    def show_rival(self, car: int, rival: Rival | None) -> None:
        """Put another racer before a car, or take it away; `frames` shows it at once."""
        self.traffic.place_rival(car, int(self._track_of[car]), rival)
        self._variety.light_rival(car, self.traffic.of(car))
        self._sense(np.array([car]))

    def _end_episodes(
        self, cars: NDArray[np.int64], statuses: NDArray[np.int64], rewards: NDArray[np.float64]
    ) -> StepResult:
        terminated = statuses != _IN_PROGRESS
        truncated = np.zeros(len(cars), np.bool_)
        for entry, (car, status) in enumerate(zip(cars.tolist(), statuses.tolist(), strict=True)):
            own = self._cars[car]
            own.status = EpisodeStatus.from_index(status)
            # The prepare step counts among `_steps` and has no reward.
            truncated[entry] = not terminated[entry] and self._steps[car] > own.max_steps
            own.is_running = not (terminated[entry] or truncated[entry])
        return StepResult(rewards.astype(np.float32), terminated, truncated)

    def _write_log(
        self,
        cars: NDArray[np.int64],
        measures: NDArray[np.float64],
        progress: NDArray[np.float64],
        statuses: NDArray[np.int64],
        commands: NDArray[np.float64],
        actions: NDArray[Any] | None,
        rewards: NDArray[np.float64],
    ) -> None:
        if actions is None or self._actions.is_continuous:
            numbers = np.full(len(cars), self._actions.default_action)
        else:
            numbers = actions.astype(np.int64)
        log = np.empty((len(cars), LOG_SIZE))
        log_cars(measures, progress, statuses, commands, numbers, rewards, self._times_s, time.time(), cars, log)
        for car, row in zip(cars.tolist(), log, strict=True):
            self._cars[car].log.append(row)

    def _sense(self, cars: NDArray[np.int64]) -> None:
        """Bring the frames of some cars up to date."""
        poses, worlds = self.poses(cars), (self._track_of[cars] // 2).astype(np.int32)
        objects = self.traffic.seen_by(cars)

        def render(pose: NDArray[np.float64], out: NDArray[np.uint8]) -> None:
            self._variety.render(cars, pose, worlds, out, objects)

        self._sensors.look(cars, poses, render)
        if self._sensors.has_lidar:
            places = np.column_stack([poses, self._times_s[cars]])
            self._sensors.scan(cars, worlds, places, self.traffic.batch, self._seed, self._keys)

    def poses(self, cars: NDArray[Any]) -> NDArray[np.float64]:
        """Return base_link's x, y in metres and yaw in radians of some cars, shape (k, 3)."""
        return np.ascontiguousarray(self._states[np.asarray(cars)][:, [STATE_X, STATE_Y, STATE_YAW]])

    def progress_percent(self, cars: NDArray[Any]) -> NDArray[np.float64]:
        """Return the progress of some cars at their last judged pose, shape (k,)."""
        return np.asarray(self._races[np.asarray(cars), PROGRESS], np.float64)

    def record_so_far(self, car: int) -> EpisodeRecord:
        """Return the episode of a car as far as it has come; `begin` came before."""
        return self._cars[car].log.record()

    def time_s(self, car: int) -> float:
        """Return the simulated seconds since a car's reset."""
        return float(self._times_s[car])

    def track(self, car: int) -> Track:
        """Return the track that a car is on, in its driving direction."""
        return self._tracks[int(self._track_of[car])]

    def track_number(self, car: int) -> int:
        """Return the number of a car's track among those that `traffic` knows."""
        return int(self._track_of[car])

    def touched(self, car: int) -> int | None:
        """Return which of its objects a car touched at its last judged pose, or None."""
        number = int(self._races[car, TOUCHED])
        return None if number < 0 else number

    def next_step_s(self, car: int) -> float:
        """Return how long a car's next step will last."""
        return float(draw_step_time(self._seed, self._keys[car], int(self._steps[car]) + 1, self._has_jitter))

    def status(self, car: int) -> EpisodeStatus:
        """Return how a car's last step stood; ``PREPARE`` right after `begin`, ``PARK`` before the first one."""
        return self._cars[car].status

    def record(self, car: int) -> EpisodeRecord:
        """Return the finished episode of a car.

        Raises:
            ValueError: Its episode is still under way, or it never had one.
        """
        own = self._cars[car]
        if own.is_running or own.status is EpisodeStatus.PARK:
            raise ValueError(f"car {car} has no finished episode")
        return own.log.record()
