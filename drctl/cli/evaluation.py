"""``eval``, also called ``start-evaluation``, and ``stop-evaluation``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.checkpoint_choice import check_choice
from drctl.cli.context import invocation_of
from drctl.cli.output import Output, show_message
from drctl.errors import InterruptedByUserError, UsageError
from drctl.result import Message, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drctl.cli.context import Invocation
    from drctl.operations.evaluation_report import RaceView
    from drctl.operations.race_preparation import EvaluationRequest

    Watch = Callable[[RaceView], None]

COMMAND = "eval"


def evaluate(
    ctx: typer.Context,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Return at once; it goes on in the background.")] = False,
    copy: Annotated[
        bool, typer.Option("-c", "--copy", help="Race a copy of the model under its prefix and -E.")
    ] = False,
    checkpoints: Annotated[
        list[str] | None,
        typer.Option("--checkpoint", metavar="best|last|N", help="Which to race; repeat to compare several."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="PREFIX", help="Whose; default: DR_LOCAL_S3_MODEL_PREFIX.")
    ] = None,
    tracks: Annotated[
        list[str] | None, typer.Option("--track", metavar="NAME", help="Where; repeat to compare several.")
    ] = None,
    opponent: Annotated[
        str | None,
        typer.Option("--opponent", metavar="PREFIX", help="Race against this model: DR_RACE_TYPE=HEAD_TO_MODEL."),
    ] = None,
    opponent_checkpoint: Annotated[
        str | None,
        typer.Option("--opponent-checkpoint", metavar="best|last|N", help="Its; default: DR_EVAL_OPP_CHECKPOINT."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", help="Laps; default: DR_EVAL_NUMBER_OF_TRIALS.")
    ] = None,
    mp4: Annotated[
        bool | None, typer.Option("--mp4/--no-mp4", help="Record three videos; default: DR_EVAL_SAVE_MP4.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the files and commands of a start; nothing is started.")
    ] = False,
) -> Result:
    """Race a stored model, alone or against another: laps, times, mishaps, and videos if you like.

    Works while the model is being trained: it is only read.
    """
    chosen = [check_choice(ctx, choice, "checkpoints") for choice in checkpoints or ()]
    if opponent_checkpoint is not None:
        check_choice(ctx, opponent_checkpoint, "opponent_checkpoint", "--opponent-checkpoint")
    options = {
        "DR_LOCAL_S3_MODEL_PREFIX": model,
        "DR_RACE_TYPE": None if opponent is None else "HEAD_TO_MODEL",
        "DR_EVAL_OPP_S3_MODEL_PREFIX": opponent,
        "DR_EVAL_OPP_CHECKPOINT": opponent_checkpoint,
        "DR_EVAL_NUMBER_OF_TRIALS": None if trials is None else str(trials),
        "DR_EVAL_SAVE_MP4": None if mp4 is None else str(mp4),
    }
    overrides = {name: value for name, value in options.items() if value is not None}
    invocation = invocation_of(ctx)
    project = invocation.load_project_to_start(overrides)
    if opponent_checkpoint is not None and project.settings.race_type != "HEAD_TO_MODEL":
        raise UsageError(
            "--opponent-checkpoint is about an opponent, and the model races alone",
            expected="an opponent",
            fix=f"drctl eval --opponent PREFIX --opponent-checkpoint {opponent_checkpoint}",
        )
    from drctl.operations.evaluation import evaluate as race
    from drctl.operations.evaluation import start_evaluation
    from drctl.operations.race_preparation import EvaluationRequest as Request

    request = Request(tuple(chosen), tuple(tracks or ()), copy)
    if dry_run:
        from drctl.operations.dry_run import preview_evaluation

        return preview_evaluation(project, request, _words(invocation, overrides, request))
    shown: list[Message] = []

    def report(message: Message) -> None:
        shown.append(message)
        show_message(message, invocation.output)

    def finish(result: Result) -> Result:
        return result if invocation.output.format == "json" else _unshown(result, shown)

    if quiet:
        return finish(start_evaluation(project, _words(invocation, overrides, request), request, report=report))
    try:
        with _watching(invocation.output) as watch:
            result = race(project, request, watch=watch, report=report)
    except KeyboardInterrupt:
        text = "the evaluation was interrupted; races that were over are in the store, the others left nothing"
        raise InterruptedByUserError(text) from None
    return finish(result)


def _unshown(result: Result, shown: Sequence[Message]) -> Result:
    """Leave out what was shown while the command was at work."""
    rest = tuple(message for message in result.messages if message not in shown)
    return Result(result.data, rest, result.next_steps, result.exit_status)


def stop_evaluation(ctx: typer.Context) -> Result:
    """Stop the evaluation that is under way."""
    from drctl.operations.evaluation import stop_evaluation as stop

    return stop(invocation_of(ctx).load_project())


def _words(invocation: Invocation, overrides: dict[str, str], request: EvaluationRequest) -> list[str]:
    """Return the command line that does the same in the foreground."""
    settings = {**invocation.overrides, **overrides}
    words = [f"--set={name}={value}" for name, value in settings.items()]
    words += [f"--output={invocation.output.format}", COMMAND, *(["--copy"] if request.copy else [])]
    words += [f"--checkpoint={choice}" for choice in request.checkpoints]
    return words + [f"--track={name}" for name in request.tracks]


@contextmanager
def _watching(output: Output) -> Iterator[Watch]:
    """Give what shows how races go: bars on a terminal, a line per lap elsewhere."""
    if not output.is_interactive:
        yield lambda view: _print_lap(view, output)
        return
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TextColumn("{task.fields[clock]}"), TextColumn("{task.fields[resets]}")) as bars:
        tasks: dict[tuple[int, str, int], TaskID] = {}

        def watch(view: RaceView) -> None:
            key = (view.number, view.racer, view.lap)
            if key not in tasks:
                name = f"{view.title}, lap {view.lap}/{view.laps}"
                tasks[key] = bars.add_task(name, total=100.0, clock="", resets="")
            resets = f"{view.resets} resets" if view.resets else ""
            clock = f"{view.clock_s:.1f} s"
            bars.update(tasks[key], completed=max(0.0, view.progress_percent), clock=clock, resets=resets)

        yield watch


def _print_lap(view: RaceView, output: Output) -> None:
    if view.finished:
        show_message(Message(f"{view.title}, {view.finished}"), output)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(COMMAND)(evaluate)
    app.command("start-evaluation", help="The same as eval.")(evaluate)
    app.command("stop-evaluation")(stop_evaluation)
