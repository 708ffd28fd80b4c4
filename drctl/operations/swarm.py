"""What a training on the machines of a Docker swarm needs beyond one in containers of this machine."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from drctl.config.registry import fix_for
from drctl.engines import docker
from drctl.engines.swarm import refuse_foreign_stack
from drctl.engines.swarm_nodes import check_swarm, find_place
from drctl.errors import Problem, UnavailableError
from drctl.link.listening import advertised_host
from drctl.stack.drctl_stack import is_open_to_network
from drctl.stack.swarm_stack import in_swarm

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.stack.plan import RunPlan

_GPU_RUNTIME: Final = "nvidia"
_EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - compared and named, not bound


def is_in_swarm(project: Project) -> bool:
    """Tell whether a project's trainings run on the machines of a Docker swarm."""
    return project.settings.engine == "swarm"


def swarm_problems(project: Project) -> list[Problem]:
    """List settings that a swarm cannot follow."""
    listen = project.settings.link_listen
    if not is_in_swarm(project) or not is_open_to_network(listen) or listen == _EVERY_ADDRESS:
        return []
    origin = project.settings.origin("DR_LINK_LISTEN")
    return [
        Problem(
            f"DR_LINK_LISTEN is {listen}; a Docker swarm can open a port on every address of a machine, not on one",
            where=str(origin),
            expected=f"{_EVERY_ADDRESS}, or nothing: workers of the swarm's own machines need no open port",
            fix=fix_for("DR_LINK_LISTEN", _EVERY_ADDRESS, origin.source),
        )
    ]


def check_place(project: Project) -> None:
    """Make sure that trainer and workers find a place in the swarm that nobody else has.

    Raises:
        DrctlError: What is missing, and the commands that mend it.
    """
    check_swarm(_own_address())
    refuse_foreign_stack(f"deepracer-{project.settings.run_id}", str(project.root))


def place_plan(plan: RunPlan) -> RunPlan:
    """Give the parts of a plan for this machine their places in the swarm."""
    images = {part.container.image: None for part in plan.parts if part.container is not None}
    return in_swarm(plan, find_place(tuple(images)))


def gives_gpus() -> bool:
    """Tell whether services find this machine's GPUs: a stack cannot ask for any, so Docker must give them to all."""
    return docker.default_runtime() == _GPU_RUNTIME


def check_swarm_gpu(project: Project) -> None:
    """Make sure that a trainer which is to have a GPU gets it.

    Raises:
        UnavailableError: Docker would start it without one.
    """
    devices = project.settings.sagemaker_cuda_devices
    if devices is None or not docker.has_gpu_runtime() or gives_gpus():
        return
    raise UnavailableError(
        f"DR_SAGEMAKER_CUDA_DEVICES is {devices}, but Docker gives the services of a swarm no GPUs",
        where=str(project.settings.origin("DR_SAGEMAKER_CUDA_DEVICES")),
        expected=f"{_GPU_RUNTIME} as Docker's default runtime; it is {docker.default_runtime()}",
        fix="sudo nvidia-ctk runtime configure --runtime=docker --set-as-default && sudo systemctl restart docker",
    )


def _own_address() -> str:
    """Return the address by which other machines reach this one; empty where it has only a name."""
    address = advertised_host("")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return ""
    return address
