"""Compile every kernel into numba's cache: ``python -m drctl.simulation.compile``.

The setup script and the images run it once, so that the first training need not wait half a minute. numba notices a
changed kernel but not a changed function that the kernel calls in another file, so what was compiled from other sources
than these is thrown away first.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from drctl.formats.race_params import RaceParams
from drctl.simulation.environment import BatchEnvironment, EnvironmentSpec, WorldSpec
from drctl.simulation.episode import EpisodeStart
from drctl.simulation.random_kernel import keyed_uniform
from drctl.simulation.sensors.camera_geometry import IMAGE_HEIGHT, IMAGE_WIDTH
from drctl.simulation.sensors.camera_tilt import tilt_frame
from drctl.simulation.track.library import load_track
from drctl.simulation.views.camera import top_camera
from drctl.simulation.views.pixels import dim_rows, lay_mask, to_yuv420
from drctl.simulation.views.scene import SceneRenderer
from drctl.simulation.views.solids import CAR_COLORS, Solid

_REWARD = "def reward_function(params):\n    return 1.0\n"


SOURCES = Path(__file__).resolve().parent
STAMP = SOURCES / "__pycache__" / "kernels.sha256"


def discard_stale_kernels() -> int:
    """Delete the cached kernels beside the sources if they were compiled from other sources; return how many went.

    A cache elsewhere (``NUMBA_CACHE_DIR``, as in the images) belongs to an installation whose files are never edited.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return 0
    digest = hashlib.sha256()
    for source in sorted(SOURCES.rglob("*.py")):
        digest.update(source.read_bytes())
    current = digest.hexdigest()
    if STAMP.exists() and STAMP.read_text() == current:
        return 0
    stale = [*SOURCES.rglob("__pycache__/*.nbi"), *SOURCES.rglob("__pycache__/*.nbc")]
    for file in stale:
        file.unlink(missing_ok=True)
    STAMP.parent.mkdir(exist_ok=True)
    STAMP.write_text(current)
    return len(stale)


def compile_kernels() -> float:
    """Drive two cars a step and return the seconds that took; from then on every process finds the kernels cached."""
    started = time.monotonic()
    # Frames of a single camera and the parts of frames of several sensors lie differently in memory.
    for sensors in (["FRONT_FACING_CAMERA"], ["STEREO_CAMERAS", "LIDAR"]):
        _drive(sensors)
    tilt_frame(np.zeros((IMAGE_HEIGHT, IMAGE_WIDTH), np.uint8), 0.0, 0.0)
    keyed_uniform(0, 0, 0, 0, 0, 0)
    _compile_views()
    return time.monotonic() - started


def _drive(sensors: list[str]) -> None:
    metadata = json.dumps(
        {
            "action_space": [{"steering_angle": 0, "speed": 0.6}],
            "sensor": sensors,
            "neural_network": "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
            "version": "5",
        }
    )
    race = RaceParams("HEAD_TO_BOT", bots=2, changes_lanes=True)
    spec = EnvironmentSpec(
        worlds=(WorldSpec("reinvent_base", race=race),),
        metadata=metadata,
        physics="ros2",
        reward_source=_REWARD,
        reward_file="reward_function.py",
        seed=0,
    )
    environment = BatchEnvironment(spec, 2)
    for car in range(2):
        environment.begin(car, EpisodeStart("training", 0, car))
    for cars in (np.arange(2), np.arange(1)):
        environment.step(cars, np.zeros(len(cars), np.int64))


def _compile_views() -> None:
    """Draw a picture for people the way the videos do."""
    track, pose = load_track("reinvent_base"), (1.0, 1.0, 0.0)
    renderer, car = SceneRenderer(track), Solid("car", pose, CAR_COLORS["Red"])
    renderer.render_onboard(pose, [car])
    picture = renderer.render(top_camera(track), [car])
    dim_rows(picture, np.ones(len(picture), np.float32))
    lay_mask(picture, np.zeros((2, 2), np.uint8), (0, 0, 0), 0, 0)
    to_yuv420(picture, np.empty((len(picture) * 3 // 2, picture.shape[1]), np.uint8))


if __name__ == "__main__":
    discard_stale_kernels()
    sys.stdout.write(f"Kernels are ready ({compile_kernels():.1f} s)\n")
