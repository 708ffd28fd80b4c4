"""Whether a training may begin, or go on, under its prefix, and with what it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drctl.errors import ConflictError, NotSupportedError
from drctl.operations.community import check_clone, uses_images
from drctl.operations.prefix import PrefixContent, read_prefix
from drctl.operations.pretrained import find_pretrained, refuse_unlike
from drctl.operations.snapshot import describe_differences
from drctl.result import Message

if TYPE_CHECKING:
    from drctl.operations.preparation import Draft

STEP_CAP: Final = "max_steps_per_iteration"
"""Name of the step cap among a checkpoint's conditions."""


def check_prefix(found: Draft, *, wipe: bool, force: bool) -> None:
    """Make sure that the prefix is free, or that what lies there can be gone on with.

    Args:
        found: The draft; gets ``content`` and, for a resume, ``differences``.
        wipe: What lies under the prefix will be moved to the trash.
        force: Resume although files or settings differ.

    Raises:
        ConflictError: It is in use, or cannot be gone on with.
        NotSupportedError: The community images cannot go on with a model.
    """
    if found.store is None or found.keys is None:
        return
    content = found.content = read_prefix(found.store, found.keys)
    where = f"{found.store.name}/{found.keys.prefix}"
    if content.holder_here is not None:
        pid = content.holder_here
        raise ConflictError(
            f"the model {found.keys.prefix} is being trained now",
            where=f"process {pid} of this machine",
            expected="one training per model",
            fix=f"drctl stop-training in the project of process {pid} (ls -l /proc/{pid}/cwd), "
            "or choose another DR_LOCAL_S3_MODEL_PREFIX",
        )
    if uses_images(found.project):
        check_clone(found.project.settings, found.store)
    if found.is_resume and uses_images(found.project):
        raise _cannot_resume(where)
    if found.is_resume:
        _check_resume(found, content, where, force=force)
    elif content.count and not wipe:
        raise ConflictError(
            f"the prefix {found.keys.prefix} is in use: {content.describe()}",
            where=where,
            expected="an empty prefix",
            fix=("" if uses_images(found.project) else f"{_how_to_go_on(content)}; ")
            + "drctl start-training -w moves it to the trash; "
            "drctl config set DR_LOCAL_S3_MODEL_PREFIX=NAME keeps both",
        )


def check_pretrained(found: Draft, *, force: bool) -> None:
    """Look up the earlier model that a new one begins with.

    Args:
        found: The draft; gets ``pretrained``.
        force: Take over actions of equal number that have other angles and speeds.

    Raises:
        ConfigError: There is no such model, or it does not fit.
    """
    if uses_images(found.project):
        return  # `check_prefix` has looked at it
    if not found.project.settings.local_s3_pretrained or not (found.location and found.metadata and found.content):
        return
    if found.is_resume and found.content.last_checkpoint is not None:
        return  # it has begun already
    if found.hyperparameters is None:
        return
    source = find_pretrained(found.project, found.location)
    refuse_unlike(found.project, source, found.metadata, found.hyperparameters, force=force)
    found.pretrained = source.spec
    found.notes.append(Message(source.describe()))


def _how_to_go_on(content: PrefixContent) -> str:
    """Say how a model is trained on: what was imported or copied without its files is begun with."""
    if content.has_snapshot or content.last_checkpoint is None:
        return "drctl start-training --resume goes on with it"
    return "drctl increment-training && drctl start-training begins a new model with it"


def _cannot_resume(where: str) -> NotSupportedError:
    """Say how a training of the community images goes on: as a new model that begins with the old one's weights."""
    return NotSupportedError(
        "the community images cannot go on with a model where they stopped; they begin a new one with its weights",
        where=where,
        expected="a new prefix and the old one as the model to begin with",
        fix="drctl increment-training && drctl start-training",
    )


def _check_resume(found: Draft, content: PrefixContent, where: str, *, force: bool) -> None:
    if not content.has_snapshot:
        there = content.describe() if content.count else "it is empty"
        raise ConflictError(
            f"there is no training to resume under the prefix {found.project.settings.local_s3_model_prefix}: {there}",
            where=where,
            expected="a model that drctl has trained",
            fix=_how_to_go_on(content) if content.last_checkpoint is not None else "drctl start-training",
        )
    if found.files is None or found.keys is None or found.store is None:
        return
    params_file = found.project.settings.local_s3_training_params_file
    found.differences = describe_differences(found.files, found.keys, params_file, found.store)
    cap, former_cap = found.project.settings.train_max_steps_per_iteration, content.conditions.get(STEP_CAP)
    if STEP_CAP in content.conditions and cap != former_cap:
        found.differences.append(f"DR_TRAIN_MAX_STEPS_PER_ITERATION was {former_cap or 'unset'}, is {cap or 'unset'}")
    if found.differences and not force:
        raise ConflictError(
            "files or settings differ from those the model was trained with",
            where="\n".join([where, *found.differences]),
            expected="the same files and settings, so that the training goes on exactly",
            fix="drctl start-training --resume -f goes on with the files as they are now",
        )
    found.notes += _condition_notes(found, content)


def _condition_notes(found: Draft, content: PrefixContent) -> list[Message]:
    """Name the settings that a resume takes from the checkpoint, where they differ."""
    settings, conditions = found.project.settings, content.conditions
    wanted: dict[str, object] = {"seed": settings.seed, "network_heads": settings.network_heads}
    if settings.physics != "auto":
        wanted["physics"] = settings.physics
    return [
        Message(f"DR_{name.upper()}={value} has no effect: the model goes on with {conditions[name]}", "warning")
        for name, value in wanted.items()
        if name in conditions and conditions[name] != value
    ]
