"""Measure the front camera: frames per second on one core, and how far its frames are from the reference renderer's.

Prints one JSON line. Needs the test tools (Pillow, SciPy) for the reference.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from measure import emit, median

from drctl.simulation.sensors.camera import FrontCamera
from drctl.simulation.track.library import load_track

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.track.track import Track

REFERENCE = Path(__file__).parents[2] / "tests" / "simulation" / "reference_renderer.py"
POSES = 50
CARS = 64
FLOOR_GREY_DIFFERENCE = 1.5


def load_reference() -> Any:
    """Return the module of the tests' reference renderer."""
    spec = importlib.util.spec_from_file_location("reference_renderer", REFERENCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure_speed(camera: FrontCamera, poses: NDArray[np.float64], seconds: float) -> list[float]:
    """Return frames per second in rounds of a tenth of a second."""
    frames = np.zeros((len(poses), 120, 160), np.uint8)
    world, shade = np.zeros(len(poses), np.int32), np.ones(len(poses), np.float32)
    camera.render(poses, world, shade, frames)
    rates = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start, rounds = time.perf_counter(), 0
        while time.perf_counter() - start < 0.1:
            camera.render(poses, world, shade, frames)
            rounds += 1
        rates.append(rounds * len(poses) / (time.perf_counter() - start))
    return rates


def measure_difference(reference: Any, track: Track, camera: FrontCamera) -> NDArray[np.float64]:
    """Return the mean grey difference to the reference renderer in each of `POSES` poses."""
    poses = reference.drawn_poses(track, POSES, seed=1)
    frames = np.zeros((POSES, 120, 160), np.uint8)
    camera.render(poses, np.zeros(POSES, np.int32), np.ones(POSES, np.float32), frames)
    renderer = reference.ReferenceRenderer(track)
    expected = np.stack([renderer.frame(pose) for pose in poses])
    return np.asarray(np.abs(frames.astype(int) - expected).mean(axis=(1, 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--track", default="reinvent_base")
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    track = load_track(options.track)
    camera = FrontCamera([track])
    reference = load_reference()
    rates = measure_speed(camera, reference.drawn_poses(track, CARS, seed=2), options.seconds)
    difference = measure_difference(reference, track, camera)
    emit(
        "camera",
        numba=numba.__version__,
        track=options.track,
        cars=CARS,
        frames_per_s_core={"median": round(median(rates)), "best": round(max(rates))},
        frame_us=round(1e6 / median(rates), 1),
        camera_bytes=camera.memory_bytes,
        poses=POSES,
        grey_difference={"mean": round(float(difference.mean()), 3), "worst_pose": round(float(difference.max()), 3)},
        grey_difference_floor=FLOOR_GREY_DIFFERENCE,
        passed=bool(difference.mean() <= FLOOR_GREY_DIFFERENCE),
    )


if __name__ == "__main__":
    main()
