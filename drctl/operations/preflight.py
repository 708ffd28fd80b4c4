"""Everything that can be known before a training starts, all problems at once, and nothing changed yet."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drctl.config.registry import fix_for, idle_settings, refused_settings
from drctl.errors import (
    ConfigError,
    DrctlError,
    FormatError,
    NotSupportedError,
    Problem,
    TrackError,
    UnavailableError,
    combine_errors,
)
from drctl.formats.hyperparameters import idle_keys, impossible, parse_hyperparameters
from drctl.formats.model_metadata import parse_model_metadata
from drctl.formats.object_keys import ModelKeys
from drctl.formats.race_params import race_of
from drctl.operations.community import stack_notes, stack_problems, uses_images
from drctl.operations.container_store import store_notes
from drctl.operations.containers import check_machine, is_in_containers
from drctl.operations.machine_check import check_disk, check_gpu, check_port
from drctl.operations.prefix_check import check_prefix, check_pretrained
from drctl.operations.preparation import CheckedFiles, Draft, PlanBasis, Preparation
from drctl.operations.snapshot import (
    HYPERPARAMETERS,
    MODEL_METADATA,
    REWARD_FUNCTION,
    UserFiles,
    gather_files,
    has_local_files,
)
from drctl.operations.swarm import is_in_swarm
from drctl.result import Message
from drctl.stack.drctl_stack import usable_cores
from drctl.storage.directory import DirectoryStore
from drctl.storage.location import open_store, project_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.simulation.track.track import Track

COMMAND: Final = "start-training"
PROBE: Final = "write-test"

# Module -> the extra that installs it (DESIGN 3).
_NEEDED: Final = {
    "torch": "train",
    "tensorboard": "train",
    "numpy": "sim",
    "numba": "sim",
    "zmq": "sim",
    "msgpack": "sim",
}


def prepare(
    project: Project,
    *,
    wipe: bool,
    resume: bool,
    force: bool,
    provide_store: Callable[[], None] = lambda: None,
    provide_images: Callable[[], None] = lambda: None,
) -> Preparation:
    """Check everything.

    Args:
        project: The project.
        wipe: What lies under the prefix will be moved to the trash.
        resume: Continue an earlier training.
        force: Resume, or begin with an earlier model, although files or settings differ.
        provide_store: Starts the store's server where the project has one of its own; called once nothing is known
            to stand against containers.
        provide_images: Gets the images that are missing where that can be done; called when all else is well.

    Raises:
        DrctlError: Everything that stands against the start; see `combine_errors`.
    """
    found = Draft(project, resume, provide_store)
    errors: list[DrctlError] = []
    checks: list[Callable[[Draft], None]] = [
        _check_settings,
        _check_containers,
        _open_store,
        _check_files,
        _check_stop_rule,
        _check_entries,
        _check_reward,
        _check_packages,
        lambda draft: check_gpu(draft.project),
        lambda draft: check_port(draft.project),
        lambda draft: check_disk(draft.project, has_folder_store=draft.has_folder_store),
        lambda draft: check_prefix(draft, wipe=wipe, force=force),
        lambda draft: check_pretrained(draft, force=force),
    ]
    for check in checks:
        try:
            check(found)
        except DrctlError as error:
            errors.append(error)
    if errors:
        raise combine_errors(sorted(errors, key=lambda error: _ORDER.get(error.exit_status, 9)))
    provide_images()
    _check_writing(found)  # the one check that leaves a trace: the bucket's folder
    found.notes += _worker_notes(found)
    return found.finish()


def check_without_starting(project: Project) -> PlanBasis:
    """Check what can be checked on the project alone: neither Docker nor a server is asked, nothing is written.

    Raises:
        DrctlError: Everything that was found to stand against a start.
    """
    found = _check_offline(project)
    if found.location is None or found.keys is None:
        raise RuntimeError("a check passed and left nothing")
    return PlanBasis(project, found.location, found.keys, found.files, (*found.notes, *_worker_notes(found)))


def check_files(project: Project) -> CheckedFiles:
    """Check the project's files as `check_without_starting` does.

    Raises:
        DrctlError: Everything that was found to stand against a start.
    """
    found = _check_offline(project)
    if found.files is None:
        raise UnavailableError(
            f"there are no custom files in {project.custom_files}",
            where=str(project.custom_files),
            expected="the files that the training will use",
            fix="drctl download-custom-files",
        )
    told = {one.as_message() for one in found.findings}
    notes = [note for note in (*found.notes, *_worker_notes(found)) if note not in told]
    return CheckedFiles(found.files, tuple(found.findings), tuple(notes))


def _check_offline(project: Project) -> Draft:
    found = Draft(project, is_resume=False, provide_store=lambda: None)
    settings = project.settings
    found.keys = ModelKeys(settings.local_s3_model_prefix, settings.local_s3_metrics_prefix)
    found.location = project_store_location(project)
    if found.location.kind == "directory" or has_local_files(project):
        # Where the project has files of its own the bucket is not asked for any.
        found.store = DirectoryStore(Path(found.location.folder or project.data_folder))
    else:
        found.notes.append(Message("the custom files are in the bucket; they were not looked at", "warning"))
    if is_in_containers(project):
        found.notes += store_notes(project)
    errors: list[DrctlError] = []
    for check in (_check_settings, _check_files, _check_stop_rule, _check_entries, _check_reward, _check_packages):
        try:
            check(found)
        except DrctlError as error:
            errors.append(error)
    if errors:
        raise combine_errors(sorted(errors, key=lambda error: _ORDER.get(error.exit_status, 9)))
    return found


# What the user wrote comes before what the machine lacks, and that before what exists already.
_ORDER: Final = {3: 0, 4: 1, 5: 2}


def _check_settings(found: Draft) -> None:
    refused = (problem for race in found.project.races for problem in refused_settings(race, COMMAND))
    problems = list(dict.fromkeys(refused))
    found.notes += [Message(text, "warning") for text in idle_settings(found.project.settings)]
    if uses_images(found.project):
        problems += stack_problems(found.project.settings)
        found.notes += stack_notes(found.project.settings)
    found.is_refused = bool(problems)
    if problems:
        raise NotSupportedError.from_problems(problems)


def _check_containers(found: Draft) -> None:
    if not is_in_containers(found.project):
        return
    found.notes += store_notes(found.project)
    try:
        check_machine(found.project)
    except DrctlError:
        found.is_refused = True
        raise


def _open_store(found: Draft) -> None:
    settings = found.project.settings
    found.keys = ModelKeys(settings.local_s3_model_prefix, settings.local_s3_metrics_prefix)
    if found.is_refused and settings.docker_style != "process":
        return  # its server is not started for a training that cannot begin
    found.location = project_store_location(found.project)
    found.provide_store()
    found.store = open_store(found.location)


def _check_files(found: Draft) -> None:
    if found.store is None or found.location is None:
        return
    files = found.files = gather_files(found.project, found.store, found.location)
    errors: list[DrctlError] = []
    try:
        found.hyperparameters = parse_hyperparameters(files.contents[HYPERPARAMETERS], files.places[HYPERPARAMETERS])
        if found.hyperparameters.stack_size > 1:
            stack = f"stack_size={found.hyperparameters.stack_size}"
            text = f"{stack}: the physical car shows its model one frame, so this one drives in simulation only"
            found.notes.append(Message(text, "warning"))
    except DrctlError as error:
        errors.append(error)
    try:
        metadata = parse_model_metadata(files.contents[MODEL_METADATA], files.places[MODEL_METADATA])
        found.metadata = metadata
        found.notes += [Message(f"{files.places[MODEL_METADATA]}: {text}", "warning") for text in metadata.warnings]
    except DrctlError as error:
        errors.append(error)
    try:
        _check_learning(found, files)
    except DrctlError as error:
        errors.append(error)
    if errors:
        raise combine_errors(errors)


def _check_learning(found: Draft, files: UserFiles) -> None:
    """Check what the hyperparameters ask of the model."""
    if found.hyperparameters is None or found.metadata is None or uses_images(found.project):
        return
    place = files.places[HYPERPARAMETERS]
    is_continuous, algorithm = found.metadata.is_continuous, found.metadata.training_algorithm
    problems = impossible(found.hyperparameters, is_continuous=is_continuous, source=place)
    if problems:
        raise FormatError.from_problems(problems)
    idle = idle_keys(found.hyperparameters, algorithm)
    if idle:
        chosen = algorithm if algorithm == "sac" else f"{algorithm} and exploration_type categorical"
        found.notes.append(Message(f"{place}: no effect with {chosen}: {', '.join(idle)}"))


def _check_reward(found: Draft) -> None:
    if _missing_packages(found) or not _can_simulate():
        return  # `_check_packages` says so where it matters
    from drctl.operations.action_check import check_actions
    from drctl.operations.arithmetic_check import check_arithmetic
    from drctl.operations.reward_check import check_reward
    from drctl.operations.spacing_check import check_spacing
    from drctl.simulation.vehicle.physics import resolve_physics

    tracks, problems = load_tracks(found.project)
    if problems and uses_images(found.project):
        what = "; ".join(problem.what for problem in problems)
        text = f"{what}; the image may have it, and the reward function was not tried on it"
        found.notes.append(Message(text, "warning"))
        return
    if problems:
        raise TrackError.from_problems(problems)
    if found.files is None:
        return
    try:
        source = found.files.contents[REWARD_FUNCTION].decode()
    except UnicodeDecodeError as error:
        place = found.files.places[REWARD_FUNCTION]
        raise FormatError(f"{place} is not text in UTF-8", where=place, fix=f"save {place} as UTF-8") from error
    place = found.files.places[REWARD_FUNCTION]
    on_track = {track.name: track for track in tracks}
    races = dict.fromkeys((race.world_name, race_of(race)) for race in found.project.races)
    findings = [
        one
        for name, race in races
        for one in (
            *check_reward(source, place, on_track[name], found.metadata, race),
            *check_spacing(race, on_track[name].length_m),
        )
    ]
    if found.metadata is not None:
        physics = resolve_physics(found.project.settings.physics, found.metadata.version)
        findings += check_actions(found.metadata, tracks, physics, found.files.places[MODEL_METADATA])
    if found.hyperparameters is not None:
        entries = found.project.races
        findings += [one for race in entries for one in check_arithmetic(race, len(entries), found.hyperparameters)]
    found.findings += dict.fromkeys(findings)
    found.notes += [one.as_message() for one in found.findings]


def load_tracks(project: Project) -> tuple[list[Track], list[Problem]]:
    """Return the track of each of the run's races, every one once, and what is wrong with the others."""
    from drctl.simulation.track.library import load_track

    tracks, problems = {}, []
    for race in project.races:
        try:
            tracks[race.world_name] = load_track(race.world_name, project.root / "tracks")
        except TrackError as error:
            place = str(race.origin("DR_WORLD_NAME"))
            problems += [Problem(one.what, one.where or place, one.expected, one.fix) for one in error.problems]
    return list(tracks.values()), problems


def _missing_packages(found: Draft) -> list[str]:
    if uses_images(found.project):
        return []
    # In containers only the reward function is tried here; the images have the rest.
    needed = ("numpy", "numba") if is_in_containers(found.project) else tuple(_NEEDED)
    if is_in_swarm(found.project):
        needed = (*needed, "zmq")  # which makes the keys of the link
    return [name for name in needed if importlib.util.find_spec(name) is None]


def _can_simulate() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("numpy", "numba"))


def _check_packages(found: Draft) -> None:
    missing = _missing_packages(found)
    if missing:
        extras = ", ".join(sorted({_NEEDED[name] for name in missing}))
        raise UnavailableError(
            f"training needs packages that are not installed: {', '.join(missing)}",
            expected=f"drctl with its parts: {extras}",
            fix="pip install 'drctl[local]'",
        )


def _check_writing(found: Draft) -> None:
    """Make sure that the store takes objects, where nothing will see the one that tells."""
    if found.store is None or found.keys is None:
        return
    key = f".{PROBE}-{os.getpid()}"
    found.store.put(key, b"")
    found.store.delete(key)


def _check_stop_rule(found: Draft) -> None:
    rules = found.hyperparameters
    settings = found.project.settings
    if rules is None:
        return
    if uses_images(found.project):
        if rules.target_score is not None:
            text = f"term_cond_avg_score={rules.target_score:g} has no effect: the community images do not read it"
            found.notes.append(Message(text))
        return
    if settings.train_stop_when != "score" and rules.target_score is not None:
        text = (
            f"term_cond_avg_score={rules.target_score:g} has no effect: DR_TRAIN_STOP_WHEN={settings.train_stop_when}"
        )
        found.notes.append(Message(text))
    if settings.train_stop_when == "score" and rules.target_score is None:
        source = settings.origin("DR_TRAIN_STOP_WHEN").source
        raise ConfigError(
            "DR_TRAIN_STOP_WHEN is score, but hyperparameters.json has no term_cond_avg_score",
            where=str(settings.origin("DR_TRAIN_STOP_WHEN")),
            expected="term_cond_avg_score in hyperparameters.json, or another rule",
            fix=fix_for("DR_TRAIN_STOP_WHEN", "laps", source),
        )


def _check_entries(found: Draft) -> None:
    """Refuse a multi-config run in which a race would never be driven, and name one that would never be judged."""
    races, rules = len(found.project.entries), found.hyperparameters
    if races < 2 or rules is None:
        return
    settings = found.project.settings
    if rules.episodes_per_iteration < races:
        raise ConfigError(
            f"{races} workers with a race each, and {rules.episodes_per_iteration} episodes per iteration: "
            f"worker-{rules.episodes_per_iteration + 1}.env and those after it would never be driven",
            where=f"DR_WORKERS {settings.origin('DR_WORKERS')}, hyperparameters.json: num_episodes_between_training",
            expected=f"at least {races} episodes per iteration",
            fix=f"drctl config set DR_WORKERS={rules.episodes_per_iteration}",
        )
    if settings.train_min_eval_trials < races:
        text = (
            f"{settings.train_min_eval_trials} evaluation trials judge only as many of the {races} races; "
            f"drctl config set DR_TRAIN_MIN_EVAL_TRIALS={races}"
        )
        found.notes.append(Message(text, "warning"))


def _worker_notes(found: Draft) -> list[Message]:
    if found.hyperparameters is None:
        return []
    settings, episodes = found.project.settings, found.hyperparameters.episodes_per_iteration
    workers, trials = settings.workers, settings.train_min_eval_trials
    spare = workers * (settings.cars_per_worker or 1) - episodes - trials
    notes = []
    if spare > 0:
        cars = f" x {settings.cars_per_worker} cars" if settings.cars_per_worker else " workers"
        text = f"{workers}{cars} for {episodes} episodes and {trials} evaluation trials at a time: {spare} will idle"
        notes.append(Message(text, "warning"))
    cores = usable_cores()
    if workers > cores:
        notes.append(Message(f"{workers} workers share {cores} cores; more workers than cores make nothing faster"))
    return notes
