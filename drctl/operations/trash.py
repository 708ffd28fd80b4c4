"""Bring back what was moved to the trash."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from drctl.errors import ConflictError, ObjectNotFoundError
from drctl.formats.object_keys import ModelKeys
from drctl.operations.amount import objects_text
from drctl.operations.upload_place import open_models_store, upload_option
from drctl.result import Message, Result
from drctl.storage.trash import TrashEntry, list_trash, move_to_trash, restore
from drctl.trainer.lease import EXPIRE_S, is_gone, read_holder

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.storage.objects import ObjectStore


def show_trash(project: Project, *, is_uploaded: bool = False) -> Result:
    """Tell what is in the trash of the project's bucket, or of the one that models are uploaded to.

    Args:
        project: The project.
        is_uploaded: That of ``DR_UPLOAD_S3_BUCKET``.

    Returns:
        Data: ``store``, ``entries`` (newest first: ``id``, ``prefix``, ``reason``, ``time``, ``object_count``,
        ``size_bytes``, ``is_complete``).

    Raises:
        UnavailableError: The store cannot be used.
    """
    store = open_models_store(project, is_uploaded=is_uploaded)
    entries = list_trash(store)
    lines = tuple(Message(_describe(entry)) for entry in entries)
    messages = lines or (Message("the trash is empty"),)
    steps = (f"drctl undo {entries[0].id}{upload_option(is_uploaded)}",) if entries else ()
    return Result({"store": store.name, "entries": [_to_data(entry) for entry in entries]}, messages, steps)


def undo(project: Project, entry_id: str | None = None, *, wipe: bool = False, is_uploaded: bool = False) -> Result:
    """Bring an entry of the trash back to its place.

    Args:
        project: The project.
        entry_id: Which; None for the newest.
        wipe: Move what lies at its place now to the trash first.
        is_uploaded: It is in the trash of ``DR_UPLOAD_S3_BUCKET``.

    Returns:
        Data: ``store``, ``restored`` (the entry), ``moved`` (the entry made by `wipe`, or None).

    Raises:
        ConflictError: Something lies at the target, or a trainer is at work there; nothing was changed.
        ObjectNotFoundError: There is no such entry.
        UnavailableError: The store cannot be used.
    """
    store = open_models_store(project, is_uploaded=is_uploaded)
    wanted = next((entry for entry in list_trash(store) if entry_id in (None, entry.id)), None)
    moved = _make_room(store, wanted) if wipe and wanted else None
    # By its id: making room has made a newer entry.
    entry = restore(store, wanted.id if wanted else entry_id)
    messages = [Message(f"{entry.prefix} is back: {_amount(entry)}", "success")]
    if moved:
        messages.insert(0, Message(f"what was at {entry.prefix} is in the trash as {moved.id}"))
    data = {"store": store.name, "restored": _to_data(entry), "moved": _to_data(moved) if moved else None}
    return Result(data, tuple(messages), (f"drctl undo --list{upload_option(is_uploaded)}",))


def _make_room(store: ObjectStore, wanted: TrashEntry) -> TrashEntry | None:
    """Move what lies at an entry's place to the trash and return the new entry, None when nothing was in the way."""
    if next(store.list(wanted.prefix), None) is None:
        return None
    refuse_live_trainer(store, wanted.prefix)
    try:
        moved = move_to_trash(store, wanted.prefix, f"undo {wanted.id} -w")
    except ObjectNotFoundError:
        return None
    # What an interrupted move had left behind went into the entry itself: nothing else was in the way.
    return None if moved.id == wanted.id else moved


def refuse_live_trainer(store: ObjectStore, prefix: str) -> None:
    """Make sure that no trainer holds the lease of a model.

    Raises:
        ConflictError: One does.
    """
    holder = read_holder(store, ModelKeys(prefix).lease)
    if holder is None or holder.is_released or is_gone(holder) or time.time() - holder.renewed > EXPIRE_S:
        return
    raise ConflictError(
        f"a trainer on {holder.host} (pid {holder.pid}) is writing under {prefix!r}",
        where=f"{store.name}/{prefix}",
        expected="no training under this prefix",
        fix="drctl stop-training",
    )


def _describe(entry: TrashEntry) -> str:
    when = f"{entry.time.astimezone():%Y-%m-%d %H:%M:%S}"
    reason = f"  ({entry.reason})" if entry.reason else ""
    interrupted = "" if entry.is_complete else "  interrupted"
    return f"{entry.id}  {when}  {entry.prefix}  {_amount(entry)}{reason}{interrupted}"


def _amount(entry: TrashEntry) -> str:
    return objects_text(entry.object_count, entry.size_bytes)


def _to_data(entry: TrashEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "prefix": entry.prefix,
        "reason": entry.reason,
        "time": entry.time.isoformat(),
        "object_count": entry.object_count,
        "size_bytes": entry.size_bytes,
        "is_complete": entry.is_complete,
    }
