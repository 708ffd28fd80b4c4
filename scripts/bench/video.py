"""Measure the videos of a race: how many times faster than real time they are drawn and encoded together.

Prints one JSON line. The race is a made-up lap along the centre line; kernels are compiled before the clock starts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from measure import emit, median, note

from drctl.evaluation.recording import LapRecording
from drctl.evaluation.video import END_S, record_videos
from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.environment_spec import WorldSpec
from drctl.simulation.track.library import load_track
from drctl.simulation.track.track import Track

FLOOR_TIMES_REAL_TIME = 10.0
SPEED_M_S = 1.5
STEP_S = 1 / 15


def drive_lap(track: Track) -> LapRecording:
    """Return a lap along the centre line at an even speed."""
    curve = track.scene.curve_m
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    at_m = np.arange(0.0, way[-1], SPEED_M_S * STEP_S)
    ahead = np.unwrap(np.arctan2(*np.gradient(curve, axis=0).T[::-1]))
    poses = np.stack([np.interp(at_m, way, values) for values in (*curve.T, ahead)], axis=1)
    count = len(at_m)
    times_s = np.arange(count) * STEP_S
    statuses = np.full(count, list(EpisodeStatus).index(EpisodeStatus.IN_PROGRESS), np.uint8)
    statuses[-1] = list(EpisodeStatus).index(EpisodeStatus.LAP_COMPLETE)
    return LapRecording(
        world=WorldSpec(track.name),
        is_reversed=False,
        poses=poses,
        times_s=times_s,
        lap_clock_s=times_s,
        speed_m_s=np.full(count, SPEED_M_S),
        steering_deg=np.clip(np.degrees(np.gradient(poses[:, 2])) * 3, -30, 30),
        progress_percent=at_m / way[-1] * 100,
        statuses=statuses,
        resets=np.zeros(count, np.int64),
        lap=1,
        laps_total=1,
        display_name="Benchmark",
        car_color="Red",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--track", default="reInvent2019_track")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="folder for the videos; they are deleted by default")
    options = parser.parse_args()
    track = load_track(options.track)
    lap = drive_lap(track)
    shown_s = float(lap.times_s[-1]) + END_S
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        record_videos(track, [lap], folder)
        times: list[float] = []
        processor_s: list[float] = []
        for number in range(options.runs):
            started, used = time.perf_counter(), time.process_time()
            paths = record_videos(track, [lap], folder)
            times.append(shown_s / (time.perf_counter() - started))
            processor_s.append((time.process_time() - used) / shown_s)
            note(f"run {number + 1}/{options.runs}: {times[-1]:.1f} times real time")
        sizes = {path.parent.name: path.stat().st_size for path in paths}
    emit(
        "video",
        track=options.track,
        simulated_s=round(shown_s, 2),
        times_real_time=[round(value, 2) for value in times],
        median=round(median(times), 2),
        processor_s_per_simulated_s=round(median(processor_s), 4),
        frames_per_s=round(median(times) * 3 * 15, 1),
        bytes=sizes,
        av=av.__version__,
        floor=FLOOR_TIMES_REAL_TIME,
        ok=median(times) >= FLOOR_TIMES_REAL_TIME,
    )


if __name__ == "__main__":
    main()
