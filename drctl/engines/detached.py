"""Processes of this machine that outlive whoever starts them: how they are begun, awaited and ended."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import drctl
from drctl.engines.identity import ProcessIdentity
from drctl.engines.logs import last_lines
from drctl.errors import FailedError

START_S: Final = 60.0
"""How long one may take until it does what it is for."""

_POLL_S: Final = 0.05
_LAST_LINES: Final = 10


def spawn_detached(module: str, words: Sequence[str], log: Path, *, mode: int) -> ProcessIdentity:
    """Run a module of this program in a session of its own; its output goes into a file, which is emptied first.

    Args:
        module: As ``python -m`` takes it.
        words: Its arguments.
        log: Gets the output.
        mode: Of the log where it is new.
    """
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", module, *words],
        package_environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return ProcessIdentity.of(pid)


def end_process(
    process: ProcessIdentity, noun: str, folder: Path, *, patience_s: float, kill_patience_s: float
) -> None:
    """Ask a process to end, then kill it.

    Args:
        process: Which.
        noun: What it is, for people, such as ``the viewer``.
        folder: Where it keeps its state.
        patience_s: How long it may take after SIGTERM.
        kill_patience_s: Likewise after SIGKILL.

    Raises:
        FailedError: It is still there.
    """
    for number, limit_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, kill_patience_s)):
        process.send(number)
        if wait_for(lambda: not process.is_alive, limit_s):
            return
    raise FailedError(
        f"{noun} cannot be ended: process {process.pid}",
        where=str(folder),
        fix=f"ps -o pid,user,stat,wchan,args -p {process.pid}",
    )


def failed_start(noun: str, log: Path) -> FailedError:
    """Make the error that a process ended before it did what it is for; the last lines of its log tell why."""
    return FailedError(
        f"{noun} did not start", where="\n".join([str(log), *last_lines(log, _LAST_LINES)]), fix=f"cat {log}"
    )


def wait_for(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait until a condition holds; return whether it did within the limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def package_environment() -> dict[str, str]:
    """Make a process use this very package, also when it runs from a checkout that is not installed."""
    home = str(Path(drctl.__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}
