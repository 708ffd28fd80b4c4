"""What the runs of a project do, what they print, and the end of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from drctl.engines.choice import engine_of_run
from drctl.engines.evaluation_process import find_evaluations
from drctl.engines.logs import log_path
from drctl.errors import DrctlError, UnavailableError, UsageError
from drctl.operations.container_store import has_store, stop_store
from drctl.operations.training import reachable_store
from drctl.result import Message, Result
from drctl.stack.plan import RunPlan, read_plan
from drctl.status.run_status import RunStatus, find_runs, read_run
from drctl.status.text import describe_run

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.engines.engine import Engine


def show_status(project: Project) -> Result:
    """Tell what every run of a project does: parts, phase, heartbeat, who waits for whom.

    Args:
        project: The project.

    Returns:
        ``runs``: list of `RunStatus` as mappings; ``evaluations``: what is evaluated and by which process; exit status
        0 also when nothing runs.
    """
    runs, evaluations = read_runs(project), find_evaluations(project.root)
    data = {
        "runs": [status.to_json() for status in runs],
        "evaluations": [
            {"description": one.description, "pid": one.process.pid, "since": one.since} for one in evaluations
        ],
    }
    if not runs and not evaluations:
        return Result(data, (Message("nothing was started in this project yet"),), ("drctl start-training",))
    messages = [message for status in runs for message in describe_run(status)]
    messages += [Message(f"{one.description} (process {one.process.pid})") for one in evaluations]
    mine = next((status for status in runs if status.run_id == project.settings.run_id), None)
    if mine is None:
        return Result(data, tuple(messages))
    if mine.is_running:
        return Result(data, tuple(messages), ("drctl logs-sagemaker -f", "drctl stop-training"))
    if mine.stack == "community":  # the images cannot go on with a model where they stopped
        return Result(data, tuple(messages), ("drctl eval", "drctl increment-training"))
    return Result(data, tuple(messages), () if mine.reason == "finished" else ("drctl start-training --resume",))


def read_runs(project: Project) -> list[RunStatus]:
    """Read the status of every run of a project."""
    found = (read_run(folder, reachable_store(project, folder)) for folder in find_runs(project.root))
    return [status for status in found if status is not None]


def stop_all(project: Project, *, force: bool = False, engine: Engine | None = None) -> Result:
    """Stop every run of a project, all at the same time, and then the project's store where it is a container.

    Args:
        project: The project.
        force: At once, without waiting for the publishes under way; what is complete in the store stays.
        engine: How they run.

    Returns:
        ``stopped``: run ids.

    Raises:
        FailedError: Processes of a run cannot be ended; the others were stopped all the same.
    """
    folders = find_runs(project.root)

    def stop(folder: Path) -> tuple[int, bool | DrctlError]:
        run_id = int(folder.name[4:])
        try:
            return run_id, (engine or engine_of_run(folder)).down(folder, at_once=force)
        except DrctlError as error:
            return run_id, error

    with ThreadPoolExecutor(max_workers=max(1, len(folders))) as pool:
        outcomes = list(pool.map(stop, folders))
    failed = [outcome for _, outcome in outcomes if isinstance(outcome, DrctlError)]
    if failed:
        raise type(failed[0]).from_problems([problem for error in failed for problem in error.problems])
    stopped = [run_id for run_id, was_running in outcomes if was_running]
    texts = [Message(f"stopped run {run_id}", "success") for run_id in stopped] or [Message("nothing was running")]
    steps: tuple[str, ...] = ()
    if has_store(project) and find_evaluations(project.root):
        texts.append(Message("the store goes on: an evaluation is under way and needs it", "warning"))
        steps = ("drctl stop-evaluation", "drctl stop-all")
    elif has_store(project) and stop_store(project):
        texts.append(Message("stopped the store; what is in it stays", "success"))
    return Result({"stopped": stopped}, tuple(texts), steps)


def open_log(
    project: Project, kind: str, number: int | None, *, lines: int, is_following: bool, engine: Engine | None = None
) -> Iterator[str]:
    """Give the output of a part of the project's run, line by line.

    Args:
        project: The project.
        kind: ``trainer`` or ``worker``.
        number: Of the worker; None for the trainer.
        lines: How many of the last lines.
        is_following: Go on with new lines until the run has ended.
        engine: How it runs.

    Raises:
        UnavailableError: Nothing was started yet.
        UsageError: There is no such worker.
    """
    plan = _plan_of(project)
    names = [part.name for part in plan.parts if part.kind == kind]
    name = kind if kind == "trainer" else f"worker-{number or 0}"
    if name not in names:
        raise UsageError(
            f"run {plan.run_id} has no worker {number}",
            expected=f"a number from 0 to {len(names) - 1}",
            fix="drctl logs-robomaker -n 0",
        )
    if not is_following and plan.engine == "process" and not log_path(project.run_folder, name).exists():
        raise UnavailableError(f"{name} has printed nothing yet", where=str(log_path(project.run_folder, name)))
    engine = engine or engine_of_run(project.run_folder)
    return engine.logs(project.run_folder, name, lines=lines, is_following=is_following)


def open_all_logs(project: Project, *, lines: int, is_following: bool) -> dict[str, Iterator[str]]:
    """Give the output of every part of the project's run, by name.

    Raises:
        UnavailableError: Nothing was started yet.
    """
    engine = engine_of_run(project.run_folder)
    return {
        part.name: engine.logs(project.run_folder, part.name, lines=lines, is_following=is_following)
        for part in _plan_of(project).parts
    }


def _plan_of(project: Project) -> RunPlan:
    plan = read_plan(project.run_folder)
    if plan is None:
        raise UnavailableError(
            f"run {project.settings.run_id} was never started",
            where=str(project.run_folder),
            fix="drctl start-training",
        )
    return plan
