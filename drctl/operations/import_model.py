"""Take in a model of the original system, or one that came as a car file: looked through, run, and then stored."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import ConflictError, FormatError, ObjectNotFoundError, PreconditionFailedError, UsageError
from drctl.formats.car_archive import METADATA_NAME
from drctl.formats.checkpoint_index import checkpoint_number, render_checkpoint_index
from drctl.formats.model_metadata import parse_model_metadata
from drctl.formats.object_keys import ModelKeys
from drctl.operations.amount import count_text
from drctl.operations.found_model import FoundModel, find_model
from drctl.operations.increment import free_name
from drctl.operations.model_source import LIMITS, open_source
from drctl.operations.rollback import Rollback
from drctl.operations.trash import refuse_live_trainer
from drctl.result import Message, Result
from drctl.storage.location import open_store, project_store_location
from drctl.storage.trash import move_to_trash, restore

if TYPE_CHECKING:
    from collections.abc import Callable

    from drctl.config.project import Project
    from drctl.formats.model_metadata import ModelMetadata
    from drctl.operations.model_source import ModelSource
    from drctl.storage.objects import ObjectStore

RECORD_VERSION: Final = 1
_SUFFIX: Final = re.compile(r"\.(tar\.gz|tgz|pb)$")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")
_GENERIC: Final = ("model", "agent", "carfile")


@dataclass(frozen=True)
class ImportPlan:
    """A model that was found, looked through and run, and where it will go; nothing has been stored yet.

    Attributes:
        source: Where it is.
        found: What is taken of it.
        graphs: Content of each checkpoint's graph, by number.
        difference: Largest difference between a graph's answers and those of drctl's network with its weights.
        metadata: Its metadata.
        store: The bucket it goes to.
        keys: Its keys there.
        taken: Objects that lie under its prefix now.
    """

    source: ModelSource
    found: FoundModel
    graphs: dict[int, bytes]
    difference: float
    metadata: ModelMetadata
    store: ObjectStore
    keys: ModelKeys
    taken: int

    @property
    def place(self) -> str:
        """Where the model goes, for people."""
        return f"{self.store.name}/{self.keys.prefix}"

    def describe(self) -> tuple[Message, ...]:
        """Return what was found, for people."""
        found, metadata = self.found, self.metadata
        numbers = ", ".join(map(str, found.graphs))
        what = f"{metadata.num_actions} actions" if metadata.num_actions else "continuous actions"
        lines = [
            Message(
                f"{self.source.place}: {metadata.training_algorithm}, {metadata.neural_network}, "
                f"{', '.join(metadata.sensors)}, {what}; checkpoint {numbers}"
            ),
            *(Message(text, "warning") for text in (*found.notes, *metadata.warnings)),
            Message(f"run beside drctl's network with its weights: {_differing(self.difference)}"),
        ]
        if found.telling:
            lines.append(Message(f"with it: {count_text(len(found.telling), 'file')} about its training and races"))
        if found.left:
            lines.append(Message(f"not taken: {found.left}"))
        missing = "the value network" + ("" if metadata.num_actions else ", how widely it explores")
        lines.append(Message(f"a graph holds the policy alone: a clone begins with it, and with {missing} untrained"))
        return tuple(lines)


def plan_import(
    project: Project,
    text: str,
    *,
    prefix: str | None = None,
    checkpoint: str | None = None,
    metadata: Path | None = None,
    profile: str | None = None,
    wipe: bool = False,
) -> ImportPlan:
    """Find a model, look it through and run it; nothing is written.

    Args:
        project: The project.
        text: See `model_source.open_source`; `metadata` and `profile` likewise.
        prefix: Where it goes in the project's bucket; None for a name made of the source's.
        checkpoint: ``best``, ``last`` or a number; None for the best and the last one.
        metadata: See above.
        profile: See above.
        wipe: What lies under the prefix will be moved to the trash.

    Raises:
        ConflictError: The prefix is in use, and `wipe` is False; or it is the source itself.
        FormatError: It is no model that drctl can drive and go on with.
        ObjectNotFoundError: There is no such source or checkpoint.
        UnavailableError: A store or OpenVINO cannot be used.
        UsageError: The options do not go together.
    """
    from drctl.evaluation.graph_check import check_computation

    source = open_source(project, text, metadata=metadata, profile=profile)
    found = find_model(source, checkpoint)
    parsed = parse_model_metadata(found.metadata, found.metadata_place)
    store = open_store(project_store_location(project))
    keys = _keys_for(prefix or _name_from(text), text)
    if f"{store.name}/{keys.prefix}" == source.place:
        raise ConflictError(
            f"{source.place} is in this project's bucket already",
            where=source.place,
            expected="another prefix for the copy; eval and a clone take the model as it is",
            fix=f"drctl eval --model {keys.prefix}",
        )
    taken = sum(1 for _ in store.list(keys.prefix))
    if taken and not wipe:
        raise _in_use(store, keys, taken, text)
    graphs: dict[int, bytes] = {}
    differences = []
    for number, name in found.graphs.items():
        graphs[number] = source.read(name, LIMITS.graph_bytes)
        differences.append(check_computation(graphs[number], found.metadata.decode("utf-8-sig"), source.name_of(name)))
    return ImportPlan(source, found, graphs, max(differences), parsed, store, keys, taken)


def import_model(project: Project, plan: ImportPlan, report: Callable[[Message], None] | None = None) -> Result:
    """Store a model that was found; all of it, or nothing.

    Args:
        project: The project.
        plan: What and where to.
        report: Told how far it is, where there is much to copy.

    Returns:
        Data: ``store``, ``prefix``, ``source``, ``checkpoints``, ``best``, ``last``, ``sensors``, ``network``,
        ``algorithm``, ``files`` (copied beside the graphs), ``difference`` and ``moved`` (entry of the trash, or None).

    Raises:
        ConflictError: The prefix has been taken meanwhile, or is being trained.
        UnavailableError: A store cannot be used.
    """
    store, keys, found = plan.store, plan.keys, plan.found
    with Rollback() as rollback:
        moved = None
        if plan.taken:
            refuse_live_trainer(store, keys.prefix)
            moved = _move_away(store, keys)
            if moved:
                rollback.add(partial(restore, store, moved))

        def put(key: str, data: bytes, *, if_absent: bool = False) -> None:
            store.put(key, data, if_absent=if_absent)
            rollback.add(partial(store.delete, key))

        try:
            put(keys.import_record, _record(plan), if_absent=True)
        except PreconditionFailedError:
            raise _in_use(store, keys, 1, plan.source.place) from None
        for count, (name, below) in enumerate(found.telling.items(), 1):
            put(f"{keys.prefix}/{below}", plan.source.read(name))
            if report is not None and count % 100 == 0:
                report(Message(f"{count} of {count_text(len(found.telling), 'file')}"))
        for number, graph in plan.graphs.items():
            put(keys.frozen_graph(number), graph)
        # These two make it a model, so they come last.
        put(keys.checkpoint_index, render_checkpoint_index(found.index))
        put(keys.model_metadata, found.metadata)
        rollback.forget()
    messages = [Message(f"{plan.place} is a model with checkpoint {', '.join(map(str, plan.graphs))}", "success")]
    if moved:
        messages.insert(0, Message(f"what was at {keys.prefix} is in the trash as {moved}"))
    return Result({**plan_data(plan), "moved": moved}, tuple(messages), _next_steps(project, plan))


def plan_data(plan: ImportPlan) -> dict[str, Any]:
    """Return a plan as a mapping; see `import_model`."""
    index = plan.found.index
    return {
        "store": plan.store.name,
        "prefix": plan.keys.prefix,
        "source": plan.source.place,
        "checkpoints": list(plan.graphs),
        "best": checkpoint_number(index.best.name or ""),
        "last": checkpoint_number(index.last.name or ""),
        "sensors": list(plan.metadata.sensors),
        "network": plan.metadata.neural_network,
        "algorithm": plan.metadata.training_algorithm,
        "files": sorted(plan.found.telling.values()),
        "difference": plan.difference,
    }


def _differing(difference: float) -> str:
    return f"answers differ by {difference:.1g} at most" if difference else "the same answers"


def _next_steps(project: Project, plan: ImportPlan) -> tuple[str, ...]:
    prefix = plan.keys.prefix
    steps = [f"drctl eval --model {prefix}", f"{_choose_for_clone(project, plan)} && drctl start-training"]
    location, own = project_store_location(project), project.custom_files / METADATA_NAME
    if location.folder is not None and not _is_like(own, plan.metadata):
        # A clone has the sensors, network and actions of the model that it begins with.
        copy = Path(os.path.relpath(Path(location.folder) / plan.keys.model_metadata))
        steps.insert(1, f"cp {copy} {os.path.relpath(own)}")
    return tuple(steps)


def _choose_for_clone(project: Project, plan: ImportPlan) -> str:
    """Return what makes the next training a clone of the model, under a prefix that is free."""
    prefix, own = plan.keys.prefix, project.settings.local_s3_model_prefix
    if own == prefix:
        return "drctl increment-training"
    free = free_name(plan.store, own)
    settings = [f"DR_LOCAL_S3_MODEL_PREFIX={free}"] if free != own else []
    settings += ["DR_LOCAL_S3_PRETRAINED=True", f"DR_LOCAL_S3_PRETRAINED_PREFIX={prefix}"]
    return f"drctl config set {' '.join(settings)}"


def _is_like(file: Path, metadata: ModelMetadata) -> bool:
    try:
        return parse_model_metadata(file.read_bytes(), str(file)) == metadata
    except (OSError, FormatError):
        return False


def _record(plan: ImportPlan) -> bytes:
    content = {
        "version": RECORD_VERSION,
        "source": plan.source.place,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "checkpoints": {str(number): name for number, name in plan.found.graphs.items()},
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def _move_away(store: ObjectStore, keys: ModelKeys) -> str | None:
    try:
        return move_to_trash(store, keys.prefix, "import-model -w").id
    except ObjectNotFoundError:  # gone since it was looked at
        return None


def _name_from(text: str) -> str:
    """Make a prefix of a source's name: of a folder, a file, or the folder around ``model``."""
    parts = [part for part in text.rstrip("/").split("/") if part not in ("", ".", "..", "~")]
    names = [_NO_NAME.sub("-", _SUFFIX.sub("", part)).strip("-.") for part in parts]
    telling = [name for name in names if name and name not in _GENERIC and not re.fullmatch(r"model_[0-9]+", name)]
    return telling[-1] if telling else ""


def _keys_for(prefix: str, text: str) -> ModelKeys:
    try:
        return ModelKeys(prefix)
    except ValueError:
        raise UsageError(
            f"{prefix!r} is no prefix" if prefix else f"{text} gives the model no name",
            expected="names separated by single slashes, such as my-model",
            fix=f"drctl import-model {text} -p my-model",
        ) from None


def _in_use(store: ObjectStore, keys: ModelKeys, count: int, text: str) -> ConflictError:
    return ConflictError(
        f"the prefix {keys.prefix} is in use: {count_text(count, 'object')}",
        where=f"{store.name}/{keys.prefix}",
        expected="an empty prefix",
        fix=f"drctl import-model {text} -p {keys.prefix}-imported; -w moves what is there to the trash",
    )
