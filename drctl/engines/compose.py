"""The Compose engine: a run's parts are containers of this machine, which Docker starts again when they die."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from drctl.engines.community_run import (
    LOG_LINES,
    describe_ending,
    remove_key_files,
    stop_launched_trainers,
)
from drctl.engines.container_logs import follow_container, read_log, save_log
from drctl.engines.container_run import (
    await_leaving,
    ended_state,
    exit_of,
    foreign_run,
    is_stop_requested,
    phase_of,
    prepare_run_folder,
    request_stop,
    write_end,
)
from drctl.engines.docker import (
    ContainerFacts,
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
from drctl.engines.lock import RunLock
from drctl.engines.logs import last_lines, log_path
from drctl.engines.state import EngineState, PartState, read_state
from drctl.engines.supervisor import EXIT_INTERRUPTED
from drctl.errors import FailedError
from drctl.stack.container_stack import COMPOSE_FILE, KERNELS_LABEL, TRAINER_SERVICE
from drctl.stack.plan import RunPlan, read_plan
from drctl.stack.render import kernel_volume, render_run

_ALIVE: Final = ("running", "paused", "restarting")


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
        commands = (*volumes, up_argv(folder / COMPOSE_FILE))
        return Preview({str(folder / COMPOSE_FILE): render_run(plan)}, tuple(("docker", *words) for words in commands))

    def up(self, plan: RunPlan, lock: RunLock) -> None:  # noqa: ARG002 - Docker outlives whoever holds a lock
        """See `Engine.up`."""
        folder = Path(plan.run_folder)
        refuse_foreign(plan.compose_project, plan.project)
        prepare_run_folder(plan, render_run(plan))
        if plan.stack != "community":
            ensure_volume(kernel_volume(plan), self._echo, KERNELS_LABEL)
        done = run_docker(up_argv(folder / COMPOSE_FILE), self._echo)
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
            request_stop(run_folder)
            self._stop(plan, at_once=at_once)
        state = self.state(run_folder) or recorded
        if plan.stack == "community" and before is not None and before.phase == "ended":
            state = before  # only its trainer was left, waiting for workers that are gone
        for one in containers:
            save_log(one, log_path(run_folder, one.part), plan.log)
        if plan.stack == "community":
            stop_launched_trainers(plan, self._echo)
        done = run_docker(
            [*compose_argv(run_folder / COMPOSE_FILE), "down", "--timeout", "1", "--remove-orphans"], self._echo
        )
        left = _own(plan)
        if left:
            raise FailedError(
                f"containers of the run cannot be removed: {', '.join(one.name for one in left)}",
                where="\n".join([str(run_folder / COMPOSE_FILE), *last_words(done)]),
                fix=f"docker rm --force {' '.join(one.name for one in left)}",
            )
        if plan.stack == "community":
            remove_key_files(plan)
        write_end(run_folder, state, is_cut_short=was_running and at_once)
        return was_running

    def state(self, run_folder: Path) -> EngineState | None:
        """See `Engine.state`."""
        plan, recorded = read_plan(run_folder), read_state(run_folder)
        if plan is None or recorded is None or recorded.phase == "ended":
            return recorded
        containers = {one.part: one for one in _own(plan)}
        parts = tuple(_part(part, containers.get(part.name)) for part in recorded.parts)
        trainer = containers.get("trainer")
        if plan.stack == "community":
            is_stopping = is_stop_requested(run_folder)
            return _state_of_images(recorded, parts, list(containers.values()), is_stopping=is_stopping)
        if trainer is not None and trainer.status in (*_ALIVE, "created"):
            return replace(recorded, phase=phase_of(run_folder), parts=parts)
        return ended_state(run_folder, recorded, parts, trainer.finished if trainer else None)

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
        compose = compose_argv(Path(plan.run_folder) / COMPOSE_FILE)
        if at_once:
            run_docker([*compose, "kill"], self._echo)
            return
        if plan.stack == "community":  # nobody of them finishes anything, and a trainer that is left alone waits
            run_docker([*compose, "stop", "--timeout", f"{plan.stop_grace_s:.0f}"], self._echo)
            return
        # First the trainer: it finishes the publish under way and tells the workers to leave.
        run_docker([*compose, "stop", "--timeout", f"{plan.stop_grace_s:.0f}", TRAINER_SERVICE], self._echo)
        await_leaving(lambda: any(one.status in _ALIVE for one in _own(plan)))


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
        raise foreign_run(
            compose_project,
            "containers",
            [one.name for one in foreign],
            foreign[0].owner,
            place="machine",
            removal=f"docker compose --project-name {compose_project} down",
        )


def _own(plan: RunPlan) -> list[ContainerFacts]:
    return [one for one in find_containers(plan.compose_project) if one.owner == plan.project]


def _part(part: PartState, container: ContainerFacts | None) -> PartState:
    if container is None:
        return part
    return replace(
        part,
        container=container.id,
        since=container.started,
        restarts=container.restarts,
        is_running=container.status in ("running", "paused"),
        next_start=time.time() if container.status == "restarting" else None,
        last_exit=exit_of(container.exit_code) if container.finished else None,
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
