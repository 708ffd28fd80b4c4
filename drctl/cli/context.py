"""What every command is given besides its own options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from drctl.cli.output import Output, show_message
from drctl.result import Message

if TYPE_CHECKING:
    from drctl.config.project import Project


@dataclass(frozen=True)
class Invocation:
    """One call of the program.

    Attributes:
        output: For whom commands print.
        overrides: Settings given with ``--set``, by their ``DR_`` names.
        folder: Where the search for the project starts; None for the current folder.
    """

    output: Output = field(default_factory=Output)
    overrides: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def load_project(self, overrides: Mapping[str, str] | None = None, *, with_entries: bool = False) -> Project:
        """Read the project that the command is about.

        Args:
            overrides: Further settings, which win over ``--set``.
            with_entries: Read the files of a multi-config run's workers as well.

        Raises:
            ConfigError: Every setting that is wrong, at once, or there is no project.
        """
        from drctl.config.project import load_project

        return load_project(self.folder, overrides={**self.overrides, **(overrides or {})}, with_entries=with_entries)

    def load_project_to_start(
        self, overrides: Mapping[str, str] | None = None, *, with_entries: bool = False
    ) -> Project:
        """Read the project and name the settings of this shell that differ from its files (DESIGN 2).

        Args:
            overrides: See `load_project`.
            with_entries: See `load_project`.
        """
        project = self.load_project(overrides, with_entries=with_entries)
        for message in describe_environment(project.environment_overrides):
            show_message(message, self.output)
        return project


def describe_environment(overrides: Mapping[str, tuple[str, str]]) -> tuple[Message, ...]:
    """Return one warning per setting that the shell's environment changes.

    Args:
        overrides: Name to (value in the shell, value in the files), as `Project.environment_overrides` gives them.
    """
    return tuple(
        Message(f"{name}={shell or repr('')} from this shell's environment, not {file or repr('')}", "warning")
        for name, (shell, file) in sorted(overrides.items())
    )


def invocation_of(ctx: typer.Context) -> Invocation:
    """Return what the program's own options said; ``--output``, ``--set`` and ``--project``."""
    found = ctx.find_object(Invocation)
    return found if found is not None else Invocation()
