"""Changing a project's settings on its user's behalf: told, checked, and with the files as they were kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drctl.operations.project import set_config
from drctl.result import Message

if TYPE_CHECKING:
    from drctl.config.project import Project


@dataclass(frozen=True)
class SettingsChange:
    """What was changed.

    Attributes:
        backups: Names of the files that have what was there before, such as ``run.env.bak``.
        warnings: What is odd about the outcome.
    """

    backups: tuple[str, ...]
    warnings: tuple[Message, ...]

    def describe(self) -> tuple[Message, ...]:
        """Return the outcome for people."""
        kept = (Message(f"kept the former settings in {', '.join(self.backups)}"),) if self.backups else ()
        return (*self.warnings, *kept)


def describe_change(project: Project, changes: Mapping[str, str]) -> tuple[Message, ...]:
    """Return what will change, one line per setting whose value differs.

    Args:
        project: The project.
        changes: Setting to new value.
    """
    settings = project.settings
    return tuple(
        Message(f"{name}: {settings.text(name) or 'no value'} -> {value}")
        for name, value in changes.items()
        if settings.text(name) != value
    )


def change_settings(project: Project, changes: Mapping[str, str]) -> SettingsChange:
    """Change the env files, keeping a copy of each as it was.

    Args:
        project: The project.
        changes: Setting to new text; ``$NAME`` in it stands for another setting.

    Raises:
        ConfigError: The change would bring a new problem; nothing has changed.
        UnavailableError: A file cannot be written.
    """
    root = project.root
    before = {name: (root / name).read_bytes() for name in project.env_files if (root / name).is_file()}
    changed = set_config(root, changes, experiment=project.settings.experiment_name)
    names = [_back_up(root, name, text) for name, text in before.items() if (root / name).read_bytes() != text]
    warnings = tuple(message for message in changed.messages if message.level == "warning")
    return SettingsChange(tuple(names), warnings)


def _back_up(root: Path, name: str, text: bytes) -> str:
    backup = root / f"{name}.bak"
    backup.write_bytes(text)
    shutil.copymode(root / name, backup)
    return f"{name}.bak"
