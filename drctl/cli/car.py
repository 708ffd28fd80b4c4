"""``upload-car-zip`` and ``export-car``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.checkpoint_choice import check_choice
from drctl.cli.context import invocation_of
from drctl.cli.question import confirm, require_answer
from drctl.cli.typed import typed_command
from drctl.errors import UsageError
from drctl.result import Result

_Best = Annotated[bool, typer.Option("-b", "--best", help="The best checkpoint; the same as --checkpoint best.")]
_Checkpoint = Annotated[
    str | None, typer.Option("--checkpoint", metavar="best|last|N", help="Which checkpoint; the last by default.")
]
_Prefix = Annotated[
    str | None, typer.Option("-p", "--prefix", metavar="PREFIX", help="Another model than the project's.")
]


def upload_car(
    ctx: typer.Context,
    local: Annotated[
        bool, typer.Option("-L", "--local", help="To the project's own bucket, not to DR_UPLOAD_S3_BUCKET.")
    ] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Do not ask.")] = False,
    best: _Best = False,
    prefix: _Prefix = None,
    checkpoint: _Checkpoint = None,
) -> Result:
    """Upload a model for the physical car: carfile.tar.gz under DR_UPLOAD_S3_PREFIX.

    Made of a stored checkpoint, so nothing needs to run; unpacked again and tried before it goes.
    """
    from drctl.operations.car_file import plan_upload, upload_car_file

    choice = _choose(ctx, best, checkpoint)
    require_answer(ctx, is_forced=force)
    plan = plan_upload(invocation_of(ctx).load_project(), is_local=local, prefix=prefix, checkpoint=choice)
    confirm(ctx, plan.describe(), "Upload it?", is_forced=force)
    result = upload_car_file(plan)
    return result if force else Result(result.data, result.messages[-1:], result.next_steps)


def export_car(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Where to; a folder gets PREFIX-N.tar.gz. Default: this folder."),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="The same as FILE.")] = None,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace a file that is there.")] = False,
    best: _Best = False,
    prefix: _Prefix = None,
    checkpoint: _Checkpoint = None,
) -> Result:
    """Write a model for the physical car to a file, which the car's own page takes under Models.

    Made of a stored checkpoint, so nothing needs to run; unpacked again and tried before it is written.
    """
    from drctl.operations.car_file import export_car as export

    if file is not None and out is not None:
        raise UsageError(
            f"{file} and -o {out} do not go together", expected="one", fix=typed_command(ctx, without=("out",))
        )
    choice = _choose(ctx, best, checkpoint)
    return export(invocation_of(ctx).load_project(), file or out, prefix=prefix, checkpoint=choice, force=force)


def _choose(ctx: typer.Context, best: bool, checkpoint: str | None) -> str:
    if best and checkpoint not in (None, "best"):
        raise UsageError(
            f"-b and --checkpoint {checkpoint} do not go together",
            expected="one of them",
            fix=typed_command(ctx, without=("best",)),
        )
    return check_choice(ctx, "best" if best else checkpoint or "last", "checkpoint")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("upload-car-zip")(upload_car)
    app.command("export-car")(export_car)
