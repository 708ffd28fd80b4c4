"""Settings as plain data, for a program of the same version in another place."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from drctl.config.registry import SETTINGS, has_default
from drctl.config.settings import Origin, Settings
from drctl.config.values import Refusal, parse_value
from drctl.errors import FormatError


def settings_to_json(settings: Settings) -> dict[str, Any]:
    """Return what `settings_from_json` reads: values that are no defaults, with their origins; secrets stay behind."""
    return {
        entry.name: {
            "text": settings.text(entry.name),
            "source": settings.origin(entry.name).source,
            "line": settings.origin(entry.name).line,
        }
        for entry in SETTINGS.values()
        if not entry.is_secret and not has_default(entry, settings)
    }


def settings_from_json(data: Mapping[str, Any]) -> Settings:
    """Read what `settings_to_json` gave.

    Raises:
        FormatError: It comes from another version.
    """
    values: dict[str, Any] = {}
    origins = {}
    for name, given in data.items():
        entry = SETTINGS.get(name)
        value = Refusal("", "") if entry is None else parse_value(entry, given["text"])
        if entry is None or isinstance(value, Refusal):
            what = f"{name}={given['text']} is no setting of this version of drctl"
            raise FormatError(what, fix="drctl build-images")
        values[entry.attribute] = value
        origins[name] = Origin(given["source"], given["line"])
    return Settings(**values, origins=MappingProxyType(origins))
