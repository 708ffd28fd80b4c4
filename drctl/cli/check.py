"""``drctl check``."""

from __future__ import annotations

import typer

from drctl.cli.context import invocation_of
from drctl.cli.output import show_message
from drctl.result import Message, Result


def check(ctx: typer.Context) -> Result:
    """Try the reward function, the actions and the settings on the chosen tracks, and estimate times.

    Drives laps of every race and plays a small iteration; nothing is written, no training is disturbed.
    """
    from drctl.operations.check import check_training

    invocation = invocation_of(ctx)
    project = invocation.load_project(with_entries=True)

    def report(message: Message) -> None:
        if invocation.output.is_interactive:
            show_message(message, invocation.output)

    return check_training(project, report=report)


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("check")(check)
