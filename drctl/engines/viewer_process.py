"""The viewer as a process of this machine, detached from whoever starts it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from drctl.engines.page_server import PageServer, ServerState

LOG_FILE: Final = "viewer.log"
_VIEWER: Final = PageServer("the viewer", "drctl.viewer.main", LOG_FILE)


def read_viewer(folder: Path) -> ServerState | None:
    """Return the viewer of a project that runs now, or None.

    Args:
        folder: ``tmp/viewer``.
    """
    return _VIEWER.read(folder)


def start_viewer_process(folder: Path, plan_file: Path) -> ServerState:
    """Start the viewer in a session of its own and return once it serves its page.

    Args:
        folder: ``tmp/viewer``; gets its log.
        plan_file: What it is told.

    Raises:
        FailedError: It ended before; the last lines of its log tell why.
    """
    return _VIEWER.start(folder, plan_file)


def stop_viewer_process(folder: Path) -> bool:
    """End the viewer of a project.

    Returns:
        False when none runs.

    Raises:
        FailedError: It cannot be ended.
    """
    return _VIEWER.stop(folder)
