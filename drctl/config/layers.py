"""Layers of values, from the weakest to the strongest, and what each name comes to in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drctl.config.env_file import Assignment, Parts, Reference
from drctl.config.registry import DERIVED_NAMES, SETTINGS, todays_name
from drctl.config.settings import REFERENCE, Origin
from drctl.errors import Problem


@dataclass(frozen=True)
class Given:
    """A value that one layer gives to a name.

    Attributes:
        name: Today's name.
        written_name: The name as it stands in the layer, maybe an older one.
        parts: The value before expansion.
        origin: Its place.
    """

    name: str
    written_name: str
    parts: Parts
    origin: Origin


def layer_of_file(label: str, assignments: Sequence[Assignment]) -> list[Given]:
    """Make the layer of an env file; a name may be given several times."""
    return [Given(todays_name(a.name), a.name, a.parts, Origin(label, a.line)) for a in assignments]


def layer_of_mapping(values: Mapping[str, str], origin: Origin) -> list[Given]:
    """Make a layer of finished texts: the environment, or ``--set``. A dollar in them is a dollar."""
    return [Given(todays_name(name), name, (value,) if value else (), origin) for name, value in values.items()]


class Resolution:
    """The texts that names come to, with ``$NAME`` expanded.

    A reference stands for the value that its name has in the end, wherever it is set: with
    ``--set DR_LOCAL_S3_MODEL_PREFIX=b`` a metrics prefix written as ``$DR_LOCAL_S3_MODEL_PREFIX/metrics`` follows. Only
    a name inside its own value means what that name was before.

    Args:
        layers: Weakest first.
        surroundings: Variables of the shell that are no settings, for references.
    """

    def __init__(self, layers: Sequence[Sequence[Given]], surroundings: Mapping[str, str]) -> None:
        self._surroundings = surroundings
        self._given: dict[str, list[Given]] = {}
        for layer in layers:
            for given in layer:
                self._given.setdefault(given.name, []).append(given)
        self.problems: list[Problem] = []

    def names(self) -> list[str]:
        """Return every name that a layer gives a value to."""
        return list(self._given)

    def given(self, name: str) -> list[Given]:
        """Return all values given to a name, weakest first."""
        return self._given.get(name, [])

    def text(self, name: str) -> str:
        """Return what a name comes to; reports what goes wrong on the way in `problems`."""
        given = self.given(name)
        return self._expand(given, len(given) - 1, (name,)) if given else ""

    def text_of_default(self, name: str) -> str:
        """Return what a setting comes to when nothing sets it, given the values of the others."""
        return self._expand_default(SETTINGS[name].default_text, (name,))

    def _expand(self, given: Sequence[Given], level: int, path: tuple[str, ...]) -> str:
        one = given[level]
        return "".join(part if isinstance(part, str) else self._look_up(part, one, level, path) for part in one.parts)

    def _look_up(self, reference: Reference, user: Given, level: int, path: tuple[str, ...]) -> str:
        name = todays_name(reference.name)
        given = self.given(name)
        if name == user.name:
            given = given[:level]
        elif name in path:
            self._report_circle(user, (*path[path.index(name) :], name))
            return ""
        if given:
            return self._expand(given, len(given) - 1, (*path, name)) or reference.fallback or ""
        found = self._look_up_elsewhere(name, path)
        if found is None and reference.fallback is None:
            self._report_unknown(reference, user)
        return found or reference.fallback or ""

    def _look_up_elsewhere(self, name: str, path: tuple[str, ...]) -> str | None:
        if name in SETTINGS:
            return self._expand_default(SETTINGS[name].default_text, path)
        if name in self._surroundings and name not in DERIVED_NAMES:
            return self._surroundings[name]
        return None

    def _expand_default(self, text: str, path: tuple[str, ...]) -> str:
        def replace(other: str) -> str:
            given = self.given(other)
            if other in path:
                return ""
            if given:
                return self._expand(given, len(given) - 1, (*path, other))
            return self._expand_default(SETTINGS[other].default_text, (*path, other))

        return REFERENCE.sub(lambda found: replace(found[1]), text)

    def _report_unknown(self, reference: Reference, user: Given) -> None:
        self._report(
            Problem(
                f"{user.written_name} uses ${reference.name}, which has no value",
                str(user.origin),
                f"a name that is set, or ${{{reference.name}:-text}}",
                f"set {reference.name} in {user.origin.source}, or put single quotes around the value",
            )
        )

    def _report_circle(self, user: Given, circle: tuple[str, ...]) -> None:
        self._report(
            Problem(
                f"{user.written_name} goes round in a circle: {' -> '.join(circle)}",
                str(user.origin),
                "values that do not need each other",
                f"write the value itself in {user.origin}",
            )
        )

    def _report(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
