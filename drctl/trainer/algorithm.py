"""Which learner a model's ``training_algorithm`` asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drctl.trainer.ppo import PpoLearner
from drctl.trainer.sac import ReplaySettings, SacLearner

if TYPE_CHECKING:
    from drctl.formats.hyperparameters import Hyperparameters
    from drctl.formats.model_metadata import ModelMetadata
    from drctl.trainer.learner import Learner
    from drctl.trainer.networks import Heads
    from drctl.trainer.precision import PrecisionRequest


def make_learner(
    metadata: ModelMetadata,
    hyperparameters: Hyperparameters,
    *,
    seed: int,
    precision: PrecisionRequest,
    heads: Heads,
    shards: int | None,
    replay: ReplaySettings,
) -> Learner:
    """Make the learner of a model; arguments as for the learners, `replay` for those that have a memory."""
    if metadata.training_algorithm == "sac":
        return SacLearner(
            metadata, hyperparameters, seed=seed, precision=precision, heads=heads, shards=shards, replay=replay
        )
    return PpoLearner(metadata, hyperparameters, seed=seed, precision=precision, heads=heads, shards=shards)
