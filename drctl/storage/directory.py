"""A store in a folder: the object ``a/b.json`` is the file ``<root>/a/b.json``, readable with any tool."""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from drctl.errors import ConflictError, ObjectNotFoundError, PreconditionFailedError, UnavailableError, UsageError
from drctl.storage.objects import ObjectInfo, check_key, folder_of

RESERVED = ".drctl-store-"
"""Start of the names that are the store's own: no key may use one and no listing shows one."""

STALE_S = 3600.0
"""Age from which a temporary file has lost its writer: no put lasts an hour."""

NAME_BYTES_MAX = 255
"""Longest file name of the usual file systems (limits.h, NAME_MAX)."""

_FOLDER_RETRIES = 100


class DirectoryStore:
    """Keeps a bucket in a folder.

    An object is written to a temporary file in its own folder, flushed to disk and renamed, so no reader and no
    crash ever sees half of it. The last step of every put and delete happens under one lock file per bucket, which
    makes conditions hold between processes. Reading creates nothing, not even the folder.

    Args:
        root: Folder of the bucket; made by the first put.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._swept: set[Path] = set()

    @property
    def name(self) -> str:
        """Name for messages, such as ``data/bucket``."""
        return f"{self._root.parent.name}/{self._root.name}"

    def get(self, key: str) -> bytes:
        """See `ObjectStore.get`."""
        return self.get_versioned(key)[0]

    def get_versioned(self, key: str) -> tuple[bytes, str]:
        """See `ObjectStore.get_versioned`."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                return file.read(), _version(os.fstat(file.fileno()))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise self._missing(key) from None
        except OSError as error:
            raise self._unavailable(path, error) from error

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None) -> str:
        """See `ObjectStore.put`."""
        if if_absent and if_version is not None:
            raise ValueError("if_absent and if_version exclude each other")
        path = self._path(key)
        with self._errors_told(path, key):
            # Told before writing what may be large; the binding answer is given under the lock.
            self._check_conditions(path, if_absent, if_version)
            temporary = self._write_temporary(path, data)
            return self._put_in_place(temporary, path, if_absent, if_version)

    def stat(self, key: str) -> ObjectInfo | None:
        """See `ObjectStore.stat`."""
        path = self._path(key)
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unavailable(path, error) from error
        return None if path.is_dir() else _info(key, status)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `ObjectStore.list`."""
        folder = folder_of(prefix)
        yield from sorted(self._walk(self._root / folder, folder), key=lambda info: info.key)

    def list_folders(self, prefix: str = "") -> builtins.list[str]:
        """See `ObjectStore.list_folders`."""
        folder = folder_of(prefix)
        entries = self._scan(self._root / folder)
        folders = [entry for entry in entries if entry.is_dir()]
        return sorted(entry.name for entry in folders if any(self._walk(Path(entry.path), "")))

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        path = self._path(key)
        if not path.is_file():
            return
        with self._errors_told(path, key), self._locked():
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            self._remove_empty_folders(path.parent)

    def copy(self, source: str, target: str, *, for_move: bool = False) -> None:
        """See `ObjectStore.copy`."""
        source_path, target_path = self._path(source), self._path(target)
        if for_move and source_path.is_file():
            with self._errors_told(target_path, target):
                temporary = self._link_temporary(source_path, target_path)
                if temporary is not None:
                    self._put_in_place(temporary, target_path, is_absent_wanted=False, wanted_version=None)
                    return
        self.put(target, self.get(source))

    def _path(self, key: str) -> Path:
        check_key(key)
        if any(segment.startswith(RESERVED) for segment in key.split("/")):
            raise UsageError(f"{key!r} is not an object key: names that start with {RESERVED} are the store's own")
        if any(len(segment.encode()) > NAME_BYTES_MAX for segment in key.split("/")):
            raise UsageError(f"{key!r} is not an object key here: a file name has at most {NAME_BYTES_MAX} bytes")
        return self._root / key

    def _write_temporary(self, path: Path, data: bytes) -> Path:
        """Write the content to a new file beside its place and flush it to disk."""
        for _ in range(_FOLDER_RETRIES):
            self._make_folders(path.parent)
            temporary = _temporary_name(path.parent)
            try:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            except FileNotFoundError:
                continue  # a delete emptied and removed the folder in between
            break
        else:
            raise FileNotFoundError(errno.ENOENT, "the folder keeps vanishing", str(path.parent))
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                # Part of the version: the clock has finer steps than the kernel's own time stamps.
                now = time.time_ns()
                os.utime(file.fileno(), ns=(now, now))
                os.fsync(file.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _link_temporary(self, source: Path, target: Path) -> Path | None:
        """Give the source's bytes a second, temporary name beside the target; None where that is not possible."""
        self._make_folders(target.parent)
        temporary = _temporary_name(target.parent)
        try:
            os.link(source, temporary)
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.ENOENT):
                return None
            raise
        return temporary

    def _put_in_place(self, temporary: Path, path: Path, is_absent_wanted: bool, wanted_version: str | None) -> str:
        try:
            with self._locked():
                self._check_conditions(path, is_absent_wanted, wanted_version)
                version = _version(temporary.stat())
                temporary.replace(path)
            _flush_folder(path.parent)
            return version
        finally:
            # Still there after a failure, and after renaming one name of a file onto another name of the same file.
            temporary.unlink(missing_ok=True)

    def _check_conditions(self, path: Path, is_absent_wanted: bool, wanted_version: str | None) -> None:
        if not is_absent_wanted and wanted_version is None:
            return
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            found = None
        else:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            found = _version(status)
        if is_absent_wanted and found is not None:
            raise self._precondition_failed(path, "there is an object already", "no object")
        if wanted_version is not None and found != wanted_version:
            what = "the object is gone" if found is None else "the object was changed"
            raise self._precondition_failed(path, what, f"version {wanted_version}")

    def _precondition_failed(self, path: Path, what: str, expected: str) -> PreconditionFailedError:
        where = f"{self.name}/{path.relative_to(self._root)}"
        return PreconditionFailedError(what, where=where, expected=expected)

    def _make_folders(self, folder: Path) -> None:
        """Make a folder durably and, once per folder and store, remove what crashed writers left in it."""
        made = []
        missing = folder
        while not missing.exists():
            made.append(missing)
            missing = missing.parent
        folder.mkdir(parents=True, exist_ok=True)
        for path in made:
            with contextlib.suppress(FileNotFoundError):
                _flush_folder(path.parent)
        if folder not in self._swept:
            self._swept.add(folder)
            _remove_stale(folder)

    def _remove_empty_folders(self, folder: Path) -> None:
        while folder != self._root and self._root in folder.parents:
            _remove_stale(folder)
            try:
                folder.rmdir()
            except OSError:
                return  # not empty
            self._swept.discard(folder)
            folder = folder.parent

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the bucket's lock, which is never removed; callers have made the root folder."""
        descriptor = os.open(self._root / f"{RESERVED}lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _walk(self, folder: Path, key_folder: str) -> Iterator[ObjectInfo]:
        for entry in self._scan(folder):
            key = f"{key_folder}{entry.name}"
            if entry.is_dir():
                yield from self._walk(Path(entry.path), f"{key}/")
            else:
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile, or a link to nowhere
                    yield _info(key, entry.stat())

    def _scan(self, folder: Path) -> builtins.list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return [entry for entry in entries if not entry.name.startswith(RESERVED)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._unavailable(folder, error) from error

    @contextlib.contextmanager
    def _errors_told(self, path: Path, key: str) -> Iterator[None]:
        try:
            yield
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            raise self._clash(path, key) from error
        except OSError as error:
            raise self._unavailable(path, error) from error

    def _clash(self, path: Path, key: str) -> ConflictError:
        expected = "a name that is not both an object and a folder"
        if path.is_dir():
            return ConflictError(
                f"{key!r} cannot be an object: it is a folder with objects",
                where=f"{self.name}/{key}",
                expected=expected,
            )
        parents = [parent for parent in path.parents if parent.is_file()]
        blocking = parents[0].relative_to(self._root) if parents and self._root in parents[0].parents else path
        return ConflictError(
            f"{key!r} cannot be put: {str(blocking)!r} is an object, not a folder",
            where=f"{self.name}/{key}",
            expected=expected,
        )

    def _missing(self, key: str) -> ObjectNotFoundError:
        return ObjectNotFoundError(f"there is no object {key!r}", where=f"{self.name}/{key}")

    def _unavailable(self, path: Path, error: OSError) -> UnavailableError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "the disk is full" if error.errno == errno.ENOSPC else "your disk quota is used up"
            return UnavailableError(
                f"{reason}: {_free_megabytes(path)} free",
                where=str(path),
                expected="room for the object; nothing was half-written",
                fix=f"df -h {_existing(path)}",
            )
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return UnavailableError(
                f"the store's folder cannot be used: {os.strerror(error.errno)}",
                where=str(path),
                expected="a folder that you may read and write",
                fix=f"ls -ld {_existing(path)}",
            )
        return UnavailableError(f"the store's folder cannot be used: {error.strerror or error}", where=str(path))


def _temporary_name(folder: Path) -> Path:
    return folder / f"{RESERVED}{os.getpid()}-{secrets.token_hex(8)}"


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return ObjectInfo(key, status.st_size, modified, _version(status))


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(folder: Path) -> None:
    """Remove temporary files whose writers were killed long ago."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{RESERVED}*"):
            # A linked temporary file has its source's age: its change time tells when the name was made.
            if path.name != f"{RESERVED}lock" and time.time() - path.stat().st_ctime > STALE_S:
                path.unlink(missing_ok=True)


def _existing(path: Path) -> Path:
    return next((parent for parent in (path, *path.parents) if parent.exists()), Path("/"))


def _free_megabytes(path: Path) -> str:
    try:
        return f"{shutil.disk_usage(_existing(path)).free // 1_000_000} MB"
    except OSError:
        return "an unknown amount"
