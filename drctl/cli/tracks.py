"""``drctl tracks ...``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.errors import ConfigError
from drctl.result import Result


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    tracks = typer.Typer(help="List, show and import tracks.", no_args_is_help=True)
    tracks.command("list")(_list)
    tracks.command("show")(_show)
    tracks.command("import")(_import)
    app.add_typer(tracks, name="tracks")


def _list(ctx: typer.Context) -> Result:
    """List the tracks of the library and of this project."""
    from drctl.operations.tracks import list_tracks

    return list_tracks(_root_if_any(ctx))


def _show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of 'drctl tracks list'.")],
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Write a picture too.")] = None,
) -> Result:
    """Draw a track and tell its length, width and direction."""
    from drctl.operations.tracks import show_track

    return show_track(name, _root_if_any(ctx), png)


def _import(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Waypoints, a .npy of rows with six numbers.")],
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Default: the file's own name.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a track imported under this name.")] = False,
) -> Result:
    """Keep a waypoint file as a track of this project."""
    from drctl.config.project import find_root
    from drctl.operations.tracks import import_track

    return import_track(file, find_root(invocation_of(ctx).folder), name, overwrite=overwrite)


def _root_if_any(ctx: typer.Context) -> Path | None:
    """Return the project's folder; the library can be looked at without one."""
    from drctl.config.project import find_root

    folder = invocation_of(ctx).folder
    try:
        return find_root(folder)
    except ConfigError:
        if folder is not None:
            raise  # it was asked for by name
        return None
