"""``import-model``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.checkpoint_choice import check_choice
from drctl.cli.context import invocation_of
from drctl.cli.output import show_message
from drctl.cli.question import confirm
from drctl.cli.typed import typed_command
from drctl.result import Message, Result


def import_model(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder, a car file (.tar.gz), a .pb, s3://bucket/prefix, or a prefix of this bucket.",
        ),
    ],
    prefix: Annotated[
        str | None, typer.Option("-p", "--prefix", metavar="PREFIX", help="Where to; default: named for the source.")
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option("-c", "--checkpoint", metavar="best|last|N", help="Which; default: the best and the last one."),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option("--metadata", metavar="FILE", help="model_metadata.json of a .pb; default: beside it."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="AWS profile that reads s3:// in Amazon S3.")
    ] = None,
    wipe: Annotated[
        bool, typer.Option("-w", "--wipe", help="Move what is under the prefix to the trash first.")
    ] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Do not ask before -w moves anything.")] = False,
    dry_run: Annotated[
        bool, typer.Option("-d", "--dry-run", help="Only look it through and say what would come.")
    ] = False,
) -> Result:
    """Take in a model of DeepRacer-for-Cloud, the AWS console or a car file: to race it and to train it on.

    The weights of the policy come out of its graph, which is run beside drctl's own network before anything is stored.
    """
    from drctl.operations.import_model import import_model as store
    from drctl.operations.import_model import plan_data, plan_import

    invocation = invocation_of(ctx)
    project = invocation.load_project()
    plan = plan_import(
        project,
        source,
        prefix=prefix,
        checkpoint=checkpoint and check_choice(ctx, checkpoint, "checkpoint"),
        metadata=metadata,
        profile=profile,
        wipe=wipe,
    )
    facts = plan.describe()
    if dry_run:
        goes = f"would go to {plan.place}" + (f", whose {plan.taken} objects go to the trash" if plan.taken else "")
        return Result({**plan_data(plan), "moved": None}, (*facts, Message(goes)), (typed_command(ctx),))
    if plan.taken:
        gone = Message(f"{plan.taken} objects under {plan.place} go to the trash", "warning")
        confirm(ctx, (gone,), "Move them?", is_forced=force)
    result = store(project, plan, lambda message: show_message(message, invocation.output))
    return Result(result.data, (*facts, *result.messages), result.next_steps)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import-model")(import_model)
