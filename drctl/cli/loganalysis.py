"""``start-loganalysis``, ``stop-loganalysis``, ``url-loganalysis``."""

from __future__ import annotations

from typing import Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.result import Result


def start_loganalysis(
    ctx: typer.Context,
    port: Annotated[
        int | None, typer.Option("-p", "--port", min=1, max=65535, help="Port on loopback; default: 8888.")
    ] = None,
) -> Result:
    """Open JupyterLab with a notebook on this project's models, and print its address.

    Needs pip install 'drctl[analysis]'. Only this machine reaches it, and only with the token of the address.
    """
    from drctl.operations.loganalysis import start_loganalysis as start

    return start(invocation_of(ctx).load_project_to_start(), port=port)


def stop_loganalysis(ctx: typer.Context) -> Result:
    """Stop JupyterLab; notebooks are kept."""
    from drctl.operations.loganalysis import stop_loganalysis as stop

    return stop(invocation_of(ctx).load_project())


def url_loganalysis(ctx: typer.Context) -> Result:
    """Print the address of JupyterLab."""
    from drctl.operations.loganalysis import find_loganalysis as find

    return find(invocation_of(ctx).load_project())


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("start-loganalysis")(start_loganalysis)
    app.command("stop-loganalysis")(stop_loganalysis)
    app.command("url-loganalysis")(url_loganalysis)
