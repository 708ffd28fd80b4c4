"""``activate`` and ``completion``: what a shell evaluates."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.context import Invocation, invocation_of
from drctl.cli.drfc_verbs import find_verb
from drctl.cli.shell_functions import Shell, render_functions
from drctl.errors import ConfigError, DrctlError, UsageError
from drctl.result import Message, Result

_ShellName = Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]


def activate(
    ctx: typer.Context,
    shell: _ShellName = "bash",
    explain: Annotated[str | None, typer.Option("--explain", metavar="VERB", hidden=True)] = None,
) -> Result:
    """Print shell functions: DeepRacer-for-Cloud's dr-* commands, with their flags, done by drctl.

    In bash and zsh: eval "$(drctl activate)". In fish: drctl activate fish | source. With -e NAME they act on the
    experiment, with --project DIR on the project wherever the shell is.
    """
    if explain is not None:
        raise _explanation(explain)
    invocation = invocation_of(ctx)
    script = render_functions(shell, _program(invocation), has_summary=_has_summary(invocation))
    return Result({"shell": shell, "script": script}, (Message(script),))


def completion(shell: _ShellName) -> Result:
    """Print what makes the Tab key complete drctl's commands and options.

    In bash and zsh: eval "$(drctl completion bash)". In fish: drctl completion fish | source. To keep it:
    drctl --install-completion.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # where it is made, is private

    script = get_completion_script(prog_name="drctl", complete_var="_DRCTL_COMPLETE", shell=shell)
    return Result({"shell": shell, "script": script}, (Message(script),))


def _program(invocation: Invocation) -> list[str]:
    """Return the command line that runs this drctl with what was said before the verb."""
    words = [str(Path(sys.argv[0]).absolute())]
    if invocation.folder is not None:
        words += ["--project", str(invocation.folder.absolute())]
    for name, value in invocation.overrides.items():
        words += ["-e", value] if name == "DR_EXPERIMENT_NAME" else ["--set", f"{name}={value}"]
    return words


def _has_summary(invocation: Invocation) -> bool:
    """Tell whether a shell shows at once what runs: in a project that does not ask for quiet."""
    try:
        return not invocation.load_project().settings.quiet_activate
    except ConfigError:  # there is no project, or it has problems that the next command tells
        return False


def _explanation(name: str) -> DrctlError:
    verb = find_verb(name)
    if verb is None:
        return UsageError(f"{name} is no command of DeepRacer-for-Cloud", fix="drctl --help")
    return UsageError(f"{name} has no counterpart here", expected=verb.note, fix="drctl --help")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("activate")(activate)
    app.command("completion")(completion)
