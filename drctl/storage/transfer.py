"""Copying objects from one store to another, several at a time, each checked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from drctl.errors import FailedError, FormatError, ObjectNotFoundError
from drctl.formats.manifest import FileRecord

if TYPE_CHECKING:
    from drctl.storage.objects import ObjectStore

REQUESTS: Final = 6
"""Objects at a time; each is held in memory whole."""

OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Item:
    """One object to be copied.

    Attributes:
        source: Its key.
        target: Key of the copy.
        size_bytes: Its length, as the source lists it.
        wanted: What its content must be; None where nothing tells.
        is_optional: It may have gone since it was listed: a training that goes on removes what is old.
    """

    source: str
    target: str
    size_bytes: int
    wanted: FileRecord | None = None
    is_optional: bool = False


def transfer(
    source: ObjectStore, target: ObjectStore, items: Sequence[Item], on_bytes: OnBytes = lambda _count: None
) -> dict[str, FileRecord]:
    """Copy objects between two stores, or within one.

    The first failure ends it: what is not under way by then is not begun.

    Args:
        source: Where they are.
        target: Where they go; what is there under the same keys is replaced.
        items: What is copied.
        on_bytes: Called with the length of each object that has arrived; from several threads, one at a time.

    Returns:
        What has arrived, by key of the copy; optional items that had gone are left out.

    Raises:
        FormatError: An object has another content than it should have.
        ObjectNotFoundError: One that is not optional has gone.
        UnavailableError: A store does not answer.
    """
    arrived: dict[str, FileRecord] = {}
    lock = threading.Lock()

    def copy(item: Item) -> None:
        try:
            data = source.get(item.source)
        except ObjectNotFoundError:
            if item.is_optional:
                return
            raise
        record = FileRecord.of(data)
        if item.wanted is not None and record != item.wanted:
            raise _damaged(source, item, record)
        target.put(item.target, data)
        with lock:
            arrived[item.target] = record
            on_bytes(len(data))

    with ThreadPoolExecutor(max_workers=REQUESTS) as pool:
        try:
            # The large ones first: none of them is left alone at the end.
            futures = [pool.submit(copy, item) for item in sorted(items, key=lambda item: -item.size_bytes)]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        for future in done:
            future.result()
    return arrived


def check_arrived(target: ObjectStore, prefix: str, arrived: Mapping[str, FileRecord]) -> None:
    """Make sure that a store lists everything that was put there, at its full length.

    Args:
        target: The store.
        prefix: What all the keys lie under.
        arrived: What was put, by key.

    Raises:
        FailedError: Something is missing or cut short.
    """
    sizes = {info.key: info.size_bytes for info in target.list(prefix)}
    wrong = [key for key, record in arrived.items() if sizes.get(key) != record.size_bytes]
    if wrong:
        key = wrong[0]
        found = f"{sizes[key]} bytes" if key in sizes else "nothing"
        more = f" and {len(wrong) - 1} more objects" if len(wrong) > 1 else ""
        raise FailedError(
            f"the store has {found} under {key}{more}",
            where=f"{target.name}/{key}",
            expected=f"the {arrived[key].size_bytes} bytes that were put there",
            fix="copy again; somebody else may be writing there",
        )


def _damaged(source: ObjectStore, item: Item, found: FileRecord) -> FormatError:
    wanted = item.wanted
    what = (
        "has another content than its record says"
        if wanted is not None and found.size_bytes == wanted.size_bytes
        else f"has {found.size_bytes} bytes, not the {wanted.size_bytes if wanted else 0} of its record"
    )
    return FormatError(
        f"{item.source} is damaged: it {what}",
        where=f"{source.name}/{item.source}",
        expected="the content that was there when its record was written",
        fix="choose another checkpoint with -c",
    )
