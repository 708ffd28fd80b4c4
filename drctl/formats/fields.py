"""Takes typed values out of an outside file's mapping and collects every problem on the way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import FormatError, Problem, nearest
from drctl.formats.json_text import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MISSING: Final = object()


class FieldReader:
    """Reads one mapping of a file; after the last field call `raise_problems`.

    A field that is absent gives its default; one that is wrong gives its default too, and a problem. Numbers and truth
    values may be written as texts, as all tools around DeepRacer do (contract 3.3, 6.1).

    Args:
        values: The mapping as it stands in the file.
        source: Name of the file for messages.
        path: Path of this mapping inside the file, such as ``action_space[2]``; empty at the top.
        problems: Where problems go; share one list between the readers of nested mappings.
    """

    def __init__(
        self, values: Mapping[str, Any], source: str, *, path: str = "", problems: list[Problem] | None = None
    ) -> None:
        self._values = values
        self.source = source
        self._path = path
        self.problems: list[Problem] = [] if problems is None else problems

    def where(self, key: str) -> str:
        """Return the place of a field for messages: ``hyperparameters.json: lr``."""
        return f"{self.source}: {self._path}.{key}" if self._path else f"{self.source}: {key}"

    def has(self, key: str) -> bool:
        """Return whether the file gives the field."""
        return key in self._values

    def raw(self, key: str) -> Any:
        """Return a field as it stands in the file, or None."""
        return self._values.get(key)

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Report every key that is not among the known ones, with the nearest name."""
        names = sorted(known)
        for key in self._values:
            if key not in names:
                guess = nearest(str(key), names)
                expected = f'"{guess}"' if guess else "one of: " + ", ".join(names)
                fix = f'rename "{key}" to "{guess}"' if guess else f'remove "{key}"'
                self.report(str(key), f'unknown key "{key}"', expected, f"{fix} in {self.source}")

    def integer(self, key: str, default: int, *, low: int, high: int) -> int:
        """Take a whole number in [low, high]."""
        expected = f"a whole number from {low:,} to {high:,}".replace(",", "")
        value = self._number(key, expected, default)
        if value is None:
            return default
        if value != math.floor(value) or not low <= value <= high:
            self._wrong(key, expected, default)
            return default
        return int(value)

    def number(self, key: str, default: float, *, low: float = -math.inf, high: float = math.inf) -> float:
        """Take a finite number in [low, high]."""
        expected = _number_text(low, high)
        value = self._number(key, expected, default)
        if value is None:
            return default
        if not low <= value <= high:
            self._wrong(key, expected, default)
            return default
        return value

    def boolean(self, key: str, default: bool) -> bool:
        """Take true or false; as a text in any case (contract 3.3)."""
        value = self._values.get(key, _MISSING)
        if value is _MISSING:
            return default
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().casefold() in ("true", "false"):
            return value.strip().casefold() == "true"
        self._wrong(key, "True or False", default)
        return default

    def choice(self, key: str, default: str, choices: Sequence[str], *, ignores_case: bool = False) -> str:
        """Take one of some words."""
        value = self._values.get(key, _MISSING)
        if value is _MISSING:
            return default
        if isinstance(value, str):
            for choice in choices:
                if value.strip() == choice or (ignores_case and value.strip().casefold() == choice.casefold()):
                    return choice
        guess = nearest(value, choices) if isinstance(value, str) else None
        listed = ", ".join(choices)
        self._wrong(key, f"{guess} (one of: {listed})" if guess else f"one of: {listed}", guess or default)
        return default

    def text(self, key: str, default: str, *, is_required: bool = False) -> str:
        """Take a text; a required one must not be empty."""
        value = self._values.get(key, _MISSING)
        if value is _MISSING:
            if is_required:
                self.report(key, f'"{key}" is missing', "a text", f'add "{key}" to {self.source}')
            return default
        if not isinstance(value, str) or (is_required and not value.strip()):
            self._wrong(key, "a text", None)
            return default
        return value

    def report(self, key: str, what: str, expected: str | None = None, fix: str | None = None) -> None:
        """Add a problem with a field."""
        self.problems.append(Problem(what, self.where(key), expected, fix))

    def raise_problems(self) -> None:
        """Raise one error for all problems so far.

        Raises:
            FormatError: There is at least one.
        """
        if self.problems:
            raise FormatError.from_problems(self.problems)

    def _number(self, key: str, expected: str, default: float) -> float | None:
        value = self._values.get(key, _MISSING)
        if value is _MISSING:
            return None
        if isinstance(value, str):
            value = _number_from_text(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            self._wrong(key, expected, default)
            return None
        return value

    def _wrong(self, key: str, expected: str, example: object) -> None:
        found = describe(self._values[key])
        fix = f'set "{key}": {describe(example)} in {self.source}' if example is not None else None
        self.report(key, f"{key} is {found}", expected, fix)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the floats
        return False


def _number_from_text(text: str) -> float | None:
    # int() first: a large whole number must not lose digits on the way through a float.
    for convert in (int, float):
        try:
            return convert(text.strip())
        except ValueError:
            continue
    return None


def _number_text(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "a number"
    if math.isinf(high):
        return f"a number of at least {low:g}"
    if math.isinf(low):
        return f"a number of at most {high:g}"
    return f"a number from {low:g} to {high:g}"
