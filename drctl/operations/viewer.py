"""Start, stop and find the viewer."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from drctl.config.registry import refused_settings
from drctl.engines.community_run import find_stream_port
from drctl.engines.engine import Preview
from drctl.engines.viewer_process import LOG_FILE, read_viewer, start_viewer_process, stop_viewer_process
from drctl.errors import ConflictError, NotSupportedError, UnavailableError, UsageError
from drctl.formats.stream_topics import TOPICS
from drctl.operations.container_viewer import (
    check_container_viewer,
    preview_container_viewer,
    running_container_viewer,
    start_container_viewer,
    stop_container_viewer,
    update_container_viewer,
)
from drctl.operations.containers import is_in_containers
from drctl.operations.dry_run import describe_preview
from drctl.operations.training import reachable_store
from drctl.operations.viewer_page import check_port, describe_page, plan_viewer, provide_token, read_token
from drctl.result import Message, Result
from drctl.stack.viewer_plan import PLAN_FILE, VIEWER_FOLDER, ViewerPlan, read_viewer_plan, write_viewer_plan
from drctl.status.run_status import read_run

if TYPE_CHECKING:
    from pathlib import Path

    from drctl.config.project import Project

COMMAND: Final = "start-viewer"
_PACKAGES: Final = ("starlette", "uvicorn")


def start_viewer(project: Project, *, port: int | None = None) -> Result:
    """Start the viewer, or say where it is when it runs already.

    Args:
        project: The project.
        port: In place of ``DR_WEBVIEWER_PORT``.

    Returns:
        ``urls``, ``port``, ``pid`` and ``log`` of its process or ``container``, ``was_running``; addresses for browsers
        that need the token carry it.

    Raises:
        DrctlError: Settings that do not work yet, a missing package, a port that is taken; nothing is started then.
    """
    check_viewer(project)
    if is_in_containers(project):
        return start_container_viewer(project, port=port)
    folder = viewer_folder(project)
    plan = plan_viewer(project, port)
    token = provide_token(project)
    running = read_viewer(folder)
    if running is not None:
        former = read_viewer_plan(folder / PLAN_FILE)
        notes = [Message(f"The viewer runs already (process {running.process.pid})")]
        if port is not None and port != running.port:
            raise ConflictError(
                f"the viewer runs already, on port {running.port}",
                where=f"process {running.process.pid}",
                fix=f"drctl update-viewer -p {port}",
            )
        if former != plan:
            notes.append(Message("It was started with other settings; drctl update-viewer starts it anew", "warning"))
        return describe_page(former, token, notes, was_running=True, pid=running.process.pid, log=folder / LOG_FILE)
    check_port(plan.port, project)
    state = start_viewer_process(folder, write_viewer_plan(plan, folder))
    notes = [Message("The viewer runs", "success")]
    return describe_page(plan, token, notes, was_running=False, pid=state.process.pid, log=folder / LOG_FILE)


def preview_viewer(project: Project, *, port: int | None = None, with_store: bool = True) -> Result:
    """Tell which files and commands a start of the viewer would take; nothing is started.

    Args:
        project: The project.
        port: See `start_viewer`.
        with_store: Where runs are in containers: tell too how the store's server is started.

    Returns:
        ``engine``, ``run_id``, ``files``: text by path, ``commands``: argument lists.

    Raises:
        NotSupportedError: The settings ask for what it cannot do yet.
    """
    refuse_settings(project)
    if is_in_containers(project):
        previews = preview_container_viewer(project, port, with_store=with_store)
    else:
        path = viewer_folder(project) / PLAN_FILE
        argv = (sys.executable, "-m", "drctl.viewer.main", str(path), "--state")
        previews = [Preview({str(path): plan_viewer(project, port).to_text()}, (argv,))]
    data = {
        "engine": project.settings.docker_style,
        "run_id": project.settings.run_id,
        "files": {path: text for one in previews for path, text in one.files.items()},
        "commands": [list(argv) for one in previews for argv in one.commands],
    }
    return Result(data, tuple(line for one in previews for line in describe_preview(one)), ("drctl start-viewer",))


def stop_viewer(project: Project) -> Result:
    """Stop the viewer; stopping what does not run is no error.

    Returns:
        ``was_running``.

    Raises:
        FailedError: It cannot be ended.
    """
    was_running = stop_viewer_process(viewer_folder(project))
    was_running = stop_container_viewer(project) or was_running
    text = "The viewer has ended" if was_running else "the viewer is not running"
    return Result({"was_running": was_running}, (Message(text, "success" if was_running else "info"),))


def update_viewer(project: Project, *, port: int | None = None) -> Result:
    """Start the viewer anew, with the settings as they are now.

    Args:
        project: The project.
        port: See `start_viewer`.

    Returns:
        See `start_viewer`.

    Raises:
        DrctlError: See `start_viewer`; what ran before goes on unless it had to be stopped.
    """
    check_viewer(project)
    if is_in_containers(project):
        return update_container_viewer(project, port=port)
    folder = viewer_folder(project)
    running = read_viewer(folder)
    plan = plan_viewer(project, port)
    if running is not None and running.port != plan.port:
        check_port(plan.port, project)
    stop_viewer_process(folder)
    return start_viewer(project, port=port)


def view_stream(project: Project, *, worker: int, camera: str, width: int, quality: int) -> Result:
    """Tell where the pictures of one worker are, for a browser or a player such as VLC.

    Args:
        project: The project.
        worker: Its number.
        camera: One of `TOPICS`, or a topic itself.
        width: Of the pictures in pixels.
        quality: Of their JPEGs, 1 to 100.

    Returns:
        ``worker`` and ``urls``: the worker's own where this machine reaches it, and the viewer's when it runs, with
        the token where that one wants it.

    Raises:
        UsageError: There is no such camera.
        UnavailableError: No such worker streams now.
    """
    topic = camera if camera.startswith("/") else TOPICS.get(camera)
    if topic is None:
        raise UsageError(
            f"there is no camera {camera}", expected=", ".join(TOPICS), fix="drctl view-stream --camera overlay"
        )
    name = f"worker-{worker}"
    own, page = _own_address(project, name), _page_of(project)
    if own is None:
        raise UnavailableError(
            f"{name} of run {project.settings.run_id} streams nothing now",
            expected="a run with this worker",
            fix="drctl status",
        )
    query = {"topic": topic, "width": str(width), "quality": str(quality)}
    urls = [f"http://{own}/stream?{urlencode(query, safe='/')}"] if own else []
    if page is not None:
        token = None if page.is_loopback_free else read_token(page)
        guarded = query if token is None else {**query, "token": token.reveal()}
        path = f"runs/{project.settings.run_id}/workers/{name}/stream"
        urls.append(f"http://127.0.0.1:{page.port}/{path}?{urlencode(guarded, safe='/')}")
    lines = tuple(Message(url) for url in urls) or (
        Message("A worker in a container is seen through the viewer alone"),
    )
    return Result({"worker": name, "urls": urls}, lines, () if page is not None else ("drctl start-viewer",))


def _own_address(project: Project, name: str) -> str | None:
    """Return where this machine reaches a worker's streams; empty where only the viewer does, None for nowhere."""
    status = read_run(project.run_folder, reachable_store(project))
    if status is None or not status.is_running:
        return None
    if status.stack == "community":
        return find_stream_port(project.run_folder, name)
    address = next((view["address"] for view in status.trainer.get("workers", ()) if view["name"] == name), None)
    return address and ("" if is_in_containers(project) else str(address))


def _page_of(project: Project) -> ViewerPlan | None:
    """Return the viewer that shows the project's run, where one runs."""
    if is_in_containers(project):
        return running_container_viewer(project)
    folder = viewer_folder(project)
    return read_viewer_plan(folder / PLAN_FILE) if read_viewer(folder) is not None else None


def viewer_folder(project: Project) -> Path:
    """Return the folder of the viewer's state and log."""
    return project.root / "tmp" / VIEWER_FOLDER


def check_viewer(project: Project) -> None:
    """Make sure that a viewer can run here at all.

    Raises:
        NotSupportedError: The settings ask for what it cannot do yet.
        UnavailableError: Packages, Docker or an image are missing.
    """
    refuse_settings(project)
    if is_in_containers(project):
        check_container_viewer(project)
        return
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"the viewer needs packages that are not installed: {', '.join(missing)}",
            expected="drctl with its part viewer",
            fix="pip install 'drctl[viewer]'",
        )


def refuse_settings(project: Project) -> None:
    """Make sure that the settings ask for nothing that the viewer cannot do yet.

    Raises:
        NotSupportedError: They do.
    """
    problems = refused_settings(project.settings, COMMAND)
    if problems:
        raise NotSupportedError.from_problems(problems)
