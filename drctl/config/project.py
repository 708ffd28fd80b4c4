"""A user's project: its folder, its settings, and how they are read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn

from drctl import secrets
from drctl.config.checks import find_contradictions
from drctl.config.env_file import EnvFile, Reference, parse_env_file
from drctl.config.layers import Given, Resolution, layer_of_file, layer_of_mapping
from drctl.config.reading import check_names, check_older_names, read_values, sort_problems, unknown_name
from drctl.config.registry import (
    OLDER_NAMES,
    RETIRED_NAMES,
    SETTINGS,
    todays_name,
)
from drctl.config.settings import COMMAND_LINE, ENVIRONMENT, Origin, Settings
from drctl.config.values import Refusal, parse_value
from drctl.errors import ConfigError, Problem, nearest
from drctl.secrets import Secret

SYSTEM_FILE: Final = "system.env"
RUN_FILE: Final = "run.env"
EXPERIMENTS: Final = "experiments"
EXPERIMENT: Final = "DR_EXPERIMENT_NAME"
CUSTOM_FILES: Final = "custom_files"


@dataclass(frozen=True)
class Project:
    """A folder with a ``run.env``, and what its settings come to.

    Attributes:
        root: The folder.
        settings: All values.
        environment_overrides: ``DR_`` variables of the shell that change a value: name to (shell's, files').
        notes: What is odd about the files and harmless, one line each.
        entries: Settings of each worker's own race in a multi-config run (contract 2.6), the first those of
            ``run.env``; empty when all workers have the same.
    """

    root: Path
    settings: Settings
    environment_overrides: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()
    entries: tuple[Settings, ...] = ()

    @property
    def races(self) -> tuple[Settings, ...]:
        """Settings of every race that the run drives, at least one.

        Raises:
            ValueError: The project was read without its entries.
        """
        if self.settings.train_multi_config and self.settings.workers > 1 and not self.entries:
            raise ValueError("a multi-config run's races are read by load_project(..., with_entries=True)")
        return self.entries or (self.settings,)

    @property
    def env_files(self) -> tuple[str, str]:
        """``system.env`` and the run's file, relative to the root."""
        return env_files(self.settings.experiment_name)

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
        """The user's reward function, hyperparameters and model metadata; an experiment may have its own."""
        own = self.root / Path(self.env_files[1]).with_name(CUSTOM_FILES)
        return own if own.is_dir() else self.root / CUSTOM_FILES

    @property
    def data_folder(self) -> Path:
        """The folder store: one folder per bucket."""
        return self.root / "data"


def env_files(experiment: str | None) -> tuple[str, str]:
    """Return the names of the env files relative to the project's folder, the weaker first.

    Args:
        experiment: ``DR_EXPERIMENT_NAME``; its own ``run.env`` takes the place of the project's.
    """
    return SYSTEM_FILE, f"{EXPERIMENTS}/{experiment}/{RUN_FILE}" if experiment else RUN_FILE


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder with a ``run.env``: `start` (default: the current folder) or one above it.

    Raises:
        ConfigError: There is none.
    """
    start = (start or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        if (folder / RUN_FILE).is_file() and not _is_experiment(folder):
            return folder
    raise ConfigError(
        f"{start} is not a project",
        expected=f"a {RUN_FILE} in this folder or in one above it",
        fix="drctl init" if start == Path.cwd() else f"drctl init {start}",
    )


def _is_experiment(folder: Path) -> bool:
    """Tell whether a folder with a ``run.env`` is an experiment of the project above it."""
    return folder.parent.name == EXPERIMENTS and (folder.parent.parent / RUN_FILE).is_file()


def find_experiment(
    root: Path, overrides: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
) -> str | None:
    """Return the experiment that is chosen: by ``-e`` or ``--set``, else by the environment, else by ``system.env``.

    Args:
        root: The project's folder.
        overrides: Values of ``--set``, by name.
        environment: The shell's variables; default: those of this process.

    Raises:
        ConfigError: ``system.env`` cannot be read, or there is no such experiment.
    """
    shell = os.environ if environment is None else environment
    system = parse_env_file(_read_texts(root, (SYSTEM_FILE,))[SYSTEM_FILE], SYSTEM_FILE)
    layers = [
        layer_of_file(SYSTEM_FILE, system.assignments),
        layer_of_mapping({name: shell[name] for name in (EXPERIMENT,) if name in shell}, ENVIRONMENT),
        layer_of_mapping({name: text for name, text in (overrides or {}).items() if name == EXPERIMENT}, COMMAND_LINE),
    ]
    resolution = Resolution(layers, shell)
    name = resolution.text(EXPERIMENT)
    if not name or isinstance(parse_value(SETTINGS[EXPERIMENT], name), Refusal):
        return None  # what is no name is reported along with everything else
    if not (root / env_files(name)[1]).is_file():
        _refuse_experiment(root, name, str(resolution.given(EXPERIMENT)[-1].origin))
    return name


def _refuse_experiment(root: Path, name: str, where: str) -> NoReturn:
    there = sorted(path.parent.name for path in root.glob(f"{EXPERIMENTS}/*/{RUN_FILE}"))
    close = nearest(name, there)
    raise ConfigError(
        f"there is no experiment {name}: {env_files(name)[1]} is missing",
        where=where,
        expected=f"one of: {', '.join(there)}" if there else "an experiment; there is none yet",
        fix=f"drctl -e {close} ..., or drctl -e {name} init makes it" if close else f"drctl -e {name} init",
    )


def load_project(
    start: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    with_entries: bool = False,
) -> Project:
    """Read a project's settings: defaults < system.env < run.env < environment < overrides.

    Args:
        start: Where the search for the project begins; default: the current folder.
        overrides: Values of ``--set``, by name.
        environment: The shell's variables; default: those of this process. Unknown names in it are ignored.
        with_entries: Read the files of a multi-config run's workers as well, for `Project.races`.

    Raises:
        ConfigError: Everything that is wrong, at once.
    """
    from drctl.config.entry import read_entries

    root = find_root(start)
    shell = os.environ if environment is None else environment
    texts = read_env_files(root, find_experiment(root, overrides, shell))
    project = project_of_texts(root, texts, overrides or {}, shell)
    if not (with_entries and project.settings.train_multi_config):
        return project
    entries, notes = read_entries(project, texts, overrides or {}, shell)
    return replace(project, entries=entries, notes=(*project.notes, *notes))


def read_env_files(root: Path, experiment: str | None = None) -> dict[str, str]:
    """Read the project's env files; one that does not exist counts as empty.

    Args:
        root: The project's folder.
        experiment: Whose ``run.env``; None for the project's own.

    Returns:
        File name to text, with the file's own line ends, the weaker file first.

    Raises:
        ConfigError: A file cannot be read.
    """
    return _read_texts(root, env_files(experiment))


def _read_texts(root: Path, names: Sequence[str]) -> dict[str, str]:
    texts, problems = {}, []
    for name in names:
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
        texts: As `read_env_files` gives them, the weaker file first.
        overrides: See `load_project`.
        environment: See `load_project`.

    Raises:
        ConfigError: Everything that is wrong, at once.
    """
    files = [parse_env_file(text, name) for name, text in texts.items()]
    known = {name: value for name, value in environment.items() if todays_name(name) in SETTINGS}
    file_layers = [layer_of_file(file.label, file.assignments) for file in files]
    shell = layer_of_mapping(known, ENVIRONMENT)
    resolution = Resolution([*file_layers, shell, layer_of_mapping(overrides, COMMAND_LINE)], environment)

    problems = [problem for file in files for problem in file.problems]
    problems += [problem for file in files for problem in check_names(file)]
    problems += [problem for layer in [*file_layers, shell] for problem in check_older_names(layer)]
    problems += [unknown_name(name, COMMAND_LINE) for name in overrides if todays_name(name) not in SETTINGS]
    values, origins, refused = read_values(resolution)
    problems += [*resolution.problems, *refused.values()]
    settings = Settings(**values, origins=MappingProxyType(origins))
    problems += find_contradictions(settings, refused)
    problems += _check_place_of_experiment(origins.get(EXPERIMENT))
    if problems:
        raise ConfigError.from_problems(sort_problems(problems, list(texts)))
    return Project(
        root,
        settings,
        MappingProxyType(_compare(shell, Resolution(file_layers, environment))),
        tuple(_describe_oddities(files, shell)),
    )


def _check_place_of_experiment(origin: Origin | None) -> list[Problem]:
    """Refuse a ``run.env`` that says which ``run.env`` counts."""
    if origin is None or origin.line is None or origin.source == SYSTEM_FILE:
        return []
    what = f"{EXPERIMENT} stands in {origin.source}, which is itself chosen by it"
    return [Problem(what, str(origin), f"{EXPERIMENT} in {SYSTEM_FILE}, or -e NAME", f"delete {origin}")]


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
