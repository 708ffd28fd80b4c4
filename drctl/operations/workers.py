"""Workers beyond those a run starts itself: invite them, and be one."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from drctl.engines.choice import engine_of_run
from drctl.errors import ConfigError, UnavailableError
from drctl.link.listening import advertised_host, tcp_endpoint
from drctl.link.ticket import read_ticket, write_ticket
from drctl.result import Message, Result
from drctl.stack.drctl_stack import invite_path, is_open_to_network, worker_environment
from drctl.stack.plan import read_plan

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.engines.engine import Engine
    from drctl.stack.plan import Container, RunPlan


def invite_worker(project: Project, *, engine: Engine | None = None) -> Result:
    """Return the ticket with which a worker on another machine joins the project's run.

    Args:
        project: The project.
        engine: How it runs.

    Returns:
        ``ticket``: a file with keys, for its reader alone; ``command``: what to type on the other machine.

    Raises:
        UnavailableError: The run does not run, or its trainer has not written the ticket yet.
        ConfigError: The run listens on this machine only.
    """
    plan = read_plan(project.run_folder)
    run_id = project.settings.run_id
    if plan is None or not (engine or engine_of_run(project.run_folder)).is_running(project.run_folder):
        raise UnavailableError(
            f"run {run_id} is not running", where=str(project.run_folder), fix="drctl start-training"
        )
    address = _open_address(plan)
    if address is None:
        raise ConfigError(
            f"run {run_id} lets no workers of other machines in: it listens on {_where_it_listens(plan)} only",
            where=f"DR_LINK_LISTEN, {project.settings.origin('DR_LINK_LISTEN')}",
            expected="an address that other machines reach, such as 0.0.0.0",
            fix="drctl config set DR_LINK_LISTEN=0.0.0.0 && drctl stop-training && drctl start-training --resume",
        )
    ticket = invite_path(project.secrets_folder, run_id)
    host = advertised_host(address)
    try:
        if _trainer_container(plan) is None:
            read_ticket(ticket)
        else:
            # The trainer's own ticket names it as its network knows it.
            inside = read_ticket(Path(plan.ticket))
            write_ticket(ticket, replace(inside, endpoint=tcp_endpoint(host, plan.link_port)))
    except FileNotFoundError as error:
        raise UnavailableError(
            "the trainer has not written the ticket yet", where=str(ticket), fix="drctl worker-invite in a moment"
        ) from error
    command = f"drctl start-worker --join {ticket.name}"
    messages = (
        Message(f"The ticket is {ticket}"),
        Message(f"Copy it to the other machine (scp {ticket} HOST:) and type there: {command}"),
        Message("Who has the file can join this run; its keys are good for this run alone."),
    )
    data = {"ticket": str(ticket), "command": command, "address": f"{host}:{plan.link_port}"}
    return Result(data, messages)


def _trainer_container(plan: RunPlan) -> Container | None:
    return next(part.container for part in plan.parts if part.kind == "trainer")


def _open_address(plan: RunPlan) -> str | None:
    """Return the address of this machine on which a run lets other machines' workers in, or None."""
    container = _trainer_container(plan)
    if container is not None:
        return next((port.address for port in container.ports if port.target == plan.link_port), None)
    address = plan.trainer["link"]["tcp_host"]
    return address if is_open_to_network(address) else None


def _where_it_listens(plan: RunPlan) -> str:
    return plan.trainer["link"]["tcp_host"] if _trainer_container(plan) is None else "its containers' network"


def run_worker(ticket: Path, name: str | None) -> int:
    """Be a worker, in this process, until the run has ended.

    Args:
        ticket: File from `invite_worker`.
        name: Name within the run; None for one made of the host's name and the process id.

    Returns:
        Exit status of the worker.

    Raises:
        UnavailableError: The file cannot be read.
        FormatError: It is no ticket.
    """
    try:
        read_ticket(ticket)
    except OSError as error:
        raise UnavailableError(
            f"the ticket cannot be read: {(error.strerror or str(error)).lower()}",
            where=str(ticket),
            expected="the file that drctl worker-invite names on the machine of the trainer",
            fix="drctl worker-invite",
        ) from error
    for variable, value in worker_environment().items():
        os.environ.setdefault(variable, value)  # before numba is imported
    from drctl.simulation.worker import main

    return main(["--join", str(ticket), "--name", name or f"{socket.gethostname()}-{os.getpid()}"])
