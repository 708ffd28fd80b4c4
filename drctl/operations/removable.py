"""What may go when space runs out, found without touching it, each with the way to remove it."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drctl.engines.choice import engine_of_run
from drctl.engines.lock import LOCK_FILE, RunLock
from drctl.errors import ConflictError
from drctl.formats.object_keys import ModelKeys
from drctl.operations.trash import refuse_live_trainer
from drctl.stack.plan import read_plan
from drctl.status.run_status import find_runs
from drctl.storage.trash import discard, list_trash
from drctl.trainer.publish import load_manifests
from drctl.trainer.retention import OPTIMIZERS, checkpoints_to_drop

if TYPE_CHECKING:
    from drctl.formats.manifest import Manifest
    from drctl.storage.objects import ObjectInfo, ObjectStore

_VIDEO: Final = re.compile(r"evaluation-([0-9]{14})/mp4/.+\.mp4")
_EVALUATION_FOLDERS: Final = "eval-*"


@dataclass(frozen=True)
class Removable:
    """Something that may go.

    Attributes:
        kind: ``checkpoints``, ``optimisers``, ``trash``, ``run``, ``evaluation``, ``videos`` or ``images``.
        name: Which, for people.
        count: How many objects, files or images.
        size_bytes: Their size.
        remove: Removes it; False when it is in use now and stays.
    """

    kind: str
    name: str
    count: int
    size_bytes: int
    remove: Callable[[], bool]


def models_in_training(store: ObjectStore, prefixes: Sequence[str], root: Path) -> set[str]:
    """Return those of some models that a trainer writes, or a run of this project is about to."""
    running = {
        plan.prefix
        for folder in find_runs(root)
        if (plan := read_plan(folder)) is not None and engine_of_run(folder).is_running(folder)
    }
    return {prefix for prefix in prefixes if prefix in running or _is_held(store, prefix)}


def find_checkpoints(store: ObjectStore, prefix: str, budget_bytes: float) -> Iterator[Removable]:
    """Find what the trainer itself would thin out under a budget, and optimisers that no resume needs.

    The best and the last ten checkpoints stay, and the optimisers of the last two.

    Args:
        store: The bucket.
        prefix: Of a model that is not being trained.
        budget_bytes: Space for the model's history of checkpoints.
    """
    keys = ModelKeys(prefix)
    manifests = load_manifests(store, keys)
    if not manifests:
        return
    sizes = {one.number: _history_bytes(keys, one) for one in manifests}
    dropped = checkpoints_to_drop(sizes, manifests[-1].best.number, budget_bytes)
    if dropped:
        size = sum(sizes[number] for number in dropped)
        yield Removable("checkpoints", prefix, len(dropped), size, partial(_remove_checkpoints, store, keys, dropped))
    extra = _old_optimizers(store, keys, manifests)
    if extra:
        size = sum(info.size_bytes for info in extra)
        yield Removable("optimisers", prefix, len(extra), size, partial(_remove_objects, store, prefix, extra))


def find_old_trash(store: ObjectStore, before: float) -> Iterator[Removable]:
    """Find what was moved to the trash before a time, in epoch seconds; interrupted moves stay."""
    for entry in list_trash(store):
        if entry.is_complete and entry.time.timestamp() < before:
            name = f"{entry.id}, {entry.prefix}"
            yield Removable("trash", name, entry.object_count, entry.size_bytes, partial(discard, store, entry.id))


def find_old_videos(store: ObjectStore, prefix: str, before: float) -> Iterator[Removable]:
    """Find the videos of evaluations before a time; the newest evaluation's stay, and the copy where DRfC has it."""
    videos: dict[str, list[ObjectInfo]] = {}
    for info in store.list(prefix):
        found = _VIDEO.fullmatch(info.key.removeprefix(f"{prefix}/"))
        if found:
            videos.setdefault(found[1], []).append(info)
    for stamp in sorted(videos)[:-1]:
        if datetime.strptime(stamp, "%Y%m%d%H%M%S").timestamp() < before:  # local time (contract 1.3)
            infos = videos[stamp]
            size = sum(info.size_bytes for info in infos)
            name = f"{prefix}, evaluation {stamp}"
            yield Removable("videos", name, len(infos), size, partial(_remove_objects, store, None, infos))


def find_old_runs(root: Path, before: float) -> Iterator[Removable]:
    """Find the state and the logs of runs and evaluations that ended before a time."""
    for folder in find_runs(root):
        if _modified(folder) < before and not engine_of_run(folder).is_running(folder):
            yield _folder("run", folder, root, is_run=True)
    for folder in sorted((root / "tmp").glob(_EVALUATION_FOLDERS)):
        if folder.is_dir() and _modified(folder) < before:
            found = _folder("evaluation", folder, root)
            if found.count:
                yield found


def find_images() -> Iterator[Removable]:
    """Find images of drctl that a newer build has taken the name of.

    Raises:
        UnavailableError: Docker does not answer.
    """
    from drctl.engines import docker

    for image in docker.list_dangling("drctl "):
        name = f"{image.title} {image.id}"
        yield Removable("images", name, 1, image.size_bytes, partial(docker.remove_image, image.id))


def _is_held(store: ObjectStore, prefix: str) -> bool:
    try:
        refuse_live_trainer(store, prefix)
    except ConflictError:
        return True
    return False


def _history_bytes(keys: ModelKeys, manifest: Manifest) -> int:
    optimizer = keys.optimizer(manifest.number).removeprefix(f"{keys.prefix}/")
    return sum(record.size_bytes for name, record in manifest.files.items() if name != optimizer)


def _old_optimizers(store: ObjectStore, keys: ModelKeys, manifests: Sequence[Manifest]) -> list[ObjectInfo]:
    kept = {keys.optimizer(one.number) for one in manifests[-OPTIMIZERS:]}
    return [info for info in store.list(keys.optimizers_folder) if info.key not in kept]


def _remove_checkpoints(store: ObjectStore, keys: ModelKeys, numbers: Sequence[int]) -> bool:
    for number in numbers:
        if _is_held(store, keys.prefix):
            return False
        # The manifest goes first: a checkpoint without one does not exist, one without weights would be broken.
        for key in (keys.manifest(number), keys.weights(number), keys.frozen_graph(number), keys.optimizer(number)):
            store.delete(key)
    return True


def _remove_objects(store: ObjectStore, prefix: str | None, infos: Sequence[ObjectInfo]) -> bool:
    for info in infos:
        if prefix is not None and _is_held(store, prefix):
            return False
        store.delete(info.key)
    return True


def _folder(kind: str, folder: Path, root: Path, *, is_run: bool = False) -> Removable:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK_FILE]
    size = sum(path.stat().st_size for path in files)
    return Removable(kind, str(folder.relative_to(root)), len(files), size, partial(_empty, folder, is_run=is_run))


def _empty(folder: Path, *, is_run: bool) -> bool:
    """Remove what is in a folder but its lock, which is held meanwhile, so that nothing can be started there."""
    try:
        lock = RunLock.acquire(folder, "its folder is being emptied")
    except ConflictError:
        return False
    try:
        engine = engine_of_run(folder)
        if is_run and engine.is_running(folder):
            return False
        if is_run:
            engine.down(folder)  # containers that have ended are found by what is in the folder
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != LOCK_FILE:
                path.unlink()
    finally:
        lock.close()
    return True


def _modified(folder: Path) -> float:
    """Return when anything in a folder was last written."""
    return max((path.lstat().st_mtime for path in folder.rglob("*") if path.name != LOCK_FILE), default=time.time())
