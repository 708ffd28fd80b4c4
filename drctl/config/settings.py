"""All settings of a run, typed, each with the place its value comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Final

from drctl.config.areas.evaluation import EvaluationSettings
from drctl.config.areas.races import RaceSettings
from drctl.config.areas.run import RunSettings
from drctl.config.areas.storing import StorageSettings
from drctl.config.areas.system import ContainerSettings, EngineName, SystemSettings
from drctl.config.areas.training import TrainingSettings
from drctl.config.setting import COMMUNITY_IMAGE, METADATA_KEY, StackName, to_text

REFERENCE: Final = re.compile(r"\$(DR_[A-Z0-9_]+)")
"""A default that follows another setting names it like this."""


@dataclass(frozen=True)
class Origin:
    """Where a value comes from; as text ``run.env:12``, ``default``, ``environment`` or ``--set``.

    Attributes:
        source: File name relative to the project, or one of the other three words.
        line: Line in the file, from 1.
    """

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


DEFAULT: Final = Origin("default")
ENVIRONMENT: Final = Origin("environment")
COMMAND_LINE: Final = Origin("--set")


def attribute_name(name: str) -> str:
    """Return the attribute that holds a setting: ``DR_WORKERS`` is ``workers``."""
    return name.removeprefix("DR_").lower()


# A dataclass lists the fields of its last base first: read the bases from the bottom for the order of the files.
@dataclass(frozen=True, kw_only=True)
class Settings(
    ContainerSettings,
    RaceSettings,
    EvaluationSettings,
    TrainingSettings,
    StorageSettings,
    RunSettings,
    SystemSettings,
):
    """Every setting of DeepRacer-for-Cloud and of drctl; the attribute is the name without ``DR_``, lower case.

    The areas above declare them; `drctl.config.registry.SETTINGS` lists them. Built by
    `drctl.config.project.load_project`; in tests by hand, where an attribute that is not given has its default.

    Attributes:
        origins: Place of each value that is not a default, by ``DR_`` name.
    """

    origins: Mapping[str, Origin] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, compare=False, hash=False
    )

    def __post_init__(self) -> None:
        defaults = {item.name: item.default for item in fields(self) if METADATA_KEY in item.metadata}
        following = {name: text for name, text in defaults.items() if isinstance(text, str) and "$" in text}
        for attribute in following:
            self._follow(attribute, following)

    def _follow(self, attribute: str, following: Mapping[str, str]) -> None:
        default = following[attribute]
        if getattr(self, attribute) != default:
            return
        for other in REFERENCE.findall(default):
            if attribute_name(other) in following:
                self._follow(attribute_name(other), following)
        object.__setattr__(self, attribute, REFERENCE.sub(lambda found: self.text(found[1]), default))

    @property
    def stack(self) -> StackName:
        """Which software simulates and trains."""
        return "community" if COMMUNITY_IMAGE in self.simapp_source else "drctl"

    @property
    def engine(self) -> EngineName:
        """How processes run: as ``DR_DOCKER_STYLE`` says, but the community images use this machine alone."""
        return "compose" if (self.stack, self.docker_style) == ("community", "swarm") else self.docker_style

    def origin(self, name: str) -> Origin:
        """Return where the value of a setting comes from, by its ``DR_`` name."""
        return self.origins.get(name, DEFAULT)

    def text(self, name: str) -> str:
        """Return a value as env files write it; empty when there is none, ``[REDACTED]`` for a secret."""
        return to_text(getattr(self, attribute_name(name)))
