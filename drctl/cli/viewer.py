"""``start-viewer``, ``stop-viewer``, ``update-viewer``, ``view-stream``."""

from __future__ import annotations

from typing import Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.result import Result

_Port = Annotated[
    int | None, typer.Option("-p", "--port", min=1, max=65535, help="Port, for this call; else DR_WEBVIEWER_PORT.")
]


def start_viewer(
    ctx: typer.Context,
    port: _Port = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the files and commands of a start; nothing is started.")
    ] = False,
) -> Result:
    """Show cars, charts and races of this project's runs on a web page, and print its addresses.

    It finds runs and workers by itself as they start and stop. Browsers of other machines need the link with its token,
    and with DR_DOCKER_STYLE=compose, where the viewer of DR_RUN_ID runs in a container, every browser does.
    """
    from drctl.operations.viewer import preview_viewer
    from drctl.operations.viewer import start_viewer as start

    project = invocation_of(ctx).load_project_to_start()
    return preview_viewer(project, port=port) if dry_run else start(project, port=port)


def stop_viewer(ctx: typer.Context) -> Result:
    """Stop the viewer."""
    from drctl.operations.viewer import stop_viewer as stop

    return stop(invocation_of(ctx).load_project())


def update_viewer(ctx: typer.Context, port: _Port = None) -> Result:
    """Start the viewer anew with the settings as they are now; new workers need no update."""
    from drctl.operations.viewer import update_viewer as update

    return update(invocation_of(ctx).load_project_to_start(), port=port)


def view_stream(
    ctx: typer.Context,
    number: Annotated[int, typer.Option("-n", "--number", min=0, help="Number of the worker, from 0.")] = 0,
    camera: Annotated[
        str, typer.Option("-c", "--camera", help="overlay, chase, top, onboard, or a ROS topic.")
    ] = "overlay",
    width: Annotated[int, typer.Option("-w", "--width", min=80, max=1920, help="Of the pictures in pixels.")] = 480,
    quality: Annotated[int, typer.Option("-q", "--quality", min=1, max=100, help="Of their JPEGs.")] = 70,
) -> Result:
    """Print where the pictures of one worker are, for a browser or a video player."""
    from drctl.operations.viewer import view_stream as find

    return find(invocation_of(ctx).load_project(), worker=number, camera=camera, width=width, quality=quality)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("start-viewer")(start_viewer)
    app.command("stop-viewer")(stop_viewer)
    app.command("update-viewer")(update_viewer)
    app.command("view-stream")(view_stream)
