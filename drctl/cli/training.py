"""``start-training``, ``stop-training``, ``stop-all``, ``increment-training``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.context import invocation_of
from drctl.cli.output import show, show_message
from drctl.cli.question import confirm
from drctl.errors import DrctlError, UsageError
from drctl.result import Message, Result

if TYPE_CHECKING:
    from drctl.cli.context import Invocation
    from drctl.config.project import Project

COMMAND = "start-training"


def start_training(
    ctx: typer.Context,
    wipe: Annotated[
        bool, typer.Option("-w", "--wipe", help="Move what is under the prefix to the trash first.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Return as soon as the training runs.")] = False,
    trainer_log: Annotated[
        bool, typer.Option("-s", "--sagemaker", help="Follow the trainer's (Sagemaker's) log instead of the display.")
    ] = False,
    all_logs: Annotated[bool, typer.Option("-a", "--all", help="Follow the logs of all parts.")] = False,
    worker_log: Annotated[
        int | None, typer.Option("-r", "--robomaker", metavar="N", help="Follow the log of worker (Robomaker) N.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the newest complete checkpoint.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "-f", "--force", help="Resume although files or settings differ; begin with a model of other actions."
        ),
    ] = False,
    engine: Annotated[
        str | None, typer.Option("--engine", help="How processes run, for this call; else DR_DOCKER_STYLE.")
    ] = None,
    stack: Annotated[
        str | None, typer.Option("--stack", help="Which software runs, for this call; else DR_SIMAPP_SOURCE.")
    ] = None,
    viewer: Annotated[
        bool, typer.Option("-v", "--viewer", help="Start the viewer too, and print its addresses.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the files and commands of a start; nothing is started.")
    ] = False,
) -> Result | None:
    """Train a car: start trainer (Sagemaker) and workers (Robomaker), then show how it goes.

    Ctrl-C while it runs ends the display, not the training.
    """
    _check_options(wipe=wipe, resume=resume)
    from drctl.operations.training import start_training as start

    invocation = invocation_of(ctx)
    chosen = {"DR_DOCKER_STYLE": engine, "DR_SIMAPP_SOURCE": stack}
    given = {name: value for name, value in chosen.items() if value is not None}
    project = invocation.load_project_to_start(given, with_entries=True)
    if dry_run:
        from drctl.operations.dry_run import preview_training

        words = [f" --{name} {value}" for name, value in (("engine", engine), ("stack", stack)) if value is not None]
        preview = preview_training(project)
        if viewer:
            preview, words = _preview_with_viewer(project, preview), [*words, " -v"]
        return replace(preview, next_steps=(f"drctl {COMMAND}{''.join(words)}",))
    if force and not resume and not project.settings.local_s3_pretrained:
        raise UsageError(
            "-f is for --resume and for DR_LOCAL_S3_PRETRAINED=True alone",
            expected="--resume -f",
            fix="drctl start-training --resume -f",
        )
    if viewer:
        from drctl.operations.viewer import check_viewer

        check_viewer(project)
    shown: list[Message] = []

    def report(message: Message) -> None:
        shown.append(message)
        show_message(message, invocation.output)

    report(
        Message(f"Starting the training of {project.settings.local_s3_model_prefix} (run {project.settings.run_id})")
    )
    result = start(project, wipe=wipe, resume=resume, force=force, report=report)
    if viewer and result.data["is_running"]:
        result = _with_viewer(project, result)
    fresh = Result(
        result.data,
        tuple(message for message in result.messages if message not in shown),
        result.next_steps,
        result.exit_status,
    )
    if invocation.output.format == "json":
        return result
    if quiet or not result.data["is_running"]:
        return fresh
    show(Result(messages=fresh.messages), COMMAND, invocation.output)
    return _follow(project, invocation, trainer_log=trainer_log, all_logs=all_logs, worker_log=worker_log)


def _with_viewer(project: Project, result: Result) -> Result:
    """Start the viewer; a training that runs is not lost because its page cannot be shown."""
    from drctl.operations.viewer import start_viewer

    try:
        found = start_viewer(project)
    except DrctlError as error:
        problem = error.problems[0]
        text = f"the viewer does not run: {problem.what}" + (f"; {problem.fix}" if problem.fix else "")
        return replace(result, messages=(*result.messages, Message(text, "warning")))
    data = {**result.data, "viewer": found.data}
    return replace(result, data=data, messages=(*result.messages, *found.messages))


def _preview_with_viewer(project: Project, preview: Result) -> Result:
    from drctl.operations.viewer import preview_viewer

    found = preview_viewer(project, with_store=False)
    data = {
        **preview.data,
        "files": {**preview.data["files"], **found.data["files"]},
        "commands": [*preview.data["commands"], *found.data["commands"]],
    }
    return replace(preview, data=data, messages=(*preview.messages, *found.messages))


def _check_options(*, wipe: bool, resume: bool) -> None:
    if wipe and resume:
        raise UsageError(
            "-w and --resume do not go together: one begins anew, the other goes on",
            fix="drctl start-training --resume",
        )


def _follow(
    project: Project, invocation: Invocation, *, trainer_log: bool, all_logs: bool, worker_log: int | None
) -> Result:
    from drctl.cli.live import watch
    from drctl.cli.logs import follow_all, follow_one
    from drctl.operations.training import read_project_run, release_containers
    from drctl.operations.training_outcome import describe_end, describe_model

    try:
        if all_logs:
            follow_all(project)
        elif trainer_log:
            follow_one(project, "trainer", None)
        elif worker_log is not None:
            follow_one(project, "worker", worker_log)
        else:
            watch(project, invocation.output)
    except KeyboardInterrupt:
        text = "The training goes on without this display."
        steps = ("drctl status", "drctl logs-sagemaker -f", "drctl stop-training")
        return Result({"is_running": True}, (Message(text),), steps)
    status = read_project_run(project)
    if status is not None and not status.is_running:
        release_containers(project)
    if status is None or status.is_orphaned:
        from drctl.operations.runs import show_status

        return show_status(project)
    result = describe_end(status)
    if status.reason != "finished":
        return result
    return Result(
        result.data, (*result.messages, *describe_model(project, status)), result.next_steps, result.exit_status
    )


def watch_training(ctx: typer.Context) -> Result:
    """Show the run under way in the terminal until it has ended; Ctrl-C ends the display, not the training."""
    from drctl.operations.runs import show_status
    from drctl.operations.training import read_project_run

    invocation = invocation_of(ctx)
    project = invocation.load_project()
    status = read_project_run(project)
    if invocation.output.format == "json" or status is None or not status.is_running:
        return show_status(project)
    return _follow(project, invocation, trainer_log=False, all_logs=False, worker_log=None)


def stop_training(ctx: typer.Context) -> Result:
    """Stop the training after the publish under way; start-training --resume goes on with it."""
    from drctl.operations.training import stop_training as stop

    return stop(invocation_of(ctx).load_project())


def stop_all(
    ctx: typer.Context,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="At once, without waiting for the publishes under way.")
    ] = False,
) -> Result:
    """Stop every run of this project."""
    from drctl.operations.runs import stop_all as stop

    return stop(invocation_of(ctx).load_project(), force=force)


def increment_training(
    ctx: typer.Context,
    force: Annotated[bool, typer.Option("-f", "--force", help="Do not ask.")] = False,
    wipe: Annotated[
        bool, typer.Option("-w", "--wipe", help="Move what is under the new prefix to the trash first.")
    ] = False,
    prefix: Annotated[
        str | None, typer.Option("-p", "--prefix", metavar="NAME", help="The new prefix; else the old one counted on.")
    ] = None,
    delimiter: Annotated[
        str, typer.Option("-d", "--delimiter", metavar="DELIM", help="What stands before the number.")
    ] = "-",
) -> Result:
    """Let the next training begin with this model: my-model becomes my-model-1, my-model-1 becomes my-model-2.

    Changes DR_LOCAL_S3_MODEL_PREFIX and the DR_LOCAL_S3_PRETRAINED settings in run.env; the file as it was is kept as
    run.env.bak.
    """
    from drctl.operations.increment import increment_training as increment
    from drctl.operations.increment import plan_increment

    plan = plan_increment(invocation_of(ctx).load_project(), name=prefix, delimiter=delimiter, wipe=wipe)
    confirm(ctx, plan.describe(), "Change it?", is_forced=force)
    return increment(plan)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(COMMAND)(start_training)
    app.command("watch")(watch_training)
    app.command("stop-training")(stop_training)
    app.command("stop-all")(stop_all)
    app.command("increment-training")(increment_training)
