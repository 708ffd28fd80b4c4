"""Why a part of a run does not run, out of what a Docker swarm says of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from drctl.engines.child import describe_exit
from drctl.engines.container_run import exit_of
from drctl.engines.swarm_nodes import Node
from drctl.engines.swarm_tasks import Task, tasks_of
from drctl.errors import Problem
from drctl.stack.plan import Part, RunPlan
from drctl.stack.swarm_stack import TRAINER_LABEL, WORKER_LABEL

_NO_IMAGE: Final = "no such image"
_NO_NODE: Final = "no suitable node"
_NODE_FULL: Final = "max replicas per node"


def history_of(part: Part, tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks of a part, the present one last."""
    container = part.container
    if container is None or container.placement is None:
        return []
    return tasks_of(tasks, container.service, container.placement.slot)


def describe_trouble(task: Task, part: Part, nodes: Mapping[str, Node]) -> str:
    """Return why a part's present container does not run, for a sentence that begins with the part's name.

    Args:
        task: The part's newest one.
        part: As planned.
        nodes: Machines of the swarm by id.
    """
    node = nodes.get(task.node)
    name = node.name if node else task.node
    label = TRAINER_LABEL if part.kind == "trainer" else WORKER_LABEL
    if _NO_NODE in task.error:
        reason = "those that are there have their share of workers" if _NODE_FULL in task.error else task.error
        return f"waits for a machine with the label {label}: {reason}; docker node ls lists them"
    if _is_image_missing(task) and part.container is not None:
        return f"cannot start on {name}, which lacks the image {part.container.image}"
    if task.state == "running":
        return f"is on {name}, which is down"
    if task.is_starting:
        return f"is being started on {name} ({task.state})"
    if task.is_over and task.container:
        end = describe_exit(exit_of(task.exit_code))
        return f"{'was' if end.startswith('killed') else 'ended with'} {end} on {name}"
    if task.is_over:
        return f"cannot start on {name}: {task.error or task.state}"
    return "waits for the swarm to choose a machine"


def missing_images(plan: RunPlan, tasks: Sequence[Task], nodes: Mapping[str, Node]) -> tuple[Problem, ...]:
    """Return a problem for each machine that lacks an image which a part is waiting for.

    Args:
        plan: Of the run.
        tasks: Of its stack.
        nodes: Machines of the swarm by id.
    """
    found: dict[tuple[str, str], Problem] = {}
    for part in plan.parts:
        history = history_of(part, tasks)
        if part.container is None or not history or history[-1].state == "running":
            continue
        image = part.container.image
        for task in history:
            if _is_image_missing(task) and task.node in nodes:
                found.setdefault((task.node, image), _missing_image(nodes[task.node], image, task))
    return tuple(found.values())


def _is_image_missing(task: Task) -> bool:
    return task.state == "rejected" and _NO_IMAGE in task.error.lower()


def _missing_image(node: Node, image: str, task: Task) -> Problem:
    return Problem(
        f"the machine {node.name} lacks the image {image}",
        where=task.error,
        expected="the same image as here on every machine with workers",
        fix=f"docker save {image} | ssh {node.name} docker load; "
        f"or docker node update --label-rm {WORKER_LABEL} {node.id} to do without it",
    )
