"""From the text of a setting to its typed value, strictly."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from drctl.config.setting import Setting, to_text
from drctl.config.text_rules import TEXT_RULES
from drctl.errors import nearest
from drctl.secrets import Secret

# DeepRacer-for-Cloud's scripts take True/False in any case, and yes, t and 1 in places (contract 3.1, 3.3).
_TRUE: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "off", "0"})
_NUMBER_WORDS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

_PLACEHOLDER: Final = re.compile(r"<[A-Z0-9_]+>")  # what DeepRacer-for-Cloud's init.sh replaces in its templates

Value = bool | int | float | str | Secret | None


@dataclass(frozen=True)
class Refusal:
    """Why a text is no value of a setting.

    Attributes:
        expected: What would be one.
        suggestion: The nearest valid text.
    """

    expected: str
    suggestion: str


def parse_value(setting: Setting, text: str) -> Value | Refusal:
    """Read a value.

    Args:
        setting: What it is for.
        text: As the env file, the environment or the command line has it, expanded; empty means "not set".

    Returns:
        The typed value (the default for an empty text, a default with ``$DR_OTHER`` as it stands), or why it is none.
    """
    text = text.strip()
    if not text:
        return None if setting.is_optional else setting.default
    if _PLACEHOLDER.fullmatch(text):
        return Refusal("a value in place of the template's word", setting.new_project_text)
    text = setting.about.old_values.get(text.casefold(), text)
    if setting.kind == "secret":
        return Secret(text)
    if setting.choices:
        return _parse_choice(setting, text)
    if setting.kind == "bool":
        return _parse_bool(setting, text)
    if setting.kind in ("int", "float"):
        return _parse_number(setting, text)
    rule = TEXT_RULES.get(setting.about.rule or "")
    if rule and not rule.is_kept(text):
        return Refusal(rule.expected, setting.new_project_text)
    return text


def describe_values(setting: Setting) -> str:
    """Return in words which values a setting takes, such as ``an integer from 1 to 64``."""
    about = setting.about
    if setting.choices:
        return _either(setting.choices)
    if setting.kind == "bool":
        return "True or False"
    if setting.kind in ("int", "float"):
        return ("an integer" if setting.kind == "int" else "a number") + _describe_range(about.minimum, about.maximum)
    return TEXT_RULES[about.rule].expected if about.rule else "any text"


def _parse_choice(setting: Setting, text: str) -> str | Refusal:
    for choice in setting.choices:
        if choice.casefold() == text.casefold():
            return choice
    return Refusal(describe_values(setting), nearest(text, setting.choices) or setting.new_project_text)


def _parse_bool(setting: Setting, text: str) -> bool | Refusal:
    folded = text.casefold()
    if folded in _TRUE:
        return True
    if folded in _FALSE:
        return False
    return Refusal(describe_values(setting), nearest(text, ("True", "False")) or setting.default_text)


def _parse_number(setting: Setting, text: str) -> int | float | Refusal:
    number = _read_number(text, is_integer=setting.kind == "int")
    low, high = setting.about.minimum, setting.about.maximum
    if number is not None and (low is None or number >= low) and (high is None or number <= high):
        return number
    guess = number if number is not None else _guess_number(text)
    if guess is None:
        return Refusal(describe_values(setting), setting.default_text or _plain(low or 1))
    guess = max(guess, -math.inf if low is None else low)
    guess = min(guess, math.inf if high is None else high)
    return Refusal(describe_values(setting), _plain(guess) if setting.kind == "int" else to_text(float(guess)))


def _read_number(text: str, *, is_integer: bool) -> int | float | None:
    if re.fullmatch(r"[+-]?[0-9]+", text):
        return int(text) if is_integer else float(text)
    if not is_integer and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        number = float(text)
        return number if math.isfinite(number) else None
    return None


def _guess_number(text: str) -> float | None:
    """Find the number that was probably meant: ``four``, ``4.0`` for an integer, ``0,05``, ``5s``."""
    if text.casefold() in _NUMBER_WORDS:
        return _NUMBER_WORDS.index(text.casefold())
    found = re.match(r"[+-]?[0-9]+(?:[.,][0-9]+)?", text)
    return float(found[0].replace(",", ".")) if found and len(found[0]) < 16 else None


def _plain(number: float) -> str:
    return str(round(number))


def _describe_range(low: float | None, high: float | None) -> str:
    def write(number: float) -> str:
        return f"{number:g}" if abs(number) < 1e6 else str(round(number))

    if low is not None and high is not None:
        return f" from {write(low)} to {write(high)}"
    return f", {write(low)} or more" if low is not None else ""


def _either(words: tuple[str, ...]) -> str:
    return ", ".join(words[:-1]) + f" or {words[-1]}"
