"""Which objects make up a model, or one checkpoint of it, when it is copied somewhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import ConflictError, DrctlError, ObjectNotFoundError, nearest
from drctl.evaluation.checkpoint import chosen_number, stored_models, stored_numbers
from drctl.formats.checkpoint_index import (
    CheckpointIndex,
    CheckpointRecord,
    checkpoint_name,
    parse_checkpoint_index,
    render_checkpoint_index,
)
from drctl.formats.copy_record import CopyRecord, parse_copy_record
from drctl.formats.manifest import BestRecord, FileRecord, Manifest, parse_manifest, render_manifest
from drctl.formats.object_keys import ModelKeys
from drctl.formats.training_params import move_training_params
from drctl.storage.transfer import Item

if TYPE_CHECKING:
    from drctl.storage.objects import ObjectInfo, ObjectStore

# What a process says about itself: it would be a lie about the copy.
_STATES: Final = frozenset(
    (
        ".drctl/lease.json",
        ".drctl/status.json",
        ".drctl/copy.json",
        "ip/done",
        "ip/ip.json",
        "model/.lock",
        "model/.ready",
        "model/.finished",
    )
)
_INDEX: Final = "model/deepracer_checkpoints.json"
_METADATA: Final = "model/model_metadata.json"
_PARAMS: Final = re.compile(r"[^/]+\.ya?ml")
_MANIFEST: Final = re.compile(r"\.drctl/manifests/[0-9]+\.json")
_OF_EVERY_CHECKPOINT: Final = re.compile(
    r"custom_files/.+|[^/]+\.ya?ml|ip/hyperparameters\.json|reward_function\.py|metrics/TrainingMetrics(_[0-9]+)?\.json"
)
_TF_FILE: Final = re.compile(r"model/(?P<name>(?P<number>[0-9]+)_Step-[0-9]+\.ckpt)\.[^/]+")
_NEVER_CHANGES: Final = re.compile(r"model/(model_[0-9]+\.pb|[0-9]+_Step-[0-9]+\.ckpt\.[^/]+)")
_ESSENTIAL: Final = re.compile(r"model/(model_)?(?P<graph>[0-9]+)[._].*|\.drctl/weights/(?P<weights>[0-9]+)\.pt")
_MOST_NAMED: Final = 12


@dataclass(frozen=True)
class Place:
    """Where a model is or will be.

    Attributes:
        store: The bucket.
        bucket: Its name.
        keys: Of the model.
        endpoint_url: Address of the S3 server; None for Amazon S3 and for a folder.
        listing: Command that lists the bucket's models.
    """

    store: ObjectStore
    bucket: str
    keys: ModelKeys
    endpoint_url: str | None = None
    listing: str = "drctl list-models"

    @property
    def name(self) -> str:
        """Name for messages, such as ``s3://bucket/sprint``."""
        return f"{self.store.name}/{self.keys.prefix}"


@dataclass(frozen=True)
class Selection:
    """What is copied of a model.

    Attributes:
        checkpoint: The only checkpoint that goes; None when all do.
        items: Objects that are copied as they are.
        made: Objects that are written anew for the copy, by key.
        manifests: Manifests of what goes, by key; put after both.
        index: The checkpoint index, put last of all: key and content, or None where the model has none.
        notes: What the model lacks.
    """

    checkpoint: int | None
    items: tuple[Item, ...]
    made: Mapping[str, bytes]
    manifests: Mapping[str, bytes]
    index: tuple[str, bytes] | None
    notes: tuple[str, ...] = ()

    @property
    def written(self) -> dict[str, bytes]:
        """What is put without being read first, in order."""
        return {**self.made, **self.manifests, **(dict([self.index]) if self.index else {})}

    @property
    def size_bytes(self) -> int:
        """How much there is to copy."""
        return sum(item.size_bytes for item in self.items) + sum(map(len, self.written.values()))

    @property
    def target_keys(self) -> list[str]:
        """Every key that is written."""
        return [*(item.target for item in self.items), *self.written]


def select_checkpoint(source: Place, target: Place, choice: str) -> Selection:
    """Choose one checkpoint with what belongs to it (contract 1.7), and our own files that a clone begins with.

    Args:
        source: Where the model is.
        target: Where it goes.
        choice: ``best``, ``last`` or a number.

    Raises:
        FormatError: The index or the manifest does not follow its format.
        ObjectNotFoundError: There is no such model or checkpoint; names those that there are.
    """
    listing = _list(source)
    _refuse_half(source)
    number = _choose(source, choice, listing)
    keys, graph = source.keys, f"model/model_{number}.pb"
    manifest = _read_manifest(source, number)
    manifest = manifest and _alone(manifest, keys)
    ours = dict(manifest.files) if manifest else {}
    tf_files = {name: match for name in listing if (match := _TF_FILE.fullmatch(name))}
    tensors = {name: match["name"] for name, match in tf_files.items() if int(match["number"]) == number}
    names = [graph, *tensors, *(name for name in ours if name in listing)]
    names += [name for name in listing if _OF_EVERY_CHECKPOINT.fullmatch(name)]
    made = _moved_params(source, target, names)
    metadata = source.store.get(keys.model_metadata)
    made |= {target.keys.model_metadata: metadata, f"{target.keys.prefix}/model_metadata.json": metadata}
    record = _index_record(source, number, manifest, [*tensors.values()])
    if tensors and record.name:
        made[target.keys.coach_checkpoint] = record.name.encode()
    index = render_checkpoint_index(CheckpointIndex(record, record))
    return Selection(
        checkpoint=number,
        items=_items(listing, target, names, ours, made),
        made=made,
        manifests={target.keys.manifest(number): render_manifest(manifest)} if manifest else {},
        index=(target.keys.checkpoint_index, index),
        notes=_lacks(listing),
    )


def select_all(source: Place, target: Place) -> Selection:
    """Choose a whole model, so that whatever can be done with it can be done with the copy.

    A training may go on meanwhile: the index is read first, and what it removes later may be missing.

    Args:
        source: Where the model is.
        target: Where it goes.

    Raises:
        ObjectNotFoundError: There is no such model; names those that there are.
    """
    index = _get(source.store, source.keys.checkpoint_index)
    listing = _list(source)
    _refuse_half(source)
    if _METADATA not in listing:
        raise _no_model(source)
    names = [name for name in listing if name not in _STATES and name != _INDEX]
    manifests = {name: data for name in names if _MANIFEST.fullmatch(name) and (data := _read(source, listing[name]))}
    made = _moved_params(source, target, names)
    kept = _named_by(index)
    plain = [name for name in names if not _MANIFEST.fullmatch(name)]
    items = _items(listing, target, plain, _recorded(source, manifests), made)
    prefix = f"{target.keys.prefix}/"
    optional = [not _is_essential(item.target.removeprefix(prefix), kept) for item in items]
    return Selection(
        checkpoint=None,
        items=tuple(replace(item, is_optional=flag) for item, flag in zip(items, optional, strict=True)),
        made=made,
        manifests={f"{prefix}{name}": data for name, data in manifests.items()},
        index=None if index is None else (target.keys.checkpoint_index, index),
        notes=_lacks(listing),
    )


def _list(source: Place) -> dict[str, ObjectInfo]:
    """Return what a model has, by name relative to the prefix; metrics that lie elsewhere are there as ``metrics/``."""
    keys, store = source.keys, source.store
    found = {info.key.removeprefix(f"{keys.prefix}/"): info for info in store.list(keys.prefix)}
    for prefix in keys.all_prefixes[1:]:
        found |= {f"metrics/{info.key.removeprefix(f'{prefix}/')}": info for info in store.list(prefix)}
    return found


def _read_record(source: Place) -> CopyRecord | None:
    data = _get(source.store, source.keys.copy_record)
    return None if data is None else parse_copy_record(data, f"{source.store.name}/{source.keys.copy_record}")


def _refuse_half(source: Place) -> None:
    """Refuse a model of which not everything has arrived yet."""
    record = _read_record(source)
    if record is not None and not record.is_complete:
        raise ConflictError(
            f"{source.name} is a copy of which not everything has arrived",
            where=f"{source.store.name}/{source.keys.copy_record}",
            expected=f"all of {record.source}/{record.source_prefix}",
            fix="wait until it is done; if it was interrupted, copy it again",
        )


def _choose(source: Place, choice: str, listing: Mapping[str, ObjectInfo]) -> int:
    if _METADATA not in listing:
        raise _no_model(source)
    try:
        number = chosen_number(source.store, source.keys, choice)
    except ObjectNotFoundError as error:
        raise _no_checkpoint(source, error.problems[0].what) from error
    if f"model/model_{number}.pb" not in listing:
        raise _no_checkpoint(source, f"checkpoint {number} of {source.keys.prefix} is not in the store")
    return number


def _items(
    listing: Mapping[str, ObjectInfo],
    target: Place,
    names: Sequence[str],
    wanted: Mapping[str, FileRecord],
    made: Mapping[str, bytes],
) -> tuple[Item, ...]:
    prefix = target.keys.prefix
    found = (
        Item(listing[name].key, f"{prefix}/{name}", listing[name].size_bytes, wanted.get(name))
        for name in dict.fromkeys(names)
    )
    return tuple(item for item in found if item.target not in made)


def _alone(manifest: Manifest, keys: ModelKeys) -> Manifest:
    """Return a manifest for a copy that has no other checkpoint, and no optimiser: that is half of all the bytes."""
    metric = manifest.evaluation.metric if manifest.evaluation else None
    stamp = manifest.slots[0].clock_ms / 1000.0 if manifest.slots else 0.0
    optimizer = keys.optimizer(manifest.number).removeprefix(f"{keys.prefix}/")
    files = {name: record for name, record in manifest.files.items() if name != optimizer}
    return replace(manifest, files=files, best=BestRecord(manifest.number, manifest.name, metric, stamp))


def _index_record(source: Place, number: int, manifest: Manifest | None, names: Sequence[str]) -> CheckpointRecord:
    """Return the entry of the checkpoint, from wherever it is known; `manifest` names it as the best one."""
    key = source.keys.checkpoint_index
    data = _get(source.store, key)
    if data is not None:
        index = parse_checkpoint_index(data, f"{source.store.name}/{key}")
        for record in (index.best, index.last):
            if record.name and record.name.startswith(f"{number}_"):
                return record
    if manifest is not None:
        best = manifest.best
        return CheckpointRecord(best.name, best.metric, best.time_stamp)
    return CheckpointRecord(names[0] if names else checkpoint_name(number, 0), None, 0.0)


def _read_manifest(source: Place, number: int) -> Manifest | None:
    key = source.keys.manifest(number)
    data = _get(source.store, key)
    return None if data is None else parse_manifest(data, f"{source.store.name}/{key}")


def _recorded(source: Place, manifests: Mapping[str, bytes]) -> dict[str, FileRecord]:
    """Return what is known of contents: from the manifests, and from the record of an earlier copy."""
    found: dict[str, FileRecord] = {}
    try:
        record = _read_record(source)
        # What else was copied may have been trained on since.
        found |= {name: one for name, one in record.files.items() if _NEVER_CHANGES.fullmatch(name)} if record else {}
        for name, content in manifests.items():
            found |= parse_manifest(content, name).files
    except DrctlError:
        return found
    return found


def _named_by(index: bytes | None) -> set[str]:
    """Return the numbers, as texts, of the checkpoints that an index names."""
    try:
        found = None if index is None else parse_checkpoint_index(index, _INDEX)
    except DrctlError:
        return set()
    return {one.name.partition("_")[0] for one in (found.best, found.last) if one.name} if found else set()


def _is_essential(name: str, numbers: set[str]) -> bool:
    """Tell whether a file is one that the checkpoints with these numbers cannot be without."""
    match = _ESSENTIAL.fullmatch(name)
    return name == _METADATA or (match is not None and (match["graph"] or match["weights"]) in numbers)


def _moved_params(source: Place, target: Place, names: Sequence[str]) -> dict[str, bytes]:
    """Return the parameter files, by key of the copy, as they must be for the copy's place."""
    keys, new = source.keys, target.keys
    moved = {}
    for name in names:
        data = _get(source.store, f"{keys.prefix}/{name}") if _PARAMS.fullmatch(name) else None
        changed = data and move_training_params(
            data,
            buckets={source.bucket: target.bucket},
            prefixes={keys.prefix: new.prefix, keys.metrics_prefix: new.metrics_prefix},
            files={"MODEL_METADATA_FILE_S3_KEY": new.model_metadata, "REWARD_FILE_S3_KEY": new.reward_function},
            endpoint_url=target.endpoint_url,
        )
        if changed:
            moved[f"{new.prefix}/{name}"] = changed
    return moved


def _lacks(listing: Mapping[str, Any]) -> tuple[str, ...]:
    wanted = {
        "reward_function.py": "reward_function.py",
        "ip/hyperparameters.json": "ip/hyperparameters.json",
        "training_params": "training_params.yaml",
        "metrics/TrainingMetrics": "metrics/TrainingMetrics.json",
    }
    missing = [name for start, name in wanted.items() if not any(one.startswith(start) for one in listing)]
    return (f"the model has no {', '.join(missing)}",) if missing else ()


def _no_model(source: Place) -> ObjectNotFoundError:
    models = stored_models(source.store)
    best = nearest(source.keys.prefix, models)
    return ObjectNotFoundError(
        f"there is no model under the prefix {source.keys.prefix}",
        where=source.name,
        expected=f"closest is {best}" if best else f"the prefix of a model: {', '.join(models) or 'there is none'}",
        fix=source.listing,
    )


def _no_checkpoint(source: Place, what: str) -> ObjectNotFoundError:
    numbers = [str(number) for number in stored_numbers(source.store, source.keys)]
    shown = numbers
    if len(numbers) > _MOST_NAMED:
        shown = [*numbers[: _MOST_NAMED // 2], "...", *numbers[-_MOST_NAMED // 2 :]]
    return ObjectNotFoundError(
        what,
        where=f"{source.name}/model",
        expected=f"one of: {', '.join(shown)}" if numbers else "at least one model_<n>.pb; there is none",
        fix=f"drctl upload-model -p {source.keys.prefix} -c {numbers[-1]}" if numbers else source.listing,
    )


def _read(source: Place, info: ObjectInfo) -> bytes | None:
    return _get(source.store, info.key)


def _get(store: ObjectStore, key: str) -> bytes | None:
    try:
        return store.get(key)
    except ObjectNotFoundError:
        return None
