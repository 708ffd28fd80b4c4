"""``status``."""

from __future__ import annotations

import typer

from drctl.cli.context import invocation_of
from drctl.result import Result


def status(ctx: typer.Context) -> Result:
    """Show what runs, what it does, and who waits for whom since when."""
    from drctl.operations.runs import show_status

    return show_status(invocation_of(ctx).load_project())


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("status")(status)
