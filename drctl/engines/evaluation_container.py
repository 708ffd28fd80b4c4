"""The container in which an evaluation runs: started, listened to, removed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from drctl.engines.compose import refuse_foreign
from drctl.engines.container_logs import follow_container
from drctl.engines.docker import (
    Echo,
    compose_argv,
    ensure_volume,
    find_containers,
    last_words,
    run_docker,
    up_argv,
    volume_argv,
)
from drctl.engines.engine import Preview
from drctl.errors import ConflictError, FailedError
from drctl.stack.container_stack import COMPOSE_FILE, KERNELS_LABEL
from drctl.stack.plan import EvaluationPlan
from drctl.stack.render import evaluation_kernels, render_evaluation

_ALIVE: Final = ("created", "running", "paused", "restarting")
_LINES: Final = 1_000_000
"""More than an evaluation prints: every line is wanted."""


def preview_container(plan: EvaluationPlan) -> Preview:
    """Tell what `run_container` would do; nothing is started, written or asked."""
    commands = (volume_argv(evaluation_kernels(plan), KERNELS_LABEL), up_argv(Path(plan.folder) / COMPOSE_FILE))
    return Preview(
        {str(Path(plan.folder) / COMPOSE_FILE): render_evaluation(plan)},
        tuple(("docker", *words) for words in commands),
    )


def refuse_running(plan: EvaluationPlan) -> None:
    """Make sure that no container evaluates for a run already, such as one whose watcher was killed.

    Raises:
        ConflictError: One is at work, or containers of its name belong to somebody else.
    """
    refuse_foreign(plan.compose_project, plan.project)
    alive = [one.name for one in find_containers(plan.compose_project) if one.status in _ALIVE]
    if alive:
        raise ConflictError(
            f"an evaluation of run {plan.run_id} is under way in a container",
            where=", ".join(alive),
            expected="one evaluation per DR_RUN_ID at a time",
            fix="drctl stop-evaluation, or choose another DR_RUN_ID",
        )


@contextlib.contextmanager
def run_container(plan: EvaluationPlan, echo: Echo) -> Iterator[Iterator[str]]:
    """Start the container of an evaluation and give what it prints until it ends; then it is removed in any case.

    Args:
        plan: Its folder exists.
        echo: Gets each command that changes something.

    Raises:
        FailedError: It cannot be started.
    """
    folder = Path(plan.folder)
    (folder / COMPOSE_FILE).write_text(render_evaluation(plan))
    ensure_volume(evaluation_kernels(plan), echo, KERNELS_LABEL)
    try:
        done = run_docker(up_argv(folder / COMPOSE_FILE), echo)
        if done.returncode:
            raise FailedError(
                "the container of the evaluation cannot be started",
                where="\n".join([str(folder / COMPOSE_FILE), *last_words(done)]),
                fix=f"docker compose --file {folder / COMPOSE_FILE} up shows all of it",
            )
        yield _lines(plan)
    finally:
        stop_container(folder, echo)


def stop_container(folder: Path, echo: Echo = lambda _command: None) -> bool:
    """Remove the container of the evaluation of a folder.

    Args:
        folder: As `drctl.engines.evaluation_process.evaluation_folder` returns it.
        echo: Gets the command.

    Returns:
        False where there is none.
    """
    if not (folder / COMPOSE_FILE).exists():
        return False
    run_docker([*compose_argv(folder / COMPOSE_FILE), "down", "--timeout", "1", "--remove-orphans"], echo)
    (folder / COMPOSE_FILE).unlink(missing_ok=True)
    return True


def _lines(plan: EvaluationPlan) -> Iterator[str]:
    container = plan.part.container
    assert container is not None  # noqa: S101 - the plan of an evaluation in a container
    return follow_container(container.name, lambda: not _is_alive(plan), lines=_LINES)


def _is_alive(plan: EvaluationPlan) -> bool:
    return any(one.status in _ALIVE for one in find_containers(plan.compose_project))
