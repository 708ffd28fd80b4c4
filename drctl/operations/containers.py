"""What a training in containers needs of this machine: Docker, images, a volume."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import drctl
from drctl.engines import docker
from drctl.engines.compose import refuse_foreign
from drctl.errors import DrctlError, NotSupportedError, Problem, UnavailableError, combine_errors
from drctl.operations.container_store import (
    has_own_server,
    location_inside,
    store_image,
    store_problems,
    trainer_keys_file,
)
from drctl.stack.container_stack import (
    ContainerHost,
    Images,
    container_plan,
    images_for,
    in_containers,
    user_id_for,
)
from drctl.stack.drctl_stack import LOOPBACK, RunFolders, is_open_to_network

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.stack.plan import RunPlan
    from drctl.trainer.spec import TrainerSpec

ENGINE = "compose"


def is_in_containers(project: Project) -> bool:
    """Tell whether a project's trainings run in containers."""
    return project.settings.docker_style == ENGINE


def check_machine(project: Project) -> None:
    """Make sure that containers can be started, before anything is.

    Raises:
        DrctlError: Everything that is missing or in the way.
    """
    errors: list[DrctlError] = []
    problems = _unsupported(project)
    if problems:
        errors.append(NotSupportedError.from_problems(problems))
    try:
        docker.check_docker()
        refuse_foreign(f"deepracer-{project.settings.run_id}", str(project.root))
        _check_images(project)
    except DrctlError as error:
        errors.append(error)
    if errors:
        raise combine_errors(errors)


def plan_containers(project: Project, spec: TrainerSpec, folders: RunFolders) -> RunPlan:
    """Make the plan of a training in containers.

    Args:
        project: The project.
        spec: What a trainer of this machine would be told.
        folders: Where the run keeps its things.
    """
    images = _images(project)
    store = location_inside(project)
    keys = trainer_keys_file(project) if store.keys_file else None
    host = ContainerHost(images, user_id_for(os.getuid()), _kernel_volume(images.worker), keys)
    return container_plan(in_containers(spec, store), folders, host)


def _kernel_volume(image: str) -> str:
    """Return the volume of the workers' image: a new one brings its own kernels, an old one's would be compiled anew.

    A preview may meet a machine without Docker or the image.
    """
    known = docker.image_id(image) if docker.is_installed() else ""
    return f"drctl-kernels-{known or 'of-the-image'}"


def _images(project: Project) -> Images:
    return images_for(project.settings, drctl.__version__)


def _check_images(project: Project) -> None:
    images = _images(project)
    store = [store_image(project)] if has_own_server(project) else []
    missing = docker.missing_images([images.trainer, images.worker, *store])
    if not missing:
        return
    own = [name for name in missing if name.startswith("drctl/")]
    pulls = [f"docker pull {name}" for name in missing if name not in own]
    raise UnavailableError(
        f"this machine lacks images: {', '.join(missing)}",
        expected="the images of this version of drctl" if own else "the images that the settings name",
        fix=" && ".join([*(["drctl build-images"] if own else []), *pulls]),
    )


def _unsupported(project: Project) -> list[Problem]:
    settings = project.settings
    found = store_problems(project)
    if is_open_to_network(settings.link_listen):
        found.append(
            Problem(
                f"DR_LINK_LISTEN is {settings.link_listen}; trainings in containers let no workers of other machines "
                "in yet",
                where=str(settings.origin("DR_LINK_LISTEN")),
                expected=f"no value or {LOOPBACK}, or DR_DOCKER_STYLE=process",
                fix="drctl config set DR_LINK_LISTEN=",
            )
        )
    return found
