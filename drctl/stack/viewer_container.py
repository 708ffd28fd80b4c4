"""The viewer of a run in containers, as pure data: a container on their network with one port for browsers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final

from drctl.stack.container_stack import PATIENCE_WITH_ROLE, STORE_KEYS_INSIDE
from drctl.stack.plan import CloudWatch, Container, LogPolicy, Mount, Part, Port
from drctl.stack.viewer_plan import PLAN_FILE, VIEWER_FOLDER, ViewerPlan

# Paths that the image's entry point and health check name (compose/images/Dockerfile).
_ROOT_INSIDE: Final = "/run/drctl"
_TOKEN_INSIDE: Final = "/run/secrets/viewer_token"  # noqa: S105 - a path

_MEMORY: Final = "1g"
_PROCESSES: Final = 256


@dataclass(frozen=True)
class ViewerContainer:
    """The viewer of one run in a container before it is started.

    Attributes:
        run_id: ``DR_RUN_ID``.
        project: Folder of the project.
        viewer: What it is told: paths and store as they look from inside.
        part: Its container.
        log: See `LogPolicy`.
        cloud_watch: See `RunPlan.cloud_watch`.
    """

    run_id: int
    project: str
    viewer: ViewerPlan
    part: Part
    log: LogPolicy = field(default_factory=LogPolicy)
    cloud_watch: CloudWatch | None = None

    @property
    def compose_project(self) -> str:
        """Name under which Docker Compose knows it (contract 0); also the container's."""
        return f"deepracer-{self.run_id}-viewer"

    @property
    def folder(self) -> Path:
        """Where its start file and compose file lie."""
        return viewer_container_folder(Path(self.project), self.run_id)


def viewer_container_folder(project: Path, run_id: int) -> Path:
    """Return the folder of a run's viewer in a container."""
    return project / "tmp" / f"{VIEWER_FOLDER}-{run_id}"


def viewer_container(
    viewer: ViewerPlan, *, run_id: int, image: str, user_id: int, store_keys: Path | None
) -> ViewerContainer:
    """Put a viewer into a container, which sees of the project the run alone, and may change nothing of it.

    Args:
        viewer: As for a process of this machine, with the store as containers reach it.
        run_id: The run that it shows.
        image: What it is started from.
        user_id: Its user inside.
        store_keys: File with the store's access key; None where the machine's role opens it.
    """
    project = Path(viewer.root)
    start_file = viewer_container_folder(project, run_id) / PLAN_FILE
    mounts = [Mount(str(start_file), f"{_ROOT_INSIDE}/{PLAN_FILE}", is_read_only=True)]
    for name in (f"run-{run_id}", f"eval-{run_id}"):
        inside = PurePosixPath(_ROOT_INSIDE, "tmp", name)
        mounts.append(Mount(str(project / "tmp" / name), str(inside), is_read_only=True))
    if viewer.token_file is not None:
        mounts.append(Mount(viewer.token_file, _TOKEN_INSIDE, is_read_only=True))
    if store_keys is not None:
        mounts.append(Mount(str(store_keys), STORE_KEYS_INSIDE, is_read_only=True))
    container = Container(
        name=f"deepracer-{run_id}-viewer",
        service="viewer",
        image=image,
        user=f"{user_id}:0",
        mounts=tuple(mounts),
        memory=_MEMORY,
        processes=_PROCESSES,
        ports=(Port(viewer.port, viewer.port, viewer.host),),
    )
    told = replace(
        viewer,
        root=_ROOT_INSIDE,
        run_id=run_id,
        token_file=_TOKEN_INSIDE if viewer.token_file is not None else None,
        is_loopback_free=False,  # every browser comes through Docker's network, wherever it is
    )
    environment = {} if store_keys is not None else dict(PATIENCE_WITH_ROLE)
    return ViewerContainer(run_id, str(project), told, Part("viewer", "viewer", (), environment, container=container))
