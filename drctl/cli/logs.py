"""``logs-sagemaker``, ``logs-robomaker``."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.errors import UsageError
from drctl.result import Message, Result

if TYPE_CHECKING:
    from drctl.config.project import Project

LINES = 100

_Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on with new lines until the run has ended.")]
_Lines = Annotated[int, typer.Option("--lines", min=0, help="How many of the last lines.")]


def logs_sagemaker(ctx: typer.Context, follow: _Follow = False, lines: _Lines = LINES) -> Result | None:
    """Show the log of the trainer (Sagemaker)."""
    return _show(ctx, "trainer", None, is_following=follow, lines=lines)


def logs_robomaker(
    ctx: typer.Context,
    number: Annotated[int, typer.Option("-n", "--number", min=0, help="Number of the worker, from 0.")] = 0,
    follow: _Follow = False,
    lines: _Lines = LINES,
) -> Result | None:
    """Show the log of a worker (Robomaker)."""
    return _show(ctx, "worker", number, is_following=follow, lines=lines)


def follow_one(project: Project, kind: str, number: int | None, *, lines: int = LINES) -> None:
    """Print a part's log until the run has ended."""
    from drctl.operations.runs import open_log

    for line in open_log(project, kind, number, lines=lines, is_following=True):
        typer.echo(line)


def follow_all(project: Project) -> None:
    """Print the logs of all parts until the run has ended, each line behind the name of its part."""
    from drctl.operations.runs import open_all_logs

    logs = open_all_logs(project, lines=LINES, is_following=True)
    width = max(len(name) for name in logs)
    lines: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()

    def read(name: str, source: Iterator[str]) -> None:
        with contextlib.suppress(OSError):
            for line in source:
                lines.put((name, line))
        lines.put((name, None))

    for name, source in logs.items():
        threading.Thread(target=read, args=(name, source), daemon=True).start()
    open_logs = len(logs)
    while open_logs:
        name, line = lines.get()
        if line is None:
            open_logs -= 1
        else:
            typer.echo(f"{name:<{width}} | {line}")


def _show(ctx: typer.Context, kind: str, number: int | None, *, is_following: bool, lines: int) -> Result | None:
    from drctl.operations.runs import open_log

    invocation = invocation_of(ctx)
    if is_following and invocation.output.format == "json":
        raise UsageError("-f and --output json do not go together", expected="one of them", fix="drctl logs-sagemaker")
    found = open_log(invocation.load_project(), kind, number, lines=lines, is_following=is_following)
    if invocation.output.format == "json":
        return Result({"lines": list(found)})
    try:
        for line in found:
            typer.echo(line)
    except KeyboardInterrupt:
        return Result(messages=(Message(""),))
    return None


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("logs-sagemaker")(logs_sagemaker)
    app.command("logs-robomaker")(logs_robomaker)
