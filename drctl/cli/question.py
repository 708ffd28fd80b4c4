"""Asking before something is changed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from drctl.cli.output import show_message
from drctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drctl.cli.context import Invocation
    from drctl.result import Message


def require_answer(invocation: Invocation, words: str, *, is_forced: bool) -> None:
    """Make sure that somebody can answer, before the work that a question follows.

    Args:
        invocation: The call.
        words: The command, for the fix.
        is_forced: Nothing will be asked.

    Raises:
        UsageError: Nobody can answer here.
    """
    if is_forced or (invocation.output.is_interactive and sys.stdin.isatty()):
        return
    command = words.partition(" ")[0]
    raise UsageError(
        f"{command} asks before it does that, and nobody can answer here",
        expected="-f, which does not ask",
        fix=f"drctl {words} -f",
    )


def confirm(invocation: Invocation, messages: Sequence[Message], question: str, words: str, *, is_forced: bool) -> None:
    """Show what will happen and ask; without an answer nothing does.

    Args:
        invocation: The call.
        messages: What will happen.
        question: To be answered.
        words: The command, for the fix.
        is_forced: Do not ask.

    Raises:
        UsageError: Nobody can answer here.
    """
    require_answer(invocation, words, is_forced=is_forced)
    if is_forced:
        return
    for message in messages:
        show_message(message, invocation.output)
    typer.confirm(question, abort=True)
