"""Under which prefix a model is uploaded: ``increment-upload-model``, ``set-upload-model``, ``upload-model -1``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from drctl.config.env_file import Parts, Reference, parse_env_file
from drctl.config.project import read_env_files
from drctl.config.registry import SETTINGS
from drctl.errors import ConflictError, DrctlError
from drctl.formats.object_keys import ModelKeys
from drctl.operations.amount import count_text
from drctl.operations.increment import check_delimiter, check_prefix, free_name, next_name
from drctl.operations.prefix import PrefixContent, read_prefix
from drctl.operations.settings_change import change_settings, describe_change
from drctl.operations.trash import refuse_live_trainer
from drctl.operations.upload_place import open_models_store
from drctl.result import Message, Result
from drctl.storage.trash import move_to_trash, restore

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.storage.objects import ObjectStore

SETTING: Final = "DR_UPLOAD_S3_PREFIX"


@dataclass(frozen=True)
class NewName:
    """The prefix that uploads will have; nothing has been changed yet.

    Attributes:
        project: The project.
        name: The prefix.
        written: The same as it will stand in the file: ``$NAME`` of another setting stays.
        wiped: The bucket, where something under the prefix has to be moved to the trash; else None.
        notes: What is worth knowing.
    """

    project: Project
    name: str
    written: str
    wiped: ObjectStore | None
    notes: tuple[Message, ...]

    def describe(self) -> tuple[Message, ...]:
        """Return the change for people."""
        lines = [*self.notes, *describe_change(self.project, {SETTING: self.name})]
        if self.wiped is not None:
            lines.append(Message(f"what is under {self.wiped.name}/{self.name} will be moved to the trash"))
        return tuple(lines)


def plan_increment(project: Project, *, name: str | None, delimiter: str, wipe: bool) -> NewName:
    """Work out the next upload's prefix.

    Args:
        project: The project.
        name: The new prefix; None counts the present one on.
        delimiter: What stands before the number.
        wipe: What lies under the new prefix may be moved to the trash.

    Raises:
        ConflictError: The new prefix is in use.
        UsageError: The delimiter or the name is none.
    """
    check_delimiter(delimiter, "drctl increment-upload-model")
    old = project.settings.upload_s3_prefix
    if name is None:
        new = next_name(old, delimiter)
        written = _written_as(project, new)
    else:
        check_prefix(name, f"drctl increment-upload-model -p {old}-1")
        new = written = name
    notes: list[Message] = []
    try:
        store = open_models_store(project, is_uploaded=True)
        content = read_prefix(store, ModelKeys(new))
    except DrctlError as error:
        if wipe:
            raise
        notes.append(Message(f"the bucket was not asked what it has: {error}", "warning"))
        return NewName(project, new, written, None, tuple(notes))
    if content.count and not wipe:
        raise _in_use(store, new, content, delimiter)
    if content.count:
        refuse_live_trainer(store, new)
    return NewName(project, new, written, store if content.count else None, ())


def plan_choice(project: Project, name: str) -> NewName:
    """Choose the prefix of uploads, whether something lies there or not.

    Args:
        project: The project.
        name: The prefix.

    Raises:
        UsageError: The name is none.
    """
    check_prefix(name, "drctl set-upload-model NAME")
    try:
        store = open_models_store(project, is_uploaded=True)
        content = read_prefix(store, ModelKeys(name))
    except DrctlError as error:
        return NewName(
            project, name, name, None, (Message(f"the bucket was not asked what it has: {error}", "warning"),)
        )
    there = f"{store.name}/{name}"
    text = f"{there} has a model: {content.describe()}" if content.count else f"{there} is free"
    return NewName(project, name, name, None, (Message(text),))


def change_name(plan: NewName) -> Result:
    """Write the new prefix into the env files, keeping a copy of each as it was.

    Args:
        plan: What was worked out.

    Returns:
        Data: ``prefix``, ``former``, ``backups``, ``trash`` (id of an entry, or None).

    Raises:
        DrctlError: The change would bring a new problem, or a file cannot be written; nothing has changed.
    """
    described = plan.describe()
    former = plan.project.settings.upload_s3_prefix
    trashed = move_to_trash(plan.wiped, plan.name, "drctl increment-upload-model -w") if plan.wiped else None
    try:
        changed = change_settings(plan.project, {SETTING: plan.written})
    except DrctlError:
        if plan.wiped is not None and trashed is not None:
            restore(plan.wiped, trashed.id)
        raise
    messages = [*described, *changed.describe()]
    if trashed is not None:
        text = f"moved {count_text(trashed.object_count, 'object')} to the trash; drctl undo --upload takes that back"
        messages.append(Message(text))
    messages.append(Message(f"models are uploaded as {plan.name}", "success"))
    data = {
        "prefix": plan.name,
        "former": former,
        "backups": list(changed.backups),
        "trash": trashed.id if trashed else None,
    }
    return Result(data, tuple(messages), ("drctl upload-model",))


def next_free_name(project: Project, store: ObjectStore, delimiter: str = "-") -> NewName:
    """Count the prefix of uploads on until nothing lies under it.

    Args:
        project: The project.
        store: Where models are uploaded to.
        delimiter: What stands before the number.
    """
    name = free_name(store, next_name(project.settings.upload_s3_prefix, delimiter), delimiter)
    return NewName(project, name, _written_as(project, name), None, ())


def _in_use(store: ObjectStore, name: str, content: PrefixContent, delimiter: str) -> ConflictError:
    free = free_name(store, name, delimiter)
    return ConflictError(
        f"the prefix {name} is in use: {content.describe()}",
        where=f"{store.name}/{name}",
        expected="an empty prefix",
        fix=f"drctl increment-upload-model -p {free}; with -w it is moved to the trash",
    )


def _written_as(project: Project, name: str) -> str:
    """Write a prefix the way the files have the present one: ``$DR_LOCAL_S3_MODEL_PREFIX-1`` counts on to ``-2``."""
    parts = _present_parts(project)
    tail = parts[-1] if parts and isinstance(parts[-1], str) else ""
    heads = parts[:-1] if tail else parts
    if not heads or not all(isinstance(part, Reference) and part.fallback is None for part in heads):
        return name
    value = project.settings.upload_s3_prefix
    start = value.removesuffix(tail)
    if not value.endswith(tail) or not name.startswith(start):
        return name
    rest = name[len(start) :]
    references = "".join(f"${{{part.name}}}" for part in heads if isinstance(part, Reference))
    is_plain = len(heads) == 1 and not (rest[:1].isalnum() or rest[:1] == "_")
    return (references.replace("{", "").replace("}", "") if is_plain else references) + rest


def _present_parts(project: Project) -> Parts:
    texts = read_env_files(project.root, project.settings.experiment_name)
    found = [
        assignment.parts
        for label, text in texts.items()
        for assignment in parse_env_file(text, label).assignments
        if assignment.name == SETTING
    ]
    if found:
        return found[-1]
    default = parse_env_file(f"{SETTING}={SETTINGS[SETTING].default_text}", "default").assignments
    return default[0].parts
