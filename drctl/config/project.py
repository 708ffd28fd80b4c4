"""A user's project: its folder, its settings, and how they are read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from drctl import secrets
from drctl.config.checks import find_contradictions
from drctl.config.env_file import EnvFile, Reference, parse_env_file
from drctl.config.layers import Given, Resolution, layer_of_file, layer_of_mapping
from drctl.config.registry import (
    DERIVED_NAMES,
    OLDER_NAMES,
    RETIRED_NAMES,
    SETTINGS,
    fix_for,
    nearest_name,
    todays_name,
)
from drctl.config.setting import Setting
from drctl.config.settings import COMMAND_LINE, ENVIRONMENT, Origin, Settings
from drctl.config.values import Refusal, parse_value
from drctl.errors import ConfigError, Problem
from drctl.secrets import Secret

SYSTEM_FILE: Final = "system.env"
RUN_FILE: Final = "run.env"
ENV_FILES: Final = (SYSTEM_FILE, RUN_FILE)


@dataclass(frozen=True)
class Project:
    """A folder with a ``run.env``, and what its settings come to.

    Attributes:
        root: The folder.
        settings: All values.
        environment_overrides: ``DR_`` variables of the shell that change a value: name to (shell's, files').
        notes: What is odd about the files and harmless, one line each.
    """

    root: Path
    settings: Settings
    environment_overrides: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()

    @property
    def run_folder(self) -> Path:
        """Where the run ``DR_RUN_ID`` keeps its state and logs."""
        return self.root / "tmp" / f"run-{self.settings.run_id}"

    @property
    def secrets_path(self) -> Path:
        """Where keys and passwords lie; it may be missing."""
        return secrets.secrets_path(self.root)

    @property
    def secrets_folder(self) -> Path:
        """Where keys and passwords lie; made when first asked for, for its owner alone."""
        return secrets.secrets_folder(self.root)

    @property
    def custom_files(self) -> Path:
        """The user's reward function, hyperparameters and model metadata."""
        return self.root / "custom_files"

    @property
    def data_folder(self) -> Path:
        """The folder store: one folder per bucket."""
        return self.root / "data"


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder with a ``run.env``: `start` (default: the current folder) or one above it.

    Raises:
        ConfigError: There is none.
    """
    start = (start or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        if (folder / RUN_FILE).is_file():
            return folder
    raise ConfigError(
        f"{start} is not a project",
        expected=f"a {RUN_FILE} in this folder or in one above it",
        fix="drctl init" if start == Path.cwd() else f"drctl init {start}",
    )


def load_project(
    start: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Project:
    """Read a project's settings: defaults < system.env < run.env < environment < overrides.

    Args:
        start: Where the search for the project begins; default: the current folder.
        overrides: Values of ``--set``, by name.
        environment: The shell's variables; default: those of this process. Unknown names in it are ignored.

    Raises:
        ConfigError: Everything that is wrong, at once.
    """
    root = find_root(start)
    texts = read_env_files(root)
    return project_of_texts(root, texts, overrides or {}, os.environ if environment is None else environment)


def read_env_files(root: Path) -> dict[str, str]:
    """Read the project's env files; one that does not exist counts as empty.

    Returns:
        File name to text, with the file's own line ends.

    Raises:
        ConfigError: A file cannot be read.
    """
    texts, problems = {}, []
    for name in ENV_FILES:
        try:
            texts[name] = (root / name).read_bytes().decode("utf-8")
        except FileNotFoundError:
            texts[name] = ""
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            problems.append(Problem(f"{name} is not UTF-8 text", f"{name}:{line}", "UTF-8", f"save {name} as UTF-8"))
        except OSError as error:
            problems.append(Problem(f"{name} cannot be read: {error.strerror}", name, "a file that this user may read"))
    if problems:
        raise ConfigError.from_problems(problems)
    return texts


def project_of_texts(
    root: Path, texts: Mapping[str, str], overrides: Mapping[str, str], environment: Mapping[str, str]
) -> Project:
    """Make a project of the texts of its env files; `load_project` without the disk.

    Args:
        root: The project's folder.
        texts: As `read_env_files` gives them.
        overrides: See `load_project`.
        environment: See `load_project`.

    Raises:
        ConfigError: Everything that is wrong, at once.
    """
    files = [parse_env_file(texts[name], name) for name in ENV_FILES]
    known = {name: value for name, value in environment.items() if todays_name(name) in SETTINGS}
    file_layers = [layer_of_file(file.label, file.assignments) for file in files]
    shell = layer_of_mapping(known, ENVIRONMENT)
    resolution = Resolution([*file_layers, shell, layer_of_mapping(overrides, COMMAND_LINE)], environment)

    problems = [problem for file in files for problem in file.problems]
    problems += [problem for file in files for problem in _check_names(file)]
    problems += [problem for layer in [*file_layers, shell] for problem in _check_older_names(layer)]
    problems += [_unknown(name, COMMAND_LINE) for name in overrides if todays_name(name) not in SETTINGS]
    values, origins, refused = _read_values(resolution)
    problems += [*resolution.problems, *refused.values()]
    settings = Settings(**values, origins=MappingProxyType(origins))
    problems += find_contradictions(settings, refused)
    if problems:
        raise ConfigError.from_problems(sorted(problems, key=_by_place))
    return Project(
        root,
        settings,
        MappingProxyType(_compare(shell, Resolution(file_layers, environment))),
        tuple(_describe_oddities(files, shell)),
    )


def _check_names(file: EnvFile) -> list[Problem]:
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
            problems.append(_unknown(name, origin))
    return problems


def _unknown(name: str, origin: Origin) -> Problem:
    close = nearest_name(name)
    place = f"in {origin}" if origin.line else f"in --set {name}"
    return Problem(
        f"there is no setting {name}",
        str(origin),
        f"closest is {close}" if close else "a name that `drctl config show` lists",
        f"rename it to {close} {place}" if close else f"delete {origin}" if origin.line else f"leave --set {name} out",
    )


def _check_older_names(layer: list[Given]) -> list[Problem]:
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


def _read_values(resolution: Resolution) -> tuple[dict[str, Any], dict[str, Origin], dict[str, Problem]]:
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


def _compare(shell: list[Given], without: Resolution) -> dict[str, tuple[str, str]]:
    overrides = {}
    for name in {given.name for given in shell}:
        entry = SETTINGS[name]
        last = [given for given in shell if given.name == name][-1]
        text = "".join(part for part in last.parts if isinstance(part, str))
        in_files = without.text(name) or without.text_of_default(name)
        mine, theirs = (parse_value(entry, value) for value in (text or without.text_of_default(name), in_files))
        if mine == theirs:
            continue
        overrides[name] = (str(mine), str(theirs or "")) if isinstance(mine, Secret) else (text, in_files)
    return dict(sorted(overrides.items()))


def _describe_oddities(files: list[EnvFile], shell: list[Given]) -> list[str]:
    notes = []
    assignments = [assignment for file in files for assignment in file.assignments]
    needed = {part.name for one in assignments for part in one.parts if isinstance(part, Reference)}
    for file in files:
        seen: dict[str, int] = {}
        for assignment in file.assignments:
            name, place = assignment.name, f"{file.label}:{assignment.line}"
            if name in seen:
                notes.append(f"{name} is set twice; {place} counts, {file.label}:{seen[name]} does not")
            seen[name] = assignment.line
            notes += _describe_name(name, assignment.parts, place)
            if not name.startswith("DR_") and name not in {*needed, *RETIRED_NAMES}:
                notes.append(f"{name} ({place}) is no setting, and no value uses it")
    for given in shell:
        notes += _describe_name(given.written_name, given.parts, str(given.origin))
    return notes


def _describe_name(name: str, parts: tuple[Any, ...], place: str) -> list[str]:
    if name in OLDER_NAMES:
        return [f"{name} ({place}) is the older name of {OLDER_NAMES[name]} and acts as it"]
    if name in RETIRED_NAMES:
        return [f"{name} ({place}) does nothing any more: {RETIRED_NAMES[name]}"]
    if name == "DR_CLOUD" and [str(part).casefold() for part in parts] == ["azure"]:
        return [f"DR_CLOUD=azure ({place}) means local: MinIO's gateway to Azure no longer exists"]
    return []


def _by_place(problem: Problem) -> tuple[int, str, int]:
    source, _, line = (problem.where or "").partition(",")[0].partition(":")
    order = ENV_FILES.index(source) if source in ENV_FILES else len(ENV_FILES)
    return order, source, int(line) if line.isdigit() else 0
