"""What a training in containers needs of this machine: Docker, images, the store's server, a volume."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import drctl
from drctl.engines import docker
from drctl.engines.compose import refuse_foreign
from drctl.engines.engine import Preview
from drctl.engines.store_container import StoreContainer
from drctl.errors import DrctlError, NotSupportedError, Problem, UnavailableError, combine_errors
from drctl.stack.container_stack import (
    COMPOSE_FILE,
    STORE_PROJECT,
    ContainerHost,
    Images,
    container_plan,
    images_for,
    in_containers,
    user_id_for,
)
from drctl.stack.drctl_stack import LOOPBACK, RunFolders, is_open_to_network
from drctl.storage.location import STORE_KEYS_FILE, create_bucket, project_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.engines.docker import Echo
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


def provide_store(project: Project, echo: Echo) -> bool:
    """Start the store's server unless it runs, and make the project's bucket.

    Args:
        project: The project.
        echo: Gets each command that changes something.

    Returns:
        Whether the server was started.

    Raises:
        DrctlError: It cannot be started; nothing is left of it.
    """
    store = _store(project, echo)
    is_new = store.start()
    try:
        create_bucket(project_store_location(project))
    except BaseException:
        if is_new:
            store.stop()
        raise
    return is_new


def has_store(project: Project) -> bool:
    """Tell whether this project ever started a store's server."""
    return (project.root / "tmp" / STORE_PROJECT / COMPOSE_FILE).exists()


def stop_store(project: Project, echo: Echo = lambda _command: None) -> bool:
    """Stop the store's server; False when it did not run. Its objects stay."""
    return _store(project, echo).stop()


def preview_store(project: Project) -> Preview:
    """Tell how the store's server would be started."""
    return _store(project, lambda _command: None).preview()


def plan_containers(project: Project, spec: TrainerSpec, folders: RunFolders) -> RunPlan:
    """Make the plan of a training in containers.

    Args:
        project: The project.
        spec: What a trainer of this machine would be told.
        folders: Where the run keeps its things.
    """
    images = _images(project)
    host = ContainerHost(
        images, user_id_for(os.getuid()), _kernel_volume(images.worker), project.secrets_path / STORE_KEYS_FILE
    )
    return container_plan(in_containers(spec), folders, host)


def _kernel_volume(image: str) -> str:
    """Return the volume of the workers' image: a new one brings its own kernels, an old one's would be compiled anew.

    A preview may meet a machine without Docker or the image.
    """
    known = docker.image_id(image) if docker.is_installed() else ""
    return f"drctl-kernels-{known or 'of-the-image'}"


def _images(project: Project) -> Images:
    return images_for(project.settings, drctl.__version__)


def _store(project: Project, echo: Echo) -> StoreContainer:
    keys = project.secrets_path / STORE_KEYS_FILE
    return StoreContainer(project.root, keys, image=_images(project).store, user_id=user_id_for(os.getuid()), echo=echo)


def _check_images(project: Project) -> None:
    images = _images(project)
    missing = docker.missing_images([images.trainer, images.worker, images.store])
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
    found = []
    if settings.cloud != "local":
        found.append(
            Problem(
                f"DR_CLOUD is {settings.cloud}; trainings in containers cannot use that store yet",
                where=str(settings.origin("DR_CLOUD")),
                expected="local, or DR_DOCKER_STYLE=process",
                fix="drctl config set DR_CLOUD=local",
            )
        )
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
