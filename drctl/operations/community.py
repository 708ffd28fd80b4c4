"""Trainings and evaluations of the community images: what they can do, what they need of this machine, their plans."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from drctl.config.registry import fix_for, unused_settings
from drctl.config.setting import STACK_CONDITIONS
from drctl.engines import docker
from drctl.errors import ConflictError, Problem, UnavailableError
from drctl.formats.hyperparameters import parse_hyperparameters
from drctl.formats.object_keys import ModelKeys
from drctl.operations.container_store import location_inside
from drctl.operations.snapshot import HYPERPARAMETERS
from drctl.result import Message
from drctl.secrets import Secret, write_secret
from drctl.stack.community_stack import (
    CommunityHost,
    TrainingJob,
    community_images,
    community_training_plan,
    has_gpu,
    pretrained_place,
)
from drctl.stack.drctl_stack import RunFolders
from drctl.status.community import facts_for
from drctl.storage.location import find_keys, project_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.config.settings import Settings
    from drctl.operations.snapshot import UserFiles
    from drctl.stack.plan import RunPlan
    from drctl.storage.objects import ObjectStore

SWITCH: Final = "drctl start-training --stack drctl --engine process"
"""Command that trains with our own software, whatever the folder names."""

_ENGINES: Final = ("compose",)
_PULL_LINE: Final = re.compile(r"[0-9a-f]{12}: (?P<what>Pull complete|Already exists)|Status: .*|.*: Pulling from .*")

Report = Callable[[Message], None]


def uses_images(project: Project) -> bool:
    """Tell whether a project trains and races with the community images."""
    return project.settings.stack == "community"


def stack_problems(settings: Settings) -> list[Problem]:
    """List what the community images cannot do and would do differently without a word."""
    problems = []
    if settings.engine not in _ENGINES:
        origin = settings.origin("DR_DOCKER_STYLE")
        problems.append(
            Problem(
                f"DR_DOCKER_STYLE is {settings.docker_style}; the community images run under Docker Compose alone",
                where=f"{origin}, DR_SIMAPP_SOURCE {settings.origin('DR_SIMAPP_SOURCE')}",
                expected=f"compose, or drctl's own software: {SWITCH}",
                fix=fix_for("DR_DOCKER_STYLE", "compose", origin.source),
            )
        )
    problems += [
        Problem(
            f"{name} is {settings.text(name)}; the community images take best or last and nothing else",
            where=str(settings.origin(name)),
            expected="best or last",
            fix=fix_for(name, "last", settings.origin(name).source),
        )
        for name, is_asked in (
            ("DR_LOCAL_S3_PRETRAINED_CHECKPOINT", settings.local_s3_pretrained),
            ("DR_EVAL_CHECKPOINT", True),
        )
        if is_asked and settings.text(name) not in ("best", "last")
    ]
    return [*problems, *_mount_problems(settings), *_screen_problems(settings)]


def stack_notes(settings: Settings, *, verb: str = "trains") -> list[Message]:
    """Say what runs, how to switch, and which settings change nothing here.

    Args:
        settings: All values.
        verb: What the image does.
    """
    trainer, worker = community_images(settings)
    image, switch = (trainer, SWITCH) if verb == "trains" else (worker, "drctl --set DR_SIMAPP_SOURCE=drctl eval")
    idle = [entry.name for entry, condition in unused_settings(settings) if condition == STACK_CONDITIONS["drctl"]]
    notes = [Message(f"The community image {image} {verb}; {switch} takes drctl's own software instead")]
    if settings.engine != settings.docker_style:
        place = f"DR_DOCKER_STYLE={settings.docker_style} ({settings.origin('DR_DOCKER_STYLE')})"
        text = f"{place}: the community images use this machine alone, under Docker Compose"
        notes.append(Message(text, "warning"))
    if idle:
        values = ", ".join(f"{name}={settings.text(name)}" for name in idle)
        notes.append(Message(f"no effect with the community images: {values}", "warning"))
    return notes


def check_clone(settings: Settings, store: ObjectStore) -> None:
    """Make sure that the model to begin with is one that the images can read.

    Raises:
        ConflictError: It is not there, or has no TensorFlow checkpoint.
    """
    bucket, prefix = pretrained_place(settings)
    if not settings.local_s3_pretrained or bucket != settings.local_s3_bucket:
        return
    check_checkpoints(store, prefix, str(settings.origin("DR_LOCAL_S3_PRETRAINED_PREFIX")))


def check_checkpoints(store: ObjectStore, prefix: str, setting_place: str) -> None:
    """Make sure that a model has checkpoints of the images' kind.

    Args:
        store: The bucket.
        prefix: The model's.
        setting_place: Where it is named.

    Raises:
        ConflictError: It has none.
    """
    names = [info.key.rpartition("/")[2] for info in store.list(f"{prefix}/model")]
    if any(name.endswith(".ckpt.index") for name in names):
        return
    what = (
        f"{prefix} was not trained by the community images: it has no TensorFlow checkpoint"
        if names
        else f"there is no model {prefix}"
    )
    raise ConflictError(
        what,
        where=f"{store.name}/{prefix}/model, named in {setting_place}",
        expected="a model that the community images have trained",
        fix=SWITCH if names else "drctl config set DR_LOCAL_S3_PRETRAINED=False",
    )


def check_image_gpu(project: Project) -> None:
    """Make sure that images for GPUs get one.

    Raises:
        UnavailableError: Docker cannot give GPUs to containers.
    """
    settings = project.settings
    image = next((name for name in community_images(settings) if has_gpu(name)), None)
    if image is None or docker.has_gpu_runtime():
        return
    raise UnavailableError(
        f"{image} needs a GPU, but Docker cannot give GPUs to containers",
        where=f"DR_SIMAPP_VERSION {settings.origin('DR_SIMAPP_VERSION')}",
        expected="the NVIDIA Container Toolkit, set up for Docker, or an image for the processor",
        fix=fix_for(
            "DR_SIMAPP_VERSION",
            settings.simapp_version.replace("gpu", "cpu"),
            settings.origin("DR_SIMAPP_VERSION").source,
        ),
    )


def provide_images(project: Project, report: Report = lambda _message: None) -> None:
    """Pull the images that this machine lacks.

    Args:
        project: The project.
        report: Gets a message about each step.

    Raises:
        UnavailableError: One cannot be pulled; says what Docker said.
    """
    for name in docker.missing_images(list(community_images(project.settings))):
        report(Message(f"$ docker pull {name}"))
        lines: list[str] = []

        def read(line: str, lines: list[str] = lines) -> None:
            lines.append(line)
            if _PULL_LINE.fullmatch(line):
                report(Message(f"  {line}"))

        if docker.run_build(["docker", "pull", name], read):
            raise UnavailableError(
                f"this machine lacks the image {name}, and it cannot be pulled",
                where="\n".join(["docker pull", *lines[-4:]]),
                expected="a tag of DR_SIMAPP_VERSION that exists, and a way to its registry",
                fix=f"docker pull {name}",
            )


def keys_path(project: Project, *, folder: str) -> Path:
    """Return the file with the store's access key as the containers of a run or an evaluation take it."""
    return project.secrets_path / f"{folder}-store.env"


def write_container_keys(project: Project, path: Path) -> None:
    """Write the store's access key as variables, in a file that only its owner can read.

    Where the machine's role opens the store there is no key, and the images ask for it themselves.
    """
    keys = find_keys(project_store_location(project))
    if keys is None:
        return
    names = {"AWS_ACCESS_KEY_ID": keys.access_key_id, "AWS_SECRET_ACCESS_KEY": keys.secret_access_key.reveal()}
    if keys.session_token is not None:
        names["AWS_SESSION_TOKEN"] = keys.session_token.reveal()
    project.secrets_folder  # noqa: B018 - made by asking for it
    write_secret(path, Secret("".join(f"{name}='{value}'\n" for name, value in names.items())))


def plan_community(project: Project, keys: ModelKeys, files: UserFiles, run_token: str) -> RunPlan:
    """Make the plan of a training of the community images.

    Args:
        project: The project.
        keys: Of the model.
        files: The user's.
        run_token: Random name of this start of the run.
    """
    settings = project.settings
    folders = RunFolders(project.root, project.run_folder, project.secrets_path)
    given: dict[str, Any] = json.loads(files.contents[HYPERPARAMETERS])
    parsed = parse_hyperparameters(files.contents[HYPERPARAMETERS], files.places[HYPERPARAMETERS])
    limits = facts_for(
        workers=settings.workers,
        episodes_per_iteration=parsed.episodes_per_iteration,
        max_episodes=parsed.max_episodes,
        metrics_prefix=keys.metrics_prefix,
    )
    host = container_host(project, keys_path(project, folder=f"run-{settings.run_id}"))
    worlds = tuple(entry.world_name for entry in project.entries)
    job = TrainingJob(given, worlds, run_token, limits)
    return community_training_plan(settings, folders, host, job, engine=settings.engine)


def container_host(project: Project, keys_file: Path) -> CommunityHost:
    """Return what containers of the images take from this machine."""
    settings = project.settings
    trainer, worker = community_images(settings)
    store = location_inside(project)
    return CommunityHost(
        trainer,
        worker,
        store.endpoint_url,
        str(keys_file) if store.keys_file else None,
        str(project.data_folder.absolute()),
        x_authority=str(_x_authority()) if settings.host_x else None,
        display=_display(settings),
    )


def _mount_problems(settings: Settings) -> list[Problem]:
    names = ("DR_ROBOMAKER_MOUNT_SCRIPTS_DIR", "DR_ROBOMAKER_MOUNT_SIMAPP_DIR")
    return [
        Problem(
            f"{name} is {settings.text(name)}, which is no folder of this machine",
            where=str(settings.origin(name)),
            expected="the whole path of a folder, such as /home/me/scripts",
            fix=fix_for(name, "", settings.origin(name).source),
        )
        for name in names
        if settings.text(name) and not (Path(settings.text(name)).is_absolute() and Path(settings.text(name)).is_dir())
    ]


def _screen_problems(settings: Settings) -> list[Problem]:
    if not settings.host_x:
        return []
    problems = []
    if not _display(settings):
        problems.append(
            Problem(
                "DR_HOST_X is True, and neither DR_DISPLAY nor this shell's DISPLAY names a display",
                where=str(settings.origin("DR_HOST_X")),
                expected="a display of this machine's X server, such as :0",
                fix="drctl config set DR_DISPLAY=:0",
            )
        )
    if not _x_authority().is_file():
        problems.append(
            Problem(
                f"DR_HOST_X is True, and there is no key of the X server: {_x_authority()} does not exist",
                where=str(settings.origin("DR_HOST_X")),
                expected="a file that XAUTHORITY names, or ~/.Xauthority",
                fix=fix_for("DR_HOST_X", "False", settings.origin("DR_HOST_X").source),
            )
        )
    return problems


def _display(settings: Settings) -> str | None:
    return settings.display or os.environ.get("DISPLAY")


def _x_authority() -> Path:
    return Path(os.environ.get("XAUTHORITY") or Path.home() / ".Xauthority")
