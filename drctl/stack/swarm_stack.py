"""Our own stack on the machines of a Docker swarm: the trainer on this one, workers wherever a label allows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from drctl.formats.worker_slot import SLOT_VARIABLE
from drctl.stack.container_stack import SECRETS_INSIDE, TICKET, TRAINER_SERVICE, WORKER_SERVICE
from drctl.stack.plan import Container, Part, Placement, RunPlan, SecretFile

TRAINER_LABEL: Final = "Sagemaker"  # contract 0
WORKER_LABEL: Final = "Robomaker"

_SLOT: Final = "{{.Task.Slot}}"  # filled in by Docker

_SEEN_RESTARTS: Final = 3
"""A swarm forgets all but the last five containers of a slot, so more than four restarts are never seen."""


@dataclass(frozen=True)
class SwarmPlace:
    """What a run takes from its swarm.

    Attributes:
        node: Id of this machine, on which the trainer runs: its files lie here.
        worker_nodes: How many machines take workers now.
        pinned_images: Image name to what `Container.pinned_image` says.
    """

    node: str
    worker_nodes: int
    pinned_images: Mapping[str, str]

    @classmethod
    def unknown(cls, images: Iterable[str]) -> SwarmPlace:
        """Return what stands in a preview where no swarm can be asked."""
        return cls("id-of-this-machine", 1, {name: name for name in images})


def in_swarm(plan: RunPlan, place: SwarmPlace) -> RunPlan:
    """Return the plan of a run in a swarm.

    The workers are one service, as users know it, with a slot for each: a worker that is replaced keeps its slot and so
    its name. No machine takes more of them than its share at the start: when another one dies, its workers wait for it,
    or for a new one with the label, instead of slowing the rest down.

    Args:
        plan: The same run in containers of this machine.
        place: The swarm.
    """
    share = -(-len(plan.workers) // max(1, place.worker_nodes))
    parts = tuple(_part(part, plan, place, share) for part in plan.parts)
    return replace(plan, engine="swarm", parts=parts, restart=replace(plan.restart, limit=_SEEN_RESTARTS))


def _part(part: Part, plan: RunPlan, place: SwarmPlace, most_per_node: int) -> Part:
    container = part.container
    if container is None:
        raise ValueError(f"{part.name} has no container")
    pinned = replace(container, pinned_image=place.pinned_images[container.image])
    if part.kind == "trainer":
        constraints = (_labelled(TRAINER_LABEL), f"node.id == {place.node}")
        name = f"{plan.compose_project}_{TRAINER_SERVICE}.1"
        placed = replace(pinned, name=name, placement=Placement(constraints), gpus=())
        return replace(part, environment={**part.environment, **_gpu_environment(container)}, container=placed)
    return _worker(part, pinned, plan, most_per_node)


def _gpu_environment(container: Container) -> dict[str, str]:
    """Ask NVIDIA's runtime, which must be the machine's default one, for GPUs: a stack cannot reserve any."""
    if not container.gpus:
        return {}
    return {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility", "NVIDIA_VISIBLE_DEVICES": ",".join(container.gpus)}


def _worker(part: Part, container: Container, plan: RunPlan, most_per_node: int) -> Part:
    slot = plan.workers.index(part.name) + 1
    container = replace(
        container,
        name=f"{plan.compose_project}_{WORKER_SERVICE}.{slot}",
        service=WORKER_SERVICE,
        # Nothing of this machine: only Docker's own volume and secret are on the others too.
        mounts=tuple(mount for mount in container.mounts if mount.is_volume),
        secrets=(SecretFile(TICKET, plan.ticket, f"{SECRETS_INSIDE}/{TICKET}"),),
        placement=Placement((_labelled(WORKER_LABEL),), most_per_node, slot),
    )
    # The service has one command for all of its slots.
    environment = {**part.environment, SLOT_VARIABLE: _SLOT}
    return replace(part, argv=(), environment=environment, container=container)


def _labelled(label: str) -> str:
    return f"node.labels.{label} == true"
