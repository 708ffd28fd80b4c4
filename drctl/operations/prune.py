"""Free disk space: what may go, shown before it goes, and gone for good."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from drctl.operations.amount import size_text
from drctl.operations.removable import (
    Removable,
    find_checkpoints,
    find_images,
    find_old_runs,
    find_old_trash,
    find_old_videos,
    models_in_training,
)
from drctl.operations.stored_models import read_models
from drctl.operations.table import lay_out
from drctl.result import Message, Result
from drctl.storage.location import open_store, project_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project

_DAY_S: Final = 86_400.0
_HEADS: Final = ("what", "which", "number", "size")
_WORDS: Final = {
    "checkpoints": "checkpoints beyond DR_KEEP_GB",
    "optimisers": "optimisers that no resume needs",
    "trash": "trash",
    "run": "state and logs of a run that ended",
    "evaluation": "log of an evaluation",
    "videos": "videos of an old race",
    "images": "image without a name",
}


@dataclass(frozen=True)
class Pruning:
    """What will go; nothing has yet.

    Attributes:
        store: Name of the bucket.
        items: What goes.
        in_training: Models that are left alone because they are being trained.
        days: What is younger stays.
    """

    store: str
    items: tuple[Removable, ...]
    in_training: tuple[str, ...]
    days: float

    @property
    def size_bytes(self) -> int:
        """Space that becomes free."""
        return sum(item.size_bytes for item in self.items)

    def describe(self) -> tuple[Message, ...]:
        """Return the table for people."""
        notes = tuple(Message(f"{prefix} is being trained and left alone") for prefix in self.in_training)
        if not self.items:
            return (*notes, Message(f"nothing to remove; what is younger than {self.days:g} days stays"))
        rows = [
            (_WORDS[item.kind], item.name, str(item.count), size_text(item.size_bytes))
            for item in sorted(self.items, key=lambda item: -item.size_bytes)
        ]
        rows.append(("together", "", "", size_text(self.size_bytes)))
        return (*map(Message, lay_out(_HEADS, rows, to_the_right=("number", "size"))), *notes)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a mapping."""
        return {
            "store": self.store,
            "items": [
                {"kind": item.kind, "name": item.name, "count": item.count, "size_bytes": item.size_bytes}
                for item in self.items
            ],
            "size_bytes": self.size_bytes,
            "in_training": list(self.in_training),
        }


def plan_pruning(project: Project, *, days: float, has_videos: bool = False, has_images: bool = False) -> Pruning:
    """Find what may go. Best and last checkpoints never do, nor anything of a run that goes on.

    Args:
        project: The project.
        days: What is in the trash, what a run left and videos stay for so many days.
        has_videos: Videos of races may go, all but each model's newest.
        has_images: Images of drctl that have lost their name may go.

    Raises:
        UnavailableError: The store, or Docker for the images, does not answer.
    """
    store = open_store(project_store_location(project))
    before = time.time() - days * _DAY_S
    prefixes = [model.prefix for model in read_models(store)]
    in_training = models_in_training(store, prefixes, project.root)
    items: list[Removable] = []
    for prefix in prefixes:
        if prefix in in_training:
            continue
        items += find_checkpoints(store, prefix, project.settings.keep_gb * 1e9)
        if has_videos:
            items += find_old_videos(store, prefix, before)
    items += find_old_trash(store, before)
    items += find_old_runs(project.root, before)
    if has_images:
        items += find_images()
    return Pruning(store.name, tuple(items), tuple(sorted(in_training)), days)


def prune(plan: Pruning) -> Result:
    """Remove what was found, for good: nothing of it goes to the trash, which would free no space.

    Returns:
        Data: that of `Pruning.to_json` with what was removed, and ``kept``: names of what came into use meanwhile.

    Raises:
        UnavailableError: The store does not answer; what is left can be removed by the same command.
    """
    removed: list[Removable] = []
    kept: list[Removable] = []
    for item in plan.items:
        (removed if item.remove() else kept).append(item)
    done = Pruning(plan.store, tuple(removed), plan.in_training, plan.days)
    messages = [Message(f"{item.name} is in use now and stays", "warning") for item in kept]
    if plan.items:
        messages.append(Message(f"removed {size_text(done.size_bytes)}", "success"))
    else:
        messages += plan.describe()
    data = {**done.to_json(), "kept": [item.name for item in kept]}
    return Result(data, tuple(messages), ("drctl list-models",))
