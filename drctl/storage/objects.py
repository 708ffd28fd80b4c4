"""What a store is: objects under keys in one bucket, put whole or not at all."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from drctl.errors import UsageError

KEY_BYTES_MAX = 1024
"""Longest key in UTF-8 bytes (Amazon S3 User Guide, "Naming Amazon S3 objects")."""


@dataclass(frozen=True)
class ObjectInfo:
    """What a store tells about an object without reading it.

    Attributes:
        key: Full key in the bucket.
        size_bytes: Length of the content.
        modified: When it was put, with time zone.
        version: Token for ``put(if_version=...)``. A folder store changes it with every put, an S3 store with every
            change of the content.
    """

    key: str
    size_bytes: int
    modified: datetime
    version: str


class ObjectStore(Protocol):
    """One bucket.

    Every put is atomic: a reader finds the old content or the new, whatever is killed when. Keys are ``/``-separated
    names; prefixes are whole segments, so the prefix ``v1`` covers ``v1/a`` and never ``v10/a``.

    Every method raises `UsageError` for a key that cannot be one and `UnavailableError` when the store does not
    answer, refuses the access key or has no such bucket.
    """

    @property
    def name(self) -> str:
        """Name for messages: ``data/bucket`` or ``s3://bucket``."""

    def get(self, key: str) -> bytes:
        """Return the content of an object.

        Raises:
            ObjectNotFoundError: There is none under this key.
        """

    def get_versioned(self, key: str) -> tuple[bytes, str]:
        """Return the content of an object and the version that has exactly this content.

        Raises:
            ObjectNotFoundError: There is none under this key.
        """

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None) -> str:
        """Write an object and return its version.

        Args:
            key: Where to; what is there is replaced.
            data: The whole content.
            if_absent: Write only when nothing is there. Of several writers exactly one wins.
            if_version: Write only when the object there has this version. Of several writers exactly one wins.

        Raises:
            PreconditionFailedError: The condition does not hold; nothing was written.
            ConflictError: A folder store has a folder of this name, or an object where the key needs a folder.
        """

    def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known about an object, or None when there is none."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Give every object below a prefix, sorted by key; all objects, trash included, for the empty prefix."""

    def list_folders(self, prefix: str = "") -> builtins.list[str]:
        """Return the names, without the prefix, of the folders directly below it that hold objects, sorted."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""

    def copy(self, source: str, target: str, *, for_move: bool = False) -> None:
        """Copy an object within the bucket, replacing what is at the target.

        Args:
            source: Key of the object.
            target: Key of the copy.
            for_move: The caller deletes the source next. A folder store then lets both names share their bytes, which
                takes no space and no time; content edited in place in between would change under both.

        Raises:
            ObjectNotFoundError: There is no source.
            ConflictError: As for `put`.
        """


def check_key(key: str) -> None:
    """Make sure that a key names one place in every kind of store.

    Raises:
        UsageError: It is empty or too long, or has an empty, ``.`` or ``..`` segment or a control character.
    """
    problem = _key_problem(key)
    if problem is not None:
        raise UsageError(
            f"{key!r} is not an object key: {problem}",
            expected="names separated by single slashes, such as rl-deepracer-sagemaker/model/model_0.pb",
        )


def folder_of(prefix: str) -> str:
    """Return a prefix as its whole segments and a slash, ``v1/``; empty for the whole bucket.

    Raises:
        UsageError: The prefix cannot be one, see `check_key`.
    """
    cleaned = prefix.strip("/")
    if not cleaned:
        return ""
    check_key(cleaned)
    return f"{cleaned}/"


def _key_problem(key: str) -> str | None:
    if not key:
        return "it is empty"
    if key.startswith("/"):
        return "it starts with a slash"
    segments = key.split("/")
    if "" in segments:
        return "it has an empty segment"
    if "." in segments or ".." in segments:
        return "it has a segment '.' or '..'"
    if any(ord(character) < 32 or ord(character) == 127 for character in key):
        return "it has a control character"
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    return f"it is longer than {KEY_BYTES_MAX} bytes" if len(encoded) > KEY_BYTES_MAX else None
