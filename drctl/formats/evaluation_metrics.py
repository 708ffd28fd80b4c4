"""``evaluation-<stamp>.json``: one entry per raced lap (contract 4.2)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.fields import FieldReader
from drctl.formats.json_text import describe, read_json_object

if TYPE_CHECKING:
    from collections.abc import Iterable

_LARGEST: Final = 2**63 - 1
_LABELS: Final = tuple(status.label for status in EpisodeStatus)


@dataclass(frozen=True)
class LapMetrics:
    """One entry; fields, order and whole numbers as in the file.

    Attributes:
        completion_percentage: Progress at the end, at most 100, decimals cut off; may be negative.
        metric_time: Simulated time at the lap's end, ms.
        start_time: Simulated time at its beginning, ms.
        elapsed_time_in_milliseconds: Between the two, penalties included.
        episode_status: How it ended, as a label such as ``Lap complete``.
        crash_count: Crashes in this lap; the counts below likewise.
        immobilized_count: Times the car stood still.
        off_track_count: Times it left the road.
        reversed_count: Times it drove backwards.
        reset_count: Sum of the four.
        trial: Number of the lap, from 1.
    """

    completion_percentage: int
    metric_time: int
    start_time: int
    elapsed_time_in_milliseconds: int
    episode_status: str
    crash_count: int
    immobilized_count: int
    off_track_count: int
    reversed_count: int
    reset_count: int
    trial: int


def render_evaluation_metrics(laps: Iterable[LapMetrics]) -> bytes:
    """Return the file's content; laps are in the order in which they were raced."""
    return json.dumps({"metrics": [asdict(lap) for lap in laps]}).encode()


def parse_evaluation_metrics(data: bytes | str, source: str) -> tuple[LapMetrics, ...]:
    """Read the metrics of an evaluation.

    Args:
        data: The file's content.
        source: Its name for messages.

    Raises:
        FormatError: Everything that is wrong with the file, at once.
    """
    fields = FieldReader(read_json_object(data, source), source)
    fields.refuse_unknown(("metrics",))
    entries = fields.raw("metrics")
    if not isinstance(entries, list):
        fields.report("metrics", f"metrics is {describe(entries)}", "a list of laps")
        entries = []
    laps = tuple(_read_entry(entry, index, fields) for index, entry in enumerate(entries))
    fields.raise_problems()
    return laps


def _read_entry(entry: Any, index: int, fields: FieldReader) -> LapMetrics:
    path = f"metrics[{index}]"
    if not isinstance(entry, dict):
        fields.report(path, f"{path} is {describe(entry)}", "an object")
        entry = {}
    reader = FieldReader(entry, fields.source, path=path, problems=fields.problems)
    names = tuple(LapMetrics.__dataclass_fields__)
    reader.refuse_unknown(names)
    for name in names:
        if entry and not reader.has(name):
            reader.report(name, f'"{name}" is missing')
    values: dict[str, Any] = {
        name: reader.integer(name, 0, low=0, high=_LARGEST)
        for name in names
        if name not in ("completion_percentage", "episode_status")
    }
    return LapMetrics(
        completion_percentage=reader.integer("completion_percentage", 0, low=-_LARGEST, high=100),
        episode_status=reader.choice("episode_status", _LABELS[0], _LABELS),
        **values,
    )
