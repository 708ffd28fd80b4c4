"""``eval``, also called ``start-evaluation``, and ``stop-evaluation``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.cli.output import Output, show_message
from drctl.errors import InterruptedByUserError, UsageError
from drctl.result import Message, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drctl.cli.context import Invocation
    from drctl.evaluation.job import RaceJob
    from drctl.evaluation.race import RaceProgress

    Watch = Callable[[RaceJob, RaceProgress], None]

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
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", help="Laps; default: DR_EVAL_NUMBER_OF_TRIALS.")
    ] = None,
    mp4: Annotated[
        bool | None, typer.Option("--mp4/--no-mp4", help="Record three videos; default: DR_EVAL_SAVE_MP4.")
    ] = None,
) -> Result:
    """Race a stored model: laps, times, mishaps, and videos if you like.

    Works while the model is being trained: it is only read.
    """
    chosen = [_check_checkpoint(choice) for choice in checkpoints or ()]
    options = {
        "DR_LOCAL_S3_MODEL_PREFIX": model,
        "DR_EVAL_NUMBER_OF_TRIALS": None if trials is None else str(trials),
        "DR_EVAL_SAVE_MP4": None if mp4 is None else str(mp4),
    }
    overrides = {name: value for name, value in options.items() if value is not None}
    invocation = invocation_of(ctx)
    project = invocation.load_project_to_start(overrides)
    from drctl.operations.evaluation import evaluate as race
    from drctl.operations.evaluation import start_evaluation

    if quiet:
        words = _words(invocation, overrides, chosen, tracks or (), copy=copy)
        return start_evaluation(project, words, checkpoints=chosen, tracks=tracks or ())
    shown: list[Message] = []

    def report(message: Message) -> None:
        shown.append(message)
        show_message(message, invocation.output)

    try:
        with _watching(invocation.output) as watch:
            result = race(project, checkpoints=chosen, tracks=tracks or (), copy=copy, watch=watch, report=report)
    except KeyboardInterrupt:
        text = "the evaluation was interrupted; races that were over are in the store, the others left nothing"
        raise InterruptedByUserError(text) from None
    if invocation.output.format == "json":
        return result
    rest = tuple(message for message in result.messages if message not in shown)
    return Result(result.data, rest, result.next_steps, result.exit_status)


def stop_evaluation(ctx: typer.Context) -> Result:
    """Stop the evaluation that is under way."""
    from drctl.operations.evaluation import stop_evaluation as stop

    return stop(invocation_of(ctx).load_project())


def _check_checkpoint(choice: str) -> str:
    if choice in ("best", "last") or (choice.isascii() and choice.isdecimal()):
        return choice
    raise UsageError(
        f"--checkpoint {choice} is no checkpoint",
        expected="best, last or a checkpoint's number",
        fix="drctl eval --checkpoint last",
    )


def _words(
    invocation: Invocation,
    overrides: dict[str, str],
    checkpoints: Sequence[str],
    tracks: Sequence[str],
    *,
    copy: bool,
) -> list[str]:
    """Return the command line that does the same in the foreground."""
    settings = {**invocation.overrides, **overrides}
    words = [f"--set={name}={value}" for name, value in settings.items()]
    words += [f"--output={invocation.output.format}", COMMAND, *(["--copy"] if copy else [])]
    words += [f"--checkpoint={choice}" for choice in checkpoints]
    return words + [f"--track={name}" for name in tracks]


@contextmanager
def _watching(output: Output) -> Iterator[Watch]:
    """Give what shows how races go: bars on a terminal, a line per lap elsewhere."""
    if not output.is_interactive:
        yield lambda job, progress: _print_lap(job, progress, output)
        return
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TextColumn("{task.fields[clock]}"), TextColumn("{task.fields[resets]}")) as bars:
        tasks: dict[tuple[int, int], TaskID] = {}

        def watch(job: RaceJob, progress: RaceProgress) -> None:
            key = (job.number, progress.lap)
            if key not in tasks:
                name = f"checkpoint {job.checkpoint.number} on {job.track}, lap {progress.lap}/{progress.laps}"
                tasks[key] = bars.add_task(name, total=100.0, clock="", resets="")
            resets = f"{progress.resets} resets" if progress.resets else ""
            clock = f"{progress.clock_s:.1f} s"
            bars.update(tasks[key], completed=max(0.0, progress.progress_percent), clock=clock, resets=resets)

        yield watch


def _print_lap(job: RaceJob, progress: RaceProgress, output: Output) -> None:
    from drctl.operations.evaluation_report import describe_lap

    if progress.finished is not None:
        text = describe_lap(progress.finished, progress.laps)
        show_message(Message(f"checkpoint {job.checkpoint.number} on {job.track}, {text}"), output)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(COMMAND)(evaluate)
    app.command("start-evaluation", help="The same as eval.")(evaluate)
    app.command("stop-evaluation")(stop_evaluation)
