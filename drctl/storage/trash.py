"""Moving what lies under a prefix out of the way, so that it can be brought back.

An entry of the trash is a folder ``.trash/<id>/``: ``entry.json`` says what it is and how far the move is, ``objects/``
holds the objects. Each step that could lose something waits for a record in the store of the step before:

copying -> (all copies are there) -> deleting -> (all sources are gone) -> complete
complete -> restoring -> (everything is back) -> restored -> (entry removed)
complete -> discarded -> (entry removed)

A crash anywhere leaves every object at its old place or in the trash. Moving the same prefix again completes an
interrupted move; restoring the entry takes it back.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from drctl.errors import (
    ConflictError,
    FormatError,
    ObjectNotFoundError,
    PreconditionFailedError,
    UsageError,
)
from drctl.storage.objects import ObjectInfo, ObjectStore, folder_of

TRASH = ".trash"
"""Prefix of the trash in a bucket."""

ENTRY_VERSION = 1
NAMED_MAX = 5
"""How many objects in the way an error names."""

State = Literal["copying", "deleting", "complete", "restoring", "restored", "discarded"]
_OVER: Final = ("restored", "discarded")
"""States of entries that nobody sees any more; what is left of one is removed by whoever comes by."""


@dataclass(frozen=True)
class TrashEntry:
    """One move to the trash.

    Attributes:
        id: ``<14-digit stamp in UTC>-<number>``.
        prefix: Where the objects were.
        reason: Why they were moved, for people.
        time: When.
        object_count: How many objects.
        size_bytes: Their lengths together.
        is_complete: False while the move or a restore is under way or was interrupted.
    """

    id: str
    prefix: str
    reason: str
    time: datetime
    object_count: int
    size_bytes: int
    is_complete: bool


@dataclass(frozen=True)
class _Moved:
    name: str
    size_bytes: int
    version: str


@dataclass(frozen=True)
class _Record:
    id: str
    prefix: str
    reason: str
    time: datetime
    state: State
    objects: tuple[_Moved, ...]

    @property
    def folder(self) -> str:
        return f"{TRASH}/{self.id}"

    def source(self, moved: _Moved) -> str:
        return f"{self.prefix}/{moved.name}"

    def target(self, moved: _Moved) -> str:
        return f"{self.folder}/objects/{moved.name}"

    def entry(self) -> TrashEntry:
        size_bytes = sum(moved.size_bytes for moved in self.objects)
        is_complete = self.state in ("complete", "restored")
        return TrashEntry(self.id, self.prefix, self.reason, self.time, len(self.objects), size_bytes, is_complete)


def move_to_trash(store: ObjectStore, prefix: str, reason: str) -> TrashEntry:
    """Move every object below a prefix to the trash.

    An earlier move of the same prefix that was interrupted is completed first. Objects that somebody changes while
    they are moved stay where they are.

    Args:
        store: The bucket.
        prefix: Whole segments; not the bucket itself and nothing in the trash.
        reason: Why, for the list that people read.

    Raises:
        ObjectNotFoundError: There is nothing below the prefix.
        UsageError: The prefix cannot be moved.
        UnavailableError: The store does not answer; nothing is lost, the move can be made again or taken back.
    """
    folder = folder_of(prefix)
    if not folder or folder.startswith(f"{TRASH}/"):
        raise UsageError(f"{prefix!r} cannot be moved to the trash", expected="a prefix such as a model's")
    cleaned = folder.rstrip("/")
    completed = None
    for record in _read_all(store):
        if record.state in _OVER:
            _remove(store, record)
        elif record.prefix == cleaned and record.state in ("copying", "deleting"):
            completed = _advance(store, _list_again(store, record))
    objects = _list_sources(store, cleaned)
    if objects:
        return _advance(store, _reserve(store, cleaned, reason, objects)).entry()
    if completed is None:
        raise ObjectNotFoundError(f"there is nothing under {cleaned!r}", where=f"{store.name}/{cleaned}")
    return completed.entry()


def list_trash(store: ObjectStore) -> list[TrashEntry]:
    """Return what is in the trash, the newest entry first; folders without a readable record are left out."""
    return [record.entry() for record in _read_all(store) if record.state not in _OVER]


def restore(store: ObjectStore, entry_id: str | None = None) -> TrashEntry:
    """Bring an entry of the trash back to where it was and remove it from the trash.

    An interrupted restore goes on; an interrupted move is taken back.

    Args:
        store: The bucket.
        entry_id: Which; None for the newest.

    Raises:
        ObjectNotFoundError: There is no such entry, or objects of it are missing.
        ConflictError: Something lies at the target; nothing was changed.
    """
    record = _choose(store, entry_id)
    if record.state != "copying":  # nothing was deleted then: what is at the old place is what was there
        _refuse_conflicts(store, record)
    present = {info.key for info in store.list(record.folder)}
    missing = [moved for moved in record.objects if not _is_somewhere(store, record, moved, present)]
    if missing and record.state != "copying":
        raise ObjectNotFoundError(
            f"the trash lacks {len(missing)} of the {len(record.objects)} objects of {record.id}",
            where=f"{store.name}/{record.target(missing[0])}",
        )
    if record.state != "copying":
        record = _write(store, replace(record, state="restoring"))
    for moved in record.objects:
        if record.target(moved) in present and store.stat(record.source(moved)) is None:
            store.copy(record.target(moved), record.source(moved), for_move=True)
    record = _write(store, replace(record, state="restored"))
    _remove(store, record)
    return record.entry()


def discard(store: ObjectStore, entry_id: str) -> bool:
    """Delete an entry of the trash for good.

    Args:
        store: The bucket.
        entry_id: Which; only a complete one, because an interrupted move or restore still has what nobody else has.

    Returns:
        Whether it was deleted: not one that is gone, incomplete, or that somebody brings back at this moment.

    Raises:
        UnavailableError: The store does not answer; what is left is deleted by the next command that reads the trash.
    """
    key = f"{TRASH}/{entry_id}/entry.json"
    try:
        data, version = store.get_versioned(key)
        record = _parse(data)
        if record.state != "complete":
            return False
        record = _write(store, replace(record, state="discarded"), if_version=version)
    except (ObjectNotFoundError, PreconditionFailedError, FormatError):
        return False
    _remove(store, record)
    return True


def _list_sources(store: ObjectStore, prefix: str) -> tuple[_Moved, ...]:
    return tuple(
        _Moved(info.key.removeprefix(f"{prefix}/"), info.size_bytes, info.version) for info in store.list(prefix)
    )


def _list_again(store: ObjectStore, record: _Record) -> _Record:
    """Bring the list of an interrupted copy up to date; once deleting has begun the list stands."""
    if record.state != "copying":
        return record
    current = _list_sources(store, record.prefix)
    names = {moved.name for moved in current}
    present = {info.key for info in store.list(record.folder)}
    only_in_trash = [moved for moved in record.objects if moved.name not in names and record.target(moved) in present]
    return _write(store, replace(record, objects=(*current, *only_in_trash)))


def _reserve(store: ObjectStore, prefix: str, reason: str, objects: tuple[_Moved, ...]) -> _Record:
    now = datetime.now(UTC)
    for number in itertools.count(1):
        record = _Record(f"{now:%Y%m%d%H%M%S}-{number}", prefix, reason, now, "copying", objects)
        try:
            return _write(store, record, is_new=True)
        except PreconditionFailedError:
            continue
    raise AssertionError("unreachable: numbers do not end")


def _advance(store: ObjectStore, record: _Record) -> _Record:
    """Take a move from where it is to its end."""
    if record.state == "copying":
        copied = tuple(moved for moved in record.objects if _copy_to_trash(store, record, moved))
        record = _write(store, replace(record, state="deleting", objects=copied))
    for moved in record.objects:
        current = store.stat(record.source(moved))
        if current is not None and current.version == moved.version:
            store.delete(record.source(moved))
    return _write(store, replace(record, state="complete"))


def _copy_to_trash(store: ObjectStore, record: _Record, moved: _Moved) -> bool:
    try:
        store.copy(record.source(moved), record.target(moved), for_move=True)
    except ObjectNotFoundError:  # deleted by somebody, or copied before an interruption
        return store.stat(record.target(moved)) is not None
    return True


def _choose(store: ObjectStore, entry_id: str | None) -> _Record:
    records = []
    for record in _read_all(store):
        if record.state in _OVER:
            _remove(store, record)
        else:
            records.append(record)
    chosen = [record for record in records if entry_id is None or record.id == entry_id]
    if chosen:
        return chosen[0]
    if not records:
        raise ObjectNotFoundError("the trash is empty", where=f"{store.name}/{TRASH}")
    raise ObjectNotFoundError(
        f"the trash has no entry {entry_id!r}",
        where=f"{store.name}/{TRASH}",
        expected=" or ".join(record.id for record in records[:NAMED_MAX]),
        fix="drctl undo --list",
    )


def _refuse_conflicts(store: ObjectStore, record: _Record) -> None:
    mine = {record.source(moved): moved for moved in record.objects} if record.state != "complete" else {}
    found = [info for info in store.list(record.prefix) if not _is_same(store, record, mine.get(info.key), info)]
    if found:
        named = ", ".join(info.key for info in found[:NAMED_MAX])
        more = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
        raise ConflictError(
            f"{record.prefix!r} is in use: {named}{more}",
            where=f"{store.name}/{record.prefix}",
            expected=f"nothing there, so that {record.id} can come back",
            fix=f"drctl undo {record.id} -w",
        )


def _is_same(store: ObjectStore, record: _Record, moved: _Moved | None, info: ObjectInfo) -> bool:
    """Tell whether an object at the old place has the content of its copy in the trash."""
    if moved is None:
        return False
    copy = store.stat(record.target(moved))
    if copy is None or copy.size_bytes != info.size_bytes:
        return False
    return copy.version == info.version or store.get(info.key) == store.get(record.target(moved))


def _is_somewhere(store: ObjectStore, record: _Record, moved: _Moved, present: set[str]) -> bool:
    return record.target(moved) in present or store.stat(record.source(moved)) is not None


def _remove(store: ObjectStore, record: _Record) -> None:
    """Remove an entry whose objects are back; its record goes last, so that this can be done again."""
    for info in list(store.list(f"{record.folder}/objects")):
        store.delete(info.key)
    store.delete(f"{record.folder}/entry.json")


def _read_all(store: ObjectStore) -> list[_Record]:
    return sorted(_readable(store), key=lambda record: _order(record.id), reverse=True)


def _readable(store: ObjectStore) -> Iterator[_Record]:
    for name in store.list_folders(TRASH):
        try:
            yield _parse(store.get(f"{TRASH}/{name}/entry.json"))
        except (ObjectNotFoundError, FormatError):
            continue


def _order(entry_id: str) -> tuple[str, int]:
    stamp, _, number = entry_id.partition("-")
    return stamp, int(number) if number.isdigit() else 0


def _write(store: ObjectStore, record: _Record, *, is_new: bool = False, if_version: str | None = None) -> _Record:
    data = {
        "version": ENTRY_VERSION,
        "id": record.id,
        "prefix": record.prefix,
        "reason": record.reason,
        "time": record.time.isoformat(),
        "state": record.state,
        "objects": [[moved.name, moved.size_bytes, moved.version] for moved in record.objects],
    }
    store.put(
        f"{record.folder}/entry.json", json.dumps(data, indent=1).encode(), if_absent=is_new, if_version=if_version
    )
    return record


def _parse(data: bytes) -> _Record:
    try:
        fields: dict[str, Any] = json.loads(data)
        if fields["version"] != ENTRY_VERSION:
            raise ValueError(f"version {fields['version']}")
        return _Record(
            id=fields["id"],
            prefix=fields["prefix"],
            reason=fields["reason"],
            time=datetime.fromisoformat(fields["time"]),
            state=fields["state"],
            objects=tuple(_Moved(*values) for values in fields["objects"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"not an entry of the trash: {error}") from error
