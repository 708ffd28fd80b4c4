"""Trace rows: what each simulation step leaves behind, and the CSV files made of them (contract 4.3, 4.4)."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.errors import FormatError, Problem
from drctl.formats.episode_status import EpisodeStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

TRACE_DTYPE: Final = np.dtype(
    [
        ("episode", np.int32),  # training episodes of the file's slot before this one
        ("steps", np.float32),  # 1 = the prepare step
        ("x", np.float64),  # m, world; the point 0.14 m ahead of base_link
        ("y", np.float64),  # m
        ("yaw", np.float64),  # degrees, -180..180
        ("steer", np.float64),  # commanded, degrees, left positive
        ("throttle", np.float64),  # commanded, m/s
        ("action", np.int32),  # number of a discrete action; CONTINUOUS_ACTION otherwise
        ("action_steer", np.float64),  # continuous action, degrees
        ("action_speed", np.float64),  # continuous action, m/s
        ("reward", np.float64),
        ("done", np.bool_),
        ("all_wheels_on_track", np.bool_),
        ("progress", np.float64),  # percent
        ("closest_waypoint", np.int32),
        ("track_len", np.float64),  # m
        ("tstamp", np.float64),  # simulated seconds at the end of the row's action
        ("status", np.uint8),  # EpisodeStatus.index
        ("pause_duration", np.float64),  # s of penalty left
        ("obstacle_crash_counter", np.int32),
        ("wall_clock", np.float64),  # s since 1970
    ]
)
CONTINUOUS_ACTION: Final = -1

COLUMNS: Final = (
    "episode",
    "steps",
    "X",
    "Y",
    "yaw",
    "steer",
    "throttle",
    "action",
    "reward",
    "done",
    "all_wheels_on_track",
    "progress",
    "closest_waypoint",
    "track_len",
    "tstamp",
    "episode_status",
    "pause_duration",
    "obstacle_crash_counter",
    "wall_clock",
)
_OLDEST_COLUMN_COUNT: Final = 16  # contract 4.3: older images end after episode_status
_LARGEST_WHOLE: Final = 2**31 - 1  # of an int32
_INNER_NAMES: Final = {"X": "x", "Y": "y", "episode_status": "status"}
_STATUS_WORDS: Final = tuple(status.value for status in EpisodeStatus)


def render_rows(rows: NDArray[np.void]) -> bytes:
    """Return the CSV file of some trace rows, header first.

    Every value is Python's own text for it: floats unrounded, ``steps`` as ``1.0``, ``True`` and ``False``. A
    continuous action is ``[steer speed]``: a comma in it would be a column more.

    Args:
        rows: Shape (T,), dtype `TRACE_DTYPE`, in the order of the file.
    """
    lines = [",".join(COLUMNS)]
    lines.extend(",".join(map(str, row_values(row))) for row in rows.tolist())
    return ("\n".join(lines) + "\n").encode()


def row_values(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the 19 Python objects of a trace row, in the order of `COLUMNS`.

    Args:
        row: One row as ``rows.tolist()`` or ``row.item()`` gives it.
    """
    (episode, steps, x, y, yaw, steer, throttle, action, action_steer, action_speed, *rest) = row
    (reward, done, on_track, progress, waypoint, track_len, tstamp, status, pause, crashes, wall_clock) = rest
    shown = f"[{action_steer} {action_speed}]" if action == CONTINUOUS_ACTION else action
    word = _STATUS_WORDS[status]
    return (
        *(episode, steps, x, y, yaw, steer, throttle, shown, reward, done, on_track, progress, waypoint, track_len),
        *(tstamp, word, pause, crashes, wall_clock),
    )


def parse_rows(data: bytes | str, source: str) -> NDArray[np.void]:
    """Read a trace file, also of older images that lack the last one to three columns.

    Args:
        data: The file's content.
        source: Its name for messages.

    Returns:
        Rows, shape (T,), dtype `TRACE_DTYPE`; what an older file lacks is 0.

    Raises:
        FormatError: Header or values are wrong; at most the first ten problems.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{source} is not text", where=source, expected="a trace file (CSV)") from error
    quickly = _read_columns(text)
    if quickly is not None:
        return quickly
    lines = list(csv.reader(io.StringIO(text)))
    header = tuple(lines[0]) if lines else ()
    if header != COLUMNS[: max(len(header), _OLDEST_COLUMN_COUNT)]:
        raise FormatError(
            f"{source} does not begin with a trace's header", where=f"{source}:1", expected=",".join(COLUMNS)
        )
    rows = np.zeros(len(lines) - 1, TRACE_DTYPE)
    problems: list[Problem] = []
    for index, values in enumerate(lines[1:]):
        if len(values) != len(header):
            problems.append(Problem(f"{len(values)} values in a row", f"{source}:{index + 2}", f"{len(header)} values"))
            continue
        _fill_row(rows[index], header, values, f"{source}:{index + 2}", problems)
    if problems:
        raise FormatError.from_problems(problems[:10])
    return rows


def _read_columns(text: str) -> NDArray[np.void] | None:
    """Read a flawless trace column by column, three times as fast as row by row; None for any other text.

    What is wrong, and where, is for the slow way to say.
    """
    head, _, body = text.partition("\n")
    header = tuple(head.split(","))
    if header != COLUMNS[: max(len(header), _OLDEST_COLUMN_COUNT)]:
        return None
    cells = body.rstrip("\n").replace("\n", ",").split(",") if body else []
    if len(cells) % len(header):
        return None
    rows = np.zeros(len(cells) // len(header), TRACE_DTYPE)
    try:
        for position, name in enumerate(header):
            _fill_column(rows, name, cells[position :: len(header)])
    except (ValueError, KeyError, OverflowError):
        return None
    return rows


def _fill_column(rows: NDArray[np.void], name: str, cells: list[str]) -> None:
    if name in _COLUMN_WORDS:
        rows[_INNER_NAMES.get(name, name)] = [_COLUMN_WORDS[name][cell] for cell in cells]
        return
    if name == "action" and cells and cells[0].startswith("["):
        pairs = [_read_action(cell) for cell in cells]
        rows["action"], rows["action_steer"], rows["action_speed"] = zip(*pairs, strict=True)
        return
    numbers = np.fromiter(map(float, cells), np.float64, len(cells))
    is_whole = name in _WHOLE_NUMBERS or name == "action"
    if not np.isfinite(numbers).all() or (is_whole and not _are_whole(numbers)):
        raise ValueError(name)
    rows[_INNER_NAMES.get(name, name)] = numbers


def _are_whole(numbers: NDArray[np.float64]) -> bool:
    return bool((np.abs(numbers) <= _LARGEST_WHOLE).all() and (numbers == np.floor(numbers)).all())


def _fill_row(row: np.void, header: Sequence[str], values: Sequence[str], where: str, problems: list[Problem]) -> None:
    for name, text in zip(header, values, strict=True):
        try:
            if name == "action":
                row["action"], row["action_steer"], row["action_speed"] = _read_action(text)
            else:
                row[_INNER_NAMES.get(name, name)] = _READERS.get(name, _read_number)(text)
        except (ValueError, OverflowError):
            problems.append(Problem(f"{name} is {text!r}", where, _EXPECTED.get(name, "a number")))


def _read_action(text: str) -> tuple[int, float, float]:
    if text.startswith("[") and text.endswith("]"):
        steer, speed = text[1:-1].split()
        return CONTINUOUS_ACTION, float(steer), float(speed)
    return _read_whole(text), 0.0, 0.0


def _read_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _read_whole(text: str) -> int:
    number = _read_number(text)
    if number != int(number):
        raise ValueError(text)
    return int(number)


def _read_truth(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError(text)
    return text == "True"


_WHOLE_NUMBERS: Final = ("episode", "steps", "closest_waypoint", "obstacle_crash_counter")
_TRUTHS: Final = ("done", "all_wheels_on_track")
_COLUMN_WORDS: Final[dict[str, dict[str, int]]] = {
    **{name: {"True": 1, "False": 0} for name in _TRUTHS},
    "episode_status": {word: index for index, word in enumerate(_STATUS_WORDS)},
}
_READERS: Final[dict[str, Callable[[str], float]]] = {
    **dict.fromkeys(_WHOLE_NUMBERS, _read_whole),
    **dict.fromkeys(_TRUTHS, _read_truth),
    "episode_status": _STATUS_WORDS.index,
}
_EXPECTED: Final = {
    **dict.fromkeys(_WHOLE_NUMBERS, "a whole number"),
    **dict.fromkeys(_TRUTHS, "True or False"),
    "action": "a whole number or [steer speed]",
    "episode_status": "one of: " + ", ".join(_STATUS_WORDS),
}
