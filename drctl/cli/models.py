"""``list-models``, ``delete-model`` and ``models tree``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.cli.question import confirm, require_answer
from drctl.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.tree import Tree

    from drctl.operations.lineage import Branch

_LINE_MAX = 1000

_Uploaded = Annotated[bool, typer.Option("--upload", help="In DR_UPLOAD_S3_BUCKET, not in the project's own bucket.")]


def list_models(ctx: typer.Context, uploaded: _Uploaded = False) -> Result:
    """List the models of the store: parent, track, iterations, best lap, completion, size, date."""
    from drctl.operations.models import list_models as find

    return find(invocation_of(ctx).load_project(), is_uploaded=uploaded)


def delete_model(
    ctx: typer.Context,
    prefixes: Annotated[list[str], typer.Argument(metavar="PREFIX...", help="Names of 'drctl list-models'.")],
    force: Annotated[bool, typer.Option("-f", "--force", help="Do not ask.")] = False,
    uploaded: _Uploaded = False,
) -> Result:
    """Move models to the trash; drctl undo brings them back."""
    from drctl.operations.models import delete_models, plan_deletion

    require_answer(ctx, is_forced=force)
    plan = plan_deletion(invocation_of(ctx).load_project(), prefixes, is_uploaded=uploaded)
    question = "Move it to the trash?" if len(plan.models) == 1 else "Move them to the trash?"
    confirm(ctx, plan.describe(), question, is_forced=force)
    return delete_models(plan)


def show_tree(ctx: typer.Context, uploaded: _Uploaded = False) -> Result:
    """Draw which model began with which."""
    from drctl.operations.models import show_tree as find

    invocation = invocation_of(ctx)
    result, branches = find(invocation.load_project(), is_uploaded=uploaded)
    if invocation.output.format == "json" or not branches:
        return result
    _draw(branches, has_color=invocation.output.has_color)
    return result


def _draw(branches: Sequence[Branch], *, has_color: bool) -> None:
    from rich.console import Console
    from rich.tree import Tree

    # Wider than any line: what a terminal is too narrow for, it wraps itself, and nothing is cut.
    console = Console(no_color=not has_color, highlight=False, width=_LINE_MAX)
    for branch in branches:
        tree = Tree(_label(branch), guide_style="dim")
        _grow(tree, branch)
        console.print(tree)


def _grow(tree: Tree, branch: Branch) -> None:
    for child in branch.children:
        _grow(tree.add(_label(child)), child)


def _label(branch: Branch) -> str:
    from rich.markup import escape

    from drctl.operations.models import describe_model

    name = f"[bold]{escape(branch.name)}[/bold]" if branch.model else f"[dim]{escape(branch.name)}[/dim]"
    return f"{name}  {escape(describe_model(branch))}"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("list-models")(list_models)
    app.command("delete-model")(delete_model)
    models = typer.Typer(help="Show how models came about.", no_args_is_help=True)
    models.command("tree")(show_tree)
    app.add_typer(models, name="models")
