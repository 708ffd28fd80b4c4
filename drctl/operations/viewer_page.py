"""What a viewer is told when it is started, and where people find its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from drctl.errors import UnavailableError
from drctl.link.listening import advertised_host, probe_port
from drctl.result import Message, Result
from drctl.secrets import Secret, read_or_create_secret, write_secret
from drctl.stack.viewer_plan import ViewerPlan

if TYPE_CHECKING:
    from drctl.config.project import Project

OPEN_TO_ALL: Final = "off"
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - the viewer is for other machines too, and asks them for its token
_TOKEN_FILE: Final = "viewer-token"  # noqa: S105 - a file's name
_CHOSEN_TOKEN_FILE: Final = "viewer-token-chosen"  # noqa: S105 - likewise


def plan_viewer(project: Project, port: int | None) -> ViewerPlan:
    """Say what a viewer of this machine is told; nothing is written, its token neither.

    Args:
        project: The project.
        port: In place of ``DR_WEBVIEWER_PORT``.
    """
    settings = project.settings
    token_file = _token_path(project)
    cameras = {
        "overlay": settings.camera_kvs_enable,
        "chase": settings.camera_main_enable,
        "top": settings.camera_sub_enable,
        "onboard": True,
    }
    return ViewerPlan(
        root=str(project.root),
        engine=settings.engine,
        run_id=None,
        host=_EVERYWHERE,
        port=port or settings.webviewer_port,
        token_file=None if token_file is None else str(token_file),
        is_loopback_free=True,
        cameras=tuple(name for name, is_offered in cameras.items() if is_offered),
        has_details=settings.enable_extra_kvs_overlay,
        car_color=settings.car_color,
    )


def provide_token(project: Project) -> Secret | None:
    """Write down the token that the setting names, or a random one, and return it; None for no token at all."""
    path, wanted = _token_path(project), project.settings.webviewer_token
    if path is None:
        return None
    project.secrets_folder  # noqa: B018 - made by asking for it
    if wanted is None:
        return Secret(read_or_create_secret(path).reveal().strip())
    write_secret(path, wanted)
    return wanted


def read_token(plan: ViewerPlan) -> Secret | None:
    """Return the token that a viewer was told; None for none."""
    return Secret(Path(plan.token_file).read_text().strip()) if plan.token_file else None


def _token_path(project: Project) -> Path | None:
    wanted = project.settings.webviewer_token
    if wanted is None:
        return project.secrets_path / _TOKEN_FILE
    return None if wanted.reveal().lower() == OPEN_TO_ALL else project.secrets_path / _CHOSEN_TOKEN_FILE


def check_port(port: int, project: Project) -> None:
    """Make sure that the page's port is free.

    Raises:
        UnavailableError: It is not.
    """
    try:
        probe_port(_EVERYWHERE, port)
    except OSError as error:
        raise UnavailableError(
            f"port {port} cannot be used: {error.strerror}",
            where=str(project.settings.origin("DR_WEBVIEWER_PORT")),
            expected="a free port",
            fix=f"drctl start-viewer -p {port + 1}",
        ) from error


def describe_page(
    plan: ViewerPlan,
    token: Secret | None,
    notes: list[Message],
    *,
    was_running: bool,
    pid: int | None = None,
    log: Path | None = None,
    container: str | None = None,
) -> Result:
    """Return the answer to whoever started a viewer: where its page is, and who serves it."""
    here, there = viewer_urls(plan, token)
    data: dict[str, Any] = {
        "urls": [here, there],
        "port": plan.port,
        "pid": pid,
        "container": container,
        "log": None if log is None else str(log),
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
