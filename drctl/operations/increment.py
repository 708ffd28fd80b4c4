"""``increment-training``: name the next model, which begins with the present one (contract 7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drctl.config.text_rules import TEXT_RULES
from drctl.errors import ConflictError, DrctlError, UnavailableError, UsageError
from drctl.formats.object_keys import ModelKeys
from drctl.operations.amount import count_text
from drctl.operations.prefix import read_prefix
from drctl.operations.settings_change import change_settings, describe_change
from drctl.result import Message, Result
from drctl.storage.location import open_store, project_store_location
from drctl.storage.trash import move_to_trash, restore

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.storage.objects import ObjectStore

_MODEL = "DR_LOCAL_S3_MODEL_PREFIX"
_PRETRAINED = "DR_LOCAL_S3_PRETRAINED"
_SOURCE = "DR_LOCAL_S3_PRETRAINED_PREFIX"


@dataclass(frozen=True)
class Increment:
    """What an increment will change; nothing has been yet.

    Attributes:
        project: The project.
        changes: Setting to new value.
        store: The bucket, where something under the new prefix has to be moved to the trash; else None.
        notes: What could not be found out.
    """

    project: Project
    changes: dict[str, str]
    store: ObjectStore | None
    notes: tuple[Message, ...]

    @property
    def new_prefix(self) -> str:
        """Prefix of the next model."""
        return self.changes[_MODEL]

    def describe(self) -> tuple[Message, ...]:
        """Return the change for people, one line per setting."""
        lines = [*describe_change(self.project, self.changes)]
        if self.store is not None:
            lines.append(Message(f"what is under {self.store.name}/{self.new_prefix} will be moved to the trash"))
        return (*self.notes, *lines)


def next_name(name: str, delimiter: str = "-") -> str:
    """Return the name counted on: a number behind the last delimiter grows, any other name gets ``1`` behind it.

    Args:
        name: Such as ``my-model`` or ``my-model-1``.
        delimiter: What stands before the number.
    """
    head, found, number = name.rpartition(delimiter)
    if head and found and re.fullmatch(r"[0-9]+", number):
        return f"{head}{delimiter}{int(number) + 1:0{len(number)}}"
    return f"{name}{delimiter}1"


def free_name(store: ObjectStore, name: str, delimiter: str = "-") -> str:
    """Return a name under which nothing lies: the one given, or that counted on.

    Args:
        store: The bucket.
        name: See `next_name`; `delimiter` likewise.
        delimiter: See above.
    """
    while next(iter(store.list(name)), None) is not None:
        name = next_name(name, delimiter)
    return name


def check_delimiter(delimiter: str, command: str) -> None:
    """Make sure that something stands before a name's number.

    Raises:
        UsageError: Nothing does.
    """
    if not delimiter:
        raise UsageError("-d needs a delimiter", expected="a character such as -", fix=f"{command} -d -")


def check_prefix(name: str, fix: str) -> None:
    """Make sure that a name can be a prefix.

    Raises:
        UsageError: It cannot.
    """
    rule = TEXT_RULES["prefix"]
    if not rule.is_kept(name):
        raise UsageError(f"{name} cannot be a prefix", expected=rule.expected, fix=fix)


def plan_increment(project: Project, *, name: str | None, delimiter: str, wipe: bool) -> Increment:
    """Work out the next model's settings.

    Args:
        project: The project.
        name: The new prefix; None counts the present one on.
        delimiter: What stands before the number.
        wipe: What lies under the new prefix may be moved to the trash.

    Raises:
        ConflictError: There is nothing to begin with, or the new prefix is in use.
        UsageError: The delimiter or the name is none.
    """
    check_delimiter(delimiter, "drctl increment-training")
    settings = project.settings
    old = settings.local_s3_model_prefix
    new = next_name(old, delimiter) if name is None else name
    if new == old:
        raise UsageError(
            f"-p {new} is the present prefix", expected="another name", fix=f"drctl increment-training -p {old}-1"
        )
    check_prefix(new, f"drctl increment-training -p {next_name(old)}")
    notes: list[Message] = []
    store, is_used = open_store(project_store_location(project)), False
    try:
        _refuse_untrained(store, old)
        is_used = _refuse_used(store, new, delimiter, wipe=wipe)
    except UnavailableError as error:
        if wipe:
            raise
        notes.append(Message(f"the store was not asked what it has: {error}", "warning"))
    changes = {_MODEL: new, _PRETRAINED: "True", _SOURCE: old}
    return Increment(project, changes, store if is_used else None, tuple(notes))


def increment_training(plan: Increment) -> Result:
    """Change the env files, keeping a copy of each as it was.

    Args:
        plan: What `plan_increment` worked out.

    Returns:
        ``prefix``, ``pretrained_prefix``, ``backups`` and what was moved to the trash.

    Raises:
        DrctlError: The change would bring a new problem, or a file cannot be written; nothing has changed.
    """
    described = plan.describe()
    trashed = move_to_trash(plan.store, plan.new_prefix, "drctl increment-training -w") if plan.store else None
    try:
        changed = change_settings(plan.project, plan.changes)
    except DrctlError:
        if plan.store is not None and trashed is not None:
            restore(plan.store, trashed.id)
        raise
    messages = [*described]
    if trashed is not None:
        messages.append(
            Message(f"moved {count_text(trashed.object_count, 'object')} to the trash; drctl undo takes that back")
        )
    messages += changed.describe()
    messages.append(Message(f"the next training is {plan.new_prefix}", "success"))
    data = {
        "prefix": plan.new_prefix,
        "pretrained_prefix": plan.changes[_SOURCE],
        "backups": list(changed.backups),
        "trash": trashed.id if trashed else None,
    }
    return Result(data, tuple(messages), ("drctl start-training",))


def _refuse_untrained(store: ObjectStore, prefix: str) -> None:
    if read_prefix(store, ModelKeys(prefix)).last_checkpoint is None:
        raise ConflictError(
            f"there is no model {prefix} that the next training could begin with",
            where=f"{store.name}/{prefix}",
            expected="a trained model",
            fix="drctl start-training",
        )


def _refuse_used(store: ObjectStore, prefix: str, delimiter: str, *, wipe: bool) -> bool:
    content = read_prefix(store, ModelKeys(prefix))
    if content.count and not wipe:
        free = free_name(store, prefix, delimiter)
        raise ConflictError(
            f"the prefix {prefix} is in use: {content.describe()}",
            where=f"{store.name}/{prefix}",
            expected="an empty prefix",
            fix=f"drctl increment-training -p {free}; with -w it is moved to the trash",
        )
    return bool(content.count)
