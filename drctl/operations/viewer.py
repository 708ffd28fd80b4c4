"""Start, stop and find the viewer."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from drctl.config.registry import refused_settings
from drctl.engines.viewer_process import (
    LOG_FILE,
    ViewerState,
    read_viewer,
    start_viewer_process,
    stop_viewer_process,
)
from drctl.errors import ConflictError, NotSupportedError, Problem, UnavailableError, UsageError
from drctl.formats.stream_topics import TOPICS
from drctl.link.listening import advertised_host
from drctl.operations.containers import is_in_containers
from drctl.operations.training import reachable_store
from drctl.result import Message, Result
from drctl.secrets import Secret, read_or_create_secret, write_secret
from drctl.stack.viewer_plan import PLAN_FILE, VIEWER_FOLDER, ViewerPlan, read_viewer_plan, write_viewer_plan
from drctl.status.run_status import read_run

if TYPE_CHECKING:
    from pathlib import Path

    from drctl.config.project import Project

COMMAND: Final = "start-viewer"
OPEN_TO_ALL: Final = "off"
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - the viewer is for other machines too, and asks them for its token
_TOKEN_FILE: Final = "viewer-token"  # noqa: S105 - a file's name
_CHOSEN_TOKEN_FILE: Final = "viewer-token-chosen"  # noqa: S105 - likewise
_PACKAGES: Final = ("starlette", "uvicorn")


def start_viewer(project: Project, *, port: int | None = None) -> Result:
    """Start the viewer, or say where it is when it runs already.

    Args:
        project: The project.
        port: In place of ``DR_WEBVIEWER_PORT``.

    Returns:
        ``urls``, ``port``, ``pid``, ``log``, ``was_running``; the addresses for other machines carry the token.

    Raises:
        DrctlError: Settings that do not work yet, a missing package, a port that is taken; nothing is started then.
    """
    check_viewer(project)
    folder = viewer_folder(project)
    plan, token = _plan_viewer(project, port)
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
        return _describe(former, token, running, folder, notes, was_running=True)
    _check_port(plan.port, project)
    state = start_viewer_process(folder, write_viewer_plan(plan, folder))
    return _describe(plan, token, state, folder, [Message("The viewer runs", "success")], was_running=False)


def stop_viewer(project: Project) -> Result:
    """Stop the viewer; stopping what does not run is no error.

    Returns:
        ``was_running``.

    Raises:
        FailedError: It cannot be ended.
    """
    was_running = stop_viewer_process(viewer_folder(project))
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
    folder = viewer_folder(project)
    running = read_viewer(folder)
    plan, _ = _plan_viewer(project, port)
    if running is not None and running.port != plan.port:
        _check_port(plan.port, project)
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
        ``worker`` and ``urls``: the worker's own, for this machine, and the viewer's when it runs.

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
    status = read_run(project.run_folder, reachable_store(project))
    views = status.trainer.get("workers", ()) if status is not None and status.is_running else ()
    address = next((view["address"] for view in views if view["name"] == name), "")
    if not address:
        raise UnavailableError(
            f"{name} of run {project.settings.run_id} streams nothing now",
            expected="a run with this worker",
            fix="drctl status",
        )
    query = urlencode({"topic": topic, "width": width, "quality": quality}, safe="/")
    urls = []
    if not is_in_containers(project):
        urls.append(f"http://{address}/stream?{query}")
    running = read_viewer(viewer_folder(project))
    if running is not None:
        path = f"runs/{project.settings.run_id}/workers/{name}/stream"
        urls.append(f"http://127.0.0.1:{running.port}/{path}?{query}")
    steps = () if running is not None else ("drctl start-viewer",)
    return Result({"worker": name, "urls": urls}, tuple(Message(url) for url in urls), steps)


def viewer_folder(project: Project) -> Path:
    """Return the folder of the viewer's state and log."""
    return project.root / "tmp" / VIEWER_FOLDER


def check_viewer(project: Project) -> None:
    """Make sure that a viewer can run here at all.

    Raises:
        NotSupportedError: The settings ask for what it cannot do yet.
        UnavailableError: Packages are missing.
    """
    problems = refused_settings(project.settings, COMMAND)
    if project.settings.docker_style != "process":
        problems = [
            *problems,
            Problem(
                f"DR_DOCKER_STYLE is {project.settings.docker_style}; the viewer does not show runs in containers yet",
                where=str(project.settings.origin("DR_DOCKER_STYLE")),
                expected="process",
                fix="drctl start-viewer --set DR_DOCKER_STYLE=process shows the runs of this machine's processes",
            ),
        ]
    if problems:
        raise NotSupportedError.from_problems(problems)
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"the viewer needs packages that are not installed: {', '.join(missing)}",
            expected="drctl with its part viewer",
            fix="pip install 'drctl[viewer]'",
        )


def _plan_viewer(project: Project, port: int | None) -> tuple[ViewerPlan, Secret | None]:
    settings = project.settings
    token_file = _provide_token(project)
    cameras = {
        "overlay": settings.camera_kvs_enable,
        "chase": settings.camera_main_enable,
        "top": settings.camera_sub_enable,
        "onboard": True,
    }
    plan = ViewerPlan(
        root=str(project.root),
        engine=settings.docker_style,
        run_id=None,
        host=_EVERYWHERE,
        port=port or settings.webviewer_port,
        token_file=None if token_file is None else str(token_file),
        is_loopback_free=True,
        cameras=tuple(name for name, is_offered in cameras.items() if is_offered),
        has_details=settings.enable_extra_kvs_overlay,
        car_color=settings.car_color,
    )
    return plan, None if token_file is None else Secret(token_file.read_text().strip())


def _provide_token(project: Project) -> Path | None:
    """Write down the token that the setting names, or a random one, and return the file; None for no token at all."""
    wanted = project.settings.webviewer_token
    if wanted is not None and wanted.reveal().lower() == OPEN_TO_ALL:
        return None
    if wanted is not None:
        path = project.secrets_folder / _CHOSEN_TOKEN_FILE
        write_secret(path, wanted)
        return path
    path = project.secrets_folder / _TOKEN_FILE
    read_or_create_secret(path)
    return path


def _check_port(port: int, project: Project) -> None:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_EVERYWHERE, port))
        except OSError as error:
            raise UnavailableError(
                f"port {port} cannot be used: {error.strerror}",
                where=str(project.settings.origin("DR_WEBVIEWER_PORT")),
                expected="a free port",
                fix=f"drctl start-viewer -p {port + 1}",
            ) from error


def _describe(
    plan: ViewerPlan,
    token: Secret | None,
    state: ViewerState,
    folder: Path,
    notes: list[Message],
    *,
    was_running: bool,
) -> Result:
    here, there = viewer_urls(plan, token)
    data: dict[str, Any] = {
        "urls": [here, there],
        "port": plan.port,
        "pid": state.process.pid,
        "log": str(folder / LOG_FILE),
        "was_running": was_running,
    }
    lines = [
        Message(f"  on this machine:     {here}"),
        Message(f"  from other machines: {there}"),
        Message(f"  (a firewall or security group in between must let TCP port {plan.port} through)"),
    ]
    return Result(data, (*notes, *lines), ("drctl view-stream", "drctl stop-viewer"))


def viewer_urls(plan: ViewerPlan, token: Secret | None) -> tuple[str, str]:
    """Return the page's address for browsers of this machine and for others."""
    query = f"?token={quote(token.reveal(), safe='')}" if token is not None else ""
    here = "" if plan.is_loopback_free else query
    return f"http://127.0.0.1:{plan.port}/{here}", f"http://{advertised_host('')}:{plan.port}/{query}"
