"""What one setting is, and how a settings class declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

EnvFileKind = Literal["system", "run"]
Part = Literal["now", "containers", "evaluation", "viewer", "training options", "models"]
"""The part of the program that a setting belongs to; ``now`` is here, the others come later, one by one."""

StackName = Literal["drctl", "community"]
"""Which software simulates and trains: ours, or the community images (DESIGN 2, stack)."""

METADATA_KEY: Final = "setting"

OWN_STACK: Final = "drctl"
CONTAINER_STYLES: Final = ("compose", "swarm")
COMMUNITY_IMAGE: Final = "deepracer-simapp"  # DESIGN 2: an image source with this in its name is the community's


@dataclass(frozen=True)
class Condition:
    """What another setting must be for this one to do anything.

    Attributes:
        name: The other setting.
        values: Its values that count; empty for "any value, as long as it has one".
        part: Where given, a value counts that has this text in it.
    """

    name: str
    values: tuple[str, ...] = ()
    part: str = ""

    def holds(self, text: str) -> bool:
        """Tell whether the other setting's value, as text, is one that counts."""
        if self.part:
            return self.part in text
        return text in self.values if self.values else bool(text)

    def __str__(self) -> str:
        if self.part:
            return f"{self.name} names an image with {self.part}"
        return f"{self.name} is {' or '.join(self.values)}" if self.values else f"{self.name} is set"


@dataclass(frozen=True)
class Exclusion:
    """A command that does not take a value.

    Attributes:
        command: Such as ``start-training``.
        reason: Goes on from "..., which `command` does not take:".
    """

    command: str
    reason: str


STACK_CONDITIONS: Final[Mapping[StackName, Condition]] = MappingProxyType(
    {
        "drctl": Condition("DR_SIMAPP_SOURCE", ("drctl",)),
        "community": Condition("DR_SIMAPP_SOURCE", part=COMMUNITY_IMAGE),
    }
)


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What a settings class says about one of its attributes, beside type and default.

    Attributes:
        meaning: What it does, one or two sentences.
        file: The env file it belongs to; a value in the other file counts all the same.
        read_by: The parts of the program that read it.
        unit: Unit of a number.
        minimum: Lowest allowed number.
        maximum: Highest allowed number.
        rule: Name of the rule in `drctl.config.text_rules` that a text must keep.
        old_values: Values of earlier times, each with the one it means today.
        part: Where it belongs; see `Part`.
        later_values: Values that come with a later part, where the others are here; each with that part.
        excluded: Values that a command does not take, each with that command.
        commands: The commands that it concerns.
        used_when: Without this it changes nothing.
        idle_with_drctl: Why it means nothing to our own stack; empty when it does.
        stack: The only stack that reads it; None for both.
        is_in_images: Whether the community images do it already, whichever part of ours it waits for.
        is_per_worker: Whether ``worker-N.env`` may set it (contract 2.6).
        in_new_project: What ``drctl init`` writes, where that is not the default.
        in_files: Whether the shipped env files show it; one without a value is shown commented out.
    """

    meaning: str
    file: EnvFileKind
    read_by: str
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    rule: str | None = None
    old_values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    part: Part = "now"
    later_values: Mapping[str, Part] = field(default_factory=lambda: MappingProxyType({}))
    excluded: Mapping[str, Exclusion] = field(default_factory=lambda: MappingProxyType({}))
    commands: tuple[str, ...] = ("start-training",)
    used_when: Condition | None = None
    idle_with_drctl: str = ""
    stack: StackName | None = None
    is_in_images: bool = False
    is_per_worker: bool = False
    in_new_project: str | None = None
    in_files: bool = True


def setting(default: object, meaning: str, **rest: Any) -> Any:
    """Declare an attribute of a settings class.

    Args:
        default: Its value when nothing sets it. A text with ``$DR_OTHER`` follows that other setting.
        meaning: See `Declaration`.
        **rest: The remaining attributes of `Declaration`.
    """
    return field(default=default, metadata={METADATA_KEY: Declaration(meaning=meaning, **rest)})


@dataclass(frozen=True)
class Setting:
    """One entry of the registry: a declared attribute with its type.

    Attributes:
        name: ``DR_...`` as users write it.
        attribute: Name in `drctl.config.settings.Settings`.
        kind: ``bool``, ``int``, ``float``, ``str`` or ``secret``.
        is_optional: Whether it can be without a value (None).
        default: Typed default; a text may hold ``$DR_OTHER``.
        choices: Allowed texts, or empty when any text that keeps the rule will do.
        about: Everything else.
    """

    name: str
    attribute: str
    kind: Literal["bool", "int", "float", "str", "secret"]
    is_optional: bool
    default: bool | int | float | str | None
    choices: tuple[str, ...]
    about: Declaration

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What must hold for it to change anything."""
        stack = () if self.about.stack is None else (STACK_CONDITIONS[self.about.stack],)
        return (*stack, *((self.about.used_when,) if self.about.used_when else ()))

    @property
    def is_secret(self) -> bool:
        """Whether its value is never shown."""
        return self.kind == "secret"

    @property
    def default_text(self) -> str:
        """The default as one would write it in an env file; empty for none."""
        return to_text(self.default)

    @property
    def new_project_text(self) -> str:
        """What a file written by ``drctl init`` says; empty for a line that is commented out."""
        return self.default_text if self.about.in_new_project is None else self.about.in_new_project


def to_text(value: object) -> str:
    """Write a typed value as env files have it: ``True``, ``5.0``, nothing for None; a secret stays hidden."""
    return "" if value is None else str(value)
