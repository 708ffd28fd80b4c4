"""What is found out about a race of stored models before anything is raced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from drctl.config.registry import refused_settings
from drctl.errors import (
    DrctlError,
    FormatError,
    NotSupportedError,
    ObjectNotFoundError,
    Problem,
    TrackError,
    combine_errors,
)
from drctl.evaluation.checkpoint import RACE
from drctl.formats.evaluation_params import DUEL_COLORS
from drctl.formats.manifest import parse_manifest
from drctl.formats.object_keys import ModelKeys
from drctl.formats.race_params import race_of
from drctl.result import Message
from drctl.storage.location import open_store, project_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.config.settings import Settings
    from drctl.evaluation.checkpoint import StoredCheckpoint
    from drctl.evaluation.job import RaceJob
    from drctl.evaluation.recording import CarLook
    from drctl.simulation.environment_spec import EnvironmentSpec, WorldSpec
    from drctl.storage.location import StoreLocation
    from drctl.storage.objects import ObjectStore

COMMAND: Final = "eval"
HEAD_TO_MODEL: Final = "HEAD_TO_MODEL"


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
    """What was found out before anything is raced; nothing stands against it.

    Attributes:
        location: Where the bucket is.
        store: The bucket.
        source: Keys of the model.
        opponent: Keys of the model that it races against; None where it races alone.
        jobs: The races.
        notes: What is worth knowing.
    """

    location: StoreLocation
    store: ObjectStore
    source: ModelKeys
    opponent: ModelKeys | None
    jobs: tuple[RaceJob, ...]
    notes: tuple[Message, ...]


@dataclass(frozen=True)
class _Model:
    """A model with the checkpoints that race; its spec is still without a track."""

    keys: ModelKeys
    spec: EnvironmentSpec
    checkpoints: tuple[StoredCheckpoint, ...]


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
    settings, tracks = project.settings, request.tracks
    problems = refused_settings(settings, COMMAND)
    if problems:
        raise NotSupportedError.from_problems(problems)
    location = location or project_store_location(project)
    store = open_store(location)
    errors: list[DrctlError] = []
    worlds: list[WorldSpec] = []
    for name in dict.fromkeys(tracks or [settings.world_name]):
        try:
            worlds.append(_find_world(project, name, is_default=not tracks))
        except DrctlError as error:
            errors.append(error)
    loads = [partial(_load_own, project, request)]
    if settings.race_type == HEAD_TO_MODEL:
        loads.append(partial(_load_opponent, project))
    models: list[_Model] = []
    for load in loads:
        try:
            models.append(load(store, loads_graphs))
        except DrctlError as error:
            errors.append(error)
    if errors:
        raise combine_errors(errors)
    own, opponent = models[0], models[1] if len(models) > 1 else None
    notes = [note for model in models for note in _physics_notes(store, model)]
    notes += _twin_notes(own, opponent)
    jobs = _make_jobs(project, own, opponent, worlds)
    return RacePreparation(location, store, own.keys, None if opponent is None else opponent.keys, jobs, tuple(notes))


def _load_own(project: Project, request: EvaluationRequest, store: ObjectStore, loads_graphs: bool) -> _Model:
    settings = project.settings
    keys = ModelKeys(settings.local_s3_model_prefix, settings.local_s3_metrics_prefix)
    return _load_model(project, keys, request.checkpoints or (settings.eval_checkpoint,), store, loads_graphs, RACE)


def _load_opponent(project: Project, store: ObjectStore, loads_graphs: bool) -> _Model:
    settings = project.settings
    keys = ModelKeys(settings.eval_opp_s3_model_prefix, settings.eval_opp_s3_metrics_prefix)
    choices = (settings.eval_opp_checkpoint,)
    try:
        return _load_model(project, keys, choices, store, loads_graphs, "drctl eval --opponent")
    except DrctlError as error:
        told = [
            replace(
                problem,
                what=f"the opponent: {problem.what}",
                fix=problem.fix and problem.fix.replace(" --checkpoint ", " --opponent-checkpoint "),
            )
            for problem in error.problems
        ]
        raise type(error).from_problems(told) from error


def _load_model(
    project: Project, keys: ModelKeys, choices: Sequence[str], store: ObjectStore, loads_graphs: bool, command: str
) -> _Model:
    spec = _read_spec(project, store, keys, command)
    checkpoints = _load_checkpoints(store, keys, choices, spec.metadata if loads_graphs else None, command)
    return _Model(keys, spec, tuple(checkpoints))


def _twin_notes(own: _Model, opponent: _Model | None) -> list[Message]:
    """Say so when a checkpoint has itself as its opponent, as it has when nobody chose one."""
    if opponent is None or opponent.keys.prefix != own.keys.prefix:
        return []
    (theirs,) = opponent.checkpoints
    text = (
        f"checkpoint {theirs.number} of {own.keys.prefix} races against itself; --opponent and --opponent-checkpoint "
        "choose another opponent"
    )
    return [Message(text, "warning") for one in own.checkpoints if one.number == theirs.number]


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


def _read_spec(project: Project, store: ObjectStore, keys: ModelKeys, command: str) -> EnvironmentSpec:
    """Return what is simulated, still without a track."""
    from drctl.evaluation import centre_line_reward
    from drctl.evaluation.checkpoint import read_metadata
    from drctl.formats.model_metadata import parse_model_metadata
    from drctl.simulation.environment_spec import EnvironmentSpec
    from drctl.simulation.vehicle.physics import resolve_physics

    settings = project.settings
    text, place = read_metadata(store, keys, command)
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
    store: ObjectStore, keys: ModelKeys, choices: Sequence[str], metadata: str | None, command: str
) -> list[StoredCheckpoint]:
    """Read checkpoints; with the model's metadata each graph is loaded as well."""
    from drctl.evaluation.checkpoint import load_checkpoint
    from drctl.formats.model_metadata import parse_model_metadata

    found: dict[int, StoredCheckpoint] = {}
    errors: list[DrctlError] = []
    for choice in choices:
        try:
            checkpoint = load_checkpoint(store, keys, choice, command)
            if metadata is not None:
                from drctl.evaluation.graph_policy import check_graph

                check_graph(checkpoint.graph, parse_model_metadata(metadata, keys.model_metadata), checkpoint.source)
            found[checkpoint.number] = checkpoint
        except DrctlError as error:
            errors.append(error)
    if errors:
        raise combine_errors(errors)
    return list(found.values())


def _physics_notes(store: ObjectStore, model: _Model) -> list[Message]:
    """Say so when a car is raced with another behaviour than it was trained with."""
    notes = []
    for checkpoint in model.checkpoints:
        key = model.keys.manifest(checkpoint.number)
        try:
            trained = parse_manifest(store.get(key), key).conditions.get("physics")
        except (ObjectNotFoundError, FormatError):  # a model of other software, or an old checkpoint
            continue
        if trained is not None and trained != model.spec.physics:
            text = (
                f"checkpoint {checkpoint.number} of {model.keys.prefix} was trained with DR_PHYSICS={trained}, "
                f"it is raced with {model.spec.physics}"
            )
            notes.append(Message(text, "warning"))
    return notes


def _make_jobs(
    project: Project, own: _Model, opponent: _Model | None, worlds: Sequence[WorldSpec]
) -> tuple[RaceJob, ...]:
    from drctl.evaluation.job import Entrant, RaceJob
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
    own_look, opponent_look = _looks(settings, is_duel=opponent is not None)
    races = []
    for checkpoint, world in product(own.checkpoints, worlds):
        entrants = [Entrant(own.keys.prefix, checkpoint, replace(own.spec, worlds=(world,)), own_look)]
        if opponent is not None:
            spec = replace(opponent.spec, worlds=(world,))
            entrants.append(Entrant(opponent.keys.prefix, opponent.checkpoints[0], spec, opponent_look))
        races.append(tuple(entrants))
    return tuple(RaceJob(number, entrants, rules) for number, entrants in enumerate(races))


def _looks(settings: Settings, *, is_duel: bool) -> tuple[CarLook, CarLook]:
    """Return how the model's car and its opponent's are drawn; in a duel both have colours of their own."""
    from drctl.evaluation.recording import CarLook

    own_color, opponent_color = DUEL_COLORS if is_duel else (settings.car_color, "Black")
    own = CarLook(
        settings.display_name, settings.racer_name, own_color, settings.car_body_shell_type, settings.race_type
    )
    opponent = CarLook(
        settings.eval_opp_display_name,
        settings.eval_opp_racer_name,
        opponent_color,
        settings.eval_opp_car_body_shell_type,
        settings.race_type,
    )
    return own, opponent
