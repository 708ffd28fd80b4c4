"""Make typed values of layers of texts, and say what is wrong with names and values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from drctl.config.env_file import EnvFile
from drctl.config.layers import Given, Resolution
from drctl.config.registry import DERIVED_NAMES, RETIRED_NAMES, SETTINGS, fix_for, nearest_name, todays_name
from drctl.config.setting import Setting
from drctl.config.settings import Origin
from drctl.config.values import Refusal, parse_value
from drctl.errors import Problem


def check_names(file: EnvFile) -> list[Problem]:
    """Find names in a file that are no settings, or none that can be set."""
    problems = []
    for assignment in file.assignments:
        name, origin = assignment.name, Origin(file.label, assignment.line)
        if name in DERIVED_NAMES:
            problems.append(
                Problem(
                    f"{name} cannot be set",
                    str(origin),
                    f"it is worked out from {DERIVED_NAMES[name]}",
                    f"delete {origin}",
                )
            )
        elif name.casefold().startswith("dr_") and todays_name(name) not in SETTINGS and name not in RETIRED_NAMES:
            problems.append(unknown_name(name, origin))
    return problems


def unknown_name(name: str, origin: Origin) -> Problem:
    """Describe a name that is no setting, with the nearest one that is."""
    close = nearest_name(name)
    place = f"in {origin}" if origin.line else f"in --set {name}"
    return Problem(
        f"there is no setting {name}",
        str(origin),
        f"closest is {close}" if close else "a name that `drctl config show` lists",
        f"rename it to {close} {place}" if close else f"delete {origin}" if origin.line else f"leave --set {name} out",
    )


def check_older_names(layer: list[Given]) -> list[Problem]:
    """Find names that one layer gives under their old and their new name, with different values."""
    problems = []
    for given in layer:
        same = [other for other in layer if other.name == given.name and other.written_name == given.name]
        if given.written_name != given.name and same and same[-1].parts != given.parts:
            problems.append(
                Problem(
                    f"{given.written_name} is the older name of {given.name}, and both are set, to different values",
                    f"{given.origin}, {same[-1].origin}",
                    f"{given.name} alone",
                    f"delete {given.origin}" if given.origin.line else f"unset {given.written_name}",
                )
            )
    return problems


def read_values(resolution: Resolution) -> tuple[dict[str, Any], dict[str, Origin], dict[str, Problem]]:
    """Type the values that names come to.

    Returns:
        Values by attribute; origins and problems by name.
    """
    values: dict[str, Any] = {}
    origins, problems = {}, {}
    for name in resolution.names():
        text = resolution.text(name)
        entry = SETTINGS.get(name)
        if entry is None:
            continue
        given = resolution.given(name)[-1]
        value = parse_value(entry, text)
        if isinstance(value, Refusal):
            problems[name] = _refuse(entry, given, text, value)
        else:
            values[entry.attribute] = value
            origins[name] = given.origin
    return values, origins, problems


def _refuse(entry: Setting, given: Given, text: str, refusal: Refusal) -> Problem:
    # Keys do not belong into addresses; an address that is refused for them must not show them.
    shown = re.sub(r"//[^/@]*@", "//[REDACTED]@", text)
    return Problem(
        f"{given.written_name} is {shown!r}",
        str(given.origin),
        refusal.expected,
        fix_for(entry.name, refusal.suggestion, given.origin.source),
    )


def sort_problems(problems: Sequence[Problem], files: Sequence[str]) -> list[Problem]:
    """Sort problems by file and line; those that no file has come last.

    Args:
        problems: To sort.
        files: Names of the files, in the order wanted.
    """

    def by_place(problem: Problem) -> tuple[int, str, int]:
        source, _, line = (problem.where or "").partition(",")[0].partition(":")
        order = files.index(source) if source in files else len(files)
        return order, source, int(line) if line.isdigit() else 0

    return sorted(problems, key=by_place)
