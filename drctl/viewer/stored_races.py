"""Checkpoints and evaluations of a model, with the files that people may fetch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import DrctlError
from drctl.formats.evaluation_metrics import parse_evaluation_metrics

if TYPE_CHECKING:
    from drctl.formats.object_keys import ModelKeys
    from drctl.storage.objects import ObjectInfo, ObjectStore

_GRAPH: Final = re.compile(r".*/model/model_(\d+)\.pb")
_EVALUATION: Final = re.compile(r".*/evaluation-(\d{14})\.json")


class StoredFiles:
    """Lists them again and again; reads a race once.

    Args:
        store: The bucket.
        keys: Of the model.
    """

    def __init__(self, store: ObjectStore, keys: ModelKeys) -> None:
        self._store = store
        self._keys = keys
        self._races: dict[str, dict[str, Any]] = {}

    def read(self) -> dict[str, Any]:
        """Return ``checkpoints``, ``evaluations`` and the ``keys`` of their files.

        Raises:
            DrctlError: The store does not answer.
        """
        graphs = [
            (int(found[1]), info)
            for info in self._store.list(f"{self._keys.prefix}/model")
            if (found := _GRAPH.fullmatch(info.key))
        ]
        metrics = [
            (found[1], info)
            for info in self._store.list(f"{self._keys.metrics_prefix}/evaluation")
            if (found := _EVALUATION.fullmatch(info.key))
        ]
        races = [self._read_race(stamp, info) for stamp, info in metrics]
        checkpoints = [
            {"number": number, "key": info.key, "bytes": info.size_bytes, "modified": info.modified.timestamp()}
            for number, info in sorted(graphs, key=lambda one: -one[0])
        ]
        keys = {one["key"] for one in checkpoints} | {key for race in races for key in race["videos"].values()}
        return {
            "checkpoints": checkpoints,
            "evaluations": sorted(races, key=lambda race: race["stamp"], reverse=True),
            "keys": sorted(keys),
        }

    def _read_race(self, stamp: str, metrics: ObjectInfo) -> dict[str, Any]:
        known = self._races.get(stamp)
        if known is not None and known["version"] == metrics.version and known["videos"]:
            return known
        try:
            laps = parse_evaluation_metrics(self._store.get(metrics.key), metrics.key)
        except DrctlError:
            laps = ()
        videos = {
            info.key.split("/")[-2]: info.key
            for info in self._store.list(f"{self._keys.evaluation_folder(stamp)}/mp4")
            if info.key.endswith("/0-video.mp4")
        }
        self._races[stamp] = {
            "stamp": stamp,
            "version": metrics.version,
            "videos": videos,
            "laps": [
                {
                    "lap": lap.trial,
                    "time_s": lap.elapsed_time_in_milliseconds / 1000,
                    "progress": lap.completion_percentage,
                    "status": lap.episode_status,
                    "off_track": lap.off_track_count,
                    "crashes": lap.crash_count,
                    "resets": lap.reset_count,
                }
                for lap in laps
            ],
        }
        return self._races[stamp]
