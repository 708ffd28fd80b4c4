"""``build-images``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.cli.output import show_message
from drctl.result import Result


def build_images(
    ctx: typer.Context,
    cuda: Annotated[bool, typer.Option("--cuda", help="With the torch for NVIDIA GPUs, several GB more.")] = False,
    packages: Annotated[
        Path | None,
        typer.Option("--packages", metavar="DIR", help="Wheels to prefer to the package index."),
    ] = None,
) -> Result:
    """Build the container images of this version of drctl, for DR_DOCKER_STYLE=compose and swarm."""
    from drctl.operations.images import build_images as build

    invocation = invocation_of(ctx)
    return build(has_cuda=cuda, packages=packages, report=lambda message: show_message(message, invocation.output))


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("build-images")(build_images)
