"""``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.result import Result


def write_report(
    ctx: typer.Context,
    prefixes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PREFIX]...", help="Models to show; default: DR_LOCAL_S3_MODEL_PREFIX."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-o", "--file", metavar="FILE", help="What to write; default: report-PREFIX.html.")
    ] = None,
    opens: Annotated[bool, typer.Option("--open", help="Show it in the browser at once.")] = False,
) -> Result:
    """Write an HTML file about a model, or about several side by side: charts, maps, laps, settings.

    It holds everything it shows and works offline. With --output json the numbers are printed too.
    """
    from drctl.operations.report import report

    result = report(invocation_of(ctx).load_project(), prefixes or (), file)
    if opens:
        import webbrowser

        webbrowser.open(Path(result.data["file"]).as_uri())
    return result


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("report")(write_report)
