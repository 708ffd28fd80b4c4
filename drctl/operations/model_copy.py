"""Copy a model to another place: all of it that was chosen, checked, or nothing.

The copy's record goes first and says that it is not complete; files and manifests follow, then the checkpoint index,
which makes a model of them; last the record once more. What fails or is interrupted is taken back. After a kill the
record tells the next copy that what lies there is worth nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from drctl.engines.identity import ProcessIdentity
from drctl.errors import ConflictError, DrctlError, ObjectNotFoundError, PreconditionFailedError
from drctl.formats.copy_record import CopyRecord, parse_copy_record, render_copy_record
from drctl.formats.manifest import FileRecord
from drctl.operations.amount import count_text, objects_text
from drctl.operations.prefix import PrefixContent, read_prefix
from drctl.operations.rollback import Rollback
from drctl.operations.trash import refuse_live_trainer
from drctl.result import Message
from drctl.storage.transfer import check_arrived, transfer
from drctl.storage.trash import TrashEntry, move_to_trash, restore

if TYPE_CHECKING:
    from drctl.operations.model_selection import Place, Selection
    from drctl.storage.objects import ObjectStore

OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class CopyPlan:
    """A copy that can be made; nothing has been changed yet.

    Attributes:
        source: Where the model is.
        target: Where it goes.
        selection: What goes.
        command: What asked for it, as the trash tells it.
        replaced: What lies at the target and will be moved to the trash; None when it is free.
        leftover: Keys that an interrupted copy has left at the target.
    """

    source: Place
    target: Place
    selection: Selection
    command: str
    replaced: PrefixContent | None
    leftover: tuple[str, ...]

    @property
    def what(self) -> str:
        """What goes, in words."""
        number = self.selection.checkpoint
        return f"all of {self.source.name}" if number is None else f"checkpoint {number} of {self.source.name}"

    def describe(self) -> tuple[Message, ...]:
        """Return what will happen, for people."""
        count = len(self.selection.target_keys)
        lines = [Message(note, "warning") for note in self.selection.notes]
        lines.append(
            Message(f"{self.what} goes to {self.target.name}: {objects_text(count, self.selection.size_bytes)}")
        )
        if self.replaced is not None:
            lines.append(Message(f"what is there ({self.replaced.describe()}) will be moved to the trash"))
        if self.leftover:
            lines.append(
                Message(f"{count_text(len(self.leftover), 'object')} of an interrupted copy there will be replaced")
            )
        return tuple(lines)

    def list_objects(self) -> tuple[Message, ...]:
        """Return one line per object."""
        sizes = {item.target: item.size_bytes for item in self.selection.items}
        sizes |= {key: len(data) for key, data in self.selection.written.items()}
        return tuple(Message(f"{size:>12}  {self.target.store.name}/{key}") for key, size in sorted(sizes.items()))

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a mapping."""
        return {
            "source": self.source.name,
            "target": self.target.name,
            "checkpoint": self.selection.checkpoint,
            "objects": sorted(self.selection.target_keys),
            "size_bytes": self.selection.size_bytes,
        }


def plan_copy(
    source: Place, target: Place, select: Callable[[], Selection], *, wipe: bool, command: str, free_name: str
) -> CopyPlan:
    """Find out whether a model can be copied to a place.

    Args:
        source: Where the model is.
        target: Where it goes.
        select: Chooses what goes.
        wipe: What lies at the target may be moved to the trash.
        command: What asks for it, such as ``drctl upload-model``.
        free_name: What to type instead when the target is in use.

    Raises:
        ConflictError: The target is in use, or the copy would lie in the model or the model in the copy.
        DrctlError: See `select`.
    """
    _refuse_nesting(source, target)
    selection = select()
    leftover = _leftover(target)
    content = read_prefix(target.store, target.keys)
    # A car file may lie where its model will.
    is_car_alone = content.count == 1 and target.store.stat(target.keys.car_file) is not None
    if leftover or not content.count or is_car_alone:
        return CopyPlan(source, target, selection, command, None, leftover)
    if not wipe:
        raise ConflictError(
            f"the prefix {target.keys.prefix} is in use: {content.describe()}",
            where=target.name,
            expected="an empty prefix",
            fix=f"{free_name}; with -w what is there is moved to the trash",
        )
    refuse_live_trainer(target.store, target.keys.prefix)
    return CopyPlan(source, target, selection, command, content, ())


def copy_model(plan: CopyPlan, on_bytes: OnBytes = lambda _count: None) -> TrashEntry | None:
    """Make a copy, whole and checked; when that fails or is interrupted, all is as it was.

    Args:
        plan: What `plan_copy` found.
        on_bytes: Called with the length of each object that has arrived.

    Returns:
        The entry of the trash that has what was there before, or None.

    Raises:
        ConflictError: Somebody else copies to this place.
        DrctlError: A store does not answer, or an object is not what it should be.
    """
    store, selection = plan.target.store, plan.selection
    trashed = None
    with Rollback() as rollback:
        if plan.replaced is not None:
            trashed = move_to_trash(store, plan.target.keys.prefix, plan.command)
            rollback.add(partial(restore, store, trashed.id))
        _delete(store, plan.leftover)
        record = _begin(plan)
        rollback.add(partial(_delete, store, [*selection.target_keys, plan.target.keys.copy_record]))
        arrived = transfer(plan.source.store, store, selection.items, on_bytes)
        for key, data in {**selection.made, **selection.manifests}.items():
            store.put(key, data)
            arrived[key] = FileRecord.of(data)
            on_bytes(len(data))
        check_arrived(store, plan.target.keys.prefix, arrived)
        if selection.index is not None:
            store.put(*selection.index)
            on_bytes(len(selection.index[1]))
        _finish(plan, record, arrived)
        rollback.forget()
    return trashed


def _begin(plan: CopyPlan) -> CopyRecord:
    own = ProcessIdentity.of(os.getpid())
    prefix = f"{plan.target.keys.prefix}/"
    record = CopyRecord(
        source=plan.source.store.name,
        source_prefix=plan.source.keys.prefix,
        checkpoint=plan.selection.checkpoint,
        time=datetime.now(UTC).isoformat(),
        host=socket.gethostname(),
        pid=own.pid,
        started=own.started,
        names=tuple(key.removeprefix(prefix) for key in plan.selection.target_keys),
        files={},
        is_complete=False,
    )
    try:
        plan.target.store.put(plan.target.keys.copy_record, render_copy_record(record), if_absent=True)
    except PreconditionFailedError:
        raise _is_under_way(plan.target, "somebody else") from None
    return record


def _finish(plan: CopyPlan, record: CopyRecord, arrived: dict[str, FileRecord]) -> None:
    prefix = f"{plan.target.keys.prefix}/"
    files = {key.removeprefix(prefix): one for key, one in sorted(arrived.items())}
    done = replace(record, names=tuple(files), files=files, is_complete=True)
    plan.target.store.put(plan.target.keys.copy_record, render_copy_record(done))


def _leftover(target: Place) -> tuple[str, ...]:
    """Return the keys that an interrupted copy has left, or none when anything else lies there too.

    Raises:
        ConflictError: The copy goes on.
    """
    try:
        record = parse_copy_record(target.store.get(target.keys.copy_record), target.keys.copy_record)
    except DrctlError:
        return ()
    if record.is_complete:
        return ()
    if record.host == socket.gethostname():
        if ProcessIdentity(record.pid, record.started).is_alive:
            raise _is_under_way(target, f"process {record.pid}")
        known = {target.keys.copy_record, *(f"{target.keys.prefix}/{name}" for name in record.names)}
        found = [info.key for info in target.store.list(target.keys.prefix) if info.key != target.keys.car_file]
        return tuple(found) if known.issuperset(found) else ()
    return ()


def _is_under_way(target: Place, who: str) -> ConflictError:
    return ConflictError(
        f"{who} is copying a model to {target.name}",
        where=f"{target.store.name}/{target.keys.copy_record}",
        expected="one copy at a time",
        fix="wait until it is done",
    )


def _refuse_nesting(source: Place, target: Place) -> None:
    here, there = f"{source.keys.prefix}/", f"{target.keys.prefix}/"
    if source.store.name != target.store.name or source.endpoint_url != target.endpoint_url:
        return
    if here.startswith(there) or there.startswith(here):
        same = here == there
        raise ConflictError(
            f"{target.name} is the model itself" if same else f"{target.name} and {source.name} lie in one another",
            where=target.name,
            expected="another prefix for the copy",
            fix="drctl config set DR_UPLOAD_S3_PREFIX=NAME",
        )


def _delete(store: ObjectStore, keys: Iterable[str]) -> None:
    for key in keys:
        with contextlib.suppress(ObjectNotFoundError):
            store.delete(key)
