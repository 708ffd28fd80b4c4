"""Which checkpoint a command is about, as it is said on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drctl.cli.typed import typed_command
from drctl.errors import UsageError

if TYPE_CHECKING:
    import typer

_DIGITS_MAX: Final = 9


def check_choice(ctx: typer.Context, choice: str, parameter: str, option: str = "--checkpoint") -> str:
    """Return what names a checkpoint.

    Args:
        ctx: The call.
        choice: ``best``, ``last`` or a number.
        parameter: The command's parameter that holds it.
        option: What it was said with.

    Raises:
        UsageError: It is none of these.
    """
    if choice in ("best", "last") or (choice.isascii() and choice.isdecimal() and len(choice) <= _DIGITS_MAX):
        return choice
    raise UsageError(
        f"{option} {choice} is no checkpoint",
        expected="best, last or a checkpoint's number",
        fix=typed_command(ctx, without=(parameter,), plus=(option, "last")),
    )
