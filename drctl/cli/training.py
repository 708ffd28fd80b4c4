"""Commands."""

from __future__ import annotations
import typer


def register(app: typer.Typer) -> None:
    """Add."""

    @app.command("start-training")
    def start_training(ctx: typer.Context) -> None:
        """Start."""

    @app.command("stop-training")
    def stop_training(ctx: typer.Context) -> None:
        """Stop."""
