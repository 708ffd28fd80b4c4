"""The program ``drctl``: its options, its commands, and the one place where errors become text.

A command is a function that takes ``ctx: typer.Context`` and its own options and returns a `Result`, which is printed
here. It raises `DrctlError` for whatever its user can mend. Every other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import drctl
from drctl.cli import (
    car,
    check,
    config,
    evaluation,
    files,
    images,
    importing,
    loganalysis,
    logs,
    models,
    prune,
    report,
    shell,
    status,
    tracks,
    training,
    transfer,
    viewer,
    worker,
)
from drctl.cli.context import Invocation
from drctl.cli.output import Output, OutputFormat, detect_output, show, show_error
from drctl.errors import DrctlError, InterruptedByUserError, UnavailableError, UsageError
from drctl.result import Result

HELP = """Train DeepRacer cars on this machine.

A run has one trainer (Sagemaker, for users of DeepRacer-for-Cloud) and one or more workers that simulate cars
(Robomaker). Begin with: drctl init, drctl start-training.
"""

# Taken from anywhere on the command line, before the verb or after it.
_EVERYWHERE = ("--output", "--set", "--project", "--experiment")
_SHORT = {"-e": "--experiment"}

# The base of everything that is wrong with a command line; its module differs between versions of Typer.
_CommandLineProblem: Any = typer.BadParameter.__mro__[2]


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"drctl {drctl.__version__}")
        raise typer.Exit


def _read_overrides(assignments: Sequence[str]) -> dict[str, str]:
    overrides = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise UsageError(
                f"--set {assignment} sets nothing", expected="--set NAME=VALUE", fix="drctl --set DR_WORKERS=2 COMMAND"
            )
        overrides[name] = value
    return overrides


def _configure(
    ctx: typer.Context,
    output: Annotated[OutputFormat, typer.Option("--output", help="For people, or one JSON document.")] = "text",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting for this call.")
    ] = None,
    project: Annotated[
        Path | None, typer.Option("--project", metavar="DIR", help="Folder of the project; default: this one.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option("-e", "--experiment", metavar="NAME", help="Use experiments/NAME.")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    chosen = {} if experiment is None else {"DR_EXPERIMENT_NAME": experiment}
    verbs = frozenset(getattr(ctx.command, "commands", ()))
    ctx.obj = Invocation(
        detect_output(output, experiment, verbs), {**_read_overrides(assignments or []), **chosen}, project
    )


def _build() -> typer.Typer:
    app = typer.Typer(
        name="drctl",
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_configure)
    modules = (
        config,
        check,
        training,
        evaluation,
        viewer,
        status,
        logs,
        worker,
        images,
        files,
        models,
        importing,
        transfer,
        car,
        report,
        prune,
        loganalysis,
        tracks,
        shell,
    )
    for module in modules:
        module.register(app)
    return app


_EXTRAS: Final = frozenset(
    ("av", "gymnasium", "msgpack", "numba", "numpy", "openvino", "PIL", "tensorboard", "torch", "zmq")
)
"""Packages of the extras sim and train, by the names they are imported by."""

app = _build()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, print what came of it and return the exit status.

    Args:
        arguments: Words after the program's name; None for those of this process.
    """
    try:
        general, words = _split(list(sys.argv[1:] if arguments is None else arguments))
    except UsageError as error:
        show_error(error, "", detect_output("text"))
        return error.exit_status
    root = typer.main.get_command(app)
    chosen = [word.partition("=")[2] for word in general if word.startswith("--experiment=")]
    output = detect_output(
        "json" if "--output=json" in general else "text",
        chosen[-1] if chosen else None,
        frozenset(getattr(root, "commands", ())),
    )
    command = _command_words(root, words)
    try:
        outcome = root.main([*general, *(words or ["--help"])], prog_name="drctl", standalone_mode=False)
        if isinstance(outcome, Result):
            show(outcome, command, output)
            return outcome.exit_status
    except DrctlError as error:
        show_error(error, command, output)
        return error.exit_status
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        show_error(_lacking(error.name), command, output)
        return UnavailableError.exit_status
    except (KeyboardInterrupt, typer.Abort):
        show_error(InterruptedByUserError("interrupted"), command, output)
        return InterruptedByUserError.exit_status
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not fail when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except _CommandLineProblem as error:
        return _refuse(error, command, output)
    if outcome == InterruptedByUserError.exit_status:  # what Typer makes of a KeyboardInterrupt
        show_error(InterruptedByUserError("interrupted"), command, output)
    return outcome if isinstance(outcome, int) else 0


def _lacking(package: str) -> UnavailableError:
    return UnavailableError(
        f"this command needs the package {package}, which is not installed",
        where=sys.executable,
        expected="drctl with simulator and trainer",
        fix="pip install 'drctl[local]'",
    )


def _refuse(error: Any, command: str, output: Output) -> int:
    text, context = error.format_message().rstrip(".").replace("Value error, ", ""), error.ctx
    if text.startswith("Usage:"):  # a group of commands without its verb
        typer.echo(text)
        return UsageError.exit_status
    path = context.command_path if context else "drctl"
    text = " ".join(text.split())  # choices come on lines of their own
    show_error(UsageError(text[:1].lower() + text[1:], fix=f"{path} --help"), command, output)
    return UsageError.exit_status


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Part the options that may stand anywhere, as ``--name=value``, from the rest; ``--`` ends the search."""
    general: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in (_SHORT.get(one, one) for one in words):
        if word == "--":
            rest += [word, *words]
        elif word in _EVERYWHERE:
            value = next(words, None)
            if value is None:
                raise UsageError(f"{word} needs a value", fix="drctl --help")
            general.append(f"{word}={value}")
        elif word.partition("=")[0] in _EVERYWHERE:
            general.append(word)
        else:
            rest.append(word)
    return general, rest


def _command_words(command: Any, words: Sequence[str]) -> str:
    """Return the words that name the command, such as ``config show``."""
    found: list[str] = []
    for word in words:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        found.append(word)
    return " ".join(found)
