"""What a run in containers keeps on this machine: its folder, what the trainer's container sees of it, its end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from drctl.engines.community_run import make_mounted_folders
from drctl.engines.logs import FOLDER
from drctl.engines.state import STATE_FILE, EnginePhase, EngineState, PartState, write_state
from drctl.engines.supervisor import EXIT_INTERRUPTED, OUTCOME_FILE, STOP_FILE
from drctl.errors import ConflictError, Problem
from drctl.secrets import secrets_folder
from drctl.stack.container_stack import COMPOSE_FILE, IMAGE_USER, LINK_KEYS, TRAINER_FOLDER
from drctl.stack.plan import PLAN_FILE, RunPlan, read_plan, write_plan

TRAINER_FILE: Final = "trainer.json"
_LEAVE_S: Final = 2.0
"""How long workers may take to leave once the trainer has ended: it told them to."""

_LEAVE_POLL_S: Final = 0.1
_SIGNAL_BASE: Final = 128
"""A program killed by signal n ends with 128 + n in a container."""


def prepare_run_folder(plan: RunPlan, rendered: str) -> None:
    """Write what a start needs: the plan, the trainer's start file, the rendered file, a first state.

    Args:
        plan: Of the run; its run folder exists.
        rendered: What Docker is to read.
    """
    folder = Path(plan.run_folder)
    _make_folders(plan)
    (folder / STATE_FILE).unlink(missing_ok=True)
    write_plan(plan)
    trainer = folder / TRAINER_FOLDER
    for name in (STOP_FILE, OUTCOME_FILE):
        (trainer / name).unlink(missing_ok=True)
    (trainer / TRAINER_FILE).write_text(json.dumps(dict(plan.trainer), indent=1) + "\n")
    give_to_container(trainer / TRAINER_FILE)
    (folder / COMPOSE_FILE).write_text(rendered)
    parts = tuple(PartState(part.name, part.kind) for part in plan.parts)
    write_state(folder, EngineState(plan.run_token, socket.gethostname(), None, "starting", time.time(), parts))


def give_to_container(path: Path, user_id: int = IMAGE_USER) -> None:
    """Make a file or folder a container's own where the host's user is root, which our containers never are.

    Args:
        path: What it is given.
        user_id: The container's user.
    """
    if os.getuid() == 0:
        os.chown(path, user_id, 0)


def clear_container_run(run_folder: Path) -> None:
    """Remove what a start that failed left in a run folder and among the secrets; the logs stay, they say why."""
    plan = read_plan(run_folder)
    if plan is not None and plan.ticket:
        shutil.rmtree(Path(plan.ticket).parent.parent, ignore_errors=True)
    shutil.rmtree(run_folder / TRAINER_FOLDER, ignore_errors=True)
    for name in (PLAN_FILE, STATE_FILE, COMPOSE_FILE):
        (run_folder / name).unlink(missing_ok=True)


def request_stop(run_folder: Path) -> None:
    """Tell the trainer that its next SIGTERM is the end of the run."""
    (run_folder / TRAINER_FOLDER / STOP_FILE).touch()


def is_stop_requested(run_folder: Path) -> bool:
    """Tell whether the user has asked for the end of the run."""
    return (run_folder / TRAINER_FOLDER / STOP_FILE).exists()


def phase_of(run_folder: Path) -> EnginePhase:
    """Return the phase of a run whose trainer has not ended."""
    return "stopping" if is_stop_requested(run_folder) else "running"


def await_leaving(is_anybody_there: Callable[[], bool]) -> None:
    """Give workers the time to leave after the trainer's end."""
    deadline = time.monotonic() + _LEAVE_S
    while is_anybody_there() and time.monotonic() < deadline:
        time.sleep(_LEAVE_POLL_S)


def ended_state(
    run_folder: Path, recorded: EngineState, parts: tuple[PartState, ...], ended_at: float | None
) -> EngineState:
    """Return the state of a run whose trainer does not run any more.

    Args:
        run_folder: Folder of the run.
        recorded: Its state as it was written last.
        parts: Where its parts stand.
        ended_at: Since when the trainer's container has ended, epoch seconds; None where it is gone.
    """
    since = recorded.phase_since if ended_at is None else ended_at
    ending = _read_ending(run_folder, is_removed=ended_at is None)
    return replace(recorded, phase="ended", phase_since=since, parts=parts, **ending)


def foreign_run(
    name: str, noun: str, members: Iterable[str], owner: str | None, *, place: str, removal: str
) -> ConflictError:
    """Make the error that somebody else has a run of this number.

    Args:
        name: Such as ``deepracer-0``.
        noun: What there is of it, ``containers`` or ``services``.
        members: Their names.
        owner: Folder of the drctl project that started them; None where none did.
        place: Where there is room for one, such as ``machine``.
        removal: Command that removes what no project of drctl's started.
    """
    ending = f"drctl --project {owner} stop-training" if owner else removal
    return ConflictError(
        f"there are {noun} of {name} already: {', '.join(members)}",
        where=f"started by the project {owner}" if owner else "not started by drctl",
        expected=f"one training per DR_RUN_ID and {place}",
        fix=f"{ending}, or choose another DR_RUN_ID",
    )


def _read_ending(run_folder: Path, *, is_removed: bool) -> dict[str, Any]:
    """Return reason, message, exit status and problems of a run whose trainer does not run any more.

    Args:
        run_folder: Folder of the run.
        is_removed: The trainer's container is gone, and not only at its end.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((run_folder / TRAINER_FOLDER / OUTCOME_FILE).read_text())
        problems = tuple(Problem(**problem) for problem in found.get("problems", ()))
        return {**{name: found[name] for name in ("reason", "message", "exit_status")}, "problems": problems}
    if is_stop_requested(run_folder):
        message = "stopped by its user; the trainer did not end in time and was killed"
        return {"reason": "stopped", "message": message, "exit_status": 0}
    what = "its containers were removed" if is_removed else "its containers were stopped"
    message = f"{what} by somebody else; drctl start-training --resume goes on"
    return {"reason": "interrupted", "message": message, "exit_status": EXIT_INTERRUPTED}


def write_end(run_folder: Path, state: EngineState, *, is_cut_short: bool) -> None:
    """Record that nothing of a run is left.

    Args:
        run_folder: Folder of the run.
        state: Its last state.
        is_cut_short: It was running and its user did not wait for the publish under way.
    """
    if is_cut_short and state.reason != "finished":
        stopped: dict[str, Any] = {"reason": "stopped", "message": "stopped by its user at once", "exit_status": 0}
        state = replace(state, **stopped, problems=())
    parts = tuple(replace(part, is_running=False, next_start=None) for part in state.parts)
    write_state(run_folder, replace(state, phase="ended", parts=parts))


def exit_of(status: int) -> int:
    """Return how a program ended: its exit status, or minus the number of the signal that killed it."""
    return status if status <= _SIGNAL_BASE else _SIGNAL_BASE - status


def _make_folders(plan: RunPlan) -> None:
    """Make what the containers mount of this machine, for them alone; Docker would make it for root."""
    folder = Path(plan.run_folder)
    (folder / FOLDER).mkdir(exist_ok=True)
    if plan.stack == "community":  # it has no link, and its containers see nothing of the run's folder
        (folder / TRAINER_FOLDER).mkdir(mode=0o700, exist_ok=True)
        make_mounted_folders(plan)
        return
    ticket = Path(plan.ticket).parent
    secrets_folder(Path(plan.project))
    # Keys of an earlier start are worth nothing to this one.
    shutil.rmtree(ticket.parent, ignore_errors=True)
    ticket.parent.mkdir(mode=0o700)
    for path in (folder / TRAINER_FOLDER, ticket, ticket.with_name(LINK_KEYS)):
        path.mkdir(mode=0o700, exist_ok=True)
        give_to_container(path)
