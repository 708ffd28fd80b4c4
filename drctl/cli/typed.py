"""The command as it was typed, for commands that are shown: nothing that was asked for is lost on the way."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from drctl.cli.context import invocation_of

if TYPE_CHECKING:
    import typer

_CONSENT: Final = ("dry_run", "force")


def typed_command(ctx: typer.Context, *, without: Iterable[str] = _CONSENT, plus: Sequence[str] = ()) -> str:
    """Return the command line of this call, quoted where a shell needs it.

    ``-e`` is not in it: whoever prints commands repeats it (`Output.retell`). Nor is ``--project``, as in every command
    that is shown.

    Args:
        ctx: The call.
        without: Parameters that are left out; by default those that ask for a look, or not to be asked.
        plus: Words that are added.
    """
    left_out = frozenset(without)
    words = [ctx.info_name or ""]
    for parameter in ctx.command.params:
        value = ctx.params.get(parameter.name or "")
        if parameter.name not in left_out and value is not None and value != parameter.default:
            words += _words_of(parameter, value)
    for name, value in invocation_of(ctx).overrides.items():
        if name != "DR_EXPERIMENT_NAME":
            words += ["--set", f"{name}={value}"]
    return shlex.join(["drctl", *words, *plus])


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _words_of(parameter: Any, value: Any) -> list[str]:
    values = [f"{one:g}" if isinstance(one, float) else str(one) for one in _several(value)]
    if parameter.param_type_name == "argument":
        return values
    if value is False:
        return [parameter.secondary_opts[0]]
    option = parameter.opts[0]
    return [option] if value is True else [word for one in values for word in (option, one)]
