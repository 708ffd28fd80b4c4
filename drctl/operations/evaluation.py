"""Race stored models: alone, without a trainer, also while they are being trained."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from drctl.config.registry import refused_settings
from drctl.engines.evaluation_container import stop_container
from drctl.engines.evaluation_process import (
    LOG_FILE,
    evaluation_folder,
    only_evaluation,
    refuse_second,
    start_detached,
)
from drctl.engines.evaluation_process import stop_evaluation as stop_process
from drctl.errors import (
    ConflictError,
    DrctlError,
    FormatError,
    NotSupportedError,
    ObjectNotFoundError,
    Problem,
    TrackError,
    combine_errors,
)
from drctl.formats.manifest import parse_manifest
from drctl.formats.object_keys import ModelKeys
from drctl.formats.race_params import race_of
from drctl.operations.community import uses_images
from drctl.operations.containers import is_in_containers
from drctl.operations.evaluation_report import RaceReport, RaceView, describe_races, view_race
from drctl.result import Message, Result
from drctl.stack.drctl_stack import usable_cores
from drctl.storage.location import describe as describe_location
from drctl.storage.location import open_store, project_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.evaluation.checkpoint import StoredCheckpoint
    from drctl.evaluation.job import RaceJob
    from drctl.simulation.environment_spec import EnvironmentSpec, WorldSpec
    from drctl.storage.location import StoreLocation
    from drctl.storage.objects import ObjectStore

COMMAND: Final = "eval"
COPY_SUFFIX: Final = "-E"

Watch = Callable[[RaceView], None]
Report = Callable[[Message], None]


@dataclass(frozen=True)
class EvaluationRequest:
    """What to race.

    Attributes:
        checkpoints: ``best``, ``last`` or numbers; that of ``DR_EVAL_CHECKPOINT`` when empty.
        tracks: Names; ``DR_WORLD_NAME`` when empty.
        copy: Race a copy of the model under its prefix and ``-E``, so that nothing is added beside the model itself.
    """

    checkpoints: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ()
    copy: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EvaluationRequest:
        """Read what `to_json` gave."""
        return cls(tuple(data["checkpoints"]), tuple(data["tracks"]), data["copy"])


@dataclass(frozen=True)
class RacePreparation:
    """What was found out before anything is raced; nothing stands against it."""

    location: StoreLocation
    store: ObjectStore
    source: ModelKeys
    jobs: tuple[RaceJob, ...]
    notes: tuple[Message, ...]


def evaluate(
    project: Project,
    request: EvaluationRequest = EvaluationRequest(),
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


def prepare_races(
    project: Project,
    request: EvaluationRequest,
    *,
    location: StoreLocation | None = None,
    loads_graphs: bool = True,
) -> RacePreparation:
    """Find out all that can be known before anything is raced.

    Args:
        project: The project.
        request: What to race.
        location: See `race_here`.
        loads_graphs: Whether each graph is loaded, which needs OpenVINO.

    Raises:
        DrctlError: What stands against it, all problems at once.
    """
    checkpoints, tracks = request.checkpoints, request.tracks
    settings = project.settings
    problems = refused_settings(settings, COMMAND)
    if problems:
        raise NotSupportedError.from_problems(problems)
    location = location or project_store_location(project)
    store = open_store(location)
    keys = ModelKeys(settings.local_s3_model_prefix, settings.local_s3_metrics_prefix)
    errors: list[DrctlError] = []
    worlds: list[WorldSpec] = []
    for name in dict.fromkeys(tracks or [settings.world_name]):
        try:
            worlds.append(_find_world(project, name, is_default=not tracks))
        except DrctlError as error:
            errors.append(error)
    loaded: list[StoredCheckpoint] = []
    spec: EnvironmentSpec | None = None
    try:
        spec = _read_spec(project, store, keys)
        choices = checkpoints or (settings.eval_checkpoint,)
        loaded = _load_checkpoints(store, keys, choices, spec.metadata if loads_graphs else None)
    except DrctlError as error:
        errors.append(error)
    if errors or spec is None:
        raise combine_errors(errors)
    notes = _physics_notes(store, keys, loaded, spec)
    return RacePreparation(location, store, keys, _make_jobs(project, loaded, worlds, spec), tuple(notes))


def _find_world(project: Project, name: str, *, is_default: bool) -> WorldSpec:
    from drctl.simulation.environment_spec import WorldSpec
    from drctl.simulation.track.library import load_track

    try:
        track = load_track(name, project.root / "tracks")
    except TrackError as error:
        place = str(project.settings.origin("DR_WORLD_NAME")) if is_default else "--track"
        raise TrackError.from_problems(
            [Problem(one.what, one.where or place, one.expected, one.fix) for one in error.problems]
        ) from error
    is_own = (project.root / "tracks" / f"{name}.npy").is_file()
    rows = tuple(tuple(row) for row in track.waypoints_m.tolist()) if is_own else None
    return WorldSpec(name, rows, project.settings.randomized, race_of(project.settings))


def _read_spec(project: Project, store: ObjectStore, keys: ModelKeys) -> EnvironmentSpec:
    """Return what is simulated, still without a track."""
    from drctl.evaluation import centre_line_reward
    from drctl.evaluation.checkpoint import read_metadata
    from drctl.formats.model_metadata import parse_model_metadata
    from drctl.simulation.environment_spec import EnvironmentSpec
    from drctl.simulation.vehicle.physics import resolve_physics

    settings = project.settings
    text, place = read_metadata(store, keys)
    metadata = parse_model_metadata(text, place)
    reward, reward_file = centre_line_reward.SOURCE, centre_line_reward.FILE_NAME
    if settings.eval_debug_reward:
        reward, reward_file = _read_reward(store, keys)
    return EnvironmentSpec(
        worlds=(),
        metadata=text,
        physics=resolve_physics(settings.physics, metadata.version),
        reward_source=reward,
        reward_file=reward_file,
        seed=settings.seed,
    )


def _read_reward(store: ObjectStore, keys: ModelKeys) -> tuple[str, str]:
    place = f"{store.name}/{keys.reward_function}"
    try:
        return store.get(keys.reward_function).decode(), place
    except ObjectNotFoundError as error:
        raise ObjectNotFoundError(
            f"DR_EVAL_DEBUG_REWARD is True, but {keys.prefix} has no reward function",
            where=place,
            fix="drctl config set DR_EVAL_DEBUG_REWARD=False",
        ) from error
    except UnicodeDecodeError as error:
        raise FormatError("the reward function is not text in UTF-8", where=place) from error


def _load_checkpoints(
    store: ObjectStore, keys: ModelKeys, choices: Sequence[str], metadata: str | None
) -> list[StoredCheckpoint]:
    """Read checkpoints; with the model's metadata each graph is loaded as well."""
    from drctl.evaluation.checkpoint import load_checkpoint
    from drctl.formats.model_metadata import parse_model_metadata

    found: dict[int, StoredCheckpoint] = {}
    errors: list[DrctlError] = []
    for choice in choices:
        try:
            checkpoint = load_checkpoint(store, keys, choice)
            if metadata is not None:
                from drctl.evaluation.graph_policy import check_graph

                check_graph(checkpoint.graph, parse_model_metadata(metadata, keys.model_metadata), checkpoint.source)
            found[checkpoint.number] = checkpoint
        except DrctlError as error:
            errors.append(error)
    if errors:
        raise combine_errors(errors)
    return list(found.values())


def _physics_notes(
    store: ObjectStore, keys: ModelKeys, checkpoints: Sequence[StoredCheckpoint], spec: EnvironmentSpec
) -> list[Message]:
    """Say so when a car is raced with another behaviour than it was trained with."""
    notes = []
    for checkpoint in checkpoints:
        key = keys.manifest(checkpoint.number)
        try:
            trained = parse_manifest(store.get(key), key).conditions.get("physics")
        except (ObjectNotFoundError, FormatError):  # a model of other software, or an old checkpoint
            continue
        if trained is not None and trained != spec.physics:
            text = (
                f"checkpoint {checkpoint.number} was trained with DR_PHYSICS={trained}, it is raced with {spec.physics}"
            )
            notes.append(Message(text, "warning"))
    return notes


def _make_jobs(
    project: Project, checkpoints: Sequence[StoredCheckpoint], worlds: Sequence[WorldSpec], spec: EnvironmentSpec
) -> tuple[RaceJob, ...]:
    from drctl.evaluation.job import RaceJob
    from drctl.evaluation.recording import CarLook
    from drctl.evaluation.rules import RaceRules

    settings = project.settings
    rules = RaceRules(
        laps=settings.eval_number_of_trials,
        is_continuous=settings.eval_is_continuous,
        max_resets=settings.eval_max_resets,
        off_track_penalty_s=settings.eval_off_track_penalty,
        collision_penalty_s=settings.eval_collision_penalty,
        is_reversed=settings.eval_reverse_direction,
        reset_behind_m=settings.eval_reset_behind_dist,
    )
    look = CarLook(
        settings.display_name,
        settings.racer_name,
        settings.car_color,
        settings.car_body_shell_type,
        settings.race_type,
    )
    pairs = [(checkpoint, world) for checkpoint in checkpoints for world in worlds]
    return tuple(
        RaceJob(number, checkpoint, replace(spec, worlds=(world,)), rules, look)
        for number, (checkpoint, world) in enumerate(pairs)
    )


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
    from drctl.evaluation.publish import publish

    jobs = found.jobs
    if project.settings.eval_save_mp4:
        jobs = tuple(replace(job, video_folder=str(videos / str(job.number))) for job in jobs)
    started = datetime.now()  # the stamp is local time (contract 1.3)
    reports = []
    races = run_jobs(jobs, usable_cores(), lambda number, progress: watch(view_race(jobs[number], progress)))
    with contextlib.closing(races):
        for outcome in races:
            job, laps = jobs[outcome.number], outcome.race.laps
            published = publish(found.store, keys, started, outcome.race, outcome.videos)
            reports.append(
                RaceReport(
                    job.number, job.checkpoint.number, job.track, job.rules.laps, laps, published, outcome.race_s
                )
            )
    return sorted(reports, key=lambda report: report.number)
