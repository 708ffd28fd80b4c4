"""``deepracer_checkpoints.json``: which checkpoint is the best and which is the last (contract 1.4)."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Final

from drctl.errors import FormatError, Problem
from drctl.formats.fields import FieldReader
from drctl.formats.json_text import describe, read_json_object

_NAME: Final = re.compile(r"(?P<number>[0-9]+)_Step-(?P<steps>[0-9]+)\.ckpt")


@dataclass(frozen=True)
class CheckpointRecord:
    """One entry of the index.

    Attributes:
        name: Such as ``7_Step-3120.ckpt``; None before there is a checkpoint.
        avg_eval_metric: Mean of the evaluation that judged it: progress in percent, reward, or lap time in ms, as
            ``DR_TRAIN_BEST_MODEL_METRIC`` says; None when it has not been evaluated.
        time_stamp: When it was judged, in seconds.
    """

    name: str | None
    avg_eval_metric: float | None
    time_stamp: float


@dataclass(frozen=True)
class CheckpointIndex:
    """The whole file."""

    best: CheckpointRecord
    last: CheckpointRecord


def checkpoint_name(number: int, steps: int) -> str:
    """Return a checkpoint's name.

    Args:
        number: From 0, the untrained network.
        steps: Environment steps that were trained on.
    """
    return f"{number}_Step-{steps}.ckpt"


def checkpoint_number(name: str) -> int:
    """Return the number in a checkpoint's name.

    Args:
        name: As `checkpoint_name` makes it.

    Raises:
        FormatError: Not a checkpoint's name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise FormatError(f"{name!r} is not the name of a checkpoint", expected="a name such as 7_Step-3120.ckpt")
    return int(match["number"])


def parse_checkpoint_index(data: bytes | str, source: str) -> CheckpointIndex:
    """Read ``deepracer_checkpoints.json``, also as DRfC's upload writes it (``avg_comp_pct``).

    Args:
        data: The file's content.
        source: Its name for messages.

    Returns:
        The index.

    Raises:
        FormatError: Everything that is wrong with the file, at once.
    """
    fields = FieldReader(read_json_object(data, source), source)
    fields.refuse_unknown(("best_checkpoint", "last_checkpoint"))
    index = CheckpointIndex(_read_record("best_checkpoint", fields), _read_record("last_checkpoint", fields))
    fields.raise_problems()
    return index


def render_checkpoint_index(index: CheckpointIndex) -> bytes:
    """Return the file's content."""
    return json.dumps({"best_checkpoint": asdict(index.best), "last_checkpoint": asdict(index.last)}).encode()


def _read_record(key: str, fields: FieldReader) -> CheckpointRecord:
    value = fields.raw(key)
    if not isinstance(value, dict):
        found = describe(value) if fields.has(key) else "missing"
        fields.report(key, f"{key} is {found}", 'an object with "name", "avg_eval_metric" and "time_stamp"')
        return CheckpointRecord(None, None, 0.0)
    record = FieldReader(value, fields.source, path=key, problems=fields.problems)
    record.refuse_unknown(("name", "avg_eval_metric", "avg_comp_pct", "time_stamp"))
    metric = "avg_eval_metric" if record.has("avg_eval_metric") else "avg_comp_pct"
    return CheckpointRecord(
        _read_name(record),
        None if record.raw(metric) is None else record.number(metric, 0.0),
        record.number("time_stamp", 0.0),
    )


def _read_name(record: FieldReader) -> str | None:
    name: Any = record.raw("name")
    if name is None or (isinstance(name, str) and _NAME.fullmatch(name)):
        return name
    record.problems.append(
        Problem(f"name is {describe(name)}", record.where("name"), "null or a name such as 7_Step-3120.ckpt")
    )
    return None
