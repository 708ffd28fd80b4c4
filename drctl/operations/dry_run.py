"""What a start would do, told without doing any of it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from drctl.engines.choice import make_engine
from drctl.engines.engine import Preview
from drctl.operations.container_store import preview_store
from drctl.operations.containers import is_in_containers
from drctl.operations.preflight import check_without_starting
from drctl.operations.training import Planner, plan_training
from drctl.result import Message, Result

if TYPE_CHECKING:
    from drctl.config.project import Project

RUN_TOKEN = "dry-run"  # noqa: S105 - a name, not a password
"""Stands where a real start has its random name."""


def preview_training(project: Project, *, plan: Planner | None = None) -> Result:
    """Tell which files a start would write for people to read, and which commands it would run.

    Settings and the project's own files are checked as for a start; store and Docker are not asked.

    Args:
        project: The project.
        plan: See `start_training`.

    Returns:
        ``engine``, ``run_id``, ``prefix``, ``files``: text by path, ``commands``: argument lists.

    Raises:
        DrctlError: What stands against the start as far as it can be known; all problems at once.
    """
    basis = check_without_starting(project)
    run = (plan or plan_training)(basis, RUN_TOKEN)
    store = preview_store(project) if is_in_containers(project) else Preview()
    found = make_engine(run.engine).preview(run)
    data = {
        "engine": run.engine,
        "run_id": run.run_id,
        "prefix": run.prefix,
        "files": {**store.files, **found.files},
        "commands": [list(argv) for argv in (*store.commands, *found.commands)],
    }
    return Result(data, (*basis.notes, *describe_preview(store), *describe_preview(found)), ("drctl start-training",))


def describe_preview(preview: Preview) -> list[Message]:
    """Return the files and then the commands, for people."""
    lines = []
    for path, text in preview.files.items():
        lines += [Message(f"# {path}"), *map(Message, text.splitlines()), Message("")]
    return lines + [Message(f"$ {shlex.join(argv)}") for argv in preview.commands]
