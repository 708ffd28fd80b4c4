"""The settings of models side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from drctl.analysis.drawing.actions import action_name
from drctl.formats.model_metadata import DiscreteActionSpace

if TYPE_CHECKING:
    from drctl.analysis.record import ModelRecord
    from drctl.formats.model_metadata import ModelMetadata

# Places, keys and accounts: nothing about the car, and nothing for a page that is passed on.
_PRIVATE: Final = re.compile(r"S3|ARN|ACCOUNT|AWS|KINESIS|METRICS|ENDPOINT|JOB|KMS|MULTI_CONFIG")
_HIDDEN: Final = re.compile(r"model_metadata_s3_key|reward_function_s3|s3_|files|slots")

Values = Mapping[str, str]


@dataclass(frozen=True)
class SettingRow:
    """One setting of every model.

    Attributes:
        group: ``world``, ``network`` and so on.
        name: Of the setting.
        values: One per model; empty where a model has none.
    """

    group: str
    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the models differ in it."""
        return len(set(self.values)) > 1


def settings_rows(records: Sequence[ModelRecord]) -> list[SettingRow]:
    """List the settings of models: what they sense and do, what they learn by, where they drive."""
    groups: tuple[tuple[str, Callable[[ModelRecord], Values]], ...] = (
        ("car", lambda record: _car(record.metadata)),
        ("hyperparameters", lambda record: _texts(record.hyperparameters, _HIDDEN)),
        ("world", lambda record: _worlds(record.worlds)),
        ("training", lambda record: _texts(record.conditions, _HIDDEN)),
    )
    rows = []
    for group, values_of in groups:
        values = [values_of(record) for record in records]
        names = dict.fromkeys(name for one in values for name in one)
        rows += [SettingRow(group, name, tuple(one.get(name, "") for one in values)) for name in names]
    return rows


def _car(metadata: ModelMetadata | None) -> Values:
    if metadata is None:
        return {}
    space = metadata.action_space
    if isinstance(space, DiscreteActionSpace):
        pairs = zip(space.steering_deg, space.speed_m_s, strict=True)
        actions = ", ".join(action_name(*pair) for pair in pairs)
    else:
        actions = (
            f"continuous: {space.steering_low_deg:g}° to {space.steering_high_deg:g}°, "
            f"{space.speed_low_m_s:g} to {space.speed_high_m_s:g} m/s"
        )
    return {
        "actions": actions,
        "sensors": ", ".join(metadata.sensors),
        "network": metadata.neural_network,
        "algorithm": metadata.training_algorithm,
        "version": f"{metadata.version:g}",
    }


def _worlds(worlds: Sequence[Mapping[str, Any]]) -> Values:
    """Return one text per key; a multi-config training has several values where its entries differ."""
    names = dict.fromkeys(name for world in worlds for name in sorted(world) if not _PRIVATE.search(name))
    found = {name: " | ".join(dict.fromkeys(_text(world.get(name, "-")) for world in worlds)) for name in names}
    return {name: text for name, text in found.items() if text}


def _texts(values: Mapping[str, Any], hidden: re.Pattern[str]) -> Values:
    return {name: _text(value) for name, value in sorted(values.items()) if not hidden.search(name)}


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)
