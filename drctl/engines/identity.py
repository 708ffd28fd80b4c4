"""Which process is meant: a process id alone may belong to another one by now."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessIdentity:
    """A process of this machine.

    Attributes:
        pid: Process id.
        started: Start time in clock ticks since boot; 0 where the system does not tell.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """Take down which process has an id now."""
        return cls(pid, _stat(pid)[1])

    @property
    def is_alive(self) -> bool:
        """Whether this very process runs; one that has ended and awaits its parent does not."""
        state, started = _stat(self.pid)
        if state:
            has_ended = state in "ZX" and _threads(self.pid) <= 1
            return not has_ended and self.started in (0, started)
        if Path("/proc/self/stat").exists():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    @property
    def is_suspended(self) -> bool:
        """Whether somebody stopped it (SIGSTOP, Ctrl-Z) without ending it."""
        state, started = _stat(self.pid)
        return state in ("T", "t") and self.started in (0, started)

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; False when it has ended."""
        if not self.is_alive:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def _threads(pid: int) -> int:
    """Return how many threads are left: the first one ends before those that still hold sockets and files."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except OSError:
        return 0


def _stat(pid: int) -> tuple[str, int]:
    """Return state letter and start time; ("", 0) when there is no such process or no /proc (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return fields[0], int(fields[19])
