"""The Swarm engine: a run's parts are services of a Docker swarm, which starts them again on one of its machines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from drctl.engines.container_logs import KEPT_LINES, save_lines
from drctl.engines.container_run import (
    await_leaving,
    ended_state,
    exit_of,
    foreign_run,
    give_to_container,
    phase_of,
    prepare_run_folder,
    request_stop,
    write_end,
)
from drctl.engines.docker import STACK_LABEL, ContainerFacts, Echo, find_containers, last_words, run_docker
from drctl.engines.engine import Preview
from drctl.engines.lock import RunLock
from drctl.engines.logs import last_lines, log_path
from drctl.engines.state import EngineState, PartState, read_state
from drctl.engines.swarm_logs import follow_tasks, read_tasks
from drctl.engines.swarm_nodes import Node, find_nodes
from drctl.engines.swarm_tasks import Task, find_services, find_tasks
from drctl.engines.swarm_trouble import describe_trouble, history_of, missing_images
from drctl.errors import FailedError
from drctl.stack.container_stack import COMPOSE_FILE, LINK_KEYS, TRAINER_SERVICE
from drctl.stack.plan import Part, RunPlan, read_plan
from drctl.stack.render import render_stack

_REMOVE_S: Final = 60.0
_POLL_S: Final = 0.1


class SwarmEngine:
    """`Engine` for the machines of a Docker swarm; it runs on one of its managers, which also runs the trainer.

    Args:
        echo: Gets each command that changes something, as one would type it.
    """

    def __init__(self, echo: Echo = lambda _command: None) -> None:
        self._echo = echo

    def preview(self, plan: RunPlan) -> Preview:
        """See `Engine.preview`."""
        file = str(Path(plan.run_folder) / COMPOSE_FILE)
        return Preview({file: render_stack(plan)}, (("docker", *_deploy(plan)),))

    def up(self, plan: RunPlan, lock: RunLock) -> None:  # noqa: ARG002 - Docker outlives whoever holds a lock
        """See `Engine.up`."""
        folder = Path(plan.run_folder)
        refuse_foreign_stack(plan.compose_project, plan.project)
        prepare_run_folder(plan, render_stack(plan))
        _write_ticket(plan)
        done = run_docker(_deploy(plan), self._echo)
        if done.returncode:
            self.down(folder, at_once=True)
            raise FailedError(
                "the services of the run cannot be started",
                where="\n".join([str(folder / COMPOSE_FILE), *last_words(done)]),
                fix="the lines above say why",
            )

    def down(self, run_folder: Path, *, at_once: bool = False) -> bool:
        """See `Engine.down`."""
        plan, recorded = read_plan(run_folder), read_state(run_folder)
        if plan is None or recorded is None or recorded.phase == "ended":
            return False
        swarm = _Swarm.look(plan)
        if not swarm.services and not find_containers(plan.compose_project, STACK_LABEL):
            write_end(run_folder, self.state(run_folder) or recorded, is_cut_short=False)
            return False
        was_running = self.is_running(run_folder)
        if was_running:
            request_stop(run_folder)
            if not at_once:
                self._stop(plan)
        state = self.state(run_folder) or recorded
        for part in plan.parts:
            lines = read_tasks(_Swarm.look(plan).history(part), swarm.here, KEPT_LINES)
            save_lines(lines, log_path(run_folder, part.name), plan.log)
        self._remove(plan, at_once=at_once)
        write_end(run_folder, state, is_cut_short=was_running and at_once)
        return was_running

    def state(self, run_folder: Path) -> EngineState | None:
        """See `Engine.state`."""
        plan, recorded = read_plan(run_folder), read_state(run_folder)
        if plan is None or recorded is None or recorded.phase == "ended":
            return recorded
        swarm = _Swarm.look(plan)
        containers = {part.name: part for part in plan.parts}
        parts = tuple(_state_of(part, containers[part.name], swarm) for part in recorded.parts)
        trainer = next(iter(swarm.history(plan.parts[0])[-1:]), None)
        if TRAINER_SERVICE in swarm.services and (trainer is None or trainer.state != "complete"):
            problems = missing_images(plan, swarm.tasks, swarm.nodes)
            return replace(recorded, phase=phase_of(run_folder), parts=parts, problems=problems)
        return ended_state(run_folder, recorded, parts, trainer.since if trainer else None)

    def is_running(self, run_folder: Path) -> bool:
        """See `Engine.is_running`."""
        state = self.state(run_folder)
        return state is not None and state.phase != "ended"

    def logs(self, run_folder: Path, part: str, *, lines: int, is_following: bool) -> Iterator[str]:
        """See `Engine.logs`."""
        plan = read_plan(run_folder)
        planned = next((one for one in (plan.parts if plan else ()) if one.name == part), None)
        recorded = read_state(run_folder)
        if plan is None or planned is None or recorded is None or recorded.phase == "ended":
            return iter(last_lines(log_path(run_folder, part), lines))
        swarm = _Swarm.look(plan)
        if not is_following:
            return iter(read_tasks(swarm.history(planned), swarm.here, lines))
        return follow_tasks(
            lambda: _Swarm.look(plan).history(planned),
            swarm.here,
            lambda: not self.is_running(run_folder),
            lines=lines,
        )

    def _stop(self, plan: RunPlan) -> None:
        """Let the trainer finish the publish under way and tell the workers to leave."""
        swarm = _Swarm.look(plan)
        # Its container ends with status 0 then, which Swarm takes for the end of its work. Were the service asked to
        # end, Docker would remove the container with its last words.
        for task in swarm.history(plan.parts[0])[-1:]:
            if task.state == "running":
                run_docker(["stop", "--time", f"{plan.stop_grace_s:.0f}", task.container], self._echo)
        await_leaving(lambda: _Swarm.look(plan).is_alive)

    def _remove(self, plan: RunPlan, *, at_once: bool) -> None:
        done = run_docker(["stack", "rm", plan.compose_project], self._echo)
        if at_once:
            names = [one.name for one in _containers_here(plan) if one.status == "running"]
            if names:
                run_docker(["kill", *names], self._echo)
        deadline = time.monotonic() + _REMOVE_S
        while left := [*_Swarm.look(plan).services, *(one.name for one in _containers_here(plan))]:
            if time.monotonic() > deadline:
                raise FailedError(
                    f"services or containers of the run cannot be removed: {', '.join(left)}",
                    where="\n".join(last_words(done)),
                    fix=f"docker stack rm {plan.compose_project}",
                )
            time.sleep(_POLL_S)


def refuse_foreign_stack(stack: str, folder: str) -> None:
    """Make sure that a stack belongs to a drctl project, or to nobody.

    Args:
        stack: Such as ``deepracer-0``.
        folder: The drctl project's.

    Raises:
        ConflictError: Its services were started by somebody else.
    """
    foreign = {name: owner for name, owner in find_services(stack).items() if owner != folder}
    if foreign:
        raise foreign_run(
            stack,
            "services",
            [f"{stack}_{name}" for name in foreign],
            next(iter(foreign.values())),
            place="swarm",
            removal=f"docker stack rm {stack}",
        )


@dataclass(frozen=True)
class _Swarm:
    """What the swarm knows about a run at one moment."""

    services: Mapping[str, str | None]
    tasks: Sequence[Task]
    nodes: Mapping[str, Node]

    @classmethod
    def look(cls, plan: RunPlan) -> _Swarm:
        nodes = {node.id: node for node in find_nodes()}
        if not nodes:  # this machine has left the swarm, and everything of it has ended
            return cls({}, (), {})
        services = {name: owner for name, owner in find_services(plan.compose_project).items() if owner == plan.project}
        tasks = [task for task in find_tasks(plan.compose_project) if task.owner == plan.project]
        return cls(services, tasks, nodes)

    @property
    def here(self) -> str:
        return next((node.id for node in self.nodes.values() if node.is_here), "")

    @property
    def is_alive(self) -> bool:
        return any(task.state == "running" and self.is_up(task) for task in self.tasks)

    def is_up(self, task: Task) -> bool:
        """Tell whether the machine of a task answers."""
        return task.node in self.nodes and self.nodes[task.node].is_ready

    def history(self, part: Part) -> list[Task]:
        """Return the tasks of a part, the present one last."""
        return history_of(part, self.tasks)


def _state_of(part: PartState, planned: Part, swarm: _Swarm) -> PartState:
    history = swarm.history(planned)
    if not history:
        return part
    task, former = history[-1], history[:-1]
    ended = next((one for one in reversed(history) if one.is_over and one.container), None)
    is_running = task.state == "running" and swarm.is_up(task)
    return replace(
        part,
        container=task.container or None,
        node=swarm.nodes[task.node].name if task.node in swarm.nodes else None,
        since=task.since if is_running else task.created,
        restarts=len(former),
        is_running=is_running,
        next_start=None if is_running or not former else time.time(),
        last_exit=exit_of(ended.exit_code) if ended else None,
        last_exit_time=ended.since if ended else None,
        trouble="" if is_running else describe_trouble(task, planned, swarm.nodes),
    )


def _write_ticket(plan: RunPlan) -> None:
    """Make the link's keys and the workers' ticket: other machines need it before the trainer could have written it."""
    from drctl.link.keys import keys_file, load_or_create_keys
    from drctl.link.listening import tcp_endpoint
    from drctl.link.ticket import make_ticket, write_ticket

    ticket = Path(plan.ticket)
    keys = keys_file(ticket.parent.with_name(LINK_KEYS) / ticket.name, plan.run_id)
    endpoint = tcp_endpoint(plan.trainer["link"]["advertised_host"], plan.link_port)
    write_ticket(ticket, make_ticket(plan.run_id, endpoint, load_or_create_keys(keys)))
    for path in (keys, ticket):
        give_to_container(path)


def _containers_here(plan: RunPlan) -> list[ContainerFacts]:
    return [one for one in find_containers(plan.compose_project, STACK_LABEL) if one.owner == plan.project]


def _deploy(plan: RunPlan) -> list[str]:
    file = str(Path(plan.run_folder) / COMPOSE_FILE)
    # The images are pinned already; no registry needs to be asked.
    return ["stack", "deploy", "--compose-file", file, "--resolve-image", "never", plan.compose_project]
