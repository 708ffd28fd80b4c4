"""The machines of a Docker swarm, and whether a run can be started on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from drctl.engines.docker import docker_api, pin_image
from drctl.errors import Problem, UnavailableError
from drctl.stack.swarm_stack import TRAINER_LABEL, WORKER_LABEL, SwarmPlace

_EXPECTED: Final = "a manager of a Docker swarm, because DR_DOCKER_STYLE is swarm"


@dataclass(frozen=True)
class Node:
    """One machine of the swarm.

    Attributes:
        id: Docker's.
        name: Its host name.
        labels: Those of the node, by which services choose.
        is_ready: Its engine answers the managers.
        is_active: It takes containers: it is neither paused nor drained.
        is_here: It is this machine.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    is_ready: bool
    is_active: bool
    is_here: bool

    def has_label(self, label: str) -> bool:
        """Tell whether the label is set to true, in any case of letters, as Docker compares."""
        return self.labels.get(label, "").lower() == "true"

    @property
    def is_usable(self) -> bool:
        """Whether a container could be started on it now."""
        return self.is_ready and self.is_active


def find_nodes() -> tuple[Node, ...]:
    """Return the machines of the swarm; none when this one is in no swarm.

    Raises:
        UnavailableError: Docker does not answer, or this machine manages its swarm no more.
    """
    with docker_api() as api:
        facts = api.info()["Swarm"]
        if facts["LocalNodeState"] == "inactive":
            return ()
        _check_membership(facts)
        return tuple(_node(attributes, facts["NodeID"]) for attributes in api.nodes())


def usable_nodes(label: str, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Return the machines with a label that take containers now."""
    return tuple(node for node in nodes if node.has_label(label) and node.is_usable)


def find_place(images: Sequence[str]) -> SwarmPlace:
    """Return what a run takes from the swarm; a preview may meet a machine without one, and without Docker.

    Args:
        images: Names of images of this machine.
    """
    try:
        nodes = find_nodes()
    except UnavailableError:
        nodes = ()
    here = next((node.id for node in nodes if node.is_here), None)
    if here is None:
        return SwarmPlace.unknown(images)
    return SwarmPlace(here, len(usable_nodes(WORKER_LABEL, nodes)), {name: pin_image(name) or name for name in images})


def check_swarm(address: str) -> None:
    """Make sure that this machine manages a swarm in which trainer and workers find a place.

    Args:
        address: How other machines reach this one; empty where that is not known.

    Raises:
        UnavailableError: What is missing, and the commands that mend it.
    """
    nodes = find_nodes()
    if not nodes:
        init = f"docker swarm init --advertise-addr {address}" if address else "docker swarm init"
        raise UnavailableError(
            "this machine is in no Docker swarm",
            expected=_EXPECTED,
            fix=f"{init}; drctl config set DR_DOCKER_STYLE=compose needs none",
        )
    problems = _label_problems(nodes)
    if problems:
        raise UnavailableError.from_problems(problems)


def _check_membership(facts: Mapping[str, Any]) -> None:
    state = facts["LocalNodeState"]
    if state == "locked":
        raise UnavailableError("the Docker swarm is locked", expected=_EXPECTED, fix="docker swarm unlock")
    if state != "active":
        raise UnavailableError(
            f"the Docker swarm does not work: this machine's part of it is {state}",
            where=facts.get("Error") or None,
            expected=_EXPECTED,
            fix="docker info tells more about it",
        )
    if not facts["ControlAvailable"]:
        managers = ", ".join(one["Addr"].rpartition(":")[0] for one in facts.get("RemoteManagers") or ())
        raise UnavailableError(
            "this machine is a worker of the Docker swarm, not a manager",
            where=f"its managers are {managers}" if managers else None,
            expected=_EXPECTED,
            fix=f"on a manager: docker node promote {facts['NodeID']}; or run drctl there",
        )


def _label_problems(nodes: Sequence[Node]) -> list[Problem]:
    here = next(node for node in nodes if node.is_here)
    problems = []
    if not here.has_label(TRAINER_LABEL):
        others = [node.name for node in nodes if node.has_label(TRAINER_LABEL)]
        problems.append(
            Problem(
                f"the trainer may not run on this machine: it lacks the label {TRAINER_LABEL}",
                where=f"node {here.name}; the label is on {', '.join(others)}" if others else f"node {here.name}",
                expected=f"{TRAINER_LABEL}=true on the machine where drctl runs; the trainer's files lie here",
                fix=f"docker node update --label-add {TRAINER_LABEL}=true {here.id}",
            )
        )
    elif not here.is_usable:
        problems.append(_unusable(here, "the trainer"))
    labelled = [node for node in nodes if node.has_label(WORKER_LABEL)]
    if not labelled:
        problems.append(
            Problem(
                f"no machine may run workers: none has the label {WORKER_LABEL}",
                where=", ".join(f"node {node.name}" for node in nodes),
                expected=f"{WORKER_LABEL}=true on at least one",
                fix=f"docker node update --label-add {WORKER_LABEL}=true {here.id}",
            )
        )
    elif not usable_nodes(WORKER_LABEL, labelled):
        told = here.has_label(TRAINER_LABEL)
        problems += [_unusable(node, "workers") for node in labelled if not (node.is_here and told)]
    return problems


def _unusable(node: Node, whom: str) -> Problem:
    if node.is_ready:
        what, fix = "takes no containers now", f"docker node update --availability active {node.id}"
    else:
        what, fix = "is down", f"start Docker on it; docker node ls shows {node.name} as Ready then"
    return Problem(
        f"{whom} cannot run: the machine with the label {what}",
        where=f"node {node.name}",
        expected="a machine that docker node ls shows as Ready and Active",
        fix=fix,
    )


def _node(attributes: Mapping[str, Any], here: str) -> Node:
    spec = attributes["Spec"]
    return Node(
        id=attributes["ID"],
        name=attributes["Description"]["Hostname"],
        labels=spec.get("Labels") or {},
        is_ready=attributes["Status"]["State"] == "ready",
        is_active=spec["Availability"] == "active",
        is_here=attributes["ID"] == here,
    )
