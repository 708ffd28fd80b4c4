"""What a training in containers needs of this machine: Docker, images, a volume."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import drctl
from drctl.config.setting import CONTAINER_STYLES
from drctl.engines import docker
from drctl.engines.compose import refuse_foreign
from drctl.engines.evaluation_process import evaluation_folder
from drctl.errors import ConfigError, DrctlError, UnavailableError, combine_errors
from drctl.operations.community import check_image_gpu, uses_images
from drctl.operations.container_store import (
    has_own_server,
    location_inside,
    store_image,
    store_problems,
    trainer_keys_file,
)
from drctl.operations.swarm import check_place, check_swarm_gpu, gives_gpus, is_in_swarm, place_plan, swarm_problems
from drctl.stack.container_stack import (
    ContainerHost,
    Images,
    cloud_watch_for,
    container_plan,
    evaluation_plan,
    images_for,
    in_containers,
    user_id_for,
)
from drctl.stack.drctl_stack import ALL_GPUS, RunFolders, gpu_ids, is_open_to_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from drctl.config.project import Project
    from drctl.stack.plan import EvaluationPlan, RunPlan
    from drctl.trainer.spec import TrainerSpec

TORCH_LABEL: Final = "drctl.torch"


def is_in_containers(project: Project) -> bool:
    """Tell whether a project's trainings run in containers."""
    return project.settings.docker_style in CONTAINER_STYLES


def check_machine(project: Project) -> None:
    """Make sure that containers can be started, before anything is.

    Raises:
        DrctlError: Everything that is missing or in the way.
    """
    errors: list[DrctlError] = []
    problems = [*store_problems(project), *swarm_problems(project)]
    if problems:
        errors.append(ConfigError.from_problems(problems))
    try:
        docker.check_docker()
    except DrctlError as error:
        errors.append(error)
    else:
        errors += _find_errors(project)
    if errors:
        raise combine_errors(errors)


def check_evaluation_machine(project: Project) -> None:
    """Make sure that an evaluation can run in a container, before it is started.

    Raises:
        DrctlError: Everything that is missing or in the way.
    """
    problems = store_problems(project)
    if problems:
        raise ConfigError.from_problems(problems)
    docker.check_docker()
    _check_images(project, is_training=False)


def plan_evaluation(project: Project) -> EvaluationPlan:
    """Make the plan of an evaluation in a container."""
    folders = RunFolders(project.root, project.run_folder, project.secrets_path)
    return evaluation_plan(
        project.settings,
        folders,
        _host(project),
        folder=evaluation_folder(project.root, project.settings.run_id),
        run_token=secrets.token_hex(8),
        timezone=_timezone(),
    )


def _timezone() -> str:
    """Return this machine's offset from UTC in POSIX notation, which counts the other way: ``<+01>-01:00``."""
    sign, hours, minutes = time.strftime("%z")[:1], time.strftime("%z")[1:3], time.strftime("%z")[3:5]
    return f"<{sign}{hours}{minutes}>{'-' if sign == '+' else '+'}{hours}:{minutes}"


def plan_containers(project: Project, spec: TrainerSpec, folders: RunFolders) -> RunPlan:
    """Make the plan of a training in containers.

    Args:
        project: The project.
        spec: What a trainer of this machine would be told.
        folders: Where the run keeps its things.
    """
    host = _host(project)
    listen = project.settings.link_listen
    host = replace(
        host,
        gpus=_trainer_gpus(project, host.images.trainer),
        link_address=listen if is_open_to_network(listen) else None,
    )
    plan = container_plan(in_containers(spec, location_inside(project)), folders, host)
    return place_plan(plan) if is_in_swarm(project) else plan


def _host(project: Project) -> ContainerHost:
    images = _images(project)
    return ContainerHost(
        images=images,
        user_id=user_id_for(os.getuid()),
        kernel_volume=_kernel_volume(images.worker),
        store_keys=trainer_keys_file(project) if location_inside(project).keys_file else None,
        cloud_watch=cloud_watch_for(project.settings),
    )


def _kernel_volume(image: str) -> str:
    """Return the volume of the workers' image: a new one brings its own kernels, an old one's would be compiled anew.

    A preview may meet a machine without Docker or the image.
    """
    known = docker.image_id(image) if docker.is_installed() else ""
    return f"drctl-kernels-{known or 'of-the-image'}"


def _images(project: Project) -> Images:
    return images_for(project.settings, drctl.__version__)


def _find_errors(project: Project) -> list[DrctlError]:
    """Return what Docker tells that stands against a start."""
    name, folder = f"deepracer-{project.settings.run_id}", str(project.root)
    checks: list[Callable[[], None]] = [
        lambda: refuse_foreign(name, folder),
        lambda: _check_images(project),
        lambda: _check_gpu(project),
    ]
    if is_in_swarm(project):
        checks.insert(0, lambda: check_place(project))
    errors = []
    for check in checks:
        try:
            check()
        except DrctlError as error:
            errors.append(error)
    return errors


def _check_images(project: Project, *, is_training: bool = True) -> None:
    images = _images(project)
    # The community's are pulled once nothing stands against the start: they are large.
    own = [] if uses_images(project) else [images.trainer, images.worker] if is_training else [images.worker]
    # Another image than ours is pulled by whoever starts the server.
    store = [store_image(project)] if has_own_server(project) and not project.settings.minio_image else []
    missing = docker.missing_images([*own, *store])
    if not missing:
        return
    built = [name for name in missing if name.startswith("drctl/")]
    pulls = [f"docker pull {name}" for name in missing if name not in built]
    raise UnavailableError(
        f"this machine lacks images: {', '.join(missing)}",
        expected="the images of this version of drctl" if built else "the images that the settings name",
        fix=" && ".join([*(["drctl build-images"] if built else []), *pulls]),
    )


def _check_gpu(project: Project) -> None:
    if uses_images(project):
        check_image_gpu(project)
    if is_in_swarm(project):
        check_swarm_gpu(project)
    if uses_images(project):
        return
    devices = project.settings.sagemaker_cuda_devices
    if devices is None:
        return
    place = str(project.settings.origin("DR_SAGEMAKER_CUDA_DEVICES"))
    if not docker.has_gpu_runtime():
        raise UnavailableError(
            f"DR_SAGEMAKER_CUDA_DEVICES is {devices}, but Docker cannot give GPUs to containers",
            where=place,
            expected="the NVIDIA Container Toolkit, set up for Docker",
            fix="install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker && "
            "sudo systemctl restart docker; drctl config set DR_SAGEMAKER_CUDA_DEVICES= trains without a GPU",
        )
    image = _images(project).trainer
    if docker.image_label(image, TORCH_LABEL) == "cpu":
        raise UnavailableError(
            f"DR_SAGEMAKER_CUDA_DEVICES is {devices}, but {image} was built without CUDA",
            where=place,
            expected="an image with the torch for NVIDIA GPUs",
            fix="drctl build-images --cuda",
        )


def _trainer_gpus(project: Project, image: str) -> tuple[str, ...]:
    """Return the GPUs that were asked for; else all of them where image and Docker can use them."""
    asked = gpu_ids(project.settings.sagemaker_cuda_devices)
    if asked or not docker.is_installed():
        return asked
    has_runtime = gives_gpus() if is_in_swarm(project) else docker.has_gpu_runtime()
    return ALL_GPUS if has_runtime and docker.image_label(image, TORCH_LABEL) == "cuda" else ()
