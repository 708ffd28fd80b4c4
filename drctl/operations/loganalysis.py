"""Start, stop and find JupyterLab with a notebook on the project's models."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from drctl.analysis.notebook.plan import NOTEBOOK, SHIPPED, NotebookPlan, write_notebook_plan
from drctl.config.registry import refused_settings
from drctl.engines.page_server import PageServer, ServerState
from drctl.errors import ConflictError, NotSupportedError, UnavailableError
from drctl.link.listening import probe_port
from drctl.result import Message, Result
from drctl.secrets import read_or_create_secret

if TYPE_CHECKING:
    from pathlib import Path

    from drctl.config.project import Project

COMMAND: Final = "start-loganalysis"
PORT: Final = 8888
"""DeepRacer-for-Cloud's, too (user-needs 6)."""

FOLDER: Final = "loganalysis"
LOG_FILE: Final = "jupyterlab.log"
SERVER: Final = PageServer("JupyterLab", "drctl.analysis.notebook.server", LOG_FILE)

_LOOPBACK: Final = "127.0.0.1"
_TOKEN_FILE: Final = "loganalysis-token"  # noqa: S105 - a file's name
_PACKAGES: Final = ("deepracer", "ipykernel", "jupyterlab", "matplotlib", "numpy", "pandas")


def start_loganalysis(project: Project, *, port: int | None = None) -> Result:
    """Start JupyterLab on this machine, or say where it is when it runs already.

    The notebook is copied into the project once and is its user's from then on.

    Args:
        project: The project.
        port: In place of `PORT`.

    Returns:
        ``url``, ``port``, ``pid``, ``notebook``, ``log``, ``was_running``.

    Raises:
        DrctlError: A missing package, or a port that is taken; nothing is started then.
    """
    _check(project)
    folder = _state_folder(project)
    running = SERVER.read(folder)
    if running is not None:
        if port not in (None, running.port):
            raise ConflictError(
                f"JupyterLab runs already, on port {running.port}",
                where=f"process {running.process.pid}",
                fix=f"drctl stop-loganalysis, then drctl start-loganalysis -p {port}",
            )
        return _describe(project, running, [Message("JupyterLab runs already")], was_running=True)
    chosen = port or PORT
    _check_port(chosen)
    token_file = project.secrets_folder / _TOKEN_FILE
    read_or_create_secret(token_file)
    is_new = _provide_notebook(project)
    experiment = project.settings.experiment_name
    plan = NotebookPlan(
        folder=str(_notebook(project).parent.absolute()),
        notebook=NOTEBOOK,
        port=chosen,
        token_file=str(token_file.absolute()),
        own_folder=str((folder / "jupyter").absolute()),
        environment={"DR_EXPERIMENT_NAME": experiment} if experiment else {},
    )
    state = SERVER.start(folder, write_notebook_plan(plan, folder))
    notes = [Message("JupyterLab runs", "success")]
    if not is_new:
        notes.append(Message(f"{_notebook(project)} is as you left it; delete it for a fresh one"))
    return _describe(project, state, notes, was_running=False)


def stop_loganalysis(project: Project) -> Result:
    """Stop JupyterLab; stopping what does not run is no error.

    Returns:
        ``was_running``.

    Raises:
        FailedError: It cannot be ended.
    """
    was_running = SERVER.stop(_state_folder(project))
    text = "JupyterLab has ended; its notebooks are kept" if was_running else "JupyterLab is not running"
    return Result({"was_running": was_running}, (Message(text, "success" if was_running else "info"),))


def find_loganalysis(project: Project) -> Result:
    """Tell the address of JupyterLab.

    Raises:
        UnavailableError: It does not run.
    """
    running = SERVER.read(_state_folder(project))
    if running is None:
        raise UnavailableError("JupyterLab is not running", fix="drctl start-loganalysis")
    return _describe(project, running, [], was_running=True)


def _state_folder(project: Project) -> Path:
    return project.root / "tmp" / FOLDER


def _notebook(project: Project) -> Path:
    return project.root / FOLDER / NOTEBOOK


def _check(project: Project) -> None:
    problems = refused_settings(project.settings, COMMAND)
    if problems:
        raise NotSupportedError.from_problems(problems)
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"log analysis needs packages that are not installed: {', '.join(missing)}",
            expected="drctl with its part analysis",
            fix="pip install 'drctl[analysis]'",
        )


def _check_port(port: int) -> None:
    try:
        probe_port(_LOOPBACK, port)
    except OSError as error:
        raise UnavailableError(
            f"port {port} cannot be used: {error.strerror}",
            expected="a free port",
            fix=f"drctl start-loganalysis -p {port + 1}",
        ) from error


def _provide_notebook(project: Project) -> bool:
    """Copy the notebook into the project where it is not there yet; return whether it was copied."""
    target = _notebook(project)
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(SHIPPED.read_bytes())
    return True


def _describe(project: Project, state: ServerState, notes: list[Message], *, was_running: bool) -> Result:
    token = read_or_create_secret(project.secrets_folder / _TOKEN_FILE).reveal()
    url = f"http://{_LOOPBACK}:{state.port}/lab/tree/{NOTEBOOK}?token={quote(token, safe='')}"
    data = {
        "url": url,
        "port": state.port,
        "pid": state.process.pid,
        "notebook": str(_notebook(project)),
        "log": str(_state_folder(project) / LOG_FILE),
        "was_running": was_running,
    }
    lines = [
        Message(f"  {url}"),
        Message(f"  for this machine alone; from another one: ssh -L {state.port}:{_LOOPBACK}:{state.port} HERE"),
    ]
    return Result(data, (*notes, *lines), ("drctl stop-loganalysis",))
