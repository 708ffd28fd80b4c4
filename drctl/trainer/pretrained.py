"""Begin a new model with what an earlier one has learned (contract 7, clone)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drctl.errors import FailedError, FormatError, ObjectNotFoundError
from drctl.formats.manifest import Counters, parse_manifest
from drctl.formats.object_keys import ModelKeys
from drctl.storage.location import open_store

if TYPE_CHECKING:
    from drctl.storage.location import StoreLocation
    from drctl.trainer.learner import Learner
    from drctl.trainer.spec import PretrainedSpec


@dataclass(frozen=True)
class Inheritance:
    """What a new model has of an earlier one beside its weights.

    Attributes:
        counters: Where its own counters begin.
        origin: ``bucket``, ``prefix`` and ``checkpoint`` of the earlier model; kept in every checkpoint's conditions.
    """

    counters: Counters
    origin: dict[str, Any]


def inherit(pretrained: PretrainedSpec, location: StoreLocation, learner: Learner) -> Inheritance:
    """Give a learner the weights of an earlier model and, when it is taken over in full, its optimiser.

    Where the earlier model is a graph, the policy is taken out of it and the rest begins untrained.

    Counters count what was driven and learned: episodes, steps and laps. What judges the model (recent scores, the
    best lap, clean evaluations in a row) belongs to the files it was trained with and begins anew.

    Args:
        pretrained: The earlier model's checkpoint.
        location: Bucket of the new model.
        learner: Of the new model.

    Raises:
        FailedError: The checkpoint has been removed since the start was checked.
        FormatError: It does not fit the learner.
    """
    store = open_store(location.with_bucket(pretrained.bucket))
    keys = ModelKeys(pretrained.prefix)
    origin = {"bucket": pretrained.bucket, "prefix": pretrained.prefix, "checkpoint": pretrained.checkpoint}
    counters = Counters()
    try:
        if pretrained.is_graph:
            key = keys.frozen_graph(pretrained.checkpoint)
            _load(lambda data: learner.load_policy(data, key), store.get(key))
        else:
            _load(learner.load_weights, store.get(keys.weights(pretrained.checkpoint)))
        if pretrained.is_full:
            _load(learner.load_optimizer_state, store.get(keys.optimizer(pretrained.checkpoint)))
            key = keys.manifest(pretrained.checkpoint)
            former = parse_manifest(store.get(key), key).counters
            counters = Counters(episodes=former.episodes, steps=former.steps, laps=former.laps)
    except ObjectNotFoundError as error:
        raise FailedError(
            f"checkpoint {pretrained.checkpoint} of {pretrained.prefix} is no longer in the store",
            where=error.problems[0].where,
            fix="drctl start-training -w chooses a checkpoint again",
        ) from error
    return Inheritance(counters, origin)


def _load(take_over: Any, data: bytes) -> None:
    try:
        take_over(data)
    except FormatError as error:
        raise FormatError(
            str(error),
            where="the pretrained model",
            expected=error.problems[0].expected,
            fix="drctl config set DR_LOCAL_S3_PRETRAINED=False",
        ) from error
