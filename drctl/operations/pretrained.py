"""The earlier model that a new one begins with: found, compared with the files, and never written to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from drctl.errors import ConfigError, ObjectNotFoundError, Problem, nearest
from drctl.evaluation.checkpoint import chosen_number, stored_models, stored_numbers
from drctl.evaluation.graph_policy import check_graph
from drctl.formats.hyperparameters import parse_hyperparameters
from drctl.formats.manifest import parse_manifest
from drctl.formats.model_metadata import DiscreteActionSpace, parse_model_metadata
from drctl.formats.object_keys import ModelKeys
from drctl.formats.observation import layout_of
from drctl.formats.policy_graph import inspect_policy
from drctl.formats.policy_weights import decode_policy
from drctl.formats.sensor import DISCRETIZED_SECTOR_LIDAR
from drctl.storage.location import open_store
from drctl.trainer.spec import PretrainedSpec

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.formats.hyperparameters import Hyperparameters
    from drctl.formats.manifest import Manifest
    from drctl.formats.model_metadata import ModelMetadata
    from drctl.storage.location import StoreLocation
    from drctl.storage.objects import ObjectStore

_BEGIN_UNTRAINED: Final = "drctl config set DR_LOCAL_S3_PRETRAINED=False"
_UNTRAINED: Final = "the value network and how widely it explores begin"


@dataclass(frozen=True)
class PretrainedModel:
    """A checkpoint that can be begun with.

    Attributes:
        spec: What the trainer is told.
        place: Where the model is, for messages.
        metadata: Of the model.
        stack_size: Frames per observation of the model.
        manifest: Of the checkpoint; None where only its graph is there.
    """

    spec: PretrainedSpec
    place: str
    metadata: ModelMetadata
    stack_size: int
    manifest: Manifest | None

    def describe(self) -> str:
        """Return what the training begins with, for people."""
        checkpoint = f"{self.place}, checkpoint {self.spec.checkpoint}"
        if self.manifest is None:
            untrained = "the value network begins" if self.metadata.num_actions else _UNTRAINED
            return f"begins with the policy of {checkpoint}, taken out of its graph; {untrained} untrained"
        what = "weights, optimiser and counters" if self.spec.is_full else "the weights"
        return f"begins with {what} of {checkpoint} ({self.manifest.counters.steps} steps)"


def find_pretrained(project: Project, location: StoreLocation) -> PretrainedModel:
    """Look up the checkpoint that ``DR_LOCAL_S3_PRETRAINED_PREFIX`` and ``_CHECKPOINT`` name.

    Args:
        project: The project.
        location: Its bucket; an ``s3://`` address names another bucket of the same store.

    Raises:
        ConfigError: There is no such model or checkpoint; names those that there are.
        FormatError: The model's files do not follow their formats.
    """
    settings = project.settings
    bucket, prefix = _split_address(settings.local_s3_pretrained_prefix, location.bucket)
    own = settings.local_s3_model_prefix
    if bucket == location.bucket and f"{prefix}/".startswith(f"{own}/"):
        raise ConfigError(
            f"the model {own} is to begin with {prefix}, which lies under its own prefix",
            where=str(settings.origin("DR_LOCAL_S3_PRETRAINED_PREFIX")),
            expected="the prefix of another model",
            fix=f"drctl config set DR_LOCAL_S3_MODEL_PREFIX={own}-1",
        )
    store, keys = open_store(location.with_bucket(bucket)), ModelKeys(prefix)
    place = f"{store.name}/{prefix}"
    metadata = _read_metadata(project, store, keys)
    try:
        number = chosen_number(store, keys, settings.local_s3_pretrained_checkpoint)
    except ObjectNotFoundError as error:
        raise _no_checkpoint(project, store, keys, error.problems[0].what) from error
    if store.stat(keys.weights(number)) is None or store.stat(keys.manifest(number)) is None:
        return _find_graph(project, store, keys, metadata, PretrainedSpec(bucket, prefix, number, False, is_graph=True))
    manifest = parse_manifest(store.get(keys.manifest(number)), f"{store.name}/{keys.manifest(number)}")
    if settings.pretrained_full and store.stat(keys.optimizer(number)) is None:
        kept = _numbers(store, keys.optimizers_folder)
        raise ConfigError(
            f"DR_PRETRAINED_FULL is True, and the optimiser of checkpoint {number} is not kept",
            where=place,
            expected=f"one of the checkpoints {', '.join(map(str, kept))}",
            fix=f"drctl config set DR_LOCAL_S3_PRETRAINED_CHECKPOINT={kept[-1] if kept else 'last'}",
        )
    stack_size = 1
    if store.stat(keys.hyperparameters) is not None:
        stack_size = parse_hyperparameters(store.get(keys.hyperparameters), keys.hyperparameters).stack_size
    spec = PretrainedSpec(bucket, prefix, number, settings.pretrained_full)
    return PretrainedModel(spec, place, metadata, stack_size, manifest)


def _find_graph(
    project: Project, store: ObjectStore, keys: ModelKeys, metadata: ModelMetadata, spec: PretrainedSpec
) -> PretrainedModel:
    """Look up a checkpoint of which there is nothing but its graph: of the original system, or imported."""
    place, number = f"{store.name}/{keys.prefix}", spec.checkpoint
    try:
        graph = store.get(keys.frozen_graph(number))
    except ObjectNotFoundError:
        raise _no_checkpoint(project, store, keys, f"{place} has no checkpoint {number}") from None
    if project.settings.pretrained_full:
        raise ConfigError(
            f"DR_PRETRAINED_FULL is True, and {place} has nothing but the graph of checkpoint {number}",
            where=str(project.settings.origin("DR_PRETRAINED_FULL")),
            expected="a model that drctl has trained",
            fix="drctl config set DR_PRETRAINED_FULL=False",
        )
    source = f"{store.name}/{keys.frozen_graph(number)}"
    # Of the original's stack_size nothing is told here: it has no effect there, and the graph knows.
    stack_size = check_graph(graph, metadata, source)
    decode_policy(inspect_policy(graph, source), layout_of(metadata, stack_size), source)
    return PretrainedModel(spec, place, metadata, stack_size, None)


def refuse_unlike(
    project: Project,
    source: PretrainedModel,
    metadata: ModelMetadata,
    hyperparameters: Hyperparameters,
    *,
    force: bool,
) -> None:
    """Refuse a model whose network the files do not describe, saying what differs.

    Args:
        project: The project.
        source: The earlier model.
        metadata: Of the files.
        hyperparameters: Of the files.
        force: Take over actions of equal number that have other angles and speeds.

    Raises:
        ConfigError: They do not fit together, or the stop rule would be met at once.
    """
    problems = []
    network = _network_differences(project, source, metadata, hyperparameters)
    where = f"{source.place}, custom_files/model_metadata.json"
    if network:
        problems.append(
            Problem(
                f"{source.place} has another network than these files describe",
                "\n".join([where, *network]),
                "the same sensors, network and kind of actions",
                _BEGIN_UNTRAINED,
            )
        )
    elif not force and source.metadata.action_space != metadata.action_space:
        problems.append(
            Problem(
                f"{source.place} has learned other actions than these files have",
                "\n".join([where, *_action_differences(source.metadata, metadata)]),
                "the same actions",
                "drctl start-training -f begins with it all the same",
            )
        )
    driven = source.manifest.counters.episodes if source.manifest else 0
    if source.spec.is_full and driven >= hyperparameters.max_episodes:
        problems.append(
            Problem(
                f"{source.place} has driven {driven} episodes already, so the training would end at once",
                "hyperparameters.json: term_cond_max_episodes",
                f"more than {driven}",
                f"raise term_cond_max_episodes above {driven}, or drctl config set DR_PRETRAINED_FULL=False",
            )
        )
    if problems:
        raise ConfigError.from_problems(problems)


def _split_address(text: str, bucket: str) -> tuple[str, str]:
    if not text.startswith("s3://"):
        return bucket, text.strip("/")
    other, _, prefix = text.removeprefix("s3://").partition("/")
    return other, prefix.strip("/")


def _read_metadata(project: Project, store: ObjectStore, keys: ModelKeys) -> ModelMetadata:
    place = f"{store.name}/{keys.model_metadata}"
    try:
        return parse_model_metadata(store.get(keys.model_metadata), place)
    except ObjectNotFoundError:
        own = project.settings.local_s3_model_prefix
        models = [name for name in stored_models(store) if name != own]
        best = nearest(keys.prefix, models) or (models[0] if models else None)
        raise ConfigError(
            f"there is no model {store.name}/{keys.prefix} to begin with",
            where=str(project.settings.origin("DR_LOCAL_S3_PRETRAINED_PREFIX")),
            expected=f"one of: {', '.join(models)}" if models else "a trained model; the bucket has none",
            fix=f"drctl config set DR_LOCAL_S3_PRETRAINED_PREFIX={best}" if best else _BEGIN_UNTRAINED,
        ) from None


def _no_checkpoint(project: Project, store: ObjectStore, keys: ModelKeys, what: str) -> ConfigError:
    numbers = _numbers(store, keys.weights_folder) or stored_numbers(store, keys)
    return ConfigError(
        what,
        where=str(project.settings.origin("DR_LOCAL_S3_PRETRAINED_CHECKPOINT")),
        expected=f"best, last or one of: {', '.join(map(str, numbers))}"
        if numbers
        else "a model with a checkpoint; this one has none",
        fix="drctl config set DR_LOCAL_S3_PRETRAINED_CHECKPOINT=last" if numbers else _BEGIN_UNTRAINED,
    )


def _numbers(store: ObjectStore, folder: str) -> list[int]:
    stems = (info.key.rpartition("/")[2].partition(".")[0] for info in store.list(folder))
    return sorted(int(stem) for stem in stems if stem.isdigit())


def _network_differences(
    project: Project, source: PretrainedModel, metadata: ModelMetadata, hyperparameters: Hyperparameters
) -> list[str]:
    theirs = source.metadata
    pairs: dict[str, tuple[object, object]] = {
        "training_algorithm": (theirs.training_algorithm, metadata.training_algorithm),
        "action_space_type": (_kind(theirs), _kind(metadata)),
        "actions": (theirs.num_actions, metadata.num_actions),
        "sensor": (", ".join(sorted(theirs.sensors)), ", ".join(sorted(metadata.sensors))),
        "neural_network": (theirs.neural_network, metadata.neural_network),
        "stack_size": (source.stack_size, hyperparameters.stack_size),
    }
    if source.manifest is not None:
        pairs["DR_NETWORK_HEADS"] = (
            source.manifest.conditions.get("network_heads"),
            project.settings.network_heads,
        )
    if DISCRETIZED_SECTOR_LIDAR in theirs.sensors and DISCRETIZED_SECTOR_LIDAR in metadata.sensors:
        pairs["lidar_config"] = (theirs.lidar, metadata.lidar)
    return [f"{name} was {there}, is {here}" for name, (there, here) in pairs.items() if there != here]


def _kind(metadata: ModelMetadata) -> str:
    return "continuous" if metadata.is_continuous else "discrete"


def _action_differences(theirs: ModelMetadata, ours: ModelMetadata) -> list[str]:
    there, here = theirs.action_space, ours.action_space
    if isinstance(there, DiscreteActionSpace) and isinstance(here, DiscreteActionSpace):
        actions = zip(
            zip(there.steering_deg, there.speed_m_s, strict=True),
            zip(here.steering_deg, here.speed_m_s, strict=True),
            strict=True,
        )
        return [
            f"action {number} was {_action(*old)}, is {_action(*new)}"
            for number, (old, new) in enumerate(actions)
            if old != new
        ]
    return [f"bounds were {there}, are {here}"]


def _action(steering_deg: float, speed_m_s: float) -> str:
    return f"{steering_deg:g} degrees at {speed_m_s:g} m/s"
