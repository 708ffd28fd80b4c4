"""Copy the user's files between the project's folder ``custom_files`` and the bucket."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from drctl.errors import ConflictError, ObjectNotFoundError, Problem, UnavailableError, UsageError
from drctl.operations.amount import count_text
from drctl.result import Message, Result
from drctl.storage.location import create_bucket, open_store, project_store_location
from drctl.storage.objects import check_key

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.config.settings import Settings
    from drctl.storage.objects import ObjectStore

Change = Literal["new", "changed", "unchanged"]

_ALWAYS_LEFT_OUT = ("__pycache__",)


@dataclass(frozen=True)
class FileChange:
    """One file and what copying it does.

    Attributes:
        name: Path below ``custom_files``.
        key: Key in the bucket.
        change: What the copy is at its target.
    """

    name: str
    key: str
    change: Change


def upload_custom_files(project: Project, *, create_missing_bucket: bool = False) -> Result:
    """Put the local custom files that are new or changed into the bucket; nothing is deleted there.

    Hidden files, ``__pycache__`` and editors' backups (``name~``) stay here.

    Args:
        project: The project.
        create_missing_bucket: Make the bucket where there is none.

    Returns:
        Data: ``store``, ``files`` (list of ``name``, ``key``, ``change``), ``copied`` (how many), ``bucket_created``.

    Raises:
        UsageError: There are no local custom files.
        UnavailableError: The store or a file cannot be used.
    """
    local = _read_local(project.custom_files)
    if not local:
        raise UsageError(
            "there are no custom files to upload",
            where=str(project.custom_files),
            expected="reward_function.py, hyperparameters.json and model_metadata.json",
            fix="drctl download-custom-files",
        )
    location = project_store_location(project)
    is_created = create_missing_bucket and create_bucket(location)
    store = open_store(location)
    keys = {path.relative_to(project.custom_files).as_posix(): key for path, key in chosen_files(project).values()}
    changes = []
    for name, data in local.items():
        key = keys.get(name) or f"{_prefix(project.settings)}/{name}"
        change = _compare(_get(store, key), data)
        if change != "unchanged":
            store.put(key, data)
        changes.append(FileChange(name, key, change))
    notes = (Message(f"bucket {location.bucket} created"),) if is_created else ()
    result = _result(changes, store.name, f"{store.name}/{_prefix(project.settings)}", notes)
    return Result({**result.data, "bucket_created": is_created}, result.messages)


def download_custom_files(project: Project, *, force: bool = False) -> Result:
    """Copy the bucket's custom files here; files that exist only here stay.

    Args:
        project: The project.
        force: Replace local files that differ. What they held is kept under ``tmp/replaced``.

    Returns:
        Data: ``store``, ``files`` (list of ``name``, ``key``, ``change``), ``copied`` (how many), ``kept_in`` (folder
        with what was replaced, or None).

    Raises:
        ConflictError: Local files differ and `force` is not set; every one is named and nothing was written.
        ObjectNotFoundError: The bucket has no custom files.
        UnavailableError: The store or a file cannot be used.
    """
    store = open_store(project_store_location(project))
    found = _list_remote(store, project)
    if not found:
        raise ObjectNotFoundError(
            "the bucket has no custom files",
            where=f"{store.name}/{_prefix(project.settings)}",
            fix="drctl upload-custom-files",
        )
    content = {name: store.get(key) for name, key in found.items()}
    changes = [
        FileChange(name, key, _compare(_read(project.custom_files / name), content[name]))
        for name, key in found.items()
    ]
    differing = [one for one in changes if one.change == "changed"]
    if differing and not force:
        raise ConflictError.from_problems([_differs(one, store.name) for one in differing])
    _, kept_in = write_custom_files(project, content)
    notes = (Message(f"the replaced files are in {kept_in}"),) if kept_in else ()
    result = _result(changes, store.name, "custom_files", notes)
    return Result({**result.data, "kept_in": kept_in}, result.messages)


def write_custom_files(project: Project, contents: Mapping[str, bytes]) -> tuple[dict[str, Change], str | None]:
    """Write files to ``custom_files``; what they replace is kept under ``tmp/replaced``.

    Args:
        project: The project.
        contents: Content by path below ``custom_files``.

    Returns:
        What became of each, and the folder with what was replaced, or None.

    Raises:
        UnavailableError: A file cannot be read or written.
    """
    changes = {name: _compare(_read(project.custom_files / name), data) for name, data in contents.items()}
    differing = [name for name, change in changes.items() if change == "changed"]
    kept_in = _keep(project, differing) if differing else None
    for name, change in changes.items():
        if change != "unchanged":
            _write(project.custom_files / name, contents[name])
    return changes, kept_in


def chosen_files(project: Project) -> dict[str, tuple[Path, str]]:
    """Return which local file and which key the reward function, hyperparameters and metadata are.

    A key below the custom files' prefix names the local file at the same place, where there is one: with
    ``DR_LOCAL_S3_REWARD_KEY=custom_files/reward_b.py`` it is ``custom_files/reward_b.py`` (contract 1.1). Otherwise it
    is the file of the usual name.

    Returns:
        Usual name, such as ``reward_function.py``, to local path (which need not exist) and key in the bucket.
    """
    settings = project.settings
    keys = {
        "hyperparameters.json": settings.local_s3_hyperparameters_key,
        "model_metadata.json": settings.local_s3_model_metadata_key,
        "reward_function.py": settings.local_s3_reward_key,
    }
    return {name: (_local_path(project, name, key), key) for name, key in keys.items()}


def _local_path(project: Project, usual_name: str, key: str) -> Path:
    folder, prefix = project.custom_files, f"{_prefix(project.settings)}/"
    usual, named = folder / usual_name, folder / key.removeprefix(prefix)
    if not key.startswith(prefix) or (usual.is_file() and not named.is_file()):
        return usual
    return named


def _prefix(settings: Settings) -> str:
    return settings.local_s3_custom_files_prefix.strip("/")


def _list_remote(store: ObjectStore, project: Project) -> dict[str, str]:
    """Return local name to key of the bucket's custom files, sorted by name."""
    prefix = _prefix(project.settings)
    chosen = {path.relative_to(project.custom_files).as_posix(): key for path, key in chosen_files(project).values()}
    found = {}
    for info in store.list(prefix):
        name = info.key.removeprefix(f"{prefix}/")
        check_key(name)  # it becomes a path
        if info.key not in chosen.values() and not _is_left_out(name):
            found[name] = info.key
    found |= {name: key for name, key in chosen.items() if store.stat(key) is not None}
    return dict(sorted(found.items()))


def _read_local(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not _is_left_out(name):
            data = _read(path)
            if data is not None:
                found[name] = data
    return found


def _is_left_out(name: str) -> bool:
    segments = name.split("/")
    return name.endswith("~") or any(part.startswith(".") or part in _ALWAYS_LEFT_OUT for part in segments)


def _compare(old: bytes | None, new: bytes) -> Change:
    if old is None:
        return "new"
    return "unchanged" if old == new else "changed"


def _get(store: ObjectStore, key: str) -> bytes | None:
    try:
        return store.get(key)
    except ObjectNotFoundError:
        return None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(f"the file cannot be read: {error.strerror}", where=str(path)) from error


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(f"the file cannot be written: {error.strerror}", where=str(path)) from error


def _keep(project: Project, names: list[str]) -> str:
    """Copy local files aside and return the folder, relative to the project."""
    folder = project.root / "tmp" / "replaced" / f"{datetime.now().astimezone():%Y%m%d%H%M%S}-{os.getpid()}"
    for name in names:
        data = _read(project.custom_files / name)
        if data is not None:
            _write(folder / name, data)
    return folder.relative_to(project.root).as_posix()


def _differs(change: FileChange, store_name: str) -> Problem:
    return Problem(
        f"custom_files/{change.name} differs from the bucket's",
        where=f"{store_name}/{change.key}",
        expected="the same content, or no local file",
        fix="drctl download-custom-files -f",
    )


def _result(changes: list[FileChange], store_name: str, target: str, notes: tuple[Message, ...]) -> Result:
    copied = [one for one in changes if one.change != "unchanged"]
    lines = tuple(Message(f"{one.change:<9}  {one.name}") for one in changes)
    summary = (
        Message(f"{len(copied)} of {count_text(len(changes), 'file')} copied to {target}", "success")
        if copied
        else Message(f"nothing to copy: {target} has the same {count_text(len(changes), 'file')}")
    )
    data: Mapping[str, Any] = {
        "store": store_name,
        "files": [{"name": one.name, "key": one.key, "change": one.change} for one in changes],
        "copied": len(copied),
    }
    return Result(data, (*notes, *lines, summary))
