"""The viewer in a container: a Compose project of its own, on the network of the runs."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from drctl.engines.compose import refuse_foreign
from drctl.engines.container_logs import read_log
from drctl.engines.container_run import give_to_container
from drctl.engines.docker import (
    ContainerFacts,
    Echo,
    change,
    compose_argv,
    find_containers,
    last_words,
    run_docker,
    up_argv,
)
from drctl.engines.engine import Preview
from drctl.errors import FailedError
from drctl.stack.container_stack import COMPOSE_FILE
from drctl.stack.render import render_viewer
from drctl.stack.viewer_container import ViewerContainer
from drctl.stack.viewer_plan import PLAN_FILE, write_viewer_plan

_READY_LIMIT_S: Final = 60.0
_ANSWER_S: Final = 2.0
_POLL_S: Final = 0.1
_MOST_RESTARTS: Final = 2
_LOG_LINES: Final = 8


def preview_viewer_container(plan: ViewerContainer) -> Preview:
    """Tell what `start_viewer_container` would do where nothing is there yet; nothing is started, written or asked."""
    return Preview(
        {str(plan.folder / COMPOSE_FILE): render_viewer(plan)}, (("docker", *up_argv(plan.folder / COMPOSE_FILE)),)
    )


def find_viewer_container(plan: ViewerContainer) -> ContainerFacts | None:
    """Return the container of a viewer, whether it runs or not; None when there is none.

    Raises:
        ConflictError: Somebody else's has its name.
        UnavailableError: Docker does not answer.
    """
    refuse_foreign(plan.compose_project, plan.project)
    return next(iter(find_containers(plan.compose_project)), None)


def is_as_planned(plan: ViewerContainer) -> bool:
    """Tell whether the viewer that was started last was told the same."""
    try:
        told = (plan.folder / COMPOSE_FILE).read_text(), (plan.folder / PLAN_FILE).read_text()
    except FileNotFoundError:
        return False
    return told == (render_viewer(plan), plan.viewer.to_text())


def start_viewer_container(plan: ViewerContainer, echo: Echo) -> None:
    """Start a viewer and return once it answers.

    Args:
        plan: Its network, token and key files exist.
        echo: Gets each command that changes something.

    Raises:
        FailedError: It does not; nothing is left of it.
    """
    start_file = write_viewer_plan(plan.viewer, plan.folder)
    for mount in plan.part.container.mounts if plan.part.container else ():
        source = Path(mount.source)
        if source.is_relative_to(Path(plan.project) / "tmp") and not source.exists():
            source.mkdir(parents=True)  # of a run that was not started yet; Docker would make it for root, or refuse
    for path in (start_file, *_token_files(plan)):
        give_to_container(path)
    file = plan.folder / COMPOSE_FILE
    file.write_text(render_viewer(plan))
    done = run_docker(up_argv(file), echo)
    if done.returncode or not _answers(plan):
        words = [line for one in find_containers(plan.compose_project) for line in read_log(one.name, _LOG_LINES)]
        stop_viewer_container(plan.folder, echo)
        raise FailedError(
            "the viewer cannot be started",
            where="\n".join([str(file), *(last_words(done) if done.returncode else ()), *words]),
            expected=f"a page on port {plan.viewer.port} within {_READY_LIMIT_S:.0f} s",
            fix=f"docker compose --file {file} up shows all of it",
        )


def stop_viewer_container(folder: Path, echo: Echo = lambda _command: None) -> bool:
    """Remove the container of a viewer.

    Args:
        folder: As `drctl.stack.viewer_container.viewer_container_folder` returns it.
        echo: Gets the command.

    Returns:
        False where none was started.
    """
    file = folder / COMPOSE_FILE
    if not file.exists():
        return False
    change([*compose_argv(file), "down", "--timeout", "2", "--remove-orphans"], echo)
    file.unlink(missing_ok=True)
    return True


def _token_files(plan: ViewerContainer) -> list[Path]:
    container = plan.part.container
    mounts = container.mounts if container else ()
    return [Path(mount.source) for mount in mounts if mount.target == plan.viewer.token_file]


def _answers(plan: ViewerContainer) -> bool:
    """Wait until the page answers; Docker's own health check would look for the first time after seconds."""
    address = f"http://127.0.0.1:{plan.viewer.port}/page/icon.svg"
    deadline = time.monotonic() + _READY_LIMIT_S
    while time.monotonic() < deadline:
        found = find_containers(plan.compose_project)
        if not found or any(one.status == "exited" or one.restarts > _MOST_RESTARTS for one in found):
            return False
        try:
            urllib.request.urlopen(address, timeout=_ANSWER_S).close()
        except urllib.error.HTTPError as refusal:  # it wants a token
            refusal.close()
            return True
        except OSError:
            time.sleep(_POLL_S)
        else:
            return True
    return False
