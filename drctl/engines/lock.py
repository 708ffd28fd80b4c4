"""The lock that makes one start, and then one supervisor, the owner of a run folder.

It is an operating system lock: it cannot outlive its holder. The starter passes the locked file on to the supervisor,
so there is no moment at which nobody holds it.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import time
from pathlib import Path
from typing import Any

from drctl.errors import ConflictError

LOCK_FILE = "lock"


class RunLock:
    """A held lock; `acquire` makes one.

    Args:
        descriptor: Open, locked file.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def acquire(cls, run_folder: Path, purpose: str) -> RunLock:
        """Take the lock of a run folder, which is made where it is missing.

        Args:
            run_folder: ``tmp/run-<RUN_ID>``.
            purpose: What the holder does, for the message that others get.

        Raises:
            ConflictError: Somebody holds it; says who and since when.
        """
        run_folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(run_folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = _read(descriptor)
            os.close(descriptor)
            raise _conflict(run_folder, held) from None
        lock = cls(descriptor)
        lock.describe(purpose, os.getpid())
        return lock

    def describe(self, purpose: str, pid: int) -> None:
        """Write down who holds the lock, for people."""
        facts = {"purpose": purpose, "pid": pid, "user": _user(), "since": time.time()}
        data = json.dumps(facts).encode()
        os.pwrite(self.descriptor, data, 0)
        os.ftruncate(self.descriptor, len(data))

    def close(self) -> None:
        """Let go; the lock lasts until its last holder does. A second call does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _conflict(run_folder: Path, held: dict[str, Any]) -> ConflictError:
    name = run_folder.name.replace("-", " ")
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(held["since"])) if "since" in held else "a moment ago"
    return ConflictError(
        f"{name} is taken: {held.get('purpose', 'it is being started')}",
        where=f"process {held.get('pid', '?')} of {held.get('user', '?')}, since {since}",
        expected="one training per DR_RUN_ID",
        fix="drctl stop-training, or choose another DR_RUN_ID",
    )


def _read(descriptor: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
