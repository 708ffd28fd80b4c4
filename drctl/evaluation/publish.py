"""Puts what an evaluation found into the store: new keys alone, beside whatever a training writes (DESIGN 4.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drctl.errors import PreconditionFailedError
from drctl.formats.evaluation_metrics import render_evaluation_metrics
from drctl.formats.simtrace import render_rows

if TYPE_CHECKING:
    from drctl.evaluation.race import RaceOutcome
    from drctl.formats.object_keys import ModelKeys
    from drctl.storage.objects import ObjectStore

STAMP_FORMAT: Final = "%Y%m%d%H%M%S"
"""The 14 digits that log tools look for (contract 4.4)."""


@dataclass(frozen=True)
class Published:
    """Where an evaluation's files are.

    Attributes:
        stamp: The evaluation's 14 digits.
        trace: Key of the trace.
        metrics: Key of the metrics.
        videos: Keys of the videos, without the copies that are always the newest evaluation's.
    """

    stamp: str
    trace: str
    metrics: str
    videos: tuple[str, ...] = ()


def publish(
    store: ObjectStore, keys: ModelKeys, started: datetime, outcome: RaceOutcome, videos: Sequence[Path] = ()
) -> Published:
    """Write an evaluation under the first free second from its start on.

    The trace, put on the condition that there is none yet, takes the second; so every evaluation that can be seen is
    complete but for what a kill within this very function keeps away.

    Args:
        store: The bucket.
        keys: Of the model.
        started: Local time of the start.
        outcome: Of the race.
        videos: MP4 files, each in a folder that is named for its camera.

    Raises:
        UnavailableError: The store does not take them.
    """
    trace, metrics = render_rows(outcome.rows), render_evaluation_metrics(lap.metrics() for lap in outcome.laps)
    moment = started
    while not _take(store, keys, moment.strftime(STAMP_FORMAT), trace, metrics):
        moment += timedelta(seconds=1)
    stamp = moment.strftime(STAMP_FORMAT)
    stored = []
    for path in videos:
        camera = path.parent.name
        stored.append(keys.evaluation_video(stamp, camera))
        store.put(stored[-1], path.read_bytes())
        store.copy(stored[-1], keys.newest_video(camera))
    return Published(stamp, keys.evaluation_trace(stamp), keys.evaluation_metrics(stamp), tuple(stored))


def _take(store: ObjectStore, keys: ModelKeys, stamp: str, trace: bytes, metrics: bytes) -> bool:
    try:
        store.put(keys.evaluation_trace(stamp), trace, if_absent=True)
    except PreconditionFailedError:
        return False
    try:
        store.put(keys.evaluation_metrics(stamp), metrics, if_absent=True)
    except PreconditionFailedError:  # another model's, where models share a folder for metrics
        store.delete(keys.evaluation_trace(stamp))
        return False
    return True
