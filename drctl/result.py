"""What a use case hands back: data for machines, messages and next steps for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ENVELOPE_VERSION = 1
"""Version of the JSON document that ``--output json`` prints; a changed meaning needs a new number."""

Level = Literal["info", "warning", "success"]


@dataclass(frozen=True)
class Message:
    """One line for people; `level` decides its colour, never whether it is printed."""

    text: str
    level: Level = "info"


@dataclass(frozen=True)
class Result:
    """Outcome of one operation.

    Attributes:
        data: JSON-serialisable facts; keys are part of the interface.
        messages: Lines for people, in order.
        next_steps: Commands worth typing next, most useful first.
        exit_status: What the process returns; 0 for success.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    next_steps: tuple[str, ...] = ()
    exit_status: int = 0
