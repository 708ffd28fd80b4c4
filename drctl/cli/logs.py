"""``logs-sagemaker``, ``logs-robomaker``."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.errors import UnavailableError, UsageError
from drctl.result import Message, Result

if TYPE_CHECKING:
    from drctl.config.project import Project

LINES = 100
ALL_LINES = 100_000
POLL_S = 0.5

_Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on with new lines until the run has ended.")]
_Lines = Annotated[int, typer.Option("--lines", min=0, help="How many of the last lines.")]
_All = Annotated[bool, typer.Option("-a", "--all", help=f"Everything that is kept, up to {ALL_LINES} lines.")]
_Wait = Annotated[float, typer.Option("-w", "--wait", metavar="SECONDS", min=0, help="How long to wait for a start.")]


def logs_sagemaker(
    ctx: typer.Context, follow: _Follow = False, lines: _Lines = LINES, show_all: _All = False, wait: _Wait = 0.0
) -> Result | None:
    """Show the log of the trainer (Sagemaker)."""
    lines = ALL_LINES if show_all else lines
    return _show(ctx, "trainer", None, is_following=follow, lines=lines, wait_s=wait)


def logs_robomaker(
    ctx: typer.Context,
    number: Annotated[
        int | None, typer.Option("-n", "--number", min=0, help="Number of the worker, from 0.", show_default="0")
    ] = None,
    follow: _Follow = False,
    lines: _Lines = LINES,
    show_all: _All = False,
    wait: _Wait = 0.0,
    from_one: Annotated[bool, typer.Option("--from-one", hidden=True, help="-n counts from 1.")] = False,
) -> Result | None:
    """Show the log of a worker (Robomaker)."""
    lines = ALL_LINES if show_all else lines
    if from_one and number == 0:
        raise UsageError("there is no worker 0 where workers count from 1", fix="dr-logs-robomaker -n 1")
    number = (number or 1) - 1 if from_one else number or 0
    return _show(ctx, "worker", number, is_following=follow, lines=lines, wait_s=wait)


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


def _show(
    ctx: typer.Context, kind: str, number: int | None, *, is_following: bool, lines: int, wait_s: float
) -> Result | None:
    invocation = invocation_of(ctx)
    if is_following and invocation.output.format == "json":
        raise UsageError("-f and --output json do not go together", expected="one of them", fix="drctl logs-sagemaker")
    found = _open(invocation.load_project(), kind, number, is_following=is_following, lines=lines, wait_s=wait_s)
    if invocation.output.format == "json":
        return Result({"lines": list(found)})
    try:
        for line in found:
            typer.echo(line)
    except KeyboardInterrupt:
        return Result(messages=(Message(""),))
    return None


def _open(
    project: Project, kind: str, number: int | None, *, is_following: bool, lines: int, wait_s: float
) -> Iterator[str]:
    """Open a log; what was not started yet is waited for."""
    from drctl.operations.runs import open_log

    deadline = time.monotonic() + wait_s
    while True:
        try:
            return open_log(project, kind, number, lines=lines, is_following=is_following)
        except UnavailableError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_S)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("logs-sagemaker")(logs_sagemaker)
    app.command("logs-robomaker")(logs_robomaker)
