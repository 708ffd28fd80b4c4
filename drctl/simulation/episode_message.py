"""Episode records on their way from a worker to the trainer: plain mappings and one array of trace rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.simtrace import TRACE_DTYPE
from drctl.link.codec import MessageError
from drctl.simulation.episode import EpisodeRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TYPES: Final = {
    "status": str,
    "reward": float,
    "steps": int,
    "progress_percent": float,
    "duration_s": float,
    "rows": int,
}
_NO_ROWS: Final = np.empty(0, TRACE_DTYPE)


def pack_records(records: Sequence[EpisodeRecord]) -> tuple[list[dict[str, Any]], NDArray[np.void]]:
    """Return one mapping per record and the trace rows of all of them, end to end."""
    mappings = [
        {
            "status": record.status.value,
            "reward": float(record.reward),
            "steps": int(record.steps),
            "progress_percent": float(record.progress_percent),
            "duration_s": float(record.duration_s),
            "rows": len(record.rows),
        }
        for record in records
    ]
    if not records:
        return mappings, _NO_ROWS
    return mappings, np.concatenate([record.rows for record in records])


def unpack_records(mappings: Sequence[Any], rows: NDArray[np.void]) -> list[EpisodeRecord]:
    """Read what `pack_records` gave.

    Args:
        mappings: One per record.
        rows: Their trace rows, end to end; copied.

    Raises:
        MessageError: They do not fit together.
    """
    records, first = [], 0
    for mapping in mappings:
        is_complete = isinstance(mapping, dict) and mapping.keys() == _TYPES.keys()
        if not is_complete or any(type(mapping[name]) is not kind for name, kind in _TYPES.items()):
            raise MessageError("an episode record lacks a value or has one of the wrong type")
        last = first + mapping["rows"]
        if not first <= last <= len(rows):
            raise MessageError("an episode record has more rows than came with it")
        try:
            status = EpisodeStatus(mapping["status"])
        except ValueError as error:
            raise MessageError(str(error)) from error
        records.append(
            EpisodeRecord(
                rows=rows[first:last].copy(),
                status=status,
                reward=mapping["reward"],
                steps=mapping["steps"],
                progress_percent=mapping["progress_percent"],
                duration_s=mapping["duration_s"],
            )
        )
        first = last
    if first != len(rows):
        raise MessageError("there are more trace rows than episode records say")
    return records
