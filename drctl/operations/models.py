"""List the models of a bucket, tell which came from which, and move models to the trash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from drctl.engines.choice import engine_of_run
from drctl.errors import ConflictError, ObjectNotFoundError, Problem, nearest
from drctl.formats.object_keys import ModelKeys
from drctl.operations.amount import count_text, objects_text, size_text
from drctl.operations.lineage import Branch, grow_tree
from drctl.operations.prefix import PrefixContent, read_prefix
from drctl.operations.rollback import Rollback
from drctl.operations.stored_models import Parent, StoredModel, read_models
from drctl.operations.table import lay_out
from drctl.operations.trash import refuse_live_trainer
from drctl.operations.upload_place import open_models_store, upload_option
from drctl.result import Message, Result
from drctl.stack.plan import read_plan
from drctl.status.run_status import find_runs
from drctl.storage.trash import move_to_trash, restore

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.storage.objects import ObjectStore

UNKNOWN: Final = "?"
_NONE: Final = "-"
_IMPORTED: Final = "imported"
_HEADS: Final = ("model", "parent", "track", "iterations", "best lap", "completion", "size", "date")
_TO_THE_RIGHT: Final = ("iterations", "best lap", "completion", "size")


def list_models(project: Project, *, is_uploaded: bool = False) -> Result:
    """List the models of the project's bucket, or of the one that models are uploaded to.

    Args:
        project: The project.
        is_uploaded: Those in ``DR_UPLOAD_S3_BUCKET``.

    Returns:
        Data: ``store``, ``models`` (list, see `StoredModel.to_json`).

    Raises:
        ConfigError: There is no upload bucket.
        UnavailableError: The store cannot be used.
    """
    store = open_models_store(project, is_uploaded=is_uploaded)
    models = read_models(store)
    data = {"store": store.name, "models": [model.to_json() for model in models]}
    if not models:
        step = "drctl upload-model" if is_uploaded else "drctl start-training"
        return Result(data, (Message(f"{store.name} has no models"),), (step,))
    own = None if is_uploaded else project.settings.local_s3_model_prefix
    lines = lay_out(_HEADS, [_row(model, store.name, own) for model in models], to_the_right=_TO_THE_RIGHT)
    if any(model.prefix == own for model in models):
        lines.append(f"* {own} is the model of this project's settings")
    if any(UNKNOWN in line for line in lines):
        lines.append(f"{UNKNOWN}: the model's files do not tell")
    newest = max(models, key=lambda model: (not model.is_half_copied, model.modified)).prefix
    more = f"drctl download-model -s {newest}" if is_uploaded else f"drctl eval --model {newest}"
    return Result(data, tuple(map(Message, lines)), (f"drctl models tree{upload_option(is_uploaded)}", more))


def show_tree(project: Project, *, is_uploaded: bool = False) -> tuple[Result, list[Branch]]:
    """Tell which model began with which.

    Args:
        project: The project.
        is_uploaded: The models in ``DR_UPLOAD_S3_BUCKET``.

    Returns:
        Data ``store`` and ``models``, as `list_models` gives them; and the tree, to be drawn.

    Raises:
        ConfigError: There is no upload bucket.
        UnavailableError: The store cannot be used.
    """
    store = open_models_store(project, is_uploaded=is_uploaded)
    models = read_models(store)
    data = {"store": store.name, "models": [model.to_json() for model in models]}
    messages = () if models else (Message(f"{store.name} has no models"),)
    step = f"drctl list-models{upload_option(is_uploaded)}" if models else "drctl start-training"
    return Result(data, messages, (step,)), grow_tree(models, store.name)


@dataclass(frozen=True)
class Deletion:
    """Models that will be moved to the trash; nothing has been yet.

    Attributes:
        project: The project.
        store: The bucket.
        models: Keys of each, and what lies there.
        is_uploaded: They are in ``DR_UPLOAD_S3_BUCKET``.
    """

    project: Project
    store: ObjectStore
    models: tuple[tuple[ModelKeys, PrefixContent], ...]
    is_uploaded: bool

    def describe(self) -> tuple[Message, ...]:
        """Return what will be moved, one line per model."""
        lines = [
            Message(f"{self.store.name}/{keys.prefix}: {content.describe()}; to the trash")
            for keys, content in self.models
        ]
        settings = self.project.settings
        gone = {keys.prefix for keys, _ in self.models}
        if not self.is_uploaded and settings.local_s3_pretrained and settings.local_s3_pretrained_prefix in gone:
            text = f"the next training is to begin with {settings.local_s3_pretrained_prefix}"
            lines.append(Message(f"{text} (DR_LOCAL_S3_PRETRAINED_PREFIX)", "warning"))
        return tuple(lines)


def plan_deletion(project: Project, prefixes: Sequence[str], *, is_uploaded: bool = False) -> Deletion:
    """Look up models that are to go.

    Args:
        project: The project.
        prefixes: Theirs.
        is_uploaded: They are in ``DR_UPLOAD_S3_BUCKET``.

    Raises:
        ConflictError: One is being trained.
        ObjectNotFoundError: There is nothing under a prefix; names all of these, and the nearest model for each.
        UnavailableError: The store cannot be used.
    """
    store = open_models_store(project, is_uploaded=is_uploaded)
    models = [(keys, read_prefix(store, keys)) for keys in _keys_of(project, prefixes, is_uploaded=is_uploaded)]
    missing = [keys.prefix for keys, content in models if not content.count]
    if missing:
        names = [model.prefix for model in read_models(store)]
        raise ObjectNotFoundError.from_problems([_missing(store, prefix, names) for prefix in missing])
    for keys, _ in models:
        refuse_live_trainer(store, keys.prefix)
        if not is_uploaded:
            _refuse_running(project, store, keys.prefix)
    return Deletion(project, store, tuple(models), is_uploaded)


def delete_models(plan: Deletion) -> Result:
    """Move models to the trash, all of them or none.

    Args:
        plan: What `plan_deletion` found.

    Returns:
        Data: ``store``, ``deleted`` (list of ``prefix``, ``object_count``, ``size_bytes``, ``trash``: ids of entries).

    Raises:
        UnavailableError: The store cannot be used.
    """
    deleted: list[dict[str, Any]] = []
    with Rollback() as rollback:
        for keys, _ in plan.models:
            entries = []
            for prefix in keys.all_prefixes:
                try:
                    entry = move_to_trash(plan.store, prefix, f"drctl delete-model {keys.prefix}")
                except ObjectNotFoundError:
                    continue
                rollback.add(partial(restore, plan.store, entry.id))
                entries.append(entry)
            deleted.append(
                {
                    "prefix": keys.prefix,
                    "object_count": sum(entry.object_count for entry in entries),
                    "size_bytes": sum(entry.size_bytes for entry in entries),
                    "trash": [entry.id for entry in entries],
                }
            )
        rollback.forget()
    option = upload_option(plan.is_uploaded)
    texts = [
        f"{one['prefix']} is in the trash: {objects_text(one['object_count'], one['size_bytes'])}" for one in deleted
    ]
    messages = tuple(Message(text, "success") for text in texts)
    steps = tuple(f"drctl undo {entry}{option}" for one in deleted for entry in one["trash"])
    return Result({"store": plan.store.name, "deleted": deleted}, messages, steps)


def describe_parent(parent: Parent | None, store: str, *, is_known: bool) -> str:
    """Return what a model began with in a few words.

    Args:
        parent: See `StoredModel`.
        store: Name of the model's own store; a parent there is named without it.
        is_known: See `StoredModel.is_parent_known`.
    """
    if parent is None:
        return _NONE if is_known else UNKNOWN
    checkpoint = "" if parent.checkpoint is None else f"@{parent.checkpoint}"
    return f"{'copy of ' if parent.is_copy else ''}{parent.name_from(store)}{checkpoint}"


def describe_model(branch: Branch) -> str:
    """Return a branch's model in one line, its name left out."""
    model, origin = branch.model, branch.origin
    if model is None:
        return "(not in this bucket)"
    facts = [_IMPORTED] if model.is_imported else []
    if origin is not None:
        what = "all of it" if origin.checkpoint is None else f"checkpoint {origin.checkpoint}"
        facts.append(f"copy of {what}" if origin.is_copy else f"from {what}")
    if model.iterations is not None:
        facts.append(count_text(model.iterations, "iteration"))
    if model.best_lap_s is not None:
        facts.append(f"best lap {model.best_lap_s:.3f} s")
    if model.completion_percent is not None:
        facts.append(f"{model.completion_percent:.0f} %")
    if model.tracks is not None:
        facts.append(_tracks(model.tracks))
    return ", ".join(facts)


def _row(model: StoredModel, store: str, own: str | None) -> tuple[str, ...]:
    lap = UNKNOWN if not model.is_of_drctl else _NONE
    return (
        f"{model.prefix}{' *' if model.prefix == own else ''}{' (half copied)' if model.is_half_copied else ''}",
        _IMPORTED if model.is_imported else describe_parent(model.parent, store, is_known=model.is_parent_known),
        _tracks(model.tracks),
        _NONE if model.iterations is None else str(model.iterations),
        lap if model.best_lap_s is None else f"{model.best_lap_s:.3f} s",
        lap if model.completion_percent is None else f"{model.completion_percent:.0f} %",
        size_text(model.size_bytes),
        f"{model.modified.astimezone():%Y-%m-%d %H:%M}",
    )


def _tracks(names: tuple[str, ...] | None) -> str:
    if names is None:
        return UNKNOWN
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _keys_of(project: Project, prefixes: Sequence[str], *, is_uploaded: bool) -> list[ModelKeys]:
    settings = project.settings
    own = None if is_uploaded else settings.local_s3_model_prefix
    cleaned = dict.fromkeys(prefix.strip("/") for prefix in prefixes)
    return [ModelKeys(prefix, settings.local_s3_metrics_prefix if prefix == own else None) for prefix in cleaned]


def _missing(store: ObjectStore, prefix: str, names: Sequence[str]) -> Problem:
    best = nearest(prefix, names)
    return Problem(
        f"there is no model {prefix}",
        where=f"{store.name}/{prefix}",
        expected=f"closest is {best}" if best else "a name that `drctl list-models` shows",
        fix=f"drctl delete-model {best}" if best else "drctl list-models",
    )


def _refuse_running(project: Project, store: ObjectStore, prefix: str) -> None:
    """Refuse a model that a run of this project trains; the community images hold no lease."""
    for folder in find_runs(project.root):
        plan = read_plan(folder)
        if plan is not None and plan.prefix == prefix and engine_of_run(folder).is_running(folder):
            raise ConflictError(
                f"run {plan.run_id} is training {prefix}",
                where=f"{store.name}/{prefix}",
                expected="no training under this prefix",
                fix=f"drctl --set DR_RUN_ID={plan.run_id} stop-training",
            )
