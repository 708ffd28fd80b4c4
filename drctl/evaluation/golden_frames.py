"""Frames that a model is tried on: the same every time, for all models with the same sensors and kind of actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.evaluation import centre_line_reward
from drctl.formats.model_metadata import parse_model_metadata
from drctl.formats.observation import PICTURE_BYTES, ObservationForm
from drctl.simulation.environment import BatchEnvironment
from drctl.simulation.environment_spec import EnvironmentSpec, WorldSpec
from drctl.simulation.episode import EpisodeStart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.formats.model_metadata import ModelMetadata

TRACK: Final = "reinvent_base"
CARS: Final = 8
STEPS: Final = 16
_EVERY: Final = 4
"""A picture differs little from the next one; a quarter of them tells as much."""


def golden_frames(metadata_text: str) -> NDArray[np.uint8]:
    """Return what cars sense that drive from places all around a track, and after it pictures of no track at all.

    Args:
        metadata_text: The model's ``model_metadata.json``; the cars have its sensors and take its actions in turn.

    Returns:
        Shape (N, *form.shape), uint8: frames of the drive, then black, white and noise.
    """
    metadata = parse_model_metadata(metadata_text, "model_metadata.json")
    spec = EnvironmentSpec(
        worlds=(WorldSpec(TRACK),),
        metadata=metadata_text,
        physics="ros2",
        reward_source=centre_line_reward.SOURCE,
        reward_file=centre_line_reward.FILE_NAME,
    )
    environment = BatchEnvironment(spec, CARS)
    for car in range(CARS):
        environment.begin(car, EpisodeStart("evaluation", 0, car, 0, car / CARS, max_steps=STEPS + 1))
    running, seen = np.arange(CARS), []
    for step in range(STEPS):
        if step % _EVERY == 0:
            seen.append(environment.frames[running].copy())
        result = environment.step(running, _actions(metadata, running, step))
        running = running[~(result.terminated | result.truncated)]
    frames = np.concatenate(seen)
    return np.concatenate([frames, _without_a_track(frames[0], ObservationForm.of(metadata))])


def _actions(metadata: ModelMetadata, cars: NDArray[np.int64], step: int) -> NDArray[Any]:
    """Let every car take the actions in turn, neighbours different ones."""
    turn = cars + step // _EVERY
    if metadata.num_actions is not None:
        return np.asarray(turn % metadata.num_actions, np.int64)
    return np.column_stack([turn % 3 - 1.0, np.zeros(len(cars))]).astype(np.float32)


def _without_a_track(frame: NDArray[np.uint8], form: ObservationForm) -> NDArray[np.uint8]:
    """Return copies of a frame whose pictures are black, white and noise; its lidar stays."""
    copies = np.repeat(frame.reshape(1, -1), 3, axis=0)
    size = form.pictures * PICTURE_BYTES
    copies[0, :size], copies[1, :size] = 0, 255
    copies[2, :size] = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    return copies.reshape(3, *form.shape)
