"""Race a stored model with the community images: one container that drives its laps and leaves (contract 1.3, 8)."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drctl.config.registry import fix_for, refused_settings
from drctl.engines.choice import make_engine
from drctl.engines.container_run import clear_container_run
from drctl.engines.evaluation_process import evaluation_folder, only_evaluation
from drctl.engines.lock import RunLock
from drctl.engines.state import read_state
from drctl.errors import (
    ConflictError,
    DrctlError,
    FailedError,
    NotSupportedError,
    ObjectNotFoundError,
    Problem,
    UsageError,
)
from drctl.formats.evaluation_metrics import LapMetrics, parse_evaluation_metrics
from drctl.formats.evaluation_params import evaluation_params_for
from drctl.formats.object_keys import ModelKeys
from drctl.formats.training_params import render_training_params
from drctl.operations.community import (
    check_checkpoints,
    container_host,
    keys_path,
    provide_images,
    stack_notes,
    stack_problems,
    write_container_keys,
)
from drctl.operations.community_report import describe_image_lap, describe_image_race
from drctl.operations.container_store import location_inside, provide_store
from drctl.operations.containers import check_machine
from drctl.result import Message, Result
from drctl.stack.community_stack import RACE_FOLDER, community_evaluation_plan
from drctl.stack.drctl_stack import RunFolders
from drctl.status.run_status import find_runs, read_run
from drctl.storage.location import open_store, project_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.engines.engine import Engine, Preview
    from drctl.engines.state import EngineState
    from drctl.stack.plan import RunPlan
    from drctl.storage.objects import ObjectStore

_STAMP: Final = "%Y%m%d%H%M%S"
_POLL_S: Final = 0.5
_LOG_LINES: Final = 12

Report = Callable[[Message], None]


@dataclass(frozen=True)
class ImageRace:
    """What is raced; nothing stands against it.

    Attributes:
        project: The project, with the choices of the command line.
        store: The bucket.
        keys: Of the model that is raced: itself, or its copy.
        notes: What is worth knowing.
    """

    project: Project
    store: ObjectStore
    keys: ModelKeys
    notes: tuple[Message, ...]


def prepare_race(
    project: Project, checkpoints: Sequence[str], tracks: Sequence[str], *, copy: bool, report: Report
) -> ImageRace:
    """Check everything that can be known before a race of the images.

    Args:
        project: The project.
        checkpoints: At most one: ``best`` or ``last``.
        tracks: At most one.
        copy: The race is with a copy of the model.
        report: Gets each command that changes something.

    Raises:
        DrctlError: What stands against it.
    """
    project = _checked(project, checkpoints, tracks)
    settings = project.settings
    check_machine(project)
    provide_store(project, lambda command: report(Message(f"$ {command}")))
    store = open_store(project_store_location(project))
    keys = ModelKeys(settings.local_s3_model_prefix, settings.local_s3_metrics_prefix)
    check_checkpoints(store, keys.prefix, str(settings.origin("DR_LOCAL_S3_MODEL_PREFIX")))
    if settings.race_type == "HEAD_TO_MODEL":
        opponent = settings.eval_opp_s3_model_prefix
        check_checkpoints(store, opponent, str(settings.origin("DR_EVAL_OPP_S3_MODEL_PREFIX")))
    if not copy:
        _refuse_while_trained(project, store)
    provide_images(project, report)
    return ImageRace(project, store, keys, tuple(stack_notes(settings, verb="races")))


def preview_race(project: Project, checkpoints: Sequence[str], tracks: Sequence[str]) -> Preview:
    """Tell which file and command a race would take; neither store nor Docker are asked.

    Args:
        project: The project.
        checkpoints: See `prepare_race`.
        tracks: See `prepare_race`.

    Raises:
        DrctlError: What of the settings stands against it.
    """
    project = _checked(project, checkpoints, tracks)
    folder = evaluation_folder(project.root, project.settings.run_id) / RACE_FOLDER
    return make_engine(project.settings.engine).preview(_plan(project, folder))


def race_with_images(
    project: Project,
    *,
    checkpoints: Sequence[str] = (),
    tracks: Sequence[str] = (),
    copy_model: Callable[[ObjectStore, ModelKeys], ModelKeys] | None = None,
    report: Report = lambda _message: None,
    engine: Engine | None = None,
) -> Result:
    """Race a model and wait for its laps.

    Args:
        project: The project.
        checkpoints: See `prepare_race`.
        tracks: See `prepare_race`.
        copy_model: Copies the model and returns the keys of the copy; None to race the model itself.
        report: Gets what is worth knowing, and each lap.
        engine: How to run it.

    Returns:
        ``prefix`` and ``races``: one mapping with the laps and the keys of what was written.

    Raises:
        DrctlError: What stands against it, or why the race failed.
    """
    folder = evaluation_folder(project.root, project.settings.run_id)
    with only_evaluation(folder, f"{project.settings.local_s3_model_prefix} is being evaluated"):
        found = prepare_race(project, checkpoints, tracks, copy=copy_model is not None, report=report)
        for note in found.notes:
            report(note)
        if copy_model is not None:
            found = _race_of_copy(found, copy_model(found.store, found.keys))
        engine = engine or make_engine(project.settings.engine, lambda command: report(Message(f"$ {command}")))
        stamp = _free_stamp(found)
        with _kept_pointers(found), _running(found, stamp, folder / RACE_FOLDER, engine):
            state = _wait(found, stamp, folder / RACE_FOLDER, engine, report)
            _raise_failure(state, folder / RACE_FOLDER, engine)
        return describe_image_race(found.project, found.store, found.keys, stamp, found.notes)


def clear_race(project: Project) -> bool:
    """Remove the containers of an evaluation whose process was killed; False when there are none."""
    folder = evaluation_folder(project.root, project.settings.run_id) / RACE_FOLDER
    if read_state(folder) is None:
        return False
    was_running = make_engine("compose").down(folder, at_once=True)
    clear_container_run(folder)
    return was_running


def _with_choices(project: Project, checkpoints: Sequence[str], tracks: Sequence[str]) -> Project:
    for option, values in (("--checkpoint", checkpoints), ("--track", tracks)):
        if len(set(values)) > 1:
            raise UsageError(
                f"{option} is there {len(values)} times; the community images race one model on one track at a time",
                expected="one of them",
                fix=f"drctl eval {option} {values[0]}",
            )
    settings = project.settings
    if checkpoints:
        settings = replace(settings, eval_checkpoint=checkpoints[0])
    if tracks:
        settings = replace(settings, world_name=tracks[0])
    return replace(project, settings=settings)


def _checked(project: Project, checkpoints: Sequence[str], tracks: Sequence[str]) -> Project:
    """Return the project with the choices of the command line, which the images can carry out."""
    own, theirs = project.settings.eval_checkpoint, project.settings.eval_opp_checkpoint
    project = _with_choices(project, checkpoints, tracks)
    problems = [*refused_settings(project.settings, "eval"), *stack_problems(project.settings)]
    if project.settings.race_type == "HEAD_TO_MODEL" and theirs != own:
        origin = project.settings.origin("DR_EVAL_OPP_CHECKPOINT")
        problems.append(
            Problem(
                f"DR_EVAL_OPP_CHECKPOINT is {theirs}, and the community images choose both cars' checkpoints alike",
                str(origin),
                f"that of DR_EVAL_CHECKPOINT, {own}",
                fix_for("DR_EVAL_OPP_CHECKPOINT", own, origin.source),
            )
        )
    if problems:
        raise NotSupportedError.from_problems(problems)
    return project


def _race_of_copy(found: ImageRace, keys: ModelKeys) -> ImageRace:
    settings = replace(
        found.project.settings, local_s3_model_prefix=keys.prefix, local_s3_metrics_prefix=keys.metrics_prefix
    )
    return replace(found, project=replace(found.project, settings=settings), keys=keys)


def _refuse_while_trained(project: Project, store: ObjectStore) -> None:
    """Keep the image from naming an old checkpoint as the newest one of a model that workers wait for."""
    for folder in find_runs(project.root):
        status = read_run(folder, store)
        if status is None or not status.is_running or status.stack != "community":
            continue
        if status.prefix == project.settings.local_s3_model_prefix:
            raise ConflictError(
                f"{status.prefix} is being trained, and the community images change the model that they race",
                where=f"run {status.run_id}",
                expected="a race of a copy, or a training that has ended",
                fix="drctl eval -c",
            )


def _free_stamp(found: ImageRace) -> str:
    moment = datetime.now()  # local time (contract 1.3)
    while found.store.stat(found.keys.evaluation_metrics(moment.strftime(_STAMP))) is not None:
        moment += timedelta(seconds=1)
    return moment.strftime(_STAMP)


@contextlib.contextmanager
def _kept_pointers(found: ImageRace) -> Iterator[None]:
    """Put back which checkpoint is the newest: the image overwrites that with the one that it races."""
    settings = found.project.settings
    names = [found.keys.coach_checkpoint]
    if settings.race_type == "HEAD_TO_MODEL":
        names.append(ModelKeys(settings.eval_opp_s3_model_prefix).coach_checkpoint)
    former = {}
    for name in names:
        with contextlib.suppress(ObjectNotFoundError):
            former[name] = found.store.get(name)
    try:
        yield
    finally:
        for name, content in former.items():
            with contextlib.suppress(DrctlError):
                now, version = found.store.get_versioned(name)
                if now != content:
                    found.store.put(name, content, if_version=version)


@contextlib.contextmanager
def _running(found: ImageRace, stamp: str, folder: Path, engine: Engine) -> Iterator[None]:
    """Start the container, and leave nothing of it behind."""
    project = found.project
    keys_file = _keys_file(project)
    folder.mkdir(parents=True, exist_ok=True)
    engine.down(folder, at_once=True)
    with contextlib.closing(RunLock.acquire(folder, "a model is raced")) as lock:
        try:
            write_container_keys(project, keys_file)
            found.store.put(_params_key(found), _params(found, stamp))
            engine.up(_plan(project, folder), lock)
            yield
        finally:
            engine.down(folder, at_once=True)
            clear_container_run(folder)
            keys_file.unlink(missing_ok=True)


def _params_key(found: ImageRace) -> str:
    return f"{found.keys.prefix}/{found.project.settings.local_s3_eval_params_file}"


def _params(found: ImageRace, stamp: str) -> bytes:
    endpoint_url = location_inside(found.project).endpoint_url
    epoch_s = int(datetime.strptime(stamp, _STAMP).timestamp())
    settings = found.project.settings
    return render_training_params(
        evaluation_params_for(settings, stamp=stamp, epoch_s=epoch_s, endpoint_url=endpoint_url)
    )


def _keys_file(project: Project) -> Path:
    return keys_path(project, folder=f"eval-{project.settings.run_id}")


def _plan(project: Project, folder: Path) -> RunPlan:
    return community_evaluation_plan(
        project.settings,
        RunFolders(project.root, folder, project.secrets_path),
        container_host(project, _keys_file(project)),
        run_token=secrets.token_hex(8),
        engine=project.settings.engine,
    )


def _wait(found: ImageRace, stamp: str, folder: Path, engine: Engine, report: Report) -> EngineState:
    """Wait for the end of the race; tell each lap that the image has written down by then."""
    told = 0
    while True:
        state = engine.state(folder)
        if state is None:
            raise FailedError("the files of the evaluation were removed", where=str(folder), fix="drctl eval")
        laps = _read_laps(found, stamp)
        wanted = found.project.settings.eval_number_of_trials
        for lap in laps[told:]:
            report(Message(f"lap {lap.trial}/{wanted}: {describe_image_lap(lap)}"))
        told = len(laps)
        if state.phase == "ended":
            return state
        time.sleep(_POLL_S)


def _raise_failure(state: EngineState, folder: Path, engine: Engine) -> None:
    if state.reason == "finished":
        return
    if state.problems:
        raise FailedError.from_problems(state.problems)
    words = list(engine.logs(folder, "worker-0", lines=_LOG_LINES, is_following=False))
    raise FailedError(
        f"the race has ended: {state.message}", where="\n".join(["worker-0", *words]), fix="drctl eval starts it again"
    )


def _read_laps(found: ImageRace, stamp: str) -> tuple[LapMetrics, ...]:
    key = found.keys.evaluation_metrics(stamp)
    try:
        return parse_evaluation_metrics(found.store.get(key), key)
    except DrctlError:  # not written yet
        return ()
