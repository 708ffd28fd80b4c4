"""Every ``DR_`` name: what it is, what older names mean today, and what this version does with it."""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from drctl.config.setting import METADATA_KEY, OWN_STACK, Condition, Declaration, Setting
from drctl.config.settings import Settings
from drctl.errors import Problem
from drctl.errors import nearest as _nearest
from drctl.secrets import Secret

_KINDS: Final[Mapping[type, Literal["bool", "int", "float", "str", "secret"]]] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    Secret: "secret",
}


def _read_declarations() -> dict[str, Setting]:
    hints = get_type_hints(Settings)
    entries = {}
    for item in fields(Settings):
        about: Declaration | None = item.metadata.get(METADATA_KEY)
        if about is not None:
            entry = _make_entry(item.name, hints[item.name], item.default, about)
            entries[entry.name] = entry
    return entries


def _make_entry(attribute: str, hint: Any, default: Any, about: Declaration) -> Setting:
    is_optional = get_origin(hint) in (types.UnionType, Union)
    if is_optional:
        (hint,) = (kind for kind in get_args(hint) if kind is not type(None))
    choices: tuple[str, ...] = get_args(hint) if get_origin(hint) is Literal else ()
    kind = _KINDS[str if choices else hint]
    return Setting(f"DR_{attribute.upper()}", attribute, kind, is_optional, default, choices, about)


SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(_read_declarations())
"""By ``DR_`` name, in the order in which the shipped env files show them."""

OLDER_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "DR_TRAIN_ROUND_ROBIN_ADVANCE_DISTANCE": "DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST",  # contract 10, item 34
        "DR_KINESIS_STREAM_ENABLE": "DR_CAMERA_KVS_ENABLE",  # contract 10, item 34
        "DR_COLLISION_PENALTY": "DR_EVAL_COLLISION_PENALTY",  # contract 3.2
        "DR_CHANGE_START_POSITION": "DR_TRAIN_CHANGE_START_POSITION",
        "DR_EVAL_NUMBER_OF_RESETS": "DR_EVAL_MAX_RESETS",
        "DR_LOCAL_S3_PRETRAINED_FULL": "DR_PRETRAINED_FULL",
    }
)
"""Names of older guides; each acts as the name it has today."""

RETIRED_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "DR_COACH_IMAGE": "the trainer starts without a launcher; delete the line",
        "DR_CONSOLE_IMAGE": "there is no console; `drctl start-viewer` takes its place; delete the line",
        "DR_TARGET_REWARD_SCORE": "write term_cond_avg_score into hyperparameters.json and DR_TRAIN_STOP_WHEN=score",
        "DR_LOCAL_S3_METRICS_KEY": "the file name is fixed; its folder is DR_LOCAL_S3_METRICS_PREFIX",
        "DR_UPLOAD_MODEL_NAME": "an uploaded model is named by DR_UPLOAD_S3_PREFIX",
        "DR_UPLOAD_S3_ROLE": "the AWS console that took this role is gone; delete the line",
        "DR_REGULAR_UPLOAD": "a script of deepracer-on-the-spot; drctl writes to the store after every iteration",
        "DR_REGULAR_PHYSICAL_MODEL_UPLOAD": "a script of deepracer-on-the-spot; every checkpoint has its car model",
        "DR_CONTINUE_ON_SPOT_INTERRUPTION": "a script of deepracer-on-the-spot; `start-training --resume` continues",
        "CUDA_VISIBLE_DEVICES": "GPUs are chosen by DR_SAGEMAKER_CUDA_DEVICES and DR_ROBOMAKER_CUDA_DEVICES",
    }
)
"""Names in users' files that do nothing any more, each with what replaces it."""

DERIVED_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "DR_MINIO_URL": "DR_CLOUD and DR_REMOTE_MINIO_URL",
        "DR_LOCAL_S3_ENDPOINT_URL": "DR_CLOUD and DR_REMOTE_MINIO_URL",
        "DR_LOCAL_ACCESS_KEY_ID": "the AWS profile DR_LOCAL_S3_PROFILE",
        "DR_LOCAL_SECRET_ACCESS_KEY": "the AWS profile DR_LOCAL_S3_PROFILE",
        "DR_LOCAL_S3_AUTH_MODE": "DR_CLOUD and DR_LOCAL_S3_PROFILE",
        "DR_ROBOMAKER_TRAIN_PORT": "DR_RUN_ID",
        "DR_ROBOMAKER_EVAL_PORT": "DR_RUN_ID",
        "DR_ROBOMAKER_GUI_PORT": "DR_RUN_ID",
        "DR_DIR": "the project's folder",
        "DR_MOUNT_DIR": "DR_ROBOMAKER_MOUNT_LOGS",
    }
)
"""Names that DeepRacer-for-Cloud's shell functions export (contract 3.2); worked out, never set."""


def todays_name(name: str) -> str:
    """Return the name a setting has today; a name that is not an older one stays as it is."""
    return OLDER_NAMES.get(name, name)


def nearest_name(name: str) -> str | None:
    """Return the setting whose name looks most like a misspelt one, or None."""
    return _nearest(name, [*SETTINGS, *OLDER_NAMES])


def is_used(setting: Setting, settings: Settings) -> bool:
    """Tell whether a setting changes anything, given the values of the others."""
    return idle_condition(setting, settings) is None


def idle_condition(setting: Setting, settings: Settings) -> Condition | None:
    """Return what does not hold and makes a setting change nothing, or None when it is used."""
    return next((one for one in setting.conditions if not one.holds(settings.text(one.name))), None)


def has_default(setting: Setting, settings: Settings) -> bool:
    """Tell whether a setting has the value it would have if nothing set it."""
    value: object = getattr(settings, setting.attribute)
    if not isinstance(setting.default, str) or "$" not in setting.default:
        return value == setting.default
    others = {entry.attribute: getattr(settings, entry.attribute) for entry in SETTINGS.values() if entry != setting}
    followed: object = getattr(Settings(**others), setting.attribute)
    return value == followed


def refused_settings(settings: Settings, for_command: str) -> list[Problem]:
    """List the settings that ask for something that this version does not have, or that is not for a command.

    A setting that another one makes idle is not refused, nor is one that does not concern the command.

    Args:
        settings: All values.
        for_command: Such as ``start-training``.
    """
    concerned = (
        entry
        for entry in SETTINGS.values()
        if for_command in entry.about.commands and is_used(entry, settings) and not has_default(entry, settings)
    )
    problems = (_refuse(entry, settings, for_command) for entry in concerned)
    return [problem for problem in problems if problem is not None]


def idle_settings(settings: Settings) -> list[str]:
    """List, one line each, what is set and means nothing to our own simulator and trainer.

    Args:
        settings: All values.
    """
    if settings.simapp_source != OWN_STACK:
        return []
    return [
        f"{entry.name}={settings.text(entry.name)} has no effect: {entry.about.idle_with_drctl}"
        for entry in SETTINGS.values()
        if entry.about.idle_with_drctl and not has_default(entry, settings)
    ]


def _refuse(entry: Setting, settings: Settings, for_command: str) -> Problem | None:
    """Return what stands against a setting's value, or None."""
    about, value = entry.about, settings.text(entry.name)
    if settings.stack == "community" and about.is_in_images:
        return None
    others: Collection[str]
    exclusion, part = about.excluded.get(value), about.later_values.get(value, about.part)
    if exclusion is not None and exclusion.command == for_command:
        what = f"{entry.name} is {value}, which {for_command} does not take: {exclusion.reason}"
        others, rest = about.excluded, ""
    elif part != "now":
        what = f"{entry.name} is {value}; this version of drctl cannot do that yet"
        others, rest = about.later_values, f" (the rest comes with a later part: {part})"
    else:
        return None
    here = " or ".join(one for one in entry.choices if one not in others) if others else ""
    origin = settings.origin(entry.name)
    return Problem(
        what=what,
        where=str(origin),
        expected=f"{here or entry.default_text or 'no value'}{rest}",
        fix=fix_for(entry.name, entry.default_text, origin.source),
    )


def fix_for(name: str, value: str, source: str) -> str:
    """Return the command or edit that gives a setting another value, depending on where it is set.

    Args:
        name: The setting.
        value: What it should be; empty for none.
        source: `Origin.source` of its present value.
    """
    if source == "environment":
        return f"unset {name}"
    if source == "--set":
        return f"--set {name}={value}" if value else f"leave --set {name} out"
    if source.rpartition("/")[2].startswith("worker-"):
        return f"set {name}={value} in {source}"
    return f"drctl config set {name}={value}"


def unused_settings(settings: Settings) -> list[tuple[Setting, Any]]:
    """List the settings that are set to something else than their default and change nothing now.

    Returns:
        Each with the `Condition` that does not hold.
    """
    return [
        (entry, idle_condition(entry, settings))
        for entry in SETTINGS.values()
        if entry.name in settings.origins and not is_used(entry, settings) and not has_default(entry, settings)
    ]
