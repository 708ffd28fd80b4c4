"""Reads JSON strictly and says where it is wrong."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from drctl.errors import FormatError


class _RefusedError(ValueError):
    """Valid for Python's JSON reader, but not for us."""


def read_json(data: bytes | str, source: str) -> Any:
    """Read one JSON document.

    Stricter than Python's own reader: a key given twice and ``NaN`` or ``Infinity`` are errors, because whatever the
    reader would choose, it would be a surprise for whoever wrote the file.

    Args:
        data: Text, or bytes in UTF-8 with or without a byte order mark.
        source: Name of the file for messages, such as ``hyperparameters.json``.

    Returns:
        The document.

    Raises:
        FormatError: Not JSON; ``where`` is ``source:line:column``, both from 1.
    """
    text = _decode(data, source)
    if not text.strip():
        raise FormatError(
            f"{source} is empty", where=source, expected="a JSON document", fix=f"write the settings into {source}"
        )
    try:
        return json.loads(text, object_pairs_hook=_object_without_duplicates, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise FormatError(
            f"{source} is not JSON: {error.msg}",
            where=f"{source}:{error.lineno}:{error.colno}",
            expected="JSON (keys and texts in double quotes, no comma after the last entry, no comments)",
            fix=f"edit line {error.lineno} of {source}",
        ) from error
    except _RefusedError as error:
        raise FormatError(str(error), where=source, expected="JSON", fix=f"edit {source}") from error
    except RecursionError as error:
        raise FormatError(f"{source} is nested too deeply", where=source, expected="JSON") from error


def read_json_object(data: bytes | str, source: str) -> dict[str, Any]:
    """Read one JSON document that must be an object.

    Args:
        data: See `read_json`.
        source: See `read_json`.

    Returns:
        The object's keys and values.

    Raises:
        FormatError: Not JSON, or something else than an object.
    """
    document = read_json(data, source)
    if not isinstance(document, dict):
        raise FormatError(
            f"{source} holds {describe(document)}",
            where=source,
            expected="a JSON object: { ... }",
            fix=f"put the settings of {source} between braces",
        )
    return document


def describe(value: object) -> str:
    """Return a value as a message shows it: JSON notation, shortened to 60 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _decode(data: bytes | str, source: str) -> str:
    if isinstance(data, str):
        return data.removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{source} is not text in UTF-8 (byte {error.start})",
            where=source,
            expected="a JSON document in UTF-8",
            fix=f"save {source} as UTF-8 text",
        ) from error


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RefusedError(f'the key "{key}" is there twice')
        found[key] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _RefusedError(f"{name} is not a JSON number")
