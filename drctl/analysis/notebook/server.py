"""The process that serves JupyterLab: ``python -m drctl.analysis.notebook.server FILE``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Final

from drctl.analysis.notebook.plan import NotebookPlan, read_notebook_plan
from drctl.engines.page_server import write_server_state
from drctl.errors import DrctlError

LOOPBACK: Final = "127.0.0.1"


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m drctl.analysis.notebook.server", description="Serve JupyterLab.")
    parser.add_argument("plan", type=Path, help="start file")
    parser.add_argument("--state", action="store_true", help="write beside the start file who serves it")
    options = parser.parse_args(arguments)
    try:
        plan = read_notebook_plan(options.plan)
    except DrctlError as error:
        sys.stderr.write(f"error[{error.code}]: {error}\n")
        return error.exit_status
    _stay_in(Path(plan.own_folder), plan.environment)
    server = _prepare(plan)
    state = write_server_state(options.plan.parent, plan.port) if options.state else None
    try:
        server.start()
    finally:
        if state is not None:
            state.unlink(missing_ok=True)
    return 0


def _stay_in(folder: Path, environment: dict[str, str]) -> None:
    """Keep Jupyter's own files in a folder of the project; the home folder stays as it is."""
    os.environ.update(environment)
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        place = folder / name.partition("_")[2].lower() if "_" in name else folder / name.lower()
        place.mkdir(parents=True, exist_ok=True)
        os.environ[name] = str(place)
    settings = folder / "lab" / "settings"
    os.environ["JUPYTERLAB_SETTINGS_DIR"] = str(settings)
    news = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    if not news.exists():  # asks its user otherwise whether to fetch news
        news.parent.mkdir(parents=True, exist_ok=True)
        news.write_text('{"fetchNews": "false", "checkForUpdates": false}\n')
    os.environ["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / "lab" / "workspaces")


def _prepare(plan: NotebookPlan) -> Any:
    """Return a server that listens: on this machine alone, and to nobody without the token."""
    from jupyterlab.labapp import LabApp
    from traitlets.config import Config

    settings = Config()
    settings.ServerApp.ip = LOOPBACK
    settings.ServerApp.port = plan.port
    settings.ServerApp.port_retries = 0
    settings.ServerApp.open_browser = False
    settings.ServerApp.allow_remote_access = False
    settings.ServerApp.allow_root = True  # the token guards it, whoever serves it
    settings.ServerApp.root_dir = plan.folder
    settings.ServerApp.terminals_enabled = False
    settings.IdentityProvider.token = Path(plan.token_file).read_text().strip()
    settings.LabApp.default_url = f"/lab/tree/{plan.notebook}"
    settings.LabApp.news_url = None
    settings.LabApp.check_for_updates_class = "jupyterlab.handlers.announcements.NeverCheckForUpdate"
    settings.LabApp.extension_manager = "readonly"
    return LabApp.initialize_server(argv=[], config=settings)


if __name__ == "__main__":
    sys.exit(main())
