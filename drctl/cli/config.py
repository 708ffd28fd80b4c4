"""``drctl init``, ``drctl config ...`` and ``drctl update-env``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.errors import ConfigError, UsageError
from drctl.result import Result


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    config = typer.Typer(help="Show, check, change and explain settings.", no_args_is_help=True)
    config.command("show")(_show)
    config.command("check")(_check)
    config.command("set")(_set)
    config.command("explain")(_explain)
    app.command("init")(_init)
    app.add_typer(config, name="config")
    app.command("update-env")(_update)


def _init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder of the project.")] = Path(),
) -> Result:
    """Make a project: system.env, run.env and custom_files, ready to train. Nothing is overwritten.

    With -e NAME: make experiments/NAME, a copy of the project's own run.env and custom_files to change.
    """
    experiment = invocation_of(ctx).overrides.get("DR_EXPERIMENT_NAME")
    if experiment:
        from drctl.operations.experiment import init_experiment

        return init_experiment(folder, experiment)
    from drctl.operations.project import init_project

    return init_project(folder)


def _show(ctx: typer.Context) -> Result:
    """List every setting with its value and where that comes from."""
    from drctl.operations.project import show_config

    return show_config(invocation_of(ctx).load_project())


def _check(ctx: typer.Context) -> Result:
    """Read the env files and report every mistake."""
    from drctl.operations.project import check_config

    return check_config(invocation_of(ctx).load_project(with_entries=True))


def _set(
    ctx: typer.Context,
    assignments: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="New values; empty for none.")],
) -> Result:
    """Change settings in system.env or run.env; comments and order stay."""
    from drctl.operations.project import set_config

    changes = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise UsageError(
                f"{assignment} sets nothing", expected="NAME=VALUE", fix=f"drctl config set {name or 'NAME'}=VALUE"
            )
        changes[name.strip()] = value
    invocation = invocation_of(ctx)
    return set_config(invocation.folder, changes, experiment=invocation.overrides.get("DR_EXPERIMENT_NAME"))


def _explain(ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", help="A DR_ name.")]) -> Result:
    """Tell what a setting does, which values it takes and what it is now."""
    from drctl.operations.project import explain_setting

    try:
        project = invocation_of(ctx).load_project()
    except ConfigError:
        project = None  # a setting can be explained where there is no project, or a broken one
    return explain_setting(name, project)


def _update(ctx: typer.Context) -> Result:
    """Read the env files again and check them; every command does so by itself."""
    from drctl.operations.project import update_environment

    return update_environment(invocation_of(ctx).load_project(with_entries=True))
