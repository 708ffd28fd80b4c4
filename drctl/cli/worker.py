"""``worker-invite``, ``start-worker``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.result import Result


def worker_invite(ctx: typer.Context) -> Result:
    """Show how a worker (Robomaker) on another machine joins the run."""
    from drctl.operations.workers import invite_worker

    return invite_worker(invocation_of(ctx).load_project())


def start_worker(
    join: Annotated[Path, typer.Option("--join", metavar="FILE", help="The ticket from drctl worker-invite.")],
    name: Annotated[str | None, typer.Option("-n", "--name", help="Name of the worker in the run.")] = None,
) -> None:
    """Be a worker (Robomaker) of a run on another machine, in the foreground, until the run has ended."""
    from drctl.operations.workers import run_worker

    raise typer.Exit(run_worker(join, name))


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("worker-invite")(worker_invite)
    app.command("start-worker")(start_worker)
