"""``.drctl/copy.json``: what a copied model was copied from, and whether all of it has arrived.

It is put before the first file of a copy and once more after the last one, when the checkpoint index follows: a model
whose record says that it is not complete is a copy that was interrupted or goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from drctl.errors import FormatError
from drctl.formats.manifest import FileRecord

VERSION = 1


@dataclass(frozen=True)
class CopyRecord:
    """One copy of a model.

    Attributes:
        source: Name of the store it came from, such as ``s3://bucket``.
        source_prefix: The model there.
        checkpoint: The only checkpoint that was copied; None for the whole model.
        time: When it was begun, ISO 8601 with time zone.
        host: Machine that copies.
        pid: Process id there.
        started: Start time of that process in clock ticks since boot; 0 where unknown.
        names: Objects that are copied, relative to the prefix.
        files: Those that have arrived; all of them once it is complete.
        is_complete: Everything is there and was checked.
    """

    source: str
    source_prefix: str
    checkpoint: int | None
    time: str
    host: str
    pid: int
    started: int
    names: tuple[str, ...]
    files: Mapping[str, FileRecord]
    is_complete: bool


def render_copy_record(record: CopyRecord) -> bytes:
    """Return the file's content."""
    return (json.dumps({"version": VERSION, **asdict(record)}, indent=1, sort_keys=True) + "\n").encode()


def parse_copy_record(data: bytes, source: str) -> CopyRecord:
    """Read a record.

    Args:
        data: The file's content.
        source: Its key for messages.

    Raises:
        FormatError: It is none, or one of a newer version.
    """
    try:
        raw: dict[str, Any] = json.loads(data)
        version = raw.pop("version")
        if version != VERSION:
            raise ValueError(f"version {version}")
        files = {name: FileRecord(**values) for name, values in raw["files"].items()}
        return CopyRecord(**{**raw, "names": tuple(raw["names"]), "files": files})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"this is not the record of a copy: {error}",
            where=source,
            expected=f"version {VERSION}",
            fix="use the version of drctl that wrote it, or copy again with -w",
        ) from error
