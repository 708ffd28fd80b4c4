"""The viewer of a project whose runs are in containers: a container on their network."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import drctl
from drctl.engines import docker
from drctl.engines.compose import refuse_foreign
from drctl.engines.viewer_container import (
    find_viewer_container,
    is_as_planned,
    preview_viewer_container,
    start_viewer_container,
    stop_viewer_container,
)
from drctl.errors import ConfigError, ConflictError, UnavailableError
from drctl.operations.container_store import (
    location_inside,
    preview_store,
    provide_store,
    store_problems,
    trainer_keys_file,
)
from drctl.operations.viewer_page import check_port, describe_page, plan_viewer, provide_token
from drctl.result import Message, Result
from drctl.stack.container_stack import COMPOSE_FILE, image_name, user_id_for
from drctl.stack.viewer_container import ViewerContainer, viewer_container, viewer_container_folder
from drctl.stack.viewer_plan import PLAN_FILE, read_viewer_plan

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.engines.engine import Preview
    from drctl.stack.viewer_plan import ViewerPlan


def check_container_viewer(project: Project) -> None:
    """Make sure that a viewer can run in a container, before one is started.

    Raises:
        DrctlError: What is missing or in the way.
    """
    problems = store_problems(project)
    if problems:
        raise ConfigError.from_problems(problems)
    docker.check_docker()
    image = image_name("viewer", drctl.__version__)
    if docker.missing_images([image]):
        raise UnavailableError(
            f"this machine lacks the image {image}",
            expected="the images of this version of drctl",
            fix="drctl build-images",
        )
    refuse_foreign(f"deepracer-{project.settings.run_id}-viewer", str(project.root))


def plan_container_viewer(project: Project, port: int | None) -> ViewerContainer:
    """Make the plan of the viewer of a project's run; nothing is written."""
    location = location_inside(project)
    return viewer_container(
        replace(plan_viewer(project, port), store=location.to_json()),
        run_id=project.settings.run_id,
        image=image_name("viewer", drctl.__version__),
        user_id=user_id_for(os.getuid()),
        store_keys=trainer_keys_file(project) if location.keys_file else None,
    )


def start_container_viewer(project: Project, *, port: int | None) -> Result:
    """Start it, and the store's server where it does not run; see `drctl.operations.viewer.start_viewer`."""
    plan = plan_container_viewer(project, port)
    token = provide_token(project)
    found = find_viewer_container(plan)
    if found is not None and found.status == "running":
        former = read_viewer_plan(plan.folder / PLAN_FILE)
        if port is not None and port != former.port:
            raise ConflictError(
                f"the viewer runs already, on port {former.port}",
                where=found.name,
                fix=f"drctl update-viewer -p {port}",
            )
        notes = [Message(f"The viewer runs already (container {found.name})")]
        if not is_as_planned(plan):
            notes.append(Message("It was started with other settings; drctl update-viewer starts it anew", "warning"))
        return describe_page(former, token, notes, was_running=True, container=found.name)
    commands: list[str] = []
    if found is not None:
        stop_viewer_container(plan.folder, commands.append)
    check_port(plan.viewer.port, project)
    provide_store(project, commands.append)
    start_viewer_container(plan, commands.append)
    notes = [*(Message(f"$ {command}") for command in commands), Message("The viewer runs", "success")]
    return describe_page(plan.viewer, token, notes, was_running=False, container=plan.compose_project)


def update_container_viewer(project: Project, *, port: int | None) -> Result:
    """Start it anew, with the settings as they are now."""
    plan = plan_container_viewer(project, port)
    found = find_viewer_container(plan)
    if found is None or found.status != "running" or read_viewer_plan(plan.folder / PLAN_FILE).port != plan.viewer.port:
        check_port(plan.viewer.port, project)
    stop_viewer_container(plan.folder)
    return start_container_viewer(project, port=port)


def stop_container_viewer(project: Project) -> bool:
    """Remove the container of this run's viewer; False when none was started."""
    return stop_viewer_container(viewer_container_folder(project.root, project.settings.run_id))


def preview_container_viewer(project: Project, port: int | None, *, with_store: bool) -> list[Preview]:
    """Tell what a start would write and run.

    Args:
        project: The project.
        port: See `start_container_viewer`.
        with_store: The store's server is to be started too.
    """
    store = [preview_store(project)] if with_store else []
    return [*store, preview_viewer_container(plan_container_viewer(project, port))]


def running_container_viewer(project: Project) -> ViewerPlan | None:
    """Return what this run's viewer was told, as it looks from this machine; None where none was started.

    The container is not asked for: whoever has no way to Docker may still look at a page.
    """
    folder = viewer_container_folder(project.root, project.settings.run_id)
    if not (folder / COMPOSE_FILE).exists():
        return None
    told, here = read_viewer_plan(folder / PLAN_FILE), plan_viewer(project, None)
    return replace(told, token_file=here.token_file if told.token_file else None)
