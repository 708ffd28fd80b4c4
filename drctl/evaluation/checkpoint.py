"""Which of a model's checkpoints is raced; reads the store and never writes to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from drctl.errors import FormatError, ObjectNotFoundError, nearest
from drctl.formats.checkpoint_index import checkpoint_number, parse_checkpoint_index

if TYPE_CHECKING:
    from drctl.formats.object_keys import ModelKeys
    from drctl.storage.objects import ObjectStore

_GRAPH: Final = re.compile(r"model_([0-9]+)\.pb")
_ATTEMPTS: Final = 3
"""A training that goes on may remove an old graph between the index and the graph being read."""

_MOST_NAMED: Final = 12

RACE: Final = "drctl eval --model"
"""What is typed before a model's prefix to race it."""


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint as it lies in the store.

    Attributes:
        number: Its number.
        graph: Content of its ``model_<n>.pb``.
        source: Where that lies, for messages.
    """

    number: int
    graph: bytes
    source: str


def read_metadata(store: ObjectStore, keys: ModelKeys, command: str = RACE) -> tuple[str, str]:
    """Return the text of a model's ``model_metadata.json`` and its place for messages.

    Args:
        store: The bucket.
        keys: Of the model.
        command: What an error tells to type before the prefix of a model that is there.

    Raises:
        FormatError: It is not text.
        ObjectNotFoundError: There is no such model; names those that there are.
    """
    place = f"{store.name}/{keys.model_metadata}"
    try:
        return store.get(keys.model_metadata).decode(), place
    except ObjectNotFoundError:
        raise _no_model(store, keys, command) from None
    except UnicodeDecodeError as error:
        raise FormatError("model_metadata.json is not text in UTF-8", where=place) from error


def load_checkpoint(store: ObjectStore, keys: ModelKeys, choice: str, command: str = RACE) -> StoredCheckpoint:
    """Read a checkpoint's graph.

    Args:
        store: The bucket.
        keys: Of the model.
        choice: ``best`` or ``last``, as the checkpoint index has them, or a number.
        command: See `read_metadata`.

    Raises:
        FormatError: The checkpoint index does not follow its format.
        ObjectNotFoundError: There is no such checkpoint; names those that there are.
    """
    for _ in range(_ATTEMPTS):
        number = chosen_number(store, keys, choice, command)
        key = keys.frozen_graph(number)
        try:
            return StoredCheckpoint(number, store.get(key), f"{store.name}/{key}")
        except ObjectNotFoundError:
            continue
    name = str(number) if choice.isdecimal() else f"{choice} ({number})"
    raise _no_checkpoint(store, keys, f"checkpoint {name} of {keys.prefix} is not in the store", command)


def stored_numbers(store: ObjectStore, keys: ModelKeys) -> list[int]:
    """Return the numbers of the checkpoints whose graphs are in the store, ascending."""
    folder = keys.frozen_graph(0).rpartition("/")[0]
    found = (_GRAPH.fullmatch(info.key.removeprefix(f"{folder}/")) for info in store.list(folder))
    return sorted(int(match[1]) for match in found if match)


def stored_models(store: ObjectStore) -> list[str]:
    """Return the prefixes of a bucket's models, those that are single names."""
    return [
        name
        for name in store.list_folders()
        if not name.startswith(".") and store.stat(f"{name}/model/model_metadata.json") is not None
    ]


def chosen_number(store: ObjectStore, keys: ModelKeys, choice: str, command: str = RACE) -> int:
    """Return the number of the checkpoint that a choice means; a number means itself.

    Args:
        store: The bucket.
        keys: Of the model.
        choice: ``best`` or ``last``, as the checkpoint index has them, or a number.
        command: See `read_metadata`.

    Raises:
        FormatError: The checkpoint index does not follow its format.
        ObjectNotFoundError: The index names none.
    """
    if choice.isdecimal():
        return int(choice)
    place = f"{store.name}/{keys.checkpoint_index}"
    try:
        index = parse_checkpoint_index(store.get(keys.checkpoint_index), place)
    except ObjectNotFoundError:
        text = f"{keys.prefix} has no checkpoint index, so that it is not known which one is {choice}"
        raise _no_checkpoint(store, keys, text, command) from None
    name = (index.best if choice == "best" else index.last).name
    if name is None:
        raise _no_checkpoint(store, keys, f"{keys.prefix} has no {choice} checkpoint yet", command)
    return checkpoint_number(name)


def _no_checkpoint(store: ObjectStore, keys: ModelKeys, what: str, command: str) -> ObjectNotFoundError:
    numbers = stored_numbers(store, keys)
    where = f"{store.name}/{keys.prefix}/model"
    if not numbers:
        return ObjectNotFoundError(
            what, where=where, expected="at least one model_<n>.pb; there is none", fix="drctl start-training"
        )
    shown = [str(number) for number in numbers]
    if len(shown) > _MOST_NAMED:
        shown = [*shown[: _MOST_NAMED // 2], "...", *shown[-_MOST_NAMED // 2 :]]
    return ObjectNotFoundError(
        what,
        where=where,
        expected=f"best, last or one of: {', '.join(shown)}",
        fix=f"{command} {keys.prefix} --checkpoint {numbers[-1]}",
    )


def _no_model(store: ObjectStore, keys: ModelKeys, command: str) -> ObjectNotFoundError:
    models = stored_models(store)
    best = nearest(keys.prefix, models) or (models[0] if models else None)
    return ObjectNotFoundError(
        f"there is no model under the prefix {keys.prefix}",
        where=f"{store.name}/{keys.model_metadata}",
        expected=f"the prefix of a model: {', '.join(models)}" if models else "a model; the bucket has none",
        fix=f"{command} {best}" if best else "drctl start-training",
    )
