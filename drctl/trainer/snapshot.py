"""The user's files as they were when the run started: the only copy that its processes read (DESIGN 4.2)."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from drctl.errors import ObjectNotFoundError
from drctl.formats.hyperparameters import Hyperparameters, parse_hyperparameters
from drctl.formats.model_metadata import ModelMetadata, parse_model_metadata
from drctl.formats.training_metrics import BestModelMetric
from drctl.formats.training_params import WorldParams, parse_training_params
from drctl.simulation.environment_spec import EnvironmentSpec, WorldSpec
from drctl.simulation.track.library import load_track
from drctl.simulation.track.track import Track
from drctl.simulation.vehicle.physics import resolve_physics

if TYPE_CHECKING:
    from drctl.formats.object_keys import ModelKeys
    from drctl.trainer.spec import TrainerSpec

HYPERPARAMETERS = "hyperparameters.json"
MODEL_METADATA = "model_metadata.json"
REWARD_FUNCTION = "reward_function.py"


class ReadsObjects(Protocol):
    """Gives objects by key; a store does."""

    def get(self, key: str) -> bytes:
        """Return the content of an object, or raise `ObjectNotFoundError`."""


@dataclass(frozen=True)
class Snapshot:
    """Parsed content of ``<P>/custom_files/`` and ``<P>/training_params*.yaml``.

    Attributes:
        hyperparameters: Parsed.
        metadata: Parsed.
        metadata_text: As the user wrote it.
        reward_source: Text of the reward function.
        worlds: One entry, or one per worker with multi-config.
        waypoints: Rows of each world's track that the user brought, None for a track of the library.
        is_closed: Whether each world's track is a loop.
        min_eval_trials: Greedy episodes per checkpoint.
        best_model_metric: ``progress``, ``reward`` or ``laptime``.
        digests: SHA-256 of each file by its name.
    """

    hyperparameters: Hyperparameters
    metadata: ModelMetadata
    metadata_text: str
    reward_source: str
    worlds: tuple[WorldParams, ...]
    waypoints: tuple[np.ndarray | None, ...]
    is_closed: tuple[bool, ...]
    min_eval_trials: int
    best_model_metric: BestModelMetric
    digests: dict[str, str]

    def conditions(self, spec: TrainerSpec, precision: str, shards: int, slots: int) -> dict[str, Any]:
        """Return what must stay the same for a resume to continue exactly."""
        return {
            "seed": spec.seed,
            "physics": resolve_physics(spec.physics, self.metadata.version),
            "precision": precision,
            "shards": shards,
            "network_heads": spec.network_heads,
            "slots": slots,
            "max_steps_per_iteration": spec.max_steps_per_iteration,
            "files": self.digests,
        }

    def environment(self, seed: int, physics: str) -> EnvironmentSpec:
        """Describe the environment that every worker builds.

        Args:
            seed: Seed of the run.
            physics: Variant, already resolved.
        """
        return EnvironmentSpec(
            worlds=tuple(
                WorldSpec(
                    world.world_name,
                    None if rows is None else tuple(map(tuple, rows.tolist())),
                    world.randomized,
                    world.race,
                )
                for world, rows in zip(self.worlds, self.waypoints, strict=True)
            ),
            metadata=self.metadata_text,
            physics=physics,
            reward_source=self.reward_source,
            reward_file=REWARD_FUNCTION,
            seed=seed,
        )


def load_snapshot(store: ReadsObjects, keys: ModelKeys, params_file: str, worlds: int) -> Snapshot:
    """Read and parse the snapshot.

    Args:
        store: Bucket, or anything else that gives objects by key.
        keys: Object keys of the model.
        params_file: ``DR_LOCAL_S3_TRAINING_PARAMS_FILE``.
        worlds: Number of ``training_params_<i>.yaml`` files of a multi-config run; 1 for the plain file.

    Raises:
        FormatError: A file does not follow its format.
        ObjectNotFoundError: A file is missing.
        TrackError: A world is unknown.
    """
    files = {name: store.get(keys.custom_files(name)) for name in (HYPERPARAMETERS, MODEL_METADATA, REWARD_FUNCTION)}
    params_keys = keys.all_training_params(worlds, params_file)
    params = {key.rpartition("/")[2]: store.get(key) for key in params_keys}
    entries = tuple(parse_training_params(data, name) for name, data in params.items())
    waypoints = tuple(_user_track(store, keys, entry.world_name) for entry in entries)
    tracks = [
        load_track(entry.world_name) if rows is None else Track.from_waypoints(entry.world_name, rows)
        for entry, rows in zip(entries, waypoints, strict=True)
    ]
    metadata = files[MODEL_METADATA].decode()
    return Snapshot(
        hyperparameters=parse_hyperparameters(files[HYPERPARAMETERS], HYPERPARAMETERS),
        metadata=parse_model_metadata(metadata, MODEL_METADATA),
        metadata_text=metadata,
        reward_source=files[REWARD_FUNCTION].decode(),
        worlds=entries,
        waypoints=waypoints,
        is_closed=tuple(track.is_closed for track in tracks),
        min_eval_trials=entries[0].min_eval_trials,
        best_model_metric=entries[0].best_model_metric,
        digests={name: hashlib.sha256(data).hexdigest() for name, data in {**files, **params}.items()},
    )


def _user_track(store: ReadsObjects, keys: ModelKeys, name: str) -> np.ndarray | None:
    try:
        data = store.get(keys.custom_files(f"{name}.npy"))
    except ObjectNotFoundError:
        return None
    rows: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    return rows
