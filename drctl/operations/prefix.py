"""What lies under a model's prefix: the answer to "is it free?" and "can it go on?"."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from drctl.engines.identity import ProcessIdentity
from drctl.errors import DrctlError
from drctl.formats.checkpoint_index import checkpoint_number, parse_checkpoint_index
from drctl.operations.amount import objects_text

if TYPE_CHECKING:
    from drctl.formats.object_keys import ModelKeys
    from drctl.storage.objects import ObjectStore


@dataclass(frozen=True)
class PrefixContent:
    """Facts about the objects under a prefix.

    Attributes:
        count: How many there are, metrics that lie elsewhere included.
        size_bytes: Their size.
        newest: When the newest was put.
        last_checkpoint: Number of the last checkpoint, None when there is none.
        has_snapshot: The files that a resume needs are there.
        conditions: What the newest checkpoint was trained under, see `Manifest.conditions`.
        holder_here: Process of this machine that trains the model now, or None.
    """

    count: int
    size_bytes: int
    newest: datetime | None
    last_checkpoint: int | None
    has_snapshot: bool
    conditions: Mapping[str, Any] = field(default_factory=dict)
    holder_here: int | None = None

    def describe(self) -> str:
        """Return the facts for people."""
        objects = objects_text(self.count, self.size_bytes)
        newest = f", newest {self.newest.astimezone():%Y-%m-%d %H:%M:%S}" if self.newest else ""
        checkpoint = "no checkpoint" if self.last_checkpoint is None else f"last checkpoint {self.last_checkpoint}"
        return f"{objects}{newest}, {checkpoint}"


def read_prefix(store: ObjectStore, keys: ModelKeys) -> PrefixContent:
    """Look at what lies under a prefix.

    Raises:
        UnavailableError: The store does not answer.
    """
    objects = [info for prefix in keys.all_prefixes for info in store.list(prefix)]
    if not objects:
        return PrefixContent(0, 0, None, None, has_snapshot=False)
    present = {info.key for info in objects}
    manifests = [name for name in (_manifest_number(keys, key) for key in present) if name is not None]
    return PrefixContent(
        count=len(objects),
        size_bytes=sum(info.size_bytes for info in objects),
        newest=max(info.modified for info in objects),
        last_checkpoint=_last_checkpoint(store, keys, manifests),
        has_snapshot=keys.custom_files("hyperparameters.json") in present,
        conditions=_conditions(store, keys, manifests),
        holder_here=_live_holder(store, keys),
    )


def _manifest_number(keys: ModelKeys, key: str) -> int | None:
    folder, _, name = key.rpartition("/")
    stem = name.removesuffix(".json")
    return int(stem) if folder == keys.manifests_folder and stem.isdigit() else None


def _last_checkpoint(store: ObjectStore, keys: ModelKeys, manifests: list[int]) -> int | None:
    if manifests:
        return max(manifests)
    try:  # a model of the community's trainer has the index alone
        index = parse_checkpoint_index(store.get(keys.checkpoint_index), keys.checkpoint_index)
        return checkpoint_number(index.last.name) if index.last and index.last.name else None
    except DrctlError:
        return None


def _conditions(store: ObjectStore, keys: ModelKeys, manifests: list[int]) -> Mapping[str, Any]:
    if not manifests:
        return {}
    try:
        found = json.loads(store.get(keys.manifest(max(manifests))))
        conditions: Mapping[str, Any] = found["conditions"]
    except (DrctlError, ValueError, KeyError, TypeError):
        return {}
    return conditions


def _live_holder(store: ObjectStore, keys: ModelKeys) -> int | None:
    """Return the process of this machine that holds the model's lease; one that has ended holds nothing."""
    try:
        lease = json.loads(store.get(keys.lease))
        if lease["host"] != socket.gethostname() or lease["is_released"]:
            return None
        holder = ProcessIdentity(int(lease["pid"]), int(lease["started"]))
    except (DrctlError, ValueError, KeyError, TypeError):
        return None
    return holder.pid if holder.is_alive else None
