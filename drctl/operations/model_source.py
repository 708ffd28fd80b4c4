"""Where a model can be imported from: a folder, a prefix of a store, a car file, or a graph with its metadata."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drctl.errors import FormatError, ObjectNotFoundError, UnavailableError, UsageError
from drctl.formats.car_archive import GRAPH_NAME, METADATA_NAME, ArchiveLimits, CarArchive, read_car_archive
from drctl.storage.location import open_store, project_store_location, upload_store_location

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    from drctl.config.project import Project
    from drctl.storage.location import StoreLocation
    from drctl.storage.objects import ObjectStore

LIMITS: Final = ArchiveLimits()
_ARCHIVE_ENDINGS: Final = (".tar.gz", ".tgz")
_MOST_FILES: Final = 100_000
_S3: Final = "s3://"


class ModelSource(ABC):
    """Files to choose from; nothing is ever written to them.

    Attributes:
        place: Where it is, for people.
        sizes: Length of each file in bytes, by its name, ``/``-separated, relative to the place.
        passed_over: Names of what is there and is not given.
    """

    def __init__(self, place: str, sizes: Mapping[str, int], passed_over: tuple[str, ...] = ()) -> None:
        self.place = place
        self.sizes = sizes
        self.passed_over = passed_over

    def read(self, name: str, most_bytes: int = LIMITS.unpacked_bytes) -> bytes:
        """Return a file's content.

        Args:
            name: One of `sizes`.
            most_bytes: How long it may be.

        Raises:
            FormatError: It is longer.
            UnavailableError: It cannot be read.
        """
        if self.sizes[name] > most_bytes:
            raise FormatError(
                f"{self.name_of(name)} has {self.sizes[name]} bytes",
                where=self.place,
                expected=f"{most_bytes} bytes at most",
            )
        return self._read(name)

    def name_of(self, name: str) -> str:
        """Return a file's full name, for messages."""
        return f"{self.place}/{name}"

    @abstractmethod
    def _read(self, name: str) -> bytes: ...


class FolderSource(ModelSource):
    """A local folder.

    Args:
        folder: The folder.

    Raises:
        FormatError: It holds a link.
        UsageError: It holds more files than a model ever has.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        super().__init__(str(folder), dict(sorted(_walk(folder).items())))

    def _read(self, name: str) -> bytes:
        return _read_file(self._folder / name)


class StoreSource(ModelSource):
    """A prefix of a store."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store, self._prefix = store, prefix
        sizes = {info.key.removeprefix(f"{prefix}/"): info.size_bytes for info in store.list(prefix)}
        super().__init__(f"{store.name}/{prefix}" if prefix else store.name, sizes)

    def _read(self, name: str) -> bytes:
        return self._store.get(f"{self._prefix}/{name}" if self._prefix else name)


class MemorySource(ModelSource):
    """Files that were read already: those of a car file, or a graph and its metadata."""

    def __init__(self, place: str, files: Mapping[str, bytes], passed_over: tuple[str, ...] = ()) -> None:
        self._files = files
        super().__init__(place, {name: len(content) for name, content in files.items()}, passed_over)

    def _read(self, name: str) -> bytes:
        return self._files[name]


def open_source(
    project: Project, text: str, *, metadata: Path | None = None, profile: str | None = None
) -> ModelSource:
    """Find out what a model is to be imported from.

    Args:
        project: The project.
        text: A folder, a car file, a ``.pb``, ``s3://bucket/prefix`` or a prefix of the project's bucket.
        metadata: The ``model_metadata.json`` of a ``.pb``; None for the one beside it.
        profile: AWS profile for ``s3://``: then it is Amazon S3.

    Raises:
        FormatError: An archive is none, or holds what it should not.
        ObjectNotFoundError: There is nothing.
        UsageError: The options do not go together.
    """
    path = Path(text).expanduser()
    is_graph = path.suffix == ".pb" and not text.startswith(_S3)
    if metadata is not None and not is_graph:
        raise UsageError(
            "--metadata goes with a .pb alone",
            expected="a source that brings its own model_metadata.json, or a .pb",
            fix=f"drctl import-model {text}",
        )
    if profile is not None and not text.startswith(_S3):
        raise UsageError("--profile goes with s3:// alone", fix=f"drctl import-model {text}")
    if text.startswith(_S3):
        return _open_address(project, text, profile)
    if path.is_dir():
        return _behind_archive(FolderSource(path))
    if path.is_file():
        return _open_graph(path, metadata) if is_graph else _open_archive(path)
    prefix = text.strip("/")
    store = open_store(project_store_location(project))
    if not path.is_absolute() and prefix and not prefix.startswith("."):
        source = StoreSource(store, prefix)
        if source.sizes:
            return _behind_archive(source)
    raise ObjectNotFoundError(
        f"there is no {text}, neither a file nor a folder nor a model in {store.name}",
        where=str(path.absolute()),
        expected="a folder, a .tar.gz, a .pb, s3://bucket/prefix, or a prefix of this project's bucket",
        fix="drctl list-models",
    )


def _open_address(project: Project, text: str, profile: str | None) -> ModelSource:
    bucket, _, prefix = text.removeprefix(_S3).partition("/")
    prefix = prefix.strip("/")
    if not bucket or not prefix:
        raise UsageError(
            f"{text} names no model", expected="s3://bucket/prefix", fix="drctl import-model s3://BUCKET/PREFIX"
        )
    store = open_store(_locate(project, bucket, profile))
    if prefix.endswith((".pb", *_ARCHIVE_ENDINGS)):
        return _open_object(store, prefix)
    source = StoreSource(store, prefix)
    if not source.sizes:
        raise ObjectNotFoundError(
            f"there is nothing under {source.place}", where=source.place, expected="a model's prefix"
        )
    return _behind_archive(source)


def _locate(project: Project, bucket: str, profile: str | None) -> StoreLocation:
    """Return where a bucket is: where models are uploaded to, or beside the project's own."""
    settings, own = project.settings, project_store_location(project)
    is_own = own.kind == "s3" or (own.folder is not None and Path(own.folder).with_name(bucket).is_dir())
    if profile is None and is_own and bucket != settings.upload_s3_bucket:
        return own.with_bucket(bucket)
    found = upload_store_location(project, bucket)
    return found if profile is None else replace(found, profile=profile)


def _open_object(store: ObjectStore, key: str) -> ModelSource:
    place = f"{store.name}/{key}"
    if key.endswith(".pb"):
        raise UsageError(f"{place} is a graph alone", expected="the prefix it lies under, with its model_metadata.json")
    info = store.stat(key)
    if info is None:
        raise ObjectNotFoundError(f"there is no {place}", where=place, expected="a car file")
    return _of_archive(read_car_archive(io.BytesIO(store.get(key)), place, LIMITS), place)


def _open_archive(path: Path) -> ModelSource:
    with _opened(path) as stream:
        return _of_archive(read_car_archive(stream, str(path), LIMITS), str(path))


def _open_graph(path: Path, metadata: Path | None) -> ModelSource:
    metadata = metadata or path.with_name(METADATA_NAME)
    if not metadata.is_file():
        raise ObjectNotFoundError(
            f"{path} needs the model_metadata.json that it was trained with",
            where=str(metadata.absolute()),
            expected=f"{METADATA_NAME} beside it, or --metadata FILE",
            fix=f"drctl import-model {path} --metadata FILE",
        )
    for file, limit in ((path, LIMITS.graph_bytes), (metadata, LIMITS.metadata_bytes)):
        if file.stat().st_size > limit:
            raise FormatError(f"{file} has {file.stat().st_size} bytes", where=str(file), expected=f"{limit} at most")
    return MemorySource(str(path), {path.name: _read_file(path), METADATA_NAME: _read_file(metadata)})


def _behind_archive(source: ModelSource) -> ModelSource:
    """Look into the car file of a place that has no other graph: what ``dr-upload-car-zip`` leaves."""
    if any(name.endswith(".pb") for name in source.sizes):
        return source
    archives = [name for name in source.sizes if name.endswith(_ARCHIVE_ENDINGS)]
    if len(archives) != 1:
        return source
    place = source.name_of(archives[0])
    return _of_archive(read_car_archive(io.BytesIO(source.read(archives[0])), place, LIMITS), place)


def _of_archive(archive: CarArchive, place: str) -> MemorySource:
    return MemorySource(place, {GRAPH_NAME: archive.graph, METADATA_NAME: archive.metadata}, archive.others)


def _walk(folder: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            if path.is_symlink():
                raise FormatError(
                    f"{path} is a link",
                    where=str(folder),
                    expected="files and folders: what a link leads to may be no part of the model",
                    fix=f"cp -rL {folder} COPY && drctl import-model COPY",
                )
            if name in files and path.is_file():
                sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
        if len(sizes) > _MOST_FILES:
            raise UsageError(f"{folder} holds more than {_MOST_FILES} files", expected="the folder of one model")
    return sizes


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}", where=str(path)) from error


def _read_file(path: Path) -> bytes:
    with _opened(path) as stream:
        return stream.read()
