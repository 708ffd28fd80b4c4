"""Which engine a run has: its plan says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from drctl.engines.process import ProcessEngine
from drctl.errors import FormatError
from drctl.stack.plan import read_plan

if TYPE_CHECKING:
    from drctl.engines.engine import Engine


def make_engine(name: str, echo: Callable[[str], None] = lambda _command: None) -> Engine:
    """Make an engine.

    Args:
        name: ``process``, ``compose`` or ``swarm``.
        echo: Gets each command that it runs, as one would type it.
    """
    if name == "compose":
        from drctl.engines.compose import ComposeEngine

        return ComposeEngine(echo)
    if name == "swarm":
        from drctl.engines.swarm import SwarmEngine

        return SwarmEngine(echo)
    return ProcessEngine()


def engine_of_run(run_folder: Path, echo: Callable[[str], None] = lambda _command: None) -> Engine:
    """Return the engine with which the run of a folder was started; without a readable plan the process engine.

    Args:
        run_folder: ``tmp/run-<RUN_ID>``.
        echo: See `make_engine`.
    """
    try:
        plan = read_plan(run_folder)
    except FormatError:
        plan = None
    return make_engine(plan.engine if plan else "process", echo)
