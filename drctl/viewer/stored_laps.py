"""Laps of a run that no worker shows any more, or whose workers show pictures alone: driven lines out of its traces."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import DrctlError
from drctl.formats.training_params import parse_training_params

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from drctl.formats.object_keys import ModelKeys
    from drctl.storage.objects import ObjectInfo, ObjectStore

MOST_EPISODES: Final = 24
_SLOTS: Final = 10  # DESIGN 4.6
_TRACE: Final = re.compile(r"(?:.*/)?(\d+)-iteration\.csv")


class StoredLaps:
    """Reads traces, each once.

    Args:
        store: The bucket.
        keys: Of the model.
        tracks: The project's folder of imported tracks.
    """

    def __init__(self, store: ObjectStore, keys: ModelKeys, tracks: Path) -> None:
        self._store = store
        self._keys = keys
        self._tracks = tracks
        self._known: dict[str | None, tuple[tuple[str, ...], dict[str, Any]]] = {}

    def read(self, stamp: str | None = None) -> dict[str, Any] | None:
        """Return the newest laps of the training, or those of a race; None where there is no trace.

        Args:
            stamp: 14 digits of the race.

        Returns:
            ``iteration``, None for a race; ``track``, see `describe_track`, None where it is not known; ``clips``, see
            `describe_clip`.

        Raises:
            DrctlError: The store does not answer, or a trace is damaged.
        """
        iteration, traces = (None, self._of_race(stamp)) if stamp else self._newest()
        versions = tuple(info.version for info in traces)
        known = self._known.get(stamp)
        if known is None or known[0] != versions:
            self._known = {stamp: (versions, self._describe(iteration, traces))} if traces else {}
        return self._known[stamp][1] if traces else None

    def _of_race(self, stamp: str) -> list[ObjectInfo]:
        keys = (self._keys.evaluation_trace(stamp), self._keys.opponent_trace(stamp))
        return [info for info in map(self._store.stat, keys) if info is not None]

    def _newest(self) -> tuple[int | None, list[ObjectInfo]]:
        """Return the newest iteration of which there are traces, and the trace of each slot that played it."""
        newest: dict[int, list[ObjectInfo]] = {}
        for folder in ("", *(f"/{slot}" for slot in range(_SLOTS))):
            traces = self._store.list(f"{self._keys.prefix}{folder}/training-simtrace")
            found = [(int(match[1]), info) for info in traces if (match := _TRACE.fullmatch(info.key))]
            if found:
                iteration, info = max(found, key=lambda one: one[0])
                newest.setdefault(iteration, []).append(info)
        last = max(newest, default=None)
        return last, [] if last is None else newest[last]

    def _describe(self, iteration: int | None, traces: list[ObjectInfo]) -> dict[str, Any]:
        import numpy as np

        from drctl.analysis.road import find_track
        from drctl.formats.simtrace import parse_rows
        from drctl.simulation.stream.description import describe_clip, describe_track

        rows = [parse_rows(self._store.get(info.key), info.key) for info in traces]
        clips = [clip for one in rows for clip in _cut(one, iteration)][:MOST_EPISODES]
        driven = np.concatenate(rows)
        length_m = float(driven["track_len"].max(initial=0.0))
        track = find_track(length_m, np.column_stack([driven["x"], driven["y"]]), self._named(), self._tracks)
        return {
            "iteration": iteration,
            "track": None if track is None else describe_track(track),
            "clips": [{**describe_clip(clip), "serial": number, "car": number} for number, clip in enumerate(clips, 1)],
        }

    def _named(self) -> tuple[str, ...]:
        key = self._keys.training_params()
        try:
            return (parse_training_params(self._store.get(key), key).world_name,)
        except DrctlError:
            return ()


def _cut(rows: NDArray[np.void], iteration: int | None) -> Iterator[Any]:
    """Give the episodes of a trace, each on a clock of its own."""
    import numpy as np

    from drctl.formats.episode_status import EpisodeStatus
    from drctl.simulation.episode import EpisodeRecord, EpisodeStart
    from drctl.simulation.stream.clip import cut_clip

    for number in np.unique(rows["episode"]).tolist():
        driven = rows[rows["episode"] == number].copy()
        if len(driven) < 2:
            continue
        driven["tstamp"] -= driven["tstamp"][0]
        status = EpisodeStatus.from_index(int(driven["status"][-1]))
        steps, duration_s = len(driven) - 1, float(driven["tstamp"][-1])
        record = EpisodeRecord(
            driven, status, float(driven["reward"].sum()), steps, float(driven["progress"][-1]), duration_s
        )
        start = EpisodeStart("evaluation" if iteration is None else "training", iteration or 0, number)
        yield cut_clip(number, number, start, record, is_running=False)
