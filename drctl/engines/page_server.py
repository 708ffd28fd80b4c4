"""Processes of this machine that serve web pages, detached from whoever starts them: the viewer, the notebook."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drctl.engines.detached import START_S, end_process, failed_start, spawn_detached, wait_for
from drctl.engines.identity import ProcessIdentity

STATE_FILE: Final = "state.json"
_END_S: Final = 5.0


@dataclass(frozen=True)
class ServerState:
    """A server that serves its pages.

    Attributes:
        process: Its process.
        port: Where.
    """

    process: ProcessIdentity
    port: int


@dataclass(frozen=True)
class PageServer:
    """A kind of server; each project has one folder with state and log of it.

    Attributes:
        noun: For people, such as ``the viewer``.
        module: As ``python -m`` takes it; it is given its start file and ``--state``, and calls `write_server_state`.
        log_file: Name of its log.
    """

    noun: str
    module: str
    log_file: str

    def read(self, folder: Path) -> ServerState | None:
        """Return the server of a project that runs now, or None."""
        try:
            found = json.loads((folder / STATE_FILE).read_text())
            state = ServerState(ProcessIdentity(found["pid"], found["started"]), found["port"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return state if state.process.is_alive else None

    def start(self, folder: Path, start_file: Path) -> ServerState:
        """Start it in a session of its own and return once it serves its pages.

        Args:
            folder: Gets its log.
            start_file: What it is told.

        Raises:
            FailedError: It ended before; the last lines of its log tell why.
        """
        log = folder / self.log_file
        process = spawn_detached(self.module, (str(start_file), "--state"), log, mode=0o600)

        def is_settled() -> bool:
            state = self.read(folder)
            return (state is not None and state.process.pid == process.pid) or not process.is_alive

        wait_for(is_settled, START_S)
        state = self.read(folder)
        if state is None or state.process.pid != process.pid:
            process.send(signal.SIGKILL)
            raise failed_start(self.noun, log)
        return state

    def stop(self, folder: Path) -> bool:
        """End the server of a project.

        Returns:
            False when none runs.

        Raises:
            FailedError: It cannot be ended.
        """
        state = self.read(folder)
        if state is None:
            return False
        end_process(state.process, self.noun, folder, patience_s=_END_S, kill_patience_s=_END_S)
        (folder / STATE_FILE).unlink(missing_ok=True)
        return True


def write_server_state(folder: Path, port: int) -> Path:
    """Say that this very process serves its pages now, and return the file that says so.

    Args:
        folder: The project's, of this kind of server.
        port: Where.
    """
    own, path = ProcessIdentity.of(os.getpid()), folder / STATE_FILE
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"pid": own.pid, "started": own.started, "port": port}) + "\n")
    temporary.replace(path)
    return path
