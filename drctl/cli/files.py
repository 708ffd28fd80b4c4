"""``drctl upload-custom-files``, ``drctl download-custom-files`` and ``drctl undo``."""

from __future__ import annotations

from typing import Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.errors import UsageError
from drctl.result import Result


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.command("upload-custom-files")(_upload)
    app.command("download-custom-files")(_download)
    app.command("undo")(_undo)


def _upload(
    ctx: typer.Context,
    create_bucket: Annotated[bool, typer.Option("--create-bucket", help="Make the bucket if it is missing.")] = False,
) -> Result:
    """Copy custom_files to the bucket: new and changed files only."""
    from drctl.operations.custom_files import upload_custom_files

    return upload_custom_files(invocation_of(ctx).load_project(), create_missing_bucket=create_bucket)


def _download(
    ctx: typer.Context,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace local files that differ.")] = False,
) -> Result:
    """Copy the bucket's custom files here; local files that differ stay unless -f is given."""
    from drctl.operations.custom_files import download_custom_files

    return download_custom_files(invocation_of(ctx).load_project(), force=force)


def _undo(
    ctx: typer.Context,
    entry: Annotated[str | None, typer.Argument(metavar="[ENTRY]", help="Which; the newest by default.")] = None,
    show_list: Annotated[bool, typer.Option("--list", help="Show what is in the trash.")] = False,
    wipe: Annotated[bool, typer.Option("-w", "--wipe", help="Move what is in its place to the trash first.")] = False,
    uploaded: Annotated[bool, typer.Option("--upload", help="From the trash of DR_UPLOAD_S3_BUCKET.")] = False,
) -> Result:
    """Bring back what was wiped: the newest entry of the trash, or the one named."""
    from drctl.operations.trash import show_trash, undo

    if show_list and (entry or wipe):
        raise UsageError("--list shows the whole trash and brings nothing back", fix="drctl undo --list")
    project = invocation_of(ctx).load_project()
    if show_list:
        return show_trash(project, is_uploaded=uploaded)
    return undo(project, entry, wipe=wipe, is_uploaded=uploaded)
