"""How containers of the community images end: their exit codes do not tell, their logs do (contract 2.7, 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from drctl.engines.docker import ContainerFacts, Echo, list_containers, run_docker
from drctl.engines.supervisor import EXIT_INTERRUPTED
from drctl.errors import Problem
from drctl.formats.log_lines import TERMINATION, WORKER_DONE, read_simapp_exception
from drctl.stack.community_stack import SDK_FOLDER, STREAM_PORT
from drctl.stack.plan import RunPlan, read_plan

LOG_LINES: Final = 300
"""How many of the last lines are searched: an exception is followed by those of the programs that it takes along."""

_SHOWN_LINES: Final = 8
_USER_ERROR: Final = "user_error"
_EXIT_USER: Final = 3
_EXIT_FAILED: Final = 1
_EXIT_KILLED: Final = (137, 143)  # 128 + SIGKILL, SIGTERM
_LAUNCHED_NAME: Final = "algo-1-"  # contract 0: what the SDK calls the trainer that the launcher starts

ReadLog = Callable[[str], Sequence[str]]


def describe_ending(containers: Sequence[ContainerFacts], read_log: ReadLog) -> dict[str, Any] | None:
    """Tell why a run is over, or None while it is not.

    It is over when its trainer has ended, and also when all its workers have: their trainer then waits for ever.

    Args:
        containers: All of the run's.
        read_log: Returns the last lines of a container's log.

    Returns:
        Reason, message, exit status and problems, as `EngineState` has them.
    """
    trainers = [one for one in containers if one.part == "trainer"]
    workers = [one for one in containers if one.part != "trainer"]
    for one in (*trainers, *workers):
        if not one.finished or one.status in ("running", "paused"):
            continue
        problem = _exception_of(one, read_log(one.name))
        if problem is not None and (one in trainers or _has_ended(workers)):
            return _failure(problem)
    ended = [one for one in trainers if _has_ended([one])]
    if ended:
        return _end_of_trainer(ended[0], read_log)
    if not workers or not _has_ended(workers):
        return None
    if trainers and not all(_says_goodbye(read_log(one.name)) for one in workers):
        names = ", ".join(one.name for one in workers)
        return _failure(
            Problem(
                "the workers have ended and did not say why",
                where="\n".join([names, *list(read_log(workers[0].name))[-_SHOWN_LINES:]]),
                fix="drctl logs-robomaker -n 0 shows all of it",
            )
        )
    message = "the workers have driven all their episodes (term_cond_max_episodes)" if trainers else "the race is over"
    return {"reason": "finished", "message": message, "exit_status": 0, "problems": ()}


def stop_launched_trainers(plan: RunPlan, echo: Echo) -> None:
    """Remove the trainer that the launcher of a run has started; it belongs to no Compose project of ours.

    Args:
        plan: Of the run.
        echo: Gets each command that changes something.
    """
    wanted = {f"RUN_ID={plan.run_id}", f"TRAINING_JOB_NAME={plan.prefix}"}
    for name, environment in list_containers(_LAUNCHED_NAME).items():
        if wanted <= set(environment):
            run_docker(["rm", "--force", name], echo)


def find_stream_port(run_folder: Path, part: str) -> str | None:
    """Return where this machine reaches the streams of a part, as ``host:port``; None while it does not run.

    Args:
        run_folder: Of the run.
        part: Such as ``worker-0``.
    """
    plan = read_plan(run_folder)
    container = next((one.container for one in plan.parts if one.name == part), None) if plan else None
    if container is None:
        return None
    found = run_docker(["port", container.name, f"{STREAM_PORT}/tcp"])
    return next(iter(found.stdout.split()), None) if found.returncode == 0 else None


def make_mounted_folders(plan: RunPlan) -> None:
    """Make the folders that containers mount, where nobody else does; Docker would make them for root, or refuse."""
    for part in plan.parts:
        for mount in part.container.mounts if part.container else ():
            if mount.source.startswith(f"{plan.project}/") or mount.source == SDK_FOLDER:
                Path(mount.source).mkdir(parents=True, exist_ok=True)


def remove_key_files(plan: RunPlan) -> None:
    """Remove the store's access key as the containers of a run had it."""
    for part in plan.parts:
        for name in part.container.env_files if part.container else ():
            Path(name).unlink(missing_ok=True)


def _has_ended(containers: Sequence[ContainerFacts]) -> bool:
    return all(one.status in ("exited", "dead") for one in containers)


def _says_goodbye(lines: Sequence[str]) -> bool:
    return any(WORKER_DONE in line or TERMINATION in line for line in lines)


def _exception_of(container: ContainerFacts, lines: Sequence[str]) -> Problem | None:
    for line in lines:
        found = read_simapp_exception(line)
        if found is not None:
            return _problem(container, found)
    return None


def _problem(container: ContainerFacts, found: Mapping[str, str]) -> Problem:
    number = container.part.removeprefix("worker-")
    log = "drctl logs-sagemaker" if container.part == "trainer" else f"drctl logs-robomaker -n {number}"
    return Problem(
        found["message"],
        where=f"{container.name}, {found['function']} ({found['exception_type']})",
        fix=f"{log} shows what came before it",
        code="file_invalid" if found["event_type"] == _USER_ERROR else None,
    )


def _failure(problem: Problem) -> dict[str, Any]:
    status = _EXIT_USER if problem.code == "file_invalid" else _EXIT_FAILED
    return {"reason": "failed", "message": problem.what, "exit_status": status, "problems": (problem,)}


def _end_of_trainer(trainer: ContainerFacts, read_log: ReadLog) -> dict[str, Any]:
    if trainer.exit_code == 0:
        message = "the trainer has ended its iterations (term_cond_max_episodes)"
        return {"reason": "finished", "message": message, "exit_status": 0, "problems": ()}
    if trainer.exit_code in _EXIT_KILLED:
        message = f"{trainer.name} was ended by somebody else"
        return {"reason": "interrupted", "message": message, "exit_status": EXIT_INTERRUPTED, "problems": ()}
    return _failure(
        Problem(
            f"the trainer ended with exit status {trainer.exit_code}",
            where="\n".join([trainer.name, *list(read_log(trainer.name))[-_SHOWN_LINES:]]),
            fix="drctl logs-sagemaker shows all of it",
        )
    )
