"""Files with the output of a run's parts: written with a bound on their size, read also while they change."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from drctl.stack.plan import LogPolicy

FOLDER = "logs"
_POLL_S = 0.2
_TAIL_BYTES = 65_536
_LINE_BYTES = 200  # a long line; what is asked for in lines is read in bytes


def log_path(run_folder: Path, part: str) -> Path:
    """Return the newest log file of a part; older ones end in ``.1``, ``.2``, ..."""
    return run_folder / FOLDER / f"{part}.log"


class RotatingLog:
    """Appends to a log and starts a new file when one is full.

    A full disk does not stop a run: what cannot be written is left out, and said once there is room.

    Args:
        path: Newest file.
        policy: Size and number of files.
    """

    def __init__(self, path: Path, policy: LogPolicy) -> None:
        self._path = path
        self._policy = policy
        self._lost_bytes = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._size = path.stat().st_size

    def write(self, data: bytes) -> None:
        """Append bytes as they came."""
        try:
            if self._size and self._size + len(data) > self._policy.max_bytes:
                self._rotate()
            if self._lost_bytes:
                note = f"\n[drctl: {self._lost_bytes} bytes of output were lost while the disk was full]\n".encode()
                self._size += self._file.write(note)
                self._lost_bytes = 0
            self._size += self._file.write(data)
        except OSError:
            self._lost_bytes += len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._policy.files - 1, 0, -1):
            source = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            if source.exists():
                source.replace(self._path.with_name(f"{self._path.name}.{number}"))
        self._file = self._path.open("wb", buffering=0)
        self._size = 0


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log; none when there is no such file.

    Args:
        path: Newest file of the log; the one before it is read where that is not enough.
        count: How many; at most what 64 KB of each file hold, or 200 bytes per line where that is more.
    """
    lines: list[str] = []
    for file in (path, path.with_name(f"{path.name}.1")):
        if len(lines) < count and file.exists():
            lines = _tail(file, max(_TAIL_BYTES, count * _LINE_BYTES)) + lines
    return lines[-count:] if count else []


def follow(path: Path, is_over: Callable[[], bool], *, lines: int) -> Iterator[str]:
    """Give the last lines of a log and then each new one as it is written, across changes of the file.

    Args:
        path: Newest file of the log; it need not exist yet.
        is_over: Asked when nothing new is there; True ends the iteration.
        lines: How many old lines to begin with.
    """
    old = last_lines(path.with_name(f"{path.name}.1"), lines)
    file = path.open("rb") if path.exists() else None
    rest, is_first = b"", True
    try:
        while True:
            # In this order: nothing is written to the old file once there is a new one.
            is_replaced = _is_replaced(file, path)
            data = file.read() if file is not None else b""
            if data:
                *complete, rest = (rest + data).split(b"\n")
                found = [line.decode(errors="replace").rstrip("\r") for line in complete]
                yield from (old + found)[-lines:] if is_first and lines else found[len(found) * is_first :]
                is_first = False
            elif is_replaced:
                if file is not None:
                    file.close()
                file = path.open("rb")
            elif is_over():
                if rest:
                    yield rest.decode(errors="replace")
                return
            else:
                time.sleep(_POLL_S)
    finally:
        if file is not None:
            file.close()


def _tail(path: Path, size_bytes: int) -> list[str]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = max(0, size - size_bytes)
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return lines[1:] if start else lines


def _is_replaced(file: BinaryIO | None, path: Path) -> bool:
    try:
        newest = path.stat()
    except FileNotFoundError:
        return False
    return file is None or newest.st_ino != os.fstat(file.fileno()).st_ino
