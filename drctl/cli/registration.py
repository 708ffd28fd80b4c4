"""Stand-in while modules appear."""

from __future__ import annotations
import importlib
from typing import Any


def modules() -> list[Any]:
    """Return command modules that exist."""
    found = []
    for name in ("config", "training", "status", "logs", "worker", "files", "tracks"):
        try:
            module = importlib.import_module(f"drctl.cli.{name}")
        except ModuleNotFoundError:
            continue
        if hasattr(module, "register"):
            found.append(module)
    return found
