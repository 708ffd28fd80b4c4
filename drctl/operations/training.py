"""Start and stop a training."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from drctl.config.areas.system import EngineName
from drctl.engines.choice import engine_of_run, make_engine
from drctl.engines.container_run import clear_container_run
from drctl.engines.lock import RunLock
from drctl.engines.process import clear_run
from drctl.errors import (
    ConflictError,
    DrctlError,
    ObjectNotFoundError,
    UnavailableError,
)
from drctl.formats.object_keys import ModelKeys
from drctl.link.listening import advertised_host
from drctl.operations.amount import count_text
from drctl.operations.community import (
    keys_path,
    plan_community,
    provide_images,
    uses_images,
    write_container_keys,
)
from drctl.operations.container_store import provide_store, stop_store
from drctl.operations.containers import is_in_containers, plan_containers
from drctl.operations.preflight import prepare
from drctl.operations.preparation import PlanBasis, Preparation
from drctl.operations.readiness import Report, wait_until_ready
from drctl.operations.rollback import Rollback
from drctl.operations.training_outcome import describe_end
from drctl.result import Message, Result
from drctl.stack.drctl_stack import RunFolders, gpu_ids, trainer_spec, training_plan
from drctl.stack.plan import read_plan
from drctl.status.run_status import RunStatus, read_run
from drctl.storage.location import open_store, project_store_location
from drctl.storage.trash import move_to_trash, restore

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.engines.engine import Engine
    from drctl.stack.plan import RunPlan
    from drctl.storage.objects import ObjectStore

_POLL_S = 0.1
_PUBLISH_S = 10.0
"""How long a stop waits for a checkpoint of the community images that is being put."""

Planner = Callable[["PlanBasis | Preparation", str], "RunPlan"]


def start_training(
    project: Project,
    *,
    wipe: bool = False,
    resume: bool = False,
    force: bool = False,
    report: Report = lambda _message: None,
    engine: Engine | None = None,
    plan: Planner | None = None,
) -> Result:
    """Check everything, start the run and wait until it is ready: the trainer trains and every worker has joined.

    When this fails or is interrupted, nothing of the start is left: no process, port, lock or object; what was moved to
    the trash is moved back.

    Args:
        project: The project.
        wipe: Move what lies under the model's prefix to the trash first.
        resume: Continue from the newest complete checkpoint.
        force: Resume although files or settings differ; begin with an earlier model although its actions have other
            angles and speeds.
        report: Gets a message now and then about what is waited for.
        engine: How to run it.
        plan: Makes the plan of what was checked and the run's random name.

    Returns:
        ``run_id``, ``prefix``, ``run_folder``, ``is_running``, ``seconds``; exit status of the run when it has ended.

    Raises:
        DrctlError: What stands against the start, or why the run ended during it.
    """
    echo = _echo_to(report)
    engine = engine or make_engine(project.settings.engine, echo)
    lock = RunLock.acquire(project.run_folder, "a training is being started")
    started = time.monotonic()
    with contextlib.closing(lock), Rollback() as undo:
        _clear_former_run(project)
        found = prepare(
            project,
            wipe=wipe,
            resume=resume,
            force=force,
            provide_store=lambda: _provide_store(project, undo, echo),
            provide_images=lambda: _provide_images(project, report),
        )
        messages = list(found.notes)
        for note in found.notes:
            report(note)
        if wipe and found.content.count:
            messages += _wipe(found, undo, report)
        _write_snapshot(found, undo)
        run = (plan or plan_training)(found, secrets.token_hex(8))
        if uses_images(project):
            _write_container_keys(project, undo)
        undo.add(lambda: _stop_at_once(engine, project))
        engine.up(run, lock)
        status = wait_until_ready(project, found, engine, report)
        undo.forget()
    if not status.is_running:
        return describe_end(status, messages)
    data = {
        "run_id": run.run_id,
        "prefix": run.prefix,
        "run_folder": run.run_folder,
        "is_running": True,
        "seconds": round(time.monotonic() - started, 2),
    }
    what = "goes on" if resume else "has begun"
    workers = len(run.workers)
    done = Message(
        f"The training of {run.prefix} {what} with {count_text(workers, 'worker')} (run {run.run_id})", "success"
    )
    steps = ("drctl status", "drctl logs-sagemaker -f", "drctl stop-training")
    return Result(data, (*messages, done), steps)


def stop_training(project: Project, *, engine: Engine | None = None) -> Result:
    """Stop a project's run after the publish under way, within 15 s.

    Args:
        project: The project.
        engine: How it runs.

    Returns:
        ``was_running``; stopping what does not run is no error.

    Raises:
        FailedError: Processes cannot be ended.
    """
    engine = engine or engine_of_run(project.run_folder)
    run_id = project.settings.run_id
    _wait_for_publish(project)
    was_running = engine.down(project.run_folder)
    data = {"run_id": run_id, "was_running": was_running}
    if not was_running:
        return Result(data, (Message(f"run {run_id} is not running"),))
    state = engine.state(project.run_folder)
    reason = state.message if state else "stopped"
    plan = read_plan(project.run_folder)
    steps = (
        ("drctl eval", "drctl increment-training")
        if plan and plan.stack == "community"
        else ("drctl start-training --resume",)
    )
    return Result(data, (Message(f"run {run_id} has ended: {reason}", "success"),), steps)


def release_containers(project: Project) -> None:
    """Remove what is left of a run of the community images that has ended: their trainer goes on waiting."""
    plan = read_plan(project.run_folder)
    if plan is not None and plan.stack == "community":
        engine_of_run(project.run_folder).down(project.run_folder, at_once=True)


def read_project_run(project: Project) -> RunStatus | None:
    """Read the status of the project's run; without the store's part when the store cannot be reached."""
    return read_run(project.run_folder, reachable_store(project))


def reachable_store(project: Project, run_folder: Path | None = None) -> ObjectStore | None:
    """Return the store of a run, or None when it cannot be opened; reading from it may still fail.

    Args:
        project: The project.
        run_folder: Of the run, None for the project's own; a run may have another engine than the settings say now.
    """
    try:
        plan = read_plan(run_folder or project.run_folder)
        if plan is not None and plan.engine in get_args(EngineName):
            style = cast("EngineName", plan.engine)
            project = replace(project, settings=replace(project.settings, docker_style=style))
        return open_store(project_store_location(project))
    except DrctlError:
        return None


def plan_training(found: PlanBasis | Preparation, run_token: str) -> RunPlan:
    """Make the plan of a training of our own stack.

    Args:
        found: What was checked.
        run_token: Random name of this start of the run.
    """
    project = found.project
    if uses_images(project):
        if found.files is None:
            raise UnavailableError(
                "the custom files are in the bucket, which is not asked now",
                where=str(project.custom_files),
                fix="drctl download-custom-files",
            )
        return plan_community(project, found.keys, found.files, run_token)
    folders = RunFolders(project.root, project.run_folder, project.secrets_path)
    spec = trainer_spec(
        project.settings,
        folders,
        found.location,
        run_token=run_token,
        metrics_prefix=found.keys.metrics_prefix,
        advertised_host=advertised_host(project.settings.link_listen),
        pretrained=found.pretrained,
        worlds=len(project.races),
    )
    if is_in_containers(project):
        return plan_containers(project, spec, folders)
    return training_plan(spec, folders, gpus=gpu_ids(project.settings.sagemaker_cuda_devices))


def _echo_to(report: Report) -> Callable[[str], None]:
    return lambda command: report(Message(f"$ {command}"))


def _clear_former_run(project: Project) -> None:
    """Remove what is left of the run's last start, or refuse when it is under way.

    A supervisor holds the run's lock as long as it lives; containers need nobody to hold one.
    """
    folder = project.run_folder
    former = engine_of_run(folder)
    if former.is_running(folder):
        plan = read_plan(folder)
        name = plan.prefix if plan else "a model"
        raise ConflictError(
            f"run {project.settings.run_id} is taken: the training of {name} runs",
            where=str(folder),
            expected="one training per DR_RUN_ID",
            fix="drctl stop-training, or choose another DR_RUN_ID",
        )
    former.down(folder, at_once=True)


def _wait_for_publish(project: Project) -> None:
    """Let a trainer of the community images finish the checkpoint that it puts: it does not when it is stopped."""
    plan, store = read_plan(project.run_folder), reachable_store(project)
    if plan is None or plan.stack != "community" or store is None:
        return
    lock = ModelKeys(plan.prefix).checkpoint_lock
    deadline = time.monotonic() + _PUBLISH_S
    with contextlib.suppress(DrctlError):
        while time.monotonic() < deadline and store.stat(lock) is not None:
            time.sleep(_POLL_S)


def _provide_store(project: Project, undo: Rollback, echo: Callable[[str], None]) -> None:
    if is_in_containers(project) and provide_store(project, echo):
        undo.add(lambda: stop_store(project, echo))


def _provide_images(project: Project, report: Report) -> None:
    if uses_images(project):
        provide_images(project, report)


def _write_container_keys(project: Project, undo: Rollback) -> None:
    path = keys_path(project, folder=f"run-{project.settings.run_id}")
    undo.add(lambda: path.unlink(missing_ok=True))
    write_container_keys(project, path)


def _wipe(found: Preparation, undo: Rollback, report: Report) -> list[Message]:
    store = found.store
    messages = []
    for prefix in found.keys.all_prefixes:
        try:
            entry = move_to_trash(store, prefix, "drctl start-training -w")
        except ObjectNotFoundError:
            continue
        undo.add(partial(restore, store, entry.id))
        text = f"moved {prefix} ({count_text(entry.object_count, 'object')}) to the trash; drctl undo brings it back"
        messages.append(Message(text))
        report(messages[-1])
    return messages


def _write_snapshot(found: Preparation, undo: Rollback) -> None:
    """Write the files that every process of the run reads, and note how to take each back."""
    store, keys = found.store, found.keys
    if not found.is_resume:
        undo.add(lambda: _remove_all(store, keys.prefix))
    for key, data in found.files.objects(keys, found.project.settings.local_s3_training_params_file).items():
        try:
            former = store.get(key)
        except ObjectNotFoundError:
            undo.add(partial(store.delete, key))
        else:
            if former == data:
                continue
            undo.add(partial(store.put, key, former))
        store.put(key, data)


def _remove_all(store: ObjectStore, prefix: str) -> None:
    for info in list(store.list(prefix)):
        store.delete(info.key)


def _stop_at_once(engine: Engine, project: Project) -> None:
    engine.down(project.run_folder, at_once=True)
    if is_in_containers(project):
        clear_container_run(project.run_folder)
    clear_run(project.run_folder)
