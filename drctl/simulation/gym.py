"""The simulator as Gymnasium environments: ``drctl/DeepRacer-v0``, one car or many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from drctl.formats.model_metadata import DiscreteActionSpace, ModelMetadata, parse_model_metadata
from drctl.formats.sensor import LIDAR, LIDAR_CLIP_M, LIDAR_NEAREST_M
from drctl.resources import resource_folder
from drctl.simulation.environment import BatchEnvironment
from drctl.simulation.environment_spec import EnvironmentSpec, WorldSpec
from drctl.simulation.episode import EpisodeStart
from drctl.simulation.registration import register
from drctl.simulation.reward.function import RewardFunction
from drctl.simulation.track.library import load_track
from drctl.simulation.vehicle.physics import resolve_physics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.formats.observation import ObservationForm

Reward = Callable[[dict[str, Any]], float] | str | Path | None
"""A function of the parameters of contract 5.1, the path of a reward file, or None for the shipped one."""

_FRAME_RATE_HZ: Final = 15  # simulator-facts 1.4
_ADVANCE_FRACTION: Final = 0.05  # the original's round robin (contract 7)


class _Setup:
    """What both environments make of their arguments."""

    def __init__(
        self,
        num_cars: int,
        track: str,
        tracks_folder: str | Path | None,
        reward_function: Reward,
        model_metadata: str | Path | None,
        physics: str,
        has_step_jitter: bool,
    ) -> None:
        shipped = resource_folder("defaults") / "custom_files"
        metadata_path = Path(model_metadata) if model_metadata else shipped / "model_metadata.json"
        text = metadata_path.read_text("utf-8")
        self.metadata = parse_model_metadata(text, str(metadata_path))
        source, file_name, function = _read_reward(reward_function, shipped / "reward_function.py")
        loaded = load_track(track, Path(tracks_folder) if tracks_folder else None)
        rows = tuple(map(tuple, loaded.waypoints_m.tolist()))
        spec = EnvironmentSpec(
            worlds=(WorldSpec(track, rows if tracks_folder else None),),
            metadata=text,
            physics=resolve_physics(physics, self.metadata.version),
            reward_source=source,
            reward_file=file_name,
            has_step_jitter=has_step_jitter,
        )
        self.batch = BatchEnvironment(spec, num_cars, reward=function)
        self.observation_space = _observation_space(self.batch.observation)
        self.action_space = _action_space(self.metadata)


class DeepRacerEnv(gymnasium.Env[Any, Any]):  # type: ignore[misc]
    """A small car learns to drive laps of a track by looking through its front camera.

    ## Description

    The car of AWS DeepRacer on one of its tracks, alone (time trial). It chooses a steering angle and a speed 15 times
    per second; what the motors and wheels make of it is measured from the original simulator, not ideal.

    ## Action space

    From ``model_metadata.json``. The shipped file gives ``Discrete(5)``:

    | action | steering, left positive | speed |
    |---|---|---|
    | 0 | -30 degrees | 0.6 m/s |
    | 1 | -15 degrees | 0.6 m/s |
    | 2 | 0 degrees | 0.6 m/s |
    | 3 | 15 degrees | 0.6 m/s |
    | 4 | 30 degrees | 0.6 m/s |

    A continuous action space gives ``Box(-1, 1, (2,), float32)``: steering, then speed, each scaled to its bounds.
    Steering beyond 30 degrees and speeds outside 0.1 to 4 m/s are driven as these limits.

    ## Observation space

    ``Box(0, 255, (120, 160, 1), uint8)``: the grey picture of the camera after the action has acted for one step.

    | axis | meaning |
    |---|---|
    | 0 | rows from the top; the horizon is near row 30 |
    | 1 | columns from the left, 64.7 degrees in all |
    | 2 | grey; with ``STEREO_CAMERAS`` the left and the right eye |

    With a lidar in ``model_metadata.json`` it is a ``Dict`` of both sensors by their names. The lidar's 64 rays begin
    30 degrees left of straight ahead and go round the back to 30 degrees right of it.

    | sensor | space | meaning |
    |---|---|---|
    | ``LIDAR`` | ``Box(0.15, 1, (64,), float32)`` | range of each ray in metres |
    | ``SECTOR_LIDAR`` | ``Box(0, 1, (8,), float32)`` | 1 where an eighth of the rays meets something within 0.5 m |
    | ``DISCRETIZED_SECTOR_LIDAR`` | ``Box(0, 1, (64,), float32)`` | 8 bins for each of 8 sectors, 1 in the nearest |

    ``stack_size`` is no part of it: `gymnasium.wrappers.FrameStackObservation` stacks.

    ## Reward

    What the reward function returns for the pose before the action and the chosen angle and speed. The shipped one pays
    1 near the centre line, 0.5 and 0.1 farther out, and 0.001 beyond the border.

    ## Starting state

    The car stands on the centre line. Each episode begins a 20th of a lap after the one before it;
    ``reset(options={"start_fraction": 0.25, "is_reversed": True})`` chooses the place and the direction.

    ## Episode end

    Terminated: the lap is complete, all four wheels are off the track, 15 steps without movement or 15 steps backwards;
    judged on the pose before the action, so it shows one step late. Truncated: after ``max_episode_steps``.

    ## Info

    ``progress`` (percent of the lap), ``status`` (the word of the trace files) and ``pose`` (x, y in metres and yaw in
    radians of the car's middle).

    ## Arguments

    | argument | meaning | default |
    |---|---|---|
    | ``track`` | a name of ``drctl tracks list`` | ``reinvent_base`` |
    | ``tracks_folder`` | folder with imported tracks | none |
    | ``reward_function`` | a function of the parameters, or the path of a file that defines one | the shipped file |
    | ``model_metadata`` | path of the file with the action space | the shipped file |
    | ``physics`` | ``auto``, ``effort``, ``kinematics`` or ``ros2`` | ``auto``: by the metadata's version |
    | ``max_episode_steps`` | greatest number of steps of an episode | 100,000 |
    | ``has_step_jitter`` | steps differ in length as in the original | true |
    | ``render_mode`` | ``rgb_array`` gives the observation in three equal colours | none |

    ```python
    import gymnasium
    import drctl.simulation.gym  # registers the id
    env = gymnasium.make("drctl/DeepRacer-v0", track="reInvent2019_track")
    ```

    ``gymnasium.make("drctl.simulation.gym:drctl/DeepRacer-v0")`` does both.

    ## Version history

    * v0: first version.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": _FRAME_RATE_HZ}

    def __init__(
        self,
        track: str = "reinvent_base",
        tracks_folder: str | Path | None = None,
        reward_function: Reward = None,
        model_metadata: str | Path | None = None,
        physics: str = "auto",
        max_episode_steps: int | None = None,
        has_step_jitter: bool = True,
        render_mode: str | None = None,
    ) -> None:
        _check_render_mode(render_mode)
        setup = _Setup(1, track, tracks_folder, reward_function, model_metadata, physics, has_step_jitter)
        self.observation_space, self.action_space = setup.observation_space, setup.action_space
        self.render_mode = render_mode
        self._batch = setup.batch
        self._max_steps = max_episode_steps
        self._episode = 0
        self._is_seeded = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Begins the sequence of episodes again, with this seed.
            options: ``start_fraction`` in [0, 1) and ``is_reversed``.

        Raises:
            ValueError: An option is unknown or out of range.
        """
        super().reset(seed=seed)
        if seed is not None or not self._is_seeded:
            self._batch.reseed(int(self.np_random.integers(2**31)))
            self._episode, self._is_seeded = 0, True
        self._batch.begin(0, _start(self._episode, self._max_steps, options))
        self._episode += 1
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act once; see the class for what comes back.

        Raises:
            RewardFailedError: The reward function failed.
            ValueError: The action is not in the action space, or the episode is over.
        """
        result = self._batch.step(np.zeros(1, np.int64), np.asarray(action)[None])
        info = self._info()
        return (
            self._observation(),
            float(result.rewards[0]),
            bool(result.terminated[0]),
            bool(result.truncated[0]),
            info,
        )

    def render(self) -> NDArray[np.uint8] | None:
        """Return the newest picture, shape (120, 160, 3), in the mode ``rgb_array``; None otherwise."""
        return _pictures(self._batch)[0] if self.render_mode == "rgb_array" else None

    def _observation(self) -> Any:
        values = _observations(self._batch)
        return {name: value[0] for name, value in values.items()} if isinstance(values, dict) else values[0]

    def _info(self) -> dict[str, Any]:
        cars = np.zeros(1, np.int64)
        return {
            "progress": float(self._batch.progress_percent(cars)[0]),
            "status": self._batch.status(0).value,
            "pose": self._batch.poses(cars)[0],
        }


class DeepRacerVectorEnv(VectorEnv[Any, Any, "NDArray[Any]"]):  # type: ignore[misc]
    """Many cars of `DeepRacerEnv` in one batch, each in an episode of its own.

    Actions, observations, rewards, ends and arguments are those of `DeepRacerEnv`, with a first axis of ``num_envs``.
    Car k of the batch drives the episodes k, k + num_envs, ...; a car whose episode has ended begins its next one in
    the step after (`AutoresetMode.NEXT_STEP`): its action is ignored then and its reward is 0.

    Args:
        num_envs: Cars.
        kwargs: See `DeepRacerEnv`.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": ["rgb_array"],
        "render_fps": _FRAME_RATE_HZ,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        track: str = "reinvent_base",
        tracks_folder: str | Path | None = None,
        reward_function: Reward = None,
        model_metadata: str | Path | None = None,
        physics: str = "auto",
        max_episode_steps: int | None = None,
        has_step_jitter: bool = True,
        render_mode: str | None = None,
    ) -> None:
        _check_render_mode(render_mode)
        setup = _Setup(num_envs, track, tracks_folder, reward_function, model_metadata, physics, has_step_jitter)
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = setup.observation_space, setup.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.render_mode = render_mode
        self._batch = setup.batch
        self._max_steps = max_episode_steps
        self._options: dict[str, Any] | None = None
        self._episodes = np.arange(num_envs)
        self._has_ended = np.zeros(num_envs, np.bool_)
        self._is_seeded = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode with every car.

        Args:
            seed: One for all cars; it begins the sequence of episodes again.
            options: As for `DeepRacerEnv.reset`; they hold until the next reset.

        Raises:
            ValueError: There is a list of seeds, or an option is wrong.
        """
        if isinstance(seed, list):
            raise ValueError("one seed is for all cars; a list of seeds is not supported")
        super().reset(seed=seed)
        if seed is not None or not self._is_seeded:
            self._batch.reseed(int(self.np_random.integers(2**31)))
            self._episodes, self._is_seeded = np.arange(self.num_envs), True
        self._options = options
        self._begin(np.arange(self.num_envs))
        self._has_ended[:] = False
        return _observations(self._batch), self._infos()

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Act once with every car whose episode is under way; the others begin their next episode.

        Raises:
            RewardFailedError: The reward function failed.
            ValueError: An action is not in the action space.
        """
        rewards = np.zeros(self.num_envs, np.float32)
        terminated, truncated = np.zeros(self.num_envs, np.bool_), np.zeros(self.num_envs, np.bool_)
        driving, waiting = np.flatnonzero(~self._has_ended), np.flatnonzero(self._has_ended)
        if len(driving):
            result = self._batch.step(driving, np.asarray(actions)[driving])
            rewards[driving] = result.rewards
            terminated[driving], truncated[driving] = result.terminated, result.truncated
        self._begin(waiting)
        self._has_ended = terminated | truncated
        return _observations(self._batch), rewards, terminated, truncated, self._infos()

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Return the newest picture of each car, shape (120, 160, 3), in the mode ``rgb_array``; None otherwise."""
        return tuple(_pictures(self._batch)) if self.render_mode == "rgb_array" else None

    def _begin(self, cars: NDArray[np.intp]) -> None:
        for car in cars.tolist():
            self._batch.begin(car, _start(int(self._episodes[car]), self._max_steps, self._options))
            self._episodes[car] += self.num_envs

    def _infos(self) -> dict[str, Any]:
        cars, present = np.arange(self.num_envs), np.ones(self.num_envs, np.bool_)
        status = np.array([self._batch.status(car).value for car in range(self.num_envs)], object)
        infos = {"progress": self._batch.progress_percent(cars), "status": status, "pose": self._batch.poses(cars)}
        return infos | {f"_{key}": present.copy() for key in infos}


def _read_reward(reward: Reward, shipped: Path) -> tuple[str, str, RewardFunction | None]:
    """Return source, file name and, for a function of this process, the function."""
    if callable(reward):
        return "", "", RewardFunction.from_callable(reward)
    path = Path(reward) if reward else shipped
    return path.read_text("utf-8"), str(path), None


def _observation_space(form: ObservationForm) -> spaces.Space[Any]:
    pictures = spaces.Box(0, 255, form.inputs[form.camera], np.uint8)
    if form.lidar is None:
        return pictures
    low, high = (LIDAR_NEAREST_M, LIDAR_CLIP_M) if form.lidar == LIDAR else (0.0, 1.0)
    return spaces.Dict({form.camera: pictures, form.lidar: spaces.Box(low, high, form.inputs[form.lidar], np.float32)})


def _observations(batch: BatchEnvironment) -> Any:
    """Return what each car senses as the observation space of many cars has it; nothing in it changes later."""
    form = batch.observation
    values = form.sensor_values(batch.frames)
    return values[form.camera] if form.lidar is None else values


def _pictures(batch: BatchEnvironment) -> list[NDArray[np.uint8]]:
    """Return what each car's camera, or its left eye, sees in three equal colours."""
    return [np.repeat(pictures[0][..., None], 3, axis=2) for pictures in batch.observation.split(batch.frames)[0]]


def _action_space(metadata: ModelMetadata) -> spaces.Space[Any]:
    if isinstance(metadata.action_space, DiscreteActionSpace):
        return spaces.Discrete(len(metadata.action_space))
    return spaces.Box(-1.0, 1.0, (2,), np.float32)


def _start(episode: int, max_steps: int | None, options: dict[str, Any] | None) -> EpisodeStart:
    options = dict(options or {})
    fraction = float(options.pop("start_fraction", (episode * _ADVANCE_FRACTION) % 1.0))
    is_reversed = bool(options.pop("is_reversed", False))
    if options:
        raise ValueError(f"reset options are start_fraction and is_reversed, got {', '.join(map(str, options))}")
    return EpisodeStart("training", 0, episode, 0, fraction, is_reversed, max_steps)


def _check_render_mode(render_mode: str | None) -> None:
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode must be None or 'rgb_array', got {render_mode!r}")


register()
