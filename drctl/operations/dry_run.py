"""What a start would do, told without doing any of it."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from drctl.config.registry import refused_settings
from drctl.engines.choice import make_engine
from drctl.engines.engine import Preview
from drctl.errors import NotSupportedError
from drctl.operations.community import uses_images
from drctl.operations.community_evaluation import preview_race
from drctl.operations.container_evaluation import preview_in_container
from drctl.operations.container_store import preview_store
from drctl.operations.containers import is_in_containers
from drctl.operations.preflight import check_without_starting
from drctl.operations.training import Planner, plan_training
from drctl.result import Message, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drctl.config.project import Project
    from drctl.operations.race_preparation import EvaluationRequest

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


def preview_evaluation(project: Project, request: EvaluationRequest, words: Sequence[str]) -> Result:
    """Tell which files and commands an evaluation would take; neither store nor Docker are asked.

    Args:
        project: The project.
        request: What to race.
        words: Command line of the evaluation without the program's name.

    Returns:
        ``engine``, ``run_id``, ``prefix``, ``request``, ``files``, ``commands``: see `preview_training`.

    Raises:
        NotSupportedError: A setting asks for what this version does not have.
    """
    settings = project.settings
    if not uses_images(project) and (problems := refused_settings(settings, "eval")):
        raise NotSupportedError.from_problems(problems)
    if uses_images(project):
        previews = [preview_store(project), preview_race(project, request.checkpoints, request.tracks)]
    elif is_in_containers(project):
        previews = [preview_store(project), preview_in_container(project)]
    else:
        previews = [Preview(commands=((sys.executable, "-m", "drctl", "--project", str(project.root), *words),))]
    data = {
        "engine": settings.engine,
        "run_id": settings.run_id,
        "prefix": settings.local_s3_model_prefix,
        "request": request.to_json(),
        "files": {path: text for one in previews for path, text in one.files.items()},
        "commands": [list(argv) for one in previews for argv in one.commands],
    }
    return Result(data, tuple(line for one in previews for line in describe_preview(one)), ("drctl eval",))


def describe_preview(preview: Preview) -> list[Message]:
    """Return the files and then the commands, for people."""
    lines = []
    for path, text in preview.files.items():
        lines += [Message(f"# {path}"), *map(Message, text.splitlines()), Message("")]
    return lines + [Message(f"$ {shlex.join(argv)}") for argv in preview.commands]
