"""Env files as users write them: read, with line numbers, and changed without disturbing the rest.

The rules are those of a shell, whose ``source`` DeepRacer-for-Cloud's users have in mind, minus commands. What
python-dotenv does otherwise matters here: it leaves ``$NAME`` alone and puts quotes around what it writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from drctl.errors import Problem

_ASSIGNMENT: Final = re.compile(
    r"(?P<indent>\s*)(?P<export>export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=(?P<rest>.*)"
)
_REFERENCE: Final = re.compile(
    r"\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?::?-(?P<fallback>[^{}$]*))?\})"
)
_BARE: Final = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")  # needs no quotes anywhere in a value
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Reference:
    """A ``$NAME``, ``${NAME}`` or ``${NAME:-fallback}`` inside a value."""

    name: str
    fallback: str | None = None


Parts = tuple[str | Reference, ...]


@dataclass(frozen=True)
class Assignment:
    """One line that gives a name a value.

    Attributes:
        name: As written.
        parts: The value: texts and references, to be joined.
        line: Line number, from 1.
    """

    name: str
    parts: Parts
    line: int


@dataclass(frozen=True)
class EnvFile:
    """What an env file says.

    Attributes:
        label: Its name in messages, such as ``run.env``.
        assignments: In the order of the file; a name may come twice, the last one counts.
        problems: Lines that cannot be understood.
    """

    label: str
    assignments: tuple[Assignment, ...]
    problems: tuple[Problem, ...]


class _UnreadableValueError(Exception):
    def __init__(self, what: str, expected: str, fix: str) -> None:
        super().__init__(what)
        self.expected = expected
        self.fix = fix


def parse_env_file(text: str, label: str) -> EnvFile:
    """Read the text of an env file; nothing is expanded yet.

    Comments, empty lines, ``export``, single and double quotes, Windows line ends and a comment after a value are
    understood; an unquoted value may hold spaces.

    Args:
        text: The whole file.
        label: Its name for messages.
    """
    assignments, problems = [], []
    for number, line in enumerate(_LINE_END.split(text.removeprefix("\ufeff")), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        where = f"{label}:{number}"
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            problems.append(
                Problem(f"cannot read {_first_word(stripped)!r}", where, "NAME=value", f"mend or delete {where}")
            )
            continue
        try:
            parts, _ = _ValueReader(match["rest"]).read()
        except _UnreadableValueError as error:
            problems.append(Problem(f"{match['name']}: {error}", where, error.expected, f"{error.fix} in {where}"))
            continue
        assignments.append(Assignment(match["name"], parts, number))
    return EnvFile(label, tuple(assignments), tuple(problems))


def set_value(text: str, name: str, value: str, *, replacing: Sequence[str] = (), is_expression: bool = False) -> str:
    """Return the text of an env file with one value changed; every other byte stays.

    The last line that sets the name is changed in place, with its ``export`` and its comment. Otherwise a new line
    follows the name's commented line, if the file has one, or ends the file.

    Args:
        text: The whole file.
        name: What to set.
        value: Its new value.
        replacing: Older names of it, whose line is taken over.
        is_expression: Whether ``$NAME`` in the value stands for another value; otherwise a dollar is a dollar.

    Raises:
        ValueError: The value has a line break or a NUL.
    """
    if re.search(r"[\r\n\0]", value):
        raise ValueError(f"the value of {name} has a line break")
    written = quote(value, is_expression=is_expression)
    pieces = re.split(r"(\r\n|\n|\r)", text)
    lines, ends = pieces[::2], pieces[1::2]
    place = _find_assignment(lines, (name, *replacing))
    if place is not None:
        lines[place] = _replace_value(lines[place], name, written)
    else:
        line_end = ends[0] if ends else "\n"
        after = _find_commented(lines, name)
        if after is not None:
            lines.insert(after + 1, f"{name}={written}")
            ends.insert(after, line_end)
        else:
            at_end = len(lines) - 1 if not lines[-1] else len(lines)
            lines.insert(at_end, f"{name}={written}")
            ends.append(line_end)
    return "".join(line + end for line, end in zip(lines, [*ends, ""], strict=False))


def quote(value: str, *, is_expression: bool = False) -> str:
    """Write a value so that `parse_env_file` reads it back; plain where it can be.

    Args:
        value: The text.
        is_expression: Keep ``$NAME`` working.
    """
    if _BARE.fullmatch(value) or (is_expression and _BARE.fullmatch(_REFERENCE.sub("", value))):
        return value
    if not is_expression and "'" not in value:
        return f"'{value}'"
    escaped = re.sub(r'["\\`]' if is_expression else r'["\\`$]', lambda found: "\\" + found[0], value)
    return f'"{escaped}"'


def _find_assignment(lines: list[str], names: tuple[str, ...]) -> int | None:
    found = None
    for number, line in enumerate(lines):
        match = _ASSIGNMENT.fullmatch(line.removeprefix("\ufeff"))
        if match and match["name"] in names and not line.lstrip("\ufeff \t").startswith("#"):
            found = number
    return found


def _find_commented(lines: list[str], name: str) -> int | None:
    for number, line in enumerate(lines):
        if re.match(rf"\s*#+\s*(export\s+)?{name}\s*=", line):
            return number
    return None


def _replace_value(line: str, name: str, written: str) -> str:
    mark = "\ufeff" if line.startswith("\ufeff") else ""
    match = _ASSIGNMENT.fullmatch(line.removeprefix("\ufeff"))
    if match is None:  # the caller found an assignment here
        raise ValueError(line)
    try:
        _, end = _ValueReader(match["rest"]).read()
    except _UnreadableValueError:
        end = len(match["rest"])
    comment = match["rest"][end:].rstrip()
    if comment and not comment[0].isspace():
        comment = f" {comment}"
    return f"{mark}{match['indent']}{match['export'] or ''}{name}={written}{comment}"


class _ValueReader:
    """Reads what stands after the equals sign."""

    def __init__(self, rest: str) -> None:
        self._rest = rest
        self._position = 0
        self._parts: list[str | Reference] = []

    def read(self) -> tuple[Parts, int]:
        """Return the value and the place where it ends, after which only a comment may follow."""
        end = 0
        while True:
            gap = self._take_space()
            if self._position == len(self._rest) or (self._peek() == "#" and gap):
                return self._joined(), end
            if end:
                self._parts.append(gap)  # spaces between the words of an unquoted value belong to it
            self._read_piece()
            end = self._position

    def _peek(self) -> str:
        return self._rest[self._position : self._position + 1]

    def _take_space(self) -> str:
        start = self._position
        while self._peek().isspace():
            self._position += 1
        return self._rest[start : self._position]

    def _read_piece(self) -> None:
        character = self._peek()
        if character == "'":
            self._read_single_quoted()
        elif character == '"':
            self._read_double_quoted()
        elif character in ("$", "`"):
            self._read_dollar()
        elif character == "\\" and self._rest[self._position + 1 : self._position + 2] in tuple(" \t'\"$#`\\"):
            self._parts.append(self._rest[self._position + 1])
            self._position += 2
        else:
            self._parts.append(character)
            self._position += 1

    def _read_single_quoted(self) -> None:
        close = self._rest.find("'", self._position + 1)
        if close < 0:
            raise _unclosed("'")
        self._parts.append(self._rest[self._position + 1 : close])
        self._position = close + 1

    def _read_double_quoted(self) -> None:
        self._position += 1
        while (character := self._peek()) != '"':
            if not character:
                raise _unclosed('"')
            if character in ("$", "`"):
                self._read_dollar()
                continue
            if character == "\\" and self._rest[self._position + 1 : self._position + 2] in tuple('"$`\\'):
                self._position += 1
            self._parts.append(self._peek())
            self._position += 1
        self._position += 1

    def _read_dollar(self) -> None:
        match = _REFERENCE.match(self._rest, self._position)
        if match:
            self._parts.append(Reference(match["plain"] or match["braced"], match["fallback"]))
            self._position = match.end()
        elif self._rest.startswith(("$(", "${", "`"), self._position):
            found = self._rest[self._position : self._position + 2].rstrip()
            raise _UnreadableValueError(
                f"{found} starts something that only a shell can do",
                "text, $NAME, ${NAME} or ${NAME:-text}",
                "write the result itself, or put single quotes around the value,",
            )
        else:
            self._parts.append("$")
            self._position += 1

    def _joined(self) -> Parts:
        joined: list[str | Reference] = []
        for part in self._parts:
            if isinstance(part, str) and joined and isinstance(joined[-1], str):
                joined[-1] += part
            elif part:
                joined.append(part)
        return tuple(joined)


def _unclosed(mark: str) -> _UnreadableValueError:
    kind = "double" if mark == '"' else "single"
    return _UnreadableValueError(
        f"a {kind} quote is opened and not closed",
        f"a second {mark} on the same line",
        f"close the quote, or write \\{mark},",
    )


def _first_word(text: str) -> str:
    """Return enough to find the line by, and not what may be a password."""
    word = re.split(r"[\s:=]", text, maxsplit=1)[0]
    return word if len(word) == len(text) and len(word) <= 40 else f"{word[:40]} ..."
