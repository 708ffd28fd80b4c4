"""Asking before something is changed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from drctl.cli.context import invocation_of
from drctl.cli.output import show_message
from drctl.cli.typed import typed_command
from drctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drctl.result import Message


def require_answer(ctx: typer.Context, *, is_forced: bool) -> None:
    """Make sure that somebody can answer, before the work that a question follows.

    Args:
        ctx: The call.
        is_forced: Nothing will be asked.

    Raises:
        UsageError: Nobody can answer here.
    """
    if is_forced or (invocation_of(ctx).output.is_interactive and sys.stdin.isatty()):
        return
    raise UsageError(
        f"{ctx.info_name} asks first, and nobody can answer here",
        expected="-f, which does not ask",
        fix=typed_command(ctx, plus=("-f",)),
    )


def confirm(ctx: typer.Context, messages: Sequence[Message], question: str, *, is_forced: bool) -> None:
    """Show what will happen and ask; without an answer nothing does.

    Args:
        ctx: The call.
        messages: What will happen.
        question: To be answered.
        is_forced: Do not ask.

    Raises:
        UsageError: Nobody can answer here.
    """
    require_answer(ctx, is_forced=is_forced)
    if is_forced:
        return
    output = invocation_of(ctx).output
    for message in messages:
        show_message(message, output)
    typer.confirm(question, abort=True)
