"""Which worker a container is, where Docker and not drctl numbers them (contract 2.5)."""

from __future__ import annotations

from typing import Final

SLOT_VARIABLE: Final = "DOCKER_REPLICA_SLOT"
"""Environment variable with the number, from 1."""


def name_of_slot(slot: str) -> str | None:
    """Return the name within the run of the worker with a number, such as ``worker-0`` for 1; None for no number."""
    return f"worker-{int(slot) - 1}" if slot.isdecimal() and int(slot) > 0 else None
