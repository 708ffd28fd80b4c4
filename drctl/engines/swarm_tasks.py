"""What a Docker swarm knows about a stack: its services, and the tasks that were started for each of their slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from drctl.engines.docker import OWNER_LABEL, PART_LABEL, STACK_LABEL, docker_api, epoch_of

OVER: Final = ("complete", "failed", "rejected", "shutdown", "orphaned", "remove")
_STARTING: Final = ("assigned", "accepted", "preparing", "ready", "starting")


@dataclass(frozen=True)
class Task:
    """One start of a container for a slot of a service.

    Attributes:
        id: Docker's.
        service: Its name within the stack.
        slot: From 1.
        owner: Folder of the drctl project; None when it is none of ours.
        node: Id of its machine; empty until it has one.
        state: Docker's word: ``new``, ``pending``, ..., ``running``, ``complete``, ``failed``, ``rejected``, ...
        error: Why it is not running, in Docker's words.
        container: Short id of its container, empty before there is one.
        exit_code: How the container ended; 0 before.
        created: Epoch seconds.
        since: Since when it is in its state, epoch seconds.
    """

    id: str
    service: str
    slot: int
    owner: str | None
    node: str
    state: str
    error: str
    container: str
    exit_code: int
    created: float
    since: float

    @property
    def is_over(self) -> bool:
        """Whether its container does not run any more, or never will."""
        return self.state in OVER

    @property
    def is_starting(self) -> bool:
        """Whether its machine is about to run it."""
        return self.state in _STARTING


def find_services(stack: str) -> dict[str, str | None]:
    """Return the services of a stack by name within it, each with its owner as `Task.owner` tells it.

    Raises:
        UnavailableError: Docker does not answer, or this machine is no manager any more.
    """
    with docker_api() as api:
        found = api.services(filters={"label": f"{STACK_LABEL}={stack}"})
    specs = [service["Spec"] for service in found]
    return {spec["Name"].removeprefix(f"{stack}_"): spec["Labels"].get(OWNER_LABEL) for spec in specs}


def find_tasks(stack: str) -> list[Task]:
    """Return the tasks of a stack, also former ones, oldest first.

    Raises:
        UnavailableError: Docker does not answer, or this machine is no manager any more.
    """
    with docker_api() as api:
        found = api.tasks(filters={"label": f"{STACK_LABEL}={stack}"})
    return sorted(map(_task, found), key=lambda task: task.created)


def tasks_of(tasks: Iterable[Task], service: str, slot: int) -> list[Task]:
    """Return those of one slot; the last one is the present one."""
    return [task for task in tasks if (task.service, task.slot) == (service, slot)]


def _task(attributes: Mapping[str, Any]) -> Task:
    labels = attributes["Spec"].get("ContainerSpec", {}).get("Labels") or {}
    status = attributes["Status"]
    container = status.get("ContainerStatus") or {}
    return Task(
        id=attributes["ID"],
        service=labels.get(PART_LABEL, ""),
        slot=attributes.get("Slot", 0),
        owner=labels.get(OWNER_LABEL),
        node=attributes.get("NodeID", ""),
        state=status["State"],
        error=status.get("Err", ""),
        container=container.get("ContainerID", "")[:12],
        exit_code=int(container.get("ExitCode") or 0),
        created=epoch_of(attributes["CreatedAt"]),
        since=epoch_of(status["Timestamp"]),
    )
