"""What a race of the community images tells: figures for programs, a table for people."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import DrctlError, ObjectNotFoundError
from drctl.formats.checkpoint_index import parse_checkpoint_index
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.evaluation_metrics import LapMetrics, parse_evaluation_metrics
from drctl.operations.table import lay_out
from drctl.result import Message, Result
from drctl.storage.location import describe as describe_location
from drctl.storage.location import project_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.formats.object_keys import ModelKeys
    from drctl.storage.objects import ObjectStore

CAMERAS: Final = ("camera-pip", "camera-45degree", "camera-topview")
_LAP: Final = EpisodeStatus.LAP_COMPLETE.label


def describe_image_race(
    project: Project, store: ObjectStore, keys: ModelKeys, stamp: str, notes: Sequence[Message]
) -> Result:
    """Return the table of a race and the paths of what it wrote; its videos get a place of their own.

    Args:
        project: With the settings of the race.
        store: The bucket.
        keys: Of the model that was raced.
        stamp: Of the race.
        notes: What was said before it began.
    """
    settings = project.settings
    metrics = keys.evaluation_metrics(stamp)
    laps = parse_evaluation_metrics(store.get(metrics), metrics)
    videos = _keep_videos(store, keys, stamp) if settings.eval_save_mp4 else []
    complete = [lap for lap in laps if lap.episode_status == _LAP]
    checkpoint = _checkpoint_of(store, keys, settings.eval_checkpoint)
    data = {
        "prefix": keys.prefix,
        "races": [
            {
                "checkpoint": checkpoint,
                "track": settings.world_name,
                "laps_wanted": settings.eval_number_of_trials,
                "laps_complete": len(complete),
                "best_s": min((_seconds(lap) for lap in complete), default=None),
                "laps": [_lap_to_json(lap) for lap in laps],
                "stamp": stamp,
                "metrics": metrics,
                "trace": keys.evaluation_trace(stamp),
                "videos": videos,
            }
        ],
    }
    place = describe_location(project_store_location(project))
    written = [f"  {place}/{key}" for key in (metrics, keys.evaluation_trace(stamp), *videos)]
    lines = [f"Checkpoint {checkpoint} on {settings.world_name}, times in seconds", *_table(laps)]
    messages = [*notes, *map(Message, lines)]
    if len(complete) < settings.eval_number_of_trials:
        messages.append(Message(f"{len(complete)} of {settings.eval_number_of_trials} laps complete", "warning"))
    messages += [Message("Written:"), *map(Message, written)]
    steps = () if videos else (f"drctl eval --model {keys.prefix} --mp4",)
    return Result(data, tuple(messages), steps)


def _keep_videos(store: ObjectStore, keys: ModelKeys, stamp: str) -> list[str]:
    """Copy the videos to a place of their own: the image's next race writes over them."""
    kept = []
    for camera in CAMERAS:
        target = keys.evaluation_video(stamp, camera)
        with contextlib.suppress(ObjectNotFoundError):
            store.copy(keys.newest_video(camera), target)
            kept.append(target)
    return kept


def _checkpoint_of(store: ObjectStore, keys: ModelKeys, choice: str) -> str | None:
    try:
        index = parse_checkpoint_index(store.get(keys.checkpoint_index), keys.checkpoint_index)
    except DrctlError:
        return None
    return (index.best if choice == "best" else index.last).name


def _table(laps: Sequence[LapMetrics]) -> list[str]:
    head = ("lap", "time with penalties", "off-tracks", "crashes", "resets")
    rows = [
        (str(lap.trial), describe_image_lap(lap), str(lap.off_track_count), str(lap.crash_count), str(lap.reset_count))
        for lap in laps
    ]
    return lay_out(head, rows)


def describe_image_lap(lap: LapMetrics) -> str:
    """Return a lap's time with penalties, or how it ended, in a few words."""
    if lap.episode_status == _LAP:
        return f"{_seconds(lap):.3f}"
    return f"unfinished ({lap.episode_status.lower()} at {lap.completion_percentage} %)"


def _seconds(lap: LapMetrics) -> float:
    return lap.elapsed_time_in_milliseconds / 1000


def _lap_to_json(lap: LapMetrics) -> dict[str, Any]:
    return {
        "lap": lap.trial,
        "status": lap.episode_status,
        "is_complete": lap.episode_status == _LAP,
        "progress_percent": lap.completion_percentage,
        "total_s": _seconds(lap),
        "off_tracks": lap.off_track_count,
        "crashes": lap.crash_count,
        "immobilized": lap.immobilized_count,
        "reversed": lap.reversed_count,
        "resets": lap.reset_count,
    }
