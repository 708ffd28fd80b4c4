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


def publish_opponent(
    store: ObjectStore,
    keys: ModelKeys,
    opponent: ModelKeys,
    stamp: str,
    outcome: RaceOutcome,
    videos: Sequence[Path] = (),
) -> Published:
    """Write what came of the car that a race was against.

    Its metrics lie beside its model, under the first free second from the race's start on. Trace and videos lie with
    the race; a copy of the trace, always the newest, lies where DRfC has it.

    Args:
        store: The bucket.
        keys: Of the model that was evaluated.
        opponent: Keys of the other one.
        stamp: The evaluation's 14 digits.
        outcome: Of the other car.
        videos: See `publish`.

    Raises:
        UnavailableError: The store does not take them.
    """
    trace, metrics = keys.opponent_trace(stamp), render_evaluation_metrics(lap.metrics() for lap in outcome.laps)
    store.put(trace, render_rows(outcome.rows))
    store.copy(trace, opponent.newest_trace_as_opponent)
    epoch_s = int(datetime.strptime(stamp, STAMP_FORMAT).timestamp())
    while not _is_new(store, opponent.metrics_as_opponent(epoch_s), metrics):
        epoch_s += 1
    stored = []
    for path in videos:
        stored.append(keys.opponent_video(stamp, path.parent.name))
        store.put(stored[-1], path.read_bytes())
    return Published(stamp, trace, opponent.metrics_as_opponent(epoch_s), tuple(stored))


def _is_new(store: ObjectStore, key: str, content: bytes) -> bool:
    """Put something where nothing is yet; tell whether that was so."""
    try:
        store.put(key, content, if_absent=True)
    except PreconditionFailedError:
        return False
    return True


def _take(store: ObjectStore, keys: ModelKeys, stamp: str, trace: bytes, metrics: bytes) -> bool:
    if not _is_new(store, keys.evaluation_trace(stamp), trace):
        return False
    if not _is_new(store, keys.evaluation_metrics(stamp), metrics):
        # Another model's, where models share a folder for metrics.
        store.delete(keys.evaluation_trace(stamp))
        return False
    return True
