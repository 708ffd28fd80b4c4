"""Waiting until a run is ready: the trainer trains and every worker has joined."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from drctl.engines.logs import log_path
from drctl.errors import FailedError, UnavailableError
from drctl.operations.training_outcome import describe_end
from drctl.result import Message
from drctl.stack.plan import RestartPolicy, read_plan
from drctl.status.run_status import RunStatus, read_run

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.engines.engine import Engine
    from drctl.operations.preparation import Preparation

Report = Callable[[Message], None]

_POLL_S = 0.1
_FIRST_REPORT_S = 5.0
_LOG_LINES = 12


def wait_until_ready(project: Project, found: Preparation, engine: Engine, report: Report) -> RunStatus:
    """Wait for the trainer and every worker, for as long as it takes; say who is late."""
    started = time.monotonic()
    next_report = _FIRST_REPORT_S
    while True:
        status = read_run(project.run_folder, found.store)
        if status is None or status.is_orphaned:
            raise FailedError(
                "the supervisor of the run was killed during the start",
                where=str(project.run_folder),
                fix="drctl start-training",
            )
        if not status.is_running and status.exit_status is not None:
            if status.exit_status:
                describe_end(status)
                raise FailedError(
                    f"the run ended during its start: {status.message}", fix="drctl start-training starts it again"
                )
            return status
        if status.is_ready:
            return status
        if status.exit_status is None:  # else its supervisor is ending it, and says more when it has
            _refuse_to_wait(status, engine, project)
        waited = time.monotonic() - started
        if waited > next_report:
            next_report *= 2
            for text in [*_describe_late(status), *_last_words(status, engine, project)]:
                report(Message(f"{text} ({waited:.0f} s)"))
        time.sleep(_POLL_S)


def _refuse_to_wait(status: RunStatus, engine: Engine, project: Project) -> None:
    """End a start whose part dies again and again; Docker would go on with it for ever, a supervisor gives up."""
    if status.problems:
        raise UnavailableError.from_problems(status.problems)
    plan = read_plan(project.run_folder)
    limit = (plan.restart if plan else RestartPolicy()).limit
    for part in status.parts:
        if part.condition == "gone":
            what = part.doing
        elif part.restarts > limit:
            what = f"ends again and again, at last with {part.doing.removeprefix('ended with ')}"
        else:
            continue
        words = engine.logs(project.run_folder, part.name, lines=_LOG_LINES, is_following=False)
        raise FailedError(
            f"{part.name} {what}",
            where="\n".join([part.name, *words]),
            fix=f"the lines above say why; {log_path(project.run_folder, part.name)} has all of them",
        )


def _last_words(status: RunStatus, engine: Engine, project: Project) -> list[str]:
    """Return what late containers printed last; a supervisor's parts have their logs in files."""
    late = [part for part in status.parts if part.container and part.condition in ("late", "restarting")]
    words = [
        (part.name, list(engine.logs(project.run_folder, part.name, lines=1, is_following=False))) for part in late
    ]
    return [f"  {name} says: {lines[-1]}" for name, lines in words if lines]


def _describe_late(status: RunStatus) -> list[str]:
    late = [wait for wait in status.waits if wait.for_whom != wait.who]
    return [f"waiting for {wait.for_whom}: {wait.why}" for wait in late] or [f"waiting: the trainer is {status.phase}"]
