"""Videos of a race: behind the car with and without overlay, and from above."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import radians
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.race.objects import OBJECT_X, OBJECT_YAW
from drctl.simulation.race.traffic import HIDDEN_POSE
from drctl.simulation.views.camera import FRAMES_PER_S, VIEW_HEIGHT, VIEW_WIDTH, ChaseCamera, top_camera
from drctl.simulation.views.overlay import OverlayText, RaceOverlay, RivalText
from drctl.simulation.views.pixels import to_yuv420
from drctl.simulation.views.scene import SceneRenderer
from drctl.simulation.views.solids import CAR_COLORS, Solid, solids_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from numpy.typing import NDArray

    from drctl.evaluation.recording import LapRecording, RivalRecording
    from drctl.simulation.track.track import Track

VIDEO_NAMES: Final = ("camera-pip", "camera-45degree", "camera-topview")
"""With overlay, without, and from above (simulator-facts 3)."""

END_S: Final = 2.0
"""How long the last picture stays, with the banner if the race is complete."""

_ENCODING: Final = {
    "preset": "veryfast",
    "crf": "23",
    # Twice as quick as the preset alone, for files a tenth larger: flat pictures that move little need no long search.
    "bf": "0",
    "x264-params": "weightp=0:rc-lookahead=4:subme=1:me=dia",
}

_BLINK: Final = 0.3  # opacity of a car that waits for a penalty, in every other
_BLINK_S: Final = 0.5  # half second (simulator-facts 6)
_FRAMES_AHEAD: Final = 4  # drawn before they are encoded
_FASTEST_M_S: Final = 6.0  # what moves faster was put elsewhere; the car's ceiling is 3.6 (simulator-facts 1.5)
_LARGEST_TURN_RAD: Final = 1.0  # within a step, likewise
_STATUSES: Final = tuple(EpisodeStatus)


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """A race on the clock of its video, `FRAMES_PER_S` frames a second.

    Attributes:
        lap: Index of each frame's recording, shape (F,).
        row: Index of the latest row in it, shape (F,).
        poses: base_link's x, y in metres and yaw in radians, shape (F, 3).
        clock_s: The lap's clock, shape (F,).
        speed_m_s: Speed of the pose since the frame before, shape (F,).
        has_jumped: The car was put elsewhere since the frame before, shape (F,).
        object_poses: x, y and yaw of what else is on the track, shape (F, n, 3).
    """

    lap: NDArray[np.int64]
    row: NDArray[np.int64]
    poses: NDArray[np.float64]
    clock_s: NDArray[np.float64]
    speed_m_s: NDArray[np.float64]
    has_jumped: NDArray[np.bool_]
    object_poses: NDArray[np.float64]


def frame_times(laps: Sequence[LapRecording]) -> FrameTimes:
    """Put the unevenly spaced rows of a race on an even clock; between rows the car moves evenly.

    Args:
        laps: The laps of one race in order, at least one.
    """
    times = np.concatenate([lap.times_s for lap in laps])
    poses = np.concatenate([lap.poses for lap in laps])
    clock = np.concatenate([lap.lap_clock_s for lap in laps])
    number = np.repeat(np.arange(len(laps)), [len(lap.times_s) for lap in laps])
    row = np.concatenate([np.arange(len(lap.times_s)) for lap in laps])
    elapsed = np.diff(times)
    moved, is_jump = _moves(poses, elapsed)
    others = np.concatenate([_object_poses(lap) for lap in laps])
    others_moved, _ = _moves(others, elapsed[:, None])
    ticked = np.where(is_jump | (np.diff(number) != 0), 0.0, np.diff(clock))
    jumps = np.concatenate([[0], np.cumsum(is_jump)])

    at_s = times[0] + np.arange(int((times[-1] - times[0]) * FRAMES_PER_S + 1e-6) + 1) / FRAMES_PER_S
    before = np.clip(np.searchsorted(times, at_s + 1e-9, side="right") - 1, 0, len(times) - 1)
    edge = np.minimum(before, max(0, len(times) - 2))
    if len(times) > 1:
        share = np.clip((at_s - times[edge]) / np.maximum(elapsed[edge], 1e-9), 0.0, 1.0)
        share = np.where(before == edge, share, 0.0)
        placed = poses[before] + share[:, None] * moved[edge]
        others_placed = others[before] + share[:, None, None] * others_moved[edge]
        shown_clock = clock[before] + share * ticked[edge]
    else:
        placed, others_placed, shown_clock = poses[before], others[before], clock[before]
    has_jumped = np.concatenate([[True], np.diff(jumps[before]) > 0])
    way = np.hypot(*np.diff(placed[:, :2], axis=0).T)
    speed = np.concatenate([[0.0], way]) * FRAMES_PER_S
    speed[has_jumped] = 0.0
    return FrameTimes(number[before], row[before], placed, shown_clock, speed, has_jumped, others_placed)


def _moves(poses: NDArray[np.float64], elapsed_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the way from each row's poses to the next one's, none where something was put elsewhere, and where so.

    Args:
        poses: x, y and yaw in the last axis, rows in the first.
        elapsed_s: Between rows, with as many axes as the poses but the last.
    """
    moved = np.diff(poses, axis=0)
    moved[..., 2] = np.remainder(moved[..., 2] + np.pi, 2 * np.pi) - np.pi
    is_jump = np.hypot(moved[..., 0], moved[..., 1]) > _FASTEST_M_S * elapsed_s + 0.05
    is_jump |= np.abs(moved[..., 2]) > _LARGEST_TURN_RAD
    moved[is_jump] = 0.0
    return moved, is_jump


def _object_poses(lap: LapRecording) -> NDArray[np.float64]:
    return np.empty((len(lap.poses), 0, 3)) if lap.object_poses is None else lap.object_poses


def record_videos(track: Track, laps: Sequence[LapRecording], folder: Path) -> list[Path]:
    """Write the videos of a race and return their paths, in the order of `VIDEO_NAMES`.

    H.264 in MP4, 640 x 480, 15 frames per simulated second, playable in browsers before they are loaded whole.

    Args:
        track: Where the race was driven.
        laps: The laps of one race in order, at least one.
        folder: Gets a folder for each of `VIDEO_NAMES` with ``0-video.mp4`` in it (contract 4.2); files that exist
            are replaced.

    Raises:
        ValueError: There is no lap.
        OSError: A file cannot be written.
    """
    if not laps:
        raise ValueError("a video needs at least one lap")
    paths = [folder / name / "0-video.mp4" for name in VIDEO_NAMES]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    # Drawing and encoding leave the interpreter's lock, so the next pictures are drawn while these are encoded.
    with ExitStack() as open_files:
        files = [VideoFile(path) for path in paths]
        for file in files:
            open_files.callback(file.close)
        # One thread each, so that the frames of a file stay in order.
        encoders = [open_files.enter_context(ThreadPoolExecutor(1)) for _ in files]
        running: deque[Future[None]] = deque()
        for pictures in _draw_frames(track, laps):
            for encoder, file, picture in zip(encoders, files, pictures, strict=True):
                running.append(encoder.submit(file.write, picture))
            while len(running) > _FRAMES_AHEAD * len(files):
                running.popleft().result()
        for task in running:
            task.result()
    return paths


def _draw_frames(
    track: Track, laps: Sequence[LapRecording]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]]:
    """Give the pictures of each frame in the order of `VIDEO_NAMES`."""
    scene, overlay, chase, above = SceneRenderer(track), RaceOverlay(track), ChaseCamera(), top_camera(track)
    empty = scene.background(above)
    frames = frame_times(laps)
    count = len(frames.lap)
    for frame in range(count + round(END_S * FRAMES_PER_S)):
        k = min(frame, count - 1)
        lap = laps[frames.lap[k]]
        x, y, yaw = (float(value) for value in frames.poses[k])
        color = CAR_COLORS.get(lap.car_color, CAR_COLORS["Black"])
        row = frames.row[k]
        is_off = int(frame / FRAMES_PER_S / _BLINK_S) % 2 == 1
        opacity = _BLINK if is_off and _STATUSES[lap.statuses[row]] is EpisodeStatus.PAUSE else 1.0
        steering = radians(lap.steering_deg[row])
        car = Solid("car", (x, y, yaw), color, steering, lap.body_shell, opacity)
        others = _others(lap, frames, k)
        if is_off and lap.rival is not None and lap.rival.is_waiting[row]:
            others = [replace(other, opacity=_BLINK) for other in others]
        if frames.has_jumped[k]:
            chase.reset()
        camera = chase.follow((x, y, yaw), 1 / FRAMES_PER_S)
        behind = scene.render(camera, [*others, car])
        from_above = empty.copy()
        scene.draw_solids(from_above, above, [*others, car])
        with_overlay = behind.copy()
        text = _overlay_text(lap, frames, k, is_over=frame >= count)
        dots = [(other.pose[0], other.pose[1], other.color) for other in others]
        overlay.draw(with_overlay, text, (*dots, (x, y, color)))
        yield with_overlay, behind, from_above


def _others(lap: LapRecording, frames: FrameTimes, frame: int) -> list[Solid]:
    """Return what else is on the track in a frame, in the order of the recording's objects."""
    if lap.objects is None:
        return []
    objects = lap.objects.copy()
    objects[:, OBJECT_X : OBJECT_YAW + 1] = frames.object_poses[frame]
    solids = solids_of(objects)
    if lap.rival is not None:
        look = lap.rival.look  # in the colour that tells who it is, whatever light the cameras saw it in
        solids = [replace(solid, shell=look.body_shell, color=CAR_COLORS[look.car_color]) for solid in solids]
    return [solid for solid in solids if solid.pose != HIDDEN_POSE]


def _overlay_text(lap: LapRecording, frames: FrameTimes, frame: int, *, is_over: bool) -> OverlayText:
    row = frames.row[frame]
    shown_s = float(lap.lap_clock_s[-1] if is_over else frames.clock_s[frame])
    is_complete = _STATUSES[lap.statuses[-1]] is EpisodeStatus.LAP_COMPLETE
    return OverlayText(
        name=lap.display_name or lap.racer_name,
        lap=lap.lap,
        laps_total=lap.laps_total,
        clock_s=shown_s,
        resets=int(lap.resets[row]),
        speed_m_s=0.0 if is_over else float(frames.speed_m_s[frame]),
        race_type=lap.race_type,
        has_finished=is_over and is_complete and lap.lap == lap.laps_total,
        color=CAR_COLORS.get(lap.car_color, CAR_COLORS["Black"]),
        rival=None if lap.rival is None else _rival_text(lap, lap.rival, row, shown_s),
        has_won=lap.has_won,
    )


def _rival_text(lap: LapRecording, rival: RivalRecording, row: int, shown_s: float) -> RivalText:
    # Both clocks go on between rows, unless the other car has finished.
    since_s = shown_s - float(lap.lap_clock_s[row]) if rival.is_there[row] else 0.0
    return RivalText(
        name=rival.look.name,
        color=CAR_COLORS.get(rival.look.car_color, CAR_COLORS["Black"]),
        lap=int(rival.lap[row]),
        clock_s=float(rival.lap_clock_s[row]) + since_s,
        resets=int(rival.resets[row]),
        ended="" if rival.is_there[row] else ("Out" if rival.is_out[row] else "Finished"),
    )


class VideoFile:
    """An H.264 file that grows frame by frame.

    Args:
        path: Where to write; replaced if it exists.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        import av

        path.write_bytes(b"")  # the library would say that it cannot be written later, and without its name
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=FRAMES_PER_S)
        self._stream.width, self._stream.height = VIEW_WIDTH, VIEW_HEIGHT
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = _ENCODING
        self._stream.codec_context.thread_count = 1  # the three files are encoded side by side
        self._planes = np.empty((VIEW_HEIGHT * 3 // 2, VIEW_WIDTH), np.uint8)
        self._frames = 0

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Append a frame, shape (480, 640, 3), uint8."""
        import av

        to_yuv420(picture, self._planes)
        frame = av.VideoFrame.from_ndarray(self._planes, format="yuv420p")
        frame.pts = self._frames
        self._frames += 1
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        """Finish the file."""
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
