"""``upload-model``, ``download-model``, ``increment-upload-model`` and ``set-upload-model``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.checkpoint_choice import check_choice
from drctl.cli.context import invocation_of
from drctl.cli.question import confirm, require_answer
from drctl.cli.typed import typed_command
from drctl.errors import InterruptedByUserError, UsageError
from drctl.result import Message, Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from drctl.cli.output import Output
    from drctl.operations.model_copy import CopyPlan

_Force = Annotated[bool, typer.Option("-f", "--force", help="Do not ask.")]
_Wipe = Annotated[bool, typer.Option("-w", "--wipe", help="Move what is under the new prefix to the trash first.")]
_DryRun = Annotated[bool, typer.Option("-d", "--dry-run", help="Only show what would be copied.")]


def upload(
    ctx: typer.Context,
    force: _Force = False,
    wipe: _Wipe = False,
    dry_run: _DryRun = False,
    best: Annotated[bool, typer.Option("-b", "--best", help="The best checkpoint; the last by default.")] = False,
    checkpoint: Annotated[
        str | None, typer.Option("-c", "--checkpoint", metavar="best|last|N", help="This checkpoint.")
    ] = None,
    prefix: Annotated[
        str | None, typer.Option("-p", "--prefix", metavar="PREFIX", help="Another model than the project's.")
    ] = None,
    count_on: Annotated[
        bool, typer.Option("-1", "--increment", help="Under the next free prefix; DR_UPLOAD_S3_PREFIX becomes it.")
    ] = False,
    local: Annotated[
        bool, typer.Option("-L", "--local", help="To the project's own bucket, not to DR_UPLOAD_S3_BUCKET.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--all", help="All checkpoints, traces and evaluations: a training can go on there.")
    ] = False,
    create_bucket: Annotated[bool, typer.Option("--create-bucket", help="Make the bucket if it is missing.")] = False,
) -> Result:
    """Copy a checkpoint to DR_UPLOAD_S3_BUCKET, under DR_UPLOAD_S3_PREFIX, for others to race or begin with.

    What is copied is checked; an upload that fails or is interrupted leaves nothing.
    """
    from drctl.operations.upload import UploadRequest, plan_upload, upload_model

    invocation = invocation_of(ctx)
    choice = _choose(ctx, best, checkpoint, whole)
    request = UploadRequest(prefix, choice, whole, local, is_counted_on=count_on, wipe=wipe)
    require_answer(ctx, is_forced=force or dry_run)
    is_made = create_bucket and not dry_run
    plan = plan_upload(invocation.load_project_to_start(), request, create_missing_bucket=is_made)
    if dry_run:
        return _preview(plan.copy, plan.describe(), typed_command(ctx, plus=("-f",)))
    confirm(ctx, plan.describe(), "Upload it?", is_forced=force)
    with _progress(invocation.output, plan.copy) as on_bytes:
        return upload_model(plan, on_bytes)


def download(
    ctx: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(
            "-s",
            "--source",
            metavar="PREFIX",
            help="In DR_UPLOAD_S3_BUCKET, or s3://BUCKET/PREFIX; default: DR_UPLOAD_S3_PREFIX.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("-t", "--target", metavar="PREFIX", help="In the project's bucket; default: its name.")
    ] = None,
    files: Annotated[
        bool, typer.Option("-c", "--custom-files", help="Put its reward function and settings into custom_files too.")
    ] = False,
    force: _Force = False,
    wipe: _Wipe = False,
    dry_run: _DryRun = False,
) -> Result:
    """Copy a whole model from the upload bucket to the project's bucket."""
    from drctl.operations.upload import download_model, plan_download

    invocation = invocation_of(ctx)
    require_answer(ctx, is_forced=force or dry_run)
    project = invocation.load_project_to_start()
    plan = plan_download(project, source=source, target=target, with_files=files, wipe=wipe)
    if dry_run:
        return _preview(plan.copy, plan.describe(), typed_command(ctx, plus=("-f",)))
    confirm(ctx, plan.describe(), "Download it?", is_forced=force)
    with _progress(invocation.output, plan.copy) as on_bytes:
        return download_model(plan, on_bytes)


def increment(
    ctx: typer.Context,
    force: _Force = False,
    wipe: _Wipe = False,
    prefix: Annotated[
        str | None, typer.Option("-p", "--prefix", metavar="NAME", help="The new prefix; else the old one counted on.")
    ] = None,
    delimiter: Annotated[
        str, typer.Option("-d", "--delimiter", metavar="DELIM", help="What stands before the number.")
    ] = "-",
) -> Result:
    """Let the next upload have a prefix of its own: my-model-1 becomes my-model-2.

    Changes DR_UPLOAD_S3_PREFIX in run.env; the file as it was is kept as run.env.bak.
    """
    from drctl.operations.upload_name import change_name, plan_increment

    require_answer(ctx, is_forced=force)
    plan = plan_increment(invocation_of(ctx).load_project(), name=prefix, delimiter=delimiter, wipe=wipe)
    confirm(ctx, plan.describe(), "Change it?", is_forced=force)
    return change_name(plan)


def choose(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[PREFIX]", help="Where models are uploaded to.")] = None,
    other: Annotated[str | None, typer.Option("-s", "--set", metavar="PREFIX", help="The same.", hidden=True)] = None,
    force: _Force = False,
) -> Result:
    """Choose the prefix that models are uploaded to.

    Changes DR_UPLOAD_S3_PREFIX in run.env; the file as it was is kept as run.env.bak.
    """
    chosen = name or other
    if chosen is None:
        raise UsageError(
            "set-upload-model needs a prefix", expected="where models shall go", fix="drctl set-upload-model my-model"
        )
    from drctl.operations.upload_name import change_name, plan_choice

    require_answer(ctx, is_forced=force)
    plan = plan_choice(invocation_of(ctx).load_project(), chosen)
    confirm(ctx, plan.describe(), "Change it?", is_forced=force)
    return change_name(plan)


def _choose(ctx: typer.Context, best: bool, checkpoint: str | None, whole: bool) -> str:
    given = [word for word, is_given in (("-b", best), ("-c", checkpoint is not None), ("--all", whole)) if is_given]
    if len(given) > 1:
        raise UsageError(
            f"{' and '.join(given)} do not go together",
            expected="one of -b, -c and --all",
            fix=typed_command(ctx, without=("best", "checkpoint", "whole"), plus=("-b",)),
        )
    return "best" if best else check_choice(ctx, checkpoint or "last", "checkpoint", "-c")


def _preview(copy: CopyPlan, described: tuple[Message, ...], command: str) -> Result:
    note = Message("nothing was copied: this was a dry run")
    return Result(copy.to_json(), (*copy.list_objects(), *described, note), (command,))


@contextmanager
def _progress(output: Output, copy: CopyPlan) -> Iterator[Callable[[int], None]]:
    """Give what hears of copied bytes: a bar on a terminal, nothing elsewhere."""
    try:
        if not output.is_interactive:
            yield lambda _count: None
            return
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True) as bars:
            task = bars.add_task(copy.source.keys.prefix, total=copy.selection.size_bytes)
            yield lambda count: bars.advance(task, count)
    except KeyboardInterrupt:
        raise InterruptedByUserError("the copy was interrupted; nothing of it is left, all is as it was") from None


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("upload-model")(upload)
    app.command("download-model")(download)
    app.command("increment-upload-model")(increment)
    app.command("set-upload-model")(choose)
