"""``prune``."""

from __future__ import annotations

from typing import Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.cli.question import confirm
from drctl.cli.typed import typed_command
from drctl.result import Result

DAYS = 7.0


def prune(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("-d", "--dry-run", help="Only show what would go.")] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Do not ask.")] = False,
    days: Annotated[
        float, typer.Option("--older-than", metavar="DAYS", min=0.0, help="Trash, logs and videos younger stay.")
    ] = DAYS,
    videos: Annotated[
        bool, typer.Option("--videos", help="Old races' videos too, all but each model's newest.")
    ] = False,
    images: Annotated[bool, typer.Option("--images", help="Also images of drctl that lost their name.")] = False,
) -> Result:
    """Free disk space: checkpoints beyond DR_KEEP_GB, old trash, what ended runs left. It cannot be undone.

    Never goes: the best and the ten newest checkpoints of a model, and anything of a run that goes on.
    """
    from drctl.operations.prune import plan_pruning
    from drctl.operations.prune import prune as remove

    plan = plan_pruning(invocation_of(ctx).load_project(), days=days, has_videos=videos, has_images=images)
    if dry_run or not plan.items:
        return Result(plan.to_json(), plan.describe(), (typed_command(ctx),) if plan.items else ())
    confirm(ctx, plan.describe(), "Remove it? This cannot be undone.", is_forced=force)
    return remove(plan)


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("prune")(prune)
