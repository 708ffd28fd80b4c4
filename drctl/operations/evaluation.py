"""Race stored models: alone, without a trainer, also while they are being trained."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drctl.engines.evaluation_container import stop_container
from drctl.engines.evaluation_process import (
    LOG_FILE,
    evaluation_folder,
    only_evaluation,
    refuse_second,
    start_detached,
)
from drctl.engines.evaluation_process import stop_evaluation as stop_process
from drctl.errors import ConflictError, ObjectNotFoundError
from drctl.formats.object_keys import ModelKeys
from drctl.operations.community import uses_images
from drctl.operations.containers import is_in_containers
from drctl.operations.evaluation_report import RaceReport, RaceView, describe_races, report_race, view_race
from drctl.operations.race_preparation import EvaluationRequest, RacePreparation, prepare_races
from drctl.result import Message, Result
from drctl.stack.drctl_stack import usable_cores
from drctl.storage.location import describe as describe_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.storage.location import StoreLocation
    from drctl.storage.objects import ObjectStore

COPY_SUFFIX: Final = "-E"

Watch = Callable[[RaceView], None]
Report = Callable[[Message], None]


def evaluate(
    project: Project,
    request: EvaluationRequest,
    *,
    watch: Watch = lambda _view: None,
    report: Report = lambda _message: None,
) -> Result:
    """Race every chosen checkpoint on every chosen track and write what comes of it beside the model.

    The model itself is only read. When this is interrupted, races that are not over leave nothing.

    Args:
        project: The project.
        request: What to race.
        watch: Told where each race stands.
        report: Gets what is worth knowing before the races begin.

    Returns:
        ``prefix`` and ``races``: one mapping per pair, see `RaceReport.to_json`.

    Raises:
        DrctlError: What stands against it, all problems at once.
    """
    if uses_images(project):
        from drctl.operations.community_evaluation import race_with_images

        def copy_to(store: ObjectStore, keys: ModelKeys) -> ModelKeys:
            return _copy_model(store, keys, project)

        return race_with_images(
            project,
            checkpoints=request.checkpoints,
            tracks=request.tracks,
            copy_model=copy_to if request.copy else None,
            report=report,
        )
    folder = evaluation_folder(project.root, project.settings.run_id)
    with only_evaluation(folder, f"{project.settings.local_s3_model_prefix} is being evaluated"):
        if is_in_containers(project):
            from drctl.operations.container_evaluation import race_in_container

            return race_in_container(project, request, watch=watch, report=report)
        return race_here(project, request, watch=watch, report=report)


def race_here(
    project: Project,
    request: EvaluationRequest,
    *,
    watch: Watch,
    report: Report,
    location: StoreLocation | None = None,
    place: str | None = None,
) -> Result:
    """Race in this process and its children; see `evaluate`.

    Args:
        project: The project.
        request: What to race.
        watch: See `evaluate`.
        report: See `evaluate`.
        location: Where the bucket is; None for where the project says.
        place: The same for people.
    """
    found = prepare_races(project, request, location=location)
    for note in found.notes:
        report(note)
    keys = _copy_model(found.store, found.source, project) if request.copy else found.source
    with tempfile.TemporaryDirectory(prefix="drctl-eval-") as videos:
        races = _race(project, found, keys, Path(videos), watch)
    place = place or describe_location(found.location)
    return describe_races(races, keys.prefix, place, found.notes, has_videos=project.settings.eval_save_mp4)


def start_evaluation(
    project: Project, words: Sequence[str], request: EvaluationRequest, *, report: Report = lambda _message: None
) -> Result:
    """Start an evaluation that goes on by itself.

    Args:
        project: The project.
        words: Command line of the evaluation without the program's name.
        request: What to race.
        report: See `evaluate`.

    Returns:
        ``run_id``, ``prefix``, ``pid``, ``log``.

    Raises:
        DrctlError: See `evaluate`.
    """
    settings = project.settings
    folder = evaluation_folder(project.root, settings.run_id)
    refuse_second(folder)
    if uses_images(project):
        from drctl.operations.community_evaluation import prepare_race

        notes = prepare_race(project, request.checkpoints, request.tracks, copy=request.copy, report=report).notes
    elif is_in_containers(project):
        from drctl.operations.container_evaluation import check_container_races

        notes = check_container_races(project, request, report).notes
    else:
        notes = prepare_races(project, request).notes
    process = start_detached(folder, project.root, words)
    log, prefix = str(folder / LOG_FILE), settings.local_s3_model_prefix
    data = {"run_id": settings.run_id, "prefix": prefix, "pid": process.pid, "log": log}
    text = f"The evaluation of {prefix} goes on in the background; its output: {log}"
    return Result(data, (*notes, Message(text, "success")), (f"cat {log}", "drctl stop-evaluation"))


def stop_evaluation(project: Project) -> Result:
    """Stop the evaluation of a project's run; races that are over have been written, the others leave nothing.

    Returns:
        ``run_id`` and ``was_running``; stopping what does not run is no error.

    Raises:
        FailedError: Its process cannot be ended.
    """
    run_id = project.settings.run_id
    from drctl.operations.community_evaluation import clear_race

    folder = evaluation_folder(project.root, run_id)
    stopped = stop_process(folder)
    # The process that watches a container takes it along, unless it was killed.
    was_left = stop_container(folder)
    clear_race(project)
    if stopped is not None:
        text = f"stopped: {stopped.description}"
    elif was_left:
        text = f"stopped the container of run {run_id}'s evaluation, which nobody watched any more"
    else:
        return Result({"run_id": run_id, "was_running": False}, (Message(f"run {run_id} has no evaluation under way"),))
    return Result({"run_id": run_id, "was_running": True}, (Message(text, "success"),))


def _copy_model(store: ObjectStore, source: ModelKeys, project: Project) -> ModelKeys:
    """Copy what an evaluation reads of a model to its prefix and ``-E``; an earlier copy is replaced."""
    prefix = source.prefix + COPY_SUFFIX
    metrics = project.settings.local_s3_metrics_prefix
    if metrics.startswith(f"{source.prefix}/"):
        metrics = prefix + metrics.removeprefix(source.prefix)
    target = ModelKeys(prefix, metrics)
    if next(iter(store.list(target.private_folder)), None) is not None:
        raise ConflictError(
            f"{prefix} holds a model that was trained there, not a copy of {source.prefix}",
            where=f"{store.name}/{prefix}",
            expected="an empty prefix, or an earlier copy",
            fix="drctl eval without -c",
        )
    keys = [info.key for folder in ("model", "ip") for info in store.list(f"{source.prefix}/{folder}")]
    # The index first: a training that goes on adds checkpoints, and keeps those that an index has named.
    for key in sorted(keys, key=lambda key: key != source.checkpoint_index):
        try:
            store.copy(key, prefix + key.removeprefix(source.prefix))
        except ObjectNotFoundError:  # removed by the training that goes on
            continue
    return target


def _race(project: Project, found: RacePreparation, keys: ModelKeys, videos: Path, watch: Watch) -> list[RaceReport]:
    from drctl.evaluation.parallel import run_jobs
    from drctl.evaluation.publish import publish, publish_opponent

    jobs = found.jobs
    if project.settings.eval_save_mp4:
        jobs = tuple(replace(job, video_folder=str(videos / str(job.number))) for job in jobs)
    started = datetime.now()  # the stamp is local time (contract 1.3)
    reports = []
    races = run_jobs(jobs, usable_cores(), lambda number, progress: watch(view_race(jobs[number], progress)))
    with contextlib.closing(races):
        for outcome in races:
            published = [publish(found.store, keys, started, outcome.races[0], outcome.videos[0])]
            if found.opponent is not None:
                stamp, theirs = published[0].stamp, (outcome.races[1], outcome.videos[1])
                published.append(publish_opponent(found.store, keys, found.opponent, stamp, *theirs))
            reports.append(report_race(jobs[outcome.number], outcome, published))
    return sorted(reports, key=lambda report: report.number)
