"""The Compose engine: a run's parts are containers of this machine, which Docker starts again when they die."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from drctl.engines.community_run import (
    LOG_LINES,
    describe_ending,
    make_mounted_folders,
    remove_key_files,
    stop_launched_trainers,
)
from drctl.engines.container_logs import follow_container, read_log, save_log
from drctl.engines.docker import (
    KERNELS_LABEL,
    ContainerFacts,
    Echo,
    ensure_volume,
    find_containers,
    last_words,
    run_docker,
    volume_argv,
)
from drctl.engines.engine import Preview
from drctl.engines.lock import RunLock
from drctl.engines.logs import FOLDER, last_lines, log_path
from drctl.engines.state import STATE_FILE, EnginePhase, EngineState, PartState, read_state, write_state
from drctl.engines.supervisor import EXIT_INTERRUPTED, OUTCOME_FILE, STOP_FILE
from drctl.errors import ConflictError, FailedError, Problem
from drctl.secrets import secrets_folder
from drctl.stack.container_stack import COMPOSE_FILE, IMAGE_USER, TRAINER_FOLDER, TRAINER_SERVICE
from drctl.stack.plan import PLAN_FILE, RunPlan, read_plan, write_plan
from drctl.stack.render import kernel_volume, render_run

TRAINER_FILE: Final = "trainer.json"
_ALIVE: Final = ("running", "paused", "restarting")
_LEAVE_S: Final = 2.0
"""How long workers may take to leave once the trainer has ended: it told them to."""

_POLL_S: Final = 0.1
_SIGNAL_BASE: Final = 128
"""A program killed by signal n ends with 128 + n in a container."""


class ComposeEngine:
    """`Engine` for containers of this machine.

    Args:
        echo: Gets each command that changes something, as one would type it.
    """

    def __init__(self, echo: Echo = lambda _command: None) -> None:
        self._echo = echo

    def preview(self, plan: RunPlan) -> Preview:
        """See `Engine.preview`."""
        folder = Path(plan.run_folder)
        volumes = () if plan.stack == "community" else (volume_argv(kernel_volume(plan), KERNELS_LABEL),)
        commands = (*volumes, _up(folder))
        return Preview({str(folder / COMPOSE_FILE): render_run(plan)}, tuple(("docker", *words) for words in commands))

    def up(self, plan: RunPlan, lock: RunLock) -> None:  # noqa: ARG002 - Docker outlives whoever holds a lock
        """See `Engine.up`."""
        folder = Path(plan.run_folder)
        refuse_foreign(plan.compose_project, plan.project)
        _make_folders(plan)
        (folder / STATE_FILE).unlink(missing_ok=True)
        write_plan(plan)
        trainer = folder / TRAINER_FOLDER
        for name in (STOP_FILE, OUTCOME_FILE):
            (trainer / name).unlink(missing_ok=True)
        (trainer / TRAINER_FILE).write_text(json.dumps(dict(plan.trainer), indent=1) + "\n")
        give_to_container(trainer / TRAINER_FILE)
        (folder / COMPOSE_FILE).write_text(render_run(plan))
        if plan.stack != "community":
            ensure_volume(kernel_volume(plan), self._echo, KERNELS_LABEL)
        write_state(folder, _first_state(plan))
        done = run_docker(_up(folder), self._echo)
        if done.returncode:
            self.down(folder, at_once=True)
            raise FailedError(
                "the containers of the run cannot be started",
                where="\n".join([str(folder / COMPOSE_FILE), *last_words(done)]),
                fix=f"docker compose --file {folder / COMPOSE_FILE} up shows all of it",
            )

    def down(self, run_folder: Path, *, at_once: bool = False) -> bool:
        """See `Engine.down`."""
        plan, recorded = read_plan(run_folder), read_state(run_folder)
        if plan is None or recorded is None:
            return False
        containers = _own(plan)
        if not containers:
            return False
        was_running = any(one.status in _ALIVE for one in containers)
        before = self.state(run_folder)
        if was_running:
            (run_folder / TRAINER_FOLDER / STOP_FILE).touch()
            self._stop(plan, at_once=at_once)
        state = self.state(run_folder) or recorded
        if plan.stack == "community" and before is not None and before.phase == "ended":
            state = before  # only its trainer was left, waiting for workers that are gone
        for one in containers:
            save_log(one, log_path(run_folder, one.part), plan.log)
        if plan.stack == "community":
            stop_launched_trainers(plan, self._echo)
        done = run_docker([*_compose(run_folder), "down", "--timeout", "1", "--remove-orphans"], self._echo)
        left = _own(plan)
        if left:
            raise FailedError(
                f"containers of the run cannot be removed: {', '.join(one.name for one in left)}",
                where="\n".join([str(run_folder / COMPOSE_FILE), *last_words(done)]),
                fix=f"docker rm --force {' '.join(one.name for one in left)}",
            )
        if was_running and at_once and state.reason != "finished":
            stopped: dict[str, Any] = {"reason": "stopped", "message": "stopped by its user at once", "exit_status": 0}
            state = replace(state, **stopped, problems=())
        if plan.stack == "community":
            remove_key_files(plan)
        write_state(run_folder, replace(state, phase="ended", parts=tuple(map(_ended, state.parts))))
        return was_running

    def state(self, run_folder: Path) -> EngineState | None:
        """See `Engine.state`."""
        plan, recorded = read_plan(run_folder), read_state(run_folder)
        if plan is None or recorded is None or recorded.phase == "ended":
            return recorded
        containers = {one.part: one for one in _own(plan)}
        parts = tuple(_part(part, containers.get(part.name)) for part in recorded.parts)
        trainer = containers.get("trainer")
        is_stopping = (run_folder / TRAINER_FOLDER / STOP_FILE).exists()
        if plan.stack == "community":
            return _state_of_images(recorded, parts, list(containers.values()), is_stopping=is_stopping)
        if trainer is not None and trainer.status in (*_ALIVE, "created"):
            phase: EnginePhase = "stopping" if is_stopping else "running"
            return replace(recorded, phase=phase, parts=parts)
        return replace(
            recorded,
            phase="ended",
            phase_since=trainer.finished if trainer else recorded.phase_since,
            parts=parts,
            **_ending(run_folder, trainer, is_stopping=is_stopping),
        )

    def is_running(self, run_folder: Path) -> bool:
        """See `Engine.is_running`."""
        state = self.state(run_folder)
        return state is not None and state.phase != "ended"

    def logs(self, run_folder: Path, part: str, *, lines: int, is_following: bool) -> Iterator[str]:
        """See `Engine.logs`."""
        plan = read_plan(run_folder)
        container = next((one for one in (_own(plan) if plan else ()) if one.part == part), None)
        if container is None:
            return iter(last_lines(log_path(run_folder, part), lines))
        if is_following:
            return follow_container(container.name, lambda: not self.is_running(run_folder), lines=lines)
        return iter(read_log(container.name, lines))

    def _stop(self, plan: RunPlan, *, at_once: bool) -> None:
        compose = _compose(Path(plan.run_folder))
        if at_once:
            run_docker([*compose, "kill"], self._echo)
            return
        if plan.stack == "community":  # nobody of them finishes anything, and a trainer that is left alone waits
            run_docker([*compose, "stop", "--timeout", f"{plan.stop_grace_s:.0f}"], self._echo)
            return
        # First the trainer: it finishes the publish under way and tells the workers to leave.
        run_docker([*compose, "stop", "--timeout", f"{plan.stop_grace_s:.0f}", TRAINER_SERVICE], self._echo)
        deadline = time.monotonic() + _LEAVE_S
        while any(one.status in _ALIVE for one in _own(plan)) and time.monotonic() < deadline:
            time.sleep(_POLL_S)


def refuse_foreign(compose_project: str, folder: str) -> None:
    """Make sure that a Compose project belongs to a drctl project, or to nobody.

    Args:
        compose_project: Such as ``deepracer-0``.
        folder: The drctl project's.

    Raises:
        ConflictError: Its containers were started by somebody else.
    """
    foreign = [one for one in find_containers(compose_project) if one.owner != folder]
    if foreign:
        owner = foreign[0].owner
        raise ConflictError(
            f"there are containers of {compose_project} already: {', '.join(one.name for one in foreign)}",
            where=f"started by the project {owner}" if owner else "not started by drctl",
            expected="one training per DR_RUN_ID and machine",
            fix=f"drctl --project {owner} stop-training, or choose another DR_RUN_ID"
            if owner
            else f"docker compose --project-name {compose_project} down, or choose another DR_RUN_ID",
        )


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


def _compose(folder: Path) -> list[str]:
    return ["compose", "--ansi", "never", "--file", str(folder / COMPOSE_FILE)]


def _up(folder: Path) -> list[str]:
    return [*_compose(folder), "up", "--detach", "--no-build"]


def _own(plan: RunPlan) -> list[ContainerFacts]:
    return [one for one in find_containers(plan.compose_project) if one.owner == plan.project]


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
    for path in (folder / TRAINER_FOLDER, ticket, ticket.with_name("keys")):
        path.mkdir(mode=0o700, exist_ok=True)
        give_to_container(path)


def _first_state(plan: RunPlan) -> EngineState:
    parts = tuple(PartState(part.name, part.kind) for part in plan.parts)
    return EngineState(plan.run_token, socket.gethostname(), None, "starting", time.time(), parts)


def _part(part: PartState, container: ContainerFacts | None) -> PartState:
    if container is None:
        return part
    status = container.exit_code
    return replace(
        part,
        container=container.id,
        since=container.started,
        restarts=container.restarts,
        is_running=container.status in ("running", "paused"),
        next_start=time.time() if container.status == "restarting" else None,
        last_exit=(status if status <= _SIGNAL_BASE else _SIGNAL_BASE - status) if container.finished else None,
        last_exit_time=container.finished or None,
    )


def _state_of_images(
    recorded: EngineState, parts: tuple[PartState, ...], containers: list[ContainerFacts], *, is_stopping: bool
) -> EngineState:
    """Return the state of a run of the community images, whose end their logs tell."""
    if not containers:
        message = "stopped by its user" if is_stopping else "its containers were removed by somebody else"
        reason, status = ("stopped", 0) if is_stopping else ("interrupted", EXIT_INTERRUPTED)
        return replace(recorded, phase="ended", parts=parts, reason=reason, message=message, exit_status=status)
    ending = describe_ending(containers, lambda name: read_log(name, LOG_LINES))
    if is_stopping and (ending is not None or not any(one.status in _ALIVE for one in containers)):
        ending = {"reason": "stopped", "message": "stopped by its user", "exit_status": 0, "problems": ()}
    if ending is None:
        return replace(recorded, phase="stopping" if is_stopping else "running", parts=parts)
    last = max(one.finished for one in containers)
    return replace(recorded, phase="ended", phase_since=last or recorded.phase_since, parts=parts, **ending)


def _ended(part: PartState) -> PartState:
    return replace(part, is_running=False, next_start=None)


def _ending(run_folder: Path, trainer: ContainerFacts | None, *, is_stopping: bool) -> dict[str, Any]:
    """Return reason, message, exit status and problems of a run whose trainer does not run any more."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((run_folder / TRAINER_FOLDER / OUTCOME_FILE).read_text())
        problems = tuple(Problem(**problem) for problem in found.get("problems", ()))
        return {**{name: found[name] for name in ("reason", "message", "exit_status")}, "problems": problems}
    if is_stopping:
        message = "stopped by its user; the trainer did not end in time and was killed"
        return {"reason": "stopped", "message": message, "exit_status": 0}
    what = "its containers were removed" if trainer is None else "its containers were stopped"
    message = f"{what} by somebody else; drctl start-training --resume goes on"
    return {"reason": "interrupted", "message": message, "exit_status": EXIT_INTERRUPTED}
