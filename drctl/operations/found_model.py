"""What of a source is the model: its metadata, the graphs that matter, the index, and the files that tell about it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import FormatError, ObjectNotFoundError
from drctl.formats.car_archive import METADATA_NAME
from drctl.formats.checkpoint_index import (
    CheckpointIndex,
    CheckpointRecord,
    checkpoint_name,
    checkpoint_number,
    parse_checkpoint_index,
)
from drctl.formats.json_text import read_json_object
from drctl.formats.model_metadata import METADATA_KEYS
from drctl.operations.amount import count_text
from drctl.operations.model_source import LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drctl.operations.model_source import ModelSource

_GRAPH: Final = re.compile(r"(?P<folder>(?:.*/)?)model_(?P<number>[0-9]{1,9})\.pb")
_INDEX_NAME: Final = "deepracer_checkpoints.json"
_OUR_COPIES: Final = (".drctl/", "custom_files/")
_TENSORFLOW: Final = re.compile(r".*\.ckpt(\.(index|meta|data-.*))?|(.*/)?\.?(coach_)?checkpoint")
_TELLING: Final = re.compile(
    r"reward_function\.py|ip/hyperparameters\.json|training_params(_[0-9]+)?\.ya?ml|metrics/(evaluation/)?[^/]+\.json"
    r"|([0-9]/)?training-simtrace/[0-9]+-iteration\.csv|evaluation-[0-9]{14}/evaluation-simtrace/[0-9]+-iteration\.csv"
)
_FIRST: Final = 1  # number of a graph that has none; 0 would be an untrained network
_MOST_NAMED: Final = 3


@dataclass(frozen=True)
class FoundModel:
    """A model as it will be stored.

    Attributes:
        metadata: Content of ``model_metadata.json``.
        metadata_place: Its full name in the source, for messages.
        graphs: Name of the file of each checkpoint's graph, by number.
        index: Of these checkpoints.
        telling: Files that tell how it was trained and raced: key below the prefix, by name in the source.
        left: What stays behind, for people; empty where nothing does.
        notes: What else is worth knowing.
    """

    metadata: bytes
    metadata_place: str
    graphs: Mapping[int, str]
    index: CheckpointIndex
    telling: Mapping[str, str]
    left: str
    notes: tuple[str, ...]


def find_model(source: ModelSource, checkpoint: str | None) -> FoundModel:
    """Choose what to import.

    Args:
        source: Where from.
        checkpoint: ``best``, ``last`` or a number; None for the best and the last one.

    Raises:
        FormatError: It has no model, or more than one, or two different ``model_metadata.json``.
        ObjectNotFoundError: The checkpoint is not there.
    """
    graphs, folder = _find_graphs(source)
    metadata, name, notes = _find_metadata(source, folder)
    index_name = f"{folder}{_INDEX_NAME}"
    index = None
    if index_name in source.sizes:
        index = parse_checkpoint_index(source.read(index_name, LIMITS.metadata_bytes), source.name_of(index_name))
    chosen, more = _choose(source, graphs, index, checkpoint)
    root = folder.removesuffix("model/") if folder == "model/" or folder.endswith("/model/") else folder
    telling = {
        one: one.removeprefix(root)
        for one in source.sizes
        if one.startswith(root) and _TELLING.fullmatch(one.removeprefix(root))
    }
    used = {*telling, name, index_name, *(graphs[number] for number in chosen)}
    left = [one for one in (*source.sizes, *source.passed_over) if one not in used]
    return FoundModel(
        metadata,
        source.name_of(name),
        {number: graphs[number] for number in chosen},
        _index_of(index, chosen),
        telling,
        _describe_left(left),
        (*notes, *more),
    )


def _find_graphs(source: ModelSource) -> tuple[dict[int, str], str]:
    """Return the graphs by number, and the folder they lie in, with a slash at its end unless it is the source."""
    names = [name for name in source.sizes if name.endswith(".pb")]
    numbered = {name: match for name in names if (match := _GRAPH.fullmatch(name))}
    folders = sorted({match["folder"] for match in numbered.values()})
    if len(folders) > 1:
        raise FormatError(
            f"{source.place} holds graphs in {len(folders)} folders: {_list([one or './' for one in folders])}",
            where=source.place,
            expected="the folder or prefix of one model",
            fix=f"drctl import-model {source.name_of(folders[0].removesuffix('/').removesuffix('/model') or '.')}",
        )
    if numbered:
        return {int(match["number"]): name for name, match in sorted(numbered.items())}, folders[0]
    if len(names) != 1:
        raise FormatError(
            f"{source.place} holds {len(names)} graphs: {_list(names)}" if names else f"{source.place} holds no graph",
            where=source.place,
            expected="model/model_<n>.pb of one model, or one .pb",
            fix=_no_graph_fix(source),
        )
    folder, slash, _ = names[0].rpartition("/")
    return {_FIRST: names[0]}, f"{folder}{slash}"


def _no_graph_fix(source: ModelSource) -> str | None:
    if any(name.endswith(".pb/xl.meta") for name in source.sizes):
        return "this is how MinIO keeps its objects: start its server and name s3://bucket/prefix, see docs/models.md"
    if any(_TENSORFLOW.fullmatch(name) for name in source.sizes):
        return "its TensorFlow checkpoint cannot be read; fetch the model_<n>.pb beside it, or its car file"
    return None


def _find_metadata(source: ModelSource, folder: str) -> tuple[bytes, str, list[str]]:
    names = [
        name for name in source.sizes if name.rpartition("/")[2] == METADATA_NAME and not name.startswith(_OUR_COPIES)
    ]
    if not names:
        raise FormatError(
            f"{source.place} holds no {METADATA_NAME}",
            where=source.place,
            expected="the file that says what the model senses and does, beside its graph",
        )
    names.sort(key=lambda name: (name != f"{folder}{METADATA_NAME}", name))
    contents = {name: source.read(name, LIMITS.metadata_bytes) for name in names}
    values = {name: read_json_object(content, source.name_of(name)) for name, content in contents.items()}
    first = names[0]
    unlike = [name for name in names if values[name] != values[first]]
    if unlike:
        raise FormatError(
            f"{source.place} holds {len(names)} files {METADATA_NAME} that differ: {_list(names)}",
            where=source.place,
            expected="one model with one of them",
            fix=f"remove the wrong ones, or name the graph: drctl import-model MODEL.pb --metadata {first}",
        )
    return _without_unknown(contents[first], values[first], first)


def _without_unknown(content: bytes, values: dict[str, Any], name: str) -> tuple[bytes, str, list[str]]:
    """Leave out what this version does not know: other software may have written it."""
    unknown = [key for key in values if key not in METADATA_KEYS]
    if not unknown:
        return content, name, []
    known = {key: value for key, value in values.items() if key in METADATA_KEYS}
    note = f"{', '.join(unknown)} of {METADATA_NAME} {'has' if len(unknown) == 1 else 'have'} no meaning here, left out"
    return (json.dumps(known, indent=2) + "\n").encode(), name, [note]


def _choose(
    source: ModelSource, graphs: Mapping[int, str], index: CheckpointIndex | None, checkpoint: str | None
) -> tuple[list[int], list[str]]:
    """Return the numbers of the checkpoints to import, and what is worth knowing about them."""
    named = {"best": _number(index.best if index else None), "last": _number(index.last if index else None)}
    if checkpoint is not None:
        number = named[checkpoint] if checkpoint in named else int(checkpoint)
        if number is None and len(graphs) == 1:
            number = next(iter(graphs))
        if number is None or number not in graphs:
            said = checkpoint if number is None or checkpoint.isdecimal() else f"{checkpoint} ({number})"
            raise ObjectNotFoundError(
                f"{source.place} has no graph of the checkpoint {said}",
                where=source.place,
                expected=f"one of: {', '.join(map(str, sorted(graphs)))}",
                fix=f"drctl import-model {source.place} --checkpoint {max(graphs)}",
            )
        return [number], []
    present = sorted({number for number in named.values() if number is not None and number in graphs})
    notes = [
        f"the {choice} checkpoint {number} has no graph there"
        for choice, number in named.items()
        if number is not None and number not in graphs
    ]
    if present:
        return present, notes
    if len(graphs) > 1:
        notes.append(f"no checkpoint is named the best or the last one: took the newest, {max(graphs)}")
    return [max(graphs)], notes


def _number(record: CheckpointRecord | None) -> int | None:
    return checkpoint_number(record.name) if record and record.name else None


def _index_of(index: CheckpointIndex | None, chosen: list[int]) -> CheckpointIndex:
    """Return an index of the checkpoints that are imported, with what the source's own says of them."""
    newest = CheckpointRecord(checkpoint_name(chosen[-1], 0), None, 0.0)
    if index is None:
        return CheckpointIndex(newest, newest)
    known = {_number(record): record for record in (index.last, index.best)}
    newest = known.get(chosen[-1], newest)
    best, last = (record if _number(record) in chosen else newest for record in (index.best, index.last))
    return CheckpointIndex(best, last)


def _describe_left(names: list[str]) -> str:
    tensorflow = [name for name in names if _TENSORFLOW.fullmatch(name)]
    graphs = [name for name in names if _GRAPH.fullmatch(name)]
    others = [name for name in names if name not in tensorflow and name not in graphs]
    parts = []
    if tensorflow:
        parts.append(f"{count_text(len(tensorflow), 'file')} of TensorFlow checkpoints")
    if graphs:
        parts.append(f"{count_text(len(graphs), 'graph')} of other checkpoints")
    if others:
        parts.append(f"{count_text(len(others), 'other file')} ({_list(others)})")
    return ", ".join(parts)


def _list(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
