"""What a bucket's models are: found by the files they have, and told by reading the small ones only.

A bucket is read with many requests at a time: one listing per folder, then per model the newest manifest, the best
one's and the training's parameters. Of a model of other software, which has no manifests, the checkpoint index and the
metrics files are read instead; what these do not tell is unknown and said to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import DrctlError, ObjectNotFoundError
from drctl.formats.checkpoint_index import checkpoint_number, parse_checkpoint_index
from drctl.formats.copy_record import CopyRecord, parse_copy_record
from drctl.formats.manifest import Manifest, parse_manifest
from drctl.formats.object_keys import ModelKeys
from drctl.formats.training_metrics import Outcome, read_outcome
from drctl.formats.training_params import read_world_names

if TYPE_CHECKING:
    from drctl.storage.objects import ObjectInfo, ObjectStore

REQUESTS: Final = 10
"""At the same time; as many connections as boto3 keeps."""

METRICS_BYTES_MAX: Final = 4_000_000
"""Metrics files above this, some 20,000 episodes, are not read for a list."""

# Any of these makes what stands before it the prefix of a model.
_SIGN: Final = re.compile(
    r"(?P<prefix>.+?)/(?:model/deepracer_checkpoints\.json|model/model_metadata\.json|model/model_[0-9]+\.pb"
    r"|ip/hyperparameters\.json|\.drctl/(?:status|copy)\.json|\.drctl/manifests/[0-9]+\.json)"
)
_PARAMS: Final = re.compile(r"training_params(_[0-9]+)?\.ya?ml")
_METRICS: Final = re.compile(r"metrics/TrainingMetrics(_[0-9]+)?\.json")
_GRAPH: Final = re.compile(r"model/model_([0-9]+)\.pb")
_MANIFEST: Final = re.compile(r"\.drctl/manifests/([0-9]+)\.json")


@dataclass(frozen=True)
class Parent:
    """What a model began with or was copied from.

    Attributes:
        store: Name of its store, such as ``s3://bucket``.
        prefix: Its prefix.
        checkpoint: Number of its checkpoint; None for a copy of the whole model.
        is_copy: The model is a copy and was not trained on.
    """

    store: str
    prefix: str
    checkpoint: int | None
    is_copy: bool = False

    def name_from(self, store: str) -> str:
        """Return its prefix, for another store than the given one with that of its own in front."""
        return self.prefix if self.store == store else f"{self.store}/{self.prefix}"


@dataclass(frozen=True)
class StoredModel:
    """One model of a bucket; None stands for what its files do not tell.

    Attributes:
        prefix: Its prefix.
        objects: How many objects it has.
        size_bytes: Their lengths together.
        modified: When the newest was put.
        is_of_drctl: Our trainer wrote it.
        parent: What it began with.
        is_parent_known: Whether `parent` being None means that it began untrained.
        tracks: Names of its tracks, one per race.
        iterations: Number of its newest checkpoint.
        best_lap_s: Fastest lap of training and evaluation, simulated seconds.
        completion_percent: Mean progress of the best checkpoint's evaluation.
        is_half_copied: A copy that was interrupted, or goes on.
        is_imported: drctl import-model made it of other software's model.
    """

    prefix: str
    objects: int
    size_bytes: int
    modified: datetime
    is_of_drctl: bool = False
    parent: Parent | None = None
    is_parent_known: bool = False
    tracks: tuple[str, ...] | None = None
    iterations: int | None = None
    best_lap_s: float | None = None
    completion_percent: float | None = None
    is_half_copied: bool = False
    is_imported: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a mapping."""
        parent = self.parent
        return {
            "prefix": self.prefix,
            "parent": parent
            and {
                "store": parent.store,
                "prefix": parent.prefix,
                "checkpoint": parent.checkpoint,
                "is_copy": parent.is_copy,
            },
            "is_parent_known": self.is_parent_known,
            "tracks": None if self.tracks is None else list(self.tracks),
            "iterations": self.iterations,
            "best_lap_s": self.best_lap_s,
            "completion_percent": self.completion_percent,
            "objects": self.objects,
            "size_bytes": self.size_bytes,
            "modified": self.modified.isoformat(),
            "is_of_drctl": self.is_of_drctl,
            "is_half_copied": self.is_half_copied,
            "is_imported": self.is_imported,
        }


def read_models(store: ObjectStore) -> list[StoredModel]:
    """Return the models of a bucket, by name.

    Raises:
        UnavailableError: The store does not answer.
    """
    folders = [name for name in store.list_folders() if not name.startswith(".")]
    with ThreadPoolExecutor(max_workers=REQUESTS) as pool:
        listings = pool.map(lambda folder: list(store.list(folder)), folders)
        found = list(chain.from_iterable(_part_models(listing) for listing in listings))
        return sorted(pool.map(lambda model: _read(store, *model), found), key=lambda model: model.prefix)


def _part_models(listing: Iterable[ObjectInfo]) -> Iterator[tuple[str, list[ObjectInfo]]]:
    """Give each model of a folder with its objects; a model may lie deeper than the first folder."""
    objects = list(listing)
    prefixes = {match["prefix"] for info in objects if (match := _SIGN.fullmatch(info.key))}
    parts: dict[str, list[ObjectInfo]] = {prefix: [] for prefix in prefixes}
    for info in objects:
        segments = info.key.split("/")
        candidates = ("/".join(segments[:count]) for count in range(len(segments) - 1, 0, -1))
        owner = next((prefix for prefix in candidates if prefix in parts), None)
        if owner is not None:
            parts[owner].append(info)
    yield from parts.items()


def _read(store: ObjectStore, prefix: str, objects: list[ObjectInfo]) -> StoredModel:
    names = {info.key.removeprefix(f"{prefix}/"): info for info in objects}
    model = StoredModel(
        prefix=prefix,
        objects=len(objects),
        size_bytes=sum(info.size_bytes for info in objects),
        modified=max(info.modified for info in objects),
        tracks=_tracks(store, prefix, names),
    )
    numbers = sorted((int(match[1]) for name in names if (match := _MANIFEST.fullmatch(name))), reverse=True)
    keys = ModelKeys(prefix)
    model = replace(model, is_imported=not numbers and keys.import_record in {info.key for info in objects})
    newest = _read_manifest(store, keys, numbers)
    found = _with_files(store, model, names) if newest is None else _with_manifest(store, keys, model, newest)
    if keys.copy_record not in {info.key for info in objects}:
        return found
    record = _read_copy(store, keys)
    return replace(found, parent=None, is_parent_known=False) if record is None else _with_copy(found, record)


def _with_manifest(store: ObjectStore, keys: ModelKeys, model: StoredModel, newest: Manifest) -> StoredModel:
    best = newest if newest.best.number == newest.number else _read_manifest(store, keys, [newest.best.number])
    judged = best.evaluation if best else None
    return replace(
        model,
        is_of_drctl=True,
        parent=_parent(newest.conditions.get("pretrained"), store),
        is_parent_known=True,
        iterations=newest.number,
        best_lap_s=newest.counters.best_lap_s,
        completion_percent=judged.progress_mean_percent if judged else None,
    )


def _with_files(store: ObjectStore, model: StoredModel, names: Mapping[str, ObjectInfo]) -> StoredModel:
    """Add what the files of other software tell."""
    graphs = [int(match[1]) for name in names if (match := _GRAPH.fullmatch(name))]
    metrics = [info for name, info in names.items() if _METRICS.fullmatch(name)]
    outcomes = [_read_metrics(store, info) for info in metrics]
    known = [outcome for outcome in outcomes if outcome is not None]
    laps = [outcome.best_lap_s for outcome in known if outcome.best_lap_s is not None]
    is_progress = any(outcome.best_model_metric == "progress" for outcome in known)
    last, best_metric = _read_index(store, ModelKeys(model.prefix))
    return replace(
        model,
        iterations=max(graphs, default=last),
        # A file that was not read may have the fastest lap.
        best_lap_s=min(laps, default=None) if len(known) == len(metrics) else None,
        completion_percent=best_metric if is_progress else None,
    )


def _read_metrics(store: ObjectStore, info: ObjectInfo) -> Outcome | None:
    data = _get(store, info.key) if info.size_bytes <= METRICS_BYTES_MAX else None
    return None if data is None else read_outcome(data)


def _with_copy(model: StoredModel, record: CopyRecord) -> StoredModel:
    parent = Parent(record.source, record.source_prefix, record.checkpoint, is_copy=True)
    return replace(model, parent=parent, is_parent_known=True, is_half_copied=not record.is_complete)


def _tracks(store: ObjectStore, prefix: str, names: Mapping[str, ObjectInfo]) -> tuple[str, ...] | None:
    found: list[str] = []
    for name in sorted(name for name in names if _PARAMS.fullmatch(name)):
        data = _get(store, f"{prefix}/{name}")
        found += read_world_names(data) if data is not None else ()
    return tuple(dict.fromkeys(found)) or None


def _read_manifest(store: ObjectStore, keys: ModelKeys, numbers: Iterable[int]) -> Manifest | None:
    """Return the first manifest that can be read; a training that goes on may remove one."""
    for number in numbers:
        data = _get(store, keys.manifest(number))
        try:
            if data is not None:
                return parse_manifest(data, keys.manifest(number))
        except DrctlError:
            continue
    return None


def _read_index(store: ObjectStore, keys: ModelKeys) -> tuple[int | None, float | None]:
    """Return the last checkpoint's number and what the best one's evaluation was."""
    data = _get(store, keys.checkpoint_index)
    try:
        index = None if data is None else parse_checkpoint_index(data, keys.checkpoint_index)
        number = checkpoint_number(index.last.name) if index and index.last.name else None
    except DrctlError:
        return None, None
    return number, index.best.avg_eval_metric if index else None


def _read_copy(store: ObjectStore, keys: ModelKeys) -> CopyRecord | None:
    data = _get(store, keys.copy_record)
    try:
        return None if data is None else parse_copy_record(data, keys.copy_record)
    except DrctlError:
        return None


def _parent(origin: Any, store: ObjectStore) -> Parent | None:
    try:
        place = f"{store.name.rpartition('/')[0]}/{origin['bucket']}"  # another bucket of the same server or folder
        return Parent(place, str(origin["prefix"]), int(origin["checkpoint"]))
    except (KeyError, TypeError, ValueError):
        return None


def _get(store: ObjectStore, key: str) -> bytes | None:
    """Return an object, or None when it has gone since the listing."""
    try:
        return store.get(key)
    except ObjectNotFoundError:
        return None
