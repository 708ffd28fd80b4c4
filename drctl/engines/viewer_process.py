"""The viewer as a process of this machine, detached from whoever starts it."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drctl.engines.detached import START_S, end_process, spawn_detached, wait_for
from drctl.engines.identity import ProcessIdentity
from drctl.engines.logs import last_lines
from drctl.errors import FailedError

STATE_FILE: Final = "state.json"
LOG_FILE: Final = "viewer.log"
_END_S: Final = 5.0


@dataclass(frozen=True)
class ViewerState:
    """A viewer that serves its page.

    Attributes:
        process: Its process.
        port: Where.
    """

    process: ProcessIdentity
    port: int


def read_viewer(folder: Path) -> ViewerState | None:
    """Return the viewer of a project that runs now, or None.

    Args:
        folder: ``tmp/viewer``.
    """
    try:
        found = json.loads((folder / STATE_FILE).read_text())
        state = ViewerState(ProcessIdentity(found["pid"], found["started"]), found["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if state.process.is_alive else None


def start_viewer_process(folder: Path, plan_file: Path) -> ViewerState:
    """Start the viewer in a session of its own and return once it serves its page.

    Args:
        folder: ``tmp/viewer``; gets its log.
        plan_file: What it is told.

    Raises:
        FailedError: It ended before; the last lines of its log tell why.
    """
    log = folder / LOG_FILE
    process = spawn_detached("drctl.viewer.main", (str(plan_file), "--state"), log, mode=0o600)

    def is_settled() -> bool:
        state = read_viewer(folder)
        return (state is not None and state.process.pid == process.pid) or not process.is_alive

    wait_for(is_settled, START_S)
    state = read_viewer(folder)
    if state is None or state.process.pid != process.pid:
        process.send(signal.SIGKILL)
        raise FailedError(
            "the viewer did not start", where="\n".join([str(log), *last_lines(log, 10)]), fix=f"cat {log}"
        )
    return state


def stop_viewer_process(folder: Path) -> bool:
    """End the viewer of a project.

    Returns:
        False when none runs.

    Raises:
        FailedError: It cannot be ended.
    """
    state = read_viewer(folder)
    if state is None:
        return False
    if end_process(state.process, patience_s=_END_S, kill_patience_s=_END_S):
        (folder / STATE_FILE).unlink(missing_ok=True)
        return True
    raise FailedError(
        f"the viewer cannot be ended: process {state.process.pid}",
        where=str(folder),
        fix=f"ps -o pid,user,stat,wchan,args -p {state.process.pid}",
    )
